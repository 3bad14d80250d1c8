/* A timer thread, in pthreads
 *
 * A list sorted by time, a thread that sleeps until the first one is due, and a
 * condition to wake it when an earlier one is added. See the clock: a condition
 * goes by the wall clock unless it is told otherwise. Each timer is a function that
 * is called again, so what it does over time lies in a struct.
 *
 * Pitfall: timer_cancel does not say that the function is not running just now, and
 * a function that takes long makes all the others late.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS(x) ((int64_t)(x)*1000000)

struct timer {
    struct timer *next;
    int64_t at;
    int64_t (*fn)(struct timer *); /* when to be called again; 0: no more */
    int fired;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed, idle;
    struct timer *first, *running;
    bool stopping;
    pthread_t thread;
} timers = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .idle = PTHREAD_COND_INITIALIZER};

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * MS(1000) + t.tv_nsec;
}

static void insert(struct timer *timer)
{
    struct timer **link = &timers.first;

    while (*link != NULL && (*link)->at <= timer->at)
        link = &(*link)->next;
    timer->next = *link;
    *link = timer;
}

static void run_first(void)
{
    struct timer *timer = timers.running = timers.first;

    timers.first = timer->next;
    pthread_mutex_unlock(&timers.lock);
    timer->at = timer->fn(timer);
    pthread_mutex_lock(&timers.lock);
    timers.running = NULL;
    if (timer->at != 0)
        insert(timer);
    else
        pthread_cond_broadcast(&timers.idle);
}

static void *timer_thread(void *arg)
{
    pthread_mutex_lock(&timers.lock);
    while (!timers.stopping) {
        int64_t at = timers.first != NULL ? timers.first->at : 0;
        struct timespec t = {at / MS(1000), at % MS(1000)};

        if (timers.first == NULL)
            pthread_cond_wait(&timers.changed, &timers.lock);
        else if (now() < at)
            pthread_cond_timedwait(&timers.changed, &timers.lock, &t);
        else
            run_first();
    }
    pthread_mutex_unlock(&timers.lock);
    return arg;
}

static void timer_add(struct timer *timer, int64_t in)
{
    pthread_mutex_lock(&timers.lock);
    timer->at = now() + in;
    insert(timer);
    pthread_cond_signal(&timers.changed);
    pthread_mutex_unlock(&timers.lock);
}

static bool timer_cancel(struct timer *timer)
{
    struct timer **link = &timers.first;
    bool found;

    pthread_mutex_lock(&timers.lock);
    while (*link != NULL && *link != timer)
        link = &(*link)->next;
    if ((found = *link != NULL))
        *link = timer->next;
    pthread_cond_broadcast(&timers.idle);
    pthread_mutex_unlock(&timers.lock);
    return found;
}

static int timers_start(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&timers.changed, &attr);
    pthread_condattr_destroy(&attr);
    return pthread_create(&timers.thread, NULL, timer_thread, NULL);
}

static void timers_stop(void)
{
    pthread_mutex_lock(&timers.lock);
    while (timers.first != NULL || timers.running != NULL)
        pthread_cond_wait(&timers.idle, &timers.lock);
    timers.stopping = true;
    pthread_cond_signal(&timers.changed);
    pthread_mutex_unlock(&timers.lock);
    pthread_join(timers.thread, NULL);
}

/* --------------------------------------------------------------- the timers */

static int64_t tick(struct timer *me)
{
    return ++me->fired < 3 ? me->at + MS(2) : 0;
}

static int64_t ring(struct timer *me)
{
    me->fired++;
    return 0;
}

int main(void)
{
    struct timer clock = {.fn = tick}, alarm = {.fn = ring}, tea = {.fn = ring};
    int rc = timers_start();

    if (rc != 0) {
        fprintf(stderr, "pthread_create: %s\n", strerror(rc));
        return 1;
    }
    timer_add(&tea, MS(3600000));
    timer_add(&clock, MS(2));
    timer_add(&alarm, MS(5));
    if (timer_cancel(&tea))
        puts("the tea was canceled");
    timers_stop();
    printf("%d ticks, %d alarm, %d tea\n", clock.fired, alarm.fired, tea.fired);
    return 0;
}
