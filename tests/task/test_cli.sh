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

# grading answers from elsewhere
printf '{"case": "1", "answer": "yes"}\n\n{"case": "2", "answer": "Yes."}\n{"case": "2", "answer": {"a": 1}}\n{"expected": "no", "answer": "NO"}' \
    >"$dir/answers"
mkdir -p "$dir/grade"
cat >"$dir/grade/task.yaml" <<'Y'
hearth: 1
id: grade
privacy: public
prompt: '{{input}}'
output: {kind: label, labels: [yes, no]}
graders: [{type: label}, {type: length, unit: chars, max: 3}]
bar: 0.9
Y
fails 3 "answers:1: the task has no case '1'" "$hearth" task grade "$dir/grade" "$dir/answers"
printf '{"id": "1", "input": "a", "expected": "yes"}\n{"id": "2", "input": "b", "expected": "no"}\n' >"$dir/grade/cases.jsonl"
fails 0 '^3 2: wrong, score 0.375: ' "$hearth" task grade "$dir/grade" "$dir/answers"
fails 0 '^4 2: malformed, score 0.000: not one of the labels' "$hearth" task grade "$dir/grade" "$dir/answers"
fails 0 '^grade  *2 pass, 1 wrong, 1 malformed; score 0.594$' "$hearth" task grade "$dir/grade" "$dir/answers"
fails 0 '^  no  *precision 1.000  recall 0.333  F1 0.500  expected 3$' "$hearth" task grade "$dir/grade" "$dir/answers"
"$hearth" task grade --json "$dir/grade" <"$dir/answers" | python3 -c '
import json, sys
*lines, last = [json.loads(line) for line in sys.stdin]
assert [(x["line"], x["case"], x["outcome"]) for x in lines] == [(1, "1", "pass"), (3, "2", "wrong"),
                                                                 (4, "2", "malformed"), (5, None, "pass")], lines
assert [g["type"] for g in lines[1]["graders"]] == ["label", "length"] and lines[1]["graders"][1]["score"] == 0.75
assert last["summary"]["answers"] == 4 and last["summary"]["figures"][0]["malformed"] == 1, last'
echo '{"case": "1", "anser": "yes"}' >"$dir/bad"
fails 3 "bad:1: .*did you mean 'answer'" "$hearth" task grade "$dir/grade" "$dir/bad"
echo '{"answer": "yes"}' >"$dir/bad"
fails 3 "bad:1: the grader 'label' needs a value in 'expected'" "$hearth" task grade "$dir/grade" "$dir/bad"
fails 3 'bad2: No such file' "$hearth" task grade "$dir/grade" "$dir/bad2"
fails 2 'which task, and which file of answers' "$hearth" task grade
fails 0 '^0 answers' "$hearth" task grade "$dir/grade" /dev/null

if [ -d tasks ]; then
    "$hearth" task lint --json tasks/*/ >"$dir/lint.json"
    python3 - "$dir/lint.json" <<'P'
import json, sys
for t in json.load(open(sys.argv[1])):
    assert t["errors"] == 0 and t["cases"] >= 60 and t["hard"] >= 0.15 * t["cases"], t
    print(t["task"], t["cases"], "cases,", t["hard"], "hard,", t["warnings"], "warnings")
P
fi
