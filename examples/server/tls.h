/* The server's TLS: its context, and a throw-away authority for those who have no certificate. */
#ifndef WSTSERVER_TLS_H
#define WSTSERVER_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_config {
    const char *cert, *key; /* PEM files; or */
    bool self_signed;       /* make an authority and a certificate */
    const char *dir;        /* where to keep them for the next start; NULL: nowhere */
    const char *ca_out;     /* where to write the authority's certificate; NULL: a temporary file */
    const char *const *names; /* further names and addresses for the certificate */
    size_t name_count;
    const char *alpn; /* answered whatever the client offered (a fault); NULL: http/1.1 */
};

struct tls {
    SSL_CTX *ctx;
    char *ca_file; /* the file to trust; NULL when the certificate was given */
    bool ca_temporary;
    char *alpn;
};

/* False after a line on stderr that says what is wrong. */
bool tls_init(struct tls *tls, const struct tls_config *config);
void tls_fini(struct tls *tls);

/* What selfsigned.c makes: the authority's certificate, and a key and certificate signed by it for
 * localhost, 127.0.0.1, ::1 and |names|.  The authority's key is forgotten at once: nobody can sign
 * anything else with it.  False when OpenSSL fails or a name cannot be put into a certificate. */
struct selfsigned {
    X509 *ca, *cert;
    EVP_PKEY *key;
};
bool selfsigned_make(struct selfsigned *out, const char *const *names, size_t name_count);
void selfsigned_clear(struct selfsigned *made);

#endif
