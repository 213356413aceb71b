"""Canaries: words that stand nowhere else, and a watch that finds them in bytes in whatever form they are.

A canary is two halves of HALF letters, each of which is looked for: any piece of a canary of 2 * HALF - 1 letters is
found, and each half of one that was split. What is looked at is compacted first (ASCII letters and digits alone, lower
case), so that blanks, punctuation, quotes and characters of no width between the letters hide nothing."""
import base64
import binascii
import json
import re
import urllib.parse

HALF = 12
DEPTH = 3            # so many encodings inside each other are undone
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
NOT_COMPACT = re.compile("[^a-z0-9]+")
BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}")
HEX_RUN = re.compile(r"[0-9A-Fa-f]{24,}")
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([ntrbf\"\\/]))")
NOT_TEXT = {"role", "type", "id", "tool_call_id", "tool_use_id", "model", "name"}  # members between parts of a text


def canary(rng):
    """Only small letters: no recogniser takes it for a number, a key or a name."""
    return "".join(rng.choice(LETTERS) for _ in range(2 * HALF))


def iban(rng):
    """A valid German one (ISO 7064 mod 97-10)."""
    account = "".join(rng.choice("0123456789") for _ in range(18))
    return f"DE{98 - int(account + '131400') % 97:02d}{account}"


def luhn(digits):
    total = 0
    for i, c in enumerate(reversed(digits)):
        n = int(c) * (2 if i % 2 == 0 else 1)
        total += n - 9 if n > 9 else n
    return str(-total % 10)


def card(rng):
    digits = "4" + "".join(rng.choice("0123456789") for _ in range(14))
    return digits + luhn(digits)


def aws_key(rng):
    return "AKIA" + "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


PERSONAL = (iban, card, aws_key)


def compact(text):
    return NOT_COMPACT.sub("", text.lower())


def unescape(text):
    return ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else ESCAPES[m[2]], text)


def from_base64(run):
    """The run's bytes at every alignment, as Latin-1."""
    run = run.replace("-", "+").replace("_", "/")
    for start in range(4):
        part = run[start:]
        part = part[:len(part) // 4 * 4]
        if part:
            yield base64.b64decode(part).decode("latin-1")


def from_hex(run):
    for start in range(2):
        part = run[start:]
        yield binascii.unhexlify(part[:len(part) // 2 * 2]).decode("latin-1")


def strings_of(value, out, key=""):
    """All strings of a JSON value in order, without those that only say what the others are."""
    if isinstance(value, str):
        if key not in NOT_TEXT:
            out.append(value)
    elif isinstance(value, list):
        for x in value:
            strings_of(x, out, key)
    elif isinstance(value, dict):
        for k, x in value.items():
            strings_of(x, out, k)


def joined(text):
    """The strings of a JSON body behind each other: what was split over messages and parts is whole again."""
    start = text.find("{")
    if start < 0:
        return ""
    try:
        value = json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return ""
    out = []
    strings_of(value, out)
    return "".join(out)


def views(text, depth=DEPTH):
    """The text in every form that it can be read as."""
    yield text
    if depth == 0:
        return
    inner = []
    if "{" in text:
        inner.append(joined(text))
    if "%" in text:
        inner.append(urllib.parse.unquote(text, "latin-1"))
    if "\\" in text:
        inner.append(unescape(text))
    for run in BASE64_RUN.findall(text):
        if len(run) > 24 or not run.islower():  # a canary as it is
            inner.extend(from_base64(run))
    for run in HEX_RUN.findall(text):
        inner.extend(from_hex(run))
    for x in inner:
        if len(x) >= HALF and x != text:
            yield from views(x, depth - 1)


class Watch:
    """Which request a piece of bytes is of."""

    def __init__(self):
        self.pieces = {}

    def add(self, word, owner):
        flat = compact(word)
        for piece in {flat[:HALF], flat[-HALF:]}:
            self.pieces[piece] = owner

    def forget(self, word):
        flat = compact(word)
        for piece in {flat[:HALF], flat[-HALF:]}:
            self.pieces.pop(piece, None)

    def search(self, data):
        """The owners of all canaries in the bytes, each once."""
        found = {}
        for view in views(data.decode("latin-1")):
            flat = compact(view)
            for i in range(len(flat) - HALF + 1):
                owner = self.pieces.get(flat[i:i + HALF])
                if owner is not None:
                    found[id(owner)] = owner
        return list(found.values())


# ---- how a canary is written into a request ----

def spaced(word):
    return " ".join(word[i:i + 3] for i in range(0, len(word), 3))


def base64_at(n, alphabet=None):
    def write(word):
        data = base64.b64encode(b"xyz"[:n] + word.encode() + b"...", alphabet)
        return data.decode()
    return write


FORMS = {
    "plain": lambda w: w,
    "upper": str.upper,
    "mixed": lambda w: "".join(c.upper() if i % 3 else c for i, c in enumerate(w)),
    "base64-0": base64_at(0),
    "base64-1": base64_at(1),
    "base64-2": base64_at(2),
    "base64-url": base64_at(1, b"-_"),
    "base64-twice": lambda w: base64.b64encode(base64.b64encode(w.encode())).decode(),
    "hex": lambda w: w.encode().hex(),
    "percent": lambda w: "".join(f"%{ord(c):02X}" for c in w),
    "escaped": lambda w: "".join(f"\\u{ord(c):04x}" for c in w),
    "spaced": spaced,
    "no-width": lambda w: "\u200b".join(w),
    "quoted": lambda w: json.dumps({"inner": json.dumps({"text": w})}),
}
