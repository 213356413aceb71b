#!/usr/bin/env python3
"""list, show, rm and verify, and models of other programs used where they lie: a Hugging Face cache, an Ollama store and
an LM Studio folder that hold the real small model."""
import hashlib
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from hearth import ENVIRONMENT, HEARTH, HOME, MODEL, TINY, hearth, run_tests  # noqa: E402
from served import CACHE, Served  # noqa: E402
from terminal import Terminal  # noqa: E402

FILE = (CACHE / f"{MODEL}.gguf").resolve()
BYTES = FILE.read_bytes()
SHA256 = hashlib.sha256(BYTES).hexdigest()
MODELS = HOME / "models"
USER = HOME / "user"
HUB, OLLAMA, STUDIO = USER / ".cache/huggingface/hub", USER / ".ollama/models", USER / ".lmstudio/models"
REPO = HUB / "models--own--Small-GGUF"
IMAGE = "application/vnd.ollama.image."
for name in ("HEARTH_PLACES", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "OLLAMA_MODELS"):
    ENVIRONMENT.pop(name, None)
ENVIRONMENT["HOME"] = str(USER)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def link(to, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


def manifest(name, *layers):
    model, tag = name.split(":")
    put(OLLAMA / "manifests/registry.ollama.ai/library" / model / tag,
        json.dumps({"schemaVersion": 2, "layers": [{"mediaType": IMAGE + kind, "digest": "sha256:" + digest,
                                                    "size": len(BYTES)} for kind, digest in layers]}))


def note(file, **facts):
    put(MODELS / f"{file}.json", json.dumps({"hearth": 1, "source": "hf:own/Small-GGUF", "licence": "Apache-2.0",
                                             "pulled": "2026-11-20T10:00:00Z", **facts}))


link(FILE, REPO / "blobs" / SHA256)
link(f"../../blobs/{SHA256}", REPO / "snapshots/c0ffee/Small-Q4_1.gguf")
put(REPO / "refs/main", "c0ffee")
link(FILE, OLLAMA / f"blobs/sha256-{SHA256}")
manifest("smol:135m", ("model", SHA256), ("license", "0" * 64))
manifest("llava:latest", ("model", SHA256), ("projector", "1" * 64))
put(STUDIO / "pub/Small/Studio-Q4_1.gguf", BYTES)
link(FILE, STUDIO / "pub/Small/mmproj-Small.gguf")
FOUND = ["hf:own/Small-GGUF/Small-Q4_1", "ollama:llava:latest", "ollama:smol:135m", "lmstudio:pub/Small/Studio-Q4_1"]


def listed(*args):
    return {m["name"]: m for m in hearth("list", "--json", *args).json()["models"]}


def test_list():
    own = listed()
    assert MODEL in own and len(own) == 2, own.keys()
    assert own[MODEL]["arch"] == "llama" and own[MODEL]["bytes"] == len(BYTES) and own[MODEL]["digests"] == []
    assert own[MODEL]["wrong"] is None and own[MODEL]["place"] == "models"
    all_of_them = listed("--all-places")
    assert list(all_of_them)[2:] == FOUND
    assert all_of_them[FOUND[0]]["digests"][0]["sha256"] == SHA256
    assert all_of_them[FOUND[2]]["digests"][0]["sha256"] == SHA256
    assert all_of_them[FOUND[3]]["digests"] == []
    assert "projector" in all_of_them[FOUND[1]]["wrong"]
    text = hearth("list").out
    assert "4 models of other programs can be used in place: hearth list --all-places" in text
    rows = {r.split()[0]: r for r in hearth("list", "-a").out.splitlines()[1:]}
    assert " llama " in rows[MODEL] and " known" in rows[FOUND[0]] and " lmstudio " in rows[FOUND[3]]
    hearth("list", MODEL, code=2, says=f"hearth show {MODEL}")


def test_damaged_ones_hide_nothing():
    put(MODELS / "cut.gguf", BYTES[:len(BYTES) // 2])
    put(MODELS / "text.gguf", "no model at all")
    put(MODELS / "es\x1b[31mcape.gguf", "no name for a terminal")
    put(MODELS / "noted.gguf", BYTES)
    put(MODELS / "noted.gguf.json", "{")
    found = listed()
    assert set(found) >= {MODEL, "cut", "text", "noted"} and not any("\x1b" in n for n in found)
    assert "missing" in found["cut"]["wrong"] and found["text"]["wrong"] and found[MODEL]["wrong"] is None
    assert "noted.gguf.json" in found["noted"]["wrong"] and found["noted"]["arch"] == "llama"
    text = hearth("list").out
    assert text.count("cannot be run: ") == 3, text
    for name in ("cut", "text", "noted", "es\x1b[31mcape"):
        (MODELS / f"{name}.gguf").unlink()
    (MODELS / "noted.gguf.json").unlink()


def test_show():
    (MODELS / "noted.gguf").symlink_to(FILE)
    note("noted.gguf", url="https://h/x.gguf", revision="c0ffee", sha256=SHA256, bytes=len(BYTES))
    text = hearth("show", "noted").out
    for said in ("source        hf:own/Small-GGUF", "revision      c0ffee", "pulled        2026-11-20T10:00:00Z",
                 "the models directory, as noted", f"digest        {SHA256} (the note says so"):
        assert said in text, (said, text)
    facts = hearth("show", "noted", "--json").json()
    assert facts["note"]["revision"] == "c0ffee" and facts["digests"][0]["from"] == "the note"
    row = listed()["noted"]
    assert row["licence"] == "Apache-2.0" and row["pulled"] == "2026-11-20T10:00:00Z"
    assert "Ollama's store, as ollama:smol:135m" in hearth("show", "smol:135m").out
    hearth("show", "llava", code=3, says="projector")
    put(MODELS / "noted.gguf.json", json.dumps({"hearth": 1, "source": "\x1b[31mred"}))
    assert "\x1b" not in hearth("show", "noted").out
    hearth("rm", "--yes", "noted")
    assert FILE.exists() and not (MODELS / "noted.gguf.json").exists()


def test_used_in_place():
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in USER.rglob("*"))
    want = hearth("run", MODEL, "Name a river.", "--max-tokens", "8", "--temp", "0").out
    for name in ("ollama:smol:135m", "hf:own/Small-GGUF:Q4_1", "Small-Q4_1", "studio"):
        assert hearth("run", name, "Name a river.", "--max-tokens", "8", "--temp", "0").out == want, name
    hearth("run", "llava", "Hello", code=3, says="projector")
    hearth("run", "ollama:smoll:135m", "Hello", code=3, says="did you mean 'ollama:smol:135m'?")
    hearth("fit", "ollama:smol:135m", "--json")
    assert sorted((str(p), p.lstat().st_mtime_ns) for p in USER.rglob("*")) == before, "something was written"


def test_verify():
    assert f"{FOUND[2]}: whole: " in hearth("verify", "ollama:smol:135m").out
    assert "no digest is known" in hearth("verify", MODEL).out
    facts = hearth("verify", "--all-places", "--json").json()["models"]
    by_name = {m["name"]: m for m in facts}
    assert all(m["whole"] for m in facts) and by_name[FOUND[0]]["proved"] and not by_name[FOUND[3]]["proved"]
    hearth("verify", code=2, says="--all")
    hearth("verify", "--all", MODEL, code=2, says="--all")
    hearth("verify", "nothing-like-it", code=3, says="nothing-like-it")


def wrong(name, *says, args=()):
    r = hearth("verify", name, *args, code=1)
    assert "WRONG" in r.out, r.out
    for text in says:
        assert text in r.out, (text, r.out)
    return r.out


def test_damage_is_found():
    flipped = bytearray(BYTES)
    flipped[len(BYTES) * 2 // 3] ^= 1
    put(MODELS / "noted.gguf", bytes(flipped))
    note("noted.gguf", sha256=SHA256, bytes=len(BYTES))
    wrong("noted", "noted.gguf: the SHA-256 is " + hashlib.sha256(flipped).hexdigest(), f"the note says {SHA256}")
    assert [m["name"] for m in hearth("verify", "--all", "--json", code=1).json()["models"] if not m["whole"]] == ["noted"]
    put(MODELS / "noted.gguf", BYTES[:-1000])
    wrong("noted", f"1000 of {len(BYTES)} bytes are missing")
    put(MODELS / "noted.gguf", BYTES + b"more")
    wrong("noted", f"has {len(BYTES) + 4} bytes, the note says {len(BYTES)}")
    put(MODELS / "noted.gguf", BYTES)
    assert "noted: whole" in hearth("verify", "noted").out
    note("noted.gguf", sha256="0" * 64)
    wrong("noted", f"the SHA-256 is {SHA256}, the note says {'0' * 64}")
    note("noted.gguf", sha256="short")
    wrong("noted", "the note's sha256")
    put(MODELS / "noted.gguf.json", "not JSON")
    wrong("noted", "noted.gguf.json")
    (MODELS / "noted.gguf.json").unlink()
    # without a digest: the header and where tensors end, and every value when that is asked for
    put(MODELS / "noted.gguf", BYTES[:-1000])
    wrong("noted", "truncated")
    put(MODELS / "noted.gguf", BYTES[:-64] + b"\xff" * 64)
    assert "no digest is known" in hearth("verify", "noted").out
    wrong("noted", "tensor", args=["--rows"])
    assert "every value" in hearth("verify", MODEL, "--rows").out
    # of other programs' blobs too
    blob = OLLAMA / f"blobs/sha256-{SHA256}"
    blob.unlink()
    put(blob, bytes(flipped))
    wrong("ollama:smol:135m", "its name in Ollama's store says " + SHA256)
    blob.unlink()
    blob.symlink_to(FILE)
    (MODELS / "noted.gguf").unlink()


def test_parts():
    """A split model: a note of all parts; the part that is damaged is named."""
    parts = [f"Split-0000{i}-of-00002.gguf" for i in (1, 2)]
    put(MODELS / parts[0], "first part")
    put(MODELS / parts[1], "second part")
    digests = [hashlib.sha256((MODELS / p).read_bytes()).hexdigest() for p in parts]
    note(parts[0], files=[{"name": p, "sha256": d} for p, d in zip(parts, digests)])
    assert parts[1] not in wrong("Split"), "only that the first part is no GGUF file"
    put(MODELS / parts[1], "second parT")
    assert f"{parts[1]}: the SHA-256 is" in wrong("Split") and f"{parts[0]}: the" not in wrong("Split")
    (MODELS / parts[1]).unlink()
    wrong("Split", parts[1])
    put(MODELS / parts[1], "second part")
    hearth("rm", "-y", "Split")
    assert not list(MODELS.glob("Split*"))


def test_rm():
    for name in ("Doomed.gguf", "Doomed.gguf.part", "Doomed.gguf.part.state", ".pull/key/Doomed.gguf.part", "Doomed2.gguf",
                 "Doomed.gguf.txt"):
        put(MODELS / name, "x")
    note("Doomed.gguf")
    kept = {MODELS / "Doomed2.gguf", MODELS / "Doomed.gguf.txt"}
    hearth("rm", "Doomed", code=2, says="--yes")
    hearth("rm", code=2, says="models are needed")
    hearth("rm", "--yes", "Doome", code=3, says="Doomed")
    hearth("rm", "--yes", "doomed2", code=3, says="only whole names are removed; did you mean 'Doomed2'?")
    hearth("rm", "--yes", "Doomed", "nothing-like-it", code=3)
    assert (MODELS / "Doomed.gguf").exists(), "nothing is removed unless all names are known"
    with Terminal([HEARTH, "rm", "Doomed"], ENVIRONMENT) as t:
        t.expect(r"remove Doomed \(5 files, [^)]*\)\? \[y/N\] ")
        t.type("n\n")
        assert t.ended() == 1
    assert (MODELS / "Doomed.gguf").exists()
    with Terminal([HEARTH, "rm", "Doomed"], ENVIRONMENT) as t:
        t.expect(r"\[y/N\] ")
        t.type("y\n")
        t.expect("removed Doomed: 5 files")
        assert t.ended() == 0
    put(MODELS / ".pull/key/Doomed3.gguf.part", "interrupted")
    gone = hearth("rm", "-y", "--json", "Doomed3").json()["removed"]
    assert [pathlib.Path(p).name for p in gone[0]["files"]] == ["Doomed3.gguf.part"], gone
    left = {p for p in MODELS.rglob("*Doomed*")}
    assert left == kept, left
    for p in kept:
        p.unlink()
    for name, says in (("ollama:smol:135m", "ollama rm smol:135m"), ("smol:135m", "ollama rm smol:135m"),
                       ("hf:own/Small-GGUF/Small-Q4_1", "hf cache rm model/own/Small-GGUF"),
                       ("lmstudio:pub/Small/Studio-Q4_1", "LM Studio"), (str(FILE), "is a path")):
        r = hearth("rm", "-y", name, code=1)
        assert says in r.err, r.err
    assert list(listed("-a"))[2:] == FOUND


def test_a_server_uses_them():
    places = {"HEARTH_PLACES": "hf,ollama,lmstudio", "HOME": str(USER)}
    usable = [n for n in FOUND if "llava" not in n]
    with Served(environment=places) as s:
        ids = [m["id"] for m in json.loads(s.ask("/v1/models")[2])["data"]]
        assert MODEL in ids and not set(ids) & set(FOUND), ids
        ask = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0}
        want = json.loads(s.ask("/v1/chat/completions", dict(ask, model=MODEL))[2])["choices"][0]["message"]["content"]
        for name in ("ollama:smol:135m", "smol:135m", usable[0]):
            status, headers, text = s.ask("/v1/chat/completions", dict(ask, model=name))
            assert status == 200 and headers["x-hearth-provider"] == name, (status, headers, text)
            assert json.loads(text)["choices"][0]["message"]["content"] == want
        status, _, text = s.ask("/v1/chat/completions", dict(ask, model="llava"))
        assert status in (400, 422, 501) and "projector" in text, (status, text)
        status, _, text = s.ask("/api/delete", {"model": "ollama:smol:135m"}, method="DELETE")
        assert status == 404, (status, text)
        assert s.ask("/api/generate", {"model": "smol:135m", "keep_alive": 0})[0] == 200
    with Served("version: 1\nfound_models: true\n", environment=places) as s:
        ids = [m["id"] for m in json.loads(s.ask("/v1/models")[2])["data"]]
        assert [i for i in ids if ":" in i and not i.startswith("task:")] == usable, ids
        assert s.ask("/v1/models/" + usable[0])[0] == 200
        tags = {m["name"]: m for m in json.loads(s.ask("/api/tags")[2])["models"]}
        assert tags["ollama:smol:135m"]["digest"] == SHA256 and usable[0] + ":latest" in tags, tags.keys()
        show = json.loads(s.ask("/api/show", {"model": "ollama:smol:135m"})[2])
        assert show["details"]["family"] == "llama" and "modified_at" in show, show


run_tests(globals())
