/*
 * The public functions of a client, and its lifetime.
 *
 * None of them calls back: they look at the core, take a note for the driver, and ask for a turn of
 * the loop.  A client ends in three strides: wst_client_close() takes a note; in the turn that
 * follows everything is told and given back (wst__client_release); when the last handle has left
 * the loop, the close callback runs and the memory is freed.
 */
#include "base/mem.h"
#include "client/driver.h"
#include "wire/utf8.h"

#include <assert.h>
#include <string.h>

#define MAX_REASON 123 /* RFC 6455, 5.5: 125 bytes of payload, two of them the code. */

static void check_thread(const struct wst_client *cl)
{
    assert((!cl->loop || wst__loop_is_mine(cl->loop)) && "see wst_client_post()");
    (void)cl;
}

/* ---- Make ---------------------------------------------------------------------------------- */

static void net_options(const struct wst__config *cfg, struct wst__net_options *o)
{
    const struct wst_config *c = &cfg->c;

    memset(o, 0, sizeof *o);
    o->ca_file = c->ca_file;
    o->ca_dir = c->ca_dir;
    o->ca_pem = c->ca_pem;
    o->client_cert = c->client_cert;
    o->client_key = c->client_key;
    o->pinned_key = c->pinned_key;
    o->tls13_only = strcmp(c->tls_min, "1.3") == 0;
    o->insecure = c->insecure != 0;
    o->proxy = c->proxy;
    o->no_proxy = c->no_proxy;
    o->allow_plaintext = c->allow_plaintext != 0;
    o->interface = c->interface;
    o->cookies = c->cookies != 0;
}

/* Where a token is wanted, or there is a store that may have to forget one. */
static int make_token(struct wst_client *cl)
{
    const struct wst_config *c = &cl->shared->config.c;

    if (!cl->shared->policy.token_step && !c->token && !c->token_cache && !c->store_load)
        return 0;
    cl->token = wst__token_new(cl);
    return cl->token ? 0 : WST_ERR_NOMEM;
}

static int make_offline(struct wst_client *cl)
{
    if (cl->shared->config.c.offline_messages == 0)
        return 0;
    cl->offline = wst__calloc(1, sizeof *cl->offline);
    return cl->offline ? 0 : WST_ERR_NOMEM;
}

static int take_token(struct wst_client *cl)
{
    const char *token = cl->shared->config.c.token;
    struct wst__secret value = WST__SECRET_INIT;

    if (!token)
        return 0;
    if (wst__secret_set(&value, token, strlen(token)) != 0)
        return WST_ERR_NOMEM;
    wst__token_put(cl->token, &value, -1, false);
    return 0;
}

static int make_core(struct wst_client *cl)
{
    uint64_t seed;
    int rc = cl->ports->random(cl->ports->world, &seed, sizeof seed);

    if (rc == 0)
        wst__core_init(&cl->core, &cl->shared->policy, seed);
    return rc;
}

static void init_fields(struct wst_client *cl)
{
    cl->turn.cb = wst__driver_on_turn;
    cl->turn.arg = cl;
    wst__timer_init(&cl->timer, wst__driver_on_timer, cl);
}

/* Makes what lives as long as the client does.  On failure nothing is left. */
static int make_parts(struct wst_client *cl, struct wst_cause *why)
{
    const struct wst__ports *p = cl->ports;
    struct wst__net_options options;
    int rc;

    net_options(&cl->shared->config, &options);
    rc = p->net_new(p->world, &options, &cl->net, why);
    if (rc != 0)
        return rc;
    rc = make_core(cl);
    if (rc == 0)
        rc = make_token(cl);
    if (rc == 0)
        rc = take_token(cl);
    if (rc == 0)
        rc = make_offline(cl);
    if (rc == 0)
        return 0;
    wst__cause(why, rc, WST_STEP_NONE, "the client could not be made: %s", wst_strerror(rc));
    p->turn_drop(p->world, &cl->turn);
    wst__token_free(cl->token);
    p->net_free(p->world, cl->net);
    return rc;
}

/* A program that was built against an older header may bring a struct that ends before it. */
static void *arg_of(const struct wst_config *c)
{
    return c->size >= offsetof(struct wst_config, arg) + sizeof c->arg ? c->arg : NULL;
}

int wst__client_new_on(struct wst_client **client, const struct wst__ports *ports,
                       const struct wst_config *config, struct wst_cause *why)
{
    struct wst_client *cl = wst__calloc(1, sizeof *cl);
    int rc;

    if (!cl)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    cl->ports = ports;
    /* A loop of its own is gone before the client is: what they share must not be in it. */
    rc = wst__config_get(config->loop ? ports->configs : NULL, config, &cl->shared, why);
    if (rc == 0) {
        cl->arg = arg_of(config);
        init_fields(cl);
        rc = make_parts(cl, why);
        if (rc != 0)
            wst__config_put(cl->shared);
    }
    if (rc != 0) {
        wst__wipe(cl, sizeof *cl);
        wst__free(cl);
        return rc;
    }
    *client = cl;
    return 0;
}

/* Before a loop is made for it: that would have to be closed again. */
static int check_config(const struct wst_config *config, struct wst_cause *why)
{
    struct wst__config copy;
    int rc = wst__config_copy(&copy, config, why);

    if (rc == 0)
        wst__config_fini(&copy);
    return rc;
}

int wst_client_new(struct wst_client **client, const struct wst_config *config,
                   struct wst_cause *why)
{
    struct wst_loop *loop;
    bool owns;
    int rc;

    if (why)
        memset(why, 0, sizeof *why);
    if (!client || !config)
        return wst__cause(why, WST_ERR_INVALID, WST_STEP_NONE, "client and config must be given");
    if (!config->loop && !config->uv_loop)
        return wst__cause(why, WST_ERR_CONFIG, WST_STEP_NONE,
                          "loop: is needed (or uv_loop, to make one)");
    loop = config->loop;
    owns = !loop;
    if (owns) {
        rc = check_config(config, why);
        if (rc != 0)
            return rc;
    }
    rc = owns ? wst_loop_new(&loop, config->uv_loop) : 0;
    if (rc != 0)
        return wst__cause(why, rc, WST_STEP_NONE, "the loop could not be made: %s",
                          wst_strerror(rc));
    rc = wst__client_new_on(client, wst__loop_ports(loop), config, why);
    if (rc != 0) {
        if (owns)
            (void)wst_loop_close(loop, NULL, NULL);
        return rc;
    }
    (*client)->loop = loop;
    (*client)->owns_loop = owns;
    wst__loop_ref(loop);
    return 0;
}

/* ---- Start, stop, use ---------------------------------------------------------------------- */

int wst_client_start(struct wst_client *cl)
{
    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    if (wst__driver_wants(cl))
        return WST_ERR_STATE;
    cl->flips++;
    wst__offline_start(cl->offline);
    wst__driver_ask(cl);
    return 0;
}

static bool is_close_code(int code)
{
    return code == 1000 || (code >= 3000 && code <= 4999);
}

int wst_client_stop_with(struct wst_client *cl, int code, const char *reason)
{
    size_t n = reason ? strlen(reason) : 0;
    char *copy;

    if (!cl || !is_close_code(code) || n > MAX_REASON ||
        !wst__utf8_valid((const uint8_t *)(reason ? reason : ""), n))
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    if (!wst__driver_wants(cl))
        return WST_ERR_STATE;
    copy = n ? wst__strdup(reason) : NULL;
    if (n && !copy)
        return WST_ERR_NOMEM;
    wst__free(cl->stop_reason);
    cl->stop_reason = copy;
    cl->stop_code = (uint16_t)code;
    cl->flips++;
    wst__driver_ask(cl);
    return 0;
}

int wst_client_stop(struct wst_client *cl)
{
    return wst_client_stop_with(cl, 1000, NULL);
}

int wst_client_wake(struct wst_client *cl)
{
    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    cl->wake = true;
    wst__driver_ask(cl);
    return 0;
}

/* Not before it is told: until then what had to wait goes first. */
static bool is_open(const struct wst_client *cl)
{
    return cl->state == WST_STATE_OPEN && cl->core.state == WST_STATE_OPEN && cl->link &&
           cl->flips == 0;
}

/* Errors that need no look at the connection. */
static int check_send(const struct wst_client *cl, enum wst_message_type type, const void *data,
                      size_t len)
{
    if (!cl || (type != WST_TEXT && type != WST_BINARY) || (!data && len))
        return WST_ERR_INVALID;
    check_thread(cl);
    return cl->closing ? WST_ERR_CLOSING : 0;
}

int wst_client_send(struct wst_client *cl, enum wst_message_type type, const void *data, size_t len,
                    void *ref)
{
    int rc = check_send(cl, type, data, len);

    if (rc != 0)
        return rc;
    /* Nothing overtakes what still waits. */
    rc = is_open(cl) && wst__offline_count(cl->offline) == 0
             ? wst__link_send(cl->link, type, data, len, ref)
             : WST_ERR_NOT_OPEN;
    if (rc == 0) {
        if (!cl->receiving) /* Else it leaves when what came is handed out. */
            wst__driver_ask_to_send(cl);
        return 0;
    }
    if (rc == WST_ERR_NOT_OPEN)
        rc = wst__offline_add(cl, type, data, len, ref);
    if (rc == 0)
        wst__driver_ask(cl);
    return rc;
}

int wst_client_send_chunk(struct wst_client *cl, enum wst_message_type type, const void *data,
                          size_t len, unsigned flags, void *ref)
{
    int rc = check_send(cl, type, data, len);

    if (rc != 0)
        return rc;
    if (flags > (WST_CHUNK_FIRST | WST_CHUNK_LAST))
        return WST_ERR_INVALID;
    if (!is_open(cl))
        return WST_ERR_NOT_OPEN;
    rc = wst__link_send_chunk(cl->link, type, data, len, flags, ref);
    if (rc == 0 && !cl->receiving)
        wst__driver_ask_to_send(cl);
    return rc;
}

int wst_client_ping(struct wst_client *cl)
{
    int rc;

    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    if (!is_open(cl))
        return WST_ERR_NOT_OPEN;
    rc = wst__link_ping(cl->link);
    if (rc == 0)
        wst__driver_ask(cl);
    return rc;
}

static int set_paused(struct wst_client *cl, bool paused)
{
    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    cl->paused = paused;
    if (cl->link)
        wst__link_pause(cl->link, paused);
    return 0;
}

int wst_client_pause(struct wst_client *cl)
{
    return set_paused(cl, true);
}

int wst_client_resume(struct wst_client *cl)
{
    return set_paused(cl, false);
}

size_t wst_client_buffered(const struct wst_client *cl)
{
    if (!cl)
        return 0;
    return wst__offline_payload(cl->offline) + (cl->link ? wst__link_buffered(cl->link) : 0);
}

/* ---- Close --------------------------------------------------------------------------------- */

void wst_client_close(struct wst_client *cl, wst_close_cb cb, void *arg)
{
    if (!cl || cl->closing)
        return;
    check_thread(cl);
    cl->closing = true;
    cl->close_cb = cb;
    cl->close_arg = arg;
    wst__driver_ask(cl);
}

static void free_parts(struct wst_client *cl)
{
    assert(wst__offline_count(cl->offline) == 0); /* All was told. */
    wst__free(cl->offline);
    wst__config_put(cl->shared);
    wst__free(cl->stop_reason);
    wst__free(cl->words);
    wst__free(cl->last_error);
    if (cl->spent)
        wst__wipe(cl->spent, sizeof *cl->spent);
    wst__free(cl->spent);
}

static void finish(struct wst_client *cl)
{
    wst_close_cb cb = cl->close_cb;

    if (cb)
        cb(cl, cl->close_arg);
    free_parts(cl);
    wst__wipe(cl, sizeof *cl);
    wst__free(cl);
}

static void on_loop_closed(void *arg)
{
    finish(arg);
}

/* Nothing of the client is left in the loop. */
static void all_gone(struct wst_client *cl)
{
    struct wst_loop *loop = cl->loop;

    cl->ports->turn_drop(cl->ports->world, &cl->turn);
    cl->ports->net_free(cl->ports->world, cl->net);
    if (loop)
        wst__loop_unref(loop);
    if (!cl->owns_loop || wst_loop_close(loop, on_loop_closed, cl) != 0)
        finish(cl);
}

void wst__client_handle_gone(void *client)
{
    struct wst_client *cl = client;

    assert(cl->handles > 0);
    cl->handles--;
    if (cl->released && cl->handles == 0)
        all_gone(cl);
}

/* Everything is told, and no more calls of other threads are taken. */
static void end(struct wst_client *cl)
{
    const struct wst__ports *p = cl->ports;

    wst__driver_end(cl);
    cl->ended = true;
    p->timer_set(p->world, &cl->timer, WST__NEVER);
    cl->handles++;
    p->mailbox_close(p->world, &cl->mailbox, wst__client_handle_gone, cl);
}

/* The last thing that a turn does: |cl| may be gone afterwards. */
void wst__client_release(struct wst_client *cl)
{
    if (cl->released)
        return;
    if (!cl->ended)
        end(cl);
    wst__token_sync(cl->token);
    if (wst__token_busy(cl->token))
        return; /* The token's file is being written: that asks for another turn. */
    cl->released = true;
    wst__token_free(cl->token);
    cl->token = NULL;
    if (cl->handles == 0)
        all_gone(cl);
}

/* ---- Other threads ------------------------------------------------------------------------- */

static void run_posted(void *arg)
{
    struct wst__posted *posted = arg;

    posted->fn(posted->client, posted->arg);
    wst__free(posted);
}

int wst_client_post(struct wst_client *cl, wst_post_cb fn, void *arg)
{
    struct wst__posted *posted;
    int rc;

    if (!cl || !fn)
        return WST_ERR_INVALID;
    posted = wst__malloc(sizeof *posted);
    if (!posted)
        return WST_ERR_NOMEM;
    posted->letter = (struct wst__letter){.run = run_posted, .arg = posted};
    posted->client = cl;
    posted->fn = fn;
    posted->arg = arg;
    rc = cl->ports->mailbox_post(cl->ports->world, &cl->mailbox, &posted->letter);
    if (rc != 0)
        wst__free(posted);
    return rc;
}

/* ---- Tokens -------------------------------------------------------------------------------- */

static bool is_visible(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
            return false;
    }
    return true;
}

/* The step for which the application was asked last in this attempt. */
static enum wst_step provider_step(const struct wst_client *cl)
{
    return cl->asking ? cl->asking->provider_step : WST_STEP_NONE;
}

/* Is this the answer that is awaited?  A late one is counted and dropped. */
static bool is_awaited(struct wst_client *cl, uint64_t request)
{
    const struct wst__asking *a = cl->asking;

    if (a && request != 0 && request == a->provider_request && !a->provided)
        return true;
    cl->counts.late_answers++;
    return false;
}

static void take_answer(struct wst_client *cl, struct wst__provided *p)
{
    cl->asking->provided = p;
    wst__driver_ask(cl);
}

int wst_client_provide(struct wst_client *cl, uint64_t request, const char *value, uint64_t life_ms)
{
    struct wst__provided *p;

    if (!cl || !value || !*value)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (provider_step(cl) == WST_STEP_TOKEN && !is_visible(value))
        return WST_ERR_INVALID;
    if (!is_awaited(cl, request))
        return 0;
    p = wst__calloc(1, sizeof *p);
    if (!p)
        return WST_ERR_NOMEM;
    p->life_ms = life_ms;
    if (wst__secret_set(&p->value, value, strlen(value)) != 0) {
        wst__free(p);
        return WST_ERR_NOMEM;
    }
    take_answer(cl, p);
    return 0;
}

int wst_client_provide_failed(struct wst_client *cl, uint64_t request, int http_status,
                              uint64_t retry_after_ms, const char *text)
{
    struct wst__provided *p;

    if (!cl || http_status < 0 || http_status > 599)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (!is_awaited(cl, request))
        return 0;
    p = wst__calloc(1, sizeof *p);
    if (!p)
        return WST_ERR_NOMEM;
    wst__cause(&p->why,
               http_status == 401 && provider_step(cl) == WST_STEP_TICKET ? WST_ERR_TOKEN_REFUSED
                                                                          : WST_ERR_PROVIDER,
               provider_step(cl), "%s", text && *text ? text : wst_strerror(WST_ERR_PROVIDER));
    p->why.http_status = http_status;
    p->retry_after_ms = retry_after_ms;
    take_answer(cl, p);
    return 0;
}

int wst_client_token_loaded(struct wst_client *cl, uint64_t request,
                            const struct wst_stored_token *token)
{
    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    wst__token_loaded(cl, request, token);
    return 0;
}

static void token_changed(struct wst_client *cl)
{
    cl->token_changed = true;
    wst__driver_ask(cl);
}

int wst_client_forget_token(struct wst_client *cl)
{
    if (!cl)
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    wst__token_forget_all(cl->token);
    token_changed(cl);
    return 0;
}

int wst_client_set_token(struct wst_client *cl, const char *token, uint64_t life_ms)
{
    struct wst__secret value = WST__SECRET_INIT;

    if (!cl || !token || !*token || !is_visible(token))
        return WST_ERR_INVALID;
    check_thread(cl);
    if (cl->closing)
        return WST_ERR_CLOSING;
    if (!cl->token)
        cl->token = wst__token_new(cl);
    if (!cl->token || wst__secret_set(&value, token, strlen(token)) != 0)
        return WST_ERR_NOMEM;
    wst__token_put(cl->token, &value, life_ms ? (int64_t)life_ms : -1, true);
    token_changed(cl);
    return 0;
}

/* ---- Inspect ------------------------------------------------------------------------------- */

enum wst_state wst_client_state(const struct wst_client *cl)
{
    return cl ? cl->state : WST_STATE_IDLE;
}

const struct wst_error_info *wst_client_last_error(const struct wst_client *cl)
{
    static const struct wst_error_info none = {.next_delay_ms = WST_NO_DELAY};
    static const struct wst_error_info lost = {
        .cause = {.code = WST_ERR_NOMEM, .cls = WST_CLASS_LOCAL, .text = "out of memory"},
        .next_delay_ms = WST_NO_DELAY};

    if (!cl)
        return &none;
    return cl->last_error ? cl->last_error : cl->error_lost ? &lost : &none;
}

void *wst_client_arg(const struct wst_client *cl)
{
    return cl ? cl->arg : NULL;
}

static uint64_t wait_left(const struct wst_client *cl)
{
    struct wst__time t;

    if (cl->state != WST_STATE_BACKOFF || cl->core.state != WST_STATE_BACKOFF)
        return WST_NO_DELAY;
    cl->ports->clock(cl->ports->world, &t);
    return cl->core.retry_due > t.now_ms ? cl->core.retry_due - t.now_ms : 0;
}

/* Copies as much of |from| as the caller's struct has room for; both begin with their size. */
static int copy_sized(void *to, size_t to_size, const void *from, size_t from_size)
{
    if (to_size < sizeof(size_t) || to_size > from_size)
        return WST_ERR_INVALID;
    memcpy((char *)to + sizeof(size_t), (const char *)from + sizeof(size_t),
           to_size - sizeof(size_t));
    return 0;
}

int wst_client_stats(const struct wst_client *cl, struct wst_stats *stats)
{
    const struct wst__counts *c;
    struct wst_stats s;

    if (!cl || !stats)
        return WST_ERR_INVALID;
    c = &cl->counts;
    s = (struct wst_stats){
        .state = cl->state,
        .attempts = c->attempts,
        .opens = c->opens,
        .tokens_fetched = c->tokens_fetched,
        .tickets_fetched = c->tickets_fetched,
        .tickets_dropped = c->tickets_dropped,
        .late_answers = c->late_answers,
        .messages_sent = c->messages.sent,
        .messages_received = c->messages.received,
        .bytes_sent = c->messages.bytes_sent,
        .bytes_received = c->messages.bytes_received,
        .unsent_messages = c->unsent_messages,
        .buffered = wst_client_buffered(cl),
        .rtt_us = cl->rtt_us,
        .failures = cl->core.failures,
        .next_delay_ms = wait_left(cl),
        .offline_messages = wst__offline_count(cl->offline),
    };
    return copy_sized(stats, stats->size, &s, sizeof s);
}

int wst_client_timing(const struct wst_client *cl, struct wst_timing *timing)
{
    const struct wst__timing *t;
    struct wst_timing told;

    if (!cl || !timing)
        return WST_ERR_INVALID;
    t = &cl->timing;
    told = (struct wst_timing){
        .dns_us = t->dns_us,
        .tcp_us = t->tcp_us,
        .tls_us = t->tls_us,
        .token_us = t->token_us,
        .ticket_us = t->ticket_us,
        .upgrade_us = t->upgrade_us,
        .open_us = t->open_us,
        .ping_us = t->ping_us,
    };
    return copy_sized(timing, timing->size, &told, sizeof told);
}
