/* model_atomic.h - base/atomic.h for model programs (and included by it): every
 * access is a call of the checker. It has some orders more than the original,
 * for sources in which one was weakened on purpose.
 *
 * Values of 1, 2, 4 or 8 bytes, integers and pointers, travel as uint64_t. What
 * is stored also goes to memory, so plain reads (in setup and check) see it.
 */
#ifndef MODEL_ATOMIC_H
#define MODEL_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "model.h"

/* Ordered so that what releases is not below MODEL_RELEASE. */
enum model_order {
    MODEL_RELAXED,
    MODEL_ACQUIRE,
    MODEL_RELEASE,
    MODEL_ACQ_REL,
    MODEL_SEQ_CST
};

/* What is accessed, and how. By value: it fits two registers. */
struct model_access {
    volatile void *address;
    uint16_t bytes;
    uint8_t order;
    uint8_t on_failure; /* of a cas */
    uint32_t unused;
};

uint64_t model_load(struct model_access at, const char *where);
void model_store(struct model_access at, uint64_t value, const char *where);
uint64_t model_exchange(struct model_access at, uint64_t value,
                        const char *where);
uint64_t model_add(struct model_access at, uint64_t value, const char *where);
uint64_t model_or(struct model_access at, uint64_t value, const char *where);
uint64_t model_and(struct model_access at, uint64_t value, const char *where);
bool model_cas(struct model_access at, void *expected, uint64_t desired,
               const char *where);
void model_barrier_light(const char *where);

/* The plain type of what p points to: a cast drops _Atomic. */
#define MODEL_TYPE(p) __typeof__(atomic_load(p))

#define MODEL_AT(p, order)                                                     \
    ((struct model_access){(volatile void *)(p), sizeof *(p), MODEL_##order,   \
                           0, 0})
#define MODEL_CAS_AT(p, order, failed)                                         \
    ((struct model_access){(volatile void *)(p), sizeof *(p), MODEL_##order,   \
                           MODEL_##failed, 0})

/* Converted as an assignment would: sign extension is the target's. */
#define MODEL_VALUE(p, v) ((uint64_t)(MODEL_TYPE(p))(v))

/* An assignment, since no compiler minds if its value is not used. */
#define MODEL_RESULT(p, call)                                                  \
    __extension__({                                                            \
        __attribute__((unused)) MODEL_TYPE(p) was_;                            \
        was_ = (MODEL_TYPE(p))(call);                                          \
    })

#define MODEL_LOAD(p, order)                                                   \
    ((MODEL_TYPE(p))model_load(MODEL_AT(p, order), MODEL_HERE))
#define MODEL_STORE(p, v, order)                                               \
    model_store(MODEL_AT(p, order), MODEL_VALUE(p, v), MODEL_HERE)
#define MODEL_EXCHANGE(p, v, order)                                            \
    MODEL_RESULT(                                                              \
        p, model_exchange(MODEL_AT(p, order), MODEL_VALUE(p, v), MODEL_HERE))
#define MODEL_ADD(p, n, order)                                                 \
    MODEL_RESULT(p, model_add(MODEL_AT(p, order), (uint64_t)(n), MODEL_HERE))
#define MODEL_OR(p, v, order)                                                  \
    MODEL_RESULT(p, model_or(MODEL_AT(p, order), MODEL_VALUE(p, v), MODEL_HERE))
#define MODEL_AND(p, v, order)                                                 \
    MODEL_RESULT(p,                                                            \
                 model_and(MODEL_AT(p, order), MODEL_VALUE(p, v), MODEL_HERE))
#define MODEL_CAS(p, expected, desired, order, failed)                         \
    model_cas(MODEL_CAS_AT(p, order, failed), (expected),                      \
              MODEL_VALUE(p, desired), MODEL_HERE)

#define load_relaxed(p) MODEL_LOAD(p, RELAXED)
#define load_acquire(p) MODEL_LOAD(p, ACQUIRE)
#define load_seq_cst(p) MODEL_LOAD(p, SEQ_CST)

#define store_relaxed(p, v) MODEL_STORE(p, v, RELAXED)
#define store_release(p, v) MODEL_STORE(p, v, RELEASE)
#define store_seq_cst(p, v) MODEL_STORE(p, v, SEQ_CST)

#define exchange_relaxed(p, v) MODEL_EXCHANGE(p, v, RELAXED)
#define exchange_acquire(p, v) MODEL_EXCHANGE(p, v, ACQUIRE)
#define exchange_release(p, v) MODEL_EXCHANGE(p, v, RELEASE)
#define exchange_acq_rel(p, v) MODEL_EXCHANGE(p, v, ACQ_REL)
#define exchange_seq_cst(p, v) MODEL_EXCHANGE(p, v, SEQ_CST)

#define cas_relaxed(p, e, d) MODEL_CAS(p, e, d, RELAXED, RELAXED)
#define cas_acquire(p, e, d) MODEL_CAS(p, e, d, ACQUIRE, RELAXED)
#define cas_release(p, e, d) MODEL_CAS(p, e, d, RELEASE, RELAXED)
#define cas_acq_rel(p, e, d) MODEL_CAS(p, e, d, ACQ_REL, ACQUIRE)
#define cas_seq_cst(p, e, d) MODEL_CAS(p, e, d, SEQ_CST, RELAXED)

#define add_relaxed(p, n) MODEL_ADD(p, n, RELAXED)
#define add_acquire(p, n) MODEL_ADD(p, n, ACQUIRE)
#define add_release(p, n) MODEL_ADD(p, n, RELEASE)
#define add_acq_rel(p, n) MODEL_ADD(p, n, ACQ_REL)
#define add_seq_cst(p, n) MODEL_ADD(p, n, SEQ_CST)
#define sub_relaxed(p, n) MODEL_ADD(p, -(uint64_t)(n), RELAXED)
#define sub_release(p, n) MODEL_ADD(p, -(uint64_t)(n), RELEASE)
#define sub_acq_rel(p, n) MODEL_ADD(p, -(uint64_t)(n), ACQ_REL)
#define sub_seq_cst(p, n) MODEL_ADD(p, -(uint64_t)(n), SEQ_CST)

#define or_acquire(p, v)  MODEL_OR(p, v, ACQUIRE)
#define or_release(p, v)  MODEL_OR(p, v, RELEASE)
#define or_acq_rel(p, v)  MODEL_OR(p, v, ACQ_REL)
#define or_seq_cst(p, v)  MODEL_OR(p, v, SEQ_CST)
#define and_acq_rel(p, v) MODEL_AND(p, v, ACQ_REL)
#define and_seq_cst(p, v) MODEL_AND(p, v, SEQ_CST)

#define barrier_light()  model_barrier_light(MODEL_HERE)
#define cpu_relax()      model_yield()
#define cpu_relax_for(n) ((void)(n), model_yield())

#endif
