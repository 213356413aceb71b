"""The searching encoders lose no more than llama-quantize on the same rows (figures recorded by
tools/agree/quant_errors.py), whatever is minimised; and what was encoded once is encoded again without loss."""
import json
import os
import subprocess
import sys

try:
    import numpy as np
    from gguf import GGMLQuantizationType as T, quants
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

import rows as R

TOOL = os.path.join(os.environ.get("HEARTH_BUILD", "build"), "tests/quant/test_codec")
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "quant_errors.json")


def encode(name, x, weights):
    data = x if weights is None else np.stack([x, weights], axis=1)
    args = [TOOL, "encode", name, str(x.shape[1])] + ([] if weights is None else ["weights"])
    return subprocess.run(args, input=np.ascontiguousarray(data).tobytes(), stdout=subprocess.PIPE, check=True).stdout


def decode(name, blocks, shape):
    return quants.dequantize(np.frombuffer(blocks, np.uint8).reshape(shape[0], -1), T[name]).reshape(shape)


def main():
    golden = json.load(open(GOLDEN))
    data = R.families()
    assert R.digest(data) == golden["rows_sha256"], "the rows are not those that were recorded"
    worse = []
    for name in R.TYPES:
        ratios = {}
        for family, (x, w) in data.items():
            for measure, weights in R.measures(x, w).items():
                y = decode(name, encode(name, x, weights), x.shape)
                e = R.error(x, y, np.ones_like(x) if weights is None else weights)
                theirs = golden["relative_errors"][family][name][measure]
                ratios.setdefault(measure, []).append(e / theirs)
                if e > theirs:
                    worse.append((name, family, measure, e, theirs))
        text = "  ".join(f"{m} {np.mean(r):.4f} (worst {max(r):.4f})" for m, r in ratios.items())
        # the second encoding of the same grid: how much of the first loss is added
        x = data["bell"][0]
        y = decode(name, encode(name, x, None), x.shape)
        again = decode(name, encode(name, y, None), x.shape)
        first, added = R.error(x, y, np.ones_like(x)), R.error(y, again, np.ones_like(x))
        print(f"{name:7} ours / {golden['version']}: {text}; encoded again: +{added / first:.5f}")
        if added > 0.02 * first:
            worse.append((name, "again", first, added))
    for line in worse:
        print("WORSE", *line)
    sys.exit(1 if worse else 0)


main()
