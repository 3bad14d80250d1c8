#!/bin/sh
# Does parallel run each command once, print in order, count failures, and end its
# processes with itself?
#
#   sh tests/examples/parallel.sh COMMAND...
set -u
case $* in
*qemu*)
    echo "skipped: an emulator has the signals for itself"
    exit 77
    ;;
esac
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command=$*
number=0

# try ARGUMENT...: leaves its output, its errors and $status
try() {
    # shellcheck disable=SC2086 # a command is made of words
    $command "$@" >"$dir/output" 2>"$dir/errors"
    status=$?
}

# ok TEXT, or not ok TEXT: as the last command went
report() {
    rc=$?
    number=$((number + 1))
    if [ $rc = 0 ]; then
        echo "ok $number - $*"
    else
        echo "not ok $number - $* (exit $status)"
        head -n 20 "$dir/output" "$dir/errors"
    fi
}

# printed EXIT TEXT...: it ended so, and printed these lines
printed() {
    wanted=$1
    shift
    [ "$status" = "$wanted" ] && printf '%s\n' "$@" | cmp -s - "$dir/output"
}

printf 'a\nb c\nd' >"$dir/lines"
try echo x <"$dir/lines"
printed 0 'x a' 'x b c' 'x d'
report "lines are the last argument, one with no end too"

printf 'a\nb\n' >"$dir/lines"
try echo '<{}>' and '{}' <"$dir/lines"
printed 0 '<a> and a' '<b> and b'
report "or stand where {} does"

try echo x </dev/null
[ "$status" = 0 ] && [ ! -s "$dir/output" ]
report "no line, no command"

# The first ends last: it waits for what the last one makes.
mkfifo "$dir/fifo"
seq 4 >"$dir/lines"
try -j 4 sh -c '[ $1 = 1 ] && read x <"$2"; [ $1 = 4 ] && echo >"$2"
    echo $1' sh '{}' "$dir/fifo" <"$dir/lines"
printed 0 1 2 3 4
report "what they print comes in order, though they run at once"

seq 300 >"$dir/lines"
try -j 3 echo <"$dir/lines"
[ "$status" = 0 ] && cmp -s "$dir/lines" "$dir/output"
report "three hundred"

seq 6 >"$dir/lines"
try -j 2 sh -c 'exit $(($1 % 2))' sh <"$dir/lines"
[ "$status" = 3 ] && [ "$(wc -l <"$dir/errors")" = 3 ]
report "the exit status is how many have failed"

echo 1 >"$dir/lines"
try "$dir/none" <"$dir/lines"
[ "$status" = 255 ] && grep -q ENOENT "$dir/errors"
report "a command that is not there ends it"

# The second would wait for ever: it is ended with the first.
printf 'fail\nwait\n' >"$dir/lines"
try -j 2 -e sh -c \
    'if [ $1 = fail ]; then read x <"$2"; echo out; exit 3; fi
    echo >"$2"; exec tail -f /dev/null' sh '{}' "$dir/fifo" <"$dir/lines"
printed 255 out && grep -q 'status 3' "$dir/errors"
report "with -e the first failure ends the others"

# A signal, when the process that would wait for ever has begun.
echo 1 >"$dir/line"
# shellcheck disable=SC2086
$command sh -c 'echo $$ >"$2"; exec tail -f /dev/null' sh '{}' "$dir/fifo" \
    <"$dir/line" >"$dir/output" 2>"$dir/errors" &
read -r child <"$dir/fifo"
kill -TERM $!
wait $!
status=$?
[ $status = 255 ] && ! kill -0 "$child" 2>/dev/null
report "and so does a signal"
echo "1..$number"
