#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory.h"
#include "wire/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 6455, 1.3: this nonce and the answer to it. */
#define NONCE      "the sample nonce"
#define KEY        "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define SWITCH     "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define GOOD       SWITCH UPGRADE ACCEPT
#define MAX_HEADER 2048
#define LETTERS_33 "abcdefghijklmnopqrstuvwxyzabcdefg"
#define LONG_NAME                                                                                  \
    LETTERS_33 LETTERS_33 LETTERS_33 LETTERS_33 LETTERS_33 LETTERS_33 LETTERS_33 LETTERS_33
#define MAX_BODY 64

/* ---- The request ---- */

static struct wst__url url;
static struct wst__secret ticket;
static struct wst__secret bearer;

static struct wst__upgrade_request plain_request(const char *text)
{
    struct wst__upgrade_request rq = {.url = &url};

    wst__url_fini(&url);
    assert_int_equal(wst__url_parse(&url, text, WST__URL_WS, "url", NULL), 0);
    memcpy(rq.nonce, NONCE, sizeof rq.nonce);
    return rq;
}

static void set(struct wst__secret *s, const char *value)
{
    assert_int_equal(wst__secret_set(s, value, strlen(value)), 0);
}

static int teardown(void **state)
{
    (void)state;
    wst__url_fini(&url);
    wst__secret_drop(&ticket);
    wst__secret_drop(&bearer);
    return 0;
}

static void assert_request(const struct wst__upgrade_request *rq, const char *expected)
{
    struct wst__buf b;

    wst__buf_init(&b, 65536, true);
    assert_int_equal(wst__upgrade_write(&b, rq), 0);
    assert_int_equal(wst__buf_add(&b, "", 1), 0);
    assert_string_equal((char *)b.data, expected);
    wst__buf_fini(&b);
}

#define FIXED                                                                                      \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY                         \
    "\r\nSec-WebSocket-Version: 13\r\n"

static void test_request_plain(void **state)
{
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    assert_request(&rq, "GET /ws HTTP/1.1\r\nHost: h\r\n" FIXED "\r\n");
    rq.user_agent = rq.cookies = rq.extensions = "";
    rq.ticket = &ticket; /* Empty. */
    rq.bearer = &bearer;
    assert_request(&rq, "GET /ws HTTP/1.1\r\nHost: h\r\n" FIXED "\r\n");
}

static void test_request_query(void **state)
{
    static const struct {
        const char *url;
        const char *name;
        const char *ticket;
        const char *target;
    } rows[] = {
        {"wss://h/ws", NULL, "0123abcd", "/ws?ticket=0123abcd HTTP/1.1\r\nHost: h\r\n"},
        {"wss://h", NULL, "x", "/?ticket=x HTTP/1.1\r\nHost: h\r\n"},
        {"wss://h:8443/ws?a=1", "t", "x", "/ws?a=1&t=x HTTP/1.1\r\nHost: h:8443\r\n"},
        {"ws://[::1]:80/?", "t", "x", "/?t=x HTTP/1.1\r\nHost: [::1]\r\n"},
        {"wss://h/ws", "a&b", "& + / = %\xc3\xbc",
         "/ws?a%26b=%26%20%2B%20%2F%20%3D%20%25%C3%BC HTTP/1.1\r\nHost: h\r\n"},
        {"wss://h/ws", "t", "a\r\nX: y", "/ws?t=a%0D%0AX%3A%20y HTTP/1.1\r\nHost: h\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__upgrade_request rq = plain_request(rows[i].url);
        char expected[512];

        set(&ticket, rows[i].ticket);
        rq.ticket = &ticket;
        rq.query_name = rows[i].name;
        (void)snprintf(expected, sizeof expected, "GET %s%s\r\n", rows[i].target, FIXED);
        assert_request(&rq, expected);
    }
}

static void test_request_full(void **state)
{
    static const char *const offered[] = {"chat.v2", "chat"};
    static const char *const headers[] = {"Origin: https://app.example.com",
                                          "X-Empty:", "Cookie: own=1", NULL};
    struct wst__upgrade_request rq = plain_request("wss://h/ws?a=1");

    (void)state;
    set(&ticket, "abc");
    set(&bearer, "e.y.J");
    rq.ticket = &ticket;
    rq.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    rq.subprotocol_prefix = "ticket.";
    rq.subprotocols = offered;
    rq.subprotocol_count = 2;
    rq.extensions = "permessage-deflate; client_max_window_bits";
    rq.bearer = &bearer;
    rq.cookies = "lb=node1; s=2";
    rq.user_agent = "libwsticket/0";
    rq.headers = headers;
    assert_request(&rq, "GET /ws?a=1 HTTP/1.1\r\nHost: h\r\n" FIXED
                        "Sec-WebSocket-Protocol: chat.v2, chat, ticket.abc\r\n"
                        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                        "Authorization: Bearer e.y.J\r\n"
                        "Cookie: lb=node1; s=2; own=1\r\n"
                        "User-Agent: libwsticket/0\r\n"
                        "Origin: https://app.example.com\r\n"
                        "X-Empty:\r\n"
                        "\r\n");
}

/* What the application sets itself is not sent twice. */
static void test_request_own_headers(void **state)
{
    static const char *const headers[] = {"user-agent: mine",
                                          "AUTHORIZATION: Basic eA==", "cookie: own=1", NULL};
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    set(&ticket, "a b");
    set(&bearer, "token");
    rq.ticket = &ticket;
    rq.ticket_in = WST_TICKET_IN_HEADER;
    rq.bearer = &bearer;
    rq.user_agent = "ours";
    rq.headers = headers;
    assert_request(&rq, "GET /ws HTTP/1.1\r\nHost: h\r\n" FIXED "Cookie: own=1\r\n"
                        "X-Ticket: a b\r\n"
                        "user-agent: mine\r\n"
                        "AUTHORIZATION: Basic eA==\r\n\r\n");
}

/* A ticket that is the Authorization header takes the place of the token. */
static void test_request_ticket_as_authorization(void **state)
{
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    set(&ticket, "Ticket abc");
    set(&bearer, "token");
    rq.ticket = &ticket;
    rq.ticket_in = WST_TICKET_IN_HEADER;
    rq.ticket_header = "authorization";
    rq.bearer = &bearer;
    assert_request(&rq,
                   "GET /ws HTTP/1.1\r\nHost: h\r\n" FIXED "authorization: Ticket abc\r\n\r\n");
}

/* Nothing that ends a line, or is ours to say, gets into a request; nothing is half written. */
static void test_request_refused(void **state)
{
    static const struct {
        enum wst_ticket_in in;
        const char *ticket;
        const char *name; /* Of the header, or the prefix. */
        const char *header;
        const char *subprotocol;
        const char *bearer;
        const char *cookies;
        const char *agent;
    } rows[] = {
        {.in = WST_TICKET_IN_HEADER, .ticket = "a\r\nX: y"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a\n"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a\x01"},
        {.in = WST_TICKET_IN_HEADER, .ticket = " a"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a\t"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a", .name = "X Y"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a", .name = ""},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a", .name = "Host"},
        {.in = WST_TICKET_IN_HEADER, .ticket = "a", .name = "Sec-WebSocket-Key"},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "a b"},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "a,b"},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "a="},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "a/b"},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "\xc3\xbc"},
        {.in = WST_TICKET_IN_SUBPROTOCOL, .ticket = "a", .name = "p "},
        {.subprotocol = "a b"},
        {.subprotocol = ""},
        {.header = "no colon"},
        {.header = "A B: c"},
        {.header = "A: b\r\nC: d"},
        {.header = "A: b\n"},
        {.header = ": b"},
        {.header = " A: b"},
        {.header = "Host: x"},
        {.header = "upgrade: x"},
        {.header = "Connection: close"},
        {.header = "Content-Length: 1"},
        {.header = "Transfer-Encoding: chunked"},
        {.header = "SEC-WebSocket-Protocol: x"},
        {.header = "Cookie: a\r\nb"},
        {.bearer = "a b"},
        {.bearer = "a\r\n"},
        {.bearer = "\xc3\xbc"},
        {.bearer = "a\x7f"},
        {.cookies = "a=b\r\n"},
        {.agent = "a\nb"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__upgrade_request rq = plain_request("wss://h/ws");
        const char *const headers[] = {rows[i].header, NULL};
        struct wst__buf b;

        set(&ticket, rows[i].ticket ? rows[i].ticket : "");
        set(&bearer, rows[i].bearer ? rows[i].bearer : "");
        rq.ticket = &ticket;
        rq.ticket_in = rows[i].in;
        rq.ticket_header = rq.subprotocol_prefix = rows[i].name;
        rq.headers = headers;
        rq.subprotocols = &rows[i].subprotocol;
        rq.subprotocol_count = rows[i].subprotocol != NULL;
        rq.bearer = &bearer;
        rq.cookies = rows[i].cookies;
        rq.user_agent = rows[i].agent;
        wst__buf_init(&b, 4096, true);
        assert_int_equal(wst__buf_adds(&b, "before"), 0);
        if (wst__upgrade_write(&b, &rq) != WST_ERR_INVALID)
            fail_msg("row %zu", i);
        assert_int_equal(b.len, 6);
        wst__buf_fini(&b);
    }
}

static void test_request_too_large(void **state)
{
    struct wst__upgrade_request rq = plain_request("wss://h/ws");
    static const char expected[] = "GET /ws HTTP/1.1\r\nHost: h\r\n" FIXED "\r\n";
    struct wst__buf b;

    (void)state;
    for (size_t max = 0; max < sizeof expected - 1; max++) {
        wst__buf_init(&b, max, true);
        assert_int_equal(wst__upgrade_write(&b, &rq), WST_ERR_TOO_LARGE);
        assert_int_equal(b.len, 0);
        wst__buf_fini(&b);
    }
}

/* ---- The answer ---- */

struct outcome {
    int rc;
    size_t used;
    char text[2048]; /* All that can be seen, for comparing. */
    struct wst_cause why;
};

static const char *const offered[] = {"chat", "superchat"};

static struct wst__upgrade_request offering_request(void)
{
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    set(&ticket, "S3CR3T");
    rq.ticket = &ticket;
    rq.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    rq.subprotocol_prefix = "t.";
    rq.subprotocols = offered;
    rq.subprotocol_count = 2;
    rq.extensions = "permessage-deflate; client_max_window_bits, x-other";
    return rq;
}

/* Feeds |n| bytes in pieces whose lengths |piece| tells, then the end when |eof|. */
static void run(struct outcome *o, struct wst__upgrade *u, const char *bytes, size_t n, bool eof,
                size_t (*piece)(size_t at, size_t left, size_t arg), size_t arg)
{
    memset(o, 0, sizeof *o);
    for (size_t at = 0; at < n && o->rc == 0;) {
        size_t len = piece(at, n - at, arg);
        size_t used;
        char *copy = malloc(len); /* So that a read beyond it is seen. */

        assert_non_null(copy);
        memcpy(copy, bytes + at, len);
        o->rc = wst__upgrade_feed(u, (uint8_t *)copy, len, &used, &o->why);
        free(copy);
        assert_true(used <= len);
        if (o->rc == 0)
            assert_int_equal(used, len);
        o->used += used;
        at += len;
    }
    if (o->rc == 0 && eof)
        o->rc = wst__upgrade_eof(u, &o->why);
    (void)snprintf(o->text, sizeof o->text,
                   "rc %d used %zu status %d accepted %d retry %d %llu to '%s' auth '%s' "
                   "sub '%s' ext '%s' body '%.*s' why %d %d '%s'",
                   o->rc, o->used, u->status, u->accepted, u->has_retry_after,
                   (unsigned long long)u->retry_after_ms, u->location_host, u->www_authenticate,
                   u->subprotocol, u->extensions, (int)u->body.len, (char *)u->body.data,
                   o->why.code, o->why.http_status, o->why.text);
}

static size_t whole(size_t at, size_t left, size_t arg)
{
    (void)at;
    (void)arg;
    return left;
}

static size_t single(size_t at, size_t left, size_t arg)
{
    (void)at;
    (void)left;
    (void)arg;
    return 1;
}

static size_t split_at(size_t at, size_t left, size_t arg)
{
    return at < arg ? arg - at : left;
}

static size_t at_random(size_t at, size_t left, size_t arg)
{
    size_t len = (size_t)rand() % 40 + 1;

    (void)at;
    (void)arg;
    return len < left ? len : left;
}

static void fresh(struct wst__upgrade *u)
{
    struct wst__upgrade_request rq = offering_request();

    assert_int_equal(wst__upgrade_init(u, &rq, MAX_HEADER, MAX_BODY), 0);
}

static void run_fresh(struct outcome *o, const char *bytes, size_t n, bool eof,
                      size_t (*piece)(size_t, size_t, size_t), size_t arg)
{
    struct wst__upgrade u;

    fresh(&u);
    run(o, &u, bytes, n, eof, piece, arg);
    wst__upgrade_fini(&u);
}

/* The same outcome however the bytes are split: by single bytes, in two anywhere, at random. */
static void assert_same_for_all_splits(const struct outcome *expected, const char *bytes, size_t n,
                                       bool eof)
{
    struct outcome o;

    run_fresh(&o, bytes, n, eof, single, 0);
    assert_string_equal(o.text, expected->text);
    for (size_t at = 1; at < n; at++) {
        run_fresh(&o, bytes, n, eof, split_at, at);
        assert_string_equal(o.text, expected->text);
    }
    for (unsigned seed = 1; seed <= 10; seed++) {
        srand(seed);
        run_fresh(&o, bytes, n, eof, at_random, 0);
        assert_string_equal(o.text, expected->text);
    }
}

static void test_accepted(void **state)
{
    static const struct {
        const char *head;
        const char *subprotocol;
        const char *extensions;
    } rows[] = {
        {GOOD, "", ""},
        {"HTTP/1.1 101 \r\n" UPGRADE ACCEPT, "", ""},
        {"HTTP/1.1 101\r\n" UPGRADE ACCEPT, "", ""},
        {SWITCH "UPGRADE:WebSocket\r\nconnection:keep-alive , uPGRADE\r\n" ACCEPT, "", ""},
        {SWITCH "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" ACCEPT,
         "", ""},
        {SWITCH "Upgrade: h2c, websocket\r\nConnection: ,, Upgrade,\r\n" ACCEPT, "", ""},
        {SWITCH UPGRADE "sec-websocket-accept:\t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t\r\n", "", ""},
        {GOOD "Sec-WebSocket-Protocol: chat\r\n", "chat", ""},
        {GOOD "sec-websocket-protocol:  superchat \r\n", "superchat", ""},
        {GOOD "Sec-WebSocket-Protocol: t.S3CR3T\r\n", "", ""}, /* Not told: it is the ticket. */
        {GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n", "", "permessage-deflate"},
        {GOOD "Sec-WebSocket-Extensions: Permessage-Deflate ; client_max_window_bits=10\r\n"
              "Sec-WebSocket-Extensions: x-other;a=\",;\"\r\n",
         "", "Permessage-Deflate ; client_max_window_bits=10, x-other;a=\",;\""},
        {GOOD "Sec-WebSocket-Extensions: x-other;a=\"\\\",\"\r\n", "", "x-other;a=\"\\\",\""},
        {GOOD "Sec-WebSocket-Extensions: x-other;a=\"\\\r\n", "", "x-other;a=\"\\"},
        {GOOD "Sec-WebSocket-Extensions: x-other\t;a=1\r\n", "", "x-other\t;a=1"},
        {GOOD "Sec-WebSocket-Extensions:\r\n", "", ""},
        {GOOD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "", ""},
        {GOOD "X-Empty:\r\nX-Obs: \xfc\r\n", "", ""},
        {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" GOOD, "",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__upgrade u;
        struct outcome o;
        char bytes[1024];
        size_t head = strlen(rows[i].head) + 2;

        /* Frames are glued to it: a text frame, and bytes that look like another answer. */
        (void)snprintf(bytes, sizeof bytes,
                       "%s\r\n\x81\x03"
                       "abcHTTP/1.1 500 x\r\n\r\n",
                       rows[i].head);
        fresh(&u);
        run(&o, &u, bytes, strlen(bytes), false, whole, 0);
        if (o.rc != 1)
            fail_msg("%s: %s", rows[i].head, o.text);
        assert_true(u.accepted);
        assert_int_equal(u.status, 101);
        assert_int_equal(o.used, head);
        assert_string_equal(u.subprotocol, rows[i].subprotocol);
        assert_string_equal(u.extensions, rows[i].extensions);
        wst__upgrade_fini(&u);
        assert_same_for_all_splits(&o, bytes, strlen(bytes), false);
        run_fresh(&o, bytes, head - 1, true, whole, 0);
        assert_int_equal(o.rc, WST_ERR_EOF);
        assert_int_equal(o.why.http_status, 0);
    }
}

static void test_bad_answers(void **state)
{
    static const struct {
        const char *bytes;
        const char *says;
        int http_status;
    } rows[] = {
        {SWITCH "\r\n", "has no Upgrade: websocket header", 0},
        {SWITCH "Upgrade: notwebsocket\r\nConnection: Upgrade\r\n" ACCEPT "\r\n",
         "no Upgrade: websocket header", 0},
        {SWITCH "Upgrade: websocket2\r\nConnection: Upgrade\r\n" ACCEPT "\r\n",
         "no Upgrade: websocket header", 0},
        {SWITCH "Upgrade: websocket\r\n" ACCEPT "\r\n", "no Connection: Upgrade header", 0},
        {SWITCH "Upgrade: websocket\r\nConnection: notupgrade, upgrade2\r\n" ACCEPT "\r\n",
         "no Connection: Upgrade header", 0},
        {SWITCH "Upgrade: websocket\r\nConnection: \"Upgrade\"\r\n" ACCEPT "\r\n",
         "no Connection: Upgrade header", 0},
        {SWITCH UPGRADE "\r\n", "no Sec-WebSocket-Accept header", 0},
        {GOOD ACCEPT "\r\n", "more than one Sec-WebSocket-Accept header", 0},
        {SWITCH UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo\r\n\r\n",
         "Sec-WebSocket-Accept header that does not fit our key", 0},
        {SWITCH UPGRADE "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n\r\n",
         "does not fit our key", 0},
        {SWITCH UPGRADE "Sec-WebSocket-Accept: " KEY "\r\n\r\n", "does not fit our key", 0},
        {SWITCH UPGRADE "Sec-WebSocket-Accept:\r\n\r\n", "does not fit our key", 0},
        {GOOD "Sec-WebSocket-Protocol: other\r\n\r\n",
         "Sec-WebSocket-Protocol header that names none of those we offered", 0},
        {GOOD "Sec-WebSocket-Protocol: CHAT\r\n\r\n", "none of those we offered", 0},
        {GOOD "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n", "none of those we offered", 0},
        {GOOD "Sec-WebSocket-Protocol:\r\n\r\n", "none of those we offered", 0},
        {GOOD "Sec-WebSocket-Protocol: t.S3CR3\r\n\r\n", "none of those we offered", 0},
        {GOOD "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
         "more than one Sec-WebSocket-Protocol header", 0},
        {GOOD "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n\r\n",
         "Sec-WebSocket-Extensions header that names one we did not offer", 0},
        {GOOD "Sec-WebSocket-Extensions: permessage-deflate, permessage\r\n\r\n",
         "one we did not offer", 0},
        {GOOD "Sec-WebSocket-Extensions: permessage-deflate2\r\n\r\n", "one we did not offer", 0},
        {GOOD "Sec-WebSocket-Extensions: y-other\r\n\r\n", "one we did not offer", 0},
        {GOOD "Sec-WebSocket-Extensions: ;a=1\r\n\r\n", "one we did not offer", 0},
        {"HTTP/1.0 101 OK\r\n" UPGRADE ACCEPT "\r\n", "is a 101 in HTTP/1.0", 0},
        {"SSH-2.0-OpenSSH\r\n", "is not HTTP", 0},
        {"\x15\x03\x01", "is not HTTP", 0},
        {"\r\n" GOOD "\r\n", "is not HTTP", 0},
        {"http/1.1 101 x\r\n", "is not HTTP", 0},
        {"HTTP/2 101\r\n", "status line", 0},
        {"HTTP/2.0 101 x\r\n", "status line", 0},
        {"HTTP/1.2 101 x\r\n", "status line", 0},
        {"HTTP/1.1  101 x\r\n", "status", 0},
        {"HTTP/1.1 10 x\r\n", "status", 0},
        {"HTTP/1.1 1011 x\r\n", "status line", 0},
        {"HTTP/1.1 099 x\r\n", "status line", 0},
        {"HTTP/1.1 1x1 x\r\n", "status that is not a number", 0},
        {"HTTP/1.1 1+1 x\r\n", "status that is not a number", 0},
        {"HTTP/1.1x101 x\r\n", "status line", 0},
        {"HTTP/1.1 101 \x01\r\n", "status line", 0},
        {"HTTP/1.1\r\n", "status line", 0},
        {"HTTP/\r\n", "status line", 0},
        {"HTTP/1.1 101 x\n", "does not end in CR LF", 0},
        {SWITCH "Upgrade: websocket\n", "does not end in CR LF", 0},
        {SWITCH "Upgrade: websocket\r\r\n", "does not end in CR LF", 0},
        {SWITCH "A: b\rC: d\r\n", "does not end in CR LF", 0},
        {GOOD "\r\r\n", "does not end in CR LF", 0},
        {SWITCH "A: b\r\n c\r\n", "no header", 0},
        {SWITCH "A: b\r\n\tc\r\n", "no header", 0},
        {SWITCH " A: b\r\n", "no header", 0},
        {SWITCH "A : b\r\n", "no header", 0},
        {SWITCH "a{b: c\r\n", "no header", 0},
        {SWITCH ": b\r\n", "no header", 0},
        {SWITCH "no colon\r\n", "no header", 0},
        {SWITCH "A: b\x7f\r\n", "no header", 0},
        {SWITCH "\xc3\xbc: b\r\n", "no header", 0},
        {"HTTP/1.1 401 S3CR3T\r\nno colon S3CR3T\r\n", "no header", 401},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome o;
        char bytes[1024];

        (void)snprintf(bytes, sizeof bytes, "%s\x81\x02xy", rows[i].bytes);
        run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
        if (o.rc != WST_ERR_BAD_UPGRADE || !strstr(o.why.text, rows[i].says))
            fail_msg("%s: %s", rows[i].bytes, o.text);
        assert_int_equal(o.why.code, WST_ERR_BAD_UPGRADE);
        assert_int_equal(o.why.step, WST_STEP_CONNECT);
        assert_int_equal(o.why.http_status, rows[i].http_status);
        assert_null(strstr(o.why.text, "S3CR3T"));
        assert_null(strstr(o.text, "accepted 1"));
        assert_same_for_all_splits(&o, bytes, strlen(bytes), false);
    }
}

static void test_nul_in_head(void **state)
{
    static const char bytes[] = SWITCH "A: b\0c\r\n\r\n";
    struct outcome o;

    (void)state;
    run_fresh(&o, bytes, sizeof bytes - 1, false, whole, 0);
    assert_int_equal(o.rc, WST_ERR_BAD_UPGRADE);
    assert_non_null(strstr(o.why.text, "NUL byte"));
    assert_same_for_all_splits(&o, bytes, sizeof bytes - 1, false);
}

/* Without an offer nothing may be chosen. */
static void test_nothing_offered(void **state)
{
    static const char *const answers[] = {
        GOOD "Sec-WebSocket-Protocol: chat\r\n\r\n",
        GOOD "Sec-WebSocket-Protocol:\r\n\r\n",
        GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        GOOD "\r\n",
    };
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct wst__upgrade u;
        struct outcome o;

        assert_int_equal(wst__upgrade_init(&u, &rq, MAX_HEADER, MAX_BODY), 0);
        run(&o, &u, answers[i], strlen(answers[i]), false, whole, 0);
        assert_int_equal(o.rc, i == 3 ? 1 : WST_ERR_BAD_UPGRADE);
        wst__upgrade_fini(&u);
    }
}

/* A date without the server's own: it counts from our clock. */
static void test_retry_after_by_our_clock(void **state)
{
    static const struct {
        const char *date;
        int64_t wall_s;
        bool has;
        uint64_t ms;
    } rows[] = {
        {"", 784111777, true, 30000},
        {"", 784111807, true, 0},
        {"", 0, false, 0},
        {"Date: soon\r\n", 784111777, true, 30000},
        {"Date: Sun, 06 Nov 1994 08:49:57 GMT\r\n", 784111777, true, 10000},
    };
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__upgrade u;
        struct outcome o;
        char bytes[256];

        rq.wall_s = rows[i].wall_s;
        assert_int_equal(wst__upgrade_init(&u, &rq, MAX_HEADER, MAX_BODY), 0);
        (void)snprintf(bytes, sizeof bytes,
                       "HTTP/1.1 503 x\r\n%sContent-Length: 0\r\n"
                       "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n\r\n",
                       rows[i].date);
        run(&o, &u, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, WST_ERR_UPGRADE_REFUSED);
        assert_int_equal(u.has_retry_after, rows[i].has);
        assert_int_equal(u.retry_after_ms, rows[i].ms);
        wst__upgrade_fini(&u);
    }
}

/* What does not fit its place is refused, not cut. */
static void test_too_long_choices(void **state)
{
    static const char name[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct wst__upgrade_request rq = plain_request("wss://h/ws");

    (void)state;
    for (size_t cut = 0; cut <= 12; cut++) {
        const char *const names[] = {name + cut};
        bool fits = strlen(name) - cut <= 127;
        struct wst__upgrade u;
        struct outcome o;
        char bytes[1024];

        rq.subprotocols = names;
        rq.subprotocol_count = 1;
        assert_int_equal(wst__upgrade_init(&u, &rq, MAX_HEADER, MAX_BODY), 0);
        (void)snprintf(bytes, sizeof bytes, "%sSec-WebSocket-Protocol: %s\r\n\r\n", GOOD, names[0]);
        run(&o, &u, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, fits ? 1 : WST_ERR_BAD_UPGRADE);
        assert_string_equal(u.subprotocol, fits ? names[0] : "");
        wst__upgrade_fini(&u);
    }
    for (int n = 253; n <= 256; n++) {
        struct outcome o;
        char bytes[1024];

        (void)snprintf(bytes, sizeof bytes, "%sSec-WebSocket-Extensions: x-other;a=%0*d\r\n\r\n",
                       GOOD, n - 10, 0);
        run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, n <= 255 ? 1 : WST_ERR_BAD_UPGRADE);
    }
}

/* |expected| is what |o->text| says from "status" on, up to the cause's text. */
static void test_refused(void **state)
{
    static const struct {
        const char *bytes;
        bool eof;
        const char *expected;
        const char *says;
    } rows[] = {
        {"HTTP/1.1 401 Unauthorized S3CR3T\r\nContent-Length: 5\r\n\r\nhello", false,
         "status 401 accepted 0 retry 0 0 to '' auth '' sub '' ext '' body 'hello' why -40 401",
         "'the server refused the WebSocket upgrade with status 401'"},
        {"HTTP/1.1 403\r\nContent-Length: 0\r\n\r\n", false, "body '' why -40 403", "403'"},
        {"HTTP/1.0 401 Unauthorized\r\n\r\nbye", true, "body 'bye' why -40 401", "401'"},
        {"HTTP/1.0 401 Unauthorized\r\n\r\n", true, "body '' why -40 401", "401'"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, "body 'hi' why -40 200",
         "status 200 instead of 101: is it a WebSocket endpoint?"},
        {"HTTP/1.1 204 x\r\n\r\n", false, "body '' why -40 204", "204 instead"},
        {"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", false, "body '' why -40 999", "999'"},
        /* Framing. */
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: Chunked\r\n\r\n"
         "3\r\n{\"a\r\nA;x=\"y\"\r\n\":1,\"bc\":2\r\n1 \r\n}\r\n0\r\nTrailer: x\r\nY: z\r\n\r\n",
         false, "body '{\"a\":1,\"bc\":2}' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", false,
         "body '0123456789' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX", false,
         "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\nzz", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\t\r\nabc\r\n0\r\n\r\n", false,
         "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\rX", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\rX", false,
         "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\rX", false,
         "body '' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: gzip\r\n\r\nabc", true, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000000\r\n", false,
         "body '' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", true,
         "body 'ab' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nab\r\n0"
         "\r\n\r\n",
         false, "body 'ab' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.0 503 x\r\nTransfer-Encoding: chunked\r\n\r\n", false, "body '' why -40 503",
         "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 3\r\nContent-Length: 3, 3\r\n\r\nabc", false,
         "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false,
         "body '' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: -3\r\n\r\n", false, "body '' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc", true,
         "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 1000\r\n\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123", /* 64: the ceiling. */
         false, "body '0123456789012345678901234567890123456789012345678901234567890123' why -40",
         "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 10\r\n\r\nabc", true, "body 'abc' why -40 503", "503'"},
        {"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", false,
         "body '' why -40 503", "503'"},
        /* Retry-After. */
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 120\r\n\r\n", false,
         "retry 1 120000 ", "503'"},
        {"HTTP/1.1 429 x\r\nContent-Length: 0\r\nretry-after:0\r\n\r\n", false, "retry 1 0 ",
         "429'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 99999999999999999999999999\r\n\r\n",
         false, "retry 1 86400000 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: -7\r\n\r\n", false, "retry 0 0 ",
         "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After:\r\n\r\n", false, "retry 0 0 ",
         "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: 1.5\r\n\r\n", false, "retry 0 0 ",
         "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n\r\n",
         false, "retry 1 30000 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: Sunday, 06-Nov-94 08:49:37 GMT\r\n"
         "Retry-After: Sun Nov  6 08:49:38 1994\r\n\r\n",
         false, "retry 1 1000 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Retry-After: Sat, 05 Nov 1994 08:50:07 GMT\r\n\r\n",
         false, "retry 1 0 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Retry-After: Sun, 06 Nov 2033 08:50:07 GMT\r\n\r\n",
         false, "retry 1 86400000 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n"
         "\r\n",
         false, "retry 0 0 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Retry-After: soon\r\n\r\n",
         false, "retry 0 0 ", "503'"},
        {"HTTP/1.1 503 x\r\nContent-Length: 0\r\nDate: soon\r\n"
         "Retry-After: Sun, 06 Nov 1994 08:50:07 GMT\r\n\r\n",
         false, "retry 0 0 ", "503'"},
        /* Redirects. */
        {"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: https://login.example.com/a?S3CR3T\r\n"
         "\r\n",
         false, "to 'login.example.com' auth '' sub '' ext '' body '' why -31 302",
         "'redirected to login.example.com: not followed (status 302)'"},
        {"HTTP/1.1 307 x\r\nContent-Length: 0\r\nLocation: //S3CR3T:p@h:8443\r\n\r\n", false,
         "to 'h' ", "'redirected to h: not followed"},
        {"HTTP/1.1 307 x\r\nContent-Length: 0\r\nLocation: http://a@b@[::1]:1/@c\r\n\r\n", false,
         "to '[::1]:1' ", "redirected to [::1]:1: not followed"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: /login?next=//S3CR3T/\r\n\r\n", false,
         "to '' ", "'redirected (no other host is named): not followed (status 301)'"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: https://h<b>/\r\n\r\n", false, "to '' ",
         "redirected (no other host"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: x\r\n\r\n", false, "to '' ",
         "redirected (no other host"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: https:/h/\r\n\r\n", false, "to '' ",
         "redirected (no other host"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: ?//h/\r\n\r\n", false, "to '' ",
         "redirected (no other host"},
        {"HTTP/1.1 301 x\r\nContent-Length: 0\r\nLocation: //" LONG_NAME "/\r\n\r\n", false,
         "to '' ", "redirected (no other host"},
        {"HTTP/1.1 304 x\r\n\r\n", false, "to '' ", "redirected (no other host"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nLocation: https://h/\r\n\r\n", false,
         "to '' auth '' sub '' ext '' body '' why -40 401", "401'"},
        /* WWW-Authenticate: scheme and error only. */
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer realm=\"S3CR3T\", "
         "error=\"invalid_token\", error_description=\"S3CR3T\"\r\n\r\n",
         false, "auth 'Bearer error=\"invalid_token\"' ",
         "status 401 (Bearer error=\"invalid_token\")'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\n\r\n", false,
         "auth 'Basic' ", "status 401 (Basic)'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error=\"S3CR3T\"\r\n\r\n",
         false, "auth 'Bearer' ", "status 401 (Bearer)'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error=\"oops\r\n\r\n",
         false, "auth 'Bearer' ", "status 401 (Bearer)'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: S3CR3T x\r\n\r\n", false,
         "auth '' ", "status 401'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: My-own_scheme "
         "error=\"a_b-c\"\r\n"
         "\r\n",
         false, "auth 'My-own_scheme error=\"a_b-c\"' ", "status 401"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: {Bearer}\r\n\r\n", false,
         "auth '' ", "status 401'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: " LETTERS_33 " x\r\n\r\n", false,
         "auth '' ", "status 401'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error=\"\"\r\n\r\n",
         false, "auth 'Bearer' ", "status 401 (Bearer)'"},
        {"HTTP/1.1 401 x\r\nContent-Length: 0\r\nWWW-Authenticate: Bearer error=\"" LETTERS_33
             LETTERS_33 "\"\r\n\r\n",
         false, "auth 'Bearer' ", "status 401 (Bearer)'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome o;

        run_fresh(&o, rows[i].bytes, strlen(rows[i].bytes), rows[i].eof, whole, 0);
        if (!strstr(o.text, rows[i].expected) || !strstr(o.text, rows[i].says) ||
            strstr(o.text, "S3CR3T"))
            fail_msg("%s: %s", rows[i].bytes, o.text);
        /* Behind a body that went wrong a few bytes are left. */
        assert_in_range(o.used, strlen(rows[i].bytes) - 5, strlen(rows[i].bytes));
        assert_same_for_all_splits(&o, rows[i].bytes, strlen(rows[i].bytes), rows[i].eof);
    }
}

/* Every status but 101 that can be the last word is a refusal or a redirect. */
static void test_every_status(void **state)
{
    (void)state;
    for (int status = 200; status <= 599; status++) {
        char bytes[64];
        struct outcome o;

        (void)snprintf(bytes, sizeof bytes, "HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n", status);
        run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, status / 100 == 3 ? WST_ERR_REDIRECTED : WST_ERR_UPGRADE_REFUSED);
        assert_int_equal(o.why.http_status, status);
    }
}

static size_t interim_answer(char *out, size_t room, int lines)
{
    size_t n = (size_t)snprintf(out, room, "HTTP/1.1 102 x\r\n");

    while (lines--)
        n += (size_t)snprintf(out + n, room - n, "A: b\r\n");
    return n + (size_t)snprintf(out + n, room - n, "\r\n");
}

static void test_ceilings(void **state)
{
    static char bytes[8192];
    struct outcome o;
    size_t n;

    (void)state;
    /* Bytes: exactly the ceiling is taken, one more is not. */
    for (int more = 0; more <= 1; more++) {
        int fill = MAX_HEADER - (int)strlen(GOOD) - (int)strlen("X: \r\n\r\n") + more;

        (void)snprintf(bytes, sizeof bytes, "%sX: %0*d\r\n\r\n", GOOD, fill, 0);
        run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, more ? WST_ERR_REPLY_TOO_LARGE : 1);
        assert_same_for_all_splits(&o, bytes, strlen(bytes), false);
    }
    assert_non_null(strstr(o.why.text, "more than 2048 bytes of headers"));
    assert_int_equal(o.why.http_status, 0);

    /* Lines: 100 headers are taken, 101 not. */
    for (int lines = 100; lines <= 101; lines++) {
        n = (size_t)snprintf(bytes, sizeof bytes, "%s", GOOD);
        for (int i = 3; i < lines; i++)
            n += (size_t)snprintf(bytes + n, sizeof bytes - n, "X: y\r\n");
        (void)snprintf(bytes + n, sizeof bytes - n, "\r\n");
        run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
        assert_int_equal(o.rc, lines == 100 ? 1 : WST_ERR_REPLY_TOO_LARGE);
    }
    assert_non_null(strstr(o.why.text, "more than 100 header lines"));

    /* Interim answers: 8 are passed over, 9 not.  Their lines do not count for the answer. */
    for (int interim = 8; interim <= 9; interim++) {
        n = 0;
        for (int i = 0; i < interim; i++)
            n += interim_answer(bytes + n, sizeof bytes - n, 20);
        (void)snprintf(bytes + n, sizeof bytes - n, "%s\r\n", GOOD);
        run_fresh(&o, bytes, strlen(bytes), false, single, 0);
        assert_int_equal(o.rc, interim == 8 ? 1 : WST_ERR_REPLY_TOO_LARGE);
    }

    /* A refusal whose head is too large keeps its status. */
    (void)snprintf(bytes, sizeof bytes, "HTTP/1.1 403 x\r\nX: %0*d", MAX_HEADER, 0);
    run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
    assert_int_equal(o.rc, WST_ERR_REPLY_TOO_LARGE);
    assert_int_equal(o.why.http_status, 403);

    /* Extensions and trailers of chunks are bounded, too. */
    (void)snprintf(bytes, sizeof bytes,
                   "HTTP/1.1 403 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: %0*d", 5000, 0);
    run_fresh(&o, bytes, strlen(bytes), false, whole, 0);
    assert_int_equal(o.rc, WST_ERR_UPGRADE_REFUSED);
    assert_true(o.used < 4400);
}

static void test_no_body_wanted(void **state)
{
    struct wst__upgrade_request rq = plain_request("wss://h/ws");
    struct wst__upgrade u;
    struct outcome o;

    (void)state;
    assert_int_equal(wst__upgrade_init(&u, &rq, MAX_HEADER, 0), 0);
    run(&o, &u, "HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\n", 38, false, whole, 0);
    assert_int_equal(o.rc, WST_ERR_UPGRADE_REFUSED);
    wst__upgrade_fini(&u);
}

/* The end before the head is complete; and what is over stays as it was. */
static void test_eof_and_after(void **state)
{
    static const char refusal[] = "HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n";
    struct wst__upgrade u;
    struct wst_cause why;
    struct outcome o;
    size_t used;

    (void)state;
    run_fresh(&o, "", 0, true, whole, 0);
    assert_int_equal(o.rc, WST_ERR_EOF);
    assert_non_null(strstr(o.why.text, "ended before the answer"));
    run_fresh(&o, "HTTP/1.1 1", 10, true, whole, 0);
    assert_int_equal(o.rc, WST_ERR_EOF);
    assert_non_null(strstr(o.why.text, "ended in the middle"));
    run_fresh(&o, "HTTP/1.1 103 x\r\n\r\n", 18, true, whole, 0);
    assert_int_equal(o.rc, WST_ERR_EOF);
    assert_non_null(strstr(o.why.text, "ended in the middle"));
    assert_null(strstr(o.why.text, "TLS"));

    fresh(&u);
    run(&o, &u, refusal, sizeof refusal - 1, false, whole, 0);
    assert_int_equal(wst__upgrade_feed(&u, (const uint8_t *)"x", 1, &used, &why),
                     WST_ERR_UPGRADE_REFUSED);
    assert_int_equal(used, 0);
    assert_string_equal(why.text, o.why.text);
    assert_int_equal(wst__upgrade_eof(&u, &why), WST_ERR_UPGRADE_REFUSED);
    assert_int_equal(wst__upgrade_eof(&u, NULL), WST_ERR_UPGRADE_REFUSED);
    wst__upgrade_fini(&u);
    wst__upgrade_fini(&u);
}

/* A server that wants TLS drops what it cannot read. */
static void test_eof_without_tls(void **state)
{
    struct wst__upgrade_request rq = plain_request("ws://localhost/ws");
    struct wst__upgrade u;
    struct wst_cause why;

    (void)state;
    assert_int_equal(wst__upgrade_init(&u, &rq, MAX_HEADER, MAX_BODY), 0);
    assert_int_equal(wst__upgrade_eof(&u, &why), WST_ERR_EOF);
    assert_non_null(strstr(why.text, "does it want TLS (wss)?"));
    wst__upgrade_fini(&u);
}

/* ---- Memory ---- */

/* A whole exchange; a refusal with a body when |refused|. */
static int exchange(bool refused)
{
    static const char refusal[] = "HTTP/1.1 401 x\r\nSet-Cookie: S3CR3T\r\nContent-Length: 12\r\n"
                                  "\r\nS3CR3TS3CR3T";
    static const char good[] = GOOD "Sec-WebSocket-Protocol: t.S3CR3T\r\n\r\n";
    struct wst__upgrade_request rq = {.url = &url, .ticket = &ticket};
    struct wst__upgrade u;
    struct wst__buf out;
    size_t used;
    int rc;

    memcpy(rq.nonce, NONCE, sizeof rq.nonce);
    rq.ticket_in = WST_TICKET_IN_SUBPROTOCOL;
    rq.subprotocol_prefix = "t.";
    rq.subprotocols = offered;
    rq.subprotocol_count = 2;
    rq.extensions = "permessage-deflate";
    wst__buf_init(&out, 65536, true);
    rc = wst__upgrade_write(&out, &rq);
    wst__buf_fini(&out);
    if (rc != 0)
        return rc;
    rc = wst__upgrade_init(&u, &rq, MAX_HEADER, MAX_BODY);
    if (rc == 0 && refused)
        rc = wst__upgrade_feed(&u, (const uint8_t *)refusal, sizeof refusal - 1, &used, NULL);
    else if (rc == 0)
        rc = wst__upgrade_feed(&u, (const uint8_t *)good, sizeof good - 1, &used, NULL);
    wst__upgrade_fini(&u);
    return rc;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    (void)offering_request(); /* Sets url and ticket. */
    for (int refused = 0; refused <= 1; refused++) {
        long before = memory_alive();
        long n = 1;

        for (;; n++) {
            int rc;

            memory_fail_at(n);
            rc = exchange(refused);
            assert_int_equal(memory_alive(), before);
            if (!memory_failed()) {
                assert_int_equal(rc, refused ? WST_ERR_UPGRADE_REFUSED : 1);
                break;
            }
            assert_int_equal(rc, WST_ERR_NOMEM);
        }
        assert_true(n > 6);
        memory_fail_at(0);
    }
}

static void test_wiped(void **state)
{
    (void)state;
    memory_plant("S3CR3T");
    (void)offering_request();
    assert_int_equal(exchange(false), 1);
    assert_int_equal(exchange(true), WST_ERR_UPGRADE_REFUSED);
    wst__secret_drop(&ticket);
    assert_int_equal(memory_found(), 0);
    memory_plant(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_request_plain, teardown),
        cmocka_unit_test_teardown(test_request_query, teardown),
        cmocka_unit_test_teardown(test_request_full, teardown),
        cmocka_unit_test_teardown(test_request_own_headers, teardown),
        cmocka_unit_test_teardown(test_request_ticket_as_authorization, teardown),
        cmocka_unit_test_teardown(test_request_refused, teardown),
        cmocka_unit_test_teardown(test_request_too_large, teardown),
        cmocka_unit_test_teardown(test_accepted, teardown),
        cmocka_unit_test_teardown(test_bad_answers, teardown),
        cmocka_unit_test_teardown(test_nul_in_head, teardown),
        cmocka_unit_test_teardown(test_nothing_offered, teardown),
        cmocka_unit_test_teardown(test_retry_after_by_our_clock, teardown),
        cmocka_unit_test_teardown(test_too_long_choices, teardown),
        cmocka_unit_test_teardown(test_refused, teardown),
        cmocka_unit_test_teardown(test_every_status, teardown),
        cmocka_unit_test_teardown(test_ceilings, teardown),
        cmocka_unit_test_teardown(test_no_body_wanted, teardown),
        cmocka_unit_test_teardown(test_eof_and_after, teardown),
        cmocka_unit_test_teardown(test_eof_without_tls, teardown),
        cmocka_unit_test_teardown(test_out_of_memory, teardown),
        cmocka_unit_test_teardown(test_wiped, teardown),
    };

    memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
