/* thread.h - OS threads of the library.
 *
 * Each is joinable and has a name (seen in top -H and gdb), a small stack, a
 * stack for signal handlers, and all asynchronous signals blocked: those are
 * for the application's own threads. What a thread brings on itself (SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT) stays open, and SIGPROF, so that
 * profilers see workers. Knows nothing of what runs on them.
 */
#ifndef OS_THREAD_H
#define OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/altstack.h"

enum { THREAD_NAME_MAX = 16 };

/* Stays in place from thread_start until thread_join returned. */
struct thread {
    /* const after thread_start */
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[THREAD_NAME_MAX]; /* longer names are cut */
    _Atomic int32_t tid;        /* 0 until it runs */
    struct altstack altstack;
};

/* Start a thread that calls run(arg) on a stack of at least stack_bytes.
 *
 * What the caller wrote before is seen by run. The caller's own signal mask is
 * as before on return.
 *
 * Returns 0 or -EAGAIN (no thread or no memory to be had); then nothing is left
 * behind. errno is left alone.
 */
int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*run)(void *arg), void *arg);

/* Wait until run has returned; what it wrote is seen by the caller. */
void thread_join(struct thread *t);

/* The CPU it has used so far, in ns, some 1 us old. It has not been joined. */
int64_t thread_cpu_time(struct thread *t);

/* Does it sleep in the kernel? Reads a file, some 40 us. What cannot be read
 * does not. */
bool thread_is_asleep(struct thread *t);

/* Let another thread have this CPU. */
void thread_yield(void);

/* Give up a thread that may never return (a blocking call nobody can end). Its
 * struct must stay for good, and its signal stack does. */
void thread_detach(struct thread *t);

#endif
