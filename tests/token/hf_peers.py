"""The models' tokenizers as the Hugging Face `tokenizers` package has them, for test_hf.py and tests/chat."""
import json, os

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

BUILD = os.environ.get("HEARTH_BUILD", "build")
CACHE = os.environ.get("HEARTH_CACHE", "build/cache")
SMOLLM2 = f"{CACHE}/SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = f"{CACHE}/gemma-3-270m-q4_k_m.gguf"
GEMMA_OWN = f"{CACHE}/gemma3-tokenizer/tokenizer.json"


def strings_of(reader, key):
    f = reader.fields[key]
    return [bytes(f.parts[i]).decode() for i in f.data]


def smollm2(path):
    r = gguf.GGUFReader(path)
    tokens = strings_of(r, "tokenizer.ggml.tokens")
    merges = [tuple(m.split(" ")) for m in strings_of(r, "tokenizer.ggml.merges")]
    types = r.fields["tokenizer.ggml.token_type"].contents()
    t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=merges))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, normalized=False) for s, k in zip(tokens, types) if k == 3])
    return t, [s for s, k in zip(tokens, types) if k == 3]


def gemma3(path, model):
    """Which added tokens are special is not the same in tokenizer.json and in the file: the file's view counts."""
    r = gguf.GGUFReader(model)
    types = r.fields["tokenizer.ggml.token_type"].contents()
    with open(path, encoding="utf-8") as f:
        j = json.load(f)
    j["added_tokens"] = [a | {"special": types[a["id"]] == 3} for a in j["added_tokens"] if a["id"] < len(types)]
    special = [a["content"] for a in j["added_tokens"] if a["special"] and "unused" not in a["content"]]
    return Tokenizer.from_str(json.dumps(j)), special + ["<unused7>", "[multimodal]", "<start_of_image>"]
