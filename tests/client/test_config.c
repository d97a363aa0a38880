/* The configuration: defaults, checks, the copy. */
#include "client/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define SECRET "sEcReT"

static struct wst_config base_config(void)
{
    struct wst_config c;

    wst_config_init(&c);
    c.url = "https://api.example.com";
    return c;
}

static void defaults(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;
    struct wst_cause why;

    (void)state;
    assert_int_equal(wst__config_copy(&cfg, &c, &why), 0);
    assert_string_equal(cfg.c.token_method, "POST");
    assert_string_equal(cfg.c.ticket_method, "GET");
    assert_string_equal(cfg.c.query_name, "ticket");
    assert_string_equal(cfg.token_url.path, "/api/v1/auth/token");
    assert_string_equal(cfg.ticket_url.path, "/api/v1/ws-ticket");
    assert_string_equal(cfg.ws_url.path, "/ws");
    assert_string_equal(cfg.ws_url.host, "api.example.com");
    assert_true(cfg.ws_url.tls);
    assert_int_equal(cfg.ws_url.port, 443);
    assert_string_equal(cfg.token_origin, "https://api.example.com:443");
    /* What is dangerous is off. */
    assert_int_equal(cfg.c.insecure, 0);
    assert_int_equal(cfg.c.allow_plaintext, 0);
    assert_int_equal(cfg.c.upgrade_bearer, 0);
    assert_int_equal(cfg.c.cookies, 0);
    wst__config_fini(&cfg);
}

static void null_means_the_default(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;

    (void)state;
    c.token_method = c.query_name = c.user_agent = c.tls_min = NULL;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    assert_string_equal(cfg.c.token_method, "POST");
    assert_string_equal(cfg.c.query_name, "ticket");
    assert_string_equal(cfg.c.tls_min, "1.2");
    wst__config_fini(&cfg);
}

static void urls_derive(void **state)
{
    static const struct {
        const char *url, *token, *ticket, *ws;
    } rows[] = {
        {"https://h.example.com/app", "/app/api/v1/auth/token", "/app/api/v1/ws-ticket", "/app/ws"},
        {"wss://h.example.com/live", "/api/v1/auth/token", "/api/v1/ws-ticket", "/live"},
        {"wss://h.example.com", "/api/v1/auth/token", "/api/v1/ws-ticket", "/ws"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wst_config c = base_config();
        struct wst__config cfg;

        c.url = rows[i].url;
        assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
        assert_string_equal(cfg.token_url.path, rows[i].token);
        assert_string_equal(cfg.ticket_url.path, rows[i].ticket);
        assert_string_equal(cfg.ws_url.path, rows[i].ws);
        wst__config_fini(&cfg);
    }
}

/* Nothing of the caller's is kept. */
static void everything_is_copied(void **state)
{
    char url[] = "https://api.example.com", name[] = "X-A", value[] = "v", proto[] = "chat";
    uint16_t codes[] = {4000};
    struct wst_header headers[] = {{WST_STEP_NONE, name, value}};
    const char *protos[] = {proto};
    struct wst_config c = base_config();
    struct wst__config cfg;

    (void)state;
    c.url = url;
    c.headers = headers;
    c.header_count = 1;
    c.subprotocols = protos;
    c.subprotocol_count = 1;
    c.unauthorized_codes = codes;
    c.unauthorized_count = 1;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    memset(url, '#', sizeof url);
    memset(name, '#', sizeof name);
    memset(value, '#', sizeof value);
    memset(proto, '#', sizeof proto);
    memset(headers, 0, sizeof headers);
    codes[0] = 0;
    protos[0] = NULL;
    assert_string_equal(cfg.c.url, "https://api.example.com");
    assert_string_equal(cfg.c.headers[0].name, "X-A");
    assert_string_equal(cfg.c.headers[0].value, "v");
    assert_string_equal(cfg.c.subprotocols[0], "chat");
    assert_int_equal(cfg.c.unauthorized_codes[0], 4000);
    wst__config_fini(&cfg);
}

/* A program that was built against an older header brings a shorter struct. */
static void older_and_newer_structs(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;
    struct wst_cause why;

    (void)state;
    c.give_up = WST_GIVE_UP_NEVER;
    c.max_queue_bytes = 7777777;
    c.size = offsetof(struct wst_config, max_queue_bytes);
    assert_int_equal(wst__config_copy(&cfg, &c, &why), 0);
    assert_int_equal(cfg.c.give_up, WST_GIVE_UP_NEVER);
    assert_int_equal(cfg.c.max_queue_bytes, 16 * 1024 * 1024);
    wst__config_fini(&cfg);
    c.size = sizeof c + 8;
    assert_int_equal(wst__config_copy(&cfg, &c, &why), WST_ERR_CONFIG);
    assert_non_null(strstr(why.text, "size:"));
    c.size = 0;
    assert_int_equal(wst__config_copy(&cfg, &c, &why), WST_ERR_CONFIG);
    c.size = offsetof(struct wst_config, ticket_url) + 5; /* Inside a pointer. */
    assert_int_equal(wst__config_copy(&cfg, &c, &why), WST_ERR_CONFIG);
}

static void check_rejected(struct wst_config c, const char *field)
{
    struct wst__config cfg;
    struct wst_cause why = {0};
    int rc = wst__config_copy(&cfg, &c, &why);

    if (rc != WST_ERR_CONFIG)
        fail_msg("%s: %s", field, wst_err_name(rc));
    if (strncmp(why.text, field, strlen(field)) != 0)
        fail_msg("%s is wrong, and it is said: %s", field, why.text);
    if (strstr(why.text, SECRET))
        fail_msg("%s: the text shows the value", field);
    assert_int_equal(why.code, WST_ERR_CONFIG);
    assert_null(cfg.c.url); /* Nothing is left behind. */
}

#define REJECTED(member, value)                                                                    \
    do {                                                                                           \
        struct wst_config changed = base_config();                                                 \
                                                                                                   \
        changed.member = value;                                                                    \
        check_rejected(changed, #member);                                                          \
    } while (0)

static void wrong_strings(void **state)
{
    (void)state;
    REJECTED(url, "");
    REJECTED(url, "ftp://api.example.com");
    REJECTED(url, "http://api.example.com");
    REJECTED(url, "https://user:" SECRET "@api.example.com");
    REJECTED(token_url, "nonsense " SECRET);
    REJECTED(token_url, "wss://api.example.com");
    REJECTED(ticket_url, "http://api.example.com/t?" SECRET);
    REJECTED(ws_url, "https://api.example.com");
    REJECTED(ws_url, "ws://api.example.com/");
    REJECTED(token_method, "PO ST");
    REJECTED(ticket_method, "");
    REJECTED(query_name, "");
    REJECTED(ticket_header, "Sec-WebSocket-Key");
    REJECTED(ticket_header, "Host");
    REJECTED(ticket_header, "cookie");
    REJECTED(subprotocol_prefix, "a b");
    REJECTED(user_agent, "a\r\nb");
    REJECTED(token_content_type, "a\nb");
    REJECTED(ticket_content_type, "a\x7f");
    REJECTED(token, "");
    REJECTED(token, SECRET " " SECRET);
    REJECTED(token_pointer, "token");
    REJECTED(ticket_pointer, "/a~2");
    REJECTED(expiry_pointer, "x");
    REJECTED(token_expiry_pointer, "x");
    REJECTED(token_success_pointer, "x");
    REJECTED(ticket_success_pointer, "x");
    REJECTED(token_success_value, "yes");
    REJECTED(ticket_success_value, "{");
    REJECTED(tls_min, "1.1");
    REJECTED(ca_pem, "/etc/ssl/ca.pem");
    REJECTED(ca_file, "");
    REJECTED(ca_dir, "");
    REJECTED(compress_offer, "");
    REJECTED(compress_offer, "permessage-deflated");
    REJECTED(compress_offer, "permessage-deflate; " SECRET);
    REJECTED(compress_offer, "permessage-deflate; server_max_window_bits");
    REJECTED(compress_offer, "permessage-deflate; server_max_window_bits=99");
    REJECTED(compress_offer, "permessage-deflate, permessage-deflate; client_max_window_bits=7");
    REJECTED(token_cache, "");
    REJECTED(client_cert, "file.pem");
}

static void wrong_numbers(void **state)
{
    (void)state;
    REJECTED(ticket_life_ms, 0);
    REJECTED(base_delay_ms, 0);
    REJECTED(cap_ms, 1);
    REJECTED(step_timeout_ms, 0);
    REJECTED(attempt_timeout_ms, UINT64_MAX);
    REJECTED(close_timeout_ms, 0);
    REJECTED(ping_timeout_ms, 0);
    REJECTED(jitter_percent, 101);
    REJECTED(max_header_bytes, 1);
    REJECTED(max_body_bytes, SIZE_MAX);
    REJECTED(max_message_bytes, 0);
    REJECTED(max_queue_bytes, 1);
    REJECTED(queue_low_water, 16 * 1024 * 1024);
    REJECTED(token_step, (enum wst_step_mode)3);
    REJECTED(ticket_step, (enum wst_step_mode) - 1);
    REJECTED(ticket_in, (enum wst_ticket_in)9);
    REJECTED(expiry_format, (enum wst_expiry_format)5);
    REJECTED(token_expiry_format, (enum wst_expiry_format)5);
    REJECTED(give_up, (enum wst_give_up)3);
    REJECTED(log_level, (enum wst_log_level)4);
    REJECTED(unauthorized_count, 17);
    REJECTED(max_message_bytes, SIZE_MAX);
    REJECTED(offline_age_ms, 0);
}

static void wrong_together(void **state)
{
    static const uint16_t too_large[] = {1008, 5000};
    struct wst_config c = base_config();

    (void)state;
    c.token_step = WST_STEP_MODE_CALLBACK;
    check_rejected(c, "token_cb");
    c = base_config();
    c.ticket_step = WST_STEP_MODE_CALLBACK;
    check_rejected(c, "ticket_cb");
    c = base_config();
    c.url_pointer = "/url";
    c.ticket_pointer = "/ticket";
    check_rejected(c, "url_pointer");
    c = base_config();
    c.url_pointer = "/url";
    c.upgrade_bearer = 1;
    check_rejected(c, "upgrade_bearer");
    c = base_config();
    c.url = NULL;
    check_rejected(c, "url");
    c.ws_url = "wss://api.example.com/ws";
    check_rejected(c, "token_url");
    c = base_config();
    c.unauthorized_codes = too_large;
    c.unauthorized_count = 2;
    check_rejected(c, "unauthorized_codes[1]");
    c = base_config();
    c.header_count = 1;
    check_rejected(c, "headers");
    c = base_config();
    c.subprotocol_count = 1;
    check_rejected(c, "subprotocols");
    c = base_config();
    c.offline_messages = 1;
    c.offline_bytes = c.max_queue_bytes + 1;
    check_rejected(c, "offline_bytes");
}

static void any_message(struct wst_client *client, enum wst_message_type type, const void *data,
                        size_t len, void *arg)
{
    (void)client;
    (void)type;
    (void)data;
    (void)len;
    (void)arg;
}

static void any_chunk(struct wst_client *client, enum wst_message_type type, const void *data,
                      size_t len, unsigned flags, void *arg)
{
    (void)client;
    (void)type;
    (void)data;
    (void)len;
    (void)flags;
    (void)arg;
}

/* Whole messages or chunks; chunks alone need no ceiling. */
static void messages_or_chunks(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;

    (void)state;
    c.on_chunk = any_chunk;
    c.max_message_bytes = SIZE_MAX;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    assert_true(cfg.c.max_message_bytes == SIZE_MAX);
    wst__config_fini(&cfg);
    c.max_message_bytes = 1000;
    c.on_message = any_message;
    check_rejected(c, "on_chunk");
    c.on_chunk = NULL;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_fini(&cfg);
}

/* What is off is not compared with anything. */
static void a_small_queue_without_an_offline_queue(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;

    (void)state;
    c.max_queue_bytes = 1024;
    c.queue_low_water = 0;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    assert_int_equal(cfg.c.offline_messages, 0);
    wst__config_fini(&cfg);
    c.offline_messages = 1;
    check_rejected(c, "offline_bytes");
    c.offline_bytes = 63; /* Every message would be refused. */
    check_rejected(c, "offline_bytes");
    c.offline_bytes = 1024;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_fini(&cfg);
}

static void wrong_headers(void **state)
{
    static const struct wst_header wrong[] = {
        {WST_STEP_NONE, "Host", "x"},          {WST_STEP_NONE, "sec-websocket-key", "x"},
        {WST_STEP_NONE, "upgrade", "x"},       {WST_STEP_NONE, "Content-Length", "1"},
        {WST_STEP_NONE, "X Y", "x"},           {WST_STEP_NONE, "", "x"},
        {WST_STEP_NONE, "X", SECRET "\r\nY:"}, {WST_STEP_NONE, "X", NULL},
        {(enum wst_step)4, "X", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct wst_config c = base_config();

        c.headers = &wrong[i];
        c.header_count = 1;
        check_rejected(c, "headers[0]");
    }
}

static void plaintext_only_at_home(void **state)
{
    static const char *const home[] = {"http://localhost:8080", "http://127.0.0.1", "ws://[::1]/x",
                                       "http://dev.localhost"};
    struct wst_config c = base_config();
    struct wst__config cfg;

    (void)state;
    for (size_t i = 0; i < sizeof home / sizeof home[0]; i++) {
        c.url = home[i];
        assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
        wst__config_fini(&cfg);
    }
    c.url = "http://127.0.0.1.example.com";
    check_rejected(c, "url");
    c.allow_plaintext = 1;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_fini(&cfg);
}

/* A step that makes no request needs no URL. */
static void any_provider(struct wst_client *client, uint64_t request, const char *token, void *arg)
{
    (void)client;
    (void)request;
    (void)token;
    (void)arg;
}

static void omitted_steps(void **state)
{
    struct wst_config c = base_config();
    struct wst__config cfg;
    struct wst__policy p;

    (void)state;
    c.url = NULL;
    c.ws_url = "wss://api.example.com/ws";
    c.ticket_step = WST_STEP_MODE_OMIT;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_false(p.token_step);
    assert_false(p.ticket_step);
    assert_false(p.late_dial_target);
    assert_null(cfg.token_url.host);
    wst__config_fini(&cfg);

    c = base_config();
    c.token_step = WST_STEP_MODE_OMIT;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_false(p.token_step);
    assert_true(p.ticket_step);
    wst__config_fini(&cfg);

    c.token = "abc"; /* It is to be sent: then there is a step. */
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_true(p.token_step);
    wst__config_fini(&cfg);

    c = base_config();
    c.url_pointer = "/url";
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_true(p.late_dial_target);
    wst__config_fini(&cfg);

    c.ticket_step = WST_STEP_MODE_CALLBACK; /* The application hands over the URL. */
    c.ticket_cb = any_provider;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_true(p.late_dial_target);
    wst__config_fini(&cfg);

    c.ticket_step = WST_STEP_MODE_OMIT; /* Nobody names another URL. */
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_false(p.late_dial_target);
    wst__config_fini(&cfg);
}

static void policy_is_what_was_configured(void **state)
{
    static const uint16_t codes[] = {4001, 4002};
    struct wst_config c = base_config();
    struct wst__config cfg;
    struct wst__policy p;

    (void)state;
    c.base_delay_ms = 1;
    c.cap_ms = 2;
    c.jitter_percent = 3;
    c.max_server_delay_ms = 4;
    c.restart_spread_ms = 5;
    c.stable_ms = 6;
    c.step_timeout_ms = 7;
    c.attempt_timeout_ms = 8;
    c.close_timeout_ms = 9;
    c.ping_interval_ms = 10;
    c.ping_timeout_ms = 11;
    c.max_attempts = 12;
    c.give_up = WST_GIVE_UP_ALWAYS;
    c.parallel_dial = 0;
    c.unauthorized_codes = codes;
    c.unauthorized_count = 2;
    assert_int_equal(wst__config_copy(&cfg, &c, NULL), 0);
    wst__config_policy(&cfg, &p);
    assert_int_equal(p.base_ms, 1);
    assert_int_equal(p.cap_ms, 2);
    assert_int_equal(p.jitter_percent, 3);
    assert_int_equal(p.max_server_delay_ms, 4);
    assert_int_equal(p.restart_spread_ms, 5);
    assert_int_equal(p.stable_ms, 6);
    assert_int_equal(p.step_timeout_ms, 7);
    assert_int_equal(p.attempt_timeout_ms, 8);
    assert_int_equal(p.close_timeout_ms, 9);
    assert_int_equal(p.ping_interval_ms, 10);
    assert_int_equal(p.ping_timeout_ms, 11);
    assert_int_equal(p.max_attempts, 12);
    assert_int_equal(p.give_up, WST_GIVE_UP_ALWAYS);
    assert_int_equal(p.unauthorized_count, 2);
    assert_int_equal(p.unauthorized[1], 4002);
    assert_false(p.parallel_dial);
    assert_true(p.token_step);
    assert_true(p.ticket_step);
    wst__config_fini(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(null_means_the_default),
        cmocka_unit_test(urls_derive),
        cmocka_unit_test(everything_is_copied),
        cmocka_unit_test(older_and_newer_structs),
        cmocka_unit_test(wrong_strings),
        cmocka_unit_test(wrong_numbers),
        cmocka_unit_test(wrong_together),
        cmocka_unit_test(messages_or_chunks),
        cmocka_unit_test(a_small_queue_without_an_offline_queue),
        cmocka_unit_test(wrong_headers),
        cmocka_unit_test(plaintext_only_at_home),
        cmocka_unit_test(omitted_steps),
        cmocka_unit_test(policy_is_what_was_configured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
