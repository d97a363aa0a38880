/*
 * The allocator of the wire tests.  It counts what is alive, can fail the n-th call, and looks
 * through every block that is given back for a planted secret.  The library's own calls arrive by
 * the linker's --wrap, those of cJSON and libcurl by their hooks.
 */
#ifndef WST_TESTS_WIRE_MEMORY_H
#define WST_TESTS_WIRE_MEMORY_H

#include <stdbool.h>

/* Once, before anything else: routes cJSON and libcurl here. */
void memory_init(void);
/* The |n|-th allocation from now on fails, and only that one; 0: none. */
void memory_fail_at(long n);
/* Has that one come? */
bool memory_failed(void);
/* Blocks in use. */
long memory_alive(void);
/* From now on blocks that are freed with |secret| in them are counted; NULL: no longer. */
void memory_plant(const char *secret);
/* How many there were since. */
long memory_found(void);

#endif
