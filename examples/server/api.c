/* The endpoints: a token, a ticket, the upgrade.
 *
 * Each request of one of the three steps becomes a |struct call|.  First the fault of that step, if
 * one is set, has its say: a delay, then perhaps a drop, a silence or another answer.  Otherwise
 * the step does its work, which for tickets means waiting for the store.
 */
#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "util.h"
#include "ws.h"

#define JSON_TYPE         "application/json"
#define NO_STORE          "Cache-Control: no-store\r\n"
#define INVALID_TOKEN     "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n"
#define CLOSE_UNAUTH      4401
#define CLOSE_TRY_LATER   1013
#define WEBSOCKET_VERSION "13"

struct call {
    struct server *server;
    struct exchange *ex;
    enum fault_step step;
    struct fault *fault; /* or NULL */
    uv_timer_t timer;    /* the delay */
    bool plain;          /* an upgrade that needs no ticket */
    char ticket[TICKET_LEN + 1];
    struct ticket_value value;
    unsigned ttl_s;
};

/* Answers */

void api_respond_json(struct exchange *ex, int status, const char *extra, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    if (!text)
        abort();
    http_respond(ex, status, extra, JSON_TYPE, text, strlen(text));
    OPENSSL_cleanse(text, strlen(text));
    cJSON_free(text);
}

void api_respond_error(struct exchange *ex, int status, const char *extra, const char *error)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "error", error);
    api_respond_json(ex, status, extra, json);
}

static void free_call(struct call *call)
{
    fault_unref(call->fault);
    OPENSSL_cleanse(call->ticket, sizeof call->ticket);
    free(call);
}

/* What a fault adds to the JSON of an answer, good or bad. */
static void add_steering(cJSON *json, const struct fault *fault)
{
    if (fault && fault->retry_after_ms >= 0)
        cJSON_AddNumberToObject(json, "retryAfterMs", (double)fault->retry_after_ms);
    if (fault && fault->reconnect_spread_ms >= 0)
        cJSON_AddNumberToObject(json, "reconnectSpreadMs", (double)fault->reconnect_spread_ms);
}

/* Ends |call| with a refusal. */
static void refuse(struct call *call, int status, const char *extra, const char *error)
{
    cJSON *json = cJSON_CreateObject();
    char headers[512];

    (void)snprintf(headers, sizeof headers, NO_STORE "%s", extra ? extra : "");
    cJSON_AddStringToObject(json, "error", error);
    add_steering(json, call->fault);
    api_respond_json(call->ex, status, headers, json);
    free_call(call);
}

/* The token */

/* The user that the body asks for: {"userId": "..."}; NULL when it does not.  False when too long.
 */
static bool wanted_user(const struct http_request *req, char user_id[JWT_USER_LEN + 1])
{
    cJSON *json = cJSON_ParseWithLength(req->body ? req->body : "", req->body_len);
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "userId"));
    bool ok = !user || strlen(user) <= JWT_USER_LEN;

    (void)snprintf(user_id, JWT_USER_LEN + 1, "%s", user && ok ? user : "");
    cJSON_Delete(json);
    return ok;
}

static void run_token(struct call *call)
{
    struct server *server = call->server;
    long ttl = call->fault && call->fault->ttl ? call->fault->ttl : server->options.jwt_ttl;
    char user_id[JWT_USER_LEN + 1];
    cJSON *json;
    char *token;

    if (!wanted_user(&call->ex->req, user_id)) {
        refuse(call, 400, NULL, "userId is too long");
        return;
    }
    token = jwt_make(&server->jwt_key, *user_id ? user_id : NULL, wall_ms() / 1000, ttl);
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "token", token);
    cJSON_AddNumberToObject(json, "expiresInSeconds", (double)ttl);
    add_steering(json, call->fault);
    OPENSSL_cleanse(token, strlen(token));
    free(token);
    server->stats.tokens_issued++;
    log_line("[Auth] Token issued { hasUserId: %s, expiresIn: %ld }", *user_id ? "true" : "false",
             ttl);
    api_respond_json(call->ex, 200, NO_STORE, json);
    free_call(call);
}

/* The ticket */

static void answer_ticket(struct call *call)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "ticket", call->ticket);
    cJSON_AddNumberToObject(json, "expiresInSeconds", call->ttl_s);
    add_steering(json, call->fault);
    api_respond_json(call->ex, 200, NO_STORE, json);
    free_call(call);
}

static void ticket_stored(void *arg, enum ticket_verdict verdict, const struct ticket_value *value)
{
    struct call *call = arg;
    struct server *server = call->server;
    char hash[7];

    (void)value;
    if (verdict != TICKET_OK) {
        server->stats.store_failures++;
        server->stats.tickets_refused++;
        log_line("[WSTicket] Ticket refused { status: 503, reason: 'ticket store unavailable' }");
        refuse(call, 503, NULL, "ticket store unavailable");
        return;
    }
    server->stats.tickets_generated++;
    stats_ticket(&server->stats, call->ticket, STATS_MADE);
    ticket_hash(hash, 6, call->ticket);
    log_line("[WSTicket] Ticket generated { hasUserId: %s, ttl: %u, ticketHash: '%s...' }",
             *call->value.user_id ? "true" : "false", call->ttl_s, hash);
    memcpy(server->last_ticket, call->ticket, sizeof server->last_ticket);
    answer_ticket(call);
}

static void repeat_ticket(struct call *call)
{
    char hash[7];

    memcpy(call->ticket, call->server->last_ticket, sizeof call->ticket);
    ticket_hash(hash, 6, call->ticket);
    call->server->stats.tickets_repeated++;
    log_line("[WSTicket] Ticket repeated { ticketHash: '%s...' }", hash);
    answer_ticket(call);
}

/* NULL when the request may have a ticket, else the reason why not. */
static const char *check_bearer(const struct server *server, const struct http_request *req,
                                char user_id[JWT_USER_LEN + 1])
{
    const char *value = http_header(req, "Authorization");

    *user_id = '\0';
    if (!value)
        return "no token";
    if (strncasecmp(value, "Bearer ", 7) != 0)
        return "not a bearer token";
    value += 7;
    value += strspn(value, " ");
    return jwt_check(&server->jwt_key, value, wall_ms() / 1000, user_id);
}

static void run_ticket(struct call *call)
{
    struct server *server = call->server;
    const char *reason = check_bearer(server, &call->ex->req, call->value.user_id);

    if (reason && !server->options.open) {
        server->stats.tickets_refused++;
        log_line("[WSTicket] Ticket refused { status: 401, reason: '%s' }", reason);
        refuse(call, 401, INVALID_TOKEN, reason);
        return;
    }
    call->ttl_s =
        (unsigned)(call->fault && call->fault->ttl ? call->fault->ttl : server->options.ticket_ttl);
    if (call->fault && call->fault->same && *server->last_ticket) {
        repeat_ticket(call);
        return;
    }
    ticket_make(call->ticket);
    uuid_make(call->value.session_id);
    call->value.created_at = wall_ms();
    server->store->put(server->store, call->ticket, &call->value, call->ttl_s, ticket_stored, call);
}

/* The upgrade */

/* The first query parameter |name|, decoded, cut out of |query|; NULL when there is none. */
static char *query_value(char *query, const char *name)
{
    size_t len = strlen(name);
    char *part = query;

    while (part) {
        char *next = strchr(part, '&');

        if (next)
            *next++ = '\0';
        if (!strncmp(part, name, len) && part[len] == '=')
            return percent_decode(part + len + 1) ? part + len + 1 : NULL;
        part = next;
    }
    return NULL;
}

/* The last offered subprotocol that begins with |prefix| and is none of the configured ones. */
static const char *subprotocol_ticket(const struct options *options, const char *offered,
                                      const char *prefix, char *out, size_t size)
{
    const char *found = NULL;

    while (offered && *offered) {
        size_t len;
        size_t i;

        offered += strspn(offered, ", \t");
        len = strcspn(offered, ", \t");
        for (i = 0; i < options->subprotocol_count; i++)
            if (strlen(options->subprotocols[i]) == len &&
                !strncmp(options->subprotocols[i], offered, len))
                break;
        if (len && len < size && i == options->subprotocol_count &&
            !strncmp(offered, prefix, strlen(prefix))) {
            (void)snprintf(out, size, "%.*s", (int)len, offered);
            found = out + strlen(prefix);
        }
        offered += len;
    }
    return found;
}

static const char *find_ticket(const struct options *options, const struct http_request *req,
                               char *room, size_t size)
{
    const char *ticket = NULL;

    switch (options->ticket_in) {
    case TICKET_IN_QUERY:
        ticket = query_value(req->query, options->ticket_name);
        break;
    case TICKET_IN_HEADER:
        ticket = http_header(req, options->ticket_name);
        break;
    case TICKET_IN_SUBPROTOCOL:
        ticket = subprotocol_ticket(options, http_header(req, "Sec-WebSocket-Protocol"),
                                    options->ticket_name, room, size);
        break;
    }
    return ticket && *ticket ? ticket : NULL;
}

static const char *select_subprotocol(const struct options *options, const struct http_request *req)
{
    size_t i;

    for (i = 0; i < options->subprotocol_count; i++)
        if (http_has_token(req, "Sec-WebSocket-Protocol", options->subprotocols[i]))
            return options->subprotocols[i];
    return NULL;
}

/* Lets the client in; with |close_code| only to close at once. */
static void open_websocket(struct call *call, const char *session_id, int close_code,
                           const char *close_reason)
{
    struct ws_open open;

    memset(&open, 0, sizeof open);
    (void)snprintf(open.session_id, sizeof open.session_id, "%s", session_id);
    open.subprotocol = select_subprotocol(&call->server->options, &call->ex->req);
    open.close_code = close_code;
    open.close_reason = close_reason;
    if (!close_code)
        open.fault = faults_take(&call->server->faults, FAULT_OPEN);
    ws_accept(call->server->ws, call->ex, &open);
    free_call(call);
}

/* Refuses the upgrade in the configured way. */
static void turn_away(struct call *call, int status, int close_code, const char *close_reason,
                      const char *error)
{
    static const char ticket_wanted[] = "WWW-Authenticate: Ticket\r\n";

    call->server->stats.upgrades_refused++;
    if (call->server->options.reject == REJECT_CLOSE)
        open_websocket(call, "none", close_code, close_reason);
    else
        refuse(call, status, status == 401 ? ticket_wanted : NULL, error);
}

static void turn_away_unauthorized(struct call *call, const char *error)
{
    turn_away(call, call->server->options.reject == REJECT_HTTP_403 ? 403 : 401, CLOSE_UNAUTH,
              "NOT_AUTHORIZED", error);
}

static void ticket_taken(void *arg, enum ticket_verdict verdict, const struct ticket_value *value)
{
    struct call *call = arg;
    struct stats *stats = &call->server->stats;

    switch (verdict) {
    case TICKET_OK:
        stats->redeemed++;
        stats_ticket(stats, call->ticket, STATS_REDEEMED);
        log_line("[WS] Authenticated via ticket { hasUserId: %s, sessionId: '%s' }",
                 *value->user_id ? "true" : "false", value->session_id);
        open_websocket(call, value->session_id, 0, NULL);
        return;
    case TICKET_UNAVAILABLE:
        stats->store_failures++;
        log_line("[WS] Upgrade refused { status: 503, reason: 'ticket store unavailable' }");
        turn_away(call, 503, CLOSE_TRY_LATER, "TRY_AGAIN_LATER", "ticket store unavailable");
        return;
    case TICKET_EXPIRED:
        stats->expired++;
        break;
    case TICKET_UNKNOWN:
        break;
    }
    stats->rejected++;
    stats_ticket(stats, call->ticket, STATS_REJECTED);
    log_line("WS: Rejected - ticket invalid or expired");
    turn_away_unauthorized(call, "ticket invalid or expired");
}

static void run_upgrade(struct call *call)
{
    struct server *server = call->server;
    char room[256];
    const char *ticket;

    if (call->plain) {
        char session_id[UUID_LEN + 1];

        uuid_make(session_id);
        open_websocket(call, session_id, 0, NULL);
        return;
    }
    ticket = find_ticket(&server->options, &call->ex->req, room, sizeof room);
    if (!ticket) {
        server->stats.missing++;
        log_line("WS: Rejected - no auth ticket");
        turn_away_unauthorized(call, "no auth ticket");
        return;
    }
    if (!ticket_wellformed(ticket)) {
        server->stats.rejected++;
        log_line("WS: Rejected - ticket invalid or expired");
        turn_away_unauthorized(call, "ticket invalid or expired");
        return;
    }
    memcpy(call->ticket, ticket, sizeof call->ticket);
    server->store->take(server->store, call->ticket, ticket_taken, call);
}

/* Faults */

static void count_refusal(struct call *call, long status)
{
    static const char *const what[FAULT_STEP_COUNT] = {[FAULT_TOKEN] = "[Auth] Token",
                                                       [FAULT_TICKET] = "[WSTicket] Ticket",
                                                       [FAULT_UPGRADE] = "[WS] Upgrade"};
    struct stats *stats = &call->server->stats;

    if (call->step == FAULT_TOKEN)
        stats->tokens_refused++;
    else if (call->step == FAULT_TICKET)
        stats->tickets_refused++;
    else
        stats->upgrades_refused++;
    log_line("%s refused { status: %ld, reason: 'fault' }", what[call->step], status);
}

/* The answer that the fault prescribes: a body given or made, or an error object. */
static void answer_fault(struct call *call)
{
    const struct fault *fault = call->fault;
    int status = (int)(fault->status ? fault->status : 200);
    const char *type = fault->content_type ? fault->content_type : JSON_TYPE;
    char extra[3072] = NO_STORE;
    size_t n = strlen(extra);

    if (fault->retry_after)
        n += (size_t)snprintf(extra + n, sizeof extra - n, "Retry-After: %s\r\n",
                              fault->retry_after);
    if (fault->location)
        n += (size_t)snprintf(extra + n, sizeof extra - n, "Location: %s\r\n", fault->location);
    if (status == 401)
        (void)snprintf(extra + n, sizeof extra - n, INVALID_TOKEN);
    count_refusal(call, status);
    if (fault->body_size) {
        char *body = xalloc((size_t)fault->body_size);

        memset(body, 'x', (size_t)fault->body_size);
        http_respond(call->ex, status, extra, type, body, (size_t)fault->body_size);
        free(body);
    } else if (fault->body) {
        http_respond(call->ex, status, extra, type, fault->body, strlen(fault->body));
    } else {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddStringToObject(json, "error", "injected fault");
        add_steering(json, fault);
        api_respond_json(call->ex, status, extra, json);
    }
    free_call(call);
}

static void forget_stalled(struct exchange *ex)
{
    free_call(ex->user);
    http_abandon(ex);
}

static void act(struct call *call)
{
    const struct fault *fault = call->fault;

    if (fault && fault->drop != FAULT_DROP_NO) {
        http_drop(call->ex, fault->drop == FAULT_DROP_RST ? HTTP_DROP_RST : HTTP_DROP_FIN);
        free_call(call);
    } else if (fault && fault->stall) {
        call->ex->user = call;
        call->ex->on_gone = forget_stalled;
    } else if (fault && (fault->status || fault->body || fault->body_size)) {
        answer_fault(call);
    } else if (call->step == FAULT_TOKEN) {
        run_token(call);
    } else if (call->step == FAULT_TICKET) {
        run_ticket(call);
    } else {
        run_upgrade(call);
    }
}

static void delay_closed(uv_handle_t *handle)
{
    struct call *call = handle->data;

    if (call->ex->http) {
        call->ex->on_gone = NULL;
        act(call);
        return;
    }
    /* The client did not wait. */
    http_abandon(call->ex);
    free_call(call);
}

static void delay_over(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, delay_closed);
}

static void delay_cut(struct exchange *ex)
{
    struct call *call = ex->user;

    if (!uv_is_closing((uv_handle_t *)&call->timer))
        uv_close((uv_handle_t *)&call->timer, delay_closed);
}

static void begin(struct server *server, struct exchange *ex, enum fault_step step, bool plain)
{
    struct call *call = xalloc(sizeof *call);

    call->server = server;
    call->ex = ex;
    call->step = step;
    call->plain = plain;
    call->fault = faults_take(&server->faults, step);
    if (!call->fault || !call->fault->delay_ms) {
        act(call);
        return;
    }
    ex->user = call;
    ex->on_gone = delay_cut;
    (void)uv_timer_init(&server->loop, &call->timer);
    call->timer.data = call;
    (void)uv_timer_start(&call->timer, delay_over, (uint64_t)call->fault->delay_ms, 0);
}

/* Routes */

static void wrong_method(struct exchange *ex, const char *allow)
{
    char extra[64];

    (void)snprintf(extra, sizeof extra, "Allow: %s\r\n", allow);
    api_respond_error(ex, 405, extra, "method not allowed");
}

static bool key_ok(const char *key)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return key && strlen(key) == 24 && strspn(key, base64) == 22 && !strcmp(key + 22, "==");
}

/* Whether the request is an opening handshake (RFC 6455, 4.2.1); answers it when it is not. */
static bool is_handshake(struct exchange *ex)
{
    const char *version = http_header(&ex->req, "Sec-WebSocket-Version");

    if (strcmp(ex->req.method, "GET") != 0) {
        wrong_method(ex, "GET");
        return false;
    }
    if (!http_has_token(&ex->req, "Upgrade", "websocket") ||
        !http_has_token(&ex->req, "Connection", "upgrade")) {
        api_respond_error(ex, 426, "Upgrade: websocket\r\n", "a WebSocket upgrade is wanted");
        return false;
    }
    if (!version || strcmp(version, WEBSOCKET_VERSION) != 0) {
        api_respond_error(ex, 426, "Sec-WebSocket-Version: " WEBSOCKET_VERSION "\r\n",
                          "WebSocket version not supported");
        return false;
    }
    if (!key_ok(http_header(&ex->req, "Sec-WebSocket-Key"))) {
        api_respond_error(ex, 400, NULL, "Sec-WebSocket-Key is not a key");
        return false;
    }
    return true;
}

static void route_upgrade(struct server *server, struct exchange *ex, bool plain)
{
    if (!is_handshake(ex))
        return;
    server->stats.upgrade_requests++;
    begin(server, ex, FAULT_UPGRADE, plain);
}

static void route(struct server *server, struct exchange *ex, const char *path)
{
    if (!strcmp(path, "/api/v1/auth/token")) {
        if (strcmp(ex->req.method, "POST") != 0) {
            wrong_method(ex, "POST");
            return;
        }
        server->stats.token_requests++;
        begin(server, ex, FAULT_TOKEN, false);
    } else if (!strcmp(path, "/api/v1/ws-ticket")) {
        if (strcmp(ex->req.method, "GET") != 0) {
            wrong_method(ex, "GET");
            return;
        }
        server->stats.ticket_requests++;
        begin(server, ex, FAULT_TICKET, false);
    } else if (!strcmp(path, "/ws")) {
        route_upgrade(server, ex, false);
    } else if (!strcmp(path, "/plain")) {
        route_upgrade(server, ex, true);
    } else {
        api_respond_error(ex, 404, NULL, "not found");
    }
}

void api_handle(struct exchange *ex, void *arg)
{
    struct server *server = arg;
    const char *prefix = server->options.prefix;

    if (!strncmp(ex->req.path, "/admin/", 7))
        admin_handle(ex, server);
    else if (!strncmp(ex->req.path, prefix, strlen(prefix)))
        route(server, ex, ex->req.path + strlen(prefix));
    else
        api_respond_error(ex, 404, NULL, "not found");
}
