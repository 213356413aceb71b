"""hearth policy: versions in the ledger, differences, going back, and what is refused and leaves the old one in force."""
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from hearth import HOME, hearth, run_tests  # noqa: E402

TASK = """hearth: 1
id: {id}
privacy: {privacy}
prompt: 'Tell me of {{{{input}}}}'
graders: [{{type: contains, values: ['e']}}]
bar: 0.5
"""
FIRST = "hearth: 1\nchanges: propose\nshadow: {rate: 0.05, usd_per_day: 0.5}\n"
SECOND = FIRST.replace("0.05", "0.2") + "tasks:\n  letters: {route: cloud}\n"


def write_task(name, privacy):
    (HOME / "tasks" / name).mkdir(parents=True, exist_ok=True)
    (HOME / "tasks" / name / "task.yaml").write_text(TASK.format(id=name, privacy=privacy))
    (HOME / "tasks" / name / "cases.jsonl").write_text('{"input": "a tree"}\n')


def test_versions():
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        write_task("letters", "public")
        write_task("diary", "private")
        assert "no policy was set" in hearth("policy", "show").out
        assert hearth("policy", "history", "--json").json() == []
        (HOME / "policy.yaml").write_text(FIRST)
        hearth("policy", "set", code=2, says="wants --reason")
        assert "version 1 is in force" in hearth("policy", "set", "--reason", "a first try", "--who", "anna").out
        assert hearth("policy", "set", "-", "--reason", "more", "--json", stdin=SECOND).json() == {"version": 2}
        shown = hearth("policy", "show", "--json").json()
        assert shown["text"] == SECOND and shown["version"] == 2 and shown["in_force"] and shown["reason"] == "more"
        assert hearth("policy", "show", "1", "--json").json()["who"] == "anna"
        lines = hearth("policy", "diff").out.splitlines()
        assert lines == ["  hearth: 1", "  changes: propose", "- shadow: {rate: 0.05, usd_per_day: 0.5}",
                         "+ shadow: {rate: 0.2, usd_per_day: 0.5}", "+ tasks:", "+   letters: {route: cloud}"], lines
        assert hearth("policy", "diff", "2", "2").out == "no difference\n"
        hearth("policy", "rollback", "1", "--reason", "too much")
        history = hearth("policy", "history", "--json").json()
        assert [h["version"] for h in history] == [1, 2, 3] and history[0]["digest"] == history[2]["digest"]
        assert [h["in_force"] for h in history] == [False, False, True]
        assert "too much" in hearth("policy", "history").out
        routed = hearth("route", "letters", "--json", code=None).json()["tasks"][0]
        assert routed["policy"] == 3, routed


def test_refused():
    before = hearth("policy", "show", "--json").json()
    for text, says in (
            ("hearth: 1\nshado: {rate: 1}\n", ":2: unknown key 'shado' (did you mean 'shadow'?)"),
            ("hearth: 1\ntasks:\n  diary: {route: cloud}\n", ":3: task 'diary' is private, so no other machine"),
            ("hearth: 1\ntasks:\n  diary: {shadow_rate: 0.1}\nshadow: {usd_per_day: 1}\n", "none of its requests may be shadowed"),
            ("hearth: 1\ntasks:\n  leters: {route: local}\n", "there is no task 'leters' (did you mean 'letters'?)"),
            ("hearth: 1\nalpha: 2\n", ":2: 'alpha' is 2"),
            ("- a\n", "a policy is a map"),
    ):
        hearth("policy", "set", "-", "--reason", "x", stdin=text, code=None, says=says)
        assert hearth("policy", "show", "--json").json() == before, text
    hearth("policy", "rollback", "9", "--reason", "x", code=3, says="there is no version 9")
    hearth("policy", "rollback", "x", "--reason", "x", code=3, says="is no version")
    hearth("policy", "shwo", code=2, says="did you mean 'show'?")
    hearth("policy", "show", "--reason", "x", code=2)
    hearth("policy", "set", "nothing-there.yaml", "--reason", "x", code=3)


run_tests(globals())
