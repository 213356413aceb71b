"""Personal data anywhere in a request of any dialect never arrives at a remote provider, though the key's class is public;
harmless requests do arrive. A recording upstream counts the bytes."""
import base64
import http.server
import json
import os
import pathlib
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import Served  # noqa: E402

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
    "secrets' names": (CHAT, {"messages": [user("hello there")], "tools": [tool(properties={
        "password": {"type": "string", "description": "the user's password"},
        "token": {"type": "string"}, "phone": {"type": "string", "description": "digits"},
        "year": {"type": "string", "enum": ["2024", "2025", "2026", "2027"]}}, required=["password"])]}),
    "parts": (CHAT, {"messages": [user("call me", "tomorrow")]}),
    "an answer's schema": (CHAT, {"messages": [user("hello there")], "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {
            "x": {"type": "string"}}}}}}),
    "messages": ("/v1/messages", {"max_tokens": 9, "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"}}], "messages": [
        user("hello there"), {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9P", "name": "f", "input": {"x": "y"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9P",
                                      "content": "done"}]}]}),
    "responses": ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]}),
    "ollama": ("/api/chat", {"messages": [user("hello there")], "stream": False,
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


with Served(PUBLIC) as s:
    test_dialects(s)
print("ok")
