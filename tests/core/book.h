/*
 * An onlooker beside the core, for events at random: it knows only the events and the actions,
 * keeps a book of them, and objects when an action, or what is left undone, breaks a promise.
 */
#ifndef TESTS_CORE_BOOK_H
#define TESTS_CORE_BOOK_H

#include "core/core.h"

enum request { NO_REQUEST, ASKED_TOKEN, ASKED_TICKET };
enum conn { NO_CONN, DIALING, STANDS, UPGRADING, IS_OPEN, CLOSE_BEGUN };

/* What an onlooker knows. */
struct book {
    enum wst_state state;
    bool attempt_runs;    /* Begun, and neither open nor failed. */
    uint64_t attempt;     /* Its number. */
    int lives;            /* Starts that have not ended. */
    enum request request; /* The answer that is awaited. */
    bool token_known;     /* Of this attempt. */
    bool ticket;          /* At hand. */
    int tickets;          /* Fetched in this attempt. */
    uint64_t asked_boot_ms, life_ms;
    enum conn conn;
    bool closed_told; /* For this open link. */
    uint64_t open_since_ms, floor_ms;
    bool back, slept; /* A clock stepped back, or the machine slept, in this life of a wait. */
    uint32_t failures;
    uint64_t now_ms, boot_ms; /* Of the last event. */
    const char *broken;       /* The first promise that was; NULL: none. */
};

void book_init(struct book *b);
/* Steps the core, and reads it.  False: a promise is broken, |broken| names it. */
bool book_step(struct book *b, struct wst__core *c, const struct wst__event *ev,
               struct wst__actions *out);

#endif
