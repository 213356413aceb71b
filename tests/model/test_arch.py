"""Every architecture on small random files: our exact path against the NumPy reference here, and both against the logits
that llama.cpp gave (tests/golden/archs.bin, recorded by `make agree`)."""
import json
import os
import subprocess
import sys
from pathlib import Path

try:
    import numpy as np
    import arch_cases
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)
import reference

BUILD = Path(os.environ.get("HEARTH_BUILD", "build"))
GOLDEN = Path("tests/golden")
TOOL = BUILD / "tests/engine/test_engine"
NUMPY_LIMIT = 2e-4  # our f32 against f64; logits are of size 1 to 30
PEER_LIMIT = 1e-3
# llama.cpp's gelu is a table over half floats, so it is the coarser of the two there.
GELU_LIMIT = 3e-2


def ours(path, name):
    c = arch_cases.config(name)
    out = subprocess.run([TOOL, "logits", path, "exact", "f32kv", f"context={c['run_context']}"],
                         input=arch_cases.tokens(name).tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(out, "<f4").reshape(-1, c["n_vocab"])


def main():
    folder = BUILD / "archs"
    folder.mkdir(parents=True, exist_ok=True)
    record = json.loads((GOLDEN / "archs.json").read_text())
    data = np.frombuffer((GOLDEN / "archs.bin").read_bytes(), "<f4")
    failures = 0
    for name in arch_cases.CASES:
        path = folder / f"{name}.gguf"
        arch_cases.write(name, path)
        mine = ours(path, name)
        numpy_logits = reference.forward(name, arch_cases.weights(name), arch_cases.tokens(name))
        worst = np.abs(mine - numpy_logits).max()
        line = f"{name:24} largest logit {np.abs(numpy_logits).max():6.2f}  |ours - numpy| {worst:.1e}"
        failed = mine.shape[0] != arch_cases.N_TOKENS or not worst < NUMPY_LIMIT
        entry = record["cases"].get(name)
        if entry:
            if entry["digest"] != arch_cases.digest(name):
                print(f"{name}: the record is of other weights: run `make agree`")
                failures += 1
            n = len(arch_cases.KEPT) * mine.shape[1]
            theirs = data[entry["at"]:entry["at"] + n].reshape(len(arch_cases.KEPT), -1)
            against = np.abs(mine[arch_cases.KEPT] - theirs).max()
            line += f"  |ours - llama.cpp| {against:.1e}"
            failed |= not against < (GELU_LIMIT if arch_cases.config(name).get("gelu") else PEER_LIMIT)
        elif name not in arch_cases.PEER_LACKS:
            failed = True
            line += "  not recorded"
        print(line + ("   FAILED" if failed else ""))
        failures += failed
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
