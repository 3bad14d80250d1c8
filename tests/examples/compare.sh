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
diff -u "examples/$name.out" "$output" && [ $status = 0 ]
