/* First in, first out, for the owner and for a thief; and is nobody inside with
 * another? With membarrier and without; one thread, the other one's state is
 * set by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

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
    assert_null(queue_steal(&q, 1));
}

static void owner_pops_oldest_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[3] = {{.taken = NULL}};

    for (int i = 0; i < 3; i++)
        queue_push(&q, &job[i]);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(queue_pop(&q), &job[i]);
    assert_null(queue_pop(&q));
}

static void thief_steals_oldest_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[3] = {{.taken = NULL}};

    for (int i = 0; i < 3; i++)
        queue_push(&q, &job[i]);
    assert_ptr_equal(queue_steal(&q, 1), &job[0]);
    assert_ptr_equal(queue_pop(&q), &job[1]);
    assert_ptr_equal(queue_steal(&q, 1), &job[2]);
    assert_null(queue_steal(&q, 1));
}

static void a_list_is_added_behind_what_is_there(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[4] = {{.taken = NULL}};

    queue_push(&q, &job[0]);
    job[1].next = &job[2];
    job[2].next = NULL;
    queue_push_all(&q, &job[1]);
    queue_push_all(&q, NULL);
    queue_push(&q, &job[3]);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(queue_pop(&q), &job[i]);
}

static void a_chain_is_added_behind_what_is_there(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[5] = {{.taken = NULL}};
    struct chain none = {0}, first = {0}, second = {0};

    queue_push_chain(&q, &none);
    assert_null(queue_pop(&q));
    chain_add(&first, &job[0]);
    chain_add(&first, &job[1]);
    chain_add(&second, &job[2]);
    chain_add(&second, &job[3]);
    queue_push_chain(&q, &first);
    queue_push_chain(&q, &second);
    queue_push_chain(&q, &none);
    queue_push(&q, &job[4]);
    assert_int_equal(queue_count(&q), 5);
    assert_ptr_equal(job[2].u.call.prev, &job[1]);
    assert_ptr_equal(job[4].u.call.prev, &job[3]);
    for (int i = 0; i < 5; i++)
        assert_ptr_equal(queue_pop(&q), &job[i]);
    assert_null(queue_pop(&q));
}

static void half_of_it_is_popped_at_once(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[5] = {{.taken = NULL}}, *first;

    for (int i = 0; i < 5; i++)
        queue_push(&q, &job[i]);
    first = queue_pop_half(&q, 9);
    for (int i = 0; i < 3; i++, first = first->next)
        assert_ptr_equal(first, &job[i]);
    assert_null(first);
    assert_int_equal(queue_count(&q), 2);
    queue_push(&q, &job[0]);
    assert_ptr_equal(queue_pop_half(&q, 1), &job[3]);
    assert_null(job[3].next);
    assert_ptr_equal(queue_pop(&q), &job[4]);
    assert_ptr_equal(queue_pop_half(&q, 9), &job[0]); /* the last */
    assert_null(queue_pop_half(&q, 9));
    assert_int_equal(queue_count(&q), 0);
    queue_push(&q, &job[1]);
    assert_ptr_equal(queue_pop(&q), &job[1]);
}

static void half_of_it_is_stolen_at_once(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[5] = {{.taken = NULL}}, *first;

    for (int i = 0; i < 5; i++)
        queue_push(&q, &job[i]);
    first = queue_steal(&q, 2);
    assert_ptr_equal(first, &job[0]);
    assert_ptr_equal(first->next, &job[1]);
    assert_null(job[1].next);
    first = queue_steal(&q, 9);
    assert_ptr_equal(first, &job[2]);
    assert_ptr_equal(first->next, &job[3]);
    assert_null(job[3].next);
    assert_int_equal(queue_count(&q), 1);
    assert_ptr_equal(queue_pop(&q), &job[4]);
    assert_null(queue_pop(&q));
}

static struct thrum_scope *const scope = (struct thrum_scope *)&(int){0};
static struct thrum_scope *const other = (struct thrum_scope *)&(int){0};

static void spawned_in(struct queue *q, struct thrum_job_ *job,
                       struct thrum_scope *parent)
{
    *job = (struct thrum_job_){.taken = NULL};
    store_relaxed(&job->scope, parent);
    queue_push(q, job);
}

static struct thrum_job_ *pop_child(struct queue *q, struct thrum_scope *parent,
                                    bool or_last)
{
    struct siblings s = {.scope = parent, .or_last = or_last};

    return queue_pop_child(q, &s);
}

static void a_child_is_found_if_it_is_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[3];

    for (int i = 0; i < 3; i++)
        spawned_in(&q, &job[i], i == 2 ? other : scope);
    assert_null(pop_child(&q, other, false));
    assert_ptr_equal(pop_child(&q, scope, false), &job[0]);
    assert_ptr_equal(pop_child(&q, scope, true), &job[1]);
    assert_null(pop_child(&q, scope, true));
    assert_ptr_equal(pop_child(&q, other, true), &job[2]);
    assert_null(pop_child(&q, other, true));
    assert_int_equal(queue_count(&q), 0);
}

/* I3 */
static void or_last_among_others(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[5], fork = {.taken = other};

    queue_push(&q, &fork);
    for (int i = 0; i < 4; i++)
        spawned_in(&q, &job[i], i == 1 ? other : scope);
    assert_null(pop_child(&q, scope, false));
    assert_ptr_equal(pop_child(&q, scope, true), &job[3]);
    assert_ptr_equal(pop_child(&q, scope, true), &job[2]);
    assert_null(pop_child(&q, scope, true));
    spawned_in(&q, &job[4], scope);
    assert_ptr_equal(pop_child(&q, scope, true), &job[4]);
    assert_ptr_equal(pop_child(&q, other, true), &job[1]);
    assert_ptr_equal(queue_steal(&q, 1), &fork);
    assert_ptr_equal(queue_pop(&q), &job[0]);
    assert_int_equal(queue_count(&q), 0);
}

static void spawned_many(struct queue *q, struct thrum_job_ *job, int n)
{
    for (int i = 0; i < n; i++)
        spawned_in(q, &job[i], scope);
}

/* What was there before has its turn, in order; what came after is newest first,
 * while it is too much; a turn comes after so many. */
static void of_too_many_the_newest_are_called_but_not_for_ever(void **state)
{
    enum { OLD = QUEUE_DEEP + 3, MORE = QUEUE_TURN + 10 };
    static struct thrum_job_ old[OLD], job[MORE], another;
    struct queue q = queue_for(state);
    struct siblings s = {.scope = scope, .older = OLD};

    spawned_many(&q, old, OLD);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(queue_pop_child(&q, &s), &old[i]);
    spawned_many(&q, job, 1); /* not too many */
    assert_ptr_equal(queue_pop_child(&q, &s), &old[4]);
    spawned_many(&q, job + 1, MORE - 1);
    for (int i = 0; i < QUEUE_TURN; i++)
        assert_ptr_equal(queue_pop_child(&q, &s), &job[MORE - 1 - i]);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[5]);
    spawned_in(&q, &another, scope);
    assert_ptr_equal(queue_pop_child(&q, &s), &another);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[6]); /* none is new */
}

/* Nor is it a child of another, or what a thief has left. */
static void of_too_many_only_what_is_new_and_a_child_is_called(void **state)
{
    static struct thrum_job_ old[4 * QUEUE_DEEP], job[2];
    struct queue q = queue_for(state);
    struct siblings s = {.scope = scope, .older = 4 * QUEUE_DEEP};
    struct thrum_job_ *first;

    spawned_many(&q, old, 4 * QUEUE_DEEP);
    spawned_in(&q, &job[0], other);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[0]);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[1]);
    first = queue_steal(&q, QUEUE_DEEP);
    assert_ptr_equal(first, &old[2]);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[QUEUE_DEEP + 2]);
    spawned_in(&q, &job[1], scope);
    assert_ptr_equal(queue_pop_child(&q, &s), &job[1]);
    assert_ptr_equal(queue_pop_child(&q, &s), &old[QUEUE_DEEP + 3]);
}

static void a_fork_is_nobodys_child(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ fork = {.taken = scope}, before = fork, job;

    memset(fork.u.bytes, 7, sizeof fork.u.bytes);
    memset(before.u.bytes, 7, sizeof before.u.bytes);
    store_relaxed(&fork.scope, scope);
    spawned_in(&q, &job, other);
    queue_push(&q, &fork);
    assert_null(pop_child(&q, scope, true));
    assert_memory_equal(fork.u.bytes, before.u.bytes, sizeof fork.u.bytes);
}

static bool nobody_is_apart(struct thrum_job_ *job)
{
    (void)job;
    return false;
}

static bool is_the_others(struct thrum_job_ *job)
{
    return load_relaxed(&job->scope) == other;
}

static uint32_t let_first(struct queue *q)
{
    return queue_let_first(q, NULL, nobody_is_apart, true);
}

static uint32_t let_them_first(struct queue *q)
{
    return queue_let_first(q, NULL, is_the_others, true);
}

/* I3: what is last is found, too. */
static void those_that_were_woken_go_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ child[3], woken[3], fork = {.taken = scope}, more;

    assert_int_equal(let_first(&q), 0);
    spawned_in(&q, &child[0], scope);
    assert_int_equal(let_first(&q), 0);
    spawned_in(&q, &woken[0], NULL);
    queue_push(&q, &fork);
    spawned_in(&q, &child[1], scope);
    spawned_in(&q, &woken[1], NULL);
    spawned_in(&q, &child[2], scope);
    spawned_in(&q, &woken[2], NULL);
    assert_int_equal(let_first(&q), 3);
    assert_int_equal(let_first(&q), 3); /* they are */
    more = (struct thrum_job_){.taken = NULL};
    queue_push_behind(&q, &more, 3);
    assert_int_equal(queue_count(&q), 8);

    assert_ptr_equal(queue_pop(&q), &woken[0]);
    assert_ptr_equal(pop_child(&q, scope, true), &child[2]);
    assert_ptr_equal(queue_pop(&q), &woken[1]);
    assert_ptr_equal(pop_child(&q, scope, true), &child[1]);
    assert_ptr_equal(queue_pop(&q), &woken[2]);
    assert_ptr_equal(queue_pop(&q), &more);
    assert_ptr_equal(queue_pop(&q), &child[0]);
    assert_int_equal(let_first(&q), 0); /* a fork has not begun */
    queue_push_behind(&q, &more, 0);
    assert_ptr_equal(queue_pop(&q), &more);
    assert_ptr_equal(queue_pop(&q), &fork);
    assert_null(queue_pop(&q));
}

/* They wait for nothing, but that those before them have run. */
static void those_that_yielded_do_so_or_not(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ child, yielded, woken;

    spawned_in(&q, &child, scope);
    spawned_in(&q, &yielded, NULL);
    job_set_yielded(&yielded, true);
    spawned_in(&q, &woken, NULL);
    assert_int_equal(queue_let_first(&q, NULL, nobody_is_apart, false), 1);
    assert_ptr_equal(queue_pop(&q), &woken);
    queue_push(&q, &woken);
    assert_int_equal(queue_let_first(&q, NULL, nobody_is_apart, true), 2);
    assert_ptr_equal(queue_pop(&q), &yielded);
    assert_ptr_equal(queue_pop(&q), &woken);
    assert_ptr_equal(queue_pop(&q), &child);
    assert_null(queue_pop(&q));
}

/* In turns. */
static void before_or_behind_them_those_that_stand_apart(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ child, apart[3], woken[4], fork = {.taken = scope}, fresh;

    store_relaxed(&fork.scope, other);
    queue_push(&q, &fork);
    spawned_in(&q, &child, scope);
    spawned_in(&q, &apart[0], other);
    spawned_in(&q, &woken[0], NULL);
    spawned_in(&q, &woken[1], NULL);
    spawned_in(&q, &apart[1], other);
    assert_int_equal(let_them_first(&q), 4);
    assert_ptr_equal(queue_pop(&q), &woken[0]);
    spawned_in(&q, &apart[2], other);
    spawned_in(&q, &woken[2], NULL);
    assert_int_equal(let_them_first(&q), 5);
    assert_ptr_equal(queue_pop(&q), &apart[0]);
    assert_int_equal(let_them_first(&q), 4);
    assert_ptr_equal(queue_pop(&q), &woken[1]);
    spawned_in(&q, &woken[3], NULL);
    assert_int_equal(let_them_first(&q), 4);
    assert_int_equal(queue_count(&q), 6);

    assert_ptr_equal(queue_pop(&q), &apart[1]);
    assert_ptr_equal(pop_child(&q, other, false), &apart[2]);
    assert_ptr_equal(queue_pop(&q), &woken[2]);
    assert_ptr_equal(pop_child(&q, scope, true), &child);
    assert_ptr_equal(queue_pop(&q), &woken[3]);
    assert_ptr_equal(queue_pop(&q), &fork);
    assert_null(queue_pop(&q));

    fresh = (struct thrum_job_){.taken = NULL};
    store_relaxed(&fresh.scope, scope);
    assert_int_equal(queue_let_first(&q, &fresh, nobody_is_apart, true), 1);
    assert_int_equal(queue_count(&q), 1);
    assert_ptr_equal(queue_pop(&q), &fresh);
}

/* The way is not as long as they are many, and nobody is passed for ever. */
static void of_many_few_go_first(void **state)
{
    static struct thrum_job_ woken[2 * QUEUE_FEW], apart[2 * QUEUE_FEW], more;
    struct queue q = queue_for(state);

    for (int i = 0; i < 2 * QUEUE_FEW; i++)
        spawned_in(&q, &woken[i], NULL);
    for (int i = 0; i < 2 * QUEUE_FEW; i++)
        spawned_in(&q, &apart[i], other);
    assert_int_equal(let_them_first(&q), QUEUE_ALL);
    assert_int_equal(let_them_first(&q), QUEUE_ALL);
    queue_push_behind(&q, &more, QUEUE_ALL);
    for (int i = 0; i < QUEUE_FEW + 1; i++)
        assert_ptr_equal(queue_pop(&q), &woken[i]);
    assert_int_equal(let_them_first(&q), QUEUE_ALL); /* `more` is another */
    for (int i = QUEUE_FEW + 1; i < 2 * QUEUE_FEW; i++)
        assert_ptr_equal(queue_pop(&q), &woken[i]);
    assert_ptr_equal(queue_pop(&q), &more);
    assert_int_equal(let_them_first(&q), QUEUE_FEW);
    queue_push(&q, &more);
    assert_int_equal(let_them_first(&q), QUEUE_FEW);
    assert_int_equal(let_them_first(&q), QUEUE_FEW + 1);
    assert_ptr_equal(queue_pop(&q), &more);
    for (int i = 0; i < 2 * QUEUE_FEW; i++)
        assert_ptr_equal(queue_pop(&q), &apart[i]);
    assert_null(queue_pop(&q));
}

static void one_that_was_woken_far_behind_is_not_looked_for(void **state)
{
    static struct thrum_job_ old[QUEUE_LOOK], woken;
    struct queue q = queue_for(state);

    spawned_many(&q, old, QUEUE_LOOK);
    spawned_in(&q, &woken, NULL);
    assert_int_equal(let_first(&q), 0);
    assert_ptr_equal(queue_pop(&q), &old[0]);
    assert_int_equal(let_first(&q), 1);
    assert_ptr_equal(queue_pop(&q), &woken);
    assert_ptr_equal(queue_pop(&q), &old[1]);
}

static bool is_of(struct thrum_job_ *job, const void *whose)
{
    return load_relaxed(&job->scope) == whose;
}

/* Not what has begun, nor forks, nor what lies before them. */
static void the_last_ones_go_along_if_they_are_kin(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ child[4], others, woken, fork = {.taken = scope};
    struct chain along = {0};

    store_relaxed(&fork.scope, scope);
    queue_take_along(&q, &along, is_of, scope);
    spawned_in(&q, &child[0], scope);
    spawned_in(&q, &others, other);
    spawned_in(&q, &child[1], scope);
    spawned_in(&q, &child[2], scope);
    queue_take_along(&q, &along, is_of, scope);
    assert_int_equal(queue_count(&q), 2);
    assert_ptr_equal(along.first, &child[1]);
    queue_push_chain(&q, &along);
    assert_int_equal(queue_count(&q), 4);
    assert_ptr_equal(pop_child(&q, scope, true), &child[0]);
    assert_ptr_equal(pop_child(&q, scope, true), &child[2]);
    assert_ptr_equal(pop_child(&q, scope, true), &child[1]);
    assert_ptr_equal(queue_pop(&q), &others);

    along = (struct chain){0};
    spawned_in(&q, &child[3], scope);
    queue_take_along(&q, &along, is_of, scope);
    assert_int_equal(queue_count(&q), 0);
    assert_null(queue_pop(&q));
    queue_push_chain(&q, &along);
    assert_ptr_equal(queue_pop(&q), &child[3]);

    along = (struct chain){0};
    spawned_in(&q, &woken, NULL);
    queue_take_along(&q, &along, is_of, NULL);
    queue_push(&q, &fork);
    queue_take_along(&q, &along, is_of, scope);
    assert_null(along.first);
    assert_int_equal(queue_count(&q), 2);
}

/* Thieves may have been there. */
static void one_is_added_last_if_there_are_fewer(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ woken[2], child;

    for (int i = 0; i < 2; i++)
        woken[i] = (struct thrum_job_){.taken = NULL};
    queue_push_behind(&q, &woken[0], 1);
    queue_push_behind(&q, &woken[1], 2);
    spawned_in(&q, &child, scope);
    assert_int_equal(queue_count(&q), 3);
    assert_ptr_equal(pop_child(&q, scope, true), &child);
    assert_ptr_equal(queue_pop(&q), &woken[0]);
    assert_ptr_equal(queue_pop(&q), &woken[1]);
}

/* I2 */
static void the_count_is_the_length(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job[4] = {{.taken = NULL}};

    for (int i = 0; i < 4; i++) {
        assert_int_equal(queue_count(&q), i);
        queue_push(&q, &job[i]);
    }
    (void)queue_pop(&q);
    assert_int_equal(queue_count(&q), 3);
    (void)queue_steal(&q, 1);
    assert_int_equal(queue_count(&q), 2);
}

static void an_emptied_queue_can_be_filled_again(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job = {.taken = NULL};

    for (int i = 0; i < 3; i++) {
        queue_push(&q, &job);
        assert_ptr_equal(i == 1 ? queue_steal(&q, 1) : queue_pop(&q), &job);
        assert_int_equal(queue_count(&q), 0);
    }
}

/* I1: the owner stays inside, as if he had lost his CPU there. */
static void a_thief_gives_up_while_the_owner_is_inside(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job = {.taken = NULL};

    queue_push(&q, &job);
    store_relaxed(&q.inside, 1);
    assert_null(queue_steal(&q, 1));
    assert_int_equal(load_relaxed(&q.thief), 0); /* he lets the owner in */
    store_relaxed(&q.inside, 0);
    assert_ptr_equal(queue_steal(&q, 1), &job);
}

static void a_second_thief_does_not_wait_for_the_first(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job = {.taken = NULL};

    queue_push(&q, &job);
    store_relaxed(&q.thief, 1);
    assert_null(queue_steal(&q, 1));
    assert_int_equal(load_relaxed(&q.thief), 1);
    store_relaxed(&q.thief, 0);
    assert_ptr_equal(queue_steal(&q, 1), &job);
}

/* I1: out when he is out. */
static void the_owner_leaves_what_he_entered(void **state)
{
    struct queue q = queue_for(state);
    struct thrum_job_ job = {.taken = NULL};

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
        BOTH(a_chain_is_added_behind_what_is_there),
        BOTH(half_of_it_is_popped_at_once),
        BOTH(half_of_it_is_stolen_at_once),
        BOTH(a_child_is_found_if_it_is_first),
        BOTH(or_last_among_others),
        BOTH(of_too_many_the_newest_are_called_but_not_for_ever),
        BOTH(of_too_many_only_what_is_new_and_a_child_is_called),
        BOTH(those_that_were_woken_go_first),
        BOTH(those_that_yielded_do_so_or_not),
        BOTH(before_or_behind_them_those_that_stand_apart),
        BOTH(of_many_few_go_first),
        BOTH(one_that_was_woken_far_behind_is_not_looked_for),
        BOTH(the_last_ones_go_along_if_they_are_kin),
        BOTH(one_is_added_last_if_there_are_fewer),
        BOTH(a_fork_is_nobodys_child),
        BOTH(the_count_is_the_length),
        BOTH(an_emptied_queue_can_be_filled_again),
        BOTH(a_thief_gives_up_while_the_owner_is_inside),
        BOTH(a_second_thief_does_not_wait_for_the_first),
        BOTH(the_owner_leaves_what_he_entered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
