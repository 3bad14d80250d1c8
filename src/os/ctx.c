#include "os/ctx.h"

#ifndef THRUM_CTX_UCONTEXT

#include <stdint.h>
#include <string.h>

#include "base/base.h"

/* In ctx_*.S; reached only by the registers laid down here. */
extern char ctx_start[] __attribute__((visibility("hidden")));

/* What ctx_switch_to takes off a stack put away. */
#if defined(__x86_64__)
enum { NOP_BYTES = 1 };

struct saved {
    void *r15, *r14, *r13, *arg, *entry, *frame, *pc;
    char red_zone[128];
    void *end[2]; /* ctx_start has a return address: 0 */
};
#else
enum { NOP_BYTES = 4 };

struct saved {
    void *entry, *arg, *rest[8], *frame, *pc;
    void *end[2]; /* a frame record for walkers that trust sp: 0 */
};
#endif

_Static_assert(sizeof(struct saved) <= 256, "ctx.h promises to touch no more");

void ctx_make(struct ctx *c, void *stack_low, void *stack_top, ctx_entry *entry,
              void *arg)
{
    uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
    struct saved *saved = (struct saved *)(top - sizeof *saved);

    assert_invariant((char *)saved >= (char *)stack_low);
    memset(saved, 0, sizeof *saved);
    memcpy(&saved->entry, &entry, sizeof entry); /* code to data pointer */
    saved->arg = arg;
    saved->pc = ctx_start + NOP_BYTES;
    c->sp = saved;
}

#endif
