#include <stdio.h>
#include <thrum.h>

static thrum_err *greet(void *name)
{
    if (!name)
        return thrum_fail(&THRUM_ERROR, "nobody is there");
    return thrum_rc(printf("hello, %s\n", (char *)name));
}

static thrum_err *app(void *arg)
{
    thrum_job jobs[] = {{.fn = greet, .arg = arg}, {.fn = greet}};
    return thrum_gather(jobs, 2, THRUM_ALL);
}

int main(void)
{
    thrum_report(thrum_run(NULL, app, "world"));
}
