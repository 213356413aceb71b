"""A server that speaks (or garbles) OpenAI's chat completions. The first folder of the path is what it does.

Speaks TLS (with a certificate of its own, for 127.0.0.1) when the first byte says so.
Prints its port, then one line of JSON for each request it got. Ends when its standard input closes."""
import json
import os
import socket
import ssl
import threading
import time

OUT = threading.Lock()


def chunk(delta=None, finish=None, **more):
    doc = {"id": "c1", "object": "chat.completion.chunk", "model": "fake-1",
           "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}]}
    doc.update(more)
    return doc


def event(doc, end="\n\n"):
    return ("data: " + (doc if isinstance(doc, str) else json.dumps(doc, ensure_ascii=False)) + end).encode()


def head(conn, status="200 OK", kind="text/event-stream", *more):
    lines = ["HTTP/1.1 " + status, "Content-Type: " + kind, "Connection: close"] + list(more)
    conn.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def normal(conn, body):
    head(conn)
    out = b": a comment\n\n" + event(chunk({"role": "assistant", "content": ""}))
    for piece in ["Grüße", ", ", "🌍", "!"]:
        out += event(chunk({"content": piece}), "\r\n\r\n")
    out += event(chunk({}, "stop"))
    out += event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15,
                                           "prompt_tokens_details": {"cached_tokens": 3}}})
    out += event("[DONE]")
    for i in range(0, len(out), 7):  # characters and lines are cut everywhere
        conn.sendall(out[i:i + 7])
        time.sleep(0.0005)


def whole(conn, body):
    doc = json.dumps({"model": "fake-1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"},
                                                      "finish_reason": "length"}],
                      "usage": {"prompt_tokens": 2, "completion_tokens": 1}}).encode()
    head(conn, "200 OK", "application/json; charset=utf-8", "Content-Length: %d" % len(doc))
    conn.sendall(doc)


def logprobs(conn, body):
    head(conn)
    top = [{"token": "a", "logprob": -0.25, "bytes": [97]}, {"token": "b", "logprob": -2.0, "bytes": [98]}]
    c = chunk({"content": "a"})
    c["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": top}]}
    conn.sendall(event(c) + event(chunk({}, "stop")) + event("[DONE]"))


def html(conn, body):
    head(conn, "200 OK", "text/html")
    conn.sendall(b"<html>welcome to the hotel network</html>")


def notjson(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so far "})) + event("{\"choices\": [{]}"))


def nochoices(conn, body):
    head(conn)
    conn.sendall(event({"model": "fake-1"}))


def hang(conn, body):
    time.sleep(30)


def stall(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so far "})))
    time.sleep(30)


def truncated(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so far "})))


def cutlength(conn, body):
    head(conn, "200 OK", "text/event-stream", "Content-Length: 100000")
    conn.sendall(event(chunk({"content": "so far "})))


def nofinish(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so far "})) + event("[DONE]"))


def limited(conn, body):
    doc = b'{"error": {"message": "slow\\u0007 down", "type": "rate_limit"}}'
    head(conn, "429 Too Many Requests", "application/json", "Retry-After: 7", "Content-Length: %d" % len(doc))
    conn.sendall(doc)


def broken(conn, body):
    head(conn, "500 Oops", "text/html", "Content-Length: 4")
    conn.sendall(b"oops")


def redirect(conn, body):
    head(conn, "307 Elsewhere", "text/plain", "Location: http://127.0.0.1:1/normal/chat/completions",
         "Content-Length: 0")


def endless(conn, body):
    head(conn)
    text = event(chunk({"content": "x" * 60000}))
    while True:
        conn.sendall(text)


def endlessline(conn, body):
    head(conn)
    while True:
        conn.sendall(b"data: " + b"x" * 60000)


def filtered(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so "})) + event(chunk({}, "content_filter")) + event("[DONE]"))


def tools(conn, body):
    head(conn)
    conn.sendall(event(chunk({"tool_calls": [{"index": 0, "function": {"name": "f"}}]})))


def called(conn, body):
    def part(i, **function):
        return {"index": i, "function": function}
    head(conn)
    conn.sendall(event(chunk({"role": "assistant", "content": None, "reasoning": "hm"})) +
                 event(chunk({"tool_calls": [{**part(0, name="f", arguments=""), "id": "c1", "type": "function"}]})) +
                 event(chunk({"tool_calls": [part(0, arguments='{"a":')]})) +
                 event(chunk({"tool_calls": [part(0, arguments='1}')]})) +
                 event(chunk({}, "tool_calls")) + event("[DONE]"))


def second(conn, body):
    head(conn)
    c = chunk({"content": "other"})
    c["choices"][0]["index"] = 1
    conn.sendall(event(c))


def inband(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so "})) + event({"error": {"message": "out of memory"}}))


def empty(conn, body):
    head(conn)


def nothttp(conn, body):
    conn.sendall(b"\x00\x01\x02 this is not HTTP\r\n\r\n")


def slow(conn, body):
    head(conn)
    for _ in range(300):
        conn.sendall(event(chunk({"content": "tick "})))
        time.sleep(0.05)


TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
TLS.load_cert_chain(os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.pem"))


def serve(conn):
    data = b""
    if conn.recv(1, socket.MSG_PEEK) == b"\x16":
        try:
            conn = TLS.wrap_socket(conn, server_side=True)
        except OSError:
            return
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return
        data += more
    top, rest = data.split(b"\r\n\r\n", 1)
    lines = top.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (l.split(":", 1) for l in lines[1:])}
    while len(rest) < int(headers.get("content-length", 0)):
        rest += conn.recv(65536)
    path = lines[0].split()[1]
    with OUT:
        print(json.dumps({"path": path, "headers": headers, "body": json.loads(rest or b"null")}), flush=True)
    try:
        globals()[path.split("/")[1]](conn, rest)
    except OSError:
        pass
    conn.close()


def watch_parent():
    os.read(0, 1)
    os._exit(0)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(16)
print(listener.getsockname()[1], flush=True)
threading.Thread(target=watch_parent, daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
