/* Is each entry of a directory told once, however many there are; is told what
 * POSIX says of what is none; and is nothing left open? */
#include "lib/api.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANY = 1500 }; /* do not fit into one call */

static char folder[] = "/tmp/thrum-dir-XXXXXX";
static char many[sizeof folder + 5], empty[sizeof folder + 6];

static char *name_of(char *name, size_t room, unsigned i)
{
    (void)snprintf(name, room, "%s/%0200u", many, i);
    return name;
}

static int make_folders(void **state)
{
    char name[300];

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(many, sizeof many, "%s/many", folder);
    (void)snprintf(empty, sizeof empty, "%s/empty", folder);
    if (mkdir(many, 0700) != 0 || mkdir(empty, 0700) != 0)
        return -1;
    for (unsigned i = 0; i < MANY; i++)
        close(open(name_of(name, sizeof name, i), O_WRONLY | O_CREAT, 0600));
    return 0;
}

static int remove_folders(void **state)
{
    char name[300];

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        (void)unlink(name_of(name, sizeof name, i));
    return rmdir(many) | rmdir(empty) | rmdir(folder);
}

/* ------------------------------------------------------------------ listing */

static thrum_err *list_many(void *arg)
{
    bool *seen = calloc(MANY, sizeof *seen);
    struct dirent *e;
    thrum_dir *d;
    unsigned n = 0;

    (void)arg;
    CHECK(thrum_opendir(many, &d) == 0);
    for (; thrum_readdir(d, &e) == 1; n++) {
        unsigned long i = strtoul(e->d_name, NULL, 10);

        CHECK(strlen(e->d_name) == 200 && i < MANY && !seen[i]);
        seen[i] = true;
    }
    CHECK(n == MANY);
    CHECK(thrum_readdir(d, &e) == 0); /* it stays so */
    thrum_closedir(d);
    free(seen);
    return NULL;
}

static void each_entry_is_told_once(void **state)
{
    (void)state;
    on_runtimes(list_many, NULL);
    expect_ok(list_many(NULL)); /* on a thread that is no worker */
}

static thrum_err *list_small(void *arg)
{
    struct dirent *e;
    thrum_dir *d;
    int folders = 0;

    (void)arg;
    CHECK(thrum_opendir(empty, &d) == 0);
    CHECK(thrum_readdir(d, &e) == 0);
    thrum_closedir(d);
    CHECK(thrum_opendir(folder, &d) == 0);
    while (thrum_readdir(d, &e) == 1) {
        CHECK(!strcmp(e->d_name, "many") || !strcmp(e->d_name, "empty"));
        CHECK(e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
        folders++;
    }
    CHECK(folders == 2);
    thrum_closedir(d);
    thrum_closedir(NULL);
    return NULL;
}

static void neither_it_itself_nor_the_one_around_is_an_entry(void **state)
{
    (void)state;
    on_runtimes(list_small, NULL);
}

/* ------------------------------------------------------------------- errors */

static thrum_err *open_none(void *arg)
{
    thrum_dir *d = NULL;

    (void)arg;
    CHECK(thrum_opendir("/no such folder", &d) == -ENOENT);
    CHECK(thrum_opendir("/proc/version", &d) == -ENOTDIR);
    CHECK(thrum_opendir("", &d) == -ENOENT);
    CHECK(d == NULL);
    return NULL;
}

static void what_is_no_directory_is_told(void **state)
{
    (void)state;
    on_runtimes(open_none, NULL);
}

static thrum_err *canceled(void *arg)
{
    thrum_dir *one = NULL, *open = arg;
    struct dirent *e;

    thrum_scope_cancel(NULL, NULL);
    CHECK(thrum_opendir(empty, &one) == -ECANCELED && one == NULL);
    CHECK(thrum_readdir(open, &e) == -ECANCELED);
    return NULL;
}

/* What was read before, or would be in the next call, is still to come. */
static thrum_err *cancel_and_go_on(void *arg)
{
    struct dirent *e;
    thrum_dir *d;
    unsigned n = 0;

    (void)arg;
    CHECK(thrum_opendir(many, &d) == 0);
    do
        thrum_err_drop(thrum_with(canceled, d));
    while (thrum_readdir(d, &e) == 1 && ++n > 0);
    CHECK(n == MANY);
    thrum_closedir(d);
    return NULL;
}

static void who_is_canceled_has_passed_over_nothing(void **state)
{
    (void)state;
    on_threads(cancel_and_go_on, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_entry_is_told_once),
        cmocka_unit_test(neither_it_itself_nor_the_one_around_is_an_entry),
        cmocka_unit_test(what_is_no_directory_is_told),
        cmocka_unit_test(who_is_canceled_has_passed_over_nothing),
    };
    size_t fds = footprint().fds;
    int rc = cmocka_run_group_tests(tests, make_folders, remove_folders);

    return footprint_at_rest().fds > fds ? 1 : rc;
}
