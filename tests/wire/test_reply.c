#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "memory.h"
#include "base/mem.h"
#include "wire/date.h"
#include "wire/json.h"
#include "wire/reply.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define WALL  INT64_C(1000000000) /* 2001-09-09T01:46:40Z */
#define DAY   86400000
#define YEARS INT64_C(315360000000) /* Ten, in ms. */

#define LETTERS_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_ORIGIN                                                                                \
    LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64 LETTERS_64 "a"

/* ---- JSON ---- */

/* The grammar of RFC 8259, and what cJSON would trip over half way. */
static void test_json_check(void **state)
{
    static const struct {
        const char *text;
        enum wst__json_fault fault;
    } rows[] = {
        {"{}", WST__JSON_OK},
        {" \t\r\n[] ", WST__JSON_OK},
        {"null", WST__JSON_OK},
        {"true", WST__JSON_OK},
        {"false", WST__JSON_OK},
        {"0", WST__JSON_OK},
        {"-0.5e+10", WST__JSON_OK},
        {"1E-2", WST__JSON_OK},
        {"1e999", WST__JSON_OK},
        {"\"\"", WST__JSON_OK},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fC\"", WST__JSON_OK},
        {"\"\\ud83d\\ude00\"", WST__JSON_OK},
        {"\xef\xbb\xbf{}", WST__JSON_OK},
        {"\xef\xbb\xbf"
         "1",
         WST__JSON_OK},
        {"{\"a\":[1,{\"b\":null}],\"a\":2}", WST__JSON_OK},
        {"", WST__JSON_EMPTY},
        {" \n", WST__JSON_EMPTY},
        {"\xef\xbb\xbf", WST__JSON_EMPTY},
        {"{", WST__JSON_CUT},
        {"{\"a", WST__JSON_CUT},
        {"{\"a\"", WST__JSON_CUT},
        {"{\"a\":", WST__JSON_CUT},
        {"{\"a\":1", WST__JSON_CUT},
        {"{\"a\":1,", WST__JSON_CUT},
        {"[1,", WST__JSON_CUT},
        {"\"\\", WST__JSON_CUT},
        {"\"\\u00", WST__JSON_CUT},
        {"\"\\ud83d", WST__JSON_CUT},
        {"\"\\ud83d\\ude0", WST__JSON_CUT},
        {"tru", WST__JSON_CUT},
        {"-", WST__JSON_CUT},
        {"1.", WST__JSON_CUT},
        {"1e", WST__JSON_CUT},
        {"{}x", WST__JSON_WRONG},
        {"{}{}", WST__JSON_WRONG},
        {"{a:1}", WST__JSON_WRONG},
        {"{\"a\" 1}", WST__JSON_WRONG},
        {"{\"a\":1,}", WST__JSON_WRONG},
        {"[1,]", WST__JSON_WRONG},
        {"[1 2]", WST__JSON_WRONG},
        {"[}", WST__JSON_WRONG},
        {"01", WST__JSON_WRONG},
        {"+1", WST__JSON_WRONG},
        {".5", WST__JSON_WRONG},
        {"1.e5", WST__JSON_WRONG},
        {"NaN", WST__JSON_WRONG},
        {"nul1", WST__JSON_WRONG},
        {"'a'", WST__JSON_WRONG},
        {"\"a\nb\"", WST__JSON_WRONG},
        {"\"\\x\"", WST__JSON_WRONG},
        {"\"\\u00g0\"", WST__JSON_WRONG},
        {"\"\\u00:0\"", WST__JSON_WRONG},
        {"\"\\u00G0\"", WST__JSON_WRONG},
        {"\"\\ue000\\uffff\"", WST__JSON_OK},
        {"\"\\ud83d\\ue000\"", WST__JSON_WRONG},
        {"\"\\", WST__JSON_CUT},
        {"\"\\ude00\"", WST__JSON_WRONG},
        {"\"\\ud83dx\"", WST__JSON_WRONG},
        {"\"\\ud83d\\n\"", WST__JSON_WRONG},
        {"\"\\ud83d\\u0041\"", WST__JSON_WRONG},
        {"\v1", WST__JSON_WRONG},
        {"\"\\u0000\"", WST__JSON_NUL},
        {"{\"\\u0000\":1}", WST__JSON_NUL},
        {"1111111111111111111111111111111111111111111111111111111111111", WST__JSON_WRONG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cJSON *root;
        size_t at;

        if (wst__json_read(rows[i].text, strlen(rows[i].text), &root, &at) != rows[i].fault)
            fail_msg("%s", rows[i].text);
        assert_int_equal(root != NULL, rows[i].fault == WST__JSON_OK);
        assert_in_range(at, 0, strlen(rows[i].text));
        wst__json_drop(root);
    }
}

static void test_json_depth_and_nul(void **state)
{
    char deep[256];
    struct cJSON *root;
    size_t at;

    (void)state;
    for (size_t depth = 63; depth <= 66; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        assert_int_equal(wst__json_read(deep, 2 * depth, &root, &at),
                         depth <= 64 ? WST__JSON_OK : WST__JSON_WRONG);
        wst__json_drop(root);
    }
    assert_int_equal(wst__json_check("\"a\0b\"", 5, &at), WST__JSON_NUL);
    assert_int_equal(wst__json_check("{}\0", 3, &at), WST__JSON_WRONG);
    assert_int_equal(wst__json_check("{}}", 2, &at), WST__JSON_OK); /* Length, not terminator. */
}

static void test_json_pointers(void **state)
{
    static const char text[] = "{\"\":0,\"a\":{\"b\":[10,20,{\"c\":30}]},\"m~n\":40,\"x/y\":50,"
                               "\"01\":60,\"dup\":70,\"dup\":71,\" \":80,\"a/b\":90}";
    static const struct {
        const char *pointer;
        int value; /* -1: nothing there. */
    } rows[] = {
        {"/", 0},
        {"/a/b/0", 10},
        {"/a/b/1", 20},
        {"/a/b/2/c", 30},
        {"/m~0n", 40},
        {"/x~1y", 50},
        {"/01", 60},
        {"/dup", 70},
        {"/ ", 80},
        {"/a~1b", 90},
        {"/A", -1},
        {"/a/b/3", -1},
        {"/a/b/-", -1},
        {"/a/b/01", -1},
        {"/a/b/00", -1},
        {"/a/b/", -1},
        {"/a/b/+1", -1},
        {"/a/b/1x", -1},
        {"/a/b/1+", -1},
        {"/m~n", -1},
        {"/dup/0", -1},
        {"a", -1},
        {"/du", -1},
        {"/dupp", -1},
        {"/a/b/4294967296", -1},
        {"/a/b/99999999999999999999", -1},
    };
    static const char *const wrong[] = {"a", "a/b", "/~", "/~2", "/a~", "~0", "#/a"};
    struct cJSON *root;
    size_t at;

    (void)state;
    assert_int_equal(wst__json_read(text, strlen(text), &root, &at), WST__JSON_OK);
    assert_ptr_equal(wst__json_at(root, ""), root);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct cJSON *item = wst__json_at(root, rows[i].pointer);

        if ((item ? item->valueint : -1) != rows[i].value)
            fail_msg("%s", rows[i].pointer);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(wst__reply_pointer_ok(wrong[i]));
    assert_true(wst__reply_pointer_ok(""));
    assert_true(wst__reply_pointer_ok("/a~0~1/b"));
    assert_true(wst__reply_value_ok("\"ok\""));
    assert_false(wst__reply_value_ok("ok"));
    assert_false(wst__reply_value_ok(""));
    wst__json_drop(root);
}

static void test_json_types(void **state)
{
    static const char *const rows[][2] = {
        {"null", "null"},     {"true", "a boolean"}, {"false", "a boolean"}, {"1", "a number"},
        {"\"\"", "a string"}, {"[]", "an array"},    {"{}", "an object"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cJSON *root;
        size_t at;

        assert_int_equal(wst__json_read(rows[i][0], strlen(rows[i][0]), &root, &at), WST__JSON_OK);
        assert_string_equal(wst__json_type(root), rows[i][1]);
        wst__json_drop(root);
    }
}

/* ---- Dates ---- */

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused. */
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.001Z", 1},
        {"1970-01-01t00:00:01.5z", 1500},
        {"1970-01-01 00:00:01.123456789Z", 1123},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T18:30:00-05:30", 0},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000)},
        {"2001-09-09T01:46:40Z", WALL * 1000},
        {"2030-01-31T12:00:00Z", INT64_C(1896091200000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
        {"1900-02-29T00:00:00Z", -1},
        {"2030-02-30T00:00:00Z", -1},
        {"2030-13-01T00:00:00Z", -1},
        {"2030-00-01T00:00:00Z", -1},
        {"2030-01-00T00:00:00Z", -1},
        {"2030-01-31T24:00:00Z", -1},
        {"2030-01-31T12:60:00Z", -1},
        {"2030-01-31T12:00:61Z", -1},
        {"2030-01-31T12:00:00", -1},
        {"2030-01-31T12:00:00+1:00", -1},
        {"2030-01-31T12:00:00+24:00", -1},
        {"2030-01-31T12:00:00+0100", -1},
        {"2030-01-31T12:00:00.Z", -1},
        {"2030-01-31T12:00Z", -1},
        {"2030-01-31", -1},
        {"2030-01-31T12:00:00Zx", -1},
        {"30-01-31T12:00:00Z", -1},
        {"2030x01-31T12:00:00Z", -1},
        {"2030-x1-31T12:00:00Z", -1},
        {"2030-01x31T12:00:00Z", -1},
        {"2030-01-3xT12:00:00Z", -1},
        {"2030-01-31Tx2:00:00Z", -1},
        {"2030-01-31T12x00:00Z", -1},
        {"2030-01-31T12:x0:00Z", -1},
        {"2030-01-31T12:00x00Z", -1},
        {"2030-01-31T12:00:x0Z", -1},
        {"2030-01-31T12:00:00.:Z", -1},
        {"2030-01-31T12:00:00+x1:00", -1},
        {"2030-01-31T12:00:00+01:x0", -1},
        {"2030-01-31T12:00:00+01:60", -1},
        {"", -1},
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!wst__date_rfc3339(rows[i].text, &ms))
            ms = -1;
        if (ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
    assert_true(wst__date_rfc3339("0000-01-01T00:00:00Z", &ms));
    assert_int_equal(ms, INT64_C(-62167219200000));
    assert_true(wst__date_rfc3339("0001-01-01T00:00:00Z", &ms));
    assert_int_equal(ms, INT64_C(-62135596800000));
}

/* Not all that libcurl would take for a date is one of HTTP (RFC 9110, 5.6.7). */
static void test_http_dates(void **state)
{
    static const char good[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    static const char long_one[] =
        "Sun, 06 Nov 1994 08:49:37 GMT                                   ";
    static const char *const wrong[] = {"06 Nov 1994 08:49:37 GMT", "sun, 06 Nov 1994 08:49:37 GMT",
                                        "Someday", "784111777"};
    int64_t s;

    (void)state;
    assert_true(wst__date_http(good, sizeof good - 1, &s));
    assert_int_equal(s, 784111777);
    assert_true(wst__date_http(long_one, 63, &s));
    assert_false(wst__date_http(long_one, 64, &s));
    assert_false(wst__date_http("", 0, &s));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(wst__date_http(wrong[i], strlen(wrong[i]), &s));
}

/* ---- Replies ---- */

static int token(const struct wst__reply_spec *spec, const char *body, struct wst__token_reply *out,
                 struct wst_cause *why)
{
    return wst__reply_token(spec, body, strlen(body), WALL, out, why);
}

static int ticket(const struct wst__reply_spec *spec, const char *body,
                  struct wst__ticket_reply *out, struct wst_cause *why)
{
    return wst__reply_ticket(spec, body, strlen(body), WALL, out, why);
}

static void test_token(void **state)
{
    static const struct {
        const char *pointer;
        const char *expiry;
        const char *body;
        const char *value;
        int64_t life_ms;
    } rows[] = {
        {NULL, NULL, "{\"token\":\"abc\",\"expiresInSeconds\":3600}", "abc", 3600000},
        {NULL, NULL, "{\"access_token\":\"abc\",\"expires_in\":60}", "abc", 60000},
        {NULL, NULL, "{\"accessToken\":\"abc\",\"expiresIn\":\"3600\"}", "abc", 3600000},
        {NULL, NULL, "{\"token\":null,\"access_token\":\"b\",\"expires_in\":null}", "b", -1},
        {NULL, NULL, "{\"access_token\":\"b\",\"token\":\"a\"}", "a", -1},
        {NULL, NULL, "{\"token\":\"a\",\"token\":\"b\"}", "a", -1},
        {NULL, NULL, "{\"token\":\"a\",\"expires_in\":0.5}", "a", 500},
        {NULL, NULL, "{\"token\":\"a\",\"expires_in\":\"1.25\"}", "a", 1250},
        {NULL, NULL, "{\"token\":\"a\",\"expires_in\":315360000}", "a", YEARS},
        {NULL, NULL, "{\"token\":\"h.eyJleHAiOjEwNjAsImlhdCI6MTAwMH0.s\"}",
         "h.eyJleHAiOjEwNjAsImlhdCI6MTAwMH0.s", 60000},
        {NULL, NULL, "{\"token\":\"h.eyJleHAiOjEwNjAsImlhdCI6MTAwMH0.s\",\"expires_in\":5}",
         "h.eyJleHAiOjEwNjAsImlhdCI6MTAwMH0.s", 5000},
        {"/data/0/jwt", "/data/1", "{\"data\":[{\"jwt\":\"x\"},7]}", "x", 7000},
        {"/a~1b", "/none", "{\"a/b\":\"x\",\"expires_in\":9}", "x", -1},
        {"", NULL, "\"whole\"", "whole", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__reply_spec spec = {0};
        struct wst__token_reply out;
        struct wst_cause why = {0};

        spec.value_pointer = rows[i].pointer;
        spec.expiry_pointer = rows[i].expiry;
        if (token(&spec, rows[i].body, &out, &why) != 0)
            fail_msg("%s: %s", rows[i].body, why.text);
        assert_string_equal(wst__secret_expose(&out.token), rows[i].value);
        assert_int_equal(out.life_ms, rows[i].life_ms);
        wst__secret_drop(&out.token);
    }
}

static void test_ticket(void **state)
{
    static const struct {
        const char *body;
        const char *value;
        uint64_t life_ms;
        uint64_t retry_after_ms;
        uint64_t spread_ms;
    } rows[] = {
        {"{\"ticket\":\"0123abc\",\"expiresInSeconds\":30}", "0123abc", 30000, 0, 0},
        {"{\"ticket\":\"x\"}", "x", 25000, 0, 0},
        {"{\"ticket\":\"x\",\"expires_in\":5}", "x", 25000, 0, 0},
        {"{\"ticket\":\"x\",\"expiresInSeconds\":86400}", "x", DAY, 0, 0},
        {"{\"ticket\":\"x\",\"expiresInSeconds\":0.001}", "x", 1, 0, 0},
        {"{\"ticket\":\"& + / = % ?\"}", "& + / = % ?", 25000, 0, 0},
        {"{\"ticket\":\"\\u20ac\xc3\xbc\\ud83d\\ude00\"}", "\xe2\x82\xac\xc3\xbc\xf0\x9f\x98\x80",
         25000, 0, 0},
        {"{\"ticket\":\"x\",\"retryAfterMs\":1500,\"reconnectSpreadMs\":\"250\"}", "x", 25000, 1500,
         250},
        {"{\"ticket\":\"x\",\"retryAfterMs\":-1,\"reconnectSpreadMs\":1e300}", "x", 25000, 0, DAY},
        {"{\"ticket\":\"x\",\"retryAfterMs\":{},\"reconnectSpreadMs\":true}", "x", 25000, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__reply_spec spec = {0};
        struct wst__ticket_reply out;
        struct wst_cause why = {0};

        spec.default_life_ms = 25000;
        if (ticket(&spec, rows[i].body, &out, &why) != 0)
            fail_msg("%s: %s", rows[i].body, why.text);
        assert_string_equal(wst__secret_expose(&out.value), rows[i].value);
        assert_false(out.is_url);
        assert_int_equal(out.life_ms, rows[i].life_ms);
        assert_int_equal(out.retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(out.spread_ms, rows[i].spread_ms);
        wst__secret_drop(&out.value);
    }
}

static void test_ticket_url(void **state)
{
    struct wst__reply_spec spec = {.url_pointer = "/ws/url", .value_pointer = "/ticket"};
    struct wst__ticket_reply out;

    (void)state;
    assert_int_equal(
        ticket(&spec, "{\"ticket\":\"no\",\"ws\":{\"url\":\"wss://h/x?t=1\"}}", &out, NULL), 0);
    assert_true(out.is_url);
    assert_string_equal(wst__secret_expose(&out.value), "wss://h/x?t=1");
    assert_int_equal(out.life_ms, 30000);
    wst__secret_drop(&out.value);
}

static void test_expiry_formats(void **state)
{
    static const struct {
        enum wst_expiry_format format;
        const char *expiry;
        int64_t life_ms; /* -1: refused. */
        const char *says;
    } rows[] = {
        {WST_EXPIRY_SECONDS, "30", 30000, NULL},
        {WST_EXPIRY_SECONDS, "\"30\"", 30000, NULL},
        {WST_EXPIRY_SECONDS, "0", -1, "/e is zero or negative"},
        {WST_EXPIRY_SECONDS, "-5", -1, "/e is zero or negative"},
        {WST_EXPIRY_SECONDS, "\"-5\"", -1, "/e is zero or negative"},
        {WST_EXPIRY_SECONDS, "86401", -1, "/e is more than a day ahead"},
        {WST_EXPIRY_SECONDS, "1e999", -1, "/e is more than a day ahead"},
        {WST_EXPIRY_SECONDS, "-1e999", -1, "/e is zero or negative"},
        {WST_EXPIRY_SECONDS, "\"\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"5s\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"5.\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"1e3\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"+5\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\" 5\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"-\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "\"000000000000000000005\"", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "true", -1, "/e is not a number"},
        {WST_EXPIRY_SECONDS, "{}", -1, "/e is not a number"},
        {WST_EXPIRY_MS, "1500", 1500, NULL},
        {WST_EXPIRY_MS, "0.5", -1, "/e is zero or negative"},
        {WST_EXPIRY_MS, "86400000", DAY, NULL},
        {WST_EXPIRY_MS, "86400001", -1, "more than a day"},
        {WST_EXPIRY_EPOCH_S, "1000000060", 60000, NULL},
        {WST_EXPIRY_EPOCH_S, "\"1000000060\"", 60000, NULL},
        {WST_EXPIRY_EPOCH_S, "1000000000", -1, "/e is not in the future by this machine's clock"},
        {WST_EXPIRY_EPOCH_S, "30", -1, "/e is not in the future by this machine's clock"},
        {WST_EXPIRY_EPOCH_S, "1000000060000", -1, "more than a day"},
        {WST_EXPIRY_EPOCH_MS, "1000000060250", 60250, NULL},
        {WST_EXPIRY_EPOCH_MS, "1000000060", -1, "not in the future"},
        {WST_EXPIRY_DATE, "\"2001-09-09T01:47:40Z\"", 60000, NULL},
        {WST_EXPIRY_DATE, "\"2001-09-09T03:47:40.5+02:00\"", 60500, NULL},
        {WST_EXPIRY_DATE, "\"2001-09-09T01:46:40Z\"", -1, "not in the future"},
        {WST_EXPIRY_DATE, "\"2001-09-11T01:46:40Z\"", -1, "more than a day"},
        {WST_EXPIRY_DATE, "\"tomorrow\"", -1, "/e is not a date like 2030-01-31T12:00:00Z"},
        {WST_EXPIRY_DATE, "60", -1, "/e is not a date like 2030-01-31T12:00:00Z"},
        {WST_EXPIRY_DATE, "null", 30000, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__reply_spec spec = {.expiry_pointer = "/e"};
        struct wst__ticket_reply out;
        struct wst_cause why = {0};
        char body[128];
        int rc;

        spec.expiry_format = rows[i].format;
        (void)snprintf(body, sizeof body, "{\"ticket\":\"x\",\"e\":%s}", rows[i].expiry);
        rc = ticket(&spec, body, &out, &why);
        if (rc != (rows[i].says ? WST_ERR_BAD_REPLY : 0) ||
            (rows[i].says && !strstr(why.text, rows[i].says)))
            fail_msg("%s: %d \"%s\"", body, rc, why.text);
        if (!rows[i].says)
            assert_int_equal(out.life_ms, rows[i].life_ms);
        wst__secret_drop(&out.value);
    }
}

static void test_success(void **state)
{
    static const struct {
        const char *value;
        const char *body;
        const char *says;
    } rows[] = {
        {NULL, "{\"ok\":true,\"ticket\":\"x\"}", NULL},
        {"0", "{\"ok\":0,\"ticket\":\"x\"}", NULL},
        {"0", "{\"ok\":-0.0e5,\"ticket\":\"x\"}", NULL},
        {"\"ok\"", "{\"ok\":\"\\u006fk\",\"ticket\":\"x\"}", NULL},
        {"null", "{\"ok\":null,\"ticket\":\"x\"}", NULL},
        {NULL, "{\"ok\":false,\"ticket\":\"x\"}", "/ok is not true: no success"},
        {NULL, "{\"ok\":1,\"ticket\":\"x\"}", "/ok is not true: no success"},
        {NULL, "{\"ok\":\"true\",\"ticket\":\"x\"}", "/ok is not true: no success"},
        {"0", "{\"ok\":\"0\",\"ticket\":\"x\"}", "/ok is not 0: no success"},
        {"\"ok\"", "{\"ok\":\"OK\",\"ticket\":\"x\"}", "/ok is not \"ok\": no success"},
        {NULL, "{\"ticket\":\"x\"}", "/ok is missing, expected true"},
    };
    struct wst__reply_spec wrong = {.success_pointer = "/ok", .success_value = "yes"};
    struct wst__ticket_reply out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__reply_spec spec = {.success_pointer = "/ok"};
        struct wst_cause why = {0};
        int rc;

        spec.success_value = rows[i].value;
        rc = ticket(&spec, rows[i].body, &out, &why);
        if (rc != (rows[i].says ? WST_ERR_BAD_REPLY : 0) ||
            (rows[i].says && !strstr(why.text, rows[i].says)))
            fail_msg("%s: %d \"%s\"", rows[i].body, rc, why.text);
        if (rc != 0)
            assert_int_equal(why.cls, WST_CLASS_TRANSIENT);
        wst__secret_drop(&out.value);
    }
    assert_int_equal(ticket(&wrong, "{\"ticket\":\"x\"}", &out, NULL), WST_ERR_INVALID);
}

/* Whatever is wrong: the text names the field and not what stood there; nothing comes out. */
static void test_bad_replies(void **state)
{
    static const struct {
        const char *body;
        const char *ticket_says;
        const char *token_says; /* NULL: not tried as a token. */
    } rows[] = {
        {"", "the ticket reply is empty, expected JSON", "the token reply is empty, expected JSON"},
        {"  \r\n", "is empty, expected JSON", NULL},
        {"<!DOCTYPE html><p>S3CR3T", "looks like HTML", "the token reply looks like HTML"},
        {"\xef\xbb\xbf \n<html>", "looks like HTML", NULL},
        {"S3CR3T", "is not JSON (at byte 0)", "is not JSON (at byte 0)"},
        {"{\"ticket\":\"S3CR3T", "the ticket reply ends in the middle of its JSON", NULL},
        {"{\"ticket\":\"S3CR3T\"", "ends in the middle", NULL},
        {"{\"ticket\":\"S3CR3T\"} x", "is not JSON (at byte 20)", NULL},
        {"{\"ticket\":\"S3CR3T\\u0000\"}", "has a NUL character in a string", NULL},
        {"{\"x\":\"S3CR3T\"}", "the ticket reply's field /ticket is missing",
         "the token reply has none of the fields /token, /access_token, /accessToken"},
        {"[]", "/ticket is missing", "has none of the fields"},
        {"\"S3CR3T\"", "/ticket is missing", NULL},
        {"{\"ticket\":7,\"token\":7}",
         "the ticket reply's field /ticket is a number, expected a string",
         "the token reply's field /token is a number, expected a string"},
        {"{\"ticket\":{\"S3CR3T\":1},\"access_token\":[]}", "/ticket is an object",
         "/access_token is an array"},
        {"{\"ticket\":true,\"accessToken\":false}", "/ticket is a boolean",
         "/accessToken is a boolean"},
        {"{\"ticket\":\"\",\"token\":\"\"}", "/ticket is empty", "/token is empty"},
        {"{\"ticket\":\"S3CR3T\\n\",\"token\":\"S3CR3T\\r\\nX: y\"}",
         "/ticket has a control character in it", "/token has a control character in it"},
        {"{\"ticket\":\"S3CR3T\\u007f\",\"token\":\"\\u001f\"}", "/ticket has a control character",
         "/token has a control character"},
        {"{\"ticket\":\"S3CR3T\",\"expiresInSeconds\":-1,\"token\":\"S3CR3T S3CR3T\"}",
         "/expiresInSeconds is zero or negative",
         "/token has a character in it that a header cannot carry"},
        {"{\"ticket\":\"S3CR3T\",\"expiresInSeconds\":\"x\",\"token\":\"S3CR3T\xc3\xbc\"}",
         "/expiresInSeconds is not a number",
         "/token has a character in it that a header cannot carry"},
        {"{\"ticket\":\"S3CR3T\",\"expiresInSeconds\":315360001,\"token\":\"S3CR3T\"}",
         "/expiresInSeconds is more than a day ahead", "/expiresInSeconds is more than 10 years"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst__reply_spec spec = {0};
        struct wst__ticket_reply t;
        struct wst__token_reply k;
        struct wst_cause why = {0};

        memory_plant("S3CR3T");
        assert_int_equal(ticket(&spec, rows[i].body, &t, &why), WST_ERR_BAD_REPLY);
        if (!strstr(why.text, rows[i].ticket_says) || strstr(why.text, "S3CR3T"))
            fail_msg("%s: \"%s\"", rows[i].body, why.text);
        assert_int_equal(why.step, WST_STEP_TICKET);
        assert_null(t.value.wst__bytes);
        if (rows[i].token_says) {
            assert_int_equal(token(&spec, rows[i].body, &k, &why), WST_ERR_BAD_REPLY);
            if (!strstr(why.text, rows[i].token_says) || strstr(why.text, "S3CR3T"))
                fail_msg("%s: \"%s\"", rows[i].body, why.text);
            assert_int_equal(why.step, WST_STEP_TOKEN);
            assert_null(k.token.wst__bytes);
        }
        assert_int_equal(memory_found(), 0);
        memory_plant(NULL);
    }
}

static void test_limits(void **state)
{
    static char body[20000];
    struct wst__reply_spec spec = {0};
    struct wst__ticket_reply t;
    struct wst__token_reply k;
    struct wst_cause why;

    (void)state;
    (void)snprintf(body, sizeof body, "{\"ticket\":\"%0*d\"}", 4096, 0);
    assert_int_equal(ticket(&spec, body, &t, &why), 0);
    wst__secret_drop(&t.value);
    (void)snprintf(body, sizeof body, "{\"ticket\":\"%0*d\"}", 5120, 0);
    assert_int_equal(ticket(&spec, body, &t, &why), WST_ERR_BAD_REPLY);
    assert_string_equal(why.text, "the ticket reply's field /ticket is 5120 bytes long, more than "
                                  "the limit of 4096");
    (void)snprintf(body, sizeof body, "{\"token\":\"%0*d\"}", 16384, 0);
    assert_int_equal(token(&spec, body, &k, &why), 0);
    wst__secret_drop(&k.token);
    (void)snprintf(body, sizeof body, "{\"token\":\"%0*d\"}", 16385, 0);
    assert_int_equal(token(&spec, body, &k, &why), WST_ERR_BAD_REPLY);
    spec.max_value = 3;
    assert_int_equal(ticket(&spec, "{\"ticket\":\"abc\"}", &t, &why), 0);
    wst__secret_drop(&t.value);
    assert_int_equal(ticket(&spec, "{\"ticket\":\"abcd\"}", &t, &why), WST_ERR_BAD_REPLY);
}

/* A reply that was cut anywhere is an error that leaves nothing of the token behind. */
static void test_every_cut(void **state)
{
    static const char body[] = "{\"a\":[\"S3CR3T\",{\"S3CR3T\":1}],\"token\":\"S3CR3T\"}";
    struct wst__reply_spec spec = {0};
    struct wst__token_reply out;
    struct wst_cause why;

    (void)state;
    memory_plant("S3CR3T");
    for (size_t n = 0; n < sizeof body - 1; n++) {
        assert_int_equal(wst__reply_token(&spec, body, n, WALL, &out, &why), WST_ERR_BAD_REPLY);
        assert_null(strstr(why.text, "S3CR3T"));
    }
    assert_int_equal(wst__reply_token(&spec, body, sizeof body - 1, WALL, &out, &why), 0);
    wst__secret_drop(&out.token);
    assert_int_equal(memory_found(), 0);
    memory_plant(NULL);
}

static void test_steering(void **state)
{
    static const struct {
        const char *body;
        uint64_t retry_after_ms;
        uint64_t spread_ms;
    } rows[] = {
        {"{\"retryAfterMs\":1500,\"reconnectSpreadMs\":3}", 1500, 3},
        {"{\"error\":\"x\",\"reconnectSpreadMs\":2000}", 0, 2000},
        {"{\"retryAfterMs\":1e400}", DAY, 0},
        {"{\"retryAfterMs\":0.4}", 0, 0},
        {"{\"retryAfterMs\":-9}", 0, 0},
        {"[1]", 0, 0},
        {"<html>", 0, 0},
        {"{\"retryAfterMs\":15", 0, 0},
        {"", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t retry_after_ms = 1;
        uint64_t spread_ms = 1;

        wst__reply_steering(rows[i].body, strlen(rows[i].body), &retry_after_ms, &spread_ms);
        assert_int_equal(retry_after_ms, rows[i].retry_after_ms);
        assert_int_equal(spread_ms, rows[i].spread_ms);
    }
}

/* ---- The token file ---- */

static void test_record(void **state)
{
    static char origin[] = "https://h\"\\\x01:443";
    struct wst__token_record r = {.origin = origin, .received_at = WALL, .life_s = 3600};
    struct wst__token_record back;
    struct wst__buf b;

    (void)state;
    memory_plant("S3CR3T");
    assert_int_equal(wst__secret_set(&r.token, "S3CR3T\"\\x", 9), 0);
    wst__buf_init(&b, 4096, true);
    assert_int_equal(wst__token_record_write(&r, &b), 0);
    assert_memory_equal(b.data,
                        "{\"v\":1,\"origin\":\"https://h\\\"\\\\\\u0001:443\","
                        "\"token\":\"S3CR3T\\\"\\\\x\",\"receivedAt\":1000000000,"
                        "\"lifeSeconds\":3600}\n",
                        b.len);
    assert_false(wst__token_record_read((char *)b.data, b.len, &back)); /* \x01 in an origin. */
    origin[9] = '\0';
    r.life_s = -1;
    b.len = 0;
    assert_int_equal(wst__token_record_write(&r, &b), 0);
    assert_true(wst__token_record_read((char *)b.data, b.len, &back));
    assert_true(wst__secret_equal(&back.token, &r.token));
    assert_string_equal(back.origin, "https://h");
    assert_int_equal(back.received_at, WALL);
    assert_int_equal(back.life_s, -1);
    wst__token_record_fini(&back);
    for (size_t n = 0; n + 1 < b.len; n++)
        assert_false(wst__token_record_read((char *)b.data, n, &back));
    b.max = b.len + 50;
    assert_int_equal(wst__token_record_write(&r, &b), WST_ERR_TOO_LARGE);
    wst__buf_fini(&b);
    wst__secret_drop(&r.token);
    assert_int_equal(memory_found(), 0);
    memory_plant(NULL);
}

/* What is written can be read: a token that is too long is not written. */
static void test_long_record(void **state)
{
    static char token[WST__TOKEN_MAX + 2], origin[] = "https://h:443";
    struct wst__token_record r = {.origin = origin, .received_at = WALL, .life_s = -1}, back;
    struct wst__buf b;

    (void)state;
    wst__buf_init(&b, (size_t)64 * 1024, true);
    memset(token, '"', WST__TOKEN_MAX); /* Each takes two bytes there. */
    assert_int_equal(wst__secret_set(&r.token, token, WST__TOKEN_MAX), 0);
    assert_int_equal(wst__token_record_write(&r, &b), 0);
    assert_true(wst__token_record_read((char *)b.data, b.len, &back));
    assert_true(wst__secret_equal(&back.token, &r.token));
    wst__token_record_fini(&back);
    token[WST__TOKEN_MAX] = 'x';
    assert_int_equal(wst__secret_set(&r.token, token, WST__TOKEN_MAX + 1), 0);
    b.len = 0;
    assert_int_equal(wst__token_record_write(&r, &b), WST_ERR_TOO_LARGE);
    assert_int_equal(b.len, 0);
    wst__buf_fini(&b);
    wst__secret_drop(&r.token);
}

static void test_damaged_records(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "null",
        ("\x7f"
         "ELF"),
        "{\"v\":2,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":\"1\",\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":7,\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"a b\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"a\\nb\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"a\x7f\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"" LONG_ORIGIN
        "\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":-1,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1e99,\"lifeSeconds\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":0}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":-2}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":315360001}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1}",
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}{",
    };
    long before = memory_alive();

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct wst__token_record r;

        assert_false(wst__token_record_read(bodies[i], strlen(bodies[i]), &r));
        assert_null(r.origin);
        assert_null(r.token.wst__bytes);
        assert_int_equal(memory_alive(), before);
    }
}

/* ---- Memory ---- */

static int run_ticket(void)
{
    static const struct wst__reply_spec spec = {.success_pointer = "/ok"};
    static const char body[] = "{\"ok\":true,\"n\":[1,\"S3CR3T\"],\"ticket\":\"S3CR3T\"}";
    struct wst__ticket_reply out;
    int rc = wst__reply_ticket(&spec, body, sizeof body - 1, WALL, &out, NULL);

    wst__secret_drop(&out.value);
    return rc;
}

static int run_token(void)
{
    static const struct wst__reply_spec spec = {0};
    static const char body[] = "{\"token\":\"h.eyJleHAiOjEwNjAsImlhdCI6MTAwMH0.s\"}";
    struct wst__token_reply out;
    int rc = wst__reply_token(&spec, body, sizeof body - 1, WALL, &out, NULL);

    wst__secret_drop(&out.token);
    return rc;
}

static int run_record(void)
{
    static const char body[] =
        "{\"v\":1,\"origin\":\"o\",\"token\":\"t\",\"receivedAt\":1,\"lifeSeconds\":1}";
    struct wst__token_record r;
    struct wst__buf b;
    int rc = WST_ERR_NOMEM;

    wst__buf_init(&b, 4096, true);
    if (wst__token_record_read(body, sizeof body - 1, &r))
        rc = wst__token_record_write(&r, &b);
    wst__token_record_fini(&r);
    wst__buf_fini(&b);
    return rc;
}

/* Every allocation fails in turn: NOMEM and nothing left.  The JWT's life may be lost instead. */
static void test_out_of_memory(void **state)
{
    static int (*const runs[])(void) = {run_ticket, run_token, run_record};

    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        long before = memory_alive();
        long n = 1;

        for (;; n++) {
            int rc;

            memory_fail_at(n);
            rc = runs[i]();
            assert_int_equal(memory_alive(), before);
            if (!memory_failed()) {
                assert_int_equal(rc, 0);
                break;
            }
            if (runs[i] != run_token || rc != 0)
                assert_int_equal(rc, WST_ERR_NOMEM);
        }
        assert_true(n > 4);
        memory_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_check),    cmocka_unit_test(test_json_depth_and_nul),
        cmocka_unit_test(test_json_pointers), cmocka_unit_test(test_json_types),
        cmocka_unit_test(test_http_dates),    cmocka_unit_test(test_dates),
        cmocka_unit_test(test_token),         cmocka_unit_test(test_ticket),
        cmocka_unit_test(test_ticket_url),    cmocka_unit_test(test_expiry_formats),
        cmocka_unit_test(test_success),       cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_steering),      cmocka_unit_test(test_record),
        cmocka_unit_test(test_long_record),   cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_out_of_memory),
    };

    memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
