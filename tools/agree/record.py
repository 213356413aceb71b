"""record.py BUILD [MODEL...]: records what llama.cpp says about tests/golden/text.txt, model by model, and how near our
engine comes at full precision. Writes tests/golden/NAME.agree (the record that `make test` compares with) and
tests/golden/agree.json (tool, version, digests, figures).

NAME.agree, little endian: "HAGREE01"; u32 tokens, top, buckets, vocab; f64 mean KL (over this partition) of llama.cpp's own
quantised path; i32 token ids; then for each position: i32 ids[top], f32 logprobs[top] (largest first), f32 logprobs[buckets]: what is left,
token id modulo buckets. A KL over this partition is a lower bound of the full one and close to it."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import gguf_f32  # noqa: E402
from peer import Peer, version  # noqa: E402

TOP, BUCKETS = 48, 16
MODELS = {
    "smollm2": ("SmolLM2-135M-Instruct.Q4_1.gguf", False),
    "gemma3": ("gemma-3-270m-q4_k_m.gguf", True),
}
GOLDEN = Path("tests/golden")


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max()
    return x - np.log(np.exp(x).sum())


class Ours:
    """Our engine's logits of every position, as a stream."""

    def __init__(self, tool, path, tokens, n_vocab, *mode):
        with tempfile.TemporaryFile() as ids:  # of its own: two of these run at a time
            ids.write(np.array(tokens, "<i4").tobytes())
            ids.seek(0)
            self.process = subprocess.Popen([tool, "logits", str(path), *mode], stdin=ids, stdout=subprocess.PIPE)
        self.n = n_vocab
        self.kl, self.same, self.count = 0.0, 0, 0

    def compare(self, reference):
        data = self.process.stdout.read(4 * self.n)
        ours = log_softmax(np.frombuffer(data, "<f4"))
        self.kl += float((np.exp(reference) * (reference - ours)).sum())
        self.same += int(ours.argmax() == reference.argmax())
        self.count += 1

    def result(self):
        return {"mean_kl": self.kl / self.count, "top1": self.same / self.count}


def position(reference):
    ids = np.argpartition(-reference, TOP)[:TOP]
    ids = ids[np.lexsort((ids, -reference[ids]))]
    p = np.exp(reference)
    p[ids] = 0.0
    rest = np.bincount(np.arange(p.size) % BUCKETS, weights=p, minlength=BUCKETS)
    return ids.astype("<i4").tobytes() + reference[ids].astype("<f4").tobytes() + \
        np.log(np.maximum(rest, 1e-300)).astype("<f4").tobytes()


def coarse_kl(row, logits):
    """KL over the record's partition, as tests/engine/test_agree.c computes it."""
    ids = np.frombuffer(row, "<i4", TOP)
    theirs = np.frombuffer(row, "<f4", TOP + BUCKETS, TOP * 4).astype(np.float64)
    mine = log_softmax(logits)
    p = np.exp(mine)
    p[ids] = 0.0
    rest = np.bincount(np.arange(p.size) % BUCKETS, weights=p, minlength=BUCKETS)
    both = np.concatenate([mine[ids], np.log(np.maximum(rest, 1e-300))])
    use = theirs > -80
    return float((np.exp(theirs[use]) * (theirs[use] - both[use])).sum())


def record(name, build, cache):
    file, bos = MODELS[name]
    path = cache / file
    f32 = Path(build) / "agree" / (path.stem + ".f32.gguf")
    f32.parent.mkdir(parents=True, exist_ok=True)
    if not f32.exists():
        gguf_f32.convert(str(path), str(f32) + ".part")
        os.replace(str(f32) + ".part", f32)
    peer = Peer(f32, 4096)
    tokens = peer.tokenize((GOLDEN / "text.txt").read_text(), bos)
    tool = Path(build) / "tests/engine/test_engine"
    exact = Ours(tool, path, tokens, peer.n_vocab, "exact", "f32kv")
    fast = Ours(tool, path, tokens, peer.n_vocab)
    rows, own = [], {"kl": 0.0, "coarse": 0.0, "same": 0}
    quantised = Peer(path, 4096)
    references = np.lib.format.open_memmap(f32.with_suffix(".npy"), "w+", np.float32, (len(tokens), peer.n_vocab))

    def first(i, logits):
        references[i] = logits
        reference = log_softmax(logits)
        rows.append(position(reference))
        exact.compare(reference)
        fast.compare(reference)

    def second(i, logits):
        reference, theirs = log_softmax(references[i]), log_softmax(logits)
        own["kl"] += float((np.exp(reference) * (reference - theirs)).sum())
        own["coarse"] += coarse_kl(rows[i], logits)
        own["same"] += int(theirs.argmax() == reference.argmax())

    peer.logits(tokens, first)
    quantised.logits(tokens, second)
    n = len(tokens)
    with open(GOLDEN / f"{name}.agree", "wb") as out:
        out.write(b"HAGREE01" + np.array([n, TOP, BUCKETS, peer.n_vocab], "<u4").tobytes())
        out.write(np.float64(own["coarse"] / n).tobytes() + np.array(tokens, "<i4").tobytes() + b"".join(rows))
    os.unlink(f32.with_suffix(".npy"))
    return {
        "file": file, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "positions": n, "tool": version(),
        "reference": "llama.cpp on the file dequantised to F32, keys and values F32, no flash attention",
        "ours_exact": exact.result(), "ours_fast": fast.result(),
        "theirs_quantised": {"mean_kl": own["kl"] / n, "partition_kl": own["coarse"] / n, "top1": own["same"] / n},
    }


def main():
    build, names = sys.argv[1], sys.argv[2:] or list(MODELS)
    cache = Path(os.environ.get("HEARTH_CACHE", "build/cache"))
    summary = GOLDEN / "agree.json"
    results = json.loads(summary.read_text()) if summary.exists() else {}
    for name in names:
        results[name] = record(name, build, cache)
        print(name, json.dumps(results[name], indent=1))
        summary.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
