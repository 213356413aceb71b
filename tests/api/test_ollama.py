"""The official Ollama client against a real `hearth serve` and a real model."""
import http.client
import json
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
ollama = package("ollama")
gguf = package("gguf")

ASK = [{"role": "user", "content": "Name the capital of France in one word."}]
GREEDY = {"temperature": 0, "num_predict": 24, "repeat_penalty": 1}
PERSON = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer",
          "minimum": 0, "maximum": 150}}, "required": ["name", "age"], "additionalProperties": False}


def now(city: str) -> str:
    """The time of day in a city.

    Args:
        city: The city's name
    """
    return city


def refused(call, code, *words):
    try:
        call()
    except ollama.ResponseError as e:
        assert e.status_code == code, (e.status_code, e.error)
        assert isinstance(e.error, str), e.error
        for word in words:
            assert word in e.error, (word, e.error)
        return
    raise AssertionError("nothing was refused")


def raw(s, method, path, body=None, **headers):
    k = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    k.request(method, path, json.dumps(body) if body is not None else None, headers)
    r = k.getresponse()
    return r.status, r.getheader("content-type"), r.read().decode()


def ends_well(r):
    assert r.done is True and r.done_reason in ("stop", "length"), r
    assert r.prompt_eval_count > 0 and r.eval_count > 0 and r.total_duration > 0, r
    assert r.prompt_eval_duration + r.eval_duration + r.load_duration <= r.total_duration * 1.05, r
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r.created_at), r.created_at


def chat_is_the_same_by_every_way(s, c):
    whole = c.chat(MODEL, ASK, options=GREEDY)
    alone = subprocess.run([BUILD / "hearth", "run", "-q", "--temp", "0", "-n", "24", CACHE / f"{MODEL}.gguf",
                            ASK[0]["content"]], capture_output=True, text=True, check=True).stdout
    assert whole.message.content and whole.message.content == alone.rstrip("\n"), (whole, alone)
    assert whole.message.role == "assistant" and whole.model == MODEL
    ends_well(whole)
    parts = list(c.chat(MODEL + ":latest", ASK, stream=True, options=GREEDY))
    assert len(parts) > 2 and not any(p.done for p in parts[:-1])
    assert "".join(p.message.content for p in parts) == whole.message.content
    assert parts[-1].eval_count == whole.eval_count and parts[-1].done_reason == whole.done_reason
    ends_well(parts[-1])
    generated = c.generate(MODEL, ASK[0]["content"], options=GREEDY)
    assert generated.response == whole.message.content
    assert "".join(p.response for p in c.generate(MODEL, ASK[0]["content"], stream=True, options=GREEDY)) == \
        generated.response
    told = c.generate(MODEL, ASK[0]["content"], system="Answer briefly.", options=GREEDY)
    same = c.chat(MODEL, [{"role": "system", "content": "Answer briefly."}, *ASK], options=GREEDY)
    assert told.response == same.message.content


def raw_text_is_continued(s, c):
    text = "The capital of France is"
    body = {"model": MODEL, "prompt": text, "temperature": 0, "max_tokens": 12}
    wanted = json.loads(raw(s, "POST", "/v1/completions", body)[2])["choices"][0]["text"]
    assert c.generate(MODEL, text, raw=True, options={**GREEDY, "num_predict": 12}).response == wanted
    refused(lambda: c.generate(MODEL, text, raw=True, system="x"), 400, "system")


def sampling_is_honoured(s, c):
    def one(seed):
        return c.chat(MODEL, ASK, options={"temperature": 1.5, "seed": seed, "num_predict": 12}).message.content
    assert one(5) == one(5) and len({one(k) for k in range(5)}) > 1
    r = c.chat(MODEL, ASK, options={**GREEDY, "num_predict": 3})
    assert r.eval_count == 3 and r.done_reason == "length"
    whole = c.chat(MODEL, ASK, options=GREEDY).message.content
    word = whole.split()[-1]
    cut = c.chat(MODEL, ASK, options={**GREEDY, "stop": [word]})
    assert word not in cut.message.content and whole.startswith(cut.message.content) and cut.done_reason == "stop"
    ignored = {"num_thread": 1, "num_batch": 8, "use_mmap": False, "num_gpu": 0, "typical_p": 1.0, "mirostat": 0}
    assert c.chat(MODEL, ASK, options={**GREEDY, **ignored}, keep_alive="1h30m").message.content == whole


def the_context_is_a_limit(s, c):
    n = c.chat(MODEL, ASK, options=GREEDY).prompt_eval_count
    story = [{"role": "user", "content": "Write a very long story about the sea."}]
    r = c.chat(MODEL, story, options={"temperature": 0, "num_ctx": 64, "seed": 1})
    assert r.prompt_eval_count + r.eval_count <= 64
    if r.eval_count + r.prompt_eval_count == 64:
        assert r.done_reason == "length"
    refused(lambda: c.chat(MODEL, ASK, options={"num_ctx": n - 1}), 400, str(n), str(n - 1))
    refused(lambda: c.chat(MODEL, ASK, options={"num_ctx": 5000}), 400, "5000", "2048")
    refused(lambda: c.chat(MODEL, [{"role": "user", "content": "word " * 5000}]), 400, "2048")
    refused(lambda: list(c.chat(MODEL, [{"role": "user", "content": "word " * 5000}], stream=True)), 400, "2048")


def formats(s, c):
    for seed in range(3):
        r = c.chat(MODEL, [{"role": "user", "content": "A person as JSON."}], format=PERSON,
                   options={"temperature": 1.2, "seed": seed, "num_predict": 100})
        if r.done_reason == "stop":
            person = json.loads(r.message.content)
            assert set(person) == {"name", "age"} and 0 <= person["age"] <= 150, person
    r = c.generate(MODEL, "Say something as JSON.", format="json", options={**GREEDY, "num_predict": 200})
    assert r.response.lstrip().startswith("{")
    refused(lambda: raw_chat(s, c, format="yaml"), 400, "format")


def raw_chat(s, c, **more):
    return c._request(ollama.ChatResponse, "POST", "/api/chat",
                      json={"model": MODEL, "messages": ASK, "stream": False, **more})


def histories_are_the_same_as_openais(s, c):
    """The same conversation said in both dialects has the same number of tokens, and the same answer."""
    call = {"name": "now", "arguments": {"city": "Oslo"}}
    theirs = [*ASK, {"role": "assistant", "content": "", "thinking": "Let me see.", "tool_calls": [{"function": call}]},
              {"role": "tool", "tool_name": "now", "content": "12:00"}, {"role": "user", "content": "Thanks. So?"}]
    ours = [*ASK, {"role": "assistant", "content": "", "reasoning_content": "Let me see.", "tool_calls": [
                {"id": "call_1_0", "type": "function", "function": {"name": "now", "arguments": '{"city":"Oslo"}'}}]},
            {"role": "tool", "name": "now", "tool_call_id": "call_1_0", "content": "12:00"}, theirs[-1]]
    tool = ollama._utils.convert_function_to_tool(now).model_dump(exclude_none=True)
    a = c.chat(MODEL, theirs, tools=[now], options=GREEDY)
    status, _, text = raw(s, "POST", "/v1/chat/completions", {"model": MODEL, "messages": ours, "tools": [tool],
                                                              "temperature": 0, "max_tokens": 24})
    b = json.loads(text)
    assert status == 200, text
    assert a.prompt_eval_count == b["usage"]["prompt_tokens"], (a, b)
    assert a.message.content == (b["choices"][0]["message"]["content"] or ""), (a, b)
    refused(lambda: c.chat(MODEL, [{"role": "robot", "content": "x"}]), 400, "messages[0].role")
    refused(lambda: raw_chat(s, c, messages=[{"role": "user", "content": "x", "images": ["aaaa"]}]), 400, "images")
    refused(lambda: raw_chat(s, c, messages=[{"role": "assistant", "tool_calls": [{"function": {}}]}]), 400,
            "messages[0].tool_calls[0].function.name")


def results_find_their_calls(s, c):
    """Two results in the other order are the same conversation when they name their tools."""
    calls = [{"function": {"name": n, "arguments": {}}} for n in ("now", "today")]
    results = [{"role": "tool", "tool_name": n, "content": n} for n in ("now", "today")]
    def tokens(order):
        return c.chat(MODEL, [*ASK, {"role": "assistant", "tool_calls": calls}, *order], options=GREEDY)
    assert tokens(results).prompt_eval_count == tokens(results[::-1]).prompt_eval_count


def calls_are_said_whole(s, c):
    """A history of calls makes the small model call again; streamed and whole say the same calls, with an object."""
    ask = []
    for city in ("Rome", "Paris", "Cairo"):
        ask += [{"role": "user", "content": f"What time is it in {city}?"},
                {"role": "assistant", "tool_calls": [{"function": {"name": "now", "arguments": {"city": city}}}]},
                {"role": "tool", "tool_name": "now", "content": "12:00"},
                {"role": "assistant", "content": "12:00"}]
    ask.append({"role": "user", "content": "What time is it in Oslo?"})
    found = 0
    for seed in range(4):
        more = dict(tools=[now], options={"temperature": 0.5, "seed": seed, "num_predict": 60})
        whole = c.chat(MODEL, ask, **more)
        parts = list(c.chat(MODEL, ask, stream=True, **more))
        streamed = [k for p in parts for k in p.message.tool_calls or []]
        assert streamed == list(whole.message.tool_calls or []), (streamed, whole)
        assert "".join(p.message.content or "" for p in parts) == (whole.message.content or "")
        for k in streamed:
            found += 1
            assert k.function.name == "now" and set(k.function.arguments) == {"city"}, k
            assert isinstance(k.function.arguments["city"], str), k
        assert parts[-1].done_reason in ("stop", "length")
    assert TINY or found > 0, "no call was made"


def log_probabilities(s, c):
    r = c.chat(MODEL, ASK, logprobs=True, top_logprobs=3, options=GREEDY)
    assert len(r.logprobs) >= r.eval_count - 1 > 0
    for t in r.logprobs:
        assert t.logprob <= 0 and len(t.top_logprobs) == 3 and t.top_logprobs[0].token == t.token
    streamed = [t for p in c.chat(MODEL, ASK, logprobs=True, top_logprobs=3, stream=True, options=GREEDY)
                for t in p.logprobs or []]
    assert streamed == list(r.logprobs)
    refused(lambda: c.chat(MODEL, ASK, top_logprobs=3), 400, "logprobs")


def nothing_is_dropped_silently(s, c):
    for says, more in (("temprature", {"options": {"temprature": 1}}), ("mirostat", {"options": {"mirostat": 2}}),
                       ("typical_p", {"options": {"typical_p": 0.5}}), ("tempalte", {"tempalte": "x"}),
                       ("template", {"template": "{{ .Prompt }}"}), ("keep_alive", {"keep_alive": "soon"}),
                       ("keep_alive", {"keep_alive": [1]}), ("think", {"think": "high"}), ("stream", {"stream": 1}),
                       ("options", {"options": [1]}), ("num_ctx", {"options": {"num_ctx": 0}})):
        refused(lambda: raw_chat(s, c, **more), 400, says)
    refused(lambda: c.generate(MODEL, "x", suffix="y"), 400, "suffix")
    refused(lambda: c.generate(MODEL, "x", images=[b"abcd"]), 400, "images")
    refused(lambda: c.chat("no-such-model", ASK), 404, "no-such-model")
    refused(lambda: list(c.chat("no-such-model", ASK, stream=True)), 404, "no-such-model")
    refused(lambda: c.pull("smollm2"), 404, "/api/pull")
    refused(lambda: c.chat("task:ticket-class", ASK, options={"seed": 1}), 400, "seed", "measured")
    refused(lambda: c.chat("task:ticket-class", ASK, format="json"), 400, "format", "measured")
    for think in (True, False):
        assert c.chat(MODEL, ASK, think=think, options=GREEDY).message.content


def vectors(s, c):
    r = c.embed(MODEL, ["a b c", "a b c", "x"])
    assert len(r.embeddings) == 3 and r.embeddings[0] == r.embeddings[1] != r.embeddings[2]
    assert r.model == MODEL and r.prompt_eval_count > 5 and r.total_duration > 0
    assert abs(sum(v * v for v in r.embeddings[2]) - 1) < 1e-5
    wanted = json.loads(raw(s, "POST", "/v1/embeddings", {"model": MODEL, "input": "a b c"})[2])["data"][0]["embedding"]
    assert list(r.embeddings[0]) == wanted
    assert list(c.embeddings(MODEL, "a b c").embedding) == wanted
    assert list(c.embed(MODEL, "a b c", dimensions=8).embeddings[0]) != wanted[:8]  # of length 1 again
    assert len(c.embed(MODEL, "a b c", dimensions=8).embeddings[0]) == 8
    refused(lambda: c.embed(MODEL, "word " * 5000, truncate=False), 400, "2048")
    assert c.embed(MODEL, "word " * 5000).prompt_eval_count == 2048
    refused(lambda: c.embed(MODEL, []), 400, "input")
    refused(lambda: c.embed(MODEL, "a", options={"num_ctx": 8}), 400, "num_ctx")


def loading(s, c):
    assert c.chat(MODEL).done_reason == "load" and c.generate(MODEL).done_reason == "load"
    assert [p.done_reason for p in c.generate(MODEL, stream=True)] == ["load"]
    refused(lambda: c.generate("no-such-model"), 404, "no-such-model")
    loaded, = c.ps().models
    assert loaded.model == MODEL + ":latest" and loaded.size > 0 and loaded.details.family == "llama", loaded
    assert loaded.expires_at.timestamp() > time.time() + 200
    process = json.loads(raw(s, "GET", "/api/ps")[2])["models"][0]["hearth"]["process"]
    assert pathlib.Path(f"/proc/{process}").exists()
    c.generate(MODEL, "a", keep_alive="30m", options={"num_predict": 1})
    assert c.ps().models[0].expires_at.timestamp() > time.time() + 1700
    assert c.generate(MODEL, keep_alive=0).done_reason == "unload"
    assert not c.ps().models and not pathlib.Path(f"/proc/{process}").exists()
    c.generate(MODEL, "a", keep_alive=0.2, options={"num_predict": 1})
    end = time.time() + 10
    while c.ps().models:
        assert time.time() < end, "it stays"
        time.sleep(0.1)


def lists(s, c):
    m, = c.list().models
    assert m.model == MODEL + ":latest" and m.size == (CACHE / f"{MODEL}.gguf").stat().st_size
    out = subprocess.run(["sha256sum", CACHE / f"{MODEL}.gguf"], capture_output=True, text=True, check=True).stdout
    assert m.digest == out.split()[0] and m.modified_at.timestamp() > 0 and m.details.format == "gguf"
    shown = c.show(m.model)
    assert shown.details.family == "llama" and shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["general.parameter_count"] > 0
    keys_of_file = gguf.GGUFReader(CACHE / f"{MODEL}.gguf").fields
    assert shown.modelinfo["llama.context_length"] == int(keys_of_file["llama.context_length"].contents()), shown
    assert TINY or (shown.details.parameter_size, shown.details.quantization_level) == ("134.5M", "Q4_1"), shown
    assert shown.capabilities == ["completion", "tools"] and shown.modified_at == m.modified_at
    refused(lambda: c.show("no-such-model"), 404, "no-such-model")
    refused(lambda: c.show("task:ticket-class"), 400, "task")


def wire(s, c):
    for path in ("/", "/api/version", "/api/tags"):
        assert raw(s, "GET", path)[0] == 200 and raw(s, "HEAD", path)[0::2] == (200, ""), path
    assert "is running" in raw(s, "GET", "/")[2]
    assert json.loads(raw(s, "GET", "/api/version")[2])["version"]
    for method, path, code in (("GET", "/api/chat", 405), ("POST", "/api/nothing", 404)):
        status, kind, body = raw(s, method, path)
        assert status == code and isinstance(json.loads(body)["error"], str), body
    assert isinstance(json.loads(raw(s, "POST", "/nothing")[2])["error"], dict)
    status, kind, body = raw(s, "POST", "/api/chat", {"model": MODEL, "messages": ASK, "options": GREEDY})
    assert status == 200 and kind == "application/x-ndjson" and body.endswith("}\n")
    for line in body[:-1].split("\n"):
        message = json.loads(line)["message"]
        assert message["role"] == "assistant" and isinstance(message["content"], str)
    assert raw(s, "POST", "/api/chat", {"model": MODEL, "messages": ASK, "stream": False, "options": GREEDY})[1] == \
        "application/json"


def deleting(s, c):
    models = s.home / "models"
    for name in ("other-00001-of-00002.gguf", "other-00002-of-00002.gguf", "other-one.gguf"):
        (models / name).write_bytes(b"no model")
    outside = s.home / "outside.gguf"
    outside.write_bytes(b"no model")
    for name in ("othe", "../outside", "../outside.gguf", str(outside), ""):
        refused(lambda: c._request_raw("DELETE", "/api/delete", json={"model": name}), 404)
    assert outside.exists()
    stream = c.chat(MODEL, [{"role": "user", "content": "Write a very long story."}], stream=True,
                    options={"num_predict": 1500, "temperature": 0})
    next(iter(stream))
    refused(lambda: c.delete(MODEL), 409, "answering")
    stream.close()
    c.delete("other:latest")
    assert sorted(p.name for p in models.iterdir()) == [f"{MODEL}.gguf", "other-one.gguf"]
    assert c.chat(MODEL, ASK, options=GREEDY).message.content
    c.delete(MODEL)
    assert not (models / f"{MODEL}.gguf").is_symlink() and (CACHE / f"{MODEL}.gguf").exists()
    refused(lambda: c.chat(MODEL, ASK), 404, MODEL)


def keys():
    secret = pathlib.Path(BUILD) / "log" / "ollama-key"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("sesame\n")
    with Served(config=f"version: 1\nkeys:\n  - name: me\n    key_file: {secret}\n") as s:
        status, _, body = raw(s, "DELETE", "/api/delete", {"model": MODEL})
        assert status == 401 and isinstance(json.loads(body)["error"], str), body
        assert raw(s, "GET", "/api/tags")[0] == 401 and raw(s, "GET", "/")[0] == 200
        me = ollama.Client(host=s.url, headers={"Authorization": "Bearer sesame"})
        assert me.list().models
        me.delete(MODEL)
        assert not me.list().models


with Served() as server:
    client = ollama.Client(host=server.url, timeout=120)
    for check in (chat_is_the_same_by_every_way, raw_text_is_continued, sampling_is_honoured, the_context_is_a_limit,
                  formats, histories_are_the_same_as_openais, results_find_their_calls, calls_are_said_whole, log_probabilities,
                  nothing_is_dropped_silently, vectors, loading, lists, wire, deleting):
        check(server, client)
        print("ok", check.__name__, flush=True)
keys()
print("ok keys")
