"""Request ids in every answer, and the log: a line for each request, true, and without what was asked or answered."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import MODEL, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
CANARY, ANSWER = "canary-of-the-prompt", "canary-of-the-answer"
CHAT = {"model": "up", "messages": [{"role": "user", "content": CANARY}]}


def raw(s, text):
    with socket.create_connection(("127.0.0.1", s.port), timeout=10) as c:
        c.sendall(text.encode())
        out = b""
        while chunk := c.recv(65536):
            out += chunk
    return out.decode()


def ids(s):
    """Every way out says an id, the same in both headers; the client's own is taken over if it is harmless."""
    made = set()
    for path, body, status in (("/health", None, 200), ("/nowhere", None, 404), ("/v1/chat/completions", CHAT, 200),
                               ("/v1/chat/completions", {**CHAT, "stream": True}, 200),
                               ("/v1/chat/completions", {}, 400), ("/v1/messages", {**CHAT, "max_tokens": 4}, 200),
                               ("/api/tags", None, 200), ("/api/chat", {"model": "none"}, 404)):
        code, headers, text = s.ask(path, body)
        assert code == status, (path, code, text)
        assert headers["x-request-id"] == headers["request-id"], headers
        assert re.fullmatch(r"req_[0-9a-f-]{36}", headers["request-id"]), headers
        made.add(headers["request-id"])
    assert len(made) == 8
    for given, taken in (("abc-1.2_3:4", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ('a"b', False),
                         ("<x>", False)):
        _, headers, _ = s.ask("/v1/models", headers={"X-Request-Id": given})
        assert (headers["x-request-id"] == given) == taken, (given, headers)
        assert headers["request-id"] == headers["x-request-id"]
    host = "Host: localhost\r\nConnection: close\r\nX-Request-Id: mine\r\n"
    for request, status in (("GET /health HTTP/1.1\r\nHost: evil.example\r\nX-Request-Id: mine\r\n\r\n", 403),
                            (f"POST /v1/embeddings HTTP/1.1\r\n{host}Content-Length: 999999999\r\n\r\n", 413)):
        answer = raw(s, request)
        assert answer.startswith(f"HTTP/1.1 {status}") and "X-Request-Id: mine\r\n" in answer, answer
        assert answer.lower().count("\r\nrequest-id: mine") == 1, answer


def lines_are_true(s):
    n = len(s.lines())
    s.ask("/v1/chat/completions", CHAT, {"X-Request-Id": "whole"})
    s.ask("/v1/chat/completions", {**CHAT, "stream": True}, {"X-Request-Id": "streamed", "x-hearth-class": "public"})
    s.ask("/v1/chat/completions", {"model": 7}, {"X-Request-Id": "bad"})
    s.ask("/no%0a%22where%ff", headers={"X-Request-Id": "odd"})
    raw(s, "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nX-Request-Id: host\r\n\r\n")
    rows = {r["id"]: r for r in s.lines(n + 5)[n:]}
    whole, streamed = rows["whole"], rows["streamed"]
    for r in (whole, streamed):
        assert (r["method"], r["path"], r["status"]) == ("POST", "/v1/chat/completions", 200), r
        assert (r["key"], r["model"], r["provider"]) == ("loopback", "up", "up"), r
        assert (r["prompt_tokens"], r["completion_tokens"], r["whole"]) == (3, 2, True), r
        assert 0 < r["first_ms"] <= r["ms"] < 60000 and r["bytes_in"] > 0 and r["bytes_out"] > 0, r
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["time"]), r
    assert whole["class"] == "public" and streamed["class"] == "public"
    assert rows["bad"]["status"] == 400 and "model" not in rows["bad"]
    assert rows["odd"]["status"] == 404 and rows["odd"]["path"] == '/no\n"where?', rows["odd"]
    assert rows["host"]["status"] == 403 and "key" not in rows["host"]
    assert len(s.said().splitlines()) == len(s.said().split("\n")) - 1


def times_and_bytes(s):
    """A stream whose pieces come 0.2 s apart: the first byte is early, the end late; the bytes are those that came."""
    up.gap = 0.2
    _, _, text = s.ask("/v1/chat/completions", {**CHAT, "stream": True}, {"X-Request-Id": "slow"})
    up.gap = 0
    row = None
    for _ in range(100):
        row = next((r for r in s.lines() if r["id"] == "slow"), None)
        if row:
            break
        time.sleep(0.02)
    assert row["ms"] >= 600 and row["first_ms"] < 400 and row["bytes_out"] == len(text.encode()), (row, len(text))


def who_leaves_is_said(s):
    up.gap, up.pieces = 0.1, ["x"] * 100
    c = http.client.HTTPConnection("127.0.0.1", s.port)
    c.request("POST", "/v1/chat/completions", json.dumps({**CHAT, "stream": True}), {"X-Request-Id": "left"})
    c.getresponse().read(10)
    c.sock.shutdown(socket.SHUT_RDWR)
    c.close()
    end = time.monotonic() + 5
    while not (rows := [r for r in s.lines() if r["id"] == "left"]):
        assert time.monotonic() < end, "a client that left is not in the log"
        time.sleep(0.05)
    assert rows[0]["whole"] is False and rows[0]["ms"] < 5000, rows
    up.gap, up.pieces = 0, ["one ", "two ", "three"]


up.pieces = [ANSWER, " two ", "three"]
with Served(up.config()) as s:
    ids(s)
    lines_are_true(s)
    assert CANARY not in s.said() and ANSWER not in s.said()
    up.pieces = ["one ", "two ", "three"]
    times_and_bytes(s)
    who_leaves_is_said(s)

# Into a file, with texts because that was asked for, but never those of a secret request.
up.pieces = [ANSWER]
with Served(up.config(), args=["--log-prompts"]) as s:
    s.ask("/v1/chat/completions", CHAT)
    row = s.lines(1)[0]
    assert CANARY in row["request"] and row["answer"] == ANSWER, row
    secret = {"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "hush-" + CANARY}]}
    assert s.ask("/v1/chat/completions", secret, {"x-hearth-class": "secret"})[0] == 200
    s.ask("/v1/chat/completions", {**secret, "model": "up"}, {"x-hearth-class": "secret"})
    assert [r["class"] for r in s.lines(3)[1:]] == ["secret", "secret"]
    assert "hush-" not in s.said()

# A file of its own, 0600; moved away, SIGHUP makes it again.
with tempfile.TemporaryDirectory() as place:
    log, old = pathlib.Path(place) / "log", pathlib.Path(place) / "old"
    with Served(up.config(), args=["--log", str(log)]) as s:
        def wait_for(file, text):
            end = time.monotonic() + 10
            while not file.exists() or text not in file.read_text():
                assert time.monotonic() < end, (file, text)
                time.sleep(0.02)

        s.ask("/v1/models", headers={"X-Request-Id": "before"})
        wait_for(log, '"before"')
        assert log.stat().st_mode & 0o777 == 0o600
        log.rename(old)
        os.kill(s.process.pid, signal.SIGHUP)
        s.wait_for("reloaded")
        s.ask("/v1/models", headers={"X-Request-Id": "after"})
        wait_for(log, '"after"')
        assert '"after"' not in old.read_text() and s.lines() == []

with Served(up.config(), args=["--log", "none"]) as s:
    s.ask("/v1/chat/completions", CHAT)
    time.sleep(0.2)
    assert s.lines() == []

# A log nobody reads keeps no request waiting. What does not fit is counted.
fifo = pathlib.Path(os.path.join(os.environ.get("TMPDIR", "/tmp"), f"hearth-log-{os.getpid()}"))
os.mkfifo(fifo)
reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
with Served(up.config(), args=["--log", str(fifo)]) as s:
    paths = ["/v1/models/" + "x" * 240 + str(i) for i in range(400)]
    begun = time.monotonic()

    def ask_all(part):
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=20)
        for p in part:
            c.request("GET", p)
            assert c.getresponse().read()

    threads = [threading.Thread(target=ask_all, args=(paths[i::4],)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert time.monotonic() - begun < 20
    text = b""
    end = time.monotonic() + 10
    while text.count(b"\n") < 400 and time.monotonic() < end:
        try:
            text += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    rows = [json.loads(t) for t in text.splitlines()]
    assert sum(r.get("path", "").startswith("/v1/models/x") for r in rows) == 400, len(rows)
os.close(reader)
fifo.unlink()
print("ok")
