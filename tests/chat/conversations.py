"""A matrix of conversations for chat templates: roles, tools, results, reasoning, parts, flags."""
import itertools

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather at a place.\nIn “human” words & <tags>.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "City, e.g. Zürich"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 14},
            "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                      "required": ["lat"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "any": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "number"}}]}},
            "required": ["city"], "additionalProperties": False}, "strict": True}},
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "bare"}},
]


def call(name, arguments, id="call00001"):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


ARGUMENTS = {"city": "Zürich \"x\" <b>", "days": 3, "where": {"lat": 47.5, "lon": -0.25}, "tags": ["a", "b'c"], "f": 1e-7,
             "big": 12345678901234567890, "none": None, "yes": True}
U, A, S = ({"role": r, "content": c} for r, c in (
    ("user", "  Hello,\n{{ world }} \u2014 how are you? "), ("assistant", "Fine.\n\n  Thanks!\n"), ("system", "You are terse.\n")))
U2 = {"role": "user", "content": "And <|im_end|> tomorrow?\n"}
PARTS = [{"type": "text", "text": "Look: "}, {"type": "text", "text": " again\n"}]
IMAGE = [{"type": "image"}, {"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]


def tool_turns(arguments, reply):
    return [U, {"role": "assistant", "content": "", "tool_calls": [call("get_weather", arguments)]}, reply]


def matrix():
    """(name, variables) of every conversation."""
    reply = {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"temp\": 21.5, \"sky\": \"klar ☀\"}"}
    think = "<think>\nHm, \n</think>\n\nIt is 4."
    bodies = {
        "one": [U], "two": [U, A], "three": [U, A, U2], "system": [S, U], "system3": [S, U, A, U2], "empty user": [{"role": "user", "content": ""}],
        "developer": [{"role": "developer", "content": "Be kind."}, U], "twice": [U, U2], "assistant first": [A, U], "two systems": [S, S, U],
        "late system": [U, A, S, U2], "role": [{"role": "critic", "content": "no"}], "none": [], "ends with assistant": [S, U, A],
        "parts": [{"role": "user", "content": PARTS}], "image": [{"role": "user", "content": IMAGE}],
        "system parts": [{"role": "system", "content": PARTS}, U, {"role": "assistant", "content": PARTS}, U2],
        "null": [U, {"role": "assistant", "content": None}, U2], "no content": [U, {"role": "assistant"}, U2],
        "think": [U, {"role": "assistant", "content": think}, U2], "think last": [U, {"role": "assistant", "content": think}],
        "reasoning": [S, U, {"role": "assistant", "content": "It is 4.", "reasoning_content": "Hm.\nTwo and two"}, U2],
        "reasoning last": [U, {"role": "assistant", "content": "It is 4.", "reasoning_content": "Hm.\nTwo", "thinking": "T", "reasoning": "R"}],
        "tool": tool_turns(ARGUMENTS, reply), "tool text": tool_turns('{"city": "Oslo"}', reply),
        "tool object": tool_turns({}, {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": {"temp": 21.5}}),
        "tool parts": tool_turns(ARGUMENTS, {"role": "tool", "tool_call_id": "call00001", "content": [{"type": "text", "text": "21"}]}),
        "tool answered": tool_turns({"city": "Oslo"}, reply) + [A, U2],
        "tools parallel": [S, U, {"role": "assistant", "content": None, "tool_calls": [call("get_weather", ARGUMENTS), call("now", {}, "call00002")]},
                           reply, dict(reply, name="now", tool_call_id="call00002", content="12:00"), A, U2],
        "tool think": [U, {"role": "assistant", "content": "Let me see.", "reasoning_content": "I need a tool.", "tool_calls": [call("get_weather", {"city": "Bern"})]},
                       reply, {"role": "assistant", "content": "", "reasoning_content": "Again.", "tool_calls": [call("now", {})]}, reply],
        "ipython": [U, A, {"role": "ipython", "content": {"output": "x"}}, U2], "function": [U, A, {"role": "function", "name": "f", "content": "x"}, U2],
        "tool empty calls": [U, {"role": "assistant", "content": "Fine", "tool_calls": []}, U2],
        "named": [{"role": "user", "name": "Bob", "content": "hi"}, {"role": "assistant", "name": "Al", "content": "ho"}],
    }
    flags = [{}, {"enable_thinking": False}, {"enable_thinking": True, "thinking": True, "reasoning_effort": "high", "custom": 1},
             {"date_string": "1 Jan 2025", "documents": [{"title": "T", "text": "A doc."}, {"doc_id": 7, "title": "U", "text": "B\nC"}],
              "builtin_tools": ["python", "browser"], "tools_in_user_message": False, "keep_past_thinking": True, "preserve_thinking": True}]
    for (name, body), tools, go, (i, flag) in itertools.product(bodies.items(), (None, TOOLS), (False, True), enumerate(flags)):
        yield (f"{name}{' with tools' if tools else ''}{' go' if go else ''} {i}",
               {"messages": body, "tools": tools, "documents": None, "add_generation_prompt": go, "bos_token": "<s>",
                "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", **flag})
