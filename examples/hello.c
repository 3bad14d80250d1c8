#include <stdio.h>
#include <thrum.h>

static thrum_err *greet(void *name)
{
    return thrum_rc(printf("hello, %s\n", (char *)name));
}

static thrum_err *listen(void *arg)
{
    (void)arg;
    return thrum_rc(thrum_sleep(THRUM_SEC(3600)));
}

static thrum_err *app(void *name)
{
    thrum_job both[] = {{.fn = listen}, {.fn = listen}};
    thrum_scope s;

    THRUM_TRY(greet(name));
    thrum_scope_open(&s, .name = "answer", .timeout = THRUM_MS(20));
    thrum_err *e = thrum_scope_close(&s, thrum_gather(both, 2, THRUM_ALL));
    if (!thrum_err_is(e, &THRUM_TIMEOUT))
        return e;
    thrum_report(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, "world"));
}
