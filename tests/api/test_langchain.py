"""LangChain's ChatOpenAI against a real `hearth serve` and a real model: through chat completions and through responses."""
import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import CACHE, MODEL, TINY, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
langchain = package("langchain_openai")
messages = package("langchain_core.messages")
openai = package("openai")
pydantic = package("pydantic")

ASK = "Name the capital of France in one word."


class Person(pydantic.BaseModel):
    """A person."""
    age: int = pydantic.Field(ge=0, le=120)
    adult: bool


class Weather(pydantic.BaseModel):
    """The weather of a city."""
    city: str = pydantic.Field(max_length=20)


def model(s, **more):
    return langchain.ChatOpenAI(**{"base_url": s.url + "/v1", "api_key": "none", "model": MODEL, "temperature": 0,
                                   "max_tokens": 24, "max_retries": 0, **more})


def answers_are_the_official_clients(s):
    c = openai.OpenAI(base_url=s.url + "/v1", api_key="none", max_retries=0)
    want = c.chat.completions.create(model=MODEL, temperature=0, max_tokens=24, messages=[
        {"role": "system", "content": "Answer briefly."}, {"role": "user", "content": ASK}])
    said = [messages.SystemMessage("Answer briefly."), messages.HumanMessage(ASK)]
    for api in (False, True):
        llm = model(s, use_responses_api=api)
        got = llm.invoke(said)
        assert got.text == want.choices[0].message.content != "", (api, got)
        assert got.usage_metadata["input_tokens"] == want.usage.prompt_tokens
        assert got.usage_metadata["output_tokens"] == want.usage.completion_tokens
        pieces = list(llm.stream(said))
        total = pieces[0]
        for piece in pieces[1:]:
            total += piece
        assert total.text == got.text and len([p for p in pieces if p.text]) > 1, (api, total)
        assert [m.text for m in llm.batch([said, said])] == [got.text] * 2
        more = llm.invoke([*said, got, messages.HumanMessage("And of Spain?")])
        assert more.text and more.usage_metadata["input_tokens"] > got.usage_metadata["input_tokens"]
    assert got.response_metadata["id"].startswith("resp_")
    streamed = list(model(s, stream_usage=True).stream(said))
    assert sum(p.usage_metadata["output_tokens"] for p in streamed if p.usage_metadata) == want.usage.completion_tokens
    bound = model(s).bind(logprobs=True, top_logprobs=2).invoke(said)
    assert len(bound.response_metadata["logprobs"]["content"][0]["top_logprobs"]) == 2
    three = model(s, n=3, temperature=1.5, seed=5).generate([said]).generations[0]
    alone = [model(s, temperature=1.5, seed=5 + k).invoke(said).text for k in range(3)]
    assert [g.text for g in three] == alone and len(set(alone)) > 1
    assert model(s, stop_sequences=[got.text[:3]]).invoke(said).text == ""


def several_at_once(s):
    async def ask():  # one loop: LangChain keeps its connections in it
        llms = [model(s), model(s, use_responses_api=True), model(s)]
        return await asyncio.gather(*[llm.ainvoke(ASK) for llm in llms])
    texts = [m.text for m in asyncio.run(ask())]
    assert texts == [model(s).invoke(ASK).text] * 3, texts


def structured_output(s):
    for api in (False, True):
        llm = model(s, max_tokens=200, use_responses_api=api)
        for method in ("json_schema", "function_calling"):
            r = llm.with_structured_output(Person, method=method, include_raw=True).invoke("Bob is 20 years old.")
            assert isinstance(r["parsed"], Person) and not r["parsing_error"], (api, method, r)
        strict = llm.with_structured_output(Person, method="json_schema", strict=True).invoke("Bob is 20 years old.")
        assert isinstance(strict, Person)
        if not TINY:  # its text does not end
            r = llm.with_structured_output(None, method="json_mode", include_raw=True).invoke("Say {\"a\": 1} in JSON.")
            assert isinstance(r["parsed"], dict), (api, r)
    *_, last = model(s, max_tokens=200).with_structured_output(Person).stream("Bob is 20 years old.")
    assert isinstance(last, Person)


def tools(s):
    ask = [messages.HumanMessage("What is the weather in Oslo?")]
    calls = []
    for api in (False, True):
        llm = model(s, max_tokens=120, use_responses_api=api)
        bound = llm.bind_tools([Weather], tool_choice="any", parallel_tool_calls=False)
        got = bound.invoke(ask)
        assert [c["name"] for c in got.tool_calls] == ["Weather"] and not got.invalid_tool_calls, (api, got)
        assert len(Weather.model_validate(got.tool_calls[0]["args"]).city) <= 20
        pieces = list(bound.stream(ask))
        total = pieces[0]
        for piece in pieces[1:]:
            total += piece
        assert [c["args"] for c in total.tool_calls] == [got.tool_calls[0]["args"]], (api, total)
        result = messages.ToolMessage("sunny, 21 degrees", tool_call_id=got.tool_calls[0]["id"])
        then = llm.bind_tools([Weather]).invoke([*ask, got, result])
        assert then.usage_metadata["input_tokens"] > got.usage_metadata["input_tokens"]
        assert then.text or then.tool_calls
        named = llm.bind_tools([Weather, Person], tool_choice="Person", parallel_tool_calls=False).invoke(ask)
        assert [c["name"] for c in named.tool_calls] == ["Person"]
        calls.append(got.tool_calls[0]["args"])
    assert calls[0] == calls[1], calls


def errors(s):
    for api in (False, True):
        for call, kind, says in [
            (lambda: model(s, model="no-such-model", use_responses_api=api).invoke(ASK), openai.NotFoundError, "no-such-model"),
            (lambda: list(model(s, temperature=9, use_responses_api=api).stream(ASK)), openai.BadRequestError, "temperature"),
            (lambda: model(s, use_responses_api=api).bind(logit_bias={"5": 101}).invoke(ASK), openai.BadRequestError
             if not api else TypeError, "logit_bias"),
            (lambda: model(s, use_responses_api=api).invoke("word " * 5000), openai.BadRequestError, "context"),
            (lambda: model(s, use_responses_api=api).invoke([messages.HumanMessage([{
                "type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])]), openai.BadRequestError, "image"),
        ]:
            try:
                call()
            except kind as e:
                assert says in str(e), (says, str(e))
            else:
                raise AssertionError((api, says))
    try:
        model(s, use_responses_api=True, use_previous_response_id=True).invoke(
            [messages.HumanMessage(ASK), messages.AIMessage("Paris.", response_metadata={"id": "resp_1"}),
             messages.HumanMessage("And?")])
    except openai.BadRequestError as e:
        assert "previous_response_id" in str(e) and e.param == "previous_response_id"
    else:
        raise AssertionError("nothing is kept here")


with Served() as served:
    for check in (answers_are_the_official_clients, several_at_once, structured_output, tools, errors):
        check(served)
        print("ok", check.__name__)
