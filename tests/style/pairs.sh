#!/bin/sh
# Each ordered access to an atomic has a label like [D1] within the 4 lines above
# or, where the statement goes on, the 2 below. The labels of a module stand in
# one table, the part of a comment that begins with "Ordering"; the first one
# there says the letter of the module, which no other has. A table may name
# partners in other modules. Each label of a table stands at some access, and
# each label is in its table.
set -u
bad=0

# The names of the ordered accesses are those that base/atomic.h defines.
ordered=$(sed -nE \
    's/^#define ([a-z_]+_(acquire|release|acq_rel|seq_cst))\(.*/\1/p' \
    src/base/atomic.h | sort -u | tr '\n' '|')
[ -n "$ordered" ] || { echo "src/base/atomic.h defines no orders?" && exit 1; }
raw='__ATOMIC_(ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)'
raw="$raw|memory_order_(acquire|release|acq_rel|seq_cst)"
call="(thrum_)?(${ordered}barrier_light|barrier_heavy)_?\\("
pattern="(^|[^a-zA-Z0-9_])($call|$raw)"

for f in src/*/*.[ch] include/*.h include/*/*.h; do
    case $f in src/base/atomic.h | src/os/barrier.[ch]) continue ;; esac
    awk -f tests/style/strip.awk "$f" |
        awk -v f="$f" -v pattern="$pattern" -v call="$call" '
        # First the code without its comments, then the file itself. A macro
        # that is another name for an access is none itself: its uses are.
        FNR == NR {
            if (!continued)
                alias = $0 ~ "^#define +" call
            continued = /\\$/
            if ($0 ~ pattern && !(alias && (continued || /^#define/ || was)))
                access[++n] = FNR
            was = alias && continued
            next
        }
        /^ \* Ordering/ { in_table = 1 }
        /(^|[^a-zA-Z0-9_])\[[A-Z]+[0-9]+\]/ && !in_table { label[FNR] = 1 }
        /\*\// { in_table = 0 }
        END {
            for (i = 1; i <= n; i++) {
                at = access[i]
                # A statement that goes on has its label where it ends.
                for (near = at - 4; near <= at + 2; near++)
                    if (near in label)
                        break
                if (near > at + 2) {
                    printf "%s:%d: ordered access without a label\n", f, at
                    bad = 1
                }
            }
            exit bad
        }' - "$f" || bad=1
done

awk '
    FNR == 1 { in_table = 0 }
    /^ \* Ordering/ { in_table = 1 }
    {
        rest = $0
        while (match(rest, /(^|[^a-zA-Z0-9_])\[[A-Z]+[0-9]+\]/)) {
            label = substr(rest, RSTART, RLENGTH)
            sub(/^[^[]/, "", label)
            rest = substr(rest, RSTART + RLENGTH)
            note(label)
        }
    }
    /\*\// { in_table = 0 }
    function note(label) {
        where = FILENAME ":" FNR
        module = FILENAME
        sub(/\.[ch]$/, "", module)
        letter = label
        gsub(/[^A-Z]/, "", letter)
        if (!in_table) {
            used[label] = where
            return
        }
        if (!(module in own)) {
            own[module] = letter
            if (letter in owner)
                complain(where, letter " is the letter of " owner[letter])
            else
                owner[letter] = module
        }
        if (letter == own[module])
            table[label] = where
        else
            partner[label] = where
    }
    function complain(where, what) {
        print where ": " what
        bad = 1
    }
    END {
        for (label in table)
            if (!(label in used))
                complain(table[label], label " stands at no access")
        for (label in used)
            if (!(label in table))
                complain(used[label], label " is in no table of its letter")
        for (label in partner)
            if (!(label in table))
                complain(partner[label], label " is in no table of its letter")
        exit bad
    }' src/*/*.[ch] include/*.h include/*/*.h || bad=1
exit $bad
