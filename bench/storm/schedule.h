/*
 * How long a client waits before it tries again: ours, the textbook's kinds of jitter, and what
 * well-known clients do by default (from their published sources).
 *
 * Ours is the core's own, by its policy.  For the others the sequence is still the core's, and only
 * the wait is replaced; they know nothing of what a server asks for.
 */
#ifndef STORM_SCHEDULE_H
#define STORM_SCHEDULE_H

#include "core/rng.h"
#include "core/vocab.h"

#define SCHEDULE_GIVE_UP UINT64_MAX

/* What a client remembers from one wait to the next. */
struct memory {
    uint32_t tries;  /* Waits since the last link that counts. */
    uint32_t due_ms; /* When the last one ended. */
    uint32_t own_ms; /* The schedule's own. */
};

struct schedule {
    const char *name;
    const char *what; /* A line for --list. */
    /* Ours: sets what differs from the configured policy; the fleet takes |ideal_ms| to return. */
    void (*policy)(struct wst__policy *p, uint64_t ideal_ms);
    /* Others: the wait, or SCHEDULE_GIVE_UP. */
    uint64_t (*wait)(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                     uint32_t now_ms);
    uint64_t cap_ms;       /* Others: the largest nominal wait; 0: the policy's. */
    uint32_t forgiving_ms; /* Others: a link that was up for so long begins a new count. */
    bool published;        /* A client of somebody else. */
};

/* All of them; the last one has no name. */
extern const struct schedule schedules[];
const struct schedule *schedule_find(const char *name, size_t len);

#endif
