/*
 * Sealed TLS records on their way to the kernel.  It knows how many bytes of the application each
 * record carries, so that the application is told exactly what the kernel has taken, although the
 * kernel takes bytes of another kind and count.
 */
#ifndef WST_IO_SEALED_H
#define WST_IO_SEALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WST__RECORD = 16 * 1024,  /* The most that one record carries (RFC 8446, 5.1). */
    WST__SEALED_RECORDS = 16, /* Records that are told apart. */
    WST__SEALED_BYTES = 6 * (16 * 1024 + 512) /* A batch of four, and what TLS itself has to say. */
};

struct wst__sealed {
    uint8_t *bytes;
    size_t pos, len;     /* [pos, len) has not left. */
    size_t first, count; /* Of |records|. */
    struct {
        size_t sealed; /* Bytes of it that have not left. */
        size_t plain;  /* Bytes of the application in it. */
    } records[WST__SEALED_RECORDS];
};

/* Room for |n| more bytes? */
bool wst__sealed_fits(const struct wst__sealed *box, size_t n);
/* Adds sealed bytes, which fit. */
void wst__sealed_add(struct wst__sealed *box, const void *bytes, size_t n);
/* What was added last carries |n| bytes of the application. */
void wst__sealed_carries(struct wst__sealed *box, size_t n);
/* |n| bytes have left.  Returns how many bytes of the application have left wholly by that. */
size_t wst__sealed_left(struct wst__sealed *box, size_t n);
static inline size_t wst__sealed_size(const struct wst__sealed *box)
{
    return box->len - box->pos;
}
/* A copy of what has not left, as small as can be; NULL: no memory.  Frees with wst__free(). */
struct wst__sealed *wst__sealed_keep(const struct wst__sealed *box);
/* Adds a little to such a copy, which may move; false: no memory, or it has grown enough. */
bool wst__sealed_extend(struct wst__sealed **copy, const void *bytes, size_t n);
void wst__sealed_clear(struct wst__sealed *box);

#endif
