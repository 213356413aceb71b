"""Reranking by a real `hearth serve`: the order of the cosines that its own embeddings have, in three clients' forms."""
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need  # noqa: E402

QUERY = "How do I bake bread?"
DOCUMENTS = ["The stock market fell on Tuesday.", "Knead the dough and let it rise before baking.", "Paris is in France.",
             "An oven should be hot before a loaf goes in.", "Paris is in France.", ""]


def post(s, path, **body):
    request = urllib.request.Request(s.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as r:
            return r.status, json.loads(r.read()), r.headers
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read()), e.headers


def ask(s, path="/v1/rerank", **body):
    code, reply, headers = post(s, path, **{"model": "minilm", "query": QUERY, **body})
    assert code == 200 and headers["x-hearth-method"] == "embedding", (body, code, reply)
    return reply


def cosines(s, model, documents):
    reply = post(s, "/v1/embeddings", model=model, input=[QUERY, *documents])[1]
    query, *rest = [d["embedding"] for d in reply["data"]]
    return [sum(a * b for a, b in zip(query, v)) for v in rest], reply["usage"]["prompt_tokens"]


def as_the_embeddings_say(s):
    for model, documents in (("minilm", DOCUMENTS), (MODEL, DOCUMENTS[:5])):  # to which an empty text is nothing
        wanted, tokens = cosines(s, model, documents)
        reply = ask(s, model=model, documents=documents)
        assert set(reply) == {"model", "object", "usage", "results", "method"} and reply["object"] == "list"
        assert reply["model"] == model and reply["method"] == "embedding"
        assert reply["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
        order = sorted(range(len(documents)), key=lambda i: (-wanted[i], i))
        results = reply["results"]
        assert all(set(r) == {"index", "relevance_score"} for r in results) and len(results) == len(documents)
        assert all(abs(r["relevance_score"] - wanted[r["index"]]) < 1e-6 for r in results)
        scores = [r["relevance_score"] for r in results]
        assert scores == sorted(scores, reverse=True)
        twins = [r["index"] for r in results if r["index"] in (2, 4)]
        assert twins == [2, 4]  # equal scores: the earlier first
        if model == "minilm":
            assert [r["index"] for r in results] == order and order[:2] == [1, 3], order


def in_all_forms(s):
    whole = ask(s, documents=DOCUMENTS)
    for path in ("/rerank", "/reranking", "/v1/reranking"):
        assert ask(s, path, documents=DOCUMENTS) == whole
    assert ask(s, documents=[{"text": t} for t in DOCUMENTS]) == whole
    assert ask(s, documents=DOCUMENTS, top_n=2)["results"] == whole["results"][:2]
    assert ask(s, documents=DOCUMENTS, top_n=100) == whole
    named = ask(s, documents=DOCUMENTS, return_documents=True)["results"]
    assert [r["document"]["text"] for r in named] == [DOCUMENTS[r["index"]] for r in whole["results"]]
    plain = ask(s, "/rerank", texts=DOCUMENTS, return_text=True)
    assert plain == [{"index": r["index"], "score": r["relevance_score"], "text": DOCUMENTS[r["index"]]}
                     for r in whole["results"]]
    many = ask(s, documents=[DOCUMENTS[i % 6] for i in range(200)], top_n=40)["results"]
    assert {r["index"] % 6 for r in many[:33]} == {1} and many[0]["relevance_score"] == whole["results"][0]["relevance_score"]
    code, reply, _ = post(s, "/rerank", query=QUERY, documents=DOCUMENTS[:2])  # no model: the server's
    assert code == 200 and reply["model"] == f"{MODEL}.gguf" and len(reply["results"]) == 2


def refusals(s):
    for says, body in (("'query' is missing", dict(query=None, documents=["a"])), ("1 to 2047", dict()), ("1 to 2047", dict(documents=[])),
                       ("1 to 2047", dict(documents="a")), ("item 1 of 'documents'", dict(documents=["a", 5])),
                       ("item 0 of 'texts'", dict(texts=[{"title": "a"}])), ("not both", dict(documents=["a"], texts=["a"])),
                       ("'top_n'", dict(documents=["a"], top_n=0)), ("1 to 2047", dict(documents=["a"] * 2048)),
                       ("'query' must be a string", dict(query=5, documents=["a"])), ("unknown field", dict(documents=["a"], k=1)),
                       ("rank_fields", dict(documents=["a"], rank_fields=["text"])), ("a task is asked", dict(documents=["a"], model="task:x")),
                       ("document 1 has 702 tokens", dict(documents=["a", "word " * 700])),
                       ("the query has 702 tokens", dict(query="word " * 700, documents=["a"]))):
        code, reply, _ = post(s, "/v1/rerank", **{"model": "minilm", "query": QUERY, **body})
        assert code == reply["error"]["code"] == 400 and says in reply["error"]["message"], (body, code, reply)
    assert reply["error"]["type"] == "exceed_context_size_error" and reply["error"]["n_ctx"] == 512
    assert len(ask(s, documents=["a", "word " * 700], truncate=True)["results"]) == 2
    assert post(s, "/v1/rerank", model="nothing", query="a", documents=["a"])[0] == 404


def encoders_say_so(s):
    for model, wanted in (("minilm", ["embedding"]), (MODEL, ["completion", "tools"]), ("gemma", ["completion"])):
        if (s.home / f"models/{model}.gguf").exists():
            code, reply, _ = post(s, "/api/show", model=model)
            assert code == 200 and reply["capabilities"] == wanted, (model, reply)


def main():
    folder, gemma = need(CACHE / "minilm"), CACHE / "gemma-3-270m-q4_k_m.gguf"
    with Served(args=[MODEL]) as s:
        subprocess.run([str(BUILD / "hearth"), "import", folder, s.home / "models/minilm.gguf"], check=True)
        if gemma.exists() and not TINY:
            (s.home / "models/gemma.gguf").symlink_to(gemma)
        for test in (as_the_embeddings_say, in_all_forms, refusals, encoders_say_so):
            test(s)
            print("ok", test.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
