"""What the type of the embedding, which is also the head, does to a small model: size, divergence, speed of decoding.

One mix, one importance file; only that matrix changes. Speeds are taken in turns, so that a busy moment meets all."""
import json
import statistics

import judge

# a row of either model is no multiple of 256: no K type
TYPES = ("f16", "q8_0", "q5_1", "q5_0", "iq4_nl", "q4_0")
MIX = "q4_k_m"
ROUNDS = 5


def words(hearth, source, out, kind, imatrix, threads):
    return [hearth, "quantize", source, out, "--force", "--threads", threads, "--type", MIX, "--output-type", kind,
            "--imatrix", imatrix]


def decode(hearth, path, threads):
    """Tokens a second, one sequence, nothing before."""
    found = json.loads(judge.output([hearth, "bench", path, "--depths", 0, "--batches", 1, "--repeat", 3, "--ctx", 512,
                                     "--threads", threads, "--forget", "--json"]))
    return found["models"][0]["depths"][0]["decode"]["tokens_per_s"]


def speeds(hearth, paths, threads):
    """{path: the median over rounds}."""
    found = {p: [] for p in paths}
    for _ in range(ROUNDS):
        for p in paths:
            found[p].append(decode(hearth, p, threads))
    return {p: statistics.median(v) for p, v in found.items()}
