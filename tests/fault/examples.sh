#!/bin/sh
# Does an example cope with, or tell, each allocation that fails: does it neither
# crash, hang, leak nor end well with less than it should have printed?
#
# The nth allocation that the program makes fails, the library in it, for every n
# there is; then the nth and all after it. In hello, those of the C library fail,
# too: each program makes the same ones when it starts. lib/preload counts.
set -u
skip() {
    echo "skipped: $*"
    exit 77
}
case ${RUN:-} in
*qemu*) skip "no preloading under an emulator" ;;
esac
[ -z "${SAN:-}" ] || skip "a sanitizer has the heap"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
$CC -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -fPIC -shared \
    -Wl,-z,defs -o "$dir/failing.so" tests/fault/lib/preload/failing.c \
    2>"$dir/errors" || {
    grep -qi glibc /usr/include/features.h 2>/dev/null ||
        skip "only glibc's heap can be replaced in this way"
    cat "$dir/errors"
    exit 1
}

# Of a program with hundreds of spawns the first ones tell enough; and with
# another compiler, or unoptimised, the same ones fail.
most=40
case ${CC##*/}${DEBUG:-} in gcc) ;; *) most=10 ;; esac
number=0
libc=''

# How a program says it, if it ends well all the same.
error='memory|NOMEM|EAGAIN'

# These look at an error, print what they see in it and drop it: a group or a
# cause that finds no memory is then poorer, as thrum/err.h says, and no failure
# of the program.
looks_at_errors() {
    case $1 in
    chain | errors | except | race | simulate | simulate_server | timeout) ;;
    *) return 1 ;;
    esac
}

# run VARIABLE N COMMAND...: leaves output, $status, $failed and $live
run() {
    variable=$1 nth=$2
    shift 2
    : >"$dir/report"
    (
        export "$variable=$nth" FAIL_LIBC=$libc FAIL_SECONDS=10 \
            FAIL_REPORT="$dir/report" LD_PRELOAD="$dir/failing.so"
        exec "$@"
    ) >"$dir/raw" 2>"$dir/errors"
    status=$?
    [ ! -s "$dir/errors" ] || cat "$dir/errors" >>"$dir/raw"
    failed='' live=''
    read -r failed live <"$dir/report"
}

# What of an output is the same each time: without memory an error that is built
# in keeps its kind, and has a poorer text.
plain() {
    sed 's/^\(THRUM_[A-Z]*\): .*/\1/; s/, task "[^"]*"$//' "$dir/raw"
}

# wrong: prints what is wrong with the last run, and its output
wrong() {
    if [ $status = 142 ]; then
        echo "hangs"
    elif [ $status -ge 128 ]; then
        echo "dies of signal $((status - 128))"
    elif [ -z "$failed" ]; then
        echo "does not come to its end"
    elif [ "$live" -gt "$usual" ]; then
        echo "leaks $((live - usual)) blocks"
    elif [ $status = 0 ] && ! looks_at_errors "$name" &&
        ! cmp -s "$dir/raw" "$dir/first" &&
        ! plain | cmp -s - "$dir/expected" &&
        ! grep -qE "$error" "$dir/raw"; then
        echo "ends well with another output"
    else
        return 1
    fi
    sed 's/^/    /' "$dir/raw"
}

# sweep NAME COMMAND...
sweep() {
    name=$1 faults=0 bad=0
    shift
    number=$((number + 1))
    run FAIL_AT 0 "$@"
    cp "$dir/raw" "$dir/first"
    plain >"$dir/expected"
    usual=$live
    if [ $status != 0 ] || [ -z "$live" ]; then
        echo "not ok $number - $name fails by itself: exit $status"
        return
    fi
    for kind in FAIL_AT FAIL_FROM; do
        n=1
        while [ $n -le $most ]; do
            run $kind $n "$@"
            if wrong >"$dir/wrong"; then
                bad=$((bad + 1))
                echo "$name, $kind=$n FAIL_LIBC=$libc:"
                cat "$dir/wrong"
            fi
            [ "$failed" != 0 ] || break
            faults=$((faults + 1)) n=$((n + 1))
        done
    done
    [ $n -le $most ] ||
        echo "skipped: allocations of $name after the first $most"
    if [ $bad = 0 ]; then
        echo "ok $number - $name stands $faults refusals of memory"
    else
        echo "not ok $number - $name stands $bad of $faults refusals badly"
    fi
}

mkdir -p "$dir/tree/folder"
echo 1 >"$dir/tree/one"
echo 2 >"$dir/tree/folder/two"

for source in examples/*.c; do
    name=$(basename "$source" .c)
    sweep "$name" "$OUT/examples/$name"
done
sweep treesum "$OUT/examples/treesum/treesum" "$dir/tree"
libc=1
sweep "hello, C library" "$OUT/examples/hello"
echo "1..$number"
