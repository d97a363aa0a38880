#include "wheel.h"

#include <stdlib.h>

#define SLOTS   (UINT32_C(1) << 17) /* 131 s: what waits longer stays for another turn. */
#define DRAINED SLOTS               /* The list that is being emptied. */
#define NOWHERE UINT32_MAX

struct node {
    uint32_t next, prev;
    uint32_t at_ms;
    uint32_t list; /* A slot, DRAINED, or NOWHERE. */
};

struct list {
    uint32_t first, last;
};

struct wheel {
    struct list lists[SLOTS + 1];
    struct node *nodes;
};

struct wheel *wheel_new(uint32_t nodes)
{
    struct wheel *w = malloc(sizeof *w);

    if (!w)
        return NULL;
    w->nodes = malloc(sizeof *w->nodes * nodes);
    if (!w->nodes) {
        free(w);
        return NULL;
    }
    for (uint32_t i = 0; i <= SLOTS; i++)
        w->lists[i].first = w->lists[i].last = WHEEL_NONE;
    for (uint32_t i = 0; i < nodes; i++)
        w->nodes[i].list = NOWHERE;
    return w;
}

void wheel_free(struct wheel *w)
{
    if (w)
        free(w->nodes);
    free(w);
}

static void append(struct wheel *w, uint32_t list, uint32_t node)
{
    struct list *l = &w->lists[list];
    struct node *n = &w->nodes[node];

    n->list = list;
    n->prev = l->last;
    n->next = WHEEL_NONE;
    if (l->last == WHEEL_NONE)
        l->first = node;
    else
        w->nodes[l->last].next = node;
    l->last = node;
}

void wheel_cancel(struct wheel *w, uint32_t node)
{
    struct node *n = &w->nodes[node];
    struct list *l;

    if (n->list == NOWHERE)
        return;
    l = &w->lists[n->list];
    if (n->prev == WHEEL_NONE)
        l->first = n->next;
    else
        w->nodes[n->prev].next = n->next;
    if (n->next == WHEEL_NONE)
        l->last = n->prev;
    else
        w->nodes[n->next].prev = n->prev;
    n->list = NOWHERE;
}

void wheel_put(struct wheel *w, uint32_t node, uint32_t at_ms)
{
    wheel_cancel(w, node);
    w->nodes[node].at_ms = at_ms;
    append(w, at_ms % SLOTS, node);
}

bool wheel_waits(const struct wheel *w, uint32_t node)
{
    return w->nodes[node].list != NOWHERE;
}

uint32_t wheel_at(const struct wheel *w, uint32_t node)
{
    return w->nodes[node].at_ms;
}

/* Moves the slot of |now_ms| to DRAINED, and back what waits for another turn. */
static void sort_out(struct wheel *w, uint32_t now_ms)
{
    uint32_t node = w->lists[now_ms % SLOTS].first;

    w->lists[now_ms % SLOTS].first = w->lists[now_ms % SLOTS].last = WHEEL_NONE;
    while (node != WHEEL_NONE) {
        uint32_t next = w->nodes[node].next;

        append(w, w->nodes[node].at_ms == now_ms ? DRAINED : now_ms % SLOTS, node);
        node = next;
    }
}

uint32_t wheel_next(const struct wheel *w)
{
    return w->lists[DRAINED].first;
}

uint32_t wheel_take(struct wheel *w, uint32_t now_ms)
{
    uint32_t node;

    if (w->lists[DRAINED].first == WHEEL_NONE)
        sort_out(w, now_ms);
    node = w->lists[DRAINED].first;
    if (node != WHEEL_NONE)
        wheel_cancel(w, node);
    return node;
}
