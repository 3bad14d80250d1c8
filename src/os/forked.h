/* forked.h - what the child of a fork(2) has to forget.
 *
 * In the child there is one thread, the one that called fork. The others are
 * gone, whatever they held and wherever they stood; what they shared is to be
 * made anew, and nothing of it freed, joined or closed, as it is half done.
 *
 * Ordering
 *   [FK1] forked_tell -> [FK2] the child   what it is to do
 */
#ifndef OS_FORKED_H
#define OS_FORKED_H

#include "base/atomic.h"

struct forked {
    void (*forget)(void);
    struct forked *next;
    _Atomic uint32_t known;
};

/* From now on f->forget is called in each child, once for any number of calls
 * here. It runs before fork returns there: no other thread, no lock to be had. */
void forked_tell(struct forked *f);

/* How often this process is a child of one that used the library: what was made
 * under another number is not this process's. */
uint32_t forked_times(void);

#endif
