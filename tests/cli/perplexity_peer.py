#!/usr/bin/env python3
"""Records llama.cpp's mean log-probability of the beginning of LICENSE, by the windows of `hearth perplexity`, in
tests/golden/perplexity.json: of the file as it is, and of the same weights dequantised to F32 (tools/agree/gguf_f32.py),
which is what `--exact` computes. By hand, in a Python that has llama_cpp_python and gguf:
    python tests/cli/perplexity_peer.py MODEL.gguf..."""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp
import numpy as np

WINDOW = 512
TEXT_BYTES = 5200
text = pathlib.Path("LICENSE").read_bytes()[:TEXT_BYTES]
record = {"tool": "llama_cpp_python", "version": llama_cpp.__version__, "text": "LICENSE", "text_bytes": TEXT_BYTES,
          "text_sha256": hashlib.sha256(text).hexdigest(), "window": WINDOW, "models": {}}


def judge(path, **more):
    m = llama_cpp.Llama(str(path), n_ctx=WINDOW, n_batch=WINDOW, logits_all=True, verbose=False, **more)
    ids = m.tokenize(text, add_bos=True, special=False)
    bos = ids[0] if ids[0] == m.token_bos() else None
    total, n, windows = 0.0, 0, 0
    for start in range(0, len(ids) - WINDOW + 1, WINDOW):
        window = ids[start:start + WINDOW]
        if bos is not None:
            window[0] = bos
        m.reset()
        m.eval(window)
        for i in range(WINDOW // 2, WINDOW):
            logits = m.scores[i - 1].astype(np.float64)
            total += logits[window[i]] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
            n += 1
        windows += 1
    return windows, n, total / n


for path in map(pathlib.Path, sys.argv[1:]):
    windows, n, mean = judge(path)
    with tempfile.TemporaryDirectory() as folder:
        f32 = pathlib.Path(folder) / "f32.gguf"
        subprocess.run([sys.executable, "tools/agree/gguf_f32.py", path, f32], check=True)
        exact = judge(f32, type_k=0, type_v=0)[2]  # KV in F32 too
    record["models"][path.stem] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "windows": windows,
                                   "tokens": n, "mean_logprob": mean, "mean_logprob_f32": exact}
print(json.dumps(record, indent=2))
pathlib.Path("tests/golden/perplexity.json").write_text(json.dumps(record, indent=2) + "\n")
