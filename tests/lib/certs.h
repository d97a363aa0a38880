/* Certificates made at test time: a CA, and what it signs. */
#ifndef WST_TESTS_CERTS_H
#define WST_TESTS_CERTS_H

#include <openssl/ssl.h>

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

/* What a certificate says. */
struct cert_spec {
    const char *name;          /* Common name. */
    const char *san;           /* As in openssl.cnf, "DNS:a.example,IP:127.0.0.1"; NULL: none. */
    long from_s, to_s;         /* Validity, relative to now. */
    const struct cert *issuer; /* NULL: itself. */
    int is_ca;
};

/* Makes one, with a P-256 key.  Stops the test when it cannot. */
struct cert cert_make(const struct cert_spec *spec);
void cert_free(struct cert *c);
/* A CA, and a server's certificate for localhost and 127.0.0.1, ::1, valid for a day. */
struct cert cert_make_ca(const char *name);
struct cert cert_make_server(const struct cert *ca);

/* Write PEM files: |path| is overwritten. */
void cert_write(const struct cert *c, const char *path);
void cert_write_key(const struct cert *c, const char *path, const char *passphrase);
/* The PEM text of the certificate; free(). */
char *cert_pem(const struct cert *c);
/* "sha256//BASE64" of its public key. */
void cert_pin(const struct cert *c, char *out, size_t size);
/* The name that c_rehash gives it, "01234567.0". */
void cert_hash_name(const struct cert *c, char *out, size_t size);

#endif
