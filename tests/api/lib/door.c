#include "door.h"

thrum_err *pass(void *arg)
{
    struct door *d = arg;

    atomic_fetch_add(&d->inside, 1);
    block_count(&d->open, 1);
    return NULL;
}

void open_door(struct door *d)
{
    atomic_store(&d->open, 1);
}

thrum_err *never(void *arg)
{
    CHECK(!"called after it was canceled");
    return arg;
}

void with_one_thread(thrum_fn *fn, void (*on_error)(const thrum_err *, void *))
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {
            .workers = workers, .max_blocking = 1, .on_error = on_error};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, fn, NULL));
        expect_ok(thrum_stop(rt));
    }
}
