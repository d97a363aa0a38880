/* The clocks. */
#ifndef WST_IO_CLOCK_H
#define WST_IO_CLOCK_H

#include "io/types.h"

#include <uv.h>

/* The suspends that the wall clock showed, for systems without a clock that runs during sleep. */
struct wst__clock {
    uint64_t seen_now_ms;
    int64_t seen_wall_ms;
    uint64_t slept_ms;
};

void wst__clock_init(struct wst__clock *c);
void wst__clock_read(struct wst__clock *c, struct wst__time *t);
/* |now_ms| when the loop polled last, or begins a turn: libuv keeps it. */
static inline uint64_t wst__clock_polled_ms(const uv_loop_t *uv)
{
    uint64_t now_ms = uv_now(uv);

    return now_ms ? now_ms : 1; /* As |now_ms|, never 0. */
}
/*
 * The fallback alone: adds to |c| what the wall clock went on more than the monotonic one since
 * the last reading, when that is too much to be a correction.  Returns the time slept so far.
 */
uint64_t wst__clock_slept(struct wst__clock *c, uint64_t now_ms, int64_t wall_ms);

#endif
