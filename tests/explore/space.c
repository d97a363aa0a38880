/* Keys of worlds, worlds of keys, and the orders of deadlines. */
#include "space.h"

#include "words.h"

#include <string.h>

/* When the core has grown: does a key hold the new field, and do the words bring it? */
_Static_assert(_Alignof(uint64_t) != 8 ||
                   (sizeof(struct wst__core) == 216 && sizeof(struct wst__event) == 72),
               "look at struct key, at world_of() and at words.c");

/* A ticket's age and life in a world of a key: just fresh, and just stale. */
#define TICKET_LIFE 100
#define FRESH_AGE   80
#define STALE_AGE   81
/* The last ping was asked for, or left, so long ago: any time before the first deadline. */
#define PING_AGE (10 * GAP)

enum core_flag {
    F_WANTED,
    F_STOPPING,
    F_EVER_OPEN,
    F_TOKEN_RETRIED,
    F_TICKET_SENT,
    F_TICKET_READY,
    F_TICKET_RETRIED,
    F_REDIALED,
    F_SERIAL,
    F_STABLE,
    F_PING_PENDING,
    F_PING_ASKED,
    F_SPREAD,
    F_FLOOR,
    F_NO_WAKE,
    F_COUNT
};

static void get_times(const struct world *w, uint64_t t[T_COUNT])
{
    const struct wst__core *c = &w->core;

    memcpy(t + T_DUE, c->due, sizeof c->due);
    t[T_FLOOR] = c->retry_floor;
    t[T_WAKE] = c->wake_ok_at;
    memcpy(t + T_OF_BOOK, w->book.due, sizeof w->book.due);
    if (w->core.state == WST_STATE_BACKOFF)
        return;
    t[T_FLOOR] = WST__NEVER;                                  /* Written before it is read. */
    t[T_WAKE] = t[(int)T_OF_BOOK + (int)P_WAKE] = WST__NEVER; /* See no_wake_before(). */
}

/*
 * Out of the wait it is forgotten when the next wake counts among the deadlines, but not whether
 * that is still to come: with the next wait it may come at every place.
 */
static bool no_wake_before(const struct world *w, uint64_t now)
{
    return w->core.state != WST_STATE_BACKOFF && w->core.wake_ok_at > now;
}

static void set_times(struct world *w, const uint64_t t[T_COUNT])
{
    struct wst__core *c = &w->core;

    memcpy(c->due, t + T_DUE, sizeof c->due);
    c->retry_floor = t[T_FLOOR];
    c->wake_ok_at = t[T_WAKE];
    memcpy(w->book.due, t + T_OF_BOOK, sizeof w->book.due);
}

/* Sorted, each once.  Returns how many. */
static size_t add_sorted(uint64_t *list, size_t n, uint64_t v)
{
    size_t at = n;

    for (size_t i = 0; i < n; i++) {
        if (list[i] == v)
            return n;
    }
    while (at > 0 && list[at - 1] > v) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = v;
    return n + 1;
}

static void rank(const uint64_t t[T_COUNT], uint64_t now, uint8_t ranks[T_COUNT])
{
    uint64_t future[T_COUNT];
    size_t n = 0;

    for (int i = 0; i < T_COUNT; i++) {
        if (t[i] != WST__NEVER && t[i] > now)
            n = add_sorted(future, n, t[i]);
    }
    for (int i = 0; i < T_COUNT; i++) {
        ranks[i] = t[i] == WST__NEVER ? 0 : 1;
        for (size_t k = 0; ranks[i] && k < n && future[k] <= t[i]; k++)
            ranks[i]++;
    }
}

/* ---- All but the times --------------------------------------------------------------------- */

static bool in_attempt(const struct wst__core *c)
{
    return c->state == WST_STATE_TOKEN || c->state == WST_STATE_TICKET ||
           c->state == WST_STATE_CONNECTING;
}

static bool in_link(const struct wst__core *c)
{
    return c->state == WST_STATE_OPEN || c->state == WST_STATE_CLOSING;
}

/* What is written before it is read again does not count. */
static void get_flags(const struct wst__core *c, bool flag[F_COUNT])
{
    bool attempt = in_attempt(c), link = in_link(c), open = c->state == WST_STATE_OPEN;

    memset(flag, 0, F_COUNT * sizeof *flag);
    flag[F_WANTED] = c->wanted;
    flag[F_STOPPING] = c->stopping;
    flag[F_EVER_OPEN] = c->ever_open;
    flag[F_TOKEN_RETRIED] = c->token_retried && (attempt || link);
    flag[F_TICKET_SENT] = c->ticket_sent && c->state == WST_STATE_TICKET;
    flag[F_TICKET_READY] = c->ticket_ready;
    flag[F_TICKET_RETRIED] = c->ticket_retried && attempt;
    flag[F_REDIALED] = c->redialed && attempt;
    flag[F_SERIAL] = c->serial;
    flag[F_STABLE] = c->stable && link;
    flag[F_PING_PENDING] = c->ping_pending && open;
    flag[F_PING_ASKED] = c->ping_left_ms != WST__NEVER && open;
    flag[F_SPREAD] = c->spread_ms > 0;
    flag[F_FLOOR] = c->retry_after_ms > 0;
}

static void set_flags(struct wst__core *c, const bool flag[F_COUNT])
{
    c->wanted = flag[F_WANTED];
    c->stopping = flag[F_STOPPING];
    c->ever_open = flag[F_EVER_OPEN];
    c->token_retried = flag[F_TOKEN_RETRIED];
    c->ticket_sent = flag[F_TICKET_SENT];
    c->ticket_ready = flag[F_TICKET_READY];
    c->ticket_retried = flag[F_TICKET_RETRIED];
    c->redialed = flag[F_REDIALED];
    c->serial = flag[F_SERIAL];
    c->stable = flag[F_STABLE];
    c->ping_pending = flag[F_PING_PENDING];
    c->ping_left_ms = flag[F_PING_ASKED] ? NOW - PING_AGE : WST__NEVER;
    c->spread_ms = flag[F_SPREAD] ? SPREAD_MS : 0;
    c->retry_after_ms = flag[F_FLOOR] ? FLOOR_MS : 0;
}

static uint8_t ticket_age(const struct world *w, uint64_t boot)
{
    const struct wst__core *c = &w->core;

    if (!c->ticket_ready)
        return 0;
    return (boot - c->ticket_boot_ms) * 5 <= c->ticket_life_ms * 4 ? 1 : 2;
}

static uint8_t kept_failure(const struct wst__core *c)
{
    if (c->state == WST_STATE_CLOSING && !c->stopping)
        return failure_index(&c->failure);
    return c->dial == WST__DIAL_DEAD ? failure_index(&c->other) : 0;
}

/* All but the ranks. */
static void rest_of(const struct world *w, uint64_t now, uint64_t boot, struct key *k)
{
    const struct wst__core *c = &w->core;
    bool flag[F_COUNT];

    memset(k, 0, sizeof *k);
    k->state = (uint8_t)c->state;
    k->dial = (uint8_t)c->dial;
    k->attempt = (uint8_t)(c->attempt < 3 ? c->attempt : 3);
    k->failures = (uint8_t)(c->failures < FAILURES_AT_CAP ? c->failures : FAILURES_AT_CAP);
    k->auth_failures = (uint8_t)(c->auth_failures < 2 ? c->auth_failures : 2);
    k->ticket_refusals = (uint8_t)c->ticket_refusals;
    k->tries = (uint8_t)(c->tries < c->policy->max_attempts ? c->tries : c->policy->max_attempts);
    k->ticket = ticket_age(w, boot);
    k->kept = kept_failure(c);
    get_flags(c, flag);
    flag[F_NO_WAKE] = no_wake_before(w, now);
    for (int i = 0; i < F_COUNT; i++)
        k->flags[i / 8] |= (uint8_t)(flag[i] << i % 8);
    k->book = w->book.is;
}

void key_of(const struct world *w, uint64_t now, uint64_t boot, struct key *k)
{
    uint64_t t[T_COUNT];

    rest_of(w, now, boot, k);
    get_times(w, t);
    rank(t, now, k->rank);
}

void world_of(const struct key *k, const struct wst__policy *p, struct world *w)
{
    struct wst__core *c = &w->core;
    uint64_t t[T_COUNT];
    bool flag[F_COUNT];

    wst__core_init(c, p, 0);
    c->state = (enum wst_state)k->state;
    c->dial = (enum wst__dial)k->dial;
    c->attempt = k->attempt;
    c->failures = k->failures;
    c->auth_failures = k->auth_failures;
    c->ticket_refusals = k->ticket_refusals;
    c->tries = k->tries;
    c->seen_now_ms = NOW;
    c->seen_boot_ms = BOOT;
    c->ticket_life_ms = TICKET_LIFE;
    c->ticket_boot_ms = BOOT - (k->ticket == 2 ? STALE_AGE : FRESH_AGE);
    if (c->state == WST_STATE_CLOSING)
        c->failure = *failure_at(k->kept);
    else if (c->dial == WST__DIAL_DEAD)
        c->other = *failure_at(k->kept);
    if (c->other.code)
        c->other.step = WST_STEP_CONNECT;
    for (int i = 0; i < F_COUNT; i++)
        flag[i] = k->flags[i / 8] >> i % 8 & 1;
    set_flags(c, flag);
    w->book.is = k->book;
    w->book.asked_boot_ms = c->ticket_boot_ms;
    w->book.life_ms = TICKET_LIFE;
    for (int i = 0; i < T_COUNT; i++)
        t[i] = k->rank[i] == 0 ? WST__NEVER : NOW + (uint64_t)(k->rank[i] - 1) * GAP;
    set_times(w, t);
    if (c->state != WST_STATE_BACKOFF)
        c->wake_ok_at = w->book.due[P_WAKE] = flag[F_NO_WAKE] ? NOW + 1 : NOW;
}

bool wake_counts_again(const struct world *w, struct key *k)
{
    key_of(w, NOW + 1, BOOT, k);
    return no_wake_before(w, NOW);
}

bool time_passes(const struct world *w, struct key *k)
{
    uint64_t t[T_COUNT], first = WST__NEVER;

    get_times(w, t);
    for (int i = 0; i < T_COUNT; i++) {
        if (t[i] > NOW && t[i] < first)
            first = t[i];
    }
    if (first == WST__NEVER)
        return false;
    key_of(w, first, BOOT, k);
    if (no_wake_before(w, NOW))
        k->flags[F_NO_WAKE / 8] |= 1 << F_NO_WAKE % 8;
    return true;
}

/* ---- Orders -------------------------------------------------------------------------------- */

static bool is_new(uint64_t t)
{
    return t != WST__NEVER && t > NOW && (t - NOW) % GAP != 0;
}

bool has_new_times(const struct world *w)
{
    uint64_t t[T_COUNT];

    get_times(w, t);
    for (int i = 0; i < T_COUNT; i++) {
        if (is_new(t[i]))
            return true;
    }
    return false;
}

struct merge {
    uint64_t times[T_COUNT]; /* As the step left them. */
    uint64_t old[T_COUNT], fresh[T_COUNT];
    size_t old_count, fresh_count;
    size_t place[T_COUNT]; /* Of each new one: 2 k behind k old ones, 2 k - 1 with the k-th. */
    struct key rest;
    struct key *keys;
    size_t count, max;
};

static void place_all(struct merge *m)
{
    uint64_t t[T_COUNT];

    for (int i = 0; i < T_COUNT; i++) {
        t[i] = m->times[i];
        for (size_t k = 0; k < m->fresh_count; k++) {
            if (m->times[i] != m->fresh[k])
                continue;
            if (m->place[k] % 2)
                t[i] = m->old[m->place[k] / 2];
            else
                t[i] = (m->place[k] ? m->old[m->place[k] / 2 - 1] : NOW) + 1 + k;
        }
    }
    if (m->count == m->max)
        book_objects("there is room for all orders", __FILE__, __LINE__);
    m->keys[m->count] = m->rest;
    rank(t, NOW, m->keys[m->count].rank);
    /* A wait never ends below its floor, which a sleep brings nearer: the book has seen to it. */
    if (m->keys[m->count].rank[T_DUE] >= m->keys[m->count].rank[T_FLOOR])
        m->count++;
}

/* The new ones keep their order among themselves; each may come later than the step has it. */
static void merge_from(struct merge *m, size_t k)
{
    size_t first = 0;

    if (k == m->fresh_count) {
        place_all(m);
        return;
    }
    for (size_t i = 0; i < m->old_count && m->old[i] < m->fresh[k]; i++)
        first = 2 * (i + 1);
    if (k > 0 && m->place[k - 1] >= first)
        first = m->place[k - 1] + m->place[k - 1] % 2;
    for (size_t at = first; at <= 2 * m->old_count; at++) {
        m->place[k] = at;
        merge_from(m, k + 1);
    }
}

/* The times and the rest of the last worlds: many failures lead to the same. */
static struct {
    uint64_t times[T_COUNT];
    struct key rest;
} last[1024];

void forget_orders(void)
{
    memset(last, 0, sizeof last);
}

static bool was_seen(const struct merge *m)
{
    uint64_t h = 0;
    bool same;

    for (int i = 0; i < T_COUNT; i++)
        h = (h ^ m->times[i]) * 0x9e3779b97f4a7c15U;
    for (size_t i = 0; i < sizeof m->rest; i++)
        h = (h ^ ((const uint8_t *)&m->rest)[i]) * 0x100000001b3U;
    h >>= 54;
    same = memcmp(last[h].times, m->times, sizeof m->times) == 0 &&
           memcmp(&last[h].rest, &m->rest, sizeof m->rest) == 0;
    memcpy(last[h].times, m->times, sizeof m->times);
    last[h].rest = m->rest;
    return same;
}

size_t all_orders(const struct world *w, uint64_t boot, struct key *keys, size_t max)
{
    struct merge m = {.keys = keys, .max = max};

    rest_of(w, NOW, boot, &m.rest);
    get_times(w, m.times);
    if (was_seen(&m))
        return 0;
    for (int i = 0; i < T_COUNT; i++) {
        if (is_new(m.times[i]))
            m.fresh_count = add_sorted(m.fresh, m.fresh_count, m.times[i]);
        else if (m.times[i] != WST__NEVER && m.times[i] > NOW)
            m.old_count = add_sorted(m.old, m.old_count, m.times[i]);
    }
    merge_from(&m, 0);
    return m.count;
}
