/* The client's side of the story, and what must be true of it. */
#include "story.h"

#include "wsticket/wsticket.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
    TEXT_BYTES = 3000, /* Of a message: more than goes uncompressed. */
    SECRET_PART = 12   /* So much of a secret is already too much. */
};

/* One that was accepted; its address is its name to the library. */
struct message {
    size_t len;  /* Of what was accepted. */
    int opening; /* On which connection, from 1. */
    int unsent, echoed;
    bool whole;
};

struct story {
    const struct fault_plan *plan;
    const struct stage *stage;
    uv_loop_t uv;
    uv_timer_t tick;
    struct wst_config config;
    struct wst_client *client;
    char url[64], ca_file[160], ca_dir[160], identity[160], cache[160];
    char text[TEXT_BYTES];
    struct message messages[STORY_MESSAGES];
    struct message *chunked; /* The one in chunks. */
    struct message *drop;
    unsigned message_count;
    unsigned given_before;         /* Tickets, when the attempt began. */
    uint64_t lost, lost_bytes;     /* Messages that were reported unsent, of this connection. */
    uint64_t unsent, unsent_bytes; /* Of all. */
    int ticks, tries;
    int attempts, failures, opens, closes, echoes, ended, gone, posted;
    bool open, half, sent, echoed, dropped, stopped, closing, done, loop_gone;
    char problem[600];
    struct wst_cause last;
};

static void wrong(struct story *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Only the first counts: the story stops there.  What the peer holds against us is why it refused.
 */
static void wrong(struct story *s, const char *format, ...)
{
    const char *offence = site_book_offence(s->stage->book);
    char what[200];
    va_list ap;

    if (*s->problem)
        return;
    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    (void)snprintf(s->problem, sizeof s->problem,
                   "%s (%s; %d attempts, %d failures, %d opens, %d closes, %d echoes; last: %s %s)",
                   offence ? offence : what,
                   s->client ? wst_state_name(wst_client_state(s->client)) : "no client",
                   s->attempts, s->failures, s->opens, s->closes, s->echoes,
                   wst_err_name(s->last.code), s->last.text);
    uv_stop(&s->uv);
}

/* ---- Secrets ------------------------------------------------------------------------------- */

static bool has_part(const char *text, const char *secret)
{
    char part[SECRET_PART + 1];

    (void)snprintf(part, sizeof part, "%s", secret);
    return strstr(text, part) != NULL;
}

/* Whatever the library says holds neither the token, nor a ticket, nor the query. */
static void check_text(struct story *s, const char *text, const char *of)
{
    const struct site_book *book = s->stage->book;
    bool found = has_part(text, book->token) || strstr(text, "?ticket=");

    for (unsigned i = 0, n = book->given; i < n && !found; i++)
        found = has_part(text, book->tickets[i]);
    if (found)
        wrong(s, "a secret in %s: %.120s", of, text);
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    (void)level;
    check_text(arg, text, "the log");
}

static void check_info(struct story *s, const struct wst_error_info *info, const char *of)
{
    check_text(s, info->cause.text, of);
    check_text(s, info->other.text, of);
}

/* ---- Messages ------------------------------------------------------------------------------ */

static struct message *next_message(struct story *s)
{
    if (s->message_count == STORY_MESSAGES - 1)
        wrong(s, "it sends and sends");
    return &s->messages[s->message_count];
}

static void note_accepted(struct story *s, struct message *m, size_t n, bool whole)
{
    m->len += n;
    m->whole = whole;
    if (m != &s->messages[s->message_count])
        return;
    m->opening = s->open ? s->opens : s->opens + 1;
    s->message_count++;
}

static void write_number(char *text, unsigned number)
{
    char digits[STORY_DIGITS + 1];

    (void)snprintf(digits, sizeof digits, "%0*u", STORY_DIGITS, number % STORY_MESSAGES);
    memcpy(text, digits, STORY_DIGITS);
}

static int say(struct story *s, char *text, size_t n)
{
    struct message *m = next_message(s);
    int rc;

    write_number(text, s->message_count);
    rc = wst_client_send(s->client, WST_TEXT, text, n, m);
    if (rc == 0)
        note_accepted(s, m, n, true);
    return rc;
}

/* One half, and the other. */
static bool say_chunk(struct story *s, unsigned flags)
{
    bool first = flags == WST_CHUNK_FIRST;
    struct message *m = first ? next_message(s) : s->chunked;
    size_t n = sizeof s->text / 2;

    if (first)
        write_number(s->text, s->message_count);
    if (wst_client_send_chunk(s->client, WST_TEXT, s->text + (first ? 0 : n), n, flags,
                              first ? m : NULL) != 0)
        return false;
    note_accepted(s, m, n, !first);
    s->chunked = m;
    return true;
}

static bool has_arrived(const struct story *s, const struct message *m)
{
    return s->stage->arrived[m - s->messages] > 0;
}

/* The connection ended in peace: what is not reported is there. */
static void check_arrived(struct story *s)
{
    for (unsigned i = 0; i < s->message_count; i++) {
        const struct message *m = &s->messages[i];

        if (m->opening == s->opens && !m->unsent && !has_arrived(s, m))
            wrong(s, "message %u is lost without a word", i);
    }
}

/* Each message once: it was sent or reported, and what was reported has not arrived. */
static void check_messages(struct story *s)
{
    struct wst_stats stats = {.size = sizeof stats};
    uint64_t bytes = 0;

    for (unsigned i = 0; i < s->message_count; i++) {
        const struct message *m = &s->messages[i];

        bytes += m->len;
        if (s->stage->arrived[i] + m->unsent > 1 || m->echoed > s->stage->arrived[i])
            wrong(s, "message %u arrived %d times, is unsent %d times, came back %d times", i,
                  s->stage->arrived[i], m->unsent, m->echoed);
        if (s->plan->harmless && !has_arrived(s, m))
            wrong(s, "message %u is lost, though the fault was harmless", i);
    }
    if (wst_client_stats(s->client, &stats) != 0)
        wrong(s, "no statistics");
    if (stats.messages_sent + s->unsent != s->message_count ||
        stats.bytes_sent + s->unsent_bytes != bytes || stats.unsent_messages != s->unsent)
        wrong(s, "%u messages accepted (%zu bytes), %zu sent (%zu), %zu unsent (%zu), %zu counted",
              s->message_count, (size_t)bytes, (size_t)stats.messages_sent,
              (size_t)stats.bytes_sent, (size_t)s->unsent, (size_t)s->unsent_bytes,
              (size_t)stats.unsent_messages);
}

/* ---- What the client tells ------------------------------------------------------------------- */

static void check_cause(struct story *s, const struct wst_cause *why, const char *of)
{
    s->last = *why;
    check_text(s, why->text, of);
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
    s->given_before = s->stage->book->given;
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct story *s = arg;

    s->failures++;
    check_cause(s, &info->cause, "a failed attempt");
    check_info(s, info, "a failed attempt");
    (void)wst_client_wake(client);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct story *s = arg;

    (void)subprotocol;
    if (s->open)
        wrong(s, "open twice");
    if (s->stage->book->newest <= s->given_before)
        wrong(s, "open with a ticket from before the attempt");
    s->opens++;
    s->open = true;
    s->half = s->sent = s->echoed = false;
    s->chunked = NULL;
    s->lost = s->lost_bytes = 0;
    (void)wst_client_ping(client);
    if (s->opens > 1) /* It leaves when this has returned: there is a queue to lose. */
        (void)say(s, s->text, sizeof s->text);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct story *s = arg;
    char number[STORY_DIGITS + 1] = "";
    struct message *m;

    (void)client;
    if (len >= STORY_DIGITS)
        memcpy(number, data, STORY_DIGITS);
    m = &s->messages[strtoul(number, NULL, 10) % STORY_MESSAGES];
    memcpy(s->text, number, STORY_DIGITS);
    if (!m->whole || m->len != len || type != WST_TEXT || len != sizeof s->text ||
        memcmp(data, s->text, len) != 0)
        wrong(s, "another message came back");
    m->echoed++;
    s->echoes++;
    s->echoed = s->opens == 1 || m == s->chunked;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct story *s = arg;

    if (!s->open)
        wrong(s, "closed, but not open");
    s->open = false;
    s->closes++;
    s->last = info->info.cause;
    check_info(s, &info->info, "a lost connection");
    check_text(s, info->reason, "a reason to close");
    check_info(s, wst_client_last_error(client), "the last error");
    if (!s->stopped && !(s->plan->harmless && s->dropped && s->opens == 1))
        check_cause(s, &info->info.cause, "a lost connection");
    if (info->unsent_messages != s->lost || info->unsent_bytes != s->lost_bytes)
        wrong(s, "%zu messages are unsent (%zu bytes), %zu were reported (%zu)",
              (size_t)info->unsent_messages, (size_t)info->unsent_bytes, (size_t)s->lost,
              (size_t)s->lost_bytes);
    if (info->was_clean || (s->drop && s->drop->opening == s->opens && has_arrived(s, s->drop)))
        check_arrived(s);
    (void)wst_client_wake(client);
}

/* With its name, all of it, once, and a reason. */
static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    struct story *s = arg;
    struct message *m = ref;

    (void)client;
    if (m < s->messages || m >= s->messages + s->message_count) {
        wrong(s, "a message is unsent that was not accepted");
        return;
    }
    if (m->unsent++ || m->len != len || reason >= 0)
        wrong(s, "message %d is unsent %d times, %zu bytes of %zu: %s", (int)(m - s->messages),
              m->unsent, len, m->len, wst_err_name(reason));
    s->unsent++;
    s->unsent_bytes += len;
    s->lost += s->open;
    s->lost_bytes += s->open ? len : 0;
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->ended++;
    s->last = info->cause;
    check_info(s, info, "the end");
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
        rc = say(s, s->text, sizeof s->text);
        if (rc != 0 && rc != WST_ERR_NOMEM)
            wrong(s, "what may wait is refused: %s", wst_err_name(rc));
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

static void talk(struct story *s)
{
    char drop[] = "000" STORY_DROP;

    if (s->open && !s->sent && s->opens == 1)
        s->sent = say(s, s->text, sizeof s->text) == 0;
    if (s->open && !s->half && s->opens > 1)
        s->half = say_chunk(s, WST_CHUNK_FIRST);
    if (s->open && !s->sent && s->half)
        s->sent = say_chunk(s, WST_CHUNK_LAST);
    if (s->open && s->echoed && s->opens == 1 && !s->dropped) {
        s->drop = next_message(s);
        s->dropped = say(s, drop, sizeof drop - 1) == 0;
    }
    if (s->posted == 0 && wst_client_post(s->client, on_posted, s) == 0)
        s->posted = -1;
    if (s->opens >= 2 && s->echoed && s->open && !s->stopped) {
        s->stopped = true;
        if (wst_client_stop(s->client) != 0)
            wrong(s, "stop is refused");
    }
    if (s->ended && !s->closing) {
        s->closing = true;
        check_messages(s);
        wst_client_close(s->client, on_gone, s);
    }
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

static void configure(struct story *s)
{
    const struct stage *stage = s->stage;
    struct wst_config *c = &s->config;
    uint64_t step_ms = s->plan->patient ? PATIENT_STEP_MS : STEP_MS;

    (void)snprintf(s->url, sizeof s->url, "https://localhost:%u/%u", stage->port,
                   stage->book->number);
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
    c->log_cb = on_log;
    c->log_level = WST_LOG_DEBUG;
}

static void check_end(struct story *s)
{
    const char *offence = site_book_offence(s->stage->book);

    if (offence)
        wrong(s, "%s", offence);
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
    s.stage = stage;
    s.tick.data = &s;
    (void)uv_timer_start(&s.tick, on_tick, 0, TICK_MS);
    configure(&s);
    faults_arm(plan, report);
    (void)uv_run(&s.uv, UV_RUN_DEFAULT);
    faults_disarm();
    report->unsent = (long)s.unsent;
    (void)unlink(s.cache);
    check_end(&s);
    if (!*s.problem && uv_loop_close(&s.uv) != 0)
        wrong(&s, "handles are left in the loop");
    return *s.problem ? s.problem : NULL;
}
