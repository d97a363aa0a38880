/* The pool: a few spare blocks and parsers; what does not fit goes back to the allocator. */
#include "wire/pool.h"

#include "base/mem.h"
#include "wire/message.h"

int wst__ws_pool_new(struct wst__ws_pool **out, int (*random)(void *arg, void *p, size_t n),
                     void *random_arg)
{
    struct wst__ws_pool *pool = wst__calloc(1, sizeof *pool);

    if (pool) {
        pool->random = random;
        pool->random_arg = random_arg;
    }
    *out = pool;
    return pool ? 0 : WST_ERR_NOMEM;
}

void wst__ws_pool_free(struct wst__ws_pool *pool)
{
    if (!pool)
        return;
    while (pool->frames_count)
        wst__frames_free(pool->frames[--pool->frames_count]);
    while (pool->blocks_count)
        wst__free(pool->blocks[--pool->blocks_count].data);
    wst__free(pool->small.data);
    wst__wipe(pool->keys, sizeof pool->keys);
    wst__free(pool);
}

/* The smallest of the spare blocks that has |want| bytes, else the largest; count when none. */
static size_t best(const struct wst__ws_pool *pool, size_t want)
{
    size_t found = pool->blocks_count;

    for (size_t i = 0; i < pool->blocks_count; i++) {
        size_t cap = pool->blocks[i].cap;
        size_t have = found < pool->blocks_count ? pool->blocks[found].cap : 0;

        if (have < want ? cap > have : cap >= want && cap < have)
            found = i;
    }
    return found;
}

static struct wst__block remove_block(struct wst__ws_pool *pool, size_t i)
{
    struct wst__block b = pool->blocks[i];

    pool->blocks[i] = pool->blocks[--pool->blocks_count];
    pool->blocks_bytes -= b.cap;
    return b;
}

int wst__pool_find(struct wst__ws_pool *pool, struct wst__block *b, size_t least, size_t want)
{
    size_t i = best(pool, want);

    if (i < pool->blocks_count && pool->blocks[i].cap >= least) {
        *b = remove_block(pool, i);
        return 0;
    }
    if (pool->small.cap >= least) {
        *b = pool->small;
        pool->small = (struct wst__block){NULL, 0};
        return 0;
    }
    if (least < WST__POOL_BLOCK_MIN)
        least = WST__POOL_BLOCK_MIN;
    if (least > SIZE_MAX - WST__POOL_ALIGN)
        return WST_ERR_NOMEM;
    least = (least + WST__POOL_ALIGN - 1) / WST__POOL_ALIGN * WST__POOL_ALIGN;
    b->data = wst__malloc(least);
    b->cap = b->data ? least : 0;
    return b->data ? 0 : WST_ERR_NOMEM;
}

void wst__pool_keep(struct wst__ws_pool *pool, struct wst__block b)
{
    size_t smallest = 0;

    if (!b.data)
        return;
    if (pool->blocks_count == WST__POOL_BLOCKS) {
        /* The smallest of the five goes: large ones are dear to make again. */
        for (size_t i = 1; i < pool->blocks_count; i++) {
            if (pool->blocks[i].cap < pool->blocks[smallest].cap)
                smallest = i;
        }
        if (pool->blocks[smallest].cap < b.cap) {
            struct wst__block out = remove_block(pool, smallest);

            wst__free(out.data);
        }
    }
    if (pool->blocks_count == WST__POOL_BLOCKS || b.cap > WST__POOL_BYTES - pool->blocks_bytes) {
        wst__free(b.data);
        return;
    }
    pool->blocks[pool->blocks_count++] = b;
    pool->blocks_bytes += b.cap;
}
