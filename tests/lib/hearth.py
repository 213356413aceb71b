"""Runs build/hearth for tests, with a HEARTH_HOME of its own that holds the real models. Exits 77 without them."""
import atexit
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from served import BUILD, CACHE, MODEL, TINY, need

HEARTH = str(BUILD / "hearth")
BASE_MODEL = "gemma-3-270m-q4_k_m"
HOME = pathlib.Path(tempfile.mkdtemp(prefix="hearth-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "models").mkdir()
for name in (MODEL, BASE_MODEL):
    (HOME / "models" / f"{name}.gguf").symlink_to(need(CACHE / f"{name}.gguf"))
ENVIRONMENT = dict(os.environ, HEARTH_HOME=str(HOME))


class Result:
    def __init__(self, args, done):
        self.args, self.code = args, done.returncode
        self.out, self.err = done.stdout.decode(), done.stderr.decode()
        for stream in (self.out, self.err):
            assert "\x1b" not in stream and "\r" not in stream, f"{args}: colours or bars in a pipe: {stream!r}"

    def json(self):
        return json.loads(self.out)


def hearth(*args, code=0, stdin=b"", says=None, **more):
    """Runs it and checks the exit code (None: any); says: what standard error must contain."""
    args = [str(a) for a in args]
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([HEARTH, *args], input=stdin, capture_output=True, env=ENVIRONMENT, timeout=120, **more)
    r = Result(args, done)
    assert code is None or r.code == code, f"{args}: exit {r.code}, expected {code}:\n{r.out}\n{r.err}"
    assert "WARNING: ThreadSanitizer" not in r.err, r.err
    if code in (2, 3, 5) or code == 4 and args[0] != "fit":
        speakers = (f"hearth {args[0]}: ", f"hearth {' '.join(args[:2])}: ")  # a verb names itself too
        assert r.err.startswith(speakers), f"{args}: the error does not say who speaks: {r.err!r}"
        assert not r.out or args[0] == "fit", f"{args}: an error on stdout: {r.out!r}"
    if says is not None:
        assert says in r.err, f"{args}: {says!r} is not in {r.err!r}"
    return r


def run_tests(names):
    for name, test in list(names.items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:])
