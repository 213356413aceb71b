#!/bin/sh
# What every command has in common: help with an example, exit codes, errors on stderr that name what and where.
set -eu
h=${HEARTH_BUILD:-build}/hearth
fail() { echo "usage: $*" >&2; exit 1; }

expect() { # expect CODE ARG…: runs hearth, compares the exit code
    want=$1; shift
    rc=0; "$h" "$@" >out.$$ 2>err.$$ </dev/null || rc=$?
    [ $rc -eq "$want" ] || { cat out.$$ err.$$; fail "hearth $* exited $rc, expected $want"; }
}
trap 'rm -f out.$$ err.$$' EXIT

expect 2
grep -q 'usage: hearth COMMAND' err.$$ || fail "no overview on stderr"
expect 0 --help
expect 0 version
grep -qE '^hearth [0-9]+\.[0-9]+\.[0-9]+$' out.$$ || fail "version"
expect 2 mesure
! [ -s out.$$ ] || fail "an error was printed on stdout"

commands=$("$h" help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | grep -vE '^(help|version)$' || true)
for c in $commands; do
    expect 0 "$c" --help
    grep -q "^usage: hearth $c" out.$$ || fail "$c --help has no usage line"
    grep -qi 'example' out.$$ || fail "$c --help shows no example"
    expect 2 "$c" --no-such-option
    grep -q "hearth $c: unknown option '--no-such-option'" err.$$ || fail "$c: unknown option is not named"
done
echo full disk: facts that could not be written are an error
if [ -w /dev/full ]; then ! "$h" help >/dev/full 2>/dev/null || fail "a full disk was not noticed"; fi
