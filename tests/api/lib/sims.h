/* sims.h - what a test says of a simulation. */
#ifndef SIMS_H
#define SIMS_H

#include "api.h"

/* So many; fewer where a sanitizer makes everything dear. */
unsigned sim_rounds(unsigned n);

/* It passes in so many rounds, and takes the same course twice. */
void sim_passes(thrum_fn *fn, void *arg, unsigned n);

/* Some round fails, with that kind, and says that. */
void sim_fails(thrum_fn *fn, void *arg, const thrum_kind *kind,
               const char *text);

#endif
