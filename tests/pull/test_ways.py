"""The ways to a server: proxies and certificates of the environment, a link from https to http, and no way at all."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import Faulty, Proxy  # noqa: E402
from lib.pulling import ONE, Home, run, server  # noqa: E402

EGRESS = pathlib.Path(__file__).resolve().parent.parent / "egress"
CA, OTHER_CA = str(EGRESS / "server-ca.pem"), "/etc/ssl/certs/ca-certificates.crt"
tls = Faulty(tls=(EGRESS / "server.pem", EGRESS / "server.pem"))
tls.files["/m.gguf"] = ONE


def certificates():
    with Home() as h:
        assert h.pull(tls.url + "/m.gguf") == 5, h.said
        h.none("certificate")
        assert h.said.count("\n") == 1, h.said  # it is not tried again
    for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
        with Home(**{name: CA}) as h:
            assert h.pull(tls.url + "/m.gguf") == 0, (name, h.said)
            h.done()
    with Home(SSL_CERT_FILE=CA, PIP_CERT=OTHER_CA) as h:  # the first that is set
        assert h.pull(tls.url + "/m.gguf") == 0, h.said
    with Home(SSL_CERT_FILE="/nonexistent/ca.pem") as h:
        assert h.pull(tls.url + "/m.gguf") == 5, h.said
        h.none("/nonexistent/ca.pem")


def proxies():
    with Proxy() as p:
        name = f"http://models.invalid:{server.port}/m.gguf"  # a name that only the proxy knows
        for variable in ("http_proxy", "all_proxy", "ALL_PROXY"):
            p.log.clear()
            with Home(**{variable: p.url}) as h:
                assert h.pull(name, "--insecure-http") == 0, h.said
                h.done()
                assert p.log and p.log[0] == ("GET", name), p.log
        for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
            p.log.clear()
            with Home(SSL_CERT_FILE=CA, **{variable: p.url}) as h:
                assert h.pull(tls.url + "/m.gguf") == 0, h.said
                h.done()
                assert ("CONNECT", f"127.0.0.1:{tls.port}") in p.log, p.log
        p.log.clear()
        with Home(http_proxy=p.url, no_proxy="127.0.0.1,localhost") as h:
            assert h.pull(server.url + "/m.gguf") == 0, h.said
            h.done()
        with Home(http_proxy=p.url) as h:  # without leave, a proxy is no reason for http
            assert h.pull(name) == 1, h.said
            h.none("http proves neither")
        assert not p.log, p.log
    with Home(https_proxy="http://127.0.0.1:9") as h:
        assert h.pull("https://example.invalid/m.gguf") == 5, h.said
        h.none("seems to be offline")


def downgrade():
    tls.answer = lambda r: r.status(302, Location=server.url + "/m.gguf")
    with Home(SSL_CERT_FILE=CA) as h:
        assert h.pull(tls.url + "/m.gguf") == 1, h.said
        h.none("from https to http")
    server.answer = lambda r: r.status(302, Location=tls.url + "/m.gguf") if r.path == "/m.gguf" else None
    tls.answer = lambda r: r.serve()
    with Home(SSL_CERT_FILE=CA) as h:
        assert h.pull(server.url + "/m.gguf") == 0, h.said
        h.done()
    server.answer = lambda r: r.serve()


def secrets():
    """Users, passwords and queries are in no sentence and no note."""
    with Home() as h:
        url = server.url.replace("//", "//someone:secret@") + "/m.gguf?signature=hidden"
        server.answer = lambda r: r.status(500)
        assert h.pull(url, "--tries", "2") == 5
        assert "secret" not in h.said and "hidden" not in h.said, h.said
        server.answer = lambda r: r.serve()
        assert h.pull(url) == 0, h.said
        note = (h.models / "m.gguf.json").read_text()
        assert "secret" not in note, note


def offline():
    with Home() as h:
        assert h.pull("https://nosuch.invalid/m.gguf") == 5
        h.none("seems to be offline", "models that are already here keep working")
        server.answer = lambda r: r.serve()
        assert h.pull(server.url + "/m.gguf") == 0
        # the server is gone: what is here is still found
        assert h.pull("http://127.0.0.1:9/m.gguf") == 0 and "could not be asked" in h.said, h.said
        h.check(ONE)


with server, tls:
    run((certificates, proxies, downgrade, secrets, offline), sys.argv[1:])
