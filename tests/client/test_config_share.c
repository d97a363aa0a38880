/* Equal configurations are kept once, and nothing else is. */
#include "client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const struct wst_header header = {WST_STEP_NONE, "X-One", "1"};
static const char *const subprotocol = "chat";
static int argument;

static void init(struct wst_config *c)
{
    wst_config_init(c);
    c->url = "https://api.example.com";
    c->headers = &header;
    c->header_count = 1;
    c->subprotocols = &subprotocol;
    c->subprotocol_count = 1;
}

static struct wst__shared_config *get(struct wst__configs *all, const struct wst_config *c)
{
    struct wst__shared_config *s = NULL;

    assert_int_equal(wst__config_get(all, c, &s, NULL), 0);
    return s;
}

static void equal_ones_are_one(void **state)
{
    struct wst__configs all = {NULL};
    struct wst__shared_config *a, *b, *c;
    char url[] = "https://api.example.com";
    struct wst_config config;

    (void)state;
    init(&config);
    a = get(&all, &config);
    config.url = url; /* The same text at another place. */
    config.arg = &argument;
    b = get(&all, &config);
    assert_ptr_equal(a, b);
    assert_null(b->config.c.arg);
    wst__config_put(a);
    c = get(&all, &config);
    assert_ptr_equal(b, c);
    assert_string_equal(c->config.c.url, "https://api.example.com");
    wst__config_put(b);
    wst__config_put(c);
    assert_null(all.first);
}

static void change(struct wst_config *c, int which)
{
    static const struct wst_header other_header = {WST_STEP_NONE, "X-One", "2"};
    static const char *const other_subprotocol = "chat2";
    static const uint16_t codes[] = {1008, 3000, 3003, 4401, 4404};

    switch (which) {
    case 0:
        c->url = "https://api.example.net";
        break;
    case 1:
        c->token = "abc.def.ghi";
        break;
    case 2:
        c->headers = &other_header;
        break;
    case 3:
        c->subprotocols = &other_subprotocol;
        break;
    case 4:
        c->unauthorized_codes = codes;
        break;
    case 5:
        c->cap_ms++;
        break;
    case 6:
        c->header_count = 0;
        break;
    default:
        c->insecure = 1;
        break;
    }
}

static void different_ones_are_not(void **state)
{
    struct wst__shared_config *kept[9];
    struct wst__configs all = {NULL};
    struct wst_config config;

    (void)state;
    for (int i = 0; i < 9; i++) {
        init(&config);
        if (i > 0)
            change(&config, i - 1);
        kept[i] = get(&all, &config);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(kept[i], kept[j]);
    }
    for (int i = 0; i < 9; i++)
        wst__config_put(kept[i * 5 % 9]); /* In any order. */
    assert_null(all.first);
}

static void without_a_loop_nothing_is_shared(void **state)
{
    struct wst_config config;
    struct wst__shared_config *a, *b;

    (void)state;
    init(&config);
    a = get(NULL, &config);
    b = get(NULL, &config);
    assert_ptr_not_equal(a, b);
    wst__config_put(a);
    wst__config_put(b);
}

/* What every client owns, whatever it is configured to do (docs/performance.md). */
static void a_client_at_rest_is_small(void **state)
{
    (void)state;
    print_message("a client: %zu bytes\n", sizeof(struct wst_client));
    assert_true(sizeof(struct wst_client) <= 696);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_at_rest_is_small),
        cmocka_unit_test(equal_ones_are_one),
        cmocka_unit_test(different_ones_are_not),
        cmocka_unit_test(without_a_loop_nothing_is_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
