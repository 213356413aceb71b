"""/v1/embeddings of a real `hearth serve` through the official client: what `hearth embed` says, in both encodings."""
import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request

try:
    import numpy as np
    import openai
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from served import BUILD, CACHE, MODEL, Served, need  # noqa: E402

TEXTS = ["How do I bake bread?", "Baking a loaf", "", "Die Börse fiel am Dienstag.", "x " * 150]
HEARTH = str(BUILD / "hearth")


def command(server, *args):
    done = subprocess.run([HEARTH, "embed", server.home / "models/minilm.gguf", *args], capture_output=True, check=True)
    return np.array([json.loads(line)["embedding"] for line in done.stdout.splitlines()], "<f4")


def vectors(reply):
    return np.array([d.embedding for d in reply.data], "<f4")


def same_as_the_command(server, c):
    wanted = command(server, *TEXTS)
    for encoding in ("float", "base64", openai.NOT_GIVEN):
        r = c.embeddings.create(model="minilm", input=TEXTS, encoding_format=encoding)
        assert r.object == "list" and r.model == "minilm" and [d.index for d in r.data] == list(range(len(TEXTS)))
        if encoding == "base64":
            got = np.array([np.frombuffer(base64.b64decode(d.embedding), "<f4") for d in r.data])
        else:
            got = vectors(r)
        assert np.array_equal(got, wanted), encoding
    assert r.usage.prompt_tokens == r.usage.total_tokens > 160
    one = c.embeddings.create(model="minilm", input=TEXTS[0])
    assert np.array_equal(vectors(one)[0], wanted[0])
    part = c.embeddings.create(model="minilm", input=TEXTS, dimensions=100)
    assert np.array_equal(vectors(part), command(server, "--dimensions", "100", *TEXTS))
    many = c.embeddings.create(model="minilm", input=[TEXTS[i % 4] for i in range(150)])
    assert all(np.array_equal(v, wanted[i % 4]) for i, v in enumerate(vectors(many)))


def ids(server, c):
    line = subprocess.run([HEARTH, "tokenize", "--bos", server.home / "models/minilm.gguf", TEXTS[0]],
                          capture_output=True, check=True).stdout
    tokens = list(map(int, line.split()))
    wanted = command(server, TEXTS[0])[0]
    for form in (tokens, [tokens], [tokens, tokens[:3]]):
        assert np.array_equal(vectors(c.embeddings.create(model="minilm", input=form))[0], wanted)


def ask(server, **body):
    request = urllib.request.Request(server.url + "/v1/embeddings", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        return 200, json.loads(urllib.request.urlopen(request, timeout=60).read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def refusals(server, c):
    for says, body in (("'input' must hold 1 to 2048 texts", dict(input=[])), ("'input' must be a text", dict(input=5)),
                       ("'input' must be a text", dict()), ("'input' must be a text", dict(input=["a", None])),
                       ("no token id", dict(input=[[1, -2]])), ("input 0: token 99999", dict(input=[99999])),
                       ("encoding_format", dict(input="a", encoding_format="int8")),
                       ("have 384", dict(input="a", dimensions=385)), ("dimensions", dict(input="a", dimensions=0)),
                       ("'pooling'", dict(input="a", pooling="max")), ("a task has no embeddings", dict(input="a", model="task:x"))):
        code, reply = ask(server, **{"model": "minilm", **body})
        assert code == 400 and says in reply["error"]["message"], (body, code, reply)
    long = "word " * 700
    code, reply = ask(server, model="minilm", input=["a", long])
    error = reply["error"]
    assert code == 400 and error["code"] == "context_length_exceeded" and error["n_prompt_tokens"] == 702, reply
    assert error["n_ctx"] == 512 and "input 1 has 702 tokens" in error["message"]
    code, reply = ask(server, model="minilm", input=[long], truncate=True)
    assert code == 200 and reply["usage"]["prompt_tokens"] == 512
    assert ask(server, model="nothing", input="a")[0] == 404
    try:
        c.chat.completions.create(model="minilm", messages=[{"role": "user", "content": "Hello"}])
        assert False
    except openai.BadRequestError as e:
        assert "ask it for embeddings" in str(e), e


def models_that_write(server, c):
    r = c.embeddings.create(model=MODEL, input=["a b c", "a b c", "x"])
    v = vectors(r)
    assert np.array_equal(v[0], v[1]) and abs((v * v).sum(-1) - 1).max() < 1e-5 and r.usage.prompt_tokens > 5
    assert c.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=3).choices


def main():
    folder = need(CACHE / "minilm")
    with Served() as server:
        subprocess.run([HEARTH, "import", folder, server.home / "models/minilm.gguf"], check=True)
        with openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120) as c:
            for test in (same_as_the_command, ids, refusals, models_that_write):
                test(server, c)
                print("ok", test.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
