/*
 * The table, the step and the deadline.
 *
 * The happy path: START begins an attempt (core_attempt.c), which goes TOKEN, TICKET, CONNECTING
 * with the dial beside the first two, and ends in OPEN (core_link.c).  When the link ends, or any
 * step fails, core_settle.c decides: BACKOFF, out of which the next attempt begins, or FAILED.
 * STOP leads to IDLE from everywhere, out of OPEN by way of CLOSING.
 */
#include "core/core_int.h"

#include <assert.h>
#include <string.h>

/* More than this between the two clocks since the last event is a sleep, not a rounding. */
#define SLEEP_MS 2000

/* Explicitly nothing: the event means nothing in this state. */
static void ignore(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)c;
    (void)ev;
    (void)out;
}

/*
 * Every event in every state.  An end of the connection has two words, LINK_FAILED and
 * LINK_CLOSED; which of them is right depends on the state alone, so both are taken for it.
 */
static wst__core_fn
    *const table[WST__STATE_COUNT][WST__EV_COUNT] =
        {
            /* At rest.  Left by START. */
            [WST_STATE_IDLE] =
                {
                    [WST__EV_START] = wst__attempt_start,
                    [WST__EV_STOP] = ignore,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = ignore,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = ignore,
                    [WST__EV_LINK_FAILED] = ignore,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = ignore,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* Next: TICKET, CONNECTING (no ticket step); BACKOFF, FAILED; IDLE. */
            [WST_STATE_TOKEN] =
                {
                    [WST__EV_START] = ignore,
                    [WST__EV_STOP] = wst__attempt_stop,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = wst__attempt_timeout,
                    [WST__EV_TOKEN_OK] = wst__attempt_token_ok,
                    [WST__EV_TOKEN_FAILED] = wst__attempt_token_failed,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = wst__attempt_dial_ok,
                    [WST__EV_LINK_FAILED] = wst__attempt_link_failed,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = wst__attempt_link_failed,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* Next: CONNECTING; TOKEN (401: another token, once); BACKOFF, FAILED; IDLE. */
            [WST_STATE_TICKET] =
                {
                    [WST__EV_START] = ignore,
                    [WST__EV_STOP] = wst__attempt_stop,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = wst__attempt_timeout,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = wst__attempt_ticket_sent,
                    [WST__EV_TICKET_OK] = wst__attempt_ticket_ok,
                    [WST__EV_TICKET_FAILED] = wst__attempt_ticket_failed,
                    [WST__EV_DIAL_OK] = wst__attempt_dial_ok,
                    [WST__EV_LINK_FAILED] = wst__attempt_link_failed,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = wst__attempt_link_failed,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* The dial is under way, or the upgrade is written and |dial| READY.
             * Next: OPEN; TICKET (the ticket got too old, once); BACKOFF, FAILED; IDLE. */
            [WST_STATE_CONNECTING] =
                {
                    [WST__EV_START] = ignore,
                    [WST__EV_STOP] = wst__attempt_stop,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = wst__attempt_timeout,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = wst__attempt_dial_ok,
                    [WST__EV_LINK_FAILED] = wst__attempt_link_failed,
                    [WST__EV_LINK_OPEN] = wst__link_open,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = wst__attempt_link_failed,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* Next: CLOSING (stop, or the peer's close); BACKOFF, FAILED (the link is gone). */
            [WST_STATE_OPEN] =
                {
                    [WST__EV_START] = ignore,
                    [WST__EV_STOP] = wst__link_stop,
                    [WST__EV_WAKE] = wst__link_wake,
                    [WST__EV_TIMEOUT] = wst__link_timeout,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = ignore,
                    [WST__EV_LINK_FAILED] = wst__link_closed,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = wst__link_closing,
                    [WST__EV_LINK_CLOSED] = wst__link_closed,
                    [WST__EV_PING_LEFT] = wst__link_ping_left,
                },
            /* Next: IDLE (after a stop); BACKOFF, FAILED (after the peer's close). */
            [WST_STATE_CLOSING] =
                {
                    [WST__EV_START] = wst__closing_start,
                    [WST__EV_STOP] = wst__closing_stop,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = wst__closing_timeout,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = ignore,
                    [WST__EV_LINK_FAILED] = wst__closing_closed,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = wst__closing_closed,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* Next: the first state of an attempt; IDLE. */
            [WST_STATE_BACKOFF] =
                {
                    [WST__EV_START] = ignore,
                    [WST__EV_STOP] = wst__backoff_stop,
                    [WST__EV_WAKE] = wst__backoff_wake,
                    [WST__EV_TIMEOUT] = wst__backoff_timeout,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = ignore,
                    [WST__EV_LINK_FAILED] = ignore,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = ignore,
                    [WST__EV_PING_LEFT] = ignore,
                },
            /* Said once, when it was entered.  Left by START. */
            [WST_STATE_FAILED] =
                {
                    [WST__EV_START] = wst__attempt_start,
                    [WST__EV_STOP] = ignore,
                    [WST__EV_WAKE] = ignore,
                    [WST__EV_TIMEOUT] = ignore,
                    [WST__EV_TOKEN_OK] = ignore,
                    [WST__EV_TOKEN_FAILED] = ignore,
                    [WST__EV_TICKET_SENT] = ignore,
                    [WST__EV_TICKET_OK] = ignore,
                    [WST__EV_TICKET_FAILED] = ignore,
                    [WST__EV_DIAL_OK] = ignore,
                    [WST__EV_LINK_FAILED] = ignore,
                    [WST__EV_LINK_OPEN] = ignore,
                    [WST__EV_LINK_CLOSING] = ignore,
                    [WST__EV_LINK_CLOSED] = ignore,
                    [WST__EV_PING_LEFT] = ignore,
                },
};

/* The moves that the comments in the table name; |enter| asserts them. */
static const bool moves[WST__STATE_COUNT][WST__STATE_COUNT] = {
    [WST_STATE_IDLE] =
        {[WST_STATE_TOKEN] = true, [WST_STATE_TICKET] = true, [WST_STATE_CONNECTING] = true},
    [WST_STATE_TOKEN] = {[WST_STATE_TICKET] = true,
                         [WST_STATE_CONNECTING] = true,
                         [WST_STATE_BACKOFF] = true,
                         [WST_STATE_FAILED] = true,
                         [WST_STATE_IDLE] = true},
    [WST_STATE_TICKET] = {[WST_STATE_CONNECTING] = true,
                          [WST_STATE_TOKEN] = true,
                          [WST_STATE_BACKOFF] = true,
                          [WST_STATE_FAILED] = true,
                          [WST_STATE_IDLE] = true},
    [WST_STATE_CONNECTING] = {[WST_STATE_OPEN] = true,
                              [WST_STATE_TICKET] = true,
                              [WST_STATE_BACKOFF] = true,
                              [WST_STATE_FAILED] = true,
                              [WST_STATE_IDLE] = true},
    [WST_STATE_OPEN] =
        {[WST_STATE_CLOSING] = true, [WST_STATE_BACKOFF] = true, [WST_STATE_FAILED] = true},
    [WST_STATE_CLOSING] =
        {[WST_STATE_IDLE] = true, [WST_STATE_BACKOFF] = true, [WST_STATE_FAILED] = true},
    [WST_STATE_BACKOFF] = {[WST_STATE_TOKEN] = true,
                           [WST_STATE_TICKET] = true,
                           [WST_STATE_CONNECTING] = true,
                           [WST_STATE_IDLE] = true},
    [WST_STATE_FAILED] =
        {[WST_STATE_TOKEN] = true, [WST_STATE_TICKET] = true, [WST_STATE_CONNECTING] = true},
};

static struct wst__action *push(struct wst__actions *out)
{
    struct wst__action *a = &out->list[out->count];

    assert(out->count < WST__MAX_ACTIONS);
    out->count++;
    memset(a, 0, sizeof *a);
    return a;
}

void wst__core_enter(struct wst__core *c, enum wst_state to, struct wst__actions *out)
{
    bool legal = moves[c->state][to];
    struct wst__action *a = push(out);

    assert(legal);
    (void)legal;
    a->type = WST__ACT_STATE;
    a->from = c->state;
    a->to = to;
    c->state = to;
}

void wst__core_emit(struct wst__core *c, enum wst__act type, struct wst__actions *out)
{
    struct wst__action *a = push(out);

    a->type = type;
    a->attempt = c->attempt;
}

void wst__core_tell(struct wst__core *c, enum wst__act type, uint64_t ms, struct wst__actions *out)
{
    struct wst__action *a = push(out);

    a->type = type;
    a->attempt = c->attempt;
    a->ms = ms;
}

void wst__core_tell_ended(struct wst__core *c, struct wst__actions *out)
{
    struct wst__action *a = push(out);

    a->type = WST__ACT_ENDED;
    a->to = c->state;
}

void wst__keep(struct wst__failure *to, struct wst__failure from)
{
    to->code = from.code;
    to->step = from.step;
    to->cls = from.cls;
    to->http_status = from.http_status;
    to->close_code = from.close_code;
    to->retry_after_ms = from.retry_after_ms;
    to->spread_ms = from.spread_ms;
    to->verdict = from.verdict;
    to->own = from.own;
}

void wst__core_clear_deadlines(struct wst__core *c)
{
    for (size_t i = 0; i < sizeof c->due / sizeof c->due[0]; i++)
        c->due[i] = WST__NEVER;
}

void wst__core_init(struct wst__core *c, const struct wst__policy *policy, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    c->policy = policy;
    wst__rng_init(&c->rng, seed);
    c->state = WST_STATE_IDLE;
    c->dial = WST__DIAL_NONE;
    c->ping_left_ms = WST__NEVER;
    wst__core_clear_deadlines(c);
}

/*
 * How much longer the clock that runs during sleep ran than the other one since the last event.
 * Before the first event it is whatever the machine slept since it was started: then the client
 * is IDLE, and nothing depends on it.
 */
static uint64_t slept(struct wst__core *c, const struct wst__event *ev)
{
    uint64_t ms = wst__since(wst__since(ev->boot_ms, c->seen_boot_ms),
                             wst__since(ev->now_ms, c->seen_now_ms));

    c->seen_boot_ms = ev->boot_ms;
    c->seen_now_ms = ev->now_ms;
    return ms > SLEEP_MS ? ms : 0;
}

/* During an attempt nothing is to be done: its ticket's age counts the sleep. */
static void notice_sleep(struct wst__core *c, const struct wst__event *ev)
{
    uint64_t ms = slept(c, ev);

    if (ms == 0)
        return;
    if (c->state == WST_STATE_OPEN)
        wst__link_slept(c, ev->now_ms);
    else if (c->state == WST_STATE_BACKOFF)
        wst__backoff_slept(c, ev->now_ms, ms);
}

void wst__core_step(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    assert(ev->type < WST__EV_COUNT && c->state < WST__STATE_COUNT);
    out->count = 0;
    notice_sleep(c, ev);
    if (!wst__core_is_late(c, ev))
        table[c->state][ev->type](c, ev, out);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t wst__core_deadline(const struct wst__core *c)
{
    /* All deadlines are cleared when the state is left that they belong to: no case is needed. */
    return earlier(earlier(c->due[0], c->due[1]), earlier(c->due[2], c->due[3]));
}

bool wst__core_is_late(const struct wst__core *c, const struct wst__event *ev)
{
    if (ev->type < WST__EV_TOKEN_OK)
        return false;
    return ev->attempt != c->attempt || c->state == WST_STATE_IDLE ||
           c->state == WST_STATE_BACKOFF || c->state == WST_STATE_FAILED;
}

bool wst__core_foresee(const struct wst__core *c, const struct wst__event *ev,
                       struct wst__failure *f)
{
    struct wst__core copy = *c;
    struct wst__actions out;

    wst__core_step(&copy, ev, &out);
    *f = copy.failure;
    for (size_t i = 0; i < out.count; i++) {
        if (out.list[i].type == WST__ACT_ATTEMPT_FAILED || out.list[i].type == WST__ACT_CLOSED)
            return f->own || (ev->type == WST__EV_TIMEOUT && f->code != WST_ERR_CANCELED);
    }
    return false;
}
