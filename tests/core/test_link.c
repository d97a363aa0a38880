/* Stories of the open link: liveness, sleep, the close handshake, stop and start. */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Open since 90, and stable. */
static void begin_open(struct tale *t, const struct wst__policy *p)
{
    tale_begin(t, p);
    tale_open(t, 0);
    tale_wait(t, 5090);
    tale_skip(t);
}

/* ---- Liveness ---- */

static void a_peer_that_answers_lives(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_wait(&t, 20090);
    tale_event(&t, 20091, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 20130;
    tale_wait(&t, 40090);
    tale_event(&t, 40091, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 40091; /* In the same millisecond. */
    tale_wait(&t, 60090);
    tale_expect(&t, "[ 20090] timeout: ping\n"
                    "[ 20091] ping left\n"
                    "[ 30091] timeout\n"
                    "[ 40090] timeout: ping\n"
                    "[ 40091] ping left\n"
                    "[ 50091] timeout\n"
                    "[ 60090] timeout: ping\n");
}

static void a_silent_peer_is_dead(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_wait(&t, 20090);
    t.ev.last_rx_ms = 20100; /* Before the ping left. */
    tale_event(&t, 20500, WST__EV_PING_LEFT);
    tale_wait(&t, 30499);
    assert_int_equal(t.core.state, WST_STATE_OPEN);
    tale_wait(&t, 30500);
    tale_expect(&t, "[ 20090] timeout: ping\n"
                    "[ 20500] ping left\n"
                    "[ 30500] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void a_ping_that_cannot_leave_is_not_the_peers_fault(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_wait(&t, 20090);
    t.ev.last_rx_ms = 45000; /* A long upload, and a byte now and then. */
    tale_wait(&t, 60000);
    t.ev.last_rx_ms = 74000;
    tale_event(&t, 74001, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 74002;
    tale_wait(&t, 90000);
    tale_expect(&t, "[ 20090] timeout: ping\n"
                    "[ 40090] timeout\n"
                    "[ 74001] ping left\n"
                    "[ 74001] timeout: ping\n");
    assert_int_equal(t.core.state, WST_STATE_OPEN);
}

static void a_ping_that_never_leaves_does_not_keep_a_dead_link(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    t.ev.last_rx_ms = 20000;
    tale_wait(&t, 50089);
    assert_int_equal(t.core.state, WST_STATE_OPEN);
    tale_wait(&t, 50090);
    tale_expect(&t, "[ 20090] timeout: ping\n"
                    "[ 40090] timeout\n"
                    "[ 50090] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void pings_can_be_off(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.ping_interval_ms = 0;
    begin_open(&t, &p);
    assert_true(wst__core_deadline(&t.core) == WST__NEVER);
    tale_event(&t, 10000, WST__EV_WAKE); /* Asked for: one. */
    tale_event(&t, 10001, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 10002;
    tale_wait(&t, 20001);
    assert_true(wst__core_deadline(&t.core) == WST__NEVER);
    tale_expect(&t, "[ 10000] wake: ping\n"
                    "[ 10001] ping left\n"
                    "[ 20001] timeout\n");
}

static void a_shorter_interval_than_patience_asks_one_question_at_a_time(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.ping_interval_ms = 4000;
    begin_open(&t, &p);
    tale_event(&t, 5091, WST__EV_PING_LEFT);
    tale_wait(&t, 15091);
    tale_expect(&t, "[  5091] ping left\n"
                    "[  8090] timeout\n"
                    "[ 12090] timeout\n"
                    "[ 15091] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void a_wake_probes_the_link(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_WAKE);
    tale_event(&t, 6001, WST__EV_PING_LEFT);
    tale_event(&t, 6002, WST__EV_WAKE);      /* One question at a time. */
    tale_event(&t, 6003, WST__EV_PING_LEFT); /* Not ours. */
    tale_wait(&t, 16001);
    tale_expect(&t, "[  6000] wake: ping\n"
                    "[  6001] ping left\n"
                    "[  6002] wake\n"
                    "[  6003] ping left\n"
                    "[ 16001] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void a_sleep_is_noticed_and_the_link_probed(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    t.slept_ms = 2000; /* Not more than a rounding could be. */
    tale_event(&t, 6000, WST__EV_TIMEOUT);
    t.slept_ms = 3600000;
    tale_event(&t, 6500, WST__EV_TIMEOUT);
    tale_event(&t, 6501, WST__EV_PING_LEFT);
    tale_wait(&t, 16501);
    tale_expect(&t, "[  6000] timeout\n"
                    "[  6500] timeout: ping\n"
                    "[  6501] ping left\n"
                    "[ 16501] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void a_sleep_is_not_the_peers_silence(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_wait(&t, 20090);
    tale_event(&t, 20091, WST__EV_PING_LEFT);
    t.slept_ms = 3600000; /* The answer lies in the kernel. */
    tale_event(&t, 30091, WST__EV_TIMEOUT);
    tale_event(&t, 30092, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 30093;
    tale_wait(&t, 41000);
    tale_expect(&t, "[ 20090] timeout: ping\n"
                    "[ 20091] ping left\n"
                    "[ 30091] timeout: ping\n"
                    "[ 30092] ping left\n"
                    "[ 40092] timeout\n");
}

static void a_sleep_that_any_event_brings_to_light_leads_to_a_probe(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    t.slept_ms = 3600000;
    t.ev.attempt = 77; /* Even one that is dropped. */
    tale_event(&t, 6000, WST__EV_TOKEN_OK);
    tale_wait(&t, 6000);
    tale_expect(&t, "[  6000] token ok\n"
                    "[  6000] timeout: ping\n");
}

static void a_wake_after_an_answer_asks_again(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_WAKE);
    tale_event(&t, 6001, WST__EV_PING_LEFT);
    t.ev.last_rx_ms = 6040;
    tale_event(&t, 7000, WST__EV_WAKE);
    tale_expect(&t, "[  6000] wake: ping\n"
                    "[  6001] ping left\n"
                    "[  7000] wake: ping\n");
}

static void a_sleep_while_a_ping_is_pending_asks_anew(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_WAKE);
    t.slept_ms = 3600000;
    tale_event(&t, 6001, WST__EV_PING_LEFT); /* The old one, too late to count. */
    tale_wait(&t, 6001);
    tale_event(&t, 6002, WST__EV_PING_LEFT);
    tale_wait(&t, 16002);
    tale_expect(&t, "[  6000] wake: ping\n"
                    "[  6001] ping left\n"
                    "[  6001] timeout: ping\n"
                    "[  6002] ping left\n"
                    "[ 16002] timeout: drop link, open -> backoff,\n"
                    "         #1 closed (connect PING_TIMEOUT 1006: transient; 250 ms)\n");
}

static void a_new_link_knows_nothing_of_the_old_ones_pings(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_wait(&t, 20090);
    t.ev.failure = closed(1006);
    tale_event(&t, 20100, WST__EV_LINK_CLOSED); /* A ping is pending. */
    tale_open(&t, 20350);
    tale_event(&t, 20441, WST__EV_PING_LEFT);
    tale_skip(&t);
    tale_wait(&t, 40440);
    tale_expect(&t, "[ 25440] timeout\n"
                    "[ 40440] timeout: ping\n");
}

/* ---- The close handshake ---- */

static void stop_closes_with_a_handshake(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 6001, WST__EV_LINK_CLOSING);
    tale_event(&t, 6002, WST__EV_WAKE);
    tale_event(&t, 6003, WST__EV_PING_LEFT);
    t.ev.failure = closed(1000);
    tale_event(&t, 6040, WST__EV_LINK_CLOSED);
    tale_wait(&t, 100000);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[  6001] link closing\n"
                    "[  6002] wake\n"
                    "[  6003] ping left\n"
                    "[  6040] link closed: closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle\n");
}

static void a_handshake_that_is_not_answered_has_a_deadline(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 10999, WST__EV_TIMEOUT);
    tale_wait(&t, 11000);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[ 10999] timeout\n"
                    "[ 11000] timeout: drop link, closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle\n");
}

static void a_second_stop_is_at_once(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 6001, WST__EV_STOP);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[  6001] stop: drop link, closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle\n");
}

static void the_peer_closes(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_LINK_CLOSING);
    tale_event(&t, 6001, WST__EV_START); /* Wanted already. */
    t.ev.failure = closed(1001);
    tale_event(&t, 6040, WST__EV_LINK_CLOSED);
    tale_expect(&t, "[  6000] link closing: open -> closing\n"
                    "[  6001] start\n"
                    "[  6040] link closed: closing -> backoff,\n"
                    "         #1 closed (connect 1001: transient; 250 ms)\n");
}

static void the_peer_closes_and_does_not_end_it(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_LINK_CLOSING);
    tale_wait(&t, 11000);
    tale_expect(&t, "[  6000] link closing: open -> closing\n"
                    "[ 11000] timeout: drop link, closing -> backoff,\n"
                    "         #1 closed (connect TIMEOUT 1006: transient; 250 ms)\n");
}

static void the_peers_reason_counts_when_it_does_not_end_it(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    t.ev.failure = closed(4401);
    tale_event(&t, 6000, WST__EV_LINK_CLOSING);
    tale_wait(&t, 11000);
    tale_expect(&t, "[  6000] link closing: open -> closing\n"
                    "[ 11000] timeout: drop link, drop token, closing -> backoff,\n"
                    "         #1 closed (connect 4401: token; 250 ms)\n");
}

/* The answer to its close is sent and its end is waited for, as long as after a close of ours. */
static void stop_while_the_peer_closes(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_LINK_CLOSING);
    tale_event(&t, 6001, WST__EV_STOP);
    tale_event(&t, 6010, WST__EV_LINK_CLOSED);
    tale_expect(&t, "[  6000] link closing: open -> closing\n"
                    "[  6001] stop\n"
                    "[  6010] link closed: closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle\n");
}

static void stop_while_the_peer_closes_and_goes_on(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_LINK_CLOSING);
    tale_event(&t, 6001, WST__EV_STOP);
    tale_wait(&t, 11000);
    tale_expect(&t, "[  6000] link closing: open -> closing\n"
                    "[  6001] stop\n"
                    "[ 11000] timeout: drop link, closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle\n");
}

static void an_open_link_may_also_be_said_to_have_failed(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    t.ev.failure = error(WST_ERR_RESET);
    tale_event(&t, 6000, WST__EV_LINK_FAILED);
    tale_expect(&t, "[  6000] link failed: open -> backoff,\n"
                    "         #1 closed (connect RESET: transient; 250 ms)\n");
}

/* ---- Start again ---- */

static void start_during_a_stop_is_a_new_life(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 6001, WST__EV_START);
    t.ev.failure = closed(1000);
    tale_event(&t, 6040, WST__EV_LINK_CLOSED);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[  6001] start\n"
                    "[  6040] link closed: closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle,\n"
                    "         idle -> token, #2 begins, ensure token, dial\n");
}

static void start_during_a_stop_whose_handshake_is_not_answered(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 6001, WST__EV_START);
    tale_wait(&t, 11000);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[  6001] start\n"
                    "[ 11000] timeout: drop link, closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle,\n"
                    "         idle -> token, #2 begins, ensure token, dial\n");
}

static void stop_start_stop_ends_both_lives(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    begin_open(&t, &p);
    tale_event(&t, 6000, WST__EV_STOP);
    tale_event(&t, 6001, WST__EV_START);
    tale_event(&t, 6002, WST__EV_STOP);
    tale_expect(&t, "[  6000] stop: close link, open -> closing\n"
                    "[  6001] start\n"
                    "[  6002] stop: drop link, closing -> idle,\n"
                    "         #1 closed (none CANCELED), ended idle,\n"
                    "         ended idle\n");
}

static void stop_and_start_does_not_forgive(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    for (int i = 0; i < 3; i++) {
        t.ev.failure = http(500);
        tale_event(&t, t.core.seen_now_ms + 1, WST__EV_TOKEN_FAILED);
        tale_event(&t, t.core.seen_now_ms + 1, WST__EV_STOP);
        tale_event(&t, t.core.seen_now_ms + 1, WST__EV_START);
    }
    assert_int_equal(t.core.failures, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_answers_lives),
        cmocka_unit_test(a_silent_peer_is_dead),
        cmocka_unit_test(a_ping_that_cannot_leave_is_not_the_peers_fault),
        cmocka_unit_test(a_ping_that_never_leaves_does_not_keep_a_dead_link),
        cmocka_unit_test(pings_can_be_off),
        cmocka_unit_test(a_shorter_interval_than_patience_asks_one_question_at_a_time),
        cmocka_unit_test(a_wake_probes_the_link),
        cmocka_unit_test(a_sleep_is_noticed_and_the_link_probed),
        cmocka_unit_test(a_sleep_is_not_the_peers_silence),
        cmocka_unit_test(a_sleep_that_any_event_brings_to_light_leads_to_a_probe),
        cmocka_unit_test(stop_closes_with_a_handshake),
        cmocka_unit_test(a_handshake_that_is_not_answered_has_a_deadline),
        cmocka_unit_test(a_second_stop_is_at_once),
        cmocka_unit_test(the_peer_closes),
        cmocka_unit_test(the_peer_closes_and_does_not_end_it),
        cmocka_unit_test(the_peers_reason_counts_when_it_does_not_end_it),
        cmocka_unit_test(stop_while_the_peer_closes),
        cmocka_unit_test(stop_while_the_peer_closes_and_goes_on),
        cmocka_unit_test(an_open_link_may_also_be_said_to_have_failed),
        cmocka_unit_test(start_during_a_stop_is_a_new_life),
        cmocka_unit_test(start_during_a_stop_whose_handshake_is_not_answered),
        cmocka_unit_test(stop_start_stop_ends_both_lives),
        cmocka_unit_test(stop_and_start_does_not_forgive),
        cmocka_unit_test(a_wake_after_an_answer_asks_again),
        cmocka_unit_test(a_sleep_while_a_ping_is_pending_asks_anew),
        cmocka_unit_test(a_new_link_knows_nothing_of_the_old_ones_pings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
