#include "task/error.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

enum { REPORT_LINES_MAX = 256 };

/* Where the report goes; what does not fit is measured only. */
struct report {
    char *buf;
    size_t size;
    size_t length;
    unsigned lines;
};

static void put_bytes(struct report *r, const char *bytes, size_t n)
{
    if (r->length < r->size) {
        size_t room = r->size - r->length;
        memcpy(r->buf + r->length, bytes, n < room ? n : room);
    }
    r->length += n;
}

static void put(struct report *r, const char *text)
{
    put_bytes(r, text ? text : "?", text ? strlen(text) : 1);
}

static void put_number(struct report *r, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    put(r, text);
}

static void put_indent(struct report *r, unsigned indent)
{
    while (indent-- > 0)
        put(r, "  ");
}

/* A message of several lines keeps to its place, and cannot pass for lines of
 * the report. */
static void put_message(struct report *r, const char *message, unsigned indent)
{
    const char *end;

    while ((end = strchr(message, '\n')) != NULL && end[1] != '\0') {
        put_bytes(r, message, (size_t)(end + 1 - message));
        put_indent(r, indent);
        put(r, "| ");
        r->lines++;
        message = end + 1;
    }
    put_bytes(r, message, strcspn(message, "\n"));
}

static void put_code(struct report *r, const struct leaf *leaf)
{
    int code = thrum_err_code(&leaf->head);
    char text[16];

    if (code == 0)
        return;
    snprintf(text, sizeof(text), " [%d]", code);
    put(r, text);
}

static void put_trace(struct report *r, thrum_trace_id trace)
{
    char text[48];

    if ((trace.hi | trace.lo) == 0)
        return;
    snprintf(text, sizeof(text), ", trace %016" PRIx64 "%016" PRIx64, trace.hi,
             trace.lo);
    put(r, text);
}

static void put_leaf(struct report *r, const struct leaf *leaf, unsigned indent)
{
    const char *errno_name = error_errno_name(leaf->number);

    put(r, leaf->kind->name);
    put(r, ": ");
    put_message(r, leaf->message, indent);
    if (errno_name) {
        put(r, " (");
        put(r, errno_name);
        put(r, ")");
    }
    put_code(r, leaf);
    if (leaf->where) {
        put(r, " at ");
        put(r, leaf->where);
    }
    if (leaf->path) {
        put(r, ", task \"");
        put(r, leaf->path);
        put(r, "\"");
    }
    put_trace(r, leaf->trace);
    put(r, "\n");
    r->lines++;
}

static void put_count(struct report *r, unsigned indent, size_t count,
                      const char *what)
{
    put_indent(r, indent);
    put(r, "(");
    put_number(r, count);
    put(r, what);
    r->lines++;
}

static void put_notes(struct report *r, unsigned indent)
{
    const thrum_kind *kind;
    const char *where;

    for (size_t i = 0; error_note(i, &kind, &where); i++) {
        put_indent(r, indent);
        put(r, i == 0 ? "last wanted: " : "and before:  ");
        put(r, kind->name);
        put(r, " at ");
        put(r, where);
        put(r, "\n");
        r->lines++;
    }
}

/* One leaf and what it says of itself, from mid-line. */
static void put_alone(struct report *r, const struct leaf *leaf,
                      unsigned indent)
{
    if (leaf->index != ERROR_NO_INDEX) {
        put(r, "job ");
        put_number(r, leaf->index);
        put(r, ": ");
    }
    put_leaf(r, leaf, indent + 1);
    if (leaf == &error_no_memory)
        put_notes(r, indent + 1);
    if (leaf->head.lost > 0)
        put_count(r, indent + 1, leaf->head.lost, " not kept)\n");
    if (leaf->cut) {
        put_indent(r, indent + 1);
        put(r, "(links of this chain were left out)\n");
        r->lines++;
    }
}

static void put_error(struct report *r, const thrum_err *e, unsigned indent);

/* A leaf and its causes, all at one depth; a group among them gets its own. */
static void put_chain(struct report *r, const struct leaf *leaf,
                      unsigned indent)
{
    const thrum_err *cause;

    put_alone(r, leaf, indent);
    for (; (cause = leaf->cause) != NULL; leaf = error_leaf(cause, 0)) {
        put_indent(r, indent + 1);
        put(r, "caused by: ");
        if (cause->leaves) {
            put_error(r, cause, indent + 1);
            return;
        }
        put_alone(r, error_leaf(cause, 0), indent + 1);
    }
}

/* From mid-line; the line it begins on is indented by indent. It recurses once
 * a group in a chain of causes, which error.h bounds (I4). */
static void put_error(struct report *r, const thrum_err *e, unsigned indent)
{
    put_chain(r, error_leaf(e, 0), indent);
    if (!e->leaves)
        return;

    put_indent(r, indent);
    put(r, "and ");
    put_number(r, thrum_err_count(e) - 1);
    put(r, " more:\n");
    r->lines++;

    size_t i = 1;
    for (; i < e->leaves && r->lines < REPORT_LINES_MAX; i++) {
        put_indent(r, indent + 1);
        put_chain(r, error_leaf(e, i), indent + 1);
    }
    if (i < e->leaves)
        put_count(r, indent + 1, e->leaves - i, " not shown)\n");
    if (e->lost > 0)
        put_count(r, indent + 1, e->lost, " not kept)\n");
}

int thrum_err_format(const thrum_err *e, char *buf, size_t size)
{
    struct report r = {.buf = buf, .size = size};

    if (e)
        put_error(&r, e, 0);
    if (size > 0)
        buf[r.length < size ? r.length : size - 1] = '\0';
    return r.length < INT_MAX ? (int)r.length : INT_MAX;
}
