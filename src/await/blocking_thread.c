/* The threads of the blocking pool: take a job, run it, rest, retire. */

#include "await/pool.h"

#include "base/alloc.h"
#include "base/sanitize.h"
#include "os/clock.h"

enum {
    BRIEF_NS = 20000,
    LOOKS = 40, /* for the next job, right after one */
    FLOOD = 16, /* `burst` from here on: four at a time */
    FLOOD_LOOKS = 6,
    FLOOD_NS = 8000, /* between two looks */
};

#define WARM_NS INT64_C(5000000000)

/* ------------------------------------------------------------- taking a job */

static void set_queue(struct pool *p, struct tray_item *first)
{
    store_relaxed(&p->queue, first); /* locked */
    store_relaxed(&p->taken, load_relaxed(&p->taken) + 1);
}

static struct offload *pop(struct pool *p)
{
    struct tray_item *item = load_relaxed(&p->queue); /* I6, or a hint */

    if (item == NULL)
        return NULL;
    spin_lock(&p->serve_lock);
    item = load_relaxed(&p->queue); /* locked */
    if (item != NULL)
        set_queue(p, item->next);
    spin_unlock(&p->serve_lock);
    if (item == NULL)
        return NULL;
    tray_look_ahead(item);
    return offload_of(item);
}

/* Under the lock; the queue is empty. */
static struct offload *move_and_pop(struct pool *p, struct blocking_thread *t)
{
    struct tray_item *first = p->came.first;

    t->burst = t->burst - t->burst / 4 + p->came.count;
    if (first == NULL)
        return NULL;
    (void)tray_take_all(&p->came);
    store_relaxed(&p->any, 0); /* locked */
    spin_lock(&p->serve_lock);
    set_queue(p, first->next);
    spin_unlock(&p->serve_lock);
    return offload_of(first);
}

/* Under the lock: nobody will hand it a job any more. True: it was the last of a
 * pool that stops. */
static bool retire(struct pool *p, struct blocking_thread *t)
{
    p->threads--;
    t->next = p->retired;
    p->retired = t;
    return p->stopping && p->threads == 0;
}

/* NEXT_LAST: it was the last, and who stops waits for that. */
enum next { NEXT_JOB, NEXT_LOOK, NEXT_REST, NEXT_GONE, NEXT_LAST };

/* Under the lock. */
static enum next decide(struct pool *p, struct blocking_thread *t, bool looked,
                        struct offload **job)
{
    if (t->called) {
        t->called = false;
        p->coming--;
        t->brief = p->brief; /* it thinks of jobs as the others do */
    }
    p->brief = t->brief;
    if (looked)
        p->looking = false;
    *job = pop(p);
    if (*job == NULL)
        *job = move_and_pop(p, t);
    if (*job != NULL)
        return NEXT_JOB;
    if (p->stopping)
        return retire(p, t) ? NEXT_LAST : NEXT_GONE;
    if (!looked && !p->looking) {
        p->looking = true;
        return NEXT_LOOK;
    }
    t->next = p->rest;
    p->rest = t;
    p->resting++;
    return NEXT_REST;
}

/* What to do now. `looked`: it is the looker. */
static enum next next(struct pool *p, struct blocking_thread *t, bool looked,
                      struct offload **job)
{
    enum next what = NEXT_JOB;

    *job = looked || t->called ? NULL : pop(p);
    if (*job == NULL) {
        spin_lock(&p->lock);
        what = decide(p, t, looked, job);
        spin_unlock(&p->lock);
    }
    return what;
}

/* ------------------------------------------------------------ running a job */

void offload_over(struct offload *job)
{
    if (offload_is_child(job))
        child_over(job);
    else if (!offload_end(job))
        private_end(job);
}

/* On a worker: wake all whose calls have returned. */
static void deliver(struct thrum_job_ *job)
{
    struct pool *p = container_of(job, struct pool, deliver);
    struct tray_item *item, *after;

    spin_lock(&p->done_lock);
    item = tray_take_all(&p->done);
    spin_unlock(&p->done_lock);
    for (; item != NULL; item = after) {
        after = item->next;
        tray_look_ahead(item);
        tsan_rely(offload_of(item));
        offload_over(offload_of(item)); /* it is gone */
    }
}

const struct thrum_site_ pool_deliver = {deliver, "offload", "thrum"};

/* Let its task go on: at once, or in a flood with others. */
static void finish(struct pool *p, struct blocking_thread *t,
                   struct offload *job)
{
    bool first;

    if (t->burst < FLOOD) {
        offload_over(job); /* it is gone */
        return;
    }
    tsan_promise(job);
    spin_lock(&p->done_lock);
    first = tray_add(&p->done, &job->item);
    spin_unlock(&p->done_lock); /* from here on it may be gone */
    if (first) {
        tsan_promise(&p->deliver);
        sched_submit(p->sched, &p->deliver);
    }
}

/* In its own scope, or that of its task. False: it was canceled, and is gone. */
static bool call_out(struct offload *job)
{
    struct scope *scope;

    if (offload_is_child(job)) {
        child_run(job);
        return true;
    }
    if (offload_is_private(job))
        return private_run(job);
    if (!offload_begin(job, &scope)) {
        offload_skip(job);
        return false;
    }
    (void)scope_adopt(scope);
    job->u.err = job->fn(job->u.arg);
    (void)scope_adopt(NULL);
    return true;
}

static void run(struct pool *p, struct blocking_thread *t, struct offload *job)
{
    tsan_rely(job);
    if (call_out(job))
        finish(p, t, job);
}

/* Run it, and tell the pool when calls begin to be long, or brief again.
 * `start`: when the one before ended; now, when this one did. */
static void run_timed(struct pool *p, struct blocking_thread *t,
                      struct offload *job, int64_t *start)
{
    int64_t now;
    bool brief;

    run(p, t, job);
    now = clock_now();
    brief = now - *start < BRIEF_NS;
    *start = now;
    if (brief == t->brief)
        return;
    t->brief = brief;
    spin_lock(&p->lock);
    p->brief = brief;
    spin_unlock(&p->lock);
}

/* ------------------------------------------------------------------ resting */

static bool any_came(struct pool *p)
{
    return load_relaxed(&p->any) != 0; /* a hint, decided by the lock */
}

/* After a flood, let jobs come together: each look takes the line that they are
 * entered in from who submits. But not if a worker waits for us; and he may wait
 * for this CPU. */
static void pause_in_flood(struct pool *p)
{
    int64_t until = clock_now() + FLOOD_NS;

    while (clock_now() < until && !sched_any_searches(p->sched))
        thread_yield();
}

/* As the looker. */
static void look_for_job(struct pool *p, struct blocking_thread *t)
{
    bool flood = t->burst >= FLOOD;

    for (int i = 0; i < (flood ? FLOOD_LOOKS : LOOKS); i++) {
        if (flood)
            pause_in_flood(p);
        if (any_came(p))
            return;
        if (flood)
            thread_yield();
        else
            cpu_relax();
    }
}

/* Under the lock; false: it was called to work meanwhile. */
static bool leave_rest(struct pool *p, struct blocking_thread *t)
{
    struct blocking_thread **at = &p->rest;

    if (t->called)
        return false;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    p->resting--;
    return true;
}

/* Rest until called. False: retired. */
static bool rest(struct pool *p, struct blocking_thread *t)
{
    bool left = false;

    if (!parker_park(&t->parker, clock_now() + WARM_NS)) {
        spin_lock(&p->lock);
        left = leave_rest(p, t);
        if (left)
            (void)retire(p, t); /* not of a pool that stops: that calls all */
        spin_unlock(&p->lock);
        if (!left)
            (void)parker_park(&t->parker, CLOCK_NEVER); /* the caller's token */
    }
    return !left;
}

void blocking_thread_run(void *blocking_thread)
{
    struct blocking_thread *t = blocking_thread;
    struct pool *p = t->pool;
    int64_t start = clock_now();
    bool looked = false;
    struct offload *job;

    for (;;) {
        enum next what = next(p, t, looked, &job);

        looked = what == NEXT_LOOK;
        if (what == NEXT_JOB) {
            run_timed(p, t, job, &start);
            continue;
        }
        if (what == NEXT_LAST)
            parker_unpark(&p->stopper);
        if (what == NEXT_LAST || what == NEXT_GONE ||
            (what == NEXT_REST && !rest(p, t)))
            return;
        if (what == NEXT_LOOK)
            look_for_job(p, t);
        start = clock_now();
    }
}

void blocking_threads_join(struct pool *p)
{
    struct blocking_thread *t, *after;

    spin_lock(&p->lock);
    t = p->retired;
    p->retired = NULL;
    spin_unlock(&p->lock);
    for (; t != NULL; t = after) {
        after = t->next;
        thread_join(&t->thread);
        release(t);
    }
}
