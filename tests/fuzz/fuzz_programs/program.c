#include "program.h"

#include <stdio.h>
#include <string.h>

struct program program;

struct reader {
    const uint8_t *at, *end;
};

/* What a list is in. */
struct place {
    struct step *around; /* the innermost scope */
    int depth;
    bool locked; /* the task holds a mutex: this one */
    uint8_t mutex;
    bool inside; /* it holds another one, or waits for who does */
};

static uint8_t byte(struct reader *r)
{
    return r->at == r->end ? 0 : *r->at++;
}

static struct step *read_list(struct reader *r, struct place in);

static struct task *read_task(struct reader *r, struct place in)
{
    struct task *t;

    if (program.task_count == TASKS_MAX)
        return NULL;
    t = &program.tasks[program.task_count++];
    memset(t, 0, sizeof *t);
    in.inside = in.inside || in.locked;
    in.locked = false;
    in.depth++;
    t->first = read_list(r, in);
    return t;
}

static void read_kids(struct reader *r, struct step *s, struct place in, int n)
{
    struct task **to = &s->kids;

    while (n-- > 0 && (*to = read_task(r, in)) != NULL)
        to = &(*to)->next;
}

static bool has_kids(enum op op)
{
    return op == OP_SCOPE || op == OP_SPAWN || op == OP_FORK ||
           op == OP_GATHER || op == OP_COMPLETE;
}

/* What makes no sense where it is becomes something that does. */
static enum op sensible(enum op op, const struct place *in)
{
    if (has_kids(op) && in->depth >= DEPTH_MAX)
        return OP_YIELD;
    if ((op == OP_CANCEL || op == OP_SPAWN || op == OP_DEADLINE) &&
        in->around == NULL)
        return OP_CHECK;
    if ((op == OP_SIGNAL || op == OP_BROADCAST) && !in->locked)
        return OP_YIELD;
    /* No cancel ends these: nobody may wait in a circle for one. */
    if (op == OP_LOCK_FIRM && (in->locked || in->inside))
        return OP_LOCK;
    if (op == OP_WAIT && (!in->locked || in->inside))
        return OP_YIELD;
    return op;
}

static bool has_body(const struct step *s)
{
    return s->op == OP_SCOPE || s->op == OP_FORK || s->op == OP_LOCK ||
           s->op == OP_ACQUIRE ||
           ((s->op == OP_LOCK_READ || s->op == OP_LOCK_WRITE) && !s->firm);
}

static void read_options(struct step *s, uint8_t b)
{
    s->defers = (b & 7) % (DEFERS + 1);
    s->limit = b >> 3 & 3;
    s->fails = b >> 5 & 1;
    s->hurries = b >> 6 & 1;
    s->nameless = (b & 128) != 0 && s != program.steps;
}

static struct step *scope_around(const struct step *s, struct step *around)
{
    for (int i = s->which % 4; i > 0 && around->around != NULL; i--)
        around = around->around;
    return around;
}

static void read_inner(struct reader *r, struct step *s, struct place in)
{
    s->around = in.around;
    if (s->op == OP_CANCEL || s->op == OP_SPAWN || s->op == OP_DEADLINE)
        s->target = scope_around(s, in.around);
    if (s->op == OP_SCOPE) {
        read_options(s, byte(r));
        if (!s->nameless)
            in.around = s;
        read_kids(r, s, in,
                  s == program.steps ? 2 + s->which % 3
                                     : s->which % (KIDS_MAX + 1));
    } else if (s->op == OP_FORK || s->op == OP_GATHER || s->op == OP_COMPLETE) {
        read_kids(r, s, in, 1 + s->which % KIDS_MAX);
    } else if (s->op == OP_SPAWN) {
        in.around = s->target; /* which it may outlive no more than that */
        read_kids(r, s, in, 1);
    }
    s->tries = (s->options & 1) != 0;
    if (s->op == OP_LOCK_READ || s->op == OP_LOCK_WRITE) {
        s->firm = (s->options & 2) != 0 && !in.locked && !in.inside;
        in.inside = true;
    }
    if (s->op == OP_WAIT || s->op == OP_SIGNAL || s->op == OP_BROADCAST)
        s->which = in.mutex;
    if (s->op == OP_LOCK) {
        in.inside = in.inside || in.locked;
        in.locked = true;
        in.mutex = s->which % MUTEXES;
    }
    if (has_body(s))
        s->body = read_list(r, in);
}

static enum op read_op(uint8_t b)
{
    struct focus f = program.focus;

    if (f.first == OP_END || b < 128)
        return (enum op)(b % OPS);
    return (enum op)((unsigned)f.first + b % (unsigned)(f.last - f.first + 1));
}

static struct step *read_list(struct reader *r, struct place in)
{
    struct step *first = NULL, **to = &first;

    while (program.step_count < STEPS_MAX && r->at != r->end) {
        enum op op = sensible(read_op(byte(r)), &in);
        uint8_t options;
        struct step *s;

        if (program.step_count == 0) /* else most would wait for nobody */
            op = OP_SCOPE;
        if (op == OP_END)
            break;
        s = &program.steps[program.step_count++];
        memset(s, 0, sizeof *s);
        options = byte(r);
        s->op = op;
        s->which = options & 7;
        s->options = options >> 3 & 15;
        if (op >= program.focus.first && op <= program.focus.last)
            s->options |= program.focus.options;
        s->ignores = options >> 7;
        program.streams = program.streams ||
                          (op >= OP_WRITE && op <= OP_HANG_UP);
        program.spawns = program.spawns || op == OP_SPAWN;
        program.connects = program.connects || (op >= OP_DIAL && op <= OP_PART);
        *to = s;
        to = &s->next;
        read_inner(r, s, in);
    }
    return first;
}

/* What is rarely met by chance half of the steps are of. */
static void read_header(uint8_t b)
{
    static const struct focus all[8] = {
        {OP_DIAL, OP_PART, 0},       {OP_ONCE, OP_BACKGROUND, 0},
        {OP_WRITE, OP_HANG_UP, 0},   {OP_END, OP_END, 0},
        {OP_DIAL, OP_PART, 0},       {OP_CANCEL, OP_COMPLETE, 0},
        {OP_GATHER, OP_COMPLETE, 0}, {OP_END, OP_END, 0}};
    static const struct focus more[3] = {{OP_DIAL, OP_ACCEPT, 8},
                                         {OP_GENERATE, OP_OFFLOAD, 8},
                                         {OP_BACKGROUND, OP_CANCEL, 8}};

    program.faults = (b & 3) == 3;
    program.focus = b >> 5 < 5 ? all[b >> 2 & 7] : more[(b >> 5) - 5];
}

void program_read(const uint8_t *bytes, size_t n)
{
    struct reader r = {bytes, bytes + n};
    uint8_t rooms = byte(&r);

    program.task_count = program.step_count = 0;
    program.streams = program.spawns = program.connects = false;
    read_header(byte(&r));
    for (int i = 0; i < CHANS; i++)
        program.capacity[i] = rooms >> 2 * i & 3;
    program.permits = 1 + (rooms >> 6 & 1);
    program.keeps = rooms >> 7 ? 4 : 1;
    (void)read_task(&r, (struct place){.depth = 0});
}

/* ------------------------------------------------------------------ showing */

static void show_list(const struct step *s, int indent)
{
    static const char *const names[OPS] = {
        "end",        "fail",      "sleep",        "yield",
        "check",      "send",      "recv",         "try_send",
        "try_recv",   "send_many", "recv_many",    "select",
        "close",      "tell",      "listen",       "hear",
        "hush",       "lock",      "lock firmly",  "wait",
        "signal",     "broadcast", "lock to read", "lock to write",
        "acquire",    "set",       "await",        "meet",
        "add",        "done",      "await done",   "write",
        "read",       "hang up",   "dial",         "accept",
        "put",        "get",       "part",         "generate",
        "offload",    "once",      "flow",         "process",
        "background", "cancel",    "deadline",     "scope",
        "spawn",      "fork",      "gather",       "complete"};

    for (; s != NULL; s = s->next) {
        fprintf(stderr, "%*s%s %u, %u%s\n", indent, "", names[s->op], s->which,
                s->options, s->ignores ? ", ignores cancels" : "");
        for (const struct task *t = s->kids; t != NULL; t = t->next) {
            fprintf(stderr, "%*stask %d\n", indent + 2, "",
                    (int)(t - program.tasks));
            show_list(t->first, indent + 4);
        }
        if (s->body != NULL)
            fprintf(stderr, "%*sbody\n", indent + 2, "");
        show_list(s->body, indent + 4);
    }
}

void program_show(void)
{
    fprintf(stderr, "capacities %u, %u, %u; %u permits; %u kept%s\n",
            program.capacity[0], program.capacity[1], program.capacity[2],
            program.permits, program.keeps, program.faults ? "; faults" : "");
    show_list(program.tasks[0].first, 0);
}
