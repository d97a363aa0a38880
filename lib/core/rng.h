/* A small seedable generator (not for secrets): what is drawn can be replayed. */
#ifndef WST_CORE_RNG_H
#define WST_CORE_RNG_H

#include <stdint.h>

struct wst__rng {
    uint64_t s[4];
};

/* Any seed will do, 0 included. */
void wst__rng_init(struct wst__rng *r, uint64_t seed);
uint64_t wst__rng_next(struct wst__rng *r);
/* Uniform in [0, max], without bias. */
uint64_t wst__rng_upto(struct wst__rng *r, uint64_t max);

#endif
