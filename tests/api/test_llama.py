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
from lib.served import BUILD, CACHE, MODEL, TINY, Served, free_port, need  # noqa: E402

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


def streamed(s, body):
    """The chunks of a stream."""
    request = urllib.request.Request(s.url + "/completion", json.dumps({**body, "stream": True}).encode())
    with urllib.request.urlopen(request, timeout=120) as r:
        assert r.headers["Content-Type"] == "text/event-stream"
        lines = r.read().decode().split("\n\n")
    expected = ("data: {", ":") if isinstance(s, Served) else ("data: {", ":", "data: null")  # as the peer begins some
    assert lines[-1] == "" and all(line.startswith(expected) for line in lines[:-1]), lines
    return [json.loads(line[6:]) for line in lines[:-1] if line.startswith("data: {")]


GREEDY = dict(temperature=0, n_predict=12)
FINAL = {"index", "content", "tokens", "id_slot", "stop", "model", "tokens_predicted", "tokens_evaluated",
         "generation_settings", "prompt", "has_new_line", "truncated", "stop_type", "stopping_word", "tokens_cached",
         "timings"}


def completion(s):
    """What /v1/completions says, in the other shape."""
    for text in ("The capital of France is", UNEVEN):
        got = ask(s, "/completion", prompt=text, return_tokens=True, **GREEDY)
        other = ask(s, "/v1/completions", model=MODEL, prompt=text, temperature=0, max_tokens=12, logprobs=0)
        assert set(got) == FINAL and got["stop"] is True and got["prompt"] == text
        assert got["content"] == other["choices"][0]["text"] and got["model"] == f"{MODEL}.gguf"
        assert got["tokens_predicted"] == len(got["tokens"]) == other["usage"]["completion_tokens"]
        assert got["tokens_evaluated"] == other["usage"]["prompt_tokens"] == len(ids_of(text, "--bos"))
        assert ask(s, "/detokenize", tokens=got["tokens"])["content"].startswith(got["content"])
        assert got["has_new_line"] == ("\n" in got["content"]) and got["truncated"] is False
        if not TINY:
            assert (got["stop_type"] == "limit") == (got["tokens_predicted"] == 12) and got["stopping_word"] == ""
        times = got["timings"]
        assert times["predicted_n"] == got["tokens_predicted"] and times["predicted_ms"] > 0
        assert times["prompt_n"] + times["cache_n"] == got["tokens_evaluated"] and times["cache_n"] == got["tokens_cached"]
        assert abs(times["predicted_per_second"] * times["predicted_per_token_ms"] / 1000 - 1) < 1e-6
        settings = got["generation_settings"]
        assert settings["temperature"] == 0 and settings["n_predict"] == 12 and settings["top_k"] == 40
        again = ask(s, "/completion", prompt=text, samplers=settings["samplers"], cache_prompt=False, id_slot=0, **GREEDY)
        assert again["content"] == got["content"] and again["tokens"] == []
    drawn = dict(prompt="Once", n_predict=10, seed=3)
    assert ask(s, "/completion", **drawn)["content"] == ask(s, "/completion", **drawn)["content"]
    assert len({ask(s, "/completion", prompt="Once", n_predict=10, temperature=2)["content"] for _ in range(3)}) > 1
    none = ask(s, "/completion", prompt="Once", n_predict=0)
    assert none["content"] == "" and none["tokens_predicted"] == 0 and none["stop_type"] == "limit"


def prompts(s):
    text = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n"
    whole = ask(s, "/completion", prompt=text, **GREEDY)
    assert whole["tokens_evaluated"] == len(ids_of(text, "--special", "--bos"))  # control tokens are read as such
    ids = ids_of(text, "--special", "--bos")
    for form in (ids, ids[:3] + [ask(s, "/detokenize", tokens=ids[3:])["content"]], [ids], ["Hi", ids], [text]):
        got = ask(s, "/completion", prompt=form, **GREEDY)
        many = all(not isinstance(p, int) for p in form)
        assert isinstance(got, list) == many
        last = got[-1] if many else got
        assert last["content"] == whole["content"] and last["prompt"] == text, (form, last["prompt"])
        assert last["tokens_evaluated"] == whole["tokens_evaluated"] and last["index"] == (len(form) - 1 if many else 0)
    conversation = [{"role": "user", "content": "Name a colour."}]
    prompt = ask(s, "/apply-template", messages=conversation)["prompt"]
    chat = ask(s, "/v1/chat/completions", messages=conversation, temperature=0, max_tokens=12)
    assert ask(s, "/completion", prompt=prompt, **GREEDY)["content"] == chat["choices"][0]["message"]["content"]


def streams(s):
    for body in (dict(prompt="The capital of France is", **GREEDY), dict(prompt=UNEVEN, n_probs=3, **GREEDY),
                 dict(prompt=["a", "b c"], **GREEDY), dict(prompt=[7, 8, UNEVEN], **GREEDY)):
        whole = ask(s, "/completion", return_tokens=True, **body)
        for n, one in enumerate(whole if isinstance(whole, list) else [whole]):
            chunks = [c for c in streamed(s, body) if c["index"] == n]
            last, rest = chunks[-1], chunks[:-1]
            assert [c["stop"] for c in chunks] == [False] * len(rest) + [True] and last["content"] == ""
            assert "".join(c["content"] for c in rest) == one["content"] and sum((c["tokens"] for c in rest), []) == one["tokens"]
            assert [c["tokens_predicted"] for c in rest] == sorted(c["tokens_predicted"] for c in rest)
            same = FINAL - {"content", "tokens", "timings", "tokens_cached", "generation_settings"}
            assert {k: last[k] for k in same} == {k: one[k] for k in same}
            assert len(rest) > 3 and rest[-1]["tokens_predicted"] == one["tokens_predicted"], chunks
            if "n_probs" in body:
                lists = [c.get("completion_probabilities", []) for c in rest]
                assert sum(lists, []) == one["completion_probabilities"] and len(lists) > 3


def probabilities(s):
    got = ask(s, "/completion", prompt=UNEVEN, n_probs=3, return_tokens=True, **GREEDY)
    other = ask(s, "/v1/completions", model=MODEL, prompt=UNEVEN, temperature=0, max_tokens=12, logprobs=3)
    listed = got["completion_probabilities"]
    assert [t["id"] for t in listed] == got["tokens"]
    for t, logprob in zip(listed, other["choices"][0]["logprobs"]["token_logprobs"]):
        assert t["logprob"] == logprob == t["top_logprobs"][0]["logprob"] and len(t["top_logprobs"]) == 3
        assert t["top_logprobs"][0]["id"] == t["id"] and bytes(t["bytes"]).decode(errors="ignore").startswith(t["token"])
        assert t["top_logprobs"] == sorted(t["top_logprobs"], key=lambda a: -a["logprob"])
    assert b"".join(bytes(t["bytes"]) for t in listed).decode(errors="replace").startswith(got["content"])
    assert "completion_probabilities" not in ask(s, "/completion", prompt="a", **GREEDY)


def stops_and_shapes(s):
    text = ask(s, "/completion", prompt="1, 2, 3, 4,", temperature=0, n_predict=20)["content"]
    word = text[4:9]
    got = ask(s, "/completion", prompt="1, 2, 3, 4,", temperature=0, n_predict=20, stop=["never there", word])
    assert got["content"] == text[:text.index(word)] and got["stop_type"] == "word" and got["stopping_word"] == word
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    got = ask(s, "/completion", prompt="A number as JSON: ", json_schema=schema, temperature=0, n_predict=100)
    if got["stop_type"] == "eos" or not TINY:
        assert isinstance(json.loads(got["content"])["n"], int) and got["stop_type"] == "eos", got
    got = ask(s, "/completion", prompt="Yes or no? ", grammar='root ::= "yes" | "no"', n_predict=20)
    assert got["content"] in ("yes", "no") and got["stop_type"] == "eos"
    assert got["generation_settings"]["grammar"] == 'root ::= "yes" | "no"'
    got = ask(s, "/completion", prompt="a", response_fields=["content", "timings/predicted_n", "tokens", "nothing"], **GREEDY)
    assert set(got) == {"content", "timings/predicted_n", "tokens"} and got["timings/predicted_n"] == 12, got
    assert ask(s, "/completion", prompt="a", response_fields=["tokens"], return_tokens=True, n_predict=2,
               temperature=0).keys() == {"tokens"}
    long = ask(s, "/completion", prompt="word " * 2040, n_predict=-1, temperature=0, ignore_eos=True)
    assert long["truncated"] is True and long["stop_type"] == "limit" and long["tokens_predicted"] < 10, long["timings"]


def samplers(s):
    """Left out is as neutral; an order that would change the answer is refused."""
    drawn = dict(prompt="Once upon", n_predict=10, seed=4)
    neutral = dict(temperature=1, top_k=0, top_p=1, min_p=0)
    assert (ask(s, "/completion", samplers=["dry", "xtc"], **drawn)["content"]
            == ask(s, "/completion", **neutral, **drawn)["content"])
    assert (ask(s, "/completion", samplers=["temperature", "top_k"], **drawn)["content"]
            == ask(s, "/completion", **{**neutral, "temperature": 0.8, "top_k": 40}, **drawn)["content"])
    theirs = ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature"]
    code, reply = post(s.url, "/completion", dict(samplers=theirs, **drawn))
    assert code == 400 and "order of 'samplers'" in reply["error"]["message"]
    first = ask(s, "/completion", prompt="a", return_tokens=True, **GREEDY)["tokens"][0]
    for ban in (False, -100):
        other = ask(s, "/completion", prompt="a", return_tokens=True, logit_bias=[[first, ban]], **GREEDY)["tokens"]
        assert first not in other
    assert set(ask(s, "/completion", prompt="a", return_tokens=True, logit_bias={str(first): 100}, **GREEDY)["tokens"]
               ) == {first}
    same = ask(s, "/completion", samplers=theirs, prompt="a", **GREEDY)["content"]
    assert same == ask(s, "/completion", prompt="a", **GREEDY)["content"]
    assert ask(s, "/completion", samplers=theirs, temperature=1, **drawn)["content"]


def completion_refusals(s):
    for says, more in (
            ("'prompt' must be", dict(prompt=None)), ("'prompt' must be", dict(prompt=[])), ("'prompt' must be", dict(prompt=[[]])),
            ("'prompt' must be", dict(prompt={"prompt_string": "a"})), ("holds 300 prompts", dict(prompt=["a"] * 300)),
            ("not an id", dict(prompt=[1, 10 ** 8])), ("mirostat", dict(mirostat=2)), ("logit_bias", dict(logit_bias=[["a", -1]])),
            ("dry_multiplier", dict(dry_multiplier=0.5)), ("xtc_probability", dict(xtc_probability=0.1)),
            ("typical_p", dict(typical_p=0.9)), ("'lora'", dict(lora=[{"id": 0, "scale": 1}])), ("n_probs", dict(n_probs=65)),
            ("not both", dict(grammar="root ::= \"a\"", json_schema={})), ("contradict", dict(n_predict=2, max_tokens=3)),
            ("did you mean 'n_predict'", dict(n_predct=3)), ("samplers", dict(samplers=["infill"])), ("'samplers'", dict(samplers="k")),
            ("'stop'", dict(stop=[""])), ("temperature", dict(temperature=-1)), ("'n_cmpl'", dict(n_cmpl=2)),
            ("response_fields", dict(response_fields="content")), ("image_data", dict(image_data=[{"id": 1}])),
            ("a task is asked", dict(model="task:x"))):
        for stream in (False, True):
            code, reply = post(s.url, "/completion", {"prompt": "a", "n_predict": 2, "stream": stream, **more})
            assert code == reply["error"]["code"] == 400 and says in reply["error"]["message"], (more, code, str(reply)[:300])
    code, reply = post(s.url, "/completion", dict(prompt="word " * 3000))
    error = reply["error"]
    assert code == 400 and error["type"] == "exceed_context_size_error" and error["n_ctx"] == 2048, error
    assert error["n_prompt_tokens"] >= 3000
    harmless = dict(typical_p=1.0, tfs_z=1, mirostat=0, mirostat_tau=5.0, dry_multiplier=0.0, dry_base=1.75, n_keep=0, id_slot=-1,
                    cache_prompt=True, logit_bias=[], xtc_threshold=0.1, top_n_sigma=-1, t_max_predict_ms=-1, lora=[], seed=-1,
                    adaptive_target=-1.0, n=1, dry_sequence_breakers=["\n"], image_data=[], grammar="", timings_per_token=False)
    assert ask(s, "/completion", prompt="a", **harmless, **GREEDY)["content"] == ask(s, "/completion", prompt="a", **GREEDY)["content"]


def a_reader_that_leaves(s):
    """Its answer ends long before the context would be full."""
    request = urllib.request.Request(s.url + "/completion", json.dumps(
        dict(prompt="word " * 500, stream=True, ignore_eos=True, temperature=0)).encode())
    with urllib.request.urlopen(request, timeout=120) as r:
        r.read(100)
    answering, until = 1, time.monotonic() + 5
    while answering and time.monotonic() < until:
        with urllib.request.urlopen(s.url + "/api/ps", timeout=10) as r:
            answering = sum(m["hearth"]["answering"] for m in json.loads(r.read())["models"])
    assert answering == 0


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


def at_one_place():
    """What computes nothing leaves its place before the next that its client asks."""
    with Served(config="version: 1\nparallel: 1\n", args=[MODEL]) as s:
        many = [x for i in range(100) for x in (i + 5, f" {i}")]
        wanted = ask(s, "/tokenize", content=many)["tokens"]
        for _ in range(5):
            assert ask(s, "/tokenize", content=many)["tokens"] == wanted and len(wanted) > 200
        got = ask(s, "/completion", prompt=many, n_predict=2, temperature=0)
        assert got["tokens_evaluated"] == len(wanted) and got["tokens_predicted"] == 2
        for _ in range(60):
            code, reply = post(s.url, "/completion", dict(prompt=[10 ** 8]))
            assert code == 400 and "not an id" in reply["error"]["message"], reply


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
    for body in (dict(prompt="The capital of France is"), dict(prompt="a", n_probs=2), dict(prompt=["a", [1, "b"]])):
        ours, theirs = (ask(x, "/completion", **body, **GREEDY) for x in (s, p))
        assert isinstance(ours, list) == isinstance(theirs, list)
        for one, other in zip(*(x if isinstance(x, list) else [x] for x in (ours, theirs))):
            assert set(one) == set(other), (set(one) ^ set(other))
            assert set(one["generation_settings"]) <= set(other["generation_settings"])
            assert set(one["timings"]) <= set(other["timings"])
            for name in ("tokens_predicted", "tokens_evaluated", "stop_type", "stop", "truncated", "index"):
                assert one[name] == other[name], (name, one, other)
            for t, u in zip(one.get("completion_probabilities", []), other.get("completion_probabilities", [])):
                assert set(t) == set(u) and set(t["top_logprobs"][0]) == set(u["top_logprobs"][0])
        chunks, others = (streamed(x, {**body, **GREEDY}) for x in (s, p))
        assert set(chunks[0]) == set(others[0]) and set(chunks[-1]) == set(others[-1])
    for body in (dict(prompt=5), dict(prompt="word " * 3000)):
        ours, theirs = (post(x.url, "/completion", body) for x in (s, p))
        assert ours[0] == theirs[0] and ours[1]["error"]["type"] == theirs[1]["error"]["type"], (ours, theirs)
    body = dict(messages=[{"role": "user", "content": "Name a river. é"}])
    assert ask(s, "/apply-template", **body)["prompt"] == ask(p, "/apply-template", **body)["prompt"]


def main():
    with Served(args=[MODEL]) as s:
        add_models(s)
        for test in (tokenize, mixed, detokenize, template, refusals, completion, prompts, streams, probabilities,
                     stops_and_shapes, samplers, completion_refusals, a_reader_that_leaves):
            test(s)
            print("ok", test.__name__, flush=True)
        at_one_place()
        print("ok at_one_place")
        with Peer() as p:
            if p:
                as_the_peer_says(s, p)
                print("ok as_the_peer_says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
