"""A conversation, and how each dialect writes it. Nothing here knows classes: what is written is decided in ask.py."""
import dataclasses
import json

PHRASES = ("Say something about rain.", "What is a bridge made of?", "Name three colours.", "How long is a mile?",
           "Write one short line.", "Is bread older than beer?", "Which way do rivers run?", "Tell me about copper.")
CLOUD_PATHS = {"openai": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages",
               "ollama": "/api/chat", "generate": "/api/generate"}
# what only weights on this machine answer: whatever its class, nothing of it leaves
LOCAL_PATHS = {"completions": "/v1/completions", "embeddings": "/v1/embeddings", "count": "/v1/messages/count_tokens",
               "embed": "/api/embed", "embed-old": "/api/embeddings", "raw": "/api/generate",
               "llama": "/completion", "rerank": "/v1/rerank", "tokenize": "/tokenize", "template": "/apply-template"}


@dataclasses.dataclass
class Talk:
    """turns: ("user" | "assistant", [texts of its parts]), ("call", name, arguments, id), ("result", id, text)"""
    system: str = ""
    turns: list = dataclasses.field(default_factory=list)
    tools: list = dataclasses.field(default_factory=list)   # (name, description, schema)
    stop: str = ""
    schema: dict = None     # of the answer
    extra: dict = dataclasses.field(default_factory=dict)   # members that change nothing: user, metadata


def schema_of(description="what to look up"):
    return {"type": "object", "properties": {"what": {"type": "string", "description": description}},
            "required": ["what"]}


# ---- OpenAI chat ----

def openai_content(texts, kind="text"):
    return texts[0] if len(texts) == 1 else [{"type": kind, "text": t} for t in texts]


def openai_turn(turn):
    kind = turn[0]
    if kind == "call":
        call = {"id": turn[3], "type": "function", "function": {"name": turn[1], "arguments": json.dumps(turn[2])}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "result":
        return {"role": "tool", "tool_call_id": turn[1], "content": turn[2]}
    return {"role": kind, "content": openai_content(turn[1])}


def openai_tools(tools):
    return [{"type": "function", "function": {"name": n, "description": d, "parameters": s}} for n, d, s in tools]


def openai(talk, stream):
    body = {"messages": [openai_turn(t) for t in talk.turns], "max_tokens": 2, "stream": stream, **talk.extra}
    if talk.system:
        body["messages"].insert(0, {"role": "system", "content": talk.system})
    if talk.tools:
        body["tools"] = openai_tools(talk.tools)
    if talk.stop:
        body["stop"] = talk.stop
    if talk.schema:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": talk.schema}}
    return body


# ---- OpenAI responses ----

def responses_item(turn):
    kind = turn[0]
    if kind == "call":
        return {"type": "function_call", "call_id": turn[3], "name": turn[1], "arguments": json.dumps(turn[2])}
    if kind == "result":
        return {"type": "function_call_output", "call_id": turn[1], "output": turn[2]}
    part = "input_text" if kind == "user" else "output_text"
    return {"type": "message", "role": kind, "content": openai_content(turn[1], part)}


def responses(talk, stream):
    body = {"input": [responses_item(t) for t in talk.turns], "max_output_tokens": 2, "stream": stream}
    if len(talk.turns) == 1 and len(talk.turns[0][1]) == 1:
        body["input"] = talk.turns[0][1][0]
    if talk.system:
        body["instructions"] = talk.system
    if talk.tools:
        body["tools"] = [{"type": "function", "name": n, "description": d, "parameters": s} for n, d, s in talk.tools]
    if talk.schema:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": talk.schema}}
    return body


# ---- Anthropic ----

def anthropic_turn(turn):
    kind = turn[0]
    if kind == "call":
        return {"role": "assistant", "content": [{"type": "tool_use", "id": turn[3], "name": turn[1],
                                                  "input": turn[2]}]}
    if kind == "result":
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": turn[1], "content": turn[2]}]}
    return {"role": kind, "content": openai_content(turn[1])}


def anthropic(talk, stream):
    body = {"messages": [anthropic_turn(t) for t in talk.turns], "max_tokens": 2, "stream": stream}
    if talk.system:
        body["system"] = talk.system
    if talk.tools:
        body["tools"] = [{"name": n, "description": d, "input_schema": s} for n, d, s in talk.tools]
    if talk.stop:
        body["stop_sequences"] = [talk.stop]
    if talk.schema:
        body["output_config"] = {"format": {"type": "json_schema", "schema": talk.schema}}
    return body


# ---- Ollama ----

def ollama_turn(turn):
    kind = turn[0]
    if kind == "call":
        return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": turn[1],
                                                                                 "arguments": turn[2]}}]}
    if kind == "result":
        return {"role": "tool", "tool_name": "look_up", "content": turn[2]}
    return {"role": kind, "content": "".join(turn[1])}


def ollama(talk, stream):
    body = {"messages": [ollama_turn(t) for t in talk.turns], "stream": stream,
            "options": {"num_predict": 2, "top_k": 0, "repeat_penalty": 1}}
    if talk.system:
        body["messages"].insert(0, {"role": "system", "content": talk.system})
    if talk.tools:
        body["tools"] = openai_tools(talk.tools)
    if talk.stop:
        body["options"]["stop"] = [talk.stop]
    if talk.schema:
        body["format"] = talk.schema
    return body


def generate(talk, stream):
    body = {"prompt": "\n".join("".join(t[1]) for t in talk.turns), "stream": stream,
            "options": {"num_predict": 2, "top_k": 0, "repeat_penalty": 1}}
    if talk.system:
        body["system"] = talk.system
    return body


WRITERS = {"openai": openai, "responses": responses, "anthropic": anthropic, "ollama": ollama, "generate": generate}


# ---- what never leaves ----

def flat(talk):
    texts = [talk.system]
    for t in talk.turns:
        texts.append(json.dumps(t[2]) if t[0] == "call" else t[2] if t[0] == "result" else "".join(t[1]))
    return "\n".join(x for x in texts if x)


def local_body(kind, talk, stream):
    text = flat(talk)
    return {"completions": lambda: {"prompt": text, "max_tokens": 2, "stream": stream},
            "embeddings": lambda: {"input": [text]},
            "count": lambda: {k: v for k, v in anthropic(talk, False).items() if k not in ("stream",)},
            "embed": lambda: {"input": text}, "embed-old": lambda: {"prompt": text},
            "raw": lambda: {"prompt": text, "raw": True, "stream": stream, "options": {"num_predict": 2}},
            "llama": lambda: {"prompt": text, "n_predict": 2, "stream": stream},
            "rerank": lambda: {"query": text, "documents": ["rain", text]},
            "tokenize": lambda: {"content": text},
            "template": lambda: {"messages": openai(talk, False)["messages"]}}[kind]()
