/* Accepted connections.
 *
 * A life: accept, perhaps a TLS handshake, data both ways, and an end.  With TLS the bytes pass
 * through two memory BIOs: what libuv read is written into one, what OpenSSL wants to send is taken
 * from the other.  So OpenSSL never touches the socket, and one code path serves plain and TLS.
 *
 * The ends: the peer closes or breaks (on_close, then the handles are closed); or the owner calls
 * conn_finish, conn_drop or conn_reset, and hears nothing more.  conn_finish lingers: it shuts down
 * its own direction and reads on, discarding, until the peer has closed too or LINGER_MS have
 * passed in which nothing left, because closing a socket with unread input makes the kernel send a
 * reset that can overtake and destroy the last response.  Memory is freed when both libuv handles
 * have said that they are closed.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define READ_SIZE  ((size_t)64 * 1024)
#define HIGH_WATER ((size_t)1024 * 1024)
#define LOW_WATER  ((size_t)256 * 1024)
#define LINGER_MS  2000
#define BACKLOG    1024

struct conn_listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct conn_listener_config config;
    bool is_pipe;
};

struct conn {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    const struct conn_handler *handler;
    void *arg;
    SSL *ssl;
    BIO *from_net, *to_net; /* owned by |ssl| */
    size_t queued;
    size_t unsent; /* while it lingers: what had not left when last looked at */
    int open_handles;
    bool is_pipe, admin;
    bool reading, paused, frozen; /* |frozen| outlives every conn_resume */
    bool pumping;                 /* inside the loop that decrypts */
    bool over_high;               /* the owner waits for on_drain */
    bool finishing, closing;
    struct conn *prev, *next;
};

static struct conn *all;
/* One read is handled before the next begins, so one buffer serves every connection. */
static char read_buf[READ_SIZE];

static void pump_tls(struct conn *conn);

/* The end of a life */

static void handle_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    if (--conn->open_handles)
        return;
    SSL_free(conn->ssl);
    free(conn);
}

static void close_handles(struct conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    conn->handler = NULL;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        all = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    uv_close((uv_handle_t *)&conn->timer, handle_closed);
    if (!uv_is_closing(&conn->u.handle))
        uv_close(&conn->u.handle, handle_closed);
}

static void gone(struct conn *conn)
{
    const struct conn_handler *handler = conn->handler;
    void *arg = conn->arg;

    if (conn->closing)
        return;
    close_handles(conn);
    if (handler)
        handler->on_close(arg);
}

void conn_drop(struct conn *conn)
{
    conn->handler = NULL;
    close_handles(conn);
}

void conn_reset(struct conn *conn)
{
    conn->handler = NULL;
    if (!conn->closing && !conn->is_pipe)
        (void)uv_tcp_close_reset(&conn->u.tcp, handle_closed);
    close_handles(conn);
}

/* Output */

struct write_req {
    uv_write_t req;
    size_t len;
    char data[];
};

static void wrote(uv_write_t *req, int status)
{
    struct write_req *w = (struct write_req *)req;
    struct conn *conn = req->handle->data;

    conn->queued -= w->len;
    free(w);
    if (status < 0) {
        gone(conn);
        return;
    }
    if (conn->over_high && conn->queued < LOW_WATER) {
        conn->over_high = false;
        if (conn->handler && conn->handler->on_drain)
            conn->handler->on_drain(conn->arg);
    }
}

static void send_raw(struct conn *conn, const void *data, size_t len)
{
    struct write_req *w = malloc(sizeof *w + len);
    uv_buf_t buf;

    if (!w)
        abort();
    w->len = len;
    memcpy(w->data, data, len);
    buf = uv_buf_init(w->data, (unsigned)len);
    conn->queued += len;
    if (uv_write(&w->req, &conn->u.stream, &buf, 1, wrote) < 0) {
        /* The socket is dead: its end arrives through the reading side. */
        conn->queued -= len;
        free(w);
    }
}

static void flush_tls(struct conn *conn)
{
    char *data;
    long len = BIO_get_mem_data(conn->to_net, &data);

    if (len > 0) {
        send_raw(conn, data, (size_t)len);
        (void)BIO_reset(conn->to_net);
    }
}

bool conn_write(struct conn *conn, const void *data, size_t len)
{
    if (conn->closing || conn->finishing || !len)
        return true;
    if (!conn->ssl) {
        send_raw(conn, data, len);
    } else {
        size_t written;

        /* A memory BIO takes everything, so this cannot be partial. */
        ERR_clear_error();
        if (SSL_write_ex(conn->ssl, data, len, &written) == 1)
            flush_tls(conn);
    }
    if (conn->queued >= HIGH_WATER)
        conn->over_high = true;
    return !conn->over_high;
}

/* Input */

static void give(struct conn *conn, const char *data, size_t len)
{
    if (conn->handler)
        conn->handler->on_data(conn->arg, data, len);
}

/* Says what made a handshake fail: a person who forgot --ca-file finds the alert of his client
 * here. */
static void log_tls_failure(const struct conn *conn)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    if (!SSL_is_init_finished(conn->ssl))
        log_line("[TLS] Handshake failed { reason: '%s' }", reason ? reason : "closed by the peer");
}

/* Decrypts what is there, one record after the other, until it is used up or the owner has enough.
 */
static void pump_tls(struct conn *conn)
{
    static char plain[READ_SIZE];

    if (conn->pumping)
        return;
    conn->pumping = true;
    while (!conn->closing && !conn->paused) {
        size_t len = 0;

        ERR_clear_error();
        if (SSL_read_ex(conn->ssl, plain, sizeof plain, &len) != 1) {
            int why = SSL_get_error(conn->ssl, 0);

            flush_tls(conn);
            if (why != SSL_ERROR_WANT_READ) {
                log_tls_failure(conn);
                gone(conn);
            }
            break;
        }
        flush_tls(conn);
        give(conn, plain, len);
    }
    conn->pumping = false;
}

static void alloc_read(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buf, sizeof read_buf);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;

    if (len < 0) {
        if (conn->ssl && !conn->finishing) {
            ERR_clear_error();
            log_tls_failure(conn);
        }
        gone(conn);
        return;
    }
    if (conn->finishing || len == 0)
        return;
    if (!conn->ssl) {
        give(conn, buf->base, (size_t)len);
        return;
    }
    (void)BIO_write(conn->from_net, buf->base, (int)len);
    pump_tls(conn);
}

static void update_reading(struct conn *conn)
{
    bool want = !conn->closing && !conn->frozen && (!conn->paused || conn->finishing);

    if (want == conn->reading || conn->closing)
        return;
    conn->reading = want;
    if (want)
        (void)uv_read_start(&conn->u.stream, alloc_read, on_read);
    else
        (void)uv_read_stop(&conn->u.stream);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    update_reading(conn);
}

void conn_resume(struct conn *conn)
{
    if (!conn->paused || conn->frozen)
        return;
    conn->paused = false;
    update_reading(conn);
    if (conn->ssl && !conn->closing)
        pump_tls(conn);
}

void conn_freeze(struct conn *conn)
{
    conn->frozen = true;
    conn->paused = true;
    update_reading(conn);
}

/* The orderly end */

static void shut(uv_shutdown_t *req, int status)
{
    struct conn *conn = req->handle->data;

    if (status < 0)
        gone(conn);
}

static void timed_out(uv_timer_t *timer)
{
    gone(timer->data);
}

static void lingered(uv_timer_t *timer)
{
    struct conn *conn = timer->data;
    size_t unsent = uv_stream_get_write_queue_size(&conn->u.stream);

    if (unsent != conn->unsent)
        conn->unsent = unsent;
    else
        gone(conn);
}

void conn_finish(struct conn *conn)
{
    conn->handler = NULL;
    if (conn->closing || conn->finishing)
        return;
    if (conn->ssl && SSL_is_init_finished(conn->ssl)) {
        (void)SSL_shutdown(conn->ssl);
        flush_tls(conn);
    }
    conn->finishing = true;
    update_reading(conn);
    conn->unsent = uv_stream_get_write_queue_size(&conn->u.stream);
    (void)uv_timer_start(&conn->timer, lingered, LINGER_MS, LINGER_MS);
    if (uv_shutdown(&conn->shutdown, &conn->u.stream, shut) < 0)
        conn_drop(conn);
}

void conn_timeout(struct conn *conn, uint64_t ms)
{
    if (conn->closing || conn->finishing)
        return;
    if (ms)
        (void)uv_timer_start(&conn->timer, timed_out, ms, 0);
    else
        (void)uv_timer_stop(&conn->timer);
}

/* The beginning */

static void start_tls(struct conn *conn, SSL_CTX *tls)
{
    conn->ssl = SSL_new(tls);
    conn->from_net = BIO_new(BIO_s_mem());
    conn->to_net = BIO_new(BIO_s_mem());
    if (!conn->ssl || !conn->from_net || !conn->to_net)
        abort();
    /* An empty BIO means "wait", not "end of file". */
    BIO_set_mem_eof_return(conn->from_net, -1);
    BIO_set_mem_eof_return(conn->to_net, -1);
    SSL_set_bio(conn->ssl, conn->from_net, conn->to_net);
    SSL_set_accept_state(conn->ssl);
}

static struct conn *conn_new(uv_loop_t *loop, const struct conn_listener *listener)
{
    struct conn *conn = xalloc(sizeof *conn);

    conn->is_pipe = listener->is_pipe;
    conn->admin = listener->config.admin;
    if (conn->is_pipe)
        (void)uv_pipe_init(loop, &conn->u.pipe, 0);
    else
        (void)uv_tcp_init(loop, &conn->u.tcp);
    (void)uv_timer_init(loop, &conn->timer);
    conn->u.handle.data = conn;
    conn->timer.data = conn;
    conn->open_handles = 2;
    conn->next = all;
    if (all)
        all->prev = conn;
    all = conn;
    return conn;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct conn_listener *listener = stream->data;
    struct conn *conn;

    if (status < 0)
        return;
    conn = conn_new(stream->loop, listener);
    if (uv_accept(stream, &conn->u.stream) < 0) {
        conn_drop(conn);
        return;
    }
    if (!conn->is_pipe)
        (void)uv_tcp_nodelay(&conn->u.tcp, 1);
    if (listener->config.tls)
        start_tls(conn, listener->config.tls);
    listener->config.on_accept(conn, listener->config.arg);
    update_reading(conn);
}

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *arg)
{
    conn->handler = handler;
    conn->arg = arg;
}

/* Listeners */

static void free_listener(uv_handle_t *handle)
{
    free(handle->data);
}

static struct conn_listener *start_listening(struct conn_listener *listener, int *err)
{
    if (*err == 0)
        *err = uv_listen(&listener->u.stream, BACKLOG, on_connection);
    if (*err < 0) {
        uv_close(&listener->u.handle, free_listener);
        return NULL;
    }
    return listener;
}

static struct conn_listener *listener_new(const struct conn_listener_config *config, bool is_pipe)
{
    struct conn_listener *listener = xalloc(sizeof *listener);

    listener->config = *config;
    listener->is_pipe = is_pipe;
    return listener;
}

struct conn_listener *conn_listen_tcp(uv_loop_t *loop, const struct sockaddr *addr,
                                      const struct conn_listener_config *config, int *err)
{
    struct conn_listener *listener = listener_new(config, false);

    (void)uv_tcp_init(loop, &listener->u.tcp);
    listener->u.handle.data = listener;
    *err = uv_tcp_bind(&listener->u.tcp, addr, 0);
    return start_listening(listener, err);
}

/* Is this a socket whose server was killed?  Then nobody answers there any more. */
static bool is_left_over(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat about;
    int fd;
    bool refused;

    if (lstat(path, &about) != 0 || !S_ISSOCK(about.st_mode) ||
        strlen(path) >= sizeof addr.sun_path)
        return false;
    memcpy(addr.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    refused = connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return refused;
}

struct conn_listener *conn_listen_path(uv_loop_t *loop, const char *path,
                                       const struct conn_listener_config *config, int *err)
{
    struct conn_listener *listener = listener_new(config, true);
    mode_t mask;

    (void)uv_pipe_init(loop, &listener->u.pipe, 0);
    listener->u.handle.data = listener;
    /* Who can open the socket can steer the server, so it is its owner's alone. */
    mask = umask(S_IRWXG | S_IRWXO);
    *err = uv_pipe_bind(&listener->u.pipe, path);
    if (*err == UV_EADDRINUSE && is_left_over(path) && unlink(path) == 0)
        *err = uv_pipe_bind(&listener->u.pipe, path);
    (void)umask(mask);
    return start_listening(listener, err);
}

int conn_listener_port(const struct conn_listener *listener)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;

    if (uv_tcp_getsockname(&listener->u.tcp, (struct sockaddr *)&addr, &len) < 0)
        return -1;
    if (addr.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
    return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

void conn_listener_close(struct conn_listener *listener)
{
    if (listener)
        uv_close(&listener->u.handle, free_listener);
}

/* Questions */

bool conn_is_loopback(const struct conn *conn)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;

    if (conn->is_pipe)
        return true;
    if (uv_tcp_getpeername(&conn->u.tcp, (struct sockaddr *)&addr, &len) < 0)
        return false;
    if (addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&addr)->sin6_addr);
    return (ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr) >> 24) == 127;
}

bool conn_is_admin(const struct conn *conn)
{
    return conn->admin;
}

void conn_drop_all(void)
{
    /* Each gone() takes its connection out of the list, and may take others out too. */
    while (all)
        gone(all);
}
