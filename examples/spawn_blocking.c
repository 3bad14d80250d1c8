/* [executor.submit(f, x) for x in many]; Tokio's spawn_blocking
 *
 * A thousand calls that block are children of a scope. Each waits for its turn in
 * the blocking pool as a small record, not as a task with a stack; there it has a
 * thread to itself. The scope's close waits for all, and has their errors.
 *
 * Pitfall: there are at most .max_blocking threads, and a call that never returns
 * keeps one. A cancel leaves out those that have not begun; those that have must
 * ask thrum_canceled() themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>
#include <unistd.h>

enum { CALLS = 1000 };

struct part {
    const char *path;
    size_t bytes;
    atomic_size_t *sum;
};

/* In the pool: what is copied is this call's own. */
static thrum_err *read_part(void *arg)
{
    struct part *part = arg;
    char buffer[CALLS];
    int fd = open(part->path, O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return thrum_rc(-errno);
    n = read(fd, buffer, part->bytes);
    if (n > 0)
        *part->sum += (size_t)n;
    close(fd);
    return NULL;
}

static thrum_err *app(void *arg)
{
    atomic_size_t sum = 0;
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "reads");
    for (size_t i = 1; rc == 0 && i <= CALLS; i++) {
        struct part part = {"/dev/zero", i, &sum};

        rc = thrum_spawn_blocking(&s, read_part, &part, sizeof part);
    }
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("%d calls read %zu bytes\n", CALLS, sum);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
