/* The token of a client: its age, and who may make it be forgotten. */
#include "client/client.h"
#include "sim/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct fixture {
    struct sim_world w;
    struct sim_app app;
};

static struct wst__token *token_of(struct fixture *f)
{
    return f->app.client->token;
}

static int setup(void **state)
{
    static struct fixture f;

    sim_world_init(&f.w, 1);
    sim_app_init(&f.app, &f.w);
    sim_app_make(&f.app);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    sim_app_finish(&f->app);
    assert_string_equal(f->w.failure, "");
    sim_world_fini(&f->w);
    return 0;
}

static void put(struct fixture *f, const char *text, int64_t life_ms)
{
    struct wst__secret s = WST__SECRET_INIT;

    assert_int_equal(wst__secret_set(&s, text, strlen(text)), 0);
    wst__token_put(token_of(f), &s, life_ms, true);
    assert_true(wst__secret_empty(&s)); /* It was moved. */
}

static enum wst__token_state after(struct fixture *f, uint64_t ms)
{
    return wst__token_state(token_of(f), sim_boot_ms(&f->w) + ms);
}

static void ages_by_four_fifths(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(after(f, 0), WST__TOKEN_NONE);
    put(f, "a", 10000);
    assert_int_equal(after(f, 0), WST__TOKEN_FRESH);
    assert_int_equal(after(f, 8000), WST__TOKEN_FRESH);
    assert_int_equal(after(f, 8001), WST__TOKEN_AGEING);
    assert_int_equal(after(f, 9999), WST__TOKEN_AGEING);
    assert_int_equal(after(f, 10000), WST__TOKEN_OLD);
    assert_int_equal(wst__token_state(token_of(f), 0), WST__TOKEN_FRESH); /* A clock went back. */
}

/* Nothing is known of an opaque token's life: a 401 decides. */
static void unknown_life(void **state)
{
    struct fixture *f = *state;

    put(f, "opaque", -1);
    assert_int_equal(after(f, UINT64_C(1) << 50), WST__TOKEN_FRESH);
}

/* exp - iat is the life, whatever the wall clock says: here 100 s, in the year 2001. */
static void life_of_a_jwt(void **state)
{
    struct fixture *f = *state;

    put(f, "eyJhbGciOiJub25lIn0.eyJpYXQiOjEwMDAwMDAwMDAsImV4cCI6MTAwMDAwMDEwMH0.x", -1);
    assert_int_equal(token_of(f)->life_ms, 100000);
    assert_int_equal(after(f, 80000), WST__TOKEN_FRESH);
    assert_int_equal(after(f, 80001), WST__TOKEN_AGEING);
}

/* The age runs on while the machine sleeps. */
static void ages_in_sleep(void **state)
{
    struct fixture *f = *state;

    put(f, "a", 10000);
    sim_suspend(&f->w, 20000);
    assert_int_equal(after(f, 0), WST__TOKEN_OLD);
}

static void forget_compares(void **state)
{
    struct fixture *f = *state;
    uint64_t serial;

    put(f, "a", -1);
    serial = token_of(f)->serial;
    put(f, "b", -1);
    wst__token_forget(token_of(f), serial);
    assert_string_equal(wst__secret_expose(&token_of(f)->value), "b");
    wst__token_forget(token_of(f), token_of(f)->serial);
    assert_int_equal(after(f, 0), WST__TOKEN_NONE);
}

/* A log-out drops whatever there is, and what the attempt under way uses is not it any more. */
static void forget_all(void **state)
{
    struct fixture *f = *state;
    uint64_t serial;

    put(f, "a", -1);
    serial = token_of(f)->serial;
    wst__token_forget_all(token_of(f));
    assert_int_equal(after(f, 0), WST__TOKEN_NONE);
    assert_true(token_of(f)->serial != serial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ages_by_four_fifths, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_life, setup, teardown),
        cmocka_unit_test_setup_teardown(life_of_a_jwt, setup, teardown),
        cmocka_unit_test_setup_teardown(ages_in_sleep, setup, teardown),
        cmocka_unit_test_setup_teardown(forget_compares, setup, teardown),
        cmocka_unit_test_setup_teardown(forget_all, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
