/* walk.c - list all directories, one wave of them after the other.
 *
 * A wave is the directories one level further down. Each of them is listed by a
 * call of its own, off the workers, at most `limit` at once. So a million
 * directories are a million entries of an array, not as many tasks; and one
 * directory in the other, however deep, is many short waves on a flat stack.
 */
#include "treesum.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct wave {
    struct dir **dirs;
    size_t count, capacity;
    struct tree *tree;
    struct progress *progress;
};

/* One directory, in the pool. */
struct listing {
    struct dir *dir;
    struct wave *wave;
    struct path path;
    int rc; /* 0, or the -errno that ended it */
};

/* Our output is not hashed while it is being written. */
static bool is_ours(const struct tree *tree, const struct stat *st)
{
    for (int i = 0; i < 2; i++)
        if (S_ISREG(tree->ours[i].st_mode) &&
            st->st_ino == tree->ours[i].st_ino &&
            st->st_dev == tree->ours[i].st_dev)
            return true;
    return false;
}

/* Add what is called name in the directory behind fd, if it is ours to hash. */
static int add_entry(struct listing *listing, int fd,
                     const struct dirent64 *found)
{
    struct dir *dir = listing->dir;
    unsigned char type = found->d_type;
    struct stat st = {0};

    if (type == DT_UNKNOWN || type == DT_REG) {
        /* Should it be gone already: opening it will say so. */
        if (fstatat(fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            st = (struct stat){.st_mode = S_IFREG};
        type = IFTODT(st.st_mode);
    }
    if (is_ours(listing->wave->tree, &st))
        type = DT_WHT;
    switch (type) {
    case DT_REG:
    case DT_DIR:
        return dir_add(dir, found->d_name, (uint64_t)st.st_size,
                       type == DT_DIR);
    case DT_LNK:
        dir->links++;
        return 0;
    default:
        dir->others++;
        return 0;
    }
}

static bool is_dot(const char *name)
{
    return name[0] == '.' &&
           (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Read the directory behind fd to its end, some hundred entries a call. */
static int read_entries(struct listing *listing, int fd)
{
    _Alignas(struct dirent64) char batch[32 << 10];
    ssize_t length;
    int rc = 0;

    while (rc == 0 && (length = getdents64(fd, batch, sizeof batch)) > 0)
        for (ssize_t at = 0; rc == 0 && at < length;) {
            struct dirent64 *found = (struct dirent64 *)(void *)(batch + at);

            if (!is_dot(found->d_name))
                rc = add_entry(listing, fd, found);
            at += found->d_reclen;
        }
    listing->rc = rc == 0 && length < 0 ? -errno : 0;
    return rc;
}

/* A job for the pool. What is wrong with the directory goes to the directory;
 * what is wrong with us is returned. */
static thrum_err *list_blocking(void *arg)
{
    struct listing *listing = arg;
    struct dir *dir = listing->dir;
    int fd, rc;

    THRUM_TRY(path_set(&listing->path, dir->parent, dir->name));
    /* Links are followed where the user names one, and nowhere else. */
    fd = path_open(&listing->path,
                   O_DIRECTORY | (dir->parent->parent ? O_NOFOLLOW : 0));
    if (fd < 0) {
        listing->rc = fd;
        return NULL;
    }
    rc = read_entries(listing, fd);
    path_close(fd);
    dir_sort(dir);
    return thrum_rc(rc);
}

static thrum_err *list(size_t i, void *ctx)
{
    struct wave *wave = ctx;
    struct listing listing = {.dir = wave->dirs[i], .wave = wave};
    unsigned tries = 0;
    thrum_err *e;

    do
        e = thrum_offload(list_blocking, &listing);
    while (!e && path_wait_for_descriptor(listing.rc, &tries));
    if (!e && listing.rc < 0)
        listing.dir->err = failure_of(listing.path.bytes, listing.rc);
    atomic_fetch_add_explicit(&wave->progress->found, listing.dir->count,
                              memory_order_relaxed);
    free(listing.path.bytes);
    return e;
}

/* The directories in dir are part of the next wave. */
static int wave_add(struct wave *wave, const struct dir *dir)
{
    struct dir **dirs;

    for (size_t i = 0; i < dir->count; i++) {
        if (!dir->entries[i].child)
            continue;
        dirs = array_grow(wave->dirs, &wave->capacity, wave->count + 1,
                          sizeof *dirs);
        if (!dirs)
            return -ENOMEM;
        wave->dirs = dirs;
        wave->dirs[wave->count++] = dir->entries[i].child;
    }
    return 0;
}

/* A job for the pool. What cannot be looked at is taken for a file: opening it
 * will tell why. */
static thrum_err *look_at_arguments(void *arg)
{
    struct tree *tree = arg;
    struct stat st;

    for (char **argument = tree->arguments; *argument; argument++) {
        if (stat(*argument, &st) < 0)
            st = (struct stat){0};
        THRUM_TRY(dir_add(&tree->top, *argument,
                          S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0,
                          S_ISDIR(st.st_mode)));
    }
    dir_sort(&tree->top);
    return NULL;
}

thrum_err *walk(struct tree *tree, unsigned limit, struct progress *progress)
{
    struct wave wave = {.tree = tree, .progress = progress};
    thrum_err *e = thrum_offload(look_at_arguments, tree);

    if (!e)
        e = thrum_rc(wave_add(&wave, &tree->top));
    while (!e && wave.count) {
        struct wave next = {.tree = tree, .progress = progress};

        e = thrum_each(wave.count, list, &wave, .name = "walk", .limit = limit);
        for (size_t i = 0; !e && i < wave.count; i++)
            e = thrum_rc(wave_add(&next, wave.dirs[i]));
        free(wave.dirs);
        wave = next;
    }
    free(wave.dirs);
    return e;
}
