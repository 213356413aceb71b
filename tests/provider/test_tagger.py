"""The tagger in its worker: `hearth privacy check --tagger` and a server with `privacy: {tagger: MODEL}`. What it cannot
read is private, never clean; a long text is read whole."""
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, TINY, Served, need  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

if TINY:
    print("a tiny model labels nothing: skipped")
    sys.exit(77)
NAME = "My name is Josephine Miller and I live at 12 Baker Street, London."
PLAIN = "The meeting was moved because of the works on the second floor."
folder = tempfile.TemporaryDirectory()
RAMPART = f"{folder.name}/rampart.gguf"
subprocess.run([BUILD / "hearth", "import", "--type", "q8_0", need(CACHE / "rampart"), RAMPART], check=True,
               stdout=subprocess.DEVNULL)


def check(text, *options, model=RAMPART):
    if isinstance(text, str):
        text = text.encode()
    done = subprocess.run([BUILD / "hearth", "privacy", "check", "--json", "--tagger", model, *options, "-"], input=text,
                          capture_output=True)
    return done.returncode, (json.loads(done.stdout)[0]["findings"] if done.returncode in (0, 1) else done.stderr.decode())


def finds():
    code, found = check(NAME)
    assert code == 1
    said = {NAME[f["begin"]:f["end"]]: f["kind"] for f in found if f["tagger"]}
    assert said["Josephine"] == "GIVEN_NAME" and said["Miller"] == "SURNAME" and said["London"] == "CITY", said
    assert check(PLAIN) == (0, [])
    assert check("") == (0, [])
    # bytes that are no UTF-8 and zero bytes move nothing
    odd = b"\xff\x00\xc3 " + NAME.encode() + b" \xe2\x82"
    code, found = check(odd)
    assert {odd[f["begin"]:f["end"]]: f["kind"] for f in found}[b"Josephine"] == "GIVEN_NAME", found


def reads_long_texts_whole():
    """From a threshold of nearly nothing every word is a finding: all of four pieces, and over their borders, is there."""
    text = " ".join("x" * (101 + i % 50) for i in range(1650))  # each one token: no more than the findings that are kept
    assert 190 << 10 < len(text) < 224 << 10, len(text)
    code, found = check(text, "--threshold", "1e-300")
    covered = bytearray(len(text))
    for f in found:
        covered[f["begin"]:f["end"]] = b"x" * (f["end"] - f["begin"])
    missing = [i for i in range(len(text)) if text[i] != " " and not covered[i]]
    assert code == 1 and not missing, (missing[:5], len(missing), len(found))


def what_is_no_tagger():
    code, said = check(PLAIN, model=str(CACHE / "SmolLM2-135M-Instruct.Q4_1.gguf"))
    assert code == 3 and "does not label" in said, said
    code, said = check(PLAIN, model="no-such-model")
    assert code == 3, said
    code, said = check(PLAIN, "--mem", "1MiB")
    assert code == 4, (code, said)


def served():
    up = Upstream()
    config = up.config() + f"privacy: {{tagger: {RAMPART}}}\n"

    def ask(s, text, **more):
        body = {"model": "up", "messages": [{"role": "user", "content": text}], **more}
        return s.ask("/v1/chat/completions", body)

    with Served(config) as s:
        taggers = s.children("hearth-worker")
        assert len(taggers) == 1
        code, headers, text = ask(s, PLAIN)
        assert code == 200 and up.asked == 1, text
        code, headers, text = ask(s, NAME)
        assert code == 403 and up.asked == 1, (code, text)
        proof = json.loads(s.ask("/v1/privacy/proof")[2])
        assert proof["holds"] and "rampart.gguf@" in proof["detectors"], proof["detectors"]
        assert taggers[0] in [w["process"] for w in proof["workers"]]

        # many at once: each gets the verdict of its own text
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda i: ask(s, NAME if i % 2 else PLAIN)[0], range(48)))
        assert codes == [200, 403] * 24, codes
        assert up.asked == 1 + 24

        # one that was killed is started again; until then and in between nothing leaves
        os.kill(taggers[0], signal.SIGKILL)
        assert ask(s, NAME)[0] == 403
        assert ask(s, NAME)[0] == 403 and up.asked == 25
        again = s.children("hearth-worker")
        assert len(again) == 1 and again != taggers
        assert ask(s, PLAIN)[0] == 200

        # another tagger needs another start; all else stays as it was
        path = s.home / "config.yaml"
        path.write_text(path.read_text().replace("tagger: ", "tag_threshold: 0.5, tagger: "))
        s.process.send_signal(signal.SIGHUP)
        s.wait_for("needs a new start")
        assert ask(s, NAME)[0] == 403

    # its memory is part of the budget
    with Served(config, args=["--mem", "90MiB"]) as s:
        code, _, text = s.ask("/v1/chat/completions", {"model": "SmolLM2-135M-Instruct.Q4_1", "max_tokens": 1,
                                                       "messages": [{"role": "user", "content": "hi"}]})
        assert code == 400 and "MiB" in text, (code, text)
    (pathlib.Path(folder.name) / "config.yaml").write_text(config)
    bad = subprocess.run([BUILD / "hearth", "serve", "--mem", "10MiB", "--listen", "127.0.0.1:1"], capture_output=True, text=True,
                         env=dict(os.environ, HEARTH_HOME=folder.name), timeout=20)
    assert bad.returncode == 4 and "privacy: tagger: " in bad.stderr, bad


finds()
reads_long_texts_whole()
what_is_no_tagger()
served()
print("ok")
