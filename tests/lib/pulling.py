"""`hearth pull` for tests: a HEARTH_HOME of one's own, a server that misbehaves, and what must be true afterwards."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from lib.faulty import Faulty, gguf, sha256

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
PIECE = 64 << 10
ONE, TWO = gguf(1 << 20, 1), gguf(1 << 20, 2)
N = len(ONE)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
PLAIN = {k: v for k, v in os.environ.items() if k.lower() not in PROXIES and k not in CERTIFICATES}
server = Faulty()
server.files["/m.gguf"] = ONE


class Home:
    """A HEARTH_HOME of one test."""

    def __init__(self, **environment):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hearth-pull-"))
        self.models = self.path / "models"
        self.model = self.models / "m.gguf"
        self.part = self.models / ".pull" / "m.gguf.part"
        self.environment = dict(PLAIN, HEARTH_HOME=str(self.path), **environment)

    def command(self, url, *args):
        return [str(BUILD / "hearth"), "pull", url, "--piece", str(PIECE), "--pause", "0.02", *args]

    def start(self, url, *args, **more):
        return subprocess.Popen(self.command(url, *args), env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def pull(self, url, *args, **more):
        r = subprocess.run(self.command(url, *args), env=self.environment, capture_output=True, text=True, timeout=120,
                           **more)
        self.said = r.stdout + r.stderr
        return r.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def check(self, *whole):
        """What is in its place is whole."""
        for f in self.models.glob("*.gguf"):
            assert f.read_bytes() in whole, f"{f} is corrupt"

    def done(self, data=ONE):
        assert self.model.read_bytes() == data, self.said
        assert not list((self.models / ".pull").iterdir()), list((self.models / ".pull").iterdir())
        note = json.loads((self.models / "m.gguf.json").read_text())
        assert note["sha256"] == sha256(data) and note["bytes"] == len(data), note
        assert (self.models / "m.gguf.json").stat().st_mode & 0o777 == 0o600

    def none(self, *words):
        assert not self.model.exists(), self.said
        for w in words:
            assert w in self.said, (w, self.said)


def once(number, fault, *numbers):
    """The fault at those requests, else all is well."""
    return lambda r: fault(r) if r.number in (number, *numbers) else r.serve()


def good(name, fault, *args, words=(), data=ONE, most=None):
    """In spite of the fault the model arrives."""
    with Home() as h:
        server.forget()
        server.answer = fault
        rc = h.pull(server.url + "/m.gguf", *args)
        assert rc == 0, (name, rc, h.said)
        h.done(data)
        for w in words:
            assert w in h.said, (name, w, h.said)
        assert most is None or server.sent() < most, (name, server.sent(), most)


def bad(name, fault, *args, words=(), code=None):
    """The fault is said, and nothing is in the model's place."""
    with Home() as h:
        server.forget()
        server.answer = fault
        rc = h.pull(server.url + "/m.gguf", "--tries", "3", *args)
        assert rc != 0 and (code is None or rc == code), (name, rc, h.said)
        h.none(*words)
        assert h.said.strip(), name
        return h.said


def run(tests, only):
    """Each test, or those that are named; how long they took."""
    for test in tests:
        if only and test.__name__ not in only:
            continue
        start = time.monotonic()
        test()
        print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
