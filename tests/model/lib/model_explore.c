#include "model_core.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EXECUTIONS = 100000, /* a scenario, if nobody says otherwise */
    PCT_DEPTH_MIN = 3,
    PCT_DEPTH_MAX = 5,
    TRACED = 200, /* operations told of, unless it is a replay */
    TWICE = 100,  /* one of so many is run again */
    PATH = 4096,  /* choices on a path, depth first */
    SEED = PATH + 128
};

/* What makes an execution what it is. */
struct plan {
    enum strategy strategy;
    int depth;
    int length; /* PCT: over how many points the changes are spread */
    uint64_t seed;
};

struct result {
    const struct model *model;
    const struct model_scenario *scenario;
    long executions, steps;
    int longest;
    bool exhausted, witnessed;
    const char *failure, *failed_at;
    struct plan plan; /* of the execution that failed */
};

static const char *const strategy_names[] = {"pct", "random", "dfs"};

/* ----------------------------------------------------------- depth first */

static struct {
    uint8_t pick, of;
} path[PATH];

static int path_given, path_at; /* known choices; where we are */

void dfs_begin(void)
{
    path_given = path_at = 0;
}

int dfs_choose(int n)
{
    if (n <= 1)
        return 0;
    if (path_at == PATH)
        return 0; /* the step bound comes before the end of the path */
    if (path_at == path_given) {
        path[path_at].pick = 0;
        path_given++;
    }
    path[path_at].of = (uint8_t)n;
    return path[path_at++].pick;
}

bool dfs_advance(void)
{
    int i = path_at;

    while (i > 0 && path[i - 1].pick + 1 >= path[i - 1].of)
        i--;
    if (i == 0)
        return false;
    path[i - 1].pick++;
    path_given = i;
    return true;
}

void dfs_path(char *text, size_t bytes)
{
    size_t n = (size_t)path_at < bytes ? (size_t)path_at : bytes - 1;

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + path[i].pick);
    text[n] = '\0';
}

void dfs_follow(const char *text)
{
    for (path_given = 0; path_given < PATH && *text != '\0'; text++)
        path[path_given++].pick = (uint8_t)(*text - 'a');
}

/* --------------------------------------------------------- one execution */

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void run_one(const struct plan *p)
{
    struct execution *e = &model_now;

    e->strategy = p->strategy;
    e->depth = p->depth;
    e->random = p->seed;
    path_at = 0;
    for (int i = 0; p->strategy == STRATEGY_PCT && i < p->depth; i++)
        e->change[i] = 1 + random_below(p->length);
    qsort(e->change, (size_t)p->depth * (p->strategy == STRATEGY_PCT),
          sizeof *e->change, by_value);
    sched_run();
}

/* -------------------------------------------------------------- exploring */

static bool note(struct result *r, const struct plan *p)
{
    r->executions++;
    r->steps += model_now.steps;
    r->witnessed |= model_now.witnessed;
    if (model_now.failure != NULL) {
        r->failure = model_now.failure;
        r->failed_at = model_now.failed_at;
        r->plan = *p;
        return false;
    }
    if (model_now.points > r->longest)
        r->longest = model_now.points;
    return true;
}

/* An execution is its seed's, or no seed is worth anything. */
static bool is_same_again(struct result *r, const struct plan *p)
{
    uint64_t hash = model_now.hash;
    int steps = model_now.steps;

    run_one(p);
    if (model_now.hash == hash && model_now.steps == steps)
        return true;
    r->failure = "the same seed again makes another execution";
    r->plan = *p;
    return false;
}

/* The seeds of an execution are far apart for each base, so that two bases have
 * none in common. */
static uint64_t seed_of(uint64_t base, long execution)
{
    return (base << 40) + (uint64_t)execution;
}

static void explore_seeds(struct result *r, enum strategy strategy,
                          uint64_t base, long executions)
{
    for (long i = 0; i < executions; i++) {
        int depths = PCT_DEPTH_MAX - PCT_DEPTH_MIN + 1;
        struct plan p = {strategy, PCT_DEPTH_MIN + (int)(i % depths),
                         r->longest, seed_of(base, i) * 0x9e3779b97f4a7c15};

        run_one(&p);
        if (!note(r, &p) || (i % TWICE == 0 && !is_same_again(r, &p)))
            return;
    }
}

static void explore_depth_first(struct result *r, long executions)
{
    struct plan p = {STRATEGY_DFS, r->scenario->preemptions, 0, 0};

    dfs_begin();
    for (long i = 0; i < executions && !r->exhausted; i++) {
        run_one(&p);
        if (!note(r, &p))
            return;
        r->exhausted = !dfs_advance();
    }
}

/* -------------------------------------------------------- seeds as texts */

static void print_seed(const struct result *r)
{
    static char text[PATH + 1];

    printf("  replay: THRUM_SEED=%s/", r->scenario->name);
    if (r->plan.strategy == STRATEGY_DFS) {
        dfs_path(text, sizeof text);
        printf("dfs-%d-%s\n", r->plan.depth, text);
        return;
    }
    printf("%s-%d-%d-%" PRIx64 "\n", strategy_names[r->plan.strategy],
           r->plan.depth, r->plan.length, r->plan.seed);
}

/* False: the text is no plan. */
static bool parse_plan(const char *text, struct plan *p)
{
    char choices[SEED];

    if (sscanf(text, "pct-%d-%d-%" SCNx64, &p->depth, &p->length, &p->seed) ==
        3) {
        p->strategy = STRATEGY_PCT;
        return p->depth >= 0 && p->depth <= MODEL_CHANGES && p->length > 0;
    }
    if (sscanf(text, "random-%d-%d-%" SCNx64, &p->depth, &p->length,
               &p->seed) == 3) {
        p->strategy = STRATEGY_RANDOM;
        return true;
    }
    if (sscanf(text, "dfs-%d-%4096[a-z]", &p->depth, choices) == 2) {
        p->strategy = STRATEGY_DFS;
        dfs_follow(choices);
        return true;
    }
    return false;
}

/* ------------------------------------------------------------- reporting */

static void print_count(long n)
{
    if (n >= 10000000)
        printf("%.0fM", (double)n / 1e6);
    else if (n >= 1000000)
        printf("%.1fM", (double)n / 1e6);
    else
        printf("%ld", n);
}

static void print_effort(const struct result *r)
{
    printf(", %ld executions (pct, random%s), ", r->executions,
           r->exhausted               ? ", dfs to the end"
           : r->scenario->preemptions ? ", dfs"
                                      : "");
    print_count(r->steps);
    printf(" steps\n");
}

static void print_failure(const struct result *r)
{
    printf("BROKEN: %s%s%s%s, execution %ld\n", r->failure,
           r->failed_at ? " (" : "", r->failed_at ? r->failed_at : "",
           r->failed_at ? ")" : "", r->executions);
}

/* Runs it again, with the trace on, which the many runs do without. */
static void print_trace(const struct result *r, long count)
{
    model_now.tracing = true;
    if (r->plan.strategy == STRATEGY_DFS)
        path_given = path_at;
    run_one(&r->plan);
    trace_print(count);
    model_now.tracing = false;
    if (model_now.failure == NULL)
        printf("  the replay did not fail: setup leaves something behind\n");
}

static bool replays(const struct result *r)
{
    if (r->plan.strategy == STRATEGY_DFS)
        path_given = path_at;
    run_one(&r->plan);
    return model_now.failure == r->failure &&
           model_now.failed_at == r->failed_at;
}

/* A scenario that is there to break. */
static bool judge_broken(const struct result *r)
{
    const char *wanted = r->scenario->finds;

    if (r->failure == NULL) {
        printf("NOT FOUND: %s", wanted);
        print_effort(r);
        return false;
    }
    if (strstr(r->failure, wanted) == NULL) {
        print_failure(r);
        print_seed(r);
        print_trace(r, TRACED);
        return false;
    }
    if (!replays(r)) {
        printf("DOES NOT REPLAY: %s\n", r->failure);
        return false;
    }
    printf("found: %s, execution %ld\n", r->failure, r->executions);
    return true;
}

static bool judge(const struct result *r)
{
    printf("%s: %s: ", r->model->name, r->scenario->name);
    if (r->scenario->finds != NULL)
        return judge_broken(r);
    if (r->failure != NULL) {
        print_failure(r);
        print_seed(r);
        print_trace(r, TRACED);
        return false;
    }
    if (r->scenario->allows && !r->witnessed) {
        printf("NEVER SEEN");
        print_effort(r);
        return false;
    }
    printf("%s", r->scenario->allows ? "seen" : "holds");
    print_effort(r);
    return true;
}

/* ----------------------------------------------------------------- crashes */

static void crashed(int signal)
{
    const char *why = signal == SIGABRT ? "abort" : "crash";

    if (model_now.running)
        model_fail(why, NULL); /* goes on at the host */
    printf("%s in setup or check\n", why);
    fflush(stdout);
    _exit(1);
}

/* On a stack of its own: the thread's may be what is broken. It is left by a
 * switch to the host, so nothing may stay blocked. */
static void watch_for_crashes(void)
{
    static char stack[1 << 16];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed,
                               .sa_flags = SA_ONSTACK | SA_NODEFER};

    sigaltstack(&alternate, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
}

/* ----------------------------------------------------------------- running */

static long budget(const struct model_scenario *s)
{
    const char *wish = getenv("THRUM_MODEL_EXECS");
    const char *times = getenv("THRUM_MODEL_TIMES");
    long usual = s->executions > 0 ? s->executions : EXECUTIONS;

    if (wish != NULL && atol(wish) > 0)
        return atol(wish);
    return times != NULL && atof(times) > 0
               ? (long)((double)usual * atof(times))
               : usual;
}

static void begin(struct result *r, const struct model *m,
                  const struct model_scenario *s)
{
    memset(r, 0, sizeof *r);
    r->model = m;
    r->scenario = s;
    r->longest = 32;
    model_now.scenario = s;
    model_now.witnessed = false;
}

static bool explore(const struct model *m, const struct model_scenario *s,
                    uint64_t base)
{
    struct result r;
    long executions = budget(s);

    begin(&r, m, s);
    explore_seeds(&r, STRATEGY_PCT, base, executions - executions / 4);
    if (r.failure == NULL)
        explore_seeds(&r, STRATEGY_RANDOM, base, executions / 4);
    if (r.failure == NULL && s->preemptions > 0)
        explore_depth_first(&r, executions);
    return judge(&r);
}

static bool replay(const struct model *m, const struct model_scenario *s,
                   const char *text)
{
    struct result r;

    begin(&r, m, s);
    if (!parse_plan(text, &r.plan)) {
        printf("THRUM_SEED: \"%s\" is no plan\n", text);
        return false;
    }
    printf("%s: %s: ", m->name, s->name);
    run_one(&r.plan);
    note(&r, &r.plan);
    if (r.failure == NULL) {
        printf("holds, one execution\n");
        return true;
    }
    print_failure(&r);
    print_trace(&r, MODEL_STEPS);
    return false;
}

int model_run(const struct model *m)
{
    const char *seed = getenv("THRUM_SEED");
    const char *slash = seed == NULL ? NULL : strchr(seed, '/');
    uint64_t base = seed == NULL || *seed == '\0' ? 1 : strtoull(seed, NULL, 0);
    const char *only = getenv("THRUM_MODEL_ONLY");
    bool good = true;

    model_now.newest = getenv("THRUM_MODEL_SC") != NULL;
    setvbuf(stdout, NULL, _IOLBF, 0);
    watch_for_crashes();
    sched_stacks();
    for (const struct model_scenario *s = m->scenarios; good && s->name; s++) {
        if (slash == NULL && (only == NULL || strstr(s->name, only) != NULL))
            good = explore(m, s, base);
        else if (slash != NULL && strlen(s->name) == (size_t)(slash - seed) &&
                 strncmp(s->name, seed, strlen(s->name)) == 0)
            good = replay(m, s, slash + 1);
    }
    return good ? 0 : 1;
}

void model_witness(void)
{
    model_now.witnessed = true;
}
