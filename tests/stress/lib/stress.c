#include "stress.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/sanitize.h"
#include "os/clock.h"
#include "os/futex.h"

enum { PATIENCE_S = 60 };

static uint64_t rounds, seconds, done;
static int64_t end;
static _Atomic uint64_t current;    /* the seed, for messages */
static _Atomic int64_t round_began; /* for the watchdog */

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

_Noreturn void stress_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    abort();
}

/* The library's own last words do not know the seed. */
static void tell_seed(int sig)
{
    char text[64];
    int n = snprintf(text, sizeof text, "THRUM_SEED=%llu\n",
                     (unsigned long long)load_relaxed(&current));

    if (write(STDERR_FILENO, text, (size_t)n) == n)
        signal(sig, SIG_DFL);
}

/* Looks every second, for as long as the program runs. */
static void *watch(void *unused)
{
    static _Atomic uint32_t never;

    (void)unused;
    for (;;) {
        int64_t now = clock_now();

        if (now - load_relaxed(&round_began) > PATIENCE_S * INT64_C(1000000000))
            stress_fail(__FILE__, __LINE__, "the round ends");
        (void)futex_wait(&never, 0, now + INT64_C(1000000000));
    }
    return NULL;
}

void stress_begin(uint64_t n)
{
    pthread_t watchdog;

    signal(SIGABRT, tell_seed);
    rounds = n;
    seconds = number("THRUM_STRESS_S", 0);
    end = clock_now() + (int64_t)seconds * 1000000000;
    store_relaxed(&current, number("THRUM_SEED", 1) - 1);
    store_relaxed(&round_began, clock_now());
    if (pthread_create(&watchdog, NULL, watch, NULL) == 0)
        pthread_detach(watchdog);
}

bool stress_next(uint64_t *seed)
{
    if (seconds == 0 ? done == rounds : clock_now() >= end)
        return false;
    done++;
    *seed = add_relaxed(&current, 1) + 1;
    store_relaxed(&round_began, clock_now());
    return true;
}

uint64_t stress_scale(uint64_t n)
{
    if (SANITIZE_THREAD || RUNNING_ON_VALGRIND)
        return n / 20 + 1;
    return SANITIZE_ADDRESS ? n / 4 + 1 : n;
}
