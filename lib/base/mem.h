/* The one door to the allocator. */
#ifndef WST_BASE_MEM_H
#define WST_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *wst__malloc(size_t n);
void *wst__calloc(size_t n, size_t size);
void *wst__realloc(void *p, size_t n);
/* NULL does nothing. */
void wst__free(void *p);
/* Copies a string; NULL when out of memory, and for NULL. */
char *wst__strdup(const char *s);
char *wst__strndup(const char *s, size_t n);
/* The same text, or both NULL. */
bool wst__same_text(const char *a, const char *b);
/* Overwrites memory in a way that a compiler does not remove. */
void wst__wipe(void *p, size_t n);

#endif
