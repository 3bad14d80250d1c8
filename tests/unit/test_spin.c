/* Does the lock keep others out, and does what it guards travel with it? Plain
 * counters under contention; ThreadSanitizer checks [L1] and [L2]. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "os/spin.h"
#include "os/thread.h"

enum { THREADS = 4, ROUNDS = 5000 };

struct shared {
    struct spin lock;
    uint64_t count; /* lock */
    int inside;     /* lock */
    int most;       /* lock */
};

static void count_up(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < ROUNDS; i++) {
        spin_lock(&s->lock);
        s->inside++;
        s->most = s->inside > s->most ? s->inside : s->most;
        s->count++;
        s->inside--;
        spin_unlock(&s->lock);
    }
}

static void zeroed_memory_is_a_free_lock(void **state)
{
    struct spin s = {0};

    (void)state;
    spin_lock(&s);
    assert_int_equal(load_relaxed(&s.held), 1);
    spin_unlock(&s);
    assert_int_equal(load_relaxed(&s.held), 0);
    spin_lock(&s);
    spin_unlock(&s);
}

static void one_thread_at_a_time_is_inside(void **state)
{
    struct shared s = {.count = 0};
    struct thread t[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_start(&t[i], "spin", 0, count_up, &s), 0);
    for (int i = 0; i < THREADS; i++)
        thread_join(&t[i]);
    assert_int_equal(s.count, THREADS * ROUNDS);
    assert_int_equal(s.most, 1);
    assert_int_equal(s.inside, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_a_free_lock),
        cmocka_unit_test(one_thread_at_a_time_is_inside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
