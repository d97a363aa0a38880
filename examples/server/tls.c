/* The server's TLS context, and the files of the throw-away authority. */
#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

static bool complain(const char *what, const char *file)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    /* OpenSSL's own words for these two are "system lib" and "PEM lib". */
    if (ERR_SYSTEM_ERROR(ERR_peek_error()))
        reason = strerror(ERR_GET_REASON(ERR_peek_error()));
    else if (ERR_GET_REASON(code) == ERR_R_PEM_LIB)
        reason = "there is none in it that can be read";

    (void)fprintf(stderr, "wsticket-server: %s %s: %s\n", what, file,
                  reason ? reason : strerror(errno));
    ERR_clear_error();
    return false;
}

/* Speaks http/1.1 when the client offers it; else the handshake fails (RFC 7301, 3.2).  With --alpn
 * the configured name is answered instead, offered or not. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char http11[] = "http/1.1";
    const char *forced = arg;
    unsigned at;

    (void)ssl;
    if (forced) {
        *out = (const unsigned char *)forced;
        *out_len = (unsigned char)strlen(forced);
        return SSL_TLSEXT_ERR_OK;
    }
    /* OpenSSL has checked that the list is well formed. */
    for (at = 0; at < in_len; at += 1u + in[at]) {
        if (in[at] == sizeof http11 - 1 && !memcmp(in + at + 1, http11, sizeof http11 - 1)) {
            *out = in + at + 1;
            *out_len = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *new_ctx(char *alpn)
{
    static const unsigned char session_context[] = "wsticket";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx)
        return NULL;
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, alpn);
    return ctx;
}

static bool use_files(SSL_CTX *ctx, const char *cert, const char *key)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return complain("cannot use the certificate", cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return complain("cannot use the private key", key);
    return true;
}

/* Writes a whole new file beside |path| and renames it over, so that a reader never sees half. */
static bool write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    size_t size = strlen(path) + 8;
    char *tmp = xalloc(size);
    FILE *file = NULL;
    bool ok = false;
    int fd;

    (void)snprintf(tmp, size, "%s.XXXXXX", path);
    fd = mkstemp(tmp); /* Mode 0600, which a private key needs. */
    if (fd >= 0)
        file = fdopen(fd, "w");
    if (file) {
        ok = cert ? PEM_write_X509(file, cert) == 1
                  : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
        if (cert)
            ok = ok && fchmod(fd, 0644) == 0;
        ok = fclose(file) == 0 && ok && rename(tmp, path) == 0;
    }
    if (!ok) {
        (void)complain("cannot write", path);
        if (fd >= 0)
            (void)unlink(tmp);
    }
    free(tmp);
    return ok;
}

static char *path_in(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = xalloc(size);

    (void)snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* Whether the certificate kept in |path| covers |names|: else a restart would serve the wrong one.
 */
static bool covers(const char *path, const char *const *names, size_t name_count)
{
    FILE *file = fopen(path, "r");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    bool ok = cert != NULL;
    size_t i;

    for (i = 0; ok && i < name_count; i++)
        ok = X509_check_host(cert, names[i], 0, 0, NULL) == 1 ||
             X509_check_ip_asc(cert, names[i], 0) == 1;
    if (file)
        (void)fclose(file);
    X509_free(cert);
    return ok;
}

static bool keep_in_dir(const struct tls_config *config, const struct selfsigned *made,
                        char *const files[3])
{
    if (mkdir(config->dir, 0700) != 0 && errno != EEXIST)
        return complain("cannot make the directory", config->dir);
    /* The key first and the authority last: a start that was cut short is seen as "not there". */
    return write_pem(files[2], NULL, made->key) && write_pem(files[1], made->cert, NULL) &&
           write_pem(files[0], made->ca, NULL);
}

static bool make_in_dir(const struct tls_config *config, char *const files[3])
{
    struct selfsigned made;
    bool ok;

    if (access(files[0], R_OK) == 0) {
        if (covers(files[1], config->names, config->name_count))
            return true;
        (void)fprintf(stderr,
                      "wsticket-server: the certificate in %s does not have every --name: remove "
                      "the directory or choose another\n",
                      config->dir);
        return false;
    }
    if (!selfsigned_make(&made, config->names, config->name_count))
        return complain("cannot make a certificate for", "the names given");
    ok = keep_in_dir(config, &made, files);
    selfsigned_clear(&made);
    return ok;
}

static bool copy_ca(const char *from, const char *to)
{
    FILE *file = fopen(from, "r");
    X509 *ca = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    bool ok = ca ? write_pem(to, ca, NULL) : complain("cannot read", from);

    if (file)
        (void)fclose(file);
    X509_free(ca);
    return ok;
}

static bool init_dir(struct tls *tls, const struct tls_config *config)
{
    char *files[3] = {path_in(config->dir, "ca.pem"), path_in(config->dir, "server.pem"),
                      path_in(config->dir, "server.key")};
    bool ok = make_in_dir(config, files) && use_files(tls->ctx, files[1], files[2]) &&
              (!config->ca_out || copy_ca(files[0], config->ca_out));

    tls->ca_file = config->ca_out ? xstrdup(config->ca_out) : files[0];
    free(config->ca_out ? files[0] : NULL);
    free(files[1]);
    free(files[2]);
    return ok;
}

static char *temporary_ca(void)
{
    const char *dir = getenv("TMPDIR");
    char *path = path_in(dir && *dir ? dir : "/tmp", "wsticket-ca-XXXXXX");
    int fd = mkstemp(path);

    if (fd >= 0)
        (void)close(fd);
    return path;
}

/* Certificate and key stay in memory; only the authority's certificate is written. */
static bool init_memory(struct tls *tls, const struct tls_config *config)
{
    struct selfsigned made;
    bool ok;

    if (!selfsigned_make(&made, config->names, config->name_count))
        return complain("cannot make a certificate for", "the names given");
    tls->ca_temporary = !config->ca_out;
    tls->ca_file = config->ca_out ? xstrdup(config->ca_out) : temporary_ca();
    ok = SSL_CTX_use_certificate(tls->ctx, made.cert) == 1 &&
         SSL_CTX_use_PrivateKey(tls->ctx, made.key) == 1 && write_pem(tls->ca_file, made.ca, NULL);
    selfsigned_clear(&made);
    return ok;
}

bool tls_init(struct tls *tls, const struct tls_config *config)
{
    bool ok;

    memset(tls, 0, sizeof *tls);
    tls->alpn = config->alpn ? xstrdup(config->alpn) : NULL;
    tls->ctx = new_ctx(tls->alpn);
    if (!tls->ctx)
        return complain("cannot start", "TLS");
    if (config->cert)
        ok = use_files(tls->ctx, config->cert, config->key);
    else if (config->dir)
        ok = init_dir(tls, config);
    else
        ok = init_memory(tls, config);
    if (!ok)
        tls_fini(tls);
    return ok;
}

void tls_fini(struct tls *tls)
{
    if (tls->ca_temporary)
        (void)unlink(tls->ca_file);
    free(tls->ca_file);
    SSL_CTX_free(tls->ctx);
    free(tls->alpn);
    memset(tls, 0, sizeof *tls);
}
