"""`hearth compare` and `hearth perplexity` against the same figures computed here, in NumPy and double precision, from the
logits of a small model: on windows of a text, and on the answers of a task. And what must hold of any two models."""
import atexit
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import gguf  # noqa: F401 (arch_cases writes with it)
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "model"))
import arch_cases  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
HEARTH, ENGINE = BUILD / "hearth", BUILD / "tests/engine/test_engine"
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hearth-quality-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
TEXT = (ROOT.parent / "LICENSE").read_text()[:700]
WINDOW = 64
STUDENT = {3: 3.182446305, 8: 2.306004135}  # of 95 %, by degrees of freedom (any table)
arch_cases.CASES["quality"] = dict(arch="llama", n_vocab=300, sharp=3.0)
arch_cases.CASES["quality-other"] = dict(arch="llama", n_vocab=300)
arch_cases.CASES["quality-short"] = dict(arch="llama", n_vocab=290)


def tokenizer(n, swapped=False):
    """Characters and bytes; every model with begin and end."""
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    texts += ["▁", *"etaoinshrdlucmfwygpbvk,.THIS", *(f"unused{i}" for i in range(n))]
    texts = texts[:n]
    if swapped:
        texts[260], texts[261] = texts[261], texts[260]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (n - 259)

    def write(g):
        g.add_tokenizer_model("llama")
        g.add_token_list(texts)
        g.add_token_scores([0.0] * 259 + [-float(i) for i in range(n - 259)])
        g.add_token_types(kinds)
        g.add_bos_token_id(1)
        g.add_eos_token_id(2)
        g.add_add_bos_token(True)
    return write


def model(name, swapped=False, edit=lambda w: w):
    path = FOLDER / f"{name}{'-swapped' if swapped else ''}.gguf"
    arch_cases.write(name, path, tokenizer(arch_cases.config(name)["n_vocab"], swapped), edit)
    return path


def run(*args, code=0, says="", stdin=None):
    done = subprocess.run([HEARTH, *map(str, args)], input=stdin, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == code and says in done.stderr, f"exit {done.returncode}, wanted {says!r}: {done.stderr}"
    return done.stdout


def figures(*args, stdin=TEXT):
    return json.loads(run(*args, "--exact", "--json", stdin=stdin))


def log_softmax(logits):
    x = logits.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def distributions(path, ids):
    """log p of every token after each of ids."""
    args = [ENGINE, "logits", path, "exact", "f32kv", f"context={len(ids)}"]
    out = subprocess.run(args, input=np.asarray(ids, "<i4").tobytes(), stdout=subprocess.PIPE, check=True).stdout
    return log_softmax(np.frombuffer(out, "<f4").reshape(len(ids), -1))


def windows():
    ids = json.loads(run("tokenize", A, "--bos", "--json", stdin=TEXT))
    for at in range(0, len(ids) - WINDOW + 1, WINDOW):
        yield [1] + ids[at + 1:at + WINDOW], WINDOW // 2 + 1


def judged(passages):
    """One row a token: log p by A and B, KL, same top; and each one's cluster."""
    rows, cluster = [], []
    for c, (ids, first) in enumerate(passages):
        p, q = distributions(A, ids), distributions(B, ids)
        for i in range(first, len(ids)):
            a, b = p[i - 1], q[i - 1]
            rows.append((a[ids[i]], b[ids[i]], (np.exp(a) * (a - b)).sum(), a.argmax() == b.argmax()))
            cluster.append(c)
    return np.array(rows, float), np.array(cluster)


def near(got, wanted, most=2e-6):
    assert abs(got - wanted) <= most * max(1, abs(wanted)), f"{got} is not {wanted}"


def check_mean(m, x, cluster, interval=True):
    n, clusters = len(x), cluster.max() + 1
    near(m["value"], x.mean())
    near(m["error_by_tokens"], x.std() / math.sqrt(n - 1))
    gaps = np.array([(x[cluster == c] - x.mean()).sum() for c in range(clusters)])
    error = math.sqrt(clusters / (clusters - 1) * (gaps ** 2).sum()) / n
    near(m["error_by_clusters"], error)
    if interval:
        low, high = m["interval_by_clusters"]
        near(low, x.mean() - STUDENT[clusters - 1] * error)
        near(high, x.mean() + STUDENT[clusters - 1] * error)


def check_figures(f, rows, cluster):
    a, b, kl, same = rows.T
    assert f["tokens"] == len(rows) and f["clusters"] == cluster.max() + 1
    check_mean(f["log_ratio"], a - b, cluster)
    check_mean(f["mean_dp"], np.exp(b) - np.exp(a), cluster)
    check_mean(f["same_top"], same, cluster, interval=False)
    low, high = f["same_top"]["interval_by_clusters"]
    assert 0 <= low < same.mean() < high <= 1
    check_mean(dict(f["kl"], interval_by_clusters=None), kl, cluster, interval=False)
    for name, x in (("perplexity_a", -a), ("perplexity_b", -b), ("ratio", a - b)):
        near(f[name]["value"], math.exp(x.mean()), 1e-5)
        near(f[name]["error_by_tokens"], math.exp(x.mean()) * x.std() / math.sqrt(len(x) - 1), 1e-5)
    near(f["rms_dp"]["value"], math.sqrt(((np.exp(b) - np.exp(a)) ** 2).mean()))
    for q in (50, 90, 95, 99, 99.9):
        near(f["kl_percentiles"][f"{q:g}"]["value"], np.percentile(kl, q))
    near(f["kl_max"], kl.max())


A, B = model("quality"), FOLDER / "q4_0.gguf"
run("quantize", "--type", "q4_0", "--plain", A, B)


def test_windows():
    rows, cluster = judged(windows())
    assert cluster.max() + 1 >= 4
    keep = cluster < 4
    f = figures("compare", A, B, "-", "-c", WINDOW, "--windows", 4)
    check_figures(f, rows[keep], cluster[keep])
    assert 0 < f["kl"]["value"] and f["kl_percentiles"]["99.9"]["interval_by_tokens"][1] is None, "too few for that"
    one = figures("perplexity", A, "-", "-c", WINDOW, "--windows", 4)
    near(one["mean_logprob"], rows[keep][:, 0].mean())
    near(one["perplexity"], f["perplexity_a"]["value"])
    assert one["interval_by_clusters"] == f["perplexity_a"]["interval_by_clusters"]


def test_task():
    task = FOLDER / "letters"
    task.mkdir()
    (task / "task.yaml").write_text("hearth: 1\nid: letters\nprivacy: public\ncases: synthetic\nprompt: |-\n"
                                    "  The first of {{text}} is\noutput: {kind: label, labels: [one, two, three]}\n"
                                    "graders: [{type: label}]\n")
    cases = [("five ones", "one"), ("two", "two"), ("six or three", "three")] * 3
    (task / "cases.jsonl").write_text("".join(json.dumps({"input": {"text": f"{t} {i}"}, "expected": e}) + "\n"
                                              for i, (t, e) in enumerate(cases)))
    passages = []
    for i, (text, answer) in enumerate(cases):
        prompt = f"The first of {text} {i} is"
        ids, alone = (json.loads(run("tokenize", A, t, "--bos", "--json")) for t in (f"{prompt} {answer}", prompt))
        assert ids[:len(alone)] == alone
        passages.append((ids, len(alone)))
    f = figures("compare", A, B, "--task", task)
    check_figures(f, *judged(passages))
    assert f["tokens"] == sum(len(e) + 1 for _, e in cases), "a blank and the letters of each answer"
    one = figures("perplexity", B, "--task", task)
    near(one["perplexity"], f["perplexity_b"]["value"])
    assert one["cases"] == 9 and one["windows"] is None
    (task / "cases.jsonl").write_text("".join(
        json.dumps({"input": {"text": f"{t} {i}"}, "expected": e, "cluster": f"c{i % 2}"}) + "\n"
        for i, (t, e) in enumerate(cases)))
    assert figures("compare", A, B, "--task", task)["clusters"] == 2, "cases of one source are one cluster"
    assert figures("compare", A, B, "--task", task, "--task", task)["clusters"] == 4


def test_itself():
    f = figures("compare", A, A, "-", "-c", WINDOW)
    assert f["kl"]["value"] == f["kl_max"] == f["log_ratio"]["value"] == f["rms_dp"]["value"] == 0
    assert f["same_top"]["value"] == f["ratio"]["value"] == 1 and f["same_top"]["interval_by_clusters"][0] < 1
    both, back = (figures("compare", *pair, "-", "-c", WINDOW) for pair in ((A, B), (B, A)))
    near(both["log_ratio"]["value"], -back["log_ratio"]["value"], 1e-12)
    assert both["same_top"] == back["same_top"] and both["kl"]["value"] != back["kl"]["value"]
    other = figures("compare", A, model("quality-other"), "-", "-c", WINDOW)
    assert other["kl"]["value"] > both["kl"]["value"], "another model is no nearer than the same in four bits"


def test_threads_and_levels():
    one, two = (json.loads(run("compare", A, B, "-", "-c", WINDOW, "--json", *how, stdin=TEXT))
                for how in (["-t", 1], ["-t", 3, "--isa", "portable"]))
    for f in one, two:
        del f["seconds"], f["tokens_per_s"]
    assert one == two


def test_refused():
    args = ("-", "-c", WINDOW)
    short, swapped = model("quality-short"), model("quality", swapped=True)
    run("compare", A, short, *args, code=3, says="the vocabularies differ: 300 tokens and 290", stdin=TEXT)
    run("compare", A, swapped, *args, code=3, says="token 260 is not the same in both", stdin=TEXT)
    run("compare", A, B, *args, "--mem", "100K", code=4, says="both models are open at once", stdin=TEXT)
    run("compare", A, B, "-", code=3, says="one window has 512", stdin="short")
    run("compare", A, B, code=2, says="what to read?")
    run("compare", A, code=2, says="two models and a FILE")
    run("compare", A, B, "--task", "no-such-task", code=3, says="no-such-task")
    huge = model("quality-other", edit=lambda w: dict(w, **{"output_norm.weight": w["output_norm.weight"] * 1e38}))
    run("compare", A, huge, *args, code=3, says="are not finite", stdin=TEXT)


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name[5:])
