/* The one door to the allocator; and the wipe that stays. */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *wst__malloc(size_t n)
{
    return malloc(n ? n : 1);
}

void *wst__calloc(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *wst__realloc(void *p, size_t n)
{
    return realloc(p, n ? n : 1);
}

void wst__free(void *p)
{
    free(p);
}

char *wst__strdup(const char *s)
{
    return s ? wst__strndup(s, strlen(s)) : NULL;
}

char *wst__strndup(const char *s, size_t n)
{
    char *copy = wst__malloc(n + 1);

    if (!copy)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

/* Called through a volatile pointer, so that no compiler can prove the stores useless. */
static void *(*const volatile set)(void *, int, size_t) = memset;

void wst__wipe(void *p, size_t n)
{
    if (n)
        set(p, 0, n);
}

bool wst__same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}
