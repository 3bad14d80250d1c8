#!/bin/sh
# How much was tried? The sums of what tests print, or of such sums.
#
#   tests/counts.sh LOG...
awk '
    function number(s) { return s ~ /M$/ ? s * 1000000 : s + 0 }
    function add(what, s) { sum[what] += number(s) }
    /holds, [0-9.M]+ executions/ {
        for (i = 1; $i != "executions"; i++)
            ;
        add("executions", $(i - 1))
    }
    /^ *[0-9]+ rounds simulated/ { add("rounds", $1) }
    /^[0-9]+ inputs of the corpus, [0-9]+ drawn/ { add("rounds", $1 + $6) }
    /^ *[0-9]+ faults struck/ { add("faults", $1) }
    /^[0-9]+ (tasks|jobs)/ { add("tasks", $1) }
    /^ *(forks|spawns) +[0-9]+ begun/ { add("tasks", $2) }
    /^[0-9]+ killed, / { add("mutants", $1) }
    /^tried: / {
        for (i = 3; i <= NF; i += 2) {
            gsub(",", "", $i)
            add($i, $(i - 1))
        }
    }
    END {
        n = split("executions rounds faults tasks mutants", words, " ")
        for (i = 1; i <= n; i++)
            if (sum[words[i]] > 0) {
                text = text sprintf("%s %.0f %s", text == "" ? "" : ",",
                    sum[words[i]], words[i])
            }
        if (text != "")
            print "tried:" text
    }' "$@" </dev/null
