"""The encoders' rows of src/model/arch.c on small random files: our exact path against NumPy."""
import os
import subprocess
import sys
from pathlib import Path

try:
    import gguf
    import numpy as np
    import encoder_reference
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

BUILD = Path(os.environ.get("HEARTH_BUILD", "build"))
TOOL = BUILD / "tests/engine/test_embed"
LIMIT = 2e-4  # our f32 against f64; values are of size 1 to 10
N_VOCAB, CONTEXT, EPS = 96, 256, 1e-12

CASES = {
    "bert": dict(n_embd=64, n_ff=96, n_heads=4, n_layers=3, classes=5),
    "bert-odd": dict(n_embd=72, n_ff=100, n_heads=3, n_layers=2, classes=1),
    "bert-pair": dict(n_embd=64, n_ff=96, n_heads=4, n_layers=3, classes=1, dense=True),
    "bert-pair-plain": dict(n_embd=72, n_ff=100, n_heads=3, n_layers=2, classes=1, rank=True),
    "bert-pair-one": dict(n_embd=64, n_ff=96, n_heads=2, n_layers=2, classes=1, dense=True, kinds=1),
    "nomic-bert": dict(n_embd=64, n_ff=96, n_heads=2, n_layers=3, classes=0, base=1000.0),
}


def weights(name, c):
    rng = np.random.RandomState(len(name) * 7 + 1)
    w = {}

    def matrix(key, rows, cols, size=1.5):
        w[key] = (rng.standard_normal((rows, cols)) * size / np.sqrt(cols)).astype(np.float32)

    def vector(key, n, around=0.0):
        w[key] = (around + 0.2 * rng.standard_normal(n)).astype(np.float32)

    def norm(key):
        vector(key + ".weight", c["n_embd"], 1.0)
        vector(key + ".bias", c["n_embd"])

    e, f, nomic = c["n_embd"], c["n_ff"], "base" in c
    matrix("token_embd.weight", N_VOCAB, e, 8)
    matrix("token_types.weight", c.get("kinds", 2), e, 4)
    norm("token_embd_norm")
    if not nomic:
        matrix("position_embd.weight", CONTEXT, e, 4)
    for i in range(c["n_layers"]):
        b = f"blk.{i}."
        shapes = [("attn_output", e, e), ("ffn_up", f, e), ("ffn_down", e, f)]
        shapes += [("attn_qkv", 3 * e, e), ("ffn_gate", f, e)] if nomic else [("attn_" + k, e, e) for k in "qkv"]
        for key, rows, cols in shapes:
            matrix(b + key + ".weight", rows, cols)
            if not nomic:
                vector(b + key + ".bias", rows)
        norm(b + "attn_output_norm")
        norm(b + "layer_output_norm")
    if "dense" in c:
        matrix("cls.weight", e, e)
        vector("cls.bias", e)
    if c["classes"]:
        matrix("cls.output.weight", c["classes"], e)
        vector("cls.output.bias", c["classes"])
    return w


def write(path, name, c, w):
    arch = "nomic-bert" if "base" in c else "bert"
    g = gguf.GGUFWriter(str(path), arch)
    g.add_tokenizer_model("none")
    g.add_block_count(c["n_layers"])
    g.add_context_length(CONTEXT)
    g.add_embedding_length(c["n_embd"])
    g.add_feed_forward_length(c["n_ff"])
    g.add_head_count(c["n_heads"])
    g.add_layer_norm_eps(EPS)
    g.add_causal_attention(False)
    g.add_pooling_type(gguf.PoolingType.RANK if "rank" in c else gguf.PoolingType.MEAN)
    if "base" in c:
        g.add_rope_freq_base(c["base"])
    for key, value in w.items():
        g.add_tensor(key, value)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def ours(mode, path, tokens, width):
    out = subprocess.run([TOOL, mode, path, "exact", "f32kv"], input=tokens.astype("<i4").tobytes(),
                         stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(out, "<f4").reshape(-1, width)


def main():
    folder = BUILD / "archs"
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name, c in CASES.items():
        w, path = weights(name, c), folder / f"encoder-{name}.gguf"
        write(path, name, c, w)
        wide = {k: v.astype(np.float64) for k, v in w.items()}
        for n in (1, 80, CONTEXT):
            tokens = np.random.RandomState(n).randint(0, N_VOCAB, n)
            x = encoder_reference.encode(wide, tokens, c["n_layers"], c["n_heads"], float(np.float32(EPS)), c.get("base"))
            wanted = np.stack([x.mean(0), x[0], x[-1]])
            worst = np.abs(ours("vectors", path, tokens, c["n_embd"]) - wanted).max()
            if "dense" in c or "rank" in c:
                kinds = np.where(np.arange(n) >= (n + 2) // 3, c.get("kinds", 2) - 1, 0)
                y = encoder_reference.encode(wide, tokens, c["n_layers"], c["n_heads"], float(np.float32(EPS)), kinds=kinds)
                alone, among = ours("rank", path, tokens, 1)
                assert alone == among, (name, n)
                worst = max(worst, abs(alone - encoder_reference.rank(wide, y)).max())
            elif c["classes"]:
                logits = x @ wide["cls.output.weight"].T + wide["cls.output.bias"]
                worst = max(worst, np.abs(ours("classes", path, tokens, c["classes"]) - logits).max())
            bad = not worst < LIMIT
            failures += bad
            print(f"{name:12} {n:4} tokens, largest {np.abs(x).max():5.2f}, |ours - numpy| {worst:.1e}" + "  FAILED" * bad)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
