/* Tiny servers for tests. */
#include "lib/server.h"

#include "lib/certs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNS_MAX = 512 };

struct server {
    int listener;
    uint16_t port;
    conn_fn fn;
    void *arg;
    SSL_CTX *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_t threads[CONNS_MAX];
    int fds[CONNS_MAX]; /* -1 when closed: its place can be taken. */
    int count;
    bool stopping;
    atomic_int accepted, handshakes, resumed;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    abort();
}

int conn_read(struct conn *c, void *to, size_t n)
{
    if (c->ssl)
        return SSL_read(c->ssl, to, (int)n);
    return (int)recv(c->fd, to, n, 0);
}

bool conn_read_all(struct conn *c, void *to, size_t n)
{
    char *p = to;

    while (n > 0) {
        int got = conn_read(c, p, n);

        if (got <= 0)
            return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

bool conn_write(struct conn *c, const void *from, size_t n)
{
    const char *p = from;

    while (n > 0) {
        int did = c->ssl ? SSL_write(c->ssl, p, n > 1 << 20 ? 1 << 20 : (int)n)
                         : (int)send(c->fd, p, n, MSG_NOSIGNAL);

        if (did <= 0)
            return false;
        p += did;
        n -= (size_t)did;
    }
    return true;
}

bool conn_puts(struct conn *c, const char *text)
{
    return conn_write(c, text, strlen(text));
}

size_t conn_read_request(struct conn *c, char *to, size_t size)
{
    size_t n = 0;
    size_t body = 0;
    char *end = NULL;
    const char *length;

    while (!end) {
        int got = n + 1 < size ? conn_read(c, to + n, 1) : -1;

        if (got <= 0)
            return 0;
        to[++n] = '\0';
        end = strstr(to, "\r\n\r\n");
    }
    for (length = to; length; length = strstr(length, "\r\n")) {
        length += length == to ? 0 : 2;
        if (strncasecmp(length, "content-length:", 15) == 0)
            body = strtoul(length + 15, NULL, 10);
    }
    if (n + body >= size || (body > 0 && !conn_read_all(c, to + n, body)))
        return 0;
    to[n + body] = '\0';
    return n + body;
}

void conn_reset(struct conn *c)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static bool shake_hands(struct server *s, struct conn *c)
{
    if (!s->ctx)
        return true;
    c->ssl = SSL_new(s->ctx);
    must(c->ssl && SSL_set_fd(c->ssl, c->fd), "SSL_new");
    if (SSL_accept(c->ssl) != 1)
        return false;
    s->handshakes++;
    s->resumed += SSL_session_reused(c->ssl);
    return true;
}

/* Closing with unread input would be a reset, which can overtake the alert that was sent. */
static void linger(struct conn *c)
{
    char bytes[512];

    (void)shutdown(c->fd, SHUT_WR);
    while (recv(c->fd, bytes, sizeof bytes, 0) > 0)
        continue;
}

static void *serve(void *arg)
{
    struct conn *c = arg;
    struct server *s = c->server;

    if (shake_hands(s, c))
        s->fn(c);
    else
        linger(c);
    SSL_free(c->ssl);
    (void)pthread_mutex_lock(&s->lock);
    s->fds[c->place] = -1;
    (void)close(c->fd);
    (void)pthread_mutex_unlock(&s->lock);
    free(c);
    return NULL;
}

/* A place for one more connection: a new one, or that of one that has ended; -1: none. */
static int find_place(struct server *s)
{
    int i = 0;

    while (i < s->count && s->fds[i] >= 0)
        i++;
    if (i == CONNS_MAX)
        return -1;
    if (i == s->count)
        s->count++;
    else
        (void)pthread_join(s->threads[i], NULL);
    return i;
}

static void begin(struct server *s, int fd)
{
    struct conn *c = calloc(1, sizeof *c);
    int one = 1;

    must(c != NULL, "calloc");
    /* An answer behind TLS's session tickets would wait for their acknowledgement. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)pthread_mutex_lock(&s->lock);
    c->place = s->stopping ? -1 : find_place(s);
    if (c->place < 0) {
        (void)close(fd);
        free(c);
    } else {
        c->server = s;
        c->fd = fd;
        c->arg = s->arg;
        s->fds[c->place] = fd;
        c->number = ++s->accepted;
        must(pthread_create(&s->threads[c->place], NULL, serve, c) == 0, "pthread_create");
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
           errno == ECONNABORTED) {
        if (fd >= 0)
            begin(s, fd);
    }
    return NULL;
}

static int make_listener(const char *address, uint16_t *port)
{
    struct sockaddr_storage ss = {0};
    socklen_t n = sizeof ss;
    struct sockaddr_in *in = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    int fd;

    if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
        ss.ss_family = AF_INET;
        n = sizeof *in;
    } else {
        must(inet_pton(AF_INET6, address, &in6->sin6_addr) == 1, address);
        ss.ss_family = AF_INET6;
        n = sizeof *in6;
    }
    fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&ss, n) == 0 && listen(fd, 128) == 0, "listen");
    n = sizeof ss;
    must(getsockname(fd, (struct sockaddr *)&ss, &n) == 0, "getsockname");
    *port = ntohs(ss.ss_family == AF_INET ? in->sin_port : in6->sin6_port);
    return fd;
}

struct server *server_start_at(const char *address, conn_fn fn, void *arg, SSL_CTX *ctx)
{
    struct server *s = calloc(1, sizeof *s);
    sigset_t pipe, old;

    must(s != NULL, "calloc");
    s->fn = fn;
    s->arg = arg;
    s->ctx = ctx;
    s->listener = make_listener(address, &s->port);
    (void)pthread_mutex_init(&s->lock, NULL);
    /* OpenSSL's server side may write to a dead peer; only these threads are shielded. */
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &old);
    must(pthread_create(&s->thread, NULL, accept_all, s) == 0, "pthread_create");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return s;
}

struct server *server_start(conn_fn fn, void *arg, SSL_CTX *ctx)
{
    return server_start_at("127.0.0.1", fn, arg, ctx);
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

int server_accepted(const struct server *s)
{
    return s->accepted;
}

int server_handshakes(const struct server *s)
{
    return s->handshakes;
}

int server_resumed(const struct server *s)
{
    return s->resumed;
}

bool server_has_closed(struct server *s)
{
    bool closed;

    (void)pthread_mutex_lock(&s->lock);
    closed = s->count > 0;
    for (int i = 0; i < s->count; i++)
        closed = closed && s->fds[i] < 0;
    (void)pthread_mutex_unlock(&s->lock);
    return closed;
}

void server_stop(struct server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    (void)shutdown(s->listener, SHUT_RDWR);
    for (int i = 0; i < s->count; i++) {
        if (s->fds[i] >= 0)
            (void)shutdown(s->fds[i], SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&s->lock);
    (void)pthread_join(s->thread, NULL);
    for (int i = 0; i < s->count; i++)
        (void)pthread_join(s->threads[i], NULL);
    (void)close(s->listener);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

SSL_CTX *server_ctx(const struct cert *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    must(ctx && SSL_CTX_use_certificate(ctx, cert->x509) == 1 &&
             SSL_CTX_use_PrivateKey(ctx, cert->key) == 1,
         "SSL_CTX");
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"t", 1);
    return ctx;
}
