"""measure and route as commands: a recording as the provider, the real processes, exit codes, JSON."""
import json, os, signal, stat, subprocess, sys, tempfile, time

build = os.path.abspath(os.environ.get("HEARTH_BUILD", "build"))
cache = os.path.abspath(os.environ.get("HEARTH_CACHE", "build/cache"))
hearth = os.path.join(build, "hearth")
home = tempfile.TemporaryDirectory(prefix="hearth-cli-")
os.environ["HEARTH_HOME"] = os.path.join(home.name, "home")
os.environ.pop("HEARTH_API_KEY", None)
os.chdir(home.name)

TASK = """hearth: 1
id: demo
privacy: {privacy}
{extra}prompt: 'Colour of {{{{input}}}}:'
output:
  kind: label
  labels: [red, green]
graders:
  - type: label
bar: 0.6
"""
N = 60


def write_task(privacy="private", extra=""):
    os.makedirs("tasks/demo", exist_ok=True)
    open("tasks/demo/task.yaml", "w").write(TASK.format(privacy=privacy, extra=extra))
    with open("tasks/demo/cases.jsonl", "w") as f:
        for i in range(N):
            f.write(json.dumps({"id": f"c{i}", "input": f"thing {i}", "expected": "red"}) + "\n")


def write_replay(name, right, upto=N):
    with open(name, "w") as f:
        for i in range(upto):
            f.write(json.dumps({"task": "demo", "case": f"c{i}", "answer": "red" if i < right else "green",
                                "finish_reason": "stop"}) + "\n")


def run(*args, code=0):
    p = subprocess.run([hearth, *args], capture_output=True, text=True, timeout=120)
    assert p.returncode == code, f"{args}: exit {p.returncode}, not {code}\n{p.stdout}\n{p.stderr}"
    return p


write_task()
# nothing measured: an answer, and no ledger is made by looking
p = run("route")
assert "demo" in p.stdout and "not measured" in p.stdout, p.stdout
assert not os.path.exists(os.environ["HEARTH_HOME"] + "/ledger.db")
run("route", "demo", code=1)
assert "demo" in run("route", "demp", code=3).stderr

# a recording that lacks the last cases: they are failures, not wrong answers
write_replay("half.jsonl", right=50, upto=58)
p = run("measure", "demo", "--on", "replay:half.jsonl", "--json", code=5)
r = json.loads(p.stdout)["results"][0]
assert (r["answered"], r["pass"], r["failed"], r["asked"]) == (58, 50, 2, 58), r
assert r["baseline_majority"] == 1.0 and r["decode_tokens_per_s"] is None
write_replay("half.jsonl", right=50)
r = json.loads(run("measure", "demo", "--on", "replay:half.jsonl", "--json").stdout)["results"][0]
assert (r["answered"], r["pass"], r["failed"], r["asked"], r["kept"]) == (60, 50, 0, 2, 58), r
assert abs(r["rate_lower"] - 0.7148) < 1e-3 and abs(r["rate_upper"] - 0.9171) < 1e-3, r  # Clopper-Pearson 50/60
db = os.environ["HEARTH_HOME"] + "/ledger.db"
assert stat.S_IMODE(os.stat(db).st_mode) == 0o600
text = run("measure", "demo", "--on", "replay:half.jsonl").stdout
for word in ("50 of 60 right", "95 % interval", "malformed", "baselines", "resolution", "evidence"):
    assert word in text, (word, text)

# a recording is evidence of somebody else: nowhere to route to
d = json.loads(run("route", "demo", "--json", code=1).stdout)["tasks"][0]
assert d["choice"] == "refuse" and d["local"] is None, d

# private cases and a remote provider: refused before it opens (this one could not even be reached)
p = run("measure", "demo", "--on", "openai:https://127.0.0.1:9/v1#m", code=1)
assert "private" in p.stderr and "Nothing was sent" in p.stderr, p.stderr
p = run("measure", "demo", "--on", "replay:half.jsonl", "--on", "openai:https://127.0.0.1:9/v1#m", code=1)
assert p.stdout == "", "one forbidden provider means that nothing runs"
# declared synthetic: it may be tried, and fails as a provider that is not there
write_task(extra="cases: synthetic\n")
p = run("measure", "demo", "--on", "openai:https://127.0.0.1:9/v1#m", "--timeout", "5", code=5)
assert "cases in a row" in p.stderr, p.stderr
write_task()

# usage and bad input
run("measure", code=2)
assert "--on local:MODEL" in run("measure", "demo", code=2).stderr
run("measure", "demo", "--on", "nonsense:x", code=3)
run("measure", "demo", "--on", "replay:absent.jsonl", code=3)
run("measure", "demo", "--limit", "many", "--on", "replay:half.jsonl", code=2)
for command in ("measure", "route"):
    assert "example:" in run(command, "--help").stdout
open("tasks/demo/cases.jsonl", "a").write('{"id": "c0", "input": "again"}\n')
assert "cases.jsonl:61" in run("measure", "demo", "--on", "replay:half.jsonl", code=3).stderr
write_task()
os.rename(db, db + ".good")
for end in ("-wal", "-shm"):
    if os.path.exists(db + end):
        os.remove(db + end)
open(db, "w").write("rubbish " * 1000)
assert "ledger" in run("route", code=3).stderr
assert "ledger" in run("measure", "demo", "--on", "replay:half.jsonl", code=3).stderr
os.remove(db)
os.rename(db + ".good", db)

# a local model: measured for real, killed in the middle, resumed; then routed
model = os.path.join(cache, "SmolLM2-135M-Instruct.Q4_1.gguf")
if os.path.exists(model):
    write_task(extra="sampling: {max_tokens: 3}\n")
    spec = "local:" + model
    p = subprocess.Popen([hearth, "measure", "demo", "--on", spec], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = 0
    for _ in range(600):
        time.sleep(0.05)
        d = json.loads(subprocess.run([hearth, "route", "demo", "--json"], capture_output=True, text=True).stdout)
        done = d["tasks"][0]["local"]["answered"] if d["tasks"][0]["local"] else 0
        if done >= 3 or p.poll() is not None:
            break
    p.send_signal(signal.SIGKILL)
    p.wait()
    assert done >= 3, "no case was finished in 30 s"
    r = json.loads(run("measure", "demo", "--on", spec, "--limit", "30", "--json").stdout)["results"][0]
    assert r["kept"] >= min(done, 30) and r["asked"] + r["kept"] == 30 == r["answered"] and r["failed"] == 0, r
    assert r["peak_bytes"] > (5e6 if "HEARTH_TEST_TINY" in os.environ else 5e7) and r["decode_tokens_per_s"] > 0 and r["ttft_p95_ms"] > 0, r
    p = run("route", "demo", "--explain", code=1)
    assert "only" in p.stdout and "of 60 cases" in p.stdout and "private" in p.stdout, p.stdout
else:
    print("without the model: local part left out (network)", file=sys.stderr)
print("ok")
