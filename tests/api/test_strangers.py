"""Clients that are slow, silent or too many, against a whole server with short limits: each is bounded, its work is
cancelled as far as the upstream, and whoever asks properly is answered meanwhile."""
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
LIMITS = ("limits: {connections: 40, per_address: 30, requests: 8, body: 64K, read_seconds: 2, write_seconds: 1, "
          "drain_seconds: 1}\n")
CHAT = {"model": "up", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def dial(s, receive=None, source="127.0.0.1"):
    c = socket.socket()
    if receive:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    c.bind((source, 0))
    c.settimeout(20)
    c.connect(("127.0.0.1", s.port))
    return c


def post(body, more=""):
    text = json.dumps(body)
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{more}"
            f"Content-Length: {len(text)}\r\n\r\n{text}").encode()


def seconds_until_closed(c, drip=None):
    """How long the other side bears with us; drip: bytes that we send one at a time meanwhile."""
    begun = time.monotonic()
    c.settimeout(0.1)
    while time.monotonic() - begun < 15:
        try:
            if drip:
                c.send(drip[:1])
                drip = drip[1:] or b"x"
            if not c.recv(65536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    c.close()
    return time.monotonic() - begun


with Served(up.config() + LIMITS) as s:
    # Silent, a header by drips, a body by drips, a chunked body by drips: all end at the same absolute deadline.
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    for name, begin, drip in (("silent", b"", None), ("header", b"", b"GET /health HTTP/1.1\r\nX-Slow: " + b"x" * 500),
                              ("body", head + b"Content-Length: 60000\r\n\r\n", b"x" * 500),
                              ("chunks", head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100)):
        c = dial(s)
        c.sendall(begin)
        took = seconds_until_closed(c, drip)
        assert 1.5 < took < 5, (name, took)
    # The same between two requests of one connection.
    c = dial(s)
    c.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert c.recv(4096).startswith(b"HTTP/1.1 200")
    assert 1.5 < seconds_until_closed(c) < 5

    # Too many of one address are closed at once; another address is served, and so is everybody when they have gone.
    crowd = [dial(s) for _ in range(36)]
    time.sleep(0.3)
    waiting = 0
    for c in crowd:
        c.setblocking(False)
        try:
            waiting += c.recv(1) != b""
        except BlockingIOError:
            waiting += 1
        except OSError:
            pass
    assert waiting == 30, waiting
    with dial(s, source="127.0.0.9") as other:
        other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert other.recv(4096).startswith(b"HTTP/1.1 200")
    for c in crowd:
        c.close()
    time.sleep(0.5)  # until it has seen them go
    assert s.ask("/health")[0] == 200

    # A reader that stalls in a stream of small pieces: dropped after write_seconds, the upstream is left, the log says
    # that it did not get all. One that merely has nothing to read for longer than that stays.
    up.pieces, up.gap = ["piece " * 20] * 600, 0.02
    left, c = up.left, dial(s, receive=2048)
    c.sendall(post(CHAT, "X-Request-Id: stalled\r\n"))
    end = time.monotonic() + 12
    while up.left == left and time.monotonic() < end:
        time.sleep(0.05)
    assert up.left == left + 1, "the upstream still works for a reader who does not read"
    row = next(r for r in s.lines() if r["id"] == "stalled")
    assert row["whole"] is False and row["ms"] < 8000, row
    c.close()
    up.pieces, up.gap = ["one ", "two ", "end"], 2.5
    code, _, text = s.ask("/v1/chat/completions", CHAT)
    assert code == 200 and text.endswith("[DONE]\n\n") and "end" in text, text
    up.pieces, up.gap = ["one"], 0

    # Half closed: who can no longer send may have left; who resets has. Both are noticed while nothing is written.
    for how in ("half", "reset"):
        up.hold = threading.Event()
        left, asked, c = up.left, up.asked, dial(s)
        c.sendall(post(CHAT, f"X-Request-Id: {how}\r\n"))
        while up.asked == asked:
            time.sleep(0.01)
        if how == "half":
            c.shutdown(socket.SHUT_WR)
        else:
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            c.close()
        end = time.monotonic() + 5
        while not any(r["id"] == how for r in s.lines()):
            assert time.monotonic() < end, how
            time.sleep(0.05)
        up.hold.set()
        c.close()
    up.hold = None

    # Gone without a word (the kernel forgets the connection and says nothing): asked for signs of life, none came.
    up.hold, c = threading.Event(), dial(s)
    c.sendall(post(CHAT, "X-Request-Id: vanished\r\n"))
    time.sleep(0.5)
    try:
        c.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR
        c.close()
        end = time.monotonic() + 10
        while not any(r["id"] == "vanished" for r in s.lines()):
            assert time.monotonic() < end, "a peer that vanished is waited for"
            time.sleep(0.05)
    except PermissionError:
        c.close()
    up.hold.set()

    # More requests than may run: 503 with a time, and those that run are answered.
    up.hold, asked = threading.Event(), up.asked
    running = [dial(s) for _ in range(12)]
    for c in running:
        c.sendall(post(CHAT, "Connection: close\r\n"))
    time.sleep(0.5)
    up.hold.set()
    answers = []
    for c in running:
        text = b""
        while piece := c.recv(65536):
            text += piece
        answers.append(text)
    assert sorted(t[9:12] for t in answers) == [b"200"] * 8 + [b"503"] * 4, answers
    assert all(b"[DONE]" in t if t[9:12] == b"200" else b"Retry-After: 1\r\n" in t for t in answers)
    up.hold = None
    assert s.ask("/v1/chat/completions", {**CHAT, "pad": "x" * 70000})[0] == 413
    assert s.ask("/v1/chat/completions", CHAT)[0] == 200

# Handshakes that are never finished hold a place for read_seconds and no longer.
if shutil.which("openssl"):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-strangers-"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    server = Served(up.config() + LIMITS + f"tls: {{cert: {folder / 'cert.pem'}, key: {folder / 'key.pem'}}}\n")
    server.tls = ssl.create_default_context(cafile=folder / "cert.pem")
    server.url = server.url.replace("http:", "https:")
    with server as s:
        for drip in (None, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 300):
            c = dial(s)
            took = seconds_until_closed(c, drip)
            assert took < 5, took
        assert s.ask("/v1/models")[0] == 200
    shutil.rmtree(folder)
print("ok")
