#!/bin/sh
# libhearth as a stranger meets it: installed, found by pkg-config, linked shared and static, in C and C++; the example
# gives the same answer with both, and the answer of `hearth run`.
set -eu
build=${HEARTH_BUILD:-build}
model=${HEARTH_CACHE:-build/cache}/SmolLM2-135M-Instruct.Q4_1.gguf
case $build in *san-*) echo "a program without the sanitizer cannot use a library with it"; exit 77 ;; esac
command -v pkg-config >/dev/null || { echo "pkg-config is not installed"; exit 77; }
root=${TMPDIR:-/tmp}/hearth-library.$$
trap 'rm -rf "$root"' EXIT
fail() { echo "library: $*" >&2; exit 1; }
make --no-print-directory BUILD="$build" PREFIX="$root/usr" install >"/tmp/hearth-install.$$" 2>&1 ||
    { cat "/tmp/hearth-install.$$"; rm -f "/tmp/hearth-install.$$"; fail "make install"; }
rm -f "/tmp/hearth-install.$$"

export PKG_CONFIG_PATH="$root/usr/lib/pkgconfig" LD_LIBRARY_PATH="$root/usr/lib" HEARTH_HOME="$root/home"
[ "$(pkg-config --modversion hearth)" = "$("$build/hearth" version | cut -d' ' -f2)" ] || fail "hearth.pc: version"
cc=${CC:-cc}
$cc -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$root/shared" examples/complete.c $(pkg-config --cflags --libs hearth)
$cc -std=c11 -o "$root/static" examples/complete.c $(pkg-config --cflags hearth) "$root/usr/lib/libhearth.a" \
    $(pkg-config --static --libs-only-l hearth | sed 's/-lhearth//') -pthread
readelf -d "$root/shared" | grep -q 'NEEDED.*libhearth\.so\.0\.1' || fail "the soname is not what the program asks for"
! readelf -d "$root/static" | grep -q libhearth || fail "the static program needs the shared library"
if command -v c++ >/dev/null; then
    printf '#include <hearth.h>\nint main() { return hearth_version()[0] == 0; }\n' >"$root/a.cc"
    c++ -Wall -Wextra -Werror -o "$root/cxx" "$root/a.cc" $(pkg-config --cflags --libs hearth)
    "$root/cxx" || fail "from C++"
fi
# a program may have names of its own that the library uses inside
printf '%s\n' '#include <hearth.h>' 'int fail, gguf_open, pool_run, engine_open, mem_alloc;' \
    'int main(void) { hearth_model *m; char why[HEARTH_ERROR_BYTES];' \
    'return hearth_model_open(&m, "/nowhere.gguf", 0, why) == HEARTH_NOT_FOUND ? 0 : 1; }' >"$root/own.c"
$cc -o "$root/own" "$root/own.c" $(pkg-config --cflags hearth) "$root/usr/lib/libhearth.a" -ljansson -lutf8proc -lm -pthread
"$root/own" || fail "a program with names of its own (static)"
$cc -o "$root/own" "$root/own.c" $(pkg-config --cflags --libs hearth)
"$root/own" || fail "a program with names of its own (shared)"

rc=0; "$root/shared" /nowhere.gguf text 2>"$root/err" || rc=$?
[ $rc -eq 1 ] && grep -q /nowhere.gguf "$root/err" || fail "a missing file is not named"
[ -r "$model" ] || { echo "no network: SmolLM2 is not in the cache"; exit 77; }
"$root/shared" "$model" "The capital of France is" 16 >"$root/a" 2>/dev/null || fail "shared: exit $?"
"$root/static" "$model" "The capital of France is" 16 >"$root/b" 2>/dev/null || fail "static: exit $?"
[ -s "$root/a" ] && cmp -s "$root/a" "$root/b" || fail "shared and static answer differently"
grep -q Paris "$root/a" || { cat "$root/a"; fail "Paris is not mentioned"; }
"$root/shared" "$model" "Name three rivers." 24 --chat >"$root/a" 2>/dev/null || fail "chat: exit $?"
"$build/hearth" run "$model" --temp 0 --max-tokens 24 "Name three rivers." >"$root/b" 2>/dev/null </dev/null ||
    fail "hearth run: exit $?"
tr -d '\n' <"$root/a" >"$root/c"; tr -d '\n' <"$root/b" | cmp -s - "$root/c" ||
    { cat "$root/a" "$root/b"; fail "the library and hearth run answer differently"; }
