/*
 * The work that perf_message.py counts the instructions of: perf_message WHAT COUNT.  Everything
 * happens in memory; the difference of two runs is what the messages cost.
 */
#include "wire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

static const uint8_t *volatile delivered;
static uint64_t messages;

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
    (void)reason;
    (void)n;
    return true;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static const struct wst__ws_cbs cbs = {
    .message = on_message, .pong = on_pong, .closed = on_closed, .drained = on_drained};

static int give_random(void *arg, void *p, size_t n)
{
    (void)arg;
    memset(p, 0x5a, n);
    return 0;
}

/* One frame of |size| bytes of payload; |unit| is repeated in it. */
static size_t put_frame(uint8_t *to, uint8_t first, const char *unit, size_t size)
{
    size_t unit_size = strlen(unit);
    size_t n = 0;

    to[n++] = first;
    if (size < 126) {
        to[n++] = (uint8_t)size;
    } else {
        to[n++] = 126;
        to[n++] = (uint8_t)(size >> 8);
        to[n++] = (uint8_t)size;
    }
    for (size_t i = 0; i < size; i++)
        to[n++] = (uint8_t)unit[i % unit_size];
    return n;
}

/*
 * A text of letters without order, which shrinks by a third, as a compressed message of its own
 * (RFC 7692, 7.2.1); it can come again and again.
 */
static size_t put_packed(uint8_t *to, size_t room, size_t size)
{
    uint8_t *text = malloc(size);
    uint32_t state = 1;
    z_stream z = {0};
    size_t n;

    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        text[i] = (uint8_t)('a' + (state >> 24) % 26);
    }
    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_in = text;
    z.avail_in = (uInt)size;
    z.next_out = to + 4;
    z.avail_out = (uInt)room - 4;
    if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in != 0)
        abort();
    n = (size_t)(z.next_out - to) - 4 - 4; /* Without 00 00 FF FF. */
    if (n < 126 || n > 65535)
        abort();
    (void)deflateEnd(&z);
    free(text);
    to[0] = 0xc1;
    to[1] = 126;
    to[2] = (uint8_t)(n >> 8);
    to[3] = (uint8_t)n;
    return 4 + n;
}

/* The same message, which lies whole in the input each time. */
static void receive_packed(struct wst__ws *ws, size_t size, long count)
{
    size_t room = 2 * size + 64;
    uint8_t *frame = malloc(room);
    size_t n = put_packed(frame, room, size);
    size_t used;

    for (long i = 0; i < count; i++) {
        if (wst__ws_feed(ws, frame, n, &used, NULL) != 0 || used != n)
            abort();
    }
    free(frame);
}

/*
 * As from a socket: 64 KiB at a time, wherever the frames end.  The same 256 KiB are fed again and
 * again, so that only the engine's work grows with |count|.
 */
static void receive(struct wst__ws *ws, uint8_t first, const char *unit, size_t size, long count)
{
    enum { BUFFER = 65536, FRAMES_BYTES = 4 * BUFFER };
    uint8_t *frames = malloc(FRAMES_BYTES);
    long in_all = (long)(FRAMES_BYTES / (size + 4));
    size_t have = 0;
    size_t used;

    for (long i = 0; i < in_all; i++)
        have += put_frame(frames + have, first, unit, size);
    for (; count >= in_all; count -= in_all) {
        for (size_t at = 0, n; at < have; at += n) {
            n = have - at < BUFFER ? have - at : BUFFER;
            if (wst__ws_feed(ws, frames + at, n, &used, NULL) != 0 || used != n)
                abort();
        }
    }
    if (wst__ws_feed(ws, frames, have / (size_t)in_all * (size_t)count, &used, NULL) != 0)
        abort();
    free(frames);
}

static void flush(struct wst__ws *ws)
{
    struct iovec iov[4];
    size_t count = wst__ws_output(ws, iov, 4);
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += iov[i].iov_len;
    wst__ws_sent(ws, n);
}

static void send_all(struct wst__ws *ws, size_t size, long count, long burst)
{
    uint8_t *payload = calloc(1, size + 1);
    struct wst__ws_counts counts;

    for (long i = 1; i <= count; i++) {
        if (wst__ws_send(ws, WST_BINARY, payload, size, NULL) != 0)
            abort();
        if (i % burst == 0 || i == count)
            flush(ws);
    }
    free(payload);
    wst__ws_counts(ws, &counts);
    messages = counts.sent;
}

/* Messages in four chunks. */
static void send_chunks(struct wst__ws *ws, size_t size, long count, long burst)
{
    uint8_t *payload = calloc(1, size);
    struct wst__ws_counts counts;

    for (long i = 1; i <= count; i++) {
        for (unsigned k = 0; k < 4; k++) {
            unsigned flags = (k == 0 ? WST_CHUNK_FIRST : 0u) | (k == 3 ? WST_CHUNK_LAST : 0u);

            if (wst__ws_send_chunk(ws, WST_BINARY, payload, size / 4, flags, NULL) != 0)
                abort();
        }
        if (i % burst == 0 || i == count)
            flush(ws);
    }
    free(payload);
    wst__ws_counts(ws, &counts);
    messages = counts.sent;
}

int main(int argc, char **argv)
{
    const char *what = argc == 3 ? argv[1] : "";
    struct wst__ws_config config = {.max_message_bytes = 16 << 20,
                                    .max_queue_bytes = 16 << 20,
                                    .queue_low_water = 64 << 10,
                                    .extensions =
                                        strstr(what, "packed") ? "permessage-deflate" : NULL,
                                    .offered_extensions = "permessage-deflate",
                                    .random = give_random};
    long count = argc == 3 ? atol(argv[2]) : 0;
    struct wst__ws *ws;

    if (wst__ws_pool_new(&config.pool, config.random, config.random_arg) != 0 ||
        wst__ws_new(&ws, &config, &cbs, NULL, NULL) != 0)
        return 1;
    if (strcmp(what, "receive-text-64") == 0)
        receive(ws, 0x81, "abcdefgh", 64, count);
    else if (strcmp(what, "receive-multi-64") == 0)
        receive(ws, 0x81,
                "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"
                "abcdefg",
                64, count);
    else if (strcmp(what, "receive-binary-64") == 0)
        receive(ws, 0x82, "abcdefgh", 64, count);
    else if (strcmp(what, "receive-text-1024") == 0)
        receive(ws, 0x81, "abcdefgh", 1024, count);
    else if (strcmp(what, "receive-text-16384") == 0)
        receive(ws, 0x81, "abcdefgh", 16384, count);
    else if (strcmp(what, "receive-packed-1024") == 0)
        receive_packed(ws, 1024, count);
    else if (strcmp(what, "send-burst-64") == 0)
        send_all(ws, 64, count, 64);
    else if (strcmp(what, "send-turn-64") == 0)
        send_all(ws, 64, count, 1);
    else if (strcmp(what, "send-chunks-256") == 0)
        send_chunks(ws, 256, count, 16);
    else
        return 2;
    if (messages != (uint64_t)count)
        return 1;
    wst__ws_free(ws, NULL, NULL);
    wst__ws_pool_free(config.pool);
    return 0;
}
