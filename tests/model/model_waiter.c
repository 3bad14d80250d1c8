/* Waiter, a sleeper against those who wake it: one claim wins, the sleeper is
 * run again exactly once, and what each did before is seen by the other. */
#include "parts/waiter.c"

enum { GIFT = 40 };

static struct waiter waiter;
static int stack_at_rest, gift[2]; /* of an event, of a deadline */
static int won, resumed, resumed_early;
static bool put_away;

/* The sleeper runs again: on its own thread, or on that of who woke it. First
 * the registers are read off its stack, then it asks what woke it. */
static void resume(void)
{
    enum wake cause;

    resumed++;
    MODEL_ASSERT(stack_at_rest == 1);
    cause = waiter_cause(&waiter);
    MODEL_ASSERT(cause == WAKE_EVENT || cause == WAKE_DEADLINE);
    MODEL_ASSERT(gift[cause - WAKE_EVENT] == GIFT);
}

static void sleeper(void)
{
    stack_at_rest = 1;
    put_away = waiter_fall_asleep(&waiter);
    if (!put_away) {
        resumed_early++;
        resume();
    }
}

static void claim(enum wake cause)
{
    enum claim c;

    gift[cause - WAKE_EVENT] = GIFT;
    c = waiter_claim(&waiter, cause);
    won += c != CLAIM_LOST;
    if (c == CLAIM_WAKE)
        resume();
}

static void event(void)
{
    claim(WAKE_EVENT);
}

static void deadline(void)
{
    claim(WAKE_DEADLINE);
}

/* The sleeper goes on and its stack holds another waiter, at the same place. */
static void event_of_a_short_sleep(void)
{
    gift[0] = GIFT;
    if (waiter_claim(&waiter, WAKE_EVENT) == CLAIM_WAKE) {
        resume();
        waiter_arm(&waiter);
    }
}

static void sleeper_who_goes_on(void)
{
    sleeper();
    if (!put_away)
        waiter_arm(&waiter);
}

static void setup(void)
{
    stack_at_rest = gift[0] = gift[1] = 0;
    won = resumed = resumed_early = 0;
    waiter_arm(&waiter);
    model_name(&waiter, "waiter");
    model_name(gift, "gift");
    model_name(&stack_at_rest, "stack");
    model_watch(gift, sizeof gift);
    model_watch(&stack_at_rest, sizeof stack_at_rest);
}

static void one_wins_and_the_sleeper_runs_once(void)
{
    MODEL_ASSERT(won == 1);
    MODEL_ASSERT(resumed == 1);
    MODEL_ASSERT(resumed_early == !put_away);
}

static void nobody_touched_the_next_waiter(void)
{
    MODEL_ASSERT(resumed == 1);
    MODEL_ASSERT(load_relaxed(&waiter.state) == WAITER_ARMED);
}

static const struct model_scenario scenarios[] = {
    {.name = "one_waker",
     .setup = setup,
     .threads = {{"sleeper", sleeper}, {"event", event}},
     .check = one_wins_and_the_sleeper_runs_once,
     .executions = 400000,
     .preemptions = 4},
    {.name = "event_against_deadline",
     .setup = setup,
     .threads = {{"sleeper", sleeper},
                 {"event", event},
                 {"deadline", deadline}},
     .check = one_wins_and_the_sleeper_runs_once,
     .preemptions = 4},
    {.name = "who_claimed_touches_nothing_after",
     .setup = setup,
     .threads = {{"sleeper", sleeper_who_goes_on},
                 {"event", event_of_a_short_sleep}},
     .check = nobody_touched_the_next_waiter,
     .executions = 400000,
     .preemptions = 4},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_waiter", scenarios});
}
