#!/bin/sh
# Each example says first what it is about, has an output to be compared with, and
# is in the index; and the index names no other.
set -u
bad=0
index=examples/README.md

complain() {
    echo "$*"
    bad=1
}

for f in examples/*.c; do
    name=$(basename "$f" .c)
    [ -s "examples/$name.out" ] || complain "$f: has no examples/$name.out"
    grep -q "($name\.c)" $index || complain "$f: is not in $index"
    # The front page of the README has no room for it.
    [ "$name" = hello ] || head -n 1 "$f" | grep -qE '^/\* .' ||
        complain "$f:1: does not say what it is about"
done
for link in $(grep -oE '\]\([^)]*\)' $index | tr -d '()]'); do
    [ -e "examples/$link" ] || complain "$index: there is no $link"
done
exit $bad
