"""Shadow traffic of a served hearth against a recording upstream: what is asked elsewhere, how often, for how much, and
what the detector makes of it. Private requests never leave; a kill loses nothing that was stored."""
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import BUILD, MODEL, Served  # noqa: E402
from upstream import Upstream  # noqa: E402

CASES, CANARY = 40, "heron-4711-canary"
TASK = """hearth: 1
id: {id}
privacy: {privacy}
prompt: '{prompt}'
graders: [{grader}]
bar: 0.5
sampling: {{max_tokens: 3}}
"""
POLICY = "hearth: 1\nchanges: apply\nshadow: {{rate: {rate}, usd_per_day: {usd}, seed: 11}}\ndrift: {{level: 100}}\n"


class Shadowed(Served):
    def __init__(self, up):
        super().__init__(config="version: 1\ndefault_class: public\nproviders:\n"
                         f"  - {{name: up, kind: openai, url: \"http://127.0.0.1:{up.server.server_address[1]}/v1\","
                         " model: up, price: {input: 1, output: 1}}\n"
                         f"  - {{name: here, kind: local, model: {MODEL}}}\n")
        self.up = up

    def run(self, *args, code=0, stdin=None):
        done = subprocess.run([str(BUILD / "hearth"), *args], env=self.environment, capture_output=True, text=True,
                              input=stdin, cwd=self.home, timeout=120)
        assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def task(self, name, privacy, prompt, grader, expected=None):
        folder = self.home / "tasks" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "task.yaml").write_text(TASK.format(id=name, privacy=privacy, prompt=prompt, grader=grader))
        rows = [{"id": f"c{i}", "input": f"thing {i}", **({"expected": expected} if expected else {})}
                for i in range(CASES)]
        (folder / "cases.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))

    def policy(self, rate, usd):
        self.run("policy", "set", "-", "--reason", "test", stdin=POLICY.format(rate=rate, usd=usd))

    def say(self, task, text, **headers):
        status, head, body = self.ask("/v1/chat/completions", {"model": f"task:{task}", "messages":
                                      [{"role": "user", "content": text}]},
                                      headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert status == 200, (status, body)
        return head, json.loads(body)["choices"][0]["message"]["content"]

    def rows(self, sql, *args):
        db = sqlite3.connect(f"file:{self.home}/ledger.db?mode=ro", uri=True)
        try:
            return db.execute(sql, args).fetchall()
        finally:
            db.close()

    def wait(self, fact, seconds=20):
        """Until it holds; the comparing thread is behind the answers."""
        end = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < end, (self.rows("SELECT COUNT(*) FROM shadow"), self.said()[-2000:])
            time.sleep(0.05)

    def settle(self):
        """Until nothing new is stored or asked for a while."""
        last = None
        while True:
            now = (self.up.asked, self.rows("SELECT COUNT(*) FROM shadow"))
            if now == last:
                return
            last = now
            time.sleep(0.4)


def prepare(s):
    s.task("echo", "public", "Repeat: {{input}}", "{type: max-words, max: 100}")
    s.task("diary", "private", "Repeat: {{input}}", "{type: max-words, max: 100}")
    s.run("measure", "echo", "--on", "here", "--on", "up", code=None)
    s.run("measure", "diary", "--on", "here", code=None)
    s.up.asked = 0
    s.up.bodies.clear()


def test_rate_privacy_budget_and_kill():
    up = Upstream()
    s = Shadowed(up)
    prepare(s)
    s.policy(0, 1)
    with s:
        for i in range(20):  # a policy without a rate: nothing leaves
            head, _ = s.say("echo", f"a {i}")
            assert head["x-hearth-route"] == "local" and head["x-hearth-policy"] == "1", head
        s.settle()
        assert up.asked == 0 and s.rows("SELECT COUNT(*) FROM shadow") == [(0,)]

        s.policy(0.2, 1)  # read anew for each answer
        for i in range(150):
            s.say("echo", f"b {i}")
        s.settle()
        # 150 draws at 0.2: 30, and 4 standard deviations are 20
        assert 10 <= up.asked <= 50, up.asked
        stored = s.rows("SELECT kind, value, base, local_fault, cloud_fault, cost_usd, policy FROM shadow")
        assert len(stored) == up.asked, (len(stored), up.asked)
        assert all(r[0] == "graded" and r[1] == 0 and r[2] == 0 and not r[3] and not r[4] and r[6] == 2 for r in stored)
        assert all(abs(r[5] - 5e-6) < 1e-12 for r in stored), stored[0]
        texts = dict(s.rows("SELECT digest, body FROM text"))
        for prompt, local, cloud in s.rows("SELECT prompt_text, local_text, cloud_text FROM shadow"):
            assert "Repeat: b " in texts[prompt] and local in texts and texts[cloud] == "one two three"

        records = [json.loads(t) for t in (s.home / "audit.log").read_text().splitlines()]
        assert sum(r.get("policy") == "shadow, policy 2" for r in records) == up.asked, records[-1]

        # private and secret requests: by header on a public task, and by the task
        before = up.asked
        s.policy(1, 1)
        for i in range(12):
            s.say("echo", f"{CANARY} {i}", x_hearth_class="private")
            s.say("echo", f"{CANARY} {i}", x_hearth_class="secret")
            s.say("echo", f"{CANARY} {i}", x_hearth_class="internal")  # up is remote
            s.say("diary", f"{CANARY} {i}")
        s.settle()
        assert up.asked == before, (before, up.asked)
        s.say("echo", "an open one")
        s.wait(lambda: up.asked == before + 1)
        assert not any(CANARY.encode() in b for b in up.bodies)
        for line in s.rows("SELECT body FROM text"):
            assert CANARY not in line[0], "a private request's text is kept"

        # a budget: 5e-6 each, and about 9e-5 reserved for the next one
        spent = s.rows("SELECT SUM(cost_usd) FROM shadow")[0][0]
        s.policy(1, round(spent + 1.5e-4, 7))
        before = up.asked
        for i in range(45):
            s.say("echo", f"c {i}")
        s.settle()
        added = s.rows("SELECT SUM(cost_usd) FROM shadow")[0][0] - spent
        assert 0 < up.asked - before < 40 and added <= 1.5e-4, (up.asked - before, added)

        # killed in the middle of it: what was stored is there, and the ledger is whole
        s.policy(1, 1)
        up.gap = 0.05
        for i in range(8):
            s.say("echo", f"d {i}")
        s.wait(lambda: s.rows("SELECT COUNT(*) FROM shadow")[0][0] > len(stored) + 3)
        there = s.rows("SELECT * FROM shadow ORDER BY id")
        s.process.send_signal(signal.SIGKILL)
        s.process.wait()
        after = s.rows("SELECT * FROM shadow ORDER BY id")
        assert after[:len(there)] == there and len(after) <= up.asked
        s.run("ledger", "verify")
        s.process = subprocess.Popen(s.args, env=s.environment, stderr=s.log)
        s.wait_for_health()
        up.gap = 0
        head, _ = s.say("echo", "again")
        assert head["x-hearth-state"] == "local"
        s.wait(lambda: s.rows("SELECT COUNT(*) FROM shadow")[0][0] > len(after))


def test_alarm_suspect_and_back():
    up = Upstream()
    s = Shadowed(up)
    s.task("fixed", "public", "Say a word.", "{type: exact}", expected="x")
    with s:
        _, word = s.ask("/v1/chat/completions", {"model": "here", "max_tokens": 3, "temperature": 0, "messages": [
            {"role": "user", "content": "Say a word."}]})[1:]
        word = json.loads(word)["choices"][0]["message"]["content"]
        s.task("fixed", "public", "Say a word.", "{type: exact}", expected=word)
        up.pieces = [word]
        s.run("measure", "fixed", "--on", "here", "--on", "up", code=None)
        s.policy(0.5, 1)
        time.sleep(2.5)  # whether there is a policy at all is looked at every two seconds
        up.asked = 0
        for i in range(20):
            head, said = s.say("fixed", f"a {i}")
            assert head["x-hearth-state"] == "local" and said == word, (head, said)
        s.settle()
        kinds = s.rows("SELECT DISTINCT kind, value, base FROM shadow")
        assert kinds == [("agreement", 1.0, 1.0)], kinds

        up.pieces = ["quite another word"]  # the world has changed
        states = []
        for i in range(120):
            head, _ = s.say("fixed", f"b {i}")
            states.append(head["x-hearth-state"])
            if states[-1] == "cloud":
                break
            time.sleep(0.05)
        assert states[0] == "local" and "suspect" in states and states[-1] == "cloud", states
        assert head["x-hearth-route"] == "cloud" and "drift detector" in head["x-hearth-reason"], head
        order = [v for v, in s.rows("SELECT verdict FROM decision WHERE task = 'fixed' ORDER BY id")]
        assert order[-2:] == ["suspect", "cloud"], order
        detail = json.loads(s.rows("SELECT detail FROM decision WHERE verdict = 'suspect'")[-1][0])
        assert detail["drift"]["r"] >= 100 and detail["policy"] == 1, detail
        alarm = s.rows("SELECT kind, value >= level, n_seen FROM alarm")
        assert len(alarm) == 1 and alarm[0][0] == "drift" and alarm[0][1] == 1, alarm
        # every answer while it was suspect was asked elsewhere too
        first = states.index("suspect")
        assert len(states) - first < 40, states
        explained = json.loads(s.run("route", "fixed", "--json", code=None))["tasks"][0]
        assert explained["drift"]["phase"] == "back" and explained["choice"] == "cloud", explained["drift"]
        due = json.loads(s.run("reassess", "fixed", "--json", code=None))[0]["offers"]
        assert {o["provider"]: o["reason"] for o in due} == {"here": "alarm", "up": "alarm"}, due


for name, test in list(globals().items()):
    if name.startswith("test_") and name.endswith(os.environ.get("ONLY", "")):
        test()
        print("ok", name[5:])
