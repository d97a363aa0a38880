/* Timers on the monotonic clock, and the watch for suspends. */
#ifndef WST_IO_TIMER_UV_H
#define WST_IO_TIMER_UV_H

#include "io/types.h"

#include <uv.h>

struct wst__io;

struct wst__timers {
    struct wst__io *io;
    struct wst__timer *first;
    size_t armed;
    /* The watch: a timerfd on the clock that runs during sleep; -1 where there is none. */
    int watch_fd;
    uv_poll_t watch;
    bool watching;
    int64_t slept_ms; /* boot_ms - now_ms when it was armed. */
};

void wst__timers_init(struct wst__timers *ts, struct wst__io *io);
void wst__timers_close(struct wst__timers *ts);
/* Lets every armed timer run at once, early; it stays armed if its owner does not set it anew. */
void wst__timers_fire(struct wst__timers *ts);

/* Moves the next look of the watch to |ms| from now, when it is armed. */
void wst__timers_watch_in(struct wst__timers *ts, unsigned ms);

/* See client/ports.h. */
int wst__timer_new(struct wst__timers *ts, void (*cb)(void *arg), void *arg,
                   struct wst__timer **out);
void wst__timer_set(struct wst__timer *t, uint64_t due_ms);
void wst__timer_close(struct wst__timer *t, void (*closed)(void *arg));

#endif
