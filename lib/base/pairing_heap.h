/*
 * A pairing heap: the smallest key first.  Its nodes are embedded in what they order, so nothing is
 * allocated and nothing can fail.  To add one takes constant time, to take one out O(log n) in the
 * long run.
 */
#ifndef WST_BASE_PAIRING_HEAP_H
#define WST_BASE_PAIRING_HEAP_H

#include <stdint.h>

struct wst__heap_node {
    uint64_t key;                /* Not to be changed while it is in a heap. */
    struct wst__heap_node *down; /* The first of its children. */
    struct wst__heap_node *next; /* The next of its parent's children. */
    struct wst__heap_node *prev; /* The one before it; of the first child: the parent. */
};

/* All zero: empty. */
struct wst__heap {
    struct wst__heap_node *first; /* One with the smallest key; NULL: it is empty. */
};

/* |node| is in no heap. */
void wst__heap_add(struct wst__heap *heap, struct wst__heap_node *node);
/* |node| is in this heap, and may be any of it. */
void wst__heap_remove(struct wst__heap *heap, struct wst__heap_node *node);

#endif
