/* Signals of two kinds, that are counted. Each has the number of the step that sends
 * it, and comes to one. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "things.h"

enum { KINDS = 2 };

static struct {
    bool sent, taken;
    int kind;
} all[STEPS_MAX];

/* Of each kind that nobody has been told of. */
static unsigned pending[KINDS];

/* Before libFuzzer has a thread. */
__attribute__((__constructor__)) static void block(void)
{
    sigset_t set = thrum_signals_block(SIGRTMIN, SIGRTMIN + 1);

    (void)set;
}

static bool waits_for(const struct step *s, int kind)
{
    return s->which % 3 == 2 || s->which % 3 == kind;
}

static sigset_t set_of(const struct step *s)
{
    sigset_t set;

    sigemptyset(&set);
    for (int kind = 0; kind < KINDS; kind++)
        if (waits_for(s, kind))
            sigaddset(&set, SIGRTMIN + kind);
    return set;
}

static thrum_err *send_one(const struct step *s)
{
    int kind = s->which % KINDS;
    union sigval number = {.sival_int = (int)number_of(s)};

    all[number_of(s)].sent = true;
    all[number_of(s)].kind = kind;
    pending[kind]++;
    must(sigqueue(getpid(), SIGRTMIN + kind, number) == 0);
    return NULL;
}

static void note_taken(const struct step *s, int signal, const siginfo_t *info)
{
    int number = info->si_value.sival_int, kind = signal - SIGRTMIN;

    must(kind >= 0 && kind < KINDS && waits_for(s, kind));
    must(info->si_signo == signal && info->si_pid == getpid());
    must(number >= 0 && number < program.step_count);
    must(all[number].sent && all[number].kind == kind);
    must(!all[number].taken);
    all[number].taken = true;
    pending[kind]--;
}

static thrum_err *await(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    sigset_t set = set_of(s);
    siginfo_t info;
    int64_t rc = attempted(a, thrum_signal_wait(&set, &info));

    must(rc > 0 || rc == -ECANCELED ||
         (program.faults && (rc == -ENOMEM || rc == -ENOSPC)));
    if (rc > 0)
        note_taken(s, (int)rc, &info);
    return rc == -ECANCELED ? thrum_rc(rc) : NULL;
}

static thrum_err *do_step(struct task *t, struct step *s)
{
    return s->options & 1 ? send_one(s) : await(t, s);
}

static bool is_right(const struct step *s)
{
    for (int kind = 0; kind < KINDS; kind++)
        if (waits_for(s, kind) && pending[kind] > 0)
            return false;
    return true;
}

static void make(void)
{
    NOTED(all);
    NOTED(pending);
    memset(all, 0, sizeof all);
    memset(pending, 0, sizeof pending);
}

/* What nobody has taken is there still. */
static void end(void)
{
    static const struct timespec at_once = {0, 0};
    struct step both = {.which = 2};
    sigset_t set = set_of(&both);
    siginfo_t info;
    int signal;

    while ((signal = sigtimedwait(&set, &info, &at_once)) > 0)
        note_taken(&both, signal, &info);
    must(pending[0] == 0 && pending[1] == 0);
}

const struct things signals = {make, end, do_step, is_right};
