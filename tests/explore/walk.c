/*
 * The check of the abstraction.  The exploration forgets durations and distances, and much of what
 * it thinks is written before it is read.  Here a core runs with real durations, in real time.  If
 * too few words or orders were tried, it comes sooner or later into a state that the exploration
 * has not found; and if a key forgot too much, then the core that is made of its key does something
 * else at the next event.
 */
#include "walk.h"

#include "draws.h"
#include "step.h"
#include "words.h"

#include <string.h>

#define STEPS 250

static uint64_t dice, twins;
static bool rough; /* Steps 1 and 2 fail often. */

static uint64_t upto(uint64_t max)
{
    return draws_upto(&dice, max);
}

static bool chance(uint64_t percent)
{
    return upto(99) < percent;
}

static void draw_durations(struct wst__policy *p)
{
    uint64_t most = chance(50) ? 5 : 3000;

    p->step_timeout_ms = 1 + upto(most);
    p->attempt_timeout_ms = 1 + upto(2 * most);
    p->dial_idle_ms = 1 + upto(most);
    p->stable_ms = 1 + upto(most);
    p->close_timeout_ms = 1 + upto(most);
    p->ping_timeout_ms = 1 + upto(most);
    if (p->ping_interval_ms > 0)
        p->ping_interval_ms = 1 + upto(most);
}

/* Is it one that carries an attempt on, or in a rough walk one that is waited for? */
static bool leads_on(const struct wst__core *c, const struct word *word)
{
    switch (word->type) {
    case WST__EV_START:
        return c->state == WST_STATE_IDLE || c->state == WST_STATE_FAILED;
    case WST__EV_TOKEN_OK:
        return c->state == WST_STATE_TOKEN;
    case WST__EV_TOKEN_FAILED:
        return rough && c->state == WST_STATE_TOKEN;
    case WST__EV_TICKET_FAILED:
        return rough && c->state == WST_STATE_TICKET;
    case WST__EV_TICKET_OK:
    case WST__EV_TICKET_SENT:
        return c->state == WST_STATE_TICKET;
    case WST__EV_DIAL_OK:
        return c->dial == WST__DIAL_BUSY;
    case WST__EV_LINK_FAILED:
        return rough && c->dial == WST__DIAL_READY;
    case WST__EV_LINK_OPEN:
        return c->state == WST_STATE_CONNECTING;
    case WST__EV_PING_LEFT:
        return c->state == WST_STATE_OPEN;
    default:
        return word->type == WST__EV_TIMEOUT;
    }
}

static const struct word *draw_word(const struct wst__core *c)
{
    const struct word *words;
    size_t count = words_of(c->state, &words);
    const struct word *word = &words[upto(count - 1)];

    for (int i = 0; i < 40 && (word->late || (i < 20 && !leads_on(c, word))); i++)
        word = &words[upto(count - 1)];
    if (chance(20))
        word = &words[upto(count - 1)];
    while ((uint64_t)word->late > c->attempt)
        word = &words[upto(count - 1)];
    return word;
}

/* Often at once or at the deadline, which a busy loop may see late. */
static void draw_time(const struct wst__core *c, struct wst__event *ev)
{
    uint64_t deadline = wst__core_deadline(c), before = ev->now_ms;

    if (chance(35) && deadline != WST__NEVER)
        ev->now_ms = deadline > ev->now_ms ? deadline : ev->now_ms;
    else if (chance(60))
        ev->now_ms += upto(chance(50) ? 3 : 300);
    if (chance(5))
        ev->now_ms += upto(10000);
    ev->boot_ms += ev->now_ms - before;
    if (chance(10))
        ev->boot_ms += upto(chance(50) ? 2000 : 400000);
}

static void draw_event(const struct wst__core *c, struct wst__event *ev)
{
    const struct word *word = draw_word(c);

    draw_time(c, ev);
    ev->type = word->type;
    ev->attempt = c->attempt - (uint64_t)word->late;
    ev->ticket_life_ms = chance(30) ? 1 + (uint32_t)upto(500) : 30000;
    ev->retry_after_ms = word->retry_after_ms;
    ev->spread_ms = word->spread_ms;
    ev->last_rx_ms = chance(50) ? ev->now_ms - upto(400) : ev->now_ms - upto(9000);
    ev->failure = *failure_at((size_t)word->failure);
    if (ev->type == WST__EV_TIMEOUT)
        ev->failure.verdict = word->verdict;
}

static void check_known(const struct set *set, const struct world *w, const struct wst__event *ev)
{
    struct key k;

    key_of(w, ev->now_ms, ev->boot_ms, &k);
    if (!set_has(set, &k))
        book_objects("what happens in real time was found by the exploration", __FILE__, __LINE__);
}

/* The same event for the core of the key, whose clock stands at NOW.  False: there is none, because
 * what it does depends on distances. */
static bool twin_event(const struct wst__core *c, const struct wst__core *twin,
                       const struct wst__event *ev, struct wst__event *out)
{
    uint64_t slept = ev->boot_ms - c->seen_boot_ms - (ev->now_ms - c->seen_now_ms);
    uint64_t late = c->attempt - ev->attempt;
    bool life = ev->last_rx_ms >= c->ping_left_ms;
    bool fresh = (ev->boot_ms - c->ticket_boot_ms) * 5 <= ev->ticket_life_ms * 4;

    *out = *ev;
    out->now_ms = NOW;
    out->boot_ms = BOOT;
    out->attempt = twin->attempt - late;
    out->ticket_life_ms = fresh ? 100 : 99; /* words.c */
    out->last_rx_ms = life ? NOW : 0;
    return slept == 0 && late <= twin->attempt && !(life && c->ping_pending);
}

static bool does_the_same(const struct wst__actions *a, const struct wst__actions *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        const struct wst__action *x = &a->list[i], *y = &b->list[i];

        if (x->type != y->type || x->from != y->from || x->to != y->to || x->ms != y->ms)
            return false;
    }
    return a->count == b->count;
}

/* What a key forgets does not matter: its core does the same, and is the same afterwards but for
 * the order of its deadlines. */
static void check_twin(const struct world *w, const struct wst__event *ev, unsigned draws)
{
    struct world real = *w, twin;
    struct wst__actions done, twin_done;
    struct wst__event twin_ev;
    struct key k, after, twin_after;

    key_of(w, ev->now_ms, ev->boot_ms, &k);
    world_of(&k, w->core.policy, &twin);
    if (!twin_event(&w->core, &twin.core, ev, &twin_ev))
        return;
    draws_script(draws);
    wst__core_step(&real.core, ev, &done);
    draws_script(draws);
    wst__core_step(&twin.core, &twin_ev, &twin_done);
    key_of(&real, ev->now_ms, ev->boot_ms, &after);
    key_of(&twin, NOW, BOOT, &twin_after);
    memcpy(twin_after.rank, after.rank, sizeof after.rank);
    if (!does_the_same(&done, &twin_done) || memcmp(&after, &twin_after, sizeof after) != 0)
        book_objects("a core does the same as the core of its key", __FILE__, __LINE__);
    twins++;
}

uint64_t walk(const struct plan *plan, const struct set *set, uint64_t count)
{
    twins = 0;
    for (uint64_t seed = 1; seed <= count; seed++) {
        struct wst__event ev = {.now_ms = 1000000, .boot_ms = 2000000};
        struct wst__policy p;
        struct world w;
        unsigned draws;

        dice = seed;
        rough = seed % 2 == 0;
        plan_policy(plan, 0, &p);
        draw_durations(&p);
        memset(&w, 0, sizeof w);
        wst__core_init(&w.core, &p, 0);
        w.core.seen_now_ms = ev.now_ms; /* Before the first event nothing depends on them. */
        w.core.seen_boot_ms = ev.boot_ms;
        book_begin(&w.book);
        for (int i = 0; i < STEPS; i++) {
            draw_event(&w.core, &ev);
            draws = (unsigned)upto(26);
            check_twin(&w, &ev, draws);
            (void)step_world(&w, &ev, draws);
            check_known(set, &w, &ev);
        }
    }
    if (twins < count * STEPS / 2)
        book_objects("most steps have a twin", __FILE__, __LINE__);
    return steps_taken();
}
