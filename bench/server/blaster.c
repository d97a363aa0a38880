/*
 * The server that the clients are measured against: it only pushes bytes, or discards them, and
 * costs a client nothing.  One thread, epoll, plain and TLS.
 *
 *     GET /recv?size=S&count=N&type=T   pushes N frames that were made before
 *         &rec=1                        each in a TLS record of its own, as most servers send;
 *                                       the records still leave in large writes
 *     GET /send?count=N                 discards N messages, then answers with one
 *     GET /echo                         sends every message back
 *     any other upgrade                 stays open
 *     POST /api/v1/auth/token, GET /api/v1/ws-ticket   the two HTTP steps
 *
 * The third port is TLS that never resumes a session.
 *
 * Payload is skipped without being unmasked, but for /echo and control frames.  It trusts its
 * clients: nothing here is fit for a network.
 */
#include "../clients/payload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IO_BYTES = 256 * 1024,
    TURN_BYTES = 4 << 20, /* Moved for one connection in one turn. */
    HEAD_ROOM = 16 * 1024,
    FRAME_MAX = 64 << 20,
    EVENTS = 256,
    LISTENERS = 3,
};

/* Frames of one size and type, ready to be pushed again and again. */
struct source {
    size_t size;
    enum payload type;
    uint8_t *bytes;
    size_t len;
    size_t frame; /* Bytes of one. */
    struct source *next;
};

enum mode { HTTP, RECV, SEND, ECHO, IDLE };

struct connection {
    int fd;
    SSL *ssl;
    enum mode mode;
    bool shaken;     /* The TLS handshake is done. */
    bool wants_room; /* EPOLLOUT is asked for. */
    bool closing;    /* When all has left. */
    char *in;        /* HTTP: the head. */
    size_t in_len;
    uint8_t *out; /* Answers. */
    size_t out_at, out_len, out_cap;
    struct source *source;
    size_t source_at;
    uint64_t source_left;
    BIO *records; /* &rec=1: records that were sealed, */
    size_t records_at;
    bool by_record;
    uint64_t wanted, got;
    uint8_t head[14]; /* Of the frame under way. */
    size_t head_len, head_need;
    uint64_t payload_left;
    bool keep; /* Its payload is of interest. */
    uint8_t *message;
    size_t message_len, message_cap;
};

static int poller;
static struct source *sources;
static uint8_t buffer[IO_BYTES];
static volatile sig_atomic_t stopped;

static void die(const char *what)
{
    ERR_print_errors_fp(stderr);
    perror(what);
    exit(1);
}

/* ---- Bytes --------------------------------------------------------------------------------- */

/* More than 0; 0: would block; -1: the connection has ended. */
static ssize_t read_some(struct connection *c, void *p, size_t n)
{
    ssize_t rc;

    if (c->ssl) {
        rc = SSL_read(c->ssl, p, (int)n);
        if (rc > 0)
            return rc;
        rc = SSL_get_error(c->ssl, (int)rc);
        return rc == SSL_ERROR_WANT_WRITE || rc == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    rc = recv(c->fd, p, n, 0);
    if (rc > 0)
        return rc;
    return rc < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t send_some(struct connection *c, const void *p, size_t n)
{
    ssize_t rc = send(c->fd, p, n, MSG_NOSIGNAL);

    if (rc >= 0)
        return rc;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static ssize_t write_some(struct connection *c, const void *p, size_t n)
{
    int rc;

    if (!c->ssl)
        return send_some(c, p, n);
    rc = SSL_write(c->ssl, p, n > (1 << 20) ? 1 << 20 : (int)n);
    if (rc > 0)
        return rc;
    rc = SSL_get_error(c->ssl, rc);
    return rc == SSL_ERROR_WANT_WRITE || rc == SSL_ERROR_WANT_READ ? 0 : -1;
}

static void put(struct connection *c, const void *p, size_t n)
{
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    if (c->out_len + n > c->out_cap) {
        c->out_cap = 2 * (c->out_len + n);
        c->out = realloc(c->out, c->out_cap);
    }
    memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
}

static void put_frame(struct connection *c, uint8_t opcode, const void *p, size_t n)
{
    uint8_t head[10];

    put(c, head, frame_head(head, opcode, 0, n));
    put(c, p, n);
}

/* ---- Pushing ------------------------------------------------------------------------------- */

static struct source *find_source(size_t size, enum payload type)
{
    struct source *s = sources;
    size_t count;

    while (s && (s->size != size || s->type != type))
        s = s->next;
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    s->size = size;
    s->type = type;
    s->frame = frame_head_size(size) + size;
    count = IO_BYTES > s->frame ? IO_BYTES / s->frame : 1;
    s->len = count * s->frame;
    s->bytes = malloc(s->len);
    for (uint8_t *p = s->bytes; p < s->bytes + s->len; p += s->frame) {
        size_t head = frame_head(p, type == PAYLOAD_BINARY ? 2 : 1, 0, size);

        payload_fill(p + head, size, type);
    }
    s->next = sources;
    sources = s;
    return s;
}

static void step_source(struct connection *c, size_t n)
{
    c->source_at += n;
    if (c->source_at == c->source->len)
        c->source_at = 0;
    c->source_left -= n;
}

/* These three: 1 when all has left, 0 when it goes on later, -1 at the end. */

static int push(struct connection *c)
{
    size_t moved = 0;

    while (c->source_left) {
        size_t n = c->source->len - c->source_at;
        ssize_t rc = write_some(c, c->source->bytes + c->source_at,
                                n < c->source_left ? n : (size_t)c->source_left);

        if (rc <= 0)
            return (int)rc;
        step_source(c, (size_t)rc);
        moved += (size_t)rc;
        if (moved > TURN_BYTES)
            return 0;
    }
    return 1;
}

/* Seals a buffer full of records, one for each frame. */
static int seal_records(struct connection *c)
{
    int frame = (int)c->source->frame;

    (void)BIO_reset(c->records);
    c->records_at = 0;
    for (size_t made = 0; made < IO_BYTES && c->source_left; made += c->source->frame) {
        if (SSL_write(c->ssl, c->source->bytes + c->source_at, frame) != frame)
            return -1;
        step_source(c, c->source->frame);
    }
    return 1;
}

static int push_records(struct connection *c)
{
    if (!c->records) {
        c->records = BIO_new(BIO_s_mem());
        SSL_set0_wbio(c->ssl, c->records);
    }
    for (;;) {
        char *sealed;
        size_t have = (size_t)BIO_get_mem_data(c->records, &sealed);
        ssize_t rc;

        if (c->records_at == have) {
            if (!c->source_left)
                break;
            if (seal_records(c) < 0)
                return -1;
            continue;
        }
        rc = send_some(c, sealed + c->records_at, have - c->records_at);
        if (rc <= 0)
            return (int)rc;
        c->records_at += (size_t)rc;
    }
    SSL_set0_wbio(c->ssl, BIO_new_socket(c->fd, BIO_NOCLOSE));
    c->records = NULL;
    c->by_record = false;
    return 1;
}

static int push_answers(struct connection *c)
{
    while (c->out_at < c->out_len) {
        ssize_t rc = write_some(c, c->out + c->out_at, c->out_len - c->out_at);

        if (rc <= 0)
            return (int)rc;
        c->out_at += (size_t)rc;
    }
    return 1;
}

/* -1: the connection is to be freed. */
static int flush(struct connection *c)
{
    int rc = push_answers(c);

    if (rc > 0 && c->by_record)
        rc = push_records(c);
    else if (rc > 0)
        rc = push(c);
    if (rc < 0 || (rc > 0 && c->closing))
        return -1;
    if (c->wants_room != (rc == 0)) {
        struct epoll_event ev = {.events = EPOLLIN | (rc == 0 ? EPOLLOUT : 0), .data.ptr = c};

        c->wants_room = rc == 0;
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &ev);
    }
    return 0;
}

/* ---- Frames -------------------------------------------------------------------------------- */

static void end_frame(struct connection *c)
{
    uint8_t opcode = c->head[0] & 15;
    bool fin = c->head[0] >> 7;

    if (opcode == 8) {
        if (c->source_left == 0)
            put_frame(c, 8, c->message, c->message_len < 2 ? 0 : 2);
        c->source_left = 0;
        c->closing = true;
    } else if (opcode == 9) {
        put_frame(c, 10, c->message, c->message_len);
    } else if (opcode < 8 && fin) {
        c->got++;
        if (c->mode == ECHO)
            put_frame(c, opcode, c->message, c->message_len);
        else if (c->mode == SEND && c->got == c->wanted)
            put_frame(c, 1, "done", 4);
    }
}

/* The bytes of a client's header, as far as its second byte tells. */
static size_t head_need(uint8_t second)
{
    uint8_t n = second & 127;

    return 2u + (n == 126 ? 2u : n == 127 ? 8u : 0u) + 4u;
}

static int begin_frame(struct connection *c)
{
    size_t end = c->head_need - 4;
    uint64_t n = c->head[1] & 127;

    if (end > 2) {
        n = 0;
        for (size_t i = 2; i < end; i++)
            n = n << 8 | c->head[i];
    }
    if (!(c->head[1] & 128) || n > FRAME_MAX)
        return -1;
    c->payload_left = n;
    c->keep = c->mode == ECHO || (c->head[0] & 15) >= 8;
    c->message_len = 0;
    if (c->keep && n > c->message_cap) {
        c->message_cap = (size_t)n;
        c->message = realloc(c->message, c->message_cap);
    }
    return 0;
}

/* Takes header bytes; returns how many. */
static size_t take_head(struct connection *c, const uint8_t *p, size_t n)
{
    size_t used = 0;

    while (used < n && c->head_len < c->head_need) {
        c->head[c->head_len++] = p[used++];
        if (c->head_len == 2)
            c->head_need = head_need(c->head[1]);
    }
    return used;
}

static size_t take_payload(struct connection *c, const uint8_t *p, size_t n)
{
    const uint8_t *key = c->head + c->head_len - 4;

    if (n > c->payload_left)
        n = (size_t)c->payload_left;
    for (size_t i = 0; c->keep && i < n; i++, c->message_len++)
        c->message[c->message_len] = p[i] ^ key[c->message_len & 3];
    c->payload_left -= n;
    return n;
}

static int feed(struct connection *c, const uint8_t *p, size_t n)
{
    while (n && !c->closing) {
        size_t used;

        if (c->head_len < c->head_need) {
            used = take_head(c, p, n);
            p += used;
            n -= used;
            if (c->head_len < c->head_need)
                return 0;
            if (begin_frame(c) < 0)
                return -1;
        }
        used = take_payload(c, p, n);
        p += used;
        n -= used;
        if (c->payload_left == 0) {
            end_frame(c);
            c->head_len = 0;
            c->head_need = 2;
        }
    }
    return 0;
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

static uint64_t number(const char *line, const char *name, uint64_t otherwise)
{
    const char *p = strstr(line, name);

    return p ? strtoull(p + strlen(name), NULL, 10) : otherwise;
}

static void choose_mode(struct connection *c, const char *line)
{
    const char *type = strstr(line, "type=");

    c->mode = IDLE;
    c->head_need = 2;
    if (strstr(line, " /recv")) {
        c->mode = RECV;
        c->source = find_source(number(line, "size=", 64), payload_type(type ? type + 5 : ""));
        c->source_left = number(line, "count=", 1) * c->source->frame;
        c->by_record = c->ssl && strstr(line, "rec=1");
    } else if (strstr(line, " /send")) {
        c->mode = SEND;
        c->wanted = number(line, "count=", 1);
    } else if (strstr(line, " /echo")) {
        c->mode = ECHO;
    }
}

/* RFC 6455, 4.2.2. */
static void upgrade(struct connection *c, const char *head, const char *key)
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    uint8_t accept[32];
    char text[256];
    int n = snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);

    SHA1((uint8_t *)text, (size_t)n, digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 accept);
    put(c, text, (size_t)n);
    choose_mode(c, head);
}

/* Tickets differ, as a client refuses one that it has seen. */
static void answer(struct connection *c, const char *head)
{
    static unsigned long long tickets;
    char body[256] = "";
    char text[512];
    int n;

    if (strncmp(head, "POST /api/v1/auth/token ", 24) == 0)
        (void)snprintf(body, sizeof body,
                       "{\"token\":\"eyJhbGciOiJIUzI1NiJ9.e30.c2ln\",\"expiresInSeconds\":3600}");
    else if (strncmp(head, "GET /api/v1/ws-ticket ", 22) == 0)
        (void)snprintf(body, sizeof body, "{\"ticket\":\"%032llx\",\"expiresInSeconds\":30}",
                       ++tickets);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 *body ? "200 OK" : "404 Not Found", strlen(body), body);
    put(c, text, (size_t)n);
}

/* Requests have no body.  -1: the connection is to be freed. */
static int take_requests(struct connection *c)
{
    static const char key_name[] = "\r\nSec-WebSocket-Key: ";
    char *end;

    c->in[c->in_len] = '\0';
    while ((end = strstr(c->in, "\r\n\r\n"))) {
        const char *key;
        size_t size = (size_t)(end + 4 - c->in);

        *end = '\0';
        key = strcasestr(c->in, key_name);
        if (key) {
            int rc;

            upgrade(c, c->in, key + sizeof key_name - 1);
            rc = feed(c, (uint8_t *)c->in + size, c->in_len - size);
            free(c->in);
            c->in = NULL;
            return rc;
        }
        answer(c, c->in);
        c->in_len -= size;
        memmove(c->in, c->in + size, c->in_len + 1);
    }
    return c->in_len == HEAD_ROOM ? -1 : 0;
}

/* ---- Connections --------------------------------------------------------------------------- */

static int read_http(struct connection *c)
{
    ssize_t n;

    if (!c->in)
        c->in = malloc(HEAD_ROOM + 1);
    n = read_some(c, c->in + c->in_len, HEAD_ROOM - c->in_len);
    if (n <= 0)
        return (int)n;
    c->in_len += (size_t)n;
    return take_requests(c) < 0 ? -1 : (int)n;
}

static int read_frames(struct connection *c)
{
    ssize_t n = read_some(c, buffer, sizeof buffer);

    return n > 0 && feed(c, buffer, (size_t)n) < 0 ? -1 : (int)n;
}

static int read_all(struct connection *c)
{
    for (size_t moved = 0; moved < TURN_BYTES && !c->closing;) {
        int n = c->mode == HTTP ? read_http(c) : read_frames(c);

        if (n <= 0)
            return n;
        moved += (size_t)n;
        if (!c->ssl && n < 2048)
            return 0; /* That was all: one system call is saved. */
    }
    return 0;
}

static int on_event(struct connection *c, uint32_t events)
{
    if (c->ssl && !c->shaken) {
        int rc = SSL_accept(c->ssl);

        if (rc != 1) {
            rc = SSL_get_error(c->ssl, rc);
            return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE ? 0 : -1;
        }
        c->shaken = true;
    }
    if ((events & ~(uint32_t)EPOLLOUT) && read_all(c) < 0)
        return -1;
    return flush(c);
}

static void free_connection(struct connection *c)
{
    if (c->shaken)
        SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    ERR_clear_error();
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c->message);
    free(c);
}

/* A listening socket; the poller tells it from a connection by its address. */
struct listener {
    const char *name;
    SSL_CTX *tls; /* NULL: plain. */
    int fd;
};

static void accept_all(const struct listener *l)
{
    int one = 1;
    int fd;

    while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (l->tls) {
            c->ssl = SSL_new(l->tls);
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);
        }
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev);
    }
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void listen_on(struct listener *l, const char *address, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
    socklen_t size = sizeof at;
    int one = 1;

    inet_pton(AF_INET, address, &at.sin_addr);
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(l->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(l->fd, 4096) != 0)
        die("listen");
    getsockname(l->fd, (struct sockaddr *)&at, &size);
    printf("%s %d\n", l->name, ntohs(at.sin_port));
    epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &ev);
}

static SSL_CTX *make_tls(const char *cert, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(tls, (const uint8_t *)"bench", 5);
    if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        die("certificate");
    return tls;
}

static void forbid_resumption(SSL_CTX *tls)
{
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void serve(const struct listener *listeners)
{
    struct epoll_event events[EVENTS];

    while (!stopped) {
        int n = epoll_wait(poller, events, EVENTS, 1000);

        for (int i = 0; i < n; i++) {
            const struct listener *l = events[i].data.ptr;

            if (l >= listeners && l < listeners + LISTENERS)
                accept_all(l);
            else if (on_event(events[i].data.ptr, events[i].events) < 0)
                free_connection(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    struct listener listeners[LISTENERS] = {{.name = "plain"}, {.name = "tls"}, {.name = "full"}};
    const char *address = "127.0.0.1";
    const char *cert = NULL;
    const char *key = NULL;
    int ports[LISTENERS] = {0};
    struct rlimit files;
    int option;

    while ((option = getopt(argc, argv, "b:p:t:c:k:")) != -1) {
        if (option == 'b')
            address = optarg;
        else if (option == 'p')
            ports[0] = (int)strtol(optarg, NULL, 10);
        else if (option == 't')
            ports[1] = (int)strtol(optarg, NULL, 10);
        else if (option == 'c')
            cert = optarg;
        else if (option == 'k')
            key = optarg;
        else
            return 2;
    }
    if (!cert || !key) {
        fprintf(stderr, "usage: blaster -c CERT -k KEY [-b ADDRESS] [-p PORT] [-t TLSPORT]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    listeners[1].tls = make_tls(cert, key);
    listeners[2].tls = make_tls(cert, key);
    forbid_resumption(listeners[2].tls);
    for (int i = 0; i < LISTENERS; i++)
        listen_on(&listeners[i], address, ports[i]);
    fflush(stdout);
    serve(listeners);
    return 0;
}
