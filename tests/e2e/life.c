/*
 * Ends a client at one moment of its life, in every way that the API knows, and checks what the
 * header promises: every call is legal in every callback; attempts, connections and starts are
 * begun and ended in pairs; the close callback is the last one; loop and memory are given back.
 *
 *   life MOMENT URL CA
 *
 * MOMENT is a callback (open, message, ...), state:NAME (inside the state callback), in:NAME
 * (outside of every callback while the client is in that state), progress:NUMBER, or post.  The
 * test sets the server's faults so that the moment comes.
 */
#include <wsticket/wsticket.h>

#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define GUARD_MS 15000
#define LATER_MS 50
#define LARGE    ((size_t)1024 * 1024)

enum action { CLOSE, CLOSE_TWICE, STOP, STOP_AND_CLOSE, STOP_AND_START, FORGET_AND_CLOSE, ACTIONS };

static const char *const action_names[ACTIONS] = {
    "close", "close twice", "stop", "stop and close", "stop and start", "everything, then close"};

struct life {
    const char *moment, *url, *ca;
    enum action action;
    bool shared; /* A wst_loop of ours, else the client makes its own. */

    uv_loop_t uv;
    uv_timer_t guard, later;
    uv_prepare_t before; /* Before and after the loop polls: outside of the client's callbacks. */
    uv_check_t after;
    struct wst_loop *loop;
    struct wst_client *client;

    bool acted, closing, closed, stopping;
    unsigned starts, ends, attempts, opens, failures, closes;
};

static void die(const struct life *l, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(const struct life *l, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "%s, %s, %s loop: ", l->moment, action_names[l->action],
            l->shared ? "shared" : "own");
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static void expect(const struct life *l, bool ok, const char *what)
{
    if (!ok)
        die(l, "%s", what);
}

static bool is(const struct life *l, const char *moment)
{
    return strcmp(l->moment, moment) == 0;
}

/* ---- The ways to end ----------------------------------------------------------------------- */

static void on_gone(struct wst_client *client, void *arg)
{
    struct life *l = arg;

    expect(l, client == l->client, "the close callback names another client");
    expect(l, !l->closed, "a second close callback");
    l->closed = true;
    uv_close((uv_handle_t *)&l->guard, NULL);
    uv_close((uv_handle_t *)&l->later, NULL);
    uv_close((uv_handle_t *)&l->before, NULL);
    uv_close((uv_handle_t *)&l->after, NULL);
    if (l->shared)
        expect(l, wst_loop_close(l->loop, NULL, NULL) == 0, "the loop cannot be closed");
}

static void close_client(struct life *l)
{
    l->closing = true;
    wst_client_close(l->client, on_gone, l);
}

static void later(uv_timer_t *timer)
{
    struct life *l = timer->data;

    if (!l->closing)
        close_client(l);
}

static void start(struct life *l)
{
    expect(l, wst_client_start(l->client) == 0, "it does not start");
    l->starts++;
}

/* Everything else that can be called, whatever it answers. */
static void call_everything(struct life *l)
{
    struct wst_stats stats = {.size = sizeof stats};
    struct wst_timing timing = {.size = sizeof timing};

    (void)wst_client_send(l->client, WST_TEXT, "last words", 10, NULL);
    (void)wst_client_send_chunk(l->client, WST_TEXT, "last", 4, WST_CHUNK_FIRST, NULL);
    (void)wst_client_ping(l->client);
    (void)wst_client_pause(l->client);
    (void)wst_client_resume(l->client);
    (void)wst_client_wake(l->client);
    (void)wst_client_forget_token(l->client);
    (void)wst_client_set_token(l->client, "another", 0);
    (void)wst_client_provide(l->client, 1, "late", 0);
    (void)wst_client_token_loaded(l->client, 1, NULL);
    (void)wst_client_stop_with(l->client, 4000, "enough");
    expect(l, wst_client_stats(l->client, &stats) == 0, "no statistics");
    expect(l, wst_client_timing(l->client, &timing) == 0, "no timing");
    expect(l, wst_client_arg(l->client) == l, "not our argument");
    expect(l, stats.state == wst_client_state(l->client), "two states");
}

static void act(struct life *l)
{
    int rc;

    switch (l->action) {
    case FORGET_AND_CLOSE:
        call_everything(l);
        close_client(l);
        return;
    case CLOSE_TWICE:
        close_client(l);
        close_client(l);
        return;
    case CLOSE:
        close_client(l);
        return;
    case STOP_AND_CLOSE:
        (void)wst_client_stop(l->client);
        close_client(l);
        return;
    case STOP:
    case STOP_AND_START:
    case ACTIONS:
        break;
    }
    rc = wst_client_stop(l->client);
    expect(l, rc == 0 || rc == WST_ERR_STATE, "stop says something else");
    l->stopping = rc == 0;
    if (l->action == STOP_AND_START) {
        start(l);
        l->stopping = false;
        uv_timer_start(&l->later, later, LATER_MS, 0);
    } else if (rc == WST_ERR_STATE) {
        uv_timer_start(&l->later, later, 0, 0);
    }
}

/* Every callback comes by here first. */
static void moment(struct life *l, const char *name)
{
    expect(l, !l->closed, "a callback after the last one");
    if (l->acted || l->closing || !is(l, name))
        return;
    l->acted = true;
    act(l);
}

/* ---- Callbacks ----------------------------------------------------------------------------- */

static void on_state(struct wst_client *client, enum wst_state from, enum wst_state to, void *arg)
{
    char name[32];

    (void)client;
    (void)from;
    snprintf(name, sizeof name, "state:%s", wst_state_name(to));
    moment(arg, name);
}

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    struct life *l = arg;

    (void)client;
    (void)attempt;
    l->attempts++;
    moment(l, "attempt");
}

static void on_progress(struct wst_client *client, enum wst_progress progress, void *arg)
{
    char name[32];

    (void)client;
    snprintf(name, sizeof name, "progress:%d", (int)progress);
    moment(arg, name);
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct life *l = arg;

    (void)client;
    (void)info;
    l->failures++;
    moment(l, "attempt_failed");
}

static void send_large(struct life *l, unsigned times)
{
    char *data = calloc(1, LARGE);

    expect(l, data != NULL, "out of memory");
    while (times-- > 0)
        expect(l, wst_client_send(l->client, WST_BINARY, data, LARGE, l) == 0, "send is refused");
    free(data);
}

/* Goes on to the moments that only come when something is done for them. */
static void provoke(struct life *l)
{
    static const char *const after_stop[] = {"closed", "ended", "state:idle", "state:closing",
                                             "in:closing"};

    if (is(l, "drained"))
        send_large(l, 1);
    if (is(l, "unsent"))
        send_large(l, 12);
    for (size_t i = 0; i < sizeof after_stop / sizeof after_stop[0]; i++) {
        if (is(l, after_stop[i]) || is(l, "unsent")) {
            expect(l, wst_client_stop(l->client) == 0, "stop is refused while open");
            return;
        }
    }
    expect(l, wst_client_send(l->client, WST_TEXT, "hello", 5, NULL) == 0, "send is refused");
    expect(l, wst_client_ping(l->client) == 0, "ping is refused");
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct life *l = arg;

    (void)client;
    (void)subprotocol;
    l->opens++;
    moment(l, "open");
    if (!l->acted)
        provoke(l);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    (void)client;
    (void)type;
    (void)data;
    (void)len;
    moment(arg, "message");
}

static void on_chunk(struct wst_client *client, enum wst_message_type type, const void *data,
                     size_t len, unsigned flags, void *arg)
{
    (void)client;
    (void)type;
    (void)data;
    (void)len;
    (void)flags;
    moment(arg, "chunk");
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct life *l = arg;

    (void)client;
    (void)info;
    l->closes++;
    moment(l, "closed");
}

static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    (void)client;
    (void)ref;
    (void)len;
    (void)reason;
    moment(arg, "unsent");
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct life *l = arg;

    (void)info;
    l->ends++;
    expect(l, l->ends <= l->starts, "more ends than starts");
    if (!l->closing)
        expect(l, wst_client_state(client) == state, "it ended in another state");
    moment(l, "ended");
    if (!l->acted || l->closing || !l->stopping)
        return;
    expect(l, state == WST_STATE_IDLE || is(l, "state:failed") || is(l, "ended"),
           "a stop ends in IDLE");
    close_client(l);
}

static void on_pong(struct wst_client *client, uint64_t rtt_us, void *arg)
{
    (void)client;
    (void)rtt_us;
    moment(arg, "pong");
}

static void on_drained(struct wst_client *client, void *arg)
{
    (void)client;
    moment(arg, "drained");
}

static enum wst_verdict on_verdict(struct wst_client *client, const struct wst_cause *cause,
                                   void *arg)
{
    (void)client;
    (void)cause;
    moment(arg, "verdict");
    return WST_VERDICT_DEFAULT;
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    (void)level;
    (void)text;
    moment(arg, "log");
}

static void posted(struct wst_client *client, void *arg)
{
    (void)client;
    moment(arg, "post");
}

static void token_cb(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    struct life *l = arg;

    (void)token;
    moment(l, "token_cb");
    if (!l->closing)
        (void)wst_client_provide(client, request, "opaque", 0);
}

static void ticket_cb(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    struct life *l = arg;

    (void)token;
    moment(l, "ticket_cb");
    if (!l->closing)
        (void)wst_client_provide(client, request, "00000000000000000000000000000000", 0);
}

static void store_load(struct wst_client *client, uint64_t request, void *arg)
{
    struct life *l = arg;

    moment(l, "store_load");
    if (!l->closing)
        (void)wst_client_token_loaded(client, request, NULL);
}

static void store_save(struct wst_client *client, const struct wst_stored_token *token, void *arg)
{
    (void)client;
    (void)token;
    moment(arg, "store_save");
}

static void store_clear(struct wst_client *client, void *arg)
{
    (void)client;
    moment(arg, "store_clear");
}

/* ---- One life ------------------------------------------------------------------------------ */

static void too_long(uv_timer_t *timer)
{
    const struct life *l = timer->data;

    die(l, l->acted ? "the end does not come (state %s)" : "the moment does not come (state %s)",
        l->closed ? "gone" : wst_state_name(wst_client_state(l->client)));
}

static void look(struct life *l)
{
    char name[32];

    if (l->closed)
        return;
    snprintf(name, sizeof name, "in:%s", wst_state_name(wst_client_state(l->client)));
    moment(l, name);
}

static void on_before(uv_prepare_t *before)
{
    look(before->data);
}

static void on_after(uv_check_t *after)
{
    look(after->data);
}

static void set_callbacks(struct life *l, struct wst_config *c)
{
    c->arg = l;
    c->on_state = on_state;
    c->on_attempt = on_attempt;
    c->on_progress = on_progress;
    c->on_attempt_failed = on_attempt_failed;
    c->on_open = on_open;
    if (is(l, "chunk"))
        c->on_chunk = on_chunk;
    else
        c->on_message = on_message;
    c->on_closed = on_closed;
    c->on_unsent = on_unsent;
    c->on_ended = on_ended;
    c->on_pong = on_pong;
    c->on_drained = on_drained;
    c->on_verdict = on_verdict;
    c->log_cb = on_log;
    c->log_level = WST_LOG_DEBUG;
    c->offline_messages = 10;
    c->store_load = store_load;
    c->store_save = store_save;
    c->store_clear = store_clear;
    c->store_arg = l;
}

static void make_client(struct life *l)
{
    struct wst_config c;
    struct wst_cause why;

    wst_config_init(&c);
    set_callbacks(l, &c);
    c.url = l->url;
    c.ca_file = l->ca;
    c.loop = l->loop;
    c.uv_loop = &l->uv;
    c.base_delay_ms = 50;
    c.cap_ms = 50;
    c.close_timeout_ms = is(l, "unsent") ? 100 : 5000;
    c.queue_low_water = 1024;
    if (is(l, "token_cb")) {
        c.token_step = WST_STEP_MODE_CALLBACK;
        c.token_cb = token_cb;
    }
    if (is(l, "ticket_cb")) {
        c.ticket_step = WST_STEP_MODE_CALLBACK;
        c.ticket_cb = ticket_cb;
    }
    if (wst_client_new(&l->client, &c, &why) != 0)
        die(l, "%s", why.text);
}

static void begin(struct life *l)
{
    uv_loop_init(&l->uv);
    uv_timer_init(&l->uv, &l->guard);
    uv_timer_init(&l->uv, &l->later);
    uv_prepare_init(&l->uv, &l->before);
    uv_check_init(&l->uv, &l->after);
    l->guard.data = l->later.data = l->before.data = l->after.data = l;
    uv_timer_start(&l->guard, too_long, GUARD_MS, 0);
    uv_prepare_start(&l->before, on_before);
    uv_check_start(&l->after, on_after);
    if (l->shared)
        expect(l, wst_loop_new(&l->loop, &l->uv) == 0, "no loop");
    make_client(l);
    moment(l, "in:idle");
    if (l->acted)
        return;
    start(l);
    if (is(l, "post"))
        expect(l, wst_client_post(l->client, posted, l) == 0, "post is refused");
}

static void live(const char *const *argv, enum action action, bool shared)
{
    struct life l = {
        .moment = argv[1], .url = argv[2], .ca = argv[3], .action = action, .shared = shared};

    begin(&l);
    uv_run(&l.uv, UV_RUN_DEFAULT);
    expect(&l, l.closed, "the loop ran dry before the close callback");
    expect(&l, uv_loop_close(&l.uv) == 0, "something was left in the loop");
    expect(&l, l.attempts == l.opens + l.failures, "an attempt did not end, or twice");
    expect(&l, l.opens == l.closes, "an open WebSocket did not end, or twice");
    expect(&l, l.starts == l.ends, "a start did not end, or twice");
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    int before = -1;

    if (argc != 4) {
        fputs("usage: life MOMENT URL CA\n", stderr);
        return 2;
    }
    for (int i = 0; i < 2 * ACTIONS; i++) {
        live((const char *const *)argv, (enum action)(i / 2), i % 2 == 1);
        /* The first life may open what the process keeps. */
        if (before < 0)
            before = count_descriptors();
    }
    if (count_descriptors() != before) {
        fprintf(stderr, "%s: descriptors were left behind\n", argv[1]);
        return 1;
    }
    puts("ok");
    return 0;
}
