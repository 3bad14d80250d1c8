/* The tree of scopes: who waits in one against who cancels it or one around it.
 * Nobody sleeps on in a canceled scope; one claim wins; once a cancel has
 * returned whoever asks is told so, and sees what came before it; and a scope
 * that is closed, or a wait that is over, is touched by nobody. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"

#include "model_tasks.h"

enum { SCOPES = 6, GIFT = 40, WHILE_NS = 50000 };

/* Which scope is in which is the scenario's. */
enum { TOP, MID, LOW, SECOND, OTHER, LATE };

static struct scope scopes[SCOPES];
static struct scope_wait waits[MODEL_THREADS]; /* of each thread */
static _Atomic uint32_t returned;              /* 1: the cancel of TOP has */
static _Atomic uint32_t let_go[MODEL_THREADS]; /* the source is done with it */
static int gift[SCOPES];                       /* written before the cancel */
static enum wake cause[MODEL_THREADS];
static bool event_won[MODEL_THREADS];

/* ----------------------------------------------------- what is not explored */

/* The last act of a cancel: who asked for it holds the scope open. */
void alarm_late(struct scope *s)
{
    model_plain_read(&s->parent);
}

thrum_time thrum_deadline(void)
{
    return CLOCK_NEVER;
}

struct scope *scope_current(void)
{
    return NULL;
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

static struct stack task; /* of all */

/* --------------------------------------------------------- opening, closing */

/* As scope_open does it. */
static void open(int which, int parent, bool shield)
{
    struct scope *s = &scopes[which];
    struct scope *p = parent == which ? NULL : &scopes[parent];
    bool hears = p != NULL && !shield;

    store_relaxed(&s->seen,
                  hears ? scope_seen(p) : load_relaxed(&thrum_cancels_));
    s->parent = p;
    s->shield = shield;
    store_relaxed(&s->timed, 0);
    s->sched = &model_sched;
    s->stack = &task; /* a runtime keeps its time */
    store_relaxed(&s->stops, 0);
    store_relaxed(&s->lock.held, 0);
    store_relaxed(&s->linked, 0);
    s->inner = s->next = s->prev = NULL;
    s->waits = NULL;
}

/* Who touches it now races with this; who wants its lock waits for ever. */
static void bury_scope(int which)
{
    struct scope *s = &scopes[which];

    if (load_relaxed(&s->linked) != 0) /* as scope_close does */
        scope_unlink(s);
    MODEL_ASSERT(!cas_relaxed(&s->lock.held, &(uint32_t){1}, 1));
    store_relaxed(&s->lock.held, 1);
    s->parent = s->inner = s->next = s->prev = NULL;
    s->waits = NULL;
}

static void bury_wait(struct scope_wait *w)
{
    w->wait.sched = NULL;
    w->wait.stack = NULL;
    w->next = w->prev = NULL;
    w->listed = false;
}

/* ---------------------------------------------------------------- who waits */

static struct scope_wait *my_wait(void)
{
    return &waits[model_thread()];
}

/* Wait there; what woke us. */
static enum wake sleep_in(int which)
{
    struct scope_wait *w = my_wait();
    enum wake why = scope_sleep(&scopes[which], w);

    cause[model_thread()] = why;
    if (why == WAKE_CANCEL)
        MODEL_ASSERT(scope_canceled(&scopes[which]));
    bury_wait(w);
    return why;
}

/* The event may come as well: it must be done with the wait. */
static void wait_for_the_event(void)
{
    while (load_acquire(&let_go[model_thread()]) == 0)
        model_yield();
}

static void sleep_for_good(int which, int canceled)
{
    MODEL_ASSERT(sleep_in(which) == WAKE_CANCEL);
    MODEL_ASSERT(gift[canceled] == GIFT);
}

static void sleeper_low(void)
{
    sleep_for_good(LOW, TOP);
    bury_scope(LOW);
}

static void sleeper_low_left_open(void)
{
    sleep_for_good(LOW, TOP);
}

static void sleeper_second(void)
{
    sleep_for_good(SECOND, TOP);
    bury_scope(SECOND);
}

static void sleeper_mid(void)
{
    sleep_for_good(MID, TOP);
}

static void sleeper_top(void)
{
    sleep_for_good(TOP, TOP);
}

/* Opens it himself, as a task does that begins. */
static void sleeper_late(void)
{
    open(LATE, MID, false);
    sleep_for_good(LATE, TOP);
    bury_scope(LATE);
}

/* Canceled by either of two. */
static void sleeper_low_of_two(void)
{
    MODEL_ASSERT(sleep_in(LOW) == WAKE_CANCEL);
    bury_scope(LOW);
}

/* An event that may come before, and a cancel that may too. */
static void sleeper_low_with_event(void)
{
    struct scope_wait *w = my_wait();

    cause[model_thread()] = scope_sleep(&scopes[LOW], w);
    wait_for_the_event();
    bury_wait(w);
    bury_scope(LOW);
}

/* A thread that wakes by itself, perhaps while it is canceled. */
static void blocks_for_a_while(void)
{
    struct scope_wait *w = my_wait();

    cause[0] = scope_block(&scopes[LOW], w, clock_now() + WHILE_NS);
    MODEL_ASSERT(cause[0] == WAKE_DEADLINE || cause[0] == WAKE_CANCEL);
    MODEL_ASSERT(cause[0] == WAKE_DEADLINE || gift[TOP] == GIFT);
    bury_wait(w);
    bury_scope(LOW);
}

/* The second wait in the same scope finds it linked. */
static void sleeper_low_twice(void)
{
    struct scope_wait *w = my_wait();

    cause[model_thread()] = scope_sleep(&scopes[LOW], w);
    wait_for_the_event();
    wait_init(&w->wait);
    MODEL_ASSERT(scope_sleep(&scopes[LOW], w) == WAKE_CANCEL);
    bury_wait(w);
    bury_scope(LOW);
}

/* Behind a shield nothing is heard: only the event wakes. */
static void sleeper_behind_a_shield(void)
{
    struct scope_wait *w = my_wait();

    cause[model_thread()] = scope_sleep(&scopes[LOW], w);
    MODEL_ASSERT(cause[model_thread()] == WAKE_EVENT);
    wait_for_the_event();
    MODEL_ASSERT(!scope_canceled(&scopes[LOW]));
    bury_wait(w);
    bury_scope(LOW);
}

/* ------------------------------------------------------- events and cancels */

/* The threads that wait come first. */
static void event_for(int sleeper)
{
    event_won[sleeper] = wait_wake(&waits[sleeper].wait, WAKE_EVENT);
    store_release(&let_go[sleeper], 1);
}

static void event_for_first(void)
{
    event_for(0);
}

static void cancel(int which)
{
    thrum_scope_cancel(scope_public(&scopes[which]), NULL);
}

static void cancel_with_gift(int which)
{
    gift[which] = GIFT;
    cancel(which);
}

static void cancel_top(void)
{
    cancel_with_gift(TOP);
    store_release(&returned, 1);
}

static void cancel_mid(void)
{
    cancel_with_gift(MID);
}

static void cancel_other(void)
{
    cancel_with_gift(OTHER);
}

/* Two of the same scope; the gift is the other's. */
static void cancel_top_too(void)
{
    cancel(TOP);
    MODEL_ASSERT(scope_canceled(&scopes[SECOND]));
}

/* ----------------------------------------------------------------- who asks */

/* Asks often enough for each answer to be kept once. */
static void ask(int which)
{
    bool was = false;

    for (int i = 0; i < 3; i++) {
        uint32_t over = load_acquire(&returned);
        bool is = scope_canceled(&scopes[which]);

        MODEL_ASSERT(is || !was);
        MODEL_ASSERT(is || over == 0);
        if (is)
            MODEL_ASSERT(gift[TOP] == GIFT);
        was = is;
    }
}

static void ask_low(void)
{
    ask(LOW);
}

static void ask_second(void)
{
    ask(SECOND);
}

/* A new scope keeps what is known around it. */
static void ask_in_a_new_one(void)
{
    bool before = scope_canceled(&scopes[LOW]);

    open(LATE, LOW, false);
    MODEL_ASSERT(scope_canceled(&scopes[LATE]) || !before);
    ask(LATE);
}

/* What another one has found out is enough. */
static void open_a_new_one(void)
{
    open(LATE, LOW, false);
    if (scope_canceled(&scopes[LATE]))
        MODEL_ASSERT(gift[TOP] == GIFT);
}

/* What is true inside because of TOP is true further out as well. */
static void ask_outwards(void)
{
    ask(LOW);
    if (scope_canceled(&scopes[LOW])) {
        MODEL_ASSERT(scope_canceled(&scopes[MID]));
        MODEL_ASSERT(scope_canceled(&scopes[SECOND]));
    }
}

/* Where a shield is, no cancel beyond it counts, however often one asks. */
static void ask_behind_a_shield(void)
{
    for (int i = 0; i < 3; i++)
        MODEL_ASSERT(!scope_canceled(&scopes[SECOND]));
}

/* ------------------------------------------------------------------- setups */

static void prepare(unsigned outsiders)
{
    static const char *const names[] = {"top",    "mid",   "low",
                                        "second", "other", "late"};

    model_tasks_setup(outsiders);
    store_relaxed(&thrum_cancels_, 0);
    store_relaxed(&returned, 0);
    for (int i = 0; i < MODEL_THREADS; i++) {
        waits[i] = (struct scope_wait){0};
        waiter_arm(&waits[i].wait.waiter);
        parker_init(&waits[i].wait.parker);
        if (!(outsiders >> i & 1)) {
            waits[i].wait.stack = &model_stacks[i];
            waits[i].wait.sched = &model_sched;
        }
        store_relaxed(&let_go[i], 0);
        cause[i] = 0;
        event_won[i] = false;
    }
    for (int i = 0; i < SCOPES; i++) {
        gift[i] = 0;
        model_name(&scopes[i], names[i]);
    }
    model_name(&thrum_cancels_, "number");
    model_name(waits, "waits");
    model_watch(scopes, sizeof scopes);
    model_watch(waits, sizeof waits);
    model_watch(gift, sizeof gift);
    open(TOP, TOP, false);
    open(MID, TOP, false);
    open(LOW, MID, false);
    open(SECOND, MID, false);
    open(OTHER, OTHER, false);
}

static void tasks(void)
{
    prepare(0);
}

/* The first two threads are no workers. */
static void outsiders(void)
{
    prepare(3);
}

static void shielded(void)
{
    prepare(0);
    open(MID, TOP, true);
    open(LOW, MID, false);
    open(SECOND, MID, false);
}

/* Two levels only. */
static void flat(void)
{
    prepare(0);
    open(LOW, TOP, false);
    open(SECOND, TOP, false);
}

/* ------------------------------------------------------------------- checks */

static void one_claim_won(void)
{
    MODEL_ASSERT(event_won[0] == (cause[0] == WAKE_EVENT));
    MODEL_ASSERT(event_won[0] || cause[0] == WAKE_CANCEL);
}

static void lists_are_empty(void)
{
    for (int i = TOP; i <= MID; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static const struct model_scenario scenarios[] = {
    {.name = "own_scope",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_top}, {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 10000,
     .preemptions = 2},
    {.name = "scope_around",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_mid}, {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 10000,
     .preemptions = 2},
    {.name = "two_scopes_up",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_low}, {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 10000},
    {.name = "two_link_at_once",
     .setup = tasks,
     .threads = {{"low", sleeper_low},
                 {"second", sleeper_second},
                 {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 20000},
    {.name = "two_in_one_scope",
     .setup = tasks,
     .threads = {{"a", sleeper_low_left_open},
                 {"b", sleeper_low_left_open},
                 {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 20000},
    {.name = "threads_that_block",
     .setup = outsiders,
     .threads = {{"low", sleeper_low},
                 {"second", sleeper_second},
                 {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 10000},
    {.name = "opened_meanwhile",
     .setup = tasks,
     .threads = {{"late", sleeper_late},
                 {"low", sleeper_low},
                 {"cancel", cancel_top}},
     .executions = 10000},
    {.name = "event_against_cancel",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_low_with_event},
                 {"event", event_for_first},
                 {"cancel", cancel_top}},
     .check = one_claim_won,
     .executions = 20000},
    {.name = "event_against_cancel_of_a_thread",
     .setup = outsiders,
     .threads = {{"sleeper", sleeper_low_with_event},
                 {"event", event_for_first},
                 {"cancel", cancel_top}},
     .check = one_claim_won,
     .executions = 10000},
    {.name = "deadline_against_cancel_of_a_thread",
     .setup = outsiders,
     .threads = {{"blocks", blocks_for_a_while},
                 {"second", sleeper_second},
                 {"cancel", cancel_top}},
     .check = lists_are_empty,
     .executions = 10000},
    {.name = "close_beside_a_sibling",
     .setup = flat,
     .threads = {{"closes", sleeper_low_with_event},
                 {"event", event_for_first},
                 {"sibling", sleeper_second},
                 {"cancel", cancel_top}},
     .check = one_claim_won,
     .executions = 20000},
    {.name = "waits_again",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_low_twice},
                 {"event", event_for_first},
                 {"cancel", cancel_top}},
     .executions = 10000},
    {.name = "two_nested_cancels",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_low_of_two},
                 {"top", cancel_top},
                 {"mid", cancel_mid}},
     .check = lists_are_empty,
     .executions = 20000},
    {.name = "two_cancels_of_one",
     .setup = tasks,
     .threads = {{"sleeper", sleeper_low_of_two},
                 {"cancel", cancel_top},
                 {"too", cancel_top_too}},
     .executions = 20000},
    {.name = "shield",
     .setup = shielded,
     .threads = {{"sleeper", sleeper_behind_a_shield},
                 {"event", event_for_first},
                 {"cancel", cancel_top},
                 {"asks", ask_behind_a_shield}},
     .executions = 10000},
    {.name = "asked_by_two",
     .setup = tasks,
     .threads = {{"a", ask_low}, {"b", ask_low}, {"cancel", cancel_top}},
     .executions = 20000},
    {.name = "asked_amid_other_cancels",
     .setup = tasks,
     .threads = {{"a", ask_low},
                 {"b", ask_second},
                 {"cancel", cancel_top},
                 {"other", cancel_other}},
     .executions = 20000},
    {.name = "asked_outwards",
     .setup = tasks,
     .threads = {{"a", ask_outwards},
                 {"b", ask_outwards},
                 {"cancel", cancel_top},
                 {"other", cancel_other}},
     .executions = 20000},
    {.name = "asked_in_a_new_scope",
     .setup = tasks,
     .threads = {{"a", ask_in_a_new_one},
                 {"b", ask_low},
                 {"cancel", cancel_top}},
     .executions = 20000},
    {.name = "opened_where_it_is_known",
     .setup = tasks,
     .threads = {{"opens", open_a_new_one},
                 {"asks", ask_low},
                 {"cancel", cancel_top}},
     .executions = 10000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_cancel", scenarios});
}
