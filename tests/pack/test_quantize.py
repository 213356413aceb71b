"""`hearth quantize --plain`: every tensor of the new file is what the Python package's encoder makes of it (or, for
types that it only decodes, what quant/'s own does), everything else is the old bytes; the file computes; and what is
wrong with a source, a disk or a name is said and leaves nothing behind. Without --plain: test_mixed.py; here only what
has no text."""
import atexit
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf import GGMLQuantizationType as T, quants
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "model"), str(ROOT / "lib")]
import arch_cases  # noqa: E402
import reference  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
HEARTH, CODEC, ENGINE = BUILD / "hearth", BUILD / "tests/quant/test_codec", BUILD / "tests/engine/test_engine"
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-pack-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)

# 256 divides the rows of most matrices, 32 but not 256 those of ffn_down; nothing divides the odd one's.
arch_cases.CASES["pack"] = dict(arch="llama", n_embd=256, n_heads=4, n_kv_heads=2, head_dim=64, n_ff=96)
arch_cases.CASES["pack-odd"] = dict(arch="llama", n_embd=72, n_heads=3, n_kv_heads=1, head_dim=24)
# llama.h's numbers of files; the type of rows of 96; the largest relative error of a normal row (root of mean squares)
TYPES = {"F32": (0, "F32", 0), "F16": (1, "F16", 4e-4), "BF16": (32, "BF16", 3e-3), "Q8_0": (7, "Q8_0", 0.01),
         "Q4_0": (2, "Q4_0", 0.12), "Q4_1": (3, "Q4_1", 0.1), "Q5_0": (8, "Q5_0", 0.06), "Q5_1": (9, "Q5_1", 0.05),
         "Q2_K": (21, "Q4_0", 0.35), "Q3_K": (11, "Q4_0", 0.2), "Q4_K": (14, "Q5_0", 0.09), "Q5_K": (16, "Q5_1", 0.05),
         "Q6_K": (18, "Q8_0", 0.025), "IQ4_NL": (25, "IQ4_NL", 0.1), "IQ4_XS": (30, "IQ4_NL", 0.1),
         "MXFP4": (None, "MXFP4", 0.16)}


def source(name="pack", edit=lambda w: w):
    path = FOLDER / f"{name}.gguf"
    arch_cases.write(name, path, edit=edit)
    return path


def run(path, out, *options, code=0, says="", plain=True, **more):
    words = [*(["--plain"] if plain else []), *map(str, options), path, out]
    done = subprocess.run([HEARTH, "quantize", *words], capture_output=True, text=True, **more)
    assert done.returncode == code and says in done.stderr, f"exit {done.returncode}, wanted {says!r}: {done.stderr}"
    return done


def refused(path, says, *options, code=3, **more):
    out = FOLDER / "refused.gguf"
    out.unlink(missing_ok=True)
    for plain in True, False:
        run(path, out, "--type", "q4_0", *options, code=code, says=says, plain=plain, **more)
        assert not out.exists() and not pathlib.Path(f"{out}.part").exists(), "half a file was left behind"


def encoded(name, x):
    """The bytes of a matrix in a type, by another encoder where there is one."""
    if name == "F32":
        return x.tobytes()
    try:
        return quants.quantize(x, T[name]).tobytes()
    except NotImplementedError:
        return subprocess.run([CODEC, "encode", name, str(x.shape[1])], input=x.tobytes(), stdout=subprocess.PIPE,
                              check=True).stdout


def field(reader, key):
    f = reader.fields.get(key)
    return None if f is None else f.contents()


def logits(path, name):
    c = arch_cases.config(name)
    args = [ENGINE, "logits", path, "exact", "f32kv", f"context={c['run_context']}"]
    out = subprocess.run(args, input=arch_cases.tokens(name).tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(out, "<f4").reshape(-1, c["n_vocab"])


def check_file(name, out, old, wanted, fallback, most):
    reader = gguf.GGUFReader(out)
    assert [t.name for t in reader.tensors] == list(old)
    new = {}
    for t in reader.tensors:
        x, matrix = old[t.name], old[t.name].ndim == 2
        kind = (wanted if x.shape[-1] % quants.GGML_QUANT_SIZES[T[wanted]][0] == 0 else fallback) if matrix else "F32"
        assert t.tensor_type.name == kind, (t.name, t.tensor_type.name, kind)
        assert bytes(t.data) == encoded(kind, x.reshape(-1, x.shape[-1])), f"{t.name}: other bytes than {kind} has"
        new[t.name] = quants.dequantize(t.data, t.tensor_type).reshape(x.shape).astype(np.float32)
        error = np.sqrt(np.mean((new[t.name] - x) ** 2) / np.mean(x ** 2))
        assert error <= (max(most, TYPES[kind][2]) if matrix else 0), f"{t.name}: {kind} errs by {error:.4f}"
    theirs = reference.forward(name, new, arch_cases.tokens(name))
    assert np.abs(logits(out, name) - theirs).max() < 2e-4 * np.abs(theirs).max(), "it computes something else"
    return reader


def test_types():
    path, old = source(), arch_cases.weights("pack")
    for wanted, (number, fallback, most) in TYPES.items():
        out = FOLDER / f"{wanted}.gguf"
        said = json.loads(run(path, out, "--type", wanted.lower(), "--json").stdout)
        reader = check_file("pack", out, old, wanted, fallback, most)
        assert field(reader, "general.file_type") == number and field(reader, "general.quantization_version") == 2
        assert field(reader, "hearth.quantize.type") == wanted and not field(reader, "hearth.quantize.requantized")
        assert field(reader, "llama.feed_forward_length") == 96, "a key was lost"
        types = [t.tensor_type.name for t in reader.tensors if len(t.shape) == 2]
        assert said["type"] == wanted and said["fallback"] == sum(t != wanted for t in types)
        assert said["encoded"] == (0 if wanted == "F32" else len(types)) == said["tensors"] - said["kept"]
        assert said["bytes"] == sum(t.n_bytes for t in reader.tensors) and not said["requantized"]
        assert field(reader, "hearth.quantize.encoder") == "plain" and said["not_calibrated"] is None
        assert field(reader, "hearth.quantize.calibration") is None and said["calibration_tokens"] == 0


def test_without_text():
    """A model without a tokenizer: this is said, and its rows lose no more than by the plain encoders."""
    path, old = source(), arch_cases.weights("pack")
    for wanted, most in (("Q2_K", 1), ("Q4_0", .95), ("Q4_K", 1), ("Q5_1", .95), ("IQ4_NL", 1), ("MXFP4", .95)):
        plain, out = FOLDER / f"{wanted}.gguf", FOLDER / f"{wanted}-search.gguf"
        r = run(path, out, "--type", wanted, "--json", plain=False, says="all channels count alike")
        said = json.loads(r.stdout)
        assert said["calibration_tokens"] == 0 and "'none' is not known" in said["not_calibrated"]
        assert field(gguf.GGUFReader(out), "hearth.quantize.calibration") is None
        losses = []
        for file in plain, out:
            tensors = [t for t in gguf.GGUFReader(file).tensors if len(t.shape) == 2]
            losses.append([np.sum((quants.dequantize(t.data, t.tensor_type).reshape(old[t.name].shape).astype(float) -
                                   old[t.name]) ** 2) for t in tensors])
        worst = np.max(np.array(losses[1]) / np.array(losses[0]))
        print(f"{wanted}: {sum(losses[1]) / sum(losses[0]):.3f} of the plain encoder's loss, at most {worst:.3f}")
        assert worst <= 1 and sum(losses[1]) <= most * sum(losses[0]), f"{wanted}: searching made it worse"
    run(path, FOLDER / "x.gguf", "--type", "q4_0", "--save-imatrix", FOLDER / "none.imatrix", plain=False, code=3,
        says="none.imatrix has no importances")
    run(path, FOLDER / "x.gguf", "--size", "1M", plain=False, code=3, says="pack.gguf: types can only be chosen for")
    assert not (FOLDER / "x.gguf").exists() and not (FOLDER / "none.imatrix").exists()


def test_rows_of():
    path, out = source(), FOLDER / "rows.gguf"
    r = run(path, out, "--type", "q8_0", "--rows-of", 256)
    kinds = {t.name.split(".")[-2]: t.tensor_type.name for t in gguf.GGUFReader(out).tensors if len(t.shape) == 2}
    assert kinds["ffn_down"] == "F32" and {v for k, v in kinds.items() if k != "ffn_down"} == {"Q8_0"}, kinds
    assert "no multiple of 256 stayed" in r.stdout, r.stdout


def test_rows_that_nothing_divides():
    path, old = source("pack-odd"), arch_cases.weights("pack-odd")
    out = FOLDER / "odd.gguf"
    run(path, out, "--type", "q4_k")
    kinds = {t.name.split(".")[-2]: t.tensor_type.name for t in gguf.GGUFReader(out).tensors if len(t.shape) == 2}
    assert kinds["ffn_down"] == "Q5_0" and {v for k, v in kinds.items() if k != "ffn_down"} == {"F16"}, kinds
    assert np.abs(logits(out, "pack-odd")).max() > 0 and len(old) == len(gguf.GGUFReader(out).tensors)


def test_output_type_and_threads():
    path = source()
    a, b = FOLDER / "one.gguf", FOLDER / "four.gguf"
    run(path, a, "--type", "q4_0", "--output-type", "q6_k", "-t", 1)
    run(path, b, "--type", "q4_0", "--output-type", "q6_k", "-t", 4)
    assert a.read_bytes() == b.read_bytes(), "threads changed the file"
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(a).tensors}
    assert kinds["output.weight"] == "Q6_K" and kinds["token_embd.weight"] == "Q4_0"


def test_again():
    """From a quantised file: said, recorded, and a matrix that has its type already keeps its bytes."""
    path, once, twice = source(), FOLDER / "once.gguf", FOLDER / "twice.gguf"
    run(path, once, "--type", "q8_0")
    r = run(once, twice, "--type", "q4_k", says="quantised already (Q8_0)")
    reader = gguf.GGUFReader(twice)
    assert field(reader, "hearth.quantize.requantized") and field(reader, "hearth.quantize.source_type") == "Q8_0"
    assert len([k for k in reader.fields if k == "general.file_type"]) == 1 and "twice.gguf" in r.stdout
    same = FOLDER / "same.gguf"
    r = run(once, same, "--type", "q8_0", "--json")
    assert json.loads(r.stdout)["encoded"] == 0 and "quantised already" not in r.stderr
    for x, y in zip(gguf.GGUFReader(once).tensors, gguf.GGUFReader(same).tensors):
        assert bytes(x.data) == bytes(y.data), x.name


def spoil(key, row, value):
    def edit(w):
        w[key][row, 5] = value
        return w
    return edit


def test_bad_sources():
    where = "tensor 'blk.1.ffn_up.weight': row 70"
    refused(source("pack", spoil("blk.1.ffn_up.weight", 70, np.nan)), f"{where} holds a value that is not finite")
    refused(source("pack", spoil("blk.1.ffn_up.weight", 70, np.inf)), f"{where} holds a value that is not finite")
    for wanted in "q4_0", "q3_k", "q6_k", "f16":
        refused(source("pack", spoil("blk.1.ffn_up.weight", 70, 1e30)),
                f"{where} holds a value that is too large for {wanted.upper()}", "--type", wanted)
    run(source("pack", spoil("blk.1.ffn_up.weight", 70, 1e30)), FOLDER / "high.gguf", "--type", "bf16")
    norm = source("pack", lambda w: dict(w, **{"output_norm.weight": w["output_norm.weight"] * np.float32(np.nan)}))
    refused(norm, "output_norm.weight")
    refused(FOLDER / "nowhere.gguf", "nowhere.gguf")
    cut = FOLDER / "cut.gguf"
    cut.write_bytes(source().read_bytes()[:-200])
    refused(cut, "truncated")


def test_what_is_in_the_way():
    path, out = source(), FOLDER / "there.gguf"
    out.write_bytes(b"mine")
    run(path, out, "--type", "q4_0", code=3, says="is there already")
    assert out.read_bytes() == b"mine"
    run(path, out, "--type", "q4_0", "--force")
    assert out.read_bytes()[:4] == b"GGUF"
    itself = FOLDER / "itself.gguf"
    shutil.copy(path, itself)
    run(itself, itself, "--type", "q4_0", "--force")
    assert itself.read_bytes() == out.read_bytes()
    refused(path, "cannot be written", restore_signals=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    run(path, FOLDER / "no" / "where.gguf", "--type", "q4_0", code=3, says="no/where.gguf.part")


def test_usage():
    path, out = source(), FOLDER / "refused.gguf"
    for options, says in (
            (["--type", "q4_x"], "--type: 'q4_x' is neither a type that can be written (F32, F16,"),
            (["--type", "iq2_xxs"], "nor a mix (Q2_K_S, "),
            (["--type", "q4_0", "--output-type", "q9"], "--output-type: 'q9'"),
            ([], "one of --type TYPE, --size BYTES and --fit is needed"),
            (["--type", "q4_0", "--size", "1M"], "one of --type"), (["--size", "1M", "--fit"], "one of --type"),
            (["--type", "q4_0", "--ctx", "512"], "--ctx goes with --fit"),
            (["--size", "1M", "--mem", "1G"], "--mem goes with --fit"),
            (["--plain", "--type", "q4_0", "--calibrate", path], "--calibrate has no use"),
            (["--plain", "--type", "q4_0", "--imatrix", path], "--imatrix has no use"),
            (["--plain", "--size", "1M"], "--plain goes with --type"),
            (["--imatrix", path, "--fit"], "--imatrix goes with --type"),
            (["--imatrix", path, "--type", "q4_0", "--tokens", "999"], "--tokens has no use"),
            (["--type", "q4_0", "--calibrate", path, "--task", "sms"], "not with --calibrate"),
            (["--size", "1M", "--output-type", "q6_k"], "--output-type goes with --type"),
            (["--type", "q4_0", "--no-feedback", "--damping", "0.1"], "--no-feedback forbids"),
            (["--type", "q4_0", "--damping", "0"], "--damping must"),
            (["--type", "q4_0", "--tokens", "5"], "--tokens must"),
            (["--type", "q4_0", "--rows-of", "-1"], "--rows-of must"), (["--fit", "--ctx", "0"], "--ctx must")):
        out.unlink(missing_ok=True)
        run(path, out, *options, code=2, says=says, plain=False)
        assert not out.exists()
    run(path, out, "--type", "q4_0", "--calibrate", FOLDER / "no.txt", code=3, says="no.txt", plain=False)
    large = FOLDER / "large.txt"
    with open(large, "wb") as f:
        f.truncate((64 << 20) + 1)
    run(path, out, "--type", "q4_0", "--calibrate", large, code=3, says="large.txt", plain=False)


def test_memory():
    """What is taken does not grow with the file: 40 MiB of tensors, none of which may be there as floats as a whole."""
    path, out = FOLDER / "large.gguf", FOLDER / "small.gguf"
    g = gguf.GGUFWriter(str(path), "llama")
    g.add_tensor("token_embd.weight", np.random.RandomState(1).standard_normal((40960, 512)).astype(np.float16))
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    for options in ["--plain"], ["--force"]:
        args = [sys.executable, "-c", code, HEARTH, "quantize", "--type", "q8_0", *options, path, out]
        peak = int(subprocess.run([*map(str, args)], capture_output=True, text=True, check=True).stdout.split()[-1])
        print(f"peak {peak / 1024:.0f} MiB")
        if "san-" not in str(BUILD):
            assert peak < 48 * 1024


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name[5:])
