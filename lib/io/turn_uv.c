/*
 * Turns run from a prepare handle, which the loop calls before it polls.  While one is asked for,
 * that handle keeps the loop alive; at other times it does not.
 *
 * A wish that comes from another prepare handle, behind ours, would have to wait until the loop has
 * polled, and slept.  From there on, until it is known that the loop is polling, an idle handle is
 * started with each wish: then it does not sleep.
 */
#include "io/turn_uv.h"

#include "io/io.h"

/* A turn that asks for another one is served in the same pass, but not for ever. */
enum { PASSES = 8 };

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

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* It only keeps the loop from sleeping. */
}

static void keep_awake(struct wst__turns *t)
{
    if (t->awake)
        return;
    t->awake = true;
    (void)uv_idle_start(&t->idle, on_idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct wst__turns *t = prepare->data;
    struct wst__turn end; /* Of the pass: what is asked for in it comes behind. */

#ifndef NDEBUG
    t->io->thread = uv_thread_self();
#endif
    t->too_late = false;
    ring_move(&t->now, &t->later);
    for (int pass = 0; pass < PASSES && !ring_empty(&t->now); pass++) {
        struct wst__turn *turn;

        ring_add(&t->now, &end);
        while ((turn = t->now.next) != &end) {
            wst__turn_drop(turn);
            turn->cb(turn->arg); /* May drop others. */
        }
        ring_remove(&end);
    }
    t->too_late = true;
    if (ring_empty(&t->now) && ring_empty(&t->later)) {
        uv_unref((uv_handle_t *)&t->prepare);
        if (t->awake)
            (void)uv_idle_stop(&t->idle);
        t->awake = false;
    } else {
        keep_awake(t);
    }
}

void wst__turns_init(struct wst__turns *t, struct wst__io *io)
{
    t->io = io;
    ring_init(&t->now);
    ring_init(&t->later);
    (void)uv_prepare_init(io->uv, &t->prepare);
    (void)uv_idle_init(io->uv, &t->idle);
    t->prepare.data = t->idle.data = t;
    (void)uv_prepare_start(&t->prepare, on_prepare);
    uv_unref((uv_handle_t *)&t->prepare);
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
    t->open = 2;
    uv_close((uv_handle_t *)&t->prepare, on_closed);
    uv_close((uv_handle_t *)&t->idle, on_closed);
}

static void ask(struct wst__turns *t, struct wst__turn *ring, struct wst__turn *turn)
{
    if (turn->asked)
        return;
    turn->asked = true;
    ring_add(ring, turn);
    uv_ref((uv_handle_t *)&t->prepare);
    if (t->too_late)
        keep_awake(t);
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
    if (!turn->asked)
        return;
    turn->asked = false;
    ring_remove(turn);
}
