#!/usr/bin/env python3
"""record_mixes.py LLAMA_QUANTIZE VERSION: which type llama-quantize gives each tensor of small models of random weights,
for every mix that hearth knows, into tests/golden/mixes.json (read by tests/quant/test_mix.c). Run by hand.

Of each model and mix it records the tensors of which some layer has not the mix's main type, as runs over the layers:
"Q6_K*2 Q4_K*5". Types come from --dry-run; for one model the file is really written, and has to say the same.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden/mixes.json"
MIXES = {"Q2_K_S": "Q2_K", "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "IQ4_XS": "IQ4_XS",
         "IQ4_NL": "IQ4_NL", "Q4_0": "Q4_0", "Q4_K_S": "Q4_K", "Q4_1": "Q4_1", "Q4_K_M": "Q4_K", "Q5_0": "Q5_0",
         "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "Q5_1": "Q5_1", "Q6_K": "Q6_K", "Q8_0": "Q8_0", "BF16": "BF16",
         "F16": "F16", "F32": "F32"}
VOCAB = 32


def case(arch, layers, embd, ff, heads, kv, tied, head_dim=32, experts=0, importances=False):
    return dict(arch=arch, layers=layers, embd=embd, ff=ff, heads=heads, kv_heads=kv, head_dim=head_dim, tied=tied,
                experts=experts, importances=importances)


# layers 8 to 32 and 80, with and without output.weight, 1 to 8 query heads a key-value head, rows of whole blocks of
# 256, of 32 and of neither
CASES = {
    "llama-8": case("llama", 8, 256, 512, 8, 4, False),
    "llama-8-gqa4": case("llama", 8, 256, 512, 8, 2, True),
    "llama-12-gqa8": case("llama", 12, 256, 512, 8, 1, False),
    "llama-16": case("llama", 16, 256, 768, 8, 8, True),
    "llama-22-gqa8": case("llama", 22, 512, 1408, 16, 2, False),
    "llama-30-rows-of-32": case("llama", 30, 288, 768, 9, 3, True),
    "llama-32-gqa4": case("llama", 32, 256, 896, 8, 2, False),
    "llama-32-importances": case("llama", 32, 256, 896, 8, 2, False, importances=True),
    "llama-10-odd-rows": case("llama", 10, 240, 400, 5, 5, False, head_dim=48),
    "llama-80-gqa8": case("llama", 80, 256, 256, 8, 1, False),
    "llama-32-experts": case("llama", 32, 256, 512, 8, 2, False, experts=8),
    "llama-9-importances": case("llama", 9, 288, 512, 9, 3, True, importances=True),
    "qwen2-24": case("qwen2", 24, 224, 1216, 14, 2, True, head_dim=16),
    "qwen3-28": case("qwen3", 28, 256, 768, 16, 8, True),
    "gemma2-26": case("gemma2", 26, 288, 1152, 8, 4, True),
    "gemma3-18": case("gemma3", 18, 160, 512, 4, 1, True, head_dim=64),
    "phi3-32": case("phi3", 32, 384, 1024, 12, 12, False),
    "phi3-20-gqa4": case("phi3", 20, 512, 1280, 8, 2, False, head_dim=64),
    "bert-12": case("bert", 12, 384, 1536, 12, 12, True),
    "nomic-bert-12": case("nomic-bert", 12, 256, 1024, 4, 4, True, head_dim=64),
}


def stems(c):
    """name without blk.N. and .weight -> [row length, rows (experts)] of the matrices."""
    q, kv = c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"]
    e, ff, n = c["embd"], c["ff"], c["experts"]
    out = {"token_embd": [e, VOCAB], "attn_output": [q, e]}
    if not c["tied"]:
        out["output"] = [e, VOCAB]
    if c["arch"] in ("phi3", "nomic-bert"):
        out["attn_qkv"] = [e, q + 2 * kv]
    else:
        out.update(attn_q=[e, q], attn_k=[e, kv], attn_v=[e, kv])
    if n:
        out.update(ffn_gate_inp=[e, n], ffn_gate_exps=[e, ff, n], ffn_up_exps=[e, ff, n], ffn_down_exps=[ff, e, n])
    else:
        out.update(ffn_up=[e, 2 * ff if c["arch"] == "phi3" else ff], ffn_down=[ff, e])
        if c["arch"] not in ("phi3", "bert"):
            out["ffn_gate"] = [e, ff]
    if c["arch"] in ("bert", "nomic-bert"):
        out["token_types"] = [e, 2]
    if c["arch"] == "bert":
        out["position_embd"] = [e, 64]
    return out


def write(path, c):
    w = gguf.GGUFWriter(path, c["arch"])
    rng = np.random.default_rng(1)
    w.add_block_count(c["layers"])
    w.add_context_length(64)
    w.add_embedding_length(c["embd"])
    w.add_feed_forward_length(c["ff"])
    w.add_head_count(c["heads"])
    w.add_head_count_kv(c["kv_heads"])
    w.add_key_length(c["head_dim"])
    w.add_value_length(c["head_dim"])
    w.add_rope_dimension_count(c["head_dim"])
    w.add_layer_norm_rms_eps(1e-6)
    w.add_layer_norm_eps(1e-6)
    w.add_sliding_window(32)
    w.add_causal_attention(c["arch"] not in ("bert", "nomic-bert"))
    if c["experts"]:
        w.add_expert_count(c["experts"])
        w.add_expert_used_count(2)
    whole = ("token_embd", "output", "token_types", "position_embd")
    for name, shape in stems(c).items():
        for i in [None] if name in whole else range(c["layers"]):
            full = f"{name}.weight" if i is None else f"blk.{i}.{name}.weight"
            w.add_tensor(full, rng.standard_normal(shape[::-1], dtype=np.float32))
    for i in range(c["layers"]):
        w.add_tensor(f"blk.{i}.attn_norm.weight", np.ones(c["embd"], np.float32))
    w.add_tensor("output_norm.weight", np.ones(c["embd"], np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_importances(path):
    """An importance matrix for no tensor of ours: only that there is one decides types."""
    w = gguf.GGUFWriter(path, "none")
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["none"])
    w.add_uint32("imatrix.chunk_count", 1)
    w.add_uint32("imatrix.chunk_size", 64)
    w.add_tensor("none.weight.in_sum2", np.ones((1, 32), np.float32))
    w.add_tensor("none.weight.counts", np.ones((1, 1), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


LINE = re.compile(r"\[ *\d+/ *\d+\] (\S+) .* type = +(\w+), size = .*?(?:\((\w+)\))?$")


def dry_run(tool, path, mix, importances):
    args = [tool, "--dry-run"] + (["--imatrix", importances] if importances else []) + [path, mix]
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = {m[1]: (m[3] or m[2]).upper() for m in map(LINE.search, done.stdout.splitlines()) if m}
    if done.returncode or not found:
        sys.exit(f"{' '.join(map(str, args))}: {done.stdout[-2000:]}")
    return found


def real_run(tool, path, mix):
    out = path.with_suffix(".out.gguf")
    subprocess.run([tool, path, out, mix], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(out).tensors}


def runs(types):
    out = []
    for t in types:
        if out and out[-1][0] == t:
            out[-1][1] += 1
        else:
            out.append([t, 1])
    return " ".join(f"{t}*{n}" for t, n in out)


def summary(c, types, main):
    out = {}
    for name in stems(c):
        layers = [f"blk.{i}.{name}.weight" for i in range(c["layers"])]
        per_layer = [types[n] for n in (layers if layers[0] in types else [f"{name}.weight"])]
        if any(t != main for t in per_layer):
            out[name] = runs(per_layer)
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tool, cases = sys.argv[1], {}
    with tempfile.TemporaryDirectory() as folder:
        importances = Path(folder) / "importances.gguf"
        write_importances(importances)
        for name, c in CASES.items():
            path = Path(folder) / f"{name}.gguf"
            write(path, c)
            mixes = {}
            for mix, main_type in MIXES.items():
                types = dry_run(tool, path, mix, importances if c["importances"] else None)
                mixes[mix] = summary(c, types, main_type)
                if name == "llama-22-gqa8" and mix != "Q2_K_S" and real_run(tool, path, mix) != types:
                    sys.exit(f"{name} {mix}: --dry-run says one thing and does another")
            cases[name] = {"model": c, "shapes": stems(c), "mixes": mixes}
            path.unlink()
    parts = [json.dumps("tool") + ": " + json.dumps(f"llama-quantize ({sys.argv[2]})")]
    rows = []
    for name, v in cases.items():
        lines = [f'    "model": {json.dumps(v["model"])}', f'    "shapes": {json.dumps(v["shapes"])}',
                 '    "mixes": {\n' + ",\n".join(f"     {json.dumps(m)}: {json.dumps(t)}"
                                                for m, t in v["mixes"].items()) + "}"]
        rows.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "}")
    parts.append('"cases": {\n' + ",\n".join(rows) + "}")
    GOLDEN.write_text("{" + ",\n ".join(parts) + "}\n")
    print(f"{GOLDEN}: {len(cases)} models, {len(MIXES)} mixes")


if __name__ == "__main__":
    main()
