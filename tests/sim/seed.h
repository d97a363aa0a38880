/*
 * One seed of the simulated world.  It draws a configuration, a history of weather (delays, losses,
 * stalls, resets, half-open links, refusals, garbage, sleeps, jumps of the wall clock), and an
 * application that calls whatever it likes whenever it likes, inside callbacks too.  The world and
 * the application watch the promises all the while (world_ws.c, app.c).  In the end either the
 * client is closed, or the world turns good, and then it must be open within a bound that is
 * computed from the configuration (seed.c, "Liveness").
 */
#ifndef WST_SIM_SEED_H
#define WST_SIM_SEED_H

#include "core/core.h"
#include "sim/decide.h"

#include <stdint.h>

/* A situation: what is true at the moment when the world turns good, as bits of a number. */
#define SIM_SITUATION_BITS 14
#define SIM_SITUATIONS     (1u << SIM_SITUATION_BITS)

/* What came of one seed, or of many. */
struct sim_outcome {
    uint64_t seeds, simulated_s, attempts, opens, steps, decisions;
    /* Liveness. */
    uint64_t turned_good, from[WST__STATE_COUNT][WST__DIAL_COUNT];
    unsigned slowest_percent[WST__STATE_COUNT]; /* Of its bound, by where it began. */
    uint8_t situations[SIM_SITUATIONS / 8];
    char failure[512]; /* The first one; "": none. */
};

struct sim_seed_run {
    uint64_t number;
    const struct sim_history *script; /* Its decisions, sorted; NULL: drawn from |number|. */
    struct sim_history *record;       /* Gets its decisions; NULL: none. */
    const char *trace_before;         /* Its trace goes to stdout, with this before each line. */
};

/* Runs it and adds what came of it to |out|. */
void sim_seed_run(const struct sim_seed_run *run, struct sim_outcome *out);
void sim_outcome_add(struct sim_outcome *to, const struct sim_outcome *from);

#endif
