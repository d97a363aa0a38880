/* The send queue. */
#include "wire/outbox.h"

#include "base/err.h"
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
    CONTROL_HEAD = 2 + KEY,
    CONTROL_FRAME_MAX = CONTROL_HEAD + 125
};

/* What is known of a frame in the block. */
struct mark {
    void *ref;
    size_t frame; /* Its bytes on the wire. */
    size_t size;  /* What is told at the message's end; NO_END: the message goes on. */
};
#define NO_END SIZE_MAX

/* ---- Marks --------------------------------------------------------------------------------- */

/* The |i|th live mark; they grow down from the block's end. */
static struct mark *mark_at(const struct wst__outbox *o, size_t i)
{
    void *end = o->block.data + o->block.cap;

    return (struct mark *)end - 1 - o->marks_gone - i;
}

/* Bytes of the first frame that have not left, when some have: else 0. */
static size_t begun_left(const struct wst__outbox *o)
{
    return o->begun ? mark_at(o, 0)->frame - o->begun : 0;
}

/* ---- The block ----------------------------------------------------------------------------- */

static size_t marks_bytes(size_t count)
{
    return count * sizeof(struct mark);
}

/* Moves what is live to the two ends of |to|, which may be the same block. */
static void move(struct wst__outbox *o, struct wst__block *to)
{
    size_t marks = marks_bytes(o->marks);
    size_t bytes = o->tail - o->head;

    if (o->marks)
        memmove(to->data + to->cap - marks, mark_at(o, o->marks - 1), marks);
    if (bytes)
        memmove(to->data, o->block.data + o->head, bytes);
    o->head = 0;
    o->tail = bytes;
    o->marks_gone = 0;
}

/* Makes room for a frame of |n| bytes and its mark.  NOMEM. */
static int reserve(struct wst__outbox *o, const struct wst__outbox_env *env, size_t n)
{
    size_t live = o->tail - o->head + marks_bytes(o->marks);
    size_t dead = o->head + marks_bytes(o->marks_gone);
    size_t need = n + sizeof(struct mark);
    struct wst__block larger = {NULL, 0};
    size_t cap;
    int rc;

    if (o->block.cap - live - dead >= need)
        return 0;
    /* To move costs as much as is live: worth it only if at least so much is won. */
    if (dead >= live && o->block.cap - live >= need) {
        move(o, &o->block);
        return 0;
    }
    cap = live + need > 2 * o->block.cap ? live + need : 2 * o->block.cap;
    rc = wst__pool_take(env->pool, &larger, cap, cap);
    if (rc != 0)
        return rc;
    if (o->block.data)
        move(o, &larger);
    wst__pool_give(env->pool, &o->block);
    o->block = larger;
    return 0;
}

/* Everything in the block has left. */
static void give_back(struct wst__outbox *o, struct wst__ws_pool *pool)
{
    wst__pool_give(pool, &o->block);
    o->head = o->tail = 0;
    o->marks_gone = 0;
}

/* ---- Frames -------------------------------------------------------------------------------- */

static size_t head_size(size_t n)
{
    return KEY + (n < 126 ? 2u : n < 65536 ? 4u : 10u);
}

/* Writes a whole frame (RFC 6455, 5.2). */
static void write_frame(const struct wst__outbox_env *env, uint8_t *to, uint8_t first,
                        const uint8_t *data, size_t n)
{
    size_t i = 2;

    to[0] = first;
    if (n < 126) {
        to[1] = (uint8_t)(MASKED | n);
    } else if (n < 65536) {
        to[1] = MASKED | 126;
        to[2] = (uint8_t)(n >> 8);
        to[3] = (uint8_t)n;
        i = 4;
    } else {
        to[1] = MASKED | 127;
        for (; i < 10; i++)
            to[i] = (uint8_t)((uint64_t)n >> (8 * (9 - i)));
    }
    wst__pool_key(env->pool, to + i, env->random, env->random_arg);
    if (n)
        wst__mask(to + i + KEY, data, n, to + i);
}

static int add_frame(struct wst__outbox *o, const struct wst__outbox_env *env, uint8_t first,
                     const uint8_t *data, size_t n, const struct mark *mark)
{
    int rc = reserve(o, env, mark->frame);

    if (rc != 0)
        return rc;
    write_frame(env, o->block.data + o->tail, first, data, n);
    o->tail += mark->frame;
    *mark_at(o, o->marks) = *mark;
    o->marks++;
    return 0;
}

int wst__outbox_data(struct wst__outbox *o, const struct wst__outbox_env *env, uint8_t first,
                     const void *data, size_t n, void *ref, size_t size)
{
    size_t used = o->tail - o->head + marks_bytes(o->marks);
    struct mark mark = {ref, 0, first & FIN ? size : NO_END};
    size_t over = head_size(n) + sizeof mark;

    if (over > env->max || n > env->max - over)
        return WST_ERR_TOO_LARGE;
    if (used > env->max - over - n || o->marks == UINT32_MAX)
        return WST_ERR_QUEUE_FULL;
    mark.frame = head_size(n) + n;
    return add_frame(o, env, first, data, n, &mark);
}

int wst__outbox_close(struct wst__outbox *o, const struct wst__outbox_env *env,
                      const uint8_t *payload, size_t n)
{
    struct mark mark = {NULL, CONTROL_HEAD + n, NO_END};
    int rc = add_frame(o, env, FIN | OPCODE_CLOSE, payload, n, &mark);

    o->closing = rc == 0;
    return rc;
}

/* ---- Pings and pongs ----------------------------------------------------------------------- */

static uint32_t control_size(const struct wst__outbox *o, uint32_t at)
{
    return CONTROL_HEAD + (o->control[at + 1] & 0x7fu);
}

/*
 * Keeps only the newest of the pongs that have not begun to leave (RFC 6455, 5.5.3): a peer that
 * pings and does not read must not fill our memory.  What was handed out and is not yet accounted
 * for stays as it is.
 */
static void keep_newest_pong(struct wst__outbox *o)
{
    uint32_t from = o->is_shown && o->shown_control ? o->shown_control : o->control_next;
    uint32_t to = from;
    uint32_t last = UINT32_MAX;

    for (uint32_t at = from; at < o->control_tail; at += control_size(o, at)) {
        if ((o->control[at] & 0x0f) == OPCODE_PONG)
            last = at;
    }
    for (uint32_t at = from, size; at < o->control_tail; at += size) {
        size = control_size(o, at);
        if ((o->control[at] & 0x0f) == OPCODE_PONG && at != last)
            continue;
        memmove(o->control + to, o->control + at, size);
        to += size;
    }
    o->control_tail = to;
}

/* Room for one more control frame.  NOMEM. */
static int reserve_control(struct wst__outbox *o)
{
    uint32_t cap = o->control_cap ? 2 * o->control_cap : 256;
    uint8_t *larger;

    if (o->control_cap - o->control_tail >= CONTROL_FRAME_MAX)
        return 0;
    larger = wst__realloc(o->control, cap);
    if (!larger)
        return WST_ERR_NOMEM;
    o->control = larger;
    o->control_cap = cap;
    return 0;
}

static int add_control(struct wst__outbox *o, const struct wst__outbox_env *env, uint8_t opcode,
                       const uint8_t *payload, size_t n)
{
    int rc = reserve_control(o);

    if (rc != 0)
        return rc;
    write_frame(env, o->control + o->control_tail, (uint8_t)(FIN | opcode), payload, n);
    o->control_tail += CONTROL_HEAD + (uint32_t)n;
    return 0;
}

int wst__outbox_ping(struct wst__outbox *o, const struct wst__outbox_env *env,
                     const uint8_t *payload, size_t n)
{
    int rc;

    if (o->pings == WST__OUTBOX_PINGS)
        return WST_ERR_QUEUE_FULL;
    rc = add_control(o, env, OPCODE_PING, payload, n);
    if (rc == 0)
        o->pings++;
    return rc;
}

/* Nothing may follow a close frame (RFC 6455, 5.5.1). */
static bool close_has_begun(const struct wst__outbox *o)
{
    return o->closing && (o->marks == 0 || (o->marks == 1 && o->begun));
}

int wst__outbox_pong(struct wst__outbox *o, const struct wst__outbox_env *env,
                     const uint8_t *payload, size_t n)
{
    int rc;

    if (close_has_begun(o))
        return 0;
    rc = add_control(o, env, OPCODE_PONG, payload, n);
    if (rc == 0 && (o->blocked || o->control_tail > WST__OUTBOX_CONTROL))
        keep_newest_pong(o);
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

/* Bytes of data that go ahead of the control frames. */
static size_t data_first(const struct wst__outbox *o)
{
    return o->control_next > o->control_head ? 0 : begun_left(o);
}

size_t wst__outbox_show(struct wst__outbox *o, struct iovec *iov, size_t max)
{
    struct pieces ps = {iov, max, 0, 0};
    size_t control;
    size_t first;

    if (o->is_shown) {
        /* Nothing of what was handed out before was taken. */
        o->is_shown = false;
        o->blocked = true;
        keep_newest_pong(o);
    }
    control = o->control_tail - o->control_head;
    first = control ? data_first(o) : 0;
    o->shown_control = 0;
    if (add_piece(&ps, first ? o->block.data + o->head : NULL, first)) {
        if (control && add_piece(&ps, o->control + o->control_head, control))
            o->shown_control = o->control_tail;
        if (!control || o->shown_control)
            (void)add_piece(&ps, o->block.data + o->head + first, o->tail - o->head - first);
    }
    o->shown = ps.bytes;
    o->is_shown = ps.bytes != 0;
    return ps.count;
}

static void take_control(struct wst__outbox *o, size_t n)
{
    while (n) {
        size_t left;

        if (o->control_next == o->control_head) {
            o->control_opcode = o->control[o->control_head] & 0x0f;
            o->control_next += control_size(o, o->control_head);
        }
        left = o->control_next - o->control_head;
        left = left < n ? left : n;
        o->control_head += (uint32_t)left;
        n -= left;
        if (o->control_next == o->control_head && o->control_opcode == OPCODE_PING)
            o->pings--;
    }
}

/* Everything that had been there has left, or it is moved to the buffer's begin. */
static void tidy_control(struct wst__outbox *o)
{
    if (o->control_head == 0)
        return;
    memmove(o->control, o->control + o->control_head, o->control_tail - o->control_head);
    o->control_tail -= o->control_head;
    o->control_next -= o->control_head;
    o->control_head = 0;
    if (o->control_tail == 0) {
        wst__free(o->control);
        o->control = NULL;
        o->control_cap = 0;
    }
}

/* |sent| may add frames: nothing of |o| is kept in a variable over the call. */
static void take_data(struct wst__outbox *o, size_t n, void (*sent)(void *, void *, size_t),
                      void *arg)
{
    while (n) {
        struct mark mark = *mark_at(o, 0);
        size_t left = mark.frame - o->begun;

        if (left > n) {
            o->begun += n;
            o->head += n;
            return;
        }
        n -= left;
        o->head += left;
        o->begun = 0;
        o->marks--;
        o->marks_gone++;
        if (mark.size != NO_END)
            sent(arg, mark.ref, mark.size);
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void wst__outbox_taken(struct wst__outbox *o, const struct wst__outbox_env *env, size_t n,
                       void (*sent)(void *arg, void *ref, size_t n), void *arg)
{
    size_t control = o->shown_control ? o->shown_control - o->control_head : 0;
    size_t first = smaller(n, control ? data_first(o) : 0);

    assert(n <= o->shown);
    control = smaller(n - first, control);
    o->blocked = n < o->shown;
    o->is_shown = false;
    o->shown = 0;
    o->shown_control = 0;
    take_control(o, control);
    if (o->control)
        tidy_control(o);
    if (o->blocked && o->control)
        keep_newest_pong(o);
    take_data(o, first, sent, arg);
    take_data(o, n - first - control, sent, arg);
    if (o->marks == 0 && o->block.data)
        give_back(o, env->pool);
}

void wst__outbox_drop(struct wst__outbox *o, struct wst__ws_pool *pool,
                      void (*unsent)(void *arg, void *ref, size_t n), void *arg)
{
    for (size_t i = 0; unsent && i < o->marks; i++) {
        const struct mark *mark = mark_at(o, i);

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
    for (size_t i = 0; i < o->marks; i++) {
        const struct mark *mark = mark_at(o, i);

        if (mark->size != NO_END) {
            ++*messages;
            *bytes += mark->size;
        }
    }
}
