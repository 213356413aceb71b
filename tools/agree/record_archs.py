"""record_archs.py BUILD: llama.cpp's logits on the small random files of tests/model/arch_cases.py, into
tests/golden/archs.bin (f32, case after case, kept positions x vocabulary) and archs.json (tool, where, weights' digest)."""
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, "tests/model")
sys.path.insert(0, str(Path(__file__).parent))
import arch_cases  # noqa: E402
from peer import Peer, version  # noqa: E402


def main():
    folder = Path(sys.argv[1]) / "archs"
    folder.mkdir(parents=True, exist_ok=True)
    cases, out, at = {}, [], 0
    for name in arch_cases.CASES:
        if name in arch_cases.PEER_LACKS:
            continue
        path = folder / f"{name}.gguf"
        arch_cases.write(name, path)
        peer = Peer(path, arch_cases.config(name)["run_context"])
        logits = peer.all_logits(arch_cases.tokens(name).tolist())[arch_cases.KEPT].astype("<f4")
        peer.close()
        cases[name] = {"at": at, "digest": arch_cases.digest(name)}
        out.append(logits.tobytes())
        at += logits.size
    Path("tests/golden/archs.bin").write_bytes(b"".join(out))
    record = {"tool": version(), "positions": arch_cases.KEPT, "cases": cases}
    Path("tests/golden/archs.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
