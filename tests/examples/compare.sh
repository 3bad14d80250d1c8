#!/bin/sh
# Does an example end well, and print what examples/NAME.out says?
#
#   sh tests/examples/compare.sh COMMAND...
for last; do :; done
name=$(basename "$last")
output=$(mktemp)
trap 'rm -f "$output"' EXIT

"$@" >"$output" 2>&1
status=$?
# A job that was taken by another worker has no task's name: it is left out.
sed 's/, task "[^"]*"$//' "$output" | diff -u "examples/$name.out" - &&
    [ $status = 0 ]
