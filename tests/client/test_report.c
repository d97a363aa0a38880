/* Failures in words a person can act on. */
#include "base/mem.h"
#include "client/client.h"
#include "client/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void words_of_a_status(void **state)
{
    static const struct {
        enum wst_step step;
        int status;
        int code;
        const char *text;
    } rows[] = {
        {WST_STEP_TOKEN, 401, WST_ERR_HTTP_STATUS,
         "the token request was answered 401 Unauthorized; check the credentials of the token "
         "request"},
        {WST_STEP_TICKET, 401, WST_ERR_TOKEN_REFUSED,
         "the ticket request was answered 401 Unauthorized"},
        {WST_STEP_TOKEN, 400, WST_ERR_HTTP_STATUS,
         "the token request was answered 400 Bad Request; check token_body, and whether this "
         "server uses tickets at all (ticket_step)"},
        {WST_STEP_TOKEN, 404, WST_ERR_HTTP_STATUS,
         "the token request was answered 404 Not Found; check token_url"},
        {WST_STEP_TICKET, 404, WST_ERR_HTTP_STATUS,
         "the ticket request was answered 404 Not Found; check ticket_url"},
        {WST_STEP_TICKET, 426, WST_ERR_HTTP_STATUS,
         "the ticket request was answered 426 Upgrade Required; this is a WebSocket endpoint: does "
         "the server use tickets at all (ticket_step)?"},
        {WST_STEP_TICKET, 405, WST_ERR_HTTP_STATUS,
         "the ticket request was answered 405 Method Not Allowed; check ticket_method"},
        {WST_STEP_TICKET, 503, WST_ERR_HTTP_STATUS,
         "the ticket request was answered 503 Service Unavailable"},
        {WST_STEP_TICKET, 599, WST_ERR_HTTP_STATUS, "the ticket request was answered 599"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst_cause why;

        wst__report_status(&why, rows[i].step, rows[i].status, "");
        assert_int_equal(why.code, rows[i].code);
        assert_int_equal(why.http_status, rows[i].status);
        assert_int_equal(why.step, rows[i].step);
        assert_string_equal(why.text, rows[i].text);
    }
}

static void words_of_a_redirect(void **state)
{
    struct wst_cause why;

    (void)state;
    wst__report_status(&why, WST_STEP_TOKEN, 301, "login.example.com");
    assert_int_equal(why.code, WST_ERR_REDIRECTED);
    assert_string_equal(why.text,
                        "the token request was redirected to login.example.com: not followed");
    wst__report_status(&why, WST_STEP_TOKEN, 304, "");
    assert_string_equal(why.text, "the token request was redirected to nowhere: not followed");
}

/* What is remembered of a step comes back whole; what the core found itself gets its own words. */
static void causes(void **state)
{
    struct wst__shared_config shared = {.config.c.ping_timeout_ms = 1234};
    struct wst_client cl = {.shared = &shared};
    struct wst__failure f;
    struct wst_cause why, told;

    (void)state;
    wst__cause(&why, WST_ERR_RESOLVE, WST_STEP_NONE, "no such host");
    why.sys_errno = 7;
    f = wst__report_failure(&cl, WST_STEP_CONNECT, &why, 100, 200);
    assert_int_equal(f.code, WST_ERR_RESOLVE);
    assert_int_equal(f.step, WST_STEP_CONNECT);
    assert_int_equal(f.retry_after_ms, 100);
    assert_int_equal(f.spread_ms, 200);
    f.cls = WST_CLASS_TRANSIENT;
    wst__report_cause(&cl, &f, &told);
    assert_string_equal(told.text, "no such host");
    assert_int_equal(told.sys_errno, 7);
    assert_int_equal(told.step, WST_STEP_CONNECT);
    assert_int_equal(told.cls, WST_CLASS_TRANSIENT);

    f = (struct wst__failure){.code = WST_ERR_TIMEOUT, .step = WST_STEP_CONNECT, .own = true};
    wst__report_cause(&cl, &f, &told);
    assert_non_null(strstr(told.text, "step_timeout_ms"));
    f = (struct wst__failure){.code = WST_ERR_PING_TIMEOUT, .step = WST_STEP_CONNECT, .own = true};
    wst__report_cause(&cl, &f, &told);
    assert_non_null(strstr(told.text, "1234 ms"));
    f.code = 0;
    wst__report_cause(&cl, &f, &told);
    assert_int_equal(told.code, 0);
    assert_string_equal(told.text, "");
    wst__free(cl.words);
}

/* Without memory for the words, the numbers are still told. */
static void numbers_of_a_cause_without_words(void **state)
{
    struct wst__shared_config shared = {.users = 1};
    struct wst_client cl = {.shared = &shared};
    struct wst__failure f = {.code = WST_ERR_HTTP_STATUS,
                             .step = WST_STEP_TICKET,
                             .http_status = 503,
                             .cls = WST_CLASS_SOFT};
    struct wst_cause told;

    (void)state;
    wst__report_cause(&cl, &f, &told);
    assert_int_equal(told.code, WST_ERR_HTTP_STATUS);
    assert_int_equal(told.step, WST_STEP_TICKET);
    assert_int_equal(told.http_status, 503);
    assert_int_equal(told.cls, WST_CLASS_SOFT);
    assert_string_equal(told.text, wst_strerror(WST_ERR_HTTP_STATUS));
}

static void what_the_server_asks_for_is_told_bounded(void **state)
{
    struct wst__shared_config shared = {.config.c.max_server_delay_ms = 5000};
    struct wst_client cl = {.shared = &shared};
    struct wst_error_info info;

    (void)state;
    cl.core.failure.code = WST_ERR_HTTP_STATUS;
    cl.core.failure.retry_after_ms = 60000;
    cl.core.failures = 3;
    cl.counts.attempts = 9;
    wst__report_info(&cl, 777, &info);
    assert_int_equal(info.retry_after_ms, 5000);
    assert_int_equal(info.next_delay_ms, 777);
    assert_int_equal(info.failures, 3);
    assert_int_equal(info.attempt, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_status),
        cmocka_unit_test(words_of_a_redirect),
        cmocka_unit_test(causes),
        cmocka_unit_test(numbers_of_a_cause_without_words),
        cmocka_unit_test(what_the_server_asks_for_is_told_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
