"""Pre-tokenisers against the `tokenizers` package, which runs the patterns of the models' tokenizer.json files in another
regular-expression engine, on random strings (HEARTH_HF_STRINGS / 5 for each, default 2000)."""
import struct, subprocess, sys

try:
    from tokenizers import Regex, pre_tokenizers
    from hf_peers import BUILD, N, random_texts
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ANY = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = rf"[^\r\n\p{{L}}\p{{N}}]?{UP}*{LOW}+{{c}}|[^\r\n\p{{L}}\p{{N}}]?{UP}+{LOW}*{{c}}|\p{{N}}{{n}}" \
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def o200k(c, n):
    return O200K.replace("{c}", c).replace("{n}", n)


ROWS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [ANY + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL],
    "dbrx": [ANY + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL],
    "qwen2": [ANY + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL],
    "qwen35": [ANY + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "seed-coder": [ANY + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "tekken": [o200k("", "")],
    "gpt-4o": [o200k(ANY + "?", "{1,3}")],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
                    r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
}


def main():
    bad = 0
    for name, patterns in ROWS.items():
        hf = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
        p = subprocess.Popen([f"{BUILD}/tests/token/test_pretok", "--split", name], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
        n_bad = 0
        texts = random_texts(name, N // 5, ["<|x|>"])
        for text in texts:
            b = text.encode()
            p.stdin.write(struct.pack("<I", len(b)) + b)
            p.stdin.flush()
            n, = struct.unpack("<I", p.stdout.read(4))
            got, at = [], 0
            for k in struct.unpack(f"<{n}I", p.stdout.read(4 * n)):
                got.append(b[at:at + k].decode())
                at += k
            want = [w for w, _ in hf.pre_tokenize_str(text)]
            if got != want:
                n_bad += 1
                if n_bad <= 3:
                    print(f"{name}: {ascii(text)}\n  want {ascii(want)}\n  got  {ascii(got)}")
        print(f"{name}: {len(texts)} strings, {n_bad} differ")
        bad += n_bad
    return bad > 0


sys.exit(main())
