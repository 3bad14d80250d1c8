#!/bin/sh
exec sh tests/examples/compare.sh "$@"
