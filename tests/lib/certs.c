/* Certificates made at test time. */
#include "lib/certs.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "certs: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(ext && X509_add_ext(cert, ext, -1) == 1, value);
    X509_EXTENSION_free(ext);
}

struct cert cert_make(const struct cert_spec *spec)
{
    static long serial = 1000;
    struct cert c = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    X509 *issuer = spec->issuer ? spec->issuer->x509 : c.x509;
    X509_NAME *name;

    must(c.x509 && c.key, "making a key");
    must(X509_set_version(c.x509, X509_VERSION_3) &&
             ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++) &&
             X509_gmtime_adj(X509_getm_notBefore(c.x509), spec->from_s) &&
             X509_gmtime_adj(X509_getm_notAfter(c.x509), spec->to_s) &&
             X509_set_pubkey(c.x509, c.key),
         "filling in");
    name = X509_get_subject_name(c.x509);
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)spec->name, -1,
                                    -1, 0),
         "the name");
    must(X509_set_issuer_name(c.x509, X509_get_subject_name(issuer)), "the issuer");
    add_extension(c.x509, issuer, NID_basic_constraints,
                  spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(c.x509, issuer, NID_subject_key_identifier, "hash");
    if (spec->san)
        add_extension(c.x509, issuer, NID_subject_alt_name, spec->san);
    must(X509_sign(c.x509, spec->issuer ? spec->issuer->key : c.key, EVP_sha256()) > 0, "signing");
    return c;
}

void cert_free(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    c->x509 = NULL;
    c->key = NULL;
}

struct cert cert_make_ca(const char *name)
{
    return cert_make(&(struct cert_spec){.name = name, .from_s = -3600, .to_s = 86400, .is_ca = 1});
}

struct cert cert_make_server(const struct cert *ca)
{
    return cert_make(&(struct cert_spec){.name = "server",
                                         .san = "DNS:localhost,IP:127.0.0.1,IP:::1",
                                         .from_s = -3600,
                                         .to_s = 86400,
                                         .issuer = ca});
}

static FILE *open_file(const char *path)
{
    FILE *f = fopen(path, "we");

    must(f != NULL, path);
    return f;
}

void cert_write(const struct cert *c, const char *path)
{
    FILE *f = open_file(path);

    must(PEM_write_X509(f, c->x509), "writing a certificate");
    (void)fclose(f);
}

void cert_write_key(const struct cert *c, const char *path, const char *passphrase)
{
    FILE *f = open_file(path);
    int n = passphrase ? (int)strlen(passphrase) : 0;

    must(PEM_write_PKCS8PrivateKey(f, c->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase, n,
                                   NULL, NULL),
         "writing a key");
    (void)fclose(f);
}

char *cert_pem(const struct cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long n;
    char *copy;

    must(bio && PEM_write_bio_X509(bio, c->x509), "writing PEM");
    n = BIO_get_mem_data(bio, &data);
    copy = strndup(data, (size_t)n);
    BIO_free(bio);
    must(copy != NULL, "copying");
    return copy;
}

void cert_pin(const struct cert *c, char *out, size_t size)
{
    unsigned char *spki = NULL;
    int n = i2d_PUBKEY(c->key, &spki);
    unsigned char digest[32];
    unsigned char text[64];

    must(n > 0 && EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL), "the digest");
    OPENSSL_free(spki);
    must(EVP_EncodeBlock(text, digest, sizeof digest) == 44, "base64");
    (void)snprintf(out, size, "sha256//%s", (const char *)text);
}

void cert_hash_name(const struct cert *c, char *out, size_t size)
{
    (void)snprintf(out, size, "%08lx.0", X509_subject_name_hash(c->x509));
}
