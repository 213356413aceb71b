"""A task and recorded answers to it, in a folder of their own: what commands do with a ledger, without any model."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
HEARTH = str(BUILD / "hearth")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-replayed-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
HOME = FOLDER / "home"
LEDGER = HOME / "ledger.db"

TASK = """hearth: 1
id: demo
privacy: {privacy}
prompt: '{ask} {{{{input}}}}:'
sampling: {{max_tokens: {max_tokens}}}
output:
  kind: label
  labels: [red, green, blue]
graders:
  - type: label
"""


def write_task(n, privacy="private", ask="Colour of", max_tokens=8):
    folder = FOLDER / "tasks" / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(TASK.format(privacy=privacy, ask=ask, max_tokens=max_tokens))
    cases = [{"id": f"c{i}", "input": f"thing {i}", "expected": "red", "cluster": "all"} for i in range(n)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(c) + "\n" for c in cases))


def write_answers(name, answers):
    """answers: of case c0, c1, …"""
    lines = [json.dumps({"task": "demo", "case": f"c{i}", "answer": a, "finish_reason": "stop"}) + "\n"
             for i, a in enumerate(answers)]
    (FOLDER / name).write_text("".join(lines))


def run(*args, code=0, stdin="", home=HOME, says=None, raw=False):
    """Runs hearth in the folder; checks its exit code, and what standard error says."""
    done = subprocess.run([HEARTH, *map(str, args)], input=stdin.encode(), capture_output=True, timeout=120, cwd=FOLDER,
                          env=dict(os.environ, HEARTH_HOME=str(home), USER="tester"))
    done.out, done.err = done.stdout.decode(), done.stderr.decode()
    assert code is None or done.returncode == code, f"{args}: exit {done.returncode}, not {code}\n{done.out}\n{done.err}"
    assert raw or "\x1b" not in done.out + done.err, "colours in a pipe"
    assert says is None or says in done.err, f"{args}: {says!r} is not in {done.err!r}"
    return done
