#include "os/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"

enum { LINE_MAX_BYTES = 512 };

static _Atomic(fault_explain *) explainer;
static _Atomic(void (*)(void)) teller; /* code: relaxed */
static pthread_once_t installed = PTHREAD_ONCE_INIT;

/* What was there before. */
struct previous {
    struct sigaction action; /* const after install */
    _Atomic bool spent;      /* it asked to be called only once, and was */
};

static struct previous segv, bus;

static void die_of(int sig, const siginfo_t *info)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};

    sigaction(sig, &plain, NULL);

    /* On return the instruction faults again, now for good. What somebody sent
     * (kill, raise, pthread_kill) does not come again by itself; it is blocked
     * until we return. */
    if (info->si_code <= 0)
        raise(sig);
}

/* As the kernel would have called it: with its mask. A handler that leaves by
 * siglongjmp restores the mask itself. */
static void call(const struct sigaction *handler, int sig, siginfo_t *info,
                 void *context)
{
    sigset_t mask, self;

    pthread_sigmask(SIG_BLOCK, &handler->sa_mask, &mask);
    if (handler->sa_flags & SA_NODEFER) {
        sigemptyset(&self);
        sigaddset(&self, sig);
        pthread_sigmask(SIG_UNBLOCK, &self, NULL);
    }
    if (handler->sa_flags & SA_SIGINFO)
        handler->sa_sigaction(sig, info, context);
    else
        handler->sa_handler(sig);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* A crash reporter often asks to be called once, returns, and counts on dying
 * of the next fault. */
static bool is_spent(struct previous *before)
{
    return (before->action.sa_flags & (int)SA_RESETHAND) &&
           exchange_acq_rel(&before->spent, true); /* [FT3] only the flag */
}

static bool is_function(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) ||
           (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
    struct previous *before = sig == SIGSEGV ? &segv : &bus;

    if (is_function(&before->action) && !is_spent(before))
        call(&before->action, sig, info, context);
    else if (before->action.sa_handler == SIG_IGN && info->si_code <= 0)
        return; /* the kernel ignores only what was sent */
    else
        die_of(sig, info);
}

/* Once. */
static void tell(void)
{
    void (*told)(void) = load_relaxed(&teller);

    store_relaxed(&teller, NULL);
    if (told != NULL)
        told();
}

static void on_abort(int sig)
{
    (void)sig;
    tell(); /* abort goes on when this returns */
}

/* Of what was interrupted. */
static const char *stack_pointer(const void *context)
{
    const ucontext_t *uc = context;

#if defined(__x86_64__)
    return (const char *)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const char *)uc->uc_mcontext.sp;
#else
    (void)uc;
    return NULL;
#endif
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    /* [FT2] Both kinds of guard count: madvise guards say SEGV_MAPERR, mprotect
     * guards SEGV_ACCERR. What was sent has no address. */
    fault_explain *explain = load_acquire(&explainer);
    char line[LINE_MAX_BYTES];
    int saved = errno;

    tell();
    if (info->si_code > 0 &&
        explain(info->si_addr, stack_pointer(context), line, sizeof line)) {
        ssize_t ignored = write(STDERR_FILENO, line, strlen(line));

        (void)ignored;
        die_of(sig, info);
    } else {
        pass_on(sig, info, context);
    }
    errno = saved;
}

static void install_one(int sig, struct sigaction *before)
{
    struct sigaction ours = {.sa_sigaction = on_fault,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK};

    /* Asked first and set second: from the moment ours is set it may run, and
     * read what was there before. */
    sigemptyset(&ours.sa_mask);
    if (sigaction(sig, NULL, before) == 0)
        (void)sigaction(sig, &ours, NULL);
}

static void install(void)
{
    install_one(SIGSEGV, &segv.action);
    install_one(SIGBUS, &bus.action);
}

/* A program that handles SIGABRT itself is left alone. */
void fault_tell(void (*told)(void))
{
    struct sigaction ours = {.sa_handler = on_abort, .sa_flags = SA_ONSTACK};
    struct sigaction plain = {.sa_handler = SIG_DFL}, now;

    store_relaxed(&teller, told);
    if (sigaction(SIGABRT, NULL, &now) == 0 &&
        (now.sa_flags & SA_SIGINFO) == 0 &&
        (now.sa_handler == SIG_DFL || now.sa_handler == on_abort))
        sigaction(SIGABRT, told == NULL ? &plain : &ours, NULL);
}

void fault_start(fault_explain *explain)
{
    store_release(&explainer, explain); /* [FT1] what explain reads */
    pthread_once(&installed, install);
}
