/*
 * The space of the exploration: a core and the book of its onlooker, and the key of the set of all
 * cores that can do the same from here on.  How and why is in docs/exploration.md.
 *
 * In a key, time is the order of the deadlines.  A deadline is not running, due, or the first,
 * second, ... of those to come; distances are forgotten.  world_of() gives distances of |GAP| to
 * what is to come, which is longer than every duration of a policy, so that what a step starts
 * falls into the first gap; then add_orders() puts it at every later place, too.
 */
#ifndef TESTS_EXPLORE_SPACE_H
#define TESTS_EXPLORE_SPACE_H

#include "book.h"

#include <stddef.h>

#define NOW  ((uint64_t)1 << 40)
#define BOOT ((uint64_t)1 << 41)
#define GAP  ((uint64_t)1 << 24)

/* Failures from which on nothing changes any more: the nominal delay is the cap. */
#define FAILURES_AT_CAP 3

enum time_field {
    T_DUE, /* Of the state: core.due; in BACKOFF the first one is retry_due. */
    T_FLOOR = T_DUE + 4,
    T_WAKE,
    T_OF_BOOK, /* The book's own, in the order of enum promised. */
    T_COUNT = T_OF_BOOK + P_COUNT
};

struct world {
    struct wst__core core;
    struct book book;
};

struct key {
    uint8_t rank[T_COUNT]; /* 0: not running; 1: due; from 2 on: the order of those to come. */
    uint8_t state, dial, attempt, failures, auth_failures, ticket_refusals, tries;
    uint8_t flags[2];
    uint8_t ticket; /* 0: none; 1: fresh; 2: stale. */
    uint8_t kept;   /* The failure that is kept for later, by its index. */
    struct book_bits book;
};

/* The key of any world, at its own time. */
void key_of(const struct world *w, uint64_t now, uint64_t boot, struct key *k);
/* A world of this key, at NOW and BOOT. */
void world_of(const struct key *k, const struct wst__policy *p, struct world *w);
/* All keys that the world |w|, one step behind a world_of(), may have.  Returns how many; |max| is
 * never reached.  Those of a world of late are not given again. */
size_t all_orders(const struct world *w, uint64_t boot, struct key *keys, size_t max);
/* They are given again: another exploration begins. */
void forget_orders(void);
/* Has the step started a deadline whose place among the others depends on its duration? */
bool has_new_times(const struct world *w);
/* The key when the first of the deadlines to come has come; false: there is none. */
bool time_passes(const struct world *w, struct key *k);
/* The key when a wake counts again that did not at NOW; false: it did. */
bool wake_counts_again(const struct world *w, struct key *k);

#endif
