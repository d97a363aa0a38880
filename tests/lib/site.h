/*
 * The server's side of the sequence for tests, on one connection of tests/lib/server.h: token,
 * ticket, upgrade, and WebSocket frames one by one.
 */
#ifndef WST_TESTS_SITE_H
#define WST_TESTS_SITE_H

#include "lib/server.h"

/* One frame from the client, unmasked. */
struct site_frame {
    uint8_t first; /* FIN, RSV, opcode. */
    size_t n;
    uint8_t payload[70000];
};

/*
 * Answers requests for a token or a ticket (each ticket another one), until the connection ends or
 * an upgrade was accepted: true.
 */
bool site_serve(struct conn *c);
/* The same, and permessage-deflate is agreed upon; compressed frames are received as they are. */
bool site_serve_packed(struct conn *c);
/* An unmasked frame.  |n| < 65536. */
bool site_send(struct conn *c, uint8_t first, const void *payload, size_t n);
/* Reads a frame; false at the end, or when it is none that a client may send. */
bool site_receive(struct conn *c, struct site_frame *f);
/* The way to end: answers a close frame, or begins with one, and waits for the client's. */
void site_close(struct conn *c, const struct site_frame *received);

#endif
