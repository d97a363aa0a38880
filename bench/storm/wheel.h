/*
 * The calendar of a storm: a wheel with one slot per millisecond.  Nodes are numbers into one array
 * and each can wait for one moment; to put, to move and to take out cost the same, however many
 * wait.  Nodes of the same millisecond come out in the order in which they were put, so a run
 * depends on nothing but its seed.
 */
#ifndef STORM_WHEEL_H
#define STORM_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_NONE UINT32_MAX

struct wheel;

/* For |nodes| nodes, numbered from 0, none of them waiting.  NULL: out of memory. */
struct wheel *wheel_new(uint32_t nodes);
void wheel_free(struct wheel *w);

/* |node| waits for |at_ms|, which is not before the present, and for nothing else any more. */
void wheel_put(struct wheel *w, uint32_t node, uint32_t at_ms);
void wheel_cancel(struct wheel *w, uint32_t node);
bool wheel_waits(const struct wheel *w, uint32_t node);
uint32_t wheel_at(const struct wheel *w, uint32_t node);
/* The next node that is due at |now_ms|, taken out, or WHEEL_NONE.  |now_ms| is every millisecond
 * in turn: no slot may be skipped that a node waits in. */
uint32_t wheel_take(struct wheel *w, uint32_t now_ms);
/* The one that wheel_take() will probably return next; WHEEL_NONE: not known. */
uint32_t wheel_next(const struct wheel *w);

#endif
