#!/usr/bin/env python3
"""hearth fit: the order of its table, that what it says fits does open, measured quality, its past error, what it says
would change, and models that are elsewhere."""
import http.server
import json
import math
import pathlib
import re
import sqlite3
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from hearth import BASE_MODEL, CACHE, HOME, MODEL, hearth, run_tests  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
CLASSES = ["good", "lossy", "slow", "does-not-fit"]


def facts(*args, code=0):
    return hearth("fit", *args, "--json", code=code).json()


def enough_for(context):
    """Bytes with which MODEL has this context, and not all that it was trained for."""
    return facts(MODEL, "--ctx", context)["models"][0]["need_bytes"] + MIB // 4


# ---- the table ----

def class_of(r):
    loss = r["loss"]["loss"] if r["loss"] else 0
    encoder = r["decode_per_s"] == 0
    if r["largest_context"] < min(4096, r["context_train"]):
        return "does-not-fit"
    if not encoder and r["decode_per_s"] < 5:
        return "slow"
    return "lossy" if loss > 0.05 else "good"


def key_of(r):
    """docs/FIT.md: The order."""
    lossy = bool(r["loss"]) and r["loss"]["loss"] > 0.05
    vectors = r["decode_per_s"] == 0 or r["kind"] in ("embedding", "rerank")
    return (CLASSES.index(r["class"]), 2 if vectors else 1 if r["kind"] == "base" else 0,
            (lossy, -r["decode_per_s"]) if r["class"] == "slow" else (),
            r["need_bytes"] - r["have_bytes"] if r["class"] == "does-not-fit" else 0,
            -round(2 * math.log2(r["params"])), [-ord(c) for c in r["released"] or ""] + [1],
            -r["params"], -r["file_bytes"])


def test_the_order_is_the_documented_one():
    table = facts("--types", "Q4_K_M,Q2_K", "--mem", "6G")["table"]
    assert len({r["model"] for r in table}) > 40 and sum(r["present"] for r in table) == 2
    for r in table:
        assert r["class"] == class_of(r), r
        assert (r["largest_context"] >= r["context"]) == r["fits"] or not r["fits"], r
        assert r["fits"] == (r["need_bytes"] <= r["have_bytes"]), r
    assert [key_of(r) for r in table] == sorted(key_of(r) for r in table)
    assert {r["class"] for r in table} >= {"good", "does-not-fit"}
    seen = set()
    for r in table:  # the first of each model is its best, and no other
        assert r["best"] == (r["model"] not in seen), r
        seen.add(r["model"])


def rows_of(text):
    """(name, type, context) of each row; names may be cut."""
    found = re.findall(r"^[*? ] (\S+) +(\S+) +[\d.]+ [KMG]iB +(\d+|-) ", text, re.M)
    return [(name, kind, 0 if context == "-" else int(context)) for name, kind, context in found]


def test_text_and_json_are_one():
    options = ("--types", "Q8_0,Q4_K_M", "--mem", "4G")
    table = facts(*options)["table"]
    every = rows_of(hearth("fit", *options, "--all").out)
    text = hearth("fit", *options).out
    best = rows_of(text)
    assert len(every) == len(table)
    # what is free changes between two calls, rates do not: contexts are compared where memory is no limit
    for (name, kind, context), r in zip(every, table):
        assert r["model"].startswith(name.rstrip("~")) and r["type"] == kind, (name, kind, r)
        assert context == r["largest_context"] or context < r["context_train"], (name, context, r)
    # the first twenty of the catalogue, and what is here wherever it stands
    twentieth = [i for i, r in enumerate(table) if r["best"] and not r["present"]][19]
    wanted = [(r["model"], r["type"]) for i, r in enumerate(table) if r["present"] or (r["best"] and i <= twentieth)]
    assert len(wanted) == 22
    assert [k for _, k, _ in best] == [k for _, k in wanted]
    assert all(w.startswith(n.rstrip("~")) for (n, _, _), (w, _) in zip(best, wanted))
    for line in text.splitlines():
        assert len(line) <= 80 or line.startswith("memory"), line
    assert "licence" in hearth("fit", "--kind", "embedding", "--types", "F16", "--wide").out
    only = facts("--kind", "embedding", "--licence", "mit", "--types", "F16")["table"]
    assert only and all(r["kind"] == "embedding" and r["licence"] == "MIT" and r["type"] == "F16" for r in only)


def test_what_fits_opens_and_what_does_not_is_refused():
    tight = enough_for(1024)
    rows = [r for r in facts("--types", "Q4_K_M", "--mem", tight)["table"] if r["present"]]
    for r in rows:
        if r["largest_context"]:
            context = min(r["largest_context"], r["context_train"])
            said = hearth("run", r["path"], "Hello", "--mem", tight, "--ctx", context, "-n", 2)
            assert said.out.strip()
        if r["largest_context"] < r["context_train"]:
            hearth("run", r["path"], "Hello", "--mem", tight, "--ctx", r["largest_context"] + 64, "-n", 2, code=4)
    assert any(0 < r["largest_context"] < r["context_train"] for r in rows), rows


# ---- one model ----

def test_every_byte_is_in_the_sum():
    for args in ((MODEL,), (BASE_MODEL, "--kv", "q8", "--parallel", 3), ("qwen3-0.6b:Q4_K_M", "--ctx", 4096)):
        m, = facts(*args)["models"]
        parts = sum(m[f"{k}_bytes"] for k in ("weights", "kv", "scratch", "vocab", "load", "process"))
        assert m["need_bytes"] in (parts, parts + m["grammar_bytes"]), m
        assert sum(m["weights"].values()) == m["weights_bytes"]
        assert sum(p["pages"] * p["page_bytes"] for p in m["kv_pages"].values()) == m["kv_bytes"]
        rows = re.findall(r"^  (\w+) +(\d+) +[\d.]+ [KMG]?i?B", hearth("fit", *args).out, re.M)
        numbers = {name: int(n) for name, n in rows}
        assert sum(n for name, n in numbers.items() if name not in ("sum", "available")) == numbers["sum"]
        assert numbers["sum"] == m["need_bytes"], numbers
    assert m["present"] is False and m["type"] == "Q4_K_M"
    assert facts("qwen3-0.6b:q8_0")["models"][0]["file_bytes"] > m["file_bytes"]
    assert facts("qwen3-0.6b")["models"][0]["fits"]
    hearth("fit", "qwen3-0.6b:Q4_Z", code=3, says="there is no such type")
    hearth("fit", "qwen3-0.6", code=3, says="the catalogue has 'qwen3-0.6b'")
    for bad in (["--why"], ["--kind", "talk"], ["--types", "Q9"], ["--parallel", -1], [MODEL, "--for", "x"]):
        hearth("fit", *bad, code=2)


def test_why_has_fits_own_figures():
    """What --why says of a change is what fit says when it is asked with that change."""
    given = enough_for(1024)
    why = facts(MODEL, "--mem", given, "--why", code=4)["models"][0]["why"]
    q8, = facts(MODEL, "--mem", given, "--kv", "q8", code=None)["models"]
    more, = facts(MODEL, "--mem", given + (1 << 30))["models"]
    same = ("need_bytes", "kv_bytes", "decode_per_s", "prefill_per_s", "largest_context")
    for key in same:
        assert why["q8"][key] == q8[key], key
        assert why["more_memory"][key] == more[key], key
    assert why["memory_step"] == 1 << 30 and why["decode"]["limit"] == "memory"
    why = facts("qwen3-0.6b:Q5_K_M", "--ctx", 2048, "--why")["models"][0]["why"]
    for change, kind in (("smaller_type", "Q4_K_M"), ("bigger_type", "Q6_K")):
        there, = facts(f"qwen3-0.6b:{kind}", "--ctx", 2048)["models"]
        assert why[change]["type"] == kind
        assert all(why[change][key] == there[key] for key in same), change
    seconds = [why["decode"][f"{k}_s"] for k in ("memory", "multiply", "attention", "sync", "rest")]
    assert abs(1 / sum(seconds) - why["now"]["decode_per_s"]) < 1e-6 * why["now"]["decode_per_s"]
    assert abs(max(seconds) / sum(seconds) - why["decode"]["share"]) < 1e-9
    text = hearth("fit", "qwen3-0.6b:Q5_K_M", "--why").out
    assert "it is the limit" in text and "A smaller quantisation, Q4_K_M" in text
    assert all(len(line) <= 80 for line in text.splitlines()[11:] if "https://" not in line)


# ---- what was measured ----

TASK = """hearth: 1
id: colours
privacy: private
prompt: 'Colour of {{input}}:'
sampling: {max_tokens: 4}
output: {kind: label, labels: [red, green]}
graders:
  - type: label
"""


def test_for_a_task():
    """Answers that somebody recorded of two models of the catalogue: the one that was right more often comes first."""
    folder = HOME / "work" / "tasks" / "colours"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(TASK)
    cases = [{"id": f"c{i}", "input": f"thing {i}", "expected": "red"} for i in range(20)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(c) + "\n" for c in cases))
    work = folder.parent.parent
    assert "no" in hearth("fit", "--for", "colors", cwd=work, code=3).err
    embed = ("--kind", "embedding", "--types", "Q8_0", "--json")
    before = hearth("fit", "--for", "colours", *embed, cwd=work).json()["table"]
    assert all(r["quality"] is None for r in before)
    for name, right in (("Qwen3-0.6B-Q8_0.gguf", 12), ("qwen3-1.7b", 18)):
        lines = [json.dumps({"task": "colours", "case": f"c{i}", "answer": "red" if i < right else "green",
                             "finish_reason": "stop", "model": name}) + "\n" for i in range(20)]
        (work / f"{right}.jsonl").write_text("".join(lines))
        hearth("measure", "colours", "--on", f"replay:{right}.jsonl", cwd=work)
    hearth("measure", "colours", "--on", f"local:{MODEL}", "--limit", 4, cwd=work)
    table = hearth("fit", "--for", "colours", "--types", "Q8_0,Q4_K_M", "--json", cwd=work).json()["table"]
    got = {(r["model"], r["type"]): r["quality"] for r in table if r["quality"]}
    assert got[("qwen3-0.6b", "Q8_0")]["pass"] == 12 and ("qwen3-0.6b", "Q4_K_M") not in got, got
    assert got[("qwen3-1.7b", "Q8_0")]["pass"] == got[("qwen3-1.7b", "Q4_K_M")]["pass"] == 18
    mine, = [q for (name, _), q in got.items() if name == MODEL]
    assert mine["n"] == 4 and mine["rate_lower"] <= mine["rate"] <= mine["rate_upper"]
    for c in CLASSES:
        rates = [r["quality"]["rate"] if r["quality"] else -1 for r in table if r["class"] == c]
        assert rates == sorted(rates, reverse=True)
    text = hearth("fit", "--for", "colours", "--types", "Q8_0", cwd=work).out
    assert "90 % [68, 99] of 20" in text and "60 % [36, 81] of 20" in text, text


def numerics():
    text = (ROOT / "src/base/numerics.h").read_text()
    return re.search(r'NUMERICS_VERSION "([^"]+)"', text)[1]


def test_past_error():
    """From a ledger that is made here: medians, what is left out, and why."""
    hearth("measure", "colours", "--on", "replay:12.jsonl", cwd=HOME / "work")  # a run on this machine to copy
    assert facts(MODEL)["past_error"]["decode"]["n"] in (0, 1)
    db = sqlite3.connect(HOME / "ledger.db")
    columns = [c[1] for c in db.execute("pragma table_info(run)")]
    old = dict(zip(columns, db.execute("select * from run order by id desc limit 1").fetchone()))
    evidence = dict(zip([c[1] for c in db.execute("pragma table_info(evidence)")],
                        db.execute("select * from evidence limit 1").fetchone()))

    def add(table, row):
        db.execute(f"insert into {table} ({','.join(row)}) values ({','.join('?' * len(row))})", list(row.values()))

    add("evidence", dict(evidence, id="e" * 64, numerics=numerics()))
    add("evidence", dict(evidence, id="f" * 64, numerics="another"))
    count = [0]

    def fact(run, name, value):
        count[0] += 1
        add("fact", {"id": f"01a00000-0000-7000-8000-{count[0]:012d}", "at_us": 1, "run": run, "name": name,
                     "value": value, "unit": "1/s"})

    runs = [("e", None, 110, 100, 1010, 1000), ("e", 0.1, 80, 100, 990, 1000), ("e", 0.0, 104, 100, 1000, 1000),
            ("e", 1.5, 300, 100, 1000, 1000), ("f", 0.0, 500, 100, 9000, 1000)]
    for i, (e, others, said, came, planned, peak) in enumerate(runs):
        run = f"01b00000-0000-7000-8000-{i:012d}"
        add("run", dict(old, id=run, evidence=e * 64, task=""))
        if others is not None:
            fact(run, "others_processors", others)
        fact(run, "predicted_bench_decode_tokens_per_s_at_0", said)
        fact(run, "bench_decode_tokens_per_s_at_0", came)
        fact(run, "predicted_bench_peak_bytes", planned)
        fact(run, "bench_peak_bytes", peak)
        fact(run, "predicted_prefill_tokens_per_s", 7)  # of nothing that was measured
    db.commit()
    db.close()
    past = facts(MODEL)["past_error"]
    decode = [abs(x) for x in (0.10, -0.20, 0.04)]
    mine = past["decode"]["n"] - 3  # what the test above has measured with a real model
    assert mine in (0, 1) and past["busy"] + mine in (1, 2)
    if mine == 0:
        assert abs(past["decode"]["median"] - sorted(decode)[1]) < 1e-9
        assert abs(past["decode"]["worst"] - 0.2) < 1e-9 and abs(past["decode"]["bias"] - 0.04) < 1e-9
    assert past["memory"]["n"] == 4 and past["prefill"]["n"] == 0
    assert past["other_versions"] == 2 and past["peaks_over_plan"] == 1, past
    said = " ".join(hearth("fit", MODEL).out.split())
    assert "memory 0.5 % (n 4)" in said and "2 of other versions left out" in said, said


# ---- elsewhere ----

class Files(http.server.ThreadingHTTPServer):
    """Serves {name: (first bytes, length)}: more than the first bytes is zeros, and nobody should ask for it."""

    def __init__(self, files):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.sent, self.asked = files, 0, []
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.strip("/")
        self.server.asked.append(name)
        if name not in self.server.files:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data, size = self.server.files[name]
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        body = data[first:min(last + 1, size)]
        body += bytes(min(last + 1, size) - first - len(body))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{size}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"one"')
        self.end_headers()
        self.server.sent += len(body)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def read_value(b, at, kind):
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", b, at)[0]
    if kind != 9:
        return at + sizes[kind]
    inner, n = struct.unpack_from("<IQ", b, at)
    at += 12
    for _ in range(n if inner in (8, 9) else 0):
        at = read_value(b, at, inner)
    return at if inner in (8, 9) else at + n * sizes[inner]


def split(b, bytes_of):
    """The headers of the model as two files, each (header, length): the tensors by turns."""
    n_tensors, n_keys = struct.unpack_from("<QQ", b, 8)
    at = 24
    for _ in range(n_keys):
        at += 8 + struct.unpack_from("<Q", b, at)[0]
        at = read_value(b, at + 4, struct.unpack_from("<I", b, at)[0])
    keys, infos = b[24:at], []
    for _ in range(n_tensors):
        n, = struct.unpack_from("<Q", b, at)
        dims, = struct.unpack_from("<I", b, at + 8 + n)
        end = at + 8 + n + 4 + 8 * dims + 4
        infos.append((b[at + 8:at + 8 + n].decode(), b[at:end]))
        at = end + 8

    def key(name, kind, value):
        return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", 2 if kind == "H" else 5) + \
            struct.pack("<" + kind, value)

    parts = []
    for no in (0, 1):
        mine, offset = infos[no::2], 0
        extra = key("split.no", "H", no) + key("split.count", "H", 2) + key("split.tensors.count", "i", n_tensors)
        head = b[:8] + struct.pack("<QQ", len(mine), (n_keys if no == 0 else 0) + 3)
        head += (keys if no == 0 else b"") + extra
        for name, info in mine:
            head += info + struct.pack("<Q", offset)
            offset += (bytes_of[name] + 31) // 32 * 32
        head += bytes(-len(head) % 32)
        parts.append((head, len(head) + offset))
    return parts


def test_a_model_that_is_elsewhere():
    path = CACHE / f"{MODEL}.gguf"
    whole = path.read_bytes()
    here, = facts(MODEL, "--ctx", 1024)["models"]
    tensors = {t["name"]: t["bytes"] for t in hearth("show", MODEL, "--json").json()["tensors"]}
    first, second = split(whole, tensors)
    server = Files({f"{MODEL}.gguf": (whole, len(whole)), "two-00001-of-00002.gguf": first,
                    "two-00002-of-00002.gguf": second, "text.gguf": (b"no model " * 1000, 9000)})
    there, = facts(f"{server.url}/{MODEL}.gguf", "--ctx", 1024)["models"]
    same = ("arch", "type", "params", "file_bytes", "weights_bytes", "kv_bytes", "need_bytes", "model")
    assert {k: there[k] for k in same} == {k: here[k] for k in same} and there["present"] is False
    assert server.sent <= 8 * MIB, f"{server.sent} bytes for a header"
    assert "not downloaded" in hearth("fit", f"{server.url}/{MODEL}.gguf", "--why").out
    server.sent = 0
    two, = facts(f"{server.url}/two-00001-of-00002.gguf", "--ctx", 1024)["models"]
    same = ("arch", "type", "params", "weights_bytes", "kv_bytes", "weights")
    assert {k: two[k] for k in same} == {k: here[k] for k in same}
    assert two["file_bytes"] == first[1] + second[1] and server.sent <= 9 * MIB
    assert "two-00002-of-00002.gguf" in server.asked
    hearth("fit", f"{server.url}/text.gguf", code=3, says="GGUF")
    hearth("fit", f"{server.url}/gone.gguf", code=None, says="404")
    server.shutdown()
    assert [p.name for p in (HOME / "models").iterdir() if not p.is_symlink() and p.is_file()] == [], "nothing is kept"


run_tests(globals())
