/*
 * Steps 1 and 2.
 *
 * The happy path of each: is there something to wait for first (the store)?  Is it at hand (a token
 * that is not yet old)?  Else it is asked for, by HTTP or by the application's callback; the answer
 * is read, kept, and an event is pushed.  Every failure is put in words, remembered, and pushed.
 */
#include "client/steps.h"

#include "base/mem.h"
#include "base/siphash.h"
#include "client/driver.h"
#include "client/fields.h"
#include "client/report.h"
#include "wire/reply.h"

#include <stdio.h>
#include <string.h>

#define URL_MAX ((size_t)16 * 1024)

static void read_clock(const struct wst_client *cl, struct wst__time *t)
{
    cl->ports->clock(cl->ports->world, t);
}

static uint64_t since_us(const struct wst_client *cl, uint64_t begin_us)
{
    struct wst__time t;

    read_clock(cl, &t);
    return t.now_us > begin_us ? t.now_us - begin_us : 1;
}

static void tell(struct wst_client *cl, enum wst_progress progress)
{
    if (cl->shared->config.c.on_progress)
        cl->shared->config.c.on_progress(cl, progress, cl->arg);
}

static void push_failed(struct wst_client *cl, enum wst_step step, const struct wst_cause *why,
                        uint64_t retry_after_ms, uint64_t spread_ms)
{
    struct wst__event ev = {.type = step == WST_STEP_TOKEN ? WST__EV_TOKEN_FAILED
                                                           : WST__EV_TICKET_FAILED,
                            .attempt = cl->core.attempt};

    ev.failure = wst__report_failure(cl, step, why, retry_after_ms, spread_ms);
    wst__driver_push(cl, &ev);
}

static void push_not_begun(struct wst_client *cl, enum wst_step step, int err)
{
    struct wst_cause why;

    wst__cause(&why, err, step, "the %s step could not be begun: %s", wst_step_name(step),
               wst_strerror(err));
    push_failed(cl, step, &why, 0, 0);
}

/* ---- Step 1 -------------------------------------------------------------------------------- */

static void token_ready(struct wst_client *cl)
{
    struct wst__event ev = {.type = WST__EV_TOKEN_OK, .attempt = cl->core.attempt};

    wst__token_use(cl->token);
    cl->timing.token_us = wst__within_32_bits(since_us(cl, cl->attempt_us + cl->step_at_us));
    tell(cl, WST_PROGRESS_TOKEN_READY);
    wst__driver_push(cl, &ev);
}

/* A new token could not be had, but the old one is still good: better than none. */
static bool falls_back(struct wst_client *cl, const struct wst_cause *why)
{
    struct wst__time t;

    read_clock(cl, &t);
    if (wst__token_state(cl->token, t.boot_ms) != WST__TOKEN_AGEING)
        return false;
    wst__log(WST__LOG_OF(cl), WST_LOG_WARN,
             "the token could not be refreshed (%s): the old one is used", why->text);
    token_ready(cl);
    return true;
}

static void token_failed(struct wst_client *cl, const struct wst_cause *why,
                         uint64_t retry_after_ms, uint64_t spread_ms)
{
    if (!falls_back(cl, why))
        push_failed(cl, WST_STEP_TOKEN, why, retry_after_ms, spread_ms);
}

static void token_arrived(struct wst_client *cl, struct wst__secret *value, int64_t life_ms)
{
    wst__token_put(cl->token, value, life_ms, true);
    cl->counts.tokens_fetched++;
    tell(cl, WST_PROGRESS_TOKEN_ACQUIRED);
    token_ready(cl);
}

/* What a refusal asks of us, whatever its status. */
static void steering_of(const struct wst__http_answer *a, uint64_t *retry_after_ms,
                        uint64_t *spread_ms)
{
    wst__reply_steering(a->body, a->body_len, retry_after_ms, spread_ms);
    if (a->has_retry_after && a->retry_after_ms > *retry_after_ms)
        *retry_after_ms = a->retry_after_ms;
}

static void token_reply(struct wst_client *cl, const struct wst__http_answer *a)
{
    struct wst__token_reply reply = {0};
    struct wst__reply_spec spec;
    uint64_t retry_after_ms, spread_ms;
    struct wst_cause why;
    struct wst__time t;

    read_clock(cl, &t);
    wst__config_token_spec(&cl->shared->config, &spec);
    if (wst__reply_token(&spec, a->body, a->body_len, t.wall_s, &reply, &why) == 0) {
        token_arrived(cl, &reply.token, reply.life_ms);
        return;
    }
    steering_of(a, &retry_after_ms, &spread_ms);
    token_failed(cl, &why, retry_after_ms, spread_ms);
}

/* ---- Step 2 -------------------------------------------------------------------------------- */

static uint64_t ticket_hash(const struct wst_client *cl)
{
    const struct wst__secret *ticket = &cl->asking->ticket;

    return wst__siphash(cl->spent->key, wst__secret_expose(ticket), ticket->len);
}

/* With the first ticket: without a place to remember it, it could not be used. */
static int make_spent(struct wst_client *cl)
{
    struct wst__spent *spent;
    int rc;

    if (cl->spent)
        return 0;
    spent = wst__calloc(1, sizeof *spent);
    rc = spent ? cl->ports->random(cl->ports->world, spent->key, sizeof spent->key) : WST_ERR_NOMEM;
    if (rc == 0)
        cl->spent = spent;
    else
        wst__free(spent);
    return rc;
}

/* Was the ticket at hand spent before? */
static int check_spent(struct wst_client *cl, struct wst_cause *why)
{
    int rc = make_spent(cl);
    size_t n;
    uint64_t h;

    if (rc != 0)
        return wst__cause(why, rc, WST_STEP_TICKET, "%s", wst_strerror(rc));
    h = ticket_hash(cl);
    n = cl->spent->count < WST__SPENT_LEN ? cl->spent->count : WST__SPENT_LEN;
    for (size_t i = 0; i < n; i++) {
        if (cl->spent->hashes[i] == h)
            return wst__cause(why, WST_ERR_TICKET_SPENT, WST_STEP_TICKET,
                              "the server handed out a ticket that this client has already used; "
                              "is a cache in front of ticket_url?");
    }
    return 0;
}

void wst__steps_ticket_spent(struct wst_client *cl)
{
    cl->spent->hashes[cl->spent->count++ % WST__SPENT_LEN] = ticket_hash(cl);
}

static void forget_url(struct wst__asking *a)
{
    if (a->one_time_url)
        wst__url_fini(a->one_time_url);
    wst__free(a->one_time_url);
    a->one_time_url = NULL;
}

void wst__steps_drop_ticket(struct wst_client *cl)
{
    if (!cl->asking)
        return;
    wst__secret_drop(&cl->asking->ticket);
    forget_url(cl->asking);
}

/* The reply named the whole URL: it is the secret, and says where to dial. */
static int take_url(struct wst_client *cl, struct wst_cause *why)
{
    struct wst__asking *a = cl->asking;
    int rc;

    forget_url(a);
    a->one_time_url = wst__calloc(1, sizeof *a->one_time_url);
    if (!a->one_time_url)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_TICKET, "out of memory");
    rc = wst__url_parse(a->one_time_url, wst__secret_expose(&a->ticket), WST__URL_WS, "url_pointer",
                        why);
    if (rc == 0)
        rc = wst__config_plaintext(&cl->shared->config, a->one_time_url, "url_pointer", why);
    if (rc != 0)
        forget_url(a);
    if (rc == WST_ERR_CONFIG) {
        why->code = WST_ERR_BAD_REPLY; /* It is the reply that is wrong. */
        why->cls = wst_err_class(why->code);
    }
    return rc;
}

static void ticket_arrived(struct wst_client *cl, struct wst__ticket_reply *reply)
{
    struct wst__event ev = {.type = WST__EV_TICKET_OK,
                            .attempt = cl->core.attempt,
                            .ticket_life_ms = wst__within_32_bits(reply->life_ms),
                            .retry_after_ms = wst__within_32_bits(reply->retry_after_ms),
                            .spread_ms = wst__within_32_bits(reply->spread_ms)};
    struct wst_cause why;
    int rc;

    wst__secret_move(&cl->asking->ticket, &reply->value);
    cl->asking->ticket_is_url = reply->is_url;
    rc = check_spent(cl, &why);
    if (rc == 0 && reply->is_url)
        rc = take_url(cl, &why);
    if (rc != 0) {
        wst__secret_drop(&cl->asking->ticket);
        push_failed(cl, WST_STEP_TICKET, &why, 0, 0);
        return;
    }
    wst__log(WST__LOG_OF(cl), WST_LOG_INFO, "the ticket is good for %llu ms",
             (unsigned long long)ev.ticket_life_ms);
    cl->counts.tickets_fetched++;
    cl->timing.ticket_us = wst__within_32_bits(since_us(cl, cl->attempt_us + cl->step_at_us));
    tell(cl, WST_PROGRESS_TICKET_READY);
    wst__driver_push(cl, &ev);
}

static void ticket_reply(struct wst_client *cl, const struct wst__http_answer *a)
{
    struct wst__ticket_reply reply = {0};
    struct wst__reply_spec spec;
    uint64_t retry_after_ms, spread_ms;
    struct wst_cause why;
    struct wst__time t;

    read_clock(cl, &t);
    wst__config_ticket_spec(&cl->shared->config, &spec);
    if (wst__reply_ticket(&spec, a->body, a->body_len, t.wall_s, &reply, &why) == 0) {
        ticket_arrived(cl, &reply);
        return;
    }
    steering_of(a, &retry_after_ms, &spread_ms);
    push_failed(cl, WST_STEP_TICKET, &why, retry_after_ms, spread_ms);
}

/* ---- What is under way --------------------------------------------------------------------- */

static bool make_asking(struct wst_client *cl)
{
    if (!cl->asking)
        cl->asking = wst__calloc(1, sizeof *cl->asking);
    return cl->asking != NULL;
}

static void drop_provided(struct wst__asking *a)
{
    if (a->provided)
        wst__secret_drop(&a->provided->value);
    wst__free(a->provided);
    a->provided = NULL;
}

/* No answer is wanted any more. */
static void drop_requests(struct wst_client *cl)
{
    struct wst__asking *a = cl->asking;

    if (!a)
        return;
    if (a->http)
        cl->ports->http_cancel(cl->ports->world, a->http);
    a->http = NULL;
    a->provider_request = 0;
    drop_provided(a);
}

void wst__steps_end(struct wst_client *cl)
{
    drop_requests(cl);
    wst__steps_drop_ticket(cl);
    wst__free(cl->asking);
    cl->asking = NULL;
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

static void fail_step(struct wst_client *cl, enum wst_step step, const struct wst_cause *why,
                      uint64_t retry_after_ms, uint64_t spread_ms)
{
    if (step == WST_STEP_TOKEN)
        token_failed(cl, why, retry_after_ms, spread_ms);
    else
        push_failed(cl, step, why, retry_after_ms, spread_ms);
}

static void refused(struct wst_client *cl, enum wst_step step, const struct wst__http_answer *a)
{
    struct wst_cause why;
    uint64_t retry_after_ms, spread_ms;

    steering_of(a, &retry_after_ms, &spread_ms);
    wst__report_status(&why, step, a->status, a->location_host);
    fail_step(cl, step, &why, retry_after_ms, spread_ms);
}

/* Fed to the core at once: the ticket's age counts from now, not from the end of this turn. */
static void on_http_sent(void *arg)
{
    struct wst_client *cl = arg;
    struct wst__event ev = {.type = WST__EV_TICKET_SENT, .attempt = cl->core.attempt};

    if (cl->asking->http_step != WST_STEP_TICKET)
        return;
    wst__log(WST__LOG_OF(cl), WST_LOG_DEBUG, "#%llu the ticket's request has left",
             (unsigned long long)cl->core.attempt);
    wst__driver_push(cl, &ev);
    wst__driver_pump(cl);
}

static void take_answer(struct wst_client *cl, const struct wst_cause *why,
                        const struct wst__http_answer *a)
{
    enum wst_step step = cl->asking->http_step;

    if (why->code != 0)
        fail_step(cl, step, why, 0, 0);
    else if (a->status < 200 || a->status > 299)
        refused(cl, step, a);
    else if (step == WST_STEP_TOKEN)
        token_reply(cl, a);
    else
        ticket_reply(cl, a);
}

/* Of before a log-out: step 1 begins anew in this turn. */
static bool is_outdated(const struct wst_client *cl)
{
    return cl->asking->http_step == WST_STEP_TOKEN && cl->token_changed;
}

static void on_http_done(void *arg, const struct wst_cause *why, const struct wst__http_answer *a)
{
    struct wst_client *cl = arg;

    cl->asking->http = NULL;
    if (is_outdated(cl))
        return;
    take_answer(cl, why, a);
    wst__driver_pump(cl);
}

void wst__steps_time_is_up(struct wst_client *cl)
{
    const struct wst__ports *ports = cl->ports;
    const struct wst__http_answer *a;
    struct wst__http *h = cl->asking ? cl->asking->http : NULL;
    struct wst_cause why = {0};

    if (!h || is_outdated(cl) || !ports->http_refusal(ports->world, h, &why, &a))
        return;
    cl->asking->http = NULL;
    take_answer(cl, &why, a);
    ports->http_cancel(ports->world, h);
}

static const struct wst__http_cbs http_cbs = {on_http_sent, on_http_done};

struct exchange {
    enum wst_step step;
    const struct wst__url *url;
    const char *method, *body, *content_type;
};

static int begin(struct wst_client *cl, const struct exchange *x, const char *url,
                 const struct wst__fields *fields)
{
    struct wst__http_request rq = {
        .step = x->step,
        .url = url,
        .method = x->method,
        .headers = wst__fields_list(fields),
        .body = x->body,
        .body_len = x->body ? strlen(x->body) : 0,
        .max_header_bytes = cl->shared->config.c.max_header_bytes,
        .max_body_bytes = cl->shared->config.c.max_body_bytes,
    };

    if (!make_asking(cl))
        return WST_ERR_NOMEM;
    cl->asking->http_step = x->step;
    return cl->ports->http_start(cl->ports->world, cl->net, &rq, &http_cbs, cl, &cl->asking->http);
}

static void send_request(struct wst_client *cl, const struct exchange *x)
{
    struct wst__fields fields;
    struct wst__buf url;
    int rc;

    wst__fields_init(&fields, &cl->shared->config.c, x->step);
    wst__fields_add(&fields, "Accept", "", "application/json");
    wst__fields_add(&fields, "Cache-Control", "", "no-store");
    if (*cl->shared->config.c.user_agent)
        wst__fields_add(&fields, "User-Agent", "", cl->shared->config.c.user_agent);
    if (x->body)
        wst__fields_add(&fields, "Content-Type", "", x->content_type);
    if (x->step == WST_STEP_TICKET && !wst__secret_empty(wst__token_value(cl->token)))
        wst__fields_add(&fields, "Authorization", "Bearer ",
                        wst__secret_expose(wst__token_value(cl->token)));
    wst__buf_init(&url, URL_MAX, true);
    rc = fields.rc != 0 ? fields.rc : wst__url_http_text(x->url, &url);
    if (rc == 0)
        rc = wst__buf_add(&url, "", 1);
    if (rc == 0)
        rc = begin(cl, x, (const char *)url.data, &fields);
    wst__buf_fini(&url);
    wst__fields_fini(&fields);
    if (rc != 0)
        push_not_begun(cl, x->step, rc);
}

/* ---- The application's callbacks ----------------------------------------------------------- */

/* The callback sees a copy of the token: it may set another one, or forget it, while it looks. */
static void ask_application(struct wst_client *cl, enum wst_step step)
{
    const struct wst_config *c = &cl->shared->config.c;
    wst_provider_cb cb = step == WST_STEP_TOKEN ? c->token_cb : c->ticket_cb;
    struct wst__secret token = WST__SECRET_INIT;
    bool with_token = step == WST_STEP_TICKET && !wst__secret_empty(wst__token_value(cl->token));

    if (!make_asking(cl) || (with_token && wst__secret_copy(&token, &cl->token->value) != 0)) {
        push_not_begun(cl, step, WST_ERR_NOMEM);
        return;
    }
    cl->asking->provider_request = ++cl->request_serial;
    cl->asking->provider_step = step;
    cb(cl, cl->asking->provider_request, with_token ? wst__secret_expose(&token) : NULL, cl->arg);
    wst__secret_drop(&token);
}

static void take_ticket(struct wst_client *cl, struct wst__provided *p)
{
    const struct wst_config *c = &cl->shared->config.c;
    struct wst__ticket_reply reply = {.is_url = c->url_pointer != NULL,
                                      .life_ms = p->life_ms ? p->life_ms : c->ticket_life_ms};

    wst__secret_move(&reply.value, &p->value);
    ticket_arrived(cl, &reply);
}

static void take(struct wst_client *cl, struct wst__provided *p)
{
    enum wst_step step = cl->asking->provider_step;

    cl->asking->provider_request = 0;
    if (p->why.code != 0)
        fail_step(cl, step, &p->why, p->retry_after_ms, 0);
    else if (step == WST_STEP_TOKEN)
        token_arrived(cl, &p->value, p->life_ms ? (int64_t)p->life_ms : -1);
    else
        take_ticket(cl, p);
}

void wst__steps_take_provided(struct wst_client *cl)
{
    struct wst__provided *p = cl->asking ? cl->asking->provided : NULL;

    if (!p)
        return;
    cl->asking->provided = NULL;
    take(cl, p);
    wst__secret_drop(&p->value);
    wst__free(p);
}

/* ---- What the core asks for ---------------------------------------------------------------- */

static void fetch_token(struct wst_client *cl)
{
    const struct wst_config *c = &cl->shared->config.c;
    const struct exchange x = {WST_STEP_TOKEN, &cl->shared->config.token_url, c->token_method,
                               c->token_body, c->token_content_type};
    struct wst_cause why;

    if (c->token_step == WST_STEP_MODE_OMIT) {
        wst__cause(&why, WST_ERR_NO_TOKEN, WST_STEP_TOKEN,
                   "the token was refused or is missing, and there is no step to get another: call "
                   "wst_client_set_token()");
        push_failed(cl, WST_STEP_TOKEN, &why, 0, 0);
        return;
    }
    tell(cl, WST_PROGRESS_TOKEN_FETCH);
    if (c->token_step == WST_STEP_MODE_CALLBACK)
        ask_application(cl, WST_STEP_TOKEN);
    else
        send_request(cl, &x);
}

/* The store has been read. */
static void decide_token(struct wst_client *cl)
{
    enum wst__token_state state;
    struct wst__time t;

    read_clock(cl, &t);
    state = wst__token_state(cl->token, t.boot_ms);
    if (state == WST__TOKEN_FRESH || (state == WST__TOKEN_AGEING && cl->token->refresh_stalled) ||
        (state != WST__TOKEN_NONE && cl->shared->config.c.token_step == WST_STEP_MODE_OMIT))
        token_ready(cl);
    else
        fetch_token(cl);
}

static void on_token_loaded(struct wst_client *cl)
{
    decide_token(cl);
    wst__driver_pump(cl);
}

void wst__steps_ensure_token(struct wst_client *cl)
{
    struct wst__time t;

    read_clock(cl, &t);
    cl->step_at_us = wst__within_32_bits(t.now_us - cl->attempt_us);
    tell(cl, WST_PROGRESS_TOKEN_ENSURE);
    cl->token_changed = false; /* Whatever follows is of after the change. */
    if (!wst__token_load(cl->token, on_token_loaded))
        decide_token(cl);
}

void wst__steps_get_ticket(struct wst_client *cl)
{
    const struct wst_config *c = &cl->shared->config.c;
    const struct exchange x = {WST_STEP_TICKET, &cl->shared->config.ticket_url, c->ticket_method,
                               c->ticket_body, c->ticket_content_type};
    struct wst__event sent = {.type = WST__EV_TICKET_SENT, .attempt = cl->core.attempt};
    struct wst_cause why;
    struct wst__time t;

    read_clock(cl, &t);
    cl->step_at_us = wst__within_32_bits(t.now_us - cl->attempt_us);
    tell(cl, WST_PROGRESS_TICKET_REQUEST);
    wst__token_use(cl->token); /* It may be newer than the one of step 1. */
    if (cl->core.policy->token_step && wst__secret_empty(wst__token_value(cl->token))) {
        wst__cause(&why, WST_ERR_TOKEN_REFUSED, WST_STEP_TICKET,
                   "the token was forgotten before a ticket was asked for");
        push_failed(cl, WST_STEP_TICKET, &why, 0, 0); /* Not as nobody. */
        return;
    }
    if (c->ticket_step == WST_STEP_MODE_CALLBACK) {
        wst__driver_push(cl, &sent);
        ask_application(cl, WST_STEP_TICKET);
    } else {
        send_request(cl, &x);
    }
}

void wst__steps_cancel(struct wst_client *cl)
{
    drop_requests(cl);
    wst__driver_purge(cl, WST__EV_TOKEN_OK, WST__EV_TICKET_FAILED);
    if (wst__client_has_ticket(cl)) { /* It came, and the core was never told. */
        wst__steps_drop_ticket(cl);
        cl->counts.tickets_dropped++;
    }
    wst__token_cancel_load(cl->token);
}

void wst__steps_token_changed(struct wst_client *cl)
{
    if (!cl->token_changed)
        return;
    cl->token_changed = false;
    if (cl->core.state != WST_STATE_TOKEN)
        return;
    wst__steps_cancel(cl);
    decide_token(cl);
}
