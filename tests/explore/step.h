/* One step of a world: the core steps, the book checks, and what was seen is counted. */
#ifndef TESTS_EXPLORE_STEP_H
#define TESTS_EXPLORE_STEP_H

#include "space.h"

/* |draws|: see book.h.  Returns how many random draws there were. */
unsigned step_world(struct world *w, const struct wst__event *ev, unsigned draws);
/* How many there were since the last call. */
uint64_t steps_taken(void);
/* Would the core have foreseen the failure in which this step ends, and no other? */
void check_foresight(const struct world *before, const struct wst__event *ev, unsigned draws);

/* Prints as comments the cells of the core's table that were never reached, with the reason.
 * Returns how many of them have none. */
size_t print_unreached(void);
/* The moves between the states that were seen, for Graphviz. */
void write_diagram(char *text, size_t size);

#endif
