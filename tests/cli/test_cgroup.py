"""Inside real memory limits: whatever is asked for either works or is refused with the arithmetic; the kernel's OOM
killer never strikes; and what fits by the prediction does start. --full: all limits and commands (`make torture`)."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.cgroup import MIB, Cgroup, strikes  # noqa: E402
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need  # noqa: E402

if "san-" in str(BUILD) or TINY:
    print("a sanitizer has memory of its own, and a tiny model next to none")
    sys.exit(77)

FULL = "--full" in sys.argv
HEARTH, MAKER = str(BUILD / "hearth"), str(BUILD / "tests/fit/test_memory")
SMOLLM2, GEMMA = need(CACHE / f"{MODEL}.gguf"), need(CACHE / "gemma-3-270m-q4_k_m.gguf")
LIMITS = [96, 160, 256, 400, 700] if FULL else [128, 400]
WORDS = "one two three four five six seven eight nine ten".split()
ARITHMETIC = re.compile(r"weights [\d.]+ [KMG]iB.* = [\d.]+ [KMG]iB, of [\d.]+ [KMG]iB|no memory is left of the budget|"
                        r"both models are open at once|needs? [\d.]+ [KMG]iB")
counts = {"works": 0, "refused": 0}


def text_of(n):
    return " ".join(WORDS[k % len(WORDS)] for k in range(n))


def fit_need(path, context, kv):
    out = subprocess.run([MAKER, "plan", str(path), str(context), kv, "1", "2"], capture_output=True, check=True)
    return json.loads(out.stdout)["need"]


def verdict(what, limit, code, text):
    assert code in (0, 4), (what, limit, code, text[-500:])
    assert code == 0 or ARITHMETIC.search(text), (what, text[-500:])
    counts["works" if code == 0 else "refused"] += 1
    print(f"{limit:4} MiB  {what:42} {'works' if code == 0 else 'refused: ' + text.strip()[-150:]}", flush=True)


def one_command(limit, what, args, text="", must=None, may=None, home=None):
    """In a cgroup of its own. must: True if it has to start, False if it cannot, None: either."""
    with Cgroup(limit * MIB) as g:
        environment = dict(os.environ, **({"HEARTH_HOME": str(home)} if home else {}))
        code, _, err = g.run(args, text, env=environment)
        verdict(what, limit, code, err)
        assert g.killed() == 0, (what, limit, "the OOM killer struck")
        assert must is not True or code == 0, (what, limit, "it would have fitted", err)
        assert must is not False or code == 4, (what, limit, "it cannot fit", err)


def runs(limit, shape):
    """Those of the small shape fill their contexts to the end."""
    rows = [(SMOLLM2, 512, "f16", 300), (SMOLLM2, 4096, "f16", 20), (shape, 4096, "f32", 4040)]
    if FULL:
        rows += [(GEMMA, 512, "q8", 300), (shape, 1024, "f16", 980), (SMOLLM2, 8192, "q8", 20),
                 (GEMMA, 8192, "f32", 20), (shape, 8192, "f16", 8140)]
    for path, context, kv, words in rows:
        bytes_needed = fit_need(path, context, kv)
        must = True if bytes_needed <= 0.9 * (limit - 2) * MIB else False if bytes_needed > limit * MIB else None
        one_command(limit, f"run {path.stem[:12]} --ctx {context} --kv {kv}",
                    [HEARTH, "run", str(path), "--raw", "--ctx", str(context), "--kv", kv, "-n", "8", "-t", "2"],
                    text_of(words), must)


def others(limit, shape, home):
    plain = home / "text"
    plain.write_text(text_of(1500))
    one_command(limit, "quantize", [HEARTH, "quantize", str(SMOLLM2), str(home / "q.gguf"), "--type", "q4_0", "--plain"],
                must=True, home=home)
    (home / "q.gguf").unlink(missing_ok=True)
    one_command(limit, "measure", [HEARTH, "measure", "ticket-class", "--on", f"local:{SMOLLM2}", "--limit", "3", "--ctx",
                                   "1024"], home=home)
    if not FULL:
        return
    one_command(limit, "bench", [HEARTH, "bench", str(shape), "--quick", "--forget", "-t", "2"], home=home)
    one_command(limit, "perplexity", [HEARTH, "perplexity", str(SMOLLM2), str(plain), "--windows", "1"], home=home)
    one_command(limit, "compare", [HEARTH, "compare", str(shape), str(shape), str(plain), "--windows", "1"], home=home)
    one_command(limit, "embed", [HEARTH, "embed", str(SMOLLM2), text_of(20), "--ctx", "512"], home=home)
    one_command(limit, "run --json", [HEARTH, "run", str(SMOLLM2), "--json", "-n", "20", "--ctx", "1024", "hello"],
                home=home)


class LimitedServer(Served):
    def __init__(self, group, **more):
        super().__init__(**more)
        self.group = group

    def __enter__(self):
        self.log = open(self.home / "log", "w+b")
        self.process = self.group.start(self.args, env=self.environment, stderr=self.log)
        return self.wait_for_health()


def served(limit, shape):
    """Two models in turns and together, several clients, one of them with a body that is large."""
    with Cgroup(limit * MIB) as g, LimitedServer(g, args=["--ctx", "1024", "--threads", "2"]) as s:
        (s.home / "models" / "shape.gguf").symlink_to(shape)
        (s.home / "models" / "gemma.gguf").symlink_to(GEMMA)
        peak, over = [0], threading.Event()

        def watch():
            while not over.wait(0.02):
                peak[0] = max(peak[0], g.anonymous())

        def ask(i):
            model = [MODEL, "shape", "gemma"][i % 3]
            body = {"model": model, "prompt": text_of(700 if i % 2 else 40), "max_tokens": 8, "temperature": 1, "seed": i}
            if i == 7:
                body["prompt"] = "a" * (3 << 20)
            try:
                return model, s.ask("/v1/completions", body, timeout=200)
            except OSError as e:  # refused by its header: the server reads no body that it has no room for
                assert i == 7, e
                return model, (413, {}, "the body was not read")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for model, (code, _, text) in pool.map(ask, range(12 if FULL else 8)):
                known = ARITHMETIC.search(text) or re.search(r"no memory (for|to)|the context|body|come back later", text)
                assert code == 200 or (code in (400, 413, 500, 503) and known), (limit, model, code, text)
                counts["works" if code == 200 else "refused"] += 1
                print(f"{limit:4} MiB  serve {model[:12]:36} {code} {'' if code == 200 else text.strip()[:150]}", flush=True)
        over.set()
        watcher.join()
        assert s.ask("/health")[0] == 200
        assert g.killed() == 0, (limit, "the OOM killer struck")
        assert peak[0] < limit * MIB
        assert "was killed by signal 9" not in s.said()


def nested():
    """The tightest limit counts, of whichever ancestor, and pages of files that were read do not."""
    def free_in(folder):
        def enter():
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        out = subprocess.run([HEARTH, "fit", "--json"], capture_output=True, check=True, preexec_fn=enter,
                             env=dict(os.environ, HEARTH_HOME=str(folder)))
        m = json.loads(out.stdout)["machine"]
        return m["memory_limit"], m["memory_usable"]

    with Cgroup(200 * MIB) as g:
        inner = g.folder / "inner"
        inner.mkdir()
        try:
            limit, usable = free_in(inner)
            assert limit == 200 * MIB and usable > 190 * MIB, (limit, usable)
            for _ in range(2):  # twice: active pages
                subprocess.run(["cat", str(SMOLLM2)], stdout=subprocess.DEVNULL, check=True, preexec_fn=lambda: (
                    inner / "cgroup.procs").write_text(str(os.getpid())))
            limit, usable = free_in(inner)
            assert limit == 200 * MIB and usable > 185 * MIB, (limit, usable)
        finally:
            for _ in range(100):
                try:
                    inner.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)


def main():
    if not strikes():
        print("a limit that is overrun kills nobody here: skipped")
        return 77
    if Cgroup(MIB).version_here() == 1:  # version 2 wants the controller handed down, which others may not
        nested()
    folder = pathlib.Path(tempfile.mkdtemp(dir=BUILD))
    try:
        shape = folder / "keys.gguf"
        subprocess.run([MAKER, "shape", "keys", str(SMOLLM2), str(shape)], check=True)
        for limit in LIMITS:
            runs(limit, shape)
            others(limit, shape, folder)
            served(limit, shape)
    finally:
        shutil.rmtree(folder)
    print(f"{counts['works']} worked, {counts['refused']} were refused; nobody was killed")
    assert counts["works"] and counts["refused"]
    return 0


sys.exit(main())
