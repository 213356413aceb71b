"""The reader and the writer against the Python package gguf: same keys, values, tensors and offsets, both ways."""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from gguf import GGUFReader, GGUFValueType as V, GGUFWriter
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

TOOL = os.path.join(os.environ.get("HEARTH_BUILD", "build"), "tests/gguf/test_read")
NAMES = {V.UINT8: "u8", V.INT8: "i8", V.UINT16: "u16", V.INT16: "i16", V.UINT32: "u32", V.INT32: "i32",
         V.FLOAT32: "f32", V.BOOL: "bool", V.STRING: "string", V.UINT64: "u64", V.INT64: "i64", V.FLOAT64: "f64"}


def fnv(data):
    h = 14695981039346656037
    for b in data:
        h = ((h ^ b) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return h


def expected(path):
    reader = GGUFReader(path)
    lines = []
    for name, field in reader.fields.items():
        if name.startswith("GGUF."):
            continue
        is_array = field.types[0] == V.ARRAY
        kind = field.types[-1]
        if is_array:
            n = int(field.parts[4][0])
            data = b"".join(p.tobytes() for p in field.parts[5:])
        else:
            n = 1
            data = b"".join(p.tobytes() for p in field.parts[3:])
        # a long array's hash takes Python long: the tokenizers' arrays are compared by size here
        lines.append((name, NAMES[kind], int(is_array), n, fnv(data) if len(data) < 100000 else None))
    for t in reader.tensors:
        lines.append((t.name, t.tensor_type.name, " x ".join(str(int(d)) for d in t.shape), int(t.data_offset),
                      int(t.n_bytes)))
    return lines


def compare(path):
    ours = subprocess.run([TOOL, "dump", path], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    theirs = expected(path)
    assert len(ours) == len(theirs), (path, len(ours), len(theirs))
    for line, want in zip(ours, theirs):
        text = " ".join(str(w) for w in want if w is not None)
        assert line == text if want[-1] is not None else line.startswith(text + " "), (path, line, text)
    print(f"{os.path.basename(path)}: {len(ours)} keys and tensors agree")


def write_theirs(path):
    w = GGUFWriter(path, "tiny")
    w.add_custom_alignment(128)
    w.add_uint8("a.u8", 255)
    w.add_int8("a.i8", -128)
    w.add_uint64("a.u64", 2**64 - 1)
    w.add_float64("a.f64", -0.1)
    w.add_bool("a.bool", False)
    w.add_string("a.text", "\u00fcber \U0001f525")
    w.add_array("a.words", ["", "a", "\u20ac" * 50])
    w.add_array("a.floats", [0.5, -1.5])
    w.add_array("a.flags", [True, False])
    rng = np.random.default_rng(1)
    w.add_tensor("x", rng.standard_normal((3, 5)).astype(np.float32))
    w.add_tensor("y.half", rng.standard_normal((2, 3, 4)).astype(np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    with tempfile.TemporaryDirectory() as d:
        theirs, ours = os.path.join(d, "theirs.gguf"), os.path.join(d, "ours.gguf")
        write_theirs(theirs)
        compare(theirs)
        subprocess.run([TOOL, "write", ours], check=True)
        compare(ours)
        reader = GGUFReader(ours)
        assert [t.name for t in reader.tensors] == ["x", "y", "z"]
        assert reader.fields["n.words"].contents() == ["a", "", "\u20ac"]
        assert reader.fields["n.shorts"].contents() == [-1, 2]
    cache = os.environ.get("HEARTH_CACHE", "build/cache")
    for path in glob.glob(os.path.join(cache, "SmolLM2*.gguf")):
        compare(path)


main()
