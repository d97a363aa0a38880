/* The alphabet. */
#include "words.h"

#include "space.h"

#include <stdio.h>
#include <string.h>

#define MAX_WORDS 256

/* Which events a failure comes with; in the long form MORE of them. */
enum {
    OF_TOKEN = 1,
    OF_TICKET = 2,
    OF_LINK = 4,
    OF_END = 8,
    OF_CLOSING = 16,
    OF_CORE = 32,
    MORE = 64
};

#define HTTP(status)    .code = WST_ERR_HTTP_STATUS, .http_status = (status)
#define UPGRADE(status) .code = WST_ERR_UPGRADE_REFUSED, .http_status = (status)
#define CLOSED(by)      .code = WST_ERR_WS_CLOSED, .close_code = (by)

static const struct {
    unsigned of;
    struct wst__failure f;
} failures[] = {
    {OF_CLOSING, {.code = 0}}, /* Index 0: nothing is known. */
    {OF_TOKEN | OF_TICKET, {HTTP(500)}},
    {OF_TICKET, {HTTP(401)}},
    {OF_TOKEN, {HTTP(403)}},
    {OF_TICKET, {HTTP(404)}},
    {OF_TOKEN, {HTTP(429), .retry_after_ms = 2000}},
    {OF_TOKEN, {.code = WST_ERR_NO_TOKEN}},
    {OF_TICKET, {HTTP(500), .verdict = WST_VERDICT_STOP}},
    {OF_LINK, {.code = WST_ERR_CONNECT}},
    {OF_LINK, {UPGRADE(401)}},
    {OF_LINK, {UPGRADE(503), .retry_after_ms = 500}},
    {OF_LINK, {.code = WST_ERR_CONNECT, .verdict = WST_VERDICT_STOP}},
    {OF_END, {.code = WST_ERR_EOF, .close_code = 1006}},
    {OF_END | OF_CLOSING, {CLOSED(1008)}},
    {OF_END, {CLOSED(1012)}},
    {OF_TOKEN | MORE, {HTTP(401)}},
    {OF_TICKET | MORE, {HTTP(403)}},
    {OF_TOKEN | MORE, {HTTP(404)}},
    {OF_TICKET | MORE, {HTTP(503), .retry_after_ms = 9000000, .spread_ms = 3000}},
    {OF_TICKET | MORE, {.code = WST_ERR_BAD_REPLY}},
    {OF_TOKEN | MORE, {HTTP(500), .verdict = WST_VERDICT_STOP}},
    {OF_TOKEN | MORE, {HTTP(403), .verdict = WST_VERDICT_RETRY}},
    {OF_TICKET | MORE, {HTTP(401), .verdict = WST_VERDICT_RETRY}},
    {OF_TICKET | MORE, {HTTP(500), .verdict = WST_VERDICT_RETRY_NEW_TOKEN}},
    {OF_LINK | MORE, {UPGRADE(404)}},
    {OF_LINK | MORE, {.code = WST_ERR_PROXY_AUTH, .http_status = 407}},
    {OF_LINK | MORE, {UPGRADE(401), .verdict = WST_VERDICT_RETRY_NEW_TOKEN}},
    {OF_END | OF_CLOSING | MORE, {CLOSED(1001)}},
    {OF_CLOSING | MORE, {CLOSED(1012)}},
    {OF_END | MORE, {CLOSED(1002)}},
    {OF_END | OF_CLOSING | MORE, {.code = WST_ERR_WS_PROTOCOL, .close_code = 1006}},
    {OF_END | MORE, {.code = WST_ERR_NOMEM, .close_code = 1006}},
    {OF_END | MORE, {CLOSED(1001), .verdict = WST_VERDICT_STOP}},
    {OF_END | MORE, {CLOSED(1000), .verdict = WST_VERDICT_RETRY_NEW_TOKEN}},
    /* The core's own, which it keeps while the ticket's answer is awaited. */
    {OF_CORE, {.code = WST_ERR_TIMEOUT, .own = true}},
};

static const char *const event_names[WST__EV_COUNT] = {
    [WST__EV_START] = "START",
    [WST__EV_STOP] = "STOP",
    [WST__EV_WAKE] = "WAKE",
    [WST__EV_TIMEOUT] = "TIMEOUT",
    [WST__EV_TOKEN_OK] = "TOKEN_OK",
    [WST__EV_TOKEN_FAILED] = "TOKEN_FAILED",
    [WST__EV_TICKET_SENT] = "TICKET_SENT",
    [WST__EV_TICKET_OK] = "TICKET_OK",
    [WST__EV_TICKET_FAILED] = "TICKET_FAILED",
    [WST__EV_DIAL_OK] = "DIAL_OK",
    [WST__EV_LINK_FAILED] = "LINK_FAILED",
    [WST__EV_LINK_OPEN] = "LINK_OPEN",
    [WST__EV_LINK_CLOSING] = "LINK_CLOSING",
    [WST__EV_LINK_CLOSED] = "LINK_CLOSED",
    [WST__EV_PING_LEFT] = "PING_LEFT",
};
static const char *const state_names[WST__STATE_COUNT] = {
    [WST_STATE_IDLE] = "IDLE",       [WST_STATE_TOKEN] = "TOKEN",
    [WST_STATE_TICKET] = "TICKET",   [WST_STATE_CONNECTING] = "CONNECTING",
    [WST_STATE_OPEN] = "OPEN",       [WST_STATE_CLOSING] = "CLOSING",
    [WST_STATE_BACKOFF] = "BACKOFF", [WST_STATE_FAILED] = "FAILED",
};

const char *event_name(enum wst__ev type)
{
    return event_names[type];
}

const char *state_name(enum wst_state s)
{
    return state_names[s];
}

size_t failure_count(void)
{
    return sizeof failures / sizeof failures[0];
}

const struct wst__failure *failure_at(size_t i)
{
    return &failures[i].f;
}

/* Without what the core fills in itself. */
static bool is_same(const struct wst__failure *a, const struct wst__failure *b)
{
    return a->code == b->code && a->http_status == b->http_status &&
           a->close_code == b->close_code && a->retry_after_ms == b->retry_after_ms &&
           a->spread_ms == b->spread_ms && a->verdict == b->verdict && a->own == b->own;
}

uint8_t failure_index(const struct wst__failure *f)
{
    for (size_t i = 0; i < failure_count(); i++) {
        if (is_same(f, failure_at(i)))
            return (uint8_t)i;
    }
    book_objects("a failure that is kept is one that was told", __FILE__, __LINE__);
    return 0;
}

struct list {
    struct word words[MAX_WORDS];
    size_t count;
};

static bool more_words;
static int steerings;
static struct list lists[WST__STATE_COUNT];

void words_begin(bool more, bool steering)
{
    more_words = more;
    steerings = steering ? STEERINGS : 1;
    memset(lists, 0, sizeof lists);
}

/* ---- The words of a state ------------------------------------------------------------------ */

static struct word *add(struct list *l, enum wst__ev type)
{
    struct word *w = &l->words[l->count++];

    if (l->count == MAX_WORDS)
        book_objects("there is room for all words", __FILE__, __LINE__);
    memset(w, 0, sizeof *w);
    w->type = type;
    return w;
}

static void add_failures(struct list *l, enum wst__ev type, unsigned of)
{
    for (size_t i = 0; i < failure_count(); i++) {
        if (failures[i].of & of && (more_words || !(failures[i].of & MORE)))
            add(l, type)->failure = (int)i;
    }
}

static void add_timeouts(struct list *l, bool with_rx)
{
    for (int rx = RX_OLD; rx <= (with_rx ? RX_NOW : RX_OLD); rx++) {
        for (int v = 0; v < 4; v++) {
            struct word *w = add(l, WST__EV_TIMEOUT);

            w->rx = (enum word_rx)rx;
            w->verdict = (enum wst_verdict)v;
        }
    }
}

/* Four fifths of 100 are 80, which a ticket's age is: just fresh.  Of 99 they are less. */
static void add_tickets(struct list *l)
{
    for (int stale = 0; stale < 2; stale++) {
        for (int steering = NO_STEERING; steering < steerings; steering++) {
            struct word *w = add(l, WST__EV_TICKET_OK);

            w->life_ms = stale ? 99 : 100;
            w->spread_ms = steering == WITH_SPREAD ? SPREAD_MS : 0;
            w->retry_after_ms = steering == WITH_FLOOR ? FLOOR_MS : 0;
        }
    }
}

static void add_all(struct list *l, enum wst_state state)
{
    add(l, WST__EV_START);
    add(l, WST__EV_STOP);
    for (int rx = RX_OLD; rx <= (state == WST_STATE_OPEN ? RX_NOW : RX_OLD); rx++)
        add(l, WST__EV_WAKE)->rx = (enum word_rx)rx;
    add_timeouts(l, state == WST_STATE_OPEN);
    add(l, WST__EV_TOKEN_OK);
    add_failures(l, WST__EV_TOKEN_FAILED, OF_TOKEN);
    add(l, WST__EV_TICKET_SENT);
    add_tickets(l);
    add_failures(l, WST__EV_TICKET_FAILED, OF_TICKET);
    add(l, WST__EV_DIAL_OK);
    add_failures(l, WST__EV_LINK_FAILED, OF_LINK);
    add(l, WST__EV_LINK_OPEN);
    add_failures(l, WST__EV_LINK_CLOSING, OF_CLOSING);
    if (state == WST_STATE_OPEN || state == WST_STATE_CLOSING)
        add_failures(l, WST__EV_LINK_CLOSED, OF_END);
    else /* The other word for LINK_FAILED. */
        add(l, WST__EV_LINK_CLOSED)->failure =
            (int)failure_index(&(struct wst__failure){.code = WST_ERR_EOF, .close_code = 1006});
    add(l, WST__EV_PING_LEFT);
}

/* Each kind of event once more after each kind of sleep. */
static void add_sleeps(struct list *l, enum wst_state state)
{
    /* Just more than a rounding; a rounding; over one deadline; over all that there can be. */
    static const uint64_t slept[] = {2001, 2000, GAP + 2001, 3 * GAP + 2001};
    size_t count = state == WST_STATE_BACKOFF ? 4 : state == WST_STATE_OPEN ? 2 : 1;
    size_t plain = l->count;

    for (size_t s = 0; s < count; s++) {
        for (size_t i = 0; i < plain; i++) {
            if (i == 0 || l->words[i].type != l->words[i - 1].type ||
                l->words[i].type == WST__EV_TIMEOUT) {
                struct word *w = add(l, l->words[i].type);

                *w = l->words[i];
                w->slept_ms = slept[s];
            }
        }
    }
}

static void add_late(struct list *l)
{
    for (int type = WST__EV_TOKEN_OK; type < WST__EV_COUNT; type++) {
        for (int late = 1; late <= 2; late++) {
            struct word *w = add(l, (enum wst__ev)type);

            w->late = late;
            w->life_ms = 100;
            w->failure = 1;
        }
    }
}

size_t words_of(enum wst_state state, const struct word **words)
{
    struct list *l = &lists[state];

    if (l->count == 0) {
        add_all(l, state);
        add_sleeps(l, state);
        add_late(l);
    }
    *words = l->words;
    return l->count;
}

void word_text(const struct word *w, char *text, size_t size)
{
    static const char *const rx[] = {"", ", byte with the ping", ", byte now"};
    static const char *const verdicts[] = {"", ", verdict retry", ", verdict new token",
                                           ", verdict stop"};
    const struct wst__failure *f = failure_at((size_t)w->failure);

    (void)snprintf(
        text, size,
        "%s%s%s, failure %d (HTTP %d, close %d), ticket %llu ms, floor %llu, spread %llu, "
        "slept %llu ms%s%s",
        event_name(w->type), w->late ? " of an attempt before" : "",
        w->late == 2 ? " the last" : "", f->code, f->http_status, f->close_code,
        (unsigned long long)w->life_ms, (unsigned long long)w->retry_after_ms,
        (unsigned long long)w->spread_ms, (unsigned long long)w->slept_ms, rx[w->rx],
        verdicts[w->verdict]);
}
