"""Keys and their limits against a real `hearth serve`: both headers, every dialect's form of 401 and 429, SIGHUP."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-keys-"))
A, B, C = "key-of-a-0815", "key-of-b-4711", "key-of-c-1234"
for name, text in (("a", A), ("b", f"  {B}\n"), ("c", C)):
    (folder / name).write_text(text)


def keys(*rows):
    return up.config() + "keys:\n" + "".join(f"  - {{{row}}}\n" for row in rows)


def key(name, more=""):
    return f"name: {name}, key_file: {folder / name}{more}"


CHAT = {"model": "up", "messages": [{"role": "user", "content": "hi"}]}


def either_header_is_enough(s):
    for headers, status in (
            ({}, 401), ({"Authorization": f"Bearer {A}"}, 200), ({"Authorization": f"bearer   {B}"}, 200),
            ({"x-api-key": A}, 200), ({"x-api-key": B}, 200), ({"x-api-key": B + "x"}, 401),
            ({"x-api-key": B[:-1]}, 401), ({"x-api-key": ""}, 401), ({"Authorization": f"Basic {A}"}, 401),
            ({"Authorization": A}, 401), ({"Authorization": "Bearer "}, 401),
            ({"Authorization": "Bearer placeholder", "x-api-key": A}, 200),
            ({"Authorization": f"Bearer {A}", "x-api-key": "placeholder"}, 200),
            ({"Authorization": f"Bearer {A}", "x-api-key": A}, 200),
            ({"Authorization": f"Bearer {A}", "x-api-key": B}, 401),
            ({"Authorization": "Bearer x", "x-api-key": "y"}, 401)):
        code, answer, text = s.ask("/v1/models", headers=headers)
        assert code == status, (headers, code, text)
        if status == 401:
            assert answer["www-authenticate"] == "Bearer"
    assert s.ask("/health")[0] == 200


def refusals_have_the_dialects_form(s, headers, status, openai_type, anthropic_type):
    code, _, text = s.ask("/v1/chat/completions", CHAT, headers)
    assert code == status and json.loads(text)["error"]["type"] == openai_type, text
    code, _, text = s.ask("/v1/messages", {**CHAT, "max_tokens": 3}, headers)
    assert code == status and json.loads(text)["type"] == "error", text
    assert json.loads(text)["error"]["type"] == anthropic_type, text
    code, _, text = s.ask("/api/chat", CHAT, headers)
    assert code == status and isinstance(json.loads(text)["error"], str), text


def a_key_that_cannot_be_read_is_said_at_start():
    (folder / "empty").write_text("\n")
    (folder / "blank").write_text("two words")
    (folder / "twin").write_text(A)
    for rows, words in (((key("missing"),), "missing"), ((key("empty"),), "empty"), ((key("blank"),), "blanks"),
                        ((key("a"), key("twin")), "the same"), (("name: e, key_env: HEARTH_NO_SUCH",), "environment")):
        (folder / "config.yaml").write_text(keys(*rows))
        done = subprocess.run([BUILD / "hearth", "serve", "--listen", "0", "--config", folder / "config.yaml"],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 3 and words in done.stderr and A not in done.stderr, (rows, done)


with Served(keys(key("a"), key("b"))) as s:
    (folder / "a").unlink()  # read once, at the start
    either_header_is_enough(s)
    refusals_have_the_dialects_form(s, {}, 401, "authentication_error", "authentication_error")
(folder / "a").write_text(A)
a_key_that_cannot_be_read_is_said_at_start()

# A burst, then 429 with the time that is really needed; other keys are not concerned, and what is open needs no token.
with Served(keys(key("a", ", rate: 30/min, burst: 3"), key("b"))) as s:
    auth = {"x-api-key": A}
    begun = time.monotonic()
    assert [s.ask("/v1/models", headers=auth)[0] for _ in range(4)] == [200, 200, 200, 429]
    code, answer, text = s.ask("/v1/models", headers=auth)
    assert code == 429 and 1 <= int(answer["retry-after"]) <= 2 and "'a'" in text, (answer, text)
    refusals_have_the_dialects_form(s, auth, 429, "rate_limit_error", "rate_limit_error")
    assert s.ask("/v1/models", headers={"x-api-key": B})[0] == 200 and s.ask("/health", headers=auth)[0] == 200
    time.sleep(int(answer["retry-after"]))
    code = s.ask("/v1/models", headers=auth)[0]
    assert code == 200 or time.monotonic() - begun < 2, code
    os.kill(s.process.pid, signal.SIGHUP)  # what has been used stays used
    s.wait_for("reloaded: 2 keys")
    assert s.ask("/v1/models", headers=auth)[0] == 429

# Two at once, the third is told; when one has ended there is room again.
with Served(keys(key("a", ", concurrency: 2"), key("b"))) as s:
    up.hold = threading.Event()
    before, codes = up.asked, []
    threads = [threading.Thread(target=lambda: codes.append(s.ask("/v1/chat/completions", CHAT, {"x-api-key": A})[0]))
               for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(1000):
        if up.asked == before + 2:
            break
        time.sleep(0.02)
    code, answer, text = s.ask("/v1/models", headers={"x-api-key": A})
    assert code == 429 and answer["retry-after"] == "1" and "running" in text, (code, text)
    assert s.ask("/v1/models", headers={"x-api-key": B})[0] == 200
    up.hold.set()
    for t in threads:
        t.join()
    assert codes == [200, 200] and up.asked == before + 2, codes
    assert s.ask("/v1/models", headers={"x-api-key": A})[0] == 200
    up.hold = None

# SIGHUP: a new key counts, a removed one does not, a broken config changes nothing, and a request that runs goes on.
with Served(keys(key("a"))) as s:
    config = s.home / "config.yaml"

    def reload(text, says):
        n = s.said().count("reloaded")
        config.write_text(text)
        os.kill(s.process.pid, signal.SIGHUP)
        for _ in range(500):
            if s.said().count("reloaded") > n:
                break
            time.sleep(0.01)
        assert says in s.said().splitlines()[-1] or says in s.said(), s.said()

    def codes():
        return [s.ask("/v1/models", headers={"x-api-key": k})[0] for k in (A, B, C)]

    assert codes() == [200, 401, 401]
    up.hold, running = threading.Event(), []
    t = threading.Thread(target=lambda: running.append(s.ask("/v1/chat/completions", CHAT, {"x-api-key": A})))
    before = up.asked
    t.start()
    while up.asked == before:
        time.sleep(0.01)
    reload(keys(key("b"), key("c")), "reloaded: 2 keys")
    assert codes() == [401, 200, 200]
    up.hold.set()
    t.join()
    assert running[0][0] == 200 and "three" in running[0][2], running
    up.hold = None
    reload(keys(key("b"), key("missing")), "missing")
    assert codes() == [401, 200, 200]
    reload("version: 1\nkeyz: []\n", "keyz")
    assert codes() == [401, 200, 200] and s.process.poll() is None
    assert s.said().count("the old configuration stays") == 2, s.said()
    assert [r for r in s.lines() if r.get("key") == "a" and r["path"] == "/v1/chat/completions"][0]["status"] == 200
print("ok")
