#include "os/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

/* strtoull alone would accept " -1", "012" as octal and "" as zero. */
static bool parse(const char *text, uint64_t *number)
{
    int base = text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10;
    int saved = errno;
    uint64_t n;
    char *end;
    bool ok;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    n = strtoull(text, &end, base);
    ok = errno == 0 && *end == '\0';
    errno = saved;
    if (ok)
        *number = n;
    return ok;
}

bool env_number(const char *name, uint64_t *number)
{
    const char *text = getenv(name);

    if (text == NULL || *text == '\0')
        return false;
    if (parse(text, number))
        return true;
    env_complain(name, "is no number: as if it were not set");
    return false;
}

cold void env_complain(const char *name, const char *why)
{
    const char *text = getenv(name);
    int saved = errno;

    fprintf(stderr, "thrum: %s=%s %s\n", name, text == NULL ? "" : text, why);
    errno = saved;
}
