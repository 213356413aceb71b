#!/usr/bin/env python3
"""The intervals of money.h against a cluster bootstrap of numpy's: other random numbers, the same answer."""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

program = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")) / "tests/measure/test_money"
if not program.exists():
    print(f"{program} is not built")
    sys.exit(77)
rng = np.random.default_rng(7)


def ours(unit, x):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.writelines(f"{u} {v!r}\n" for u, v in zip(unit, map(float, x)))
        f.flush()
        out = subprocess.run([program, "interval", f.name], check=True, capture_output=True, text=True).stdout
    return [float(v) for v in out.split()]


def numpys(unit, x, resamples=20000):
    k = unit.max() + 1
    sums, counts = np.bincount(unit, x, k), np.bincount(unit, minlength=k)
    drawn = rng.integers(0, k, (resamples, k))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return means, np.quantile(means, [0.025, 0.975])


for n, k, skewed in ((60, 60, True), (200, 200, True), (200, 25, False), (1000, 120, True), (40, 20, False)):
    unit = np.sort(np.concatenate([np.arange(k), rng.integers(0, k, n - k)]))
    level = rng.normal(0, 0.3, k)[unit]  # cases of one cluster are alike
    x = 1e-4 * np.exp(rng.normal(0, 0.8 if skewed else 0.2, n) + level)
    mean, low, high = ours(unit, x)
    means, (want_low, want_high) = numpys(unit, x)
    assert abs(mean - x.mean()) < 1e-12 * x.mean(), (mean, x.mean())
    spread = means.std()  # an end of 4,000 resamples is itself uncertain by about 4 % of it
    assert abs(low - want_low) < 0.15 * spread and abs(high - want_high) < 0.15 * spread, (n, k, low, high, want_low)
    print(f"ok {n} answers in {k} clusters: {mean:.3e} [{low:.3e}, {high:.3e}], numpy [{want_low:.3e}, {want_high:.3e}]")
