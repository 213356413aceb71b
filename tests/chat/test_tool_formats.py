"""History to text to calls: for every published template of a known family, an assistant's tool calls are rendered by
the template itself (hearth's interpreter) and read back by the reader of answers as the same calls.

Templates are test_corpus.py's. Arguments are given as objects and, where a template refuses those, as text.
"""
import json, os, subprocess, sys

try:
    from peer import Hearth
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)
from corpus import templates

BUILD = os.environ.get("HEARTH_BUILD", "build")
FAMILIES = {"harmony", "functionary-v3.2", "functionary-v3.1", "seed", "qwen3-coder", "glm", "kimi", "deepseek",
            "deepseek-v3.1", "mistral-id", "mistral-args", "mistral-list", "gemma", "apriel", "minimax-m1", "minimax-m2",
            "hermes", "llama-3"}
TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city.", "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "description": "Which."},
                                             "days": {"type": "integer", "description": "How many."},
                                             "tags": {"type": "array", "items": {"type": "string"}, "description": "t"},
                                             "exact": {"type": "boolean", "description": "Exactly."}},
            "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time.",
                                      "parameters": {"type": "object", "properties": {}}}},
]
CALLS = [
    [("get_weather", {"city": "Köln"})],
    [("get_weather", {"city": 'a "b" \\ c', "days": 3, "tags": ["x", "y z"], "exact": True})],
    [("now", {})],
    [("get_weather", {"city": "12", "days": 1}), ("now", {})],
]
# What may stand after the calls: the ends of turns, which in life are tokens that end the answer.
ONE = {"harmony"}  # these templates write one call, whatever there is
PYTHON = {"seed"}  # and these write lists as Python does, which is no JSON: read as text
AFTER = {"", "<|eom_id|>", "<|eot_id|>", "<|tool_response>", "<|call|>", "<|im_end|>", "<sep>", "<|end|>", "<|observation|>",
         "<|end_of_text|>"}


class Reader:
    def __init__(self):
        self.p = subprocess.Popen([f"{BUILD}/tests/chat/test_output", "--serve"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def __call__(self, **q):
        self.p.stdin.write((json.dumps(q) + "\n").encode())
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())


def render(hearth, source, messages, go):
    status, text = hearth(source, {"messages": messages, "tools": TOOLS, "documents": None, "add_generation_prompt": go,
                                   "bos_token": "<s>", "eos_token": "</s>"})
    return None if status else text


def conversation(calls, as_text, content):
    return [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": content, "tool_calls": [
                {"id": f"abcdefgh{i}", "type": "function",
                 "function": {"name": n, "arguments": json.dumps(a, ensure_ascii=False) if as_text else a}}
                for i, (n, a) in enumerate(calls)]}]


def answer_of(hearth, source, calls, as_text):
    """What the model would have said, and the prompt before it; None: the template refuses."""
    plain = render(hearth, source, [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "@@@"}], False)
    for content in (None, ""):
        text = render(hearth, source, conversation(calls, as_text, content), False)
        if text is None or plain is None or "None" in text:
            continue
        at = plain.find("@@@")
        n = len(os.path.commonprefix([text, plain[:at]]))
        end = plain[at + 3:]
        return text[:n], text[n:len(text) - len(end)] if end and text.endswith(end) else text[n:]
    return None


def check(hearth, read, source, calls):
    """None: as it should be; "": refused; else what is wrong."""
    why = ""
    for as_text in (False, True):
        said = answer_of(hearth, source, calls, as_text)
        if said is None or not said[1]:
            continue
        prompt, text = said
        r = read(template=source, tools=TOOLS, prompt=prompt[-300:], text=text)
        got = [(n, json.loads(a)) for n, a, complete in r["calls"] if complete]
        if r["format"] in ONE:
            calls = calls[:1]
        if r["format"] in PYTHON:
            got = [(n, {**a, "tags": ["x", "y z"]} if "tags" in a else a) for n, a in got]
        if got == calls and r["content"].strip() in AFTER:
            return None
        why = why or f"{text!r} was read as {r['calls']!r} and {r['content']!r}"
    return why


def main():
    hearth, read, families, bad, n = Hearth(), Reader(), {}, [], 0
    for name, source in templates():
        family = read(template=source, tools=TOOLS, prompt="", text="")["format"]
        if family == "generic":
            continue
        for calls in CALLS:
            why = check(hearth, read, source, calls)
            n += 1
            families.setdefault(family, [0, 0, 0])
            families[family][0 if why is None else 2 if why else 1] += 1
            if why:
                bad.append(f"{name} ({family}): {why}")
    for line in bad:
        print(line)
    print(f"{n} answers; right, refused, wrong:", json.dumps(families))
    if not n:
        print("no templates: it needs the network once (tools/fetch vocabs)")
        return 77
    missing = {f for f in FAMILIES if families.get(f, [0])[0] == 0}
    if missing:
        print("never read back:", sorted(missing))
    return 1 if bad or missing else 0


sys.exit(main())
