#!/bin/sh
# Does the proxy hand on every byte and every end, in both directions?
#
#   sh tests/examples/tcp_proxy.sh COMMAND...
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
exec perl tests/examples/tcp_proxy.pl "$@"
