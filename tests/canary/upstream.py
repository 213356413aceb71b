"""Recording upstreams: they keep every byte that arrives, also of requests that never become whole, and answer in the
dialect of OpenAI or Anthropic. TLS is undone here and not by asyncio, so that the bytes on the wire are kept as well.

Each upstream says to `grew(upstream, data)` what arrives, at once, and to `seen(upstream, data, body)` what it is in
the end: body is that of a whole request, or None."""
import asyncio
import json
import pathlib
import ssl

EGRESS = pathlib.Path(__file__).resolve().parent.parent / "egress"
AUTHORITY = EGRESS / "server-ca.pem"
TAIL = 4096           # of what arrived before is looked at together with what arrives now
SLOW_S = 0.3
MOODS = ("500", "429", "503", "slow", "cut", "garbage", "redirect", "hang-up", "tools")


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(EGRESS / "server.pem")
    return context


def openai_events(text, call):
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up"}
    delta = {"role": "assistant", "content": text}
    if call:
        delta = {"role": "assistant", "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {
            "name": "look_up", "arguments": "{\"what\": \"rain\"}"}}]}
    rows = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}]},
            {**head, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}]
    return "".join(f"data: {json.dumps(r)}\n\n" for r in rows) + "data: [DONE]\n\n"


def anthropic_events(text, call):
    block = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": text}
    if call:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": "{\"what\": \"rain\"}"}
    rows = [("message_start", {"message": {"id": "m", "type": "message", "role": "assistant", "content": [],
                                           "model": "up", "stop_reason": None, "usage": {"input_tokens": 3,
                                                                                         "output_tokens": 1}}}),
            ("content_block_start", {"index": 0, "content_block": block}),
            ("content_block_delta", {"index": 0, "delta": delta}), ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": "tool_use" if call else "end_turn"},
                               "usage": {"output_tokens": 2}}), ("message_stop", {})]
    return "".join(f"event: {k}\ndata: {json.dumps({'type': k, **v})}\n\n" for k, v in rows)


class Recorder(asyncio.Protocol):
    """One connection."""

    def __init__(self, up):
        self.up, self.wire, self.plain, self.tail = up, bytearray(), bytearray(), b""
        self.tls = None
        if up.tls:
            self.bio_in, self.bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = up.tls.wrap_bio(self.bio_in, self.bio_out, server_side=True)

    def connection_made(self, transport):
        self.transport = transport
        self.up.connections += 1

    def data_received(self, data):
        self.up.bytes += len(data)
        had = len(self.plain)
        if not self.tls:
            self.plain += data
        else:
            self.wire += data
            self.bio_in.write(data)
            try:
                while data := self.tls.read(65536):   # nothing: they said that they end
                    self.plain += data
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                self.transport.close()
            self.flush()
        if len(self.plain) > had:
            self.up.grew(self.up, bytes(self.plain[had:]))
        while self.whole():
            pass

    def flush(self):
        data = self.bio_out.read()
        if data:
            self.transport.write(data)

    def whole(self):
        """Takes one whole request from the beginning of what arrived; False: there is none yet."""
        end = self.plain.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.plain[:end]).decode("latin-1").lower()
        length = 0
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name == "content-length":
                length = int(value)
        if len(self.plain) < end + 4 + length:
            return False
        data, body = bytes(self.plain[:end + 4 + length]), bytes(self.plain[end + 4:end + 4 + length])
        del self.plain[:end + 4 + length]
        self.up.requests += 1
        self.up.seen(self.up, self.tail + data, body)
        self.tail = (self.tail + data)[-TAIL:]
        self.answer()
        return True

    def write(self, text):
        data = text.encode() if isinstance(text, str) else text
        if self.transport.is_closing():
            return
        if self.tls:
            self.tls.write(data)
            self.flush()
        else:
            self.transport.write(data)

    def answer(self):
        mood = self.up.mood()
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        body = self.up.events("good rain", mood == "tools")
        if mood in ("500", "429", "503"):
            after = "retry-after: 0\r\n" if mood == "429" else ""
            self.write(f"HTTP/1.1 {mood} no\r\n{after}content-type: application/json\r\ncontent-length: 26\r\n\r\n"
                       "{\"error\":{\"message\":\"no\"}} ")
        elif mood == "redirect":
            self.write(f"HTTP/1.1 307 there\r\nlocation: {self.up.elsewhere}\r\ncontent-length: 0\r\n\r\n")
        elif mood == "hang-up":
            self.transport.close()
        elif mood == "cut":
            self.write(head + f"content-length: {len(body)}\r\n\r\n" + body[:len(body) // 2])
            self.transport.close()
        elif mood == "garbage":
            self.write(head + "content-length: 12\r\n\r\ndata: {]\n\n\n\n")
        elif mood == "slow":
            asyncio.get_running_loop().call_later(SLOW_S, self.write,
                                                  head + f"content-length: {len(body)}\r\n\r\n" + body)
        else:
            self.write(head + f"content-length: {len(body)}\r\n\r\n" + body)

    def connection_lost(self, exc):
        rest = self.tail + bytes(self.plain)
        if self.plain:
            self.up.seen(self.up, rest, None)
        if self.wire:
            self.up.seen(self.up, bytes(self.wire), None)


class Upstream:
    """up.mood(): how the next request is answered, one of MOODS or another word for well."""

    def __init__(self, name, dialect, seen, grew, tls=False):
        self.name, self.dialect, self.seen, self.grew = name, dialect, seen, grew
        self.tls = server_context() if tls else None
        self.mood = lambda: "good"
        self.elsewhere = "http://127.0.0.1:9/"
        self.connections = self.requests = self.bytes = 0

    def events(self, text, call):
        return (anthropic_events if self.dialect == "anthropic" else openai_events)(text, call)

    async def start(self):
        self.server = await asyncio.get_running_loop().create_server(lambda: Recorder(self), "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"
        return self
