/* Generators: items that are made when they are asked for.
 *
 * `pages` reads one page after the other from a slow source, and hands over its
 * rows one at a time. Whoever wants rows asks in a loop and knows nothing of
 * pages. The first reader takes all; the second one only what it needs, and the
 * body cleans up when it is closed. The third is a generator of a generator.
 */
#include <thrum.h>

#include <stdio.h>

enum { ROWS = 7, PAGE = 3 };

struct table {
    const char *name;
};

/* As from a database: some milliseconds, and up to PAGE rows. */
static thrum_err *load(int from, int *rows, int *count)
{
    THRUM_TRY(thrum_sleep(THRUM_MS(1)));
    for (*count = 0; *count < PAGE && from + *count < ROWS; ++*count)
        rows[*count] = 100 + from + *count;
    printf("  (loaded %d rows)\n", *count);
    return NULL;
}

static thrum_err *disconnect(void *arg)
{
    const struct table *t = arg;

    printf("  (%s is closed)\n", t->name);
    return NULL;
}

static thrum_err *rows_of(void *arg)
{
    int rows[PAGE], count;

    thrum_defer(NULL, disconnect, arg);
    for (int from = 0; from < ROWS; from += count) {
        THRUM_TRY(load(from, rows, &count));
        for (int i = 0; i < count; i++)
            THRUM_TRY(thrum_gen_emit(&rows[i]));
    }
    return NULL;
}

static thrum_err *print_all(struct table *t)
{
    thrum_gen g;
    int row, more;

    thrum_gen_open(&g, rows_of, t, sizeof row);
    while ((more = thrum_gen_next(&g, &row)) > 0)
        printf("row %d\n", row);
    return thrum_err_add(thrum_rc(more), thrum_gen_close(&g));
}

static thrum_err *print_first(struct table *t)
{
    thrum_gen g;
    int row, more;

    thrum_gen_open(&g, rows_of, t, sizeof row);
    more = thrum_gen_next(&g, &row);
    if (more > 0)
        printf("the first is %d\n", row);
    return thrum_err_add(thrum_rc(more), thrum_gen_close(&g));
}

/* A comprehension: [x * x for x in rows if x is even]. */
static thrum_err *even_squares(void *arg)
{
    thrum_gen g;
    int row, more, rc = 0;

    thrum_gen_open(&g, rows_of, arg, sizeof row);
    while (rc == 0 && (more = thrum_gen_next(&g, &row)) > 0)
        if (row % 2 == 0)
            rc = thrum_gen_emit(&(int){row * row});
    return thrum_err_add(thrum_rc(rc), thrum_gen_close(&g));
}

static thrum_err *app(void *arg)
{
    struct table orders = {"orders"}, users = {"users"}, items = {"items"};
    thrum_gen g;
    int squares[2 * ROWS], n;

    (void)arg;
    THRUM_TRY(print_all(&orders));
    THRUM_TRY(print_first(&users));
    thrum_gen_open(&g, even_squares, &items, sizeof *squares);
    n = thrum_gen_next_many(&g, squares, 2 * ROWS);
    for (int i = 0; i < n; i++)
        printf("square %d\n", squares[i]);
    return thrum_err_add(thrum_rc(n), thrum_gen_close(&g));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
