/* Growable bytes with a ceiling. */
#ifndef WST_BASE_BUF_H
#define WST_BASE_BUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wst__buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;  /* |len| never exceeds it. */
    bool secret; /* Wiped whenever memory is given back, growth included. */
};

void wst__buf_init(struct wst__buf *b, size_t max, bool secret);
/* Gives the memory back (wiped when secret); the buffer may be used again. */
void wst__buf_fini(struct wst__buf *b);
/* Makes room for |n| more bytes.  TOO_LARGE beyond the ceiling, NOMEM. */
int wst__buf_reserve(struct wst__buf *b, size_t n);
/* Appends.  TOO_LARGE, NOMEM; then nothing was appended. */
int wst__buf_add(struct wst__buf *b, const void *p, size_t n);
int wst__buf_adds(struct wst__buf *b, const char *s);
int wst__buf_addf(struct wst__buf *b, const char *fmt, ...) WST__PRINTF(2, 3);
/* Drops |n| bytes from the front. */
void wst__buf_drop(struct wst__buf *b, size_t n);

#endif
