/*
 * What the connections of one loop lend each other, so that a connection at rest owns nothing:
 * blocks of memory (a message that is still incomplete, a send queue that is not empty), frame
 * parsers (a frame that is still incomplete), and masking keys.
 */
#ifndef WST_WIRE_POOL_H
#define WST_WIRE_POOL_H

#include "wire/frames.h"
#include "wire/message.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WST__POOL_FRAMES = 4,          /* Parsers kept for the next one: 4.3 KiB each. */
    WST__POOL_BLOCKS = 4,          /* Blocks kept, */
    WST__POOL_BYTES = 4 << 20,     /* and how many bytes these may have together. */
    WST__POOL_BLOCK_MIN = 4 << 10, /* No block is smaller. */
    WST__POOL_SMALL = 64 << 10,
    WST__POOL_ALIGN = 64,      /* Their sizes are multiples of it. */
    WST__POOL_KEY_BYTES = 256, /* Random bytes taken at once: 64 masking keys. */
};

struct wst__block {
    uint8_t *data; /* NULL: no block. */
    size_t cap;
};

struct wst__ws_pool {
    struct wst__frames *frames[WST__POOL_FRAMES];
    size_t frames_count;
    struct wst__block small; /* The one that is lent and given back in every turn of the loop. */
    struct wst__block blocks[WST__POOL_BLOCKS];
    size_t blocks_count;
    size_t blocks_bytes;
    int (*random)(void *arg, void *p, size_t n); /* Fills |keys|; ENTROPY. */
    void *random_arg;
    size_t burst;               /* The block that a send queue gave back last had so many bytes. */
    struct wst__ws_tally tally; /* Of connections that have no other. */
    size_t keys_left;
    uint8_t keys[WST__POOL_KEY_BYTES];
};

/* A parser at a frame boundary; NULL when out of memory. */
static inline struct wst__frames *wst__pool_take_frames(struct wst__ws_pool *pool)
{
    if (pool->frames_count)
        return pool->frames[--pool->frames_count];
    return wst__frames_new();
}
/* Gives it back; it must be at a frame boundary. */
static inline void wst__pool_give_frames(struct wst__ws_pool *pool, struct wst__frames *f)
{
    if (pool->frames_count < WST__POOL_FRAMES)
        pool->frames[pool->frames_count++] = f;
    else
        wst__frames_free(f);
}

/* The slow ways of the two below. */
int wst__pool_find(struct wst__ws_pool *pool, struct wst__block *b, size_t least, size_t want);
void wst__pool_keep(struct wst__ws_pool *pool, struct wst__block b);

/*
 * Gives |b|, which is empty, a block of |least| bytes or more: one of |want| (>= |least|) when one
 * lies ready, so that a message whose length is announced need not grow, but never new memory
 * for what is only announced.  NOMEM.
 */
static inline int wst__pool_take(struct wst__ws_pool *pool, struct wst__block *b, size_t least,
                                 size_t want)
{
    if (pool->small.cap < want)
        return wst__pool_find(pool, b, least, want);
    *b = pool->small;
    pool->small.data = NULL;
    pool->small.cap = 0;
    return 0;
}
/* Takes the block back; |b| is empty afterwards.  An empty one does nothing. */
static inline void wst__pool_give(struct wst__ws_pool *pool, struct wst__block *b)
{
    struct wst__block old = *b;

    b->data = NULL;
    b->cap = 0;
    if (pool->small.data || old.cap > WST__POOL_SMALL)
        wst__pool_keep(pool, old);
    else
        pool->small = old;
}

/* Sees to it that there is a masking key.  ENTROPY: none is to be had; an old one is never used
 * again. */
static inline int wst__pool_need_key(struct wst__ws_pool *pool)
{
    int rc = 0;

    if (pool->keys_left < 4) {
        rc = pool->random(pool->random_arg, pool->keys, sizeof pool->keys);
        pool->keys_left = rc == 0 ? sizeof pool->keys : 0;
    }
    return rc;
}
/* A masking key that nobody has seen (RFC 6455, 5.3 and 10.3), once there is one. */
static inline void wst__pool_key(struct wst__ws_pool *pool, uint8_t key[4])
{
    pool->keys_left -= 4;
    memcpy(key, pool->keys + pool->keys_left, 4);
}

#endif
