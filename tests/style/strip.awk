# Prints C with comments, strings and characters blanked; each line stays where
# it was, so that what is found in the rest has the right number.
{
    line = $0
    out = ""
    while (line != "") {
        if (in_comment) {
            end = index(line, "*/")
            if (!end)
                break
            line = substr(line, end + 2)
            in_comment = 0
        } else if (match(line, /\/\*|\/\/|"|'/)) {
            out = out substr(line, 1, RSTART - 1)
            open = substr(line, RSTART, RLENGTH)
            line = substr(line, RSTART + RLENGTH)
            if (open == "//")
                break
            if (open == "/*")
                in_comment = 1
            else
                line = after_quote(line, open)
        } else {
            out = out line
            break
        }
    }
    print out
}

function after_quote(s, quote)
{
    while (s != "" && substr(s, 1, 1) != quote)
        s = substr(s, substr(s, 1, 1) == "\\" ? 3 : 2)
    return substr(s, 2)
}
