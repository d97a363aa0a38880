/*
 * The promises over many seeds: random policies, random events at random times, answers of this
 * attempt and of older ones, sleeps, clocks that step back.  Beside the core runs a book that
 * knows only the events and the actions, and objects when an action breaks a promise.
 *
 * Usage: test_core_seeds [first seed [number of seeds]]
 */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENTS_PER_SEED 200

static uint64_t first_seed = 1, seed_count = 20000;

enum request { NONE, ASKED_TOKEN, ASKED_TICKET };
enum conn { NO_CONN, DIALING, STANDS, UPGRADING, IS_OPEN, CLOSE_BEGUN };

/* What an onlooker knows. */
struct book {
    uint64_t seed;
    enum wst_state state;
    bool attempt_runs;    /* Begun, and neither open nor failed. */
    uint64_t attempt;     /* Its number. */
    int lives;            /* Starts that have not ended. */
    enum request request; /* The answer that is awaited. */
    bool token_known;     /* Of this attempt. */
    bool ticket;          /* At hand. */
    int tickets;          /* Fetched in this attempt. */
    uint64_t asked_boot_ms, life_ms;
    enum conn conn;
    bool closed_told; /* For this open link. */
    uint64_t open_since_ms, floor_ms;
    bool back, slept; /* A clock stepped back, or the machine slept, in this life of a wait. */
    uint32_t failures;
    uint64_t digest;
};

static const struct book *current;

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            fail_msg("seed %llu: %s", (unsigned long long)current->seed, #what);                   \
    } while (0)

/* ---- The book reads what happened ---- */

static void read_answer(struct book *b, const struct wst__event *ev, bool late)
{
    if (late)
        return;
    if (b->request == ASKED_TOKEN &&
        (ev->type == WST__EV_TOKEN_OK || ev->type == WST__EV_TOKEN_FAILED)) {
        b->token_known = ev->type == WST__EV_TOKEN_OK;
        b->request = NONE;
    }
    if (b->request == ASKED_TICKET &&
        (ev->type == WST__EV_TICKET_OK || ev->type == WST__EV_TICKET_FAILED)) {
        b->ticket = ev->type == WST__EV_TICKET_OK;
        b->life_ms = ev->ticket_life_ms;
        b->request = NONE;
    }
    if (ev->type == WST__EV_DIAL_OK && b->conn == DIALING)
        b->conn = STANDS;
    if (ev->type == WST__EV_LINK_OPEN && b->conn == UPGRADING)
        b->conn = IS_OPEN;
    if (ev->type == WST__EV_LINK_FAILED || ev->type == WST__EV_LINK_CLOSED)
        b->conn = NO_CONN;
}

static void read_event(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    bool at_rest = b->state == WST_STATE_IDLE || b->state == WST_STATE_FAILED;
    bool stopping = b->state == WST_STATE_CLOSING && !c->wanted;

    if (ev->type == WST__EV_START && (at_rest || stopping))
        b->lives++;
    read_answer(b, ev, wst__core_is_late(c, ev));
}

/* ---- The book reads what is to be done ---- */

static void read_state(struct book *b, const struct wst__action *a)
{
    PROMISE(a->from == b->state);
    PROMISE(a->to != b->state);
    b->state = a->to;
}

static void read_begin(struct book *b, const struct wst__core *c, const struct wst__action *a,
                       const struct wst__event *ev)
{
    PROMISE(!b->attempt_runs);
    PROMISE(b->conn == NO_CONN && b->request == NONE && !b->ticket);
    PROMISE(a->attempt == b->attempt + 1);
    PROMISE(b->lives == 1);
    if (ev->type == WST__EV_TIMEOUT && b->floor_ms && !b->slept && !b->back)
        PROMISE(ev->now_ms >= b->floor_ms);
    b->attempt = a->attempt;
    b->attempt_runs = true;
    b->token_known = !c->policy.token_step;
    b->tickets = 0;
    b->floor_ms = 0;
    b->slept = b->back = false;
}

static void read_get_ticket(struct book *b, const struct wst__event *ev)
{
    PROMISE(b->attempt_runs && b->request == NONE);
    PROMISE(b->token_known);
    PROMISE(!b->ticket);
    /* One, one because of a 401, one because it was stale, and both at once. */
    PROMISE(++b->tickets <= 3);
    b->request = ASKED_TICKET;
    b->asked_boot_ms = ev->boot_ms;
}

static void read_upgrade(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    PROMISE(b->attempt_runs && b->request == NONE);
    PROMISE(b->conn == STANDS);
    PROMISE(b->token_known);
    PROMISE(b->ticket == c->policy.ticket_step);
    if (b->ticket && ev->boot_ms > b->asked_boot_ms)
        PROMISE((ev->boot_ms - b->asked_boot_ms) * 10 <= b->life_ms * 8);
    b->ticket = false; /* Moved: it cannot be used again. */
    b->conn = UPGRADING;
}

static void read_end(struct book *b, const struct wst__core *c, const struct wst__action *a,
                     const struct wst__event *ev)
{
    const struct wst__policy *p = &c->policy;
    uint64_t asked = c->failure.retry_after_ms < p->max_server_delay_ms ? c->failure.retry_after_ms
                                                                        : p->max_server_delay_ms;
    uint64_t most =
        p->cap_ms * 2 + asked * 2 + 1000 + 50 + p->restart_spread_ms + p->max_server_delay_ms;

    PROMISE(c->failure.code != 0);
    PROMISE(b->conn == NO_CONN && b->request == NONE && !b->ticket);
    if (b->state == WST_STATE_BACKOFF) {
        PROMISE(a->ms >= 50 && a->ms >= asked && a->ms <= most);
        b->floor_ms = ev->now_ms + asked;
    } else {
        PROMISE(a->ms == WST_NO_DELAY);
    }
}

static void read_told(struct book *b, const struct wst__core *c, const struct wst__action *a,
                      const struct wst__event *ev)
{
    switch (a->type) {
    case WST__ACT_OPENED:
        PROMISE(b->attempt_runs && a->attempt == b->attempt && b->conn == IS_OPEN);
        b->attempt_runs = false;
        b->closed_told = false;
        b->open_since_ms = ev->now_ms;
        break;
    case WST__ACT_ATTEMPT_FAILED:
        PROMISE(b->attempt_runs && a->attempt == b->attempt);
        b->attempt_runs = false;
        read_end(b, c, a, ev);
        break;
    case WST__ACT_CLOSED:
        PROMISE(!b->attempt_runs && !b->closed_told && a->attempt == b->attempt);
        b->closed_told = true;
        read_end(b, c, a, ev);
        break;
    case WST__ACT_ENDED:
        PROMISE(a->to == b->state);
        PROMISE(a->to == WST_STATE_IDLE || a->to == WST_STATE_FAILED);
        PROMISE(--b->lives >= 0);
        PROMISE(!b->attempt_runs && b->closed_told);
        break;
    default:
        break;
    }
}

static void read_action(struct book *b, const struct wst__core *c, const struct wst__action *a,
                        const struct wst__event *ev)
{
    switch (a->type) {
    case WST__ACT_STATE:
        read_state(b, a);
        break;
    case WST__ACT_ATTEMPT_BEGIN:
        read_begin(b, c, a, ev);
        break;
    case WST__ACT_ENSURE_TOKEN:
        PROMISE(b->attempt_runs && b->request == NONE && !b->token_known);
        b->request = ASKED_TOKEN;
        break;
    case WST__ACT_DROP_TOKEN:
        PROMISE(c->policy.token_step);
        b->token_known = false;
        break;
    case WST__ACT_GET_TICKET:
        read_get_ticket(b, ev);
        break;
    case WST__ACT_DROP_TICKET:
        PROMISE(b->ticket);
        b->ticket = false;
        break;
    case WST__ACT_CANCEL_HTTP:
        PROMISE(b->request != NONE);
        b->request = NONE;
        break;
    case WST__ACT_DIAL:
        PROMISE(b->attempt_runs && b->conn == NO_CONN);
        b->conn = DIALING;
        break;
    case WST__ACT_UPGRADE:
        read_upgrade(b, c, ev);
        break;
    case WST__ACT_CLOSE_LINK:
        PROMISE(b->conn == IS_OPEN);
        b->conn = CLOSE_BEGUN;
        break;
    case WST__ACT_DROP_LINK:
        PROMISE(b->conn != NO_CONN); /* What has ended by itself is not dropped. */
        b->conn = NO_CONN;
        break;
    case WST__ACT_PING:
        PROMISE(b->state == WST_STATE_OPEN && b->conn == IS_OPEN);
        break;
    default:
        read_told(b, c, a, ev);
        break;
    }
}

/* ---- What holds between events ---- */

static void check_rest(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    bool at_rest = b->state == WST_STATE_IDLE || b->state == WST_STATE_FAILED;
    uint64_t deadline = wst__core_deadline(c);

    PROMISE(c->state == b->state);
    PROMISE(at_rest == (b->lives == 0));
    /* No wedge. */
    if (!at_rest && b->state != WST_STATE_OPEN)
        PROMISE(deadline != WST__NEVER);
    if (at_rest)
        PROMISE(deadline == WST__NEVER);
    if (b->state == WST_STATE_BACKOFF)
        PROMISE(c->wanted && c->failures > 0);
    if (b->state == WST_STATE_OPEN && c->policy.ping_interval_ms > 0)
        PROMISE(deadline != WST__NEVER);
    /* Failures are forgiven by a stable link alone. */
    if (c->failures < b->failures && !b->back)
        PROMISE(ev->now_ms - b->open_since_ms >= c->policy.stable_ms);
    b->failures = c->failures;
}

/* From here on nobody wants the connection: whatever else happens, IDLE is near. */
static void check_stop(const struct book *b, const struct wst__core *c,
                       const struct wst__event *last)
{
    struct wst__event ev = {.type = WST__EV_STOP, .now_ms = last->now_ms, .boot_ms = last->boot_ms};
    struct wst__core copy = *c;
    struct wst__actions out;

    wst__core_step(&copy, &ev, &out);
    if (copy.state == WST_STATE_CLOSING) {
        PROMISE(b->state == WST_STATE_OPEN);
        ev.type = WST__EV_TIMEOUT;
        ev.boot_ms += copy.close_due - ev.now_ms;
        ev.now_ms = copy.close_due;
        wst__core_step(&copy, &ev, &out);
    }
    PROMISE(copy.state == WST_STATE_IDLE || b->state == WST_STATE_FAILED);
}

/* ---- The world ---- */

static bool chance(struct wst__rng *r, uint64_t percent)
{
    return wst__rng_upto(r, 99) < percent;
}

static void draw_policy(struct wst__policy *p, struct wst__rng *r)
{
    tale_policy(p);
    p->jitter_percent = (uint32_t)wst__rng_upto(r, 100);
    p->token_step = chance(r, 80);
    p->ticket_step = chance(r, 80);
    p->parallel_dial = chance(r, 70);
    p->late_dial_target = p->ticket_step && chance(r, 20);
    p->give_up = (enum wst_give_up)wst__rng_upto(r, 2);
    p->max_attempts = chance(r, 30) ? (uint32_t)wst__rng_upto(r, 5) : 0;
    p->ping_interval_ms = chance(r, 80) ? 1 + wst__rng_upto(r, 20000) : 0;
    p->attempt_timeout_ms = 1 + wst__rng_upto(r, 30000);
    p->base_ms = wst__rng_upto(r, 1000);
    p->max_server_delay_ms = wst__rng_upto(r, 300000);
}

static struct wst__failure draw_failure(struct wst__rng *r)
{
    static const int statuses[] = {401, 401, 401, 403, 404, 429, 500, 503, 302, 200};
    static const int codes[] = {1000, 1001, 1002, 1006, 1008, 1012, 4401};
    static const int errors[] = {WST_ERR_CONNECT, WST_ERR_TIMEOUT, WST_ERR_NO_TOKEN, WST_ERR_NOMEM};
    struct wst__failure f;

    switch (wst__rng_upto(r, 2)) {
    case 0:
        f = http(statuses[wst__rng_upto(r, sizeof statuses / sizeof statuses[0] - 1)]);
        break;
    case 1:
        f = closed(codes[wst__rng_upto(r, sizeof codes / sizeof codes[0] - 1)]);
        break;
    default:
        f = error(errors[wst__rng_upto(r, sizeof errors / sizeof errors[0] - 1)]);
        break;
    }
    if (chance(r, 20))
        f.retry_after_ms = wst__rng_upto(r, 600000);
    if (chance(r, 10))
        f.spread_ms = wst__rng_upto(r, 600000);
    if (chance(r, 5))
        f.verdict = (enum wst_verdict)wst__rng_upto(r, 3);
    return f;
}

/* An event that is likely in |state|, so that the whole way to OPEN is gone often. */
static enum wst__ev likely(enum wst_state state, struct wst__rng *r)
{
    static const struct {
        int count;
        enum wst__ev list[4];
    } all[WST__STATE_COUNT] = {
        [WST_STATE_IDLE] = {1, {WST__EV_START}},
        [WST_STATE_TOKEN] = {3, {WST__EV_TOKEN_OK, WST__EV_TOKEN_OK, WST__EV_DIAL_OK}},
        [WST_STATE_TICKET] = {4,
                              {WST__EV_TICKET_OK, WST__EV_TICKET_SENT, WST__EV_TICKET_FAILED,
                               WST__EV_DIAL_OK}},
        [WST_STATE_CONNECTING] = {2, {WST__EV_DIAL_OK, WST__EV_LINK_OPEN}},
        [WST_STATE_OPEN] = {4,
                            {WST__EV_TIMEOUT, WST__EV_PING_LEFT, WST__EV_LINK_CLOSED,
                             WST__EV_TIMEOUT}},
        [WST_STATE_CLOSING] = {3, {WST__EV_LINK_CLOSED, WST__EV_START, WST__EV_TIMEOUT}},
        [WST_STATE_BACKOFF] = {2, {WST__EV_TIMEOUT, WST__EV_WAKE}},
        [WST_STATE_FAILED] = {1, {WST__EV_START}},
    };

    return all[state].list[wst__rng_upto(r, (uint64_t)all[state].count - 1)];
}

/* Mostly a little later or at the deadline; sometimes far behind it, asleep, or back. */
static void draw_time(struct book *b, const struct wst__core *c, struct wst__event *ev,
                      struct wst__rng *r)
{
    uint64_t deadline = wst__core_deadline(c), before = ev->now_ms;
    uint64_t dice = wst__rng_upto(r, 99);

    if (dice < 30 && deadline != WST__NEVER)
        ev->now_ms = deadline > ev->now_ms ? deadline : ev->now_ms;
    else if (dice < 35)
        ev->now_ms += wst__rng_upto(r, 100000);
    else if (dice < 80)
        ev->now_ms += wst__rng_upto(r, 200);
    else if (dice == 99) {
        ev->now_ms -= wst__rng_upto(r, ev->now_ms < 5000 ? ev->now_ms : 5000);
        b->back = true;
    }
    ev->boot_ms = ev->boot_ms + ev->now_ms - before;
    if (chance(r, 2)) {
        ev->boot_ms += wst__rng_upto(r, 100000);
        b->slept = true;
    }
}

static void draw_event(struct book *b, const struct wst__core *c, struct wst__event *ev,
                       struct wst__rng *r)
{
    draw_time(b, c, ev, r);
    ev->type =
        chance(r, 70) ? likely(c->state, r) : (enum wst__ev)wst__rng_upto(r, WST__EV_COUNT - 1);
    ev->attempt = c->attempt;
    if (chance(r, 10))
        ev->attempt -= wst__rng_upto(r, ev->attempt < 2 ? ev->attempt : 2);
    ev->ticket_life_ms = chance(r, 20) ? 1 + wst__rng_upto(r, 500) : 30000;
    ev->spread_ms = chance(r, 10) ? wst__rng_upto(r, 600000) : 0;
    ev->retry_after_ms = chance(r, 10) ? wst__rng_upto(r, 600000) : 0;
    ev->last_rx_ms = ev->now_ms - wst__rng_upto(r, ev->now_ms < 30000 ? ev->now_ms : 30000);
    ev->failure = draw_failure(r);
}

static void remember(struct book *b, const struct wst__actions *out)
{
    for (size_t i = 0; i < out->count; i++) {
        const struct wst__action *a = &out->list[i];

        b->digest = b->digest * 31 + (uint64_t)a->type;
        b->digest = b->digest * 31 + (uint64_t)a->to;
        b->digest = b->digest * 31 + a->attempt;
        b->digest = b->digest * 31 + a->ms;
    }
}

/* Returns the digest of all that was done. */
static uint64_t run(uint64_t seed, unsigned seen[WST__STATE_COUNT][WST__EV_COUNT])
{
    struct book b = {.seed = seed, .closed_told = true};
    struct wst__event ev = {.now_ms = 100000, .boot_ms = 200000};
    struct wst__actions out;
    struct wst__policy p;
    struct wst__core c;
    struct wst__rng r;

    current = &b;
    wst__rng_init(&r, seed);
    draw_policy(&p, &r);
    wst__core_init(&c, &p, seed);
    for (int i = 0; i < EVENTS_PER_SEED; i++) {
        draw_event(&b, &c, &ev, &r);
        seen[c.state][ev.type]++;
        read_event(&b, &c, &ev);
        wst__core_step(&c, &ev, &out);
        for (size_t k = 0; k < out.count; k++)
            read_action(&b, &c, &out.list[k], &ev);
        check_rest(&b, &c, &ev);
        check_stop(&b, &c, &ev);
        remember(&b, &out);
    }
    return b.digest;
}

static void the_promises_hold_for_every_seed(void **arg)
{
    unsigned seen[WST__STATE_COUNT][WST__EV_COUNT] = {0};
    uint64_t digest = 0;

    (void)arg;
    for (uint64_t seed = first_seed; seed < first_seed + seed_count; seed++)
        digest ^= run(seed, seen);
    for (int s = 0; seed_count >= 1000 && s < WST__STATE_COUNT; s++) {
        for (int e = 0; e < WST__EV_COUNT; e++) {
            if (seen[s][e] == 0)
                fail_msg("event %d never came in state %s", e, tale_state_name((enum wst_state)s));
        }
    }
    print_message("digest of %llu seeds: %016llx\n", (unsigned long long)seed_count,
                  (unsigned long long)digest);
}

static void the_same_seed_does_the_same(void **arg)
{
    unsigned seen[WST__STATE_COUNT][WST__EV_COUNT] = {0};

    (void)arg;
    for (uint64_t seed = 1; seed < 100; seed++) {
        assert_true(run(seed, seen) == run(seed, seen));
        assert_true(run(seed, seen) != run(seed + 100, seen));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promises_hold_for_every_seed),
        cmocka_unit_test(the_same_seed_does_the_same),
    };

    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
        seed_count = 1;
    }
    if (argc > 2)
        seed_count = strtoull(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
