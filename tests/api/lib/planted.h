/* planted.h - programs with a bug in them, for a simulation to find. */
#ifndef PLANTED_H
#define PLANTED_H

#include "api.h"

enum { TASKS = 5 };

/* The digits of those that have run, in their order. */
extern _Atomic unsigned planted_order;

/* TASKS of them, in any order: no bug. */
thrum_err *some_order(void *unused);

/* The same; fails if the third is the first, and the fifth next. */
thrum_err *the_third_goes_first(void *unused);

/* Two that take two locks each, in different orders. */
thrum_err *abba(void *unused);

#endif
