#!/bin/sh
# Each public header compiles alone, as C11 and as C++17, with gcc and clang;
# forgetting the result of what can fail is a warning; and each THRUM_API function
# states its contract in the comment above it, but for those whose names end in _:
# they are there for inline code.
set -u
bad=0

compiles() { # HEADER COMPILER -xLANGUAGE -std=STANDARD
    header=$1
    shift
    command -v "$1" >/dev/null || return 0
    echo "#include <${header#include/}>" |
        "$@" -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only - || {
        echo "$header:1: does not compile alone with $*"
        bad=1
    }
}

for tool in gcc g++ clang clang++; do
    command -v $tool >/dev/null || echo "skipped: no $tool"
done

for h in include/*.h include/*/*.h; do
    compiles "$h" gcc -xc -std=c11
    compiles "$h" g++ -xc++ -std=c++17
    compiles "$h" clang -xc -std=c11
    compiles "$h" clang++ -xc++ -std=c++17
    awk -f tests/style/strip.awk "$h" | awk -v f="$h" '
        # First the code without its comments, then the file itself.
        FNR == NR {
            macro = continued || /^#/
            continued = macro && /\\$/
            code[FNR] = macro ? "#" : $0
            next
        }
        /^\/\*/ { comment = ""; commenting = 1 }
        commenting { comment = comment $0 "\n" }
        /\*\// { commenting = 0 }
        commenting || code[FNR] == "#" { next }
        /^$/ { comment = "" }
        code[FNR] ~ /THRUM_API/ && decl == "" { decl = " "; start = FNR }
        decl != "" { decl = decl code[FNR] " " }
        decl != "" && code[FNR] ~ /;/ {
            if (decl ~ /thrum_[a-z0-9_]*[a-z0-9]\(/)
                check()
            decl = ""
        }
        function check() {
            need("Call from:")
            need("Suspends:")
            if (decl !~ /[^a-z_]void thrum_[a-z0-9_]+\(/)
                need("Returns:")
            # A thread may block in a function that suspends no task.
            suspends = comment ~ /Suspends:/ &&
                comment !~ /Suspends: *(never|blocks the thread)/
            if (suspends != (decl ~ /THRUM_SUSPENDS/))
                complain("\"Suspends:\" and THRUM_SUSPENDS disagree")
        }
        function need(field) {
            if (!index(comment, field))
                complain("the comment above has no \"" field "\"")
        }
        function complain(what) {
            printf "%s:%d: %s\n", f, start, what
            bad = 1
        }
        END { exit bad }' - "$h" || bad=1
done

forgetful='#include <thrum.h>
void f(void);
void f(void)
{
    thrum_join((thrum_task *)0);
    thrum_once_call((thrum_once *)0, 0, 0);
    thrum_spawn((thrum_scope *)0, (thrum_fn *)0, 0, 0);
    thrum_post((thrum_rt *)0, (thrum_fn *)0, 0, 0);
    thrum_with((thrum_fn *)0, 0);
    thrum_fail(&THRUM_ERROR, "x");
    thrum_each(0, (thrum_each_fn *)0, 0);
    thrum_sleep(1);
}'

warns() { # COMPILER -xLANGUAGE
    command -v "$1" >/dev/null || return 0
    n=$(echo "$forgetful" | LC_ALL=C "$@" -Iinclude -c -o /dev/null - 2>&1 |
        grep -c 'ignoring return value')
    [ "$n" -eq 8 ] || {
        echo "tests/style/headers.sh: $1 warns of $n results of 8 that are forgotten"
        bad=1
    }
}

warns gcc -xc
warns g++ -xc++
warns clang -xc
warns clang++ -xc++
exit $bad
