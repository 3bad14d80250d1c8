/* ring.h - io_uring(7), bare, at its best for a server of one thread: completions
 * are made when it waits for them, files are registered, and what is received goes
 * into buffers that the kernel takes from a heap as it needs them. One at a time.
 *
 * All ends the program that does not work, but for ring_open. */
#ifndef BENCH_LIB_RING_H
#define BENCH_LIB_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>

enum { RING_BUFFERS = 2048, RING_BUFFER = 512, RING_ENTRIES = 2048 };

/* False: the kernel has none (before 6.1), or a filter does not want it. */
bool ring_open(void);
void ring_close(void);

/* From now on, in an entry, a file is its index here. */
void ring_register(const int *fds, unsigned n);

/* All zero, to be filled in before ring_wait. At most RING_ENTRIES of them. */
struct io_uring_sqe *ring_entry(void);

/* Show all entries, wait until one has ended. */
void ring_wait(void);

/* One that has ended, until the next call. False: none. */
bool ring_ended(struct io_uring_cqe *end);

/* What the kernel has received into, and that it may do so again. */
char *ring_buffer(unsigned id);
void ring_give_back(unsigned id);

#endif
