"""reference.py IN OUT [--grid]: an unquantised model made of a quantised file, as F16.

Every weight gets a seeded uniform dither of half a step either way, the step being that of its own block, so that the
grid it lay on is no longer to be seen: a weight is then as likely to lie here as there between two codes, as in a model
that was never quantised. --grid leaves the dither out: the weights lie exactly where the file has them.
Norms and other small tensors are kept, and so is the metadata.
"""
import argparse
import zlib

import gguf
import numpy as np

SEED = 20
KEPT = ("F32", "F16", "BF16")


def halves(blocks, at):
    """The F16 value at byte AT of each block, as a column."""
    return blocks[:, at:at + 2].copy().view(np.float16).astype(np.float32)


def k_scales(packed):
    """The eight scales of 6 bits among the 12 bytes of Q4_K and Q5_K."""
    low = packed[:, 0:4] & 63
    high = (packed[:, 8:12] & 15) | ((packed[:, 0:4] >> 6) << 4)
    return np.concatenate([low, high], axis=1).astype(np.float32)


# type -> (bytes of a block, its steps: one for each of the equal parts of the block)
STEPS = {
    "Q4_0": (18, lambda b: halves(b, 0)),
    "Q4_1": (20, lambda b: halves(b, 0)),
    "Q5_0": (22, lambda b: halves(b, 0)),
    "Q5_1": (24, lambda b: halves(b, 0)),
    "Q8_0": (34, lambda b: halves(b, 0)),
    "Q4_K": (144, lambda b: halves(b, 0) * k_scales(b[:, 4:16])),
    "Q5_K": (176, lambda b: halves(b, 0) * k_scales(b[:, 4:16])),
    "Q6_K": (210, lambda b: halves(b, 208) * b[:, 192:208].view(np.int8).astype(np.float32)),
}


def dithered(tensor, values, seed):
    size, steps_of = STEPS[tensor.tensor_type.name]
    steps = steps_of(np.ascontiguousarray(tensor.data).view(np.uint8).reshape(-1, size))
    rng = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    shift = rng.random(values.size, dtype=np.float32) - np.float32(0.5)
    parts = values.reshape(steps.size, -1)
    return (parts + shift.reshape(parts.shape) * steps.reshape(-1, 1)).reshape(values.shape)


def weights(tensor, grid, seed):
    """The tensor as it is written: F16 where it was quantised."""
    if tensor.tensor_type.name in KEPT:
        return tensor.data
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return (values if grid else dithered(tensor, values, seed)).astype(np.float16)


def copy_keys(reader, writer):
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=sub)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def make(source, target, grid=False, seed=SEED):
    """Writes TARGET, tensor by tensor: only one of them is in memory."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    copy_keys(reader, writer)
    for t in reader.tensors:
        kept = t.tensor_type.name in KEPT
        shape, dtype = [int(n) for n in reversed(t.shape)], t.data.dtype if kept else np.dtype(np.float16)
        writer.add_tensor_info(t.name, shape, dtype, t.n_bytes if kept else 2 * int(t.n_elements),
                               t.tensor_type if kept else gguf.GGMLQuantizationType.F16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for t in reader.tensors:
        writer.write_tensor_data(weights(t, grid, seed))
    writer.close()


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source", metavar="IN")
    p.add_argument("target", metavar="OUT")
    p.add_argument("--grid", action="store_true", help="no dither")
    o = p.parse_args()
    make(o.source, o.target, o.grid)
