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

/* As many times: the first two children become one. */
static void pair_children(struct heap_node *root, int times)
{
    struct heap_node *first = root->child, *second, *rest;

    for (; times > 0 && first != NULL && first->next != NULL; times--) {
        second = first->next;
        rest = second->next;
        first->next = second->next = NULL;
        first = meld(first, second);
        first->next = rest;
        if (rest != NULL)
            rest->prev = first;
    }
    root->child = first;
    if (first != NULL)
        first->prev = root;
}

void heap_add(struct heap *h, struct heap_node *node, int64_t key)
{
    *node = (struct heap_node){.key = key};
    h->least = meld(h->least, node);
    if (++h->adds % 2 == 0)
        pair_children(h->least, __builtin_ctz(h->adds | 1U << 31));
}

/* What is below it, or else the next sibling, takes its place. */
void heap_remove(struct heap *h, struct heap_node *node)
{
    struct heap_node *heir = meld_siblings(node->child);

    if (node == h->least) {
        h->least = heir;
        return;
    }
    if (heir == NULL) {
        heir = node->next;
    } else {
        heir->next = node->next;
        if (heir->next != NULL)
            heir->next->prev = heir;
    }
    if (heir != NULL)
        heir->prev = node->prev;
    if (node->prev->child == node)
        node->prev->child = heir;
    else
        node->prev->next = heir;
}
