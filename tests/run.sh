#!/bin/sh
# Run test programs and scripts, some side by side; say what each found.
#
#   tests/run.sh FILE...    a program, or a script ending in .sh
#
#   RUN="qemu-..."   goes before each program
#   TIMEOUT=60       seconds one of them may take
#   JOBS=2           so many at a time
#   V=1              all they print, as if there is one FILE
#
# An example is run by tests/examples/NAME.sh, which gets the command as its
# arguments; where there is none, by compare.sh. Exit 77 means skipped. What is
# printed also goes to a log beside the program, or in OUT. Counted are cmocka's
# and TAP's tests; anything else is one test.
set -u
OUT=${OUT:-build}
TIMEOUT=${TIMEOUT:-300}

# What a task points to may be gone, though the word is still there.
ASAN_OPTIONS=${ASAN_OPTIONS-detect_stack_use_after_return=1}
export ASAN_OPTIONS

# Prints "passed failed skipped" out of a log.
count() {
    tr -d '\r' <"$1" | awk '
        /^\[  PASSED  \] [0-9]+ test/ { p += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { f += $4 }
        /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
        /^ok [0-9]+/ { if (/# SKIP/) s++; else p++ }
        /^not ok [0-9]+/ { f++ }
        END { print p + 0, f + 0, s + 0 }'
}

# The command that runs $1.
command_for() {
    script=tests/examples/$(basename "$1").sh
    case $1 in
    *.sh) echo "sh $1" ;;
    */examples/*)
        [ -f "$script" ] || script=tests/examples/compare.sh
        echo "sh $script ${RUN:-} $1"
        ;;
    *) echo "${RUN:-} $1" ;;
    esac
}

name_of() {
    name=${1#"$OUT"/}
    echo "${name#tests/}"
}

log_of() {
    echo "$OUT/$(name_of "$1" | tr / -).log"
}

# Leaves "passed failed skipped" beside the log, and says it in one piece.
run_one() {
    name=$(name_of "$1")
    log=$(log_of "$1")
    start=$(date +%s%N)
    # shellcheck disable=SC2046 # a command is made of words
    timeout -s ABRT -k 5 "$TIMEOUT" $(command_for "$1") >"$log" 2>&1 </dev/null
    rc=$?
    ms=$((($(date +%s%N) - start) / 1000000))
    # shellcheck disable=SC2046
    set -- $(count "$log")
    p=$1 f=$2 s=$3
    if [ $rc = 77 ]; then
        s=$((s + 1))
    elif [ $rc != 0 ] && [ "$f" = 0 ]; then
        f=1
    elif [ $((p + f + s)) = 0 ]; then
        p=1
    fi
    echo "$p $f $s" >"$log.count"

    verdict="$p passed"
    [ "$s" = 0 ] || verdict="$verdict, $s skipped"
    [ "$f" = 0 ] || verdict="$verdict, $f FAILED"
    [ $rc != 124 ] && [ $rc != 137 ] ||
        verdict="$verdict (stopped after $TIMEOUT s)"
    {
        printf '%-34s %-32s %3d.%03d s\n' "$name" "$verdict" \
            $((ms / 1000)) $((ms % 1000))
        if [ "$f" != 0 ]; then
            sed 's/^/    /' "$log"
            printf '    exit %d of %s\n' $rc "$name"
        elif [ -n "${V:-}" ]; then
            sed 's/^/    /' "$log"
        else
            grep -E '^skipped: |SKIPPED' "$log" | sed 's/^/    /'
        fi
    } >"$log.said"
    flock "$OUT" cat "$log.said"
}

if [ "${1:-}" = --one ]; then
    run_one "$2"
    exit 0
fi

# A kernel that spreads addresses widely upsets ThreadSanitizer.
case ${SAN:-} in
*thread*) setarch -R true 2>/dev/null && RUN="setarch -R ${RUN:-}" ;;
esac

# The first report of UBSan or TSan fails a program; its stack helps.
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="second_deadlock_stack=1:${TSAN_OPTIONS:-}"

[ $# != 1 ] || V=1
export OUT RUN TIMEOUT V
mkdir -p "$OUT"
logs='' passed=0 failed=0 skipped=0 broken=''
for t; do
    logs="$logs $(log_of "$t")"
    rm -f "$(log_of "$t").count"
done
printf '%s\n' "$@" | xargs -r -P "${JOBS:-2}" -n 1 sh tests/run.sh --one
for t; do
    read -r p f s <"$(log_of "$t").count" || p=0 f=1 s=0
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    [ "$f" = 0 ] || broken="$broken $(name_of "$t")"
done

# shellcheck disable=SC2086 # a list of files
[ -z "$logs" ] || sh tests/counts.sh $logs
[ -z "$broken" ] || printf '\nFAILED:%s\n' "$broken"
printf '\n%d passed, %d failed' $passed $failed
[ $skipped = 0 ] || printf ', %d skipped' $skipped
printf '\n'
[ $failed = 0 ] && [ $((passed + skipped)) != 0 ]
