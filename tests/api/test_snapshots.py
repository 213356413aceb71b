"""The prefix cache on disk: what a public request has computed is there after a restart, for the same key alone; what is
private is never in the file; the file is ours alone; `hearth purge` empties it; a worker that is killed while it writes
leaves what was there before."""
import atexit
import json
import os
import pathlib
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, MODEL, TINY, Served  # noqa: E402

folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-snapshots-"))
atexit.register(shutil.rmtree, folder)
for name in ("a", "b", "p"):
    (folder / name).write_text(f"key-of-{name}-0815")
CONFIG = f"""version: 1
snapshots: {{bytes: %s}}
keys:
  - {{name: a, key_file: {folder}/a, default_class: public}}
  - {{name: b, key_file: {folder}/b, default_class: internal}}
  - {{name: p, key_file: {folder}/p, default_class: private}}
"""
HEADER = 8344
BEGINNING = 64  # fewer tokens than these are what the template says before every question


def words(kind, n=220):
    """About n tokens that no other kind begins with."""
    return f"{kind}. " + " ".join(f"The {kind} number {i} is {i * i % 97}." for i in range(n // 9))


def ask(s, key, text, headers=(), **more):
    """(cached tokens, answer)"""
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 4, "temperature": 0, **more}
    code, _, answer = s.ask("/v1/chat/completions", body, {"x-api-key": f"key-of-{key}-0815", **dict(headers)})
    assert code == 200, (code, answer)
    answer = json.loads(answer)
    n = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert n < BEGINNING or n >= 128, n
    return 0 if n < BEGINNING else n, answer["choices"][0]["message"]["content"]


def restart(s, sig=signal.SIGTERM):
    s.process.send_signal(sig)
    code = s.process.wait(20)
    assert code == 0 or sig == signal.SIGKILL, (code, s.said())
    s.process = subprocess.Popen(s.args, env=s.environment, stderr=s.log)
    for _ in range(200):
        try:
            return urllib.request.urlopen(s.url + "/health", timeout=5).read()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("it did not start again: " + s.said())


def files(s, end=".prefixes"):
    return sorted((s.home / "prefix").glob("*" + end))


def hearth(s, *args):
    return subprocess.run([BUILD / "hearth", *args], env=s.environment, capture_output=True, text=True, timeout=60)


def unload(s):
    code, _, text = s.ask("/api/generate", {"model": MODEL, "keep_alive": 0, "stream": False},
                          {"x-api-key": "key-of-a-0815"})
    assert code == 200, text


def a_restart_keeps_what_is_public(s):
    assert ask(s, "a", words("apple"))[0] == 0
    cold = ask(s, "a", words("apple") + " Why?")
    assert cold[0] >= 128, cold
    assert ask(s, "b", words("banana"))[0] == 0
    assert ask(s, "p", words("cherry"))[0] == 0
    assert ask(s, "p", words("cherry"))[0] >= 128  # in memory it is shared
    assert ask(s, "a", words("durian"), {"x-hearth-class": "secret"})[0] == 0
    assert len(files(s)) == 0 and len(files(s, ".new")) == 1
    restart(s)
    assert len(files(s)) == 1 and files(s, ".new") == [], list((s.home / "prefix").iterdir())
    assert stat.S_IMODE(files(s)[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((s.home / "prefix").stat().st_mode) == 0o700
    warm = ask(s, "a", words("apple") + " Why?")
    assert warm[0] >= 128 and warm[1] == cold[1], (warm, cold)
    assert ask(s, "b", words("banana"))[0] >= 128
    assert ask(s, "b", words("apple"))[0] == 0 and ask(s, "p", words("apple"))[0] == 0  # of another key
    assert ask(s, "p", words("cherry"))[0] == 0 and ask(s, "a", words("durian"))[0] == 0  # were never there


def nothing_private_is_in_it(s):
    """The tokens that the file holds, and its bytes, against each question's own words: first those that must be there,
    so that the search is known to find."""
    data = files(s)[0].read_bytes()
    magic, n_scopes, n_entries = data[:8], *struct.unpack_from("<II", data, 136)
    assert magic == b"HEARTHKV" and n_entries > 0
    names = [data[144 + 128 * i:144 + 128 * (i + 1)].split(b"\0")[0] for i in range(n_scopes)]
    assert sorted(names) == [b"@a", b"@b"], names
    page = struct.unpack_from("<Q", data, 120)[0]
    for i in range(n_entries):
        assert struct.unpack_from("<I", data, HEADER + i * (280 + page))[0] == i
    assert len(data) == HEADER + n_entries * (280 + page)

    def found(kind):
        ids = json.loads(hearth(s, "tokenize", "--json", MODEL, f" {kind} number").stdout)
        return data.count(struct.pack(f"<{len(ids)}i", *ids))

    assert found("apple") >= 8 and found("banana") >= 8
    assert found("cherry") == 0 and found("durian") == 0


def purged(s):
    ask(s, "a", words("elder"))
    done = hearth(s, "purge")
    assert done.returncode == 0 and "removed 1 snapshot," in done.stdout and "1 loaded model" in done.stdout, done
    assert list((s.home / "prefix").iterdir()) == []
    restart(s)
    assert list((s.home / "prefix").iterdir()) == []  # what was in memory then was not written either
    assert ask(s, "a", words("lemon"))[0] == 0  # p has asked for apples, which are private since
    unload(s)
    end = time.monotonic() + 10
    while not files(s) and time.monotonic() < end:  # an unloaded model's is written too
        time.sleep(0.05)
    assert len(files(s)) == 1
    assert ask(s, "a", words("lemon"))[0] >= 128


def killed_while_it_writes(s):
    """Whatever is seen of the file afterwards is the old one, and the server goes on."""
    before = files(s)[0].read_bytes()
    for text in [words(f"fig {i}", 1100) for i in range(4)] + [words("lemon")]:  # that is used last, and stays
        ask(s, "a", text)
    hit = 0
    for attempt in range(5):
        worker = s.children("hearth-worker")[0]
        fresh = files(s, ".new")[0]
        stopping = threading.Thread(target=unload, args=(s,))
        stopping.start()
        try:
            while os.stat(fresh).st_size < HEADER + 100000:
                pass
            os.kill(worker, signal.SIGKILL)
        except OSError:
            pass  # it was faster
        stopping.join()
        end = time.monotonic() + 10
        while fresh.exists() and time.monotonic() < end:  # it takes the old one's place, or goes
            time.sleep(0.01)
        hit += files(s)[0].read_bytes() == before
        if hit:
            break
        before = files(s)[0].read_bytes()
        ask(s, "a", words("fig again", 1100))
        ask(s, "a", words("lemon"))
    assert hit or TINY, "it was never caught while it wrote"
    assert ask(s, "a", words("lemon"))[0] >= 128
    restart(s, signal.SIGKILL)  # nobody closes: what the worker had is lost, what was there is not
    left = files(s, ".new")
    assert len(left) == 1 and len(files(s)) == 1
    assert ask(s, "a", words("lemon"))[0] >= 128
    assert len(files(s, ".new")) == 1 and files(s, ".new") != left  # the dead one's is gone


def odd_files_are_left_alone(s):
    """Not ours alone, a link, rubbish: one line, and no profit."""
    for i, (change, says) in enumerate((
            (lambda f: f.chmod(0o644), "not a file of ours alone"),
            (lambda f: (f.rename(f.with_suffix(".away")), f.symlink_to(f.with_suffix(".away"))), "not a file of ours"),
            (lambda f: f.write_bytes(b"x" * 100000), "it is not used"),
            (lambda f: f.write_bytes(b""), "it is not used"))):
        ask(s, "a", words("grape"))
        s.process.send_signal(signal.SIGTERM)
        s.process.wait(20)
        mark = len(s.said())
        change(files(s)[0])
        s.process = subprocess.Popen(s.args, env=s.environment, stderr=s.log)
        for _ in range(200):
            try:
                urllib.request.urlopen(s.url + "/health", timeout=5).read()
                break
            except OSError:
                time.sleep(0.05)
        assert ask(s, "a", words("grape"))[0] == 0, i
        said = [line for line in s.said()[mark:].splitlines() if not line.startswith("{")]
        assert sum(says in line for line in said) == 1, (i, said)


with Served(CONFIG % "1GiB") as s:
    a_restart_keeps_what_is_public(s)
    nothing_private_is_in_it(s)
    purged(s)
    killed_while_it_writes(s)
    odd_files_are_left_alone(s)

# Bounded: the file, and all of them together, have no more bytes than was said.
with Served(CONFIG % "8MiB") as s:
    for kind in ("huckleberry", "imbe", "jackfruit"):
        ask(s, "a", words(kind, 400))
    restart(s)
    assert 0 < files(s)[0].stat().st_size <= 8 << 20
    assert ask(s, "a", words("jackfruit", 400))[0] > 0 or TINY  # the latest
    old = s.home / "prefix" / "0-f16-0.prefixes"
    old.write_bytes(b"0" * (8 << 20))
    old.chmod(0o600)
    os.utime(old, (1, 1))
    restart(s)
    assert sum(f.stat().st_size for f in files(s)) <= 8 << 20 and not old.exists()

# Off, as it is unless it is asked for: no folder, no file, and public prefixes are everybody's.
with Served((CONFIG % "8MiB").replace("snapshots: {", "# snapshots: {")) as s:
    assert ask(s, "a", words("kiwi"))[0] == 0 and ask(s, "b", words("kiwi"))[0] >= 128
    restart(s)
    assert not (s.home / "prefix").exists() and ask(s, "a", words("kiwi"))[0] == 0
    done = hearth(s, "purge")
    assert done.returncode == 0 and "removed 0 snapshots" in done.stdout, done
print("ok")
