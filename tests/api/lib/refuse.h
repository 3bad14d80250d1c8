/* refuse.h - a kernel, or a container's filter, that refuses some calls. */
#ifndef REFUSE_H
#define REFUSE_H

enum { REFUSE_MOST = 16, REFUSE_CANNOT = 77 };

/* From here on these fail with errno `answer`, for all threads of the process, for
 * good: in a child. It exits with REFUSE_CANNOT where there are no filters. */
void refuse(const int *numbers, unsigned n, int answer);

#endif
