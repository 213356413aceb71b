"""What strace sees of the processes of a server while it answers: the worker has no socket but the one that it was
born with, from its first instruction to its end, and the front opens none to the outside."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

CALLS = "%network,execve,clone,clone3,fork,vfork"
LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")
OPENS = {"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"}
BORN_WITH = "sendmsg", "recvmsg", "sendto", "recvfrom", "shutdown", "getsockopt", "setsockopt", "getsockname"


def read(path):
    """[(pid, call, the rest)] and {pid: program} with threads and children under what they were made by."""
    rows, parent, program, begun = [], {}, {}, {}
    for line in path.read_text(errors="replace").splitlines():
        m = LINE.match(line)
        if not m:
            continue
        pid, call, rest = int(m[1]), m[2], m[3]
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest[:-len("<unfinished ...>")]
            continue
        rest = begun.pop(pid, "") + rest
        result = re.search(r"= (-?\d+)", rest.rsplit(")", 1)[-1])
        rows.append((pid, call, rest))
        if call in ("clone", "clone3", "fork", "vfork") and result and int(result[1]) > 0:
            parent[int(result[1])] = pid
        if call == "execve" and result and int(result[1]) == 0:
            program[pid] = re.match(r'"([^"]*)"', rest)[1].rsplit("/", 1)[-1]
    names = {}
    for pid in {r[0] for r in rows}:
        at = pid
        while at not in program and at in parent:
            at = parent[at]
        names[pid] = program.get(at, "?")
    return rows, names


def faults_in(path):
    """What the worker did that it may not, and what was counted."""
    rows, names = read(path)
    wrong, counts = [], {"calls of workers": 0, "denied": 0, "workers": 0, "front connects": 0}
    for pid, call, rest in rows:
        if call == "execve" and "hearth-worker" in rest and rest.rstrip().endswith("= 0"):
            counts["workers"] += 1
        if names[pid] == "hearth-worker" and call not in ("execve", "clone", "clone3", "fork", "vfork"):
            counts["calls of workers"] += 1
            if call in OPENS and "EPERM" in rest:
                counts["denied"] += 1        # the self-test's attempts
            elif call in OPENS or call not in BORN_WITH or not rest.startswith("3,"):
                wrong.append(f"worker {pid}: {call}({rest}")
        if names[pid] == "hearth-serve" and call == "connect" and "AF_UNIX" not in rest:
            counts["front connects"] += 1
            wrong.append(f"front {pid}: {call}({rest}")
    return wrong, counts


def ask(port, path, body):
    r = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                               {"content-type": "application/json"})
    try:
        return urllib.request.urlopen(r, timeout=60).status
    except urllib.error.HTTPError as e:
        return e.code


def watch(build, models, work):
    """(faults, counts) of a server that answers local requests, loses its worker and ends; None without strace."""
    if not shutil.which("strace"):
        return None
    home, trace = work / "strace-home", work / "trace"
    home.mkdir()
    (home / "models").symlink_to(models)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    p = subprocess.Popen(["strace", "-f", "-qq", "-s", "24", "-e", "trace=" + CALLS, "-o", str(trace),
                          str(build / "hearth"), "serve", "--listen", f"127.0.0.1:{port}", "--ctx", "512"],
                         env=dict(os.environ, HEARTH_HOME=str(home)), stderr=subprocess.DEVNULL)
    try:
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        said = [{"role": "user", "content": "rain"}]
        statuses = [ask(port, "/v1/chat/completions", {"model": "tiny", "max_tokens": 2, "messages": said}),
                    ask(port, "/v1/messages", {"model": "tiny", "max_tokens": 2, "messages": said}),
                    ask(port, "/api/chat", {"model": "tiny", "messages": said, "stream": False,
                                            "options": {"num_predict": 2}}),
                    ask(port, "/v1/embeddings", {"model": "tiny", "input": "rain"})]
        killed = [os.kill(pid, signal.SIGKILL) for pid in workers_of(p.pid)]
        again = {"model": "tiny", "max_tokens": 2, "prompt": "rain"}
        while len(statuses) < 10 and statuses[-1:] != [200] or len(statuses) < 5:    # the first may hear of the death
            statuses.append(ask(port, "/v1/completions", again))
    finally:
        for pid in children(p.pid):
            os.kill(pid, signal.SIGTERM)
        p.wait(30)
    wrong, counts = faults_in(trace)
    counts["answered"] = sum(s == 200 for s in statuses)
    if counts["answered"] < 5 or not killed or counts["workers"] < 2 or counts["denied"] < 5:
        wrong.append(f"too little was seen to say anything: {counts}, statuses {statuses}")
    return wrong, counts


def children(pid):
    from canary.site import pids_below
    return pids_below(pid)


def workers_of(tracer):
    return [w for front in children(tracer) for w, name in children(front).items() if name.startswith("hearth-worker")]
