/* The pairing heap, beside a plain list in which the smallest key is looked for. */
#include "base/pairing_heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* SplitMix64: every run is the same. */
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

enum { NODES = 60, STEPS = 3000, SEEDS = 60 };

struct model {
    struct wst__heap heap;
    struct wst__heap_node nodes[NODES];
    uint64_t keys[NODES];
    bool in[NODES];
    size_t count;
};

static void add(struct model *m, size_t i, uint64_t key)
{
    m->nodes[i].key = m->keys[i] = key;
    m->in[i] = true;
    m->count++;
    wst__heap_add(&m->heap, &m->nodes[i]);
}

static void take_out(struct model *m, size_t i)
{
    assert_true(m->in[i]);
    m->in[i] = false;
    m->count--;
    wst__heap_remove(&m->heap, &m->nodes[i]);
}

static size_t index_of_first(const struct model *m)
{
    return (size_t)(m->heap.first - m->nodes);
}

/* What is first is in the heap, keeps its key, and no other one has a smaller key. */
static void check_first(const struct model *m)
{
    size_t first;

    if (m->count == 0) {
        assert_null(m->heap.first);
        return;
    }
    assert_non_null(m->heap.first);
    first = index_of_first(m);
    assert_true(first < NODES && m->in[first]);
    assert_int_equal(m->heap.first->key, m->keys[first]);
    for (size_t i = 0; i < NODES; i++)
        assert_true(!m->in[i] || m->keys[i] >= m->heap.first->key);
}

/* |spread|: how many keys there are; few of them are often equal. */
static void run(uint64_t seed, uint64_t spread)
{
    static struct model m;

    m = (struct model){0};
    for (int step = 0; step < STEPS; step++) {
        size_t i = draw(&seed) % NODES;

        if (!m.in[i])
            add(&m, i, draw(&seed) % spread);
        else if (draw(&seed) % 4 == 0)
            take_out(&m, index_of_first(&m));
        else
            take_out(&m, i);
        check_first(&m);
    }
    while (m.count > 0) {
        take_out(&m, index_of_first(&m));
        check_first(&m);
    }
}

static void test_beside_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        run(seed, seed % 3 == 0 ? 4 : seed % 3 == 1 ? 100 : UINT64_MAX);
}

/* A removed node may be added again, with another key: nothing of its old place is left. */
static void test_again(void **state)
{
    static struct model m;

    (void)state;
    m = (struct model){0};
    for (size_t i = 0; i < NODES; i++)
        add(&m, i, 100 + i);
    for (size_t i = 0; i < NODES; i += 2) {
        take_out(&m, i);
        add(&m, i, 99 - i);
        check_first(&m);
    }
    for (size_t i = NODES; i-- > 0;) {
        take_out(&m, i);
        check_first(&m);
    }
}

/* Clients whose timers come round, each later than all others: with a list in its place this takes
 * 10,000 times as long.  Added in order, the heap is one long list of children, or one deep tree.
 */
static void test_many(void **state)
{
    enum { MANY = 100000, ROUNDS = 10 };
    struct wst__heap_node *nodes = calloc(MANY, sizeof *nodes);
    struct wst__heap heap = {0};
    uint64_t last = 0;

    (void)state;
    assert_non_null(nodes);
    for (size_t i = 0; i < MANY; i++) {
        nodes[i].key = i % 2 == 0 ? MANY + i : MANY - i;
        wst__heap_add(&heap, &nodes[i]);
    }
    for (size_t i = 0; i < (size_t)MANY * ROUNDS; i++) {
        struct wst__heap_node *first = heap.first;

        assert_true(first->key >= last);
        last = first->key;
        wst__heap_remove(&heap, first);
        first->key = last + 2 * MANY;
        wst__heap_add(&heap, first);
    }
    for (size_t i = 0; i < MANY; i++)
        wst__heap_remove(&heap, &nodes[i]);
    assert_null(heap.first);
    free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_a_list),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
