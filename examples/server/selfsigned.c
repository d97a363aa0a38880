/* A throw-away authority and one server certificate signed by it, good for thirty days. */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define LIFE_SECONDS (30L * 24 * 3600)
#define SKEW_SECONDS 3600L

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static X509 *new_cert(const char *common_name, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    unsigned char serial[16];
    BIGNUM *number = NULL;
    bool ok;

    random_bytes(serial, sizeof serial);
    serial[0] &= 0x7f; /* A serial number is positive (RFC 5280, 4.1.2.2). */
    serial[0] |= 0x40;
    number = BN_bin2bn(serial, sizeof serial, NULL);
    ok = cert && number && X509_set_version(cert, X509_VERSION_3) == 1 &&
         BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -SKEW_SECONDS) &&
         X509_gmtime_adj(X509_getm_notAfter(cert), LIFE_SECONDS) &&
         X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                    (const unsigned char *)common_name, -1, -1, 0) == 1 &&
         X509_set_pubkey(cert, key) == 1;
    BN_free(number);
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool finish(X509 *cert, X509 *issuer, EVP_PKEY *issuer_key)
{
    return X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
           add_ext(cert, issuer, NID_subject_key_identifier, "hash") &&
           add_ext(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
           X509_sign(cert, issuer_key, EVP_sha256()) > 0;
}

/* The value of subjectAltName; false when a name holds what would change its meaning. */
static bool alt_names(char *out, size_t size, const char *const *names, size_t name_count)
{
    size_t n = (size_t)snprintf(out, size, "DNS:localhost,IP:127.0.0.1,IP:::1");
    size_t i;

    for (i = 0; i < name_count; i++) {
        unsigned char addr[16];
        bool ip =
            inet_pton(AF_INET, names[i], addr) == 1 || inet_pton(AF_INET6, names[i], addr) == 1;

        if (!*names[i] || strpbrk(names[i], ",;= \t\r\n/\\"))
            return false;
        n += (size_t)snprintf(out + n, size - n, ",%s:%s", ip ? "IP" : "DNS", names[i]);
        if (n >= size)
            return false;
    }
    return true;
}

static X509 *make_ca(EVP_PKEY *key)
{
    X509 *ca = new_cert("wsticket-server throw-away CA", key);

    if (ca && add_ext(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_ext(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") && finish(ca, ca, key))
        return ca;
    X509_free(ca);
    return NULL;
}

static X509 *make_leaf(EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *alt)
{
    X509 *cert = new_cert("wsticket-server", key);

    if (cert && add_ext(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        add_ext(cert, ca, NID_key_usage, "critical,digitalSignature") &&
        add_ext(cert, ca, NID_ext_key_usage, "serverAuth") &&
        add_ext(cert, ca, NID_subject_alt_name, alt) && finish(cert, ca, ca_key))
        return cert;
    X509_free(cert);
    return NULL;
}

bool selfsigned_make(struct selfsigned *out, const char *const *names, size_t name_count)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    char alt[4096];

    memset(out, 0, sizeof *out);
    out->key = EVP_EC_gen("P-256");
    if (ca_key && out->key && alt_names(alt, sizeof alt, names, name_count))
        out->ca = make_ca(ca_key);
    if (out->ca)
        out->cert = make_leaf(out->key, out->ca, ca_key, alt);
    EVP_PKEY_free(ca_key);
    if (out->cert)
        return true;
    selfsigned_clear(out);
    return false;
}

void selfsigned_clear(struct selfsigned *made)
{
    X509_free(made->ca);
    X509_free(made->cert);
    EVP_PKEY_free(made->key);
    memset(made, 0, sizeof *made);
}
