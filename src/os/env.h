/* env.h - numbers that the user sets in the environment.
 *
 * Knows nothing of what they are for. Who has set one that is not followed shall
 * see why: one line on stderr.
 */
#ifndef OS_ENV_H
#define OS_ENV_H

#include <stdbool.h>
#include <stdint.h>

/* True: it is set to a number, decimal, or hexadecimal after 0x. False: *number is
 * as it was; if it is set to something else, that is told. Does not change errno. */
bool env_number(const char *name, uint64_t *number);

/* Tell that what `name` is set to is not followed. */
void env_complain(const char *name, const char *why);

#endif
