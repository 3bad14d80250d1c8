/* asyncio.TaskGroup and to_thread(os.scandir)
 *
 * A tree of directories is walked, each one by a task of its own: thrum_readdir
 * waits, so many are read at the same time. 13 directories here, of which each has
 * two files in it; they are counted, in whatever order.
 *
 * Pitfalls: an entry is there until the next call of thrum_readdir. Who gives it to
 * a task gives a copy: thrum_spawn makes one of its argument. And some file systems
 * do not say what an entry is: there the file itself is asked.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <thrum.h>
#include <unistd.h>

enum { WIDTH = 3, DEPTH = 2, FILES = 2 };

struct walk {
    thrum_scope scope;
    _Atomic(int) folders, files;
};

struct folder {
    struct walk *walk;
    char path[100];
};

static thrum_err *visit(void *arg);

static thrum_err *look_at(const struct folder *folder, const struct dirent *e)
{
    struct folder inner = {.walk = folder->walk};
    bool is_folder = e->d_type == DT_DIR;
    struct stat st;

    snprintf(inner.path, sizeof inner.path, "%.60s/%.30s", folder->path,
             e->d_name);
    if (e->d_type == DT_UNKNOWN) {
        THRUM_TRY(thrum_rc(thrum_stat(inner.path, &st)));
        is_folder = S_ISDIR(st.st_mode);
    }
    if (!is_folder) {
        folder->walk->files++;
        return NULL;
    }
    return thrum_rc(
        thrum_spawn(&folder->walk->scope, visit, &inner, sizeof inner));
}

static thrum_err *visit(void *arg)
{
    struct folder *folder = arg;
    struct dirent *entry;
    thrum_err *e = NULL;
    thrum_dir *dir;
    int rc = 0;

    THRUM_TRY(thrum_opendir(folder->path, &dir));
    folder->walk->folders++;
    while (e == NULL && (rc = thrum_readdir(dir, &entry)) > 0)
        e = look_at(folder, entry);
    thrum_closedir(dir);
    return e != NULL ? e : thrum_rc(rc);
}

static thrum_err *app(void *path)
{
    struct walk walk = {.folders = 0};
    struct folder top = {.walk = &walk};
    thrum_err *e;

    snprintf(top.path, sizeof top.path, "%s", (char *)path);
    thrum_scope_open(&walk.scope, .name = "walk");
    e = thrum_rc(thrum_spawn(&walk.scope, visit, &top, sizeof top));
    THRUM_TRY(thrum_scope_close(&walk.scope, e));
    printf("%d directories, %d files\n", walk.folders, walk.files);
    return NULL;
}

/* ----------------------------------------------------------------- the tree */

static void name_it(char *name, size_t room, const char *in, int i, char kind)
{
    snprintf(name, room, "%.60s/%c%d", in, kind, i);
}

static int grow(const char *path, int depth)
{
    char name[80];
    int bad = 0;

    for (int i = 0; i < FILES; i++) {
        name_it(name, sizeof name, path, i, 'f');
        bad |= mknod(name, S_IFREG | 0600, 0);
    }
    for (int i = 0; i < (depth > 0 ? WIDTH : 0); i++) {
        name_it(name, sizeof name, path, i, 'd');
        bad |= mkdir(name, 0700) | grow(name, depth - 1);
    }
    return bad;
}

static int fell(const char *path, int depth)
{
    char name[80];
    int bad = 0;

    for (int i = 0; i < FILES; i++) {
        name_it(name, sizeof name, path, i, 'f');
        bad |= unlink(name);
    }
    for (int i = 0; i < (depth > 0 ? WIDTH : 0); i++) {
        name_it(name, sizeof name, path, i, 'd');
        bad |= fell(name, depth - 1);
    }
    return bad | rmdir(path);
}

int main(void)
{
    char path[] = "/tmp/thrum-walk-XXXXXX";
    int bad = mkdtemp(path) == NULL || grow(path, DEPTH);

    if (!bad)
        bad = thrum_report(thrum_run(NULL, app, path));
    return fell(path, DEPTH) | bad;
}
