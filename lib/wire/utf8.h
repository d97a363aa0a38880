/*
 * UTF-8 validation (RFC 3629): one of the two hot loops of the WebSocket engine.  The automaton is
 * the definition; the vector code does the same by lookup tables, about twenty times as fast.
 */
#ifndef WST_WIRE_UTF8_H
#define WST_WIRE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* States of the automaton; all other values: inside a character. */
enum { WST__UTF8_ACCEPT = 0, WST__UTF8_REJECT = 1 };

/* Is it a whole text?  Chooses the fastest way that this CPU has. */
bool wst__utf8_valid(const uint8_t *p, size_t n);

/*
 * Feeds one piece of a text and returns the new state: ACCEPT at a character's end, REJECT from
 * the first byte on that no valid text can have there, else inside a character.  The first piece
 * begins in ACCEPT.
 */
uint8_t wst__utf8_feed(uint8_t state, const uint8_t *p, size_t n);

/* The same byte by byte: the oracle. */
uint8_t wst__utf8_automaton(uint8_t state, const uint8_t *p, size_t n);

/* The ways wst__utf8_valid() can go, fastest first, for the tests. */
struct wst__utf8_way {
    const char *name;
    bool (*usable)(void); /* On this CPU. */
    bool (*valid)(const uint8_t *p, size_t n);
};
extern const struct wst__utf8_way wst__utf8_ways[];
extern const size_t wst__utf8_way_count;

#endif
