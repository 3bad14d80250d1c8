/* response.c - answers: a file, a part of one, or why not. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct file {
    int root;
    const char *path;
    int fd; /* or -errno */
    off_t bytes;
    time_t changed;
};

/* --- the file */

static int open_at(int root, const char *path, struct stat *what)
{
    int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0 && fstat(fd, what) < 0) {
        close(fd);
        return -EIO;
    }
    return fd < 0 ? -errno : fd;
}

/* On a thread of the blocking pool: a disk may be slow. */
static thrum_err *open_file(void *arg)
{
    struct file *f = arg;
    struct stat what;

    f->fd = open_at(f->root, f->path, &what);
    if (f->fd >= 0 && S_ISDIR(what.st_mode)) {
        int folder = f->fd;

        f->fd = open_at(folder, "index.html", &what);
        close(folder);
    }
    if (f->fd >= 0 && !S_ISREG(what.st_mode)) {
        close(f->fd);
        f->fd = -EACCES;
    }
    if (f->fd >= 0) {
        f->bytes = what.st_size;
        f->changed = what.st_mtime;
    }
    return NULL;
}

static unsigned status_of(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
        return HTTP_STATUS_NOT_FOUND;
    case -EACCES:
    case -ELOOP:
        return HTTP_STATUS_FORBIDDEN;
    default:
        return HTTP_STATUS_SERVICE_UNAVAILABLE;
    }
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {"html", "text/html; charset=utf-8"},
        {"css", "text/css"},
        {"js", "text/javascript"},
        {"json", "application/json"},
        {"txt", "text/plain; charset=utf-8"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"svg", "image/svg+xml"},
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot + 1, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* --- a part of it: bytes from..to-1 */

struct part {
    off_t from, to;
};

/* "bytes=0-99", "bytes=100-" or "bytes=-100". 1: a part. 0: no such text, which is
 * as if there were none. -1: a part that is not there. */
static int part_of(const char *range, off_t bytes, struct part *part)
{
    unsigned long long from = 0, to = 0;
    int end = 0;

    if (sscanf(range, "bytes=-%llu%n", &to, &end) == 1 && range[end] == '\0') {
        part->from = to < (unsigned long long)bytes ? bytes - (off_t)to : 0;
        part->to = bytes;
        return to == 0 || bytes == 0 ? -1 : 1;
    }
    if (sscanf(range, "bytes=%llu-%n%llu%n", &from, &end, &to, &end) < 1 ||
        end == 0 || range[end] != '\0')
        return 0;
    if (range[end - 1] == '-' || to >= (unsigned long long)bytes)
        to = (unsigned long long)bytes - 1; /* to the end */
    if (from >= (unsigned long long)bytes)
        return -1;
    if (from > to)
        return 0;
    part->from = (off_t)from;
    part->to = (off_t)to + 1;
    return 1;
}

/* --- what is sent */

static const char *date(time_t at, char text[static 32])
{
    struct tm tm;

    gmtime_r(&at, &tm);
    strftime(text, 32, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return text;
}

/* The head of an answer; `more`: further lines. */
static int send_head(struct connection *c, unsigned status, off_t bytes,
                     const char *more)
{
    char head[1024], now[32];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %u %s\r\n"
                     "Date: %s\r\n"
                     "Content-Length: %lld\r\n"
                     "Connection: %s\r\n"
                     "%s\r\n",
                     status, http_status_str((enum http_status)status),
                     date(time(NULL), now), (long long)bytes,
                     c->request.stays ? "keep-alive" : "close", more);

    return thrum_write_full(c->fd, head, (size_t)n, NULL);
}

int respond_error(struct connection *c, unsigned status)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%u %s\n", status,
                     http_status_str((enum http_status)status));
    int rc = send_head(c, status, n,
                       status == HTTP_STATUS_METHOD_NOT_ALLOWED
                           ? "Allow: GET, HEAD\r\n"
                           : "Content-Type: text/plain\r\n");

    if (rc < 0 || c->request.head)
        return rc;
    return thrum_write_full(c->fd, text, (size_t)n, NULL);
}

static int send_part(struct connection *c, int fd, struct part part)
{
    ssize_t n = 1;

    while (n > 0 && part.from < part.to)
        n = thrum_sendfile(c->fd, fd, &part.from,
                           (size_t)(part.to - part.from));
    return n < 0 ? (int)n : n == 0 ? -EIO : 0; /* it became shorter meanwhile */
}

static int send_file(struct connection *c, const struct file *f)
{
    struct part part = {0, f->bytes};
    char more[256], range[96] = "", changed[32];
    int is_part = part_of(c->request.range, f->bytes, &part), rc;

    if (is_part < 0)
        return respond_error(c, HTTP_STATUS_RANGE_NOT_SATISFIABLE);
    if (is_part > 0)
        snprintf(range, sizeof range, "Content-Range: bytes %lld-%lld/%lld\r\n",
                 (long long)part.from, (long long)part.to - 1,
                 (long long)f->bytes);
    snprintf(more, sizeof more,
             "Content-Type: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n"
             "%s",
             type_of(f->path), date(f->changed, changed), range);
    rc = send_head(c, is_part ? HTTP_STATUS_PARTIAL_CONTENT : HTTP_STATUS_OK,
                   part.to - part.from, more);
    if (rc < 0 || c->request.head || part.from == part.to)
        return rc;
    return send_part(c, f->fd, part);
}

int respond(struct connection *c)
{
    struct request *r = &c->request;
    struct file f = {.root = c->options->root, .path = r->target, .fd = -1};
    thrum_err *e;
    int rc;

    if (r->status != 0)
        return respond_error(c, r->status);
    if (!request_path(r))
        return respond_error(c, HTTP_STATUS_BAD_REQUEST);
    e = thrum_offload(open_file, &f);
    if (e != NULL) {
        rc = -thrum_err_errno(e);
        thrum_err_drop(e);
        return rc;
    }
    if (f.fd < 0)
        return respond_error(c, status_of(f.fd));
    rc = send_file(c, &f);
    close(f.fd);
    return rc;
}
