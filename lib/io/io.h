/*
 * What everything in this room shares: one of it per uv loop.  Two loops share nothing that
 * changes, so nothing here is locked: every function belongs to the loop's thread.
 */
#ifndef WST_IO_IO_H
#define WST_IO_IO_H

#include "io/clock.h"
#include "io/entropy.h"
#include "io/file_uv.h"
#include "io/mailbox_uv.h"
#include "io/stream_openssl.h"
#include "io/timer_uv.h"
#include "io/turn_uv.h"

#include <uv.h>

struct wst__trust;
struct wst__multi;

struct wst__io {
    uv_loop_t *uv;
    uv_thread_t thread; /* The one that made it, or was seen to run the loop since. */
    size_t held; /* Handles and jobs in the uv loop, without the turns'; and one for itself. */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    struct wst__clock clock;
    struct wst__entropy entropy;
    struct wst__turns turns;
    struct wst__mail mail;
    struct wst__timers timers;
    struct wst__files files;
    struct wst__hub hub;
    struct wst__net *nets;     /* One for each set of options in use. */
    struct wst__trust *trusts; /* One for each set of TLS options in use. */
    struct wst__multi *multis; /* One for each of those. */
};

/* Begins on |uv|.  NOMEM, IO: then nothing is left in the loop but handles that are closing. */
int wst__io_init(struct wst__io *io, uv_loop_t *uv);
/*
 * Ends it: |closed| runs from the loop when nothing of this room is left there; it may free |io|.
 * All nets, streams and mailboxes must have been freed or closed (their callbacks may be pending),
 * and all timers disarmed.
 */
void wst__io_close(struct wst__io *io, void (*closed)(void *arg), void *arg);

/* Counts something that must have ended before |closed| may run. */
void wst__io_hold(struct wst__io *io);
/* The last thing to be done with it: |io| may be gone afterwards. */
void wst__io_release(struct wst__io *io);

/* The machine has slept: what was idle meanwhile is not trusted, and every timer looks. */
void wst__io_woke(struct wst__io *io);

#endif
