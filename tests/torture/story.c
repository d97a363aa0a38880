/* The client's side of the story, and what must be true of it. */
#include "story.h"

#include "wsticket/wsticket.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#ifdef __SANITIZE_ADDRESS__
enum { SLOWER = 4 };
#else
enum { SLOWER = 1 };
#endif

enum {
    TICK_MS = 2,
    TOO_LONG_MS = 15 * 1000 * SLOWER,
    STEP_MS = 800 * SLOWER, /* A transfer that is stalled by a fault ends by its deadline. */
    PATIENT_STEP_MS = 5000 * SLOWER,
    TRIES = 30, /* To make loop and client. */
    ATTEMPTS = 30,
    TEXT_BYTES = 3000 /* Of a message: more than goes uncompressed. */
};

struct story {
    const struct fault_plan *plan;
    uv_loop_t uv;
    uv_timer_t tick;
    struct wst_config config;
    struct wst_client *client;
    char url[64], ca_file[160], ca_dir[160], identity[160], cache[160];
    char text[TEXT_BYTES];
    int ticks, tries;
    int attempts, failures, opens, closes, echoes, ended, gone, posted;
    int waited, unsent; /* A message for when it is open; messages that were lost. */
    bool open, half, sent, echoed, dropped, stopped, done, loop_gone;
    char problem[600];
    struct wst_cause last;
};

static void wrong(struct story *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Only the first counts: the story stops there. */
static void wrong(struct story *s, const char *format, ...)
{
    char what[200];
    va_list ap;

    if (*s->problem)
        return;
    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    (void)snprintf(s->problem, sizeof s->problem,
                   "%s (%s; %d attempts, %d failures, %d opens, %d closes, %d echoes; last: %s %s)",
                   what, s->client ? wst_state_name(wst_client_state(s->client)) : "no client",
                   s->attempts, s->failures, s->opens, s->closes, s->echoes,
                   wst_err_name(s->last.code), s->last.text);
    uv_stop(&s->uv);
}

static void check_cause(struct story *s, const struct wst_cause *why, const char *of)
{
    s->last = *why;
    if (why->code >= 0 || !*why->text || !*wst_err_name(why->code))
        wrong(s, "%s has no cause", of);
    if (s->plan->patient && why->code == WST_ERR_TIMEOUT)
        wrong(s, "the fault was noticed by a deadline only");
    if (s->plan->harmless && s->attempts > 0)
        wrong(s, "%s, though the fault was harmless", of);
}

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    struct story *s = arg;

    (void)client;
    (void)attempt;
    if (s->open || s->attempts != s->opens + s->failures)
        wrong(s, "two attempts at a time");
    if (++s->attempts > ATTEMPTS)
        wrong(s, "it does not open any more");
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct story *s = arg;

    s->failures++;
    check_cause(s, &info->cause, "a failed attempt");
    (void)wst_client_wake(client);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct story *s = arg;

    (void)subprotocol;
    if (s->open)
        wrong(s, "open twice");
    s->opens++;
    s->open = true;
    s->half = s->sent = s->echoed = false;
    (void)wst_client_ping(client);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct story *s = arg;

    (void)client;
    if ((!s->sent && !s->waited) || type != WST_TEXT || len != sizeof s->text ||
        memcmp(data, s->text, len) != 0)
        wrong(s, "another message came back");
    s->echoes++;
    s->echoed = true;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct story *s = arg;

    if (!s->open)
        wrong(s, "closed, but not open");
    s->open = false;
    s->closes++;
    s->last = info->info.cause;
    if (!s->stopped && !(s->plan->harmless && s->dropped && s->opens == 1))
        check_cause(s, &info->info.cause, "a lost connection");
    (void)wst_client_wake(client);
}

/* With its name and a reason, and none that was not accepted. */
static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    struct story *s = arg;

    (void)client;
    if (ref != s || reason >= 0 || len > sizeof s->text || ++s->unsent > s->waited + s->opens)
        wrong(s, "a message is unsent that was not");
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->ended++;
    s->last = info->cause;
    if (state != WST_STATE_IDLE || !s->stopped)
        wrong(s, "it gave up");
}

static void on_posted(struct wst_client *client, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->posted++;
}

/* ---- The end, and the next try ------------------------------------------------------------- */

static void on_loop_gone(void *arg)
{
    struct story *s = arg;

    s->loop_gone = true;
    s->config.loop = NULL;
    if (s->done)
        uv_close((uv_handle_t *)&s->tick, NULL);
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->gone++;
    s->client = NULL;
    s->done = true;
    if (wst_loop_close(s->config.loop, on_loop_gone, s) != 0)
        wrong(s, "the loop cannot be closed");
}

/* Makes what is not there yet; what fails is tried again by the next tick. */
static void make(struct story *s)
{
    struct wst_cause why = {0};
    int rc;

    if (++s->tries > TRIES) {
        wrong(s, "loop and client cannot be made");
        return;
    }
    if (!s->config.loop) {
        rc = wst_loop_new(&s->config.loop, &s->uv);
        if (rc != 0) {
            s->config.loop = NULL;
            if (rc != WST_ERR_NOMEM && rc != WST_ERR_IO)
                wrong(s, "the loop is refused: %s", wst_err_name(rc));
            return;
        }
        s->loop_gone = false;
    }
    rc = wst_client_new(&s->client, &s->config, &why);
    if (rc == 0) {
        if (wst_client_start(s->client) != 0)
            wrong(s, "start is refused");
        rc = wst_client_send(s->client, WST_TEXT, s->text, sizeof s->text, s);
        if (rc != 0 && rc != WST_ERR_NOMEM)
            wrong(s, "what may wait is refused: %s", wst_err_name(rc));
        s->waited = rc == 0;
        return;
    }
    s->client = NULL;
    check_cause(s, &why, "a refused client");
    if (rc != why.code)
        wrong(s, "two errors");
    if (rc != WST_ERR_NOMEM && rc != WST_ERR_IO && rc != WST_ERR_ENTROPY)
        wrong(s, "the client is refused: %s", wst_err_name(rc));
    /* One time in two with a new loop, too. */
    if (s->tries % 2 && wst_loop_close(s->config.loop, on_loop_gone, s) != 0)
        wrong(s, "the loop cannot be closed");
}

static bool say(struct story *s, const char *text, size_t n)
{
    return wst_client_send(s->client, WST_TEXT, text, n, s) == 0;
}

static bool say_chunk(struct story *s, size_t from, size_t n, unsigned flags)
{
    return wst_client_send_chunk(s->client, WST_TEXT, s->text + from, n, flags, s) == 0;
}

static void talk(struct story *s)
{
    if (s->open && !s->sent && s->opens == 1)
        s->sent = say(s, s->text, sizeof s->text);
    if (s->open && !s->half && s->opens > 1)
        s->half = say_chunk(s, 0, sizeof s->text / 2, WST_CHUNK_FIRST);
    if (s->open && !s->sent && s->half)
        s->sent =
            say_chunk(s, sizeof s->text / 2, sizeof s->text - sizeof s->text / 2, WST_CHUNK_LAST);
    if (s->open && s->echoed && s->opens == 1 && !s->dropped)
        s->dropped = say(s, STORY_DROP, sizeof STORY_DROP - 1);
    if (s->posted == 0 && wst_client_post(s->client, on_posted, s) == 0)
        s->posted = -1;
    if (s->opens >= 2 && s->echoed && s->open && !s->stopped) {
        s->stopped = true;
        if (wst_client_stop(s->client) != 0)
            wrong(s, "stop is refused");
    }
    if (s->ended)
        wst_client_close(s->client, on_gone, s);
}

static void on_tick(uv_timer_t *timer)
{
    struct story *s = timer->data;

    if (++s->ticks > TOO_LONG_MS / TICK_MS) {
        wrong(s, "it stands still");
    } else if (s->client) {
        talk(s);
    } else if (!s->done && !(s->config.loop && s->tries % 2 && !s->loop_gone)) {
        make(s);
    }
}

/* ---- The beginning ------------------------------------------------------------------------- */

static void configure(struct story *s, const struct stage *stage)
{
    struct wst_config *c = &s->config;
    uint64_t step_ms = s->plan->patient ? PATIENT_STEP_MS : STEP_MS;

    (void)snprintf(s->url, sizeof s->url, "https://localhost:%u", stage->port);
    (void)snprintf(s->ca_file, sizeof s->ca_file, "%s/ca.pem", stage->dir);
    (void)snprintf(s->ca_dir, sizeof s->ca_dir, "%s/cas", stage->dir);
    (void)snprintf(s->identity, sizeof s->identity, "%s/client.pem", stage->dir);
    (void)snprintf(s->cache, sizeof s->cache, "%s/token-%d", stage->dir, (int)getpid());
    wst_config_init(c);
    c->url = s->url;
    c->ca_file = s->ca_file;
    c->ca_dir = s->ca_dir;
    c->client_cert = c->client_key = s->identity;
    c->pinned_key = stage->pin;
    c->token_cache = s->cache;
    c->proxy = "";
    c->cookies = 1;
    c->compress = 1;
    c->give_up = WST_GIVE_UP_NEVER;
    c->base_delay_ms = 1;
    c->cap_ms = 1;
    c->step_timeout_ms = step_ms;
    c->attempt_timeout_ms = 2 * step_ms;
    c->close_timeout_ms = step_ms;
    c->arg = s;
    c->on_attempt = on_attempt;
    c->on_attempt_failed = on_attempt_failed;
    c->on_open = on_open;
    c->on_message = on_message;
    c->on_closed = on_closed;
    c->on_ended = on_ended;
    c->on_unsent = on_unsent;
    c->offline_messages = 2;
}

static void check_end(struct story *s)
{
    if (s->attempts != s->opens + s->failures)
        wrong(s, "an attempt did not end, or twice");
    if (s->opens != s->closes)
        wrong(s, "an open connection did not end, or twice");
    if (s->ended != 1 || s->gone != 1 || !s->loop_gone)
        wrong(s, "ended %d times, closed %d times, loop %s", s->ended, s->gone,
              s->loop_gone ? "gone" : "not gone");
    if (s->opens < 2 || s->echoes < 1)
        wrong(s, "it was not open twice, or nothing was sent");
    if (s->posted == -1)
        wrong(s, "what was posted was lost");
}

const char *story_tell(const struct stage *stage, const struct fault_plan *plan,
                       struct fault_report *report)
{
    static struct story s;

    memset(&s, 0, sizeof s);
    if (uv_loop_init(&s.uv) != 0 || uv_timer_init(&s.uv, &s.tick) != 0)
        return "no uv loop";
    memset(s.text, '.', sizeof s.text);
    s.plan = plan;
    s.tick.data = &s;
    (void)uv_timer_start(&s.tick, on_tick, 0, TICK_MS);
    configure(&s, stage);
    faults_arm(plan, report);
    (void)uv_run(&s.uv, UV_RUN_DEFAULT);
    faults_disarm();
    (void)unlink(s.cache);
    check_end(&s);
    if (!*s.problem && uv_loop_close(&s.uv) != 0)
        wrong(&s, "handles are left in the loop");
    return *s.problem ? s.problem : NULL;
}
