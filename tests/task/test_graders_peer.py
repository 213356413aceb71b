"""Graders against the Python packages that are the reference for their formulas, on random texts through `hearth task
grade`: rouge-score, sacrebleu (chrF and chrF++), rapidfuzz (Levenshtein), scikit-learn (F1 of labels, fields and sets).

Graders see texts in NFC without white space at their ends, so the packages are given those. An answer that is empty
then is malformed for every grader. HEARTH_SEED and HEARTH_PAIRS (default 1, 400) widen the search.
"""
import collections, json, math, os, pathlib, random, subprocess, sys, tempfile, time, unicodedata

try:
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import CHRF
    from sklearn.metrics import f1_score, precision_recall_fscore_support
    from sklearn.preprocessing import MultiLabelBinarizer
except ImportError as e:
    print(f"{e}: tests/requirements.txt is not installed")
    sys.exit(77)

HEARTH = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")) / "hearth"
SEED = int(os.environ.get("HEARTH_SEED", "1"))
PAIRS = int(os.environ.get("HEARTH_PAIRS", "400"))
# What a grader takes off the ends of a text.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200b)))

ALPHABETS = [
    "ab", "abcdefghijklmnopqrstuvwxyz", "aAbB01", "äöüßéèñçøåÄÖÜ", "абвгдежз", "日本語中文字漢", "😀🎉👍🏽", "İıKſﬁ",
    "e\u0301a\u0308o\u0302", ".,;:!?'\"()[]{}-_/\\@#$%^&*+=<>|~`", "١٢٣٤", "한국어",
]
BLANKS = [" "] * 12 + ["  ", "\n", "\t", "\xa0", "\u3000", "\x1c", "\u2009", "\r\n"]


def word(r, alphabets):
    return "".join(r.choice(r.choice(alphabets)) for _ in range(r.choice([1, 1, 2, 3, 5, 9])))


def text(r, words, n):
    parts = [r.choice(words) + r.choice(["", "", "", ".", ",", "!"]) for _ in range(n)]
    return "".join(p + r.choice(BLANKS) for p in parts)


def mutated(r, s):
    s = list(s)
    for _ in range(r.randint(0, 1 + len(s) // r.choice([2, 5, 20]))):
        at = r.randint(0, len(s))
        s[at:at + r.randint(0, 2)] = r.choice(["", " ", r.choice(r.choice(ALPHABETS)), "x y"])
    return "".join(s)


def seen(s):
    """What a grader sees of a text."""
    return unicodedata.normalize("NFC", s).strip(SPACE)


def pairs():
    r = random.Random(SEED)
    yield from [("", "a"), ("a", ""), ("a", "a"), ("...", "..."), ("a", "b"), ("the cat", "The  CAT"), (" \n", "x")]
    for i in range(PAIRS):
        alphabets = r.sample(ALPHABETS, r.randint(1, 4))
        if i % 2:
            alphabets.append(ALPHABETS[1])
        words = [word(r, alphabets) for _ in range(r.choice([2, 5, 30, 300]))]
        n = r.choice([0, 1, 2, 5, 20, 60, 130] if i % 200 else [1500])
        expected = text(r, words, n)
        shuffled = text(r, words, max(1, n + r.randint(-2, 2)))
        yield expected, mutated(r, expected) if r.random() < .6 else shuffled


def grade(graders, lines, output="", cases=None):
    """The grades of all lines, and the summary."""
    with tempfile.TemporaryDirectory() as folder:
        task = f"hearth: 1\nid: peer\nprivacy: public\nprompt: x\nbar: 0.5\n{output}\ngraders: {json.dumps(graders)}\n"
        pathlib.Path(folder, "task.yaml").write_text(task)
        if cases:
            pathlib.Path(folder, "cases.jsonl").write_text("".join(json.dumps(c) + "\n" for c in cases))
        done = subprocess.run([HEARTH, "task", "grade", "--json", folder], capture_output=True,
                              input="".join(json.dumps(line) + "\n" for line in lines).encode())
        assert done.returncode == 0, done.stderr.decode()
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(out) == len(lines) + 1, (len(out), len(lines))
    return out[:-1], out[-1]["summary"]


def close(ours, theirs, what):
    assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12), f"{str(what)[:3000]}: ours {ours!r}, theirs {theirs!r}"


def similarities():
    rouge = RougeScorer(["rouge1", "rouge2", "rougeL"])
    chrf = {(c, w, b): CHRF(char_order=c, word_order=w, beta=b) for c, w, b in [(6, 0, 2), (6, 2, 2), (4, 1, 1)]}
    rows = []  # grader, its value by the package
    for name, key in (("rouge-1", "rouge1"), ("rouge-2", "rouge2"), ("rouge-l", "rougeL")):
        for measure, field in (("f1", "fmeasure"), ("precision", "precision"), ("recall", "recall")):
            rows.append(({"type": name, "threshold": 0, "measure": measure},
                         lambda e, a, scores, key=key, field=field: getattr(scores[key], field)))
    for (c, w, b), metric in chrf.items():
        rows.append(({"type": "chrf", "threshold": 0, "char_order": c, "word_order": w, "beta": b},
                     lambda e, a, scores, metric=metric: metric.sentence_score(a, [e]).score / 100))
    rows.append(({"type": "levenshtein", "threshold": 0},
                 lambda e, a, scores: Levenshtein.normalized_similarity(a, e)))
    samples = list(pairs())
    got, _ = grade([row[0] for row in rows], [{"expected": e, "answer": a} for e, a in samples])
    compared, malformed, above = 0, 0, collections.Counter()
    for (expected, answer), ours in zip(samples, got):
        e, a = seen(expected), seen(answer)
        if not a.strip(" \t\n\v\f\r"):
            assert ours["outcome"] == "malformed", (answer, ours)
            malformed += 1
            continue
        scores = rouge.score(e, a)
        for (settings, value), one in zip(rows, ours["graders"]):
            theirs = value(e, a, scores)
            close(one["score"], theirs, f"{settings} of {a[:200]!r} for {e[:200]!r}")
            compared += 1
            above[settings["type"]] += 0 < theirs < 1
    print(f"similarity: {compared} scores alike, {malformed} malformed, strictly between 0 and 1: {dict(above)}")
    assert min(above.values()) > PAIRS / 4, "too few scores that could prove anything"


def references():
    """Of several references the best one counts, as in score_multi and with sacrebleu's references."""
    r = random.Random(SEED)
    rouge, chrf = RougeScorer(["rougeL"]), CHRF()
    words = [word(r, ALPHABETS[:4]) for _ in range(12)]
    samples = [([seen(text(r, words, r.randint(1, 9))) for _ in range(r.randint(1, 4))], "x" + text(r, words, 6))
               for _ in range(200)]
    got, _ = grade([{"type": "rouge-l", "threshold": 0}, {"type": "chrf", "threshold": 0}],
                   [{"expected": e, "answer": a} for e, a in samples])
    for (e, a), ours in zip(samples, got):
        close(ours["graders"][0]["score"], rouge.score_multi(e, seen(a))["rougeL"].fmeasure, (e, a))
        close(ours["graders"][1]["score"], chrf.sentence_score(seen(a), e).score / 100, (e, a))
    print(f"references: {2 * len(samples)} scores alike")


def none_for_nan(v):
    return None if isinstance(v, float) and math.isnan(v) else float(v)


def alike(ours, theirs, what):
    theirs = none_for_nan(theirs)
    assert (ours is None) == (theirs is None), f"{str(what)[:3000]}: ours {ours!r}, theirs {theirs!r}"
    if ours is not None:
        close(ours, theirs, what)


def labels():
    names = ["bug", "how-to", "billing", "never", "rare", "only-answered"]
    for round in range(30):
        r = random.Random(SEED * 100 + round)
        n = r.choice([1, 3, 10, 200])
        truth = [r.choice(names[:3] + (["rare"] if round % 3 else [])) for _ in range(n)]
        answers = [t if r.random() < .6 else r.choice(names[:3] + ["only-answered", "(none)", ""]) for t in truth]
        got, summary = grade([{"type": "label"}], [{"case": str(i), "answer": a} for i, a in enumerate(answers)],
                             f"output: {json.dumps({'kind': 'label', 'labels': names})}",
                             [{"id": str(i), "input": "x", "expected": t} for i, t in enumerate(truth)])
        predicted = [a if a in names else "(malformed)" for a in answers]
        table = summary["figures"][0]
        for average in ("macro", "micro"):
            theirs = f1_score(truth, predicted, labels=names, average=average, zero_division=np.nan)
            alike(table[f"{average}_f1"], theirs, (average, truth, predicted))
        p, rec, f, _ = precision_recall_fscore_support(truth, predicted, labels=names, zero_division=np.nan)
        for i, k in enumerate(table["labels"]):
            assert k["label"] == names[i] and k["tp"] + k["fn"] == truth.count(names[i])
            for ours, theirs in ((k["precision"], p[i]), (k["recall"], rec[i]), (k["f1"], f[i])):
                alike(ours, theirs, (names[i], truth, predicted))
        cells = collections.Counter((t, None if p == "(malformed)" else p) for t, p in zip(truth, predicted))
        assert {(c["expected"], c["answered"]): c["answers"] for c in table["confusion"]} == dict(cells)
        assert table["malformed"] == predicted.count("(malformed)") == summary["malformed"]
    print("labels: 30 suites alike")


def indicator(items, columns):
    """With a column that nothing has: scikit-learn takes one column alone for a single label."""
    return np.array([[c in row for c in columns] + [False] for row in items], dtype=int)


def fields():
    """A pair of a field and its value is a class of a multilabel problem; the sum over a field's classes is its own."""
    names, compared = ["name", "date", "seller.city", "total"], 0
    for round in range(20):
        r = random.Random(SEED * 100 + round)
        want, got = [], []
        for _ in range(r.choice([1, 5, 80])):
            e = {k: r.choice("pqr") for k in names if r.random() < .8}
            a = {k: v if r.random() < .7 else r.choice("pqrs") for k, v in e.items() if r.random() < .85}
            invented = ["name", "date", "total", "made-up", "other"]  # an invented object counts once, as a whole
            a.update({k: "q" for k in invented if k not in e and r.random() < .2})
            want.append(e)
            got.append(a if r.random() < .9 else None)
        lines = [{"case": str(i), "answer": nested(a) if a is not None else "no JSON"} for i, a in enumerate(got)]
        each, summary = grade([{"type": "json-fields", "fields": {k: {"type": "text"} for k in names}}], lines,
                              "output: {kind: json}",
                              [{"id": str(i), "input": "x", "expected": nested(e)} for i, e in enumerate(want)])
        table = summary["figures"][0]
        t, p = [set(e.items()) for e in want], [set((a or {}).items()) for a in got]
        for name in names + ["(other)", None]:
            mine = lambda k: name in (None, k) or (name == "(other)" and k not in names)
            columns = sorted({i for row in t + p for i in row if mine(i[0])})
            theirs = precision_recall_fscore_support(indicator(t, columns), indicator(p, columns), average="micro",
                                                     zero_division=np.nan)[:3] if columns else [math.nan] * 3
            row = {"precision": table["micro_precision"], "recall": table["micro_recall"], "f1": table["micro_f1"]}
            if name:
                row = next((k for k in table["fields"] if k["field"] == name), dict.fromkeys(row))
            for key, value in zip(("precision", "recall", "f1"), theirs):
                alike(row[key], value, (name, key, want, got))
                compared += 1
        for ours, te, pe, a in zip(each, t, p, got):
            if a is not None and te | pe:
                columns = sorted(te | pe)
                close(ours["score"], f1_score(indicator([te], columns)[0], indicator([pe], columns)[0]), (te, pe))
    print(f"fields: {compared} figures alike")


def nested(flat):
    out = {}
    for k, v in flat.items():
        at, *rest = k.split(".")
        if rest:
            out.setdefault(at, {})[rest[0]] = v
        else:
            out[at] = v
    return out


def lists():
    r = random.Random(SEED)
    items = [seen(word(r, ALPHABETS[1:6] + ALPHABETS[7:9])).casefold() for _ in range(14)]
    items = sorted({seen(i) for i in items if "\x00" not in i})
    samples = [([r.choice(items) for _ in range(r.randint(0, 8))], [r.choice(items) for _ in range(r.randint(0, 8))])
               for _ in range(300)]
    graders = [{"type": t, "measure": m} for t in ("set", "list") for m in ("f1", "precision", "recall")]
    graders.append({"type": "list", "ordered": True})
    got, _ = grade(graders, [{"expected": e, "answer": json.dumps(a)} for e, a in samples])
    bin = MultiLabelBinarizer(classes=items)
    for (e, a), ours in zip(samples, got):
        scores = [g["score"] for g in ours["graders"]]
        te, ta = bin.fit_transform([e]), bin.fit_transform([a])
        p, rec, f, _ = precision_recall_fscore_support(te, ta, average="samples", zero_division=0)
        both = sum((collections.Counter(e) & collections.Counter(a)).values())
        longest = common_subsequence(e, a)
        multi = [2 * both / (len(a) + len(e) or 1), both / (len(a) or 1), both / (len(e) or 1)]
        theirs = [f, p, rec] + multi + [2 * longest / (len(a) + len(e) or 1)] if e or a else [1] * 7
        for grader, x, y in zip(graders, scores, theirs):
            close(x, y, (grader, e, a))
    print(f"lists: {len(samples) * len(graders)} scores alike")


def common_subsequence(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(row[j], before[j + 1])
    return row[-1]


for part in (similarities, references, labels, fields, lists):
    begin = time.monotonic()
    part()
    print(f"  {time.monotonic() - begin:.1f} s")
