/*
 * Runs a function over many seeds, in as many processes as there are processors.  A seed during
 * which its process dies or hangs is one that fails.
 */
#ifndef WST_TESTS_LIB_SWEEP_H
#define WST_TESTS_LIB_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWEEP_MAX_WORKERS 8
#define SWEEP_MAX_FAILED  3   /* Seeds of one process: then it ends. */
#define SWEEP_SEED_S      120 /* No seed takes so long: it hangs. */

struct sweep {
    uint64_t first, count;
    /* Runs a seed and adds what came of it to |sum|; false: it fails. */
    bool (*run)(uint64_t seed, void *sum);
    /* Adds the sum of one process to that of all. */
    void (*add)(void *sum, const void *from);
    void *sum;
    size_t sum_size;
    /* Filled in. */
    uint64_t failed[SWEEP_MAX_WORKERS * (SWEEP_MAX_FAILED + 1)];
    unsigned failed_count;
    bool complete; /* Every seed was run. */
    double seconds;
};

void sweep_run(struct sweep *s);
/* Memory that the processes forked later share with this one; zero. */
void *sweep_share(size_t n);
/* A number from the environment. */
uint64_t sweep_number(const char *name, uint64_t otherwise);

#endif
