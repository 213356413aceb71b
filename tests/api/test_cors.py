"""Pages of other sites: exactly the origins of the list, asked with a preflight that carries no key, over real sockets."""
import os
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import Served  # noqa: E402

SITE, OTHER = "https://chat.example.com", "http://localhost.example:3000"
folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-cors-"))
(folder / "key").write_text("key-0815")
KEYS = f"keys:\n  - {{name: a, key_file: {folder / 'key'}}}\n"
AUTH = {"Authorization": "Bearer key-0815"}


def preflight(s, origin, path="/v1/chat/completions", headers="authorization,content-type,x-stainless-lang"):
    return s.ask(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST",
                                "Access-Control-Request-Headers": headers}, method="OPTIONS")


with Served(f"version: 1\norigins: [\"{SITE}\"]\n{KEYS}") as s:
    code, headers, text = preflight(s, SITE)
    assert code == 204 and text == "", (code, text)
    assert headers["access-control-allow-origin"] == SITE and headers["vary"] == "Origin", headers
    assert headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
    assert set(headers["access-control-allow-methods"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    assert "access-control-allow-credentials" not in headers
    # what it lets through: answers, and errors too, so that the page sees why
    for path, auth, status in (("/v1/models", AUTH, 200), ("/v1/models", {}, 401), ("/nowhere", AUTH, 404),
                               ("/health", {}, 200)):
        code, headers, _ = s.ask(path, headers={"Origin": SITE, **auth})
        assert code == status and headers["access-control-allow-origin"] == SITE and headers["vary"] == "Origin", headers
        assert "x-request-id" in headers["access-control-expose-headers"]
    # near misses are other sites
    for origin in (OTHER, SITE + "/", SITE + ".evil.example", SITE + ":443", SITE.replace("https", "http"), SITE.upper(),
                   "https://example.com", "https://evil-chat.example.com", "null", "*"):
        for code, headers, _ in (preflight(s, origin), s.ask("/v1/models", headers={"Origin": origin, **AUTH})):
            assert code == 403 and "access-control-allow-origin" not in headers, (origin, code, headers)
    # a page on this machine may ask as before, without the headers of CORS
    code, headers, _ = s.ask("/v1/models", headers={"Origin": "http://localhost:3000", **AUTH})
    assert code == 200 and "access-control-allow-origin" not in headers and headers["vary"] == "Origin"
    # Host is checked as ever: a name that was bound again to loopback is none of ours
    assert s.ask("/v1/models", headers={"Origin": SITE, "Host": "chat.example.com", **AUTH})[0] == 403
    # a list of names that is none is not repeated, and OPTIONS without the question is no preflight
    assert "access-control-allow-headers" not in preflight(s, SITE, headers="a\"b;c")[1]
    assert s.ask("/v1/models", headers={"Origin": SITE}, method="OPTIONS")[0] == 405
    # the list is read again on SIGHUP
    (s.home / "config.yaml").write_text(f"version: 1\norigins: [\"{OTHER}\"]\n{KEYS}")
    os.kill(s.process.pid, signal.SIGHUP)
    s.wait_for("reloaded: 1 keys and their limits, 1 origins")
    assert preflight(s, SITE)[0] == 403 and preflight(s, OTHER)[0] == 204

with Served() as s:
    code, headers, _ = s.ask("/v1/models")
    assert code == 200 and "vary" not in headers and preflight(s, SITE)[0] == 403
print("ok")
