/* noted.h - what an oracle notes of all tasks, as they run one at a time. With
 * TSAN_NOSYNC that orders nothing: there it has to be said that this is no race. */
#ifndef NOTED_H
#define NOTED_H

#include <stddef.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *p,
                             size_t bytes, const char *why);
#define NOTED(thing)                                                           \
    AnnotateBenignRaceSized(__FILE__, __LINE__, &(thing), sizeof(thing), #thing)
#else
#define NOTED(thing) ((void)&(thing))
#endif

#endif
