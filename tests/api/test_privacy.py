"""A private request never reaches a remote provider: a recording upstream counts the bytes that arrive."""
import http.server
import json
import pathlib
import socket
import sys
import threading
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import Served  # noqa: E402

CANARY = "canary-4711-do-not-leave"
arrived = []


class Upstream(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        arrived.append((self.headers, body))
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
                 "choices": [{"index": 0, "delta": {"role": "assistant", "content": "from upstream"},
                              "finish_reason": None}]}
        end = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        usage = {**chunk, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for o in (chunk, end, usage):
            self.wfile.write(f"data: {json.dumps(o)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *args):
        pass


upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=upstream.serve_forever, daemon=True).start()

CONFIG = f"""version: 1
default_class: %s
providers:
  - {{name: cloud, kind: openai, url: "http://127.0.0.1:{upstream.server_address[1]}/v1", model: up, key_env: CLOUD_KEY}}
"""


def ask(s, model, headers=None, **more):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": CANARY}], **more}).encode()
    r = urllib.request.Request(s.url + "/v1/chat/completions", body,
                               {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(r, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), e.read().decode()


def nothing_leaves(label, status, text):
    assert status == 403, (label, status, text)
    assert not arrived, (label, "bytes left")


def ask_raw(s, lines):
    """With header lines as they are; the status."""
    body = json.dumps({"model": "cloud", "messages": [{"role": "user", "content": CANARY}]}).encode()
    with socket.create_connection(("127.0.0.1", s.port), 10) as c:
        c.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + lines +
                  b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return int(c.recv(4096).split(b" ")[1])


import os  # noqa: E402
os.environ["CLOUD_KEY"] = "key-0815"

with Served(CONFIG % "private") as s:
    for label, headers in (("default", {}), ("raise", {"x-hearth-class": "secret"}),
                           ("a label cannot lower", {"x-hearth-class": "public"})):
        status, _, text = ask(s, "cloud", headers)
        nothing_leaves(label, status, text)
    status, _, text = ask(s, "cloud", stream=True)
    nothing_leaves("streamed", status, text)
    status, _, text = ask(s, "cloud", {"x-hearth-class": "publik"})
    assert status == 400 and not arrived, text

# a caller chooses among the servers of the configuration and brings none, whatever the class and whoever listens there
os.environ["HEARTH_API_KEY"] = "hearth-key-0815"
with Served(CONFIG % "public") as s:
    for spec in ("openai:http://127.0.0.1:%d/v1#up", "anthropic:http://127.0.0.1:%d/v1#up", "openai:https://127.0.0.1:%d/v1#up"):
        spec %= upstream.server_address[1]
        status, _, text = ask(s, spec)
        nothing_leaves(spec, status, text)
        assert not s.children("hearth-egress")
del os.environ["HEARTH_API_KEY"]

with Served(CONFIG % "public") as s:
    status, headers, text = ask(s, "cloud")
    assert status == 200 and "from upstream" in text, (status, text)
    assert {k.lower(): v for k, v in headers.items()}["x-hearth-route"] == "cloud"
    assert len(arrived) == 1 and CANARY.encode() in arrived[0][1]
    assert arrived[0][0]["authorization"] == "Bearer key-0815"
    arrived.clear()
    for label in ("internal", "private", "secret"):
        status, _, text = ask(s, "cloud", {"x-hearth-class": label})
        nothing_leaves(label, status, text)
    for lines, code in ((b"x-hearth-class: secret\r\nX-Hearth-Class: public", 403),  # the highest of several holds
                        (b"x-hearth-class: public\r\nX-Hearth-Class: secret", 403),
                        (b"x-hearth-class: public\r\nX-Hearth-Class: what", 400),
                        (b"x-hearth-class : secret", 400), (b"x-hearth-class: secret\r\n folded", 400),
                        (b"x-hearth-class:\r\n secret", 400), (b"accept: a\r\n x-hearth-class: secret", 400)):
        status = ask_raw(s, lines)
        assert status == code and not arrived, (lines, status)
    for kind in ("openai", "anthropic"):  # a client does not say who is asked, nor who gets the server's key
        status, _, text = ask(s, f"{kind}:http://127.0.0.1:{upstream.server_address[1]}/v1#up")
        nothing_leaves(kind, status, text)
    status, _, text = ask(s, "replay:/etc/passwd")
    nothing_leaves("a file", status, text)
    status, _, text = ask(s, "task:personal-data")
    assert not arrived, "a private task's text left"
print("ok")
