/* Test payloads: the same bytes for the server and for all clients. */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* PACKED: text in compressed messages (only the engine in memory). */
enum payload { PAYLOAD_TEXT, PAYLOAD_UTF8, PAYLOAD_BINARY, PAYLOAD_PACKED };

/* Bytes that no compression or branch prediction makes cheap (xorshift). */
static inline void payload_binary(uint8_t *p, size_t n)
{
    uint32_t x = 2463534242u;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (uint8_t)x;
    }
}

/* Characters of one, two, three and four bytes, padded with ASCII to the exact size. */
static inline void payload_utf8(uint8_t *p, size_t n)
{
    static const char piece[] = "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, "
                                "\xe4\xb8\x96\xe7\x95\x8c \xf0\x9f\x98\x80 \xe2\x82\xac\x35 "
                                "na\xc3\xafve ";
    size_t size = sizeof piece - 1;
    size_t at = 0;

    for (; at + size <= n; at += size)
        memcpy(p + at, piece, size);
    memset(p + at, '.', n - at);
}

static inline void payload_fill(void *to, size_t n, enum payload type)
{
    static const char json[] = "{\"id\":12345,\"kind\":\"tick\",\"px\":101.25,\"qty\":7} ";
    uint8_t *p = (uint8_t *)to;

    if (type == PAYLOAD_BINARY) {
        payload_binary(p, n);
    } else if (type == PAYLOAD_UTF8) {
        payload_utf8(p, n);
    } else {
        for (size_t i = 0; i < n; i++)
            p[i] = (uint8_t)json[i % (sizeof json - 1)];
    }
}

static inline enum payload payload_type(const char *name)
{
    if (strncmp(name, "binary", 6) == 0)
        return PAYLOAD_BINARY;
    if (strcmp(name, "packed") == 0)
        return PAYLOAD_PACKED;
    return strncmp(name, "utf8", 4) == 0 ? PAYLOAD_UTF8 : PAYLOAD_TEXT;
}

/* The size of a frame's header for |n| bytes of payload, without a masking key (RFC 6455, 5.2). */
static inline size_t frame_head_size(size_t n)
{
    return n < 126 ? 2u : n < 65536 ? 4u : 10u;
}

/* Writes that header; |mask| is 0x80 for a client's frame, else 0. */
static inline size_t frame_head(uint8_t *to, uint8_t opcode, uint8_t mask, size_t n)
{
    size_t size = frame_head_size(n);

    to[0] = (uint8_t)(0x80 | opcode);
    to[1] = (uint8_t)(mask | (size == 2 ? n : size == 4 ? 126 : 127));
    for (size_t i = 2; i < size; i++)
        to[i] = (uint8_t)((uint64_t)n >> (8 * (size - 1 - i)));
    return size;
}

#endif
