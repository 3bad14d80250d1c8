/* thrum/local.h - values that follow a task into its children.
 *
 * A request's user, its logger, its tenant: what everything below needs and no
 * parameter list should carry. A value is bound in a scope and seen by all that
 * runs inside it, however deep, on whatever thread, until the scope closes:
 *
 *     static const thrum_key USER = {.name = "user"};
 *
 *     thrum_scope s;
 *     thrum_binding b;
 *     thrum_scope_open(&s, .name = "request");
 *     thrum_bind(&s, &b, &USER, user);
 *     return thrum_scope_close(&s, handle(req));   // thrum_get(&USER) == user
 *
 * Children inherit by pointing to their parent's scope: binding and inheriting
 * cost nothing, and nothing is copied. They end before the binding goes away.
 */
#ifndef THRUM_LOCAL_H
#define THRUM_LOCAL_H

#include <thrum/scope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The address is the key: a static object. */
typedef struct thrum_key {
    const char *name;
    bool private_; /* seen by the task that bound it, not by its children */
} thrum_key;

/* The caller's storage. */
typedef struct thrum_binding {
    const thrum_key *key;
    const void *value;
    struct thrum_binding *next;
} thrum_binding;

/* Bind a value until s is closed. It hides what was bound to the key outside.
 *
 * Call from:  the task or thread that opened s. s NULL: its innermost scope.
 * Suspends:   never.
 * Ownership:  b stays in place until s is closed, and what value points to too.
 *             A task's own scope is closed after its function has returned:
 *             there b is no local variable of it. (The program is stopped with a
 *             line that says so; so, too, if b is bound in s already.)
 * Order:      a child spawned or forked later sees the value and what came
 *             before; one that runs already may see it or not.
 */
THRUM_API void thrum_bind(thrum_scope *s, thrum_binding *b,
                          const thrum_key *key, const void *value);

/* Look a value up: the innermost binding of the key.
 *
 * Call from:  anywhere; a job of thrum_offload sees what the task sees that
 *             waits for it, but for private keys.
 * Suspends:   never.
 * Returns:    the value, lent; NULL if none is bound.
 * Cost:       a walk up the scopes.
 */
THRUM_API const void *thrum_get(const thrum_key *key);

/* The trace id that holds here: that of the innermost scope which has one.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the id, all zero if there is none.
 */
THRUM_API thrum_trace_id thrum_trace_id_current(void);

#ifdef __cplusplus
}
#endif
#endif
