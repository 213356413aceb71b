"""The end of a server: SIGTERM lets what runs finish up to a limit, a second signal does not wait, nothing is left."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
CHAT = {"model": "up", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


class Stream:
    """A streamed answer, read by a thread: text so far, `whole` when it ended as it should."""

    def __init__(self, s):
        self.text, self.whole = "", None
        self.connection = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        self.connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), {"content-type": "application/json"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            while piece := self.answer.readline():
                self.text += piece.decode()
            self.whole = self.text.endswith("data: [DONE]\n\n")
        except (http.client.IncompleteRead, OSError):
            self.whole = False

    def wait_for(self, text):
        end = time.monotonic() + 20
        while text not in self.text:
            assert time.monotonic() < end, self.text
            time.sleep(0.01)


def refused(s):
    try:
        socket.create_connection(("127.0.0.1", s.port), timeout=2).close()
        return False
    except OSError:
        return True


# What runs is finished, new connections are refused at once, and a connection that is open hears 503 and to close.
up.pieces, up.gap = [f"piece{i} " for i in range(20)], 0.1
with Served(up.config()) as s:
    kept = http.client.HTTPConnection("127.0.0.1", s.port, timeout=10)
    kept.request("GET", "/v1/models")
    kept.getresponse().read()
    stream = Stream(s)
    stream.wait_for("piece2 ")
    begun = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    s.wait_for("1 requests have 30 s to finish")
    assert refused(s)
    kept.request("GET", "/v1/models")
    answer = kept.getresponse()
    assert answer.status == 503 and answer.headers["Retry-After"] and "stopping" in answer.read().decode()
    assert answer.headers["Connection"].lower() == "close", answer.headers
    s.process.send_signal(signal.SIGHUP)  # is no reason to end sooner
    stream.thread.join()
    assert stream.whole and "piece19 " in stream.text, stream.text[-200:]
    assert s.process.wait(10) == 0 and 0.5 < time.monotonic() - begun < 10
    rows = [r for r in s.lines() if r["path"] == "/v1/chat/completions"]
    assert len(rows) == 1 and rows[0]["whole"] and rows[0]["status"] == 200, rows

# Nobody runs: at once.
with Served(up.config()) as s:
    begun = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(10) == 0 and time.monotonic() - begun < 3

# The limit: what is not done by then is cancelled, upstream too, and the client does not take it for a whole answer.
up.pieces, up.gap = ["x "] * 600, 0.1
with Served(up.config(), args=["--drain", "1"]) as s:
    left = up.left
    stream = Stream(s)
    stream.wait_for("x ")
    begun = time.monotonic()
    s.process.send_signal(signal.SIGTERM)
    assert s.process.wait(20) == 0 and 0.9 < time.monotonic() - begun < 6, time.monotonic() - begun
    stream.thread.join()
    assert stream.whole is False and "1 requests are cancelled" in s.said(), s.said()
    for _ in range(100):
        if up.left > left:
            break
        time.sleep(0.05)
    assert up.left == left + 1, "the upstream was not left"
    assert s.lines()[-1]["whole"] is False

# Impatience, by either signal.
for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGINT)):
    with Served(up.config() + "limits: {drain_seconds: 50}\n") as s:
        stream = Stream(s)
        stream.wait_for("x ")
        s.process.send_signal(first)
        s.wait_for("have 50 s to finish")
        time.sleep(0.3)
        assert s.process.poll() is None
        begun = time.monotonic()
        s.process.send_signal(second)
        assert s.process.wait(20) == 0 and time.monotonic() - begun < 5
        stream.thread.join()
        assert stream.whole is False

# A request that waits for its first byte is finished too, and so is one whose reader is slow to take it.
up.pieces, up.gap, up.hold = ["late"], 0, threading.Event()
with Served(up.config()) as s:
    got = []
    t = threading.Thread(target=lambda: got.append(s.ask("/v1/chat/completions", {**CHAT, "stream": False})))
    asked = up.asked
    t.start()
    while up.asked == asked:
        time.sleep(0.01)
    s.process.send_signal(signal.SIGTERM)
    s.wait_for("to finish")
    up.hold.set()
    t.join()
    assert got[0][0] == 200 and "late" in got[0][2] and s.process.wait(10) == 0, got
up.hold = None

# Nobody reads standard error, and the log has filled it: no request waits for that, nor does the end.
quiet = Served(up.config())
process = subprocess.Popen(quiet.args, env=quiet.environment, stderr=subprocess.PIPE)
while refused(quiet):
    time.sleep(0.02)
c = http.client.HTTPConnection("127.0.0.1", quiet.port, timeout=10)
for _ in range(600):
    c.request("GET", "/v1/models/" + "x" * 240)
    assert c.getresponse().read()
process.send_signal(signal.SIGHUP)
time.sleep(0.7)
begun = time.monotonic()
process.send_signal(signal.SIGTERM)
assert process.wait(20) == 0 and time.monotonic() - begun < 8
written = process.stderr.read().count(b"/v1/models/xxx")
assert 0 < written < 600, written  # the pipe was full

# An aborted start leaves no trace either: SIGTERM right away.
with Served(up.config()) as s:
    os.kill(s.process.pid, signal.SIGTERM)
print("ok")
