/* The loop: the real ports, and an end with everything under way. */
#include "client/loop.h"
#include "lib/certs.h"
#include "lib/server.h"
#include "lib/world.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

static char ca_path[256];
static struct cert ca, leaf;
static SSL_CTX *tls;

static void on_closed(void *arg)
{
    bool *closed = arg;

    assert_false(*closed);
    *closed = true;
}

/* Runs the loop dry: nothing of ours may be left in it. */
static void close_uv(uv_loop_t *uv)
{
    (void)uv_run(uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(uv), 0);
}

static void test_misuse(void **state)
{
    struct wst_loop *loop = NULL;
    bool closed = false;
    uv_loop_t uv;

    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(wst_loop_new(NULL, &uv), WST_ERR_INVALID);
    assert_int_equal(wst_loop_new(&loop, NULL), WST_ERR_INVALID);
    assert_int_equal(wst_loop_close(NULL, NULL, NULL), WST_ERR_INVALID);
    assert_int_equal(wst_loop_new(&loop, &uv), 0);
    assert_ptr_equal(wst__loop_uv(loop), &uv);
    (void)uv_run(&uv, UV_RUN_DEFAULT); /* It does not keep the loop alive. */
    wst__loop_ref(loop);
    assert_int_equal(wst_loop_close(loop, on_closed, &closed), WST_ERR_STATE);
    wst__loop_unref(loop);
    assert_int_equal(wst_loop_close(loop, on_closed, &closed), 0);
    assert_int_equal(wst_loop_close(loop, on_closed, &closed), WST_ERR_STATE);
    assert_false(closed);
    close_uv(&uv);
    assert_true(closed);
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(wst_loop_new(&loop, &uv), 0);
    assert_int_equal(wst_loop_close(loop, NULL, NULL), 0);
    close_uv(&uv);
}

/* ---- Everything under way ------------------------------------------------------------------ */

static void stall(struct conn *c)
{
    char bytes[100];

    while (conn_read(c, bytes, sizeof bytes) > 0)
        continue;
}

static void respond(struct conn *c)
{
    char request[4096];

    while (conn_read_request(c, request, sizeof request) > 0) {
        if (!conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
            return;
    }
}

static void on_sent(void *arg)
{
    (void)arg;
}

static atomic_int finished;

static void on_done(void *arg, const struct wst_cause *why, const struct wst__http_answer *answer)
{
    struct wst__http **http = arg;

    (void)why;
    (void)answer;
    *http = NULL;
    finished++;
}

static void on_ready(void *arg, const struct wst__stream_timing *timing)
{
    (void)timing;
    (*(int *)arg)++;
}

static void on_data(void *arg, uint8_t *bytes, size_t n)
{
    (void)arg;
    (void)bytes;
    (void)n;
}

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_ended(void *arg, const struct wst_cause *why)
{
    (void)arg;
    (void)why;
}

static void on_timer(void *arg)
{
    (void)arg;
}

static void on_file(void *arg, int err, int sys_errno, const void *data, size_t n)
{
    (void)arg;
    (void)err;
    (void)sys_errno;
    (void)data;
    (void)n;
    fail_msg("it was canceled");
}

enum { HTTPS = 3, STREAMS = 4 };

/* A client's worth of everything. */
struct all {
    const struct wst__ports *p;
    struct wst__net *net;
    struct wst__http *https[HTTPS];
    struct wst__stream *streams[STREAMS];
    struct wst__timer timer;
    struct wst__mailbox mailbox;
    struct wst__turn turn;
    struct wst__file *files[3];
    int ready, mailbox_closed, streams_closed;
};

static void begin_http(struct all *a, int i, const char *scheme, const struct server *s)
{
    static const struct wst__http_cbs cbs = {.sent = on_sent, .done = on_done};
    char url[100];
    struct wst__http_request rq = {
        .url = url, .method = "GET", .max_header_bytes = 1000, .max_body_bytes = 1000};

    (void)snprintf(url, sizeof url, "%s://localhost:%u/", scheme, server_port(s));
    assert_int_equal(a->p->http_start(a->p->world, a->net, &rq, &cbs, &a->https[i], &a->https[i]),
                     0);
}

static void begin_stream(struct all *a, int i, bool secure, const struct server *s)
{
    static const struct wst__stream_cbs cbs = {
        .ready = on_ready, .data = on_data, .writable = on_writable, .ended = on_ended};
    struct wst__stream_request rq = {.host = "localhost", .port = server_port(s), .tls = secure};

    assert_int_equal(a->p->stream_open(a->p->world, a->net, &rq, &cbs, &a->ready, &a->streams[i]),
                     0);
}

static void on_mailbox_closed(void *arg)
{
    struct all *a = arg;

    a->mailbox_closed++;
}

static void on_stream_closed(void *arg)
{
    struct all *a = arg;

    a->streams_closed++;
}

static void begin_all(struct all *a, const struct wst__ports *p, const struct server *silent,
                      const struct server *plain, const struct server *secure)
{
    struct wst__net_options opt = {.ca_file = ca_path, .proxy = "", .cookies = true};
    struct wst_cause why;
    struct wst__time now;
    void *w = p->world;

    memset(a, 0, sizeof *a);
    a->p = p;
    p->clock(w, &now);
    assert_int_equal(p->net_new(w, &opt, &a->net, &why), 0);
    wst__timer_init(&a->timer, on_timer, a);
    p->timer_set(w, &a->timer, now.now_ms + 100000);
    begin_http(a, 0, "http", silent);
    begin_http(a, 1, "https", secure);
    begin_http(a, 2, "https", silent);
    begin_stream(a, 0, false, plain);
    begin_stream(a, 1, true, secure);
    begin_stream(a, 2, true, silent);
    begin_stream(a, 3, false, silent);
    assert_int_equal(p->file_read(w, temp_path("a"), on_file, NULL, &a->files[0]), 0);
    assert_int_equal(p->file_replace(w, temp_path("b"), "x", 1, on_file, NULL, &a->files[1]), 0);
    assert_int_equal(p->file_remove(w, temp_path("c"), on_file, NULL, &a->files[2]), 0);
    for (int i = 0; i < 3; i++)
        p->file_cancel(w, a->files[i]);
    a->turn.cb = on_timer;
    p->turn_ask(w, &a->turn);
}

/* One turn of the loop, sometimes after others have had a moment. */
static void step(uv_loop_t *uv, int number)
{
    (void)uv_run(uv, UV_RUN_NOWAIT);
    if (number % 4 == 3)
        (void)poll(NULL, 0, 1);
}

static void end_all(struct all *a)
{
    const struct wst__ports *p = a->p;
    void *w = p->world;

    p->turn_drop(w, &a->turn);
    for (int i = 0; i < HTTPS; i++) {
        if (a->https[i])
            p->http_cancel(w, a->https[i]);
    }
    for (int i = 0; i < STREAMS; i++)
        p->stream_close(w, a->streams[i], on_stream_closed, a);
    p->timer_set(w, &a->timer, UINT64_MAX);
    p->mailbox_close(w, &a->mailbox, on_mailbox_closed, a);
    p->net_free(w, a->net);
}

/* Ended after any number of turns; everything comes back, and nothing is left. */
static void test_close_with_everything(void **state)
{
    struct server *silent = server_start(stall, NULL, NULL);
    struct server *plain = server_start(respond, NULL, NULL);
    struct server *secure = server_start(respond, NULL, tls);
    int fds = count_fds();

    (void)state;
    for (int turns = 0; turns < 40; turns++) {
        struct wst_loop *loop;
        struct all a;
        bool closed = false;
        uv_loop_t uv;

        assert_int_equal(uv_loop_init(&uv), 0);
        assert_int_equal(wst_loop_new(&loop, &uv), 0);
        begin_all(&a, wst__loop_ports(loop), silent, plain, secure);
        for (int i = 0; i < turns; i++)
            step(&uv, i);
        end_all(&a);
        assert_int_equal(wst_loop_close(loop, on_closed, &closed), 0);
        close_uv(&uv);
        assert_true(closed);
        assert_int_equal(a.mailbox_closed, 1);
        assert_int_equal(a.streams_closed, STREAMS);
    }
    server_stop(silent);
    server_stop(plain);
    server_stop(secure);
    assert_in_range(count_fds(), 0, fds);
}

/* A descriptor that a child would inherit: only libcurl's own wake-up pairs are excused. */
static bool leaks_to_children(int fd)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    int flags = fcntl(fd, F_GETFD);

    if (flags < 0 || (flags & FD_CLOEXEC))
        return false;
    return getsockname(fd, (struct sockaddr *)&ss, &n) != 0 || ss.ss_family != AF_UNIX;
}

static void test_close_on_exec(void **state)
{
    struct server *silent = server_start(stall, NULL, NULL);
    struct server *plain = server_start(respond, NULL, NULL);
    struct server *secure = server_start(respond, NULL, tls);
    struct wst_loop *loop;
    struct all a;
    bool closed = false;
    bool before[256];
    uv_loop_t uv;

    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    for (int fd = 0; fd < 256; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    assert_int_equal(wst_loop_new(&loop, &uv), 0);
    begin_all(&a, wst__loop_ports(loop), silent, plain, secure);
    for (int turns = 0; turns < 40; turns++)
        step(&uv, turns);
    for (int fd = 3; fd < 256; fd++) {
        if (!before[fd] && leaks_to_children(fd))
            fail_msg("descriptor %d", fd);
    }
    end_all(&a);
    assert_int_equal(wst_loop_close(loop, on_closed, &closed), 0);
    close_uv(&uv);
    server_stop(silent);
    server_stop(plain);
    server_stop(secure);
}

/* ---- Threads ------------------------------------------------------------------------------- */

struct worker {
    struct server *secure, *plain;
    struct wst_loop *loop; /* Of another thread. */
    bool other_is_mine, own_is_mine;
    int failures;
};

/* A loop of its own in a thread of its own: there and back a few times. */
static void work(void *arg)
{
    struct worker *worker = arg;
    struct wst_loop *loop;
    uv_loop_t uv;
    struct all a;

    if (uv_loop_init(&uv) != 0 || wst_loop_new(&loop, &uv) != 0) {
        worker->failures++;
        return;
    }
    worker->own_is_mine = wst__loop_is_mine(loop);
    worker->other_is_mine = wst__loop_is_mine(worker->loop);
    for (int i = 0; i < 10; i++) {
        int begun = 0;

        begin_all(&a, wst__loop_ports(loop), worker->plain, worker->plain, worker->secure);
        while (a.ready < 2 && begun++ < 10000)
            step(&uv, begun);
        worker->failures += a.ready < 2;
        end_all(&a);
        (void)uv_run(&uv, UV_RUN_NOWAIT);
    }
    worker->failures += wst_loop_close(loop, NULL, NULL) != 0;
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    worker->failures += uv_loop_close(&uv) != 0;
}

static void test_two_threads(void **state)
{
    struct server *plain = server_start(respond, NULL, NULL);
    struct server *secure = server_start(respond, NULL, tls);
    struct wst_loop *loop;
    struct worker workers[2] = {{.secure = secure, .plain = plain},
                                {.secure = secure, .plain = plain}};
    uv_thread_t threads[2];
    uv_loop_t uv;

    (void)state;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(wst_loop_new(&loop, &uv), 0);
    for (int i = 0; i < 2; i++) {
        workers[i].loop = loop;
        assert_int_equal(uv_thread_create(&threads[i], work, &workers[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
        assert_int_equal(workers[i].failures, 0);
        assert_true(workers[i].own_is_mine);
        assert_false(workers[i].other_is_mine);
    }
    assert_true(wst__loop_is_mine(loop));
    assert_int_equal(wst_loop_close(loop, NULL, NULL), 0);
    close_uv(&uv);
    server_stop(plain);
    server_stop(secure);
}

struct moved {
    struct wst_loop *loop;
    uv_loop_t uv;
    uv_async_t async;
    bool is_mine;
};

static void on_async(uv_async_t *async)
{
    struct moved *m = async->data;

    m->is_mine = wst__loop_is_mine(m->loop);
    uv_close((uv_handle_t *)async, NULL);
}

static void run_moved(void *arg)
{
    struct moved *m = arg;

    (void)uv_run(&m->uv, UV_RUN_DEFAULT);
}

/* Made by one thread, run by another, which is seen before we have asked for anything. */
static void test_moved_to_a_thread(void **state)
{
    uv_thread_t thread;
    struct moved m;

    (void)state;
#ifdef NDEBUG
    skip(); /* Nobody asks. */
#endif
    assert_int_equal(uv_loop_init(&m.uv), 0);
    assert_int_equal(wst_loop_new(&m.loop, &m.uv), 0);
    assert_int_equal(uv_async_init(&m.uv, &m.async, on_async), 0);
    m.async.data = &m;
    assert_int_equal(uv_async_send(&m.async), 0);
    assert_int_equal(uv_thread_create(&thread, run_moved, &m), 0);
    assert_int_equal(uv_thread_join(&thread), 0);
    assert_true(m.is_mine);
    assert_int_equal(wst_loop_close(m.loop, NULL, NULL), 0);
    close_uv(&m.uv);
}

static int set_up(void **state)
{
    (void)state;
    ca = cert_make_ca("Test CA");
    leaf = cert_make_server(&ca);
    tls = server_ctx(&leaf);
    (void)snprintf(ca_path, sizeof ca_path, "%s", temp_path("ca.pem"));
    cert_write(&ca, ca_path);
    return 0;
}

static int tear_down(void **state)
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
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_close_with_everything),
        cmocka_unit_test(test_close_on_exec),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_moved_to_a_thread),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
