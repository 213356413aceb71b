"""Decode and encode against the Python package gguf: every bit equal."""
import os
import subprocess
import sys

try:
    import numpy as np
    from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES, quants
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

TOOL = os.path.join(os.environ.get("HEARTH_BUILD", "build"), "tests/quant/test_codec")
SEED = 20240229
F16_FIELDS = {  # byte offsets of f16 fields in a block
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}
ENCODED = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4"]
failures = 0


def filter_(*args, data):
    return subprocess.run([TOOL, *map(str, args)], input=data.tobytes(), stdout=subprocess.PIPE, check=True).stdout


def same(name, ours, theirs, what):
    """Equal bits, where a NaN equals any NaN (numpy's own NaNs differ between machines)."""
    global failures
    a, b = np.frombuffer(ours, theirs.dtype).ravel(), theirs.ravel()
    assert a.size == b.size, (name, what, a.size, b.size)
    bits = {2: np.uint16, 4: np.uint32, 1: np.uint8}[a.dtype.itemsize]
    differ = a.view(bits) != b.view(bits)
    if a.dtype == np.float32:
        differ &= ~(np.isnan(a) & np.isnan(b))
    print(f"{name:7} {what}: {a.size} values, {int(differ.sum())} differ")
    if differ.any():
        i = int(np.argmax(differ))
        print(f"        first at {i}: ours {a[i]!r}, theirs {b[i]!r}")
        failures += 1


def random_blocks(rng, name, n):
    size = GGML_QUANT_SIZES[T[name]][1]
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    special = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0xBC00],
                       dtype="<u2")
    for at in F16_FIELDS[name]:
        bits = rng.integers(0, 0x10000, n).astype("<u2")
        bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0xBFFF, bits)  # finite
        pick = rng.random(n) < 0.4
        bits = np.where(pick, special[rng.integers(0, len(special), n)], bits).astype("<u2")
        blocks[:, at:at + 2] = bits.view(np.uint8).reshape(n, 2)
    if name == "MXFP4":
        blocks[:, 0] = np.where(rng.random(n) < 0.3, rng.choice([0, 1, 2, 254], n), rng.integers(0, 255, n))
    # extreme codes: whole blocks of zeros and ones around the scales
    for fill, rows in ((0, slice(0, 50)), (255, slice(50, 100))):
        keep = np.ones(size, bool)
        for at in F16_FIELDS[name] or [0]:
            keep[at:at + 2] = False
        blocks[rows, keep] = fill
    return blocks


def floats(rng, n):
    """Rows of 32: several scales, constant rows, zeros, one-sided, with signed zeros and ties."""
    x = rng.standard_normal((n, 32)).astype(np.float32)
    x *= np.exp2(rng.integers(-20, 12, (n, 1))).astype(np.float32)
    x[0:40] = 0
    x[40:80] = x[40:80, :1]
    x[80:120] = np.abs(x[80:120])
    x[120:160] = np.round(x[120:160] * 4) / 4
    x[160:200, ::3] = -0.0
    x[200:260] = rng.integers(-8, 8, (60, 32)) * np.float32(0.5)
    x[260:300] *= np.float32(1e-7)
    x[300:340] = np.nextafter(np.exp2(rng.integers(-10, 10, (40, 1))), 0).astype(np.float32) * np.where(
        rng.random((40, 32)) < 0.5, 1, -1)
    return np.ascontiguousarray(x, dtype=np.float32)


def positive_zero_min(data, name):
    """The smallest of -0 and +0 is whichever numpy's vector unit meets last; both decode alike."""
    blocks = np.frombuffer(data, np.uint8).reshape(-1, GGML_QUANT_SIZES[T[name]][1]).copy()
    blocks[(blocks[:, 2] == 0) & (blocks[:, 3] == 0x80), 3] = 0
    return blocks.tobytes()


def main():
    rng = np.random.default_rng(SEED)
    every = np.arange(0x10000, dtype="<u2")
    same("F16", filter_("decode", "F16", 1024, data=every), quants.dequantize(every.view(np.uint8), T.F16), "decode")
    same("BF16", filter_("decode", "BF16", 1024, data=every),
         quants.dequantize(every.view(np.uint8).reshape(-1, 2048), T.BF16), "decode")
    any_f32 = rng.integers(0, 1 << 32, 1 << 20, dtype=np.uint64).astype("<u4")
    same("F32", filter_("decode", "F32", 1024, data=any_f32), any_f32.view(np.float32), "decode")
    for name in F16_FIELDS:
        block = GGML_QUANT_SIZES[T[name]][0]
        blocks = random_blocks(rng, name, 4000)
        with np.errstate(all="ignore"):
            theirs = quants.dequantize(blocks, T[name])
        same(name, filter_("decode", name, block, data=blocks), theirs, "decode")
    x = floats(rng, 16384)
    finite = any_f32.view(np.float32)
    finite = finite[np.isfinite(finite)][:1 << 19]
    for name in ENCODED:
        with np.errstate(all="ignore"):
            rows = np.concatenate([x.reshape(-1), finite]).reshape(-1, 32) if name in ("F16", "BF16") else x
            theirs = quants.quantize(rows, T[name])
        ours, theirs = filter_("encode", name, 32, data=rows), np.ascontiguousarray(theirs).view(np.uint8)
        if name in ("Q4_1", "Q5_1"):
            ours, theirs = positive_zero_min(ours, name), np.frombuffer(positive_zero_min(theirs.tobytes(), name), np.uint8)
        same(name, ours, theirs, "encode")
    sys.exit(1 if failures else 0)


main()
