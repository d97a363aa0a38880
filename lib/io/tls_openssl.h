/*
 * Trust and TLS.  One wst__trust stands for one set of TLS options: its CAs, client certificate
 * and pins are loaded once, on libuv's pool, and serve libcurl (steps 1 and 2) and the stream
 * (step 3) alike, for all clients of the loop that have the same options.
 */
#ifndef WST_IO_TLS_OPENSSL_H
#define WST_IO_TLS_OPENSSL_H

#include "io/types.h"

#include <openssl/ssl.h>

struct wst__io;
struct wst__trust;

/* The options as text, for libcurl when its TLS is not our OpenSSL. */
struct wst__trust_files {
    const char *ca_file, *ca_dir, *ca_pem;
    const char *client_cert, *client_key;
    const char *pinned_key;
    bool tls13_only, insecure;
};

/* Finds the trust with these options or makes it.  CONFIG (pinned_key), NOMEM. */
int wst__trust_get(struct wst__io *io, const struct wst__net_options *opt, struct wst__trust **out,
                   struct wst_cause *why);
void wst__trust_ref(struct wst__trust *trust);
void wst__trust_unref(struct wst__trust *trust);
const struct wst__trust_files *wst__trust_files(const struct wst__trust *trust);

/* Somebody who waits for it to be loaded.  Embedded in the waiter. */
struct wst__trust_wait {
    void (*cb)(void *arg,
               const struct wst_cause *why); /* why->code 0: loaded; TLS_CONFIG, NOMEM. */
    void *arg;
    struct wst__trust_wait *next, *prev; /* Of a ring; NULL when not waiting. */
};
/* True: it is loaded.  False: |wait->cb| will run from the loop.  What failed is tried anew. */
bool wst__trust_want(struct wst__trust *trust, struct wst__trust_wait *wait);
/* Does not want it any more.  Need not be waiting. */
void wst__trust_forget(struct wst__trust_wait *wait);

/* Whom we talk to. */
struct wst__tls_peer {
    struct wst__trust *trust; /* Loaded. */
    const char *host;         /* A-label or IP literal. */
    uint16_t port;
};

/* Gives a foreign SSL_CTX (libcurl's) this trust, and |host| to verify.  False: no memory. */
bool wst__trust_apply(struct wst__trust *trust, SSL_CTX *ctx, const char *host);
/*
 * A new TLS client for |peer|, which must outlive it: SNI, name check, ALPN, and the session of an
 * earlier connection to the same peer under the same trust.  NULL: no memory.
 */
SSL *wst__tls_new(const struct wst__tls_peer *peer);
/*
 * After the handshake: is it really |peer|?  Checks name and pins again, also of a resumed session,
 * and ALPN.  TLS_VERIFY, TLS.
 */
int wst__tls_check(const struct wst__tls_peer *peer, SSL *ssl, struct wst_cause *why);
/* The end of it; the session stays resumable however the connection ended. */
void wst__tls_free(SSL *ssl);

/* The cause of a failed verification, in words; |error| is one of X509_V_ERR_*. */
int wst__tls_verify_cause(struct wst_cause *why, enum wst_step step, const char *host, long error);
/* The cause of a failed handshake or record: what OpenSSL's error queue says. */
int wst__tls_error_cause(struct wst_cause *why, enum wst_step step, const char *host,
                         const SSL *ssl, bool in_handshake);
/* The same from the text of OpenSSL's error, as libcurl passes it on. */
int wst__tls_text_cause(struct wst_cause *why, enum wst_step step, const char *host,
                        const char *text, bool in_handshake);

/* Is |library|, as in "OpenSSL/3.0.15", the OpenSSL that we run on? */
bool wst__tls_is_ours(const char *library);

#endif
