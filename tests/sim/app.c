/* The application of the simulated world. */
#include "sim/app.h"

#include "client/client.h"
#include "client/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPTED = 1, TAKEN, UNSENT };

/* No wait is shorter, */
#define MIN_DELAY_MS 50
/* and what a server asks for has so much at random on top, or its own length if that is more. */
#define MIN_ASKED_MS 1000
/* Tickets of one attempt: the first, another behind a 401, another for one that got too old. */
#define MAX_TICKETS 3

/* What a message is filled with. */
static const char pattern[] = "abcdefghijklmnopqrstuvwxyz";

static void trace_failure(struct sim_app *app, const char *what, const struct wst_error_info *e);

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- Inside a callback --------------------------------------------------------------------- */

static void enter(struct sim_app *app, enum sim_cb cb)
{
    struct sim_world *w = app->w;

    if (w->in_api)
        sim_fail(w, "a callback inside a call of the API (%d)", (int)cb);
    if (app->in_cb)
        sim_fail(w, "a callback inside a callback (%d)", (int)cb);
    if (app->gone)
        sim_fail(w, "a callback after the close callback (%d)", (int)cb);
    if (app->must_end && cb != SIM_CB_ENDED && cb != SIM_CB_STATE && cb != SIM_CB_LOG &&
        cb != SIM_CB_UNSENT)
        sim_fail(w, "a callback (%d) where the terminal event was due", (int)cb);
    app->counts[cb]++;
    app->in_cb++;
}

static void leave(struct sim_app *app, enum sim_cb cb)
{
    if (app->hook)
        app->hook(app, cb);
    app->in_cb--;
}

/* What waited is with the connection now, and none of it was too old. */
static void note_sent_on_open(struct sim_app *app)
{
    uint64_t age_us = (app->config.offline_age_ms + 1) * 1000;

    for (size_t id = app->last_taken + 1; id <= app->sent; id++) {
        struct sim_sent *m = &app->messages[id];

        if (m->fate != ACCEPTED || !m->waits || m->start > app->ends + 1)
            continue;
        if (app->w->real_us - m->at_us > age_us)
            sim_fail(app->w, "message %zu is sent, and too old", id);
        m->waits = false;
    }
}

static void on_state(struct wst_client *client, enum wst_state from, enum wst_state to, void *arg)
{
    struct sim_app *app = arg;

    enter(app, SIM_CB_STATE);
    if (from != app->state)
        sim_fail(app->w, "the state was %s, and is said to have been %s",
                 wst_state_name(app->state), wst_state_name(from));
    if (wst_client_state(client) != to)
        sim_fail(app->w, "on_state says %s, the client %s", wst_state_name(to),
                 wst_state_name(wst_client_state(client)));
    app->state_from = from;
    app->state = to;
    if (to == WST_STATE_OPEN) {
        app->open_ms = sim_mono_ms(app->w);
        if (!app->closing) /* In the log's line before this. */
            note_sent_on_open(app);
    }
    if (to == WST_STATE_CLOSING)
        app->closing_ms = sim_mono_ms(app->w);
    if (!app->quiet)
        sim_trace(app->w, "%s -> %s", wst_state_name(from), wst_state_name(to));
    leave(app, SIM_CB_STATE);
}

/* Is this attempt begun in its own time? */
static void check_wait(struct sim_app *app)
{
    const struct wst_error_info *e = &app->failure;
    struct sim_world *w = app->w;
    uint64_t waited_ms = (w->real_us - app->wait_begun_us) / 1000;
    bool slept = w->slept_us != app->wait_slept_us;
    bool woken = app->woken_us >= app->wait_begun_us;

    if (!app->waits)
        return;
    if (waited_ms + 1 < e->retry_after_ms)
        sim_fail(w, "an attempt begins %" PRIu64 " ms after the server asked for %" PRIu64,
                 waited_ms, e->retry_after_ms);
    if (!woken && !slept && sim_mono_ms(w) < app->wait_mono_ms + e->next_delay_ms)
        sim_fail(w, "an attempt begins before the wait is over");
    if (!woken && !slept &&
        sim_mono_ms(w) > app->wait_mono_ms + e->next_delay_ms + w->timer_late_ms + 1)
        sim_fail(w, "an attempt begins long after the wait is over");
}

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_ATTEMPT);
    if (app->trying || app->open)
        sim_fail(app->w, "an attempt begins inside another");
    if (attempt != app->attempt + 1)
        sim_fail(app->w, "attempt %" PRIu64 " follows %" PRIu64, attempt, app->attempt);
    if (app->starts == app->ends)
        sim_fail(app->w, "an attempt that nobody wants");
    app->w->cut_off = false;
    check_wait(app);
    app->waits = false;
    app->trying = true;
    app->asked = false;
    app->attempt = attempt;
    app->attempt_us = app->w->real_us;
    app->attempt_ms = sim_mono_ms(app->w);
    app->said = WST_VERDICT_DEFAULT;
    app->w->asked = app->w->asked_at_end = (struct sim_asked){.delay_ms = 0};
    app->tickets_asked = app->upgrades = 0;
    sim_trace(app->w, "attempt %" PRIu64, attempt);
    leave(app, SIM_CB_ATTEMPT);
}

static void on_progress(struct wst_client *client, enum wst_progress progress, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_PROGRESS);
    if (!app->trying)
        sim_fail(app->w, "progress outside of an attempt");
    app->progress = progress;
    leave(app, SIM_CB_PROGRESS);
}

static uint64_t nominal(const struct wst_config *c, uint32_t failures)
{
    uint64_t ms = c->base_delay_ms;

    for (uint32_t i = 1; i < failures && ms < c->cap_ms; i++)
        ms *= 2;
    return ms < c->cap_ms ? ms : c->cap_ms;
}

/* Who is not let in knocks seldom, unless the application knows better. */
static uint64_t nominal_now(const struct sim_app *app)
{
    const struct wst_error_info *e = &app->failure;
    bool shut_out = e->cause.cls == WST_CLASS_AUTH && app->said == WST_VERDICT_DEFAULT;

    return shut_out ? app->config.cap_ms : nominal(&app->config, e->failures);
}

/* What the server has asked for in this attempt; |closed|: or for the end of the link. */
static struct sim_asked asked_now(const struct sim_app *app, bool closed)
{
    struct sim_asked asked = app->w->asked;
    uint64_t most = app->config.max_server_delay_ms;

    if (closed) {
        asked.delay_ms = larger(asked.delay_ms, app->w->asked_at_end.delay_ms);
        asked.spread_ms = larger(asked.spread_ms, app->w->asked_at_end.spread_ms);
    }
    asked.delay_ms = smaller(asked.delay_ms, most);
    asked.spread_ms = smaller(asked.spread_ms, most);
    return asked;
}

uint64_t sim_longest_wait_ms(const struct sim_app *app, bool closed)
{
    struct sim_asked asked = asked_now(app, closed);
    uint64_t n = nominal_now(app);
    uint64_t ms = larger(n + n * app->config.jitter_percent / 100, MIN_DELAY_MS);

    if (app->failure.retry_after_ms > 0)
        ms = larger(ms, asked.delay_ms) + larger(asked.delay_ms, MIN_ASKED_MS);
    if (asked.restart)
        asked.spread_ms = larger(asked.spread_ms, app->config.restart_spread_ms);
    return ms + asked.spread_ms;
}

/* What the server asked for is told as it was, unless it was cut off before it had said it. */
static void check_asked(struct sim_app *app, bool closed)
{
    const struct wst_error_info *e = &app->failure;
    uint64_t asked = asked_now(app, closed).delay_ms;
    bool answered = closed || (e->cause.http_status >= 300 && e->cause.code != WST_ERR_EOF);

    if (!closed && app->w->cut_off && e->retry_after_ms <= asked)
        return; /* Some of it may have been said. */
    if (e->retry_after_ms != asked && (answered || e->retry_after_ms != 0))
        sim_fail(app->w, "the server asked for %" PRIu64 " ms, and %" PRIu64 " are told", asked,
                 e->retry_after_ms);
}

/* Promise 13. */
static void check_delay(struct sim_app *app, bool closed)
{
    uint64_t n = nominal_now(app);
    uint64_t least = larger(n - n * app->config.jitter_percent / 100, MIN_DELAY_MS);
    uint64_t most = sim_longest_wait_ms(app, closed);
    uint64_t delay = app->failure.next_delay_ms;

    check_asked(app, closed);
    least = larger(least, app->failure.retry_after_ms);
    if (delay + 1 < least || delay < app->failure.retry_after_ms)
        sim_fail(app->w, "a delay of %" PRIu64 " ms, at least %" PRIu64 " are due", delay, least);
    if (delay > most)
        sim_fail(app->w, "a delay of %" PRIu64 " ms, at most %" PRIu64 " are due", delay, most);
}

/* Failures are forgiven by a link that stayed up, not by one that came up. */
static void check_failures(struct sim_app *app, const struct wst_error_info *e)
{
    uint64_t end_ms = app->closing_ms ? app->closing_ms : sim_mono_ms(app->w);

    if (app->open_ms && end_ms - app->open_ms >= app->config.stable_ms)
        app->failures = 0;
    app->open_ms = app->closing_ms = 0;
    if (e->cause.code == WST_ERR_CANCELED || e->cause.code == 0)
        return;
    if (e->failures != ++app->failures)
        sim_fail(app->w, "%u failures in a row are counted, it is %u", (unsigned)e->failures,
                 (unsigned)app->failures);
}

/* What an attempt's and a link's end have in common. */
static void note_failure(struct sim_app *app, const struct wst_error_info *e, enum wst_state state,
                         bool closed)
{
    bool canceled = e->cause.code == WST_ERR_CANCELED || e->cause.code == 0;

    sim_check_text(app->w, "an error's text", e->cause.text);
    sim_check_text(app->w, "an error's text", e->other.text);
    if (e->attempt != app->attempt)
        sim_fail(app->w, "the failure of attempt %" PRIu64 " is told of %" PRIu64, app->attempt,
                 e->attempt);
    check_failures(app, e);
    app->failure = *e;
    app->must_end = e->next_delay_ms == WST_NO_DELAY;
    app->waits = !app->must_end;
    if (app->must_end != (state == WST_STATE_IDLE || state == WST_STATE_FAILED) ||
        app->must_end == (state == WST_STATE_BACKOFF))
        sim_fail(app->w, "a failure in state %s with a delay of %" PRIu64, wst_state_name(state),
                 e->next_delay_ms);
    if (!canceled && !*e->cause.text)
        sim_fail(app->w, "a failure without words");
    if (!canceled && !app->asked && app->config.on_verdict && !app->closing)
        sim_fail(app->w, "a failure (%s) for which the verdict was not asked",
                 wst_err_name(e->cause.code));
    if (app->waits) {
        check_delay(app, closed);
        app->wait_begun_us = app->w->real_us;
        app->wait_mono_ms = sim_mono_ms(app->w);
        app->wait_slept_us = app->w->slept_us;
    }
}

static void trace_failure(struct sim_app *app, const char *what, const struct wst_error_info *e)
{
    char more[96] = "", next[48] = "";

    if (!app->w->tracing)
        return;
    if (e->cause.http_status)
        (void)snprintf(more, sizeof more, " %d", e->cause.http_status);
    if (e->other.code)
        (void)snprintf(more + strlen(more), sizeof more - strlen(more), ", also %s",
                       wst_err_name(e->other.code));
    if (e->next_delay_ms != WST_NO_DELAY)
        (void)snprintf(next, sizeof next, ", next in %" PRIu64 " ms", e->next_delay_ms);
    sim_trace(app->w, "%s: %s (%s)%s%s", what, wst_err_name(e->cause.code),
              wst_class_name(e->cause.cls), more, next);
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct sim_app *app = arg;

    enter(app, SIM_CB_FAILED);
    if (!app->trying)
        sim_fail(app->w, "an attempt ends that never began");
    app->trying = false;
    trace_failure(app, "failed", info);
    note_failure(app, info, wst_client_state(client), false);
    leave(app, SIM_CB_FAILED);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_OPEN);
    if (!app->trying || app->open)
        sim_fail(app->w, "open without an attempt");
    if (app->upgrades == 0)
        sim_fail(app->w, "open without an upgrade");
    sim_check_text(app->w, "the subprotocol", subprotocol);
    app->trying = false;
    app->open = true;
    app->pinged = false;
    app->asked = false;
    app->said = WST_VERDICT_DEFAULT;
    app->w->asked.delay_ms = app->w->asked.spread_ms = 0; /* They went with what was refused. */
    app->unsent_here = app->unsent_bytes_here = 0;
    app->last_echoed = 0;
    app->piece_len = app->pieces = 0;
    sim_trace(app->w, "open%s%s", *subprotocol ? ": " : "", subprotocol);
    leave(app, SIM_CB_OPEN);
}

/* An echo must be what was sent, whole and in order. */
static void check_echo(struct sim_app *app, const char *text, size_t len)
{
    size_t id = strtoull(text + 1, NULL, 10);

    if (id == 0 || id > app->sent || app->messages[id].fate != TAKEN)
        sim_fail(app->w, "an echo of a message that was not sent: %zu", id);
    if (id <= app->last_echoed)
        sim_fail(app->w, "echo %zu after %zu", id, app->last_echoed);
    app->last_echoed = id;
    for (size_t i = 10; i < len; i += 26) {
        if (memcmp(text + i, pattern, len - i < 26 ? len - i : 26) != 0) {
            sim_fail(app->w, "echo %zu is damaged behind byte %zu", id, i);
            return;
        }
    }
}

static void take_message(struct sim_app *app, enum wst_message_type type, const void *data,
                         size_t len, unsigned chunks)
{
    char head[32] = "";

    if (!app->open)
        sim_fail(app->w, "a message while it is not open");
    if (app->paused)
        sim_fail(app->w, "a message after pause");
    if (app->closing)
        sim_fail(app->w, "a message after close");
    if (len)
        memcpy(head, data, len < sizeof head - 1 ? len : sizeof head - 1);
    if (type == WST_TEXT && head[0] == 'm' && len >= 10)
        check_echo(app, data, len);
    if (chunks > 1)
        sim_trace(app->w, "message %s %zu \"%s\" in chunks", type == WST_TEXT ? "text" : "binary",
                  len, head);
    else
        sim_trace(app->w, "message %s %zu \"%s\"", type == WST_TEXT ? "text" : "binary", len, head);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_MESSAGE);
    take_message(app, type, data, len, 1);
    leave(app, SIM_CB_MESSAGE);
}

static void on_chunk(struct wst_client *client, enum wst_message_type type, const void *data,
                     size_t len, unsigned flags, void *arg)
{
    struct sim_app *app = arg;
    unsigned chunks;

    (void)client;
    enter(app, SIM_CB_CHUNK);
    if (!app->open || app->paused || app->closing)
        sim_fail(app->w, "a chunk while it is not open, after pause, or after close");
    if (flags & WST_CHUNK_FIRST)
        app->piece_len = app->pieces = 0; /* The last one may have been cut off by a pause. */
    else if (app->pieces == 0)
        sim_fail(app->w, "a chunk of a message that did not begin");
    if (len == 0 && !(flags & WST_CHUNK_LAST))
        sim_fail(app->w, "a chunk of nothing");
    app->piece = realloc(app->piece, app->piece_len + len + 1);
    if (!app->piece)
        abort();
    if (len)
        memcpy(app->piece + app->piece_len, data, len);
    app->piece_len += len;
    chunks = ++app->pieces;
    if (flags & WST_CHUNK_LAST) {
        app->pieces = 0;
        app->counts[SIM_CB_MESSAGE]++;
        take_message(app, type, app->piece, app->piece_len, chunks);
    }
    leave(app, SIM_CB_CHUNK);
}

void sim_use_chunks(struct sim_app *app)
{
    app->config.on_message = NULL;
    app->config.on_chunk = on_chunk;
}

static void check_close_info(struct sim_app *app, const struct wst_close_info *info)
{
    for (size_t id = app->last_taken + 1; id <= app->sent; id++) {
        if (app->messages[id].fate == ACCEPTED && !app->messages[id].waits)
            sim_fail(app->w, "closed, and of message %zu nothing is known", id);
    }
    if (info->unsent_messages != app->unsent_here || info->unsent_bytes != app->unsent_bytes_here)
        sim_fail(app->w, "closed with %" PRIu64 " unsent messages, %" PRIu64 " were told",
                 info->unsent_messages, app->unsent_here);
    sim_check_text(app->w, "a close reason", info->reason);
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct sim_app *app = arg;

    enter(app, SIM_CB_CLOSED);
    if (!app->open)
        sim_fail(app->w, "closed without open");
    app->open = false;
    app->chunk_id = 0;
    sim_trace(app->w, "closed: %d \"%s\"%s%s", info->code, info->reason,
              info->was_clean ? " clean" : "",
              info->unsent_messages ? " with unsent messages" : "");
    trace_failure(app, "because", &info->info);
    check_close_info(app, info);
    note_failure(app, &info->info, wst_client_state(client), true);
    leave(app, SIM_CB_CLOSED);
}

/* One that waited: because it is too old, or its start ends. */
static void check_waited(struct sim_app *app, const struct sim_sent *m, int reason)
{
    struct sim_world *w = app->w;
    uint64_t waited_ms = (w->real_us - m->at_us) / 1000;
    uint64_t age_ms = app->config.offline_age_ms;

    if (reason != WST_ERR_TOO_OLD) {
        if (m->start > app->ends + 1)
            sim_fail(w, "unsent with another's end");
        return;
    }
    if (waited_ms + 1 < age_ms)
        sim_fail(w, "too old after %" PRIu64 " ms", waited_ms);
    if (waited_ms > age_ms + w->timer_late_ms + 2 && w->slept_us == m->slept_us)
        sim_fail(w, "too old, which is told after %" PRIu64 " ms", waited_ms);
}

static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    struct sim_app *app = arg;
    size_t id = (size_t)(uintptr_t)ref;
    struct sim_sent *m;

    (void)client;
    enter(app, SIM_CB_UNSENT);
    if (id == 0 || id > app->sent || app->messages[id].fate != ACCEPTED) {
        sim_fail(app->w, "unsent: message %zu, which does not wait", id);
        return;
    }
    m = &app->messages[id];
    if (m->waits) {
        check_waited(app, m, reason);
    } else {
        if (!app->open)
            sim_fail(app->w, "unsent while it is not open");
        app->unsent_here++;
        app->unsent_bytes_here += len;
    }
    if (reason >= 0 || (reason == WST_ERR_TOO_OLD && !m->waits))
        sim_fail(app->w, "unsent for the reason %d", reason);
    m->fate = UNSENT;
    app->unsent++;
    sim_trace(app->w, "unsent: message %zu, %s", id, wst_err_name(reason));
    leave(app, SIM_CB_UNSENT);
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_ENDED);
    app->must_end = false;
    app->waits = false;
    if (app->trying || app->open)
        sim_fail(app->w, "the terminal event while an attempt or a link is there");
    if (++app->ends > app->starts)
        sim_fail(app->w, "%" PRIu64 " terminal events of %" PRIu64 " starts", app->ends,
                 app->starts);
    if (state != WST_STATE_IDLE && state != WST_STATE_FAILED)
        sim_fail(app->w, "ended in %s", wst_state_name(state));
    if ((state == WST_STATE_IDLE) != (info->cause.code == WST_ERR_CANCELED))
        sim_fail(app->w, "ended in %s because of %s", wst_state_name(state),
                 wst_err_name(info->cause.code));
    sim_check_text(app->w, "an error's text", info->cause.text);
    sim_trace(app->w, "ended: %s, %s", wst_state_name(state), wst_err_name(info->cause.code));
    leave(app, SIM_CB_ENDED);
}

static void on_pong(struct wst_client *client, uint64_t rtt_us, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_PONG);
    if (!app->open)
        sim_fail(app->w, "a pong while it is not open");
    sim_trace(app->w, "pong after %" PRIu64 " ms", rtt_us / 1000);
    leave(app, SIM_CB_PONG);
}

static void on_drained(struct wst_client *client, void *arg)
{
    struct sim_app *app = arg;
    size_t queued = wst_client_buffered(client) - wst__offline_payload(client->offline);

    enter(app, SIM_CB_DRAINED);
    if (queued > app->config.queue_low_water)
        sim_fail(app->w, "drained, and %zu bytes are queued", queued);
    sim_trace(app->w, "drained");
    leave(app, SIM_CB_DRAINED);
}

static enum wst_verdict on_verdict(struct wst_client *client, const struct wst_cause *cause,
                                   void *arg)
{
    struct sim_app *app = arg;
    enum wst_verdict verdict = WST_VERDICT_DEFAULT;

    (void)client;
    enter(app, SIM_CB_VERDICT);
    if (cause->code == 0 || cause->cls == WST_CLASS_NONE)
        sim_fail(app->w, "a verdict is asked of nothing");
    if (!app->trying && !app->open)
        sim_fail(app->w, "a verdict is asked outside of an attempt and a link");
    sim_check_text(app->w, "a cause's text", cause->text);
    app->asked = true;
    if (app->verdict)
        verdict = app->verdict(app, cause);
    app->said = verdict;
    leave(app, SIM_CB_VERDICT);
    return verdict;
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    struct sim_app *app = arg;

    (void)level;
    enter(app, SIM_CB_LOG);
    sim_check_text(app->w, "the log", text);
    if (strpbrk(text, "\r\n"))
        sim_fail(app->w, "a line end in the log");
    leave(app, SIM_CB_LOG);
}

/* ---- Providers, the store ------------------------------------------------------------------ */

static void note_question(struct sim_app *app, enum wst_step step)
{
    if (step == WST_STEP_TICKET && ++app->tickets_asked > MAX_TICKETS)
        sim_fail(app->w, "%u tickets in one attempt", app->tickets_asked);
}

static void on_provide(struct sim_app *app, enum wst_step step, uint64_t request, const char *token)
{
    enter(app, SIM_CB_PROVIDE);
    if (!app->trying)
        sim_fail(app->w, "the application is asked outside of an attempt");
    note_question(app, step);
    app->request = request;
    app->request_step = step;
    app->request_attempt = app->attempt;
    sim_trace(app->w, "the application is asked for a %s%s", wst_step_name(step),
              token ? " (with a token)" : "");
    leave(app, SIM_CB_PROVIDE);
}

static void on_token_cb(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    (void)client;
    on_provide(arg, WST_STEP_TOKEN, request, token);
}

static void on_ticket_cb(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    (void)client;
    on_provide(arg, WST_STEP_TICKET, request, token);
}

static void on_load(struct wst_client *client, uint64_t request, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_STORE);
    app->load_request = request;
    sim_trace(app->w, "store: load");
    leave(app, SIM_CB_STORE);
}

static void on_save(struct wst_client *client, const struct wst_stored_token *t, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_STORE);
    app->stored = true;
    (void)snprintf(app->stored_token, sizeof app->stored_token, "%s", t->token);
    (void)snprintf(app->stored_origin, sizeof app->stored_origin, "%s", t->origin);
    app->stored_at = t->received_at;
    app->stored_life_s = t->life_s;
    sim_trace(app->w, "store: save %s, %" PRId64 " s", t->origin, t->life_s);
    leave(app, SIM_CB_STORE);
}

static void on_clear(struct wst_client *client, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_STORE);
    app->stored = false;
    sim_trace(app->w, "store: clear");
    leave(app, SIM_CB_STORE);
}

void sim_use_store(struct sim_app *app)
{
    app->config.store_load = on_load;
    app->config.store_save = on_save;
    app->config.store_clear = on_clear;
    app->config.store_arg = app;
}

/* ---- What the world tells ------------------------------------------------------------------ */

uint64_t sim_app_attempt(const struct sim_world *w)
{
    return w->app->attempt;
}

static void check_under_way(struct sim_app *app, const char *what)
{
    if (!app->trying)
        sim_fail(app->w, "%s outside of an attempt", what);
    if (app->closing && app->client && app->client->ended)
        sim_fail(app->w, "%s after close", what);
}

void sim_app_http(struct sim_world *w, enum wst_step step)
{
    check_under_way(w->app, "a request");
    note_question(w->app, step);
}

void sim_app_dial(struct sim_world *w)
{
    check_under_way(w->app, "a dial");
}

void sim_app_upgrade(struct sim_world *w, struct sim_ticket *ticket)
{
    (void)ticket;
    check_under_way(w->app, "an upgrade");
    if (++w->app->upgrades > 1)
        sim_fail(w, "two upgrades in one attempt");
    if (ticket && w->app->tickets_asked == 0)
        sim_fail(w, "an upgrade with a ticket that this attempt did not ask for");
}

void sim_app_taken(struct sim_world *w, int opcode, const uint8_t *payload, size_t n)
{
    struct sim_app *app = w->app;
    size_t id = 0;

    if (opcode == 1 && n >= 10 && payload[0] == 'm')
        id = strtoull((const char *)payload + 1, NULL, 10);
    if (id == 0 || id > app->sent || app->messages[id].fate != ACCEPTED ||
        app->messages[id].waits) {
        sim_fail(w, "message %zu is on the wire, and does not wait to be sent", id);
        return;
    }
    if (id <= app->last_taken)
        sim_fail(w, "message %zu is on the wire after %zu", id, app->last_taken);
    app->last_taken = id;
    app->messages[id].fate = TAKEN;
    app->taken++;
    sim_trace(w, "client: message %zu, %zu bytes", id, n);
}

/* ---- The public functions ------------------------------------------------------------------ */

#define CALL(app, rc, call)                                                                        \
    do {                                                                                           \
        (app)->w->in_api++;                                                                        \
        (rc) = (call);                                                                             \
        (app)->w->in_api--;                                                                        \
    } while (0)

static int told(struct sim_app *app, const char *what, int rc)
{
    if (rc != 0)
        sim_trace(app->w, "> %s: %s", what, wst_err_name(rc));
    else
        sim_trace(app->w, "> %s", what);
    return rc;
}

int sim_start(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_start(app->client));
    if (rc == 0)
        app->starts++;
    return told(app, "start", rc);
}

int sim_stop(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_stop(app->client));
    return told(app, "stop", rc);
}

int sim_stop_with(struct sim_app *app, int code, const char *reason)
{
    int rc;

    CALL(app, rc, wst_client_stop_with(app->client, code, reason));
    return told(app, "stop_with", rc);
}

int sim_wake(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_wake(app->client));
    if (rc == 0)
        app->woken_us = app->w->real_us;
    return told(app, "wake", rc);
}

int sim_ping(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_ping(app->client));
    app->pinged = app->pinged || rc == 0;
    return told(app, "ping", rc);
}

int sim_pause(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_pause(app->client));
    if (rc == 0)
        app->paused = true;
    return told(app, "pause", rc);
}

int sim_resume(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_resume(app->client));
    if (rc == 0)
        app->paused = false;
    sim_ws_forget_ping(app->w);
    return told(app, "resume", rc);
}

static void note_accepted(struct sim_app *app, bool waits)
{
    size_t id = ++app->sent;

    if (id + 1 > app->messages_room) {
        app->messages_room = (id + 1) * 2;
        app->messages = realloc(app->messages, app->messages_room * sizeof *app->messages);
        if (!app->messages)
            abort();
    }
    app->messages[id] = (struct sim_sent){.fate = ACCEPTED,
                                          .waits = waits,
                                          .at_us = app->w->real_us,
                                          .slept_us = app->w->slept_us,
                                          .start = app->starts};
}

/* The first |n| bytes of a message behind its name, from |at| on. */
static char *payload(size_t id, size_t at, size_t n)
{
    char *text = malloc(n + 11);

    if (!text)
        abort();
    for (size_t i = 0; i < n && i < 26; i++)
        text[i] = pattern[(at + i + 26 - 10) % 26];
    for (size_t have = 26; have < n; have *= 2)
        memcpy(text + have, text, have < n - have ? have : n - have);
    if (at == 0) {
        char name[11];

        (void)snprintf(name, sizeof name, "m%08zu ", id % 100000000);
        memcpy(text, name, 10);
    }
    return text;
}

/* Is it right that a message was accepted, or refused with NOT_OPEN? */
static void check_accepted(struct sim_app *app, int rc)
{
    bool open = app->state == WST_STATE_OPEN && !app->closing;
    bool may_wait = app->config.offline_messages && !app->closing && wst__driver_wants(app->client);

    if (rc == 0 && !open && !may_wait)
        sim_fail(app->w, "send accepts while it is not open");
    if (rc == WST_ERR_NOT_OPEN && may_wait)
        sim_fail(app->w, "send refuses what may wait");
}

int sim_send(struct sim_app *app, size_t n)
{
    size_t len = n < 10 ? 10 : n;
    char *text = payload(app->sent + 1, 0, len);
    size_t waiting = wst__offline_count(app->client->offline);
    int rc;

    CALL(app, rc,
         wst_client_send(app->client, WST_TEXT, text, len, (void *)(uintptr_t)(app->sent + 1)));
    free(text);
    check_accepted(app, rc);
    if (rc == 0)
        note_accepted(app, wst__offline_count(app->client->offline) > waiting);
    return told(app, "send", rc);
}

int sim_send_chunk(struct sim_app *app, size_t n, unsigned flags)
{
    bool first = flags & WST_CHUNK_FIRST;
    size_t len = first && n < 10 ? 10 : n;
    size_t id = first ? app->sent + 1 : app->chunk_id;
    char *text = payload(id, first ? 0 : app->chunk_len, len);
    int rc;

    CALL(app, rc,
         wst_client_send_chunk(app->client, WST_TEXT, text, len, flags,
                               first ? (void *)(uintptr_t)id : NULL));
    free(text);
    if (rc != 0)
        return told(app, "send_chunk", rc);
    if (app->state != WST_STATE_OPEN || app->closing)
        sim_fail(app->w, "send_chunk accepts while it is not open");
    if (first != (app->chunk_id == 0))
        sim_fail(app->w, first ? "a message inside another" : "a chunk that continues nothing");
    if (first) {
        note_accepted(app, false);
        app->chunk_len = 0;
    }
    app->chunk_id = flags & WST_CHUNK_LAST ? 0 : id;
    app->chunk_len += len;
    return told(app, "send_chunk", rc);
}

static void on_post(struct wst_client *client, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    enter(app, SIM_CB_POST);
    sim_trace(app->w, "posted");
    leave(app, SIM_CB_POST);
}

int sim_post(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_post(app->client, on_post, app));
    return told(app, "post", rc);
}

int sim_set_token(struct sim_app *app, uint64_t id, uint64_t life_ms)
{
    char text[64];
    int rc;

    sim_token_text(text, sizeof text, id);
    CALL(app, rc, wst_client_set_token(app->client, text, life_ms));
    if (rc == 0 && app->request_step == WST_STEP_TOKEN)
        app->request_attempt = 0; /* Which answers the question. */
    return told(app, "set_token", rc);
}

int sim_forget_token(struct sim_app *app)
{
    int rc;

    CALL(app, rc, wst_client_forget_token(app->client));
    return told(app, "forget_token", rc);
}

/* A ticket that the application fetched by itself. */
static uint64_t mint_ticket(struct sim_app *app)
{
    struct sim_server *s = &app->w->server;
    struct sim_ticket *t;

    s->tickets = realloc(s->tickets, (s->ticket_count + 1) * sizeof *s->tickets);
    if (!s->tickets)
        abort();
    t = &s->tickets[s->ticket_count++];
    *t = (struct sim_ticket){.id = s->ticket_count,
                             .attempt = app->attempt,
                             .asked_us = app->w->real_us,
                             .until_us = app->w->real_us + 30000000,
                             .life_ms = 30000};
    return t->id;
}

int sim_provide(struct sim_app *app)
{
    uint64_t request = app->request;
    char text[64];
    int rc;

    if (app->request_step == WST_STEP_TOKEN)
        sim_token_text(text, sizeof text, sim_token_mint(app->w));
    else
        (void)snprintf(text, sizeof text, "tkt-" SIM_SECRET "&=+/%%-%" PRIu64, mint_ticket(app));
    app->request = 0;
    CALL(app, rc, wst_client_provide(app->client, request, text, 0));
    return told(app, "provide", rc);
}

/* Does the question stand?  Not once a token was set, or the attempt has gone on without it. */
static bool is_awaited(const struct sim_app *app)
{
    bool of_token = app->request_step == WST_STEP_TOKEN;

    return app->client && app->request && app->trying && app->request_attempt == app->attempt &&
           app->state == (of_token ? WST_STATE_TOKEN : WST_STATE_TICKET) &&
           !(of_token && app->client->token_changed);
}

int sim_provide_failed(struct sim_app *app, int status, uint64_t retry_after_ms)
{
    uint64_t request = app->request;
    bool awaited = is_awaited(app);
    int rc;

    app->request = 0;
    CALL(app, rc,
         wst_client_provide_failed(app->client, request, status, retry_after_ms,
                                   "the application could not"));
    if (rc == 0 && awaited)
        app->w->asked = (struct sim_asked){.delay_ms = retry_after_ms};
    return told(app, "provide_failed", rc);
}

int sim_loaded(struct sim_app *app)
{
    struct wst_stored_token t = {app->stored_token, app->stored_origin, app->stored_at,
                                 app->stored_life_s};
    uint64_t request = app->load_request;
    int rc;

    app->load_request = 0;
    CALL(app, rc, wst_client_token_loaded(app->client, request, app->stored ? &t : NULL));
    return told(app, "token_loaded", rc);
}

/* ---- Life ---------------------------------------------------------------------------------- */

void sim_app_init(struct sim_app *app, struct sim_world *w)
{
    struct wst_config *c = &app->config;

    memset(app, 0, sizeof *app);
    app->w = w;
    w->app = app;
    wst_config_init(c);
    c->url = "https://api.example.com";
    c->jitter_percent = 0;
    c->arg = app;
    c->token_cb = on_token_cb;
    c->ticket_cb = on_ticket_cb;
    c->on_state = on_state;
    c->on_attempt = on_attempt;
    c->on_progress = on_progress;
    c->on_attempt_failed = on_attempt_failed;
    c->on_open = on_open;
    c->on_message = on_message;
    c->on_closed = on_closed;
    c->on_unsent = on_unsent;
    c->on_ended = on_ended;
    c->on_pong = on_pong;
    c->on_drained = on_drained;
    c->on_verdict = on_verdict;
    c->log_cb = on_log;
    c->log_level = WST_LOG_DEBUG;
}

void sim_app_make(struct sim_app *app)
{
    struct wst_cause why = {0};

    if (wst__client_new_on(&app->client, &app->w->ports, &app->config, &why) != 0)
        sim_fail(app->w, "no client: %s", why.text);
}

static void check_stats(struct sim_app *app)
{
    struct wst_stats s = {.size = sizeof s};

    if (wst_client_stats(app->client, &s) != 0) {
        sim_fail(app->w, "no statistics");
        return;
    }
    if (s.attempts != app->counts[SIM_CB_ATTEMPT] || s.opens != app->counts[SIM_CB_OPEN])
        sim_fail(app->w, "the statistics count %" PRIu64 " attempts, %" PRIu64 " opens", s.attempts,
                 s.opens);
    if (s.messages_sent != app->taken || s.unsent_messages != app->unsent)
        sim_fail(app->w,
                 "the statistics count %" PRIu64 " sent, %" PRIu64 " unsent; it is %" PRIu64
                 ", %" PRIu64,
                 s.messages_sent, s.unsent_messages, app->taken, app->unsent);
    if (s.messages_received < app->counts[SIM_CB_MESSAGE])
        sim_fail(app->w, "the statistics count %" PRIu64 " received", s.messages_received);
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct sim_app *app = arg;

    (void)client;
    if (app->w->in_api)
        sim_fail(app->w, "the close callback inside a call of the API");
    if (++app->close_cbs > 1)
        sim_fail(app->w, "two close callbacks");
    if (app->trying || app->open || app->must_end)
        sim_fail(app->w, "the close callback while an attempt or a link is there");
    if (app->ends != app->starts)
        sim_fail(app->w, "%" PRIu64 " terminal events of %" PRIu64 " starts", app->ends,
                 app->starts);
    check_stats(app);
    for (size_t id = 1; id <= app->sent; id++) {
        if (app->messages[id].fate == ACCEPTED)
            sim_fail(app->w, "gone, and of message %zu nothing is known", id);
    }
    sim_trace(app->w, "gone");
    app->gone = true;
    app->client = NULL;
}

void sim_close(struct sim_app *app)
{
    if (!app->client)
        return;
    app->w->in_api++;
    wst_client_close(app->client, on_gone, app);
    app->w->in_api--;
    app->closing = true;
    sim_trace(app->w, "> close");
}

void sim_app_finish(struct sim_app *app)
{
    struct sim_world *w = app->w;

    if (app->client && !app->closing)
        sim_close(app);
    sim_drain(w);
    if (!*w->failure && !app->gone)
        sim_fail(w, "the close callback never came");
    if (!*w->failure && (w->https_live || w->streams_live || w->files_live || !w->net))
        sim_fail(w, "something is left behind");
    free(app->messages);
    free(app->piece);
    app->messages = NULL;
    app->piece = NULL;
}

/* ---- Between events ------------------------------------------------------------------------ */

static bool is_at_rest(enum wst_state state)
{
    return state == WST_STATE_IDLE || state == WST_STATE_FAILED;
}

/* A ticket lives from its answer to its upgrade, and no longer. */
static void check_secrets(struct sim_app *app, enum wst_state state)
{
    const struct wst_client *cl = app->client;
    bool may = (state == WST_STATE_TICKET || state == WST_STATE_CONNECTING) && app->upgrades == 0;

    if (!may && (wst__client_has_ticket(cl) || (cl->asking && cl->asking->one_time_url)))
        sim_fail(app->w, "a ticket is kept in state %s", wst_state_name(state));
}

/* Promise 4, and that what is not wanted is not there. */
/* What leaves first after a sleep is asked once more, and may have to wait for its turn then. */
static uint64_t ping_patience_ms(const struct sim_app *app)
{
    const struct wst_config *c = &app->config;
    uint64_t ms = c->ping_timeout_ms + app->w->timer_late_ms + 1;

    return sim_ws_blocked_since_sleep(app->w) ? ms + c->ping_interval_ms + c->ping_timeout_ms : ms;
}

void sim_app_check(struct sim_app *app)
{
    struct sim_world *w = app->w;
    enum wst_state state;

    if (!app->client || app->closing || w->turns.next != &w->turns)
        return;
    state = wst_client_state(app->client);
    if (state != app->state)
        sim_fail(w, "the state is %s, and was not told", wst_state_name(state));
    if (wst__driver_wants(app->client) && is_at_rest(state))
        sim_fail(w, "the connection is wanted, and the client is %s", wst_state_name(state));
    if (!wst__driver_wants(app->client) && !is_at_rest(state) && state != WST_STATE_CLOSING)
        sim_fail(w, "no connection is wanted, and the client is %s", wst_state_name(state));
    if (is_at_rest(state) != !sim_timer_armed(w) &&
        !(state == WST_STATE_OPEN && app->config.ping_interval_ms == 0))
        sim_fail(w, "the client is %s and its timer is %sarmed", wst_state_name(state),
                 sim_timer_armed(w) ? "" : "not ");
    if ((is_at_rest(state) || state == WST_STATE_BACKOFF) && (w->https_live || w->streams_live))
        sim_fail(w, "the client is %s, and something is under way", wst_state_name(state));
    if ((state == WST_STATE_OPEN || state == WST_STATE_CLOSING) &&
        (w->streams_live != 1 || w->https_live))
        sim_fail(w, "the client is %s with %zu connections, %zu requests", wst_state_name(state),
                 w->streams_live, w->https_live);
    check_secrets(app, state);
    if (app->open != (state == WST_STATE_OPEN || state == WST_STATE_CLOSING))
        sim_fail(w, "the client is %s, and that was not told", wst_state_name(state));
    /* Promise 12. */
    if (state == WST_STATE_OPEN && !app->paused && !app->pinged &&
        sim_ws_silent_ms(w) > ping_patience_ms(app))
        sim_fail(w, "the peer is silent for %" PRIu64 " ms since it was pinged",
                 sim_ws_silent_ms(w));
}

void sim_app_run(struct sim_app *app, uint64_t ms)
{
    struct sim_world *w = app->w;
    uint64_t slept = w->slept_us;
    uint64_t until_us = w->real_us + ms * 1000;

    while (!*w->failure && sim_step(w, until_us + (w->slept_us - slept)))
        sim_app_check(app);
    sim_run(w, w->real_us < until_us + (w->slept_us - slept)
                   ? (until_us + (w->slept_us - slept) - w->real_us) / 1000
                   : 0);
}
