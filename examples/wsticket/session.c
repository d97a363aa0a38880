/*
 * One client from its start to its end.
 *
 * The library's callbacks are shown by the view; what they mean to this program is decided here:
 * when stdin is read, when receiving pauses, when the program ends and how.
 *
 * It ends through one door: wst_client_close(), whose callback gives every handle back; then the
 * loop runs dry.  The ways to that door: the library's terminal event (stopped or failed), and a
 * signal before the WebSocket is open, or a second one.
 */
#include "session.h"

#include "input.h"
#include "view.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Receiving pauses when so much waits for stdout and stderr, and goes on when so little does. */
#define OUTPUT_HIGH ((size_t)256 * 1024)
#define OUTPUT_LOW  ((size_t)64 * 1024)

/* Once the end was asked for, a pause loses what is under way: so much may wait then. */
#define OUTPUT_MOST ((size_t)64 * 1024 * 1024)

/* What a message can need in the queue beside its payload: 2 + 8 + 4 bytes of framing (RFC 6455,
 * 5.2), and the library's 24 bytes of notes. */
#define OVERHEAD 38

/* The bytes of the queue that so many buffered ones can take: an empty message has 6, and notes. */
#define TAKEN(buffered) (5 * (buffered))

/* The largest queue that the library makes. */
#define QUEUE_MOST ((size_t)1 << 30)

/*
 * How much longer than close_timeout_ms the first Ctrl-C may take: the library's own deadline goes
 * first, so that its event is still shown.
 */
#define FAREWELL_MORE_MS 100

/* How long what is left for stdout and stderr may take after that: their readers may never come. */
#define LAST_WRITES_MS 5000

/* How long the end waits for a read of a file: one that takes longer may never come back. */
#define LAST_READ_MS 1000

/* The same signal so soon after is no second wish: timeout(1) sends one to us and to our group. */
#define SAME_SIGNAL_MS 50

struct session {
    /* What the user asked for, without the secrets. */
    bool once, echo, timing, close_on_eof;
    bool offline;      /* Lines of stdin are taken while it is not open, too. */
    bool log_attempts; /* Show what the library logs of attempts, which the view tells anyway. */
    enum wst_message_type send_as;
    size_t low_water;

    uv_loop_t loop;
    struct wst_client *client;
    const struct view *view;
    void *shown;
    struct output out, err;
    struct input input;
    uv_signal_t interrupt, terminate;
    uv_timer_t farewell;
    uint64_t farewell_ms;

    int signal; /* The last one, and when it came. */
    uint64_t signal_at;

    bool open, ever_open;
    bool end_waits; /* stdin has ended, but it is too early to end: see end_of_input(). */
    bool asked;     /* The end was asked for: by stdin, a signal, or the reader of stdout. */
    bool hurry;     /* Nothing is waited for any more. */
    bool given_up;  /* What waits to be sent is: by a signal, or the reader of stdout. */
    bool lost;      /* A line was taken and not sent. */
    bool local;     /* This machine could not do its part. */
    bool timed;     /* The timing of this connection was shown. */
    bool rejected;  /* As it ended, the server said "not authorized". */
    bool gone;      /* The client is. */
    bool echo_full; /* Reasons to pause receiving. */
    bool output_full;
    bool out_broken; /* stdout is, and that was told. */
    bool paused;
    uint16_t rejections[16]; /* wst_config.unauthorized_codes. */
    size_t rejection_count;
    int close_code;        /* Of the last connection. */
    struct wst_cause last; /* The last failure. */
    enum wst_state end_state;
    struct wst_error_info end_info;
};

static void note(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct session *s, const char *format, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    s->view->note(s->shown, text);
}

/* ---- The end ------------------------------------------------------------------------------- */

static enum status outcome(const struct session *s)
{
    if (s->local)
        return STATUS_USAGE;
    if (s->rejected)
        return STATUS_REFUSED;
    if (s->asked)
        return s->ever_open ? STATUS_OK : STATUS_NEVER;
    if (s->once && s->ever_open && (s->close_code == 1000 || s->close_code == 1001))
        return STATUS_OK;
    if (s->last.code == WST_ERR_TLS_VERIFY)
        return STATUS_TLS;
    switch (s->last.cls) {
    case WST_CLASS_TOKEN:
    case WST_CLASS_TICKET:
    case WST_CLASS_AUTH:
    case WST_CLASS_REFUSED:
        return STATUS_REFUSED;
    default:
        return STATUS_NEVER;
    }
}

/* Who ends by the end of stdin means that all of it was sent. */
static enum status result(const struct session *s)
{
    enum status status = outcome(s);
    bool by_stdin = s->asked && !s->given_up;
    return status == STATUS_OK && by_stdin && s->lost ? STATUS_USAGE : status;
}

static size_t outputs_pending(const struct session *s)
{
    return output_pending(&s->out) + output_pending(&s->err);
}

/*
 * Leaves without waiting for a reader of stdout that may never come, or for input that may never
 * come: exit() would join libuv's threads, one of which may be blocked in its write or its read.
 */
static void leave_at_once(const struct session *s)
{
    _exit((int)result(s));
}

static void farewell_over(uv_timer_t *timer);

/*
 * A read on the pool cannot be called back, and keeps the loop alive.  Most are about to end; the
 * deadline, which is no reason to stay by itself, is for those that are not.
 */
static void await_last_read(struct session *s)
{
    bool under_way = s->input.is_file && s->input.reading;
    if (!s->gone || !under_way)
        return;
    if (s->hurry)
        leave_at_once(s);
    if (outputs_pending(s) == 0)
        uv_timer_start(&s->farewell, farewell_over, LAST_READ_MS, 0);
}

/* The client is gone: gives everything back, so that the loop runs dry when stdout is written. */
static void client_gone(struct wst_client *client, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->client = NULL;
    s->view->ended(s->shown, s->end_state, &s->end_info, (int)result(s));
    s->view->close(s->shown);
    input_close(&s->input);
    s->gone = true;
    if (uv_is_active((uv_handle_t *)&s->farewell))
        uv_timer_start(&s->farewell, farewell_over, LAST_WRITES_MS, 0);
    await_last_read(s);
    if (s->hurry && outputs_pending(s) > 0)
        leave_at_once(s);
    /* What is left is to be written or read; these may cut it short, but are no reason to stay. */
    uv_unref((uv_handle_t *)&s->interrupt);
    uv_unref((uv_handle_t *)&s->terminate);
    uv_unref((uv_handle_t *)&s->farewell);
}

static void end_client(struct session *s)
{
    if (s->client)
        wst_client_close(s->client, client_gone, s);
}

static void farewell_over(uv_timer_t *timer)
{
    struct session *s = timer->data;
    s->hurry = true;
    if (s->gone)
        leave_at_once(s);
    end_client(s);
}

/* Ends in good order when it is open, else at once. */
static void end_as_asked(struct session *s)
{
    s->asked = true;
    if (!s->client)
        return;
    if (s->open)
        wst_client_stop(s->client); /* Refused when it is under way already. */
    else
        end_client(s);
}

static void signaled(uv_signal_t *handle, int number)
{
    struct session *s = handle->data;
    bool again = uv_is_active((uv_handle_t *)&s->farewell);
    uint64_t now = uv_now(&s->loop);
    if (number == s->signal && now - s->signal_at < SAME_SIGNAL_MS)
        return;
    s->signal = number;
    s->signal_at = now;
    if (s->gone) {
        if (outputs_pending(s) == 0)
            leave_at_once(s);
        uv_signal_stop(handle); /* What is left to be written is lost, and that is no good end. */
        raise(number);
    }
    s->given_up = true;
    if (again || !s->open) {
        s->asked = true;
        s->hurry = true;
        end_client(s);
        return;
    }
    uv_timer_start(&s->farewell, farewell_over, s->farewell_ms, 0);
    end_as_asked(s);
}

/*
 * stdin has ended.  That waits until what it said can be sent, and while receiving pauses for a
 * slow reader: a stop would drop what is held back for it.
 */
static void end_of_input(struct session *s)
{
    s->end_waits = (s->offline && !s->open) || s->output_full;
    if (!s->end_waits)
        end_as_asked(s);
}

/* ---- Receiving pauses ---------------------------------------------------------------------- */

static void update_pause(struct session *s)
{
    bool want = s->echo_full || s->output_full;
    bool lossy = s->asked && s->paused; /* What was held back is gone: no more after the gap. */
    if (!s->client)
        return;
    if (want != s->paused && !lossy) {
        s->paused = want;
        if (want)
            wst_client_pause(s->client);
        else
            wst_client_resume(s->client);
    }
    if (s->end_waits)
        end_of_input(s);
}

/* stdout or stderr took something, or broke. */
static void output_changed(void *arg)
{
    struct session *s = arg;
    if (outputs_pending(s) <= OUTPUT_LOW)
        s->output_full = false;
    update_pause(s);
    await_last_read(s);
}

static void stdout_changed(void *arg)
{
    struct session *s = arg;
    if (s->out.error && !s->out_broken) {
        s->out_broken = true; /* First: the note may go to stdout. */
        s->given_up = true;
        /* The reader has had enough, as in "| head": that is no failure. */
        if (s->out.error != EPIPE) {
            s->local = true;
            note(s, "cannot write to stdout: %s", strerror(s->out.error));
        }
        if (!s->asked)
            end_as_asked(s);
    }
    output_changed(s);
}

/* ---- stdin --------------------------------------------------------------------------------- */

static bool send_line(void *arg, const char *line, size_t len, size_t number)
{
    struct session *s = arg;
    int err = wst_client_send(s->client, s->send_as, line, len, &s->input);
    if (err == WST_ERR_NOT_OPEN || err == WST_ERR_CLOSING || err == WST_ERR_QUEUE_FULL)
        return false;
    if (err == WST_ERR_TOO_LARGE && !s->open)
        return false; /* For the offline queue: it waits here. */
    if (err) {
        note(s, "Line %zu of stdin was not sent: %s", number, wst_strerror(err));
        s->lost = true;
    }
    if (wst_client_buffered(s->client) > s->low_water)
        input_pause(&s->input); /* on_drained() goes on. */
    return true;
}

static void line_too_long(void *arg, size_t number)
{
    struct session *s = arg;
    s->lost = true;
    note(s, "Line %zu of stdin was not sent: longer than %zu bytes, what --max-queue leaves it",
         number, s->input.limit);
}

static void input_ended(void *arg, int err)
{
    struct session *s = arg;
    if (err) {
        note(s, "stdin cannot be read: %s", uv_strerror(err));
        s->lost = true;
    }
    if (s->close_on_eof)
        end_of_input(s);
}

static const struct input_cbs input_cbs = {
    .line = send_line, .too_long = line_too_long, .end = input_ended};

/* ---- The library's callbacks --------------------------------------------------------------- */

static void on_state(struct wst_client *client, enum wst_state from, enum wst_state to, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->view->state(s->shown, from, to);
}

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->view->attempt(s->shown, attempt);
}

static void on_progress(struct wst_client *client, enum wst_progress progress, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->view->progress(s->shown, progress);
}

/* Once for each attempt: after its first pong, or when it ended without one. */
static void show_timing(struct session *s)
{
    struct wst_timing timing = {.size = sizeof(timing)};
    if (!s->timing || s->timed || wst_client_timing(s->client, &timing) != 0)
        return;
    s->timed = true;
    s->view->timing(s->shown, &timing);
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    (void)client;
    struct session *s = arg;
    s->last = info->cause;
    s->timed = false;
    show_timing(s);
    s->view->attempt_failed(s->shown, info);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct session *s = arg;
    s->open = s->ever_open = true;
    s->timed = false;
    s->view->open(s->shown, subprotocol);
    if (s->timing)
        wst_client_ping(client);
    if (s->end_waits)
        end_of_input(s);
    else
        input_go(&s->input);
}

/* |ref|: the input, or NULL for an echo.  What was lost with its connection is counted there. */
static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    (void)client;
    struct session *s = arg;
    if (ref)
        s->lost = true;
    if (s->open)
        return;
    note(s, "A message of %zu bytes was not sent: %s", len, wst_strerror(reason));
    if (reason == WST_ERR_TOO_OLD) /* There is room again. */
        input_go(&s->input);
}

static void send_echo(struct session *s, enum wst_message_type type, const void *data, size_t len)
{
    int err = wst_client_send(s->client, type, data, len, NULL);
    if (err && err != WST_ERR_NOT_OPEN)
        note(s, "Not echoed: %s", wst_strerror(err));
    /* Nothing more is echoed then, and to pause would drop what still comes. */
    s->echo_full = !s->asked && wst_client_buffered(s->client) > s->low_water;
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->view->message(s->shown, type, data, len);
    if (s->echo)
        send_echo(s, type, data, len);
    if (outputs_pending(s) > (s->asked ? OUTPUT_MOST : OUTPUT_HIGH))
        s->output_full = true;
    update_pause(s);
}

static void on_drained(struct wst_client *client, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->echo_full = false;
    update_pause(s);
    if (s->open)
        input_go(&s->input);
}

static bool is_rejection(const struct session *s, int code)
{
    for (size_t i = 0; i < s->rejection_count; i++)
        if (s->rejections[i] == code)
            return true;
    return false;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct session *s = arg;
    struct wst_close_info shown = *info;
    s->open = false;
    s->close_code = info->code;
    s->rejected = s->asked && is_rejection(s, info->code); /* Our own close crossed it. */
    s->last = info->info.cause;
    if (!s->offline)
        input_pause(&s->input);
    s->echo_full = false; /* What was queued is gone. */
    update_pause(s);
    show_timing(s);
    if (s->once) {
        shown.info.next_delay_ms = WST_NO_DELAY;
        wst_client_stop(client); /* Refused when it is FAILED already. */
    }
    s->view->closed(s->shown, &shown);
}

static void on_pong(struct wst_client *client, uint64_t rtt_us, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->view->pong(s->shown, rtt_us);
    show_timing(s);
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    (void)client;
    struct session *s = arg;
    s->end_state = state;
    s->end_info = *info;
    s->end_waits = false;
    if (s->last.code == 0)
        s->last = info->cause;
    end_client(s);
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    struct session *s = arg;
    /* "#3 failed: ..." is a line about attempt 3; its events have been shown. */
    if (s->log_attempts || text[0] != '#')
        s->view->log(s->shown, level, text);
}

/* ---- The beginning ------------------------------------------------------------------------- */

/*
 * Room for an echo: a message of the largest size must fit behind what may wait already.  A queue
 * of another size was asked for by the user and stays; a low-water mark above it is refused by the
 * library.
 */
static void fit_queue(struct wst_config *c, bool echo)
{
    struct wst_config defaults;
    wst_config_init(&defaults);
    if (c->queue_low_water != defaults.queue_low_water && c->queue_low_water >= c->max_queue_bytes)
        return;
    if (TAKEN(c->queue_low_water) > c->max_queue_bytes / 2)
        c->queue_low_water = c->max_queue_bytes / TAKEN(2);
    if (!echo || c->max_queue_bytes != defaults.max_queue_bytes)
        return;
    if (c->max_queue_bytes < c->max_message_bytes && c->max_message_bytes < QUEUE_MOST)
        c->max_queue_bytes = c->max_message_bytes;
    c->max_queue_bytes += TAKEN(c->queue_low_water) + OVERHEAD;
    if (c->max_queue_bytes > QUEUE_MOST)
        c->max_queue_bytes = QUEUE_MOST;
}

static void connect_callbacks(struct session *s, struct wst_config *c)
{
    c->uv_loop = &s->loop;
    c->arg = s;
    c->on_state = on_state;
    c->on_attempt = on_attempt;
    c->on_progress = on_progress;
    c->on_attempt_failed = on_attempt_failed;
    c->on_open = on_open;
    c->on_message = on_message;
    c->on_closed = on_closed;
    c->on_ended = on_ended;
    c->on_pong = on_pong;
    c->on_drained = on_drained;
    c->on_unsent = on_unsent;
    c->log_cb = on_log;
}

static void make_view(struct session *s, const struct settings *set)
{
    const struct wst_config *c = &set->config;
    struct view_options options = {.loop = &s->loop,
                                   .out = &s->out,
                                   .err = &s->err,
                                   .ticket_life_ms = c->ticket_life_ms,
                                   .has_ticket = c->ticket_step != WST_STEP_MODE_OMIT,
                                   .raw_binary = set->binary,
                                   .quiet = set->quiet,
                                   .verbose = set->verbose};
    s->view = set->json ? &view_json : &view_console;
    s->shown = s->view->make(&options);
}

static void watch_signals(struct session *s)
{
    uv_signal_init(&s->loop, &s->interrupt);
    uv_signal_init(&s->loop, &s->terminate);
    s->interrupt.data = s->terminate.data = s;
    uv_signal_start(&s->interrupt, signaled, SIGINT);
    uv_signal_start(&s->terminate, signaled, SIGTERM);
}

static void prepare(struct session *s, struct settings *set)
{
    struct wst_config *c = &set->config;
    fit_queue(c, set->echo);
    s->once = set->once;
    s->echo = set->echo;
    s->timing = set->timing;
    s->close_on_eof = set->close_on_eof;
    s->offline = c->offline_messages > 0;
    s->log_attempts = set->log_attempts;
    s->send_as = set->binary ? WST_BINARY : WST_TEXT;
    s->low_water = c->queue_low_water;
    s->rejection_count = c->unauthorized_count;
    if (c->unauthorized_count)
        memcpy(s->rejections, c->unauthorized_codes, c->unauthorized_count * sizeof(uint16_t));
    s->end_info.next_delay_ms = WST_NO_DELAY;
    s->end_info.cause.code = WST_ERR_CANCELED;
    output_init(&s->out, &s->loop, STDOUT_FILENO, stdout_changed, s);
    output_init(&s->err, &s->loop, STDERR_FILENO, output_changed, s);
    /* A longer line could never be queued behind what may wait already. */
    size_t taken = TAKEN(s->low_water) + OVERHEAD;
    input_init(&s->input, &s->loop, &input_cbs, s,
               c->max_queue_bytes > taken ? c->max_queue_bytes - taken : 0);
    s->farewell_ms = c->close_timeout_ms + FAREWELL_MORE_MS;
    uv_timer_init(&s->loop, &s->farewell);
    s->farewell.data = s;
    make_view(s, set);
    watch_signals(s);
    connect_callbacks(s, c);
}

static void say_refused(int err, const struct wst_cause *why, const char *token_from)
{
    struct bytes text = {0};
    options_translate(why->text[0] ? why->text : wst_strerror(err), token_from, &text);
    usage_error("%s", text.data);
    bytes_free(&text);
}

/* Makes the client and starts it; false after it has said why not. */
static bool begin(struct session *s, struct settings *set)
{
    struct wst_cause why = {0};
    int err = wst_client_new(&s->client, &set->config, &why);
    settings_wipe(set);
    if (err == 0)
        err = wst_client_start(s->client);
    if (err)
        say_refused(err, &why, set->token_from);
    else if (s->offline)
        input_go(&s->input);
    return err == 0;
}

static void finish(struct session *s)
{
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->farewell, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    s->view->release(s->shown);
    output_fini(&s->out);
    output_fini(&s->err);
    input_fini(&s->input);
    uv_loop_close(&s->loop);
}

enum status session_run(struct settings *settings)
{
    struct session s = {.client = NULL};
    if (uv_loop_init(&s.loop) != 0) {
        fputs("wsticket: cannot make an event loop\n", stderr);
        return STATUS_USAGE;
    }
    prepare(&s, settings);
    if (!begin(&s, settings)) {
        s.local = true;
        if (s.client)
            end_client(&s);
        else
            client_gone(NULL, &s);
    }
    uv_run(&s.loop, UV_RUN_DEFAULT);
    finish(&s);
    return result(&s);
}
