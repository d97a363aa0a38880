/* The error map and the names of the public words. */
#include "base/err.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct line {
    int code;
    enum wst_class cls;
    const char *name;
    const char *text;
};

static const struct line map[] = {
#define LINE(name, value, cls, text) {WST_ERR_##name, WST_CLASS_##cls, #name, text},
    WST_ERR_MAP(LINE)
#undef LINE
};
static const size_t map_len = sizeof map / sizeof map[0];

static void test_every_line_is_found(void **state)
{
    (void)state;
    assert_true(map_len > 30);
    for (size_t i = 0; i < map_len; i++) {
        assert_string_equal(wst_err_name(map[i].code), map[i].name);
        assert_string_equal(wst_strerror(map[i].code), map[i].text);
        assert_int_equal(wst_err_class(map[i].code), map[i].cls);
    }
}

static void test_values_names_and_texts_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < map_len; i++) {
        assert_true(map[i].code < 0);
        assert_true(map[i].code > WST_ERR_LAST_ENTRY);
        for (size_t k = i + 1; k < map_len; k++) {
            assert_int_not_equal(map[i].code, map[k].code);
            assert_string_not_equal(map[i].name, map[k].name);
            assert_string_not_equal(map[i].text, map[k].text);
        }
    }
}

/* The texts are put behind a name and a colon: they begin small and end without a full stop. */
static void test_texts_have_one_style(void **state)
{
    (void)state;
    for (size_t i = 0; i < map_len; i++) {
        const char *text = map[i].text;

        assert_true(strlen(text) > 8);
        assert_true(islower((unsigned char)text[0]) || isupper((unsigned char)text[1]));
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void test_outside_the_map(void **state)
{
    static const int strangers[] = {1, -999, -1000, INT32_MAX, INT32_MIN};

    (void)state;
    assert_string_equal(wst_strerror(0), "no error");
    assert_string_equal(wst_err_name(0), "OK");
    assert_int_equal(wst_err_class(0), WST_CLASS_NONE);
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        assert_string_equal(wst_strerror(strangers[i]), "unknown error");
        assert_string_equal(wst_err_name(strangers[i]), "UNKNOWN");
        assert_int_equal(wst_err_class(strangers[i]), WST_CLASS_NONE);
    }
}

/* Adapters, so that one walk serves the three kinds of words. */
static const char *class_name(int value)
{
    return wst_class_name((enum wst_class)value);
}

static const char *step_name(int value)
{
    return wst_step_name((enum wst_step)value);
}

static const char *state_name(int value)
{
    return wst_state_name((enum wst_state)value);
}

static void walk_names(const char *(*name)(int), int first, int last)
{
    for (int i = first; i <= last; i++) {
        assert_non_null(name(i));
        assert_string_not_equal(name(i), "unknown");
        for (const char *c = name(i); *c; c++)
            assert_true(islower((unsigned char)*c));
        for (int k = first; k < i; k++)
            assert_string_not_equal(name(i), name(k));
    }
    assert_string_equal(name(last + 1), "unknown");
    assert_string_equal(name(-1), "unknown");
}

static void test_every_word_has_a_name(void **state)
{
    (void)state;
    walk_names(class_name, WST_CLASS_NONE, WST_CLASS_LOCAL);
    walk_names(step_name, WST_STEP_NONE, WST_STEP_CONNECT);
    walk_names(state_name, WST_STATE_IDLE, WST_STATE_FAILED);
    assert_string_equal(wst_state_name(WST_STATE_BACKOFF), "backoff");
    assert_string_equal(wst_class_name(WST_CLASS_SOFT), "soft");
    assert_string_equal(wst_step_name(WST_STEP_TICKET), "ticket");
}

static void test_version_is_the_headers(void **state)
{
    (void)state;
    assert_string_equal(wst_version(), WST_VERSION_STRING);
}

static void test_cause_is_filled_in(void **state)
{
    struct wst_cause cause;
    int rc;

    (void)state;
    memset(&cause, 0xff, sizeof cause);
    rc = wst__cause(&cause, WST_ERR_TIMEOUT, WST_STEP_TICKET, "no answer in %d ms", 10);
    assert_int_equal(rc, WST_ERR_TIMEOUT);
    assert_int_equal(cause.code, WST_ERR_TIMEOUT);
    assert_int_equal(cause.step, WST_STEP_TICKET);
    assert_int_equal(cause.cls, WST_CLASS_TRANSIENT);
    assert_int_equal(cause.http_status, 0);
    assert_int_equal(cause.close_code, 0);
    assert_int_equal(cause.sys_errno, 0);
    assert_int_equal(cause.tls_verify, 0);
    assert_string_equal(cause.text, "no answer in 10 ms");
}

static void test_cause_cuts_and_may_be_missing(void **state)
{
    struct wst_cause cause;
    char longish[1000];

    (void)state;
    memset(longish, 'y', sizeof longish);
    longish[sizeof longish - 1] = '\0';
    (void)wst__cause(&cause, WST_ERR_IO, WST_STEP_NONE, "%s", longish);
    assert_int_equal(strlen(cause.text), sizeof cause.text - 1);
    assert_int_equal(wst__cause(NULL, WST_ERR_IO, WST_STEP_NONE, "unheard"), WST_ERR_IO);
}

/* A server's words may stand in it: no line end, no escape sequence, no half of a character. */
static void test_a_text_is_one_clean_line(void **state)
{
    static const char *const ends[][2] = {{"", ""},
                                          {"a", "a"},
                                          {"\xc3", ""},
                                          {"a\xc3", "a"},
                                          {"\xc3\xa9", "\xc3\xa9"},
                                          {"\xe2\x82", ""},
                                          {"a\xe2", "a"},
                                          {"\xe2\x82\xac", "\xe2\x82\xac"},
                                          {"x\xf0\x9f\x98", "x"},
                                          {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
                                          {"a\xc2\x9b\xc2\x85z", "a??z"}, /* CSI, NEL. */
                                          {"\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0"},
                                          {"a\xc2", "a"},
                                          {"\x80\x80", "\x80\x80"}};
    struct wst_cause cause;
    char text[300];

    (void)state;
    (void)wst__cause(&cause, WST_ERR_WS_CLOSED, WST_STEP_CONNECT, "closed: %s",
                     "one\r\ntwo\x1b[31m\x7f\tthree");
    assert_string_equal(cause.text, "closed: one??two?[31m??three");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(text, sizeof text, "%s", ends[i][0]);
        wst__clean(text);
        assert_string_equal(text, ends[i][1]);
    }
    memset(text, 'y', sizeof text); /* The euro sign stands where the text is cut. */
    (void)snprintf(text + 254, sizeof text - 254, "\xe2\x82\xac");
    (void)wst__cause(&cause, WST_ERR_IO, WST_STEP_NONE, "%s", text);
    assert_int_equal(strlen(cause.text), 254);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_is_found),
        cmocka_unit_test(test_values_names_and_texts_are_unique),
        cmocka_unit_test(test_texts_have_one_style),
        cmocka_unit_test(test_outside_the_map),
        cmocka_unit_test(test_every_word_has_a_name),
        cmocka_unit_test(test_version_is_the_headers),
        cmocka_unit_test(test_cause_is_filled_in),
        cmocka_unit_test(test_cause_cuts_and_may_be_missing),
        cmocka_unit_test(test_a_text_is_one_clean_line),
    };

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
