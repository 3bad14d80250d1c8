/* asyncio.timeout() around code that computes and never awaits
 *
 * In asyncio that timeout would never fire. Here the loop runs on all cores, and
 * asks now and then whether it is to stop: that is all it takes. It ends by the
 * deadline, though nobody waits and the range is practically endless.
 *
 * Pitfall: code that neither waits nor asks is not heard. A checkpoint costs
 * about a load and a compare; one in some thousand steps is often enough.
 */
#include <stdio.h>
#include <thrum.h>

/* Is it a counter-example? 2^53 numbers are to be asked. */
static bool is_wrong(size_t n)
{
    return n * (n + 1) % 2 != 0;
}

static thrum_err *search(size_t low, size_t high, void *arg)
{
    (void)arg;
    for (size_t n = low; n < high; n++) {
        if (n % 1024 == 0)
            THRUM_TRY(thrum_checkpoint());
        if (is_wrong(n))
            return thrum_fail(&THRUM_ERROR, "%zu", n);
    }
    return NULL;
}

static thrum_err *search_all(void *arg)
{
    return thrum_for(0, (size_t)1 << 53, 0, search, arg);
}

static thrum_err *app(void *arg)
{
    (void)arg;
    thrum_err *e = thrum_with(search_all, NULL, .timeout = THRUM_MS(10));
    if (!thrum_err_is(e, &THRUM_TIMEOUT))
        return e;
    puts("no counter-example before the deadline");
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
