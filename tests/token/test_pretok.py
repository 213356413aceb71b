"""Pre-tokenisers against the `tokenizers` package, which runs the patterns of the models' tokenizer.json files in another
regular-expression engine, on random strings (HEARTH_HF_STRINGS / 5 for each, default 2000)."""
import struct, subprocess, sys

try:
    from tokenizers import Regex, pre_tokenizers
    from hf_peers import BUILD, N, random_texts
    from patterns import ROWS
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

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
