/*
 * JSON text (RFC 8259) into cJSON's tree and away again, and JSON pointers (RFC 6901) into it.
 *
 * cJSON frees what it has built, unwiped, when a text turns out to be wrong half way.  So a text is
 * checked in full first, and cJSON sees only texts that it can read to the end: its tree is then
 * ours to wipe.  Running out of memory half way is the one case left in which cJSON gives back a
 * partial tree by itself.
 */
#ifndef WST_WIRE_JSON_H
#define WST_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

enum wst__json_fault {
    WST__JSON_OK = 0,
    WST__JSON_EMPTY, /* Nothing but white space. */
    WST__JSON_CUT,   /* Right so far, but it ends too early. */
    WST__JSON_WRONG, /* Not JSON; or more than 64 levels, a number of more than 60 characters. */
    WST__JSON_NUL,   /* A string holds U+0000, which a C string cannot. */
    WST__JSON_NOMEM
};

/* Checks one whole text; a byte order mark in front is passed over.  |*at|: where it went wrong. */
enum wst__json_fault wst__json_check(const char *text, size_t n, size_t *at);

/* Checks and reads it.  |*root| is NULL unless OK. */
enum wst__json_fault wst__json_read(const char *text, size_t n, struct cJSON **root, size_t *at);
/* Wipes every string and key of the tree and frees it.  NULL does nothing. */
void wst__json_drop(struct cJSON *root);

/* Is it a JSON pointer? */
bool wst__json_pointer_ok(const char *pointer);
/* What |pointer| names, NULL when there is no such thing; of equal keys the first counts. */
const struct cJSON *wst__json_at(const struct cJSON *root, const char *pointer);
/* "a number", "an object" ... */
const char *wst__json_type(const struct cJSON *item);
/* The value of a number, or of a string that holds a decimal number, as some servers send. */
bool wst__json_number(const struct cJSON *item, double *value);

#endif
