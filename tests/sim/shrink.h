/*
 * Shrinks a failing history: delta debugging (Zeller and Hildebrandt's ddmin) over its decisions
 * that are not 0; then each unit that is left is tried as an earlier one of its kind (the eleventh
 * call of the application as its first), and each value is made smaller.
 */
#ifndef WST_SIM_SHRINK_H
#define WST_SIM_SHRINK_H

#include "sim/decide.h"

/* Does this history (sorted by name) still fail in the same way? */
typedef bool sim_fails_fn(const struct sim_history *h, void *arg);

/* |h| fails, and is made as small as |most_runs| tries allow; sorted by name afterwards.  Returns
 * the tries. */
unsigned sim_shrink(struct sim_history *h, sim_fails_fn *fails, void *arg, unsigned most_runs);

#endif
