/*
 * permessage-deflate (RFC 7692) on zlib: what was agreed, and the two directions of one
 * connection.  Each direction takes its memory with its first compressed message: 2^bits + 7 KiB
 * to inflate, 2^(bits + 2) + 134 KiB to deflate, thus 39 and 262 KiB with windows of 15 bits;
 * without context takeover it is given back after each message.
 */
#ifndef WST_WIRE_DEFLATE_H
#define WST_WIRE_DEFLATE_H

#include "base/err.h"
#include "wire/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What browsers offer: the server may choose our window. */
#define WST__DEFLATE_OFFER "permessage-deflate; client_max_window_bits"

struct wst__deflate_params {
    uint8_t server_bits; /* The server's window, 8 to 15, */
    uint8_t client_bits; /* and ours. */
    bool server_forgets; /* No context takeover: each message stands for itself. */
    bool client_forgets;
};

/*
 * Checks |agreed|, the server's Sec-WebSocket-Extensions, against what was |offered| (a list in
 * order of preference, as it was sent).  BAD_UPGRADE names what is wrong.
 */
int wst__deflate_agree(struct wst__deflate_params *params, const char *offered, const char *agreed,
                       struct wst_cause *why);

/* Is |offered| such a list, and can each of it be offered? */
bool wst__deflate_offer_ok(const char *offered);

struct wst__deflate;
/* Messages of less than |least| bytes are not compressed.  NULL: out of memory. */
struct wst__deflate *wst__deflate_new(const struct wst__deflate_params *params, size_t least);
void wst__deflate_free(struct wst__deflate *d);

/*
 * Compresses a message into |out|, an empty block that is taken from the pool and must be given
 * back; |*made| bytes, which are at most 16 more than |n|.  False: it must be sent as it is (too
 * short; no memory; a window of 8 bits, which zlib cannot make; or it would not become smaller, and
 * nothing depends on it).
 */
bool wst__deflate_pack(struct wst__deflate *d, struct wst__ws_pool *pool, const void *data,
                       size_t n, struct wst__block *out, size_t *made);
/*
 * Will a message in chunks be compressed, of which the first one has |n| bytes?  Yes is binding:
 * all of them go through wst__deflate_chunk(), each once.
 */
bool wst__deflate_chunks(struct wst__deflate *d, size_t n);
/* What a chunk of |n| bytes takes at most. */
size_t wst__deflate_bound(struct wst__deflate *d, size_t n);
/*
 * Compresses a chunk, so that the peer can read all of it, to |to|, which has that room.  False:
 * zlib refused, and nothing is changed.
 */
bool wst__deflate_chunk(struct wst__deflate *d, const void *data, size_t n, bool last, uint8_t *to,
                        size_t *made);
/* What was packed last will not be sent: nothing after it may refer to it. */
void wst__deflate_unsent(struct wst__deflate *d);

/*
 * A frame of a compressed message announces |n| bytes; returns how many all its frames so far have.
 * |first|: the message begins with it.
 */
uint64_t wst__inflate_announce(struct wst__deflate *d, bool first, uint64_t n);

enum { WST__INFLATE_MORE = 1, WST__INFLATE_DONE = 0 };

/* The next piece of a compressed message; the one before is used up.  NOMEM. */
int wst__inflate_feed(struct wst__deflate *d, const uint8_t *p, size_t n);
/*
 * Puts up to |room| bytes (not 0) to |to|, |*made| of them.  MORE: call again; DONE: the piece is
 * used up; WS_PROTOCOL: that is not compressed data; NOMEM.
 */
int wst__inflate_run(struct wst__deflate *d, uint8_t *to, size_t room, size_t *made);
/* The message is over: what was left out at its end is fed (RFC 7692, 7.2.2); run until DONE. */
int wst__inflate_finish(struct wst__deflate *d);
/* After that: the message was handed out.  WS_PROTOCOL: it ended inside compressed data. */
int wst__inflate_end(struct wst__deflate *d);
/* What inflating has cost since the turn began, in bytes made or moved: for who shares out time. */
void wst__inflate_turn(struct wst__deflate *d);
uint64_t wst__inflate_work(const struct wst__deflate *d);

#endif
