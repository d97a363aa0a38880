/*
 * The driver.
 *
 * Everything that happens becomes an event; the pump feeds them to the core one at a time and
 * carries out the actions that come back, in order.  The application's callbacks run between
 * steps, from the loop; what they ask for by the public functions is queued and seen by the pump
 * afterwards, so none of them can disturb a step.
 *
 * Starts and stops alternate, so that a count of them is enough to queue them; they come before
 * every other event, because the answers that wait may belong to what is being stopped.
 */
#include "client/driver.h"

#include "base/hint.h"
#include "base/mem.h"
#include "client/fields.h"
#include "client/report.h"
#include "client/steps.h"
#include "core/verdict.h"
#include "wire/reply.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COOKIES_MAX ((size_t)16 * 1024)
/* RFC 6455, 7.4.2: none is below.  An HTTP status has three digits. */
#define CLOSE_CODES 1000
/* Passes of one turn: what a flush brings is carried out, and what that brings is flushed. */
#define MAX_PASSES 4
/* Events of one pass: callbacks that start and stop for ever must not hold up the loop. */
#define MAX_EVENTS 64

static const struct wst_config *config_of(const struct wst_client *cl)
{
    return &cl->shared->config.c;
}

static void read_clock(const struct wst_client *cl, struct wst__time *t)
{
    cl->ports->clock(cl->ports->world, t);
}

/* ---- The queue ----------------------------------------------------------------------------- */

static struct wst__note note_of(const struct wst__event *ev)
{
    const struct wst__failure *f = &ev->failure;
    bool ticket = ev->type == WST__EV_TICKET_OK;
    struct wst__note n = {
        .ms = ticket ? ev->ticket_life_ms : f->retry_after_ms,
        .spread_ms = ticket ? ev->spread_ms : f->spread_ms,
        .attempt = (uint16_t)ev->attempt,
        .type = (uint8_t)ev->type,
        .step = (uint8_t)f->step,
    };

    assert(f->http_status < CLOSE_CODES && (f->close_code == 0 || f->close_code >= CLOSE_CODES));
    if (ticket) {
        n.floor_ms = ev->retry_after_ms;
    } else {
        n.failure.code = f->code;
        n.failure.status = f->close_code ? f->close_code : f->http_status;
    }
    return n;
}

/* The times are filled in when it is fed to the core, which has begun |attempts|. */
static void event_of(const struct wst__note *n, uint64_t attempts, struct wst__event *ev)
{
    *ev = (struct wst__event){.type = (enum wst__ev)n->type,
                              .attempt = attempts - (uint16_t)((uint16_t)attempts - n->attempt)};
    if (ev->type == WST__EV_TICKET_OK) {
        ev->ticket_life_ms = n->ms;
        ev->retry_after_ms = n->floor_ms;
        ev->spread_ms = n->spread_ms;
        return;
    }
    ev->failure = (struct wst__failure){.code = n->failure.code,
                                        .step = (enum wst_step)n->step,
                                        .retry_after_ms = n->ms,
                                        .spread_ms = n->spread_ms};
    if (n->failure.status < CLOSE_CODES)
        ev->failure.http_status = n->failure.status;
    else
        ev->failure.close_code = n->failure.status;
}

void wst__driver_push(struct wst_client *cl, const struct wst__event *ev)
{
    assert(cl->queue_count < WST__QUEUE_LEN);
    if (cl->queue_count == WST__QUEUE_LEN)
        return; /* Never reached; and if it were, the core's deadlines would end the attempt. */
    cl->queue[(cl->queue_first + cl->queue_count++) % WST__QUEUE_LEN] = note_of(ev);
}

static void push_answer(struct wst_client *cl, enum wst__ev type)
{
    struct wst__event ev = {.type = type, .attempt = cl->link_attempt};

    wst__driver_push(cl, &ev);
}

static void push_link_failure(struct wst_client *cl, enum wst__ev type, const struct wst_cause *why,
                              uint64_t retry_after_ms, uint64_t spread_ms)
{
    struct wst__event ev = {.type = type, .attempt = cl->link_attempt};

    ev.failure = wst__report_failure(cl, WST_STEP_CONNECT, why, retry_after_ms, spread_ms);
    wst__driver_push(cl, &ev);
}

static bool pop(struct wst_client *cl, struct wst__event *ev)
{
    if (cl->queue_count == 0)
        return false;
    event_of(&cl->queue[cl->queue_first], cl->core.attempt, ev);
    cl->queue_first = (uint8_t)((cl->queue_first + 1) % WST__QUEUE_LEN);
    cl->queue_count--;
    return true;
}

/* Those of what was dropped mean nothing any more, but carry the same attempt's number. */
void wst__driver_purge(struct wst_client *cl, enum wst__ev first, enum wst__ev last)
{
    size_t n = cl->queue_count;

    for (size_t i = 0; i < n; i++) {
        struct wst__event ev;

        if (pop(cl, &ev) && (ev.type < first || ev.type > last))
            wst__driver_push(cl, &ev);
    }
}

static bool is_wanted(const struct wst__core *core)
{
    return core->wanted && core->state != WST_STATE_FAILED;
}

bool wst__driver_wants(const struct wst_client *cl)
{
    return is_wanted(&cl->core) != ((cl->flips & 1) != 0);
}

static bool next_flip(struct wst_client *cl, struct wst__event *ev)
{
    memset(ev, 0, sizeof *ev);
    if (cl->flips == 0)
        return false;
    cl->flips--;
    ev->type = is_wanted(&cl->core) ? WST__EV_STOP : WST__EV_START;
    return true;
}

static bool has_waiting(const struct wst_client *cl)
{
    return cl->queue_count > 0 || cl->flips > 0 || cl->wake || cl->timed_out;
}

/* The next event, in order of rank.  What is too old is gone before one may open the connection. */
static bool next_event(struct wst_client *cl, struct wst__event *ev)
{
    wst__offline_expire(cl);
    if (cl->closing)
        return false;
    if (next_flip(cl, ev))
        return true;
    if (cl->wake) {
        cl->wake = false;
        ev->type = WST__EV_WAKE;
        return true;
    }
    if (pop(cl, ev))
        return true;
    if (!cl->timed_out)
        return false;
    cl->timed_out = false;
    ev->type = WST__EV_TIMEOUT;
    return true;
}

/* ---- The link's callbacks ------------------------------------------------------------------ */

static void on_link_ready(void *arg, const struct wst__stream_timing *timing)
{
    struct wst_client *cl = arg;

    cl->timing.dns_us = wst__within_32_bits(timing->dns_us);
    cl->timing.tcp_us = wst__within_32_bits(timing->tcp_us);
    cl->timing.tls_us = wst__within_32_bits(timing->tls_us);
    push_answer(cl, WST__EV_DIAL_OK);
    wst__driver_pump(cl);
}

/* What the server said when it refused the upgrade. */
static void steering_of(const struct wst__upgrade *up, uint64_t *retry_after_ms,
                        uint64_t *spread_ms)
{
    *retry_after_ms = *spread_ms = 0;
    if (!up)
        return;
    wst__reply_steering((const char *)up->body.data, up->body.len, retry_after_ms, spread_ms);
    if (up->has_retry_after && up->retry_after_ms > *retry_after_ms)
        *retry_after_ms = up->retry_after_ms;
}

static void on_link_failed(void *arg, const struct wst_cause *why, const struct wst__upgrade *up)
{
    struct wst_client *cl = arg;
    uint64_t retry_after_ms;
    uint64_t spread_ms;

    steering_of(up, &retry_after_ms, &spread_ms);
    push_link_failure(cl, WST__EV_LINK_FAILED, why, retry_after_ms, spread_ms);
    wst__driver_pump(cl);
}

static void on_link_opened(void *arg, const char *subprotocol)
{
    struct wst_client *cl = arg;
    struct wst__time t;

    read_clock(cl, &t);
    cl->timing.open_us = wst__within_32_bits(t.now_us - cl->attempt_us);
    if (cl->timing.open_us > cl->upgrade_at_us)
        cl->timing.upgrade_us = cl->timing.open_us - cl->upgrade_at_us;
    cl->subprotocol = subprotocol;
    push_answer(cl, WST__EV_LINK_OPEN);
    wst__driver_pump(cl);
    cl->subprotocol = NULL;
}

static bool on_link_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    struct wst_client *cl = arg;
    wst_message_cb on_message = config_of(cl)->on_message;

    if (cl->closing || !on_message)
        return !cl->closing;
    cl->receiving = true;
    on_message(cl, type, data, n, cl->arg);
    cl->receiving = false;
    return !cl->closing;
}

static bool on_link_chunk(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                          unsigned flags)
{
    struct wst_client *cl = arg;

    if (cl->closing)
        return false;
    config_of(cl)->on_chunk(cl, type, data, n, flags, cl->arg);
    return !cl->closing;
}

static void on_link_pong(void *arg, uint64_t rtt_us)
{
    struct wst_client *cl = arg;

    cl->rtt_us = wst__within_32_bits(rtt_us);
    if (cl->timing.ping_us == 0)
        cl->timing.ping_us = wst__within_32_bits(rtt_us);
    if (config_of(cl)->on_pong && !cl->closing)
        config_of(cl)->on_pong(cl, rtt_us, cl->arg);
}

static void on_link_ping_left(void *arg)
{
    struct wst_client *cl = arg;

    push_answer(cl, WST__EV_PING_LEFT);
    wst__driver_pump(cl);
}

static void keep_end(struct wst_client *cl, const struct wst__link_end *end)
{
    struct wst__words *words = wst__report_words(cl);

    cl->end_code = (uint16_t)end->code;
    cl->was_clean = end->was_clean;
    if (words)
        memcpy(words->reason, end->reason, sizeof words->reason);
}

static void on_link_closing(void *arg, const struct wst__link_end *end)
{
    struct wst_client *cl = arg;

    keep_end(cl, end);
    push_link_failure(cl, WST__EV_LINK_CLOSING, &end->cause, 0, 0);
    wst__driver_pump(cl);
}

static void on_link_closed(void *arg, const struct wst__link_end *end)
{
    struct wst_client *cl = arg;

    keep_end(cl, end);
    push_link_failure(cl, WST__EV_LINK_CLOSED, &end->cause, 0, 0);
    wst__driver_pump(cl);
}

static void on_link_drained(void *arg)
{
    struct wst_client *cl = arg;

    if (config_of(cl)->on_drained && !cl->closing)
        config_of(cl)->on_drained(cl, cl->arg);
}

static void on_link_wants_flush(void *arg)
{
    wst__driver_ask_to_send(arg);
}

/* The answers to what came leave at once, if nothing has been asked for that comes before. */
static void on_link_received(void *arg)
{
    struct wst_client *cl = arg;

    if (!cl->closing && !has_waiting(cl))
        wst__link_flush(cl->link);
    else
        wst__driver_ask(cl);
}

static void on_link_unsent(void *arg, void *ref, size_t n)
{
    struct wst_client *cl = arg;

    cl->unsent_messages++;
    cl->unsent_bytes += n;
    cl->counts.unsent_messages++;
    if (config_of(cl)->on_unsent) {
        int reason = cl->core.failure.code; /* Of the link that ends. */

        config_of(cl)->on_unsent(cl, ref, n, reason ? reason : WST_ERR_EOF, cl->arg);
    }
}

static const struct wst__link_cbs link_cbs = {
    .ready = on_link_ready,
    .failed = on_link_failed,
    .opened = on_link_opened,
    .message = on_link_message,
    .chunk = on_link_chunk,
    .pong = on_link_pong,
    .ping_left = on_link_ping_left,
    .closing = on_link_closing,
    .closed = on_link_closed,
    .drained = on_link_drained,
    .wants_flush = on_link_wants_flush,
    .received = on_link_received,
    .unsent = on_link_unsent,
    .gone = wst__client_handle_gone,
};

/* ---- Actions on the link ------------------------------------------------------------------- */

static void dial(struct wst_client *cl)
{
    const struct wst__url *url = wst__client_target(cl);
    const struct wst__link_request rq = {
        .ports = cl->ports,
        .net = cl->net,
        .stream = {.host = url->host, .port = url->port, .tls = url->tls},
    };
    struct wst_cause why;
    int rc;

    cl->link_attempt = (uint32_t)cl->core.attempt;
    rc = wst__link_new(&cl->link, &rq, &link_cbs, cl);
    if (rc == 0) {
        wst__link_pause(cl->link, cl->paused);
        return;
    }
    cl->link = NULL;
    wst__cause(&why, rc, WST_STEP_CONNECT, "the connection could not be begun: %s",
               wst_strerror(rc));
    push_link_failure(cl, WST__EV_LINK_FAILED, &why, 0, 0);
}

static void drop_link(struct wst_client *cl)
{
    struct wst__link *link = cl->link;
    struct wst__link_end end;

    wst__driver_purge(cl, WST__EV_DIAL_OK, WST__EV_PING_LEFT); /* Also when it never was. */
    if (!link)
        return;
    if (wst__link_ending(link, &end))
        keep_end(cl, &end);
    cl->link = NULL;
    cl->handles++;
    wst__link_drop(link);
}

static int write_upgrade(struct wst_client *cl, const struct wst__url *url,
                         const struct wst__fields *fields, const char *cookies)
{
    const struct wst_config *c = config_of(cl);
    struct wst__upgrade_request rq = {
        .url = url,
        .ticket_in = c->ticket_in,
        .query_name = c->query_name,
        .ticket_header = c->ticket_header,
        .subprotocol_prefix = c->subprotocol_prefix,
        .subprotocols = c->subprotocols,
        .subprotocol_count = c->subprotocol_count,
        .headers = wst__fields_list(fields),
        .extensions = c->compress ? c->compress_offer : NULL,
        .user_agent = wst__fields_given(fields, "User-Agent") ? NULL : c->user_agent,
        .cookies = cookies,
    };
    struct wst__time t;

    read_clock(cl, &t);
    rq.wall_s = t.wall_s;
    if (wst__client_has_ticket(cl) && !cl->asking->ticket_is_url)
        rq.ticket = &cl->asking->ticket;
    if (c->upgrade_bearer && !wst__secret_empty(wst__token_value(cl->token)) &&
        !wst__fields_given(fields, "Authorization"))
        rq.bearer = wst__token_value(cl->token);
    if (cl->ports->random(cl->ports->world, rq.nonce, sizeof rq.nonce) != 0)
        return WST_ERR_ENTROPY;
    return wst__link_upgrade(cl->link, &rq, c, &cl->counts.messages);
}

/* The cookies that steps 1 and 2 set, for step 3; terminated. */
static int find_cookies(struct wst_client *cl, const struct wst__url *url, struct wst__buf *out)
{
    struct wst__buf text;
    int rc;

    wst__buf_init(&text, COOKIES_MAX, true);
    rc = wst__url_http_text(url, &text);
    if (rc == 0)
        rc = wst__buf_add(&text, "", 1);
    if (rc == 0)
        rc = cl->ports->cookies(cl->ports->world, cl->net, (const char *)text.data, out);
    wst__buf_fini(&text);
    return rc == 0 ? wst__buf_add(out, "", 1) : rc;
}

static int prepare_upgrade(struct wst_client *cl)
{
    const struct wst__url *url = wst__client_target(cl);
    struct wst__fields fields;
    struct wst__buf cookies;
    int rc = 0;

    wst__fields_init(&fields, config_of(cl), WST_STEP_CONNECT);
    wst__buf_init(&cookies, COOKIES_MAX, true);
    if (config_of(cl)->cookies)
        rc = find_cookies(cl, url, &cookies);
    if (rc == 0)
        rc = fields.rc;
    if (rc == 0)
        rc = write_upgrade(cl, url, &fields, (const char *)cookies.data);
    wst__buf_fini(&cookies);
    wst__fields_fini(&fields);
    return rc;
}

/* Was the token that the upgrade is to show forgotten since step 1? */
static bool lacks_bearer(const struct wst_client *cl)
{
    return config_of(cl)->upgrade_bearer && cl->core.policy->token_step &&
           wst__secret_empty(wst__token_value(cl->token));
}

static const char *why_no_upgrade(int rc)
{
    switch (rc) {
    case WST_ERR_INVALID:
        return "the ticket cannot be sent in that place (ticket_in)";
    case WST_ERR_TOKEN_REFUSED:
        return "the token was forgotten before it was shown";
    default:
        return wst_strerror(rc);
    }
}

static void upgrade(struct wst_client *cl)
{
    struct wst_cause why;
    struct wst__time t;
    int rc;

    read_clock(cl, &t);
    cl->upgrade_at_us = wst__within_32_bits(t.now_us - cl->attempt_us);
    if (cl->upgrade_at_us == 0)
        cl->upgrade_at_us = 1;
    if (config_of(cl)->on_progress)
        config_of(cl)->on_progress(cl, WST_PROGRESS_UPGRADE, cl->arg);
    if (wst__client_has_ticket(cl))
        wst__steps_ticket_spent(cl);
    if (config_of(cl)->upgrade_bearer)
        wst__token_use(cl->token); /* It may be newer than the one of step 1. */
    rc = lacks_bearer(cl) ? WST_ERR_TOKEN_REFUSED : prepare_upgrade(cl);
    wst__steps_drop_ticket(cl); /* It was moved into the request, or is of no use any more. */
    if (rc == 0)
        return;
    wst__cause(&why, rc, WST_STEP_CONNECT, "the upgrade request could not be made: %s",
               why_no_upgrade(rc));
    why.cls = rc == WST_ERR_INVALID ? WST_CLASS_TRANSIENT : why.cls;
    push_link_failure(cl, WST__EV_LINK_FAILED, &why, 0, 0);
}

/* ---- Telling ------------------------------------------------------------------------------- */

static void tell_state(struct wst_client *cl, const struct wst__action *a)
{
    const struct wst_config *c = config_of(cl);

    wst__log(WST__LOG_OF(cl), WST_LOG_DEBUG, "#%llu %s -> %s", (unsigned long long)cl->core.attempt,
             wst_state_name(a->from), wst_state_name(a->to));
    if (a->to == WST_STATE_OPEN)
        wst__offline_send(cl);
    cl->state = a->to;
    if (c->on_state)
        c->on_state(cl, a->from, a->to, cl->arg);
}

static void drop_words(struct wst_client *cl)
{
    wst__free(cl->words);
    cl->words = NULL;
    cl->end_code = 0;
    cl->was_clean = false;
}

static void tell_attempt(struct wst_client *cl, const struct wst__action *a)
{
    const struct wst_config *c = config_of(cl);
    struct wst__time t;

    read_clock(cl, &t);
    cl->attempt_us = t.now_us;
    cl->upgrade_at_us = 0;
    memset(&cl->timing, 0, sizeof cl->timing);
    drop_words(cl);
    cl->unsent_messages = cl->unsent_bytes = 0;
    cl->counts.attempts++;
    if (c->on_attempt)
        c->on_attempt(cl, a->attempt, cl->arg);
}

static void tell_opened(struct wst_client *cl)
{
    const struct wst_config *c = config_of(cl);

    drop_words(cl);
    wst__steps_end(cl);
    cl->counts.opens++;
    wst__log(WST__LOG_OF(cl), WST_LOG_INFO, "#%llu open", (unsigned long long)cl->core.attempt);
    if (c->compress)
        wst__log(WST__LOG_OF(cl), WST_LOG_INFO, "permessage-deflate: the server %s",
                 cl->link && wst__link_compresses(cl->link) ? "agreed" : "declined");
    if (c->on_open)
        c->on_open(cl, cl->subprotocol ? cl->subprotocol : "", cl->arg);
}

static void log_failure(const struct wst_client *cl, const struct wst_error_info *e,
                        const char *what)
{
    if (e->cause.code == WST_ERR_CANCELED)
        wst__log(WST__LOG_OF(cl), WST_LOG_INFO, "#%llu %s: %s", (unsigned long long)e->attempt,
                 what, e->cause.text);
    else if (e->next_delay_ms == WST_NO_DELAY)
        wst__log(WST__LOG_OF(cl), WST_LOG_WARN, "#%llu %s: %s (%s)", (unsigned long long)e->attempt,
                 what, e->cause.text, wst_class_name(e->cause.cls));
    else
        wst__log(WST__LOG_OF(cl), WST_LOG_WARN, "#%llu %s: %s (%s), next attempt in %llu ms",
                 (unsigned long long)e->attempt, what, e->cause.text, wst_class_name(e->cause.cls),
                 (unsigned long long)e->next_delay_ms);
}

/* Makes |info|, and keeps it. */
static void make_error(struct wst_client *cl, uint64_t delay_ms, struct wst_error_info *info)
{
    wst__report_info(cl, delay_ms, info);
    wst__report_keep(cl, info);
}

static void tell_attempt_failed(struct wst_client *cl, const struct wst__action *a)
{
    const struct wst_config *c = config_of(cl);
    struct wst_error_info info;

    if (cl->core.failure.own && cl->core.failure.step == WST_STEP_TOKEN)
        cl->token->refresh_stalled = true;
    make_error(cl, a->ms, &info);
    wst__steps_end(cl);
    log_failure(cl, &info, "failed");
    if (c->on_attempt_failed)
        c->on_attempt_failed(cl, &info, cl->arg);
}

static void tell_closed(struct wst_client *cl, const struct wst__action *a)
{
    const struct wst_config *c = config_of(cl);
    struct wst_close_info info = {.code = 1006};
    char reason[sizeof cl->words->reason] = "";

    drop_link(cl); /* Counts what was not sent, and tells it first. */
    make_error(cl, a->ms, &info.info);
    log_failure(cl, &info.info, "closed");
    if (cl->words)
        memcpy(reason, cl->words->reason, sizeof reason);
    if (cl->end_code)
        info.code = cl->end_code;
    info.reason = reason;
    info.was_clean = cl->was_clean;
    if (cl->core.failure.code == WST_ERR_CANCELED)
        info.info.cause.code = 0;
    info.unsent_messages = cl->unsent_messages;
    info.unsent_bytes = cl->unsent_bytes;
    if (c->on_closed)
        c->on_closed(cl, &info, cl->arg);
}

static void tell_ended(struct wst_client *cl, const struct wst__action *a)
{
    const struct wst_config *c = config_of(cl);
    struct wst_error_info info;

    wst__report_info(cl, WST_NO_DELAY, &info);
    if (cl->core.attempts_used_up && a->to == WST_STATE_FAILED) {
        info.other = info.cause;
        wst__cause(&info.cause, WST_ERR_ATTEMPTS_USED_UP, info.other.step,
                   "%u attempt%s made without a stable connection; the last one: %.160s",
                   c->max_attempts, c->max_attempts == 1 ? " was" : "s were", info.other.text);
        info.cause.cls = info.other.cls;
    }
    wst__report_keep(cl, &info);
    wst__offline_end(cl, info.cause.code);
    if (c->on_ended)
        c->on_ended(cl, a->to, &info, cl->arg);
}

/* ---- Carrying out -------------------------------------------------------------------------- */

static void begin_close(struct wst_client *cl)
{
    if (cl->link)
        wst__link_close(cl->link, cl->stop_code, cl->stop_reason ? cl->stop_reason : "");
}

static void drop_ticket(struct wst_client *cl)
{
    wst__steps_drop_ticket(cl);
    cl->counts.tickets_dropped++;
}

static void ping(struct wst_client *cl)
{
    if (cl->link && wst__link_ping(cl->link) == 0)
        wst__driver_ask(cl);
}

static void carry_out(struct wst_client *cl, const struct wst__action *a)
{
    switch (a->type) {
    case WST__ACT_STATE:
        tell_state(cl, a);
        break;
    case WST__ACT_ATTEMPT_BEGIN:
        tell_attempt(cl, a);
        break;
    case WST__ACT_ENSURE_TOKEN:
        wst__steps_ensure_token(cl);
        break;
    case WST__ACT_DROP_TOKEN:
        wst__log(WST__LOG_OF(cl), WST_LOG_INFO,
                 "the token was not accepted: it is not used any more");
        wst__token_forget_used(cl->token);
        break;
    case WST__ACT_GET_TICKET:
        wst__steps_get_ticket(cl);
        break;
    case WST__ACT_DROP_TICKET:
        drop_ticket(cl);
        break;
    case WST__ACT_CANCEL_HTTP:
        wst__steps_cancel(cl);
        break;
    case WST__ACT_DIAL:
        drop_link(cl); /* One that ended while it waited. */
        dial(cl);
        break;
    case WST__ACT_UPGRADE:
        upgrade(cl);
        break;
    case WST__ACT_CLOSE_LINK:
        begin_close(cl);
        break;
    case WST__ACT_DROP_LINK:
        drop_link(cl);
        break;
    case WST__ACT_PING:
        ping(cl);
        break;
    case WST__ACT_OPENED:
        tell_opened(cl);
        break;
    case WST__ACT_ATTEMPT_FAILED:
        drop_link(cl); /* One that failed by itself. */
        tell_attempt_failed(cl, a);
        break;
    case WST__ACT_CLOSED:
        tell_closed(cl, a);
        break;
    case WST__ACT_ENDED:
        tell_ended(cl, a);
        break;
    case WST__ACT_COUNT:
        break;
    }
}

/* ---- The pump ------------------------------------------------------------------------------ */

static void stamp(struct wst_client *cl, struct wst__event *ev)
{
    struct wst__time t;

    read_clock(cl, &t);
    ev->now_ms = t.now_ms;
    ev->boot_ms = t.boot_ms;
    if (cl->paused)
        ev->last_rx_ms = t.now_ms; /* Not reading, we cannot tell: the liveness clock stands. */
    else
        ev->last_rx_ms = cl->link ? wst__link_last_rx_ms(cl->link) : 0;
}

/* The application's own verdict, before the core decides.  Was it asked? */
static bool ask_verdict(struct wst_client *cl, struct wst__event *ev)
{
    const struct wst_config *c = config_of(cl);
    struct wst__failure f = ev->failure;
    struct wst_cause cause;

    if (!c->on_verdict || cl->closing || cl->core.stopping) /* Nothing is to be decided any more. */
        return false;
    if (f.code == 0 && !wst__core_foresee(&cl->core, ev, &f))
        return false;
    if (wst__core_is_late(&cl->core, ev) || ev->type == WST__EV_LINK_CLOSING)
        return false;
    if (f.cls == WST_CLASS_NONE)
        f.cls = wst__verdict(cl->core.policy, &f, cl->core.stable);
    wst__report_cause(cl, &f, &cause);
    ev->failure.verdict = c->on_verdict(cl, &cause, cl->arg);
    return true;
}

static void take_step(struct wst_client *cl, const struct wst__event *ev)
{
    struct wst__actions actions;

    if (wst__core_is_late(&cl->core, ev)) {
        cl->counts.late_answers++;
        return;
    }
    wst__core_step(&cl->core, ev, &actions);
    for (size_t i = 0; i < actions.count; i++)
        carry_out(cl, &actions.list[i]);
}

/*
 * A start or stop out of on_verdict is the user's will: it comes before the failure.  So does a
 * close, after which nothing more is begun: its own stop ends what is under way.
 */
static void step(struct wst_client *cl, struct wst__event *ev)
{
    struct wst__event flip;
    int left = MAX_EVENTS;

    stamp(cl, ev);
    if (ask_verdict(cl, ev)) {
        while (!cl->closing && left-- > 0 && next_flip(cl, &flip)) {
            stamp(cl, &flip);
            take_step(cl, &flip);
        }
        if (cl->closing)
            return;
    }
    take_step(cl, ev);
}

static void arm(struct wst_client *cl)
{
    uint64_t due = wst__core_deadline(&cl->core);
    uint64_t too_old = wst__offline_due(cl);

    due = due < too_old ? due : too_old;
    if (due != wst__timer_due_ms(&cl->timer))
        cl->ports->timer_set(cl->ports->world, &cl->timer, due);
}

void wst__driver_pump(struct wst_client *cl)
{
    struct wst__event ev;
    int left = MAX_EVENTS;

    if (cl->pumping || cl->released)
        return;
    cl->pumping = true;
    while (!cl->closing && left-- > 0 && next_event(cl, &ev))
        step(cl, &ev);
    cl->pumping = false;
    if (has_waiting(cl))
        wst__driver_ask(cl);
    arm(cl);
}

void wst__driver_ask(struct wst_client *cl)
{
    cl->asked = true;
    wst__driver_ask_to_send(cl);
}

void wst__driver_ask_to_send(struct wst_client *cl)
{
    cl->ports->turn_ask(cl->ports->world, &cl->turn);
}

/* What calls of the application have left to be done. */
static void do_chores(struct wst_client *cl)
{
    wst__steps_token_changed(cl); /* First: it may drop the answer that waits. */
    wst__steps_take_provided(cl);
    wst__token_sync(cl->token);
}

static WST__NOINLINE void do_all(struct wst_client *cl)
{
    cl->asked = false;
    if (cl->closing) { /* Nothing more is begun, and nothing more is sent. */
        wst__client_release(cl);
        return;
    }
    if (cl->token_changed || (cl->asking && cl->asking->provided) ||
        wst__token_has_chores(cl->token))
        do_chores(cl);
    for (int pass = 0; pass < MAX_PASSES; pass++) {
        if (has_waiting(cl) || wst__offline_count(cl->offline) > 0)
            wst__driver_pump(cl);
        if (cl->link)
            wst__link_flush(cl->link);
        if (!has_waiting(cl))
            break;
    }
    if (cl->closing)
        wst__client_release(cl);
}

void wst__driver_on_turn(void *arg)
{
    struct wst_client *cl = arg;

    if (cl->asked || !cl->link)
        do_all(cl);
    else
        wst__link_flush(cl->link); /* What it brings asks for a turn of its own. */
}

/* A server that refuses, and never ends the body behind it, has said all that counts. */
static void look_for_refusal(struct wst_client *cl)
{
    const struct wst__core *core = &cl->core;
    bool asks = cl->asking && cl->asking->http;
    struct wst__time t;

    if (!asks && (core->state != WST_STATE_CONNECTING || !cl->link))
        return;
    read_clock(cl, &t);
    if (t.now_ms < core->step_due && t.now_ms < core->attempt_due)
        return;
    if (asks)
        wst__steps_time_is_up(cl);
    else
        wst__link_time_is_up(cl->link);
}

void wst__driver_on_timer(void *arg)
{
    struct wst_client *cl = arg;

    if (cl->closing)
        return; /* The turn that was asked for ends it; armed again, it would be due at once. */
    look_for_refusal(cl);
    cl->timed_out = true;
    wst__driver_pump(cl);
}

/* Starts that are no longer carried out; each has its terminal event, as every start. */
static void end_starts(struct wst_client *cl, unsigned count)
{
    const struct wst_config *c = config_of(cl);
    struct wst_error_info info = {.next_delay_ms = WST_NO_DELAY};

    for (; count > 0; count--) {
        wst__cause(&info.cause, WST_ERR_CANCELED, WST_STEP_NONE, "%s",
                   wst_strerror(WST_ERR_CANCELED));
        info.attempt = cl->counts.attempts;
        wst__report_keep(cl, &info);
        wst__offline_end(cl, info.cause.code);
        if (c->on_ended)
            c->on_ended(cl, WST_STATE_IDLE, &info, cl->arg);
    }
}

void wst__driver_end(struct wst_client *cl)
{
    unsigned starts = is_wanted(&cl->core) ? cl->flips / 2 : (cl->flips + 1) / 2;
    struct wst__event ev;

    cl->flips = 0;
    cl->wake = false;
    cl->pumping = true; /* Nothing that a callback asks for is begun any more. */
    while (cl->core.state != WST_STATE_IDLE && cl->core.state != WST_STATE_FAILED) {
        ev = (struct wst__event){.type = WST__EV_STOP};
        step(cl, &ev); /* Out of OPEN it takes two: the second does not wait for the peer. */
    }
    wst__steps_cancel(cl);
    drop_link(cl);
    wst__steps_end(cl);
    cl->queue_count = 0;
    cl->timed_out = false;
    end_starts(cl, starts);
}
