/*
 * UTF-8 validation.  The automaton is checked against a decoder written from RFC 3629's table;
 * every other way is checked against the automaton.
 */
#include "wire/utf8.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

enum { MAX = 300, ALIGNMENTS = 33 };

static uint64_t seed = 88172645463325252u;

static uint32_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

/* Decodes one character as RFC 3629, 3 describes it; 0: not valid. */
static size_t decode(const uint8_t *p, size_t n)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80       ? 1
                  : p[0] >> 5 == 6  ? 2
                  : p[0] >> 4 == 14 ? 3
                  : p[0] >> 3 == 30 ? 4
                                    : 0;
    uint32_t c = size == 1 ? p[0] : p[0] & (0xffu >> (size + 1));

    if (size == 0 || size > n)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    return c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : size;
}

static bool valid_by_decoding(const uint8_t *p, size_t n)
{
    for (size_t size; n; p += size, n -= size) {
        size = decode(p, n);
        if (size == 0)
            return false;
    }
    return true;
}

static bool valid_by_automaton(const uint8_t *p, size_t n)
{
    return wst__utf8_automaton(WST__UTF8_ACCEPT, p, n) == WST__UTF8_ACCEPT;
}

/* Every way gives the oracle's answer; also wst__utf8_feed(), in two pieces cut at |cut|. */
static void same_everywhere(const uint8_t *p, size_t n, size_t cut)
{
    bool right = valid_by_automaton(p, n);
    uint8_t state;

    for (size_t i = 0; i < wst__utf8_way_count; i++) {
        if (wst__utf8_ways[i].usable() && wst__utf8_ways[i].valid(p, n) != right)
            fail_msg("%s differs from the automaton at %zu bytes", wst__utf8_ways[i].name, n);
    }
    assert_int_equal(wst__utf8_valid(p, n), right);
    state = wst__utf8_feed(WST__UTF8_ACCEPT, p, cut);
    assert_int_equal(state, wst__utf8_automaton(WST__UTF8_ACCEPT, p, cut));
    state = wst__utf8_feed(state, p + cut, n - cut);
    assert_int_equal(state, wst__utf8_automaton(WST__UTF8_ACCEPT, p, n));
}

/* All strings of up to three bytes, and four bytes with every lead byte of the upper half. */
static void the_automaton_is_right(void **state)
{
    uint8_t p[4];

    (void)state;
    for (uint32_t v = 0; v < 1u << 24; v++) {
        p[0] = (uint8_t)(v >> 16);
        p[1] = (uint8_t)(v >> 8);
        p[2] = (uint8_t)v;
        if (v < 256)
            assert_int_equal(valid_by_automaton(p + 2, 1), valid_by_decoding(p + 2, 1));
        if (v < 65536)
            assert_int_equal(valid_by_automaton(p + 1, 2), valid_by_decoding(p + 1, 2));
        assert_int_equal(valid_by_automaton(p, 3), valid_by_decoding(p, 3));
    }
    for (uint32_t v = 0; v < 1u << 22; v++) {
        p[0] = (uint8_t)(0xe8 + (v >> 18) * 2 + (draw() & 1));
        p[1] = (uint8_t)(v >> 10);
        p[2] = (uint8_t)(0x70 + (v >> 5) % 32 * 3);
        p[3] = (uint8_t)(0x70 + v % 32 * 3);
        assert_int_equal(valid_by_automaton(p, 4), valid_by_decoding(p, 4));
    }
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t p[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

        p[0] = (uint8_t)(n == 1 ? c : (0xf00u >> n & 0xff) | c >> (6 * (n - 1)));
        for (size_t i = 1; i < n; i++)
            p[i] = (uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        assert_int_equal(valid_by_automaton(p, n), c < 0xd800 || c > 0xdfff);
    }
}

/* Appends characters of all sizes until |n| bytes are full; what is left is ASCII. */
static void fill(uint8_t *p, size_t n)
{
    static const char *const samples[] = {"a",
                                          "z",
                                          "\x7f",
                                          "\xc2\x80",
                                          "\xdf\xbf",
                                          "\xe0\xa0\x80",
                                          "\xe2\x82\xac",
                                          "\xed\x9f\xbf",
                                          "\xee\x80\x80",
                                          "\xf0\x90\x80\x80",
                                          "\xf0\x9f\x98\x80",
                                          "\xf4\x8f\xbf\xbf"};
    size_t at = 0;
    bool ascii = draw() % 4 == 0;

    while (at < n) {
        const char *s = samples[ascii ? draw() % 3 : draw() % 12];
        size_t size = strlen(s);

        if (size > n - at)
            continue;
        memcpy(p + at, s, size);
        at += size;
    }
}

/* All lengths, at all alignments, in memory that ends exactly there: whole, and damaged. */
static void all_lengths_alignments_and_damages(void **state)
{
    (void)state;
    for (size_t n = 0; n <= MAX; n++) {
        for (size_t shift = 0; shift < ALIGNMENTS; shift++) {
            uint8_t *block = malloc(shift + n + 1);
            uint8_t *p = block + shift;

            assert_non_null(block);
            fill(p, n);
            assert_true(valid_by_automaton(p, n));
            same_everywhere(p, n, n ? draw() % (n + 1) : 0);
            for (int k = 0; k < 8 && n; k++) {
                size_t at = draw() % n;
                uint8_t kept = p[at];

                p[at] = (uint8_t)(k % 2 ? draw() : kept ^ 1u << draw() % 8);
                same_everywhere(p, n, draw() % (n + 1));
                p[at] = kept;
            }
            free(block);
        }
    }
}

/* One fault at every place of a text, with everything around it right. */
static void a_fault_at_every_place(void **state)
{
    static const char *const faults[] = {"\x80",
                                         "\xbf",
                                         "\xc0\x80",
                                         "\xc1\xbf",
                                         "\xc3",
                                         "\xe0\x9f\xbf",
                                         "\xe2\x82",
                                         "\xed\xa0\x80",
                                         "\xf0\x8f\xbf\xbf",
                                         "\xf0\x9f\x98",
                                         "\xf4\x90\x80\x80",
                                         "\xf5\x80\x80\x80",
                                         "\xff",
                                         "\xc3\xa4\xa4",
                                         "\xe2\x82\xac\x80"};
    static const char *const units[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    uint8_t p[MAX];

    (void)state;
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        size_t unit = strlen(units[u]);

        for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
            size_t fault = strlen(faults[f]);

            for (size_t before = 0; before + fault <= 140; before += unit) {
                size_t n = 0;

                for (; n < before; n += unit)
                    memcpy(p + n, units[u], unit);
                memcpy(p + n, faults[f], fault);
                n += fault;
                same_everywhere(p, n, n / 2);
                assert_false(wst__utf8_valid(p, n));
                for (; n < 200; n += unit)
                    memcpy(p + n, units[u], unit);
                same_everywhere(p, n, before + fault / 2);
                assert_false(wst__utf8_valid(p, n));
            }
        }
    }
}

/* Any way of cutting a text gives the same states as the automaton. */
static void pieces(void **state)
{
    uint8_t p[MAX];

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t n = draw() % MAX;
        uint8_t state_now = WST__UTF8_ACCEPT;

        fill(p, n);
        if (n && round % 3 == 0)
            p[draw() % n] = (uint8_t)draw();
        for (size_t at = 0, k; at < n; at += k) {
            k = 1 + draw() % (round % 2 ? 4 : 90);
            k = k < n - at ? k : n - at;
            state_now = wst__utf8_feed(state_now, p + at, k);
            assert_int_equal(state_now, wst__utf8_automaton(WST__UTF8_ACCEPT, p, at + k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_automaton_is_right),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(all_lengths_alignments_and_damages),
        cmocka_unit_test(a_fault_at_every_place),
        cmocka_unit_test(pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
