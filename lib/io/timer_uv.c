/*
 * The timers of all clients, in a heap, and one timer of libuv for the first of them.  Those that
 * are due are gathered before one runs: so each runs once, whatever the callbacks set.
 *
 * libuv's timers stand still while the machine sleeps.  So that a suspend is noticed when it ends,
 * and not when the rest of a long timer has run off, a timerfd on CLOCK_BOOTTIME is kept armed a
 * few seconds ahead while any timer is armed: after a suspend it is overdue and wakes the loop at
 * once.  If the clocks have drifted apart, the machine has slept, and every client gets its timer
 * callback.
 */
#include "io/timer_uv.h"

#include "io/io.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/timerfd.h>
#endif

enum { WATCH_MS = 10 * 1000, SLEPT_MS = 500 };

static bool any_armed(const struct wst__timers *ts)
{
    return ts->waiting.first || ts->due.first;
}

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
    if (!any_armed(ts))
        return; /* The next timer that is armed begins anew. */
    if (slept_ms(ts, &now_ms) >= before + SLEPT_MS)
        wst__io_woke(ts->io);
    arm_watch(ts);
}

static void on_closed(uv_handle_t *handle)
{
    struct wst__timers *ts = handle->data;

    wst__io_release(ts->io);
}

void wst__timers_init(struct wst__timers *ts, struct wst__io *io)
{
    memset(ts, 0, sizeof *ts);
    ts->io = io;
    ts->watch_fd = -1;
    (void)uv_timer_init(io->uv, &ts->uv);
    ts->uv.data = ts;
    wst__io_hold(io);
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
    assert(!any_armed(ts));
    uv_close((uv_handle_t *)&ts->uv, on_closed);
    if (ts->watch_fd < 0)
        return;
    (void)uv_poll_stop(&ts->watch);
    uv_close((uv_handle_t *)&ts->watch, on_closed);
    (void)close(ts->watch_fd);
}

/* ---- The heap ------------------------------------------------------------------------------ */

static struct wst__timer *timer_of(struct wst__heap_node *node)
{
    return (struct wst__timer *)(void *)((char *)node - offsetof(struct wst__timer, node));
}

static void take_out(struct wst__timers *ts, struct wst__timer *t)
{
    wst__heap_remove(t->due ? &ts->due : &ts->waiting, &t->node);
    t->due = false;
}

/* Gathers those that are due by then. */
static void gather(struct wst__timers *ts, uint64_t by_ms)
{
    while (ts->waiting.first && ts->waiting.first->key <= by_ms) {
        struct wst__timer *t = timer_of(ts->waiting.first);

        take_out(ts, t);
        t->due = true;
        wst__heap_add(&ts->due, &t->node);
    }
}

static void run_due(struct wst__timers *ts, uint64_t now_ms)
{
    while (ts->due.first) {
        struct wst__timer *t = timer_of(ts->due.first);

        take_out(ts, t);
        if (t->node.key > now_ms)
            wst__heap_add(&ts->waiting, &t->node); /* Called early, after a suspend. */
        else
            t->node.key = UINT64_MAX;
        t->cb(t->arg); /* |t| may be gone afterwards. */
    }
}

static void on_timer(uv_timer_t *uv);

/* libuv counts from its cached time, which is the same clock: so the due time is hit exactly. */
static void arm(struct wst__timers *ts)
{
    uint64_t now_ms = uv_now(ts->io->uv);
    uint64_t due_ms = ts->due.first ? 0 : ts->waiting.first ? ts->waiting.first->key : UINT64_MAX;

    if (due_ms == UINT64_MAX)
        (void)uv_timer_stop(&ts->uv);
    else
        (void)uv_timer_start(&ts->uv, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *uv)
{
    struct wst__timers *ts = uv->data;
    uint64_t now_ms;

    (void)slept_ms(ts, &now_ms);
    gather(ts, now_ms);
    run_due(ts, now_ms);
    arm(ts);
}

void wst__timer_set(struct wst__timers *ts, struct wst__timer *t, uint64_t due_ms)
{
    if (t->node.key != UINT64_MAX)
        take_out(ts, t);
    t->node.key = due_ms;
    if (due_ms != UINT64_MAX)
        wst__heap_add(&ts->waiting, &t->node);
    arm(ts);
    if (due_ms != UINT64_MAX)
        arm_watch(ts);
}

void wst__timers_fire(struct wst__timers *ts)
{
    gather(ts, UINT64_MAX);
    arm(ts);
}
