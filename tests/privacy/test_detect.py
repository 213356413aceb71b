"""Every recogniser against python-stdnum (or, where it knows none, against another wording of the rule written here): random
numbers of the right shape count exactly when the other implementation accepts them. Then the command itself."""
import base64
import importlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import urllib.parse
import zlib

try:
    from stdnum import luhn, verhoeff
except ImportError as e:
    print(f"{e}: the packages of tests/requirements.txt are missing (network)")
    sys.exit(77)

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build"))
HEARTH = str(BUILD / "hearth")
N = 30 if "san-" in str(BUILD) else 200
D = "0123456789"
R = random.Random(8)


def check(texts, *options, code=None):
    done = subprocess.run([HEARTH, "privacy", "check", "--json", "--show", "--lines", *options, "-"],
                          input="\n".join(texts), capture_output=True, text=True)
    assert done.returncode in (0, 1) if code is None else done.returncode == code, done.stderr
    found = [r["findings"] for r in json.loads(done.stdout)]
    assert len(found) == len(texts), (len(found), len(texts))
    return found


def digits(n, first=D):
    return R.choice(first) + "".join(R.choice(D) for _ in range(n - 1))


def date6(r=R):
    return f"{r.randint(0, 99):02}{r.randint(1, 12):02}{r.randint(1, 28):02}"


def std(name):
    module = importlib.import_module("stdnum." + name)
    return module.is_valid


# ---- other wordings of rules that python-stdnum does not have ----

def npi(s):
    return s[0] in "12" and luhn.is_valid("80840" + s)


def dea(s):
    d = [int(c) for c in s[2:]]
    return s[0] in "ABCDEFGHJKLMPRSTUX" and (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def nino(s):
    return (re.fullmatch(r"[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]\d{6}[ABCD]", s) is not None
            and s[:2] not in ("BG", "GB", "NK", "KN", "NT", "TN", "ZZ"))


def cross(v):
    return sum(map(int, str(v)))


def kvnr(s):
    d = [int(c) for c in f"{ord(s[0]) - 64:02}{s[1:9]}"]
    return sum(cross(v * (1 + i % 2)) for i, v in enumerate(d)) % 10 == int(s[9])


def rvnr(s):
    d = [int(c) for c in s[:8] + f"{ord(s[8]) - 64:02}" + s[9:11]]
    ok = sum(cross(a * b) for a, b in zip(d, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True)) % 10 == int(s[11])
    return ok and 1 <= int(s[4:6]) <= 12


def medicare(s):
    return s[0] in "23456" and sum(int(c) * w for c, w in zip(s, (1, 3, 7, 9, 1, 3, 7, 9))) % 10 == int(s[8])


def rrn(s):
    return (11 - sum((2 + i % 8) * int(c) for i, c in enumerate(s[:12])) % 11) % 10 == int(s[12])


def repeated(s):
    return len(set(s)) == 1


def iban():
    country, n = R.choice([("DE", 18), ("FR", 23), ("ES", 20), ("AT", 16), ("BE", 12), ("PL", 24), ("CH", 17), ("NO", 11)])
    body = digits(n)
    return f"{country}{98 - int(body + ''.join(str(int(c, 36)) for c in country) + '00') % 97:02}{body}"


def italian():
    a = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ("".join(R.choice("BCDFGLMNPRSTVZ") for _ in range(6)) + digits(2) + R.choice("ABCDEHLMPRST") +
            f"{R.randint(1, 28):02}" + R.choice("ABCDEFGHL") + digits(3) + R.choice(a))


def hetu():
    return f"{R.randint(1, 28):02}{R.randint(1, 12):02}{R.randint(0, 99):02}" + R.choice("-A") + digits(3) + \
        R.choice("0123456789ABCDEFHJKLMNPRSTUVWXY")


# kind: how to draw one of its shape, who decides, a word beside it, how it is written in groups ("" solid), alone enough?
NUMBERS = [
    ("card", lambda: R.choice(["4", "51", "55", "6011", "37"]) + digits(12), lambda s: luhn.is_valid(s), "card", "", None),
    ("iban", iban, lambda s: std("iban")(s, check_country=False), "iban", "4444444444", True),
    ("us_ssn", lambda: digits(9), lambda s: std("us.ssn")(s) and not repeated(s) and s not in ("123456789",), "ssn", "324", True),
    ("us_itin", lambda: "9" + digits(8), lambda s: re.fullmatch(r"9\d\d(5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}", s) is not None, "itin", "324", True),
    ("us_aba", lambda: digits(9, "0123678"), std("us.rtn"), "routing", "", False),
    ("us_npi", lambda: digits(10, "12"), npi, "npi", "", False),
    ("us_dea", lambda: R.choice("ABFMX") + R.choice("ABZ9") + digits(7), dea, "dea", "", False),
    ("uk_nhs", lambda: digits(10), lambda s: std("gb.nhs")(s) and not repeated(s), "nhs", "334", True),
    ("uk_nino", lambda: R.choice("ABDGNTZQ") + R.choice("ABGKNTZO") + digits(6) + R.choice("ABCDEF"), nino, "", "22221", True),
    ("es_nif", lambda: digits(8) + R.choice("TRWAGMYFPDXBNJZSQVHLCKE"), std("es.dni"), "", "81", True),
    ("es_nie", lambda: R.choice("XYZ") + digits(7) + R.choice("TRWAGMYFPDXBNJZSQVHLCKE"), std("es.nie"), "", "171", True),
    ("pl_pesel", lambda: date6() + digits(5), std("pl.pesel"), "PESEL", "", False),
    ("de_tax", lambda: digits(11, D[1:]), lambda s: std("de.idnr")(s), "Steuernummer", "2333", False),
    ("de_rvnr", lambda: digits(2) + f"{R.randint(1, 28):02}{R.randint(1, 12):02}" + digits(2) + R.choice("ABMZ") + digits(3), rvnr,
     "", "2613", True),
    ("de_kvnr", lambda: R.choice("ABMZ") + digits(9), kvnr, "Krankenkasse", "", False),
    ("it_codice_fiscale", italian, std("it.codicefiscale"), "", "", True),
    ("au_abn", lambda: digits(11, D[1:]), std("au.abn"), "abn", "2333", True),
    ("au_tfn", lambda: digits(9), lambda s: std("au.tfn")(s) and not repeated(s), "tfn", "333", False),
    ("au_acn", lambda: digits(9), lambda s: std("au.acn")(s) and not repeated(s), "acn", "333", False),
    ("au_medicare", lambda: digits(10), medicare, "medicare", "451", True),
    ("ca_sin", lambda: digits(9), lambda s: std("ca.sin")(s) and not repeated(s), "sin", "333", False),
    ("se_personnummer", lambda: date6() + digits(4), lambda s: luhn.is_valid(s), "personnummer", "64", True),
    ("za_id", lambda: date6() + digits(4) + R.choice("01") + digits(2), std("za.idnr"), "identity", "6412", True),
    ("in_aadhaar", lambda: digits(12, "23456789"), lambda s: verhoeff.is_valid(s) and s != s[::-1], "aadhaar", "444", True),
    ("ng_nin", lambda: digits(11), lambda s: verhoeff.is_valid(s) and not repeated(s), "NIN", "", False),
    ("kr_rrn", lambda: date6() + R.choice("12") + digits(6), rrn, "rrn", "67", True),
    ("tr_id", lambda: digits(11, D[1:]), std("tr.tckimlik"), "kimlik", "", False),
    ("th_id", lambda: digits(13, D[1:]), std("th.pin"), "thai", "14521", True),
    ("fi_hetu", hetu, lambda s: std("fi.hetu")(s, allow_temporary=True), "", "", True),
]


def grouped(s, groups, separator):
    out, at = [], 0
    for g in groups:
        if s[at:at + int(g)]:
            out.append(s[at:at + int(g)])
        at += int(g)
    return separator.join(out)


def draw(make, valid):
    """One that is valid, if need be by changing its last or last but one character, and one that is not."""
    good = bad = None
    for _ in range(2000):
        s = make()
        tail = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if s[-1].isalpha() else D
        near = [s] + [s[:-1] + c for c in tail]
        if s[-2:].isdigit():
            near += [s[:-2] + a + b for a in D for b in D]
        near = R.sample(near, len(near))
        good = good or next((x for x in near if valid(x)), None)
        bad = bad or next((x for x in near if not valid(x)), None)
        if good and bad:
            return good, bad
    raise AssertionError(f"no valid and invalid number in 2000: {good} {bad}")


def test_numbers():
    for kind, make, valid, word, groups, alone in NUMBERS:
        texts, wanted = [], []
        for _ in range(N):
            for s in draw(make, valid):
                separator = R.choice([" ", "-"]) if groups else ""
                shown = grouped(s, groups, separator) if groups and R.random() < 0.7 else s
                texts.append(f"ref {word} {shown}, as asked")
                wanted.append((shown, valid(s)))
        found = check(texts)
        for text, (shown, is_valid), f in zip(texts, wanted, found, strict=True):
            hits = [x for x in f if x["kind"] == kind]
            right = [x for x in f if x["text"] == shown and x["score"] >= 0.5]
            if is_valid:  # another rule may be surer of the same place
                assert hits or right, (kind, text, f)
                assert all(x["text"] in (shown, shown.split(",")[0]) for x in hits), (kind, text, hits)
                assert all(x["raises"] == "private" for x in hits)
            else:
                assert not [x for x in hits if x["text"] == shown], (kind, text, hits)
        if alone is False:  # solid, without a word beside it: not enough
            for f in check([f"ref {draw(make, valid)[0]} here" for _ in range(N)]):
                assert not [x for x in f if x["kind"] == kind], (kind, f)
        elif alone and groups:
            for text, f in (lambda t: zip(t, check(t), strict=True))(
                    [f"ref {grouped(draw(make, valid)[0], groups, ' ' if kind == 'iban' else '-')} here" for _ in range(N)]):
                assert [x for x in f if x["kind"] == kind] or f, (kind, text)
        print(f"   {kind}: {sum(v for _, v in wanted)} valid, {sum(not v for _, v in wanted)} not")


def test_every_rule_is_known_here():
    rules = subprocess.run([HEARTH, "privacy", "check", "--rules"], capture_output=True, text=True, check=True).stdout
    kinds = {line.split()[0] for line in rules.splitlines()}
    others = set("bitcoin email ipv4 ipv6 mac phone private_key jwt aws_key github_token slack_token api_key password "
                 "url_password random_token dictionary".split())
    assert kinds == {n[0] for n in NUMBERS} | others, kinds ^ ({n[0] for n in NUMBERS} | others)
    page = pathlib.Path("docs/PRIVACY.md").read_text(encoding="utf-8")
    for kind in kinds:
        assert f"| `{kind}` |" in page, f"docs/PRIVACY.md does not list {kind}"


def b58(data):
    n, out = int.from_bytes(data, "big"), ""
    while n:
        n, k = divmod(n, 58)
        out = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[k] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def test_bitcoin():
    import hashlib
    bitcoin = std("bitcoin")
    texts, wanted = [], []
    for _ in range(N):
        body = bytes([R.choice([0, 5])]) + R.randbytes(20)
        address = b58(body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4])
        at = R.randrange(1, len(address))
        for a in (address, address[:at] + R.choice("23456789ABC") + address[at + 1:]):
            texts.append(f"send it to {a} please")
            wanted.append((a, bitcoin(a)))
    for a in ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
              "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"):  # BIP 173, BIP 350
        for x in (a, a[:-1] + ("q" if a[-1] not in "qQ" else "p")):
            texts.append(f"send it to {x} please")
            wanted.append((x, x == a))
    for text, (a, valid), f in zip(texts, wanted, check(texts), strict=True):
        hits = [x["text"] for x in f if x["kind"] == "bitcoin"]
        assert hits == ([a] if valid else []), (text, valid, f)


def test_net():
    import ipaddress
    texts = []
    for _ in range(N):
        texts.append(f"host {ipaddress.IPv6Address(R.getrandbits(128))} is up")
        texts.append(f"host {ipaddress.IPv6Address((0x20010db8 << 96) + R.getrandbits(20))} is up")
        texts.append(f"host {ipaddress.IPv4Address(R.getrandbits(32))} is up")
        texts.append("host " + ":".join(R.choice(["1", "ab", "", "12345", "fe80", "1.2.3.4"]) for _ in range(R.randint(3, 9))) + " up")
        texts.append("host " + ".".join(str(R.randint(0, 300)) for _ in range(R.randint(3, 5))) + " up")
    for text, f in zip(texts, check(texts), strict=True):
        word = text.split()[1]
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            address = None
        hits = [x["text"] for x in f if x["kind"] in ("ipv4", "ipv6")]
        if address is None:
            assert word not in hits, (text, f)
        elif address.version == 4:
            nobody = word.split(".")[0] in ("0", "127", "255")
            assert (word in hits) != nobody, (text, f)
        elif sum(c.isdigit() for c in word) >= 2 and len(word) >= 6:
            assert word in hits, (text, f)
    rows = {"mail": ["joe.doe+tag@mail.example.co.uk", "<ann@example.org>", "mailto:ann@example.org?x=1", "jürgen@müller.example"],
            "none": ["a@b", "@example.org", "joe@localhost", "joe@example.123", "x @ y.z"]}
    for text, f in zip(rows["mail"], check(rows["mail"]), strict=True):
        assert [x["kind"] for x in f] == ["email"], (text, f)
    assert not any(check(rows["none"]))
    macs = ["00:1B:44:11:3A:B7", "00-1b-44-11-3a-b7", "001b.4411.3ab7"]
    assert [[x["text"] for x in f] for f in check([f"at {m}." for m in macs])] == [[m] for m in macs]
    assert not any(check(["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "00:1B:44:11:3A", "00:1B:44:11:3A:B7:12", "12:30:45"]))


def test_phones():
    yes = ["+49 30 1234567", "+1 (415) 555-2671", "+442079460958", "(415) 555-2671", "415-555-2671", "415.555.2671",
           "1-800-555-2671", "0351/4567890", "06-12 34 56 78", "0049 30 1234567", "call me at 555 1234", "phone: 84 23 30 99"]
    no = ["2024-05-06", "06.05.2024", "1234567", "order 12345678", "pi is 3.14159265358979", "1.2.3.4.5.6.7", "10 000 000",
          "+1", "page 415-555", "12345678901234567890", "$1,250.00 or 1 000 000 crowns in 2024"]
    for text, f in zip(yes, check(yes), strict=True):
        assert f and {x["kind"] for x in f} <= {"phone", "uk_nhs"}, (text, f)  # 415-555-2671 passes that checksum
    for text, f in zip(no, check(no), strict=True):
        assert not f, (text, f)


def test_github_tokens():
    a = D + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
    texts = []
    for _ in range(N):
        body = "".join(R.choice(a) for _ in range(30))
        crc, tail = zlib.crc32(body.encode()), ""
        for _ in range(6):
            crc, k = divmod(crc, 62)
            tail = a[k] + tail
        texts += [f"x {R.choice(['ghp', 'gho', 'ghs'])}_{body}{tail}", f"x ghp_{body}{tail[:-1]}{'0' if tail[-1] != '0' else '1'}"]
    for i, f in enumerate(check(texts)):
        hits = [x for x in f if x["kind"] == "github_token"]
        assert len(hits) == 1 and hits[0]["raises"] == "secret" and (hits[0]["score"] == 1) == (i % 2 == 0), (texts[i], f)


def test_encodings():
    card = "4111 1111 1111 1111"
    for text in (base64.b64encode(f"the number is {card}, thank you".encode()).decode(),
                 base64.urlsafe_b64encode(f"??>>the number is {card}".encode()).decode(),
                 base64.encodebytes(f"{'x ' * 60}the number is {card}, {'y ' * 60}".encode()).decode().strip(),
                 urllib.parse.quote(f"n={card}&x=ä"), urllib.parse.quote_plus(f"n={card}"), json.dumps(f"é\n{card}\t"),
                 json.dumps(json.dumps(f"\n{card}\n")), urllib.parse.quote(base64.b64encode(f"the number is {card}".encode()).decode())):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(f"first line\n{text}\n")
            f.flush()
            done = subprocess.run([HEARTH, "privacy", "check", "--json", f.name], capture_output=True, text=True)
            found = [x for x in json.loads(done.stdout)[0]["findings"] if x["kind"] == "card"]
            assert done.returncode == 1 and len(found) == 1 and found[0]["line"] >= 2, (text, done.stdout)


def test_command():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "a.txt").write_text("nothing here\n")
        (folder / "b.txt").write_text("eins\nüber 4111 1111 1111 1111 und\nBlue  Heron\n")
        (folder / "words.txt").write_text("[secret]\nblue heron\n")

        def run(*args, code):
            done = subprocess.run([HEARTH, "privacy", *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert done.returncode == code, (args, done)
            return done.stderr if code > 1 else done.stdout

        assert run("check", folder / "a.txt", code=0) == ""
        out = run("check", "--dictionary", folder / "words.txt", folder / "a.txt", folder / "b.txt", code=1)
        assert f"{folder}/b.txt:2:6: card, private (0.90): 41" in out and "4111 1111" not in out, out
        assert f"{folder}/b.txt:3:1: dictionary, secret (1.00): Bl*******on" in out, out
        assert "4111 1111 1111 1111" in run("check", "--show", folder / "b.txt", code=1)
        report = json.loads(run("check", "--json", "--dictionary", folder / "words.txt", folder / "b.txt", code=1))
        assert report[0]["raises"] == "secret" and [f["kind"] for f in report[0]["findings"]] == ["card", "dictionary"]
        assert "4111" not in json.dumps(report)
        assert "No such file" in run("check", folder / "none.txt", code=3)
        (folder / "words.txt").write_text("[publik]\n")
        assert "words.txt:1: [publik]" in run("check", "--dictionary", folder / "words.txt", folder / "a.txt", code=3)
        assert "did you mean 'check'?" in run("chekc", folder / "a.txt", code=2)
        assert "a FILE is needed" in run("check", code=2)
        nested = b"please write to joe.doe@example.org about it"
        for _ in range(5):
            nested = base64.b64encode(nested)
        (folder / "deep.txt").write_bytes(nested)
        assert "counts as private" in run("check", folder / "deep.txt", code=3)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:], flush=True)
