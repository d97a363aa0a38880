/* Growable bytes. */
#include "bytes.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    fputs("wsticket: out of memory\n", stderr);
    _Exit(STATUS_USAGE);
}

void *must_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *must_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(must_alloc(size), text, size);
}

static void reserve(struct bytes *b, size_t more)
{
    size_t want = b->len + more;
    if (want <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 256;
    while (cap < want)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (!data)
        out_of_memory();
    b->data = data;
    b->cap = cap;
}

void bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (len == 0)
        return;
    reserve(b, len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void bytes_drop(struct bytes *b, size_t len)
{
    if (len == 0)
        return;
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* The length of the control character at |p|, 0 when it is another one. */
static size_t control_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x20 || p[0] == 0x7f)
        return 1;
    /* U+0080 to U+009F: terminals take them for escape sequences too. */
    if (p[0] == 0xc2 && left > 1 && p[1] < 0xa0)
        return 2;
    return 0;
}

void bytes_add_visible(struct bytes *b, const char *text, size_t len, bool lines)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t plain = 0; /* Where the run of ordinary bytes began. */
    for (size_t i = 0; i < len;) {
        size_t n = control_length(p + i, len - i);
        if (n == 0 || (lines && (p[i] == '\n' || p[i] == '\t'))) {
            i++;
            continue;
        }
        bytes_add(b, text + plain, i - plain);
        char shown[8];
        int width = snprintf(shown, sizeof(shown), "\\x%02x", p[i + n - 1]);
        bytes_add(b, shown, (size_t)width);
        i += n;
        plain = i;
    }
    bytes_add(b, text + plain, len - plain);
}
