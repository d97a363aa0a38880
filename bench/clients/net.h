/* A blocking connection with TLS and the WebSocket upgrade, for the client without a library. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

struct net {
    int fd;
    SSL *ssl;
    uint8_t *spill; /* Bytes that came with the answer to the upgrade. */
    size_t spill_len;
};

static SSL_CTX *net_context;
static SSL_SESSION *net_session;

static inline void net_die(const char *what)
{
    ERR_print_errors_fp(stderr);
    bench_die(what, strerror(errno));
}

static inline int net_on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(net_session);
    net_session = session;
    return 1;
}

static inline void net_init(void)
{
    if (!bench.tls)
        return;
    net_context = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_file(net_context, bench.ca) != 1)
        net_die("CA");
    SSL_CTX_set_verify(net_context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(net_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
    if (bench.resume) {
        SSL_CTX_set_session_cache_mode(net_context,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(net_context, net_on_session);
    }
}

/* As send() and recv(): more than 0, 0 at the end, -1. */
static inline ssize_t net_write(struct net *n, const void *p, size_t len)
{
    int rc;

    if (!n->ssl)
        return send(n->fd, p, len, MSG_NOSIGNAL);
    rc = SSL_write(n->ssl, p, len > (1 << 20) ? 1 << 20 : (int)len);
    return rc > 0 ? rc : -1;
}

static inline ssize_t net_read(struct net *n, void *p, size_t room)
{
    int rc;

    if (n->spill_len) {
        size_t some = room < n->spill_len ? room : n->spill_len;

        memcpy(p, n->spill, some);
        n->spill_len -= some;
        memmove(n->spill, n->spill + some, n->spill_len);
        return (ssize_t)some;
    }
    if (!n->ssl)
        return recv(n->fd, p, room, 0);
    rc = SSL_read(n->ssl, p, (int)room);
    if (rc > 0)
        return rc;
    return SSL_get_error(n->ssl, rc) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static inline void net_write_all(struct net *n, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t wrote = net_write(n, p, len);

        if (wrote <= 0)
            net_die("write");
        p += wrote;
        len -= (size_t)wrote;
    }
}

static inline void net_connect(struct net *n)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)bench.port)};
    int one = 1;

    inet_pton(AF_INET, bench.host, &to.sin_addr);
    n->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(n->fd, (struct sockaddr *)&to, sizeof to) != 0)
        net_die("connect");
    setsockopt(n->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline void net_handshake(struct net *n)
{
    n->ssl = SSL_new(net_context);
    SSL_set_fd(n->ssl, n->fd);
    SSL_set_tlsext_host_name(n->ssl, "localhost");
    SSL_set1_host(n->ssl, "localhost");
    if (bench.resume && net_session)
        SSL_set_session(n->ssl, net_session);
    if (SSL_connect(n->ssl) != 1)
        net_die("TLS handshake");
}

/* The answer's head, terminated; what follows it is spilled. */
static inline void net_read_head(struct net *n, char *head, size_t room)
{
    size_t have = 0;
    char *end;

    do {
        ssize_t got = net_read(n, head + have, room - 1 - have);

        if (got <= 0)
            net_die("upgrade");
        have += (size_t)got;
        head[have] = '\0';
        end = strstr(head, "\r\n\r\n");
    } while (!end);
    end += 4;
    n->spill_len = have - (size_t)(end - head);
    if (n->spill_len) {
        n->spill = malloc(n->spill_len);
        memcpy(n->spill, end, n->spill_len);
    }
}

/* RFC 6455, 4.1 and 4.2.2. */
static inline void net_upgrade(struct net *n)
{
    uint8_t nonce[16];
    uint8_t key[32];
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint8_t want[32];
    char text[4096];
    int len;

    RAND_bytes(nonce, sizeof nonce);
    EVP_EncodeBlock(key, nonce, sizeof nonce);
    len = snprintf(text, sizeof text,
                   "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                   "Sec-WebSocket-Version: 13\r\n\r\n",
                   bench.path, bench.port, key);
    net_write_all(n, (uint8_t *)text, (size_t)len);
    len = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    SHA1((uint8_t *)text, (size_t)len, digest);
    EVP_EncodeBlock(want, digest, sizeof digest);
    net_read_head(n, text, sizeof text);
    if (!strstr(text, (char *)want))
        net_die("Sec-WebSocket-Accept");
}

static inline void net_open(struct net *n)
{
    memset(n, 0, sizeof *n);
    net_connect(n);
    if (bench.tls)
        net_handshake(n);
    net_upgrade(n);
}

static inline void net_close(struct net *n)
{
    if (n->ssl)
        SSL_shutdown(n->ssl);
    SSL_free(n->ssl);
    close(n->fd);
    free(n->spill);
}

#endif
