/* request.c - requests: parsed as they come, one after the other. */
#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

static struct request *request_of(http_parser *p)
{
    return &((struct connection *)p->data)->request;
}

/* As much of it as there is room for; how much there is. */
static size_t append(char *to, size_t room, size_t at, const char *bytes,
                     size_t n)
{
    for (size_t i = 0; i < n && at + i + 1 < room; i++)
        to[at + i] = bytes[i];
    to[at + n < room ? at + n : room - 1] = '\0';
    return at + n;
}

static int on_target(http_parser *p, const char *bytes, size_t n)
{
    struct request *r = request_of(p);

    r->target_bytes = append(r->target, sizeof r->target, r->target_bytes,
                             bytes, n);
    return 0;
}

static int on_name(http_parser *p, const char *bytes, size_t n)
{
    struct request *r = request_of(p);

    if (r->in_value)
        r->name_bytes = 0;
    r->in_value = false;
    r->name_bytes = append(r->name, sizeof r->name, r->name_bytes, bytes, n);
    return 0;
}

static int on_value(http_parser *p, const char *bytes, size_t n)
{
    struct request *r = request_of(p);

    r->in_value = true;
    if (strcasecmp(r->name, "host") == 0)
        r->has_host = true;
    if (strcasecmp(r->name, "range") == 0)
        r->range_bytes = append(r->range, sizeof r->range, r->range_bytes,
                                bytes, n);
    return 0;
}

/* Nothing is sent to this server: a body is refused, and not read. */
static int on_head(http_parser *p)
{
    struct request *r = request_of(p);
    bool body = (p->flags & F_CHUNKED) ||
                (p->content_length != 0 && p->content_length != ULLONG_MAX);

    r->head = p->method == HTTP_HEAD;
    r->stays = http_should_keep_alive(p);
    if (r->target_bytes >= sizeof r->target)
        r->status = HTTP_STATUS_URI_TOO_LONG;
    else if (p->method != HTTP_GET && p->method != HTTP_HEAD)
        r->status = HTTP_STATUS_METHOD_NOT_ALLOWED;
    else if (body)
        r->status = HTTP_STATUS_PAYLOAD_TOO_LARGE;
    else if (!r->has_host && p->http_major == 1 && p->http_minor == 1)
        r->status = HTTP_STATUS_BAD_REQUEST;
    if (r->status != 0)
        http_parser_pause(p, 1);
    return 0;
}

static int on_end(http_parser *p)
{
    request_of(p)->done = true;
    http_parser_pause(p, 1); /* what follows is the next one's */
    return 0;
}

static const http_parser_settings settings = {.on_url = on_target,
                                              .on_header_field = on_name,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head,
                                              .on_message_complete = on_end};

void request_init(struct connection *c)
{
    http_parser_init(&c->parser, HTTP_REQUEST);
    c->parser.data = c;
    c->from = c->to = 0;
}

int request_await(struct connection *c)
{
    ssize_t n;

    if (c->from < c->to)
        return 0;
    n = thrum_read(c->fd, c->bytes, sizeof c->bytes);
    c->from = 0;
    c->to = n > 0 ? (size_t)n : 0;
    return n > 0 ? 0 : n == 0 ? -ENODATA : (int)n;
}

static unsigned status_of(enum http_errno wrong)
{
    return wrong == HPE_HEADER_OVERFLOW
               ? HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE
               : HTTP_STATUS_BAD_REQUEST;
}

int request_read(struct connection *c)
{
    struct request *r = &c->request;
    enum http_errno wrong = HPE_OK;

    memset(r, 0, sizeof *r);
    while (!r->done && r->status == 0) {
        int rc = request_await(c);

        if (rc < 0)
            return rc;
        c->from += http_parser_execute(&c->parser, &settings,
                                       c->bytes + c->from, c->to - c->from);
        wrong = HTTP_PARSER_ERRNO(&c->parser);
        if (wrong == HPE_PAUSED)
            http_parser_pause(&c->parser, 0);
        else if (wrong != HPE_OK || c->parser.upgrade)
            r->status = status_of(wrong);
    }
    if (r->status != 0)
        r->stays = false;
    return 0;
}

/* --- what it asks for */

static int digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

/* "%41" becomes "A", up to a query. False: some % is followed by no number, or it
 * is no byte of a name. */
static bool decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0' && *from != '?'; from++) {
        int high, low;

        *to = *from;
        if (*from == '%') {
            if ((high = digit(from[1])) < 0 || (low = digit(from[2])) < 0)
                return false;
            *to = (char)(high * 16 + low);
            from += 2;
        }
        if (*to++ == '\0')
            return false;
    }
    *to = '\0';
    return true;
}

/* Is one of its parts ".."? */
static bool leads_out(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")) != NULL; at++)
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return true;
    return false;
}

bool request_path(struct request *r)
{
    size_t slashes;

    if (r->target[0] != '/' || !decode(r->target) || leads_out(r->target))
        return false;
    slashes = strspn(r->target, "/");
    memmove(r->target, r->target + slashes, strlen(r->target + slashes) + 1);
    if (r->target[0] == '\0')
        strcpy(r->target, ".");
    return true;
}
