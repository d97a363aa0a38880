/* What the message layer's tests write down to compare, and their random numbers. */
#ifndef TESTS_WIRE_WS_TRACE_H
#define TESTS_WIRE_WS_TRACE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Text that grows. */
struct trace {
    char *text;
    size_t len, cap;
};
void trace_add(struct trace *t, const char *fmt, ...) WST__PRINTF(2, 3);
/* "name(payload)": printable as it is, else in hex; long payloads by length and hash. */
void trace_payload(struct trace *t, const char *name, const uint8_t *p, size_t n);
void trace_clear(struct trace *t);

/* A small generator, so that a seed is all one needs to see a failure again. */
uint64_t draw(uint64_t *seed);

#endif
