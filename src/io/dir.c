/* Directories, listed in the blocking pool: the kernel's ring has no such call. */

#include <thrum/dir.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/alloc.h"
#include "io/call.h"
#include "io/file.h"
#include "io/simulate.h"
#include "os/file.h"
#include "os/transfer.h"

/* MOST: bytes of one entry, no more than there are in a struct dirent. */
enum { ROOM = 32 << 10, MOST = sizeof(struct dirent) };

struct thrum_dir {
    const char *path; /* while it is opened */
    int fd;           /* negative before */
    bool all;         /* behind what is in `bytes` there is nothing */
    size_t at, end;   /* in `bytes`: what was read, and not told yet */
    _Alignas(struct dirent) char bytes[ROOM];
};

struct fill {
    struct thrum_dir *d;
    ssize_t result; /* 0, or -errno */
};

/* As much as there is room for: so the end of a small one is seen at once. What
 * fails after some were read fails again when these are used up. */
static ssize_t fill_up(struct thrum_dir *d)
{
    ssize_t got = 1;

    d->at = d->end = 0;
    while (got > 0 && sizeof d->bytes - d->end >= MOST) {
        got = file_list(d->fd, d->bytes + d->end, sizeof d->bytes - d->end);
        d->end += got > 0 ? (size_t)got : 0;
    }
    d->all = got == 0;
    return got < 0 && d->end == 0 ? got : 0;
}

static thrum_err *open_and_fill(void *arg)
{
    struct fill *f = arg;
    struct thrum_dir *d = f->d;

    if (d->fd < 0)
        d->fd = (int)file_make(&(struct file_call){
            .what = FILE_OPEN, .path = d->path, .flags = O_DIRECTORY});
    f->result = d->fd < 0 ? d->fd : fill_up(d);
    return NULL;
}

static int fill(struct thrum_dir *d, enum simulated_call call)
{
    struct fill f = {.d = d};
    int rc = simulated() ? simulate_call(call) : 0;

    return rc < 0 ? rc
                  : (int)file_elsewhere(-1, 0, open_and_fill, &f, &f.result);
}

int thrum_opendir(const char *path, thrum_dir **out)
{
    struct thrum_dir *d;
    int rc;

    REQUIRE(path != NULL && out != NULL,
            "no path, or no place for the directory");
    if (call_canceled())
        return -ECANCELED;
    d = alloc(sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    d->path = path;
    d->fd = -1;
    rc = fill(d, SIMULATE_OPEN);
    if (rc < 0)
        thrum_closedir(d);
    else
        *out = d;
    return rc;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' &&
           (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

int thrum_readdir(thrum_dir *d, struct dirent **out)
{
    int rc = call_canceled() ? -ECANCELED : 0;

    REQUIRE(d != NULL && out != NULL,
            "no directory, or no place for the entry");
    while (rc == 0 && (d->at < d->end || !d->all)) {
        struct dirent *e = (struct dirent *)(void *)(d->bytes + d->at);

        if (d->at == d->end) {
            rc = fill(d, SIMULATE_FILE);
            continue;
        }
        d->at += e->d_reclen;
        if (is_dot(e->d_name))
            continue;
        *out = e;
        return 1;
    }
    return rc;
}

void thrum_closedir(thrum_dir *d)
{
    if (d == NULL)
        return;
    if (d->fd >= 0)
        (void)transfer_close(d->fd);
    release(d);
}
