/*
 * The allocator of a test program, in the place of the system's, for every library in the process:
 * it knows of each block how large it is and which library asked for it.  So it can count what is
 * alive, wipe what is freed, and look for secrets in what is freed.
 *
 * Not in a build with sanitizers, which have an allocator of their own: heap_works() is false.
 */
#ifndef WST_TESTS_LIB_HEAP_H
#define WST_TESTS_LIB_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

bool heap_works(void);

struct heap_count {
    size_t blocks, bytes;
};

/* What is alive. */
struct heap_count heap_alive(void);
/* Ends an age and returns its number; what was allocated in later ones and is alive. */
unsigned heap_age(void);
void heap_print_since(unsigned age, FILE *out);

/* Blocks are wiped as they are freed. */
void heap_wipe(bool on);

/*
 * Blocks are searched for |secret| (borrowed, until the next call) as they are freed, and all that
 * are alive by heap_search_alive().  NULL: no more.
 */
void heap_plant(const char *secret);
void heap_search_alive(void);
/* For each library that asked for a block with the secret in it: "NAME FREED ALIVE", one a line. */
void heap_print_found(FILE *out);

#endif
