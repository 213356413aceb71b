"""The official OpenAI client for Node against a real `hearth serve` and a real model; openai_client.js asks."""
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import CACHE, MODEL, Served, need  # noqa: E402

NODE_OLDEST = 20


def node():
    """The program, or the end of this test."""
    path = shutil.which("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip() if path else "none"
    if not path or int(version.removeprefix("v").split(".")[0]) < NODE_OLDEST:
        print(f"Node {NODE_OLDEST} or newer is needed, there is {version}: skipped (Debian package nodejs)")
        sys.exit(77)
    return path


need(CACHE / f"{MODEL}.gguf")
client = need(CACHE / "openai-node")
program = node()
with Served() as served:
    script = pathlib.Path(__file__).resolve().parent / "openai_client.js"
    done = subprocess.run([program, script, client, served.url, MODEL], capture_output=True, text=True, timeout=280)
    print(done.stdout, end="")
    assert done.returncode == 0, done.stderr
