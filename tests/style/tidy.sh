#!/bin/sh
# No function of the library nests deeper than 3 or takes more than 6 parameters,
# and clang's analyzer finds no path to a fault. (.clang-tidy says it in full.)
# With SAMPLE=5 in one file of 5.
set -u
command -v clang-tidy >/dev/null || {
    echo "skipped: no clang-tidy"
    exit 77
}
printf '%s\n' src/*/*.c | sh tests/sample.sh |
    xargs -P 2 -n 8 sh -c 'clang-tidy --quiet "$@" -- -std=gnu11 -D_GNU_SOURCE \
        -Iinclude -Isrc 2>/dev/null' tidy
