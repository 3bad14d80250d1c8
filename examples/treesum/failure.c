/* failure.c - what kept a file from being hashed, as errors with kinds. */
#include "treesum.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUOTED_MAX = 900 };

THRUM_KIND(Forbidden, THRUM_ERROR);
THRUM_KIND(Missing, THRUM_ERROR); /* gone since it was listed, or never there */
THRUM_KIND(NotRegular, THRUM_ERROR);
THRUM_KIND(Changed, THRUM_ERROR);
THRUM_KIND(Unreadable, THRUM_ERROR);
THRUM_KIND(NotWritten, THRUM_ERROR);

/* A name may hold what moves a terminal's cursor: show such bytes in octal. */
static void quote(char quoted[QUOTED_MAX], const char *path)
{
    size_t used = 0;

    for (; *path && used < QUOTED_MAX - 5; path++) {
        unsigned char byte = (unsigned char)*path;

        if (byte == '\n')
            used += (size_t)sprintf(quoted + used, "\\n");
        else if (byte < ' ' || byte == 0x7f)
            used += (size_t)sprintf(quoted + used, "\\%03o", byte);
        else
            quoted[used++] = *path;
    }
    quoted[used] = '\0';
}

static const thrum_kind *kind_of(int rc)
{
    switch (-rc) {
    case EACCES:
    case EPERM:
        return &Forbidden;
    case ENOENT:
    case ENOTDIR:
    case ESTALE:
        return &Missing;
    case EISDIR:
    case ELOOP: /* a symbolic link has taken its place */
    case ENXIO: /* a socket */
        return &NotRegular;
    default:
        return &Unreadable;
    }
}

/* The error of an entry that could not be opened or read. rc is -errno. */
thrum_err *failure_of(const char *path, int rc)
{
    char quoted[QUOTED_MAX];

    quote(quoted, path);
    return thrum_wrap(thrum_rc(rc), kind_of(rc), "%s", quoted);
}

thrum_err *failure_changed(const char *path, const struct stat *before,
                           const struct stat *after)
{
    char quoted[QUOTED_MAX];

    quote(quoted, path);
    return thrum_fail(&Changed,
                      "%s: while it was read, from %lld to %lld bytes", quoted,
                      (long long)before->st_size, (long long)after->st_size);
}

static thrum_err *failure_at(size_t i, void *ctx)
{
    return ((thrum_err **)ctx)[i];
}

/* All failures as one error, in the order of their paths. A scope folds what its
 * children return; so one child is called for each failure. */
thrum_err *failures_gather(struct tree *tree)
{
    thrum_err **failures, *all;
    size_t count = 0;

    for (size_t i = 0; i < tree->count; i++)
        count += tree->files[i].err != NULL;
    if (!count)
        return NULL;
    failures = malloc(count * sizeof *failures);
    if (!failures)
        return thrum_rc(-ENOMEM);
    count = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->files[i].err) {
            failures[count++] = tree->files[i].err;
            tree->files[i].err = NULL;
        }
    all = thrum_each(count, failure_at, failures, .policy = THRUM_SETTLE,
                     .max_errors = FAILURES_TOLD);
    free(failures);
    return all;
}
