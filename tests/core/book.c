/* The book. */
#include "book.h"

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what) && !b->broken)                                                                 \
            b->broken = #what;                                                                     \
    } while (0)

/* ---- The book reads what happened ---- */

static void read_clocks(struct book *b, const struct wst__event *ev)
{
    if (ev->now_ms < b->now_ms || ev->boot_ms < b->boot_ms)
        b->back = true;
    else if (ev->boot_ms - b->boot_ms > ev->now_ms - b->now_ms)
        b->slept = true;
    b->now_ms = ev->now_ms;
    b->boot_ms = ev->boot_ms;
}

static void read_answer(struct book *b, const struct wst__event *ev, bool late)
{
    if (ev->type < WST__EV_TOKEN_OK || late)
        return;
    if (b->request == ASKED_TOKEN &&
        (ev->type == WST__EV_TOKEN_OK || ev->type == WST__EV_TOKEN_FAILED)) {
        b->token_known = ev->type == WST__EV_TOKEN_OK;
        b->request = NO_REQUEST;
    }
    if (b->request == ASKED_TICKET &&
        (ev->type == WST__EV_TICKET_OK || ev->type == WST__EV_TICKET_FAILED)) {
        b->ticket = ev->type == WST__EV_TICKET_OK;
        b->life_ms = ev->ticket_life_ms;
        b->request = NO_REQUEST;
    }
    if (ev->type == WST__EV_DIAL_OK && b->conn == DIALING)
        b->conn = STANDS;
    if (ev->type == WST__EV_LINK_OPEN && b->conn == UPGRADING)
        b->conn = IS_OPEN;
    if (ev->type == WST__EV_LINK_FAILED || ev->type == WST__EV_LINK_CLOSED)
        b->conn = NO_CONN;
}

/* By the book, not by the core: an answer of an attempt that is no more. */
static bool is_late(const struct book *b, const struct wst__event *ev)
{
    return ev->attempt != b->attempt || b->state == WST_STATE_IDLE ||
           b->state == WST_STATE_BACKOFF || b->state == WST_STATE_FAILED;
}

static void read_event(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    bool at_rest = b->state == WST_STATE_IDLE || b->state == WST_STATE_FAILED;
    bool stopping = b->state == WST_STATE_CLOSING && !c->wanted;

    if (ev->type == WST__EV_START && (at_rest || stopping))
        b->lives++;
    read_answer(b, ev, is_late(b, ev));
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
    PROMISE(b->conn == NO_CONN && b->request == NO_REQUEST && !b->ticket);
    PROMISE(a->attempt == b->attempt + 1);
    PROMISE(b->lives == 1);
    if (ev->type == WST__EV_TIMEOUT && b->floor_ms && !b->slept && !b->back)
        PROMISE(ev->now_ms >= b->floor_ms);
    b->attempt = a->attempt;
    b->attempt_runs = true;
    b->token_known = !c->policy->token_step;
    b->tickets = 0;
    b->floor_ms = 0;
    b->slept = b->back = false;
}

static void read_get_ticket(struct book *b, const struct wst__event *ev)
{
    PROMISE(b->attempt_runs && b->request == NO_REQUEST);
    PROMISE(b->token_known);
    PROMISE(!b->ticket);
    /* One, one because of a 401, one because it was stale, and both at once. */
    PROMISE(++b->tickets <= 3);
    b->request = ASKED_TICKET;
    b->asked_boot_ms = ev->boot_ms;
}

static void read_upgrade(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    PROMISE(b->attempt_runs && b->request == NO_REQUEST);
    PROMISE(b->conn == STANDS);
    PROMISE(b->token_known);
    PROMISE(b->ticket == c->policy->ticket_step);
    if (b->ticket && ev->boot_ms > b->asked_boot_ms)
        PROMISE((ev->boot_ms - b->asked_boot_ms) * 10 <= b->life_ms * 8);
    b->ticket = false; /* Moved: it cannot be used again. */
    b->conn = UPGRADING;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t nominal(const struct wst__policy *p, uint32_t failures)
{
    uint64_t ms = larger(p->base_ms, 1);

    for (uint32_t i = 1; i < failures && ms < p->cap_ms; i++)
        ms *= 2;
    return smaller(ms, p->cap_ms);
}

/* The longest delay on that rung: all jitter, and all that the server may add. */
static uint64_t ceiling(const struct wst__core *c, uint64_t rung, bool closed)
{
    const struct wst__policy *p = c->policy;
    const struct wst__failure *f = &c->failure;
    uint64_t asked = smaller(f->retry_after_ms, p->max_server_delay_ms);
    uint64_t spread = larger(f->spread_ms, closed ? c->spread_ms : 0);
    uint64_t ms = larger(50, rung + rung * p->jitter_percent / 100);

    spread = smaller(spread, p->max_server_delay_ms);
    if (f->close_code == 1012 || f->close_code == 1013)
        spread = larger(spread, p->restart_spread_ms);
    if (asked > 0)
        ms = larger(ms, asked) + larger(asked, 1000);
    return ms + spread;
}

static void read_end(struct book *b, const struct wst__core *c, const struct wst__action *a,
                     const struct wst__event *ev)
{
    const struct wst__policy *p = c->policy;
    uint64_t asked = smaller(c->failure.retry_after_ms, p->max_server_delay_ms);
    uint64_t rung = nominal(p, c->failures);
    uint64_t least = larger(50, rung - rung * p->jitter_percent / 100);
    uint64_t most = ceiling(c, larger(rung, c->failure.cls == WST_CLASS_AUTH ? p->cap_ms : 0),
                            a->type == WST__ACT_CLOSED);

    if (a->type == WST__ACT_ATTEMPT_FAILED)
        PROMISE(c->failure.code == WST_ERR_CANCELED || c->failures == b->failures + 1);
    PROMISE(c->failure.code != 0);
    PROMISE(b->conn == NO_CONN && b->request == NO_REQUEST && !b->ticket);
    if (b->state == WST_STATE_BACKOFF) {
        PROMISE(a->ms + 1 >= least && a->ms >= asked && a->ms <= most);
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
        PROMISE(b->attempt_runs && b->request == NO_REQUEST && !b->token_known);
        b->request = ASKED_TOKEN;
        break;
    case WST__ACT_DROP_TOKEN:
        PROMISE(c->policy->token_step);
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
        PROMISE(b->request != NO_REQUEST);
        b->request = NO_REQUEST;
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
    if (b->state == WST_STATE_OPEN && c->policy->ping_interval_ms > 0)
        PROMISE(deadline != WST__NEVER);
    /* Failures are forgiven by a stable link alone. */
    if (c->failures < b->failures && !b->back)
        PROMISE(ev->now_ms - b->open_since_ms >= c->policy->stable_ms);
    b->failures = c->failures;
}

/* From here on nobody wants the connection: whatever else happens, IDLE is near. */
static void check_stop(struct book *b, const struct wst__core *c, const struct wst__event *last)
{
    struct wst__event ev = {.type = WST__EV_STOP, .now_ms = last->now_ms, .boot_ms = last->boot_ms};
    struct wst__core copy = *c;
    struct wst__actions out;

    wst__core_step(&copy, &ev, &out);
    if (copy.state == WST_STATE_CLOSING) {
        PROMISE(b->state == WST_STATE_OPEN || !c->stopping);
        ev.type = WST__EV_TIMEOUT;
        ev.boot_ms += copy.close_due - ev.now_ms;
        ev.now_ms = copy.close_due;
        wst__core_step(&copy, &ev, &out);
    }
    PROMISE(copy.state == WST_STATE_IDLE || b->state == WST_STATE_FAILED);
}

void book_init(struct book *b)
{
    *b = (struct book){.closed_told = true};
}

bool book_step(struct book *b, struct wst__core *c, const struct wst__event *ev,
               struct wst__actions *out)
{
    read_clocks(b, ev);
    read_event(b, c, ev);
    wst__core_step(c, ev, out);
    for (size_t i = 0; i < out->count; i++)
        read_action(b, c, &out->list[i], ev);
    check_rest(b, c, ev);
    check_stop(b, c, ev);
    return !b->broken;
}
