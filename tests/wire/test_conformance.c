/*
 * The table of conformance cases, at every way of splitting the input: whole, byte by byte, and at
 * random.  The outcome must be the same, events and answers alike.
 */
#include "ws_fixture.h"

#include "conformance_cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_SPLITS = 20 };

static void check(const struct conformance_case *c, struct fixture *fx, const char *how)
{
    fixture_flush(fx, SIZE_MAX);
    if (strcmp(fx->events.text, c->events) != 0 || strcmp(fx->output.text, c->output) != 0)
        fail_msg("%s %s, %s:\n  events   %s\n  expected %s\n  output   %s\n  expected %s",
                 c->section, c->name, how, fx->events.text, c->events, fx->output.text, c->output);
    fixture_fini(fx);
}

static bool in_chunks; /* Messages are taken in chunks. */

static void begin(struct fixture *fx, const struct conformance_case *c)
{
    struct wst__ws_config config = {.max_message_bytes = c->max_message,
                                    .queue_low_water = SIZE_MAX};

    if (in_chunks)
        fixture_init_chunks(fx, &config);
    else
        fixture_init_with(fx, &config);
    if (c->flags & WE_CLOSE)
        fixture_close(fx, 1000);
}

/* |seed| 0: pieces of |size|; else of a random size up to it. */
static void run_split(const struct conformance_case *c, size_t size, uint64_t seed)
{
    struct fixture fx;
    char how[64];
    size_t n;
    uint8_t *input = bytes_from(c->input, &n);
    uint64_t state = seed;

    begin(&fx, c);
    for (size_t at = 0, k; at < n; at += k) {
        k = seed ? 1 + draw(&state) % size : size;
        k = k < n - at ? k : n - at;
        (void)fixture_feed(&fx, input + at, k);
    }
    (void)snprintf(how, sizeof how, "pieces of %zu, seed %llu", size, (unsigned long long)seed);
    check(c, &fx, how);
    free(input);
}

static void whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++)
        run_split(&conformance_cases[i], SIZE_MAX, 0);
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++)
        run_split(&conformance_cases[i], 1, 0);
}

static void every_size_up_to_forty(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        for (size_t size = 2; size <= 40; size++)
            run_split(&conformance_cases[i], size, 0);
    }
}

static void random_splits(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        for (uint64_t seed = 1; seed <= RANDOM_SPLITS; seed++)
            run_split(&conformance_cases[i], seed % 2 ? 9 : 3000, seed);
    }
}

/* A connection that was paused by every callback comes to the same end. */
static void paused_after_every_callback(void **state)
{
    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        const struct conformance_case *c = &conformance_cases[i];
        struct fixture fx;
        size_t n;
        size_t at = 0;
        uint8_t *input = bytes_from(c->input, &n);

        begin(&fx, c);
        while (at < n) {
            size_t used;
            int rc;

            fx.stop_after = 1;
            rc = wst__ws_feed(fx.ws, input + at, n - at, &used, &fx.why);
            if (rc != 0) {
                fx.stop_after = 0;
                trace_add(&fx.events, "%serror(%s %d)", fx.events.len ? " " : "", wst_err_name(rc),
                          fx.why.close_code);
                break;
            }
            assert_true(used > 0);
            at += used;
        }
        fx.stop_after = 0;
        check(c, &fx, "paused");
        free(input);
    }
}

static void all_of_it_in_chunks(void **state)
{
    in_chunks = true;
    whole(state);
    byte_by_byte(state);
    random_splits(state);
    paused_after_every_callback(state);
    in_chunks = false;
}

/* Whatever one connection comes to, the next one of the same pool finds nothing of it. */
static void a_failed_connection_leaves_the_pool_clean(void **state)
{
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};

    (void)state;
    fixture_pool(&config);
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        struct fixture fx;
        size_t n;
        uint8_t *input = bytes_from(conformance_cases[i].input, &n);

        config.max_message_bytes = conformance_cases[i].max_message;
        for (size_t size = 1; size <= n; size += n / 3 + 1) {
            fixture_init_with(&fx, &config);
            if (conformance_cases[i].flags & WE_CLOSE)
                fixture_close(&fx, 1000);
            for (size_t at = 0; at < n; at += size)
                (void)fixture_feed(&fx, input + at, size < n - at ? size : n - at);
            fixture_fini(&fx);
            fixture_init_with(&fx, &config);
            (void)fixture_feed(&fx, (const uint8_t *)"\x81\x03two\x89\x00\x82\x01x", 10);
            fixture_flush(&fx, SIZE_MAX);
            fixture_expect(&fx, "text(two) binary(x)", "pong()");
            fixture_fini(&fx);
        }
        free(input);
    }
    wst__ws_pool_free(config.pool);
}

static bool has_cases(const char *section)
{
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        if (strcmp(conformance_cases[i].section, section) == 0)
            return true;
    }
    return false;
}

static bool is_listed(const char *section)
{
    for (size_t i = 0; i < CONFORMANCE_SECTIONS; i++) {
        if (strcmp(conformance_sections[i].section, section) == 0)
            return true;
    }
    return false;
}

/* Each section has cases, or names tests; and no case is of a section that the list leaves out. */
static void every_section(void **state)
{
    unsigned ours = 0;

    (void)state;
    for (size_t i = 0; i < CONFORMANCE_SECTIONS; i++) {
        const struct conformance_section *s = &conformance_sections[i];

        if (has_cases(s->section) != (s->tests == NULL))
            fail_msg("section %s: %s", s->section,
                     s->tests ? "cases and other tests" : "neither cases nor other tests");
    }
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        if (!is_listed(conformance_cases[i].section))
            fail_msg("%s: section %s is not in the list", conformance_cases[i].name,
                     conformance_cases[i].section);
        ours += (conformance_cases[i].flags & WE_CLOSE) != 0;
    }
    assert_true(CONFORMANCE_CASES >= 150 && ours >= 20);
    print_message("%d conformance cases, in %u of them we close first\n", CONFORMANCE_CASES, ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_section),
        cmocka_unit_test(whole),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(every_size_up_to_forty),
        cmocka_unit_test(random_splits),
        cmocka_unit_test(paused_after_every_callback),
        cmocka_unit_test(all_of_it_in_chunks),
        cmocka_unit_test(a_failed_connection_leaves_the_pool_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
