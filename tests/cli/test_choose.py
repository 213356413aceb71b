#!/usr/bin/env python3
"""hearth choose as a command: recordings and the real model as candidates, exit codes, JSON, a second run."""
import json
import os
import subprocess
import sys
import tempfile

build = os.path.abspath(os.environ.get("HEARTH_BUILD", "build"))
cache = os.path.abspath(os.environ.get("HEARTH_CACHE", "build/cache"))
hearth = os.path.join(build, "hearth")
folder = tempfile.TemporaryDirectory(prefix="hearth-choose-")
home = os.environ["HEARTH_HOME"] = os.path.join(folder.name, "home")
os.makedirs(home)
os.chdir(folder.name)
N = 120
TASK = """hearth: 1
id: demo
privacy: {privacy}
prompt: 'Colour of {{{{input}}}}:'
variants: {{'local:Smol*': 'Say red or green. {{{{input}}}}'}}
output: {{kind: label, labels: [red, green]}}
graders:
  - type: label
bar: 0.6
margin: 0.1
sampling: {{max_tokens: 3}}
"""


def write_task(privacy="public"):
    os.makedirs("tasks/demo", exist_ok=True)
    open("tasks/demo/task.yaml", "w").write(TASK.format(privacy=privacy))
    with open("tasks/demo/cases.jsonl", "w") as f:
        for i in range(N):
            f.write(json.dumps({"id": f"c{i}", "input": f"thing {i}", "expected": "red"}) + "\n")


def write_replay(name, wrong_every):
    with open(name, "w") as f:
        for i in range(N):
            f.write(json.dumps({"task": "demo", "case": f"c{i}", "finish_reason": "stop",
                                "answer": "green" if i % wrong_every == 0 else "red"}) + "\n")


def run(*args, code=0):
    p = subprocess.run([hearth, *args], capture_output=True, text=True, timeout=120)
    assert p.returncode == code, f"{args}: exit {p.returncode}, not {code}\n{p.stdout}\n{p.stderr}"
    return p


write_task()
assert "among what?" in run("choose", "demo", code=2).stderr
run("choose", code=2)
run("choose", "demo", "demo", code=2)
assert "not 'best'" in run("choose", "demo", "--prefer", "best", code=2).stderr
run("choose", "demo", "--alpha", "1", code=2)
run("choose", "nothing", code=3)
run("choose", "demo", "--on", "nonsense:x", code=3)

# one is good, one bad, one is not there: the choice, what was dropped and when, and that it is paid for
write_replay("good.jsonl", 20)
write_replay("bad.jsonl", 1)
on = ["--on", "replay:good.jsonl", "--on", "replay:bad.jsonl", "--on", "replay:absent.jsonl", "--on", "replay:good.jsonl"]
d = json.loads(run("choose", "demo", *on, "--json").stdout)
rows = {c["provider"]: c for c in d["candidates"]}
assert d["chosen"] == "replay:good.jsonl" and d["chosen_prompt"] == "default" and d["ended"] == "one-left", d
assert len(rows) == 3 and d["multiplicity"] == 2, "a name given twice is one candidate, and one that is not there none"
good, bad = rows["replay:good.jsonl"], rows["replay:bad.jsonl"]
assert good["bar"] == "proven" and bad["state"] == "below the bar" and bad["cases"] < 20, (good, bad)
assert rows["replay:absent.jsonl"]["state"] == "cannot be asked so" and "absent.jsonl" in rows["replay:absent.jsonl"]["why"]
assert good["rate_lower"] < good["rate"] < good["rate_upper"] and good["cost_usd"]["mean"] is None
assert d["saved"] == 2 * N - good["cases"] - bad["cases"] and d["asked"] == good["cases"] + bad["cases"], d
p = run("choose", "demo", *on)
for said in ("quant", "replay:good.jsonl", "chosen, bar proven", "below the bar of 60.0 %", "0 answers", "alpha 0.05 over 2",
             "need not be asked"):
    assert said in p.stdout, (said, p.stdout)

# what choosing kept is what measuring finds
r = json.loads(run("measure", "demo", "--on", "replay:good.jsonl", "--json").stdout)["results"][0]
assert r["kept"] == good["cases"] and r["asked"] == N - good["cases"], r

# none reaches the bar; and one that may not see the cases is refused before anything is asked
assert "no candidate is left" in run("choose", "demo", "--on", "replay:bad.jsonl", code=1).stdout
write_task("private")
p = run("choose", "demo", "--on", "replay:good.jsonl", "--on", "openai:https://127.0.0.1:9/v1#m", code=1)
assert "private" in p.stderr and not p.stdout, p
write_task()

# prices.yaml is read, and a slip in it is named
open(os.path.join(home, "prices.yaml"), "w").write("as_of: today\nmodels:\n  m: {input: 1, output: 1}\n")
assert "prices.yaml:1" in run("choose", "demo", "--on", "replay:good.jsonl", code=3).stderr
os.remove(os.path.join(home, "prices.yaml"))

model = os.path.join(cache, "SmolLM2-135M-Instruct.Q4_1.gguf")
if not os.path.exists(model):
    print("without the model: local part left out (network)", file=sys.stderr)
    sys.exit(0)
# a model in the models directory is a candidate by itself, with each prompt; beside it a file that is no model
os.makedirs(os.path.join(home, "models"))
os.symlink(model, os.path.join(home, "models", "SmolLM2-135M-Instruct.Q4_1.gguf"))
open(os.path.join(home, "models", "rubbish.gguf"), "w").write("rubbish" * 100)
open(os.path.join(home, "config.yaml"), "w").write("version: 1\nmachine: {usd_per_kwh: 0.36, watts_busy: 36}\n")
p = subprocess.run([hearth, "choose", "demo", "--prompts", "--json"], capture_output=True, text=True, timeout=300)
assert p.returncode in (0, 1), (p.returncode, p.stderr)
d = json.loads(p.stdout)
smol = [c for c in d["candidates"] if "SmolLM2" in c["provider"]]
assert sorted(c["prompt"] for c in smol) == ["default", "local:Smol*"], smol
assert d["multiplicity"] == 2 and all(c["state"] == "cannot be asked so" for c in d["candidates"] if c not in smol), d
for c in smol:
    assert c["answered"] == c["cases"] >= 8 and c["memory_bytes"] > 5e6, c
    assert c["answer_p95_ms"] > 0 and c["power"] in ("mains", "battery", "unknown"), c
    if not c["energy_measured"]:  # 36 W at 0.36 USD a kWh
        assert abs(c["cost_usd"]["mean"] - c["energy_j"]["mean"] / 1e7) < 1e-12 and c["energy_j"]["mean"] > 0, c
assert p.returncode == (0 if d["chosen"] and smol[0]["bar"] == "proven" else 1), (p.returncode, d["why"])
again = json.loads(subprocess.run([hearth, "choose", "demo", "--prompts", "--json"], capture_output=True, text=True,
                                  timeout=300).stdout)
assert again["asked"] == 0 and again["chosen"] == d["chosen"] and d["asked"] > 0, again
print("ok")
