/* tree.c - what was found: directories, their entries, the order of the files.
 *
 * The order is that of the arguments, and below each that of the bytes of the
 * paths, as `find DIR -type f -print0 | LC_ALL=C sort -z` has it. It comes for
 * free where each directory is sorted by what its entries' paths begin with: a
 * file's name, a directory's name and a slash.
 */
#include "treesum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A parcel ends with the file that brings it to one of these: enough work for
 * what it costs to take it, few enough to share out evenly at the end. */
enum { PARCEL_FILES = 64, PARCEL_BYTES = 256 << 10 };

/* Make room for `needed` elements of that size. The array, which may have moved;
 * NULL without memory: then it is where it was. */
void *array_grow(void *array, size_t *capacity, size_t needed, size_t size)
{
    size_t more = 2 * needed + 16;

    if (needed <= *capacity)
        return array;
    array = reallocarray(array, more, size);
    if (array)
        *capacity = more;
    return array;
}

/* Add an entry to a directory that is being listed. 0 or -ENOMEM. */
int dir_add(struct dir *dir, const char *name, uint64_t size, bool is_dir)
{
    size_t length = strlen(name) + 1;
    char *names = array_grow(dir->names, &dir->names_capacity,
                             dir->names_length + length, 1);
    struct entry *entries, *entry;

    if (!names)
        return -ENOMEM;
    dir->names = names;
    entries = array_grow(dir->entries, &dir->capacity, dir->count + 1,
                         sizeof *entries);
    if (!entries)
        return -ENOMEM;
    dir->entries = entries;
    entry = &entries[dir->count];
    *entry = (struct entry){.offset = dir->names_length, .size = size};
    if (is_dir) {
        entry->child = calloc(1, sizeof *entry->child);
        if (!entry->child)
            return -ENOMEM;
        entry->child->parent = dir;
    }
    memcpy(dir->names + dir->names_length, name, length);
    dir->names_length += length;
    dir->count++;
    return 0;
}

static int byte_at(const struct entry *entry, size_t i)
{
    return entry->name[i] ? (unsigned char)entry->name[i]
           : entry->child ? '/'
                          : '\0';
}

static int compare_paths(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    size_t i = 0;

    while (x->name[i] && x->name[i] == y->name[i])
        i++;
    return byte_at(x, i) - byte_at(y, i);
}

/* The listing is at its end: the names stay where they are from now on. The
 * arguments, which lie in the topmost directory, keep the order they have. */
void dir_sort(struct dir *dir)
{
    if (dir->count == 0)
        return;
    for (struct entry *e = dir->entries; e < dir->entries + dir->count; e++)
        e->name = dir->names + e->offset;
    if (dir->parent)
        qsort(dir->entries, dir->count, sizeof *dir->entries, compare_paths);
    for (struct entry *e = dir->entries; e < dir->entries + dir->count; e++)
        if (e->child) {
            size_t length = strlen(e->name);

            e->child->name = e->name;
            e->child->prefix = dir->prefix + length +
                               (e->name[length - 1] != '/');
        }
}

/* The entry that follows in a tour of the tree, every directory before what is
 * in it; NULL at the end. *dir is where it lies. A tree may be deeper than a
 * stack: there is no recursion. */
static struct entry *tour_next(struct dir **dir)
{
    struct dir *at = *dir;
    struct entry *entry;

    while (at->next == at->count) {
        at->next = 0;
        if (!at->parent)
            return NULL;
        at = at->parent;
    }
    entry = &at->entries[at->next++];
    *dir = entry->child ? entry->child : at;
    return entry;
}

/* Large files first: one that came last would keep a core busy while the others
 * have nothing left to do. */
static int compare_parcels(const void *a, const void *b)
{
    const struct parcel *x = a, *y = b;
    uint64_t x_bytes = x->bytes > PARCEL_BYTES ? x->bytes : 0;
    uint64_t y_bytes = y->bytes > PARCEL_BYTES ? y->bytes : 0;

    if (x_bytes != y_bytes)
        return x_bytes < y_bytes ? 1 : -1;
    return x->first < y->first ? -1 : 1;
}

static int cut_parcels(struct tree *tree)
{
    struct parcel *parcel = NULL;
    size_t capacity = 0;

    for (size_t i = 0; i < tree->count; i++) {
        uint64_t size = tree->files[i].size;

        if (!parcel || parcel->count == PARCEL_FILES ||
            parcel->bytes + size > PARCEL_BYTES) {
            parcel = array_grow(tree->parcels, &capacity,
                                tree->parcel_count + 1, sizeof *parcel);
            if (!parcel)
                return -ENOMEM;
            tree->parcels = parcel;
            parcel += tree->parcel_count++;
            *parcel = (struct parcel){.first = i};
        }
        parcel->count++;
        parcel->bytes += size;
    }
    if (tree->parcel_count)
        qsort(tree->parcels, tree->parcel_count, sizeof *tree->parcels,
              compare_parcels);
    return 0;
}

static size_t count_entries(struct tree *tree)
{
    struct dir *dir = &tree->top;
    struct entry *entry;
    size_t count = 0;

    while ((entry = tour_next(&dir)))
        count += !entry->child || entry->child->err;
    return count;
}

/* Put all files into one row, and cut it into parcels. A directory that could
 * not be listed stands in the row too: as a file that has failed. */
thrum_err *tree_lay_out(struct tree *tree, size_t digest_size)
{
    struct dir *dir = &tree->top;
    struct entry *entry;
    size_t count = count_entries(tree);

    tree->files = calloc(count + 1, sizeof *tree->files);
    tree->digests = calloc(count + 1, digest_size);
    if (!tree->files || !tree->digests)
        return thrum_rc(-ENOMEM);
    while ((entry = tour_next(&dir))) {
        struct file *file = &tree->files[tree->count];

        *file = (struct file){dir, entry->name, entry->size, NULL};
        if (entry->child) {
            file->dir = dir->parent;
            file->err = dir->err;
            dir->err = NULL;
            tree->dirs++;
            tree->links += dir->links;
            tree->others += dir->others;
        }
        if (!entry->child || file->err) {
            tree->bytes += entry->size;
            tree->count++;
        }
    }
    return thrum_rc(cut_parcels(tree));
}

void tree_free(struct tree *tree)
{
    struct dir *dir = &tree->top;

    for (size_t i = 0; i < tree->count; i++)
        thrum_err_drop(tree->files[i].err);
    free(tree->files);
    free(tree->digests);
    free(tree->parcels);
    /* Backwards through the tour: what is empty goes. */
    while (dir) {
        struct dir *parent = dir->parent;
        struct dir *child = NULL;

        while (dir->count && !child)
            child = dir->entries[--dir->count].child;
        if (child) {
            dir = child;
            continue;
        }
        free(dir->entries);
        free(dir->names);
        thrum_err_drop(dir->err);
        if (parent)
            free(dir);
        dir = parent;
    }
}
