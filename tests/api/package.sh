#!/bin/sh
# Does a package's build get what it asks for? One as Debian's and Fedora's tools
# make it: optimised at link time, hardened, by a compiler of two words as "ccache
# gcc" is, in a folder with a space in its name, from sources that may not be
# written, and installed into another such folder.
set -eu
[ -z "${SAN:-}${DEBUG:-}${CROSS:-}" ] || {
    echo "skipped: it is the same in each variant"
    exit 77
}
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
src=$dir/the\ sources to=$dir/the\ package

mkdir -p "$src/build"
cp -r Makefile include src "$src"
mkdir "$src/.ci" && cp .ci/setup "$src/.ci"
chmod -R a-w "$src/Makefile" "$src/include" "$src/src"
unset OUT
MAKEFLAGS='' make -s -j2 -C "$src" install DESTDIR="$to" PREFIX=/usr \
    CC="env $CC" CFLAGS='-O1 -flto -fstack-protector-strong' \
    CPPFLAGS='-D_FORTIFY_SOURCE=2' LDFLAGS='-Wl,-z,relro -Wl,-z,now -flto' \
    >"$dir/log" 2>&1 || {
    cat "$dir/log"
    exit 1
}
bad=0
find_in() { # WHAT TEXT COMMAND...: what the command prints is to have it
    what=$1 text=$2
    shift 2
    "$@" | grep -q "$text" || {
        echo "no $what: $* has no $text"
        bad=1
    }
}
lib=$to/usr/lib/libthrum.so
find_in LDFLAGS NOW readelf -d "$lib"
find_in CPPFLAGS _chk readelf -W --dyn-syms "$lib"
find_in CFLAGS __stack_chk_fail readelf -W --dyn-syms "$lib"

cat >"$dir/program.c" <<'END_OF_PROGRAM'
#include <thrum.h>

static thrum_err *nap(void *arg)
{
    (void)arg;
    return thrum_rc(thrum_sleep(THRUM_MS(1)));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, nap, NULL));
}
END_OF_PROGRAM
for how in "$lib" "$to/usr/lib/libthrum.a"; do
    # shellcheck disable=SC2086 # words
    $CC -O2 -flto -I"$to/usr/include" -o "$dir/program" "$dir/program.c" \
        "$how" -Wl,-rpath,"$to/usr/lib" -pthread
    ${RUN:-} "$dir/program" || bad=1
done
exit $bad
