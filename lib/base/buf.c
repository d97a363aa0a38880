/* Growable bytes with a ceiling: grows by doubling, never over |max|. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void wst__buf_init(struct wst__buf *b, size_t max, bool secret)
{
    memset(b, 0, sizeof *b);
    b->max = max;
    b->secret = secret;
}

void wst__buf_fini(struct wst__buf *b)
{
    if (b->secret && b->data)
        wst__wipe(b->data, b->cap);
    wst__free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

/* Moves to |cap| bytes; a secret is not left behind in what realloc would free. */
static int grow(struct wst__buf *b, size_t cap)
{
    uint8_t *data;

    if (!b->secret) {
        data = wst__realloc(b->data, cap);
        if (!data)
            return WST_ERR_NOMEM;
    } else {
        data = wst__malloc(cap);
        if (!data)
            return WST_ERR_NOMEM;
        if (b->data) {
            memcpy(data, b->data, b->len);
            wst__wipe(b->data, b->cap);
            wst__free(b->data);
        }
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

int wst__buf_reserve(struct wst__buf *b, size_t n)
{
    size_t need;
    size_t cap = b->cap ? b->cap : 64;

    if (n > b->max || b->len > b->max - n)
        return WST_ERR_TOO_LARGE;
    need = b->len + n;
    if (need <= b->cap)
        return 0;
    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    return grow(b, cap);
}

int wst__buf_add(struct wst__buf *b, const void *p, size_t n)
{
    int rc = wst__buf_reserve(b, n);

    if (rc != 0)
        return rc;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    return 0;
}

int wst__buf_adds(struct wst__buf *b, const char *s)
{
    return wst__buf_add(b, s, strlen(s));
}

int wst__buf_addf(struct wst__buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;
    int rc;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return WST_ERR_INVALID;
    rc = wst__buf_reserve(b, (size_t)n + 1); /* vsnprintf writes its terminator, too. */
    if (rc != 0)
        return rc;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

void wst__buf_drop(struct wst__buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}
