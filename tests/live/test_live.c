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

/* Also while the end waits for the token's file. */
static void test_post_while_the_file_is_written(void **state)
{
    struct server *s = server_start(read_late, NULL, NULL);
    char path[256];
    struct live l;

    (void)state;
    posted = refused = 0;
    prepare(&l, s, false);
    (void)snprintf(path, sizeof path, "%s", temp_path("token"));
    l.config.token_cache = path;
    begin(&l);
    assert_int_equal(wst_client_set_token(l.client, "token", 0), 0);
    assert_int_equal(wst_client_post(l.client, post_again, &l), 0);
    end(&l);
    server_stop(s);
    assert_int_equal(posted, 1);
    assert_int_equal(refused, 1);
}

/* ---- Streams, both ways -------------------------------------------------------------------- */

enum { FRAGMENT = 60000, FRAGMENTS = 300, CHUNK = 2000, CHUNKS = 5000 };

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

/* What each side has seen of the other's stream. */
static size_t server_got, server_fragments, server_pings, server_wrong;

/* Streams in fragments, pings between them; then reads the client's stream. */
static void stream_back(struct conn *c)
{
    static struct site_frame f;
    static uint8_t out[FRAGMENT];
    size_t at = 0;

    if (!site_serve(c))
        return;
    for (unsigned i = 0; i < FRAGMENTS; i++) {
        for (size_t k = 0; k < sizeof out; k++)
            out[k] = byte_at(at++);
        if (!site_send(c, (i == 0 ? 2 : 0) | (i == FRAGMENTS - 1 ? 0x80 : 0), out, sizeof out) ||
            !site_send(c, 0x89, "?", 1))
            return;
    }
    server_got = server_fragments = server_pings = server_wrong = 0;
    while (site_receive(c, &f) && f.first != 0x88) {
        if (f.first == 0x89)
            server_pings++;
        if (f.first & 8)
            continue;
        server_wrong += (f.first & 0x0f) != (server_fragments == 0 ? 2 : 0);
        server_fragments++;
        for (size_t k = 0; k < f.n; k++)
            server_wrong += f.payload[k] != byte_at(server_got++);
        if (f.first & 0x80)
            break;
    }
    site_close(c, &f);
}

struct stream {
    size_t got, wrong, chunks, firsts, lasts;
    size_t at, sent, refused;
    bool paused;
};

static void go_on(struct wst_client *client, void *arg)
{
    struct stream *s = ((struct live *)arg)->test;

    s->paused = false;
    assert_int_equal(wst_client_resume(client), 0);
}

/* Sends until the queue is well filled; wst_drained_cb goes on. */
static void send_stream(struct wst_client *client, void *arg)
{
    struct stream *s = ((struct live *)arg)->test;
    uint8_t out[CHUNK];

    while (s->sent < CHUNKS && wst_client_buffered(client) <= 100000) {
        unsigned flags = (s->sent == 0 ? (unsigned)WST_CHUNK_FIRST : 0) |
                         (s->sent == CHUNKS - 1 ? (unsigned)WST_CHUNK_LAST : 0);

        for (size_t k = 0; k < sizeof out; k++)
            out[k] = byte_at(s->at + k);
        assert_int_equal(wst_client_send_chunk(client, WST_BINARY, out, sizeof out, flags, NULL),
                         0);
        s->at += sizeof out;
        if (++s->sent % 1000 == 500) {
            assert_int_equal(wst_client_ping(client), 0);
            s->refused += wst_client_send(client, WST_TEXT, "x", 1, NULL) == WST_ERR_STATE;
        }
    }
}

static void on_chunk(struct wst_client *client, enum wst_message_type type, const void *data,
                     size_t len, unsigned flags, void *arg)
{
    struct stream *s = ((struct live *)arg)->test;

    assert_int_equal(type, WST_BINARY);
    assert_false(s->paused);
    for (size_t i = 0; i < len; i++)
        s->wrong += ((const uint8_t *)data)[i] != byte_at(s->got++);
    s->firsts += (flags & WST_CHUNK_FIRST) != 0;
    s->lasts += (flags & WST_CHUNK_LAST) != 0;
    if (++s->chunks % 16 == 0) {
        s->paused = true;
        assert_int_equal(wst_client_pause(client), 0);
        assert_int_equal(wst_client_post(client, go_on, arg), 0);
    }
    if (flags & WST_CHUNK_LAST)
        send_stream(client, arg);
}

static void stream_both_ways(bool secure)
{
    struct server *server = server_start(stream_back, NULL, secure ? tls : NULL);
    struct stream s = {0};
    struct wst_stats stats = {.size = sizeof stats};
    struct live l;

    prepare(&l, server, secure);
    l.test = &s;
    l.config.on_chunk = on_chunk;
    l.config.on_drained = send_stream;
    l.config.max_message_bytes = SIZE_MAX;
    l.config.queue_low_water = 20000;
    begin(&l);
    while (l.closes == 0)
        (void)uv_run(&l.uv, UV_RUN_ONCE);
    assert_int_equal(wst_client_stats(l.client, &stats), 0);
    end(&l);
    server_stop(server);
    assert_int_equal(s.got, (size_t)FRAGMENT * FRAGMENTS);
    assert_int_equal(s.wrong, 0);
    assert_int_equal(s.firsts, 1);
    assert_int_equal(s.lasts, 1);
    assert_int_equal(s.refused, CHUNKS / 1000);
    assert_int_equal(server_got, (size_t)CHUNK * CHUNKS);
    assert_int_equal(server_fragments, CHUNKS);
    assert_int_equal(server_pings, CHUNKS / 1000);
    assert_int_equal(server_wrong, 0);
    assert_int_equal(stats.messages_received, 1);
    assert_int_equal(stats.bytes_received, (size_t)FRAGMENT * FRAGMENTS);
    assert_int_equal(stats.messages_sent, 1);
    assert_int_equal(stats.bytes_sent, (size_t)CHUNK * CHUNKS);
    assert_int_equal(stats.unsent_messages, 0);
}

static void test_stream_both_ways(void **state)
{
    (void)state;
    stream_both_ways(false);
    stream_both_ways(true);
}

/* ---- The offline queue --------------------------------------------------------------------- */

static char heard[64];

static void hear(struct conn *c)
{
    static struct site_frame f;

    if (!site_serve(c))
        return;
    while (strlen(heard) < 4 && site_receive(c, &f) && f.first == 0x81)
        (void)strncat(heard, (const char *)f.payload, f.n);
    site_close(c, &f);
}

static void say_more(struct wst_client *client, enum wst_state from, enum wst_state to, void *arg)
{
    (void)from;
    (void)arg;
    if (to == WST_STATE_OPEN)
        assert_int_equal(wst_client_send(client, WST_TEXT, "d", 1, NULL), 0);
}

/* What was said before it was open arrives first, in order, on the real loop too. */
static void test_said_before_it_is_open(void **state)
{
    struct server *server = server_start(hear, NULL, tls);
    struct live l;

    (void)state;
    memset(heard, 0, sizeof heard);
    prepare(&l, server, true);
    l.config.offline_messages = 3;
    l.config.on_state = say_more;
    begin(&l);
    for (const char *p = "abc"; *p; p++)
        assert_int_equal(wst_client_send(l.client, WST_TEXT, p, 1, NULL), 0);
    assert_int_equal(wst_client_send(l.client, WST_TEXT, "x", 1, NULL), WST_ERR_QUEUE_FULL);
    while (l.closes == 0)
        (void)uv_run(&l.uv, UV_RUN_ONCE);
    end(&l);
    server_stop(server);
    assert_string_equal(heard, "abcd");
}

/* They are too old before anybody answers: the client's own timer tells. */
static unsigned too_old;

static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    struct live *l = arg;

    (void)client;
    assert_ptr_equal(ref, l);
    assert_int_equal(len, 5);
    assert_int_equal(reason, WST_ERR_TOO_OLD);
    too_old++;
    l->open = true; /* Ends run_until(). */
}

static void silent(struct conn *c)
{
    uint8_t byte;

    while (conn_read(c, &byte, 1) == 1)
        continue;
}

static void test_too_old(void **state)
{
    struct server *server = server_start(silent, NULL, NULL);
    struct live l;

    (void)state;
    too_old = 0;
    prepare(&l, server, false);
    l.config.offline_messages = 1;
    l.config.offline_age_ms = 50;
    l.config.on_unsent = on_unsent;
    begin(&l);
    assert_int_equal(wst_client_send(l.client, WST_TEXT, "hello", 5, &l), 0);
    run_until(&l, &l.open);
    end(&l);
    server_stop(server);
    assert_int_equal(too_old, 1);
}

/* ---- Last words ---------------------------------------------------------------------------- */

static atomic_bool turned_out;

/* Lets the client in, and thinks better of it: who writes meanwhile gets a reset. */
static void turn_out(struct conn *c)
{
    static const char reason[] = "\x11\x31no ticket"; /* 4401. */

    if (!site_serve(c))
        return;
    while (!go)
        (void)poll(NULL, 0, 1);
    (void)site_send(c, 0x88, reason, sizeof reason - 1);
    conn_reset(c);
    turned_out = true;
}

/* The loop stands still until the reset is there. */
static void write_to_the_reset(struct live *l)
{
    go = true;
    while (!turned_out)
        (void)poll(NULL, 0, 1);
    (void)poll(NULL, 0, 5);
    assert_int_equal(wst_client_send(l->client, WST_TEXT, "hello", 5, l), 0);
}

/* The close frame that lies unread when a write fails says why, and what follows. */
static void close_frame_before_a_reset(bool secure)
{
    struct server *s = server_start(turn_out, NULL, secure ? tls : NULL);
    struct live l;

    go = turned_out = false;
    prepare(&l, s, secure);
    begin(&l);
    run_until(&l, &l.open);
    write_to_the_reset(&l);
    while (l.closes == 0)
        (void)uv_run(&l.uv, UV_RUN_ONCE);
    assert_int_equal(l.end.code, 4401);
    assert_int_equal(l.end.was_clean, 0);
    assert_int_equal(l.end.info.cause.code, WST_ERR_WS_CLOSED);
    assert_int_equal(l.end.info.cause.cls, WST_CLASS_TICKET);
    end(&l);
    server_stop(s);
}

static void test_close_frame_before_a_reset(void **state)
{
    (void)state;
    close_frame_before_a_reset(false);
    close_frame_before_a_reset(true);
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
        cmocka_unit_test(test_post_while_the_file_is_written),
        cmocka_unit_test(test_stream_both_ways),
        cmocka_unit_test(test_said_before_it_is_open),
        cmocka_unit_test(test_too_old),
        cmocka_unit_test(test_close_frame_before_a_reset),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
