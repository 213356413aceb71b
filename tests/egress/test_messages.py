"""Two servers of hearth: one speaks Anthropic's messages API (which its official client tests in tests/api), the other
asks it as an `anthropic` provider. What passes through both is what the first says by itself."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import MODEL, TINY, Served  # noqa: E402

USER = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Name three colours."}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"enum": ["Bern", "Ulm"]}}, "required": ["city"],
    "additionalProperties": False}}}
HISTORY = USER + [
    {"role": "assistant", "content": "I look.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "7 degrees"}]


def spoken(server, model, **body):
    """(text, calls, finish, usage) of a stream and of a whole answer, which agree."""
    body = {"model": model, "temperature": 0, "max_tokens": 24, **body}
    code, _, whole = server.ask("/v1/chat/completions", body)
    assert code == 200, whole
    doc = json.loads(whole)
    choice, m = doc["choices"][0], doc["choices"][0]["message"]
    calls = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in m.get("tool_calls") or []]
    code, _, text = server.ask("/v1/chat/completions", {**body, "stream": True})
    assert code == 200, text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    assert "".join(d.get("content") or "" for d in deltas) == (m["content"] or ""), (deltas, m)
    return m["content"], calls, choice["finish_reason"], {
        k: doc["usage"][k] for k in ("prompt_tokens", "completion_tokens")}


with Served() as claude:
    config = ("version: 1\ndefault_class: public\nproviders:\n"
              f"  - {{name: claude, kind: anthropic, url: \"{claude.url}/v1\", model: {MODEL}, retries: 0}}\n")
    with Served(config=config) as front:
        for name, body in (
                ("text", {"messages": USER}),
                ("length", {"messages": USER, "max_tokens": 3}),
                ("schema", {"messages": USER, "response_format": {"type": "json_schema", "json_schema": {
                    "name": "p", "schema": {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"],
                                            "additionalProperties": False}}}}),
                ("a call", {"messages": USER, "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False,
                        "max_tokens": 200}),
                ("results", {"messages": HISTORY, "tools": [TOOL], "tool_choice": "none"}),
        ):
            direct, through = spoken(claude, MODEL, **body), spoken(front, "claude", **body)
            assert direct == through, (name, direct, through)
            assert TINY or name != "a call" or (direct[1] and direct[2] == "tool_calls"), direct
        # a stop sequence is in no answer, and is known by its name on the other side
        word = "o" if TINY else spoken(claude, MODEL, messages=USER)[0].split()[1]
        body = {"messages": USER, "stop": ["never said", word]}
        assert spoken(claude, MODEL, **body) == spoken(front, "claude", **body)
        code, _, text = front.ask("/v1/messages", {"model": "claude", "max_tokens": 24, "temperature": 0,
                                                   "system": "You are brief.", "messages": USER[1:],
                                                   "stop_sequences": ["never said", word]})
        doc = json.loads(text)
        assert code == 200 and (TINY or (doc["stop_reason"], doc["stop_sequence"]) == ("stop_sequence", word)), text
        # what cannot be said there is a 400 that names it, and a prompt that is too long is the client's fault too
        code, _, text = front.ask("/v1/chat/completions", {"model": "claude", "messages": USER, "seed": 7})
        assert code == 400 and "seed" in text, (code, text)
        code, _, text = front.ask("/v1/chat/completions", {"model": "claude", "messages": [
            {"role": "user", "content": "long " * 4000}]})
        assert code == 400, (code, text)
        assert "claude" in front.said() and "Name three" not in front.said()
