/* SipHash-2-4: a keyed hash, so that what is remembered of a secret tells nobody anything. */
#ifndef WST_BASE_SIPHASH_H
#define WST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t wst__siphash(const uint8_t key[16], const void *bytes, size_t n);

#endif
