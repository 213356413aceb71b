"""GET /v1/privacy/proof and `hearth privacy proof`: what they say is looked at from outside as well, and what does not
hold is said. tests/provider/test_self_test.c has workers that leak."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, MODEL, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
CONFIG = up.config() + ('  - {name: cloud, kind: openai, url: "https://cloud.invalid/v1", model: m, key_env: CLOUD_KEY}\n'
                        '  - {name: rack, kind: openai, url: "http://10.0.0.7:8000/v1", model: m, place: on-premises, '
                        'key_file: rack.key}\n'
                        '  - {name: small, kind: local, model: ' + MODEL + '}\n')


def status_of(pid, name):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name + ":"):
            return line.split(":")[1].strip()


def check_worker(w):
    pid = w["process"]
    checks = {c["name"]: c for c in w["sandbox"]["checks"]}
    assert len(checks) >= 20 and all(c["denied"] and c["errno"] == 1 for c in checks.values()), checks
    for name in ("socket(AF_INET)", "socket(AF_INET6)", "socket(AF_UNIX)", "connect", "exec", "fork", "ptrace",
                 "io_uring_setup", "open for reading", "memfd_create"):
        assert name in checks, name
    assert w["private"] == "served" and w["why"] == ""
    assert w["sandbox"]["seccomp"] and w["sandbox"]["no_new_privs"] and w["sandbox"]["dies_with_parent"]
    assert not w["sandbox"]["dumpable"]
    assert w["kernel"]["seccomp"] == 2 and w["kernel"]["no_new_privs"] == 1
    if os.path.exists(f"/proc/{pid}"):  # the one that was started for the proof has gone
        assert status_of(pid, "Seccomp") == "2" and status_of(pid, "NoNewPrivs") == "1"
    if w["sandbox"]["empty_network"]:
        assert w["kernel"]["network"] == {"interfaces": 0, "received_bytes": 0, "sent_bytes": 0}, w["kernel"]
    for d in (w["descriptors"], w["kernel"]["descriptors"]):
        if d is not None:
            assert d["unix_sockets"] + d["other_sockets"] == 1, d
            assert d["listening"] == d["accepted"] == d["outbound"] == 0, d
    assert w["descriptors"] is not None  # as it said before its sandbox


def check_common(p):
    assert p["holds"] is True and p["reasons"] == [], p["reasons"]
    assert p["front"]["kernel"]["descriptors"]["outbound"] == 0
    assert p["classes"]["private"]["servers"] == p["classes"]["secret"]["servers"] == []
    assert p["classes"]["private"]["places"] == p["classes"]["secret"]["places"] == ["local"]
    assert p["classes"]["internal"]["servers"] == ["rack"]
    assert p["classes"]["public"]["servers"] == ["up", "cloud", "rack"]
    assert p["classes"]["secret"]["providers"] == ["small"]
    for s in p["servers"]:
        assert s["refuses"] == {"private": True, "secret": True}, s
    assert len(p["config"]["sha256"]) == 64 and p["detectors"]


def check_egress(e, home):
    assert e["refuses"] == {"private": True, "secret": True}, e
    assert all(c["denied"] for c in e["sandbox"]["checks"]) and len(e["sandbox"]["checks"]) >= 12
    assert e["kernel"]["seccomp"] == 2 and not e["sandbox"]["dumpable"] and e["sandbox"]["dies_with_parent"]
    paths = {c["path"]: c["denied"] for c in e["closed"]}
    assert str(home / "models") in paths and str(home / "config.yaml") in paths, paths
    if e["sandbox"]["landlock"]:
        assert all(paths.values()), paths


def chat(s, model, **headers):
    return s.ask("/v1/chat/completions", {"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]},
                 headers=headers)


def served():
    with Served(CONFIG, environment={"CLOUD_KEY": "sk-canary-99"}) as s:
        code, _, text = s.ask("/v1/privacy/proof")
        p = json.loads(text)
        assert code == 200
        check_common(p)
        assert len(p["workers"]) == 1 and p["workers"][0]["provider"] == "started for this"
        check_worker(p["workers"][0])
        assert not s.children("hearth-worker") and not s.children("hearth-egress")
        assert all(x["processes"] == [] and x["address"] is None for x in p["servers"])
        assert p["audit"]["there"] is False and p["audit"]["can_append"]
        keys = {k["provider"]: k for k in p["front"]["keys"]}
        assert keys["cloud"]["in_this_process"] is True and keys["rack"]["from"] == "file"
        assert any("CLOUD_KEY" in n for n in p["notes"]), p["notes"]
        assert "sk-canary-99" not in text
        assert up.asked == 0  # nothing was sent to prove it

        # with a worker and an egress process at work
        assert chat(s, MODEL)[0] == 200 and chat(s, "up")[0] == 200 and up.asked == 1
        p = json.loads(s.ask("/v1/privacy/proof")[2])
        check_common(p)
        assert [w["process"] for w in p["workers"]] == s.children("hearth-worker")
        assert p["workers"][0]["model"] == MODEL + ".gguf"
        check_worker(p["workers"][0])
        one = next(x for x in p["servers"] if x["provider"] == "up")
        assert one["address"] == "127.0.0.1"
        assert [e["process"] for e in one["processes"]] == s.children("hearth-egress")
        check_egress(one["processes"][0], s.home)
        assert p["front"]["kernel"]["descriptors"]["listening"] == 1
        assert p["front"]["kernel"]["descriptors"]["accepted"] >= 1  # who asks for this
        assert p["audit"]["there"] and p["audit"]["whole"] and p["audit"]["record"] >= 2 and p["audit"]["can_append"]
        out = subprocess.run([str(BUILD / "hearth"), "audit", "verify", "--json"], env=s.environment, capture_output=True)
        assert f'{p["audit"]["record"]}:{p["audit"]["sha256"]}' == json.loads(out.stdout)["anchor"], out.stdout
        assert up.asked == 1

        # the configuration in force is the one that was read
        path = s.home / "config.yaml"
        path.write_text(path.read_text() + "# changed\n")
        p = json.loads(s.ask("/v1/privacy/proof")[2])
        assert p["config"]["on_disk"] == "changed" and any("changed since" in n for n in p["notes"])

        # a log that was cut is no log
        log = s.home / "audit.log"
        log.write_bytes(log.read_bytes()[:-20])
        p = json.loads(s.ask("/v1/privacy/proof")[2])
        assert p["holds"] is False and any("audit.log is shorter" in r for r in p["reasons"]), p["reasons"]

        # the helpers end with the front, however it ends
        children = s.children("hearth-worker") + s.children("hearth-egress")
        assert len(children) == 2
        s.process.send_signal(signal.SIGKILL)
        s.process.wait()
        end = time.monotonic() + 5
        while any(os.path.exists(f"/proc/{c}") and status_of(c, "State")[0] != "Z" for c in children):
            assert time.monotonic() < end, "a helper outlived the server"
            time.sleep(0.02)
        s.process = subprocess.Popen(s.args, env=s.environment, stderr=s.log)  # for its regular end
        time.sleep(1)


def command():
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        (home / "models").mkdir()
        env = dict(os.environ, HEARTH_HOME=str(home))

        def run(*args):
            return subprocess.run([str(BUILD / "hearth"), "privacy", "proof", *args], env=env, capture_output=True, text=True)

        r = run()
        assert r.returncode == 0 and "it holds" in r.stdout and "no process has a network" in r.stdout, r
        (home / "config.yaml").write_text(CONFIG)
        (home / "rack.key").write_text("k")
        r = run()
        assert r.returncode == 0 and len(r.stdout.splitlines()) <= 25, r
        p = json.loads(run("--json").stdout)
        check_common(p)
        check_worker(p["workers"][0])
        for s in p["servers"]:
            if s["provider"] != "rack":  # whose key lies elsewhere
                assert len(s["processes"]) == 1
                check_egress(s["processes"][0], home)
        assert up.asked == 1  # the one of served()
        # a folder of certificates is readable to egress: where that is hearth's own, its files are not closed
        if p["servers"][0]["processes"][0]["sandbox"]["landlock"]:
            env["SSL_CERT_DIR"] = str(home)
            r = run()
            assert r.returncode == 1 and "it can read " + str(home / "models") in r.stdout, r
            del env["SSL_CERT_DIR"]
        (home / "audit.log").write_text("garbage\n")
        r = run()
        assert r.returncode == 1 and "IT DOES NOT HOLD" in r.stdout and "audit" in r.stdout, r
        (home / "audit.log").unlink()
        # without a worker there is nothing to prove with
        env["HEARTH_LIBEXEC"] = str(home)
        r = run()
        assert r.returncode == 1 and "no worker can be started" in r.stdout, r
        assert run("--nonsense").returncode == 2 and run("word").returncode == 2


served()
command()
print("ok")
