#include "task/error_sink.h"

#include "base/alloc.h"
#include "base/sanitize.h"

#define KEY_CANCELED (UINT64_C(1) << 63)
/* With KEY_CANCELED, too, below UINT64_MAX: the bound of a heap with room. */
#define KEY_NO_INDEX (KEY_CANCELED - 2)

enum { COUNT_MAX = 1 << 30 };

/* A heap with the highest key on top: the one to go when a lower one comes. */
struct error_heap {
    _Atomic uint64_t bound; /* keys from here on are not kept; written locked */

    /* lock: the sink's */
    uint32_t count;
    struct error_entry at[]; /* max, and one more for `first` when folding */
};

static uint32_t bound_of(const struct error_sink *s)
{
    return s->max ? s->max : ERROR_LEAVES_MAX;
}

/* --- what an error counts for -------------------------------------------- */

static bool leaf_is_canceled(const struct leaf *leaf)
{
    return error_kind_is(leaf->kind, &THRUM_CANCELED);
}

struct tally {
    size_t failures;
    size_t canceled;
};

/* Failures that are only counted may be of any kind: they are no
 * cancellations. */
static struct tally tally(const thrum_err *e)
{
    struct tally t = {.failures = e->leaves ? e->lost : 0};

    for (size_t i = 0; i < error_leaves(e); i++) {
        const struct leaf *leaf = error_leaf(e, i);
        t.failures += leaf->head.lost;
        if (leaf_is_canceled(leaf))
            t.canceled++;
        else
            t.failures++;
    }
    return t;
}

bool error_is_canceled(const thrum_err *e)
{
    if (likely(e->leaves == 0))
        return e->lost == 0 && leaf_is_canceled(error_leaf(e, 0));
    return tally(e).failures == 0;
}

static uint64_t key_of(size_t index, const thrum_err *e)
{
    uint64_t key = index < KEY_NO_INDEX ? index : KEY_NO_INDEX;

    return error_is_canceled(e) ? key | KEY_CANCELED : key;
}

static size_t index_of_key(uint64_t key)
{
    key &= ~KEY_CANCELED;
    return key == KEY_NO_INDEX ? ERROR_NO_INDEX : (size_t)key;
}

static bool key_is_canceled(uint64_t key)
{
    return (key & KEY_CANCELED) != 0;
}

/* --- the heap ------------------------------------------------------------ */

static void swap(struct error_entry *a, struct error_entry *b)
{
    struct error_entry other = *a;

    *a = *b;
    *b = other;
}

static void sift_up(struct error_entry *at, uint32_t i)
{
    for (; i > 0 && at[i].key > at[(i - 1) / 2].key; i = (i - 1) / 2)
        swap(&at[i], &at[(i - 1) / 2]);
}

static void sift_down(struct error_entry *at, uint32_t count)
{
    uint32_t i = 0;

    for (uint32_t child; (child = 2 * i + 1) < count; i = child) {
        if (child + 1 < count && at[child + 1].key > at[child].key)
            child++;
        if (at[i].key >= at[child].key)
            return;
        swap(&at[i], &at[child]);
    }
}

static void sort_ascending(struct error_entry *at, uint32_t count)
{
    while (count > 1) {
        swap(&at[0], &at[--count]);
        sift_down(at, count);
    }
}

static struct error_heap *heap_new(uint32_t max)
{
    struct error_heap *h = alloc(sizeof(*h) + (max + 1) * sizeof(h->at[0]));

    if (!h)
        return NULL;
    store_relaxed(&h->bound, UINT64_MAX); /* not shared yet */
    h->count = 0;
    return h;
}

/* Leaves in *new what there is no place for, if anything. */
static void heap_admit(struct error_heap *h, uint32_t max,
                       struct error_entry *new)
{
    if (h->count < max) {
        h->at[h->count] = *new;
        sift_up(h->at, h->count++);
        new->err = NULL;
    } else if (new->key < h->at[0].key) {
        swap(&h->at[0], new);
        sift_down(h->at, h->count);
    }
    if (h->count == max)
        store_relaxed(&h->bound, h->at[0].key); /* only falls: I2 */
}

/* --- adding -------------------------------------------------------------- */

void error_sink_init(struct error_sink *s, uint32_t max)
{
    *s = (struct error_sink){
        .max = max < ERROR_SINK_MAX ? max : ERROR_SINK_MAX,
    };
}

static void count_some(_Atomic uint32_t *counter, size_t some)
{
    if (some > COUNT_MAX)
        some = COUNT_MAX;
    if (some > 0 && load_relaxed(counter) < COUNT_MAX)
        add_relaxed(counter, (uint32_t)some);
}

static void lose(struct error_sink *s, thrum_err *e)
{
    struct tally t = tally(e);

    count_some(&s->lost, t.failures);
    count_some(&s->lost_canceled, t.canceled);
    thrum_err_drop(e);
}

/* Without the lock. The bound seen may be old, hence too high: then the heap
 * says no. It is never too low: I2. */
static bool is_past_bound(struct error_sink *s, uint64_t key)
{
    struct error_heap *h = load_acquire(&s->others); /* [ES2] */

    return h && key >= load_relaxed(&h->bound);
}

static bool needs_heap(const struct error_sink *s)
{
    return s->first.err && !load_relaxed(&s->others); /* the lock is ours */
}

/* The heap, made with the lock put down for as long as that takes. */
static void lock_with_heap(struct error_sink *s)
{
    spin_lock(&s->lock);
    if (likely(!needs_heap(s)))
        return;
    spin_unlock(&s->lock);

    struct error_heap *h = heap_new(bound_of(s));
    spin_lock(&s->lock);
    if (h && needs_heap(s)) {
        store_release(&s->others, h); /* [ES1] */
        return;
    }
    if (h) {
        spin_unlock(&s->lock);
        release(h); /* another was quicker, and its heap stays */
        spin_lock(&s->lock);
    }
}

bool error_sink_add(struct error_sink *s, size_t index, thrum_err *e)
{
    struct error_entry new = {.key = key_of(index, e), .err = e};
    bool is_first = false;

    tsan_promise(e); /* to whom another one's pushes it out */
    if (!is_past_bound(s, new.key)) {
        lock_with_heap(s);
        struct error_heap *h = load_relaxed(&s->others); /* the lock is ours */
        is_first = !s->first.err ||
                   (key_is_canceled(s->first.key) && !key_is_canceled(new.key));
        if (is_first)
            swap(&s->first, &new); /* what was first is one of the others */
        if (h && new.err)
            heap_admit(h, bound_of(s), &new);
        spin_unlock(&s->lock);
    }
    if (new.err)
        lose(s, new.err);
    return is_first;
}

/* One is in `first`. What was lost says so without the lock. */
void error_sink_add_dropped(struct error_sink *s, thrum_err *e)
{
    struct error_entry new = {.key = KEY_NO_INDEX | KEY_CANCELED, .err = e};

    if (load_relaxed(&s->lost_canceled) == 0) { /* once it is set, it stays */
        tsan_promise(e);
        spin_lock(&s->lock);
        if (s->first.err == NULL)
            swap(&s->first, &new);
        else
            count_some(&s->lost_canceled, 1);
        spin_unlock(&s->lock);
    }
    thrum_err_drop(new.err);
}

/* --- folding ------------------------------------------------------------- */

/* Everything kept, the primary first. Nobody adds any more. */
static struct error_entry *in_order(struct error_sink *s,
                                    enum error_primary primary, uint32_t *count)
{
    struct error_heap *h = load_relaxed(&s->others);

    *count = s->first.err ? 1 : 0;
    if (!h)
        return &s->first;

    h->at[h->count] = s->first;
    *count = h->count + 1;
    switch (primary) {
    case PRIMARY_LOWEST:
        sift_up(h->at, h->count);
        sort_ascending(h->at, *count);
        break;
    case PRIMARY_FIRST:
        sort_ascending(h->at, h->count);
        for (uint32_t i = h->count; i > 0; i--)
            swap(&h->at[i], &h->at[i - 1]);
        break;
    }
    return h->at;
}

struct fold {
    struct picked out;
    enum error_canceled canceled;
    size_t spare; /* leaves there is room for beyond one of each job */
};

/* The first leaf of each job has a place; its further leaves take spare ones.
 * So one job with many failures does not push the other jobs out. */
static void fold_job(struct fold *f, const struct error_entry *job)
{
    size_t before = f->out.count;
    size_t index = index_of_key(job->key);

    for (size_t i = 0; i < error_leaves(job->err); i++) {
        struct leaf *leaf = error_leaf(job->err, i);
        if (f->canceled == CANCELED_DROP && leaf_is_canceled(leaf)) {
            f->out.lost += leaf->head.lost;
            continue;
        }
        if (f->out.count == before || f->spare > 0) {
            f->spare -= f->out.count == before ? 0 : 1;
            picked_add(&f->out, leaf);
        } else {
            f->out.lost += 1 + leaf->head.lost;
        }
    }
    if (job->err->leaves)
        f->out.lost += job->err->lost;
    thrum_err_drop(job->err);
    if (index != ERROR_NO_INDEX)
        picked_set_index(&f->out, before, index);
}

/* Drops what is not to be folded; what is left, and what it comes to. */
struct plan {
    uint32_t jobs;
    size_t leaves;
    size_t lost;     /* beside all jobs */
    size_t lost_in;  /* counted in the jobs' own errors */
    size_t canceled; /* leaves of theirs */
};

static struct plan plan_fold(struct error_entry *at, uint32_t count,
                             uint32_t max, enum error_canceled canceled)
{
    struct plan p = {.jobs = 0};

    for (uint32_t i = 0; i < count; i++) {
        struct tally t = tally(at[i].err);
        bool is_dropped = canceled == CANCELED_DROP &&
                          key_is_canceled(at[i].key);
        if (is_dropped || p.jobs == max) {
            p.lost += is_dropped ? 0 : t.failures;
            p.lost += canceled == CANCELED_KEEP ? t.canceled : 0;
            thrum_err_drop(at[i].err);
            continue;
        }
        size_t drops = canceled == CANCELED_DROP ? t.canceled : 0;
        p.leaves += error_leaves(at[i].err) - drops;
        p.lost_in += t.failures + t.canceled - error_leaves(at[i].err);
        p.canceled += drops;
        at[p.jobs++] = at[i];
    }
    return p;
}

static thrum_err *fold_all(const struct error_entry *at, const struct plan *p,
                           uint32_t max, enum error_canceled canceled)
{
    struct fold f = {.canceled = canceled};
    size_t room = p->leaves < max ? p->leaves : max;
    size_t lost = p->lost + p->lost_in + (p->leaves - room);

    picked_init(&f.out, room, lost); /* without memory: the primary alone */
    f.out.lost = p->lost;
    f.spare = room > p->jobs ? room - p->jobs : 0;
    for (uint32_t i = 0; i < p->jobs; i++)
        fold_job(&f, &at[i]);
    if (p->jobs > 0 && key_is_canceled(at[0].key))
        f.out.lost = 0; /* as all are: counted, they would be failures */
    return picked_done(&f.out);
}

thrum_err *error_sink_fold(struct error_sink *s, enum error_primary primary,
                           enum error_canceled canceled)
{
    uint32_t max = bound_of(s);
    uint32_t count;
    struct error_entry *at = in_order(s, primary, &count);
    struct plan p = plan_fold(at, count, max, canceled);
    thrum_err *folded;

    p.lost += load_relaxed(&s->lost);
    if (canceled == CANCELED_KEEP)
        p.lost += load_relaxed(&s->lost_canceled);

    /* An error from no job in particular, and alone, passes untouched. */
    if (p.jobs == 1 && p.lost == 0 && p.canceled == 0 &&
        index_of_key(at[0].key) == ERROR_NO_INDEX)
        folded = at[0].err;
    else
        folded = fold_all(at, &p, max, canceled);

    release(load_relaxed(&s->others));
    error_sink_init(s, max);
    return folded;
}
