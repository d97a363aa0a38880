/* The choice of a proxy: a pure function of the environment, the target and the options. */
#include "io/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const *variables; /* Name, value, ..., NULL. */

static const char *fake_env(const char *name)
{
    for (const char *const *v = variables; v && *v; v += 2) {
        if (strcmp(v[0], name) == 0)
            return v[1];
    }
    return NULL;
}

/* What is chosen for a target with these variables and options. */
static const char *choose(const char *const *env, const char *proxy, const char *no_proxy,
                          bool secure, const char *host)
{
    static char chosen[128];
    struct wst__proxies p;
    struct wst_cause why;
    const char *url;

    variables = env;
    assert_int_equal(wst__proxies_init(&p, proxy, no_proxy, fake_env, &why), 0);
    assert_int_equal(
        wst__proxies_choose(&p, secure, host, secure ? 443 : 80, WST_STEP_CONNECT, &url, &why), 0);
    (void)strcpy(chosen, url);
    wst__proxies_fini(&p);
    return chosen;
}

static void test_environment(void **state)
{
    static const char *const both[] = {"http_proxy", "http://a:1", "https_proxy", "http://b:2",
                                       NULL};
    static const char *const all[] = {"all_proxy", "socks5://c:3", NULL};
    static const char *const upper[] = {"HTTPS_PROXY", "http://d:4", "HTTP_PROXY", "http://e:5",
                                        "ALL_PROXY",   "http://f:6", NULL};
    static const char *const order[] = {
        "https_proxy", "http://lower:1", "HTTPS_PROXY", "http://upper:2",
        "all_proxy",   "http://all:3",   NULL};
    static const char *const empty[] = {"https_proxy", "", "all_proxy", "http://all:3", NULL};

    (void)state;
    assert_string_equal(choose(NULL, NULL, NULL, true, "h"), "");
    assert_string_equal(choose(both, NULL, NULL, true, "h"), "http://b:2");
    assert_string_equal(choose(both, NULL, NULL, false, "h"), "http://a:1");
    assert_string_equal(choose(all, NULL, NULL, true, "h"), "socks5://c:3");
    assert_string_equal(choose(all, NULL, NULL, false, "h"), "socks5://c:3");
    assert_string_equal(choose(upper, NULL, NULL, true, "h"), "http://d:4");
    /* HTTP_PROXY is a request's header in CGI programs: never used. */
    assert_string_equal(choose(upper, NULL, NULL, false, "h"), "http://f:6");
    assert_string_equal(choose(order, NULL, NULL, true, "h"), "http://lower:1");
    assert_string_equal(choose(empty, NULL, NULL, true, "h"), "http://all:3");
}

static void test_options_win(void **state)
{
    static const char *const env[] = {"http_proxy", "http://a:1",  "https_proxy", "http://b:2",
                                      "no_proxy",   "example.com", NULL};

    (void)state;
    assert_string_equal(choose(env, "http://mine:9", NULL, true, "h"), "http://mine:9");
    assert_string_equal(choose(env, "http://mine:9", NULL, false, "h"), "http://mine:9");
    assert_string_equal(choose(env, "", NULL, true, "h"), "");
    assert_string_equal(choose(env, NULL, NULL, true, "www.example.com"), "");
    /* no_proxy applies to the option, too; and the option no_proxy replaces the environment's. */
    assert_string_equal(choose(env, "http://mine:9", NULL, true, "example.com"), "");
    assert_string_equal(choose(env, NULL, "other", true, "example.com"), "http://b:2");
    assert_string_equal(choose(env, NULL, "", true, "example.com"), "http://b:2");
}

static void test_refused(void **state)
{
    static const char *const env[] = {"https_proxy", "https://user:hunter2@secure:443", NULL};
    struct wst__proxies p;
    struct wst_cause why;
    const char *url;

    (void)state;
    variables = env;
    assert_int_equal(
        wst__proxies_init(&p, "https://user:hunter2@secure:443/", NULL, fake_env, &why),
        WST_ERR_CONFIG);
    assert_non_null(strstr(why.text, "secure:443"));
    assert_null(strstr(why.text, "hunter2"));
    assert_int_equal(wst__proxies_init(&p, "ftp://x", NULL, fake_env, &why), WST_ERR_CONFIG);
    assert_non_null(strstr(why.text, "proxy"));

    assert_int_equal(wst__proxies_init(&p, NULL, NULL, fake_env, &why), 0);
    assert_int_equal(wst__proxies_choose(&p, true, "h", 443, WST_STEP_TICKET, &url, &why),
                     WST_ERR_PROXY);
    assert_int_equal(why.step, WST_STEP_TICKET);
    assert_non_null(strstr(why.text, "https://"));
    assert_null(strstr(why.text, "hunter2"));
    assert_int_equal(wst__proxies_choose(&p, false, "h", 80, WST_STEP_TICKET, &url, &why), 0);
    wst__proxies_fini(&p);
}

/* It would be tried again and again, as if the network were bad. */
static void test_no_place(void **state)
{
    static const char *const bad[] = {"http://",
                                      "http://user:hunter2@",
                                      "http://user@:99999",
                                      ":80",
                                      "::::",
                                      "socks5h://h:",
                                      "h:0",
                                      "h:65536",
                                      "h:80x",
                                      "[::1",
                                      "::1:80",
                                      "[]x"};
    static const char *const good[] = {
        "", "h", "http://h:1/", "h:65535", "[::1]:80", "socks5://[::1]", "http://user:p/w@h:80"};
    struct wst__proxies p;
    struct wst_cause why;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (wst__proxies_init(&p, bad[i], NULL, fake_env, &why) != WST_ERR_CONFIG)
            fail_msg("%s is accepted", bad[i]);
        assert_non_null(strstr(why.text, "HOST:PORT"));
        assert_null(strstr(why.text, "hunter2"));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (wst__proxies_init(&p, good[i], NULL, fake_env, &why) != 0)
            fail_msg("%s: %s", good[i], why.text);
        wst__proxies_fini(&p);
    }
}

static const char *choose_allowed(const char *proxy, const char *host)
{
    static char chosen[128];
    struct wst__proxies p;
    struct wst_cause why;
    const char *url;

    assert_int_equal(wst__proxies_init(&p, proxy, NULL, fake_env, &why), 0);
    p.allow_plaintext = true;
    assert_int_equal(wst__proxies_choose(&p, false, host, 80, WST_STEP_TICKET, &url, &why), 0);
    (void)strcpy(chosen, url);
    wst__proxies_fini(&p);
    return chosen;
}

/* A name is as long as DNS allows (RFC 1035, 2.3.4). */
static void test_long_names(void **state)
{
    char host[253 + 1];
    char url[300];

    (void)state;
    for (size_t n = 1; n < sizeof host; n++) {
        struct wst__proxies p;
        struct wst_cause why = {0};

        memset(host, 'a', n);
        host[n] = '\0';
        (void)snprintf(url, sizeof url, "http://%s:3128", host);
        if (wst__proxies_init(&p, url, NULL, fake_env, &why) != 0)
            fail_msg("%zu bytes: %s", n, why.text);
        wst__proxies_fini(&p);
    }
}

/* Plain is allowed to loopback because it stays on this machine: so it must. */
static void test_plain_loopback_stays(void **state)
{
    static const char *const env[] = {"http_proxy", "http://u:p@remote:3128", NULL};
    static const char *const away[] = {
        "http://remote:1",        "socks5h://10.0.0.1:1",       "remote",
        "http://[2001:db8::1]:1", "http://localhost.example:1", "http://127.0.0.1@remote:1",
        "socks5://notlocalhost:1"};
    static const char *const home[] = {"http://127.0.0.1:1", "socks5h://u:p@localhost:1",
                                       "127.0.0.9", "http://[::1]:1", "http://a.LOCALHOST:1/"};
    static const char *const hosts[] = {"127.0.0.1", "127.1.2.3", "::1", "localhost",
                                        "a.localhost"};

    (void)state;
    for (size_t h = 0; h < sizeof hosts / sizeof hosts[0]; h++) {
        assert_string_equal(choose(env, NULL, NULL, false, hosts[h]), "");
        for (size_t i = 0; i < sizeof away / sizeof away[0]; i++) {
            assert_string_equal(choose(NULL, away[i], NULL, false, hosts[h]), "");
            assert_string_equal(choose(NULL, away[i], NULL, true, hosts[h]), away[i]);
            assert_string_equal(choose_allowed(away[i], hosts[h]), away[i]);
        }
        for (size_t i = 0; i < sizeof home / sizeof home[0]; i++)
            assert_string_equal(choose(NULL, home[i], NULL, false, hosts[h]), home[i]);
    }
    assert_string_equal(choose(NULL, away[0], NULL, false, "128.0.0.1"), away[0]);
    assert_string_equal(choose(NULL, away[0], NULL, false, "localhost.example"), away[0]);
    assert_string_equal(choose(NULL, away[0], NULL, false, "mylocalhost"), away[0]);
}

static void test_kinds(void **state)
{
    static const char *const kinds[] = {"http://p:1",    "socks4://p:1",  "socks4a://p:1",
                                        "socks5://p:1",  "socks5h://p:1", "SOCKS5H://p:1",
                                        "HTTP://p:1",    "p:1",           "p",
                                        "http://u:p@p:1"};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        assert_string_equal(choose(NULL, kinds[i], NULL, true, "h"), kinds[i]);
}

static void test_names(void **state)
{
    static const struct {
        const char *url, *name;
    } table[] = {
        {"http://proxy:3128", "proxy:3128"},
        {"proxy:3128", "proxy:3128"},
        {"http://proxy:3128/", "proxy:3128"},
        {"http://user:secret@proxy:3128", "proxy:3128"},
        {"http://user:se@cret@proxy:3128", "proxy:3128"},
        {"user:secret@proxy", "proxy"},
        {"http://user:sec/ret@proxy:1", "(with an unencoded password)"},
        {"http://user:sec?ret@proxy:1", "(with an unencoded password)"},
        {"http://user:sec#ret@proxy:1", "(with an unencoded password)"},
        {"socks5://[::1]:1080", "[::1]:1080"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char name[64];

        wst__proxy_name(table[i].url, name, sizeof name);
        assert_string_equal(name, table[i].name);
    }
}

static void test_no_proxy(void **state)
{
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool match;
    } table[] = {
        {"", "a.example", 443, false},
        {"*", "a.example", 443, true},
        {"a.example", "a.example", 443, true},
        {"A.EXAMPLE", "a.example", 443, true},
        {"example", "a.example", 443, true},
        {".example", "a.example", 443, true},
        {"*.example", "a.example", 443, true},
        {".example", "example", 443, true},
        {"example.", "a.example", 443, true},
        {"example", "a.example.", 443, true},
        {"ample", "a.example", 443, false},
        {"b.example", "a.example", 443, false},
        {"x, example , y", "a.example", 443, true},
        {"x example y", "a.example", 443, true},
        {"x\texample", "a.example", 443, true},
        {",,,", "a.example", 443, false},
        {".", "a.example", 443, false},
        {"a.example:443", "a.example", 443, true},
        {"a.example:8443", "a.example", 443, false},
        {"127.0.0.1", "127.0.0.1", 80, true},
        {"127.0.0.1:80", "127.0.0.1", 80, true},
        {"127.0.0.1:81", "127.0.0.1", 80, false},
        {"27.0.0.1", "127.0.0.1", 80, false},
        {"10.0.0.0/8", "10.20.30.40", 80, true},
        {"10.0.0.0/8", "11.20.30.40", 80, false},
        {"10.0.0.0/33", "10.0.0.0", 80, false},
        {"10.0.0.0/x", "10.0.0.0", 80, false},
        {"10.128.0.0/9", "10.200.0.1", 80, true},
        {"10.128.0.0/9", "10.100.0.1", 80, false},
        {"0.0.0.0/0", "10.100.0.1", 80, true},
        {"::1", "::1", 80, true},
        {"[::1]", "::1", 80, true},
        {"[::1]:80", "::1", 80, true},
        {"[::1]:81", "::1", 80, false},
        {"0:0:0:0:0:0:0:1", "::1", 80, true},
        {"fd00::/8", "fd12::1", 80, true},
        {"fd00::/8", "fe12::1", 80, false},
        {"10.0.0.0/8", "fd12::1", 80, false},
        {"1", "127.0.0.1", 80, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (wst__no_proxy_match(table[i].list, table[i].host, table[i].port) != table[i].match)
            fail_msg("\"%s\" and %s:%u", table[i].list, table[i].host, table[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment), cmocka_unit_test(test_options_win),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_long_names),  cmocka_unit_test(test_plain_loopback_stays),
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
