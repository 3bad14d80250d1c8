#!/bin/sh
# Nothing that is put off, nothing that is true on one machine only, and no test
# that waits for time to pass.
set -u
bad=0
files=$(git ls-files -co --exclude-standard 2>/dev/null ||
    find . -type f -not -path './build/*' -not -path './.git/*')

forbid() { # WHY PATTERN FILE...
    why=$1 pattern=$2
    shift 2
    # A file may have been deleted since git knew it.
    grep -sInE -e "$pattern" /dev/null "$@" | sed "s|\$|   <- $why|" |
        grep . && bad=1
}

tests=$(echo "$files" | grep -E '^(\./)?tests/')

# The brackets keep this file from finding itself.
# shellcheck disable=SC2086 # a list of files
{
    forbid "put off" '\<([T]ODO|[F]IXME|[X]XX|[H]ACK)\>' $files
    forbid "a path of one machine" \
        '(^|[^a-zA-Z0-9_.])/([w]ork|[h]ome|[r]oot)([^a-zA-Z0-9_]|$)' $files
    forbid "a path out of the repository" '\.\./[s]hared' $files
    forbid "a package registry's host" \
        '([d]eb\.debian|[p]ypi|[r]egistry\.npmjs|[s]napshot\.debian)\.(org|com)' \
        $files
    forbid "a test that sleeps" \
        '(^|[^a-zA-Z0-9_])((u|nano|clock_nano)?[s]leep\(|[s]leep [0-9])' \
        $tests
}
exit $bad
