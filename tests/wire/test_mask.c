/* Masking: every way against the definition (RFC 6455, 5.3), byte by byte. */
#include "wire/mask.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

enum { MAX = 300, ALIGNMENTS = 33, GUARD = 0xa5 };

static const uint8_t key[4] = {0x12, 0xfe, 0x00, 0x81};

static void check(void (*mask)(uint8_t *, const uint8_t *, size_t, const uint8_t *),
                  const char *name, size_t n, size_t from_shift, size_t to_shift)
{
    uint8_t *from = malloc(from_shift + n + 1);
    uint8_t *to = malloc(to_shift + n + 1);

    assert_non_null(from);
    assert_non_null(to);
    for (size_t i = 0; i < n; i++)
        from[from_shift + i] = (uint8_t)(i * 37 + n);
    memset(to, GUARD, to_shift + n + 1);
    mask(to + to_shift, from + from_shift, n, key);
    for (size_t i = 0; i < n; i++) {
        if (to[to_shift + i] != (uint8_t)((uint8_t)(i * 37 + n) ^ key[i % 4]))
            fail_msg("%s: %zu bytes, alignments %zu and %zu: byte %zu is wrong", name, n,
                     from_shift, to_shift, i);
    }
    for (size_t i = 0; i < to_shift; i++)
        assert_int_equal(to[i], GUARD);
    assert_int_equal(to[to_shift + n], GUARD);
    free(from);
    free(to);
}

static void all_lengths_and_alignments(void **state)
{
    (void)state;
    for (size_t w = 0; w <= wst__mask_way_count; w++) {
        bool chosen = w == wst__mask_way_count;

        if (!chosen && !wst__mask_ways[w].usable())
            continue;
        for (size_t n = 0; n <= MAX; n++) {
            for (size_t shift = 0; shift < ALIGNMENTS; shift++)
                check(chosen ? wst__mask : wst__mask_ways[w].mask,
                      chosen ? "chosen" : wst__mask_ways[w].name, n, shift,
                      (shift * 7) % ALIGNMENTS);
        }
    }
}

static void large(void **state)
{
    (void)state;
    for (size_t w = 0; w < wst__mask_way_count; w++) {
        if (wst__mask_ways[w].usable())
            check(wst__mask_ways[w].mask, wst__mask_ways[w].name, (1 << 20) + 13, 3, 5);
    }
}

static void twice_is_nothing(void **state)
{
    uint8_t text[] = "The quick brown fox jumps over the lazy dog, again and again.";
    uint8_t masked[sizeof text];
    uint8_t back[sizeof text];

    (void)state;
    wst__mask(masked, text, sizeof text, key);
    assert_memory_not_equal(masked, text, sizeof text);
    wst__mask(back, masked, sizeof text, key);
    assert_memory_equal(back, text, sizeof text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths_and_alignments),
        cmocka_unit_test(large),
        cmocka_unit_test(twice_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
