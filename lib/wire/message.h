/*
 * WebSocket messages (RFC 6455, 5 to 8) over memory: received bytes go in and messages come out;
 * messages go in and bytes to send come out.  wslay's frame layer parses; the rest is ours: order,
 * control frames, close handshake, UTF-8, limits.  No socket, no clock, no loop: who calls brings
 * the time and the bytes.  One object per connection, never used again.
 */
#ifndef WST_WIRE_MESSAGE_H
#define WST_WIRE_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct wst__ws; /* Opaque. */

/*
 * What the connections of one loop lend each other, so that one at rest owns nothing but its
 * struct: frame parsers, memory for incomplete messages and for send queues, masking keys.  At
 * most 4 MiB and four parsers are kept for the next one.  Not for two threads at once.
 */
struct wst__ws_pool;
/* |random| fills |p| with unpredictable bytes, for masking keys, or returns ENTROPY.  NOMEM. */
int wst__ws_pool_new(struct wst__ws_pool **out, int (*random)(void *arg, void *p, size_t n),
                     void *random_arg);
/* After the last connection that used it.  NULL does nothing. */
void wst__ws_pool_free(struct wst__ws_pool *pool);

/* What went through: messages, and their payload. */
struct wst__ws_tally {
    uint64_t received, bytes_received;
    uint64_t sent, bytes_sent; /* Wholly taken. */
};

struct wst__ws_config {
    struct wst__ws_pool *pool; /* Borrowed.  NULL: the connection makes one of its own, */
    int (*random)(void *arg, void *p, size_t n); /* with this. */
    void *random_arg;
    struct wst__ws_tally
        *tally;               /* It is added to, and outlives the connection.  NULL: the pool's. */
    size_t max_message_bytes; /* SIZE_MAX: no ceiling, for |chunk| alone. */
    size_t max_queue_bytes;
    size_t queue_low_water;
    /* Extensions as agreed in the upgrade (NULL or "": none), and as they were offered;
     * wire/deflate.h has the usual offer.  Borrowed for the call. */
    const char *extensions;
    const char *offered_extensions;
    size_t compress_min_bytes; /* Messages below it are not compressed. */
};

/* Callbacks return false to stop: wst__ws_feed() then returns at once, without having looked at
 * what follows (paused, or the connection is closing). */
struct wst__ws_cbs {
    /* |data| may be NULL when |n| is 0. */
    bool (*message)(void *arg, enum wst_message_type type, const uint8_t *data, size_t n);
    bool (*pong)(void *arg, const uint8_t *payload, size_t n);
    /* The peer's close frame; our answer has been queued. |code| 1005 without one. |reason|
     * is valid UTF-8, terminated. */
    bool (*closed)(void *arg, int code, const char *reason, size_t n);
    /* Optional: a message of wst__ws_send() was wholly taken by wst__ws_sent(). */
    void (*sent)(void *arg, void *ref, size_t n);
    /* The queue fell to the low-water mark after it had been above. */
    void (*drained)(void *arg);
    /* Instead of |message| when not NULL: pieces of a message as they arrive, |flags|
     * WST_CHUNK_*.  A text's pieces may end inside a character; the whole is checked. */
    bool (*chunk)(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                  unsigned flags);
};

/* NOMEM; BAD_UPGRADE when |extensions| cannot be done. */
int wst__ws_new(struct wst__ws **out, const struct wst__ws_config *config,
                const struct wst__ws_cbs *cbs, void *arg, struct wst_cause *why);
/* Not from inside a callback of |ws|.  Everything is wiped away; queued messages are told to
 * |unsent| (may be NULL), and so is one that was begun in chunks and has not ended. */
void wst__ws_free(struct wst__ws *ws, void (*unsent)(void *arg, void *ref, size_t n), void *arg);

/*
 * Feeds received bytes; all of them are used unless a callback returned false or an error ended
 * it: |*used| tells.  A message that lies whole in |bytes| is handed out without a copy.  Errors:
 * WS_PROTOCOL, WS_BAD_UTF8, WS_TOO_LARGE (close_code in |why| is what we answer: 1002, 1007, 1009;
 * that close frame has been queued and nothing further is read), NOMEM and ENTROPY (1011, if that
 * frame can still be made).  Bytes after the peer's close frame or an error are ignored.
 *
 * Callbacks may send, ping and close; they may not feed or free |ws|.
 *
 * It also stops early when compressed messages have cost much: wst__ws_yielded() says so, and the
 * rest is to be fed in the next turn of the loop.
 */
int wst__ws_feed(struct wst__ws *ws, const uint8_t *bytes, size_t n, size_t *used,
                 struct wst_cause *why);
bool wst__ws_yielded(const struct wst__ws *ws);
/* Where the missing bytes of a large message may be received straight to; NULL: feed them. */
uint8_t *wst__ws_place(struct wst__ws *ws, size_t *room);
/* |n| bytes were put there.  As wst__ws_feed(). */
int wst__ws_placed(struct wst__ws *ws, size_t n, struct wst_cause *why);

/* Queues a message, masked.  QUEUE_FULL (the ceiling counts payload, framing and 24 bytes of notes
 * on each message), TOO_LARGE, BAD_UTF8, STATE, NOT_OPEN (a close was queued), INVALID, NOMEM,
 * ENTROPY. */
int wst__ws_send(struct wst__ws *ws, enum wst_message_type type, const void *data, size_t n,
                 void *ref);
/*
 * Sends a message in chunks, each of them a fragment (RFC 6455, 5.4), whose number and size need
 * not be known; the |ref| of the first one is told, with the size of all.  Until the last one
 * wst__ws_send() says STATE; so does this, without a first one, or for another.  INVALID also when
 * |type| changes.  A refused chunk may be tried again.  Whether they are compressed is up to the
 * first one's size; the ceiling counts what they are before.
 */
int wst__ws_send_chunk(struct wst__ws *ws, enum wst_message_type type, const void *data, size_t n,
                       unsigned flags, void *ref);
/* Queues a ping; it goes ahead of data that has not begun to leave.  NOT_OPEN, INVALID (> 125),
 * QUEUE_FULL (64 have not left yet), NOMEM, ENTROPY. */
int wst__ws_ping(struct wst__ws *ws, const void *payload, size_t n);
/* Queues the close frame behind everything.  |code| 0: none.  INVALID (code, reason), NOT_OPEN,
 * NOMEM, ENTROPY. */
int wst__ws_close(struct wst__ws *ws, int code, const char *reason, size_t n);

/* The bytes to send next, as up to |max| pieces (three are never too few); returns their number,
 * 0: nothing.  Valid until the next call for |ws|. */
size_t wst__ws_output(struct wst__ws *ws, struct iovec *iov, size_t max);
/*
 * The kernel has taken |n| of them.  Less than all: output is blocked, and only the newest pong is
 * kept.  What was not taken may look different next time, but for the rest of a frame that has
 * begun.  May call |sent| and |drained|; returns how many bytes are queued afterwards.
 */
size_t wst__ws_sent(struct wst__ws *ws, size_t n);
/*
 * The same, where the next |fixed| bytes are sealed in TLS records already: until they are taken,
 * wst__ws_output() offers exactly them.  What is queued meanwhile, pings too, goes behind them.
 */
size_t wst__ws_sent_and_sealed(struct wst__ws *ws, size_t n, size_t fixed);

/* Was permessage-deflate agreed? */
bool wst__ws_compresses(const struct wst__ws *ws);
/* Bytes queued and not yet taken: payload and framing. */
size_t wst__ws_buffered(const struct wst__ws *ws);
bool wst__ws_ping_left(const struct wst__ws *ws);  /* The last ping was wholly taken. */
bool wst__ws_close_sent(const struct wst__ws *ws); /* Our close frame was wholly taken. */
bool wst__ws_close_received(const struct wst__ws *ws);
/* The tally, and what is queued: messages, and their payload. */
struct wst__ws_counts {
    uint64_t received, bytes_received, sent, bytes_sent, queued, bytes_queued;
};
void wst__ws_counts(const struct wst__ws *ws, struct wst__ws_counts *c);

#endif
