#include "planted.h"

_Atomic unsigned planted_order;

static thrum_err *write_down(void *i)
{
    planted_order = planted_order * 10 + *(unsigned *)i;
    return NULL;
}

thrum_err *some_order(void *unused)
{
    thrum_scope s;

    (void)unused;
    planted_order = 0;
    thrum_scope_open(&s, .name = "writers");
    for (unsigned i = 1; i <= TASKS; i++)
        THRUM_TRY(thrum_spawn(&s, write_down, &i, sizeof i));
    return thrum_scope_close(&s, NULL);
}

thrum_err *the_third_goes_first(void *unused)
{
    thrum_err *e = some_order(unused);

    THRUM_CHECK(planted_order / 1000 != 35);
    return e;
}

/* Two scopes of one child each: their permits are locks. */
static thrum_scope locks[2], holders;
static _Atomic int open_locks, had_both;

static thrum_err *nothing(void *unused)
{
    return unused;
}

static thrum_err *take_other(void *mine)
{
    THRUM_TRY(thrum_spawn(&locks[1 - *(int *)mine], nothing, NULL, 0));
    if (++had_both == 2)
        thrum_scope_cancel(&holders, "all is done");
    return NULL;
}

static thrum_err *hold(void *arg)
{
    int mine = *(int *)arg;
    thrum_err *e;

    thrum_scope_open(&locks[mine], .name = "a lock", .limit = 1);
    open_locks++;
    while (open_locks < 2)
        thrum_yield();
    e = thrum_rc(thrum_spawn(&locks[mine], take_other, arg, sizeof mine));
    if (e == NULL)
        (void)!thrum_sleep(INT64_MAX);
    return thrum_scope_close(&locks[mine], e);
}

thrum_err *abba(void *unused)
{
    (void)unused;
    open_locks = had_both = 0;
    thrum_scope_open(&holders, .name = "holders");
    for (int i = 0; i < 2; i++)
        THRUM_TRY(thrum_spawn(&holders, hold, &i, sizeof i));
    return thrum_scope_close(&holders, NULL);
}
