/* hash.c - lanes: the pool reads, the workers hash.
 *
 * There are as many lanes as --limit says: that is how many files are open at
 * once.
 */
/* link: -lcrypto */
#include "lane.h"

#include <errno.h>
#include <stdlib.h>

static thrum_err *load_hash(void *arg)
{
    struct load *load = arg;
    struct work *work = load->lane->work;
    EVP_MD_CTX *context = load->lane->context;
    const unsigned char *bytes = load->bytes;
    size_t files = 0;
    int fine = 1;

    for (size_t i = 0; i < load->count; i++) {
        const struct span *span = &load->spans[i];

        if (span->first)
            fine &= EVP_DigestInit_ex(context, NULL, NULL);
        fine &= EVP_DigestUpdate(context, bytes + span->at, span->length);
        if (span->last)
            fine &= EVP_DigestFinal_ex(
                context, work->tree->digests + span->file * work->digest_size,
                NULL);
        files += span->last;
    }
    atomic_fetch_add_explicit(&work->progress->files, files,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&work->progress->bytes, load->length,
                              memory_order_relaxed);
    return fine ? NULL : thrum_fail(&THRUM_ERROR, "libcrypto cannot hash");
}

/* The hashing is forked before the reading is asked for. The reading suspends
 * this task; so its worker is free, and takes the fork. */
static thrum_err *lane_loop(struct lane *lane)
{
    struct load *full = &lane->loads[0], *empty = &lane->loads[1];

    THRUM_TRY(load_read(full));
    while (full->count) {
        struct load *hashed = full;
        thrum_task hashing;
        thrum_err *e;

        thrum_fork(&hashing, load_hash, full);
        e = load_read(empty);
        THRUM_TRY(thrum_err_add(thrum_join(&hashing), e));
        full = empty;
        empty = hashed;
    }
    return NULL;
}

static thrum_err *lane_run(size_t i, void *ctx)
{
    struct lane lane = {.work = ctx, .fd = -1};
    unsigned char *bytes = malloc(2 * LOAD_BYTES);
    thrum_err *e = thrum_rc(-ENOMEM);

    (void)i;
    lane.loads[0] = (struct load){.lane = &lane, .bytes = bytes};
    lane.loads[1] = (struct load){.lane = &lane, .bytes = bytes + LOAD_BYTES};
    lane.context = EVP_MD_CTX_new();
    /* Once with the algorithm: looking it up costs more than a small hash. */
    if (bytes && lane.context &&
        EVP_DigestInit_ex(lane.context, lane.work->algorithm, NULL))
        e = lane_loop(&lane);
    if (lane.fd >= 0)
        path_close(lane.fd);
    EVP_MD_CTX_free(lane.context);
    free(lane.path.bytes);
    free(bytes);
    return e;
}

thrum_err *hash(struct tree *tree, unsigned limit, const EVP_MD *algorithm,
                struct progress *progress)
{
    struct work work = {.tree = tree,
                        .progress = progress,
                        .algorithm = algorithm,
                        .digest_size = (size_t)EVP_MD_size(algorithm)};
    size_t lanes = limit < tree->parcel_count ? limit : tree->parcel_count;

    return thrum_each(lanes, lane_run, &work, .name = "hash");
}
