/* The byte stream: reading, writing, pausing, ending; plain and TLS. */
#include "calls.h"

#include "lib/certs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct cert ca, leaf;
static SSL_CTX *tls; /* Of the server. */
static char ca_path[256];

/* Every test runs plain and with TLS. */
struct both {
    struct world *w;
    struct wst__net *net;
    SSL_CTX *ctx;
    bool tls;
};

static struct both with(void **state, bool secure)
{
    struct both b = {.w = *state, .tls = secure, .ctx = secure ? tls : NULL};

    b.net = world_net(b.w, ca_path);
    return b;
}

static void connect_to(struct pipe *p, const struct both *b, const struct server *s)
{
    int code = pipe_connect(p, b->w, b->net, "localhost", server_port(s), b->tls);

    if (code != 0)
        fail_msg("%s", p->why.text);
}

static void run_both(void **state, void (*test)(struct both *b))
{
    for (int secure = 0; secure <= 1; secure++) {
        struct both b = with(state, secure != 0);

        test(&b);
        wst__net_free(b.net);
    }
}

/* ---- There and back ------------------------------------------------------------------------ */

static void echo(struct conn *c)
{
    static _Thread_local char bytes[65536];
    int n;

    while ((n = conn_read(c, bytes, sizeof bytes)) > 0 && conn_write(c, bytes, (size_t)n))
        continue;
}

static void echo_sizes(struct both *b)
{
    static const size_t sizes[] = {1, 2, 100, 16383, 16384, 16385, 65535, 65536, 1000000};
    struct server *s = server_start(echo, NULL, b->ctx);
    static uint8_t out[1000000], in[1000000];

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct pipe p = {.data = in, .max = sizeof in};

        connect_to(&p, b, s);
        assert_int_equal(pipe_write(&p, out, sizes[i]), 0);
        pipe_expect(&p, sizes[i]);
        assert_memory_equal(in, out, sizes[i]);
        pipe_close(&p);
    }
    server_stop(s);
}

static void test_echo(void **state)
{
    run_both(state, echo_sizes);
}

/* Many pieces in one call arrive in order, whatever their sizes. */
static void gather_pieces(struct both *b)
{
    enum { PIECES = 3000 };
    struct server *s = server_start(echo, NULL, b->ctx);
    struct pipe p = {0};
    static uint8_t out[PIECES * 40], in[PIECES * 40];
    static struct iovec iov[PIECES];
    size_t total = 0;
    size_t done = 0;
    size_t first = 0;

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 31 + i / 253);
    for (size_t i = 0; i < PIECES; i++) {
        iov[i].iov_base = out + total;
        iov[i].iov_len = i % 41; /* Also of no length. */
        total += iov[i].iov_len;
    }
    p.data = in;
    p.max = sizeof in;
    connect_to(&p, b, s);
    while (done < total) {
        struct wst_cause why;
        size_t wrote;

        p.writable = false;
        assert_int_equal(wst__stream_write(p.stream, iov + first, PIECES - first, &wrote, &why), 0);
        done += wrote;
        while (first < PIECES && wrote >= iov[first].iov_len)
            wrote -= iov[first++].iov_len;
        if (first < PIECES) {
            iov[first].iov_base = (uint8_t *)iov[first].iov_base + wrote;
            iov[first].iov_len -= wrote;
            world_run_either(b->w, &p.writable, &p.ended);
        }
    }
    pipe_expect(&p, total);
    assert_memory_equal(in, out, total);
    pipe_close(&p);
    server_stop(s);
}

static void test_gather(void **state)
{
    run_both(state, gather_pieces);
}

/* ---- A slow reader ------------------------------------------------------------------------- */

static atomic_bool go;
static atomic_size_t swallowed;
static uint64_t swallowed_sum;

static void read_slowly(struct conn *c)
{
    uint8_t bytes[3001];
    int n;

    while (!go)
        (void)poll(NULL, 0, 1);
    while ((n = conn_read(c, bytes, sizeof bytes)) > 0) {
        for (int i = 0; i < n; i++)
            swallowed_sum = swallowed_sum * 31 + bytes[i];
        swallowed += (size_t)n;
    }
}

/* While nothing is read, writing stops; then it goes on, and every byte arrives once, in order. */
static void write_to_slow_reader(struct both *b)
{
    struct server *s = server_start(read_slowly, NULL, b->ctx);
    struct pipe p = {0};
    enum { SIZE = 12 * 1024 * 1024 };
    uint8_t *out = malloc(SIZE);
    struct iovec iov = {.iov_base = out, .iov_len = SIZE};
    uint64_t sum = 0;
    struct wst_cause why;
    size_t wrote = 1;
    size_t total = 0;

    assert_non_null(out);
    for (size_t i = 0; i < SIZE; i++) {
        out[i] = (uint8_t)(i * 13 + i / 255);
        sum = sum * 31 + out[i];
    }
    go = false;
    swallowed = 0;
    swallowed_sum = 0;
    connect_to(&p, b, s);
    for (int i = 0; i < 100 && wrote > 0; i++) {
        assert_int_equal(wst__stream_write(p.stream, &iov, 1, &wrote, &why), 0);
        total += wrote;
        iov.iov_base = out + total;
        iov.iov_len = SIZE - total;
    }
    assert_true(total > 0 && total < SIZE);
    assert_int_equal(wrote, 0); /* The kernel is full. */
    go = true;
    assert_int_equal(pipe_write(&p, iov.iov_base, iov.iov_len), 0);
    wst__stream_shutdown(p.stream);
    world_run(b->w, &p.ended);
    assert_int_equal(p.why.code, WST_ERR_EOF);
    pipe_close(&p);
    server_stop(s);
    assert_int_equal(swallowed, SIZE);
    assert_true(swallowed_sum == sum);
    free(out);
}

static void test_slow_reader(void **state)
{
    run_both(state, write_to_slow_reader);
}

/* After a short write the writer may change its mind about everything that is not sealed. */
static void change_what_is_not_sealed(struct both *b)
{
    struct server *s = server_start(read_slowly, NULL, b->ctx);
    enum { SIZE = 12 * 1024 * 1024 };
    uint8_t *out = calloc(1, SIZE);
    struct pipe p = {0};
    size_t total = 0;
    size_t changes = 0;
    size_t most_sealed = 0;
    uint64_t sum = 0;

    assert_non_null(out);
    go = false; /* Until the kernel is full for the first time. */
    swallowed = 0;
    swallowed_sum = 0;
    connect_to(&p, b, s);
    while (total < SIZE) {
        size_t half = changes % 2 ? 0 : (SIZE - total) / 2; /* In two pieces and in one. */
        struct iovec iov[] = {{.iov_base = out + total, .iov_len = half},
                              {.iov_base = out + total + half, .iov_len = SIZE - total - half}};
        struct wst_cause why;
        size_t wrote, fixed;

        p.writable = false;
        assert_int_equal(
            wst__stream_write(p.stream, iov + changes % 2, 2 - changes % 2, &wrote, &why), 0);
        total += wrote;
        if (total == SIZE)
            break;
        fixed = wst__stream_sealed(p.stream);
        most_sealed = fixed > most_sealed ? fixed : most_sealed;
        changes++;
        go = true;
        memset(out + total + fixed, (int)(changes % 251), SIZE - total - fixed);
        world_run_either(b->w, &p.writable, &p.ended);
        assert_false(p.ended);
    }
    wst__stream_shutdown(p.stream);
    world_run(b->w, &p.ended);
    pipe_close(&p);
    server_stop(s);
    for (size_t i = 0; i < SIZE; i++)
        sum = sum * 31 + out[i];
    assert_int_equal(swallowed, SIZE);
    assert_true(swallowed_sum == sum);
    assert_true(changes > 0);
    assert_true(b->tls ? most_sealed > 0 && most_sealed <= 64 * 1024 : most_sealed == 0);
    free(out);
}

static void test_changes(void **state)
{
    run_both(state, change_what_is_not_sealed);
}

/* ---- Pause --------------------------------------------------------------------------------- */

static void pour(struct conn *c)
{
    static const size_t size = 4 * 1024 * 1024;
    uint8_t *bytes = malloc(size);
    char one;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i / 3);
    (void)conn_write(c, bytes, size);
    free(bytes);
    if (c->ssl)
        (void)SSL_shutdown(c->ssl);
    (void)shutdown(c->fd, SHUT_WR);
    while (conn_read(c, &one, 1) > 0)
        continue;
}

static int pauses;
static bool paused;

static void pause_now(struct pipe *p)
{
    if (p->calls % 3 == 0) {
        pauses++;
        paused = true;
        wst__stream_read(p->stream, false);
    }
}

/* After a pause nothing comes, not even the end, until it is over; then nothing is missing. */
static void pause_reading(struct both *b)
{
    struct server *s = server_start(pour, NULL, b->ctx);
    enum { SIZE = 4 * 1024 * 1024 };
    static uint8_t in[SIZE];
    struct pipe p = {.data = in, .max = SIZE, .on_data = pause_now};

    pauses = 0;
    paused = false;
    connect_to(&p, b, s);
    while (!p.ended) {
        size_t calls;

        world_run_for(b->w, 3);
        calls = p.calls;
        if (p.ended || !paused)
            continue;
        world_run_for(b->w, 3);
        assert_int_equal(p.calls, calls);
        assert_false(p.ended);
        paused = false;
        wst__stream_read(p.stream, true);
    }
    assert_int_equal(p.why.code, WST_ERR_EOF);
    assert_int_equal(p.len, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(in[i], (uint8_t)(i / 3));
    assert_true(pauses >= 10);
    pipe_close(&p);
    server_stop(s);
}

static void test_pause(void **state)
{
    run_both(state, pause_reading);
}

static void pause_for_good(struct pipe *p)
{
    wst__stream_read(p->stream, false);
}

static void say_and_end(struct conn *c)
{
    (void)conn_puts(c, "last words");
    if (c->ssl)
        (void)SSL_shutdown(c->ssl);
}

/* The end that came together with the last bytes waits, too. */
static void pause_before_the_end(struct both *b)
{
    struct server *s = server_start(say_and_end, NULL, b->ctx);
    struct pipe p = {.on_data = pause_for_good};

    connect_to(&p, b, s);
    pipe_expect(&p, 10);
    world_run_for(b->w, 20);
    assert_false(p.ended);
    wst__stream_read(p.stream, true);
    world_run(b->w, &p.ended);
    assert_int_equal(p.why.code, WST_ERR_EOF);
    pipe_close(&p);
    server_stop(s);
}

static void test_pause_before_the_end(void **state)
{
    run_both(state, pause_before_the_end);
}

/* ---- Straight to its place ----------------------------------------------------------------- */

static void place_next(struct pipe *p)
{
    static uint8_t place[3000000];

    if (p->placed == 0) {
        p->place = place;
        p->place_room = sizeof place;
    }
}

static void read_to_place(struct both *b)
{
    struct server *s = server_start(pour, NULL, b->ctx);
    struct pipe p = {.on_data = place_next};
    uint8_t *place;

    connect_to(&p, b, s);
    world_run(b->w, &p.ended);
    assert_int_equal(p.len, 4 * 1024 * 1024);
    assert_int_equal(p.placed, 3000000);
    assert_int_equal(p.place_room, 0);
    place = p.place - 3000000;
    /* It began behind what came before: wherever that was, the bytes go on without a gap. */
    for (size_t i = 3; i < 3000000; i++)
        assert_int_equal((uint8_t)(place[i] - place[i - 3]), 1);
    pipe_close(&p);
    server_stop(s);
}

static void test_place(void **state)
{
    run_both(state, read_to_place);
}

/* ---- How it ends --------------------------------------------------------------------------- */

/* These wait for a byte, so that the connection stands before it ends. */
static void hang_up(struct conn *c)
{
    char byte;

    (void)conn_read(c, &byte, 1);
    (void)conn_puts(c, "bye");
}

static void hang_up_politely(struct conn *c)
{
    char byte;

    (void)conn_read(c, &byte, 1);
    (void)conn_puts(c, "bye");
    if (c->ssl)
        (void)SSL_shutdown(c->ssl);
}

static void reset(struct conn *c)
{
    char byte;

    (void)conn_read(c, &byte, 1);
    (void)conn_puts(c, "bye");
    conn_reset(c);
}

static void end_in_every_way(struct both *b)
{
    static const struct {
        conn_fn fn;
        int code;
    } table[] = {{hang_up, WST_ERR_EOF}, {hang_up_politely, WST_ERR_EOF}, {reset, WST_ERR_RESET}};

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct server *s = server_start(table[i].fn, NULL, b->ctx);
        struct pipe p = {0};
        struct wst_cause why;
        size_t wrote;
        struct iovec iov = {.iov_base = "x", .iov_len = 1};
        struct pollfd loop = {.fd = uv_backend_fd(&b->w->uv), .events = POLLIN};

        connect_to(&p, b, s);
        assert_int_equal(pipe_write(&p, "x", 1), 0);
        world_run(b->w, &p.ended);
        assert_int_equal(p.why.code, table[i].code);
        assert_true(table[i].code == WST_ERR_RESET || p.len == 3);
        assert_non_null(strstr(p.why.text, "localhost"));
        assert_int_not_equal(wst__stream_write(p.stream, &iov, 1, &wrote, &why), 0);
        world_run_for(b->w, 5);
        assert_int_equal(poll(&loop, 1, 0), 0); /* Nothing keeps the loop awake. */
        pipe_close(&p);
        server_stop(s);
    }
}

static void test_ends(void **state)
{
    run_both(state, end_in_every_way);
}

/* A dead peer is an error of the write, never a signal: its disposition is the default one.  A
 * peer that has closed answers with a reset, and only then the system would send the signal. */
static void write_to_dead_peer(struct both *b, conn_fn fn, size_t pieces)
{
    struct server *s = server_start(fn, NULL, b->ctx);
    struct pipe p = {.on_ready = pause_for_good};
    struct wst_cause why = {0};
    /* One byte, which |fn| reads: an unread one would make a reset of every end. */
    struct iovec iov[2] = {{.iov_base = "x", .iov_len = 1}, {.iov_base = "", .iov_len = 0}};
    int rc = 0;

    connect_to(&p, b, s);
    for (int i = 0; i < 1000 && rc == 0; i++) {
        size_t wrote;

        rc = wst__stream_write(p.stream, iov, pieces, &wrote, &why);
        for (int ms = 0; ms < 10000 && !server_has_closed(s); ms++)
            world_run_for(b->w, 1);
        world_run_for(b->w, 2);
    }
    assert_int_equal(rc, WST_ERR_RESET);
    assert_int_equal(why.code, WST_ERR_RESET);
    assert_true(why.sys_errno == EPIPE || why.sys_errno == ECONNRESET);
    pipe_close(&p);
    server_stop(s);
}

static void write_to_dead_peers(struct both *b)
{
    for (size_t pieces = 1; pieces <= 2; pieces++) {
        write_to_dead_peer(b, reset, pieces);
        write_to_dead_peer(b, hang_up, pieces);
    }
}

static void test_dead_peer(void **state)
{
    run_both(state, write_to_dead_peers);
}

/*
 * What the peer had said before it went, and we had not read yet, is not lost when a write is the
 * first to find out: it comes, then the end, by the write's cause.
 */
static void write_before_the_last_words(struct both *b)
{
    struct server *s = server_start(reset, NULL, b->ctx);
    struct pipe p = {0};
    struct iovec iov = {.iov_base = "x", .iov_len = 1};
    struct wst_cause why = {0};
    size_t wrote;

    connect_to(&p, b, s);
    assert_int_equal(wst__stream_write(p.stream, &iov, 1, &wrote, &why), 0);
    for (int ms = 0; ms < 10000 && !server_has_closed(s); ms++)
        (void)poll(NULL, 0, 1); /* The loop stands still meanwhile. */
    assert_int_equal(wst__stream_write(p.stream, &iov, 1, &wrote, &why), 0);
    assert_int_equal(wrote, 0);
    world_run(b->w, &p.ended);
    assert_int_equal(p.len, 3);
    assert_int_equal(p.why.code, WST_ERR_RESET);
    assert_true(p.why.sys_errno == EPIPE || p.why.sys_errno == ECONNRESET);
    assert_false(p.writable);
    pipe_close(&p);
    server_stop(s);
}

static void test_last_words(void **state)
{
    run_both(state, write_before_the_last_words);
}

static SSL_CTX *demanding; /* Wants a certificate of the client. */

/* With TLS 1.3 the client is ready before it is refused. */
static void refuse_and_reset(struct conn *c)
{
    SSL *ssl = SSL_new(demanding);

    (void)SSL_set_fd(ssl, c->fd);
    (void)SSL_accept(ssl);
    SSL_free(ssl);
    conn_reset(c);
}

static struct server *refusing;

/* With the first byte leaves what the handshake has to say, the second one finds the reset. */
static void write_until_the_reset(struct pipe *p)
{
    struct iovec iov = {.iov_base = "x", .iov_len = 1};
    struct wst_cause why = {0};
    size_t wrote;

    assert_int_equal(wst__stream_write(p->stream, &iov, 1, &wrote, &why), 0);
    for (int ms = 0; ms < 10000 && !server_has_closed(refusing); ms++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(wst__stream_write(p->stream, &iov, 1, &wrote, &why), 0);
}

/* The last word may be an alert. */
static void test_alert_before_a_reset(void **state)
{
    struct both b = with(state, true);
    struct pipe p = {.on_ready = write_until_the_reset};

    demanding = server_ctx(&leaf);
    SSL_CTX_set_verify(demanding, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    refusing = server_start(refuse_and_reset, NULL, NULL);
    pipe_open(&p, b.w, b.net, "localhost", server_port(refusing), true);
    world_run(b.w, &p.ended);
    assert_true(p.ready);
    assert_int_equal(p.why.code, WST_ERR_TLS);
    assert_non_null(strstr(p.why.text, "the TLS connection to localhost failed"));
    assert_non_null(strstr(p.why.text, "client_cert"));
    pipe_close(&p);
    server_stop(refusing);
    SSL_CTX_free(demanding);
    wst__net_free(b.net);
}

static void write_and_close(struct pipe *p)
{
    struct iovec iov = {.iov_base = "hello", .iov_len = 5};
    struct wst_cause why;
    size_t wrote;

    assert_int_equal(wst__stream_write(p->stream, &iov, 1, &wrote, &why), 0);
    assert_int_equal(wrote, 5);
}

static void close_now(struct pipe *p)
{
    wst__stream_close(p->stream, NULL, NULL);
    p->stream = NULL;
    p->got_enough = true;
}

/* Closing from inside |ready| and |data|; no callback may follow. */
static void close_inside(struct both *b)
{
    struct server *s = server_start(echo, NULL, b->ctx);
    struct pipe a = {.on_ready = close_now};
    struct pipe d = {.on_ready = write_and_close, .on_data = close_now};

    pipe_open(&a, b->w, b->net, "localhost", server_port(s), b->tls);
    pipe_open(&d, b->w, b->net, "localhost", server_port(s), b->tls);
    world_run(b->w, &a.got_enough);
    world_run(b->w, &d.got_enough);
    world_run_for(b->w, 5);
    assert_int_equal(d.len, 5);
    server_stop(s);
}

static void test_close_inside(void **state)
{
    run_both(state, close_inside);
}

/* Closed in each phase of opening. */
static void close_while_opening(struct both *b)
{
    for (int turns = 0; turns < 12; turns++) {
        struct server *s = server_start(echo, NULL, b->ctx);
        struct pipe p = {0};

        pipe_open(&p, b->w, b->net, "localhost", server_port(s), b->tls);
        for (int i = 0; i < turns && !p.ready; i++)
            (void)uv_run(&b->w->uv, UV_RUN_ONCE);
        pipe_close(&p);
        server_stop(s);
    }
}

static void test_close_while_opening(void **state)
{
    run_both(state, close_while_opening);
}

/* ---- TLS's own ----------------------------------------------------------------------------- */

/* A relay that drips what the server says, byte by byte. */
static void drip(struct conn *c)
{
    uint16_t port = *(uint16_t *)c->arg;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd fds[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    char bytes[4096];
    ssize_t n = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 1 : 0;

    while (n > 0 && poll(fds, 2, 5000) > 0) {
        if (fds[0].revents) {
            n = recv(c->fd, bytes, sizeof bytes, 0);
            n = n > 0 ? send(fd, bytes, (size_t)n, MSG_NOSIGNAL) : n;
        } else {
            n = recv(fd, bytes, 1, 0);
            n = n > 0 ? send(c->fd, bytes, 1, MSG_NOSIGNAL) : n;
        }
    }
    (void)close(fd);
}

static atomic_bool hundred_sent;

static void hundred_records(struct conn *c)
{
    char text[16];

    (void)conn_read(c, text, 1);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof text, "record %03d.", i);
        (void)conn_write(c, text, 11);
    }
    hundred_sent = true;
    (void)conn_read(c, text, 1);
}

/* A hundred records, and the handshake before them, split at every byte. */
static void test_records_in_drips(void **state)
{
    struct both b = with(state, true);
    struct server *s = server_start(hundred_records, NULL, tls);
    uint16_t port = server_port(s);
    struct server *relay = server_start(drip, &port, NULL);
    static uint8_t in[2000];
    struct pipe p = {.data = in, .max = sizeof in};
    char expected[16];

    connect_to(&p, &b, relay);
    assert_int_equal(pipe_write(&p, "x", 1), 0);
    pipe_expect(&p, 1100);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(expected, sizeof expected, "record %03d.", i);
        assert_memory_equal(in + i * 11, expected, 11);
    }
    pipe_close(&p);
    server_stop(relay);
    server_stop(s);
    wst__net_free(b.net);
}

/* Many small records that arrive at once are handed over together. */
static void test_records_together(void **state)
{
    struct both b = with(state, true);
    struct server *s = server_start(hundred_records, NULL, tls);
    struct pipe p = {0};

    hundred_sent = false;
    connect_to(&p, &b, s);
    world_run_for(b.w, 10);
    assert_int_equal(pipe_write(&p, "x", 1), 0);
    /* The loop does not look before all of them have arrived. */
    while (!hundred_sent)
        (void)poll(NULL, 0, 1);
    pipe_expect(&p, 1100);
    assert_in_range(p.calls, 1, 10); /* As few as TCP's acknowledgements allow. */
    pipe_close(&p);
    server_stop(s);
    wst__net_free(b.net);
}

static void update_keys(struct conn *c)
{
    char byte;

    while (conn_read(c, &byte, 1) > 0) {
        /* The peer must answer with an update of its own keys. */
        if (SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || !conn_write(c, &byte, 1))
            break;
    }
}

static void test_key_update(void **state)
{
    struct both b = with(state, true);
    struct server *s = server_start(update_keys, NULL, tls);
    static uint8_t in[100];
    struct pipe p = {.data = in, .max = sizeof in};

    connect_to(&p, &b, s);
    for (size_t i = 0; i < 50; i++) {
        uint8_t byte = (uint8_t)i;

        assert_int_equal(pipe_write(&p, &byte, 1), 0);
        pipe_expect(&p, i + 1);
        assert_int_equal(in[i], byte);
    }
    pipe_close(&p);
    server_stop(s);
    wst__net_free(b.net);
}

enum { UPDATES = 30 };

/* Does not read while it asks for new keys, again and again. */
static void update_keys_and_read(struct conn *c)
{
    char byte = 0;
    static _Thread_local char bytes[65536];
    int n;

    (void)conn_read(c, &byte, 1);
    while (!go)
        (void)poll(NULL, 0, 1);
    for (int i = 0; i < UPDATES; i++) {
        if (SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || !conn_write(c, &byte, 1))
            return;
    }
    while (swallowed == 0) /* Until the client has seen them all. */
        (void)poll(NULL, 0, 1);
    while ((n = conn_read(c, bytes, sizeof bytes)) > 0)
        swallowed += (size_t)n;
}

/* A client whose output is blocked reads on: its answers to key updates wait behind that. */
static void test_key_update_while_blocked(void **state)
{
    struct both b = with(state, true);
    struct server *s = server_start(update_keys_and_read, NULL, tls);
    enum { SIZE = 12 * 1024 * 1024 };
    uint8_t *out = calloc(1, SIZE);
    struct iovec iov = {.iov_base = out, .iov_len = SIZE};
    struct pipe p = {0};
    struct wst_cause why;
    size_t wrote = 1;

    assert_non_null(out);
    go = false;
    swallowed = 0;
    connect_to(&p, &b, s);
    while (wrote > 0) {
        assert_int_equal(wst__stream_write(p.stream, &iov, 1, &wrote, &why), 0);
        iov.iov_base = (uint8_t *)iov.iov_base + wrote;
        iov.iov_len -= wrote;
    }
    assert_true(iov.iov_len > 0);
    go = true;
    pipe_expect(&p, UPDATES);
    swallowed = 1;
    assert_int_equal(pipe_write(&p, iov.iov_base, iov.iov_len), 0);
    wst__stream_shutdown(p.stream);
    world_run(b.w, &p.ended);
    assert_int_equal(p.why.code, WST_ERR_EOF);
    pipe_close(&p);
    server_stop(s);
    assert_int_equal(swallowed, SIZE); /* One byte was read before. */
    free(out);
    wst__net_free(b.net);
}

static atomic_int hellos; /* ClientHello messages that the server has seen. */

static void on_message(int is_written, int version, int type, const void *bytes, size_t n, SSL *ssl,
                       void *arg)
{
    (void)version;
    (void)ssl;
    (void)arg;
    if (!is_written && type == SSL3_RT_HANDSHAKE && n > 0 &&
        *(const uint8_t *)bytes == SSL3_MT_CLIENT_HELLO)
        hellos++;
}

static void renegotiate(struct conn *c)
{
    char byte;

    (void)conn_read(c, &byte, 1);
    (void)SSL_renegotiate(c->ssl);
    (void)SSL_do_handshake(c->ssl);
    /* A warning came back, and the connection works as before. */
    (void)conn_write(c, &byte, 1);
    while (conn_read(c, &byte, 1) > 0 && conn_write(c, &byte, 1))
        continue;
}

static void test_renegotiation_refused(void **state)
{
    struct both b = with(state, true);
    SSL_CTX *old = server_ctx(&leaf);
    struct server *s;
    struct pipe p = {0};

    (void)SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    SSL_CTX_set_msg_callback(old, on_message);
    s = server_start(renegotiate, NULL, old);
    connect_to(&p, &b, s);
    assert_int_equal(pipe_write(&p, "a", 1), 0);
    /* Either the server accepts the refusal and goes on, or it ends the connection. */
    p.enough = 1;
    world_run_either(b.w, &p.got_enough, &p.ended);
    world_run_for(b.w, 20);
    assert_int_equal(hellos, 1);
    pipe_close(&p);
    server_stop(s);
    SSL_CTX_free(old);
    wst__net_free(b.net);
}

/* ---- A signal in the middle of a call ------------------------------------------------------ */

/* The linker puts these in the place of the kernel's: so many calls of this thread are interrupted
 * before they have done anything. */
static _Thread_local int signals;
ssize_t __real_send(int fd, const void *from, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t n, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __real_recv(int fd, void *to, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t n, int flags);

static bool is_interrupted(void)
{
    if (signals == 0)
        return false;
    signals--;
    errno = EINTR;
    return true;
}

ssize_t __wrap_send(int fd, const void *from, size_t n, int flags)
{
    return is_interrupted() ? -1 : __real_send(fd, from, n, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return is_interrupted() ? -1 : __real_sendmsg(fd, m, flags);
}

ssize_t __wrap_recv(int fd, void *to, size_t n, int flags)
{
    return is_interrupted() ? -1 : __real_recv(fd, to, n, flags);
}

/* It is not seen: the same call goes on, and all is written and read. */
static void interrupt(struct both *b)
{
    struct server *s = server_start(echo, NULL, b->ctx);
    static uint8_t out[] = "0123456789";
    struct iovec one = {out, 10}, pieces[] = {{out, 3}, {out + 3, 7}};
    uint8_t in[64];
    struct pipe p = {.data = in, .max = sizeof in};
    struct wst_cause why;
    size_t wrote, all = 0;

    connect_to(&p, b, s);
    for (int times = 1; times <= 3; times++) {
        signals = times;
        assert_int_equal(wst__stream_write(p.stream, &one, 1, &wrote, &why), 0);
        assert_int_equal(wrote, 10);
        assert_int_equal(signals, 0);
        signals = times;
        assert_int_equal(wst__stream_write(p.stream, pieces, 2, &wrote, &why), 0);
        assert_int_equal(wrote, 10);
        assert_int_equal(signals, 0);
        signals = times; /* In what is received. */
        pipe_expect(&p, all += 20);
        assert_int_equal(signals, 0);
        assert_memory_equal(in + all - 20, "01234567890123456789", 20);
    }
    pipe_close(&p);
    server_stop(s);
}

static void test_interrupted(void **state)
{
    run_both(state, interrupt);
}

/* The linker puts this in the place of OpenSSL's function. */
static int buffers_freed; /* What the last call said. */
int __real_SSL_free_buffers(SSL *ssl);
int __wrap_SSL_free_buffers(SSL *ssl);

int __wrap_SSL_free_buffers(SSL *ssl)
{
    buffers_freed = __real_SSL_free_buffers(ssl);
    return buffers_freed;
}

/* A connection at rest has given OpenSSL's buffers back: after reading, after writing. */
static void test_memory_at_rest(void **state)
{
    struct both b = with(state, true);
    struct server *s = server_start(echo, NULL, tls);
    static uint8_t out[100000];
    struct pipe p = {0};

    connect_to(&p, &b, s);
    world_run_for(b.w, 5); /* The server's session tickets arrive. */
    assert_int_equal(buffers_freed, 1);
    buffers_freed = 0;
    assert_int_equal(pipe_write(&p, out, 10), 0);
    assert_int_equal(buffers_freed, 1);
    assert_int_equal(pipe_write(&p, out, sizeof out), 0);
    buffers_freed = 0;
    pipe_expect(&p, sizeof out + 10);
    world_run_for(b.w, 5);
    assert_int_equal(buffers_freed, 1);
    pipe_close(&p);
    server_stop(s);
    wst__net_free(b.net);
}

/* Only a few handshakes begin in one turn of the loop. */
static void test_handshakes_a_turn(void **state)
{
    enum { STREAMS = 20 };
    struct both b = with(state, true);
    struct server *s = server_start(echo, NULL, tls);
    struct pipe p[STREAMS] = {{0}};
    size_t most = 0;
    size_t before = 0;
    int ready = 0;

    /* Trust is loaded before, so that all are dialed and then wait together. */
    connect_to(&p[0], &b, s);
    pipe_close(&p[0]);
    memset(&p[0], 0, sizeof p[0]);
    for (int i = 0; i < STREAMS; i++)
        pipe_open(&p[i], b.w, b.net, "localhost", server_port(s), true);
    while (ready < STREAMS) {
        size_t begun = b.w->io.hub.handshakes;

        most = begun - before > most ? begun - before : most;
        before = begun;
        (void)uv_run(&b.w->uv, UV_RUN_ONCE);
        ready = 0;
        for (int i = 0; i < STREAMS; i++)
            ready += p[i].ready;
    }
    assert_in_range(most, 1, 4);
    for (int i = 0; i < STREAMS; i++)
        pipe_close(&p[i]);
    server_stop(s);
    wst__net_free(b.net);
}

/* ---- Opening ------------------------------------------------------------------------------- */

static void refuse_connection(struct both *b)
{
    struct server *s = server_start(echo, NULL, b->ctx);
    uint16_t port = server_port(s);
    struct pipe p = {0};

    server_stop(s);
    assert_int_equal(pipe_connect(&p, b->w, b->net, "127.0.0.1", port, b->tls), WST_ERR_CONNECT);
    assert_int_equal(p.why.sys_errno, ECONNREFUSED);
    pipe_close(&p);
}

static void test_refused(void **state)
{
    run_both(state, refuse_connection);
}

/* Nor is it one that collects small messages. */
static void close_on_exec(struct both *b)
{
    struct server *s = server_start(echo, NULL, b->ctx);
    struct pipe p = {0};
    int peers = 0;
    int without_delay = 0;

    connect_to(&p, b, s);
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in to = {0};
        socklen_t n = sizeof to;

        if (getpeername(fd, (struct sockaddr *)&to, &n) == 0 &&
            ntohs(to.sin_port) == server_port(s)) {
            peers++;
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &without_delay, &n), 0);
            assert_true(without_delay);
        }
    }
    assert_int_equal(peers, 1);
    pipe_close(&p);
    server_stop(s);
}

static void test_close_on_exec(void **state)
{
    run_both(state, close_on_exec);
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
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_echo),
        IN_WORLD(test_gather),
        IN_WORLD(test_slow_reader),
        IN_WORLD(test_changes),
        IN_WORLD(test_pause),
        IN_WORLD(test_pause_before_the_end),
        IN_WORLD(test_place),
        IN_WORLD(test_ends),
        IN_WORLD(test_dead_peer),
        IN_WORLD(test_last_words),
        IN_WORLD(test_alert_before_a_reset),
        IN_WORLD(test_close_inside),
        IN_WORLD(test_close_while_opening),
        IN_WORLD(test_records_in_drips),
        IN_WORLD(test_records_together),
        IN_WORLD(test_key_update),
        IN_WORLD(test_key_update_while_blocked),
        IN_WORLD(test_renegotiation_refused),
        IN_WORLD(test_interrupted),
        IN_WORLD(test_memory_at_rest),
        IN_WORLD(test_handshakes_a_turn),
        IN_WORLD(test_refused),
        IN_WORLD(test_close_on_exec),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
