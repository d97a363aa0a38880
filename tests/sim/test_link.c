/* Stories of the open link: liveness, sleep, pause, sending, closing. */
#include "sim/tale.h"

#include <stdio.h>
#include <string.h>

/* ---- Liveness ------------------------------------------------------------------------------ */

static void pings(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_run(t, 41000);
    tale_expect(t, "[ 20060] client: ping\n"
                   "[ 20080] pong after 20 ms\n"
                   "[ 40060] client: ping\n"
                   "[ 40080] pong after 20 ms\n");
    tale_end(t);
}

/* The line goes dead without a word: found 10 s after a ping. */
static void dead_peer(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_cut(&t->w);
    tale_run(t, 31000);
    tale_expect(t, "[   100] the line is cut\n"
                   "[ 20060] client: ping\n"
                   "[ 30060] open -> backoff\n"
                   "[ 30060] closed: 1006 \"\"\n"
                   "[ 30060] because: PING_TIMEOUT (transient), next in 250 ms\n"
                   "[ 30310] backoff -> token\n"
                   "[ 30310] attempt 2\n"
                   "[ 30310] dial api.example.com:443\n"
                   "[ 30310] token -> ticket\n"
                   "[ 30310] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 30330] ticket: 200 ticket 2\n"
                   "[ 30330] ticket -> connecting\n"
                   "[ 30340] dial: ready\n"
                   "[ 30340] upgrade /ws (ticket 2)\n"
                   "[ 30350] server: 101\n"
                   "[ 30360] connecting -> open\n"
                   "[ 30360] open\n");
    tale_end(t);
}

static void at_once(struct sim_world *w, struct sim_ws_plan *plan)
{
    (void)w;
    plan->latency_ms = 0;
}

/* The pong is there within the millisecond, and libuv's clock is behind the one that timed the
 * ping: it is an answer all the same. */
static void near_peer_and_a_coarse_clock(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.plan_ws = at_once;
    t->w.polled_late_us = 900;
    tale_open(t);
    tale_run(t, 61000);
    tale_expect(t, "[ 20040] client: ping\n"
                   "[ 20040] pong after 0 ms\n"
                   "[ 40040] client: ping\n"
                   "[ 40040] pong after 0 ms\n"
                   "[ 60040] client: ping\n"
                   "[ 60040] pong after 0 ms\n");
    tale_end(t);
}

/* Any byte is life: the peer that answers no ping is talking. */
static void any_byte_is_life(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].mute = true;
    tale_open(t);
    tale_run(t, 25000);
    sim_ws_text(&t->w, "still here");
    tale_run(t, 14000);
    tale_expect(t, "[ 20060] client: ping\n"
                   "[ 25110] message text 10 \"still here\"\n");
    tale_run(t, 30000);
    tale_expect(t, "[ 40060] client: ping\n"
                   "[ 50060] open -> backoff\n"
                   "[ 50060] closed: 1006 \"\"\n"
                   "[ 50060] because: PING_TIMEOUT (transient), next in 250 ms\n"
                   "[ 50310] backoff -> token\n"
                   "[ 50310] attempt 2\n"
                   "[ 50310] dial api.example.com:443\n"
                   "[ 50310] token -> ticket\n"
                   "[ 50310] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 50330] ticket: 200 ticket 2\n"
                   "[ 50330] ticket -> connecting\n"
                   "[ 50340] dial: ready\n"
                   "[ 50340] upgrade /ws (ticket 2)\n"
                   "[ 50350] server: 101\n"
                   "[ 50360] connecting -> open\n"
                   "[ 50360] open\n");
    tale_end(t);
}

/* The server does not read: the ping cannot leave, and it is not asked of the peer yet.  But not
 * for ever. */
static void blocked_ping(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].window = 2000;
    tale_open(t);
    sim_ws_deaf(&t->w, true);
    (void)sim_send(&t->app, 5000);
    tale_run(t, 51000);
    tale_expect(t, "[   100] > send\n"
                   "[ 50060] unsent: message 1, PING_TIMEOUT\n"
                   "[ 50060] open -> backoff\n"
                   "[ 50060] closed: 1006 \"\" with unsent messages\n"
                   "[ 50060] because: PING_TIMEOUT (transient), next in 250 ms\n"
                   "[ 50310] backoff -> token\n"
                   "[ 50310] attempt 2\n"
                   "[ 50310] dial api.example.com:443\n"
                   "[ 50310] token -> ticket\n"
                   "[ 50310] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 50330] ticket: 200 ticket 2\n"
                   "[ 50330] ticket -> connecting\n"
                   "[ 50340] dial: ready\n"
                   "[ 50340] upgrade /ws (ticket 2)\n"
                   "[ 50350] server: 101\n"
                   "[ 50360] connecting -> open\n"
                   "[ 50360] open\n");
    tale_end(t);
}

static void ping_by_hand(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    assert_int_equal(sim_ping(&t->app), 0);
    tale_run(t, 100);
    tale_expect(t, "[   100] > ping\n"
                   "[   100] client: ping\n"
                   "[   120] pong after 20 ms\n");
    (void)sim_stop(&t->app);
    assert_int_equal(sim_ping(&t->app), WST_ERR_NOT_OPEN);
    tale_end(t);
}

/* Two in one turn leave together, and each has its pong. */
static void two_pings_in_one_turn(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_ping(&t->app);
    (void)sim_ping(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > ping\n"
                   "[   100] > ping\n"
                   "[   100] client: ping\n"
                   "[   100] client: ping\n"
                   "[   120] pong after 20 ms\n"
                   "[   120] pong after 20 ms\n");
    tale_end(t);
}

/* One that is refused changes nothing: those before it are answered. */
static void refused_ping(void **state)
{
    struct tale *t = tale_new();
    unsigned accepted = 0;

    (void)state;
    t->w.tracing = false;
    tale_open(t);
    while (accepted < 1000 && sim_ping(&t->app) == 0)
        accepted++;
    assert_int_equal(sim_ping(&t->app), WST_ERR_QUEUE_FULL);
    assert_true(accepted > 0 && accepted < 1000);
    tale_run(t, 100);
    assert_int_equal(t->app.counts[SIM_CB_PONG], 4); /* So many are timed. */
    tale_end(t);
}

/* ---- Sleep and wake ------------------------------------------------------------------------ */

/* After sleep the socket says open and is dead: it is probed at once. */
static void sleep_while_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_run(t, 1900);
    sim_ws_cut(&t->w);
    sim_suspend(&t->w, 3600000);
    tale_run(t, 14000);
    tale_expect(t, "[  2000] the line is cut\n"
                   "[  2000] the machine sleeps for 3600000 ms\n"
                   "[3605060] client: ping\n"
                   "[3615060] open -> backoff\n"
                   "[3615060] closed: 1006 \"\"\n"
                   "[3615060] because: PING_TIMEOUT (transient), next in 250 ms\n"
                   "[3615310] backoff -> token\n"
                   "[3615310] attempt 2\n"
                   "[3615310] POST /api/v1/auth/token\n"
                   "[3615310] dial api.example.com:443\n"
                   "[3615330] token: 200 token 2\n"
                   "[3615330] token -> ticket\n"
                   "[3615330] GET /api/v1/ws-ticket (token 2)\n"
                   "[3615340] dial: ready\n"
                   "[3615350] ticket: 200 ticket 2\n"
                   "[3615350] ticket -> connecting\n"
                   "[3615350] upgrade /ws (ticket 2)\n"
                   "[3615360] server: 101\n"
                   "[3615370] connecting -> open\n"
                   "[3615370] open\n");
    tale_end(t);
}

/* The rest of the wait is skipped. */
static void sleep_in_backoff(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    for (size_t i = 0; i < 7; i++)
        t->tokens[i].status = 500;
    tale_start(t);
    tale_run(t, 17000); /* 16 s are to be waited. */
    tale_skip(t);
    sim_suspend(&t->w, 60000);
    (void)sim_forget_token(&t->app); /* Any event will do to notice it. */
    (void)sim_wake(&t->app);
    tale_run(t, 600);
    tale_expect(t, "[ 17000] the machine sleeps for 60000 ms\n"
                   "[ 77000] > forget_token\n"
                   "[ 77000] > wake\n"
                   "[ 77145] attempt 8\n"
                   "[ 77145] POST /api/v1/auth/token\n"
                   "[ 77165] token: 200 token 1\n"
                   "[ 77165] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 77185] ticket: 200 ticket 1\n"
                   "[ 77185] dial api.example.com:443\n"
                   "[ 77215] dial: ready\n"
                   "[ 77215] upgrade /ws (ticket 1)\n"
                   "[ 77225] server: 101\n"
                   "[ 77235] open\n");
    tale_end(t);
}

static void wake_in_backoff(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    for (size_t i = 0; i < 5; i++)
        t->tokens[i].status = 500;
    tale_start(t);
    tale_run(t, 4000); /* 4 s are to be waited. */
    tale_skip(t);
    (void)sim_wake(&t->app);
    tale_run(t, 400);
    assert_true(t->app.open);
    tale_end(t);
}

/* What the server asked for is not cut. */
static void wake_under_a_floor(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = 503;
    t->tokens[0].retry_after_ms = 5000;
    tale_start(t);
    tale_run(t, 1000);
    (void)sim_wake(&t->app);
    tale_run(t, 4000);
    assert_int_equal(t->app.attempt, 1);
    tale_run(t, 600); /* The jitter of a wake is at most the base delay. */
    assert_true(t->app.open);
    tale_end(t);
}

/* At most once per base delay. */
static void wake_again_and_again(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.base_delay_ms = 1000;
    for (size_t i = 0; i < TALE_MAX_PLANS; i++)
        t->tokens[i].status = 500;
    tale_start(t);
    for (int i = 0; i < 300; i++) {
        tale_run(t, 10);
        (void)sim_wake(&t->app);
    }
    assert_in_range(t->app.attempt, 3, 6);
    tale_end(t);
}

static void wake_while_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_cut(&t->w);
    (void)sim_wake(&t->app);
    tale_run(t, 10100);
    tale_expect(t, "[   100] the line is cut\n"
                   "[   100] > wake\n"
                   "[   100] client: ping\n"
                   "[ 10100] open -> backoff\n"
                   "[ 10100] closed: 1006 \"\"\n"
                   "[ 10100] because: PING_TIMEOUT (transient), next in 250 ms\n");
    tale_end(t);
}

/* ---- Pause --------------------------------------------------------------------------------- */

static void pause_now(struct tale *t)
{
    (void)sim_pause(&t->app);
}

/* Three messages in one read; the application pauses in the first. */
static void pause_inside_a_message(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_when(t, SIM_CB_MESSAGE, 1, pause_now);
    tale_open(t);
    sim_ws_raw(&t->w,
               "\x81\x01"
               "1\x81\x01"
               "2\x81\x01"
               "3",
               9);
    tale_run(t, 1000);
    sim_ws_text(&t->w, "4");
    tale_run(t, 1000);
    (void)sim_resume(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   110] message text 1 \"1\"\n"
                   "[   110] > pause\n"
                   "[  2100] > resume\n"
                   "[  2100] message text 1 \"2\"\n"
                   "[  2100] message text 1 \"3\"\n"
                   "[  2100] message text 1 \"4\"\n");
    tale_end(t);
}

/* Not reading, we cannot tell whether the peer lives: its clock stands. */
static void liveness_stands_while_paused(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_pause(&t->app);
    tale_run(t, 100000);
    assert_true(t->app.open);
    assert_int_equal(t->app.attempt, 1);
    (void)sim_resume(&t->app);
    tale_run(t, 30000);
    assert_true(t->app.open);
    assert_int_equal(t->app.attempt, 1);
    tale_end(t);
}

/* The close frame lies behind messages that are held back. */
static void close_behind_held_messages(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_when(t, SIM_CB_MESSAGE, 1, pause_now);
    tale_open(t);
    sim_ws_raw(&t->w,
               "\x81\x01"
               "1\x81\x01"
               "2\x88\x02\x03\xe9",
               10);
    tale_run(t, 1000);
    (void)sim_resume(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   110] message text 1 \"1\"\n"
                   "[   110] > pause\n"
                   "[  1100] > resume\n"
                   "[  1100] message text 1 \"2\"\n"
                   "[  1100] open -> closing\n"
                   "[  1100] client: close 1001\n"
                   "[  1110] server: close answered\n"
                   "[  1120] closing -> backoff\n"
                   "[  1120] closed: 1001 \"\" clean\n"
                   "[  1120] because: WS_CLOSED (transient), next in 250 ms\n");
    tale_end(t);
}

static void stop_now(struct tale *t)
{
    (void)sim_stop(&t->app);
}

/* As above, and the application stops when it hears of it: the server has its answer all the same.
 */
static void stop_while_held_messages_are_read(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_pause(&t->app);
    tale_run(t, 10);
    (void)sim_resume(&t->app);
    tale_when(t, SIM_CB_MESSAGE, 1, pause_now);
    sim_ws_raw(&t->w,
               "\x81\x01"
               "1\x88\x02\x03\xe9",
               7);
    tale_run(t, 100);
    tale_when(t, SIM_CB_STATE, 1, stop_now);
    (void)sim_resume(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > pause\n"
                   "[   110] > resume\n"
                   "[   120] message text 1 \"1\"\n"
                   "[   120] > pause\n"
                   "[   210] > resume\n"
                   "[   210] open -> closing\n"
                   "[   210] > stop\n"
                   "[   210] client: close 1001\n"
                   "[   220] server: close answered\n"
                   "[   230] closing -> idle\n"
                   "[   230] closed: 1001 \"\" clean\n"
                   "[   230] because: OK (none)\n"
                   "[   230] ended: idle, CANCELED\n");
    tale_end(t);
}

/* An application comes to the front: the resume is no answer to the ping that it asks for.  Found
 * by a seed: without pings of our own the dead link was kept for ever. */
static void resume_and_wake_on_a_dead_link(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.ping_interval_ms = 0;
    tale_open(t);
    (void)sim_pause(&t->app);
    sim_ws_cut(&t->w);
    tale_run(t, 1000);
    (void)sim_resume(&t->app);
    (void)sim_wake(&t->app);
    tale_run(t, 12000);
    tale_expect(t, "[   100] > pause\n"
                   "[   100] the line is cut\n"
                   "[  1100] > resume\n"
                   "[  1100] > wake\n"
                   "[  1100] client: ping\n"
                   "[ 11100] closed: 1006 \"\"\n"
                   "[ 11100] because: PING_TIMEOUT (transient), next in 250 ms\n"
                   "[ 11350] attempt 2\n"
                   "[ 11350] dial api.example.com:443\n"
                   "[ 11350] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 11370] ticket: 200 ticket 2\n"
                   "[ 11380] dial: ready\n"
                   "[ 11380] upgrade /ws (ticket 2)\n"
                   "[ 11390] server: 101\n"
                   "[ 11400] open\n");
    tale_end(t);
}

/* Stopping while paused: the peer's close frame is read all the same. */
static void stop_while_paused(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_pause(&t->app);
    sim_ws_text(&t->w, "nobody reads me");
    tale_run(t, 100);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > pause\n"
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

/* Paused before it is open: a message that is glued to the 101 waits. */
static void paused_before_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].greeting = "welcome";
    sim_app_make(&t->app);
    (void)sim_pause(&t->app);
    (void)sim_start(&t->app);
    tale_run(t, 200);
    tale_skip(t);
    (void)sim_resume(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   200] > resume\n"
                   "[   200] message text 7 \"welcome\"\n");
    tale_end(t);
}

/* ---- Sending ------------------------------------------------------------------------------- */

static void send_when_not_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN);
    (void)sim_start(&t->app);
    tale_run(t, 30);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN);
    tale_run(t, 100);
    assert_int_equal(sim_send(&t->app, 10), 0);
    assert_int_equal(wst_client_send(t->app.client, WST_TEXT, "\xff", 1, NULL), WST_ERR_BAD_UTF8);
    assert_int_equal(wst_client_send(t->app.client, WST_TEXT, NULL, 1, NULL), WST_ERR_INVALID);
    assert_int_equal(wst_client_send(t->app.client, (enum wst_message_type)8, "", 0, NULL),
                     WST_ERR_INVALID);
    (void)sim_stop(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN);
    sim_close(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_CLOSING);
    tale_end(t);
}

static void queue_full_and_drained(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.max_queue_bytes = 10000;
    t->app.config.queue_low_water = 1000;
    t->links[0].window = 2000;
    tale_open(t);
    assert_int_equal(sim_send(&t->app, 20000), WST_ERR_TOO_LARGE);
    assert_int_equal(sim_send(&t->app, 6000), 0);
    assert_int_equal(sim_send(&t->app, 6000), WST_ERR_QUEUE_FULL);
    tale_run(t, 100);
    assert_int_equal(wst_client_buffered(t->app.client), 0);
    tale_expect(t, "[   100] > send: TOO_LARGE\n"
                   "[   100] > send\n"
                   "[   100] > send: QUEUE_FULL\n"
                   "[   120] drained\n"
                   "[   130] client: message 1, 6000 bytes\n"
                   "[   150] message text 6000 \"m00000001 abcdefghijklmnopqrstu\"\n");
    tale_end(t);
}

/* What was accepted and did not leave is reported, each message, before closed. */
static void unsent_is_reported(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].window = 2000;
    tale_open(t);
    sim_ws_deaf(&t->w, true);
    (void)sim_send(&t->app, 1000);
    (void)sim_send(&t->app, 3000);
    (void)sim_send(&t->app, 100);
    tale_run(t, 100);
    sim_ws_reset(&t->w);
    tale_run(t, 100);
    tale_expect(t, "[   100] > send\n"
                   "[   100] > send\n"
                   "[   100] > send\n"
                   "[   100] client: message 1, 1000 bytes\n"
                   "[   200] server: reset\n"
                   "[   210] open -> backoff\n"
                   "[   210] unsent: message 2, RESET\n"
                   "[   210] unsent: message 3, RESET\n"
                   "[   210] closed: 1006 \"\" with unsent messages\n"
                   "[   210] because: RESET (transient), next in 250 ms\n");
    tale_end(t);
}

/* Close drops everything at once. */
static void unsent_at_close(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_send(&t->app, 1000);
    sim_close(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > send\n"
                   "[   100] > close\n"
                   "[   100] open -> closing\n"
                   "[   100] unsent: message 1, CANCELED\n"
                   "[   100] closing -> idle\n"
                   "[   100] closed: 1006 \"\" with unsent messages\n"
                   "[   100] because: OK (none)\n"
                   "[   100] ended: idle, CANCELED\n"
                   "[   100] gone\n");
    tale_end(t);
}

/* Stop sends first what is queued. */
static void stop_sends_the_queue(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].window = 2000;
    tale_open(t);
    (void)sim_send(&t->app, 5000);
    (void)sim_stop_with(&t->app, 4000, "bye");
    tale_run(t, 200);
    tale_expect(t, "[   100] > send\n"
                   "[   100] > stop_with\n"
                   "[   100] open -> closing\n"
                   "[   120] client: message 1, 5000 bytes\n"
                   "[   120] client: close 4000\n"
                   "[   130] server: close answered\n"
                   "[   140] message text 5000 \"m00000001 abcdefghijklmnopqrstu\"\n"
                   "[   140] closing -> idle\n"
                   "[   140] closed: 4000 \"\" clean\n"
                   "[   140] because: OK (none)\n"
                   "[   140] ended: idle, CANCELED\n");
    tale_end(t);
}

/* Three short texts that come in one go. */
static const uint8_t burst[] = {0x81, 1, 'a', 0x81, 1, 'b', 0x81, 1, 'c'};

static void answer(struct sim_app *app, enum sim_cb cb)
{
    if (cb == SIM_CB_MESSAGE)
        (void)sim_send(app, 100);
}

/* The answers to what came in one go leave in one write, however many they are. */
static void answers_leave_together(void **state)
{
    struct tale *t = tale_new();
    unsigned before;

    (void)state;
    t->app.hook = answer;
    t->links[0].mute = true;
    tale_open(t);
    before = t->w.stream_writes;
    sim_ws_raw(&t->w, burst, sizeof burst);
    tale_run(t, 100);
    assert_int_equal(t->app.counts[SIM_CB_MESSAGE], 3);
    assert_int_equal(t->app.sent, 3);
    assert_int_equal(wst_client_buffered(t->app.client), 0);
    assert_int_equal(t->w.stream_writes, before + 1);
    sim_ws_reset(&t->w);
    tale_end(t);
}

static void answer_and_close(struct sim_app *app, enum sim_cb cb)
{
    if (cb != SIM_CB_MESSAGE)
        return;
    (void)sim_send(app, 100);
    sim_close(app);
}

/* Once it is closed nothing leaves any more: not the answer of the same callback, either. */
static void answer_and_close_inside(void **state)
{
    struct tale *t = tale_new();
    unsigned before;

    (void)state;
    t->app.hook = answer_and_close;
    tale_open(t);
    before = t->w.stream_writes;
    sim_ws_raw(&t->w, burst, 3); /* One message: nothing is held back behind it. */
    tale_run(t, 100);
    assert_int_equal(t->app.counts[SIM_CB_MESSAGE], 1);
    assert_int_equal(t->app.unsent, 1);
    assert_int_equal(t->w.stream_writes, before);
    tale_end(t);
}

/* ---- Receiving ----------------------------------------------------------------------------- */

/* Writes on as soon as the queue has drained: there is always more than one flush may write. */
static void refill(struct sim_app *app, enum sim_cb cb)
{
    if (cb == SIM_CB_DRAINED && app->counts[SIM_CB_DRAINED] < 20)
        (void)sim_send(app, 100000);
}

static void begin_upload(struct sim_world *w, void *obj, uint64_t n)
{
    (void)w;
    (void)n;
    (void)sim_send(obj, 100000);
}

static size_t count_in(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

/* Only a kernel that takes no more lets pongs fall: not an upload that needs several flushes. */
static void every_ping_of_an_upload_is_answered(void **state)
{
    static const uint8_t pings[] = {0x89, 0, 0x89, 0, 0x89, 0, 0x89, 0, 0x89, 0,
                                    0x89, 0, 0x89, 0, 0x89, 0, 0x89, 0, 0x89, 0};

    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct tale *t = tale_new();

        sim_decider_init(&t->w.decider, seed);
        t->w.shuffles = true;
        t->app.hook = refill;
        t->app.config.max_queue_bytes = 1 << 20;
        t->links[0].window = 16 << 20;
        t->links[0].chunk = 4;
        t->links[0].mute = true;
        tale_open(t);
        sim_ws_raw(&t->w, pings, sizeof pings);
        sim_after(&t->w, 10, begin_upload, &t->app, 0); /* At the moment when they arrive. */
        tale_run(t, 100);
        assert_int_equal(count_in(t->w.trace + t->shown, "client: pong\n"), 10);
        assert_true(t->app.counts[SIM_CB_DRAINED] >= 20);
        sim_ws_reset(&t->w);
        tale_end(t);
    }
}

/* 101 and two frames, cut at every byte. */
static void split_at_every_byte(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 200; chunk++) {
        struct tale *t = tale_new();

        t->links[0].greeting = "welcome";
        t->links[0].chunk = chunk;
        tale_start(t);
        tale_run(t, 100);
        sim_ws_text(&t->w, "second");
        tale_run(t, 50);
        assert_int_equal(t->app.counts[SIM_CB_MESSAGE], 2);
        tale_end(t);
    }
}

static void dribble(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->links[0].chunk = 10;
    t->links[0].chunk_ms = 20;
    tale_start(t);
    tale_run(t, 500);
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
                   "[   300] open\n");
    tale_end(t);
}

/* A large message is received straight into its place. */
static void large_echo(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_send(&t->app, 3000000);
    tale_run(t, 5000);
    assert_int_equal(t->app.last_echoed, 1);
    tale_end(t);
}

static void too_large_to_receive(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.max_message_bytes = 1000;
    tale_open(t);
    sim_ws_binary(&t->w, 1001);
    tale_run(t, 100);
    tale_expect(t, "[   110] open -> closing\n"
                   "[   110] client: close 1009\n"
                   "[   120] server: close answered\n"
                   "[   130] closing -> backoff\n"
                   "[   130] closed: 1006 \"\"\n"
                   "[   130] because: WS_TOO_LARGE (protocol), next in 250 ms\n");
    tale_end(t);
}

/* ---- Closing ------------------------------------------------------------------------------- */

/* Both close frames were exchanged; that the server does not end TCP does not make it unclean. */
static void stop_and_the_server_is_lazy(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].lazy_close = true;
    tale_open(t);
    (void)sim_stop(&t->app);
    tale_run(t, 6000);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   110] server: close answered\n"
                   "[  5100] closing -> idle\n"
                   "[  5100] closed: 1000 \"\" clean\n"
                   "[  5100] because: OK (none)\n"
                   "[  5100] ended: idle, CANCELED\n");
    tale_end(t);
}

static void close_and_the_server_is_lazy(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].lazy_close = true;
    tale_open(t);
    sim_ws_close(&t->w, 1001, "soon");
    tale_run(t, 6000);
    tale_expect(t, "[   100] server: close 1001\n"
                   "[   110] open -> closing\n"
                   "[   110] client: close 1001\n"
                   "[  5110] closing -> backoff\n"
                   "[  5110] closed: 1001 \"soon\" clean\n"
                   "[  5110] because: WS_CLOSED (transient), next in 250 ms\n"
                   "[  5360] backoff -> token\n"
                   "[  5360] attempt 2\n"
                   "[  5360] dial api.example.com:443\n"
                   "[  5360] token -> ticket\n"
                   "[  5360] GET /api/v1/ws-ticket (token 1)\n"
                   "[  5380] ticket: 200 ticket 2\n"
                   "[  5380] ticket -> connecting\n"
                   "[  5390] dial: ready\n"
                   "[  5390] upgrade /ws (ticket 2)\n"
                   "[  5400] server: 101\n"
                   "[  5410] connecting -> open\n"
                   "[  5410] open\n");
    tale_end(t);
}

static void stop_and_no_answer(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].mute = true;
    tale_open(t);
    (void)sim_stop(&t->app);
    tale_run(t, 6000);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[  5100] closing -> idle\n"
                   "[  5100] closed: 1006 \"\"\n"
                   "[  5100] because: OK (none)\n"
                   "[  5100] ended: idle, CANCELED\n");
    tale_end(t);
}

/* Both close at once. */
static void close_frames_cross(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    sim_ws_close(&t->w, 1001, "server");
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] server: close 1001\n"
                   "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   120] closing -> idle\n"
                   "[   120] closed: 1001 \"server\" clean\n"
                   "[   120] because: OK (none)\n"
                   "[   120] ended: idle, CANCELED\n");
    tale_end(t);
}

/* A stop while the server closes: at once. */
static void stop_while_the_server_closes(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].lazy_close = true;
    tale_open(t);
    sim_ws_close(&t->w, 1001, "server");
    tale_run(t, 100);
    (void)sim_stop(&t->app);
    tale_run(t, 10000);
    tale_expect(t, "[   100] server: close 1001\n"
                   "[   110] open -> closing\n"
                   "[   110] client: close 1001\n"
                   "[   200] > stop\n"
                   "[  5110] closing -> idle\n"
                   "[  5110] closed: 1001 \"server\" clean\n"
                   "[  5110] because: OK (none)\n"
                   "[  5110] ended: idle, CANCELED\n");
    tale_end(t);
}

static void echo_now(struct tale *t)
{
    (void)sim_send(&t->app, 10);
    tale_when(t, SIM_CB_STATE, 1, stop_now);
}

/* What an application sent before it heard of the server's close leaves, and the answer after it.
 */
static void stop_when_the_server_closes(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_when(t, SIM_CB_MESSAGE, 1, echo_now);
    sim_ws_raw(&t->w,
               "\x81\x01"
               "1\x88\x02\x03\xe8",
               7);
    tale_run(t, 100);
    tale_expect(t, "[   110] message text 1 \"1\"\n"
                   "[   110] > send\n"
                   "[   110] open -> closing\n"
                   "[   110] > stop\n"
                   "[   110] client: message 1, 10 bytes\n"
                   "[   110] client: close 1000\n"
                   "[   120] server: close answered\n"
                   "[   130] closing -> idle\n"
                   "[   130] closed: 1000 \"\" clean\n"
                   "[   130] because: OK (none)\n"
                   "[   130] ended: idle, CANCELED\n");
    assert_int_equal(t->app.counts[SIM_CB_VERDICT], 0); /* Nothing is to be decided any more. */
    tale_end(t);
}

static void pause_and_stop_now(struct tale *t)
{
    (void)sim_pause(&t->app);
    (void)sim_stop(&t->app);
}

/* A pause holds nothing back where the end of the connection is all that can still come. */
static void pause_and_stop_when_the_server_closes(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_when(t, SIM_CB_STATE, 1, pause_and_stop_now);
    sim_ws_close(&t->w, 1001, "server");
    tale_run(t, 6000);
    tale_expect(t, "[   100] server: close 1001\n"
                   "[   110] open -> closing\n"
                   "[   110] > pause\n"
                   "[   110] > stop\n"
                   "[   110] client: close 1001\n"
                   "[   130] closing -> idle\n"
                   "[   130] closed: 1001 \"server\" clean\n"
                   "[   130] because: OK (none)\n"
                   "[   130] ended: idle, CANCELED\n");
    tale_end(t);
}

/* What answers our close breaks the protocol: our side of the stream ends at once, too. */
static void stop_and_a_broken_answer(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].lazy_close = true;
    tale_open(t);
    (void)sim_stop(&t->app);
    sim_ws_raw(&t->w, "\x83\x00", 2);
    tale_run(t, 6000);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   110] server: close answered\n"
                   "[   130] closing -> idle\n"
                   "[   130] closed: 1006 \"\"\n"
                   "[   130] because: OK (none)\n"
                   "[   130] ended: idle, CANCELED\n");
    assert_int_equal(t->app.counts[SIM_CB_VERDICT], 0);
    tale_end(t);
}

static void reset_while_closing(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].mute = true;
    tale_open(t);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    sim_ws_reset(&t->w);
    tale_run(t, 100);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   200] server: reset\n"
                   "[   210] closing -> idle\n"
                   "[   210] closed: 1006 \"\"\n"
                   "[   210] because: OK (none)\n"
                   "[   210] ended: idle, CANCELED\n");
    tale_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pings),
        cmocka_unit_test(near_peer_and_a_coarse_clock),
        cmocka_unit_test(dead_peer),
        cmocka_unit_test(any_byte_is_life),
        cmocka_unit_test(blocked_ping),
        cmocka_unit_test(ping_by_hand),
        cmocka_unit_test(two_pings_in_one_turn),
        cmocka_unit_test(refused_ping),
        cmocka_unit_test(sleep_while_open),
        cmocka_unit_test(sleep_in_backoff),
        cmocka_unit_test(wake_in_backoff),
        cmocka_unit_test(wake_under_a_floor),
        cmocka_unit_test(wake_again_and_again),
        cmocka_unit_test(wake_while_open),
        cmocka_unit_test(pause_inside_a_message),
        cmocka_unit_test(liveness_stands_while_paused),
        cmocka_unit_test(close_behind_held_messages),
        cmocka_unit_test(stop_while_held_messages_are_read),
        cmocka_unit_test(resume_and_wake_on_a_dead_link),
        cmocka_unit_test(stop_while_paused),
        cmocka_unit_test(paused_before_open),
        cmocka_unit_test(send_when_not_open),
        cmocka_unit_test(queue_full_and_drained),
        cmocka_unit_test(unsent_is_reported),
        cmocka_unit_test(unsent_at_close),
        cmocka_unit_test(stop_sends_the_queue),
        cmocka_unit_test(every_ping_of_an_upload_is_answered),
        cmocka_unit_test(answers_leave_together),
        cmocka_unit_test(answer_and_close_inside),
        cmocka_unit_test(split_at_every_byte),
        cmocka_unit_test(dribble),
        cmocka_unit_test(large_echo),
        cmocka_unit_test(too_large_to_receive),
        cmocka_unit_test(stop_and_the_server_is_lazy),
        cmocka_unit_test(close_and_the_server_is_lazy),
        cmocka_unit_test(stop_and_no_answer),
        cmocka_unit_test(close_frames_cross),
        cmocka_unit_test(stop_while_the_server_closes),
        cmocka_unit_test(stop_when_the_server_closes),
        cmocka_unit_test(pause_and_stop_when_the_server_closes),
        cmocka_unit_test(stop_and_a_broken_answer),
        cmocka_unit_test(reset_while_closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
