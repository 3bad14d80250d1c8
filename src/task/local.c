/* Values and trace ids: found by walking up the scopes. */

#include <thrum/local.h>

#include <string.h>

#include "task/scope.h"
#include "task/error.h"

static bool is_bound(const struct scope *s, const thrum_binding *b)
{
    const thrum_binding *at = load_relaxed(&s->bound); /* ours to write */

    while (at != NULL && at != b)
        at = at->next;
    return at != NULL;
}

void thrum_bind(thrum_scope *scope, thrum_binding *b, const thrum_key *key,
                const void *value)
{
    struct scope *s = scope_given(scope, __func__);

    REQUIRE(b != NULL && key != NULL, "no binding, or no key");
    REQUIRE(s->stack == worker_current(),
            "a value is bound by the task that opened the scope");
    REQUIRE(!defer_is_local(s, b), "the binding is a local variable of a "
                                   "function that returns before the scope is "
                                   "closed: open one for it");
    REQUIRE(!is_bound(s, b), "a binding that is bound in this scope already");
    *b = (thrum_binding){.key = key,
                         .value = value,
                         .next = load_relaxed(&s->bound)}; /* ours to write */
    store_release(&s->bound, b);                           /* [K6] */
}

static const thrum_binding *find(struct scope *s, const thrum_key *key)
{
    const thrum_binding *b = load_acquire(&s->bound); /* [K7] */

    while (b != NULL && b->key != key)
        b = b->next;
    return b;
}

const void *thrum_get(const thrum_key *key)
{
    bool outside = scope_is_borrowed(); /* of the task that bound it? */

    REQUIRE(key != NULL, "no key");
    for (struct scope *s = scope_current(); s != NULL; s = s->parent) {
        const thrum_binding *b = find(s, key);

        if (b != NULL && !(key->private_ && outside))
            return b->value;
        outside = outside || s->of_task;
    }
    return NULL;
}

static thrum_trace_id trace_of(const struct scope *s)
{
    for (; s != NULL; s = s->parent)
        if (s->has_trace)
            return s->trace;
    return (thrum_trace_id){0, 0};
}

thrum_trace_id thrum_trace_id_current(void)
{
    return trace_of(scope_current());
}

/* Before what is there already, from the end of the buffer. */
static bool prepend(char *path, size_t *at, const char *text)
{
    size_t n = strlen(text);

    if (n > *at)
        return false;
    *at -= n;
    memcpy(path + *at, text, n);
    return true;
}

/* The innermost name alone is too long: its end, from the beginning of a
 * character on. */
static void prepend_end(char *path, size_t *at, const char *text)
{
    size_t room = *at - (sizeof "..." - 1);

    text += strlen(text) > room ? strlen(text) - room : 0;
    while (((unsigned char)*text & 0xC0) == 0x80)
        text++;
    (void)prepend(path, at, text);
    (void)prepend(path, at, "...");
}

void local_context_of(const struct scope *s, struct error_context *context)
{
    static const char between[] = " > ", cut[] = "... > ";
    char path[ERROR_PATH_BYTES];
    size_t end = sizeof path - 1, at = end, last = end;
    bool room = true;

    context->trace = trace_of(s);
    for (; s != NULL && room; s = s->parent) {
        size_t before = at;

        if (s->name == NULL)
            continue;
        room = (at == end || prepend(path, &at, between)) &&
               prepend(path, &at, s->name) && at >= sizeof cut - 1;
        if (!room)
            at = before;
        if (!room && before == end)
            prepend_end(path, &at, s->name);
        else if (!room)
            (void)prepend(path, &at, cut);
        if (before == end)
            last = at;
    }
    path[end] = '\0';
    memcpy(context->path, path + at, end + 1 - at);
    context->last = last - at;
}

void local_context(struct error_context *context)
{
    local_context_of(scope_current(), context);
}
