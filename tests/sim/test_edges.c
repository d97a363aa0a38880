/* What a careless application does inside its callbacks, and what it hands over. */
#include "client/client.h"
#include "sim/tale.h"

#include <stdio.h>
#include <string.h>

/* ---- Pointers that a callback was given ---------------------------------------------------- */

static char seen[128];

/* Brings another token, and looks at the one it was given afterwards. */
static void ticket_cb(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    (void)arg;
    assert_non_null(token);
    assert_int_equal(wst_client_set_token(client, "another-" SIM_SECRET, 0), 0);
    (void)snprintf(seen, sizeof seen, "%s", token);
    (void)wst_client_provide_failed(client, request, 0, 0, NULL);
}

/* What a callback was given is there until it returns, whatever it calls. */
static void the_token_of_a_provider_stays(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ticket_step = WST_STEP_MODE_CALLBACK;
    t->app.config.ticket_cb = ticket_cb;
    t->app.config.token = "first-" SIM_SECRET;
    tale_start(t);
    tale_run(t, 10);
    assert_string_equal(seen, "first-" SIM_SECRET);
    tale_end(t);
}

static void save_cb(struct wst_client *client, const struct wst_stored_token *token, void *arg)
{
    (void)arg;
    assert_int_equal(wst_client_forget_token(client), 0);
    (void)snprintf(seen, sizeof seen, "%s", token->token);
}

static void the_token_of_a_store_stays(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    sim_use_store(&t->app);
    t->app.config.store_save = save_cb;
    seen[0] = '\0';
    sim_app_make(&t->app);
    (void)sim_set_token(&t->app, 1, 0);
    tale_run(t, 10);
    assert_non_null(strstr(seen, SIM_SECRET));
    tale_end(t);
}

/* ---- A program of an older header ---------------------------------------------------------- */

/* Its struct ends where this one's |arg| stands: what follows it in memory is not looked at. */
static void a_shorter_struct_has_no_arg(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.size = offsetof(struct wst_config, arg);
    assert_non_null(t->app.config.arg);
    sim_app_make(&t->app);
    assert_null(wst_client_arg(t->app.client));
    tale_end(t);
}

/* ---- What a store may answer --------------------------------------------------------------- */

static struct wst_client *client;
static uint64_t load_request;
static unsigned lines, lines_inside;
static bool inside;

static void load_cb(struct wst_client *cl, uint64_t request, void *arg)
{
    (void)arg;
    client = cl;
    load_request = request;
}

static void log_cb(enum wst_log_level level, const char *text, void *arg)
{
    (void)level;
    (void)arg;
    if (strstr(text, "stored token"))
        lines++;
    lines_inside += inside;
}

static struct tale *asked_for_the_stored_token(void)
{
    struct tale *t = tale_new();

    sim_use_store(&t->app);
    t->app.config.store_load = load_cb;
    t->app.config.log_cb = log_cb;
    load_request = 0;
    lines = lines_inside = 0;
    tale_start(t);
    tale_run(t, 5);
    assert_true(load_request != 0);
    return t;
}

static void answer(const struct wst_stored_token *token)
{
    inside = true;
    assert_int_equal(wst_client_token_loaded(client, load_request, token), 0);
    inside = false;
}

/* The log is a callback, too: it never runs inside a call. */
static void the_log_does_not_run_inside_a_call(void **state)
{
    static const struct wst_stored_token foreign = {"abc", "https://elsewhere.example:443", 1, 60};
    struct tale *t = asked_for_the_stored_token();

    (void)state;
    answer(&foreign);
    assert_int_equal(lines, 0);
    tale_run(t, 100);
    assert_int_equal(lines, 1);
    assert_int_equal(lines_inside, 0);
    assert_int_equal(t->app.state, WST_STATE_OPEN); /* With a fetched one. */
    tale_end(t);
}

/* A token that would break the header line is none. */
static void a_stored_token_with_a_line_end(void **state)
{
    struct wst_stored_token bad = {"abc\r\nX-Evil: 1", "https://api.example.com:443", 1, 60};
    struct tale *t = asked_for_the_stored_token();

    (void)state;
    answer(&bad);
    tale_run(t, 100);
    assert_int_equal(lines, 1);
    assert_int_equal(t->app.state, WST_STATE_OPEN);
    tale_end(t);
}

/* Numbers at the ends of their ranges: the life is unknown, and nothing overflows. */
static void stored_numbers_out_of_range(void **state)
{
    static const int64_t numbers[][2] = {{INT64_MIN, INT64_MAX}, {INT64_MAX, INT64_MAX},
                                         {0, INT64_MAX},         {-1, 60},
                                         {INT64_MIN, 1},         {1, INT64_MIN}};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct tale *t = asked_for_the_stored_token();
        struct wst_stored_token odd = {"tkn-" SIM_SECRET, "https://api.example.com:443",
                                       numbers[i][0], numbers[i][1]};

        answer(&odd);
        assert_int_equal(t->app.client->token->life_ms, -1);
        tale_run(t, 10);
        tale_end(t);
    }
}

/* ---- Whole URLs ---------------------------------------------------------------------------- */

static void url_cb(struct wst_client *cl, uint64_t request, const char *token, void *arg)
{
    (void)token;
    (void)arg;
    assert_int_equal(
        wst_client_provide(cl, request, "wss://edge.example.com/live?t=" SIM_SECRET, 0), 0);
}

/* The ticket goes to the host that its URL names, not to the one that could have been dialed. */
static void a_whole_url_of_the_application(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.token_step = WST_STEP_MODE_OMIT;
    t->app.config.ticket_step = WST_STEP_MODE_CALLBACK;
    t->app.config.ticket_cb = url_cb;
    t->app.config.url_pointer = "/url";
    t->w.server.no_tickets = t->w.server.whole_url = true;
    tale_start(t);
    tale_run(t, 35);
    tale_expect(t, "[     0] > start\n"
                   "[     0] idle -> ticket\n"
                   "[     0] attempt 1\n"
                   "[     0] ticket -> connecting\n"
                   "[     0] dial edge.example.com:443\n"
                   "[    30] dial: ready\n"
                   "[    30] upgrade /live\n");
    tale_end(t);
}

/* ---- Pause --------------------------------------------------------------------------------- */

/* A pong in front of the peer's close frame must not keep that from being seen. */
static void stop_while_paused_with_a_ping_under_way(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_pause(&t->app);
    (void)sim_ping(&t->app);
    (void)sim_stop(&t->app);
    tale_run(t, 100);
    assert_int_equal(t->app.state, WST_STATE_IDLE);
    assert_non_null(strstr(t->w.trace, "closed: 1000 \"\" clean"));
    tale_end(t);
}

static void resume_at(struct sim_world *w, void *obj, uint64_t n)
{
    (void)w;
    (void)n;
    (void)sim_resume(obj);
}

/* The liveness clock stood during the pause: what came meanwhile could not be seen. */
static void resume_at_the_last_moment(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.ping_interval_ms = 1000;
    t->app.config.ping_timeout_ms = 500;
    tale_open(t);
    (void)sim_pause(&t->app);
    /* Asked for before the client's own timer is armed for that moment: it comes first. */
    sim_after(&t->w, 1460, resume_at, &t->app, 0);
    tale_run(t, 2000);
    assert_int_equal(t->app.counts[SIM_CB_CLOSED], 0);
    tale_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_of_a_provider_stays),
        cmocka_unit_test(the_token_of_a_store_stays),
        cmocka_unit_test(a_shorter_struct_has_no_arg),
        cmocka_unit_test(the_log_does_not_run_inside_a_call),
        cmocka_unit_test(a_stored_token_with_a_line_end),
        cmocka_unit_test(stored_numbers_out_of_range),
        cmocka_unit_test(a_whole_url_of_the_application),
        cmocka_unit_test(stop_while_paused_with_a_ping_under_way),
        cmocka_unit_test(resume_at_the_last_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
