"""`hearth quantize` of a folder as Hugging Face keeps it: the same bytes as `hearth import` and then `hearth quantize`, and
nothing beside them, however it ends."""
import atexit
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "import")]
try:
    import numpy as np
    import decoders
    import models
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

HEARTH = str(pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve() / "hearth")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-folder-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
OUT = FOLDER / "out" / "q.gguf"
OUT.parent.mkdir()


def source(name, weights, **config):
    d = FOLDER / name
    d.mkdir()
    (d / "config.json").write_text(json.dumps(models.config(**config)))
    (d / "tokenizer.json").write_text(json.dumps(models.tokenizer()))
    (d / "model.safetensors").write_bytes(models.safetensors(weights, "F16"))
    return d


def run(*args, code=0, says=""):
    done = subprocess.run([HEARTH, *map(str, args)], capture_output=True, text=True, cwd=FOLDER)
    assert done.returncode == code and says in done.stderr, f"exit {done.returncode}, wanted {says!r}: {done.stderr}"


def left():
    return sorted(p.name for p in OUT.parent.iterdir())


def quantize(model, *options, **more):
    run("quantize", "--type", "q4_0", "--plain", *options, model, OUT, **more)


def one_step_is_two(d):
    two = FOLDER / "two.gguf"
    run("import", d, FOLDER / "one.gguf")
    run("quantize", "--type", "q4_0", "--plain", FOLDER / "one.gguf", two)
    weights = d / "model.safetensors"
    for model in d, f"{d}/", d.name, *([weights] if weights.exists() else []):
        quantize(model)
        assert OUT.read_bytes() == two.read_bytes(), model
        assert left() == ["q.gguf"], left()
        quantize(model, code=3, says="is there already")
        assert left() == ["q.gguf"], left()
        quantize(model, "--force")
        OUT.unlink()
    (FOLDER / "one.gguf").unlink()
    (FOLDER / "two.gguf").unlink()


def failures_leave_nothing(d, weights):
    quantize(FOLDER / "none", code=3, says="none: No such file")
    empty = FOLDER / "empty"
    empty.mkdir()
    quantize(f"{empty}/", code=3, says="there is no model.safetensors")
    quantize("empty", code=3, says="model 'empty': no such file")
    bad = {k: v.copy() for k, v in weights.items()}
    bad["encoder.layer.1.output.dense.weight"][3, 5] = np.nan
    quantize(source("nan", bad), code=3, says="row 3 has a value that is not finite")
    assert left() == [], left()
    with open(f"{OUT}.import.lock", "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        quantize(d, code=3, says="q.gguf.import.lock: another process writes it")
        assert left() == ["q.gguf.import.lock"], left()
    quantize(d)
    assert left() == ["q.gguf"], left()
    OUT.unlink()


def interrupted(d, sig, moment):
    """At the moment when a file is there. False: it was over before."""
    with subprocess.Popen([HEARTH, "quantize", "--type", "q4_0", "--plain", "-t1", d, OUT], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and not os.path.exists(moment):
            pass
        child.send_signal(sig)
    caught = sig == signal.SIGINT and child.returncode == 1  # by then it encoded
    ended = child.returncode == -sig or caught
    assert ended or child.returncode == 0, child.returncode
    left_over = [n for n in left() if "import" in n or caught]
    assert not left_over, left_over
    for n in left():
        (OUT.parent / n).unlink()
    return ended


def signals_leave_nothing_of_the_import(d):
    for sig in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        for moment in f"{OUT}.import.part", f"{OUT}.import":
            assert any(interrupted(d, sig, moment) for _ in range(5)), f"never in time for {moment}"


def decoder():
    """In two files."""
    c = decoders.tiny_config("qwen3", hidden_size=64, intermediate_size=64)
    w = decoders.hf_weights("qwen3", c, decoders.tiny_weights("qwen3", c))
    return decoders.write_folder(FOLDER / "decoder", c, w, "BF16", 2, tokenizer__json=decoders.tiny_tokenizer(),
                                 tokenizer_config__json=decoders.WORDS)


tiny = models.weights()
del tiny["classifier.weight"], tiny["classifier.bias"]
tiny_folder = source("tiny", tiny)
one_step_is_two(tiny_folder)
one_step_is_two(decoder())
failures_leave_nothing(tiny_folder, tiny)
models.VOCAB = 100000
large = models.weights()
del large["classifier.weight"], large["classifier.bias"]
signals_leave_nothing_of_the_import(source("large", large))
