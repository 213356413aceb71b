"""Unigram and WordPiece against the `tokenizers` package, built from the vocabulary files themselves, on random strings
(HEARTH_HF_STRINGS / 5 for each, default 2000).

Unigram: nomic-bert-moe (XLM-RoBERTa's vocabulary, normaliser included). WordPiece: bert-bge (BERT, uncased).
In two things `tokenizers` is not SentencePiece, whose behaviour counts: it cuts at white space that the normaliser
leaves (U+0085 and the like), and it normalises by grapheme clusters instead of longest prefixes. Strings with such white
space, or with two combining characters in a row, are left out for Unigram. Its plain text can become control tokens
there ("<s>"), never here: strings with their texts are compared with special tokens only. And what its WordPiece takes
for punctuation and marks ends with Unicode 9: strings with such characters of less common blocks are left out.
"""
import os, re, sys, unicodedata

try:
    import gguf
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
    from hf_peers import CACHE, N, SPECIAL, Hearth, random_texts, strings_of
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

UNIGRAM = f"{CACHE}/vocabs/ggml-vocab-nomic-bert-moe.gguf"
WORDPIECE = f"{CACHE}/vocabs/ggml-vocab-bert-bge.gguf"


def unigram():
    r = gguf.GGUFReader(UNIGRAM)
    tokens = strings_of(r, "tokenizer.ggml.tokens")
    scores = [float(x) for x in r.fields["tokenizer.ggml.scores"].contents()]
    types = r.fields["tokenizer.ggml.token_type"].contents()
    charsmap = bytes(r.fields["tokenizer.ggml.precompiled_charsmap"].contents())
    t = Tokenizer(models.Unigram(list(zip(tokens, scores)), unk_id=3, byte_fallback=False))
    t.normalizer = normalizers.Precompiled(charsmap)
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    special = [s for s, k in zip(tokens, types) if k in (2, 3)]
    t.add_special_tokens([AddedToken(s, normalized=False, lstrip=s == "<mask>") for s in special])
    return t, special


def wordpiece():
    r = gguf.GGUFReader(WORDPIECE)
    tokens = strings_of(r, "tokenizer.ggml.tokens")
    types = r.fields["tokenizer.ggml.token_type"].contents()
    own = [s if k == 3 else s[1:] if s.startswith("▁") else "##" + s for s, k in zip(tokens, types)]
    t = Tokenizer(models.WordPiece({s: i for i, s in enumerate(own)}, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [s for s, k in zip(tokens, types) if k == 3]
    t.add_special_tokens([AddedToken(s, normalized=False) for s in special])
    return t, special


def same_to_both(text):
    marks = "".join("m" if unicodedata.category(c)[0] == "M" or c == "\u200d" else "." for c in text)
    return not re.search("[\x0b\x0c\x1c-\x1f\x85]", text) and "mm" not in marks


OLD = "[\\u0000-\\u05c7\\u0900-\\u097f\\u0e00-\\u0e7f\\u2000-\\u20ff\\u3000-\\u303f\\ufe00-\\ufe0f\\uff00-\\uffef]"


def old_tables(text):
    return all(re.match(OLD, c) for c in text if unicodedata.category(c)[0] in "MP")


def compare(name, path, hf, special, keep, plain_too):
    hearth, bad = Hearth(path), 0
    texts = [t for t in random_texts(name, N // 5, special) if keep(t)]
    for flags in (SPECIAL, 0):
        hf.encode_special_tokens = not flags
        if not flags and not plain_too:
            texts = [t for t in texts if not any(s in t for s in special)]
        for text, want in zip(texts, hf.encode_batch_fast(texts, add_special_tokens=False)):
            got, _ = hearth(text, flags)
            if got != want.ids:
                bad += 1
                if bad <= 5:
                    print(f"{name}, flags {flags}: {ascii(text)}\n  want {want.ids}\n  got  {got}")
    print(f"{name}: {len(texts)} strings, with and without special tokens, {bad} differ")
    return bad


if not os.path.exists(UNIGRAM):
    print(f"{UNIGRAM} is not there: it needs the network once (tools/fetch vocabs)")
    sys.exit(77)
bad = compare("Unigram", UNIGRAM, *unigram(), same_to_both, False)
bad += compare("WordPiece", WORDPIECE, *wordpiece(), old_tables, True)
sys.exit(bad > 0)
