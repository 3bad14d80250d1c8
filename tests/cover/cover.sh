#!/bin/sh
# Which lines of the library no test has run? make cover comes here.
#
#   tests/cover/cover.sh OUT    where a build with COVER=1 has counted
#
# A line counts once, in whatever program it was compiled. Those that never ran
# are listed in OUT/uncovered.txt; ../README.md says why they may be.
set -u
out=$1
least=95

find "$out/src" -name '*.gcda' | sort | while read -r counts; do
    gcov -t "$counts" 2>/dev/null
done | awk -v list="$out/uncovered.txt" -v least=$least '
    { split($0, part, ":"); hits = part[1]; line = part[2] + 0 }
    line == 0 {
        if (part[3] == "Source") file = part[4]
        next
    }
    file !~ /^(src|include)\// || hits ~ /^ *-$/ { next }
    {
        at = sprintf("%s:%05d", file, line)
        if (!(at in ran)) {
            ran[at] = 0
            all[file]++
            text[at] = substr($0, length(part[1]) + length(part[2]) + 3)
        }
        if (hits !~ /#/ && !ran[at]) {
            ran[at] = 1
            good[file]++
        }
    }
    END {
        for (file in all) {
            lines += all[file]
            covered += good[file]
            if (good[file] < all[file])
                printf "%4d of %4d lines not run  %s\n",
                    all[file] - good[file], all[file], file | "sort -rn"
        }
        close("sort -rn")
        sort = "sort >" list
        for (at in ran)
            if (!ran[at])
                print at ": " text[at] | sort
        close(sort)
        if (!lines)
            lines = 1
        printf "%d of %d lines run, %.1f %% (at least %d), the others in %s\n",
            covered, lines, 100 * covered / lines, least, list
        exit 100 * covered < least * lines
    }'
