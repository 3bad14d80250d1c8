/* What of os/ the whole runtime asks for, besides what model/lib has for all. */
#include "os/altstack.h"
#include "os/cpu.h"
#include "os/entropy.h"
#include "os/env.h"
#include "os/fault.h"
#include "os/forked.h"
#include "os/lock.h"
#include "os/poll.h"
#include "os/thread.h"
#include "os/transfer.h"
#include "os/unwind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "io/simulate.h"
#include "model.h"
#include "os/clock.h"
#include "os/futex.h"
#include "runtime.h"
#include "task/scope.h"

/* -------------------------------------------------------- threads and locks */

int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*run)(void *arg), void *arg)
{
    int number;

    (void)stack_bytes;
    snprintf(t->name, sizeof t->name, "%s", name);
    number = model_start(t->name, run, arg);
    t->id = (pthread_t)number;
    return number < 0 ? -EAGAIN : 0;
}

void thread_join(struct thread *t)
{
    model_join((int)t->id);
}

static _Atomic uint32_t *word_of(struct lock *l)
{
    return (_Atomic uint32_t *)(void *)&l->mutex;
}

void lock_init(struct lock *l)
{
    store_relaxed(word_of(l), 0);
}

void lock_acquire(struct lock *l)
{
    while (exchange_acquire(word_of(l), 1) != 0)
        (void)futex_wait(word_of(l), 1, CLOCK_NEVER);
}

void lock_release(struct lock *l)
{
    store_release(word_of(l), 0);
    futex_wake(word_of(l), 1);
}

/* A thread's own: what it runs, and, of one that is no worker, its scope. */
static struct {
    struct thrum_deque_ *current;
    struct scope *scope;
} locals[MODEL_THREADS + 1];

void model_switches(int from, int to)
{
    locals[from + 1].current = thrum_current_;
    locals[from + 1].scope = scope_adopt(locals[to + 1].scope);
    thrum_current_ = locals[to + 1].current;
}

void os_reset(void)
{
    memset(locals, 0, sizeof locals);
    model_no_descriptor();
}

/* ----------------------------------------------------------------- the rest */

bool clock_ticks_even(void)
{
    return true;
}

struct clock_pair clock_pair(void)
{
    int64_t now = clock_now();

    return (struct clock_pair){(uint64_t)now, now};
}

int64_t clock_of_ticks(struct clock_pair before, struct clock_pair after,
                       uint64_t ticks)
{
    (void)before;
    (void)after;
    return (int64_t)ticks;
}

unsigned cpu_count(void)
{
    return 2;
}

unsigned cpu_allowed(void)
{
    return 2;
}

int cpu_pin(unsigned nth)
{
    (void)nth;
    return 0;
}

bool env_number(const char *name, uint64_t *number)
{
    (void)name;
    (void)number;
    return false;
}

void env_complain(const char *name, const char *why)
{
    (void)name;
    (void)why;
}

uint64_t entropy(void)
{
    return (uint64_t)model_choose(1 << 16);
}

void fault_start(fault_explain *explain)
{
    (void)explain;
}

void forked_tell(void (*forget)(void))
{
    (void)forget;
}

bool transfer_is_open(int fd)
{
    (void)fd;
    return true;
}

bool transfer_is_tcp(int fd)
{
    (void)fd;
    return false;
}

int transfer_close(int fd)
{
    (void)fd;
    add_acq_rel(&world.closed, 1);
    model_no_descriptor();
    return 0;
}

void thread_detach(struct thread *t)
{
    (void)t;
}

int poll_open(struct poll_set *set)
{
    *set = (struct poll_set){.epoll = 0};
    return 0;
}

void poll_close(struct poll_set *set)
{
    (void)set;
    model_no_descriptor();
}

/* Who makes no turn computes, by this. */
int64_t thread_cpu_time(struct thread *t)
{
    (void)t;
    return 0;
}

bool thread_is_asleep(struct thread *t)
{
    (void)t;
    return false;
}

/* Nothing is simulated here but all of it. */
bool simulate_is_on(void)
{
    return false;
}

ssize_t simulate_try(struct call *c, attempt *try, unsigned what)
{
    (void)what;
    return try(c);
}

/* There is no guest here. */
int poll_open_timed(struct poll_set *set)
{
    (void)set;
    abort();
}

void poll_ready_at(struct poll_set *set, int64_t until)
{
    (void)set;
    (void)until;
    abort();
}

struct unwinding *unwinding_here(void)
{
    return NULL;
}

int altstack_map(struct altstack *s)
{
    (void)s;
    abort();
}

void altstack_enter(struct altstack *s)
{
    (void)s;
}

void altstack_leave(struct altstack *s)
{
    (void)s;
}

void altstack_unmap(struct altstack *s)
{
    (void)s;
}
