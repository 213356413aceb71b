"""A real `hearth serve` for tests: own HEARTH_HOME, a free port, the real small model. Exits 77 without the model."""
import importlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
CACHE = pathlib.Path(os.environ.get("HEARTH_CACHE", "build/cache")).resolve()
MODEL = "SmolLM2-135M-Instruct.Q4_1"
# A tiny model of random weights has the real one's place and its tokenizer (tools/run-tests): what the real one says,
# and how large it is, cannot be asked, and its answers do not end by themselves.
TINY = "HEARTH_TEST_TINY" in os.environ


def need(path):
    if not path.exists():
        print(f"{path.name} is not in the cache: skipped for want of the network")
        sys.exit(77)
    return path


def package(name):
    """A client that tests drive, or the end of this test."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"the package {name} is not installed: skipped for want of the network")
        sys.exit(77)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Served:
    """with Served(config="...", args=[...]) as s: s.url, s.home, s.children(), s.ask(...), s.lines()"""

    def __init__(self, config="", args=(), environment=()):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-served-"))
        (self.home / "models").mkdir()
        (self.home / "models" / f"{MODEL}.gguf").symlink_to(need(CACHE / f"{MODEL}.gguf"))
        if config:
            (self.home / "config.yaml").write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls = None  # an ssl.SSLContext: the server speaks TLS
        self.args = [str(BUILD / "hearth"), "serve", "--listen", f"127.0.0.1:{self.port}", "--ctx", "2048", *args]
        self.environment = dict(os.environ, HEARTH_HOME=str(self.home), **dict(environment))

    def __enter__(self):
        self.log = open(self.home / "log", "w+b")
        self.process = subprocess.Popen(self.args, env=self.environment, stderr=self.log)
        return self.wait_for_health()

    def wait_for_health(self):
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5, context=self.tls).read()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.log.seek(0)
        raise SystemExit("the server did not start: " + self.log.read().decode())

    def __exit__(self, kind, *rest):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit("the server did not stop within 20 s of SIGTERM")
        self.log.seek(0)
        text = self.log.read().decode(errors="replace")
        shutil.rmtree(self.home)
        if kind is None and (code != 0 or "WARNING: ThreadSanitizer" in text):
            raise SystemExit(f"the server exited {code}: {text}")
        if kind is not None:
            print(text)

    def ask(self, path, body=None, headers=(), method=None, timeout=60):
        """(status, headers in lower case, text); body: what becomes JSON."""
        data = None if body is None else json.dumps(body).encode()
        r = urllib.request.Request(self.url + path, data, {"content-type": "application/json", **dict(headers)},
                                   method=method)
        try:
            answer = urllib.request.urlopen(r, timeout=timeout, context=self.tls)
        except urllib.error.HTTPError as e:
            answer = e
        with answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read().decode()

    def said(self):
        """What the server has written to standard error so far."""
        return (self.home / "log").read_text(errors="replace")

    def lines(self, n=0, seconds=10):
        """The lines of the log of requests but /health's, once there are n of them."""
        end = time.monotonic() + seconds
        while True:
            rows = [json.loads(t) for t in self.said().splitlines() if t.startswith("{") and t.endswith("}")]
            rows = [r for r in rows if r.get("path") != "/health"]
            if len(rows) >= n or time.monotonic() > end:
                assert len(rows) >= n, (n, rows)
                return rows
            time.sleep(0.02)

    def wait_for(self, text, seconds=10):
        """Until standard error holds the text."""
        end = time.monotonic() + seconds
        while text not in self.said():
            assert time.monotonic() < end, (text, self.said())
            time.sleep(0.02)

    def children(self, name):
        """Process ids of the server's helpers of this name."""
        out = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in out.splitlines()[1:]]
        return [int(r[0]) for r in rows if int(r[1]) == self.process.pid and r[2].startswith(name)]
