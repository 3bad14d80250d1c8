#!/bin/sh
# A function has at most 60 lines, a file 600, a line 90 columns (clang-format leaves
# comments as they are). Braces stand as clang-format puts them: a function's body is
# what lies between { and } in the first column.
set -u
bad=0
for f in src/*/*.[chS] include/*.h include/*/*.h tests/*/*.[ch] \
    tests/*/*/*.[ch] bench/*.[ch] bench/*/*.[ch] examples/*.[ch] examples/*/*.[ch]; do
    [ -e "$f" ] || continue
    awk -v f="$f" '
        length > 90 {
            printf "%s:%d: a line of %d columns; 90 is the limit\n", f, FNR,
                length
            bad = 1
        }
        /^[a-zA-Z_]/ && !body { if (!head) head = FNR; if (/;$/) head = 0 }
        /^$/ || /^#/ { if (!body) head = 0 }
        /^\{/ { body = 1 }
        /^}/ {
            if (body && head && FNR - head + 1 > 60) {
                printf "%s:%d: a function of %d lines; 60 is the limit\n",
                    f, head, FNR - head + 1
                bad = 1
            }
            body = head = 0
        }
        END {
            if (FNR > 600) {
                printf "%s:600: a file of %d lines; 600 is the limit\n", f, FNR
                bad = 1
            }
            exit bad
        }' "$f" || bad=1
done
exit $bad
