"""The grader `tool-call` against the judge of the Berkeley Function-Calling Leaderboard (bfcl-eval, a pinned wheel that
tools/bfcl unpacks into build/cache): its own questions and possible answers, with calls that are right, and spoilt in each of
the ways that models spoil them."""
import copy
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
loader = importlib.machinery.SourceFileLoader("bfcl", str(ROOT / "tools/bfcl"))
bfcl = importlib.util.module_from_spec(importlib.util.spec_from_loader("bfcl", loader))
loader.exec_module(bfcl)
N_TASK_CASES = 4000


def concrete(v):
    """One value of a list of possible ones, all the way down; None: absent."""
    choice = v[0] if isinstance(v, list) and v else v
    if isinstance(v, list) and choice == "":
        return None if len(v) == 1 else concrete(v[1:])
    if isinstance(choice, dict):
        return {k: c for k, c in ((k, concrete(x)) for k, x in choice.items()) if c is not None}
    if isinstance(choice, list):
        return [concrete([x]) if isinstance(x, dict) else x for x in choice]
    return choice


def spoilt(calls, kept, r):
    """Variants of the right calls: [(what, calls)]; kept: arguments that are not left out."""
    name, arguments = next(iter(calls[0].items()))
    yield "right", calls
    yield "another tool", [{name + "x": arguments}]
    yield "twice", calls * 2
    yield "extra argument", [{name: dict(arguments, surplus_argument="x")}]
    for key in [k for k in arguments if k not in kept][:2]:
        less = copy.deepcopy(arguments)
        del less[key]
        yield f"without {key}", [{name: less}]
    for key, v in list(arguments.items())[:3]:
        if isinstance(v, str):
            yield f"case of {key}", [{name: dict(arguments, **{key: v.upper()})}]
            yield f"other {key}", [{name: dict(arguments, **{key: v + " and something else"})}]
        elif isinstance(v, bool):
            yield f"other {key}", [{name: dict(arguments, **{key: not v})}]
        elif isinstance(v, (int, float)):
            yield f"other {key}", [{name: dict(arguments, **{key: v + r.choice([1, 7]) * max(1, int(abs(v) / 9))})}]
        elif isinstance(v, list) and v:
            yield f"shorter {key}", [{name: dict(arguments, **{key: v[:-1]})}]


def main():
    try:
        folder = bfcl.unpack()
    except (subprocess.CalledProcessError, OSError) as e:
        print(f"bfcl-eval cannot be fetched ({e}): skipped for want of the network")
        return 77
    try:
        checker = bfcl.judge_of(folder)
    except ImportError as e:
        print(f"{e}: bfcl-eval's judge does not load without the network's packages")
        return 77
    r = random.Random(1)
    rows = []
    for name in ("simple", "multiple"):
        for q, truth in bfcl.questions(folder, name, 0):
            right = [{tool: {k: c for k, c in ((k, concrete(v)) for k, v in args.items()) if c is not None}}
                     for tool, args in truth[0].items()]
            (tool, possible), = truth[0].items()
            schema = next(f["parameters"] for f in q["function"] if f["name"] == tool)
            # where schema and possible answers contradict each other, bfcl-eval goes by the schema
            kept = {k for k in schema.get("required", []) if "" in possible.get(k, [])}
            for what, calls in spoilt(right, kept, r):
                wanted = checker(q, calls, truth, name)["valid"]
                rows.append((f"{q['id']}: {what}", truth, calls, wanted))
    r.shuffle(rows)
    rows = rows[:N_TASK_CASES]
    with tempfile.TemporaryDirectory(prefix="hearth-calls-") as home:
        task = pathlib.Path(home)
        (task / "task.yaml").write_text(
            "hearth: 1\nid: calls\nprivacy: public\nprompt: '{{input}}'\nbar: 0.5\ngraders:\n"
            "  - {type: tool-call, alternatives: true, ignore_case: true, ignore_punctuation: true, ignore_space: true}\n")
        (task / "cases.jsonl").write_text("".join(
            json.dumps({"id": str(i), "input": what, "expected": [{"name": n, "arguments": a} for n, a in truth[0].items()]})
            + "\n" for i, (what, truth, _, _) in enumerate(rows)))
        (task / "answers").write_text(json.dumps(
            [json.dumps([{"name": n, "arguments": a} for c in calls for n, a in c.items()]) for _, _, calls, _ in rows]))
        done = subprocess.run([BUILD / "tests/measure/test_tools", "grade", task, task / "answers"], capture_output=True,
                              env=dict(os.environ, HEARTH_HOME=home))
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()[:-1]
    assert len(lines) == len(rows)
    differ = [(what, wanted, line, truth, calls) for (what, truth, calls, wanted), line in zip(rows, lines)
              if (line.split()[1] == "pass") != wanted]
    for d in differ[:40]:
        print(*d)
    print(f"{len(rows)} answers ({sum(w for *_, w in rows)} right), {len(differ)} judged otherwise than by bfcl-eval")
    assert not differ
    return 0


if __name__ == "__main__":
    sys.exit(main())
