/* A chain of stages, with thrum: pipeline_pthreads.c
 *
 * The stages are functions in a table. The slow one has four calls at once, and the
 * last one still gets the items in their order. Who fails returns an error: the items
 * under way are canceled, and the error is the pipeline's. There is no queue between
 * stages: a task carries an item through all of them, and there are at most `tokens`.
 *
 * Pitfall: when it fails, later stages may have seen some of the items before, on one
 * run more than on another. What is done there must be undone, or kept back until
 * all is well, as the report is here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum.h>

THRUM_KIND(NotANumber, THRUM_ERROR);

struct item {
    const char *word;
    long number, steps;
};

static thrum_err *next(void *bytes, void *words, bool *end)
{
    const char ***at = words;

    *(struct item *)bytes = (struct item){.word = **at};
    *end = *(*at)++ == NULL;
    return NULL;
}

static thrum_err *parse(void *bytes, void *ctx)
{
    struct item *item = bytes;
    char *rest;

    (void)ctx;
    item->number = strtol(item->word, &rest, 10);
    if (*rest != '\0' || item->number <= 0)
        return thrum_fail(&NotANumber, "not a number: %s", item->word);
    return NULL;
}

static thrum_err *measure(void *bytes, void *ctx)
{
    struct item *item = bytes;

    (void)ctx;
    for (long n = item->number; n > 1; item->steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return NULL;
}

struct report {
    char text[200];
};

static thrum_err *append(void *bytes, void *ctx)
{
    const struct item *item = bytes;
    struct report *report = ctx;
    size_t used = strlen(report->text);

    snprintf(report->text + used, sizeof report->text - used, " %ld:%ld",
             item->number, item->steps);
    return NULL;
}

static thrum_err *run(const char **words)
{
    struct report report = {""};
    const thrum_stage stages[] = {
        {.fn = parse},
        {.fn = measure, .parallel = 4},
        {.fn = append, .ctx = &report, .in_order = true},
    };

    THRUM_TRY(thrum_pipeline_run(&(thrum_pipeline){
        .source = next,
        .ctx = &words,
        .stages = stages,
        .n = 3,
        .item = sizeof(struct item),
        .tokens = 8,
    }));
    printf("steps:%s\n", report.text);
    return NULL;
}

static thrum_err *app(void *arg)
{
    const char *good[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", NULL},
               *bad[] = {"1", "2", "x3", "4", "5", "6", "7", "8", "9", NULL};
    thrum_err *e;

    (void)arg;
    THRUM_TRY(run(good));
    e = run(bad);
    if (!thrum_err_is(e, &NotANumber))
        return e;
    puts(thrum_err_msg(e));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
