/* Delta debugging. */
#include "sim/shrink.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 4

struct search {
    struct sim_history *h;
    sim_fails_fn *fails;
    void *arg;
    unsigned runs, most_runs;
};

static bool fails(struct search *s, const struct sim_history *h)
{
    return s->runs < s->most_runs && (s->runs++, s->fails(h, s->arg));
}

/* Tries it without |n| decisions from |at| on. */
static bool drop(struct search *s, size_t at, size_t n)
{
    struct sim_history less = {0};
    size_t keep = s->h->count - at - n;

    less.list = malloc((s->h->count + 1) * sizeof *less.list);
    if (!less.list)
        abort();
    memcpy(less.list, s->h->list, at * sizeof *less.list);
    memcpy(less.list + at, s->h->list + at + n, keep * sizeof *less.list);
    less.count = less.room = at + keep;
    if (fails(s, &less)) {
        sim_history_fini(s->h);
        *s->h = less;
        return true;
    }
    sim_history_fini(&less);
    return false;
}

/* Drops pieces of |size|, from the end: what came late is needed least.  Small ones at every place.
 * True: one could go. */
static bool drop_pieces(struct search *s, size_t size)
{
    size_t step = size > SMALL ? size : 1;
    bool any = false;

    for (size_t end = s->h->count; end > 0;) {
        size_t n = end < size ? end : size;

        if (drop(s, end - n, n)) {
            any = true;
            end -= n;
        } else {
            end -= n < step ? n : step;
        }
    }
    return any;
}

static bool drop_all_sizes(struct search *s)
{
    bool any = false;

    for (size_t size = s->h->count; size > 0; size = size > SMALL ? size / 2 : size - 1)
        any = drop_pieces(s, size) || any;
    return any;
}

/* Tries the unit |from| as |to|, another one of its kind. */
static bool rename_unit(struct search *s, uint64_t from, uint64_t to)
{
    struct sim_history other = {0};

    for (size_t i = 0; i < s->h->count; i++) {
        uint64_t name = s->h->list[i].name;

        if (SIM_UNIT_OF(name) == to) {
            sim_history_fini(&other);
            return false; /* There is one. */
        }
        sim_history_add(&other, SIM_UNIT_OF(name) == from ? name - from + to : name,
                        s->h->list[i].value);
    }
    sim_history_sort(&other);
    if (fails(s, &other)) {
        sim_history_fini(s->h);
        *s->h = other;
        return true;
    }
    sim_history_fini(&other);
    return false;
}

/* As the first of its kind, or half way, or one earlier. */
static bool pull_unit(struct search *s, uint64_t unit)
{
    uint64_t nth = unit << 8 >> 24;
    uint64_t first = unit - (nth - 1) * SIM_UNIT_NTH;

    return nth > 1 && (rename_unit(s, unit, first) ||
                       rename_unit(s, unit, first + (nth - 1) / 2 * SIM_UNIT_NTH) ||
                       rename_unit(s, unit, unit - SIM_UNIT_NTH));
}

static bool pull_units(struct search *s)
{
    bool any = false;

    for (size_t i = 0; i < s->h->count; i++) {
        while (pull_unit(s, SIM_UNIT_OF(s->h->list[i].name)))
            any = true;
    }
    return any;
}

static bool lower(struct search *s, size_t i, uint64_t to)
{
    uint64_t before = s->h->list[i].value;

    s->h->list[i].value = to;
    if (fails(s, s->h))
        return true;
    s->h->list[i].value = before;
    return false;
}

/* The least value that still fails, if the failing ones are the large ones; else a small one. */
static bool lower_value(struct search *s, size_t i)
{
    uint64_t good = 0; /* Without this decision it does not fail: that was tried. */
    bool any = false;

    for (uint64_t bad = s->h->list[i].value; bad - good > 1; bad = s->h->list[i].value) {
        uint64_t middle = good + (bad - good) / 2;

        if (lower(s, i, middle))
            any = true;
        else
            good = middle;
    }
    return any;
}

static bool lower_values(struct search *s)
{
    bool any = false;

    for (size_t i = 0; i < s->h->count; i++)
        any = lower_value(s, i) || any;
    return any;
}

unsigned sim_shrink(struct sim_history *h, sim_fails_fn *fn, void *arg, unsigned most_runs)
{
    struct search s = {h, fn, arg, 0, most_runs};

    sim_history_sort(h);
    do {
        while (drop_all_sizes(&s))
            continue;
    } while (pull_units(&s) && s.runs < most_runs);
    while (lower_values(&s) && drop_all_sizes(&s) && s.runs < most_runs)
        continue;
    return s.runs;
}
