#include "task/record.h"

#include "base/alloc.h"
#include "base/sanitize.h"

/* Spare ones a worker keeps. None that checkers think of as one. */
enum { RECORDS_HOT = SANITIZE_THREAD || SANITIZE_ADDRESS ? 0 : 1024 };

struct record *record_get(struct worker *w, size_t copy)
{
    struct record *r;

    if (copy > RECORD_SMALL) {
        r = copy > SIZE_MAX - sizeof *r ? NULL : alloc(sizeof *r + copy);
    } else if (w != NULL && w->records != NULL) {
        r = w->records;
        w->records = r->job.next;
        w->record_count--;
    } else {
        r = alloc(sizeof *r);
    }
    if (r != NULL)
        r->small = copy <= RECORD_SMALL;
    return r;
}

void record_put(struct worker *w, struct record *r)
{
    if (!r->small || w->record_count + 1 > RECORDS_HOT) {
        release(r);
        return;
    }
    r->job.next = w->records;
    w->records = r;
    w->record_count++;
}

void records_free(struct worker *w)
{
    while (w->records != NULL) {
        struct record *r = w->records;

        w->records = r->job.next;
        release(r);
    }
    w->record_count = 0;
}
