/* thrum/dir.h - what is in a directory.
 *
 *      thrum_dir *d;
 *      struct dirent *e;
 *      int rc = thrum_opendir(path, &d);
 *
 *      if (rc == 0) {
 *          while ((rc = thrum_readdir(d, &e)) > 0)
 *              ... e->d_name, e->d_type ...
 *          thrum_closedir(d);
 *      }
 *
 * They look like the calls of POSIX. No kernel lists a directory in its own time: a
 * thread of the blocking pool does, as by thrum_offload, some hundred entries a
 * call, and a small directory is one call in all. A call is waited for to its end.
 *
 * A whole tree is walked by a task for each directory (examples/walk.c).
 */
#ifndef THRUM_DIR_H
#define THRUM_DIR_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Include <dirent.h>, which says more of it. */
struct dirent;

/* A directory that is being read, by one task or thread at a time. */
typedef struct thrum_dir thrum_dir;

/* Open a directory, close-on-exec, and read the first of it.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Ownership:  path is read before this returns. *out is the caller's, to be given to
 *             thrum_closedir; it is set only if 0 is returned.
 * Returns:    0
 *             -ENOENT, -ENOTDIR, -EACCES, ... what open(2) says
 *             -ECANCELED
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what open(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_opendir(const char *path,
                                                           thrum_dir **out);

/* The next entry, in no order; "." and ".." are left out.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   if those that were read at once are used up.
 * Ownership:  *out is the directory's, until the next call.
 * Returns:    1, and *out is set
 *             0           there are no more
 *             -ECANCELED  none was passed over
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what getdents(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_readdir(thrum_dir *d,
                                                           struct dirent **out);

/* Close it. NULL: no effect.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 */
THRUM_API void thrum_closedir(thrum_dir *d);

#ifdef __cplusplus
}
#endif
#endif
