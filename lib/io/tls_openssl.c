/*
 * Trust: loaded once for each set of options, because the system's CA bundle costs as much as
 * twenty handshakes.  A thread of libuv's pool reads and parses the files; only then anybody gets
 * to see the result, on the loop's thread.  Nothing is looked up in files later: a lazily read CA
 * directory would be file work on the loop.
 *
 * A load that failed is tried anew by the next who wants it: the file may have been put right.
 *
 * Sessions for resumption are kept here too, by host and port: a session can never outlive the
 * trust under which it was verified, nor serve another name.
 */
#include "io/tls_openssl.h"

#include "base/errno_text.h"
#include "base/mem.h"
#include "io/exit_gate.h"
#include "io/io.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PIN_BYTES = 32,
    PINS_MAX = 8,
    SESSIONS_MAX = 16,
    FILE_MAX = 16 * 1024 * 1024 /* No CA bundle is larger. */
};

/* What the pool makes of the options. */
struct loaded {
    SSL_CTX *ctx;
    X509_STORE *store;
    X509 *cert; /* The client's; NULL: none. */
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

struct session {
    char *host;
    uint16_t port;
    SSL_SESSION *session;
};

enum state { TRUST_NEW, TRUST_LOADING, TRUST_LOADED };

struct wst__trust {
    struct wst__io *io;
    struct wst__trust *next;
    size_t refs;
    enum state state;
    struct wst__trust_files files;
    char *system_file, *system_dir; /* Where the environment says that the system's CAs are. */
    uint8_t pins[PINS_MAX][PIN_BYTES];
    size_t pin_count;
    uv_work_t work;
    struct loaded loaded;
    struct wst_cause why; /* Of the last load. */
    struct wst__trust_wait waiting;
    struct session sessions[SESSIONS_MAX];
    size_t next_session; /* The slot that is overwritten next when all are taken. */
};

/* ---- Words for failures -------------------------------------------------------------------- */

bool wst__tls_is_ours(const char *library)
{
    char ours[64];

    (void)snprintf(ours, sizeof ours, "OpenSSL/%s", OpenSSL_version(OPENSSL_VERSION_STRING));
    return library && strcmp(library, ours) == 0;
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "unknown reason";
}

int wst__tls_verify_cause(struct wst_cause *why, enum wst_step step, const char *host, long error)
{
    int rc = WST_ERR_TLS_VERIFY;

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)wst__cause(why, rc, step,
                         "the certificate of %s has expired; it must be renewed there, or this "
                         "machine's clock is wrong",
                         host);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)wst__cause(why, rc, step,
                         "the certificate of %s is not valid yet; is this machine's clock right?",
                         host);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        (void)wst__cause(why, rc, step, "the certificate of %s is for another name", host);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        (void)wst__cause(why, rc, step,
                         "the certificate of %s: its issuer is not trusted (%s); is it in ca_file?",
                         host, X509_verify_cert_error_string(error));
        break;
    case X509_V_ERR_APPLICATION_VERIFICATION:
        (void)wst__cause(why, rc, step, "the public key of %s does not match pinned_key", host);
        break;
    default:
        (void)wst__cause(why, rc, step, "the certificate of %s was not accepted: %s", host,
                         X509_verify_cert_error_string(error));
        break;
    }
    if (why)
        why->tls_verify = error;
    return rc;
}

int wst__tls_text_cause(struct wst_cause *why, enum wst_step step, const char *host,
                        const char *text, bool in_handshake)
{
    const char *hint = "";

    if (strstr(text, "certificate required") || strstr(text, "handshake failure"))
        hint = "; does it want a client_cert?"; /* With TLS 1.3 it says so after the handshake. */
    else if (in_handshake &&
             (strstr(text, "wrong version number") || strstr(text, "packet length too long")))
        hint = "; does this port speak TLS?";
    else if (in_handshake &&
             (strstr(text, "protocol version") || strstr(text, "unsupported protocol")))
        hint = "; see tls_min";
    return wst__cause(why, WST_ERR_TLS, step, "the TLS %s %s failed: %s%s",
                      in_handshake ? "handshake with" : "connection to", host, text, hint);
}

int wst__tls_error_cause(struct wst_cause *why, enum wst_step step, const char *host,
                         const SSL *ssl, bool in_handshake)
{
    unsigned long error = ERR_peek_last_error();
    long verify = SSL_get_verify_result(ssl);

    if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK)
        return wst__tls_verify_cause(why, step, host, verify);
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return wst__cause(why, WST_ERR_NOMEM, step, "out of memory in TLS");
    return wst__tls_text_cause(why, step, host, reason(), in_handshake);
}

/* ---- Loading, on the pool ------------------------------------------------------------------ */

static int no_memory(struct wst_cause *why)
{
    return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
}

/* Did OpenSSL fail for want of memory, whatever it made of it?  Then it may have had none to note
 * that either.  Clears its errors. */
static bool lacked_memory(void)
{
    unsigned long error = ERR_get_error();
    bool lacked = error == 0;

    for (; error != 0; error = ERR_get_error())
        lacked = lacked || ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    return lacked;
}

static int refuse(struct wst_cause *why, const char *field, const char *what, const char *text)
{
    return wst__cause(why, WST_ERR_TLS_CONFIG, WST_STEP_NONE, "%s: %.150s: %s", field, what, text);
}

/* The same after a call of OpenSSL: a want of memory heals, and is no fault of the file. */
static int refuse_ssl(struct wst_cause *why, const char *field, const char *what, const char *text)
{
    return lacked_memory() ? no_memory(why) : refuse(why, field, what, text);
}

static int refuse_errno(struct wst_cause *why, const char *field, const char *what, int sys_errno)
{
    char text[WST__ERRNO_TEXT];
    bool heals = sys_errno == EMFILE || sys_errno == ENFILE;
    int rc;

    if (sys_errno == ENOMEM)
        return no_memory(why);
    rc = wst__cause(why, heals ? WST_ERR_IO : WST_ERR_TLS_CONFIG, WST_STEP_NONE,
                    "%s: cannot read %.150s: %s", field, what, wst__errno_text(sys_errno, text));
    why->sys_errno = sys_errno;
    return rc;
}

/* Reads until the end; an errno, or 0. */
static int read_fd(int fd, struct wst__buf *out)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    for (;;) {
        ssize_t n;
        int rc = wst__buf_reserve(out, 16 * 1024);

        if (rc != 0)
            return rc == WST_ERR_NOMEM ? ENOMEM : EFBIG;
        n = read(fd, out->data + out->len, out->cap - out->len);
        if (n == 0)
            return 0;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            return errno;
    }
}

/* A whole file, as a BIO over |out|; NULL: |*sys_errno| says why. */
static BIO *open_pem(const char *path, struct wst__buf *out, int *sys_errno)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    BIO *bio = NULL;

    wst__buf_init(out, FILE_MAX, true);
    *sys_errno = fd < 0 ? errno : read_fd(fd, out);
    if (fd >= 0)
        (void)close(fd);
    if (*sys_errno == 0) {
        bio = BIO_new_mem_buf(out->data ? (const void *)out->data : "", (int)out->len);
        *sys_errno = bio ? 0 : ENOMEM;
    }
    if (!bio)
        wst__buf_fini(out);
    return bio;
}

static void close_pem(BIO *bio, struct wst__buf *bytes)
{
    BIO_free(bio);
    wst__buf_fini(bytes);
}

/* One whose strength it had no memory to look up counts as one of no bits: too weak. */
static bool is_whole(const EVP_PKEY *key)
{
    return key && EVP_PKEY_get_security_bits(key) > 0;
}

/*
 * OpenSSL passes in silence over a public key that it could not decode for want of memory, or not
 * wholly, and then trusts nothing that it has signed.  If it can be decoded now, that is what
 * happened.
 */
static bool lost_its_key(X509 *cert)
{
    uint8_t *spki = NULL;
    const uint8_t *at;
    EVP_PKEY *key = NULL;
    bool lost;
    int n;

    if (is_whole(X509_get0_pubkey(cert)))
        return false;
    ERR_clear_error();
    n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    at = spki;
    if (n > 0)
        key = d2i_PUBKEY(NULL, &at, n);
    lost = lacked_memory() || is_whole(key);
    EVP_PKEY_free(key);
    OPENSSL_free(spki);
    return lost; /* Else it is an algorithm that OpenSSL does not know. */
}

/*
 * The same with its extensions, which OpenSSL decodes once: if memory lacked then, the certificate
 * counts as invalid for ever, and nothing that it has signed is trusted.
 */
static bool lost_its_extensions(X509 *cert)
{
    X509 *again;
    bool lost;

    if (X509_check_purpose(cert, -1, 0) == 1)
        return false;
    again = X509_dup(cert);
    lost = !again || X509_check_purpose(again, -1, 0) == 1;
    X509_free(again);
    ERR_clear_error();
    return lost; /* Else it is really invalid, and trusted by nobody. */
}

/* Adds every certificate of |bio|.  Returns their number; -1: one is damaged or no memory. */
static int add_certs(X509_STORE *store, BIO *bio)
{
    X509 *cert;
    int count = 0;
    bool bad = false;

    ERR_clear_error();
    while (!bad && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        bad = lost_its_key(cert) || lost_its_extensions(cert) ||
              X509_STORE_add_cert(store, cert) != 1;
        X509_free(cert);
        count++;
    }
    if (!bad && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error(); /* That is how the end is told. */
        return count;
    }
    return -1;
}

static int add_bio(X509_STORE *store, BIO *bio, const char *field, const char *what,
                   struct wst_cause *why)
{
    int count = add_certs(store, bio);

    if (count > 0)
        return 0;
    if (count == 0)
        return refuse(why, field, what, "there is no PEM certificate in it");
    return refuse_ssl(why, field, what, reason());
}

static int add_file(X509_STORE *store, const char *path, const char *field, struct wst_cause *why)
{
    struct wst__buf bytes;
    int sys_errno;
    BIO *bio = open_pem(path, &bytes, &sys_errno);
    int rc;

    if (!bio)
        return refuse_errno(why, field, path, sys_errno);
    rc = add_bio(store, bio, field, path, why);
    close_pem(bio, &bytes);
    return rc;
}

/* c_rehash's names: eight hex digits, a dot, a number. */
static bool is_hashed(const char *name)
{
    if (strspn(name, "0123456789abcdefABCDEF") != 8 || name[8] != '.' || !name[9])
        return false;
    return strspn(name + 9, "0123456789") == strlen(name + 9);
}

/* Reads every hashed file now, where OpenSSL would look one up when it needs it. */
static int add_dir(X509_STORE *store, const char *path, const char *field, struct wst_cause *why)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;
    int count = 0;

    if (!dir)
        return refuse_errno(why, field, path, errno);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        char *file;
        size_t size = strlen(path) + strlen(entry->d_name) + 2;

        if (!is_hashed(entry->d_name))
            continue;
        file = wst__malloc(size);
        if (!file) {
            rc = no_memory(why);
            break;
        }
        (void)snprintf(file, size, "%s/%s", path, entry->d_name);
        rc = add_file(store, file, field, why);
        wst__free(file);
        count++;
    }
    (void)closedir(dir);
    if (rc == 0 && count == 0)
        return refuse(why, field, path,
                      "there is no hashed certificate in it; openssl rehash makes them");
    return rc;
}

/* The system's CAs: as the environment says, else where distributions keep them. */
static int add_system(X509_STORE *store, const struct wst__trust *trust, struct wst_cause *why)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",     /* Debian, Ubuntu, Alpine, Arch */
        "/etc/pki/tls/certs/ca-bundle.crt",       /* Fedora */
        "/etc/ssl/ca-bundle.pem",                 /* openSUSE */
        "/etc/ssl/cert.pem",                      /* BSDs, macOS */
        "/usr/local/share/certs/ca-root-nss.crt", /* FreeBSD */
    };
    const char *file = trust->system_file;

    for (size_t i = 0; !file && i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0)
            file = places[i];
    }
    if (file || !trust->system_dir)
        return add_file(store, file ? file : X509_get_default_cert_file(), "ca_file (the system's)",
                        why);
    return add_dir(store, trust->system_dir, "ca_dir (the system's)", why);
}

static int load_cas(const struct wst__trust *trust, X509_STORE *store, struct wst_cause *why)
{
    const struct wst__trust_files *f = &trust->files;
    int rc = 0;

    if (f->insecure)
        return 0;
    if (!f->ca_file && !f->ca_dir && !f->ca_pem)
        return add_system(store, trust, why);
    if (f->ca_file)
        rc = add_file(store, f->ca_file, "ca_file", why);
    if (rc == 0 && f->ca_dir)
        rc = add_dir(store, f->ca_dir, "ca_dir", why);
    if (rc == 0 && f->ca_pem) {
        BIO *bio = BIO_new_mem_buf(f->ca_pem, -1);

        rc = bio ? add_bio(store, bio, "ca_pem", "the text", why) : no_memory(why);
        BIO_free(bio);
    }
    return rc;
}

/* OpenSSL's own would ask on the terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* The first certificate is the client's own, the others lead to its CA. */
static int load_cert(struct loaded *l, const char *path, struct wst_cause *why)
{
    struct wst__buf bytes;
    int sys_errno;
    BIO *bio = open_pem(path, &bytes, &sys_errno);
    X509 *more;
    int rc = 0;

    if (!bio)
        return refuse_errno(why, "client_cert", path, sys_errno);
    ERR_clear_error();
    l->cert = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
    l->chain = sk_X509_new_null();
    if (!l->cert || lost_its_key(l->cert) || lost_its_extensions(l->cert))
        rc = refuse_ssl(why, "client_cert", path, "there is no PEM certificate in it");
    else if (!l->chain)
        rc = no_memory(why);
    while (rc == 0 && (more = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (sk_X509_push(l->chain, more) == 0) {
            X509_free(more);
            rc = no_memory(why);
        }
    }
    ERR_clear_error();
    close_pem(bio, &bytes);
    return rc;
}

static int load_key(struct loaded *l, const char *path, struct wst_cause *why)
{
    struct wst__buf bytes;
    int sys_errno;
    BIO *bio = open_pem(path, &bytes, &sys_errno);
    int rc = 0;

    if (!bio)
        return refuse_errno(why, "client_key", path, sys_errno);
    ERR_clear_error();
    l->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    if (!l->key) {
        int what = ERR_GET_REASON(ERR_peek_last_error());

        if (what == PEM_R_BAD_PASSWORD_READ || what == PEM_R_PROBLEMS_GETTING_PASSWORD)
            rc = refuse(why, "client_key", path, "it is encrypted; give one without a passphrase");
        else
            rc = refuse_ssl(why, "client_key", path, "there is no PEM private key in it");
    } else if (X509_check_private_key(l->cert, l->key) != 1) {
        rc = refuse_ssl(why, "client_key", path, "it does not belong to client_cert");
    }
    ERR_clear_error();
    close_pem(bio, &bytes);
    return rc;
}

static int load_identity(const struct wst__trust *trust, struct loaded *l, struct wst_cause *why)
{
    const struct wst__trust_files *f = &trust->files;
    int rc;

    if (!f->client_cert)
        return 0;
    rc = load_cert(l, f->client_cert, why);
    if (rc == 0)
        rc = load_key(l, f->client_key ? f->client_key : f->client_cert, why);
    return rc;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session);
static void on_info(const SSL *ssl, int where, int ret);

/* Where an SSL_CTX keeps its trust: one number for all loops, as OpenSSL never takes one back. */
static int trust_index = -1;

/* From any thread.  What failed for want of memory is tried anew. */
static bool keep_trust(SSL_CTX *ctx, const struct wst__trust *trust)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    (void)pthread_mutex_lock(&lock);
    if (trust_index < 0)
        trust_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    (void)pthread_mutex_unlock(&lock);
    return trust_index >= 0 && SSL_CTX_set_ex_data(ctx, trust_index, (void *)(uintptr_t)trust) == 1;
}

/* What libcurl's SSL_CTX and ours have in common.  |trust| outlives |ctx|. */
static bool set_up(SSL_CTX *ctx, const struct wst__trust *trust, const struct loaded *l)
{
    const struct wst__trust_files *f = &trust->files;

    if (!keep_trust(ctx, trust))
        return false;
    SSL_CTX_set_info_callback(ctx, on_info);
    if (SSL_CTX_set_min_proto_version(ctx, f->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
        return false;
    SSL_CTX_set1_cert_store(ctx, l->store);
    SSL_CTX_set_verify(ctx, f->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    /* A server has no business asking for a second handshake on the same connection. */
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    return !l->cert || SSL_CTX_use_cert_and_key(ctx, l->cert, l->key, l->chain, 1) == 1;
}

static bool make_ctx(const struct wst__trust *trust, struct loaded *l)
{
    static const uint8_t alpn[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    l->ctx = ctx;
    if (!ctx || !set_up(ctx, trust, l) || SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1) != 0)
        return false;
    /* A write may end after any record, and go on from another place in memory. */
    (void)SSL_CTX_set_mode(ctx,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    return true;
}

static int load(const struct wst__trust *trust, struct loaded *l, struct wst_cause *why)
{
    int rc;

    l->store = X509_STORE_new();
    if (!l->store)
        return no_memory(why);
    /* As libcurl does: an intermediate that is given as a CA is trusted by itself. */
    (void)X509_STORE_set_flags(l->store, X509_V_FLAG_PARTIAL_CHAIN);
    rc = load_cas(trust, l->store, why);
    if (rc == 0)
        rc = load_identity(trust, l, why);
    if (rc == 0 && !make_ctx(trust, l))
        rc = refuse_ssl(why, trust->files.client_cert ? "client_cert" : "TLS",
                        trust->files.client_cert ? trust->files.client_cert : "OpenSSL", reason());
    return rc;
}

static void unload(struct loaded *l)
{
    SSL_CTX_free(l->ctx);
    X509_STORE_free(l->store);
    X509_free(l->cert);
    EVP_PKEY_free(l->key);
    sk_X509_pop_free(l->chain, X509_free);
    memset(l, 0, sizeof *l);
}

static void on_pool(uv_work_t *work)
{
    struct wst__trust *trust = work->data;

    /* Nobody else looks at these two while the state is LOADING. */
    memset(&trust->why, 0, sizeof trust->why);
    if (!wst__exit_gate_enter()) {
        (void)wst__cause(&trust->why, WST_ERR_IO, WST_STEP_NONE, "the process is ending");
        return;
    }
    tzset(); /* OpenSSL calls it to compare dates, and the first call reads the zone's file. */
    if (load(trust, &trust->loaded, &trust->why) != 0)
        unload(&trust->loaded);
    ERR_clear_error();     /* This thread is not ours: leave no errors behind, */
    OPENSSL_thread_stop(); /* and no memory, which would be lost when the process ends before it. */
    wst__exit_gate_leave();
}

/* ---- Waiting for it ------------------------------------------------------------------------ */

static void take_out(struct wst__trust_wait *w)
{
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = NULL;
}

static void put_in(struct wst__trust_wait *head, struct wst__trust_wait *w)
{
    w->prev = head->prev;
    w->next = head;
    head->prev->next = w;
    head->prev = w;
}

static void on_loaded(uv_work_t *work, int status)
{
    struct wst__trust *trust = work->data;
    struct wst__io *io = trust->io;
    struct wst_cause why = trust->why;
    struct wst__trust_wait batch = {.next = &batch, .prev = &batch};

    (void)status; /* Never canceled. */
    trust->state = why.code == 0 ? TRUST_LOADED : TRUST_NEW;
    while (trust->waiting.next != &trust->waiting) {
        struct wst__trust_wait *w = trust->waiting.next;

        take_out(w);
        put_in(&batch, w);
    }
    while (batch.next != &batch) {
        struct wst__trust_wait *w = batch.next;

        take_out(w);
        w->cb(w->arg, &why); /* May want it again, or take others out. */
    }
    wst__trust_unref(trust);
    wst__io_release(io);
}

bool wst__trust_want(struct wst__trust *trust, struct wst__trust_wait *wait)
{
    if (trust->state == TRUST_LOADED)
        return true;
    put_in(&trust->waiting, wait);
    if (trust->state == TRUST_NEW) {
        trust->state = TRUST_LOADING;
        trust->work.data = trust;
        wst__trust_ref(trust);
        wst__io_hold(trust->io);
        (void)uv_queue_work(trust->io->uv, &trust->work, on_pool, on_loaded);
    }
    return false;
}

void wst__trust_forget(struct wst__trust_wait *wait)
{
    if (wait->next)
        take_out(wait);
}

/* ---- Life ---------------------------------------------------------------------------------- */

static bool same_options(const struct wst__trust_files *f, const struct wst__net_options *opt)
{
    return wst__same_text(f->ca_file, opt->ca_file) && wst__same_text(f->ca_dir, opt->ca_dir) &&
           wst__same_text(f->ca_pem, opt->ca_pem) &&
           wst__same_text(f->client_cert, opt->client_cert) &&
           wst__same_text(f->client_key, opt->client_key) &&
           wst__same_text(f->pinned_key, opt->pinned_key) && f->tls13_only == opt->tls13_only &&
           f->insecure == opt->insecure;
}

/* One "sha256//BASE64" of |n| bytes. */
static bool parse_pin(const char *text, size_t n, uint8_t out[PIN_BYTES])
{
    static const char prefix[] = "sha256//";
    enum { BASE64 = 44 }; /* 32 bytes with one '=' at the end. */
    uint8_t bytes[BASE64 / 4 * 3];

    if (n != sizeof prefix - 1 + BASE64 || memcmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    text += sizeof prefix - 1;
    if (text[BASE64 - 1] != '=' || text[BASE64 - 2] == '=' ||
        EVP_DecodeBlock(bytes, (const uint8_t *)text, BASE64) != sizeof bytes)
        return false;
    memcpy(out, bytes, PIN_BYTES);
    return true;
}

static int parse_pins(struct wst__trust *trust, struct wst_cause *why)
{
    const char *at = trust->files.pinned_key;

    if (!at)
        return 0;
    do { /* Also over an empty one: who sets a pin wants a check, not none. */
        size_t n = strcspn(at, ";");

        if (trust->pin_count == PINS_MAX || !parse_pin(at, n, trust->pins[trust->pin_count]))
            return wst__cause(why, WST_ERR_CONFIG, WST_STEP_NONE,
                              "pinned_key: must be sha256//BASE64 of 32 bytes, or at most %d of "
                              "those with ';' between them",
                              PINS_MAX);
        trust->pin_count++;
        at += n;
        at += *at == ';';
    } while (*at);
    return 0;
}

static bool copy_text(const char **to, const char *from)
{
    *to = wst__strdup(from);
    return *to || !from;
}

static bool copy_options(struct wst__trust *trust, const struct wst__net_options *opt)
{
    struct wst__trust_files *f = &trust->files;
    const char *file = getenv("SSL_CERT_FILE");
    const char *dir = getenv("SSL_CERT_DIR");

    f->tls13_only = opt->tls13_only;
    f->insecure = opt->insecure;
    trust->system_file = wst__strdup(file);
    trust->system_dir = wst__strdup(dir);
    return (trust->system_file || !file) && (trust->system_dir || !dir) &&
           copy_text(&f->ca_file, opt->ca_file) && copy_text(&f->ca_dir, opt->ca_dir) &&
           copy_text(&f->ca_pem, opt->ca_pem) && copy_text(&f->client_cert, opt->client_cert) &&
           copy_text(&f->client_key, opt->client_key) && copy_text(&f->pinned_key, opt->pinned_key);
}

static void free_text(const char *text)
{
    wst__free((void *)(uintptr_t)text);
}

static void free_trust(struct wst__trust *trust)
{
    struct wst__trust_files *f = &trust->files;

    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        SSL_SESSION_free(trust->sessions[i].session);
        wst__free(trust->sessions[i].host);
    }
    unload(&trust->loaded);
    free_text(f->ca_file);
    free_text(f->ca_dir);
    free_text(f->ca_pem);
    free_text(f->client_cert);
    free_text(f->client_key);
    free_text(f->pinned_key);
    wst__free(trust->system_file);
    wst__free(trust->system_dir);
    wst__free(trust);
}

static int new_trust(struct wst__io *io, const struct wst__net_options *opt,
                     struct wst__trust **out, struct wst_cause *why)
{
    struct wst__trust *trust = wst__calloc(1, sizeof *trust);
    int rc;

    if (!trust)
        return no_memory(why);
    trust->io = io;
    trust->refs = 1;
    trust->waiting.next = trust->waiting.prev = &trust->waiting;
    rc = copy_options(trust, opt) ? parse_pins(trust, why) : no_memory(why);
    if (rc != 0) {
        free_trust(trust);
        return rc;
    }
    trust->next = io->trusts;
    io->trusts = trust;
    *out = trust;
    return 0;
}

int wst__trust_get(struct wst__io *io, const struct wst__net_options *opt, struct wst__trust **out,
                   struct wst_cause *why)
{
    for (struct wst__trust *trust = io->trusts; trust; trust = trust->next) {
        if (same_options(&trust->files, opt)) {
            wst__trust_ref(trust);
            *out = trust;
            return 0;
        }
    }
    return new_trust(io, opt, out, why);
}

void wst__trust_ref(struct wst__trust *trust)
{
    trust->refs++;
}

void wst__trust_unref(struct wst__trust *trust)
{
    struct wst__trust **at = &trust->io->trusts;

    if (--trust->refs > 0)
        return;
    while (*at != trust)
        at = &(*at)->next;
    *at = trust->next;
    free_trust(trust);
}

const struct wst__trust_files *wst__trust_files(const struct wst__trust *trust)
{
    return &trust->files;
}

/* ---- Sessions ------------------------------------------------------------------------------ */

static struct session *find_session(struct wst__trust *trust, const struct wst__tls_peer *peer)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct session *s = &trust->sessions[i];

        if (s->host && s->port == peer->port && strcmp(s->host, peer->host) == 0)
            return s;
    }
    return NULL;
}

/* A slot for |peer|: its own, or a free one, or the next in turn. */
static struct session *take_session(struct wst__trust *trust, const struct wst__tls_peer *peer)
{
    struct session *s = find_session(trust, peer);
    char *host;

    if (s)
        return s;
    host = wst__strdup(peer->host);
    if (!host)
        return NULL;
    s = &trust->sessions[trust->next_session++ % SESSIONS_MAX];
    SSL_SESSION_free(s->session);
    wst__free(s->host);
    s->session = NULL;
    s->host = host;
    s->port = peer->port;
    return s;
}

/* OpenSSL gives the session away when 1 is returned. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct wst__tls_peer *peer = SSL_get_app_data(ssl);
    struct session *s = take_session(peer->trust, peer);

    if (!s)
        return 0;
    SSL_SESSION_free(s->session);
    s->session = session;
    return 1;
}

/* RFC 7469, 2.4: the digest of the certificate's SubjectPublicKeyInfo. */
static bool pin_matches(const struct wst__trust *trust, X509 *cert)
{
    uint8_t *spki = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    uint8_t digest[PIN_BYTES];
    bool found = false;

    if (n <= 0)
        return false;
    if (EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1) {
        for (size_t i = 0; i < trust->pin_count; i++)
            found = found || memcmp(digest, trust->pins[i], PIN_BYTES) == 0;
    }
    OPENSSL_free(spki);
    return found;
}

/*
 * A full handshake looks at the certificate's dates, and at the pins; a session, which each resumed
 * connection renews, may outlive what was seen then, or come from a connection that was refused.
 */
static bool may_resume(const struct wst__trust *trust, SSL_SESSION *session)
{
    X509 *cert = SSL_SESSION_get0_peer(session);

    if (!cert || (trust->pin_count > 0 && !pin_matches(trust, cert)))
        return false;
    return trust->files.insecure || X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* Before the first byte of a handshake, of libcurl's as of ours. */
static void on_info(const SSL *ssl, int where, int ret)
{
    SSL *own = (SSL *)(uintptr_t)ssl; /* It is not of the callback's making. */
    const struct wst__trust *trust;
    SSL_SESSION *session;

    (void)ret;
    if (where != SSL_CB_HANDSHAKE_START)
        return;
    trust = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), trust_index);
    session = SSL_get_session(ssl);
    if (session && !may_resume(trust, session))
        (void)SSL_set_session(own, NULL);
}

/* ---- One connection ------------------------------------------------------------------------ */

static bool is_address(const char *host)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* A name without its final dot, as certificates and SNI have it (RFC 6066, 3). */
static size_t name_len(const char *host)
{
    size_t n = strlen(host);

    return n > 1 && host[n - 1] == '.' ? n - 1 : n;
}

static bool set_name(X509_VERIFY_PARAM *param, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, name_len(host)) == 1;
}

bool wst__trust_apply(struct wst__trust *trust, SSL_CTX *ctx, const char *host)
{
    assert(trust->state == TRUST_LOADED);
    return set_up(ctx, trust, &trust->loaded) && set_name(SSL_CTX_get0_param(ctx), host);
}

static bool set_sni(SSL *ssl, const char *host)
{
    char *name;
    bool ok;

    if (is_address(host))
        return true;
    name = wst__strndup(host, name_len(host));
    ok = name && SSL_set_tlsext_host_name(ssl, name) == 1;
    wst__free(name);
    return ok;
}

SSL *wst__tls_new(const struct wst__tls_peer *peer)
{
    SSL *ssl;
    const struct session *s = find_session(peer->trust, peer);

    assert(peer->trust->state == TRUST_LOADED);
    ssl = SSL_new(peer->trust->loaded.ctx);
    if (!ssl)
        return NULL;
    if (SSL_set_app_data(ssl, (void *)(uintptr_t)peer) != 1 || !set_sni(ssl, peer->host) ||
        !set_name(SSL_get0_param(ssl), peer->host)) {
        SSL_free(ssl);
        return NULL;
    }
    if (s && s->session && SSL_SESSION_is_resumable(s->session))
        (void)SSL_set_session(ssl, s->session);
    SSL_set_connect_state(ssl);
    return ssl;
}

/*
 * Has the name been looked for in the certificate?  In a full handshake OpenSSL does it, and tells
 * what it has found (of a name, not of an address); we would decode the certificate once more.  A
 * session that is resumed comes from such a handshake with this very host.
 */
static bool name_was_checked(X509 *cert, SSL *ssl, const char *host)
{
    if (SSL_session_reused(ssl))
        return true;
    if (is_address(host))
        return X509_check_ip_asc(cert, host, 0) == 1;
    return SSL_get0_peername(ssl) != NULL;
}

static long check_peer(const struct wst__tls_peer *peer, SSL *ssl)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    const struct wst__trust *trust = peer->trust;
    long error = SSL_get_verify_result(ssl);

    if (!cert)
        return X509_V_ERR_UNSPECIFIED;
    if (!trust->files.insecure && error != X509_V_OK)
        return error;
    if (!trust->files.insecure && !name_was_checked(cert, ssl, peer->host))
        return is_address(peer->host) ? X509_V_ERR_IP_ADDRESS_MISMATCH
                                      : X509_V_ERR_HOSTNAME_MISMATCH;
    if (trust->pin_count > 0 && !pin_matches(trust, cert))
        return X509_V_ERR_APPLICATION_VERIFICATION;
    return X509_V_OK;
}

int wst__tls_check(const struct wst__tls_peer *peer, SSL *ssl, struct wst_cause *why)
{
    long error = check_peer(peer, ssl);
    const uint8_t *alpn;
    unsigned alpn_len;

    if (error != X509_V_OK)
        return wst__tls_verify_cause(why, WST_STEP_CONNECT, peer->host, error);
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
    if (alpn_len != 0 && (alpn_len != 8 || memcmp(alpn, "http/1.1", 8) != 0))
        return wst__cause(why, WST_ERR_TLS, WST_STEP_CONNECT,
                          "the TLS handshake with %s failed: it chose another protocol than "
                          "http/1.1 (ALPN)",
                          peer->host);
    return 0;
}

void wst__tls_free(SSL *ssl)
{
    if (!ssl)
        return;
    /* Without this, OpenSSL marks the session as not resumable when no close_notify was sent. */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}
