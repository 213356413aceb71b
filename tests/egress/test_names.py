"""What a name means is asked again whenever a connection is made: an answer that changes, or that means this machine or the
network behind it, is not connected to. In a mount namespace of its own, whose /etc/hosts says what the test wants."""
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
HOSTS = "/etc/hosts"
if "HEARTH_TEST_HOSTS" not in os.environ:
    inside = f"mount --bind $HEARTH_TEST_HOSTS {HOSTS} && exec \"$@\""
    path = pathlib.Path(f"/tmp/hearth-hosts-{os.getpid()}")
    path.write_text("127.0.0.1 localhost\n")
    env = dict(os.environ, HEARTH_TEST_HOSTS=str(path))
    shut = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", inside, "sh"]
    try:
        if subprocess.run([*shut, "true"], env=env, capture_output=True).returncode:
            print("no mount namespace may be made here: skipped")
            sys.exit(77)
        sys.exit(subprocess.run([*shut, sys.executable, __file__], env=env).returncode)
    finally:
        path.unlink()

from lib.served import Served  # noqa: E402

arrived = []


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(self.rfile.read(int(self.headers["content-length"])))
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "here"}, "finish_reason": "stop"}]}
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *args):
        pass


def listen(address):
    server = http.server.ThreadingHTTPServer((address, port), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


port = 0
port = listen("127.0.0.1")
listen("127.0.0.2")


def means(*addresses, name="api.test"):
    pathlib.Path(HOSTS).write_text("127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for a in addresses))


def ask(s, model):
    code, _, text = s.ask("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}]})
    return code, text


def end_egress(s):
    for pid in s.children("hearth-egress"):
        os.kill(pid, signal.SIGKILL)
        while pathlib.Path(f"/proc/{pid}").exists() and "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.01)


CONFIG = f"""version: 1
default_class: public
providers:
  - {{name: cloud, kind: openai, url: "https://api.test:{port}/v1", model: m, retries: 0}}
  - {{name: rack, kind: openai, url: "http://api.test:{port}/v1", model: m, retries: 0, place: on-premises}}
"""
with Served(CONFIG) as s:
    # a remote provider's name that means this machine, its network, a cloud's metadata server, or one of them among others
    for addresses in (["127.0.0.1"], ["10.0.0.1"], ["192.168.1.1"], ["169.254.169.254"], ["::1"], ["fd00::1"], ["::ffff:127.0.0.1"],
                      ["0.0.0.0"], ["127.0.0.2", "127.0.0.1"]):
        means(*addresses)
        end_egress(s)
        code, text = ask(s, "cloud")
        assert code == 403 and "private network" in text, (addresses, code, text)
    # on-premises: such an address is what is meant, and a public one is not, for want of TLS
    means("127.0.0.1")
    code, text = ask(s, "rack")
    assert code == 200 and len(arrived) == 1, (code, text)
    egress = s.children("hearth-egress")
    means("8.8.8.8")
    end_egress(s)
    code, text = ask(s, "rack")
    assert code == 403 and "public address" in text, (code, text)
    # with one good and one bad answer only the good one is asked
    means("8.8.8.8", "127.0.0.2")
    end_egress(s)
    code, text = ask(s, "rack")
    assert (code, len(arrived)) in ((200, 2), (403, 1)), (code, text)
    proof = json.loads(s.ask("/v1/privacy/proof")[2])
    assert proof["holds"], proof["reasons"]
    rack = next(x for x in proof["servers"] if x["provider"] == "rack")
    assert rack["address"] == ("127.0.0.2" if len(arrived) == 2 else "127.0.0.1"), rack
print("ok")
