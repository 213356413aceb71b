#!/usr/bin/env python3
"""`hearth ledger`: list, show, export, import, verify, purge; staleness in words; exports read by csv and json."""
import csv
import io
import json
import pathlib
import sqlite3
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from replayed import FOLDER, HOME, LEDGER, run, write_answers, write_task  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
N = 12
ON = "replay:a.jsonl"

# nothing measured yet: said, and nothing is made by looking
run("ledger", "list", code=3, says="nothing was measured yet")
assert not LEDGER.exists()

write_task(N)
write_answers("a.jsonl", ["red"] * 9 + ["green", '=HYPERLINK("x")\x1b[31m', "say, \"blue\"\nplease"])
write_answers("b.jsonl", ["red"] * 10)
run("measure", "demo", "--on", ON)
run("measure", "demo", "--on", "replay:b.jsonl", code=5)  # two cases without an answer

# ---- list ----
text = run("ledger", "list").out.splitlines()
assert len(text) == 3 and text[0].split()[:3] == ["WHEN", "TASK", "PROVIDER"], text
assert [line.split()[1:3] for line in text[1:]] == [["demo", ON], ["demo", "replay:b.jsonl"]]
runs = json.loads(run("ledger", "list", "demo", "--json").out)["runs"]
assert [(r["answers"], r["failures"]) for r in runs] == [(12, 0), (10, 2)], runs
assert all(r["machine"] and len(r["evidence"]) == 64 and r["at_us"] <= r["last_us"] for r in runs)
assert len(json.loads(run("ledger", "list", "--since", "2020-02-29", "--json").out)["runs"]) == 2
assert json.loads(run("ledger", "list", "--since", "9999-01-01", "--json").out)["runs"] == []
assert "no runs of other" in run("ledger", "list", "other").err

# ---- show ----
p = run("ledger", "show", runs[1]["id"]).out
assert "replay:b.jsonl" in p and "c10" in p and "numerics" in p, p
doc = json.loads(run("ledger", "show", runs[0]["evidence"][:10], "--json").out)
assert doc["table"] == "evidence" and doc["row"]["id"] == runs[0]["evidence"]
assert [r["id"] for r in doc["with"]["runs"]] == [runs[0]["id"]]
db = sqlite3.connect(f"file:{LEDGER}?mode=ro", uri=True)
odd = db.execute("SELECT id FROM answer WHERE case_id = 'c10' AND run = ?", (runs[0]["id"],)).fetchone()[0]
p = run("ledger", "show", odd).out
assert "Colour of thing 10" in p and "=HYPERLINK" in p and "\ufffd[31m" in p, "escapes of an answer reach no terminal"
doc = json.loads(run("ledger", "show", odd, "--json").out)
assert doc["with"]["text"][0]["body"] == '=HYPERLINK("x")\x1b[31m'
assert doc["with"]["grades"][0]["outcome"] == "malformed" and "detail" in doc["with"]["grades"][0]
run("ledger", "show", runs[0]["id"][:8], code=3, says="ids begin with")
run("ledger", "show", "ffffffffff", code=3, says="neither a task")
run("ledger", "show", "no-such", code=3, says="neither a task")


# ---- staleness ----
def standing():
    rows = json.loads(run("ledger", "show", "demo", "--json").out)["evidence"]
    return {(r["provider"], r["evidence"]): r for r in rows}


first = standing()[(ON, runs[0]["evidence"])]
assert first["current"] and first["stale_because"] == "" and (first["pass"], first["cases"]) == (9, 12), first
write_task(N, ask="The colour of")
r = standing()[(ON, runs[0]["evidence"])]
assert r["cases"] == 0 and "the prompt or the input changed (12 answers)" in r["stale_because"], r
write_task(N, max_tokens=9)
r = standing()[(ON, runs[0]["evidence"])]
assert not r["current"] and r["stale_because"] == "the sampling options changed", r
run("measure", "demo", "--on", ON)
rows = [r for (who, _), r in standing().items() if who == ON]
assert [r["current"] for r in rows] == [True, False], rows
text = run("ledger", "show", "demo").out
assert "current" in text and "stale" in text and "the sampling options changed" in text, text
(FOLDER / "tasks").rename(FOLDER / "away")
text = run("ledger", "show", "demo").out
assert "its folder is not here" in text and "the sampling options changed" in text, text
(FOLDER / "away").rename(FOLDER / "tasks")
write_task(N)

# ---- export: csv read by another implementation of RFC 4180 ----
sheet = run("ledger", "export", "demo", "--format", "csv", raw=True).stdout.decode()
assert sheet.count("\r\n") == 1 + 12 + 10 + 12
rows = list(csv.DictReader(io.StringIO(sheet, newline="")))
assert len(rows) == 34
by_case = {(r["run"], r["case"]): r for r in rows}
r = by_case[runs[0]["id"], "c10"]
assert r["text"] == '\'=HYPERLINK("x")\x1b[31m' and r["outcome"] == "malformed" and r["score"] == "0", r
r = by_case[runs[0]["id"], "c11"]
assert r["text"] == 'say, "blue"\nplease' and r["provider"] == ON and r["mean_logprob"] == "", r
for r in rows:
    for key, value in r.items():
        assert not value[:1] or value[0] not in "=+-@\t\r\n" or key in ("mean_logprob",), (key, value)

# ---- export and import: everything comes through ----
whole = FOLDER / "all.jsonl"
p = run("ledger", "export", "--to", whole)
lines = [json.loads(line) for line in whole.read_text().splitlines()]
assert lines[0] == {"table": "hearth-ledger", "schema": 3} and lines[-1] == {"table": "end", "rows": len(lines) - 2}
assert f"{len(lines) - 2} rows" in p.err and stat.S_IMODE(whole.stat().st_mode) == 0o600
columns = {t: {c[1] for c in db.execute(f"PRAGMA table_info({t})")} for (t,) in
           db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_version'")}
for table, names in columns.items():
    there = [x for x in lines if x["table"] == table]
    assert len(there) == db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0], table
    for x in there:
        assert set(x) == names | {"table"}, f"{table}: every column of the schema is exported"
run("ledger", "export", "--to", whole, code=3, says="is there already")
other = FOLDER / "other-home"
got = json.loads(run("ledger", "import", whole, "--json", home=other).out)
assert got == {"rows": len(lines) - 2, "new": len(lines) - 2}, got
assert "0 of them new" in run("ledger", "import", "-", home=other, stdin=whole.read_text()).out
assert run("ledger", "export", home=other).out == whole.read_text()
run("ledger", "verify", home=other)
part = run("ledger", "export", "demo", "--since", "9999-01-01").out.splitlines()
assert len(part) == 2
# a stranger's file: named with its line, and nothing of it is kept
bad = FOLDER / "bad.jsonl"
bad.write_text(whole.read_text().replace("thing 3", "thing three", 1))
run("ledger", "import", bad, code=3, says="bad.jsonl:")
third = FOLDER / "third-home"
run("ledger", "import", bad, code=3, says="not the digest", home=third)
assert json.loads(run("ledger", "verify", "--json", home=third).out)["rows"]["run"] == 0
run("ledger", "import", FOLDER / "absent.jsonl", code=3, says="absent.jsonl")
run("ledger", "import", FOLDER / "a.jsonl", code=3, says="is not a file of")
run("ledger", "import", FOLDER, code=3, says="irectory")

# ---- verify ----
assert "nothing is wrong" in run("ledger", "verify").out
doc = json.loads(run("ledger", "verify", "--json").out)
assert doc["ok"] and doc["rows"]["answer"] == 34 and doc["fault"] is None
harm = sqlite3.connect(other / "ledger.db")
harm.execute("DROP TRIGGER grade_fixed")
harm.commit()
harm.close()
run("ledger", "verify", home=other, code=1, says="grade_fixed")
doc = json.loads(run("ledger", "verify", "--json", home=other, code=1).out)
assert not doc["ok"] and "grade_fixed" in doc["fault"]

# ---- purge ----
run("ledger", "purge", code=2, says="--all")
run("ledger", "purge", "demo", "--all", code=2)
run("ledger", "purge", "dem", code=3, says="no run of a task")
n = db.execute("SELECT COUNT(*) FROM text").fetchone()[0]
db.close()
assert run("ledger", "purge", "demo").out == f"{n} texts deleted\n"
assert b"HYPERLINK" not in LEDGER.read_bytes() and b"thing 3" not in LEDGER.read_bytes()
assert "purged" in run("ledger", "show", odd).out
assert json.loads(run("ledger", "show", "demo", "--json").out)["evidence"][0]["answers"] == 12
run("ledger", "verify")
assert json.loads(run("ledger", "purge", "--all", "--json").out) == {"texts": 0}
assert "c10" in run("ledger", "export", "--format", "csv").out
# what was purged here comes back from an export: the user has been told (docs/LEDGER.md)
assert f"{n} of them new" in run("ledger", "import", whole).out

# ---- a ledger of an older schema: `route` only reads and says what to do; looking at it brings it to this one ----
old = FOLDER / "old-home"
old.mkdir()
db = sqlite3.connect(old / "ledger.db")
db.executescript((ROOT / "tests/ledger/version1.sql").read_text())
db.close()
run("route", home=old, code=3, says="`hearth ledger list` brings it to 3")
assert len(run("ledger", "list", home=old).out.splitlines()) == 3
assert "6 answer" in run("ledger", "verify", home=old).out

# ---- usage ----
for args in ([], ["lst"], ["list", "a", "b"], ["list", "--to", "x"], ["show"], ["show", "demo", "--all"], ["import"],
             ["verify", "x"], ["export", "--format", "xml"], ["export", "--json"], ["list", "--since", "2026-02-30"],
             ["list", "--since", "soon"], ["list", "--since", "2026-1-1"]):
    run("ledger", *args, code=2, says="hearth ledger: ")
assert "did you mean 'list'" in run("ledger", "lst", code=2).err
print("ok")
