/*
 * The decisions of a simulated world.  Each has a name: the kind of its unit (the plan of an HTTP
 * exchange, a call of the application ...), which unit of that kind it is, and which decision in
 * there.  It is drawn from the seed and its name alone, so that one decision more or less changes
 * no other; and a decision of 0 is always the dull one: nothing fails, nobody does anything.
 *
 * So a history is the list of its decisions that are not 0, and can be played again from any part
 * of that list: the rest is 0.  By that a failing one is shrunk (shrink.h).
 */
#ifndef WST_SIM_DECIDE_H
#define WST_SIM_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_unit_kind {
    SIM_UNIT_SETUP,   /* The configuration, and when it ends. */
    SIM_UNIT_WEATHER, /* A change of the weather. */
    SIM_UNIT_HTTP,
    SIM_UNIT_DIAL,
    SIM_UNIT_WS,
    SIM_UNIT_FILE,
    SIM_UNIT_ACT, /* What the application or the server does of its own accord, */
    SIM_UNIT_GAP, /* and how long until the next time. */
    SIM_UNIT_VERDICT,
    SIM_UNIT_ORDER, /* Which of two things of one moment comes first. */
    SIM_UNIT_LATE,  /* How late a timer is. */
    SIM_UNIT_HOOK,  /* Inside a callback: one kind for each kind of callback, from here on. */
    SIM_UNIT_COUNT = SIM_UNIT_HOOK + 32
};

struct sim_decision {
    uint64_t name; /* Kind, unit, place in the unit: 8, 40, 16 bits. */
    uint64_t value;
};

struct sim_history {
    struct sim_decision *list;
    size_t count, room;
    bool fixed; /* |list| is not ours: it does not grow. */
};

/* The unit whose decisions are made. */
struct sim_unit {
    uint64_t name;
    uint64_t hash;
};

struct sim_decider {
    uint64_t seed;
    uint64_t counts[SIM_UNIT_COUNT];
    struct sim_unit unit;
    uint64_t made;                    /* Decisions so far. */
    const struct sim_history *script; /* Sorted by name: instead of the seed.  NULL: the seed. */
    struct sim_history *record;       /* Gets those that are not 0.  NULL: none. */
};

void sim_decider_init(struct sim_decider *d, uint64_t seed);
/* Begins the next unit of a kind; sim_unit_end() goes back to the one before. */
struct sim_unit sim_unit_begin(struct sim_decider *d, enum sim_unit_kind kind);
void sim_unit_end(struct sim_decider *d, struct sim_unit before);
/* 0 to |max|. */
uint64_t sim_decide(struct sim_decider *d, uint64_t max);
bool sim_decide_chance(struct sim_decider *d, unsigned per_mille);

#define SIM_UNIT_OF(name) ((name) & ~(uint64_t)0xffff)
#define SIM_UNIT_NTH      ((uint64_t)1 << 16) /* The next unit of that kind is so far away. */

void sim_history_add(struct sim_history *h, uint64_t name, uint64_t value);
void sim_history_sort(struct sim_history *h);
void sim_history_fini(struct sim_history *h);

#endif
