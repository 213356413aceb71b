"""The weights of the one ONNX file that the tests read, by rules of their own: biases, norms, eight-bit embeddings, four-bit
products named by the bias that is added to them. The file is trusted; src/import is not used."""

import numpy as np


def fields(data):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            n = {1: 8, 5: 4}.get(tag & 7) or varint()
            yield tag >> 3, data[at:at + n]
            at += n


def tensor(message):
    dims, kind, name, raw, floats, ints = [], 0, "", b"", b"", b""
    for number, value in fields(message):
        if number == 1:
            dims.append(value)
        kind = value if number == 2 else kind
        floats = value if number == 4 else floats
        ints = value if number == 5 else ints
        name = bytes(value).decode() if number == 8 else name
        raw = value if number == 9 else raw
    if kind == 1:
        return name, np.frombuffer(raw or floats or b"\0" * 4, "<f4").reshape(dims)
    if kind in (2, 3):
        return name, np.frombuffer(raw or ints[:1], "u1" if kind == 2 else "i1").reshape(dims)
    return name, None


def weights(path):
    graph = next(v for n, v in fields(memoryview(path.read_bytes())) if n == 7)
    tensors = dict(tensor(v) for n, v in fields(graph) if n == 5)
    nodes = []
    for n, v in fields(graph):
        if n == 1:
            f = list(fields(v))
            text = lambda k: [bytes(x).decode() for m, x in f if m == k]
            nodes.append((text(4)[0], text(1), text(2)))
    bias_of = {i: b for op, inputs, _ in nodes if op == "Add" for i, b in (inputs, inputs[::-1]) if b in tensors}
    out = {k: v for k, v in tensors.items() if k.endswith(".bias") or "LayerNorm" in k}
    for name, codes in tensors.items():
        if name.endswith("_quantized"):
            stem = name.removesuffix("_quantized")
            zero = tensors[stem + "_zero_point"].astype(np.float32)
            out[stem] = (codes.astype(np.float32) - zero) * tensors[stem + "_scale"]
    for op, inputs, outputs in nodes:
        if op == "MatMulNBits":
            codes, scales = tensors[inputs[1]], tensors[inputs[2]]
            both = np.stack([codes & 15, codes >> 4], -1).reshape(codes.shape[0], codes.shape[1], -1)
            value = (both.astype(np.float32) - 8) * scales.reshape(*both.shape[:2], 1)
            out[bias_of[outputs[0]].removesuffix("bias") + "weight"] = value.reshape(codes.shape[0], -1)
    return out
