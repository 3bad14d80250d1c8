/* Does an overflow get its line, and every other fault its old handler?
 * Each case dies in a child whose last words and end are looked at. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/sanitize.h"
#include "os/altstack.h"
#include "os/ctx.h"
#include "os/fault.h"
#include "os/memory.h"

enum { STACK_BYTES = 256 << 10, EXIT_BY_HANDLER = 42 };

#define EXPLANATION "the stack of task \"deep\" is full\n"

struct end {
    int status;
    char said[512];
};

static char *guard_low, *guard_high;

static bool explain(const char *addr, const char *sp, char *line, size_t n)
{
    (void)sp;
    if (addr < guard_low || addr >= guard_high)
        return false;
    snprintf(line, n, EXPLANATION);
    return true;
}

static bool explain_all(const char *addr, const char *sp, char *line, size_t n)
{
    (void)addr;
    (void)sp;
    snprintf(line, n, EXPLANATION);
    return true;
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(9);
}

/* A sanitizer has handlers of its own, and wants to hear of a real fault. */
static void forget_handlers(void)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
}

static struct end end_of(void (*act)(void))
{
    struct end end = {0};
    size_t length = 0;
    char *emulator;
    ssize_t got;
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        forget_handlers();
        act();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], end.said + length,
                       sizeof end.said - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    waitpid(child, &end.status, 0);

    emulator = strstr(end.said, "qemu: uncaught target signal");
    if (emulator != NULL)
        *emulator = '\0'; /* its last words are not ours */
    return end;
}

static bool died_of(struct end end, int sig)
{
    return WIFSIGNALED(end.status) && WTERMSIG(end.status) == sig;
}

static bool exited(struct end end, int code)
{
    return WIFEXITED(end.status) && WEXITSTATUS(end.status) == code;
}

/* --- overflow ------------------------------------------------------------- */

static volatile unsigned depth;

/* Not a loop to the compiler: each frame is used after the call. */
static __attribute__((noinline)) unsigned descend(unsigned n)
{
    volatile char frame[256];

    frame[n % sizeof frame] = (char)n;
    depth = n;
    return n == 0 ? 0 : descend(n + 1) + (unsigned)frame[n % sizeof frame];
}

static void overflow(void *arg)
{
    (void)arg;
    depth = descend(1);
    say("no overflow\n");
    _exit(9);
}

static switches_stacks void leave_for(struct ctx *to,
                                      struct sanitize_fiber *san)
{
    struct sanitize_fiber mine;
    struct ctx here;

    sanitize_fiber_adopt(&mine);
    sanitize_switch_begin(&mine, san, false);
    ctx_switch(&here, to);
}

static void overflow_a_small_stack(void)
{
    size_t page = memory_page();
    char *stack = memory_map(STACK_BYTES);
    struct sanitize_fiber san;
    struct altstack alt;
    struct ctx deep;

    if (stack == NULL || !memory_guard(stack, page) || altstack_map(&alt) < 0)
        _exit(9);
    altstack_enter(&alt);
    guard_low = stack;
    guard_high = stack + page;
    fault_start(explain);
    sanitize_fiber_create(&san, stack + page, STACK_BYTES - page);
    ctx_make(&deep, stack + page, stack + STACK_BYTES, overflow, NULL);
    leave_for(&deep, &san);
}

static void an_overflow_is_explained_and_deadly(void **state)
{
    static const char *const kinds[] = {"madvise", "mprotect"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct end end;

        setenv("THRUM_GUARD", kinds[i], 1);
        end = end_of(overflow_a_small_stack);
        assert_string_equal(end.said, EXPLANATION);
        assert_true(died_of(end, SIGSEGV));
    }
    unsetenv("THRUM_GUARD");
}

/* --- other faults --------------------------------------------------------- */

static void *forbidden_page(void)
{
    return mmap(NULL, memory_page(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
}

static void touch(char *addr)
{
    *(volatile char *)addr = 1;
}

static bool know_nothing(const char *addr, const char *sp, char *line, size_t n)
{
    (void)addr;
    (void)sp;
    (void)line;
    (void)n;
    say("asked\n");
    return false;
}

static void fault_elsewhere(void)
{
    fault_start(explain);
    fault_start(know_nothing); /* our handler must not become its predecessor */
    touch(forbidden_page());
}

static void another_fault_dies_as_before(void **state)
{
    struct end end = end_of(fault_elsewhere);

    (void)state;
    assert_string_equal(end.said, "asked\n");
    assert_true(died_of(end, SIGSEGV));
}

static void *expected;

static void exit_by_siginfo(int sig, siginfo_t *info, void *context)
{
    bool right = sig == SIGSEGV && info->si_addr == expected && context;

    _exit(right ? EXIT_BY_HANDLER : 9);
}

static void exit_by_number(int sig)
{
    _exit(sig == SIGSEGV ? EXIT_BY_HANDLER : 9);
}

static void handle(void (*plain)(int), void (*full)(int, siginfo_t *, void *),
                   int flags)
{
    struct sigaction action = {.sa_flags = flags | (full ? SA_SIGINFO : 0)};

    if (full != NULL)
        action.sa_sigaction = full;
    else
        action.sa_handler = plain;
    sigaction(SIGSEGV, &action, NULL);
}

static void fault_with_a_siginfo_handler(void)
{
    expected = forbidden_page();
    handle(NULL, exit_by_siginfo, 0);
    fault_start(explain);
    touch(expected);
}

static void fault_with_a_plain_handler(void)
{
    handle(exit_by_number, NULL, 0);
    fault_start(explain);
    touch(forbidden_page());
}

static void the_handler_that_was_there_gets_the_fault(void **state)
{
    (void)state;
    assert_true(exited(end_of(fault_with_a_siginfo_handler), EXIT_BY_HANDLER));
    assert_true(exited(end_of(fault_with_a_plain_handler), EXIT_BY_HANDLER));
}

static void report(int sig)
{
    (void)sig;
    say("crash!\n");
}

static void fault_with_a_handler_for_once(void)
{
    handle(report, NULL, (int)SA_RESETHAND);
    fault_start(explain);
    touch(forbidden_page());
}

static void a_handler_for_once_is_called_once(void **state)
{
    struct end end = end_of(fault_with_a_handler_for_once);

    (void)state;
    assert_string_equal(end.said, "crash!\n");
    assert_true(died_of(end, SIGSEGV));
}

static void check_mask(int sig)
{
    sigset_t now;

    pthread_sigmask(SIG_SETMASK, NULL, &now);
    _exit(sigismember(&now, SIGUSR1) && !sigismember(&now, sig)
              ? EXIT_BY_HANDLER
              : 9);
}

static void fault_with_a_mask(void)
{
    struct sigaction action = {.sa_handler = check_mask,
                               .sa_flags = SA_NODEFER};

    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGSEGV, &action, NULL);
    fault_start(explain);
    touch(forbidden_page());
}

static void the_handler_that_was_there_has_its_mask(void **state)
{
    (void)state;
    assert_true(exited(end_of(fault_with_a_mask), EXIT_BY_HANDLER));
}

static sigjmp_buf back;

static void jump_back(int sig)
{
    siglongjmp(back, sig);
}

static void probe_by_faults(void)
{
    static volatile int rounds;

    handle(jump_back, NULL, 0);
    fault_start(explain);
    while (rounds < 3)
        if (sigsetjmp(back, 1) == 0) {
            rounds++;
            touch(forbidden_page());
        }
    _exit(EXIT_BY_HANDLER);
}

static void a_program_that_probes_by_faults_still_can(void **state)
{
    (void)state;
    assert_true(exited(end_of(probe_by_faults), EXIT_BY_HANDLER));
}

/* --- signals that are no faults ------------------------------------------- */

static void send_to_self(void)
{
    fault_start(explain_all);
    kill(getpid(), SIGSEGV);
    for (;;)
        pause();
}

static void a_sent_signal_kills_without_explanation(void **state)
{
    struct end end = end_of(send_to_self);

    (void)state;
    assert_string_equal(end.said, "");
    assert_true(died_of(end, SIGSEGV));
}

static void send_to_self_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    fault_start(explain);
    raise(SIGSEGV);
    _exit(EXIT_BY_HANDLER);
}

static void fault_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    fault_start(explain);
    touch(forbidden_page());
}

static void what_was_ignored_is_ignored_unless_it_is_a_fault(void **state)
{
    (void)state;
    assert_true(exited(end_of(send_to_self_ignored), EXIT_BY_HANDLER));
    assert_true(died_of(end_of(fault_ignored), SIGSEGV));
}

static void touch_beyond_a_file(void)
{
    int fd = memfd_create("empty", MFD_CLOEXEC);
    char *p = mmap(NULL, memory_page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   0);

    guard_low = p;
    guard_high = p + memory_page();
    fault_start(explain);
    touch(p);
}

static void a_bus_error_is_looked_at_too(void **state)
{
    struct end end = end_of(touch_beyond_a_file);

    (void)state;
    assert_string_equal(end.said, EXPLANATION);
    assert_true(died_of(end, SIGBUS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overflow_is_explained_and_deadly),
        cmocka_unit_test(another_fault_dies_as_before),
        cmocka_unit_test(the_handler_that_was_there_gets_the_fault),
        cmocka_unit_test(a_handler_for_once_is_called_once),
        cmocka_unit_test(the_handler_that_was_there_has_its_mask),
        cmocka_unit_test(a_program_that_probes_by_faults_still_can),
        cmocka_unit_test(a_sent_signal_kills_without_explanation),
        cmocka_unit_test(what_was_ignored_is_ignored_unless_it_is_a_fault),
        cmocka_unit_test(a_bus_error_is_looked_at_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
