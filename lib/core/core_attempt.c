/*
 * An attempt, from its begin to its end.
 *
 * The happy path: token, then ticket, and beside them the dial, which needs neither; when both are
 * there, the upgrade.  In CONNECTING |dial| is BUSY while the connection is awaited and READY once
 * the upgrade is written.
 *
 * The ways to fail: a step answers with a failure or not in time; the dial fails (before the
 * ticket's request has left that is the end, afterwards the ticket's answer is awaited, because its
 * failure tells more); the ticket is too old twice; stop.  All of them leave through fail() or
 * wst__attempt_stop(), which let go of everything the attempt holds.
 */
#include "core/core_int.h"
#include "core/verdict.h"

/* How much of its life a ticket may have spent when the upgrade is written: four fifths. */
static uint64_t usable_life(uint64_t life_ms)
{
    return life_ms / 5 * 4 + life_ms % 5 * 4 / 5;
}

static bool is_stale(const struct wst__core *c, uint64_t boot_ms)
{
    return wst__since(boot_ms, c->ticket_boot_ms) > usable_life(c->ticket_life_ms);
}

/* The last attempt failed before step 3: then a dial beside it would be for nothing again. */
static bool dials_beside(const struct wst__core *c)
{
    const struct wst__policy *p = c->policy;

    return p->parallel_dial && !c->serial && !p->late_dial_target &&
           c->state != WST_STATE_CONNECTING;
}

static enum wst_step step_of(enum wst_state state)
{
    if (state == WST_STATE_TOKEN)
        return WST_STEP_TOKEN;
    return state == WST_STATE_TICKET ? WST_STEP_TICKET : WST_STEP_CONNECT;
}

static void forget_dial(struct wst__core *c)
{
    c->dial = WST__DIAL_NONE;
    c->dial_due = c->dial_idle_due = WST__NEVER;
}

static void drop_link(struct wst__core *c, struct wst__actions *out)
{
    if (c->dial == WST__DIAL_BUSY || c->dial == WST__DIAL_READY)
        wst__core_emit(c, WST__ACT_DROP_LINK, out);
    forget_dial(c);
}

static void drop_ticket(struct wst__core *c, struct wst__actions *out)
{
    if (c->ticket_ready)
        wst__core_emit(c, WST__ACT_DROP_TICKET, out);
    c->ticket_ready = false;
}

/* Lets go of everything that the attempt holds.  A running |step_due| in the first two steps
 * means that an HTTP answer is awaited. */
static void release(struct wst__core *c, struct wst__actions *out)
{
    if (c->state != WST_STATE_CONNECTING && c->step_due != WST__NEVER)
        wst__core_emit(c, WST__ACT_CANCEL_HTTP, out);
    drop_link(c, out);
    drop_ticket(c, out);
    wst__core_clear_deadlines(c);
}

/* The one door out of an attempt that failed: by c->failure. */
static void fail(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    release(c, out);
    c->serial = c->failure.step != WST_STEP_CONNECT;
    wst__settle(c, ev, WST__ACT_ATTEMPT_FAILED, out);
}

static void ensure_token(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    wst__core_emit(c, WST__ACT_ENSURE_TOKEN, out);
    c->step_due = wst__after(ev->now_ms, c->policy->step_timeout_ms);
}

static void get_ticket(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    wst__core_emit(c, WST__ACT_GET_TICKET, out);
    c->step_due = wst__after(ev->now_ms, c->policy->step_timeout_ms);
    c->ticket_sent = false;
    c->ticket_boot_ms = ev->boot_ms;
}

static void dial(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    wst__core_emit(c, WST__ACT_DIAL, out);
    c->dial = WST__DIAL_BUSY;
    c->dial_due = wst__after(ev->now_ms, c->policy->step_timeout_ms);
}

/* A connection that stands is not kept waiting for ever: servers end such connections. */
static void let_wait(struct wst__core *c, const struct wst__event *ev)
{
    c->dial_idle_due = wst__after(ev->now_ms, c->policy->dial_idle_ms);
}

/* The ticket got too old while the connection was made: another one, once. */
static void replace_ticket(struct wst__core *c, const struct wst__event *ev,
                           struct wst__actions *out)
{
    drop_ticket(c, out);
    if (c->ticket_retried) {
        wst__keep(&c->failure, wst__own_failure(WST_ERR_TICKET_STALE, WST_STEP_CONNECT));
        fail(c, ev, out);
        return;
    }
    c->ticket_retried = true;
    if (c->policy->late_dial_target)
        drop_link(c, out); /* The next ticket may name another host. */
    wst__core_enter(c, WST_STATE_TICKET, out);
    get_ticket(c, ev, out);
    if (c->dial == WST__DIAL_READY && c->dial_idle_due == WST__NEVER)
        let_wait(c, ev); /* Else it waits already, and not for longer because of this. */
}

/* The connection stands and the ticket is there.  Its bytes are moved into the upgrade: from here
 * on there is no ticket. */
static void upgrade(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    if (c->policy->ticket_step && is_stale(c, ev->boot_ms)) {
        replace_ticket(c, ev, out);
        return;
    }
    wst__core_emit(c, WST__ACT_UPGRADE, out);
    c->ticket_ready = false;
    c->dial_idle_due = WST__NEVER;
    c->step_due = wst__after(ev->now_ms, c->policy->step_timeout_ms);
}

/* Begins what |state| is about. */
static void begin_step(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    c->step_due = WST__NEVER;
    if (c->state == WST_STATE_TOKEN)
        ensure_token(c, ev, out);
    else if (c->state == WST_STATE_TICKET)
        get_ticket(c, ev, out);
    else if (c->dial == WST__DIAL_READY)
        upgrade(c, ev, out);
    else if (c->dial == WST__DIAL_NONE)
        dial(c, ev, out);
}

static enum wst_state after_token(const struct wst__core *c)
{
    return c->policy->ticket_step ? WST_STATE_TICKET : WST_STATE_CONNECTING;
}

void wst__attempt_begin(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    wst__core_clear_deadlines(c);
    c->attempt++;
    if (c->tries < UINT32_MAX)
        c->tries++;
    c->token_retried = c->ticket_sent = c->ticket_ready = c->ticket_retried = c->redialed = false;
    c->stable = false;
    wst__keep(&c->other, (struct wst__failure){.code = 0});
    c->attempt_due = wst__after(ev->now_ms, c->policy->attempt_timeout_ms);
    wst__core_enter(c, c->policy->token_step ? WST_STATE_TOKEN : after_token(c), out);
    wst__core_emit(c, WST__ACT_ATTEMPT_BEGIN, out);
    begin_step(c, ev, out);
    if (dials_beside(c))
        dial(c, ev, out);
}

/* The failures in a row stay: only a stable link forgives them.  What is known of the credentials
 * does not: the user may have brought others. */
void wst__attempt_start(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    c->wanted = true;
    c->attempts_used_up = false;
    c->tries = 0;
    c->auth_failures = 0;
    c->ticket_refusals = 0;
    wst__attempt_begin(c, ev, out);
}

void wst__attempt_stop(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)ev;
    c->wanted = false;
    release(c, out);
    wst__settle_canceled(c);
    wst__core_enter(c, WST_STATE_IDLE, out);
    wst__core_tell(c, WST__ACT_ATTEMPT_FAILED, WST_NO_DELAY, out);
    wst__core_tell_ended(c, out);
}

void wst__attempt_token_ok(struct wst__core *c, const struct wst__event *ev,
                           struct wst__actions *out)
{
    wst__core_enter(c, after_token(c), out);
    begin_step(c, ev, out);
}

void wst__attempt_token_failed(struct wst__core *c, const struct wst__event *ev,
                               struct wst__actions *out)
{
    c->step_due = WST__NEVER;
    wst__keep(&c->failure, ev->failure);
    c->failure.step = WST_STEP_TOKEN;
    fail(c, ev, out);
}

void wst__attempt_ticket_sent(struct wst__core *c, const struct wst__event *ev,
                              struct wst__actions *out)
{
    (void)ev;
    (void)out;
    c->ticket_sent = true;
}

void wst__attempt_ticket_ok(struct wst__core *c, const struct wst__event *ev,
                            struct wst__actions *out)
{
    c->step_due = WST__NEVER;
    c->ticket_ready = true;
    c->ticket_life_ms = ev->ticket_life_ms;
    c->retry_after_ms = ev->retry_after_ms;
    c->spread_ms = ev->spread_ms;
    if (c->dial == WST__DIAL_DEAD) {
        wst__keep(&c->failure, c->other);
        wst__keep(&c->other, (struct wst__failure){.code = 0});
        fail(c, ev, out);
        return;
    }
    wst__core_enter(c, WST_STATE_CONNECTING, out);
    begin_step(c, ev, out);
}

/* A 401 to the ticket's request: the token is dropped, and another one tried in this attempt, as
 * long as it has time. */
static bool wants_another_token(const struct wst__core *c, const struct wst__failure *f,
                                uint64_t now_ms)
{
    return c->policy->token_step && !c->token_retried && c->dial != WST__DIAL_DEAD &&
           !wst__is_due(c->attempt_due, now_ms) && f->verdict == WST_VERDICT_DEFAULT &&
           wst__verdict(c->policy, f, false) == WST_CLASS_TOKEN;
}

void wst__attempt_ticket_failed(struct wst__core *c, const struct wst__event *ev,
                                struct wst__actions *out)
{
    struct wst__failure f = ev->failure;

    c->step_due = WST__NEVER;
    f.step = WST_STEP_TICKET;
    if (wants_another_token(c, &f, ev->now_ms)) {
        c->token_retried = true;
        wst__core_emit(c, WST__ACT_DROP_TOKEN, out);
        wst__core_enter(c, WST_STATE_TOKEN, out);
        begin_step(c, ev, out);
        return;
    }
    wst__keep(&c->failure, f);
    fail(c, ev, out);
}

void wst__attempt_dial_ok(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out)
{
    if (c->dial != WST__DIAL_BUSY)
        return;
    c->dial = WST__DIAL_READY;
    c->dial_due = WST__NEVER;
    if (c->state == WST_STATE_CONNECTING)
        upgrade(c, ev, out);
    else
        let_wait(c, ev);
}

/* The connection is no more.  |waited|: it had stood, and waited for the ticket. */
static void lose_dial(struct wst__core *c, const struct wst__event *ev, struct wst__failure f,
                      bool waited, struct wst__actions *out)
{
    bool stop = f.verdict == WST_VERDICT_STOP;

    forget_dial(c);
    if (waited && !c->redialed && !stop) {
        c->redialed = true;
        dial(c, ev, out);
    } else if (c->state == WST_STATE_TICKET && c->ticket_sent && !stop) {
        c->dial = WST__DIAL_DEAD;
        wst__keep(&c->other, f);
        c->other.cls = wst__verdict(c->policy, &f, false);
    } else {
        wst__keep(&c->failure, f);
        fail(c, ev, out);
    }
}

void wst__attempt_link_failed(struct wst__core *c, const struct wst__event *ev,
                              struct wst__actions *out)
{
    struct wst__failure f = ev->failure;
    bool waited = c->dial == WST__DIAL_READY && c->state != WST_STATE_CONNECTING;

    if (c->dial == WST__DIAL_NONE || c->dial == WST__DIAL_DEAD)
        return;
    f.step = WST_STEP_CONNECT;
    lose_dial(c, ev, f, waited, out);
}

void wst__attempt_timeout(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out)
{
    struct wst__failure no_connection = wst__own_failure(WST_ERR_TIMEOUT, WST_STEP_CONNECT);
    uint64_t now = ev->now_ms;

    if (wst__is_due(c->step_due, now) || wst__is_due(c->attempt_due, now)) {
        wst__keep(&c->failure, wst__own_failure(WST_ERR_TIMEOUT, step_of(c->state)));
        if (c->state != WST_STATE_CONNECTING && wst__is_due(c->dial_due, now)) {
            wst__keep(&c->other, no_connection);
            c->other.cls = WST_CLASS_TRANSIENT;
        }
        fail(c, ev, out);
    } else if (wst__is_due(c->dial_due, now)) {
        drop_link(c, out);
        lose_dial(c, ev, no_connection, false, out);
    } else if (wst__is_due(c->dial_idle_due, now)) {
        drop_link(c, out); /* Dialed again when the ticket is there. */
    }
}
