/* Accepted connections: bytes in, bytes out, over TCP, TLS or a Unix socket, on libuv.
 *
 * The server keeps the transport in its own hands, in front of libwebsockets, because three things
 * are asked of it that libwebsockets cannot do: wait for Redis before it answers an upgrade,
 * misbehave on command (resets, half-open links, silence), and read a POST that has no length.
 */
#ifndef WSTSERVER_CONN_H
#define WSTSERVER_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct conn;
struct conn_listener;

/* What the owner of a connection hears of it.  Every conn_ function is legal inside each of them.
 */
struct conn_handler {
    void (*on_data)(void *arg, const char *data, size_t len);
    /* conn_write said that enough is queued; now there is room again.  May be NULL. */
    void (*on_drain)(void *arg);
    /* The peer is gone, or the timeout has passed.  Said once; |conn| is not to be used after it.
     */
    void (*on_close)(void *arg);
};

struct conn_listener_config {
    SSL_CTX *tls; /* NULL: plain */
    /* A new connection, before its first byte was read (with TLS: before its handshake).  Gives it
     * a handler with conn_set_handler, or drops it. */
    void (*on_accept)(struct conn *conn, void *arg);
    void *arg;
    bool admin; /* conn_is_admin says yes to all of its connections */
};

/* Listens on |addr|, or on a Unix socket at |path|.  NULL on failure with the reason in |*err|, a
 * libuv code. */
struct conn_listener *conn_listen_tcp(uv_loop_t *loop, const struct sockaddr *addr,
                                      const struct conn_listener_config *config, int *err);
struct conn_listener *conn_listen_path(uv_loop_t *loop, const char *path,
                                       const struct conn_listener_config *config, int *err);
int conn_listener_port(const struct conn_listener *listener);
void conn_listener_close(struct conn_listener *listener);

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg);

/* Queues a copy.  Returns false when enough is queued and the caller should wait for on_drain. */
bool conn_write(struct conn *conn, const void *data, size_t len);

/* Stops and resumes reading.  Data that was already decrypted is kept until conn_resume. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* Calls on_close unless stopped or set anew within |ms|; 0 stops. */
void conn_timeout(struct conn *conn, uint64_t ms);

/* Fault: from now on nothing is read any more (the peer's window fills). */
void conn_freeze(struct conn *conn);

/* The three ways to end, after which the handler hears nothing more: with everything queued sent
 * and an orderly end (TLS close_notify, FIN); at once; at once with a TCP reset. */
void conn_finish(struct conn *conn);
void conn_drop(struct conn *conn);
void conn_reset(struct conn *conn);

/* Whether the peer is on this machine's loopback, or came by a listener with |admin|. */
bool conn_is_loopback(const struct conn *conn);
bool conn_is_admin(const struct conn *conn);

/* The sudden end of all connections; their handlers hear on_close. */
void conn_drop_all(void);

#endif
