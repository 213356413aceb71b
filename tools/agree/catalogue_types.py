#!/usr/bin/env python3
"""catalogue_types.py LLAMA_QUANTIZE [NAME...]: compares the types that catalogue_header gives the tensors of every model of
the catalogue (or of those named), in every mix, with what llama-quantize would give them. Run by hand, some minutes.

A file of the model in F32 is made, header and a hole of the right length: --dry-run reads no weights.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from record_mixes import MIXES, dry_run

TOOL = Path(os.environ.get("HEARTH_BUILD", "build")) / "tests/fit/test_catalogue"


def ours(*args):
    return subprocess.run([TOOL, *args], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tool, names = sys.argv[1], sys.argv[2:] or ours("list")
    compared = different = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder) / "sparse.gguf"
            ours("sparse", name, path)
            for mix in MIXES:
                theirs = dry_run(tool, path, mix, None)
                mine = dict(line.split() for line in ours("types", name, mix))
                compared += len(mine)
                for tensor in sorted(set(mine) | set(theirs)):
                    if mine.get(tensor) != theirs.get(tensor):
                        different += 1
                        print(f"{name} {mix} {tensor}: {mine.get(tensor)}, llama-quantize: {theirs.get(tensor)}")
            path.unlink()
    print(f"{len(names)} models x {len(MIXES)} mixes: {compared} tensors, {different} different")
    return different != 0


if __name__ == "__main__":
    sys.exit(main())
