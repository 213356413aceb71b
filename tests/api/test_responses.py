"""OpenAI's responses: the official client against a real `hearth serve` and a real model."""
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
openai = package("openai")
pydantic = package("pydantic")

ASK = "Name the capital of France in one word."
SAID = [{"role": "user", "content": ASK}]
NOW = {"type": "function", "name": "now", "description": "The time of day.", "strict": False,
       "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}
WEATHER = {"type": "function", "name": "get_weather", "strict": True, "description": "The weather of a city.",
           "parameters": {"type": "object", "additionalProperties": False, "required": ["city"],
                          "properties": {"city": {"type": "string", "maxLength": 20}}}}


class Person(pydantic.BaseModel):
    age: int = pydantic.Field(ge=0, le=120)
    adult: bool


def create(c, input=ASK, **more):
    return c.responses.create(**{"model": MODEL, "input": input, "temperature": 0, "max_output_tokens": 24, **more})


def refused(call, kind, *words, param=None):
    try:
        call()
    except kind as e:
        for word in words:
            assert word in str(e), (word, str(e))
        assert param is None or e.param == param, (param, e.param)
        return e
    raise AssertionError(f"expected {kind.__name__}")


def chat(c, messages, **more):
    return c.chat.completions.create(**{"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 24, **more})


def checked(event):
    """The event as the client's own strict model reads it, so that nothing it requires is missing."""
    return type(event).model_validate(event.model_dump(by_alias=True, warnings=False))


def chat_agrees(c):
    r = create(c, metadata={"run": "7"}, instructions="Answer briefly.")
    said = chat(c, [{"role": "system", "content": "Answer briefly."}, *SAID])
    assert r.output_text == said.choices[0].message.content != ""
    assert r.usage.output_tokens == said.usage.completion_tokens and r.usage.input_tokens == said.usage.prompt_tokens
    assert r.usage.total_tokens == r.usage.input_tokens + r.usage.output_tokens
    assert r.id.startswith("resp_") and r.object == "response" and r.model == MODEL and r.created_at > 1.7e9
    assert r.metadata == {"run": "7"} and r.instructions == "Answer briefly." and r.store is False
    assert r.temperature == 0 and r.max_output_tokens == 24 and r.truncation == "disabled" and r.error is None
    checked(r)
    parts = create(c, [{"type": "message", "role": "developer", "content": "Answer briefly."},
                       {"role": "user", "content": [{"type": "input_text", "text": "Name the capital "},
                                                    {"type": "input_text", "text": "of France in one word."}]}])
    assert parts.output_text == r.output_text and parts.usage.input_tokens == r.usage.input_tokens
    cut = create(c, max_output_tokens=2)
    assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens"
    assert cut.output[0].status == "incomplete" and cut.usage.output_tokens == 2
    assert {create(c, temperature=1.5, extra_body={"seed": 7}).output_text for _ in range(2)} == {
        chat(c, SAID, temperature=1.5, seed=7).choices[0].message.content}


def streams_say_the_same(c):
    whole = create(c)
    events = [checked(e) for e in create(c, stream=True)]
    kinds = [e.type for e in events]
    deltas = [e for e in events if e.type == "response.output_text.delta"]
    last = "response.completed" if whole.status == "completed" else "response.incomplete"
    assert kinds == ["response.created", "response.in_progress", "response.output_item.added",
                     "response.content_part.added", *["response.output_text.delta"] * len(deltas),
                     "response.output_text.done", "response.content_part.done", "response.output_item.done", last], kinds
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert "".join(e.delta for e in deltas) == whole.output_text == events[-1].response.output_text
    assert all(e.delta for e in deltas) and events[-4].text == events[-3].part.text == whole.output_text
    assert len({e.item_id for e in deltas} | {events[2].item.id, events[-2].item.id}) == 1
    assert events[0].response.id == events[-1].response.id and events[0].response.output == []
    assert events[0].response.status == "in_progress" and events[-1].response.status == whole.status
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens
    if whole.status == "completed":
        with c.responses.stream(model=MODEL, input=ASK, temperature=0, max_output_tokens=24) as s:
            final = s.get_final_response()
        assert final.output_text == whole.output_text and final.output[0].type == "message"


def log_probabilities(c):
    r = create(c, include=["message.output_text.logprobs"], top_logprobs=3)
    tokens = r.output[0].content[0].logprobs
    assert b"".join(bytes(t.bytes) for t in tokens).decode().startswith(r.output_text)
    assert len(tokens) >= r.usage.output_tokens - 1 > 0
    assert all(len(t.top_logprobs) == 3 and t.top_logprobs[0].token == t.token for t in tokens)
    events = list(create(c, include=["message.output_text.logprobs"], top_logprobs=3, stream=True))
    pieces = [t for e in events if e.type == "response.output_text.delta" for t in e.logprobs]
    done = [e for e in events if e.type == "response.output_text.done"][0]
    assert [t.token for t in done.logprobs] == [t.token for t in tokens]
    assert [t.token for t in pieces] == [t.token for t in tokens][:len(pieces)] and len(pieces) >= len(tokens) - 1


def a_history_is_what_chat_makes_of_it(c):
    """Items and messages that say the same make the same prompt."""
    first = create(c)
    more = [*SAID, *first.output, {"role": "user", "content": "And of Spain?"}]
    said = [*SAID, {"role": "assistant", "content": first.output_text}, {"role": "user", "content": "And of Spain?"}]
    a, b = create(c, more), chat(c, said)
    assert a.output_text == b.choices[0].message.content and a.usage.input_tokens == b.usage.prompt_tokens
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    said = [*SAID, {"role": "assistant", "content": "Well.", "reasoning_content": "Hm.", "tool_calls": [call, {
        **call, "id": "b"}]}, {"role": "tool", "tool_call_id": "a", "content": "12:00"},
        {"role": "tool", "tool_call_id": "b", "content": "13:00"}]
    items = [*SAID, {"type": "reasoning", "id": "rs_1", "summary": [], "content": [
        {"type": "reasoning_text", "text": "Hm."}], "encrypted_content": None},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
            {"type": "output_text", "text": "Well.", "annotations": []}]},
        *[{"type": "function_call", "call_id": k, "name": "now", "arguments": "{}", "id": "fc_" + k} for k in "ab"],
        {"type": "function_call_output", "call_id": "a", "output": "12:00"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "13:00"}]}]
    chat_tools = [{"type": "function", "function": {k: NOW[k] for k in ("name", "description", "parameters", "strict")}}]
    a, b = create(c, items, tools=[NOW]), chat(c, said, tools=chat_tools)
    assert a.usage.input_tokens == b.usage.prompt_tokens, (a, b)
    assert a.output_text == (b.choices[0].message.content or "")
    kept = [*SAID, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gibberish"}]
    assert create(c, kept).output_text == create(c).output_text  # nobody else can read that thought


def tools_are_called_and_answered(c):
    ask = [{"role": "user", "content": "What is the weather in Oslo?"}]
    more = dict(tools=[WEATHER, NOW], max_output_tokens=120, parallel_tool_calls=False)
    r = create(c, ask, tool_choice="required", **more)
    call = r.output[-1]
    assert call.type == "function_call" and call.status == "completed" and r.status == "completed", r
    assert call.name in ("get_weather", "now") and isinstance(json.loads(call.arguments), dict)
    assert call.call_id and call.id.startswith("fc_") and checked(r) and r.tools[0].name == "get_weather"
    named = create(c, ask, tool_choice={"type": "function", "name": "now"}, **more).output[-1]
    assert (named.name, json.loads(named.arguments)) == ("now", {})
    again = create(c, [*ask, *r.output, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
                   tools=[WEATHER, NOW])
    assert again.output and again.usage.input_tokens > r.usage.input_tokens
    with c.responses.stream(model=MODEL, input=ask, temperature=0, tool_choice="required", **more) as s:
        events = [checked(e) for e in s]
        final = s.get_final_response()
    assert final.output[-1].arguments == call.arguments and final.output[-1].name == call.name
    pieces = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    done = [e for e in events if e.type == "response.function_call_arguments.done"]
    assert "".join(pieces) == done[0].arguments == call.arguments and len(pieces) > 1
    none = create(c, ask, tool_choice="none", tools=[NOW])
    assert none.output_text == create(c, ask).output_text


def answers_have_the_asked_form(c):
    r = c.responses.parse(model=MODEL, input="Bob is 20 years old.", text_format=Person, temperature=0)
    assert isinstance(r.output_parsed, Person) and r.text.format.type == "json_schema", r
    with c.responses.stream(model=MODEL, input="Bob is 20 years old.", text_format=Person, temperature=0) as s:
        assert s.get_final_response().output_parsed == r.output_parsed
    r = create(c, text={"format": {"type": "json_object"}}, max_output_tokens=200)
    assert r.status == "incomplete" or isinstance(json.loads(r.output_text), dict)
    odd = {"type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}
    form = {"type": "json_schema", "name": "odd", "schema": odd}
    refused(lambda: create(c, text={"format": {**form, "strict": True}}), openai.BadRequestError, "uniqueItems")
    assert any("uniqueItems" in line for line in create(c, text={"format": {**form, "strict": False}}).not_enforced)


def nothing_is_dropped_silently(c):
    bad = openai.BadRequestError
    def no(param, *words, **more):
        refused(lambda: create(c, **more), bad, *words, param=param)
    no("previous_response_id", "whole conversation", previous_response_id="resp_1")
    no("conversation", "whole conversation", conversation="conv_1")
    no("store", "not kept", store=True)
    no("background", background=True)
    no("truncation", truncation="auto")
    no("prompt", prompt={"id": "pmpt_1"})
    no("temprature", "did you mean 'temperature'", extra_body={"temprature": 1})
    no("temperature", temperature=9)
    no("max_output_tokens", max_output_tokens=0)
    no("top_logprobs", top_logprobs=21)
    no("include", "include[0]", include=["everything"])
    no("metadata", metadata={"x": "y" * 600})
    no("reasoning.effort", reasoning={"effort": "enormous"})
    no("reasoning.mode", reasoning={"mode": "pro"})
    no("text.verbosity", text={"verbosity": "high"})
    no("text.format.type", text={"format": {"type": "xml"}})
    no("text.format.schema", text={"format": {"type": "json_schema", "name": "x"}})
    no("tool_choice", tools=[NOW], tool_choice={"type": "function", "name": "never"})
    no("tool_choice", tool_choice="required")
    no("tool_choice", tools=[NOW], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": []})
    no("tool_choice", tools=[NOW], tool_choice="required", text={"format": {"type": "json_object"}})
    no("tools[0]", "web_search", tools=[{"type": "web_search"}])
    no("tools[1]", "two tools", tools=[NOW, NOW])
    no("tools[0]", "name", tools=[{**NOW, "name": "a b"}])
    no("input", input=[])
    no("input", input=7)
    no("input[0]", "none are kept", input=[{"type": "item_reference", "id": "msg_1"}])
    no("input[1]", "computer_call", input=[*SAID, {"type": "computer_call"}])
    no("input[0]", "role", input=[{"role": "robot", "content": "x"}])
    no("input[0].content[0]", "input_image", input=[{"role": "user", "content": [
        {"type": "input_image", "image_url": "data:,"}]}])
    no("input[0].colour", input=[{**SAID[0], "colour": 1}])
    no("input[0].content", input=[{"role": "user"}])
    no("input[0]", "name", input=[{"type": "function_call", "call_id": "a", "arguments": "{}"}])
    no("input[0].output", input=[{"type": "function_call_output", "call_id": "a", "output": 7}])
    no("input", "goes with a task", input={"x": 1})
    refused(lambda: create(c, model="no-such-model"), openai.NotFoundError, "no-such-model")
    long = refused(lambda: create(c, "word " * 5000), bad)
    assert long.code == "context_length_exceeded" and long.body["n_ctx"] == 2048
    refused(lambda: c.responses.retrieve("resp_1"), openai.NotFoundError)
    for harmless in (dict(store=False), dict(truncation="disabled"), dict(user="me"), dict(reasoning={"effort": "low"}),
                     dict(include=["reasoning.encrypted_content"]), dict(extra_body={"prompt_cache_key": "k"})):
        assert create(c, max_output_tokens=1, **harmless).usage.output_tokens == 1


def wire(s):
    k = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    body = {"model": MODEL, "input": ASK, "stream": True, "max_output_tokens": 4}
    k.request("POST", "/v1/responses", json.dumps(body), {"content-type": "application/json"})
    r = k.getresponse()
    assert r.status == 200 and r.getheader("content-type") == "text/event-stream"
    blocks = [b.split("\n") for b in r.read().decode().split("\n\n") if b and not b.startswith(":")]
    for name, data in blocks:
        assert name == "event: " + json.loads(data.removeprefix("data: "))["type"], name
    assert blocks[-1][0] in ("event: response.completed", "event: response.incomplete")


def a_worker_that_dies_fails_the_response(s, c):
    stream = iter(create(c, "Write a very long story.", max_output_tokens=1500, stream=True))
    while next(stream).type != "response.output_text.delta":
        pass
    for pid in s.children("hearth-worker"):
        os.kill(pid, signal.SIGKILL)
    last = list(stream)[-1]
    assert last.type == "response.failed" and last.response.status == "failed", last
    assert last.response.error.code == "server_error" and "killed" in last.response.error.message, last
    assert checked(last) and create(c).output_text


def recorded_items():
    """Thoughts, text and calls of any provider, whole and in pieces: items in order, each with its own index."""
    function = {"type": "function", "function": {k: NOW[k] for k in ("name", "description", "parameters", "strict")}}
    prompt = {"kind": "chat", "messages": [{"role": "user", "content": "x"}], "tools": [function]}
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write(json.dumps({"prompt_sha256": digest, "answer": "One moment.", "reasoning": "The clock.", "tool_calls": [
            {"name": "now", "arguments": {}}, {"name": "now", "arguments": {"a": "é"}}]}))
        f.flush()
        config = f"version: 1\nproviders:\n  - {{name: tape, kind: replay, file: {f.name}}}\n"
        with Served(config=config) as s:
            c = openai.OpenAI(base_url=s.url + "/v1", api_key="none", max_retries=0)
            more = dict(model="tape", input="x", tools=[NOW])
            whole = checked(c.responses.create(**more))
            assert [i.type for i in whole.output] == ["reasoning", "message", "function_call", "function_call"], whole
            assert whole.output[0].content[0].text == "The clock." and whole.output[0].summary == []
            assert whole.output_text == "One moment."
            assert [json.loads(i.arguments) for i in whole.output[2:]] == [{}, {"a": "é"}]
            assert len({i.id for i in whole.output}) == 4 and len({i.call_id for i in whole.output[2:]}) == 2
            events = [checked(e) for e in c.responses.create(stream=True, **more)]
            starts = [e.output_index for e in events if e.type == "response.output_item.added"]
            ends = [e.output_index for e in events if e.type == "response.output_item.done"]
            assert starts == ends == [0, 1, 2, 3], events
            thoughts = [e for e in events if e.type.startswith("response.reasoning_text.")]
            assert "".join(e.delta for e in thoughts[:-1]) == thoughts[-1].text == "The clock."
            def bare(items):
                return [i.model_dump(exclude={"id", "call_id"}) for i in items]
            assert bare(events[-1].response.output) == bare(whole.output)
            with c.responses.stream(**more) as stream:
                final = stream.get_final_response()
            assert [i.type for i in final.output] == [i.type for i in whole.output]


def a_task_is_asked_as_it_was_measured(c):
    e = refused(lambda: create(c, model="task:ticket-class"), openai.BadRequestError, "fixed by the task")
    assert e.param == "temperature"
    refused(lambda: c.responses.create(model="task:ticket-class", input=[*SAID, *SAID]), openai.APIStatusError)


with Served() as served:
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0)
    for check in (chat_agrees, streams_say_the_same, log_probabilities, a_history_is_what_chat_makes_of_it,
                  tools_are_called_and_answered, answers_have_the_asked_form, nothing_is_dropped_silently,
                  a_task_is_asked_as_it_was_measured):
        check(client)
        print("ok", check.__name__)
    wire(served)
    a_worker_that_dies_fails_the_response(served, client)
recorded_items()
print("ok wire, crash, items")
