/*
 * A byte stream to a host.  The happy path: the socket is dialed while trust is loaded; TLS shakes
 * hands; |ready|; bytes flow; |ended|; closed.  Every failure before |ended| is told by |ended|.
 *
 * Reading.  One recv() per turn of the loop into a buffer that all streams share, so that a
 * connection at rest owns none; OpenSSL reads from that buffer through a BIO (on the descriptor
 * it would make two system calls per record).  All that is decrypted is handed over before the
 * loop goes on, and not more than one buffer of it in a turn.  Only what a paused reader leaves
 * over is copied to memory of the stream.
 *
 * Writing.  Plain bytes go to sendmsg() as they come.  TLS records are sealed into a shared outbox
 * and leave in one send(), always with MSG_NOSIGNAL.  What the kernel does not take stays with the
 * stream, and the writer is told only of what has really left; it offers the rest again, the same
 * bytes first, as they may be sealed already.  A write that fails is told by the end, too, if there
 * is a reader: what the peer said before it went lies in front of that.
 */
#include "io/stream_openssl.h"

#include "base/errno_text.h"
#include "base/hint.h"
#include "base/mem.h"
#include "io/dial_curl.h"
#include "io/io.h"
#include "io/net.h"
#include "io/tls_openssl.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 4 * WST__RECORD, /* Sealed before they are sent: in one call. */
    PLACE_MAX = 256 * 1024,  /* Received straight to its place in one turn. */
    HANDSHAKES_A_TURN = 4,
    ANSWER_MAX = 256, /* What TLS says by itself: key updates, alerts. */
    IOVS_MAX = 1024   /* What sendmsg() takes on Linux. */
};

enum phase {
    OPENING, /* Dialing, loading trust. */
    QUEUED,  /* For the handshake. */
    HANDSHAKE,
    READY,
    ENDED, /* |ended| has run. */
    CLOSED /* stream_close() was called: no callback runs but the last. */
};

/* What it needs until it is ready, and not then. */
struct opening {
    struct wst__net *net;
    struct wst__dial *dial;
    struct wst__trust_wait wait;
    struct wst__stream *next; /* QUEUED. */
    struct wst__stream_timing timing;
    uint64_t tls_begun_us;
};

/* What only TLS needs. */
struct secure {
    struct wst__tls_peer peer;
    SSL *ssl;            /* From HANDSHAKE on. */
    const uint8_t *feed; /* What OpenSSL reads from, during a call; else NULL. */
    size_t feed_len;
    uint8_t *rest; /* Input that a paused reader has left. */
    size_t rest_len;
    struct wst_cause *late;   /* The end, which a paused reader does not want to see yet. */
    struct wst__sealed *held; /* Sealed bytes that the kernel has not taken. */
    size_t sealed;            /* Bytes of the writer in |held|, or sent and not yet told. */
    size_t credit;            /* Of those: sent. */
};

struct wst__stream {
    struct wst__io *io;
    union {
        const struct wst__stream_cbs *cbs;
        void (*closed)(void *arg); /* From CLOSED on. */
    };
    void *arg;
    struct opening *opening; /* NULL from READY on. */
    struct secure *tls;      /* NULL: it is plain. */
    uv_poll_t *poll;         /* NULL: not dialed yet. */
    struct wst__turn turn;
    int fd;
    int write_errno; /* Writing has failed. */
    enum phase phase : 8;
    uint8_t polled;        /* UV_READABLE, UV_WRITABLE: what libuv looks for. */
    bool needs_trust;      /* OPENING: it is not loaded yet. */
    bool reading;          /* The reader wants bytes. */
    bool broken;           /* The poll reported an error: libuv looks at it no more, we do. */
    bool read_blocked;     /* Reading goes on when |held| has left. */
    bool write_wants_read; /* Writing goes on when something was read. */
    bool blocked;          /* The writer was told to wait. */
    bool shutting;         /* Our side ends when |held| has left. */
    bool drains;           /* Writing has failed: what has come is read, then it ends. */
    char host[];
};

/* Does the stream have input that came before a pause? */
static bool has_rest(const struct wst__stream *s)
{
    return s->tls && s->tls->rest;
}

/* Does it hold back its end, as a paused reader does not want to see it yet? */
static bool ends_late(const struct wst__stream *s)
{
    return s->tls && s->tls->late;
}

/* Does it hold sealed bytes that the kernel has not taken? */
static bool holds(const struct wst__stream *s)
{
    return s->tls && s->tls->held;
}

/* Does OpenSSL hold input that it has not handed out? */
static bool has_pending(const struct wst__stream *s)
{
    return s->tls && s->tls->ssl && SSL_has_pending(s->tls->ssl);
}

static bool alive(const struct wst__stream *s)
{
    return s->phase < ENDED;
}

/* OpenSSL's errors are cleared before a call whose result is judged by them; most often there are
 * none, and to clear none costs it 800 instructions. */
static void clear_errors(void)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
}

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

/* ---- The end ------------------------------------------------------------------------------- */

static void drop_opening(struct wst__stream *s)
{
    struct opening *o = s->opening;

    s->opening = NULL;
    if (!o)
        return;
    if (o->dial)
        wst__dial_cancel(o->dial);
    wst__trust_forget(&o->wait);
    wst__free(o);
}

/*
 * Stops everything and tells.  The stream still has to be closed: in this turn as a rule, so that
 * libuv need not be told twice to look no more.
 */
static void end(struct wst__stream *s, const struct wst_cause *why)
{
    drop_opening(s);
    wst__turn_drop(&s->turn);
    s->phase = ENDED;
    s->cbs->ended(s->arg, why);
}

static int system_cause(const struct wst__stream *s, struct wst_cause *why, int error)
{
    int code = error == ETIMEDOUT ? WST_ERR_TIMEOUT : WST_ERR_RESET;
    char text[WST__ERRNO_TEXT];

    if (error == ECONNRESET || error == EPIPE)
        (void)wst__cause(why, code, WST_STEP_CONNECT, "%s reset the connection", s->host);
    else
        (void)wst__cause(why, code, WST_STEP_CONNECT, "the connection to %s broke: %s", s->host,
                         wst__errno_text(error, text));
    why->sys_errno = error;
    return code;
}

/* The peer has sent FIN or close_notify (0), or the connection broke. */
static void end_by_peer(struct wst__stream *s, int error)
{
    struct wst_cause why;

    if (s->drains)
        error = s->write_errno;
    if (s->phase == HANDSHAKE)
        (void)wst__tls_text_cause(&why, WST_STEP_CONNECT, s->host, "the connection ended in it",
                                  true);
    else if (error == 0)
        (void)wst__cause(&why, WST_ERR_EOF, WST_STEP_CONNECT, "%s ended the connection", s->host);
    else
        (void)system_cause(s, &why, error);
    why.sys_errno = error;
    end(s, &why);
}

static void end_by_memory(struct wst__stream *s)
{
    struct wst_cause why;

    (void)wst__cause(&why, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory");
    end(s, &why);
}

/*
 * Writing has failed.  What the peer has said before lies there still, and tells more than the
 * failure: so a reader that reads gets it first, then the end.  To shut the socket down sees to it
 * that there is one, whatever has failed.  False: nobody reads.
 */
static bool drain(struct wst__stream *s)
{
    if (!s->drains && s->phase == READY && s->reading && !s->read_blocked) {
        s->drains = true;
        (void)shutdown(s->fd, SHUT_RDWR);
    }
    return s->drains;
}

/* ---- Sealed bytes out ---------------------------------------------------------------------- */

/* Sends what it can of |box|; false: the connection is broken. */
static bool send_box(struct wst__stream *s, struct wst__sealed *box)
{
    while (wst__sealed_size(box) > 0) {
        ssize_t n = send(s->fd, box->bytes + box->pos, wst__sealed_size(box), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n < 0) {
            s->write_errno = errno;
            return false;
        }
        s->tls->credit += wst__sealed_left(box, (size_t)n);
    }
    return true;
}

/* Sends what was just sealed; what is left of it is the stream's own then. */
static bool flush(struct wst__stream *s)
{
    struct wst__sealed *out = &s->io->hub.out;

    if (wst__sealed_size(out) == 0)
        return true;
    if (send_box(s, out) && wst__sealed_size(out) > 0) {
        assert(!s->tls->held);
        s->tls->held = wst__sealed_keep(out);
        if (!s->tls->held)
            s->write_errno = ENOMEM;
    }
    wst__sealed_clear(out);
    return s->write_errno == 0;
}

/* Sends what is held; true: nothing is any more. */
static bool flush_held(struct wst__stream *s)
{
    if (!holds(s))
        return s->write_errno == 0;
    if (!send_box(s, s->tls->held) || wst__sealed_size(s->tls->held) > 0)
        return false;
    wst__free(s->tls->held);
    s->tls->held = NULL;
    return true;
}

/* OpenSSL's way to the socket: into the outbox, while nothing older waits. */
static int bio_write(BIO *bio, const char *bytes, int n)
{
    struct wst__stream *s = BIO_get_data(bio);
    struct wst__sealed *out = &s->io->hub.out;

    BIO_clear_retry_flags(bio);
    if (!s->tls->held && s->write_errno == 0 && !wst__sealed_fits(out, (size_t)n))
        (void)flush(s);
    if (s->write_errno != 0)
        return -1;
    if (s->tls->held && n <= ANSWER_MAX && wst__sealed_extend(&s->tls->held, bytes, (size_t)n))
        return n; /* TLS's own, as the answer to a key update: reading need not wait for it. */
    if (s->tls->held || !wst__sealed_fits(out, (size_t)n)) {
        BIO_set_retry_write(bio);
        return -1;
    }
    wst__sealed_add(out, bytes, (size_t)n);
    return n;
}

/* OpenSSL's way from the socket: what was received. */
static int bio_read(BIO *bio, char *to, int room)
{
    struct wst__stream *s = BIO_get_data(bio);
    size_t n = (size_t)room < s->tls->feed_len ? (size_t)room : s->tls->feed_len;

    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, s->tls->feed, n);
    s->tls->feed += n;
    s->tls->feed_len -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

/* OpenSSL has few of these numbers to give, so all loops share one. */
static int bio_type;

static void make_bio_type(void)
{
    bio_type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
}

/* Each loop has its own, and gives it back. */
static BIO_METHOD *new_bio_method(void)
{
    static uv_once_t once = UV_ONCE_INIT;
    BIO_METHOD *method;

    uv_once(&once, make_bio_type);
    method = BIO_meth_new(bio_type, "wsticket");
    if (method && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
        BIO_meth_set_ctrl(method, bio_ctrl))
        return method;
    BIO_meth_free(method);
    return NULL;
}

static BIO *new_bio(struct wst__stream *s)
{
    struct wst__hub *hub = &s->io->hub;
    BIO *bio;

    if (!hub->bio_method)
        hub->bio_method = new_bio_method();
    bio = hub->bio_method ? BIO_new(hub->bio_method) : NULL;
    if (bio) {
        BIO_set_data(bio, s);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* ---- Polling ------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void look_for(struct wst__stream *s, int events)
{
    if (!s->poll || s->broken || s->polled == events)
        return;
    s->polled = (uint8_t)events;
    if (events == 0)
        (void)uv_poll_stop(s->poll);
    else
        (void)uv_poll_start(s->poll, events, on_poll);
}

/* Is it time for new bytes?  Not before the old ones are used. */
static bool may_receive(const struct wst__stream *s)
{
    if (has_rest(s) || s->read_blocked || ends_late(s))
        return false;
    return s->phase == HANDSHAKE || (s->phase == READY && s->reading);
}

/* Looks for what is wanted now. */
static void look(struct wst__stream *s)
{
    int events = 0;

    if (!alive(s))
        return;
    if (may_receive(s))
        events |= UV_READABLE;
    if (s->write_errno == 0 && (holds(s) || (s->blocked && !s->write_wants_read)))
        events |= UV_WRITABLE;
    look_for(s, events);
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* Where the reader wants the next bytes; NULL: anywhere. */
static uint8_t *ask_place(struct wst__stream *s, size_t *room)
{
    uint8_t *place;

    *room = 0;
    place = s->cbs->place ? s->cbs->place(s->arg, room) : NULL;
    if (!place || *room == 0)
        return NULL;
    if (*room > PLACE_MAX)
        *room = PLACE_MAX;
    return place;
}

/* recv(), with its end and its errors told; false: there is nothing to go on with. */
static bool receive(struct wst__stream *s, uint8_t *to, size_t room, size_t *n)
{
    ssize_t got;

    do {
        got = recv(s->fd, to, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        *n = (size_t)got;
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        end_by_peer(s, got == 0 ? 0 : errno);
    return false;
}

static inline void read_plain(struct wst__stream *s)
{
    size_t room;
    size_t n;
    uint8_t *place = ask_place(s, &room);

    if (place) {
        if (receive(s, place, room, &n))
            s->cbs->placed(s->arg, n);
    } else if (receive(s, s->io->hub.input, WST__INPUT_BYTES, &n)) {
        s->cbs->data(s->arg, s->io->hub.input, n);
    }
}

/* Keeps what OpenSSL has not read yet; false: no memory. */
static bool keep_rest(struct wst__stream *s)
{
    uint8_t *old = s->tls->rest;
    size_t n = s->tls->feed_len;

    s->tls->rest = NULL;
    s->tls->rest_len = 0;
    if (n > 0) {
        assert(s->tls->feed);
        s->tls->rest = wst__malloc(n);
        if (s->tls->rest) {
            memcpy(s->tls->rest, s->tls->feed, n);
            s->tls->rest_len = n;
        }
    }
    wst__free(old);
    s->tls->feed = NULL;
    s->tls->feed_len = 0;
    return s->tls->rest || n == 0;
}

/* What follows from an SSL call that did not succeed; |why->code| 0: nothing, it goes on later. */
static void judge(struct wst__stream *s, int rc, struct wst_cause *why)
{
    switch (SSL_get_error(s->tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_WANT_WRITE:
        s->read_blocked = true;
        break;
    case SSL_ERROR_ZERO_RETURN:
        (void)wst__cause(why, WST_ERR_EOF, WST_STEP_CONNECT, "%s ended the connection", s->host);
        break;
    default:
        /* If OpenSSL knows why, the peer has said it: with an alert. */
        if (s->write_errno != 0 && ERR_peek_error() == 0)
            (void)system_cause(s, why, s->write_errno);
        else
            (void)wst__tls_error_cause(why, WST_STEP_CONNECT, s->host, s->tls->ssl,
                                       s->phase == HANDSHAKE);
        break;
    }
    clear_errors(); /* The application may use OpenSSL on this thread, too. */
}

/* One SSL_read(), and the sending of what TLS itself has to say to it. */
static bool read_record(struct wst__stream *s, uint8_t *to, size_t room, size_t *n,
                        struct wst_cause *why)
{
    int rc = SSL_read_ex(s->tls->ssl, to, room, n);

    if (rc != 1)
        judge(s, rc, why);
    (void)flush(s); /* If it breaks, the next write or read says so. */
    return rc == 1;
}

/*
 * Reads all that |feed| brings.  Small records are collected in the shared buffer and handed over
 * together; the records of a large message go straight to its place.
 */
static void read_feed(struct wst__stream *s, struct wst_cause *why)
{
    uint8_t *plain = s->io->hub.plain;
    size_t have = 0;
    bool more = true;

    clear_errors();
    while (more && s->phase == READY && s->reading) {
        size_t n = 0;
        size_t room;
        uint8_t *place = have == 0 ? ask_place(s, &room) : NULL;

        if (place) {
            more = read_record(s, place, room, &n, why);
            if (n > 0)
                s->cbs->placed(s->arg, n);
            continue;
        }
        more = read_record(s, plain + have, WST__INPUT_BYTES - have, &n, why);
        have += n;
        if (have > 0 && (!more || WST__INPUT_BYTES - have < WST__RECORD)) {
            s->cbs->data(s->arg, plain, have);
            have = 0;
        }
    }
}

/* Tells the end, when the reader wants to see it. */
static void end_or_wait(struct wst__stream *s, const struct wst_cause *why)
{
    if (!s->reading)
        s->tls->late = wst__malloc(sizeof *s->tls->late);
    if (!s->tls->late)
        end(s, why);
    else
        *s->tls->late = *why;
}

/* Reads |n| sealed bytes, keeps what is left of them, and ends the stream if they said so. */
static void read_sealed(struct wst__stream *s, const uint8_t *bytes, size_t n)
{
    struct wst_cause why = {0};

    s->tls->feed = bytes;
    s->tls->feed_len = n;
    read_feed(s, &why);
    if (s->phase != READY)
        return; /* Closed by the reader. */
    if (why.code != 0) {
        s->tls->feed = NULL;
        s->tls->feed_len = 0;
        end_or_wait(s, &why);
        return;
    }
    if (!keep_rest(s)) {
        end_by_memory(s);
        return;
    }
    (void)SSL_free_buffers(s->tls->ssl); /* A connection at rest owns none. */
    if (s->write_wants_read) {
        s->write_wants_read = false;
        s->blocked = false;
        s->cbs->writable(s->arg);
    }
}

/* ---- The handshake ------------------------------------------------------------------------- */

static void become_ready(struct wst__stream *s)
{
    struct wst__stream_timing timing = s->opening->timing;

    timing.tls_us = s->tls ? now_us() - s->opening->tls_begun_us : 0;
    drop_opening(s);
    s->phase = READY;
    s->cbs->ready(s->arg, &timing);
}

/* Our last flight leaves with what |ready| writes, when it writes something at once. */
static void become_ready_tls(struct wst__stream *s)
{
    become_ready(s);
    if (s->phase == READY)
        (void)flush(s); /* If it breaks, the next write or read says so. */
    else
        wst__sealed_clear(&s->io->hub.out);
}

/* Goes on with |n| received bytes, which may hold the first ones of the application, too. */
static void shake_hands(struct wst__stream *s, const uint8_t *bytes, size_t n)
{
    struct wst_cause why = {0};
    int rc;

    clear_errors();
    s->tls->feed = bytes;
    s->tls->feed_len = n;
    rc = SSL_do_handshake(s->tls->ssl);
    if (rc == 1)
        (void)wst__tls_check(&s->tls->peer, s->tls->ssl, &why);
    else
        judge(s, rc, &why);
    if ((rc != 1 || why.code != 0) && !flush(s) && why.code == 0)
        (void)system_cause(s, &why, s->write_errno);
    if (why.code != 0) {
        end(s, &why);
    } else if (!keep_rest(s)) { /* |ready| may do anything: the input is our own meanwhile. */
        wst__sealed_clear(&s->io->hub.out);
        end_by_memory(s);
    } else if (rc == 1) {
        become_ready_tls(s);
    }
    if (s->phase == READY && has_rest(s))
        wst__turn_ask(&s->io->turns, &s->turn);
}

static void begin_handshake(struct wst__stream *s)
{
    BIO *bio = new_bio(s);

    s->phase = HANDSHAKE;
    s->io->hub.handshakes++;
    s->opening->tls_begun_us = now_us();
    s->tls->peer.trust = s->opening->net->trust;
    s->tls->ssl = wst__tls_new(&s->tls->peer);
    if (!bio || !s->tls->ssl) {
        BIO_free(bio);
        end_by_memory(s);
        return;
    }
    SSL_set_bio(s->tls->ssl, bio, bio);
    shake_hands(s, NULL, 0);
    look(s);
}

/* Begins a few of the handshakes that wait; the others after the loop has gone round once. */
static void on_hub_turn(void *arg)
{
    struct wst__hub *hub = arg;

    for (int i = 0; i < HANDSHAKES_A_TURN && hub->first; i++) {
        struct wst__stream *s = hub->first;

        hub->first = s->opening->next;
        if (!hub->first)
            hub->last = NULL;
        begin_handshake(s);
    }
    if (hub->first)
        wst__turn_ask_later(&hub->io->turns, &hub->turn);
}

static void queue_up(struct wst__stream *s)
{
    struct wst__hub *hub = &s->io->hub;

    s->phase = QUEUED;
    s->opening->next = NULL;
    if (hub->last)
        hub->last->opening->next = s;
    else
        hub->first = s;
    hub->last = s;
    wst__turn_ask(&s->io->turns, &hub->turn);
}

static void leave_queue(struct wst__stream *s)
{
    struct wst__hub *hub = &s->io->hub;
    struct wst__stream *before = NULL;

    for (struct wst__stream *t = hub->first; t && t != s; t = t->opening->next)
        before = t;
    if (before)
        before->opening->next = s->opening->next;
    else
        hub->first = s->opening->next;
    if (hub->last == s)
        hub->last = before;
}

/* ---- Events -------------------------------------------------------------------------------- */

static void end_our_side(struct wst__stream *s)
{
    s->shutting = false;
    (void)shutdown(s->fd, SHUT_WR);
}

/* There is room in the kernel again, or an error that the writer must get to see. */
static void on_writable(struct wst__stream *s)
{
    if (!flush_held(s) && s->write_errno == 0)
        return;
    if (s->write_errno != 0 && drain(s))
        return;
    if (s->shutting)
        end_our_side(s);
    if (s->read_blocked) {
        s->read_blocked = false;
        wst__turn_ask(&s->io->turns, &s->turn);
    }
    if (s->phase == READY && s->blocked && !s->write_wants_read) {
        s->blocked = false;
        s->cbs->writable(s->arg);
    }
}

static void use_input(struct wst__stream *s, const uint8_t *bytes, size_t n)
{
    if (s->phase == HANDSHAKE)
        shake_hands(s, bytes, n);
    else
        read_sealed(s, bytes, n);
}

static void on_readable(struct wst__stream *s)
{
    size_t n;

    if (!may_receive(s))
        return;
    if (!s->tls)
        read_plain(s);
    else if (receive(s, s->io->hub.input, WST__INPUT_BYTES, &n))
        use_input(s, s->io->hub.input, n);
}

/* Goes on with what a pause has left, and looks after a broken connection until it has ended. */
static void on_turn(void *arg)
{
    struct wst__stream *s = arg;

    if (s->read_blocked || (s->phase == READY && !s->reading))
        return;
    if (ends_late(s))
        end(s, s->tls->late);
    else if (has_rest(s) || has_pending(s))
        use_input(s, s->tls->rest, s->tls->rest_len);
    else if (s->broken)
        on_readable(s);
    if (alive(s) && (s->broken || has_rest(s)))
        wst__turn_ask_later(&s->io->turns, &s->turn);
    look(s);
}

/* |s| may be closed by any callback; its memory stays until libuv has let go of the handle. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct wst__stream *s = poll->data;

    if (s->phase == READY && !s->tls && status == 0 && events == UV_READABLE) {
        if (s->reading)
            read_plain(s); /* As most often; it changes nothing of what we look for. */
        return;
    }
    if (!alive(s)) {
        look_for(s, 0);
        return;
    }
    if (status < 0) {
        s->broken = true;
        s->polled = 0;
    }
    if (s->broken || (events & UV_WRITABLE))
        on_writable(s);
    if (alive(s) && (s->broken || (events & UV_READABLE)))
        on_readable(s);
    if (alive(s) && s->broken)
        wst__turn_ask_later(&s->io->turns, &s->turn);
    look(s);
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* The socket stands and trust is loaded. */
static void go_on(struct wst__stream *s)
{
    if (s->opening->dial || s->needs_trust)
        return;
    if (s->tls) {
        queue_up(s);
    } else {
        become_ready(s);
        look(s);
    }
}

static void on_dialed(void *arg, int fd, uv_poll_t *poll, const struct wst__stream_timing *timing,
                      const struct wst_cause *why)
{
    struct wst__stream *s = arg;

    s->opening->dial = NULL;
    if (!poll) {
        end(s, why);
        return;
    }
    s->fd = fd;
    s->poll = poll;
    s->poll->data = s;
    s->opening->timing = *timing;
    go_on(s);
}

static void on_trust(void *arg, const struct wst_cause *why)
{
    struct wst__stream *s = arg;
    struct wst_cause own = *why;

    s->needs_trust = false;
    own.step = WST_STEP_CONNECT;
    if (own.code != 0)
        end(s, &own);
    else
        go_on(s);
}

static void free_parts(struct wst__stream *s)
{
    struct secure *tls = s->tls;

    if (tls) {
        wst__tls_free(tls->ssl);
        wst__free(tls->held);
        wst__free(tls->rest);
        wst__free(tls->late);
    }
    wst__free(tls);
    s->tls = NULL;
    drop_opening(s);
}

static bool make_secure(struct wst__stream *s, uint16_t port)
{
    s->tls = wst__calloc(1, sizeof *s->tls);
    if (s->tls) {
        s->tls->peer.host = s->host;
        s->tls->peer.port = port;
    }
    return s->tls != NULL;
}

int wst__stream_open(struct wst__net *net, const struct wst__stream_request *rq,
                     const struct wst__stream_cbs *cbs, void *arg, struct wst__stream **out)
{
    size_t host_size = strlen(rq->host) + 1;
    struct wst__stream *s = wst__calloc(1, sizeof *s + host_size);
    int rc = WST_ERR_NOMEM;

    if (!s)
        return rc;
    s->io = net->io;
    s->cbs = cbs;
    s->arg = arg;
    s->reading = true;
    s->fd = -1;
    s->turn.cb = on_turn;
    s->turn.arg = s;
    memcpy(s->host, rq->host, host_size);
    s->opening = wst__calloc(1, sizeof *s->opening);
    if (s->opening && (!rq->tls || make_secure(s, rq->port))) {
        s->opening->net = net;
        s->opening->wait = (struct wst__trust_wait){.cb = on_trust, .arg = s};
        rc = wst__dial_start(net, rq->host, rq->port, rq->tls, on_dialed, s, &s->opening->dial);
    }
    if (rc != 0) {
        free_parts(s);
        wst__free(s);
        return rc;
    }
    s->needs_trust = rq->tls && !wst__trust_want(net->trust, &s->opening->wait);
    wst__io_hold(s->io);
    *out = s;
    return 0;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static size_t size_of(const struct iovec *iov, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += iov[i].iov_len;
    return n;
}

/* Writing has failed with |s->write_errno|: the writer is told now, or waits for the end. */
static int write_broke(struct wst__stream *s, struct wst_cause *why)
{
    if (!drain(s))
        return system_cause(s, why, s->write_errno);
    s->blocked = true;
    return 0;
}

/* What follows when not all was taken, but |n| bytes or an error. */
static int not_all(struct wst__stream *s, ssize_t n, struct wst_cause *why)
{
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
        s->write_errno = errno;
        return write_broke(s, why);
    }
    s->blocked = true;
    return 0;
}

static int write_pieces(struct wst__stream *s, const struct iovec *iov, size_t count, size_t *wrote,
                        struct wst_cause *why)
{
    while (count > 0) {
        size_t some = count < IOVS_MAX ? count : IOVS_MAX;
        struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = some};
        ssize_t n;

        do {
            n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        *wrote += n > 0 ? (size_t)n : 0;
        if (n < 0 || (size_t)n < size_of(iov, some))
            return not_all(s, n, why);
        iov += some;
        count -= some;
    }
    return 0;
}

/* The next bytes for one record, from |skip| on: where they are, or gathered. */
static const uint8_t *next_record(struct wst__hub *hub, const struct iovec *iov, size_t count,
                                  size_t skip, size_t *n)
{
    size_t i = 0;

    *n = 0;
    while (i < count && skip >= iov[i].iov_len)
        skip -= iov[i++].iov_len;
    if (i == count)
        return NULL;
    if (iov[i].iov_len - skip >= WST__RECORD || i == count - 1) {
        *n = iov[i].iov_len - skip < WST__RECORD ? iov[i].iov_len - skip : WST__RECORD;
        return (const uint8_t *)iov[i].iov_base + skip;
    }
    for (; i < count && *n < WST__RECORD; i++) {
        size_t some = iov[i].iov_len - skip;

        if (some > WST__RECORD - *n)
            some = WST__RECORD - *n;
        if (some > 0)
            memcpy(hub->gather + *n, (const uint8_t *)iov[i].iov_base + skip, some);
        *n += some;
        skip = 0;
    }
    return hub->gather;
}

static int write_failed(struct wst__stream *s, int rc, struct wst_cause *why)
{
    struct wst_cause own = {0};
    int error = SSL_get_error(s->tls->ssl, rc);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        s->write_wants_read = error == SSL_ERROR_WANT_READ;
        s->blocked = true;
        return 0;
    }
    judge(s, rc, &own);
    *why = own;
    return own.code;
}

/* Seals up to a batch of what follows the |sealed| bytes. */
static int seal(struct wst__stream *s, const struct iovec *iov, size_t count, struct wst_cause *why)
{
    struct wst__hub *hub = &s->io->hub;
    size_t batch = 0;

    while (batch < BATCH) {
        size_t n;
        size_t did = 0;
        const uint8_t *bytes = next_record(hub, iov, count, s->tls->sealed, &n);
        int rc;

        if (n == 0)
            break;
        rc = SSL_write_ex(s->tls->ssl, bytes, n, &did);
        if (bytes == hub->gather)
            wst__wipe(hub->gather, n); /* It may have been a request with a ticket. */
        if (rc != 1)
            return write_failed(s, rc, why);
        wst__sealed_carries(&hub->out, did);
        s->tls->sealed += did;
        batch += did;
    }
    return 0;
}

static int write_tls(struct wst__stream *s, const struct iovec *iov, size_t count, size_t *wrote,
                     struct wst_cause *why)
{
    size_t total = size_of(iov, count);
    int rc = 0;

    clear_errors();
    (void)flush_held(s);
    while (!s->tls->held && s->write_errno == 0 && !s->blocked && s->tls->sealed < total &&
           rc == 0) {
        rc = seal(s, iov, count, why);
        (void)flush(s);
    }
    if (rc == 0 && s->write_errno != 0)
        rc = write_broke(s, why);
    if (rc != 0)
        return rc;
    *wrote = s->tls->credit;
    s->tls->sealed -= s->tls->credit;
    s->tls->credit = 0;
    if (*wrote < total)
        s->blocked = true;
    if (!s->tls->held && !s->tls->feed) /* What is being read frees them at its end. */
        (void)SSL_free_buffers(s->tls->ssl);
    return 0;
}

static WST__NOINLINE int write_any(struct wst__stream *s, const struct iovec *iov, size_t count,
                                   size_t *wrote, struct wst_cause *why)
{
    int rc;

    *wrote = 0;
    if (s->phase != READY)
        return wst__cause(why, WST_ERR_EOF, WST_STEP_CONNECT, "the connection has ended");
    if (s->write_errno != 0)
        return write_broke(s, why);
    s->blocked = s->write_wants_read; /* Until something was read it would wait again. */
    rc = s->tls ? write_tls(s, iov, count, wrote, why) : write_pieces(s, iov, count, wrote, why);
    if (s->blocked || s->polled != UV_READABLE)
        look(s);
    return rc;
}

/* What follows a send() of one piece that did not take all of it. */
static WST__NOINLINE int end_piece(struct wst__stream *s, const struct iovec *iov, ssize_t n,
                                   size_t *wrote, struct wst_cause *why)
{
    int rc;

    if (n < 0 && errno == EINTR)
        return write_any(s, iov, 1, wrote, why);
    *wrote = n > 0 ? (size_t)n : 0;
    rc = not_all(s, n, why);
    look(s);
    return rc;
}

int wst__stream_write(struct wst__stream *s, const struct iovec *iov, size_t count, size_t *wrote,
                      struct wst_cause *why)
{
    ssize_t n;

    /* Plain and in one piece, as most often: send() costs less than sendmsg(). */
    if (s->phase != READY || s->tls || count != 1 || s->write_errno || s->blocked)
        return write_any(s, iov, count, wrote, why);
    n = send(s->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    if (n < 0 || (size_t)n < iov->iov_len)
        return end_piece(s, iov, n, wrote, why);
    *wrote = (size_t)n;
    return 0;
}

size_t wst__stream_sealed(const struct wst__stream *s)
{
    return s->tls ? s->tls->sealed : 0;
}

/* ---- Reading on and off, shutdown, close --------------------------------------------------- */

void wst__stream_read(struct wst__stream *s, bool on)
{
    s->reading = on;
    if (s->phase != READY)
        return;
    if (on && (has_rest(s) || ends_late(s) || s->broken || has_pending(s)))
        wst__turn_ask(&s->io->turns, &s->turn);
    look(s);
}

void wst__stream_shutdown(struct wst__stream *s)
{
    if (s->phase != READY || s->shutting)
        return;
    if (s->tls) {
        clear_errors();
        (void)SSL_shutdown(s->tls->ssl);
        clear_errors();
        (void)flush(s);
    }
    if (holds(s))
        s->shutting = true;
    else
        end_our_side(s);
    look(s);
}

static void finish(struct wst__stream *s)
{
    struct wst__io *io = s->io;
    void (*closed)(void *arg) = s->closed;
    void *arg = s->arg;

    wst__free(s);
    if (closed)
        closed(arg);
    wst__io_release(io);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct wst__stream *s = handle->data;

    wst__free(handle);
    finish(s);
}

static void on_closing_turn(void *arg)
{
    finish(arg);
}

void wst__stream_close(struct wst__stream *s, void (*closed)(void *arg), void *arg)
{
    assert(s->phase != CLOSED);
    if (s->phase == QUEUED)
        leave_queue(s);
    s->phase = CLOSED;
    s->closed = closed;
    s->arg = arg;
    wst__turn_drop(&s->turn);
    free_parts(s);
    if (!s->poll) {
        s->turn.cb = on_closing_turn;
        wst__turn_ask(&s->io->turns, &s->turn);
        return;
    }
    uv_close((uv_handle_t *)s->poll, on_handle_closed);
    (void)close(s->fd);
}

bool wst__stream_resumed(const struct wst__stream *s)
{
    return s->tls && s->tls->ssl && SSL_session_reused(s->tls->ssl) == 1;
}

/* ---- The hub ------------------------------------------------------------------------------- */

int wst__hub_init(struct wst__hub *hub, struct wst__io *io)
{
    memset(hub, 0, sizeof *hub);
    hub->memory = wst__malloc(2 * (size_t)WST__INPUT_BYTES + WST__RECORD + WST__SEALED_BYTES);
    if (!hub->memory)
        return WST_ERR_NOMEM;
    hub->io = io;
    hub->input = hub->memory;
    hub->plain = hub->input + WST__INPUT_BYTES;
    hub->gather = hub->plain + WST__INPUT_BYTES;
    hub->out.bytes = hub->gather + WST__RECORD;
    hub->turn.cb = on_hub_turn;
    hub->turn.arg = hub;
    return 0;
}

void wst__hub_fini(struct wst__hub *hub)
{
    if (hub->memory)
        wst__wipe(hub->memory, 2 * (size_t)WST__INPUT_BYTES + WST__RECORD + WST__SEALED_BYTES);
    wst__free(hub->memory);
    hub->memory = NULL;
    BIO_meth_free(hub->bio_method);
    hub->bio_method = NULL;
}
