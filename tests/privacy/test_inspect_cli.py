"""Private documents, declassified texts and the last gate, as a user meets them: real commands, and a server that keeps
what it got."""
import base64
import http.server
import json
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from replayed import FOLDER, HOME, run, write_task  # noqa: E402

MAIL = "jane.doe@example.org"
DOCUMENT = "The reactor's inspection is on the second Tuesday of March, and nobody outside may know of it before then. " * 3
TASK = FOLDER / "tasks" / "demo"
got = []


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        got.append(self.rfile.read(int(self.headers["content-length"])))
        answer = json.dumps({"choices": [{"index": 0, "message": {"content": "red"}, "finish_reason": "stop"}],
                             "usage": {"prompt_tokens": 3, "completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


def config(more=""):
    (HOME / "config.yaml").write_text(f"version: 1\n{more}providers:\n  - {{name: up, kind: openai, model: m, "
                                      f"url: \"http://127.0.0.1:{server.server_address[1]}/v1\", key_env: CLOUD_KEY}}\n")


def check(text, *args, code=0):
    return run("privacy", "check", *args, "-", stdin=text, code=code).out


def test_fingerprints():
    papers = FOLDER / "papers" / "deep"
    papers.mkdir(parents=True)
    (papers / "plan.txt").write_text(DOCUMENT)
    (papers / "picture.png").write_bytes(b"\x89PNG\0\0\0")
    (papers / ".hidden").write_text("hidden words that nobody gave, and that are long enough to be known again by all")
    (papers / "link").symlink_to("/etc/passwd")
    out = run("privacy", "fingerprint", "add", "papers").out
    assert "1 documents" in out and "picture.png: left out: " in out and "link: left out: " in out, out
    assert (HOME / "private.fp").stat().st_mode & 0o777 == 0o600
    assert (HOME / "privacy.key").stat().st_mode & 0o777 == 0o600
    run("privacy", "fingerprint", "add", "papers/deep/picture.png", code=3, says="no text")
    run("privacy", "fingerprint", "add", "none", code=3, says="none")
    run("privacy", "fingerprint", "show", "--set", "none.fp", code=3, says="none.fp")
    run("privacy", "fingerprint", code=2, says="add or show?")
    run("privacy", "fingerprint", "add", code=2, says="is needed")
    said = json.loads(run("privacy", "fingerprint", "show", "--json").out)
    assert said["documents"] == 1 and said["shingles"] > 5 and said["full"] < 0.01, said
    assert check(DOCUMENT[20:90]) == "", "the config does not name the set yet"
    config("privacy: {fingerprints: private.fp, dictionary: words.txt}\n")
    run("privacy", "check", "-", code=3, says="words.txt")
    (HOME / "words.txt").write_text("[secret]\nblue heron\n")
    assert "passages are in private documents" in check(f"see: {DOCUMENT[20:90].upper()} so?", code=1)
    assert check("a text of nobody's, which is long enough to be known again if it were one of them") == ""
    assert "dictionary, secret" in check("the Blue  Heron", code=1)
    body = json.loads(check(DOCUMENT[20:90], "--json", code=1))[0]
    assert body["raises"] == "private" and body["copied"] > 0 and body["found"] == 0


def measure(code=0, **more):
    got.clear()
    return run("measure", "demo", "--on", "up", code=code, **more)


def write_case(text, extra=""):
    write_task(1, privacy="public")
    path = TASK / "task.yaml"
    path.write_text(path.read_text().replace("privacy: public\n", f"privacy: public\n{extra}"))
    (TASK / "cases.jsonl").write_text(json.dumps({"id": "c0", "input": text, "expected": "red"}) + "\n")


def test_last_gate():
    """What a task that says public would send is looked at once more."""
    write_case("a plain thing")
    measure()
    assert len(got) == 1 and b"a plain thing" in got[0]
    coded = base64.b64encode(f"mail for {MAIL} and nobody".encode()).decode()
    for text in (f"mail for {MAIL}", coded, DOCUMENT[10:80], "the blue heron"):
        write_case(text)
        done = measure(code=None)
        assert not got, (text, got)
        assert done.returncode and "what would be sent is" in done.err + done.out, (text, done.out, done.err)
    write_case(f"mail for {MAIL}", "cases: synthetic\n")
    measure()
    assert len(got) == 1 and MAIL.encode() in got[0], "nobody's data"


def test_folder_label():
    write_case("a plain thing, once more")
    (FOLDER / "tasks" / ".hearth-class").write_text("private\n")
    assert "private" in measure(code=None).err
    assert not got
    (FOLDER / "tasks" / ".hearth-class").write_text("publik\n")
    assert measure(code=None).returncode and not got
    (FOLDER / "tasks" / ".hearth-class").write_text("public\n")
    measure()
    assert len(got) == 1


def test_declassify():
    text = f"Write to {MAIL}, as our web page says."
    write_case(text)
    (TASK / "task.yaml").write_text((TASK / "task.yaml").read_text().replace("'Colour of {{input}}:'", "'{{input}}'"))
    assert measure(code=None).returncode and not got
    run("privacy", "declassify", "-", "--to", "public", stdin=text, code=2, says="--reason")
    run("privacy", "declassify", "-", "--to", "nobody", "--reason", "x", stdin=text, code=2, says="--to")
    run("privacy", "declassify", "-", "--to", "public", "--reason", " ", stdin=text, code=3, says="a reason")
    assert json.loads(run("privacy", "declassify", "--list", "--json").out) == []
    run("privacy", "declassify", "-", "--to", "public", "--reason", "on our web page", stdin=text + "\n")
    assert (HOME / "declassified").stat().st_mode & 0o777 == 0o600
    assert MAIL not in (HOME / "declassified").read_text() and "on our web page" in run("privacy", "declassify",
                                                                                       "--list").out
    record = json.loads(run("privacy", "declassify", "--list", "--json").out)[0]["record"]
    shown = run("audit", "show", record).out
    assert "declassify" in shown and "on our web page" in shown
    run("audit", "verify")
    measure()
    assert len(got) == 1 and MAIL.encode() in got[0]
    (FOLDER / "tasks" / ".hearth-class").write_text("private\n")
    assert measure(code=None).returncode and not got, "a label is not lowered"
    (FOLDER / "tasks" / ".hearth-class").unlink()
    lines = (HOME / "declassified").read_text()
    (HOME / "declassified").write_text(lines.replace("web", "wab"))
    assert "declassified:1: " in measure(code=None).err and not got
    (HOME / "declassified").unlink()
    measure(code=None)
    assert not got


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["CLOUD_KEY"] = "key-0815"
HOME.mkdir(exist_ok=True)
config()
for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print("ok", name[5:])
