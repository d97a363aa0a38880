/* The delay: its bounds, its spread inside them, and what a server may ask for. */
#include "core/backoff.h"
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DRAWS 4000

static void doubles_up_to_the_cap(void **arg)
{
    static const uint64_t want[] = {250, 250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    for (uint32_t n = 0; n < sizeof want / sizeof want[0]; n++)
        assert_true(wst__backoff_nominal(&p, n) == want[n]);
}

static void never_overflows(void **arg)
{
    static const uint32_t many[] = {63, 64, 65, 66, 1000, UINT32_C(1) << 31, UINT32_MAX};
    static const uint64_t bases[] = {1, 250, UINT64_MAX / 2 + 1, UINT64_MAX};
    struct wst__policy p;
    struct wst__rng r;

    (void)arg;
    tale_policy(&p);
    wst__rng_init(&r, 1);
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++) {
            p.base_ms = bases[b];
            p.cap_ms = 30000;
            assert_true(wst__backoff_nominal(&p, many[i]) == p.cap_ms);
            p.cap_ms = UINT64_MAX;
            assert_true(wst__backoff_delay(&p, &r, many[i], UINT64_MAX, UINT64_MAX) < WST__NEVER);
        }
    }
    p.base_ms = UINT64_MAX;
    p.jitter_percent = 50;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t d = wst__backoff_delay(&p, &r, 1, 0, 0);

        assert_true(d >= WST__NEVER / 8 && d < WST__NEVER);
    }
    p.max_server_delay_ms = UINT64_MAX;
    assert_true(wst__backoff_delay(&p, &r, 1, UINT64_MAX, UINT64_MAX) < WST__NEVER);
}

static void a_base_of_nothing_still_climbs(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    p.base_ms = 0;
    assert_true(wst__backoff_nominal(&p, 4) == 8);
    assert_true(wst__backoff_nominal(&p, WST__BACKOFF_CAP) == 30000);
}

/* All draws lie in [low, high], reach close to both ends, and their mean is in the middle. */
static void expect_uniform(const struct wst__policy *p, uint32_t failures, uint64_t retry_after,
                           uint64_t spread, uint64_t low, uint64_t high)
{
    uint64_t least = UINT64_MAX, most = 0, sum = 0, width = high - low;
    struct wst__rng r;

    wst__rng_init(&r, 99);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t d = wst__backoff_delay(p, &r, failures, retry_after, spread);

        least = d < least ? d : least;
        most = d > most ? d : most;
        sum += d;
    }
    assert_true(least >= low && least <= low + width / 50);
    assert_true(most <= high && most >= high - width / 50);
    assert_true(sum / DRAWS >= low + width / 2 - width / 25 - 1);
    assert_true(sum / DRAWS <= low + width / 2 + width / 25 + 1);
}

static void the_jitter_comes_after_the_cap(void **arg)
{
    struct wst__policy p;
    struct wst__rng r;
    int at_cap = 0;

    (void)arg;
    tale_policy(&p);
    p.jitter_percent = 50;
    expect_uniform(&p, 1, 0, 0, 125, 375);
    expect_uniform(&p, 3, 0, 0, 500, 1500);
    expect_uniform(&p, 20, 0, 0, 15000, 45000);
    expect_uniform(&p, UINT32_C(1) << 31, 0, 0, 15000, 45000);
    p.jitter_percent = 100;
    expect_uniform(&p, 20, 0, 0, 50, 60000);
    p.jitter_percent = 0;
    expect_uniform(&p, 20, 0, 0, 30000, 30000);
    p.jitter_percent = 50;
    wst__rng_init(&r, 3);
    for (int i = 0; i < DRAWS; i++)
        at_cap += wst__backoff_delay(&p, &r, 20, 0, 0) == p.cap_ms;
    assert_in_range(at_cap, 0, 3); /* Not a herd at the cap: chance alone. */
}

static void a_jitter_above_100_counts_as_100(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    p.jitter_percent = 4000;
    expect_uniform(&p, 20, 0, 0, 50, 60000);
}

static void never_below_50_ms(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    p.base_ms = 10;
    p.jitter_percent = 100;
    expect_uniform(&p, 1, 0, 0, 50, 50);
}

static void retry_after_is_a_floor_with_jitter_on_top(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    expect_uniform(&p, 1, 30000, 0, 30000, 60000);
    expect_uniform(&p, 1, 100, 0, 250, 1250); /* Below the ladder: the ladder, and a second. */
    expect_uniform(&p, 20, 2000, 0, 30000, 32000);
}

static void what_a_server_asks_for_has_a_ceiling(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    expect_uniform(&p, 1, UINT64_MAX, 0, 300000, 600000);
    p.max_server_delay_ms = 0;
    expect_uniform(&p, 1, 99999, 0, 250, 250);
}

static void a_spread_is_added(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    expect_uniform(&p, 1, 0, 5000, 250, 5250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_cap),
        cmocka_unit_test(never_overflows),
        cmocka_unit_test(a_base_of_nothing_still_climbs),
        cmocka_unit_test(the_jitter_comes_after_the_cap),
        cmocka_unit_test(a_jitter_above_100_counts_as_100),
        cmocka_unit_test(never_below_50_ms),
        cmocka_unit_test(retry_after_is_a_floor_with_jitter_on_top),
        cmocka_unit_test(what_a_server_asks_for_has_a_ceiling),
        cmocka_unit_test(a_spread_is_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
