/* Is no token lost or taken twice, with deadlines that pass at the same moment?
 * One thread parks, with and without a deadline; another leaves tokens, each with
 * a plain number. ThreadSanitizer fails when [P1] -> [P2] does not carry it. */
#include <sched.h>
#include <stdio.h>

#include "lib/stress.h"
#include "os/clock.h"
#include "os/thread.h"
#include "parts/parker.h"

static struct parker parker, twice, taken;
static uint64_t number; /* plain: the tokens order it */
static bool again;      /* likewise: a second token follows */
static uint64_t rounds, seed_now;

static void leave_tokens(void *unused)
{
    struct rng r;

    (void)unused;
    rng_init(&r, seed_now + 77);
    for (uint64_t i = 1; i <= rounds; i++) {
        for (volatile uint32_t k = rng_below(&r, 2000); k > 0; k--)
            cpu_relax();
        number = i;
        again = rng_below(&r, 4) == 0;
        parker_unpark(&parker);
        if (again) {
            parker_unpark(&parker); /* one token all the same, or a second */
            parker_unpark(&twice);
        }
        (void)parker_park(&taken, CLOCK_NEVER);
    }
}

/* How many deadlines passed before there was a token. */
static uint64_t take_token(struct rng *r)
{
    uint64_t late = 0;

    for (;; late++) {
        int64_t until = rng_below(r, 2) ? CLOCK_NEVER
                                        : clock_now() + rng_below(r, 20000);

        if (parker_park(&parker, until))
            return late;
    }
}

static uint64_t one_round(struct rng *r, uint64_t i)
{
    uint64_t late = take_token(r);

    must(number == i);
    if (again) {
        (void)parker_park(&twice, CLOCK_NEVER);
        (void)parker_park(&parker, 0); /* the second, if there were two */
    }
    must(!parker_park(&parker, 0));
    parker_unpark(&taken);
    return late;
}

int main(void)
{
    uint64_t late = 0;

    rounds = stress_scale(8000);
    for (stress_begin(4); stress_next(&seed_now);) {
        struct thread t;
        struct rng r;

        parker_init(&parker);
        parker_init(&twice);
        parker_init(&taken);
        number = 0;
        rng_init(&r, seed_now);
        must(thread_start(&t, "tokens", 0, leave_tokens, NULL) == 0);
        for (uint64_t i = 1; i <= rounds; i++)
            late += one_round(&r, i);
        thread_join(&t);
    }
    printf("%llu deadlines passed\n", (unsigned long long)late);
    return 0;
}
