/*
 * What the driver does for one client, done here for all of them.
 *
 * The happy path of a client: its core asks for a token, which it mostly has; asks for a ticket and
 * dials beside it; both answer after round trips of its own length; the upgrade follows.  When the
 * link ends the core waits, and begins again.
 *
 * Each client has four moments to wait for (enum waiting), each a node of the wheel.  The core's
 * deadline is lazy: its node is moved only to an earlier moment, and looks again when it comes.
 */
#include "storm.h"

#include "core/core.h"
#include "scenario.h"
#include "wheel.h"

#include <stdlib.h>
#include <string.h>

#define RTT_MIN_MS    20
#define RTT_MAX_MS    120
#define NOTICE_MS     100 /* A lost link is noticed within. */
#define CODE_LOST     1006
#define CODE_OVERLOAD 1011
#define CODE_RESTART  1012
/* The cores' clock at the beginning of the storm: by then every link has long been stable. */
#define EPOCH_MS UINT64_C(3600000)

enum waiting { CORE, HTTP, LINK, OUTSIDE, WAITING_COUNT };

enum http { TOKEN_ARRIVES, TOKEN_ANSWER, TICKET_ARRIVES, TICKET_ANSWER };
enum link { DIALED, DIAL_FAILED, ACCEPTED, REFUSED };
enum outside { LOSE, WAKE };

/* What a waiting answer will say. */
struct answer {
    struct ask ask;
    int16_t code;    /* WST_ERR_*, 0: it is good. */
    uint16_t status; /* HTTP. */
    bool busy;       /* Refused for want of capacity. */
};

struct client {
    struct wst__core core;
    struct memory memory;
    struct answer http_answer, link_answer;
    int32_t token_fresh_ms, token_until_ms; /* Refreshed from, and of use until. */
    uint32_t minted_ms;                     /* The ticket at hand, or in the upgrade. */
    uint32_t opened_ms;
    uint16_t rtt_ms;
    uint16_t close_code;
    uint8_t http, link, outside; /* What is waited for. */
    uint8_t node;                /* Of the server, while open. */
    bool has_ticket;
    bool warm; /* The connection of steps 1 and 2 stands. */
    bool busy; /* The last failure was for want of capacity. */
};

struct world {
    const struct setup *setup;
    struct report *report;
    struct server server;
    struct plan plan;
    struct wst__policy policy;
    struct wst__rng rng;
    struct wheel *wheel;
    struct client *clients;
    uint32_t now_ms;
    uint32_t open, gave_up;
    uint32_t lost; /* Missing when the server was well again; the open are counted from there. */
    uint32_t nodes_up; /* A mask. */
    bool healed;
    bool token_at_hand, stop; /* To be told to the core that is stepped now. */
};

static uint32_t upto(struct world *w, uint32_t max)
{
    return (uint32_t)wst__rng_upto(&w->rng, max);
}

static uint32_t node_of(const struct world *w, const struct client *c, enum waiting what)
{
    return (uint32_t)(c - w->clients) * WAITING_COUNT + (uint32_t)what;
}

static void wait_for(struct world *w, const struct client *c, enum waiting what, uint32_t in_ms)
{
    wheel_put(w->wheel, node_of(w, c, what), w->now_ms + in_ms);
}

static void forget(struct world *w, const struct client *c, enum waiting what)
{
    wheel_cancel(w->wheel, node_of(w, c, what));
}

/* ---- Steps 1 and 2 ------------------------------------------------------------------------- */

static void http_answers(struct world *w, struct client *c, enum http what, struct answer answer)
{
    c->http = (uint8_t)what;
    c->http_answer = answer;
    wait_for(w, c, HTTP, c->rtt_ms);
}

static void ask_http(struct world *w, struct client *c, enum endpoint e)
{
    enum http arrives = e == TOKEN ? TOKEN_ARRIVES : TICKET_ARRIVES;

    forget(w, c, HTTP);
    if (w->server.mode[e] == REFUSES) {
        http_answers(w, c, arrives + 1, (struct answer){.code = WST_ERR_CONNECT});
    } else if (w->server.mode[e] != SILENT) {
        c->http = (uint8_t)arrives;
        wait_for(w, c, HTTP, c->warm ? 0 : 2U * c->rtt_ms);
    }
}

/* The request is at the server.  True: it is served. */
static bool http_arrives(struct world *w, struct client *c, enum endpoint e)
{
    enum http answers = e == TOKEN ? TOKEN_ANSWER : TICKET_ANSWER;
    struct answer a = {.code = WST_ERR_HTTP_STATUS, .status = 503};

    if (w->server.mode[e] == SILENT)
        return false;
    if (w->server.mode[e] == REFUSES) {
        http_answers(w, c, answers, (struct answer){.code = WST_ERR_CONNECT});
        return false;
    }
    if (server_serves(&w->server, e, w->now_ms, &a.ask)) {
        http_answers(w, c, answers, (struct answer){.code = 0});
        return true;
    }
    a.busy = w->server.mode[e] == UP;
    http_answers(w, c, answers, a);
    return false;
}

static void ensure_token(struct world *w, struct client *c)
{
    if ((int32_t)w->now_ms < c->token_fresh_ms) {
        w->token_at_hand = true;
        return;
    }
    w->report->token_calls++;
    ask_http(w, c, TOKEN);
}

static void keep_token(struct world *w, struct client *c)
{
    int32_t life_ms = (int32_t)w->setup->token_life_ms;

    c->token_fresh_ms = (int32_t)w->now_ms + life_ms / 5 * 4;
    c->token_until_ms = (int32_t)w->now_ms + life_ms;
}

/* ---- Step 3 -------------------------------------------------------------------------------- */

static void link_answers(struct world *w, struct client *c, enum link what, struct answer answer,
                         uint32_t in_ms)
{
    c->link = (uint8_t)what;
    c->link_answer = answer;
    wait_for(w, c, LINK, in_ms);
}

static void dial(struct world *w, struct client *c)
{
    forget(w, c, LINK);
    if (w->server.mode[UPGRADE] == REFUSES) {
        link_answers(w, c, DIAL_FAILED, (struct answer){.code = WST_ERR_CONNECT}, c->rtt_ms);
    } else if (w->server.mode[UPGRADE] != SILENT) {
        server_dialed(&w->server, w->now_ms);
        link_answers(w, c, DIALED, (struct answer){.code = 0}, 2U * c->rtt_ms);
    }
}

static void upgrade(struct world *w, struct client *c)
{
    struct answer a = {.code = WST_ERR_HTTP_STATUS, .status = 503};

    if (!c->has_ticket)
        w->report->without_ticket++;
    c->has_ticket = false;
    if (w->server.mode[UPGRADE] == SILENT)
        return;
    if (w->server.mode[UPGRADE] == REFUSES) {
        link_answers(w, c, REFUSED, (struct answer){.code = WST_ERR_CONNECT}, c->rtt_ms);
    } else if (!server_serves(&w->server, UPGRADE, w->now_ms, &a.ask)) {
        a.busy = w->server.mode[UPGRADE] == UP;
        link_answers(w, c, REFUSED, a, c->rtt_ms);
    } else if (!server_redeem(&w->server, c->minted_ms, w->now_ms)) {
        a.status = 401;
        link_answers(w, c, REFUSED, a, c->rtt_ms);
    } else {
        link_answers(w, c, ACCEPTED, (struct answer){.code = 0}, c->rtt_ms);
    }
}

static void lose(struct world *w, struct client *c, uint16_t close_code, uint32_t in_ms)
{
    c->outside = LOSE;
    c->close_code = close_code;
    wait_for(w, c, OUTSIDE, in_ms);
}

/* The server's node that takes a new link. */
static uint8_t any_node(struct world *w)
{
    uint32_t node = upto(w, NODES - 1);

    while (!(w->nodes_up >> node & 1))
        node = (node + 1) % NODES;
    return (uint8_t)node;
}

static void opened(struct world *w, struct client *c)
{
    w->report->opens++;
    c->opened_ms = w->now_ms;
    c->node = any_node(w);
    if (w->server.closes_at_once)
        lose(w, c, CODE_OVERLOAD, c->rtt_ms);
    else if (w->server.mode[UPGRADE] != UP) /* It went down meanwhile. */
        lose(w, c, CODE_LOST, upto(w, NOTICE_MS));
}

/* ---- The wait ------------------------------------------------------------------------------ */

static void note_wait(struct world *w, uint64_t ms)
{
    const struct schedule *s = w->setup->schedule;
    uint64_t cap_ms = s->cap_ms > 0 ? s->cap_ms : w->policy.cap_ms;

    w->report->waits++;
    if (ms == cap_ms)
        w->report->waits_at_cap++;
    else if (ms < cap_ms && ms + NEIGHBOURS >= cap_ms)
        w->report->waits_below_cap++;
}

/* The wait of another schedule takes the place of the core's. */
static void replace_wait(struct world *w, struct client *c)
{
    uint64_t ms = w->setup->schedule->wait(&w->policy, &c->memory, &w->rng, w->now_ms);

    if (ms == SCHEDULE_GIVE_UP) {
        w->stop = true;
        return;
    }
    c->memory.tries++;
    c->memory.due_ms = w->now_ms + (uint32_t)ms;
    c->core.retry_due = EPOCH_MS + w->now_ms + ms;
    note_wait(w, ms);
}

/* An attempt failed, or a link ended. */
static void ended(struct world *w, struct client *c, const struct wst__action *a)
{
    const struct schedule *s = w->setup->schedule;

    forget(w, c, LINK);
    if (c->outside == LOSE)
        forget(w, c, OUTSIDE);
    if (a->type == WST__ACT_ATTEMPT_FAILED) {
        w->report->refused += c->busy;
        w->report->wasted += !c->busy;
    } else {
        w->report->wasted += w->server.closes_at_once && c->close_code == CODE_OVERLOAD;
        if (w->now_ms - c->opened_ms >= s->forgiving_ms)
            c->memory.tries = 0;
    }
    if (a->ms == WST_NO_DELAY)
        return;
    if (s->wait)
        replace_wait(w, c);
    else
        note_wait(w, a->ms);
}

/* ---- The core ------------------------------------------------------------------------------ */

static void count_open(struct world *w, const struct wst__action *a)
{
    w->open += a->to == WST_STATE_OPEN;
    w->open -= a->from == WST_STATE_OPEN;
    w->server.missing = w->setup->clients - w->open;
}

static void carry_out(struct world *w, struct client *c, const struct wst__action *a)
{
    switch (a->type) {
    case WST__ACT_STATE:
        count_open(w, a);
        break;
    case WST__ACT_ATTEMPT_BEGIN:
        w->report->attempts++;
        c->warm = c->busy = false;
        break;
    case WST__ACT_ENSURE_TOKEN:
        ensure_token(w, c);
        break;
    case WST__ACT_DROP_TOKEN:
        c->token_fresh_ms = c->token_until_ms = 0;
        break;
    case WST__ACT_GET_TICKET:
        ask_http(w, c, TICKET);
        break;
    case WST__ACT_DROP_TICKET:
        c->has_ticket = false;
        break;
    case WST__ACT_CANCEL_HTTP:
        forget(w, c, HTTP);
        break;
    case WST__ACT_DIAL:
        dial(w, c);
        break;
    case WST__ACT_UPGRADE:
        upgrade(w, c);
        break;
    case WST__ACT_CLOSE_LINK:
    case WST__ACT_DROP_LINK:
        forget(w, c, LINK);
        break;
    case WST__ACT_OPENED:
        opened(w, c);
        break;
    case WST__ACT_ATTEMPT_FAILED:
    case WST__ACT_CLOSED:
        ended(w, c, a);
        break;
    case WST__ACT_ENDED:
        w->gave_up++;
        break;
    case WST__ACT_PING:
    case WST__ACT_COUNT:
        break;
    }
}

static void step(struct world *w, struct client *c, struct wst__event *ev)
{
    struct wst__actions out;

    ev->attempt = c->core.attempt;
    ev->now_ms = ev->boot_ms = ev->last_rx_ms = EPOCH_MS + w->now_ms;
    w->report->steps++;
    wst__core_step(&c->core, ev, &out);
    for (size_t i = 0; i < out.count; i++)
        carry_out(w, c, &out.list[i]);
}

static void set_timer(struct world *w, const struct client *c)
{
    uint64_t due = wst__core_deadline(&c->core);
    uint32_t node = node_of(w, c, CORE);
    uint32_t at_ms;

    if (due >= EPOCH_MS + w->setup->limit_ms)
        return; /* Not in this storm. */
    at_ms = due < EPOCH_MS + w->now_ms ? w->now_ms : (uint32_t)(due - EPOCH_MS);
    if (!wheel_waits(w->wheel, node) || wheel_at(w->wheel, node) > at_ms)
        wheel_put(w->wheel, node, at_ms);
}

/* Feeds an event, and those that follow at once. */
static void feed(struct world *w, struct client *c, struct wst__event *ev)
{
    step(w, c, ev);
    while (w->token_at_hand || w->stop) {
        struct wst__event next = {.type = w->stop ? WST__EV_STOP : WST__EV_TOKEN_OK};

        w->token_at_hand = w->stop = false;
        step(w, c, &next);
    }
    set_timer(w, c);
}

static void tell(struct world *w, struct client *c, enum wst__ev type)
{
    struct wst__event ev = {.type = type};

    feed(w, c, &ev);
}

static void tell_failure(struct world *w, struct client *c, enum wst__ev type,
                         const struct answer *a)
{
    struct wst__event ev = {.type = type,
                            .failure = {.code = a->code,
                                        .http_status = a->status,
                                        .retry_after_ms = a->ask.retry_after_ms,
                                        .spread_ms = a->ask.spread_ms}};

    c->busy = a->busy;
    feed(w, c, &ev);
}

/* ---- What was waited for ------------------------------------------------------------------- */

static void core_is_due(struct world *w, struct client *c)
{
    if (wst__core_deadline(&c->core) <= EPOCH_MS + w->now_ms)
        tell(w, c, WST__EV_TIMEOUT);
    else
        set_timer(w, c);
}

static void token_answered(struct world *w, struct client *c)
{
    c->warm = c->http_answer.code != WST_ERR_CONNECT;
    if (c->http_answer.code == 0)
        keep_token(w, c);
    if ((int32_t)w->now_ms < c->token_until_ms) /* An old one will do while it lasts. */
        tell(w, c, WST__EV_TOKEN_OK);
    else
        tell_failure(w, c, WST__EV_TOKEN_FAILED, &c->http_answer);
}

static void ticket_answered(struct world *w, struct client *c)
{
    struct wst__event ev = {.type = WST__EV_TICKET_OK,
                            .ticket_life_ms = w->setup->ticket_life_ms,
                            .spread_ms = server_reply_spread_ms(&w->server)};

    if (c->http_answer.code != 0) {
        tell_failure(w, c, WST__EV_TICKET_FAILED, &c->http_answer);
        return;
    }
    c->has_ticket = true;
    feed(w, c, &ev);
}

static void http_is_due(struct world *w, struct client *c)
{
    switch ((enum http)c->http) {
    case TOKEN_ARRIVES:
        (void)http_arrives(w, c, TOKEN);
        break;
    case TICKET_ARRIVES:
        tell(w, c, WST__EV_TICKET_SENT);
        if (http_arrives(w, c, TICKET)) {
            c->minted_ms = w->now_ms;
            server_mint(&w->server, w->now_ms);
        }
        break;
    case TOKEN_ANSWER:
        token_answered(w, c);
        break;
    case TICKET_ANSWER:
        ticket_answered(w, c);
        break;
    }
}

static void link_is_due(struct world *w, struct client *c)
{
    switch ((enum link)c->link) {
    case DIALED:
        tell(w, c, WST__EV_DIAL_OK);
        break;
    case ACCEPTED:
        tell(w, c, WST__EV_LINK_OPEN);
        break;
    case DIAL_FAILED:
    case REFUSED:
        tell_failure(w, c, WST__EV_LINK_FAILED, &c->link_answer);
        break;
    }
}

static void outside_is_due(struct world *w, struct client *c)
{
    struct wst__event ev = {.type = WST__EV_LINK_CLOSED,
                            .failure = {.code = WST_ERR_WS_CLOSED, .close_code = c->close_code}};

    if (c->outside == WAKE)
        tell(w, c, WST__EV_WAKE);
    else if (c->core.state == WST_STATE_OPEN)
        feed(w, c, &ev);
}

static void is_due(struct world *w, uint32_t node)
{
    struct client *c = &w->clients[node / WAITING_COUNT];

    switch ((enum waiting)(node % WAITING_COUNT)) {
    case CORE:
        core_is_due(w, c);
        break;
    case HTTP:
        http_is_due(w, c);
        break;
    case LINK:
        link_is_due(w, c);
        break;
    case OUTSIDE:
        outside_is_due(w, c);
        break;
    case WAITING_COUNT:
        break;
    }
}

/* ---- The plan ------------------------------------------------------------------------------ */

/* Ends the open links of |node|, or of all. */
static void drop(struct world *w, uint32_t node, uint16_t close_code)
{
    for (uint32_t i = 0; i < w->setup->clients; i++) {
        struct client *c = &w->clients[i];

        if (c->core.state == WST_STATE_OPEN && (node == NODES || c->node == node))
            lose(w, c, close_code, upto(w, NOTICE_MS - 1));
    }
}

static void wake_all(struct world *w)
{
    for (uint32_t i = 0; i < w->setup->clients; i++) {
        w->clients[i].outside = WAKE;
        wait_for(w, &w->clients[i], OUTSIDE, upto(w, NOTICE_MS - 1));
    }
}

static void set_mode(struct world *w, uint32_t endpoints, enum mode mode)
{
    for (int e = 0; e < ENDPOINT_COUNT; e++) {
        if (endpoints >> e & 1)
            w->server.mode[e] = mode;
    }
}

static void come_to_pass(struct world *w, const struct moment *m)
{
    const struct setup *s = w->setup;

    switch (m->deed) {
    case DROP_ALL:
        drop(w, NODES, CODE_LOST);
        break;
    case DRAIN_NODE:
        w->nodes_up &= ~(1U << m->arg);
        drop(w, m->arg, CODE_RESTART);
        break;
    case NODE_IS_BACK:
        w->nodes_up |= 1U << m->arg;
        break;
    case GO_DOWN:
        set_mode(w, m->arg, s->down >= 0 ? (enum mode)s->down : s->scenario->down);
        break;
    case COME_UP:
        set_mode(w, m->arg, UP);
        break;
    case CLOSE_AT_ONCE:
        w->server.closes_at_once = m->arg == 1;
        break;
    case WAKE_ALL:
        wake_all(w);
        break;
    case HEALED:
        w->healed = true;
        w->report->healed_ms = w->now_ms;
        break;
    }
}

/* ---- The storm ----------------------------------------------------------------------------- */

/* Clients that are open, when so many in a hundred of the lost are back. */
static uint32_t target(const struct world *w, uint32_t percent)
{
    return w->setup->clients - (uint32_t)((uint64_t)w->lost * (100 - percent) / 100);
}

/* At the end of each bin.  What the last fault took is known when it has been noticed. */
static void look(struct world *w)
{
    static const uint8_t percents[] = {50, 99, 100};
    struct report *r = w->report;

    r->open[w->now_ms / BIN_MS] = w->open;
    if (!w->healed || w->now_ms < r->healed_ms + NOTICE_MS - 1)
        return;
    if (w->lost == 0)
        w->lost = w->setup->clients - w->open;
    for (int i = 0; i < 3; i++) {
        if (r->open_ms[i] == NOT_REACHED && w->open >= target(w, percents[i]))
            r->open_ms[i] = w->now_ms + 1 - r->healed_ms;
    }
}

static bool is_over(const struct world *w, uint32_t next_moment)
{
    return next_moment == w->plan.count && w->lost > 0 && w->open + w->gave_up == w->setup->clients;
}

/* The next client is fetched from memory while this one is served. */
static void fetch_ahead(const struct world *w)
{
    uint32_t node = wheel_next(w->wheel);
    const char *next;

    if (node == WHEEL_NONE)
        return;
    next = (const char *)&w->clients[node / WAITING_COUNT];
    for (size_t i = 0; i < sizeof(struct client); i += 64)
        __builtin_prefetch(next + i, 1);
}

static void blow(struct world *w)
{
    uint32_t next = 0;

    for (w->now_ms = 0; w->now_ms < w->setup->limit_ms; w->now_ms++) {
        uint32_t node;

        while (next < w->plan.count && w->plan.moments[next].at_ms == w->now_ms)
            come_to_pass(w, &w->plan.moments[next++]);
        while ((node = wheel_take(w->wheel, w->now_ms)) != WHEEL_NONE) {
            fetch_ahead(w);
            is_due(w, node);
        }
        if (w->now_ms % BIN_MS == BIN_MS - 1) {
            look(w);
            if (is_over(w, next))
                break;
        }
    }
    w->report->ended_ms = w->now_ms;
    server_age(&w->server, w->now_ms + w->setup->ticket_life_ms + 1);
}

/* Leads a core from its start to a link that has been stable for long. */
static void open_long_ago(struct world *w, struct client *c)
{
    static const enum wst__ev way[] = {WST__EV_START,     WST__EV_TOKEN_OK, WST__EV_TICKET_SENT,
                                       WST__EV_TICKET_OK, WST__EV_DIAL_OK,  WST__EV_LINK_OPEN,
                                       WST__EV_TIMEOUT};
    struct wst__actions out;

    for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
        struct wst__event ev = {.type = way[i],
                                .attempt = c->core.attempt,
                                .ticket_life_ms = w->setup->ticket_life_ms,
                                .spread_ms = server_reply_spread_ms(&w->server)};

        if (ev.type == WST__EV_TIMEOUT)
            ev.now_ms = ev.boot_ms = ev.last_rx_ms = wst__core_deadline(&c->core);
        wst__core_step(&c->core, &ev, &out);
    }
}

static void add_client(struct world *w, struct client *c)
{
    const struct setup *s = w->setup;
    bool unknown = s->scenario->half_unknown && (c - w->clients) % 2 == 0;

    memset(c, 0, sizeof *c);
    wst__core_init(&c->core, &w->policy, wst__rng_next(&w->rng));
    open_long_ago(w, c);
    c->rtt_ms = (uint16_t)(RTT_MIN_MS + upto(w, RTT_MAX_MS - RTT_MIN_MS));
    c->node = any_node(w);
    if (!unknown) {
        c->token_fresh_ms = (int32_t)(s->token_life_ms / 5 * 4) - (int32_t)s->token_age_ms;
        c->token_until_ms = (int32_t)s->token_life_ms - (int32_t)s->token_age_ms;
    }
    w->open++;
}

static bool begin(struct world *w)
{
    const struct setup *s = w->setup;
    struct server *srv = &w->server;

    *srv = (struct server){.capacity = {s->token_capacity, s->capacity, s->capacity},
                           .clients = s->clients,
                           .ticket_life_ms = s->ticket_life_ms,
                           .retry_after_ms = s->retry_after_ms,
                           .steer = s->steer,
                           .bin_count = s->limit_ms / BIN_MS + 1};
    w->wheel = wheel_new(s->clients * WAITING_COUNT);
    w->clients = malloc(sizeof *w->clients * s->clients);
    w->report->open = calloc(srv->bin_count, sizeof *w->report->open);
    if (!server_init(srv) || !w->wheel || !w->clients || !w->report->open)
        return false;
    w->policy = s->policy;
    if (s->schedule->policy)
        s->schedule->policy(&w->policy, (uint64_t)s->clients * 1000 / s->capacity);
    wst__rng_init(&w->rng, s->seed);
    w->nodes_up = (1U << NODES) - 1;
    s->scenario->plan(&w->plan, s);
    for (uint32_t i = 0; i < s->clients; i++)
        add_client(w, &w->clients[i]);
    return true;
}

bool storm_run(const struct setup *setup, struct report *r)
{
    struct world *w = calloc(1, sizeof *w);
    bool ok;

    memset(r, 0, sizeof *r);
    for (int i = 0; i < 3; i++)
        r->open_ms[i] = NOT_REACHED;
    if (!w)
        return false;
    w->setup = setup;
    w->report = r;
    ok = begin(w);
    if (ok)
        blow(w);
    r->gave_up = w->gave_up;
    r->lost = w->lost;
    r->policy = w->policy;
    r->server = w->server; /* And what it owns. */
    wheel_free(w->wheel);
    free(w->clients);
    free(w);
    if (!ok)
        storm_report_fini(r);
    return ok;
}

void storm_report_fini(struct report *r)
{
    server_fini(&r->server);
    free(r->open);
    r->open = NULL;
}

uint64_t storm_gathered_at_cap(const struct report *r)
{
    uint64_t expected = r->waits_below_cap / NEIGHBOURS;
    uint64_t deviation = 5;

    while (deviation * deviation < 25 * (expected + 1))
        deviation++;
    return r->waits_at_cap > expected + deviation ? r->waits_at_cap - expected : 0;
}
