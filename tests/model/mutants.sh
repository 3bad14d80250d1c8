#!/bin/sh
# Does each order matter, and would the models notice? Every row of mutants.txt
# is one edit of a source: an order weakened, a barrier or a second look dropped.
# The named model program must fail with it; or the row says why it need not.
#
#   tests/model/mutants.sh           all rows
#   tests/model/mutants.sh TEXT      those that contain TEXT
#
# What is built lies in build/mutants.
set -u
table=tests/model/mutants.txt
out=build/mutants
few=3000       # executions a scenario; most mutants die of these,
many=200000    # and the rest should of those
enough=20000   # for one that should live, and where executions are long
cc=${CC:-gcc}

flags="-std=gnu11 -D_GNU_SOURCE -O1 -g -w -pthread -DTHRUM_MODEL"
paths="-Isrc -Iinclude -Itests/model/lib"

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

# Exit 0 if the model holds with the mutant, 1 if it fails, 2 if there is none.
try() { # DIRECTORY PROGRAM EXECUTIONS
    # shellcheck disable=SC2086 # lists of flags
    $cc $flags -fsanitize=thread -I"$1" $paths -c -o "$1/x.o" \
        "tests/model/$2.c" && $cc -pthread -o "$1/x" "$1/x.o" \
        "$out"/lib/*.o || return 2
    for n in $few $3; do
        THRUM_SEED='' THRUM_MODEL_EXECS=$n timeout 300 "$1/x" >"$1/said" 2>&1
        case $? in
        0) ;;
        1) grep -q BROKEN "$1/said" && return 1 || return 2 ;;
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
    what="$1 - $(field "$row" 1) $(field "$row" 2): $(field "$row" 3)"

    mkdir -p "$dir"
    mutate "$dir" "$row" >"$dir/log" 2>&1 && {
        case $verdict in *survives:* | model_sched* | model_crew*) many=$enough ;; esac
        try "$dir" "$program" $many >>"$dir/log" 2>&1
        rc=$?
    } || rc=2
    case $rc,$verdict in
    2,*) echo "not ok $what: no mutant, see $dir/log: $(head -n 1 "$dir/log")" ;;
    0,*survives:*) echo "ok $what: survives:${verdict#*survives:}" ;;
    1,*survives:*) echo "not ok $what: killed, yet the table explains why not" ;;
    0,*) echo "not ok $what: NOT KILLED by $program" ;;
    1,*) echo "ok $what: killed, $(sed -n 's/.*BROKEN: //p' "$dir/said")" ;;
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

grep -nF -e "${1:-}" $table | grep -E '^[0-9]+:(src|include)/' | cut -d: -f1 |
    xargs -P 2 -n 1 sh tests/model/mutants.sh --row >$out/results

sed 's/^[^0-9]*\([0-9]*\)/\1 &/' $out/results | sort -n | cut -d' ' -f2-
killed=$(grep -c '^ok .*: killed' $out/results)
explained=$(grep -c '^ok .*: survives' $out/results)
wrong=$(grep -c '^not ok' $out/results)
echo "$killed killed, $explained survived as explained, $wrong NOT KILLED"
echo "$((killed + explained)) passed, $wrong failed"
[ "$wrong" = 0 ] && [ $((killed + explained)) -gt 0 ]
