"""Regular expressions against Python's `re` on random patterns and texts (HEARTH_REGEX_PATTERNS of them, default 300),
and what is refused by name."""
import os, random, re, struct, subprocess, sys, unicodedata

BUILD = os.environ.get("HEARTH_BUILD", "build")
N = int(os.environ.get("HEARTH_REGEX_PATTERNS", "300"))
R = random.Random(int(os.environ.get("HEARTH_SEED", "20240607")))
FORMAT, UNSUPPORTED, RANGE = 2 + 3, 2 + 4, 2 + 5
LETTERS = "abcAZ09_ -.é日\n😀"
SPACE = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

served = subprocess.Popen([f"{BUILD}/tests/grammar/test_lang", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ask(pattern, text, whole=False):
    p, t = pattern.encode(), text.encode()
    served.stdin.write(struct.pack("<II", whole, len(p)) + p + struct.pack("<I", len(t)) + t)
    served.stdin.flush()
    return struct.unpack("<I", served.stdout.read(4))[0]


def char():
    c = R.choice(LETTERS)
    if c in ".-":
        return "\\" + c, re.escape(c)
    if c == "\n":
        return "\\n", "\\n"
    return R.choice([(c, c), (c, c), ("\\u{%x}" % ord(c), c)] + ([("\\x%02x" % ord(c), c)] if ord(c) < 256 else []))


CLASSES = {"d": "0-9", "w": "0-9A-Z_a-z", "s": SPACE}


def member():
    kind = R.randrange(6)
    if kind == 0:
        k = R.choice("dws")
        return "\\" + k, CLASSES[k]
    if kind == 1:
        return "a-f", "a-f"
    if kind == 2:
        return "\\u00e0-日", "\u00e0-日"
    e, p = char()
    return e, p


def atom(depth):
    kind = R.randrange(9 if depth else 5)
    if kind < 2:
        return char()
    if kind == 2:
        return ".", "[^\n\r\u2028\u2029]"
    if kind == 3:
        k = R.choice("dwsDWS")
        return "\\" + k, f"[{'^' if k.isupper() else ''}{CLASSES[k.lower()]}]"
    if kind == 4:
        items = [member() for _ in range(R.randrange(1, 4))]
        no = R.choice(["", "^"])
        return "[" + no + "".join(i[0] for i in items) + "]", "[" + no + "".join(i[1] for i in items) + "]"
    e, p = choice(depth - 1)
    return R.choice(["(", "(?:", "(?<n%d>" % R.randrange(10**9)]) + e + ")", "(?:" + p + ")"


def term(depth, top):
    if top and R.randrange(14) == 0:
        e, p = choice(1)
        k = R.choice("=!")
        return f"(?{k}{e})", f"(?{k}{p})"
    e, p = atom(depth)
    q = R.choice(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "{1,3}"])
    return e + q + (R.choice(["", "?"]) if q else ""), p + q


def sequence(depth, top=False):
    items = [term(depth, top) for _ in range(R.randrange(0 if depth < 2 else 1, 4))]
    if top:
        if R.randrange(3) == 0:
            items.insert(0, ("^", "\\A"))
        if R.randrange(3) == 0:
            items.append(("$", "\\Z"))
    return "".join(i[0] for i in items), "".join(i[1] for i in items)


def choice(depth, top=False):
    items = [sequence(depth, top) for _ in range(R.choice([1, 1, 1, 2, 3]))]
    return "|".join(i[0] for i in items), "|".join(i[1] for i in items)


def text():
    return "".join(R.choice(LETTERS) for _ in range(R.choice([0, 1, 2, 3, 5, 9])))


bad = matched = hard = 0
for _ in range(N):
    ecma, python = choice(2, top=True)
    try:
        compiled = re.compile(python, re.S)
    except re.error as e:
        sys.exit(f"{python!r}: {e}")
    for _ in range(8):
        t, whole = text(), R.random() < 0.3
        want = bool(re.compile("(?:" + python + r")\Z", re.S).match(t) if whole else compiled.search(t))
        got = ask(ecma, t, whole)
        matched += want
        if got == RANGE: # too hard is an answer, if it is rare
            hard += 1
        elif got != want:
            bad += 1
            if bad < 10:
                print(f"{ecma!r} ({python!r}) on {t!r}, {'whole' if whole else 'search'}: {got}, Python says {want}")

for code in list(range(0, 0x3000, 7)) + list(range(0x3000, 0x110000, 1009)):
    if 0xD800 <= code < 0xE000 or unicodedata.category(chr(code)) == "Cn":
        continue
    category = unicodedata.category(chr(code))
    if unicodedata.unidata_version.startswith(("14", "15")) and code % 5 == 0:
        for name in (category, category[0], "L" if category[0] != "L" else "N"):
            want = category.startswith(name)
            got = ask(f"^\\p{{{name}}}$", chr(code))
            bad += got != want or ask(f"\\P{{{name}}}", chr(code)) != (not want)

REFUSED = {r"\bfoo": UNSUPPORTED, r"(a)\1": UNSUPPORTED, "(?<=a)b": UNSUPPORTED, r"\p{Greek}": UNSUPPORTED,
           r"\p{L": UNSUPPORTED, r"\p}": UNSUPPORTED,
           r"(?:(?!x).)*": UNSUPPORTED, r"a?^b": UNSUPPORTED, "(": FORMAT, "a)": FORMAT, "[a": FORMAT, "[b-a]": FORMAT,
           "*a": FORMAT, "a**": FORMAT, "a{3,2}": FORMAT, r"\q": FORMAT, r"\u12": FORMAT, "[\\d-x]": FORMAT,
           "(" * 300 + ")" * 300: RANGE}
for pattern, want in REFUSED.items():
    got = ask(pattern, "")
    if got != want:
        bad += 1
        print(f"{pattern!r}: {got}, expected {want}")
print(f"{N} patterns, {N * 8} texts, {matched} matched, {bad} disagree, {hard} were too hard")
sys.exit(bad != 0 or hard > N * 8 / 100)
