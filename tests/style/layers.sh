#!/bin/sh
# The folders of src are layers. An include points down a layer or stays in its
# folder, and says the folder it means. Within a folder no two modules include
# each other. What differs by CPU lies in os/ and in base/atomic.h.
set -u
bad=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

rank() {
    case $1 in
    base) echo 0 ;; os) echo 1 ;; parts) echo 2 ;; sched) echo 3 ;;
    task) echo 4 ;; await | sim) echo 5 ;; watch) echo 6 ;; *) echo unknown ;;
    esac
}

complain() {
    echo "$*"
    bad=1
}

check_include() { # FILE LINE INCLUDED
    here=$(basename "$(dirname "$1")")
    there=${3%%/*}
    case $3 in
    model_atomic.h) return ;; # base/atomic.h, in a model test
    thrum/*) return ;;        # what the public knows, every layer may
    */*) ;;
    *) complain "$1:$2: \"$3\" does not say its folder" && return ;;
    esac
    if [ "$(rank "$here")" = unknown ] || [ "$(rank "$there")" = unknown ]; then
        complain "$1:$2: $here/ or $there/ is no layer known to this script"
    elif [ "$there" = "$here" ]; then
        # Self-loops are x.c including x.h; tsort sees the others.
        echo "$here/$(basename "${1%.*}") ${3%.*}" >>"$dir/$here"
    elif [ "$(rank "$there")" -gt "$(rank "$here")" ]; then
        complain "$1:$2: $here/ may not include $3, a layer above"
    fi
}

for f in src/*/*.[chS]; do
    grep -n '^ *# *include *"' "$f" |
        sed 's/^\([0-9]*\):[^"]*"\([^"]*\)".*/\1 \2/' >"$dir/includes"
    while read -r line included; do
        check_include "$f" "$line" "$included"
    done <"$dir/includes"
    rm "$dir/includes"
done

for edges in "$dir"/*; do
    [ -e "$edges" ] || continue
    tsort <"$edges" >/dev/null 2>"$dir/loop" ||
        complain "src/$(basename "$edges"): modules include each other:" \
            "$(sed -n 's/^tsort: *//p' "$dir/loop" | grep / | tr '\n' ' ')"
    rm "$dir/loop"
done

# An empty asm holds the compiler back and is no CPU's. thrum/fork.h reads the
# one thread-local inline, in programs.
for f in src/*/*.[ch] include/*.h include/*/*.h; do
    case $f in src/os/* | src/base/atomic.h | include/thrum/fork.h) continue ;; esac
    awk -f tests/style/strip.awk "$f" | awk -v f="$f" '
        FNR == NR { code[FNR] = $0; next }
        code[FNR] ~ /__x86_64__|__aarch64__|__i386__|__builtin_ia32/ ||
        (code[FNR] ~ /(^|[^a-z_])(asm|__asm__|__asm)([^a-z_]|$)/ &&
         $0 !~ /asm(__)? *(volatile|__volatile__)? *\(""/) {
            printf "%s:%d: CPU-specific, outside os/: %s\n", f, FNR, $0
            bad = 1
        }
        END { exit bad }' - "$f" || bad=1
done
exit $bad
