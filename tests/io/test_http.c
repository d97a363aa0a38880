/* HTTP: one request, one bounded answer, or one cause. */
#include "calls.h"

#include "io/cause_curl.h"
#include "io/cookies_curl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The dynamic linker puts this in the place of the C library's: libuv, libcurl and we ourselves see
 * the time leap. */
static atomic_llong leap_s;
/* And this one: the errno with which every socket() fails; 0: none. */
static atomic_int no_socket;

int socket(int domain, int type, int protocol)
{
    if (no_socket != 0) {
        errno = no_socket;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

int clock_gettime(clockid_t clock, struct timespec *to)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, to);

    if (clock != CLOCK_REALTIME)
        to->tv_sec += leap_s;
    return rc;
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 2\r\n\r\n{}";

/* What the last request looked like. */
static char seen[16384]; /* libcurl sends up to 8 KiB of cookies. */

/* Answers each request of a connection with the text that the test gave. */
static void answer(struct conn *c)
{
    char request[sizeof seen]; /* Its own: there may be several connections at once. */

    while (conn_read_request(c, request, sizeof request) > 0) {
        (void)strcpy(seen, request);
        if (!conn_puts(c, c->arg))
            return;
    }
}

/* Does the last request hold this header line, as it is? */
static bool has_line(const char *line)
{
    char wanted[256];

    (void)snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    return strstr(seen, wanted) != NULL;
}

static void test_reuse(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__net *net = world_net(w, NULL);
    struct call c;
    uint64_t begun;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/a?b=c")), 0);
        assert_int_equal(c.answer.status, 200);
        assert_string_equal(c.body, "{}");
        assert_string_equal(c.answer.content_type, "application/json");
        assert_false(c.answer.has_retry_after);
        assert_int_equal(c.sent, 1);
    }
    assert_int_equal(server_accepted(s), 1);
    assert_memory_equal(seen, "GET /a?b=c HTTP/1.1\r\n", 21);
    /* The connection that is kept does not keep the loop. */
    begun = uv_hrtime();
    (void)uv_run(&w->uv, UV_RUN_DEFAULT);
    assert_true(uv_hrtime() - begun < (uint64_t)1000000000);
    wst__net_free(net);
    server_stop(s);
}

/* Nobody but the caller decides about headers. */
static void test_headers(void **state)
{
    static const char *const headers[] = {"Authorization: Bearer abc", "Accept: application/json",
                                          "X-Empty:", "Cache-Control: no-store", NULL};
    static const char *const injected[] = {"X: a\r\nY: b", NULL};
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__net *net = world_net(w, NULL);
    struct wst__http_request rq = {
        .url = url_of("http", "127.0.0.1", s, "/"), .method = "GET", .headers = injected};
    struct wst__http_cbs cbs = {0};
    struct wst__http *http;
    struct call c;

    call_start(&c, net, "GET", rq.url, headers, NULL);
    world_run(w, &c.done);
    assert_true(has_line("Authorization: Bearer abc") && has_line("Accept: application/json"));
    assert_true(has_line("X-Empty:") && has_line("Cache-Control: no-store"));
    assert_null(strstr(seen, "User-Agent"));
    assert_int_equal(call_get(&c, w, net, rq.url), 0);
    assert_null(strstr(seen, "Authorization"));
    assert_null(strstr(seen, "Accept"));
    assert_int_equal(wst__http_start(net, &rq, &cbs, NULL, &http), WST_ERR_INVALID);
    rq.headers = NULL;
    rq.url = "ftp://127.0.0.1/";
    assert_int_equal(wst__http_start(net, &rq, &cbs, NULL, &http), WST_ERR_INVALID);
    rq.url = "http://";
    assert_int_equal(wst__http_start(net, &rq, &cbs, NULL, &http), WST_ERR_INVALID);
    wst__net_free(net);
    server_stop(s);
}

static void test_methods(void **state)
{
    static const char *const type[] = {"Content-Type: application/json", NULL};
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__net *net = world_net(w, NULL);
    const char *url = url_of("http", "127.0.0.1", s, "/t");
    struct call c;

    call_start(&c, net, "POST", url, NULL, NULL);
    world_run(w, &c.done);
    assert_memory_equal(seen, "POST /t ", 8);
    assert_true(has_line("Content-Length: 0"));
    assert_null(strstr(seen, "Content-Type"));
    call_start(&c, net, "PUT", url, NULL, NULL);
    world_run(w, &c.done);
    assert_memory_equal(seen, "PUT /t ", 7);
    assert_true(has_line("Content-Length: 0"));
    call_start(&c, net, "POST", url, type, "{\"a\":1}");
    world_run(w, &c.done);
    assert_true(has_line("Content-Length: 7") && has_line("Content-Type: application/json"));
    assert_non_null(strstr(seen, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(seen, "Expect"));
    call_start(&c, net, "GET", url, type, "{}");
    world_run(w, &c.done);
    assert_memory_equal(seen, "GET /t ", 7);
    assert_true(has_line("Content-Length: 2"));
    call_start(&c, net, "DELETE", url, NULL, NULL);
    world_run(w, &c.done);
    assert_memory_equal(seen, "DELETE /t ", 10);
    wst__net_free(net);
    server_stop(s);
}

/* ---- Ceilings ------------------------------------------------------------------------------ */

static atomic_size_t pushed; /* Bytes that a server could get rid of. */

static void push(struct conn *c, const char *head, const char *piece, size_t times)
{
    size_t n = strlen(piece);

    (void)conn_read_request(c, seen, sizeof seen);
    if (!conn_puts(c, head))
        return;
    for (size_t i = 0; i < times && conn_write(c, piece, n); i++)
        pushed += n;
}

static char kilobyte[1025];

static void big_body(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n", kilobyte, 10240);
}

static void endless_body(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\n\r\n", kilobyte, 10240);
}

static void chunked_body(struct conn *c)
{
    char chunk[1100];

    (void)snprintf(chunk, sizeof chunk, "400\r\n%s\r\n", kilobyte);
    push(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk, 10240);
}

static void many_headers(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\n", "X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
         100000);
}

/* More than ours, less than libcurl's own. */
static void too_many_headers(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\n", "X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 1900);
    (void)conn_puts(c, "Content-Length: 0\r\n\r\n");
}

static void one_header(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\nX: ", kilobyte, 10240);
}

static void interim_answers(struct conn *c)
{
    push(c, "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 100000);
}

static void many_trailers(struct conn *c)
{
    push(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
         "X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 100000);
}

static void test_ceilings(void **state)
{
    static const struct {
        conn_fn fn;
        const char *limit;
    } table[] = {{big_body, "max_body_bytes"},        {endless_body, "max_body_bytes"},
                 {chunked_body, "max_body_bytes"},    {many_headers, "max_header_bytes"},
                 {one_header, "max_header_bytes"},    {interim_answers, "max_header_bytes"},
                 {many_trailers, "max_header_bytes"}, {too_many_headers, "max_header_bytes"}};
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct call c;

    memset(kilobyte, 'z', 1024);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct server *s = server_start(table[i].fn, NULL, NULL);

        (void)call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/"));
        if (c.why.code != WST_ERR_REPLY_TOO_LARGE || !strstr(c.why.text, table[i].limit))
            fail_msg("%zu: %s: %s", i, wst_err_name(c.why.code), c.why.text);
        server_stop(s);
    }
    wst__net_free(net);
}

static void long_refusal(struct conn *c)
{
    push(c, "HTTP/1.1 401 No\r\nContent-Type: text/html\r\nRetry-After: 7\r\n\r\n", kilobyte,
         10240);
}

static void long_chunked_refusal(struct conn *c)
{
    char chunk[1100];

    (void)snprintf(chunk, sizeof chunk, "400\r\n%s\r\n", kilobyte);
    push(c,
         "HTTP/1.1 401 No\r\nContent-Type: text/html\r\nRetry-After: 7\r\n"
         "Transfer-Encoding: chunked\r\n\r\n",
         chunk, 10240);
}

/* A refusal is one however long its page: a 401 must not become a fault of the network. */
static void test_long_refusal(void **state)
{
    static const conn_fn refusals[] = {long_refusal, long_chunked_refusal};
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct call c;

    memset(kilobyte, 'z', 1024);
    for (size_t i = 0; i < 2; i++) {
        struct server *s = server_start(refusals[i], NULL, NULL);

        pushed = 0;
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
        assert_int_equal(c.answer.status, 401);
        assert_int_equal(c.answer.body_len, 64 * 1024);
        assert_true(c.answer.has_retry_after);
        assert_int_equal(c.answer.retry_after_ms, 7000);
        server_stop(s);
        assert_true(pushed < 10240 * 1024); /* It was not read to its end. */
    }
    wst__net_free(net);
}

/* A body that just fits, and one byte more. */
static void exact_body(struct conn *c)
{
    size_t n = *(size_t *)c->arg;
    char head[64];
    char *body = malloc(n);

    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", n);
    memset(body, 'b', n);
    (void)conn_read_request(c, seen, sizeof seen);
    (void)(conn_puts(c, head) && conn_write(c, body, n));
    free(body);
}

static void test_exact_ceiling(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    size_t n = 64 * 1024;
    struct server *s = server_start(exact_body, &n, NULL);
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(c.answer.body_len, 64 * 1024);
    n++;
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")),
                     WST_ERR_REPLY_TOO_LARGE);
    n = 0;
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(c.answer.body_len, 0);
    wst__net_free(net);
    server_stop(s);
}

/* ---- What an answer says ------------------------------------------------------------------- */

static void test_retry_after(void **state)
{
    static const struct {
        const char *value;
        bool has;
        uint64_t ms;
    } table[] = {
        {"0", true, 0},
        {"7", true, 7000},
        {"86400", true, 86400000},
        {"86401", true, 86400000},
        {"99999999999999999999999999", true, 86400000},
        {"-7", false, 0},
        {"+7", false, 0},
        {"7.5", false, 0},
        {"7s", false, 0},
        {"", false, 0},
        {"soon", false, 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", true, 0},
        {"Sun, 13 Sep 2020 12:26:50 GMT", true, 10000},
        {"Sun, 13 Sep 2020 12:26:30 GMT", true, 0},
        {"Fri, 31 Dec 9999 23:59:59 GMT", true, 86400000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        uint64_t ms = 0;
        bool has = wst__retry_after(table[i].value, 1600000000, &ms);

        if (has != table[i].has || ms != table[i].ms)
            fail_msg("\"%s\": %d %llu", table[i].value, has, (unsigned long long)ms);
    }
}

static void test_answers(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    static char text[] = "HTTP/1.1 103 Early Hints\r\nRetry-After: 99\r\n\r\n"
                         "HTTP/1.1 503 Wait\r\nretry-after:   5 \r\nContent-Length: 4\r\n\r\nwait";
    struct server *s = server_start(answer, text, NULL);
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(c.answer.status, 503);
    assert_true(c.answer.has_retry_after);
    assert_int_equal(c.answer.retry_after_ms, 5000);
    assert_string_equal(c.body, "wait");
    wst__net_free(net);
    server_stop(s);
}

/* A date counts from the server's own time, which may differ from ours by years. */
static void test_retry_after_date(void **state)
{
    static const struct {
        const char *date;
        uint64_t ms;
    } table[] = {
        {"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 30000},
        {"Date: Sun, 06 Nov 1994 09:49:37 GMT\r\n", 0},
        {"Date: soon\r\n", 0}, /* From ours it is long ago. */
        {"", 0},
    };
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);

    for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
        static const char value[] = "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n";
        const char *date = table[i / 2].date;
        char text[256];
        struct server *s;
        struct call c;

        (void)snprintf(text, sizeof text, "HTTP/1.1 503 Wait\r\n%s%sContent-Length: 0\r\n\r\n",
                       i % 2 ? date : value, i % 2 ? value : date);
        s = server_start(answer, text, NULL);
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
        assert_true(c.answer.has_retry_after);
        assert_int_equal(c.answer.retry_after_ms, table[i / 2].ms);
        server_stop(s);
    }
    wst__net_free(net);
}

static void test_redirect(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *other = server_start(answer, (void *)(uintptr_t)ok, NULL);
    char text[256];
    struct server *s = server_start(answer, text, NULL);
    struct call c;

    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                   url_of("http", "localhost", other, "/secret?x=1"));
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(c.answer.status, 302);
    assert_string_equal(c.answer.location_host, "localhost");
    assert_int_equal(server_accepted(other), 0);
    wst__net_free(net);
    server_stop(s);
    server_stop(other);
}

/* ---- What goes wrong ----------------------------------------------------------------------- */

static void hang_up(struct conn *c)
{
    (void)conn_read_request(c, seen, sizeof seen);
}

static void reset(struct conn *c)
{
    (void)conn_read_request(c, seen, sizeof seen);
    conn_reset(c);
}

static void half_answer(struct conn *c)
{
    (void)conn_read_request(c, seen, sizeof seen);
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}");
}

static void half_headers(struct conn *c)
{
    (void)conn_read_request(c, seen, sizeof seen);
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-");
}

static void garbage(struct conn *c)
{
    (void)conn_read_request(c, seen, sizeof seen);
    (void)conn_puts(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
}

/* libcurl takes any number for a status; what has not three digits is none (RFC 9110, 15).  Its
 * version 8 reads some of them as 200, as it does with other protocols' first lines. */
static bool is_taken_for_200(const struct call *c)
{
    return LIBCURL_VERSION_MAJOR > 7 && c->why.code == 0 && c->answer.status == 200;
}

static void test_no_status(void **state)
{
    static const char *const lines[] = {"HTTP/1.1 -99 No", "HTTP/1.1 099 No", "HTTP/1.1 99 No",
                                        "HTTP/1.1 000 No", "HTTP/2 1000 No",  "HTTP/2 4401 No",
                                        "HTTP/2 -200 No",  "HTTP/2 65736 No", "HTTP/3 70000 No"};
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct server *s;
        char text[128];
        struct call c;

        (void)snprintf(text, sizeof text, "%s\r\nContent-Length: 2\r\n\r\n{}", lines[i]);
        s = server_start(answer, text, NULL);
        (void)call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/"));
        if (!is_taken_for_200(&c) && (c.why.code != WST_ERR_HTTP || c.why.http_status != 0))
            fail_msg("%s: %s, status %d: %s", lines[i], wst_err_name(c.why.code),
                     c.why.code ? c.why.http_status : c.answer.status, c.why.text);
        server_stop(s);
    }
    wst__net_free(net);
}

/* The answer of a server that has not read the whole request and resets behind it. */
static void answer_and_reset(struct conn *c)
{
    char some[64];

    (void)conn_read(c, some, 10);
    (void)conn_puts(c, "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno");
}

static void test_failures(void **state)
{
    static const struct {
        conn_fn fn;
        int code;
    } table[] = {{hang_up, WST_ERR_EOF},
                 {reset, WST_ERR_RESET},
                 {half_answer, WST_ERR_EOF},
                 {half_headers, WST_ERR_EOF},
                 {garbage, WST_ERR_HTTP}};
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *s = NULL;
    char name[64];
    char url[128];
    struct call c;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        s = server_start(table[i].fn, NULL, NULL);
        (void)call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/?token=secret"));
        (void)snprintf(name, sizeof name, "127.0.0.1:%u", server_port(s));
        if (c.why.code != table[i].code || !strstr(c.why.text, name) ||
            strstr(c.why.text, "secret") || c.why.step != WST_STEP_TICKET)
            fail_msg("%zu: %s: %s", i, wst_err_name(c.why.code), c.why.text);
        server_stop(s);
    }
    s = server_start(hang_up, NULL, NULL);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", server_port(s));
    server_stop(s);
    assert_int_equal(call_get(&c, w, net, url), WST_ERR_CONNECT); /* Its port is free now. */
    assert_int_equal(c.why.sys_errno, ECONNREFUSED);
    assert_non_null(strstr(c.why.text, "127.0.0.1"));
    assert_int_equal(c.sent, 0);
    assert_int_equal(call_get(&c, w, net, "http://no-such-name.invalid/"), WST_ERR_RESOLVE);
    assert_non_null(strstr(c.why.text, "no-such-name.invalid"));
    wst__net_free(net);
}

/* That the machine has no socket to give is not the server's fault, and heals. */
static void test_no_socket(void **state)
{
    static const int errors[][2] = {
        {EMFILE, WST_ERR_IO}, {ENFILE, WST_ERR_IO}, {ENOBUFS, WST_ERR_IO}, {ENOMEM, WST_ERR_NOMEM}};
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct call c;

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct pipe p = {0};

        no_socket = errors[i][0];
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), errors[i][1]);
        assert_int_equal(c.why.sys_errno, errors[i][0]);
        assert_int_equal(c.why.cls, WST_CLASS_LOCAL);
        assert_int_equal(pipe_connect(&p, w, net, "127.0.0.1", server_port(s), false),
                         errors[i][1]);
        assert_int_equal(p.why.sys_errno, errors[i][0]);
        assert_memory_equal(p.why.text, "no socket could be made for 127.0.0.1:", 38);
        no_socket = 0;
        pipe_close(&p);
    }
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    server_stop(s);
    wst__net_free(net);
}

/* An address with colons of its own stands in brackets. */
static void test_places_in_texts(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    char place[WST__PLACE];
    struct pipe p = {0};
    struct call c;

    assert_string_equal(wst__place("::1", 8443, place), "[::1]:8443");
    assert_string_equal(wst__place("h.example", 1, place), "h.example:1");
    /* Refused, or there is no IPv6 here: the place is named all the same. */
    assert_int_equal(call_get(&c, w, net, "http://[::1]:1/"), WST_ERR_CONNECT);
    assert_memory_equal(c.why.text, "[::1]:1 cannot be reached", 25);
    assert_int_equal(pipe_connect(&p, w, net, "::1", 1, false), WST_ERR_CONNECT);
    assert_memory_equal(p.why.text, "[::1]:1 cannot be reached", 25);
    pipe_close(&p);
    wst__net_free(net);
}

static void test_early_answer(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *s = server_start(answer_and_reset, NULL, NULL);
    struct call c;

    (void)call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/"));
    assert_int_equal(c.why.code, 0);
    assert_int_equal(c.answer.status, 401);
    wst__net_free(net);
    server_stop(s);
}

static void refuse_and_break(struct conn *c)
{
    char some[64];

    (void)conn_read(c, some, 10);
    (void)conn_puts(c, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 20\r\n\r\nno");
}

/* What the head of a refusal says counts, whatever becomes of its body. */
static void test_broken_refusal(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *s = server_start(refuse_and_break, NULL, NULL);
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(c.answer.status, 503);
    assert_int_equal(c.answer.retry_after_ms, 7000);
    assert_string_equal(c.body, "no");
    wst__net_free(net);
    server_stop(s);
}

static atomic_int reached; /* How far the server has come. */

/* Says what the test gave, and nothing more. */
static void say_and_wait(struct conn *c)
{
    char byte;

    (void)conn_read_request(c, seen, sizeof seen);
    (void)conn_puts(c, c->arg);
    while (conn_read(c, &byte, 1) > 0)
        continue;
}

static void test_endless_refusal(void **state)
{
    static const struct {
        const char *said;
        bool refused;
        int code;
    } table[] = {
        {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 20\r\n\r\nno", true, 0},
        {"HTTP/1.1 407 No\r\nContent-Length: 20\r\n\r\nno", true, WST_ERR_PROXY_AUTH},
        {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n", false, 0},
        {"HTTP/1.1 103 Early\r\nX: y\r\n\r\n", false, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", false, 0},
    };
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct server *s = server_start(say_and_wait, (void *)(uintptr_t)table[i].said, NULL);
        const struct wst__http_answer *a = NULL;
        struct wst_cause why = {0};
        struct call c;

        call_start(&c, net, "GET", url_of("http", "127.0.0.1", s, "/"), NULL, NULL);
        assert_false(wst__http_refusal(c.http, &why, &a));
        for (int turn = 0; turn < 100 && !wst__http_refusal(c.http, &why, &a); turn++)
            world_run_for(w, table[i].refused ? 50 : 1);
        assert_int_equal(a != NULL, table[i].refused);
        assert_int_equal(why.code, table[i].code);
        if (i == 0) {
            assert_int_equal(a->status, 503);
            assert_int_equal(a->retry_after_ms, 7000);
            assert_string_equal(a->body, "no");
        }
        wst__http_cancel(c.http);
        world_run_for(w, 5);
        assert_false(c.done);
        server_stop(s);
    }
    wst__net_free(net);
}

/* ---- Cancel -------------------------------------------------------------------------------- */

static void stall(struct conn *c)
{
    int until = *(int *)c->arg;
    char byte;

    reached = 1;
    if (until == 1)
        goto wait;
    (void)conn_read_request(c, seen, sizeof seen);
    reached = 2;
    if (until == 2)
        goto wait;
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Le");
    reached = 3;
    if (until == 3)
        goto wait;
    (void)conn_puts(c, "ngth: 10\r\n\r\n12345");
    reached = 4;
wait:
    while (conn_read(c, &byte, 1) > 0)
        continue;
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);

    for (int phase = 0; phase <= 4; phase++) {
        struct server *s = server_start(stall, &phase, NULL);
        const char *url = url_of("http", "127.0.0.1", s, "/");
        struct call c;
        uint64_t begun = uv_hrtime();

        reached = 0;
        call_start(&c, net, "GET", url, NULL, NULL);
        while (reached < phase && uv_hrtime() - begun < (uint64_t)5 * 1000000000)
            (void)uv_run(&w->uv, UV_RUN_NOWAIT);
        assert_true(reached >= phase);
        wst__http_cancel(c.http);
        world_run_for(w, 20);
        assert_false(c.done);
        server_stop(s);
    }
    wst__net_free(net);
}

/* A listener that accepts nobody, its queue full: connecting to it neither succeeds nor fails. */
struct full {
    int fds[8];
    uint16_t port;
};

static void fill(struct full *f)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    f->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fds[0], (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(f->fds[0], 0), 0);
    assert_int_equal(getsockname(f->fds[0], (struct sockaddr *)&at, &n), 0);
    f->port = ntohs(at.sin_port);
    for (int i = 1; i < 8; i++) {
        f->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(f->fds[i], (struct sockaddr *)&at, n);
    }
}

/* Canceled while it connects: the descriptors are free, and those who get them next can use them.
 * libcurl closes such sockets without calling our function. */
static void test_cancel_while_connecting(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct full full;
    char url[64];

    fill(&full);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", full.port);
    for (int i = 0; i < 5; i++) {
        struct pipe stuck = {0}, good = {0};
        struct call c, d;

        call_start(&c, net, "GET", url, NULL, NULL);
        pipe_open(&stuck, w, net, "127.0.0.1", full.port, false);
        world_run_for(w, 20);
        assert_false(c.done || stuck.ready || stuck.ended);
        wst__http_cancel(c.http);
        wst__stream_close(stuck.stream, NULL, NULL);
        assert_int_equal(call_get(&d, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
        assert_int_equal(pipe_connect(&good, w, net, "127.0.0.1", server_port(s), false), 0);
        pipe_close(&good);
    }
    for (int i = 0; i < 8; i++)
        (void)close(full.fds[i]);
    wst__net_free(net);
    server_stop(s);
}

/* How long connecting may take is the driver's business, a week at most (step_timeout_ms): libcurl
 * has no say in it. */
static void test_no_deadline_of_libcurl(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, NULL);
    struct pipe stuck = {0};
    struct full full;
    char url[64];
    struct call c;

    fill(&full);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", full.port);
    call_start(&c, net, "GET", url, NULL, NULL);
    pipe_open(&stuck, w, net, "127.0.0.1", full.port, false);
    world_run_for(w, 20);
    for (int i = 0; i < 2; i++) {
        leap_s += i == 0 ? 70 : (long long)6 * 24 * 3600;
        world_run_for(w, 20);
        assert_false(c.done || stuck.ready || stuck.ended);
    }
    leap_s += (long long)2 * 24 * 3600;
    world_run_for(w, 20);
    assert_int_equal(c.why.code, WST_ERR_TIMEOUT); /* They did see the time. */
    assert_int_equal(stuck.why.code, WST_ERR_TIMEOUT);
    pipe_close(&stuck);
    for (int i = 0; i < 8; i++)
        (void)close(full.fds[i]);
    wst__net_free(net);
}

/* Other requests are canceled, and the net freed, from inside a callback. */
static struct call *victims;
static struct wst__net *doomed;
static bool all_over;

static void on_first_done(void *arg, const struct wst_cause *why,
                          const struct wst__http_answer *reply)
{
    (void)arg;
    (void)reply;
    assert_int_equal(why->code, 0);
    for (int i = 0; i < 3; i++) {
        if (victims[i].http && !victims[i].done)
            wst__http_cancel(victims[i].http);
    }
    wst__net_free(doomed);
    all_over = true;
}

static void test_end_all_inside_done(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__http_cbs cbs = {.done = on_first_done};
    struct wst__http_request rq = {.url = url_of("http", "127.0.0.1", s, "/"),
                                   .method = "GET",
                                   .max_header_bytes = 1000,
                                   .max_body_bytes = 1000};
    struct wst__http *http;
    struct call calls[3];

    doomed = world_net(w, NULL);
    victims = calls;
    all_over = false;
    assert_int_equal(wst__http_start(doomed, &rq, &cbs, NULL, &http), 0);
    for (int i = 0; i < 3; i++)
        call_start(&calls[i], doomed, "GET", rq.url, NULL, NULL);
    world_run(w, &all_over);
    server_stop(s);
}

/* What was idle during a suspend is not used again. */
static void test_distrust(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__net *net = world_net(w, NULL);
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    wst__io_woke(&w->io);
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(server_accepted(s), 2);
    wst__net_free(net);
    server_stop(s);
}

/* ---- Cookies ------------------------------------------------------------------------------- */

static char set_cookies[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                            "Set-Cookie: lb=node-7; Path=/; HttpOnly\r\n"
                            "Set-Cookie: deep=1; Path=/api\r\n"
                            "Set-Cookie: sealed=1; Path=/; Secure\r\n"
                            "Set-Cookie: old=1; Max-Age=0\r\n\r\n";

static void expect_cookies(struct wst__net *net, const char *url, const char *expected)
{
    struct wst__buf b;

    wst__buf_init(&b, 1000, true);
    assert_int_equal(wst__cookies(net, url, &b), 0);
    if (b.len != strlen(expected) || (b.len && memcmp(b.data, expected, b.len) != 0))
        fail_msg("%s: \"%.*s\"", url, (int)b.len, b.data ? (char *)b.data : "");
    wst__buf_fini(&b);
}

static void test_cookies(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(answer, set_cookies, NULL);
    struct wst__net_options with = {.proxy = "", .cookies = true};
    struct wst__net *net = world_net_with(w, &with);
    struct wst__net *without = world_net(w, NULL);
    struct wst__net *stranger = world_net_with(w, &with);
    struct call c;

    expect_cookies(net, url_of("ws", "127.0.0.1", s, "/ws"), "");
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    expect_cookies(net, url_of("ws", "127.0.0.1", s, "/ws"), "lb=node-7; sealed=1");
    expect_cookies(net, url_of("ws", "localhost", s, "/ws"), "");
    expect_cookies(stranger, url_of("ws", "127.0.0.1", s, "/ws"), "");
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/api/x")), 0);
    assert_non_null(strstr(seen, "\r\nCookie: "));
    assert_true(strstr(seen, "deep=1") && strstr(seen, "lb=node-7") && strstr(seen, "sealed=1"));
    assert_int_equal(call_get(&c, w, without, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(call_get(&c, w, without, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_null(strstr(seen, "Cookie"));
    expect_cookies(without, url_of("ws", "127.0.0.1", s, "/ws"), "");
    wst__net_free(net);
    wst__net_free(without);
    wst__net_free(stranger);
    server_stop(s);
}

/* RFC 6265, 5.4: one Cookie header, with those that were set and the application's own. */
static void test_own_cookies(void **state)
{
    static const char *const own[] = {"Cookie: own=1", "X-Other: x", "cookie:  more=2", NULL};
    struct world *w = *state;
    struct server *s = server_start(answer, set_cookies, NULL);
    struct wst__net_options with = {.proxy = "", .cookies = true};
    struct wst__net *net = world_net_with(w, &with);
    struct wst__net *without = world_net(w, NULL);
    const char *line;
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    call_start(&c, net, "GET", url_of("http", "127.0.0.1", s, "/"), own, NULL);
    world_run(w, &c.done);
    line = strstr(seen, "\r\nCookie: ");
    assert_non_null(line);
    assert_null(strstr(line + 4, "ookie:"));
    assert_true(strstr(line, "lb=node-7; ") && strstr(line, "; own=1; more=2\r\n"));
    assert_non_null(strstr(seen, "\r\nX-Other: x\r\n"));
    expect_cookies(net, url_of("ws", "127.0.0.1", s, "/"), "lb=node-7; sealed=1");
    call_start(&c, without, "GET", url_of("http", "127.0.0.1", s, "/"), own, NULL);
    world_run(w, &c.done);
    assert_non_null(strstr(seen, "\r\nCookie: own=1; more=2\r\n"));
    wst__net_free(net);
    wst__net_free(without);
    server_stop(s);
}

static unsigned cookies_set;

static void forty_new_cookies(struct conn *c)
{
    char line[200];

    while (conn_read_request(c, seen, sizeof seen) && conn_puts(c, "HTTP/1.1 200 OK\r\n")) {
        for (unsigned i = 0; i < 40; i++) {
            (void)snprintf(line, sizeof line, "Set-Cookie: c%u=%0100u\r\n", cookies_set++, 7u);
            (void)conn_puts(c, line);
        }
        (void)conn_puts(c, "Content-Length: 0\r\n\r\n");
    }
}

/* A server that sets ever new cookies does not fill our memory, and gets the newest ones back. */
static void test_many_cookies(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(forty_new_cookies, NULL, NULL);
    struct wst__net_options with = {.proxy = "", .cookies = true};
    struct wst__net *net = world_net_with(w, &with);
    size_t most = 0;
    struct wst__buf b;
    struct call c;

    cookies_set = 0;
    wst__buf_init(&b, 1 << 20, true);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
        b.len = 0;
        assert_int_equal(wst__cookies(net, url_of("ws", "127.0.0.1", s, "/"), &b), 0);
        most = b.len > most ? b.len : most;
    }
    assert_int_equal(cookies_set, 1200);
    assert_true(most > 40 * 100);  /* More than one answer's are kept, */
    assert_true(most < 40 * 1024); /* but not all. */
    wst__buf_fini(&b);
    wst__net_free(net);
    server_stop(s);
}

/* More cookies than a header should carry: step 3 goes with some of them, as steps 1 and 2 do. */
static void test_more_cookies_than_a_header(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(forty_new_cookies, NULL, NULL);
    struct wst__net_options with = {.proxy = "", .cookies = true};
    struct wst__net *net = world_net_with(w, &with);
    struct wst__buf b;
    struct call c;

    cookies_set = 0;
    wst__buf_init(&b, 16 * 1024, true); /* As the driver's. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    assert_int_equal(wst__cookies(net, url_of("ws", "127.0.0.1", s, "/"), &b), 0);
    assert_true(b.len > 8192 - 200 && b.len <= 8192);
    assert_int_equal(memcmp(b.data + b.len - 4, "0007", 4), 0); /* Whole ones. */
    wst__buf_fini(&b);
    wst__net_free(net);
    server_stop(s);
}

static void test_interface(void **state)
{
    struct world *w = *state;
    struct server *s = server_start(answer, (void *)(uintptr_t)ok, NULL);
    struct wst__net_options opt = {.proxy = "", .interface = "lo"};
    struct wst__net *net = world_net_with(w, &opt);
    struct wst_cause why;
    struct call c;

    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    wst__net_free(net);
    opt.interface = "127.0.0.1";
    net = world_net_with(w, &opt);
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), 0);
    wst__net_free(net);
    opt.interface = "no-such-if0";
    net = world_net_with(w, &opt);
    assert_int_equal(call_get(&c, w, net, url_of("http", "127.0.0.1", s, "/")), WST_ERR_CONNECT);
    assert_non_null(strstr(c.why.text, "no-such-if0"));
    wst__net_free(net);
    opt.interface = "a!b";
    assert_int_equal(wst__net_new(&w->io, &opt, &net, &why), WST_ERR_CONFIG);
    assert_non_null(strstr(why.text, "interface"));
    server_stop(s);
}

/* Is a second one made of |opt|, with |variable| set meanwhile (NULL: none)? */
static bool makes_another(struct world *w, const struct wst__net_options *opt, const char *variable)
{
    struct wst__net *first = world_net_with(w, opt);
    struct wst__net *second;
    bool differ;

    if (variable)
        assert_int_equal(setenv(variable, "http://127.0.0.1:1", 1), 0);
    second = world_net_with(w, opt);
    if (variable)
        assert_int_equal(unsetenv(variable), 0);
    differ = first != second;
    wst__net_free(first);
    wst__net_free(second);
    return differ;
}

/* What equal options make is kept once, for as long as somebody uses it; cookies are not shared. */
static void test_equal_options(void **state)
{
    static const struct wst__net_options all[] = {
        {.proxy = ""},
        {.proxy = "http://127.0.0.1:1"},
        {.proxy = "http://127.0.0.1:1", .no_proxy = "a"},
        {.proxy = "http://127.0.0.1:1", .no_proxy = "b"},
        {.proxy = "", .interface = "lo"},
        {.proxy = "", .interface = "127.0.0.1"},
        {.proxy = "", .insecure = true},
    };
    enum { COUNT = sizeof all / sizeof all[0] };
    struct wst__net *nets[COUNT];
    struct world *w = *state;

    for (int i = 0; i < COUNT; i++) {
        nets[i] = world_net_with(w, &all[i]);
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(nets[i], nets[k]);
        assert_false(makes_another(w, &all[i], NULL));
    }
    for (int i = 0; i < COUNT; i++) {
        struct wst__net *again = world_net_with(w, &all[i]);

        assert_ptr_equal(again, nets[i]);
        wst__net_free(again);
        wst__net_free(nets[i]);
    }
    assert_null(w->io.nets);
    assert_true(makes_another(w, &(struct wst__net_options){.proxy = "", .cookies = true}, NULL));
    assert_false(makes_another(w, &(struct wst__net_options){0}, NULL));
    assert_true(makes_another(w, &(struct wst__net_options){0}, "https_proxy"));
    assert_false(makes_another(w, &(struct wst__net_options){.proxy = ""}, "https_proxy"));
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_reuse),
        IN_WORLD(test_headers),
        IN_WORLD(test_methods),
        IN_WORLD(test_ceilings),
        IN_WORLD(test_long_refusal),
        IN_WORLD(test_broken_refusal),
        IN_WORLD(test_endless_refusal),
        IN_WORLD(test_exact_ceiling),
        cmocka_unit_test(test_retry_after),
        IN_WORLD(test_answers),
        IN_WORLD(test_retry_after_date),
        IN_WORLD(test_redirect),
        IN_WORLD(test_failures),
        IN_WORLD(test_no_status),
        IN_WORLD(test_no_socket),
        IN_WORLD(test_places_in_texts),
        IN_WORLD(test_early_answer),
        IN_WORLD(test_cancel),
        IN_WORLD(test_cancel_while_connecting),
        IN_WORLD(test_no_deadline_of_libcurl),
        IN_WORLD(test_end_all_inside_done),
        IN_WORLD(test_distrust),
        IN_WORLD(test_interface),
        IN_WORLD(test_equal_options),
        IN_WORLD(test_cookies),
        IN_WORLD(test_own_cookies),
        IN_WORLD(test_many_cookies),
        IN_WORLD(test_more_cookies_than_a_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
