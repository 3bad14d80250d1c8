#!/bin/sh
# The demonstration: a real job on all cores, then how such work scales.
#
#   OUT=build/gcc sh examples/demo.sh [DIR]
#
# Sums all files below DIR (/usr) with treesum and with find, xargs and
# sha256sum, in turns, so that what disturbs one disturbs the other. Prints one
# table; the page is build/demo.html.
set -u
export LC_ALL=C
dir=${1:-/usr}
out=${OUT:-build/gcc}
program=$out/examples/treesum/treesum
text=build/demo.txt page=build/demo.html
cores=$(nproc)
rounds=3
# A round is left out when with it they would take longer than that.
seconds=40

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

ms() {
    echo $(($(date +%s%N) / 1000000))
}

with_treesum() {
    ${RUN:-} "$program" "$1" 2>/dev/null
}

# What one would type today. Large files are handed out one by one, else one
# process would get them all.
with_xargs() {
    find "$1" -type f -print0 |
        xargs -0r -P "$cores" -n "$2" sha256sum 2>/dev/null
}

# timed NAME COMMAND...: one more time for NAME
timed() {
    name=$1
    shift
    from=$(ms)
    "$@" >/dev/null
    echo $(($(ms) - from)) >>"$work/$name"
}

# line SERIES CASE NAME: the times of NAME as benches write them
line() {
    sort -n "$work/$3" | awk -v what="$1 $2/$cores" '
        { t[NR] = $1 / 1000 }
        END {
            m = t[int((NR + 1) / 2)]
            printf "%s %.3f s %.3f %.3f %d\n", what, m, m, t[NR], NR
        }'
}

# compare SERIES DIR FILES QUESTION: leaves the lines in $work/lines
compare() {
    began=$(ms) round=0
    while [ $round = 0 ] || { [ $round -lt $rounds ] && [ $((
        ($(ms) - began) * (round + 1))) -lt $((seconds * 1000 * round)) ]; }; do
        timed "$1.treesum" with_treesum "$2"
        timed "$1.xargs" with_xargs "$2" "$3"
        round=$((round + 1))
    done
    {
        echo "# question $1: $4"
        line "$1" floor "$1.xargs"
        line "$1" treesum "$1.treesum"
    } >>"$work/lines"
}

# --- the job ------------------------------------------------------------------

echo "treesum: the SHA-256 sums of all files below $dir, on $cores cores"
start=$(ms)
${RUN:-} "$program" -v -o "$work/sums" "$dir" 2>"$work/errors"
status=$?
if [ $status -gt 1 ] || [ ! -s "$work/sums" ]; then
    cat "$work/errors"
    echo "there is nothing to sum"
    exit 1
fi
[ $status = 0 ] || grep -vE '^treesum:' "$work/errors" | head -n 12
sed -n 's/^treesum: /first run, the cache as it was: /p' "$work/errors"

step=$(($(wc -l <"$work/sums") / 500 + 1))
awk -v step=$step 'NR % step == 0 || step == 1' "$work/sums" >"$work/sample"
sampled=$(wc -l <"$work/sample")
if sha256sum --quiet --strict -c "$work/sample"; then
    checked="sha256sum -c finds $sampled of $sampled sampled sums right"
else
    checked="sha256sum -c finds WRONG sums"
    status=wrong
fi
echo "$checked"

echo "the same with find | xargs -P $cores sha256sum, in turns, cache warm ..."
compare treesum "$dir" 64 "How long do the sums of all files below $dir take?\
 The floor is find | xargs -P $cores sha256sum."
mkdir "$work/large"
for i in 1 2 3 4; do
    truncate -s 128M "$work/large/$i"
done
compare treesum_large "$work/large" 1 \
    "And those of four files of 128 MiB? The floor is as before."

# --- how it scales ------------------------------------------------------------

echo "the scaling benchmark, in its short form ..."
set --
for name in fib_forkjoin/fib_forkjoin nqueens skynet uts matmul sort; do
    set -- "$@" "$out/bench/$name"
done
sh bench/run.sh short "$@" >"$work/bench" 2>&1
benches=$?
{
    sed '/^# question/,$d' "$work/bench"
    cat "$work/lines"
    sed -n '/^# question/,$p' "$work/bench"
} >"$text"
[ $benches = 0 ] || grep -B 3 '^# FAILED' "$work/bench"
awk -f bench/plot "$text" >"$page"

# --- what came of it ------------------------------------------------------------

# The serial floor, then thrum on one worker and on all; typed forks where a
# workload has several ways.
echo
awk -v cores="$cores" '
    /^#/ || NF != 7 { next }
    {
        split($2, part, "/")
        if (!($1 in unit)) { name[++n] = $1; unit[$1] = $4 }
        if (part[1] == "floor") floor[$1] = $3
        else if (part[1] == "typed" || part[1] == "treesum")
            value[$1, part[2]] = $3
    }
    function cell(x, u) { return x == "" ? "-" : x " " u }
    END {
        printf "%-16s %14s %14s %14s %12s %13s\n", "", "without thrum",
            "1 worker", cores " workers", "gain", "gain over 1"
        for (i = 1; i <= n; i++) {
            s = name[i]; f = floor[s]; a = value[s, 1]; b = value[s, cores]
            if (b == "") continue
            printf "%-16s %14s %14s %14s", s, cell(f, unit[s]),
                cell(a, unit[s]), cell(b, unit[s])
            printf " %10.2f x %13s\n", f / b,
                (a == "" ? "" : sprintf("%.2f x", a / b))
        }
    }' "$text"
echo
echo "all numbers, and pictures: $page"
awk -v dir="$dir" -v checked="$checked" \
    -v seconds=$((($(ms) - start) / 1000)) '
    /^treesum(_large)? / { t[$1 " " $2] = $3; sub(/.*\//, "", $2); w = $2 }
    END {
        a = t["treesum floor/" w] / t["treesum treesum/" w]
        b = t["treesum_large floor/" w] / t["treesum_large treesum/" w]
        verdict = a >= 1 && b > 1 ? "FASTER" : "NOT FASTER"
        printf "%s: treesum takes 1/%.1f of the time of find | xargs sha256sum" \
               " on %s, 1/%.1f on few large files; %s. (%d s)\n",
               verdict, a, dir, b, checked, seconds
    }' "$text"
[ "$status" != wrong ] && [ $benches = 0 ]
