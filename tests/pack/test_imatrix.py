"""Importance matrices against the Python package: it reads ours as llama.cpp's tools look for things, and ours reads
what it writes."""
import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

TOOL = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve() / "tests/pack/test_imatrix"
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-imatrix-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def tool(*args, code=0):
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == code, f"exit {done.returncode}: {done.stderr}"
    return done.stdout.splitlines()


def ours_is_read():
    path = FOLDER / "ours.gguf"
    tool("write", path)
    r = gguf.GGUFReader(path)
    assert r.get_field("general.type").contents() == "imatrix"
    assert r.get_field("imatrix.datasets").contents() == ["words.txt"]
    assert r.get_field("imatrix.chunk_count").types == [gguf.GGUFValueType.UINT32]
    assert r.get_field("imatrix.chunk_count").contents() == 5 and r.get_field("imatrix.chunk_size").contents() == 512
    tensors = {t.name: t for t in r.tensors}
    want = {"blk.0.attn_q.weight": ([1, 0, 4.5, 10], 2), "blk.1.ffn_down.weight": ([7], 0),
            "output.weight": ([3, 6], 3)}
    assert list(tensors) == [n + end for n in want for end in (".in_sum2", ".counts")], list(tensors)
    for name, (sums, count) in want.items():
        for end, values in ((".in_sum2", sums), (".counts", [count])):
            t = tensors[name + end]
            assert t.tensor_type == gguf.GGMLQuantizationType.F32 and list(t.shape) == [len(values), 1], (name, t.shape)
            assert t.data.flatten().tolist() == values, (name, t.data)


def theirs_is_read():
    path, rng = FOLDER / "theirs.gguf", np.random.default_rng(3)
    w = gguf.GGUFWriter(path, arch="")
    w.add_type("imatrix")
    w.add_array("imatrix.datasets", ["first of two.txt", "second.txt"])
    w.add_uint32("imatrix.chunk_count", 7)
    w.add_uint32("imatrix.chunk_size", 256)
    dense, experts = rng.random((1, 40), np.float32) * 1e4, rng.random((3, 8), np.float32)
    counts = np.array([[5], [0], [1000003]], np.float32)
    for name, sums, count in (("blk.2.attn_k.weight", dense, counts[:1]), ("blk.0.ffn_up_exps.weight", experts, counts)):
        w.add_tensor(name + ".counts", count)
        w.add_tensor(name + ".in_sum2", sums)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    facts, *rows = tool("read", path, "blk.2.attn_k.weight", 40, "blk.0.ffn_up_exps.weight", 24, "nothing", 3)
    assert facts == "2 7 256 first of two.txt", facts
    means = np.where(counts > 0, experts / np.maximum(counts, 1), np.float32(1)).astype(np.float32)
    for row, want in zip(rows, (dense / counts[:1], means, np.zeros(0))):
        got = np.array(row.split()[1:], np.float32)
        assert np.array_equal(got, want.flatten()), (row, want)
    tool("read", path, "blk.2.attn_k.weight", 41, code=1)


ours_is_read()
theirs_is_read()
print("ok")
