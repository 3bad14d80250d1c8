#include "model_memory.h"

#include <stdlib.h>

enum { SC_NODES = 64 }; /* in a graph; more: see new_graph */

static struct location locations[MODEL_LOCATIONS];
static struct bucket buckets[BUCKETS];
static int location_count;
static uint32_t execution;

static uint64_t before[SC_NODES]; /* all nodes before this one */
static int nodes;
static uint32_t age; /* graphs before this one */

struct view memory_heavies;

/* ------------------------------------------------------------- locations */

uint64_t memory_read(struct model_access at)
{
    switch (at.bytes) {
    case 1:
        return *(volatile uint8_t *)at.address;
    case 2:
        return *(volatile uint16_t *)at.address;
    case 4:
        return *(volatile uint32_t *)at.address;
    default:
        return *(volatile uint64_t *)at.address;
    }
}

void memory_write(struct model_access at, uint64_t value)
{
    switch (at.bytes) {
    case 1:
        *(volatile uint8_t *)at.address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)at.address = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)at.address = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)at.address = value;
    }
}

int *bucket_find(struct bucket *table, const volatile void *address)
{
    uint64_t hash = (uint64_t)(uintptr_t)address * 0x9e3779b97f4a7c15;
    struct bucket *b = &table[hash >> 32 & (BUCKETS - 1)];

    while (b->execution == execution && b->address != address)
        b = b == &table[BUCKETS - 1] ? table : b + 1;
    if (b->execution != execution)
        *b = (struct bucket){address, execution, NONE};
    return &b->number;
}

/* A store that nobody can tell from what was always there. */
static void initial_store(struct location *l, int number, uint64_t value)
{
    struct store *s = store_at(l, number);

    l->newest = l->floor = number;
    s->value = value;
    s->node = NONE;
    s->node_age = 0;
    s->carries = false;
}

struct location *memory_locate(struct model_access at)
{
    int *number = bucket_find(buckets, at.address);
    uint64_t value = memory_read(at);
    struct location *l;

    if (*number == NONE) {
        if (location_count == MODEL_LOCATIONS)
            abort();
        l = &locations[ *number = location_count++];
        l->address = at.address;
        l->last_sc = l->sc_floor = NONE;
        l->sc_store = l->sc_loads = 0;
        initial_store(l, 0, value);
        return l;
    }
    l = &locations[*number];
    if (store_at(l, l->newest)->value != value)
        initial_store(l, l->newest + 1, value);
    return l;
}

static int number_of(const struct location *l)
{
    return (int)(l - locations);
}

void memory_reset(void)
{
    execution++;
    location_count = nodes = 0;
    age = 0;
    view_clear(&memory_heavies);
    for (int i = 0; i < MODEL_THREADS; i++) {
        struct fiber *t = &model_now.threads[i];

        view_clear(&t->view);
        t->view.clock[i] = 1;
    }
}

void memory_refresh(struct fiber *t)
{
    for (int i = 0; i < location_count; i++)
        view_see(&t->view, i, locations[i].newest);
}

/* -------------------------------------------- the order of seq_cst accesses */

/* All that is before any of the nodes, and they themselves. */
static uint64_t closure(uint64_t set)
{
    uint64_t all = set;

    for (uint64_t rest = set; rest != 0; rest &= rest - 1)
        all |= before[__builtin_ctzll(rest)];
    return all;
}

/* A node after those of "after" and before those of "ahead", which the caller
 * knows to make no cycle. */
static int new_node(struct fiber *t, uint64_t after, uint64_t ahead)
{
    int n = nodes++;
    uint64_t mine = closure(after);

    before[n] = mine;
    for (int i = 0; ahead != 0 && i < n; i++)
        if ((ahead >> i & 1) != 0 || (before[i] & ahead) != 0)
            before[i] |= mine | 1ull << n;
    t->view.sc = 1ull << n;
    return n;
}

/* The graph is full: what is in it is before all that comes. */
static void new_graph(void)
{
    age++;
    nodes = 0;
    for (int i = 0; i < location_count; i++) {
        struct location *l = &locations[i];

        l->sc_floor = l->last_sc;
        l->sc_store = l->sc_loads = 0;
    }
}

static uint64_t node_bit(const struct store *s)
{
    return s->node == NONE || s->node_age != age ? 0 : 1ull << s->node;
}

/* Before a seq_cst access: room for its node. */
static void sc_begin(struct fiber *t)
{
    if (nodes == SC_NODES)
        new_graph();
    if (t->view.sc_age != age) {
        t->view.sc = 0;
        t->view.sc_age = age;
    }
}

/* The seq_cst stores newer than this one. */
static uint64_t overwriters(struct location *l, int number)
{
    uint64_t set = 0;

    for (int i = number + 1; i <= l->newest; i++)
        set |= node_bit(store_at(l, i));
    return set;
}

/* Of the readable stores, from the newest down to "oldest", how old a one a
 * seq_cst load may return. */
static int oldest_without_cycle(struct fiber *t, struct location *l, int oldest)
{
    uint64_t ahead = 0;
    int i = l->newest;

    for (; i > oldest; i--) {
        ahead |= node_bit(store_at(l, i));
        uint64_t after = t->view.sc | node_bit(store_at(l, i - 1));

        if ((closure(after) & ahead) != 0)
            break;
    }
    return i;
}

static void order_load(struct fiber *t, struct location *l, int number)
{
    uint64_t after = t->view.sc | node_bit(store_at(l, number));

    l->sc_loads |= 1ull << new_node(t, after, overwriters(l, number));
}

static int order_store(struct fiber *t, struct location *l, int number)
{
    int n;

    sc_begin(t);
    n = new_node(t, t->view.sc | l->sc_store | l->sc_loads, 0);
    l->last_sc = number;
    l->sc_store = 1ull << n;
    l->sc_loads = 0;
    return n;
}

/* ------------------------------------------------------------- accesses */

static bool acquires(int order)
{
    return order == MODEL_ACQUIRE || order >= MODEL_ACQ_REL;
}

static bool releases(int order)
{
    return order >= MODEL_RELEASE;
}

static int max(int a, int b)
{
    return a > b ? a : b;
}

static int oldest_readable(struct fiber *t, struct location *l, int order)
{
    int number = number_of(l);
    int oldest = max(view_of(&t->view, number), l->floor);

    oldest = max(oldest, l->newest - STALE);
    if (order != MODEL_SEQ_CST)
        return oldest;
    sc_begin(t);
    oldest = max(oldest, view_of(&memory_heavies, number));
    oldest = max(oldest, l->sc_floor);
    return oldest_without_cycle(t, l, oldest);
}

/* Mostly the newest one: an execution of nothing but surprises hides those that
 * need two threads to agree. */
int memory_choose(struct fiber *t, struct location *l, int order)
{
    int span = l->newest - oldest_readable(t, l, order) + 1;

    if (span == 1 || model_now.newest)
        return l->newest;
    if (model_now.strategy == STRATEGY_DFS)
        return l->newest - dfs_choose(span);
    return random_below(4) != 0 ? l->newest : l->newest - random_below(span);
}

static void read_from(struct fiber *t, struct location *l, int number,
                      int order)
{
    const struct store *s = store_at(l, number);

    view_see(&t->view, number_of(l), number);
    if (acquires(order) && s->carries)
        view_join(&t->view, &s->view);
}

/* The node first: an acquire orders only what comes after it. */
void memory_load(struct fiber *t, struct location *l, int number, int order)
{
    if (order == MODEL_SEQ_CST)
        order_load(t, l, number);
    read_from(t, l, number, order);
}

/* Append a store; "continues" is the one a read-modify-write read, or NULL. */
static void append(struct fiber *t, struct location *l, uint64_t value,
                   int order, const struct store *continues)
{
    int me = model_now.current;
    int number = ++l->newest;
    struct store *s = store_at(l, number);

    t->spun = 0; /* others may go on for it */
    view_see(&t->view, number_of(l), number);
    s->value = value;
    s->carries = false;
    if (releases(order)) {
        view_copy(&s->view, &t->view);
        s->carries = true;
        t->view.clock[me]++;
    }
    if (continues != NULL && continues->carries) {
        if (s->carries)
            view_join(&s->view, &continues->view);
        else
            view_copy(&s->view, &continues->view);
        s->carries = true;
    }

    /* Last: what happens before this access travels with it; it itself is
     * ordered only before what its thread does later. */
    s->node = order == MODEL_SEQ_CST ? order_store(t, l, number) : NONE;
    s->node_age = age;
}

void memory_store(struct fiber *t, struct location *l, uint64_t value,
                  int order)
{
    append(t, l, value, order, NULL);
}

/* The copy is there because the new store may take the place of the oldest one
 * kept. What is acquired travels with the new store, but the node of the access
 * itself comes only after what was before. */
void memory_replace(struct fiber *t, struct location *l, uint64_t value,
                    int order)
{
    static struct store old;
    const struct store *s = store_at(l, l->newest);
    uint64_t sc, acquired;

    sc_begin(t);
    sc = t->view.sc;
    old.carries = s->carries;
    if (s->carries)
        view_copy(&old.view, &s->view);

    read_from(t, l, l->newest, order);
    acquired = t->view.sc;
    t->view.sc = sc;
    append(t, l, value, order, &old);
    t->view.sc |= acquired;
}

void memory_see_seq_cst(struct fiber *t)
{
    for (int i = 0; i < location_count; i++)
        if (locations[i].last_sc > 0)
            view_see(&t->view, i, locations[i].last_sc);
}

uint32_t memory_newest(_Atomic uint32_t *word)
{
    struct location *l = memory_locate(MODEL_AT(word, RELAXED));

    read_from(self(), l, l->newest, MODEL_RELAXED);
    return (uint32_t)store_at(l, l->newest)->value;
}
