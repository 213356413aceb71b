#!/usr/bin/env python3
"""The page of `hearth report` against its JSON and CSV: valid HTML 5, readable by everybody, and every number in it the same
as in the data. Without a browser; tools/report-browser looks with one."""
import base64
import csv
import hashlib
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

try:
    import html5lib
except ImportError:
    print("html5lib is not installed: skipped for want of the network")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
WORK = tempfile.TemporaryDirectory(prefix="hearth-page-")
OUT = pathlib.Path(WORK.name)
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
subprocess.run([BUILD / "tests/report/test_report"], env=dict(os.environ, HEARTH_REPORT_OUT=str(OUT)), check=True,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def parse(path):
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), strict=False)
    tree = parser.parse((OUT / path).read_text(encoding="utf-8"))
    assert not parser.errors, parser.errors[:5]
    return tree


TEXT = (OUT / "page.html").read_text(encoding="utf-8")
TREE = parse("page.html")
PARENT = {child: e for e in TREE.iter() for child in e}
DATA = json.loads((OUT / "page.json").read_text())


def tags(name, under=None):
    return [e for e in (TREE if under is None else under).iter() if e.tag == HTML + name or e.tag == SVG + name]


def above(e):
    while e is not None:
        yield e
        e = PARENT.get(e)


def words(e):
    return "".join(e.itertext())


# ---- structure ----

def test_structure():
    assert TEXT.startswith("<!DOCTYPE html>") and tags("html")[0].get("lang") == "en" and len(tags("title")) > 1
    ids = [e.get("id") for e in TREE.iter() if e.get("id")]
    assert len(ids) == len(set(ids)), "ids are not unique"
    for e in TREE.iter():
        for name in ("aria-labelledby", "for", "aria-describedby"):
            for ref in (e.get(name) or "").split():
                assert ref in ids, (name, ref)
        if (e.get("href") or "#").startswith("#"):
            assert not e.get("href") or e.get("href")[1:] in ids, e.get("href")
    for name in ("header", "nav", "main", "footer"):
        assert len(tags(name)) == 1, name
    first = tags("body")[0][0]
    assert first.tag == HTML + "a" and first.get("class") == "skip", "the first thing to reach is the skip link"
    level = 0
    for e in TREE.iter():
        heading = re.fullmatch(re.escape(HTML) + r"h([1-6])", str(e.tag))
        if heading:
            assert int(heading[1]) <= level + 1, f"heading {words(e)!r} skips a level"
            level = int(heading[1])
    assert len(tags("h1")) == 1


def test_for_every_reader():
    for e in tags("input"):
        assert any(a.tag == HTML + "label" for a in above(e)), "an input without a label"
    for e in tags("fieldset"):
        assert e[0].tag == HTML + "legend"
    pictures = [e for e in tags("svg") if e.get("role") == "img"]
    assert len(pictures) >= 4 * len(DATA["tasks"]) - 2
    for e in pictures:
        assert e[0].tag == SVG + "title" and e[1].tag == SVG + "desc" and words(e[1]).strip()
        assert e.get("aria-labelledby").split() == [e[0].get("id"), e[1].get("id")]
        block = next(a for a in above(e) if a.tag == HTML + "figure")
        assert tags("table", PARENT[block]), "a picture without its figures in a table"
    for e in tags("svg"):
        assert e.get("role") == "img" or e.get("aria-hidden") == "true" or \
            any(a.get("role") == "img" for a in above(e)), "a picture without a name"
    for e in tags("table"):
        assert tags("caption", e) and all(h.get("scope") for h in tags("th", e))
        box = PARENT[e]
        assert box.get("class") == "scroll" and box.get("tabindex") == "0" and box.get("aria-label")
    labels = [e.get("aria-label") for e in TREE.iter() if e.get("role") == "region"]
    assert len(labels) == len(set(labels)), "two regions of one name"


def test_nothing_from_outside():
    for e in TREE.iter():
        for name, value in e.attrib.items():
            assert name.split("}")[-1] not in ("src", "srcset", "style", "action", "data", "background"), (e.tag, name)
            assert not str(name).startswith("on"), (e.tag, name)
            assert name == "xmlns" or not re.match(r"(?i)\s*[a-z]+:", value) or name.startswith("data-") or \
                name in ("content", "aria-label"), (name, value)
    for name in ("link", "img", "iframe", "object", "embed", "form", "base", "use", "image", "foreignObject"):
        assert not tags(name), name
    style, script = tags("style"), tags("script")
    assert len(style) == len(script) == 1
    assert "url(" not in words(style[0]) and "@import" not in words(style[0])
    for word in ("fetch", "XMLHttp", "import", "eval", "innerHTML", "src", "http"):
        assert word not in words(script[0]), word
    policy = next(e.get("content") for e in tags("meta") if e.get("http-equiv") == "Content-Security-Policy")
    digest = {n: "'sha256-" + base64.b64encode(hashlib.sha256(words(e).encode()).digest()).decode() + "'"
              for n, e in (("style", style[0]), ("script", script[0]))}
    assert policy == f"default-src 'none'; style-src {digest['style']}; script-src {digest['script']}; " \
                     "base-uri 'none'; form-action 'none'", policy
    assert all(ord(c) < 128 for c in words(style[0]) + words(script[0])), "src/web/ is plain ASCII"


# ---- numbers ----

def at(pointer):
    value = DATA
    for part in pointer.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def human(n):
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            return f"{n:.0f} B" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024


def signed(v, unit):
    digits = f"{abs(100 * v):.1f}"
    return ("±" if digits == "0.0" else "−" if v < 0 else "+") + digits + unit


def ms(v):
    return f"{v:.0f} ms" if v < 9999.5 else f"{v / 1000:.1f} s"


def usd(v):
    return ("−" if v < 0 else "") + (f"${abs(v):.9f}" if abs(v) < 1e-4 else f"${abs(v):.6f}")


SHOW = {
    "percent": lambda v: f"{100 * v:.1f} %", "rate": lambda v: f"{100 * v:.1f}",
    "points": lambda v: signed(v, " points"), "signed": lambda v: signed(v, ""),
    "margin": lambda v: f"{100 * v:.1f} points", "count": lambda v: f"{v:.0f}", "tokens": str, "ms": ms, "us": lambda v: ms(v / 1000),
    "per-s": lambda v: f"{v:.1f}/s", "bytes": human, "usd": usd, "share": lambda v: f"{v:.3f}", "factor": lambda v: f"{v:.0f}" if 100 <= v < 999999.5 else f"{v:.3g}", "joules": lambda v: f"{v:.2f} J",
    "day": lambda v: v[:10], "minute": lambda v: f"{v[:10]} {v[11:16]} UTC",
}


def safe(s):
    """What report_escape_html makes of a text, after the browser has read it."""
    out = ""
    for c in s:
        n = ord(c)
        hidden = 0x7F <= n <= 0x9F or n in (0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF) or \
            0x2028 <= n <= 0x202E or 0x2060 <= n <= 0x206F or 0xFDD0 <= n <= 0xFDEF or 0xFFF9 <= n <= 0xFFFB or \
            0xE0000 <= n <= 0xE0FFF or n & 0xFFFE == 0xFFFE
        out += chr(0x2400 + n) if n < 32 and c not in "\n\t" else f"[U+{n:04X}]" if hidden else c
    return out


KEYED = [e for e in TREE.iter() if e.get("data-key")]


def test_every_figure_is_the_datas():
    assert len(KEYED) > 1000
    for e in KEYED:
        value, how, shown = at(e.get("data-key")), e.get("data-as"), words(e)
        if how == "text":
            assert shown == safe(value), (e.get("data-key"), shown)
        elif how == "part":
            assert safe(value).startswith(shown) and len(shown) > 100
        else:
            assert shown == ("–" if value is None else SHOW[how](value)), (e.get("data-key"), value, shown)


def test_no_other_number_is_shown():
    """Whatever holds a digit is a figure, a tick of an axis, a diff, or a fixed phrase."""
    fixed = re.compile(r"95 %|\bF1\b")

    def free(e, text):
        if not text or not re.search(r"\d", fixed.sub("", text)):
            return True
        return any(a.get("data-key") or a.get("class") == "tick" or str(a.get("class")).startswith("said") or
                   a.tag in (HTML + "style", HTML + "script", SVG + "title", SVG + "desc", HTML + "caption")
                   for a in above(e))
    for e in TREE.iter():
        if not isinstance(e.tag, str):
            continue
        assert free(e, e.text), (e.tag, e.text)
        assert free(PARENT.get(e), e.tail), (e.tag, e.tail)


def test_descriptions_say_the_same():
    for section in tags("section"):
        shown = {words(e) for e in section.iter() if e.get("data-key")}
        for desc in tags("desc", section):
            for number in re.findall(r"[−+±]?\d+\.\d+(?: %| points)", words(desc)):
                assert number in shown, number


def test_pictures_are_where_the_figures_are():
    for i, task in enumerate(DATA["tasks"]):
        picture = next(e for e in tags("svg") if (e.get("aria-labelledby") or "").startswith(f"t{i}-x-"))
        for side in ("local", "cloud"):
            if task[side] is None:
                continue
            arm = task["arms"][task[side]]
            marks = [float(e.get("x")[:-1]) for e in tags("svg", picture) if e.get("class") == f"mark {side}"]
            assert any(abs(x - 100 * arm["rate"]) < 1e-3 for x in marks), (side, marks)
            lines = [(float(e.get("x1")[:-1]), float(e.get("x2")[:-1])) for e in tags("line", picture)
                     if e.get("class") == f"whisker {side}"]
            assert any(abs(a - 100 * arm["rate_low"]) < 1e-3 and abs(b - 100 * arm["rate_high"]) < 1e-3
                       for a, b in lines), (side, lines)
        bars = [float(e.get("x1")[:-1]) for e in tags("line", picture) if e.get("class") == "bar"]
        assert bars == [100 * task["bar"]]
    colours = next(t for t in DATA["tasks"] if t["task"] == "colours")
    assert (colours["verdict"], colours["only_local"], colours["only_cloud"]) == ("local", 6, 0)


def test_diffs_hold_both_texts():
    diffs = 0
    for e in tags("div"):
        if e.get("class") != "said" or e.get("data-key"):
            continue
        block = next(a for a in above(e) if str(a.get("class")).startswith("body"))

        def side(leave):
            def walk(x):
                if x.get("class") == "vh" or x.tag == HTML + leave:
                    return ""
                return (x.text or "") + "".join(walk(c) + (c.tail or "") for c in x)
            return re.sub(r"\s", "", walk(e))
        texts = {re.sub(r"\s", "", words(x)) for x in block.iter() if x.get("data-as") == "text"}
        assert side("del") in texts and side("ins") in texts, words(e)
        diffs += 1
    assert diffs > 10


# ---- CSV ----

def cells(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value


def same(value, cell):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(cell) == value
    want = cells(value)
    return cell == want or (want[:1] in tuple("=+-@\t\r") and cell == "'" + want)


def rows_of(table, columns=True):
    with open(OUT / f"{table}.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f, strict=True))


def compare(row, value):
    for key, v in value.items():
        if not isinstance(v, list):
            assert same(v, row[key]), (key, v, row[key])
            row["."] = row.get(".", 0) + 1


def walk_all(rows):
    """Every value of the JSON against the CSV; rows: table -> its rows, in order."""
    take = {table: iter(list_) for table, list_ in rows.items()}
    compare(next(take["report"]), DATA)
    for task in DATA["tasks"]:
        compare(next(take["tasks"]), task)
        for k, arm in enumerate(task["arms"]):
            row = next(take["arms"])
            assert (row["task"], row["arm"]) == (task["task"], str(k))
            compare(row, arm)
            for b, bin_ in enumerate(arm["reliability"]):
                row = next(take["reliability"])
                assert (row["task"], row["arm"], row["bin"]) == (task["task"], str(k), str(b))
                compare(row, bin_)
            for table in ("classes", "confusion"):
                for one in arm[table]:
                    row = next(take[table])
                    assert (row["task"], row["arm"]) == (task["task"], str(k))
                    compare(row, one)
        for one in task["preferences"]:
            row = next(take["preferences"])
            assert row["task"] == task["task"]
            compare(row, one)
        for table, key in (("history", "history"), ("decisions", "decisions"), ("cases", "cases")):
            for one in task[key]:
                row = next(take[table])
                assert row["task"] == task["task"]
                compare(row, one)
                for answer in one.get("answers", ()):
                    row = next(take["answers"])
                    assert (row["task"], row["case"]) == (task["task"], one["case"])
                    compare(row, answer)
                    for part in answer["graders"]:
                        row = next(take["graders"])
                        assert (row["task"], row["case"], row["arm"]) == (task["task"], one["case"], str(answer["arm"]))
                        compare(row, part)
    assert all(next(rest, None) is None for rest in take.values()), "CSV has rows that JSON has not"


TABLES = ("report", "tasks", "arms", "reliability", "classes", "confusion", "history", "decisions", "cases", "answers",
          "graders", "preferences")


def test_csv_is_the_json():
    walk_all({table: rows_of(table) for table in TABLES})
    together = rows_of("all")
    walk_all({table: [r for r in together if r["table"] == table] for table in TABLES})
    assert len(together) == sum(len(rows_of(table)) for table in TABLES)
    for path in OUT.glob("*.csv"):
        assert b"\r\n" in path.read_bytes() and path.read_bytes().endswith(b"\r\n")


# ---- colours ----

def test_contrast():
    css = (ROOT / "src/web/report.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    assert len(blocks) == 2, "light and dark"
    assert not re.search(r"#[0-9a-f]{3,8}\b", re.sub(r":root \{.*?\}", "", css, flags=re.S)), "a colour outside of :root"

    def luminance(colour):
        parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= .04045 else ((p + .055) / 1.055) ** 2.4 for p in parts)
        return .2126 * r + .7152 * g + .0722 * b

    def contrast(a, b):
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + .05) / (low + .05)
    inks = {"ground": ("ink", "soft", "local", "cloud", "other", "right", "wrong", "malformed"),
            "panel": ("ink", "soft", "local"), "local": ("on",), "new": ("ink",), "gone": ("ink",)}
    for block in blocks:
        colour = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for ground, list_ in inks.items():
            for ink in list_:
                ratio = contrast(colour[ink], colour[ground])
                assert ratio >= 4.5, (ink, ground, round(ratio, 2))
        assert contrast(colour["focus"], colour["ground"]) >= 3


# ---- the command ----

TASK = """hearth: 1
id: demo
privacy: private
cases: synthetic
prompt: 'Colour of {{input}}:'
output: {kind: label, labels: [red, green]}
graders: [{type: label}]
bar: 0.6
"""


def run(*args, code=0, **more):
    p = subprocess.run([BUILD / "hearth", "report", *map(str, args)], capture_output=True, text=True, timeout=120,
                       cwd=OUT / "work", **more)
    assert p.returncode == code, f"{args}: exit {p.returncode}, not {code}\n{p.stdout}\n{p.stderr}"
    assert "\x1b" not in p.stdout, "colours in a pipe"
    return p


def test_command():
    os.environ["HEARTH_HOME"] = str(OUT / "home")
    folder = OUT / "work" / "tasks" / "demo"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(TASK)
    with open(folder / "cases.jsonl", "w") as f, open(OUT / "work" / "said.jsonl", "w") as said:
        for i in range(20):
            f.write(json.dumps({"id": f"c{i}", "input": f"canary {i}", "expected": "red"}) + "\n")
            said.write(json.dumps({"task": "demo", "case": f"c{i}", "answer": "red" if i else "green canary",
                                   "finish_reason": "stop"}) + "\n")
    assert "Not proven" in run("demo").stdout and not (OUT / "home" / "ledger.db").exists()
    subprocess.run([BUILD / "hearth", "measure", "demo", "--on", "replay:said.jsonl"], cwd=OUT / "work", check=True,
                   capture_output=True, timeout=120)
    text = run("demo").stdout
    assert "replay:said.jsonl" in text and "withheld" in text and "canary" not in text, text
    assert max(len(line) for line in text.splitlines()) <= 80, "wider than a terminal"
    data = json.loads(run("demo", "--json").stdout)
    arm = data["tasks"][0]["arms"][0]
    assert (arm["role"], arm["n"], arm["n_pass"]) == ("recording", 20, 19)
    assert data["tasks"][0]["cases"][3]["input_state"] == "withheld"
    p = run("demo", "--html", "a.html", "--csv", "one.csv")
    assert p.stdout == "" and "a.html" in p.stderr
    run("demo", "--csv", "many/")
    files = [OUT / "work" / "a.html", OUT / "work" / "one.csv", *(OUT / "work" / "many").iterdir()]
    assert len(files) == 2 + len(TABLES)
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert "canary" not in path.read_text()
    assert "withheld" in files[0].read_text() and "left out" in files[0].read_text()
    run("demo", "--html", "b.html", "--with-text")
    page = (OUT / "work" / "b.html").read_text()
    assert "canary 3" in page and "holds the texts of private tasks" in page
    assert sorted(x.name for x in (OUT / "work").iterdir()) == ["a.html", "b.html", "many", "one.csv", "said.jsonl", "tasks"]
    assert "no/where.html" in run("demo", "--html", "no/where.html", code=3).stderr
    assert "demo" in run("demp", code=3).stderr
    run("--html", "", code=2)
    assert "example:" in run("--help").stdout


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name[5:])
