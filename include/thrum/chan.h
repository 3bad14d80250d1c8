/* thrum/chan.h - channels: tasks that hand each other items; and select.
 *
 * A channel carries items of one size, by copy, from those who send to those who
 * receive, in the order in which they were sent. It has room for so many as its
 * capacity says; who finds it full waits. With capacity 0 a sender meets a
 * receiver: neither goes on before the other has come.
 *
 *     thrum_chan c;
 *     THRUM_TRY(thrum_chan_init(&c, sizeof(struct order), 64));
 *     ...
 *     THRUM_TRY(thrum_chan_send(&c, &order));            // in one task
 *     while ((rc = thrum_chan_recv(&c, &order)) == 0)    // in another
 *         serve(&order);
 *
 * Any number of tasks, and of threads that are no workers, may send and receive
 * at once. Those who wait at the same end are served in the order in which they
 * came, and nobody overtakes them.
 *
 * Closing says that nothing will be sent any more: a send returns -EPIPE, a
 * receive takes what is left and then returns -EPIPE. Anybody may close, once is
 * enough.
 *
 *                     open                            closed
 *   send              waits for room                  -EPIPE
 *   recv              waits for an item               the items left, then -EPIPE
 *   close             who waits gets -EPIPE           nothing
 *   NULL for one      waits until canceled; a try: -EAGAIN; close: nothing
 *
 * Every wait here ends with -ECANCELED when its task is canceled, and that means
 * that nothing was transferred. What was transferred is a success: the cancel is
 * then seen at the next wait. A task that is canceled already does nothing. The
 * `try` forms wait for nothing, so they do not ask: clean-up may drain a channel.
 *
 * Order: what a task did before a send is visible to who receives the item; what
 * it did before a receive, to the sender who waited for that room; what it did
 * before a close, to who is told -EPIPE.
 */
#ifndef THRUM_CHAN_H
#define THRUM_CHAN_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's storage; nothing in it is the caller's business. */
typedef struct thrum_chan {
    void *opaque_[8];
} thrum_chan;

/* Make a channel for items of `item` bytes, with room for `cap` of them.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  c stays in place until thrum_chan_fini.
 * Returns:    0
 *             -ENOMEM  no memory for the items
 *             -EINVAL  an item, or a capacity, of 4 GiB or more
 * Cost:       one allocation, none if cap or item is 0; nothing after that
 *             allocates. Items are copied under a spin lock: of what is larger
 *             than some cache lines send the address.
 */
THRUM_API THRUM_NODISCARD int thrum_chan_init(thrum_chan *c, size_t item,
                                              size_t cap);

/* Free it, and the items that nobody has received.
 *
 * Call from:  anywhere, when nobody uses it any more: after all that send and
 *             receive have been joined, or when who was told -EPIPE knows that he
 *             is the last one.
 * Suspends:   never.
 *
 * If somebody waits at it the program is stopped with a line that says so; also
 * if it is used after that, or was never made. To free it again has no effect.
 */
THRUM_API void thrum_chan_fini(thrum_chan *c);

/* Nothing will be sent any more.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Cost:       no allocation; grows with the number of those who wait.
 */
THRUM_API void thrum_chan_close(thrum_chan *c);

/* Send a copy of *item.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is no room.
 * Ownership:  item is read before it returns; NULL if items are of 0 bytes.
 * Returns:    0
 *             -EPIPE      the channel is closed
 *             -ECANCELED  the task is canceled
 *             and the item was not sent.
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_chan_send(thrum_chan *c,
                                                             const void *item);

/* Receive the oldest item into *item.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is none.
 * Ownership:  item NULL: it is dropped.
 * Returns:    0
 *             -EPIPE      the channel is closed and empty
 *             -ECANCELED  the task is canceled
 *             and *item is as it was.
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_chan_recv(thrum_chan *c,
                                                             void *item);

/* Send a copy of *item without waiting. With capacity 0 it succeeds only when
 * somebody waits at the other end.
 *
 * Call from:  anywhere, in a canceled task too.
 * Suspends:   never.
 * Ownership:  as thrum_chan_send.
 * Returns:    0
 *             -EAGAIN  it would have to wait
 *             -EPIPE   the channel is closed
 */
THRUM_API THRUM_NODISCARD int thrum_chan_try_send(thrum_chan *c,
                                                  const void *item);

/* Receive the oldest item into *item without waiting; with capacity 0 as above.
 *
 * Call from:  anywhere, in a canceled task too.
 * Suspends:   never.
 * Ownership:  as thrum_chan_recv.
 * Returns:    0
 *             -EAGAIN  it would have to wait
 *             -EPIPE   the channel is closed and empty
 */
THRUM_API THRUM_NODISCARD int thrum_chan_try_recv(thrum_chan *c, void *item);

/* Send up to n items, at least one: as many as there is room for when there is
 * room for one.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is no room at all.
 * Ownership:  items is an array of n.
 * Order:      as if they were sent one after the other; those of others come
 *             before or after what one call sends without waiting, not between.
 * Returns:    how many were sent, the first ones of the array; 0 if n is 0
 *             -EPIPE, -ECANCELED   as thrum_chan_send: none was sent
 * Cost:       one lock, not n.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int64_t
thrum_chan_send_many(thrum_chan *c, const void *items, size_t n);

/* Receive up to n items, at least one: as many as are there when there is one.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is none.
 * Ownership:  items is an array of n.
 * Returns:    how many were received; 0 if n is 0
 *             -EPIPE, -ECANCELED   as thrum_chan_recv: none was received
 * Cost:       one lock, not n.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int64_t
thrum_chan_recv_many(thrum_chan *c, void *items, size_t n);

/* ------------------------------------------------------------------- select */

typedef enum { THRUM_RECV, THRUM_SEND } thrum_direction;

/* One of the things that a select may do:
 *
 *     thrum_case cases[] = {
 *         {.ch = &orders, .op = THRUM_RECV, .item = &order},
 *         {.ch = &stop, .op = THRUM_RECV},
 *     };
 *     switch (thrum_select(cases, 2, true)) {
 *     case 0:
 *         if (cases[0].rc == 0)       // else the channel is closed
 *             serve(&order);
 */
typedef struct thrum_case {
    thrum_chan *ch; /* NULL: never ready */
    thrum_direction op;
    int rc;           /* out, of the one chosen: 0, or -EPIPE */
    void *item;       /* as of thrum_chan_recv; a send only reads it */
    void *opaque_[8]; /* the library's while it waits */
} thrum_case;

/* Do exactly one of n things: one that is ready, else the first that gets so.
 * Where it begins to look for one is random, so that none starves. A closed
 * channel is ready, to say -EPIPE.
 *
 * Call from:  a task; a thread that is no worker, which then blocks. With block
 *             false: anywhere, in a canceled task too.
 * Suspends:   with block true, while none is ready. With no case at all, or with
 *             NULL channels only, until canceled.
 * Ownership:  the cases, their items and their channels stay until it returns. A
 *             channel may be in several cases; a send and a receive of the same
 *             select never meet.
 * Returns:    the index of the case that was done; its `rc` says how
 *             -EAGAIN     block is false, and none is ready
 *             -ECANCELED  the task is canceled, and nothing was done
 * Cost:       no allocation; the locks of all the channels, and when it had to
 *             wait once more.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_select(thrum_case *cases,
                                                          int n, bool block);

#ifdef __cplusplus
}
#endif
#endif
