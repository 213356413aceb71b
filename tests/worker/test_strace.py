"""What the kernel saw: after its self-test began, a worker and all its threads open nothing, connect nowhere and execute
nothing, while they load a model, answer, make vectors and label names; egress connects to its one server and listens to
nobody; the front connects nowhere."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from lib.served import BUILD, CACHE, MODEL, TINY, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

CALLS = "trace=%network,open,openat,openat2,creat,execve,execveat,clone,clone3,fork,vfork,io_uring_setup"
STRACE = ["strace", "-f", "-qq", "-e", CALLS, "-o"]
# LeakSanitizer, in builds that have it, cannot look while strace does
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
folder = tempfile.TemporaryDirectory()
trace = os.path.join(folder.name, "trace")


def calls():
    """(process or thread, call), those that were interrupted put together."""
    unfinished = {}
    for line in open(trace, errors="replace"):
        pid, rest = line.rstrip("\n").split(None, 1)
        if rest.endswith("<unfinished ...>"):
            unfinished[pid] = rest[:-len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>\s?(.*)", rest)
        if resumed:
            rest = unfinished.pop(pid, "") + resumed.group(1)
        yield pid, rest


def is_network(rest):
    return re.match(r"(socket|connect|bind|listen|accept4?|sendto)\(", rest)


def look():
    """What every process did: {program: [calls that could reach out]}; of workers only those after their self-test began."""
    program, confined, said, workers, denied = {}, set(), {}, 0, 0
    for pid, rest in calls():
        made = re.match(r"(clone|clone3|fork|vfork)\(.*= (\d+)$", rest)
        if made:
            if pid in confined:
                assert "CLONE_THREAD" in rest, rest
                confined.add(made.group(2))
            program[made.group(2)] = program.get(pid, "?")
        if rest.startswith("execve(") and rest.endswith("= 0"):
            program[pid] = re.match(r'execve\("([^"]*)"', rest).group(1).rsplit("/", 1)[-1]
            workers += program[pid] == "hearth-worker"
            continue
        who = program.get(pid, "?")
        if who == "hearth-worker":
            if rest.startswith("socket("):
                confined.add(pid)  # the self-test's first attempt
            if pid not in confined or rest.startswith(("recvmsg(", "sendmsg(", "clone", "+++", "---")):
                continue
            denied += "EPERM" in rest
            said.setdefault(who, []).append(rest)
        elif is_network(rest):
            said.setdefault(who, []).append(rest)
    bad = [c for c in said.get("hearth-worker", []) if not re.search(r"= -1 (EPERM|ENOSYS)", c)]
    assert not bad, bad
    assert workers and denied >= 8 * workers, "a worker's self-test was not seen"
    return program, said


def traced_test():
    run = subprocess.run([*STRACE, trace, str(BUILD / "tests/worker/test_worker"), "streams_*"], capture_output=True, text=True)
    if run.returncode == 77:
        print(run.stdout.strip().splitlines()[-1])
        sys.exit(77)
    if "PTRACE" in run.stderr or not os.path.exists(trace):
        print("strace is not allowed here")
        sys.exit(77)
    assert run.returncode == 0, run.stdout + run.stderr
    program, said = look()
    print("test_worker: %d calls that could reach out, all denied" % len(said["hearth-worker"]))


def traced_server():
    """A worker that chats and embeds, a tagger, and egress, under a front that is traced too."""
    up = Upstream()
    config = up.config()
    tagger = not TINY and (CACHE / "rampart").exists()
    if tagger:
        model = f"{folder.name}/rampart.gguf"
        subprocess.run([BUILD / "hearth", "import", "--type", "q8_0", CACHE / "rampart", model], check=True,
                       stdout=subprocess.DEVNULL)
        config += f"privacy: {{tagger: {model}}}\n"
    served = Served(config)
    served.args = [*STRACE, trace, *served.args]
    hello = [{"role": "user", "content": "The meeting was moved."}]
    with served as s:
        for model, n in ((MODEL, 0), ("up", 1)):
            code, _, text = s.ask("/v1/chat/completions", {"model": model, "max_tokens": 4, "messages": hello})
            assert code == 200 and up.asked == n, (code, text)
        code, _, text = s.ask("/v1/embeddings", {"model": MODEL, "input": ["one", "two"]})
        assert code == 200, text
        code, _, text = s.ask("/v1/privacy/proof")
        assert code == 200
        out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(s.process.pid)], capture_output=True, text=True, check=True)
        os.kill(int(out.stdout.split()[0]), signal.SIGTERM)  # strace ends with what it traces
        end = time.monotonic() + 20
        while s.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
    program, said = look()
    names = list(program.values())
    assert names.count("hearth-egress") >= 1 and "hearth-serve" in names, set(names)
    port = up.server.server_address[1]
    egress = said["hearth-egress"]
    connects = [c for c in egress if c.startswith("connect(")]
    odd = [c for c in connects if f"sin_port=htons({port})" not in c or '"127.0.0.1"' not in c]
    assert len(connects) == up.asked and not odd, connects
    listens = [c for c in egress if re.match(r"(bind|accept4?)\(", c)]
    listens += [c for c in egress if c.startswith("listen(") and "EPERM" not in c]  # its self-test attempts one
    assert not listens, listens
    out = [c for c in said["hearth-serve"] if c.startswith(("connect(", "sendto(")) and "AF_UNIX" not in c]
    assert not [c for c in out if "AF_INET" in c], out
    print("serve%s: worker %d calls denied, egress %d connection, front none" %
          (" with a tagger" if tagger else "", len(said["hearth-worker"]), len(connects)))


if not shutil.which("strace"):
    print("strace is not installed")
    sys.exit(77)
traced_test()
traced_server()
