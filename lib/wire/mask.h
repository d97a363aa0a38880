/* Masking (RFC 6455, 5.3): one of the two hot loops of the WebSocket engine. */
#ifndef WST_WIRE_MASK_H
#define WST_WIRE_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies |n| bytes from |from| to |to|, masked with |key|.  The two do not overlap. */
void wst__mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4]);

/* The ways it can go, fastest first, for the tests. */
struct wst__mask_way {
    const char *name;
    bool (*usable)(void); /* On this CPU. */
    void (*mask)(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[4]);
};
extern const struct wst__mask_way wst__mask_ways[];
extern const size_t wst__mask_way_count;

#endif
