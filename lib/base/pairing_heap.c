/*
 * Every node's children have keys that are not smaller than its own.  Two heaps are made one by
 * putting the root with the larger key below the other.  What a removed node leaves, a list of
 * heaps, is joined in pairs from the left and then from the right (Fredman, Sedgewick, Sleator and
 * Tarjan, 1986); loops do it, for such a list may be as long as the heap is large.
 */
#include "base/pairing_heap.h"

#include <stddef.h>

/* Both are roots; either may be NULL. */
static struct wst__heap_node *join(struct wst__heap_node *a, struct wst__heap_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->key < a->key) {
        struct wst__heap_node *larger = a;

        a = b;
        b = larger;
    }
    b->next = a->down;
    b->prev = a;
    if (a->down)
        a->down->prev = b;
    a->down = b;
    return a;
}

/* Makes a root of |node|; returns what came behind it. */
static struct wst__heap_node *detach(struct wst__heap_node *node)
{
    struct wst__heap_node *rest = node->next;

    node->next = node->prev = NULL;
    return rest;
}

static struct wst__heap_node *join_all(struct wst__heap_node *list)
{
    struct wst__heap_node *pairs = NULL; /* The last one first. */
    struct wst__heap_node *all = NULL;

    while (list) {
        struct wst__heap_node *a = list;
        struct wst__heap_node *b = detach(a);

        list = b ? detach(b) : NULL;
        a = join(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct wst__heap_node *a = pairs;

        pairs = detach(a);
        all = join(all, a);
    }
    return all;
}

void wst__heap_add(struct wst__heap *heap, struct wst__heap_node *node)
{
    node->down = node->next = node->prev = NULL;
    heap->first = join(heap->first, node);
}

void wst__heap_remove(struct wst__heap *heap, struct wst__heap_node *node)
{
    struct wst__heap_node *left = join_all(node->down);

    node->down = NULL;
    if (!node->prev) {
        heap->first = left;
        return;
    }
    if (node->prev->down == node)
        node->prev->down = node->next;
    else
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
    (void)detach(node);
    heap->first = join(heap->first, left);
}
