/* Is what was not made, or was freed, met with one line that names the function, and
 * the end? How: all zero, in a process of its own each time, and used too late. */
#include "lib/api.h"

static void (*use)(void); /* of what has just been freed */
static uint64_t item;

/* --- channels ------------------------------------------------------------- */

static thrum_chan chan;

static void send_item(void)
{
    CHECK(thrum_chan_send(&chan, &item) == 0);
}

static void try_send_item(void)
{
    CHECK(thrum_chan_try_send(&chan, &item) == 0);
}

static void recv_item(void)
{
    CHECK(thrum_chan_recv(&chan, &item) == 0);
}

static void select_item(void)
{
    thrum_case c = {.ch = &chan, .op = THRUM_RECV, .item = &item};

    CHECK(thrum_select(&c, 1, true) == 0);
}

static void close_chan(void)
{
    thrum_chan_close(&chan);
}

static void use_freed_chan(void)
{
    CHECK(thrum_chan_init(&chan, sizeof item, 4) == 0);
    thrum_chan_fini(&chan);
    thrum_chan_fini(&chan); /* it is freed */
    use();
}

static void use_failed_chan(void)
{
    CHECK(thrum_chan_init(&chan, UINT32_MAX, UINT32_MAX) == -ENOMEM);
    use();
}

static void assert_no_chan(void (*act)(void), const char *func)
{
    assert_stops(act, func, "thrum_chan_init has not made");
    use = act;
    assert_stops(use_freed_chan, func, "thrum_chan_fini has freed");
    if (!SANITIZED) /* they take so many bytes for a mistake */
        assert_stops(use_failed_chan, func, "thrum_chan_init has not made");
}

static void a_channel_is_made_before_it_is_used(void **state)
{
    (void)state;
    assert_no_chan(send_item, "thrum: thrum_chan_send");
    assert_no_chan(try_send_item, "thrum: thrum_chan_send");
    assert_no_chan(recv_item, "thrum: thrum_chan_recv");
    assert_no_chan(select_item, "thrum: thrum_chan_recv");
    assert_no_chan(close_chan, "thrum: thrum_chan_close");
}

/* --- broadcasts ----------------------------------------------------------- */

static thrum_broadcast news;
static thrum_subscriber listener;

static void send_news(void)
{
    CHECK(thrum_broadcast_send(&news, &item) == 0);
}

static void subscribe(void)
{
    thrum_subscribe(&listener, &news);
}

static void close_news(void)
{
    thrum_broadcast_close(&news);
}

static void hear_news(void)
{
    CHECK(thrum_subscriber_recv(&listener, &item, NULL) == 0);
}

static void try_to_hear_news(void)
{
    CHECK(thrum_subscriber_try_recv(&listener, &item, NULL) == 0);
}

/* There would be an item for him. */
static void use_freed_news(void)
{
    CHECK(thrum_broadcast_init(&news, sizeof item, 4) == 0);
    thrum_subscribe(&listener, &news);
    CHECK(thrum_broadcast_send(&news, &item) == 0);
    thrum_broadcast_fini(&news);
    thrum_broadcast_fini(&news);
    use();
}

static void assert_no_news(void (*act)(void), const char *func,
                           const char *not_made)
{
    assert_stops(act, func, not_made);
    use = act;
    assert_stops(use_freed_news, func, "thrum_broadcast_fini has freed");
}

static void so_is_a_broadcast(void **state)
{
    static const char not_made[] = "thrum_broadcast_init has not made";
    static const char no_one[] = "has not subscribed";

    (void)state;
    assert_no_news(send_news, "thrum: thrum_broadcast_send", not_made);
    assert_no_news(close_news, "thrum: thrum_broadcast_close", not_made);
    assert_no_news(subscribe, "thrum: thrum_subscribe", not_made);
    assert_no_news(hear_news, "thrum: thrum_subscriber_recv", no_one);
    assert_no_news(try_to_hear_news, "thrum: thrum_subscriber_try_recv",
                   no_one);
}

/* In the child process. */
static void run(thrum_fn *fn)
{
    expect_ok(thrum_run(NULL, fn, NULL));
}

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

/* --- generators ----------------------------------------------------------- */

static thrum_gen gen;

static thrum_err *ask_gen(void *arg)
{
    (void)arg;
    CHECK(thrum_gen_next(&gen, &item) == 0);
    return NULL;
}

static thrum_err *close_gen(void *arg)
{
    (void)arg;
    return thrum_gen_close(&gen);
}

static thrum_err *open_and_close_gen(void *arg)
{
    thrum_gen_open(&gen, nothing, NULL, sizeof item);
    expect_ok(ask_gen(arg));
    return close_gen(arg);
}

static thrum_err *ask_closed_gen(void *arg)
{
    expect_ok(open_and_close_gen(arg));
    return ask_gen(arg);
}

static thrum_err *close_gen_twice(void *arg)
{
    expect_ok(open_and_close_gen(arg));
    return close_gen(arg);
}

static void ask_gen_in_task(void)
{
    run(ask_gen);
}

static void close_gen_in_task(void)
{
    run(close_gen);
}

static void ask_closed_in_task(void)
{
    run(ask_closed_gen);
}

static void close_gen_twice_in_task(void)
{
    run(close_gen_twice);
}

static void so_is_a_generator(void **state)
{
    (void)state;
    assert_stops(ask_gen_in_task, "thrum: thrum_gen_next", "open");
    assert_stops(close_gen_in_task, "thrum: thrum_gen_close", "not open");
    assert_stops(ask_closed_in_task, "thrum: thrum_gen_next", "open");
    assert_stops(close_gen_twice_in_task, "thrum: thrum_gen_close", "not open");
}

/* --- the others ----------------------------------------------------------- */

static void cancel_no_scope(void)
{
    static thrum_scope never_opened;

    thrum_scope_cancel(&never_opened, NULL);
}

static thrum_err *complete_nothing(void *arg)
{
    thrum_completed c;
    thrum_job job = {.fn = NULL};

    (void)arg;
    return thrum_rc(thrum_completed_open(&c, &job, 1, 0));
}

static void complete_no_function(void)
{
    run(complete_nothing);
}

static thrum_err *cancel_nothing(void *arg)
{
    thrum_task never_forked = {0};

    (void)arg;
    thrum_task_cancel(&never_forked);
    return NULL;
}

static void cancel_no_fork(void)
{
    run(cancel_nothing);
}

static void init_no_chan(void)
{
    CHECK(thrum_chan_init(NULL, 8, 1) == 0);
}

static void init_no_broadcast(void)
{
    CHECK(thrum_broadcast_init(NULL, 8, 1) == 0);
}

static void run_no_pipeline(void)
{
    expect_ok(thrum_pipeline_run(NULL));
}

/* --- forks ---------------------------------------------------------------- */

static thrum_task task;

static thrum_err *join_no_fork(void *arg)
{
    (void)arg;
    return thrum_join(&task);
}

/* `arg`: it is taken out before, as a newer one is open. */
static thrum_err *join_twice(void *arg)
{
    thrum_task older, newer;

    thrum_fork(&older, nothing, NULL);
    thrum_fork(&task, nothing, NULL);
    if (arg != NULL) {
        thrum_fork(&newer, nothing, NULL);
        expect_ok(thrum_join(&task));
        expect_ok(thrum_join(&task)); /* that is too much */
        expect_ok(thrum_join(&newer));
    }
    expect_ok(thrum_join(&task));
    expect_ok(thrum_join(&task)); /* that is too much */
    return thrum_join(&older);
}

/* The first join of `first` takes what is in its place; whose join says so. */
static thrum_err *join_replaced(void *arg)
{
    thrum_task first, second;

    (void)arg;
    thrum_fork(&first, nothing, NULL);
    expect_ok(thrum_join(&first));
    thrum_fork(&second, nothing, NULL);
    expect_ok(thrum_join(&first));
    return thrum_join(&second);
}

static thrum_err *join_given(void *given)
{
    return thrum_join((thrum_task *)given);
}

static thrum_err *join_anothers(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_fork(&task, nothing, NULL);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, join_given, &task, 0) == 0);
    CHECK(thrum_sleep(THRUM_MS(1)) == 0); /* it is called on another stack */
    expect_ok(thrum_scope_close(&s, NULL));
    return thrum_join(&task);
}

static thrum_fn *joining;
static void *given;

static void join_on_one(void)
{
    thrum_opts o = {.workers = 1};

    expect_ok(thrum_run(&o, joining, given));
}

static void assert_no_join(thrum_fn *fn, void *arg, const char *why)
{
    joining = fn;
    given = arg;
    assert_stops(join_on_one, "thrum: thrum_join", why);
}

static void a_fork_is_joined_once_by_its_task(void **state)
{
    (void)state;
    assert_no_join(join_no_fork, NULL, "no fork");
    assert_no_join(join_twice, NULL, "joined already");
    assert_no_join(join_twice, &task, "joined already");
    assert_no_join(join_replaced, NULL, "joined already");
    assert_no_join(join_anothers, NULL, "the task that forked only");
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    assert_stops(cancel_no_scope, "thrum: thrum_scope_cancel", "never opened");
    assert_stops(cancel_no_fork, "thrum: thrum_task_cancel", "no fork");
    assert_stops(complete_no_function, "thrum: thrum_completed_open",
                 "function");
    assert_stops(init_no_chan, "thrum: thrum_chan_init", "no channel");
    assert_stops(init_no_broadcast, "thrum: thrum_broadcast_init",
                 "no broadcast");
    assert_stops(run_no_pipeline, "thrum: thrum_pipeline_run", "no source");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_is_made_before_it_is_used),
        cmocka_unit_test(so_is_a_broadcast),
        cmocka_unit_test(so_is_a_generator),
        cmocka_unit_test(a_fork_is_joined_once_by_its_task),
        cmocka_unit_test(what_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
