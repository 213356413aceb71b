"""A file server that can be told to misbehave, and GGUF files for it to serve.

    with Faulty() as s:
        s.files["/m.gguf"] = gguf(1 << 20)
        s.answer = lambda r: r.cut(after=1000) if r.number == 2 else r.serve()

answer is called for each request (in a thread of the connection); r.number counts them from 1."""
import hashlib
import os
import random
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def gguf(n_bytes, seed=1):
    """A GGUF file (version 3) of one F32 tensor of about n_bytes of noise."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    n = max(n_bytes // 4, 32) // 32 * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("noise.weight") + struct.pack("<IQIQ", 1, n, 0, 0)
    head += b"\0" * (-len(head) % 32)
    return head + random.Random(seed).randbytes(4 * n)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Request:
    def __init__(self, handler, owner, number):
        self.h, self.owner, self.number = handler, owner, number
        self.path = handler.path.split("?")[0]
        self.range = self.if_range = None
        value = handler.headers.get("Range")
        if value:
            first, last = value.split("=")[1].split("-")
            self.range = int(first), int(last) if last else None
        self.if_range = handler.headers.get("If-Range")
        self.sent = 0

    def raw(self, data):
        self.h.wfile.write(data)
        self.h.wfile.flush()
        self.sent += len(data)

    def reset(self):
        """The connection ends as when a machine restarts."""
        self.h.close_connection = True
        self.h.wfile.flush()
        s = self.h.connection
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()

    def close(self):
        self.h.close_connection = True
        self.h.wfile.flush()
        try:
            self.h.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def status(self, code, body=b"", **headers):
        lines = [f"HTTP/1.1 {code} x", f"Content-Length: {len(body)}"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + body)

    def part(self, data=None, etag='"v1"', ranges=True, modified=None):
        """(status line's code, first, bytes, headers) of a server that behaves."""
        data = self.owner.files[self.path] if data is None else data
        headers = {"ETag": etag} if etag else {}
        if self.if_range and self.if_range not in (etag, modified):
            ranges = False
        if not self.range or not ranges:
            return 200, 0, data, headers
        first, last = self.range
        if first >= len(data):
            return 416, 0, b"", {"Content-Range": f"bytes */{len(data)}"}
        last = len(data) - 1 if last is None else min(last, len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        return 206, first, data[first:last + 1], headers

    def serve(self, data=None, etag='"v1"', ranges=True, cut=None, reset=False, rate=None, length=None, chunked=False,
              framed=True, **more):
        """cut: bytes of the body after which the connection ends (negative: counted from its end); rate: bytes a
        second; length: what Content-Length says instead."""
        code, _, body, headers = self.part(data, etag, ranges, more.get("Last_Modified"))
        headers.update({k.replace("_", "-"): str(v) for k, v in more.items()})
        lines = [f"HTTP/1.1 {code} x"]
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif framed:
            headers["Content-Length"] = str(len(body) if length is None else length)
        else:
            headers["Connection"] = "close"
        lines += [f"{k}: {v}" for k, v in headers.items() if v is not None and v != ""]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())
        if cut is not None:
            body = body[:cut]
        step = max(1024, rate // 50) if rate else 1 << 16
        for i in range(0, len(body), step):
            piece = body[i:i + step]
            self.raw(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if rate:
                time.sleep(len(piece) / rate)
        if chunked and cut is None:
            self.raw(b"0\r\n\r\n")
        if cut is not None or length is not None or not framed:
            self.reset() if reset else self.close()


class Faulty:
    def __init__(self, tls=None):
        """tls: (certificate, key) files."""
        owner = self
        self.files, self.log, self.lock = {}, [], threading.Lock()
        self.answer = lambda r: r.serve()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with owner.lock:
                    r = Request(self, owner, len(owner.log) + 1)
                    owner.log.append(r)
                try:
                    if r.path in owner.files:
                        owner.answer(r)
                    else:
                        r.status(404)
                except (OSError, ValueError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def forget(self):
        with self.lock:
            self.log.clear()

    def sent(self):
        return sum(r.sent for r in self.log)


class Proxy:
    """An HTTP proxy: absolute urls and CONNECT. What it was asked is in .log."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = []

    def __enter__(self):
        threading.Thread(target=self.loop, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def loop(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(conn,), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def one(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv(65536)
            if not data:
                return
            head += data
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.log.append((method, target))
        place = target if method == "CONNECT" else target.split("/")[2]
        host, port = place.rsplit(":", 1)
        # names of this test mean this machine: what is asked for by name can only have come through here
        up = socket.create_connection(("127.0.0.1", int(port)))
        if method == "CONNECT":
            conn.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
        else:
            head = head.replace(target.encode(), b"/" + target.split("/", 3)[3].encode(), 1)
            up.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        threading.Thread(target=self.pump, args=(up, conn), daemon=True).start()
        self.pump(conn, up)
