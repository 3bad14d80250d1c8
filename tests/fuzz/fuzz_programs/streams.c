/* A pipe, and the two directions of a pair of sockets. Each byte is the number of
 * the step that writes it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "things.h"

enum { ROOM = 4096 };

static struct stream {
    int in, out;      /* to write to; to read from */
    bool ended, gone; /* nobody writes, reads any more */
    uint64_t written, read;
} all[STREAMS];

/* Of each step that writes: how much it was to, and did; how much was read of that. */
static struct {
    size_t asked, written, read;
} parts[STEPS_MAX];

static bool is_pipe(const struct stream *f)
{
    return f == all;
}

static struct stream *stream_of(const struct step *s)
{
    return &all[s->options % STREAMS];
}

static size_t size_of(const struct step *s)
{
    return 1 + s->which * (size_t)500;
}

/* One that fails ends both ways; perhaps nobody has told of it yet. */
static bool is_fault(const struct stream *f, int64_t rc)
{
    return program.faults && !is_pipe(f) &&
           (rc == -ECONNRESET || rc == -ETIMEDOUT || rc == -EPIPE);
}

static void note_fault(const struct stream *f, int64_t rc)
{
    if (!is_fault(f, rc) || (rc == -EPIPE && (f->ended || f->gone)))
        return;
    for (int i = 1; i < STREAMS; i++)
        all[i].ended = all[i].gone = true;
}

static thrum_err *put(struct task *t, struct step *s)
{
    struct stream *f = stream_of(s);
    size_t size = size_of(s);
    char bytes[ROOM];
    struct attempt a;
    int64_t n;

    if (is_pipe(f) && f->ended)
        return NULL;
    memset(bytes, (int)number_of(s), size);
    parts[number_of(s)].asked = size;
    a = attempt(t, s);
    n = attempted(a, thrum_write(f->in, bytes, size));
    must((n > 0 && n <= (int64_t)size) || n == -ECANCELED ||
         (n == -EPIPE && (f->gone || f->ended)) || (n == -EBADF && f->ended) ||
         is_fault(f, n));
    note_fault(f, n);
    if (n > 0) {
        f->written += (uint64_t)n;
        parts[number_of(s)].written = (size_t)n;
    }
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

static void note_read(const struct stream *f, const char *bytes, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        unsigned by = (unsigned char)bytes[i];

        must(by < (unsigned)program.step_count &&
             program.steps[by].op == OP_WRITE &&
             stream_of(&program.steps[by]) == f);
        must(parts[by].read++ < parts[by].asked);
    }
}

static thrum_err *get(struct task *t, struct step *s)
{
    struct stream *f = stream_of(s);
    size_t size = size_of(s);
    char bytes[ROOM];
    struct attempt a;
    int64_t n;

    if (is_pipe(f) && f->gone)
        return NULL;
    a = attempt(t, s);
    n = attempted(a, thrum_read(f->out, bytes, size));
    must((n > 0 && n <= (int64_t)size) || n == -ECANCELED ||
         (n == 0 && (f->ended || f->gone || (program.faults && !is_pipe(f)))) ||
         (n == -EBADF && f->gone) || is_fault(f, n));
    note_fault(f, n);
    if (n > 0) {
        note_read(f, bytes, n);
        f->read += (uint64_t)n;
    }
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

/* Of a pipe, an end is closed. */
static thrum_err *hang_up(struct step *s)
{
    struct stream *f = stream_of(s);
    bool reader = (s->which & 1) != 0;
    bool *is = reader ? &f->gone : &f->ended;
    int fd = reader ? f->out : f->in;

    if (*is)
        return NULL;
    *is = true;
    if (is_pipe(f))
        must(thrum_close(fd) == 0);
    else
        must(shutdown(fd, reader ? SHUT_RD : SHUT_WR) == 0);
    return NULL;
}

static thrum_err *do_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_WRITE:
        return put(t, s);
    case OP_READ:
        return get(t, s);
    default:
        return hang_up(s);
    }
}

/* Of a shutdown, the kernel tells a Unix socket that is full when it is not. */
static bool is_right(const struct step *s)
{
    const struct stream *f = stream_of(s);
    bool ends = f->ended || f->gone;

    return s->op == OP_WRITE ? f->written > f->read && !(ends && is_pipe(f))
                             : f->written == f->read && !ends;
}

static void make(void)
{
    int ends[2], size = ROOM;

    NOTED(all);
    NOTED(parts);
    memset(all, 0, sizeof all);
    memset(parts, 0, sizeof parts);
    if (!program.streams)
        return;
    must(pipe2(ends, O_CLOEXEC) == 0);
    must(fcntl(ends[1], F_SETPIPE_SZ, ROOM) == ROOM);
    all[0] = (struct stream){.in = ends[1], .out = ends[0]};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    for (int i = 0; i < 2; i++) {
        must(setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) ==
             0);
        all[1 + i] = (struct stream){.in = ends[i], .out = ends[1 - i]};
    }
}

static void balance(const struct stream *f)
{
    int left;

    if (is_pipe(f) ? f->gone : program.faults)
        return;
    must(ioctl(f->out, FIONREAD, &left) == 0);
    must(f->written == f->read + (uint64_t)left);
}

static void end_one(struct stream *f)
{
    if (!is_pipe(f) || !f->ended)
        must(thrum_close(f->in) == 0);
    if (is_pipe(f) && !f->gone)
        must(thrum_close(f->out) == 0);
}

static void end(void)
{
    for (int i = 0; i < program.step_count; i++)
        must(parts[i].read <= parts[i].written);
    for (int i = 0; i < STREAMS && program.streams; i++)
        balance(&all[i]);
    for (int i = 0; i < STREAMS && program.streams; i++)
        end_one(&all[i]);
}

const struct things streams = {make, end, do_step, is_right};
