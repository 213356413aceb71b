"""Rows of weights that every machine makes alike, and the error figures of the encoders on them.

Only integers from the generator and + - * / on doubles are used, so that the rows do not depend on anybody's libm; their
digest is recorded with the figures.
"""
import hashlib

import numpy as np

TYPES = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
SEED, ROWS, WIDTH = 20261123, 24, 1024


def _uniform(rng, shape):
    return rng.integers(0, 1 << 32, shape, dtype=np.uint64).astype(np.float64) / 4294967296.0


def _bell(rng, shape):
    x = _uniform(rng, shape)
    for _ in range(11):
        x = x + _uniform(rng, shape)
    return x - 6.0


def families():
    """name → (rows, weights), both ROWS x WIDTH f32."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    shape = (ROWS, WIDTH)
    heavy = _bell(rng, shape) / (0.15 + _uniform(rng, shape))
    channels = _bell(rng, shape) * (0.05 + 4.0 * _uniform(rng, (1, WIDTH)) * _uniform(rng, (1, WIDTH)))
    outliers = np.where(_uniform(rng, shape) < 0.005, 12.0, 1.0) * _bell(rng, shape)
    shifted = _bell(rng, shape) * 0.3 + (_uniform(rng, (ROWS, 1)) - 0.5)
    lattice = np.floor(_bell(rng, shape) * 4.0) / 8.0 + 0.02 * _bell(rng, shape)
    rows = {"bell": _bell(rng, shape), "heavy": heavy, "channels": channels, "outliers": outliers,
            "shifted": shifted, "lattice": lattice}
    out = {}
    for name, x in rows.items():
        u = _uniform(rng, (1, WIDTH))
        importance = 0.01 + u * u * u * 4.0 + _uniform(rng, (1, WIDTH)) * 0.2
        out[name] = (np.ascontiguousarray(x * 0.02, dtype=np.float32),
                     np.ascontiguousarray(np.broadcast_to(importance, shape), dtype=np.float32))
    return out


def digest(data):
    h = hashlib.sha256()
    for name in sorted(data):
        for a in data[name]:
            h.update(a.tobytes())
    return h.hexdigest()


def error(x, y, w):
    """Sum of w (x - y)^2 in double, relative to the sum of w x^2."""
    x, y, w = (a.astype(np.float64) for a in (x, y, w))
    d = x - y
    return float((w * d * d).sum() / (w * x * x).sum())


def measures(x, w):
    """What is minimised: name → weights (None: plain squares). "guarded" is close to what llama-quantize aims at: the
    importance times sqrt(mean square of the block + x^2)."""
    blocks = x.astype(np.float64).reshape(-1, 256)
    mean = np.repeat((blocks * blocks).mean(axis=1), 256).reshape(x.shape)
    guarded = (w * np.sqrt(mean + x.astype(np.float64) ** 2)).astype(np.float32)
    return {"plain": None, "importance": w, "guarded": guarded}
