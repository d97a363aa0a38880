/*
 * The message under way: its payload is collected, inflated and checked as it arrives, until it is
 * complete or, in chunks, handed on piece by piece.  Memory grows with what has arrived.
 */
#ifndef WST_WIRE_INBOX_H
#define WST_WIRE_INBOX_H

#include "wire/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wst__inbox {
    struct wst__block body; /* Lent; what of the message was collected. */
    size_t len;
    size_t passed; /* Bytes of it that were handed on in chunks. */
    uint8_t type;  /* 0: there is no message under way. */
    uint8_t utf8;  /* State of its text. */
    bool packed;   /* It is compressed. */
    bool begun;    /* A chunk of it was handed on. */
};

static inline void wst__inbox_begin(struct wst__inbox *in, uint8_t type, bool packed)
{
    in->type = type;
    in->packed = packed;
    in->utf8 = 0;
    in->passed = 0;
    in->begun = false;
}

/* How many more bytes the message may have; |max| SIZE_MAX is no ceiling, however many came. */
static inline size_t wst__inbox_room(const struct wst__inbox *in, size_t max)
{
    return max == SIZE_MAX ? max - in->len : max - in->passed - in->len;
}

/*
 * All return 0 or NOMEM, WS_TOO_LARGE, WS_BAD_UTF8 (at the first byte that cannot be right),
 * WS_PROTOCOL (that cannot be inflated).
 */

/* Collects |n| bytes; so many are |left| of their frame, which is the message's last if |fin|. */
int wst__inbox_add(struct wst__inbox *in, const struct wst__ws_env *env, const uint8_t *p, size_t n,
                   size_t left, bool fin);
/* Checks |n| bytes that are handed on as they lie. */
int wst__inbox_pass(struct wst__inbox *in, const uint8_t *p, size_t n);
/* The message is complete. */
int wst__inbox_end(struct wst__inbox *in, const struct wst__ws_env *env);

/* A place for the next of |left| bytes, |*room| of them; NULL: out of memory. */
uint8_t *wst__inbox_place(struct wst__inbox *in, const struct wst__ws_env *env, size_t left,
                          bool fin, size_t *room);
/* |n| bytes were put there. */
int wst__inbox_placed(struct wst__inbox *in, size_t n);

#endif
