/* Stories of the public functions: in every state, inside every callback; providers, the store,
 * tokens, the mailbox. */
#include "sim/tale.h"

#include "client/client.h"

#include <stdio.h>
#include <string.h>

/* ---- Start and stop ------------------------------------------------------------------------ */

static void start_twice(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    assert_int_equal(sim_stop(&t->app), WST_ERR_STATE);
    assert_int_equal(sim_start(&t->app), 0);
    assert_int_equal(sim_start(&t->app), WST_ERR_STATE);
    tale_run(t, 100);
    assert_int_equal(sim_start(&t->app), WST_ERR_STATE);
    assert_int_equal(sim_stop(&t->app), 0);
    assert_int_equal(sim_stop(&t->app), WST_ERR_STATE);
    tale_run(t, 100);
    assert_int_equal(sim_stop_with(&t->app, 1001, NULL), WST_ERR_INVALID);
    tale_end(t);
}

/* A stop leads to IDLE: out of OPEN and CLOSING by the close handshake, else at once. */
static void stop_in_every_state(void **state)
{
    static const struct {
        uint64_t ms;
        enum wst_state state;
    } moments[] = {{10, WST_STATE_TOKEN},      {25, WST_STATE_TICKET},   {41, WST_STATE_CONNECTING},
                   {55, WST_STATE_CONNECTING}, {120, WST_STATE_CLOSING}, {200, WST_STATE_BACKOFF}};

    (void)state;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct tale *t = tale_new();

        t->links[0].close_ms = 50;
        t->links[0].close_code = 1001;
        t->dials[0].ready_ms = 45;
        tale_start(t);
        tale_run(t, moments[i].ms);
        assert_int_equal(wst_client_state(t->app.client), moments[i].state);
        (void)sim_stop(&t->app);
        tale_run(t, moments[i].state == WST_STATE_CLOSING ? 30 : 0);
        assert_int_equal(wst_client_state(t->app.client), WST_STATE_IDLE);
        assert_int_equal(t->app.ends, 1);
        tale_run(t, 60000);
        assert_int_equal(wst_client_state(t->app.client), WST_STATE_IDLE);
        (void)sim_start(&t->app);
        tale_run(t, 200);
        assert_int_equal(t->app.starts, 2);
        tale_end(t);
    }
}

static void close_in_every_state(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 400; ms += 5) {
        struct tale *t = tale_new();

        t->links[0].close_ms = 50;
        t->links[0].close_code = 1001;
        tale_start(t);
        tale_run(t, ms);
        sim_close(&t->app);
        sim_close(&t->app); /* A second call does nothing. */
        assert_int_equal(wst_client_start(t->app.client), WST_ERR_CLOSING);
        assert_int_equal(wst_client_ping(t->app.client), WST_ERR_CLOSING);
        tale_run(t, 10);
        assert_true(t->app.gone);
        tale_end(t);
    }
}

static void close_before_start(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    sim_close(&t->app);
    tale_run(t, 1);
    tale_expect(t, "[     0] > close\n"
                   "[     0] gone\n");
    tale_end(t);
}

static void start_after_failed(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->tokens[0].status = 404;
    tale_start(t);
    tale_run(t, 100);
    tale_skip(t);
    (void)sim_start(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > start\n"
                   "[   100] failed -> token\n"
                   "[   100] attempt 2\n"
                   "[   100] POST /api/v1/auth/token\n"
                   "[   120] token: 200 token 1\n"
                   "[   120] token -> ticket\n"
                   "[   120] GET /api/v1/ws-ticket (token 1)\n"
                   "[   140] ticket: 200 ticket 1\n"
                   "[   140] ticket -> connecting\n"
                   "[   140] dial api.example.com:443\n"
                   "[   170] dial: ready\n"
                   "[   170] upgrade /ws (ticket 1)\n"
                   "[   180] server: 101\n"
                   "[   190] connecting -> open\n"
                   "[   190] open\n");
    tale_end(t);
}

/* The old life is ended before the new one begins. */
static void start_during_closing(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_stop(&t->app);
    tale_run(t, 5);
    (void)sim_start(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   105] > start\n"
                   "[   110] server: close answered\n"
                   "[   120] closing -> idle\n"
                   "[   120] closed: 1000 \"\" clean\n"
                   "[   120] because: OK (none)\n"
                   "[   120] ended: idle, CANCELED\n"
                   "[   120] idle -> token\n"
                   "[   120] attempt 2\n"
                   "[   120] dial api.example.com:443\n"
                   "[   120] token -> ticket\n"
                   "[   120] GET /api/v1/ws-ticket (token 1)\n"
                   "[   140] ticket: 200 ticket 2\n"
                   "[   140] ticket -> connecting\n"
                   "[   150] dial: ready\n"
                   "[   150] upgrade /ws (ticket 2)\n"
                   "[   160] server: 101\n"
                   "[   170] connecting -> open\n"
                   "[   170] open\n");
    tale_end(t);
}

/* Both starts have their end. */
static void stop_start_stop_during_closing(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_stop(&t->app);
    tale_run(t, 5);
    (void)sim_start(&t->app);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   100] > stop\n"
                   "[   100] open -> closing\n"
                   "[   100] client: close 1000\n"
                   "[   105] > start\n"
                   "[   105] > stop\n"
                   "[   105] closing -> idle\n"
                   "[   105] closed: 1006 \"\"\n"
                   "[   105] because: OK (none)\n"
                   "[   105] ended: idle, CANCELED\n"
                   "[   105] ended: idle, CANCELED\n");
    tale_end(t);
}

static void start_and_stop_in_one_turn(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    (void)sim_start(&t->app);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > stop\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[     0] token: cancelled\n"
                   "[     0] dial: dropped\n"
                   "[     0] token -> idle\n"
                   "[     0] failed: CANCELED (none)\n"
                   "[     0] ended: idle, CANCELED\n");
    tale_end(t);
}

/* The start was accepted: it has its end, though it never began. */
static void start_and_close_in_one_turn(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    (void)sim_start(&t->app);
    sim_close(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > close\n"
                   "[     0] ended: idle, CANCELED\n"
                   "[     0] gone\n");
    tale_end(t);
}

static void start_and_close_now(struct tale *t)
{
    (void)sim_start(&t->app);
    sim_close(&t->app);
}

/* Nothing is begun any more once close was called. */
static void start_and_close_inside_ended(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_when(t, SIM_CB_ENDED, 1, start_and_close_now);
    tale_start(t);
    tale_run(t, 10);
    tale_skip(t);
    (void)sim_stop(&t->app);
    tale_run(t, 10);
    tale_expect(t, "[    10] > stop\n"
                   "[    10] token: cancelled\n"
                   "[    10] dial: dropped\n"
                   "[    10] token -> idle\n"
                   "[    10] failed: CANCELED (none)\n"
                   "[    10] ended: idle, CANCELED\n"
                   "[    10] > start\n"
                   "[    10] > close\n"
                   "[    10] ended: idle, CANCELED\n"
                   "[    10] gone\n");
    tale_end(t);
}

static void flip(struct sim_app *app, enum sim_cb cb)
{
    if (cb == SIM_CB_ATTEMPT)
        (void)sim_stop(app);
    else if (cb == SIM_CB_ENDED && app->ends < 50)
        (void)sim_start(app);
}

/* Starts and stops go ahead of every answer: those that they overtake must not pile up. */
static void start_and_stop_again_and_again(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    for (size_t i = 0; i < TALE_MAX_PLANS; i++)
        t->dials[i].refuse = t->tokens[i].refuse = WST_ERR_NOMEM;
    t->app.hook = flip;
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(t->app.ends, 50);
    assert_int_equal(t->app.state, WST_STATE_IDLE);
    tale_end(t);
}

/* ---- Inside every callback ----------------------------------------------------------------- */

static void close_now(struct tale *t)
{
    sim_close(&t->app);
}

static void stop_now(struct tale *t)
{
    (void)sim_stop(&t->app);
}

static void restart_now(struct tale *t)
{
    (void)sim_stop(&t->app);
    (void)sim_start(&t->app);
}

static void forget_now(struct tale *t)
{
    (void)sim_forget_token(&t->app);
}

static void everything_now(struct tale *t)
{
    (void)sim_send(&t->app, 100);
    (void)sim_send_chunk(&t->app, 100, WST_CHUNK_FIRST);
    (void)sim_send_chunk(&t->app, 100, WST_CHUNK_LAST);
    (void)sim_ping(&t->app);
    (void)sim_pause(&t->app);
    (void)sim_resume(&t->app);
    (void)sim_wake(&t->app);
    (void)sim_post(&t->app);
    (void)sim_set_token(&t->app, 1, 0);
    (void)sim_stop(&t->app);
    (void)sim_start(&t->app);
    sim_close(&t->app);
    (void)sim_start(&t->app);
    (void)sim_stop(&t->app);
    (void)sim_forget_token(&t->app);
}

/* A day in the life in which each callback is called. */
static void live(struct tale *t)
{
    t->app.config.queue_low_water = 10;
    t->app.config.offline_messages = 3;
    t->app.config.offline_age_ms = 60;
    t->tickets[0].status = 401;
    t->tickets[2].status = 500;
    t->links[0].window = 1000;
    sim_use_store(&t->app);
    tale_start(t);
    for (int i = 0; i < 40 && t->app.client; i++) {
        tale_run(t, 50);
        if (t->app.load_request && t->app.client)
            (void)sim_loaded(&t->app);
        if ((i == 1 || i == 3 || i == 22) && t->app.client)
            (void)sim_send(&t->app, 10); /* One is too old before it is open. */
        if (i == 9 && t->app.client)
            (void)sim_send_chunk(&t->app, 100, WST_CHUNK_LAST);
        if (i == 8 && t->app.client) {
            (void)sim_post(&t->app);
            (void)sim_send(&t->app, 3000);
            (void)sim_send_chunk(&t->app, 100, WST_CHUNK_FIRST);
            (void)sim_ping(&t->app);
        }
        if (i == 15)
            sim_ws_deaf(&t->w, true);
        if (i == 15 && t->app.client)
            (void)sim_send(&t->app, 3000);
        if (i == 16 && t->app.client)
            (void)sim_send_chunk(&t->app, 10, WST_CHUNK_FIRST);
        if (i == 17)
            sim_ws_close(&t->w, 1012, "restart");
        if (i == 20)
            sim_ws_reset(&t->w);
        if (i == 38 && t->app.client)
            (void)sim_stop(&t->app);
    }
}

/* Does |what| inside the first, second ... callback, until there are no more. */
static void inside_callbacks(tale_fn *what, bool chunks, uint64_t seen[SIM_CB_COUNT])
{
    for (unsigned nth = 1;; nth++) {
        struct tale *t = tale_new();
        bool more;

        if (chunks)
            sim_use_chunks(&t->app);
        tale_when(t, SIM_CB_COUNT, nth, what);
        live(t);
        more = t->calls >= nth;
        for (size_t i = 0; i < SIM_CB_COUNT; i++)
            seen[i] += t->app.counts[i];
        tale_end(t);
        if (!more)
            break;
        assert_in_range(nth, 1, 1000);
    }
}

static void inside_every_callback(tale_fn *what)
{
    uint64_t seen[SIM_CB_COUNT] = {0};

    inside_callbacks(what, false, seen);
    inside_callbacks(what, true, seen);
    for (int i = 0; i < SIM_CB_COUNT; i++) {
        if (seen[i] == 0 && i != SIM_CB_PROVIDE)
            fail_msg("callback %d was never called", i);
    }
}

static void close_inside_every_callback(void **state)
{
    (void)state;
    inside_every_callback(close_now);
}

static void stop_inside_every_callback(void **state)
{
    (void)state;
    inside_every_callback(stop_now);
}

static void restart_inside_every_callback(void **state)
{
    (void)state;
    inside_every_callback(restart_now);
}

static void forget_inside_every_callback(void **state)
{
    (void)state;
    inside_every_callback(forget_now);
}

static void everything_inside_every_callback(void **state)
{
    (void)state;
    inside_every_callback(everything_now);
}

/* ---- Providers ----------------------------------------------------------------------------- */

static void provide_now(struct tale *t)
{
    (void)sim_provide(&t->app);
}

static struct tale *with_providers(void)
{
    struct tale *t = tale_new();

    t->app.config.token_step = WST_STEP_MODE_CALLBACK;
    t->app.config.ticket_step = WST_STEP_MODE_CALLBACK;
    return t;
}

static void provided_later(void **state)
{
    struct tale *t = with_providers();

    (void)state;
    tale_start(t);
    tale_run(t, 50);
    (void)sim_provide(&t->app);
    tale_run(t, 50);
    (void)sim_provide(&t->app);
    tale_run(t, 50);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] the application is asked for a token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[    50] > provide\n"
                   "[    50] token -> ticket\n"
                   "[    50] the application is asked for a ticket (with a token)\n"
                   "[   100] > provide\n"
                   "[   100] ticket -> connecting\n"
                   "[   100] upgrade /ws (ticket 1)\n"
                   "[   110] server: 101\n"
                   "[   120] connecting -> open\n"
                   "[   120] open\n");
    tale_end(t);
}

/* Inside the callback that asks. */
static void provided_at_once(void **state)
{
    struct tale *t = with_providers();

    (void)state;
    t->app.config.ticket_step = WST_STEP_MODE_HTTP;
    tale_when(t, SIM_CB_PROVIDE, 1, provide_now);
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] the application is asked for a token\n"
                   "[     0] > provide\n"
                   "[     0] dial api.example.com:443\n"
                   "[     0] token -> ticket\n"
                   "[     0] GET /api/v1/ws-ticket (token 1)\n"
                   "[    20] ticket: 200 ticket 1\n"
                   "[    20] ticket -> connecting\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /ws (ticket 1)\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    tale_end(t);
}

static void never_provided(void **state)
{
    struct tale *t = with_providers();
    uint64_t request;
    struct wst_stats s = {.size = sizeof s};

    (void)state;
    tale_start(t);
    tale_run(t, 1);
    request = t->app.request;
    tale_run(t, 11000);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] the application is asked for a token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[  5030] dial: dropped\n"
                   "[ 10000] token -> backoff\n"
                   "[ 10000] failed: TIMEOUT (transient), next in 250 ms\n"
                   "[ 10250] backoff -> token\n"
                   "[ 10250] attempt 2\n"
                   "[ 10250] the application is asked for a token\n");
    /* The late answer is dropped, and counted. */
    assert_int_equal(wst_client_provide(t->app.client, request, "late-" SIM_SECRET, 0), 0);
    assert_int_equal(wst_client_stats(t->app.client, &s), 0);
    assert_int_equal(s.late_answers, 1);
    tale_end(t);
}

static void provider_fails(void **state)
{
    struct tale *t = with_providers();

    (void)state;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 10);
    (void)sim_provide(&t->app);
    tale_run(t, 10);
    (void)sim_provide_failed(&t->app, 503, 2000);
    tale_run(t, 10);
    assert_int_equal(t->app.failure.cause.cls, WST_CLASS_SOFT);
    assert_int_equal(t->app.failure.retry_after_ms, 2000);
    assert_string_equal(t->app.failure.cause.text, "the application could not");
    tale_end(t);
}

/* The application's ticket call was answered 401: another token, in the same attempt. */
static void provider_401(void **state)
{
    struct tale *t = with_providers();

    (void)state;
    tale_start(t);
    tale_run(t, 10);
    (void)sim_provide(&t->app);
    tale_run(t, 10);
    tale_skip(t);
    (void)sim_provide_failed(&t->app, 401, 0);
    tale_run(t, 10);
    (void)sim_provide(&t->app);
    tale_run(t, 10);
    (void)sim_provide(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[    20] > provide_failed\n"
                   "[    20] ticket -> token\n"
                   "[    20] the application is asked for a token\n"
                   "[    30] dial: ready\n"
                   "[    30] > provide\n"
                   "[    30] token -> ticket\n"
                   "[    30] the application is asked for a ticket (with a token)\n"
                   "[    40] > provide\n"
                   "[    40] ticket -> connecting\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[    50] server: 101\n"
                   "[    60] connecting -> open\n"
                   "[    60] open\n");
    tale_end(t);
}

static void provided_nonsense(void **state)
{
    struct tale *t = with_providers();
    struct wst_client *cl;

    (void)state;
    tale_start(t);
    tale_run(t, 10);
    cl = t->app.client;
    assert_int_equal(wst_client_provide(cl, t->app.request, "", 0), WST_ERR_INVALID);
    assert_int_equal(wst_client_provide(cl, t->app.request, "a\nb", 0), WST_ERR_INVALID);
    assert_int_equal(wst_client_provide_failed(cl, t->app.request, 1000, 0, NULL), WST_ERR_INVALID);
    assert_int_equal(t->app.state, WST_STATE_TOKEN);
    tale_end(t);
}

/* ---- Tokens across runs -------------------------------------------------------------------- */

#define STORED(origin, at, life)                                                                   \
    "{\"v\":1,\"origin\":\"" origin "\",\"token\":\"tok-" SIM_SECRET "-1\",\"receivedAt\":" at     \
    ",\"lifeSeconds\":" life "}"

static struct tale *with_file(const char *text)
{
    struct tale *t = tale_new();

    t->app.config.token_cache = "token";
    (void)sim_token_mint(&t->w);
    if (text)
        sim_file_put(&t->w, "token", text);
    return t;
}

static void stored_token_is_used(void **state)
{
    struct tale *t = with_file(STORED("https://api.example.com:443", "1699999990", "3600"));

    (void)state;
    tale_start(t);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] dial api.example.com:443\n"
                   "[     2] file read: ok\n"
                   "[     2] token -> ticket\n"
                   "[     2] GET /api/v1/ws-ticket (token 1)\n"
                   "[    22] ticket: 200 ticket 1\n"
                   "[    22] ticket -> connecting\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /ws (ticket 1)\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    tale_end(t);
}

static void token_is_stored(void **state)
{
    struct tale *t = with_file(NULL);

    (void)state;
    t->app.quiet = true;
    tale_start(t);
    tale_run(t, 100);
    assert_string_equal(
        (char *)sim_file(&t->w, "token")->data.data,
        "{\"v\":1,\"origin\":\"https://api.example.com:443\",\"token\":\"tok-" SIM_SECRET
        "-2\",\"receivedAt\":1700000000,\"lifeSeconds\":3600}\n");
    tale_skip(t);
    (void)sim_forget_token(&t->app);
    tale_run(t, 10);
    assert_false(sim_file(&t->w, "token")->exists);
    tale_end(t);
}

/* Unusable records: another token is fetched, and nothing is sent where it does not belong. */
static void stored_token_is_not_used(void **state)
{
    static const char *const texts[] = {
        "", "{", "null", STORED("https://evil.example.com:443", "1699999990", "3600"),
        STORED("http://api.example.com:443", "1699999990", "3600")};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tale *t = with_file(texts[i]);

        tale_start(t);
        tale_run(t, 100);
        assert_true(t->app.open);
        assert_int_equal(t->w.server.token_count, 2);
        tale_end(t);
    }
}

/* A clock outside of the token's life tells nothing: it is used once, and a 401 decides. */
static void stored_token_and_a_wrong_clock(void **state)
{
    static const char *const texts[] = {STORED("https://api.example.com:443", "1800000000", "3600"),
                                        STORED("https://api.example.com:443", "1600000000", "3600"),
                                        STORED("https://api.example.com:443", "1699999990", "-1")};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tale *t = with_file(texts[i]);

        tale_start(t);
        tale_run(t, 100);
        assert_true(t->app.open);
        assert_int_equal(t->w.server.token_count, 1);
        tale_end(t);
    }
}

static void stored_token_is_refused(void **state)
{
    struct tale *t = with_file(STORED("https://api.example.com:443", "1600000000", "3600"));

    (void)state;
    sim_tokens_revoke(&t->w);
    tale_start(t);
    tale_run(t, 150);
    tale_expect(t, "[     0] server: all tokens are revoked\n"
                   "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] dial api.example.com:443\n"
                   "[     2] file read: ok\n"
                   "[     2] token -> ticket\n"
                   "[     2] GET /api/v1/ws-ticket (token 1)\n"
                   "[    22] ticket: 401\n"
                   "[    22] ticket -> token\n"
                   "[    22] POST /api/v1/auth/token\n"
                   "[    24] file removed: ok\n"
                   "[    30] dial: ready\n"
                   "[    42] token: 200 token 2\n"
                   "[    42] token -> ticket\n"
                   "[    42] GET /api/v1/ws-ticket (token 2)\n"
                   "[    44] file written: ok\n"
                   "[    62] ticket: 200 ticket 1\n"
                   "[    62] ticket -> connecting\n"
                   "[    62] upgrade /ws (ticket 1)\n"
                   "[    72] server: 101\n"
                   "[    82] connecting -> open\n"
                   "[    82] open\n");
    tale_end(t);
}

/* One that would not be read is not written, and the one before goes: it is somebody else's. */
static void long_token_is_not_stored(void **state)
{
    struct tale *t = with_file(STORED("https://api.example.com:443", "1699999990", "3600"));
    static char token[16384 + 2];

    (void)state;
    memset(token, 'x', 16384);
    tale_start(t);
    tale_run(t, 100);
    assert_int_equal(wst_client_set_token(t->app.client, token, 500), 0);
    tale_run(t, 10);
    assert_non_null(strstr((char *)sim_file(&t->w, "token")->data.data, "xx\""));
    assert_non_null(strstr((char *)sim_file(&t->w, "token")->data.data, "\"lifeSeconds\":1}"));
    assert_int_equal(wst_client_set_token(t->app.client, token, UINT64_MAX / 4), 0);
    tale_run(t, 10);
    assert_non_null(strstr((char *)sim_file(&t->w, "token")->data.data, "\"lifeSeconds\":-1}"));
    token[16384] = 'x';
    assert_int_equal(wst_client_set_token(t->app.client, token, 0), 0);
    tale_run(t, 10);
    assert_false(sim_file(&t->w, "token")->exists);
    tale_end(t);
}

/* The disk fails: a warning, not an error. */
static void file_fails(void **state)
{
    struct tale *t = with_file(STORED("https://api.example.com:443", "1699999990", "3600"));

    (void)state;
    for (size_t i = 0; i < 4; i++)
        t->files[i].fail = WST_ERR_IO;
    tale_start(t);
    tale_run(t, 100);
    assert_true(t->app.open);
    tale_end(t);
}

/* Another user's cannot be written: the one before does not stay behind for the next run. */
static void file_of_another_user(void **state)
{
    struct tale *t = with_file(STORED("https://api.example.com:443", "1699999990", "3600"));

    (void)state;
    t->app.quiet = true;
    t->files[1].fail = WST_ERR_IO;
    tale_start(t);
    tale_run(t, 100);
    tale_skip(t);
    (void)sim_set_token(&t->app, 7, 60000);
    tale_run(t, 10);
    tale_expect(t, "[   100] > set_token\n"
                   "[   102] file written: failed\n"
                   "[   104] file removed: ok\n");
    assert_false(sim_file(&t->w, "token")->exists);
    tale_end(t);
}

/* Close waits until the token is on the disk. */
static void close_waits_for_the_file(void **state)
{
    struct tale *t = with_file(NULL);

    (void)state;
    t->app.quiet = true;
    t->files[1].ms = 500;
    tale_start(t);
    tale_run(t, 60);
    tale_skip(t);
    sim_close(&t->app);
    tale_run(t, 600);
    tale_expect(t, "[    60] > close\n"
                   "[    60] failed: CANCELED (none)\n"
                   "[    60] ended: idle, CANCELED\n"
                   "[   522] file written: ok\n"
                   "[   522] gone\n");
    tale_end(t);
}

/* Changed while it is written: the last state wins. */
static void file_writes_are_serial(void **state)
{
    struct tale *t = with_file(NULL);

    (void)state;
    t->app.quiet = true;
    t->files[1].ms = 500;
    tale_start(t);
    tale_run(t, 100);
    (void)sim_set_token(&t->app, 7, 60000);
    (void)sim_forget_token(&t->app);
    (void)sim_set_token(&t->app, 8, 60000);
    tale_run(t, 1000);
    assert_non_null(strstr((char *)sim_file(&t->w, "token")->data.data, "-8\""));
    assert_int_equal(t->file_at, 3);
    tale_end(t);
}

static void loaded_now(struct tale *t)
{
    (void)sim_loaded(&t->app);
}

/* The application's store, which answers inside its callback. */
static void store_of_the_application(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_use_store(&t->app);
    tale_when(t, SIM_CB_STORE, 1, loaded_now);
    tale_start(t);
    tale_run(t, 100);
    (void)sim_forget_token(&t->app);
    tale_run(t, 1);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] store: load\n"
                   "[     0] > token_loaded\n"
                   "[     0] dial api.example.com:443\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    20] store: save https://api.example.com:443, 3600 s\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 200 ticket 1\n"
                   "[    40] ticket -> connecting\n"
                   "[    40] upgrade /ws (ticket 1)\n"
                   "[    50] server: 101\n"
                   "[    60] connecting -> open\n"
                   "[    60] open\n"
                   "[   100] > forget_token\n"
                   "[   100] store: clear\n");
    tale_end(t);
}

static void store_that_answers_late(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_use_store(&t->app);
    t->app.stored = true;
    sim_token_text(t->app.stored_token, sizeof t->app.stored_token, sim_token_mint(&t->w));
    (void)snprintf(t->app.stored_origin, sizeof t->app.stored_origin,
                   "https://api.example.com:443");
    t->app.stored_at = 1700000000;
    t->app.stored_life_s = 3600;
    tale_start(t);
    tale_run(t, 10100); /* The step has timed out. */
    (void)sim_loaded(&t->app);
    tale_run(t, 400);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] store: load\n"
                   "[     0] dial api.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[  5030] dial: dropped\n"
                   "[ 10000] token -> backoff\n"
                   "[ 10000] failed: TIMEOUT (transient), next in 250 ms\n"
                   "[ 10100] > token_loaded\n"
                   "[ 10250] backoff -> token\n"
                   "[ 10250] attempt 2\n"
                   "[ 10250] token -> ticket\n"
                   "[ 10250] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 10270] ticket: 200 ticket 1\n"
                   "[ 10270] ticket -> connecting\n"
                   "[ 10270] dial api.example.com:443\n"
                   "[ 10300] dial: ready\n"
                   "[ 10300] upgrade /ws (ticket 1)\n"
                   "[ 10310] server: 101\n"
                   "[ 10320] connecting -> open\n"
                   "[ 10320] open\n");
    tale_end(t);
}

/* After close nothing is taken any more: it would never be wiped. */
static void store_that_answers_after_close(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_use_store(&t->app);
    t->app.stored = true;
    (void)snprintf(t->app.stored_token, sizeof t->app.stored_token, "tok");
    (void)snprintf(t->app.stored_origin, sizeof t->app.stored_origin,
                   "https://api.example.com:443");
    tale_start(t);
    tale_run(t, 10);
    sim_close(&t->app);
    assert_int_equal(sim_loaded(&t->app), WST_ERR_CLOSING);
    tale_end(t);
}

/* ---- set_token and forget_token ------------------------------------------------------------ */

static void token_is_set_before_start(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_app_make(&t->app);
    (void)sim_set_token(&t->app, sim_token_mint(&t->w), 60000);
    (void)sim_start(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[     0] > set_token\n"
                   "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] dial api.example.com:443\n"
                   "[     0] token -> ticket\n"
                   "[     0] GET /api/v1/ws-ticket (token 1)\n"
                   "[    20] ticket: 200 ticket 1\n"
                   "[    20] ticket -> connecting\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /ws (ticket 1)\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    assert_int_equal(wst_client_set_token(t->app.client, "", 0), WST_ERR_INVALID);
    assert_int_equal(wst_client_set_token(t->app.client, "a b", 0), WST_ERR_INVALID);
    tale_end(t);
}

/* Under step 1: what is under way is dropped, and the new one used at once. */
static void token_is_set_during_its_fetch(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_start(t);
    tale_run(t, 10);
    (void)sim_set_token(&t->app, sim_token_mint(&t->w), 0);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    10] > set_token\n"
                   "[    10] token: cancelled\n"
                   "[    10] token -> ticket\n"
                   "[    10] GET /api/v1/ws-ticket (token 2)\n"
                   "[    30] dial: ready\n"
                   "[    30] ticket: 200 ticket 1\n"
                   "[    30] ticket -> connecting\n"
                   "[    30] upgrade /ws (ticket 1)\n"
                   "[    40] server: 101\n"
                   "[    50] connecting -> open\n"
                   "[    50] open\n");
    tale_end(t);
}

/* In any other state: from the next attempt on. */
static void token_is_set_later(void **state)
{
    static const uint64_t moments[] = {25, 41, 55, 100, 210};

    (void)state;
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        struct tale *t = tale_new();
        uint64_t mine;

        t->links[0].fin_ms = 150;
        tale_start(t);
        tale_run(t, moments[i]);
        mine = sim_token_mint(&t->w);
        (void)sim_set_token(&t->app, mine, 0);
        t->w.server.tokens[0].revoked = true; /* The ticket of the first attempt is bought. */
        tale_run(t, 1000);
        assert_true(t->app.open);
        assert_true(t->w.server.token_count <= mine + 1);
        tale_end(t);
    }
}

/* Set between two tickets of one attempt, and refused: it is this one that is dropped. */
static void token_is_set_between_two_tickets(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->w.server.ticket_life_s = 1;
    t->dials[0].ready_ms = 1000; /* The first ticket is too old then. */
    tale_start(t);
    tale_run(t, 500);
    (void)sim_set_token(&t->app, 77, 0); /* No good. */
    tale_skip(t);
    tale_run(t, 700);
    tale_expect(t, "[  1000] dial: ready\n"
                   "[  1000] connecting -> ticket\n"
                   "[  1000] GET /api/v1/ws-ticket (unknown token)\n"
                   "[  1020] ticket: 401\n"
                   "[  1020] ticket -> token\n"
                   "[  1020] POST /api/v1/auth/token\n"
                   "[  1040] token: 200 token 2\n"
                   "[  1040] token -> ticket\n"
                   "[  1040] GET /api/v1/ws-ticket (token 2)\n"
                   "[  1060] ticket: 200 ticket 2\n"
                   "[  1060] ticket -> connecting\n"
                   "[  1060] upgrade /ws (ticket 2)\n"
                   "[  1070] server: 101\n"
                   "[  1080] connecting -> open\n"
                   "[  1080] open\n");
    tale_end(t);
}

/* A log-out while a token is fetched: that token is not used. */
static void token_is_forgotten_during_its_fetch(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_start(t);
    tale_run(t, 10);
    (void)sim_forget_token(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    10] > forget_token\n"
                   "[    10] token: cancelled\n"
                   "[    10] POST /api/v1/auth/token\n"
                   "[    30] dial: ready\n"
                   "[    30] token: 200 token 2\n"
                   "[    30] token -> ticket\n"
                   "[    30] GET /api/v1/ws-ticket (token 2)\n"
                   "[    50] ticket: 200 ticket 1\n"
                   "[    50] ticket -> connecting\n"
                   "[    50] upgrade /ws (ticket 1)\n"
                   "[    60] server: 101\n"
                   "[    70] connecting -> open\n"
                   "[    70] open\n");
    tale_end(t);
}

static void forget_at(struct sim_world *w, void *obj, uint64_t n)
{
    (void)obj;
    (void)n;
    (void)sim_forget_token(w->app);
}

/* The same, and the answer comes before the client's turn does. */
static void token_is_forgotten_as_it_arrives(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_after(&t->w, 20, forget_at, NULL, 0);
    tale_start(t);
    tale_run(t, 30);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] > forget_token\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] POST /api/v1/auth/token\n"
                   "[    30] dial: ready\n");
    tale_end(t);
}

/* The same, and the answer is there already, in the same turn. */
static void token_is_forgotten_as_it_is_provided(void **state)
{
    struct tale *t = with_providers();

    (void)state;
    tale_start(t);
    tale_run(t, 10);
    (void)sim_provide(&t->app);
    (void)sim_forget_token(&t->app);
    tale_run(t, 10);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] the application is asked for a token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    10] > provide\n"
                   "[    10] > forget_token\n"
                   "[    10] the application is asked for a token\n");
    tale_end(t);
}

static void forget(struct tale *t)
{
    (void)sim_forget_token(&t->app);
}

/* The same inside a callback, wherever that stands between the token and its use: no ticket is
 * asked for without a token, as nobody. */
static void token_is_forgotten_on_the_way_to_its_use(void **state)
{
    static const struct {
        enum sim_cb cb;
        unsigned nth;
    } where[] = {{SIM_CB_PROGRESS, 3},  /* It arrived, */
                 {SIM_CB_PROGRESS, 4},  /* it is ready, */
                 {SIM_CB_STATE, 2},     /* step 2 begins, */
                 {SIM_CB_PROGRESS, 5}}; /* and the ticket is asked for. */

    (void)state;
    for (size_t i = 0; i < sizeof where / sizeof where[0]; i++) {
        struct tale *t = tale_new();

        tale_when(t, where[i].cb, where[i].nth, forget);
        tale_start(t);
        tale_run(t, 300);
        assert_null(strstr(t->w.trace, "ws-ticket\n"));
        assert_non_null(strstr(t->w.trace, "ws-ticket (token 2)\n"));
        assert_true(t->app.open);
        tale_end(t);
    }
}

/* The upgrade that is to show the token is not written without it either. */
static void token_is_forgotten_before_it_is_shown(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.ticket_step = WST_STEP_MODE_OMIT;
    t->app.config.upgrade_bearer = 1;
    t->w.server.bearer = t->w.server.no_tickets = true;
    tale_start(t);
    tale_run(t, 25);
    (void)sim_forget_token(&t->app);
    tale_run(t, 500);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    25] > forget_token\n"
                   "[    30] dial: ready\n"
                   "[    30] dial: dropped\n"
                   "[    30] failed: TOKEN_REFUSED (token), next in 250 ms\n"
                   "[   280] attempt 2\n"
                   "[   280] POST /api/v1/auth/token\n"
                   "[   280] dial api.example.com:443\n"
                   "[   300] token: 200 token 2\n"
                   "[   310] dial: ready\n"
                   "[   310] upgrade with a token\n"
                   "[   310] upgrade /ws\n"
                   "[   320] server: 101\n"
                   "[   330] open\n");
    tale_end(t);
}

/* A token that came after step 1, was shown and refused: it is this one that is dropped. */
static void token_is_set_before_it_is_shown(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.quiet = true;
    t->app.config.ticket_step = WST_STEP_MODE_OMIT;
    t->app.config.upgrade_bearer = 1;
    t->w.server.bearer = t->w.server.no_tickets = true;
    t->w.server.reject_status = 401;
    tale_start(t);
    tale_run(t, 25);
    (void)sim_set_token(&t->app, 77, 0); /* No good. */
    tale_run(t, 600);
    tale_expect(t, "[     0] > start\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    25] > set_token\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade with a token\n"
                   "[    30] upgrade /ws\n"
                   "[    40] server: token rejected\n"
                   "[    40] server: 401\n"
                   "[    50] failed: UPGRADE_REFUSED (ticket) 401, next in 250 ms\n"
                   "[   300] attempt 2\n"
                   "[   300] POST /api/v1/auth/token\n"
                   "[   300] dial api.example.com:443\n"
                   "[   320] token: 200 token 2\n"
                   "[   330] dial: ready\n"
                   "[   330] upgrade with a token\n"
                   "[   330] upgrade /ws\n"
                   "[   340] server: 101\n"
                   "[   350] open\n");
    tale_end(t);
}

/* The user who logged out while open does not come back with the old token. */
static void token_is_forgotten_while_open(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_forget_token(&t->app);
    sim_ws_fin(&t->w);
    tale_run(t, 500);
    assert_int_equal(t->w.server.token_count, 2);
    assert_true(t->app.open);
    tale_end(t);
}

/* A newer token is not dropped for what an older one did. */
static void newer_token_survives(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_run(t, 6000);
    (void)sim_set_token(&t->app, sim_token_mint(&t->w), 0);
    tale_skip(t);
    sim_ws_close(&t->w, 4401, "");
    tale_run(t, 500);
    tale_expect(t, "[  6100] server: close 4401\n"
                   "[  6110] open -> closing\n"
                   "[  6110] client: close 4401\n"
                   "[  6130] closing -> backoff\n"
                   "[  6130] closed: 4401 \"\" clean\n"
                   "[  6130] because: WS_CLOSED (token), next in 250 ms\n"
                   "[  6380] backoff -> token\n"
                   "[  6380] attempt 2\n"
                   "[  6380] dial api.example.com:443\n"
                   "[  6380] token -> ticket\n"
                   "[  6380] GET /api/v1/ws-ticket (token 2)\n"
                   "[  6400] ticket: 200 ticket 2\n"
                   "[  6400] ticket -> connecting\n"
                   "[  6410] dial: ready\n"
                   "[  6410] upgrade /ws (ticket 2)\n"
                   "[  6420] server: 101\n"
                   "[  6430] connecting -> open\n"
                   "[  6430] open\n");
    tale_end(t);
}

/* ---- The mailbox --------------------------------------------------------------------------- */

static void post(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_post(&t->app);
    (void)sim_post(&t->app);
    tale_run(t, 1);
    /* What is pending at close is still run. */
    (void)sim_post(&t->app);
    sim_close(&t->app);
    tale_run(t, 1);
    tale_expect(t, "[   100] > post\n"
                   "[   100] > post\n"
                   "[   100] posted\n"
                   "[   100] posted\n"
                   "[   101] > post\n"
                   "[   101] > close\n"
                   "[   101] posted\n"
                   "[   101] open -> closing\n"
                   "[   101] closing -> idle\n"
                   "[   101] closed: 1006 \"\"\n"
                   "[   101] because: OK (none)\n"
                   "[   101] ended: idle, CANCELED\n"
                   "[   101] gone\n");
    tale_end(t);
}

static void close_inside_post(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    tale_when(t, SIM_CB_POST, 1, close_now);
    (void)sim_post(&t->app);
    tale_run(t, 1);
    assert_true(t->app.gone);
    tale_end(t);
}

/* ---- Making -------------------------------------------------------------------------------- */

static void nothing_is_left_of_a_client_that_could_not_be_made(void **state)
{
    struct tale *t = tale_new();
    struct wst_cause why = {0};
    struct wst_client *cl = NULL;

    (void)state;
    t->w.no_entropy = true;
    assert_int_equal(wst__client_new_on(&cl, &t->w.ports, &t->app.config, &why), WST_ERR_ENTROPY);
    assert_null(cl);
    assert_true(*why.text);
    t->w.no_entropy = false;
    t->app.config.base_delay_ms = 0;
    assert_int_equal(wst__client_new_on(&cl, &t->w.ports, &t->app.config, &why), WST_ERR_CONFIG);
    assert_non_null(strstr(why.text, "base_delay_ms"));
    t->app.config.base_delay_ms = 250;
    sim_app_make(&t->app);
    tale_end(t);
}

static void functions_of_nothing(void **state)
{
    (void)state;
    wst_client_close(NULL, NULL, NULL);
    assert_int_equal(wst_client_start(NULL), WST_ERR_INVALID);
    assert_int_equal(wst_client_stop(NULL), WST_ERR_INVALID);
    assert_int_equal(wst_client_send(NULL, WST_TEXT, "", 0, NULL), WST_ERR_INVALID);
    assert_int_equal(wst_client_buffered(NULL), 0);
    assert_int_equal(wst_client_state(NULL), WST_STATE_IDLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_twice),
        cmocka_unit_test(stop_in_every_state),
        cmocka_unit_test(close_in_every_state),
        cmocka_unit_test(close_before_start),
        cmocka_unit_test(start_after_failed),
        cmocka_unit_test(start_during_closing),
        cmocka_unit_test(stop_start_stop_during_closing),
        cmocka_unit_test(start_and_stop_in_one_turn),
        cmocka_unit_test(start_and_close_in_one_turn),
        cmocka_unit_test(start_and_close_inside_ended),
        cmocka_unit_test(start_and_stop_again_and_again),
        cmocka_unit_test(close_inside_every_callback),
        cmocka_unit_test(stop_inside_every_callback),
        cmocka_unit_test(restart_inside_every_callback),
        cmocka_unit_test(forget_inside_every_callback),
        cmocka_unit_test(everything_inside_every_callback),
        cmocka_unit_test(provided_later),
        cmocka_unit_test(provided_at_once),
        cmocka_unit_test(never_provided),
        cmocka_unit_test(provider_fails),
        cmocka_unit_test(provider_401),
        cmocka_unit_test(provided_nonsense),
        cmocka_unit_test(stored_token_is_used),
        cmocka_unit_test(token_is_stored),
        cmocka_unit_test(stored_token_is_not_used),
        cmocka_unit_test(stored_token_and_a_wrong_clock),
        cmocka_unit_test(stored_token_is_refused),
        cmocka_unit_test(long_token_is_not_stored),
        cmocka_unit_test(file_fails),
        cmocka_unit_test(file_of_another_user),
        cmocka_unit_test(close_waits_for_the_file),
        cmocka_unit_test(file_writes_are_serial),
        cmocka_unit_test(store_of_the_application),
        cmocka_unit_test(store_that_answers_late),
        cmocka_unit_test(store_that_answers_after_close),
        cmocka_unit_test(token_is_set_before_start),
        cmocka_unit_test(token_is_set_during_its_fetch),
        cmocka_unit_test(token_is_set_later),
        cmocka_unit_test(token_is_set_between_two_tickets),
        cmocka_unit_test(token_is_forgotten_during_its_fetch),
        cmocka_unit_test(token_is_forgotten_as_it_arrives),
        cmocka_unit_test(token_is_forgotten_as_it_is_provided),
        cmocka_unit_test(token_is_forgotten_on_the_way_to_its_use),
        cmocka_unit_test(token_is_forgotten_before_it_is_shown),
        cmocka_unit_test(token_is_set_before_it_is_shown),
        cmocka_unit_test(token_is_forgotten_while_open),
        cmocka_unit_test(newer_token_survives),
        cmocka_unit_test(post),
        cmocka_unit_test(close_inside_post),
        cmocka_unit_test(nothing_is_left_of_a_client_that_could_not_be_made),
        cmocka_unit_test(functions_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
