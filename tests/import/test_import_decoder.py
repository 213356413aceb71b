"""`hearth import` of decoders: every value, key and token is where llama.cpp's files have it, whatever the folder's form; what
the file could not say is refused."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "token"))
try:
    import numpy as np
    import tokenizers
    import decoders as d
    import models
    import patterns
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

HEARTH = str(pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve() / "hearth")
CACHE = pathlib.Path(os.environ.get("HEARTH_CACHE", "build/cache"))
REAL = not os.environ.get("HEARTH_TEST_TINY")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-decoder-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
OUT = FOLDER / "out.gguf"
TEXT = "Then the 12345 rivers and\n\n the  sea's <|end|>é日本語 \t<tool>x  <start_of_turn>a\n\n\n    b🙂▁c"


def hearth(*args, code=0, says="", **more):
    done = subprocess.run([HEARTH, *map(str, args)], capture_output=True, **more)
    error = done.stderr.decode()
    assert done.returncode == code and says in error, f"exit {done.returncode}, wanted {says!r}: {error}"
    return done.stdout.decode()


def imported(folder, *options):
    hearth("import", *options, folder, OUT)
    return d.File(OUT)


def refused(folder, says):
    OUT.unlink(missing_ok=True)
    hearth("import", folder, OUT, code=3, says=says)
    assert not OUT.exists() and not pathlib.Path(f"{OUT}.part").exists(), "half a file was left behind"


def tiny(arch="llama", dtype="F32", shards=1, weights=None, texts=None, **config):
    c = d.tiny_config(arch, **config)
    w = weights or d.hf_weights(arch, c, d.tiny_weights(arch, c))
    files = dict(tokenizer__json=d.tiny_tokenizer(), tokenizer_config__json=d.WORDS) | (texts or {})
    return d.write_folder(pathlib.Path(tempfile.mkdtemp(dir=FOLDER)), c, w, dtype, shards, **files)


def check_tensors(file, arch, weights, dtype="F32", made=()):
    """weights: llama.cpp's names -> values, before they were made Hugging Face's."""
    assert set(file.places) == set(weights) | set(made), set(file.places) ^ set(weights)
    for name, want in weights.items():
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            want = (want - np.float32(1)) + np.float32(1)
        assert file.type(name) == ("F32" if want.ndim == 1 else dtype), (name, file.type(name))
        assert np.array_equal(file.tensor(name), d.rounded(want, dtype) if want.ndim == 2 else want), f"{name}: other values"


def same_ids(text, tokenizer):
    got = [int(i) for i in hearth("tokenize", "--special", OUT, input=text.encode()).split()]
    want = tokenizer.encode(text, add_special_tokens=False).ids
    assert got == want, f"{text!r}: {got}, not {want}"


# ---- every architecture ----

MADE = {"llama": {"rope_freqs.weight"}, "phi3": {"rope_factors_long.weight", "rope_factors_short.weight"}}
KEYS = {
    "llama": {"rope.freq_base": 5000.0, "rope.dimension_count": 8, "attention.key_length": 8, "rope.scaling.type": None},
    "mistral": {"attention.sliding_window": 8},
    "qwen2": {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64,
              "rope.scaling.yarn_beta_fast": 32.0, "attention.sliding_window": None, "rope.scaling.attn_factor": None},
    "qwen3": {"attention.key_length": 16, "attention.value_length": 16, "rope.dimension_count": 16},
    "gemma2": {"attn_logit_softcapping": 40.0, "final_logit_softcapping": 20.0, "attention.sliding_window": 8,
               "attention.sliding_window_pattern": None},
    "gemma3": {"rope.freq_base_swa": 2000.0, "attention.sliding_window": 8, "rope.scaling.type": "linear",
               "rope.scaling.factor": 8.0, "attention.sliding_window_pattern": [True, False, True]},
    "phi3": {"rope.scaling.type": "longrope", "attention.sliding_window": 0, "rope.scaling.attn_factor":
             float(np.float32((1 + np.log(4) / np.log(64)) ** 0.5))},
}


def test_architectures():
    for arch in d.TINY:
        c = d.tiny_config(arch)
        w = d.tiny_weights(arch, c)
        dtype = "BF16" if arch in ("llama", "gemma3") else "F16"
        r = imported(tiny(arch, dtype))
        check_tensors(r, arch, w, dtype, MADE.get(arch, ()))
        common = {"block_count": 3, "context_length": 256, "embedding_length": 32, "feed_forward_length": 48,
                  "attention.head_count": 4, "attention.head_count_kv": 2, "vocab_size": 600,
                  "attention.layer_norm_rms_epsilon": float(np.float32(1e-5))}
        for key, want in (common | KEYS[arch]).items():
            got = r.keys.get(f"{arch}.{key}")
            assert (list(got) if isinstance(want, list) else got) == want, (arch, key, got)
        assert r.keys.get("general.architecture") == arch
        said = hearth("run", "--raw", "--temp", "0", "-q", "-n", "4", "-t", "1", "--special", OUT, "the river and")
        assert said, arch


def test_rope_factors():
    r = imported(tiny("llama"))
    got = r.tensor("rope_freqs.weight")
    length = 2 * np.pi / 5000.0 ** (-np.arange(0, 8, 2) / 8)  # positions that one turn takes
    smooth = (64 / length - 1) / (4 - 1)
    want = np.where(length < 64 / 4, 1, np.where(length > 64, 8, 1 / ((1 - smooth) / 8 + smooth)))
    assert np.allclose(got, want, rtol=1e-6), (got, want)
    r = imported(tiny("phi3"))
    for name, key in ("long", "long_factor"), ("short", "short_factor"):
        assert list(r.tensor(f"rope_factors_{name}.weight")) == d.LONGROPE[key]


def test_forms_of_config():
    """The same model said in other ways makes the same file."""
    def bytes_of(folder):
        imported(folder, "--name", "same")
        return OUT.read_bytes()

    c = d.tiny_config("llama")
    new = {**c, "rope_parameters": dict(d.LLAMA3, rope_theta=5000.0), "rope_scaling": None, "rope_theta": None}
    plain = bytes_of(tiny())
    w = d.hf_weights("llama", c, d.tiny_weights("llama", c))
    again = lambda config: d.write_folder(pathlib.Path(tempfile.mkdtemp(dir=FOLDER)), config, w,
                                          tokenizer__json=d.tiny_tokenizer(), tokenizer_config__json=d.WORDS)
    assert bytes_of(again(new)) == plain
    assert bytes_of(tiny(shards=3)) == plain
    model = d.tiny_tokenizer()["model"]
    old = dict(model, merges=[" ".join(m) for m in model["merges"]])
    assert bytes_of(tiny(texts={"tokenizer__json": d.tiny_tokenizer(model=old)})) == plain
    assert bytes_of(tiny(texts={"tokenizer_config__json": dict(d.WORDS, chat_template=None),
                                "chat_template__jinja": d.WORDS["chat_template"]})) == plain
    assert bytes_of(tiny(texts={"generation_config__json": dict(eos_token_id=[2, 0])})) == plain
    more = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}
    assert bytes_of(tiny(weights=w | more)) == plain
    assert bytes_of(tiny(weights={k.removeprefix("model."): v for k, v in w.items()})) == plain
    g = d.tiny_config("gemma3")
    g3 = {k: v for k, v in g.items() if k not in ("rope_theta", "rope_scaling", "rope_local_base_freq")} | {"rope_parameters": {
        "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=5000.0),
        "sliding_attention": dict(rope_type="default", rope_theta=2000.0)}}
    w = d.hf_weights("gemma3", g, d.tiny_weights("gemma3", g))
    assert bytes_of(again(g3)) == bytes_of(tiny("gemma3"))
    # a window that no text is long enough to leave is none
    assert imported(tiny("mistral", sliding_window=256)).keys["general.architecture"] == "llama"
    assert imported(tiny("phi3", sliding_window=100)).keys["phi3.context_length"] == 100
    f = tiny("qwen3")
    (f / "1_Pooling").mkdir()
    for mode, want in ("lasttoken", 3), ("mean_tokens", 1):
        (f / "1_Pooling/config.json").write_text(json.dumps({f"pooling_mode_{mode}": True}))
        assert imported(f).keys["qwen3.pooling_type"] == want
    (f / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    refused(f, "of a decoder one of mean, cls and lasttoken")


# ---- vocabularies ----

def test_bytes():
    r = imported(tiny(texts={"generation_config__json": dict(eos_token_id=[2, 50])}))
    t = d.tiny_tokenizer()
    texts, types = r.keys["tokenizer.ggml.tokens"], list(r.keys["tokenizer.ggml.token_type"])
    n = len(t["model"]["vocab"])
    assert texts[:n] == list(t["model"]["vocab"]) and texts[n:n + 2] == ["<tool>", f"[PAD{n + 1}]"] and len(texts) == 600
    assert types[:4] == [3, 3, 3, 1] and types[n:n + 2] == [4, 5]
    assert r.keys.get("tokenizer.ggml.merges") == [" ".join(m) for m in t["model"]["merges"]]
    for key, want in dict(model="gpt2", pre="llama-bpe", bos_token_id=1, eos_token_id=2, eot_token_id=50,
                          add_bos_token=True, add_eos_token=False).items():
        assert r.keys.get(f"tokenizer.ggml.{key}") == want, key
    assert r.keys.get("tokenizer.chat_template") == d.WORDS["chat_template"]
    same_ids(TEXT, tokenizers.Tokenizer.from_str(json.dumps(t)))


def test_pretokenisers():
    """Each is recognised by its steps, in the forms that files give them."""
    t = d.tiny_tokenizer()
    last = t["pre_tokenizer"]["pretokenizers"][1]
    whole = {"llama-bpe": True, "tekken": True}
    for name in "gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "qwen35", "seed-coder", "tekken", "gpt-4o":
        steps = [dict(type="Split", pattern=dict(Regex=p), behavior="Isolated", invert=False) for p in patterns.ROWS[name]]
        if name == "gpt-4o":
            steps[0] |= dict(behavior="Removed", invert=True)
        forms = [dict(type="Sequence", pretokenizers=steps + [last])]
        if name == "gpt-2":
            forms.append(dict(last, use_regex=True))
        for form in forms:
            model = dict(t["model"], ignore_merges=whole.get(name, False))
            r = imported(tiny(texts={"tokenizer__json": dict(t, model=model, pre_tokenizer=form)}))
            assert r.keys["tokenizer.ggml.pre"] == name, (name, r.keys["tokenizer.ggml.pre"])


def test_smollm2():
    """Two layers of the real model: values, keys, tokens as in the file that llama.cpp's converter made."""
    path = CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not path.exists() or not REAL:
        return
    old = d.File(path)
    config, tokenizer, words = d.smollm2(old)
    config["num_hidden_layers"] = 2
    values = d.of_gguf(old, lambda name: not name.startswith("blk.") or int(name.split(".")[1]) < 2)
    f = d.write_folder(FOLDER / "smollm2", config, values, "F16", 2, tokenizer__json=tokenizer, tokenizer_config__json=words)
    r = imported(f)
    for name in r.places:
        want = old.tensor(name)
        assert np.array_equal(r.tensor(name), want if want.ndim == 1 else d.rounded(want, "F16")), name
    assert len(r.places) == 2 + 2 * 9
    # of the file's own: who made it, its type; layers; of ours: what was left to be understood
    about = {k for k in old.keys if k.startswith("general.")}
    ours = {"llama.attention.key_length", "llama.attention.value_length", "tokenizer.ggml.add_eos_token"}
    for key in set(old.keys) - about - {"llama.block_count", "tokenizer.ggml.add_space_prefix"}:
        assert np.array_equal(r.keys.get(key), old.keys[key]), key
    assert set(r.keys) - set(old.keys) == ours
    same_ids(TEXT, tokenizers.Tokenizer.from_str(json.dumps(tokenizer)))


def gemma_folder(tokenizer, **texts):
    c = d.tiny_config("gemma3", vocab_size=262144, num_hidden_layers=1, hidden_size=16, num_attention_heads=1,
                      num_key_value_heads=1, layer_types=["full_attention"], bos_token_id=2, eos_token_id=1)
    w = d.hf_weights("gemma3", c, d.tiny_weights("gemma3", c))
    words = dict(bos_token="<bos>", eos_token="<eos>", unk_token="<unk>", pad_token="<pad>")
    return d.write_folder(pathlib.Path(tempfile.mkdtemp(dir=FOLDER)), c, w, "BF16", tokenizer__json=tokenizer,
                          tokenizer_config__json=words, **texts)


def sentencepiece_model(texts, scores, types, **more):
    """SentencePiece's file, by hand."""
    f = models.field
    fixed = lambda number, x: models.varint(number << 3 | 5) + np.float32(x).tobytes()
    out = b"".join(f(1, f(1, t) + fixed(2, s) + f(3, k)) for t, s, k in zip(texts, scores, types))
    training = b"".join(f(k, v) for k, v in ({3: 2, 40: 3, 41: 2, 42: 1, 43: 0} | more.get("training", {})).items())
    rules = b"".join(f(k, v) for k, v in ({1: "identity", 3: 0, 4: 0} | more.get("rules", {})).items())
    return out + f(2, training) + f(3, rules)


def test_gemma3():
    """From tokenizer.json, which has merges and no scores, come the scores that SentencePiece's own file has."""
    path, own = CACHE / "gemma-3-270m-q4_k_m.gguf", CACHE / "gemma3-tokenizer/tokenizer.json"
    if not path.exists() or not own.exists() or not REAL:
        return
    old = d.File(path)
    r = imported(gemma_folder(own.read_bytes()))
    texts, scores, types = (old.keys[f"tokenizer.ggml.{k}"] for k in ("tokens", "scores", "token_type"))
    assert r.keys["tokenizer.ggml.tokens"] == texts
    merged = np.array([len(t) > 1 for t in texts])  # the score of a character is never looked at
    assert np.array_equal(r.keys["tokenizer.ggml.scores"][merged], scores[merged])
    assert list(np.nonzero(r.keys["tokenizer.ggml.token_type"] != types)[0]) == [255999, 256000]  # images: special, it says
    for key in ("model", "pre", "bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id", "add_bos_token",
                "add_eos_token", "add_space_prefix"):
        assert r.keys.get(f"tokenizer.ggml.{key}") == old.keys.get(f"tokenizer.ggml.{key}"), key
    same_ids(TEXT, tokenizers.Tokenizer.from_file(str(own)))


def small_spm(**more):
    """SentencePiece's BPE of a few words: pieces, their scores; and the same as tokenizer.json has it."""
    words = ["th", "▁the", "▁th", "in", "▁a", "an", "▁an", "and", "▁and", "nd", "ab"]
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *words, *"▁thedinabcé"]
    scores = [0.0] * 259 + [-float(i) for i in range(len(words))] + [-99.0] * 11
    types = [2, 3, 3] + [6] * 256 + [1] * (len(words) + 11)
    vocab = {t: i for i, t in enumerate(pieces)}
    merges = [[w[:k], w[k:]] for w in words for k in range(1, len(w)) if w[:k] in vocab and w[k:] in vocab]
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate(pieces[:3])]
    bos = dict(type="TemplateProcessing", pair=[], single=[{"SpecialToken": {"id": "<s>", "type_id": 0}},
                                                           {"Sequence": {"id": "A", "type_id": 0}}], special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])})
    steps = [dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern=dict(String=" "), content="▁")]
    t = dict(version="1.0", truncation=None, padding=None, added_tokens=added,
             normalizer=dict(type="Sequence", normalizers=steps), pre_tokenizer=None, post_processor=bos, decoder=None,
             model=dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None,
                        fuse_unk=True, byte_fallback=True, ignore_merges=False, vocab=vocab, merges=merges))
    t["model"].update(more)
    return t, pieces, scores, types


def test_llama2():
    """The vocabulary of Llama 2, with the merges that its tokenizer.json makes of its scores."""
    path = CACHE / "vocabs/ggml-vocab-llama-spm.gguf"
    if not path.exists():
        return
    old = d.File(path)
    pieces, scores = old.keys["tokenizer.ggml.tokens"], old.keys["tokenizer.ggml.scores"]
    t = small_spm()[0]
    vocab = {p: i for i, p in enumerate(pieces)}
    cut = lambda i, p: [(float(scores[i]), k, len(p) - k, p) for k in range(1, len(p)) if p[:k] in vocab and p[k:] in vocab]
    merges = sorted((m for i, p in enumerate(pieces) if i > 258 for m in cut(i, p)), key=lambda m: m[:3], reverse=True)
    t["model"].update(vocab=vocab, merges=[[p[:k], p[k:]] for _, k, _, p in merges])
    r = imported(tiny(vocab_size=len(pieces), texts={"tokenizer__json": t, "tokenizer_config__json": LLAMA2}))
    assert r.keys["tokenizer.ggml.tokens"] == pieces
    merged = np.array([i > 258 and len(p) > 1 and p.strip("▁") != "" for i, p in enumerate(pieces)])
    ranks = lambda x: np.argsort(-x[merged])
    assert np.array_equal(ranks(r.keys["tokenizer.ggml.scores"]), ranks(scores))
    peer = tokenizers.Tokenizer.from_str(json.dumps(t))
    texts = pathlib.Path(f"{path}.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
    for text in TEXT, *("a" * (n % 2) + " " * n + "b" * (n % 3) for n in range(1, 40)), *(x for x in texts if x):
        same_ids(text, peer)


LLAMA2 = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True, add_eos_token=False)


def test_sentencepiece():
    t, pieces, scores, types = small_spm()
    peer = tokenizers.Tokenizer.from_str(json.dumps(t))
    texts = [TEXT, "the and thin a cab é", "thethethe  the", " and", "and and nandand xyz\n"]
    both = dict(tokenizer__json=t, tokenizer__model=sentencepiece_model(pieces, scores, types, rules={3: 1},
                                                                      training={40: 0, 41: 1, 42: 2}))
    for names in ["tokenizer__json"], ["tokenizer__json", "tokenizer__model"], ["tokenizer__model"]:
        files = {"tokenizer__json": None, "tokenizer_config__json": LLAMA2} | {k: both[k] for k in names}
        r = imported(tiny(texts=files))
        assert r.keys.get("tokenizer.ggml.tokens")[:len(pieces)] == pieces, names
        assert list(r.keys["tokenizer.ggml.token_type"][3:len(pieces)]) == types[3:], names
        got = list(r.keys["tokenizer.ggml.scores"][259:270])
        assert sorted(got, reverse=True) == got and len(set(got)) == 11, (names, got)
        for key, want in dict(model="llama", bos_token_id=1, eos_token_id=2, unknown_token_id=0, add_bos_token=True,
                              add_eos_token=False, add_space_prefix=True).items():
            assert r.keys.get(f"tokenizer.ggml.{key}") == want, (names, key)
        for text in texts:
            same_ids(text, peer)


def test_merges_that_scores_cannot_say():
    def refuse(says, **model):
        refused(tiny(texts={"tokenizer__json": small_spm(**model)[0], "tokenizer_config__json": LLAMA2}), says)

    merges = small_spm()[0]["model"]["merges"]
    vocab = small_spm()[0]["model"]["vocab"]
    pair = next(m for m in merges if "".join(m) == "▁the")
    refuse("are not those of SentencePiece", merges=[m for m in merges if m != pair])
    refuse("do not follow each other", merges=merges + [["▁", "the"]], vocab=vocab | {"the": 290})
    refuse("a character that is no token",
           vocab={k: v for k, v in vocab.items() if k != "b"}, merges=[m for m in merges if "b" not in m])
    # runs of one character may be mixed, if the last merge is the one of two characters
    runs = {"t" * k: 290 + k for k in range(2, 5)}
    mixed = [["tt", "t"], ["ttt", "t"], ["tt", "tt"], ["t", "tt"], ["t", "ttt"], ["t", "t"]]
    refuse("do not follow each other", merges=mixed[-1:] + mixed[:3] + mixed[:-1] + merges, vocab=vocab | runs)
    t = small_spm(merges=mixed + merges, vocab=vocab | runs)[0]
    imported(tiny(texts={"tokenizer__json": t, "tokenizer_config__json": LLAMA2}))
    for n in range(1, 12):
        same_ids(" " * (n % 2) + "t" * n + "the" * (n % 3), tokenizers.Tokenizer.from_str(json.dumps(t)))
    refuse("merges[0] is not of two tokens", merges=[["q", "q"]] + merges)
    refuse("merges[0] is not two tokens", merges=["q"] + merges)
    refuse("ignore_merges", ignore_merges=True)


# ---- what is refused ----

def test_wishes():
    for arch, says, config in (
            ("llama", "architecture 'OPTForCausalLM'", dict(architectures=["OPTForCausalLM"])),
            ("llama", "hidden_act must be silu", dict(hidden_act="gelu")),
            ("llama", "quantization_config", dict(quantization_config=dict(bits=4))),
            ("llama", "num_local_experts", dict(num_local_experts=8)),
            ("llama", "attn_logit_softcapping", dict(attn_logit_softcapping=30.0)),
            ("llama", "rope_type 'dynamic'", dict(rope_scaling=dict(type="dynamic", factor=2.0))),
            ("llama", "longrope", dict(rope_scaling=d.LONGROPE)),
            ("llama", "low_freq_factor", dict(rope_scaling=dict(rope_type="llama3", factor=8.0))),
            ("llama", "partial_rotary_factor", dict(partial_rotary_factor=0.5)),
            ("llama", "sliding_window", dict(sliding_window=8)),
            ("llama", "does not divide into", dict(hidden_size=30)),
            ("llama", "heads are even", dict(num_key_value_heads=3)),
            ("llama", "rms_norm_eps", dict(rms_norm_eps="x")),
            ("llama", "num_hidden_layers", dict(num_hidden_layers=10**9)),
            ("llama", "is 48 x 32, config.json says 49 x 32", dict(intermediate_size=49)),
            ("llama", "layers.3.input_layernorm.weight' is missing", dict(num_hidden_layers=4)),
            ("llama", "layers.2.input_layernorm.weight' has no place in a llama model", dict(num_hidden_layers=2)),
            ("llama", "self_attn.k_proj.bias' has no place", dict(attention_bias=False)),
            ("qwen2", "sliding_window", dict(use_sliding_window=True)),
            ("qwen2", "truncate", dict(rope_scaling=dict(type="yarn", factor=4.0, truncate=False))),
            ("qwen3", "attention_bias", dict(attention_bias=True)),
            ("qwen3", "layer_types names 1 layers of 3", dict(layer_types=["full_attention"])),
            ("gemma2", "query_pre_attn_scalar is 17", dict(query_pre_attn_scalar=17)),
            ("gemma3", "use_bidirectional_attention", dict(use_bidirectional_attention=True)),
            ("gemma3", "layer_types[0] is 'linear'", dict(layer_types=["linear"] * 3)),
            ("phi3", "short_factor", dict(rope_scaling=dict(d.LONGROPE, short_factor=[1.0]))),
            ("phi3", "original_max_position_embeddings", dict(original_max_position_embeddings=0))):
        c = d.tiny_config(arch)
        w = d.hf_weights(arch, c, d.tiny_weights(arch, c))
        refused(tiny(arch, weights=w, **config), says)


def test_shards():
    f = tiny(shards=2)
    index, one = f / "model.safetensors.index.json", f / "model-00001-of-00002.safetensors"
    good, whole = index.read_text(), one.read_bytes()
    refused(one, "a part of a model")
    hearth("import", index, OUT)
    for change, says in ((lambda m: m.update({"model.extra.weight": one.name}), "'model.extra.weight' is not in model-00001"),
                         (lambda m: m.update({k: one.name for k in m}), "is not in model-00001"),
                         (lambda m: m.update(x="../../x.safetensors"), "'x' is not in a .safetensors file of this folder"),
                         (lambda m: m.update(x=7), "'x' is not in a .safetensors file"),
                         (lambda m: m.update(x="gone.safetensors"), "gone.safetensors: cannot be opened"),
                         (lambda m: m.clear(), "names 0 files")):
        j = json.loads(good)
        change(j["weight_map"])
        index.write_text(json.dumps(j))
        refused(f, says)
    index.write_text("{}")
    refused(f, "there is no weight_map")
    index.write_text(good)
    one.write_bytes(whole[:-1])
    refused(f, "model-00001-of-00002.safetensors")
    one.write_bytes((f / "model-00002-of-00002.safetensors").read_bytes())
    refused(f, "is there twice")


def test_tokenizers_that_are_not_known():
    t = d.tiny_tokenizer()
    split = t["pre_tokenizer"]["pretokenizers"][0]

    def refuse(says, words=d.WORDS, **change):
        refused(tiny(texts={"tokenizer__json": dict(t, **change), "tokenizer_config__json": words}), says)

    refuse("the pre-tokeniser is not one that hearth knows: {\"type\":\"Sequence\"", pre_tokenizer=dict(
        type="Sequence", pretokenizers=[dict(split, pattern=dict(Regex="a|b")), t["pre_tokenizer"]["pretokenizers"][1]]))
    refuse("the pre-tokeniser is not", pre_tokenizer=split)
    refuse("the pre-tokeniser is not", pre_tokenizer=None)
    refuse("normaliser 'Lowercase'", normalizer=dict(type="Lowercase"))
    refuse("post_processor 'BertProcessing'", post_processor=dict(type="BertProcessing"))
    refuse("a text may have the bos token", post_processor=dict(type="TemplateProcessing", single=[
        {"SpecialToken": {"id": "<|end|>"}}, {"Sequence": {"id": "A"}}]))
    refuse("model 'WordPiece'", model=dict(t["model"], type="WordPiece"))
    refuse("continuing_subword_prefix", model=dict(t["model"], continuing_subword_prefix="##"))
    refuse("is there twice", model=dict(t["model"], vocab=t["model"]["vocab"] | {"x": 7}))
    refuse("and the model has 600 rows", model=dict(t["model"], vocab=t["model"]["vocab"] | {"xx": 600}))
    refuse("bos_token '<nothing>' is no token", words=dict(d.WORDS, bos_token="<nothing>"))
    refused(tiny(texts={"generation_config__json": dict(eos_token_id=[2, 50, 51])}), "a third token that ends")
    refused(tiny(texts={"tokenizer__json": None}), "neither tokenizer.json nor tokenizer.model")
    pieces = sentencepiece_model(*small_spm()[1:])
    for says, data in (("kind 1", sentencepiece_model(*small_spm()[1:], training={3: 1})),
                       ("many spaces become one", sentencepiece_model(*small_spm()[1:], rules={4: 1})),
                       ("by rules of its own", sentencepiece_model(*small_spm()[1:], rules={2: "x"})),
                       ("piece 0 is damaged", models.field(1, models.field(3, 9))), ("cut off", pieces[:-1]),
                       ("tokenizer", b"x")):
        refused(tiny(texts={"tokenizer__json": None, "tokenizer__model": data}), says)


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
