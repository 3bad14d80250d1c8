/* heap.h - an intrusive pairing heap: the least key first.
 *
 * M. Fredman, R. Sedgewick, D. Sleator, R. Tarjan, "The pairing heap: a new form
 * of self-adjusting heap" (1986). Adding is O(1), taking the least and removing
 * O(log n) amortised; nothing is ever allocated. Knows nothing of time.
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
};

void heap_add(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node);

#endif
