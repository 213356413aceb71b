"""`hearth quantize` by calibration text: sizes are hit, found mixes lose less than a standard one of the same size with
plain encoders, what lies on a grid stays on it, importances pass to other programs and back; and the file is the same
with any number of threads, after a kill and after an interrupt."""
import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf import quants
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "model")]
import arch_cases  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
CACHE = pathlib.Path(os.environ.get("HEARTH_CACHE", "build/cache")).resolve()
HEARTH = BUILD / "hearth"
SMALL = "cache-tiny" in str(CACHE) or "san-" in str(BUILD)  # real models would take too long
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-mixed-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

# Characters are tokens. Matrices differ in how much they matter, columns in how much goes through them.
N_VOCAB = 384
arch_cases.CASES["mixed"] = dict(arch="llama", n_embd=256, n_layers=2, n_ff=512, n_heads=4, n_kv_heads=2, head_dim=64,
                                 n_vocab=N_VOCAB, context=512, sharp=1.0)
SEEN, UNSEEN = FOLDER / "seen.txt", FOLDER / "unseen.txt"
SEEN.write_text((ROOT.parent / "docs/SERVING.md").read_text()[:6000])
UNSEEN.write_text((ROOT.parent / "LICENSE").read_text()[:3000])
BY_TEXT = ["--calibrate", SEEN, "--tokens", 1536]
MEASURED = ["--measured", FOLDER / "measured"]  # once for all sizes: it takes most of the time


def tokenizer(g):
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    texts += ["▁", *"etaoinshrdlucmfwygpbvk,.THIS-`/:", *(f"unused{i}" for i in range(N_VOCAB))]
    g.add_tokenizer_model("llama")
    g.add_token_list(texts[:N_VOCAB])
    g.add_token_scores([0.0] * 259 + [-float(i) for i in range(N_VOCAB - 259)])
    g.add_token_types([2, 3, 3] + [6] * 256 + [1] * (N_VOCAB - 259))
    g.add_bos_token_id(1)
    g.add_eos_token_id(2)
    g.add_add_bos_token(True)


def uneven(w):
    """Channels that carry little, and layers that add little: what importances and allocation are for."""
    rng = np.random.RandomState(7)
    for key, x in w.items():
        if key.endswith("_norm.weight"):
            w[key] = (x * np.exp(rng.standard_normal(x.shape))).astype(np.float32)
    w["blk.1.ffn_down.weight"] *= np.float32(0.1)
    w["blk.0.attn_output.weight"] *= np.float32(0.2)
    return {k: x.astype(np.float16) if x.ndim == 2 else x for k, x in w.items()}


def source(edit=uneven, name="source"):
    path = FOLDER / f"{name}.gguf"
    arch_cases.write("mixed", path, tokenizer, edit)
    return path


def hearth(*args, code=0, says=""):
    done = subprocess.run([HEARTH, *map(str, args)], capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == code and says in done.stderr, f"exit {done.returncode}, wanted {says!r}: {done.stderr}"
    return done.stderr if code else done.stdout


def quantize(out, *options, model=None, **more):
    out = FOLDER / out
    said = hearth("quantize", *options, "--json", model or SOURCE, out, **more)
    return out, None if more.get("code") else json.loads(said)


def loss(path, model=None):
    f = json.loads(hearth("compare", "--json", "--ctx", 256, model or SOURCE, path, UNSEEN))
    assert f["tokens"] > 500 and np.isfinite(f["kl"]["value"])
    return f["kl"]["value"]


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def field(path, key):
    f = gguf.GGUFReader(path).fields.get(key)
    return None if f is None else f.contents()


def size_of(name):
    return (FOLDER / name).stat().st_size


SOURCE = source()


def test_size():
    """Never above, and by 0.5 % below at most; better than a standard mix by the plain encoder where it is as large."""
    for kind in "Q3_K_M", "Q4_K_S":
        plain, _ = quantize(f"{kind}.gguf", "--type", kind.lower(), "--plain")
        size = plain.stat().st_size
        out, said = quantize(f"{kind}-sized.gguf", "--size", size, *BY_TEXT, *MEASURED)
        print(f"{kind}: {size} bytes, {out.stat().st_size} found; KL {loss(plain):.5f}, {loss(out):.5f} found")
        assert 0.995 * size <= out.stat().st_size <= size
        assert loss(out) < 0.8 * loss(plain), (loss(out), loss(plain))
        kinds = {t.tensor_type.name for t in tensors(out).values() if len(t.shape) == 2}
        assert len(kinds) > 1 and said["type"] == "mixed" and said["not_calibrated"] is None
        assert said["bytes"] == sum(t.n_bytes for t in tensors(out).values())
        assert 0.2 * loss(out) < said["measured_divergence"] < 5 * loss(out), said
        assert field(out, "hearth.quantize.type") == "mixed" and field(out, "hearth.quantize.source_type") == "F16"
        assert field(out, "hearth.quantize.calibration_tokens") == said["calibration_tokens"] > 1000
        assert field(out, "hearth.quantize.calibration") == str(SEEN) == said["calibration"]


def test_ways():
    """Each way is at least as good as the one before, of one type."""
    losses = []
    for options in ["--plain"], [*BY_TEXT, "--no-feedback"], BY_TEXT:
        out, _ = quantize("way.gguf", "--type", "q4_0", *options, "--force")
        losses.append(loss(out))
        assert field(out, "hearth.quantize.encoder") == ["plain", "search", "feedback"][len(losses) - 1]
    print(f"q4_0: KL {', '.join(f'{x:.5f}' for x in losses)}")
    assert losses[2] < losses[1] < losses[0]


def test_measured():
    """Of another text, or damaged: named, not believed, not overwritten."""
    file, size = MEASURED[1], ["--size", size_of("Q3_K_M.gguf")]
    whole = file.read_bytes()
    quantize("no.gguf", *size, "--calibrate", UNSEEN, "--tokens", 1536, *MEASURED, code=3, says="measured")
    file.write_bytes(whole.replace(b"gain", b"gian", 1))
    quantize("no.gguf", *size, *BY_TEXT, *MEASURED, code=3, says="measured")
    file.write_bytes(whole[:-20])
    out, _ = quantize("torn.gguf", *size, *BY_TEXT, *MEASURED)
    assert out.read_bytes() == (FOLDER / "Q3_K_M-sized.gguf").read_bytes() and file.read_bytes() == whole
    assert not left("no.gguf")


def left(out):
    """Of what was measured of the model something may be left for another try; of the file nothing."""
    return [p.name for p in FOLDER.glob(f"{out}*") if not p.name.endswith(".measured")]


def test_too_small():
    """Refused before anything is measured, with a size that is not refused."""
    said = hearth("quantize", "--size", 100_000, *BY_TEXT, SOURCE, FOLDER / "none.gguf", code=4, says="the smallest has")
    assert not left("none.gguf") and not (FOLDER / "none.gguf.part.measured").exists()
    least = int(re.search(r"the smallest has (\d+)", said)[1])
    out, _ = quantize("least.gguf", "--size", least, *BY_TEXT, *MEASURED)
    assert out.stat().st_size <= least


def test_threads():
    quantize("one.gguf", "--size", size_of("Q3_K_M.gguf"), *BY_TEXT, "-t", 1)
    assert (FOLDER / "one.gguf").read_bytes() == (FOLDER / "Q3_K_M-sized.gguf").read_bytes(), "threads changed the file"
    files = [quantize("many.gguf", "--type", "q3_k_m", *BY_TEXT, "--force", "-t", n)[0].read_bytes() for n in (1, 3)]
    assert files[0] == files[1], "threads changed the file"


def stopped(out, options, sig, lines, suffix=".part.done"):
    """Sends a signal when so many tensors are whole, or measured. What the run said; None: it was over before."""
    journal = pathlib.Path(f"{out}{suffix}")
    with subprocess.Popen([HEARTH, "quantize", *map(str, options), "-t1", "--json", SOURCE, out], text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        while child.poll() is None:
            if journal.exists() and len(journal.read_bytes().split(b"\n")) > lines:
                break
        child.send_signal(sig)
        said = child.communicate()[1]
    if child.returncode == 0:
        return None
    assert child.returncode == (-sig if sig == signal.SIGKILL else 1), (child.returncode, said)
    return said


def test_stopped():
    """Killed or interrupted, the same command goes on and makes the same file."""
    whole, _ = quantize("whole.gguf", "--type", "q4_k", *BY_TEXT)
    for options, whole, signals in ((["--type", "q4_k", *BY_TEXT], whole, [signal.SIGKILL, signal.SIGINT]),
                                    (["--size", size_of("Q3_K_M.gguf"), *BY_TEXT], FOLDER / "Q3_K_M-sized.gguf",
                                     [signal.SIGKILL])):
        for sig in signals:
            out = FOLDER / "stopped.gguf"
            out.unlink(missing_ok=True)
            said = stopped(out, options, sig, 13)
            assert said is not None, "it was over before it could be stopped"
            assert not out.exists() and (sig == signal.SIGKILL or "the same command goes on where it was" in said), said
            _, report = quantize("stopped.gguf", *options)
            assert 10 <= report["resumed"] < report["tensors"], report
            assert out.read_bytes() == whole.read_bytes(), f"{options}, {sig}: another file"
            assert not list(FOLDER.glob("stopped.gguf.*")), list(FOLDER.glob("stopped*"))


def test_stopped_early():
    """While losses are measured: those that were are not measured again, and the file is the same."""
    out, options = FOLDER / "early.gguf", ["--size", size_of("Q3_K_M.gguf"), *BY_TEXT]
    said = stopped(out, options, signal.SIGINT, 4, ".part.measured")
    assert said and "the same command goes on where it was" in said, said
    before = pathlib.Path(f"{out}.part.measured").read_bytes()
    assert 4 <= before.count(b"\nloss ") < 14
    said = stopped(out, options, signal.SIGKILL, 8, ".part.measured")
    assert said is not None and pathlib.Path(f"{out}.part.measured").read_bytes().startswith(before)
    quantize("early.gguf", *options)
    assert out.read_bytes() == (FOLDER / "Q3_K_M-sized.gguf").read_bytes()
    assert not list(FOLDER.glob("early.gguf.*"))


def test_damaged():
    def spoil(w):
        w["blk.1.ffn_up.weight"][70, 5] = np.nan
        return w
    model = source(spoil, "damaged")
    for options in ["--type", "q4_0"], ["--size", 800_000]:
        quantize("damaged-out.gguf", *options, *BY_TEXT, model=model, code=3,
                 says="damaged.gguf: tensor 'blk.1.ffn_up.weight': row 70 holds a value that is not finite")
        assert not left("damaged-out.gguf")


def test_importances():
    """Ours as the Python package reads them, and as a source of importances for ourselves: the same file again."""
    sums = FOLDER / "sums.gguf"
    a, _ = quantize("a.gguf", "--type", "q4_k_m", *BY_TEXT, "--no-feedback", "--save-imatrix", sums)
    reader = gguf.GGUFReader(sums)
    assert reader.fields["general.type"].contents() == "imatrix"
    found = {t.name: t.data for t in reader.tensors}
    matrices = [n for n, t in tensors(SOURCE).items() if len(t.shape) == 2 and n != "token_embd.weight"]
    assert {n for n in found if n.endswith(".in_sum2")} == {f"{n}.in_sum2" for n in matrices}
    for n in matrices:
        x = found[f"{n}.in_sum2"]
        assert x.size == tensors(SOURCE)[n].shape[0] and (x >= 0).all() and x.max() > 0 and np.isfinite(x).all(), n
        assert 1000 < found[f"{n}.counts"].item() < 1536
    assert np.array_equal(found["blk.0.attn_q.weight.in_sum2"], found["blk.0.attn_v.weight.in_sum2"])
    sums_of_all = sums.read_bytes()
    sums.unlink()
    options = ["--type", "q4_k_m", *BY_TEXT, "--no-feedback", "--save-imatrix", sums]
    assert stopped(FOLDER / "a2.gguf", options, signal.SIGKILL, 13) is not None, "it was over before"
    quantize("a2.gguf", *options)
    assert sums.read_bytes() == sums_of_all, "after a kill other importances are written"
    b, said = quantize("b.gguf", "--type", "q4_k_m", "--imatrix", sums)
    assert field(b, "quantize.imatrix.file") == str(sums) and said["calibration_tokens"] == 0
    for name, t in tensors(a).items():
        u = tensors(b)[name]
        x, y = np.frombuffer(t.data, np.uint8), np.frombuffer(u.data, np.uint8)
        assert u.tensor_type == t.tensor_type and (x != y).mean() < 0.01, f"{name}: other bytes"  # sums are rounded
    options = ["--type", "q4_k_m", "--imatrix", sums]
    assert stopped(FOLDER / "other.gguf", options, signal.SIGKILL, 13) is not None, "it was over before"
    quantize("b2.gguf", "--type", "q4_0", "--calibrate", UNSEEN, "--tokens", 400, "--save-imatrix", sums)
    b2, said = quantize("other.gguf", *options)
    assert said["resumed"] == 0 and b2.read_bytes() != b.read_bytes(), "what other importances had made was kept"
    plain, _ = quantize("plain.gguf", "--type", "q4_k_m", "--plain")
    assert loss(b) < loss(plain)
    quantize("c.gguf", "--type", "q4_0", "--imatrix", SEEN, code=3, says="seen.txt")
    other = FOLDER / "another.gguf"
    arch_cases.write("llama", other, tokenizer=lambda g: g.add_tokenizer_model("none"))
    quantize("c.gguf", "--type", "q4_0", "--imatrix", sums, model=other, code=3, says="they are of another model")


def test_own_text():
    """Without a file the model writes, about the user's tasks, or those that are named."""
    out, said = quantize("own.gguf", "--type", "q4_0", "--tokens", 512)
    assert said["calibration"] == "the model's own text" and 320 < said["calibration_tokens"] <= 512, said
    assert field(out, "hearth.quantize.calibration") == "the model's own text"
    task = FOLDER / "tasks/capital"
    task.mkdir(parents=True)
    (task / "task.yaml").write_text("hearth: 1\nid: capital\ndescription: Capitals\nprivacy: public\n"
                                    "prompt: 'Name the capital of {{input}}.'\noutput:\n  kind: text\n"
                                    "graders:\n  - {type: exact}\n")
    (task / "cases.jsonl").write_text('{"input": "France", "expected": "Paris"}\n'
                                      '{"input": "Peru", "expected": "Lima"}\n')
    with_task, _ = quantize("task.gguf", "--type", "q4_0", "--tokens", 512)
    named, _ = quantize("named.gguf", "--type", "q4_0", "--tokens", 512, "--task", "capital")
    assert with_task.read_bytes() == named.read_bytes() != out.read_bytes(), "tasks make no difference"
    (task / "task.yaml").write_text("id: capital\n")
    again, _ = quantize("again.gguf", "--type", "q4_0", "--tokens", 512, says="task capital is left out")
    assert again.read_bytes() == out.read_bytes()
    quantize("x.gguf", "--type", "q4_0", "--task", "capital", code=3, says="task.yaml")
    quantize("x.gguf", "--type", "q4_0", "--task", "nowhere", code=3, says="nowhere")
    shutil.rmtree(task)


def test_fit():
    """The file that is made runs in the memory it was made for, with its context, and uses what there is."""
    def need(model):
        return json.loads(hearth("fit", model, "--ctx", 512, "--json"))["models"][0]["need_bytes"]
    mem = need(SOURCE) - 1_500_000
    out, said = quantize("fits.gguf", "--fit", "--ctx", 512, "--mem", mem, *BY_TEXT, *MEASURED)
    hearth("run", out, "--raw", "-n", 2, "--ctx", 512, "--mem", mem, "--temp", 0, "Hello")
    print(f"{need(out)} bytes needed of {mem}, {said['bytes']} of tensors")
    assert mem - 0.03 * said["bytes"] < need(out) <= mem
    hearth("run", SOURCE, "--raw", "-n", 2, "--ctx", 512, "--mem", mem, "Hello", code=4)
    whole, said = quantize("fits.gguf", "--fit", "--ctx", 512, *BY_TEXT, *MEASURED, "--force", says="fits as it is")
    assert said["bytes"] == said["source_bytes"] and loss(whole) < 1e-9, said
    quantize("fits-not.gguf", "--fit", "--ctx", 512, "--mem", "1M", *BY_TEXT, *MEASURED, code=4,
             says="without its weights it needs")


def rounded(kind):
    """The values that a file of this type has, as F16."""
    def edit(w):
        w = uneven(w)
        for key, x in w.items():
            if x.ndim == 2 and not key.startswith("output"):
                w[key] = quants.dequantize(quants.quantize(x.astype(np.float32), kind), kind).astype(np.float16)
        return w
    return edit


def on_grid(model, out, kind, names):
    values, new = tensors(model), tensors(out)
    return [n for n in names if new[n].tensor_type == kind and
            np.array_equal(quants.dequantize(new[n].data, kind).astype(np.float16), values[n].data)]


def test_grid():
    """What lies on a type's grid already is kept exactly, whatever text says, and where types are found too."""
    for kind in gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q4_1:
        model = source(rounded(kind), f"on-{kind.name}")
        names = [n for n, t in tensors(model).items() if len(t.shape) == 2 and n != "output.weight"]
        out, said = quantize("grid.gguf", "--type", kind.name, *BY_TEXT, "--force", model=model)
        assert on_grid(model, out, kind, names) == names and said["on_grid"] == len(names), said
    out, said = quantize("grid.gguf", "--size", out.stat().st_size + 50_000, *BY_TEXT, "--force", model=model)
    assert on_grid(model, out, kind, names) == names, said
    assert loss(out, model) < 0.01


# ---- real models ----

def cut(n_layers):
    """The first layers of SmolLM2, whose file is Q4_1, in F16. Which matrices were Q4_1."""
    path = FOLDER / f"cut{n_layers}.gguf"
    reader = gguf.GGUFReader(CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf")
    w = gguf.GGUFWriter(str(path), "llama")
    for name, f in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        value = n_layers if name == "llama.block_count" else f.contents()
        w.add_key_value(name, value, f.types[0], sub_type=f.types[-1] if len(f.types) > 1 else None)
    names = []
    for t in reader.tensors:
        if t.name.startswith("blk.") and int(t.name.split(".")[1]) >= n_layers:
            continue
        x = quants.dequantize(t.data, t.tensor_type).astype(np.float32)
        w.add_tensor(t.name, x.astype(np.float16) if len(t.shape) == 2 else x)
        names += [t.name] if t.tensor_type.name == "Q4_1" else []
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path, names


def test_smollm2():
    if SMALL or not (CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf").exists():
        return
    model, names = cut(1)
    text = ["--calibrate", SEEN, "--tokens", 512, "--no-feedback"]
    out, said = quantize("smollm2.gguf", "--type", "q4_1", *text, model=model)
    assert len(names) >= 7 and on_grid(model, out, gguf.GGMLQuantizationType.Q4_1, names) == names, said


def vectors(model):
    lines = UNSEEN.read_text().replace("\n", " ").split(". ")[:12]
    out = hearth("embed", model, *[x.strip() for x in lines if x.strip()])
    return np.array([json.loads(x)["embedding"] for x in out.splitlines()])


def test_encoder():
    folder = CACHE / "minilm"
    if SMALL or not (folder / "model.safetensors").exists():
        return
    model = FOLDER / "minilm.gguf"
    hearth("import", folder, model)
    wanted = vectors(model)

    def off(path):
        return (1 - (vectors(path) * wanted).sum(-1)).mean()
    text = ["--calibrate", SEEN, "--tokens", 640]
    plain, _ = quantize("minilm-plain.gguf", "--type", "q4_0", "--plain", model=model)
    same, said = quantize("minilm-q4_0.gguf", "--type", "q4_0", *text, model=model)
    assert said["calibration_tokens"] > 500
    found, _ = quantize("minilm-found.gguf", "--size", plain.stat().st_size, *text, "--no-feedback", model=model)
    assert 0.995 * plain.stat().st_size <= found.stat().st_size <= plain.stat().st_size
    print(f"1 - cos: {off(plain):.5f} plain, {off(same):.5f}, {off(found):.5f} found")
    assert off(found) < off(same) < off(plain)


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name[5:])
