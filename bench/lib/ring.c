#include "ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../bench.h"

enum { ENDS = 4 * RING_ENTRIES };

static int ring;
static unsigned made, shown; /* entries */
static char *shared;         /* both rings */
static size_t shared_bytes;
static struct io_uring_params at;
static struct io_uring_sqe *entries;
static struct io_uring_buf_ring *offered;
static uint16_t given; /* buffers */
static char (*buffers)[RING_BUFFER];

static void must(bool ok, const char *what)
{
    if (!ok)
        bench_fail(what);
}

static _Atomic unsigned *word(unsigned offset)
{
    return (_Atomic unsigned *)(void *)(shared + offset);
}

static void *map(size_t bytes, int fd, off_t what)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS
                          : MAP_SHARED | MAP_POPULATE,
                   fd, what);

    must(p != MAP_FAILED, "mmap");
    return p;
}

static void register_it(unsigned what, const void *arg, unsigned n)
{
    must(syscall(SYS_io_uring_register, ring, what, arg, n) == 0,
         "io_uring_register");
}

static void map_rings(void)
{
    unsigned *order;

    shared_bytes = at.cq_off.cqes + ENDS * sizeof(struct io_uring_cqe);
    if (shared_bytes < at.sq_off.array + RING_ENTRIES * sizeof *order)
        shared_bytes = at.sq_off.array + RING_ENTRIES * sizeof *order;
    shared = map(shared_bytes, ring, IORING_OFF_SQ_RING);
    entries = map(RING_ENTRIES * sizeof *entries, ring, IORING_OFF_SQES);
    order = (unsigned *)(void *)word(at.sq_off.array);
    for (unsigned i = 0; i < RING_ENTRIES; i++)
        order[i] = i;
    made = shown = 0;
}

static void offer_buffers(void)
{
    struct io_uring_buf_reg reg = {.ring_entries = RING_BUFFERS};

    offered = map(RING_BUFFERS * sizeof(struct io_uring_buf), -1, 0);
    buffers = map(RING_BUFFERS * sizeof *buffers, -1, 0);
    reg.ring_addr = (uintptr_t)offered;
    register_it(IORING_REGISTER_PBUF_RING, &reg, 1);
    given = 0;
    for (unsigned i = 0; i < RING_BUFFERS; i++)
        ring_give_back(i);
}

bool ring_open(void)
{
    at = (struct io_uring_params){.flags = IORING_SETUP_SINGLE_ISSUER |
                                           IORING_SETUP_DEFER_TASKRUN |
                                           IORING_SETUP_CQSIZE,
                                  .cq_entries = ENDS};
    ring = (int)syscall(SYS_io_uring_setup, RING_ENTRIES, &at);
    if (ring < 0)
        return false;
    map_rings();
    offer_buffers();
    return true;
}

void ring_close(void)
{
    close(ring);
    munmap(shared, shared_bytes);
    munmap(entries, RING_ENTRIES * sizeof *entries);
    munmap(offered, RING_BUFFERS * sizeof(struct io_uring_buf));
    munmap(buffers, RING_BUFFERS * sizeof *buffers);
}

void ring_register(const int *fds, unsigned n)
{
    register_it(IORING_REGISTER_FILES, fds, n);
}

struct io_uring_sqe *ring_entry(void)
{
    struct io_uring_sqe *e = &entries[made++ % RING_ENTRIES];

    memset(e, 0, sizeof *e);
    return e;
}

void ring_wait(void)
{
    long n;

    atomic_store_explicit(word(at.sq_off.tail), made, memory_order_release);
    n = syscall(SYS_io_uring_enter, ring, made - shown, 1,
                IORING_ENTER_GETEVENTS, NULL, 0);
    must(n >= 0 || errno == EINTR, "io_uring_enter");
    shown += n > 0 ? (unsigned)n : 0;
}

bool ring_ended(struct io_uring_cqe *end)
{
    const struct io_uring_cqe *ends = (void *)word(at.cq_off.cqes);
    _Atomic unsigned *head = word(at.cq_off.head);
    unsigned i = atomic_load_explicit(head, memory_order_relaxed);

    if (i == atomic_load_explicit(word(at.cq_off.tail), memory_order_acquire))
        return false;
    memcpy(end, &ends[i % ENDS], sizeof *end);
    atomic_store_explicit(head, i + 1, memory_order_release);
    return true;
}

char *ring_buffer(unsigned id)
{
    return buffers[id];
}

void ring_give_back(unsigned id)
{
    struct io_uring_buf *b = &offered->bufs[given % RING_BUFFERS];

    b->addr = (uintptr_t)buffers[id];
    b->len = RING_BUFFER;
    b->bid = (uint16_t)id;
    atomic_store_explicit((_Atomic uint16_t *)&offered->tail, ++given,
                          memory_order_release);
}
