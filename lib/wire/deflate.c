/*
 * permessage-deflate: zlib's raw streams, one for each direction.
 *
 * A message is compressed with a sync flush, and the four bytes 00 00 ff ff at its end are left
 * out; for inflating they are put back (RFC 7692, 7.2).
 */
#include "wire/deflate.h"

#include "base/mem.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

/* zlib's ZLIB_CONST is not everywhere; |in| is never written to. */
#define ZLIB_CONST
#include <zlib.h>

enum {
    LEVEL = 6,        /* zlib's own balance, */
    MEMORY_LEVEL = 8, /* and its usual memory. */
    LEAST_BITS = 9,   /* zlib makes no raw stream with a smaller window. */
    TAIL = 4,
    SLACK = 16,  /* A flush adds a few bytes to deflateBound(). */
    GROWTH = 16, /* What a message may grow by, for the sake of the next one. */
    WINDOW_MAX = 32768
};

static const uint8_t tail[TAIL] = {0x00, 0x00, 0xff, 0xff};

struct wst__deflate {
    struct wst__deflate_params params;
    bool packs, inflates; /* The streams are there. */
    bool ended;           /* The last byte of a piece ended zlib's stream. */
    size_t least;
    uint64_t work;
    uint64_t announced; /* Of the message that arrives: the payload of its frames. */
    z_stream out, in;
};

static void *take_memory(void *arg, unsigned count, unsigned size)
{
    (void)arg;
    return wst__calloc(count, size);
}

static void give_memory(void *arg, void *p)
{
    (void)arg;
    wst__free(p);
}

struct wst__deflate *wst__deflate_new(const struct wst__deflate_params *params, size_t least)
{
    struct wst__deflate *d = wst__calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->params = *params;
    d->least = least;
    d->in.zalloc = d->out.zalloc = take_memory;
    d->in.zfree = d->out.zfree = give_memory;
    return d;
}

/* ---- Out ----------------------------------------------------------------------------------- */

static void end_out(struct wst__deflate *d)
{
    if (d->packs)
        (void)deflateEnd(&d->out);
    d->packs = false;
}

static bool begin_out(struct wst__deflate *d)
{
    if (d->params.client_bits < LEAST_BITS)
        return false;
    if (!d->packs)
        d->packs = deflateInit2(&d->out, LEVEL, Z_DEFLATED, -(int)d->params.client_bits,
                                MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
    return d->packs;
}

/*
 * Is it worth it to send |made| bytes for |n|?  With context takeover also when that is a little
 * more: what was packed is in the window.  What grows by more than a little fills the window with
 * noise, which is no loss; and who sends it has room for |n| bytes, not for 5 more in each 16 KiB.
 */
static bool is_worth_it(const struct wst__deflate *d, size_t made, size_t n)
{
    return made < n || (!d->params.client_forgets && made <= n + GROWTH);
}

/* zlib counts in unsigned int; and an empty message has nothing to say to it. */
static bool is_for_zlib(const struct wst__deflate *d, size_t n)
{
    return n > 0 && n >= d->least && n <= INT_MAX / 2;
}

size_t wst__deflate_bound(struct wst__deflate *d, size_t n)
{
    return deflateBound(&d->out, (uLong)n) + SLACK;
}

/* Compresses |n| bytes to the |room| at |to|, where all of them fit; zlib may not want to. */
static bool flush(struct wst__deflate *d, const void *data, size_t n, uint8_t *to, size_t room,
                  size_t *made)
{
    int rc;

    d->out.next_in = data;
    d->out.avail_in = (uInt)n;
    d->out.next_out = to;
    d->out.avail_out = (uInt)room;
    rc = deflate(&d->out, Z_SYNC_FLUSH);
    d->out.next_in = NULL;
    *made = room - d->out.avail_out;
    assert(rc != Z_OK || (d->out.avail_in == 0 && d->out.avail_out > 0));
    return rc == Z_OK;
}

bool wst__deflate_pack(struct wst__deflate *d, struct wst__ws_pool *pool, const void *data,
                       size_t n, struct wst__block *out, size_t *made)
{
    size_t bound;
    bool fits;

    if (!is_for_zlib(d, n) || !begin_out(d))
        return false;
    bound = wst__deflate_bound(d, n);
    if (wst__pool_take(pool, out, bound, bound) != 0)
        return false;
    fits = flush(d, data, n, out->data, bound, made);
    *made -= fits ? TAIL : 0;
    fits = fits && is_worth_it(d, *made, n);
    if (d->params.client_forgets)
        end_out(d);
    if (!fits)
        wst__deflate_unsent(d);
    if (fits)
        return true;
    wst__pool_give(pool, out);
    return false;
}

bool wst__deflate_chunks(struct wst__deflate *d, size_t n)
{
    return is_for_zlib(d, n) && begin_out(d);
}

/*
 * Each chunk ends with a flush, as a message does.  An empty one has nothing to flush; as the last
 * one it is a block without bytes, of which what is left out leaves one byte (RFC 7692, 7.2.3.6).
 */
bool wst__deflate_chunk(struct wst__deflate *d, const void *data, size_t n, bool last, uint8_t *to,
                        size_t *made)
{
    *made = 0;
    if (n && !flush(d, data, n, to, wst__deflate_bound(d, n), made))
        return false;
    if (!last)
        return true;
    if (n)
        *made -= TAIL;
    else
        to[(*made)++] = 0;
    if (d->params.client_forgets)
        end_out(d);
    return true;
}

void wst__deflate_unsent(struct wst__deflate *d)
{
    if (d->packs)
        (void)deflateReset(&d->out);
}

/* ---- In ------------------------------------------------------------------------------------ */

static void end_in(struct wst__deflate *d)
{
    if (d->inflates)
        (void)inflateEnd(&d->in);
    d->inflates = false;
}

uint64_t wst__inflate_announce(struct wst__deflate *d, bool first, uint64_t n)
{
    if (first)
        d->announced = 0;
    d->announced = n > UINT64_MAX - d->announced ? UINT64_MAX : d->announced + n;
    return d->announced;
}

int wst__inflate_feed(struct wst__deflate *d, const uint8_t *p, size_t n)
{
    if (!d->inflates)
        d->inflates = inflateInit2(&d->in, -(int)d->params.server_bits) == Z_OK;
    if (!d->inflates)
        return WST_ERR_NOMEM;
    d->in.next_in = p;
    d->in.avail_in = (uInt)n;
    d->ended = false;
    return 0;
}

/*
 * A final block ends zlib's stream but not ours: the next block may refer to what was before
 * (RFC 7692, 7.2.3.4).
 */
static int go_on_after_end(struct wst__deflate *d)
{
    uint8_t *window = wst__malloc(WINDOW_MAX);
    unsigned n = 0;
    int rc = WST_ERR_NOMEM;

    if (window && inflateGetDictionary(&d->in, window, &n) == Z_OK &&
        inflateReset(&d->in) == Z_OK && inflateSetDictionary(&d->in, window, n) == Z_OK)
        rc = 0;
    wst__free(window);
    d->work += 2 * WINDOW_MAX;
    d->ended = d->in.avail_in == 0;
    return rc;
}

int wst__inflate_run(struct wst__deflate *d, uint8_t *to, size_t room, size_t *made)
{
    int rc;

    d->in.next_out = to;
    d->in.avail_out = (uInt)(room < INT_MAX ? room : INT_MAX);
    room = d->in.avail_out;
    rc = inflate(&d->in, Z_SYNC_FLUSH);
    *made = room - d->in.avail_out;
    d->work += *made;
    if (rc == Z_MEM_ERROR)
        return WST_ERR_NOMEM;
    if (rc == Z_STREAM_END) {
        if (go_on_after_end(d) != 0)
            return WST_ERR_NOMEM;
        rc = Z_OK;
    }
    /* Z_BUF_ERROR: it could go neither forwards nor backwards; all is used up. */
    if (rc != Z_OK && rc != Z_BUF_ERROR)
        return WST_ERR_WS_PROTOCOL;
    return d->in.avail_in || d->in.avail_out == 0 ? WST__INFLATE_MORE : WST__INFLATE_DONE;
}

/* Some end a message with a final block and nothing more: then there is nothing to put back. */
int wst__inflate_finish(struct wst__deflate *d)
{
    return d->ended ? 0 : wst__inflate_feed(d, tail, TAIL);
}

int wst__inflate_end(struct wst__deflate *d)
{
    /* zlib says so: it stands between two blocks. */
    bool between = d->ended || (d->in.data_type & 128) != 0;

    d->in.next_in = NULL;
    d->ended = false;
    if (d->params.server_forgets)
        end_in(d);
    return between ? 0 : WST_ERR_WS_PROTOCOL;
}

void wst__inflate_turn(struct wst__deflate *d)
{
    d->work = 0;
}

uint64_t wst__inflate_work(const struct wst__deflate *d)
{
    return d->work;
}

void wst__deflate_free(struct wst__deflate *d)
{
    if (!d)
        return;
    end_out(d);
    end_in(d);
    wst__free(d);
}
