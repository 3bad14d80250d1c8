#include "task/error.h"

#include "base/alloc.h"
#include "base/sanitize.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define BUILT_IN(id) const thrum_kind id = {.name = #id, .parent = &THRUM_ERROR}

const thrum_kind THRUM_ERROR = {.name = "THRUM_ERROR"};
BUILT_IN(THRUM_OS);
BUILT_IN(THRUM_CANCELED);
BUILT_IN(THRUM_TIMEOUT);
BUILT_IN(THRUM_NOMEM);
BUILT_IN(THRUM_DEADLOCK);
BUILT_IN(THRUM_SLOW);

const struct leaf error_no_memory = {
    .head.refs = ERROR_IMMORTAL,
    .kind = &THRUM_NOMEM,
    .message = "no memory for an error",
    .index = ERROR_NO_INDEX,
    .number = ENOMEM,
    .depth = 1,
};

/* --- notes: what could not be made --------------------------------------- */

/* Diagnostics, relaxed throughout: a reader that overlaps a writer may see the
 * place of one note beside the kind of another. */
static struct {
    _Atomic(const thrum_kind *) kind;
    _Atomic(const char *) where;
} notes[ERROR_NOTES];
static _Atomic size_t notes_taken;

static cold void note_wanted(const thrum_kind *kind, const char *where)
{
    size_t i = add_relaxed(&notes_taken, 1) % ERROR_NOTES;

    store_relaxed(&notes[i].where, where);
    store_relaxed(&notes[i].kind, kind);
}

bool error_note(size_t i, const thrum_kind **kind, const char **where)
{
    size_t taken = load_relaxed(&notes_taken);

    if (i >= ERROR_NOTES || i >= taken)
        return false;

    size_t slot = (taken - 1 - i) % ERROR_NOTES;
    *kind = load_relaxed(&notes[slot].kind);
    *where = load_relaxed(&notes[slot].where);
    return *kind != NULL; /* NULL: counted, and not yet written */
}

static _Atomic uint64_t untold; /* relaxed: a statistic */

uint64_t error_untold(void)
{
    return load_relaxed(&untold);
}

void error_add_untold(size_t failures)
{
    add_relaxed(&untold, failures);
}

/* --- leaves -------------------------------------------------------------- */

/* Relaxed: what it points to is code, nothing to carry. */
static _Atomic(void (*)(struct error_context *)) teller;

void error_set_context(void (*tell)(struct error_context *context))
{
    store_relaxed(&teller, tell);
}

bool error_kind_is(const thrum_kind *kind, const thrum_kind *ancestor)
{
    while (kind && kind != ancestor)
        kind = kind->parent;
    return kind != NULL;
}

static int errno_of_kind(const thrum_kind *kind)
{
    if (error_kind_is(kind, &THRUM_CANCELED))
        return ECANCELED;
    if (error_kind_is(kind, &THRUM_TIMEOUT))
        return ETIMEDOUT;
    if (error_kind_is(kind, &THRUM_NOMEM))
        return ENOMEM;
    if (error_kind_is(kind, &THRUM_DEADLOCK))
        return EDEADLK;
    return 0;
}

static struct leaf *leaf_new(const thrum_kind *kind, const char *message,
                             const char *path)
{
    size_t bytes = strlen(message) + 1;
    size_t path_bytes = path != NULL ? strlen(path) + 1 : 0;
    struct leaf *leaf = alloc(sizeof(*leaf) + bytes + path_bytes);

    if (!leaf)
        return NULL;
    *leaf = (struct leaf){
        .head.refs = 1,
        .kind = kind,
        .message = memcpy(leaf + 1, message, bytes),
        .path = path == NULL
                    ? NULL
                    : memcpy((char *)(leaf + 1) + bytes, path, path_bytes),
        .index = ERROR_NO_INDEX,
        .number = errno_of_kind(kind),
        .depth = 1,
    };
    return leaf;
}

struct leaf *error_leaf_new(const thrum_kind *kind, const char *message)
{
    return leaf_new(kind, message, NULL);
}

/* The copy shares the cause and has no index; NULL without memory. */
static struct leaf *leaf_copy(const struct leaf *leaf)
{
    struct leaf *copy = leaf_new(leaf->kind, leaf->message, leaf->path);

    if (!copy)
        return NULL;
    copy->head.lost = leaf->head.lost;
    copy->where = leaf->where;
    copy->task = leaf->path == NULL ? NULL
                                    : copy->path + (leaf->task - leaf->path);
    copy->trace = leaf->trace;
    copy->cause = thrum_err_ref(leaf->cause);
    copy->number = leaf->number;
    copy->depth = leaf->depth;
    copy->cut = leaf->cut;
    return copy;
}

struct leaf *error_leaf_indexed(struct leaf *leaf, size_t index)
{
    if (leaf->index == index)
        return leaf;
    if (!error_is_exclusive(&leaf->head)) {
        struct leaf *copy = leaf_copy(leaf);
        if (!copy)
            return leaf;
        thrum_err_drop(&leaf->head);
        leaf = copy;
    }
    leaf->index = index;
    return leaf;
}

/* --- making -------------------------------------------------------------- */

/* Ends a text that was too long in "...", between two UTF-8 characters. */
static void ellipsize(char *text, size_t bytes)
{
    size_t at = bytes - sizeof("...");

    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    memcpy(text + at, "...", sizeof("..."));
}

/* What runs. */
static struct error_context context_here(void)
{
    void (*tell)(struct error_context *) = load_relaxed(&teller);
    struct error_context here = {.last = 0};

    if (tell != NULL)
        tell(&here);
    return here;
}

/* With its place, and the task. */
static struct leaf *leaf_signed(const struct error_context *context,
                                const thrum_kind *kind, const char *message,
                                const char *where)
{
    bool any = context->path[0] != '\0';
    struct leaf *leaf = leaf_new(kind, message, any ? context->path : NULL);

    if (leaf == NULL)
        return NULL;
    leaf->where = where;
    leaf->task = any ? leaf->path + context->last : NULL;
    leaf->trace = context->trace;
    return leaf;
}

static struct leaf *leaf_format(const struct error_context *context,
                                const thrum_kind *kind, const char *where,
                                const char *format, va_list args)
{
    char text[ERROR_MESSAGE_BYTES];
    int length = vsnprintf(text, sizeof(text), format, args);

    if (length < 0) /* a wide character this locale cannot write */
        return leaf_signed(context, kind, format, where);
    if ((size_t)length >= sizeof(text))
        ellipsize(text, sizeof(text));
    return leaf_signed(context, kind, text, where);
}

thrum_err *thrum_fail_(const char *where, const thrum_kind *kind,
                       const char *format, ...)
{
    REQUIRE(kind, "an error has a kind");

    struct error_context here = context_here();
    va_list args;
    va_start(args, format);
    struct leaf *leaf = leaf_format(&here, kind, where, format, args);
    va_end(args);

    if (!leaf) {
        note_wanted(kind, where);
        return (thrum_err *)&error_no_memory.head;
    }
    return &leaf->head;
}

thrum_err *error_of_another(const struct error_context *context,
                            const char *where, const thrum_kind *kind,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct leaf *leaf = leaf_format(context, kind, where, format, args);
    va_end(args);

    return leaf == NULL ? NULL : &leaf->head;
}

static unsigned depth_of(const thrum_err *e)
{
    unsigned depth = 0;

    for (size_t i = 0; e && i < error_leaves(e); i++)
        if (error_leaf(e, i)->depth > depth)
            depth = error_leaf(e, i)->depth;
    return depth;
}

/* Makes room for one more link on top, I4, by taking out the topmost one of
 * cause. Of a group only the primary stays. */
static thrum_err *shorten(thrum_err *cause)
{
    while (depth_of(cause) >= ERROR_CHAIN_MAX) {
        struct leaf *primary = error_leaf(cause, 0);
        thrum_err *next = cause->leaves ? &primary->head : primary->cause;
        thrum_err_ref(next);
        thrum_err_drop(cause);
        cause = next;
    }
    return cause;
}

thrum_err *thrum_wrap_(const char *where, thrum_err *cause,
                       const thrum_kind *kind, const char *format, ...)
{
    REQUIRE(kind, "an error has a kind");

    struct error_context here = context_here();
    va_list args;
    va_start(args, format);
    struct leaf *leaf = leaf_format(&here, kind, where, format, args);
    va_end(args);

    if (!leaf) {
        note_wanted(kind, where);
        return cause ? cause : (thrum_err *)&error_no_memory.head;
    }
    leaf->cause = shorten(cause);
    leaf->cut = leaf->cause != cause;
    leaf->depth = (uint16_t)(depth_of(leaf->cause) + 1);
    return &leaf->head;
}

thrum_err *thrum_rc(int64_t rc)
{
    if (likely(rc >= 0))
        return NULL;
    /* I3: constant in spite of the type. INT64_MIN has no counterpart. */
    return (thrum_err *)&error_of_errno(rc < -INT64_MAX ? 0 : -rc)->head;
}

/* --- references ---------------------------------------------------------- */

bool error_is_exclusive(const thrum_err *e)
{
    bool alone = load_acquire(&e->refs) == 1; /* [E2] */

    if (alone)
        tsan_rely((void *)(uintptr_t)e);
    return alone;
}

thrum_err *thrum_err_ref(const thrum_err *e)
{
    thrum_err *owned = (thrum_err *)e; /* I3: not written if constant */

    /* Relaxed: the reference the caller has, or was lent, keeps e alive. */
    if (owned && load_relaxed(&owned->refs) != ERROR_IMMORTAL)
        add_relaxed(&owned->refs, 1);
    return owned;
}

static bool was_last(thrum_err *e)
{
    if (load_relaxed(&e->refs) == ERROR_IMMORTAL) /* constant */
        return false;
    tsan_promise(e);
    if (sub_acq_rel(&e->refs, 1) != 1) /* [E1] */
        return false;
    tsan_rely(e);
    return true;
}

void thrum_err_drop(thrum_err *e)
{
    while (e && was_last(e)) {
        thrum_err *next = NULL;
        if (!e->leaves)
            next = error_leaf(e, 0)->cause;
        for (size_t i = 0; i < e->leaves; i++)
            thrum_err_drop(&error_leaf(e, i)->head);
        release(e);
        e = next;
    }
}

/* --- reading ------------------------------------------------------------- */

struct leaf *error_leaf(const thrum_err *e, size_t i)
{
    const struct thrum_err *head = e;

    return head->leaves ? container_of(head, struct group, head)->leaf[i]
                        : container_of(head, struct leaf, head);
}

bool thrum_err_is(const thrum_err *e, const thrum_kind *kind)
{
    for (; e; e = error_leaf(e, 0)->cause)
        if (error_kind_is(error_leaf(e, 0)->kind, kind))
            return true;
    return false;
}

/* Is the cause of leaf i that of one before it? To ask it again for each would
 * take for ever where errors are wrapped twice, and those twice again. */
static bool is_asked(const thrum_err *e, size_t i)
{
    const thrum_err *cause = error_leaf(e, i)->cause;
    size_t before = 0;

    while (before < i && error_leaf(e, before)->cause != cause)
        before++;
    return cause == NULL || before < i;
}

bool thrum_err_has(const thrum_err *e, const thrum_kind *kind)
{
    for (size_t i = 0; e && i < error_leaves(e); i++) {
        const struct leaf *leaf = error_leaf(e, i);
        if (error_kind_is(leaf->kind, kind) ||
            (!is_asked(e, i) && thrum_err_has(leaf->cause, kind)))
            return true;
    }
    return false;
}

const char *thrum_err_msg(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->message : "";
}

const thrum_kind *thrum_err_kind(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->kind : NULL;
}

int thrum_err_code(const thrum_err *e)
{
    const thrum_kind *kind = thrum_err_kind(e);

    while (kind && kind->code == 0)
        kind = kind->parent;
    return kind ? kind->code : 0;
}

int thrum_err_errno(const thrum_err *e)
{
    while (e && error_leaf(e, 0)->number == 0)
        e = error_leaf(e, 0)->cause;
    return e ? error_leaf(e, 0)->number : 0;
}

const char *thrum_err_where(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->where : NULL;
}

const char *thrum_err_task(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->task : NULL;
}

const char *thrum_err_path(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->path : NULL;
}

thrum_trace_id thrum_err_trace(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->trace : (thrum_trace_id){0, 0};
}

const thrum_err *thrum_err_cause(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->cause : NULL;
}

size_t thrum_err_index(const thrum_err *e)
{
    return e ? error_leaf(e, 0)->index : ERROR_NO_INDEX;
}
