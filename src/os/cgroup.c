#include "os/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of /proc/self/mountinfo, as far as it concerns us. */
struct mount {
    enum cgroup_version version;
    const char *subtree; /* of the hierarchy that is mounted */
    const char *point;   /* where */
};

struct walk {
    const char *root;
    cgroup_visit *visit;
    void *arg;
    struct mount mount;
};

typedef void on_line(char *line, void *arg);

static void each_line(const char *root, const char *name, on_line *call,
                      void *arg)
{
    char *path, *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file;

    if (asprintf(&path, "%s%s", root, name) < 0)
        return;
    file = fopen(path, "re");
    free(path);
    if (file == NULL)
        return;
    while ((length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        call(line, arg);
    }
    free(line);
    fclose(file);
}

/* Whether word is one of the elements of a list like "rw,cpu,cpuacct". */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (;;) {
        size_t span = strcspn(list, ",");

        if (span == length && memcmp(list, word, length) == 0)
            return true;
        if (list[span] == '\0')
            return false;
        list += span + 1;
    }
}

static bool octal(char c)
{
    return c >= '0' && c <= '7';
}

/* The kernel writes space, tab, newline and backslash in a path as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && octal(from[1]) && octal(from[2]) &&
            octal(from[3])) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 +
                         (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

static bool climbs(const char *path)
{
    return strncmp(path, "/..", 3) == 0 && (path[3] == '/' || path[3] == '\0');
}

/* What of place can be named below subtree: "" or "/b/c". NULL: place is not
 * below it, as far as we can see. See the table in the header. */
static const char *below(const char *place, const char *subtree)
{
    size_t length = strcmp(subtree, "/") == 0 ? 0 : strlen(subtree);

    if (strncmp(place, subtree, length) != 0 ||
        (place[length] != '/' && place[length] != '\0'))
        return climbs(subtree) && !climbs(place) ? "" : NULL;
    if (climbs(place + length))
        return NULL;
    return strcmp(place + length, "/") == 0 ? "" : place + length;
}

static void climb(const struct walk *w, const char *place)
{
    const char *rest = below(place, w->mount.subtree);
    size_t shortest;
    char *dir;

    if (rest == NULL ||
        asprintf(&dir, "%s%s%s", w->root, w->mount.point, rest) < 0)
        return;

    shortest = strlen(w->root) + strlen(w->mount.point);
    for (;;) {
        w->visit(dir, w->mount.version, w->arg);
        if (strlen(dir) <= shortest)
            break;
        *strrchr(dir, '/') = '\0';
    }
    free(dir);
}

/* hierarchy:controllers:place, where version 2 is "0::place". */
static void on_membership(char *line, void *arg)
{
    const struct walk *w = arg;
    char *controllers = strchr(line, ':');
    char *place = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    bool ours;

    if (place == NULL || place[1] != '/')
        return;
    *controllers++ = '\0';
    *place++ = '\0';

    ours = w->mount.version == CGROUP_V2
               ? strcmp(line, "0") == 0 && *controllers == '\0'
               : lists(controllers, "cpu");
    if (ours)
        climb(w, place);
}

/* "36 35 98:0 /subtree /point rw,noatime master:1 - type source rw,options" */
static bool parse_mount(char *line, struct mount *m)
{
    enum { SUBTREE = 3, POINT = 4, FIELDS = 5 };
    char *tail = strstr(line, " - ");
    char *field[FIELDS];
    char *rest, *type, *options;

    if (tail == NULL)
        return false;
    *tail = '\0';
    rest = tail + 3;
    type = strsep(&rest, " ");
    strsep(&rest, " "); /* the source; it may be empty */
    options = strsep(&rest, " ");
    if (type == NULL || options == NULL)
        return false;

    rest = line;
    for (int i = 0; i < FIELDS; i++)
        field[i] = strsep(&rest, " ");
    if (field[POINT] == NULL || *field[SUBTREE] != '/' || *field[POINT] != '/')
        return false;

    unescape(field[SUBTREE]);
    unescape(field[POINT]);
    m->subtree = field[SUBTREE];
    m->point = field[POINT];

    m->version = strcmp(type, "cgroup2") == 0 ? CGROUP_V2 : CGROUP_V1_CPU;
    return m->version == CGROUP_V2 ||
           (strcmp(type, "cgroup") == 0 && lists(options, "cpu"));
}

static void on_mount(char *line, void *arg)
{
    struct walk *w = arg;

    if (parse_mount(line, &w->mount))
        each_line(w->root, "/proc/self/cgroup", on_membership, w);
}

void cgroup_each(const char *root, cgroup_visit *visit, void *arg)
{
    struct walk walk = {.root = root, .visit = visit, .arg = arg};

    each_line(root, "/proc/self/mountinfo", on_mount, &walk);
}
