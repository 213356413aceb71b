"""Ids of SmolLM2's and Gemma 3's vocabularies against the Hugging Face `tokenizers` package, on random strings.

SmolLM2: the Tokenizer is built from the file's own tokens and merges, with the pre-tokenisers that the model's
tokenizer.json names (single digits, then GPT-2's byte level). Gemma 3: the model's own tokenizer.json.
Strings: code points assigned in Unicode 15.0; scripts, emoji sequences, combining marks, runs of white space, digits,
contractions, texts of special tokens. Each string is encoded with and without special tokens.
N strings for each model: HEARTH_HF_STRINGS, default 10000. The seed is printed (HEARTH_SEED).
"""
import os, random, struct, subprocess, sys, unicodedata

try:
    from hf_peers import BUILD, CACHE, GEMMA, GEMMA_OWN, SMOLLM2, gemma3, smollm2
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

N = int(os.environ.get("HEARTH_HF_STRINGS", "10000"))
SEED = int(os.environ.get("HEARTH_SEED", "20240607"))
SPECIAL = 1


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


def compare(name, hearth, hf, special):
    rnd = random.Random(f"{SEED}/{name}")
    texts = ["".join(piece(rnd, special) for _ in range(rnd.randint(1, 12))) for _ in range(N)]
    bad = 0
    for flags in (SPECIAL, 0):
        hf.encode_special_tokens = not flags
        for text, want in zip(texts, hf.encode_batch_fast(texts, add_special_tokens=False)):
            got, back = hearth(text, flags)
            if got != want.ids:
                bad += 1
                if bad <= 10:
                    print(f"{name}, flags {flags}: {ascii(text)}\n  want {want.ids}\n  got  {got}")
            elif back != text and not lossy(hf, want.ids, text):
                bad += 1
                print(f"{name}: {ascii(text)} came back as {ascii(back)}")
    print(f"{name}: {N} strings, with and without special tokens, {bad} differ")
    return bad


def lossy(hf, ids, text):
    """Characters the vocabulary cannot express at all are lost in the peer too."""
    return hf.decode(ids, skip_special_tokens=False) != text


def main():
    print(f"seed {SEED}; tokenizers {__import__('tokenizers').__version__}")
    bad, ran = 0, 0
    if os.path.exists(SMOLLM2):
        bad += compare("SmolLM2", Hearth(SMOLLM2), *smollm2(SMOLLM2))
        ran += 1
    if os.path.exists(GEMMA) and os.path.exists(GEMMA_OWN):
        bad += compare("Gemma 3", Hearth(GEMMA), *gemma3(GEMMA_OWN, GEMMA))
        ran += 1
    if bad:
        return 1
    if ran < 2:
        print(f"{2 - ran} of 2 models or tokenizer.json are not in {CACHE}: they need the network once "
              "(tools/fetch smollm2 gemma gemma3-tokenizer)")
        return 77
    return 0


sys.exit(main())
