#include "ws_trace.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void trace_reserve(struct trace *t, size_t n)
{
    if (t->len + n < t->cap)
        return;
    t->cap = (t->len + n + 1) * 2;
    t->text = realloc(t->text, t->cap);
    if (!t->text)
        abort();
}

void trace_add(struct trace *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    trace_reserve(t, 512);
    va_start(ap, fmt);
    n = vsnprintf(t->text + t->len, 511, fmt, ap);
    va_end(ap);
    t->len += n < 511 ? (size_t)n : 510;
}

void trace_payload(struct trace *t, const char *name, const uint8_t *p, size_t n)
{
    bool printable = true;
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < n; i++) {
        printable = printable && p[i] >= 0x20 && p[i] < 0x7f;
        hash = (hash ^ p[i]) * 1099511628211u;
    }
    trace_add(t, "%s%s(", t->len ? " " : "", name);
    if (n > 128) {
        trace_add(t, "%zu bytes, hash %016llx", n, (unsigned long long)hash);
    } else if (printable) {
        trace_add(t, "%.*s", (int)n, (const char *)p);
    } else {
        for (size_t i = 0; i < n; i++)
            trace_add(t, "%02x", p[i]);
    }
    trace_add(t, ")");
}

void trace_clear(struct trace *t)
{
    trace_reserve(t, 0);
    t->len = 0;
    t->text[0] = '\0';
}

uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed * 2685821657736338717u;
}
