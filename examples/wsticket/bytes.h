/*
 * Growable bytes, for what is waiting to be written and what was read but not yet used.  A program
 * may end when memory does, so nothing here fails: it says so and exits.
 */
#ifndef WSTICKET_BYTES_H
#define WSTICKET_BYTES_H

#include <stdbool.h>
#include <stddef.h>

struct bytes {
    char *data;
    size_t len;
    size_t cap;
};

void bytes_add(struct bytes *b, const void *data, size_t len);
/* Takes the first |len| bytes away. */
void bytes_drop(struct bytes *b, size_t len);
void bytes_free(struct bytes *b);

/*
 * Adds text that somebody else wrote so that it cannot steer a terminal: control characters become
 * visible ("\x1b").  |lines|: tab and line feed pass.
 */
void bytes_add_visible(struct bytes *b, const char *text, size_t len, bool lines);

/* malloc() and strdup() that end the program when memory is used up. */
void *must_alloc(size_t size);
char *must_copy(const char *text);

#endif
