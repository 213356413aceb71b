"""Small models of random weights, one or more for each row of src/model/arch.c, written as GGUF files with the gguf
package. The same seed gives the same weights everywhere (numpy's legacy generator is frozen)."""
import hashlib

import numpy as np
import gguf

N_TOKENS = 80        # beyond one KV page of 64 positions
KEPT = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 62, 63, 64, 65, 71, 79]  # positions in the record

BASE = dict(n_embd=64, n_layers=2, n_ff=96, n_heads=4, n_kv_heads=2, n_vocab=96, context=256, eps=1e-5,
            rope_base=10000.0, head_dim=16, tied=False, run_context=128)

CASES = {
    "llama": dict(arch="llama"),
    "llama-tied-bias": dict(arch="llama", tied=True, biases=True, n_kv_heads=4),
    "llama-odd-heads": dict(arch="llama", n_embd=72, n_heads=3, n_kv_heads=1, head_dim=24),
    "llama-divisors": dict(arch="llama", rope_base=500000.0, divisors=True),
    "llama-linear": dict(arch="llama", scaling="linear", factor=4.0),
    "llama-yarn": dict(arch="llama", scaling="yarn", factor=4.0, original=32),
    "mistral-window": dict(arch="mistral", window=24),
    "mistral3": dict(arch="mistral3", scaling="yarn", factor=8.0, original=32, log_mul=0.7, temperature=0.1,
                     rope_base=1000000.0),
    "qwen2": dict(arch="qwen2", tied=True, rope_base=1000000.0, qkv_bias=True),
    "qwen3": dict(arch="qwen3", rope_base=1000000.0, head_dim=32, qk_norm=True),
    "gemma2": dict(arch="gemma2", n_layers=4, tied=True, window=24, period=2, post_norm=True, gelu=True,
                   attn_cap=50.0, final_cap=30.0, embed_sqrt=True, sharp=4.0),
    "gemma3": dict(arch="gemma3", n_layers=7, tied=True, head_dim=32, n_kv_heads=1, window=24, period=6, post_norm=True,
                   gelu=True, qk_norm=True, embed_sqrt=True, rope_base=1000000.0, window_rope_base=10000.0),
    "gemma3-linear-pattern": dict(arch="gemma3", n_layers=3, tied=True, window=16, pattern=[True, False, True],
                                  post_norm=True, gelu=True, qk_norm=True, embed_sqrt=True, rope_base=1000000.0,
                                  window_rope_base=10000.0, scaling="linear", factor=8.0),
    "phi3": dict(arch="phi3", fused=True, n_kv_heads=4),
    "phi3-short": dict(arch="phi3", fused=True, head_dim=16, rope_dim=12, scaling="longrope", attn_factor=1.19,
                       original=256, run_context=128),
    "phi3-long": dict(arch="phi3", fused=True, head_dim=16, rope_dim=12, scaling="longrope", attn_factor=1.19,
                      original=64, run_context=128),
}
HALVES = {"qwen2", "qwen3", "gemma2", "gemma3", "phi3"}
PEER_LACKS = {"mistral-window"}  # an architecture name that llama.cpp does not have


def config(name):
    c = dict(BASE)
    c.update(CASES[name])
    c.setdefault("rope_dim", c["head_dim"])
    c.setdefault("original", c["context"])
    c["halves"] = c["arch"] in HALVES
    return c


def weights(name):
    """Tensor name -> float32 array with rows first, as numpy sees them."""
    c = config(name)
    rng = np.random.RandomState(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
    e, f, q, kv = c["n_embd"], c["n_ff"], c["n_heads"] * c["head_dim"], c["n_kv_heads"] * c["head_dim"]
    w = {}

    def matrix(key, rows, cols):
        w[key] = (rng.standard_normal((rows, cols)) * c.get("sharp", 1.5) / np.sqrt(cols)).astype(np.float32)

    def vector(key, n, around):
        w[key] = (around + 0.2 * rng.standard_normal(n)).astype(np.float32)

    w["token_embd.weight"] = (rng.standard_normal((c["n_vocab"], e)) * 0.5).astype(np.float32)
    vector("output_norm.weight", e, 1.0)
    if not c["tied"]:
        matrix("output.weight", c["n_vocab"], e)
    if c.get("divisors"):
        w["rope_freqs.weight"] = np.linspace(1.0, 8.0, c["rope_dim"] // 2).astype(np.float32)
    if c.get("scaling") == "longrope":
        w["rope_factors_long.weight"] = np.linspace(1.5, 20.0, c["rope_dim"] // 2).astype(np.float32)
        w["rope_factors_short.weight"] = np.linspace(1.0, 1.6, c["rope_dim"] // 2).astype(np.float32)
    for i in range(c["n_layers"]):
        b = f"blk.{i}."
        vector(b + "attn_norm.weight", e, 1.0)
        vector(b + "ffn_norm.weight", e, 1.0)
        if c.get("fused"):
            matrix(b + "attn_qkv.weight", q + 2 * kv, e)
            matrix(b + "ffn_up.weight", 2 * f, e)
        else:
            matrix(b + "attn_q.weight", q, e)
            matrix(b + "attn_k.weight", kv, e)
            matrix(b + "attn_v.weight", kv, e)
            matrix(b + "ffn_gate.weight", f, e)
            matrix(b + "ffn_up.weight", f, e)
        matrix(b + "attn_output.weight", e, q)
        matrix(b + "ffn_down.weight", e, f)
        if c.get("qkv_bias") or c.get("biases"):
            for key, n in (("q", q), ("k", kv), ("v", kv)):
                vector(b + f"attn_{key}.bias", n, 0.0)
        if c.get("biases"):
            vector(b + "attn_output.bias", e, 0.0)
            vector(b + "ffn_gate.bias", f, 0.0)
            vector(b + "ffn_up.bias", f, 0.0)
            vector(b + "ffn_down.bias", e, 0.0)
        if c.get("qk_norm"):
            vector(b + "attn_q_norm.weight", c["head_dim"], 1.0)
            vector(b + "attn_k_norm.weight", c["head_dim"], 1.0)
        if c.get("post_norm"):
            vector(b + "post_attention_norm.weight", e, 1.0)
            vector(b + "post_ffw_norm.weight", e, 1.0)
    return w


def tokens(name):
    seed = int(hashlib.sha256(name.encode()).hexdigest()[8:16], 16)
    return np.random.RandomState(seed).randint(0, config(name)["n_vocab"], N_TOKENS).astype("<i4")


def write(name, path, tokenizer=lambda g: g.add_tokenizer_model("none"), edit=lambda w: w):
    """tokenizer writes the keys of one; edit changes the weights."""
    c = config(name)
    g = gguf.GGUFWriter(str(path), c["arch"])
    g.add_vocab_size(c["n_vocab"])
    tokenizer(g)
    g.add_block_count(c["n_layers"])
    g.add_context_length(c["context"])
    g.add_embedding_length(c["n_embd"])
    g.add_feed_forward_length(c["n_ff"])
    g.add_head_count(c["n_heads"])
    g.add_head_count_kv(c["n_kv_heads"])
    g.add_key_length(c["head_dim"])
    g.add_value_length(c["head_dim"])
    g.add_layer_norm_rms_eps(c["eps"])
    g.add_rope_freq_base(c["rope_base"])
    g.add_rope_dimension_count(c["rope_dim"])
    p = c["arch"]
    for key, name_ in (("factor", "rope.scaling.factor"), ("attn_factor", "rope.scaling.attn_factor"),
                       ("log_mul", "rope.scaling.yarn_log_multiplier"), ("temperature", "attention.temperature_scale"),
                       ("attn_cap", "attn_logit_softcapping"), ("final_cap", "final_logit_softcapping")):
        if key in c:
            g.add_float32(f"{p}.{name_}", c[key])
    if "scaling" in c:
        g.add_string(f"{p}.rope.scaling.type", c["scaling"])
        g.add_uint32(f"{p}.rope.scaling.original_context_length", c["original"])
    if "window" in c:
        g.add_uint32(f"{p}.attention.sliding_window", c["window"])
    if "pattern" in c:
        g.add_array(f"{p}.attention.sliding_window_pattern", c["pattern"])
    for key, value in edit(weights(name)).items():
        g.add_tensor(key, value)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def digest(name):
    """Of the weights, so that a record can say what it is of."""
    h = hashlib.sha256()
    for key, value in weights(name).items():
        h.update(key.encode() + value.tobytes())
    return h.hexdigest()
