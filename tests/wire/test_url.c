#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory.h"
#include "wire/url.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#define HTTP WST__URL_HTTP
#define WS   WST__URL_WS
#define ANY  (HTTP | WS)
#define LONG_LABEL                                                                                 \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"

static const char *text_of(const struct wst__buf *b)
{
    static char text[16384];

    assert_in_range(b->len, 0, sizeof text - 1);
    if (b->len)
        memcpy(text, b->data, b->len);
    text[b->len] = '\0';
    return text;
}

static void assert_text(const char *got, const char *expected)
{
    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
}

/* What comes out of a URL. */
static const struct {
    const char *text;
    bool tls;
    const char *host;
    uint16_t port;
    const char *path;
    const char *query;
    const char *kind; /* Letters: i IP, 6 IPv6, l loopback. */
    const char *host_header;
} good[] = {
    {"https://api.example.com", true, "api.example.com", 443, "/", NULL, "", "api.example.com"},
    {"HTTPS://API.Example.COM/Path", true, "api.example.com", 443, "/Path", NULL, "",
     "api.example.com"},
    {"wss://h:8443/ws?a=1&b=2", true, "h", 8443, "/ws", "a=1&b=2", "", "h:8443"},
    {"ws://localhost/ws", false, "localhost", 80, "/ws", NULL, "l", "localhost"},
    {"wSs://h?x", true, "h", 443, "/", "x", "", "h"},
    {"http://dev.localhost:1/", false, "dev.localhost", 1, "/", NULL, "l", "dev.localhost:1"},
    {"http://notlocalhost/", false, "notlocalhost", 80, "/", NULL, "", "notlocalhost"},
    {"http://localhost.example/", false, "localhost.example", 80, "/", NULL, "",
     "localhost.example"},
    {"https://h:65535", true, "h", 65535, "/", NULL, "", "h:65535"},
    {"https://h:443/", true, "h", 443, "/", NULL, "", "h"},
    {"https://h:80/", true, "h", 80, "/", NULL, "", "h:80"},
    {"http://h:443/", false, "h", 443, "/", NULL, "", "h:443"},
    {"https://h:/x", true, "h", 443, "/x", NULL, "", "h"},
    {"https://h:0443/", true, "h", 443, "/", NULL, "", "h"},
    {"https://127.0.0.1/", true, "127.0.0.1", 443, "/", NULL, "il", "127.0.0.1"},
    {"http://127.255.1.2/", false, "127.255.1.2", 80, "/", NULL, "il", "127.255.1.2"},
    {"http://128.0.0.1/", false, "128.0.0.1", 80, "/", NULL, "i", "128.0.0.1"},
    {"http://0x7f.1/", false, "127.0.0.1", 80, "/", NULL, "il", "127.0.0.1"},
    {"http://2130706433/", false, "127.0.0.1", 80, "/", NULL, "il", "127.0.0.1"},
    {"http://[::1]:8080/", false, "::1", 8080, "/", NULL, "i6l", "[::1]:8080"},
    {"https://[2001:DB8:0::1]/", true, "2001:db8::1", 443, "/", NULL, "i6", "[2001:db8::1]"},
    {"http://[::1:0:1]/", false, "::1:0:1", 80, "/", NULL, "i6", "[::1:0:1]"},
    {"http://[::1:0:0:0:1]/", false, "::1:0:0:0:1", 80, "/", NULL, "i6", "[::1:0:0:0:1]"},
    {"http://[0:1::1]/", false, "0:1::1", 80, "/", NULL, "i6", "[0:1::1]"},
    {"http://[::2]/", false, "::2", 80, "/", NULL, "i6", "[::2]"},
    {"https://h./", true, "h", 443, "/", NULL, "", "h"},
    {"https://under_score.x/", true, "under_score.x", 443, "/", NULL, "", "under_score.x"},
    {"https://ex%61mple.com/", true, "example.com", 443, "/", NULL, "", "example.com"},
    {"https://b\xc3\xbc"
     "cher.example/",
     true, "xn--bcher-kva.example", 443, "/", NULL, "", "xn--bcher-kva.example"},
    {"https://B\xc3\x9c"
     "CHER.example/",
     true, "xn--bcher-kva.example", 443, "/", NULL, "", "xn--bcher-kva.example"},
    {"https://fa\xc3\x9f.de/", true, "xn--fa-hia.de", 443, "/", NULL, "", "xn--fa-hia.de"},
    {"wss://xn--bcher-kva.example/", true, "xn--bcher-kva.example", 443, "/", NULL, "",
     "xn--bcher-kva.example"},
    {"https://h/a/../b/./c", true, "h", 443, "/b/c", NULL, "", "h"},
    {"https://h/a%2Fb?c/../d?e", true, "h", 443, "/a%2Fb", "c/../d?e", "", "h"},
    {"https://h/\xc3\xbc?\xc3\xbc", true, "h", 443, "/%C3%BC", "%C3%BC", "", "h"},
    {"https://h/{a}|\"<b>^`?a[]=1", true, "h", 443, "/%7Ba%7D%7C%22%3Cb%3E%5E%60", "a%5B%5D=1", "",
     "h"},
    {"https://h/?", true, "h", 443, "/", NULL, "", "h"},
    {"https://h/p?", true, "h", 443, "/p", NULL, "", "h"},
    {"https://h/@:user", true, "h", 443, "/@:user", NULL, "", "h"},
};

static void check_good(const struct wst__url *u, size_t i)
{
    assert_int_equal(u->tls, good[i].tls);
    assert_string_equal(u->host, good[i].host);
    assert_int_equal(u->port, good[i].port);
    assert_string_equal(u->path, good[i].path);
    assert_text(u->query, good[i].query);
    assert_int_equal(u->is_ip, strchr(good[i].kind, 'i') != NULL);
    assert_int_equal(u->is_ipv6, strchr(good[i].kind, '6') != NULL);
    assert_int_equal(u->loopback, strchr(good[i].kind, 'l') != NULL);
}

/* The parts are right, and the text made of them means the same again. */
static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct wst__buf b;
        struct wst__url u;
        struct wst_cause why;

        wst__buf_init(&b, 16384, true);
        assert_int_equal(wst__url_parse(&u, good[i].text, ANY, "url", &why), 0);
        check_good(&u, i);
        assert_int_equal(wst__url_host_header(&u, &b), 0);
        assert_string_equal(text_of(&b), good[i].host_header);
        b.len = 0;
        assert_int_equal(wst__url_http_text(&u, &b), 0);
        wst__url_fini(&u);
        assert_int_equal(wst__url_parse(&u, text_of(&b), HTTP, "url", NULL), 0);
        check_good(&u, i);
        wst__url_fini(&u);
        wst__url_fini(&u);
        wst__buf_fini(&b);
    }
}

/* What is refused, and a part of the text that says why. */
static const struct {
    const char *text;
    unsigned schemes;
    const char *says;
} bad[] = {
    {"", ANY, "ticket_url is empty"},
    {"h", HTTP, "ticket_url must begin with https:// (or http:// for loopback)"},
    {"/path", HTTP, "must begin with https://"},
    {"ftp://h/", HTTP, "must begin with https://"},
    {"wss://h/", HTTP, "must begin with https:// (or http:// for loopback)"},
    {"https://h/", WS, "must begin with wss:// (or ws:// for loopback)"},
    {"mailto:x", ANY, "must begin with https:// or wss:// (or http:// or ws:// for loopback)"},
    {"https:/h", HTTP, "must begin with"},
    {" https://h", HTTP, "must begin with"},
    {"https://", HTTP, "has no host"},
    {"https:///path", HTTP, "has no host"},
    {"https://?x", HTTP, "has no host"},
    {"https://:443/", HTTP, "has no host"},
    {"https://h/a b", HTTP, "space or control character"},
    {"https://h/\t", HTTP, "space or control character"},
    {"https://h/\x7f", HTTP, "space or control character"},
    {"https://h\r\nX: y/", HTTP, "space or control character"},
    {"https://h/\n", HTTP, "space or control character"},
    {"https://h\\@evil/", HTTP, "backslash"},
    {"https://h/a\\b", HTTP, "backslash"},
    {"https://h/#frag", HTTP, "fragment"},
    {"https://h/#", HTTP, "fragment"},
    {"https://h#?", HTTP, "fragment"},
    {"https://user@h/", HTTP, "user name or password"},
    {"https://user:pass@h/", HTTP, "user name or password"},
    {"https://@h/", HTTP, "user name or password"},
    {"https://a@b@h/", HTTP, "user name or password"},
    {"https://h:0/", HTTP, "port that is not a number from 1 to 65535"},
    {"https://h:65536/", HTTP, "port that is not a number from 1 to 65535"},
    {"https://h:99999999999999999999/", HTTP, "port"},
    {"https://h:-1/", HTTP, "port"},
    {"https://h:12x/", HTTP, "port"},
    {"https://a..b/", HTTP, "host name that is not valid"},
    {"https://.a/", HTTP, "host name that is not valid"},
    {"https://h../", HTTP, "host name that is not valid"},
    {"https://./", HTTP, "host name that is not valid"},
    {"https://1.2.3.4.5/", HTTP, "host name that is not valid"},
    {"https://999.1.1.1/", HTTP, "host name that is not valid"},
    {"https://a.0x7f/", HTTP, "host name that is not valid"},
    {"https://a.0X7F/", HTTP, "host name that is not valid"},
    {"https://a.07/", HTTP, "host name that is not valid"},
    {"https://h%00x/", HTTP, "host name that is not valid"},
    {"https://a%2fb/", HTTP, "host name that is not valid"},
    {"https://a*b/", HTTP, "host name that is not valid"},
    {"https://a,b/", HTTP, "host name that is not valid"},
    {"https://[::1/", HTTP, "host name that is not valid"},
    {"https://[1.2.3.4]/", HTTP, "host name that is not valid"},
    {"https://[fe80::1%25eth0]/", HTTP, "IPv6 zone"},
    {"https://\xff\xfe.de/", HTTP, "cannot be made ASCII"},
    {"https://" LONG_LABEL LONG_LABEL LONG_LABEL ".x/", HTTP, "host name that is not valid"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wst__url u;
        struct wst_cause why;

        assert_int_equal(wst__url_parse(&u, bad[i].text, bad[i].schemes, "ticket_url", &why),
                         WST_ERR_CONFIG);
        if (!strstr(why.text, bad[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].text, why.text, bad[i].says);
        assert_ptr_equal(strstr(why.text, "ticket_url "), why.text);
        assert_null(u.host);
        assert_null(u.path);
        assert_null(u.query);
    }
}

static void test_length(void **state)
{
    static char text[WST__URL_MAX + 2] = "https://h/";
    struct wst__url u;
    struct wst_cause why;

    (void)state;
    memset(text + 10, 0x80, WST__URL_MAX - 10);
    assert_int_equal(wst__url_parse(&u, text, HTTP, "url", &why), 0);
    assert_int_equal(strlen(u.path), 1 + 3 * (WST__URL_MAX - 10));
    wst__url_fini(&u);
    text[WST__URL_MAX] = 'a';
    assert_int_equal(wst__url_parse(&u, text, HTTP, "url", &why), WST_ERR_CONFIG);
    assert_string_equal(why.text, "url is longer than 8192 bytes");
}

/* No part of a URL stands in an error text, wherever the fault is. */
static void test_no_secret_in_text(void **state)
{
    static const char *const urls[] = {
        "https://s3cr3t@h/",
        "https://u:s3cr3t@h/",
        "https://h:0/?t=s3cr3t",
        "https://h/?t=s3cr3t#x",
        "https://h/?s3cr3t a",
        "https://u:s3cr3t/@h",
        "s3cr3t://h",
        "https://h:s3cr3t/",
        "https://s3cr3t,x/",
        "https://[s3cr3t]/",
        "https:///?s3cr3t",
        "https://h\\?s3cr3t",
    };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct wst__url u;
        struct wst_cause why;

        assert_int_equal(wst__url_parse(&u, urls[i], ANY, "url", &why), WST_ERR_CONFIG);
        assert_null(strstr(why.text, "s3cr3t"));
    }
}

/* The caller's locale is neither needed nor changed. */
static void test_locale(void **state)
{
    struct wst__url u;

    (void)state;
    assert_string_equal(setlocale(LC_CTYPE, NULL), "C");
    assert_int_equal(wst__url_parse(&u, "https://\xc3\xbc.de", HTTP, "url", NULL), 0);
    assert_string_equal(u.host, "xn--tda.de");
    wst__url_fini(&u);
    assert_true(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
}

static void test_origin(void **state)
{
    static const struct {
        const char *text;
        const char *origin;
    } rows[] = {
        {"https://H/x?y", "https://h:443"},        {"wss://h", "https://h:443"},
        {"ws://localhost", "http://localhost:80"}, {"http://h:443", "http://h:443"},
        {"wss://[::1]:9", "https://[::1]:9"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__buf b;
        struct wst__url u;

        wst__buf_init(&b, 1024, false);
        assert_int_equal(wst__url_parse(&u, rows[i].text, ANY, "url", NULL), 0);
        assert_int_equal(wst__url_origin(&u, &b), 0);
        assert_string_equal(text_of(&b), rows[i].origin);
        wst__url_fini(&u);
        wst__buf_fini(&b);
    }
}

static void test_derive(void **state)
{
    static const struct {
        const char *base;
        const char *suffix;
        bool ws;
        const char *result; /* NULL: CONFIG. */
    } rows[] = {
        {"https://h", "/api/v1/ws-ticket", false, "https://h/api/v1/ws-ticket"},
        {"https://h/", "/api/v1/ws-ticket", false, "https://h/api/v1/ws-ticket"},
        {"https://h/prefix", "/api/v1/ws-ticket", false, "https://h/prefix/api/v1/ws-ticket"},
        {"https://h/pre/fix//", "/ws", true, "https://h/pre/fix/ws"},
        {"http://127.0.0.1:81/p", "/ws", true, "http://127.0.0.1:81/p/ws"},
        {"https://h/?q", "/ws", true, NULL},
        {"https://h/?q", "/x", false, NULL},
        {"wss://h/socket", "/ws", true, "https://h/socket"},
        {"wss://h/socket?room=1", "/ws", true, "https://h/socket?room=1"},
        {"wss://h/", "/ws", true, "https://h/ws"},
        {"wss://h", "/ws", true, "https://h/ws"},
        {"wss://h/?room=1", "/ws", true, "https://h/ws?room=1"},
        {"wss://h:8443/socket?room=1", "/api/v1/auth/token", false,
         "https://h:8443/api/v1/auth/token"},
        {"ws://[::1]/a", "/x", false, "http://[::1]/x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool base_is_ws = rows[i].base[0] == 'w';
        struct wst__url base;
        struct wst__url u;
        struct wst__buf b;

        wst__buf_init(&b, 1024, false);
        assert_int_equal(wst__url_parse(&base, rows[i].base, ANY, "url", NULL), 0);
        if (rows[i].result) {
            assert_int_equal(wst__url_derive(&u, &base, base_is_ws, rows[i].suffix, rows[i].ws), 0);
            assert_int_equal(u.loopback, base.loopback);
            wst__url_fini(&base);
            assert_int_equal(wst__url_http_text(&u, &b), 0);
            assert_string_equal(text_of(&b), rows[i].result);
        } else {
            assert_int_equal(wst__url_derive(&u, &base, base_is_ws, rows[i].suffix, rows[i].ws),
                             WST_ERR_CONFIG);
            wst__url_fini(&base);
        }
        wst__url_fini(&u);
        wst__buf_fini(&b);
    }
}

static void test_encode(void **state)
{
    static const struct {
        const char *plain;
        const char *encoded;
    } rows[] = {
        {"", ""},
        {"abcXYZ0189", "abcXYZ0189"},
        {"-_.!~*'()", "-_.!~*'()"},
        {"&+/=% ", "%26%2B%2F%3D%25%20"},
        {"\xe2\x82\xac", "%E2%82%AC"},
        {"a:b?c#d[e]@$,;", "a%3Ab%3Fc%23d%5Be%5D%40%24%2C%3B"},
    };
    struct wst__buf b;
    uint8_t all[256];
    unsigned escaped = 0;

    (void)state;
    wst__buf_init(&b, 4096, true);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        b.len = 0;
        assert_int_equal(wst__url_encode(&b, rows[i].plain, strlen(rows[i].plain)), 0);
        assert_string_equal(text_of(&b), rows[i].encoded);
    }
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    b.len = 0;
    assert_int_equal(wst__url_encode(&b, all, sizeof all), 0);
    for (size_t i = 0; i < b.len; i++)
        escaped += b.data[i] == '%';
    assert_int_equal(escaped, 256 - 71);
    assert_int_equal(b.len, 71 + 3 * (256 - 71));
    wst__buf_fini(&b);

    wst__buf_init(&b, 8, true);
    assert_int_equal(wst__buf_adds(&b, "ab"), 0);
    assert_int_equal(wst__url_encode(&b, "///", 3), WST_ERR_TOO_LARGE);
    assert_string_equal(text_of(&b), "ab"); /* All or nothing. */
    wst__buf_fini(&b);
}

/* Parses |text| with every allocation failing in turn: a clean error, nothing left. */
static void starve(const char *text, int other_rc)
{
    long before = memory_alive();

    for (long n = 1;; n++) {
        struct wst_cause why;
        struct wst__url u;
        int rc;

        memory_fail_at(n);
        rc = wst__url_parse(&u, text, HTTP, "url", &why);
        if (!memory_failed()) {
            assert_int_equal(rc, 0);
            assert_true(n > 5);
            wst__url_fini(&u);
            break;
        }
        if (rc != other_rc)
            assert_int_equal(rc, WST_ERR_NOMEM);
        assert_int_equal(memory_alive(), before);
    }
    memory_fail_at(0);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    starve("https://Api.example.com:8443/p\xc3\xbc?q=1", WST_ERR_NOMEM);
    starve("https://[::1]:8443", WST_ERR_NOMEM);
    starve("https://127.1", WST_ERR_NOMEM);
    /* Here libcurl does not tell want of memory from a name that it cannot convert. */
    starve("https://b\xc3\xbc"
           "cher.example/x",
           WST_ERR_CONFIG);
}

/* As starve(), for the URL of step 3. */
static void starve_derive(const char *text)
{
    struct wst__url base;
    struct wst__url u;
    long before;

    assert_int_equal(wst__url_parse(&base, text, WS, "url", NULL), 0);
    before = memory_alive();
    for (long n = 1;; n++) {
        int rc;

        memory_fail_at(n);
        rc = wst__url_derive(&u, &base, true, "/ws", true);
        if (!memory_failed()) {
            assert_int_equal(rc, 0);
            wst__url_fini(&u);
            break;
        }
        assert_int_equal(rc, WST_ERR_NOMEM);
        assert_int_equal(memory_alive(), before);
    }
    memory_fail_at(0);
    wst__url_fini(&base);
}

static void test_out_of_memory_derive(void **state)
{
    (void)state;
    starve_derive("wss://h/x?q");
    starve_derive("wss://h");
}

/* A buffer that is too small: said so, wherever it ends. */
static void test_too_large(void **state)
{
    int (*const writers[])(const struct wst__url *, struct wst__buf *) = {
        wst__url_origin, wst__url_host_header, wst__url_http_text};
    struct wst__url u;

    (void)state;
    assert_int_equal(wst__url_parse(&u, "https://host:8443/path?query", HTTP, "url", NULL), 0);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        for (size_t room = 1;; room++) {
            struct wst__buf b;
            int rc;

            wst__buf_init(&b, room, false);
            rc = writers[i](&u, &b);
            wst__buf_fini(&b);
            if (rc == 0)
                break;
            assert_int_equal(rc, WST_ERR_TOO_LARGE);
            assert_in_range(room, 1, 64);
        }
    }
    wst__url_fini(&u);
}

/* What was ours is wiped before it is freed, growth included. */
static void test_wiped(void **state)
{
    struct wst__url u;
    struct wst__url copy;
    struct wst__buf b;

    (void)state;
    memory_plant("s3cr3t");
    assert_int_equal(wst__url_parse(&u, "wss://h/ws?t=s3cr3t-s3cr3t", WS, "url", NULL), 0);
    wst__buf_init(&b, 4096, true);
    assert_int_equal(wst__url_derive(&copy, &u, true, "/ws", true), 0);
    assert_int_equal(wst__url_http_text(&copy, &b), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(wst__buf_adds(&b, "+"), 0);
    wst__buf_fini(&b);
    wst__url_fini(&copy);
    wst__url_fini(&u);
    assert_int_equal(memory_found(), 0);
    memory_plant(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_bad),
        cmocka_unit_test(test_length),        cmocka_unit_test(test_no_secret_in_text),
        cmocka_unit_test(test_locale),        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_derive),        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_out_of_memory_derive),
        cmocka_unit_test(test_too_large),     cmocka_unit_test(test_wiped),
    };

    memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
