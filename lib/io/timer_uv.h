/* Timers on the monotonic clock, and the watch for suspends. */
#ifndef WST_IO_TIMER_UV_H
#define WST_IO_TIMER_UV_H

#include "io/types.h"

#include <uv.h>

struct wst__io;

struct wst__timers {
    struct wst__io *io;
    uv_timer_t uv;            /* For the next one that is due. */
    struct wst__heap waiting; /* Those that are armed, */
    struct wst__heap due;     /* and those of them whose turn has come. */
    /* The watch: a timerfd on the clock that runs during sleep; -1 where there is none. */
    int watch_fd;
    uv_poll_t watch;
    bool watching;
    int64_t slept_ms; /* boot_ms - now_ms when it was armed. */
};

void wst__timers_init(struct wst__timers *ts, struct wst__io *io);
/* No timer is armed. */
void wst__timers_close(struct wst__timers *ts);
/* Lets every armed timer run at once, early; it stays armed if its owner does not set it anew. */
void wst__timers_fire(struct wst__timers *ts);

/* Moves the next look of the watch to |ms| from now, when it is armed. */
void wst__timers_watch_in(struct wst__timers *ts, unsigned ms);

/* See client/ports.h. */
void wst__timer_set(struct wst__timers *ts, struct wst__timer *t, uint64_t due_ms);

#endif
