/* Secrets: moved, compared, and gone from memory when dropped. */
#include "heap.h"

#include "base/err.h"
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

static const char mark[] = "0123456789abcdef";
static const size_t mark_len = sizeof mark - 1;

static void test_set_and_expose(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_true(wst__secret_empty(&s));
    assert_string_equal(wst__secret_expose(&s), "");
    assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    assert_false(wst__secret_empty(&s));
    assert_int_equal(s.len, mark_len);
    assert_string_equal(wst__secret_expose(&s), mark);
    wst__secret_drop(&s);
    assert_true(wst__secret_empty(&s));
    assert_string_equal(wst__secret_expose(&s), "");
    wst__secret_drop(&s);
    assert_int_equal(heap.alive, 0);
}

static void test_empty_value(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_int_equal(wst__secret_set(&s, NULL, 0), 0);
    assert_true(wst__secret_empty(&s));
    assert_string_equal(wst__secret_expose(&s), "");
    wst__secret_drop(&s);
    assert_int_equal(heap.alive, 0);
}

static void test_drop_wipes(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    for (size_t at = 0; at < mark_len; at++) {
        /* Not even the last byte may stay. */
        heap_watch(mark + at, 1);
        heap.mark_at = at;
        wst__secret_drop(&s);
        assert_int_equal(heap.freed, 1);
        assert_int_equal(heap.freed_marked, 0);
        heap_watch(NULL, 0);
        assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    }
    wst__secret_drop(&s);
}

static void test_set_again_wipes_the_old(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    heap_watch(mark, mark_len);
    assert_int_equal(wst__secret_set(&s, "another", 7), 0);
    assert_int_equal(heap.freed, 1);
    assert_int_equal(heap.freed_marked, 0);
    heap_watch(NULL, 0);
    assert_string_equal(wst__secret_expose(&s), "another");
    wst__secret_drop(&s);
}

static void test_set_from_itself(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    assert_int_equal(wst__secret_set(&s, wst__secret_expose(&s) + 4, 4), 0);
    assert_string_equal(wst__secret_expose(&s), "4567");
    wst__secret_drop(&s);
    assert_int_equal(heap.alive, 0);
}

static void test_no_memory_leaves_it_empty(void **state)
{
    struct wst__secret s = WST__SECRET_INIT;

    (void)state;
    assert_int_equal(wst__secret_set(&s, mark, mark_len), 0);
    heap_watch(mark, mark_len);
    heap.refuse = true;
    assert_int_equal(wst__secret_set(&s, "another", 7), WST_ERR_NOMEM);
    heap.refuse = false;
    assert_int_equal(heap.freed_marked, 0);
    heap_watch(NULL, 0);
    assert_true(wst__secret_empty(&s));
    assert_int_equal(heap.alive, 0);
}

static void test_move_leaves_one_copy(void **state)
{
    struct wst__secret from = WST__SECRET_INIT;
    struct wst__secret to = WST__SECRET_INIT;
    const char *bytes;

    (void)state;
    assert_int_equal(wst__secret_set(&from, mark, mark_len), 0);
    assert_int_equal(wst__secret_set(&to, "old", 3), 0);
    bytes = wst__secret_expose(&from);
    wst__secret_move(&to, &from);
    assert_true(wst__secret_empty(&from));
    assert_ptr_equal(wst__secret_expose(&to), bytes); /* The same memory: nothing was copied. */
    assert_int_equal(heap.alive, 1);
    wst__secret_move(&to, &to);
    assert_string_equal(wst__secret_expose(&to), mark);
    wst__secret_move(&to, &from); /* An empty one moves, too. */
    assert_true(wst__secret_empty(&to));
    assert_int_equal(heap.alive, 0);
}

static void assert_compares(const char *x, size_t x_len, const char *y, size_t y_len, bool equal)
{
    struct wst__secret a = WST__SECRET_INIT;
    struct wst__secret b = WST__SECRET_INIT;

    assert_int_equal(wst__secret_set(&a, x, x_len), 0);
    assert_int_equal(wst__secret_set(&b, y, y_len), 0);
    assert_int_equal(wst__secret_equal(&a, &b), equal);
    assert_int_equal(wst__secret_equal(&b, &a), equal);
    wst__secret_drop(&a);
    wst__secret_drop(&b);
}

static void test_equal(void **state)
{
    const struct wst__secret none = WST__SECRET_INIT;

    (void)state;
    assert_compares("abc", 3, "abc", 3, true);
    assert_compares("abc", 3, "abd", 3, false);
    assert_compares("xbc", 3, "abc", 3, false);
    assert_compares("abc", 3, "abcd", 4, false);
    assert_compares("a\0b", 3, "a\0c", 3, false);
    assert_compares("", 0, "", 0, true);
    assert_compares("", 0, "a", 1, false);
    assert_true(wst__secret_equal(&none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_expose),
        cmocka_unit_test(test_empty_value),
        cmocka_unit_test(test_drop_wipes),
        cmocka_unit_test(test_set_again_wipes_the_old),
        cmocka_unit_test(test_set_from_itself),
        cmocka_unit_test(test_no_memory_leaves_it_empty),
        cmocka_unit_test(test_move_leaves_one_copy),
        cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
