/*
 * The failure table, every HTTP status and every close code, against an expectation that is
 * written in another way than the code: as text, the way DESIGN.md and verdict.h tell it.
 */
#include "core/verdict.h"
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One row: numbers from |first| to |last|; the letter of the class in step 1, 2, 3, or before and
 * after stable.  The last row that fits counts.
 * . none  t transient  s soft  K token  T ticket  A auth  R refused  p protocol */
struct row {
    int first, last;
    const char *classes;
};

static const struct row http_rows[] = {
    {100, 599, "ttt"}, {101, 101, "tt."}, {200, 299, "..t"}, {400, 499, "RRR"}, {401, 401, "AKT"},
    {403, 403, "AAT"}, {408, 408, "ttt"}, {425, 425, "ttt"}, {429, 429, "sss"}, {503, 503, "sss"},
};

static const struct row close_rows[] = {
    {1000, 4999, "tt"}, {1002, 1003, "pp"}, {1007, 1007, "pp"}, {1009, 1010, "pp"},
    {1012, 1013, "ss"}, {1008, 1008, "TK"}, {3000, 3000, "TK"}, {3003, 3003, "TK"},
    {4401, 4401, "TK"}, {4403, 4403, "TK"},
};

static enum wst_class class_of(char letter)
{
    static const struct {
        char letter;
        enum wst_class cls;
    } names[] = {
        {'.', WST_CLASS_NONE},    {'t', WST_CLASS_TRANSIENT}, {'s', WST_CLASS_SOFT},
        {'K', WST_CLASS_TOKEN},   {'T', WST_CLASS_TICKET},    {'A', WST_CLASS_AUTH},
        {'R', WST_CLASS_REFUSED}, {'p', WST_CLASS_PROTOCOL},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].letter == letter)
            return names[i].cls;
    }
    fail_msg("no class has the letter %c", letter);
    return WST_CLASS_NONE;
}

static enum wst_class look_up(const struct row *rows, size_t count, int number, int column)
{
    char letter = '?';

    for (size_t i = 0; i < count; i++) {
        if (number >= rows[i].first && number <= rows[i].last)
            letter = rows[i].classes[column];
    }
    return class_of(letter);
}

static void expect_class(const char *what, int number, int column, enum wst_class got,
                         enum wst_class want)
{
    if (got != want)
        fail_msg("%s %d, column %d: class %d instead of %d", what, number, column, (int)got,
                 (int)want);
}

static void every_http_status_in_every_step(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    for (int status = 100; status <= 599; status++) {
        for (int column = 0; column < 3; column++) {
            enum wst_step step = (enum wst_step)(column + 1);
            enum wst_class want =
                look_up(http_rows, sizeof http_rows / sizeof http_rows[0], status, column);
            struct wst__failure f = {
                .code = WST_ERR_HTTP_STATUS, .step = step, .http_status = (uint16_t)status};

            expect_class("status", status, column, wst__verdict_http(step, status), want);
            /* A success that is reported as a failure is one of no use: what its code says. */
            if (want == WST_CLASS_NONE)
                want = WST_CLASS_TRANSIENT;
            expect_class("failure", status, column, wst__verdict(&p, &f, false), want);
        }
    }
}

static void every_close_code_before_and_after_stable(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    for (int code = 1000; code <= 4999; code++) {
        for (int column = 0; column < 2; column++) {
            enum wst_class want =
                look_up(close_rows, sizeof close_rows / sizeof close_rows[0], code, column);
            struct wst__failure f = closed(code);

            f.http_status = 400; /* The close code decides. */
            expect_class("close", code, column, wst__verdict_close(&p, code, column == 1), want);
            expect_class("failure", code, column, wst__verdict(&p, &f, column == 1), want);
        }
    }
}

static void the_codes_for_not_authorized_are_configurable(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    p.unauthorized_count = 2;
    p.unauthorized[0] = 4999;
    p.unauthorized[1] = 1013;
    assert_int_equal(wst__verdict_close(&p, 4999, false), WST_CLASS_TICKET);
    assert_int_equal(wst__verdict_close(&p, 4999, true), WST_CLASS_TOKEN);
    assert_int_equal(wst__verdict_close(&p, 1013, false), WST_CLASS_TICKET);
    assert_int_equal(wst__verdict_close(&p, 1008, false), WST_CLASS_TRANSIENT);
    assert_int_equal(wst__verdict_close(&p, 4401, true), WST_CLASS_TRANSIENT);
    p.unauthorized_count = 0;
    assert_int_equal(wst__verdict_close(&p, 4999, true), WST_CLASS_TRANSIENT);
    p.unauthorized_count = 1000; /* Not a reason to read beyond the array. */
    assert_int_equal(wst__verdict_close(&p, 4999, false), WST_CLASS_TICKET);
    assert_int_equal(wst__verdict_close(&p, 1005, true), WST_CLASS_TRANSIENT);
}

static void every_error_without_a_number_goes_by_the_map(void **arg)
{
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
#define ROW(name, value, want, text)                                                               \
    {                                                                                              \
        struct wst__failure f = error(value);                                                      \
        enum wst_class cls = WST_CLASS_##want;                                                     \
        f.step = WST_STEP_CONNECT;                                                                 \
        if (cls == WST_CLASS_NONE)                                                                 \
            cls = WST_CLASS_TRANSIENT; /* Never NONE: it is a failure. */                          \
        expect_class(#name, value, 0, wst__verdict(&p, &f, false), cls);                           \
    }
    WST_ERR_MAP(ROW)
#undef ROW
}

static void a_proxy_says_nothing_of_tickets(void **arg)
{
    struct wst__failure f = error(WST_ERR_PROXY);
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    f.step = WST_STEP_CONNECT;
    f.http_status = 403;
    assert_int_equal(wst__verdict(&p, &f, false), WST_CLASS_TRANSIENT);
    f.code = WST_ERR_PROXY_AUTH;
    f.http_status = 407;
    assert_int_equal(wst__verdict(&p, &f, false), WST_CLASS_REFUSED);
}

static void a_link_that_we_ended_goes_by_our_reason(void **arg)
{
    struct wst__failure f = closed(1006);
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    f.code = WST_ERR_WS_BAD_UTF8;
    assert_int_equal(wst__verdict(&p, &f, true), WST_CLASS_PROTOCOL);
    f.code = WST_ERR_NOMEM;
    assert_int_equal(wst__verdict(&p, &f, true), WST_CLASS_LOCAL);
    f.code = WST_ERR_PING_TIMEOUT;
    assert_int_equal(wst__verdict(&p, &f, true), WST_CLASS_TRANSIENT);
    f.code = WST_ERR_WS_PROTOCOL;
    f.close_code = 1012; /* What the peer says of itself tells more. */
    assert_int_equal(wst__verdict(&p, &f, true), WST_CLASS_SOFT);
}

static void numbers_outside_the_table_are_no_reason_to_give_up(void **arg)
{
    static const int odd[] = {-1, 1, 99, 600, 999, 100000};

    (void)arg;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        for (int step = 1; step <= 3; step++)
            assert_int_equal(wst__verdict_http((enum wst_step)step, odd[i]), WST_CLASS_TRANSIENT);
    }
    assert_int_equal(wst__verdict_http(WST_STEP_TOKEN, 0), WST_CLASS_NONE);
}

static void an_error_that_the_map_does_not_know_is_no_reason_either(void **arg)
{
    struct wst__failure f = {.code = -9999, .step = WST_STEP_TICKET};
    struct wst__policy p;

    (void)arg;
    tale_policy(&p);
    assert_int_equal(wst__verdict(&p, &f, false), WST_CLASS_TRANSIENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_http_status_in_every_step),
        cmocka_unit_test(every_close_code_before_and_after_stable),
        cmocka_unit_test(the_codes_for_not_authorized_are_configurable),
        cmocka_unit_test(every_error_without_a_number_goes_by_the_map),
        cmocka_unit_test(a_proxy_says_nothing_of_tickets),
        cmocka_unit_test(a_link_that_we_ended_goes_by_our_reason),
        cmocka_unit_test(numbers_outside_the_table_are_no_reason_to_give_up),
        cmocka_unit_test(an_error_that_the_map_does_not_know_is_no_reason_either),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
