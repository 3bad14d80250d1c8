/* model_memory.h - locations and their stores, for the files that access them.
 *
 * Each location keeps its latest stores in the order in which they were
 * executed: the modification order. A view says for each location which of its
 * stores is the oldest that may still be read. A thread has a view; a store that
 * releases takes a copy of it along, and an access that acquires joins what it
 * finds to its own. A read-modify-write reads the newest store and passes on
 * what that one carried (release sequences).
 *
 * seq_cst accesses are nodes of a graph whose edges are those of RC11's psc:
 * program order, what happens before, modification order, reads before. A load
 * may return a store only if no cycle comes of it.
 *
 * Not modelled: load buffering (a load that sees a store that comes later than
 * itself), stores that enter the modification order before one already
 * executed, accesses of different sizes to the same bytes, fences other than
 * the two barriers.
 */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include "model_core.h"

enum {
    STALE = 7,           /* so many stores behind the newest may be read */
    HISTORY = STALE + 1, /* stores kept of a location */
    BUCKETS = 16384,     /* of a table by address; a power of 2 */
    NONE = -1
};

struct store {
    uint64_t value;
    int node;          /* its node if it is seq_cst, or NONE */
    uint32_t node_age; /* and of which graph */
    bool carries;      /* a view: it, or one it continues, released */
    struct view view;  /* what it carries */
};

struct location {
    const volatile void *address;
    int newest;   /* number of the newest store; the first is 0 */
    int floor;    /* no store below may be read any more */
    int last_sc;  /* number of the newest seq_cst store, or NONE */
    int sc_floor; /* that, when the graph began */
    uint64_t sc_store, sc_loads; /* nodes: the last store, loads since */
    struct store history[HISTORY];
};

/* From address to number. A bucket of an earlier execution is empty. */
struct bucket {
    const volatile void *address;
    uint32_t execution;
    int number;
};

/* Where the number of an address is kept; NONE: it is new. */
int *bucket_find(struct bucket *buckets, const volatile void *address);

/* Memory as it is. */
uint64_t memory_read(struct model_access at);
void memory_write(struct model_access at, uint64_t value);

/* The location of an access, made at the first one. Memory that changed behind
 * our back was initialized anew by who owns it. */
struct location *memory_locate(struct model_access at);

static inline struct store *store_at(struct location *l, int number)
{
    return &l->history[number % HISTORY];
}

/* Which store a load of that order returns: a choice. */
int memory_choose(struct fiber *t, struct location *l, int order);

/* A load: what reading that store does to the reader. */
void memory_load(struct fiber *t, struct location *l, int number, int order);

/* A store. */
void memory_store(struct fiber *t, struct location *l, uint64_t value,
                  int order);

/* A read-modify-write: replaces the newest store. */
void memory_replace(struct fiber *t, struct location *l, uint64_t value,
                    int order);

/* A full fence after seq_cst accesses: their stores are seen. */
void memory_see_seq_cst(struct fiber *t);

/* What all heavy barriers so far let everyone see. */
extern struct view memory_heavies;

#endif
