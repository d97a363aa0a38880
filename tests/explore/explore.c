/*
 * Every state of the compiled core: from rest, every event that could come, in every order of the
 * deadlines and with every kind of random draw, until nothing new is found.  The onlooker's book
 * checks the promises on every transition.  docs/exploration.md tells what is abstracted and why.
 *
 * Usage: test_explore [--short | --long] DIAGRAM
 *   --short  the first policy only
 *   --long   all failures of the alphabet for every policy, and more walks
 *   DIAGRAM  docs/states.dot: must be what was seen, unless WST_WRITE_DIAGRAM is set: then it is
 *            written
 */
#include "draws.h"
#include "plans.h"
#include "set.h"
#include "step.h"
#include "walk.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_PASSES = 1000, TICKET_AGES };
#define MAX_ORDERS 512

static const struct plan *plan;
static struct wst__policy policies[DURATIONS];
static struct set set;
static struct world base; /* Of the key that is gone on from. */
static struct way here;   /* The step that is tried. */
static bool exploring;

/* ---- Objections ---------------------------------------------------------------------------- */

static void print_way(const struct way *way)
{
    const struct key *k = &set.keys[way->from];
    const struct word *words;
    char text[256] = "time passes";

    if (way->from > 0)
        print_way(&set.ways[way->from]);
    (void)words_of((enum wst_state)k->state, &words);
    if (way->word == TICKET_AGES)
        (void)snprintf(text, sizeof text, "the ticket gets too old");
    else if (way->word < TIME_PASSES)
        word_text(&words[way->word], text, sizeof text);
    printf("#   %s, dial %u: %s (durations %u, draws %u)\n", state_name((enum wst_state)k->state),
           k->dial, text, way->durations, way->draws);
}

static void object(const char *promise, const char *file, int line)
{
    printf("not ok - %s: a promise is broken\n# %s:%d: %s\n", plan->name, file, line, promise);
    if (exploring)
        print_way(&here);
    fflush(stdout);
    exit(1);
}

void (*book_objects)(const char *promise, const char *file, int line) = object;

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            object(#what, __FILE__, __LINE__);                                                     \
    } while (0)

/* ---- One word ------------------------------------------------------------------------------ */

static void make_event(const struct wst__core *c, const struct word *word, struct wst__event *ev)
{
    *ev = (struct wst__event){
        .type = word->type,
        .attempt = c->attempt - (uint64_t)word->late,
        .now_ms = NOW,
        .boot_ms = BOOT + word->slept_ms,
        .ticket_life_ms = word->life_ms,
        .retry_after_ms = word->retry_after_ms,
        .spread_ms = word->spread_ms,
        .failure = *failure_at((size_t)word->failure),
    };
    if (word->type == WST__EV_TIMEOUT)
        ev->failure.verdict = word->verdict;
    if (word->rx == RX_NOW)
        ev->last_rx_ms = NOW;
    else if (c->ping_left_ms != WST__NEVER)
        ev->last_rx_ms = c->ping_left_ms - (word->rx == RX_OLD);
}

/* But for the clocks seen last, which every key has at NOW, and the durations. */
static bool is_changed(struct world *w)
{
    w->core.policy = base.core.policy;
    w->core.seen_now_ms = base.core.seen_now_ms;
    w->core.seen_boot_ms = base.core.seen_boot_ms;
    return memcmp(w, &base, sizeof base) != 0;
}

/* Returns how many random draws there were.  |timed|: do other durations lead elsewhere? */
static unsigned try_once(const struct word *word, bool *timed)
{
    static struct key found[MAX_ORDERS];
    struct world w = base;
    struct wst__event ev;
    unsigned taken;

    w.core.policy = &policies[here.durations];
    make_event(&w.core, word, &ev);
    if (here.durations == 0 && here.draws == 0)
        check_foresight(&w, &ev, here.draws);
    taken = step_world(&w, &ev, here.draws);
    *timed = false;
    if (is_changed(&w)) {
        size_t n = all_orders(&w, ev.boot_ms, found, MAX_ORDERS);

        *timed = has_new_times(&w);
        for (size_t i = 0; i < n; i++)
            set_add(&set, &found[i], &here);
    }
    return taken;
}

/* How many kinds of |n| draws there are. */
static unsigned all_draws(unsigned n)
{
    unsigned all = 1;

    while (n-- > 0)
        all *= DRAW_COUNT;
    return all;
}

static void try_word(const struct word *word)
{
    bool timed = true;

    for (here.durations = 0; here.durations < DURATIONS && timed; here.durations++) {
        unsigned taken;

        here.draws = 0;
        taken = try_once(word, &timed);
        for (unsigned draws = 1; draws < all_draws(taken); draws++) {
            here.draws = (uint8_t)draws;
            (void)try_once(word, &timed);
        }
    }
}

/* ---- What is no word ----------------------------------------------------------------------- */

/* A timer that fires early does nothing. */
static void try_early_timeout(const struct key *k)
{
    const struct word word = {.type = WST__EV_TIMEOUT};
    struct world w = base;
    struct wst__event ev;
    struct key after;

    if (wst__core_deadline(&w.core) <= NOW)
        return;
    make_event(&w.core, &word, &ev);
    ev.now_ms += GAP - 1;
    ev.boot_ms += GAP - 1;
    (void)step_world(&w, &ev, 0);
    key_of(&w, NOW, BOOT, &after);
    PROMISE(memcmp(k, &after, sizeof after) == 0);
}

static void let_time_pass(const struct key *k)
{
    struct key next;

    key_of(&base, NOW, BOOT, &next);
    PROMISE(memcmp(k, &next, sizeof next) == 0); /* A world of a key has that key. */
    here.durations = here.draws = 0;
    here.word = TIME_PASSES;
    if (time_passes(&base, &next))
        set_add(&set, &next, &here);
    if (wake_counts_again(&base, &next))
        set_add(&set, &next, &here);
    here.word = TICKET_AGES;
    key_of(&base, NOW, BOOT + 1, &next);
    set_add(&set, &next, &here);
}

/* ---- The way to OPEN ----------------------------------------------------------------------- */

static struct wst__event good_event(const struct wst__core *c, uint64_t now)
{
    struct wst__event ev = {.attempt = c->attempt, .ticket_life_ms = 1000};
    uint64_t deadline = wst__core_deadline(c);

    switch (c->state) {
    case WST_STATE_TOKEN:
        ev.type = WST__EV_TOKEN_OK;
        break;
    case WST_STATE_TICKET:
        ev.type = WST__EV_TICKET_OK;
        break;
    case WST_STATE_CONNECTING:
        ev.type = c->dial == WST__DIAL_BUSY ? WST__EV_DIAL_OK : WST__EV_LINK_OPEN;
        break;
    case WST_STATE_CLOSING:
        ev.type = WST__EV_LINK_CLOSED;
        ev.failure = (struct wst__failure){.code = WST_ERR_EOF, .close_code = 1006};
        break;
    default:
        ev.type = WST__EV_TIMEOUT;
        now = deadline > now ? deadline : now;
        break;
    }
    ev.now_ms = now;
    ev.boot_ms = now - NOW + BOOT;
    return ev;
}

/* From everywhere the network and the server need only be good for long enough. */
static void check_good_way(void)
{
    struct world w = base;
    uint64_t now = NOW;

    for (int i = 0; i < 24 && w.core.wanted; i++) {
        struct wst__event ev = good_event(&w.core, now);

        if (w.core.state == WST_STATE_OPEN || w.core.state == WST_STATE_FAILED)
            break;
        now = ev.now_ms;
        (void)step_world(&w, &ev, 0);
    }
    if (!w.core.wanted || w.core.state == WST_STATE_OPEN || base.core.state == WST_STATE_FAILED)
        return;
    /* What had gone wrong before is told at last, and may be the end. */
    PROMISE(w.core.state == WST_STATE_FAILED);
    PROMISE(w.core.attempts_used_up || w.core.failure.cls == WST_CLASS_REFUSED ||
            w.core.failure.cls == WST_CLASS_AUTH);
}

/* ---- All of them --------------------------------------------------------------------------- */

static bool makes_sense(const struct word *word)
{
    return (uint64_t)word->late <= base.core.attempt &&
           (word->rx == RX_OLD || base.core.ping_left_ms != WST__NEVER);
}

static void go_on_from(size_t at)
{
    const struct key k = set.keys[at]; /* The array may move. */
    const struct word *words;
    size_t count = words_of((enum wst_state)k.state, &words);

    here = (struct way){.from = (uint32_t)at};
    world_of(&k, &policies[0], &base);
    for (size_t i = 0; i < count; i++) {
        here.word = (uint16_t)i;
        if (makes_sense(&words[i]))
            try_word(&words[i]);
    }
    try_early_timeout(&k);
    let_time_pass(&k);
    check_good_way();
}

static void explore(bool more)
{
    const struct way none = {0};
    struct world w;
    struct key k;

    words_begin(more, more || plan == plans);
    forget_orders();
    set_init(&set);
    for (size_t d = 0; d < DURATIONS; d++)
        plan_policy(plan, d, &policies[d]);
    memset(&w, 0, sizeof w);
    wst__core_init(&w.core, &policies[0], 0);
    book_begin(&w.book);
    key_of(&w, NOW, BOOT, &k);
    set_add(&set, &k, &none);
    exploring = true;
    for (size_t i = 0; i < set.count; i++)
        go_on_from(i);
    exploring = false;
}

/* ---- The diagram --------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;

    return f && fclose(f) == 0 && ok;
}

static bool is_file(const char *path, const char *text)
{
    static char buf[16384];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(buf, 1, sizeof buf - 1, f) : 0;

    if (f)
        (void)fclose(f);
    buf[n] = 0;
    return strcmp(buf, text) == 0;
}

static bool check_diagram(const char *path)
{
    static char text[16384];

    write_diagram(text, sizeof text);
    return getenv("WST_WRITE_DIAGRAM") ? write_file(path, text) : is_file(path, text);
}

/* ---- The cases ----------------------------------------------------------------------------- */

static unsigned case_count;
static bool failed;

static void tell(bool ok, const char *name)
{
    printf("%sok %u - %s\n", ok ? "" : "not ", ++case_count, name);
    fflush(stdout);
    failed = failed || !ok;
}

static void run_plan(bool more, uint64_t walks)
{
    size_t states = more ? plan->states_of_all : plan->states;
    uint64_t wanted = more ? plan->steps_of_all : plan->steps;
    uint64_t steps;
    char name[256];

    (void)steps_taken();
    explore(more);
    steps = steps_taken();
    (void)snprintf(name, sizeof name, "%s: %zu states, %llu transitions", plan->name, set.count,
                   (unsigned long long)steps);
    tell(set.count == states && steps == wanted, name);
    if (set.count != states || steps != wanted)
        printf("# expected: %zu states, %llu transitions\n", states, (unsigned long long)wanted);
    steps = walk(plan, &set, walks);
    (void)snprintf(name, sizeof name, "%s: %llu steps in real time lead to known states only",
                   plan->name, (unsigned long long)steps);
    tell(true, name);
    set_fini(&set);
}

int main(int argc, char **argv)
{
    bool is_short = argc > 1 && strcmp(argv[1], "--short") == 0;
    bool is_long = (argc > 1 && strcmp(argv[1], "--long") == 0) || getenv("WST_LONG");
    size_t count = is_short ? 1 : plan_count;

    printf("1..%zu\n", 2 * count + (is_short ? 0 : 2));
    for (size_t i = 0; i < count; i++) {
        plan = &plans[i];
        run_plan(is_long, is_long ? 200000 : is_short ? 500 : 5000);
    }
    if (!is_short) {
        tell(print_unreached() == 0, "every cell of the table is reached but those that cannot be");
        tell(check_diagram(argv[argc - 1]), "docs/states.dot shows the moves that were seen");
    }
    return failed;
}
