#!/usr/bin/env python3
"""hearth task new, import, split: at a terminal and without one; what is written, what is refused, what stays."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from terminal import Terminal  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
HEARTH = str(BUILD / "hearth")
FILES = pathlib.Path(__file__).resolve().parent / "import"


def run(*args, code=0, says="", cwd=None):
    p = subprocess.run([HEARTH, "task", *map(str, args)], capture_output=True, text=True, cwd=cwd,
                       stdin=subprocess.DEVNULL)
    assert p.returncode == code and says in p.stdout + p.stderr, (args, p.returncode, p.stdout, p.stderr)
    return p.stdout


def lints(folder):
    (found,) = json.loads(run("lint", "--json", folder))
    assert found["errors"] == 0, found
    return found


def from_options(folder):
    run("new", "tickets", "--privacy", "private", "--output", "label", "--labels", "billing,shipping,no", "--prompt",
        "Which team? {{input}}", "--bar", ".85", "--margin", "none", cwd=folder)
    made = folder / "tasks" / "tickets"
    assert lints(made)["cases"] == 3
    text = (made / "task.yaml").read_text()
    assert "privacy: private" in text and "bar: 0.85" in text and "margin" not in text and '"no"' in text, text
    assert (made / "cases.jsonl").stat().st_mode & 0o077 == 0, "cases may be private"
    run("new", "tickets", "--privacy", "public", "--output", "text", "--prompt", "{{input}}", code=3, cwd=folder,
        says="nothing is overwritten")
    assert (made / "task.yaml").read_text() == text
    cases = folder / "cases.jsonl"
    cases.write_text('{"input": "one", "expected": 1}\n{"input": "two", "expected": 2}\n')
    run("new", folder / "sums", "--privacy", "public", "--output", "number", "--prompt", "{{input}}", "--cases", cases)
    assert lints(folder / "sums")["cases"] == 2
    cases.write_text('{"input": "one", "expected": 1}\n{"inputs": "two"}\n')
    run("new", folder / "bad", "--privacy", "public", "--output", "number", "--prompt", "{{input}}", "--cases", cases,
        code=3, says="cases.jsonl:2")
    assert not (folder / "bad").exists()
    run("new", "x", code=2, says="--privacy, --output, --prompt", cwd=folder)
    run("new", "x", "--privacy", "private", "--output", "label", "--prompt", "{{input}}", code=2, cwd=folder,
        says="needed: --labels")
    run("new", "x", "--privacy", "mine", code=2, says="public, internal, private or secret", cwd=folder)
    run("new", "x", "--output", "text", "--labels", "a,b", code=2, says="belongs to --output label", cwd=folder)
    run("new", "My Task", code=2, says="'my-task'", cwd=folder)
    assert sorted(p.name for p in (folder / "tasks").iterdir()) == ["tickets"]


def at_a_terminal(folder):
    """Defaults by Return, a wrong answer is asked again, Ctrl-D writes nothing."""
    made = folder / "asked"
    with Terminal([HEARTH, "task", "new", str(made)]) as t:
        for option, typed in (("privacy", "mine"), (None, ""), ("output", "json"), ("fields", "vendor,total:number"),
                              ("prompt", "Read this.\\n{{input}}"), ("grader", ""), ("bar", "0.9"), ("margin", "")):
            t.expect(f"{option}.*?> " if option else "it must be .*?> ")
            t.type(typed + "\r")
        t.expect("is written")
        assert t.ended() == 0
    lints(made)
    text = (made / "task.yaml").read_text()
    assert "privacy: private" in text and "bar: 0.9" in text and "margin: 0.1" in text, text
    assert "prompt: |-\n  Read this.\n  {{input}}\n" in text and "type: json-fields" in text, text
    with Terminal([HEARTH, "task", "new", str(folder / "not"), "--privacy", "public"]) as t:
        t.expect("output.*?> ")
        time.sleep(1)  # libedit shows its prompt before it takes the terminal: a key in between is the terminal's
        t.type("\x04")
        t.expect("nothing was written")
        assert t.ended() == 1
    assert not (folder / "not").exists()


def imported(folder):
    run("import", FILES / "tests.csv", "--to", folder / "csv", "--prompt", "{{product}}: {{question}}", code=3,
        says="'similar' has no grader here")
    assert not (folder / "csv").exists(), "something was written although a part could not be taken over"
    run("import", FILES / "tests.csv", "--to", folder / "csv", "--prompt", "{{product}}: {{question}}", "--partial")
    for name in ("csv", "csv-2", "csv-3"):
        lints(folder / "csv" / name)
    facts = json.loads(run("import", "--from", "lm-eval", FILES / "samples_sums.jsonl", "--to", folder / "sums-2",
                           "--json"))
    assert facts["written"] and facts["duplicates"] == 1 and facts["tasks"][0]["cases"] == 3, facts
    lints(folder / "sums-2")
    text = (folder / "sums-2" / "task.yaml").read_text()
    assert "privacy: private" in text, "never guessed to be less"
    run("import", FILES / "samples_sums.jsonl", "--to", folder / "sums-2", code=3, says="nothing is overwritten")
    assert (folder / "sums-2" / "task.yaml").read_text() == text
    run("import", FILES / "samples_sums.jsonl", "--to", folder / "p", "--privacy", "public")
    assert "privacy: public" in (folder / "p" / "task.yaml").read_text()
    run("import", FILES / "log_other.jsonl", "--to", folder / "log", code=3,
        says=f"{FILES / 'log_other.jsonl'}:2: messages[0].content[1] is of type 'image_url'")
    run("import", FILES / "log_kinds.jsonl", "--to", folder / "log", "--expected-from-response")
    cases = [json.loads(c) for c in (folder / "log" / "cases.jsonl").read_text().splitlines()]
    assert all(c["tags"] == ["unreviewed"] for c in cases) and cases[1] == {
        "input": "b\ntwo", "expected": "A2", "tags": ["unreviewed"]}, cases
    run("import", "--from", "csv", "x", "--to", "y", code=2, says="there are promptfoo")
    run("import", "x", code=2, says="--to DIR is missing")
    run("import", folder / "none.jsonl", "--to", folder / "y", code=3, says="none.jsonl")


def split(folder):
    made = folder / "tasks" / "tickets"
    (made / "cases.jsonl").write_text("".join(
        json.dumps({"id": f"c{i}", "input": f"word{i} thing", "expected": "billing", "cluster": f"k{i // 2}"}) + "\n"
        for i in range(200)))
    before = (made / "task.yaml").read_text()
    dry = json.loads(run("split", made, "--held-back", ".3", "--dry-run", "--json"))
    assert (made / "task.yaml").read_text() == before and not dry["written"]
    done = json.loads(run("split", made, "--held-back", ".3", "--json"))
    assert done == dict(dry, written=True) and done["test"] + done["train"] == 200 and 30 < done["test"] < 90, done
    assert done["test"] % 2 == 0, "a cluster lies on both sides"
    assert (made / "task.yaml").read_text() == before + "split: {held_back: 0.3, salt: tickets}\n"
    assert json.loads(run("split", made, "--json")) == dict(dry, written=False)
    run("split", made, "--seed", "2", code=3, says="change it by hand")
    other = json.loads(run("split", made, "--seed", "2", "--dry-run", "--json"))
    assert other["salt"] == "tickets", "a split that is there is shown as it is"
    shown = json.loads(run("show", made, "--json"))
    assert shown["measured"] == done["test"] and shown["cases"] == 200
    run("split", made, "--held-back", "2", code=2, says="0.01 to 1")
    run("split", made, "--held-bak", "2", code=2, says="did you mean '--held-back'")


def help_pages(folder):
    verbs = [line.split()[0] for line in run("--help").splitlines() if line.startswith("  ") and line[2].isalpha()]
    assert {"new", "import", "split", "lint", "list", "show"} <= set(verbs), verbs
    for verb in verbs:
        if verb != "hearth":  # the examples
            page = run(verb, "--help")
            for said in (f"usage: hearth task {verb}", rf"examples?:\n  hearth task {verb}", "--json"):
                assert re.search(said, page), page
            run(verb, "--jsn", code=2, says="did you mean '--json'")
    run("splt", code=2, says="did you mean 'split'")


with tempfile.TemporaryDirectory() as name:
    for check in (help_pages, from_options, at_a_terminal, imported, split):
        check(pathlib.Path(name))
        print(check.__name__)
