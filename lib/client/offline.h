/*
 * The offline queue: what wst_client_send() accepts while the connection is wanted and not open.
 * Off by default; bounded by messages, bytes and age.  The next connection takes all of it before
 * anything else; what it does not come to is reported, each message once.
 *
 * Each message belongs to a start, and is not kept beyond that one's terminal event: starts and
 * stops may wait to be carried out while messages for the time after them are accepted.
 */
#ifndef WST_CLIENT_OFFLINE_H
#define WST_CLIENT_OFFLINE_H

#include "wsticket/wsticket.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a message costs beside its payload: more than it does in the send queue, into which
 * everything that waits must fit, compressed or not. */
#define WST__OFFLINE_EACH 64

struct wst__waiting; /* One message. */

struct wst__offline {
    struct wst__waiting *first, *last;
    size_t count;
    size_t payload;
    uint64_t starts; /* Accepted, */
    uint64_t ends;   /* and their terminal events. */
    int refusal;     /* While a message is told that the connection could not take: why. */
};

/* What waits; of NULL, a queue that is off: nothing. */
static inline size_t wst__offline_count(const struct wst__offline *q)
{
    return q ? q->count : 0;
}
static inline size_t wst__offline_payload(const struct wst__offline *q)
{
    return q ? q->payload : 0;
}
/* A start was accepted. */
static inline void wst__offline_start(struct wst__offline *q)
{
    if (q)
        q->starts++;
}

/* Accepts a message.  NOT_OPEN (it is off, or no connection is wanted), QUEUE_FULL, TOO_LARGE,
 * BAD_UTF8, NOMEM; or what the connection, which is open, has refused another one with. */
int wst__offline_add(struct wst_client *cl, enum wst_message_type type, const void *data,
                     size_t len, void *ref);
/* When the first one will be too old, on the monotonic clock; WST__NEVER. */
uint64_t wst__offline_due(const struct wst_client *cl);
/* Reports those that are too old. */
void wst__offline_expire(struct wst_client *cl);
/* The connection is open: it takes all. */
void wst__offline_send(struct wst_client *cl);
/* The terminal event of a start is due: reports those that belong to it. */
void wst__offline_end(struct wst_client *cl, int reason);

#endif
