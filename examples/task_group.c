/* async with asyncio.TaskGroup() as group: group.create_task(...)
 *
 * A scope owns the tasks that are spawned into it, by whoever has its address:
 * here each folder spawns its subfolders. Closing it waits for them all. When one
 * fails, the others are canceled, and the close returns why.
 *
 * Pitfall: close the scope on every path. A `return` in between would leave its
 * tasks without an end; thrum_with and THRUM_AUTO are there for that.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

struct walk {
    thrum_scope scope;
    atomic_int folders;
};

struct folder {
    struct walk *walk;
    int depth;
};

static thrum_err *visit(void *arg)
{
    struct folder *folder = arg, sub = *folder; /* arg is the task's own copy */
    struct walk *walk = folder->walk;

    if (folder->depth > 8)
        return thrum_fail(&THRUM_ERROR, "too deep");
    walk->folders++;
    sub.depth++;
    for (int i = 0; folder->depth < 8 && i < 2; i++)
        THRUM_TRY(thrum_spawn(&walk->scope, visit, &sub, sizeof sub));
    return NULL;
}

static thrum_err *count_from(int depth)
{
    struct walk walk = {.folders = 0};

    thrum_scope_open(&walk.scope, .name = "walk");
    int rc = thrum_spawn(&walk.scope, visit, &(struct folder){&walk, depth},
                         sizeof(struct folder));
    THRUM_TRY(thrum_scope_close(&walk.scope, thrum_rc(rc)));
    printf("%d folders\n", walk.folders);
    return NULL;
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(count_from(0));
    thrum_err *e = count_from(9);
    printf("failed: %s\n", thrum_err_msg(e));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
