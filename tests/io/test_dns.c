/*
 * Names that resolve slowly, or to what the test wants.  This program's getaddrinfo() is found
 * before that of the system, by libcurl too.
 */
#include "calls.h"

#include "lib/certs.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static atomic_bool stalled;  /* "stall.example" does not resolve yet. */
static atomic_int resolving; /* Calls under way. */

static struct addrinfo *address_of(const char *text, const char *service,
                                   const struct addrinfo *hints, struct addrinfo *next)
{
    struct addrinfo *ai = calloc(1, sizeof *ai + sizeof(struct sockaddr_in6));
    struct sockaddr_in *in = (struct sockaddr_in *)(ai + 1);
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(ai + 1);
    in_port_t port = htons((uint16_t)(service ? strtoul(service, NULL, 10) : 0));

    ai->ai_socktype = hints ? hints->ai_socktype : SOCK_STREAM;
    ai->ai_protocol = IPPROTO_TCP;
    ai->ai_addr = (struct sockaddr *)(ai + 1);
    ai->ai_next = next;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        ai->ai_family = in->sin_family = AF_INET;
        ai->ai_addrlen = sizeof *in;
        in->sin_port = port;
    } else {
        (void)inet_pton(AF_INET6, text, &in6->sin6_addr);
        ai->ai_family = in6->sin6_family = AF_INET6;
        ai->ai_addrlen = sizeof *in6;
        in6->sin6_port = port;
    }
    return ai;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res)
{
    /* Bounded: who waits for this thread fails, but does not hang. */
    resolving++;
    for (int i = 0; strcmp(node, "stall.example") == 0 && stalled && i < 3000; i++)
        (void)poll(NULL, 0, 1);
    resolving--;
    *res = NULL;
    if (strcmp(node, "two.example") == 0) /* The first does not answer: TEST-NET-1 (RFC 5737). */
        *res = address_of("::1", service, hints, address_of("127.0.0.1", service, hints, NULL));
    else if (strcmp(node, "dead.example") == 0)
        *res = address_of("127.0.0.9", service, hints, NULL);
    else if (strstr(node, ".example") || strcmp(node, "localhost.") == 0)
        *res = address_of("127.0.0.1", service, hints, NULL);
    return *res ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *ai)
{
    while (ai) {
        struct addrinfo *next = ai->ai_next;

        free(ai);
        ai = next;
    }
}

static void respond(struct conn *c)
{
    char request[4096];

    while (conn_read_request(c, request, sizeof request) > 0) {
        if (!conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
            return;
    }
}

static void wait_for(struct world *w, int under_way)
{
    uint64_t begun = uv_hrtime();

    while (resolving != under_way) {
        assert_true(uv_hrtime() - begun < (uint64_t)5 * 1000000000);
        world_run_for(w, 1);
    }
}

/* The threads end, and libcurl closes what they held. */
static void let_go(int fds)
{
    uint64_t begun = uv_hrtime();

    stalled = false;
    while (resolving > 0 || count_fds() > fds) {
        assert_true(uv_hrtime() - begun < (uint64_t)5 * 1000000000);
        (void)poll(NULL, 0, 1);
    }
}

/* Canceled while the resolver stalls: at once, and the loop turns on. */
static void test_cancel_while_resolving(void **state)
{
    struct world *w = *state;
    int fds = count_fds();
    struct wst__net *net = world_net(w, NULL);
    struct call c;
    struct pipe p = {0};
    uint64_t begun;

    stalled = true;
    call_start(&c, net, "GET", "http://stall.example/", NULL, NULL);
    pipe_open(&p, w, net, "stall.example", 80, false);
    wait_for(w, 2);
    begun = uv_hrtime();
    wst__http_cancel(c.http);
    pipe_close(&p);
    assert_true(uv_hrtime() - begun < (uint64_t)500 * 1000000);
    assert_int_equal(resolving, 2);
    wst__net_free(net); /* And the multi with it. */
    world_run_for(w, 5);
    assert_int_equal(resolving, 2);
    let_go(fds); /* What the multi had of its own is gone, too. */
}

static void on_tick(uv_timer_t *timer)
{
    (*(int *)timer->data)++;
}

static void on_tick_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

/* The loop turns on while names are resolved, and both ways come to their end afterwards. */
static void test_loop_turns_on(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(respond, NULL, NULL);
    struct wst__net *net = world_net(w, NULL);
    int ticks = 0;
    uv_timer_t tick;
    struct call c;

    stalled = true;
    (void)uv_timer_init(&w->uv, &tick);
    tick.data = &ticks;
    (void)uv_timer_start(&tick, on_tick, 1, 1);
    call_start(&c, net, "GET", url_of("http", "stall.example", s, "/"), NULL, NULL);
    world_run_for(w, 100);
    assert_true(ticks > 20);
    assert_false(c.done);
    stalled = false;
    world_run(w, &c.done);
    assert_int_equal(c.answer.status, 200);
    uv_close((uv_handle_t *)&tick, on_tick_closed);
    while (tick.data)
        (void)uv_run(&w->uv, UV_RUN_NOWAIT);
    wst__net_free(net);
    server_stop(s);
}

static void test_failures(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct call c;
    struct pipe p = {0};

    assert_int_equal(call_get(&c, w, net, "http://no-such-name.invalid/"), WST_ERR_RESOLVE);
    assert_non_null(strstr(c.why.text, "no-such-name.invalid"));
    assert_int_equal(pipe_connect(&p, w, net, "no-such-name.invalid", 443, true), WST_ERR_RESOLVE);
    assert_non_null(strstr(p.why.text, "no-such-name.invalid"));
    pipe_close(&p);
    wst__net_free(net);
}

/* The second address is tried when the first refuses. */
static void test_two_addresses(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(respond, NULL, NULL); /* On 127.0.0.1 only. */
    struct wst__net *net = world_net(w, NULL);
    struct pipe p = {0};
    struct call c;

    assert_int_equal(pipe_connect(&p, w, net, "two.example", server_port(s), false), 0);
    pipe_close(&p);
    assert_int_equal(call_get(&c, w, net, url_of("http", "two.example", s, "/")), 0);
    wst__net_free(net);
    server_stop(s);
}

static char sni[64];

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)arg;
    (void)snprintf(sni, sizeof sni, "%s", name ? name : "none");
    return SSL_TLSEXT_ERR_OK;
}

/* A name with its final dot is the same name to SNI (RFC 6066, 3) and to the certificate; and an
 * internationalised one comes as its A-label. */
static void test_names(void **state)
{
    static const char *const names[][2] = {{"plain.example", "plain.example"},
                                           {"plain.example.", "plain.example"},
                                           {"xn--bcher-kva.example", "xn--bcher-kva.example"}};
    struct world *w = *state;
    struct cert ca = cert_make_ca("Test CA");
    struct cert leaf = cert_make(&(struct cert_spec){.name = "n",
                                                     .san = "DNS:plain.example,"
                                                            "DNS:xn--bcher-kva.example",
                                                     .from_s = -3600,
                                                     .to_s = 3600,
                                                     .issuer = &ca});
    SSL_CTX *ctx = server_ctx(&leaf);
    struct server *s = server_start(respond, NULL, ctx);
    const char *ca_path = temp_path("ca.pem");
    struct wst__net *net;

    (void)SSL_CTX_set_tlsext_servername_callback(ctx, on_sni);
    cert_write(&ca, ca_path);
    net = world_net(w, ca_path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct pipe p = {0};
        struct call c;

        if (pipe_connect(&p, w, net, names[i][0], server_port(s), true) != 0)
            fail_msg("%s", p.why.text);
        assert_string_equal(sni, names[i][1]);
        pipe_close(&p);
        sni[0] = '\0';
        if (call_get(&c, w, net, url_of("https", names[i][0], s, "/")) != 0)
            fail_msg("%s", c.why.text);
        assert_string_equal(sni, names[i][1]);
    }
    wst__net_free(net);
    server_stop(s);
    SSL_CTX_free(ctx);
    cert_free(&leaf);
    cert_free(&ca);
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_cancel_while_resolving),
        IN_WORLD(test_loop_turns_on),
        IN_WORLD(test_failures),
        IN_WORLD(test_two_addresses),
        IN_WORLD(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
