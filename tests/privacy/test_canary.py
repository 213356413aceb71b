"""tools/canary for a few seconds: the whole of it runs with every test, so that it does not rot. What it proves takes
longer: `make torture`."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLOW = "san-" in os.environ.get("HEARTH_BUILD", "build")

done = subprocess.run([sys.executable, str(ROOT / "tools/canary"), "--requests", "700", "--seed", "test", "--seconds",
                       "30" if SLOW else "5"], cwd=ROOT)
if done.returncode:
    sys.exit(done.returncode)
sys.path.insert(0, str(ROOT / "tests"))
from canary import leaks  # noqa: E402

leaks.check_texts()
print("ok: every leak of tests/canary/leaks.py can still be made")
