"""Personal data anywhere in a request of any dialect never arrives at a remote provider, though the key's class is public;
harmless requests do arrive. A recording upstream counts the bytes."""
import base64
import http.server
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, MODEL, Served  # noqa: E402

MAIL, CARD, IBAN = "jane.doe@example.org", "4111111111111111", "DE89370400440532013000"
CODED = base64.b64encode(f"please write to {MAIL} about it".encode()).decode()
PERCENT = urllib.parse.quote(f"write to {MAIL}", safe="").replace(".", "%2E")
DEEP = json.dumps({"a": json.dumps({"b": json.dumps({"mail": MAIL})})})
arrived = []


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(self.rfile.read(int(self.headers["content-length"])))
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up"}
        told = [{"index": 0, "delta": {"role": "assistant", "content": "from upstream"}, "finish_reason": None}]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for o in ({**chunk, "choices": told},
                  {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                  {**chunk, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}):
            self.wfile.write(f"data: {json.dumps(o)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *args):
        pass


upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=upstream.serve_forever, daemon=True).start()
os.environ["CLOUD_KEY"] = "key-0815"
PROVIDERS = f"""providers:
  - {{name: cloud, kind: openai, url: "http://127.0.0.1:{upstream.server_address[1]}/v1", model: up, key_env: CLOUD_KEY}}
  - {{name: rack, kind: openai, url: "http://127.0.0.1:{upstream.server_address[1]}/v1", model: up, key_env: CLOUD_KEY,
     place: on-premises}}
"""
PUBLIC = f"version: 1\ndefault_class: public\n{PROVIDERS}"


def post(s, path, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    r = urllib.request.Request(s.url + path, raw, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(r, timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, {k.lower(): v for k, v in e.headers.items()}, e.read().decode()


def user(*parts):
    content = parts[0] if len(parts) == 1 else [{"type": "text", "text": p} for p in parts]
    return {"role": "user", "content": content}


def tool(name="f", **schema):
    return {"type": "function", "function": {"name": name, "description": "does it", "parameters":
            {"type": "object", "properties": {"x": {"type": "string"}}, **schema}}}


def call(arguments, call_id="call_7Hq2ZkP9xW4mTb8RcY1vLd6N"):
    return [{"role": "assistant", "content": None, "tool_calls": [
        {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": call_id, "content": "done"}, user("go on")]


CHAT = "/v1/chat/completions"
PRIVATE = {
    "a text": (CHAT, {"messages": [user(f"write to {MAIL}")]}),
    "a system prompt": (CHAT, {"messages": [{"role": "system", "content": f"You are {MAIL}"}, user("hello there")]}),
    "history": (CHAT, {"messages": [user(f"my card is {CARD}"), {"role": "assistant", "content": "thanks"},
                                    user("what now?")]}),
    "split over parts": (CHAT, {"messages": [user("4111 1111 ", "1111 1111")]}),
    "split mail": (CHAT, {"messages": [user("jane.doe@exam", "ple.org")]}),
    "base64": (CHAT, {"messages": [user(f"decode this: {CODED}")]}),
    "split base64": (CHAT, {"messages": [user(CODED[:21], CODED[21:])]}),
    "percent": (CHAT, {"messages": [user(f"decode this: {PERCENT}")]}),
    "json in json in json": (CHAT, {"messages": [user(DEEP)]}),
    "escaped": (CHAT, json.dumps({"model": "cloud", "messages": [user(MAIL)]}).replace("@", "\\u0040").encode()),
    "tool arguments": (CHAT, {"messages": call(json.dumps({"to": MAIL})), "tools": [tool()]}),
    "numbers in tool arguments": (CHAT, {"messages": call(json.dumps({"card": int(CARD)})), "tools": [tool()]}),
    "a name and a value": (CHAT, {"messages": call(json.dumps({"ssn": "536904399"})), "tools": [tool()]}),
    "an id": (CHAT, {"messages": call("{}", f"call_{IBAN}"), "tools": [tool()]}),
    "a tool's result": (CHAT, {"messages": [*call("{}")[:1], {**call("{}")[1], "content": f"IBAN {IBAN}"}, user("so?")],
                               "tools": [tool()]}),
    "a schema's description": (CHAT, {"messages": [user("hello there")], "tools": [
        tool(properties={"x": {"type": "string", "description": f"as in {MAIL}"}})]}),
    "a schema's name": (CHAT, {"messages": [user("hello there")], "tools": [
        tool(properties={MAIL: {"type": "string"}})]}),
    "an answer's schema": (CHAT, {"messages": [user("hello there")], "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {
            "x": {"type": "string", "enum": [MAIL, "b"]}}}}}}),
    "a stop": (CHAT, {"messages": [user("hello there")], "stop": ["x", MAIL]}),
    "metadata": (CHAT, {"messages": [user("hello there")], "metadata": {"customer": MAIL}}),
    "the user": (CHAT, {"messages": [user("hello there")], "user": MAIL}),
    "the model's name": (CHAT, {"model": f"openai:http://127.0.0.1:{upstream.server_address[1]}/v1#{MAIL}",
                                "messages": [user("hello there")]}),
    "a key": (CHAT, {"messages": [user("token=" + "sk-proj-" + "a1B2" * 10)]}),
    "streamed": (CHAT, {"messages": [user(f"write to {MAIL}")], "stream": True}),
    "messages": ("/v1/messages", {"max_tokens": 9, "messages": [user(f"write to {MAIL}")]}),
    "messages, system": ("/v1/messages", {"max_tokens": 9, "system": [{"type": "text", "text": MAIL}],
                                          "messages": [user("hello there")]}),
    "messages, a tool's input": ("/v1/messages", {"max_tokens": 9, "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}}], "messages": [
        user("hello there"), {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"to": MAIL}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}]}]}),
    "messages, a tool's result in parts": ("/v1/messages", {"max_tokens": 9, "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}}], "messages": [
        user("hello there"), {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
            {"type": "text", "text": "jane.doe@exam"}, {"type": "text", "text": "ple.org"}]}]}]}),
    "responses": ("/v1/responses", {"input": f"write to {MAIL}"}),
    "responses, instructions": ("/v1/responses", {"instructions": MAIL, "input": "hello there"}),
    "responses, parts": ("/v1/responses", {"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "4111 1111"}, {"type": "input_text", "text": " 1111 1111"}]}]}),
    "responses, arguments": ("/v1/responses", {"input": [
        {"type": "message", "role": "user", "content": "hello there"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": json.dumps({"to": MAIL})},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"}]}),
    "responses, a call's result": ("/v1/responses", {"input": [
        {"type": "message", "role": "user", "content": "hello there"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": IBAN}]}),
    "completions": ("/v1/completions", {"prompt": f"write to {MAIL}"}),
    "completions, several": ("/v1/completions", {"prompt": ["hello there", MAIL]}),
    "completions, tokens": ("/v1/completions", {"prompt": [1, 2, 3]}),
    "embeddings": ("/v1/embeddings", {"input": ["hello there", MAIL]}),
    "rerank": ("/v1/rerank", {"query": "who?", "documents": ["a", MAIL]}),
    "completion": ("/completion", {"prompt": f"write to {MAIL}"}),
    "ollama chat": ("/api/chat", {"messages": [user(f"write to {MAIL}")], "stream": False}),
    "ollama generate": ("/api/generate", {"prompt": MAIL, "system": "hello there", "stream": False}),
    "ollama embed": ("/api/embed", {"input": MAIL}),
    "tokenize": ("/tokenize", {"content": MAIL}),
}
HARMLESS = {
    "a question": (CHAT, {"messages": [user("Why is the sky blue?")]}),
    "numbers": (CHAT, {"messages": [user("2 + 2 = 4, 3.14159, 1999, 20 %")], "seed": 1234567, "max_tokens": 100000}),
    "calls": (CHAT, {"messages": call(json.dumps({"city": "Paris", "days": 3, "number": "12"})), "tools": [tool()]}),
    "secrets' names": (CHAT, {"messages": [user("good day")], "tools": [tool(properties={
        "password": {"type": "string", "description": "the user's password"},
        "token": {"type": "string"}, "phone": {"type": "string", "description": "digits"},
        "year": {"type": "string", "enum": ["2024", "2025", "2026", "2027"]}}, required=["password"])]}),
    "parts": (CHAT, {"messages": [user("call me", "tomorrow")]}),
    "an answer's schema": (CHAT, {"messages": [user("good day")], "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {
            "x": {"type": "string"}}}}}}),
    "messages": ("/v1/messages", {"max_tokens": 9, "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}}], "messages": [
        user("good day"), {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9P", "name": "f", "input": {"x": "y"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9P",
                                      "content": "done"}]}]}),
    "responses": ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]}),
    "ollama": ("/api/chat", {"messages": [user("good day")], "stream": False,
                             "options": {"top_k": 0, "top_p": 1, "min_p": 0, "repeat_penalty": 1}}),
}


def test_dialects(s):
    for label, (path, body) in PRIVATE.items():
        body = body if isinstance(body, bytes) else {"model": "cloud", **body}
        for headers in ({}, {"x-hearth-class": "public"}):
            status, told, text = post(s, path, body, headers)
            assert not arrived, (label, "bytes left", arrived)
            assert status in (400, 403), (label, status, text)
            if status == 403:
                assert told["x-hearth-class"] in ("private", "secret"), (label, told)
                assert "detector: " in told["x-hearth-class-reason"] or "part " in told["x-hearth-class-reason"], told
                told.pop("x-hearth-provider")
                assert MAIL not in json.dumps(told) and CARD not in json.dumps(told), (label, told)
            else:
                print(label, status, text)
    for label, (path, body) in HARMLESS.items():
        status, told, text = post(s, path, {"model": "cloud", **body})
        assert status == 200 and len(arrived) == 1, (label, status, told, text)
        assert told["x-hearth-class"] == "public" and told["x-hearth-class-reason"] == "key default", (label, told)
        arrived.clear()


LONG = "The reactor's inspection is on the second Tuesday of March, and nobody outside may know of it."


def reason_of(s, messages, **more):
    """How a public request is taken that says nothing of its class."""
    arrived.clear()
    status, told, text = post(s, CHAT, {"model": "cloud", "messages": messages}, more)
    assert (status == 200) == bool(arrived) and status in (200, 403), (status, text)
    return told["x-hearth-class"], told["x-hearth-class-reason"]


def assistant(text):
    return {"role": "assistant", "content": text}


def test_conversations(s, home):
    free = ("public", "key default")
    stuck = ("private", "conversation")
    system = {"role": "system", "content": "You are helpful, honest and brief, and you answer in whole sentences, always."}
    begun = [system, user("what is it about?"), assistant("It is about the plan."), user("which plan?")]
    assert reason_of(s, begun) == free
    assert reason_of(s, begun, **{"x-hearth-class": "private"}) == ("private", "header")
    assert reason_of(s, begun) == stuck, "the same again"
    assert reason_of(s, [*begun, assistant("That one."), user("and?")]) == stuck, "it goes on"
    assert reason_of(s, [{**system, "content": "another"}, *begun[1:], assistant("That."), user("so?")]) == stuck
    assert reason_of(s, [begun[1], begun[3]]) == free, "short messages alone are of many conversations"
    assert reason_of(s, [system, user("something else?")]) == free, "a system prompt is of many conversations"
    assert reason_of(s, [user(LONG)], **{"x-hearth-class": "secret"}) == ("secret", "header")
    assert reason_of(s, [user("Hello."), assistant("Yes?"), user(LONG), assistant("I see."), user("go on")])[0] == "secret"
    other = {"model": "cloud", "max_tokens": 9, "messages": [user(LONG, "")]}
    arrived.clear()
    assert post(s, "/v1/messages", other)[0] == 403 and not arrived, "in another dialect"
    assert post(s, "/v1/responses", {"model": "cloud", "input": LONG})[0] == 403 and not arrived
    # what was answered sticks too: a local model's answer, internal because of the header
    status, _, text = post(s, CHAT, {"model": MODEL, "messages": [user("Count from one to fifty.")], "max_tokens": 60,
                                     "temperature": 0}, {"x-hearth-class": "internal"})
    answer = json.loads(text)["choices"][0]["message"]["content"]
    assert status == 200 and len(answer.strip()) >= 64, text
    assert reason_of(s, [user(answer)]) == ("internal", "conversation"), "an answer"
    # a conversation that detectors raised stays so when what they found is no longer sent
    mail = [user(f"My address is {MAIL}, and my question is how the weather will be tomorrow in the mountains.")]
    assert reason_of(s, mail)[0] == "private"
    assert reason_of(s, mail[:1] + [assistant("Fine."), user("sure?")]) == ("private", "detector: email; conversation")
    file = home / "conversations"
    assert file.stat().st_mode & 0o777 == 0o600 and (home / "privacy.key").stat().st_mode & 0o777 == 0o600
    assert LONG.encode() not in file.read_bytes()
    return begun


def test_table(s, home, begun):
    """A table that cannot be written lets nothing leave; a restart forgets nothing, nor does kill -9."""
    assert reason_of(s, begun) == ("private", "conversation"), "after a restart"
    # no room: the file's size is limited
    resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (file_size(home), resource.RLIM_INFINITY))
    unwritten = "the class of this request cannot be written down"
    for model in ("cloud", MODEL):  # the next turn of it might go to the cloud when this process is gone
        status, told, text = post(s, CHAT, {"model": model, "messages": [user("a new one, and private")]},
                                  {"x-hearth-class": "private"})
        assert status == 503 and unwritten in text and not arrived, (status, text)
    status, told, text = post(s, CHAT, {"model": "cloud", "messages": [user("a public one")]})
    assert status == 503 and told["x-hearth-class"] == "private" and not arrived, (told, text)
    resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert reason_of(s, [user("another one, private")], **{"x-hearth-class": "private"})[0] == "private"
    assert reason_of(s, [user("a public one, later")]) == ("public", "key default"), "it is well again"
    assert reason_of(s, [user("a new one, and private")]) == ("private", "conversation"), "what had to wait"


def file_size(home):
    return (home / "conversations").stat().st_size


def hearth(home, *args, stdin=b""):
    done = subprocess.run([str(BUILD / "hearth"), *args], input=stdin, capture_output=True, cwd=home,
                          env=dict(os.environ, HEARTH_HOME=str(home)))
    assert done.returncode == 0, (args, done)
    return done.stdout.decode()


def test_settings(s, home):
    """The user's own words and documents, an exception, a reload; what the log and the audit log say of it."""
    assert reason_of(s, [user("The blue heron is late.")]) == ("internal", "detector: dictionary")
    status, told, _ = post(s, CHAT, {"model": "rack", "messages": [user("Is the blue heron late?")]})
    assert status == 200 and told["x-hearth-class"] == "internal" and len(arrived) == 1, "it stays on the premises"
    assert reason_of(s, [user(f"You may know: {LONG.upper()}")]) == ("private", "fingerprint")
    assert reason_of(s, [user(LONG[:50], LONG[50:])])[1].startswith("fingerprint"), "split over parts"
    reload_as(s, "version: 1\nprivacy: {dictionary: none.txt}\n", "not reloaded")
    assert reason_of(s, [user("Where is the blue heron?")]) == ("internal", "detector: dictionary"), "the old one stays"
    text = f"Write to {MAIL}, as our web page says."
    assert reason_of(s, [user(text)])[0] == "private"
    hearth(home, "privacy", "declassify", "-", "--to", "public", "--reason", "on our web page", stdin=text.encode())
    (home / "words.txt").write_text("[private]\nred kite\n")
    reload_as(s, WORDED, "reloaded: ")
    assert reason_of(s, [user("Whose is the blue heron?")]) == ("public", "key default")
    assert reason_of(s, [user("A red kite?")]) == ("private", "detector: dictionary")
    assert reason_of(s, [user(text)]) == ("private", "conversation"), "what was private before stays so"
    assert reason_of(s, [user("Shorten this."), assistant("What?"), user(text)]) == ("public", "key default")
    assert reason_of(s, [user("So?"), assistant("?"), user(text)], **{"x-hearth-class": "private"})[1] == "header"
    rows = s.lines(8)
    assert any(r.get("class_reason") == "detector: dictionary" and r["class"] == "internal" for r in rows), rows
    records = [json.loads(line) for line in (home / "audit.log").read_text().splitlines()]
    said = [r["detectors"] for r in records if r["kind"] == "release" and r["class"] == "internal"]
    assert said and all(re.fullmatch(r"rules/1 dictionary/[0-9a-f]{8} fingerprints/[0-9a-f]{8}: detector: dictionary", t)
                        for t in said), said


def reload_as(s, config, says):
    (s.home / "config.yaml").write_text(config)
    before = s.said().count(says)
    s.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 10
    while s.said().count(says) == before:
        assert time.monotonic() < end, s.said()
        time.sleep(0.02)


class At(Served):
    """In a home of the test's own, which stays; ended by kill -9."""

    def __init__(self, home, config):
        super().__init__(config)
        if not home.exists():
            shutil.copytree(self.home, home, symlinks=True)
        shutil.rmtree(self.home)
        self.home = home
        self.environment["HEARTH_HOME"] = str(home)

    def __exit__(self, kind, *rest):
        self.process.kill()
        self.process.wait()
        if kind is not None:
            print(self.said())


WORDED = f"version: 1\ndefault_class: public\nprivacy: {{dictionary: words.txt, fingerprints: [private.fp]}}\n{PROVIDERS}"

with Served(PUBLIC) as s:
    test_dialects(s)
with tempfile.TemporaryDirectory() as folder:
    home = pathlib.Path(folder) / "home"
    At(home, WORDED)
    (home / "words.txt").write_text("[internal]\nblue heron\n")
    (home / "plan.txt").write_text(LONG)
    hearth(home, "privacy", "fingerprint", "add", "plan.txt")
    with At(home, WORDED) as s:
        test_settings(s, home)
with tempfile.TemporaryDirectory() as folder:
    home = pathlib.Path(folder) / "home"
    with At(home, PUBLIC) as s:
        begun = test_conversations(s, home)
        late = [user("the last words before it is killed")]
        assert reason_of(s, late, **{"x-hearth-class": "private"})[0] == "private"
    with At(home, PUBLIC) as s:
        assert reason_of(s, late) == ("private", "conversation"), "after kill -9"
        test_table(s, home, begun)
        shutil.move(home / "privacy.key", home / "privacy.key.away")
    with At(home, PUBLIC) as s:
        status, told, text = post(s, CHAT, {"model": "cloud", "messages": [user("without the key")]})
        assert status == 503 and "conversations are not known" in text and not arrived, (status, text)
        assert "made under another privacy.key" in s.said()
print("ok")
