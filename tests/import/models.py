"""A small BERT of random weights in the formats that `hearth import` reads: safetensors and ONNX, written here from their
specifications."""
import json
import struct

import numpy as np

EMBD, FF, LAYERS, HEADS, POSITIONS, CLASSES = 64, 96, 2, 4, 40, 3
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "sat", "é", "##é", ",", "日", "##", "▁x"]
VOCAB = len(TOKENS) + 3  # the model may have rows that no token has


def weights(seed=1):
    """Hugging Face's names -> float32."""
    rng = np.random.RandomState(seed)
    shapes = {"embeddings.word_embeddings.weight": (VOCAB, EMBD),
              "embeddings.position_embeddings.weight": (POSITIONS, EMBD),
              "embeddings.token_type_embeddings.weight": (2, EMBD)}

    def linear(name, rows, cols):
        shapes[name + ".weight"], shapes[name + ".bias"] = (rows, cols), (rows,)

    def norm(name):
        shapes[name + ".weight"], shapes[name + ".bias"] = (EMBD,), (EMBD,)

    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        b = f"encoder.layer.{i}."
        for k in ("query", "key", "value"):
            linear(b + "attention.self." + k, EMBD, EMBD)
        linear(b + "attention.output.dense", EMBD, EMBD)
        norm(b + "attention.output.LayerNorm")
        linear(b + "intermediate.dense", FF, EMBD)
        linear(b + "output.dense", EMBD, FF)
        norm(b + "output.LayerNorm")
    linear("classifier", CLASSES, EMBD)
    return {k: rng.standard_normal(s).astype(np.float32) for k, s in shapes.items()}


def config(tagger=False, **more):
    c = dict(model_type="bert", architectures=["BertModel"], hidden_act="gelu", hidden_size=EMBD, intermediate_size=FF,
             num_hidden_layers=LAYERS, num_attention_heads=HEADS, max_position_embeddings=POSITIONS, type_vocab_size=2,
             vocab_size=VOCAB, layer_norm_eps=1e-12)
    if tagger:
        c.update(architectures=["BertForTokenClassification"], id2label={"0": "O", "1": "B-X", "2": "I-X"})
    c.update(more)
    return c


def tokenizer(**more):
    t = dict(normalizer=dict(type="BertNormalizer", lowercase=True, clean_text=True, handle_chinese_chars=True,
                             strip_accents=None),
             model=dict(type="WordPiece", continuing_subword_prefix="##", max_input_chars_per_word=100,
                        vocab={t: i for i, t in enumerate(TOKENS)}),
             added_tokens=[dict(id=i, content=t, special=True) for i, t in enumerate(TOKENS[:5])])
    t.update(more)
    return t


DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}


def bf16(x):
    return (x.astype("<f4").view("<u4") >> 16).astype("<u2")


def safetensors(w, dtype="F32", others=()):
    """others: (name, dtype, array) beside."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    entries = [(k, dtype if v.ndim == 2 else "F32", v) for k, v in w.items()] + list(others)
    for name, kind, v in entries:
        body = bf16(v).tobytes() if kind == "BF16" else v.astype(DTYPES[kind]).tobytes()
        header[name] = dict(dtype=kind, shape=list(v.shape), data_offsets=[len(data), len(data) + len(body)])
        data += body
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# ---- ONNX: protocol buffers by hand ----

def varint(v):
    out = b""
    while v > 127:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, array, typed=False):
    kind = {"float32": 1, "uint8": 2, "int8": 3, "int64": 7, "float16": 10}[array.dtype.name]
    out = b"".join(field(1, d) for d in array.shape) + field(2, kind) + field(8, name)
    if not typed:
        return field(5, out + field(9, array.tobytes()))
    scalar = field(4, array.tobytes()) if kind == 1 else field(5, varint(int(array) & (1 << 64) - 1))
    return field(5, out + scalar)


def node(op, inputs, output, **attributes):
    out = b"".join(field(1, i) for i in inputs) + field(2, output) + field(3, "/" + output) + field(4, op)
    for k, v in attributes.items():
        out += field(5, field(1, k) + field(3, v) + field(20, 2))
    return field(1, out)


def quantise4(w, block=16):
    """codes [rows][blocks][block / 2], scales [rows][blocks], and the weights that they stand for"""
    rows, cols = w.shape
    blocks = -(-cols // block)
    x = np.zeros((rows, blocks * block), np.float32)
    x[:, :cols] = w
    x = x.reshape(rows, blocks, block)
    scales = (np.abs(x).max(-1) / 7).astype(np.float32)
    codes = np.clip(np.rint(x / scales[..., None]) + 8, 0, 15).astype(np.uint8)
    back = ((codes.astype(np.float32) - 8) * scales[..., None]).reshape(rows, -1)[:, :cols]
    return (codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8), scales, back


def onnx(w, products="float", prefix="bert."):
    """products: float (MatMul by a transposed matrix) or nbits4. Embeddings: with nbits4 eight bits. Also what it means."""
    body, meant = b"", {}
    for name, v in w.items():
        full = name if name.startswith("classifier") else prefix + name
        if name.endswith("bias") or "LayerNorm" in name:
            body += tensor(full, v)
            meant[name] = v
        elif "embeddings" in name and products == "float":
            body += tensor(full, v)
            meant[name] = v
        elif "embeddings" in name:
            signed = "type" in name
            scale, zero = np.float32(np.abs(v).max() / 127), np.int8(-3) if signed else np.uint8(128)
            codes = np.clip(np.rint(v / scale) + int(zero), -128 if signed else 0, 127 if signed else 255)
            body += tensor(full + "_quantized", codes.astype(zero.dtype)) + tensor(full + "_scale", np.array(scale), True)
            body += tensor(full + "_zero_point", np.array(zero), not signed)
            meant[name] = (codes.astype(np.float32) - np.float32(zero)) * scale
        else:
            number = f"onnx::MatMul_{len(meant)}"
            bias = full.removesuffix("weight") + "bias"
            if products == "float":
                body += tensor(number, np.ascontiguousarray(v.T))
                body += node("MatMul", [name + "_in", number], name + "_out")
                meant[name] = v
            else:
                codes, scales, meant[name] = quantise4(v)
                body += tensor(number + "_Q4", codes) + tensor(number + "_scales", scales)
                body += node("MatMulNBits", [name + "_in", number + "_Q4", number + "_scales"], name + "_out",
                             K=v.shape[1], N=v.shape[0], bits=4, block_size=16)
            body += node("Add", [bias, name + "_out"], name + "_sum")
    body += tensor("constant", np.array([1, 2], np.int64))
    body += node("MatMul", ["a", "b"], "scores")  # a product of two activations
    return field(1, 8) + field(2, "test") + field(7, body), meant
