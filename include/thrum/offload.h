/* thrum/offload.h - code that blocks its thread, off the workers.
 *
 * A worker that blocks in read(2) on a file or in getaddrinfo(3) runs nothing
 * else. thrum_offload moves such a call to a pool of threads of its own, made
 * as needed and kept warm for some seconds.
 */
#ifndef THRUM_OFFLOAD_H
#define THRUM_OFFLOAD_H

#include <thrum/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Call fn(arg) on a thread of the blocking pool and wait for it to the end.
 *
 * Call from:  a task; on another thread fn is simply called.
 * Suspends:   the task always.
 * Ownership:  arg may point to the caller's variables: the call does not return
 *             before fn has.
 * Order:      fn sees what came before; what it did is visible on return.
 * Returns:    what fn returned, even when the task is canceled meanwhile: fn may
 *             ask thrum_canceled() and come back early. THRUM_CANCELED when it
 *             was before: fn is then not called. Of kind THRUM_OS with EAGAIN, or THRUM_NOMEM,
 *             when the pool has no thread and none can be made: fn was then not
 *             called.
 * Cost:       no allocation.
 *
 * fn is no task: of this library it may call what says "anywhere" or "any other
 * thread". It runs in the scope of its caller: thrum_spawn(NULL, ...) in it is
 * the caller's.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *thrum_offload(thrum_fn *fn,
                                                                  void *arg);

#ifdef __cplusplus
}
#endif
#endif
