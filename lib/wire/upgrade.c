/*
 * The answer to the upgrade, read byte by byte, so that it cannot matter how the bytes arrive: the
 * status line, header lines up to an empty one, and for a refusal its body.  (Bytes inside of a
 * line go together: nothing hangs on them.)  The happy path is a 101 whose head passes
 * wst__upgrade_check(); interim answers (1xx) before it are passed over.
 *
 * What ends it early: something that is not HTTP, a bare CR or LF, a NUL, a line that is no header,
 * more than the ceiling of bytes, 100 lines, 8 interim answers.
 */
#include "wire/upgrade_internal.h"

#include "base/mem.h"
#include "wire/field.h"

#include <string.h>

#define MAX_LINES   100
#define MAX_INTERIM 8

enum phase { HEAD, BODY_LENGTH, BODY_CHUNKED, BODY_EOF, OVER };

int wst__upgrade_init(struct wst__upgrade *u, const struct wst__upgrade_request *rq,
                      size_t max_header_bytes, size_t max_body_bytes)
{
    memset(u, 0, sizeof *u);
    wst__buf_init(&u->head, max_header_bytes, true); /* Cookies, perhaps. */
    wst__buf_init(&u->body, max_body_bytes, true);
    wst__buf_init(&u->offered, SIZE_MAX, false);
    u->phase = HEAD;
    u->plain = rq->url && !rq->url->tls;
    u->wall_s = rq->wall_s;
    if (wst__upgrade_note_offer(u, rq))
        return 0;
    wst__upgrade_fini(u);
    return WST_ERR_NOMEM;
}

void wst__upgrade_fini(struct wst__upgrade *u)
{
    wst__buf_fini(&u->head);
    wst__buf_fini(&u->body);
    wst__buf_fini(&u->offered);
    wst__free(u->offered_extensions);
    wst__wipe(u, sizeof *u);
    u->phase = OVER;
    u->result = WST_ERR_EOF;
}

static void finish(struct wst__upgrade *u, int result)
{
    u->phase = OVER;
    u->result = result;
    u->accepted = result == 1;
    /* A refusal whose head is wrong is still a refusal with that status. */
    if (result < 0 && u->status >= 200)
        u->cause.http_status = u->status;
}

static void finish_bad(struct wst__upgrade *u, const char *what)
{
    finish(u, wst__cause(&u->cause, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
                         "the answer to the WebSocket upgrade %s", what));
}

static void finish_too_large(struct wst__upgrade *u, const char *what, size_t limit)
{
    finish(u, wst__cause(&u->cause, WST_ERR_REPLY_TOO_LARGE, WST_STEP_CONNECT,
                         "the answer to the WebSocket upgrade has more than %zu %s", limit, what));
}

static void finish_no_memory(struct wst__upgrade *u)
{
    finish(u, wst__cause(&u->cause, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory"));
}

static void finish_refused(struct wst__upgrade *u)
{
    finish(u, wst__upgrade_refused(u));
}

/* The next answer begins. */
static void skip_interim(struct wst__upgrade *u)
{
    if (++u->interim > MAX_INTERIM) {
        finish_too_large(u, "interim (1xx) answers before it", MAX_INTERIM);
        return;
    }
    u->head.len = 0;
    u->line = u->lines = 0;
    u->status = 0;
}

static void begin_body(struct wst__upgrade *u)
{
    static const enum phase phases[] = {
        [WST__BODY_NONE] = OVER,
        [WST__BODY_LENGTH] = BODY_LENGTH,
        [WST__BODY_CHUNKED] = BODY_CHUNKED,
        [WST__BODY_EOF] = BODY_EOF,
    };

    u->phase = phases[wst__upgrade_note_refusal(u)];
    if (u->phase == OVER || u->body.max == 0 || (u->phase == BODY_LENGTH && u->body_left == 0))
        finish_refused(u);
}

static void end_head(struct wst__upgrade *u)
{
    int rc;

    if (u->status == 101) {
        rc = wst__upgrade_check(u);
        finish(u, rc == 0 ? 1 : rc);
    } else if (u->status < 200) {
        skip_interim(u);
    } else {
        begin_body(u);
    }
}

/* A whole line stands in |head| from u->line on, its CR LF at the end. */
static void end_line(struct wst__upgrade *u)
{
    const char *line = (const char *)u->head.data + u->line;
    size_t n = u->head.len - u->line - 2;
    struct wst__field f;

    u->line = u->head.len;
    if (u->status == 0) {
        int rc = wst__upgrade_status(u, line, n);

        if (rc != 0)
            finish(u, rc);
    } else if (n == 0) {
        end_head(u);
    } else if (!wst__field_split(line, n, &f)) {
        finish_bad(u, "has a line in its head that is no header (no name, folded, or with a "
                      "control character)");
    } else if (++u->lines > MAX_LINES) {
        finish_too_large(u, "header lines", MAX_LINES);
    }
}

static const char http[] = "HTTP/";
#define HTTP_LEN (sizeof http - 1)

static bool begins_as_http(const struct wst__upgrade *u)
{
    size_t n = u->head.len < HTTP_LEN ? u->head.len : HTTP_LEN;

    return memcmp(u->head.data, http, n) == 0;
}

static void take_head(struct wst__upgrade *u, uint8_t byte)
{
    bool after_cr = u->head.len > u->line && u->head.data[u->head.len - 1] == '\r';
    int rc = wst__buf_add(&u->head, &byte, 1);

    if (rc == WST_ERR_TOO_LARGE)
        finish_too_large(u, "bytes of headers", u->head.max);
    else if (rc != 0)
        finish_no_memory(u);
    else if (!begins_as_http(u))
        finish_bad(u, "is not HTTP");
    else if (byte == 0)
        finish_bad(u, "has a NUL byte in its head");
    else if ((byte == '\n') != after_cr)
        finish_bad(u, "has a line in its head that does not end in CR LF");
    else if (byte == '\n')
        end_line(u);
}

/*
 * Bytes inside of a line, which mean nothing by themselves: they are taken together.  Returns how
 * many; what is left is looked at byte by byte.
 */
static size_t take_run(struct wst__upgrade *u, const uint8_t *bytes, size_t n)
{
    size_t room = u->head.max - u->head.len;
    size_t run = 0;

    if (u->phase != HEAD || u->head.len < HTTP_LEN || u->head.data[u->head.len - 1] == '\r')
        return 0;
    while (run < n && run < room && bytes[run] > '\r')
        run++;
    if (wst__buf_add(&u->head, bytes, run) != 0)
        finish_no_memory(u);
    return run;
}

/* A byte of content; at the ceiling the refusal is complete as it is. */
static void keep(struct wst__upgrade *u, uint8_t byte)
{
    if (wst__buf_add(&u->body, &byte, 1) != 0)
        finish_no_memory(u);
    else if (u->body.len == u->body.max)
        finish_refused(u);
}

static void take_chunked(struct wst__upgrade *u, uint8_t byte)
{
    bool data;

    if (wst__chunked_byte(&u->chunked, byte, &data) != 1)
        finish_refused(u);
    else if (data)
        keep(u, byte);
}

static void take_length(struct wst__upgrade *u, uint8_t byte)
{
    u->body_left--;
    keep(u, byte);
    if (u->phase == BODY_LENGTH && u->body_left == 0)
        finish_refused(u);
}

static void take(struct wst__upgrade *u, uint8_t byte)
{
    switch ((enum phase)u->phase) {
    case HEAD:
        take_head(u, byte);
        break;
    case BODY_LENGTH:
        take_length(u, byte);
        break;
    case BODY_CHUNKED:
        take_chunked(u, byte);
        break;
    case BODY_EOF:
        keep(u, byte);
        break;
    case OVER:
        break;
    }
}

static int report(const struct wst__upgrade *u, struct wst_cause *why)
{
    if (why && u->result < 0)
        *why = u->cause;
    return u->result;
}

int wst__upgrade_feed(struct wst__upgrade *u, const uint8_t *bytes, size_t n, size_t *used,
                      struct wst_cause *why)
{
    size_t i = 0;

    while (i < n && u->phase != OVER) {
        size_t run = take_run(u, bytes + i, n - i);

        i += run;
        if (run == 0)
            take(u, bytes[i++]);
    }
    *used = i;
    return report(u, why);
}

bool wst__upgrade_is_refusal(const struct wst__upgrade *u)
{
    return u->phase != HEAD && u->phase != OVER;
}

int wst__upgrade_eof(struct wst__upgrade *u, struct wst_cause *why)
{
    if (u->phase == HEAD)
        finish(u, u->head.len || u->interim
                      ? wst__cause(&u->cause, WST_ERR_EOF, WST_STEP_CONNECT,
                                   "the connection ended in the middle of the answer to the "
                                   "WebSocket upgrade")
                      : wst__cause(&u->cause, WST_ERR_EOF, WST_STEP_CONNECT,
                                   "the connection ended before the answer to the WebSocket "
                                   "upgrade%s",
                                   u->plain ? "; does it want TLS (wss)?" : ""));
    else if (u->phase != OVER)
        finish_refused(u);
    return report(u, why);
}
