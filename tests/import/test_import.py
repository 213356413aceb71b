"""`hearth import`: what is written is what was read, whatever the format; and what contradicts itself is refused."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    import models
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

HEARTH = str(pathlib.Path(os.environ.get("HEARTH_BUILD", "build")) / "hearth")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-import-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
OUT = FOLDER / "out.gguf"

NAMES = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
         "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
         "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
         "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
         "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
         "classifier": "cls.output"}


def gguf_name(name):
    stem, end = name.rsplit(".", 1)
    if stem.startswith("encoder.layer."):
        layer, stem = stem.removeprefix("encoder.layer.").split(".", 1)
        return f"blk.{layer}.{NAMES[stem]}.{end}"
    return f"{NAMES[stem]}.{end}"


def folder(weights, file="model.safetensors", config=None, tokenizer=None, vocab=None, **more):
    d = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
    texts = {"config.json": config or models.config(), "tokenizer.json": tokenizer, "vocab.txt": vocab, **more}
    if tokenizer is None and vocab is None:
        texts["tokenizer.json"] = models.tokenizer()
    for name, value in texts.items():
        if value is not None:
            (d / name).parent.mkdir(exist_ok=True)
            (d / name).write_text(value if isinstance(value, str) else json.dumps(value))
    (d / file).parent.mkdir(exist_ok=True)
    (d / file).write_bytes(weights)
    return d


def run(source, *options):
    return subprocess.run([HEARTH, "import", *options, source, OUT], capture_output=True, text=True)


def imported(source, *options):
    done = run(source, *options)
    assert done.returncode == 0, done.stderr
    return gguf.GGUFReader(OUT)


def refused(source, says, *options, code=3):
    OUT.unlink(missing_ok=True)
    done = run(source, *options)
    assert done.returncode == code and says in done.stderr, f"exit {done.returncode}, wanted {says!r}: {done.stderr}"
    assert not OUT.exists() and not pathlib.Path(f"{OUT}.part").exists(), "half a file was left behind"


def check_tensors(reader, w):
    found = {t.name: t for t in reader.tensors}
    assert sorted(found) == sorted(map(gguf_name, w)), set(found) ^ set(map(gguf_name, w))
    for name, value in w.items():
        t = found[gguf_name(name)]
        data = gguf.quants.dequantize(t.data, t.tensor_type).reshape(value.shape)
        assert np.array_equal(data, value), f"{name}: other values"


def plain(w):
    return {k: v for k, v in w.items() if not k.startswith("classifier")}


def test_formats_agree():
    w = models.weights()
    check_tensors(imported(folder(models.safetensors(plain(w)))), plain(w))
    first = OUT.read_bytes()
    old = {"bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for k, v in reversed(plain(w).items())}
    heads = [("embeddings.position_ids", "I64", np.arange(models.POSITIONS)[None]),
             ("pooler.dense.weight", "F32", np.zeros((3, 3))), ("cls.predictions.bias", "F32", np.zeros(5))]
    graph, _ = models.onnx(plain(w))
    sources = [folder(models.safetensors(old, others=heads)), folder(graph, "onnx/model.onnx"),
               folder(models.safetensors(plain(w)), vocab="\n".join(models.TOKENS)),
               folder(models.safetensors(plain(w)), vocab="\r\n".join(models.TOKENS) + "\r\n",
                      **{"tokenizer_config.json": {"do_lower_case": True}})]
    sources.append(sources[1] / "onnx/model.onnx")
    for s in sources:
        imported(s, "--name", "same")
        second = OUT.read_bytes()
        imported(sources[0], "--name", "same")
        assert second == OUT.read_bytes(), s
    assert len(first) > 50000


def test_types():
    w = plain(models.weights())
    for dtype in ("F16", "BF16"):
        half = {k: v if v.ndim == 1 else v.astype(np.float16).astype(np.float32) if dtype == "F16"
                else (models.bf16(v).astype("<u4") << 16).view("<f4") for k, v in w.items()}
        r = imported(folder(models.safetensors(half, dtype)))
        check_tensors(r, half)
        types = {t.name: t.tensor_type.name for t in r.tensors}
        assert types["blk.1.attn_q.weight"] == dtype and types["position_embd.weight"] == "F32", types
    for option, name in (("f16", "F16"), ("q8_0", "Q8_0"), ("bf16", "BF16"), ("f32", "F32")):
        r = imported(folder(models.safetensors(w)), "--type", option)
        for t in r.tensors:
            forced = len(t.shape) == 1 or t.name in ("position_embd.weight", "token_types.weight")
            assert t.tensor_type.name == ("F32" if forced else name), (t.name, t.tensor_type)
            source = next(k for k in w if gguf_name(k) == t.name)
            data = gguf.quants.dequantize(t.data, t.tensor_type).reshape(w[source].shape)
            assert np.abs(data - w[source]).max() <= {"F32": 0, "F16": 2e-3, "BF16": 2e-2, "Q8_0": 2e-2}[t.tensor_type.name]
    refused(folder(models.safetensors(w)), "'q5' is none of f32, f16, bf16, q8_0", "--type", "q5")


def test_onnx_of_few_bits():
    w = models.weights(2)
    graph, meant = models.onnx(w, "nbits4")
    r = imported(folder(graph, "model.onnx", models.config(tagger=True)))
    check_tensors(r, meant)
    labels = r.get_field("bert.classifier.output_labels")
    assert [bytes(labels.parts[i]).decode() for i in labels.data] == ["O", "B-X", "I-X"]
    assert r.get_field("bert.pooling_type").contents() == 0


def test_keys():
    w = plain(models.weights())
    d = folder(models.safetensors(w), **{"1_Pooling/config.json": {"pooling_mode_cls_token": True,
                                                                  "pooling_mode_mean_tokens": False}})
    r = imported(d)
    value = lambda k: r.get_field(k).contents()
    assert value("general.architecture") == "bert" and value("general.name") == d.name
    assert value("bert.pooling_type") == 2 and value("bert.attention.causal") is False
    assert value("bert.context_length") == models.POSITIONS and value("tokenizer.ggml.token_type_count") == 2
    assert abs(value("bert.attention.layer_norm_epsilon") - 1e-12) < 1e-18
    tokens, types = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type")
    wanted = models.TOKENS[:5] + ["▁the", "▁cat", "s", "▁sat", "▁é", "é", "▁,", "▁日", "", "▁▁x"]
    assert tokens == wanted + ["[PAD15]", "[PAD16]", "[PAD17]"], tokens
    assert types == [3] * 5 + [1] * 10 + [5] * 3
    assert value("tokenizer.ggml.cls_token_id") == 2 and value("tokenizer.ggml.seperator_token_id") == 3
    done = subprocess.run([HEARTH, "tokenize", "--bos", OUT, "The CATS sat, é日xyz"], capture_output=True, text=True)
    assert done.stdout.split() == "2 5 6 7 8 11 1 12 1 3".split(), done


def test_what_contradicts_itself():
    w = plain(models.weights())
    whole = models.safetensors(w)
    without = {k: v for k, v in w.items() if not k.endswith("1.output.dense.bias")}
    refused(folder(models.safetensors(without)), "encoder.layer.1.output.dense.bias' is missing")
    refused(folder(models.safetensors({**w, "extra.weight": w["embeddings.LayerNorm.bias"]})), "'extra.weight' has no place")
    refused(folder(whole, config=models.config(intermediate_size=97)), "is 96 x 64, config.json says 97 x 64")
    refused(folder(models.safetensors({**w, "embeddings.LayerNorm.bias": np.full(64, np.nan, np.float32)})), "not finite")
    for text in (whole[:7], whole[:100], whole[:-1]):
        refused(folder(text), "model.safetensors")
    refused(folder(b"\xff" * 8 + whole), "ends past")
    for bad in ('"data_offsets": [-1, 4]', '"data_offsets": [8, 4]', '"data_offsets": [0, 99999999999]', '"shape": [-1]',
                '"shape": [1e30]', '"dtype": "F8_E4M3"', '"shape": [3, 99999999, 99999999, 99999999]'):
        entry = {"dtype": '"dtype": "F32"', "shape": '"shape": [1]', "data_offsets": '"data_offsets": [0, 4]'}
        entry[bad.split('"')[1]] = bad
        text = ("{\"a.weight\": {" + ", ".join(entry.values()) + "}}").encode()
        refused(folder(len(text).to_bytes(8, "little") + text + b"0000"), "a.weight")
    for key, value in dict(model_type="t5", hidden_act="gelu_new", vocab_size=0, num_hidden_layers=10**9, hidden_size="x",
                           layer_norm_eps=-1, position_embedding_type="relative_key").items():
        refused(folder(whole, config=models.config(**{key: value})), key)
    refused(folder(whole, config=models.config(architectures=["BertForQuestionAnswering"])), "BertForQuestionAnswering")
    refused(folder(whole, config=models.config(num_attention_heads=0)), "num_attention_heads")
    refused(folder(whole, **{"modules.json": [{"type": "sentence_transformers.models.Dense"}]}), "models.Dense")
    refused(folder(whole, **{"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}), "pooling_mode_max_tokens")
    refused(FOLDER / "nothing", "there is no model.safetensors")
    d = folder(whole)
    (d / "config.json").unlink()
    refused(d, "config.json")


def test_vocabularies_that_contradict_themselves():
    whole = models.safetensors(plain(models.weights()))
    refused(folder(whole, vocab="a\nb\nc"), "[UNK]")
    refused(folder(whole, vocab="\n".join(models.TOKENS + list("abcd"))), "the model has 18 rows")
    model = models.tokenizer()["model"]
    for text, change in (("there is twice", {"x": 5}), ("is no number", {"x": "5"}), ("token id -1", {"x": -1})):
        refused(folder(whole, tokenizer=models.tokenizer(model={**model, "vocab": {**model["vocab"], **change}})),
                text.replace("there is twice", "is there twice"))
    refused(folder(whole, tokenizer=models.tokenizer(model={**model, "type": "BPE"})), "WordPiece")
    refused(folder(whole, tokenizer=models.tokenizer(normalizer={"type": "NFC"})), "BertNormalizer")
    refused(folder(whole, tokenizer=models.tokenizer(added_tokens=[{"id": 99, "content": "x"}])), "added_tokens[0]")


def test_damaged_onnx():
    w = plain(models.weights())
    graph, _ = models.onnx(w)
    rng = np.random.RandomState(3)
    for n in list(range(0, 40)) + list(rng.randint(40, len(graph) - 1, 30)):
        refused(folder(graph[:n], "model.onnx"), "model.onnx")
    inner, _ = models.onnx(w, prefix="")
    external = inner.replace(models.field(8, "embeddings.LayerNorm.bias"),
                             models.field(14, 1) + models.field(8, "embeddings.LayerNorm.bias"[:-2]))
    refused(folder(external, "model.onnx"), "")
    graph4, _ = models.onnx(w, "nbits4")
    refused(folder(graph4.replace(models.field(1, "bits") + models.field(3, 4), models.field(1, "bits") + models.field(3, 3)),
                   "model.onnx"), "3 bits in blocks of 16")
    refused(folder(graph4.replace(models.field(1, "K") + models.field(3, 64), models.field(1, "K") + models.field(3, 63)),
                   "model.onnx"), "")
    big = models.tensor("mystery", np.zeros((10, 10), np.float32))
    refused(folder(models.field(7, big), "model.onnx"), "'mystery' of 100 values")
    for _ in range(60):  # any byte: an error or a model, never a crash
        at = rng.randint(0, len(graph4))
        run(folder(graph4[:at] + bytes([rng.randint(256)]) + graph4[at + 1:], "model.onnx")).returncode in (0, 3) or exit(1)


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
