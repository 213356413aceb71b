"""hearth reassess with real models: what is due and why, measured within a budget, and the day on which it changed."""
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from hearth import BASE_MODEL, HOME, MODEL, hearth  # noqa: E402

TASK = """hearth: 1
id: demo
privacy: private
prompt: '{ask} {{{{input}}}}'
graders:
  - {{type: contains, values: ['{must}']}}
bar: 0.5
sampling: {{max_tokens: 4}}
"""
N = 16


def write_task(ask="Tell me of", must=""):
    (HOME / "tasks" / "demo").mkdir(parents=True, exist_ok=True)
    (HOME / "tasks" / "demo" / "task.yaml").write_text(TASK.format(ask=ask, must=must or "e"))
    (HOME / "tasks" / "demo" / "cases.jsonl").write_text(
        "".join(json.dumps({"id": f"c{i}", "input": f"thing number {i}"}) + "\n" for i in range(N)))


def reasons(*args, code=0):
    tasks = hearth("reassess", "demo", "--json", *args, code=code).json()
    return {o["provider"]: o["reason"] for o in tasks[0]["offers"]}, tasks[0]


def test_reassess():
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        write_task()
        due, task = reasons()
        assert due == {f"local:{MODEL}": "new", f"local:{BASE_MODEL}": "new"}, due
        assert task["after"]["state"] == "unproven"
        assert hearth("reassess", "demo", "--history").out == ""
        due, task = reasons("--measure")  # stops when it is decided: a part of the suite may be enough
        assert set(due.values()) == {"new"}, "what was due is told as it was before"
        due, _ = reasons()
        assert "new" not in due.values(), due
        hearth("measure", "demo", "--on", f"local:{MODEL}", "--on", f"local:{BASE_MODEL}")
        assert set(reasons()[0].values()) == {"current"}
        told = hearth("reassess", "demo", "--history", "--json").json()
        assert told and told[0]["cases"] > 0 and told[0]["state"] in ("local", "candidate"), told
        assert 0 <= told[0]["rate_interval"][0] <= told[0]["pass"] / told[0]["cases"] <= told[0]["rate_interval"][1]
        assert told[0]["model"] and told[0]["change"].startswith("first measured: "), told
        assert told[0]["margin"] > 0 and told[0]["local_evidence"] and told[0]["difference_interval"] is None
        write_task(ask="Say something about")
        due, _ = reasons()
        assert set(due.values()) == {"stale"}, due
        plain = hearth("reassess", "demo").out
        assert "stale" in plain and "the prompt or the input changed" in plain, plain
        # proposed, until somebody applies it
        hearth("policy", "set", "-", "--reason", "ask first", stdin="hearth: 1\nchanges: propose\n")
        write_task(ask="Write of")
        hearth("reassess", "demo", "--measure", "--budget-minutes", "0", "--budget-usd", "1")
        task = reasons()[1]["after"]
        if task["state"] == "suspect":  # it was local, and too few cases prove it again
            assert not task["proposed"]
        for name in ("demo", "fresh"):
            (HOME / "tasks" / name).mkdir(exist_ok=True)
        (HOME / "tasks" / "fresh" / "cases.jsonl").write_text((HOME / "tasks" / "demo" / "cases.jsonl").read_text())
        (HOME / "tasks" / "fresh" / "task.yaml").write_text(
            TASK.format(ask="Say", must="").replace("id: demo", "id: fresh").replace(
                "{type: contains, values: ['']}", "{type: max-words, max: 100}"))
        hearth("reassess", "fresh", "--measure", "--budget-minutes", "5")
        held = hearth("reassess", "fresh", "--json").json()[0]["after"]
        assert held["proposed"] and held["choice"] == "refuse" and held["state"] == "candidate", held
        assert "reassess fresh --apply" in hearth("reassess", "fresh").out
        applied = hearth("reassess", "fresh", "--apply", "--json").json()[0]["after"]
        assert applied["choice"] == "local" and applied["state"] == "local" and not applied["proposed"], applied
        assert hearth("route", "fresh", "--json").json()["tasks"][0]["choice"] == "local"
        days = hearth("reassess", "fresh", "--history", "--json").json()
        assert [d["crossed_over"] for d in days][-1] and days[-1]["policy"] == 1, days
        hearth("reassess", "demo", "--days", "-1", code=2)
        hearth("reassess", "demo", "--budget-usd", "-1", code=2)
        hearth("reassess", "nothing-like-it", code=3)


test_reassess()
