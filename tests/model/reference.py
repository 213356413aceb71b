"""The forward pass of every architecture in NumPy, in double precision, one position's formulas at a time: written from the
papers and model cards, not from src/model."""
import numpy as np

from arch_cases import config


def rms(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def cap(x, c):
    return c * np.tanh(x / c)


def frequencies(c, w, local):
    """Angle per position of each pair, and the factor on cos and sin."""
    n = c["rope_dim"]
    i = np.arange(0, n, 2, dtype=np.float64)
    base = c["window_rope_base"] if local and "window_rope_base" in c else c["rope_base"]
    freq = base ** (-i / n)
    if local and "window_rope_base" in c:
        return freq, 1.0
    kind, factor = c.get("scaling"), c.get("factor", 1.0)
    if "rope_freqs.weight" in w:
        freq = freq / w["rope_freqs.weight"].astype(np.float64)
    if kind == "linear":
        return freq / factor, 1.0
    if kind == "longrope":
        which = "long" if c["run_context"] > c["original"] else "short"
        return freq / w[f"rope_factors_{which}.weight"].astype(np.float64), float(np.float32(c["attn_factor"]))
    if kind == "yarn":
        def pair(turns):  # the dimension that makes this many turns over the original context
            return n * np.log(c["original"] / (turns * 2 * np.pi)) / (2 * np.log(base))
        low, high = max(np.floor(pair(32.0)), 0), min(np.ceil(pair(1.0)), n - 1)
        ramp = np.clip((i / 2 - low) / max(high - low, 0.001), 0, 1)
        mscale = 0.1 * np.log(factor) + 1
        if c.get("log_mul"):
            mscale /= 0.1 * float(np.float32(c["log_mul"])) * np.log(factor) + 1
        return freq / factor * ramp + freq * (1 - ramp), mscale
    return freq, 1.0


def rope(x, c, freq, factor):
    """x: [position][head][head_dim]"""
    n = c["rope_dim"]
    angle = np.arange(x.shape[0])[:, None] * freq[None, :]
    cos, sin = (np.cos(angle) * factor)[:, None, :], (np.sin(angle) * factor)[:, None, :]
    out = x.copy()
    a, b = (slice(0, n // 2), slice(n // 2, n)) if c["halves"] else (slice(0, n, 2), slice(1, n, 2))
    out[..., a] = x[..., a] * cos - x[..., b] * sin
    out[..., b] = x[..., a] * sin + x[..., b] * cos
    return out


def is_local(c, layer):
    if "window" not in c or c["arch"] == "phi3":
        return False
    if "pattern" in c:
        return c["pattern"][layer]
    period = c.get("period", 0)
    return period == 0 or layer % period < period - 1


def attention(c, q, k, v, local):
    n, group = q.shape[0], c["n_heads"] // c["n_kv_heads"]
    at = np.arange(n)
    seen = at[None, :] <= at[:, None]
    if local:
        seen &= at[:, None] - at[None, :] < c["window"]
    out = np.empty_like(q)
    for h in range(c["n_heads"]):
        s = q[:, h] @ k[:, h // group].T / np.sqrt(c["head_dim"])
        if "attn_cap" in c:
            s = cap(s, c["attn_cap"])
        s = np.where(seen, s, -np.inf)
        p = np.exp(s - s.max(-1, keepdims=True))
        out[:, h] = p / p.sum(-1, keepdims=True) @ v[:, h // group]
    return out.reshape(n, -1)


def forward(name, w, tokens):
    c = config(name)
    w = {k: v.astype(np.float64) for k, v in w.items()}
    eps, n, d = float(np.float32(c["eps"])), len(tokens), c["head_dim"]
    q_rows, kv_rows, f = c["n_heads"] * d, c["n_kv_heads"] * d, c["n_ff"]
    act = gelu_tanh if c.get("gelu") else silu
    x = w["token_embd.weight"][tokens] * (np.sqrt(c["n_embd"]) if c.get("embed_sqrt") else 1.0)

    def bias(key, like):
        return w[key] if key in w else np.zeros(like)

    for i in range(c["n_layers"]):
        b = f"blk.{i}."
        y = rms(x, w[b + "attn_norm.weight"], eps)
        if c.get("fused"):
            qkv = y @ w[b + "attn_qkv.weight"].T
            q, k, v = qkv[:, :q_rows], qkv[:, q_rows:q_rows + kv_rows], qkv[:, q_rows + kv_rows:]
        else:
            q = y @ w[b + "attn_q.weight"].T + bias(b + "attn_q.bias", q_rows)
            k = y @ w[b + "attn_k.weight"].T + bias(b + "attn_k.bias", kv_rows)
            v = y @ w[b + "attn_v.weight"].T + bias(b + "attn_v.bias", kv_rows)
        q, k, v = q.reshape(n, -1, d), k.reshape(n, -1, d), v.reshape(n, -1, d)
        if c.get("qk_norm"):
            q, k = rms(q, w[b + "attn_q_norm.weight"], eps), rms(k, w[b + "attn_k_norm.weight"], eps)
        freq, factor = frequencies(c, w, is_local(c, i))
        q, k = rope(q, c, freq, factor), rope(k, c, freq, factor)
        if c.get("temperature"):
            scale = 1 + float(np.float32(c["temperature"])) * np.log(1 + np.arange(n) // c["original"])
            q = q * scale[:, None, None]
        y = attention(c, q, k, v, is_local(c, i)) @ w[b + "attn_output.weight"].T
        y = y + bias(b + "attn_output.bias", c["n_embd"])
        x = x + (rms(y, w[b + "post_attention_norm.weight"], eps) if c.get("post_norm") else y)
        y = rms(x, w[b + "ffn_norm.weight"], eps)
        if c.get("fused"):
            both = y @ w[b + "ffn_up.weight"].T
            gate, up = both[:, :f], both[:, f:]
        else:
            gate = y @ w[b + "ffn_gate.weight"].T + bias(b + "ffn_gate.bias", f)
            up = y @ w[b + "ffn_up.weight"].T + bias(b + "ffn_up.bias", f)
        y = (act(gate) * up) @ w[b + "ffn_down.weight"].T + bias(b + "ffn_down.bias", c["n_embd"])
        x = x + (rms(y, w[b + "post_ffw_norm.weight"], eps) if c.get("post_norm") else y)
    x = rms(x, w["output_norm.weight"], eps)
    logits = x @ w.get("output.weight", w["token_embd.weight"]).T
    return cap(logits, c["final_cap"]) if "final_cap" in c else logits
