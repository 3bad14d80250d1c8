/* heap.h - an intrusive pairing heap: the least key first.
 *
 * M. Fredman, R. Sedgewick, D. Sleator, R. Tarjan, "The pairing heap: a new form
 * of self-adjusting heap" (1986). Adding is O(1), taking the least and removing
 * O(log n) amortised; nothing is ever allocated. Knows nothing of time.
 *
 * There, who takes the least pairs all that were added since, be it a million,
 * while others wait for the lock. Here the nth add pairs as many children of the
 * least as n has zeros at its end, one on average, so that few are left; and what
 * is below a node that is removed takes its place.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdint.h>

struct heap_node {
    int64_t key;
    struct heap_node *child, *next; /* next: sibling to the right */
    struct heap_node *prev;         /* sibling to the left, or the parent */
};

struct heap {
    struct heap_node *least; /* NULL: empty */
    uint32_t adds;
};

void heap_add(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node);

#endif
