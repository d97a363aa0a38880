/* The door to the allocator. */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void test_zero_bytes_are_a_block(void **state)
{
    void *p;

    (void)state;
    p = wst__malloc(0);
    assert_non_null(p);
    p = wst__realloc(p, 0);
    assert_non_null(p);
    wst__free(p);
    p = wst__calloc(0, 8);
    assert_non_null(p);
    wst__free(p);
    wst__free(NULL);
}

static void test_calloc_zeroes_and_does_not_wrap(void **state)
{
    /* Volatile, so that the compiler does not warn of the product. */
    volatile size_t huge = SIZE_MAX / 2;
    uint8_t *p = wst__calloc(16, 4);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(p[i], 0);
    wst__free(p);
    assert_null(wst__calloc(huge, 4));
}

static void test_copies_strings(void **state)
{
    char *s;

    (void)state;
    assert_null(wst__strdup(NULL));
    s = wst__strdup("text");
    assert_string_equal(s, "text");
    wst__free(s);
    s = wst__strdup("");
    assert_string_equal(s, "");
    wst__free(s);
    s = wst__strndup("textual", 4);
    assert_string_equal(s, "text");
    wst__free(s);
}

static void test_wipe_overwrites_exactly(void **state)
{
    uint8_t bytes[32];

    (void)state;
    memset(bytes, 0xaa, sizeof bytes);
    wst__wipe(bytes + 8, 16);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], i >= 8 && i < 24 ? 0 : 0xaa);
    wst__wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_bytes_are_a_block),
        cmocka_unit_test(test_calloc_zeroes_and_does_not_wrap),
        cmocka_unit_test(test_copies_strings),
        cmocka_unit_test(test_wipe_overwrites_exactly),
    };

    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
