#!/usr/bin/env python3
"""Records what other implementations say of fixed data in golden_table.h, which the tests of src/stat compare with.

    python -m venv V; V/bin/pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1 ppi-python==0.2.3
    git clone https://github.com/gostevehoward/confseq    (70b1ef3; only its Python part is used, nothing is compiled)
    V/bin/python tests/stat/record_golden.py confseq/src > tests/stat/golden_table.h

The tests themselves need none of these.
"""
import sys
import types

import numpy as np

np.float_ = np.float64  # confseq was written for NumPy 1
for absent in ("matplotlib", "matplotlib.pyplot", "multiprocess"):
    sys.modules[absent] = types.ModuleType(absent)
sys.path.insert(0, sys.argv[1])

import statsmodels.api as sm  # noqa: E402
from confseq.betting import betting_mart  # noqa: E402
from confseq.predmix import lambda_predmix_eb  # noqa: E402
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate  # noqa: E402
from scipy import optimize, stats  # noqa: E402
from sklearn.calibration import calibration_curve  # noqa: E402
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score  # noqa: E402
from statsmodels.stats.inter_rater import cohens_kappa  # noqa: E402
from statsmodels.stats.multitest import multipletests  # noqa: E402

rng = np.random.default_rng(20240607)


def number(x):
    return repr(float(x)) if isinstance(x, (float, np.floating)) else str(int(x))


def array(name, values, kind="double"):
    flat = [number(v) for v in np.asarray(values).ravel()]
    lines, line = [], ""
    for v in flat:
        if len(line) + len(v) > 110:
            lines.append(line)
            line = ""
        line += v + ", "
    lines.append(line)
    print(f"static const {kind} {name}[{len(flat)}] = {{")
    print("\n".join("    " + text.rstrip() for text in lines) + "\n};")


def student():
    """p, degrees of freedom, quantile"""
    rows = [(p, f, stats.t.ppf(p, f)) for p in (.001, .025, .4, .5, .9, .975) for f in (1, 2, 7.5, 29, 1000)]
    array("student_rows", [v for row in rows for v in row])


def clusters():
    """Graded differences of 30 documents of 1 to 5 items, and 40 skewed scores without clusters."""
    sizes = rng.integers(1, 6, 30)
    effect = rng.normal(-.03, .2, 30)
    x = np.concatenate([np.clip(np.round(effect[c] + rng.normal(0, .25, sizes[c]), 2), -1, 1) for c in range(30)])
    ids = np.repeat(np.arange(30), sizes)
    scores = np.round(rng.beta(4, .7, 40), 2)
    for name, values, cluster in (("documents", x, ids), ("scores", scores, np.arange(40))):
        k = cluster.max() + 1
        sums, counts = np.bincount(cluster, values, k), np.bincount(cluster, minlength=k).astype(float)
        fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": cluster})
        array(name, values)
        if name == "documents":
            array("documents_cluster", cluster, "uint32_t")
        row = [fit.params[0], fit.bse[0], *fit.conf_int()[0]]
        for method in ("percentile", "BCa"):
            b = stats.bootstrap((sums, counts), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True,
                                n_resamples=400000, batch=20000, vectorized=True, method=method, rng=7)
            row += [b.confidence_interval.low, b.confidence_interval.high]
        print(f"/* mean, error, z interval; percentile and BCa intervals of 400,000 resamples: {name} */")
        array(name + "_said", row)


def judge():
    n, m = 150, 40
    truth = rng.random(n + m) < .7
    judged = np.where(rng.random(n + m) < .85, truth, ~truth).astype(float)
    human, judge_, rest = truth[:m].astype(float), judged[:m], np.round(.8 * judged[m:] + .1 * rng.random(n), 3)
    array("ppi_judged", rest)
    array("ppi_human", human)
    array("ppi_judge", judge_)
    low, high = ppi_mean_ci(human, judge_, rest, alpha=.05, lam=1)
    print("/* ppi-python with lam = 1: estimate and interval; it divides by n and m in the variances, not by n - 1 */")
    array("ppi_said", [float(np.ravel(ppi_mean_pointestimate(human, judge_, rest, lam=1))[0]), float(np.ravel(low)[0]),
                       float(np.ravel(high)[0])])


def f1_of(p):
    used = p.sum(0) + p.sum(1)
    return np.mean([2 * p[c, c] / used[c] for c in range(len(p)) if used[c] > 0])


def f1_error(m):
    """The delta method with gradients by central differences; the multinomial covariance in full."""
    n, h = m.sum(), 1e-6
    p = m / n
    gradient = np.zeros(p.shape)
    for at in np.argwhere(p > 0):
        step = np.zeros(p.shape)
        step[tuple(at)] = h * p[tuple(at)]
        gradient[tuple(at)] = (f1_of(p + step) - f1_of(p - step)) / (2 * step[tuple(at)])
    g, q = gradient.ravel(), p.ravel()
    return np.sqrt((np.sum(q * g * g) - np.sum(q * g) ** 2) / n)


def confusion():
    """k, the matrix; agreement, kappa, its error, macro-F1, its error"""
    matrices = [np.array([[20, 5], [10, 15]]), np.array([[31, 2, 4], [3, 40, 1], [0, 6, 13]]),
                np.array([[9, 1, 0, 0, 2], [0, 5, 0, 0, 0], [1, 0, 3, 0, 0], [0, 0, 0, 0, 0], [2, 0, 1, 0, 30]])]
    counts, said = [], []
    for m in matrices:
        first, second = np.repeat(np.indices(m.shape).reshape(2, -1), m.ravel(), axis=1)
        result = cohens_kappa(m[np.ix_(m.sum(0) + m.sum(1) > 0, m.sum(0) + m.sum(1) > 0)])
        assert abs(result.kappa - cohen_kappa_score(first, second)) < 1e-12
        counts += [len(m), *m.ravel()]
        said += [np.mean(first == second), result.kappa, result.std_kappa, f1_score(first, second, average="macro"),
                 f1_error(m)]
    array("confusion_counts", counts, "uint64_t")
    array("confusion_said", said)


def delong(confidence, correct):
    """By mid-ranks (Sun and Xu 2014), not by comparing pairs."""
    x, y = confidence[correct], confidence[~correct]
    ranks = stats.rankdata(np.concatenate([x, y]))
    v10 = (ranks[:len(x)] - stats.rankdata(x)) / len(y)
    v01 = 1 - (ranks[len(x):] - stats.rankdata(y)) / len(x)
    return np.mean(v10), np.sqrt(np.var(v10, ddof=1) / len(x) + np.var(v01, ddof=1) / len(y))


def confidence():
    c = np.round(np.minimum(np.round(rng.beta(3, 1.2, 120), 2), .99) + .005, 3)  # ties, and none on the edge of a bin
    correct = rng.random(120) < c ** 1.5
    area, error = delong(c, correct)
    assert abs(area - roc_auc_score(correct, c)) < 1e-12
    array("sure", c)
    array("sure_correct", correct, "bool")
    right, mean = calibration_curve(correct, c, n_bins=10)
    which = np.minimum((c * 10).astype(int), 9)
    filled = np.unique(which)
    share = np.array([np.mean(which == b) for b in filled])
    assert len(filled) == len(right)
    print("/* AUROC and its error, expected calibration error of 10 bins; then of each bin that is not empty: bin, accuracy,")
    print(" * mean confidence (scikit-learn's calibration_curve) */")
    array("sure_said", [area, error, np.sum(share * np.abs(right - mean))])
    array("sure_bins", [float(v) for row in zip(filled, right, mean) for v in row])


def needs():
    """wrong, error, alpha, the least number accepted whose Clopper-Pearson bound is within the error"""
    rows = []
    for wrong, error, alpha in ((0, .05, .05), (1, .05, .05), (2, .05, .05), (0, .1, .1), (3, .02, .01), (7, .3, .2)):
        n = next(n for n in range(wrong + 1, 10000) if stats.beta.ppf(1 - alpha, wrong + 1, n - wrong) <= error)
        rows += [float(wrong), error, alpha, float(n)]
    array("needs_rows", rows)


def multiplicity():
    p = [.011, .04, .003, .25, .011, .9, .0301]
    array("p_values", p)
    array("p_holm", multipletests(p, method="holm")[1])
    array("p_bonferroni", multipletests(p, method="bonferroni")[1])


def tango(w, t, l, d):
    """The score statistic with the constrained likelihood maximised numerically over q = P(only the other is right)."""
    n = w + t + l

    def minus_log(q):
        terms = ((w, q + d), (t, 1 - 2 * q - d), (l, q))
        return -sum(k * np.log(max(p, 1e-300)) for k, p in terms if k)

    low, high = max(0, -d), (1 - d) / 2
    best = optimize.minimize_scalar(minus_log, bounds=(low, high), method="bounded", options={"xatol": 1e-13})
    ends = [low + 1e-15, high - 1e-15, best.x]
    q = min(ends, key=minus_log)
    variance = n * (2 * q + d - d * d)
    return (w - l - n * d) / np.sqrt(variance)


def power():
    """n, psi, difference, margin, power at alpha .05: all outcomes enumerated"""
    rows = []
    for n, psi, difference, margin in ((12, .3, 0, .2), (25, .19, 0, .1), (25, .3, -.1, .1), (40, .1, .02, .1)):
        win, lose = (psi + difference) / 2, (psi - difference) / 2
        total = 0
        for w in range(n + 1):
            for l in range(n + 1 - w):
                if tango(w, n - w - l, l, -margin) > stats.norm.isf(.05):
                    total += stats.multinomial.pmf([w, n - w - l, l], n, [win, 1 - psi, lose])
        rows += [float(n), psi, difference, margin, total]
    array("power_rows", rows)


def eprocess():
    """w, t, l, margin, log E as the mean of 24 of confseq's betting martingales with constant bets"""
    rows = []
    for w, t, l, margin in ((12, 60, 5, .1), (3, 20, 9, .05), (0, 60, 0, .1), (20, 10, 4, 0.)):
        d = np.array([1.] * w + [0.] * t + [-1.] * l)
        ends = []
        for g in range(24):
            bet = 2 * .98 * (g + .5) / 24 / (1 - margin)
            ends.append(betting_mart((d + 1) / 2, (1 - margin) / 2, theta=1, m_trunc=True, trunc_scale=1,
                                     lambdas_fn_positive=lambda x, m: np.repeat(bet, len(x)))[-1])
        rows += [float(w), float(t), float(l), margin, np.log(np.mean(ends))]
    array("confseq_pairs", rows)


def mean_interval():
    """The hedged betting interval: confseq's capital, its ends by bisection instead of a grid."""
    x = np.round(rng.beta(2, 1, 60), 2)

    def bets(values, m):
        return lambda_predmix_eb(values, alpha=.025, fixed_n=len(values), truncation=np.inf)

    def rejected(values, m):
        return np.max(betting_mart(values, m, theta=1, lambdas_fn_positive=bets, m_trunc=True,
                                   trunc_scale=.5)) >= 40

    ends = []
    for values in (x, 1 - x):
        low, high = 1e-9, 1.
        for _ in range(50):
            mid = (low + high) / 2
            low, high = (mid, high) if rejected(values, mid) else (low, mid)
        ends.append(low)
    array("betting_scores", x)
    array("betting_said", [ends[0], 1 - ends[1]])


print("/* Written by record_golden.py, which says with what; not by hand. */")
print("#ifndef TESTS_STAT_GOLDEN_TABLE_H\n#define TESTS_STAT_GOLDEN_TABLE_H\n\n#include <stdbool.h>\n#include <stdint.h>\n")
for part in (student, clusters, judge, confusion, confidence, needs, multiplicity, power, eprocess, mean_interval):
    part()
    print()
print("#endif")
