"""hearth-pull itself: what it says and takes, what its sandbox denies, headers in ranges, and a front that breaks off."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.pull_helper import (BYTES, CANCEL, CHECK, CHECKED, CLOSE, DONE, ERROR, GET, HEADER, OPEN, PROGRESS,  # noqa: E402
                             Helper)
from lib.pulling import N, ONE, Home, run, server  # noqa: E402


def sandbox():
    with Home() as h, Helper() as p:
        secret = h.path / "ledger.db"
        secret.write_text("mine")
        opened = p.open(h, closed=[str(secret)])
        checks = opened["sandbox"]["checks"]
        assert opened["sandbox"]["seccomp"] and len(checks) >= 8 and all(c["denied"] for c in checks), opened
        if opened["sandbox"]["landlock"]:
            assert opened["closed"] == [{"path": str(secret), "errno": 13, "denied": True}], opened
        p.say(CLOSE, None)
        assert p.hear() is None and p.process.wait(10) == 0


def headers():
    with Home() as h, Helper() as p:
        p.open(h)
        for i, (first, n) in enumerate(((0, 1000), (1000, 5000), (N - 10, 100), (0, 2 * N))):
            heard = p.job(HEADER, i + 1, source=server.url + "/m.gguf", first=first, bytes=n)
            got = b"".join(b for kind, b in heard if kind == BYTES)
            assert got == ONE[first:first + n], (first, n, len(got), heard[-1])
            assert heard[-1][0] == DONE and heard[-1][1]["files"][0]["file_bytes"] == N, heard[-1]
        server.forget()
        server.answer = lambda r: r.serve(ranges=False)  # it is read up to there and no further
        heard = p.job(HEADER, 9, source=server.url + "/m.gguf", first=100, bytes=1000)
        assert b"".join(b for kind, b in heard if kind == BYTES) == ONE[100:1100]
        server.answer = lambda r: r.serve(cut=500) if r.number == 1 else r.serve()
        server.forget()
        heard = p.job(HEADER, 10, source=server.url + "/m.gguf", first=0, bytes=3000)
        assert b"".join(b for kind, b in heard if kind == BYTES) == ONE[:3000]
        heard = p.job(HEADER, 11, source=server.url + "/nosuch.gguf", bytes=10)
        assert heard[-1][0] == ERROR and heard[-1][1]["kind"] == "not-found", heard[-1]
        heard = p.job(HEADER, 12, source=server.url + "/m.gguf", bytes=0)
        assert heard[-1][0] == ERROR, heard[-1]
        server.answer = lambda r: r.serve()
        assert not list(h.models.glob("*.gguf"))  # nothing was written


def fetching():
    with Home() as h, Helper() as p:
        p.open(h)
        heard = p.job(GET, 1, source=server.url + "/m.gguf")
        assert heard[-1][0] == DONE, heard[-1]
        assert sum(kind == CHECK for kind, _ in heard) == 1
        assert h.model.read_bytes() == ONE
        # a second job of the same process
        heard = p.job(GET, 2, source=server.url + "/m.gguf", name="again")
        assert heard[-1][0] == DONE, heard[-1]
        heard = p.job(GET, 3, source=server.url + "/m.gguf", sha256="not one")
        assert heard[-1][0] == ERROR, heard[-1]


def judged():
    """What the front says no to gets no name."""
    with Home() as h, Helper() as p:
        p.open(h)
        p.say(GET, {"source": server.url + "/m.gguf"}, 1)
        while (said := p.hear())[0] != ERROR:
            assert said[0] in (PROGRESS, CHECK), said
            if said[0] == CHECK:
                assert pathlib.Path(said[2]["path"]).read_bytes() == ONE
                assert not list(h.models.glob("*.gguf"))
                p.say(CHECKED, {"ok": False, "text": "it is no good"}, 1)
        assert said[2] == {"kind": "format", "text": said[2]["text"]} and "it is no good" in said[2]["text"], said
        assert not list(h.models.glob("*.gguf*")), list(h.models.iterdir())


def cancelling():
    with Home() as h, Helper() as p:
        p.open(h)
        server.answer = lambda r: r.serve(rate=100000)
        p.say(GET, {"source": server.url + "/m.gguf"}, 7)
        while (said := p.hear())[2].get("done", 0) < 50000:
            assert said[0] == PROGRESS, said
        p.say(CANCEL, {}, 6)  # of another request: nothing
        assert p.hear()[0] == PROGRESS
        start = time.monotonic()
        p.say(CANCEL, {}, 7)
        while (said := p.hear())[0] == PROGRESS:
            pass
        assert said[0] == ERROR and said[2]["kind"] == "cancelled" and time.monotonic() - start < 3, said
        server.answer = lambda r: r.serve()
        assert p.job(GET, 8, source=server.url + "/m.gguf")[-1][0] == DONE
        assert h.model.read_bytes() == ONE


def breaking():
    """A front that breaks the protocol, or is gone, ends it."""
    for kind, payload in ((GET, {"source": "x"}), (99, {}), (CHECKED, {})):
        with Home(), Helper() as p:
            p.hear()
            p.say(kind, payload, 1)
            assert p.hear() is None and p.process.wait(10) != 0
    with Home() as h, Helper() as p:
        p.open(h)
        p.say(OPEN, {"models": "/"})
        assert p.hear() is None and p.process.wait(10) != 0
    with Home() as h, Helper() as p:
        p.open(h)
        server.answer = lambda r: r.serve(rate=50000)
        p.say(GET, {"source": server.url + "/m.gguf"}, 1)
        p.hear()
        p.socket.close()
        assert p.process.wait(10) is not None
        server.answer = lambda r: r.serve()
    for models in (None, "relative", 7):
        with Helper() as p:
            p.hear()
            p.say(OPEN, {"models": models})
            assert p.hear()[0] == ERROR


with server:
    run((sandbox, headers, fetching, judged, cancelling, breaking), sys.argv[1:])
