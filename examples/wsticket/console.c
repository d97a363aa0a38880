/*
 * The view for people: one line for each thing that happens, on stderr, and the received messages
 * on stdout.  Piped output is the same lines without colour and without the countdown, so that it
 * can be compared and searched.
 */
#include "options.h"
#include "status.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often the countdown is drawn. */
#define COUNTDOWN_MS 100

enum style { PLAIN, GOOD, WAIT, BAD, FAINT };

struct console {
    struct view_options options;
    bool colour;
    bool live;         /* stderr is a terminal on which a line can be drawn again. */
    bool out_terminal; /* stdout is one: what the server sends must not steer it. */
    uv_timer_t timer;  /* Draws the countdown. */
    uint64_t due_ms;   /* When the next attempt begins, on the loop's clock. */
    bool drawn;        /* The countdown stands on the screen. */
    bool ever_open;
    struct bytes line;
    struct bytes words;
};

/* ---- Lines --------------------------------------------------------------------------------- */

/* For a line in its place; it is drawn again below that. */
static void erase_countdown(struct console *c)
{
    if (c->drawn)
        output_write(c->options.err, "\r\x1b[K", 4);
    c->drawn = false;
}

static void end_countdown(struct console *c)
{
    uv_timer_stop(&c->timer);
    erase_countdown(c);
}

static void write_line(struct console *c, enum style style, const char *text)
{
    static const char *const begin[] = {[PLAIN] = "",
                                        [GOOD] = "\x1b[32m",
                                        [WAIT] = "\x1b[33m",
                                        [BAD] = "\x1b[31m",
                                        [FAINT] = "\x1b[2m"};
    bool coloured = c->colour && style != PLAIN;
    erase_countdown(c);
    c->line.len = 0;
    if (coloured)
        bytes_add(&c->line, begin[style], strlen(begin[style]));
    bytes_add_visible(&c->line, text, strlen(text), false);
    if (coloured)
        bytes_add(&c->line, "\x1b[0m", 4);
    bytes_add(&c->line, "\n", 1);
    output_write(c->options.err, c->line.data, c->line.len);
}

static void write_formatted(struct console *c, enum style style, const char *format, va_list ap)
{
    char text[1024];
    vsnprintf(text, sizeof(text), format, ap);
    write_line(c, style, text);
}

static void say(struct console *c, enum style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct console *c, enum style style, const char *format, ...)
{
    if (c->options.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    write_formatted(c, style, format, ap);
    va_end(ap);
}

/* What was lost or failed is told in every case, --quiet or not. */
static void complain(struct console *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void complain(struct console *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    write_formatted(c, BAD, format, ap);
    va_end(ap);
}

/* ---- The countdown ------------------------------------------------------------------------- */

static void draw_countdown(uv_timer_t *timer)
{
    struct console *c = timer->data;
    uint64_t now = uv_now(c->options.loop);
    uint64_t left = c->due_ms > now ? c->due_ms - now : 0;
    char text[80];
    int n = snprintf(
        text, sizeof(text), "\r\x1b[K%s     next attempt in %" PRIu64 ".%" PRIu64 " s%s",
        c->colour ? "\x1b[2m" : "", left / 1000, left % 1000 / 100, c->colour ? "\x1b[0m" : "");
    output_write(c->options.err, text, (size_t)n);
    c->drawn = true;
}

static void begin_countdown(struct console *c, uint64_t delay_ms)
{
    if (!c->live || c->options.quiet)
        return;
    c->due_ms = uv_now(c->options.loop) + delay_ms;
    draw_countdown(&c->timer);
    uv_timer_start(&c->timer, draw_countdown, COUNTDOWN_MS, COUNTDOWN_MS);
}

/* ---- Failures ------------------------------------------------------------------------------ */

/* Did the failure happen between us and the server, before anything was said? */
static bool is_network_error(int code)
{
    switch (code) {
    case WST_ERR_RESOLVE:
    case WST_ERR_CONNECT:
    case WST_ERR_PROXY:
    case WST_ERR_TIMEOUT:
    case WST_ERR_RESET:
    case WST_ERR_EOF:
    case WST_ERR_HTTP:
        return true;
    default:
        return false;
    }
}

/* Fields of the library's configuration are options here; what a server says stays as it is. */
static const char *text_of(struct console *c, const struct wst_cause *cause)
{
    if (cause->text[0] == '\0')
        return wst_strerror(cause->code);
    if (cause->code == WST_ERR_WS_CLOSED)
        return cause->text;
    c->words.len = 0;
    options_translate(cause->text, NULL, &c->words);
    return c->words.data;
}

/* The causes in words, each on a line of its own: step, what happened, class, what follows. */
static void say_causes(struct console *c, const struct wst_error_info *info)
{
    char next[64] = "no further attempt";
    if (info->next_delay_ms != WST_NO_DELAY)
        snprintf(next, sizeof(next), "next attempt in %" PRIu64 " ms", info->next_delay_ms);
    say(c, FAINT, "[WS] %s: %s (%s, attempt %" PRIu64 ", %s)", wst_step_name(info->cause.step),
        text_of(c, &info->cause), wst_class_name(info->cause.cls), info->attempt, next);
    if (info->other.code != 0)
        say(c, FAINT, "[WS] and %s: %s (%s)", wst_step_name(info->other.step),
            text_of(c, &info->other), wst_class_name(info->other.cls));
}

static void say_next(struct console *c, const struct wst_error_info *info)
{
    if (info->next_delay_ms == WST_NO_DELAY)
        return;
    say(c, WAIT, "[WS] Reconnecting in %" PRIu64 "ms (attempt %" PRIu32 ")%s", info->next_delay_ms,
        info->failures, c->options.has_ticket ? " - will fetch NEW ticket" : "");
    begin_countdown(c, info->next_delay_ms);
}

static void attempt_failed(void *self, const struct wst_error_info *info)
{
    struct console *c = self;
    const struct wst_cause *cause = &info->cause;
    bool again = info->next_delay_ms != WST_NO_DELAY;
    if (cause->code == WST_ERR_CANCELED)
        return; /* ended() tells of it. */
    if (cause->http_status)
        say(c, BAD, "[WS] Failed to connect HttpErrorResponse { status: %d }", cause->http_status);
    else
        say(c, BAD, "[WS] Failed to connect (%s)",
            is_network_error(cause->code) ? "network error" : wst_strerror(cause->code));
    if (again && cause->http_status == 503)
        say(c, WAIT, "[WS] Soft failure - service unavailable (503), will retry");
    if (again && cause->http_status == 429)
        say(c, WAIT, "[WS] Soft failure - too many requests (429), will retry");
    say_causes(c, info);
    say_next(c, info);
}

/* A reason in single quotes, as JavaScript prints it. */
static void quote(const char *reason, char *to, size_t size)
{
    size_t n = 0;
    for (; *reason && n + 3 < size; reason++) {
        if (*reason == '\'' || *reason == '\\')
            to[n++] = '\\';
        to[n++] = *reason;
    }
    to[n] = '\0';
}

static void closed(void *self, const struct wst_close_info *info)
{
    struct console *c = self;
    char reason[300]; /* At most 123 bytes (RFC 6455, 5.5), each perhaps with a backslash. */
    quote(info->reason, reason, sizeof(reason));
    say(c, info->was_clean ? PLAIN : BAD,
        "[WS] Disconnected { code: %d, reason: '%s', wasClean: %s }", info->code, reason,
        info->was_clean ? "true" : "false");
    if (info->unsent_messages)
        complain(c, "[WS] Not sent: %" PRIu64 " messages (%" PRIu64 " bytes) that were queued",
                 info->unsent_messages, info->unsent_bytes);
    if (info->info.cause.code != 0)
        say_causes(c, &info->info);
    say_next(c, &info->info);
}

/* ---- Everything else ----------------------------------------------------------------------- */

static void state(void *self, enum wst_state from, enum wst_state to)
{
    struct console *c = self;
    if (from == WST_STATE_BACKOFF)
        end_countdown(c);
    if (c->options.verbose)
        say(c, FAINT, "[WS] state: %s -> %s", wst_state_name(from), wst_state_name(to));
}

static void attempt(void *self, uint64_t number)
{
    struct console *c = self;
    if (c->options.verbose)
        say(c, FAINT, "[WS] attempt %" PRIu64 " begins", number);
}

static void progress(void *self, enum wst_progress landmark)
{
    struct console *c = self;
    switch (landmark) {
    case WST_PROGRESS_TOKEN_ENSURE:
        say(c, PLAIN, "[WS] Step 1/3: Ensuring JWT token exists...");
        break;
    case WST_PROGRESS_TOKEN_FETCH:
        say(c, PLAIN, "[Auth] Fetching JWT token from backend...");
        break;
    case WST_PROGRESS_TOKEN_ACQUIRED:
        say(c, GOOD, "[Auth] ✅ JWT token acquired");
        break;
    case WST_PROGRESS_TOKEN_READY:
        say(c, PLAIN, "[WS] JWT ready");
        break;
    case WST_PROGRESS_TICKET_REQUEST:
        say(c, PLAIN,
            "[WS] Step 2/3: Requesting NEW WebSocket ticket (one-time, %" PRIu64 "s TTL)...",
            c->options.ticket_life_ms / 1000);
        break;
    case WST_PROGRESS_TICKET_READY:
        say(c, PLAIN, "[WS] Ticket obtained, connecting to WebSocket...");
        break;
    case WST_PROGRESS_UPGRADE:
        say(c, PLAIN, "[WS] Step 3/3: Connecting %s ticket...",
            c->options.has_ticket ? "with" : "without");
        break;
    }
}

static void opened(void *self, const char *subprotocol)
{
    struct console *c = self;
    c->ever_open = true;
    say(c, GOOD, "[WS] Connected ✅");
    if (subprotocol[0])
        say(c, PLAIN, "[WS] Subprotocol: %s", subprotocol);
}

static void message(void *self, enum wst_message_type type, const void *data, size_t len)
{
    struct console *c = self;
    if (type == WST_BINARY && c->options.raw_binary) {
        output_write(c->options.out, data, len);
        return;
    }
    if (type == WST_BINARY) {
        say(c, PLAIN, "[WS] [binary %zu bytes]", len);
        return;
    }
    c->line.len = 0;
    if (c->out_terminal)
        bytes_add_visible(&c->line, data, len, true);
    else
        bytes_add(&c->line, data, len);
    bytes_add(&c->line, "\n", 1);
    output_write(c->options.out, c->line.data, c->line.len);
}

static void pong(void *self, uint64_t rtt_us)
{
    struct console *c = self;
    if (c->options.verbose)
        say(c, FAINT, "[WS] pong after %" PRIu64 ".%03" PRIu64 " ms", rtt_us / 1000, rtt_us % 1000);
}

static void timing(void *self, const struct wst_timing *t)
{
    struct console *c = self;
    say(c, PLAIN, "[WS] Timing");
    for (const struct phase *p = phases; p->name; p++) {
        uint64_t us = phase_us(t, p);
        if (us)
            say(c, PLAIN, "  %-8s %8" PRIu64 ".%03" PRIu64 " ms", p->name, us / 1000, us % 1000);
        else
            say(c, PLAIN, "  %-8s %15s", p->name, "-");
    }
}

static void log_line(void *self, enum wst_log_level level, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct console *c = self;
    c->words.len = 0;
    options_translate(text, NULL, &c->words);
    say(c, FAINT, "[log] %s: %s", names[level], c->words.data);
}

static void note(void *self, const char *text)
{
    complain(self, "[WS] %s", text);
}

static void ended(void *self, enum wst_state last, const struct wst_error_info *info,
                  int exit_status)
{
    struct console *c = self;
    end_countdown(c);
    /* With --once, an orderly end by the server is what was asked for. */
    if (last == WST_STATE_FAILED && exit_status != STATUS_OK)
        complain(c, "[WS] Giving up: %s", text_of(c, &info->cause));
    else if (exit_status == STATUS_NEVER && c->ever_open)
        complain(c, "[WS] Giving up: the connection was lost (--once)");
    else if (exit_status == STATUS_NEVER)
        say(c, FAINT, "[WS] Interrupted before it was open");
}

static void *make(const struct view_options *options)
{
    struct console *c = must_alloc(sizeof(*c));
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool clever = isatty(options->err->fd) && term && *term && strcmp(term, "dumb") != 0;
    *c = (struct console){.options = *options,
                          .live = clever,
                          .colour = clever && !(no_color && *no_color),
                          .out_terminal = isatty(options->out->fd)};
    uv_timer_init(options->loop, &c->timer);
    c->timer.data = c;
    return c;
}

static void close_timer(void *self)
{
    struct console *c = self;
    end_countdown(c);
    uv_close((uv_handle_t *)&c->timer, NULL);
}

static void release(void *self)
{
    struct console *c = self;
    bytes_free(&c->line);
    bytes_free(&c->words);
    free(c);
}

const struct view view_console = {.make = make,
                                  .state = state,
                                  .attempt = attempt,
                                  .progress = progress,
                                  .attempt_failed = attempt_failed,
                                  .open = opened,
                                  .message = message,
                                  .closed = closed,
                                  .pong = pong,
                                  .timing = timing,
                                  .log = log_line,
                                  .note = note,
                                  .ended = ended,
                                  .close = close_timer,
                                  .release = release};
