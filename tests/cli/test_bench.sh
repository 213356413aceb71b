#!/bin/sh
# hearth bench on the small real model: a table, JSON, and facts of a run in the ledger; the best number of threads is
# remembered; mistakes are named.
set -eu
h=${HEARTH_BUILD:-build}/hearth
model=${HEARTH_CACHE:-build/cache}/SmolLM2-135M-Instruct.Q4_1.gguf
[ -r "$model" ] || { echo "no network: SmolLM2 is not in the cache"; exit 77; }
export HEARTH_HOME="${TMPDIR:-/tmp}/hearth-bench.$$"
trap 'rm -rf "$HEARTH_HOME"' EXIT
mkdir -p "$HEARTH_HOME"
fail() { echo "bench: $*" >&2; exit 1; }

"$h" bench --tune --depths 0 --batches 2 --repeat 1 --quick "$model" >"$HEARTH_HOME/out" || fail "exit $?"
for word in '1 threads: prefill' remembered 'load ' 'memory ' 'bandwidth ' 'depth     0' '2 at once'; do
    grep -q "$word" "$HEARTH_HOME/out" || { cat "$HEARTH_HOME/out"; fail "'$word' is missing"; }
done
n=$(cut -d' ' -f1 "$HEARTH_HOME/threads")
"$h" fit | grep -q "hearth computes on $n$" || fail "the remembered $n threads are not used"

"$h" bench --json --forget --threads 1 --depths 0,64 --batches 1 --repeat 1 --quick "$model" >"$HEARTH_HOME/json"
python3 - "$HEARTH_HOME" <<'PY'
import json, os, sqlite3, sys
home = sys.argv[1]
m, = json.load(open(home + "/json"))["models"]
assert [d["depth"] for d in m["depths"]] == [0, 64], m
assert m["threads"] == 1 and m["load_s"] > 0 and m["first_token_s"] > 0
assert all(d[k]["tokens_per_s"] > 0 for d in m["depths"] for k in ("prefill", "decode"))
# the memory budget is a contract: the whole process stays within what was planned (and it is not far off)
sanitized = "san-" in os.environ.get("HEARTH_BUILD", "")  # a sanitizer has memory of its own
assert sanitized or m["peak_bytes"] is None or m["weights_bytes"] < m["peak_bytes"] <= m["planned_bytes"], m
db = sqlite3.connect(home + "/ledger.db")
runs = db.execute("select id, task, place, model_name from run").fetchall()
assert [r[1:] for r in runs] == [("", "local", "SmolLM2-135M-Instruct.Q4_1")], runs  # --forget wrote nothing
names = {n for n, in db.execute("select name from fact where run = ?", runs[0][:1])}
assert {"bench_prefill_tokens_per_s_at_0", "bench_decode_tokens_per_s_at_0", "bench_decode_tokens_per_s_of_2",
        "bench_load_s", "bench_first_token_s", "bench_read_bytes_per_s", "bench_planned_bytes"} <= names, names
# what was expected stands beside what came of it, and how busy others kept the machine meanwhile
assert {"predicted_bench_prefill_tokens_per_s_at_0", "predicted_bench_decode_tokens_per_s_at_0",
        "predicted_bench_decode_tokens_per_s_of_2", "others_processors"} <= names, names
PY
for bad in '--depths 1,x' '--depths ,' '--batches 0' '--batches 65' '--repeat -1' '--repeat 1000'; do
    rc=0; "$h" bench $bad "$model" >/dev/null 2>"$HEARTH_HOME/err" || rc=$?
    [ $rc -eq 2 ] && grep -q -e "${bad%% *}" "$HEARTH_HOME/err" || fail "$bad: exit $rc"
done
rc=0; "$h" bench nothing-of-that-name >/dev/null 2>&1 || rc=$?
[ $rc -eq 3 ] || fail "a missing model: exit $rc"
rc=0; "$h" bench --mem 20M --quick --forget -t 1 "$model" >/dev/null 2>&1 || rc=$?
[ $rc -eq 4 ] || fail "a model that does not fit: exit $rc"
