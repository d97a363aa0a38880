/*
 * The message layer in memory, without a socket: engine WHAT SIZE TYPE COUNT, WHAT recv|send.
 * Prints the nanoseconds that one message takes.  Type packed: text, compressed with context
 * takeover both ways; its size is that of the text.
 *
 * Received bytes come in pieces of 64 KiB, as from the stream, and large messages straight to
 * their place; sent ones are taken whenever 64 KiB are queued.
 */
#include "../clients/bench.h"
#include "wire/deflate.h"
#include "wire/message.h"

#include <zlib.h>

enum { PIECE = 64 * 1024, STREAM_MIN = 1 << 20 };

static uint64_t messages;
static const uint8_t *volatile delivered;

static bool on_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    (void)arg;
    (void)type;
    (void)n;
    delivered = data;
    messages++;
    return true;
}

static bool on_pong(void *arg, const uint8_t *payload, size_t n)
{
    (void)arg;
    (void)payload;
    (void)n;
    return true;
}

static bool on_closed(void *arg, int code, const char *reason, size_t n)
{
    (void)arg;
    (void)code;
    (void)n;
    bench_die("closed", reason);
    return false;
}

static void on_sent(void *arg, void *ref, size_t n)
{
    (void)arg;
    (void)ref;
    (void)n;
    messages++;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static int give_random(void *arg, void *p, size_t n)
{
    (void)arg;
    memset(p, 0x5a, n);
    return 0;
}

static struct wst__ws *open_ws(bool packed)
{
    static const struct wst__ws_cbs cbs = {
        .message = on_message,
        .pong = on_pong,
        .closed = on_closed,
        .sent = on_sent,
        .drained = on_drained,
    };
    const struct wst__ws_config config = {
        .max_message_bytes = 64 << 20,
        .max_queue_bytes = 64 << 20,
        .queue_low_water = PIECE,
        .random = give_random,
        .extensions = packed ? "permessage-deflate" : NULL,
        .offered_extensions = WST__DEFLATE_OFFER,
    };
    struct wst__ws *ws;
    struct wst_cause why;

    if (wst__ws_new(&ws, &config, &cbs, NULL, &why) != 0)
        bench_die("wst__ws_new", why.text);
    return ws;
}

/* |count| compressed messages, as a server sends them (RFC 7692, 7.2.1). */
static uint8_t *make_packed_stream(size_t size, size_t count, size_t *len)
{
    uint8_t *text = malloc(size);
    z_stream z = {0};
    uint8_t *packed;
    uint8_t *stream;
    uint8_t *p;

    payload_fill(text, size, PAYLOAD_PACKED);
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        bench_die("deflateInit2", "no memory");
    packed = malloc(deflateBound(&z, size) + 16);
    p = stream = malloc(count * (deflateBound(&z, size) + 32));
    for (size_t i = 0; i < count; i++) {
        size_t n;

        z.next_in = text;
        z.avail_in = (uInt)size;
        z.next_out = packed;
        z.avail_out = (uInt)(deflateBound(&z, size) + 16);
        if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in != 0)
            bench_die("deflate", "failed");
        n = (size_t)(z.next_out - packed) - 4; /* Without 00 00 FF FF. */
        p += frame_head(p, 0x40 | 1, 0, n);
        memcpy(p, packed, n);
        p += n;
    }
    (void)deflateEnd(&z);
    free(packed);
    free(text);
    *len = (size_t)(p - stream);
    return stream;
}

/* Frames as a server sends them, |count| of them. */
static uint8_t *make_stream(size_t size, enum payload type, size_t count, size_t *len)
{
    uint8_t *stream = malloc(count * (frame_head_size(size) + size));
    uint8_t *p = stream;

    for (size_t i = 0; i < count; i++) {
        p += frame_head(p, type == PAYLOAD_BINARY ? 2 : 1, 0, size);
        payload_fill(p, size, type);
        p += size;
    }
    *len = (size_t)(p - stream);
    return stream;
}

static size_t feed(struct wst__ws *ws, const uint8_t *p, size_t n)
{
    struct wst_cause why;
    size_t room = 0;
    size_t used = n;
    uint8_t *place = wst__ws_place(ws, &room);
    int rc;

    if (place) {
        used = room < n ? room : n;
        memcpy(place, p, used);
        rc = wst__ws_placed(ws, used, &why);
    } else {
        rc = wst__ws_feed(ws, p, n, &used, &why);
    }
    if (rc != 0)
        bench_die("feed", why.text);
    return used;
}

static void run_recv(struct wst__ws *ws, size_t size, enum payload type, uint64_t count)
{
    size_t some = STREAM_MIN / (size + 10) + 1;
    size_t len;
    uint8_t *stream = type == PAYLOAD_PACKED ? make_packed_stream(size, some, &len)
                                             : make_stream(size, type, some, &len);

    bench_start();
    while (messages < count) {
        for (size_t at = 0; at < len;)
            at += feed(ws, stream + at, len - at < PIECE ? len - at : PIECE);
    }
    bench_stop();
    free(stream);
}

static void take(struct wst__ws *ws)
{
    struct iovec iov[8];
    size_t count = wst__ws_output(ws, iov, 8);
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    wst__ws_sent(ws, total);
}

static void run_send(struct wst__ws *ws, size_t size, enum payload type, uint64_t count)
{
    uint8_t *payload = malloc(size + 1);

    payload_fill(payload, size, type);
    bench_start();
    while (messages < count) {
        if (wst__ws_send(ws, type == PAYLOAD_BINARY ? WST_BINARY : WST_TEXT, payload, size, NULL))
            bench_die("send", "refused");
        if (wst__ws_buffered(ws) >= PIECE)
            take(ws);
    }
    bench_stop();
    free(payload);
}

int main(int argc, char **argv)
{
    struct wst__ws *ws;
    size_t size;
    uint64_t count;

    if (argc != 5)
        bench_die(argv[0], "usage: recv|send SIZE text|utf8|binary|packed COUNT");
    ws = open_ws(payload_type(argv[3]) == PAYLOAD_PACKED);
    size = strtoull(argv[2], NULL, 10);
    count = strtoull(argv[4], NULL, 10);
    bench_limits();
    if (strcmp(argv[1], "recv") == 0)
        run_recv(ws, size, payload_type(argv[3]), count);
    else
        run_send(ws, size, payload_type(argv[3]), count);
    printf("{\"ns\": %.2f}\n", (bench.user + bench.sys) * 1e9 / (double)messages);
    wst__ws_free(ws, NULL, NULL);
    return 0;
}
