"""A server that speaks (or garbles) OpenAI's chat completions and Anthropic's messages. The first folder of the path is what it does.

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


def typed(kind, **more):
    return ("event: %s\n" % kind).encode() + event({"type": kind, **more})


def started(**usage):
    return typed("message_start", message={
        "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-fake-1",
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 25, "output_tokens": 1, **usage}})


def block(index, start, *deltas):
    out = typed("content_block_start", index=index, content_block=start) + typed("ping")
    for d in deltas:
        out += typed("content_block_delta", index=index, delta=d)
    return out + typed("content_block_stop", index=index)


def said(index, *pieces):
    return block(index, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": p} for p in pieces])


def stopped(reason, sequence=None, tokens=15):
    return (typed("message_delta", delta={"stop_reason": reason, "stop_sequence": sequence},
                  usage={"output_tokens": tokens}) + typed("message_stop"))


def claude(conn, body):
    head(conn)
    out = started(cache_creation_input_tokens=100, cache_read_input_tokens=40)
    out += block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hm"},
                 {"type": "signature_delta", "signature": "c2ln"})
    out += block(1, {"type": "redacted_thinking", "data": "abc"})
    out += said(2, "Grüße", ", ", "🌍!") + typed("news_of_later_versions", index=9) + stopped("end_turn")
    for i in range(0, len(out), 11):
        conn.sendall(out[i:i + 11])


def claudecalls(conn, body):
    head(conn)
    conn.sendall(started() + said(0, "I look. ") + block(
        1, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""}, {"type": "input_json_delta", "partial_json": "{\"a\":"},
        {"type": "input_json_delta", "partial_json": " 1}"}) + block(
        2, {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}) + stopped("tool_use"))


def claudestop(conn, body):
    head(conn)
    conn.sendall(started() + said(0, "so far") + stopped("stop_sequence", "END"))


def claudefull(conn, body):
    head(conn)
    conn.sendall(started() + said(0, "so far") + stopped("model_context_window_exceeded"))


def claudewhole(conn, body):
    doc = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-fake-1",
                      "content": [{"type": "text", "text": "whole "},
                                  {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, "b"]}}],
                      "stop_reason": "tool_use", "stop_sequence": None,
                      "usage": {"input_tokens": 3, "output_tokens": 2}}).encode()
    head(conn, "200 OK", "application/json", "Content-Length: %d" % len(doc))
    conn.sendall(doc)


def claudeerror(conn, body):
    head(conn)
    conn.sendall(started() + said(0, "so ") +
                 typed("error", error={"type": "overloaded_error", "message": "Overloaded"}))


def claudecut(conn, body):
    head(conn)
    conn.sendall(started() + said(0, "so far "))


def clauderefuses(conn, body):
    head(conn)
    conn.sendall(started() + stopped("refusal"))


def claudeodd(conn, body):
    head(conn)
    conn.sendall(started() + typed("content_block_delta", index=3, delta={"type": "text_delta", "text": "x"}))


def refuse(conn, status, kind, message, *more):
    doc = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    head(conn, status, "application/json", "Content-Length: %d" % len(doc), *more)
    conn.sendall(doc)


def overloaded(conn, body):
    refuse(conn, "529 Overloaded", "overloaded_error", "Overloaded")


def badrequest(conn, body):
    refuse(conn, "400 Bad Request", "invalid_request_error", "max_tokens: too large")


def nomodel(conn, body):
    refuse(conn, "404 Not Found", "not_found_error", "model: nobody")


def stubborn(conn, body):
    refuse(conn, "503 Later", "api_error", "not again", "x-should-retry: false")


ASKED = {}


def flaky(conn, body):
    """Two failures, then an answer."""
    ASKED["flaky"] = ASKED.get("flaky", 0) + 1
    if ASKED["flaky"] % 3:
        refuse(conn, "503 Later", "api_error", "starting", "retry-after-ms: 30")
    else:
        normal(conn, body)


def usedup(conn, body):
    head(conn, "200 OK", "text/event-stream", "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 600ms",
         "x-ratelimit-remaining-tokens: 150", "x-ratelimit-reset-tokens: 6m0s")
    conn.sendall(event(chunk({"content": "ok"})) + event(chunk({}, "stop")) + event("[DONE]"))


def usedlong(conn, body):
    head(conn, "200 OK", "text/event-stream", "anthropic-ratelimit-output-tokens-remaining: 0",
         "anthropic-ratelimit-output-tokens-reset: 2099-01-01T00:00:00Z")
    conn.sendall(event(chunk({"content": "ok"})) + event(chunk({}, "stop")) + event("[DONE]"))


def echo(conn, body, headers=None):
    """Says in its error what it was sent: an unkind server, or a careless one."""
    refuse(conn, "401 No", "authentication_error",
           "wrong key: " + headers.get("authorization", headers.get("x-api-key", "none")))


def elsewhere(conn, body):
    head(conn, "307 Elsewhere", "text/plain", "Location: http://localhost:%d/normal/chat/completions" % PORT,
         "Content-Length: 0")


def reset(conn, body):
    head(conn)
    conn.sendall(event(chunk({"content": "so far "})))
    time.sleep(0.2)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def drip(conn, body):
    head(conn)
    while True:
        conn.sendall(b":")
        time.sleep(0.02)


def bighead(conn, body):
    head(conn, "200 OK", "text/event-stream", *["x-more-%d: %s" % (i, "y" * 1000) for i in range(90)])
    conn.sendall(event(chunk({"content": "ok"})) + event(chunk({}, "stop")) + event("[DONE]"))


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
        mode = path.split("/")[3 if path.startswith("http://") else 1]  # a proxy is asked for whole urls
        globals()[mode](conn, rest, *([headers] if mode == "echo" else []))
    except OSError:
        pass
    conn.close()


def watch_parent():
    os.read(0, 1)
    os._exit(0)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(16)
PORT = listener.getsockname()[1]
print(PORT, flush=True)
threading.Thread(target=watch_parent, daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
