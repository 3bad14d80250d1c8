/* text.h - text that is put together in a place of the caller's. */
#ifndef TASK_TEXT_H
#define TASK_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *at; /* where the next piece goes; '\0' */
    size_t left;
    bool cut; /* a piece had no room */
};

/* An empty one. There is room for one byte at least. */
struct text text_begin(char *place, size_t bytes);

/* Add a piece. False: it has no room, and was left out as a whole; a later, shorter
 * one may have. */
bool text_add(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
