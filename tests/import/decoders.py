"""Decoders as Hugging Face keeps them, for the tests of `hearth import`: folders of random weights, and folders made back out
of GGUF files by the definitions of both formats (src/import is not used)."""
import json
import re
import struct

import gguf
import numpy as np

LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_qkv": "self_attn.qkv_proj", "attn_q_norm": "self_attn.q_norm",
         "attn_k_norm": "self_attn.k_norm", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
TWO_NORMS = {"ffn_norm": "post_attention_layernorm"}
FOUR_NORMS = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
              "post_ffw_norm": "post_feedforward_layernorm"}
MODEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hf_name(name, arch):
    m = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", name)
    if m[1] is None:
        return f"{MODEL[m[2]]}.{m[3]}"
    table = LAYER | (FOUR_NORMS if arch.startswith("gemma") else TWO_NORMS)
    if arch == "phi3":
        table = table | {"ffn_up": "mlp.gate_up_proj"}
    return f"model.layers.{m[1]}.{table[m[2]]}.{m[3]}"


def halves(value, heads):
    """Rows in the order of llama.cpp's files (what rope turns together lies side by side) -> as Hugging Face has them."""
    shape = value.shape
    return value.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def to_hf(name, value, arch, heads, kv_heads):
    """One tensor of a GGUF file, in F32, as Hugging Face has it."""
    if arch in ("llama", "mistral") and ".attn_q." in name:
        return halves(value, heads)
    if arch in ("llama", "mistral") and ".attn_k." in name:
        return halves(value, kv_heads)
    return value - np.float32(1) if arch.startswith("gemma") and name.endswith("norm.weight") else value


def bf16(x):
    return (np.ascontiguousarray(x, "<f4").view("<u4") >> 16).astype("<u2")


def encode(x, dtype):
    return bf16(x) if dtype == "BF16" else x.astype({"F32": "<f4", "F16": "<f2"}[dtype])


def rounded(x, dtype):
    return (bf16(x).astype("<u4") << 16).view("<f4") if dtype == "BF16" else encode(x, dtype).astype("<f4")


def write_safetensors(path, tensors, dtype):
    """tensors: [(name, float32)]; vectors stay in F32, as norms often do."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, v in tensors:
        kind = dtype if v.ndim == 2 else "F32"
        size = v.size * (4 if kind == "F32" else 2)
        header[name] = dict(dtype=kind, shape=list(v.shape), data_offsets=[at, at + size])
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, v in tensors:
            encode(v, dtype if v.ndim == 2 else "F32").tofile(f)


def write_folder(folder, config, weights, dtype="F32", shards=1, **texts):
    """texts: tokenizer.json etc., by names with _ for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"config.json": config} | {k.replace("__", "."): v for k, v in texts.items()}
    for name, v in files.items():
        if v is not None:
            data = v if isinstance(v, bytes) else (v if isinstance(v, str) else json.dumps(v)).encode()
            (folder / name).write_bytes(data)
    items = list(weights.items())
    if shards == 1:
        write_safetensors(folder / "model.safetensors", items, dtype)
        return folder
    index = {}
    for i in range(shards):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = items[i::shards]
        write_safetensors(folder / name, part, dtype)
        index |= {k: name for k, _ in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder


NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}


class File:
    """A GGUF file: keys (arrays of numbers as NumPy arrays, texts as str) and tensors. Some ten times faster than GGUFReader,
    which matters for vocabularies."""

    def __init__(self, path):
        self.data = memoryview(np.memmap(path, np.uint8, "r"))
        self.at, self.keys, self.places = 24, {}, {}
        n_tensors, n_keys = struct.unpack_from("<QQ", self.data, 8)
        for _ in range(n_keys):
            name = self.text()
            kind, n = self.number("<I"), 1
            if kind == 9:
                kind, n = self.number("<I"), self.number("<Q")
                self.keys[name] = self.array(kind, n)
            else:
                self.keys[name] = self.text() if kind == 8 else self.array(kind, 1)[0].item()
        for _ in range(n_tensors):
            name = self.text()
            shape = [self.number("<Q") for _ in range(self.number("<I"))][::-1]
            self.places[name] = gguf.GGMLQuantizationType(self.number("<I")), shape, self.number("<Q")
        self.base = -(-self.at // 32) * 32

    def number(self, form):
        self.at += struct.calcsize(form)
        return struct.unpack_from(form, self.data, self.at - struct.calcsize(form))[0]

    def text(self):
        n = self.number("<Q")
        self.at += n
        return str(self.data[self.at - n:self.at], "utf-8")

    def array(self, kind, n):
        if kind == 8:
            return [self.text() for _ in range(n)]
        out = np.frombuffer(self.data, NUMBERS[kind], n, self.at)
        self.at += out.nbytes
        return out

    def type(self, name):
        return self.places[name][0].name

    def tensor(self, name):
        """float32"""
        kind, shape, offset = self.places[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        rows, row = int(np.prod(shape[:-1])), shape[-1] // block * size
        raw = np.frombuffer(self.data, np.uint8, rows * row, self.base + offset).reshape(rows, row)
        return gguf.quants.dequantize(raw, kind).reshape(shape)


def of_gguf(file, wanted):
    """Hugging Face's names -> float32, of the tensors whose names are wanted."""
    arch = file.keys["general.architecture"]
    heads, kv = file.keys[f"{arch}.attention.head_count"], file.keys[f"{arch}.attention.head_count_kv"]
    return {hf_name(n, arch): to_hf(n, file.tensor(n), arch, heads, kv) for n in file.places if wanted(n)}


def smollm2_tokenizer(file):
    tokens, types = file.keys["tokenizer.ggml.tokens"], file.keys["tokenizer.ggml.token_type"]
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, (t, k) in enumerate(zip(tokens, types)) if k == 3]
    steps = [dict(type="Digits", individual_digits=True),
             dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)]
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
                pre_tokenizer=dict(type="Sequence", pretokenizers=steps), post_processor=None,
                decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
                model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                           end_of_word_suffix=None, fuse_unk=False, byte_fallback=False, ignore_merges=False,
                           vocab={t: i for i, t in enumerate(tokens)}, merges=file.keys["tokenizer.ggml.merges"]))


def smollm2(file):
    """config.json, tokenizer.json, tokenizer_config.json"""
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", attention_bias=False, mlp_bias=False,
                  bos_token_id=1, eos_token_id=2, pad_token_id=2, hidden_act="silu", hidden_size=576,
                  intermediate_size=1536, max_position_embeddings=8192, num_attention_heads=9, num_hidden_layers=30,
                  num_key_value_heads=3, pretraining_tp=1, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=100000,
                  rope_interleaved=False, tie_word_embeddings=True, vocab_size=49152, torch_dtype="bfloat16")
    words = dict(add_prefix_space=False, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>",
                 pad_token="<|im_end|>", chat_template=file.keys["tokenizer.chat_template"],
                 tokenizer_class="GPT2Tokenizer")
    return config, smollm2_tokenizer(file), words


# ---- tiny models of random weights ----

BASE = dict(vocab_size=600, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=5000.0, hidden_act="silu",
            tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
GEMMA = dict(head_dim=16, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=16, sliding_window=8,
             tie_word_embeddings=None, hidden_act=None)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LONGROPE = dict(type="longrope", short_factor=[1.0, 1.5, 2.0, 3.0], long_factor=[1.0, 2.0, 4.0, 8.0])
TINY = {
    "llama": ("LlamaForCausalLM", dict(rope_scaling=LLAMA3, attention_bias=True, mlp_bias=True)),
    "mistral": ("MistralForCausalLM", dict(sliding_window=8)),
    "qwen2": ("Qwen2ForCausalLM", dict(rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=64),
                                       use_sliding_window=False, sliding_window=16)),
    "qwen3": ("Qwen3ForCausalLM", dict(head_dim=16, tie_word_embeddings=True)),
    "gemma2": ("Gemma2ForCausalLM", dict(GEMMA, attn_logit_softcapping=40.0, final_logit_softcapping=20.0)),
    "gemma3": ("Gemma3ForCausalLM", dict(GEMMA, rope_local_base_freq=2000.0, layer_types=[
        "sliding_attention", "full_attention", "sliding_attention"], rope_scaling=dict(rope_type="linear", factor=8.0))),
    "phi3": ("Phi3ForCausalLM", dict(rope_scaling=LONGROPE, original_max_position_embeddings=64, sliding_window=None)),
}


def tiny_config(arch, **more):
    name, extra = TINY[arch]
    c = BASE | dict(architectures=[name], model_type=arch) | extra | more
    return {k: v for k, v in c.items() if v is not None}


def shapes(arch, c):
    """llama.cpp's names -> the shapes that the weights have."""
    e, ff, v = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    head = c.get("head_dim", e // c["num_attention_heads"])
    q, kv = head * c["num_attention_heads"], head * c["num_key_value_heads"]
    out = {"token_embd.weight": (v, e), "output_norm.weight": (e,)}
    if not c.get("tie_word_embeddings", arch.startswith("gemma")):
        out["output.weight"] = (v, e)
    for i in range(c["num_hidden_layers"]):
        b = f"blk.{i}."
        mine = {"attn_norm.weight": (e,), "ffn_norm.weight": (e,), "attn_output.weight": (e, q), "ffn_down.weight": (e, ff)}
        if arch == "phi3":
            mine |= {"attn_qkv.weight": (q + 2 * kv, e), "ffn_up.weight": (2 * ff, e)}
        else:
            mine |= {"attn_q.weight": (q, e), "attn_k.weight": (kv, e), "attn_v.weight": (kv, e),
                     "ffn_gate.weight": (ff, e), "ffn_up.weight": (ff, e)}
        if arch == "qwen2" or c.get("attention_bias"):
            mine |= {"attn_q.bias": (q,), "attn_k.bias": (kv,), "attn_v.bias": (kv,)}
        if c.get("attention_bias"):
            mine["attn_output.bias"] = (e,)
        if c.get("mlp_bias"):
            mine |= {"ffn_gate.bias": (ff,), "ffn_up.bias": (ff,), "ffn_down.bias": (e,)}
        if arch in ("qwen3", "gemma3"):
            mine |= {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
        if arch.startswith("gemma"):
            mine |= {"post_attention_norm.weight": (e,), "post_ffw_norm.weight": (e,)}
        out |= {b + k: s for k, s in mine.items()}
    return out


def tiny_weights(arch, c, seed=1):
    """llama.cpp's names -> float32, as they are in a GGUF file."""
    rng = np.random.RandomState(seed)
    return {k: (rng.standard_normal(s) * (1 if len(s) == 1 else s[-1] ** -0.5)).astype(np.float32)
            for k, s in shapes(arch, c).items()}


def hf_weights(arch, c, weights):
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    return {hf_name(k, arch): to_hf(k, v, arch, heads, kv) for k, v in weights.items()}


def byte_alphabet():
    """GPT-2's character of each byte."""
    plain = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) if b in plain else chr(256 + others.index(b)) for b in range(256)}


def tiny_tokenizer(**more):
    """Byte-level BPE as Llama 3 has it, of 256 bytes, some merges and special tokens."""
    regex = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
             r"\s*[\r\n]+|\s+(?!\S)|\s+")
    special = ["<|endoftext|>", "<|begin|>", "<|end|>"]
    texts = special + sorted(byte_alphabet().values())
    merges = ["t h", "th e", "Ġ the", "i n", "Ġ a", "e r", "Ġa n", "Ġan d", "1 2", "12 3"]
    texts += [m.replace(" ", "") for m in merges]
    bos = dict(type="TemplateProcessing", single=[{"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                                                  {"Sequence": {"id": "A", "type_id": 0}}], pair=[],
               special_tokens={"<|begin|>": dict(id="<|begin|>", ids=[1], tokens=["<|begin|>"])})
    bytes_of = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    split = dict(type="Split", pattern=dict(Regex=regex), behavior="Isolated", invert=False)
    added = [dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
             for i, t in enumerate(special)]
    added.append(dict(added[0], id=len(texts), content="<tool>", special=False))
    t = dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
             pre_tokenizer=dict(type="Sequence", pretokenizers=[split, bytes_of]),
             post_processor=dict(type="Sequence", processors=[bytes_of, bos]), decoder=dict(bytes_of, use_regex=True),
             model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                        fuse_unk=False, byte_fallback=False, ignore_merges=True,
                        vocab={t: i for i, t in enumerate(texts)}, merges=[m.split(" ") for m in merges]))
    t.update(more)
    return t


WORDS = dict(bos_token="<|begin|>", eos_token=dict(content="<|end|>"), chat_template="{{ messages[0]['content'] }}")
