/* held.h - the pthread mutexes that tasks have. Only in a debug build, which
 * defines pthread_mutex_lock and its like: all calls of the program, of whatever
 * library it is made, then lead through here, and each thread notes what it has
 * taken, and where.
 *
 * A task that is suspended goes on on whatever thread takes it up. There it would
 * release what that thread has not taken; and meanwhile other tasks of its own old
 * thread may want it. Who releases in a task what another thread has taken ends
 * the program, too.
 *
 * Not with a sanitizer, which has definitions of its own.
 */
#ifndef OS_HELD_H
#define OS_HELD_H

#include <stddef.h>

#if !defined(__has_feature)
#define HELD_SANITIZED_ 0
#else
#define HELD_SANITIZED_                                                        \
    (__has_feature(thread_sanitizer) || __has_feature(address_sanitizer))
#endif

#if defined(THRUM_DEBUG) && !defined(THRUM_MODEL) && !HELD_SANITIZED_ &&       \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) &&         \
    !defined(THRUM_TSAN_LINKED)
#define HELD_KNOWN 1
#else
#define HELD_KNOWN 0
#endif

#if HELD_KNOWN

/* One that the calling thread has, taken by a task; NULL: there is none. `where`:
 * in which place, for people. */
const void *held_mutex(char *where, size_t bytes);

#endif
#endif
