#!/bin/sh
# Does the server give whoever asks, however he asks, what HTTP/1.1 says?
#
#   sh tests/examples/http_server.sh COMMAND...
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
exec perl tests/examples/http_server.pl "$@"
