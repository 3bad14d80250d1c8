/* ExceptionGroup, except*
 *
 * Three orders are placed at the same time, and two fail. What comes back is one
 * error with both: it can be asked, walked through, and split by kind.
 *
 * Pitfall: thrum_err_is is about the first failure alone, as `except` is about
 * one exception. thrum_err_has and thrum_err_split look at them all.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(Order, THRUM_ERROR, .code = 500);
THRUM_KIND(NoCredit, Order, .code = 402);
THRUM_KIND(NotStored, Order);

static thrum_err *charge(size_t customer)
{
    return customer == 1 ? thrum_fail(&NoCredit, "%zu owes us", customer)
                         : NULL;
}

/* A negative errno value, as the kernel would have it. */
static int store(size_t customer)
{
    return customer == 2 ? -ENOSPC : 0;
}

static thrum_err *place(size_t customer, void *ctx)
{
    thrum_err *e;

    (void)ctx;
    THRUM_TRY(charge(customer));
    e = thrum_rc(store(customer));
    return e ? thrum_wrap(e, &NotStored, "order %zu", customer) : NULL;
}

static thrum_err *app(void *arg)
{
    (void)arg;
    return thrum_each(3, place, NULL, .policy = THRUM_SETTLE);
}

int main(void)
{
    thrum_err *e = thrum_run(NULL, app, NULL);
    const thrum_err *leaf;

    for (size_t i = 0; (leaf = thrum_err_at(e, i)); i++)
        printf("customer %zu: %s: %s [%d]\n", thrum_err_index(leaf),
               thrum_err_kind(leaf)->name, thrum_err_msg(leaf),
               thrum_err_code(leaf));
    printf("an order failed: %d, a disk is full: %d\n", thrum_err_is(e, &Order),
           thrum_err_has(e, &THRUM_OS));

    thrum_err *poor = thrum_err_split(&e, &NoCredit);
    printf("%zu poor, %zu other\n", thrum_err_count(poor), thrum_err_count(e));
    printf("the cause: %s\n", thrum_err_msg(thrum_err_cause(e)));
    thrum_err_drop(poor);
    thrum_err_drop(e);
    return 0;
}
