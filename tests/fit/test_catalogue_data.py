#!/usr/bin/env python3
"""catalogue.yaml and losses.yaml as data, without a network: every fact has its page or is said to be unproved, and the
numbers do not contradict each other. A shape gives a number of parameters, which the page of `params` states on its own;
the files of models that are here say what the catalogue says of them."""
import json
import math
import pathlib
import re
import sys

import yaml  # a part of the package gguf

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))
MODELS = yaml.safe_load((ROOT / "src/fit/catalogue.yaml").read_text())["models"]
LOSSES = yaml.safe_load((ROOT / "src/fit/losses.yaml").read_text())["losses"]
BY_NAME = {m["name"]: m for m in MODELS}

TEXTS = ("name", "title", "maker", "arch", "kind", "licence", "released", "source")
FACTS = ("shape", "context", "params", "licence", "released", "files")
KINDS = ("chat", "base", "embedding", "rerank", "code", "reasoning")
ENCODERS = ("bert", "nomic-bert")
MOST = 35e9
# From many bits to few, of each family: what loses less stands before what loses more.
BITS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"), ("IQ4_XS", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS", "IQ2_M")
TYPES = set("F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_L Q3_K_M Q3_K_S IQ3_M "
            "IQ3_S IQ3_XS IQ3_XXS Q2_K Q2_K_S IQ2_M IQ2_S IQ2_XS IQ2_XXS".split())
NOISE = 0.011  # a measured perplexity may fall by as much from one type to the next coarser one


def stated(params):
    """"1.54B" -> 1.54e9"""
    assert re.fullmatch(r"\d+(\.\d+)?[MB]", params), params
    return float(params[:-1]) * {"M": 1e6, "B": 1e9}[params[-1]]


def parameters(arch, s, positions=512):
    """What the tensors of a model of this shape hold, by the layouts of src/model."""
    e, f, q, kv = s["embd"], s["ff"], s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
    if arch in ENCODERS:  # token, type and position vectors; a norm after each half of a layer
        rows = s["vocab"] + 2 + (positions if arch == "bert" else 0)
        biases = q + 2 * kv + e + f + e if arch == "bert" else 0
        layer = 2 * e * q + 2 * e * kv + (2 if arch == "bert" else 3) * e * f + 4 * e + biases
        return rows * e + 2 * e + s["layers"] * layer
    layer = 2 * e * q + 2 * e * kv + 3 * e * f + 2 * e
    layer += {"qwen2": q + 2 * kv, "qwen3": 2 * s["head_dim"], "gemma2": 2 * e,
              "gemma3": 2 * e + 2 * s["head_dim"]}.get(arch, 0)
    return s["vocab"] * e * (1 if s["tied"] else 2) + e + s["layers"] * layer


def test_entries():
    known = set(re.findall(r'\.name = "([^"]+)"', (ROOT / "src/model/arch.c").read_text()))
    assert len(MODELS) >= 45 and len(known) >= 10
    names = [m["name"] for m in MODELS]
    assert names == sorted(set(names)), "names are unique and sorted"
    for m in MODELS:
        at = m["name"]
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", at), at
        assert all(isinstance(m[k], str) and m[k] for k in TEXTS), at
        assert m["arch"] in known and m["kind"] in KINDS, at
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", m["released"]), at
        assert 256 <= m["context"] <= 1 << 20, at
        assert re.fullmatch(r"https://huggingface\.co/[\w.-]+/[\w.-]+", m["source"]), at
        assert "files" not in m or re.fullmatch(r"hf:[\w.-]+/[\w.-]+", m["files"]), at
        assert "quants" not in m or "files" in m and m["quants"] and set(m["quants"]) <= TYPES, at
        assert all(re.fullmatch(r"pypi:[a-z0-9-]+", p) for p in m.get("packages", [])), at


def test_pages():
    for m in MODELS:
        for fact in FACTS:
            page, unproved = m["pages"].get(fact), fact in m["unproved"]
            assert (page is not None) + unproved == (fact in m), f"{m['name']}: {fact}: one of a page and unproved"
            assert page is None or re.fullmatch(r"https://[\w.-]+/[^\s\"<>]*", page), f"{m['name']}: {page}"
        assert set(m["pages"]) | set(m["unproved"]) <= set(FACTS), m["name"]
        assert "shape" in m["pages"], f"{m['name']}: nobody's shape is from memory"
    for r in LOSSES:
        assert re.fullmatch(r"https://[\w.-]+/\S+", r["page"]), r


def test_shapes():
    for m in MODELS:
        s, at = m["shape"], m["name"]
        assert s["heads"] % s["kv_heads"] == 0, at
        assert s["embd"] % 32 == 0 and s["ff"] % 32 == 0 and s["head_dim"] % 16 == 0, at
        assert ("window" in s) == ("window_period" in s) == (m["arch"] in ("gemma2", "gemma3")), at
        assert m["arch"] not in ENCODERS or s["kv_heads"] == s["heads"], at


def test_parameters():
    worst = 0.0
    for m in MODELS:
        n, said = parameters(m["arch"], m["shape"]), stated(m["params"])
        off = n / said - 1
        worst = max(worst, abs(off))
        assert abs(off) < 0.06, f"{m['name']}: the shape has {n / 1e6:.1f}M parameters, its page says {m['params']}"
        assert n <= MOST and said <= MOST, m["name"]
    print(f"   {len(MODELS)} models, the largest difference {worst:.1%}")


def loss(r):
    return float(r["value"]) / float(r["base"]) - 1 if r["measure"] == "ppl" else float(r["value"])


def test_losses():
    seen = {}
    for r in LOSSES:
        assert r["type"] in TYPES and r["measure"] in ("ppl", "kld") and isinstance(r["imatrix"], bool), r
        assert 1e8 < stated(r["params"]) < 1e11 and float(r["value"]) > 0, r
        assert ("base" in r) == (r["measure"] == "ppl"), r
        assert -0.005 < loss(r) < 2, r
        key = r["model"], r["measure"], r["imatrix"], r["type"]
        assert key not in seen, f"twice: {key}"
        seen[key] = loss(r)
    measured = {k[3]: {j[0] for j in seen if j[3] == k[3] and j[1] == "ppl"} for k in seen}
    assert TYPES - {"F16", "BF16"} == set(measured)
    for t in ("Q8_0", "Q6_K", "Q5_K_M", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "Q3_K_M", "Q3_K_S", "Q2_K"):
        assert len(measured[t]) >= 2, f"{t}: one model only"
    for model, measure, imatrix in {k[:3] for k in seen}:
        for family in BITS:
            row = [(t, seen[model, measure, imatrix, t]) for t in family if (model, measure, imatrix, t) in seen]
            for (finer, a), (coarser, b) in zip(row, row[1:]):
                assert b > a - NOISE, f"{model}, {measure}: {coarser} loses {b:.4f}, {finer} {a:.4f}"


def test_measures_agree():
    """The mean divergence of a file is nearly ln(PPL(Q)/PPL(base)) of that file: a slip of a digit shows."""
    rows = {}
    for r in LOSSES:
        rows.setdefault((r["model"], r["imatrix"], r["type"]), {})[r["measure"]] = loss(r)
    both = {k: (v["kld"], math.log1p(v["ppl"])) for k, v in rows.items() if len(v) == 2}
    assert len(both) >= 25
    for key, (divergence, log_ratio) in both.items():
        assert abs(divergence - log_ratio) < 0.005 + 0.05 * divergence, (key, divergence, log_ratio)


def compared(name, facts, tensors):
    m, arch = BY_NAME[name], facts["general.architecture"]
    s, said = m["shape"], lambda key, other=None: facts.get(f"{arch}.{key}", other)
    assert arch == m["arch"] and said("context_length") == m["context"], name
    heads = said("attention.head_count")
    assert {"layers": said("block_count"), "embd": said("embedding_length"), "ff": said("feed_forward_length"),
            "heads": heads, "kv_heads": said("attention.head_count_kv", heads),
            "head_dim": said("attention.key_length", said("embedding_length") // heads)} == {
                k: s[k] for k in ("layers", "embd", "ff", "heads", "kv_heads", "head_dim")}, name
    assert said("attention.sliding_window") == s.get("window"), name
    sizes = {t["name"]: t["shape"] for t in tensors}
    assert max(sizes["token_embd.weight"]) == s["vocab"] and ("output.weight" in sizes) != s["tied"], name
    assert sum(math.prod(shape) for shape in sizes.values()) == parameters(arch, s), f"{name}: to the last parameter"


def test_files_here():
    try:
        from hearth import BASE_MODEL, CACHE, MODEL, TINY, hearth
    except SystemExit:
        print("   no model files here to compare with")
        return
    if TINY:
        return
    for name, file in (("smollm2-135m-instruct", MODEL), ("gemma-3-270m", BASE_MODEL)):
        shown = hearth("show", file, "--json").json()
        compared(name, shown["keys"], shown["tensors"])
    config = CACHE / "minilm/config.json"
    if config.exists():
        c, m = json.loads(config.read_text()), BY_NAME["all-minilm-l6-v2"]
        names = {"num_hidden_layers": "layers", "hidden_size": "embd", "intermediate_size": "ff", "vocab_size": "vocab",
                 "num_attention_heads": "heads"}
        assert {ours: c[theirs] for theirs, ours in names.items()} == {k: m["shape"][k] for k in names.values()}
        assert c["max_position_embeddings"] == m["context"]


if __name__ == "__main__":
    for test in [t for n, t in list(globals().items()) if n.startswith("test_")]:
        test()
        print("ok", test.__name__[5:])
