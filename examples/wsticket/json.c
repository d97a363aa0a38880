/*
 * The view for programs: one JSON object per line on stdout, and nothing else there.
 * docs/json.md is its schema.
 */
#include "view.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct json {
    struct view_options options;
    struct bytes text; /* A string on its way into an object. */
};

/* ---- Strings ------------------------------------------------------------------------------- */

/*
 * The length of the valid UTF-8 sequence (RFC 3629, 4) at |p|; 0 when there is none.  Texts come
 * from a server and may have been cut in the middle of a character.
 */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* No overlong forms, no surrogates, nothing above U+10FFFF. */
    bool wrong = n > 2 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
                           (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f));
    return wrong ? 0 : n;
}

/*
 * The escaped form of the character at |p|, valid UTF-8, when JSON does not take it as it is (RFC
 * 8259, 7) or a terminal takes it for a control character; NULL: neither.
 */
static const char *escaped(const unsigned char *p, char room[8])
{
    bool c1 = p[0] == 0xc2 && p[1] < 0xa0; /* U+0080 to U+009F. */
    switch (p[0]) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (p[0] >= 0x20 && p[0] != 0x7f && !c1)
            return NULL;
        snprintf(room, 8, "\\u%04x", c1 ? p[1] : p[0]);
        return room;
    }
}

/*
 * Writes |len| bytes as a JSON string.  cJSON's own strings end at the first zero byte, which a
 * text message may contain.
 */
static void escape(struct bytes *to, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t plain = 0, i = 0;
    to->len = 0;
    bytes_add(to, "\"", 1);
    while (i < len) {
        char room[8];
        size_t n = utf8_length(p + i, len - i);
        const char *instead = n == 0 ? "\\ufffd" : escaped(p + i, room);
        if (instead) {
            bytes_add(to, text + plain, i - plain);
            bytes_add(to, instead, strlen(instead));
            plain = i + (n ? n : 1);
        }
        i += n ? n : 1;
    }
    bytes_add(to, text + plain, len - plain);
    bytes_add(to, "\"", 2); /* And the zero that ends it for cJSON. */
}

static void add_bytes(struct json *j, cJSON *to, const char *name, const void *text, size_t len)
{
    escape(&j->text, text, len);
    cJSON_AddRawToObject(to, name, j->text.data);
}

static void add_text(struct json *j, cJSON *to, const char *name, const char *text)
{
    add_bytes(j, to, name, text, strlen(text));
}

/* Base64 (RFC 4648, 4). */
static void add_base64(struct json *j, cJSON *to, const char *name, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = data;
    j->text.len = 0;
    bytes_add(&j->text, "\"", 1);
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned long v = (unsigned long)p[i] << 16;
        v |= n > 1 ? (unsigned long)p[i + 1] << 8 : 0;
        v |= n > 2 ? p[i + 2] : 0;
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], digits[v >> 6 & 63], digits[v & 63]};
        memset(four + n + 1, '=', 3 - n);
        bytes_add(&j->text, four, 4);
    }
    bytes_add(&j->text, "\"", 2);
    cJSON_AddRawToObject(to, name, j->text.data);
}

/* ---- Objects ------------------------------------------------------------------------------- */

static void add_number(cJSON *to, const char *name, uint64_t number)
{
    cJSON_AddNumberToObject(to, name, (double)number);
}

/* A delay; null when there is none. */
static void add_delay(cJSON *to, const char *name, uint64_t ms)
{
    if (ms == WST_NO_DELAY)
        cJSON_AddNullToObject(to, name);
    else
        add_number(to, name, ms);
}

/* A number for which 0 means that it is not known; then null. */
static void add_known(cJSON *to, const char *name, long number)
{
    if (number == 0)
        cJSON_AddNullToObject(to, name);
    else
        cJSON_AddNumberToObject(to, name, (double)number);
}

static void add_cause(struct json *j, cJSON *to, const char *name, const struct wst_cause *cause)
{
    if (cause->code == 0) {
        cJSON_AddNullToObject(to, name);
        return;
    }
    cJSON *o = cJSON_AddObjectToObject(to, name);
    add_text(j, o, "code", wst_err_name(cause->code));
    add_text(j, o, "step", wst_step_name(cause->step));
    add_text(j, o, "class", wst_class_name(cause->cls));
    add_known(o, "http_status", cause->http_status);
    add_known(o, "close_code", cause->close_code);
    add_known(o, "errno", cause->sys_errno);
    add_known(o, "tls_verify", cause->tls_verify);
    add_text(j, o, "text", cause->text[0] ? cause->text : wst_strerror(cause->code));
}

static void add_failure(struct json *j, cJSON *to, const struct wst_error_info *info)
{
    add_cause(j, to, "cause", &info->cause);
    add_cause(j, to, "other", &info->other);
    add_number(to, "attempt", info->attempt);
    add_number(to, "failures", info->failures);
    add_delay(to, "next_delay_ms", info->next_delay_ms);
    add_number(to, "retry_after_ms", info->retry_after_ms);
}

/* The wall clock in the form of RFC 3339. */
static void add_time(struct json *j, cJSON *to)
{
    struct timespec now;
    struct tm utc;
    char date[32], text[48];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%03ldZ", date, now.tv_nsec / 1000000);
    add_text(j, to, "time", text);
}

static cJSON *begin(struct json *j, const char *event)
{
    cJSON *o = cJSON_CreateObject();
    add_time(j, o);
    add_text(j, o, "event", event);
    return o;
}

static void end(struct json *j, cJSON *o)
{
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    if (!text)
        return;
    j->text.len = 0;
    bytes_add(&j->text, text, strlen(text));
    bytes_add(&j->text, "\n", 1);
    cJSON_free(text);
    output_write(j->options.out, j->text.data, j->text.len);
}

/* ---- Events -------------------------------------------------------------------------------- */

static void state(void *self, enum wst_state from, enum wst_state to)
{
    cJSON *o = begin(self, "state");
    add_text(self, o, "from", wst_state_name(from));
    add_text(self, o, "to", wst_state_name(to));
    end(self, o);
}

static void attempt(void *self, uint64_t number)
{
    cJSON *o = begin(self, "attempt");
    add_number(o, "attempt", number);
    end(self, o);
}

static void progress(void *self, enum wst_progress landmark)
{
    static const char *const names[] = {[WST_PROGRESS_TOKEN_ENSURE] = "token_ensure",
                                        [WST_PROGRESS_TOKEN_FETCH] = "token_fetch",
                                        [WST_PROGRESS_TOKEN_ACQUIRED] = "token_acquired",
                                        [WST_PROGRESS_TOKEN_READY] = "token_ready",
                                        [WST_PROGRESS_TICKET_REQUEST] = "ticket_request",
                                        [WST_PROGRESS_TICKET_READY] = "ticket_ready",
                                        [WST_PROGRESS_UPGRADE] = "upgrade"};
    cJSON *o = begin(self, "progress");
    add_text(self, o, "progress", names[landmark]);
    end(self, o);
}

static void attempt_failed(void *self, const struct wst_error_info *info)
{
    cJSON *o = begin(self, "attempt_failed");
    add_failure(self, o, info);
    end(self, o);
}

static void opened(void *self, const char *subprotocol)
{
    cJSON *o = begin(self, "open");
    add_text(self, o, "subprotocol", subprotocol);
    end(self, o);
}

static void message(void *self, enum wst_message_type type, const void *data, size_t len)
{
    cJSON *o = begin(self, "message");
    add_text(self, o, "type", type == WST_TEXT ? "text" : "binary");
    if (type == WST_TEXT)
        add_bytes(self, o, "text", len ? data : "", len);
    else
        add_base64(self, o, "base64", data, len);
    end(self, o);
}

static void closed(void *self, const struct wst_close_info *info)
{
    cJSON *o = begin(self, "closed");
    cJSON_AddNumberToObject(o, "code", info->code);
    add_text(self, o, "reason", info->reason);
    cJSON_AddBoolToObject(o, "was_clean", info->was_clean);
    add_number(o, "unsent_messages", info->unsent_messages);
    add_number(o, "unsent_bytes", info->unsent_bytes);
    add_failure(self, o, &info->info);
    end(self, o);
}

static void pong(void *self, uint64_t rtt_us)
{
    cJSON *o = begin(self, "pong");
    add_number(o, "rtt_us", rtt_us);
    end(self, o);
}

static void timing(void *self, const struct wst_timing *t)
{
    cJSON *o = begin(self, "timing");
    for (const struct phase *p = phases; p->name; p++) {
        char name[16];
        snprintf(name, sizeof(name), "%s_us", p->name);
        uint64_t us = phase_us(t, p);
        if (us)
            add_number(o, name, us);
        else
            cJSON_AddNullToObject(o, name);
    }
    end(self, o);
}

static void log_line(void *self, enum wst_log_level level, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    cJSON *o = begin(self, "log");
    add_text(self, o, "level", names[level]);
    add_text(self, o, "text", text);
    end(self, o);
}

static void note(void *self, const char *text)
{
    cJSON *o = begin(self, "note");
    add_text(self, o, "text", text);
    end(self, o);
}

static void ended(void *self, enum wst_state last, const struct wst_error_info *info,
                  int exit_status)
{
    cJSON *o = begin(self, "ended");
    add_text(self, o, "state", wst_state_name(last));
    add_cause(self, o, "cause", &info->cause);
    cJSON_AddNumberToObject(o, "exit_status", exit_status);
    end(self, o);
}

static void *make(const struct view_options *options)
{
    struct json *j = must_alloc(sizeof(*j));
    *j = (struct json){.options = *options};
    return j;
}

static void close_nothing(void *self)
{
    (void)self; /* It holds no handle. */
}

static void release(void *self)
{
    struct json *j = self;
    bytes_free(&j->text);
    free(j);
}

const struct view view_json = {.make = make,
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
                               .close = close_nothing,
                               .release = release};
