/* A directory that is listed: each name of it comes once. A call that is canceled passes
 * none over. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "things.h"

/* More than the library reads at once. */
enum { FILES = 160, LONG = 200 };

static char folder[] = "/tmp/thrum_fuzz_XXXXXX";
static bool made;

static const char *path_of(char *path, size_t size, int file)
{
    int n = snprintf(path, size, "%s/%03d%0*d", folder, file, LONG, 0);

    must(n > 0 && (size_t)n < size);
    return path;
}

static void remove_folder(void)
{
    char path[512];

    for (int i = 0; i < FILES; i++)
        (void)unlink(path_of(path, sizeof path, i));
    (void)rmdir(folder);
}

static void make_folder(void)
{
    char path[512];

    must(mkdtemp(folder) != NULL);
    made = true;
    must(atexit(remove_folder) == 0);
    for (int i = 0; i < FILES; i++) {
        int fd = open(path_of(path, sizeof path, i),
                      O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        must(fd >= 0 && close(fd) == 0);
    }
}

struct listing {
    thrum_dir *dir;
    bool seen[FILES];
    int count;
};

static void note_name(struct listing *l, const char *name)
{
    char *rest;
    char number[4] = {0};
    long file;

    must(strlen(name) == 3 + LONG);
    memcpy(number, name, 3);
    file = strtol(number, &rest, 10);
    must(*rest == '\0' && file < FILES && !l->seen[file]);
    l->seen[file] = true;
    l->count++;
}

/* So many more, unless there are none. */
static int64_t read_names(struct task *t, struct step *s, struct listing *l,
                          int most)
{
    struct dirent *e;
    int64_t rc = 1;

    while (most-- > 0 && rc > 0) {
        struct attempt a = attempt(t, s);

        rc = attempted(a, thrum_readdir(l->dir, &e));
        must(rc == 1 || rc == 0 || rc == -ECANCELED ||
             (program.faults && rc == -EIO));
        if (rc == 1)
            note_name(l, e->d_name);
        if (most % 16 == 0)
            thrum_yield();
    }
    must(rc != 0 || l->count == FILES);
    return rc;
}

/* Whatever is canceled, what is left is there. */
static void read_rest(struct task *t, struct step *s, struct listing *l)
{
    struct region region;
    thrum_scope scope;

    region_init(&region, t->at);
    region.shield = true;
    t->at = &region;
    thrum_scope_open(&scope, .shield = true);
    must(read_names(t, s, l, FILES + 1) == 0 || program.faults);
    must(thrum_scope_close(&scope, NULL) == NULL);
    t->at = region.parent;
}

static thrum_err *list(struct task *t, struct step *s)
{
    struct listing l = {0};
    struct attempt a;
    int64_t rc;

    if (!made)
        make_folder();
    a = attempt(t, s);
    rc = attempted(a, thrum_opendir(folder, &l.dir));
    must((rc == 0) == (l.dir != NULL));
    must(rc == 0 || rc == -ECANCELED ||
         (program.faults && (rc == -EMFILE || rc == -ENFILE)));
    if (rc == 0)
        rc = read_names(t, s, &l, s->which * 25);
    if (l.dir != NULL && rc != 0 && !deadlocked)
        read_rest(t, s, &l);
    thrum_closedir(l.dir);
    return rc == -ECANCELED ? thrum_rc(rc) : NULL;
}

/* It ends by itself. */
static bool is_right(const struct step *s)
{
    (void)s;
    return false;
}

static void make(void)
{
    NOTED(made);
    NOTED(folder);
}

static void end(void)
{
}

const struct things listings = {make, end, list, is_right};
