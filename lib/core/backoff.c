/*
 * The delay before the next attempt.  The cap bounds the nominal delay and the jitter comes after
 * it: a clamp behind the jitter would gather every client that waits long at exactly the cap.
 * What a server asks for is a floor with jitter on top, for a million clients that obey it to the
 * millisecond are a herd of a million.
 */
#include "core/backoff.h"

#define MIN_RETRY_JITTER_MS 1000

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* a + b, at most WST__NEVER - 1. */
static uint64_t add(uint64_t a, uint64_t b)
{
    return a >= WST__NEVER - 1 - smaller(b, WST__NEVER - 1) ? WST__NEVER - 1 : a + b;
}

uint64_t wst__backoff_nominal(const struct wst__policy *p, uint32_t failures)
{
    uint64_t base = larger(p->base_ms, 1);
    uint32_t doublings = failures > 0 ? failures - 1 : 0;

    /* base << doublings > cap, asked without the overflow. */
    if (doublings >= 64 || base > p->cap_ms >> doublings)
        return p->cap_ms;
    return base << doublings;
}

/* Uniform in nominal * [1 - j, 1 + j]. */
static uint64_t jittered(struct wst__rng *r, uint64_t nominal, uint32_t percent)
{
    uint64_t j = smaller(percent, 100);
    uint64_t width;

    nominal = smaller(nominal, WST__NEVER / 4);
    width = nominal / 100 * j + nominal % 100 * j / 100;
    return nominal - width + wst__rng_upto(r, 2 * width);
}

uint64_t wst__backoff_delay(const struct wst__policy *p, struct wst__rng *r, uint32_t failures,
                            uint64_t retry_after_ms, uint64_t spread_ms)
{
    uint64_t floor = smaller(retry_after_ms, p->max_server_delay_ms);
    uint64_t delay = jittered(r, wst__backoff_nominal(p, failures), p->jitter_percent);

    delay = larger(delay, WST__MIN_DELAY_MS);
    if (floor > 0)
        delay = add(larger(delay, floor), wst__rng_upto(r, larger(floor, MIN_RETRY_JITTER_MS)));
    if (spread_ms > 0)
        delay = add(delay, wst__rng_upto(r, spread_ms));
    return delay;
}
