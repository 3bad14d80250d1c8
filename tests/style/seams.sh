#!/bin/sh
# Atomics go through base/atomic.h; time, threads, futexes, mappings and chance
# through os/. So a test can put its own in their place, and a reader knows where
# to look. Asked of the sources and, since a macro could hide a call, of the
# objects.
set -u
bad=0

calls='clock_gettime|clock_nanosleep|nanosleep|usleep|sleep|time|gettimeofday'
calls="$calls|syscall|futex|mmap|munmap|mprotect|madvise|mremap|brk|sbrk"
calls="$calls|pthread_[a-z_]+|thrd_[a-z_]+|mtx_[a-z_]+|cnd_[a-z_]+|sem_[a-z]+"
calls="$calls|getrandom|getentropy|s?rand(om)?(_r)?|[dlm]rand48"
calls="$calls|sched_(yield|[gs]et[a-z]+)|sysconf|get_nprocs(_conf)?|membarrier"
atomics='__atomic_[a-z_]+|__sync_[a-z_]+|atomic_[a-z_]+|memory_order_[a-z_]+'
atomics="$atomics|__ATOMIC_[A-Z_]+"

# complain_of FILE PATTERN RULE: where the code, comments apart, has PATTERN
complain_of() {
    awk -f tests/style/strip.awk "$1" | grep -nE "(^|[^a-zA-Z0-9_.>])($2)" |
        sed "s|^|$1:|; s|\$|   <- $3|" | grep . && bad=1
}

for f in src/*/*.[ch]; do
    case $f in
    src/base/atomic.h) continue ;;
    src/parts/inbox.c) ;; # the words of the stack it wraps
    *) complain_of "$f" 'ck_pr_[a-z0-9_]+' "an atomic outside base/atomic.h" ;;
    esac
    complain_of "$f" "($atomics)" "an atomic outside base/atomic.h"
    case $f in src/os/*) continue ;; esac
    complain_of "$f" "($calls)\\(" "a call that is os/'s to make"
    complain_of "$f" "volatile[^(]*;" "volatile is no atomic"
done

# Sanitizers add calls of their own.
if [ -n "${SAN:-}" ] || [ ! -d "${OUT:-}/src" ]; then
    echo "skipped: the objects, in a sanitizer build or without a build"
    exit $bad
fi
for o in "$OUT"/src/*/*.o; do
    source=${o#"$OUT"/}
    [ -e "${source%.o}" ] || continue # left over from a source that is gone
    case $o in
    "$OUT"/src/os/*) forbidden='__atomic_[a-z0-9_]+' ;;
    *) forbidden="$calls|__atomic_[a-z0-9_]+" ;;
    esac
    nm -u "$o" 2>/dev/null | awk '{ print $2 }' | grep -xE "($forbidden)" |
        sed "s|^|$o: refers to |" | grep . && bad=1
done
exit $bad
