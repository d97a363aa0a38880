/*
 * The peer of the stories: one process for all tellings, which keeps a book for each (site.h).
 */
#ifndef WST_TESTS_PEER_H
#define WST_TESTS_PEER_H

#include "story.h"

/* It ends with this process. */
void peer_start(void);
/* Opens the book of telling |number|, from 1; numbers rise. */
struct stage peer_stage(unsigned number);
/* Removes its files. */
void peer_remove_files(void);

/* Memory that is shared with children. */
void *peer_share(size_t size);
void die(const char *what) __attribute__((noreturn));

#endif
