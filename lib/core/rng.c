/*
 * xoshiro256** by David Blackman and Sebastiano Vigna, its state filled by splitmix64 as they
 * advise: so that close seeds give unrelated sequences and the state is never all zero.
 */
#include "core/rng.h"

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void wst__rng_init(struct wst__rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix64(&seed);
}

uint64_t wst__rng_next(struct wst__rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t wst__rng_upto(struct wst__rng *r, uint64_t max)
{
    uint64_t range = max + 1;
    uint64_t surplus, x;

    if (range == 0)
        return wst__rng_next(r);
    /* 2^64 is not a multiple of |range|: the first 2^64 mod range values would be drawn too often,
     * so they are drawn again. */
    surplus = (0 - range) % range;
    do {
        x = wst__rng_next(r);
    } while (x < surplus);
    return x % range;
}
