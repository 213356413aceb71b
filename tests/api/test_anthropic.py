"""The official Anthropic client against a real `hearth serve` and a real model."""
import hashlib
import http.client
import json
import os
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import CACHE, MODEL, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
anthropic = package("anthropic")
openai = package("openai")

ASK = [{"role": "user", "content": "Name the capital of France in one word."}]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["city", "unit"], "properties": {
    "city": {"type": "string", "maxLength": 40}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}}}
WEATHER = {"name": "get_weather", "description": "The weather of a city.", "input_schema": SCHEMA}
NOW = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
TOOLS = [WEATHER, NOW]
ONE = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}


def create(c, messages=ASK, max_tokens=24, **more):
    """Greedy: the client no longer has the parameter, the dialect has."""
    body = {"temperature": 0, **more.pop("extra_body", {})}
    return c.messages.create(model=MODEL, messages=messages, max_tokens=max_tokens, extra_body=body, **more)


def refused(call, kind, *words):
    """The call raises this kind of error in Anthropic's form, and its message holds these words."""
    try:
        call()
    except kind as e:
        assert e.body["type"] == "error" and set(e.body["error"]) == {"type", "message"}, e.body
        for word in words:
            assert word in e.body["error"]["message"], (word, e.body)
        return e.body["error"]["type"]
    raise AssertionError(f"expected {kind.__name__}")


def text_of(message):
    return "".join(b.text for b in message.content if b.type == "text")


def the_other_dialect_agrees(c, o):
    """System as a string, as blocks and as OpenAI's message: one prompt, one answer, one count."""
    system = "Answer briefly."
    whole = create(c, system=system)
    chat = o.chat.completions.create(model=MODEL, temperature=0, max_tokens=24,
                                     messages=[{"role": "system", "content": system}, *ASK])
    assert text_of(whole) == chat.choices[0].message.content
    assert whole.id.startswith("msg_") and whole.type == "message" and whole.role == "assistant"
    assert whole.model == MODEL and whole.stop_sequence is None and whole._request_id.startswith("req_")
    assert whole.stop_reason == {"stop": "end_turn", "length": "max_tokens"}[chat.choices[0].finish_reason]
    u = whole.usage
    assert u.input_tokens + u.cache_read_input_tokens == chat.usage.prompt_tokens
    assert u.output_tokens == chat.usage.completion_tokens
    blocks = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Name the capital "},
                                          {"type": "text", "text": "of France in one word."}]}]
    again = create(c, parts, system=blocks, metadata={"user_id": "x"}, service_tier="auto",
                   thinking={"type": "disabled"})
    assert text_of(again) == text_of(whole)
    assert again.usage.cache_read_input_tokens > 0  # and counted apart
    assert again.usage.input_tokens + again.usage.cache_read_input_tokens == chat.usage.prompt_tokens
    n = c.messages.count_tokens(model=MODEL, messages=ASK, system=system).input_tokens
    assert n == chat.usage.prompt_tokens, (n, chat.usage)


def streams_say_the_same(c, o):
    whole = create(c)
    events = list(create(c, stream=True))
    kinds = [e.type for e in events if e.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"], kinds
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds
    assert set(kinds[2:-3]) == {"content_block_delta"} and len(kinds) > 8, kinds
    assert events[0].message.content == [] and events[0].message.stop_reason is None
    assert events[0].message.usage.output_tokens == 0
    assert events[-2].delta.stop_reason == whole.stop_reason and events[-2].usage.output_tokens == whole.usage.output_tokens
    with c.messages.stream(model=MODEL, messages=ASK, max_tokens=24, extra_body={"temperature": 0}) as s:
        assert "".join(s.text_stream) == text_of(whole)
        final = s.get_final_message()
    assert text_of(final) == text_of(whole) and final.stop_reason == whole.stop_reason
    assert final.usage.input_tokens + final.usage.cache_read_input_tokens == (
        whole.usage.input_tokens + whole.usage.cache_read_input_tokens)


def stop_sequences_are_named(c, o):
    count = [{"role": "user", "content": "Count from one to ten: 1, 2, 3,"}]
    word = text_of(create(c, count, max_tokens=60)).split()[4]
    r = create(c, count, max_tokens=60, stop_sequences=["never said so", word])
    assert r.stop_reason == "stop_sequence" and r.stop_sequence == word and word not in text_of(r), r
    last = [e for e in create(c, count, max_tokens=60, stop_sequences=["never said so", word], stream=True)][-2]
    assert last.delta.stop_reason == "stop_sequence" and last.delta.stop_sequence == word
    cut = create(c, count, max_tokens=3)
    assert cut.stop_reason == "max_tokens" and cut.stop_sequence is None and cut.usage.output_tokens == 3


def is_weather(call):
    return (call.name == "get_weather" and set(call.input) == {"city", "unit"} and len(call.input["city"]) <= 40 and
            call.input["unit"] in ("celsius", "fahrenheit"))


def tools_are_called_and_answered(c, o):
    weather = [{"role": "user", "content": "What is the weather in Oslo?"}]
    more = dict(messages=weather, max_tokens=200, tools=TOOLS, tool_choice=ONE)
    whole = create(c, **more)
    assert whole.stop_reason == "tool_use" and [b.type for b in whole.content] == ["tool_use"], whole
    assert is_weather(whole.content[0]) and whole.content[0].id
    events = list(create(c, stream=True, **more))
    start = next(e for e in events if e.type == "content_block_start")
    assert start.index == 0 and start.content_block.input == {} and start.content_block.name == "get_weather"
    pieces = [e.delta.partial_json for e in events if e.type == "content_block_delta"]
    assert len(pieces) > 2 and json.loads("".join(pieces)) == whole.content[0].input
    with c.messages.stream(model=MODEL, extra_body={"temperature": 0}, **more) as s:
        final = s.get_final_message()
    assert final.stop_reason == "tool_use" and final.content[0].input == whole.content[0].input
    assert create(c, weather, 200, tools=TOOLS, tool_choice={"type": "any"}).content[0].type == "tool_use"
    assert create(c, tools=TOOLS, tool_choice={"type": "none"}).content == create(c).content
    create(c, tools=TOOLS, tool_choice={"type": "auto"})
    call = whole.content[0]
    history = [*weather, {"role": "assistant", "content": whole.content}, {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny"}]},
        {"type": "text", "text": "And in Rome?"}]}]
    theirs = [*weather,
              {"role": "assistant", "content": None, "tool_calls": [{"id": call.id, "type": "function", "function": {
                  "name": call.name, "arguments": json.dumps(call.input, separators=(",", ":"))}}]},
              {"role": "tool", "tool_call_id": call.id, "content": "sunny"}, {"role": "user", "content": "And in Rome?"}]
    functions = [{"type": "function", "function": {{"input_schema": "parameters"}.get(k, k): v for k, v in t.items()}}
                 for t in TOOLS]
    a = create(c, history, tools=TOOLS, max_tokens=8)
    b = o.chat.completions.create(model=MODEL, messages=theirs, tools=functions, temperature=0, max_tokens=8)
    assert a.usage.input_tokens + a.usage.cache_read_input_tokens == b.usage.prompt_tokens  # the same prompt
    assert text_of(a) == (b.choices[0].message.content or "")
    n = c.messages.count_tokens(model=MODEL, messages=history, tools=TOOLS).input_tokens
    assert n == b.usage.prompt_tokens, (n, b.usage)
    history[2]["content"][0]["is_error"] = True
    assert c.messages.count_tokens(model=MODEL, messages=history, tools=TOOLS).input_tokens > n


def answers_have_the_asked_form(c, o):
    form = {"type": "json_schema", "schema": SCHEMA}
    r = create(c, max_tokens=200, extra_body={"output_config": {"format": form}})
    assert r.stop_reason == "max_tokens" or set(json.loads(text_of(r))) == {"city", "unit"}, r


def nothing_is_dropped_silently(c, o):
    bad = anthropic.BadRequestError
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    def messages(*blocks, role="user"):
        return [{"role": role, "content": list(blocks)}, *ASK]
    rows = [
        (dict(extra_body={"temprature": 1}), "temprature", "did you mean 'temperature'"),
        (dict(extra_body={"max_tokens": None}), "max_tokens", "missing"),
        (dict(extra_body={"temperature": 3}), "temperature"),
        (dict(thinking={"type": "enabled", "budget_tokens": 1024}), "thinking.type"),
        (dict(extra_body={"output_config": {"effort": "low"}}), "output_config.effort"),
        (dict(extra_body={"container": "x"}), "container"),
        (dict(messages=[]), "messages"),
        (dict(messages=[{"role": "robot", "content": "x"}]), "messages[0].role"),
        (dict(messages=[*ASK, {"role": "assistant", "content": "Par"}]), "ends with one of the assistant"),
        (dict(messages=messages(image)), "messages[0].content[0]", "image"),
        (dict(messages=messages({"type": "tool_result", "tool_use_id": "a", "content": [image]})), "content[0]", "image"),
        (dict(messages=messages({"type": "text", "text": 1})), "messages[0].content[0].text"),
        (dict(messages=messages({"type": "text", "text": "x", "colour": 1})), "messages[0].content[0].colour"),
        (dict(messages=messages({"type": "tool_use", "id": "a", "name": "x", "input": {}})), "tool_use", "'user'"),
        (dict(system=[image]), "system[0]", "image"),
        (dict(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools[0].type", "web_search_20250305"),
        (dict(tools=[{"name": "a b", "input_schema": {}}]), "tools[0].name"),
        (dict(tools=[{"name": "a"}]), "tools[0].input_schema"),
        (dict(tools=[NOW, NOW]), "two tools"),
        (dict(tools=[NOW], tool_choice={"type": "tool", "name": "later"}), "tool_choice.name", "later"),
        (dict(tool_choice={"type": "any"}), "no tools"),
        (dict(tools=[NOW], tool_choice={"type": "some"}), "tool_choice.type"),
        (dict(messages=[{"role": "user", "content": "word " * 5000}]), "5", "2048"),
    ]
    for more, *words in rows:
        assert refused(lambda: create(c, **more), bad, *words) == "invalid_request_error", more
    assert refused(lambda: c.messages.create(model="no-such-model", messages=ASK, max_tokens=5),
                   anthropic.NotFoundError, "no-such-model") == "not_found_error"
    assert refused(lambda: list(c.messages.create(model="no-such-model", messages=ASK, max_tokens=5, stream=True)),
                   anthropic.NotFoundError, "no-such-model") == "not_found_error"
    assert refused(lambda: c.messages.count_tokens(model=MODEL, messages=messages(image)), bad) == "invalid_request_error"


def bad_histories_are_never_our_fault(c, o):
    call = {"type": "tool_use", "id": "t1", "name": "gone", "input": {"a": 1}}
    for blocks in ([call], [{**call, "id": ""}, call], [{**call, "input": "no object"}],
                   [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "x"}],
                   [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "x"}], []):
        create(c, [*ASK, {"role": "assistant", "content": blocks}, *ASK], max_tokens=1)
    create(c, [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "nobody"}]}], max_tokens=1)


def raw(s, method, path, body=None, headers=None):
    k = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    k.request(method, path, body, {"content-type": "application/json", **(headers or {})})
    r = k.getresponse()
    return r.status, r.read()


def wire(s):
    """Status, and the form of what goes wrong before a handler runs; the exact lines of a stream."""
    rows = [("GET", "/v1/messages", None, 405, "invalid_request_error"),
            ("POST", "/v1/messages/batches", "{}", 404, "not_found_error"),
            ("POST", "/v1/messages", "{", 400, "invalid_request_error"),
            ("POST", "/v1/messages/count_tokens", "[]", 400, "invalid_request_error")]
    for method, path, body, status, kind in rows:
        code, text = raw(s, method, path, body)
        e = json.loads(text)
        assert (code, e["type"], e["error"]["type"]) == (status, "error", kind), (path, code, text)
    assert "type" not in json.loads(raw(s, "GET", "/v1/completions")[1])  # the others keep theirs
    body = json.dumps({"model": MODEL, "max_tokens": 4, "temperature": 0, "stream": True, "messages": ASK})
    code, text = raw(s, "POST", "/v1/messages", body)
    assert code == 200 and text.endswith(b"\n\n")
    for chunk in text.decode().removesuffix("\n\n").split("\n\n"):
        name, data = chunk.split("\n")
        assert name == "event: " + json.loads(data.removeprefix("data: "))["type"], chunk


def a_worker_that_dies_ends_the_stream(s, c):
    stream = iter(create(c, [{"role": "user", "content": "Write a very long story."}], max_tokens=1500, stream=True))
    while next(stream).type != "content_block_delta":
        pass
    for pid in s.children("hearth-worker"):
        os.kill(pid, signal.SIGKILL)
    assert refused(lambda: list(stream), anthropic.APIStatusError, "killed") == "api_error"
    assert create(c).content


def keys_are_asked_for():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("a-key-of-some-length-0123456789\n")
        f.flush()
        config = f"version: 1\nkeys:\n  - {{name: me, key_file: {f.name}}}\n"
        with Served(config=config) as s:
            def client(key):
                return anthropic.Anthropic(base_url=s.url, api_key=key, max_retries=0)
            wrong = client("wrong")
            assert refused(lambda: create(wrong), anthropic.AuthenticationError, "key") == "authentication_error"
            assert create(client("a-key-of-some-length-0123456789"), max_tokens=1).usage.output_tokens == 1


def recorded_blocks():
    """Thoughts, text and calls of any provider, whole and in pieces: blocks in order, each with its own index."""
    function = {"type": "function", "function": {"name": "now", "parameters": NOW["input_schema"]}}
    prompt = {"kind": "chat", "messages": [{"role": "user", "content": "x"}], "tools": [function]}
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write(json.dumps({"prompt_sha256": digest, "answer": "One moment.", "reasoning": "The clock.", "tool_calls": [
            {"name": "now", "arguments": {}}, {"name": "now", "arguments": {"a": "é"}}]}))
        f.flush()
        config = f"version: 1\nproviders:\n  - {{name: tape, kind: replay, file: {f.name}}}\n"
        with Served(config=config) as s:
            c = anthropic.Anthropic(base_url=s.url, api_key="none", max_retries=0)
            more = dict(model="tape", max_tokens=100, messages=[{"role": "user", "content": "x"}], tools=[NOW])
            whole = c.messages.create(**more)
            assert whole.stop_reason == "tool_use"
            assert [b.type for b in whole.content] == ["thinking", "text", "tool_use", "tool_use"], whole
            assert whole.content[0].thinking == "The clock." and whole.content[0].signature == ""
            assert whole.content[1].text == "One moment."
            assert [b.input for b in whole.content[2:]] == [{}, {"a": "é"}]
            with c.messages.stream(**more) as stream:
                final = stream.get_final_message()
            assert [b.model_dump(exclude_none=True) for b in final.content] == [
                b.model_dump(exclude_none=True) for b in whole.content]
            events = list(c.messages.create(stream=True, **more))
            starts = [e.index for e in events if e.type == "content_block_start"]
            stops = [e.index for e in events if e.type == "content_block_stop"]
            assert starts == stops == [0, 1, 2, 3], events
            assert [e.index for e in events if e.type == "content_block_delta" and e.delta.type == "signature_delta"] == [0]
            refused(lambda: c.messages.count_tokens(model="tape", messages=more["messages"]), anthropic.BadRequestError)


with Served() as served:
    client = anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0)
    other = openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0)
    for check in (the_other_dialect_agrees, streams_say_the_same, stop_sequences_are_named,
                  tools_are_called_and_answered, answers_have_the_asked_form, nothing_is_dropped_silently,
                  bad_histories_are_never_our_fault):
        check(client, other)
        print("ok", check.__name__)
    wire(served)
    a_worker_that_dies_ends_the_stream(served, client)
keys_are_asked_for()
recorded_blocks()
print("ok wire, crash, keys, blocks")
