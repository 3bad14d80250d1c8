/* The sink of a scope's failures: does what comes out depend only on what went
 * in? How: in order, in reverse, shuffled, from two threads at once. */
#include "task/error_sink.h"

#include "base/alloc.h"
#include "base/sanitize.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

THRUM_KIND(App, THRUM_ERROR);

static thrum_err *failure(size_t job)
{
    return thrum_fail(&App, "job %zu", job);
}

static thrum_err *canceled(void)
{
    return thrum_rc(-ECANCELED);
}

/* The leaf is that job's, and says so. */
static void assert_job(const thrum_err *leaf, size_t job)
{
    char message[40];

    snprintf(message, sizeof(message), "job %zu", job);
    assert_non_null(leaf);
    assert_int_equal(thrum_err_index(leaf), job);
    assert_string_equal(thrum_err_msg(leaf), message);
}

static void assert_canceled(const thrum_err *leaf, size_t job)
{
    assert_non_null(leaf);
    assert_int_equal(thrum_err_index(leaf), job);
    assert_true(thrum_err_is(leaf, &THRUM_CANCELED));
}

static void an_empty_sink_folds_to_success(void **state)
{
    (void)state;
    struct error_sink s;
    error_sink_init(&s, 0);
    assert_null(error_sink_fold(&s, PRIMARY_FIRST, CANCELED_KEEP));
    assert_null(error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP));
}

static void a_lone_failure_comes_out_itself_and_allocates_nothing(void **state)
{
    (void)state;
    struct error_sink s = {0};
    thrum_err *e = failure(7);
    alloc_fail_from(1);
    assert_true(error_sink_add(&s, 7, e));
    assert_ptr_equal(error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP), e);
    assert_int_equal(alloc_failures(), 0);
    alloc_fail_never();
    assert_job(e, 7);
    thrum_err_drop(e);
}

static void an_error_others_see_is_copied_for_its_index(void **state)
{
    (void)state;
    struct error_sink s = {0};
    thrum_err *seen = thrum_wrap(thrum_rc(-EPIPE), &App, "job 3");
    error_sink_add(&s, 3, thrum_err_ref(seen));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_job(e, 3);
    assert_ptr_equal(thrum_err_cause(e), thrum_rc(-EPIPE));
    assert_string_equal(thrum_err_where(e), thrum_err_where(seen));
    assert_true(thrum_err_index(seen) == SIZE_MAX);
    thrum_err_drop(seen);
    thrum_err_drop(e);

    error_sink_add(&s, 4, thrum_rc(-EPIPE)); /* immortal */
    e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_int_equal(thrum_err_index(e), 4);
    assert_int_equal(thrum_err_errno(e), EPIPE);
    assert_true(thrum_err_index(thrum_rc(-EPIPE)) == SIZE_MAX);
    thrum_err_drop(e);
}

static void the_first_to_arrive_leads_if_asked(void **state)
{
    (void)state;
    struct error_sink s = {0};
    assert_true(error_sink_add(&s, 5, failure(5)));
    assert_false(error_sink_add(&s, 9, failure(9)));
    assert_false(error_sink_add(&s, 2, failure(2)));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 3);
    assert_job(thrum_err_at(e, 0), 5);
    assert_job(thrum_err_at(e, 1), 2);
    assert_job(thrum_err_at(e, 2), 9);
    thrum_err_drop(e);
}

static void the_lowest_index_leads_if_asked(void **state)
{
    (void)state;
    struct error_sink s = {0};
    const size_t jobs[] = {5, 9, 2};
    for (size_t i = 0; i < 3; i++)
        error_sink_add(&s, jobs[i], failure(jobs[i]));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_job(thrum_err_at(e, 0), 2);
    assert_job(thrum_err_at(e, 1), 5);
    assert_job(thrum_err_at(e, 2), 9);
    thrum_err_drop(e);
}

static void a_first_failure_with_a_high_index_is_kept(void **state)
{
    (void)state;
    struct error_sink s = {0};
    error_sink_add(&s, 99, failure(99));
    for (size_t job = 0; job < 30; job++)
        error_sink_add(&s, job, failure(job));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 31);
    assert_job(thrum_err_at(e, 0), 99);
    for (size_t i = 1; i < 16; i++)
        assert_job(thrum_err_at(e, i), i - 1);
    assert_null(thrum_err_at(e, 16));
    thrum_err_drop(e);
}

static void cancellations_do_not_push_failures_out(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (size_t job = 0; job < 100; job++)
        error_sink_add(&s, job, job % 30 == 29 ? failure(job) : canceled());
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_KEEP);
    assert_int_equal(thrum_err_count(e), 100);
    for (size_t i = 0; i < 3; i++)
        assert_job(thrum_err_at(e, i), 30 * i + 29);
    for (size_t i = 3; i < 16; i++)
        assert_canceled(thrum_err_at(e, i), i - 3);
    thrum_err_drop(e);
}

static void cancellations_are_dropped_uncounted_if_asked(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (size_t job = 100; job-- > 0;)
        error_sink_add(&s, job, job % 30 == 29 ? failure(job) : canceled());
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 3);
    assert_job(thrum_err_at(e, 0), 89);
    assert_job(thrum_err_at(e, 1), 29);
    assert_job(thrum_err_at(e, 2), 59);
    thrum_err_drop(e);
}

static void nothing_but_dropped_cancellations_is_success(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (size_t job = 0; job < 100; job++)
        assert_int_equal(error_sink_add(&s, job, canceled()), job == 0);
    assert_null(error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP));
    error_sink_add(&s, 1, canceled());
    assert_null(error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP));
}

/* Those that will be dropped: there was one, and no failure is lost by that. */
static void of_cancellations_to_be_dropped_one_is_kept(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (int i = 0; i < 3; i++) {
        thrum_err *e = thrum_fail(&THRUM_CANCELED, "stopped");

        error_sink_add_dropped(&s, thrum_err_ref(e));
        assert_false(error_sink_is_empty(&s));
        assert_int_equal(error_is_exclusive(e), i > 0);
        thrum_err_drop(e);
    }
    assert_null(load_relaxed(&s.others));
    assert_int_equal(load_relaxed(&s.lost_canceled), 1);
    assert_true(error_sink_add(&s, 7, failure(7)));
    error_sink_add_dropped(&s, thrum_rc(-ECANCELED));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 1);
    assert_job(thrum_err_at(e, 0), 7);
    thrum_err_drop(e);
    assert_true(error_sink_is_empty(&s));
    error_sink_add_dropped(&s, thrum_rc(-ECANCELED));
    assert_null(error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP));
}

static void a_failure_after_cancellations_is_the_first(void **state)
{
    (void)state;
    struct error_sink s = {0};
    assert_true(error_sink_add(&s, 0, canceled()));
    assert_false(error_sink_add(&s, 1, canceled()));
    assert_true(error_sink_add(&s, 8, failure(8)));
    assert_false(error_sink_add(&s, 7, failure(7)));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_KEEP);
    assert_job(thrum_err_at(e, 0), 8);
    assert_job(thrum_err_at(e, 1), 7);
    assert_canceled(thrum_err_at(e, 2), 0);
    assert_canceled(thrum_err_at(e, 3), 1);
    assert_int_equal(thrum_err_count(e), 4);
    thrum_err_drop(e);
}

/* Not even one of no job, which ranks last of all. */
static void a_cancellation_is_kept_while_there_is_room(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (size_t job = 0; job < 2; job++)
        error_sink_add(&s, job, canceled());
    for (int i = 0; i < 2; i++)
        error_sink_add(&s, ERROR_NO_INDEX, canceled());
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_KEEP);
    assert_int_equal(thrum_err_count(e), 4);
    assert_canceled(thrum_err_at(e, 0), 0);
    assert_canceled(thrum_err_at(e, 1), 1);
    assert_canceled(thrum_err_at(e, 2), ERROR_NO_INDEX);
    assert_canceled(thrum_err_at(e, 3), ERROR_NO_INDEX);
    assert_true(error_is_canceled(e));
    thrum_err_drop(e);
}

/* One further out nobody could tell those that were only counted from failures. */
static void many_cancellations_are_no_failure(void **state)
{
    (void)state;
    for (int primary = PRIMARY_FIRST; primary <= PRIMARY_LOWEST; primary++) {
        struct error_sink s = {0}, outer = {0};
        for (size_t job = 0; job < 40; job++)
            error_sink_add(&s, job, canceled());
        thrum_err *e = error_sink_fold(&s, (enum error_primary)primary,
                                       CANCELED_KEEP);
        assert_true(error_is_canceled(e));
        assert_int_equal(thrum_err_count(e), 16);
        error_sink_add(&outer, 0, e);
        assert_null(error_sink_fold(&outer, PRIMARY_FIRST, CANCELED_DROP));
    }
}

static void what_wraps_a_cancellation_is_a_failure(void **state)
{
    (void)state;
    struct error_sink s = {0};
    error_sink_add(&s, 0, thrum_wrap(canceled(), &App, "job 0"));
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    assert_job(e, 0);
    thrum_err_drop(e);
}

static thrum_err *group(size_t job, size_t leaves)
{
    thrum_err *e = NULL;
    for (size_t i = 0; i < leaves; i++)
        e = thrum_err_add(e, failure(job));
    return e;
}

static void the_leaves_of_a_job_get_its_index(void **state)
{
    (void)state;
    struct error_sink s = {0};
    thrum_err *seen = group(1, 2);
    error_sink_add(&s, 4, group(4, 3));
    error_sink_add(&s, 1, thrum_err_ref(seen));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 5);
    for (size_t i = 0; i < 5; i++)
        assert_job(thrum_err_at(e, i), i < 2 ? 1 : 4);
    assert_true(thrum_err_index(thrum_err_at(seen, 1)) == SIZE_MAX);
    thrum_err_drop(seen);
    thrum_err_drop(e);
}

static void a_job_with_many_failures_leaves_room_for_the_others(void **state)
{
    (void)state;
    struct error_sink s = {0};
    error_sink_add(&s, 0, group(0, 50));
    for (size_t job = 1; job < 10; job++)
        error_sink_add(&s, job, group(job, 2));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 50 + 9 * 2);
    for (size_t i = 0; i < 16; i++)
        assert_job(thrum_err_at(e, i), i < 7 ? 0 : i - 6);
    assert_null(thrum_err_at(e, 16));
    thrum_err_drop(e);
}

static void cancellations_inside_a_job_are_dropped_too(void **state)
{
    (void)state;
    struct error_sink s = {0};
    error_sink_add(&s, 3, thrum_err_add(canceled(), failure(3)));
    error_sink_add(&s, 4, thrum_err_add(canceled(), canceled()));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_job(e, 3);
    assert_int_equal(thrum_err_count(e), 1);
    thrum_err_drop(e);
}

/* Sixteen leaves that say canceled, and one failure that was only counted. */
static void what_was_only_counted_is_no_cancellation(void **state)
{
    (void)state;
    struct error_sink s = {0};
    thrum_err *job = NULL;
    for (int i = 0; i < 16; i++)
        job = thrum_err_add(job, canceled());
    error_sink_add(&s, 3, thrum_err_add(job, failure(3)));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), 1);
    assert_false(thrum_err_has(e, &THRUM_CANCELED));
    thrum_err_drop(e);
}

static void an_error_of_no_job_passes_untouched(void **state)
{
    (void)state;
    struct error_sink s = {0};
    error_sink_add(&s, 7, failure(7));
    error_sink_add(&s, 2, failure(2));
    thrum_err *inner = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    error_sink_add(&s, ERROR_NO_INDEX, inner);
    assert_ptr_equal(error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP), inner);

    error_sink_add(&s, ERROR_NO_INDEX, inner);
    error_sink_add(&s, 900, failure(900));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_job(thrum_err_at(e, 0), 900);
    assert_job(thrum_err_at(e, 1), 2);
    assert_job(thrum_err_at(e, 2), 7);
    thrum_err_drop(e);
}

static void the_bound_is_the_callers(void **state)
{
    (void)state;
    const uint32_t bounds[] = {1, 2, 3, 100, ERROR_SINK_MAX, UINT32_MAX};
    for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++) {
        struct error_sink s;
        size_t jobs = 5000;
        uint32_t kept = bounds[b] < ERROR_SINK_MAX ? bounds[b] : ERROR_SINK_MAX;
        error_sink_init(&s, bounds[b]);
        for (size_t i = 0; i < jobs; i++)
            error_sink_add(&s, i * 3 % jobs, failure(i * 3 % jobs));
        thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
        assert_int_equal(thrum_err_count(e), jobs);
        for (size_t i = 0; i < kept; i++)
            assert_job(thrum_err_at(e, i), i);
        assert_null(thrum_err_at(e, kept));
        thrum_err_drop(e);
    }
}

static void a_sink_is_no_larger_than_it_must_be(void **state)
{
    (void)state;
    assert_true(sizeof(struct error_sink) <= 40);
}

/* --- from two threads ---------------------------------------------------- */

#if SANITIZE_THREAD || SANITIZE_ADDRESS
enum { JOBS = 100000 };
#else
enum { JOBS = 1000000 };
#endif

static uint32_t order[JOBS];

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

static void shuffle(uint64_t seed)
{
    for (uint32_t i = 0; i < JOBS; i++)
        order[i] = i;
    for (uint32_t i = JOBS - 1; i > 0; i--) {
        uint32_t j = (uint32_t)(next_random(&seed) % (i + 1));
        uint32_t other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
}

struct adder {
    struct error_sink *sink;
    pthread_barrier_t *start;
    uint32_t from, to, firsts;
};

/* Every second job is canceled in the variant where that counts. */
static void *add_many(void *arg)
{
    struct adder *a = arg;

    pthread_barrier_wait(a->start);
    for (uint32_t i = a->from; i < a->to; i++) {
        bool is_real = order[i] % 2;
        a->firsts += error_sink_add(a->sink, order[i],
                                    is_real ? failure(order[i]) : canceled());
    }
    return NULL;
}

static uint32_t add_from_two_threads(struct error_sink *s)
{
    pthread_t thread[2];
    pthread_barrier_t start;
    struct adder a[2] = {{s, &start, 0, JOBS / 2, 0},
                         {s, &start, JOBS / 2, JOBS, 0}};

    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add_many, &a[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    pthread_barrier_destroy(&start);
    return a[0].firsts + a[1].firsts;
}

static uint64_t seed_of_run(void)
{
    const char *seed = getenv("THRUM_SEED");
    return seed ? strtoull(seed, NULL, 0) : 1;
}

static void the_result_does_not_depend_on_the_schedule(void **state)
{
    (void)state;
    uint64_t seed = seed_of_run();
    print_message("THRUM_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 3; round++) {
        struct error_sink s = {0};
        shuffle(seed + round);
        assert_in_range(add_from_two_threads(&s), 1, 2);
        thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_KEEP);
        assert_int_equal(thrum_err_count(e), JOBS);
        for (size_t i = 0; i < 16; i++)
            assert_job(thrum_err_at(e, i), 2 * i + 1);
        assert_null(thrum_err_at(e, 16));
        thrum_err_drop(e);
    }
}

static void the_first_is_the_same_for_caller_and_result(void **state)
{
    (void)state;
    struct error_sink s = {0};
    shuffle(seed_of_run());
    for (uint32_t i = 0; i < JOBS; i++)
        order[i] |= 1; /* no cancellations; indices twice */
    assert_int_equal(add_from_two_threads(&s), 1);
    thrum_err *e = error_sink_fold(&s, PRIMARY_FIRST, CANCELED_DROP);
    size_t first = thrum_err_index(e);
    assert_int_equal(thrum_err_count(e), JOBS);
    assert_true(first == order[0] || first == order[JOBS / 2]);
    assert_job(e, first);
    thrum_err_drop(e);
}

static void the_worst_order_is_as_right_as_any(void **state)
{
    (void)state;
    struct error_sink s = {0};
    for (uint32_t i = 0; i < JOBS; i++)
        order[i] = JOBS - 1 - i;
    add_from_two_threads(&s);
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_int_equal(thrum_err_count(e), JOBS / 2);
    for (size_t i = 0; i < 16; i++)
        assert_job(thrum_err_at(e, i), 2 * i + 1);
    thrum_err_drop(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_sink_folds_to_success),
        cmocka_unit_test(a_lone_failure_comes_out_itself_and_allocates_nothing),
        cmocka_unit_test(an_error_others_see_is_copied_for_its_index),
        cmocka_unit_test(the_first_to_arrive_leads_if_asked),
        cmocka_unit_test(the_lowest_index_leads_if_asked),
        cmocka_unit_test(a_first_failure_with_a_high_index_is_kept),
        cmocka_unit_test(cancellations_do_not_push_failures_out),
        cmocka_unit_test(cancellations_are_dropped_uncounted_if_asked),
        cmocka_unit_test(nothing_but_dropped_cancellations_is_success),
        cmocka_unit_test(of_cancellations_to_be_dropped_one_is_kept),
        cmocka_unit_test(a_failure_after_cancellations_is_the_first),
        cmocka_unit_test(a_cancellation_is_kept_while_there_is_room),
        cmocka_unit_test(many_cancellations_are_no_failure),
        cmocka_unit_test(what_wraps_a_cancellation_is_a_failure),
        cmocka_unit_test(the_leaves_of_a_job_get_its_index),
        cmocka_unit_test(a_job_with_many_failures_leaves_room_for_the_others),
        cmocka_unit_test(cancellations_inside_a_job_are_dropped_too),
        cmocka_unit_test(what_was_only_counted_is_no_cancellation),
        cmocka_unit_test(an_error_of_no_job_passes_untouched),
        cmocka_unit_test(the_bound_is_the_callers),
        cmocka_unit_test(a_sink_is_no_larger_than_it_must_be),
        cmocka_unit_test(the_result_does_not_depend_on_the_schedule),
        cmocka_unit_test(the_first_is_the_same_for_caller_and_result),
        cmocka_unit_test(the_worst_order_is_as_right_as_any),
    };
    return cmocka_run_group_tests_name("error_sink", tests, NULL, NULL);
}
