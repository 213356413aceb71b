"""The encoders of the BERT family in NumPy, in double precision: written from the papers (Devlin et al., arXiv:1810.04805;
Nussbaum et al., arXiv:2402.01613), not from src/model. Weights by GGUF's names, rows first."""
import math

import numpy as np

# erf by cubic Hermite interpolation between exact values: error below 1e-13, and no loop in Python.
STEP, FAR = 2.0 ** -10, 6.5
GRID = np.arange(-FAR, FAR + 2 * STEP, STEP)
VALUES = np.array([math.erf(x) for x in GRID])
SLOPES = 2 / math.sqrt(math.pi) * np.exp(-GRID * GRID) * STEP


def erf(x):
    at = (np.clip(x, -FAR, FAR) + FAR) / STEP
    i = at.astype(int)
    t = at - i
    a, b, da, db = VALUES[i], VALUES[i + 1], SLOPES[i], SLOPES[i + 1]
    return a + t * (da + t * (3 * (b - a) - 2 * da - db + t * (2 * (a - b) + da + db)))


def layer_norm(x, w, name, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w[name + ".weight"] + w[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def linear(x, w, name):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def rope(x, base):
    """x: [head][position][head_dim], halves turned together"""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * base ** (-np.arange(half) / half)[None, :]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], -1)


def attention(x, w, b, n_heads, base):
    n, width = x.shape
    if b + "attn_qkv.weight" in w:
        qkv = np.split(linear(x, w, b + "attn_qkv"), 3, -1)
    else:
        qkv = [linear(x, w, b + "attn_" + k) for k in "qkv"]
    q, k, v = (y.reshape(n, n_heads, -1).transpose(1, 0, 2) for y in qkv)
    if base:
        q, k = rope(q, base), rope(k, base)
    s = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
    p = np.exp(s - s.max(-1, keepdims=True))
    return linear((p / p.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, width), w, b + "attn_output")


def rank(w, x):
    """The score of a pair, of what encode made of it: by the first position alone."""
    h = np.tanh(linear(x[0], w, "cls")) if "cls.weight" in w else x[0]
    return linear(h, w, "cls.output")


def encode(w, tokens, n_layers, n_heads, eps, base=None, kinds=0):
    """The vectors of all positions. base: of rope, where there are no learned positions. kinds: of the tokens."""
    x = w["token_embd.weight"][tokens] + w["token_types.weight"][kinds]
    if not base:
        x = x + w["position_embd.weight"][:len(tokens)]
    x = layer_norm(x, w, "token_embd_norm", eps)
    for i in range(n_layers):
        b = f"blk.{i}."
        x = layer_norm(x + attention(x, w, b, n_heads, base), w, b + "attn_output_norm", eps)
        up = linear(x, w, b + "ffn_up")
        h = silu(linear(x, w, b + "ffn_gate")) * up if b + "ffn_gate.weight" in w else gelu(up)
        x = layer_norm(x + linear(h, w, b + "ffn_down"), w, b + "layer_output_norm", eps)
    return x
