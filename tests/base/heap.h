/*
 * A spy on the allocator, for programs that are linked with --wrap: counts what is alive, refuses
 * an allocation when asked, and notes whether a block still held a marker when it was given back.
 */
#ifndef TEST_BASE_HEAP_H
#define TEST_BASE_HEAP_H

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

void *__real_wst__malloc(size_t n);
void *__real_wst__realloc(void *p, size_t n);
void __real_wst__free(void *p);
void *__wrap_wst__malloc(size_t n);
void *__wrap_wst__realloc(void *p, size_t n);
void __wrap_wst__free(void *p);

static struct {
    int alive;        /* Blocks allocated and not freed. */
    bool refuse;      /* Every allocation fails. */
    const char *mark; /* Looked for in each block that is freed. */
    size_t mark_at;   /* At this place. */
    size_t mark_len;
    int freed;        /* Blocks freed while a mark was set, */
    int freed_marked; /* and those which still held it. */
} heap;

void *__wrap_wst__malloc(size_t n)
{
    void *p = heap.refuse ? NULL : __real_wst__malloc(n);

    heap.alive += p != NULL;
    return p;
}

void *__wrap_wst__realloc(void *p, size_t n)
{
    void *q = heap.refuse ? NULL : __real_wst__realloc(p, n);

    heap.alive += p == NULL && q != NULL;
    return q;
}

void __wrap_wst__free(void *p)
{
    if (p && heap.mark) {
        heap.freed++;
        if (malloc_usable_size(p) >= heap.mark_at + heap.mark_len)
            heap.freed_marked += memcmp((char *)p + heap.mark_at, heap.mark, heap.mark_len) == 0;
    }
    heap.alive -= p != NULL;
    __real_wst__free(p);
}

static inline void heap_watch(const char *mark, size_t len)
{
    heap.mark = mark;
    heap.mark_at = 0;
    heap.mark_len = len;
    heap.freed = heap.freed_marked = 0;
}

#endif
