/*
 * One connection: dial and TLS (the stream), the upgrade, then messages.  One object per dial,
 * never used again.  It tells its owner through the callbacks below, never from inside a call.
 */
#ifndef WST_CLIENT_LINK_H
#define WST_CLIENT_LINK_H

#include "client/ports.h"
#include "wire/message.h"
#include "wire/upgrade.h"

struct wst__link;

/* How an open link ended, as far as it is known. */
struct wst__link_end {
    struct wst_cause cause; /* Code 0 after a close handshake that we began. */
    int code;               /* Received close code; 1005, 1006. */
    bool was_clean;
    char reason[124];
};

struct wst__link_cbs {
    void (*ready)(void *arg, const struct wst__stream_timing *timing);
    /* It ended before it was open.  |up|: what the server said, NULL when it said nothing. */
    void (*failed)(void *arg, const struct wst_cause *why, const struct wst__upgrade *up);
    void (*opened)(void *arg, const char *subprotocol);
    bool (*message)(void *arg, enum wst_message_type type, const uint8_t *data, size_t n);
    bool (*chunk)(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                  unsigned flags); /* With wst__link_config.chunks, instead of |message|. */
    void (*pong)(void *arg, uint64_t rtt_us);
    void (*ping_left)(void *arg);
    /* The close handshake has begun on the other side, or the peer broke the protocol. */
    void (*closing)(void *arg, const struct wst__link_end *end);
    void (*closed)(void *arg, const struct wst__link_end *end);
    void (*drained)(void *arg);
    /* Something waits for wst__link_flush() in this turn of the loop. */
    void (*wants_flush)(void *arg);
    /* The same, and it may be flushed at once: what had come in one go was handed out. */
    void (*received)(void *arg);
    void (*unsent)(void *arg, void *ref, size_t n);
    /* After wst__link_drop(), from the loop: nothing of it is left. */
    void (*gone)(void *arg);
};

/* What a link is made of; all of it outlives the link, but |stream|, which is read at once. */
struct wst__link_request {
    const struct wst__ports *ports;
    struct wst__net *net;
    struct wst__stream_request stream;
};

/* Begins to dial; |cbs| lives as long as the link.  NOMEM, IO: nothing was begun. */
int wst__link_new(struct wst__link **out, const struct wst__link_request *rq,
                  const struct wst__link_cbs *cbs, void *arg);
/* Writes the upgrade.  |config|, which has bounds, compression, and whether messages or chunks are
 * wanted, and |tally|, to which messages are added, outlive the link.  NOMEM, TOO_LARGE, INVALID:
 * then nothing was written. */
int wst__link_upgrade(struct wst__link *link, const struct wst__upgrade_request *rq,
                      const struct wst_config *config, struct wst__ws_tally *tally);
/* No more time for the answer to the upgrade: a refusal whose head has come is told as |failed|.
 * From the loop only. */
void wst__link_time_is_up(struct wst__link *link);
int wst__link_send(struct wst__link *link, enum wst_message_type type, const void *data, size_t n,
                   void *ref);
int wst__link_send_chunk(struct wst__link *link, enum wst_message_type type, const void *data,
                         size_t n, unsigned flags, void *ref);
int wst__link_ping(struct wst__link *link);
/* Begins our side of the close handshake. */
void wst__link_close(struct wst__link *link, int code, const char *reason);
/* Gives to the kernel what is queued.  From the loop only. */
void wst__link_flush(struct wst__link *link);
/* Receiving off and on; what was held back is handed out by wst__link_flush(). */
void wst__link_pause(struct wst__link *link, bool paused);
/* Was permessage-deflate agreed? */
bool wst__link_compresses(const struct wst__link *link);
size_t wst__link_buffered(const struct wst__link *link);
uint64_t wst__link_last_rx_ms(const struct wst__link *link);
/* Is a close handshake under way?  Then |end| is what is known of it, before it is dropped. */
bool wst__link_ending(const struct wst__link *link, struct wst__link_end *end);
/* Tells |unsent| for what is queued, wipes, and closes; of the callbacks only |gone| follows. */
void wst__link_drop(struct wst__link *link);

#endif
