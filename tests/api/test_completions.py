"""/v1/completions of a real `hearth serve` through the official client, and as lm-evaluation-harness asks it."""
import json
import math
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need, package  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
openai = package("openai")

HEARTH = str(BUILD / "hearth")
WEIGHTS = str(CACHE / f"{MODEL}.gguf")
TEXT = "The capital of France is"
UNEVEN = "héé €🙂 ünd\tso"  # characters that are cut between tokens


def program(*args, stdin=None):
    return subprocess.run([HEARTH, *args], input=stdin, capture_output=True, check=True).stdout


def tokenize(text, *options):
    return [int(i) for i in program("tokenize", *options, WEIGHTS, text).split()]


def ask(c, prompt, **more):
    return c.completions.create(**{"model": MODEL, "temperature": 0, "prompt": prompt, **more})


def piece(name):
    """A token's bytes by its name."""
    return name[6:].encode().decode("unicode_escape").encode("latin-1") if name.startswith("bytes:") else name.encode()


def without_time(choice):
    return json.loads(choice.model_dump_json())


def whole_and_streamed_agree(c):
    for more in (dict(max_tokens=12), dict(max_tokens=12, logprobs=3), dict(max_tokens=5, logprobs=1, echo=True),
                 dict(max_tokens=0, logprobs=2, echo=True), dict(max_tokens=4, n=2, temperature=1.5, seed=5)):
        for prompt in (UNEVEN, [TEXT], [tokenize(UNEVEN), tokenize(TEXT)]):
            whole = ask(c, prompt, **more)
            n = len(prompt) * more.get("n", 1) if isinstance(prompt, list) else more.get("n", 1)
            assert [k.index for k in whole.choices] == list(range(n))
            assert whole.object == "text_completion" and whole.id.startswith("cmpl-")
            chunks = list(ask(c, prompt, stream=True, stream_options={"include_usage": True}, **more))
            assert len({(k.id, k.created, k.object) for k in chunks}) == 1
            assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == whole.usage.total_tokens
            assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
            assert all(k.usage is None for k in chunks[:-1])
            for choice in whole.choices:
                mine = [k.choices[0] for k in chunks[:-1] if k.choices[0].index == choice.index]
                assert "".join(k.text for k in mine) == choice.text, (mine, choice)
                assert [k.finish_reason for k in mine if k.finish_reason] == [choice.finish_reason]
                assert mine[-1].finish_reason and (len(mine) > 2 or more["max_tokens"] < 12)
                for part in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
                    lists = [getattr(k.logprobs, part) if k.logprobs else None for k in mine]
                    if "logprobs" in more:
                        assert sum(lists, []) == getattr(choice.logprobs, part)
                    else:
                        assert choice.logprobs is None and not any(lists)


def greedy_is_what_the_program_says(c):
    alone = program("run", "-q", "--raw", "--temp", "0", "-n", "8", WEIGHTS, TEXT).decode()
    text = ask(c, TEXT, max_tokens=8).choices[0].text
    assert text and alone.rstrip("\n") in (text.rstrip("\n"), (TEXT + text).rstrip("\n")), (alone, text)
    first = ask(c, TEXT, max_tokens=16)
    assert first.choices[0].text == ask(c, TEXT).choices[0].text and first.usage.completion_tokens == 16  # the default


def perplexity_agrees(c):
    """The log-probabilities of echo, summed as `hearth perplexity` sums them."""
    text = Path(__file__).resolve().parents[2].joinpath("CONTRIBUTING.md").read_text()[:2200]
    said = json.loads(program("perplexity", "--json", "-c", "64", WEIGHTS, "-", stdin=text.encode()))
    ids = tokenize(text, "--bos")
    windows = [ids[i:i + 64] for i in range(0, len(ids) - 63, 64)]
    r = ask(c, windows, echo=True, max_tokens=0, logprobs=0)
    judged = [p for k in r.choices for p in k.logprobs.token_logprobs[33:]] # the first of the second half only begins it
    assert len(windows) == said["windows"] > 3 and len(judged) == said["tokens"]
    assert abs(-math.fsum(judged) / len(judged) + said["mean_logprob"]) < 1e-5, said
    assert r.usage.prompt_tokens == 64 * len(windows) and r.usage.completion_tokens == 0
    assert all(k.finish_reason == "length" for k in r.choices)


def drawing_and_scoring_agree(c):
    """What a token was drawn with is what it scores when it is part of the prompt."""
    compared = 0
    for seed in range(12):
        drawn = ask(c, UNEVEN, max_tokens=10, logprobs=4, temperature=1, seed=seed).choices[0]
        scored = ask(c, UNEVEN + drawn.text, max_tokens=0, logprobs=4, echo=True).choices[0]
        n = len(drawn.logprobs.tokens)
        if scored.logprobs.tokens[-n:] != drawn.logprobs.tokens:  # the text has a shorter spelling
            continue
        compared += 1
        for a, b in zip(drawn.logprobs.token_logprobs, scored.logprobs.token_logprobs[-n:]):
            assert abs(a - b) < 1e-4, (seed, drawn, scored)
    assert compared >= (0 if TINY else 3), compared


def shape_of_logprobs(c):
    ids = tokenize(UNEVEN, "--bos")
    for prompt in (UNEVEN, ids):
        k = ask(c, prompt, echo=True, max_tokens=3, logprobs=2).choices[0]
        lp = k.logprobs
        assert len(lp.tokens) == len(lp.token_logprobs) == len(lp.top_logprobs) == len(lp.text_offset) == len(ids) + 3
        assert k.text.startswith(UNEVEN) and b"".join(map(piece, lp.tokens)).decode() == k.text
        assert lp.token_logprobs[0] is None and lp.top_logprobs[0] is None
        assert any(t.startswith("bytes:") for t in lp.tokens)
        at = b""
        for i, name in enumerate(lp.tokens):
            whole = at.decode(errors="ignore")
            assert lp.text_offset[i] == len(whole), (i, name, lp.text_offset[i], whole)
            at += piece(name)
            if i:
                top = lp.top_logprobs[i]
                assert top[name] == lp.token_logprobs[i] and len(top) in (2, 3), (name, top)
                assert next(iter(top.values())) == max(top.values()), top
    assert ask(c, UNEVEN, echo=True, max_tokens=3).choices[0].text == k.text  # echo alone, of a text and of ids
    assert ask(c, ids, echo=True, max_tokens=3).choices[0].text == k.text
    none = ask(c, UNEVEN, max_tokens=0, logprobs=1).choices[0]
    assert none.text == "" and none.logprobs.tokens == [] and none.finish_reason == "length"
    assert all(len(t) == 1 for t in ask(c, TEXT, max_tokens=2, logprobs=0).choices[0].logprobs.top_logprobs)
    assert all(len(t) == 20 for t in ask(c, TEXT, max_tokens=2, logprobs=20).choices[0].logprobs.top_logprobs)


def several_prompts_are_as_alone(c):
    texts = [TEXT, UNEVEN, "1, 2, 3,"]
    more = dict(max_tokens=6, temperature=1.2, seed=11, logprobs=1)
    together = ask(c, texts, n=2, **more)
    by_ids = ask(c, [tokenize(t, "--bos") for t in texts], n=2, **more)
    for i, text in enumerate(texts):
        alone = ask(c, text, n=2, **more)
        for j in (0, 1):
            one = without_time(alone.choices[j])
            for other in (together, by_ids):
                assert {**without_time(other.choices[2 * i + j]), "index": j} == one
        assert ask(c, text, **more).choices[0].text == alone.choices[0].text
        second = ask(c, text, **{**more, "seed": 12}).choices[0].text  # choice j is drawn with seed + j
        assert second == alone.choices[1].text
    assert together.usage.prompt_tokens == sum(len(tokenize(t, "--bos")) for t in texts)
    assert len({ask(c, TEXT, max_tokens=8, temperature=2, n=8).choices[i].text for i in range(8)}) > 4


def stops(c):
    text = ask(c, "1, 2, 3, 4,", max_tokens=20).choices[0].text
    word = text.split()[3]
    cut = ask(c, "1, 2, 3, 4,", max_tokens=20, stop=[word]).choices[0]
    assert cut.finish_reason == "stop" and cut.text == text[:text.index(word)]
    echoed = ask(c, word + " 1, 2, 3, 4,", max_tokens=1, stop=word, echo=True).choices[0]
    assert echoed.text.startswith(word)  # what the caller said is no stop


def nothing_is_dropped_silently(c):
    def refused(*words, kind=openai.BadRequestError, **more):
        try:
            ask(c, **{"prompt": TEXT, **more})
        except kind as e:
            assert all(w in str(e) for w in words), (words, str(e))
            return e
        raise AssertionError((words, more))
    refused("suffix", suffix="x")
    refused("logprobs", "from 0 to 20", logprobs=21)
    refused("logprobs", "whole number", extra_body={"logprobs": True})
    refused("echo", extra_body={"echo": 1})
    refused("best_of", "equal", best_of=3)
    refused("'n'", n=9)
    refused("max_tokens", max_tokens=-1)
    refused("messages", "unknown", extra_body={"messages": []})
    refused("temprature", "did you mean 'temperature'", extra_body={"temprature": 0})
    refused("stream_options", extra_body={"stream_options": [1]})
    refused("task", "/v1/chat/completions", model="task:ticket-class")
    refused("no-such-model", kind=openai.NotFoundError, model="no-such-model")
    refused("'prompt' must", prompt=None)
    refused("'prompt' must", prompt=[TEXT, 5])
    refused("no token id", prompt=[[1, "x"]])
    refused("1 to 2048", prompt=[])
    assert refused("prompt[1]", prompt=[[5], []]).param == "prompt[1]"
    assert refused("prompt[1]", "token 2 is not an id", prompt=[[5], [5, 6, 99999999]]).param == "prompt[1]"
    long = refused(prompt=[TEXT, "word " * 3000])
    assert long.code == "context_length_exceeded" and long.body["n_ctx"] == 2048, long.body
    assert ask(c, TEXT, suffix="", best_of=2, n=2, logit_bias={}, user="me").choices[1].index == 1
    stream = ask(c, [[5], [99999999]], stream=True, max_tokens=2)  # the first is answered before the second is seen
    try:
        heard = [k.choices[0].index for k in stream]
        raise AssertionError(heard)
    except openai.APIError as e:
        assert "prompt[1]" in str(e) and "token 0" in str(e), e


def a_client_that_leaves_stops_the_rest(c):
    stream = ask(c, [TEXT] * 500, max_tokens=200, stream=True)
    next(iter(stream))
    stream.close()
    start = time.monotonic()
    ask(c, TEXT)
    assert time.monotonic() - start < 8, "the abandoned answers went on"


# ---- lm-evaluation-harness -------------------------------------------------------------------------------------------

QUESTIONS = [("The capital of France is", [" Paris", " a banana", " London"]),
             ("Two and two make", [" four", " seven"]),
             ("Water is made of hydrogen and", [" oxygen", " bread", " copper"])]


def tokenize_names(names):
    return tokenize(b"".join(map(piece, names)).decode())


def harness_by_hand(c):
    """loglikelihood requests as lm-eval 0.4.13's local-completions makes them, and read as it reads them: a batch of
    context + continuation ids; the sum of [context:-1], and greedy if each equals the largest of its table."""
    pairs = [(tokenize(q), tokenize(a)) for q, answers in QUESTIONS for a in answers]
    reply = ask(c, [q + a for q, a in pairs], max_tokens=1, logprobs=1, seed=1234, echo=True).model_dump()
    read = []
    for choice, (q, a) in zip(sorted(reply["choices"], key=lambda k: k["index"]), pairs):
        lp = choice["logprobs"]
        assert len(lp["token_logprobs"]) == len(q) + len(a) + 1
        own, tops = lp["token_logprobs"][len(q):-1], lp["top_logprobs"][len(q):-1]
        read.append((sum(own), all(p == max(t.values()) for p, t in zip(own, tops))))
    for (q, a), (total, greedy) in zip(pairs, read):
        said = ask(c, q, max_tokens=len(a), logprobs=1).choices[0].logprobs  # without echo: by drawing
        drawn = tokenize_names(said.tokens) == a
        assert greedy == drawn, (q, a, said.tokens)
        if drawn:
            assert abs(sum(said.token_logprobs) - total) < 1e-4
    if not TINY:
        assert read[0][0] > read[1][0] and read[0][1] and read[3][0] > read[4][0] and read[5][0] > read[6][0]


with Served() as server:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as client:
        for check in (whole_and_streamed_agree, greedy_is_what_the_program_says, perplexity_agrees, shape_of_logprobs,
                      drawing_and_scoring_agree, several_prompts_are_as_alone, stops, nothing_is_dropped_silently,
                      a_client_that_leaves_stops_the_rest, harness_by_hand):
            check(client)
            print("ok", check.__name__, flush=True)
