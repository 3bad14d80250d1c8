#!/bin/sh
# Does what `make install` leaves serve a stranger's program: C and C++, shared
# and static, found by pkg-config? A program takes the address of each function
# the library exports, so each has a declaration with C linkage.
set -eu
command -v pkg-config >/dev/null || {
    echo "skipped: no pkg-config"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

MAKEFLAGS='' make -s install DESTDIR="$dir" PREFIX=/opt/thrum >/dev/null
export PKG_CONFIG_SYSROOT_DIR="$dir"
export PKG_CONFIG_PATH="$dir/opt/thrum/lib/pkgconfig"
lib=$dir/opt/thrum/lib
sanitize=${SAN:+-fsanitize=$SAN}

{
    echo "#include <thrum.h>"
    echo "#include <thrum/test.h>"
    echo "int main(void)"
    echo "{"
    echo "    void (*const all[])(void) = {"
    nm "$lib/libthrum.a" | awk '$2 == "T" && $3 ~ /^thrum_/ {
        print "        (void (*)(void))" $3 "," }'
    echo "    };"
    echo "    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)"
    echo "        if (!all[i])"
    echo "            return 1;"
    echo "    return sizeof all / sizeof *all < 2;"
    echo "}"
} >"$dir/all.c"
cp "$dir/all.c" "$dir/all.cc"

# Options and kinds in C++, which had no designated initialisers before C++20.
cat >"$dir/options.cc" <<'END'
#include <thrum.h>

THRUM_KIND(Late, THRUM_ERROR, .code = 4);

static thrum_err *rest(void *)
{
    return thrum_rc(thrum_sleep(THRUM_SEC(30)));
}

static thrum_err *app(void *)
{
    thrum_err *e = thrum_with(rest, nullptr, .timeout = THRUM_MS(1));
    bool over = thrum_err_is(e, &THRUM_TIMEOUT);

    thrum_err_drop(e);
    return over ? nullptr : thrum_fail(&Late, "no timeout");
}

int main()
{
    return thrum_report(thrum_run(nullptr, app, nullptr));
}
END

# Two tasks on one worker, each in the handler of its exception while the other is.
cat >"$dir/handlers.cc" <<'END'
#include <thrum.h>

static thrum_sem caught = THRUM_SEM_INIT(0), left = THRUM_SEM_INIT(0);

static thrum_err *first(void *)
{
    int rc = 0;

    try {
        throw 1;
    } catch (int) {
        rc = thrum_sem_acquire(&caught);
    }
    thrum_sem_release(&left);
    return thrum_rc(rc);
}

static thrum_err *second(void *)
{
    int again = 0;

    try {
        throw 2;
    } catch (int) {
        thrum_sem_release(&caught);
        THRUM_TRY(thrum_sem_acquire(&left));
        try {
            throw;
        } catch (int n) {
            again = n;
        }
    }
    return again == 2 ? nullptr : thrum_fail(&THRUM_ERROR, "not its own");
}

static thrum_err *app(void *)
{
    THRUM_TRY(thrum_spawn(nullptr, first, nullptr, 0));
    return thrum_rc(thrum_spawn(nullptr, second, nullptr, 0));
}

int main()
{
    thrum_opts one = {};

    one.workers = 1;
    return thrum_report(thrum_run(&one, app, nullptr));
}
END

# A program that takes it as a plugin, and away again, still has its own handler.
cat >"$dir/plugin.c" <<'END'
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <thrum.h>

static void handle(int sig)
{
    _exit(sig != SIGSEGV);
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    struct sigaction own = {.sa_handler = handle};
    thrum_err *(*run)(const thrum_opts *, thrum_fn *, void *);
    void *lib;

    sigaction(SIGSEGV, &own, NULL);
    lib = dlopen(LIBRARY, RTLD_NOW);
    if (lib == NULL)
        return 2;
    *(void **)&run = dlsym(lib, "thrum_run");
    if (run(NULL, nothing, NULL) != NULL)
        return 3;
    dlclose(lib);
    kill(getpid(), SIGSEGV);
    return 4;
}
END

# build_and_run COMPILER SOURCE FLAG...
# shellcheck disable=SC2046,SC2086 # flags and commands are made of words
build_and_run() {
    compiler=$1 source=$2
    shift 2
    $compiler -Wall -Wextra -Werror $sanitize $(pkg-config --cflags thrum) \
        -o "$dir/program" "$source" "$@"
    ${RUN:-} "$dir/program" >"$dir/output" || {
        echo "$source, built by $compiler with $*: exit $?"
        cat "$dir/output"
        exit 1
    }
}

# shellcheck disable=SC2046
for source in "$dir/all.c" examples/hello.c; do
    [ -e "$source" ] || continue
    build_and_run "$CC" "$source" $(pkg-config --libs thrum) "-Wl,-rpath,$lib"
    build_and_run "$CC" "$source" "$lib/libthrum.a" -pthread
done
build_and_run "$CC" "$dir/plugin.c" "-DLIBRARY=\"$lib/libthrum.so\"" -pthread

# What ThreadSanitizer checks is told so, and does not crash. It may not be here, and
# does not run in an emulator.
if [ -z "$sanitize" ] && echo 'int main(void) { return 0; }' |
    $CC -fsanitize=thread -o "$dir/program" -xc - 2>/dev/null &&
    ${RUN:-} "$dir/program" 2>/dev/null; then
    # shellcheck disable=SC2046
    $CC -fsanitize=thread $(pkg-config --cflags thrum) -o "$dir/program" \
        examples/hello.c "$lib/libthrum.a" -pthread
    ${RUN:-} "$dir/program" >"$dir/output" 2>&1 || true
    grep -q 'SAN=thread' "$dir/output" || {
        echo "a program with -fsanitize=thread is not told of the library:"
        cat "$dir/output"
        exit 1
    }
fi

case $CC in
*clang*) cxx=$(echo "$CC" | sed 's/clang/clang++/') ;;
*) cxx=$(echo "$CC" | sed 's/gcc/g++/; s/^cc$/c++/') ;;
esac
if command -v "$cxx" >/dev/null; then
    # shellcheck disable=SC2046
    for source in all handlers; do
        build_and_run "$cxx" "$dir/$source.cc" $(pkg-config --libs thrum) \
            "-Wl,-rpath,$lib"
    done
    for standard in c++11 c++17 c++20; do
        build_and_run "$cxx" "$dir/options.cc" -std=$standard -Wpedantic \
            "$lib/libthrum.a" -pthread
    done
else
    echo "skipped: no $cxx"
fi

MAKEFLAGS='' make -s uninstall DESTDIR="$dir" PREFIX=/opt/thrum >/dev/null
left=$(find "$dir/opt" -name '*thrum*' -not -path "$dir/opt/thrum" -print)
[ -z "$left" ] || {
    echo "uninstall leaves $left"
    exit 1
}
