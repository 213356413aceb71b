#!/usr/bin/env python3
"""Records llama-perplexity's figures of the beginning of LICENSE in tests/golden/perplexity.json: of each model as it is,
and of the same weights dequantised to F32 (tools/agree/gguf_f32.py), which is what `--exact` computes; and its KL
divergence of each from what `hearth quantize --plain --type q4_0` makes of it. By hand, in a Python that has gguf:
    python tests/cli/perplexity_peer.py LLAMA_PERPLEXITY VERSION MODEL.gguf...     (VERSION: text for the record)
`--compare`, after them, prints the figures of `hearth compare` beside the peer's own and records nothing."""
import hashlib
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

WINDOW = 512
TEXT_BYTES = 7000  # the peer wants two windows at least
HEARTH = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")) / "hearth"
GOLDEN = pathlib.Path("tests/golden/perplexity.json")
F32 = ["-fa", "off", "-ctk", "f32", "-ctv", "f32"]
NUMBER = r"(-?[\d.]+)"
FIGURES = {  # our name: how the peer's line begins, its factor
    "log_ratio": (r"Mean ln\(PPL\(Q\)/PPL\(base\)\)", 1), "perplexity_b": (r"Mean PPL\(Q\)", 1),
    "kl": ("Mean    KLD", 1), "kl_50": ("Median  KLD", 1), "kl_90": ("90.0%   KLD", 1), "kl_99": ("99.0%   KLD", 1),
    "kl_99.9": ("99.9%   KLD", 1), "kl_max": ("Maximum KLD", 1), "rms_dp": ("RMS Δp", 0.01),
    "mean_dp": ("Mean    Δp", 0.01), "same_top": ("Same top p", 0.01)}


def run(*args):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def base(peer, model, text, logits, more):
    """Perplexity of a model, whose log-probabilities are left in `logits`."""
    out = run(peer, "-m", model, "-f", text, "-c", WINDOW, "-b", WINDOW, "--kl-divergence-base", logits, *more)
    n = max(int(i) for i in re.findall(r"\[(\d+)\]", out))
    return n, float(re.search(r"Final estimate: PPL = " + NUMBER, out)[1])


def divergence(peer, model, logits, more):
    out = run(peer, "-m", model, "-c", WINDOW, "-b", WINDOW, "--kl-divergence-base", logits, "--kl-divergence", *more)
    figures = {}
    for name, (line, factor) in FIGURES.items():
        value, error = re.search(line + r"\s*:\s*" + NUMBER + r"(?:\s*±\s*" + NUMBER + ")?", out).groups()
        figures[name] = [round(float(value) * factor, 8)] + ([round(float(error) * factor, 8)] if error else [])
    return figures


def print_beside(a, b, text, theirs, more):
    ours = json.loads(run(HEARTH, "compare", a, b, text, "--json", "-c", WINDOW, *more))
    for name, peer in theirs.items():
        if name.startswith("kl_") and name != "kl_max":
            value, error = ours["kl_percentiles"][name[3:]]["value"], math.nan
        elif name == "kl_max":
            value, error = ours[name], math.nan
        else:
            value, error = ours[name]["value"], ours[name]["error_by_tokens"]
        print(f"  {name:13} {value:10.6f} +- {error:8.6f}   peer " + " +- ".join(f"{v:.6f}" for v in peer))


def judge(peer, model, text, folder, compare):
    q4_0 = folder / "q4_0.gguf"
    run(HEARTH, "quantize", "--type", "q4_0", "--plain", "--force", model, q4_0)
    record = {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    for how, more in (("", []), ("_f32", F32)):
        a, b = model, q4_0
        if how:
            a, b = folder / "a.gguf", folder / "b.gguf"
            run(sys.executable, "tools/agree/gguf_f32.py", model, a)
            run(sys.executable, "tools/agree/gguf_f32.py", q4_0, b)
        n, ppl = base(peer, a, text, folder / "logits", more)
        record |= {"windows": n, "tokens": n * (WINDOW - 1 - WINDOW // 2), "mean_logprob" + how: -math.log(ppl)}
        record["q4_0" + how] = divergence(peer, b, folder / "logits", more)
        if compare:
            print(model.stem, "in F32" if how else "as it is")
            print_beside(model, q4_0, text, record["q4_0" + how], ["--exact"] if how else [])
    return record


def main():
    compare = "--compare" in sys.argv
    peer, version, *models = [a for a in sys.argv[1:] if a != "--compare"]
    whole = pathlib.Path("LICENSE").read_bytes()
    whole = whole if compare else whole[:TEXT_BYTES]
    record = {"tool": "llama-perplexity", "version": version, "text": "LICENSE", "text_bytes": len(whole),
              "text_sha256": hashlib.sha256(whole).hexdigest(), "window": WINDOW, "models": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = folder / "text"
        text.write_bytes(whole)
        for model in map(pathlib.Path, models):
            record["models"][model.stem] = judge(peer, model, text, folder, compare)
    if not compare:
        GOLDEN.write_text(json.dumps(record, indent=2) + "\n")


main()
