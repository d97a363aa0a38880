/*
 * The server's side of the sequence for tests, on one connection of tests/lib/server.h: token,
 * ticket, upgrade, and WebSocket frames one by one.
 */
#ifndef WST_TESTS_SITE_H
#define WST_TESTS_SITE_H

#include "lib/server.h"

#include <stdatomic.h>

enum { SITE_TICKETS = 256, SITE_SECRET = 33 };

/*
 * What a site has given to one client, and what came back.  It lies where processes can share it:
 * the site's writes, others may read, a ticket once it is counted.
 */
struct site_book {
    atomic_uint number; /* The client's: its URL has the path "/NUMBER".  0: nobody's. */
    char token[SITE_SECRET];
    char tickets[SITE_TICKETS][SITE_SECRET];
    bool used[SITE_TICKETS];
    atomic_uint given;     /* Tickets. */
    atomic_uint newest;    /* Of those that came back the last one given, from 1; 0: none did. */
    atomic_uint tokenless; /* Requests for a ticket without the token. */
    atomic_uint missing;   /* Upgrades without a ticket, */
    atomic_uint unknown;   /* with one that was not given to this client, */
    atomic_uint repeated;  /* with one that was used before. */
};

/* An empty one. */
void site_book_begin(struct site_book *book, unsigned number);
/* What the client has asked for that it must not; NULL: nothing. */
const char *site_book_offence(const struct site_book *book);

/* One frame from the client, unmasked. */
struct site_frame {
    uint8_t first; /* FIN, RSV, opcode. */
    size_t n;
    uint8_t payload[70000];
};

/*
 * Answers requests for a token or a ticket (each ticket another one), until the connection ends or
 * an upgrade was accepted: true.  A ticket that was not given, or was used, is refused with 401.
 */
bool site_serve(struct conn *c);
/*
 * The same, and permessage-deflate is agreed upon; compressed frames are received as they are.
 * Client N has books[N % count], c->book from then on; no book, no service.  An upgrade must have a
 * ticket.
 */
bool site_serve_packed(struct conn *c, struct site_book *books, size_t count);
/* An unmasked frame.  |n| < 65536. */
bool site_send(struct conn *c, uint8_t first, const void *payload, size_t n);
/* Reads a frame; false at the end, or when it is none that a client may send. */
bool site_receive(struct conn *c, struct site_frame *f);
/* The way to end: answers a close frame, or begins with one, and waits for the client's. */
void site_close(struct conn *c, const struct site_frame *received);

#endif
