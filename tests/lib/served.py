"""A real `hearth serve` for tests: own HEARTH_HOME, a free port, the real small model. Exits 77 without the model."""
import importlib
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
    """with Served(config="...", args=[...]) as s: s.url, s.home, s.children()"""

    def __init__(self, config="", args=()):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-served-"))
        (self.home / "models").mkdir()
        (self.home / "models" / f"{MODEL}.gguf").symlink_to(need(CACHE / f"{MODEL}.gguf"))
        if config:
            (self.home / "config.yaml").write_text(config)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = [str(BUILD / "hearth"), "serve", "--listen", f"127.0.0.1:{self.port}", "--ctx", "2048", *args]
        self.environment = dict(os.environ, HEARTH_HOME=str(self.home))

    def __enter__(self):
        self.log = open(self.home / "log", "w+b")
        self.process = subprocess.Popen(self.args, env=self.environment, stderr=self.log)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
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

    def children(self, name):
        """Process ids of the server's helpers of this name."""
        out = subprocess.run(["ps", "-eo", "pid,ppid,comm"], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in out.splitlines()[1:]]
        return [int(r[0]) for r in rows if int(r[1]) == self.process.pid and r[2].startswith(name)]
