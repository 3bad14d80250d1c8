/* Do tasks and the callbacks of libuv run side by side, on one thread? */
/* link if uv.h: -luv */
#include "lib/fds.h"

#if __has_include(<uv.h>)
#include <uv.h>

enum { ROUNDS = 100 };

static thrum_rt *guest;
static uv_loop_t loop;
static uv_poll_t let_in;
static uv_timer_t timer;
static uv_stream_t *socket_of_uv;
static unsigned ticks, echoed;
static bool over;

/* All the host has to do. */
static void on_guest(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    assert_int_equal(status, 0);
    assert_true(events & UV_READABLE);
    assert_true(thrum_poll(guest, THRUM_MS(5)) >= 0);
}

/* --- the tasks */

static thrum_err *end_all(void *arg)
{
    (void)arg;
    over = true; /* the same thread */
    uv_stop(&loop);
    return NULL;
}

static thrum_err *nap(size_t i, void *arg)
{
    (void)arg;
    return thrum_rc(thrum_sleep(THRUM_US((thrum_time)i * 100)));
}

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

/* Naps and blocking calls, and a peer that libuv reads from and writes to. */
static thrum_err *client(void *arg)
{
    int fd = *(int *)arg;

    THRUM_TRY(thrum_each(ROUNDS, nap, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char byte = (unsigned char)i;

        THRUM_TRY(thrum_offload(nothing, NULL));
        THRUM_TRY(thrum_write(fd, &byte, 1));
        byte = 0;
        THRUM_TRY(thrum_read(fd, &byte, 1));
        CHECK(byte == (unsigned char)i);
    }
    THRUM_TRY(thrum_close(fd));
    return end_all(NULL);
}

/* --- the callbacks */

static void on_tick(uv_timer_t *handle)
{
    (void)handle;
    ticks++;
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    static char bytes[64];

    (void)handle, (void)wanted;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    uv_buf_t back = uv_buf_init(buffer->base, (unsigned)n);

    if (n <= 0) /* the end */
        return;
    assert_int_equal(uv_try_write(stream, &back, 1), n);
    echoed += (unsigned)n;
}

static void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    uv_close(handle, NULL);
}

static void tasks_and_callbacks_share_a_thread(void **state)
{
    uv_pipe_t pipe;
    int fds[2];

    (void)state;
    assert_int_equal(thrum_start(&guest, &(thrum_opts){.guest = true}), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_poll_init(&loop, &let_in, thrum_poll_fd(guest));
    uv_poll_start(&let_in, UV_READABLE, on_guest);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_tick, 1, 1);
    fds_open(STREAM, fds);
    uv_pipe_init(&loop, &pipe, 0);
    assert_int_equal(uv_pipe_open(&pipe, fds[0]), 0);
    socket_of_uv = (uv_stream_t *)&pipe;
    uv_read_start(socket_of_uv, on_room, on_read);

    assert_int_equal(thrum_post(guest, client, &fds[1], sizeof fds[1]), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(over);
    assert_int_equal(echoed, ROUNDS);
    assert_true(ticks > 0); /* the naps alone took ten of them */

    expect_ok(thrum_stop(guest));
    uv_walk(&loop, close_one, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_and_callbacks_share_a_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    puts("skipped: no libuv");
    return 77;
}
#endif
