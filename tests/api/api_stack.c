/* Does a stack that is too small end the program with a line that tells which
 * task, from where, how large, and what to do? How: in processes of their own,
 * on stacks of several sizes, with and without guards, wherever a task can run.
 *
 * No runtime is started in the parent: the fault handler is installed once a
 * process, and cmocka's comes over it. */
#include "lib/api.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t stack_size;

/* Not a loop to the compiler: each frame is used after the call. */
static __attribute__((noinline)) unsigned descend(unsigned n)
{
    volatile char frame[256];

    frame[n % sizeof frame] = (char)n;
    return n == UINT32_MAX ? 0
                           : descend(n + 1) + (unsigned)frame[n % sizeof frame];
}

static thrum_err *overflow(void *arg)
{
    return descend(1) == 42 ? arg : NULL;
}

static void run_with(thrum_fn *fn, void *arg, unsigned count)
{
    thrum_opts opts = {.workers = count, .stack_size = stack_size};

    expect_ok(thrum_run(&opts, fn, arg));
}

static void run(thrum_fn *fn, unsigned count)
{
    run_with(fn, NULL, count);
}

/* --- where it overflows --------------------------------------------------- */

static void in_main(void)
{
    run(overflow, 2);
}

static thrum_err *spawn_overflow(void *arg)
{
    CHECK(thrum_spawn(NULL, overflow, arg, 0) == 0);
    thrum_yield();
    return NULL;
}

static void in_a_child(void)
{
    run(spawn_overflow, 1);
}

struct mover {
    int home;
    _Atomic unsigned moved;
};

/* Keeps the worker that the mover was on, so that another takes the mover. */
static thrum_err *hog(void *arg)
{
    struct mover *m = arg;

    if (thread_id() == m->home)
        block_count(&m->moved, 1);
    return NULL;
}

static thrum_err *move_then_overflow(void *arg)
{
    struct mover m = {.home = thread_id()};

    while (thread_id() == m.home) {
        CHECK(thrum_spawn(NULL, hog, &m, 0) == 0);
        thrum_yield();
    }
    atomic_store(&m.moved, 1);
    return overflow(arg);
}

static thrum_err *spawn_mover(void *arg)
{
    CHECK(thrum_spawn(NULL, move_then_overflow, arg, 0) == 0);
    return NULL;
}

static void after_moving(void)
{
    run(spawn_mover, 2);
}

static thrum_err *sleep_then_overflow(void *arg)
{
    CHECK(thrum_sleep(THRUM_MS(1)) == 0);
    return overflow(arg);
}

static thrum_err *spawn_sleeper(void *arg)
{
    CHECK(thrum_spawn(NULL, sleep_then_overflow, arg, 0) == 0);
    return NULL;
}

static void after_sleeping(void)
{
    run(spawn_sleeper, 1);
}

/* A fork that another worker has taken, while its joiner waits. */
static thrum_err *meet_then_overflow(void *arg)
{
    gate_block(arg);
    CHECK(thrum_sleep(THRUM_MS(2)) == 0);
    return overflow(NULL);
}

static thrum_err *fork_overflow(void *arg)
{
    thrum_task task;
    struct gate g;

    (void)arg;
    gate_init(&g, 2);
    thrum_fork(&task, meet_then_overflow, &g);
    gate_block(&g);
    return thrum_join(&task);
}

static void in_a_fork(void)
{
    run(fork_overflow, 2);
}

/* Larger than the stack and its guard: what it writes is anywhere below. */
static thrum_err *jump_over(void *arg)
{
    static volatile size_t first; /* or a compiler makes it shorter */
    volatile char frame[640 << 10];

    frame[first] = 1;
    thrum_yield();
    return frame[first] == 0 ? arg : thrum_rc(-EIO);
}

static thrum_err *wait_below(void *never)
{
    return thrum_rc(thrum_event_wait(never));
}

static thrum_err *spawn_jumper(void *below)
{
    static thrum_event never;

    for (size_t i = 0; i < *(const size_t *)below; i++)
        CHECK(thrum_spawn(NULL, wait_below, &never, 0) == 0);
    thrum_yield();
    CHECK(thrum_spawn(NULL, jump_over, NULL, 0) == 0);
    thrum_yield();
    return NULL;
}

static void out_of_all_stacks(void)
{
    run_with(spawn_jumper, &(size_t){0}, 1);
}

static void into_another_stack(void)
{
    run_with(spawn_jumper, &(size_t){14}, 1);
}

static void post_overflow(void)
{
    thrum_opts opts = {.workers = 1, .stack_size = stack_size};
    thrum_rt *rt;

    CHECK(thrum_start(&rt, &opts) == 0);
    CHECK(thrum_post(rt, overflow, NULL, 0) == 0);
    expect_ok(thrum_stop(rt));
}

/* --- what is said --------------------------------------------------------- */

/* What is said is less than what was asked for: by the guard, an eighth or a page,
 * and what rounds it. */
static void says_size(const char *said)
{
    const char *of = strstr(said, "stack of ");
    size_t size = of == NULL ? 0 : strtoul(of + 9, NULL, 10);
    size_t asked = stack_size == 0 ? 256 << 10 : stack_size;

    size_t least = asked - asked / 8 - 8192;

    if (size > asked || size < least)
        print_error("%zu bytes asked for; said: %s\n", asked, said);
    assert_in_range(size, least, asked);
}

static void assert_overflows(void (*act)(void), const char *task,
                             const char *place)
{
    static const size_t sizes[] = {0, 16 << 10, 64 << 10, 1 << 20};

    for (size_t i = SANITIZED ? 2 : 0; i < 4; i++) {
        struct end end;

        stack_size = sizes[i];
        end = end_of(act);
        if (!WIFSIGNALED(end.status) || strstr(end.said, task) == NULL)
            print_error("status %#x, said: %s\n", (unsigned)end.status,
                        end.said);
        assert_true(WIFSIGNALED(end.status));
        assert_int_equal(WTERMSIG(end.status), SIGSEGV);
        assert_non_null(strstr(end.said, task));
        assert_non_null(strstr(end.said, place));
        assert_non_null(strstr(end.said, "stack_size"));
        assert_non_null(strstr(end.said, "THRUM_STACK"));
        says_size(end.said);
    }
}

static void an_overflow_of_the_first_task_is_explained(void **state)
{
    (void)state;
    assert_overflows(in_main, "main", "thrum_call");
}

static void an_overflow_of_a_child_names_it_and_its_place(void **state)
{
    (void)state;
    assert_overflows(in_a_child, "overflow", "api_stack.c:");
    assert_overflows(post_overflow, "overflow", "api_stack.c:");
}

static void an_overflow_after_waiting_is_explained(void **state)
{
    (void)state;
    assert_overflows(after_sleeping, "sleep_then_overflow", "api_stack.c:");
}

static void an_overflow_on_another_worker_is_explained(void **state)
{
    (void)state;
    assert_overflows(after_moving, "move_then_overflow", "api_stack.c:");
}

static void an_overflow_of_a_fork_is_explained(void **state)
{
    (void)state;
    assert_overflows(in_a_fork, "meet_then_overflow", "api_stack.c:");
}

static void assert_explains(void (*act)(void), int sig)
{
    struct end end = end_of(act);

    if (strstr(end.said, "jump_over") == NULL)
        print_error("status %#x, said: %s\n", (unsigned)end.status, end.said);
    assert_true(WIFSIGNALED(end.status));
    assert_int_equal(WTERMSIG(end.status), sig);
    assert_non_null(strstr(end.said, "jump_over"));
    assert_non_null(strstr(end.said, "overflowed its stack"));
}

static void a_frame_larger_than_the_guard_is_explained(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* they look at its memory before it does */
    stack_size = 64 << 10;
    assert_explains(out_of_all_stacks, SIGSEGV);
    assert_explains(into_another_stack, SIGABRT); /* where it waits */
}

static void guards_by_mprotect_do_as_well(void **state)
{
    (void)state;
    setenv("THRUM_GUARD", "mprotect", 1);
    assert_overflows(in_a_child, "overflow", "api_stack.c:");
    unsetenv("THRUM_GUARD");
}

/* Without a guard a small overflow is found when the stack is put back into the
 * pool: when more are spare than a worker keeps. */
static __attribute__((noinline)) void write_a_little_too_far(void)
{
    volatile char frame[65536 - 3072];

    for (size_t i = 0; i < sizeof frame; i += 16)
        frame[i] = 1;
}

static thrum_err *overflow_and_meet(void *arg)
{
    write_a_little_too_far();
    gate_meet(arg);
    return NULL;
}

static thrum_err *overflow_many(void *arg)
{
    thrum_scope s;
    struct gate g;

    (void)arg;
    gate_init(&g, 200);
    thrum_scope_open(&s, .name = "too far");
    for (int i = 0; i < 200; i++)
        CHECK(thrum_spawn(&s, overflow_and_meet, &g, 0) == 0);
    await_count(&g.here, 200);
    return thrum_scope_close(&s, NULL);
}

static void a_little_too_much(void)
{
    setenv("THRUM_GUARD", "none", 1);
    stack_size = 64 << 10;
    run(overflow_many, 1);
}

static void without_guards_the_canary_tells(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their frames are larger */
    assert_stops(a_little_too_much, "overflowed its stack", "THRUM_STACK");
}

/* --- enough --------------------------------------------------------------- */

#ifdef __OPTIMIZE__
enum { HALF = 8192 };
#else
enum { HALF = 6144 }; /* the library's own frames are larger */
#endif

static thrum_err *use_half(void *arg)
{
    volatile char frame[HALF];

    memset((char *)(uintptr_t)frame, 1, sizeof frame);
    thrum_yield();
    CHECK(frame[0] == 1 && frame[HALF - 1] == 1);
    return arg;
}

static thrum_err *spawn_halves(void *arg)
{
    for (int i = 0; i < 8; i++)
        CHECK(thrum_spawn(NULL, use_half, arg, 0) == 0);
    return NULL;
}

static thrum_err *gather_small(void *arg)
{
    thrum_job job[8];

    for (int i = 0; i < 8; i++)
        job[i] = (thrum_job){.fn = spawn_halves, .arg = arg};
    CHECK(thrum_sleep(THRUM_US(10)) == 0);
    return thrum_gather(job, 8, THRUM_ALL);
}

static void half_of_the_least_stack(void)
{
    stack_size = 16 << 10;
    run(spawn_halves, 2);
    run(gather_small, 2);
}

static void half_of_the_least_stack_is_the_programs(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their frames are larger */
    assert_lives(half_of_the_least_stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overflow_of_the_first_task_is_explained),
        cmocka_unit_test(an_overflow_of_a_child_names_it_and_its_place),
        cmocka_unit_test(an_overflow_after_waiting_is_explained),
        cmocka_unit_test(an_overflow_on_another_worker_is_explained),
        cmocka_unit_test(an_overflow_of_a_fork_is_explained),
        cmocka_unit_test(a_frame_larger_than_the_guard_is_explained),
        cmocka_unit_test(guards_by_mprotect_do_as_well),
        cmocka_unit_test(without_guards_the_canary_tells),
        cmocka_unit_test(half_of_the_least_stack_is_the_programs),
    };

    unsetenv("THRUM_GUARD"); /* each test says what it wants */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
