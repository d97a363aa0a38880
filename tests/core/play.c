/* From bytes to a policy and events.  A byte decides at most one thing or two, so that a fuzzer can
 * change one without the other. */
#include "play.h"

#include <string.h>

#define START_MS 100000
#define BOOT_MS  200000

static bool below(uint8_t byte, unsigned percent)
{
    return byte * 100u < percent * 256u;
}

static void make_policy(struct wst__policy *p, const uint8_t *b)
{
    static const uint16_t unauthorized[] = {1008, 3000, 3003, 4401, 4403};

    memset(p, 0, sizeof *p);
    p->cap_ms = 30000;
    p->restart_spread_ms = 5000;
    p->step_timeout_ms = 10000;
    p->close_timeout_ms = 5000;
    p->ping_timeout_ms = 10000;
    p->dial_idle_ms = 5000;
    p->unauthorized_count = sizeof unauthorized / sizeof unauthorized[0];
    memcpy(p->unauthorized, unauthorized, sizeof unauthorized);
    p->jitter_percent = b[0] * 100u / 255;
    p->token_step = !below(b[1], 20);
    p->ticket_step = !below(b[2], 20);
    p->parallel_dial = !below(b[3], 30);
    p->late_dial_target = p->ticket_step && below(b[4], 20);
    p->give_up = (enum wst_give_up)(b[5] % 3);
    p->max_attempts = below(b[6], 30) ? b[6] % 6u : 0;
    p->ping_interval_ms = below(b[7], 20) ? 0 : 1 + b[7] * 80u;
    p->attempt_timeout_ms = 1 + b[8] * 118u;
    p->base_ms = b[9] * 4u;
    p->max_server_delay_ms = b[10] * 1180u;
    p->stable_ms = 1 + b[11] * 40u;
}

/* An event that is likely in |state|, so that the whole way to OPEN is gone often. */
static enum wst__ev likely(enum wst_state state, uint8_t byte)
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

    return all[state].list[byte % all[state].count];
}

static struct wst__failure make_failure(uint8_t kind, uint8_t more, uint8_t how_much)
{
    static const uint16_t statuses[] = {401, 401, 401, 403, 404, 429, 500, 503, 302, 200, 407};
    static const uint16_t codes[] = {1000, 1001, 1002, 1006, 1008, 1012, 1013, 4401};
    static const int16_t errors[] = {WST_ERR_CONNECT, WST_ERR_TIMEOUT,    WST_ERR_NO_TOKEN,
                                     WST_ERR_NOMEM,   WST_ERR_PROXY_AUTH, WST_ERR_WS_PROTOCOL};
    struct wst__failure f = {.code = errors[kind / 3 % (sizeof errors / sizeof errors[0])]};

    if (kind % 3 == 0) {
        f.code = WST_ERR_HTTP_STATUS;
        f.http_status = statuses[kind / 3 % (sizeof statuses / sizeof statuses[0])];
    } else if (kind % 3 == 1) {
        f.code = WST_ERR_WS_CLOSED;
        f.close_code = codes[kind / 3 % (sizeof codes / sizeof codes[0])];
    }
    if (below(more, 20))
        f.retry_after_ms = how_much * 2350u;
    else if (below(more, 30))
        f.spread_ms = how_much * 2350u;
    else if (below(more, 35))
        f.verdict = (enum wst_verdict)(how_much % 4);
    return f;
}

/* Mostly a little later or at the deadline; sometimes far behind it, asleep, or back. */
static void move_clocks(struct wst__event *ev, const struct wst__core *c, const uint8_t *b)
{
    uint64_t deadline = wst__core_deadline(c), before = ev->now_ms, back = b[3] * 20u;

    if (below(b[2], 30) && deadline != WST__NEVER)
        ev->now_ms = deadline > ev->now_ms ? deadline : ev->now_ms;
    else if (below(b[2], 35))
        ev->now_ms += b[3] * 400u;
    else if (below(b[2], 80))
        ev->now_ms += b[3];
    else if (b[2] == 255)
        ev->now_ms -= back < ev->now_ms ? back : ev->now_ms;
    ev->boot_ms = ev->boot_ms + ev->now_ms - before;
    if (below(b[4], 2))
        ev->boot_ms += b[5] * 400u;
}

static void make_event(struct wst__event *ev, const struct wst__core *c, const uint8_t *b)
{
    uint64_t ago = b[6] * 118u;

    move_clocks(ev, c, b);
    ev->type = below(b[0], 70) ? likely(c->state, b[1]) : (enum wst__ev)(b[1] % WST__EV_COUNT);
    ev->attempt = c->attempt;
    if (!below(b[4], 90)) /* An answer to an older one. */
        ev->attempt -= b[5] % 3u < ev->attempt ? b[5] % 3u : ev->attempt;
    ev->ticket_life_ms = below(b[7], 20) ? 1 + b[5] * 2u : 30000;
    ev->spread_ms = below(b[7], 90) ? 0 : b[5] * 2350u;
    ev->retry_after_ms = below(b[7], 85) || !below(b[7], 95) ? 0 : b[6] * 2350u;
    ev->last_rx_ms = ev->now_ms - (ago < ev->now_ms ? ago : ev->now_ms);
    ev->failure = make_failure(b[6], b[7], b[5]);
}

static uint64_t seed_of(const uint8_t *b)
{
    return (uint64_t)b[12] << 24 | (uint64_t)b[13] << 16 | (uint64_t)b[14] << 8 | b[15];
}

bool play(struct play *p, const uint8_t *bytes, size_t n, play_fn *told, void *arg)
{
    memset(p, 0, sizeof *p);
    p->ev.now_ms = START_MS;
    p->ev.boot_ms = BOOT_MS;
    book_init(&p->book);
    if (n < PLAY_POLICY)
        return true;
    make_policy(&p->policy, bytes);
    wst__core_init(&p->core, &p->policy, seed_of(bytes));
    for (size_t at = PLAY_POLICY; n - at >= PLAY_EVENT; at += PLAY_EVENT) {
        enum wst_state before = p->core.state;
        bool well;

        make_event(&p->ev, &p->core, bytes + at);
        well = book_step(&p->book, &p->core, &p->ev, &p->out);
        if (told)
            told(p, before, arg);
        if (!well)
            return false;
    }
    return true;
}
