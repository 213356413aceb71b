#!/bin/sh
# make install: what lies in DESTDIR/PREFIX works from there, away from the build tree: helpers are found in
# ../libexec/hearth, tasks in ../share/hearth/tasks, and the header with the library make a program that generates text
# and links nothing but libc, libm, pthreads, jansson and utf8proc.
set -eu
build=${HEARTH_BUILD:-build}
cache=$(cd "${HEARTH_CACHE:-build/cache}" && pwd)
model=SmolLM2-135M-Instruct.Q4_1
fail() { echo "install: $*" >&2; exit 1; }
[ -f "$cache/$model.gguf" ] || { echo "$model.gguf is not in the cache: skipped for want of the network"; exit 77; }
root=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$root"' EXIT

# With other flags than those it was built with, make would build the tree anew: without its sanitizer, silently.
set -- BUILD="$build"
case $build in *san-*) set -- "$@" SAN="$(printf '%s' "${build##*san-}" | tr - ,)" ;; esac
flags=$(cat "$build/gen/flags")
make -s install "$@" DESTDIR="$root" PREFIX=/opt/hearth >"$root/log" 2>&1 || { cat "$root/log"; fail "make install"; }
[ "$(cat "$build/gen/flags")" = "$flags" ] || fail "make install built with other flags: now make all, as before"
top=$root/opt/hearth
h=$top/bin/hearth
for f in bin/hearth libexec/hearth/hearth-serve libexec/hearth/hearth-worker libexec/hearth/hearth-egress libexec/hearth/hearth-pull \
    lib/systemd/system/hearth.service lib/systemd/system/hearth.socket lib/systemd/user/hearth-reassess.service lib/systemd/user/hearth-reassess.timer include/hearth.h lib/libhearth.a lib/pkgconfig/hearth.pc share/hearth/tasks/ticket-class/task.yaml; do
    [ -e "$top/$f" ] || fail "$f was not installed"
done
grep -q '^ExecStart=/opt/hearth/bin/hearth reassess' "$top/lib/systemd/user/hearth-reassess.service" || fail "the timer starts another hearth"
grep -q '^ExecStart=/opt/hearth/bin/hearth serve' "$top/lib/systemd/system/hearth.service" || fail "the unit starts another hearth"
[ -z "$(find "$root/opt" ! -type l -perm /022)" ] || fail "something is writable by others: $(find "$root/opt" ! -type l -perm /022 | head -n 3)"
[ "$(ls "$root")" = "$(printf 'log\nopt')" ] || fail "files outside of PREFIX: $(ls "$root")"

mkdir -p "$root/home/models" "$root/away"
ln -s "$cache/$model.gguf" "$root/home/models/"
export HEARTH_HOME="$root/home"
(
    cd "$root/away"
    "$h" run "$model" 'Name three rivers.' --temp 0 -n 8 >run.out 2>/dev/null || fail "run"
    [ "$(wc -w <run.out)" -ge 4 ] || fail "run said: $(cat run.out)"
    "$h" task list | grep -q ticket-class || fail "the installed tasks are not found"
    "$h" measure ticket-class --on "local:$model" --limit 2 >measure.out 2>&1 || { cat measure.out; fail "measure"; }
    "$h" route --json >route.out || true
    grep -q '"ticket-class"' route.out || fail "route"
)
port=$((20000 + $$ % 20000))
"$h" serve --listen "127.0.0.1:$port" --ctx 1024 2>"$root/serve.log" & server=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do curl -sf "http://127.0.0.1:$port/health" >/dev/null && break; sleep 0.3; done
curl -sf -H 'content-type: application/json' "http://127.0.0.1:$port/v1/chat/completions" \
    -d "{\"model\":\"$model\",\"max_tokens\":8,\"messages\":[{\"role\":\"user\",\"content\":\"Hello.\"}]}" >"$root/reply" ||
    { cat "$root/serve.log"; fail "serve does not answer"; }
grep -q '"assistant"' "$root/reply" || fail "the reply: $(cat "$root/reply")"
kill "$server"; wait "$server" || fail "serve exited $?"
server=

echo the public library
cat >"$root/away/words.c" <<'END'
#include <hearth.h>
#include <stdio.h>

static int fail; /* a program's own names do not collide with the library's */
int engine_open = 1;

static bool print(void *user, const char *text, size_t bytes)
{
    (void)user;
    fwrite(text, 1, bytes, stdout);
    return false;
}

int main(int argc, char **argv)
{
    hearth_model *m = NULL;
    hearth_session *s = NULL;
    hearth_sampling o;
    char why[HEARTH_ERROR_BYTES] = "usage: words MODEL";
    hearth_sampling_init(&o);
    o.temperature = 0;
    o.max_tokens = 8;
    fail = argc != 2 || hearth_model_open(&m, argv[1], NULL, why) || hearth_session_open(&s, m, why) ||
           hearth_generate_text(s, "Once upon a", &o, print, NULL, NULL, why);
    if (fail)
        fprintf(stderr, "%s\n", why);
    hearth_session_close(&s);
    hearth_model_close(&m);
    return fail;
}
END
case $build in *san-*) echo "a sanitizer's build: the library is not linked alone"; exit 0 ;; esac
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$top/include" -o "$root/words" "$root/away/words.c" \
    -Wl,--whole-archive "$top/lib/libhearth.a" -Wl,--no-whole-archive -ljansson -lutf8proc -lm -pthread ||
    fail "a program of the library's does not link with libc, libm, pthreads, jansson and utf8proc alone"
ldd "$root/words" | awk '{print $1}' | grep -vE '^(linux-vdso|libjansson|libutf8proc|libm|libc|libpthread)\.so|ld-linux' &&
    fail "the library needs more than it may"
said=' time'; [ -z "${HEARTH_TEST_TINY:-}" ] || said=' [a-zA-Z]' # a model of random weights says anything
"$root/words" "$cache/$model.gguf" | grep -q "^$said" || fail "the program of the library's generates nothing sensible"
"$root/words" /nonexistent 2>&1 | grep -q /nonexistent || fail "the program of the library's does not say what is wrong"
names=$(nm -g --defined-only "$top/lib/libhearth.a" | awk 'NF == 3 && $3 !~ /^hearth_/ { print $3 }')
[ -z "$names" ] || fail "the library defines names that are not its own: $(echo "$names" | head -n 5 | tr '\n' ' ')"
if command -v g++ >/dev/null; then
    echo '#include <hearth.h>' | g++ -x c++ -Wall -Werror -fsyntax-only -I"$top/include" - || fail "hearth.h is no C++"
fi
