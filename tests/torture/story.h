/*
 * One life of a client, told against a peer: a loop and a client are made, a token and a ticket are
 * fetched, the WebSocket opens over TLS, a message goes there and back, the server drops the
 * connection, the client comes back with a new ticket, another message, stop, close.
 *
 * Whatever fails on the way, it ends well: the client retries, or the call that fails says why and
 * is made again.
 */
#ifndef WST_TESTS_STORY_H
#define WST_TESTS_STORY_H

#include "faults.h"

#include "lib/site.h"

#include <stdint.h>

enum { STORY_MESSAGES = 128, STORY_DIGITS = 3 };

/* What the client is told about its peer. */
struct stage {
    uint16_t port;
    char dir[128]; /* Holds ca.pem, cas/, client.pem. */
    char pin[64];
    /* What the peer has seen of this telling; in memory that is shared with it. */
    const struct site_book *book;
    const atomic_uchar *arrived; /* Whole messages, by their numbers. */
};

/* Each message begins with its number, in so many digits.  At one with this behind it the peer ends
 * the connection without a word; short, so it is not compressed.  Others it sends back. */
#define STORY_DROP "drop"

/* Tells it under |plan|.  NULL, or what went wrong: a text that lives until the next telling. */
const char *story_tell(const struct stage *stage, const struct fault_plan *plan,
                       struct fault_report *report);

#endif
