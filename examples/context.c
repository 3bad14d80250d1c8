/* contextvars.ContextVar("user"): values of a request
 *
 * What everything in a request needs and no parameter list should carry. A value
 * is bound in a scope and seen by all that runs inside it: calls, forks, spawned
 * tasks, offloaded jobs. So is the scope's trace id. Nothing is copied.
 *
 * Pitfall: the value is lent. It lives until the scope closes, and so may stand
 * on the stack; a task of the root scope, which outlives that, does not see it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <thrum.h>

static const thrum_key USER = {.name = "user"};

static thrum_err *log_line(void *text)
{
    const char *user = thrum_get(&USER);

    printf("[%" PRIx64 " %s] %s\n", thrum_trace_id_current().lo,
           user ? user : "nobody", (const char *)text);
    return NULL;
}

static thrum_err *work(void *arg)
{
    thrum_task task;

    (void)arg;
    (void)log_line("called");
    thrum_fork(&task, log_line, "forked");
    THRUM_TRY(thrum_join(&task));
    return thrum_offload(log_line, "on another thread");
}

static thrum_err *request(void *user)
{
    thrum_binding b;
    thrum_scope s;

    thrum_scope_open(&s, .name = "request", .trace = {.lo = 0x2a});
    thrum_bind(&s, &b, &USER, user);
    return thrum_scope_close(&s, work(NULL));
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(log_line("before"));
    THRUM_TRY(request("ada"));
    return log_line("after");
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
