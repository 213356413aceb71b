"""A cascade in a real `hearth serve`: a task whose local model is below its bar, but right where it is sure. What is sure
is answered here, what is not by the upstream; when that fails, here all the same; and what is private never goes."""
import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, MODEL, TINY, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

if TINY:
    print("a tiny model is never sure of what is right: skipped")
    sys.exit(77)

COLOURS = ["red", "green", "blue"]
THINGS = ["grass", "blood", "the sky", "a tomato", "the sea", "a frog", "a rose", "a leaf", "an emerald", "a ruby"]
INPUTS = [f"{thing} {seen}" for seen in ("at noon", "in spring", "far away", "close by", "today") for thing in THINGS]
TASK = """hearth: 1
id: %s
privacy: %s
prompt: 'Answer in JSON. The colour of {{input}}:'
variants: {up: 'Say as JSON which colour {{input}} has.'}
output:
  kind: json
  schema: {type: object, properties: {colour: {enum: [red, green, blue]}}, required: [colour],
           additionalProperties: false}
graders: [{type: json-fields}]
bar: 0.8
sampling: {max_tokens: 24}
cascade: {risk: 0.12, confidence: 0.9}
"""

up = Upstream()
up.pieces = ['{"colour":', ' "mauve"}']
s = Served(up.config() + f"""  - {{name: rack, kind: openai, place: on-premises, model: up,
     url: "http://127.0.0.1:{up.server.server_address[1]}/v1"}}
""")


def write_tasks(expected):
    for name, privacy in (("colours", "public"), ("secrets", "private")):
        folder = s.home / "tasks" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "task.yaml").write_text(TASK % (name, privacy))
        (folder / "cases.jsonl").write_text("".join(
            json.dumps({"id": f"c{i}", "input": text, "expected": {"colour": expected[i]}}) + "\n"
            for i, text in enumerate(INPUTS)))


def hearth(*args, code=0):
    done = subprocess.run([str(BUILD / "hearth"), *args], env=dict(os.environ, HEARTH_HOME=str(s.home)), cwd=s.home,
                          capture_output=True, text=True, timeout=120)
    assert code is None or done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout


def measure(name):
    hearth("measure", name, "--on", f"local:{MODEL}.gguf")
    with sqlite3.connect(s.home / "ledger.db") as db:
        rows = db.execute("SELECT a.case_id, a.mean_logprob, t.body FROM answer a JOIN run r ON r.id = a.run"
                          " JOIN text t ON t.digest = a.text WHERE r.task = ?", (name,)).fetchall()
    assert len(rows) == len(INPUTS)
    return [(logprob, text) for _, logprob, text in sorted(rows, key=lambda r: int(r[0][1:]))]


def other(colour):
    return COLOURS[(COLOURS.index(colour) + 1) % 3]


# What is right is what the model says where it is among the 60 % that it is surest of, and something else elsewhere.
write_tasks(["red"] * len(INPUTS))
said = measure("colours")
assert all(p is not None and -20 < p < 0 for p, _ in said), "a constrained answer has its log-probability too"
border = sorted(p for p, _ in said)[len(said) * 2 // 5]
colours = [json.loads(text)["colour"] for _, text in said]
write_tasks([c if p >= border else other(c) for (p, _), c in zip(said, colours)])
assert measure("colours") == said  # nothing is asked again, all is graded anew
measure("secrets")

route = json.loads(hearth("route", "colours", "secrets", "--json", code=1))["tasks"]  # the secrets are refused
rule, secret = route[0]["cascade"], route[1]["cascade"]
assert rule["on"] and route[0]["choice"] == "cloud" and route[0]["state"] == "candidate", route[0]
assert rule["accepted"] == sum(p >= rule["tau"] for p, _ in said) and rule["risk_upper"] <= 0.12
assert abs(rule["coverage"] - rule["accepted"] / len(INPUTS)) < 1e-12 and rule["cases"] == len(INPUTS)
assert (rule["local"], rule["cloud"]) == (f"local:{MODEL}.gguf", "up")
assert not secret["on"] and "never asked elsewhere" in secret["because"], secret
assert "accepts   from a mean log-probability" in hearth("route", "colours", "--explain")
assert "cascade" in hearth("route", "colours")
report = json.loads(hearth("report", "colours", "secrets", "--json"))["tasks"]
assert report[0]["cascade"] == "on" and report[0]["cascade_coverage"] == rule["coverage"], report[0]
assert report[0]["cascade_risk"] == rule["risk_upper"] and report[0]["cascade_accepted"] == rule["accepted"]
assert report[1]["cascade"] == "off" and "never asked elsewhere" in report[1]["cascade_because"]
page, text = s.home / "page.html", " ".join(hearth("report", "colours", "secrets").split())
hearth("report", "colours", "--html", str(page))
assert f"{100 * rule['coverage']:.1f} % (" in text and f"at most {100 * rule['risk_upper']:.1f} % of them wrong" in text
assert "none: what is private is never asked elsewhere" in text
assert "<strong>Cascade.</strong>" in page.read_text() and "sure enough to stay here" in page.read_text()

# classes stick to what was said: what was asked as something private is private afterwards
sure, sure_internal, sure_private = [i for i, (p, _) in enumerate(said) if p >= rule["tau"]][:3]
unsure, unsure_internal, unsure_private = [i for i, (p, _) in enumerate(said) if p < rule["tau"]][:3]


def chat(i, headers=(), task="colours", **more):
    """(status, headers, text, usage) of OpenAI's dialect, streamed or not"""
    body = {"model": f"task:{task}", "messages": [{"role": "user", "content": INPUTS[i]}], **more}
    if more.get("stream"):
        body["stream_options"] = {"include_usage": True}
    status, head, text = s.ask("/v1/chat/completions", body, headers)
    if status != 200:
        return status, head, text, None
    if not more.get("stream"):
        o = json.loads(text)
        return status, head, o["choices"][0]["message"]["content"], o["usage"]
    chunks = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    assert not any("error" in c for c in chunks), text
    assert text.endswith("data: [DONE]\n\n")
    words = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    return status, head, words, next(c["usage"] for c in chunks if c.get("usage"))


def message(i, headers=(), stream=False):
    """The same of Anthropic's"""
    status, head, text = s.ask("/v1/messages", {"model": "task:colours", "max_tokens": 24, "stream": stream,
                                                "messages": [{"role": "user", "content": INPUTS[i]}]}, headers)
    if status != 200 or not stream:
        o = json.loads(text)
        return status, head, o["content"][0]["text"] if status == 200 else text, o.get("usage")
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "message_stop", text
    words = "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta")
    return status, head, words, next(e["usage"] for e in events if e["type"] == "message_delta")


def how(head):
    """x-hearth-cascade as a dict"""
    word, *rest = head["x-hearth-cascade"].split("; ")
    return {"how": word, **dict(part.split("=") for part in rest)}


def accepted(answer, i):
    status, head, text, usage = answer
    assert status == 200 and text == said[i][1], (answer, said[i])
    assert how(head)["how"] == "accepted" and abs(float(how(head)["logprob"]) - said[i][0]) < 1e-6, (head, said[i])
    assert float(how(head)["tau"]) <= said[i][0]
    assert head["x-hearth-route"] == "local" and head["x-hearth-provider"] == rule["local"]
    assert head["x-hearth-evidence"] == route[0]["local"]["evidence"] and head["x-hearth-state"] == "candidate"
    return usage


def escalated(answer, i, to="up"):
    status, head, text, usage = answer
    assert status == 200 and text == "".join(up.pieces), answer
    assert how(head)["how"] == "escalated" and abs(float(how(head)["logprob"]) - said[i][0]) < 1e-6, head
    assert head["x-hearth-route"] == "cloud" and head["x-hearth-provider"] == to
    return usage


def kept(answer, i, fault):
    status, head, text, _ = answer
    assert status == 200 and text == said[i][1], answer
    assert how(head)["how"] == "kept" and how(head)["fault"] == fault, head
    assert head["x-hearth-route"] == "local" and head["x-hearth-provider"] == rule["local"]


def both_ways_in_two_dialects():
    for asks in (lambda i: chat(i), lambda i: chat(i, stream=True), lambda i: message(i),
                 lambda i: message(i, stream=True)):
        before = up.asked
        accepted(asks(sure), sure)
        assert up.asked == before, "what is sure was asked elsewhere"
        escalated(asks(unsure), unsure)
        assert up.asked == before + 1
        prompt = json.loads(up.bodies[-1])["messages"]  # each side is asked as it was, or would be, measured
        assert prompt == [{"role": "user", "content": f"Say as JSON which colour {INPUTS[unsure]} has."}], prompt


def usage_counts_both():
    own = chat(sure)[3]
    both = chat(unsure)[3]
    assert 0 < both["completion_tokens"] - 2 <= own["completion_tokens"] + 8, (own, both)
    assert both["prompt_tokens"] - 3 > 10 and both["total_tokens"] == both["prompt_tokens"] + both["completion_tokens"]


def log_probabilities_are_shown_only_when_asked_for():
    status, head, text = s.ask("/v1/chat/completions", {
        "model": "task:colours", "messages": [{"role": "user", "content": INPUTS[sure]}], "logprobs": True})
    shown = json.loads(text)["choices"][0]["logprobs"]["content"]
    assert status == 200 and len(shown) > 3 and how(head)["how"] == "accepted"
    status, head, text = s.ask("/v1/chat/completions", {
        "model": "task:colours", "messages": [{"role": "user", "content": INPUTS[sure]}]})
    assert json.loads(text)["choices"][0]["logprobs"] is None


def the_local_answer_stands_in_for_a_cloud_that_fails():
    up.status = 400
    kept(chat(unsure), unsure, "invalid")
    kept(chat(unsure, stream=True), unsure, "invalid")
    kept(message(unsure, stream=True), unsure, "invalid")
    up.status, up.breaks = 200, True
    kept(chat(unsure, stream=True), unsure, "upstream")
    kept(message(unsure), unsure, "upstream")
    up.breaks = False
    escalated(chat(unsure), unsure)


def private_never_goes():
    before = up.asked
    for task, headers in (("secrets", {}), ("secrets", {"x-hearth-class": "public"}),
                          ("colours", {"x-hearth-class": "private"}), ("colours", {"x-hearth-class": "secret"})):
        for i in (sure_private, unsure_private):
            for stream in (False, True):
                status, head, text, _ = chat(i, headers, task, stream=stream)
                assert status == 403 and "x-hearth-cascade" not in head, (task, headers, text)
                assert "never asked elsewhere" in text, text
    assert up.asked == before, "something private was asked elsewhere"


def internal_goes_no_farther_than_its_premises():
    accepted(chat(sure_internal, {"x-hearth-class": "internal"}), sure_internal)
    escalated(chat(unsure_internal, {"x-hearth-class": "internal"}), unsure_internal, "rack")


def who_leaves_is_not_asked_for():
    up.hold = threading.Event()
    body = json.dumps({"model": "task:colours", "messages": [{"role": "user", "content": INPUTS[unsure]}]}).encode()
    asked = up.asked
    with socket.create_connection(("127.0.0.1", s.port)) as c:
        c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
                  b"content-length: %d\r\n\r\n" % len(body) + body)
        while up.asked == asked:  # the cloud has it, and says nothing
            time.sleep(0.01)
    end = time.monotonic() + 10
    while "hearth_model_answering{model=\"up\"} 0" not in s.ask("/metrics")[2]:
        assert time.monotonic() < end, "the cloud is asked for nobody"
        time.sleep(0.05)
    up.hold.set()
    up.hold = None
    escalated(chat(unsure), unsure)


def what_became_of_them_is_counted():
    text = s.ask("/metrics")[2]
    counts = {word: int(text.split(f'hearth_cascade_total{{outcome="{word}"}} ')[1].split()[0])
              for word in ("accepted", "escalated", "kept")}
    assert counts == {"accepted": 8, "escalated": 8, "kept": 5}, counts


def nobody_there():
    up.server.shutdown()
    up.server.server_close()
    kept(chat(unsure), unsure, "unreachable")
    kept(chat(unsure, stream=True), unsure, "unreachable")
    accepted(chat(sure), sure)


with s:
    for test in (both_ways_in_two_dialects, usage_counts_both, log_probabilities_are_shown_only_when_asked_for,
                 the_local_answer_stands_in_for_a_cloud_that_fails, private_never_goes,
                 internal_goes_no_farther_than_its_premises, who_leaves_is_not_asked_for, what_became_of_them_is_counted, nobody_there):
        test()
        print("ok", test.__name__, flush=True)
