"""Reranking by a real `hearth serve`: the order of the cosines that its own embeddings have, in three clients' forms; and
the scores of a cross-encoder, against NumPy over the same weights and `tokenizers` for the pairs."""
import json
import shutil
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

try:
    import gguf
    import numpy as np
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "engine"), str(TESTS / "model"), str(TESTS / "import")]
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need  # noqa: E402
import encoder_reference  # noqa: E402
import test_minilm  # noqa: E402

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


# ---- a cross-encoder: MiniLM with a head of random weights ----

N_EMBD = 384


def head():
    rng = np.random.RandomState(9)
    return {"cls.weight": (rng.standard_normal((N_EMBD, N_EMBD)) * 0.15).astype("<f4"),
            "cls.bias": rng.standard_normal(N_EMBD).astype("<f4"),
            "cls.output.weight": (rng.standard_normal((1, N_EMBD)) * 0.2).astype("<f4"),
            "cls.output.bias": rng.standard_normal(1).astype("<f4")}


def with_tensors(source, to, tensors):
    """A GGUF file with further tensors (F32) behind its own."""
    data, reader = source.read_bytes(), gguf.GGUFReader(source)
    end = max(int(t.field.offset) + sum(p.nbytes for p in t.field.parts) for t in reader.tensors)
    begin, align = int(reader.data_offset), int(reader.alignment)
    infos, weights, at = b"", data[begin:], len(data) - begin
    for name, value in tensors.items():
        weights += b"\0" * (-at % align)
        at += -at % align
        infos += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", value.ndim)
        infos += struct.pack(f"<{value.ndim}Q", *value.shape[::-1]) + struct.pack("<IQ", 0, at)
        weights += value.tobytes()
        at += value.nbytes
    front = data[:8] + struct.pack("<Q", len(reader.tensors) + len(tensors)) + data[16:end] + infos
    to.write_bytes(front + b"\0" * (-len(front) % align) + weights)


def cross_folder(folder):
    """The same as its makers would publish it."""
    shutil.copytree(CACHE / "minilm", folder, ignore=shutil.ignore_patterns("1_Pooling", "modules.json", "*.safetensors"))
    config = json.loads((folder / "config.json").read_text())
    config.update(architectures=["BertForSequenceClassification"], id2label={"0": "LABEL_0"})
    (folder / "config.json").write_text(json.dumps(config))
    weights = {k: v for k, v in test_minilm.safetensors(CACHE / "minilm/model.safetensors").items() if "pooler" not in k}
    weights = {"bert." + k: v for k, v in weights.items()}
    for name, value in head().items():
        weights[name.replace("cls.output", "classifier").replace("cls", "bert.pooler.dense")] = value
    header, data = {}, b""
    for name, value in weights.items():
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [len(data), len(data) + value.nbytes]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def reference(query, documents):
    w = test_minilm.gguf_names(test_minilm.safetensors(CACHE / "minilm/model.safetensors"))
    w.update({k: v.astype(np.float64) for k, v in head().items()})
    t, scores, n = test_minilm.tokenizer("minilm"), [], 0
    for document in documents:
        pair = t.encode(query, document)
        x = encoder_reference.encode(w, pair.ids, 6, 12, 1e-12, kinds=np.array(pair.type_ids))
        scores.append(float(encoder_reference.rank(w, x)[0]))
        n += len(pair.ids)
    return np.array(scores), n


def cross_encoder(s):
    wanted, n_tokens = reference(QUERY, DOCUMENTS)
    code, raw, headers = post(s, "/v1/rerank", model="cross", query=QUERY, documents=DOCUMENTS, raw_scores=True)
    assert code == 200 and raw["method"] == headers["x-hearth-method"] == "cross-encoder", raw
    assert raw["usage"]["prompt_tokens"] == n_tokens
    scores = [r["relevance_score"] for r in raw["results"]]
    off = max(abs(r["relevance_score"] - wanted[r["index"]]) for r in raw["results"])
    print(f"   |logit - NumPy| {off:.1e}, logits {min(wanted):.2f} to {max(wanted):.2f}")
    assert off < 1e-2 < 0.2 < np.ptp(wanted) and scores == sorted(scores, reverse=True)
    imported = post(s, "/v1/rerank", model="imported", query=QUERY, documents=DOCUMENTS, raw_scores=True)[1]
    assert imported == {**raw, "model": "imported"}
    other = post(s, "/v1/rerank", model="cross", query=QUERY, documents=DOCUMENTS)[1]
    assert [r["index"] for r in other["results"]] == [r["index"] for r in raw["results"]]
    for a, b in zip(other["results"], raw["results"]):
        assert abs(a["relevance_score"] - 1 / (1 + np.exp(-b["relevance_score"]))) < 1e-9
    many = [DOCUMENTS[i % 6] + " word" * (i // 6) for i in range(60)]
    together = post(s, "/rerank", model="cross", query=QUERY, texts=many, raw_scores=True)[1]
    for r in together[::7]:  # a pair's score does not depend on its company
        alone = post(s, "/rerank", model="cross", query=QUERY, texts=[many[r["index"]]], raw_scores=True)[1]
        assert alone[0]["score"] == r["score"]
    code, reply, _ = post(s, "/v1/rerank", model="cross", query=QUERY, documents=["a", "word " * 600])
    n = len(test_minilm.tokenizer("minilm").encode(QUERY, "word " * 600).ids)
    assert code == 400 and f"document 1 has {n} tokens with the query" in reply["error"]["message"], reply
    assert reply["error"]["n_prompt_tokens"] == n and reply["error"]["n_ctx"] == 512
    code, cut, _ = post(s, "/v1/rerank", model="cross", query=QUERY, documents=["word " * 600], truncate=True, raw_scores=True)
    assert code == 200 and cut["usage"]["prompt_tokens"] == 512
    same = post(s, "/v1/rerank", model="cross", query=QUERY, documents=["word " * (600 - (n - 512))], raw_scores=True)[1]
    assert same["results"] == cut["results"]
    code, reply, _ = post(s, "/v1/rerank", model="cross", query="word " * 600, documents=["a"], truncate=True)
    assert code == 400 and "the query has 602 tokens" in reply["error"]["message"], reply
    assert post(s, "/v1/embeddings", model="cross", input="a")[0] == 200  # it makes vectors all the same


def encoders_say_so(s):
    for model, wanted in (("minilm", ["embedding"]), (MODEL, ["completion", "tools"]), ("gemma", ["completion"])):
        if (s.home / f"models/{model}.gguf").exists():
            code, reply, _ = post(s, "/api/show", model=model)
            assert code == 200 and reply["capabilities"] == wanted, (model, reply)


def main():
    folder, gemma = need(CACHE / "minilm"), CACHE / "gemma-3-270m-q4_k_m.gguf"
    with Served(args=[MODEL]) as s:
        subprocess.run([str(BUILD / "hearth"), "import", folder, s.home / "models/minilm.gguf"], check=True)
        with_tensors(s.home / "models/minilm.gguf", s.home / "models/cross.gguf", head())
        cross_folder(s.home / "cross")
        subprocess.run([str(BUILD / "hearth"), "import", s.home / "cross", s.home / "models/imported.gguf"], check=True)
        if gemma.exists() and not TINY:
            (s.home / "models/gemma.gguf").symlink_to(gemma)
        for test in (as_the_embeddings_say, in_all_forms, refusals, cross_encoder, encoders_say_so):
            test(s)
            print("ok", test.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
