/* a chain of queues, with a few workers between each two
 *
 * Lines are read one by one, worked on in parallel, and printed in the order in
 * which they came. At most `tokens` are under way at once. In asyncio that is a
 * queue before each stage, tasks that loop, a sentinel for the end, and a plan for
 * what an error in the middle does to all of them. Here an error cancels the rest
 * and is returned.
 *
 * Pitfall: the bytes of an item are used again by later ones. What a stage has
 * allocated for an item is freed by a later stage; on an error by nobody, unless
 * it is kept where a clean-up finds it.
 */
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(BadLine, THRUM_ERROR);

enum { LINES = 6 };

struct line {
    int number;
    unsigned long result;
};

static thrum_err *read_line(void *item, void *ctx, bool *end)
{
    struct line *line = item;
    int *next = ctx;

    *end = *next == LINES;
    line->number = (*next)++;
    return NULL;
}

/* Which takes its time, more for some than for others. */
static thrum_err *work(void *item, void *bad)
{
    struct line *line = item;

    if (bad && line->number == *(int *)bad)
        return thrum_fail(&BadLine, "line %d makes no sense", line->number);
    THRUM_TRY(thrum_sleep(THRUM_US(100) * (LINES - line->number)));
    line->result = 1;
    for (int i = 2; i <= line->number; i++)
        line->result *= (unsigned long)i;
    return NULL;
}

static thrum_err *print(void *item, void *unused)
{
    struct line *line = item;

    (void)unused;
    printf("%d! = %lu\n", line->number, line->result);
    return NULL;
}

static thrum_err *run_lines(int *bad)
{
    int next = 0;
    thrum_stage stages[] = {
        {.fn = work, .ctx = bad, .parallel = 4},
        {.fn = print, .in_order = true},
    };

    return thrum_pipeline_run(&(thrum_pipeline){.source = read_line,
                                                .ctx = &next,
                                                .stages = stages,
                                                .n = 2,
                                                .item = sizeof(struct line),
                                                .tokens = 8});
}

static thrum_err *app(void *arg)
{
    int bad = 0;

    (void)arg;
    THRUM_TRY(run_lines(NULL));
    thrum_err *e = run_lines(&bad);
    if (!thrum_err_is(e, &BadLine))
        return e;
    printf("%s\n", thrum_err_msg(e));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
