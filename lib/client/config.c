/*
 * The configuration.  wst_config is a plain struct that a program fills in; here it is checked
 * field by field, copied, and turned into what the rooms below want.  Every message names the
 * field and the fix, and repeats no value that may be a secret.
 */
#include "client/config.h"

#include "base/mem.h"
#include "client/offline.h"
#include "wire/deflate.h"

#include <string.h>
#include <strings.h>

#define DIAL_IDLE_MS 5000
#define MAX_TIME_MS  (7ull * 24 * 3600 * 1000) /* A week: beyond it a time is a mistake. */
#define MAX_SIZE     ((size_t)1 << 30)

void wst_config_init(struct wst_config *config)
{
    static const uint16_t unauthorized[] = {1008, 3000, 3003, 4401, 4403};

    if (!config)
        return;
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    config->token_method = "POST";
    config->token_content_type = "application/json";
    config->token_success_value = "true";
    config->ticket_method = "GET";
    config->ticket_content_type = "application/json";
    config->ticket_success_value = "true";
    config->ticket_life_ms = 30000;
    config->query_name = "ticket";
    config->ticket_header = "X-Ticket";
    config->subprotocol_prefix = "";
    config->compress_offer = WST__DEFLATE_OFFER;
    config->compress_min_bytes = 1024;
    config->user_agent = "libwsticket/" WST_VERSION_STRING;
    config->tls_min = "1.2";
    config->base_delay_ms = 250;
    config->cap_ms = 30000;
    config->jitter_percent = 50;
    config->max_server_delay_ms = 300000;
    config->restart_spread_ms = 5000;
    config->stable_ms = 5000;
    config->step_timeout_ms = 10000;
    config->attempt_timeout_ms = 30000;
    config->close_timeout_ms = 5000;
    config->ping_interval_ms = 20000;
    config->ping_timeout_ms = 10000;
    config->unauthorized_codes = unauthorized;
    config->unauthorized_count = sizeof unauthorized / sizeof unauthorized[0];
    config->parallel_dial = 1;
    config->max_header_bytes = 16 * 1024;
    config->max_body_bytes = 64 * 1024;
    config->max_message_bytes = 16 * 1024 * 1024;
    config->max_queue_bytes = 16 * 1024 * 1024;
    config->queue_low_water = 64 * 1024;
    config->offline_bytes = 1024 * 1024;
    config->offline_age_ms = 60000;
    config->log_level = WST_LOG_WARN;
}

#define FIELD(name)                                                                                \
    {                                                                                              \
        offsetof(struct wst_config, name), #name                                                   \
    }

/* Every string of the configuration: copied, and wiped when dropped. */
static const struct {
    size_t offset;
    const char *name;
} strings[] = {
    FIELD(url),
    FIELD(token_url),
    FIELD(ticket_url),
    FIELD(ws_url),
    FIELD(token),
    FIELD(token_method),
    FIELD(token_body),
    FIELD(token_content_type),
    FIELD(token_pointer),
    FIELD(token_expiry_pointer),
    FIELD(token_success_pointer),
    FIELD(token_success_value),
    FIELD(ticket_method),
    FIELD(ticket_body),
    FIELD(ticket_content_type),
    FIELD(ticket_pointer),
    FIELD(url_pointer),
    FIELD(expiry_pointer),
    FIELD(ticket_success_pointer),
    FIELD(ticket_success_value),
    FIELD(query_name),
    FIELD(ticket_header),
    FIELD(subprotocol_prefix),
    FIELD(compress_offer),
    FIELD(user_agent),
    FIELD(ca_file),
    FIELD(ca_dir),
    FIELD(ca_pem),
    FIELD(client_cert),
    FIELD(client_key),
    FIELD(pinned_key),
    FIELD(tls_min),
    FIELD(proxy),
    FIELD(no_proxy),
    FIELD(interface),
    FIELD(token_cache),
};

#define STRING_COUNT (sizeof strings / sizeof strings[0])

static char **string_at(struct wst_config *c, size_t i)
{
    return (char **)(void *)((char *)c + strings[i].offset);
}

static void drop_string(char *s)
{
    if (s)
        wst__wipe(s, strlen(s));
    wst__free(s);
}

#define REJECT(why, ...) wst__cause(why, WST_ERR_CONFIG, WST_STEP_NONE, __VA_ARGS__)

/* ---- Checks -------------------------------------------------------------------------------- */

/* A token (RFC 9110, 5.6.2): method, header name, subprotocol. */
static bool is_token(const char *s)
{
    if (!s || !*s)
        return false;
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;

        if (ch <= ' ' || ch >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", ch))
            return false;
    }
    return true;
}

/* A header's value (RFC 9110, 5.5): no control characters but the tab. */
static bool is_field_value(const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;

        if ((ch < ' ' && ch != '\t') || ch == 0x7f)
            return false;
    }
    return true;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;

        if (x != y)
            return false;
    }
    return *a == *b;
}

/* Headers that the handshakes are made of: not for the application. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = {
        "Host",   "Upgrade", "Connection", "Content-Length",     "Transfer-Encoding",
        "Expect", "TE",      "Trailer",    "Proxy-Authorization"};

    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (same_name(name, reserved[i]))
            return true;
    }
    return strlen(name) >= 4 && (name[0] == 'S' || name[0] == 's') &&
           (name[1] == 'e' || name[1] == 'E') && (name[2] == 'c' || name[2] == 'C') &&
           name[3] == '-';
}

static int check_headers(const struct wst_config *c, struct wst_cause *why)
{
    if (c->header_count && !c->headers)
        return REJECT(why, "headers: is NULL, but header_count is %zu", c->header_count);
    for (size_t i = 0; i < c->header_count; i++) {
        const struct wst_header *h = &c->headers[i];

        if (!is_token(h->name))
            return REJECT(why, "headers[%zu]: the name must be a token (RFC 9110, 5.6.2)", i);
        if (is_reserved(h->name))
            return REJECT(why, "headers[%zu]: %.64s is made by the library; leave it out", i,
                          h->name);
        if (!h->value || !is_field_value(h->value))
            return REJECT(why, "headers[%zu]: the value of %.64s must not hold control characters",
                          i, h->name);
        if ((unsigned)h->step > WST_STEP_CONNECT)
            return REJECT(why, "headers[%zu]: step must be one of WST_STEP_*", i);
    }
    return 0;
}

static int check_subprotocols(const struct wst_config *c, struct wst_cause *why)
{
    if (c->subprotocol_count && !c->subprotocols)
        return REJECT(why, "subprotocols: is NULL, but subprotocol_count is %zu",
                      c->subprotocol_count);
    for (size_t i = 0; i < c->subprotocol_count; i++) {
        if (!is_token(c->subprotocols[i]))
            return REJECT(why, "subprotocols[%zu]: must be a token (RFC 6455, 4.1)", i);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->subprotocols[i], c->subprotocols[k]) == 0)
                return REJECT(why, "subprotocols[%zu]: is there twice; each must be unique", i);
        }
    }
    return 0;
}

static int check_times(const struct wst_config *c, struct wst_cause *why)
{
    const struct {
        const char *name;
        uint64_t value;
        uint64_t min;
    } times[] = {
        {"ticket_life_ms", c->ticket_life_ms, 1},
        {"base_delay_ms", c->base_delay_ms, 1},
        {"cap_ms", c->cap_ms, 1},
        {"max_server_delay_ms", c->max_server_delay_ms, 0},
        {"restart_spread_ms", c->restart_spread_ms, 0},
        {"stable_ms", c->stable_ms, 0},
        {"step_timeout_ms", c->step_timeout_ms, 1},
        {"attempt_timeout_ms", c->attempt_timeout_ms, 1},
        {"close_timeout_ms", c->close_timeout_ms, 1},
        {"ping_interval_ms", c->ping_interval_ms, 0},
        {"ping_timeout_ms", c->ping_timeout_ms, 1},
        {"offline_age_ms", c->offline_age_ms, 1},
    };

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (times[i].value < times[i].min || times[i].value > MAX_TIME_MS)
            return REJECT(why, "%s: must be from %u ms to a week", times[i].name,
                          (unsigned)times[i].min);
    }
    if (c->cap_ms < c->base_delay_ms)
        return REJECT(why, "cap_ms: must not be less than base_delay_ms");
    if (c->jitter_percent > 100)
        return REJECT(why, "jitter_percent: must be from 0 to 100");
    return 0;
}

static int check_sizes(const struct wst_config *c, struct wst_cause *why)
{
    const struct {
        const char *name;
        size_t value;
        size_t min, max;
    } sizes[] = {
        {"max_header_bytes", c->max_header_bytes, 256, MAX_SIZE},
        {"max_body_bytes", c->max_body_bytes, 256, MAX_SIZE},
        /* What is handed out in chunks is not collected. */
        {"max_message_bytes", c->max_message_bytes, 1, c->on_chunk ? SIZE_MAX : MAX_SIZE},
        {"max_queue_bytes", c->max_queue_bytes, 1024, MAX_SIZE},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < sizes[i].min || sizes[i].value > sizes[i].max)
            return REJECT(why, "%s: must be from %zu bytes to 1 GiB", sizes[i].name, sizes[i].min);
    }
    if (c->queue_low_water >= c->max_queue_bytes)
        return REJECT(why, "queue_low_water: must be less than max_queue_bytes");
    if (c->offline_messages && c->offline_bytes > c->max_queue_bytes)
        return REJECT(why, "offline_bytes: must not be more than max_queue_bytes, into which what "
                           "waits must fit");
    if (c->offline_messages && c->offline_bytes < WST__OFFLINE_EACH)
        return REJECT(why,
                      "offline_bytes: must be at least %d, which each message costs beside its "
                      "payload",
                      WST__OFFLINE_EACH);
    return 0;
}

static int check_callbacks(const struct wst_config *c, struct wst_cause *why)
{
    if (c->on_message && c->on_chunk)
        return REJECT(why, "on_chunk: cannot be used together with on_message; set one of them");
    return 0;
}

static int check_enums(const struct wst_config *c, struct wst_cause *why)
{
    if ((unsigned)c->token_step > WST_STEP_MODE_OMIT)
        return REJECT(why, "token_step: must be one of WST_STEP_MODE_*");
    if ((unsigned)c->ticket_step > WST_STEP_MODE_OMIT)
        return REJECT(why, "ticket_step: must be one of WST_STEP_MODE_*");
    if ((unsigned)c->ticket_in > WST_TICKET_IN_SUBPROTOCOL)
        return REJECT(why, "ticket_in: must be one of WST_TICKET_IN_*");
    if ((unsigned)c->token_expiry_format > WST_EXPIRY_DATE)
        return REJECT(why, "token_expiry_format: must be one of WST_EXPIRY_*");
    if ((unsigned)c->expiry_format > WST_EXPIRY_DATE)
        return REJECT(why, "expiry_format: must be one of WST_EXPIRY_*");
    if ((unsigned)c->give_up > WST_GIVE_UP_ALWAYS)
        return REJECT(why, "give_up: must be one of WST_GIVE_UP_*");
    if ((unsigned)c->log_level > WST_LOG_DEBUG)
        return REJECT(why, "log_level: must be one of WST_LOG_*");
    if (strcmp(c->tls_min, "1.2") != 0 && strcmp(c->tls_min, "1.3") != 0)
        return REJECT(why, "tls_min: must be \"1.2\" or \"1.3\"");
    return 0;
}

static int check_pointers(const struct wst_config *c, struct wst_cause *why)
{
    const struct {
        const char *name;
        const char *value;
    } pointers[] = {
        {"token_pointer", c->token_pointer},
        {"token_expiry_pointer", c->token_expiry_pointer},
        {"token_success_pointer", c->token_success_pointer},
        {"ticket_pointer", c->ticket_pointer},
        {"url_pointer", c->url_pointer},
        {"expiry_pointer", c->expiry_pointer},
        {"ticket_success_pointer", c->ticket_success_pointer},
    };

    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        if (pointers[i].value && !wst__reply_pointer_ok(pointers[i].value))
            return REJECT(why, "%s: must be a JSON pointer (RFC 6901), e.g. \"/data/ticket\"",
                          pointers[i].name);
    }
    if (!wst__reply_value_ok(c->token_success_value))
        return REJECT(why, "token_success_value: must be JSON text, e.g. \"true\", \"0\"");
    if (!wst__reply_value_ok(c->ticket_success_value))
        return REJECT(why, "ticket_success_value: must be JSON text, e.g. \"true\", \"0\"");
    if (c->url_pointer && c->ticket_pointer)
        return REJECT(why, "url_pointer: cannot be used together with ticket_pointer");
    if (c->url_pointer && c->upgrade_bearer)
        return REJECT(why, "upgrade_bearer: cannot be used together with url_pointer: the token "
                           "would go wherever a reply says");
    return 0;
}

static int check_steps(const struct wst_config *c, struct wst_cause *why)
{
    int stores = !!c->store_load + !!c->store_save + !!c->store_clear;

    if (c->token_step == WST_STEP_MODE_CALLBACK && !c->token_cb)
        return REJECT(why, "token_cb: is needed when token_step is CALLBACK");
    if (c->ticket_step == WST_STEP_MODE_CALLBACK && !c->ticket_cb)
        return REJECT(why, "ticket_cb: is needed when ticket_step is CALLBACK");
    if (!is_token(c->token_method))
        return REJECT(why, "token_method: must be a token (RFC 9110, 9.1), e.g. \"POST\"");
    if (!is_token(c->ticket_method))
        return REJECT(why, "ticket_method: must be a token (RFC 9110, 9.1), e.g. \"GET\"");
    if (!*c->query_name)
        return REJECT(why, "query_name: must not be empty");
    if (!is_token(c->ticket_header) || is_reserved(c->ticket_header))
        return REJECT(why, "ticket_header: must be a header name of the application's own");
    if (strcasecmp(c->ticket_header, "Cookie") == 0)
        return REJECT(why,
                      "ticket_header: cannot be Cookie, which holds name=value pairs and stands "
                      "in a request once");
    if (*c->subprotocol_prefix && !is_token(c->subprotocol_prefix))
        return REJECT(why, "subprotocol_prefix: must be a token (RFC 9110, 5.6.2)");
    if (!is_field_value(c->compress_offer) || !wst__deflate_offer_ok(c->compress_offer))
        return REJECT(why, "compress_offer: must be permessage-deflate with its parameters "
                           "(RFC 7692, 7.1; window bits are from 8 to 15)");
    if (!is_field_value(c->user_agent))
        return REJECT(why, "user_agent: must not hold control characters");
    if (!is_field_value(c->token_content_type))
        return REJECT(why, "token_content_type: must not hold control characters");
    if (!is_field_value(c->ticket_content_type))
        return REJECT(why, "ticket_content_type: must not hold control characters");
    if (c->token && (!*c->token || !is_field_value(c->token) || strpbrk(c->token, " \t")))
        return REJECT(why, "token: must be visible characters without spaces");
    if (stores != 0 && stores != 3)
        return REJECT(why, "store_load, store_save, store_clear: give all three or none");
    if (stores && c->token_cache)
        return REJECT(why, "token_cache: cannot be used together with store_load");
    if (c->token_cache && !*c->token_cache)
        return REJECT(why, "token_cache: must be the name of a file");
    if (c->ca_file && !*c->ca_file)
        return REJECT(why, "ca_file: must be the name of a file");
    if (c->ca_dir && !*c->ca_dir)
        return REJECT(why, "ca_dir: must be the name of a directory");
    if (c->ca_pem && !strstr(c->ca_pem, "-----BEGIN "))
        return REJECT(why, "ca_pem: must hold certificates in PEM; a file's name goes to ca_file");
    if (!c->client_cert != !c->client_key)
        return REJECT(why, "client_cert, client_key: give both or none");
    if (c->unauthorized_count > WST__MAX_UNAUTHORIZED)
        return REJECT(why, "unauthorized_count: at most %d", WST__MAX_UNAUTHORIZED);
    if (c->unauthorized_count && !c->unauthorized_codes)
        return REJECT(why, "unauthorized_codes: is NULL, but unauthorized_count is not 0");
    for (size_t i = 0; i < c->unauthorized_count; i++) {
        if (c->unauthorized_codes[i] < 1000 || c->unauthorized_codes[i] > 4999)
            return REJECT(why, "unauthorized_codes[%zu]: must be a close code, from 1000 to 4999",
                          i);
    }
    return 0;
}

/* ---- URLs ---------------------------------------------------------------------------------- */

int wst__config_plaintext(const struct wst__config *cfg, const struct wst__url *url,
                          const char *field, struct wst_cause *why)
{
    if (url->tls || url->loopback || cfg->c.allow_plaintext)
        return 0;
    return REJECT(why, "%s: %s is reached without TLS; use %s, or set allow_plaintext if you must",
                  field, url->host, "https:// or wss://");
}

/* Has any step a URL of its own? */
static bool given_any(const struct wst_config *c)
{
    return c->token_url || c->ticket_url || c->ws_url;
}

/* The URL of one endpoint: as given, else derived from the base. */
static int endpoint(struct wst__config *cfg, struct wst__url *out, const char *given,
                    const struct wst__url *base, bool base_is_ws, const char *suffix, bool ws,
                    const char *field, struct wst_cause *why)
{
    int rc;

    if (given)
        rc = wst__url_parse(out, given, ws ? WST__URL_WS : WST__URL_HTTP, field, why);
    else if (base->host)
        rc = wst__url_derive(out, base, base_is_ws, suffix, ws);
    else if (given_any(&cfg->c))
        return REJECT(why, "%s: is needed (or url, from which it derives)", field);
    else
        return REJECT(why, "url: is needed (or each step's own: token_url, ticket_url, ws_url)");
    if (rc == WST_ERR_NOMEM)
        return wst__cause(why, rc, WST_STEP_NONE, "out of memory");
    if (rc != 0 && !given)
        return REJECT(why, "url has a query, which no other URL can be derived from; leave it out, "
                           "or set token_url, ticket_url and ws_url instead");
    if (rc != 0)
        return rc;
    return wst__config_plaintext(cfg, out, given ? field : "url", why);
}

static bool begins_with_ws(const char *url)
{
    return (url[0] == 'w' || url[0] == 'W') && (url[1] == 's' || url[1] == 'S');
}

static int check_urls(struct wst__config *cfg, struct wst_cause *why)
{
    const struct wst_config *c = &cfg->c;
    struct wst__url base = {0};
    bool base_is_ws = c->url && begins_with_ws(c->url);
    int rc = 0;

    if (c->url)
        rc = wst__url_parse(&base, c->url, WST__URL_HTTP | WST__URL_WS, "url", why);
    if (rc == 0 && c->token_step == WST_STEP_MODE_HTTP &&
        (c->ticket_step != WST_STEP_MODE_OMIT || c->upgrade_bearer))
        rc = endpoint(cfg, &cfg->token_url, c->token_url, &base, base_is_ws, "/api/v1/auth/token",
                      false, "token_url", why);
    if (rc == 0 && c->ticket_step == WST_STEP_MODE_HTTP)
        rc = endpoint(cfg, &cfg->ticket_url, c->ticket_url, &base, base_is_ws, "/api/v1/ws-ticket",
                      false, "ticket_url", why);
    /* Who takes a whole URL knows no host before it: the ticket in it is for that one alone. */
    if (rc == 0 && !(c->url_pointer && c->ticket_step != WST_STEP_MODE_OMIT))
        rc = endpoint(cfg, &cfg->ws_url, c->ws_url, &base, base_is_ws, "/ws", true, "ws_url", why);
    wst__url_fini(&base);
    return rc;
}

/* What a stored token is bound to: the origin of step 1, else of step 2, else of step 3. */
static int token_origin(struct wst__config *cfg)
{
    const struct wst__url *u = &cfg->token_url;
    struct wst__buf b;
    int rc;

    if (!u->host)
        u = cfg->ticket_url.host ? &cfg->ticket_url : &cfg->ws_url;
    wst__buf_init(&b, 4096, false);
    rc = u->host ? wst__url_origin(u, &b) : wst__buf_adds(&b, "callback");
    if (rc == 0) {
        cfg->token_origin = wst__strndup((const char *)b.data, b.len);
        if (!cfg->token_origin)
            rc = WST_ERR_NOMEM;
    }
    wst__buf_fini(&b);
    return rc;
}

/* ---- Copy ---------------------------------------------------------------------------------- */

/* A NULL where a default stands means the default. */
static void fill_defaults(struct wst_config *c)
{
    struct wst_config d;

    wst_config_init(&d);
    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (!*string_at(c, i))
            *string_at(c, i) = *string_at(&d, i);
    }
}

static int copy_headers(struct wst_config *c)
{
    const struct wst_header *from = c->headers;
    size_t n = c->header_count;
    struct wst_header *to = wst__calloc(n, sizeof *to);

    c->headers = to;
    c->header_count = 0;
    if (!to)
        return WST_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        to[i].step = from[i].step;
        to[i].name = wst__strdup(from[i].name);
        to[i].value = wst__strdup(from[i].value);
        c->header_count = i + 1; /* So that fini frees what is there. */
        if (!to[i].name || !to[i].value)
            return WST_ERR_NOMEM;
    }
    return 0;
}

static int copy_subprotocols(struct wst_config *c)
{
    const char *const *from = c->subprotocols;
    size_t n = c->subprotocol_count;
    char **to = wst__calloc(n, sizeof *to);

    c->subprotocols = (const char *const *)to;
    c->subprotocol_count = 0;
    if (!to)
        return WST_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        to[i] = wst__strdup(from[i]);
        c->subprotocol_count = i + 1;
        if (!to[i])
            return WST_ERR_NOMEM;
    }
    return 0;
}

static int copy_codes(struct wst_config *c)
{
    uint16_t *to = wst__calloc(c->unauthorized_count, sizeof *to);

    if (to && c->unauthorized_count)
        memcpy(to, c->unauthorized_codes, c->unauthorized_count * sizeof *to);
    c->unauthorized_codes = to;
    return to ? 0 : WST_ERR_NOMEM;
}

/* |c| holds the caller's pointers; afterwards every one of them is ours or NULL. */
static int own_everything(struct wst_config *c)
{
    struct wst_config from = *c;
    int rc = 0;

    for (size_t i = 0; i < STRING_COUNT; i++)
        *string_at(c, i) = NULL;
    for (size_t i = 0; i < STRING_COUNT && rc == 0; i++) {
        const char *s = *string_at(&from, i);

        *string_at(c, i) = wst__strdup(s);
        if (s && !*string_at(c, i))
            rc = WST_ERR_NOMEM;
    }
    /* All three, whatever happens: none may leave a pointer of the caller's behind. */
    if (copy_headers(c) != 0)
        rc = WST_ERR_NOMEM;
    if (copy_subprotocols(c) != 0)
        rc = WST_ERR_NOMEM;
    if (copy_codes(c) != 0)
        rc = WST_ERR_NOMEM;
    return rc;
}

static int check_fields(const struct wst_config *c, struct wst_cause *why)
{
    static int (*const checks[])(const struct wst_config *, struct wst_cause *) = {
        check_enums,     check_steps, check_pointers, check_times,
        check_callbacks, check_sizes, check_headers,  check_subprotocols,
    };

    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        int rc = checks[i](c, why);

        if (rc != 0)
            return rc;
    }
    return 0;
}

int wst__config_copy(struct wst__config *out, const struct wst_config *in, struct wst_cause *why)
{
    struct wst_config c;
    int rc;

    memset(out, 0, sizeof *out);
    wst_config_init(&c);
    /* No header's struct ends inside a pointer. */
    if (in->size < offsetof(struct wst_config, url) || in->size > sizeof c ||
        in->size % sizeof(void *) != 0)
        return REJECT(why,
                      "size: call wst_config_init(), and build against the header of the "
                      "library that is linked (%s)",
                      wst_version());
    memcpy(&c, in, in->size);
    c.size = sizeof c;
    fill_defaults(&c);
    rc = check_fields(&c, why);
    if (rc != 0)
        return rc;
    out->c = c;
    rc = own_everything(&out->c);
    if (rc == 0)
        rc = check_urls(out, why);
    if (rc == 0)
        rc = token_origin(out);
    if (rc == WST_ERR_NOMEM)
        wst__cause(why, rc, WST_STEP_NONE, "out of memory");
    if (rc != 0)
        wst__config_fini(out);
    return rc;
}

static bool same_string(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_headers(const struct wst_config *a, const struct wst_config *b)
{
    for (size_t i = 0; i < a->header_count; i++) {
        if (a->headers[i].step != b->headers[i].step ||
            !same_string(a->headers[i].name, b->headers[i].name) ||
            !same_string(a->headers[i].value, b->headers[i].value))
            return false;
    }
    return true;
}

static bool same_subprotocols(const struct wst_config *a, const struct wst_config *b)
{
    for (size_t i = 0; i < a->subprotocol_count; i++) {
        if (!same_string(a->subprotocols[i], b->subprotocols[i]))
            return false;
    }
    return true;
}

/* Where only the bytes between the fields differ it says no, too: that costs no more than memory.
 */
static bool same_bytes(const void *a, const void *b, size_t n)
{
    return memcmp(a, b, n) == 0;
}

/* All that no pointer leads to: numbers, callbacks. */
static bool same_values(struct wst_config a, struct wst_config b)
{
    for (size_t i = 0; i < STRING_COUNT; i++)
        *string_at(&a, i) = *string_at(&b, i) = NULL;
    a.headers = b.headers = NULL;
    a.subprotocols = b.subprotocols = NULL;
    a.unauthorized_codes = b.unauthorized_codes = NULL;
    return same_bytes(&a, &b, sizeof a);
}

bool wst__config_equal(const struct wst__config *a, const struct wst__config *b)
{
    struct wst_config x = a->c;
    struct wst_config y = b->c;

    for (size_t i = 0; i < STRING_COUNT; i++) {
        if (!same_string(*string_at(&x, i), *string_at(&y, i)))
            return false;
    }
    return same_values(x, y) && same_headers(&x, &y) && same_subprotocols(&x, &y) &&
           memcmp(x.unauthorized_codes, y.unauthorized_codes,
                  x.unauthorized_count * sizeof *x.unauthorized_codes) == 0;
}

void wst__config_fini(struct wst__config *cfg)
{
    struct wst_config *c = &cfg->c;

    for (size_t i = 0; i < STRING_COUNT; i++)
        drop_string(*string_at(c, i));
    for (size_t i = 0; i < c->header_count; i++) {
        drop_string((char *)(uintptr_t)c->headers[i].name);
        drop_string((char *)(uintptr_t)c->headers[i].value);
    }
    for (size_t i = 0; i < c->subprotocol_count; i++)
        drop_string((char *)(uintptr_t)c->subprotocols[i]);
    wst__free((void *)(uintptr_t)c->headers);
    wst__free((void *)(uintptr_t)c->subprotocols);
    wst__free((void *)(uintptr_t)c->unauthorized_codes);
    wst__url_fini(&cfg->token_url);
    wst__url_fini(&cfg->ticket_url);
    wst__url_fini(&cfg->ws_url);
    wst__free(cfg->token_origin);
    memset(cfg, 0, sizeof *cfg);
}

/* ---- For the rooms below ------------------------------------------------------------------- */

void wst__config_policy(const struct wst__config *cfg, struct wst__policy *p)
{
    const struct wst_config *c = &cfg->c;
    bool ticket = c->ticket_step != WST_STEP_MODE_OMIT;

    memset(p, 0, sizeof *p);
    p->base_ms = c->base_delay_ms;
    p->cap_ms = c->cap_ms;
    p->jitter_percent = c->jitter_percent;
    p->max_server_delay_ms = c->max_server_delay_ms;
    p->restart_spread_ms = c->restart_spread_ms;
    p->stable_ms = c->stable_ms;
    p->step_timeout_ms = c->step_timeout_ms;
    p->attempt_timeout_ms = c->attempt_timeout_ms;
    p->close_timeout_ms = c->close_timeout_ms;
    p->ping_interval_ms = c->ping_interval_ms;
    p->ping_timeout_ms = c->ping_timeout_ms;
    p->dial_idle_ms = DIAL_IDLE_MS;
    p->max_attempts = c->max_attempts;
    p->give_up = c->give_up;
    p->unauthorized_count = (uint32_t)c->unauthorized_count;
    for (size_t i = 0; i < c->unauthorized_count; i++)
        p->unauthorized[i] = c->unauthorized_codes[i];
    p->ticket_step = ticket;
    p->token_step =
        (ticket || c->upgrade_bearer) && (c->token_step != WST_STEP_MODE_OMIT || c->token != NULL);
    p->parallel_dial = c->parallel_dial != 0;
    p->late_dial_target = cfg->ws_url.host == NULL;
}

void wst__config_token_spec(const struct wst__config *cfg, struct wst__reply_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->value_pointer = cfg->c.token_pointer;
    spec->expiry_pointer = cfg->c.token_expiry_pointer;
    spec->expiry_format = cfg->c.token_expiry_format;
    spec->success_pointer = cfg->c.token_success_pointer;
    spec->success_value = cfg->c.token_success_value;
}

void wst__config_ticket_spec(const struct wst__config *cfg, struct wst__reply_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->value_pointer = cfg->c.ticket_pointer;
    spec->url_pointer = cfg->c.url_pointer;
    spec->expiry_pointer = cfg->c.expiry_pointer;
    spec->expiry_format = cfg->c.expiry_format;
    spec->success_pointer = cfg->c.ticket_success_pointer;
    spec->success_value = cfg->c.ticket_success_value;
    spec->default_life_ms = cfg->c.ticket_life_ms;
}
