/* Do stacks lie as the picture in the header says, guarded, apart from each
 * other, and are spare ones used again, cold when there are many? The deaths are
 * those of children. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/fail.h"
#include "os/fault.h"
#include "os/memory.h"
#include "sched/stack.h"

enum {
    BYTES = 64 << 10,
    WARM = STACK_POOL_WARM,
    MANY = SANITIZE_THREAD ? 100 : 3000,
};

static struct stack_pool pool;
static _Atomic uint32_t hungry;

/* ----------------------------------------------------- standing on a stack */

static struct ctx here;
static struct sanitize_fiber here_fiber;
static char *visited_at; /* an address in the visitor's frame */
static int visits;

static switches_stacks void leave(struct stack *s)
{
    sanitize_switch_begin(&s->fiber, &here_fiber, false);
    ctx_switch(&s->ctx, &here);
    sanitize_switch_end(&s->fiber, &here_fiber);
}

static void visited(void *arg)
{
    struct stack *s = arg;

    sanitize_switch_end(&s->fiber, &here_fiber);
    for (;;) {
        visited_at = __builtin_frame_address(0);
        visits++;
        leave(s);
    }
}

static switches_stacks void visit(struct stack *s)
{
    sanitize_switch_begin(&here_fiber, &s->fiber, false);
    ctx_switch(&here, &s->ctx);
    sanitize_switch_end(&here_fiber, &s->fiber);
}

static int start(void **state)
{
    (void)state;
    sanitize_fiber_adopt(&here_fiber);
    visits = 0;
    stack_pool_init(&pool, BYTES, &hungry, true, visited);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    stack_pool_deinit(&pool);
    return 0;
}

static struct stack *get(void)
{
    struct stack *s = stack_get(&pool);

    assert_non_null(s);
    return s;
}

static struct thrum_job_ *slots_of(struct stack *s)
{
    return deque_first_slot(&s->deque);
}

/* ------------------------------------------------------------------- layout */

static void all_slots_but_the_first_few_lie_behind_a_border(void **state)
{
    struct stack *s = get();
    struct thrum_job_ *slots = slots_of(s);

    (void)state;
    assert_int_equal((uintptr_t)(slots + THRUM_NEAR_) % SEGMENT_BYTES, 0);
    for (int i = -1; i <= THRUM_NEAR_; i++)
        assert_ptr_equal(thrum_deque_of_(slots + i), &s->deque);
    assert_ptr_equal(thrum_deque_of_(deque_last_slot(&s->deque)), &s->deque);
    assert_ptr_equal(slots - 1, s->sentinel);
    assert_ptr_equal(slots, s->first);
    assert_ptr_equal(stack_of(&s->deque), s);
    assert_ptr_equal(stack_of_resume(&s->resume), s);
}

static void guard_stack_and_head_are_what_was_asked_for(void **state)
{
    struct stack *s = get();

    (void)state;
    assert_int_equal((uintptr_t)s->low % memory_page(), 0);
    assert_int_equal((char *)(slots_of(s) + THRUM_NEAR_) - s->low,
                     (ptrdiff_t)(BYTES - pool.guard_bytes));
    assert_true(pool.guard_bytes == BYTES / 8 ||
                pool.guard_bytes == memory_page());
    assert_true(s->low < (char *)s);
}

static void a_fresh_stack_has_an_empty_deque(void **state)
{
    struct stack *s = get();

    (void)state;
    assert_ptr_equal(deque_newest(&s->deque), slots_of(s) - 1);
    assert_false(deque_any_own(&s->deque));
    assert_ptr_equal(s->deque.hungry, &hungry);
}

static void its_entry_runs_on_it(void **state)
{
    struct stack *s = get();

    (void)state;
    visit(s);
    assert_int_equal(visits, 1);
    assert_true(visited_at > s->low && visited_at < (char *)s);
    visit(s);
    assert_int_equal(visits, 2);
}

/* --------------------------------------------------------------------- many */

static int by_address(const void *a, const void *b)
{
    char *x = *(char *const *)a, *y = *(char *const *)b;

    return x < y ? -1 : x > y;
}

/* From guard to the end of the slots nothing is shared; no slots begin at a
 * multiple of 4 GiB (parts/deque.h). */
static void many_stacks_lie_apart(void **state)
{
    static char *low[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        struct stack *s = get();

        assert_int_not_equal((uint32_t)(uintptr_t)slots_of(s), 0);
        low[i] = s->low;
        s->low[0] = (char)i; /* it can be written */
        memset(slots_of(s), 0, 64);
    }
    qsort(low, MANY, sizeof *low, by_address);
    for (int i = 1; i < MANY; i++)
        assert_true(low[i] - low[i - 1] >= BYTES + SEGMENT_BYTES);
    assert_int_equal(pool.made, MANY);
}

static void a_pool_can_be_closed_and_another_opened(void **state)
{
    for (int i = 0; i < 20; i++) {
        visit(get());
        stop(state);
        start(state);
    }
    visit(get());
    assert_int_equal(visits, 1);
}

/* ------------------------------------------------------------------- spares */

static void what_was_put_back_is_given_again(void **state)
{
    struct stack *s = get(), *other = get();

    (void)state;
    visit(s);
    stack_put(&pool, s);
    assert_int_equal(pool.spares, 1);
    assert_ptr_equal(get(), s);
    assert_int_equal(pool.spares, 0);
    visit(s); /* it goes on from where it was */
    assert_int_equal(visits, 2);
    assert_ptr_not_equal(get(), other);
}

static void dirty(struct stack *s)
{
    slots_of(s)[5].u.bytes[0] = 1;
    s->low[memory_page()] = 1;
}

static bool is_dirty(struct stack *s)
{
    return slots_of(s)[5].u.bytes[0] == 1 && s->low[memory_page()] == 1;
}

static bool is_clean(struct stack *s)
{
    return slots_of(s)[5].u.bytes[0] == 0 && s->low[memory_page()] == 0;
}

static void of_too_many_spares_the_pages_are_given_back_when_asked(void **state)
{
    static struct stack *all[WARM + 10];

    (void)state;
    for (int i = 0; i < WARM + 10; i++) {
        all[i] = get();
        visit(all[i]);
        dirty(all[i]);
    }
    for (int i = 0; i < WARM + 10; i++)
        stack_put(&pool, all[i]);

    assert_false(stack_pool_trim(&pool)); /* ten were too many: the newest */

    for (int i = WARM - 1; i >= 0; i--) { /* newest first */
        assert_ptr_equal(get(), all[i]);
        assert_true(is_dirty(all[i]));
    }
    for (int i = WARM; i < WARM + 10; i++) {
        assert_ptr_equal(get(), all[i]);
        assert_true(is_clean(all[i]));
    }
    visit(all[WARM]); /* its frames and head were kept */
    assert_ptr_equal(deque_newest(&all[WARM]->deque), slots_of(all[WARM]) - 1);
    assert_non_null(load_relaxed(&(slots_of(all[WARM]) - 1)->scope));
}

static void the_same_ones_go_round_however_many_have_been_made(void **state)
{
    static struct stack *all[WARM + 10];
    struct stack *s;

    (void)state;
    for (int i = 0; i < WARM + 10; i++)
        visit(all[i] = get());
    for (int i = 0; i < WARM + 10; i++)
        stack_put(&pool, all[i]);

    s = get();
    for (int i = 0; i < 3; i++) {
        dirty(s);
        stack_put(&pool, s);
        assert_ptr_equal(get(), s);
        assert_true(is_dirty(s)); /* its pages were not given back */
    }
}

/* ----------------------------------------------------------------- segments */

static void a_segment_belongs_to_the_deque_it_was_made_for(void **state)
{
    struct stack *s = get();
    struct thrum_deque_ *segment = segment_get(&pool, &s->deque);
    char *slots = (char *)deque_first_slot(segment);

    (void)state;
    assert_non_null(segment);
    assert_ptr_equal(segment->first, &s->deque);
    assert_ptr_equal(thrum_deque_of_((void *)slots), segment);
    memset(slots, 0, SEGMENT_BYTES); /* all of it is there */
}

static void a_stack_put_back_gives_its_segments_back(void **state)
{
    struct stack *s = get();
    struct thrum_deque_ *a = segment_get(&pool, &s->deque);
    struct thrum_deque_ *b = segment_get(&pool, &s->deque), *again[2];

    (void)state;
    assert_ptr_not_equal(a, b);
    deque_link(&s->deque, a);
    deque_link(a, b);
    stack_put(&pool, s);
    assert_null(load_relaxed(&s->deque.next));

    s = get();
    again[0] = segment_get(&pool, &s->deque);
    again[1] = segment_get(&pool, &s->deque);
    assert_true((again[0] == a && again[1] == b) ||
                (again[0] == b && again[1] == a));
    assert_null(load_relaxed(&a->next));
    assert_null(load_relaxed(&b->next));
}

/* ------------------------------------------------------ guards and canaries */

static bool explain_guards(const char *addr, const char *sp, char *line,
                           size_t n)
{
    (void)sp;
    return stack_explain(NULL, addr, NULL, line, n);
}

static bool is_guard(const char *addr)
{
    char line[512];

    return explain_guards(addr, NULL, line, sizeof line);
}

/* How a child that did what it was told ended, and what it said. */
static int end_of(void (*act)(struct stack *s), struct stack *s, char *said,
                  size_t n)
{
    int ends[2], status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    if (pipe(ends) < 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        fault_start(explain_guards);
        act(s);
        _exit(0);
    }
    close(ends[1]);
    while (length < n - 1 &&
           (got = read(ends[0], said + length, n - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void touch_the_guard(struct stack *s)
{
    *(volatile char *)(s->low - 1) = 1;
}

static const struct thrum_site_ site = {NULL, "crunch", "app.c:7"};

static void what_is_below_is_a_guard_and_says_whose(void **state)
{
    struct stack *s = get();
    char said[512], bytes[32];
    int status;

    (void)state;
    if (!s->guarded)
        skip(); /* there are no guards here */
    s->site = &site;
    status = end_of(touch_the_guard, s, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_non_null(strstr(said, "crunch"));
    assert_non_null(strstr(said, "app.c:7"));
    snprintf(bytes, sizeof bytes, " %d bytes", (int)(BYTES - pool.guard_bytes));
    assert_non_null(strstr(said, bytes));
}

static void each_guard_is_explained_and_nothing_else(void **state)
{
    struct stack *s[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        s[i] = get();
    for (int i = 0; i < 3; i++) {
        assert_true(is_guard(s[i]->low - 1));
        assert_true(is_guard(s[i]->low - pool.guard_bytes));
        assert_false(is_guard(s[i]->low));
        assert_false(is_guard(s[i]->low - pool.guard_bytes - 1));
        assert_false(is_guard((const char *)slots_of(s[i])));
    }
    assert_false(is_guard(NULL));
    assert_false(is_guard((const char *)s));
    assert_false(is_guard((const char *)UINTPTR_MAX));
}

static void
a_frame_that_jumped_over_the_guard_is_told_by_its_place(void **state)
{
    struct stack *s = get();
    char line[512];
    const char *sp = s->low - (1 << 24), *low = s->low;
    size_t n = sizeof line;

    (void)state;
    s->site = &site;
    assert_true(stack_explain(s, sp, sp, line, n));
    assert_non_null(strstr(line, "crunch"));
    assert_true(stack_explain(s, sp - 8, sp, line, n)); /* a call */
    assert_true(stack_explain(s, low - pool.guard_bytes - 1, sp, line, n));
    assert_false(stack_explain(s, low, sp, line, n));  /* it may be there */
    assert_false(stack_explain(s, sp, low, line, n));  /* a wild pointer */
    assert_false(stack_explain(s, NULL, sp, line, n)); /* likewise */
    assert_false(stack_explain(s, sp, NULL, line, n));
    assert_false(stack_explain(NULL, sp, sp, line, n));
}

static void wait_below(struct stack *s)
{
    stack_check_below(s, s->low - pool.guard_bytes - 1);
}

static void wait_elsewhere(struct stack *s)
{
    char mine = 0;

    stack_check_below(s, &mine);
}

static void who_waits_below_his_stack_has_overflowed_it(void **state)
{
    struct stack *s;
    char said[512];
    int status;

    (void)state;
    visit(get()); /* below the other */
    s = get();
    status = end_of(wait_below, s, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "overflowed its stack"));
    status = end_of(wait_elsewhere, s, said, sizeof said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void what_is_no_task_is_explained_too(void **state)
{
    char line[512];

    (void)state;
    assert_true(explain_guards(get()->low - 1, NULL, line, sizeof line));
    assert_non_null(strstr(line, "?"));
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void put_back(struct stack *s)
{
    stack_put(&pool, s);
}

static void put_back_overflowed(struct stack *s)
{
    s->low[3] = 0;
    stack_put(&pool, s);
}

static void without_a_guard_there_is_a_canary(void **state)
{
    struct stack *s;
    char said[512];
    int status;

    (void)state;
    visit(get()); /* below it there is one */
    fail_after(FAIL_GUARD, 1);
    s = get();
    assert_int_equal(fail_after(FAIL_GUARD, 0), 0);
    assert_false(s->guarded);
    visit(s);
    status = end_of(put_back, s, said, sizeof said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = end_of(put_back_overflowed, s, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "overflowed its stack"));
}

static void a_cold_stack_keeps_its_canary(void **state)
{
    struct stack *s;

    (void)state;
    visit(get()); /* below it there is one */
    fail_after(FAIL_GUARD, 1);
    s = get();
    visit(s);
    stack_put(&pool, s);
    pool.spares = WARM + 1;               /* as if there were so many */
    assert_false(stack_pool_trim(&pool)); /* one was too many */
    assert_ptr_equal(pool.trimmed, s);
    assert_ptr_equal(get(), s);
    stack_put(&pool, s); /* would die */
    pool.spares = 1;
}

/* ---------------------------------------------------------------- no memory */

static void a_refused_reservation_is_tried_smaller(void **state)
{
    (void)state;
    fail_after(FAIL_MAP, 1);
    visit(get());
    assert_int_equal(fail_after(FAIL_MAP, 0), 0); /* it has struck */
    assert_int_equal(visits, 1);
}

static void ask_without_memory(struct stack *unused)
{
    struct rlimit little = {1 << 20, 1 << 20};

    (void)unused;
    setrlimit(RLIMIT_AS, &little);
    if (memory_map(1 << 26) != NULL)
        _exit(6); /* an emulator knows no such limit */
    _exit(stack_get(&pool) == NULL && segment_get(&pool, NULL) == NULL ? 7 : 8);
}

static void without_memory_there_is_none(void **state)
{
    char said[512];
    int status;

    (void)state;
    if (SANITIZE_THREAD || SANITIZE_ADDRESS || RUNNING_ON_VALGRIND)
        skip(); /* they need memory, too */
    status = end_of(ask_without_memory, NULL, said, sizeof said);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 6)
        skip();
    assert_int_equal(WEXITSTATUS(status), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_slots_but_the_first_few_lie_behind_a_border),
        TEST(guard_stack_and_head_are_what_was_asked_for),
        TEST(a_fresh_stack_has_an_empty_deque),
        TEST(its_entry_runs_on_it),
        TEST(many_stacks_lie_apart),
        TEST(a_pool_can_be_closed_and_another_opened),
        TEST(what_was_put_back_is_given_again),
        TEST(of_too_many_spares_the_pages_are_given_back_when_asked),
        TEST(the_same_ones_go_round_however_many_have_been_made),
        TEST(a_segment_belongs_to_the_deque_it_was_made_for),
        TEST(a_stack_put_back_gives_its_segments_back),
        TEST(what_is_below_is_a_guard_and_says_whose),
        TEST(each_guard_is_explained_and_nothing_else),
        TEST(a_frame_that_jumped_over_the_guard_is_told_by_its_place),
        TEST(who_waits_below_his_stack_has_overflowed_it),
        TEST(what_is_no_task_is_explained_too),
        TEST(without_a_guard_there_is_a_canary),
        TEST(a_cold_stack_keeps_its_canary),
        TEST(a_refused_reservation_is_tried_smaller),
        TEST(without_memory_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
