/* Ways through proxies, for the HTTP steps and the stream alike. */
#include "calls.h"

#include "lib/certs.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

/* ---- Proxies of our own -------------------------------------------------------------------- */

static char first_line[512], whole_request[4096]; /* What a proxy was asked last. */

static int connect_to_port(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* Carries bytes both ways until one side ends. */
static void relay(int a, int b)
{
    struct pollfd fds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    char bytes[16384];
    ssize_t n = 1;

    while (n > 0 && poll(fds, 2, 10000) > 0) {
        int from = fds[0].revents ? a : b;

        n = recv(from, bytes, sizeof bytes, 0);
        if (n > 0)
            n = send(from == a ? b : a, bytes, (size_t)n, MSG_NOSIGNAL);
    }
}

/* Every name is this machine. */
static void http_proxy(struct conn *c)
{
    uint16_t port;
    int fd;

    if (conn_read_request(c, whole_request, sizeof whole_request) == 0)
        return;
    (void)snprintf(first_line, sizeof first_line, "%.*s", (int)strcspn(whole_request, "\r"),
                   whole_request);
    if (strncmp(whole_request, "CONNECT ", 8) != 0) {
        (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nby proxy.");
        return;
    }
    port = (uint16_t)strtoul(strrchr(first_line, ':') + 1, NULL, 10);
    fd = connect_to_port(port);
    if (fd < 0) {
        (void)conn_puts(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno.");
        return;
    }
    (void)conn_puts(c, "HTTP/1.1 200 Connection established\r\n\r\n");
    relay(c->fd, fd);
    (void)close(fd);
}

/* "user:open sesame" */
static void guarded_proxy(struct conn *c)
{
    char request[4096];

    if (conn_read_request(c, request, sizeof request) == 0)
        return;
    if (!strstr(request, "Proxy-Authorization: Basic dXNlcjpvcGVuIHNlc2FtZQ==\r\n")) {
        (void)conn_puts(c, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                           "Content-Length: 0\r\n\r\n");
        (void)conn_read(c, request, 1);
        return;
    }
    if (strncmp(request, "CONNECT ", 8) == 0) {
        int fd = connect_to_port((uint16_t)strtoul(strchr(request, ':') + 1, NULL, 10));

        (void)conn_puts(c, "HTTP/1.1 200 Yes\r\n\r\n");
        relay(c->fd, fd);
        (void)close(fd);
    } else {
        (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nby proxy.");
    }
}

static void refusing_proxy(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 403 Filtered\r\nContent-Length: 0\r\n\r\n");
}

/* That is no status, but would be a close code. */
static void miscounting_proxy(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 4001 No\r\nContent-Length: 0\r\n\r\n");
}

/* A number below all statuses. */
static void owing_proxy(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 -5 No\r\nContent-Length: 0\r\n\r\n");
}

static void babbling_proxy(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\n");
    while (conn_puts(c, "X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"))
        continue;
}

static void hanging_up_proxy(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
}

/* SOCKS 5 (RFC 1928) without or with a password (RFC 1929), for names and IPv4 addresses. */
static char socks_name[256];
static bool socks_wants_password;

static void socks_proxy(struct conn *c)
{
    uint8_t m[300];
    uint16_t port;
    int fd;

    if (!conn_read_all(c, m, 2) || !conn_read_all(c, m + 2, m[1]))
        return;
    if (socks_wants_password) {
        (void)conn_write(c, "\x05\x02", 2);
        if (!conn_read_all(c, m, 2) || !conn_read_all(c, m, m[1]) || !conn_read_all(c, m, 1) ||
            !conn_read_all(c, m + 1, m[0]))
            return;
        if (m[0] != 6 || memcmp(m + 1, "sesame", 6) != 0) {
            (void)conn_write(c, "\x01\x01", 2);
            (void)conn_read(c, m, 1);
            return;
        }
        (void)conn_write(c, "\x01\x00", 2);
    } else {
        (void)conn_write(c, "\x05\x00", 2);
    }
    if (!conn_read_all(c, m, 4))
        return;
    if (m[3] == 3) {
        (void)conn_read_all(c, m, 1);
        (void)conn_read_all(c, m + 1, m[0]);
        (void)snprintf(socks_name, sizeof socks_name, "%.*s", m[0], (char *)m + 1);
    } else {
        (void)conn_read_all(c, m, m[3] == 1 ? 4 : 16);
        (void)snprintf(socks_name, sizeof socks_name, "address");
    }
    (void)conn_read_all(c, m, 2);
    port = (uint16_t)(m[0] << 8 | m[1]);
    fd = connect_to_port(port);
    (void)conn_write(c, fd < 0 ? "\x05\x05\x00\x01\0\0\0\0\0\0" : "\x05\x00\x00\x01\0\0\0\0\0\0",
                     10);
    if (fd < 0)
        return;
    relay(c->fd, fd);
    (void)close(fd);
}

/* ---- Targets ------------------------------------------------------------------------------- */

/* Greets at once, then answers HTTP or echoes a line. */
static void greet_and_echo(struct conn *c)
{
    char bytes[100];
    int n;

    (void)conn_puts(c, "hello ");
    while ((n = conn_read(c, bytes, sizeof bytes)) > 0 && conn_write(c, bytes, (size_t)n))
        continue;
}

static void respond(struct conn *c)
{
    char request[4096];

    while (conn_read_request(c, request, sizeof request) > 0) {
        if (!conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ndirect."))
            return;
    }
}

static struct cert ca, leaf;
static SSL_CTX *tls;
static char ca_path[256];

static struct wst__net *net_by(struct world *w, const char *kind, const char *credentials,
                               const struct server *proxy)
{
    char url[512];
    struct wst__net_options opt = {.ca_file = ca_path, .proxy = url};

    (void)snprintf(url, sizeof url, "%s://%s127.0.0.1:%u", kind, credentials, server_port(proxy));
    return world_net_with(w, &opt);
}

/* A stream through the proxy: what the target says at once, and an echo. */
static int talk(struct world *w, struct wst__net *net, const char *host, const struct server *to,
                bool secure, struct wst_cause *why)
{
    static uint8_t in[100];
    struct pipe p = {.data = in, .max = sizeof in};
    int code = pipe_connect(&p, w, net, host, server_port(to), secure);

    if (code == 0) {
        assert_int_equal(pipe_write(&p, "there", 5), 0);
        pipe_expect(&p, 11);
        assert_memory_equal(in, "hello there", 11);
    } else {
        *why = p.why;
    }
    pipe_close(&p);
    return code;
}

/* ---- Tests --------------------------------------------------------------------------------- */

/* Everything through an HTTP proxy; TLS end to end. */
static void through(struct world *w, struct wst__net *net, const char *host)
{
    struct server *plain = server_start(greet_and_echo, NULL, NULL);
    struct server *secure = server_start(greet_and_echo, NULL, tls);
    struct server *web = server_start(respond, NULL, tls);
    struct wst_cause why;
    struct call c;

    if (talk(w, net, host, plain, false, &why) != 0 || talk(w, net, host, secure, true, &why) != 0)
        fail_msg("%s", why.text);
    if (call_get(&c, w, net, url_of("https", host, web, "/")) != 0)
        fail_msg("%s", c.why.text);
    assert_string_equal(c.body, "direct.");
    server_stop(plain);
    server_stop(secure);
    server_stop(web);
}

static void test_http_proxy(void **state)
{
    struct world *w = *state;
    struct server *proxy = server_start(http_proxy, NULL, NULL);
    struct wst__net *net = net_by(w, "http", "", proxy);
    struct call c;

    through(w, net, "localhost");
    assert_memory_equal(first_line, "CONNECT localhost:", 18);
    assert_int_equal(call_get(&c, w, net, "http://far.example/"), 0);
    assert_string_equal(c.body, "by proxy.");
    assert_string_equal(first_line, "GET http://far.example/ HTTP/1.1");
    wst__net_free(net);
    server_stop(proxy);
}

/* What is meant for the target is not for the proxy. */
static void test_headers_stay(void **state)
{
    static const char *const headers[] = {"Authorization: Bearer secret", NULL};
    struct world *w = *state;
    struct server *proxy = server_start(http_proxy, NULL, NULL);
    struct server *web = server_start(respond, NULL, tls);
    struct wst__net *net = net_by(w, "http", "", proxy);
    struct call c;

    call_start(&c, net, "GET", url_of("https", "localhost", web, "/?q=secret"), headers, NULL);
    world_run(w, &c.done);
    assert_int_equal(c.answer.status, 200);
    assert_non_null(strstr(whole_request, "CONNECT"));
    assert_null(strstr(whole_request, "secret"));
    wst__net_free(net);
    server_stop(web);
    server_stop(proxy);
}

static void test_environment(void **state)
{
    struct world *w = *state;
    struct server *for_plain = server_start(http_proxy, NULL, NULL);
    struct server *for_secure = server_start(http_proxy, NULL, NULL);
    struct server *plain = server_start(greet_and_echo, NULL, NULL);
    struct server *secure = server_start(greet_and_echo, NULL, tls);
    struct server *web = server_start(respond, NULL, tls);
    struct wst__net_options opt = {.ca_file = ca_path};
    struct wst__net *net;
    struct wst_cause why;
    struct call c;
    char url[128];

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", server_port(for_plain));
    assert_int_equal(setenv("http_proxy", url, 1), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", server_port(for_secure));
    assert_int_equal(setenv("https_proxy", url, 1), 0);
    net = world_net_with(w, &opt);
    assert_int_equal(talk(w, net, "localhost", secure, true, &why), 0);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", web, "/")), 0);
    assert_int_equal(server_accepted(for_secure), 2);
    assert_int_equal(server_accepted(for_plain), 0);
    assert_int_equal(talk(w, net, "localhost", plain, false, &why), 0);
    assert_int_equal(call_get(&c, w, net, "http://far.example/"), 0);
    assert_int_equal(server_accepted(for_secure), 2);
    assert_int_equal(server_accepted(for_plain), 2);
    wst__net_free(net);
    opt.no_proxy = "localhost";
    net = world_net_with(w, &opt);
    assert_int_equal(talk(w, net, "localhost", secure, true, &why), 0);
    assert_int_equal(talk(w, net, "localhost", plain, false, &why), 0);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", web, "/")), 0);
    assert_int_equal(server_accepted(for_secure) + server_accepted(for_plain), 4);
    wst__net_free(net);
    opt.no_proxy = NULL;
    opt.proxy = "";
    net = world_net_with(w, &opt);
    assert_int_equal(talk(w, net, "localhost", secure, true, &why), 0);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", web, "/")), 0);
    assert_int_equal(server_accepted(for_secure) + server_accepted(for_plain), 4);
    wst__net_free(net);
    /* The option replaces the environment's exceptions; libcurl must not look there, either. */
    assert_int_equal(setenv("no_proxy", "localhost", 1), 0);
    opt.proxy = NULL;
    opt.no_proxy = "other.example";
    net = world_net_with(w, &opt);
    assert_int_equal(talk(w, net, "localhost", secure, true, &why), 0);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", web, "/")), 0);
    assert_int_equal(server_accepted(for_secure) + server_accepted(for_plain), 6);
    wst__net_free(net);
    assert_int_equal(unsetenv("no_proxy"), 0);
    opt.no_proxy = NULL;
    /* An https:// proxy is refused by name, in all steps. */
    assert_int_equal(setenv("https_proxy", "https://u:hunter2@secure.example:3128", 1), 0);
    opt.proxy = NULL;
    net = world_net_with(w, &opt);
    assert_int_equal(talk(w, net, "localhost", secure, true, &why), WST_ERR_PROXY);
    assert_non_null(strstr(why.text, "secure.example:3128"));
    assert_null(strstr(why.text, "hunter2"));
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", web, "/")), WST_ERR_PROXY);
    assert_int_equal(c.why.step, WST_STEP_TICKET);
    assert_non_null(strstr(c.why.text, "secure.example:3128"));
    wst__net_free(net);
    assert_int_equal(unsetenv("http_proxy") | unsetenv("https_proxy"), 0);
    server_stop(for_plain);
    server_stop(for_secure);
    server_stop(plain);
    server_stop(secure);
    server_stop(web);
}

static bool is_status(int status)
{
    return status == 0 || (status >= 100 && status <= 999);
}

static void expect_failure(struct world *w, struct wst__net *net, int code, const char *word)
{
    struct server *to = server_start(greet_and_echo, NULL, tls);
    struct wst_cause why;
    struct call c;

    if (talk(w, net, "localhost", to, true, &why) != code || !strstr(why.text, word) ||
        strstr(why.text, "hunter2") || !is_status(why.http_status))
        fail_msg("stream: %s %s", wst_err_name(why.code), why.text);
    (void)call_get(&c, w, net, url_of("https", "localhost", to, "/"));
    if (c.why.code != code || !strstr(c.why.text, word) || strstr(c.why.text, "hunter2") ||
        !is_status(c.why.http_status))
        fail_msg("http: %s %s", wst_err_name(c.why.code), c.why.text);
    server_stop(to);
}

static void test_credentials(void **state)
{
    struct world *w = *state;
    struct server *proxy = server_start(guarded_proxy, NULL, NULL);
    struct wst__net *net = net_by(w, "http", "user:open%20sesame@", proxy);
    struct call c;

    through(w, net, "localhost");
    assert_int_equal(call_get(&c, w, net, "http://far.example/"), 0);
    wst__net_free(net);
    net = net_by(w, "http", "user:hunter2@", proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "407");
    assert_int_equal(call_get(&c, w, net, "http://far.example/"), WST_ERR_PROXY_AUTH);
    assert_int_equal(c.why.http_status, 407);
    assert_int_equal(c.why.cls, WST_CLASS_REFUSED);
    wst__net_free(net);
    net = net_by(w, "http", "", proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "USER:PASSWORD");
    wst__net_free(net);
    server_stop(proxy);
}

/* Says from where it was called, after the greeting. */
static void tell_address(struct conn *c)
{
    struct sockaddr_in from = {0};
    socklen_t n = sizeof from;
    char text[INET_ADDRSTRLEN];

    (void)getpeername(c->fd, (struct sockaddr *)&from, &n);
    (void)conn_puts(c, inet_ntop(AF_INET, &from.sin_addr, text, sizeof text));
    (void)conn_read(c, text, 1);
}

static void expect_address(struct world *w, struct wst__net *net, const struct server *to,
                           const char *address)
{
    static uint8_t in[INET_ADDRSTRLEN];
    struct pipe p = {.data = in, .max = sizeof in};

    assert_int_equal(pipe_connect(&p, w, net, "localhost", server_port(to), false), 0);
    pipe_expect(&p, strlen(address));
    assert_memory_equal(in, address, strlen(address));
    pipe_close(&p);
}

/* Clients of one loop use the same handle of libcurl one after the other: nothing stays in it. */
static void test_next_dial(void **state)
{
    struct world *w = *state;
    struct server *proxy = server_start(guarded_proxy, NULL, NULL);
    struct server *to = server_start(greet_and_echo, NULL, NULL);
    struct server *teller = server_start(tell_address, NULL, NULL);
    struct wst__net_options opt = {.ca_file = ca_path, .proxy = ""};
    struct wst__net *direct = world_net_with(w, &opt);
    struct wst__net *known = net_by(w, "http", "user:open%20sesame@", proxy);
    struct wst__net *unknown = net_by(w, "http", "", proxy);
    struct wst__net *bound;
    struct wst_cause why;

    opt.interface = "127.0.0.2";
    bound = world_net_with(w, &opt);
    assert_int_equal(talk(w, direct, "localhost", to, false, &why), 0);
    assert_int_equal(talk(w, known, "localhost", to, false, &why), 0);
    assert_int_equal(talk(w, unknown, "localhost", to, false, &why), WST_ERR_PROXY_AUTH);
    assert_int_equal(talk(w, direct, "localhost", to, false, &why), 0);
    assert_int_equal(talk(w, unknown, "localhost", to, false, &why), WST_ERR_PROXY_AUTH);
    expect_address(w, direct, teller, "127.0.0.1");
    expect_address(w, bound, teller, "127.0.0.2");
    expect_address(w, direct, teller, "127.0.0.1");
    wst__net_free(direct);
    wst__net_free(known);
    wst__net_free(unknown);
    wst__net_free(bound);
    server_stop(proxy);
    server_stop(to);
    server_stop(teller);
}

/* Later versions of libcurl take a status that is none for no answer at all. */
#define IF_7(word) (LIBCURL_VERSION_MAJOR == 7 ? (word) : "proxy")

static void test_bad_proxies(void **state)
{
    const struct {
        conn_fn fn;
        int code;
        const char *word;
    } table[] = {{refusing_proxy, WST_ERR_PROXY, "403"},
                 {miscounting_proxy, WST_ERR_PROXY, IF_7("status 4001")},
                 {owing_proxy, WST_ERR_PROXY, IF_7("status -5")},
                 {hanging_up_proxy, WST_ERR_PROXY, "proxy"},
                 {babbling_proxy, WST_ERR_PROXY, "too large"}};
    struct world *w = *state;
    struct server *proxy = NULL;
    struct wst__net_options opt = {.proxy = "http://proxy.invalid:3128"};
    struct wst__net *net;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        proxy = server_start(table[i].fn, NULL, NULL);
        net = net_by(w, "http", "user:hunter2@", proxy);
        expect_failure(w, net, table[i].code, table[i].word);
        wst__net_free(net);
        server_stop(proxy);
    }
    proxy = server_start(http_proxy, NULL, NULL);
    net = net_by(w, "http", "user:hunter2@", proxy);
    server_stop(proxy);
    expect_failure(w, net, WST_ERR_PROXY, "cannot be reached"); /* Its port is free now. */
    wst__net_free(net);
    net = world_net_with(w, &opt);
    expect_failure(w, net, WST_ERR_PROXY, "proxy.invalid:3128 could not be resolved");
    wst__net_free(net);
}

static void test_target_is_down(void **state)
{
    struct world *w = *state;
    struct server *proxy = server_start(http_proxy, NULL, NULL);
    struct wst__net *net = net_by(w, "http", "", proxy);
    struct server *gone = server_start(respond, NULL, NULL);
    uint16_t port = server_port(gone);
    struct pipe p = {0};

    server_stop(gone);
    assert_int_equal(pipe_connect(&p, w, net, "localhost", port, false), WST_ERR_PROXY);
    assert_int_equal(p.why.http_status, 502);
    assert_non_null(strstr(p.why.text, "502"));
    pipe_close(&p);
    wst__net_free(net);
    server_stop(proxy);
}

static void test_socks(void **state)
{
    struct world *w = *state;
    char credentials[400];
    struct server *proxy = server_start(socks_proxy, NULL, NULL);
    struct wst__net *net = net_by(w, "socks5", "", proxy);

    socks_wants_password = false;
    through(w, net, "localhost");
    assert_string_equal(socks_name, "address"); /* Resolved here. */
    wst__net_free(net);
    net = net_by(w, "socks5h", "", proxy);
    through(w, net, "localhost");
    assert_string_equal(socks_name, "localhost"); /* Resolved there. */
    wst__net_free(net);
    socks_wants_password = true;
    net = net_by(w, "socks5h", "user:sesame@", proxy);
    through(w, net, "localhost");
    wst__net_free(net);
    net = net_by(w, "socks5h", "user:hunter2@", proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "SOCKS");
    wst__net_free(net);
    net = net_by(w, "socks5h", "", proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "SOCKS");
    wst__net_free(net);
    /* RFC 1929 has one byte for each length: that never works, and is said so. */
    memset(credentials, 'x', 300);
    (void)strcpy(credentials + 300, ":sesame@");
    net = net_by(w, "socks5h", credentials, proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "255");
    wst__net_free(net);
    (void)strcpy(credentials, "user:");
    memset(credentials + 5, 'x', 300);
    (void)strcpy(credentials + 305, "@");
    net = net_by(w, "socks5h", credentials, proxy);
    expect_failure(w, net, WST_ERR_PROXY_AUTH, "255");
    wst__net_free(net);
    server_stop(proxy);
}

/* ---- Real proxies, where they are installed ------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

static pid_t running; /* 0: none. */

/* Also when the test fails. */
static void stop_proxy(void)
{
    if (running <= 0)
        return;
    (void)kill(running, SIGTERM);
    (void)waitpid(running, NULL, 0);
    running = 0;
}

/* Starts a program and waits until it listens; -1: it is not installed. */
static pid_t start_proxy(const char *const *argv, uint16_t port)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int fd = -1;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0);
    if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        pid = -1;
    (void)posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; pid > 0 && fd < 0 && i < 1000; i++) {
        fd = connect_to_port(port);
        if (fd < 0)
            (void)poll(NULL, 0, 5);
    }
    if (fd >= 0)
        (void)close(fd);
    return pid;
}

static void through_real(struct world *w, const char *kind, const char *user,
                         const char *const *argv, uint16_t port)
{
    char url[128];
    struct wst__net_options opt = {.ca_file = ca_path, .proxy = url};
    struct wst__net *net;
    pid_t pid = start_proxy(argv, port);

    if (pid < 0) {
        print_message("# %s is not installed\n", argv[0]);
        skip();
    }
    running = pid;
    (void)snprintf(url, sizeof url, "%s://%s127.0.0.1:%u", kind, user, port);
    net = world_net_with(w, &opt);
    through(w, net, "localhost");
    wst__net_free(net);
    if (*user) {
        (void)snprintf(url, sizeof url, "%s://user:hunter2@127.0.0.1:%u", kind, port);
        net = world_net_with(w, &opt);
        expect_failure(w, net, WST_ERR_PROXY_AUTH, "proxy");
        wst__net_free(net);
    }
    stop_proxy();
}

static void test_tinyproxy(void **state)
{
    const char *path = temp_path("tinyproxy.conf");
    const char *argv[] = {"tinyproxy", "-d", "-c", path, NULL};
    uint16_t port = free_port();
    FILE *f = fopen(path, "we");

    (void)fprintf(f,
                  "Port %u\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nAllow 127.0.0.1\n"
                  "BasicAuth user sesame\n",
                  port);
    (void)fclose(f);
    through_real(*state, "http", "user:sesame@", argv, port);
}

static void test_microsocks(void **state)
{
    char port_text[8];
    uint16_t port = free_port();
    const char *argv[] = {"microsocks", "-i",   "127.0.0.1", "-p",     port_text,
                          "-u",         "user", "-P",        "sesame", NULL};

    (void)snprintf(port_text, sizeof port_text, "%u", port);
    through_real(*state, "socks5h", "user:sesame@", argv, port);
}

static void test_danted(void **state)
{
    const char *path = temp_path("danted.conf");
    const char *argv[] = {"danted", "-f", path, NULL};
    uint16_t port = free_port();
    FILE *f = fopen(path, "we");

    (void)fprintf(f,
                  "logoutput: /dev/null\ninternal: 127.0.0.1 port = %u\nexternal: lo\n"
                  "clientmethod: none\nsocksmethod: none\n"
                  "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
                  "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n",
                  port);
    (void)fclose(f);
    through_real(*state, "socks5", "", argv, port);
}

static int set_up(void **state)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY"};

    (void)state;
    (void)atexit(stop_proxy);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unsetenv(names[i]);
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
        IN_WORLD(test_http_proxy),  IN_WORLD(test_headers_stay), IN_WORLD(test_environment),
        IN_WORLD(test_credentials), IN_WORLD(test_bad_proxies),  IN_WORLD(test_target_is_down),
        IN_WORLD(test_socks),       IN_WORLD(test_tinyproxy),    IN_WORLD(test_microsocks),
        IN_WORLD(test_danted),      IN_WORLD(test_next_dial),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
