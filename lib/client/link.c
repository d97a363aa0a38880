/*
 * One connection, from dial to its last byte.
 *
 * The happy path: the stream is opened; |ready| tells that it stands; the owner writes the upgrade;
 * the response is checked; |opened| tells; what came behind the 101 is fed to the message layer;
 * messages come out.  A close handshake from either side ends in |closing| or wst__link_close(),
 * then we wait for the server to end TCP first (RFC 6455, 7.1.1), and |closed| tells.
 *
 * Each way to fail goes through finish(): before it is open it is |failed|, afterwards |closed|,
 * once, and then nothing more is told.  The owner drops the link in its own time.
 *
 * The owner is never called from inside a call of its own: what a call finds broken is told by the
 * next flush.  The message layer is never freed from inside its callbacks: they only take notes.
 */
#include "client/link.h"

#include "base/hint.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define HELD_MAX     ((size_t)1 << 20) /* One input buffer is 64 KiB; this is never reached. */
#define REQUEST_MAX  ((size_t)64 * 1024)
#define IOV_MAX_USED 16
/* In one flush: a callback that sends whenever the queue has drained must not hold up the loop. */
#define FLUSH_MAX ((size_t)256 * 1024)
/* Pings under way whose answers are looked for. */
#define PINGS 4

enum phase {
    DIALING,
    READY,
    UPGRADING,
    OPEN,
    ENDING, /* A close handshake, or the end after a broken protocol. */
    OVER    /* |failed| or |closed| has been told. */
};

/* What is kept of a cause when there is no memory for its words. */
struct numbers {
    int16_t code;
    uint16_t close_code;
    uint16_t sys_errno;
};

/* Only a link that ends has words: one at rest does without their memory. */
struct texts {
    struct wst_cause cause;
    char reason[124]; /* The peer's. */
};

/* What it needs until it is open, and not then. */
struct upgrading {
    struct wst__upgrade answer;
    const struct wst_config *config;
    struct wst__ws_tally *tally;
};

struct wst__link {
    const struct wst__ports *ports;
    const struct wst__link_cbs *cbs;
    void *arg;
    struct wst__stream *stream;
    struct wst__buf *request; /* The upgrade, as far as it has not left, else NULL. */
    struct upgrading *up;     /* While the response is awaited, else NULL. */
    struct wst__ws *ws;
    struct wst__buf *held; /* Received, not yet fed, as a callback had paused us; else NULL. */
    uint64_t last_rx_ms;
    /* When the newest pings left, by number; 0: no answer is awaited.  On a long way one leaves
     * before the one before it is answered, and each answer counts. */
    uint64_t ping_left_us[PINGS];
    struct texts *texts;    /* What ends or has broken the link, in words. */
    struct numbers numbers; /* The same in numbers. */
    uint16_t end_code;      /* Received close code; 1006: the peer broke the protocol; 0: none. */
    uint32_t ping_seq;
    enum phase phase : 8;
    bool paused;
    bool skipping; /* A chunk was dropped: so is the rest of its message. */
    bool reading;
    bool we_close;      /* wst__link_close() was called. */
    bool deaf;          /* The protocol is broken: what comes is ignored. */
    bool blocked;       /* The kernel took less than there was: |writable| follows. */
    bool shut;          /* Our side of the stream has been ended. */
    bool peer_close;    /* The peer's close frame came: not yet told. */
    bool broken;        /* A write failed: not yet told. */
    uint8_t pings_wait; /* How many of the newest pings wait for their turn to leave. */
};

static uint64_t clock_us(const struct wst__link *link)
{
    struct wst__time t;

    link->ports->clock(link->ports->world, &t);
    return t.now_us;
}

/* Is an answer to a ping awaited? */
static bool awaits_pong(const struct wst__link *link)
{
    return link->pings_wait || link->ping_left_us[link->ping_seq % PINGS] != 0;
}

/* Bytes have come: the loop has polled just now.  Its clock may be a millisecond behind, which
 * must not make of an answer to a ping something that came before it. */
static void note_rx(struct wst__link *link)
{
    if (awaits_pong(link))
        link->last_rx_ms = clock_us(link) / 1000;
    else
        link->last_rx_ms = link->ports->polled_ms(link->ports->world);
}

/* Does a pause hold back what comes?  Not where the close handshake is all that can still come. */
static bool holds_back(const struct wst__link *link)
{
    return link->paused && !link->we_close && link->phase <= OPEN;
}

static void set_reading(struct wst__link *link, bool on)
{
    if (link->reading == on)
        return;
    link->reading = on;
    link->ports->stream_read(link->ports->world, link->stream, on);
}

/* ---- The end ------------------------------------------------------------------------------- */

static struct texts *texts_of(struct wst__link *link)
{
    if (!link->texts)
        link->texts = wst__calloc(1, sizeof *link->texts);
    return link->texts;
}

/* Without memory for the words the numbers still tell. */
static void keep_cause(struct wst__link *link, const struct wst_cause *why)
{
    struct texts *texts = texts_of(link);

    link->numbers =
        (struct numbers){(int16_t)why->code, (uint16_t)why->close_code, (uint16_t)why->sys_errno};
    if (texts)
        texts->cause = *why;
}

static void kept_cause(const struct wst__link *link, struct wst_cause *why)
{
    const struct numbers *n = &link->numbers;

    memset(why, 0, sizeof *why);
    if (n->code == 0)
        return;
    if (link->texts)
        *why = link->texts->cause;
    else
        wst__cause(why, n->code, WST_STEP_CONNECT, "%s", wst_strerror(n->code));
    why->close_code = n->close_code;
    why->sys_errno = n->sys_errno;
}

/* Both close frames were exchanged (RFC 6455, 7.1.4). */
static bool both_closed(const struct wst__link *link)
{
    return !link->deaf && link->ws && wst__ws_close_sent(link->ws) &&
           wst__ws_close_received(link->ws);
}

/* A write failed, or there is no memory: the next flush tells. */
static WST__NOINLINE void note_broken(struct wst__link *link, const struct wst_cause *why)
{
    link->broken = true;
    if (link->numbers.code == 0 && !link->we_close)
        keep_cause(link, why);
    link->cbs->wants_flush(link->arg);
}

static void make_end(const struct wst__link *link, struct wst__link_end *end)
{
    memset(end, 0, sizeof *end);
    kept_cause(link, &end->cause);
    end->code = link->end_code;
    end->was_clean = both_closed(link);
    if (link->texts)
        memcpy(end->reason, link->texts->reason, sizeof end->reason);
}

/* The one door out: tells once, |failed| or |closed|. */
static void finish(struct wst__link *link, const struct wst_cause *why)
{
    enum phase was = link->phase;
    struct wst__link_end end;

    if (was == OVER)
        return;
    link->phase = OVER;
    if (was < OPEN) {
        link->cbs->failed(link->arg, why, link->up ? &link->up->answer : NULL);
        return;
    }
    if (was == OPEN || link->end_code == 0) {
        link->end_code = 1006; /* No close frame was received (RFC 6455, 7.1.5). */
        if (link->numbers.code == 0 && !link->we_close)
            keep_cause(link, why);
    }
    make_end(link, &end);
    link->cbs->closed(link->arg, &end);
}

/* The other side has begun to close, or broke the protocol: the owner's clock runs from here. */
static void begin_ending(struct wst__link *link)
{
    struct wst__link_end end;

    if (link->phase != OPEN)
        return;
    link->phase = ENDING;
    make_end(link, &end);
    link->cbs->closing(link->arg, &end);
}

/* ---- Messages ------------------------------------------------------------------------------ */

static bool on_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    struct wst__link *link = arg;

    if (link->paused)
        return true; /* Only while we close: the application does not want it any more. */
    return link->cbs->message(link->arg, type, data, n) && !link->paused;
}

/* What is dropped, while we close and are paused, is not the middle of a message alone. */
static bool on_chunk(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                     unsigned flags)
{
    struct wst__link *link = arg;

    link->skipping = link->paused || (link->skipping && !(flags & WST_CHUNK_FIRST));
    if (link->skipping)
        return true;
    return link->cbs->chunk(link->arg, type, data, n, flags) && !link->paused;
}

/* When the ping left that this is the answer to; 0: unsolicited (RFC 6455, 5.5.3), or too old. */
static uint64_t answered(struct wst__link *link, const uint8_t *payload, size_t n)
{
    uint64_t seq;
    uint64_t left_us;

    if (n != sizeof seq)
        return 0;
    memcpy(&seq, payload, sizeof seq);
    if (seq > link->ping_seq || link->ping_seq - seq >= PINGS)
        return 0;
    left_us = link->ping_left_us[seq % PINGS];
    link->ping_left_us[seq % PINGS] = 0;
    return left_us;
}

static bool on_pong(void *arg, const uint8_t *payload, size_t n)
{
    struct wst__link *link = arg;
    uint64_t left_us = answered(link, payload, n);
    uint64_t now_us;

    if (left_us == 0)
        return true;
    now_us = clock_us(link);
    link->cbs->pong(link->arg, now_us > left_us ? now_us - left_us : 1);
    return !link->paused || link->we_close; /* What follows may be the answer to our close. */
}

static bool on_closed(void *arg, int code, const char *reason, size_t n)
{
    struct wst__link *link = arg;
    struct texts *texts = texts_of(link);
    struct wst_cause why;

    link->peer_close = true;
    link->end_code = (uint16_t)code;
    if (texts)
        (void)snprintf(texts->reason, sizeof texts->reason, "%.*s", (int)n, reason);
    if (!link->we_close) {
        wst__cause(&why, WST_ERR_WS_CLOSED, WST_STEP_CONNECT,
                   "the server closed the WebSocket with code %d%s%.*s", code, n ? ": " : "",
                   (int)n, reason);
        why.close_code = code;
        keep_cause(link, &why);
    }
    return true;
}

static void on_drained(void *arg)
{
    struct wst__link *link = arg;

    link->cbs->drained(link->arg);
}

/* NULL: out of memory.  What it holds is a secret. */
static struct wst__buf *new_buf(size_t max)
{
    struct wst__buf *buf = wst__malloc(sizeof *buf);

    if (buf)
        wst__buf_init(buf, max, true);
    return buf;
}

static void free_buf(struct wst__buf **buf)
{
    if (*buf)
        wst__buf_fini(*buf);
    wst__free(*buf);
    *buf = NULL;
}

static void hold(struct wst__link *link, const uint8_t *bytes, size_t n)
{
    struct wst_cause why;

    if (link->phase == OVER)
        return;
    if (!link->held)
        link->held = new_buf(HELD_MAX);
    if (link->held && wst__buf_add(link->held, bytes, n) == 0)
        return;
    wst__cause(&why, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory for %zu received bytes", n);
    note_broken(link, &why);
}

/* What the message layer noted while it was fed. */
static void after_feed(struct wst__link *link, int rc, const struct wst_cause *why)
{
    if (rc != 0) {
        link->deaf = true;
        link->end_code = 1006;
        keep_cause(link, why);
        begin_ending(link);
        link->cbs->wants_flush(link->arg); /* It ends our side, also if nothing is left to send. */
    } else if (link->peer_close) {
        link->peer_close = false;
        begin_ending(link);
    }
}

/* The last thing that is done with what came: answers to it need not wait for the turn. */
static void end_receive(struct wst__link *link)
{
    if (link->phase == OVER || wst__ws_buffered(link->ws) == 0)
        return;
    if (link->held || !link->reading)
        link->cbs->wants_flush(link->arg); /* That goes on in the turn, too. */
    else
        link->cbs->received(link->arg);
}

/*
 * Keeps what the message layer has not used: the application has paused, or inflating it would cost
 * too much for one turn of the loop; then we go on in the next one, and receive nothing meanwhile.
 */
static void keep_rest(struct wst__link *link, const uint8_t *bytes, size_t n)
{
    hold(link, bytes, n);
    if (link->phase != OVER && wst__ws_yielded(link->ws)) {
        set_reading(link, false);
        link->cbs->wants_flush(link->arg);
    }
}

/* Feeds the message layer; returns how many bytes were used. */
static inline size_t feed(struct wst__link *link, const uint8_t *bytes, size_t n)
{
    struct wst_cause why;
    size_t used = 0;
    int rc;

    if (link->phase == OVER)
        return n;
    if (holds_back(link))
        return 0;
    rc = wst__ws_feed(link->ws, bytes, n, &used, &why);
    after_feed(link, rc, &why);
    return rc != 0 ? n : used;
}

/* ---- The upgrade --------------------------------------------------------------------------- */

static int random_bytes(void *arg, void *p, size_t n)
{
    const struct wst__ports *ports = arg;

    return ports->random(ports->world, p, n);
}

static int begin_messages(struct wst__link *link, struct wst_cause *why)
{
    static const struct wst__ws_cbs whole = {
        .message = on_message, .pong = on_pong, .closed = on_closed, .drained = on_drained};
    static const struct wst__ws_cbs chunked = {
        .chunk = on_chunk, .pong = on_pong, .closed = on_closed, .drained = on_drained};
    const struct wst_config *c = link->up->config;
    struct wst__ws_config config = {
        .pool = link->ports->ws_pool,
        .tally = link->up->tally,
        .max_message_bytes = c->max_message_bytes,
        .max_queue_bytes = c->max_queue_bytes,
        .queue_low_water = c->queue_low_water,
        .random = random_bytes,
        .random_arg = (void *)(uintptr_t)link->ports,
        .extensions = link->up->answer.extensions,
        .offered_extensions = c->compress ? c->compress_offer : NULL,
        .compress_min_bytes = c->compress_min_bytes,
    };
    int rc = wst__ws_new(&link->ws, &config, c->on_chunk ? &chunked : &whole, link, why);

    if (rc == WST_ERR_NOMEM)
        wst__cause(why, rc, WST_STEP_CONNECT, "out of memory for the WebSocket");
    return rc;
}

static void drop_upgrade(struct wst__link *link)
{
    if (link->up)
        wst__upgrade_fini(&link->up->answer);
    wst__free(link->up);
    link->up = NULL;
}

/* Feeds the response; returns how many bytes belong to it. */
static size_t feed_upgrade(struct wst__link *link, const uint8_t *bytes, size_t n)
{
    char subprotocol[sizeof link->up->answer.subprotocol];
    struct wst_cause why = {0};
    size_t used = 0;
    int rc = wst__upgrade_feed(&link->up->answer, bytes, n, &used, &why);

    if (rc == 0)
        return n;
    if (rc > 0 && begin_messages(link, &why) == 0) {
        (void)snprintf(subprotocol, sizeof subprotocol, "%s", link->up->answer.subprotocol);
        drop_upgrade(link);
        link->phase = OPEN;
        link->cbs->opened(link->arg, subprotocol);
        if (link->paused && link->phase == OPEN)
            set_reading(link, false);
        return used;
    }
    finish(link, &why);
    return n;
}

/* ---- Stream callbacks ---------------------------------------------------------------------- */

static void on_ready(void *arg, const struct wst__stream_timing *timing)
{
    struct wst__link *link = arg;

    link->phase = READY;
    link->cbs->ready(link->arg, timing);
}

/* Before it is open only the answer to the upgrade may come; returns how many bytes are of it. */
static size_t take_answer(struct wst__link *link, uint8_t *bytes, size_t n)
{
    struct wst_cause why;
    size_t used;

    if (link->phase == UPGRADING) {
        used = feed_upgrade(link, bytes, n);
        wst__wipe(bytes, used); /* A server may repeat the ticket in its answer. */
        return used;
    }
    wst__cause(&why, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
               "the server spoke before it was asked: is this a WebSocket server?");
    finish(link, &why);
    return n;
}

static void on_data(void *arg, uint8_t *bytes, size_t n)
{
    struct wst__link *link = arg;
    size_t used;

    note_rx(link);
    if (link->phase < OPEN) {
        used = take_answer(link, bytes, n);
        bytes += used;
        n -= used;
        if (n == 0)
            return;
    }
    if (link->held) { /* In order. */
        hold(link, bytes, n);
        return;
    }
    used = feed(link, bytes, n);
    if (used < n)
        keep_rest(link, bytes + used, n - used);
    end_receive(link);
}

static uint8_t *on_place(void *arg, size_t *room)
{
    struct wst__link *link = arg;

    if (!link->ws || link->phase == OVER || link->held || holds_back(link))
        return NULL;
    return wst__ws_place(link->ws, room);
}

static void on_placed(void *arg, size_t n)
{
    struct wst__link *link = arg;
    struct wst_cause why;

    note_rx(link);
    after_feed(link, wst__ws_placed(link->ws, n, &why), &why);
    end_receive(link);
}

static void on_writable(void *arg)
{
    struct wst__link *link = arg;

    link->blocked = false;
    link->cbs->wants_flush(link->arg);
}

/* What the server had said of the upgrade tells more than how the connection ended. */
static void on_ended(void *arg, const struct wst_cause *why)
{
    struct wst__link *link = arg;
    struct wst_cause said = {0};

    if (link->phase == UPGRADING) {
        (void)wst__upgrade_eof(&link->up->answer, &said);
        if (said.http_status != 0 || why->code == WST_ERR_EOF)
            why = &said;
    }
    finish(link, why);
}

/* ---- Life ---------------------------------------------------------------------------------- */

int wst__link_new(struct wst__link **out, const struct wst__link_request *rq,
                  const struct wst__link_cbs *cbs, void *arg)
{
    static const struct wst__stream_cbs stream_cbs = {
        .ready = on_ready,
        .data = on_data,
        .place = on_place,
        .placed = on_placed,
        .writable = on_writable,
        .ended = on_ended,
    };
    struct wst__link *link = wst__calloc(1, sizeof *link);
    int rc;

    if (!link)
        return WST_ERR_NOMEM;
    link->ports = rq->ports;
    link->cbs = cbs;
    link->arg = arg;
    link->reading = true;
    rc = link->ports->stream_open(link->ports->world, rq->net, &rq->stream, &stream_cbs, link,
                                  &link->stream);
    if (rc != 0) {
        wst__free(link);
        return rc;
    }
    *out = link;
    return 0;
}

/* Writes |count| pieces; false when nothing more can be written now. */
static inline bool write_out(struct wst__link *link, const struct iovec *iov, size_t count,
                             size_t total, size_t *wrote)
{
    const struct wst__ports *ports = link->ports;
    struct wst_cause why;

    if (ports->stream_write(ports->world, link->stream, iov, count, wrote, &why) != 0) {
        *wrote = 0;
        note_broken(link, &why);
        return false;
    }
    if (*wrote == total)
        return true;
    link->blocked = true;
    return false;
}

static WST__NOINLINE bool flush_request(struct wst__link *link)
{
    struct iovec iov = {link->request->data, link->request->len};
    size_t wrote;

    if (write_out(link, &iov, 1, link->request->len, &wrote)) {
        free_buf(&link->request); /* The ticket is gone with it. */
        return true;
    }
    wst__buf_drop(link->request, wrote);
    return false;
}

/* After a broken protocol we end our side, too; otherwise the server ends TCP first. */
static void shut_down(struct wst__link *link)
{
    const struct wst__ports *ports = link->ports;

    if (link->broken || link->shut || wst__ws_buffered(link->ws) > 0)
        return;
    link->shut = true;
    ports->stream_shutdown(ports->world, link->stream);
}

/* May end the link: the last thing that a flush does. */
static void note_ping_left(struct wst__link *link, uint64_t now_us)
{
    if (!wst__ws_ping_left(link->ws))
        return;
    for (uint64_t seq = link->ping_seq; link->pings_wait; link->pings_wait--, seq--)
        link->ping_left_us[seq % PINGS] = now_us;
    link->cbs->ping_left(link->arg);
}

static inline void flush_messages(struct wst__link *link)
{
    const struct wst__ports *ports = link->ports;
    struct iovec iov[IOV_MAX_USED];
    size_t left = FLUSH_MAX;
    bool pings = link->pings_wait > 0;
    /* Before the write: on loopback the pong may be there after it. */
    uint64_t now_us = pings ? clock_us(link) : 0;

    for (size_t queued = 1; queued > 0;) {
        size_t count = wst__ws_output(link->ws, iov, IOV_MAX_USED);
        size_t total = 0;
        size_t wrote;

        if (count == 0)
            break;
        for (size_t i = 0; i < count; i++)
            total += iov[i].iov_len;
        if (!write_out(link, iov, count, total, &wrote)) {
            (void)wst__ws_sent_and_sealed(link->ws, wrote,
                                          ports->stream_sealed(ports->world, link->stream));
            break;
        }
        queued = wst__ws_sent(link->ws, wrote);
        /* Output that is not asked for: only a kernel that takes no more lets pongs fall. */
        if (wrote >= left) {
            link->cbs->wants_flush(link->arg);
            break;
        }
        left -= wrote;
    }
    if (link->deaf)
        shut_down(link);
    if (pings)
        note_ping_left(link, now_us);
}

/* Hands out what was held back, once receiving goes on. */
static WST__NOINLINE void flush_held(struct wst__link *link)
{
    struct wst__buf *held = link->held;
    size_t used;

    if (holds_back(link) || link->phase == OVER)
        return;
    if (held) {
        link->held = NULL;
        used = feed(link, held->data, held->len);
        if (used < held->len)
            keep_rest(link, held->data + used, held->len - used);
        free_buf(&held);
    }
    if (link->phase == OVER) /* The owner has dropped us meanwhile. */
        return;
    if (!link->held && !holds_back(link))
        set_reading(link, true);
}

static WST__NOINLINE void finish_broken(struct wst__link *link)
{
    struct wst_cause why;

    kept_cause(link, &why);
    finish(link, &why);
}

void wst__link_flush(struct wst__link *link)
{
    if (link->phase == OVER)
        return;
    if ((link->held || !link->reading) && !link->broken && link->ws)
        flush_held(link);
    if (!link->broken && !link->blocked && (!link->request || flush_request(link)) && link->ws)
        flush_messages(link);
    if (link->broken)
        finish_broken(link);
}

/* Gets ready for the response. */
static int begin_upgrade(struct wst__link *link, const struct wst__upgrade_request *rq,
                         const struct wst_config *config, struct wst__ws_tally *tally)
{
    struct upgrading *up = wst__calloc(1, sizeof *up);
    int rc = WST_ERR_NOMEM;

    if (up) {
        up->config = config;
        up->tally = tally;
        rc = wst__upgrade_init(&up->answer, rq, config->max_header_bytes, config->max_body_bytes);
    }
    if (rc == 0)
        link->up = up;
    else
        wst__free(up);
    return rc;
}

int wst__link_upgrade(struct wst__link *link, const struct wst__upgrade_request *rq,
                      const struct wst_config *config, struct wst__ws_tally *tally)
{
    int rc = WST_ERR_NOMEM;

    link->request = new_buf(REQUEST_MAX);
    if (link->request)
        rc = wst__upgrade_write(link->request, rq);
    if (rc == 0)
        rc = begin_upgrade(link, rq, config, tally);
    if (rc != 0) {
        free_buf(&link->request);
        return rc;
    }
    link->phase = UPGRADING;
    (void)flush_request(link);
    return 0;
}

void wst__link_time_is_up(struct wst__link *link)
{
    struct wst_cause why = {0};

    if (link->phase != UPGRADING || !wst__upgrade_is_refusal(&link->up->answer))
        return;
    (void)wst__upgrade_eof(&link->up->answer, &why);
    finish(link, &why);
}

int wst__link_send(struct wst__link *link, enum wst_message_type type, const void *data, size_t n,
                   void *ref)
{
    return wst__ws_send(link->ws, type, data, n, ref);
}

int wst__link_send_chunk(struct wst__link *link, enum wst_message_type type, const void *data,
                         size_t n, unsigned flags, void *ref)
{
    return wst__ws_send_chunk(link->ws, type, data, n, flags, ref);
}

int wst__link_ping(struct wst__link *link)
{
    uint64_t seq = (uint64_t)link->ping_seq + 1;
    int rc = wst__ws_ping(link->ws, &seq, sizeof seq);

    if (rc != 0)
        return rc;
    link->ping_seq = (uint32_t)seq;
    link->ping_left_us[seq % PINGS] = 0;
    if (link->pings_wait < PINGS)
        link->pings_wait++;
    return 0;
}

void wst__link_close(struct wst__link *link, int code, const char *reason)
{
    if (link->phase != OPEN)
        return;
    link->we_close = true;
    link->phase = ENDING;
    (void)wst__ws_close(link->ws, code, reason, strlen(reason));
    link->cbs->wants_flush(link->arg); /* Also turns reading on, for the peer's close frame. */
}

void wst__link_pause(struct wst__link *link, bool paused)
{
    if (link->paused == paused)
        return;
    link->paused = paused;
    /* The liveness clock has stood: what came meanwhile has not been read yet.  But it answers no
     * ping that leaves from now on. */
    if (!paused) {
        uint64_t now_ms = clock_us(link) / 1000;

        link->last_rx_ms = now_ms > 0 ? now_ms - 1 : 0;
    }
    if (holds_back(link) && link->ws)
        set_reading(link, false);
    else
        link->cbs->wants_flush(link->arg);
}

bool wst__link_compresses(const struct wst__link *link)
{
    return link->ws && wst__ws_compresses(link->ws);
}

size_t wst__link_buffered(const struct wst__link *link)
{
    return link->ws ? wst__ws_buffered(link->ws) : 0;
}

uint64_t wst__link_last_rx_ms(const struct wst__link *link)
{
    return link->last_rx_ms;
}

bool wst__link_ending(const struct wst__link *link, struct wst__link_end *end)
{
    if (link->phase != ENDING)
        return false;
    make_end(link, end);
    return true;
}

static void on_gone(void *arg)
{
    struct wst__link *link = arg;
    void (*gone)(void *) = link->cbs->gone;
    void *owner = link->arg;

    wst__free(link);
    gone(owner);
}

void wst__link_drop(struct wst__link *link)
{
    link->phase = OVER;
    if (link->ws)
        wst__ws_free(link->ws, link->cbs->unsent, link->arg);
    link->ws = NULL;
    free_buf(&link->request);
    free_buf(&link->held);
    drop_upgrade(link);
    wst__free(link->texts);
    link->texts = NULL;
    link->ports->stream_close(link->ports->world, link->stream, on_gone, link);
}
