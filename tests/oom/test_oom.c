/*
 * Each allocation fails in turn.  One story is told again and again: a loop and a client are made,
 * a message waits for the connection, a token and a ticket are fetched, the WebSocket opens over
 * TLS, the message goes there and back, another one leaves in chunks, the server drops the
 * connection, the client comes back with a new ticket, another message in chunks, close.
 * In the k-th telling the k-th allocation fails, or a row of them from there on.
 *
 *   test_oom own    the library's own allocations (malloc, calloc, realloc of its objects)
 *   test_oom libs   those of libcurl and OpenSSL on behalf of it
 *
 * The story ends well, or in a clear error of the call that makes loop or client; it does not
 * crash, nor stand still, nor leave memory, handles or descriptors behind.
 */
#include "lib/certs.h"
#include "lib/site.h"
#include "lib/world.h"
#include "wsticket/wsticket.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    TICK_MS = 5,
    TOO_LONG_MS = 10000,
    POOL = 2,
    BUDGET_S = 12, /* For one kind of failure: what is left then is left out. */
    ROW = 7
};

/* ---- The allocator ------------------------------------------------------------------------- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

/* The loop's thread and libuv's pool: not the server's threads, nor a resolver's. */
static _Thread_local bool counted;
static bool of_libs; /* It is the libraries' allocations that fail. */
static atomic_bool armed;
static atomic_long count, live;
static long first, row;

static bool fails(bool libs)
{
    long n;

    if (!counted || !armed || libs != of_libs)
        return false;
    n = ++count;
    return n >= first && n - first < row;
}

static void *born(void *p)
{
    if (p && counted)
        live++;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails(false) ? NULL : born(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails(false) ? NULL : born(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    void *q = fails(false) ? NULL : __real_realloc(p, n);

    return p ? q : born(q);
}

void __wrap_free(void *p)
{
    if (p && counted)
        live--;
    __real_free(p);
}

static void *libs_malloc(size_t n)
{
    return fails(true) ? NULL : __real_malloc(n);
}

static void *libs_calloc(size_t n, size_t size)
{
    return fails(true) ? NULL : __real_calloc(n, size);
}

static void *libs_realloc(void *p, size_t n)
{
    return fails(true) ? NULL : __real_realloc(p, n);
}

static void libs_free(void *p)
{
    __real_free(p);
}

static char *libs_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = libs_malloc(n);

    return copy ? memcpy(copy, s, n) : NULL;
}

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return n ? libs_malloc(n) : NULL;
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return libs_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(p);
}

/* ---- The story ----------------------------------------------------------------------------- */

static struct cert ca, leaf;
static SSL_CTX *tls; /* Of the server. */
static char ca_path[256], cache_path[256];

struct story {
    uv_loop_t uv;
    uv_timer_t tick;
    struct wst_client *client;
    struct wst_config config;
    char url[64];
    int ticks;
    int attempts, failures, opens, closes, echoes, ended;
    int waited, unsent;
    bool open, half, sent, echoed, gone, loop_gone;
    struct wst_cause last;
};

static void die(const struct story *s, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(const struct story *s, const char *format, ...)
{
    va_list ap;

    armed = false;
    (void)fprintf(stderr, "allocation %ld of %s, %ld in a row: ", first,
                  of_libs ? "the libraries" : "ours", row);
    va_start(ap, format);
    (void)vfprintf(stderr, format, ap);
    va_end(ap);
    (void)fprintf(stderr,
                  "\n  state %s, %d attempts, %d failures, %d opens, %d closes, %d echoes\n  %s\n",
                  s->client ? wst_state_name(wst_client_state(s->client)) : "none", s->attempts,
                  s->failures, s->opens, s->closes, s->echoes, s->last.text);
    exit(1);
}

/* The first WebSocket of a story is dropped after one echo; the others echo on. */
static atomic_bool dropped;

static void serve(struct conn *c)
{
    struct site_frame *f = malloc(sizeof *f);

    while (f && site_serve(c) && site_receive(c, f)) {
        if (f->first == 0x88) {
            site_close(c, f);
            break;
        }
        if (!site_send(c, f->first, f->payload, f->n) || !atomic_exchange(&dropped, true))
            break;
        while (site_receive(c, f) && f->first != 0x88 && site_send(c, f->first, f->payload, f->n))
            continue;
        break;
    }
    free(f);
}

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    struct story *s = arg;

    (void)client;
    (void)attempt;
    s->attempts++;
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct story *s = arg;

    s->failures++;
    s->last = info->cause;
    if (info->cause.code == 0 || !*info->cause.text)
        die(s, "an attempt failed without a cause");
    (void)wst_client_wake(client);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct story *s = arg;

    (void)client;
    (void)subprotocol;
    s->opens++;
    s->open = true;
    s->half = s->sent = s->echoed = false;
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct story *s = arg;

    (void)client;
    if (type != WST_TEXT || len != 5 || memcmp(data, "hello", 5) != 0)
        die(s, "another message came back");
    s->echoes++;
    s->echoed = true;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct story *s = arg;

    s->open = false;
    s->closes++;
    s->last = info->info.cause;
    (void)wst_client_wake(client);
}

/* With its name, and a reason: at most once for the one that waited. */
static void on_unsent(struct wst_client *client, void *ref, size_t len, int reason, void *arg)
{
    struct story *s = arg;

    (void)client;
    if (ref != s || reason >= 0 || len > 5)
        die(s, "a message is unsent that was not");
    s->unsent++;
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->ended++;
    s->last = info->cause;
    if (state == WST_STATE_FAILED)
        die(s, "it gave up");
}

static void on_loop_gone(void *arg)
{
    struct story *s = arg;

    s->loop_gone = true;
    uv_close((uv_handle_t *)&s->tick, NULL);
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct story *s = arg;

    (void)client;
    s->gone = true;
    s->client = NULL;
    if (wst_loop_close(s->config.loop, on_loop_gone, s) != 0)
        die(s, "the loop cannot be closed");
}

/* Says what is to be said, also after a send that found no memory, and watches the time. */
static void on_tick(uv_timer_t *timer)
{
    struct story *s = timer->data;

    if (++s->ticks > TOO_LONG_MS / TICK_MS)
        die(s, "the story stands still");
    if (!s->client)
        return;
    if (s->open && !s->half)
        s->half = wst_client_send_chunk(s->client, WST_TEXT, "hel", 3, WST_CHUNK_FIRST, s) == 0;
    if (s->open && s->half && !s->sent)
        s->sent = wst_client_send_chunk(s->client, WST_TEXT, "lo", 2, WST_CHUNK_LAST, NULL) == 0;
    if (s->opens >= 2 && s->echoed)
        wst_client_close(s->client, on_gone, s);
}

static void configure(struct story *s, const struct server *server)
{
    struct wst_config *c = &s->config;

    (void)snprintf(s->url, sizeof s->url, "https://localhost:%u", server_port(server));
    wst_config_init(c);
    c->url = s->url;
    c->ca_file = ca_path;
    c->token_cache = cache_path;
    c->proxy = "";
    c->cookies = 1;
    c->base_delay_ms = 1;
    c->cap_ms = 1;
    c->arg = s;
    c->on_attempt = on_attempt;
    c->on_attempt_failed = on_attempt_failed;
    c->on_open = on_open;
    c->on_message = on_message;
    c->on_closed = on_closed;
    c->on_ended = on_ended;
    c->on_unsent = on_unsent;
    c->offline_messages = 2;
}

static void make(struct story *s)
{
    struct wst_cause why = {0};
    int rc = wst_loop_new(&s->config.loop, &s->uv);

    if (rc != 0) {
        if (rc != WST_ERR_NOMEM && rc != WST_ERR_IO)
            die(s, "the loop is refused: %s", wst_err_name(rc));
        s->config.loop = NULL;
        uv_close((uv_handle_t *)&s->tick, NULL);
        return;
    }
    rc = wst_client_new(&s->client, &s->config, &why);
    if (rc == 0) {
        if (wst_client_start(s->client) != 0)
            die(s, "start is refused");
        rc = wst_client_send(s->client, WST_TEXT, "hello", 5, s);
        if (rc != 0 && rc != WST_ERR_NOMEM)
            die(s, "what may wait is refused: %s", wst_err_name(rc));
        s->waited = rc == 0;
        return;
    }
    s->client = NULL;
    s->last = why;
    if (rc != why.code || !*why.text || (!of_libs && rc != WST_ERR_NOMEM))
        die(s, "the client is refused: %s", wst_err_name(rc));
    if (wst_loop_close(s->config.loop, on_loop_gone, s) != 0)
        die(s, "the loop cannot be closed");
}

/* One telling; the number of allocations it asked for. */
static long tell(long from, long in_a_row)
{
    struct server *server = server_start(serve, NULL, tls);
    struct story s = {.client = NULL};
    long before = live;

    first = from;
    row = in_a_row;
    count = 0;
    dropped = false;
    (void)unlink(cache_path);
    if (uv_loop_init(&s.uv) != 0 || uv_timer_init(&s.uv, &s.tick) != 0)
        die(&s, "no uv loop");
    s.tick.data = &s;
    (void)uv_timer_start(&s.tick, on_tick, TICK_MS, TICK_MS);
    configure(&s, server);
    armed = true;
    make(&s);
    (void)uv_run(&s.uv, UV_RUN_DEFAULT);
    armed = false;
    counted = false;
    server_stop(server);
    counted = true;
    if (uv_loop_close(&s.uv) != 0)
        die(&s, "handles are left in the loop");
    if (s.attempts != s.opens + s.failures || s.opens != s.closes)
        die(&s, "an attempt or an open connection did not end, or twice");
    if (s.unsent > s.waited + s.opens)
        die(&s, "%d messages were unsent", s.unsent);
    if (live != before)
        die(&s, "%ld blocks of memory are left", live - before);
    return count;
}

/* ---- All of them --------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Every k; or, when the time is over, those that were reached in steps that visit all of them. */
static void tell_all(long total, long in_a_row)
{
    enum { STEP = 7919 }; /* A prime: it visits all of them, but of its multiples. */
    uint64_t end_ms = now_ms() + BUDGET_S * 1000;
    long told = 0;

    for (long k = 0; told < total && now_ms() < end_ms; told++) {
        k = (k + STEP) % total;
        (void)tell(k + 1, in_a_row);
    }
    printf("%ld of %ld, %ld in a row: ok\n", told, total, in_a_row);
}

static uv_barrier_t barrier;

static void mark_thread(uv_work_t *work)
{
    (void)work;
    counted = true;
    (void)uv_barrier_wait(&barrier);
}

static void mark_threads(void)
{
    uv_work_t works[POOL];
    uv_loop_t uv;

    counted = true;
    (void)uv_barrier_init(&barrier, POOL);
    (void)uv_loop_init(&uv);
    for (int i = 0; i < POOL; i++)
        (void)uv_queue_work(&uv, &works[i], mark_thread, NULL);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&uv);
    uv_barrier_destroy(&barrier);
}

int main(int argc, char **argv)
{
    long total;
    int fds;

    of_libs = argc > 1 && strcmp(argv[1], "libs") == 0;
    if (of_libs && (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) ||
                    curl_global_init_mem(CURL_GLOBAL_DEFAULT, libs_malloc, libs_free, libs_realloc,
                                         libs_strdup, libs_calloc) != CURLE_OK))
        return 1;
    (void)setenv("UV_THREADPOOL_SIZE", "2", 1);
    ca = cert_make_ca("oom");
    leaf = cert_make_server(&ca);
    tls = server_ctx(&leaf);
    (void)snprintf(ca_path, sizeof ca_path, "%s", temp_path("ca.pem"));
    (void)snprintf(cache_path, sizeof cache_path, "%s", temp_path("token"));
    cert_write(&ca, ca_path);
    mark_threads();
    (void)tell(0, 0); /* What libraries make once in a process. */
    total = tell(0, 0);
    fds = count_fds();
    tell_all(total, 1);
    tell_all(total, ROW);
    counted = false;
    if (count_fds() != fds) {
        (void)fputs("descriptors are left\n", stderr);
        return 1;
    }
    SSL_CTX_free(tls);
    cert_free(&leaf);
    cert_free(&ca);
    return 0;
}
