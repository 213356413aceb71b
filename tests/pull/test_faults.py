"""`hearth pull` against a server that cuts, lies, redirects and changes: a model in its place is whole, what came before is
not fetched again, and what is wrong is said."""
import json
import os
import pathlib
import resource
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import gguf, sha256  # noqa: E402
from lib.pulling import N, ONE, PIECE, TWO, Home, bad, good, once, run, server  # noqa: E402


def cuts():
    for after, reset in ((0, False), (1, True), (1000, False), (1000, True), (PIECE - 1, True), (-1, False)):
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
    # a link that runs out is asked for anew; only the early ones do, since many connections ask between another's two
    # questions
    expired = []

    def expires(r):
        if "?" not in r.h.path:
            r.status(302, Location=f"/m.gguf?{r.number}")
        elif r.number > 9 > int(r.h.path.split("?")[1]):
            expired.append(r.number)
            r.status(403)
        else:
            r.serve()
    good("a link that runs out", expires, most=int(N * 1.5))
    assert expired, "no link ran out"


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


def places():
    with Home() as h:
        server.forget()
        server.files["/other/m.gguf"] = TWO
        server.answer = lambda r: r.serve()
        url = server.url + "/m.gguf"
        assert h.pull(url) == 0
        sent = server.sent()
        assert h.pull(url) == 0 and "was there already" in h.said and server.sent() < sent + 1000, h.said
        assert h.pull(url, "--sha256", sha256(ONE)) == 0
        assert h.pull(url, "--sha256", sha256(TWO)) == 3 and "is there already" in h.said, h.said
        assert h.pull(server.url + "/other/m.gguf") == 3 and "is there already" in h.said, h.said
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
        assert r.returncode == 4 and "needed" in r.stderr, (r.returncode, r.stdout, r.stderr)
        assert server.sent() < 2 * PIECE + 1000


with server:
    run((cuts, lengths, digests, redirects, ranges, changes, places, disks), sys.argv[1:])
