#include "os/altstack.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/auxv.h>

#include "base/base.h"
#include "os/memory.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { ALTSTACK_BYTES = 64 << 10, FRAMES = 4 };

/* The kernel says how large one signal frame can get on this CPU. Room for a
 * handler that does something, and for a second signal on top. */
static size_t usable_bytes(void)
{
    size_t needed = FRAMES * (size_t)getauxval(AT_MINSIGSTKSZ);

    return needed > ALTSTACK_BYTES ? needed : (size_t)ALTSTACK_BYTES;
}

int altstack_map(struct altstack *s)
{
    size_t page = memory_page();

    s->map_bytes = page + ((usable_bytes() + page - 1) & ~(page - 1));
    s->map = memory_map(s->map_bytes);
    if (s->map == NULL)
        return -ENOMEM;
    s->guarded = memory_guard(s->map, page); /* without it works as well */
    return 0;
}

void altstack_enter(struct altstack *s)
{
    size_t page = memory_page();
    stack_t ours = {.ss_sp = s->map + page, .ss_size = s->map_bytes - page};

    s->entered = false;
    if (sigaltstack(NULL, &s->before) < 0 ||
        (!(s->before.ss_flags & SS_DISABLE) &&
         s->before.ss_size >= ours.ss_size))
        return;
    s->entered = sigaltstack(&ours, NULL) == 0;
}

void altstack_leave(struct altstack *s)
{
    if (s->entered && sigaltstack(&s->before, NULL) < 0)
        die_refused("sigaltstack", errno); /* it is unmapped next */
}

void altstack_unmap(struct altstack *s)
{
    if (s->guarded)
        memory_unguard(s->map, memory_page());
    memory_unmap(s->map, s->map_bytes);
}
