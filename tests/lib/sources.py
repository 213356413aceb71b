"""`hearth pull` for tests of its sources: from servers of our own (hub.py), into a models directory of our own."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from lib.faulty import gguf
from lib.hub import Hub, sha256

BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
WORK = pathlib.Path(tempfile.mkdtemp(prefix="hearth-sources-"))
MODELS = WORK / "models"
hub = Hub()
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
atexit.register(hub.__exit__)
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


def run(names):
    """Every test_... of the file that asks."""
    for what, test in list(names.items()):
        if what.startswith("test_"):
            began = time.time()
            test()
            print(f"ok {what[5:]} {time.time() - began:.1f} s", flush=True)
