"""As a service: a socket and a notify socket handed over as systemd does, and the units as systemd reads them."""
import configparser
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from lib.served import BUILD  # noqa: E402

home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-service-"))
(home / "models").mkdir()
(home / "config.yaml").write_text("version: 1\n")
NEEDS = "hearth serve: "


class Manager:
    """A service manager: starts the server with descriptor 3 (or without), and hears what it says."""

    def __init__(self, listener=None, args=(), pid=None, n="1", abstract=False):
        self.path = f"\0hearth-notify-{os.getpid()}" if abstract else str(home / "notify")
        if not abstract and os.path.exists(self.path):
            os.unlink(self.path)
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.bind(self.path)
        self.heard.settimeout(20)
        shown = "@" + self.path[1:] if abstract else self.path
        environment = dict(os.environ, HEARTH_HOME=str(home), NOTIFY_SOCKET=shown)
        # exec in the shell keeps the number that LISTEN_PID names
        script = 'export LISTEN_PID=${GIVEN_PID:-$$} LISTEN_FDS; exec "$@"' if listener else 'exec "$@"'
        if listener:
            environment["LISTEN_FDS"] = n
            if pid:
                environment["GIVEN_PID"] = pid
        def place():
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)
        self.process = subprocess.Popen(["sh", "-c", script, "sh", BUILD / "hearth", "serve", *args], env=environment,
                                        close_fds=listener is None, preexec_fn=place if listener else None,
                                        stderr=subprocess.PIPE, text=True)

    def hear(self):
        return self.heard.recv(4096).decode()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        told = []
        self.heard.settimeout(0.2)
        code = self.process.wait(20)
        try:
            while True:
                told.append(self.hear())
        except TimeoutError:
            pass
        self.heard.close()
        return code, told, self.process.stderr.read()


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(16)
    return s


def health(port):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20).read()


# The socket of the manager: its address is the server's; calls that came before the server did are answered, and so are
# those that come while one server is replaced by the next.
door = listener()
port = door.getsockname()[1]
early = socket.create_connection(("127.0.0.1", port), timeout=20)
early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
m = Manager(door)
assert m.hear() == "READY=1"
assert early.recv(100).startswith(b"HTTP/1.1 200")
assert b"ok" in health(port)
environ = pathlib.Path(f"/proc/{m.process.pid}/environ")
m.process.send_signal(signal.SIGHUP)
reloading = m.hear()
assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC="), reloading
assert abs(int(reloading.split("=")[2]) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 20
assert m.hear() == "READY=1"
(home / "config.yaml").write_text("version: 1\nnonsense: 1\n")
m.process.send_signal(signal.SIGHUP)  # refused, and ready all the same
assert m.hear().startswith("RELOADING=1") and m.hear() == "READY=1"
(home / "config.yaml").write_text("version: 1\n")
code, told, said = m.end()
assert code == 0 and told == ["STOPPING=1"] and f"listening on http://127.0.0.1:{port}" in said, (code, told, said)
between = socket.create_connection(("127.0.0.1", port), timeout=20)
between.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
m = Manager(door, abstract=True)
assert m.hear() == "READY=1" and between.recv(100).startswith(b"HTTP/1.1 200")
assert m.end()[0] == 0

# A Unix socket; several sockets; one that does not listen; variables that are meant for another process; --listen too.
unix = socket.socket(socket.AF_UNIX)
unix.bind(str(home / "door"))
unix.listen()
m = Manager(unix)
assert m.hear() == "READY=1"
with socket.socket(socket.AF_UNIX) as c:
    c.settimeout(20)
    c.connect(str(home / "door"))
    c.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert c.recv(100).startswith(b"HTTP/1.1 200")
assert m.end()[0] == 0
for how, words in (({"n": "2"}, "one socket"), ({"n": "x"}, "no numbers"),
                   ({"args": ("--listen", "0")}, "was handed over")):
    p = Manager(door, **how)
    text = p.process.communicate(timeout=20)[1]
    assert p.process.returncode in (2, 3) and words in text, (how, p.process.returncode, text)
    p.heard.close()
with socket.socket() as deaf:
    deaf.bind(("127.0.0.1", 0))
    p = Manager(deaf)
    text = p.process.communicate(timeout=20)[1]
    assert p.process.returncode == 3 and "does not listen" in text, text
    p.heard.close()
with listener() as foreign:
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    free = own.getsockname()[1]
    own.close()
    m = Manager(foreign, args=("--listen", f"127.0.0.1:{free}"), pid="1")
    assert m.hear() == "READY=1" and b"ok" in health(free)
    assert m.end()[0] == 0

# A socket that other machines reach obeys the same rules as an address.
with socket.socket() as wide:
    wide.bind(("0.0.0.0", 0))
    wide.listen()
    p = Manager(wide)
    text = p.process.communicate(timeout=20)[1]
    assert p.process.returncode == 2 and "0.0.0.0 is reachable by other machines" in text, text
    p.heard.close()

# Without a manager nothing is expected of one; a manager that went away is no reason to stop.
m = Manager()
assert m.hear() == "READY=1"
m.heard.close()
os.unlink(m.path)
m.process.send_signal(signal.SIGHUP)
time.sleep(0.3)
assert m.process.poll() is None
m.process.send_signal(signal.SIGTERM)
assert m.process.wait(20) == 0

# The units: what the issue asks for, and that systemd understands them where it is there to ask.
units = ROOT / "packaging"
unit = configparser.RawConfigParser(strict=False)
unit.optionxform = str
unit.read(units / "hearth.service")
service = unit["Service"]
assert service["OOMPolicy"] == "continue" and service["Type"] == "notify" and service["ExecReload"].endswith("$MAINPID")
assert float(service["TimeoutStopSec"]) > 30  # longer than the drain
door_unit = configparser.RawConfigParser(strict=False)
door_unit.optionxform = str
door_unit.read(units / "hearth.socket")
assert door_unit["Socket"]["ListenStream"] == "127.0.0.1:5150"
timer = configparser.RawConfigParser(strict=False)
timer.optionxform = str
timer.read([units / "hearth-reassess.timer", units / "hearth-reassess.service"])
assert timer["Timer"]["Persistent"] == "true" and timer["Service"]["Type"] == "oneshot"
assert timer["Service"]["ExecStart"].endswith("hearth reassess --measure --json")
if shutil.which("systemd-analyze"):
    with tempfile.TemporaryDirectory() as place:
        for name in ("hearth.service", "hearth.socket", "hearth-reassess.service", "hearth-reassess.timer"):
            text = (units / name).read_text().replace("/usr/local/bin/hearth", str(BUILD / "hearth"))
            (pathlib.Path(place) / name).write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                               f"{place}/hearth.socket", f"{place}/hearth.service",
                               f"{place}/hearth-reassess.timer"], capture_output=True, text=True)
        mine = [t for t in (done.stdout + done.stderr).splitlines() if "hearth" in t]
        assert not mine, mine
shutil.rmtree(home)
print("ok")
