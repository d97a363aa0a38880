/* The WebSocket side.
 *
 * libwebsockets does the opening handshake, the frames and the compression, but it never sees the
 * client's socket.  Once an upgrade has been allowed, which may have taken a while because Redis
 * was asked, each WebSocket gets a socket pair: libwebsockets adopts one end as a fresh plain HTTP
 * connection and is sent the upgrade request, without the ticket; the other end is a libuv pipe,
 * and between it and the client's connection bytes are copied both ways, with back-pressure.  That
 * makes the verdict asynchronous whatever way a refusal takes, and lets a fault cut, freeze or
 * silence the wire without libwebsockets' help.
 *
 * A session lives until the client's connection, libwebsockets' object, the pipe and the timer are
 * all gone, in whatever order; session_check looks after each of these events.
 */
#include "ws.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

#define SERVICE_BUF ((size_t)64 * 1024)
#define HIGH_WATER  ((size_t)1024 * 1024)
#define LOW_WATER   ((size_t)256 * 1024)
#define ECHO_HIGH                                                                                  \
    ((size_t)4 * 1024 * 1024) /* queued echoes above which libwebsockets stops reading */
#define DEFLATE_BUF_PWR2 27   /* 128 MiB */
#define NO_STATUS        1005 /* RFC 6455, 7.1.5 */
#define ABNORMAL         1006
#define TOO_BIG          1009
#define CLOSE_ACK_MS     2000

struct message {
    struct message *next;
    bool binary;
    size_t len, sent;
    char *buf; /* LWS_PRE bytes of room, then the payload */
};

struct session {
    struct ws_engine *engine;
    struct conn *conn;
    struct lws *wsi;
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_shutdown_t shutdown;
    bool pipe_open, timer_open, pipe_paused, conn_paused;
    size_t pipe_queued;
    struct ws_open open; /* its texts are not used after the opening */
    char origin[LOG_TEXT_LEN];
    bool established, mute, close_sent, fault_pending;
    int close_code; /* asked for by us */
    char close_reason[124];
    int peer_code; /* said by the client; 0: nothing */
    char *rx;      /* the message being received, as in struct message */
    size_t rx_len, rx_cap;
    struct message *first, *last;
    size_t echo_queued;
    bool rx_stopped;
    struct session *prev, *next;
};

struct ws_engine {
    struct server *server;
    struct lws_context *lws;
    bool lws_freed; /* with the vhost, its last part */
    struct lws_vhost *vhost;
    struct lws_protocols *protocols;
    struct session *sessions;
    size_t count;
};

static void resume_pipe(struct session *s);

/* The end */

static void pop_message(struct session *s)
{
    struct message *message = s->first;

    s->first = message->next;
    if (!s->first)
        s->last = NULL;
    s->echo_queued -= message->len;
    free(message->buf);
    free(message);
}

static void say_closed(const struct session *s)
{
    int code = s->close_code ? s->close_code : s->peer_code ? s->peer_code : ABNORMAL;

    log_line("[WS] Closed { sessionId: '%s', code: %d }", s->open.session_id, code);
}

static void session_check(struct session *s)
{
    if (s->conn || s->wsi || s->pipe_open || s->timer_open)
        return;
    while (s->first)
        pop_message(s);
    fault_unref(s->open.fault);
    free(s->rx);
    *(s->prev ? &s->prev->next : &s->engine->sessions) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->engine->count--;
    free(s);
}

static void pipe_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;

    s->pipe_open = false;
    session_check(s);
}

static void timer_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;

    s->timer_open = false;
    session_check(s);
}

static void shutdown_done(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status;
}

/* The client is gone: libwebsockets is told by an end of file, behind what the client had sent.
 * What it still writes is read and dropped, else it would wait for room for ever. */
static void lose_conn(struct session *s)
{
    s->conn = NULL;
    resume_pipe(s);
    if (s->pipe_open && !uv_is_closing((uv_handle_t *)&s->pipe))
        (void)uv_shutdown(&s->shutdown, (uv_stream_t *)&s->pipe, shutdown_done);
    session_check(s);
}

static void drop_conn(struct session *s, enum http_drop how)
{
    if (!s->conn)
        return;
    if (how == HTTP_DROP_RST)
        conn_reset(s->conn);
    else
        conn_drop(s->conn);
    lose_conn(s);
}

/* libwebsockets has closed its end: everything it wrote has been read, so the client is next. */
static void lose_pipe(struct session *s)
{
    if (s->conn) {
        if (s->mute)
            conn_drop(s->conn);
        else
            conn_finish(s->conn);
        s->conn = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)&s->pipe))
        uv_close((uv_handle_t *)&s->pipe, pipe_closed);
    if (!uv_is_closing((uv_handle_t *)&s->timer))
        uv_close((uv_handle_t *)&s->timer, timer_closed);
}

/* From the client to libwebsockets */

struct pipe_write {
    uv_write_t req;
    size_t len;
    char data[];
};

static void pipe_wrote(uv_write_t *req, int status)
{
    struct pipe_write *w = (struct pipe_write *)req;
    struct session *s = req->handle->data;

    (void)status; /* A broken pipe is noticed by its reading side. */
    s->pipe_queued -= w->len;
    free(w);
    if (s->conn && s->conn_paused && s->pipe_queued < LOW_WATER) {
        s->conn_paused = false;
        conn_resume(s->conn);
    }
}

static void to_lws(struct session *s, const char *data, size_t len)
{
    struct pipe_write *w;
    uv_buf_t buf;

    if (!len || uv_is_closing((uv_handle_t *)&s->pipe))
        return;
    w = malloc(sizeof *w + len);
    if (!w)
        abort();
    w->len = len;
    memcpy(w->data, data, len);
    buf = uv_buf_init(w->data, (unsigned)len);
    s->pipe_queued += len;
    if (uv_write(&w->req, (uv_stream_t *)&s->pipe, &buf, 1, pipe_wrote) < 0) {
        s->pipe_queued -= len;
        free(w);
    }
}

static void conn_data(void *arg, const char *data, size_t len)
{
    struct session *s = arg;

    if (s->mute)
        return;
    to_lws(s, data, len);
    if (s->pipe_queued > HIGH_WATER) {
        s->conn_paused = true;
        conn_pause(s->conn);
    }
}

static void conn_gone(void *arg)
{
    lose_conn(arg);
}

/* Closing on purpose */

static void session_close(struct session *s, int code, const char *reason)
{
    if (!s->wsi || !s->established) {
        drop_conn(s, HTTP_DROP_FIN);
        return;
    }
    if (s->close_code)
        return;
    s->close_code = code;
    (void)snprintf(s->close_reason, sizeof s->close_reason, "%s", reason ? reason : "");
    (void)lws_callback_on_writable(s->wsi);
}

static void apply_fault(struct session *s)
{
    const struct fault *fault = s->open.fault;

    if (fault->mute)
        s->mute = true;
    if (fault->stop_reading && s->conn)
        conn_freeze(s->conn);
    if (fault->drop != FAULT_DROP_NO)
        drop_conn(s, fault->drop == FAULT_DROP_RST ? HTTP_DROP_RST : HTTP_DROP_FIN);
    else if (fault->close_code)
        session_close(s, (int)fault->close_code, fault->close_reason);
}

static void fault_due(uv_timer_t *timer)
{
    apply_fault(timer->data);
}

/* From libwebsockets to the client */

static void pipe_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[SERVICE_BUF];

    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void pipe_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct session *s = stream->data;

    if (len < 0) {
        lose_pipe(s);
        return;
    }
    if (len == 0 || !s->conn || s->mute)
        return;
    if (!conn_write(s->conn, buf->base, (size_t)len)) {
        s->pipe_paused = true;
        (void)uv_read_stop(stream);
    }
    if (s->fault_pending) {
        /* The 101 is out: only now is the connection open for the client too. */
        s->fault_pending = false;
        (void)uv_timer_start(&s->timer, fault_due, (uint64_t)s->open.fault->after_ms, 0);
    }
}

static void resume_pipe(struct session *s)
{
    if (s->pipe_paused && !uv_is_closing((uv_handle_t *)&s->pipe)) {
        s->pipe_paused = false;
        (void)uv_read_start((uv_stream_t *)&s->pipe, pipe_alloc, pipe_read);
    }
}

static void conn_drained(void *arg)
{
    resume_pipe(arg);
}

/* What libwebsockets says */

/* permessage-deflate of 4.1.6 loses the rest of a message that does not fit into its buffers in one
 * go, so they are made to hold any message.  They are allocated with the first compressed message,
 * and only what is touched takes memory. */
static void widen_deflate(struct session *s)
{
    static const char size[] = TEXT_OF(DEFLATE_BUF_PWR2);

    (void)lws_set_extension_option(s->wsi, "permessage-deflate", "rx_buf_size", size);
    (void)lws_set_extension_option(s->wsi, "permessage-deflate", "tx_buf_size", size);
}

static int opened(struct session *s)
{
    s->established = true;
    widen_deflate(s);
    if (s->open.close_code) {
        session_close(s, s->open.close_code, s->open.close_reason);
        return 0;
    }
    s->engine->server->stats.ws_opened++;
    s->engine->server->stats.ws_open++;
    if (*s->origin)
        log_line("websocket_connected { originHost: '%s' }", s->origin);
    else
        log_line("websocket_connected { originHost: null }");
    s->fault_pending = s->open.fault != NULL;
    return 0;
}

static void closed(struct session *s)
{
    if (!s->established)
        return;
    if (!s->open.close_code)
        s->engine->server->stats.ws_open--;
    say_closed(s);
    s->established = false;
}

/* The message is complete: it goes to the queue as it is, with its own type. */
static void queue_echo(struct session *s)
{
    struct message *message = xalloc(sizeof *message);

    message->binary = lws_frame_is_binary(s->wsi) != 0;
    message->len = s->rx_len;
    message->buf = s->rx;
    s->rx = NULL;
    s->rx_len = s->rx_cap = 0;
    *(s->last ? &s->last->next : &s->first) = message;
    s->last = message;
    s->echo_queued += message->len;
    s->engine->server->stats.messages++;
    s->engine->server->stats.bytes += message->len;
    (void)lws_callback_on_writable(s->wsi);
    if (s->echo_queued > ECHO_HIGH && !s->rx_stopped) {
        s->rx_stopped = true;
        (void)lws_rx_flow_control(s->wsi, 0);
    }
}

static int received(struct session *s, const void *in, size_t len)
{
    if (s->close_code)
        return 0;
    if (s->rx_len + len > (size_t)s->engine->server->options.max_message) {
        session_close(s, TOO_BIG, "message too big");
        return 0;
    }
    xgrow(&s->rx, &s->rx_cap, LWS_PRE + s->rx_len + len + 1);
    if (len)
        memcpy(s->rx + LWS_PRE + s->rx_len, in, len);
    s->rx_len += len;
    if (lws_is_final_fragment(s->wsi) && !lws_remaining_packet_payload(s->wsi))
        queue_echo(s);
    return 0;
}

/* Writes a whole short frame beside libwebsockets, into its end of the socket pair: in the writable
 * callback it is between two frames and holds nothing back.  Returns -1 when the pair is broken. */
static int write_frame(struct session *s, unsigned char opcode, const void *payload, size_t len)
{
    unsigned char frame[2 + 125];

    frame[0] = (unsigned char)(0x80 | opcode);
    frame[1] = (unsigned char)len;
    if (len)
        memcpy(frame + 2, payload, len);
    return send(lws_get_socket_fd(s->wsi), frame, 2 + len, MSG_NOSIGNAL) == (ssize_t)(2 + len) ? 0
                                                                                               : -1;
}

static int after_write(struct session *s)
{
    if (s->rx_stopped && s->echo_queued <= ECHO_HIGH) {
        s->rx_stopped = false;
        (void)lws_rx_flow_control(s->wsi, 1);
    }
    if (s->first)
        (void)lws_callback_on_writable(s->wsi);
    return 0;
}

/* Writes the next fragment of the first message, which by default is the whole of it. */
static int write_echo(struct session *s)
{
    struct message *message = s->first;
    size_t most = (size_t)s->engine->server->options.fragment;
    size_t len = message->len - message->sent;
    bool begins = message->sent == 0;
    int flags;

    if (most && len > most)
        len = most;
    if (!message->len) {
        /* With permessage-deflate, 4.1.6 fails an assertion on an empty message. */
        if (write_frame(s, message->binary ? 0x02 : 0x01, NULL, 0) < 0)
            return -1;
        pop_message(s);
        return after_write(s);
    }
    flags = lws_write_ws_flags(message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, begins,
                               message->sent + len == message->len);
    if (lws_write(s->wsi, (unsigned char *)message->buf + LWS_PRE + message->sent, len,
                  (enum lws_write_protocol)flags) < (int)len)
        return -1;
    message->sent += len;
    if (message->sent == message->len)
        pop_message(s);
    return after_write(s);
}

static void close_unanswered(uv_timer_t *timer)
{
    drop_conn(timer->data, HTTP_DROP_FIN);
}

/* Queues a close frame (RFC 6455, 5.5.1).  Not the way that libwebsockets has for it,
 * lws_close_reason and -1: in Debian's 4.1.6 that drops the connection without a close frame,
 * because a debugging aid was compiled in that closes everything on libuv twice. */
static int write_close(struct session *s)
{
    unsigned char payload[2 + sizeof s->close_reason];
    size_t len = strlen(s->close_reason);

    payload[0] = (unsigned char)(s->close_code >> 8);
    payload[1] = (unsigned char)(s->close_code & 0xff);
    memcpy(payload + 2, s->close_reason, len);
    if (write_frame(s, 0x08, payload, 2 + len) < 0)
        return -1;
    s->close_sent = true;
    (void)lws_rx_flow_control(s->wsi, 1);
    (void)uv_timer_start(&s->timer, close_unanswered, CLOSE_ACK_MS, 0);
    return 0;
}

static int writable(struct session *s)
{
    if (s->close_sent)
        return 0;
    if (s->close_code)
        return write_close(s);
    return s->first ? write_echo(s) : 0;
}

/* Returns -1 when this answers our own close: then nothing is left to say. */
static int peer_closes(struct session *s, const unsigned char *in, size_t len)
{
    s->peer_code = len >= 2 ? in[0] << 8 | in[1] : NO_STATUS;
    return s->close_sent ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *s = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    if (!s)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return opened(s);
    case LWS_CALLBACK_RECEIVE:
        return received(s, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return writable(s);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closes(s, in, len);
    case LWS_CALLBACK_CLOSED:
        closed(s);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        s->wsi = NULL;
        session_check(s);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* The beginning */

/* The host of an Origin header, as a log line shows it. */
static void origin_host(char out[LOG_TEXT_LEN], const struct http_request *req)
{
    const char *origin = http_header(req, "Origin");
    const char *host = origin ? strstr(origin, "://") : NULL;

    (void)log_text(out, host ? host + 3 : "");
    out[strcspn(out, "/")] = '\0';
}

/* The request that libwebsockets gets to see: what the handshake needs, and no ticket. */
static void send_request(struct session *s, const struct http_request *req, const char *subprotocol)
{
    const char *ext = http_header(req, "Sec-WebSocket-Extensions");
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: %.64s\r\n%s%s%s%s%s%s\r\n",
                     http_header(req, "Sec-WebSocket-Key"),
                     subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "",
                     subprotocol ? "\r\n" : "",
                     ext && strlen(ext) < 250 ? "Sec-WebSocket-Extensions: " : "",
                     ext && strlen(ext) < 250 ? ext : "", ext && strlen(ext) < 250 ? "\r\n" : "");

    if (n > 0 && (size_t)n < sizeof text)
        to_lws(s, text, (size_t)n);
}

static bool adopt(struct session *s, int fd)
{
    lws_adopt_desc_t desc;

    memset(&desc, 0, sizeof desc);
    desc.vh = s->engine->vhost;
    /* Flags, as lws wants them: NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange) */
    desc.type = (lws_adoption_type)(LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP);
    desc.fd.sockfd = fd;
    desc.opaque = s;
    s->wsi = lws_adopt_descriptor_vhost_via_info(&desc);
    return s->wsi != NULL;
}

static struct session *session_new(struct ws_engine *engine, const struct ws_open *open)
{
    struct session *s = xalloc(sizeof *s);

    s->engine = engine;
    s->open = *open;
    (void)uv_pipe_init(&engine->server->loop, &s->pipe, 0);
    (void)uv_timer_init(&engine->server->loop, &s->timer);
    s->pipe.data = s;
    s->timer.data = s;
    s->pipe_open = s->timer_open = true;
    s->next = engine->sessions;
    if (s->next)
        s->next->prev = s;
    engine->sessions = s;
    engine->count++;
    return s;
}

static void start(struct session *s, struct exchange *ex)
{
    static const struct conn_handler handler = {conn_data, conn_drained, conn_gone};
    char *rest;
    size_t rest_len;

    (void)uv_read_start((uv_stream_t *)&s->pipe, pipe_alloc, pipe_read);
    send_request(s, &ex->req, s->open.subprotocol);
    s->conn = http_take_conn(ex, &rest, &rest_len);
    conn_set_handler(s->conn, &handler, s);
    to_lws(s, rest, rest_len);
    free(rest);
    conn_resume(s->conn);
}

void ws_accept(struct ws_engine *engine, struct exchange *ex, const struct ws_open *open)
{
    struct session *s;
    int pair[2];

    if (!http_conn_of(ex) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        fault_unref(open->fault);
        http_drop(ex, HTTP_DROP_FIN);
        return;
    }
    s = session_new(engine, open);
    origin_host(s->origin, &ex->req);
    (void)uv_pipe_open(&s->pipe, pair[1]);
    if (adopt(s, pair[0])) {
        start(s, ex);
        http_abandon(ex);
    } else {
        lose_pipe(s);
        http_drop(ex, HTTP_DROP_FIN);
    }
}

/* All at once */

void ws_close_all(struct ws_engine *engine, int code, const char *reason)
{
    struct session *s = engine->sessions;

    while (s) {
        struct session *next = s->next;

        session_close(s, code, reason);
        s = next;
    }
}

void ws_drop_all(struct ws_engine *engine, enum http_drop how)
{
    struct session *s = engine->sessions;

    while (s) {
        struct session *next = s->next;

        drop_conn(s, how);
        s = next;
    }
}

size_t ws_count(const struct ws_engine *engine)
{
    return engine->count;
}

/* The engine */

static void lws_log(int level, const char *line)
{
    char text[LOG_TEXT_LEN];

    (void)level;
    log_line("[lws] %s", log_text(text, line));
}

/* The first protocol serves clients that offer none of the known names; it has no name, so none is
 * answered. */
static struct lws_protocols *make_protocols(const struct options *options)
{
    size_t n = options->subprotocol_count;
    struct lws_protocols *protocols = xalloc((n + 2) * sizeof *protocols);
    size_t i;

    for (i = 0; i <= n; i++) {
        protocols[i].name = i ? options->subprotocols[i - 1] : "";
        protocols[i].callback = on_event;
        if (options->deflate)
            protocols[i].rx_buffer_size = 1 << DEFLATE_BUF_PWR2;
    }
    return protocols;
}

static void vhost_freed(struct lws_vhost *vhost, void *arg)
{
    struct ws_engine *engine = arg;

    (void)vhost;
    engine->lws_freed = true;
}

static bool start_lws(struct ws_engine *engine)
{
    static const struct lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
        {NULL, NULL, NULL}};
    void *loops[1] = {&engine->server->loop};
    struct lws_context_creation_info info;

    memset(&info, 0, sizeof info);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_VALIDATE_UTF8;
    info.foreign_loops = loops;
    info.pt_serv_buf_size = SERVICE_BUF;
    engine->lws = lws_create_context(&info);
    if (!engine->lws)
        return false;
    info.protocols = engine->protocols;
    info.vhost_name = "localhost";
    info.finalize = vhost_freed;
    info.finalize_arg = engine;
    if (engine->server->options.deflate)
        info.extensions = extensions;
    engine->vhost = lws_create_vhost(engine->lws, &info);
    return engine->vhost != NULL;
}

struct ws_engine *ws_engine_new(struct server *server)
{
    struct ws_engine *engine = xalloc(sizeof *engine);

    lws_set_log_level(LLL_ERR, lws_log);
    engine->server = server;
    engine->protocols = make_protocols(&server->options);
    if (start_lws(engine))
        return engine;
    (void)fputs("wsticket-server: libwebsockets does not start; is its libuv plugin installed? "
                "(Debian: apt-get install libwebsockets-evlib-uv)\n",
                stderr);
    ws_engine_stop(engine);
    ws_engine_free(engine);
    return NULL;
}

void ws_engine_stop(struct ws_engine *engine)
{
    if (engine->lws)
        lws_context_destroy(engine->lws);
}

/* On a loop that is not its own, libwebsockets frees itself in a close callback, or is to be asked
 * a second time, depending on the order in which handles were closed. */
void ws_engine_free(struct ws_engine *engine)
{
    if (!engine)
        return;
    if (engine->lws && !engine->lws_freed)
        lws_context_destroy(engine->lws);
    free(engine->protocols);
    free(engine);
}
