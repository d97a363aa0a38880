#!/bin/sh
# The core calls no clock, no allocator and no IO, and keeps no state of its own: its archive needs
# only what is listed here, and has nothing in a writable section.
# Usage: core_purity.sh NM ARCHIVE [--instrumented REASON]
set -eu
nm=$1 archive=$2
allowed='memset memcpy memmove memcmp __assert_fail __stack_chk_fail _GLOBAL_OFFSET_TABLE_'

if [ "${3-}" = --instrumented ]; then
    echo "SKIP: the archive is built with $4, whose symbols are not the core's"
    exit 77
fi
symbols=$("$nm" -f posix "$archive" | awk 'NF > 1')
defined=$(echo "$symbols" | awk '$2 ~ /^[A-TV-Zabcdrt]$/ {print $1}')
needed=$(echo "$symbols" | awk '$2 ~ /^[Uvw]$/ {print $1}' | sort -u)
if [ -z "$defined" ] || [ -z "$needed" ]; then
    echo "FAIL: $archive has no symbols to look at"
    exit 1
fi
bad=0
for symbol in $needed; do
    if ! printf '%s\n' $allowed $defined | grep -Fqx -- "$symbol"; then
        echo "FAIL: the core calls $symbol"
        bad=1
    fi
done
# Tables of functions are written once, by the loader: .data.rel.ro.  Everything else is state.
state=$("$nm" -f sysv "$archive" | awk -F'|' '$7 ~ /^[ *]*\.(data|bss|tdata|tbss)/ &&
                                              $7 !~ /\.data\.rel\.ro/ {print $1}')
for symbol in $state; do
    echo "FAIL: the core keeps state in $symbol"
    bad=1
done
[ "$bad" = 0 ] && echo "the core needs only:" $(for s in $needed; do
    printf '%s\n' $defined | grep -Fqx -- "$s" || echo "$s"; done)
exit $bad
