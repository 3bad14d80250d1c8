#include "task/text.h"

#include <stdarg.h>
#include <stdio.h>

struct text text_begin(char *place, size_t bytes)
{
    *place = '\0';
    return (struct text){.at = place, .left = bytes};
}

bool text_add(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->left) {
        t->cut = true;
        *t->at = '\0';
        return false;
    }
    t->at += n;
    t->left -= (size_t)n;
    return true;
}
