/* lane.h - what a lane is made of.
 *
 * A lane is a task that takes one parcel after the other until none is left. It
 * has two loads, which change places: while the one is read in the pool, the
 * other is hashed on a worker. A load is a buffer full of whatever comes next:
 * many small files, or a piece of a large one. So a small file costs its share
 * of one trip to the pool for some dozens, and a large one is read ahead of the
 * hashing, by the same few lines.
 *
 * Hashing in the pool, where the bytes have just been read, would save a tenth
 * of the time on small files that are cached (measured: 0.62 s for 0.68 s, 57 000
 * files, two cores). But then the number of cores would not be the number of
 * hashes under way, and a file that is slow to come would keep a core from them.
 *
 * Reading and hashing never touch the same load: load_read gives it to the
 * hashing when it returns, and the join of load_hash gives it back.
 */
#ifndef LANE_H
#define LANE_H

#include "treesum.h"

enum { LOAD_BYTES = 256 << 10, LOAD_SPANS = 128 };

/* What all lanes share. */
struct work {
    struct tree *tree;
    struct progress *progress;
    const EVP_MD *algorithm;
    size_t digest_size;
    _Atomic(size_t) next; /* parcel */
};

/* Bytes of one file that lie in a load. */
struct span {
    size_t file, at, length;
    bool first, last; /* the file's first bytes, its last */
};

struct load {
    struct lane *lane;
    unsigned char *bytes;
    size_t length;
    struct span spans[LOAD_SPANS];
    size_t count;
    int rc;    /* what kept it from being filled */
    bool more; /* this was not the last one */
};

struct lane {
    struct work *work;
    struct load loads[2];
    EVP_MD_CTX *context; /* for the hashing */

    /* for the reading */
    size_t file, end; /* of the parcel */
    int fd;           /* of file; -1: not open */
    struct stat status;
    uint64_t done; /* bytes read of it */
    struct path path;
};

/* read.c: have a load filled; it stays empty only after the last one. */
thrum_err *load_read(struct load *load);

#endif
