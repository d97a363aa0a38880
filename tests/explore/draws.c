/*
 * A generator in the place of core/rng.c: this file defines its functions, so that the linker does
 * not take them from the core's library.  Which numbers are drawn is one more thing that may come.
 */
#include "draws.h"

#include "core/rng.h"

static unsigned script, taken;

uint64_t draws_upto(uint64_t *state, uint64_t max)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U); /* splitmix64; its bias does not matter here. */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    z ^= z >> 31;
    return max == UINT64_MAX ? z : z % (max + 1);
}

uint64_t draws_take(unsigned *draws, uint64_t max)
{
    unsigned digit = *draws % DRAW_COUNT;

    *draws /= DRAW_COUNT;
    if (digit == DRAW_BETWEEN)
        return max / 2;
    return digit == DRAW_GREATEST ? max : 0;
}

void draws_script(unsigned draws)
{
    script = draws;
    taken = 0;
}

unsigned draws_taken(void)
{
    return taken;
}

void wst__rng_init(struct wst__rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = seed;
}

uint64_t wst__rng_next(struct wst__rng *r)
{
    return wst__rng_upto(r, UINT64_MAX);
}

uint64_t wst__rng_upto(struct wst__rng *r, uint64_t max)
{
    (void)r;
    taken++;
    return draws_take(&script, max);
}
