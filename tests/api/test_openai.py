"""The official OpenAI client against a real `hearth serve` and a real model."""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
openai = package("openai")

ASK = [{"role": "user", "content": "Name the capital of France in one word."}]
GREEDY = dict(model=MODEL, temperature=0, max_tokens=24)


def refused(call, kind, *words):
    """The call raises this kind of error, and its message holds these words."""
    try:
        call()
    except kind as e:
        for word in words:
            assert word in str(e), (word, str(e))
        return e
    raise AssertionError(f"expected {kind.__name__}")


def models(c):
    ids = [m.id for m in c.models.list()]
    assert MODEL in ids, ids
    assert "task:ticket-class" in ids, ids
    assert c.models.retrieve(MODEL).id == MODEL
    assert c.models.retrieve("task:ticket-class").owned_by == "task"
    refused(lambda: c.models.retrieve("no/such model"), openai.NotFoundError, "no/such model")


def whole_and_streamed_agree(c):
    whole = c.chat.completions.create(messages=ASK, **GREEDY)
    text = whole.choices[0].message.content
    alone = subprocess.run([BUILD / "hearth", "run", "-q", "--temp", "0", "-n", "24", CACHE / f"{MODEL}.gguf",
                            ASK[0]["content"]], capture_output=True, text=True, check=True).stdout
    assert text and alone.rstrip("\n") == text, (alone, text)  # the same answer by every way
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert whole.id.startswith("chatcmpl-") and whole.object == "chat.completion"
    chunks = list(c.chat.completions.create(messages=ASK, stream=True, stream_options={"include_usage": True}, **GREEDY))
    assert "".join(k.choices[0].delta.content or "" for k in chunks if k.choices) == text
    assert [k.choices[0].delta.role for k in chunks if k.choices and k.choices[0].delta.role] == ["assistant"]
    assert len({(k.id, k.created) for k in chunks}) == 1
    assert [k.choices[0].finish_reason for k in chunks if k.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    if TINY:  # its answer is cut, which that helper takes for an error
        return
    with c.chat.completions.stream(messages=ASK, **GREEDY) as s:
        final = s.get_final_completion()
    assert final.choices[0].message.content == text and final.choices[0].message.role == "assistant"


def same_seed_same_answer(c):
    def one(seed):
        return c.chat.completions.create(model=MODEL, messages=ASK, temperature=1.5, max_tokens=16, seed=seed)
    texts = {one(7).choices[0].message.content for _ in range(2)}
    assert len(texts) == 1
    assert len({one(s).choices[0].message.content for s in range(6)}) > 1


def several_choices_are_what_several_requests_answer(c):
    more = dict(model=MODEL, messages=ASK, temperature=1.5, max_tokens=12, logprobs=True)
    alone = [c.chat.completions.create(**more, seed=40 + k) for k in range(3)]
    texts = [r.choices[0].message.content for r in alone]
    assert len(set(texts)) > 1
    r = c.chat.completions.create(**more, seed=40, n=3)
    assert [k.index for k in r.choices] == [0, 1, 2] and [k.message.content for k in r.choices] == texts
    assert [k.finish_reason for k in r.choices] == [k.choices[0].finish_reason for k in alone]
    assert [[t.token for t in k.logprobs.content] for k in r.choices] == [
        [t.token for t in k.choices[0].logprobs.content] for k in alone]
    assert r.usage.prompt_tokens == alone[0].usage.prompt_tokens  # counted once
    assert r.usage.completion_tokens == sum(k.usage.completion_tokens for k in alone)
    chunks = list(c.chat.completions.create(**more, seed=40, n=3, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == r.usage.completion_tokens
    for i in range(3):
        mine = [k.choices[0] for k in chunks if k.choices and k.choices[0].index == i]
        assert "".join(k.delta.content or "" for k in mine) == texts[i]
        assert [k.delta.role for k in mine if k.delta.role] == ["assistant"]
        assert [k.finish_reason for k in mine if k.finish_reason] == [r.choices[i].finish_reason]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["red", "green", "blue"]}}}
    r = c.chat.completions.create(**{**more, "max_tokens": 40}, n=8, response_format=form)
    assert {k.message.content for k in r.choices} <= {'"red"', '"green"', '"blue"'} and len(r.choices) == 8
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    r = c.chat.completions.create(model=MODEL, messages=ASK, n=2, tools=[tool], tool_choice="required", max_tokens=60,
                                  parallel_tool_calls=False)
    assert [[t.function.name for t in k.message.tool_calls] for k in r.choices] == [["now"], ["now"]]


def log_probabilities(c):
    r = c.chat.completions.create(messages=ASK, logprobs=True, top_logprobs=3, **GREEDY)
    tokens = r.choices[0].logprobs.content
    assert len(tokens) >= r.usage.completion_tokens - 1 > 0
    joined = b"".join(bytes(t.bytes) for t in tokens).decode()
    assert joined.startswith(r.choices[0].message.content)
    for t in tokens:
        assert t.logprob <= 0 and len(t.top_logprobs) == 3
        assert t.top_logprobs[0].token == t.token  # greedy takes the likeliest
        assert t.top_logprobs[0].logprob >= t.top_logprobs[1].logprob >= t.top_logprobs[2].logprob


def stops_and_lengths(c):
    count = [{"role": "user", "content": "Count from one to ten: 1, 2, 3,"}]
    word = "5"
    if TINY:
        word = c.chat.completions.create(model=MODEL, messages=count, temperature=0, max_tokens=60).choices[0]
        word = word.message.content.split()[9]
    r = c.chat.completions.create(model=MODEL, messages=count, temperature=0, max_tokens=60, stop=[word])
    assert word not in r.choices[0].message.content and r.choices[0].finish_reason == "stop"
    r = c.chat.completions.create(model=MODEL, messages=count, temperature=0, max_completion_tokens=3)
    assert r.choices[0].finish_reason == "length" and r.usage.completion_tokens == 3


def content_parts_and_developer_role(c):
    parts = [{"role": "developer", "content": "Answer briefly."},
             {"role": "user", "content": [{"type": "text", "text": "Name the capital "},
                                          {"type": "text", "text": "of France in one word."}]}]
    plain = [{"role": "system", "content": "Answer briefly."}, ASK[0]]
    a = c.chat.completions.create(messages=parts, **GREEDY)
    b = c.chat.completions.create(messages=plain, **GREEDY)
    assert a.choices[0].message.content == b.choices[0].message.content
    again = [*ASK, a.choices[0].message.model_dump(), {"role": "user", "content": "And of Spain?"}]
    assert c.chat.completions.create(messages=again, **GREEDY).choices[0].message.content


def nothing_is_dropped_silently(c):
    bad = openai.BadRequestError
    def create(**more):
        return lambda: c.chat.completions.create(**{**GREEDY, "messages": ASK, **more})
    refused(create(extra_body={"temprature": 1}), bad, "temprature", "did you mean 'temperature'")
    refused(create(functions=[{"name": "f"}]), bad, "functions")
    refused(create(response_format={"type": "json"}), bad, "response_format.type")
    refused(create(extra_body={"response_format": "json"}), bad, "response_format", "must be an object")
    refused(create(extra_body={"stream_options": [1]}), bad, "stream_options", "must be an object")
    refused(create(n=9), bad, "'n'")
    refused(create(model="task:ticket-class", n=2, temperature=None, max_tokens=None), bad, "fixed by the task")
    refused(create(reasoning_effort="enormous"), bad, "reasoning_effort")
    refused(create(temperature=9), bad, "temperature")
    refused(create(messages=[{"role": "robot", "content": "x"}]), bad, "messages[0].role")
    refused(create(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]), bad,
            "messages[0].content[0]", "image_url")
    refused(create(messages=[]), bad, "messages")
    refused(create(model="no-such-model"), openai.NotFoundError, "no-such-model")
    refused(create(extra_body={"max_tokens": 5, "max_completion_tokens": 6}), bad, "contradict")
    too_long = refused(create(messages=[{"role": "user", "content": "word " * 5000}]), bad)
    assert too_long.code == "context_length_exceeded", too_long.code
    assert too_long.body["n_ctx"] == 2048 and too_long.body["n_prompt_tokens"] > 5000, too_long.body


def raw(s, method, path, body=None, headers=None):
    k = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    k.request(method, path, body, {"content-type": "application/json", **(headers or {})})
    r = k.getresponse()
    return r.status, dict((a.lower(), b) for a, b in r.getheaders()), r.read()


def a_conversation_keeps_its_prefix(c):
    first = c.chat.completions.create(messages=ASK, **GREEDY)
    more = [*ASK, {"role": "assistant", "content": first.choices[0].message.content},
            {"role": "user", "content": "And of Spain?"}]
    second = c.chat.completions.create(messages=more, **GREEDY)
    assert second.usage.prompt_tokens_details.cached_tokens >= first.usage.prompt_tokens - 8, second.usage


def wire(s):
    assert raw(s, "GET", "/nowhere")[0] == 404
    assert raw(s, "GET", "/v1/chat/completions")[0] == 405
    assert raw(s, "POST", "/v1/chat/completions", "{")[0] == 400
    assert raw(s, "POST", "/v1/chat/completions", '{"model":"x","model":"y"}')[0] == 400
    assert raw(s, "POST", "/v1/chat/completions", b'{"model":"\xff"}')[0] == 400
    assert raw(s, "GET", "/health", headers={"Host": "evil.example"})[0] == 403
    status, headers, body = raw(s, "POST", "/v1/chat/completions",
                                json.dumps({**GREEDY, "messages": ASK, "stream": True}))
    assert status == 200 and headers["content-type"] == "text/event-stream"
    assert headers["x-hearth-route"] == "local" and headers["x-hearth-class"] == "private"
    events = [e for e in body.decode().split("\n\n") if e and not e.startswith(":")]
    assert events[-1] == "data: [DONE]" and all(e.startswith("data: ") for e in events)
    for e in events[1:-1]:
        choices = json.loads(e[6:])["choices"]
        assert choices[0]["delta"].get("content") != "", e


def a_client_that_leaves_stops_the_work(s, c):
    stream = c.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Write a very long story."}],
                                       temperature=0, max_tokens=1500, stream=True)
    next(iter(stream))
    stream.close()
    start = time.monotonic()
    c.chat.completions.create(messages=ASK, **GREEDY)
    assert time.monotonic() - start < 8, "the abandoned answer went on"


def a_worker_that_dies_is_an_error_not_the_end(s, c):
    counting = dict(model=MODEL, prompt="1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,",
                    temperature=0.3, seed=1, max_tokens=1900)  # it does not end by itself
    killer = threading.Timer(0.5, lambda: [os.kill(p, signal.SIGKILL) for p in s.children("hearth-worker")])
    killer.start()
    quick = c.with_options(max_retries=0)
    refused(lambda: quick.completions.create(**counting), openai.InternalServerError)
    killer.join()
    assert c.chat.completions.create(messages=ASK, **GREEDY).choices[0].message.content


with Served() as server:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused", timeout=120)
    for check in (models, whole_and_streamed_agree, same_seed_same_answer,
                  several_choices_are_what_several_requests_answer, log_probabilities, stops_and_lengths,
                  content_parts_and_developer_role, nothing_is_dropped_silently, a_conversation_keeps_its_prefix):
        check(client)
        print("ok", check.__name__)
    wire(server)
    a_client_that_leaves_stops_the_work(server, client)
    a_worker_that_dies_is_an_error_not_the_end(server, client)
    print("ok wire, cancel, crash")
