#!/bin/sh
# Is all there that musl's C library has not? The library is built for it, and some
# examples do what they say, linked dynamically and statically. The kernel's headers
# are the system's, behind musl's own.
set -eu
command -v musl-gcc >/dev/null || {
    echo "skipped: no musl-gcc (Debian: musl-tools)"
    exit 77
}
case $CC${SAN:-}${DEBUG:-}${CROSS:-} in
*gcc | cc) ;;
*)
    echo "skipped: it is the same in each variant"
    exit 77
    ;;
esac
behind="-idirafter /usr/include -idirafter /usr/include/$(uname -m)-linux-gnu"
lib=build/musl-gcc/libthrum.a
unset OUT

MAKEFLAGS='' make -s -j2 CC=musl-gcc CFLAGS="-O0 -g $behind" $lib \
    build/musl-gcc/libthrum.so
for name in fork_join echo_server offload walk process; do
    for how in "" -static; do
        # shellcheck disable=SC2086 # flags are made of words
        musl-gcc $how -Iinclude $behind -pthread -o "build/musl-gcc/$name" \
            "examples/$name.c" $lib
        sh tests/examples/compare.sh "build/musl-gcc/$name"
    done
done
