/* The allocator that everybody in the process calls. */
#include "faults.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

enum { SMALL = 64 };

#ifdef __SANITIZE_ADDRESS__
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t n);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *p, size_t n);
void REAL(free)(void *p);

void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);
void free(void *p);
char *strdup(const char *s);

static const struct fault_way no_memory[] = {{"ENOMEM", 0, ENOMEM, false}};

static bool fails(const char *function, const void *caller)
{
    if (!fault_due(FAULT_ALLOC, function, caller, no_memory, 1))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t n)
{
    const void *caller = __builtin_return_address(0);

    return fails("malloc", caller) ? NULL : fault_born(REAL(malloc)(n), n, caller);
}

void *calloc(size_t n, size_t size)
{
    const void *caller = __builtin_return_address(0);

    return fails("calloc", caller) ? NULL : fault_born(REAL(calloc)(n, size), n * size, caller);
}

void *realloc(void *p, size_t n)
{
    const void *caller = __builtin_return_address(0);
    void *q;

    if (fails("realloc", caller))
        return NULL;
    /* Before: afterwards another thread may have got the same address. */
    if (n > 0)
        fault_dead(p);
    q = REAL(realloc)(p, n);
    return fault_born(q, n, caller);
}

/*
 * Small blocks are not given out again: so it is the second free() that is noticed, and not that of
 * who has got the block in between.  A sanitizer does so by itself.
 */
static bool is_kept(void *p)
{
#ifdef __SANITIZE_ADDRESS__
    (void)p;
    return false;
#else
    return faults_are_counted() && malloc_usable_size(p) <= SMALL;
#endif
}

void free(void *p)
{
    fault_dead(p);
    if (!is_kept(p))
        REAL(free)(p);
}

/* The C library's would call malloc() itself: nobody could tell for whom. */
char *strdup(const char *s)
{
    const void *caller = __builtin_return_address(0);
    size_t n = strlen(s) + 1;
    char *copy = fails("strdup", caller) ? NULL : fault_born(REAL(malloc)(n), n, caller);

    return copy ? memcpy(copy, s, n) : NULL;
}
