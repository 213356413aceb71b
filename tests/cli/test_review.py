#!/usr/bin/env python3
"""`hearth task review`: labels from a pipe and at a pseudo-terminal; resuming; blind pairs; the summary's numbers against
closed forms and a second implementation; what was put right as new cases."""
import json
import math
import os
import pathlib
import re
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from replayed import FOLDER, HEARTH, HOME, LEDGER, run, write_answers, write_task  # noqa: E402
from terminal import Terminal  # noqa: E402

N = 20
A, B = "replay:a.jsonl", "replay:b.jsonl"


def labels():
    db = sqlite3.connect(f"file:{LEDGER}?mode=ro", uri=True)
    rows = db.execute("SELECT l.case_id, l.verdict, l.who, l.answer, l.other, t.body FROM label l LEFT JOIN text t ON"
                      " t.digest = l.fixed ORDER BY l.id").fetchall()
    db.close()
    return rows


def review(*args, keys="", **more):
    return run("task", "review", "demo", *args, stdin="".join(k + "\n" for k in keys), **more)


def summary():
    return json.loads(review("--summary", "--json").out)


# ---- nothing there ----
write_task(N)
run("task", "review", "demo", code=3, says="nothing was measured yet")
assert not LEDGER.exists()
answers_a = ["red"] * 12 + ["green"] * 8
answers_b = ["green"] * 4 + ["red"] * 10 + ["blue"] * 6
write_answers("a.jsonl", answers_a)
write_answers("b.jsonl", answers_b)
run("measure", "demo", "--on", A)
assert "0 labels" in review("--summary").out

# ---- accept, reject, fix, skip, quit; the only provider is found ----
p = review(keys=["a", "x", "r", "f", "purple", "f", "", "f", "blue", "s", "q"])
assert "that is none of arfsq" in p.err and "none of the task's labels" in p.err, p.err
assert "3 labelled now, 1 skipped; 3 of 20 done by tester (seed 1)" in p.out, p.out
rows = labels()
assert [(r[1], r[2], r[5]) for r in rows] == [("accept", "tester", None), ("reject", "tester", None),
                                              ("reject", "tester", "blue")]
shown = re.findall(r"^\[\d+ of 20\] (c\d+)$", p.out, re.M)
assert shown[:3] == [r[0] for r in rows] and len(shown) == 5, shown
assert shown != sorted(shown, key=lambda c: int(c[1:])), "cases come in random order"
assert "input\n  thing" in p.out and "expected\n  red" in p.out and "answer\n  " in p.out

# ---- resuming: what was labelled is not shown again; the order is the seed's ----
again = review(keys=["q"])
assert re.findall(r"^\[4 of 20\] (c\d+)$", again.out, re.M) == [shown[3]], "what was skipped comes again"
others = [re.findall(r"^\[4 of 20\] (c\d+)$", review("--seed", str(k), keys=["q"]).out, re.M) for k in range(2, 10)]
assert all(len(o) == 1 for o in others) and any(o != [shown[3]] for o in others)  # one of 17: by chance the same
p = review("--n", "2", keys=["a", "a", "a"])
assert "2 labelled now" in p.out and "5 of 20" in p.out
# the input ends in the middle of a fix: nothing is kept of it
assert "0 labelled now" in run("task", "review", "demo", stdin="f\n").out
assert "0 labelled now" in review().out and len(labels()) == 5
# somebody else begins with what nobody labelled
mine = {r[0] for r in labels()}
p = review("--who", "ann", keys=["a"] * 15 + ["q"])
assert {r[0] for r in labels() if r[2] == "ann"} == {f"c{i}" for i in range(N)} - mine
# and to the end
p = review("--who", "ann", keys=["r"] * 9)
assert "5 labelled now" in p.out and "20 of 20 done by ann" in p.out
assert "all of them are labelled" in review("--who", "ann").out
review(keys=["a"] * N)

# ---- the summary: newest label of each answer; against closed forms ----
newest = {}
for case, verdict, who, answer, other, fixed in labels():
    newest[case] = verdict
n, k = len(newest), sum(v == "accept" for v in newest.values())


def binomial_tail(k, n, p):  # P(X >= k)
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


def solve(f, target):
    low, high = 0.0, 1.0
    for _ in range(100):
        mid = (low + high) / 2
        low, high = (mid, high) if f(mid) < target else (low, mid)
    return low


s = summary()
one = s["answers"][0]
assert (s["labels"], s["people"], s["stale"], len(s["answers"])) == (len(labels()), 2, 0, 1), s
assert (one["n"], one["accepted"]) == (n, k) and 0 < k < n, one
assert abs(one["accepted_lower"] - solve(lambda p: binomial_tail(k, n, p), 0.025)) < 1e-9
assert abs(one["accepted_upper"] - (1 - solve(lambda q: binomial_tail(n - k, n, q), 0.025))) < 1e-9
passed = {f"c{i}": a == "red" for i, a in enumerate(answers_a)}
table = {(g, v): sum(passed[c] == g and (newest[c] == "accept") == v for c in newest)
         for g in (True, False) for v in (True, False)}
agree = table[True, True] + table[False, False]
g = one["graders"]
assert (g["n"], g["agree"], g["pass_rejected"], g["not_passed_accepted"]) == \
    (n, agree, table[True, False], table[False, True]), (g, table)
yes_g, yes_p = (table[True, True] + table[True, False]) / n, (table[True, True] + table[False, True]) / n
chance = yes_g * yes_p + (1 - yes_g) * (1 - yes_p)
assert abs(g["kappa"] - (agree / n - chance) / (1 - chance)) < 1e-12
text = review("--summary").out
for word in ("accepted", "95 % interval", "kappa", "agree with people", A):
    assert word in text, (word, text)

# ---- blind pairs ----
run("measure", "demo", "--on", B)
run("task", "review", "demo", code=3, says="--on PROVIDER, one of: " + ", ".join((B, A)))
p = review("--pairs", A, B, keys=["1"] * N)
visible = p.out[:p.out.rindex("labelled now")]
assert "replay" not in visible and "a.jsonl" not in visible and "b.jsonl" not in visible, "blind"
pairs = [r for r in labels() if r[4]]
assert len(pairs) == N
side = {}
db = sqlite3.connect(f"file:{LEDGER}?mode=ro", uri=True)
for answer, provider in db.execute("SELECT a.id, r.provider FROM answer a JOIN run r ON r.id = a.run"):
    side[answer] = provider
db.close()
first = [side[r[3]] for r in pairs]
assert {side[r[4]] for r in pairs} == {A, B} == set(first), "left and right are random"
same = [i for i in range(N) if answers_a[i] == answers_b[i]]
assert sorted(int(r[0][1:]) for r in pairs if r[1] == "tie") == same, "equal answers are ties without a question"
assert p.out.count("answer 2 is the same: a tie") == len(same)
win = sum(r[1] == "first" and side[r[3]] == B for r in pairs)
loss = sum(r[1] == "first" and side[r[3]] == A for r in pairs)
one = summary()["pairs"][0]
assert (one["a"], one["win"], one["tie"], one["loss"]) == (B, win, len(same), loss), one
less = min(win, loss)
exact = min(1, 2 * sum(math.comb(win + loss, i) for i in range(less + 1)) / 2 ** (win + loss))
assert abs(one["mcnemar_p"] - exact) < 1e-9
assert one["difference_lower"] < (win - loss) / N < one["difference_upper"]
# shown the other way round by another seed, it is still the same pair: nothing is left to do
assert "all of them are labelled" in review("--pairs", B, A, "--seed", "9").out
p = review("--pairs", B, A, "--who", "bob", "--seed", "9", keys=["2", "t", "s", "q"])
assert "labelled now, 1 skipped" in p.out
# the sides of the same pairs under another seed
other = [r for r in labels() if r[4] and r[2] == "bob"]
assert other and all({side[r[3]], side[r[4]]} == {A, B} for r in other)
run("task", "review", "demo", "--pairs", A, A, code=3, says="one and the same")
run("task", "review", "demo", "--pairs", A, "nobody", code=3, says="nobody: has no answers")

# ---- what was put right ----
fixed = FOLDER / "fixed.jsonl"
before = (FOLDER / "tasks/demo/cases.jsonl").read_bytes()
review("--on", B, keys=["f", "green", "q"])
put = [r for r in labels() if r[5] == "green"][-1]
p = review("--export-fixed", fixed)
lines = [json.loads(line) for line in fixed.read_text().splitlines()]
assert {x["id"] for x in lines} == {r[0] for r in labels() if r[5]} and f"{len(lines)} case" in p.out, (lines, p.out)
by_id = {x["id"]: x for x in lines}
assert by_id[put[0]] == {"id": put[0], "input": f"thing {put[0][1:]}", "expected": "green", "cluster": "all"}, lines
run("task", "review", "demo", "--export-fixed", fixed, code=3, says="nothing is overwritten")
assert (FOLDER / "tasks/demo/cases.jsonl").read_bytes() == before
(FOLDER / "tasks/fixed").mkdir()  # it is a suite that hearth reads
(FOLDER / "tasks/fixed/task.yaml").write_text((FOLDER / "tasks/demo/task.yaml").read_text().replace("demo", "fixed"))
(FOLDER / "tasks/fixed/cases.jsonl").write_bytes(fixed.read_bytes())
assert f"{len(lines)} cases" in run("task", "lint", "fixed", code=None).out

# ---- at a terminal: one key, no Enter; Ctrl-C quits; text that acts on a terminal does not ----
write_task(3, ask="Which colour has")
write_answers("t.jsonl", ["red", "gr\x1b[31meen", "blue"])
run("measure", "demo", "--on", "replay:t.jsonl")
os.chdir(FOLDER)
count = len(labels())
with Terminal([HEARTH, "task", "review", "demo", "--on", "replay:t.jsonl", "--who", "pty"],
              dict(os.environ, HEARTH_HOME=str(HOME), NO_COLOR="1")) as t:
    t.expect("q quit: ")
    t.type("z")
    t.expect("none of arfsq")
    t.expect("q quit: ")
    t.type("f")
    t.expect("the right answer")
    t.type("green\n")
    t.expect("2 of 3")
    t.expect("q quit: ")
    t.type("a")
    t.expect("3 of 3")
    t.expect("q quit: ")
    t.type("\x03")
    t.expect("2 labelled now")
    assert t.ended() == 0
    assert "\x1b" not in t.shown, "an answer's escape reached the terminal"
assert [(r[1], r[5]) for r in labels()[count:]] == [("reject", "green"), ("accept", None)]
# labels of the answers to the old prompt are stale now, and never pooled with the new ones
s = summary()
assert s["stale"] > 30 and [a["n"] for a in s["answers"]] == [2], s
assert "do not count today" in review("--summary").out

# ---- purged, secret ----
run("ledger", "purge", "demo")
assert "3 more have no text" in review("--on", "replay:t.jsonl", "--who", "new").out
write_task(3, privacy="secret")
run("task", "review", "demo", "--on", A, code=1, says="secret")

# ---- usage ----
for args in ([], ["demo", "more"], ["demo", "--pairs", A], ["demo", "--json"], ["demo", "--on", A, "--summary"],
             ["demo", "--n", "-1"], ["demo", "--sumary"]):
    run("task", "review", *args, code=2, says="hearth task review: ")
assert "example" in run("task", "review", "--help").out and "review" in run("task", "--help").out
print("ok")
