"""What a file lost: by `hearth compare` on held-out text, or, for an encoder, by the cosine of its embeddings."""
import json
import re
import subprocess

import numpy as np


def output(words, text=None):
    r = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, input=text)
    if r.returncode:
        raise SystemExit(f"{' '.join(str(w) for w in words)}: exit {r.returncode}\n{r.stderr.strip()}")
    return r.stdout


def tensors(hearth, path):
    """[{"name", "type", "shape"}] of a file."""
    return json.loads(output([hearth, "show", path, "--tensors", "--json"]))["tensors"]


def divergence(hearth, reference, out, text, windows, threads):
    found = json.loads(output([hearth, "compare", reference, out, text, "--json", "--ctx", 512, "--windows", windows,
                               "--threads", threads]))
    low, high = found["kl"]["interval_by_clusters"]
    return {"loss": found["kl"]["value"], "low": low, "high": high, "tail": found["kl_percentiles"]["99.9"]["value"],
            "same": found["same_top"]["value"], "tokens": found["tokens"]}


def sentences(text, most):
    """Up to MOST lines of readable length, evenly spread."""
    with open(text, encoding="utf-8") as f:
        found = [s.strip() for s in re.split(r"\n|(?<=[.?!]) ", f.read())]
    found = [s for s in found if 30 <= len(s) <= 300]
    return found[::max(1, len(found) // most)][:most]


def embeddings(hearth, model, lines):
    rows = output([hearth, "embed", model, "-", "--truncate"], "\n".join(lines) + "\n").splitlines()
    return np.array([json.loads(r)["embedding"] for r in rows])


def cosine(hearth, reference, out, text, most):
    """Mean of 1 - cos over sentences; the vectors have length 1."""
    lines = sentences(text, most)
    lost = 1 - np.sum(embeddings(hearth, reference, lines) * embeddings(hearth, out, lines), axis=1)
    error = 1.96 * float(np.std(lost)) / len(lost) ** 0.5
    mean = float(np.mean(lost))
    return {"loss": mean, "low": mean - error, "high": mean + error, "tail": float(np.max(lost)), "same": None,
            "tokens": len(lines)}
