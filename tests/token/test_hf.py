"""Ids of SmolLM2's and Gemma 3's vocabularies against the Hugging Face `tokenizers` package, on random strings.

SmolLM2: the Tokenizer is built from the file's own tokens and merges, with the pre-tokenisers that the model's
tokenizer.json names (single digits, then GPT-2's byte level). Gemma 3: the model's own tokenizer.json.
Strings: code points assigned in Unicode 15.0; scripts, emoji sequences, combining marks, runs of white space, digits,
contractions, texts of special tokens. Each string is encoded with and without special tokens.
N strings for each model: HEARTH_HF_STRINGS, default 10000. The seed is printed (HEARTH_SEED).
"""
import os, sys

try:
    from hf_peers import CACHE, GEMMA, GEMMA_OWN, N, SEED, SMOLLM2, SPECIAL, Hearth, gemma3, random_texts, smollm2
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)


def compare(name, hearth, hf, special):
    texts = random_texts(name, N, special)
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
