/* Decisions: drawn from seed and name, or read from a script; and written down. */
#include "sim/decide.h"

#include <stdlib.h>

static uint64_t mix(uint64_t z) /* The output function of splitmix64. */
{
    z += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static struct sim_unit unit_of(const struct sim_decider *d, uint64_t name)
{
    return (struct sim_unit){name, mix(d->seed ^ mix(name))};
}

void sim_decider_init(struct sim_decider *d, uint64_t seed)
{
    *d = (struct sim_decider){.seed = seed};
    d->unit = unit_of(d, 0);
}

struct sim_unit sim_unit_begin(struct sim_decider *d, enum sim_unit_kind kind)
{
    struct sim_unit before = d->unit;

    d->unit = unit_of(d, (uint64_t)kind << 56 | ++d->counts[kind] << 16);
    return before;
}

void sim_unit_end(struct sim_decider *d, struct sim_unit before)
{
    d->unit = before;
}

static int by_name(const void *a, const void *b)
{
    const struct sim_decision *x = a, *y = b;

    return (x->name > y->name) - (x->name < y->name);
}

static uint64_t scripted(const struct sim_history *h, uint64_t name)
{
    const struct sim_decision key = {name, 0};
    const struct sim_decision *found =
        h->count ? bsearch(&key, h->list, h->count, sizeof key, by_name) : NULL;

    return found ? found->value : 0;
}

static uint64_t note(struct sim_decider *d, uint64_t name, uint64_t value)
{
    d->made++;
    if (d->record && value)
        sim_history_add(d->record, name, value);
    return value;
}

uint64_t sim_decide(struct sim_decider *d, uint64_t max)
{
    uint64_t name = ++d->unit.name; /* At most 65535 of a unit. */
    uint64_t value;

    if (d->script) {
        value = scripted(d->script, name);
        return note(d, name, value < max ? value : max);
    }
    value = mix(d->unit.hash + (name & 0xffff));
    return note(d, name, max == UINT64_MAX ? value : value % (max + 1));
}

bool sim_decide_chance(struct sim_decider *d, unsigned per_mille)
{
    uint64_t name = ++d->unit.name;

    if (per_mille == 0)
        return false;
    if (d->script)
        return note(d, name, scripted(d->script, name) != 0) != 0;
    return note(d, name, mix(d->unit.hash + (name & 0xffff)) % 1000 < per_mille) != 0;
}

void sim_history_add(struct sim_history *h, uint64_t name, uint64_t value)
{
    if (h->count == h->room && h->fixed)
        abort();
    if (h->count == h->room) {
        h->room = h->room ? h->room * 2 : 256;
        h->list = realloc(h->list, h->room * sizeof *h->list);
        if (!h->list)
            abort();
    }
    h->list[h->count++] = (struct sim_decision){name, value};
}

void sim_history_sort(struct sim_history *h)
{
    if (h->count)
        qsort(h->list, h->count, sizeof *h->list, by_name);
}

void sim_history_fini(struct sim_history *h)
{
    free(h->list);
    *h = (struct sim_history){0};
}
