#!/bin/sh
# One line of SAMPLE, as 5, other ones after each commit; without SAMPLE all.
commit=$(git rev-parse HEAD 2>/dev/null | cksum | cut -d' ' -f1)
awk -v of="${SAMPLE:-1}" -v commit="$commit" 'NR % of == commit % of'
