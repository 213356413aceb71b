"""`hearth perplexity` and `hearth compare` on real models, against what llama-perplexity says of them."""
import hashlib
import json
import math
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from hearth import CACHE, MODEL, TINY, hearth, run_tests  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def peer_record():
    record = json.loads((ROOT / "tests/golden/perplexity.json").read_text())
    whole = (ROOT / record["text"]).read_bytes()[:record["text_bytes"]]
    assert hashlib.sha256(whole).hexdigest() == record["text_sha256"], "record it again"
    models = {} if TINY else record["models"]
    for model, peer in models.items():
        assert hashlib.sha256((CACHE / f"{model}.gguf").read_bytes()).hexdigest() == peer["sha256"]
    return whole, record["window"], models


def test_perplexity():
    """Against llama-perplexity's figures of the same text and windows (perplexity_peer.py): the same weights in F32
    closely, the shipped files within what two roundings of the activations make of a few hundred tokens."""
    whole, window, models = peer_record()
    for model, peer in models.items():
        for how, args, most in (("mean_logprob", [], 0.015), ("mean_logprob_f32", ["--exact"], 2e-4)):
            if args and model == MODEL:
                continue  # in the next test, as A
            r = hearth("perplexity", model, "-", "--json", *args, stdin=whole).json()
            assert (r["windows"], r["tokens"], r["window"]) == (peer["windows"], peer["tokens"], window)
            print(f"{model} {how}: {r['mean_logprob']:.5f}, llama-perplexity {peer[how]:.5f}")
            assert abs(r["mean_logprob"] - peer[how]) < most, (model, how)
            assert math.isclose(r["perplexity"], math.exp(-r["mean_logprob"]), rel_tol=1e-12)
            low, high = r["interval_by_clusters"]
            assert low < r["perplexity"] < high and r["clusters"] == r["windows"]
    one, two = (hearth("perplexity", MODEL, "-", "-c", 64, "-t", n, stdin=whole[:1000]).out for n in (1, 2))
    assert one.split()[:2] == two.split()[:2], "the thread count changed the figure"
    r = hearth("perplexity", MODEL, "-", "-c", 64, "--windows", 1, "--json", stdin=whole).json()
    assert (r["windows"], r["tokens"], r["interval_by_clusters"]) == (1, 31, [None, None])
    hearth("perplexity", MODEL, "-", stdin="too short", code=3, says="one window has 512")
    hearth("perplexity", MODEL, "/nonexistent", code=3, says="/nonexistent")
    hearth("perplexity", MODEL, code=2, says="what to read?")
    hearth("perplexity", MODEL, "x", "--task", "ticket-class", code=2, says="not both")
    hearth("perplexity", MODEL, "--task", "ticket-class", "--windows", 3, code=2, says="--windows is for a FILE")


def test_compare_with_the_peer():
    """Against llama-perplexity's figures (perplexity_peer.py) of a model and its plain Q4_0: within the peer's own error;
    of the same weights in F32, nearly the same number (the peer keeps the reference's log-probabilities in 16 bits)."""
    whole, window, models = peer_record()
    model, peer = next(iter(models.items()), (None, None))
    if not model:
        return
    with tempfile.TemporaryDirectory() as folder:
        b = pathlib.Path(folder) / "q4_0.gguf"
        hearth("quantize", "--type", "q4_0", "--plain", model, b)
        for how, args, share in (("q4_0", [], 1), ("q4_0_f32", ["--exact"], 0.02)):
            r = hearth("compare", model, b, "-", "--json", *args, stdin=whole).json()
            assert (r["passages"], r["tokens"], r["window"]) == (peer["windows"], peer["tokens"], window)
            mean = peer["mean_logprob_f32" if args else "mean_logprob"]
            assert abs(-math.log(r["perplexity_a"]["value"]) - mean) < (2e-4 if args else 0.015)
            for name, (value, error) in ((k, v) for k, v in peer[how].items() if len(v) == 2):
                ours = r[name]
                print(f"{how} {name:13} {ours['value']:.6f} +- {ours['error_by_tokens']:.6f}, {value} +- {error}")
                assert abs(ours["value"] - value) <= share * error, name
                assert math.isclose(ours["error_by_tokens"], error, rel_tol=0.05 * max(share, 0.05)), name
            for name, limit in (("50", 0.04), ("90", 0.03), ("99", 0.08), ("99.9", 0.1)):
                ours, value = r["kl_percentiles"][name]["value"], peer[how][f"kl_{name}"][0]
                print(f"{how} KL {name} %: {ours:.6f}, {value}")
                assert math.isclose(ours, value, rel_tol=limit * max(share, 0.05)), name


run_tests(globals())
