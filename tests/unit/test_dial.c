/* Are the addresses of a name tried as RFC 8305 has it? How: a name whose addresses
 * are what the test says: ports that refuse, that say nothing, that answer. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <netdb.h>
#include <sched.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thrum.h>

/* The source once more, with another lookup. */
#define net_lookup        lookup_here
#define net_lookup_free   lookup_free_here
#define thrum_dial        dial_here
#define thrum_listen      listen_here
#define thrum_dial_unix   dial_unix_here
#define thrum_listen_unix listen_unix_here
int dial_here(const char *host, const char *port);
int listen_here(const char *host, const char *port);
int dial_unix_here(const char *path);
int listen_unix_here(const char *path);
#include "io/dial.c"
#undef thrum_dial

enum { MOST = 4, CLIENTS = 3 };

static struct sockaddr_in addrs[MOST];
static struct addrinfo list[MOST];
static int sockets[MOST], clients[MOST][CLIENTS];
static unsigned count;

static _Atomic bool answers = true; /* the resolver */
static _Atomic unsigned asked, freed;

int lookup_here(const char *host, const char *port, bool numbers, bool passive,
                struct addrinfo **first)
{
    (void)passive;
    *first = list;
    if (numbers)
        return -ENOENT; /* by name only */
    assert_string_equal(host, "a name");
    assert_string_equal(port, "a port");
    asked++;
    while (!answers)
        sched_yield();
    return 0;
}

void lookup_free_here(struct addrinfo *first)
{
    assert_ptr_equal(first, list);
    freed++;
}

/* --- addresses ------------------------------------------------------------ */

static int begin(void **state)
{
    (void)state;
    count = 0;
    memset(clients, -1, sizeof clients);
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count; i++) {
        close(sockets[i]);
        for (int j = 0; j < CLIENTS; j++)
            if (clients[i][j] >= 0)
                close(clients[i][j]);
    }
    return 0;
}

static void add(int backlog)
{
    struct sockaddr_in *in = &addrs[count];
    socklen_t size = sizeof *in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *in = (struct sockaddr_in){.sin_family = AF_INET};
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)in, sizeof *in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)in, &size), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    list[count] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_addr = (struct sockaddr *)in,
                                    .ai_addrlen = sizeof *in};
    if (count > 0)
        list[count - 1].ai_next = &list[count];
    sockets[count++] = fd;
}

static void add_refusing(void)
{
    add(-1);
}

static void add_answering(void)
{
    add(10);
}

/* Its queue is full: it takes no notice. */
static void add_silent(void)
{
    add(0);
    for (int i = 0; i < CLIENTS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        (void)!connect(fd, list[count - 1].ai_addr, list[count - 1].ai_addrlen);
        clients[count - 1][i] = fd;
    }
}

/* --- dialing -------------------------------------------------------------- */

struct outcome {
    int fd;
    thrum_time took;
};

static thrum_err *dial_now(void *arg)
{
    struct outcome *o = arg;
    thrum_time start = thrum_now();

    o->fd = dial_here("a name", "a port");
    o->took = thrum_now() - start;
    return NULL;
}

static struct outcome dial_on(unsigned workers)
{
    thrum_opts opts = {.workers = workers};
    struct outcome o = {-1, 0};

    assert_null(thrum_run(&opts, dial_now, &o));
    return o;
}

static uint16_t port_at_the_other_end(int fd)
{
    struct sockaddr_in in;
    socklen_t size = sizeof in;

    assert_int_equal(getpeername(fd, (struct sockaddr *)&in, &size), 0);
    return in.sin_port;
}

static void the_first_that_answers_is_taken(void **state)
{
    (void)state;
    add_answering();
    add_silent();
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct outcome o = dial_on(workers);

        assert_true(o.fd >= 0);
        assert_int_equal(port_at_the_other_end(o.fd), addrs[0].sin_port);
        close(o.fd);
    }
}

static void after_a_refusal_the_next_one_is_tried_at_once(void **state)
{
    struct outcome o;

    (void)state;
    add_refusing();
    add_refusing();
    add_answering();
    o = dial_on(1);
    assert_true(o.fd >= 0);
    assert_int_equal(port_at_the_other_end(o.fd), addrs[2].sin_port);
    close(o.fd);
}

/* One is silent, the other one was refused before anybody waited for that. */
static thrum_err *wait_twice(void *took)
{
    struct dial d = {.fd = -1};
    thrum_time start = thrum_now();

    note_failure(&d, -ECONNREFUSED);
    wait_for_failure(&d);
    ((thrum_time *)took)[0] = thrum_now() - start;
    wait_for_failure(&d);
    ((thrum_time *)took)[1] = thrum_now() - start;
    return NULL;
}

static void so_it_is_if_that_came_early(void **state)
{
    thrum_time took[2]; /* a simulation's: exact */

    (void)state;
    assert_null(thrum_sim(NULL, wait_twice, took));
    assert_true(took[0] < DELAY);
    assert_true(took[1] >= DELAY);
}

static void one_that_is_silent_is_not_waited_for(void **state)
{
    struct outcome o;

    (void)state;
    add_silent();
    add_answering();
    o = dial_on(2);
    assert_true(o.fd >= 0 && o.took >= DELAY);
    assert_int_equal(port_at_the_other_end(o.fd), addrs[1].sin_port);
    close(o.fd);
}

static void if_all_refuse_it_says_so(void **state)
{
    (void)state;
    add_refusing();
    add_refusing();
    assert_int_equal(dial_on(1).fd, -ECONNREFUSED);
    assert_int_equal(dial_here("a name", "a port"), -ECONNREFUSED); /* here */
}

static thrum_err *dial_shortly(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .timeout = THRUM_MS(5));
    (void)dial_now(arg);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    return NULL;
}

static void it_may_be_canceled(void **state)
{
    struct outcome o;

    (void)state;
    add_silent();
    add_silent();
    assert_null(thrum_run(NULL, dial_shortly, &o));
    assert_int_equal(o.fd, -ECANCELED);
    assert_null(dial_shortly(&o));
    assert_int_equal(o.fd, -ECANCELED);
}

static thrum_err *dial_in_vain(void *arg)
{
    (void)arg;
    assert_int_equal(dial_here("a name", "a port"), -ECANCELED);
    return NULL;
}

/* Most of them wait for their turn to ask. */
static thrum_err *dial_while_it_is_silent(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s);
    for (int i = 0; i < 2 * LOOKUPS; i++)
        assert_int_equal(thrum_spawn(&s, dial_in_vain, NULL, 0), 0);
    while (asked < LOOKUPS)
        thrum_yield();
    thrum_scope_cancel(&s, "on purpose");
    thrum_err_drop(thrum_scope_close(&s, NULL));
    assert_int_equal(asked, LOOKUPS);
    assert_int_equal(freed, 0);
    answers = true;
    return NULL;
}

static void a_resolver_that_is_silent_is_left(void **state)
{
    (void)state;
    add_answering();
    asked = freed = 0;
    answers = false;
    assert_null(thrum_run(NULL, dial_while_it_is_silent, NULL));
    assert_int_equal(freed, LOOKUPS);
    close(dial_here("a name", "a port"));
}

static void names_that_are_too_long_are_none(void **state)
{
    char name[2000];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(dial_here(name, "a port"), -ENOENT);
    assert_int_equal(dial_here("a name", name), -EINVAL);
}

/* --- the order ------------------------------------------------------------ */

static void families_take_turns(void **state)
{
    static const int families[] = {AF_INET6, AF_INET6, AF_INET6, AF_INET};
    static const int order[] = {0, 3, 1, 2};
    struct dial d = {.fd = -1};

    (void)state;
    for (int i = 0; i < MOST; i++) {
        list[i] = (struct addrinfo){.ai_family = families[i]};
        list[i].ai_next = i + 1 < MOST ? &list[i + 1] : NULL;
    }
    sort(&d, list);
    assert_int_equal(d.count, MOST);
    for (int i = 0; i < MOST; i++)
        assert_ptr_equal(d.attempts[i].to, &list[order[i]]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_that_answers_is_taken, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            after_a_refusal_the_next_one_is_tried_at_once, begin, end),
        cmocka_unit_test(so_it_is_if_that_came_early),
        cmocka_unit_test_setup_teardown(one_that_is_silent_is_not_waited_for,
                                        begin, end),
        cmocka_unit_test_setup_teardown(if_all_refuse_it_says_so, begin, end),
        cmocka_unit_test_setup_teardown(it_may_be_canceled, begin, end),
        cmocka_unit_test_setup_teardown(a_resolver_that_is_silent_is_left,
                                        begin, end),
        cmocka_unit_test(names_that_are_too_long_are_none),
        cmocka_unit_test(families_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
