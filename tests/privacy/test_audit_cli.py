"""`hearth audit` as a user meets it: real measurements against a server that keeps what it got, and a verifier of the
log that shares nothing with hearth but the page that describes it (docs/PRIVACY.md)."""
import hashlib
import hmac
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from replayed import FOLDER, HOME, run, write_task  # noqa: E402

CASES = 20
LOG, STATE, KEY, ANCHORS = (HOME / f"audit.{end}" for end in ("log", "state", "key", "anchors"))
got, lock = [], threading.Lock()


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with lock:
            got.append(body)
        answer = json.dumps({"choices": [{"index": 0, "message": {"content": "red"}, "finish_reason": "stop"}],
                             "usage": {"prompt_tokens": 3, "completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


def verified(log, key):
    """The records of a log, each checked with the first key; raises where it does not hold."""
    records, prev = [], "0" * 64
    for line in log.split(b"\n")[:-1]:
        record = json.loads(line)
        said = line[:line.rindex(b',"mac":"')]
        assert hmac.new(key, said, hashlib.sha256).hexdigest() == record["mac"], record["seq"]
        assert record["prev"] == prev and record["seq"] == len(records) + 1
        record["body_key"] = hmac.digest(key, b"hearth audit body 1", "sha256")
        records.append(record)
        prev = hashlib.sha256(line).hexdigest()
        key = hashlib.sha256(key + b"hearth audit key 1").digest()
    return records, prev


def audit(*args, code=0, **more):
    return run("audit", *args, code=code, **more)


def test_before_anything():
    assert "nothing has left" in audit("verify").out
    assert "nothing left" in audit("egress").err
    audit("key", code=3, says="no chain yet")
    audit("show", 1, code=3, says="no record 1")
    assert not LOG.exists() and not STATE.exists(), "looking makes no files"


def test_two_measure_at_once():
    write_task(CASES, privacy="public")
    (FOLDER / "tasks" / "other").mkdir()
    text = (FOLDER / "tasks" / "demo" / "task.yaml").read_text().replace("id: demo", "id: other")
    (FOLDER / "tasks" / "other" / "task.yaml").write_text(text)
    (FOLDER / "tasks" / "other" / "cases.jsonl").write_text((FOLDER / "tasks" / "demo" / "cases.jsonl").read_text())
    threads = [threading.Thread(target=run, args=("measure", task, "--on", "up")) for task in ("demo", "other")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 2 * CASES


def test_against_another_verifier():
    chain, key = KEY.read_text().split()
    records, head = verified(LOG.read_bytes(), bytes.fromhex(key))
    assert records[0]["kind"] == "begin" and records[0]["chain"] == chain
    releases = records[1:]
    assert len(releases) == len(got) and {r["kind"] for r in releases} == {"release"}
    assert {r["task"] for r in releases} == {"demo", "other"}
    assert all(r["class"] == "public" and r["place"] == "remote" and r["model"] == "m" for r in releases)
    sums = [hashlib.sha256(body).digest() for body in got]
    for r in releases:  # each record is of one of the bodies that came, byte for byte
        fit = [s for s in sums if hmac.new(r["body_key"], s, hashlib.sha256).hexdigest() == r["body"]]
        assert fit and r["bytes"] == len(got[sums.index(fit[0])]), r
    text = LOG.read_bytes() + STATE.read_bytes() + ANCHORS.read_bytes()
    assert b"thing" not in text and b"Colour" not in text
    said = json.loads(audit("verify", "--json").out)
    assert said["holds"] and said["keyed"] and said["chain"] == chain
    assert (said["records"], said["releases"]) == (len(records), len(got))
    assert said["anchor"] == f"{len(records)}:{head}"
    assert said["anchors"] >= 2, "each of both processes ended with an anchor"


def test_verifier_of_the_page():
    """The one of standard tools that docs/PRIVACY.md prints."""
    if not all(shutil.which(tool) for tool in ("openssl", "xxd", "sha256sum")):
        print("openssl, xxd or sha256sum is not there: the page's verifier was not run")
        return
    page = (pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "PRIVACY.md").read_text()
    script = page.split("```sh\n")[1].split("```")[0]
    whole = LOG.read_bytes()

    def says():
        return subprocess.run(["sh", "-c", script], cwd=HOME, capture_output=True, text=True, check=True).stdout
    assert says() == ""
    LOG.write_bytes(whole.replace(b'"bytes":', b'"bytes":1', 1))
    assert says().startswith("not what was written: ")
    lines = whole.splitlines(keepends=True)
    LOG.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert says().startswith("not the one before: ")
    LOG.write_bytes(whole)


def test_egress_and_show():
    listed = json.loads(audit("egress", "--json").out)
    assert listed["holds"] and len(listed["releases"]) == len(got)
    lines = audit("egress").out.splitlines()
    assert lines[0].split()[:4] == ["N", "WHEN", "TASK", "CLASS"] and len(lines) == len(got) + 1
    assert "http://127.0.0.1:" in lines[1] and "public" in lines[1]
    assert "since 2999-01-01" in audit("egress", "--since", "2999-01-01").err
    one = json.loads(audit("show", 2, "--json").out)
    assert one == listed["releases"][0]
    assert "release" in audit("show", 2).out
    fits = []
    for i, body in enumerate(got):
        (FOLDER / "body").write_bytes(body)
        if run("audit", "show", 2, "--body", "body", code=None).returncode == 0:
            fits.append(i)
    assert len(fits) >= 1 and len({got[i] for i in fits}) == 1, fits
    audit("show", 999, code=3, says="no record 999")


def test_usage():
    for args, says in ((("verify", "x"), "no arguments"), (("show",), "number of one record"), (("show", "0"), "number"),
                       (("egress", "--since", "soon"), "date"), (("verify", "--since", "2026-01-01"), "none of these"),
                       (("egress", "--take"), "none of these"), (("verfy",), "did you mean 'verify'"), ((), "begin"),
                       (("verify", "--sudo"), "--sudo")):
        audit(*args, code=2, says=says)
    audit("verify", "--anchor", "soon", code=3, says="NUMBER:DIGEST")
    page = audit("--help").out
    assert "example" in page and "--take" in page


def test_taken_key_and_faults():
    whole = LOG.read_bytes()
    anchor = json.loads(audit("verify", "--json").out)["anchor"]
    line = audit("key", "--take").out
    assert not KEY.exists()
    (FOLDER / "stick").write_text("# the key of the laptop\n" + line)
    assert "not proved" in audit("verify").out
    assert "not proved" not in audit("verify", "--key", "stick", "--anchor", anchor).out
    assert json.loads(audit("verify", "--key", "-", "--json", stdin=line).out)["keyed"]
    audit("show", 2, "--body", "body", code=3, says="first key")
    LOG.write_bytes(whole.replace(b'"task":"demo"', b'"task":"demp"', 1))
    first = json.loads(next(x for x in whole.splitlines() if b'"task":"demo"' in x))["seq"]
    said = json.loads(audit("verify", "--key", "stick", "--json", code=1).out)
    assert (said["holds"], said["fault_at"]) == (False, first) and "MAC" in said["fault"]
    without = audit("verify", code=1).out  # an anchor is of another record, or the next one's prev is
    assert without.startswith((f"record {first}: ", f"record {first + 1}: ")), without
    assert "nothing after it is shown" in audit("egress", "--key", "stick", code=1).err
    LOG.write_bytes(whole)
    audit("verify", "--key", "stick")


def test_cannot_be_written():
    """Both: the measurement says why, and the server sees nothing."""
    before, whole = len(got), LOG.read_bytes()
    LOG.write_bytes(whole[:-700])
    done = run("measure", "demo", "--on", "up", "--fresh", code=None)
    assert done.returncode != 0 and "nothing was sent" in done.err + done.out, done.err
    assert len(got) == before, "nothing is sent"
    LOG.write_bytes(whole)


def test_a_new_chain():
    audit("begin", code=3, says="a chain already")
    said = json.loads(audit("begin", "--anew", "--print-key", "--json").out)
    assert not said["kept"] and not KEY.exists() and not LOG.exists()
    old = [p for p in HOME.iterdir() if p.name.startswith("audit-") and p.suffix == ".log"]
    assert len(old) == 1
    assert json.loads(audit("verify", "--log", old[0], "--key", "stick", "--json").out)["keyed"]
    assert json.loads(audit("verify", "--json").out)["chain"] == said["chain"]


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    HOME.mkdir()
    (HOME / "config.yaml").write_text(
        "version: 1\nproviders:\n"
        f"  - {{name: up, kind: openai, url: \"http://127.0.0.1:{server.server_address[1]}/v1\", model: m}}\n")
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name[5:])


main()
