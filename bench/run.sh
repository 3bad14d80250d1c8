#!/bin/sh
# Run benches, the machine described first.
#
#   bench/run.sh check|short|full PROGRAM...
#
# What is printed is what bench/plot reads. A bench that fails does not keep the
# others from running. $CC and $RUN are the Makefile's: the compiler, and what
# runs a program that was made for another CPU.
set -u
mode=$1
shift
here=$(dirname "$0")
passed=0 failed=0

cpu() {
    sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sed 1q
}

memory() {
    awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo
}

commit() {
    cd "$here" && git describe --always --dirty 2>/dev/null
}

describe() {
    echo "# mode: $mode"
    echo "# CPU: $(cpu), $(nproc) usable of $(nproc --all)"
    echo "# memory: $(memory)"
    echo "# kernel: $(uname -srm)"
    echo "# compiler: $(${CC:-cc} --version | sed 1q)"
    echo "# commit: $(commit || echo unknown)"
    echo "# date: $(date -u '+%Y-%m-%d %H:%M UTC')"
    echo "# load before: $(cut -d ' ' -f 1 /proc/loadavg)"
    echo "# a line is: name case/workers value unit p50 p99 n"
}

# The question is the first line of the source.
question() {
    for source in "$here/$1.c" "$here/$1/$1.c"; do
        [ ! -e "$source" ] || sed -n '1s|^/\* *||p' "$source"
    done
}

run() {
    name=$(basename "$1")
    echo "# question $name: $(question "$name")"
    # shellcheck disable=SC2086 # $RUN may be several words
    if ${RUN:-} "$1" "$mode"; then
        passed=$((passed + 1))
    else
        echo "# FAILED: $name"
        failed=$((failed + 1))
    fi
}

describe
# What the machine charges comes first: the rest is read against it.
for program; do
    case $program in */machine) run "$program" ;; esac
done
for program; do
    case $program in */machine) ;; *) run "$program" ;; esac
done
if [ "$mode" = check ]; then
    echo "$passed passed, $failed failed"
fi
[ "$failed" = 0 ]
