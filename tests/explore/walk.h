/* Walks of the core in real time, to check what the exploration has found. */
#ifndef TESTS_EXPLORE_WALK_H
#define TESTS_EXPLORE_WALK_H

#include "plans.h"
#include "set.h"

/* Walks |count| times, each with durations, times and events of its own: every world on the way
 * must have a key of |set|.  Returns the steps. */
uint64_t walk(const struct plan *plan, const struct set *set, uint64_t count);

#endif
