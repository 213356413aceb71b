"""`hearth pull` and time: servers that ask for patience or go silent, several pulls of one file, Ctrl-C, kill -9. A model in
its place is whole.  --kills N: that many kills, for make torture."""
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import sha256  # noqa: E402
from lib.pulling import N, ONE, PIECE, Home, bad, good, once, run, server  # noqa: E402


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


def killed():
    kills(6)


with server:
    if len(sys.argv) > 2 and sys.argv[1] == "--kills":
        print(f"{sys.argv[2]} kills in {kills(int(sys.argv[2]))} transfers: every model is whole")
        sys.exit(0)
    run((refusals, drips, two_at_once, interrupt, killed), sys.argv[1:])
