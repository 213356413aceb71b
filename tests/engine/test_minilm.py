"""Real encoders, imported from what their makers published: all-MiniLM-L6-v2 and a tagger of personal data, against NumPy in
double precision over the same weights, and `tokenizers` for the ids. Then the same bits however they are computed."""
import ctypes
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # where cores are shared, its threads wait for each other
try:
    import numpy as np
    from tokenizers import Tokenizer
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build"))
CACHE = pathlib.Path(os.environ.get("HEARTH_CACHE", "build/cache"))
SLOW = "san-" in str(BUILD)
HEARTH, TOOL = str(BUILD / "hearth"), str(BUILD / "tests/engine/test_embed")
sys.path += ["tests/model", "tests/import"]
import encoder_reference  # noqa: E402
import onnx_reader  # noqa: E402

FOLDER = tempfile.TemporaryDirectory(prefix="hearth-minilm-")
N_TEXTS = 12 if SLOW else 210
# SHA-256 of the vectors (f32, little endian) of the first 40 texts: model, digest. The same on every machine.
RECORDED = {"f32": "5967c4ba35384934d02870a7abb8a9d2763783003a1f51a24695a6c9cf107a1a", "q8_0": "d31150dd2a188b3e0a4df81f2ad44499d33f61c0732d97228f486c3f5bd99b27", "rampart": "07ce723ebdd184d42afc0d2a56d66eed4ebca714bfc67b18b2abaa634cba0d31"}
SENTENCES = """The quick brown fox jumps over the lazy dog.|How do I bake sourdough bread at home?|Baking a loaf of bread
The stock market fell sharply on Tuesday after the central bank raised rates.|def f(x): return x**2 + 3*x - 1
SELECT name, price FROM products WHERE price < 10 ORDER BY name;|Ich hätte gerne ein Stück Kuchen, bitte.
Où est la bibliothèque? Je cherche un livre sur les étoiles.|El perro duerme en el sofá mientras llueve.|東京は日本の首都です。
Привет, как дела?|مرحبا بالعالم|user@example.org wrote: meeting at 10:30am on 2024-05-06|a|.|naïve café ½ ² Ⅳ ﬁne|한국어 문장
My name is Maria Lopez, I live at 12 Main Street, Springfield IL 62704, call 555-123-4567|😀 emoji 🎉 test 👩‍👩‍👧
Please transfer $1,250.00 to account 12345678 by Friday.|Antidisestablishmentarianism pneumonoultramicroscopicsilico
Photosynthesis converts light energy into chemical energy in plants.""".replace("\n", "|").split("|")


def texts():
    r = random.Random(1)
    words = " ".join(SENTENCES).split()
    long = [" ".join(r.choice(words) for _ in range(r.choice([1, 3, 5, 8, 8, 12, 20, 40]))) for _ in range(N_TEXTS)]
    return (SENTENCES + long)[:N_TEXTS - 1] + [" ".join(r.choice(words) for _ in range(220))]


def folder(name):
    path = CACHE / name
    if not path.is_dir():
        print(f"{name} is not in the cache: skipped for want of the network")
        sys.exit(77)
    return path


def imported(name, *options):
    out = f"{FOLDER.name}/{name}{''.join(options)}.gguf"
    subprocess.run([HEARTH, "import", *options, folder(name), out], check=True, stdout=subprocess.DEVNULL)
    return out


def embed(model, lines, *options, check=True):
    done = subprocess.run([HEARTH, "embed", *options, model, "-"], input="\n".join(lines).encode(), capture_output=True)
    assert not check or done.returncode == 0, done.stderr
    return done if not check else [json.loads(line) for line in done.stdout.splitlines()]


def vectors(model, lines, *options):
    return np.array([r["embedding"] for r in embed(model, lines, *options)], "<f4")


def gguf_names(weights):
    names = (("embeddings.word_embeddings", "token_embd"), ("embeddings.position_embeddings", "position_embd"),
             ("embeddings.token_type_embeddings", "token_types"), ("embeddings.LayerNorm", "token_embd_norm"),
             ("attention.self.query", "attn_q"), ("attention.self.key", "attn_k"), ("attention.self.value", "attn_v"),
             ("attention.output.dense", "attn_output"), ("attention.output.LayerNorm", "attn_output_norm"),
             ("intermediate.dense", "ffn_up"), ("output.dense", "ffn_down"), ("output.LayerNorm", "layer_output_norm"),
             ("encoder.layer.", "blk."), ("classifier", "cls.output"), ("bert.", ""))
    out = {}
    for key, value in weights.items():
        for a, b in names:
            key = key.replace(a, b)
        out[key] = value.astype(np.float64)
    return out


def safetensors(path):
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + n])
    return {k: np.frombuffer(data, "<f4", int(np.prod(v["shape"])), 8 + n + v["data_offsets"][0]).reshape(v["shape"])
            for k, v in header.items() if k != "__metadata__" and v["dtype"] == "F32"}


def tokenizer(name):
    t = Tokenizer.from_file(str(folder(name) / "tokenizer.json"))
    t.no_truncation()
    t.no_padding()
    return t


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def test_minilm_is_minilm():
    lines, model = texts(), imported("minilm")
    w = gguf_names(safetensors(folder("minilm") / "model.safetensors"))
    ids = [e.ids for e in tokenizer("minilm").encode_batch(lines)]
    found = embed(model, lines)
    assert [r["tokens"] for r in found] == [len(i) for i in ids]
    wanted = np.stack([encoder_reference.encode(w, i, 6, 12, 1e-12).mean(0) for i in ids])
    got = np.array([r["embedding"] for r in found])
    assert np.abs((got * got).sum(-1) - 1).max() < 1e-6
    worst = {"f32": 1 - cosines(got, wanted).min()}
    for kind in ("f16", "q8_0"):
        worst[kind] = 1 - cosines(vectors(imported("minilm", "--type", kind), lines), wanted).min()
    print(f"   1 - cosine against NumPy over {len(lines)} texts of up to {max(map(len, ids))} tokens, at worst:", worst)
    assert worst["f32"] < 1e-6 and worst["f16"] < 1e-5 and worst["q8_0"] < 5e-3
    near, far = (float(vectors(model, [SENTENCES[1], s]).prod(0).sum()) for s in (SENTENCES[2], SENTENCES[3]))
    assert near > 0.6 and far < 0.2, (near, far)


def test_tagger_is_tagger():
    lines, model = texts()[:8 if SLOW else 40], imported("rampart")
    w = gguf_names(onnx_reader.weights(folder("rampart") / "onnx/model_q4.onnx"))
    labels = json.loads((folder("rampart") / "config.json").read_text())["id2label"]
    worst = n = 0
    for e, line, said in zip(tokenizer("rampart").encode_batch(lines), lines, embed(model, lines, "--classes")):
        x = encoder_reference.encode(w, e.ids, 6, 12, 1e-12)
        logits = x @ w["cls.output.weight"].T + w["cls.output.bias"]
        raw = subprocess.run([TOOL, "classes", model, "f32kv"], input=np.array(e.ids, "<i4").tobytes(), capture_output=True)
        worst = max(worst, np.abs(np.frombuffer(raw.stdout, "<f4").reshape(logits.shape) - logits).max())
        p = np.exp(logits - logits.max(-1, keepdims=True))
        p = (p / p.sum(-1, keepdims=True)).max(-1)
        for c, best, probability in zip(said["classes"], logits.argmax(-1), p):
            n += 1
            assert c["class"] == labels[str(best)] and abs(c["probability"] - probability) < 1e-3, (line, c)
    print(f"   {n} tokens, all classes alike; |logit - NumPy| {worst:.1e} with f32 keys")
    assert worst < 2e-4
    maria = embed(model, [SENTENCES[-5]], "--classes")[0]["classes"]
    assert {"B-GIVEN_NAME", "B-SURNAME", "B-CITY", "B-ZIP_CODE"} <= {c["class"] for c in maria}, maria


def test_ids_are_those_of_tokenizers():
    r = random.Random(5)
    alphabet = [chr(c) for c in range(32, 127)] + list("éÀÅßøñüİıŁşžΣςАЯёйéàâ한국어日本ひらがな漢字。、！ﬁ½²™€—…‘’“”\t\u00a0"
                                                       "\u200b\u200d\u3000\u2028😀👩‍👩‍👧𝔄𝒳ا بة़िी\u0301\u0327")
    words = " ".join(SENTENCES).split()
    lines = []
    for i in range(300 if SLOW else 4000):
        n = r.choice([1, 2, 5, 12, 40])
        line = "".join(r.choice(alphabet) for _ in range(n)) if i % 3 else " ".join(r.choice(words) for _ in range(n))
        lines.append(line.replace("[", "("))  # "[SEP]" in a text is text to us
    for name in ("minilm", "rampart"):
        out = subprocess.run([HEARTH, "tokenize", "--lines", "--bos", imported(name)], input="\n".join(lines).encode(),
                             stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        for line, got, wanted in zip(lines, out, tokenizer(name).encode_batch(lines), strict=True):
            assert list(map(int, got.split())) == wanted.ids, (name, line, got, wanted.ids)


def digest(x):
    return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()


def test_bits():
    lines = texts()[:6 if SLOW else 40]
    for name, model in (("f32", imported("minilm")), ("q8_0", imported("minilm", "--type", "q8_0")),
                        ("rampart", imported("rampart"))):
        together = vectors(model, lines, "--threads", "1")
        for options in (("--threads", "2"), ("--threads", "4"), ("--isa", "avx2"), ("--isa", "portable")):
            some = lines[:4] if "portable" in options else lines[:12]
            if "avx2" not in options or "avx2" in open("/proc/cpuinfo").read():
                assert np.array_equal(vectors(model, some, *options), together[:len(some)]), (name, options)
        for i in (0, 1, len(lines) - 1):
            assert np.array_equal(vectors(model, [lines[i]])[0], together[i]), (name, i)
        found = digest(together)
        assert SLOW or found == RECORDED[name], f"{name}: digest {found}, recorded is {RECORDED[name]}"


def test_library():
    path = BUILD / "libhearth.so"
    if SLOW or not path.exists():  # an instrumented library does not load into Python
        return
    lib, model, why = ctypes.CDLL(str(path.resolve())), ctypes.c_void_p(), ctypes.create_string_buffer(1024)
    assert not lib.hearth_model_open(ctypes.byref(model), imported("minilm").encode(), None, why), why.value
    out, lines = np.zeros((2, 384), "<f4"), SENTENCES[:2]
    texts_ = (ctypes.c_char_p * 2)(*(s.encode() for s in lines))
    lib.hearth_embed.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_void_p] * 3]
    assert not lib.hearth_embed(model, texts_, 2, None, out.ctypes.data, ctypes.addressof(why)), why.value
    assert np.array_equal(out, vectors(imported("minilm"), lines))
    texts_[1] = b"word " * 600
    assert lib.hearth_embed(model, texts_, 2, None, out.ctypes.data, ctypes.addressof(why)) and b"text 1: " in why.value
    lib.hearth_model_close(ctypes.byref(model))


def test_too_long():
    model, line = imported("minilm"), "word " * 600
    done = embed(model, ["short", line], check=False)
    assert done.returncode == 3 and b"text 1: the text has 602 tokens, and the model takes 512" in done.stderr, done
    cut = embed(model, [line], "--truncate")[0]
    assert cut["tokens"] == 512 and cut["truncated"] is True
    assert np.array_equal(cut["embedding"], embed(model, ["word " * 510])[0]["embedding"])
    assert b"takes 512" in embed(model, [line], "--ctx", "600", check=False).stderr
    for command in (["run", model, "Hello"], ["perplexity", "--ctx", "8", model, "README.md"]):
        done = subprocess.run([HEARTH, *command], capture_output=True, text=True)
        assert done.returncode == 3 and "makes vectors of texts" in done.stderr, done
    part = vectors(model, ["short"], "--dimensions", "64")
    assert part.shape == (1, 64) and abs((part * part).sum() - 1) < 1e-6


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
