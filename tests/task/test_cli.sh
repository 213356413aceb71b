#!/bin/sh
# hearth task: exit codes, the sentences of errors, JSON, and that the tasks that come with the program are clean.
set -eu
hearth=${HEARTH_BUILD:-build}/hearth
"$hearth" help | grep -q '^  task ' || { echo "hearth has no command 'task' yet"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset HEARTH_HOME
fails() { # fails CODE TEXT COMMAND…: that exit code, and that text on stdout or stderr
    code=$1 text=$2; shift 2
    rc=0; "$@" >"$dir/out" 2>&1 || rc=$?
    if [ $rc -ne "$code" ] || ! grep -q -- "$text" "$dir/out"; then
        echo "$*: exit $rc, wanted $code and '$text':"; cat "$dir/out"; exit 1
    fi
}
"$hearth" task --help | grep -q 'hearth task lint tasks'
fails 2 'did you mean' "$hearth" task lnit
fails 2 'which task' "$hearth" task lint
fails 1 'no task.yaml' "$hearth" task lint "$dir/none"
fails 3 'there is no task' "$hearth" task show no-such-task

mkdir -p "$dir/home/tasks/demo-task"
cat >"$dir/home/tasks/demo-task/task.yaml" <<'Y'
hearth: 1
id: demo-task
privacy: public
prompt: 'Is it hot? {{input}}'
output: {kind: label, labels: [yes, no]}
graders: [{type: label}]
bar: 0.9
Y
printf '{"input": "a b c", "expected": "yes"}\n{"input": "d e f", "expected": "maybe"}\n' \
    >"$dir/home/tasks/demo-task/cases.jsonl"
fails 1 'cases.jsonl:2: .*one of the task' "$hearth" task lint "$dir/home/tasks/demo-task"
printf '{"input": "a b c", "expected": "yes"}\n{"input": "d e f", "expected": "no"}\n' \
    >"$dir/home/tasks/demo-task/cases.jsonl"
fails 0 '0 errors' "$hearth" task lint "$dir/home/tasks/demo-task"
export HEARTH_HOME="$dir/home"
fails 0 'demo-task' "$hearth" task list
fails 0 'bar        0.9' "$hearth" task show demo-task
fails 3 "did you mean 'demo-task'" "$hearth" task show demo-tsk
fails 3 'task.yaml:8: .*bar' sh -c "echo 'baar: 1' >>'$dir/home/tasks/demo-task/task.yaml'; '$hearth' task show demo-task"

if [ -d tasks ]; then
    "$hearth" task lint --json tasks/*/ >"$dir/lint.json"
    python3 - "$dir/lint.json" <<'P'
import json, sys
for t in json.load(open(sys.argv[1])):
    assert t["errors"] == 0 and t["cases"] >= 60 and t["hard"] >= 0.15 * t["cases"], t
    print(t["task"], t["cases"], "cases,", t["hard"], "hard,", t["warnings"], "warnings")
P
fi
