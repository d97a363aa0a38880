/* Stories of an attempt: token, ticket, dial, upgrade, and each way to fail. */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- The way in ---- */

static void the_first_connect_is_immediate_and_dials_beside_the_ticket(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 40, WST__EV_DIAL_OK);
    tale_event(&t, 55, WST__EV_TICKET_OK);
    tale_event(&t, 90, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    40] dial ok\n"
                    "[    55] ticket ok: ticket -> connecting, upgrade\n"
                    "[    90] link open: connecting -> open, opened\n");
}

static void the_upgrade_waits_for_the_dial(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 40, WST__EV_TICKET_OK);
    tale_event(&t, 80, WST__EV_DIAL_OK);
    tale_event(&t, 99, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    40] ticket ok: ticket -> connecting\n"
                    "[    80] dial ok: upgrade\n"
                    "[    99] link open: connecting -> open, opened\n");
}

static void a_serial_policy_dials_when_the_ticket_is_there(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 40, WST__EV_TICKET_OK);
    tale_event(&t, 80, WST__EV_DIAL_OK);
    tale_event(&t, 99, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    40] ticket ok: ticket -> connecting, dial\n"
                    "[    80] dial ok: upgrade\n"
                    "[    99] link open: connecting -> open, opened\n");
}

static void a_target_that_the_ticket_names_is_dialed_after_it(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.late_dial_target = true;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 40, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    40] ticket ok: ticket -> connecting, dial\n");
}

static void without_a_token_step_it_begins_with_the_ticket(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.token_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 40, WST__EV_TICKET_OK);
    tale_event(&t, 80, WST__EV_DIAL_OK);
    tale_expect(&t, "[     0] start: idle -> ticket, #1 begins, get ticket, dial\n"
                    "[    40] ticket ok: ticket -> connecting\n"
                    "[    80] dial ok: upgrade\n");
}

static void without_a_ticket_step_the_token_leads_to_the_upgrade(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 40, WST__EV_DIAL_OK);
    tale_event(&t, 80, WST__EV_TOKEN_OK);
    tale_event(&t, 99, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    40] dial ok\n"
                    "[    80] token ok: token -> connecting, upgrade\n"
                    "[    99] link open: connecting -> open, opened\n");
}

static void with_neither_it_is_a_plain_client(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.token_step = p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    t.slept_ms = 3600000; /* No ticket, so none that is stale. */
    tale_event(&t, 80, WST__EV_DIAL_OK);
    tale_event(&t, 99, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> connecting, #1 begins, dial\n"
                    "[    80] dial ok: upgrade\n"
                    "[    99] link open: connecting -> open, opened\n");
}

static void a_link_is_not_open_before_the_upgrade_is_written(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.token_step = p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> connecting, #1 begins, dial\n"
                    "[     1] link open\n");
}

/* ---- The ticket: its own for every attempt, and never stale ---- */

static void every_attempt_fetches_its_own_ticket_after_the_wait(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_open(&t, 0);
    tale_skip(&t);
    t.ev.failure = closed(1006);
    tale_event(&t, 7000, WST__EV_LINK_CLOSED);
    tale_wait(&t, 7249);
    tale_wait(&t, 7250);
    tale_event(&t, 7251, WST__EV_TOKEN_OK);
    tale_event(&t, 7252, WST__EV_TICKET_SENT);
    tale_event(&t, 7260, WST__EV_TICKET_OK);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 7270, WST__EV_LINK_FAILED);
    tale_wait(&t, 7770);
    tale_event(&t, 7771, WST__EV_TOKEN_OK);
    tale_expect(&t, "[  7000] link closed: open -> backoff,\n"
                    "         #1 closed (connect 1006: transient; 250 ms)\n"
                    "[  7250] timeout: backoff -> token, #2 begins, ensure token, dial\n"
                    "[  7251] token ok: token -> ticket, get ticket\n"
                    "[  7252] ticket sent\n"
                    "[  7260] ticket ok: ticket -> connecting\n"
                    "[  7270] link failed: drop ticket, connecting -> backoff,\n"
                    "         #2 failed (connect CONNECT: transient; 500 ms)\n"
                    "[  7770] timeout: backoff -> token, #3 begins, ensure token, dial\n"
                    "[  7771] token ok: token -> ticket, get ticket\n");
}

static void a_ticket_of_80_percent_of_its_life_is_still_used(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 500, WST__EV_TICKET_SENT); /* Its age counts from the request, at 10. */
    t.ev.ticket_life_ms = 1001;
    tale_event(&t, 700, WST__EV_TICKET_OK);
    tale_event(&t, 810, WST__EV_DIAL_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[   500] ticket sent\n"
                    "[   700] ticket ok: ticket -> connecting\n"
                    "[   810] dial ok: upgrade\n");
}

static void an_older_ticket_is_replaced_in_the_same_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 500, WST__EV_TICKET_SENT);
    t.ev.ticket_life_ms = 1001;
    tale_event(&t, 700, WST__EV_TICKET_OK);
    tale_event(&t, 811, WST__EV_DIAL_OK);
    tale_event(&t, 812, WST__EV_TICKET_SENT);
    t.ev.ticket_life_ms = 1001;
    tale_event(&t, 900, WST__EV_TICKET_OK);
    tale_event(&t, 950, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[   500] ticket sent\n"
                    "[   700] ticket ok: ticket -> connecting\n"
                    "[   811] dial ok: drop ticket, connecting -> ticket, get ticket\n"
                    "[   812] ticket sent\n"
                    "[   900] ticket ok: ticket -> connecting, upgrade\n"
                    "[   950] link open: connecting -> open, opened\n");
}

static void a_ticket_that_is_stale_twice_ends_the_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 20, WST__EV_DIAL_OK);
    t.ev.ticket_life_ms = 100;
    tale_event(&t, 100, WST__EV_TICKET_OK);
    t.ev.ticket_life_ms = 100;
    tale_event(&t, 200, WST__EV_TICKET_OK);
    tale_expect(
        &t,
        "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
        "[    10] token ok: token -> ticket, get ticket\n"
        "[    20] dial ok\n"
        "[   100] ticket ok: ticket -> connecting, drop ticket, connecting -> ticket, get ticket\n"
        "[   200] ticket ok: ticket -> connecting, drop ticket, drop link, connecting -> backoff,\n"
        "         #1 failed (connect TICKET_STALE: transient; 250 ms)\n");
}

static void a_sleep_ages_the_ticket(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    t.slept_ms = 7000000; /* Before the attempt: of no concern. */
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 20, WST__EV_TICKET_OK);
    t.slept_ms += 24000;
    tale_event(&t, 30, WST__EV_DIAL_OK);
    tale_event(&t, 40, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket ok: ticket -> connecting\n"
                    "[    30] dial ok: drop ticket, connecting -> ticket, get ticket\n"
                    "[    40] ticket ok: ticket -> connecting, upgrade\n");
}

static void a_stale_ticket_takes_the_target_with_it_that_it_named(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.late_dial_target = true;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    t.ev.ticket_life_ms = 100;
    tale_event(&t, 20, WST__EV_TICKET_OK);
    tale_event(&t, 300, WST__EV_DIAL_OK);
    t.ev.ticket_life_ms = 100;
    tale_event(&t, 310, WST__EV_TICKET_OK);
    tale_event(&t, 350, WST__EV_DIAL_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket ok: ticket -> connecting, dial\n"
                    "[   300] dial ok: drop ticket, drop link, connecting -> ticket, get ticket\n"
                    "[   310] ticket ok: ticket -> connecting, dial\n"
                    "[   350] dial ok: upgrade\n");
}

/* ---- The dial beside ---- */

static void a_dial_that_fails_before_the_ticket_was_asked_for_ends_the_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    t.ev.failure = error(WST_ERR_RESOLVE);
    tale_event(&t, 5, WST__EV_LINK_FAILED);
    tale_wait(&t, 255);
    tale_event(&t, 260, WST__EV_TOKEN_OK);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 265, WST__EV_LINK_FAILED); /* Asked for, but the request has not left. */
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     5] link failed: cancel http, token -> backoff,\n"
                    "         #1 failed (connect RESOLVE: transient; 250 ms)\n"
                    "[   255] timeout: backoff -> token, #2 begins, ensure token, dial\n"
                    "[   260] token ok: token -> ticket, get ticket\n"
                    "[   265] link failed: cancel http, ticket -> backoff,\n"
                    "         #2 failed (connect CONNECT: transient; 500 ms)\n");
}

static void when_both_fail_the_ticket_is_named_first(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    t.ev.failure = error(WST_ERR_TLS_VERIFY);
    tale_event(&t, 15, WST__EV_LINK_FAILED);
    t.ev.failure = http(503);
    tale_event(&t, 55, WST__EV_TICKET_FAILED);
    tale_expect(
        &t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
            "[    10] token ok: token -> ticket, get ticket\n"
            "[    12] ticket sent\n"
            "[    15] link failed\n"
            "[    55] ticket failed: ticket -> backoff,\n"
            "         #1 failed (ticket 503: soft; and connect TLS_VERIFY: transient; 250 ms)\n");
}

static void a_ticket_without_a_connection_is_dropped(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 15, WST__EV_LINK_FAILED);
    tale_event(&t, 16, WST__EV_DIAL_OK); /* Nobody dials any more. */
    t.ev.failure = error(WST_ERR_RESET);
    tale_event(&t, 17, WST__EV_LINK_FAILED);
    tale_event(&t, 55, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    15] link failed\n"
                    "[    16] dial ok\n"
                    "[    17] link failed\n"
                    "[    55] ticket ok: drop ticket, ticket -> backoff,\n"
                    "         #1 failed (connect CONNECT: transient; 250 ms)\n");
}

static void a_dead_dial_and_a_refused_token_end_the_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 15, WST__EV_LINK_FAILED);
    t.ev.failure = http(401);
    tale_event(&t, 55, WST__EV_TICKET_FAILED);
    tale_expect(&t,
                "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                "[    10] token ok: token -> ticket, get ticket\n"
                "[    12] ticket sent\n"
                "[    15] link failed\n"
                "[    55] ticket failed: drop token, ticket -> backoff,\n"
                "         #1 failed (ticket 401: token; and connect CONNECT: transient; 250 ms)\n");
    assert_int_equal(t.core.auth_failures, 0); /* Only one token was tried. */
}

static void a_dial_that_fails_when_the_ticket_is_there_drops_it(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 55, WST__EV_TICKET_OK);
    t.ev.failure = error(WST_ERR_TLS);
    tale_event(&t, 60, WST__EV_LINK_FAILED);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    55] ticket ok: ticket -> connecting\n"
                    "[    60] link failed: drop ticket, connecting -> backoff,\n"
                    "         #1 failed (connect TLS: transient; 250 ms)\n");
}

static void a_waiting_connection_that_ends_is_dialed_once_more(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 5, WST__EV_DIAL_OK);
    t.ev.failure = error(WST_ERR_EOF);
    tale_event(&t, 8, WST__EV_LINK_FAILED);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    tale_event(&t, 14, WST__EV_DIAL_OK);
    tale_event(&t, 55, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     5] dial ok\n"
                    "[     8] link failed: dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    14] dial ok\n"
                    "[    55] ticket ok: ticket -> connecting, upgrade\n");
}

static void a_waiting_connection_that_ends_twice_has_failed(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 5, WST__EV_DIAL_OK);
    t.ev.failure = error(WST_ERR_EOF);
    tale_event(&t, 8, WST__EV_LINK_FAILED);
    tale_event(&t, 9, WST__EV_DIAL_OK);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 12, WST__EV_TICKET_SENT);
    t.ev.failure = error(WST_ERR_RESET);
    tale_event(&t, 18, WST__EV_LINK_FAILED);
    tale_event(&t, 55, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     5] dial ok\n"
                    "[     8] link failed: dial\n"
                    "[     9] dial ok\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    12] ticket sent\n"
                    "[    18] link failed\n"
                    "[    55] ticket ok: drop ticket, ticket -> backoff,\n"
                    "         #1 failed (connect RESET: transient; 250 ms)\n");
}

static void an_idle_connection_is_dropped_and_dialed_again_for_the_ticket(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 50, WST__EV_DIAL_OK);
    tale_wait(&t, 5049);
    tale_wait(&t, 5050);
    tale_event(&t, 6000, WST__EV_TOKEN_OK);
    tale_event(&t, 6001, WST__EV_TICKET_SENT);
    tale_event(&t, 6050, WST__EV_TICKET_OK);
    tale_event(&t, 6090, WST__EV_DIAL_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    50] dial ok\n"
                    "[  5050] timeout: drop link\n"
                    "[  6000] token ok: token -> ticket, get ticket\n"
                    "[  6001] ticket sent\n"
                    "[  6050] ticket ok: ticket -> connecting, dial\n"
                    "[  6090] dial ok: upgrade\n");
    assert_false(t.core.redialed); /* That is kept for a connection that the peer ends. */
}

static void a_stale_ticket_does_not_let_a_connection_wait_for_longer(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 50, WST__EV_DIAL_OK);
    t.ev.ticket_life_ms = 1000;
    tale_event(&t, 4900, WST__EV_TICKET_OK);
    tale_wait(&t, 5049);
    tale_wait(&t, 5050);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    50] dial ok\n"
                    "[  4900] ticket ok: ticket -> connecting, drop ticket, connecting -> ticket, "
                    "get ticket\n"
                    "[  5050] timeout: drop link\n");
}

static void a_server_that_refuses_steps_1_and_2_is_dialed_serially(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    t.ev.failure = http(500);
    tale_event(&t, 10, WST__EV_TOKEN_FAILED);
    tale_wait(&t, 260);
    tale_event(&t, 270, WST__EV_TOKEN_OK);
    tale_event(&t, 300, WST__EV_TICKET_OK);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 310, WST__EV_LINK_FAILED);
    tale_wait(&t, 810); /* It failed in step 3: in parallel again. */
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token failed: drop link, token -> backoff,\n"
                    "         #1 failed (token 500: transient; 250 ms)\n"
                    "[   260] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   270] token ok: token -> ticket, get ticket\n"
                    "[   300] ticket ok: ticket -> connecting, dial\n"
                    "[   310] link failed: drop ticket, connecting -> backoff,\n"
                    "         #2 failed (connect CONNECT: transient; 500 ms)\n"
                    "[   810] timeout: backoff -> token, #3 begins, ensure token, dial\n");
}

static void an_open_link_ends_the_serial_way_too(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    t.ev.failure = http(500);
    tale_event(&t, 10, WST__EV_TOKEN_FAILED);
    tale_open(&t, 260);
    t.ev.failure = closed(1006);
    tale_event(&t, 9000, WST__EV_LINK_CLOSED);
    tale_skip(&t);
    tale_wait(&t, 9250);
    tale_expect(&t, "[  9250] timeout: backoff -> token, #3 begins, ensure token, dial\n");
}

static void the_second_cause_is_of_its_own_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_wait(&t, 10250);
    assert_int_equal(t.core.other.code, 0);
}

static void the_second_ticket_request_has_not_left_with_the_first(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 11, WST__EV_TICKET_SENT);
    t.ev.failure = http(401);
    tale_event(&t, 30, WST__EV_TICKET_FAILED);
    tale_event(&t, 60, WST__EV_TOKEN_OK);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 61, WST__EV_LINK_FAILED);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    11] ticket sent\n"
                    "[    30] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[    60] token ok: token -> ticket, get ticket\n"
                    "[    61] link failed: cancel http, ticket -> backoff,\n"
                    "         #1 failed (connect CONNECT: transient; 250 ms)\n");
}

static void a_connection_that_waits_for_a_second_ticket_is_not_kept_for_ever(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    t.ev.ticket_life_ms = 100;
    tale_event(&t, 20, WST__EV_TICKET_OK);
    tale_event(&t, 200, WST__EV_DIAL_OK);
    tale_wait(&t, 5200);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket ok: ticket -> connecting\n"
                    "[   200] dial ok: drop ticket, connecting -> ticket, get ticket\n"
                    "[  5200] timeout: drop link\n");
}

/* ---- Deadlines ---- */

static void a_token_that_does_not_come(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 9000, WST__EV_DIAL_OK);
    tale_event(&t, 9999, WST__EV_TIMEOUT); /* Early ones do nothing. */
    tale_wait(&t, 10000);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[  9000] dial ok\n"
                    "[  9999] timeout\n"
                    "[ 10000] timeout: cancel http, drop link, token -> backoff,\n"
                    "         #1 failed (token TIMEOUT: transient; 250 ms)\n");
}

static void a_ticket_that_does_not_come(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 100, WST__EV_TOKEN_OK);
    tale_event(&t, 101, WST__EV_TICKET_SENT);
    tale_wait(&t, 10100);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[   100] token ok: token -> ticket, get ticket\n"
                    "[   101] ticket sent\n"
                    "[ 10100] timeout: cancel http, ticket -> backoff,\n"
                    "         #1 failed (ticket TIMEOUT: transient; 250 ms)\n");
}

static void a_dial_that_hangs_before_the_ticket_was_asked_for(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.step_timeout_ms = 1000;
    p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 500, WST__EV_TOKEN_OK);
    tale_wait(&t, 1000);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[   500] token ok: token -> connecting\n"
                    "[  1000] timeout: drop link, connecting -> backoff,\n"
                    "         #1 failed (connect TIMEOUT: transient; 250 ms)\n");
}

static void a_dial_that_hangs_lets_the_ticket_answer(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 500, WST__EV_TOKEN_OK);
    tale_event(&t, 501, WST__EV_TICKET_SENT);
    tale_wait(&t, 10000);
    tale_event(&t, 10100, WST__EV_TICKET_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[   500] token ok: token -> ticket, get ticket\n"
                    "[   501] ticket sent\n"
                    "[ 10000] timeout: drop link\n"
                    "[ 10100] ticket ok: drop ticket, ticket -> backoff,\n"
                    "         #1 failed (connect TIMEOUT: transient; 250 ms)\n");
}

static void when_nothing_answers_both_causes_are_told(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_wait(&t, 10000);
    tale_expect(
        &t,
        "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
        "[ 10000] timeout: cancel http, drop link, token -> backoff,\n"
        "         #1 failed (token TIMEOUT: transient; and connect TIMEOUT: transient; 250 ms)\n");
}

static void an_upgrade_that_is_not_answered(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 20, WST__EV_TICKET_OK);
    tale_event(&t, 100, WST__EV_DIAL_OK);
    tale_wait(&t, 10100);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket ok: ticket -> connecting\n"
                    "[   100] dial ok: upgrade\n"
                    "[ 10100] timeout: drop link, connecting -> backoff,\n"
                    "         #1 failed (connect TIMEOUT: transient; 250 ms)\n");
}

static void the_whole_attempt_has_a_deadline(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.attempt_timeout_ms = 15000;
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 8000, WST__EV_TOKEN_OK);
    tale_event(&t, 14000, WST__EV_TICKET_OK);
    tale_wait(&t, 15000);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[  8000] token ok: token -> ticket, get ticket\n"
                    "[ 14000] ticket ok: ticket -> connecting, dial\n"
                    "[ 15000] timeout: drop link, drop ticket, connecting -> backoff,\n"
                    "         #1 failed (connect TIMEOUT: transient; 250 ms)\n");
}

static void a_connection_that_is_upgraded_is_not_idle(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 20, WST__EV_DIAL_OK);
    tale_event(&t, 30, WST__EV_TICKET_OK);
    tale_wait(&t, 9000);
    tale_event(&t, 9001, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] dial ok\n"
                    "[    30] ticket ok: ticket -> connecting, upgrade\n"
                    "[  9001] link open: connecting -> open, opened\n");
}

static void the_deadline_of_a_step_ends_with_it(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_DIAL_OK);
    tale_wait(&t, 9000); /* Idle, and dropped. */
    tale_event(&t, 9000, WST__EV_TOKEN_OK);
    tale_wait(&t, 18999);
    tale_event(&t, 18999, WST__EV_DIAL_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] dial ok\n"
                    "[  5010] timeout: drop link\n"
                    "[  9000] token ok: token -> connecting, dial\n"
                    "[ 18999] dial ok: upgrade\n");
}

/* ---- Tokens that are refused ---- */

static void a_refused_token_is_replaced_in_the_same_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 11, WST__EV_TICKET_SENT);
    t.ev.failure = http(401);
    tale_event(&t, 30, WST__EV_TICKET_FAILED);
    tale_event(&t, 40, WST__EV_DIAL_OK);
    tale_event(&t, 60, WST__EV_TOKEN_OK);
    tale_event(&t, 61, WST__EV_TICKET_SENT);
    tale_event(&t, 80, WST__EV_TICKET_OK);
    tale_event(&t, 99, WST__EV_LINK_OPEN);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    11] ticket sent\n"
                    "[    30] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[    40] dial ok\n"
                    "[    60] token ok: token -> ticket, get ticket\n"
                    "[    61] ticket sent\n"
                    "[    80] ticket ok: ticket -> connecting, upgrade\n"
                    "[    99] link open: connecting -> open, opened\n");
}

/* An attempt in which step 2 answers 401 to one token and then to another. */
static void refuse_two_tokens(struct tale *t, uint64_t now)
{
    tale_event(t, now + 10, WST__EV_TOKEN_OK);
    tale_event(t, now + 11, WST__EV_TICKET_SENT);
    t->ev.failure = http(401);
    tale_event(t, now + 20, WST__EV_TICKET_FAILED);
    tale_event(t, now + 30, WST__EV_TOKEN_OK);
    tale_event(t, now + 31, WST__EV_TICKET_SENT);
    t->ev.failure = http(401);
    tale_event(t, now + 40, WST__EV_TICKET_FAILED);
}

static void two_refused_tokens_are_an_auth_failure_and_two_of_those_give_up(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    refuse_two_tokens(&t, 0);
    tale_wait(&t, 290);
    refuse_two_tokens(&t, 290);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    11] ticket sent\n"
                    "[    20] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[    30] token ok: token -> ticket, get ticket\n"
                    "[    31] ticket sent\n"
                    "[    40] ticket failed: drop link, drop token, ticket -> backoff,\n"
                    "         #1 failed (ticket 401: token; 250 ms)\n"
                    "[   290] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   300] token ok: token -> ticket, get ticket\n"
                    "[   301] ticket sent\n"
                    "[   310] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[   320] token ok: token -> ticket, get ticket\n"
                    "[   321] ticket sent\n"
                    "[   330] ticket failed: drop token, ticket -> failed,\n"
                    "         #2 failed (ticket 401: auth), ended failed\n");
}

static void no_other_token_to_be_had_is_an_auth_failure(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    for (int i = 0; i < 2; i++) {
        tale_event(&t, t.core.seen_now_ms + 10, WST__EV_TOKEN_OK);
        t.ev.failure = http(401);
        tale_event(&t, t.core.seen_now_ms + 10, WST__EV_TICKET_FAILED);
        t.ev.failure = error(WST_ERR_NO_TOKEN);
        tale_event(&t, t.core.seen_now_ms + 10, WST__EV_TOKEN_FAILED);
        tale_wait(&t, t.core.seen_now_ms + 250);
    }
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[    30] token failed: token -> backoff,\n"
                    "         #1 failed (token NO_TOKEN: token; 250 ms)\n"
                    "[   280] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   290] token ok: token -> ticket, get ticket\n"
                    "[   300] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[   310] token failed: token -> failed,\n"
                    "         #2 failed (token NO_TOKEN: auth), ended failed\n");
}

static void auth_failures_count_only_when_they_are_running(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    refuse_two_tokens(&t, 0);
    tale_wait(&t, 290);
    t.ev.failure = http(500);
    tale_event(&t, 300, WST__EV_TOKEN_FAILED);
    tale_wait(&t, 800);
    refuse_two_tokens(&t, 800);
    assert_int_equal(t.core.state, WST_STATE_BACKOFF);
    assert_int_equal(t.core.failure.cls, WST_CLASS_TOKEN);
    assert_int_equal(t.core.auth_failures, 1);
}

/* A refusal whose body stalls is told when the attempt's time is up: it is told, not retried. */
static void no_other_token_is_tried_when_the_attempt_has_no_time_left(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    tale_event(&t, 11, WST__EV_TICKET_SENT);
    t.ev.failure = http(401);
    tale_event(&t, p.attempt_timeout_ms, WST__EV_TICKET_FAILED);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    11] ticket sent\n"
                    "[ 30000] ticket failed: drop link, drop token, ticket -> backoff,\n"
                    "         #1 failed (ticket 401: token; 250 ms)\n");
}

static void another_failure_of_step_1_after_a_401_is_that_failure(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 10, WST__EV_TOKEN_OK);
    t.ev.failure = http(401);
    tale_event(&t, 20, WST__EV_TICKET_FAILED);
    t.ev.failure = http(503);
    tale_event(&t, 30, WST__EV_TOKEN_FAILED);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    20] ticket failed: drop token, ticket -> token, ensure token\n"
                    "[    30] token failed: token -> backoff,\n"
                    "         #1 failed (token 503: soft; 250 ms)\n");
    assert_int_equal(t.core.auth_failures, 0);
}

static void without_a_token_step_a_401_is_an_auth_failure(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.token_step = p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    t.ev.failure = http(401);
    tale_event(&t, 10, WST__EV_TICKET_FAILED);
    tale_wait(&t, 260);
    t.ev.failure = http(401);
    tale_event(&t, 270, WST__EV_TICKET_FAILED);
    tale_expect(&t, "[     0] start: idle -> ticket, #1 begins, get ticket\n"
                    "[    10] ticket failed: ticket -> backoff,\n"
                    "         #1 failed (ticket 401: token; 250 ms)\n"
                    "[   260] timeout: backoff -> ticket, #2 begins, get ticket\n"
                    "[   270] ticket failed: ticket -> failed,\n"
                    "         #2 failed (ticket 401: auth), ended failed\n");
}

/* ---- Stop, and late answers ---- */

static void stop_while_the_token_is_fetched(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_STOP);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] stop: cancel http, drop link, token -> idle,\n"
                    "         #1 failed (none CANCELED), ended idle\n");
}

static void stop_while_the_ticket_is_fetched(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_TOKEN_OK);
    tale_event(&t, 2, WST__EV_TICKET_SENT);
    t.ev.failure = error(WST_ERR_CONNECT);
    tale_event(&t, 3, WST__EV_LINK_FAILED);
    tale_event(&t, 4, WST__EV_STOP);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     2] ticket sent\n"
                    "[     3] link failed\n"
                    "[     4] stop: cancel http, ticket -> idle,\n"
                    "         #1 failed (none CANCELED), ended idle\n");
}

static void stop_while_connecting_drops_the_ticket(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_TOKEN_OK);
    tale_event(&t, 2, WST__EV_TICKET_OK);
    tale_event(&t, 3, WST__EV_STOP);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     2] ticket ok: ticket -> connecting\n"
                    "[     3] stop: drop link, drop ticket, connecting -> idle,\n"
                    "         #1 failed (none CANCELED), ended idle\n");
}

static void stop_after_the_upgrade_has_no_ticket_to_drop(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_TOKEN_OK);
    tale_event(&t, 2, WST__EV_DIAL_OK);
    tale_event(&t, 3, WST__EV_TICKET_OK);
    tale_event(&t, 4, WST__EV_STOP);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     2] dial ok\n"
                    "[     3] ticket ok: ticket -> connecting, upgrade\n"
                    "[     4] stop: drop link, connecting -> idle,\n"
                    "         #1 failed (none CANCELED), ended idle\n");
}

static void answers_of_another_attempt_are_dropped(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_STOP);
    t.ev.attempt = 1;
    tale_event(&t, 2, WST__EV_TOKEN_OK);
    tale_event(&t, 3, WST__EV_START);
    t.ev.attempt = 1;
    t.ev.failure = http(401);
    assert_true(wst__core_is_late(
        &t.core, &(struct wst__event){.type = WST__EV_TOKEN_FAILED, .attempt = 1}));
    tale_event(&t, 4, WST__EV_TOKEN_FAILED);
    t.ev.attempt = 1;
    tale_event(&t, 5, WST__EV_TOKEN_OK);
    t.ev.attempt = 1;
    tale_event(&t, 5, WST__EV_DIAL_OK);
    tale_event(&t, 6, WST__EV_TOKEN_OK);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] stop: cancel http, drop link, token -> idle,\n"
                    "         #1 failed (none CANCELED), ended idle\n"
                    "[     2] token ok\n"
                    "[     3] start: idle -> token, #2 begins, ensure token, dial\n"
                    "[     4] token failed\n"
                    "[     5] token ok\n"
                    "[     5] dial ok\n"
                    "[     6] token ok: token -> ticket, get ticket\n");
}

static void clocks_that_go_backwards_do_no_harm(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 1000000, WST__EV_START);
    tale_event(&t, 500000, WST__EV_TOKEN_OK);
    tale_event(&t, 400000, WST__EV_TICKET_OK); /* Its age is not negative, and not huge. */
    tale_event(&t, 300000, WST__EV_DIAL_OK);
    tale_event(&t, 200000, WST__EV_LINK_OPEN);
    tale_event(&t, 0, WST__EV_TIMEOUT);
    tale_expect(&t, "[1000000] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[500000] token ok: token -> ticket, get ticket\n"
                    "[400000] ticket ok: ticket -> connecting\n"
                    "[300000] dial ok: upgrade\n"
                    "[200000] link open: connecting -> open, opened\n"
                    "[     0] timeout\n");
    assert_true(wst__core_deadline(&t.core) == 205000);
}

static void times_at_the_end_of_the_clock_do_no_harm(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.step_timeout_ms = p.attempt_timeout_ms = UINT64_MAX;
    tale_begin(&t, &p);
    tale_event(&t, 10, WST__EV_START);
    assert_true(wst__core_deadline(&t.core) == WST__NEVER - 1);
    tale_event(&t, WST__NEVER - 1, WST__EV_TIMEOUT);
    assert_int_equal(t.core.state, WST_STATE_BACKOFF);
    assert_true(wst__core_deadline(&t.core) == WST__NEVER - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_connect_is_immediate_and_dials_beside_the_ticket),
        cmocka_unit_test(the_upgrade_waits_for_the_dial),
        cmocka_unit_test(a_serial_policy_dials_when_the_ticket_is_there),
        cmocka_unit_test(a_target_that_the_ticket_names_is_dialed_after_it),
        cmocka_unit_test(without_a_token_step_it_begins_with_the_ticket),
        cmocka_unit_test(without_a_ticket_step_the_token_leads_to_the_upgrade),
        cmocka_unit_test(with_neither_it_is_a_plain_client),
        cmocka_unit_test(a_link_is_not_open_before_the_upgrade_is_written),
        cmocka_unit_test(every_attempt_fetches_its_own_ticket_after_the_wait),
        cmocka_unit_test(a_ticket_of_80_percent_of_its_life_is_still_used),
        cmocka_unit_test(an_older_ticket_is_replaced_in_the_same_attempt),
        cmocka_unit_test(a_ticket_that_is_stale_twice_ends_the_attempt),
        cmocka_unit_test(a_sleep_ages_the_ticket),
        cmocka_unit_test(a_stale_ticket_takes_the_target_with_it_that_it_named),
        cmocka_unit_test(a_dial_that_fails_before_the_ticket_was_asked_for_ends_the_attempt),
        cmocka_unit_test(when_both_fail_the_ticket_is_named_first),
        cmocka_unit_test(a_ticket_without_a_connection_is_dropped),
        cmocka_unit_test(a_dead_dial_and_a_refused_token_end_the_attempt),
        cmocka_unit_test(a_dial_that_fails_when_the_ticket_is_there_drops_it),
        cmocka_unit_test(a_waiting_connection_that_ends_is_dialed_once_more),
        cmocka_unit_test(a_waiting_connection_that_ends_twice_has_failed),
        cmocka_unit_test(an_idle_connection_is_dropped_and_dialed_again_for_the_ticket),
        cmocka_unit_test(a_stale_ticket_does_not_let_a_connection_wait_for_longer),
        cmocka_unit_test(a_server_that_refuses_steps_1_and_2_is_dialed_serially),
        cmocka_unit_test(a_token_that_does_not_come),
        cmocka_unit_test(a_ticket_that_does_not_come),
        cmocka_unit_test(a_dial_that_hangs_before_the_ticket_was_asked_for),
        cmocka_unit_test(a_dial_that_hangs_lets_the_ticket_answer),
        cmocka_unit_test(when_nothing_answers_both_causes_are_told),
        cmocka_unit_test(an_upgrade_that_is_not_answered),
        cmocka_unit_test(the_whole_attempt_has_a_deadline),
        cmocka_unit_test(a_refused_token_is_replaced_in_the_same_attempt),
        cmocka_unit_test(two_refused_tokens_are_an_auth_failure_and_two_of_those_give_up),
        cmocka_unit_test(no_other_token_to_be_had_is_an_auth_failure),
        cmocka_unit_test(auth_failures_count_only_when_they_are_running),
        cmocka_unit_test(no_other_token_is_tried_when_the_attempt_has_no_time_left),
        cmocka_unit_test(another_failure_of_step_1_after_a_401_is_that_failure),
        cmocka_unit_test(without_a_token_step_a_401_is_an_auth_failure),
        cmocka_unit_test(stop_while_the_token_is_fetched),
        cmocka_unit_test(stop_while_the_ticket_is_fetched),
        cmocka_unit_test(stop_while_connecting_drops_the_ticket),
        cmocka_unit_test(stop_after_the_upgrade_has_no_ticket_to_drop),
        cmocka_unit_test(answers_of_another_attempt_are_dropped),
        cmocka_unit_test(clocks_that_go_backwards_do_no_harm),
        cmocka_unit_test(times_at_the_end_of_the_clock_do_no_harm),
        cmocka_unit_test(an_open_link_ends_the_serial_way_too),
        cmocka_unit_test(the_second_cause_is_of_its_own_attempt),
        cmocka_unit_test(the_second_ticket_request_has_not_left_with_the_first),
        cmocka_unit_test(a_connection_that_waits_for_a_second_ticket_is_not_kept_for_ever),
        cmocka_unit_test(a_connection_that_is_upgraded_is_not_idle),
        cmocka_unit_test(the_deadline_of_a_step_ends_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
