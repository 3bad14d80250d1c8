#!/bin/sh
# A task may go to sleep on one thread and wake on another, and a compiler may
# keep the address of a thread-local, of errno, or pthread_self() across the call
# where that happens. So none of the three is touched but in a few functions that
# are never inlined and never switch. Asked of the machine code, since the source
# cannot tell: gcc and clang, x86-64 and aarch64.
set -u
bad=0

# The functions that read this library's thread-locals.
accessors='worker_current|find_locals|thread_scope|set_thread_scope'
accessors="$accessors|clock_now|clock_simulate|guest_here|set_guest_here"

# os/ copies errno beside each system call; no function there switches stacks.
# Elsewhere only these may.
errno_users='find_locals'

check_build() { # NAME MAKE-ARGUMENTS...: builds in build/NAME
    name=$1 objdump=$2
    shift 2
    MAKEFLAGS='' make -s -j2 SAN= DEBUG= V= "$@" OUT="build/$name" \
        "build/$name/thrum.o" || exit 1
    for o in build/"$name"/src/*/*.o; do
        source=${o#build/"$name"/}
        source=${source%.o}
        [ -e "$source" ] || continue
        $objdump -dr --no-show-raw-insn "$o" | awk -v source="$source" \
            -v build="$name" -v accessors="^($accessors)\$" \
            -v errno_users="^($errno_users)\$" '
            /^[0-9a-f]+ <.*>:$/ {
                fn = $2
                gsub(/[<>:]/, "", fn)
                sub(/\..*/, "", fn) # .cold, .part.0, .constprop.0
            }
            /%fs:0x28/ { next } # the stack protector
            /%fs:|tpidr_el0|__tls_get_addr|R_AARCH64_TLSDESC/ {
                if (fn !~ accessors)
                    complain("touches a thread-local")
            }
            /__errno_location/ {
                if (source !~ "^src/os/" && fn !~ errno_users)
                    complain("touches errno")
            }
            /[^a-z_]pthread_self/ {
                if (source !~ "^src/os/")
                    complain("calls pthread_self")
            }
            function complain(what) {
                if (seen[fn what]++)
                    return
                printf "%s: %s() %s (%s)\n", source, fn, what, build
                bad = 1
            }
            END { exit bad }' || bad=1
    done
}

have() {
    command -v "$1" >/dev/null || { echo "skipped: no $1" && false; }
}

cross=aarch64-linux-gnu
have gcc && check_build gcc objdump CC=gcc CROSS=
have clang && check_build clang objdump CC=clang CROSS=
if have $cross-gcc && [ -e build/$cross/done ]; then
    check_build $cross-gcc $cross-objdump CC=$cross-gcc CROSS=$cross
    have clang && check_build clang-$cross $cross-objdump \
        CC="clang --target=$cross" CROSS=$cross
else
    echo "skipped: aarch64, for want of .ci/setup build $cross"
fi
exit $bad
