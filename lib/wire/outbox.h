/*
 * The send queue of one WebSocket: finished frames, in the order in which they leave.
 *
 * Data frames and, behind all of them, the close frame lie in one block, ready to be written; at
 * the block's other end, growing towards them, lies a mark for each frame: who asked for it and
 * where it ends.  Pings and pongs lie in a block of their own, which exists only while there are
 * some, and go out at the next frame
 * boundary, ahead of data that has not begun to leave (RFC 6455, 5.4 and 5.5).
 *
 * The ceiling counts marks, too.  When everything has left, the memory goes back to the pool.
 */
#ifndef WST_WIRE_OUTBOX_H
#define WST_WIRE_OUTBOX_H

#include "wire/env.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    WST__OUTBOX_CONTROL = 256 << 10, /* Pongs to every ping of a full input buffer fit. */
    WST__OUTBOX_PINGS = 64,          /* Pings that wait to leave. */
};

/* Pings and pongs. */
struct wst__controls {
    uint32_t cap;
    uint32_t head, tail;  /* The frames in |bytes| that have not left. */
    uint32_t next;        /* Where the first frame ends that has begun to leave, else head. */
    uint32_t shown;       /* So far they were handed out last; 0: they were not. */
    uint32_t shown_first; /* Of what was handed out last: data ahead of them. */
    uint8_t opcode;       /* Of the frame that has begun to leave. */
    uint8_t pings;        /* That have not left. */
    uint8_t bytes[];
};

struct wst__outbox {
    struct wst__block block;
    size_t head, tail; /* The frames in it that have not left. */
    size_t begun;      /* So much of the first one has left. */
    size_t low, high;  /* The marks of these frames, the newest lowest. */
    size_t shown;      /* Bytes handed out last and not yet accounted for. */
    size_t low_water;  /* Above it, |above| is noted when something is added; <= max_queue. */
    struct wst__controls *control; /* NULL: there are none. */
    uint32_t fixed;   /* So many of the bytes to come are offered again as they were. */
    bool blocked;     /* What was handed out last was not wholly taken. */
    bool closing : 1; /* The last mark is the close frame's. */
    bool above : 1;   /* It was above the low-water mark, or full; who tells so clears it. */
};

/* Adds a message in one frame, as wst__outbox_data() does. */
int wst__outbox_message(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                        const void *data, size_t n, void *ref);
/*
 * Adds a data frame: |first| is its first byte (FIN, RSV, opcode).  |size| is what is told about
 * the message at its end: the application's bytes.  QUEUE_FULL, TOO_LARGE, NOMEM, ENTROPY.
 */
int wst__outbox_data(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                     const void *data, size_t n, void *ref, size_t size);
/*
 * Makes sure that wst__outbox_prepared() can add a data frame of up to |largest| bytes.  The
 * ceiling counts |n| of them; errors as above.
 */
int wst__outbox_prepare(struct wst__outbox *o, const struct wst__ws_env *env, size_t n,
                        size_t largest);
void wst__outbox_prepared(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                          const void *data, size_t n, void *ref, size_t size);
/* Adds the close frame, behind everything and whatever the ceiling.  NOMEM, ENTROPY. */
int wst__outbox_close(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                      size_t n);
/* Adds a ping.  QUEUE_FULL, NOMEM, ENTROPY. */
int wst__outbox_ping(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                     size_t n);
/* Adds a pong; once output is blocked it replaces the one that waits.  NOMEM, ENTROPY. */
int wst__outbox_pong(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                     size_t n);

/* The bytes to send next, as wst__ws_output(). */
size_t wst__outbox_show(struct wst__outbox *o, struct iovec *iov, size_t max);
/*
 * So many of them were taken; the next |fixed| ones are offered again as they are, before anything
 * else.  |sent| (may be NULL) is told of each message that has wholly left; it may add.
 */
void wst__outbox_taken(struct wst__outbox *o, const struct wst__ws_env *env, size_t n, size_t fixed,
                       void (*sent)(void *arg, void *ref, size_t n), void *arg);
/* Are |n| bytes that were taken all there is, and data alone?  As most often. */
static inline bool wst__outbox_is_all(const struct wst__outbox *o, size_t n)
{
    return n == o->tail - o->head && n > 0 && !o->control;
}
/* Then this does what wst__outbox_taken() does, but tells nobody; returns 0, what is left. */
size_t wst__outbox_taken_all(struct wst__outbox *o, const struct wst__ws_env *env);
/* Gives all memory back; messages that have not wholly left are told to |unsent| (may be NULL). */
void wst__outbox_drop(struct wst__outbox *o, struct wst__ws_pool *pool,
                      void (*unsent)(void *arg, void *ref, size_t n), void *arg);

/* Bytes of frames that have not left. */
static inline size_t wst__outbox_bytes(const struct wst__outbox *o)
{
    size_t control = o->control ? o->control->tail - o->control->head : 0;

    return o->tail - o->head + control;
}
/* Messages that have not wholly left, and their bytes. */
void wst__outbox_count(const struct wst__outbox *o, uint64_t *messages, uint64_t *bytes);
/* No ping waits to leave. */
static inline bool wst__outbox_pings_left(const struct wst__outbox *o)
{
    return !o->control || o->control->pings == 0;
}
/* The close frame was added and has wholly left. */
static inline bool wst__outbox_closed(const struct wst__outbox *o)
{
    return o->closing && o->low == o->high;
}

#endif
