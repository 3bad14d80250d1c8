/* thrum/broadcast.h - one sends, all who listen hear it.
 *
 * Every subscriber gets each item that is sent after it subscribed, in the same
 * order. A send never waits: the newest items are kept, as many as there is room
 * for, and a subscriber who is so slow that an item was given up before he took
 * it is told how many he has missed.
 *
 *     thrum_subscriber me;
 *     thrum_subscribe(&me, &news);
 *     while ((rc = thrum_subscriber_recv(&me, &item, &missed)) == 0)
 *         ...
 *
 * A subscriber is a place in the stream, no more: it costs nothing while it does
 * not receive, and need not be given back.
 *
 * A wait ends with -ECANCELED when its task is canceled; nothing was received
 * then, nothing is lost.
 */
#ifndef THRUM_BROADCAST_H
#define THRUM_BROADCAST_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's storage; nothing in it is the caller's business. */
typedef struct thrum_broadcast {
    void *opaque_[6];
} thrum_broadcast;

typedef struct thrum_subscriber {
    thrum_broadcast *of_;
    uint64_t next_;
} thrum_subscriber;

/* Make one for items of `item` bytes that keeps the newest `keep` of them.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  b stays in place until thrum_broadcast_fini.
 * Returns:    0
 *             -ENOMEM  no memory for the items
 *             -EINVAL  keep is 0, or one of the two 4 GiB or more
 * Cost:       one allocation; nothing after that allocates.
 */
THRUM_API THRUM_NODISCARD int thrum_broadcast_init(thrum_broadcast *b,
                                                   size_t item, size_t keep);

/* Free it, and the items that it keeps.
 *
 * Call from:  anywhere, when nobody uses it any more.
 * Suspends:   never.
 *
 * If somebody waits at it the program is stopped with a line that says so; also
 * if it is used after that, or was never made. To free it again has no effect.
 */
THRUM_API void thrum_broadcast_fini(thrum_broadcast *b);

/* Send a copy of *item to all who have subscribed.
 *
 * Call from:  anywhere, in a canceled task too; by several at once.
 * Suspends:   never.
 * Ownership:  item is read before it returns.
 * Order:      who receives it sees what came before.
 * Returns:    0
 *             -EPIPE  it is closed, and the item was not sent
 * Cost:       no allocation; grows with the number of those who wait.
 */
THRUM_API THRUM_NODISCARD int thrum_broadcast_send(thrum_broadcast *b,
                                                   const void *item);

/* Nothing will be sent any more. Once is enough.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Cost:       no allocation; grows with the number of those who wait.
 */
THRUM_API void thrum_broadcast_close(thrum_broadcast *b);

/* Begin to listen: the first item will be the next that is sent.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  s is used by one task or thread at a time, and b lives as long.
 */
THRUM_API void thrum_subscribe(thrum_subscriber *s, thrum_broadcast *b);

/* Receive the next item into *item.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is none.
 * Ownership:  item NULL: it is dropped. missed may be NULL.
 * Returns:    0, and in *missed how many items before this one were given up
 *                before he took them
 *             -EPIPE      it is closed, and he has had all there is
 *             -ECANCELED  the task is canceled
 *             and with these two *item is as it was, and *missed 0.
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_subscriber_recv(thrum_subscriber *s, void *item, uint64_t *missed);

/* The same without waiting.
 *
 * Call from:  anywhere, in a canceled task too.
 * Suspends:   never.
 * Returns:    0, -EPIPE, or
 *             -EAGAIN  there is none
 */
THRUM_API THRUM_NODISCARD int
thrum_subscriber_try_recv(thrum_subscriber *s, void *item, uint64_t *missed);

#ifdef __cplusplus
}
#endif
#endif
