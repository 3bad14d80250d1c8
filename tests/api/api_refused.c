/* Is it told what the kernel, or a container's filter, refuses? Each such call is
 * refused in a child process. */
#include "lib/api.h"
#include "lib/fds.h"
#include "lib/refuse.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what a socket says is told ------------------------------------------------- */

static thrum_err *send_some(void *unused)
{
    struct iovec v = {"some", 4};
    int fds[2];

    (void)unused;
    fds_open(STREAM, fds);
    CHECK(thrum_write(fds[0], "some", 4) == -EPERM);
    CHECK(thrum_writev(fds[0], &v, 1) == -EPERM);
    fds_close(fds);
    return NULL;
}

/* As a firewall does, but to all sockets. Not so write(2), were it tried. */
static void with_a_firewall(void)
{
    static const int sends[] = {SYS_sendto, SYS_sendmsg};

    refuse(sends, 2, EPERM);
    expect_ok(thrum_run(NULL, send_some, NULL));
}

static void skip_without_filters(const struct end *end)
{
    if (WIFEXITED(end->status) && WEXITSTATUS(end->status) == REFUSE_CANNOT)
        skip();
}

static void a_socket_that_says_eperm_is_no_file(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated())
        skip();
    end = end_of(with_a_firewall);
    skip_without_filters(&end);
    if (end.status != 0)
        fail_msg("%s", end.said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_says_eperm_is_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
