/* fault.h - say what an overflowed stack is before the program dies of it.
 *
 * Knows nothing of stacks: whoever knows where they are, and their guards,
 * explains an address. The handlers for SIGSEGV and SIGBUS are installed once per
 * process, never removed, and pass on what is not ours to the handlers that were
 * there before. A handler the application installs later replaces ours; nothing is
 * done against that. Where a filter refuses sigaction(2) there are none, and an
 * overflow is a plain fault.
 *
 * They run on the alternate signal stack (os/altstack.h). A thread without one
 * that overflows dies silently, as it would without us.
 *
 * Ordering
 *   [FT1] fault_start -> [FT2] the handler   what explain reads
 *   [FT3] between handlers                   nothing but who was first
 */
#ifndef OS_FAULT_H
#define OS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* A fault at addr, by code whose stack pointer was sp (NULL: this CPU's is not
 * known). If it is an overflow of ours, write one line of text that ends in a
 * newline and a '\0' to line[n] and return true. Runs in a signal handler on a
 * thread that may have been anywhere: async-signal-safe functions only, no
 * locks. */
typedef bool fault_explain(const char *addr, const char *sp, char *line,
                           size_t n);

/* Install the handlers if they are not, and ask explain from now on. Any
 * thread, any number of times.
 *
 * A fault that explain says true to: its line goes to stderr and the program
 * dies of the signal, at the faulting instruction, as without us (a core dump,
 * the right exit status). The previous handler is not asked then.
 */
void fault_start(fault_explain *explain);

/* Call `tell` before the program dies of an abort, or of a fault that is not
 * explained, on the thread that does; it may print. NULL: not any more. */
void fault_tell(void (*tell)(void));

#endif
