/*
 * Three clocks: the monotonic one of libuv (what its timers run on), one that also runs while the
 * machine sleeps, and the wall clock.
 */
#include "io/clock.h"

#include <string.h>
#include <time.h>
#include <uv.h>

/* Steps of the wall clock below this are corrections of NTP, not suspends. */
enum { SUSPEND_MS = 2000 };

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) != 0)
        return -1;
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void wst__clock_init(struct wst__clock *c)
{
    memset(c, 0, sizeof *c);
}

uint64_t wst__clock_slept(struct wst__clock *c, uint64_t now_ms, int64_t wall_ms)
{
    if (c->seen_now_ms != 0) {
        int64_t ran = (int64_t)(now_ms - c->seen_now_ms);
        int64_t jump = wall_ms - c->seen_wall_ms - ran;

        if (jump >= SUSPEND_MS)
            c->slept_ms += (uint64_t)jump;
    }
    c->seen_now_ms = now_ms;
    c->seen_wall_ms = wall_ms;
    return c->slept_ms;
}

void wst__clock_read(struct wst__clock *c, struct wst__time *t)
{
    int64_t boot_ms = -1;

    t->now_us = uv_hrtime() / 1000;
    t->now_ms = t->now_us / 1000;
    if (t->now_ms == 0)
        t->now_ms = 1; /* Never 0, even in the first millisecond of the machine. */
    t->wall_s = (int64_t)time(NULL);
#ifdef CLOCK_BOOTTIME
    boot_ms = read_ms(CLOCK_BOOTTIME);
#endif
    if (boot_ms >= 0)
        t->boot_ms = (uint64_t)boot_ms;
    else
        t->boot_ms = t->now_ms + wst__clock_slept(c, t->now_ms, read_ms(CLOCK_REALTIME));
}
