/* Does a stack that is put away come back with all it had?
 * Stacks switch among each other at random, registers loaded by hand; and what
 * a debugger or a profiler would do is done to them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <execinfo.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/sanitize.h"
#include "os/ctx.h"
#include "os/memory.h"
#include "os/thread.h"

enum { STACK_BYTES = 256 << 10, STACKS = 8, SWITCHES = 1000 };

/* A stack and who stands on it. */
struct co {
    struct ctx ctx;
    struct sanitize_fiber san;
    struct co *came_from; /* who switched here last */
    char *stack;          /* NULL: the thread's own */
    void *frame;          /* of begin */
    void (*act)(struct co *self);
    unsigned valgrind;
    unsigned done;
};

static struct co home;

/* In both ways: a stack cannot tell in which the other was left. */
static switches_stacks void go(struct co *from, struct co *to, bool dying)
{
    static unsigned gone;

    to->came_from = from;
    sanitize_switch_begin(&from->san, &to->san, dying);
    if (gone++ % 3 == 0)
        assert_int_equal(ctx_swap(&from->ctx, &to->ctx), 0);
    else
        ctx_switch(&from->ctx, &to->ctx);
    sanitize_switch_end(&from->san, &from->came_from->san);
}

static void begin(void *arg)
{
    struct co *self = arg;

    self->frame = __builtin_frame_address(0); /* so it has one */
    sanitize_switch_end(&self->san, &self->came_from->san);
    self->act(self);
    self->done++;
    go(self, &home, true);
}

static void make(struct co *c, void (*act)(struct co *))
{
    memset(c, 0, sizeof *c);
    c->act = act;
    c->stack = memory_map(STACK_BYTES);
    assert_non_null(c->stack);
    c->valgrind = sanitize_stack_register(c->stack, c->stack + STACK_BYTES);
    sanitize_root(c->stack, STACK_BYTES);
    sanitize_fiber_create(&c->san, c->stack, STACK_BYTES);
    ctx_make(&c->ctx, c->stack, c->stack + STACK_BYTES, begin, c);
}

static void unmake(struct co *c)
{
    sanitize_fiber_destroy(&c->san);
    sanitize_unroot(c->stack, STACK_BYTES);
    sanitize_unpoison(c->stack, STACK_BYTES);
    sanitize_stack_deregister(c->valgrind);
    memory_unmap(c->stack, STACK_BYTES);
}

static int come_home(void **state)
{
    (void)state;
    memset(&home, 0, sizeof home);
    sanitize_fiber_adopt(&home.san);
    return 0;
}

/* --- the first switch ----------------------------------------------------- */

static struct {
    struct co *self;
    uintptr_t frame;
    char text[64];
} first;

static void look_around(struct co *self)
{
    first.self = self;
    first.frame = (uintptr_t)__builtin_frame_address(0);
    /* Uses vector stores to aligned stack slots, and floating point. */
    snprintf(first.text, sizeof first.text, "%.3f %.1Lf", 2.5, 7.0L);
}

static void the_first_switch_calls_the_entry(void **state)
{
    struct co c;

    (void)state;
    make(&c, look_around);
    go(&home, &c, false);
    assert_ptr_equal(first.self, &c);
    assert_string_equal(first.text, "2.500 7.0");
    assert_int_equal(first.frame % 16, 0);
    assert_true(first.frame > (uintptr_t)c.stack);
    assert_true(first.frame < (uintptr_t)c.stack + STACK_BYTES);
    assert_int_equal(c.done, 1);
    unmake(&c);
}

#ifdef THRUM_CTX_UCONTEXT
enum { TOUCHED = 256 + sizeof(ucontext_t) };
#else
enum { TOUCHED = 256 };
#endif

static void only_the_top_of_the_stack_is_touched(void **state)
{
    struct co c;

    (void)state;
    make(&c, look_around);
    for (size_t i = 0; i < STACK_BYTES - TOUCHED; i++)
        assert_int_equal(c.stack[i], 0);
    unmake(&c);
}

static void a_top_that_is_not_aligned_is_rounded(void **state)
{
    (void)state;
    for (size_t off = 1; off < 32; off += 6) {
        struct co c;

        make(&c, look_around);
        ctx_make(&c.ctx, c.stack, c.stack + STACK_BYTES - off, begin, &c);
        go(&home, &c, false);
        assert_int_equal(first.frame % 16, 0);
        unmake(&c);
    }
}

/* --- what survives -------------------------------------------------------- */

/* hold(from, to, in, out): with the registers that a call preserves loaded from
 * in, switch; then store them in out. */
#if defined(__x86_64__)
enum { HELD = 6 };
void hold(struct co *from, struct co *to, const uint64_t *in, uint64_t *out);
__asm__(".text\n.globl hold\n.hidden hold\n.type hold, @function\nhold:\n"
        ".cfi_startproc\n"
        "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n"
        "pushq %r15\n pushq %rcx\n .cfi_adjust_cfa_offset 56\n"
        "movq (%rdx), %rbp\n movq 8(%rdx), %rbx\n movq 16(%rdx), %r12\n"
        "movq 24(%rdx), %r13\n movq 32(%rdx), %r14\n movq 40(%rdx), %r15\n"
        "call hold_and_go\n"
        "popq %rcx\n"
        "movq %rbp, (%rcx)\n movq %rbx, 8(%rcx)\n movq %r12, 16(%rcx)\n"
        "movq %r13, 24(%rcx)\n movq %r14, 32(%rcx)\n movq %r15, 40(%rcx)\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n"
        "popq %rbp\n .cfi_adjust_cfa_offset -56\n ret\n"
        ".cfi_endproc\n.size hold, . - hold\n");
#elif defined(__aarch64__)
enum { HELD = 19 };
void hold(struct co *from, struct co *to, const uint64_t *in, uint64_t *out);
__asm__(".text\n.globl hold\n.hidden hold\n.type hold, %function\nhold:\n"
        ".cfi_startproc\n"
        "stp x29, x30, [sp, #-176]!\n .cfi_def_cfa_offset 176\n"
        ".cfi_offset x29, -176\n .cfi_offset x30, -168\n"
        "stp x19, x20, [sp, #16]\n stp x21, x22, [sp, #32]\n"
        "stp x23, x24, [sp, #48]\n stp x25, x26, [sp, #64]\n"
        "stp x27, x28, [sp, #80]\n stp d8, d9, [sp, #96]\n"
        "stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n str x3, [sp, #160]\n"
        "ldp x19, x20, [x2]\n ldp x21, x22, [x2, #16]\n"
        "ldp x23, x24, [x2, #32]\n ldp x25, x26, [x2, #48]\n"
        "ldp x27, x28, [x2, #64]\n ldp d8, d9, [x2, #80]\n"
        "ldp d10, d11, [x2, #96]\n ldp d12, d13, [x2, #112]\n"
        "ldp d14, d15, [x2, #128]\n ldr x29, [x2, #144]\n"
        "bl hold_and_go\n"
        "ldr x3, [sp, #160]\n"
        "stp x19, x20, [x3]\n stp x21, x22, [x3, #16]\n"
        "stp x23, x24, [x3, #32]\n stp x25, x26, [x3, #48]\n"
        "stp x27, x28, [x3, #64]\n stp d8, d9, [x3, #80]\n"
        "stp d10, d11, [x3, #96]\n stp d12, d13, [x3, #112]\n"
        "stp d14, d15, [x3, #128]\n str x29, [x3, #144]\n"
        "ldp x19, x20, [sp, #16]\n ldp x21, x22, [sp, #32]\n"
        "ldp x23, x24, [sp, #48]\n ldp x25, x26, [sp, #64]\n"
        "ldp x27, x28, [sp, #80]\n ldp d8, d9, [sp, #96]\n"
        "ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
        "ldp d14, d15, [sp, #144]\n ldp x29, x30, [sp], #176\n"
        ".cfi_restore x29\n .cfi_restore x30\n .cfi_def_cfa_offset 0\n"
        "ret\n.cfi_endproc\n.size hold, . - hold\n");
#else
enum { HELD = 8 };
static void hold(struct co *from, struct co *to, const uint64_t *in,
                 uint64_t *out)
{
    go(from, to, false);
    memcpy(out, in, HELD * sizeof *in);
}
#endif

__attribute__((used, visibility("hidden"))) void hold_and_go(struct co *from,
                                                             struct co *to);

void hold_and_go(struct co *from, struct co *to)
{
    go(from, to, false);
}

static struct co crowd[STACKS];
static uint64_t seed;
static unsigned switches;

/* Has no address that anybody takes: gcc must not believe that nobody else
 * writes it while we are away. */
static uint64_t last_written;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static struct co *any_other_than(struct co *self)
{
    struct co *other = &crowd[draw() % STACKS];

    return other == self ? &home : other;
}

static void wander(struct co *self)
{
    uint64_t mine[HELD + 1], found[HELD + 1];
    long double sum = 0, expected = 0;

    while (switches < SWITCHES) {
        uint64_t stamp = draw();

        switches++;
        for (int i = 0; i < HELD; i++)
            mine[i] = stamp * (uint64_t)(2 * i + 1);
        sum += (long double)(stamp >> 40);
        hold(self, any_other_than(self), mine, found);
        expected += (long double)(stamp >> 40);
        assert_memory_equal(mine, found, HELD * sizeof *mine);
        assert_true(sum == expected);
        last_written = stamp;
    }
}

static void registers_survive_a_thousand_random_switches(void **state)
{
    unsigned done = 0;

    (void)state;
    seed = 20240229;
    switches = 0;
    for (int i = 0; i < STACKS; i++)
        make(&crowd[i], wander);
    while (done < STACKS) {
        struct co *c = &crowd[draw() % STACKS];

        if (!c->done) {
            go(&home, c, false);
            done = 0;
            for (int i = 0; i < STACKS; i++)
                done += crowd[i].done;
        }
    }
    for (int i = 0; i < STACKS; i++)
        unmake(&crowd[i]);
    assert_true(switches >= SWITCHES);
}

static void write_and_return(struct co *self)
{
    for (uint64_t i = 1;; i++) {
        last_written = i;
        go(self, &home, false);
    }
}

static void what_another_stack_wrote_is_seen(void **state)
{
    struct co c;

    (void)state;
    make(&c, write_and_return);
    for (uint64_t i = 1; i < 100; i++) {
        last_written = 0;
        go(&home, &c, false);
        assert_int_equal(last_written, i);
    }
    unmake(&c);
}

/* Calls nothing, so on x86-64 its locals may lie below the stack pointer. */
static switches_stacks unsigned sum_across(struct co *from, struct co *to)
{
    volatile unsigned in[24];
    unsigned sum = 0;

    for (unsigned i = 0; i < 24; i++)
        in[i] = i;
    to->came_from = from;
    sanitize_switch_begin(&from->san, &to->san, false);
    ctx_switch(&from->ctx, &to->ctx);
    sanitize_switch_end(&from->san, &from->came_from->san);
    for (unsigned i = 0; i < 24; i++)
        sum += in[i];
    return sum;
}

static void a_function_that_calls_nothing_keeps_its_locals(void **state)
{
    struct co c;

    (void)state;
    make(&c, write_and_return);
    assert_int_equal(sum_across(&home, &c), 276);
    assert_int_equal(sum_across(&home, &c), 276);
    unmake(&c);
}

/* --- from thread to thread ------------------------------------------------ */

static void count_visits(struct co *self)
{
    uint64_t local = 0;

    for (;;) {
        local += 7;
        last_written = local;
        go(self, self->came_from, false);
    }
}

static void visit(void *arg)
{
    struct co here = {0};

    sanitize_fiber_adopt(&here.san);
    go(&here, arg, false);
}

static void a_stack_goes_on_in_another_thread(void **state)
{
    struct co c;

    (void)state;
    make(&c, count_visits);
    for (uint64_t i = 1; i <= 10; i++) {
        struct thread t;

        assert_int_equal(thread_start(&t, "visitor", STACK_BYTES, visit, &c),
                         0);
        thread_join(&t);
        assert_int_equal(last_written, 7 * i);
    }
    unmake(&c);
}

/* --- walkers -------------------------------------------------------------- */

enum { FRAMES_MAX = 32 };

static struct {
    void *pc[FRAMES_MAX];
    int count;
    uintptr_t frames[FRAMES_MAX];
    int chain;
} walk;

static __attribute__((noinline)) int descend(int n)
{
    volatile int below = 0;

    if (n == 0)
        walk.count = backtrace(walk.pc, FRAMES_MAX);
    else
        below = descend(n - 1);
    return below + 1;
}

static void walk_by_tables(struct co *self)
{
    (void)self;
    descend(5);
}

static void backtrace_ends_at_the_entry(void **state)
{
    struct co c;

    (void)state;
    backtrace(walk.pc, FRAMES_MAX); /* loads the unwinder, on a large stack */
    make(&c, walk_by_tables);
    go(&home, &c, false);
    unmake(&c);

    /* descend six times (or as many as the compiler left), walk_by_tables,
     * begin, the first frame, and what an interceptor adds. */
    assert_true(walk.count >= 3);
    assert_true(walk.count <= 14);
#ifndef THRUM_CTX_UCONTEXT
    {
        extern char ctx_start[] __attribute__((visibility("hidden")));
        char *last = walk.pc[walk.count - 1];

        assert_true(last > ctx_start && last <= ctx_start + 16);
    }
#endif
}

#ifndef THRUM_CTX_UCONTEXT
static void __attribute__((noinline)) walk_by_frames(struct co *self)
{
    uintptr_t *frame = __builtin_frame_address(0);

    walk.chain = 0;
    while (frame != NULL && walk.chain < FRAMES_MAX) {
        walk.frames[walk.chain++] = (uintptr_t)frame;
        if ((char *)frame < self->stack ||
            (char *)frame >= self->stack + STACK_BYTES)
            break;
        frame = (uintptr_t *)*frame;
    }
}

static void the_chain_of_frame_pointers_ends(void **state)
{
    struct co c;

    (void)state;
    make(&c, walk_by_frames);
    go(&home, &c, false);
    assert_int_equal(walk.chain, 2);
    assert_int_equal(walk.frames[1], (uintptr_t)c.frame);
    unmake(&c);
}
#endif

/* With the processor trapping after each instruction, ask the unwind tables from
 * within the switch: each way up must end where one of the two stacks began. */
#if defined(__x86_64__) && !defined(THRUM_CTX_UCONTEXT) &&                     \
    !SANITIZE_ADDRESS && !SANITIZE_THREAD
#include <signal.h>
#include <ucontext.h>

extern char ctx_start[] __attribute__((visibility("hidden")));
extern char ctx_switch_to[] __attribute__((visibility("hidden")));

static struct {
    void *bottom_of_home;
    int at_home, elsewhere, lost;
} steps;

static void look_up(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    char *at = (char *)uc->uc_mcontext.gregs[REG_RIP];
    void *pc[FRAMES_MAX];
    char *last;

    (void)sig;
    (void)info;
    if (at < ctx_switch_to || at >= ctx_start) /* they lie side by side */
        return;
    last = pc[backtrace(pc, FRAMES_MAX) - 1];
    if (last == steps.bottom_of_home)
        steps.at_home++;
    else if (last > ctx_start && last <= ctx_start + 16)
        steps.elsewhere++;
    else
        steps.lost++;
}

/* Flips the trap flag, below the red zone. */
#define flip_stepping()                                                        \
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n pushfq\n"                      \
                     "xorq $0x100, (%%rsp)\n popfq\n"                          \
                     "subq $-128, %%rsp" ::                                    \
                         : "cc", "memory")

static void the_tables_are_right_at_each_instruction(void **state)
{
    struct sigaction before;
    struct sigaction action = {.sa_sigaction = look_up, .sa_flags = SA_SIGINFO};
    void *pc[FRAMES_MAX];
    struct co c;

    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip();
    steps.bottom_of_home = pc[backtrace(pc, FRAMES_MAX) - 1];
    make(&c, write_and_return);
    sigaction(SIGTRAP, &action, &before);
    for (int i = 0; i < 2; i++) { /* to a new stack, and to one put away */
        flip_stepping();
        go(&home, &c, false);
        flip_stepping();
    }
    sigaction(SIGTRAP, &before, NULL);
    unmake(&c);

    /* 19 instructions, twice there and twice back. */
    assert_int_equal(steps.lost, 0);
    assert_true(steps.at_home >= 30);
    assert_true(steps.elsewhere >= 30);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_switch_calls_the_entry),
        cmocka_unit_test(only_the_top_of_the_stack_is_touched),
        cmocka_unit_test(a_top_that_is_not_aligned_is_rounded),
        cmocka_unit_test(registers_survive_a_thousand_random_switches),
        cmocka_unit_test(what_another_stack_wrote_is_seen),
        cmocka_unit_test(a_function_that_calls_nothing_keeps_its_locals),
        cmocka_unit_test(a_stack_goes_on_in_another_thread),
        cmocka_unit_test(backtrace_ends_at_the_entry),
#ifndef THRUM_CTX_UCONTEXT
        cmocka_unit_test(the_chain_of_frame_pointers_ends),
#endif
#if defined(__x86_64__) && !defined(THRUM_CTX_UCONTEXT) &&                     \
    !SANITIZE_ADDRESS && !SANITIZE_THREAD
        cmocka_unit_test(the_tables_are_right_at_each_instruction),
#endif
    };

    return cmocka_run_group_tests(tests, come_home, NULL);
}
