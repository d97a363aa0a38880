/* The header fields of one request. */
#include "client/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct wst_header headers[] = {
    {WST_STEP_NONE, "X-All", "1"},
    {WST_STEP_TICKET, "X-Ticket-Only", "2"},
    {WST_STEP_CONNECT, "Origin", "https://app.example.com"},
    {WST_STEP_TICKET, "accept", "text/json"},
};
static const struct wst_config config = {.headers = headers,
                                         .header_count = sizeof headers / sizeof headers[0]};

/* The fields as one text. */
static const char *text_of(const struct wst__fields *f)
{
    static char text[1024];

    *text = 0;
    for (const char *const *line = wst__fields_list(f); *line; line++) {
        strncat(text, *line, sizeof text - strlen(text) - 1);
        strncat(text, "|", sizeof text - strlen(text) - 1);
    }
    return text;
}

static void each_step_has_its_own(void **state)
{
    struct wst__fields f;

    (void)state;
    wst__fields_init(&f, &config, WST_STEP_TOKEN);
    assert_string_equal(text_of(&f), "X-All: 1|");
    wst__fields_fini(&f);
    wst__fields_init(&f, &config, WST_STEP_TICKET);
    assert_string_equal(text_of(&f), "X-All: 1|X-Ticket-Only: 2|accept: text/json|");
    wst__fields_fini(&f);
    wst__fields_init(&f, &config, WST_STEP_CONNECT);
    assert_string_equal(text_of(&f), "X-All: 1|Origin: https://app.example.com|");
    wst__fields_fini(&f);
}

/* What the application gives takes the place of ours, however it is written. */
static void ours_stays_away(void **state)
{
    struct wst__fields f;

    (void)state;
    wst__fields_init(&f, &config, WST_STEP_TICKET);
    assert_true(wst__fields_given(&f, "Accept"));
    assert_false(wst__fields_given(&f, "Origin"));
    wst__fields_add(&f, "Accept", "", "application/json");
    wst__fields_add(&f, "Authorization", "Bearer ", "abc");
    assert_string_equal(text_of(&f),
                        "X-All: 1|X-Ticket-Only: 2|accept: text/json|Authorization: Bearer abc|");
    wst__fields_fini(&f);
}

static void none(void **state)
{
    struct wst_config empty = {0};
    struct wst__fields f;

    (void)state;
    wst__fields_init(&f, &empty, WST_STEP_TOKEN);
    assert_null(*wst__fields_list(&f));
    wst__fields_fini(&f);
    assert_null(*wst__fields_list(&f));
}

static void many(void **state)
{
    struct wst_config empty = {0};
    struct wst__fields f;
    char name[32];

    (void)state;
    wst__fields_init(&f, &empty, WST_STEP_TOKEN);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "X-%d", i);
        wst__fields_add(&f, name, "", "v");
    }
    assert_int_equal(f.rc, 0);
    assert_int_equal(f.count, 100);
    assert_string_equal(wst__fields_list(&f)[99], "X-99: v");
    assert_null(wst__fields_list(&f)[100]);
    wst__fields_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_has_its_own),
        cmocka_unit_test(ours_stays_away),
        cmocka_unit_test(none),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
