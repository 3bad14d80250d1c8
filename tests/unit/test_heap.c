/* Is the least key always on top, whatever is added and removed? Small cases by
 * hand, then random work against a plain array. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "base/heap.h"
#include "base/rng.h"

enum { NODES = 200, STEPS = 40000, KEYS = 64 };

static int64_t take_least(struct heap *h)
{
    struct heap_node *least = h->least;

    heap_remove(h, least);
    return least->key;
}

static void a_new_heap_is_empty(void **state)
{
    struct heap h = {0};

    (void)state;
    assert_null(h.least);
}

static void one_node_comes_and_goes(void **state)
{
    struct heap h = {0};
    struct heap_node n;

    (void)state;
    heap_add(&h, &n, 7);
    assert_ptr_equal(h.least, &n);
    assert_int_equal(n.key, 7);
    heap_remove(&h, &n);
    assert_null(h.least);
}

static void keys_come_out_in_order(void **state)
{
    static const int64_t in[] = {5, -3, 9, INT64_MAX, 0, INT64_MIN, 5, 2};
    static const int64_t out[] = {INT64_MIN, -3, 0, 2, 5, 5, 9, INT64_MAX};
    enum { N = sizeof in / sizeof *in };
    struct heap_node n[N];
    struct heap h = {0};

    (void)state;
    for (int i = 0; i < N; i++)
        heap_add(&h, &n[i], in[i]);
    for (int i = 0; i < N; i++)
        assert_int_equal(take_least(&h), out[i]);
    assert_null(h.least);
}

/* Ten nodes, two of them taken so that the rest has some depth; then each one
 * in its turn is the one removed from within. */
static void any_node_can_be_removed(void **state)
{
    enum { N = 10 };

    (void)state;
    for (int gone = 2; gone < N; gone++) {
        struct heap_node n[N];
        struct heap h = {0};

        for (int i = 0; i < N; i++)
            heap_add(&h, &n[i], (i * 7) % N);
        assert_int_equal(take_least(&h), 0);
        assert_int_equal(take_least(&h), 1);
        for (int i = 0; i < N; i++)
            if (n[i].key == gone)
                heap_remove(&h, &n[i]);
        for (int key = 2; key < N; key++)
            if (key != gone)
                assert_int_equal(take_least(&h), key);
        assert_null(h.least);
    }
}

static void a_removed_node_can_be_added_again(void **state)
{
    struct heap_node a, b;
    struct heap h = {0};

    (void)state;
    heap_add(&h, &a, 1);
    heap_add(&h, &b, 2);
    heap_remove(&h, &a);
    heap_add(&h, &a, 3);
    assert_int_equal(take_least(&h), 2);
    assert_int_equal(take_least(&h), 3);
}

/* Who takes the least meets them all. */
static void the_least_has_few_children(void **state)
{
    struct heap_node n[NODES];
    struct heap h = {0};
    int few = 0;

    (void)state;
    for (int i = 0; i < NODES; i++)
        heap_add(&h, &n[i], i);
    for (struct heap_node *c = h.least->child; c != NULL; c = c->next)
        few++;
    assert_in_range(few, 1, 8);
}

/* What is in the heap, found by going over all. */
static int64_t least_of(const struct heap_node *n, const bool *in, bool *any)
{
    int64_t least = INT64_MAX;

    *any = false;
    for (int i = 0; i < NODES; i++)
        if (in[i]) {
            *any = true;
            least = n[i].key < least ? n[i].key : least;
        }
    return least;
}

static void random_work_agrees_with_an_array(void **state)
{
    struct heap_node n[NODES];
    bool in[NODES] = {false}, any;
    struct heap h = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 1);
    for (int i = 0; i < STEPS; i++) {
        uint32_t at = rng_below(&r, NODES);
        int64_t least;

        if (rng_below(&r, 4) == 0 && h.least != NULL)
            at = (uint32_t)(h.least - n);
        if (in[at])
            heap_remove(&h, &n[at]);
        else
            heap_add(&h, &n[at], rng_below(&r, KEYS));
        in[at] = !in[at];

        least = least_of(n, in, &any);
        assert_true(any == (h.least != NULL));
        if (any)
            assert_int_equal(h.least->key, least);
        if (any)
            assert_true(in[h.least - n]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_heap_is_empty),
        cmocka_unit_test(one_node_comes_and_goes),
        cmocka_unit_test(keys_come_out_in_order),
        cmocka_unit_test(any_node_can_be_removed),
        cmocka_unit_test(the_least_has_few_children),
        cmocka_unit_test(a_removed_node_can_be_added_again),
        cmocka_unit_test(random_work_agrees_with_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
