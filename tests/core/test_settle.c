/* Stories of what follows a failure: every row of the failure table, the counters, the wait. */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- Ways to end an attempt ---- */

static void fail_token(struct tale *t, uint64_t now, struct wst__failure f)
{
    t->ev.failure = f;
    tale_event(t, now, WST__EV_TOKEN_FAILED);
}

static void fail_ticket(struct tale *t, uint64_t now, struct wst__failure f)
{
    tale_event(t, now, WST__EV_TOKEN_OK);
    tale_event(t, now, WST__EV_TICKET_SENT);
    t->ev.failure = f;
    tale_event(t, now, WST__EV_TICKET_FAILED);
}

static void fail_upgrade(struct tale *t, uint64_t now, struct wst__failure f)
{
    tale_event(t, now, WST__EV_TOKEN_OK);
    tale_event(t, now, WST__EV_TICKET_SENT);
    tale_event(t, now, WST__EV_TICKET_OK);
    tale_event(t, now, WST__EV_DIAL_OK);
    t->ev.failure = f;
    tale_event(t, now, WST__EV_LINK_FAILED);
}

static void close_link(struct tale *t, uint64_t now, struct wst__failure f)
{
    t->ev.failure = f;
    tale_event(t, now, WST__EV_LINK_CLOSED);
}

/* Opens at |now| and is closed with |code| after |up_ms|. */
static void open_and_close(struct tale *t, uint64_t now, uint64_t up_ms, int code)
{
    tale_open(t, now);
    close_link(t, now + 90 + up_ms, closed(code));
}

/* ---- Transient and soft ---- */

static void transient_failures_climb_the_ladder(void **arg)
{
    static const struct {
        int code, status;
    } all[] = {{WST_ERR_RESOLVE, 0},       {WST_ERR_CONNECT, 0},       {WST_ERR_TLS, 0},
               {WST_ERR_TLS_VERIFY, 0},    {WST_ERR_TIMEOUT, 0},       {WST_ERR_RESET, 0},
               {WST_ERR_HTTP_STATUS, 500}, {WST_ERR_HTTP_STATUS, 502}, {WST_ERR_HTTP_STATUS, 408},
               {WST_ERR_HTTP_STATUS, 425}, {WST_ERR_BAD_REPLY, 200},   {WST_ERR_REDIRECTED, 302}};
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct wst__failure f = {.code = (int16_t)all[i].code,
                                 .http_status = (uint16_t)all[i].status};

        fail_token(&t, t.core.seen_now_ms, f);
        tale_wait(&t, t.core.retry_due);
    }
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[     0] token failed: token -> backoff,\n"
                    "         #1 failed (token RESOLVE: transient; 250 ms)\n"
                    "[   250] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   250] token failed: token -> backoff,\n"
                    "         #2 failed (token CONNECT: transient; 500 ms)\n"
                    "[   750] timeout: backoff -> token, #3 begins, ensure token\n"
                    "[   750] token failed: token -> backoff,\n"
                    "         #3 failed (token TLS: transient; 1000 ms)\n"
                    "[  1750] timeout: backoff -> token, #4 begins, ensure token\n"
                    "[  1750] token failed: token -> backoff,\n"
                    "         #4 failed (token TLS_VERIFY: transient; 2000 ms)\n"
                    "[  3750] timeout: backoff -> token, #5 begins, ensure token\n"
                    "[  3750] token failed: token -> backoff,\n"
                    "         #5 failed (token TIMEOUT: transient; 4000 ms)\n"
                    "[  7750] timeout: backoff -> token, #6 begins, ensure token\n"
                    "[  7750] token failed: token -> backoff,\n"
                    "         #6 failed (token RESET: transient; 8000 ms)\n"
                    "[ 15750] timeout: backoff -> token, #7 begins, ensure token\n"
                    "[ 15750] token failed: token -> backoff,\n"
                    "         #7 failed (token 500: transient; 16000 ms)\n"
                    "[ 31750] timeout: backoff -> token, #8 begins, ensure token\n"
                    "[ 31750] token failed: token -> backoff,\n"
                    "         #8 failed (token 502: transient; 30000 ms)\n"
                    "[ 61750] timeout: backoff -> token, #9 begins, ensure token\n"
                    "[ 61750] token failed: token -> backoff,\n"
                    "         #9 failed (token 408: transient; 30000 ms)\n"
                    "[ 91750] timeout: backoff -> token, #10 begins, ensure token\n"
                    "[ 91750] token failed: token -> backoff,\n"
                    "         #10 failed (token 425: transient; 30000 ms)\n"
                    "[121750] timeout: backoff -> token, #11 begins, ensure token\n"
                    "[121750] token failed: token -> backoff,\n"
                    "         #11 failed (token BAD_REPLY 200: transient; 30000 ms)\n"
                    "[151750] timeout: backoff -> token, #12 begins, ensure token\n"
                    "[151750] token failed: token -> backoff,\n"
                    "         #12 failed (token REDIRECTED 302: transient; 30000 ms)\n"
                    "[181750] timeout: backoff -> token, #13 begins, ensure token\n");
}

static void two_hundred_is_no_upgrade(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_upgrade(&t, 10,
                 (struct wst__failure){.code = WST_ERR_UPGRADE_REFUSED, .http_status = 200});
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[    10] token ok: token -> ticket, get ticket\n"
                    "[    10] ticket sent\n"
                    "[    10] ticket ok: ticket -> connecting\n"
                    "[    10] dial ok: upgrade\n"
                    "[    10] link failed: connecting -> backoff,\n"
                    "         #1 failed (connect UPGRADE_REFUSED 200: transient; 250 ms)\n");
}

static void a_busy_server_is_waited_for_as_long_as_it_asks(void **arg)
{
    struct wst__failure f = http(503);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_ticket(&t, 0, f);
    tale_wait(&t, 250);
    f = http(429);
    f.retry_after_ms = 30000;
    fail_ticket(&t, 300, f);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[     0] token ok: token -> ticket, get ticket\n"
                    "[     0] ticket sent\n"
                    "[     0] ticket failed: ticket -> backoff,\n"
                    "         #1 failed (ticket 503: soft; 250 ms)\n"
                    "[   250] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   300] token ok: token -> ticket, get ticket\n"
                    "[   300] ticket sent\n"
                    "[   300] ticket failed: ticket -> backoff,\n"
                    "         #2 failed (ticket 429: soft; 31710 ms)\n");
    assert_in_range(t.core.retry_due, 300 + 30000, 300 + 60000);
    assert_true(t.core.retry_floor == 300 + 30000);
}

static void what_a_server_asks_for_has_a_ceiling(void **arg)
{
    struct wst__failure f = http(503);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    f.retry_after_ms = UINT32_MAX;
    f.spread_ms = UINT32_MAX;
    fail_token(&t, 0, f);
    assert_in_range(t.core.retry_due, 300000, 900000);
    assert_true(t.core.retry_floor == 300000);
}

static void a_refusal_may_spread_the_next_attempt(void **arg)
{
    struct wst__failure f = http(503);
    uint64_t most = 0;

    (void)arg;
    f.spread_ms = 8000;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct wst__policy p;
        struct tale t;

        tale_policy(&p);
        tale_begin(&t, &p);
        wst__core_init(&t.core, &p, seed);
        tale_event(&t, 0, WST__EV_START);
        fail_token(&t, 0, f);
        assert_in_range(t.core.retry_due, 250, 8250);
        most = t.core.retry_due > most ? t.core.retry_due : most;
    }
    assert_true(most > 6000);
}

/* The largest wait of 200 clients whose link is closed with |code| after |up_ms|. */
static uint64_t largest_wait(const struct wst__policy *p, uint32_t ticket_spread_ms, int code)
{
    uint64_t most = 0;

    for (uint64_t seed = 0; seed < 200; seed++) {
        struct tale t;

        tale_begin(&t, p);
        wst__core_init(&t.core, p, seed);
        tale_event(&t, 0, WST__EV_START);
        tale_event(&t, 0, WST__EV_TOKEN_OK);
        t.ev.spread_ms = ticket_spread_ms;
        tale_event(&t, 0, WST__EV_TICKET_OK);
        tale_event(&t, 0, WST__EV_DIAL_OK);
        tale_event(&t, 0, WST__EV_LINK_OPEN);
        close_link(&t, 5000, closed(code));
        assert_true(t.core.retry_due >= 5250);
        most = t.core.retry_due - 5000 > most ? t.core.retry_due - 5000 : most;
    }
    return most;
}

static void a_restart_spreads_its_clients_over_a_window(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    assert_true(largest_wait(&p, 0, 1006) == 250);
    assert_in_range(largest_wait(&p, 0, 1012), 4500, 5250);
    assert_in_range(largest_wait(&p, 0, 1013), 4500, 5250);
    p.max_server_delay_ms = 0; /* The window is ours, not the server's. */
    assert_in_range(largest_wait(&p, 0, 1012), 4500, 5250);
}

static void the_ticket_reply_may_spread_the_next_reconnect(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    assert_in_range(largest_wait(&p, 20000, 1006), 18000, 20250);
    assert_in_range(largest_wait(&p, 20000, 1012), 18000, 20250);
    p.max_server_delay_ms = 1000;
    assert_in_range(largest_wait(&p, 20000, 1006), 800, 1250);
}

/* Of the wait after the link; an attempt that fails knows its own. */
static void the_ticket_reply_may_ask_for_patience(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 0, WST__EV_TOKEN_OK);
    t.ev.retry_after_ms = 40000;
    tale_event(&t, 0, WST__EV_TICKET_OK);
    tale_event(&t, 0, WST__EV_DIAL_OK);
    tale_event(&t, 0, WST__EV_LINK_OPEN);
    close_link(&t, 5000, closed(1006));
    assert_true(t.core.failure.retry_after_ms == 40000);
    assert_true(t.core.retry_floor == 45000);
    assert_in_range(t.core.retry_due, 45000, 85000);
    tale_event(&t, 6000, WST__EV_WAKE);
    assert_true(t.core.retry_due >= 45000);

    tale_wait(&t, t.core.retry_due); /* The next reply asks for nothing. */
    fail_token(&t, t.core.seen_now_ms, http(500));
    assert_true(t.core.failure.retry_after_ms == 0);
    tale_wait(&t, t.core.retry_due);
    tale_open(&t, t.core.seen_now_ms);
    close_link(&t, t.core.seen_now_ms + 5000, closed(1006));
    assert_true(t.core.retry_floor == t.core.seen_now_ms);

    p.max_server_delay_ms = 1000; /* Bounded as every wish of a server. */
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 0, WST__EV_TOKEN_OK);
    t.ev.retry_after_ms = UINT32_MAX;
    tale_event(&t, 0, WST__EV_TICKET_OK);
    tale_event(&t, 0, WST__EV_DIAL_OK);
    tale_event(&t, 0, WST__EV_LINK_OPEN);
    close_link(&t, 5000, closed(1006));
    assert_true(t.core.retry_floor == 6000);
    assert_in_range(t.core.retry_due, 6000, 7000);
}

/* ---- Tickets that are refused ---- */

static void two_refused_tickets_running_drop_the_token(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    for (int i = 0; i < 4; i++) {
        fail_upgrade(&t, t.core.seen_now_ms + 1, http(i % 2 ? 403 : 401));
        tale_wait(&t, t.core.retry_due);
    }
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     1] ticket sent\n"
                    "[     1] ticket ok: ticket -> connecting\n"
                    "[     1] dial ok: upgrade\n"
                    "[     1] link failed: connecting -> backoff,\n"
                    "         #1 failed (connect 401: ticket; 250 ms)\n"
                    "[   251] timeout: backoff -> token, #2 begins, ensure token, dial\n"
                    "[   252] token ok: token -> ticket, get ticket\n"
                    "[   252] ticket sent\n"
                    "[   252] ticket ok: ticket -> connecting\n"
                    "[   252] dial ok: upgrade\n"
                    "[   252] link failed: drop token, connecting -> backoff,\n"
                    "         #2 failed (connect 403: ticket; 500 ms)\n"
                    "[   752] timeout: backoff -> token, #3 begins, ensure token, dial\n"
                    "[   753] token ok: token -> ticket, get ticket\n"
                    "[   753] ticket sent\n"
                    "[   753] ticket ok: ticket -> connecting\n"
                    "[   753] dial ok: upgrade\n"
                    "[   753] link failed: connecting -> backoff,\n"
                    "         #3 failed (connect 401: ticket; 1000 ms)\n"
                    "[  1753] timeout: backoff -> token, #4 begins, ensure token, dial\n"
                    "[  1754] token ok: token -> ticket, get ticket\n"
                    "[  1754] ticket sent\n"
                    "[  1754] ticket ok: ticket -> connecting\n"
                    "[  1754] dial ok: upgrade\n"
                    "[  1754] link failed: drop token, connecting -> backoff,\n"
                    "         #4 failed (connect 403: ticket; 2000 ms)\n"
                    "[  3754] timeout: backoff -> token, #5 begins, ensure token, dial\n");
}

/* The first one, when no second one can tell. */
static void one_refused_ticket_may_drop_the_token(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.max_attempts = 1;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_skip(&t);
    fail_upgrade(&t, 1, http(401));
    tale_expect(&t, "[     1] token ok: token -> ticket, get ticket\n"
                    "[     1] ticket sent\n"
                    "[     1] ticket ok: ticket -> connecting\n"
                    "[     1] dial ok: upgrade\n"
                    "[     1] link failed: drop token, connecting -> failed,\n"
                    "         #1 failed (connect 401: ticket), ended failed (attempts used up)\n");
    p.max_attempts = 0;
    p.ticket_step = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_TOKEN_OK);
    tale_event(&t, 2, WST__EV_DIAL_OK);
    tale_skip(&t);
    t.ev.failure = http(401);
    tale_event(&t, 3, WST__EV_LINK_FAILED);
    tale_expect(&t, "[     3] link failed: drop token, connecting -> backoff,\n"
                    "         #1 failed (connect 401: ticket; 250 ms)\n");
}

static void refused_by_close_or_by_upgrade_count_together(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    open_and_close(&t, 0, 10, 4401);
    tale_wait(&t, 400);
    tale_skip(&t);
    fail_upgrade(&t, 400, http(401));
    tale_expect(&t, "[   400] token ok: token -> ticket, get ticket\n"
                    "[   400] ticket sent\n"
                    "[   400] ticket ok: ticket -> connecting\n"
                    "[   400] dial ok: upgrade\n"
                    "[   400] link failed: drop token, connecting -> backoff,\n"
                    "         #2 failed (connect 401: ticket; 500 ms)\n");
}

static void refused_tickets_count_only_when_they_are_running(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_upgrade(&t, 1, http(401));
    tale_wait(&t, 251);
    fail_upgrade(&t, 260, error(WST_ERR_RESET));
    tale_wait(&t, 760);
    tale_skip(&t);
    fail_upgrade(&t, 770, http(401));
    tale_expect(&t, "[   770] token ok: token -> ticket, get ticket\n"
                    "[   770] ticket sent\n"
                    "[   770] ticket ok: ticket -> connecting\n"
                    "[   770] dial ok: upgrade\n"
                    "[   770] link failed: connecting -> backoff,\n"
                    "         #3 failed (connect 401: ticket; 1000 ms)\n");
}

static void not_authorized_after_a_stable_link_drops_the_token(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_open(&t, 0);
    tale_skip(&t);
    close_link(&t, 5089, closed(4403)); /* A millisecond too early. */
    tale_wait(&t, 5339);
    tale_open(&t, 5400);
    tale_skip(&t);
    close_link(&t, 10490, closed(4403));
    tale_expect(&t, "[ 10490] link closed: drop token, open -> backoff,\n"
                    "         #2 closed (connect 4403: token; 250 ms)\n");
    assert_int_equal(t.core.failures, 1);
}

static void not_authorized_before_stable_is_the_ticket_also_after_a_stable_link(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    open_and_close(&t, 0, 6000, 1006);
    open_and_close(&t, t.core.retry_due, 10, 4401);
    assert_int_equal(t.core.failure.cls, WST_CLASS_TICKET);
}

static void a_close_frame_after_a_stable_link_counts_as_after(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_open(&t, 0);
    tale_event(&t, 5090, WST__EV_LINK_CLOSING); /* No TIMEOUT came at stable_due. */
    close_link(&t, 5095, closed(4401));
    assert_int_equal(t.core.failure.cls, WST_CLASS_TOKEN);
}

static void a_start_gives_the_credentials_a_new_chance(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = p.token_step = false;
    tale_begin(&t, &p);
    for (int i = 0; i < 4; i++) {
        tale_event(&t, t.core.seen_now_ms, WST__EV_START);
        t.ev.failure = http(401);
        tale_event(&t, t.core.seen_now_ms, WST__EV_TICKET_FAILED);
        assert_int_equal(t.core.failure.cls, WST_CLASS_TOKEN);
        tale_event(&t, t.core.seen_now_ms, WST__EV_STOP);
    }
    tale_begin(&t, &p);
    for (int i = 0; i < 4; i++) {
        tale_event(&t, t.core.seen_now_ms, WST__EV_START);
        fail_upgrade(&t, t.core.seen_now_ms, http(401));
        assert_int_equal(t.core.ticket_refusals, 1);
        tale_event(&t, t.core.seen_now_ms, WST__EV_STOP);
    }
}

/* ---- Who is not let in ---- */

static void not_let_in_before_the_first_open_is_the_end(void **arg)
{
    static const struct {
        int step, status;
    } all[] = {{1, 401}, {1, 403}, {2, 403}, {1, 400}, {2, 404}, {3, 405}, {3, 410}, {3, 407}};

    (void)arg;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct wst__policy p;
        struct tale t;

        tale_policy(&p);
        tale_begin(&t, &p);
        tale_event(&t, 0, WST__EV_START);
        if (all[i].step == 1)
            fail_token(&t, 1, http(all[i].status));
        else if (all[i].step == 2)
            fail_ticket(&t, 1, http(all[i].status));
        else
            fail_upgrade(&t, 1, http(all[i].status));
        assert_int_equal(t.core.state, WST_STATE_FAILED);
        assert_int_equal(t.core.failure.cls, all[i].status == 401 || all[i].status == 403
                                                 ? WST_CLASS_AUTH
                                                 : WST_CLASS_REFUSED);
        assert_int_equal(t.core.failure.http_status, all[i].status);
        assert_false(t.core.attempts_used_up);
        assert_true(wst__core_deadline(&t.core) == WST__NEVER);
    }
}

static void failed_is_said_once_and_left_by_start(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 1, http(401));
    tale_event(&t, 2, WST__EV_WAKE);
    tale_event(&t, 3, WST__EV_TIMEOUT);
    tale_event(&t, 4, WST__EV_STOP);
    tale_event(&t, 5, WST__EV_DIAL_OK);
    tale_event(&t, 6, WST__EV_START);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token failed: drop link, token -> failed,\n"
                    "         #1 failed (token 401: auth), ended failed\n"
                    "[     2] wake\n"
                    "[     3] timeout\n"
                    "[     4] stop\n"
                    "[     5] dial ok\n"
                    "[     6] start: failed -> token, #2 begins, ensure token\n");
}

static void a_client_that_worked_knocks_at_the_cap(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    open_and_close(&t, 0, 6000, 1006);
    tale_wait(&t, 6340);
    tale_skip(&t);
    fail_token(&t, 6350, http(401));
    tale_wait(&t, 36350);
    fail_token(&t, 36351, http(404)); /* Refused: on the ladder. */
    tale_expect(&t, "[  6350] token failed: drop link, token -> backoff,\n"
                    "         #2 failed (token 401: auth; 30000 ms)\n"
                    "[ 36350] timeout: backoff -> token, #3 begins, ensure token\n"
                    "[ 36351] token failed: token -> backoff,\n"
                    "         #3 failed (token 404: refused; 1000 ms)\n");
}

static void a_kiosk_never_gives_up(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.give_up = WST_GIVE_UP_NEVER;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 1, http(404));
    tale_wait(&t, 251);
    fail_token(&t, 252, http(403));
    tale_wait(&t, 30252);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token failed: drop link, token -> backoff,\n"
                    "         #1 failed (token 404: refused; 250 ms)\n"
                    "[   251] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   252] token failed: token -> backoff,\n"
                    "         #2 failed (token 403: auth; 30000 ms)\n"
                    "[ 30252] timeout: backoff -> token, #3 begins, ensure token\n");
}

static void always_gives_up_after_an_open_too(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.give_up = WST_GIVE_UP_ALWAYS;
    tale_begin(&t, &p);
    open_and_close(&t, 0, 6000, 1006);
    tale_wait(&t, 6340);
    tale_skip(&t);
    fail_token(&t, 6350, http(404));
    tale_expect(&t, "[  6350] token failed: drop link, token -> failed,\n"
                    "         #2 failed (token 404: refused), ended failed\n");
}

/* ---- The protocol, and ordinary ends ---- */

static void ends_of_an_open_link(void **arg)
{
    static const int codes[] = {1000, 1001, 1005, 1006, 1011, 1014,
                                4999, 1002, 1003, 1007, 1009, 1010};
    struct wst__policy p;
    struct tale t;
    uint64_t now = 0;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        tale_open(&t, now);
        tale_wait(&t, now + 6000);
        tale_skip(&t);
        close_link(&t, now + 6000, closed(codes[i]));
        assert_int_equal(t.core.state, WST_STATE_BACKOFF);
        assert_int_equal(t.core.failure.cls, i < 7 ? WST_CLASS_TRANSIENT : WST_CLASS_PROTOCOL);
        assert_true(t.core.retry_due == now + 6250);
        now += 6250;
    }
}

/* ---- The application's verdict ---- */

static void the_application_retries_what_would_be_the_end(void **arg)
{
    struct wst__failure f = http(403);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    f.verdict = WST_VERDICT_RETRY;
    fail_token(&t, 1, f);
    tale_wait(&t, 251);
    f.verdict = WST_VERDICT_RETRY_NEW_TOKEN;
    fail_ticket(&t, 252, f);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token failed: drop link, token -> backoff,\n"
                    "         #1 failed (token 403: auth; 250 ms)\n"
                    "[   251] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   252] token ok: token -> ticket, get ticket\n"
                    "[   252] ticket sent\n"
                    "[   252] ticket failed: drop token, ticket -> backoff,\n"
                    "         #2 failed (ticket 403: auth; 500 ms)\n");
}

static void the_application_stops_what_would_be_retried(void **arg)
{
    struct wst__failure f = closed(1001);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_open(&t, 0);
    tale_skip(&t);
    f.verdict = WST_VERDICT_STOP;
    close_link(&t, 9000, f);
    tale_expect(&t, "[  9000] link closed: open -> failed,\n"
                    "         #1 closed (connect 1001: transient), ended failed\n");
}

static void the_application_stops_a_dial_at_once(void **arg)
{
    struct wst__failure f = error(WST_ERR_TLS_VERIFY);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_event(&t, 1, WST__EV_TOKEN_OK);
    tale_event(&t, 2, WST__EV_TICKET_SENT);
    f.verdict = WST_VERDICT_STOP;
    t.ev.failure = f;
    tale_event(&t, 3, WST__EV_LINK_FAILED);
    tale_event(&t, 4, WST__EV_START);
    tale_event(&t, 5, WST__EV_DIAL_OK);
    t.ev.failure = f;
    tale_event(&t, 6, WST__EV_LINK_FAILED); /* Not dialed once more either. */
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     2] ticket sent\n"
                    "[     3] link failed: cancel http, ticket -> failed,\n"
                    "         #1 failed (connect TLS_VERIFY: transient), ended failed\n"
                    "[     4] start: failed -> token, #2 begins, ensure token, dial\n"
                    "[     5] dial ok\n"
                    "[     6] link failed: cancel http, token -> failed,\n"
                    "         #2 failed (connect TLS_VERIFY: transient), ended failed\n");
}

static void the_application_may_have_the_first_401_wait(void **arg)
{
    struct wst__failure f = http(401);
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    f.verdict = WST_VERDICT_RETRY_NEW_TOKEN;
    fail_ticket(&t, 1, f);
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token\n"
                    "[     1] token ok: token -> ticket, get ticket\n"
                    "[     1] ticket sent\n"
                    "[     1] ticket failed: drop token, ticket -> backoff,\n"
                    "         #1 failed (ticket 401: token; 250 ms)\n");
}

static void what_the_core_finds_itself_can_be_foreseen(void **arg)
{
    struct wst__event ev = {.type = WST__EV_TIMEOUT, .now_ms = 10000, .boot_ms = 10000};
    struct wst__failure f;
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.parallel_dial = false;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    tale_skip(&t);
    ev.now_ms = ev.boot_ms = 9999;
    assert_false(wst__core_foresee(&t.core, &ev, &f));
    ev.now_ms = ev.boot_ms = 10000;
    assert_true(wst__core_foresee(&t.core, &ev, &f));
    assert_int_equal(f.code, WST_ERR_TIMEOUT);
    assert_int_equal(f.step, WST_STEP_TOKEN);
    assert_int_equal(f.cls, WST_CLASS_TRANSIENT);
    assert_int_equal(t.core.state, WST_STATE_TOKEN); /* Only asked. */
    ev.type = WST__EV_STOP;
    assert_false(wst__core_foresee(&t.core, &ev, &f));
    ev.type = WST__EV_TOKEN_FAILED; /* What the driver tells, it has asked about. */
    ev.attempt = 1;
    ev.failure = http(401);
    assert_false(wst__core_foresee(&t.core, &ev, &f));
    t.ev.failure.verdict = WST_VERDICT_RETRY;
    tale_event(&t, 10000, WST__EV_TIMEOUT);
    ev = (struct wst__event){.type = WST__EV_TIMEOUT, .now_ms = 10250, .boot_ms = 10250};
    assert_false(wst__core_foresee(&t.core, &ev, &f)); /* The next attempt begins. */
    tale_wait(&t, 10250);
    t.ev.failure.verdict = WST_VERDICT_STOP;
    tale_event(&t, 20250, WST__EV_TIMEOUT);
    tale_expect(&t, "[ 10000] timeout: cancel http, token -> backoff,\n"
                    "         #1 failed (token TIMEOUT: transient; 250 ms)\n"
                    "[ 10250] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[ 20250] timeout: cancel http, token -> failed,\n"
                    "         #2 failed (token TIMEOUT: transient), ended failed\n");
}

/* ---- Counting ---- */

static void attempts_may_be_limited(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.max_attempts = 2;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 1, http(500));
    tale_wait(&t, 251);
    fail_token(&t, 252, http(500));
    tale_event(&t, 300, WST__EV_START); /* A new life; the failures in a row stay. */
    assert_false(t.core.attempts_used_up);
    fail_token(&t, 301, http(500));
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token failed: drop link, token -> backoff,\n"
                    "         #1 failed (token 500: transient; 250 ms)\n"
                    "[   251] timeout: backoff -> token, #2 begins, ensure token\n"
                    "[   252] token failed: token -> failed,\n"
                    "         #2 failed (token 500: transient), ended failed (attempts used up)\n"
                    "[   300] start: failed -> token, #3 begins, ensure token\n"
                    "[   301] token failed: token -> backoff,\n"
                    "         #3 failed (token 500: transient; 1000 ms)\n");
}

static void the_class_comes_before_the_limit(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.max_attempts = 1;
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 1, http(401));
    tale_expect(&t, "[     0] start: idle -> token, #1 begins, ensure token, dial\n"
                    "[     1] token failed: drop link, token -> failed,\n"
                    "         #1 failed (token 401: auth), ended failed\n");
    assert_false(t.core.attempts_used_up);
}

static void an_open_that_is_not_stable_uses_an_attempt_up(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    p.max_attempts = 1;
    tale_begin(&t, &p);
    tale_open(&t, 0);
    tale_skip(&t);
    close_link(&t, 200, closed(1001));
    tale_expect(&t,
                "[   200] link closed: open -> failed,\n"
                "         #1 closed (connect 1001: transient), ended failed (attempts used up)\n");
    tale_begin(&t, &p);
    open_and_close(&t, 0, 5000, 1001); /* Stable: one more attempt. */
    assert_int_equal(t.core.state, WST_STATE_BACKOFF);
}

static void an_instantly_closed_connection_is_a_failure(void **arg)
{
    struct wst__policy p;
    struct tale t;
    uint64_t now = 0;
    int opens = 0;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    while (now < 60000) {
        tale_open(&t, now);
        close_link(&t, now + 91, closed(1000));
        now = t.core.retry_due;
        tale_skip(&t);
        opens++;
    }
    assert_int_equal(opens, 8); /* 250 ms doubling, up to 30 s: not 244 a minute. */
}

static void the_counter_goes_back_only_when_the_link_was_stable(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 0, http(500));
    tale_wait(&t, 250);
    fail_token(&t, 250, http(500));
    open_and_close(&t, 750, 4999, 1006);
    assert_int_equal(t.core.failures, 3);
    tale_open(&t, t.core.retry_due);
    assert_int_equal(t.core.failures, 3);
    tale_wait(&t, t.core.stable_due);
    assert_int_equal(t.core.failures, 0);
    tale_skip(&t);
    close_link(&t, t.core.seen_now_ms + 1, closed(1006));
    assert_int_equal(t.core.failures, 1);
}

static void a_late_timer_does_not_make_a_link_less_stable(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 0, http(500));
    open_and_close(&t, 250, 5000, 4401); /* No TIMEOUT came at stable_due. */
    assert_int_equal(t.core.failures, 1);
    assert_int_equal(t.core.failure.cls, WST_CLASS_TOKEN);
}

static void counters_do_not_wrap(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    t.core.failures = UINT32_MAX;
    tale_event(&t, 0, WST__EV_START);
    t.core.tries = UINT32_MAX;
    fail_token(&t, 0, http(500));
    assert_true(t.core.failures == UINT32_MAX);
    assert_true(t.core.retry_due == 30000);
    tale_wait(&t, 30000);
    assert_true(t.core.tries == UINT32_MAX);
}

/* ---- The wait ---- */

static void the_delay_counts_from_the_end_of_the_attempt(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 9000, http(500));
    assert_true(t.core.retry_due == 9250);
}

static void stop_during_the_wait(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    tale_begin(&t, &p);
    tale_event(&t, 0, WST__EV_START);
    fail_token(&t, 1, http(500));
    tale_skip(&t);
    tale_event(&t, 100, WST__EV_STOP);
    assert_int_equal(t.core.failure.code, WST_ERR_CANCELED);
    tale_wait(&t, 100000);
    tale_expect(&t, "[   100] stop: backoff -> idle, ended idle\n");
}

/* Fails so often that the wait is |cap| long, and returns when it began. */
static uint64_t long_wait(struct tale *t, const struct wst__policy *p, uint32_t retry_after_ms)
{
    struct wst__failure f = http(503);

    tale_begin(t, p);
    t->core.failures = 20;
    tale_event(t, 1000, WST__EV_START);
    f.retry_after_ms = retry_after_ms;
    fail_token(t, 1000, f);
    tale_skip(t);
    return 1000;
}

static void a_wake_ends_the_wait_after_a_jitter(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    (void)long_wait(&t, &p, 0);
    assert_true(t.core.retry_due == 31000);
    tale_event(&t, 2000, WST__EV_WAKE);
    assert_in_range(t.core.retry_due, 2000, 2250);
    assert_int_equal(t.core.failures, 21); /* It leaves the counter alone. */
    tale_wait(&t, 2250);
    assert_int_equal(t.core.state, WST_STATE_TOKEN);
    fail_token(&t, 2250, http(500));
    assert_int_equal(t.core.failures, 22);
}

static void a_wake_counts_once_per_base_delay(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    (void)long_wait(&t, &p, 0);
    tale_event(&t, 2000, WST__EV_WAKE);
    tale_wait(&t, 2250);
    fail_token(&t, 2249, http(500));
    tale_event(&t, 2249, WST__EV_WAKE);
    assert_true(t.core.retry_due == 2249 + 30000);
    tale_event(&t, 2250, WST__EV_WAKE);
    assert_in_range(t.core.retry_due, 2250, 2500);
}

static void a_wake_never_makes_the_wait_longer(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    (void)long_wait(&t, &p, 0);
    tale_event(&t, 30999, WST__EV_WAKE);
    assert_true(t.core.retry_due <= 31000);
}

static void a_wake_does_not_cut_what_the_server_asked_for(void **arg)
{
    uint64_t least = UINT64_MAX, most = 0;
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct tale t;

        (void)long_wait(&t, &p, 60000);
        wst__rng_init(&t.core.rng, seed);
        tale_event(&t, 2000, WST__EV_WAKE);
        least = t.core.retry_due < least ? t.core.retry_due : least;
        most = t.core.retry_due > most ? t.core.retry_due : most;
    }
    assert_in_range(least, 61000, 61020); /* The floor, and not all of them at it. */
    assert_in_range(most, 61230, 61250);
}

static void a_sleep_during_the_wait_skips_the_rest(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    (void)long_wait(&t, &p, 0);
    t.slept_ms = 2000; /* Not more than a rounding could be. */
    tale_event(&t, 2000, WST__EV_TIMEOUT);
    assert_true(t.core.retry_due == 31000);
    t.slept_ms += 2001;
    tale_event(&t, 2000, WST__EV_TIMEOUT);
    assert_in_range(t.core.retry_due, 2000, 2250);
    tale_event(&t, 2000, WST__EV_WAKE); /* The host noticed it too: once is enough. */
    assert_in_range(t.core.retry_due, 2000, 2250);
    tale_wait(&t, 2250);
    assert_int_equal(t.core.state, WST_STATE_TOKEN);
}

static void a_sleep_counts_towards_what_the_server_asked_for(void **arg)
{
    struct wst__policy p;
    struct tale t;

    (void)arg;
    tale_policy(&p);
    (void)long_wait(&t, &p, 60000);
    t.slept_ms = 40000;
    tale_event(&t, 2000, WST__EV_TIMEOUT);
    assert_in_range(t.core.retry_due, 21000, 21250);
    t.slept_ms = 4000000;
    tale_event(&t, 2000, WST__EV_TIMEOUT);
    assert_in_range(t.core.retry_due, 2000, 2250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transient_failures_climb_the_ladder),
        cmocka_unit_test(two_hundred_is_no_upgrade),
        cmocka_unit_test(a_busy_server_is_waited_for_as_long_as_it_asks),
        cmocka_unit_test(what_a_server_asks_for_has_a_ceiling),
        cmocka_unit_test(a_refusal_may_spread_the_next_attempt),
        cmocka_unit_test(a_restart_spreads_its_clients_over_a_window),
        cmocka_unit_test(the_ticket_reply_may_spread_the_next_reconnect),
        cmocka_unit_test(the_ticket_reply_may_ask_for_patience),
        cmocka_unit_test(two_refused_tickets_running_drop_the_token),
        cmocka_unit_test(one_refused_ticket_may_drop_the_token),
        cmocka_unit_test(refused_by_close_or_by_upgrade_count_together),
        cmocka_unit_test(refused_tickets_count_only_when_they_are_running),
        cmocka_unit_test(not_authorized_after_a_stable_link_drops_the_token),
        cmocka_unit_test(not_let_in_before_the_first_open_is_the_end),
        cmocka_unit_test(failed_is_said_once_and_left_by_start),
        cmocka_unit_test(a_client_that_worked_knocks_at_the_cap),
        cmocka_unit_test(a_kiosk_never_gives_up),
        cmocka_unit_test(always_gives_up_after_an_open_too),
        cmocka_unit_test(ends_of_an_open_link),
        cmocka_unit_test(the_application_retries_what_would_be_the_end),
        cmocka_unit_test(the_application_stops_what_would_be_retried),
        cmocka_unit_test(the_application_stops_a_dial_at_once),
        cmocka_unit_test(the_application_may_have_the_first_401_wait),
        cmocka_unit_test(what_the_core_finds_itself_can_be_foreseen),
        cmocka_unit_test(attempts_may_be_limited),
        cmocka_unit_test(the_class_comes_before_the_limit),
        cmocka_unit_test(an_open_that_is_not_stable_uses_an_attempt_up),
        cmocka_unit_test(an_instantly_closed_connection_is_a_failure),
        cmocka_unit_test(the_counter_goes_back_only_when_the_link_was_stable),
        cmocka_unit_test(a_late_timer_does_not_make_a_link_less_stable),
        cmocka_unit_test(counters_do_not_wrap),
        cmocka_unit_test(the_delay_counts_from_the_end_of_the_attempt),
        cmocka_unit_test(stop_during_the_wait),
        cmocka_unit_test(a_wake_ends_the_wait_after_a_jitter),
        cmocka_unit_test(a_wake_counts_once_per_base_delay),
        cmocka_unit_test(a_wake_never_makes_the_wait_longer),
        cmocka_unit_test(a_wake_does_not_cut_what_the_server_asked_for),
        cmocka_unit_test(a_sleep_during_the_wait_skips_the_rest),
        cmocka_unit_test(a_sleep_counts_towards_what_the_server_asked_for),
        cmocka_unit_test(not_authorized_before_stable_is_the_ticket_also_after_a_stable_link),
        cmocka_unit_test(a_close_frame_after_a_stable_link_counts_as_after),
        cmocka_unit_test(a_start_gives_the_credentials_a_new_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
