#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#include "model_heap.h"
#include "os/clock.h"
#include "os/futex.h"

/* The library's data, which its objects have in a section of their own. */
extern char __start_model_state[], __stop_model_state[];

struct world world;

/* As it was when the program began. */
static void put_state_back(void)
{
    static char *pristine;
    size_t bytes = (size_t)(__stop_model_state - __start_model_state);

    if (pristine == NULL) {
        pristine = malloc(bytes);
        if (pristine == NULL)
            abort();
        memcpy(pristine, __start_model_state, bytes);
    }
    memcpy(__start_model_state, pristine, bytes);
}

void runtime_setup(void)
{
    put_state_back();
    os_reset();
    model_heap_reset();
    memset((void *)&world, 0, sizeof world);
    model_watch(&world, sizeof world);
    model_watch(__start_model_state,
                (size_t)(__stop_model_state - __start_model_state));
}

void runtime_check(void)
{
    MODEL_ASSERT(model_heap_blocks() == world.kept);
    MODEL_ASSERT(model_heap_mappings() == 0);
}

static void on_slow(const char *name, thrum_time took, const thrum_err *err,
                    void *user)
{
    (void)name, (void)took, (void)err, (void)user;
}

static void on_error(const thrum_err *err, void *user)
{
    (void)err, (void)user;
}

thrum_opts runtime_opts(unsigned workers)
{
    return (thrum_opts){.workers = workers,
                        .stack_size = 64 * 1024,
                        .grace = CLOCK_NEVER,
                        .on_error = on_error,
                        .on_slow = on_slow};
}

thrum_rt *runtime_begin(unsigned workers)
{
    thrum_opts opts = runtime_opts(workers);
    thrum_rt *rt = NULL;

    SUCCESS(thrum_start(&rt, &opts));
    return rt;
}

void runtime_end(thrum_rt *rt)
{
    NO_ERROR(thrum_stop(rt));
}

void runtime_run(unsigned workers, thrum_fn *fn, void *arg)
{
    thrum_rt *rt = runtime_begin(workers);

    NO_ERROR(thrum_call(rt, fn, arg));
    runtime_end(rt);
}

void meet(struct meeting *m)
{
    uint32_t now = add_acq_rel(&m->here, 1) + 1;

    if (now == m->expected)
        futex_wake(&m->here, MODEL_THREADS);
    while (now < m->expected) {
        futex_wait(&m->here, now, CLOCK_NEVER);
        now = load_acquire(&m->here);
    }
}

void flag_wait(_Atomic uint32_t *flag)
{
    while (load_acquire(flag) == 0)
        futex_wait(flag, 0, CLOCK_NEVER);
}

void flag_set(_Atomic uint32_t *flag)
{
    store_release(flag, 1);
    futex_wake(flag, MODEL_THREADS);
}

void from_outside(void (*what)(void))
{
    flag_wait(&world.flag);
    what();
    meet(&world.other);
}

void main_with(unsigned workers, uint32_t others, thrum_fn *fn)
{
    world.other.expected = others + 1;
    world.rt = runtime_begin(workers);
    flag_set(&world.flag);
    NO_ERROR(thrum_call(world.rt, fn, NULL));
    meet(&world.other);
    runtime_end(world.rt);
}

thrum_err *both(thrum_fn *one, thrum_fn *other)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "both");
    SUCCESS(thrum_spawn(&s, one, NULL, 0));
    SUCCESS(thrum_spawn(&s, other, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

thrum_err *cancel_world_scope(void *arg)
{
    int rc = thrum_sleep(THRUM_US(20));

    (void)arg;
    thrum_scope_cancel(world.scope, "enough");
    return thrum_rc(rc);
}
