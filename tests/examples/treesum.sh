#!/bin/sh
# Does treesum print what sha256sum would, whatever lies in the tree, and say
# what it could not read?
#
#   sh tests/examples/treesum.sh COMMAND...
#
# Hostile trees are made in a temporary directory; find, sort, sha256sum and
# b2sum tell what is right.
set -u
export LC_ALL=C
# Where a switch orders nothing, what libcrypto keeps for a thread, and frees when
# the thread ends, looks like a race with the task that was running when it came.
[ -z "${TSAN_NOSYNC:-}" ] || {
    echo "skipped: libcrypto has thread-locals, which TSAN_NOSYNC misjudges"
    exit 77
}
dir=$(mktemp -d)
dir=$(realpath "$dir")
background=
trap 'stop_background; chmod -R u+rwX "$dir"; rm -rf "$dir"' EXIT
number=0

stop_background() {
    [ -z "$background" ] || { kill "$background" && wait "$background"; } \
        2>/dev/null
    background=
}

# Another user must be able to come here, and to run a copy of the program.
chmod 755 "$dir"
for last; do :; done
cp "$last" "$dir/treesum"
words="$* " # of the command, the program as the last one
words="${words%"$last" }$dir/treesum"
treesum() {
    # shellcheck disable=SC2086 # a command is made of words
    $words "$@"
}

# ok TEXT, or not ok TEXT: as the last command went
report() {
    rc=$?
    number=$((number + 1))
    if [ $rc = 0 ]; then
        echo "ok $number - $*"
    else
        echo "not ok $number - $*"
        head -n 20 "$dir/log" "$dir/errors" 2>/dev/null
    fi
}

# sums TOOL TREE...: what should be printed
sums() {
    tool=$1
    shift
    for from; do
        find "$from" -type f -print0 | sort -z | xargs -0r "$tool"
    done
}

# run ARGUMENT...: leaves its output, its errors and $status
run() {
    treesum "$@" >"$dir/output" 2>"$dir/errors"
    status=$?
}

# prints EXPECTED ARGUMENT...: all is well, and this is printed, to the byte
prints() {
    expected=$1
    shift
    run "$@"
    [ $status = 0 ] && [ ! -s "$dir/errors" ] &&
        cmp "$expected" "$dir/output" >"$dir/log" 2>&1
}

# fails KIND...: it ended with 1, and its errors name these
fails() {
    [ "$status" = 1 ] || return 1
    for kind; do
        grep -q -e "$kind" "$dir/errors" || return 1
    done
}

# --- hostile names ----------------------------------------------------------

tree=$dir/names
mkdir "$tree"
# shellcheck disable=SC2016 # Perl
perl -e '
    chdir shift or die;
    my $n = 0;
    for my $name ("plain", "two words", " ", "-c", "--", "new\nline", "\n",
                  "back\\slash", "\\n", "cr\r", "\r", "all\\\n\r", "\xff\xfe",
                  "\xc3\xa4", "tab\t", "\e[2J", "*", "\x27quote\"", "%s%n",
                  ".hidden", "x" x 255, "a", "a-b", "a.b", "a0", "ab") {
        open my $file, ">", $name or die "$name: $!";
        print $file $n++, "\n";
    }
    for my $name ("b", "b-b", "b.b", "b0", "new\nline dir", "\xff", "empty dir",
                  "-d") {
        mkdir $name or mkdir "$name.d" or die "$name: $!";
    }
    for my $name ("b/c", "b-b/c", "b0/c", "new\nline dir/c\n", "\xff/\xfe",
                  "-d/-c") {
        open my $file, ">", $name or die "$name: $!";
        print $file $n++, "\n";
    }
    open my $empty, ">", "empty" or die;
' "$tree"
sums sha256sum "$tree" >"$dir/sha256"
sums b2sum "$tree" >"$dir/blake2b"

prints "$dir/sha256" "$tree"
report "prints what sha256sum prints, in the order of the bytes of the paths"
sha256sum --quiet --strict -c <"$dir/output" >"$dir/log" 2>&1
report "sha256sum -c accepts it"
prints "$dir/blake2b" --algo blake2b "$tree"
report "--algo blake2b prints what b2sum prints"
b2sum --quiet --strict -c <"$dir/output" >"$dir/log" 2>&1
report "b2sum -c accepts it"

sums sha256sum "$tree/" >"$dir/expected"
prints "$dir/expected" "$tree/"
report "a slash at the end of DIR stays"
sums sha256sum "$tree/b" "$tree/a" "$tree/-d" "$tree/b" >"$dir/expected"
prints "$dir/expected" "$tree/b" "$tree/a" "$tree/-d" "$tree/b"
report "several arguments, files among them, keep their order"
prints /dev/null "$tree/empty dir"
report "an empty directory has no lines"

# --- what is no regular file -------------------------------------------------

mkfifo "$tree/fifo"
perl -MIO::Socket::UNIX -e '
    chdir shift;
    IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => "socket", Listen => 1)
        or die' "$tree"
ln -s . "$tree/b/loop"
ln -s nowhere "$tree/dangling"
ln -s self "$tree/self"
prints "$dir/sha256" "$tree"
report "links, fifos and sockets are left out"
run -v "$tree" && grep -q 'left out: 3 symbolic links, 2 others' "$dir/errors"
report "and counted"
ln -s names "$dir/link"
sed "s|$tree/|$dir/link/|" "$dir/sha256" >"$dir/expected"
prints "$dir/expected" "$dir/link"
report "a link given as an argument is followed"
run "$tree/fifo" "$tree/socket" "$tree/dangling" "$tree/self" "$tree/a" \
    /dev/null
fails NotRegular Missing "and 4 more" && [ "$(wc -l <"$dir/output")" = 1 ]
report "what is no regular file fails where it is given as an argument"

if [ -r /proc/kallsyms ]; then
    sha256sum /proc/kallsyms >"$dir/expected"
    prints "$dir/expected" /proc/kallsyms
    report "a file that says it is empty, and comes in short pieces, is whole"
else
    number=$((number + 1))
    echo "ok $number - a file that says it is empty # SKIP no kallsyms"
fi

# --- what cannot be read ------------------------------------------------------

run "$dir/nothing" "$tree/a"
fails Missing "$dir/nothing" ENOENT && cmp "$dir/output" - >"$dir/log" <<LINES
$(sha256sum "$tree/a")
LINES
report "a missing argument is told, the others are hashed"
run /proc/$$/mem "$tree/a"
fails Unreadable EIO && [ "$(wc -l <"$dir/output")" = 1 ]
report "an error in the middle of a file is told"

tree=$dir/denied
mkdir "$tree" "$tree/closed" "$tree/listed" "$tree/many"
echo 1 >"$tree/open"
echo 2 >"$tree/own"
echo 3 >"$tree/closed/file"
echo 4 >"$tree/listed/file"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    echo $i >"$tree/many/$i"
    chmod 0 "$tree/many/$i"
done
chmod 0 "$tree/own" "$tree/closed"
chmod 444 "$tree/listed"
if [ "$(id -u)" != 0 ]; then
    run "$tree"
elif setpriv --reuid=65534 --clear-groups true 2>/dev/null; then
    words="setpriv --reuid=65534 --clear-groups $words"
    run "$tree"
    words=${words#setpriv --reuid=65534 --clear-groups }
else
    status=skip
fi
if [ $status = skip ]; then
    number=$((number + 2))
    echo "ok $((number - 1)) - files without permission # SKIP no setpriv"
    echo "ok $number - no file hides another one's error # SKIP no setpriv"
else
    fails "Forbidden: $tree/closed at" "EACCES" "and 22 more" &&
        cmp "$dir/output" - >"$dir/log" <<LINES
$(sha256sum "$tree/open")
LINES
    report "files and directories without permission are told, in one error"
    grep -o "Forbidden: $tree/[^ ]*" "$dir/errors" >"$dir/told"
    find "$tree/closed" "$tree/listed/file" "$tree/many"/* "$tree/own" \
        -prune -printf 'Forbidden: %p\n' | sort | cmp - "$dir/told"
    report "each one with its path, in the order of the paths"
fi

# --- deep --------------------------------------------------------------------

tree=$dir/deep
mkdir "$tree"
# shellcheck disable=SC2016 # Perl
perl -e '
    my $path = my $top = shift;
    chdir $top or die;
    for (1 .. 300) {
        my $name = sprintf "%s%03d", "d" x 37, $_;
        mkdir $name and chdir $name or die;
        open my $file, ">", "file" or die;
        $path .= "/$name";
        print "$path/file\n";
    }
' "$tree" | sort | sed "s|^|$(sha256sum </dev/null | cut -d' ' -f1)  |" \
    >"$dir/expected"
prints "$dir/expected" "$tree"
report "paths of 12 KiB are hashed"

# --- many, and large ---------------------------------------------------------

tree=$dir/large
mkdir "$tree"
# shellcheck disable=SC2016 # Perl
perl -e '
    chdir shift or die;
    for my $dir (0 .. 99) {
        mkdir $dir or die;
        for (0 .. 199) {
            open my $file, ">", "$dir/$_" or die;
            print $file "$dir $_\n" x ($_ * 7 % 97);
        }
    }
' "$tree"
# Under an emulator that would take minutes.
large=67108864
[ $# = 1 ] || large=8388608
seq 10000000 | head -c $large >"$tree/50/large"
truncate -s 20000000 "$tree/sparse"
for bytes in 262143 262144 262145 524287 524288 524289; do
    seq 200000 | head -c $bytes >"$tree/$bytes"
done
sums sha256sum "$tree" >"$dir/large.sha256"

prints "$dir/large.sha256" "$tree"
report "20 000 files, and large ones"
prints "$dir/large.sha256" -j 1 --limit 1 "$tree"
report "-j 1 --limit 1 prints the same"
prints "$dir/large.sha256" -j 4 --limit 100 "$tree"
report "-j 4 --limit 100 prints the same"
(
    # shellcheck disable=SC3045 # dash and bash have it
    ulimit -n 24
    prints "$dir/large.sha256" -j 4 --limit 64 "$tree"
)
report "few descriptors make it wait, not fail"

prints /dev/null -o "$dir/file" "$tree/50" "$tree/7"
{ sums sha256sum "$tree/50" "$tree/7"; } | cmp - "$dir/file" >"$dir/log" 2>&1
report "-o writes a file"
chmod 640 "$dir/file"
run -o "$dir/file" "$tree/7" && [ "$(stat -c %a "$dir/file")" = 640 ] &&
    sums sha256sum "$tree/7" | cmp - "$dir/file" >"$dir/log" 2>&1 &&
    [ "$(find "$dir" -maxdepth 1 -name 'file*' | wc -l)" = 1 ]
report "-o replaces a file, keeps its mode and leaves no other"
sums sha256sum "$tree/7" >"$dir/expected"
echo old >"$tree/7/SUMS"
run -o "$tree/7/SUMS" "$tree/7"
cmp "$dir/expected" "$tree/7/SUMS" >"$dir/log" 2>&1
report "-o into the tree leaves the output out"
treesum "$tree/7" >"$tree/7/SUMS" 2>"$dir/errors"
cmp "$dir/expected" "$tree/7/SUMS" >"$dir/log" 2>&1
report "so does standard output"

run -o "$dir/nothing/file" "$tree"
fails NotWritten ENOENT
report "a FILE that cannot be is told"
treesum "$tree" >/dev/full 2>"$dir/errors"
status=$?
fails NotWritten ENOSPC
report "a full device is told"
run -o /dev/full "$tree"
fails NotWritten ENOSPC && [ -c /dev/full ]
report "a device is written to, not replaced"
treesum "$tree" >&- 2>"$dir/errors"
status=$?
fails NotWritten EBADF
report "a closed output is told"
{
    treesum "$tree" 2>"$dir/errors"
    echo $? >"$dir/status"
} | :
status=$(cat "$dir/status")
fails NotWritten EPIPE
report "a broken pipe is told"

# shellcheck disable=SC2086 # a command is made of words
$words -o "$dir/stopped" "$tree" 2>"$dir/errors" &
background=$!
until ls "$dir"/stopped* >"$dir/log" 2>&1 || ! kill -0 $background; do :; done
kill -TERM $background
wait $background
[ $? = 143 ] && ! ls "$dir"/stopped* >"$dir/log" 2>&1
report "a run that is stopped leaves nothing behind"

# --- a tree that changes -----------------------------------------------------

mkdir "$dir/still"
cp "$tree"/7/1* "$dir/still"
sums sha256sum "$dir/still" >"$dir/expected"
mkdir "$dir/moving"
echo secret >"$dir/secret"
secret=$(sha256sum <"$dir/secret" | cut -d' ' -f1)
perl -MPOSIX=mkfifo -e '
    chdir shift or die;
    while (1) {
        my $name = int rand 200;
        my $what = rand 5;
        unlink $name or rmdir $name;
        if ($what < 1) { mkfifo $name, 0644 }
        elsif ($what < 2) { mkdir $name }
        elsif ($what < 3) { symlink "../secret", $name }
        else { open my $file, ">", $name; print $file $name x rand 100000 }
    }
' "$dir/moving" &
background=$!
fine=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    run --limit 3 "$dir/moving" "$dir/still"
    grep -vE '^[0-9a-f]{64}  /' "$dir/output" >"$dir/log" && break
    grep -E '^[^ ]' "$dir/errors" | grep -vE \
        '^(job [0-9]+: )?(Missing|Changed|NotRegular):|^and [0-9]+ more:' >"$dir/log" && break
    grep "$secret" "$dir/output" >"$dir/log" && break
    grep -F "$dir/still/" "$dir/output" | cmp - "$dir/expected" >"$dir/log" ||
        break
    [ $status -le 1 ] && fine=$((fine + 1))
done
stop_background
[ $fine = 10 ]
report "files that come, go and become fifos or links disturb no other"

perl -e '
    open my $file, ">>", shift or die;
    syswrite $file, "more\n" while 1;
' "$tree/50/large" &
background=$!
status=0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ $status = 1 ] || run "$tree/50/large"
done
stop_background
fails Changed 'while it was read' && [ ! -s "$dir/output" ]
report "a file that grows while it is read has no line"

# --- the command line --------------------------------------------------------

bad=
for arguments in "" "-j 0 $tree" "-j 9999 $tree" "-j x $tree" "--limit 0 $tree" \
    "--limit -1 $tree" "--algo md5 $tree" "--nonsense $tree" "-o"; do
    # shellcheck disable=SC2086 # arguments are words
    run $arguments
    [ $status = 2 ] && [ -s "$dir/errors" ] && [ ! -s "$dir/output" ] ||
        bad="$bad '$arguments'"
done
[ -z "$bad" ]
report "a wrong command line exits with 2 $bad"
run --help && [ -s "$dir/output" ] && [ ! -s "$dir/errors" ]
report "--help helps"
treesum --help >/dev/full 2>"$dir/errors"
[ $? = 1 ]
report "unless its output is full"

if script -qec true /dev/null >"$dir/log" 2>&1; then
    script -qec "$words $tree >$dir/output" /dev/null >"$dir/errors" \
        </dev/null
    grep -q 'treesum: 20009 files' "$dir/errors" &&
        [ "$(wc -l <"$dir/output")" = 20009 ]
    report "a terminal shows what is going on"
else
    number=$((number + 1))
    echo "ok $number - a terminal shows what is going on # SKIP no script"
fi
echo "1..$number"
