/* progress.c - the bar on a terminal, and the totals.
 *
 * The bar is a task like any other: it draws, sleeps, draws again. Drawing is
 * done off the workers, since a terminal may be stopped (with control-S) and
 * then blocks who writes to it.
 */
#include "treesum.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 10, FILE_COST = 16 << 10 };

struct text {
    char bytes[16];
};

static struct text size_text(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct text text;
    size_t unit = 0;

    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(text.bytes, sizeof text.bytes, bytes < 10 ? "%.1f %s" : "%.0f %s",
             bytes, units[unit]);
    return text;
}

/* How far we are, from 0 to 1. A file costs its bytes, and what it takes to open
 * it: as much as hashing some more. */
static double fraction_done(const struct progress *progress, size_t files,
                            uint64_t bytes)
{
    double done = (double)bytes + (double)files * FILE_COST;
    double all = (double)progress->all_bytes +
                 (double)progress->all_files * FILE_COST;

    return all == 0 || done > all ? 1 : done / all;
}

static int bar_text(const struct progress *progress, char *line, size_t size)
{
    size_t files = atomic_load_explicit(&progress->files, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&progress->bytes,
                                          memory_order_relaxed);
    double seconds = (double)(thrum_now() - progress->start) / 1e9;
    double done = fraction_done(progress, files, bytes);
    long left = done > 0 ? (long)(seconds * (1 - done) / done + 0.5) : 0;
    int cells = (int)(done * BAR_CELLS);

    return snprintf(line, size,
                    "[%.*s%*s] %3.0f%% %zu/%zu files %s/%s %s/s %ld:%02ld left",
                    cells, "==========", BAR_CELLS - cells, "", 100 * done,
                    files, progress->all_files, size_text((double)bytes).bytes,
                    size_text((double)progress->all_bytes).bytes,
                    size_text((double)bytes / (seconds + 1e-9)).bytes,
                    left / 60, left % 60);
}

/* A job for the pool. What is wrong with the terminal is of no interest. */
static thrum_err *draw(void *arg)
{
    const struct progress *progress = arg;
    struct winsize window = {.ws_col = 0};
    char line[256] = "\r";
    int length, columns;

    ioctl(STDERR_FILENO, TIOCGWINSZ, &window);
    columns = window.ws_col ? window.ws_col - 1 : 79;
    if (atomic_load(&progress->hashing))
        length = bar_text(progress, line + 1, sizeof line - 5);
    else
        length = snprintf(
            line + 1, sizeof line - 5, "%zu entries found",
            atomic_load_explicit(&progress->found, memory_order_relaxed));
    length = length < columns ? length : columns;
    length = length < (int)sizeof line - 6 ? length : (int)sizeof line - 6;
    strcpy(line + 1 + length, "\033[K");
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return NULL;
    return NULL;
}

static thrum_err *erase(void *arg)
{
    (void)arg;
    if (write(STDERR_FILENO, "\r\033[K", 4) < 0)
        return NULL;
    return NULL;
}

/* A task: draw ten times a second. It looks more often whether all is over, so
 * that nobody waits long for it. */
thrum_err *progress_show(void *arg)
{
    struct progress *progress = arg;

    for (unsigned tick = 1; !atomic_load(&progress->finished); tick++) {
        THRUM_TRY(thrum_sleep(THRUM_MS(20)));
        if (tick % 5 == 0)
            THRUM_TRY(thrum_offload(draw, progress));
    }
    return thrum_offload(erase, NULL);
}

/* The walk is over: from now on the bar knows where it goes. */
void progress_begin(struct progress *progress, const struct tree *tree)
{
    progress->all_files = tree->count;
    progress->all_bytes = tree->bytes;
    atomic_store(&progress->hashing, true);
}

void progress_end(struct progress *progress)
{
    atomic_store(&progress->finished, true);
}

/* One line for those who want to know what was done, and what was left out. */
void progress_summary(const struct progress *progress, const struct tree *tree)
{
    double seconds = (double)(thrum_now() - progress->start) / 1e9;
    double bytes = (double)atomic_load(&progress->bytes);

    fprintf(
        stderr,
        "treesum: %zu files, %s in %.2f s, %s/s; %zu directories; left out: "
        "%zu symbolic links, %zu others\n",
        atomic_load(&progress->files), size_text(bytes).bytes, seconds,
        size_text(bytes / seconds).bytes, tree->dirs, tree->links,
        tree->others);
}
