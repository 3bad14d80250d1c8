/* program.h - a small program of tasks that share things, read from bytes, and
 * what is known of it while it runs.
 *
 * Each byte or two is a decision: what to do next, to which thing, with which
 * options. Bytes that are missing are zero, which ends a list; so most inputs are
 * programs. There are no loops: each step is done once at most, and what is known
 * of it while it runs is kept in it. */
#ifndef FUZZ_PROGRAMS_PROGRAM_H
#define FUZZ_PROGRAMS_PROGRAM_H

#include <thrum.h>

#include "../lib/ended.h"
#include "../lib/noted.h"

enum { TASKS_MAX = 40, STEPS_MAX = 160, KIDS_MAX = 4, DEPTH_MAX = 5 };
enum { CHANS = 3, MUTEXES = 2, RWLOCKS = 2, EVENTS = 2, BARRIERS = 2 };
enum { LATCHES = 2, STREAMS = 3, CASES = 3, MANY = 3, DEFERS = 6 };
enum { CONNECTIONS = 4, ONCES = 2 };

enum op {
    OP_END, /* of a list */
    OP_FAIL,
    OP_SLEEP,
    OP_YIELD,
    OP_CHECK,
    OP_SEND,
    OP_RECV,
    OP_TRY_SEND,
    OP_TRY_RECV,
    OP_SEND_MANY,
    OP_RECV_MANY,
    OP_SELECT,
    OP_CLOSE,
    OP_TELL, /* all who listen to the broadcast */
    OP_LISTEN,
    OP_HEAR,
    OP_HUSH,      /* close it */
    OP_LOCK,      /* a mutex, and do the body */
    OP_LOCK_FIRM, /* the same, whatever is canceled; the body is a yield */
    OP_WAIT,      /* for the condition of the mutex that is held */
    OP_SIGNAL,
    OP_BROADCAST,
    OP_LOCK_READ, /* an rwlock, and do the body */
    OP_LOCK_WRITE,
    OP_ACQUIRE, /* a permit, and do the body */
    OP_SET,
    OP_AWAIT, /* an event */
    OP_MEET,  /* at a barrier */
    OP_ADD,   /* to a latch */
    OP_DONE,
    OP_AWAIT_DONE,
    OP_WRITE, /* to a pipe or a socket */
    OP_READ,
    OP_HANG_UP, /* one end of it */
    OP_DIAL,    /* the server; or a service */
    OP_ACCEPT,
    OP_PUT, /* into a connection */
    OP_GET,
    OP_PART, /* with it, in one of some ways */
    OP_GENERATE,
    OP_OFFLOAD, /* a call; a file; a directory */
    OP_ONCE,
    OP_FLOW, /* a pipeline; or a range, in parts */
    OP_PROCESS,
    OP_BACKGROUND, /* a task of thrum_root; a signal */
    OP_CANCEL,     /* a scope around */
    OP_DEADLINE,   /* move that of one */
    OP_SCOPE,      /* open one, spawn the kids, do the body, close it */
    OP_SPAWN,      /* the kid, into a scope around */
    OP_FORK,       /* the kids, do the body, join them */
    OP_GATHER,     /* the kids */
    OP_COMPLETE,   /* the kids, one after the other */
    OPS
};

/* A further set of how something may end. */
enum { FAILURE = FAILED | TIMED_OUT };

/* What can be canceled: a task, a scope, a gather. */
struct region {
    struct region *parent; /* a cancel of that cancels this, unless shielded */
    struct region
        *spawner; /* .. and that, if it ran in place; NULL: it did not */
    bool shield;
    bool called;      /* canceled by thrum_scope_cancel, thrum_task_cancel */
    bool may, must;   /* be canceled, from here on */
    int64_t deadline; /* from which on it may, too */
    thrum_policy policy;
    int begun, running, most, ended; /* its children */
    unsigned ends;                   /* a set of how they did */
    int failures;                    /* the errors of those that failed */
    bool uncounted; /* one of them had cancellations beside them */
};

/* What a region's end has to go by. */
struct closing {
    unsigned body; /* how it ended */
    int body_failures;
    int fails;    /* deferred functions that did */
    bool expired; /* its deadline has passed, */
    bool unsure;  /* perhaps after it was closed */
    bool before;  /* it was surely canceled from outside already */
};

struct task;
struct step;

struct clean_up {
    struct step *of;
};

struct step {
    enum op op;
    uint8_t which, options;
    int limit, defers;   /* of a scope */
    bool fails, hurries; /* some of the deferred functions; a short timeout */
    bool nameless;       /* by thrum_with: only its body can name it */
    bool ignores;        /* that it was canceled */
    bool tries, firm;    /* does not wait; waits whatever is canceled */
    struct step *next, *body;
    struct task *kids;
    struct step *around; /* of a scope: the next one */
    struct step *target; /* of a cancel, a spawn: one of those around */

    struct region region;
    thrum_scope scope;
    thrum_binding binding;
    struct clean_up clean_ups[DEFERS];
    int cleaned;
    struct task *by;
    struct closing closing;
    int64_t closed_at;
};

struct task {
    struct step *first;
    struct task *next; /* beside it */

    struct region region;
    thrum_binding binding; /* of that, for who runs inside it */
    struct task *spawner;  /* into a full scope: then it may run in place */
    struct region *in;     /* that it is a child of; NULL: a fork */
    struct region *at;     /* the innermost that it is in */
    bool began, ended;
    unsigned came_to;
    struct step *pending;             /* that it does, and may wait in */
    unsigned sent;                    /* items */
    unsigned heard[CHANS][TASKS_MAX]; /* the latest of each sender */
};

/* Of kinds of steps, with these options at least; OP_END: none. */
struct focus {
    enum op first, last;
    uint8_t options;
};

struct program {
    struct task tasks[TASKS_MAX];
    struct step steps[STEPS_MAX];
    int task_count, step_count;
    unsigned capacity[CHANS], permits, keeps;
    bool faults; /* calls fail */
    struct focus focus;
    bool streams, spawns; /* there is one that uses, or does, that */
    bool connects;
};

extern struct program program;

void program_read(const uint8_t *bytes, size_t n);

/* On stderr. */
void program_show(void);

/* It is not as it should be: tell, and abort. */
_Noreturn void differs(const char *file, int line, const char *what);

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            differs(__FILE__, __LINE__, #cond);                                \
    } while (0)

/* --- tasks.c: who does it ------------------------------------------------- */

/* Run it, in a task. */
thrum_err *program_run(void *unused);

/* The simulation has said that it is a deadlock; it was one. All of the program
 * has ended. */
extern bool deadlocked, program_ended;

/* Around all that ends when the task is canceled, or says so: what it came to is
 * looked at. */
struct attempt {
    struct task *task;
    bool must; /* be canceled */
};
struct attempt attempt(struct task *t, struct step *s);
int64_t attempted(struct attempt a, int64_t rc);

/* A list; until one fails. */
thrum_err *run_steps(struct task *t, struct step *s);

/* --- region.c: how it may end --------------------------------------------- */

void region_init(struct region *r, struct region *parent);
bool region_may(const struct region *r);
bool region_must(const struct region *r);
/* Its errors; those beside a failure are none if it was canceled. -1: both. */
int failures_of(const thrum_err *err);

/* A child has ended so. */
void region_child(struct region *r, const thrum_err *err);

/* Dies unless it may return err. */
void region_check(const struct region *r, struct closing c,
                  const thrum_err *err);

/* --- things.c: what is shared --------------------------------------------- */

void things_make(void);

/* And look whether all is balanced. */
void things_end(void);

/* Do a step with one of them. */
thrum_err *things_step(struct task *t, struct step *s);

/* What its processes are. */
extern const struct thrum_sim_program things_programs[];

/* Is it right that this step waits? */
bool things_block(const struct step *s);

#endif
