"""What is predicted is what is taken: real processes of `hearth run` and `hearth serve`, filled to the end of their
contexts, against fit's bytes. Without arguments small models of random weights, for `make test`; --full: models of real
shapes too, for `make torture`; it takes a quarter of an hour and 3 GiB."""
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

if "san-" in str(BUILD) or TINY:
    print("a sanitizer has memory of its own, and a tiny model next to none")
    sys.exit(77)

FULL = "--full" in sys.argv
MIB = 1 << 20
SMOLLM2, GEMMA = need(CACHE / f"{MODEL}.gguf"), need(CACHE / "gemma-3-270m-q4_k_m.gguf")
VOCABS = CACHE / "vocabs"
MAKER = str(BUILD / "tests/fit/test_memory")
THREADS = 2
WORDS = "one two three four five six seven eight nine ten".split()
SPARE = 40  # positions that are left free: what a tokenizer and a model add
# The larger of a share of the peak and so many bytes; and never less than the peak.
SHARE, BYTES = 0.02, 16 * MIB

# model: a file, or shape and whose vocabulary; contexts, KV types, answers at once
SHORT = [("keys", SMOLLM2, 1024, "f16", 1), ("keys", SMOLLM2, 1024, "q8", 1), ("keys", SMOLLM2, 1024, "f32", 1),
         ("words", SMOLLM2, 512, "f16", 1), ("words", SMOLLM2, 2048, "f32", 1),
         ("window", GEMMA, 512, "f16", 1), ("window", GEMMA, 1024, "q8", 1), ("deep", SMOLLM2, 512, "f16", 1),
         ("deep", SMOLLM2, 1024, "q8", 1),
         ("keys", SMOLLM2, 512, "f16", 4), ("words", SMOLLM2, 512, "q8", 4), ("window", GEMMA, 512, "f32", 4),
         ("deep", SMOLLM2, 256, "f16", 4)]
LONG = [(m, like, c, kv, 1) for m, like in ((SMOLLM2, None), (GEMMA, None)) for c in (512, 4096, 8192)
        for kv in ("f16", "q8", "f32")]
LONG += [(m, like, c, kv, 1) for m, like in (("qwen3-0.6b", "qwen2"), ("llama-1b", "llama-bpe"))
         for c, kv in ((512, "f16"), (4096, "q8"), (4096, "f32"), (8192, "f16"))]
LONG += [(SMOLLM2, None, 4096, "f16", 4), (SMOLLM2, None, 512, "f32", 4), (GEMMA, None, 4096, "q8", 4),
         ("qwen3-0.6b", "qwen2", 512, "f16", 4), ("qwen3-0.6b", "qwen2", 2048, "q8", 4),
         ("llama-1b", "llama-bpe", 512, "f16", 4)]


def peak_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024


def planned(path, context, kv, parallel):
    out = subprocess.run([MAKER, "plan", str(path), str(context), kv, str(parallel), str(THREADS)],
                         capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def text_of(context, i=0):
    return " ".join(WORDS[(k + i) % len(WORDS)] for k in range(context - SPARE))


def run_peak(path, context, kv):
    p = subprocess.Popen([str(BUILD / "hearth"), "run", str(path), "--raw", "--ctx", str(context), "--kv", kv, "-n", str(SPARE),
                          "-t", str(THREADS), "--seed", "1", "--temp", "1"], stdin=subprocess.PIPE,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, err = p.communicate(text_of(context).encode())
    n = re.search(rb"\[prompt (\d+) tokens", err)
    assert p.returncode == 0 and n, err
    assert context - SPARE <= int(n[1]) <= context, err
    return err


def peak_run(path, context, kv):
    """In a child of its own: RUSAGE_CHILDREN is the largest of all that were waited for."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        import resource
        run_peak(path, context, kv)
        os.write(writer, str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024).encode())
        os._exit(0)
    os.close(writer)
    text = os.read(reader, 64)
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0, "hearth run failed"
    return int(text)


def peak_serve(path, context, kv, parallel):
    """(worker, server): each answer fills a context of its own, and one is constrained."""
    # the server of the tests has --ctx 2048 first; what comes later holds
    with Served(args=["--ctx", str(context), "--kv", kv, "--parallel", str(parallel), "--threads", str(THREADS)]) as s:
        (s.home / "models" / "shape.gguf").symlink_to(path)
        common = {"model": "shape", "max_tokens": SPARE, "temperature": 1, "seed": 1}
        worker, peak = None, -1
        for again in range(4):  # one that ends early leaves its pages to the next: until all were there at once
            asks = [dict(common, prompt=text_of(context, again + i)) for i in range(parallel)]
            with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
                for code, _, body in pool.map(lambda a: s.ask("/v1/completions", a, timeout=600), asks):
                    assert code == 200, body
                    used = json.loads(body)["usage"]["total_tokens"]
                    assert used >= context - SPARE, body
            worker, = s.children("hearth-worker")
            if peak_of(worker) < peak + MIB:
                break
            peak = peak_of(worker)
        code, _, body = s.ask("/completion", {"model": "shape", "prompt": "one", "n_predict": 8,
                                              "json_schema": {"type": "integer"}})
        assert code == 200, body
        return peak_of(worker), peak_of(s.process.pid)


def peaks_egress():
    """Of every process that passes on, when eight calls of a MiB each are made at once, and how many there are where
    memory has room for one."""
    up = Upstream()
    up.pieces = ["word " * 200] * 50
    peaks = []
    for mem, words in (("4GiB", 200_000), ("400MiB", 200)):
        body = {"model": "up", "messages": [{"role": "user", "content": "word " * words}]}
        with Served(config=up.config(), args=["--mem", mem]) as s:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for code, _, text in pool.map(lambda _: s.ask("/v1/chat/completions", body), range(24)):
                    assert code == 200, text
            processes = s.children("hearth-egress")
            assert mem == "4GiB" or len(processes) == 1, f"{len(processes)} processes in {mem}"
            peaks += map(peak_of, processes)
    return peaks


def made(folder, shape, like):
    if like is None:
        return shape
    vocabulary = like if isinstance(like, pathlib.Path) else need(VOCABS / f"ggml-vocab-{like}.gguf")
    path = folder / f"{shape}.gguf"
    if not path.exists():
        subprocess.run([MAKER, "shape", shape, str(vocabulary), str(path)], check=True)
    return path


def judge(name, rows):
    """(how many are off, the worst share)"""
    worst, failed = 0.0, 0
    for what, want, real in rows:
        off = want - real
        bad = off < 0 or off > max(SHARE * real, BYTES)
        worst, failed = max(worst, abs(off) / real), failed + bad
        print(f"{name} {what:6} planned {want / MIB:7.1f} MiB, peak {real / MIB:7.1f}, {off / MIB:+6.2f} MiB, "
              f"{100 * off / real:+5.1f} %{'  <- off' if bad else ''}", flush=True)
    return failed, worst


def main():
    found = []
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        for shape, like, context, kv, parallel in SHORT + (LONG if FULL else []):
            path = made(pathlib.Path(folder), shape, like)
            plan = planned(path, context, kv, parallel)
            if parallel == 1:
                rows = [("run", plan["need"], peak_run(path, context, kv))]
            else:
                worker, server = peak_serve(path, context, kv, parallel)
                rows = [("worker", plan["need"] - plan["server"], worker), ("server", plan["server"], server)]
            name = shape if isinstance(shape, str) else shape.stem[:14]
            found.append(judge(f"{name:14} {context:5} {kv:3} x{parallel}", rows))
        # last: what this process has taken for it would count as the next child's
        found.append(judge(f"{'eight calls':24}", [("egress", plan["egress"], max(peaks_egress()))]))
    print(f"at most {100 * max(worst for _, worst in found):.1f} % away")
    return 1 if any(failed for failed, _ in found) else 0


sys.exit(main())
