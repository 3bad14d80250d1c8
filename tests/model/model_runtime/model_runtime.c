/* The whole runtime, as it is: its own source, under the explorer's schedules,
 * memory, clock, futexes and threads, in programs as a user would write them.
 * What must hold in each: it ends; each task runs once; a task that is ready runs
 * although all other workers block (they meet); what the manual says of order is
 * so for plain data; nobody is woken before his time; in the end all memory, all
 * stacks and threads are given back, and nothing was touched after it was.
 */
#include "runtime.h"

#include <string.h>

enum { MOST = 128 };

int main(void)
{
    static const struct model_scenario *const files[] = {
        trees, waits, shared, freed, outside, descriptors};
    static struct model_scenario all[MOST + 1];
    int n = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (const struct model_scenario *s = files[i];
             s->name != NULL && n < MOST; s++)
            all[n++] = *s;
    return model_run(&(struct model){"model_runtime", all});
}
