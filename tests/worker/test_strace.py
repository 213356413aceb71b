"""What the kernel saw: after its self-test began, the worker and all its threads open nothing, connect nowhere and
execute nothing, while they load a model and answer."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

build = os.environ.get("HEARTH_BUILD", "build")
if not shutil.which("strace"):
    print("strace is not installed")
    sys.exit(77)
program = os.path.join(build, "tests/worker/test_worker")
with tempfile.TemporaryDirectory() as folder:
    trace = os.path.join(folder, "trace")
    calls = "trace=%network,open,openat,openat2,creat,execve,execveat,clone,clone3,fork,vfork,io_uring_setup"
    # LeakSanitizer, in builds that have it, cannot look while strace does
    env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    run = subprocess.run(["strace", "-f", "-qq", "-e", calls, "-o", trace, program, "streams_*"],
                         capture_output=True, text=True, env=env)
    if run.returncode == 77:
        print(run.stdout.strip().splitlines()[-1])
        sys.exit(77)
    if "PTRACE" in run.stderr or not os.path.exists(trace):
        print("strace is not allowed here")
        sys.exit(77)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = open(trace, errors="replace").read().splitlines()

worker, confined, bad, counted, denied = set(), set(), [], 0, 0
unfinished = {}
for line in lines:
    pid, rest = line.split(None, 1)
    if rest.endswith("<unfinished ...>"):
        unfinished[pid] = rest[:-len("<unfinished ...>")]
        continue
    resumed = re.match(r"<\.\.\. \w+ resumed>\s?(.*)", rest)
    if resumed:
        rest = unfinished.pop(pid, "") + resumed.group(1)
    if rest.startswith("execve(") and "hearth-worker" in rest and rest.endswith("= 0"):
        worker.add(pid)
        continue
    made = re.match(r"(clone|clone3|fork|vfork)\(.*= (\d+)$", rest)
    if made and pid in worker:
        assert "CLONE_THREAD" in rest, rest
        worker.add(made.group(2))
        confined.add(made.group(2))
    if pid not in worker or rest.startswith(("recvmsg(", "sendmsg(", "clone", "+++", "---")):
        continue
    if rest.startswith("socket("):
        confined.add(pid)  # the self-test's first attempt
    if pid in confined:
        counted += 1
        denied += "EPERM" in rest
        if not re.search(r"= -1 (EPERM|ENOSYS)", rest):
            bad.append(rest)
assert worker, "no worker was seen"
assert denied >= 8, "the self-test was not seen"
assert not bad, bad
assert len(worker) >= 1
print("%d processes and threads, %d calls that could reach out, all denied" % (len(worker), counted))
