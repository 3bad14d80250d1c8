#include "os/forked.h"

#include <pthread.h>

static _Atomic(struct forked *) all; /* pushed to only */
static _Atomic uint32_t times;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    store_relaxed(&times, load_relaxed(&times) + 1); /* the only thread */
    for (struct forked *f = load_acquire(&all) /* [FK2] */; f != NULL;
         f = f->next)
        f->forget();
}

/* Without memory for that a child must not use the library, as it said before
 * there was this file. */
static void register_all(void)
{
    (void)pthread_atfork(NULL, NULL, in_child);
}

void forked_tell(struct forked *f)
{
    uint32_t unknown = 0;

    if (load_relaxed(&f->known) != 0 || !cas_relaxed(&f->known, &unknown, 1))
        return;
    (void)pthread_once(&once, register_all);
    f->next = load_relaxed(&all);           /* decided by the exchange */
    while (!cas_release(&all, &f->next, f)) /* [FK1] */
        ;
}

uint32_t forked_times(void)
{
    return load_relaxed(&times);
}
