/* Calls on files by way of a worker's ring: who submits them against the kernel, who
 * is told of their ends, and who cancels one. Each call ends once, with what the
 * kernel says; nobody sleeps on; and as soon as a call has returned its bytes are its
 * caller's again. */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static long enter(long number, ...);
#define syscall enter

#include "base/alloc.c"
#define count count_flights /* task/cancel.c has one */
#include "io/uring.c"
#undef count
#include "os/ring.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"

#include "model_tasks.h"

#include "model_scopes.h"

enum { FLYING = 8 };

static struct uring uring;
static struct io_uring_sqe entries[1];
static uint64_t end[sizeof(struct io_uring_cqe) / 8]; /* its tail is any size */
static _Atomic uint32_t head, tail, end_head, end_tail;
static _Atomic uint32_t submitting; /* the lock */

static _Atomic uint32_t callers; /* that have not returned */
static char bytes[MODEL_THREADS];
static ssize_t result[MODEL_THREADS];

/* ----------------------------------------------------- what is not explored */

void lock_init(struct lock *l)
{
    (void)l;
}

void lock_acquire(struct lock *l)
{
    uint32_t no = 0;

    MODEL_ASSERT(l == &uring.submitting);
    while (!cas_acquire(&submitting, &no, 1)) {
        no = 0;
        model_yield();
    }
}

void lock_release(struct lock *l)
{
    (void)l;
    store_release(&submitting, 0);
}

bool file_is_on_disk(int fd)
{
    (void)fd;
    return true;
}

bool fail_now(enum fail kind)
{
    (void)kind;
    return false;
}

/* Its ring is made. */
int fd_poller(struct poller **p)
{
    (void)p;
    return -ENOSYS;
}

int poller_own(struct poller *p, int fd, struct poller_own *o)
{
    (void)p, (void)fd, (void)o;
    return -ENOSYS;
}

/* --------------------------------------------------------------- the kernel */

/* It takes entries on a thread of its own, which is ordered with others by the words
 * of the ring alone; but who submits sees how far it has come. */
static _Atomic uint32_t asked, answered, told;
static bool refuses; /* perhaps, to take one */

static struct io_uring_sqe flying[FLYING];
static bool canceled[FLYING];
static int flying_count;

static long enter(long number, ...)
{
    uint32_t turn = add_relaxed(&asked, 1);

    MODEL_ASSERT(number == SYS_io_uring_enter);
    while (load_relaxed(&answered) == turn)
        model_yield();
    (void)add_relaxed(&head, 0);
    return 1;
}

static void take_off_one(const struct io_uring_sqe *entry)
{
    MODEL_ASSERT(flying_count < FLYING);
    for (int i = 0; i < flying_count; i++)
        canceled[i] |= entry->opcode == IORING_OP_ASYNC_CANCEL &&
                       flying[i].user_data == entry->addr;
    flying[flying_count] = *entry;
    canceled[flying_count++] = false;
}

static void take(void)
{
    uint32_t h = load_relaxed(&head), shown = add_acq_rel(&tail, 0);

    if (h != shown && !(refuses && model_choose(2) == 0)) {
        struct io_uring_sqe entry = entries[0];

        MODEL_ASSERT(h + 1 == shown);
        take_off_one(&entry);
        store_release(&head, shown);
    }
    add_relaxed(&answered, 1);
}

/* Or who is canceled, too late. */
static int make_call(int i)
{
    if (flying[i].opcode == IORING_OP_ASYNC_CANCEL)
        return 0;
    MODEL_ASSERT(flying[i].opcode == IORING_OP_READ && flying[i].len == 1);
    if (canceled[i] && model_choose(2) == 0)
        return -ECANCELED;
    *(char *)(uintptr_t)flying[i].addr = 'x';
    return 1;
}

static void end_one(int i)
{
    uint32_t t = load_relaxed(&end_tail);

    if (t != load_acquire(&end_head)) /* no room */
        return;
    uring.ring.ends->res = make_call(i);
    uring.ring.ends->user_data = flying[i].user_data;
    store_release(&end_tail, t + 1);
    store_release(&told, 1);
    flying[i] = flying[--flying_count];
    canceled[i] = canceled[flying_count];
}

static void kernel(void)
{
    while (load_relaxed(&callers) > 0) {
        if (load_relaxed(&asked) != load_relaxed(&answered))
            take();
        else if (flying_count > 0)
            end_one(model_choose(flying_count));
        model_yield();
    }
}

/* Who waits for the runtime's descriptors. */
static void keeper(void)
{
    while (load_relaxed(&callers) > 0) {
        if (exchange_acquire(&told, 0) != 0)
            uring.own.ready(&uring.own);
        model_yield();
    }
}

/* ------------------------------------------------------------------ threads */

static void calls(void)
{
    int i = model_thread();
    struct file_call c = {
        .what = FILE_READ, .fd = 3, .bytes = &bytes[i], .n = 1};

    result[i] = uring_make(&c);
    scribble();
    MODEL_ASSERT(result[i] != 1 || bytes[i] == 'x');
    bytes[i] = 0;
}

static void caller(void)
{
    calls();
    sub_relaxed(&callers, 1);
}

static void calls_twice(void)
{
    calls();
    if (result[model_thread()] == 1)
        calls();
    sub_relaxed(&callers, 1);
}

/* --------------------------------------------------------- setup and checks */

static void prepare(uint32_t who_call)
{
    model_tasks_setup(0);
    store_relaxed(&thrum_cancels_, 0);
    memset((void *)scopes, 0, sizeof scopes);
    for (int i = 0; i < MODEL_THREADS; i++)
        scopes[i].sched = &model_sched;
    memset((void *)&uring, 0, sizeof uring);
    uring.own.ready = on_ready;
    uring.ring = (struct ring){.entries = entries,
                               .ends = (void *)end,
                               .head = &head,
                               .tail = &tail,
                               .end_head = &end_head,
                               .end_tail = &end_tail};
    model_worker.own_tried = true;
    store_relaxed(&model_worker.own, &uring.own);
    store_relaxed(&head, 0);
    store_relaxed(&tail, 0);
    store_relaxed(&end_head, 0);
    store_relaxed(&end_tail, 0);
    store_relaxed(&submitting, 0);
    store_relaxed(&asked, 0);
    store_relaxed(&answered, 0);
    store_relaxed(&told, 0);
    store_relaxed(&callers, who_call);
    flying_count = 0;
    refuses = false;
    memset(bytes, 0, sizeof bytes);
    memset(result, 0, sizeof result);
    model_name(&uring, "uring");
    model_name(&head, "head");
    model_name(&tail, "tail");
    model_name(&end_head, "end head");
    model_name(&end_tail, "end tail");
    model_watch(&uring, sizeof uring);
    model_watch(entries, sizeof entries);
    model_watch(end, sizeof end);
    model_watch(bytes, sizeof bytes);
    model_watch(scopes, sizeof scopes);
}

static void one_calls(void)
{
    prepare(1);
}

static void two_call(void)
{
    prepare(2);
}

static void two_may_be_refused(void)
{
    prepare(2);
    refuses = true;
}

static void none_is_left(void)
{
    MODEL_ASSERT(load_relaxed(&uring.own.awaited) == 0);
    for (int i = 0; i < flying_count; i++)
        MODEL_ASSERT(flying[i].opcode == IORING_OP_ASYNC_CANCEL);
    MODEL_ASSERT(scopes[0].waits == NULL);
}

static void one_is_made(void)
{
    none_is_left();
    MODEL_ASSERT(result[0] == 1);
}

static void both_are_made(void)
{
    one_is_made();
    MODEL_ASSERT(result[1] == 1);
}

static void made_or_not(void)
{
    none_is_left();
    MODEL_ASSERT(result[0] == 1 || result[0] == -EAGAIN);
}

static void the_other_is_made(void)
{
    made_or_not();
    MODEL_ASSERT(result[1] == 1);
}

static const struct model_scenario scenarios[] = {
    {.name = "one",
     .setup = one_calls,
     .threads = {{"caller", calls_twice},
                 {"kernel", kernel},
                 {"keeper", keeper}},
     .check = one_is_made,
     .executions = 10000},
    {.name = "two",
     .setup = two_call,
     .threads = {{"a", caller},
                 {"b", calls_twice},
                 {"kernel", kernel},
                 {"keeper", keeper}},
     .check = both_are_made,
     .executions = 10000},
    {.name = "refused",
     .setup = two_may_be_refused,
     .threads = {{"a", calls_twice},
                 {"b", caller},
                 {"kernel", kernel},
                 {"keeper", keeper}},
     .check = made_or_not,
     .executions = 5000},
    {.name = "canceled",
     .setup = two_call,
     .threads = {{"a", caller},
                 {"b", caller},
                 {"kernel", kernel},
                 {"keeper", keeper},
                 {"cancel", cancel_first}},
     .check = the_other_is_made,
     .executions = 10000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_uring", scenarios});
}
