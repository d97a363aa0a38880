/* The set of the keys that were reached, in the order of their discovery. */
#ifndef TESTS_EXPLORE_SET_H
#define TESTS_EXPLORE_SET_H

#include "space.h"

/* How a key was reached first. */
struct way {
    uint32_t from;
    uint16_t word; /* TIME_PASSES, TICKET_AGES or a word of the state. */
    uint8_t durations, draws;
};

struct set {
    struct key *keys;
    struct way *ways;
    uint32_t *slots; /* Index + 1; 0: free. */
    size_t count, room, slot_count;
};

void set_init(struct set *s);
void set_fini(struct set *s);
void set_add(struct set *s, const struct key *k, const struct way *way);
bool set_has(const struct set *s, const struct key *k);

#endif
