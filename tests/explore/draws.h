/* The random draws of the core, as the exploration wants them: the least, the greatest, between. */
#ifndef TESTS_EXPLORE_DRAWS_H
#define TESTS_EXPLORE_DRAWS_H

#include <stdint.h>

struct wst__rng;

/* The draws of a step are digits to the base of three, the first one lowest. */
enum { DRAW_LEAST, DRAW_GREATEST, DRAW_BETWEEN, DRAW_COUNT };

/* Takes the first digit off |draws| and returns what it draws of [0, max]. */
uint64_t draws_take(unsigned *draws, uint64_t max);
/* What the core draws from now on. */
void draws_script(unsigned draws);
/* How many there were since. */
unsigned draws_taken(void);
/* Uniform in [0, max], for the test itself. */
uint64_t draws_upto(uint64_t *state, uint64_t max);

#endif
