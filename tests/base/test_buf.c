/* Growable bytes: the ceiling, what is appended, and that a secret is not left behind. */
#include "heap.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void test_appends_in_order(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 1000, false);
    assert_int_equal(wst__buf_add(&b, "ab", 2), 0);
    assert_int_equal(wst__buf_adds(&b, "cde"), 0);
    assert_int_equal(wst__buf_addf(&b, "-%d-%s", 42, "x"), 0);
    assert_int_equal(b.len, 10);
    assert_memory_equal(b.data, "abcde-42-x", 10);
    wst__buf_fini(&b);
    assert_int_equal(heap.alive, 0);
}

static void test_grows_and_keeps_the_bytes(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 100000, false);
    for (size_t i = 0; i < 100000; i++) {
        uint8_t byte = (uint8_t)(i * 7);

        assert_int_equal(wst__buf_add(&b, &byte, 1), 0);
    }
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (uint8_t)(i * 7));
    assert_true(b.cap <= b.max);
    wst__buf_fini(&b);
}

static void test_ceiling_is_exact(void **state)
{
    uint8_t bytes[200] = {0};

    (void)state;
    for (size_t max = 0; max < 200; max++) {
        struct wst__buf b;

        wst__buf_init(&b, max, false);
        assert_int_equal(wst__buf_add(&b, bytes, max), 0);
        assert_int_equal(b.len, max);
        assert_int_equal(wst__buf_add(&b, bytes, 1), WST_ERR_TOO_LARGE);
        assert_int_equal(b.len, max);
        wst__buf_fini(&b);
    }
}

static void test_too_large_changes_nothing(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 8, false);
    assert_int_equal(wst__buf_adds(&b, "12345"), 0);
    assert_int_equal(wst__buf_adds(&b, "6789"), WST_ERR_TOO_LARGE);
    assert_int_equal(wst__buf_addf(&b, "%d", 6789), WST_ERR_TOO_LARGE);
    assert_int_equal(b.len, 5);
    assert_memory_equal(b.data, "12345", 5);
    assert_int_equal(wst__buf_adds(&b, "678"), 0);
    wst__buf_fini(&b);
}

static void test_sums_do_not_wrap(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, SIZE_MAX, false);
    assert_int_equal(wst__buf_adds(&b, "x"), 0);
    assert_int_equal(wst__buf_reserve(&b, SIZE_MAX), WST_ERR_TOO_LARGE);
    wst__buf_fini(&b);
    wst__buf_init(&b, 10, false);
    assert_int_equal(wst__buf_adds(&b, "x"), 0);
    assert_int_equal(wst__buf_reserve(&b, SIZE_MAX - 1), WST_ERR_TOO_LARGE);
    wst__buf_fini(&b);
}

static void test_no_memory_changes_nothing(void **state)
{
    struct wst__buf b;

    (void)state;
    for (int secret = 0; secret < 2; secret++) {
        wst__buf_init(&b, 100000, secret);
        assert_int_equal(wst__buf_adds(&b, "kept"), 0);
        heap.refuse = true;
        assert_int_equal(wst__buf_reserve(&b, 5000), WST_ERR_NOMEM);
        heap.refuse = false;
        assert_int_equal(b.len, 4);
        assert_memory_equal(b.data, "kept", 4);
        wst__buf_fini(&b);
    }
    assert_int_equal(heap.alive, 0);
}

static void test_drops_from_the_front(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 100, false);
    assert_int_equal(wst__buf_adds(&b, "0123456789"), 0);
    wst__buf_drop(&b, 0);
    assert_int_equal(b.len, 10);
    wst__buf_drop(&b, 3);
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.data, "3456789", 7);
    wst__buf_drop(&b, 8);
    assert_int_equal(b.len, 0);
    wst__buf_fini(&b);
}

static void test_usable_after_fini(void **state)
{
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 100, true);
    assert_int_equal(wst__buf_adds(&b, "one"), 0);
    wst__buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(wst__buf_adds(&b, "two"), 0);
    assert_memory_equal(b.data, "two", 3);
    wst__buf_fini(&b);
    wst__buf_fini(&b);
}

/* A mark stands in every block at its begin; a secret's must be gone whenever a block is freed. */
static void test_secret_is_wiped_on_growth_and_end(void **state)
{
    static const char mark[] = "the-secret-mark";
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 100000, true);
    heap_watch(mark, sizeof mark - 1);
    assert_int_equal(wst__buf_adds(&b, mark), 0);
    while (b.len < 5000)
        assert_int_equal(wst__buf_adds(&b, mark), 0);
    assert_true(heap.freed >= 6); /* 64, 128, ... 4096. */
    wst__buf_fini(&b);
    assert_int_equal(heap.freed_marked, 0);
    heap_watch(NULL, 0);
}

/* The spy itself must be able to see a mark. */
static void test_spy_sees_what_is_not_secret(void **state)
{
    static const char mark[] = "the-plain-mark";
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, 100, false);
    heap_watch(mark, sizeof mark - 1);
    assert_int_equal(wst__buf_adds(&b, mark), 0);
    wst__buf_fini(&b);
    assert_int_equal(heap.freed_marked, 1);
    heap_watch(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_in_order),
        cmocka_unit_test(test_grows_and_keeps_the_bytes),
        cmocka_unit_test(test_ceiling_is_exact),
        cmocka_unit_test(test_too_large_changes_nothing),
        cmocka_unit_test(test_sums_do_not_wrap),
        cmocka_unit_test(test_no_memory_changes_nothing),
        cmocka_unit_test(test_drops_from_the_front),
        cmocka_unit_test(test_usable_after_fini),
        cmocka_unit_test(test_secret_is_wiped_on_growth_and_end),
        cmocka_unit_test(test_spy_sees_what_is_not_secret),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
