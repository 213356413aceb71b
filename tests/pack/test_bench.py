"""bench/quantise: the reference model leaves no grid and moves no weight too far; the table says what its rows say."""
import json
import pathlib
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf import GGMLQuantizationType as T
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/quantise"))
import reference  # noqa: E402
import table  # noqa: E402

ROWS, COLUMNS = 8, 512
HALVES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q4_K": (0, 2), "Q5_K": (0, 2),
          "Q6_K": (208,)}  # where a block has F16 values


def random_file(path):
    """A matrix of every type, of random blocks, and a norm."""
    rng = np.random.default_rng(1)
    g = gguf.GGUFWriter(str(path), "llama")
    g.add_block_count(7)
    g.add_array("general.tags", ["a", "b"])
    for name, places in HALVES.items():
        values, size = gguf.GGML_QUANT_SIZES[T[name]]
        blocks = rng.integers(0, 256, (ROWS * COLUMNS // values, size), dtype=np.uint8)
        for at in places:
            blocks[:, at:at + 2] = rng.uniform(1e-3, 1e-2, (len(blocks), 1)).astype(np.float16).view(np.uint8)
        g.add_tensor(f"{name}.weight", blocks.reshape(ROWS, -1), raw_dtype=T[name])
    g.add_tensor("norm.weight", np.ones(COLUMNS, np.float32))
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()


def check_matrix(was, now):
    """Steps are those of the grid; the shift is uniform over one of them, but for F16's own rounding."""
    values = gguf.quants.dequantize(was.data, was.tensor_type)
    size, steps_of = reference.STEPS[was.tensor_type.name]
    steps = np.abs(steps_of(np.ascontiguousarray(was.data).reshape(-1, size))).reshape(-1, 1)
    some = steps[:, 0] > 1e-4  # scales among the random blocks may be 0
    parts, steps = values.reshape(len(steps), -1)[some], steps[some]
    shift = (now.data.astype(np.float32) - values).reshape(len(some), -1)[some]
    codes = (parts - parts[:, :1]) / steps
    assert np.abs(codes - np.round(codes)).max() < 0.01, was.name
    assert np.unique(np.abs(np.round(codes)))[1] == 1, was.name
    assert (np.abs(shift) <= steps / 2 + np.abs(parts) * 2.0 ** -11 + 1e-6).all(), was.name
    assert abs(np.mean(np.abs(shift) / steps) - 0.25) < 0.02 and abs(np.mean(shift / steps)) < 0.02, was.name


def test_reference(folder):
    source, moved, again, grid = (folder / f"{n}.gguf" for n in ("source", "moved", "again", "grid"))
    random_file(source)
    reference.make(source, moved)
    reference.make(source, again)
    reference.make(source, grid, grid=True)
    assert again.read_bytes() == moved.read_bytes()
    was, now, kept = (gguf.GGUFReader(p) for p in (source, moved, grid))
    assert now.get_field("llama.block_count").contents() == 7 and now.get_field("general.tags").contents() == ["a", "b"]
    assert now.get_field("general.file_type").contents() == gguf.LlamaFileType.MOSTLY_F16
    for w, n, k in zip(was.tensors, now.tensors, kept.tensors):
        assert w.name == n.name and list(w.shape) == list(n.shape)
        if w.name == "norm.weight":
            assert n.tensor_type == T.F32 and (n.data == w.data).all()
        else:
            assert n.tensor_type == T.F16
            assert (k.data == gguf.quants.dequantize(w.data, w.tensor_type).astype(np.float16)).all()
            check_matrix(w, n)


def test_table(folder):
    """The mean is geometric, over the rows that both sides have on the same tokens; the last of two rows counts."""
    results, page = folder / "results.jsonl", folder / "page.md"
    common = {"model": "smol", "set": "all", "bytes": 1 << 20, "tail": 1, "same": 0.5, "tokens": 10, "machine": "M",
              "version": "V", "when": "2000-01-01"}
    losses = {("Q2_K", "peer"): 1.0, ("Q2_K", "ours"): 0.5, ("Q4_0", "peer"): 0.1, ("Q4_0", "ours"): 0.0125,
              ("Q5_K_M", "peer"): 0.1}
    rows = [{**common, "type": t, "way": w, "loss": x} for (t, w), x in losses.items()]
    rows += [{**common, "type": "Q4_K_M", "way": "peer", "loss": 1},
             {**common, "type": "Q4_K_M", "way": "ours", "loss": 9, "tokens": 20}]
    results.write_text("".join(json.dumps(r) + "\n" for r in [{**rows[0], "loss": 7}] + rows))
    page.write_text("before\n" + table.BEGIN + "old\n" + table.END + "after\n")
    table.write(results, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| Q2_K | 1.00 | 1.00 | 1 | 0.5 | -50.0 % |" in text and "Q5_K_M" not in text and "Q4_K_M" not in text
    assert "**-75.0 %**" in text and "contributes" not in text and "embedding" not in text


def test_heads(folder):
    """Heads are told against F16's, on the same tokens; the types that both sides chose stand beside each other."""
    results, page = folder / "results.jsonl", folder / "page.md"
    common = {"model": "smol", "bytes": 1 << 20, "tail": 1, "same": 0.5, "tokens": 10, "machine": "M", "version": "V",
              "when": "2000-01-01"}
    rows = [{**common, "set": "head", "type": t, "way": "ours", "loss": x, "decode": d, "tokens": n}
            for t, x, d, n in (("F16", 0.25, 20, 10), ("Q8_0", 0.5, 30, 10), ("Q4_0", 0.75, 40, 11))]
    rows += [{**common, "set": "all", "type": "Q2_K", "way": w, "loss": 1, "head": h}
             for w, h in (("peer", "Q5_0"), ("ours", "Q8_0"))]
    results.write_text("".join(json.dumps(r) + "\n" for r in rows))
    page.write_text(table.BEGIN + table.END)
    table.write(results, page)
    text = page.read_text()
    assert "| SmolLM2-135M | Q8_0 | 1.00 | 0.5 | +0.25 | 50.0 | 30.0 | 1.50 |" in text and "| Q4_0 |" not in text
    assert "| SmolLM2-135M | Q2_K | Q5_0 | Q8_0 |" in text


with tempfile.TemporaryDirectory(prefix="hearth-bench-") as name:
    test_reference(pathlib.Path(name))
    test_table(pathlib.Path(name))
    test_heads(pathlib.Path(name))
