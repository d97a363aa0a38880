/*
 * The onlooker: knows the events and the actions, keeps a book of what must follow from them by
 * the design, and objects when the core does otherwise.  It decides by the tables of the design,
 * not by the core's code.
 */
#ifndef TESTS_EXPLORE_BOOK_H
#define TESTS_EXPLORE_BOOK_H

#include "core/core.h"

/* What the book holds the core to, in time. */
enum promised {
    P_STEP,    /* An answer, or the end of the attempt. */
    P_DIAL,    /* A connection, or its end. */
    P_ATTEMPT, /* Open, or the end of the attempt. */
    P_IDLE,    /* No connection that waits for longer. */
    P_STABLE,  /* The failures are forgiven. */
    P_PING,    /* A ping, unless one is unanswered. */
    P_DEAD,    /* A sign of life, or the end of the link. */
    P_CLOSE,   /* The end of the close handshake. */
    P_RETRY,   /* The next attempt. */
    P_FLOOR,   /* No attempt before: the server asked for it. */
    P_WAKE,    /* No other wake counts before. */
    P_COUNT
};

enum { NO_REQUEST, TOKEN_ASKED, TICKET_ASKED };
enum { NO_CONN, DIALING, STANDS, UPGRADING, IS_OPEN, PEER_CLOSES, CLOSE_BEGUN };
enum { NO_PING, PING_ASKED, PING_LEFT };
/* What a ticket's reply may ask for the time when the link has ended. */
enum { NO_STEERING, WITH_SPREAD, WITH_FLOOR, STEERINGS };
#define SPREAD_MS 4000
#define FLOOR_MS  2500

/* What is not time, as bytes: a part of the key. */
struct book_bits {
    uint8_t state;
    uint8_t wanted;       /* Starts without a stop. */
    uint8_t attempt_runs; /* Begun, and neither open nor failed. */
    uint8_t lives;        /* Starts without their terminal event. */
    uint8_t request;
    uint8_t sent;        /* The ticket's request has left. */
    uint8_t token;       /* Of this attempt: at hand. */
    uint8_t ticket;      /* At hand. */
    uint8_t tickets;     /* Asked for in this attempt. */
    uint8_t conn;        /* The dial, the connection, the link. */
    uint8_t dial_failed; /* And the ticket's answer is awaited. */
    uint8_t redialed;
    uint8_t ping;
    uint8_t stable; /* The link has stayed up. */
    uint8_t serial; /* The last attempt failed before step 3. */
    uint8_t ever_open;
    uint8_t token_retried; /* A 401 in step 2 was answered with another token. */
    uint8_t steering;      /* Of the last ticket's reply. */
    uint8_t failures, auth_failures, ticket_refusals, tries;
};

struct book {
    struct book_bits is;
    uint64_t due[P_COUNT]; /* WST__NEVER: not promised. */
    uint64_t asked_boot_ms, life_ms;
};

/* Called when a promise is broken; does not return. */
extern void (*book_objects)(const char *promise, const char *file, int line);

void book_begin(struct book *b);
/*
 * One step of the core, in three parts: before it, for each of its actions, and after it.  |c| is
 * the core before the step in the first, and after it in the others.  |draws| are the random draws
 * of the step; draws.h.
 */
void book_event(struct book *b, const struct wst__core *c, const struct wst__event *ev,
                unsigned draws);
void book_actions(struct book *b, const struct wst__core *before, const struct wst__core *c,
                  const struct wst__event *ev, const struct wst__actions *out, unsigned draws);

#endif
