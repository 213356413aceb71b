"""Servers that speak what models come from: Hugging Face's API with a content network on another host, and Python package
indexes (PEP 503 and PEP 691), over TLS with a certificate of their own. And wheels, right and wrong.

    with Hub() as hub:
        hub.pages["/simple/x/"] = ("text/html", b"...")
        hub.asked  ->  [(host, path, authorization), ...]"""
import base64
import hashlib
import io
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAIN, CDN = "127.0.0.1", "127.0.0.2"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def certificate(folder):
    if not shutil.which("openssl"):
        print("no openssl here to make a certificate: skipped")
        sys.exit(77)
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                           "-days", "2", "-subj", "/CN=hearth test", "-addext", f"subjectAltName=IP:{MAIN},IP:{CDN}",
                           "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], capture_output=True)
    assert done.returncode == 0, done.stderr
    return folder / "cert.pem", folder / "key.pem"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, kind, body, **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def do_GET(self):
        hub = self.server.hub
        host = self.server.server_address[0]
        path = self.path.split("?")[0]
        with hub.lock:
            hub.asked.append((host, self.path, self.headers.get("Authorization")))
        if hub.password and path.startswith("/simple/") and self.headers.get("Authorization") != hub.password:
            return self.answer(401, "text/plain", b"who are you?")
        page = hub.pages.get((host, path)) or hub.pages.get(path)
        if callable(page):
            page = page(self)
            if page is None:
                return None
        if page is None:
            return self.answer(404, "text/plain", b"no such page")
        if page[0] == "redirect":
            return self.answer(302, "text/plain", b"", Location=page[1])
        kind, body = page
        want = self.headers.get("Range")
        if not want:
            return self.answer(200, kind, body, ETag='"%s"' % sha256(body)[:16], Accept_Ranges="bytes")
        first, last = want.split("=")[1].split("-")
        first, last = int(first), min(int(last or len(body) - 1), len(body) - 1)
        if first >= len(body):
            return self.answer(416, kind, b"", Content_Range=f"bytes */{len(body)}")
        return self.answer(206, kind, body[first:last + 1], ETag='"%s"' % sha256(body)[:16],
                           Content_Range=f"bytes {first}-{last}/{len(body)}")


class Hub:
    def __init__(self):
        self.pages, self.asked, self.password = {}, [], None
        self.lock = threading.Lock()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-hub-"))
        self.cert, key = certificate(self.folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, key)
        self.servers = []
        for host in (MAIN, CDN):
            server = ThreadingHTTPServer((host, 0), Handler)
            server.hub = self
            server.daemon_threads = True
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)
        self.url, self.cdn = (f"https://{s.server_address[0]}:{s.server_address[1]}" for s in self.servers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.servers:
            s.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)

    def paths(self, host=None):
        """What was asked for since the last clear, without queries."""
        return [p.split("?")[0] for h, p, _ in self.asked if host in (None, h)]

    # ---- Hugging Face ----

    def repo(self, name, files, commit="c0ffee", revision=None, gated=False, licence="apache-2.0", lie=None):
        """files: {path: bytes}. lie: {path: other bytes that the content network sends}."""
        siblings = [{"rfilename": "README.md", "size": 5, "blobId": "x"}]
        for path, data in files.items():
            siblings.append({"rfilename": path, "size": len(data), "blobId": "y",
                             "lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 134}})
            there = f"/cdn/{name}/{path}"
            self.pages[f"/{name}/resolve/{commit}/{path}"] = ("redirect", self.cdn + there + "?signature=abc")
            self.pages[(CDN, there)] = ("binary/octet-stream", (lie or {}).get(path, data))
        doc = {"id": name, "sha": commit, "gated": gated, "cardData": {"license": licence}, "siblings": siblings}
        where = f"/api/models/{name}" + (f"/revision/{revision}" if revision else "")
        self.pages[where] = ("application/json", json.dumps(doc).encode())

    # ---- package indexes ----

    def package(self, name, wheels, style="json", index="/simple", host=None, wrong=()):
        """wheels: {file name: bytes}; their files lie at the content network, or at `host`. wrong: names whose digest is
        another's."""
        base = host or self.cdn
        links, files = [], []
        for file, data in wheels.items():
            digest = sha256(b"another" if file in wrong else data)
            self.pages[f"/files/{file}"] = ("application/zip", data)
            links.append(f'<a href="{base}/files/{file}#sha256={digest}">{file}</a><br/>')
            files.append({"filename": file, "url": f"{base}/files/{file}", "hashes": {"sha256": digest}, "size": len(data),
                          "yanked": False})
        page = json.dumps({"meta": {"api-version": "1.1"}, "name": name, "files": files}).encode()
        html = ("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>").encode()
        self.pages[f"{index}/{name}/"] = (("application/vnd.pypi.simple.v1+json", page) if style == "json" else
                                          ("text/html", html))

    def ask_password(self, user, password):
        self.password = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.url.replace("https://", f"https://{user}:{password}@")


def wheel(package, members, version="1.0", requires=(), compress=zipfile.ZIP_DEFLATED, licence="MIT"):
    """{file name: bytes} of a wheel; members: {name: bytes}."""
    out = io.BytesIO()
    stem = package.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {package}\nVersion: {version}\nLicense-Expression: {licence}\n"
    metadata += "".join(f"Requires-Dist: {r}\n" for r in requires) + "\nRequires-Dist: not-a-header\n"
    with zipfile.ZipFile(out, "w", compress) as z:
        z.writestr(f"{stem}/__init__.py", "")
        for name, data in members.items():
            z.writestr(name, data)
        z.writestr(f"{info}/METADATA", metadata)
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\n")
        z.writestr(f"{info}/RECORD", "")
    return {f"{stem}-{version}-py3-none-any.whl": out.getvalue()}
