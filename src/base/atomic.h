/* atomic.h - the memory orders this library uses, each with a name.
 *
 * No order is passed as an argument, so a reader can grep for every acquire.
 * Every access that is not relaxed carries a label; the table that says what
 * pairs with what stands in the header of its module.
 *
 * barrier_light and barrier_heavy are the two halves of an asymmetric fence
 * (membarrier(2)): the light side, which runs often, only stops the compiler;
 * the heavy side makes every other thread of the process pass a full fence.
 * The heavy half lives in os/barrier.h.
 *
 * Under THRUM_MODEL every access goes to tests/model instead.
 */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef THRUM_MODEL
#include "model_atomic.h"
#else

#define load_relaxed(p) atomic_load_explicit(p, memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit(p, memory_order_acquire)
#define load_seq_cst(p) atomic_load_explicit(p, memory_order_seq_cst)

#define store_relaxed(p, v) atomic_store_explicit(p, v, memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit(p, v, memory_order_release)
/* An exchange, which x86 needs here anyhow. On aarch64 it keeps an emulator right
 * that lets a later load-acquire pass a store-release (qemu 7 does). */
#define store_seq_cst(p, v)                                                    \
    ((void)atomic_exchange_explicit(p, v, memory_order_seq_cst))

#define exchange_acquire(p, v)                                                 \
    atomic_exchange_explicit(p, v, memory_order_acquire)
#define exchange_acq_rel(p, v)                                                 \
    atomic_exchange_explicit(p, v, memory_order_acq_rel)
#define exchange_seq_cst(p, v)                                                 \
    atomic_exchange_explicit(p, v, memory_order_seq_cst)

/* On failure *expected holds what was found, loaded with the weaker order. */
#define cas_relaxed(p, expected, desired)                                      \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_relaxed, memory_order_relaxed)
#define cas_acquire(p, expected, desired)                                      \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_acquire, memory_order_relaxed)
#define cas_release(p, expected, desired)                                      \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_release, memory_order_relaxed)
#define cas_acq_rel(p, expected, desired)                                      \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_acq_rel, memory_order_acquire)
#define cas_seq_cst(p, expected, desired)                                      \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_seq_cst, memory_order_relaxed)

/* All return the value before. */
#define add_relaxed(p, n) atomic_fetch_add_explicit(p, n, memory_order_relaxed)
#define add_release(p, n) atomic_fetch_add_explicit(p, n, memory_order_release)
#define add_acq_rel(p, n) atomic_fetch_add_explicit(p, n, memory_order_acq_rel)
#define add_seq_cst(p, n) atomic_fetch_add_explicit(p, n, memory_order_seq_cst)
#define sub_release(p, n) atomic_fetch_sub_explicit(p, n, memory_order_release)
#define sub_acq_rel(p, n) atomic_fetch_sub_explicit(p, n, memory_order_acq_rel)

#define or_acq_rel(p, n)  atomic_fetch_or_explicit(p, n, memory_order_acq_rel)
#define or_seq_cst(p, n)  atomic_fetch_or_explicit(p, n, memory_order_seq_cst)
#define and_seq_cst(p, n) atomic_fetch_and_explicit(p, n, memory_order_seq_cst)

#define barrier_light() atomic_signal_fence(memory_order_seq_cst)

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void cpu_relax_for(int times)
{
    while (times-- > 0)
        cpu_relax();
}

#endif
#endif
