/* sched.h - workers and their jobs: publish one, find one, rest, keep the time.
 *
 * Knows the places a job can be in, and nothing of how one is run: switching is
 * sched/worker, starting and stopping sched/start. Where a worker looks for a
 * job, in this order: its queue, the inbox, the deques and queues of others.
 * Before it sleeps, once more (parts/idle.h).
 *
 * Timers are armed by each worker in a heap of its own (parts/timers.h), and kept
 * by one that rests (the keeper): it parks until the earliest of all, less what
 * the kernel takes to wake it, as it has learned. A busy worker looks at them
 * between jobs. If the keeper finds a job while others rest, one of them is woken
 * to keep the time; if none does, there is sched/relief. The keeper polls, too
 * (sched/poller).
 *
 * A guest has no thread: its one worker runs on its host's, when that lets it
 * (sched/guest). Where it would sleep it leaves, and the host waits in its stead,
 * for the poller's set.
 *
 * Ordering
 *   [S6] show a stack -> [S7] a thief looks at it   its deque
 *   [S1] sched_stop: stopping <-> [S2] before sleep: look   nobody sleeps on
 *   [S4] the default one is shown -> [S5] who asks for it    its fields
 *   [S8] a visitor leaves -> [S9] who stops waits            his last access
 *   [S10] a worker is made -> [S11] who looks at all of them its queue
 *   [S3] keeper: role, look    <-> [T3] an earlier timer     it is woken
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/rng.h"
#include "os/forked.h"
#include "os/thread.h"
#include "os/unwind.h"
#include "parts/idle.h"
#include "parts/inbox.h"
#include "parts/parker.h"
#include "parts/queue.h"
#include "parts/timers.h"
#include "sched/crew.h"
#include "sched/poller.h"
#include "sched/relief.h"
#include "sched/stack.h"

struct sched;

/* Called on the stack switched to, when `left` is at rest. */
typedef void worker_after(struct worker *w, struct stack *left, void *arg);

enum { WORKER_RECORDS = 256, WORKER_LINKED = 8 };

struct worker {
    /* const after sched_start */
    struct sched *sched;
    unsigned index;

    /* const since the thread runs: where its thread-locals are */
    struct thrum_deque_ **current_at;
    int *errno_at;
    struct unwinding *unwinding_at; /* or NULL */

    /* this worker only */
    struct stack *spare;
    unsigned spares;
    struct rng rng;
    struct stack *left; /* by the switch under way */
    worker_after *after;
    void *after_arg;
    bool begins; /* so it searches first: [I8], [R10] */
    unsigned record_count;
    void *records[WORKER_RECORDS];    /* spare ones of the task layer */
    _Atomic(struct poller_own *) own; /* this thread's; io/uring.c's, or NULL */
    bool own_tried;
    const void *linked[WORKER_LINKED]; /* the last scopes, of task/cancel.c */
    unsigned linked_count;
    struct ctx home; /* the thread's first stack */
    struct sanitize_fiber home_fiber;

    int told;  /* events it was told of, and has not delivered */
    int woken; /* a hint: so many of its jobs were, by what it has delivered */
    uintptr_t stride; /* a hint: so far apart the last two stacks it ran lay */
    struct poll_event events[POLLER_BATCH];

    struct queue queue;
    uint32_t first; /* so many of the queue go before who let one go */
    struct parker parker;
    struct thread thread;
    struct crew_member member;
    struct thrum_job_ retire; /* which it finds when it is one too many */

    /* the relief's: what it saw when it looked */
    uint32_t seen_turn;
    int64_t seen_cpu;

    /* of what is armed here, for the most part touched by this worker only */
    _Alignas(CACHE_LINE) struct timer_heap timers;

    /* written by this worker, read by thieves: [S6] [S7] */
    _Alignas(CACHE_LINE) _Atomic(struct stack *) stack;
    _Atomic uint32_t turn;  /* jobs taken; what is left then is handed over */
    _Atomic uint32_t asked; /* by the monitor, to let others go first: a hint */
};

/* Of the task layer: what it keeps in `pending` of a stack that runs is its
 * business until the stack is put away, or for as long as it runs. */
struct sched_hooks {
    /* The stack is about to be put away: settle it. */
    void (*settle)(struct stack *s);
    /* By the relief, while the stack runs: is there any? See to it. */
    bool (*look)(struct stack *s);
    /* By the relief: what runs there keeps its worker from others, and another
     * took over. It computes, or else it blocks. */
    void (*stuck)(struct sched *sched, struct stack *s, bool computes);
    /* May a job that has not begun go before one that computes? Has it been made
     * by what runs on a stack? */
    queue_apart *apart;
    queue_kin *made_on;
};

/* Where a task may be interrupted, in a simulation only. */
enum point {
    POINT_CALL,  /* it calls the library */
    POINT_POLL,  /* it asks whether something has happened */
    POINT_YIELD, /* it is about to let others run, and asks again then */
    POINT_TIME,  /* it asks for the time: not interrupted there */
};

/* What a call on a descriptor meets, in a simulation. */
struct sched_fate {
    int64_t takes; /* until it is tried */
    int error;     /* what it then fails with, or 0 */
};

struct thrum_sim_program;

/* Who decides in the scheduler's stead, on one thread: src/sim. */
struct sched_sim {
    /* As sched_take, sched_find and sched_take_child. */
    struct thrum_job_ *(*take)(struct sched_sim *sim, struct worker *w);
    struct thrum_job_ *(*find)(struct sched_sim *sim, struct worker *w);
    struct thrum_job_ *(*take_child)(struct sched_sim *sim, struct worker *w,
                                     struct siblings *siblings);
    /* A fork was published on stack s: it may be taken away. */
    void (*forked)(struct sched_sim *sim, struct stack *s);
    /* Whether the task on stack s is to be interrupted here. */
    bool (*at)(struct sched_sim *sim, struct stack *s, enum point point);
    /* The task on stack s goes on no more. */
    bool (*is_over)(struct sched_sim *sim);
    /* How long a blocking call is to take. */
    int64_t (*blocking)(struct sched_sim *sim);
    /* Of a call that may fail with one of these, up to a 0. */
    struct sched_fate (*fate)(struct sched_sim *sim, const int *errors);
    /* How many of n bytes, more than 1, are transferred at once. */
    size_t (*share)(struct sched_sim *sim, size_t n);
    /* What plays the processes (thrum/test.h), or NULL. */
    const struct thrum_sim_program *programs;
};

/* What a guest and its host tell each other; one thread's. */
struct host {
    void (*leave)(struct worker *w); /* until it is let in again. const */
    int64_t until;                   /* it is to leave, though there are jobs */
    struct parker *awaited; /* the same, when this has its token; or NULL */
    bool more;              /* it left, though there were jobs */
    int64_t timer;          /* what the set was told */
    struct altstack altstack;
};

struct sched {
    struct idle idle;
    struct inbox inbox;
    struct timers timers;
    struct relief relief;
    struct poller poller;
    struct stack_pool pool;
    _Atomic uint32_t
        always; /* 1: what hungry says where there is no membarrier */

    /* const after sched_start */
    void (*run_fork)(struct stack *s, struct thrum_job_ *slot); /* fork.h */
    struct sched_hooks hooks;
    struct sched_sim *sim; /* NULL: it is real */
    bool guest;
    unsigned pinned;        /* the first so many are, each to a CPU */
    unsigned spares;        /* most workers above those wanted */
    struct worker *workers; /* room for IDLE_MAX; or for 1, without threads */
    uint32_t forks;         /* forked_times then */
    uint64_t seed;          /* from it each worker chooses its victims */

    struct crew crew;
    _Atomic uint32_t count;   /* workers there are, ever more: [S10] [S11] */
    _Atomic uint32_t by_cpus; /* as many are wanted as there are CPUs */
    int64_t cpus_at;          /* the relief's: when to count them again */

    struct host host; /* of a guest */

    _Atomic uint32_t stopping; /* [S1] [S2] */
    _Atomic int32_t keeper;    /* a worker's index, or IDLE_NOBODY: [S3] */
    _Atomic int64_t lead;      /* by the keeper: how long the kernel takes to
                                * wake it. A hint to others */
    /* threads in sched_submit: [S8] [S9] */
    _Alignas(CACHE_LINE) _Atomic uint32_t visitors;
};

/* Else its worker runs on a thread of the program's. */
static inline bool sched_has_threads(const struct sched *s)
{
    return s->sim == NULL && !s->guest;
}

/* ------------------------------------------------------- publishing a job */

/* It was started by the process that this one was forked from: nobody works. */
static inline bool sched_is_gone(const struct sched *s)
{
    return unlikely(s->forks != forked_times());
}

/* A job from outside. */
void sched_submit(struct sched *s, struct thrum_job_ *job);

/* A job was added to the inbox: see that somebody takes it. */
void sched_notify(struct sched *s);

/* Of a sleeper that was made a searcher; IDLE_NOBODY: there was none. */
void sched_rouse(struct sched *s, int worker);

/* A job that is ready, on the worker that runs the caller. */
void sched_push(struct worker *w, struct thrum_job_ *job);

/* The same, of all of these. */
void sched_push_chain(struct worker *w, const struct chain *c);

/* The same, of a job that whoever pushes it may be about to run: if it is the
 * only one here, it is not handed over at once. */
void sched_push_child(struct worker *w, struct thrum_job_ *job);

/* A fork was published on stack s, and somebody may be hungry. */
void sched_share(struct stack *s);

/* See that `fire` is called at `deadline`, or soon after: for who is about to
 * suspend, so that his worker looks at the time. w: which runs the caller, best;
 * or any. */
void sched_arm(struct worker *w, struct timer *t, int64_t deadline,
               void (*fire)(struct timer *t));

/* The same for who goes on after that, perhaps for long. */
void sched_arm_running(struct worker *w, struct timer *t, int64_t deadline,
                       void (*fire)(struct timer *t));

/* Open the poller, for who is about to suspend. 0, or as poller_open. */
int sched_open_poller(struct sched *s, const struct poller_hooks *hooks);

/* Somebody waits for what was watched before: see that it is checked. */
static inline void sched_fd_waits(struct sched *s)
{
    if (s->sim == NULL)
        relief_stand_in(&s->relief);
}

/* Does a worker look for something to do just now? A hint. */
static inline bool sched_any_searches(struct sched *s)
{
    return load_relaxed(&s->idle.searching) != 0; /* a hint */
}

/* w was made, and is about to have a thread. */
void sched_show(struct worker *w);

/* So many workers are to run. 0, -ENOMEM, -EAGAIN: there are fewer. */
int sched_resize(struct sched *s, unsigned n);

/* How many there are, those that stand by too. Later ones have nothing yet of
 * what the caller looks for: see sched_any. */
static inline unsigned sched_count(struct sched *s)
{
    return load_acquire(&s->count); /* [S11] */
}

/* How many run: a hint. */
static inline unsigned sched_running(struct sched *s)
{
    return load_relaxed(&s->crew.running); /* a hint */
}

/* ------------------------------------------------------ for worker w itself */

/* It is about to block its thread: its jobs are for others. May be nested; until
 * it makes a turn or returns. */
void sched_leave(struct worker *w);
void sched_return(struct worker *w);

/* It makes a turn, and somebody took it for away. */
void sched_be_back(struct worker *w);

/* It begins anew: its thread is new, or stood by. */
void sched_begin(struct worker *w);

/* All that lies in its queue is for others. */
void sched_give_all(struct worker *w);

/* A job to run; rests while there is none. NULL: stop. */
struct thrum_job_ *sched_find(struct sched *s, struct worker *w);

/* Is it a guest that is to leave, though there may be jobs? It takes none then. */
bool sched_must_leave(struct sched *s);

/* A job that is ready here and now, or NULL. */
struct thrum_job_ *sched_take(struct sched *s, struct worker *w);

/* Of the jobs here and now a child that may be called next, if queue_pop_child says
 * so. NULL: no. */
struct thrum_job_ *sched_take_child(struct worker *w,
                                    struct siblings *siblings);

/* The worker was asked to let others go first: one that was woken, that came from
 * outside, or that stands apart. NULL: there is none. */
struct thrum_job_ *sched_take_other(struct worker *w);

/* It is asked no more; and if nobody is, forks go by the fast path again. */
void sched_answered(struct worker *w);

/* As sched_push, but behind those only who are let go first. */
void sched_push_behind(struct worker *w, struct thrum_job_ *job);

/* The relief's look at what is noted on the stacks that run. */
bool sched_look(void *sched);

/* Look at what w itself awaits of the kernel; else at descriptors, unless somebody
 * polls, or it is closed. True: something was told. */
bool sched_look_at_fds(struct sched *s, struct worker *w);

/* The relief: look at descriptors, if no worker does; in some rounds, check them.
 * False: no need. */
bool sched_stand_in(void *sched, unsigned round);

/* Workers that rest are told of [S1]. */
void sched_wake_all(struct sched *s);

/* What thrum_run runs, for threads that are no workers; NULL: nothing. */
struct sched *sched_default(void);
void sched_set_default(struct sched *s);

#endif
