/*
 * Turns run from an idle handle, which is active while one is asked for: the loop calls it before
 * it polls the next time, and until then neither sleeps nor ends, wherever the wish came from.  A
 * wish from a prepare handle, which the loop calls later, lets it poll once without waiting.
 */
#include "io/turn_uv.h"

#include "base/hint.h"
#include "io/io.h"

#include <assert.h>

/* A turn that asks for another one is served in the same pass, but not for ever. */
enum { PASSES = 8 };

/* Assertions need to know the loop's thread, which may be another one than made us: a prepare
 * handle sees it whenever the loop goes round. */
#ifdef NDEBUG
enum { WATCHES_THREAD = 0 };
#else
enum { WATCHES_THREAD = 1 };
#endif

static void ring_init(struct wst__turn *head)
{
    head->next = head->prev = head;
}

static bool ring_empty(const struct wst__turn *head)
{
    return head->next == head;
}

static void ring_add(struct wst__turn *head, struct wst__turn *turn)
{
    turn->prev = head->prev;
    turn->next = head;
    head->prev->next = turn;
    head->prev = turn;
}

static void ring_remove(struct wst__turn *turn)
{
    assert(turn->prev && turn->next);
    turn->prev->next = turn->next;
    turn->next->prev = turn->prev;
    turn->next = turn->prev = NULL;
}

/* Moves all of |from| behind what is in |to|. */
static void ring_move(struct wst__turn *to, struct wst__turn *from)
{
    if (ring_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ring_init(from);
}

static void run(struct wst__turn *turn)
{
    wst__turn_drop(turn);
    turn->cb(turn->arg); /* May drop others, and be gone afterwards. */
}

static WST__NOINLINE void run_passes(struct wst__turns *t)
{
    for (int pass = 0; pass < PASSES && !ring_empty(&t->now); pass++) {
        struct wst__turn *turn;

        ring_add(&t->now, &t->end);
        while ((turn = t->now.next) != &t->end)
            run(turn);
        ring_remove(&t->end);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct wst__turns *t = idle->data;
    struct wst__turn *first;

    if (WATCHES_THREAD)
        t->io->thread = uv_thread_self();
    ring_move(&t->now, &t->later);
    first = t->now.next;
    if (first != &t->now && first->next == &t->now)
        run(first); /* One alone, as most often. */
    if (!ring_empty(&t->now))
        run_passes(t);
    if (ring_empty(&t->now) && ring_empty(&t->later))
        (void)uv_idle_stop(idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct wst__turns *t = prepare->data;

    t->io->thread = uv_thread_self();
}

void wst__turns_init(struct wst__turns *t, struct wst__io *io)
{
    t->io = io;
    ring_init(&t->now);
    ring_init(&t->later);
    (void)uv_idle_init(io->uv, &t->idle);
    t->idle.data = t;
    if (WATCHES_THREAD) {
        (void)uv_prepare_init(io->uv, &t->prepare);
        t->prepare.data = t;
        (void)uv_prepare_start(&t->prepare, on_prepare);
        uv_unref((uv_handle_t *)&t->prepare);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct wst__turns *t = handle->data;

    if (--t->open == 0)
        t->closed(t->closed_arg);
}

void wst__turns_close(struct wst__turns *t, void (*closed)(void *arg), void *arg)
{
    t->closed = closed;
    t->closed_arg = arg;
    t->open = 1 + WATCHES_THREAD;
    if (WATCHES_THREAD)
        uv_close((uv_handle_t *)&t->prepare, on_closed);
    uv_close((uv_handle_t *)&t->idle, on_closed);
}

static void ask(struct wst__turns *t, struct wst__turn *ring, struct wst__turn *turn)
{
    if (turn->next)
        return;
    ring_add(ring, turn);
    (void)uv_idle_start(&t->idle, on_idle);
}

void wst__turn_ask(struct wst__turns *t, struct wst__turn *turn)
{
    ask(t, &t->now, turn);
}

void wst__turn_ask_later(struct wst__turns *t, struct wst__turn *turn)
{
    ask(t, &t->later, turn);
}

void wst__turn_drop(struct wst__turn *turn)
{
    if (turn->next)
        ring_remove(turn);
}
