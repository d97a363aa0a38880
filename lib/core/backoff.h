/* The delay before the next attempt: cap first, then jitter; a server's wish is a floor. */
#ifndef WST_CORE_BACKOFF_H
#define WST_CORE_BACKOFF_H

#include "core/rng.h"
#include "core/vocab.h"

#define WST__MIN_DELAY_MS 50

/* min(cap, base * 2^(failures - 1)); failures from 1, WST__BACKOFF_CAP for the cap itself.  Never
 * overflows.  A base of 0 counts as 1 ms. */
#define WST__BACKOFF_CAP UINT32_MAX
uint64_t wst__backoff_nominal(const struct wst__policy *p, uint32_t failures);
/*
 * Uniform in nominal * [1 - j, 1 + j], never below 50 ms.  With |retry_after_ms| (bounded by
 * max_server_delay_ms): max(it, that) + U(0, max(it, 1 s)).  With |spread_ms|, which the caller has
 * bounded: + U(0, spread).
 */
uint64_t wst__backoff_delay(const struct wst__policy *p, struct wst__rng *r, uint32_t failures,
                            uint64_t retry_after_ms, uint64_t spread_ms);

#endif
