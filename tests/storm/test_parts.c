/* The parts of wsticket-storm that its figures rest on: the calendar, the server's book. */
#include "server.h"
#include "wheel.h"

#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES  50
#define END_MS 400000 /* Three turns of the wheel. */

/* Beside the wheel a list that is searched from end to end. */
static void the_wheel_is_a_calendar(void **state)
{
    struct wheel *w = wheel_new(NODES);
    uint32_t at[NODES];
    uint32_t taken = 0;
    struct wst__rng r;

    (void)state;
    assert_non_null(w);
    wst__rng_init(&r, 1);
    memset(at, 0xff, sizeof at);
    for (uint32_t now = 0; now < END_MS; now++) {
        uint32_t node;

        if (now % 20 == 0) {
            node = (uint32_t)wst__rng_upto(&r, NODES - 1);
            at[node] = now + (uint32_t)wst__rng_upto(&r, now % 60 == 0 ? 3 : 250000);
            wheel_put(w, node, at[node]);
            node = (uint32_t)wst__rng_upto(&r, NODES - 1);
            if (now % 40 == 0) {
                wheel_cancel(w, node);
                at[node] = WHEEL_NONE;
            }
            assert_true(wheel_waits(w, node) == (at[node] != WHEEL_NONE));
        }
        while ((node = wheel_take(w, now)) != WHEEL_NONE) {
            assert_int_equal(at[node], now);
            assert_false(wheel_waits(w, node));
            at[node] = WHEEL_NONE;
            taken++;
            if (taken % 7 == 0) { /* For this very millisecond. */
                at[node] = now;
                wheel_put(w, node, now);
            }
        }
        for (uint32_t i = 0; i < NODES; i++)
            assert_true(at[i] > now); /* Nothing was left behind. */
    }
    assert_true(taken > 1000);
    wheel_free(w);
}

static void the_wheel_keeps_the_order(void **state)
{
    struct wheel *w = wheel_new(5);

    (void)state;
    wheel_put(w, 3, 10);
    wheel_put(w, 1, 10);
    wheel_put(w, 4, 9);
    wheel_put(w, 2, 10);
    wheel_put(w, 4, 10); /* Moved: the last now. */
    assert_int_equal(wheel_take(w, 9), WHEEL_NONE);
    assert_int_equal(wheel_take(w, 10), 3);
    wheel_cancel(w, 2);
    wheel_put(w, 0, 10);
    assert_int_equal(wheel_take(w, 10), 1);
    assert_int_equal(wheel_take(w, 10), 4);
    assert_int_equal(wheel_take(w, 10), 0);
    assert_int_equal(wheel_take(w, 10), WHEEL_NONE);
    wheel_free(w);
}

static struct server a_server(uint32_t capacity, enum steer steer)
{
    struct server s = {.capacity = {capacity, capacity, capacity},
                       .clients = 1000,
                       .missing = 500,
                       .ticket_life_ms = 30,
                       .retry_after_ms = 7000,
                       .steer = steer,
                       .bin_count = 100};

    assert_true(server_init(&s));
    return s;
}

static void a_capacity_is_served_in_tenths(void **state)
{
    struct server s = a_server(25, STEER_NONE); /* 2 and 3 in turn. */
    struct ask ask;

    (void)state;
    for (uint32_t second = 0; second < 3; second++) {
        uint32_t served = 0;

        for (uint32_t i = 0; i < 1000; i++)
            served += server_serves(&s, TICKET, second * 1000 + i, &ask);
        assert_int_equal(served, 25);
    }
    assert_int_equal(s.requests[TICKET][0], 100);
    assert_int_equal(server_peak(s.requests[TICKET], s.bin_count, 10), 1000);
    assert_int_equal(s.requests[UPGRADE][0], 0);
    server_fini(&s);
}

static void tickets_expire_once_and_are_spent_once(void **state)
{
    struct server s = a_server(10, STEER_NONE);

    (void)state;
    server_mint(&s, 5);
    server_mint(&s, 5);
    server_mint(&s, 20);
    assert_int_equal(s.most_alive, 3);
    assert_true(server_redeem(&s, 5, 35)); /* Its last millisecond. */
    assert_int_equal(s.alive, 2);
    assert_false(server_redeem(&s, 5, 36));
    assert_int_equal(s.expired, 1);
    assert_int_equal(s.too_old, 1);
    server_age(&s, 1000);
    assert_int_equal(s.minted, s.redeemed + s.expired);
    assert_int_equal(s.alive, 0);
    assert_int_equal(s.most_alive, 3);
    server_fini(&s);
}

static void a_refusal_steers(void **state)
{
    static const struct ask expected[][3] = {
        [STEER_NONE] = {{0, 0}, {0, 0}, {0, 0}},
        [STEER_RETRY_AFTER] = {{7000, 0}, {7000, 0}, {7000, 0}},
        [STEER_SLOTS] = {{0, 0}, {100, 0}, {200, 0}},          /* One each tenth of a second. */
        [STEER_SPREAD] = {{0, 50000}, {0, 50000}, {0, 50000}}, /* 500 at 10 a second. */
    };

    (void)state;
    for (int steer = STEER_NONE; steer <= STEER_SPREAD; steer++) {
        struct server s = a_server(10, (enum steer)steer);
        struct ask ask;

        assert_true(server_serves(&s, UPGRADE, 0, &ask));
        for (int i = 0; i < 3; i++) {
            assert_false(server_serves(&s, UPGRADE, 0, &ask));
            assert_int_equal(ask.retry_after_ms, expected[steer][i].retry_after_ms);
            assert_int_equal(ask.spread_ms, expected[steer][i].spread_ms);
        }
        s.mode[UPGRADE] = SAYS_503; /* Somebody else answers. */
        assert_false(server_serves(&s, UPGRADE, 100, &ask));
        assert_int_equal(ask.retry_after_ms + ask.spread_ms, 0);
        assert_int_equal(server_reply_spread_ms(&s), steer == STEER_SPREAD ? 100000 : 0);
        server_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_is_a_calendar),
        cmocka_unit_test(the_wheel_keeps_the_order),
        cmocka_unit_test(a_capacity_is_served_in_tenths),
        cmocka_unit_test(tickets_expire_once_and_are_spent_once),
        cmocka_unit_test(a_refusal_steers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
