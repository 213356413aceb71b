"""`hearth pull` against a server that cuts, lies, changes and drips, and against kill -9: a model in its place is whole, and
what came before is not fetched again.  --kills N: that many kills, for make torture."""
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import Faulty, gguf, sha256  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
SLOW = 4 if "san-" in str(BUILD) else 1
PIECE = 64 << 10
ONE, TWO = gguf(1 << 20, 1), gguf(1 << 20, 2)
N = len(ONE)
NO_PROXY = {k: v for k, v in os.environ.items() if k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}


class Home:
    """A HEARTH_HOME of one test."""

    def __init__(self, parent=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hearth-pull-", dir=parent))
        self.models = self.path / "models"
        self.model = self.models / "m.gguf"
        self.part = self.models / ".pull" / "m.gguf.part"
        self.environment = dict(NO_PROXY, HEARTH_HOME=str(self.path))

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


def bad(name, fault, *args, words=(), code=None, keeps=False):
    """The fault is said, and nothing is in the model's place."""
    with Home() as h:
        server.forget()
        server.answer = fault
        rc = h.pull(server.url + "/m.gguf", "--tries", "3", *args)
        assert rc != 0 and (code is None or rc == code), (name, rc, h.said)
        h.none(*words)
        assert keeps or not h.part.exists() or h.part.stat().st_size >= 0
        assert h.said.strip(), name
        return h.said


def cuts():
    for after in (0, 1, 1000, PIECE - 1, -1):
        for reset in (False, True):
            good(f"cut after {after}", once(2, lambda r: r.serve(cut=after, reset=reset), 5), most=int(N * 1.5))
    good("cut at first", once(1, lambda r: r.serve(cut=100)), most=int(N * 1.5))
    good("cut in the header", once(3, lambda r: (r.raw(b"HTTP/1.1 206 Partial Content\r\nContent-Le"), r.close())))
    good("cut before the header", once(3, lambda r: r.reset(), 1, 6))
    good("cut between pieces", lambda r: (r.serve(), r.close()), most=int(N * 1.5))
    good("every piece is cut", lambda r: r.serve(cut=40000), most=int(N * 1.5))
    good("no ranges, cut", once(1, lambda r: r.serve(ranges=False, cut=9999), 2), most=3 * N)
    bad("cut for ever", lambda r: r.serve(cut=10), words=["after 3 tries"], code=5)


def lengths():
    good("a length that is not the range's", once(2, lambda r: r.serve(length=PIECE + 5), 4))
    bad("shorter than announced", lambda r: r.serve(ranges=False, length=N + 5), code=5)
    good("shorter once", once(2, lambda r: r.serve(cut=PIECE // 2)), most=int(N * 1.5))
    good("longer, once", once(2, lambda r: r.serve(data=None, length=PIECE + 100)))
    bad("a length that is no file's", lambda r: r.serve(Content_Range="bytes 0-65535/99999999999999999"), code=3)
    bad("a GGUF file that was cut before", lambda r: r.serve(data=ONE[:-100]), words=["m.gguf"], code=3)
    bad("no GGUF file", lambda r: r.serve(data=b"<html>log in first</html>"), words=["m.gguf"], code=3)
    bad("an empty file", lambda r: r.serve(data=b""), code=3)
    good("chunks", lambda r: r.serve(ranges=False, chunked=True))
    good("chunks, cut once", once(1, lambda r: r.serve(ranges=False, chunked=True, cut=99999)))
    bad("neither length nor digest", lambda r: r.serve(ranges=False, framed=False), words=["whole"], code=3)
    good("no length, but a digest", lambda r: r.serve(ranges=False, framed=False), "--sha256", sha256(ONE))
    bad("no length, cut", lambda r: r.serve(ranges=False, framed=False, cut=N // 2), "--sha256", sha256(ONE), code=3)


def digests():
    said = bad("another file", lambda r: r.serve(), "--sha256", sha256(TWO), code=3)
    assert sha256(ONE) in said and sha256(TWO) in said, said
    good("the right one", lambda r: r.serve(), "--sha256", sha256(ONE))
    flipped = bytearray(ONE)
    flipped[N // 2] ^= 1
    bad("one bit", lambda r: r.serve(data=bytes(flipped)), "--sha256", sha256(ONE), code=3)


def redirects():
    good("one", lambda r: r.status(302, Location="/m.gguf?there") if "?" not in r.h.path else r.serve())
    bad("a loop", lambda r: r.status(302, Location="/m.gguf"), words=["redirects without end"], code=5)
    assert len(server.log) < 15
    bad("to a file", lambda r: r.status(302, Location="file:///etc/passwd"), words=["hearth asks https"], code=1)
    bad("to another machine without TLS", lambda r: r.status(302, Location="http://192.0.2.1/m.gguf"),
        words=["http proves neither"], code=1)
    # a link that runs out is asked for anew
    def expires(r):
        if "?" not in r.h.path:
            r.status(302, Location=f"/m.gguf?{r.number}")
        elif r.number - int(r.h.path.split("?")[1]) > 4:
            r.status(403)
        else:
            r.serve()
    good("a link that runs out", expires, most=int(N * 1.5))


def ranges():
    good("416 once", once(3, lambda r: r.status(416, Content_Range=f"bytes */{N}")), words=["from the beginning"])
    bad("416 always", lambda r: r.status(416, Content_Range="bytes */0"))
    good("another range, once", once(2, lambda r: r.status(206, ONE[:PIECE], ETag='"v1"',
                                                          Content_Range=f"bytes 0-{PIECE - 1}/{N}")))
    bad("another range, always", lambda r: r.status(206, ONE[5:PIECE + 5], ETag='"v1"',
                                                    Content_Range=f"bytes 5-{PIECE + 4}/{N}"), words=["another part"])
    bad("206 without saying which", lambda r: r.status(206, ONE[:PIECE], ETag='"v1"'), words=["did not say which"])
    good("no ranges", lambda r: r.serve(ranges=False), most=int(N * 1.2))
    good("ranges only at first", lambda r: r.serve(ranges=r.number < 4), words=["from the beginning"])
    good("no ETag", lambda r: r.serve(etag=None))
    good("no ETag, but a digest", lambda r: r.serve(etag=None), "--sha256", sha256(ONE), most=int(N * 1.2))
    good("no ETag, cut", lambda r: r.serve(etag=None, cut=5000 if r.number == 2 else None))
    good("a date", lambda r: r.serve(etag=None, Last_Modified="Tue, 01 Sep 2026 10:00:00 GMT"), most=int(N * 1.2))
    good("a weak ETag", lambda r: r.serve(etag='W/"v1"'), most=int(N * 1.2))


def changes():
    def later(r):  # a new version from the fifth request on
        r.serve(data=TWO, etag='"v2"') if r.number > 4 else r.serve()
    good("a new version midway", later, words=["the file has changed on the server", "from the beginning"], data=TWO)
    def ignores_condition(r):  # and a server that knows no If-Range
        r.if_range = None
        later(r)
    good("the same, without If-Range", ignores_condition, words=["the file has changed"], data=TWO)
    bad("every time another", lambda r: r.serve(etag=f'"v{r.number}"'), words=["again and again"], code=5)
    good("every time another, but a digest", lambda r: r.serve(etag=f'"v{r.number}"'), "--sha256", sha256(ONE))
    short = gguf(300000, 3)
    good("a shorter version midway", lambda r: r.serve(data=short, etag='"v2"') if r.number > 4 else r.serve(), data=short)
    bad("gzip that nobody asked for", lambda r: r.serve(Content_Encoding="gzip"), words=["gzip"], code=5)


def refusals():
    for code in (408, 429, 500, 502, 503, 504):
        good(f"{code}, then fine", once(1, lambda r: r.status(code), 2, 5), most=int(N * 1.5))
    with Home() as h:
        server.forget()
        server.answer = once(1, lambda r: r.status(429, Retry_After="1"))
        start = time.monotonic()
        assert h.pull(server.url + "/m.gguf") == 0 and time.monotonic() - start >= 1, h.said
        h.done()
    bad("an hour", lambda r: r.status(503, Retry_After="3600"), words=["3600 s"], code=5)
    assert len(server.log) == 1
    bad("404", lambda r: r.status(404), words=["404"], code=3)
    bad("401", lambda r: r.status(401), words=["token"], code=1)
    bad("500", lambda r: r.status(500), words=["500", "after 3 tries"], code=5)
    bad("what is no HTTP", lambda r: (r.raw(b"220 ftp.example.org ready\r\n"), r.close()))
    bad("a header without end", lambda r: r.raw(b"HTTP/1.1 200 ok\r\n" + b"x-long: y\r\n" * 20000))
    with Home() as h:
        assert h.pull("http://127.0.0.1:9/m.gguf") == 5
        h.none("seems to be offline", "keep working")
    with Home() as h:
        assert h.pull("http://192.0.2.1/m.gguf") == 1
        h.none("http proves neither")


def drips():
    good("a stream that stops", once(3, lambda r: (r.raw(b"HTTP/1.1 206 x\r\n"), time.sleep(30))), "--timeout", "1")
    good("a stream that drips", once(3, lambda r: r.serve(rate=400)), "--timeout", "1", most=int(N * 1.5))


def places():
    with Home() as h:
        server.forget()
        server.answer = lambda r: r.serve()
        url = server.url + "/m.gguf"
        assert h.pull(url) == 0
        sent = server.sent()
        assert h.pull(url) == 0 and "was there already" in h.said and server.sent() < sent + 1000, h.said
        assert h.pull(url, "--sha256", sha256(ONE)) == 0
        assert h.pull(url, "--sha256", sha256(TWO)) == 3 and "another SHA-256" in h.said, h.said
        server.answer = lambda r: r.serve(data=TWO + b"1234")
        assert h.pull(url) == 3 and "is there already" in h.said, h.said
        h.done()
        server.answer = lambda r: r.serve()
        assert h.pull(server.url + "/m.gguf?download=true", "--name", "other", "--json") == 0, h.said
        doc = json.loads(h.said)
        assert doc["files"][0]["path"].endswith("models/other.gguf") and doc["files"][0]["sha256"] == sha256(ONE)


def disks():
    # no more than half of the file may be written: what a disk says that is full
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (N // 2, N // 2))
    for args in ((), ("--sha256", sha256(ONE))):
        with Home() as h:
            server.forget()
            server.answer = lambda r: r.serve()
            assert h.pull(server.url + "/m.gguf", *args, preexec_fn=limited) == 4, h.said
            h.none("more is needed")
            assert h.pull(server.url + "/m.gguf", *args) == 0, h.said
            h.done()
    with Home() as h:  # nobody says how long it is: it is noticed while it comes
        server.answer = lambda r: r.serve(ranges=False, chunked=True)
        assert h.pull(server.url + "/m.gguf", preexec_fn=limited) == 4, h.said
        h.none("File too large")
    if os.geteuid() == 0 and not subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        small()


def small():
    """A real small disk, in a mount namespace of its own."""
    with Home() as h:
        server.forget()
        server.answer = lambda r: r.serve()
        script = f"mount -t tmpfs -o size=600k none {h.path} && mkdir {h.models} && {' '.join(h.command(server.url + '/m.gguf'))}"
        r = subprocess.run(["unshare", "-m", "sh", "-c", script], env=h.environment, capture_output=True, text=True)
        assert r.returncode == 4 and "more is needed" in r.stderr, (r.returncode, r.stdout, r.stderr)
        assert server.sent() < 2 * PIECE + 1000


def two_at_once():
    with Home() as h:
        server.forget()
        server.answer = lambda r: r.serve(rate=200000)
        pulls = [h.start(server.url + "/m.gguf") for _ in range(3)]
        said = [p.communicate() for p in pulls]
        assert [p.returncode for p in pulls] == [0, 0, 0], said
        assert sum("waiting for it" in e for _, e in said) == 2, said
        assert sum("was there already" in o for o, _ in said) == 2, said
        h.said = ""
        h.done()
        assert server.sent() < 1.2 * N + 4000, server.sent()


def interrupt():
    with Home() as h:
        server.forget()
        server.answer = lambda r: r.serve(rate=50000)
        p = h.start(server.url + "/m.gguf")
        while not server.log:
            time.sleep(0.01)
        time.sleep(1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=20)
        assert p.returncode == 1 and "cancelled" in err and "is kept" in err, (p.returncode, err)
        had = server.sent()
        server.forget()
        server.answer = lambda r: r.serve()
        assert h.pull(server.url + "/m.gguf") == 0, h.said
        h.done()
        assert had + server.sent() < N + 4 * PIECE, (had, server.sent())


def children(pid):
    try:
        return [int(c) for c in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def helper_of(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            for c in open(f"/proc/{pid}/task/{task}/children").read().split():
                return int(c)
        except OSError:
            pass
    return None


def kills(n, longest=1.6):
    """kill -9 of hearth-pull or of the command at a random moment, n times; then it comes to its end."""
    dice, done, rounds = random.Random(n), 0, 0
    while done < n:
        with Home() as h:
            server.forget()
            version = [ONE, '"v1"']
            server.answer = lambda r: r.serve(data=version[0], etag=version[1], rate=150000)
            rounds += 1
            for _ in range(30):
                p = h.start(server.url + "/m.gguf", *(("--sha256", sha256(ONE)) if rounds % 3 == 0 else ()))
                time.sleep(dice.random() * longest)
                try:
                    victim = p.pid if dice.random() < 0.5 else helper_of(p.pid)
                    if victim:
                        os.kill(victim, signal.SIGKILL)
                        done += 1
                except (OSError, ProcessLookupError):
                    pass
                out, err = p.communicate(timeout=60)
                h.said = out + err
                h.check(ONE)
                assert p.returncode in (0, 5, -signal.SIGKILL), (p.returncode, h.said)
                if h.model.exists() or done >= n:
                    break
            server.answer = lambda r: r.serve(data=version[0], etag=version[1])
            assert h.pull(server.url + "/m.gguf") == 0, h.said
            h.said = "after kills"
            h.done()
    return rounds


server = Faulty()
with server:
    server.files["/m.gguf"] = ONE
    if len(sys.argv) > 2 and sys.argv[1] == "--kills":
        print(f"{sys.argv[2]} kills in {kills(int(sys.argv[2]))} transfers: every model is whole")
        sys.exit(0)
    only = sys.argv[1:]
    for test in (cuts, lengths, digests, redirects, ranges, changes, refusals, drips, places, disks, two_at_once,
                 interrupt, lambda: kills(6)):
        if only and test.__name__ not in only:
            continue
        start = time.monotonic()
        test()
        print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
