/* Stories of failures and what follows them: the table of the README, row by row. */
#include "sim/tale.h"

#include <stdio.h>

/* ---- Steps 1 and 2 ------------------------------------------------------------------------- */

/* The ladder: 250, 500, 1000 ...; and it is left only by a link that stays up. */
static void ladder(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    for (size_t i = 0; i < 4; i++)
        t->tokens[i] = (struct sim_http_plan){.fail = WST_ERR_CONNECT, .fail_unsent = true};
    t->app.config.parallel_dial = 0;
    t->app.config.cap_ms = 1000;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 4000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[    20] token: CONNECT\n"
                   "[    20] failed: CONNECT (transient), next in 250 ms\n"
                   "[   270] attempt 2\n"
                   "[   270] POST /api/v1/auth/token\n"
                   "[   290] token: CONNECT\n"
                   "[   290] failed: CONNECT (transient), next in 500 ms\n"
                   "[   790] attempt 3\n"
                   "[   790] POST /api/v1/auth/token\n"
                   "[   810] token: CONNECT\n"
                   "[   810] failed: CONNECT (transient), next in 1000 ms\n"
                   "[  1810] attempt 4\n"
                   "[  1810] POST /api/v1/auth/token\n"
                   "[  1830] token: CONNECT\n"
                   "[  1830] failed: CONNECT (transient), next in 1000 ms\n"
                   "[  2830] attempt 5\n"
                   "[  2830] POST /api/v1/auth/token\n"
                   "[  2850] token: 200 token 1\n"
                   "[  2850] GET /api/v1/ws-ticket (token 1)\n"
                   "[  2870] ticket: 200 ticket 1\n"
                   "[  2870] dial api.example.com:443\n"
                   "[  2900] dial: ready\n"
                   "[  2900] upgrade /ws (ticket 1)\n"
                   "[  2910] server: 101\n"
                   "[  2920] open\n");
    tale_end(t);
}

/* Accepts and closes: each counts as a failure; after 5 s of peace they are forgiven. */
static void accept_and_close(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    for (size_t i = 0; i < 3; i++)
        t->links[i].fin_ms = 10;
    t->links[3].fin_ms = 4999;
    t->links[4].fin_ms = 5001;
    tale_start(t);
    tale_run(t, 16000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[    50] server: 101\n"
                   "[    60] server: end\n"
                   "[    60] open\n"
                   "[    70] closed: 1006 \"\"\n"
                   "[    70] because: EOF (transient), next in 250 ms\n"
                   "[   320] attempt 2\n"
                   "[   320] dial api.example.com:443\n"
                   "[   320] GET /api/v1/ws-ticket (token 1)\n"
                   "[   340] ticket: 200 ticket 2\n"
                   "[   350] dial: ready\n"
                   "[   350] upgrade /ws (ticket 2)\n"
                   "[   360] server: 101\n"
                   "[   370] server: end\n"
                   "[   370] open\n"
                   "[   380] closed: 1006 \"\"\n"
                   "[   380] because: EOF (transient), next in 500 ms\n"
                   "[   880] attempt 3\n"
                   "[   880] dial api.example.com:443\n"
                   "[   880] GET /api/v1/ws-ticket (token 1)\n"
                   "[   900] ticket: 200 ticket 3\n"
                   "[   910] dial: ready\n"
                   "[   910] upgrade /ws (ticket 3)\n"
                   "[   920] server: 101\n"
                   "[   930] server: end\n"
                   "[   930] open\n"
                   "[   940] closed: 1006 \"\"\n"
                   "[   940] because: EOF (transient), next in 1000 ms\n"
                   "[  1940] attempt 4\n"
                   "[  1940] dial api.example.com:443\n"
                   "[  1940] GET /api/v1/ws-ticket (token 1)\n"
                   "[  1960] ticket: 200 ticket 4\n"
                   "[  1970] dial: ready\n"
                   "[  1970] upgrade /ws (ticket 4)\n"
                   "[  1980] server: 101\n"
                   "[  1990] open\n"
                   "[  6979] server: end\n"
                   "[  6989] closed: 1006 \"\"\n"
                   "[  6989] because: EOF (transient), next in 2000 ms\n"
                   "[  8989] attempt 5\n"
                   "[  8989] dial api.example.com:443\n"
                   "[  8989] GET /api/v1/ws-ticket (token 1)\n"
                   "[  9009] ticket: 200 ticket 5\n"
                   "[  9019] dial: ready\n"
                   "[  9019] upgrade /ws (ticket 5)\n"
                   "[  9029] server: 101\n"
                   "[  9039] open\n"
                   "[ 14030] server: end\n"
                   "[ 14040] closed: 1006 \"\"\n"
                   "[ 14040] because: EOF (transient), next in 250 ms\n"
                   "[ 14290] attempt 6\n"
                   "[ 14290] dial api.example.com:443\n"
                   "[ 14290] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 14310] ticket: 200 ticket 6\n"
                   "[ 14320] dial: ready\n"
                   "[ 14320] upgrade /ws (ticket 6)\n"
                   "[ 14330] server: 101\n"
                   "[ 14340] open\n");
    tale_end(t);
}

static void token_5xx(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = 500;
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 500\n"
                   "[    20] dial: dropped\n"
                   "[    20] token -> backoff\n"
                   "[    20] failed: HTTP_STATUS (transient) 500, next in 250 ms\n");
    tale_end(t);
}

/* A captive portal: HTML under a 200. */
static void ticket_is_html(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].body = "<html>please log in</html>";
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200\n"
                                      "[    40] dial: dropped\n"
                                      "[    40] ticket -> backoff\n"
                                      "[    40] failed: BAD_REPLY (transient), next in 250 ms\n");
    tale_end(t);
}

static void redirected(void **state)
{
    struct tale *t = tale_new();
    const struct wst_error_info *e;

    (void)state;
    t->tickets[0].status = 302;
    t->tickets[0].location = "evil.example.com";
    tale_start(t);
    tale_run(t, 100);
    e = wst_client_last_error(t->app.client);
    assert_string_equal(e->cause.text,
                        "the ticket request was redirected to evil.example.com: not followed");
    assert_int_equal(e->cause.http_status, 302);
    tale_end(t);
}

static void soft_503_with_retry_after(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 503;
    t->tickets[0].retry_after_ms = 3000;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 7000);
    assert_int_equal(t->app.failure.retry_after_ms, 3000);
    assert_in_range(t->app.failure.next_delay_ms, 3000, 6000);
    assert_true(t->app.open);
    tale_end(t);
}

/* An upgrade refused until a date, by a server that does not tell its own: our clock is there. */
static void upgrade_refused_until_a_date(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].status = 503;
    t->links[0].headers = "Retry-After: Tue, 14 Nov 2023 22:14:20 GMT\r\n";
    t->links[0].asked_ms = 60000;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.retry_after_ms, 60000);
    tale_end(t);
}

/* The body may ask for it, too; the longer one counts. */
static void soft_429_with_retry_after_in_json(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = 429;
    t->tokens[0].retry_after_ms = 1000;
    t->tokens[0].body = "{\"retryAfterMs\":4000}";
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.cause.cls, WST_CLASS_SOFT);
    assert_int_equal(t->app.failure.retry_after_ms, 4000);
    assert_in_range(t->app.failure.next_delay_ms, 4000, 8000);
    tale_end(t);
}

/* A server may not send us away for a day. */
static void retry_after_is_bounded(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 503;
    t->tickets[0].retry_after_ms = 86400000;
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.retry_after_ms, 300000);
    assert_in_range(t->app.failure.next_delay_ms, 300000, 600000);
    tale_end(t);
}

static void spread_in_a_refusal(void **state)
{
    uint64_t least = UINT64_MAX, most = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct tale *t = tale_new();

        wst__rng_init(&t->w.entropy, (uint64_t)i);
        t->tickets[0].status = 503;
        t->tickets[0].body = "{\"reconnectSpreadMs\":10000}";
        tale_start(t);
        tale_run(t, 100);
        least = t->app.failure.next_delay_ms < least ? t->app.failure.next_delay_ms : least;
        most = t->app.failure.next_delay_ms > most ? t->app.failure.next_delay_ms : most;
        tale_end(t);
    }
    assert_in_range(least, 250, 3000);
    assert_in_range(most, 7000, 10250);
}

/* Some servers refuse under a 200: what they ask counts all the same. */
static void steering_in_a_reply_that_is_no_ticket(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = 200;
    t->tokens[0].body = "{\"success\":false,\"retryAfterMs\":4000}";
    t->tickets[0].status = 200;
    t->tickets[0].body = "{\"success\":false,\"retryAfterMs\":1000}";
    t->tickets[0].retry_after_ms = 6000;
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.cause.code, WST_ERR_BAD_REPLY);
    assert_int_equal(t->app.failure.cause.step, WST_STEP_TOKEN);
    assert_int_equal(t->app.failure.retry_after_ms, 4000);
    assert_in_range(t->app.failure.next_delay_ms, 4000, 8000);
    tale_run(t, 9000);
    assert_int_equal(t->app.failure.cause.step, WST_STEP_TICKET);
    assert_int_equal(t->app.failure.retry_after_ms, 6000);
    assert_in_range(t->app.failure.next_delay_ms, 6000, 12000);
    tale_end(t);
}

/* A good reply's wish is for the time after the link. */
static void patience_in_a_ticket_reply(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.retry_after_ms = 9000;
    tale_open(t);
    sim_ws_fin(&t->w);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.retry_after_ms, 9000);
    assert_in_range(t->app.failure.next_delay_ms, 9000, 18000);
    tale_end(t);
}

/* The ticket's reply asks for a spread of the reconnect that follows the link. */
static void spread_in_a_ticket_reply(void **state)
{
    uint64_t most = 0;

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct tale *t = tale_new();

        wst__rng_init(&t->w.entropy, (uint64_t)i);
        t->w.server.spread_ms = 8000;
        tale_open(t);
        sim_ws_fin(&t->w);
        tale_run(t, 100);
        most = t->app.failure.next_delay_ms > most ? t->app.failure.next_delay_ms : most;
        assert_in_range(t->app.failure.next_delay_ms, 250, 8250);
        tale_end(t);
    }
    assert_in_range(most, 5000, 8250);
}

static void credentials_refused(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = t->tokens[1].status = 401;
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 401\n"
                   "[    20] dial: dropped\n"
                   "[    20] token -> failed\n"
                   "[    20] failed: HTTP_STATUS (auth) 401\n"
                   "[    20] ended: failed, HTTP_STATUS\n");
    tale_end(t);
}

static void ticket_forbidden_and_never_giving_up(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.give_up = WST_GIVE_UP_NEVER;
    t->app.quiet = true;
    for (size_t i = 0; i < 3; i++)
        t->tickets[i].status = 403;
    tale_start(t);
    tale_run(t, 62000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 403\n"
                   "[    40] dial: dropped\n"
                   "[    40] failed: HTTP_STATUS (auth) 403, next in 30000 ms\n"
                   "[ 30040] attempt 2\n"
                   "[ 30040] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 30060] ticket: 403\n"
                   "[ 30060] failed: HTTP_STATUS (auth) 403, next in 30000 ms\n"
                   "[ 60060] attempt 3\n"
                   "[ 60060] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 60080] ticket: 403\n"
                   "[ 60080] failed: HTTP_STATUS (auth) 403, next in 30000 ms\n");
    tale_end(t);
}

/* A wrong URL: the client that has never been open says so and gives up ... */
static void not_found_before_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 404;
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 404\n"
                                      "[    40] dial: dropped\n"
                                      "[    40] ticket -> failed\n"
                                      "[    40] failed: HTTP_STATUS (refused) 404\n"
                                      "[    40] ended: failed, HTTP_STATUS\n");
    tale_end(t);
}

/* ... and one that has been open goes on: a wrong deploy must not kill it. */
static void not_found_after_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[1].status = t->tickets[2].status = 404;
    t->app.quiet = true;
    tale_open(t);
    sim_ws_fin(&t->w);
    tale_run(t, 3000);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 404\n"
                   "[   380] dial: dropped\n"
                   "[   380] failed: HTTP_STATUS (refused) 404, next in 500 ms\n"
                   "[   880] attempt 3\n"
                   "[   880] GET /api/v1/ws-ticket (token 1)\n"
                   "[   900] ticket: 404\n"
                   "[   900] failed: HTTP_STATUS (refused) 404, next in 1000 ms\n"
                   "[  1900] attempt 4\n"
                   "[  1900] GET /api/v1/ws-ticket (token 1)\n"
                   "[  1920] ticket: 200 ticket 2\n"
                   "[  1920] dial api.example.com:443\n"
                   "[  1950] dial: ready\n"
                   "[  1950] upgrade /ws (ticket 2)\n"
                   "[  1960] server: 101\n"
                   "[  1970] open\n");
    tale_end(t);
}

static void always_giving_up(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.give_up = WST_GIVE_UP_ALWAYS;
    t->tickets[1].status = 410;
    t->app.quiet = true;
    tale_open(t);
    sim_ws_fin(&t->w);
    tale_run(t, 3000);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 410\n"
                   "[   380] dial: dropped\n"
                   "[   380] failed: HTTP_STATUS (refused) 410\n"
                   "[   380] ended: failed, HTTP_STATUS\n");
    (void)sim_start(&t->app);
    tale_run(t, 200);
    assert_true(t->app.open);
    tale_end(t);
}

/* The first connect counts. */
static void attempts_used_up(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.max_attempts = 2;
    t->app.quiet = true;
    t->tokens[0].status = t->tokens[1].status = 500;
    tale_start(t);
    tale_run(t, 3000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 500\n"
                   "[    20] dial: dropped\n"
                   "[    20] failed: HTTP_STATUS (transient) 500, next in 250 ms\n"
                   "[   270] attempt 2\n"
                   "[   270] POST /api/v1/auth/token\n"
                   "[   290] token: 500\n"
                   "[   290] failed: HTTP_STATUS (transient) 500\n"
                   "[   290] ended: failed, ATTEMPTS_USED_UP\n");
    assert_int_equal(wst_client_last_error(t->app.client)->other.http_status, 500);
    tale_end(t);
}

/* ---- Step 3 -------------------------------------------------------------------------------- */

/* Once: a new ticket.  Twice running: the token that bought them is suspected. */
static void upgrade_refused_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].status = 401;
    t->links[1].status = 403;
    tale_start(t);
    tale_run(t, 1200);
    tale_expect(t,
                TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                   "[    40] ticket: 200 ticket 1\n"
                                   "[    40] ticket -> connecting\n"
                                   "[    40] upgrade /ws (ticket 1)\n"
                                   "[    50] server: 401\n"
                                   "[    60] connecting -> backoff\n"
                                   "[    60] failed: UPGRADE_REFUSED (ticket) 401, next in 250 ms\n"
                                   "[   310] backoff -> token\n"
                                   "[   310] attempt 2\n"
                                   "[   310] dial api.example.com:443\n"
                                   "[   310] token -> ticket\n"
                                   "[   310] GET /api/v1/ws-ticket (token 1)\n"
                                   "[   330] ticket: 200 ticket 2\n"
                                   "[   330] ticket -> connecting\n"
                                   "[   340] dial: ready\n"
                                   "[   340] upgrade /ws (ticket 2)\n"
                                   "[   350] server: 403\n"
                                   "[   360] connecting -> backoff\n"
                                   "[   360] failed: UPGRADE_REFUSED (ticket) 403, next in 500 ms\n"
                                   "[   860] backoff -> token\n"
                                   "[   860] attempt 3\n"
                                   "[   860] POST /api/v1/auth/token\n"
                                   "[   860] dial api.example.com:443\n"
                                   "[   880] token: 200 token 2\n"
                                   "[   880] token -> ticket\n"
                                   "[   880] GET /api/v1/ws-ticket (token 2)\n"
                                   "[   890] dial: ready\n"
                                   "[   900] ticket: 200 ticket 3\n"
                                   "[   900] ticket -> connecting\n"
                                   "[   900] upgrade /ws (ticket 3)\n"
                                   "[   910] server: 101\n"
                                   "[   920] connecting -> open\n"
                                   "[   920] open\n");
    tale_end(t);
}

/* The same by a close code, before the link was stable. */
static void ticket_refused_by_close(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->links[0].close_ms = t->links[1].close_ms = 1;
    t->links[0].close_code = 4401;
    t->links[1].close_code = 1008;
    tale_start(t);
    tale_run(t, 1300);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[    50] server: 101\n"
                   "[    51] server: close 4401\n"
                   "[    60] open\n"
                   "[    61] client: close 4401\n"
                   "[    81] closed: 4401 \"\" clean\n"
                   "[    81] because: WS_CLOSED (ticket), next in 250 ms\n"
                   "[   331] attempt 2\n"
                   "[   331] dial api.example.com:443\n"
                   "[   331] GET /api/v1/ws-ticket (token 1)\n"
                   "[   351] ticket: 200 ticket 2\n"
                   "[   361] dial: ready\n"
                   "[   361] upgrade /ws (ticket 2)\n"
                   "[   371] server: 101\n"
                   "[   372] server: close 1008\n"
                   "[   381] open\n"
                   "[   382] client: close 1008\n"
                   "[   402] closed: 1008 \"\" clean\n"
                   "[   402] because: WS_CLOSED (ticket), next in 500 ms\n"
                   "[   902] attempt 3\n"
                   "[   902] POST /api/v1/auth/token\n"
                   "[   902] dial api.example.com:443\n"
                   "[   922] token: 200 token 2\n"
                   "[   922] GET /api/v1/ws-ticket (token 2)\n"
                   "[   932] dial: ready\n"
                   "[   942] ticket: 200 ticket 3\n"
                   "[   942] upgrade /ws (ticket 3)\n"
                   "[   952] server: 101\n"
                   "[   962] open\n");
    tale_end(t);
}

/* In either way: refused, then closed. */
static void refused_in_two_ways(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->links[0].status = 401;
    t->links[1].close_ms = 1;
    t->links[1].close_code = 4403;
    tale_start(t);
    tale_run(t, 1300);
    assert_int_equal(t->w.server.token_count, 2);
    assert_true(t->app.open);
    tale_end(t);
}

/* Not running: another failure between them, and the token stays. */
static void refused_not_running(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].status = 401;
    t->links[1].gone = true;
    t->links[2].status = 401;
    tale_start(t);
    tale_run(t, 3000);
    assert_int_equal(t->w.server.token_count, 1);
    assert_true(t->app.open);
    tale_end(t);
}

/* Without tickets it is the token that was refused: it is not shown a second time.  Found by a
 * seed: with max_attempts = 1 it was kept for ever. */
static void token_refused_at_the_upgrade(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.ticket_step = WST_STEP_MODE_OMIT;
    t->app.config.upgrade_bearer = 1;
    t->w.server.no_tickets = t->w.server.bearer = true;
    t->w.server.reject_status = 401;
    tale_open(t);
    sim_tokens_revoke(&t->w);
    sim_ws_reset(&t->w);
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: all tokens are revoked\n"
                   "[   100] server: reset\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: RESET (transient), next in 250 ms\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   390] dial: ready\n"
                   "[   390] upgrade with a token\n"
                   "[   390] upgrade /ws\n"
                   "[   400] server: token rejected\n"
                   "[   400] server: 401\n"
                   "[   410] failed: UPGRADE_REFUSED (ticket) 401, next in 500 ms\n"
                   "[   910] attempt 3\n"
                   "[   910] POST /api/v1/auth/token\n"
                   "[   910] dial api.example.com:443\n"
                   "[   930] token: 200 token 2\n"
                   "[   940] dial: ready\n"
                   "[   940] upgrade with a token\n"
                   "[   940] upgrade /ws\n"
                   "[   950] server: 101\n"
                   "[   960] open\n");
    tale_end(t);
}

/* A refusal whose body has no end, on a connection that nobody ends: when the time is up, what its
 * head said counts. */
static void refusal_without_an_end(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->links[0].raw = "HTTP/1.1 503 Busy\r\nRetry-After: 60\r\n\r\nbusy";
    t->links[0].asked_ms = 60000;
    t->links[0].hangs = true;
    tale_start(t);
    tale_run(t, 11000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[ 10040] failed: UPGRADE_REFUSED (soft) 503, next in 114055 ms\n");
    tale_end(t);
}

/* After the last attempt there is no second one to tell whether it was ticket or token: the next
 * start brings a new token. */
static void refused_in_the_last_attempt(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.max_attempts = 1;
    t->links[0].status = 401;
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.state, WST_STATE_FAILED);
    (void)sim_start(&t->app);
    tale_run(t, 100);
    assert_int_equal(t->w.server.token_count, 2);
    assert_true(t->app.open);
    tale_end(t);
}

/* The link was stable: then it is the user who was logged out. */
static void logged_out_by_the_server(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_run(t, 6000);
    tale_skip(t);
    sim_ws_close(&t->w, 4401, "session ended");
    tale_run(t, 500);
    tale_expect(t, "[  6100] server: close 4401\n"
                   "[  6110] open -> closing\n"
                   "[  6110] client: close 4401\n"
                   "[  6130] closing -> backoff\n"
                   "[  6130] closed: 4401 \"session ended\" clean\n"
                   "[  6130] because: WS_CLOSED (token), next in 250 ms\n"
                   "[  6380] backoff -> token\n"
                   "[  6380] attempt 2\n"
                   "[  6380] POST /api/v1/auth/token\n"
                   "[  6380] dial api.example.com:443\n"
                   "[  6400] token: 200 token 2\n"
                   "[  6400] token -> ticket\n"
                   "[  6400] GET /api/v1/ws-ticket (token 2)\n"
                   "[  6410] dial: ready\n"
                   "[  6420] ticket: 200 ticket 2\n"
                   "[  6420] ticket -> connecting\n"
                   "[  6420] upgrade /ws (ticket 2)\n"
                   "[  6430] server: 101\n"
                   "[  6440] connecting -> open\n"
                   "[  6440] open\n");
    tale_end(t);
}

static void upgrade_answered_200(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].status = 200;
    t->links[0].body = "<html>";
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.cause.code, WST_ERR_UPGRADE_REFUSED);
    assert_int_equal(t->app.failure.cause.cls, WST_CLASS_TRANSIENT);
    assert_int_equal(t->app.failure.cause.http_status, 200);
    tale_end(t);
}

static void upgrade_busy(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].status = 503;
    t->links[0].headers = "Retry-After: 2\r\n";
    t->links[0].body = "{\"retryAfterMs\":1500,\"reconnectSpreadMs\":100}";
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.failure.cause.cls, WST_CLASS_SOFT);
    assert_int_equal(t->app.failure.retry_after_ms, 2000);
    assert_in_range(t->app.failure.next_delay_ms, 2000, 4100);
    tale_end(t);
}

static void wrong_accept(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].raw = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
    tale_start(t);
    tale_run(t, 80);
    assert_int_equal(t->app.failure.cause.code, WST_ERR_BAD_UPGRADE);
    tale_end(t);
}

static void server_speaks_first(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].answer_ms = 500;
    tale_start(t);
    tale_run(t, 100);
    sim_ws_raw(&t->w, "SSH-2.0-OpenSSH\r\n", 17);
    tale_run(t, 600);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[   110] dial: dropped\n"
                                      "[   110] dial api.example.com:443\n"
                                      "[   140] dial: ready\n"
                                      "[   520] ticket: 200 ticket 1\n"
                                      "[   520] ticket -> connecting\n"
                                      "[   520] upgrade /ws (ticket 1)\n"
                                      "[   530] server: 101\n"
                                      "[   540] connecting -> open\n"
                                      "[   540] open\n");
    tale_end(t);
}

static void server_goes_away(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_close(&t->w, 1001, "going away");
    tale_run(t, 200);
    tale_expect(t, "[   100] server: close 1001\n"
                   "[   110] open -> closing\n"
                   "[   110] client: close 1001\n"
                   "[   130] closing -> backoff\n"
                   "[   130] closed: 1001 \"going away\" clean\n"
                   "[   130] because: WS_CLOSED (transient), next in 250 ms\n");
    tale_end(t);
}

static void check_restart(int code)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < 20; i++) {
        struct tale *t = tale_new();

        wst__rng_init(&t->w.entropy, (uint64_t)i);
        tale_open(t);
        sim_ws_close(&t->w, code, "");
        tale_run(t, 100);
        assert_int_equal(t->app.failure.cause.cls, WST_CLASS_SOFT);
        least = t->app.failure.next_delay_ms < least ? t->app.failure.next_delay_ms : least;
        most = t->app.failure.next_delay_ms > most ? t->app.failure.next_delay_ms : most;
        tale_end(t);
    }
    assert_in_range(least, 250, 2000);
    assert_in_range(most, 3500, 5250);
}

/* A restart sends everybody away at once: they come back over a window. */
static void service_restart(void **state)
{
    (void)state;
    check_restart(1012);
    check_restart(1013);
}

static void protocol_broken(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_raw(&t->w, "\xff\xff", 2);
    tale_run(t, 200);
    tale_expect(t, "[   110] open -> closing\n"
                   "[   110] client: close 1002\n"
                   "[   120] server: close answered\n"
                   "[   130] closing -> backoff\n"
                   "[   130] closed: 1006 \"\"\n"
                   "[   130] because: WS_PROTOCOL (protocol), next in 250 ms\n");
    tale_end(t);
}

/* ---- Everything ---------------------------------------------------------------------------- */

/* The failure table, written down once more. */
static enum wst_class class_of_status(enum wst_step step, int status)
{
    if (status == 401 || status == 403)
        return step == WST_STEP_CONNECT                   ? WST_CLASS_TICKET
               : step == WST_STEP_TICKET && status == 401 ? WST_CLASS_TOKEN
                                                          : WST_CLASS_AUTH;
    if (status == 429 || status == 503)
        return WST_CLASS_SOFT;
    if (status >= 400 && status < 500 && status != 408 && status != 425)
        return WST_CLASS_REFUSED;
    return WST_CLASS_TRANSIENT;
}

/* One attempt in which |step| is answered with |status|: its class, and what follows. */
static void check_status(enum wst_step step, int status)
{
    enum wst_class cls = class_of_status(step, status);
    struct tale *t = tale_new();
    char what[64];

    t->w.tracing = false;
    if (step == WST_STEP_TOKEN)
        t->tokens[0].status = status;
    else if (step == WST_STEP_TICKET)
        t->tickets[0].status = t->tickets[1].status = status;
    else
        t->links[0].status = status;
    tale_start(t);
    tale_run(t, 100);
    (void)snprintf(what, sizeof what, "step %d, status %d", (int)step, status);
    if (t->app.failure.cause.cls != cls || t->app.failure.cause.http_status != status)
        fail_msg("%s: %s", what, wst_class_name(t->app.failure.cause.cls));
    if ((t->app.state == WST_STATE_FAILED) != (cls == WST_CLASS_REFUSED || cls == WST_CLASS_AUTH))
        fail_msg("%s: %s", what, wst_state_name(t->app.state));
    tale_end(t);
}

static void every_status(void **state)
{
    (void)state;
    for (int status = 100; status <= 599; status++) {
        if (status < 200 || status > 299) {
            check_status(WST_STEP_TOKEN, status);
            check_status(WST_STEP_TICKET, status);
        }
        if (status >= 200) /* Of the 1xx all but 101 are interim, and 101 is a success. */
            check_status(WST_STEP_CONNECT, status);
    }
}

static enum wst_class class_of_close(int code, bool stable)
{
    switch (code) {
    case 1008:
    case 3000:
    case 3003:
    case 4401:
    case 4403:
        return stable ? WST_CLASS_TOKEN : WST_CLASS_TICKET;
    case 1012:
    case 1013:
        return WST_CLASS_SOFT;
    case 1002:
    case 1003:
    case 1007:
    case 1009:
    case 1010:
        return WST_CLASS_PROTOCOL;
    default:
        return WST_CLASS_TRANSIENT;
    }
}

static void check_close(int code, bool stable)
{
    struct tale *t = tale_new();

    t->w.tracing = false;
    tale_open(t);
    if (stable)
        tale_run(t, 5000);
    sim_ws_close(&t->w, code, "");
    tale_run(t, 100);
    if (t->app.failure.cause.cls != class_of_close(code, stable) ||
        t->app.failure.cause.close_code != code || t->app.state != WST_STATE_BACKOFF)
        fail_msg("close %d, %s: %s", code, stable ? "stable" : "new",
                 wst_class_name(t->app.failure.cause.cls));
    tale_end(t);
}

static void every_close_code(void **state)
{
    (void)state;
    for (int code = 1000; code <= 4999; code++) {
        bool legal = code != 1004 && code != 1005 && code != 1006 && (code < 1015 || code > 2999);

        if (legal) { /* RFC 6455, 7.4: the others may not be on the wire. */
            check_close(code, false);
            check_close(code, true);
        }
    }
}

/* ---- The application's verdict ------------------------------------------------------------- */

static void verdict_retry(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tickets[0].status = 404;
    t->verdicts[0] = WST_VERDICT_RETRY;
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 404\n"
                   "[    40] dial: dropped\n"
                   "[    40] failed: HTTP_STATUS (refused) 404, next in 250 ms\n"
                   "[   290] attempt 2\n"
                   "[   290] GET /api/v1/ws-ticket (token 1)\n"
                   "[   310] ticket: 200 ticket 1\n"
                   "[   310] dial api.example.com:443\n"
                   "[   340] dial: ready\n"
                   "[   340] upgrade /ws (ticket 1)\n"
                   "[   350] server: 101\n"
                   "[   360] open\n");
    tale_end(t);
}

static void verdict_new_token(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tickets[0].status = 500;
    t->verdicts[0] = WST_VERDICT_RETRY_NEW_TOKEN;
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 500\n"
                   "[    40] dial: dropped\n"
                   "[    40] failed: HTTP_STATUS (transient) 500, next in 250 ms\n"
                   "[   290] attempt 2\n"
                   "[   290] POST /api/v1/auth/token\n"
                   "[   310] token: 200 token 2\n"
                   "[   310] GET /api/v1/ws-ticket (token 2)\n"
                   "[   330] ticket: 200 ticket 1\n"
                   "[   330] dial api.example.com:443\n"
                   "[   360] dial: ready\n"
                   "[   360] upgrade /ws (ticket 1)\n"
                   "[   370] server: 101\n"
                   "[   380] open\n");
    tale_end(t);
}

static void verdict_stop(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    t->verdicts[0] = WST_VERDICT_STOP;
    sim_ws_fin(&t->w);
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] open -> failed\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient)\n"
                   "[   110] ended: failed, EOF\n");
    tale_end(t);
}

/* It is asked also of what the client finds by itself. */
static void verdict_on_a_timeout(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].silent = true;
    t->verdicts[0] = WST_VERDICT_STOP;
    tale_start(t);
    tale_run(t, 11000);
    assert_int_equal(t->app.state, WST_STATE_FAILED);
    assert_int_equal(t->app.failure.cause.code, WST_ERR_TIMEOUT);
    tale_end(t);
}

/* And of a close whose end is never seen. */
static void verdict_on_a_lazy_close(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].lazy_close = true;
    t->verdicts[0] = WST_VERDICT_STOP;
    tale_open(t);
    sim_ws_raw(&t->w, "\x88\x02\x03\xe9", 4);
    tale_run(t, 6000);
    assert_int_equal(t->app.state, WST_STATE_FAILED);
    assert_int_equal(t->app.failure.cause.close_code, 1001);
    tale_end(t);
}

static void stop_now(struct tale *t)
{
    (void)sim_stop(&t->app);
}

/* A stop inside on_verdict was once taken for a start. */
static void stop_inside_verdict(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 404;
    tale_when(t, SIM_CB_VERDICT, 1, stop_now);
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 404\n"
                                      "[    40] > stop\n"
                                      "[    40] dial: dropped\n"
                                      "[    40] ticket -> idle\n"
                                      "[    40] failed: CANCELED (none)\n"
                                      "[    40] ended: idle, CANCELED\n");
    tale_end(t);
}

static void close_now(struct tale *t)
{
    (void)sim_close(&t->app);
}

/* The new token that the refusal asks for is not fetched any more. */
static void close_inside_verdict(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 401;
    tale_when(t, SIM_CB_VERDICT, 1, close_now);
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 401\n"
                                      "[    40] > close\n"
                                      "[    40] dial: dropped\n"
                                      "[    40] ticket -> idle\n"
                                      "[    40] failed: CANCELED (none)\n"
                                      "[    40] ended: idle, CANCELED\n"
                                      "[    40] gone\n");
    tale_end(t);
}

/* Stops and starts that follow each other, each inside a callback of the one before. */
static unsigned flips;

static void start_again(struct tale *t);

static void stop_again(struct tale *t)
{
    flips++;
    tale_when(t, SIM_CB_ENDED, 1, start_again);
    (void)sim_stop(&t->app);
}

static void start_again(struct tale *t)
{
    if (flips++ < 1000)
        tale_when(t, SIM_CB_ATTEMPT, 1, stop_again);
    (void)sim_start(&t->app);
}

/* However many there are, the loop goes round between them. */
static void many_flips_from_a_verdict(void **state)
{
    struct tale *t = tale_new();
    uint64_t until_us = t->w.real_us + 1000000;
    unsigned most = 0;

    (void)state;
    t->app.quiet = true;
    t->tickets[0].status = 404;
    flips = 0;
    tale_when(t, SIM_CB_VERDICT, 1, stop_again);
    tale_start(t);
    for (unsigned before = 0; sim_step(&t->w, until_us); before = flips)
        most = flips - before > most ? flips - before : most;
    assert_in_range(flips, 1000, 1010);
    assert_in_range(most, 64, 256);
    tale_end(t);
}

/* ---- This machine -------------------------------------------------------------------------- */

static void out_of_memory(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tokens[0].refuse = WST_ERR_NOMEM;
    t->dials[1].refuse = WST_ERR_IO;
    t->dials[0].ready_ms = 1;
    tale_start(t);
    tale_run(t, 2000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] dial api.example.com:443\n"
                   "[     0] dial: dropped\n"
                   "[     0] failed: NOMEM (local), next in 250 ms\n"
                   "[   250] attempt 2\n"
                   "[   250] POST /api/v1/auth/token\n"
                   "[   270] token: 200 token 1\n"
                   "[   270] GET /api/v1/ws-ticket (token 1)\n"
                   "[   290] ticket: 200 ticket 1\n"
                   "[   290] failed: IO (local), next in 500 ms\n"
                   "[   790] attempt 3\n"
                   "[   790] dial api.example.com:443\n"
                   "[   790] GET /api/v1/ws-ticket (token 1)\n"
                   "[   810] ticket: 200 ticket 2\n"
                   "[   820] dial: ready\n"
                   "[   820] upgrade /ws (ticket 2)\n"
                   "[   830] server: 101\n"
                   "[   840] open\n");
    tale_end(t);
}

/* Not for the key by which tickets are remembered as spent: the first one cannot be used. */
static void no_entropy(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    tale_start(t);
    t->w.no_entropy = true;
    tale_run(t, 100);
    t->w.no_entropy = false;
    tale_run(t, 1000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] dial: dropped\n"
                   "[    40] failed: ENTROPY (local), next in 250 ms\n"
                   "[   290] attempt 2\n"
                   "[   290] GET /api/v1/ws-ticket (token 1)\n"
                   "[   310] ticket: 200 ticket 2\n"
                   "[   310] dial api.example.com:443\n"
                   "[   340] dial: ready\n"
                   "[   340] upgrade /ws (ticket 2)\n"
                   "[   350] server: 101\n"
                   "[   360] open\n");
    tale_end(t);
}

static void no_entropy_for_the_upgrade(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    tale_open(t);
    sim_ws_fin(&t->w);
    t->w.no_entropy = true;
    tale_run(t, 400);
    t->w.no_entropy = false;
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 200 ticket 2\n"
                   "[   390] dial: ready\n"
                   "[   390] dial: dropped\n"
                   "[   390] failed: ENTROPY (local), next in 500 ms\n"
                   "[   890] attempt 3\n"
                   "[   890] dial api.example.com:443\n"
                   "[   890] GET /api/v1/ws-ticket (token 1)\n"
                   "[   910] ticket: 200 ticket 3\n"
                   "[   920] dial: ready\n"
                   "[   920] upgrade /ws (ticket 3)\n"
                   "[   930] server: 101\n"
                   "[   940] open\n");
    tale_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ladder),
        cmocka_unit_test(accept_and_close),
        cmocka_unit_test(token_5xx),
        cmocka_unit_test(ticket_is_html),
        cmocka_unit_test(redirected),
        cmocka_unit_test(soft_503_with_retry_after),
        cmocka_unit_test(upgrade_refused_until_a_date),
        cmocka_unit_test(soft_429_with_retry_after_in_json),
        cmocka_unit_test(retry_after_is_bounded),
        cmocka_unit_test(spread_in_a_refusal),
        cmocka_unit_test(spread_in_a_ticket_reply),
        cmocka_unit_test(steering_in_a_reply_that_is_no_ticket),
        cmocka_unit_test(patience_in_a_ticket_reply),
        cmocka_unit_test(credentials_refused),
        cmocka_unit_test(ticket_forbidden_and_never_giving_up),
        cmocka_unit_test(not_found_before_open),
        cmocka_unit_test(not_found_after_open),
        cmocka_unit_test(always_giving_up),
        cmocka_unit_test(attempts_used_up),
        cmocka_unit_test(upgrade_refused_twice),
        cmocka_unit_test(ticket_refused_by_close),
        cmocka_unit_test(refused_in_two_ways),
        cmocka_unit_test(refused_not_running),
        cmocka_unit_test(token_refused_at_the_upgrade),
        cmocka_unit_test(refusal_without_an_end),
        cmocka_unit_test(refused_in_the_last_attempt),
        cmocka_unit_test(logged_out_by_the_server),
        cmocka_unit_test(upgrade_answered_200),
        cmocka_unit_test(upgrade_busy),
        cmocka_unit_test(wrong_accept),
        cmocka_unit_test(server_speaks_first),
        cmocka_unit_test(server_goes_away),
        cmocka_unit_test(service_restart),
        cmocka_unit_test(protocol_broken),
        cmocka_unit_test(every_status),
        cmocka_unit_test(every_close_code),
        cmocka_unit_test(verdict_retry),
        cmocka_unit_test(verdict_new_token),
        cmocka_unit_test(verdict_stop),
        cmocka_unit_test(verdict_on_a_timeout),
        cmocka_unit_test(verdict_on_a_lazy_close),
        cmocka_unit_test(stop_inside_verdict),
        cmocka_unit_test(close_inside_verdict),
        cmocka_unit_test(many_flips_from_a_verdict),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(no_entropy),
        cmocka_unit_test(no_entropy_for_the_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
