/* play.h - a process of a simulation: no program is run, a task plays it
 * (thrum_sim_opts.programs).
 *
 * The task is one of the background, so that one that nobody waits for is found. It
 * has copies of the descriptors, and closes them when it ends, and last the other
 * end of the pipe by which that is waited for: so its streams and its end are told
 * as all else of the kernel's (simulate.h). A signal cancels it.
 */
#ifndef IO_PLAY_H
#define IO_PLAY_H

#include <stdbool.h>
#include <sys/types.h>

struct thrum_played_;

/* Of the calling task's simulation, with these as its first three descriptors, -1:
 * as here. *end is ready to read when it has ended. 0, -ECANCELED, -ENOENT,
 * -ENOSYS (it has no programs), -ENOMEM, -EAGAIN, -EMFILE, -ENFILE. */
int play_start(struct thrum_played_ **made, char *const *argv, const int fds[3],
               int *end);

/* As process_signal, process_has_ended and process_reap; after that it is gone. */
int play_signal(struct thrum_played_ *p, int signal);
int play_has_ended(const struct thrum_played_ *p);
int play_reap(struct thrum_played_ *p, int *status);

#endif
