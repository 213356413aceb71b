#!/usr/bin/env python3
"""Records what llama-quantize's encoders lose on the rows of tests/quant/rows.py, in tests/golden/quant_errors.json.

usage: quant_errors.py LIBGGML_BASE.so VERSION     record (VERSION: of the library, as text for the record)
       quant_errors.py --compare [LIB.so MODEL...] print ours beside the record; with a library also on rows of models

The library is loaded in-process: ggml_quantize_chunk, the function that llama-quantize calls for each chunk of rows, with
and without importances, decoded by the Python package gguf.
"""
import ctypes
import json
import os
import subprocess
import sys

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "quant"))
import rows as R  # noqa: E402
from gguf import GGMLQuantizationType as T, quants  # noqa: E402

GOLDEN = os.path.join(ROOT, "tests", "golden", "quant_errors.json")
TOOL = os.path.join(ROOT, os.environ.get("HEARTH_BUILD", "build"), "tests/quant/test_codec")


class Peer:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        f = self.lib.ggml_quantize_chunk
        f.restype = ctypes.c_size_t
        f.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                      ctypes.c_void_p]

    def encode(self, name, x, importance):
        """importance: one value a column, as llama-quantize has it, or None."""
        out = np.zeros(x.size * 9, dtype=np.uint8)
        w = None if importance is None else np.ascontiguousarray(importance, dtype=np.float32)
        n = self.lib.ggml_quantize_chunk(int(T[name]), x.ctypes.data, out.ctypes.data, 0, x.shape[0], x.shape[1],
                                         None if w is None else w.ctypes.data)
        return decoded(out[:n].tobytes(), name, x.shape)


def decoded(blocks, name, shape):
    return quants.dequantize(np.frombuffer(blocks, np.uint8).reshape(shape[0], -1), T[name]).reshape(shape)


def ours(name, x, weights):
    data = x if weights is None else np.stack([x, weights], axis=1)
    args = [TOOL, "encode", name, str(x.shape[1])] + ([] if weights is None else ["weights"])
    out = subprocess.run(args, input=np.ascontiguousarray(data).tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return decoded(out, name, x.shape)


def peer_figures(peer, x, w):
    figures = {}
    for name in R.TYPES:
        figures[name] = {}
        for measure, weights in R.measures(x, w).items():
            y = peer.encode(name, x, None if measure == "plain" else w[0])
            figures[name][measure] = R.error(x, y, np.ones_like(x) if weights is None else weights)
    return figures


def record(path, version):
    peer, data = Peer(path), R.families()
    figures = {name: peer_figures(peer, x, w) for name, (x, w) in data.items()}
    with open(GOLDEN, "w") as f:
        json.dump({"tool": "ggml_quantize_chunk (llama-quantize)", "version": version, "seed": R.SEED,
                   "rows_sha256": R.digest(data), "relative_errors": figures}, f, indent=1)
        f.write("\n")


def table(title, figures, x, w):
    for name in R.TYPES:
        line = []
        for measure, weights in R.measures(x, w).items():
            e = R.error(x, ours(name, x, weights), np.ones_like(x) if weights is None else weights)
            line.append(f"{measure} {e:.6f} / {figures[name][measure]:.6f} = {e / max(figures[name][measure], 1e-30):.4f}")
        print(f"{title:10} {name:7} " + "   ".join(line))


def model_rows(path):
    """A few rows from each of some weight matrices, decoded; importances made up."""
    from gguf import GGUFReader
    tensors = [t for t in GGUFReader(path).tensors if len(t.shape) == 2 and int(t.shape[0]) % 256 == 0]
    x = [quants.dequantize(t.data[:8], t.tensor_type)[:, :256].reshape(8, -1) for t in tensors[::6]]
    x = np.ascontiguousarray(np.concatenate(x), dtype=np.float32)
    u = np.random.default_rng(R.SEED).random((1, x.shape[1]))
    return x, np.ascontiguousarray(np.broadcast_to(0.01 + 4 * u ** 3, x.shape), dtype=np.float32)


def main():
    if sys.argv[1:2] == ["--compare"]:
        golden = json.load(open(GOLDEN))["relative_errors"]
        for family, (x, w) in R.families().items():
            table(family, golden[family], x, w)
        for path in sys.argv[3:]:
            x, w = model_rows(path)
            table(os.path.basename(path)[:10], peer_figures(Peer(sys.argv[2]), x, w), x, w)
    elif len(sys.argv) == 3:
        record(sys.argv[1], sys.argv[2])
    else:
        sys.exit(__doc__)


main()
