/* The shrinker, on faults whose least history is known. */
#include "sim/seed.h"
#include "sim/shrink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t value_of(const struct sim_history *h, uint64_t name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->list[i].name == name)
            return h->list[i].value;
    }
    return 0;
}

static struct sim_history thousand(void)
{
    struct sim_history h = {0};

    for (uint64_t n = 1000; n > 0; n--)
        sim_history_add(&h, n, 5000 + n);
    return h;
}

static bool needs_three(const struct sim_history *h, void *arg)
{
    (void)arg;
    return value_of(h, 7) >= 100 && value_of(h, 500) && value_of(h, 999) > 3;
}

static void what_is_not_needed_goes(void **state)
{
    struct sim_history h = thousand();

    (void)state;
    assert_in_range(sim_shrink(&h, needs_three, NULL, 100000), 1, 2000);
    assert_int_equal(h.count, 3);
    assert_int_equal(value_of(&h, 7), 100);
    assert_int_equal(value_of(&h, 500), 1);
    assert_int_equal(value_of(&h, 999), 4);
    sim_history_fini(&h);
}

/* One of a pair can only go with the other. */
static bool pairs(const struct sim_history *h, void *arg)
{
    (void)arg;
    for (uint64_t n = 1; n <= 1000; n += 2) {
        if (!value_of(h, n) != !value_of(h, n + 1))
            return false;
    }
    return value_of(h, 400) != 0;
}

static void what_hangs_together_goes_together(void **state)
{
    struct sim_history h = thousand();

    (void)state;
    (void)sim_shrink(&h, pairs, NULL, 100000);
    assert_int_equal(h.count, 2);
    assert_int_equal(value_of(&h, 399), 1);
    assert_int_equal(value_of(&h, 400), 1);
    sim_history_fini(&h);
}

static void it_ends_after_its_tries(void **state)
{
    struct sim_history h = thousand();

    (void)state;
    assert_int_equal(sim_shrink(&h, needs_three, NULL, 10), 10);
    assert_true(needs_three(&h, NULL));
    sim_history_fini(&h);
}

/* ---- Decisions ----------------------------------------------------------------------------- */

static void play(uint64_t seed, const struct sim_history *script, struct sim_history *record,
                 struct sim_outcome *out)
{
    const struct sim_seed_run run = {.number = seed, .script = script, .record = record};

    memset(out, 0, sizeof *out);
    sim_seed_run(&run, out);
    assert_string_equal(out->failure, "");
}

/* A seed, and the script of its own decisions, are one history. */
static void a_script_plays_the_same(void **state)
{
    static struct sim_outcome drawn, scripted;

    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sim_history h = {0}, again = {0};

        play(seed, NULL, &h, &drawn);
        sim_history_sort(&h);
        play(seed, &h, &again, &scripted);
        assert_memory_equal(&drawn, &scripted, sizeof drawn);
        assert_int_equal(h.count, again.count);
        sim_history_fini(&h);
        sim_history_fini(&again);
    }
}

/* Without any decision nothing happens but the dull thing: it opens, and that is all. */
static void no_decision_is_a_dull_history(void **state)
{
    static struct sim_outcome out;
    const struct sim_history nothing = {0};

    (void)state;
    play(1, &nothing, NULL, &out);
    assert_int_equal(out.attempts, 1);
    assert_int_equal(out.opens, 1);
    assert_int_equal(out.turned_good, 1);
}

/* ---- Whole histories ----------------------------------------------------------------------- */

/* Taken for a fault: the client was open twice. */
static bool opens_twice(const struct sim_history *h, void *seed)
{
    static struct sim_outcome out;

    play(*(uint64_t *)seed, h, NULL, &out);
    return out.opens >= 2;
}

/* That needs very few decisions: one that ends the link, and when. */
static void a_history_is_shrunk_to_what_matters(void **state)
{
    static struct sim_outcome out;
    unsigned tried = 0;

    (void)state;
    for (uint64_t seed = 1; tried < 30; seed++) {
        struct sim_history h = {0};

        play(seed, NULL, &h, &out);
        if (out.opens >= 2) {
            tried++;
            (void)sim_shrink(&h, opens_twice, &seed, 5000);
            assert_in_range(h.count, 1, 8);
            assert_true(opens_twice(&h, &seed));
        }
        sim_history_fini(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_needed_goes),
        cmocka_unit_test(what_hangs_together_goes_together),
        cmocka_unit_test(it_ends_after_its_tries),
        cmocka_unit_test(a_script_plays_the_same),
        cmocka_unit_test(no_decision_is_a_dull_history),
        cmocka_unit_test(a_history_is_shrunk_to_what_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
