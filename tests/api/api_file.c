/* Do calls on files say what those of POSIX say, through io_uring and without it;
 * however many there are; does each have its place in the file; does none keep a
 * worker; and is nothing of the task's touched after a cancel? */
#include "lib/door.h"
#include "lib/fds.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 64, PLACES = 16, MANY = 70 };

static char path[] = "/tmp/thrum-file-XXXXXX"; /* of PAGES pages */
static char fifo[sizeof path + 2];

static void write_pages(void)
{
    unsigned char bytes[PAGE];
    int fd = open(path, O_WRONLY | O_TRUNC);

    for (size_t i = 0; i < PAGES; i++) {
        fill(bytes, i * PAGE, PAGE);
        CHECK(pwrite(fd, bytes, PAGE, (off_t)(i * PAGE)) == PAGE);
    }
    close(fd);
}

static int make_files(void **state)
{
    (void)state;
    close(mkstemp(path));
    write_pages();
    snprintf(fifo, sizeof fifo, "%s.p", path);
    return mkfifo(fifo, 0600);
}

static int remove_files(void **state)
{
    (void)state;
    return unlink(path) | unlink(fifo);
}

/* --- is it io_uring? ------------------------------------------------------ */

static size_t rings(void)
{
    char name[40], is[40];
    size_t n = 0;

    for (int fd = 0; fd < 256; fd++) {
        ssize_t length;

        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        length = readlink(name, is, sizeof is - 1);
        is[length > 0 ? length : 0] = '\0';
        n += strcmp(is, "anon_inode:[io_uring]") == 0;
    }
    return n;
}

/* Not of an emulated one, an older one, or one that a filter hides. */
static bool kernel_has_rings(void)
{
    char parameters[256] = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 1, parameters);
    unsigned most[2] = {0, 0};
    bool has = fd >= 0 && syscall(SYS_io_uring_register, fd, 19, most, 2) == 0;

    if (fd >= 0)
        close(fd);
    return has && !is_emulated();
}

static thrum_err *count_rings(void *arg)
{
    struct stat st;

    CHECK(thrum_stat("/", &st) == 0);
    *(size_t *)arg = rings();
    return NULL;
}

static size_t rings_used(void)
{
    size_t n = 99;

    expect_ok(thrum_run(&(thrum_opts){.workers = 1}, count_rings, &n));
    assert_int_equal(rings(), 0);
    return n;
}

static void io_uring_is_used_where_it_is_and_is_wanted(void **state)
{
    (void)state;
    assert_int_equal(rings_used(), kernel_has_rings());
    setenv("THRUM_IO", "epoll", 1);
    assert_int_equal(rings_used(), 0);
    setenv("THRUM_IO", "uring", 1);
    assert_int_equal(rings_used(), kernel_has_rings());
    unsetenv("THRUM_IO");
}

/* --- as POSIX says -------------------------------------------------------- */

static ssize_t or_errno(ssize_t rc)
{
    return rc < 0 ? -errno : rc;
}

static void same_of_path(const char *name, int flags)
{
    struct stat got, wanted;
    int fd = open(name, flags), rc = (int)or_errno(fd);
    int ours = thrum_open(name, flags, 0);

    CHECK(rc < 0 ? ours == rc : ours >= 0);
    if (fd >= 0)
        CHECK(close(fd) == 0 && thrum_close(ours) == 0);
    memset(&got, 0, sizeof got);
    memset(&wanted, 0, sizeof wanted);
    rc = (int)or_errno(stat(name, &wanted));
    CHECK(thrum_stat(name, &got) == rc);
    wanted.st_atim = got.st_atim; /* others look at it, too */
    CHECK(memcmp(&got, &wanted, sizeof got) == 0);
}

static void same_of_bytes(int fd, size_t n, off_t at)
{
    static const size_t room = 2 * PAGE;
    unsigned char *bytes = calloc(2, room);
    ssize_t wanted = or_errno(pread(fd, bytes, n, at));

    CHECK(thrum_pread(fd, bytes + room, n, at) == wanted);
    CHECK(memcmp(bytes, bytes + room, room) == 0);
    wanted = or_errno(pwrite(fd, bytes, n, at));
    CHECK(thrum_pwrite(fd, bytes, n, at) == wanted);
    free(bytes);
}

static void same_of_file(int fd)
{
    static const struct {
        size_t n;
        off_t at;
    } places[] = {{PAGE, 0},
                  {PAGE, 100},
                  {0, 0},
                  {1, PAGES * PAGE},
                  {100, -1},
                  {1, -5},
                  {PAGE, (off_t)1e12},
                  {2 * PAGE, PAGES * PAGE - PAGE - 7}};

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        same_of_bytes(fd, places[i].n, places[i].at);
    CHECK(truncate(path, PAGES * PAGE) == 0);
}

static thrum_err *same(void *arg)
{
    static const char *const names[] = {
        "/dev/null", "/usr", "", "/proc/version", "/no such folder/file"};
    int ends[2];

    (void)arg;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        same_of_path(names[i], O_RDONLY);
        same_of_path(names[i], O_RDWR);
    }
    same_of_path(path, O_RDWR);
    same_of_path(path, O_RDONLY | O_CREAT | O_EXCL);
    fds_open(PIPE, ends);
    CHECK(write(ends[1], "x", 1) == 1);
    same_of_bytes(ends[0], 1, 0);
    CHECK(thrum_fsync(ends[0]) == -EINVAL);
    fds_close(ends);
    same_of_bytes(ends[0], 1, 0);
    return NULL;
}

static thrum_err *same_of_files(void *arg)
{
    static const int flags[] = {O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_NONBLOCK,
                                O_RDWR | O_DIRECT};

    (void)arg;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int fd = open(path, flags[i]);

        if (fd >= 0) /* not all know O_DIRECT */
            same_of_file(fd);
        close(fd);
    }
    write_pages();
    return NULL;
}

static void paths_pipes_and_numbers_are_told_as_by_posix(void **state)
{
    (void)state;
    on_each_io(same, NULL);
}

static void so_is_what_is_read_and_written(void **state)
{
    (void)state;
    on_each_io(same_of_files, NULL);
}

/* --- many at once --------------------------------------------------------- */

struct page {
    int fd;
    size_t i;
};

static thrum_err *read_page(void *arg)
{
    struct page *p = arg;
    unsigned char bytes[PAGE];
    struct stat st;

    CHECK(thrum_pread(p->fd, bytes, PAGE, (off_t)(p->i % PAGES * PAGE)) ==
          PAGE);
    check_bytes(bytes, p->i % PAGES * PAGE, PAGE);
    CHECK(thrum_stat(path, &st) == 0 && st.st_size == PAGES * PAGE);
    CHECK(thrum_pwrite(p->fd, bytes, PAGE, (off_t)(p->i % PAGES * PAGE)) ==
          PAGE);
    return NULL;
}

/* From the disk, if there is one. */
static thrum_err *read_pages(void *arg)
{
    int fd = thrum_open(path, O_RDWR, 0);
    thrum_scope s;

    (void)arg;
    CHECK(fd >= 0 && thrum_fsync(fd) == 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    thrum_scope_open(&s);
    for (size_t i = 0; i < 4 * PAGES; i++) {
        struct page p = {fd, i};

        CHECK(thrum_spawn(&s, read_page, &p, sizeof p) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static void there_may_be_more_than_the_kernel_takes_at_once(void **state)
{
    (void)state;
    on_each_io(read_pages, NULL);
}

static thrum_err *open_end(void *arg)
{
    int *fd = arg; /* the flags, before */

    *fd = thrum_open(fifo, *fd, 0);
    CHECK(*fd >= 0);
    return NULL;
}

/* None of the first ends before others have come; all stay open until then. */
static thrum_err *open_ends(void *arg)
{
    int fds[2 * MANY];
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s);
    for (int i = 0; i < 2 * MANY; i++) {
        fds[i] = i < MANY ? O_RDONLY : O_WRONLY;
        CHECK(thrum_spawn(&s, open_end, &fds[i], 0) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    for (int i = 0; i < 2 * MANY; i++)
        CHECK(thrum_close(fds[i]) == 0);
    return NULL;
}

static void calls_that_wait_for_each_other_end(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        thrum_opts opts = {.workers = 2};

        setenv("THRUM_IO", i == 0 ? "uring" : "epoll", 1);
        expect_ok(thrum_run(&opts, open_ends, NULL));
        unsetenv("THRUM_IO");
    }
}

/* --- at the file's own place ---------------------------------------------- */

static thrum_err *write_next(size_t i, void *fd)
{
    unsigned char bytes[PAGE];

    memset(bytes, (int)i, PAGE);
    CHECK(thrum_write(*(int *)fd, bytes, PAGE) == PAGE);
    return NULL;
}

struct next {
    int fd;
    _Atomic unsigned seen[PLACES];
};

static thrum_err *read_next(size_t i, void *arg)
{
    struct next *n = arg;
    unsigned char bytes[PAGE];

    (void)i;
    CHECK(thrum_read(n->fd, bytes, PAGE) == PAGE);
    for (size_t at = 1; at < PAGE; at++)
        CHECK(bytes[at] == bytes[0]);
    CHECK(bytes[0] < PLACES);
    n->seen[bytes[0]]++;
    return NULL;
}

/* Each has a page of its own, and whoever comes next the one behind. */
static thrum_err *share_the_place(void *arg)
{
    char name[] = "/tmp/thrum-place-XXXXXX";
    struct next n = {.fd = mkstemp(name)};

    (void)arg;
    CHECK(n.fd >= 0 && unlink(name) == 0);
    expect_ok(thrum_each(PLACES, write_next, &n.fd));
    CHECK(lseek(n.fd, 0, SEEK_CUR) == PLACES * PAGE);
    CHECK(lseek(n.fd, 0, SEEK_SET) == 0 && thrum_fsync(n.fd) == 0);
    (void)posix_fadvise(n.fd, 0, 0, POSIX_FADV_DONTNEED);
    expect_ok(thrum_each(PLACES, read_next, &n));
    for (size_t i = 0; i < PLACES; i++)
        CHECK(n.seen[i] == 1);
    CHECK(thrum_close(n.fd) == 0);
    return NULL;
}

static void who_reads_and_writes_in_turn_has_a_place_of_his_own(void **state)
{
    (void)state;
    on_each_io(share_the_place, NULL);
}

/* --- not kept in memory: read off the workers, though in no time ---------- */

static bool has_pool_thread(void)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *e;
    bool has = false;

    CHECK(threads != NULL);
    while (!has && (e = readdir(threads)) != NULL) {
        char name[300], is[40] = "";
        FILE *f;

        snprintf(name, sizeof name, "/proc/self/task/%s/comm", e->d_name);
        f = fopen(name, "r");
        has = f != NULL && fgets(is, sizeof is, f) != NULL &&
              strcmp(is, "thrum/blocking\n") == 0;
        if (f != NULL)
            fclose(f);
    }
    closedir(threads);
    return has;
}

enum { READS = 70 }; /* it is asked again within so many */

/* The number is first a file's that is kept, and then, behind the library's back,
 * one's that is not. */
static thrum_err *read_through(void *arg)
{
    int kept = open(path, O_RDONLY), fd = fd_aside(dup(kept));
    int direct = open(path, O_RDONLY | O_DIRECT);
    void *bytes = aligned_alloc(PAGE, PAGE);

    (void)arg;
    CHECK(thrum_read(fd, bytes, PAGE) == PAGE);
    CHECK(dup2(direct, fd) == fd);
    for (int i = 0; i < READS; i++) {
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        CHECK(thrum_read(fd, bytes, PAGE) == PAGE);
        check_bytes(bytes, 0, PAGE);
    }
    CHECK(has_pool_thread());
    CHECK(close(kept) == 0 && close(direct) == 0 && thrum_close(fd) == 0);
    free(bytes);
    return NULL;
}

static void what_is_not_kept_in_memory_keeps_no_worker(void **state)
{
    static char byte[PAGE] __attribute__((aligned(PAGE)));
    int direct = open(path, O_RDONLY | O_DIRECT);
    struct iovec one = {byte, PAGE};

    (void)state;
    if (direct < 0 || fsync(direct) != 0 ||
        preadv2(direct, &one, 1, 0, RWF_NOWAIT) != PAGE)
        print_message("skipped: no disk that is read past the memory\n");
    else
        expect_ok(thrum_run(&(thrum_opts){.workers = 1}, read_through, NULL));
    close(direct);
}

/* --- canceled ------------------------------------------------------------- */

static thrum_err *open_alone(void *arg)
{
    int rc = thrum_open(fifo, O_RDONLY, 0);

    (void)arg;
    CHECK(rc == -ECANCELED);
    return thrum_rc(rc);
}

static thrum_err *cancel_opens(void *arg)
{
    thrum_scope s;

    (void)arg;
    expect_kind(thrum_with(open_alone, NULL, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT);
    thrum_scope_open(&s);
    for (int i = 0; i < 8; i++)
        CHECK(thrum_spawn(&s, open_alone, NULL, 0) == 0);
    for (int i = 0; i < 20; i++)
        thrum_yield();
    thrum_scope_cancel(&s, NULL);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    return NULL;
}

/* With io_uring; a thread of the pool would wait for the other end to be opened. */
static void an_open_is_not_waited_for_when_canceled(void **state)
{
    (void)state;
    if (kernel_has_rings())
        on_threads(cancel_opens, NULL);
    else
        print_message("skipped: no io_uring\n");
}

struct reader {
    int fd;
    unsigned char *bytes;
};

/* Whichever comes first: the page, and all of it, or the cancel, and nothing. */
static thrum_err *read_or_not(void *arg)
{
    struct reader *r = arg;
    ssize_t rc = thrum_pread(r->fd, r->bytes, PAGE, 0);

    CHECK(rc == PAGE || rc == -ECANCELED);
    if (rc == PAGE)
        check_bytes(r->bytes, 0, PAGE);
    memset(r->bytes, 'x', PAGE); /* its own again */
    return NULL;
}

static thrum_err *cancel_reads(void *arg)
{
    unsigned char *bytes = calloc(8, PAGE);
    int fd = thrum_open(path, O_RDONLY, 0);

    (void)arg;
    for (int round = 0; round < 10; round++) {
        thrum_scope s;

        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        thrum_scope_open(&s);
        for (int i = 0; i < 8; i++) {
            struct reader r = {fd, bytes + i * PAGE};

            CHECK(thrum_spawn(&s, read_or_not, &r, sizeof r) == 0);
        }
        for (int i = 0; i < round; i++)
            thrum_yield();
        thrum_scope_cancel(&s, NULL);
        thrum_err_drop(thrum_scope_close(&s, NULL));
        for (int i = 0; i < 8 * PAGE; i++)
            CHECK(bytes[i] == 'x' || bytes[i] == 0);
    }
    CHECK(thrum_close(fd) == 0);
    free(bytes);
    return NULL;
}

static void the_bytes_are_not_touched_after_a_cancel(void **state)
{
    (void)state;
    on_each_io(cancel_reads, NULL);
}

/* --- a close meanwhile ---------------------------------------------------- */

struct copy {
    int to, from;
    _Atomic bool begun;
    ssize_t result;
};

static thrum_err *copy_page(void *arg)
{
    struct copy *c = arg;
    off_t at = 0;

    c->begun = true;
    c->result = thrum_sendfile(c->to, c->from, &at, PAGE);
    return NULL;
}

/* The number is another file's when its turn comes. */
static thrum_err *close_before_its_turn(void *other)
{
    struct copy c = {.from = open(path, O_RDONLY)};
    struct door door = {0, 0};
    thrum_scope s;

    c.to = fd_aside(open("/dev/null", O_WRONLY));
    thrum_scope_open(&s);
    CHECK(thrum_spawn_blocking(&s, pass, &door, 0) == 0);
    await_count(&door.inside, 1);
    CHECK(thrum_spawn(&s, copy_page, &c, 0) == 0);
    while (!c.begun) /* of one worker: then it waits */
        thrum_yield();
    CHECK(thrum_close(c.to) == 0);
    CHECK(dup2(*(int *)other, c.to) == c.to);
    open_door(&door);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(c.result == -EBADF);
    CHECK(close(c.to) == 0 && close(c.from) == 0);
    return NULL;
}

static void what_waits_for_its_turn_hears_of_a_close(void **state)
{
    thrum_opts opts = {.workers = 1, .max_blocking = 1};
    FILE *other = tmpfile();
    int fd = fileno(other);

    (void)state;
    expect_ok(thrum_run(&opts, close_before_its_turn, &fd));
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    fclose(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(io_uring_is_used_where_it_is_and_is_wanted),
        cmocka_unit_test(paths_pipes_and_numbers_are_told_as_by_posix),
        cmocka_unit_test(so_is_what_is_read_and_written),
        cmocka_unit_test(there_may_be_more_than_the_kernel_takes_at_once),
        cmocka_unit_test(calls_that_wait_for_each_other_end),
        cmocka_unit_test(who_reads_and_writes_in_turn_has_a_place_of_his_own),
        cmocka_unit_test(what_is_not_kept_in_memory_keeps_no_worker),
        cmocka_unit_test(an_open_is_not_waited_for_when_canceled),
        cmocka_unit_test(the_bytes_are_not_touched_after_a_cancel),
        cmocka_unit_test(what_waits_for_its_turn_hears_of_a_close),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
