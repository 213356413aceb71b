"""Sends a request in one of several ways, well-behaved and not, and reads as much of the answer as there is."""
import asyncio

SECONDS = 40


class Gone(Exception):
    """The other side closed, or said what is no HTTP."""


def head_of(ask, port, length):
    target = f"http://127.0.0.1:{port}{ask.path}" if ask.wire == "absolute" else ask.path
    rows = [f"{ask.method} {target} HTTP/1.{0 if ask.wire == 'http-1.0' else 1}", f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json"]
    rows += {"expect": ["Expect: 100-continue"], "closing": ["Connection: close"]}.get(ask.wire, [])
    rows += [f"{n}: {v}" for n, v in ask.headers]
    rows += length
    return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1")


def cuts(rng, body, n):
    at = sorted(rng.randrange(len(body) + 1) for _ in range(n))
    return [body[a:b] for a, b in zip([0] + at, at + [len(body)])]


def chunked(rng, body):
    pieces = [p for p in cuts(rng, body, rng.randrange(1, 9)) if p]
    return [f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces] + [b"0\r\n\r\n"]


def pieces_of(rng, ask, port):
    """What is written, piece by piece."""
    plain = head_of(ask, port, [f"Content-Length: {len(ask.body)}"])
    if ask.wire == "chunked":
        return [head_of(ask, port, ["Transfer-Encoding: chunked"]), *chunked(rng, ask.body)]
    if ask.wire == "both-lengths":
        return [head_of(ask, port, ["Content-Length: 5", "Transfer-Encoding: chunked"]), *chunked(rng, ask.body)]
    if ask.wire == "long-length":
        return [head_of(ask, port, [f"Content-Length: {len(ask.body) + 50}"]), ask.body]
    if ask.wire == "cut-body":
        return [plain, ask.body[:rng.randrange(len(ask.body))]]
    if ask.wire in ("slow", "pieces"):
        return cuts(rng, plain + ask.body, 4)
    return [plain + ask.body]


async def read_answer(reader, ask):
    """Status, headers and text of one answer into ask. Returns whether the connection goes on."""
    line = await reader.readline()
    while line.startswith(b"HTTP/1.1 100") or line == b"\r\n":
        line = await reader.readline()
    if not line.startswith(b"HTTP/1."):
        raise Gone(line)
    status, headers = int(line[9:12]), {}
    while (row := await reader.readline()).strip():
        name, _, value = row.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    ask.status, ask.provider = status, headers.get("x-hearth-provider", "")
    if headers.get("transfer-encoding") == "chunked":
        data = bytearray()
        while size := int((await reader.readline()).split(b";")[0] or b"x", 16):
            data += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    elif "content-length" in headers:
        data = await reader.readexactly(int(headers["content-length"]))
    else:
        data = await reader.read()
        headers["connection"] = "close"
    ask.text = bytes(data[:2000]).decode("utf-8", "replace")
    return headers.get("connection", "").lower() != "close"


class Client:
    """One asker: keeps a connection to each server as long as that is possible."""

    def __init__(self):
        self.open = {}       # port -> (reader, writer)

    async def connect(self, port):
        if port not in self.open:
            self.open[port] = await asyncio.open_connection("127.0.0.1", port)
        return self.open[port]

    def drop(self, port):
        pair = self.open.pop(port, None)
        if pair:
            pair[1].close()

    def close(self):
        for port in list(self.open):
            self.drop(port)

    async def send(self, rng, asks, port):
        """One request, or several behind each other (pipelined). What goes wrong on the way is no error here."""
        try:
            await asyncio.wait_for(self.talk(rng, asks, port), SECONDS)
        except (OSError, Gone, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
            for a in asks:
                a.status = a.status or (-1 if isinstance(e, asyncio.TimeoutError) else 0)
            self.drop(port)

    async def talk(self, rng, asks, port):
        ask = asks[0]
        reader, writer = await self.connect(port)
        if len(asks) > 1:
            writer.write(b"".join(b"".join(pieces_of(rng, a, port)) for a in asks))
        else:
            for piece in pieces_of(rng, ask, port):
                writer.write(piece)
                if ask.wire in ("slow", "pieces", "chunked"):
                    await writer.drain()
                    await asyncio.sleep(rng.choice((0, 0, 0.001, 0.02)) if ask.wire == "slow" else 0)
        await writer.drain()
        if ask.wire in ("leave-early", "cut-body", "long-length"):
            await asyncio.sleep(rng.choice((0, 0.001, 0.01, 0.05)))
            return self.drop(port)
        if ask.wire == "leave-late":
            await asyncio.wait_for(reader.readline(), SECONDS)
            return self.drop(port)
        for a in asks:
            if not await read_answer(reader, a):
                self.drop(port)
                if a is not asks[-1]:
                    raise Gone("closed between pipelined answers")
