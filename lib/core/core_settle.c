/*
 * What follows a failure, and the wait.  Every failure of an attempt and of an open link comes
 * through wst__settle(): afterwards either a retry is due, or the client is FAILED and has said so.
 */
#include "core/backoff.h"
#include "core/core_int.h"
#include "core/verdict.h"

/* Attempts running that may end in an auth failure: the next one asks whether to give up. */
#define AUTH_FAILURES 2
/* Tickets running that are refused: then the token that bought them is suspected. */
#define TICKET_REFUSALS 2

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint32_t larger32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void count_up(uint32_t *n)
{
    if (*n < UINT32_MAX)
        (*n)++;
}

void wst__settle_canceled(struct wst__core *c)
{
    wst__keep(&c->failure, (struct wst__failure){.code = WST_ERR_CANCELED, .step = WST_STEP_NONE});
    wst__keep(&c->other, (struct wst__failure){.code = 0});
}

/* Step 2 refused a token, and another one, or there was no other: of that the ladder alone does
 * not cure. */
static bool is_auth_failure(const struct wst__core *c, enum wst_class cls)
{
    const struct wst__failure *f = &c->failure;

    if (f->code == WST_ERR_NO_TOKEN || cls == WST_CLASS_AUTH)
        return true;
    return cls == WST_CLASS_TOKEN && f->step == WST_STEP_TICKET &&
           (c->token_retried || !c->policy->token_step);
}

/* The class by the table and by the client's history, which is brought up to date. */
static enum wst_class classify(struct wst__core *c)
{
    enum wst_class cls = wst__verdict(c->policy, &c->failure, c->stable);

    if (c->failure.code == WST_ERR_NO_TOKEN && c->token_retried)
        cls = WST_CLASS_TOKEN; /* The end of what a 401 in step 2 began. */
    if (!is_auth_failure(c, cls)) {
        c->auth_failures = 0;
        return cls;
    }
    count_up(&c->auth_failures);
    return c->auth_failures >= AUTH_FAILURES ? WST_CLASS_AUTH : cls;
}

static bool has_used_up_attempts(const struct wst__core *c)
{
    return c->policy->max_attempts > 0 && c->tries >= c->policy->max_attempts;
}

/* How many tickets running may be refused before the token is suspected.  Without tickets it was
 * the token itself that was shown; and after the last attempt there is no second one to tell. */
static uint32_t refusals_allowed(const struct wst__core *c)
{
    return c->policy->ticket_step && !has_used_up_attempts(c) ? TICKET_REFUSALS : 1;
}

/* Is the token of this attempt to be dropped? */
static bool distrusts_token(struct wst__core *c)
{
    const struct wst__failure *f = &c->failure;
    bool refused = f->cls == WST_CLASS_TICKET;

    c->ticket_refusals = refused ? c->ticket_refusals + 1 : 0;
    if (c->ticket_refusals >= refusals_allowed(c)) {
        c->ticket_refusals = 0; /* The next token has its own chance. */
        return true;
    }
    if (f->verdict == WST_VERDICT_RETRY_NEW_TOKEN)
        return true;
    return wst__verdict(c->policy, f, c->stable) == WST_CLASS_TOKEN;
}

/* Does the class end in FAILED? */
static bool gives_up(const struct wst__core *c)
{
    const struct wst__failure *f = &c->failure;

    if (f->verdict != WST_VERDICT_DEFAULT)
        return f->verdict == WST_VERDICT_STOP;
    if (f->cls != WST_CLASS_AUTH && f->cls != WST_CLASS_REFUSED)
        return false;
    switch (c->policy->give_up) {
    case WST_GIVE_UP_NEVER:
        return false;
    case WST_GIVE_UP_ALWAYS:
        return true;
    case WST_GIVE_UP_BEFORE_FIRST_OPEN:
        break;
    }
    return !c->ever_open;
}

/* The window over which the next attempt is spread: our own after a restart of the server, and
 * what the server asked for, which is bounded. */
static uint64_t spread(const struct wst__core *c, enum wst__act told)
{
    const struct wst__failure *f = &c->failure;
    uint64_t asked = larger(f->spread_ms, told == WST__ACT_CLOSED ? c->spread_ms : 0);
    bool restart = f->close_code == 1012 || f->close_code == 1013;

    asked = smaller(asked, c->policy->max_server_delay_ms);
    return restart ? larger(asked, c->policy->restart_spread_ms) : asked;
}

/* A client that is not let in knocks seldom; unless the application knows better. */
static uint32_t rung(const struct wst__core *c)
{
    const struct wst__failure *f = &c->failure;

    return f->cls == WST_CLASS_AUTH && f->verdict == WST_VERDICT_DEFAULT ? WST__BACKOFF_CAP
                                                                         : c->failures;
}

/* The delay is drawn when the attempt ends, and counts from there. */
static uint64_t begin_wait(struct wst__core *c, const struct wst__event *ev, enum wst__act told)
{
    const struct wst__policy *p = c->policy;
    uint64_t retry_after = smaller(c->failure.retry_after_ms, p->max_server_delay_ms);
    uint64_t delay = wst__backoff_delay(p, &c->rng, rung(c), retry_after, spread(c, told));

    c->retry_due = wst__after(ev->now_ms, delay);
    c->retry_floor = wst__after(ev->now_ms, retry_after);
    return delay;
}

void wst__settle(struct wst__core *c, const struct wst__event *ev, enum wst__act told,
                 struct wst__actions *out)
{
    uint64_t delay = WST_NO_DELAY;
    bool final;

    if (c->failure.own)
        c->failure.verdict = ev->failure.verdict;
    if (told == WST__ACT_CLOSED)
        c->failure.retry_after_ms = larger32(c->failure.retry_after_ms, c->retry_after_ms);
    c->failure.cls = classify(c);
    count_up(&c->failures);
    if (distrusts_token(c) && c->policy->token_step)
        wst__core_emit(c, WST__ACT_DROP_TOKEN, out);
    final = gives_up(c);
    c->attempts_used_up = !final && has_used_up_attempts(c);
    final = final || c->attempts_used_up;
    if (!final)
        delay = begin_wait(c, ev, told);
    wst__core_enter(c, final ? WST_STATE_FAILED : WST_STATE_BACKOFF, out);
    wst__core_tell(c, told, delay, out);
    if (final)
        wst__core_tell_ended(c, out);
}

void wst__backoff_stop(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)ev;
    c->wanted = false;
    wst__core_clear_deadlines(c);
    wst__settle_canceled(c);
    wst__core_enter(c, WST_STATE_IDLE, out);
    wst__core_tell_ended(c, out);
}

void wst__backoff_timeout(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out)
{
    if (wst__is_due(c->retry_due, ev->now_ms))
        wst__attempt_begin(c, ev, out);
}

/* Ends the wait, but not for all clients at one moment, and not before the server's floor. */
static void cut_wait(struct wst__core *c, uint64_t now_ms)
{
    uint64_t jitter = wst__rng_upto(&c->rng, c->policy->base_ms);

    c->wake_ok_at = wst__after(now_ms, c->policy->base_ms);
    c->retry_due = smaller(c->retry_due, wst__after(larger(now_ms, c->retry_floor), jitter));
}

void wst__backoff_wake(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out)
{
    (void)out;
    if (ev->now_ms >= c->wake_ok_at)
        cut_wait(c, ev->now_ms);
}

/* The server's clock ran on while we slept: its floor came nearer. */
void wst__backoff_slept(struct wst__core *c, uint64_t now_ms, uint64_t ms)
{
    c->retry_floor = wst__since(c->retry_floor, ms);
    cut_wait(c, now_ms);
}
