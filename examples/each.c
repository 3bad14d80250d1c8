/* asyncio.gather(*[square(i) for i in ids]), [await square(i) for i in ids]
 *
 * One call for every index of a list, in parallel; each writes into its own place
 * of the result, and so the results have the order of the list. With `limit` at
 * most so many calls are under way at once.
 *
 * Pitfall: without a limit all may wait at the same time, each on a stack of its
 * own. Whoever is asked by a million calls at once says no.
 */
#include <stdio.h>
#include <thrum.h>

enum { COUNT = 100, LIMIT = 8 };

struct list {
    int ids[COUNT], squares[COUNT];
};

static thrum_err *square(size_t i, void *arg)
{
    struct list *list = arg;

    THRUM_TRY(thrum_sleep(THRUM_US(100))); /* asked far away */
    list->squares[i] = list->ids[i] * list->ids[i];
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct list list;

    (void)arg;
    for (int i = 0; i < COUNT; i++)
        list.ids[i] = i;
    THRUM_TRY(thrum_each(COUNT, square, &list, .limit = LIMIT));
    for (int i = 0; i < COUNT; i += 11)
        printf("%d squared is %d\n", list.ids[i], list.squares[i]);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
