"""logit_bias: a banned token never appears, a forced one always does, whoever answers; what is no bias is a 400."""
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
openai = package("openai")
ASK = [{"role": "user", "content": "Name three cities of Europe."}]


def ids(text):
    out = subprocess.run([BUILD / "hearth", "tokenize", CACHE / f"{MODEL}.gguf", text], capture_output=True, text=True,
                         check=True).stdout
    return [int(i) for i in out.split()]


def chat(c, **more):
    return c.chat.completions.create(**{"model": MODEL, "messages": ASK, "temperature": 0, "max_tokens": 24,
                                        "logprobs": True, **more}).choices[0]


def tokens(choice):
    return [bytes(t.bytes) for t in choice.logprobs.content]


def a_banned_token_never_appears(c):
    free = chat(c)
    banned = set()
    for piece in set(tokens(free)):
        try:
            found = ids(piece.decode())
        except UnicodeDecodeError:
            continue
        if len(found) == 1 and piece.strip():
            banned.add((found[0], piece))
    assert len(banned) >= 5, banned
    bias = {str(i): -100 for i, _ in banned}
    texts = {piece for _, piece in banned}
    greedy = chat(c, logit_bias=bias)
    assert greedy.message.content != free.message.content and not texts & set(tokens(greedy)), greedy
    for seed in range(4):
        assert not texts & set(tokens(chat(c, logit_bias=bias, temperature=1.2, seed=seed)))
    as_list = chat(c, extra_body={"logit_bias": [[i, False] for i, _ in banned]})  # as llama-server takes it
    assert as_list.message.content == greedy.message.content
    choices = c.chat.completions.create(model=MODEL, messages=ASK, n=3, max_tokens=12, logprobs=True, logit_bias=bias)
    assert not any(texts & set(tokens(k)) for k in choices.choices)
    said = c.responses.create(model=MODEL, input=ASK, temperature=0, max_output_tokens=24, extra_body={"logit_bias": bias})
    assert said.output_text == greedy.message.content
    assert chat(c, logit_bias={}).message.content == free.message.content


def a_forced_token_always_appears(c):
    [paris] = ids(" Paris")
    forced = chat(c, logit_bias={str(paris): 100}, max_tokens=5, temperature=1, seed=3)
    assert tokens(forced) == [b" Paris"] * 5 and forced.finish_reason == "length", forced
    more = dict(model=MODEL, prompt="The capital of", max_tokens=3, temperature=0)
    r = c.completions.create(**more, logit_bias={paris: 100})
    assert r.choices[0].text == " Paris Paris Paris", r
    banned = {i: -100 for i in ids(c.completions.create(**more).choices[0].text)}
    assert not set(ids(c.completions.create(**more, logit_bias=banned).choices[0].text)) & set(banned)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["red", "blue"]}}}
    firsts = {word: ids(word)[0] for word in ("red", "blue")}
    for word, first in firsts.items():  # among what a schema allows
        [other] = [k for w, k in firsts.items() if w != word]
        got = chat(c, response_format=form, logit_bias={str(first): 60, str(other): -60}, logprobs=False)
        assert json.loads(got.message.content) == word, got


def what_is_no_bias_is_refused(c):
    many = {str(i): 1 for i in range(1025)}
    for bias, says in [({"5": 101}, "token 5"), ({"5": -100.5}, "token 5"), ({"5": "x"}, "token 5"), ({"x": 1}, "'x'"),
                       ({"-1": 1}, "'-1'"), ({"05": 1}, "'05'"), ({"99999999999": 1}, "99999999999"), (many, "1025"),
                       ({"10000000": 1}, "token 10000000"), ([5], "list"), ([["word", 1]], "list"), ("x", "object"),
                       ([[5, True]], "list")]:
        for call in (lambda **k: c.chat.completions.create(messages=ASK, **k),
                     lambda **k: c.completions.create(prompt="x", **k)):
            try:
                call(model=MODEL, max_tokens=2, extra_body={"logit_bias": bias})
                raise AssertionError(bias)
            except openai.BadRequestError as e:
                assert e.param == "logit_bias" and says in str(e), (bias, e.param, str(e))


class Upstream(http.server.BaseHTTPRequestHandler):
    arrived = []

    def do_POST(self):
        Upstream.arrived.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
                 "choices": [{"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write(f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def log_message(self, *args):
        pass


def a_remote_provider_is_told(c):
    bias = {"5": -100, "7": 2.5}
    assert c.chat.completions.create(model="cloud", messages=ASK, logit_bias=bias).choices[0].message.content == "yes"
    assert c.chat.completions.create(model="cloud", messages=ASK).choices[0].message.content == "yes"
    assert [body.get("logit_bias") for body in Upstream.arrived] == [bias, None]


upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=upstream.serve_forever, daemon=True).start()
os.environ["CLOUD_KEY"] = "key"
CONFIG = f"""version: 1
default_class: public
providers:
  - {{name: cloud, kind: openai, url: "http://127.0.0.1:{upstream.server_address[1]}/v1", model: up, key_env: CLOUD_KEY}}
"""
with Served(CONFIG) as served:
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0)
    for check in (a_banned_token_never_appears, a_forced_token_always_appears, what_is_no_bias_is_refused,
                  a_remote_provider_is_told):
        check(client)
        print("ok", check.__name__)
