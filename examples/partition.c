/* [r for r in results if not isinstance(r, Exception)], and those that are
 *
 * Which of them worked, which did not? The loop's body keeps its error as data
 * and succeeds: for the scope nothing has failed, and nothing is canceled.
 *
 * Pitfall: ask the errors who has failed, not the results: an empty result may be
 * a right one.
 */
#include <stdio.h>
#include <thrum.h>

enum { COUNT = 10 };

struct list {
    int length[COUNT];
    thrum_err *err[COUNT];
};

static thrum_err *measure(size_t i, int *length)
{
    THRUM_TRY(thrum_sleep(THRUM_US(100)));
    if (i % 4 == 3)
        return thrum_fail(&THRUM_ERROR, "page %zu is torn", i);
    *length = (int)i * 10; /* page 0 is empty, and fine */
    return NULL;
}

static thrum_err *keep(size_t i, void *arg)
{
    struct list *list = arg;

    list->err[i] = measure(i, &list->length[i]);
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct list list = {0};
    int good = 0, sum = 0;

    (void)arg;
    thrum_err *e = thrum_each(COUNT, keep, &list, .limit = 4);
    for (int i = 0; i < COUNT; i++) {
        if (list.err[i]) {
            printf("failed: %s\n", thrum_err_msg(list.err[i]));
            thrum_err_drop(list.err[i]);
        } else {
            good++;
            sum += list.length[i];
        }
    }
    printf("%d pages, %d lines\n", good, sum);
    return e;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
