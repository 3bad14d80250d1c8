/* output.c - the lines, as sha256sum and b2sum write them.
 *
 * A FILE appears under its name when it is complete, or not at all: what is
 * written is called FILE.XXXXXX until then. What is no regular file, such as
 * /dev/full, is written to in place.
 */
#include "treesum.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10 };

/* For the signal handler: what to take away. */
static char *_Atomic temporary_now;

static void die_tidily(int sig)
{
    char *temporary = atomic_load(&temporary_now);

    if (temporary)
        unlink(temporary);
    signal(sig, SIG_DFL);
    raise(sig);
}

/* A signal comes before the file is there, or when it is known. No thread but this
 * one runs yet. */
static int make_temporary(char *name)
{
    sigset_t all, before;
    int fd;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        fd = -errno;
    else
        atomic_store(&temporary_now, name);
    for (const int *sig = (const int[]){SIGHUP, SIGINT, SIGTERM, 0};
         fd >= 0 && *sig; sig++)
        if (signal(*sig, die_tidily) == SIG_IGN)
            signal(*sig, SIG_IGN);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fd;
}

static thrum_err *failed(const struct output *output, int error)
{
    return thrum_wrap(thrum_rc(-error), &NotWritten, "%s", output->name);
}

/* Open FILE.XXXXXX beside the file that `name` leads to; it gets the mode which
 * that one has, or which a new file would have. */
static int open_temporary(struct output *output, const struct stat *old)
{
    mode_t mask = umask(0);
    mode_t mode = old->st_mode ? old->st_mode & 0777 : 0666 & ~mask;

    umask(mask);
    output->target = old->st_mode ? realpath(output->name, NULL)
                                  : strdup(output->name);
    if (!output->target ||
        asprintf(&output->temporary, "%s.XXXXXX", output->target) < 0) {
        output->temporary = NULL;
        return -errno;
    }
    output->fd = make_temporary(output->temporary);
    if (output->fd < 0) {
        free(output->temporary);
        output->temporary = NULL;
        return output->fd;
    }
    return fchmod(output->fd, mode) < 0 ? -errno : 0;
}

/* Before anything is hashed, so that a FILE that cannot be is told at once. */
thrum_err *output_open(struct output *output, const char *name)
{
    struct stat *ours = output->tree->ours, old = {0};
    int rc = 0;

    output->name = name ? name : "standard output";
    output->fd = STDOUT_FILENO;
    if (name && stat(name, &old) < 0 && errno != ENOENT)
        return failed(output, errno);
    if (name && old.st_mode && !S_ISREG(old.st_mode)) {
        output->fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        rc = output->fd < 0 ? -errno : 0;
    } else if (name) {
        rc = open_temporary(output, &old);
    }
    if (rc < 0)
        return failed(output, -rc);
    ours[0] = old;
    rc = fcntl(output->fd, F_GETFL);
    if (rc < 0 || (rc & O_ACCMODE) == O_RDONLY)
        return failed(output, EBADF);
    if (fstat(output->fd, &ours[1]) < 0)
        return failed(output, errno);
    return NULL;
}

static void write_line(FILE *stream, const unsigned char *digest, size_t size,
                       const char *path)
{
    char hex[2 * EVP_MAX_MD_SIZE + 2];
    bool escaped = strpbrk(path, "\\\n\r") != NULL;

    for (size_t i = 0; i < size; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[2 * size] = hex[2 * size + 1] = ' ';
    if (escaped)
        putc_unlocked('\\', stream);
    fwrite_unlocked(hex, 1, 2 * size + 2, stream);
    if (!escaped)
        fputs_unlocked(path, stream);
    for (; escaped && *path; path++) {
        static const char special[] = "\\\n\r", letters[] = "\\nr";
        const char *found = strchr(special, *path);

        if (found)
            putc_unlocked('\\', stream);
        putc_unlocked(found ? letters[found - special] : *path, stream);
    }
    putc_unlocked('\n', stream);
}

static int write_lines(const struct output *output, FILE *stream)
{
    const struct tree *tree = output->tree;
    struct path path = {0};
    int rc = 0;

    for (size_t i = 0; i < tree->count && rc == 0; i++) {
        const struct file *file = &tree->files[i];

        if (file->err)
            continue;
        rc = path_set(&path, file->dir, file->name);
        if (rc == 0)
            write_line(stream, tree->digests + i * output->digest_size,
                       output->digest_size, path.bytes);
        if (ferror_unlocked(stream))
            rc = -errno;
    }
    free(path.bytes);
    return rc;
}

/* A job for the pool: write all lines, and give FILE its name. */
thrum_err *output_write(void *arg)
{
    struct output *output = arg;
    FILE *stream = fdopen(output->fd, "w");
    int rc;

    if (!stream)
        return failed(output, errno);
    output->fd = -1;
    setvbuf(stream, NULL, _IOFBF, BUFFER_BYTES);
    rc = write_lines(output, stream);
    if (rc == 0 && fflush(stream) == EOF)
        rc = -errno;
    if (rc == 0 && output->temporary && fsync(fileno(stream)) < 0)
        rc = -errno;
    if (fclose(stream) == EOF && rc == 0)
        rc = -errno;
    if (rc == 0 && output->temporary) {
        if (rename(output->temporary, output->target) < 0)
            rc = -errno;
        else
            atomic_store(&temporary_now, NULL);
    }
    return rc < 0 ? failed(output, -rc) : NULL;
}

/* The end, after a success or not. */
void output_close(struct output *output)
{
    char *left = atomic_exchange(&temporary_now, NULL);

    if (left)
        unlink(left);
    if (output->fd > STDERR_FILENO)
        close(output->fd);
    free(output->temporary);
    free(output->target);
}
