/* The two barriers are fences in one order in which a light and a heavy one, or
 * two heavy ones, see each other, and two light ones do not. The heavy one
 * reaches the other threads one after the other, and all may run meanwhile, as
 * with membarrier(2): what it does to a thread counts from that thread's last
 * barrier_light and for its next one, since only there the compiler keeps the
 * order that the processor is asked to keep. */
#include "model_memory.h"

#include "os/barrier.h"

void barrier_reset(void)
{
    for (int i = 0; i < MODEL_THREADS; i++) {
        view_clear(&model_now.threads[i].lit);
        view_clear(&model_now.threads[i].heaved);
    }
}

void model_barrier_light(const char *where)
{
    if (!model_now.running)
        return;
    struct fiber *t = self();

    view_join_seen(&t->view, &t->heaved);
    view_copy(&t->lit, &t->view);
    if (model_now.tracing)
        trace("barrier_light", NULL, 0, NULL, where);
}

/* A fence of the caller, in the order of heavy barriers and seq_cst stores. */
static void full_fence(struct fiber *t)
{
    memory_see_seq_cst(t);
    view_join_seen(&t->view, &memory_heavies);
    view_join_seen(&memory_heavies, &t->view);
}

void barrier_heavy(void)
{
    if (!model_now.running)
        return;
    model_step();

    struct view found;
    struct fiber *t = self();
    int n = model_now.thread_count;
    int first = model_choose(n);

    trace("barrier_heavy", NULL, 0, "begins", NULL);
    full_fence(t);
    view_clear(&found);
    for (int i = 0; i < n; i++) {
        struct fiber *other = &model_now.threads[(first + i) % n];

        if (other == t)
            continue;
        view_join_seen(&other->heaved, &t->view);
        view_join_seen(&found, &other->lit);
        model_step();
    }
    view_join_seen(&t->view, &found);
    full_fence(t);
    trace("barrier_heavy", NULL, 0, "ends", NULL);
}
