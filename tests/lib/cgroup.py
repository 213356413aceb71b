"""A memory cgroup for tests, version 1 or 2, where this process may make one. Exits 77 where it may not."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

MIB = 1 << 20
ROOT = pathlib.Path("/sys/fs/cgroup")


def own_group():
    """(version, folder) of this process in the file system, its nearest ancestor that is visible."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" and (ROOT / "cgroup.controllers").exists():
            version, folder = 2, ROOT / path.lstrip("/")
        elif "memory" in controllers.split(","):
            version, folder = 1, ROOT / "memory" / path.lstrip("/")
        else:
            continue
        while not folder.exists():
            folder = folder.parent
        return version, folder
    return 0, None


class Cgroup:
    """with Cgroup(bytes) as g: g.run([...]) -> (exit status, stdout, stderr); g.killed(); g.usage()"""

    LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}
    SWAP = {1: "memory.memsw.limit_in_bytes", 2: "memory.swap.max"}

    def __init__(self, limit):
        self.limit = limit

    def __enter__(self):
        self.version, parent = own_group()
        try:
            if not parent:
                raise OSError("no memory controller")
            if self.version == 2 and "memory" not in (parent / "cgroup.subtree_control").read_text():
                parent = ROOT
                if "memory" not in (parent / "cgroup.subtree_control").read_text():
                    (parent / "cgroup.subtree_control").write_text("+memory")
            self.folder = parent / f"hearth-test-{os.getpid()}-{id(self)}"
            self.folder.mkdir()
            (self.folder / self.LIMIT[self.version]).write_text(str(self.limit))
        except OSError as e:
            print(f"no memory cgroup can be made here ({e}): skipped")
            sys.exit(77)
        swap = self.folder / self.SWAP[self.version]
        if swap.exists():
            try:
                swap.write_text(str(self.limit) if self.version == 1 else "0")
            except OSError:
                pass
        return self

    def __exit__(self, *_):
        for pid in (self.folder / "cgroup.procs").read_text().split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.05)

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def start(self, args, **more):
        return subprocess.Popen(args, preexec_fn=self.enter, **more)

    def run(self, args, text="", timeout=240, **more):
        p = self.start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        out, err = p.communicate(text.encode(), timeout=timeout)
        return p.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def killed(self):
        """How often the kernel's OOM killer has struck in here."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        found = re.search(r"^oom_kill (\d+)", (self.folder / name).read_text(), re.M)
        return int(found[1]) if found else 0

    def anonymous(self):
        """Bytes that are no file's."""
        key = "total_rss" if self.version == 1 else "anon"
        return int(re.search(rf"^{key} (\d+)", (self.folder / "memory.stat").read_text(), re.M)[1])


def strikes():
    """A limit that is overrun is one where the kernel kills: else none of the tests below shows anything."""
    with Cgroup(48 * MIB) as g:
        code, _, _ = g.run([sys.executable, "-c", "x = bytearray(96 << 20)\nprint(sum(x[::4096]))"])
        return code == -signal.SIGKILL and g.killed() > 0
