#include "os/ctx.h"

#ifdef THRUM_CTX_UCONTEXT

#include <errno.h>
#include <stdint.h>
#include <ucontext.h>

#include "base/base.h"

/* makecontext passes ints, so both pointers come in halves. */
static void start(unsigned entry_high, unsigned entry_low, unsigned arg_high,
                  unsigned arg_low)
{
    uintptr_t code = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
    uintptr_t arg = (uintptr_t)((uint64_t)arg_high << 32 | arg_low);

    ((ctx_entry *)code)((void *)arg);
    die("a context's entry returned");
}

/* A ucontext_t is some 1 KiB, so it lies on the stack it describes. */
void ctx_make(struct ctx *c, void *stack_low, void *stack_top, ctx_entry *entry,
              void *arg)
{
    uint64_t code = (uint64_t)(uintptr_t)entry;
    uint64_t data = (uint64_t)(uintptr_t)arg;
    ucontext_t *uc = (ucontext_t *)(((uintptr_t)stack_top - sizeof *uc) &
                                    ~(uintptr_t)63);
    int rc = getcontext(uc);

    assert_invariant(rc == 0);
    uc->uc_link = NULL;
    uc->uc_stack.ss_sp = stack_low;
    uc->uc_stack.ss_size = (size_t)((char *)uc - (char *)stack_low);
    makecontext(uc, (void (*)(void))start, 4, (unsigned)(code >> 32),
                (unsigned)code, (unsigned)(data >> 32), (unsigned)data);
    c->sp = uc;
}

/* swapcontext restores the signal mask, by a system call that may touch errno
 * only if it fails. */
void ctx_switch(struct ctx *from, struct ctx *to)
{
    ucontext_t here;
    int rc;

    from->sp = &here;
    rc = swapcontext(&here, to->sp);
    assert_invariant(rc == 0);
}

int ctx_swap(struct ctx *from, struct ctx *to)
{
    ctx_switch(from, to);
    return 0;
}

#endif
