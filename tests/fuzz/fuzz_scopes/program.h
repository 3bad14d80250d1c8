/* program.h - a small program of tasks, read from bytes; what it comes to, by
 * the model and by the library.
 *
 * A task is a list of steps; each begins with a sleep of its own length, so that
 * no two things happen at one instant but what follows from one another. Then
 * the table in thrum/scope.h says exactly when each task ends and how.
 */
#ifndef FUZZ_PROGRAM_H
#define FUZZ_PROGRAM_H

#include <thrum/scope.h>
#include <thrum/task.h>

enum { TASKS_MAX = 48, KIDS_MAX = 4, STEPS_MAX = 4, DEPTH_MAX = 5 };

#define NEVER INT64_MAX

enum op {
    OP_SLEEP,   /* nothing more */
    OP_FAIL,    /* and fail */
    OP_FOREVER, /* until canceled */
    OP_CANCEL,  /* the scope around */
    OP_SCOPE,   /* open one, spawn the kids, be its body, close it */
    OP_GATHER,  /* the kids */
    OP_FORK,    /* the kids; sleep; join them */
    OP_OFFLOAD, /* takes what the simulation says: the model is silent then */
    OPS
};

struct task;

struct step {
    enum op op;
    int64_t length; /* of the sleep before */
    int64_t more;   /* of the one within: the body, between fork and join */

    /* of what has kids */
    int kids;
    struct task *kid[KIDS_MAX];
    thrum_policy policy;
    bool shield;
    int64_t timeout, clean_up; /* 0: none */
    bool body_fails;
    bool cancels_first; /* of the forks, before it joins them */

    thrum_scope scope;   /* while it runs */
    int64_t canceled_at; /* of the model */
};

struct task {
    int steps;
    struct step step[STEPS_MAX];
    struct step *around; /* the scope that OP_CANCEL cancels, or NULL */
    bool started;
};

struct program {
    struct task tasks[TASKS_MAX];
    int count;
    bool exact; /* the model knows */
};

/* How a task or a scope may end. */
enum outcome { OK, CANCELED, FAILED, TIMED_OUT };

static inline bool is_failure(enum outcome o)
{
    return o >= FAILED;
}

struct end {
    int64_t at;
    enum outcome how;
};

void program_read(struct program *p, const uint8_t *bytes, size_t n);

/* As the manual has it, from instant 0 on. */
struct end model_run(struct program *p);

/* As the library does it, in a task. */
thrum_err *program_run(struct program *p);

/* On stderr. */
void program_show(const struct program *p);

enum outcome outcome_of(const thrum_err *e);

#endif
