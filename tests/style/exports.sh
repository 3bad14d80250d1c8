#!/bin/sh
# Both libraries show the world exactly what the public headers declare
# THRUM_API: no helper leaks out, and none that is promised is missing.
set -u
if [ -n "${SAN:-}" ]; then
    echo "skipped: a sanitizer exports names of its own"
    exit 77
fi
bad=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for h in include/*.h include/*/*.h; do
    awk -f tests/style/strip.awk "$h" | awk -v h="$h" '
        /^#/ { while (/\\$/) getline; next }
        /THRUM_API/ && decl == "" { decl = " "; start = FNR }
        decl != "" { decl = decl $0 }
        decl != "" && /;/ {
            # A function is what stands before "(", a constant before ";".
            if (match(decl, /thrum_[a-z0-9_]+\(/))
                name = substr(decl, RSTART, RLENGTH - 1)
            else if (match(decl, /[a-zA-Z0-9_]+(\[[^]]*\])? *;/))
                name = substr(decl, RSTART, RLENGTH)
            sub(/[^a-zA-Z0-9_].*/, "", name)
            print name, h ":" start
            decl = ""
        }'
done | sort >"$dir/declared"
cut -d' ' -f1 "$dir/declared" | sort -u >"$dir/names"

for lib in libthrum.a libthrum.so; do
    case $lib in *.so) dynamic=-D ;; *) dynamic= ;; esac
    nm $dynamic -g --defined-only "$OUT/$lib" | awk 'NF == 3 { print $3 }' |
        sort -u >"$dir/exported"
    for name in $(comm -13 "$dir/names" "$dir/exported"); do
        echo "$OUT/$lib: exports $name, which no header declares THRUM_API"
        bad=1
    done
    for name in $(comm -23 "$dir/names" "$dir/exported"); do
        echo "$(grep "^$name " "$dir/declared" | cut -d' ' -f2):" \
            "$name is THRUM_API, yet $lib does not define it"
        bad=1
    done
done
exit $bad
