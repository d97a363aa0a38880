/*
 * WebSocket messages over memory.
 *
 * The happy path: wst__ws_feed() asks frames.c for the next header; a text or binary message that
 * lies whole in the input is checked and handed out where it lies.  What goes on behind the input,
 * comes in fragments or is compressed is collected in the inbox until the message is complete; a
 * frame that goes on also keeps its parser until then.  Between messages a connection
 * owns neither.
 *
 * The unhappy ones: whatever breaks a rule ends in fail(), which queues the close frame that
 * RFC 6455, 7.1.7 asks for and makes the rest of the input be ignored.
 */
#include "wire/message.h"

#include "base/hint.h"
#include "base/mem.h"
#include "wire/env.h"
#include "wire/frames.h"
#include "wire/inbox.h"
#include "wire/outbox.h"
#include "wire/pool.h"
#include "wire/utf8.h"

#include <string.h>

enum {
    OPCODE_CONTINUATION = 0,
    OPCODE_TEXT = WST_TEXT,
    OPCODE_BINARY = WST_BINARY,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10
};

/* RFC 6455, 7.4.1. */
enum {
    CLOSE_PROTOCOL = 1002,
    CLOSE_NONE = 1005,
    CLOSE_BAD_UTF8 = 1007,
    CLOSE_BAD_DATA = 1007,
    CLOSE_TOO_LARGE = 1009,
    CLOSE_INTERNAL = 1011
};

enum {
    FIN = 0x80,
    RSV1 = 0x40,   /* In the first byte; as wslay tells the three bits: */
    RSV1_ONLY = 4, /* a compressed message (RFC 7692, 6). */
    REASON_MAX = WST__CONTROL_MAX - 2,
    INFLATE_SLICE = 1000,    /* Compressed bytes at a time: at most 1 MiB when inflated. */
    PACKED_EXTRA = 64 << 10, /* The ceiling of a compressed message, as it comes, is higher. */
    INFLATE_TURN = 1 << 20,  /* What may be inflated in one turn of the loop. */
};

struct wst__ws {
    struct wst__ws_env env;
    const struct wst__ws_cbs *cbs;
    void *arg;
    struct wst__inbox inbox;
    struct wst__outbox outbox;
    struct wst__frames *frames; /* Lent while a frame is incomplete, else NULL. */
    uint64_t chunk_bytes;       /* Of the message that is sent in chunks, */
    void *chunk_ref;            /* its name, */
    uint8_t chunk_type;         /* 0: there is none, */
    uint8_t chunk_utf8;         /* the state of its text, */
    bool chunk_packed;          /* and whether it is compressed. */
    bool yielded;               /* Inflating has cost its share of this turn. */
    bool own_pool;              /* The configuration brought none. */
    bool over;                  /* Nothing further is read: the peer has closed, or failed. */
    bool closing;               /* A close frame was queued. */
    bool close_received;
};

/* What a step of the input says: go on, or stop with 0 or an error. */
enum { GO_ON = 1, STOP = 0 };

/* ---- Life ---------------------------------------------------------------------------------- */

static int new_deflate(struct wst__ws *ws, const struct wst__ws_config *config,
                       struct wst_cause *why)
{
    struct wst__deflate_params params;
    int rc = wst__deflate_agree(&params, config->offered_extensions, config->extensions, why);

    if (rc != 0)
        return rc;
    ws->env.deflate = wst__deflate_new(&params, config->compress_min_bytes);
    return ws->env.deflate ? 0 : wst__cause(why, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory");
}

static int new_parts(struct wst__ws *ws, const struct wst__ws_config *config, struct wst_cause *why)
{
    ws->env.pool = config->pool;
    if (!config->pool) {
        if (wst__ws_pool_new(&ws->env.pool, config->random, config->random_arg) != 0)
            return wst__cause(why, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory");
        ws->own_pool = true;
    }
    return config->extensions && config->extensions[0] ? new_deflate(ws, config, why) : 0;
}

int wst__ws_new(struct wst__ws **out, const struct wst__ws_config *config,
                const struct wst__ws_cbs *cbs, void *arg, struct wst_cause *why)
{
    struct wst__ws *ws = wst__calloc(1, sizeof *ws);
    int rc;

    if (!ws)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_CONNECT, "out of memory");
    rc = new_parts(ws, config, why);
    if (rc != 0) {
        wst__ws_free(ws, NULL, NULL);
        return rc;
    }
    ws->env.tally = config->tally ? config->tally : &ws->env.pool->tally;
    ws->env.max_queue = config->max_queue_bytes;
    ws->env.max_message = config->max_message_bytes;
    ws->outbox.low_water = config->queue_low_water < config->max_queue_bytes
                               ? config->queue_low_water
                               : config->max_queue_bytes;
    ws->cbs = cbs;
    ws->arg = arg;
    *out = ws;
    return 0;
}

void wst__ws_free(struct wst__ws *ws, void (*unsent)(void *arg, void *ref, size_t n), void *arg)
{
    if (!ws)
        return;
    if (ws->env.pool) {
        wst__outbox_drop(&ws->outbox, ws->env.pool, unsent, arg);
        if (ws->chunk_type && unsent) /* It has no end, so the outbox knows of none. */
            unsent(arg, ws->chunk_ref, (size_t)ws->chunk_bytes);
        wst__pool_give(ws->env.pool, &ws->inbox.body);
    }
    wst__frames_free(ws->frames);
    wst__deflate_free(ws->env.deflate);
    if (ws->own_pool)
        wst__ws_pool_free(ws->env.pool);
    wst__free(ws);
}

/* ---- Failing ------------------------------------------------------------------------------- */

static int queue_close(struct wst__ws *ws, int code, const void *reason, size_t n)
{
    uint8_t payload[WST__CONTROL_MAX] = {(uint8_t)(code >> 8), (uint8_t)code};
    int rc;

    if (n)
        memcpy(payload + 2, reason, n);
    rc = wst__outbox_close(&ws->outbox, &ws->env, payload, code ? n + 2 : 0);
    ws->closing = ws->closing || rc == 0;
    return rc;
}

/*
 * The peer broke a rule, or we cannot go on: the connection fails with |code| (RFC 6455, 7.1.7).
 * If there is no memory even for the close frame, the connection ends without one.
 */
static int fail(struct wst__ws *ws, struct wst_cause *why, int err, int code, const char *text)
{
    ws->over = true;
    if (!ws->closing)
        (void)queue_close(ws, code, NULL, 0);
    ws->closing = true;
    (void)wst__cause(why, err, WST_STEP_CONNECT, "%s", text);
    if (why)
        why->close_code = code;
    return err;
}

static int fail_protocol(struct wst__ws *ws, struct wst_cause *why, const char *text)
{
    return fail(ws, why, WST_ERR_WS_PROTOCOL, CLOSE_PROTOCOL, text);
}

static int fail_utf8(struct wst__ws *ws, struct wst_cause *why, const char *text)
{
    return fail(ws, why, WST_ERR_WS_BAD_UTF8, CLOSE_BAD_UTF8, text);
}

static int fail_too_large(struct wst__ws *ws, struct wst_cause *why)
{
    return fail(ws, why, WST_ERR_WS_TOO_LARGE, CLOSE_TOO_LARGE,
                "the server sent a message larger than max_message_bytes");
}

static int fail_packed_too_large(struct wst__ws *ws, struct wst_cause *why)
{
    return fail(ws, why, WST_ERR_WS_TOO_LARGE, CLOSE_TOO_LARGE,
                "the server sent a compressed message of more than twice max_message_bytes and "
                "128 KiB");
}

static int fail_memory(struct wst__ws *ws, struct wst_cause *why)
{
    return fail(ws, why, WST_ERR_NOMEM, CLOSE_INTERNAL, "out of memory");
}

/* An answer cannot be queued. */
static int fail_answer(struct wst__ws *ws, struct wst_cause *why, int err)
{
    if (err == WST_ERR_ENTROPY)
        return fail(ws, why, err, CLOSE_INTERNAL, "no random numbers to be had for a masking key");
    return fail_memory(ws, why);
}

/* The message under way cannot be taken. */
static int fail_message(struct wst__ws *ws, struct wst_cause *why, int err)
{
    switch (err) {
    case WST_ERR_WS_BAD_UTF8:
        return fail_utf8(ws, why, "a text message that is not UTF-8 (RFC 6455, 8.1)");
    case WST_ERR_WS_TOO_LARGE:
        return fail_too_large(ws, why);
    case WST_ERR_WS_PROTOCOL:
        return fail(ws, why, err, CLOSE_BAD_DATA,
                    "a compressed message that cannot be inflated (RFC 7692, 7.2.2)");
    default:
        return fail_memory(ws, why);
    }
}

/* ---- Control frames (RFC 6455, 5.5) -------------------------------------------------------- */

/* Codes that may stand in a close frame (RFC 6455, 7.4, and IANA's registry up to 1014). */
static bool close_code_allowed(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static int take_close(struct wst__ws *ws, const uint8_t *p, size_t n, struct wst_cause *why)
{
    char reason[REASON_MAX + 1] = "";
    int code = CLOSE_NONE;
    int rc = 0;

    if (n == 1)
        return fail_protocol(ws, why, "a close frame of one byte (RFC 6455, 5.5.1)");
    if (n >= 2) {
        code = p[0] << 8 | p[1];
        if (!close_code_allowed(code))
            return fail_protocol(ws, why, "a close code that is not allowed (RFC 6455, 7.4)");
        if (!wst__utf8_valid(p + 2, n - 2))
            return fail_utf8(ws, why, "a close reason that is not UTF-8 (RFC 6455, 5.5.1)");
        memcpy(reason, p + 2, n - 2);
    }
    ws->over = true;
    ws->close_received = true;
    /* The answer: the same code, unless it was we who began. */
    if (!ws->closing)
        rc = queue_close(ws, n ? code : 0, NULL, 0);
    if (rc != 0)
        return fail_answer(ws, why, rc);
    (void)ws->cbs->closed(ws->arg, code, reason, n ? n - 2 : 0);
    return STOP;
}

static int take_control(struct wst__ws *ws, unsigned opcode, const uint8_t *p, size_t n,
                        struct wst_cause *why)
{
    int rc;

    if (opcode == OPCODE_CLOSE)
        return take_close(ws, p, n, why);
    if (opcode == OPCODE_PONG)
        return ws->cbs->pong(ws->arg, p, n) ? GO_ON : STOP;
    rc = wst__outbox_pong(&ws->outbox, &ws->env, p, n);
    return rc == 0 ? GO_ON : fail_answer(ws, why, rc);
}

/* ---- Messages (RFC 6455, 5.4 and 5.6) ------------------------------------------------------ */

static int deliver_chunk(struct wst__ws *ws, unsigned type, const uint8_t *p, size_t n,
                         unsigned flags)
{
    ws->env.tally->received += flags & WST_CHUNK_LAST ? 1 : 0;
    ws->env.tally->bytes_received += n;
    return ws->cbs->chunk(ws->arg, (enum wst_message_type)type, p, n, flags) ? GO_ON : STOP;
}

static inline int deliver(struct wst__ws *ws, unsigned type, const uint8_t *p, size_t n)
{
    if (ws->cbs->chunk)
        return deliver_chunk(ws, type, p, n, WST_CHUNK_FIRST | WST_CHUNK_LAST);
    ws->env.tally->received++;
    ws->env.tally->bytes_received += n;
    return ws->cbs->message(ws->arg, (enum wst_message_type)type, p, n) ? GO_ON : STOP;
}

/* A message in one frame that lies whole in the input: handed out where it lies. */
static inline int take_whole(struct wst__ws *ws, unsigned type, const uint8_t *p, size_t n,
                             struct wst_cause *why)
{
    if (n > ws->env.max_message)
        return fail_too_large(ws, why);
    if (type == OPCODE_TEXT && !wst__utf8_valid(p, n))
        return fail_message(ws, why, WST_ERR_WS_BAD_UTF8);
    return deliver(ws, type, p, n);
}

/* Hands on what there is of the message: |n| bytes at |p|, which may be the inbox's own. */
static int hand_on(struct wst__ws *ws, const uint8_t *p, size_t n, bool last)
{
    struct wst__inbox *in = &ws->inbox;
    unsigned flags = (in->begun ? 0u : WST_CHUNK_FIRST) | (last ? WST_CHUNK_LAST : 0u);
    uint8_t type = in->type;

    if (n == 0 && !last)
        return GO_ON;
    in->begun = true;
    if (last)
        in->type = 0;
    return deliver_chunk(ws, type, p, n, flags);
}

/* A piece of the message, which is handed on at once. */
static int take_chunk(struct wst__ws *ws, const uint8_t *p, size_t n, bool last,
                      struct wst_cause *why)
{
    struct wst__inbox *in = &ws->inbox;
    struct wst__block body;
    int rc = in->packed ? wst__inbox_add(in, &ws->env, p, n, 0, false) : wst__inbox_pass(in, p, n);

    if (rc == 0 && last)
        rc = wst__inbox_end(in, &ws->env);
    if (rc != 0)
        return fail_message(ws, why, rc);
    if (!in->packed)
        return hand_on(ws, p, n, last);
    body = in->body;
    n = in->len;
    in->passed += n;
    in->body.data = NULL;
    in->body.cap = in->len = 0;
    rc = hand_on(ws, body.data, n, last);
    wst__pool_give(ws->env.pool, &body);
    return rc;
}

/* The last frame of the message under way is complete. */
static int end_message(struct wst__ws *ws, struct wst_cause *why)
{
    struct wst__inbox *in = &ws->inbox;
    int rc = wst__inbox_end(in, &ws->env);
    struct wst__block body = in->body;
    size_t n = in->len;
    uint8_t type = in->type;

    if (rc != 0)
        return fail_message(ws, why, rc);
    in->body.data = NULL;
    in->body.cap = in->len = 0;
    in->type = 0;
    rc = deliver(ws, type, body.data, n);
    wst__pool_give(ws->env.pool, &body);
    return rc;
}

/* |n| bytes of the message under way; so many are |left| of the frame, the last one if |fin|. */
static int take_payload(struct wst__ws *ws, const uint8_t *p, size_t n, size_t left, bool fin,
                        struct wst_cause *why)
{
    bool last = fin && left == 0;
    int rc;

    if (ws->cbs->chunk) {
        rc = take_chunk(ws, p, n, last, why);
    } else {
        rc = wst__inbox_add(&ws->inbox, &ws->env, p, n, left, fin);
        if (rc != 0)
            return fail_message(ws, why, rc);
        rc = last ? end_message(ws, why) : GO_ON;
    }
    /* One turn of the loop is not for one connection alone. */
    if (rc == GO_ON && ws->inbox.packed && wst__inflate_work(ws->env.deflate) > INFLATE_TURN) {
        ws->yielded = true;
        rc = STOP;
    }
    return rc;
}

/* ---- Frames -------------------------------------------------------------------------------- */

static bool is_control(unsigned opcode)
{
    return (opcode & 8) != 0;
}

/* RSV1 on the first frame of a message says that it is compressed (RFC 7692, 6). */
static bool may_be_packed(const struct wst__ws *ws, const struct wslay_frame_iocb *io)
{
    return ws->env.deflate && io->rsv == RSV1_ONLY && !is_control(io->opcode) &&
           io->opcode != OPCODE_CONTINUATION;
}

static int check_control(struct wst__ws *ws, const struct wslay_frame_iocb *io,
                         struct wst_cause *why)
{
    if (io->opcode > OPCODE_PONG)
        return fail_protocol(ws, why, "a reserved control opcode (RFC 6455, 5.2)");
    /* wslay has refused longer ones; no buffer depends on that. */
    if (io->payload_length > WST__CONTROL_MAX)
        return fail(ws, why, WST_ERR_WS_PROTOCOL, CLOSE_INTERNAL, "a control frame went unchecked");
    return GO_ON;
}

/*
 * Of a compressed message it is the inflated size that counts.  Before that it may have what a poor
 * compressor makes of it: one that inflates to nothing and never ends costs no memory, but time.
 */
static bool admits(struct wst__ws *ws, const struct wslay_frame_iocb *io)
{
    size_t max = ws->env.max_message;
    bool first = io->opcode != OPCODE_CONTINUATION;

    if (!ws->inbox.packed)
        return io->payload_length <= wst__inbox_room(&ws->inbox, max);
    return wst__inflate_announce(ws->env.deflate, first, io->payload_length) / 2 <=
           (max < SIZE_MAX - PACKED_EXTRA ? max + PACKED_EXTRA : UINT64_MAX);
}

/*
 * Checks what wslay leaves to us: mask direction, reserved bits, opcodes, the order of fragments,
 * and the size of the message before any memory is taken for it.
 */
static int check_header(struct wst__ws *ws, const struct wslay_frame_iocb *io,
                        struct wst_cause *why)
{
    if (io->mask)
        return fail_protocol(ws, why, "the server masked a frame (RFC 6455, 5.1)");
    if (io->rsv && !may_be_packed(ws, io))
        return fail_protocol(ws, why, "a reserved bit is set (RFC 6455, 5.2)");
    if (is_control(io->opcode))
        return check_control(ws, io, why);
    if (io->opcode > OPCODE_BINARY)
        return fail_protocol(ws, why, "a reserved opcode (RFC 6455, 5.2)");
    if (io->opcode == OPCODE_CONTINUATION && !ws->inbox.type)
        return fail_protocol(ws, why, "a continuation of no message (RFC 6455, 5.4)");
    if (io->opcode != OPCODE_CONTINUATION && ws->inbox.type)
        return fail_protocol(ws, why, "a message inside another message (RFC 6455, 5.4)");
    if (io->opcode != OPCODE_CONTINUATION)
        wst__inbox_begin(&ws->inbox, io->opcode, io->rsv != 0);
    if (!admits(ws, io))
        return ws->inbox.packed ? fail_packed_too_large(ws, why) : fail_too_large(ws, why);
    return GO_ON;
}

/* A frame that is whole in the input, but not a whole message by itself. */
static int take_frame(struct wst__ws *ws, const struct wslay_frame_iocb *io, const uint8_t *p,
                      struct wst_cause *why)
{
    size_t n = (size_t)io->payload_length;
    int rc = check_header(ws, io, why);

    if (rc != GO_ON)
        return rc;
    if (is_control(io->opcode))
        return take_control(ws, io->opcode, p, n, why);
    return take_payload(ws, p, n, 0, io->fin, why);
}

/* |n| bytes of the frame under way: the last ones when nothing is left afterwards. */
static int take_part(struct wst__ws *ws, struct wst__frames *f, const uint8_t *p, size_t n,
                     struct wst_cause *why)
{
    struct wslay_frame_iocb io = f->io;
    size_t at = (size_t)f->got;
    uint64_t rest = f->length - f->got - n;
    size_t left = rest < SIZE_MAX ? (size_t)rest : SIZE_MAX;

    wst__frames_count(f, n);
    if (!is_control(io.opcode))
        return take_payload(ws, p, n, left, io.fin, why);
    memcpy(f->control + at, p, n);
    return left ? GO_ON : take_control(ws, io.opcode, f->control, at + n, why);
}

/* As much of the frame under way as there is. */
static int go_on_frame(struct wst__ws *ws, struct wst__frames *f, const uint8_t **p,
                       const uint8_t *end, struct wst_cause *why)
{
    const uint8_t *payload = *p;
    uint64_t left = f->length - f->got;
    size_t n = (size_t)(end - *p);

    if (n > left)
        n = (size_t)left;
    if (ws->inbox.packed && n > INFLATE_SLICE)
        n = INFLATE_SLICE;
    *p += n;
    return take_part(ws, f, payload, n, why);
}

/*
 * A frame that goes on behind the input, or is too large for wslay's buffer.  A whole message of
 * that kind is still handed out where it lies.
 */
static int begin_frame(struct wst__ws *ws, struct wst__frames *f, const uint8_t **p,
                       const uint8_t *end, struct wst_cause *why)
{
    struct wslay_frame_iocb io = f->io;
    const uint8_t *payload = *p;
    int rc = check_header(ws, &io, why);

    if (rc != GO_ON)
        return rc;
    if (is_control(io.opcode) || !io.fin || io.opcode == OPCODE_CONTINUATION || io.rsv ||
        (size_t)(end - *p) < io.payload_length)
        return go_on_frame(ws, f, p, end, why);
    *p += io.payload_length;
    wst__frames_count(f, (size_t)io.payload_length);
    ws->inbox.type = 0;
    return take_whole(ws, io.opcode, payload, (size_t)io.payload_length, why);
}

static int fail_header(struct wst__ws *ws, struct wst_cause *why)
{
    return fail_protocol(ws, why,
                         "a frame header that is not allowed: a control frame over 125 bytes or "
                         "in fragments, or a length not in its shortest form (RFC 6455, 5.2, 5.5)");
}

/* A frame that is whole in the input: mostly, it is a message. */
static inline int take_ahead(struct wst__ws *ws, const struct wslay_frame_iocb *io,
                             const uint8_t *p, size_t n, struct wst_cause *why)
{
    if (io->fin && !io->rsv && !ws->inbox.type &&
        (io->opcode == OPCODE_TEXT || io->opcode == OPCODE_BINARY))
        return take_whole(ws, io->opcode, p, n, why);
    return take_frame(ws, io, p, why);
}

/* One frame, or as much of one as there is. */
static int step(struct wst__ws *ws, struct wst__frames *f, const uint8_t **p, const uint8_t *end,
                struct wst_cause *why)
{
    const uint8_t *payload;
    int rc;

    if (f->got != f->length)
        return go_on_frame(ws, f, p, end, why);
    rc = wst__frames_next(f, p, end);
    if (rc == 1) {
        payload = *p;
        *p += f->io.payload_length;
        return take_ahead(ws, &f->io, payload, (size_t)f->io.payload_length, why);
    }
    if (rc < 0)
        return fail_header(ws, why);
    if (rc == 2)
        return begin_frame(ws, f, p, end, why);
    *p = end;
    return GO_ON;
}

/* The frames that wslay has whole: most of all frames go this way. */
static int steps_ahead(struct wst__ws *ws, struct wst__frames *f, const uint8_t **at,
                       struct wst_cause *why)
{
    const uint8_t *p = *at;
    unsigned ahead = f->ahead;
    int rc = GO_ON;

    for (; ahead && rc == GO_ON; ahead--) {
        ssize_t r = wslay_frame_recv(f->wslay, &f->io);
        const uint8_t *payload;

        if (r < 0)
            return fail_header(ws, why);
        payload = p + wst__frames_head((size_t)r);
        p = payload + r;
        rc = take_ahead(ws, &f->io, payload, (size_t)r, why);
    }
    f->ahead = ahead;
    *at = p;
    return rc;
}

/* The parser goes back to the pool when no frame is under way. */
static void put_frames(struct wst__ws *ws, struct wst__frames *f, int rc)
{
    ws->frames = NULL;
    if (rc < 0 || !wst__frames_rewind(f))
        wst__frames_free(f);
    else if (wst__frames_busy(f))
        ws->frames = f;
    else
        wst__pool_give_frames(ws->env.pool, f);
}

int wst__ws_feed(struct wst__ws *ws, const uint8_t *bytes, size_t n, size_t *used,
                 struct wst_cause *why)
{
    const uint8_t *p = bytes;
    const uint8_t *end;
    struct wst__frames *f;
    int rc;

    *used = n;
    if (ws->over)
        return 0;
    if (ws->env.deflate) {
        ws->yielded = false;
        wst__inflate_turn(ws->env.deflate);
    }
    end = bytes + n;
    f = ws->frames ? ws->frames : wst__pool_take_frames(ws->env.pool);
    if (!f)
        return fail_memory(ws, why);
    f->whole_max = ws->env.deflate ? INFLATE_SLICE : SIZE_MAX;
    do {
        rc = step(ws, f, &p, end, why);
        if (rc == GO_ON && f->ahead)
            rc = steps_ahead(ws, f, &p, why);
    } while (rc == GO_ON && p < end);
    put_frames(ws, f, rc);
    if (!ws->close_received)
        *used = (size_t)(p - bytes);
    return rc < 0 ? rc : 0;
}

/* ---- Large messages, straight into their place --------------------------------------------- */

uint8_t *wst__ws_place(struct wst__ws *ws, size_t *room)
{
    const struct wst__frames *f = ws->frames;

    if (!f || is_control(f->io.opcode) || f->got == f->length || ws->cbs->chunk)
        return NULL;
    return wst__inbox_place(&ws->inbox, &ws->env, (size_t)(f->length - f->got), f->io.fin, room);
}

int wst__ws_placed(struct wst__ws *ws, size_t n, struct wst_cause *why)
{
    struct wst__frames *f = ws->frames;
    int rc;

    wst__frames_count(f, n);
    rc = wst__inbox_placed(&ws->inbox, n);
    if (rc != 0)
        rc = fail_message(ws, why, rc);
    else
        rc = f->io.fin && f->got == f->length ? end_message(ws, why) : GO_ON;
    put_frames(ws, f, rc);
    return rc < 0 ? rc : 0;
}

bool wst__ws_yielded(const struct wst__ws *ws)
{
    return ws->yielded;
}

/* ---- Sending ------------------------------------------------------------------------------- */

/* Compressed, when that is worth it. */
static WST__NOINLINE int send_packed(struct wst__ws *ws, uint8_t first, const void *data, size_t n,
                                     void *ref)
{
    struct wst__block packed = {NULL, 0};
    size_t made;
    int rc;

    if (!wst__deflate_pack(ws->env.deflate, ws->env.pool, data, n, &packed, &made))
        return wst__outbox_data(&ws->outbox, &ws->env, first, data, n, ref, n);
    rc = wst__outbox_data(&ws->outbox, &ws->env, first | RSV1, packed.data, made, ref, n);
    if (rc != 0)
        wst__deflate_unsent(ws->env.deflate);
    wst__pool_give(ws->env.pool, &packed);
    return rc;
}

static inline int send_whole(struct wst__ws *ws, enum wst_message_type type, const void *data,
                             size_t n, void *ref)
{
    uint8_t first = (uint8_t)(FIN | type);

    if (ws->env.deflate)
        return send_packed(ws, first, data, n, ref);
    return wst__outbox_message(&ws->outbox, &ws->env, first, data, n, ref);
}

static WST__NOINLINE int send_text(struct wst__ws *ws, const void *data, size_t n, void *ref)
{
    return wst__utf8_valid(data, n) ? send_whole(ws, WST_TEXT, data, n, ref) : WST_ERR_BAD_UTF8;
}

int wst__ws_send(struct wst__ws *ws, enum wst_message_type type, const void *data, size_t n,
                 void *ref)
{
    if (type != WST_TEXT && type != WST_BINARY)
        return WST_ERR_INVALID;
    if (ws->closing)
        return WST_ERR_NOT_OPEN;
    if (ws->chunk_type)
        return WST_ERR_STATE;
    return type == WST_TEXT ? send_text(ws, data, n, ref) : send_whole(ws, type, data, n, ref);
}

/* May a chunk be sent now, by its place? */
static int check_chunk(const struct wst__ws *ws, enum wst_message_type type, unsigned flags)
{
    bool first = flags & WST_CHUNK_FIRST;

    if ((type != WST_TEXT && type != WST_BINARY) || flags > (WST_CHUNK_FIRST | WST_CHUNK_LAST))
        return WST_ERR_INVALID;
    if (ws->closing)
        return WST_ERR_NOT_OPEN;
    if (first != (ws->chunk_type == 0))
        return WST_ERR_STATE;
    return first || ws->chunk_type == type ? 0 : WST_ERR_INVALID;
}

/* A fragment, compressed.  Nothing is packed that cannot be sent: zlib could not go back. */
static int send_chunk_packed(struct wst__ws *ws, uint8_t first, const void *data, size_t n,
                             void *ref, size_t size)
{
    struct wst__deflate *d = ws->env.deflate;
    struct wst__block packed = {NULL, 0};
    size_t most = wst__deflate_bound(d, n);
    int rc = wst__outbox_prepare(&ws->outbox, &ws->env, n, most);

    if (rc == 0)
        rc = wst__pool_take(ws->env.pool, &packed, most, most);
    if (rc != 0)
        return rc;
    if (wst__deflate_chunk(d, data, n, first & FIN, packed.data, &n))
        wst__outbox_prepared(&ws->outbox, &ws->env, first, packed.data, n, ref, size);
    else
        rc = WST_ERR_NOMEM;
    wst__pool_give(ws->env.pool, &packed);
    return rc;
}

int wst__ws_send_chunk(struct wst__ws *ws, enum wst_message_type type, const void *data, size_t n,
                       unsigned flags, void *ref)
{
    bool last = flags & WST_CHUNK_LAST;
    bool first = flags & WST_CHUNK_FIRST;
    uint8_t first_byte =
        (uint8_t)((last ? FIN : 0) | (first ? (uint8_t)type : OPCODE_CONTINUATION));
    uint8_t utf8 = ws->chunk_utf8;
    bool packed = ws->chunk_packed;
    int rc = check_chunk(ws, type, flags);

    if (rc != 0)
        return rc;
    if (type == WST_TEXT) {
        utf8 = wst__utf8_feed(utf8, data, n);
        if (utf8 == WST__UTF8_REJECT || (last && utf8 != WST__UTF8_ACCEPT))
            return WST_ERR_BAD_UTF8;
    }
    if (first && last)
        return send_whole(ws, type, data, n, ref);
    if (first)
        packed = ws->env.deflate && wst__deflate_chunks(ws->env.deflate, n);
    else
        ref = ws->chunk_ref;
    if (packed)
        rc = send_chunk_packed(ws, first ? first_byte | RSV1 : first_byte, data, n, ref,
                               (size_t)(ws->chunk_bytes + n));
    else
        rc = wst__outbox_data(&ws->outbox, &ws->env, first_byte, data, n, ref,
                              (size_t)(ws->chunk_bytes + n));
    if (rc != 0)
        return rc;
    ws->chunk_packed = packed;
    ws->chunk_type = last ? 0 : (uint8_t)type;
    ws->chunk_utf8 = utf8;
    ws->chunk_ref = ref;
    ws->chunk_bytes = last ? 0 : ws->chunk_bytes + n;
    return 0;
}

int wst__ws_ping(struct wst__ws *ws, const void *payload, size_t n)
{
    if (n > WST__CONTROL_MAX)
        return WST_ERR_INVALID;
    if (ws->closing)
        return WST_ERR_NOT_OPEN;
    return wst__outbox_ping(&ws->outbox, &ws->env, payload, n);
}

int wst__ws_close(struct wst__ws *ws, int code, const char *reason, size_t n)
{
    if (code == 0 ? n != 0 : !close_code_allowed(code) || n > REASON_MAX)
        return WST_ERR_INVALID;
    if (n && !wst__utf8_valid((const uint8_t *)reason, n))
        return WST_ERR_INVALID;
    if (ws->closing)
        return WST_ERR_NOT_OPEN;
    return queue_close(ws, code, reason, n);
}

size_t wst__ws_output(struct wst__ws *ws, struct iovec *iov, size_t max)
{
    return wst__outbox_show(&ws->outbox, iov, max);
}

size_t wst__ws_sent(struct wst__ws *ws, size_t n)
{
    struct wst__outbox *o = &ws->outbox;

    if (o->above || ws->cbs->sent || !wst__outbox_is_all(o, n))
        return wst__ws_sent_and_sealed(ws, n, 0);
    return wst__outbox_taken_all(o, &ws->env);
}

WST__NOINLINE size_t wst__ws_sent_and_sealed(struct wst__ws *ws, size_t n, size_t fixed)
{
    struct wst__outbox *o = &ws->outbox;

    wst__outbox_taken(o, &ws->env, n, fixed, ws->cbs->sent, ws->arg);
    if (n && o->above && wst__outbox_bytes(o) <= o->low_water) {
        o->above = false;
        ws->cbs->drained(ws->arg);
    }
    return wst__outbox_bytes(o);
}

/* ---- Inspect ------------------------------------------------------------------------------- */

bool wst__ws_compresses(const struct wst__ws *ws)
{
    return ws->env.deflate != NULL;
}

size_t wst__ws_buffered(const struct wst__ws *ws)
{
    return wst__outbox_bytes(&ws->outbox);
}

bool wst__ws_ping_left(const struct wst__ws *ws)
{
    return wst__outbox_pings_left(&ws->outbox);
}

bool wst__ws_close_sent(const struct wst__ws *ws)
{
    return wst__outbox_closed(&ws->outbox);
}

bool wst__ws_close_received(const struct wst__ws *ws)
{
    return ws->close_received;
}

void wst__ws_counts(const struct wst__ws *ws, struct wst__ws_counts *c)
{
    c->received = ws->env.tally->received;
    c->bytes_received = ws->env.tally->bytes_received;
    c->sent = ws->env.tally->sent;
    c->bytes_sent = ws->env.tally->bytes_sent;
    wst__outbox_count(&ws->outbox, &c->queued, &c->bytes_queued);
    c->queued += ws->chunk_type ? 1 : 0;
    c->bytes_queued += ws->chunk_bytes;
}
