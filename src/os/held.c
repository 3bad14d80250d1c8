#include "os/held.h"

#if HELD_KNOWN

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <thrum/fork.h>

#include "base/atomic.h"
#include "base/base.h"

/* Seen by the whole program, though the library hides its names. */
#define SHOWN __attribute__((visibility("default"), noinline))

enum { MOST = 64 }; /* more at once are not noted */

struct held {
    const pthread_mutex_t *mutex;
    const void *caller;
};

/* No function here is one in which a task is suspended. */
static __thread struct held all[MOST];
static __thread unsigned count;

const void *held_mutex(char *where, size_t bytes)
{
    const struct held *h;
    Dl_info info;

    if (count == 0)
        return NULL;
    h = &all[count - 1];
    if (dladdr(h->caller, &info) == 0)
        snprintf(where, bytes, "%p", h->caller);
    else
        snprintf(where, bytes, "%s+0x%zx (%s)", info.dli_fname,
                 (size_t)((const char *)h->caller - (char *)info.dli_fbase),
                 info.dli_sname == NULL ? "a static function" : info.dli_sname);
    return h->mutex;
}

/* Of threads that run no task nobody asks. */
static int taken(int rc, const pthread_mutex_t *m, const void *caller)
{
    if (rc == 0 && thrum_self_() != NULL && count < MOST)
        all[count++] = (struct held){m, caller};
    return rc;
}

static bool forget(const pthread_mutex_t *m)
{
    for (unsigned i = count; i-- > 0;) {
        if (all[i].mutex != m)
            continue;
        count--;
        memmove(&all[i], &all[i + 1], (count - i) * sizeof *all);
        return true;
    }
    return false;
}

/* By what the C library has noted. */
static bool is_anothers(const pthread_mutex_t *m)
{
#ifdef __GLIBC__
    return m->__data.__owner != 0 && m->__data.__owner != gettid();
#else
    (void)m;
    return false;
#endif
}

/* The C library's function of this name. */
static void *next(_Atomic(void *) *found, const char *name)
{
    void *fn = load_relaxed(found); /* code, there from the beginning */

    if (fn == NULL) {
        fn = dlsym(RTLD_NEXT, name);
        if (fn == NULL)
            die("a debug build is not for a static program");
        store_relaxed(found, fn); /* likewise */
    }
    return fn;
}

#define CALL_NEXT(name, ...)                                                   \
    __extension__({                                                            \
        static _Atomic(void *) found_;                                         \
        __typeof__(&name) fn_ = (__typeof__(&name))next(&found_, #name);       \
        fn_(__VA_ARGS__);                                                      \
    })

SHOWN int pthread_mutex_lock(pthread_mutex_t *m)
{
    return taken(CALL_NEXT(pthread_mutex_lock, m), m,
                 __builtin_return_address(0));
}

SHOWN int pthread_mutex_trylock(pthread_mutex_t *m)
{
    return taken(CALL_NEXT(pthread_mutex_trylock, m), m,
                 __builtin_return_address(0));
}

SHOWN int pthread_mutex_timedlock(pthread_mutex_t *m,
                                  const struct timespec *until)
{
    return taken(CALL_NEXT(pthread_mutex_timedlock, m, until), m,
                 __builtin_return_address(0));
}

SHOWN int pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (!forget(m) && thrum_self_() != NULL && is_anothers(m))
        die("pthread_mutex_unlock: a task releases the mutex at %p, which "
            "another thread has taken",
            (void *)m);
    return CALL_NEXT(pthread_mutex_unlock, m);
}

#endif
