/* asyncio.all_tasks(), Task.print_stack(): what does the program wait for?
 *
 * thrum_dump shows the scopes in which tasks wait, as the tree that they are, and
 * what each waits for; of a lock also who has it, and who waits for each other. It
 * can be called from any thread: a watchdog's, or by hand in a debugger, call
 * thrum_dump(0, 2).
 *
 * Pitfall: it shows who waits. A task that computes is counted as a child only.
 */
#include <thrum.h>

static thrum_err *fetch(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_SEC(3600)));
}

static thrum_err *app(void *unused)
{
    thrum_scope import;

    (void)unused;
    thrum_scope_open(&import, .name = "import");
    thrum_err *e = thrum_rc(thrum_spawn(&import, fetch, NULL, 0));
    thrum_yield(); /* there is one worker: now it waits */
    thrum_dump(NULL, 1);
    thrum_scope_cancel(&import, "enough seen");
    return thrum_scope_close(&import, e);
}

int main(void)
{
    return thrum_report(thrum_run(&(thrum_opts){.workers = 1}, app, NULL));
}
