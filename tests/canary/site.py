"""A place where hearth runs: a HEARTH_HOME on a small file system of its own, a random configuration, and the server
processes that share it."""
import asyncio
import ctypes
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys

from canary.ask import CLASSES
from canary.upstream import AUTHORITY
from canary.words import canary

HOME_KIB = 4096
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1    # servers do not outlive the test
TASK = """hearth: 1
id: {id}
privacy: {cls}
prompt: 'Colour of {{{{input}}}}:'
output:
  kind: text
graders:
  - {{type: regex, pattern: '(?s).*'}}
bar: 0.5
sampling: {{temperature: 0, max_tokens: 2, seed: 1}}
"""


def pids_below(parent):
    """{pid: name} of a process' children."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = pathlib.Path(entry.path, "stat").read_text()
            except OSError:
                continue
            name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
            if int(rest[1]) == parent and rest[0] != "Z":
                found[int(entry.name)] = name
    return found


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command):
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


class Volume:
    """A file system of HOME_KIB that can be filled: a tmpfs where mounting is permitted, else a folder whose writers
    are held by RLIMIT_FSIZE."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        self.mounted = run("mount", "-t", "tmpfs", "-o", f"size={HOME_KIB}k,mode=700", "tmpfs", str(path))
        self.filler = path / "filler"

    def fill(self, pids):
        """Full to the last byte of the last page. What a process has in its files already, it can overwrite."""
        if not self.mounted:
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        with open(self.filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 65536)
            except OSError:
                pass
            try:
                while True:
                    f.write(b"x")
            except OSError:
                pass

    def free(self, pids):
        if not self.mounted:
            for pid in pids:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return
        self.filler.unlink(missing_ok=True)

    def remount(self, how):
        return self.mounted and run("mount", "-o", f"remount,{how}", str(self.path))

    def close(self):
        if self.mounted:
            run("umount", "-l", str(self.path))
        shutil.rmtree(self.path, ignore_errors=True)


class Site:
    """site.providers: dicts name, dialect, place, class_max, up; site.keys: name, secret, class."""

    def __init__(self, rng, bench, name):
        self.bench, self.name = bench, name
        self.volume = Volume(bench.work / name)
        self.home = self.volume.path / "home"
        self.home.mkdir()
        (self.home / "models").symlink_to(bench.models)
        self.elsewhere = bench.elsewhere
        self.detects, self.sticks = bench.detects, bench.sticks
        self.arrived = []        # (upstream, body) of whole requests
        self.errors = open(bench.work / f"{name}.log", "ab")
        self.servers = []        # (process, port)
        self.set, self.words = bench.work / f"{name}.fp", bench.work / f"{name}.words"
        self.choose(rng)

    # ---- configuration ----

    def choose(self, rng):
        self.default_class = rng.choice(("public", "public", "internal", "private"))
        self.tls = rng.random() < 0.3
        self.tasks = {f"t-{c}": c for c in CLASSES}
        self.keys = []
        if rng.random() < 0.6:
            for cls in CLASSES[:3]:
                self.keys.append({"name": f"key-{cls}", "secret": f"k-{rng.getrandbits(64):016x}", "class": cls,
                                  "said": True})
            self.keys.append({"name": "key-none", "secret": f"k-{rng.getrandbits(64):016x}",
                              "class": self.default_class, "said": False})
            self.keys.append({**self.keys[0], "name": "key-more", "secret": f"k-{rng.getrandbits(64):016x}"})
        self.providers = []
        for up in self.bench.upstreams:
            if up.name in ("cloud-tls", "rack-tls") and not self.tls or up.name == "elsewhere":
                continue
            place = "on-premises" if up.name.startswith(("rack", "shelf")) else "remote"
            highest = {"remote": "public", "on-premises": "internal"}[place]
            given = rng.choice((None, None, "public", highest))
            self.providers.append({"name": up.name, "dialect": up.dialect, "place": place, "up": up,
                                   "class_max": given or highest, "said": given, "retries": rng.choice((None, 0, 1)),
                                   "budget": rng.random() < (0.5 if self.bench.shadows else 0.15),
                                   "first": rng.random() < 0.2})
        rng.shuffle(self.providers)
        self.own = self.choose_own(rng) if rng.random() < 0.5 else []
        self.write_config()
        self.write_tasks()
        if self.bench.shadows and rng.random() < 0.4:
            self.set_policy()

    def set_policy(self):
        """Tasks that this machine answers well enough; these answers are all compared with those of another place."""
        (self.home / "policy.yaml").write_text("hearth: 1\nchanges: apply\nshadow: {rate: 1, usd_per_day: 5}\n")
        measured = [("measure", task, "--on", "small") for task in self.tasks]
        for command in [("policy", "set", "--reason", "a test"), *measured]:
            done = subprocess.run([str(self.bench.build / "hearth"), *command], cwd=self.home,
                                  env=self.environment(), capture_output=True, text=True)
            if done.returncode:
                return           # then they go elsewhere at once
        self.bench.counts["sites with a policy"] += 1

    def write_tasks(self):
        for task, cls in self.tasks.items():
            folder = self.home / "tasks" / task
            folder.mkdir(parents=True)
            (folder / "task.yaml").write_text(TASK.format(id=task, cls=cls))
            cases = [{"id": f"c{i}", "input": f"thing {i}"} for i in range(12)]
            (folder / "cases.jsonl").write_text("".join(json.dumps(c) + "\n" for c in cases))

    def choose_own(self, rng):
        """A phrase of a dictionary, and a passage of a private document."""
        words = [canary(rng) for _ in range(14)]
        phrase, passage = f"{words[0][:9]} {words[1][:7]}", " ".join(w[:8] for w in words[2:])
        self.words.write_text(f"# own words\n{phrase}\n")
        (self.volume.path / "letter.txt").write_text(f"Dear all,\n{passage}\nSo much for today.\n")
        done = subprocess.run([str(self.bench.build / "hearth"), "privacy", "fingerprint", "add", "--set",
                               str(self.set), str(self.volume.path / "letter.txt")],
                              env=self.environment(), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"canary: no fingerprints: {done.stderr}")
        (self.volume.path / "letter.txt").unlink()
        return [phrase, passage]

    def write_config(self):
        rows = ["version: 1", f"default_class: {self.default_class}", "parallel: 4", "keep_alive: 30s"]
        if self.keys:
            rows.append("keys:")
        for k in self.keys:
            path = self.volume.path / f"{k['name']}.key"
            if not path.exists():
                path.write_text(k["secret"] + "\n")
                path.chmod(0o600)
            rows.append(f"  - {{name: {k['name']}, key_file: {path}"
                        f"{', default_class: ' + k.get('next', k['class']) if k['said'] else ''}}}")
        if self.own:
            rows.append(f"privacy: {{dictionary: {self.words}, fingerprints: {self.set}}}")
        rows.append("providers:")
        rows.append("  - {name: small, kind: local, model: tiny}")
        for p in self.providers:
            more = f", place: {p['place']}" if p["place"] == "on-premises" else ""
            more += f", class_max: {p['said']}" if p["said"] else ""
            more += f", retries: {p['retries']}" if p["retries"] is not None else ""
            more += ", price: {input: 0.1, output: 0.1, as_of: 2026-11-01}, budget: {usd_per_day: 5}" if p["budget"] \
                else ""
            more += ", timeouts: {connect: 5s, first: 10s}" if p["first"] else ""
            rows.append(f"  - {{name: {p['name']}, kind: {p['dialect']}, url: \"{p['up'].url}\", model: up{more}}}")
        (self.home / "config.yaml").write_text("\n".join(rows) + "\n")

    # ---- processes ----

    def environment(self):
        e = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH", "SSL_"))}
        e.update(HEARTH_HOME=str(self.home), SSL_CERT_FILE=str(AUTHORITY))
        if self.bench.clock:
            e.update(LD_PRELOAD=str(self.bench.clock.library), CANARY_CLOCK=str(self.bench.clock.file))
        return e

    async def start(self, n=1):
        for _ in range(n):
            await self.start_one(free_port())

    async def start_one(self, port):
        process = subprocess.Popen([str(self.bench.build / "hearth"), "serve", "--listen", f"127.0.0.1:{port}", "--ctx",
                                    "1024", "--threads", "1", "--mem", "2G", *self.bench.serve_args],
                                   env=self.environment(), cwd=self.home, stderr=self.errors, stdin=subprocess.DEVNULL,
                                   restore_signals=False,  # SIGXFSZ stays ignored
                                   preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                self.servers.append((process, port))
                return
            except OSError:
                if process.poll() is not None:
                    break
                await asyncio.sleep(0.01)
        process.kill()
        process.wait()
        sys.exit(f"canary: {self.name}: the server did not start: {self.said()[-600:]}")

    def said(self):
        return (self.bench.work / f"{self.name}.log").read_text(errors="replace")

    def helpers(self, name):
        return [pid for s, _ in self.servers for pid, n in pids_below(s.pid).items() if n.startswith(name)]

    def pids(self):
        return [s.pid for s, _ in self.servers]

    async def restart(self, which):
        """After it was killed: another one at the same port."""
        process, port = self.servers.pop(which)
        process.wait()
        await self.start_one(port)

    async def kill_all(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
            self.bench.counts["kill serve"] += 1
            await self.restart(self.pids().index(pid))

    def reload(self):
        for s, _ in self.servers:
            s.send_signal(signal.SIGHUP)

    async def stop(self):
        for s, _ in self.servers:
            s.send_signal(signal.SIGKILL if self.bench.hurry else signal.SIGTERM)
        for s, _ in self.servers:
            for _ in range(1500):
                if s.poll() is not None:
                    break
                await asyncio.sleep(0.01)
            else:
                s.kill()
                s.wait()
        self.servers = []

    def close(self):
        self.errors.close()
        self.set.unlink(missing_ok=True)
        self.words.unlink(missing_ok=True)
        self.volume.close()
