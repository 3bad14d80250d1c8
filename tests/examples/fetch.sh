#!/bin/sh
# Does fetch get each page once, try again where that may help, and end in time?
#
#   sh tests/examples/fetch.sh COMMAND...
set -u
case $* in
*qemu*)
    echo "skipped: an emulator has the signals for itself"
    exit 77
    ;;
esac
command -v perl >/dev/null || {
    echo "skipped: no perl"
    exit 77
}
exec perl tests/examples/fetch.pl "$@"
