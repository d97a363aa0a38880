/* Log lines: levels, one sink, a bounded line. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct sink {
    int lines;
    enum wst_log_level level;
    char text[1024];
};

static void take(enum wst_log_level level, const char *text, void *arg)
{
    struct sink *sink = arg;

    sink->lines++;
    sink->level = level;
    (void)snprintf(sink->text, sizeof sink->text, "%s", text);
}

static void test_silent_without_a_sink(void **state)
{
    const struct wst__log none = {.level = WST_LOG_DEBUG};

    (void)state;
    wst__log(NULL, WST_LOG_ERROR, "nobody hears %d", 1);
    wst__log(&none, WST_LOG_ERROR, "nobody hears %d", 2);
}

static void test_every_level_against_every_threshold(void **state)
{
    static const enum wst_log_level levels[] = {WST_LOG_ERROR, WST_LOG_WARN, WST_LOG_INFO,
                                                WST_LOG_DEBUG};

    (void)state;
    for (size_t threshold = 0; threshold < 4; threshold++) {
        for (size_t level = 0; level < 4; level++) {
            struct sink sink = {0};
            const struct wst__log log = {take, &sink, levels[threshold]};

            wst__log(&log, levels[level], "n=%d", 7);
            assert_int_equal(sink.lines, level <= threshold);
            if (sink.lines) {
                assert_int_equal(sink.level, levels[level]);
                assert_string_equal(sink.text, "n=7");
            }
        }
    }
}

static void test_long_lines_are_cut(void **state)
{
    struct sink sink = {0};
    const struct wst__log log = {take, &sink, WST_LOG_DEBUG};
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    wst__log(&log, WST_LOG_INFO, "%s", text);
    assert_int_equal(strlen(sink.text), 511);
    assert_memory_equal(sink.text, text, 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_without_a_sink),
        cmocka_unit_test(test_every_level_against_every_threshold),
        cmocka_unit_test(test_long_lines_are_cut),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
