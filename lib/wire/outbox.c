/* The send queue. */
#include "wire/outbox.h"

#include "base/err.h"
#include "base/hint.h"
#include "base/mem.h"
#include "wire/mask.h"

#include <assert.h>
#include <string.h>

enum {
    FIN = 0x80,
    MASKED = 0x80,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10,
    KEY = 4,
    SHORT_MAX = 125, /* The longest payload with the shortest header, */
    SHORT_HEAD = 2 + KEY,
    CONTROL_HEAD = SHORT_HEAD,
    CONTROL_FRAME_MAX = CONTROL_HEAD + 125
};

/* What is known of a frame in the block. */
struct mark {
    void *ref;
    size_t frame; /* Its bytes on the wire. */
    size_t size;  /* What is told at the message's end; NO_END: the message goes on. */
};
#define NO_END SIZE_MAX

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- The block ----------------------------------------------------------------------------- */

/* The mark of the first frame. */
static struct mark *first_mark(const struct wst__outbox *o)
{
    void *end = o->block.data + o->high;

    return (struct mark *)end - 1;
}

/*
 * Bytes of the first frame that have not left, when some have: else 0.  They go ahead of control
 * frames; and while one of these is on its way, no data frame has begun.
 */
static size_t begun_left(const struct wst__outbox *o)
{
    return o->begun ? first_mark(o)->frame - o->begun : 0;
}

/* Moves what is live to the two ends of |to|, which may be the same block. */
static void move(struct wst__outbox *o, const struct wst__block *to)
{
    size_t bytes = o->tail - o->head;
    size_t marks = o->high - o->low;

    if (marks)
        memmove(to->data + to->cap - marks, o->block.data + o->low, marks);
    if (bytes)
        memmove(to->data, o->block.data + o->head, bytes);
    o->head = 0;
    o->tail = bytes;
    o->low = to->cap - marks;
    o->high = to->cap;
}

static inline int take_block(struct wst__outbox *o, struct wst__ws_pool *pool, size_t need)
{
    /* As large as the last one, if it lies ready: else a burst would grow it step by step. */
    int rc = wst__pool_take(pool, &o->block, need, need > pool->burst ? need : pool->burst);

    o->low = o->high = o->block.cap;
    return rc;
}

/* The queue rose: when it falls again, that is to be told. */
static inline void note_level(struct wst__outbox *o)
{
    if (wst__outbox_bytes(o) > o->low_water)
        o->above = true;
}

/*
 * So far the block grows by doubling: what a full queue takes, and a quarter more, lest a full one
 * is moved for each message that joins it.
 */
static size_t most(const struct wst__ws_env *env)
{
    size_t close = CONTROL_FRAME_MAX + sizeof(struct mark);

    return env->max_queue < SIZE_MAX / 2 ? env->max_queue / 4 * 5 + close : SIZE_MAX;
}

/* Makes room for |need| more bytes: of frames and marks.  NOMEM. */
static int reserve(struct wst__outbox *o, const struct wst__ws_env *env, size_t need)
{
    size_t live = o->tail - o->head + o->high - o->low;
    size_t unused = o->block.cap - live;
    struct wst__block larger = {NULL, 0};
    size_t cap = o->block.cap < most(env) / 2 ? 2 * o->block.cap : most(env);
    int rc;

    /* To move costs as much as is live: worth it if as much is won, or if it cannot grow. */
    if (unused >= need && (unused >= live || o->block.cap >= most(env))) {
        move(o, &o->block);
        return 0;
    }
    cap = cap > live + need ? cap : live + need;
    rc = wst__pool_take(env->pool, &larger, cap, cap);
    if (rc != 0 && unused >= need) {
        move(o, &o->block); /* For once it need not be worth it. */
        return 0;
    }
    if (rc != 0)
        return rc;
    assert(larger.data);
    move(o, &larger);
    wst__pool_give(env->pool, &o->block);
    o->block = larger;
    return 0;
}

/* Everything in the block has left. */
static void give_back(struct wst__outbox *o, struct wst__ws_pool *pool)
{
    o->head = o->tail = 0;
    o->low = o->high = 0;
    pool->burst = o->block.cap;
    wst__pool_give(pool, &o->block);
}

/* ---- Frames -------------------------------------------------------------------------------- */

static size_t head_size(size_t n)
{
    return KEY + (n < 126 ? 2u : n < 65536 ? 4u : 10u);
}

/* The header of a frame that is not short, up to the key; returns its size (RFC 6455, 5.2). */
static size_t write_long_head(uint8_t *to, uint8_t first, uint64_t n)
{
    size_t size = n < 65536 ? 4 : 10;

    to[0] = first;
    to[1] = n < 65536 ? MASKED | 126 : MASKED | 127;
    for (size_t i = 2; i < size; i++)
        to[i] = (uint8_t)(n >> (8 * (size - 1 - i)));
    return size;
}

/* Writes a whole frame; a masking key is there. */
static inline void write_frame(const struct wst__ws_env *env, uint8_t *to, uint8_t first,
                               const uint8_t *data, size_t n)
{
    size_t head = 2;

    if (n < 126) {
        to[0] = first;
        to[1] = (uint8_t)(MASKED | n);
    } else {
        head = write_long_head(to, first, n);
    }
    to += head;
    wst__pool_key(env->pool, to);
    if (n)
        wst__mask(to + KEY, data, n, to);
}

/* Notes a frame for which there is room, and returns its place. */
static inline uint8_t *put_mark(struct wst__outbox *o, size_t frame, void *ref, size_t size)
{
    uint8_t *to = o->block.data + o->tail;
    struct mark *mark;

    assert(o->block.data);
    o->low -= sizeof *mark;
    mark = (struct mark *)(void *)(o->block.data + o->low);
    mark->ref = ref;
    mark->frame = frame;
    mark->size = size;
    o->tail += frame;
    return to;
}

/* Room and a key for a frame of |n| bytes.  NOMEM, ENTROPY. */
static inline int need_frame(struct wst__outbox *o, const struct wst__ws_env *env, size_t n)
{
    size_t need = head_size(n) + n + sizeof(struct mark);
    int rc = wst__pool_need_key(env->pool);

    if (rc == 0 && o->low - o->tail < need)
        rc = o->block.data ? reserve(o, env, need) : take_block(o, env->pool, need);
    return rc;
}

static inline int add_frame(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                            const uint8_t *data, size_t n, void *ref, size_t size)
{
    int rc = need_frame(o, env, n);

    if (rc != 0)
        return rc;
    write_frame(env, put_mark(o, head_size(n) + n, ref, size), first, data, n);
    return 0;
}

/* May |n| more bytes of payload be queued?  TOO_LARGE, QUEUE_FULL. */
static inline int check_ceiling(const struct wst__outbox *o, const struct wst__ws_env *env,
                                size_t n)
{
    size_t used = o->tail - o->head + o->high - o->low;
    size_t over = sizeof(struct mark) + head_size(n);

    if (n > env->max_queue || over > env->max_queue - n)
        return WST_ERR_TOO_LARGE;
    return used > env->max_queue - n - over ? WST_ERR_QUEUE_FULL : 0;
}

WST__NOINLINE int wst__outbox_data(struct wst__outbox *o, const struct wst__ws_env *env,
                                   uint8_t first, const void *data, size_t n, void *ref,
                                   size_t size)
{
    int rc = check_ceiling(o, env, n);

    o->above = o->above || rc == WST_ERR_QUEUE_FULL; /* Who was refused is told to go on. */
    if (rc != 0)
        return rc;
    rc = add_frame(o, env, first, data, n, ref, first & FIN ? size : NO_END);
    note_level(o);
    return rc;
}

int wst__outbox_prepare(struct wst__outbox *o, const struct wst__ws_env *env, size_t n,
                        size_t largest)
{
    int rc = check_ceiling(o, env, n);

    o->above = o->above || rc == WST_ERR_QUEUE_FULL;
    return rc != 0 ? rc : need_frame(o, env, largest);
}

void wst__outbox_prepared(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                          const void *data, size_t n, void *ref, size_t size)
{
    int rc = add_frame(o, env, first, data, n, ref, first & FIN ? size : NO_END);

    assert(rc == 0);
    (void)rc;
    note_level(o);
}

/* Room for a short message: in the block, or in one that lies ready and is as large as the last. */
static inline bool has_room(struct wst__outbox *o, struct wst__ws_pool *pool, size_t need)
{
    if (o->block.data)
        return o->low - o->tail >= need;
    if (pool->small.cap < WST__POOL_BLOCK_MIN || pool->small.cap < pool->burst)
        return false;
    o->block = pool->small;
    o->low = o->high = o->block.cap;
    pool->small = (struct wst__block){NULL, 0};
    return true;
}

/*
 * Most messages are short, the queue is below its mark, and all they need lies ready: this is
 * their way.  It does what wst__outbox_data() does, and leaves everything else to it.
 */
int wst__outbox_message(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t first,
                        const void *data, size_t n, void *ref)
{
    struct wst__ws_pool *pool = env->pool;
    size_t need = n + SHORT_HEAD + sizeof(struct mark);
    size_t key_at = pool->keys_left - KEY;
    uint8_t *to;

    if (n - 1 >= SHORT_MAX || o->control || pool->keys_left < KEY ||
        o->tail - o->head + o->high - o->low + need > o->low_water || !has_room(o, pool, need))
        return wst__outbox_data(o, env, first, data, n, ref, n);
    to = put_mark(o, n + SHORT_HEAD, ref, n);
    to[0] = first;
    to[1] = (uint8_t)(MASKED | n);
    memcpy(to + 2, pool->keys + key_at, KEY);
    pool->keys_left = key_at;
    wst__mask(to + SHORT_HEAD, data, n, to + 2);
    return 0;
}

int wst__outbox_close(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                      size_t n)
{
    int rc = add_frame(o, env, FIN | OPCODE_CLOSE, payload, n, NULL, NO_END);

    o->closing = rc == 0;
    return rc;
}

/* ---- Pings and pongs ----------------------------------------------------------------------- */

static uint32_t control_size(const struct wst__controls *c, uint32_t at)
{
    return CONTROL_HEAD + (c->bytes[at + 1] & 0x7fu);
}

/*
 * Keeps only the newest of the pongs that have not begun to leave (RFC 6455, 5.5.3): a peer that
 * pings and does not read must not fill our memory.  What was handed out and is not yet accounted
 * for stays as it is.
 */
static void keep_newest_pong(struct wst__controls *c)
{
    uint32_t from = c->shown ? c->shown : c->next;
    uint32_t to = from;
    uint32_t last = UINT32_MAX;

    for (uint32_t at = from; at < c->tail; at += control_size(c, at)) {
        if ((c->bytes[at] & 0x0f) == OPCODE_PONG)
            last = at;
    }
    for (uint32_t at = from, size; at < c->tail; at += size) {
        size = control_size(c, at);
        if ((c->bytes[at] & 0x0f) == OPCODE_PONG && at != last)
            continue;
        memmove(c->bytes + to, c->bytes + at, size);
        to += size;
    }
    c->tail = to;
}

/* Room for one more control frame.  NOMEM. */
static int reserve_control(struct wst__outbox *o)
{
    struct wst__controls *c = o->control;
    uint32_t cap = c ? 2 * c->cap : 256;

    if (c && c->cap - c->tail >= CONTROL_FRAME_MAX)
        return 0;
    c = wst__realloc(c, sizeof *c + cap);
    if (!c)
        return WST_ERR_NOMEM;
    if (!o->control)
        memset(c, 0, sizeof *c);
    c->cap = cap;
    o->control = c;
    return 0;
}

static int add_control(struct wst__outbox *o, const struct wst__ws_env *env, uint8_t opcode,
                       const uint8_t *payload, size_t n)
{
    int rc = wst__pool_need_key(env->pool);
    struct wst__controls *c;

    if (rc == 0)
        rc = reserve_control(o);
    if (rc != 0)
        return rc;
    c = o->control;
    write_frame(env, c->bytes + c->tail, (uint8_t)(FIN | opcode), payload, n);
    c->tail += CONTROL_HEAD + (uint32_t)n;
    return 0;
}

int wst__outbox_ping(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                     size_t n)
{
    int rc;

    if (o->control && o->control->pings == WST__OUTBOX_PINGS)
        return WST_ERR_QUEUE_FULL;
    rc = add_control(o, env, OPCODE_PING, payload, n);
    if (rc == 0)
        o->control->pings++;
    note_level(o);
    return rc;
}

/* Of the bytes that were handed out last, how many are control frames'. */
static size_t shown_control(const struct wst__controls *c)
{
    return c->shown ? c->shown - c->head : 0;
}

/* How the first |n| of them lie: data, control frames, data. */
struct layout {
    size_t first, control, rest;
};

static struct layout lay(const struct wst__outbox *o, size_t n)
{
    struct layout l = {0};

    if (o->control) {
        l.first = smaller(n, o->control->shown_first);
        l.control = smaller(n - l.first, shown_control(o->control));
    }
    l.rest = n - l.first - l.control;
    return l;
}

/* The close frame, which is the last mark's: has nothing of it left or been fixed? */
static bool close_waits(const struct wst__outbox *o)
{
    struct layout fixed = lay(o, o->fixed);
    const struct mark *last = (const struct mark *)(const void *)(o->block.data + o->low);

    if (o->begun && o->high - o->low == sizeof *last)
        return false;
    return fixed.first + fixed.rest <= o->tail - o->head - last->frame;
}

/* Nothing may follow a close frame (RFC 6455, 5.5.1). */
static bool close_has_begun(const struct wst__outbox *o)
{
    return o->closing && (o->low == o->high || !close_waits(o));
}

int wst__outbox_pong(struct wst__outbox *o, const struct wst__ws_env *env, const uint8_t *payload,
                     size_t n)
{
    int rc;

    if (close_has_begun(o))
        return 0;
    rc = add_control(o, env, OPCODE_PONG, payload, n);
    if (rc == 0 && (o->blocked || o->control->tail > WST__OUTBOX_CONTROL))
        keep_newest_pong(o->control);
    return rc;
}

/* ---- Leaving ------------------------------------------------------------------------------- */

struct pieces {
    struct iovec *iov;
    size_t max, count, bytes;
};

static bool add_piece(struct pieces *ps, uint8_t *p, size_t n)
{
    if (n == 0)
        return true;
    if (ps->count == ps->max)
        return false;
    ps->iov[ps->count].iov_base = p;
    ps->iov[ps->count++].iov_len = n;
    ps->bytes += n;
    return true;
}

/* Data |skip| bytes behind the first.  An empty queue has no block that one could point into. */
static bool add_data(struct pieces *ps, const struct wst__outbox *o, size_t skip, size_t n)
{
    return n == 0 || add_piece(ps, o->block.data + o->head + skip, n);
}

/* What must look as it did: nothing that was queued since goes between. */
static void show_fixed(const struct wst__outbox *o, struct pieces *ps)
{
    struct layout l = lay(o, o->fixed);

    (void)(add_data(ps, o, 0, l.first) &&
           add_piece(ps, l.control ? o->control->bytes + o->control->head : NULL, l.control) &&
           add_data(ps, o, l.first, l.rest));
}

/* With control frames: the rest of the data frame that has begun, they, the other data. */
static void show_all(struct wst__outbox *o, struct pieces *ps)
{
    struct wst__controls *c = o->control;
    size_t first;

    c->shown = 0;
    if (o->shown) {
        /* Nothing of what was handed out before was taken. */
        o->blocked = true;
        keep_newest_pong(c);
    }
    first = begun_left(o);
    c->shown_first = (uint32_t)first;
    if (add_data(ps, o, 0, first) && add_piece(ps, c->bytes + c->head, c->tail - c->head)) {
        c->shown = c->tail;
        (void)add_data(ps, o, first, o->tail - o->head - first);
    }
}

static WST__NOINLINE size_t show_pieces(struct wst__outbox *o, struct iovec *iov, size_t max)
{
    struct pieces ps = {iov, max, 0, 0};

    if (o->fixed)
        show_fixed(o, &ps);
    else
        show_all(o, &ps);
    o->shown = ps.bytes;
    return ps.count;
}

size_t wst__outbox_show(struct wst__outbox *o, struct iovec *iov, size_t max)
{
    if (o->fixed || o->control)
        return show_pieces(o, iov, max);
    /* Data alone, as most often. */
    o->shown = o->tail - o->head;
    if (o->shown == 0)
        return 0; /* There may be no block. */
    iov->iov_base = o->block.data + o->head;
    iov->iov_len = o->shown;
    return 1;
}

static void take_control(struct wst__controls *c, size_t n)
{
    while (n) {
        size_t left;

        if (c->next == c->head) {
            c->opcode = c->bytes[c->head] & 0x0f;
            c->next += control_size(c, c->head);
        }
        left = c->next - c->head;
        left = left < n ? left : n;
        c->head += (uint32_t)left;
        n -= left;
        if (c->next == c->head && c->opcode == OPCODE_PING)
            c->pings--;
    }
}

/* What is left is moved to the block's begin. */
static void tidy_control(struct wst__controls *c)
{
    if (c->head == 0)
        return;
    memmove(c->bytes, c->bytes + c->head, c->tail - c->head);
    c->tail -= c->head;
    c->next -= c->head;
    c->head = 0;
}

/* |sent| may add frames: nothing of |o| is kept in a variable over the call. */
static void take_data(struct wst__outbox *o, const struct wst__ws_env *env, size_t n,
                      void (*sent)(void *, void *, size_t), void *arg)
{
    while (n) {
        struct mark mark = *first_mark(o);
        size_t left = mark.frame - o->begun;

        if (left > n) {
            o->begun += n;
            o->head += n;
            return;
        }
        n -= left;
        o->head += left;
        o->begun = 0;
        o->high -= sizeof mark;
        if (mark.size == NO_END)
            continue;
        env->tally->sent++;
        env->tally->bytes_sent += mark.size;
        if (sent)
            sent(arg, mark.ref, mark.size);
    }
}

/* The part of the control frames in what was taken; what is fixed keeps its place. */
static void take_control_of(struct wst__outbox *o, const struct layout *l)
{
    struct wst__controls *c = o->control;
    size_t left = shown_control(c) - l->control;

    take_control(c, l->control);
    tidy_control(c);
    c->shown_first -= (uint32_t)l->first;
    c->shown = o->fixed > c->shown_first ? (uint32_t)left : 0;
    if (o->blocked)
        keep_newest_pong(c);
    if (c->tail == 0) {
        wst__free(c);
        o->control = NULL;
    }
}

void wst__outbox_taken(struct wst__outbox *o, const struct wst__ws_env *env, size_t n, size_t fixed,
                       void (*sent)(void *arg, void *ref, size_t n), void *arg)
{
    assert(n <= o->shown && fixed <= o->shown - n && fixed <= UINT32_MAX);
    o->blocked = n < o->shown;
    o->shown = 0;
    o->fixed = (uint32_t)fixed;
    if (o->control) {
        struct layout l = lay(o, n);

        n -= l.control;
        take_control_of(o, &l);
    }
    take_data(o, env, n, sent, arg);
    if (o->low == o->high && o->block.data)
        give_back(o, env->pool);
}

size_t wst__outbox_taken_all(struct wst__outbox *o, const struct wst__ws_env *env)
{
    for (size_t at = o->low; at < o->high; at += sizeof(struct mark)) {
        const struct mark *mark = (const struct mark *)(const void *)(o->block.data + at);

        if (mark->size != NO_END) {
            env->tally->sent++;
            env->tally->bytes_sent += mark->size;
        }
    }
    o->begun = o->shown = 0;
    o->fixed = 0;
    o->blocked = false;
    give_back(o, env->pool);
    return 0;
}

void wst__outbox_drop(struct wst__outbox *o, struct wst__ws_pool *pool,
                      void (*unsent)(void *arg, void *ref, size_t n), void *arg)
{
    for (; unsent && o->low < o->high; o->high -= sizeof(struct mark)) {
        const struct mark *mark = first_mark(o);

        if (mark->size != NO_END)
            unsent(arg, mark->ref, mark->size);
    }
    give_back(o, pool);
    wst__free(o->control);
    memset(o, 0, sizeof *o);
}

void wst__outbox_count(const struct wst__outbox *o, uint64_t *messages, uint64_t *bytes)
{
    *messages = *bytes = 0;
    for (size_t at = o->low; at < o->high; at += sizeof(struct mark)) {
        const struct mark *mark = (const struct mark *)(const void *)(o->block.data + at);

        if (mark->size != NO_END) {
            ++*messages;
            *bytes += mark->size;
        }
    }
}
