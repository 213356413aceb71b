"""An OpenAI-shaped upstream whose pace a test decides: the stand-in for a model where only hearth's own way is tested."""
import http.server
import json
import threading
import time


class Upstream:
    """up.pieces texts, up.gap seconds apart; up.hold (an Event): not before it is set. up.left counts who went early.
    up.status: what it answers with instead of 200; up.breaks: the answer breaks off before its end. up.body: the last
    request."""

    def __init__(self):
        self.pieces, self.gap, self.hold, self.left, self.asked = ["one ", "two ", "three"], 0, None, 0, 0
        self.status, self.breaks, self.body = 200, False, b""
        up = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                up.body = self.rfile.read(int(self.headers["content-length"]))
                up.asked += 1
                if up.status != 200:
                    self.send_error(up.status)
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                try:
                    up.answer(self.wfile)
                except OSError:
                    up.left += 1

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, out):
        def say(choices, **more):
            o = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices, **more}
            out.write(f"data: {json.dumps(o)}\n\n".encode())

        if self.hold:
            self.hold.wait(60)
        for piece in self.pieces:
            say([{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}])
            time.sleep(self.gap)
        if self.breaks:
            return
        say([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        say([], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
        out.write(b"data: [DONE]\n\n")

    def config(self):
        """The lines of config.yaml that name it `up`; open to every request."""
        return ("version: 1\ndefault_class: public\nproviders:\n"
                f"  - {{name: up, kind: openai, url: \"http://127.0.0.1:{self.server.server_address[1]}/v1\", model: up}}\n")
