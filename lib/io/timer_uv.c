/*
 * One uv timer per client.  libuv's timers stand still while the machine sleeps.  So that a
 * suspend is noticed when it ends, and not when the rest of a long timer has run off, a timerfd
 * on CLOCK_BOOTTIME is kept armed a few seconds ahead while any timer is armed: after a suspend
 * it is overdue and wakes the loop at once.  If the clocks have drifted apart, the machine has
 * slept, and every client gets its timer callback.
 */
#include "io/timer_uv.h"

#include "base/mem.h"
#include "io/io.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/timerfd.h>
#endif

enum { WATCH_MS = 10 * 1000, SLEPT_MS = 500 };

struct wst__timer {
    struct wst__timers *all;
    struct wst__timer *next, *prev;
    uv_timer_t uv;
    uint64_t due_ms; /* UINT64_MAX: not armed. */
    void (*cb)(void *arg);
    void (*closed)(void *arg);
    void *arg;
};

static int64_t slept_ms(struct wst__timers *ts, uint64_t *now_ms)
{
    struct wst__time t;

    wst__clock_read(&ts->io->clock, &t);
    *now_ms = t.now_ms;
    return (int64_t)(t.boot_ms - t.now_ms);
}

void wst__timers_watch_in(struct wst__timers *ts, unsigned ms)
{
#ifdef __linux__
    struct itimerspec in = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};

    ts->watching = ts->watch_fd >= 0 && timerfd_settime(ts->watch_fd, 0, &in, NULL) == 0;
#else
    (void)ts;
    (void)ms;
#endif
}

static void arm_watch(struct wst__timers *ts)
{
    uint64_t now_ms;

    if (ts->watching)
        return;
    ts->slept_ms = slept_ms(ts, &now_ms);
    wst__timers_watch_in(ts, WATCH_MS);
}

static void on_watch(uv_poll_t *watch, int status, int events)
{
    struct wst__timers *ts = watch->data;
    uint64_t count;
    uint64_t now_ms;
    int64_t before = ts->slept_ms;

    (void)events;
    if (status < 0 || read(ts->watch_fd, &count, sizeof count) < 0)
        return;
    ts->watching = false;
    if (ts->armed == 0)
        return; /* The next timer that is armed begins anew. */
    if (slept_ms(ts, &now_ms) >= before + SLEPT_MS)
        wst__io_woke(ts->io);
    arm_watch(ts);
}

static void watch_closed(uv_handle_t *handle)
{
    struct wst__timers *ts = handle->data;

    wst__io_release(ts->io);
}

void wst__timers_init(struct wst__timers *ts, struct wst__io *io)
{
    memset(ts, 0, sizeof *ts);
    ts->io = io;
    ts->watch_fd = -1;
#ifdef __linux__
    ts->watch_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (ts->watch_fd < 0)
        return; /* Suspends are then noticed when the next timer is due. */
    if (uv_poll_init(io->uv, &ts->watch, ts->watch_fd) != 0) {
        (void)close(ts->watch_fd);
        ts->watch_fd = -1;
        return;
    }
    ts->watch.data = ts;
    wst__io_hold(io);
    (void)uv_poll_start(&ts->watch, UV_READABLE, on_watch);
    uv_unref((uv_handle_t *)&ts->watch);
#endif
}

void wst__timers_close(struct wst__timers *ts)
{
    assert(!ts->first);
    if (ts->watch_fd < 0)
        return;
    (void)uv_poll_stop(&ts->watch);
    uv_close((uv_handle_t *)&ts->watch, watch_closed);
    (void)close(ts->watch_fd);
}

int wst__timer_new(struct wst__timers *ts, void (*cb)(void *arg), void *arg,
                   struct wst__timer **out)
{
    struct wst__timer *t = wst__calloc(1, sizeof *t);

    if (!t)
        return WST_ERR_NOMEM;
    t->all = ts;
    t->cb = cb;
    t->arg = arg;
    t->due_ms = UINT64_MAX;
    (void)uv_timer_init(ts->io->uv, &t->uv);
    t->uv.data = t;
    t->next = ts->first;
    if (t->next)
        t->next->prev = t;
    ts->first = t;
    wst__io_hold(ts->io);
    *out = t;
    return 0;
}

static void on_timer(uv_timer_t *uv);

/* libuv counts from its cached time, which is the same clock: so the due time is hit exactly. */
static void start(struct wst__timer *t)
{
    uint64_t now_ms = uv_now(t->all->io->uv);

    (void)uv_timer_start(&t->uv, on_timer, t->due_ms > now_ms ? t->due_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *uv)
{
    struct wst__timer *t = uv->data;
    uint64_t now_ms;

    (void)slept_ms(t->all, &now_ms);
    if (t->due_ms > now_ms)
        start(t); /* Called early, after a suspend. */
    else
        wst__timer_set(t, UINT64_MAX);
    t->cb(t->arg);
}

void wst__timer_set(struct wst__timer *t, uint64_t due_ms)
{
    bool armed = due_ms != UINT64_MAX;
    bool was_armed = t->due_ms != UINT64_MAX;

    t->due_ms = due_ms;
    t->all->armed += (size_t)armed - (size_t)was_armed;
    if (!armed) {
        (void)uv_timer_stop(&t->uv);
        return;
    }
    start(t);
    arm_watch(t->all);
}

void wst__timers_fire(struct wst__timers *ts)
{
    for (struct wst__timer *t = ts->first; t; t = t->next) {
        if (t->due_ms != UINT64_MAX)
            (void)uv_timer_start(&t->uv, on_timer, 0, 0);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct wst__timer *t = handle->data;
    struct wst__io *io = t->all->io;
    void (*closed)(void *arg) = t->closed;
    void *arg = t->arg;

    wst__free(t);
    if (closed)
        closed(arg);
    wst__io_release(io);
}

void wst__timer_close(struct wst__timer *t, void (*closed)(void *arg))
{
    wst__timer_set(t, UINT64_MAX);
    if (t->prev)
        t->prev->next = t->next;
    else
        t->all->first = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->closed = closed;
    uv_close((uv_handle_t *)&t->uv, on_closed);
}
