"""TLS with a certificate made here, and that nobody listens for other machines in clear text without being told to."""
import http.client
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, Served, free_port  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

if not shutil.which("openssl"):
    print("openssl is not installed: skipped")
    sys.exit(77)

folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-tls-"))
CERT, KEY, OTHER = folder / "cert.pem", folder / "key.pem", folder / "other.pem"
for key, cert in ((KEY, CERT), (OTHER, folder / "unused.pem")):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
(folder / "secret").write_text("key-0815")
KEYS = f"version: 1\nkeys:\n  - {{name: a, key_file: {folder / 'secret'}}}\n"
up = Upstream()
up.gap = 0.05


class Encrypted(Served):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.tls = ssl.create_default_context(cafile=CERT)
        self.url = f"https://127.0.0.1:{self.port}"


with Encrypted(up.config(), args=["--tls-cert", str(CERT), "--tls-key", str(KEY)]) as s:
    assert "listening on https://127.0.0.1" in s.said()
    KEY.rename(folder / "moved")  # read once
    body = {"model": "up", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    code, headers, text = s.ask("/v1/chat/completions", body)
    assert code == 200 and text.endswith("data: [DONE]\n\n") and "three" in text, text
    c = http.client.HTTPSConnection("127.0.0.1", s.port, context=s.tls)
    for _ in range(3):  # one connection, several requests
        c.request("GET", "/v1/models")
        assert json.loads(c.getresponse().read())["object"] == "list"
    big = {**body, "messages": [{"role": "user", "content": "x" * 3000000}]}
    assert s.ask("/v1/chat/completions", big)[0] == 200
    with socket.create_connection(("127.0.0.1", s.port), timeout=5) as plain:
        plain.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            answer = plain.recv(4096)
        except OSError:
            answer = b""
        assert b"200" not in answer[:16] and b"object" not in answer, answer
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", s.port)) as raw, old.wrap_socket(raw) as wrapped:
        assert wrapped.version() in ("TLSv1.2", "TLSv1.3"), wrapped.version()
    # what is older than TLS 1.2 is not spoken, however much a client wants it
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    try:
        with socket.create_connection(("127.0.0.1", s.port)) as raw, old.wrap_socket(raw) as wrapped:
            raise SystemExit(f"{wrapped.version()} was spoken")
    except (ssl.SSLError, OSError):
        pass
    # a client that leaves in mid-stream is noticed through TLS too
    up.gap, up.pieces = 0.1, ["x"] * 200
    with socket.create_connection(("127.0.0.1", s.port)) as raw, s.tls.wrap_socket(raw, server_hostname="127.0.0.1") as w:
        text = json.dumps(body).encode()
        w.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: left\r\nContent-Length: %d"
                  b"\r\n\r\n%s" % (len(text), text))
        assert w.recv(100)
    for _ in range(100):
        if any(r["id"] == "left" for r in s.lines()):
            break
        time.sleep(0.05)
    row = next(r for r in s.lines() if r["id"] == "left")
    assert row["whole"] is False and row["ms"] < 10000, row
(folder / "moved").rename(KEY)


def start(config, *args):
    """(exit code or None when it listens, standard error)"""
    (folder / "config.yaml").write_text(config)
    p = subprocess.Popen([BUILD / "hearth", "serve", "--config", folder / "config.yaml", *args],
                         stderr=subprocess.PIPE, text=True)
    text = ""
    while line := p.stderr.readline():
        text += line
        if "listening on" in line:
            p.terminate()
            p.stderr.read()
            p.wait(20)
            return None, text
    return p.wait(20), text


tls = ("--tls-cert", str(CERT), "--tls-key", str(KEY))
wide = ("--listen", f"0.0.0.0:{free_port()}")
near = ("--listen", f"127.0.0.1:{free_port()}")
BARE = "version: 1\n"
for config, args, code, words in (
        (BARE, wide, 2, "keys"), (BARE, (*wide, "--plaintext"), 2, "keys"), (BARE, (*wide, *tls), 2, "keys"),
        (KEYS, wide, 2, "--plaintext"), (KEYS, (*wide, "--plaintext"), None, "http://0.0.0.0"),
        (KEYS + "plaintext: true\n", wide, None, "http://0.0.0.0"), (KEYS, (*wide, *tls), None, "https://0.0.0.0"),
        (KEYS + f"tls: {{cert: {CERT}, key: {KEY}}}\n", wide, None, "https://0.0.0.0"),
        (BARE, near, None, "http://127.0.0.1"), (BARE, (*near, *tls[:2]), 2, "go together"),
        (BARE, (*near, "--tls-cert", "/no/such", "--tls-key", str(KEY)), 3, "/no/such"),
        (BARE, (*near, "--tls-cert", str(folder / "secret"), "--tls-key", str(KEY)), 3, "no PEM"),
        (BARE, (*near, "--tls-cert", str(CERT), "--tls-key", str(OTHER)), 3, "certificate")):
    got, text = start(config, *args)
    assert got == code and words in text, (args, got, text)
# Keys that go at a reload would open the address to everybody: refused.
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
(folder / "config.yaml").write_text(KEYS)
p = subprocess.Popen([BUILD / "hearth", "serve", "--config", folder / "config.yaml", "--listen", f"0.0.0.0:{port}",
                      "--plaintext", "--log", "none"], stderr=subprocess.PIPE, text=True)
assert "listening" in p.stderr.readline()
(folder / "config.yaml").write_text(BARE)
p.send_signal(signal.SIGHUP)
line = p.stderr.readline()
assert "the old configuration stays" in line and "reachable by other machines" in line, line
c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
for headers, status in (({}, 401), ({"x-api-key": "key-0815"}, 200)):
    c.request("GET", "/v1/models", headers=headers)
    answer = c.getresponse()
    answer.read()
    assert answer.status == status, (headers, answer.status)
p.terminate()
assert p.wait(20) == 0
print("ok")
