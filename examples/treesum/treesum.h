/* treesum.h - checksums of all files below some directories, on all cores.
 *
 * A run has four steps, each in its own file:
 *
 *   walk.c      list the directories, a wave of them at a time
 *   tree.c      lay the files out in the order of their paths; cut into parcels
 *   hash.c      lanes take parcels: the pool (read.c) reads, the workers hash
 *   output.c    write the lines
 *
 * beside which failure.c makes errors of what went wrong, path.c names and opens
 * files and progress.c draws the bar.
 *
 * What a tree of a million files needs is bounded by design. Descriptors: one
 * for each file under way (--limit), two while a very long path is opened.
 * Tasks and stacks: as many as files are under way. Memory: for a file its name,
 * 56 bytes and the digest (32 or 64); for a lane 512 KiB of buffers.
 */
#ifndef TREESUM_H
#define TREESUM_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <openssl/evp.h>
#include <thrum.h>

enum { MAX_LIMIT = 1 << 16, FAILURES_TOLD = 100 };

/* --- tree.c: what was found ----------------------------------------------- */

/* In a directory: a regular file, or a directory. */
struct entry {
    union {
        size_t offset; /* into the names, while the directory is listed */
        const char *name;
    };
    uint64_t size;
    struct dir *child; /* NULL: a file */
};

struct dir {
    struct dir *parent; /* NULL: this one holds the arguments */
    const char *name;
    size_t prefix; /* bytes of its path, with the slash behind it */

    char *names;
    size_t names_length, names_capacity;
    struct entry *entries;
    size_t count, capacity;
    size_t next; /* how far the tour has come */

    size_t links, others; /* not looked at */
    thrum_err *err;       /* why it could not be listed, or not to its end */
};

struct file {
    const struct dir *dir;
    const char *name;
    uint64_t size;  /* when the directory was listed */
    thrum_err *err; /* why there is no digest */
};

/* What one lane takes at a time: a file, or some small ones that follow each
 * other. */
struct parcel {
    size_t first, count;
    uint64_t bytes;
};

struct tree {
    char **arguments;
    struct dir top;
    struct file *files; /* in the order of their paths */
    size_t count;
    unsigned char *digests;
    struct parcel *parcels; /* in the order to take them */
    size_t parcel_count;

    uint64_t bytes;
    size_t dirs, links, others;
    struct stat ours[2]; /* what we write, and what it replaces: left out */
};

void *array_grow(void *array, size_t *capacity, size_t needed, size_t size);
int dir_add(struct dir *dir, const char *name, uint64_t size, bool is_dir);
void dir_sort(struct dir *dir);
thrum_err *tree_lay_out(struct tree *tree, size_t digest_size);
void tree_free(struct tree *tree);

/* --- path.c --------------------------------------------------------------- */

struct path {
    char *bytes;
    size_t capacity;
};

int path_set(struct path *path, const struct dir *dir, const char *name);
int path_open(struct path *path, int flags);
void path_close(int fd);
bool path_wait_for_descriptor(int rc, unsigned *tries);

/* --- failure.c ------------------------------------------------------------ */

extern const thrum_kind Forbidden, Missing, NotRegular, Changed, Unreadable;
extern const thrum_kind NotWritten;

thrum_err *failure_of(const char *path, int rc);
thrum_err *failure_changed(const char *path, const struct stat *before,
                           const struct stat *after);
thrum_err *failures_gather(struct tree *tree);

/* --- progress.c ----------------------------------------------------------- */

/* The counters are for the eye: they order nothing. */
struct progress {
    thrum_time start;
    _Atomic(size_t) found; /* entries, while walking */
    _Atomic(size_t) files; /* hashed */
    _Atomic(uint64_t) bytes;
    _Atomic(bool) hashing; /* set after the totals, which are const then */
    size_t all_files;
    uint64_t all_bytes;
    _Atomic(bool) finished;
};

thrum_err *progress_show(void *progress);
void progress_begin(struct progress *progress, const struct tree *tree);
void progress_end(struct progress *progress);
void progress_summary(const struct progress *progress, const struct tree *tree);

/* --- the steps ------------------------------------------------------------ */

thrum_err *walk(struct tree *tree, unsigned limit, struct progress *progress);
thrum_err *hash(struct tree *tree, unsigned limit, const EVP_MD *algorithm,
                struct progress *progress);

struct output {
    struct tree *tree;
    size_t digest_size;
    int fd;
    const char *name;
    char *temporary, *target; /* NULL: written in place */
};

thrum_err *output_open(struct output *output, const char *name);
thrum_err *output_write(void *output);
void output_close(struct output *output);

#endif
