#!/bin/sh
# An object that switches stacks must not claim to keep a shadow stack of return
# addresses, also where the compiler is told to make such claims: the linker drops
# the claim of a whole program if one object makes none.
set -u
if [ -n "${CROSS:-}" ] || [ "$(uname -m)" != x86_64 ]; then
    echo "skipped: not x86-64"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

${CC:-cc} -fcf-protection=full -c -o "$dir/ctx.o" src/os/ctx_x86_64.S || exit
if readelf -n "$dir/ctx.o" | grep SHSTK; then
    echo "src/os/ctx_x86_64.S claims a shadow stack"
    exit 1
fi
