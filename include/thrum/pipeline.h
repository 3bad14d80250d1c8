/* thrum/pipeline.h - a chain of stages that work at the same time on different
 * items.
 *
 *     struct page { char *url; char *text; size_t words; };
 *
 *     static const thrum_stage stages[] = {
 *         {.fn = fetch, .parallel = 8},
 *         {.fn = count},                       // as many as there are pages
 *         {.fn = print, .in_order = true},     // in the order of the source
 *     };
 *     THRUM_TRY(thrum_pipeline_run(&(thrum_pipeline){
 *         .source = next_url, .ctx = list, .stages = stages, .n = 3,
 *         .item = sizeof(struct page)}));
 *
 * An item is a struct of the caller's that goes through all stages: the source
 * begins it, each stage reads what those before it have left there and adds its
 * own. At most `tokens` items are under way at once, and that bounds all memory:
 * a source that is faster than a stage waits.
 *
 * What one stage did to an item is visible to the next; they may run on different
 * workers, in different tasks. A stage may wait for anything. An item that comes
 * too early to a stage that keeps the order is left there, and holds up nobody.
 */
#ifndef THRUM_PIPELINE_H
#define THRUM_PIPELINE_H

#include <thrum/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begin the next item, or set *end: there is none. One call at a time. The bytes
 * are those of some item before, or zero. */
typedef thrum_err *thrum_source_fn(void *item, void *ctx, bool *end);

typedef thrum_err *thrum_stage_fn(void *item, void *ctx);

typedef struct thrum_stage {
    thrum_stage_fn *fn;
    void *ctx;
    unsigned parallel; /* most calls at once; 0: no limit of its own */
    bool in_order;     /* one call at a time, in the order of the source */
} thrum_stage;

typedef struct thrum_pipeline {
    thrum_source_fn *source;
    void *ctx; /* of the source */
    const thrum_stage *stages;
    size_t n;        /* of them */
    size_t item;     /* bytes of an item */
    unsigned tokens; /* most items under way at once; 0: 16 */
} thrum_pipeline;

/* Run all items of the source through all stages.
 *
 * Call from:  a task, or any other thread; then the stages run on the default
 *             runtime, which must run.
 * Suspends:   until the last item has left the last stage.
 * Ownership:  p and what it points to stay until it returns.
 * Order:      what the source and the stages did is visible.
 * Returns:    NULL, or as thrum_scope_close under THRUM_ALL: the first error of
 *             the source or of a stage leads. It cancels the items that are under
 *             way: they enter no further stage, what they wait for ends, and the
 *             source is not called any more. THRUM_CANCELED if items were left
 *             because the caller was canceled. Of kind THRUM_NOMEM without
 *             memory.
 * Cost:       one allocation, and now and then a task: one carries many items
 *             unless others have nothing to do.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_pipeline_run(const thrum_pipeline *p);

#ifdef __cplusplus
}
#endif
#endif
