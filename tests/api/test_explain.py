"""What every answer says of its route, in every dialect, streamed and not, errors too; the dry run that says all of it
and does nothing; and what is answered when nobody can be reached."""
import fcntl
import itertools
import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, MODEL, Served, free_port  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
CONFIG = up.config() + f"  - {{name: small, kind: local, model: {MODEL}}}\n"
HI = [{"role": "user", "content": "hi"}]
# path, body without model, its stream flag
CHATS = [("/v1/chat/completions", {"messages": HI}), ("/v1/messages", {"messages": HI, "max_tokens": 2}),
         ("/v1/responses", {"input": "hi"}), ("/api/chat", {"messages": HI}), ("/api/generate", {"prompt": "hi"})]
TEXTS = [("/v1/completions", {"prompt": "hi", "max_tokens": 2}), ("/completion", {"prompt": "hi", "n_predict": 2}),
         ("/v1/embeddings", {"input": "hi"}), ("/api/embed", {"input": "hi"}),
         ("/v1/rerank", {"query": "a", "documents": ["b", "c"]}), ("/tokenize", {"content": "hi"})]


def write_task(home, name, privacy="public", words="You greet in one word.", bar=0.5):
    at = home / "tasks" / name
    at.mkdir(parents=True, exist_ok=True)
    (at / "task.yaml").write_text(
        f"hearth: 1\nid: {name}\nprivacy: {privacy}\nmessages:\n  - {{role: system, content: '{words}'}}\n"
        "  - {role: user, content: '{{input}}'}\noutput: {kind: text}\n"
        f"graders:\n  - {{type: length, unit: chars, max: 100000}}\nbar: {bar}\nsampling: {{max_tokens: 2}}\n")
    (at / "cases.jsonl").write_text("".join(json.dumps({"id": f"c{i}", "input": f"number {i}"}) + "\n"
                                            for i in range(20)))


def hearth(home, *args, code=0, before=()):
    done = subprocess.run([*before, str(BUILD / "hearth"), *args], env={**s.environment, "HEARTH_HOME": str(home)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout


def says(answer, route, privacy, label):
    status, headers, text = answer
    for name in ("x-hearth-route", "x-hearth-reason", "x-hearth-evidence", "x-hearth-class"):
        assert headers.get(name), (label, name, status, headers, text)
    assert (headers["x-hearth-route"], headers["x-hearth-class"]) == (route, privacy), (label, headers, text)
    return headers


def fresh(body, numbers=itertools.count()):
    """The same with words that nobody has said before: a class sticks to what was said under it."""
    return json.loads(json.dumps(body).replace('"hi"', f'"hi {next(numbers)}"'))


def every_answer_says_it(s):
    for path, body in CHATS:
        for stream in (False, True):
            more = {"stream": stream}
            tokens = {} if path in ("/v1/responses", "/api/chat", "/api/generate") else {"max_tokens": 2}
            label = (path, stream)
            says(s.ask(path, {"model": "up", **fresh(body), **more}), "cloud", "public", label)
            if path != "/v1/responses":
                few = {"options": {"num_predict": 2}} if path.startswith("/api") else tokens
                says(s.ask(path, {"model": "small", **fresh(body), **more, **few}), "local", "public", label)
            h = says(s.ask(path, {"model": "task:greet", **fresh(body), **more}), "local", "public", label)
            assert len(h["x-hearth-evidence"]) == 64 and h["x-hearth-state"] == "local", h
            h = says(s.ask(path, {"model": "task:hush", **fresh(body), **more}), "refuse", "private", label)
            # errors: refused by its class, no such model, not understood, not there
            says(s.ask(path, {"model": "up", **fresh(body), **more}, {"x-hearth-class": "private"}), "cloud", "private", label)
            says(s.ask(path, {"model": "nothing-like-it", **fresh(body), **more}), "local", "public", label)
            says(s.ask(path, {"model": "up", **fresh(body), **more, "no_such_field": 1}), "none", "private", label)
            says(s.ask(path, {"model": "up", **fresh(body), **more}, {"x-hearth-class": "publik"}), "none", "private", label)
    for path, body in TEXTS:
        says(s.ask(path, {"model": "small", **fresh(body)}), "local", "public", path)
        says(s.ask(path, {"model": "small", **fresh(body), "no_such_field": 1}), "none", "private", path)


def state_of(s):
    """All that a request could leave behind."""
    audit = s.home / "audit.log"
    return (up.asked, hearth(s.home, "ledger", "export"), audit.read_bytes() if audit.exists() else b"",
            json.loads(s.ask("/api/ps")[2])["models"], sorted(p.name for p in (s.home / "tasks").rglob("*")))


def explain(s, body, path=None, status=200, **headers):
    got = s.ask("/v1/route/explain" + (f"?path={path}" if path else ""), body, headers)
    assert got[0] == status, got
    return json.loads(got[2])


def a_dry_run_does_nothing(s):
    before = state_of(s)
    for path, body in CHATS + TEXTS:
        for name in ("up", "small"):
            said = explain(s, {"model": name, **body}, path)
            assert (said["provider"], said["task"], said["class"]) == (name, None, "public"), (path, said)
            assert said["refused"] is None and said["route"] == ("cloud" if name == "up" else "local"), (path, said)
        said = explain(s, {"model": "up", **body}, path, **{"x-hearth-class": "secret"})
        assert said["class"] == "secret" and "x-hearth-class: secret" in said["class_because"], said
        assert said["refused"]["status"] == 403 and "may not go to 'up'" in said["refused"]["message"], said
        if path in dict(CHATS):
            for stream in (False, True):
                said = explain(s, {"model": "task:greet", **body, "stream": stream}, path)
                assert said["task"] == "greet" and said["provider"] == "local:" + MODEL, (path, said)
            said = explain(s, {"model": "auto", **body}, "/tasks/greet" + path)
            assert said["recognised"]["by"] == "path" and said["task"] == "greet", said
    # by the shape of the body alone
    for path, body in CHATS + TEXTS[:2]:
        assert explain(s, {"model": "up", **body})["provider"] == "up", path
    # what cannot be read is the dialect's own error; what asks nobody is none
    assert "no_such_field" in explain(s, {"model": "up", "messages": HI, "no_such_field": 1}, status=400)["error"]["message"]
    for body, path in (({"a": 1}, None), ([], None), ({"model": "up"}, "/v1/models"), ({"name": "x"}, "/api/show"),
                       ({"model": "small", "messages": []}, "/api/chat"), ({"task": "../greet"}, None)):
        assert explain(s, body, path, 400)["error"]["message"], (body, path)
    assert explain(s, {"task": "gret"}, None, 404)["error"]["message"].count("greet")
    assert state_of(s) == before, "a dry run left something behind"


def the_argument_is_whole(s):
    said = explain(s, {"task": "greet"})
    d = said["decision"]
    assert (said["route"], said["recognised"]["by"], said["class"]) == ("local", "model", "public"), said
    assert said["evidence"] == d["evidence"] == d["local"]["evidence"] and len(d["evidence"]) == 64
    assert (d["local"]["pass"], d["local"]["answered"], d["bar"], d["margin"]) == (20, 20, 0.5, 0.1), d
    assert 0.8 < d["local"]["rate_lower"] < 1 and d["local"]["rate_upper"] == 1 and d["local"]["cost_usd"] == 0
    crossed, history = said["dates"]["crossed"], said["dates"]["history"]
    assert crossed["verdict"] == "local" and crossed["right"] == 20 and crossed in history, said["dates"]
    due = {n["provider"]: n["reason"] for n in said["dates"]["next"]}
    assert due == {"local:" + MODEL: "current", "up": "new", "small": "current"}, due
    for words in ("crossed over: " + crossed["at"], "20 of 20 right", "it would go to local:" + MODEL, "due: up:"):
        assert words in said["text"], (words, said["text"])
    hush = explain(s, {"task": "hush"})
    assert hush["route"] == "refuse" and hush["refused"]["status"] == 403 and hush["dates"]["crossed"] is None, hush
    assert hush["decision"]["class"] == "private" and "no other machine may see it" in hush["reason"]
    higher = explain(s, {"task": "greet"}, **{"x-hearth-class": "private"})
    assert higher["class"] == "private" and higher["decision"]["class"] == "private" and higher["route"] == "local"


def the_command_says_the_same(s):
    for word, body in (("greet", {"task": "greet"}), ("hush", {"task": "hush"})):
        told, code = explain(s, body), 1 if word == "hush" else 0
        said = hearth(s.home, "route", "explain", word, code=code)
        assert said == told["text"], f"{said}\n---\n{told['text']}"
        assert json.loads(hearth(s.home, "route", "explain", word, "--json", code=code)) == told
    file = s.home / "request.json"
    file.write_text(json.dumps({"model": "up", "messages": HI}))
    assert json.loads(hearth(s.home, "route", "explain", str(file), "--json")) == explain(s, json.loads(file.read_text()))
    said = json.loads(hearth(s.home, "route", "explain", str(file), "--json", "--class", "private", "--path",
                             "/v1/messages", code=3) or "null")
    assert said is None  # max_tokens is missing there
    file.write_text("{")
    hearth(s.home, "route", "explain", str(file), code=3)
    hearth(s.home, "route", "explain", code=2)
    hearth(s.home, "route", "explain", "greet", "--class", "privat", code=2)
    assert "hearth route explain" in hearth(s.home, "route", "explain", "--help")


def nobody_can_be_reached(s):
    forms = {"/v1/chat/completions": lambda o: o["error"]["message"], "/v1/messages": lambda o: o["error"]["message"],
             "/v1/responses": lambda o: o["error"]["message"], "/api/chat": lambda o: o["error"],
             "/api/generate": lambda o: o["error"]}
    for path, body in CHATS:
        for stream in (False, True):
            plain = {"options": {"top_k": 0, "repeat_penalty": 1, "min_p": 0}} if path.startswith("/api") else {}
            status, headers, text = s.ask(path, {"model": "gone", **body, **plain, "stream": stream})
            said = forms[path](json.loads(text))
            assert status == 503 and int(headers["retry-after"]) >= 1, (path, status, headers, text)
            assert "'gone' cannot be reached" in said and "On this machine can be asked: small" in said, said
            assert headers["x-hearth-route"] == "cloud" and headers["x-hearth-class"] == "public", headers
    status, headers, text = s.ask("/v1/chat/completions", {"model": "task:hard", "messages": HI})
    said = json.loads(text)["error"]["message"]
    assert status == 503 and headers["x-hearth-task"] == "hard" and headers["x-hearth-route"] == "cloud", headers
    assert f"On this machine local:{MODEL} was right in 20 of 20 cases of this task (100.0 %" in said, said
    status, _, text = s.ask("/v1/chat/completions", {"model": "small", "messages": HI, "max_tokens": 2})
    assert status == 200, text
    assert s.ask("/v1/chat/completions", {"model": "task:greet", "messages": HI})[0] == 200


def without_a_network():
    """Everything above once more where there is no network but a loopback. Runs within `unshare -rn`."""
    with socket.socket() as k:  # ip link set lo up
        ask = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(k, 0x8913, ask))[1]
        fcntl.ioctl(k, 0x8914, struct.pack("16sh", b"lo", flags | 1))
    offline()


def offline():
    global s
    config = ("version: 1\ndefault_class: public\nproviders:\n"
              f"  - {{name: gone, kind: openai, url: \"http://127.0.0.1:{free_port()}/v1\", model: m, retries: 0}}\n"
              f"  - {{name: small, kind: local, model: {MODEL}}}\n")
    with Served(config) as s:
        write_task(s.home, "greet")
        write_task(s.home, "hard", bar=0.99)
        for name in ("greet", "hard"):
            hearth(s.home, "measure", name, "--on", "local:" + MODEL)
        nobody_can_be_reached(s)


if sys.argv[1:] == ["--inside"]:
    without_a_network()
    sys.exit(0)
with Served(CONFIG) as s:
    write_task(s.home, "greet")
    write_task(s.home, "hush", privacy="private")
    hearth(s.home, "measure", "greet", "--on", "local:" + MODEL)
    for test in (a_dry_run_does_nothing, the_argument_is_whole, the_command_says_the_same, every_answer_says_it):
        test(s)
        print("ok", test.__name__)
offline()
print("ok nobody can be reached")
inside = subprocess.run(["unshare", "-rn", sys.executable, __file__, "--inside"], capture_output=True, text=True)
refused = "unshare" in inside.stderr and "not permitted" in inside.stderr.lower()
assert inside.returncode == 0 or refused, (inside.stdout, inside.stderr)
print("an empty network namespace is not permitted here" if refused else "ok without a network")
