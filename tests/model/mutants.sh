#!/bin/sh
# Does each order matter, and would the models notice? Every row of mutants.txt
# is one edit of a source: an order weakened, a barrier or a second look dropped.
# The named model program must fail with it; or the row says why it need not.
#
#   tests/model/mutants.sh           all rows
#   tests/model/mutants.sh TEXT      those that contain TEXT
#   SAMPLE=5 tests/model/mutants.sh  one row of 5 (sample.sh)
#
# What is built lies in build/mutants.
set -u
table=tests/model/mutants.txt
out=build/mutants
budgets="50 3000 20000 200000" # executions a scenario; most mutants die of few
enough=20000             # where they are long
lives=1000               # for one that should live
patience=300             # seconds, for one run
cc=${CC:-gcc}
quick=$(command -v clang || echo "$cc") # half of the time is compiling

flags="-std=gnu11 -D_GNU_SOURCE -w -pthread -DTHRUM_MODEL"
paths="-Isrc -Iinclude -Itests/model/lib"
built=build/gcc
real="-std=gnu11 -D_GNU_SOURCE -w -pthread -fPIC -ftls-model=initial-exec -O2 -g"
# As the Makefile has them.
seen="-fsanitize=thread -Dmemcpy=__tsan_memcpy -Dmemset=__tsan_memset"
heap="-Dmalloc=model_malloc -Dcalloc=model_calloc -Dfree=model_free
    -Daligned_alloc=model_aligned_alloc"

# edit FILE TEXT FROM TO: replaces FROM in the one line that has it and TEXT, in
# it or in the line before. Prints the file; fails if there is not just one.
edit() {
    TEXT=$2 FROM=$3 TO=$4 awk '
        BEGIN { text = ENVIRON["TEXT"]; from = ENVIRON["FROM"] }
        { near = text == "-" || index(last $0, text); last = $0 }
        near && (at = index($0, from)) {
            $0 = substr($0, 1, at - 1) ENVIRON["TO"] \
                substr($0, at + length(from))
            n++
        }
        { print }
        END { if (n != 1) exit 1 }' "$1"
}

field() { # ROW NUMBER
    echo "$1" | awk -F ' [|] ' -v n="$2" '{ gsub(/^ +| +$/, "", $n); print $n }'
}

# mutate DIRECTORY ROW: the edited source, where an include finds it first.
mutate() {
    file=$(field "$2" 1)
    copy=$1/${file#*/}
    mkdir -p "$(dirname "$copy")"
    cp "$file" "$copy"
    edits=$(field "$2" 3)
    texts=$(field "$2" 2)
    while [ -n "$edits" ]; do
        one=${edits%% AND *}
        text=${texts%% AND *}
        edit "$copy" "$text" "${one%% => *}" "${one#* => }" >"$copy.new" || {
            echo "\"${one%% => *}\" with \"$text\" does not mark one line of $file"
            return 1
        }
        mv "$copy.new" "$copy"
        case $edits in *" AND "*) edits=${edits#* AND } ;; *) edits= ;; esac
        case $texts in *" AND "*) texts=${texts#* AND } ;; esac
    done
}

# compile OBJECT SOURCE FLAG...: as the explorer wants it.
compile() {
    object=$1 source=$2
    shift 2
    # shellcheck disable=SC2086 # lists of flags
    $quick $flags $seen "$@" $paths -c -o "$object" "$source"
}

# part OBJECT SOURCE FLAG...: the same of the library, for model_runtime, which is
# given all of it.
part() {
    # shellcheck disable=SC2086
    compile "$@" $heap && objcopy $sections "$1"
}
sections="--set-section-flags .bss=alloc,load,contents,data"
for s in .bss .data .data.rel .data.rel.local; do
    sections="$sections --rename-section $s=model_state"
done

object_of_runtime() { # OBJECT SOURCE FLAG...
    case $2 in
    tests/*) compile "$@" -O1 ;;
    *) part "$@" -O1 ;;
    esac
}

# The objects that the mutant is in, anew; the others as they are.
build_runtime() { # DIRECTORY FILE
    cp -l "$out"/runtime/*.o "$1" || return
    grep -lF "${2#src/}" "$out"/runtime/*.d | while read -r dep; do
        name=$(basename "$dep" .d)
        source=$(echo "$name" | tr : /)
        [ "$source" = "$2" ] && source=$1/${2#*/}
        rm -f "$1/$name.o"
        object_of_runtime "$1/$name.o" "$source" -I"$1" || exit
    done && $cc -pthread -o "$1/x" "$1"/*.o "$out"/lib/*.o
}

# A program of another folder, FOLDER/NAME: as make has built it, but the mutant.
build_test() { # DIRECTORY PROGRAM FILE
    objects=$built/tests/$2.c.o
    [ -e "$objects" ] || objects=$(ls "$built/tests/$2"/*.o)
    # shellcheck disable=SC2046,SC2086 # lists
    $cc $real -I"$1" -Isrc -Iinclude -c -o "$1/mutant.o" "$1/${3#*/}" &&
        $cc -pthread -o "$1/x" "$1/mutant.o" $objects \
            $(find "$built/tests/${2%%/*}/lib" -name '*.o' 2>/dev/null) \
            $(printf "$built/%s.o\n" src/*/*.[cS] | grep -vxF "$built/$3.o") -lcmocka
}

build() { # DIRECTORY PROGRAM FILE
    case $2 in
    model_runtime) build_runtime "$1" "$3" ;;
    */*) build_test "$1" "$2" "$3" ;;
    *)
        compile "$1/x.o" "tests/model/$2.c" -O0 -I"$1" &&
            $cc -pthread -o "$1/x" "$1/x.o" "$out"/lib/*.o
        ;;
    esac
}

# Exit 0 if the model holds with the mutant, 1 if it fails, 2 if there is none.
try() { # DIRECTORY PROGRAM FILE EXECUTIONS...
    build "$1" "$2" "$3" || return 2
    dir=$1
    shift 3
    for n in "$@"; do
        THRUM_SEED='' THRUM_MODEL_EXECS=$n timeout $patience "$dir/x" \
            >"$dir/said" 2>&1 &
        wait $!
        rc=$?
        kill -KILL -- -$! 2>/dev/null # what it started, in a group of its own
        case $rc,$program in
        0,*) ;;
        *,*/*) return 1 ;;
        1,*) grep -q BROKEN "$dir/said" && return 1 || return 2 ;;
        *) return 2 ;;
        esac
    done
    return 0
}

# One row, in a process of its own: two of them run at a time.
one_row() { # LINE-NUMBER
    row=$(sed -n "$1p" $table)
    dir=$out/$1
    verdict=$(field "$row" 4)
    program=${verdict%% *}
    case $program in *:*) export THRUM_MODEL_ONLY="${program#*:}" ;; esac
    program=${program%%:*}
    what="$1 - $(field "$row" 1) $(field "$row" 2): $(field "$row" 3)"

    mkdir -p "$dir"
    mutate "$dir" "$row" >"$dir/log" 2>&1 && {
        case $program,$verdict in
        */*,*) budgets=1 patience=20 ;;
        model_runtime,*survives:*) budgets=100 ;;
        model_runtime,*) budgets="20 400 4000${THRUM_MODEL_ONLY:+ 40000}" ;;
        *,*survives:*) budgets=$lives ;;
        model_sched,* | model_crew,*) budgets="50 3000 $enough" ;;
        esac
        # shellcheck disable=SC2086 # a list
        try "$dir" "$program" "$(field "$row" 1)" $budgets >>"$dir/log" 2>&1
        rc=$?
    } || rc=2
    case $rc,$verdict in
    2,*) echo "not ok $what: no mutant, see $dir/log: $(head -n 1 "$dir/log")" ;;
    0,*survives:*) echo "ok $what: survives:${verdict#*survives:}" ;;
    1,*survives:*) echo "not ok $what: killed, yet the table explains why not" ;;
    0,*) echo "not ok $what: NOT KILLED by $program" ;;
    1,*) echo "ok $what: killed, $(sed -n 's/.*BROKEN: //p; s/^\[  FAILED  \] \([a-z].*\)/\1/p' "$dir/said" | head -n 1)" ;;
    esac
}

if [ "${1:-}" = --row ]; then
    one_row "$2"
    exit
fi

if [ -n "${SAN:-}${CROSS:-}${DEBUG:-}" ] || [ "$(basename "$cc")" != gcc ]; then
    echo "skipped: a plain build with gcc tells it all"
    exit 77
fi

rm -rf $out
mkdir -p $out/lib
for source in tests/model/lib/*.c src/os/ctx*.c src/os/ctx*.S; do
    # shellcheck disable=SC2086
    $cc $flags -O2 $paths -c -o "$out/lib/$(basename "$source").o" "$source" ||
        exit 1
done

rows=$(grep -nF -e "${1:-}" $table | grep -E '^[0-9]+:(src|include)/')
case $rows in *"| model_runtime"*)
    mkdir -p $out/runtime
    for source in src/base/*.c src/parts/*.c src/sched/*.c src/task/*.c \
        src/await/*.c src/sync/*.c src/io/call.c src/io/fd.c src/io/outside.c \
        tests/model/model_runtime/*.c; do
        object=$out/runtime/$(echo "$source" | tr / :).o
        object_of_runtime "$object" "$source" -MMD || exit
    done
    ;;
esac

for program in $(echo "$rows" | sed -n 's|.* [|] \([a-z]*/[a-z_]*\)$|\1|p'); do
    [ -d "tests/$program" ] && program=$program/${program#*/}
    make -s "$built/tests/$program" || exit
done

echo "$rows" | cut -d: -f1 | sh tests/sample.sh |
    xargs -P 2 -n 1 sh tests/model/mutants.sh --row >$out/results

sed 's/^[^0-9]*\([0-9]*\)/\1 &/' $out/results | sort -n | cut -d' ' -f2-
killed=$(grep -c '^ok .*: killed' $out/results)
explained=$(grep -c '^ok .*: survives' $out/results)
wrong=$(grep -c '^not ok' $out/results)
echo "$killed killed, $explained survived as explained, $wrong NOT KILLED"
echo "$((killed + explained)) passed, $wrong failed"
[ "$wrong" = 0 ] && [ $((killed + explained)) -gt 0 ]
