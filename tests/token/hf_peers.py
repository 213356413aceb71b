"""The models' tokenizers as the Hugging Face `tokenizers` package has them, and random strings, for the tests here and in tests/chat."""
import json, os, random, struct, subprocess, unicodedata

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

BUILD = os.environ.get("HEARTH_BUILD", "build")
CACHE = os.environ.get("HEARTH_CACHE", "build/cache")
SMOLLM2 = f"{CACHE}/SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = f"{CACHE}/gemma-3-270m-q4_k_m.gguf"
GEMMA_OWN = f"{CACHE}/gemma3-tokenizer/tokenizer.json"
N = int(os.environ.get("HEARTH_HF_STRINGS", "10000"))
SEED = int(os.environ.get("HEARTH_SEED", "20240607"))
SPECIAL = 1


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


class Hearth:
    def __init__(self, path):
        self.p = subprocess.Popen([f"{BUILD}/tests/token/test_vocabs", "--serve", path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def __call__(self, text, flags):
        b = text.encode()
        self.p.stdin.write(struct.pack("<II", flags, len(b)) + b)
        self.p.stdin.flush()
        n, = struct.unpack("<I", self.read(4))
        ids = list(struct.unpack(f"<{n}i", self.read(4 * n)))
        m, = struct.unpack("<I", self.read(4))
        return ids, self.read(m).decode()  # strict: what comes out must be UTF-8

    def read(self, n):
        b = self.p.stdout.read(n)
        assert len(b) == n, "the test program ended"
        return b


def assigned(ranges):
    return [c for a, b in ranges for c in range(a, b + 1)
            if unicodedata.category(chr(c)) not in ("Cn", "Cs") and c not in NEWER]


# Python may know a later Unicode than 15.0: blocks assigned after it.
NEWER = {*range(0x2FFC, 0x3000), 0x31EF, *range(0x2EBF0, 0x2EE60)}
SCRIPTS = [assigned(r) for r in (
    [(0x20, 0x7E)], [(0x61, 0x7A)], [(0xA0, 0x24F)], [(0x370, 0x3FF)], [(0x400, 0x52F)], [(0x590, 0x5FF)],
    [(0x600, 0x6FF)], [(0x900, 0x97F)], [(0xE00, 0xE7F)], [(0x1100, 0x11FF)], [(0x3040, 0x30FF)], [(0x4E00, 0x9FFF)],
    [(0xAC00, 0xD7A3)], [(0x1F300, 0x1FAFF)], [(0x300, 0x36F)], [(0x2000, 0x206F)], [(0x2100, 0x23FF)],
    [(0xFF00, 0xFFEF)], [(0x660, 0x669), (0x966, 0x96F), (0x2460, 0x249B), (0xB2, 0xB3), (0x2160, 0x2188)],
    [(0, 0x1F), (0x7F, 0x9F)], [(0, 0xFFFF)], [(0x10000, 0x3FFFF)], [(0xE000, 0xE0FF), (0xE0000, 0xE01EF)])]
WORDS = ("the and of to language model hearth don't we'll I'm you've they're he'd it's DON'T WE'LL  "
         "naïve café Straße Ελλάδα привет мир שלום مرحبا नमस्ते สวัสดี 你好世界 こんにちは 안녕하세요 "
         "https://example.org/a?b=c&d=1 foo_bar fooBar x+=1; </div> \t 3.14159 1,000,000 ½ ④ ２０２４").split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u2028", "\x0b", "\x85", " \n ",
          "\n\n\n\n", "        "]
EMOJI = ["👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "❤️", "1️⃣", "🙂", "🧑🏿‍🚀", "🦙"]
MARKS = ["\u0301", "\u0308", "\u20dd", "\u093f", "\u0e34", "\u05b8", "\ufe0f", "\u200d"]


def piece(rnd, special):
    k = rnd.randrange(10)
    if k < 3:
        return rnd.choice(WORDS)
    if k == 3:
        s = rnd.choice(SCRIPTS)
        return "".join(chr(rnd.choice(s)) for _ in range(rnd.randint(1, 8)))
    if k == 4:
        return rnd.choice(SPACES) * rnd.choice((1, 1, 2, 3, 40))
    if k == 5:
        return "".join(rnd.choice("0123456789") for _ in range(rnd.randint(1, 9)))
    if k == 6:
        return rnd.choice(EMOJI) * rnd.randint(1, 2)
    if k == 7:
        return rnd.choice("aeo漢क") + rnd.choice(MARKS) * rnd.randint(1, 3)
    if k == 8 and rnd.random() < 0.3:
        return rnd.choice(special)
    if k == 8:
        return rnd.choice(["'s", "'t", "'RE", "'ll", "'", "''", "\"", "...", "!!!", "--", "▁", "Ġ", "<", ">", "|"])
    return " " + rnd.choice(WORDS)


def random_texts(name, n, special):
    rnd = random.Random(f"{SEED}/{name}")
    return ["".join(piece(rnd, special) for _ in range(rnd.randint(1, 12))) for _ in range(n)]
