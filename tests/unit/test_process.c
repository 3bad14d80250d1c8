/* Is the number of a process's descriptor told to be a new one, as another file may
 * have had it that was closed with close(2)? How: who is told notes it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

/* The source once more, with another one who is told. */
#define fd_fresh             fresh_here
#define THRUM_EXIT           EXIT_HERE
#define thrum_process_start_ start_here
#define thrum_process_wait   wait_here
#define thrum_process_signal signal_here
#include "io/process.c"
#include <thrum/test.h>

static int fresh = -1;

void fresh_here(int n)
{
    fresh = n;
}

static thrum_err *start_one(void *unused)
{
    char name[] = "true";
    char *const argv[] = {name, NULL};
    thrum_process p;

    (void)unused;
    THRUM_TRY(thrum_process_start(&p, argv));
    THRUM_CHECK(p.fd_ < 0 || fresh == p.fd_); /* an old kernel has none */
    return thrum_process_wait(&p);
}

static void the_number_of_its_descriptor_is_a_new_one(void **state)
{
    (void)state;
    assert_false(thrum_report(thrum_run(NULL, start_one, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_of_its_descriptor_is_a_new_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
