/* First in, first out, for the owner and for a thief; and is nobody inside with
 * another? With membarrier and without; one thread, the other one's state is
 * set by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/atomic.h"
#include "os/barrier.h"
#include "parts/queue.h"

/* The state is whether the queue is fenced. */
static struct queue queue_for(void **state)
{
    struct queue q;

    if (*(bool *)*state == false && !barrier_start())
        skip(); /* there is no membarrier here */
    queue_init(&q, *(bool *)*state);
    return q;
}

static void a_new_queue_is_empty(void **state)
{
    struct queue q = queue_for(state);

    assert_int_equal(queue_count(&q), 0);
    assert_null(queue_pop(&q));
    assert_null(queue_steal(&q));
}

static void owner_pops_oldest_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[3];

    for (int i = 0; i < 3; i++)
        queue_push(&q, &job[i]);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(queue_pop(&q), &job[i]);
    assert_null(queue_pop(&q));
}

static void thief_steals_oldest_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[3];

    for (int i = 0; i < 3; i++)
        queue_push(&q, &job[i]);
    assert_ptr_equal(queue_steal(&q), &job[0]);
    assert_ptr_equal(queue_pop(&q), &job[1]);
    assert_ptr_equal(queue_steal(&q), &job[2]);
    assert_null(queue_steal(&q));
}

static void a_list_is_added_behind_what_is_there(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[4];

    queue_push(&q, &job[0]);
    job[1].next = &job[2];
    job[2].next = NULL;
    queue_push_all(&q, &job[1]);
    queue_push_all(&q, NULL);
    queue_push(&q, &job[3]);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(queue_pop(&q), &job[i]);
}

/* I2 */
static void the_count_is_the_length(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[4];

    for (int i = 0; i < 4; i++) {
        assert_int_equal(queue_count(&q), i);
        queue_push(&q, &job[i]);
    }
    (void)queue_pop(&q);
    assert_int_equal(queue_count(&q), 3);
    (void)queue_steal(&q);
    assert_int_equal(queue_count(&q), 2);
}

static void an_emptied_queue_can_be_filled_again(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job;

    for (int i = 0; i < 3; i++) {
        queue_push(&q, &job);
        assert_ptr_equal(i == 1 ? queue_steal(&q) : queue_pop(&q), &job);
        assert_int_equal(queue_count(&q), 0);
    }
}

/* I1: the owner stays inside, as if he had lost his CPU there. */
static void a_thief_gives_up_while_the_owner_is_inside(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job;

    queue_push(&q, &job);
    store_relaxed(&q.inside, 1);
    assert_null(queue_steal(&q));
    assert_int_equal(load_relaxed(&q.thief), 0); /* he lets the owner in */
    store_relaxed(&q.inside, 0);
    assert_ptr_equal(queue_steal(&q), &job);
}

static void a_second_thief_does_not_wait_for_the_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job;

    queue_push(&q, &job);
    store_relaxed(&q.thief, 1);
    assert_null(queue_steal(&q));
    assert_int_equal(load_relaxed(&q.thief), 1);
    store_relaxed(&q.thief, 0);
    assert_ptr_equal(queue_steal(&q), &job);
}

/* I1: out when he is out. */
static void the_owner_leaves_what_he_entered(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job;

    queue_push(&q, &job);
    assert_int_equal(load_relaxed(&q.inside), 0);
    (void)queue_pop(&q);
    assert_int_equal(load_relaxed(&q.inside), 0);
    (void)queue_pop(&q);
    assert_int_equal(load_relaxed(&q.inside), 0);
}

#define FOR(name, mode)                                                        \
    {                                                                          \
#name ", " #mode, name, NULL, NULL, &mode                              \
    }
#define BOTH(name) FOR(name, biased), FOR(name, fenced)

int main(void)
{
    static bool biased = false, fenced = true;
    const struct CMUnitTest tests[] = {
        BOTH(a_new_queue_is_empty),
        BOTH(owner_pops_oldest_first),
        BOTH(thief_steals_oldest_first),
        BOTH(a_list_is_added_behind_what_is_there),
        BOTH(the_count_is_the_length),
        BOTH(an_emptied_queue_can_be_filled_again),
        BOTH(a_thief_gives_up_while_the_owner_is_inside),
        BOTH(a_second_thief_does_not_wait_for_the_first),
        BOTH(the_owner_leaves_what_he_entered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
