/*
 * The promises over many seeds: random policies, random events at random times, answers of this
 * attempt and of older ones, sleeps, clocks that step back (play.h); a book beside the core objects
 * when a promise is broken (book.h).  A life that fails is made shorter, and shown.
 *
 *   WST_CORE_SEEDS=N  how many (default 20000; with WST_LONG=1 ten million)
 *   WST_CORE_FIRST=N  the first one (default 1)
 */
#include "lib/sweep.h"
#include "play.h"
#include "tale.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS 200
#define LENGTH (PLAY_POLICY + EVENTS * PLAY_EVENT)
#define ENOUGH 1000 /* Seeds by which every event has come in every state. */

/* What came of many seeds. */
struct sum {
    uint64_t events, digest;
    uint64_t seen[WST__STATE_COUNT][WST__EV_COUNT];
};

static void draw(uint64_t seed, uint8_t *bytes)
{
    struct wst__rng r;

    wst__rng_init(&r, seed);
    for (size_t i = 0; i < LENGTH; i += 8) {
        uint64_t x = wst__rng_next(&r);

        memcpy(bytes + i, &x, 8);
    }
}

static void note(const struct play *p, enum wst_state before, void *arg)
{
    struct sum *sum = arg;

    sum->events++;
    sum->seen[before][p->ev.type]++;
    for (size_t i = 0; i < p->out.count; i++) {
        const struct wst__action *a = &p->out.list[i];

        sum->digest = sum->digest * 31 + (uint64_t)a->type;
        sum->digest = sum->digest * 31 + (uint64_t)a->to;
        sum->digest = sum->digest * 31 + a->attempt;
        sum->digest = sum->digest * 31 + a->ms;
    }
}

static bool run_seed(uint64_t seed, void *sum)
{
    uint8_t bytes[LENGTH];
    struct play p;

    draw(seed, bytes);
    return play(&p, bytes, sizeof bytes, note, sum);
}

static void add(void *sum, const void *one)
{
    const struct sum *from = one;
    struct sum *to = sum;

    to->events += from->events;
    to->digest ^= from->digest;
    for (int s = 0; s < WST__STATE_COUNT; s++) {
        for (int e = 0; e < WST__EV_COUNT; e++)
            to->seen[s][e] += from->seen[s][e];
    }
}

/* ---- A life that fails --------------------------------------------------------------------- */

static void show(const struct play *p, enum wst_state before, void *arg)
{
    (void)arg;
    printf("# [%8" PRIu64 "] %s of #%" PRIu64 ": %s -> %s, %zu actions\n", p->ev.now_ms,
           tale_event_name(p->ev.type), p->ev.attempt, tale_state_name(before),
           tale_state_name(p->core.state), p->out.count);
}

/* Leaves out what is not needed, event by event from the end, until nothing can go any more. */
static size_t shorten(uint8_t *bytes, size_t n, const char *broken)
{
    uint8_t less[LENGTH];
    bool again = true;
    struct play p;

    while (again) {
        again = false;
        for (size_t at = n; at > PLAY_POLICY; at -= PLAY_EVENT) {
            memcpy(less, bytes, at - PLAY_EVENT);
            memcpy(less + at - PLAY_EVENT, bytes + at, n - at);
            if (!play(&p, less, n - PLAY_EVENT, NULL, NULL) && p.book.broken == broken) {
                n -= PLAY_EVENT;
                memcpy(bytes, less, n);
                again = true;
            }
        }
    }
    return n;
}

static void tell(uint64_t seed, const char *program)
{
    uint8_t bytes[LENGTH];
    struct play p;
    size_t n;

    printf("# seed %" PRIu64 " fails; replay and shorten it: WST_CORE_FIRST=%" PRIu64
           " WST_CORE_SEEDS=1 %s\n",
           seed, seed, program);
    draw(seed, bytes);
    if (play(&p, bytes, sizeof bytes, NULL, NULL))
        return; /* It died, and would again. */
    n = shorten(bytes, sizeof bytes, p.book.broken);
    (void)play(&p, bytes, n, show, NULL);
    printf("# broken: %s\n", p.book.broken);
}

/* ---- The tests ----------------------------------------------------------------------------- */

/* Every cell of the table was met. */
static bool covers_all(const struct sum *sum)
{
    bool all = true;

    for (int s = 0; s < WST__STATE_COUNT; s++) {
        for (int e = 0; e < WST__EV_COUNT; e++) {
            if (sum->seen[s][e] == 0)
                printf("# %s never came in state %s\n", tale_event_name((enum wst__ev)e),
                       tale_state_name((enum wst_state)s));
            all = all && sum->seen[s][e] > 0;
        }
    }
    return all;
}

static bool same_seed_same_life(void)
{
    static struct sum a, b, other;

    for (uint64_t seed = 1; seed < 100; seed++) {
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        memset(&other, 0, sizeof other);
        (void)run_seed(seed, &a);
        (void)run_seed(seed, &b);
        (void)run_seed(seed + 100, &other);
        if (a.digest != b.digest || a.digest == other.digest)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct sum sum;
    struct sweep s = {
        .first = sweep_number("WST_CORE_FIRST", 1),
        .count = sweep_number("WST_CORE_SEEDS", sweep_number("WST_LONG", 0) ? 10000000 : 20000),
        .run = run_seed,
        .add = add,
        .sum = &sum,
        .sum_size = sizeof sum};
    bool good, covered, same;

    sweep_run(&s);
    good = s.failed_count == 0 && s.complete;
    same = same_seed_same_life();
    printf("1..3\n# note: core: %" PRIu64 " seeds, %" PRIu64
           " events in %.1f s: %.1f million events per second\n",
           s.count, sum.events, s.seconds, (double)sum.events / s.seconds / 1e6);
    printf("%s 1 - the promises hold in every seed\n", good ? "ok" : "not ok");
    for (unsigned i = 0; i < s.failed_count && i < 2; i++)
        tell(s.failed[i], argc > 0 ? argv[0] : "test_core_seeds");
    covered = s.count < ENOUGH || covers_all(&sum);
    printf("%s 2 - every event came in every state\n", covered ? "ok" : "not ok");
    printf("%s 3 - the same seed does the same\n", same ? "ok" : "not ok");
    return good && covered && same ? 0 : 1;
}
