/* Wishes to run once before the loop sleeps. */
#ifndef WST_IO_TURN_UV_H
#define WST_IO_TURN_UV_H

#include "io/types.h"

#include <uv.h>

struct wst__io;

struct wst__turns {
    struct wst__io *io;
    uv_idle_t idle;
    uv_prepare_t prepare;   /* With assertions only: sees the loop's thread. */
    struct wst__turn now;   /* Head of a ring: to be run before the loop sleeps. */
    struct wst__turn end;   /* Of a pass over |now|: what is asked for in it comes behind. */
    struct wst__turn later; /* Head of a ring: not before the loop has polled once more. */
    int open;               /* Handles that are closing. */
    void (*closed)(void *arg);
    void *closed_arg;
};

void wst__turns_init(struct wst__turns *t, struct wst__io *io);
/* No turn runs any more; |closed| does when its handles are out of the loop. */
void wst__turns_close(struct wst__turns *t, void (*closed)(void *arg), void *arg);
/* Runs |turn| before the loop sleeps; asking again before that changes nothing. */
void wst__turn_ask(struct wst__turns *t, struct wst__turn *turn);
/* The same, but other work of the loop goes first: for what is done in portions. */
void wst__turn_ask_later(struct wst__turns *t, struct wst__turn *turn);
/* Not any more.  |turn| need not have been asked for. */
void wst__turn_drop(struct wst__turn *turn);

#endif
