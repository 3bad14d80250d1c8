/* ctx.h - put the stack one stands on away and go on with another.
 *
 * Knows nothing of tasks, threads or how stacks are made. Saves what the ABI
 * says a call preserves and nothing else: neither the floating-point control
 * words (mxcsr and the x87 control word; fpcr), which tasks of one thread hence
 * share, nor the signal mask, nor errno.
 *
 * How a switch is done. ctx_switch is inlined: the compiler sees an instruction
 * that clobbers all that a call may clobber. It *jumps* to ctx_switch_to, which
 * saves the rest, changes stacks, and jumps to where the other stack was put
 * away. There is no call and no ret, so the processor's stack of predicted
 * return addresses keeps its depth. Measured on a Xeon, ns per switch, two
 * stacks that each suspend three calls deep and return (and: in a flat loop):
 *
 *      call ... ret                  9.4 (10)  mispredicts if sites differ
 *      call ... pop, jmp            42    (3)  every later ret mispredicts
 *      jmp ... pop, jmp (this)       9.2  (3)
 *
 * Call it only in functions marked switches_stacks. That keeps two things the
 * compiler believes from being wrong: that what it derived from the thread (the
 * address of a thread-local, of errno) stays true, and, gcc only, that assembly
 * cannot write a static variable whose address nobody takes. The other stack
 * can.
 *
 * A stack that is put away, from ctx.sp upwards, 8 bytes each:
 *
 *      x86-64    r15 r14 r13 r12 rbx rbp pc, then 128 bytes of red zone
 *                   rsp of the function it suspended in: sp + 184
 *      aarch64   x19 x20 x21 x22 x23 x24 x25 x26 x27 x28 x29 pc
 *                   sp of the function it suspended in: sp + 96
 *
 * A debugger that sets these registers (and pc) from there can walk the stack
 * with the usual unwind tables; the rest of the registers was saved by the
 * compiler in the frame of the function that switched. The first frame of a
 * made stack is ctx_start: its return address is marked undefined, and the
 * chain of frame pointers ends in 0 there.
 *
 * No file here claims to support shadow stacks or branch targets (CET, BTI,
 * PAC): the linker then drops the claim for the program, which is what makes it
 * run.
 *
 * CPUs other than these two use ucontext (ctx_ucontext.c), with a system call
 * per switch; so does a build with THRUM_CTX_UCONTEXT.
 *
 * Invariants
 *   I1  A ctx is switched to at most once for each time it was switched from,
 *       or made.
 *   I2  Nobody switches to a ctx before the switch from it has left the stack:
 *       who makes it known to others does so from the stack switched to.
 */
#ifndef OS_CTX_H
#define OS_CTX_H

#if !defined(__x86_64__) && !defined(__aarch64__) &&                           \
    !defined(THRUM_CTX_UCONTEXT)
#define THRUM_CTX_UCONTEXT
#endif

/* static switches_stacks void suspend(...): not inlined, not looked into. */
#ifndef __has_attribute
#define __has_attribute(x) 0
#endif
#if __has_attribute(noipa)
#define switches_stacks __attribute__((noinline, noipa))
#else
#define switches_stacks __attribute__((noinline))
#endif

/* What entry points have in common: they never return. */
typedef void ctx_entry(void *arg);

#if defined(THRUM_CTX_UCONTEXT)

struct ctx {
    void *sp; /* a ucontext_t, on the stack that is put away */
};

void ctx_switch(struct ctx *from, struct ctx *to);

#else

struct ctx {
    void *sp;
};

#if defined(__x86_64__)

#ifdef __AVX512F__
#define CTX_CLOBBERS_WIDE                                                      \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",  \
        "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",         \
        "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define CTX_CLOBBERS_WIDE
#endif

static inline void ctx_switch(struct ctx *from, struct ctx *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "jmp ctx_switch_to\n"
                     "1:"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory",
                       "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",
                       "st(6)", "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4",
                       "mm5", "mm6", "mm7", "xmm0", "xmm1", "xmm2", "xmm3",
                       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                       "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15" CTX_CLOBBERS_WIDE);
}

#elif defined(__aarch64__)

#ifdef __ARM_FEATURE_SVE
#define CTX_CLOBBERS_WIDE                                                      \
    , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10",       \
        "p11", "p12", "p13", "p14", "p15"
#else
#define CTX_CLOBBERS_WIDE
#endif

/* The upper halves of v8 to v15 are not preserved by a call, the lower ones
 * (d8 to d15) are; the clobber list cannot say that, so the compiler saves the
 * lower ones, in the frame of the function that switches. */
static inline void ctx_switch(struct ctx *from, struct ctx *to)
{
    register struct ctx *x0 __asm__("x0") = from;
    register struct ctx *x1 __asm__("x1") = to;

    __asm__ volatile("adr x2, 1f\n\t"
                     "b ctx_switch_to\n"
                     "1:"
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                       "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
                       "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4",
                       "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
                       "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",
                       "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31" CTX_CLOBBERS_WIDE);
}

#endif
#endif

/* The same as the last act of a function that returns 0: `return ctx_swap(...)`
 * puts its caller away. Two stacks that hand over to each other in flat loops do
 * so without one mispredicted return: 12 ns a round, where two functions that go
 * on after their ctx_switch, and return, take 50. */
int ctx_swap(struct ctx *from, struct ctx *to);

/* Make c a context that, switched to for the first time, calls entry(arg) on
 * the stack [stack_low, stack_top). entry must never return. Touches the
 * topmost bytes of the stack: 256, or the size of a ucontext_t. */
void ctx_make(struct ctx *c, void *stack_low, void *stack_top, ctx_entry *entry,
              void *arg);

#endif
