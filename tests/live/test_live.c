/* The whole library against a tiny server in this process: what only real sockets show. */
#include "lib/certs.h"
#include "lib/site.h"
#include "lib/world.h"
#include "wsticket/wsticket.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

enum { TOO_LONG_MS = 15000 };

static struct cert ca, leaf;
static SSL_CTX *tls; /* Of the server. */
static char ca_path[256];

struct live {
    uv_loop_t uv;
    uv_timer_t guard;
    struct wst_client *client;
    struct wst_config config;
    char url[64];
    bool open, gone;
    int closes, messages;
    struct wst_close_info end;
    void *test;
};

static void too_long(uv_timer_t *timer)
{
    const struct live *l = timer->data;

    fail_msg("it does not end (state %s)", wst_state_name(wst_client_state(l->client)));
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct live *l = arg;

    (void)client;
    (void)subprotocol;
    l->open = true;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct live *l = arg;

    (void)client;
    l->open = false;
    l->closes++;
    l->end = *info;
    l->end.reason = NULL;
}

static void prepare(struct live *l, const struct server *s, bool secure)
{
    memset(l, 0, sizeof *l);
    assert_int_equal(uv_loop_init(&l->uv), 0);
    assert_int_equal(uv_timer_init(&l->uv, &l->guard), 0);
    l->guard.data = l;
    uv_unref((uv_handle_t *)&l->guard);
    assert_int_equal(uv_timer_start(&l->guard, too_long, TOO_LONG_MS, 0), 0);
    (void)snprintf(l->url, sizeof l->url, "%s://localhost:%u", secure ? "https" : "http",
                   server_port(s));
    wst_config_init(&l->config);
    l->config.uv_loop = &l->uv;
    l->config.url = l->url;
    l->config.ca_file = ca_path;
    l->config.proxy = "";
    l->config.arg = l;
    l->config.on_open = on_open;
    l->config.on_closed = on_closed;
}

static void begin(struct live *l)
{
    struct wst_cause why;

    if (wst_client_new(&l->client, &l->config, &why) != 0)
        fail_msg("%s", why.text);
    assert_int_equal(wst_client_start(l->client), 0);
}

static void run_until(struct live *l, const bool *flag)
{
    while (!*flag)
        (void)uv_run(&l->uv, UV_RUN_ONCE);
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct live *l = arg;

    assert_ptr_equal(client, l->client);
    l->gone = true;
}

static void end(struct live *l)
{
    wst_client_close(l->client, on_gone, l);
    run_until(l, &l->gone);
    uv_close((uv_handle_t *)&l->guard, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
        continue;
    assert_int_equal(uv_loop_close(&l->uv), 0);
}

/* ---- Control frames while output is blocked ------------------------------------------------ */

static atomic_bool go;
static atomic_int frames_read, pings_read, bad_frames;

/* Pings, reads nothing for a while, and then checks the order of the messages. */
static void read_late(struct conn *c)
{
    static struct site_frame f;
    uint32_t number;

    if (!site_serve(c))
        return;
    while (!go) {
        (void)site_send(c, 0x89, "are you there?", 14);
        (void)poll(NULL, 0, 5);
    }
    while (site_receive(c, &f)) {
        if (f.first == 0x89)
            pings_read++;
        if (f.first == 0x88)
            break;
        if (f.first != 0x82)
            continue;
        memcpy(&number, f.payload, sizeof number);
        if (f.n != 5000 || number != (uint32_t)frames_read++)
            bad_frames++;
    }
    site_close(c, &f);
}

static void send_much(struct live *l, uint32_t count)
{
    uint8_t message[5000] = {0};

    for (uint32_t i = 0; i < count; i++) {
        memcpy(message, &i, sizeof i);
        assert_int_equal(wst_client_send(l->client, WST_BINARY, message, sizeof message, NULL), 0);
    }
}

static void ping_while_blocked(bool secure)
{
    enum { COUNT = 3000 };
    struct server *s = server_start(read_late, NULL, secure ? tls : NULL);
    struct live l;
    size_t left;
    bool closed = false;

    go = false;
    frames_read = pings_read = bad_frames = 0;
    prepare(&l, s, secure);
    begin(&l);
    run_until(&l, &l.open);
    send_much(&l, COUNT);
    do { /* Until the kernel takes no more. */
        left = wst_client_buffered(l.client);
        for (int i = 0; i < 20; i++)
            (void)uv_run(&l.uv, UV_RUN_ONCE);
    } while (wst_client_buffered(l.client) < left);
    assert_true(left > 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wst_client_ping(l.client), 0);
        (void)uv_run(&l.uv, UV_RUN_ONCE);
    }
    go = true;
    assert_int_equal(wst_client_stop(l.client), 0);
    while (l.closes == 0)
        (void)uv_run(&l.uv, UV_RUN_ONCE);
    closed = l.end.was_clean != 0;
    end(&l);
    server_stop(s);
    assert_int_equal(bad_frames, 0);
    assert_int_equal(frames_read, COUNT);
    assert_int_equal(pings_read, 5);
    assert_true(closed);
}

static void test_ping_while_blocked(void **state)
{
    (void)state;
    ping_while_blocked(false);
    ping_while_blocked(true);
}

/* ---- A guest in somebody's loop ------------------------------------------------------------ */

static unsigned ends;

static void stop_it(struct wst_client *client, uint64_t attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    assert_int_equal(wst_client_stop(client), 0);
}

static void start_again(struct wst_client *client, enum wst_state state,
                        const struct wst_error_info *info, void *arg)
{
    struct live *l = arg;

    (void)info;
    assert_int_equal(state, WST_STATE_IDLE);
    if (++ends < 100000 && !l->gone)
        (void)wst_client_start(client);
}

/* Callbacks that start and stop for ever do not keep the loop from its other work. */
static void test_flips_without_end(void **state)
{
    struct server *s = server_start(read_late, NULL, NULL);
    struct live l;
    unsigned before;

    (void)state;
    ends = 0;
    prepare(&l, s, false);
    l.config.token_step = l.config.ticket_step = WST_STEP_MODE_OMIT;
    l.config.parallel_dial = 0;
    l.config.on_attempt = stop_it;
    l.config.on_ended = start_again;
    begin(&l);
    for (int i = 0; i < 3; i++) {
        before = ends;
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
        assert_true(ends > before && ends - before < 5000);
    }
    end(&l);
    server_stop(s);
}

/* What is not made leaves nothing: the uv loop may end at once. */
static void test_wrong_configuration_leaves_nothing(void **state)
{
    struct wst_config c;
    struct wst_cause why;
    uv_loop_t uv;

    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    wst_config_init(&c);
    c.uv_loop = &uv;
    c.url = "nonsense";
    assert_int_equal(wst_client_new(&(struct wst_client *){NULL}, &c, &why), WST_ERR_CONFIG);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static int posted, refused;

static void post_again(struct wst_client *client, void *arg)
{
    posted++;
    if (wst_client_post(client, post_again, arg) == WST_ERR_CLOSING)
        refused++;
}

/* What was posted before the end is run before it, and cannot go on for ever. */
static void test_post_inside_the_last_post(void **state)
{
    struct server *s = server_start(read_late, NULL, NULL);
    struct live l;

    (void)state;
    posted = refused = 0;
    prepare(&l, s, false);
    begin(&l);
    assert_int_equal(wst_client_post(l.client, post_again, &l), 0);
    end(&l);
    server_stop(s);
    assert_true(posted > 0);
    assert_int_equal(refused, 1);
}

/* ---- All of them --------------------------------------------------------------------------- */

static int setup(void **state)
{
    (void)state;
    ca = cert_make_ca("live");
    leaf = cert_make_server(&ca);
    tls = server_ctx(&leaf);
    (void)snprintf(ca_path, sizeof ca_path, "%s", temp_path("ca.pem"));
    cert_write(&ca, ca_path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    SSL_CTX_free(tls);
    cert_free(&leaf);
    cert_free(&ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping_while_blocked),
        cmocka_unit_test(test_flips_without_end),
        cmocka_unit_test(test_wrong_configuration_leaves_nothing),
        cmocka_unit_test(test_post_inside_the_last_post),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
