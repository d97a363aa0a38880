/*
 * Any bytes as what a server sends.  The first byte chooses the ceiling for messages (bits 0, 1),
 * whether they may be compressed (2) and how (4, 5), and whether they are taken in chunks (3); the
 * second how the input is cut.  What comes of it must be the same as with the reference engine, or,
 * compressed, as whole messages without cuts.
 */
#include "fuzz.h"
#include "wire/deflate.h"
#include "wire/message.h"
#include "ws_reference.h"

#include <string.h>

static struct trace events, output, right_events, right_output;
static struct wst__buf pieces; /* Of the message that arrives in chunks, so far. */
static bool pieces_open;
static enum wst_message_type pieces_type;

static bool on_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    (void)arg;
    trace_payload(&events, type == WST_TEXT ? "text" : "binary", data, n);
    return true;
}

/* Written down as the message that they make. */
static bool on_chunk(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                     unsigned flags)
{
    (void)arg;
    MUST(((flags & WST_CHUNK_FIRST) != 0) == !pieces_open);
    MUST(!pieces_open || type == pieces_type);
    pieces_open = !(flags & WST_CHUNK_LAST);
    pieces_type = type;
    MUST(wst__buf_add(&pieces, data, n) == 0);
    if (pieces_open)
        return true;
    trace_payload(&events, type == WST_TEXT ? "text" : "binary", pieces.data, pieces.len);
    pieces.len = 0;
    return true;
}

static bool on_pong(void *arg, const uint8_t *payload, size_t n)
{
    (void)arg;
    trace_payload(&events, "pong", payload, n);
    return true;
}

static bool on_closed(void *arg, int code, const char *reason, size_t n)
{
    (void)arg;
    trace_add(&events, "%sclosed(%d%s%s)", events.len ? " " : "", code, n ? " " : "", reason);
    return true;
}

static const struct wst__ws_cbs cbs = {.message = on_message, .pong = on_pong, .closed = on_closed};
static const struct wst__ws_cbs chunk_cbs = {
    .chunk = on_chunk, .pong = on_pong, .closed = on_closed};

static int no_random(void *arg, void *p, size_t n)
{
    (void)arg;
    memset(p, 0, n); /* A key of zeros: the output can be read as it is. */
    return 0;
}

static int feed(struct wst__ws *ws, const uint8_t *p, size_t n, struct wst_cause *why)
{
    uint8_t *exact = malloc(n); /* So that a read beyond the end is seen. */
    size_t room = 0;
    uint8_t *place = wst__ws_place(ws, &room);
    size_t at = 0;
    size_t used;
    int rc;

    MUST(exact);
    if (place && room >= n) {
        memcpy(place, p, n);
        rc = wst__ws_placed(ws, n, why);
    } else {
        memcpy(exact, p, n);
        do {
            rc = wst__ws_feed(ws, exact + at, n - at, &used, why);
            at += used;
        } while (rc == 0 && at < n && wst__ws_yielded(ws));
        MUST(rc != 0 || at == n);
    }
    free(exact);
    return rc;
}

/* Control frames only: nothing else was sent. */
static void read_output(struct wst__ws *ws)
{
    struct iovec iov[3];
    size_t count;

    while ((count = wst__ws_output(ws, iov, 3)) > 0) {
        size_t n = 0;

        for (size_t i = 0; i < count; i++) {
            const uint8_t *p = iov[i].iov_base;

            for (size_t at = 0; at < iov[i].iov_len; at += 6 + (p[at + 1] & 0x7fu))
                trace_payload(&output, p[at] == 0x8a ? "pong" : "close", p + at + 6,
                              p[at + 1] & 0x7f);
            n += iov[i].iov_len;
        }
        if (wst__ws_buffered(ws) == n)
            break;
        wst__ws_sent(ws, n);
    }
}

/* Moves a trace: the other one is written anew. */
static void keep(struct trace *to, struct trace *from)
{
    struct trace empty = *to;

    *to = *from;
    *from = empty;
}

/* Runs the engine over the input, |piece| bytes at a time; |extensions|: with compression. */
static void run(const uint8_t *data, size_t size, size_t max_message, size_t piece,
                const char *extensions, bool chunks)
{
    struct wst__ws_config config = {.max_message_bytes = max_message,
                                    .max_queue_bytes = 1 << 20,
                                    .random = no_random,
                                    .extensions = extensions,
                                    .offered_extensions = WST__DEFLATE_OFFER};
    struct wst__ws *ws;
    struct wst_cause why;

    trace_clear(&events);
    trace_clear(&output);
    wst__buf_init(&pieces, 1 << 20, false); /* More than the ceiling is not handed out. */
    pieces_open = false;
    MUST(wst__ws_new(&ws, &config, chunks ? &chunk_cbs : &cbs, NULL, &why) == 0);
    for (size_t at = 0, n; at < size; at += n) {
        n = piece < size - at ? piece : size - at;
        if (feed(ws, data + at, n, &why) != 0) {
            trace_add(&events, "%serror(%s %d)", events.len ? " " : "", wst_err_name(why.code),
                      why.close_code);
            break;
        }
    }
    read_output(ws);
    MUST(pieces.len <= max_message);
    wst__buf_fini(&pieces);
    wst__ws_free(ws, NULL, NULL);
}

/*
 * A server that refers farther back than the window it agreed to breaks RFC 7692, 7.1.2.1.  zlib
 * sees that when those bytes are gone, and takes them while they still lie in the output of the
 * same call: so one of the two runs may end where the other goes on.
 */
static bool one_ends_there(const char *one, const char *other)
{
    static const char error[] = "error(WS_PROTOCOL 1007)";
    size_t all = strlen(one);
    size_t n = all - (sizeof error - 1);

    if (all < sizeof error - 1 || strcmp(one + n, error) != 0)
        return false;
    return strncmp(one, other, n > 0 ? n - 1 : 0) == 0; /* Without the space between two events. */
}

/* Are two ways of cutting the same input allowed to differ? */
static bool may_differ(const char *extensions)
{
    return extensions && strstr(extensions, "server_max_window_bits") &&
           (one_ends_there(events.text, right_events.text) ||
            one_ends_there(right_events.text, events.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t ceilings[] = {16, 300, 5000, 1 << 20};
    static const char *const agreed[] = {
        "permessage-deflate", "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=8"};
    const char *extensions;
    size_t max_message;
    size_t piece;
    bool chunks;

    if (size < 2)
        return 0;
    max_message = ceilings[data[0] & 3];
    extensions = data[0] & 4 ? agreed[data[0] >> 4 & 3] : NULL;
    chunks = data[0] & 8;
    piece = data[1] ? data[1] : SIZE_MAX;
    data += 2;
    size -= 2;
    trace_clear(&right_events);
    trace_clear(&right_output);
    if (extensions) {
        /* The reference cannot inflate: the whole input at once must give the same. */
        run(data, size, max_message, SIZE_MAX, extensions, false);
        keep(&right_events, &events);
        keep(&right_output, &output);
    } else {
        reference_run(data, size, max_message, &right_events, &right_output);
    }
    run(data, size, max_message, piece, extensions, chunks);
    if (may_differ(extensions))
        return 0;
    MUST(strcmp(events.text, right_events.text) == 0);
    MUST(strcmp(output.text, right_output.text) == 0);
    return 0;
}
