#include "task/error.h"

#include "base/alloc.h"

static struct group *group_new(size_t room)
{
    struct group *g = alloc(sizeof(*g) + room * sizeof(g->leaf[0]));

    if (!g)
        return NULL;
    *g = (struct group){.head.refs = 1, .room = (uint32_t)room};
    return g;
}

static struct group *as_group(thrum_err *e)
{
    return container_of(e, struct group, head);
}

/* --- leaves on their way into one error ---------------------------------- */

bool picked_init(struct picked *p, size_t room, size_t lost)
{
    bool needs_group = room > 1 || (room == 1 && lost > 0);

    *p = (struct picked){.room = room, .lost = lost};
    if (!needs_group)
        return true;
    p->group = group_new(room);
    if (!p->group)
        p->room = 1;
    return p->group != NULL;
}

static struct leaf **picked_slot(struct picked *p, size_t i)
{
    return p->group ? &p->group->leaf[i] : &p->only;
}

void picked_add(struct picked *p, struct leaf *leaf)
{
    if (p->count == p->room) {
        p->lost += thrum_err_count(&leaf->head);
        return;
    }
    thrum_err_ref(&leaf->head);
    *picked_slot(p, p->count++) = leaf;
}

void picked_set_index(struct picked *p, size_t from, size_t index)
{
    for (size_t i = from; i < p->count; i++) {
        struct leaf **slot = picked_slot(p, i);
        *slot = error_leaf_indexed(*slot, index);
    }
}

/* Failures whose leaves are gone must not look like a success. */
static thrum_err *not_kept(size_t lost)
{
    struct leaf *leaf = error_leaf_new(&THRUM_ERROR, "failures not kept");

    if (!leaf) {
        error_add_untold(lost - 1);
        return (thrum_err *)&error_no_memory.head;
    }
    leaf->head.lost = lost - 1;
    return &leaf->head;
}

/* One leaf that stands for itself and for those lost beside it. */
static thrum_err *alone(struct leaf *leaf, size_t lost)
{
    if (lost > 0 && error_is_exclusive(&leaf->head))
        leaf->head.lost += lost;
    else
        error_add_untold(lost);
    return &leaf->head;
}

thrum_err *picked_done(struct picked *p)
{
    struct group *g = p->group;

    if (p->count > 1 || (p->count == 1 && g && p->lost > 0)) {
        g->head.leaves = (uint32_t)p->count;
        g->head.lost = p->lost;
        return &g->head;
    }

    struct leaf *leaf = p->count ? *picked_slot(p, 0) : NULL;
    release(g);
    if (leaf)
        return alone(leaf, p->lost);
    return p->lost > 0 ? not_kept(p->lost) : NULL;
}

/* --- adding and splitting ------------------------------------------------ */

/* One cancellation more beside so many; counted, it might have been a failure. */
static bool is_needless(const struct picked *p, const struct leaf *leaf)
{
    return p->count == p->room && error_kind_is(leaf->kind, &THRUM_CANCELED);
}

/* Keep the leaves of e, count the others but for cancellations; consumes e. */
static void picked_take(struct picked *p, thrum_err *e)
{
    for (size_t i = 0; i < error_leaves(e); i++) {
        struct leaf *leaf = error_leaf(e, i);

        if (is_needless(p, leaf))
            p->lost += leaf->head.lost;
        else
            picked_add(p, leaf);
    }
    if (e->leaves)
        p->lost += e->lost; /* a leaf brings its own */
    thrum_err_drop(e);
}

/* Goes on with the leaves of into, which it consumes; in place if nobody else
 * sees them. False without memory: then into is as it was. */
static bool picked_resume(struct picked *p, thrum_err *into)
{
    size_t leaves = error_leaves(into);
    size_t room = leaves > ERROR_LEAVES_MAX ? leaves : ERROR_LEAVES_MAX;

    if (into->leaves && as_group(into)->room >= room &&
        error_is_exclusive(into)) {
        *p = (struct picked){.group = as_group(into),
                             .count = leaves,
                             .room = room,
                             .lost = into->lost};
        return true;
    }
    if (!picked_init(p, room, 0))
        return false;
    picked_take(p, into);
    return true;
}

thrum_err *thrum_err_add(thrum_err *into, thrum_err *other)
{
    struct picked p;

    if (!into || !other)
        return into ? into : other;

    if (!picked_resume(&p, into)) {
        size_t lost = thrum_err_count(other);
        thrum_err_drop(other);
        if (error_is_exclusive(into))
            into->lost += lost;
        else
            error_add_untold(lost);
        return into;
    }
    picked_take(&p, other);
    return picked_done(&p);
}

/* What split does, counted beforehand. */
struct division {
    size_t taken;
    size_t left;
    size_t lost; /* of no known kind: left, whatever leaf counted them */
};

static struct division divide(const thrum_err *e, const thrum_kind *kind)
{
    struct division d = {.lost = e->leaves ? e->lost : 0};

    for (size_t i = 0; i < error_leaves(e); i++) {
        const thrum_err *leaf = &error_leaf(e, i)->head;
        if (thrum_err_is(leaf, kind)) {
            d.taken++;
            d.lost += leaf->lost;
        } else {
            d.left++;
        }
    }
    return d;
}

/* The lost ones are counted on the other side now. A leaf that others see keeps
 * them as well. */
static void forget_lost(struct picked *taken)
{
    for (size_t i = 0; i < taken->count; i++) {
        struct leaf *leaf = *picked_slot(taken, i);
        if (leaf->head.lost > 0 && error_is_exclusive(&leaf->head))
            leaf->head.lost = 0;
    }
}

thrum_err *thrum_err_split(thrum_err **e, const thrum_kind *kind)
{
    struct picked taken, left;
    thrum_err *whole = *e;

    if (!whole)
        return NULL;
    struct division d = divide(whole, kind);
    if (d.taken == 0)
        return NULL;
    if (d.left == 0 && d.lost == 0) {
        *e = NULL;
        return whole;
    }
    if (!picked_init(&taken, d.taken, 0))
        return NULL;
    if (!picked_init(&left, d.left, d.lost)) {
        release(taken.group);
        return NULL;
    }
    for (size_t i = 0; i < error_leaves(whole); i++) {
        struct leaf *leaf = error_leaf(whole, i);
        picked_add(thrum_err_is(&leaf->head, kind) ? &taken : &left, leaf);
    }
    thrum_err_drop(whole);
    forget_lost(&taken);
    *e = picked_done(&left);
    return picked_done(&taken);
}

/* --- reading ------------------------------------------------------------- */

size_t thrum_err_count(const thrum_err *e)
{
    size_t count = 0;

    if (!e)
        return 0;
    if (!e->leaves)
        return 1 + e->lost;
    for (size_t i = 0; i < e->leaves; i++)
        count += 1 + error_leaf(e, i)->head.lost;
    return count + e->lost;
}

const thrum_err *thrum_err_at(const thrum_err *e, size_t i)
{
    return e && i < error_leaves(e) ? &error_leaf(e, i)->head : NULL;
}
