/* The policies that are explored. */
#ifndef TESTS_EXPLORE_PLANS_H
#define TESTS_EXPLORE_PLANS_H

#include "core/core.h"

#include <stddef.h>

/* Durations in every order of those that one step may start together. */
#define DURATIONS 3

struct plan {
    const char *name;
    bool no_token, no_ticket, serial, late_target, no_ping;
    enum wst_give_up give_up;
    uint32_t max_attempts;
    /* What was found, and must be found again; with the whole alphabet of failures. */
    size_t states, states_of_all;
    uint64_t steps, steps_of_all;
};

extern const struct plan plans[];
extern const size_t plan_count;

/* With the durations number |d|. */
void plan_policy(const struct plan *plan, size_t d, struct wst__policy *p);

#endif
