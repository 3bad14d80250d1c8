/* How do trees scale that nobody can foresee? Unbalanced Tree Search.
 *
 * The published trees with their published sizes (Olivier et al., LCPC 2006).
 * A node is 20 bytes: SHA-1 of its parent's and its own number among the
 * siblings. What it hashed to says how many children it has. T1 and T1L are
 * bushy, T2's depth comes and goes, T3 is 1572 levels deep and lopsided.
 */
/* link: -lcrypto -lm */
#include <math.h>
#include <string.h>

/* A node hashes 24 bytes. Libcrypto's call for that takes five times as long as
 * the hash; with EVP somebody would have to keep a context for each thread. The
 * older interface wants neither, and is deprecated. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <thrum.h>

#include "bench.h"

enum shape { BINOMIAL, FIXED, CYCLIC };

struct tree {
    enum shape shape;
    double branching; /* at the root */
    int depth;
    double chance; /* binomial: that a node has children .. */
    int children;  /* .. and how many then */
    uint32_t seed;
    long size; /* 0: not published, count it */
};

static const struct tree t1 = {
    .shape = FIXED, .depth = 10, .branching = 4, .seed = 19, .size = 4130071};
static const struct tree t1_small = {
    .shape = FIXED, .depth = 6, .branching = 4, .seed = 19};
static const struct tree t1l = {
    .shape = FIXED, .depth = 13, .branching = 4, .seed = 29, .size = 102181082};
static const struct tree t2 = {
    .shape = CYCLIC, .depth = 16, .branching = 6, .seed = 502, .size = 4117769};
static const struct tree t3 = {.shape = BINOMIAL,
                               .branching = 2000,
                               .chance = 0.124875,
                               .children = 8,
                               .seed = 42,
                               .size = 4112897};
static const struct tree t3_small = {.shape = BINOMIAL,
                                     .branching = 20,
                                     .chance = 0.12,
                                     .children = 8,
                                     .seed = 42};

static struct tree tree;

/* ------------------------------------------------------------------- a node */

struct node {
    unsigned char state[SHA_DIGEST_LENGTH];
    int depth;
};

static void put_big_endian(unsigned char *at, uint32_t x)
{
    at[0] = (unsigned char)(x >> 24);
    at[1] = (unsigned char)(x >> 16);
    at[2] = (unsigned char)(x >> 8);
    at[3] = (unsigned char)x;
}

static __attribute__((noinline)) struct node hash(const unsigned char *text,
                                                  size_t bytes, int depth)
{
    struct node node = {.depth = depth};
    SHA_CTX sha;

    SHA1_Init(&sha);
    SHA1_Update(&sha, text, bytes);
    SHA1_Final(node.state, &sha);
    return node;
}

static struct node root(void)
{
    unsigned char text[20] = {0};

    put_big_endian(text + 16, tree.seed);
    return hash(text, sizeof text, 0);
}

/* Its text is on nobody's stack while the tree below it is walked. */
static __attribute__((noinline)) struct node child(const struct node *up, int i)
{
    unsigned char text[24];

    memcpy(text, up->state, 20);
    put_big_endian(text + 20, (uint32_t)i);
    return hash(text, sizeof text, up->depth + 1);
}

/* In [0, 1), from the state's last 31 bits. */
static double chance(const struct node *node)
{
    const unsigned char *s = node->state + 16;
    uint32_t bits = (uint32_t)(s[0] & 0x7f) << 24 | (uint32_t)s[1] << 16 |
                    (uint32_t)s[2] << 8 | s[3];

    return bits / 2147483648.0;
}

static double branching(int depth)
{
    const double pi = 3.141592653589793;

    if (depth == 0)
        return tree.branching;
    if (tree.shape == FIXED)
        return depth < tree.depth ? tree.branching : 0;
    if (depth > 5 * tree.depth)
        return 0;
    return pow(tree.branching, sin(2 * pi * depth / tree.depth));
}

static int children(const struct node *node)
{
    double p;
    int n;

    if (tree.shape == BINOMIAL) {
        if (node->depth == 0)
            return (int)tree.branching;
        return chance(node) < tree.chance ? tree.children : 0;
    }
    /* Geometrically distributed, with branching() as its mean. */
    p = 1 / (1 + branching(node->depth));
    n = (int)floor(log(1 - chance(node)) / log(1 - p));
    return n < 100 ? n : 100;
}

/* --------------------------------------------------------------- the floor */

static long count_serial(struct node node)
{
    long sum = 1;
    int n = children(&node);

    for (int i = 0; i < n; i++)
        sum += count_serial(child(&node, i));
    return sum;
}

static void pair(void)
{
    bench_expect("the number of nodes", count_serial(root()), tree.size);
}

static void floor_uts(unsigned workers)
{
    int64_t start = bench_now();

    (void)workers;
    pair();
    bench_add((double)(bench_now() - start) / 1e6);
}

/* ------------------------------------------------------------------- typed */

THRUM_TASK(long, count, struct node, node)
{
    long sum = 1;
    int n = children(&node);

    for (int i = 0; i < n; i++)
        THRUM_FORK(count, child(&node, i));
    for (int i = 0; i < n; i++)
        sum += THRUM_JOIN(count);
    return sum;
}

static thrum_err *run_typed(void *result)
{
    *(long *)result = count(root());
    return NULL;
}

static void typed(unsigned workers)
{
    long got = 0;

    bench_add(bench_call_ns(workers, run_typed, &got) / 1e6);
    bench_expect("the number of nodes", got, tree.size);
}

/* ------------------------------------------------------------------- plain */

/* The subtrees of the children lo to hi of a node. Halving the range makes as
 * many forks as one for each child but the first, and needs no array. */
struct range {
    const struct node *up;
    int lo, hi;
    long sum;
};

static thrum_err *count_plain(void *arg)
{
    struct range *range = arg, low = *range, high = *range;
    thrum_err *e, *f;
    thrum_task task;

    if (range->hi - range->lo == 1) {
        struct node node = child(range->up, range->lo);

        low = (struct range){.up = &node, .hi = children(&node)};
        e = low.hi > 0 ? count_plain(&low) : NULL;
        range->sum = 1 + low.sum;
        return e;
    }
    low.hi = high.lo = range->lo + (range->hi - range->lo) / 2;
    thrum_fork(&task, count_plain, &high);
    e = count_plain(&low);
    f = thrum_join(&task);
    range->sum = low.sum + high.sum;
    return e || f ? thrum_err_add(e, f) : NULL;
}

static void plain(unsigned workers)
{
    struct node top = root();
    struct range all = {.up = &top, .hi = children(&top)};

    bench_add(bench_call_ns(workers, count_plain, &all) / 1e6);
    bench_expect("the number of nodes", 1 + all.sum, tree.size);
}

static void search(const char *name, const struct tree *which, int rounds)
{
    const struct bench_series series = {
        .name = name,
        .cases = {{"floor", "ms", .run = floor_uts, .once = true},
                  {"typed", "ms", .run = typed},
                  {"plain", "ms", .run = plain}},
        .pair = pair,
        .rounds = rounds,
    };

    tree = *which;
    if (tree.size == 0)
        tree.size = count_serial(root());
    bench_run(&series);
}

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    bench_stack_bytes = 4 << 20; /* for T3's 1572 levels */
    search("uts_t1", bench_pick(1, 0, 0) ? &t1_small : &t1, 7);
    if (bench_pick(0, 0, 1))
        search("uts_t2", &t2, 7);
    search("uts_t3", bench_pick(1, 0, 0) ? &t3_small : &t3, 7);
    if (bench_pick(0, 0, 1))
        search("uts_t1l", &t1l, 5);
    return bench_end();
}
