"""Many clients and several models at once, against a real `hearth serve`: every stream is its own, models share the
memory, who waits waits in turns, and a worker's death is nobody's but its clients'."""
import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served, need  # noqa: E402

need(CACHE / f"{MODEL}.gguf")
LARGE = CACHE / "gemma-3-270m-q4_k_m.gguf"
CLIENTS = 8


def call(s, body, path="/v1/chat/completions", method="POST", **headers):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=120)
    c.request(method, path, json.dumps(body) if body is not None else None, headers)
    r = c.getresponse()
    out = r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read().decode()
    c.close()
    return out


def asked(i, **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": f"Say something about the number {i * 7}."}],
            "max_tokens": 32, "seed": i, "temperature": 0.8} | more


def long_answer(i, **more):
    """One that does not end by itself."""
    prompt = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,"
    return {"model": MODEL, "prompt": prompt * (1 + i % 3), "max_tokens": 1500, "temperature": 0} | more


def text_of(answer):
    status, _, body = answer
    assert status == 200, answer
    if not body.startswith("data:"):
        return json.loads(body)["choices"][0]["message"]["content"]
    events = [json.loads(line[6:]) for line in body.split("\n") if line.startswith("data: {")]
    assert body.rstrip().endswith("data: [DONE]")
    return "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])


def loaded(s):
    return json.loads(call(s, None, "/api/ps", "GET")[2])["models"]


def until(condition, seconds=30):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "it does not come about"
        time.sleep(0.02)


def at_once(pool, calls):
    return [f.result() for f in [pool.submit(c) for c in calls]]


def streams_are_their_own(s, pool):
    """One by one, all at once, streamed or not: the same answers."""
    alone = [text_of(call(s, asked(i))) for i in range(CLIENTS)]
    assert len(set(alone)) > 1
    for stream in (False, True):
        together = at_once(pool, [lambda i=i: text_of(call(s, asked(i, stream=stream))) for i in range(CLIENTS)])
        assert together == alone
    assert len(s.children("hearth-worker")) == 1


def leaving_ends_the_work(s, pool):
    c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
    c.request("POST", "/v1/completions", json.dumps(long_answer(1, stream=True)))
    r = c.getresponse()
    r.read(200)
    assert loaded(s)[0]["hearth"]["answering"] == 1
    r.close()
    c.close()
    until(lambda: loaded(s)[0]["hearth"]["answering"] == 0, 3)


def a_death_is_told(s, pool):
    """kill -9 in the middle of eight answers: each client has an error, and the next one an answer."""
    worker, = s.children("hearth-worker")
    began = threading.Barrier(CLIENTS + 1)

    def one(i):
        c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        c.request("POST", "/v1/completions", json.dumps(long_answer(i, stream=True)))
        r = c.getresponse()
        first = r.read(100)
        began.wait(60)
        return (first + r.read()).decode()

    futures = [pool.submit(one, i) for i in range(CLIENTS)]
    began.wait(60)
    os.kill(worker, signal.SIGKILL)
    for f in futures:
        body = f.result()
        last = json.loads([line for line in body.split("\n") if line.startswith("data: {")][-1][6:])
        assert "killed by signal 9" in last["error"]["message"] and "[DONE]" not in body, body[-300:]
    assert text_of(call(s, asked(3)))
    assert s.children("hearth-worker") != [worker]


def a_hostile_file_is_refused(s, pool):
    """Files that lie: each is an error in words, and who is answered meanwhile does not notice."""
    good = need(CACHE / f"{MODEL}.gguf").read_bytes()[:300000]
    lies = {"empty": b"", "short": good, "garbage": b"GGUF" + os.urandom(4096),
            "counts": good[:8] + b"\xff" * 16 + good[24:]}
    busy = pool.submit(call, s, long_answer(1, max_tokens=200), "/v1/completions")
    for name, data in lies.items():
        (s.home / "models" / f"{name}.gguf").write_bytes(data)
        status, _, body = call(s, asked(1, model=name))
        assert status in (400, 502, 503) and json.loads(body)["error"]["message"], (name, status, body)
    assert busy.result()[0] == 200 and len(s.children("hearth-worker")) == 1


def models_share_the_memory(s, pool):
    """Two fit: a third takes the place of the longest idle, a large one that of both. Beside two that answer it
    waits."""
    for name in ("a", "b"):
        assert text_of(call(s, asked(1, model=name)))
    assert sorted(m["name"] for m in loaded(s)) == ["a:latest", "b:latest"], loaded(s)
    assert text_of(call(s, asked(1, model="a"))) and text_of(call(s, asked(1, model="c")))
    assert sorted(m["name"] for m in loaded(s)) == ["a:latest", "c:latest"], loaded(s)
    assert len(s.children("hearth-worker")) == 2
    busy = [pool.submit(call, s, long_answer(i, model=name, max_tokens=300), "/v1/completions")
            for i, name in enumerate(("a", "c"))]
    until(lambda: sum(m["hearth"]["answering"] for m in loaded(s)) == 2)
    assert text_of(call(s, asked(1, model="b")))
    for f in busy:
        assert f.result()[0] == 200
    if LARGE.exists() and not TINY:  # of a tiny one most is vocabulary, of which gemma has five times as much
        assert call(s, long_answer(1, model="large", max_tokens=3), "/v1/completions")[0] == 200
        assert [m["name"] for m in loaded(s)] == ["large:latest"], loaded(s)


def what_never_fits(s, pool):
    status, _, body = call(s, asked(1))
    assert status == 400 and "MiB" in body, body


def turns(s, pool):
    """One at a time, two may wait; whoever is more hears when to come back. A high priority goes before those who wait,
    and a client that leaves the line is not answered."""
    long = long_answer(1, max_tokens=500)
    first = pool.submit(call, s, long, "/v1/completions")
    until(lambda: any(m["hearth"]["answering"] == 1 for m in loaded(s)))
    order = []

    def wait(name, **headers):
        got = call(s, asked(2, max_tokens=8), **headers)
        order.append(name)
        return got

    low = pool.submit(wait, "low", **{"x-hearth-priority": "low"})
    until(lambda: loaded(s)[0]["hearth"]["waiting"] == 1)
    high = pool.submit(wait, "high", **{"x-hearth-priority": "high"})
    until(lambda: loaded(s)[0]["hearth"]["waiting"] == 2)
    status, headers, body = call(s, asked(3))
    assert status == 503 and int(headers["retry-after"]) >= 1 and "come back" in body, (status, headers, body)
    for f in (first, low, high):
        assert f.result()[0] == 200
    assert order == ["high", "low"]
    first = pool.submit(call, s, long, "/v1/completions")
    until(lambda: loaded(s)[0]["hearth"]["answering"] == 1)
    c = http.client.HTTPConnection("127.0.0.1", s.port)
    c.request("POST", "/v1/chat/completions", json.dumps(asked(1)))
    until(lambda: loaded(s)[0]["hearth"]["waiting"] == 1)
    c.close()
    until(lambda: loaded(s)[0]["hearth"]["waiting"] == 0, 3)
    assert first.result()[0] == 200


def check(config, tests):
    with Served(config="version: 1\n" + config) as s, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for name in ("a", "b", "c"):
            (s.home / "models" / f"{name}.gguf").symlink_to(CACHE / f"{MODEL}.gguf")
        if LARGE.exists():
            (s.home / "models" / "large.gguf").symlink_to(LARGE)
        for test in tests:
            test(s, pool)
            print("ok", test.__name__, flush=True)
        return sum(m["size"] for m in loaded(s))



def command(s, *words):
    out = subprocess.run([str(BUILD / "hearth"), *words], capture_output=True, text=True, timeout=120,
                         env=dict(os.environ, HEARTH_HOME=str(s.home)))
    return out.returncode, out.stdout, out.stderr


def asked_from_a_terminal(s, pool):
    """hearth ps and hearth stop: what is loaded, and gone; a stop waits for the answers."""
    at = ("--listen", f"127.0.0.1:{s.port}")
    assert command(s, "ps", *at) == (0, "", "")
    busy = pool.submit(call, s, long_answer(1, max_tokens=300), "/v1/completions")
    until(lambda: any(m["hearth"]["answering"] for m in loaded(s)))
    code, out, _ = command(s, "ps", *at)
    head, row = out.splitlines()
    assert code == 0 and MODEL in row and "answering" in row and row.split()[-1] == str(s.children("hearth-worker")[0])
    assert json.loads(command(s, "ps", "--json", *at)[1])["models"][0]["hearth"]["answering"] == 1
    assert command(s, "stop", MODEL, *at) == (0, "", "")
    assert busy.result()[0] == 200 and not loaded(s) and not s.children("hearth-worker")
    code, _, err = command(s, "stop", "no-such-model", *at)
    assert code != 0 and "no-such-model" in err
    code, _, err = command(s, "ps", "--listen", "127.0.0.1:1")
    assert code != 0 and "no server" in err


check("parallel: 8\n", [streams_are_their_own, leaving_ends_the_work, a_death_is_told, a_hostile_file_is_refused])
one = check("parallel: 1\nqueue: 2\n", [turns])
SERVER = 14 << 20  # of `mem` the server's own, beside a sixteenth for bodies (docs/MEMORY.md)
check(f"parallel: 1\nmem: {int((2.2 * one + SERVER) * 16 / 15)}\n", [models_share_the_memory])
check(f"parallel: 1\nmem: {one // 2}\n", [what_never_fits])
check("parallel: 1\n", [asked_from_a_terminal])
