/*
 * The open link, and its close handshake (RFC 6455, 7).
 *
 * Liveness: a ping every |ping_interval_ms|.  Once it has left, any byte is life; without one the
 * peer is dead after |ping_timeout_ms|.  A ping that cannot leave, because the output is blocked,
 * has not been asked of the peer yet: then an interval more is granted, and any byte grants it
 * again, so that a long upload is not mistaken for a dead peer, nor a dead one kept for ever.
 */
#include "core/core_int.h"

#define CODE_NO_CLOSE_FRAME 1006 /* RFC 6455, 7.1.5. */

void wst__link_open(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    const struct wst__policy *p = c->policy;

    if (c->dial != WST__DIAL_READY)
        return; /* No upgrade was written. */
    wst__core_clear_deadlines(c);
    c->dial = WST__DIAL_NONE; /* It is the link now. */
    c->ever_open = true;
    c->serial = false;
    c->ping_pending = false;
    c->ping_left_ms = WST__NEVER;
    c->stable_due = wst__after(ev->now_ms, p->stable_ms);
    if (p->ping_interval_ms > 0)
        c->ping_due = wst__after(ev->now_ms, p->ping_interval_ms);
    wst__core_enter(c, WST_STATE_OPEN, out);
    wst__core_emit(c, WST__ACT_OPENED, out);
}

/* Failures are forgiven when the link has stayed up, not when it came up: a server that accepts
 * and closes would otherwise be stormed at the base delay. */
static void note_stable(struct wst__core *c, uint64_t now_ms)
{
    if (!wst__is_due(c->stable_due, now_ms))
        return;
    c->stable_due = WST__NEVER;
    c->stable = true;
    c->tries = 0;
    c->failures = 0;
}

static uint64_t blocked_ping_ms(const struct wst__policy *p)
{
    return wst__after(p->ping_interval_ms, p->ping_timeout_ms);
}

/* A byte of the millisecond in which the ping left may be its answer: it counts. */
static void note_life(struct wst__core *c, const struct wst__event *ev)
{
    if (c->ping_left_ms == WST__NEVER || ev->last_rx_ms < c->ping_left_ms)
        return;
    if (c->ping_pending) {
        c->dead_due = wst__after(ev->last_rx_ms, blocked_ping_ms(c->policy));
    } else {
        c->ping_left_ms = WST__NEVER;
        c->dead_due = WST__NEVER;
    }
}

static void probe(struct wst__core *c, uint64_t now_ms, struct wst__actions *out)
{
    const struct wst__policy *p = c->policy;

    wst__core_emit(c, WST__ACT_PING, out);
    c->ping_pending = true;
    c->ping_left_ms = now_ms;
    c->dead_due = wst__after(now_ms, blocked_ping_ms(p));
    c->ping_due = p->ping_interval_ms > 0 ? wst__after(now_ms, p->ping_interval_ms) : WST__NEVER;
}

/* What an older ping was waiting for may lie unread in the kernel: ask again, from now on. */
void wst__link_slept(struct wst__core *c, uint64_t now_ms)
{
    c->ping_pending = false;
    c->ping_left_ms = WST__NEVER;
    c->dead_due = WST__NEVER;
    c->ping_due = now_ms;
}

void wst__link_wake(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    note_life(c, ev);
    if (c->ping_left_ms == WST__NEVER)
        probe(c, ev->now_ms, out);
}

void wst__link_ping_left(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)out;
    if (!c->ping_pending)
        return;
    c->ping_pending = false;
    c->ping_left_ms = ev->now_ms;
    c->dead_due = wst__after(ev->now_ms, c->policy->ping_timeout_ms);
}

void wst__link_timeout(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    uint64_t now = ev->now_ms;

    note_stable(c, now);
    note_life(c, ev);
    if (wst__is_due(c->dead_due, now)) {
        wst__core_emit(c, WST__ACT_DROP_LINK, out);
        wst__core_clear_deadlines(c);
        wst__keep(&c->failure, wst__own_failure(WST_ERR_PING_TIMEOUT, WST_STEP_CONNECT));
        c->failure.close_code = CODE_NO_CLOSE_FRAME;
        wst__settle(c, ev, WST__ACT_CLOSED, out);
    } else if (wst__is_due(c->ping_due, now)) {
        if (c->ping_left_ms == WST__NEVER)
            probe(c, now, out);
        else /* One question at a time. */
            c->ping_due = wst__after(now, c->policy->ping_interval_ms);
    }
}

static void begin_closing(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out)
{
    note_stable(c, ev->now_ms);
    wst__core_clear_deadlines(c);
    c->close_due = wst__after(ev->now_ms, c->policy->close_timeout_ms);
    wst__core_enter(c, WST_STATE_CLOSING, out);
}

void wst__link_stop(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    c->wanted = false;
    c->stopping = true;
    wst__core_emit(c, WST__ACT_CLOSE_LINK, out);
    begin_closing(c, ev, out);
}

void wst__link_closing(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    wst__keep(&c->failure, ev->failure);
    begin_closing(c, ev, out);
}

/* The link ended while it was wanted. */
static void lose_link(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    c->failure.step = WST_STEP_CONNECT;
    wst__core_clear_deadlines(c);
    wst__settle(c, ev, WST__ACT_CLOSED, out);
}

void wst__link_closed(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    note_stable(c, ev->now_ms);
    wst__keep(&c->failure, ev->failure);
    lose_link(c, ev, out);
}

/* The link ended because of a stop.  A start that came since is a new life: the old one is ended
 * first, and its attempt begins at once. */
static void end_stop(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    c->stopping = false;
    wst__core_clear_deadlines(c);
    wst__settle_canceled(c);
    wst__core_enter(c, WST_STATE_IDLE, out);
    wst__core_tell(c, WST__ACT_CLOSED, WST_NO_DELAY, out);
    wst__core_tell_ended(c, out);
    if (c->wanted)
        wst__attempt_start(c, ev, out);
}

void wst__closing_closed(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    if (c->stopping) {
        end_stop(c, ev, out);
        return;
    }
    wst__keep(&c->failure, ev->failure);
    lose_link(c, ev, out);
}

void wst__closing_timeout(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out)
{
    if (!wst__is_due(c->close_due, ev->now_ms))
        return;
    wst__core_emit(c, WST__ACT_DROP_LINK, out);
    if (c->stopping) {
        end_stop(c, ev, out);
        return;
    }
    if (c->failure.code == 0) {
        wst__keep(&c->failure, wst__own_failure(WST_ERR_TIMEOUT, WST_STEP_CONNECT));
        c->failure.close_code = CODE_NO_CLOSE_FRAME;
    }
    c->failure.verdict = ev->failure.verdict; /* Asked for now: the end itself is our finding. */
    lose_link(c, ev, out);
}

void wst__closing_start(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)ev;
    (void)out;
    c->wanted = true;
}

/* The peer's close is answered and waited for, as one of ours would be.  A second stop is out of
 * patience: at once.  Each start has its own terminal event, also one that waited for the close. */
void wst__closing_stop(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    bool started_again = c->stopping && c->wanted;

    c->wanted = false;
    if (!c->stopping) {
        c->stopping = true;
        return;
    }
    wst__core_emit(c, WST__ACT_DROP_LINK, out);
    end_stop(c, ev, out);
    if (started_again)
        wst__core_tell_ended(c, out);
}
