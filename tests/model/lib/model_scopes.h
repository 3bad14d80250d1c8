/* model_scopes.h - a scope for each task of model_tasks.h, and what a waiter has to
 * do with: for programs that explore what tasks share, against a cancel.
 *
 * A program includes it once, after task/cancel.c and model_tasks.h.
 */
#ifndef MODEL_SCOPES_H
#define MODEL_SCOPES_H

#include <string.h>

#include "task/scope.h"

static struct scope scopes[MODEL_THREADS]; /* of each thread */

/* ----------------------------------------------------- what is not explored */

void alarm_late(struct scope *s)
{
    (void)s;
}

thrum_time thrum_deadline(void)
{
    return CLOCK_NEVER;
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

struct scope *scope_current(void)
{
    return &scopes[model_thread()];
}

/* Who still knows what lay here finds nonsense. */
static __attribute__((noinline)) void scribble(void)
{
    unsigned char scratch[512];

    memset(scratch, 0xee, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

static void cancel_first(void)
{
    thrum_scope_cancel(scope_public(&scopes[0]), NULL);
}

#endif
