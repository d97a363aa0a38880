/* Stories of the sequence: token, ticket, and the dial beside them, until the link is open. */
#include "sim/tale.h"

#include <stdio.h>
#include <string.h>

static void first_connect(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] ticket -> connecting\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[    50] server: 101\n"
                   "[    60] connecting -> open\n"
                   "[    60] open\n");
    (void)sim_send(&t->app, 12);
    tale_run(t, 100);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > send\n"
                   "[   100] client: message 1, 12 bytes\n"
                   "[   120] message text 12 \"m00000001 ab\"\n"
                   "[   200] > stop\n"
                   "[   200] open -> closing\n"
                   "[   200] client: close 1000\n"
                   "[   210] server: close answered\n"
                   "[   220] closing -> idle\n"
                   "[   220] closed: 1000 \"\" clean\n"
                   "[   220] because: OK (none)\n"
                   "[   220] ended: idle, CANCELED\n");
    tale_end(t);
}

/* The token is kept, a ticket never; and it is asked for after the wait. */
static void reconnect_with_a_new_ticket(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_fin(&t->w);
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] backoff -> token\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] token -> ticket\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 200 ticket 2\n"
                   "[   380] ticket -> connecting\n"
                   "[   390] dial: ready\n"
                   "[   390] upgrade /ws (ticket 2)\n"
                   "[   400] server: 101\n"
                   "[   410] connecting -> open\n"
                   "[   410] open\n");
    tale_end(t);
}

/* The JWT was revoked: another one, in the same attempt. */
static void ticket_401_new_token(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_tokens_revoke(&t->w);
    sim_ws_reset(&t->w);
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: all tokens are revoked\n"
                   "[   100] server: reset\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: RESET (transient), next in 250 ms\n"
                   "[   360] backoff -> token\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] token -> ticket\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 401\n"
                   "[   380] ticket -> token\n"
                   "[   380] POST /api/v1/auth/token\n"
                   "[   390] dial: ready\n"
                   "[   400] token: 200 token 2\n"
                   "[   400] token -> ticket\n"
                   "[   400] GET /api/v1/ws-ticket (token 2)\n"
                   "[   420] ticket: 200 ticket 2\n"
                   "[   420] ticket -> connecting\n"
                   "[   420] upgrade /ws (ticket 2)\n"
                   "[   430] server: 101\n"
                   "[   440] connecting -> open\n"
                   "[   440] open\n");
    tale_end(t);
}

/* The new one is refused, too: an auth failure.  Twice running: the client gives up, for it has
 * never been open. */
static void ticket_401_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.auth_down = true;
    tale_start(t);
    tale_run(t, 2000);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 401\n"
                                      "[    40] ticket -> token\n"
                                      "[    40] POST /api/v1/auth/token\n"
                                      "[    60] token: 200 token 2\n"
                                      "[    60] token -> ticket\n"
                                      "[    60] GET /api/v1/ws-ticket (token 2)\n"
                                      "[    80] ticket: 401\n"
                                      "[    80] dial: dropped\n"
                                      "[    80] ticket -> backoff\n"
                                      "[    80] failed: TOKEN_REFUSED (token) 401, next in 250 ms\n"
                                      "[   330] backoff -> token\n"
                                      "[   330] attempt 2\n"
                                      "[   330] POST /api/v1/auth/token\n"
                                      "[   350] token: 200 token 3\n"
                                      "[   350] token -> ticket\n"
                                      "[   350] GET /api/v1/ws-ticket (token 3)\n"
                                      "[   370] ticket: 401\n"
                                      "[   370] ticket -> token\n"
                                      "[   370] POST /api/v1/auth/token\n"
                                      "[   390] token: 200 token 4\n"
                                      "[   390] token -> ticket\n"
                                      "[   390] GET /api/v1/ws-ticket (token 4)\n"
                                      "[   410] ticket: 401\n"
                                      "[   410] ticket -> failed\n"
                                      "[   410] failed: TOKEN_REFUSED (auth) 401\n"
                                      "[   410] ended: failed, TOKEN_REFUSED\n");
    tale_end(t);
}

/* Once it has been open, it goes on: at the cap. */
static void auth_outage_after_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    t->w.server.auth_down = true;
    sim_ws_reset(&t->w);
    tale_run(t, 1000);
    tale_skip(t);
    tale_run(t, 31000);
    t->w.server.auth_down = false;
    tale_run(t, 31000);
    tale_expect(t, "[ 31000] backoff -> token\n"
                   "[ 31000] attempt 4\n"
                   "[ 31000] POST /api/v1/auth/token\n"
                   "[ 31020] token: 200 token 5\n"
                   "[ 31020] token -> ticket\n"
                   "[ 31020] GET /api/v1/ws-ticket (token 5)\n"
                   "[ 31040] ticket: 401\n"
                   "[ 31040] ticket -> token\n"
                   "[ 31040] POST /api/v1/auth/token\n"
                   "[ 31060] token: 200 token 6\n"
                   "[ 31060] token -> ticket\n"
                   "[ 31060] GET /api/v1/ws-ticket (token 6)\n"
                   "[ 31080] ticket: 401\n"
                   "[ 31080] ticket -> backoff\n"
                   "[ 31080] failed: TOKEN_REFUSED (auth) 401, next in 30000 ms\n"
                   "[ 61080] backoff -> token\n"
                   "[ 61080] attempt 5\n"
                   "[ 61080] POST /api/v1/auth/token\n"
                   "[ 61100] token: 200 token 7\n"
                   "[ 61100] token -> ticket\n"
                   "[ 61100] GET /api/v1/ws-ticket (token 7)\n"
                   "[ 61120] ticket: 200 ticket 2\n"
                   "[ 61120] ticket -> connecting\n"
                   "[ 61120] dial api.example.com:443\n"
                   "[ 61150] dial: ready\n"
                   "[ 61150] upgrade /ws (ticket 2)\n"
                   "[ 61160] server: 101\n"
                   "[ 61170] connecting -> open\n"
                   "[ 61170] open\n");
    tale_end(t);
}

static void stale_ticket_is_replaced(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.ticket_life_s = 5;
    t->dials[0].ready_ms = 4021; /* The ticket is asked for at 20. */
    tale_start(t);
    tale_run(t, 5000);
    tale_expect(t, TALE_TO_THE_TICKET "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[  4021] dial: ready\n"
                                      "[  4021] connecting -> ticket\n"
                                      "[  4021] GET /api/v1/ws-ticket (token 1)\n"
                                      "[  4041] ticket: 200 ticket 2\n"
                                      "[  4041] ticket -> connecting\n"
                                      "[  4041] upgrade /ws (ticket 2)\n"
                                      "[  4051] server: 101\n"
                                      "[  4061] connecting -> open\n"
                                      "[  4061] open\n");
    tale_end(t);
}

/* At 80 % to the millisecond it is still good. */
static void ticket_at_four_fifths(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.ticket_life_s = 5;
    t->dials[0].ready_ms = 4020;
    tale_start(t);
    tale_run(t, 4500);
    tale_expect(t, TALE_TO_THE_TICKET "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[  4020] dial: ready\n"
                                      "[  4020] upgrade /ws (ticket 1)\n"
                                      "[  4030] server: 101\n"
                                      "[  4040] connecting -> open\n"
                                      "[  4040] open\n");
    tale_end(t);
}

static void stale_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.ticket_life_s = 1;
    t->dials[0].ready_ms = 1500;
    t->tickets[1].answer_ms = 900;
    tale_start(t);
    tale_run(t, 2500);
    tale_expect(t,
                TALE_TO_THE_TICKET "[    40] ticket: 200 ticket 1\n"
                                   "[    40] ticket -> connecting\n"
                                   "[  1500] dial: ready\n"
                                   "[  1500] connecting -> ticket\n"
                                   "[  1500] GET /api/v1/ws-ticket (token 1)\n"
                                   "[  2400] ticket: 200 ticket 2\n"
                                   "[  2400] ticket -> connecting\n"
                                   "[  2400] dial: dropped\n"
                                   "[  2400] connecting -> backoff\n"
                                   "[  2400] failed: TICKET_STALE (transient), next in 250 ms\n");
    tale_end(t);
}

/* The machine sleeps while the connection is made: the ticket's age counts it. */
static void ticket_ages_in_sleep(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->dials[0].ready_ms = 2000;
    tale_start(t);
    tale_run(t, 1000);
    sim_suspend(&t->w, 60000);
    tale_run(t, 2000);
    tale_expect(t, TALE_TO_THE_TICKET "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[  1000] the machine sleeps for 60000 ms\n"
                                      "[ 61000] dial: ready\n"
                                      "[ 61000] connecting -> ticket\n"
                                      "[ 61000] GET /api/v1/ws-ticket (token 1)\n"
                                      "[ 61020] ticket: 200 ticket 2\n"
                                      "[ 61020] ticket -> connecting\n"
                                      "[ 61020] upgrade /ws (ticket 2)\n"
                                      "[ 61030] server: 101\n"
                                      "[ 61040] connecting -> open\n"
                                      "[ 61040] open\n");
    tale_end(t);
}

static void ticket_handed_out_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    t->w.server.same_ticket = true;
    sim_ws_reset(&t->w);
    tale_run(t, 600);
    t->w.server.same_ticket = false;
    tale_run(t, 1000);
    tale_expect(t, "[   100] server: reset\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: RESET (transient), next in 250 ms\n"
                   "[   360] backoff -> token\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] token -> ticket\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 200 ticket 1\n"
                   "[   380] dial: dropped\n"
                   "[   380] ticket -> backoff\n"
                   "[   380] failed: TICKET_SPENT (transient), next in 500 ms\n"
                   "[   880] backoff -> token\n"
                   "[   880] attempt 3\n"
                   "[   880] token -> ticket\n"
                   "[   880] GET /api/v1/ws-ticket (token 1)\n"
                   "[   900] ticket: 200 ticket 2\n"
                   "[   900] ticket -> connecting\n"
                   "[   900] dial api.example.com:443\n"
                   "[   930] dial: ready\n"
                   "[   930] upgrade /ws (ticket 2)\n"
                   "[   940] server: 101\n"
                   "[   950] connecting -> open\n"
                   "[   950] open\n");
    tale_end(t);
}

/* A ticket that never reached the wire may come again. */
static void unused_ticket_again(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->dials[0].stall = true;
    t->w.server.same_ticket = true;
    tale_start(t);
    tale_run(t, 11000);
    tale_expect(t, TALE_TO_THE_TICKET "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[ 10000] dial: dropped\n"
                                      "[ 10000] connecting -> backoff\n"
                                      "[ 10000] failed: TIMEOUT (transient), next in 250 ms\n"
                                      "[ 10250] backoff -> token\n"
                                      "[ 10250] attempt 2\n"
                                      "[ 10250] dial api.example.com:443\n"
                                      "[ 10250] token -> ticket\n"
                                      "[ 10250] GET /api/v1/ws-ticket (token 1)\n"
                                      "[ 10270] ticket: 200 ticket 1\n"
                                      "[ 10270] ticket -> connecting\n"
                                      "[ 10280] dial: ready\n"
                                      "[ 10280] upgrade /ws (ticket 1)\n"
                                      "[ 10290] server: 101\n"
                                      "[ 10300] connecting -> open\n"
                                      "[ 10300] open\n");
    tale_end(t);
}

static void dial_fails_before_the_ticket_is_asked_for(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->dials[0] = (struct sim_dial_plan){.ready_ms = 10, .fail = WST_ERR_CONNECT};
    tale_start(t);
    tale_run(t, 500);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    10] dial: CONNECT\n"
                   "[    10] token: cancelled\n"
                   "[    10] token -> backoff\n"
                   "[    10] failed: CONNECT (transient), next in 250 ms\n"
                   "[   260] backoff -> token\n"
                   "[   260] attempt 2\n"
                   "[   260] POST /api/v1/auth/token\n"
                   "[   260] dial api.example.com:443\n"
                   "[   280] token: 200 token 2\n"
                   "[   280] token -> ticket\n"
                   "[   280] GET /api/v1/ws-ticket (token 2)\n"
                   "[   290] dial: ready\n"
                   "[   300] ticket: 200 ticket 1\n"
                   "[   300] ticket -> connecting\n"
                   "[   300] upgrade /ws (ticket 1)\n"
                   "[   310] server: 101\n"
                   "[   320] connecting -> open\n"
                   "[   320] open\n");
    tale_end(t);
}

/* Its request is out: the answer is awaited, and the ticket is dropped unused. */
static void dial_fails_while_the_ticket_is_awaited(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->dials[0].fail = WST_ERR_RESOLVE;
    tale_start(t);
    tale_run(t, 500);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: RESOLVE\n"
                                      "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> backoff\n"
                                      "[    40] failed: RESOLVE (transient), next in 250 ms\n"
                                      "[   290] backoff -> token\n"
                                      "[   290] attempt 2\n"
                                      "[   290] dial api.example.com:443\n"
                                      "[   290] token -> ticket\n"
                                      "[   290] GET /api/v1/ws-ticket (token 1)\n"
                                      "[   310] ticket: 200 ticket 2\n"
                                      "[   310] ticket -> connecting\n"
                                      "[   320] dial: ready\n"
                                      "[   320] upgrade /ws (ticket 2)\n"
                                      "[   330] server: 101\n"
                                      "[   340] connecting -> open\n"
                                      "[   340] open\n");
    tale_end(t);
}

static void both_fail(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->dials[0].fail = WST_ERR_TLS;
    t->tickets[0].status = 500;
    tale_start(t);
    tale_run(t, 200);
    tale_expect(t, TALE_TO_THE_TICKET
                "[    30] dial: TLS\n"
                "[    40] ticket: 500\n"
                "[    40] ticket -> backoff\n"
                "[    40] failed: HTTP_STATUS (transient) 500, also TLS, next in 250 ms\n");
    tale_end(t);
}

static void waiting_connection_dies(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].answer_ms = 1000;
    t->dials[0].die_ms = 200;
    tale_start(t);
    tale_run(t, 1200);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[   230] server: end\n"
                                      "[   240] dial api.example.com:443\n"
                                      "[   270] dial: ready\n"
                                      "[  1020] ticket: 200 ticket 1\n"
                                      "[  1020] ticket -> connecting\n"
                                      "[  1020] upgrade /ws (ticket 1)\n"
                                      "[  1030] server: 101\n"
                                      "[  1040] connecting -> open\n"
                                      "[  1040] open\n");
    tale_end(t);
}

static void waiting_connection_dies_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].answer_ms = 1000;
    t->dials[0].die_ms = 200;
    t->dials[1].die_ms = 200;
    tale_start(t);
    tale_run(t, 1200);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[   230] server: end\n"
                                      "[   240] dial api.example.com:443\n"
                                      "[   270] dial: ready\n"
                                      "[   470] server: end\n"
                                      "[  1020] ticket: 200 ticket 1\n"
                                      "[  1020] ticket -> backoff\n"
                                      "[  1020] failed: EOF (transient), next in 250 ms\n");
    tale_end(t);
}

/* A connection is not kept idle for longer than 5 s. */
static void waiting_connection_is_dropped(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].answer_ms = 7000;
    tale_start(t);
    tale_run(t, 8000);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[  5030] dial: dropped\n"
                                      "[  7020] ticket: 200 ticket 1\n"
                                      "[  7020] ticket -> connecting\n"
                                      "[  7020] dial api.example.com:443\n"
                                      "[  7050] dial: ready\n"
                                      "[  7050] upgrade /ws (ticket 1)\n"
                                      "[  7060] server: 101\n"
                                      "[  7070] connecting -> open\n"
                                      "[  7070] open\n");
    tale_end(t);
}

/* After a failure in step 1 or 2 nothing is dialed beside them. */
static void serial_after_a_failed_ticket(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].status = 502;
    tale_start(t);
    tale_run(t, 1000);
    tale_expect(t,
                TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                   "[    40] ticket: 502\n"
                                   "[    40] dial: dropped\n"
                                   "[    40] ticket -> backoff\n"
                                   "[    40] failed: HTTP_STATUS (transient) 502, next in 250 ms\n"
                                   "[   290] backoff -> token\n"
                                   "[   290] attempt 2\n"
                                   "[   290] token -> ticket\n"
                                   "[   290] GET /api/v1/ws-ticket (token 1)\n"
                                   "[   310] ticket: 200 ticket 1\n"
                                   "[   310] ticket -> connecting\n"
                                   "[   310] dial api.example.com:443\n"
                                   "[   340] dial: ready\n"
                                   "[   340] upgrade /ws (ticket 1)\n"
                                   "[   350] server: 101\n"
                                   "[   360] connecting -> open\n"
                                   "[   360] open\n");
    tale_end(t);
}

static void no_parallel_dial(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.parallel_dial = 0;
    tale_start(t);
    tale_run(t, 200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] ticket -> connecting\n"
                   "[    40] dial api.example.com:443\n"
                   "[    70] dial: ready\n"
                   "[    70] upgrade /ws (ticket 1)\n"
                   "[    80] server: 101\n"
                   "[    90] connecting -> open\n"
                   "[    90] open\n");
    tale_end(t);
}

static void no_token_step(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.token_step = WST_STEP_MODE_OMIT;
    t->w.server.open_door = true;
    tale_start(t);
    tale_run(t, 200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> ticket\n"
                   "[     0] attempt 1\n"
                   "[     0] GET /api/v1/ws-ticket\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] ticket: 200 ticket 1\n"
                   "[    20] ticket -> connecting\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /ws (ticket 1)\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    tale_end(t);
}

/* No step brings a token; one that the application sets is shown until it is forgotten. */
static void a_token_that_no_step_wants(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.token_step = WST_STEP_MODE_OMIT;
    t->w.server.open_door = true;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 100);
    tale_skip(t);
    (void)sim_forget_token(&t->app); /* There is none. */
    (void)sim_set_token(&t->app, sim_token_mint(&t->w), 0);
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    (void)sim_forget_token(&t->app);
    sim_ws_fin(&t->w);
    tale_run(t, 600);
    tale_expect(t, "[   100] > forget_token\n"
                   "[   100] > set_token\n"
                   "[   100] server: end\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] attempt 2\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   360] dial api.example.com:443\n"
                   "[   380] ticket: 200 ticket 2\n"
                   "[   390] dial: ready\n"
                   "[   390] upgrade /ws (ticket 2)\n"
                   "[   400] server: 101\n"
                   "[   410] open\n"
                   "[   500] > forget_token\n"
                   "[   500] server: end\n"
                   "[   510] closed: 1006 \"\"\n"
                   "[   510] because: EOF (transient), next in 500 ms\n"
                   "[  1010] attempt 3\n"
                   "[  1010] GET /api/v1/ws-ticket\n"
                   "[  1010] dial api.example.com:443\n"
                   "[  1030] ticket: 200 ticket 3\n"
                   "[  1040] dial: ready\n"
                   "[  1040] upgrade /ws (ticket 3)\n"
                   "[  1050] server: 101\n"
                   "[  1060] open\n");
    tale_end(t);
}

/* A plain reconnecting WebSocket client. */
static void no_ticket_step(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_step = WST_STEP_MODE_OMIT;
    t->w.server.no_tickets = true;
    tale_start(t);
    tale_run(t, 100);
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> connecting\n"
                   "[     0] attempt 1\n"
                   "[     0] dial api.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /ws\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n"
                   "[   100] server: end\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] backoff -> connecting\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   390] dial: ready\n"
                   "[   390] upgrade /ws\n"
                   "[   400] server: 101\n"
                   "[   410] connecting -> open\n"
                   "[   410] open\n");
    tale_end(t);
}

/* The JWT is the upgrade's own. */
static void token_without_ticket(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_step = WST_STEP_MODE_OMIT;
    t->app.config.upgrade_bearer = 1;
    t->w.server.bearer = true;
    t->w.server.no_tickets = true;
    tale_start(t);
    tale_run(t, 200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> connecting\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade with a token\n"
                   "[    30] upgrade /ws\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    tale_end(t);
}

/* Those that steps 1 and 2 brought, and the application's own, in one header (RFC 6265, 5.4). */
static void cookies_of_both(void **state)
{
    static const struct wst_header own = {WST_STEP_NONE, "Cookie", "own=1"};
    struct tale *t = tale_new();

    (void)state;
    t->app.config.cookies = 1;
    t->app.config.headers = &own;
    t->app.config.header_count = 1;
    (void)snprintf(t->w.cookie, sizeof t->w.cookie, "lb=7");
    tale_start(t);
    tale_run(t, 100);
    assert_non_null(strstr(t->w.trace, "upgrade with cookies: lb=7; own=1\n"));
    assert_true(t->app.open);
    tale_end(t);
}

/* The reply names the whole URL: nothing can be dialed before it. */
static void whole_one_time_url(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.url_pointer = "/url";
    t->w.server.whole_url = true;
    tale_start(t);
    tale_run(t, 200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] ticket -> connecting\n"
                   "[    40] dial edge.example.com:443\n"
                   "[    70] dial: ready\n"
                   "[    70] upgrade /live (ticket 1)\n"
                   "[    80] server: 101\n"
                   "[    90] connecting -> open\n"
                   "[    90] open\n");
    tale_end(t);
}

/* It is forgotten, as the ticket is: the world looks after each event. */
static void one_time_url_that_cannot_be_used(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.url_pointer = "/url";
    t->w.server.whole_url = true;
    t->tickets[0].status = 200;
    t->tickets[0].body = "{\"url\":\"ws://edge.example.com/live?ticket=1\"}";
    tale_start(t);
    tale_run(t, 400);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    40] ticket: 200\n"
                   "[    40] failed: BAD_REPLY (transient), next in 250 ms\n"
                   "[   290] attempt 2\n"
                   "[   290] GET /api/v1/ws-ticket (token 1)\n"
                   "[   310] ticket: 200 ticket 1\n"
                   "[   310] dial edge.example.com:443\n"
                   "[   340] dial: ready\n"
                   "[   340] upgrade /live (ticket 1)\n"
                   "[   350] server: 101\n"
                   "[   360] open\n");
    tale_end(t);
}

static void ticket_as_subprotocol(void **state)
{
    static const char *const protocols[] = {"chat.v2", "chat.v1"};
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_in = t->w.server.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    t->app.config.subprotocols = protocols;
    t->app.config.subprotocol_count = 2;
    t->w.server.subprotocol = "chat.v1";
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[    40] upgrade /ws (ticket 1)\n"
                                      "[    50] server: 101\n"
                                      "[    60] connecting -> open\n"
                                      "[    60] open: chat.v1\n");
    tale_end(t);
}

/* The server chooses the subprotocol that is the ticket: it is told to nobody. */
static void ticket_as_chosen_subprotocol(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_in = t->w.server.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    t->w.server.subprotocol = "tkt-" SIM_SECRET "--1";
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[    40] upgrade /ws (ticket 1)\n"
                                      "[    50] server: 101\n"
                                      "[    60] connecting -> open\n"
                                      "[    60] open\n");
    tale_end(t);
}

static void ticket_as_header(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_in = t->w.server.ticket_in = WST_TICKET_IN_HEADER;
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[    40] upgrade /ws (ticket 1)\n"
                                      "[    50] server: 101\n"
                                      "[    60] connecting -> open\n"
                                      "[    60] open\n");
    tale_end(t);
}

/* What the server hands out cannot be a subprotocol: said, not sent. */
static void ticket_that_fits_nowhere(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_in = t->w.server.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    t->tickets[0].body = "{\"ticket\":\"a " SIM_SECRET "\"}";
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200\n"
                                      "[    40] ticket -> connecting\n"
                                      "[    40] connecting -> backoff\n"
                                      "[    40] dial: dropped\n"
                                      "[    40] failed: INVALID (transient), next in 250 ms\n");
    assert_non_null(strstr(t->app.failure.cause.text, "ticket_in"));
    tale_end(t);
}

static void token_times_out(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].stall = true;
    tale_start(t);
    tale_run(t, 10500);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[  5030] dial: dropped\n"
                   "[ 10000] token: cancelled\n"
                   "[ 10000] token -> backoff\n"
                   "[ 10000] failed: TIMEOUT (transient), next in 250 ms\n"
                   "[ 10250] backoff -> token\n"
                   "[ 10250] attempt 2\n"
                   "[ 10250] POST /api/v1/auth/token\n"
                   "[ 10270] token: 200 token 1\n"
                   "[ 10270] token -> ticket\n"
                   "[ 10270] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 10290] ticket: 200 ticket 1\n"
                   "[ 10290] ticket -> connecting\n"
                   "[ 10290] dial api.example.com:443\n"
                   "[ 10320] dial: ready\n"
                   "[ 10320] upgrade /ws (ticket 1)\n"
                   "[ 10330] server: 101\n"
                   "[ 10340] connecting -> open\n"
                   "[ 10340] open\n");
    tale_end(t);
}

/* A refusal whose body has no end: when the time is up, what its head said counts. */
static void token_refused_without_an_end(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tokens[0].status = 503;
    t->tokens[0].retry_after_ms = 60000;
    t->tokens[0].endless = true;
    tale_start(t);
    tale_run(t, 10500);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 503, and no end\n"
                   "[    30] dial: ready\n"
                   "[  5030] dial: dropped\n"
                   "[ 10000] token: cancelled\n"
                   "[ 10000] failed: HTTP_STATUS (soft) 503, next in 114055 ms\n");
    tale_end(t);
}

static void ticket_refused_without_an_end(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tickets[0].status = 401;
    t->tickets[0].endless = true;
    tale_start(t);
    tale_run(t, 10500);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 401, and no end\n"
                   "[  5030] dial: dropped\n"
                   "[ 10020] ticket: cancelled\n"
                   "[ 10020] POST /api/v1/auth/token\n"
                   "[ 10040] token: 200 token 2\n"
                   "[ 10040] GET /api/v1/ws-ticket (token 2)\n"
                   "[ 10060] ticket: 200 ticket 1\n"
                   "[ 10060] dial api.example.com:443\n"
                   "[ 10090] dial: ready\n"
                   "[ 10090] upgrade /ws (ticket 1)\n"
                   "[ 10100] server: 101\n"
                   "[ 10110] open\n");
    tale_end(t);
}

/* Of an answer that would have been good, the head alone is nothing. */
static void answer_without_an_end(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->tickets[0].endless = true;
    tale_start(t);
    tale_run(t, 10200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200, and no end\n"
                   "[  5030] dial: dropped\n"
                   "[ 10020] ticket: cancelled\n"
                   "[ 10020] failed: TIMEOUT (transient), next in 250 ms\n");
    tale_end(t);
}

/* The old token is still good: it is used in this very attempt. */
static void refresh_refused_without_an_end(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->w.server.token_life_s = 600;
    t->tokens[1].status = 503;
    t->tokens[1].endless = true;
    tale_open(t);
    tale_run(t, 490000);
    tale_skip(t);
    sim_ws_fin(&t->w);
    tale_run(t, 11000);
    tale_expect(t, "[490100] server: end\n"
                   "[490110] closed: 1006 \"\"\n"
                   "[490110] because: EOF (transient), next in 250 ms\n"
                   "[490360] attempt 2\n"
                   "[490360] POST /api/v1/auth/token\n"
                   "[490360] dial api.example.com:443\n"
                   "[490380] token: 503, and no end\n"
                   "[490390] dial: ready\n"
                   "[495390] dial: dropped\n"
                   "[500360] token: cancelled\n"
                   "[500360] GET /api/v1/ws-ticket (token 1)\n"
                   "[500380] ticket: 200 ticket 2\n"
                   "[500380] dial api.example.com:443\n"
                   "[500410] dial: ready\n"
                   "[500410] upgrade /ws (ticket 2)\n"
                   "[500420] server: 101\n"
                   "[500430] open\n");
    tale_end(t);
}

static void ticket_times_out(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tickets[0].unsent = true;
    tale_start(t);
    tale_run(t, 10500);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[  5030] dial: dropped\n"
                                      "[ 10020] ticket: cancelled\n"
                                      "[ 10020] ticket -> backoff\n"
                                      "[ 10020] failed: TIMEOUT (transient), next in 250 ms\n"
                                      "[ 10270] backoff -> token\n"
                                      "[ 10270] attempt 2\n"
                                      "[ 10270] token -> ticket\n"
                                      "[ 10270] GET /api/v1/ws-ticket (token 1)\n"
                                      "[ 10290] ticket: 200 ticket 1\n"
                                      "[ 10290] ticket -> connecting\n"
                                      "[ 10290] dial api.example.com:443\n"
                                      "[ 10320] dial: ready\n"
                                      "[ 10320] upgrade /ws (ticket 1)\n"
                                      "[ 10330] server: 101\n"
                                      "[ 10340] connecting -> open\n"
                                      "[ 10340] open\n");
    tale_end(t);
}

static void upgrade_times_out(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].silent = true;
    tale_start(t);
    tale_run(t, 10500);
    tale_expect(t, TALE_TO_THE_TICKET "[    30] dial: ready\n"
                                      "[    40] ticket: 200 ticket 1\n"
                                      "[    40] ticket -> connecting\n"
                                      "[    40] upgrade /ws (ticket 1)\n"
                                      "[ 10040] connecting -> backoff\n"
                                      "[ 10040] failed: TIMEOUT (transient), next in 250 ms\n"
                                      "[ 10290] backoff -> token\n"
                                      "[ 10290] attempt 2\n"
                                      "[ 10290] dial api.example.com:443\n"
                                      "[ 10290] token -> ticket\n"
                                      "[ 10290] GET /api/v1/ws-ticket (token 1)\n"
                                      "[ 10310] ticket: 200 ticket 2\n"
                                      "[ 10310] ticket -> connecting\n"
                                      "[ 10320] dial: ready\n"
                                      "[ 10320] upgrade /ws (ticket 2)\n"
                                      "[ 10330] server: 101\n"
                                      "[ 10340] connecting -> open\n"
                                      "[ 10340] open\n");
    tale_end(t);
}

/* No step is too slow for itself, the attempt is. */
static void attempt_times_out(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].answer_ms = t->tickets[0].answer_ms = 9000;
    t->dials[0].ready_ms = t->dials[1].ready_ms = 9000;
    t->app.config.parallel_dial = 0;
    t->links[0].latency_ms = 4000;
    t->app.config.attempt_timeout_ms = 30000;
    tale_start(t);
    tale_run(t, 30100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[  9000] token: 200 token 1\n"
                   "[  9000] token -> ticket\n"
                   "[  9000] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 18000] ticket: 200 ticket 1\n"
                   "[ 18000] ticket -> connecting\n"
                   "[ 18000] dial api.example.com:443\n"
                   "[ 27000] dial: ready\n"
                   "[ 27000] upgrade /ws (ticket 1)\n"
                   "[ 30000] connecting -> backoff\n"
                   "[ 30000] failed: TIMEOUT (transient), next in 250 ms\n");
    tale_end(t);
}

/* The token is refreshed after 80 % of its life; while the old one is good, it will do. */
static void token_is_refreshed(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.token_life_s = 60;
    tale_open(t);
    tale_run(t, 48000);
    tale_skip(t);
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    tale_expect(t, "[ 48100] server: end\n"
                   "[ 48110] open -> backoff\n"
                   "[ 48110] closed: 1006 \"\"\n"
                   "[ 48110] because: EOF (transient), next in 250 ms\n"
                   "[ 48360] backoff -> token\n"
                   "[ 48360] attempt 2\n"
                   "[ 48360] POST /api/v1/auth/token\n"
                   "[ 48360] dial api.example.com:443\n"
                   "[ 48380] token: 200 token 2\n"
                   "[ 48380] token -> ticket\n"
                   "[ 48380] GET /api/v1/ws-ticket (token 2)\n"
                   "[ 48390] dial: ready\n"
                   "[ 48400] ticket: 200 ticket 2\n"
                   "[ 48400] ticket -> connecting\n"
                   "[ 48400] upgrade /ws (ticket 2)\n"
                   "[ 48410] server: 101\n"
                   "[ 48420] connecting -> open\n"
                   "[ 48420] open\n");
    tale_end(t);
}

static void token_cannot_be_refreshed(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.token_life_s = 60;
    t->tokens[1].status = 503;
    tale_open(t);
    tale_run(t, 49000);
    tale_skip(t);
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    tale_expect(t, "[ 49100] server: end\n"
                   "[ 49110] open -> backoff\n"
                   "[ 49110] closed: 1006 \"\"\n"
                   "[ 49110] because: EOF (transient), next in 250 ms\n"
                   "[ 49360] backoff -> token\n"
                   "[ 49360] attempt 2\n"
                   "[ 49360] POST /api/v1/auth/token\n"
                   "[ 49360] dial api.example.com:443\n"
                   "[ 49380] token: 503\n"
                   "[ 49380] token -> ticket\n"
                   "[ 49380] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 49390] dial: ready\n"
                   "[ 49400] ticket: 200 ticket 2\n"
                   "[ 49400] ticket -> connecting\n"
                   "[ 49400] upgrade /ws (ticket 2)\n"
                   "[ 49410] server: 101\n"
                   "[ 49420] connecting -> open\n"
                   "[ 49420] open\n");
    tale_end(t);
}

/* The token's server says nothing at all: the next attempt uses what is still good. */
static void token_refresh_stalls(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.token_life_s = 600;
    t->tokens[1].stall = true;
    tale_open(t);
    tale_run(t, 490000);
    tale_skip(t);
    sim_ws_fin(&t->w);
    tale_run(t, 11000);
    tale_expect(t, "[490100] server: end\n"
                   "[490110] open -> backoff\n"
                   "[490110] closed: 1006 \"\"\n"
                   "[490110] because: EOF (transient), next in 250 ms\n"
                   "[490360] backoff -> token\n"
                   "[490360] attempt 2\n"
                   "[490360] POST /api/v1/auth/token\n"
                   "[490360] dial api.example.com:443\n"
                   "[490390] dial: ready\n"
                   "[495390] dial: dropped\n"
                   "[500360] token: cancelled\n"
                   "[500360] token -> backoff\n"
                   "[500360] failed: TIMEOUT (transient), next in 500 ms\n"
                   "[500860] backoff -> token\n"
                   "[500860] attempt 3\n"
                   "[500860] token -> ticket\n"
                   "[500860] GET /api/v1/ws-ticket (token 1)\n"
                   "[500880] ticket: 200 ticket 2\n"
                   "[500880] ticket -> connecting\n"
                   "[500880] dial api.example.com:443\n"
                   "[500910] dial: ready\n"
                   "[500910] upgrade /ws (ticket 2)\n"
                   "[500920] server: 101\n"
                   "[500930] connecting -> open\n"
                   "[500930] open\n");
    tale_end(t);
}

/* The wall clock jumps by a day: a token's life is a duration, and nothing happens. */
static void wall_clock_jumps(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    t->w.wall_offset_s = 86400;
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    t->w.wall_offset_s = -86400;
    sim_ws_fin(&t->w);
    tale_run(t, 700);
    tale_expect(t, "[   100] server: end\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: EOF (transient), next in 250 ms\n"
                   "[   360] backoff -> token\n"
                   "[   360] attempt 2\n"
                   "[   360] dial api.example.com:443\n"
                   "[   360] token -> ticket\n"
                   "[   360] GET /api/v1/ws-ticket (token 1)\n"
                   "[   380] ticket: 200 ticket 2\n"
                   "[   380] ticket -> connecting\n"
                   "[   390] dial: ready\n"
                   "[   390] upgrade /ws (ticket 2)\n"
                   "[   400] server: 101\n"
                   "[   410] connecting -> open\n"
                   "[   410] open\n"
                   "[   500] server: end\n"
                   "[   510] open -> backoff\n"
                   "[   510] closed: 1006 \"\"\n"
                   "[   510] because: EOF (transient), next in 500 ms\n"
                   "[  1010] backoff -> token\n"
                   "[  1010] attempt 3\n"
                   "[  1010] dial api.example.com:443\n"
                   "[  1010] token -> ticket\n"
                   "[  1010] GET /api/v1/ws-ticket (token 1)\n"
                   "[  1030] ticket: 200 ticket 3\n"
                   "[  1030] ticket -> connecting\n"
                   "[  1040] dial: ready\n"
                   "[  1040] upgrade /ws (ticket 3)\n"
                   "[  1050] server: 101\n"
                   "[  1060] connecting -> open\n"
                   "[  1060] open\n");
    tale_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_connect),
        cmocka_unit_test(reconnect_with_a_new_ticket),
        cmocka_unit_test(ticket_401_new_token),
        cmocka_unit_test(ticket_401_twice),
        cmocka_unit_test(auth_outage_after_open),
        cmocka_unit_test(stale_ticket_is_replaced),
        cmocka_unit_test(ticket_at_four_fifths),
        cmocka_unit_test(stale_twice),
        cmocka_unit_test(ticket_ages_in_sleep),
        cmocka_unit_test(ticket_handed_out_twice),
        cmocka_unit_test(unused_ticket_again),
        cmocka_unit_test(dial_fails_before_the_ticket_is_asked_for),
        cmocka_unit_test(dial_fails_while_the_ticket_is_awaited),
        cmocka_unit_test(both_fail),
        cmocka_unit_test(waiting_connection_dies),
        cmocka_unit_test(waiting_connection_dies_twice),
        cmocka_unit_test(waiting_connection_is_dropped),
        cmocka_unit_test(serial_after_a_failed_ticket),
        cmocka_unit_test(no_parallel_dial),
        cmocka_unit_test(no_token_step),
        cmocka_unit_test(a_token_that_no_step_wants),
        cmocka_unit_test(no_ticket_step),
        cmocka_unit_test(token_without_ticket),
        cmocka_unit_test(cookies_of_both),
        cmocka_unit_test(whole_one_time_url),
        cmocka_unit_test(one_time_url_that_cannot_be_used),
        cmocka_unit_test(ticket_as_subprotocol),
        cmocka_unit_test(ticket_as_chosen_subprotocol),
        cmocka_unit_test(ticket_as_header),
        cmocka_unit_test(ticket_that_fits_nowhere),
        cmocka_unit_test(token_times_out),
        cmocka_unit_test(ticket_times_out),
        cmocka_unit_test(upgrade_times_out),
        cmocka_unit_test(attempt_times_out),
        cmocka_unit_test(token_is_refreshed),
        cmocka_unit_test(token_cannot_be_refreshed),
        cmocka_unit_test(token_refresh_stalls),
        cmocka_unit_test(token_refused_without_an_end),
        cmocka_unit_test(ticket_refused_without_an_end),
        cmocka_unit_test(answer_without_an_end),
        cmocka_unit_test(refresh_refused_without_an_end),
        cmocka_unit_test(wall_clock_jumps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
