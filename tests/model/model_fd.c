/* Descriptors: who waits for one against what the kernel tells of it, who closes it,
 * and the check of those that were closed behind their back. Nobody sleeps on while
 * there is something to read, or when it is closed; and "canceled" has read nothing. */
#include <stdlib.h>

/* Parts of the table. */
static void *alloc_part(size_t align, size_t bytes);
static void free_part(void *part);
#define aligned_alloc alloc_part
#define free          free_part

#include "base/alloc.c"
#include "io/call.c"
#include "io/fd.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"

#include "model_tasks.h"

#include "model_scopes.h"

enum { FD = 1 };

/* The kernel's, whose locks order what it says of a descriptor after what it is about,
 * and nothing else of ours: a try sees what its caller may see. */
static _Atomic uint32_t there; /* bytes to be read */
static _Atomic uint32_t edges; /* not yet told */
static bool is_open, is_in_set, is_another;

static struct fd entries[2];     /* the second part: of 1 and 2 */
static _Atomic uint32_t waiters; /* that have not ended */
static uint32_t got[MODEL_THREADS];
static bool tried_first[MODEL_THREADS]; /* the first file, before its close */
static ssize_t result[MODEL_THREADS];
static uint32_t total;        /* bytes that come */
static unsigned wanted, said; /* what is waited for; what is told */

static struct fd made[2]; /* of those that first asked for the first part */
static _Atomic uint32_t made_count;

static void *alloc_part(size_t align, size_t bytes)
{
    MODEL_ASSERT(align == CACHE_LINE && bytes == sizeof made[0]);
    return &made[add_relaxed(&made_count, 1)];
}

static void free_part(void *part)
{
    MODEL_ASSERT(part != load_relaxed(&parts[0]));
    model_plain_free(part, sizeof made[0]);
}

/* ----------------------------------------------------- what is not explored */

_Atomic uint32_t thrum_simulations_;

bool simulate_is_on(void)
{
    return false;
}

ssize_t simulate_try(struct call *c, attempt *try, unsigned what)
{
    (void)what;
    return try(c);
}

void forked_tell(void (*forget_it)(void))
{
    (void)forget_it;
}

bool transfer_is_open(int fd)
{
    (void)fd;
    return is_open;
}

bool transfer_is_tcp(int fd)
{
    (void)fd;
    return false;
}

int sched_open_poller(struct sched *s, const struct poller_hooks *h)
{
    (void)s;
    MODEL_ASSERT(h == &hooks);
    return 0;
}

int outside_poller(struct poller **p, const struct poller_hooks *h)
{
    (void)h;
    *p = &model_sched.poller;
    return 0;
}

void relief_begin_to_stand_in(struct relief *r)
{
    store_seq_cst(&r->stands_in, 1); /* as sched/relief.c does */
}

/* --------------------------------------------------------------- the kernel */

/* What is so already is told, too. */
int poll_add(struct poll_set *set, int fd, void *key)
{
    (void)set;
    MODEL_ASSERT(fd == FD && key == &entries[0]);
    model_yield();
    if (!is_open)
        return -EBADF;
    is_in_set = true;
    if (add_acq_rel(&there, 0) > 0)
        add_acq_rel(&edges, 1);
    return 0;
}

int poll_check(struct poll_set *set, int fd, void *key)
{
    (void)set, (void)fd, (void)key;
    return is_open && is_in_set ? 0 : -ENOENT;
}

int transfer_close(int fd)
{
    int rc = is_open ? 0 : -EBADF;

    MODEL_ASSERT(fd == FD);
    is_open = is_in_set = false;
    store_relaxed(&edges, 0);
    return rc;
}

static ssize_t try_to_read(struct call *c)
{
    uint32_t n = load_relaxed(&there);

    tried_first[model_thread()] |= !is_another && c->seen.closes == 0;
    if (!is_open)
        return -EBADF;
    while (n > 0)
        if (cas_relaxed(&there, &n, n - 1))
            return 1;
    return -EAGAIN;
}

static void come(uint32_t n)
{
    add_acq_rel(&there, n);
    if (is_in_set)
        add_acq_rel(&edges, 1);
}

/* As a worker does that polls, until nobody waits. */
static void tells(void)
{
    while (load_relaxed(&waiters) > 0) {
        if (exchange_acquire(&edges, 0) > 0) /* merged */
            hooks.ready(&entries[0], said);
        model_yield();
    }
}

/* As sched/relief.c stands in, at once tired of it. */
static void checks(void)
{
    struct relief *r = &model_sched.relief;

    while (load_relaxed(&waiters) > 0) {
        if (load_seq_cst(&r->stands_in) != 0 &&
            !hooks.check(&model_sched.poller)) {
            store_seq_cst(&r->stands_in, 0);
            if (hooks.check(&model_sched.poller))
                store_seq_cst(&r->stands_in, 1);
        }
        model_yield();
    }
}

/* ------------------------------------------------------------------ threads */

static ssize_t read_one(void)
{
    struct call c = {.fd = FD};
    ssize_t rc = call_until_done(&c, try_to_read, wanted);

    scribble();
    got[model_thread()] += rc > 0;
    return rc;
}

static void end_with(ssize_t rc)
{
    result[model_thread()] = rc;
    sub_relaxed(&waiters, 1);
}

static void reader(void)
{
    end_with(read_one());
}

static void reads_two(void)
{
    MODEL_ASSERT(read_one() == 1);
    end_with(read_one());
}

static void one_comes(void)
{
    come(1);
}

static void two_come(void)
{
    come(2);
}

static void one_and_one_come(void)
{
    come(1);
    model_yield();
    come(1);
}

static void closer(void)
{
    MODEL_ASSERT(fd_close(FD) == 0);
}

/* The number is another file's, to which a byte comes. */
static void close_and_open(void)
{
    MODEL_ASSERT(fd_close(FD) == 0);
    is_open = is_another = true;
    fd_fresh(FD);
    come(1);
}

static void reads_another(void)
{
    close_and_open();
    reader();
}

/* The one before was closed with close(2). */
static void opens(void)
{
    fd_fresh(FD);
    reader();
}

/* Of the first part; as made, whoever has made it. */
static void asks(void)
{
    int rc;
    struct fd *f = fd_of(0, &rc);

    MODEL_ASSERT(f != NULL && f == load_relaxed(&parts[0]) && f->told == 0);
    model_plain_read(f); /* the first of what was made stands for all */
}

static void checks_once(void)
{
    MODEL_ASSERT(!hooks.check(&model_sched.poller));
}

/* --------------------------------------------------------- setup and checks */

static void prepare(uint32_t who_wait, uint32_t bytes, unsigned outsiders)
{
    model_tasks_setup(outsiders);
    store_relaxed(&thrum_cancels_, 0);
    memset((void *)scopes, 0, sizeof scopes);
    memset((void *)entries, 0, sizeof entries);
    for (int i = 0; i < MODEL_THREADS; i++) {
        scopes[i].sched = &model_sched;
        got[i] = 0;
        result[i] = 0;
        tried_first[i] = false;
    }
    store_relaxed(&parts[0], NULL);
    store_relaxed(&parts[1], entries);
    store_relaxed(&model_sched.relief.stands_in, 0);
    store_relaxed(&there, 0);
    store_relaxed(&waiters, who_wait);
    is_open = true;
    is_in_set = is_another = false;
    store_relaxed(&edges, 0);
    total = bytes;
    wanted = said = POLL_READ;
    model_name(entries, "entry");
    model_name(scopes, "scopes");
    model_name(&there, "there");
    model_watch(entries, sizeof entries);
    model_watch(scopes, sizeof scopes);
}

static void one_reads(void)
{
    prepare(1, 1, 0);
}

/* It is watched already, as the entry has it. */
static void one_reads_what_is_watched(void)
{
    prepare(1, 1, 0);
    store_relaxed(&entries[0].poller, &model_sched.poller);
    is_in_set = true;
}

/* As well it may be written, or whatever comes first. */
static void one_writes(void)
{
    one_reads_what_is_watched();
    wanted = said = POLL_WRITE;
}

static void one_waits_for_either(void)
{
    one_reads();
    wanted = POLL_READ | POLL_WRITE;
    said = POLL_WRITE;
}

static void none_has_asked(void)
{
    prepare(0, 0, 0);
    memset((void *)made, 0xff, sizeof made);
    store_relaxed(&made_count, 0);
    model_name(made, "parts made");
    model_watch(made, sizeof made);
}

static void one_thread_reads(void)
{
    prepare(1, 1, 1);
}

static void one_reads_two_bytes(void)
{
    prepare(1, 2, 0);
}

static void two_read(void)
{
    prepare(2, 2, 0);
}

static void two_read_one(void)
{
    prepare(2, 1, 0);
}

/* So it was, before close(2), and the number is another file's. */
static void one_reads_what_was_closed(void)
{
    one_reads_what_is_watched();
    is_in_set = false;
    store_relaxed(&model_sched.relief.stands_in, 1);
}

static void none_is_lost(void)
{
    uint32_t sum = load_relaxed(&there);

    for (int i = 0; i < MODEL_THREADS; i++)
        sum += got[i];
    MODEL_ASSERT(sum == total);
    for (int i = 0; i < FD_LINES; i++)
        MODEL_ASSERT(!line_any(&entries[0].lines[i]));
    MODEL_ASSERT(scopes[0].waits == NULL);
}

static void all_are_read(void)
{
    none_is_lost();
    MODEL_ASSERT(load_relaxed(&there) == 0);
}

static void read_or_canceled(void)
{
    none_is_lost();
    MODEL_ASSERT(result[0] == 1 || result[0] == -ECANCELED);
    MODEL_ASSERT(result[0] == 1 || load_relaxed(&there) == 1);
}

static void read_or_closed(void)
{
    MODEL_ASSERT(result[0] == 1 || result[0] == -EBADF);
    MODEL_ASSERT(!line_any(&entries[0].lines[0]));
}

static void none_reads_of_both(void)
{
    none_is_lost();
    MODEL_ASSERT(result[0] == -EBADF || (result[0] == 1 && !tried_first[0]));
}

static const struct model_scenario scenarios[] = {
    {.name = "comes",
     .setup = one_reads,
     .threads = {{"reader", reader}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 20000},
    {.name = "comes_to_a_thread",
     .setup = one_thread_reads,
     .threads = {{"reader", reader}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 10000},
    {.name = "comes_to_a_writer",
     .setup = one_writes,
     .threads = {{"writer", reader}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 10000},
    {.name = "comes_to_who_waits_for_either",
     .setup = one_waits_for_either,
     .threads = {{"reader", reader}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 10000},
    {.name = "comes_to_who_is_watched_for",
     .setup = one_reads_what_is_watched,
     .threads = {{"reader", reader}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 20000},
    {.name = "one_edge_for_two",
     .setup = two_read,
     .threads =
         {{"a", reader}, {"b", reader}, {"source", two_come}, {"tells", tells}},
     .check = all_are_read,
     .executions = 20000},
    {.name = "two_edges",
     .setup = one_reads_two_bytes,
     .threads = {{"reader", reads_two},
                 {"source", one_and_one_come},
                 {"tells", tells}},
     .check = all_are_read,
     .executions = 20000},
    {.name = "canceled",
     .setup = one_reads,
     .threads = {{"reader", reader},
                 {"source", one_comes},
                 {"tells", tells},
                 {"cancel", cancel_first}},
     .check = read_or_canceled,
     .executions = 20000},
    {.name = "closed",
     .setup = one_reads,
     .threads = {{"reader", reader}, {"closer", closer}, {"tells", tells}},
     .check = read_or_closed,
     .executions = 20000},
    {.name = "closed_to_two",
     .setup = two_read_one,
     .threads = {{"a", reader},
                 {"b", reader},
                 {"source", one_comes},
                 {"closer", closer},
                 {"tells", tells}},
     .check = read_or_closed,
     .executions = 20000},
    {.name = "used_again",
     .setup = one_reads_what_is_watched,
     .threads = {{"opens", reads_another}, {"tells", tells}},
     .check = all_are_read,
     .executions = 10000},
    {.name = "used_again_after_close",
     .setup = one_reads_what_was_closed,
     .threads = {{"opens", opens}, {"source", one_comes}, {"tells", tells}},
     .check = all_are_read,
     .executions = 10000},
    {.name = "used_again_meanwhile",
     .setup = one_reads,
     .threads = {{"reader", reader},
                 {"opens", close_and_open},
                 {"tells", tells}},
     .check = none_reads_of_both,
     .executions = 20000},
    {.name = "part_is_made",
     .setup = none_has_asked,
     .threads = {{"a", asks}, {"b", asks}, {"checks", checks_once}},
     .executions = 5000},
    {.name = "checked",
     .setup = one_reads_what_was_closed,
     .threads = {{"reader", reader},
                 {"source", one_comes},
                 {"tells", tells},
                 {"checks", checks}},
     .check = all_are_read,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_fd", scenarios});
}
