/*
 * Tiny servers for tests: a thread per connection runs a function of the test, on a port that the
 * kernel has chosen, plain or with TLS.
 */
#ifndef WST_TESTS_SERVER_H
#define WST_TESTS_SERVER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct site_book;

/* One connection, as the test's function sees it. */
struct conn {
    struct server *server;
    int fd;
    SSL *ssl;   /* NULL: plain. */
    int number; /* From 1, in the order in which they were accepted. */
    int place;  /* Of its thread. */
    bool packs; /* The client may send compressed messages. */
    void *arg;
    struct site_book *book; /* Of whom it serves (tests/lib/site.h). */
};
/* The connection is closed when it returns: TLS without close_notify, unless it has sent one. */
typedef void (*conn_fn)(struct conn *c);

/* |ctx| (may be NULL: plain) is borrowed. */
struct server *server_start(conn_fn fn, void *arg, SSL_CTX *ctx);
/* On an address of its own, e.g. "::1". */
struct server *server_start_at(const char *address, conn_fn fn, void *arg, SSL_CTX *ctx);
uint16_t server_port(const struct server *s);
/* Connections accepted so far; TLS handshakes that succeeded, and those that resumed a session. */
int server_accepted(const struct server *s);
int server_handshakes(const struct server *s);
int server_resumed(const struct server *s);
/* Are all connections that it has had closed, at least one? */
bool server_has_closed(struct server *s);
/* Wakes every function that blocks, waits for all and frees. */
void server_stop(struct server *s);

/* Blocking input and output, without SIGPIPE.  Read returns 0 at the end, -1 on errors. */
int conn_read(struct conn *c, void *to, size_t n);
bool conn_read_all(struct conn *c, void *to, size_t n);
bool conn_write(struct conn *c, const void *from, size_t n);
bool conn_puts(struct conn *c, const char *text);
/* Reads one HTTP request, with its body; terminated.  Its length, 0 at the end. */
size_t conn_read_request(struct conn *c, char *to, size_t size);
/* Ends the connection with RST. */
void conn_reset(struct conn *c);

struct cert;
/* A server context with this certificate.  SSL_CTX_free(). */
SSL_CTX *server_ctx(const struct cert *cert);

#endif
