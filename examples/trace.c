/* loop.set_exception_handler(), with the trace id of the request
 *
 * A request runs in a scope that has a trace id. Every error that is made inside
 * it, at any depth and on any thread, keeps that id. So one place is enough for
 * what nobody handles, the errors of background tasks too: on_error.
 *
 * Pitfall: on_error runs on the thread that reports, perhaps on several at once,
 * and must not wait. thrum_err_format tells the whole story without malloc.
 */
#include <inttypes.h>
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(NotFound, THRUM_ERROR, .code = 404);

static thrum_err *route(void *arg)
{
    const char *path = arg;

    if (path[1] == 'u')
        return thrum_fail(&NotFound, "no such user");
    if (path[1] == 'b')
        return thrum_fail(&THRUM_ERROR, "a bug, with all its details");
    return NULL;
}

/* The boundary: who asked hears what is meant for him, the log hears the rest. */
static void respond(thrum_err *e)
{
    if (!e) {
        puts("200 welcome");
    } else if (thrum_err_is(e, &NotFound)) {
        printf("%d %s\n", thrum_err_code(e), thrum_err_msg(e));
        thrum_err_drop(e);
    } else {
        puts("500 internal error");
        thrum_report(e);
    }
}

static thrum_err *app(void *arg)
{
    static char *const paths[] = {"/", "/user", "/bug"};

    (void)arg;
    for (uint64_t i = 0; i < 3; i++) {
        thrum_trace_id id = {.lo = 0xcafe00 + i}; /* or what the client sent */

        respond(thrum_with(route, paths[i], .name = "request", .trace = id));
    }
    return NULL;
}

static void on_error(const thrum_err *e, void *user)
{
    (void)user;
    printf("log: request %" PRIx64 ": %s\n", thrum_err_trace(e).lo,
           thrum_err_msg(e));
}

int main(void)
{
    thrum_opts opts = {.on_error = on_error};

    return thrum_report(thrum_run(&opts, app, NULL));
}
