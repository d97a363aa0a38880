/* stdin of wsticket, line by line: each byte is looked at once, however long its line is. */
#include "examples/wsticket/input.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG = 4 << 20 };

static size_t looked_at; /* Bytes, by memchr(). */

void *__real_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n);
void *__wrap_memchr(const void *s, int c, size_t n)
{
    char *found = __real_memchr(s, c, n);

    looked_at += found ? (size_t)(found - (const char *)s) + 1 : n;
    return found;
}

struct reader {
    struct input input;
    uv_loop_t loop;
    int refusals; /* So many lines are not taken at first. */
    int lines, too_long, ends;
    size_t bytes;
};

static bool take(void *arg, const char *line, size_t len, size_t number)
{
    struct reader *r = arg;

    (void)line;
    if (r->refusals > 0)
        return r->refusals--, false;
    r->lines++;
    assert_int_equal(number, r->lines + r->too_long);
    r->bytes += len;
    return true;
}

static void too_long(void *arg, size_t number)
{
    struct reader *r = arg;

    r->too_long++;
    assert_int_equal(number, r->lines + r->too_long);
}

static void end(void *arg, int err)
{
    struct reader *r = arg;

    r->ends++;
    assert_int_equal(err, 0);
}

/* Two short lines with a long one between, and the last one without a line feed, from a file. */
static void read_lines(struct reader *r, size_t limit)
{
    static const struct input_cbs cbs = {.line = take, .too_long = too_long, .end = end};
    static char text[LONG];
    FILE *f = tmpfile();

    assert_non_null(f);
    memset(text, 'x', sizeof text);
    fputs("short\n", f);
    fwrite(text, 1, sizeof text, f);
    fputs("\n\nlast", f);
    fflush(f);
    rewind(f);
    assert_int_equal(dup2(fileno(f), STDIN_FILENO), STDIN_FILENO);
    fclose(f);
    looked_at = 0;
    uv_loop_init(&r->loop);
    input_init(&r->input, &r->loop, &cbs, r, limit);
    do {
        input_go(&r->input);
        uv_run(&r->loop, UV_RUN_DEFAULT);
    } while (!r->ends);
    input_close(&r->input);
    input_fini(&r->input);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(r->ends, 1);
    assert_in_range(looked_at, LONG, LONG + LONG / 4);
}

static void test_a_long_line(void **state)
{
    static struct reader r;

    (void)state;
    read_lines(&r, 2 * (size_t)LONG);
    assert_int_equal(r.lines, 4);
    assert_int_equal(r.bytes, LONG + 9);
}

static void test_a_long_line_that_is_not_taken_at_first(void **state)
{
    static struct reader r = {.refusals = 10};

    (void)state;
    read_lines(&r, 2 * (size_t)LONG);
    assert_int_equal(r.lines, 4);
    assert_int_equal(r.bytes, LONG + 9);
}

static void test_a_line_beyond_the_limit(void **state)
{
    static struct reader r;

    (void)state;
    read_lines(&r, LONG / 2);
    assert_int_equal(r.lines, 3);
    assert_int_equal(r.too_long, 1);
    assert_int_equal(r.bytes, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_line),
        cmocka_unit_test(test_a_long_line_that_is_not_taken_at_first),
        cmocka_unit_test(test_a_line_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
