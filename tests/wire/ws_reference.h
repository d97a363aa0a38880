/*
 * A second engine, for comparison: RFC 6455 as plainly as it can be written, with the whole input
 * at hand and no thought of speed.  It shares nothing with the library but the automaton.
 */
#ifndef TESTS_WIRE_WS_REFERENCE_H
#define TESTS_WIRE_WS_REFERENCE_H

#include "ws_trace.h"

/* What must come of |n| bytes from a server: events and answers, as the fixture writes them. */
void reference_run(const uint8_t *p, size_t n, size_t max_message, struct trace *events,
                   struct trace *output);

/* Frames at random, most of them right: a stream for both engines.  Returns its length. */
size_t reference_stream(uint64_t *seed, uint8_t *to, size_t room);

#endif
