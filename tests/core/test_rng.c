/* The generator: its sequence is fixed by the seed, what it draws is uniform and inside its bounds.
 */
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The values of the authors' own C code (prng.di.unimi.it), state filled by their splitmix64. */
static void draws_what_the_reference_draws(void **arg)
{
    struct wst__rng r = {{1, 2, 3, 4}};

    (void)arg;
    assert_true(wst__rng_next(&r) == 11520);
    assert_true(wst__rng_next(&r) == 0);
    assert_true(wst__rng_next(&r) == 1509978240);
    assert_true(wst__rng_next(&r) == 1215971899390074240);
    wst__rng_init(&r, 1234567);
    assert_true(r.s[0] == 6457827717110365317U);
    assert_true(r.s[1] == 3203168211198807973U);
    assert_true(r.s[2] == 9817491932198370423U);
    assert_true(r.s[3] == 4593380528125082431U);
}

static void repeats_for_the_same_seed(void **arg)
{
    struct wst__rng a, b, c;
    int same = 0;

    (void)arg;
    wst__rng_init(&a, 42);
    wst__rng_init(&b, 42);
    wst__rng_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = wst__rng_next(&a);

        assert_true(x == wst__rng_next(&b));
        same += x == wst__rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void works_from_seed_0(void **arg)
{
    struct wst__rng r;

    (void)arg;
    wst__rng_init(&r, 0);
    assert_true((r.s[0] | r.s[1] | r.s[2] | r.s[3]) != 0);
    assert_true(wst__rng_next(&r) != wst__rng_next(&r));
}

static void stays_inside_the_bound_and_reaches_it(void **arg)
{
    static const uint64_t bounds[] = {0, 1, 2, 6, 255, 1000, UINT64_MAX / 2 + 1, UINT64_MAX};
    struct wst__rng r;

    (void)arg;
    wst__rng_init(&r, 5);
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        uint64_t most = 0, least = UINT64_MAX;

        for (int i = 0; i < 20000; i++) {
            uint64_t x = wst__rng_upto(&r, bounds[b]);

            assert_true(x <= bounds[b]);
            most = x > most ? x : most;
            least = x < least ? x : least;
        }
        assert_true(least <= bounds[b] / 100);
        assert_true(most >= bounds[b] - bounds[b] / 100);
    }
}

/* A range of three quarters of 2^64: a plain modulo would draw the lower third twice as often. */
static void draws_without_bias(void **arg)
{
    uint64_t max = UINT64_MAX / 4 * 3;
    struct wst__rng r;
    int low = 0;

    (void)arg;
    wst__rng_init(&r, 6);
    for (int i = 0; i < 30000; i++)
        low += wst__rng_upto(&r, max) < UINT64_MAX / 4;
    assert_in_range(low, 9500, 10500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_what_the_reference_draws),
        cmocka_unit_test(repeats_for_the_same_seed),
        cmocka_unit_test(works_from_seed_0),
        cmocka_unit_test(stays_inside_the_bound_and_reaches_it),
        cmocka_unit_test(draws_without_bias),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
