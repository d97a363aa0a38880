/* An open hash table over a growing array. */
#include "set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static uint64_t hash(const struct key *k)
{
    const uint8_t *p = (const uint8_t *)k;
    uint64_t h = 0xcbf29ce484222325U;

    for (size_t i = 0; i < sizeof *k; i++)
        h = (h ^ p[i]) * 0x100000001b3U;
    return h ^ (h >> 29);
}

static size_t find(const struct set *s, const struct key *k)
{
    size_t at = hash(k) & (s->slot_count - 1);

    while (s->slots[at] && memcmp(&s->keys[s->slots[at] - 1], k, sizeof *k) != 0)
        at = (at + 1) & (s->slot_count - 1);
    return at;
}

void set_init(struct set *s)
{
    memset(s, 0, sizeof *s);
    s->slot_count = (size_t)1 << 16;
    s->room = s->slot_count / 2;
    s->slots = must(calloc(s->slot_count, sizeof *s->slots));
    s->keys = must(malloc(s->room * sizeof *s->keys));
    s->ways = must(malloc(s->room * sizeof *s->ways));
}

void set_fini(struct set *s)
{
    free(s->slots);
    free(s->keys);
    free(s->ways);
}

static void grow(struct set *s)
{
    s->room *= 2;
    s->slot_count *= 2;
    free(s->slots);
    s->slots = must(calloc(s->slot_count, sizeof *s->slots));
    s->keys = must(realloc(s->keys, s->room * sizeof *s->keys));
    s->ways = must(realloc(s->ways, s->room * sizeof *s->ways));
    for (size_t i = 0; i < s->count; i++)
        s->slots[find(s, &s->keys[i])] = (uint32_t)i + 1;
}

void set_add(struct set *s, const struct key *k, const struct way *way)
{
    size_t at = find(s, k);

    if (s->slots[at])
        return;
    if (s->count == s->room) {
        grow(s);
        at = find(s, k);
    }
    s->keys[s->count] = *k;
    s->ways[s->count] = *way;
    s->slots[at] = (uint32_t)++s->count;
}

bool set_has(const struct set *s, const struct key *k)
{
    return s->slots[find(s, k)] != 0;
}
