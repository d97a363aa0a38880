/* The book: what must follow by the design, and the objections. */
#include "book.h"

#include "draws.h"
#include "space.h"

#include <string.h>

#define SLEEP_MS 2000

/* Said of one step only. */
static struct {
    bool late, slept;
    bool was_due[P_COUNT];
    int was_conn, was_request;
    bool was_sent, was_redialed, was_dial_failed, was_over_time;
    enum wst_state was_state;
    bool begun, ended, dropped_token;
} step;

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            book_objects(#what, __FILE__, __LINE__);                                               \
    } while (0)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void forget(struct book *b, enum promised first, enum promised last)
{
    for (int i = (int)first; i <= (int)last; i++)
        b->due[i] = WST__NEVER;
}

void book_begin(struct book *b)
{
    memset(b, 0, sizeof *b);
    forget(b, P_STEP, P_FLOOR);
}

static bool at_rest(const struct book_bits *is)
{
    return is->state == WST_STATE_IDLE || is->state == WST_STATE_FAILED;
}

/* ---- The events ---------------------------------------------------------------------------- */

/* A wake, or a sleep: a wait is cut, but not below the floor. */
static void cut_wait(struct book *b, const struct wst__policy *p, uint64_t now, unsigned draws)
{
    uint64_t jitter = draws_take(&draws, p->base_ms);

    b->due[P_WAKE] = now + p->base_ms;
    b->due[P_RETRY] = least(b->due[P_RETRY], most(now, b->due[P_FLOOR]) + jitter);
}

static void read_sleep(struct book *b, const struct wst__core *c, const struct wst__event *ev,
                       unsigned draws)
{
    uint64_t ms = (ev->boot_ms - c->seen_boot_ms) - (ev->now_ms - c->seen_now_ms);

    step.slept = ms > SLEEP_MS;
    if (step.slept && b->is.state == WST_STATE_OPEN) {
        b->is.ping = NO_PING; /* Whatever was asked: it is asked again, at once. */
        b->due[P_DEAD] = WST__NEVER;
        b->due[P_PING] = ev->now_ms;
    } else if (step.slept && b->is.state == WST_STATE_BACKOFF) {
        b->due[P_FLOOR] = b->due[P_FLOOR] > ms ? b->due[P_FLOOR] - ms : 0;
        cut_wait(b, c->policy, ev->now_ms, draws);
    }
}

/* A byte since the ping was asked for is life; what it grants depends on whether it has left. */
static void read_life(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    const struct wst__policy *p = c->policy;

    if (b->is.ping == NO_PING || ev->last_rx_ms < c->ping_left_ms)
        return;
    if (b->is.ping == PING_ASKED) {
        b->due[P_DEAD] = ev->last_rx_ms + p->ping_interval_ms + p->ping_timeout_ms;
    } else {
        b->is.ping = NO_PING;
        b->due[P_DEAD] = WST__NEVER;
    }
}

static void read_stable(struct book *b, const struct wst__event *ev)
{
    if (ev->now_ms < b->due[P_STABLE])
        return;
    b->due[P_STABLE] = WST__NEVER;
    b->is.stable = 1;
    b->is.failures = b->is.tries = 0;
}

static void read_open(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    bool ends = ev->type == WST__EV_STOP || ev->type == WST__EV_LINK_CLOSING ||
                ev->type == WST__EV_LINK_CLOSED || ev->type == WST__EV_LINK_FAILED;

    if (ends || ev->type == WST__EV_TIMEOUT)
        read_stable(b, ev);
    if (ev->type == WST__EV_TIMEOUT || ev->type == WST__EV_WAKE)
        read_life(b, c, ev);
    if (ev->type == WST__EV_PING_LEFT && b->is.ping == PING_ASKED) {
        b->is.ping = PING_LEFT;
        b->due[P_DEAD] = ev->now_ms + c->policy->ping_timeout_ms;
    }
    if (ev->type == WST__EV_LINK_CLOSING) {
        b->is.conn = PEER_CLOSES;
        forget(b, P_STABLE, P_DEAD);
        b->due[P_CLOSE] = ev->now_ms + c->policy->close_timeout_ms;
    }
}

static void read_user(struct book *b, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    if (ev->type == WST__EV_START && (at_rest(is) || (is->conn == CLOSE_BEGUN && !is->wanted))) {
        is->lives++;
        is->wanted = 1;
    }
    if (ev->type == WST__EV_START && at_rest(is))
        is->tries = is->auth_failures = is->ticket_refusals = 0;
    if (ev->type == WST__EV_STOP && !at_rest(is))
        is->wanted = 0;
    if (ev->type == WST__EV_STOP && is->conn == PEER_CLOSES)
        is->conn = CLOSE_BEGUN; /* As if it were ours. */
}

static void read_http(struct book *b, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    if (is->request == TOKEN_ASKED &&
        (ev->type == WST__EV_TOKEN_OK || ev->type == WST__EV_TOKEN_FAILED)) {
        is->token = ev->type == WST__EV_TOKEN_OK;
        is->request = NO_REQUEST;
        b->due[P_STEP] = WST__NEVER;
    }
    if (is->request == TICKET_ASKED && ev->type == WST__EV_TICKET_SENT)
        is->sent = 1;
    if (is->request == TICKET_ASKED &&
        (ev->type == WST__EV_TICKET_OK || ev->type == WST__EV_TICKET_FAILED)) {
        is->ticket = ev->type == WST__EV_TICKET_OK;
        is->request = NO_REQUEST;
        b->due[P_STEP] = WST__NEVER;
        b->life_ms = ev->ticket_life_ms;
        if (is->ticket)
            is->steering = ev->retry_after_ms ? WITH_FLOOR
                           : ev->spread_ms    ? WITH_SPREAD
                                              : NO_STEERING;
    }
}

static void read_conn(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    if (ev->type == WST__EV_DIAL_OK && is->conn == DIALING) {
        is->conn = STANDS;
        b->due[P_DIAL] = WST__NEVER;
        b->due[P_IDLE] = ev->now_ms + c->policy->dial_idle_ms;
    }
    if (ev->type == WST__EV_LINK_OPEN && is->conn == UPGRADING)
        is->conn = IS_OPEN;
    if ((ev->type == WST__EV_LINK_FAILED || ev->type == WST__EV_LINK_CLOSED) &&
        is->conn != NO_CONN) {
        if (is->conn == UPGRADING)
            b->due[P_STEP] = WST__NEVER;
        is->conn = NO_CONN;
        forget(b, P_DIAL, P_DIAL);
        forget(b, P_IDLE, P_IDLE);
    }
}

void book_event(struct book *b, const struct wst__core *c, const struct wst__event *ev,
                unsigned draws)
{
    struct book_bits *is = &b->is;

    memset(&step, 0, sizeof step);
    step.was_conn = is->conn;
    step.was_request = is->request;
    step.was_sent = is->sent;
    step.was_redialed = is->redialed;
    step.was_dial_failed = is->dial_failed;
    step.was_state = (enum wst_state)is->state;
    step.late = ev->type >= WST__EV_TOKEN_OK &&
                (ev->attempt != c->attempt || at_rest(is) || is->state == WST_STATE_BACKOFF);
    PROMISE(step.late == wst__core_is_late(c, ev));
    read_sleep(b, c, ev, draws);
    read_user(b, ev);
    if (!step.late && is->state == WST_STATE_OPEN)
        read_open(b, c, ev);
    for (int i = 0; i < P_COUNT; i++)
        step.was_due[i] = ev->type == WST__EV_TIMEOUT && b->due[i] <= ev->now_ms;
    step.was_over_time = b->due[P_ATTEMPT] <= ev->now_ms;
    if (step.late)
        return;
    read_http(b, ev);
    read_conn(b, c, ev);
    if (ev->type == WST__EV_WAKE && is->state == WST_STATE_BACKOFF && ev->now_ms >= b->due[P_WAKE])
        cut_wait(b, c->policy, ev->now_ms, draws);
}

/* ---- The end of an attempt or a link ------------------------------------------------------- */

/* The table of the design, for the failures that the exploration uses. */
static enum wst_class class_of(const struct wst__failure *f, bool stable)
{
    bool proxy = f->code == WST_ERR_PROXY_AUTH;

    switch (f->close_code) {
    case 0:
        break;
    case 1008:
        return stable ? WST_CLASS_TOKEN : WST_CLASS_TICKET;
    case 1012:
        return WST_CLASS_SOFT;
    case 1002:
        return WST_CLASS_PROTOCOL;
    default:
        if (f->code == WST_ERR_WS_PROTOCOL)
            return WST_CLASS_PROTOCOL;
        return f->code == WST_ERR_NOMEM ? WST_CLASS_LOCAL : WST_CLASS_TRANSIENT;
    }
    switch (proxy ? 0 : f->http_status) {
    case 401:
        if (f->step == WST_STEP_TICKET)
            return WST_CLASS_TOKEN;
        return f->step == WST_STEP_TOKEN ? WST_CLASS_AUTH : WST_CLASS_TICKET;
    case 403:
        return f->step == WST_STEP_CONNECT ? WST_CLASS_TICKET : WST_CLASS_AUTH;
    case 404:
        return WST_CLASS_REFUSED;
    case 429:
    case 503:
        return WST_CLASS_SOFT;
    default:
        break;
    }
    if (f->code == WST_ERR_NO_TOKEN)
        return WST_CLASS_AUTH;
    return proxy ? WST_CLASS_REFUSED : WST_CLASS_TRANSIENT;
}

static enum wst_class judge(struct book *b, const struct wst__core *c)
{
    const struct wst__failure *f = &c->failure;
    enum wst_class cls = class_of(f, b->is.stable);
    bool retried = b->is.token_retried;
    bool auth = f->code == WST_ERR_NO_TOKEN || cls == WST_CLASS_AUTH ||
                (cls == WST_CLASS_TOKEN && f->step == WST_STEP_TICKET &&
                 (retried || !c->policy->token_step));

    if (f->code == WST_ERR_NO_TOKEN && retried)
        cls = WST_CLASS_TOKEN;
    if (!auth)
        b->is.auth_failures = 0;
    else if (b->is.auth_failures < 2)
        b->is.auth_failures++;
    return b->is.auth_failures == 2 ? WST_CLASS_AUTH : cls;
}

/* The second refusal running; the first one where there is no ticket, or no second attempt. */
static bool token_is_distrusted(struct book *b, const struct wst__core *c, enum wst_class cls)
{
    const struct wst__policy *p = c->policy;
    const struct wst__failure *f = &c->failure;
    bool last = p->max_attempts > 0 && b->is.tries >= p->max_attempts;

    b->is.ticket_refusals = cls == WST_CLASS_TICKET ? b->is.ticket_refusals + 1 : 0;
    if (b->is.ticket_refusals >= (p->ticket_step && !last ? 2 : 1)) {
        b->is.ticket_refusals = 0;
        return true;
    }
    return f->verdict == WST_VERDICT_RETRY_NEW_TOKEN ||
           class_of(f, b->is.stable) == WST_CLASS_TOKEN;
}

static bool is_given_up(const struct book *b, const struct wst__core *c, enum wst_class cls)
{
    enum wst_give_up how = c->policy->give_up;

    if (c->failure.verdict != WST_VERDICT_DEFAULT)
        return c->failure.verdict == WST_VERDICT_STOP;
    if (cls != WST_CLASS_AUTH && cls != WST_CLASS_REFUSED)
        return false;
    return how == WST_GIVE_UP_ALWAYS || (how != WST_GIVE_UP_NEVER && !b->is.ever_open);
}

/* The delay that the draws make; DESIGN 7. */
static uint64_t delay_of(const struct book *b, const struct wst__core *c, enum wst__act told,
                         enum wst_class cls, unsigned draws)
{
    const struct wst__policy *p = c->policy;
    const struct wst__failure *f = &c->failure;
    unsigned rung = cls == WST_CLASS_AUTH && f->verdict == WST_VERDICT_DEFAULT ? FAILURES_AT_CAP
                                                                               : b->is.failures;
    uint64_t nominal = least(p->cap_ms, p->base_ms << (rung - 1));
    uint64_t j = nominal * p->jitter_percent / 100;
    uint64_t asked = least(f->retry_after_ms, p->max_server_delay_ms);
    bool steered = told == WST__ACT_CLOSED && b->is.steering == WITH_SPREAD;
    uint64_t spread = most(f->spread_ms, steered ? SPREAD_MS : 0);
    uint64_t ms = most(50, nominal - j + draws_take(&draws, 2 * j));

    spread = least(spread, p->max_server_delay_ms);
    if (f->close_code == 1012)
        spread = most(spread, p->restart_spread_ms);
    if (asked)
        ms = most(ms, asked) + draws_take(&draws, most(asked, 1000));
    return ms + (spread ? draws_take(&draws, spread) : 0);
}

/* Is it the failure that the event told, or that the core had to find? */
static void check_cause(const struct book *b, const struct wst__core *before,
                        const struct wst__core *c, const struct wst__event *ev)
{
    const struct wst__failure *f = &c->failure;
    bool both = step.was_dial_failed && ev->type == WST__EV_TICKET_FAILED;
    uint64_t floor = b->is.steering == WITH_FLOOR && step.was_conn >= IS_OPEN ? FLOOR_MS : 0;

    switch (ev->type) {
    case WST__EV_TOKEN_FAILED:
    case WST__EV_TICKET_FAILED:
        PROMISE(f->step == (ev->type == WST__EV_TOKEN_FAILED ? WST_STEP_TOKEN : WST_STEP_TICKET));
        PROMISE(f->code == ev->failure.code && f->http_status == ev->failure.http_status);
        PROMISE(f->retry_after_ms == ev->failure.retry_after_ms);
        PROMISE(f->verdict == ev->failure.verdict);
        PROMISE(both == (c->other.code != 0));
        break;
    case WST__EV_LINK_FAILED:
    case WST__EV_LINK_CLOSED:
        PROMISE(f->step == WST_STEP_CONNECT && f->code == ev->failure.code);
        PROMISE(f->http_status == ev->failure.http_status);
        PROMISE(f->close_code == ev->failure.close_code);
        PROMISE(f->retry_after_ms == most(ev->failure.retry_after_ms, floor));
        PROMISE(f->spread_ms == ev->failure.spread_ms && f->verdict == ev->failure.verdict);
        break;
    case WST__EV_TIMEOUT:
        PROMISE(f->verdict == ev->failure.verdict && f->retry_after_ms == floor);
        if (step.was_state == WST_STATE_OPEN)
            PROMISE(f->code == WST_ERR_PING_TIMEOUT && f->close_code == 1006);
        else if (step.was_state == WST_STATE_CLOSING)
            PROMISE(before->failure.code ? f->code == before->failure.code
                                         : f->code == WST_ERR_TIMEOUT && f->close_code == 1006);
        else
            PROMISE(f->code == WST_ERR_TIMEOUT && f->own);
        if (step.was_state == WST_STATE_TOKEN)
            PROMISE(f->step == WST_STEP_TOKEN || step.was_due[P_DIAL]);
        if (step.was_state == WST_STATE_TICKET)
            PROMISE(f->step == WST_STEP_TICKET || step.was_due[P_DIAL]);
        if (step.was_state == WST_STATE_CONNECTING)
            PROMISE(f->step == WST_STEP_CONNECT);
        break;
    case WST__EV_TICKET_OK:
    case WST__EV_DIAL_OK:
        if (step.was_dial_failed)
            PROMISE(f->code == before->other.code && f->step == WST_STEP_CONNECT);
        else
            PROMISE(f->code == WST_ERR_TICKET_STALE && f->own);
        if (step.was_dial_failed)
            PROMISE(c->other.code == 0);
        break;
    default:
        PROMISE(false && "this event ends something");
    }
}

static void read_end(struct book *b, const struct wst__core *before, const struct wst__core *c,
                     const struct wst__action *a, const struct wst__event *ev, unsigned draws)
{
    const struct wst__failure *f = &c->failure;
    bool distrusted, given_up, used_up;
    enum wst_class cls;

    PROMISE(b->is.conn == NO_CONN && b->is.request == NO_REQUEST && !b->is.ticket);
    PROMISE(!step.ended);
    step.ended = true;
    forget(b, P_STEP, P_CLOSE);
    b->is.dial_failed = b->is.ping = 0;
    if (!b->is.wanted || step.was_conn == CLOSE_BEGUN) {
        PROMISE(f->code == WST_ERR_CANCELED && a->ms == WST_NO_DELAY);
        PROMISE(b->is.state == WST_STATE_IDLE && !step.dropped_token);
        return;
    }
    check_cause(b, before, c, ev);
    cls = judge(b, c);
    PROMISE(f->cls == cls);
    if (a->type == WST__ACT_ATTEMPT_FAILED)
        b->is.serial = f->step != WST_STEP_CONNECT;
    if (b->is.failures < FAILURES_AT_CAP)
        b->is.failures++;
    PROMISE(c->failures == b->is.failures || c->failures > FAILURES_AT_CAP);
    distrusted = token_is_distrusted(b, c, cls) && c->policy->token_step;
    PROMISE(step.dropped_token == distrusted);
    given_up = is_given_up(b, c, cls);
    used_up = !given_up && c->policy->max_attempts > 0 && b->is.tries >= c->policy->max_attempts;
    PROMISE(c->attempts_used_up == used_up);
    if (given_up || used_up) {
        PROMISE(b->is.state == WST_STATE_FAILED && a->ms == WST_NO_DELAY);
        return;
    }
    PROMISE(b->is.state == WST_STATE_BACKOFF);
    PROMISE(a->ms == delay_of(b, c, a->type, cls, draws));
    PROMISE(a->ms >= 50);
    b->due[P_RETRY] = ev->now_ms + a->ms;
    b->due[P_FLOOR] = ev->now_ms + least(f->retry_after_ms, c->policy->max_server_delay_ms);
}

/* ---- The actions --------------------------------------------------------------------------- */

static void read_state(struct book *b, const struct wst__action *a)
{
    PROMISE(a->from == (enum wst_state)b->is.state && a->to != a->from);
    b->is.state = (uint8_t)a->to;
}

static void read_begin(struct book *b, const struct wst__core *before, const struct wst__core *c,
                       const struct wst__action *a, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    /* One at a time. */
    PROMISE(!is->attempt_runs && is->conn == NO_CONN && is->request == NO_REQUEST && !is->ticket);
    PROMISE(a->attempt == before->attempt + 1);
    PROMISE(is->lives == 1 && is->wanted);
    if (step.was_state == WST_STATE_BACKOFF) {
        PROMISE(ev->now_ms >= b->due[P_RETRY]);
        PROMISE(ev->now_ms >= b->due[P_FLOOR]);
    }
    step.begun = true;
    is->attempt_runs = 1;
    is->token = !c->policy->token_step;
    is->sent = is->tickets = is->dial_failed = is->redialed = is->token_retried = is->stable = 0;
    if (step.was_conn == CLOSE_BEGUN) /* Started again: the books of a new life. */
        is->tries = is->auth_failures = is->ticket_refusals = 0;
    if (c->policy->max_attempts > 0 && is->tries < c->policy->max_attempts)
        is->tries++;
    forget(b, P_STEP, P_FLOOR);
    b->due[P_ATTEMPT] = ev->now_ms + c->policy->attempt_timeout_ms;
}

static void read_get_ticket(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    PROMISE(is->attempt_runs && is->request == NO_REQUEST);
    PROMISE(is->token && !is->ticket && c->policy->ticket_step);
    /* One, one because of a 401, one because it was stale. */
    is->tickets++;
    PROMISE(is->tickets <= 3);
    is->request = TICKET_ASKED;
    is->sent = 0;
    b->due[P_STEP] = ev->now_ms + c->policy->step_timeout_ms;
    b->asked_boot_ms = ev->boot_ms;
}

static void read_upgrade(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    struct book_bits *is = &b->is;

    PROMISE(is->attempt_runs && is->request == NO_REQUEST);
    PROMISE(is->conn == STANDS && is->token);
    PROMISE(is->ticket == c->policy->ticket_step);
    PROMISE(!is->ticket || (ev->boot_ms - b->asked_boot_ms) * 5 <= b->life_ms * 4);
    is->ticket = 0; /* Moved: never again. */
    is->conn = UPGRADING;
    b->due[P_IDLE] = WST__NEVER;
    b->due[P_STEP] = ev->now_ms + c->policy->step_timeout_ms;
}

static void read_drop(struct book *b)
{
    PROMISE(b->is.conn != NO_CONN);
    if (b->is.conn == UPGRADING)
        b->due[P_STEP] = WST__NEVER;
    b->is.conn = NO_CONN;
    forget(b, P_DIAL, P_DIAL);
    forget(b, P_IDLE, P_IDLE);
    forget(b, P_CLOSE, P_CLOSE);
}

static void read_opened(struct book *b, const struct wst__core *c, const struct wst__action *a,
                        const struct wst__event *ev)
{
    PROMISE(b->is.attempt_runs && b->is.conn == IS_OPEN && b->is.state == WST_STATE_OPEN);
    PROMISE(a->attempt == c->attempt);
    b->is.attempt_runs = 0;
    b->is.ever_open = 1;
    b->is.serial = 0;
    forget(b, P_STEP, P_IDLE);
    b->due[P_STABLE] = ev->now_ms + c->policy->stable_ms;
    if (c->policy->ping_interval_ms > 0)
        b->due[P_PING] = ev->now_ms + c->policy->ping_interval_ms;
}

static void read_ping(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    const struct wst__policy *p = c->policy;

    PROMISE(b->is.conn == IS_OPEN && b->is.ping == NO_PING);
    PROMISE(ev->type == WST__EV_WAKE || step.was_due[P_PING]);
    b->is.ping = PING_ASKED;
    b->due[P_DEAD] = ev->now_ms + p->ping_interval_ms + p->ping_timeout_ms;
    b->due[P_PING] = p->ping_interval_ms > 0 ? ev->now_ms + p->ping_interval_ms : WST__NEVER;
}

static void read_ended(struct book *b, const struct wst__action *a)
{
    PROMISE(a->to == (enum wst_state)b->is.state && at_rest(&b->is));
    PROMISE(!b->is.attempt_runs && b->is.conn == NO_CONN && b->is.lives > 0);
    b->is.lives--;
    forget(b, P_STEP, P_FLOOR);
}

static void read_told(struct book *b, const struct wst__core *before, const struct wst__core *c,
                      const struct wst__action *a, const struct wst__event *ev, unsigned draws)
{
    switch (a->type) {
    case WST__ACT_STATE:
        read_state(b, a);
        break;
    case WST__ACT_ATTEMPT_BEGIN:
        read_begin(b, before, c, a, ev);
        break;
    case WST__ACT_OPENED:
        read_opened(b, c, a, ev);
        break;
    case WST__ACT_ATTEMPT_FAILED:
        PROMISE(b->is.attempt_runs && a->attempt == before->attempt);
        b->is.attempt_runs = 0;
        read_end(b, before, c, a, ev, draws);
        break;
    case WST__ACT_CLOSED:
        PROMISE(step.was_conn >= IS_OPEN && a->attempt == before->attempt);
        read_end(b, before, c, a, ev, draws);
        break;
    case WST__ACT_ENDED:
        read_ended(b, a);
        break;
    default:
        PROMISE(false && "an action that is none");
    }
}

static void read_action(struct book *b, const struct wst__core *before, const struct wst__core *c,
                        const struct wst__action *a, const struct wst__event *ev, unsigned draws)
{
    struct book_bits *is = &b->is;

    switch (a->type) {
    case WST__ACT_ENSURE_TOKEN:
        PROMISE(is->attempt_runs && is->request == NO_REQUEST && !is->token);
        is->request = TOKEN_ASKED;
        b->due[P_STEP] = ev->now_ms + c->policy->step_timeout_ms;
        break;
    case WST__ACT_DROP_TOKEN:
        PROMISE(c->policy->token_step && !step.dropped_token);
        is->token = 0;
        step.dropped_token = true;
        break;
    case WST__ACT_GET_TICKET:
        read_get_ticket(b, c, ev);
        break;
    case WST__ACT_DROP_TICKET:
        PROMISE(is->ticket);
        is->ticket = 0;
        break;
    case WST__ACT_CANCEL_HTTP:
        PROMISE(is->request != NO_REQUEST);
        is->request = NO_REQUEST;
        b->due[P_STEP] = WST__NEVER;
        break;
    case WST__ACT_DIAL:
        PROMISE(is->attempt_runs && is->conn == NO_CONN);
        PROMISE(!c->policy->late_dial_target || is->ticket);
        is->conn = DIALING;
        b->due[P_DIAL] = ev->now_ms + c->policy->step_timeout_ms;
        break;
    case WST__ACT_UPGRADE:
        read_upgrade(b, c, ev);
        break;
    case WST__ACT_CLOSE_LINK:
        PROMISE(is->conn == IS_OPEN && ev->type == WST__EV_STOP);
        is->conn = CLOSE_BEGUN;
        forget(b, P_STABLE, P_DEAD);
        b->due[P_CLOSE] = ev->now_ms + c->policy->close_timeout_ms;
        break;
    case WST__ACT_DROP_LINK:
        read_drop(b);
        break;
    case WST__ACT_PING:
        read_ping(b, c, ev);
        break;
    default:
        read_told(b, before, c, a, ev, draws);
        break;
    }
}

/* ---- What must have followed --------------------------------------------------------------- */

/* Step 2 was refused by a 401: another token, once, while the attempt has time for it. */
static void check_401(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    struct wst__failure f = ev->failure;
    bool again;

    f.step = WST_STEP_TICKET;
    again = class_of(&f, false) == WST_CLASS_TOKEN && c->policy->token_step &&
            !b->is.token_retried && !step.was_dial_failed && f.verdict == WST_VERDICT_DEFAULT &&
            !step.was_over_time;
    PROMISE(again == !step.ended);
    if (!again)
        return;
    PROMISE(step.dropped_token && b->is.request == TOKEN_ASKED);
    b->is.token_retried = 1;
}

/* The connection of an attempt has ended: dialed again, or the ticket's answer is awaited, or
 * that is the end. */
static void check_lost(struct book *b, const struct wst__core *c, bool stop)
{
    bool waited = step.was_conn == STANDS;

    if (waited && !step.was_redialed && !stop) {
        PROMISE(b->is.conn == DIALING);
        b->is.redialed = 1;
    } else if (step.was_request == TICKET_ASKED && step.was_sent && !stop) {
        PROMISE(!step.ended && b->is.request == TICKET_ASKED);
        PROMISE(c->other.code != 0 && c->other.cls == class_of(&c->other, false));
        b->is.dial_failed = 1;
    } else {
        PROMISE(step.ended);
    }
}

static void check_timeout(struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    const bool *due = step.was_due;

    if (due[P_STEP] || due[P_ATTEMPT] || due[P_CLOSE] || due[P_DEAD]) {
        PROMISE(step.ended);
        return;
    }
    if (due[P_DIAL]) {
        PROMISE(step.was_conn == DIALING && b->is.conn == NO_CONN);
        step.was_conn = DIALING;
        check_lost(b, c, false);
        return;
    }
    PROMISE(!step.ended);
    if (due[P_IDLE])
        PROMISE(b->is.conn == NO_CONN);
    if (due[P_PING] && b->due[P_PING] <= ev->now_ms) {
        PROMISE(b->is.ping != NO_PING); /* One question at a time. */
        b->due[P_PING] = ev->now_ms + c->policy->ping_interval_ms;
    }
    PROMISE(due[P_RETRY] == step.begun);
}

/* Which steps an attempt begins with. */
static void check_begin(const struct book *b, const struct wst__core *c)
{
    const struct wst__policy *p = c->policy;
    bool first_two = p->token_step || p->ticket_step;

    PROMISE((b->is.request == TOKEN_ASKED) == p->token_step);
    PROMISE((b->is.request == TICKET_ASKED) == (!p->token_step && p->ticket_step));
    PROMISE((b->is.conn == DIALING) ==
            (!first_two || (p->parallel_dial && !b->is.serial && !p->late_dial_target)));
}

static void check_consequence(struct book *b, const struct wst__core *c,
                              const struct wst__event *ev)
{
    bool of_attempt = step.was_state == WST_STATE_TOKEN || step.was_state == WST_STATE_TICKET ||
                      step.was_state == WST_STATE_CONNECTING;

    switch (step.late ? WST__EV_COUNT : ev->type) {
    case WST__EV_START:
        PROMISE(step.begun ==
                (step.was_state == WST_STATE_IDLE || step.was_state == WST_STATE_FAILED));
        break;
    case WST__EV_STOP: /* IDLE, at once or after the close handshake. */
        PROMISE(b->is.state == WST_STATE_IDLE || step.was_state == WST_STATE_FAILED ||
                (b->is.state == WST_STATE_CLOSING &&
                 (step.was_conn == IS_OPEN || step.was_conn == PEER_CLOSES)));
        break;
    case WST__EV_TIMEOUT:
        check_timeout(b, c, ev);
        break;
    case WST__EV_TOKEN_OK:
        if (step.was_request == TOKEN_ASKED)
            PROMISE(b->is.tickets > 0 || !c->policy->ticket_step);
        break;
    case WST__EV_TOKEN_FAILED:
        PROMISE(step.ended == (step.was_request == TOKEN_ASKED));
        break;
    case WST__EV_TICKET_OK:
        PROMISE(!step.was_dial_failed || step.was_request != TICKET_ASKED || step.ended);
        break;
    case WST__EV_TICKET_FAILED:
        if (step.was_request == TICKET_ASKED)
            check_401(b, c, ev);
        break;
    case WST__EV_LINK_FAILED:
    case WST__EV_LINK_CLOSED:
        if (step.was_conn != NO_CONN && of_attempt)
            check_lost(b, c, ev->failure.verdict == WST_VERDICT_STOP);
        else
            PROMISE(step.ended == (step.was_conn >= IS_OPEN));
        break;
    case WST__EV_WAKE:
        PROMISE(step.was_state != WST_STATE_OPEN || b->is.ping != NO_PING);
        break;
    default:
        break;
    }
}

/* ---- What holds between the events --------------------------------------------------------- */

static void check_core(const struct book *b, const struct wst__core *c)
{
    const struct book_bits *is = &b->is;
    uint64_t deadline = wst__core_deadline(c);

    PROMISE(c->state == (enum wst_state)is->state);
    PROMISE(c->wanted == (is->wanted != 0));
    PROMISE(at_rest(is) == (is->lives == 0));
    PROMISE(is->lives <= 1 || is->state == WST_STATE_CLOSING);
    PROMISE(c->failures >= is->failures && c->tries >= is->tries);
    PROMISE(is->failures || !c->failures);
    PROMISE(c->ever_open == (is->ever_open != 0));
    /* No wedge: with pings off a stable link waits for the peer, and nothing else for nothing. */
    if (at_rest(is))
        PROMISE(deadline == WST__NEVER);
    else if (is->state != WST_STATE_OPEN || c->policy->ping_interval_ms > 0)
        PROMISE(deadline != WST__NEVER);
    for (int i = 0; i < P_FLOOR; i++)
        PROMISE(b->due[i] == WST__NEVER || deadline <= b->due[i]);
    if (is->state == WST_STATE_BACKOFF)
        PROMISE(c->retry_due >= c->retry_floor && b->due[P_RETRY] >= b->due[P_FLOOR]);
}

static void check_rest(const struct book *b, const struct wst__core *c, const struct wst__event *ev)
{
    const struct book_bits *is = &b->is;

    check_core(b, c);
    if (ev->type == WST__EV_TIMEOUT) /* Else the timer would spin. */
        PROMISE(wst__core_deadline(c) > ev->now_ms);
    PROMISE((is->state == WST_STATE_TOKEN || is->state == WST_STATE_TICKET ||
             is->state == WST_STATE_CONNECTING) == (is->attempt_runs != 0));
    PROMISE((is->state == WST_STATE_TOKEN) == (is->request == TOKEN_ASKED));
    PROMISE((is->state == WST_STATE_TICKET) == (is->request == TICKET_ASKED));
    if (is->state == WST_STATE_CONNECTING) /* Something is under way, always. */
        PROMISE(is->conn == DIALING || is->conn == UPGRADING);
    PROMISE((is->conn >= IS_OPEN) ==
            (is->state == WST_STATE_OPEN || is->state == WST_STATE_CLOSING));
    if (is->conn != IS_OPEN)
        PROMISE(is->ping == NO_PING);
}

void book_actions(struct book *b, const struct wst__core *before, const struct wst__core *c,
                  const struct wst__event *ev, const struct wst__actions *out, unsigned draws)
{
    PROMISE(!step.late || out->count == 0);
    for (size_t i = 0; i < out->count; i++)
        read_action(b, before, c, &out->list[i], ev, draws);
    if (step.begun)
        check_begin(b, c);
    check_consequence(b, c, ev);
    if (b->is.state == WST_STATE_CLOSING)
        b->is.ping = NO_PING;
    if (!b->is.attempt_runs)
        b->is.sent = b->is.redialed = b->is.dial_failed = b->is.tickets = 0;
    if (!b->is.attempt_runs && b->is.conn == NO_CONN)
        b->is.token_retried = b->is.stable = b->is.token = 0;
    if (b->is.conn != NO_CONN || b->is.attempt_runs)
        b->due[P_FLOOR] = WST__NEVER;
    check_rest(b, c, ev);
}
