"""llama-server's own paths of a real `hearth serve` by plain HTTP: texts, tokens, templates against `hearth tokenize`
and, where PEER_LLAMA_SERVER names a llama-server, against that."""
import json
import os
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, Served, free_port, need  # noqa: E402

HEARTH = str(BUILD / "hearth")
WEIGHTS = str(need(CACHE / f"{MODEL}.gguf"))
UNEVEN = "héé €🙂 ünd\tso"  # characters that are cut between tokens
TEXTS = ["Hello, world", UNEVEN, " a  b\n\n c ", "<|im_start|>user\nHi<|im_end|>\n", ""]


def post(url, path, body, timeout=120):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def ask(s, path, **body):
    code, reply = post(s.url, path, body)
    assert code == 200, (path, str(body)[:300], code, str(reply)[:300])
    return reply


def program(*args):
    return subprocess.run([HEARTH, *args], capture_output=True, check=True).stdout


def ids_of(text, *options, weights=WEIGHTS):
    return json.loads(program("tokenize", "--json", *options, "--", weights, text))


def models(s):
    """Names and files: byte-level BPE, SentencePiece, WordPiece, as far as the cache has them."""
    yield MODEL, WEIGHTS
    for name in ("gemma", "minilm"):
        if (s.home / f"models/{name}.gguf").exists():
            yield name, str(s.home / f"models/{name}.gguf")


def tokenize(s):
    for name, weights in models(s):
        for text in TEXTS:
            for special in (False, True):
                for around in (False, True):
                    options = ["--special"] * special + ["--bos"] * around
                    got = ask(s, "/tokenize", model=name, content=text, add_special=around, parse_special=special)
                    assert got == {"tokens": ids_of(text, *options, weights=weights)}, (name, text, options, got)
    for text in TEXTS:  # without names, as its clients ask: the default model; special tokens are read, none are added
        assert ask(s, "/tokenize", content=text)["tokens"] == ids_of(text, "--special")
    pieces = ask(s, "/tokenize", content=UNEVEN, with_pieces=True)["tokens"]
    assert [p["id"] for p in pieces] == ids_of(UNEVEN) and any(isinstance(p["piece"], list) for p in pieces)
    as_bytes = [bytes(p["piece"]) if isinstance(p["piece"], list) else p["piece"].encode() for p in pieces]
    assert b"".join(as_bytes).decode() == UNEVEN, pieces


def mixed(s):
    one, two = ids_of("Hello"), ids_of(" world")
    assert ask(s, "/tokenize", content=["Hello", 7, 8, " world"])["tokens"] == one + [7, 8] + two
    assert ask(s, "/tokenize", content=[7, "Hello", " world"], with_pieces=False)["tokens"] == [7] + one + two
    assert ask(s, "/tokenize", content=[5, 6, 7])["tokens"] == [5, 6, 7]
    if (s.home / "models/gemma.gguf").exists():
        begun = ask(s, "/tokenize", model="gemma", content=["Hello", 9], add_special=True)["tokens"]
        assert begun == ask(s, "/tokenize", model="gemma", content="Hello", add_special=True)["tokens"] + [9]
        assert len(begun) == 3, begun
        inner = ask(s, "/tokenize", model="gemma", content=[9, "Hello"], add_special=True)["tokens"]
        assert inner == [9] + begun[1:2], inner


def detokenize(s):
    for name, weights in models(s):
        for text in TEXTS:
            ids = ids_of(text, "--special", weights=weights)
            got = ask(s, "/detokenize", model=name, tokens=ids)["content"]
            if ids:
                said = program("tokenize", "--decode", "--", weights, " ".join(map(str, ids))).decode()
                assert got + "\n" == said, (name, text, got)
            if name != "minilm":  # whose words lose case and accents
                assert got == text, (name, text, got)
    ids = ids_of(UNEVEN)
    for n in range(len(ids)):  # cut within characters: whole ones still, and what is cut is marked
        got = ask(s, "/detokenize", tokens=ids[:n])["content"]
        assert got.rstrip("\ufffd") == UNEVEN[:len(got.rstrip("\ufffd"))], got
    long = ids_of("word " * 100) * 400  # more than one message of the worker's
    got = ask(s, "/detokenize", tokens=long)["content"]
    assert len(long) > 40000 and got.count("word") == 40000
    text = "x1é " * 100000
    assert ask(s, "/detokenize", tokens=ask(s, "/tokenize", content=text)["tokens"])["content"] == text


def template(s):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a river. é"}]
    for name, weights in models(s):
        if name == "minilm":
            continue
        body = dict(model=name, messages=messages if name != "gemma" else messages[1:])
        prompt = ask(s, "/apply-template", **body)["prompt"]
        assert "Name a river. é" in prompt and "<bos>" not in prompt, prompt
        # the text, read as /completion reads texts, is as long as what the conversation itself takes
        n = len(ask(s, "/tokenize", model=name, content=prompt, add_special=True)["tokens"])
        used = ask(s, "/v1/chat/completions", max_tokens=1, **body)["usage"]["prompt_tokens"]
        assert n == used > 10, (name, n, used, prompt)
    prompt = ask(s, "/apply-template", messages=messages)["prompt"]
    assert prompt == ("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nName a river. é<|im_end|>\n"
                      "<|im_start|>assistant\n"), prompt
    tool = {"type": "function", "function": {"name": "river_of", "description": "d", "parameters": {"type": "object"}}}
    assert "river_of" in ask(s, "/apply-template", messages=messages, tools=[tool])["prompt"]


def refusals(s):
    for path, says, body in (
            ("/tokenize", "'content' must be", dict()), ("/tokenize", "'content' must be", dict(content=5)),
            ("/tokenize", "'content' must be", dict(content=[])), ("/tokenize", "no token id", dict(content=[1, -1])),
            ("/tokenize", "'content' must be", dict(content=["a", {}])),
            ("/tokenize", "zero byte", dict(content="a\0b")),
            ("/tokenize", "token 0 is not an id", dict(content=["a", 99999999])),
            ("/tokenize", "more than 256", dict(content=["a", 1] * 200)),
            ("/tokenize", "did you mean 'content'", dict(contents="a")),
            ("/tokenize", "'add_special' must be true or false", dict(content="a", add_special=1)),
            ("/tokenize", "a task is asked", dict(content="a", model="task:x")),
            ("/detokenize", "'tokens' must be", dict()), ("/detokenize", "'tokens' must be", dict(tokens="a")),
            ("/detokenize", "without texts", dict(tokens=[1, "a"])),
            ("/detokenize", "is not an id", dict(tokens=[1, 99999999])),
            ("/apply-template", "'messages'", dict()),
            ("/apply-template", "unknown field", dict(messages=[{"role": "user", "content": "x"}], nothing=1))):
        code, reply = post(s.url, path, body)
        error = reply["error"]
        assert code == error["code"] == 400 and says in error["message"], (path, body, code, reply)
        assert error["type"] == "invalid_request_error"
    assert post(s.url, "/tokenize", b"{")[0] == 400
    code, reply = post(s.url, "/tokenize", dict(content="a", model="nothing"))
    assert code == reply["error"]["code"] == 404 and reply["error"]["type"] == "not_found_error", reply
    try:
        urllib.request.urlopen(s.url + "/tokenize", timeout=10)
        assert False
    except urllib.error.HTTPError as e:
        assert e.code == 405 and json.loads(e.read())["error"]["code"] == 405
    assert ask(s, "/detokenize", tokens=[]) == {"content": ""}


def with_template(source, to):
    """A base model with a template that begins with the token that texts begin with. Its key is as long as the file's
    alignment, so that nothing behind it moves against that."""
    text = ("{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n"
            "{% endfor %}<start_of_turn>model\n")
    key, data = b"tokenizer.chat_template", source.read_bytes()
    text += "{#" + " " * (-(8 + len(key) + 4 + 8 + len(text) + 4) % 32) + "#}"
    n_kv = struct.unpack_from("<Q", data, 16)[0]
    pair = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(text)) + text.encode()
    to.write_bytes(data[:16] + struct.pack("<Q", n_kv + 1) + pair + data[24:])


def add_models(s):
    folder, gemma = CACHE / "minilm", CACHE / "gemma-3-270m-q4_k_m.gguf"
    if folder.exists():
        subprocess.run([HEARTH, "import", folder, s.home / "models/minilm.gguf"], check=True)
    if gemma.exists():
        with_template(gemma, s.home / "models/gemma.gguf")


class Peer:
    """with Peer() as p: p.url, a llama-server with the same model; p is None where there is none"""

    def __enter__(self):
        self.process = None
        if not os.environ.get("PEER_LLAMA_SERVER"):
            print("PEER_LLAMA_SERVER names no llama-server: not compared with one")
            return None
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([os.environ["PEER_LLAMA_SERVER"], "-m", WEIGHTS, "--port", str(port), "-c", "2048",
                                         "-t", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the peer did not start")

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait(20)


def as_the_peer_says(s, p):
    for text in TEXTS:
        for more in ({}, {"add_special": True}, {"parse_special": False}, {"with_pieces": True}):
            body = dict(content=text, **more)
            assert ask(s, "/tokenize", **body) == ask(p, "/tokenize", **body), body
    assert ask(s, "/tokenize", content=["Hello", 7, " x"]) == ask(p, "/tokenize", content=["Hello", 7, " x"])
    for ids in (ids_of(UNEVEN), [1, 2, 3], []):
        assert ask(s, "/detokenize", tokens=ids) == ask(p, "/detokenize", tokens=ids)
    body = dict(messages=[{"role": "user", "content": "Name a river. é"}])
    assert ask(s, "/apply-template", **body)["prompt"] == ask(p, "/apply-template", **body)["prompt"]


def main():
    with Served(args=[MODEL]) as s:
        add_models(s)
        for test in (tokenize, mixed, detokenize, template, refusals):
            test(s)
            print("ok", test.__name__, flush=True)
        with Peer() as p:
            if p:
                as_the_peer_says(s, p)
                print("ok as_the_peer_says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
