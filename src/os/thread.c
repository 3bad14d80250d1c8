#include "os/thread.h"

#include <sched.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"
#include "os/fail.h"

/* Where the threads' share of a program's thread-locals alone is larger than
 * the stack asked for, pthread says EINVAL. Untouched pages cost nothing. */
enum { STACK_LAST_RESORT = 8 << 20 };

static sigset_t asynchronous_signals(void)
{
    static const int open[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                               SIGTRAP, SIGABRT, SIGPROF};
    sigset_t set;

    sigfillset(&set);
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        sigdelset(&set, open[i]);
    return set;
}

/* The kernel may be late by the slack, 50 us by default, to wake for several
 * timers at once. Sleepers are to wake on time. */
static void be_punctual(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
}

/* Who waits for what it had to do would wait for ever. */
static void ended_early(void *arg)
{
    struct thread *t = arg;

    die("thread %s was ended by what it called: pthread_exit or pthread_cancel",
        t->name);
}

/* NOLINTNEXTLINE(readability-function-size): the macros nest, not we */
static void *begin(void *arg)
{
    struct thread *t = arg;

    store_relaxed(&t->tid, (int32_t)gettid()); /* asked for later */
    be_punctual();
    pthread_setname_np(pthread_self(), t->name);
    altstack_enter(&t->altstack);
    pthread_cleanup_push(ended_early, t);
    t->run(t->arg);
    pthread_cleanup_pop(0);
    altstack_leave(&t->altstack);
    return NULL;
}

static int create_with_stack(struct thread *t, size_t bytes)
{
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return -rc;
    rc = pthread_attr_setstacksize(&attr, bytes);
    if (rc == 0)
        rc = pthread_create(&t->id, &attr, begin, t);
    pthread_attr_destroy(&attr);
    return -rc;
}

/* A thread inherits the mask of its maker, so that is changed around it: the
 * new thread is never open to a signal, not even in its first instruction. */
static int create(struct thread *t, size_t bytes)
{
    sigset_t closed = asynchronous_signals();
    sigset_t before;
    int rc;

    if (fail_now(FAIL_THREAD))
        return -EAGAIN;
    pthread_sigmask(SIG_SETMASK, &closed, &before);
    rc = create_with_stack(t, bytes);
    if (rc == -EINVAL && bytes < STACK_LAST_RESORT)
        rc = create_with_stack(t, STACK_LAST_RESORT);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*run)(void *arg), void *arg)
{
    size_t least = (size_t)PTHREAD_STACK_MIN;
    int saved = errno; /* a timer may make a thread while a task yields */
    int rc;

    t->run = run;
    t->arg = arg;
    store_relaxed(&t->tid, 0); /* no thread yet */
    snprintf(t->name, sizeof t->name, "%s", name);

    rc = altstack_map(&t->altstack);
    if (rc == 0) {
        rc = create(t, stack_bytes > least ? stack_bytes : least);
        if (rc < 0)
            altstack_unmap(&t->altstack);
    }
    errno = saved;
    return rc < 0 ? -EAGAIN : 0;
}

void thread_join(struct thread *t)
{
    int rc = pthread_join(t->id, NULL);

    assert_invariant(rc == 0);
    altstack_unmap(&t->altstack);
}

void thread_detach(struct thread *t)
{
    int rc = pthread_detach(t->id);

    assert_invariant(rc == 0);
}

int64_t thread_cpu_time(struct thread *t)
{
    struct timespec used;
    clockid_t clock;

    if (pthread_getcpuclockid(t->id, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return 0;
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

/* "7 (its name) S 1 ...": the name may have anything in it. */
static char state_in(const char *stat)
{
    const char *end = strrchr(stat, ')');

    return end != NULL && end[1] == ' ' ? end[2] : '?';
}

bool thread_is_asleep(struct thread *t)
{
    char path[64], stat[128];
    int saved = errno, fd;
    ssize_t n = -1;
    char state;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat",
             (int)load_relaxed(&t->tid)); /* 0: there is no such file */
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, stat, sizeof stat - 1);
        close(fd);
    }
    errno = saved;
    if (n <= 0)
        return false;
    stat[n] = '\0';
    state = state_in(stat);
    return state == 'S' || state == 'D';
}

void thread_yield(void)
{
    (void)sched_yield();
}
