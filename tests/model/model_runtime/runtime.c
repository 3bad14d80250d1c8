#include "runtime.h"

#include <stdlib.h>
#include <string.h>

#include "model_heap.h"
#include "os/clock.h"
#include "os/futex.h"

/* The library's data, which the objects have in a section of their own, as they
 * were when the program began. */
extern char __start_model_state[], __stop_model_state[];

void runtime_reset(void)
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
    os_reset();
    model_heap_reset();
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

thrum_rt *runtime_begin(unsigned workers)
{
    thrum_rt *rt = NULL;
    int rc = thrum_start(&rt, &(thrum_opts){.workers = workers,
                                            .stack_size = 64 * 1024,
                                            .grace = CLOCK_NEVER,
                                            .on_error = on_error,
                                            .on_slow = on_slow});

    MODEL_ASSERT(rc == 0);
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

void nothing_is_left(void)
{
    MODEL_ASSERT(model_heap_blocks() == 0);
    MODEL_ASSERT(model_heap_mappings() == 0);
}
