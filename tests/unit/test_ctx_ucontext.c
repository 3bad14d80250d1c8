/* Does the switch for other CPUs, by ucontext, do what ctx.h says?
 * All that test_ctx.c asks, of ctx_ucontext.c, under names of its own beside the
 * library's. */
#ifndef THRUM_CTX_UCONTEXT
#define THRUM_CTX_UCONTEXT
#endif
#define ctx_make   ctx_make_by_ucontext
#define ctx_switch ctx_switch_by_ucontext
#define ctx_swap   ctx_swap_by_ucontext

#include "os/ctx_ucontext.c"
#include "test_ctx.c"
