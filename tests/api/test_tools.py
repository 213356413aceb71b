"""Tools, histories and formats of answers: the official OpenAI client against a real `hearth serve` and a real model."""
import hashlib
import json
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import CACHE, MODEL, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
openai = package("openai")

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city on one of the next days.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"], "properties": {
        "city": {"type": "string", "description": "The city's name", "maxLength": 40},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 0, "maximum": 7}}}}}
TIME = {"type": "function", "function": {"name": "now", "description": "The time of day.",
                                         "parameters": {"type": "object", "properties": {}}}}
TOOLS = [WEATHER, TIME]
ASK = [{"role": "user", "content": "What is the weather in Oslo?"}]


def create(c, **more):
    return c.chat.completions.create(**{"model": MODEL, "messages": ASK, "temperature": 0, "max_tokens": 200, **more})


def is_valid(call):
    """The call is of an offered tool, and its arguments obey its schema."""
    a = json.loads(call.function.arguments)
    if call.function.name == "now":
        return a == {}
    return (call.function.name == "get_weather" and set(a) <= {"city", "unit", "days"} and isinstance(a["city"], str) and
            len(a["city"]) <= 40 and a["unit"] in ("celsius", "fahrenheit") and
            ("days" not in a or (isinstance(a["days"], int) and 0 <= a["days"] <= 7)))


def a_required_call_is_always_valid(c):
    n = 0
    for k, city in enumerate(["Oslo", "Rom", "São Paulo", "New York \"NY\"", "the moon", "x" * 30]):
        r = create(c, messages=[{"role": "user", "content": f"Weather in {city}? <tool_call> </tool_call>"}], tools=TOOLS,
                   tool_choice="required", temperature=1.5, seed=k, parallel_tool_calls=False)
        choice = r.choices[0]
        assert choice.finish_reason in ("tool_calls", "length"), choice
        assert not choice.message.content
        if choice.finish_reason == "tool_calls":
            n += 1
            assert len(choice.message.tool_calls) == 1 and is_valid(choice.message.tool_calls[0]), choice
            assert choice.message.tool_calls[0].id.startswith("call_")
    assert n >= 3, n
    r = create(c, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "now"}}, parallel_tool_calls=False)
    assert [k.function.name for k in r.choices[0].message.tool_calls] == ["now"]


def streamed_calls_are_the_same(c):
    more = dict(tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    whole = create(c, **more).choices[0]
    deltas = [k.choices[0] for k in create(c, stream=True, **more) if k.choices]
    first = [d.delta.tool_calls[0] for d in deltas if d.delta.tool_calls and d.delta.tool_calls[0].id]
    text = "".join(d.delta.tool_calls[0].function.arguments for d in deltas if d.delta.tool_calls)
    assert len(first) == 1 and first[0].function.name == whole.message.tool_calls[0].function.name
    assert first[0].index == 0 and first[0].type == "function"
    assert text == whole.message.tool_calls[0].function.arguments, (text, whole)
    assert len([d for d in deltas if d.delta.tool_calls]) > 2  # in pieces
    assert deltas[-1].finish_reason == whole.finish_reason == "tool_calls"
    with c.chat.completions.stream(model=MODEL, messages=ASK, temperature=0, max_tokens=200, **more) as s:
        final = s.get_final_completion().choices[0]
    assert final.message.tool_calls[0].function.arguments == text


def choice_none_and_auto(c):
    plain = create(c, max_tokens=20).choices[0]
    none = create(c, max_tokens=20, tools=TOOLS, tool_choice="none").choices[0]
    assert none.message.content == plain.message.content and not none.message.tool_calls
    auto = create(c, max_tokens=40, tools=TOOLS).choices[0]
    for call in auto.message.tool_calls or []:
        assert auto.finish_reason == "length" or is_valid(call)
    assert auto.message.content or auto.message.tool_calls


def the_round_goes_on(c):
    call = create(c, tools=TOOLS, tool_choice="required", parallel_tool_calls=False).choices[0].message
    history = [*ASK, call.model_dump(exclude_none=True),
               {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "sunny, 21 degrees"}]
    r = create(c, messages=history, tools=TOOLS, max_tokens=30)
    assert r.choices[0].message.content or r.choices[0].message.tool_calls
    many = create(c, messages=[*history, {"role": "user", "content": "And in Rome?"}], tools=TOOLS, max_tokens=5)
    assert many.usage.prompt_tokens > r.usage.prompt_tokens


def bad_histories_are_never_our_fault(c):
    def call(**k):
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {
            "name": "now", "arguments": "{}"}, **k}]}
    done = {"role": "tool", "tool_call_id": "a", "content": "12:00"}
    answered = [
        [call(function={"name": "now", "arguments": "{\"a\": "}), done],  # broken off
        [call(function={"name": "now", "arguments": "not JSON"}), done],
        [call(function={"name": "now", "arguments": ""}), done],
        [call(function={"name": "now", "arguments": "[1]"}), done],
        [call(function={"name": "now", "arguments": {"a": 1}}), done],
        [call(function={"name": "now"}), done],
        [call(function={"name": "nobody's", "arguments": "{}"}), done],
        [call(id=None), done], [call(id=""), {"role": "tool", "content": "12:00"}],
        [done], [call()], [call(), call()],
        [{"role": "tool", "content": ""}], [{"role": "tool", "tool_call_id": "zzz", "content": None}],
        [call(), {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "12"}]}],
        [{"role": "assistant", "content": "x", "tool_calls": []}], [{"role": "assistant", "tool_calls": None, "content": "x"}],
        [{"role": "assistant", "content": None, "reasoning_content": "hm"}], [{"role": "function", "name": "now", "content": "1"}],
    ]
    for k, messages in enumerate(answered):
        tools = {"tools": [TIME]} if k % 3 == 0 else {}
        r = create(c, messages=[*ASK, *messages, {"role": "user", "content": "So?"}], max_tokens=1, **tools)
        assert r.choices[0].finish_reason, messages
    refused = [
        ([{"role": "assistant", "tool_calls": "now()"}], "messages[1].tool_calls"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], "messages[1].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}], "messages[1].tool_calls[0].function.name"),
        ([call(function={"name": "now", "arguments": 7})], "arguments"),
        ([call(type="custom")], "messages[1].tool_calls[0]"),
        ([{"role": "user", "tool_calls": [call()["tool_calls"][0]], "content": ""}], "messages[1].tool_calls"),
        ([{"role": "tool", "tool_call_id": 7, "content": "x"}], "messages[1].tool_call_id"),
    ]
    for messages, where in refused:
        try:
            create(c, messages=[*ASK, *messages], max_tokens=2)
            raise AssertionError(messages)
        except openai.BadRequestError as e:
            assert where in str(e), (where, str(e))


def bad_tools_are_named(c):
    f = {"name": "f"}
    rows = [
        (dict(tools=[{"type": "function"}]), "tools[0]"),
        (dict(tools=[{"type": "custom", "function": f}]), "tools[0]"),
        (dict(tools=[{"type": "function", "function": {"name": "a b"}}]), "tools[0].function.name"),
        (dict(tools=[{"type": "function", "function": {**f, "parameters": []}}]), "tools[0].function.parameters"),
        (dict(tools=[{"type": "function", "function": {**f, "parametres": {}}}]), "did you mean"),
        (dict(tools=[{"type": "function", "function": f}] * 2), "two tools"),
        (dict(tool_choice="required"), "no tools"),
        (dict(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "g"}}), "none of the tools"),
        (dict(tools=TOOLS, tool_choice="required", response_format={"type": "json_object"}), "tool_choice"),
        (dict(tools=[{"type": "function", "function": {**f, "strict": True, "parameters": {
            "type": "object", "properties": {"x": {"type": "array", "uniqueItems": True}}}}}]), "/properties/x/uniqueItems"),
        (dict(tools=[{"type": "function", "function": {**f, "parameters": {"minimum": "1"}}}]), "tools[0].function.parameters"),
    ]
    for more, says in rows:
        try:
            create(c, **more)
            raise AssertionError(more)
        except openai.BadRequestError as e:
            assert says in str(e), (says, str(e))


PERSON = {"type": "object", "additionalProperties": False, "required": ["name", "age"], "properties": {
    "name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}}}


def answers_have_the_asked_form(c):
    ask = [{"role": "user", "content": "Alice is 30. Who is it?"}]
    r = create(c, messages=ask, response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}})
    person = json.loads(r.choices[0].message.content)
    assert set(person) == {"name", "age"} and 0 <= person["age"] <= 120 and r.choices[0].finish_reason == "stop", r
    cut = create(c, messages=ask, max_tokens=3, response_format={"type": "json_schema", "json_schema": {
        "name": "p", "schema": PERSON}})
    assert cut.choices[0].finish_reason == "length"
    r = create(c, messages=ask, response_format={"type": "json_object"}, max_tokens=120)
    assert r.choices[0].finish_reason == "length" or isinstance(json.loads(r.choices[0].message.content), dict)
    r = create(c, messages=ask, extra_body={"choices": ["Bob", "Alice"]})
    assert r.choices[0].message.content in ("Bob", "Alice") and r.choices[0].finish_reason == "stop"
    r = create(c, messages=ask, extra_body={"structured_outputs": {"choice": ["Bob", "Alice"]}})
    assert r.choices[0].message.content in ("Bob", "Alice")
    r = create(c, messages=ask, extra_body={"regex": "[0-9]{2} years"})
    assert re.fullmatch("[0-9]{2} years", r.choices[0].message.content), r
    r = create(c, messages=ask, extra_body={"grammar": 'root ::= ("yes" | "no") "!"'})
    assert r.choices[0].message.content in ("yes!", "no!")
    text = "".join(k.choices[0].delta.content or "" for k in create(c, messages=ask, stream=True, response_format={
        "type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}) if k.choices)
    assert json.loads(text) == person


def what_cannot_be_enforced_is_said(c):
    schema = {"type": "object", "required": ["x"], "properties": {"x": {"type": "array", "items": {"type": "integer"},
                                                                        "maxItems": 3, "uniqueItems": True}}}
    def form(**more):
        return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, **more}}
    for bad in ({}, {"strict": True}):
        try:
            create(c, response_format=form(**bad))
            raise AssertionError(bad)
        except openai.BadRequestError as e:
            assert "/properties/x/uniqueItems" in str(e), str(e)
    raw = c.chat.completions.with_raw_response.create(model=MODEL, messages=ASK, max_tokens=60, temperature=0,
                                                      response_format=form(strict=False))
    assert "/properties/x/uniqueItems" in raw.headers["x-hearth-not-enforced"]
    assert any("uniqueItems" in line for line in raw.parse().model_extra["not_enforced"])
    last = [k for k in create(c, stream=True, response_format=form(strict=False)) if k.choices][-1]
    assert any("uniqueItems" in line for line in last.model_extra["not_enforced"])
    for more, says in [({"grammar": "root = 1"}, "grammar"), ({"regex": "a("}, "regex"), ({"choices": []}, "choices"),
                       ({"choices": [1]}, "choices"), ({"regex": "a", "choices": ["a"]}, "twice"),
                       ({"response_format": {"type": "xml"}}, "response_format.type"),
                       ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
                       ({"chat_template_kwargs": 1}, "chat_template_kwargs")]:
        try:
            create(c, extra_body=more)
            raise AssertionError(more)
        except openai.BadRequestError as e:
            assert says in str(e), (says, str(e))


def recorded_calls_and_thoughts():
    """What any provider says of reasoning and calls reaches the client, whole and in pieces."""
    prompt = {"kind": "chat", "messages": [{"role": "user", "content": "x"}], "tools": [TIME]}
    digest = hashlib.sha256(json.dumps(prompt, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write(json.dumps({"prompt_sha256": digest, "answer": "One moment.", "reasoning": "The clock.", "tool_calls": [
            {"name": "now", "arguments": {}}, {"name": "now", "arguments": {"a": "é"}}]}))
        f.flush()
        config = f"version: 1\nproviders:\n  - {{name: tape, kind: replay, file: {f.name}}}\n"
        with Served(config=config) as s:
            c = openai.OpenAI(base_url=s.url + "/v1", api_key="none", max_retries=0)
            more = dict(model="tape", messages=[{"role": "user", "content": "x"}], tools=[TIME])
            choice = c.chat.completions.create(**more).choices[0]
            m = choice.message
            assert choice.finish_reason == "tool_calls" and m.content == "One moment."
            assert m.model_extra["reasoning_content"] == m.model_extra["reasoning"] == "The clock."
            assert [json.loads(k.function.arguments) for k in m.tool_calls] == [{}, {"a": "é"}]
            with c.chat.completions.stream(**more) as stream:
                final = stream.get_final_completion().choices[0]
            assert final.message.content == "One moment." and len(final.message.tool_calls) == 2
            deltas = [k.choices[0].delta for k in c.chat.completions.create(**more, stream=True)]
            assert "".join(d.model_extra.get("reasoning", "") for d in deltas if d.model_extra) == "The clock."
            assert [d.tool_calls[0].index for d in deltas if d.tool_calls and d.tool_calls[0].id] == [0, 1]


CHECKS = [a_required_call_is_always_valid, streamed_calls_are_the_same, choice_none_and_auto, the_round_goes_on,
          bad_histories_are_never_our_fault, bad_tools_are_named, answers_have_the_asked_form,
          what_cannot_be_enforced_is_said]

with Served() as served:
    client = openai.OpenAI(base_url=served.url + "/v1", api_key="none", max_retries=0)
    for check in CHECKS:
        check(client)
        print("ok", check.__name__)
recorded_calls_and_thoughts()
