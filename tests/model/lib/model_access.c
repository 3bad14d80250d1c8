#include "model_heap.h"
#include "model_memory.h"

static const char *const order_names[] = {"relaxed", "acquire", "release",
                                          "acq_rel", "seq_cst"};

static uint64_t truncated(struct model_access at, uint64_t value)
{
    return at.bytes == 8 ? value : value & ((1ull << 8 * at.bytes) - 1);
}

static void trace_access(const char *operation, struct model_access at,
                         uint64_t value, const char *note, const char *where)
{
    if (model_now.tracing)
        trace(operation, at.address, value, note, where);
}

uint64_t model_load(struct model_access at, const char *where)
{
    if (!model_now.running)
        return memory_read(at);
    model_step();
    model_heap_check(at.address, where);

    struct fiber *t = self();
    struct location *l = memory_locate(at);
    int number = memory_choose(t, l, at.order);
    uint64_t value = store_at(l, number)->value;

    memory_load(t, l, number, at.order);
    trace_access("load", at, value,
                 number == l->newest ? order_names[at.order] : "stale", where);
    return value;
}

void model_store(struct model_access at, uint64_t value, const char *where)
{
    value = truncated(at, value);
    if (model_now.running) {
        model_step();
        model_heap_check(at.address, where);
        memory_store(self(), memory_locate(at), value, at.order);
        trace_access("store", at, value, order_names[at.order], where);
    }
    memory_write(at, value);
}

/* Replaces the newest value. */
static void replace(struct location *l, struct model_access at, uint64_t value)
{
    value = truncated(at, value);
    memory_replace(self(), l, value, at.order);
    memory_write(at, value);
}

/* A read-modify-write that always succeeds. */
enum modify { EXCHANGE, ADD, OR, AND };

static uint64_t modified(enum modify how, uint64_t old, uint64_t value)
{
    switch (how) {
    case ADD:
        return old + value;
    case OR:
        return old | value;
    case AND:
        return old & value;
    case EXCHANGE:
        break;
    }
    return value;
}

static uint64_t modify(struct model_access at, enum modify how, uint64_t value,
                       const char *where)
{
    static const char *const names[] = {"exchange, was", "add, was", "or, was",
                                        "and, was"};
    struct location *l;
    uint64_t old;

    if (!model_now.running) {
        old = memory_read(at);
        memory_write(at, modified(how, old, value));
        return old;
    }
    model_step();
    model_heap_check(at.address, where);
    l = memory_locate(at);
    old = store_at(l, l->newest)->value;
    replace(l, at, modified(how, old, value));
    trace_access(names[how], at, old, order_names[at.order], where);
    return old;
}

uint64_t model_exchange(struct model_access at, uint64_t value,
                        const char *where)
{
    return modify(at, EXCHANGE, value, where);
}

uint64_t model_add(struct model_access at, uint64_t value, const char *where)
{
    return modify(at, ADD, value, where);
}

uint64_t model_or(struct model_access at, uint64_t value, const char *where)
{
    return modify(at, OR, value, where);
}

uint64_t model_and(struct model_access at, uint64_t value, const char *where)
{
    return modify(at, AND, value, where);
}

static uint64_t read_expected(struct model_access at, void *expected)
{
    at.address = expected;
    return memory_read(at);
}

static bool cas_fails(struct fiber *t, struct location *l,
                      struct model_access at, int number, void *expected)
{
    uint64_t value = store_at(l, number)->value;

    memory_load(t, l, number, at.on_failure);
    at.address = expected;
    memory_write(at, value);
    return false;
}

/* One that fails is a load and may find an old value, as long as that is not
 * the expected one. */
bool model_cas(struct model_access at, void *expected, uint64_t desired,
               const char *where)
{
    uint64_t wanted = read_expected(at, expected);

    if (!model_now.running) {
        uint64_t value = memory_read(at);

        if (value == wanted) {
            memory_write(at, desired);
            return true;
        }
        at.address = expected;
        memory_write(at, value);
        return false;
    }
    model_step();
    model_heap_check(at.address, where);

    struct fiber *t = self();
    struct location *l = memory_locate(at);
    int number = memory_choose(t, l, at.on_failure);
    uint64_t value = store_at(l, number)->value;

    if (value == wanted) {
        number = l->newest;
        value = store_at(l, number)->value;
    }
    if (value != wanted) {
        trace_access("cas fails, is", at, value, order_names[at.on_failure],
                     where);
        return cas_fails(t, l, at, number, expected);
    }
    replace(l, at, desired);
    trace_access("cas to", at, truncated(at, desired), order_names[at.order],
                 where);
    return true;
}
