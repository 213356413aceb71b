#!/usr/bin/env python3
"""The commands that state facts: show, tokenize, fit, and the first steps of task, measure and route."""
import hashlib
import json
import math
import pathlib
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from hearth import BASE_MODEL, CACHE, ENVIRONMENT, HEARTH, HOME, MODEL, TINY, hearth, run_tests  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = (CACHE / f"{MODEL}.gguf").resolve()


def test_show():
    text = hearth("show", MODEL).out
    name, params, tensors, layers = ("tiny", "3.2", 20, 2) if TINY else ("smollm", "134.5", 272, 30)
    for said in ("llama", name, "8192", f"{params} million in {tensors} tensors", "Q4_1", "Q8_0"):
        assert said in text, said
    keys = hearth("show", MODEL, "--keys").out
    assert "general.architecture = \"llama\"" in keys and "... 49152 in all" in keys
    rows = [w.split() for w in hearth("show", MODEL, "--tensors").out.splitlines() if w.endswith(" bytes")]
    assert len(rows) == tensors
    facts = hearth("show", MODEL, "--json", "--digest").json()
    assert facts["version"] == 3 and facts["keys"]["llama.block_count"] == layers
    assert facts["sha256"] == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert [(t["name"], t["bytes"]) for t in facts["tensors"]] == [(w[0], int(w[-2])) for w in rows]
    assert facts["keys"]["tokenizer.chat_template"] + "\n" == hearth("show", MODEL, "--template").out
    assert "finite" in hearth("show", MODEL, "--check").out
    hearth("show", BASE_MODEL, "--template", code=3, says="tokenizer.chat_template")
    assert hearth("show", "SmolLM2").out == text, "a beginning that only one model has is enough"
    hearth("show", code=2, says="exactly one MODEL")
    hearth("show", MODEL[:-1] + "7", code=3, says=f"did you mean '{MODEL}'?")


def test_bad_files():
    """Exit 3, naming the file and the place in it."""
    whole = FILE.read_bytes()
    header = whole[:24]
    cut = whole[:len(whole) // 2]
    missing = len(whole) - len(cut)
    swapped = header[:4] + struct.pack(">IQQ", *struct.unpack("<IQQ", header[4:24]))
    first_key = struct.pack("<Q", 1 << 60) + whole[32:4096]
    name = whole.index(b"blk.0.attn_q.weight")
    wrong_type = whole[:name + 19 + 4 + 16] + struct.pack("<I", 4000) + whole[name + 19 + 4 + 20:]
    with tempfile.TemporaryDirectory() as folder:
        for label, data, says in (
            ("truncated", cut, f"truncated: {missing} bytes ({missing / 2**20:.3g} MiB) are missing"),
            ("header", whole[:500], "damaged or cut"),
            ("empty", b"", ""),
            ("text", b"This is a text and not a model.\n" * 10, "GGUF"),
            ("endian", swapped + whole[24:4096], "endian"),
            ("version", header[:4] + struct.pack("<I", 99) + whole[8:4096], "99"),
            ("length", header + first_key + whole[4096:2_000_000], "key"),
            ("type", wrong_type, "blk.0.attn_q.weight"),
        ):
            path = pathlib.Path(folder) / f"{label}.gguf"
            path.write_bytes(data)
            for command in (["show"], ["tokenize"], ["fit"], ["run"], ["perplexity"]):
                if label in ("truncated", "type") and command != ["show"]:
                    continue
                rest = {"tokenize": ["x"], "run": ["x"], "perplexity": ["LICENSE"]}.get(command[0], [])
                r = hearth(*command, path, *rest, code=3)
                assert str(path) in r.err and says in r.err, (label, command, r.err)


def test_bad_scale_is_found():
    """--check reads the rows: one NaN in a norm, and the tensor and the place are named."""
    whole = bytearray(FILE.read_bytes())
    facts = hearth("show", MODEL, "--json").json()
    norm = next(t for t in facts["tensors"] if t["name"] == "output_norm.weight")
    assert norm["type"] == "F32" and norm["bytes"] == (64 if TINY else 576) * 4
    # the file ends with the tensors' data in the directory's order: find this one from the aligned sizes
    end = len(whole)
    for t in reversed(facts["tensors"]):
        end -= (t["bytes"] + 31) // 32 * 32
        if t["name"] == norm["name"]:
            break
    whole[end + 40:end + 44] = struct.pack("<f", float("nan"))
    with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
        f.write(whole)
        f.flush()
        r = hearth("show", f.name, "--check", code=3, says="output_norm.weight")
        assert f.name in r.err


def test_tokenize():
    for model in [MODEL] if TINY else [MODEL, BASE_MODEL]:  # a large vocabulary is read slowly under a sanitizer
        for text in ("Hello, world", "naïve café — 東京 🎉", "  two  blanks ", "a\tb"):
            ids = hearth("tokenize", model, text).out
            assert hearth("tokenize", model, "--decode", ids.strip()).out == text + "\n", (model, text)
            as_json = hearth("tokenize", model, text, "--json")
            assert as_json.json() == [int(i) for i in ids.split()]
            assert hearth("tokenize", model, "-d", stdin=as_json.out).out == text + "\n"
            assert hearth("tokenize", model, text, "--count").out == f"{len(ids.split())}\n"
            pieces = hearth("tokenize", model, text, "--pieces").out.splitlines()
            assert [p.split("\t")[0] for p in pieces] == ids.split()
    lines = hearth("tokenize", MODEL, "--lines", "--json", stdin="one\n\ntwo three\n").out.splitlines()
    assert [len(json.loads(line)) for line in lines] == [1, 0, 2]
    back = hearth("tokenize", MODEL, "--lines", "--decode", stdin="\n".join(lines) + "\n").out
    assert back == "one\n\ntwo three\n"
    assert hearth("tokenize", MODEL, "<|im_end|>", "--special").out == "2\n"
    assert len(hearth("tokenize", MODEL, "<|im_end|>").out.split()) > 1, "a special token was read unasked"
    assert hearth("tokenize", BASE_MODEL, "x", "--bos").out.split()[0] == "2"
    hearth("tokenize", MODEL, "-d", "1 2 49152", code=3, says="'49152' is not one of the tokens 0 to 49151")
    hearth("tokenize", MODEL, "-d", "one", code=3, says="'one' is not one of the tokens")


def test_fit():
    facts = hearth("fit", MODEL, "--ctx", 2048, "--json").json()
    machine, (model,) = facts["machine"], facts["models"]
    assert machine["memory_total"] >= machine["memory_usable"] > 0 and machine["read_bytes_per_s"] > 1e8
    assert 1 <= machine["threads"] <= machine["cores_online"]
    parts = sum(model[f"{k}_bytes"] for k in ("weights", "kv", "scratch", "vocab", "load", "process"))
    assert model["need_bytes"] == parts and model["fits"] and model["context"] == 2048
    layers, heads, size = (2, 2, 16) if TINY else (30, 3, 64)
    assert model["kv_bytes"] == 2048 * layers * 2 * heads * size * 2, "F16 keys and values of every layer and head"
    assert model["decode_per_s"] > model["decode_full_context_per_s"] > 0 and model["kv"] == "f16"
    (q8,) = hearth("fit", MODEL, "--ctx", 2048, "--kv", "q8", "--json").json()["models"]
    scales = (size + 31) // 32 + 1  # of keys by 32, one of values
    assert q8["kv"] == "q8" and q8["kv_bytes"] == 2048 * layers * heads * (2 * size + 4 * scales)
    taken = [m["need_bytes"] - m["kv_bytes"] - m["process_bytes"] for m in (model, q8)]
    assert taken[0] == taken[1] and q8["process_bytes"] < model["process_bytes"], "page tables are of the process"
    hearth("fit", MODEL, "--kv", "q4", code=2, says="f16, q8 or f32")
    here = [r for r in hearth("fit", "--types", "Q8_0", "--json").json()["table"] if r["present"]]
    assert len(here) == 2, "without names: what is in the models directory, and the catalogue"
    # too small: exit 4, and the context that it names instead does fit, one page of 64 more does not
    tight, nothing = ("22M", "1M") if TINY else ("160M", "50M")
    no = hearth("fit", MODEL, "--mem", tight, "--json", code=4).json()["models"][0]
    assert no["fits"] is False and 0 < no["largest_context"] < 8192
    largest = no["largest_context"]
    assert f"it would fit with --ctx {largest} (" in hearth("fit", MODEL, "--mem", tight, code=4).out
    hearth("fit", MODEL, "--mem", tight, "--ctx", largest)
    hearth("run", MODEL, "Hello", "--mem", tight, "--ctx", largest, "-n", 2)
    hearth("fit", MODEL, "--mem", tight, "--ctx", largest + 64, code=4)
    none = hearth("fit", MODEL, "--mem", nothing, code=4).out
    assert "a smaller model" in none


def test_task_measure_route():
    """The smallest walk of a fact: measured, kept, explained. Their own tests go into the depth."""
    tasks = hearth("task", "list", "--json", cwd=ROOT)
    assert "ticket-class" in tasks.out
    hearth("task", "lint", "tasks/ticket-class", cwd=ROOT)
    json.loads(hearth("task", "show", "ticket-class", "--json", cwd=ROOT).out)
    hearth("task", "show", "ticket-clas", code=3, says="ticket-class", cwd=ROOT)
    measured = hearth("measure", "ticket-class", "--on", f"local:{MODEL}", "--limit", 3, "--json", cwd=ROOT)
    json.loads(measured.out)
    json.loads(hearth("route", "ticket-class", "--json", cwd=ROOT, code=1).out)
    assert oct((HOME / "ledger.db").stat().st_mode & 0o777) == "0o600"
    assert "ticket-class" in hearth("route", "--explain", "ticket-class", cwd=ROOT, code=1).out
    hearth("measure", "ticket-class", "--on", "local:none", code=3, cwd=ROOT)
    hearth("measure", "no-such-task", "--on", f"local:{MODEL}", code=3, says="no-such-task", cwd=ROOT)


def test_help_of_every_command():
    listed = [line.split()[0] for line in hearth("help").out.splitlines() if line.startswith("  ")]
    assert len(listed) >= 11
    for name in set(listed) - {"help", "version"}:
        page = hearth(name, "--help").out
        assert page == hearth("help", name).out
        assert "example" in page, name
        if name not in ("run", "serve", "embed", "import"):  # a talk, a log, JSON always, a file
            assert "--json" in page, f"{name} prints facts without --json"


def test_full_disk():
    """Facts that could not be written are an error, of every command that prints facts."""
    for args in (["show", MODEL], ["tokenize", MODEL, "x"], ["fit", MODEL], ["task", "list"], ["route"], ["version"]):
        with open("/dev/full", "w") as full:
            r = subprocess.run([HEARTH, *args], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT)
        assert r.returncode == 3 and b"No space left" in r.stderr, (args, r.returncode, r.stderr)


run_tests(globals())
