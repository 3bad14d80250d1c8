#include "base/heap.h"

#include <stddef.h>

/* Two roots become one: the larger key the leftmost child of the smaller. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->key < a->key) {
        struct heap_node *swap = a;

        a = b;
        b = swap;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Siblings in pairs from the left, then the pairs from the right. */
static struct heap_node *meld_siblings(struct heap_node *first)
{
    struct heap_node *pairs = NULL, *root = NULL;

    while (first != NULL) {
        struct heap_node *a = first, *b = first->next;

        first = b == NULL ? NULL : b->next;
        a->next = NULL;
        if (b != NULL)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct heap_node *next = pairs->next;

        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    if (root != NULL)
        root->prev = NULL;
    return root;
}

void heap_add(struct heap *h, struct heap_node *node, int64_t key)
{
    *node = (struct heap_node){.key = key};
    h->least = meld(h->least, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    struct heap_node *rest = meld_siblings(node->child);

    if (node == h->least) {
        h->least = rest;
        return;
    }
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    h->least = meld(h->least, rest);
}
