/* pytest-asyncio, and an event loop whose clock one can turn
 *
 * Two clerks book a deposit each: read the balance, ask somebody, write it. Under
 * one order in many they both read before either writes. thrum_sim runs the same
 * functions in one order after the other, each drawn from a seed, on a clock that
 * leaps: an hour's wait takes no time, and a timeout is exact. The round that
 * fails says its seed; THRUM_SEED=0x... repeats just that one, in a debugger, too.
 *
 * Pitfall: other threads and processes are not simulated. What a round does must
 * depend on its seed alone, or it cannot be had again.
 */
#include <stdio.h>
#include <thrum.h>
struct till {
    _Atomic int balance;
    bool careful;
};

static thrum_err *deposit(void *arg)
{
    struct till *till = arg;
    int read = till->balance;

    if (till->careful) {
        till->balance++;
        return NULL;
    }
    THRUM_TRY(thrum_sleep(THRUM_SEC(3600)));
    till->balance = read + 1;
    return NULL;
}

static thrum_err *two_deposits(void *arg)
{
    struct till *till = arg;
    thrum_job jobs[] = {{.fn = deposit, .arg = till},
                        {.fn = deposit, .arg = till}};

    till->balance = 0;
    THRUM_TRY(thrum_gather(jobs, 2, THRUM_ALL));
    THRUM_CHECK(till->balance == 2);
    return NULL;
}

static thrum_err *wait_for_ever(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(INT64_MAX));
}

static thrum_err *times_out(void *unused)
{
    thrum_time start = thrum_now();
    thrum_err *e = thrum_with(wait_for_ever, NULL, .timeout = THRUM_MS(10));
    bool is_timeout = thrum_err_is(e, &THRUM_TIMEOUT);

    (void)unused;
    thrum_err_drop(e);
    THRUM_CHECK(is_timeout);
    THRUM_CHECK(thrum_now() - start == THRUM_MS(10));
    return NULL;
}

static void simulate(const char *what, thrum_fn *fn, void *arg)
{
    thrum_sim_opts opts = {.seed = 42, .rounds = 1000, .quiet = true};
    thrum_err *e = thrum_sim(&opts, fn, arg);

    printf("%s: %s\n", what,
           e == NULL ? "1000 rounds" : thrum_err_msg(thrum_err_cause(e)));
    thrum_err_drop(e);
}

int main(void)
{
    simulate("a timeout", times_out, NULL);
    simulate("careless clerks", two_deposits, &(struct till){.careful = false});
    simulate("careful ones", two_deposits, &(struct till){.careful = true});
    return 0;
}
