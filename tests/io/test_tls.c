/*
 * Trust and TLS.  Every fault must get the same verdict in the HTTP steps, which libcurl does, and
 * on the stream, which is ours; also where libcurl runs on another TLS library and only gets the
 * options as text.
 */
#include "calls.h"

#include "lib/certs.h"

#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- In the place of others' functions ----------------------------------------------------- */

/* The linker puts this in the place of open(): no file is opened on the loop's thread. */
static pthread_t loop_thread;
static atomic_int opened_on_loop, opened_elsewhere;
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list ap;
    unsigned mode;

    va_start(ap, flags);
    mode = va_arg(ap, unsigned);
    va_end(ap);
    if (pthread_equal(pthread_self(), loop_thread))
        opened_on_loop++;
    else
        opened_elsewhere++;
    return __real_open64(path, flags, mode);
}

/* libcurl, too, finds these before OpenSSL's own: what it adds to a store it adds through them. */
static int stores_filled;

int X509_STORE_load_file(X509_STORE *store, const char *file)
{
    stores_filled++;
    return X509_LOOKUP_load_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), file,
                                 X509_FILETYPE_PEM) == 1;
}

int X509_STORE_load_path(X509_STORE *store, const char *dir)
{
    stores_filled++;
    return X509_LOOKUP_add_dir(X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir()), dir,
                               X509_FILETYPE_PEM) == 1;
}

/* OpenSSL and libcurl ask this for the time of day. */
static atomic_long seconds_ahead;

time_t time(time_t *out)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += seconds_ahead;
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* What OpenSSL says of a CA that it could read by half only, for want of memory. */
static atomic_bool half_read[3];
int __real_EVP_PKEY_get_security_bits(const EVP_PKEY *key);
int __wrap_EVP_PKEY_get_security_bits(const EVP_PKEY *key);
EVP_PKEY *__real_X509_get0_pubkey(const X509 *cert);
EVP_PKEY *__wrap_X509_get0_pubkey(const X509 *cert);
int __real_X509_check_purpose(X509 *cert, int id, int is_ca);
int __wrap_X509_check_purpose(X509 *cert, int id, int is_ca);

/* Its key has no strength, */
int __wrap_EVP_PKEY_get_security_bits(const EVP_PKEY *key)
{
    return atomic_exchange(&half_read[0], false) ? 0 : __real_EVP_PKEY_get_security_bits(key);
}

/* there is no key, */
EVP_PKEY *__wrap_X509_get0_pubkey(const X509 *cert)
{
    return atomic_exchange(&half_read[1], false) ? NULL : __real_X509_get0_pubkey(cert);
}

/* its extensions are not valid. */
int __wrap_X509_check_purpose(X509 *cert, int id, int is_ca)
{
    return atomic_exchange(&half_read[2], false) ? -1 : __real_X509_check_purpose(cert, id, is_ca);
}

/* ---- The stage ----------------------------------------------------------------------------- */

static struct cert ca, other_ca, leaf, name_only, expired, future, self_signed, foreign, client;
static char ca_path[256], other_path[256], client_cert[256], client_key[256], good_pin[64];

static struct cert make(const char *name, const char *san, long from_s, long to_s,
                        const struct cert *issuer)
{
    return cert_make(&(struct cert_spec){
        .name = name, .san = san, .from_s = from_s, .to_s = to_s, .issuer = issuer});
}

static void respond(struct conn *c)
{
    char request[4096];

    while (conn_read_request(c, request, sizeof request) > 0) {
        if (!conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
            return;
    }
}

static void ended_at_once(struct conn *c)
{
    char byte;

    (void)conn_read(c, &byte, 1);
}

static void speaks_plain(struct conn *c)
{
    char bytes[512];

    (void)conn_read(c, bytes, sizeof bytes);
    (void)conn_puts(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    (void)conn_read(c, bytes, sizeof bytes);
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                     unsigned in_n, void *arg)
{
    (void)ssl;
    (void)in;
    (void)in_n;
    (void)arg;
    *out = (const unsigned char *)"h2";
    *n = 2;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_none(SSL *ssl, const unsigned char **out, unsigned char *n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)out;
    (void)n;
    (void)in;
    (void)in_n;
    (void)arg;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_http(SSL *ssl, const unsigned char **out, unsigned char *n,
                       const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    /* It is the only thing that is offered. */
    assert_int_equal(in_n, 9);
    assert_memory_equal(in, "\x08http/1.1", 9);
    *out = in + 1;
    *n = 8;
    return SSL_TLSEXT_ERR_OK;
}

/* What is special about a server. */
enum twist {
    PLAIN_SAILING,
    TLS10_ONLY,
    TLS11_ONLY,
    TLS12_ONLY,
    ALPN_H2,
    ALPN_NONE,
    ALPN_HTTP,
    WANTS_CLIENT,
    WANTS_CLIENT_TLS12,
    NO_TLS,
    HANGS_UP
};

static SSL_CTX *make_server(const struct cert *cert, enum twist twist)
{
    SSL_CTX *ctx = server_ctx(cert);

    if (twist == TLS10_ONLY || twist == TLS11_ONLY) {
        int version = twist == TLS10_ONLY ? TLS1_VERSION : TLS1_1_VERSION;

        SSL_CTX_set_security_level(ctx, 0);
        (void)SSL_CTX_set_min_proto_version(ctx, version);
        (void)SSL_CTX_set_max_proto_version(ctx, version);
    }
    if (twist == TLS12_ONLY || twist == WANTS_CLIENT_TLS12)
        (void)SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (twist == ALPN_H2)
        SSL_CTX_set_alpn_select_cb(ctx, choose_h2, NULL);
    if (twist == ALPN_NONE)
        SSL_CTX_set_alpn_select_cb(ctx, choose_none, NULL);
    if (twist == ALPN_HTTP)
        SSL_CTX_set_alpn_select_cb(ctx, choose_http, NULL);
    if (twist == WANTS_CLIENT || twist == WANTS_CLIENT_TLS12) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.x509);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

struct server_with_ctx {
    struct server *server;
    SSL_CTX *ctx;
};

static struct server_with_ctx begin(const struct cert *cert, enum twist twist)
{
    struct server_with_ctx s = {0};

    if (twist == NO_TLS || twist == HANGS_UP) {
        s.server = server_start(twist == NO_TLS ? speaks_plain : ended_at_once, NULL, NULL);
        return s;
    }
    s.ctx = make_server(cert, twist);
    s.server = server_start(respond, NULL, s.ctx);
    return s;
}

static void finish(struct server_with_ctx *s)
{
    server_stop(s->server);
    SSL_CTX_free(s->ctx);
}

/* One request; the connection is new. */
static void by_http(struct world *w, const struct wst__net_options *opt, const char *host,
                    const struct server *s, bool own_ctx, struct wst_cause *why)
{
    struct wst__net *net = world_net_with(w, opt);
    struct call c;

    assert_true(net->own_ctx);
    net->own_ctx = own_ctx;
    (void)call_get(&c, w, net, url_of("https", host, s, "/"));
    *why = c.why;
    wst__net_free(net);
}

/* One stream, to its first answer: with TLS 1.3 a refusal may come after the handshake. */
static void by_stream(struct world *w, const struct wst__net_options *opt, const char *host,
                      const struct server *s, struct wst_cause *why)
{
    struct wst__net *net = world_net_with(w, opt);
    struct pipe p = {.enough = 1};

    memset(why, 0, sizeof *why);
    if (pipe_connect(&p, w, net, host, server_port(s), true) == 0 &&
        pipe_write(&p, "GET / HTTP/1.1\r\n\r\n", 18) == 0)
        world_run_either(w, &p.got_enough, &p.ended);
    if (!p.got_enough)
        *why = p.why;
    pipe_close(&p);
    wst__net_free(net);
}

/* ---- The table ----------------------------------------------------------------------------- */

struct row {
    const char *what;
    const struct cert *cert;
    enum twist twist;
    const char *host;
    struct wst__net_options opt;
    int code;
    long verify;
    const char *word; /* Must be in the text. */
};

static void check(const struct row *row, const char *way, const struct wst_cause *why,
                  enum wst_step step)
{
    if (why->code != row->code || why->tls_verify != row->verify ||
        (row->code != 0 && (!strstr(why->text, row->host) || why->step != step)) ||
        (row->word && !strstr(why->text, row->word)))
        fail_msg("%s, %s: %s, verify %ld, \"%s\"", row->what, way, wst_err_name(why->code),
                 why->tls_verify, why->text);
}

#define TRUSTED .ca_file = ca_path, .proxy = ""

static void test_verdicts(void **state)
{
    char two_pins[256];
    static const char bad_pin[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const struct row table[] = {
        {"good", &leaf, PLAIN_SAILING, "localhost", {TRUSTED}, 0, 0, NULL},
        {"good address", &leaf, PLAIN_SAILING, "127.0.0.1", {TRUSTED}, 0, 0, NULL},
        {"TLS 1.2", &leaf, TLS12_ONLY, "localhost", {TRUSTED}, 0, 0, NULL},
        {"expired",
         &expired,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_CERT_HAS_EXPIRED,
         "certificate of localhost has expired"},
        {"not yet valid",
         &future,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_CERT_NOT_YET_VALID,
         "clock"},
        {"wrong name",
         &name_only,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_HOSTNAME_MISMATCH,
         "is for another name"},
        {"wrong address",
         &name_only,
         PLAIN_SAILING,
         "127.0.0.1",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_IP_ADDRESS_MISMATCH,
         "is for another name"},
        {"unknown CA",
         &foreign,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
         "issuer is not trusted"},
        {"self-signed",
         &self_signed,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
         "issuer is not trusted"},
        {"right pin",
         &leaf,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED, .pinned_key = good_pin},
         0,
         0,
         NULL},
        {"two pins",
         &leaf,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED, .pinned_key = two_pins},
         0,
         0,
         NULL},
        {"wrong pin",
         &leaf,
         PLAIN_SAILING,
         "localhost",
         {TRUSTED, .pinned_key = bad_pin},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_APPLICATION_VERIFICATION,
         "does not match pinned_key"},
        {"insecure",
         &expired,
         PLAIN_SAILING,
         "127.0.0.1",
         {.insecure = true, .proxy = ""},
         0,
         0,
         NULL},
        {"insecure, wrong pin",
         &leaf,
         PLAIN_SAILING,
         "localhost",
         {.insecure = true, .pinned_key = bad_pin, .proxy = ""},
         WST_ERR_TLS_VERIFY,
         X509_V_ERR_APPLICATION_VERIFICATION,
         "does not match pinned_key"},
        {"TLS 1.0", &leaf, TLS10_ONLY, "localhost", {TRUSTED}, WST_ERR_TLS, 0, NULL},
        {"TLS 1.1", &leaf, TLS11_ONLY, "localhost", {TRUSTED}, WST_ERR_TLS, 0, NULL},
        {"TLS 1.2 is too old",
         &leaf,
         TLS12_ONLY,
         "localhost",
         {TRUSTED, .tls13_only = true},
         WST_ERR_TLS,
         0,
         "tls_min"},
        {"ALPN h2", &leaf, ALPN_H2, "localhost", {TRUSTED}, WST_ERR_TLS, 0, NULL},
        {"ALPN refused", &leaf, ALPN_NONE, "localhost", {TRUSTED}, WST_ERR_TLS, 0, NULL},
        {"ALPN http/1.1", &leaf, ALPN_HTTP, "localhost", {TRUSTED}, 0, 0, NULL},
        {"client wanted",
         &leaf,
         WANTS_CLIENT,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS,
         0,
         "client_cert"},
        {"client wanted, TLS 1.2",
         &leaf,
         WANTS_CLIENT_TLS12,
         "localhost",
         {TRUSTED},
         WST_ERR_TLS,
         0,
         "client_cert"},
        {"client given",
         &leaf,
         WANTS_CLIENT,
         "localhost",
         {TRUSTED, .client_cert = client_cert, .client_key = client_key},
         0,
         0,
         NULL},
        {"client given, TLS 1.2",
         &leaf,
         WANTS_CLIENT_TLS12,
         "localhost",
         {TRUSTED, .client_cert = client_cert, .client_key = client_key},
         0,
         0,
         NULL},
        {"no TLS there", &leaf, NO_TLS, "localhost", {TRUSTED}, WST_ERR_TLS, 0, "speak TLS"},
        {"hangs up", &leaf, HANGS_UP, "localhost", {TRUSTED}, WST_ERR_TLS, 0, NULL},
    };

    (void)snprintf(two_pins, sizeof two_pins, "%s;%s", bad_pin, good_pin);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct row *row = &table[i];
        struct server_with_ctx s = begin(row->cert, row->twist);
        struct wst_cause why;

        by_stream(*state, &row->opt, row->host, s.server, &why);
        check(row, "stream", &why, WST_STEP_CONNECT);
        by_http(*state, &row->opt, row->host, s.server, true, &why);
        check(row, "http", &why, WST_STEP_TICKET);
        by_http(*state, &row->opt, row->host, s.server, false, &why);
        /* libcurl does not tell an address from a name. */
        if (why.tls_verify == X509_V_ERR_HOSTNAME_MISMATCH &&
            row->verify == X509_V_ERR_IP_ADDRESS_MISMATCH)
            why.tls_verify = row->verify;
        check(row, "http without our OpenSSL", &why, WST_STEP_TICKET);
        finish(&s);
    }
}

/* The handshake went well, so the port does speak TLS: then words that are no record. */
static void answer_in_plain(struct conn *c)
{
    static const char words[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)send(c->fd, words, sizeof words - 1, MSG_NOSIGNAL);
    (void)conn_read(c, request, sizeof request);
}

/* The words at the end are OpenSSL's, and not the same in each of its versions. */
static void expect_no_record(const struct wst_cause *why)
{
    static const char begin[] = "the TLS connection to localhost failed: ";

    assert_int_equal(why->code, WST_ERR_TLS);
    assert_memory_equal(why->text, begin, sizeof begin - 1);
    assert_null(strstr(why->text, "does this port speak TLS"));
}

static void test_failure_after_the_handshake(void **state)
{
    struct wst__net_options opt = {TRUSTED};
    SSL_CTX *ctx = make_server(&leaf, PLAIN_SAILING);
    struct server *s = server_start(answer_in_plain, NULL, ctx);
    struct wst_cause why;

    by_stream(*state, &opt, "localhost", s, &why);
    expect_no_record(&why);
    for (int own_ctx = 0; own_ctx < 2; own_ctx++) {
        by_http(*state, &opt, "localhost", s, own_ctx, &why);
        expect_no_record(&why);
    }
    server_stop(s);
    SSL_CTX_free(ctx);
}

/* ---- Where CAs come from ------------------------------------------------------------------- */

static void expect(struct world *w, const struct wst__net_options *opt, const struct cert *cert,
                   int code)
{
    struct server_with_ctx s = begin(cert, PLAIN_SAILING);
    struct wst_cause why;

    by_stream(w, opt, "localhost", s.server, &why);
    assert_int_equal(why.code, code);
    by_http(w, opt, "localhost", s.server, true, &why);
    assert_int_equal(why.code, code);
    finish(&s);
}

static void test_sources(void **state)
{
    char *pem = cert_pem(&ca);
    char *other_pem = cert_pem(&other_ca);
    char both[8192];
    char hash[32];
    char path[512];
    const char *dir = temp_path("cas");
    struct wst__net_options opt = {.proxy = "", .ca_pem = pem};

    expect(*state, &opt, &leaf, 0);
    expect(*state, &opt, &foreign, WST_ERR_TLS_VERIFY);
    (void)snprintf(both, sizeof both, "%sand some text between\n%s", pem, other_pem);
    opt.ca_pem = both;
    expect(*state, &opt, &leaf, 0);
    expect(*state, &opt, &foreign, 0);
    opt.ca_pem = NULL;
    assert_int_equal(mkdir(dir, 0700), 0);
    cert_hash_name(&ca, hash, sizeof hash);
    (void)snprintf(path, sizeof path, "%s/%s", dir, hash);
    cert_write(&ca, path);
    (void)snprintf(path, sizeof path, "%s/not-hashed.pem", dir);
    cert_write(&other_ca, path);
    opt.ca_dir = dir;
    expect(*state, &opt, &leaf, 0);
    expect(*state, &opt, &foreign, WST_ERR_TLS_VERIFY);
    opt.ca_file = other_path; /* Added to the directory's. */
    expect(*state, &opt, &leaf, 0);
    expect(*state, &opt, &foreign, 0);
    free(pem);
    free(other_pem);
}

/* The system's CAs are there by default, and gone with the first of the ca_ fields. */
static void test_system(void **state)
{
    struct wst__net_options opt = {.proxy = ""};

    assert_int_equal(setenv("SSL_CERT_FILE", other_path, 1), 0);
    expect(*state, &opt, &foreign, 0);
    expect(*state, &opt, &leaf, WST_ERR_TLS_VERIFY);
    opt.ca_file = ca_path;
    expect(*state, &opt, &foreign, WST_ERR_TLS_VERIFY);
    expect(*state, &opt, &leaf, 0);
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
    opt.ca_file = NULL;
    expect(*state, &opt, &foreign, WST_ERR_TLS_VERIFY); /* The real ones. */
}

/* libcurl adds nothing to our store. */
static void test_store_stays(void **state)
{
    struct wst__net_options opt = {TRUSTED};
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);
    struct wst_cause why;

    stores_filled = 0;
    by_http(*state, &opt, "localhost", s.server, true, &why);
    assert_int_equal(why.code, 0);
    assert_int_equal(stores_filled, 0);
    by_http(*state, &opt, "localhost", s.server, false, &why);
    assert_int_equal(why.code, 0);
    assert_true(stores_filled > 0); /* So the counter works. */
    finish(&s);
}

/* Two clients with different CAs share a loop, but never a verified connection. */
static void test_trust_is_not_shared(void **state)
{
    struct world *w = *state;
    struct wst__net_options mine = {TRUSTED};
    struct wst__net_options theirs = {.ca_file = other_path, .proxy = ""};
    struct wst__net *a = world_net_with(w, &mine);
    struct wst__net *b = world_net_with(w, &theirs);
    struct wst__net *c = world_net_with(w, &mine);
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);
    struct call call;

    assert_ptr_equal(a->trust, c->trust);
    assert_ptr_not_equal(a->trust, b->trust);
    assert_int_equal(call_get(&call, w, a, url_of("https", "localhost", s.server, "/")), 0);
    assert_int_equal(call_get(&call, w, b, url_of("https", "localhost", s.server, "/")),
                     WST_ERR_TLS_VERIFY);
    assert_int_equal(call_get(&call, w, c, url_of("https", "localhost", s.server, "/")), 0);
    assert_int_equal(server_handshakes(s.server), 1);
    wst__net_free(a);
    wst__net_free(b);
    wst__net_free(c);
    finish(&s);
}

static void test_files_on_the_pool(void **state)
{
    struct wst__net_options opt = {TRUSTED, .client_cert = client_cert, .client_key = client_key};
    struct server_with_ctx s = begin(&leaf, WANTS_CLIENT);
    struct wst_cause why;

    opened_on_loop = opened_elsewhere = 0;
    by_stream(*state, &opt, "localhost", s.server, &why);
    assert_int_equal(why.code, 0);
    by_http(*state, &opt, "localhost", s.server, true, &why);
    assert_int_equal(why.code, 0);
    assert_int_equal(opened_on_loop, 0);
    assert_int_equal(opened_elsewhere, 6); /* CA, certificate, key; loaded twice in all. */
    finish(&s);
}

/* ---- What cannot be loaded ----------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void test_load_failures(void **state)
{
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);
    char *missing = strdup(temp_path("missing.pem"));
    char *empty = strdup(temp_path("empty.pem"));
    char *damaged = strdup(temp_path("damaged.pem"));
    char *locked = strdup(temp_path("locked.pem"));
    char *empty_dir = strdup(temp_path("empty-dir"));
    char *other_key = strdup(temp_path("other-key.pem"));
    const struct {
        const char *field, *word;
        struct wst__net_options opt;
    } table[] = {
        {"ca_file", "No such file", {.ca_file = missing, .proxy = ""}},
        {"ca_file", "no PEM certificate", {.ca_file = empty, .proxy = ""}},
        {"ca_file", "damaged.pem", {.ca_file = damaged, .proxy = ""}},
        {"ca_file", "Is a directory", {.ca_file = empty_dir, .proxy = ""}},
        {"ca_dir", "No such file", {.ca_dir = missing, .proxy = ""}},
        {"ca_dir", "rehash", {.ca_dir = empty_dir, .proxy = ""}},
        {"ca_dir", "Not a directory", {.ca_dir = empty, .proxy = ""}},
        {"ca_pem", "no PEM certificate", {.ca_pem = "nonsense", .proxy = ""}},
        {"client_cert", "No such file", {TRUSTED, .client_cert = missing}},
        {"client_cert", "no PEM certificate", {TRUSTED, .client_cert = empty}},
        {"client_key",
         "No such file",
         {TRUSTED, .client_cert = client_cert, .client_key = missing}},
        {"client_key", "no PEM private key", {TRUSTED, .client_cert = client_cert}},
        {"client_key",
         "does not belong to client_cert",
         {TRUSTED, .client_cert = client_cert, .client_key = other_key}},
        {"client_key", "passphrase", {TRUSTED, .client_cert = client_cert, .client_key = locked}},
    };

    write_text(empty, "nothing here\n");
    write_text(damaged, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    cert_write_key(&client, locked, "sesame");
    cert_write_key(&leaf, other_key, NULL);
    assert_int_equal(mkdir(empty_dir, 0700), 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wst_cause why[2];

        by_stream(*state, &table[i].opt, "localhost", s.server, &why[0]);
        by_http(*state, &table[i].opt, "localhost", s.server, true, &why[1]);
        for (int j = 0; j < 2; j++) {
            if (why[j].code != WST_ERR_TLS_CONFIG || !strstr(why[j].text, table[i].word) ||
                strncmp(why[j].text, table[i].field, strlen(table[i].field)) != 0)
                fail_msg("%zu: %s: %s", i, wst_err_name(why[j].code), why[j].text);
        }
        assert_int_equal(why[0].step, WST_STEP_CONNECT);
        assert_int_equal(why[1].step, WST_STEP_TICKET);
    }
    assert_int_equal(server_handshakes(s.server), 0);
    free(missing);
    free(empty);
    free(damaged);
    free(locked);
    free(empty_dir);
    free(other_key);
    finish(&s);
}

/* The same client tries again after the file was put right. */
static void test_load_again(void **state)
{
    struct world *w = *state;
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);
    char path[256];
    struct wst__net_options opt = {.ca_file = path, .proxy = ""};
    struct wst__net *net;
    struct call c;

    (void)snprintf(path, sizeof path, "%s", temp_path("late.pem"));
    net = world_net_with(w, &opt);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", s.server, "/")),
                     WST_ERR_TLS_CONFIG);
    cert_write(&ca, path);
    assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", s.server, "/")), 0);
    wst__net_free(net);
    finish(&s);
}

/* A CA that was read by half would trust nobody for ever: it is read again, once there is memory.
 */
static void test_half_read(void **state)
{
    struct world *w = *state;
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);

    for (int i = 0; i < 3; i++) {
        struct wst__net *net = world_net(w, ca_path);
        struct call c;

        half_read[i] = true;
        assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", s.server, "/")),
                         WST_ERR_NOMEM);
        assert_false(half_read[i]);
        assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", s.server, "/")), 0);
        wst__net_free(net);
    }
    finish(&s);
}

static void test_pin_syntax(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {
        "sha256//",
        "sha256//AAAA",
        "sha1//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        "sha256//****AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;x",
        "/some/file.pem",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wst__net_options opt = {.pinned_key = bad[i], .proxy = ""};
        struct wst__net *net;
        struct wst_cause why;

        assert_int_equal(wst__net_new(&w->io, &opt, &net, &why), WST_ERR_CONFIG);
        assert_memory_equal(why.text, "pinned_key", 10);
    }
}

/* ---- Sessions ------------------------------------------------------------------------------ */

static bool resumes(struct world *w, struct wst__net *net, const char *host, const struct server *s)
{
    struct pipe p = {0};
    int before = server_resumed(s);
    bool resumed;

    assert_int_equal(pipe_connect(&p, w, net, host, server_port(s), true), 0);
    resumed = wst__stream_resumed(p.stream);
    assert_int_equal(pipe_write(&p, "GET / HTTP/1.1\r\n\r\n", 18), 0);
    pipe_expect(&p, 10); /* The session tickets have arrived before. */
    pipe_close(&p);      /* As abruptly as can be. */
    assert_int_equal(server_resumed(s), before + resumed);
    return resumed;
}

static void resume_with(struct world *w, enum twist twist)
{
    struct wst__net_options opt = {TRUSTED};
    struct wst__net_options pinned = {TRUSTED, .pinned_key = good_pin};
    struct wst__net *net = world_net_with(w, &opt);
    struct wst__net *same = world_net_with(w, &opt);
    struct wst__net *changed = world_net_with(w, &pinned);
    struct server_with_ctx s = begin(&leaf, twist);

    assert_false(resumes(w, net, "localhost", s.server));
    assert_true(resumes(w, net, "localhost", s.server));
    assert_true(resumes(w, net, "localhost", s.server));
    assert_true(resumes(w, same, "localhost", s.server));
    /* Another name or other options: a full handshake. */
    assert_false(resumes(w, net, "127.0.0.1", s.server));
    assert_false(resumes(w, changed, "localhost", s.server));
    wst__net_free(net);
    wst__net_free(same);
    wst__net_free(changed);
    finish(&s);
}

static void test_resumption(void **state)
{
    resume_with(*state, PLAIN_SAILING);
    resume_with(*state, TLS12_ONLY);
}

static void respond_and_close(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    (void)SSL_shutdown(c->ssl);
}

/* A connection over which what the server says first, tickets too, has come.  Its code. */
static int connect_once(struct world *w, struct wst__net *net, const struct server *s)
{
    struct pipe p = {0};
    int rc = pipe_connect(&p, w, net, "localhost", server_port(s), true);

    if (rc == 0) {
        assert_int_equal(pipe_write(&p, "GET / HTTP/1.1\r\n\r\n", 18), 0);
        pipe_expect(&p, 10);
    }
    pipe_close(&p);
    return rc;
}

static int get_once(struct world *w, struct wst__net *net, const struct server *s)
{
    struct call c;

    return call_get(&c, w, net, url_of("https", "localhost", s, "/"));
}

/* The two ways to a server: ours, and libcurl's. */
static int (*const ways[])(struct world *, struct wst__net *,
                           const struct server *) = {connect_once, get_once};

static void outlive_certificate(struct world *w, enum twist twist, size_t way)
{
    struct wst__net *net = world_net(w, ca_path);
    struct cert brief = make("brief", "DNS:localhost", -3600, 60, &ca);
    SSL_CTX *ctx = make_server(&brief, twist);
    struct server *s = server_start(respond_and_close, NULL, ctx);

    assert_int_equal(ways[way](w, net, s), 0);
    assert_int_equal(ways[way](w, net, s), 0);
    assert_int_equal(server_resumed(s), 1);
    seconds_ahead = 120; /* Server and ticket are as good as before. */
    assert_int_equal(ways[way](w, net, s), WST_ERR_TLS_VERIFY);
    assert_int_equal(ways[way](w, net, s), WST_ERR_TLS_VERIFY);
    seconds_ahead = 0;
    assert_int_equal(server_resumed(s), 1);
    wst__net_free(net);
    server_stop(s);
    SSL_CTX_free(ctx);
    cert_free(&brief);
}

static void test_expired_since(void **state)
{
    for (size_t way = 0; way < 2; way++) {
        outlive_certificate(*state, PLAIN_SAILING, way);
        outlive_certificate(*state, TLS12_ONLY, way);
    }
}

/* With TLS 1.2 a session is there before the pin was looked at; it must not be used after that. */
static void mend_pinned_key(struct world *w, enum twist twist, size_t way)
{
    struct wst__net_options opt = {TRUSTED, .pinned_key = good_pin};
    struct wst__net *net = world_net_with(w, &opt);
    struct cert wrong = cert_make_server(&ca);
    SSL_CTX *ctx = make_server(&wrong, twist);
    struct server *s = server_start(respond_and_close, NULL, ctx);

    assert_int_equal(ways[way](w, net, s), WST_ERR_TLS_VERIFY);
    assert_int_equal(SSL_CTX_use_certificate(ctx, leaf.x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, leaf.key), 1);
    assert_int_equal(ways[way](w, net, s), 0);
    assert_int_equal(server_resumed(s), 0);
    assert_int_equal(ways[way](w, net, s), 0);
    assert_int_equal(server_resumed(s), 1);
    wst__net_free(net);
    server_stop(s);
    SSL_CTX_free(ctx);
    cert_free(&wrong);
}

static void test_pin_mended(void **state)
{
    for (size_t way = 0; way < 2; way++) {
        mend_pinned_key(*state, PLAIN_SAILING, way);
        mend_pinned_key(*state, TLS12_ONLY, way);
    }
}

static void test_resumption_by_http(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, ca_path);
    SSL_CTX *ctx = server_ctx(&leaf);
    struct server *s = server_start(respond_and_close, NULL, ctx);
    struct call c;

    for (int i = 0; i < 3; i++)
        assert_int_equal(call_get(&c, w, net, url_of("https", "localhost", s, "/")), 0);
    assert_int_equal(server_handshakes(s), 3);
    assert_int_equal(server_resumed(s), 2);
    wst__net_free(net);
    server_stop(s);
    SSL_CTX_free(ctx);
}

static void respond_and_reset(struct conn *c)
{
    char request[4096];

    (void)conn_read_request(c, request, sizeof request);
    (void)conn_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    conn_reset(c);
}

/* libcurl writes to connections that are dead by now: no signal, whose disposition is default. */
static void test_no_sigpipe(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, ca_path);
    SSL_CTX *ctx = server_ctx(&leaf);
    struct server *s = server_start(respond_and_reset, NULL, ctx);
    struct sigaction now;
    struct call c;

    for (int i = 0; i < 20; i++) {
        (void)call_get(&c, w, net, url_of("https", "localhost", s, "/"));
        assert_true(c.why.code == 0 || c.why.code == WST_ERR_RESET || c.why.code == WST_ERR_EOF ||
                    c.why.code == WST_ERR_TLS);
        if (i % 2)
            world_run_for(w, 3);
    }
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    wst__net_free(net);
    server_stop(s);
    SSL_CTX_free(ctx);
}

/* More hosts than there are slots: old sessions make room, nothing is lost or leaked. */
static void test_many_sessions(void **state)
{
    struct world *w = *state;
    struct wst__net *net = world_net(w, ca_path);
    struct server_with_ctx s[20];

    for (int i = 0; i < 20; i++) {
        s[i] = begin(&leaf, PLAIN_SAILING);
        assert_false(resumes(w, net, "localhost", s[i].server));
    }
    assert_true(resumes(w, net, "localhost", s[19].server));
    assert_false(resumes(w, net, "localhost", s[0].server));
    for (int i = 0; i < 20; i++)
        finish(&s[i]);
    wst__net_free(net);
}

/* ---- SNI ----------------------------------------------------------------------------------- */

static char sni[64];

static int on_sni(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)arg;
    (void)snprintf(sni, sizeof sni, "%s", name ? name : "none");
    return SSL_TLSEXT_ERR_OK;
}

static void test_sni(void **state)
{
    struct wst__net_options opt = {TRUSTED};
    struct server_with_ctx s = begin(&leaf, PLAIN_SAILING);
    struct wst_cause why;

    (void)SSL_CTX_set_tlsext_servername_callback(s.ctx, on_sni);
    by_stream(*state, &opt, "localhost", s.server, &why);
    assert_int_equal(why.code, 0);
    assert_string_equal(sni, "localhost");
    by_stream(*state, &opt, "127.0.0.1", s.server, &why);
    assert_int_equal(why.code, 0);
    assert_string_equal(sni, "none");
    finish(&s);
}

/* ---------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    ca = cert_make_ca("Test CA");
    other_ca = cert_make_ca("Other CA");
    leaf = cert_make_server(&ca);
    foreign = cert_make_server(&other_ca);
    name_only = make("n", "DNS:other.example", -3600, 3600, &ca);
    expired = make("e", "DNS:localhost", -7200, -3600, &ca);
    future = make("f", "DNS:localhost", 3600, 7200, &ca);
    self_signed = make("s", "DNS:localhost", -3600, 3600, NULL);
    client = make("client", NULL, -3600, 3600, &ca);
    (void)snprintf(ca_path, sizeof ca_path, "%s", temp_path("ca.pem"));
    (void)snprintf(other_path, sizeof other_path, "%s", temp_path("other.pem"));
    (void)snprintf(client_cert, sizeof client_cert, "%s", temp_path("client.pem"));
    (void)snprintf(client_key, sizeof client_key, "%s", temp_path("client-key.pem"));
    cert_write(&ca, ca_path);
    cert_write(&other_ca, other_path);
    cert_write(&client, client_cert);
    cert_write_key(&client, client_key, NULL);
    cert_pin(&leaf, good_pin, sizeof good_pin);
    return 0;
}

static int tear_down(void **state)
{
    struct cert *all[] = {&ca,     &other_ca,    &leaf,    &name_only, &expired,
                          &future, &self_signed, &foreign, &client};

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        cert_free(all[i]);
    return 0;
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_verdicts),
        IN_WORLD(test_failure_after_the_handshake),
        IN_WORLD(test_sources),
        IN_WORLD(test_system),
        IN_WORLD(test_store_stays),
        IN_WORLD(test_trust_is_not_shared),
        IN_WORLD(test_files_on_the_pool),
        IN_WORLD(test_load_failures),
        IN_WORLD(test_load_again),
        IN_WORLD(test_half_read),
        IN_WORLD(test_pin_syntax),
        IN_WORLD(test_resumption),
        IN_WORLD(test_resumption_by_http),
        IN_WORLD(test_expired_since),
        IN_WORLD(test_pin_mended),
        IN_WORLD(test_many_sessions),
        IN_WORLD(test_no_sigpipe),
        IN_WORLD(test_sni),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
