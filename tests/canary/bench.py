"""The run: rounds, one after another or a few side by side. Each has a site of its own with a configuration of its own,
and some phases; a phase has one fault and a batch of requests. All choices come out of "SEED/round": the same seed asks
the same again (only the moments differ)."""
import asyncio
import collections
import dataclasses
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from canary import ask as asks
from canary import audit, faults, wire
from canary import talk as talks
from canary.site import Site
from canary.upstream import Upstream
from canary.words import Watch

PHASES, BATCH, AT_ONCE = 5, 40, 8
UPSTREAMS = (("cloud", "openai", False), ("claude", "anthropic", False), ("rack", "openai", False),
             ("shelf", "anthropic", False), ("cloud-tls", "openai", True), ("rack-tls", "openai", True))


class Leak(Exception):
    pass


class Bench:
    def __init__(self, build, model, seed, hurry=False, at_rest=True):
        self.build, self.seed, self.hurry, self.at_rest = pathlib.Path(build).resolve(), seed, hurry, at_rest
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-canary-"))
        self.models = self.work / "models"
        self.models.mkdir()
        (self.models / "tiny.gguf").symlink_to(pathlib.Path(model).resolve())
        self.watch, self.counts, self.leaks = Watch(), collections.Counter(), []
        self.arrivals = collections.Counter()    # (upstream, dialect, phase)
        self.phases = collections.Counter()
        self.statuses = collections.Counter()
        self.detects = self.sticks = True
        policies = subprocess.run([str(self.build / "hearth"), "policy", "--help"], capture_output=True)
        self.shadows = policies.returncode == 0
        self.clock = None
        self.serve_args = ()

    async def open(self):
        try:
            self.clock = faults.Clock(self.work) if "san-" not in str(self.build) else None
        except (OSError, subprocess.CalledProcessError):
            self.clock = None
        self.upstreams = [await Upstream(n, d, self.seen, self.grew, tls).start() for n, d, tls in UPSTREAMS]
        self.elsewhere = await Upstream("elsewhere", "openai", self.seen, self.grew).start()
        self.site = None

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    # ---- what arrives ----

    def grew(self, up, data):
        if self.site and self.site.closed:
            self.leaks.append(f"{up.name} got {len(data)} bytes during '{self.site.phase}', when nothing may be sent "
                              f"(seed {self.site.seed}): {data[-300:]!r}")

    def seen(self, up, data, body):
        """Bytes at an upstream."""
        if body is not None and self.site:
            self.site.arrived.append((up, body, self.site.phase))
        if up is self.elsewhere:
            self.leaks.append(f"a request arrived where nobody sends to (seed {self.site and self.site.seed}): "
                              f"{data[:300]!r}")
        for a in self.watch.search(data):
            if up.name not in a.allowed and up.name not in a.seen:
                self.leak(a, up, data)
            a.seen.add(up.name)

    def leak(self, a, up, data):
        text = f"{up.name} got bytes of {a.tell()}\n    {data[-800:]!r}"
        if len(self.leaks) < 100:
            self.leaks.append(text)

    # ---- a batch ----

    async def ask_all(self, site, fault, batch, rng):
        queue = collections.deque(batch)

        async def client(n):
            own, c = random.Random(f"{site.seed}/{site.phase}/{n}"), wire.Client()
            while queue:
                group = [queue.popleft()]
                while group[0].wire == "pipelined" and queue and queue[0].wire == "plain" and len(group) < 4:
                    group.append(queue.popleft())
                if not site.servers:
                    await asyncio.sleep(0.02)
                port = site.servers[own.randrange(len(site.servers))][1] if site.servers else 1
                await c.send(own, group, port)
            c.close()

        await asyncio.gather(fault.during(), *(client(n) for n in range(AT_ONCE)))

    async def quiet(self, site):
        """Until nothing is under way: no server answers anybody, and nothing arrives any more."""
        last, same = None, 0
        for _ in range(4000):
            now = [u.bytes for u in self.upstreams], connections([port for _, port in site.servers])
            same, last = (same + 1 if now == last and now[1] == 0 else 0), now
            if same == 2:
                return
            await asyncio.sleep(0.005)
        sys.exit(f"canary: {site.name}: the servers do not come to rest")

    def judge(self, site, fault, batch):
        for a in batch:
            self.counts["requests"] += 1
            self.statuses[a.status] += 1
            self.counts[f"kind {a.kind}"] += 1
            self.counts["may leave" if a.allowed else "may not leave"] += 1
            self.counts[f"arrived, {a.kind}"] += bool(a.seen)
            self.counts["arrived, shadow"] += bool(a.seen) and a.kind == "task" and a.provider == "small"
            self.counts[f"wire {a.wire}"] += 1
            for up in a.seen:
                self.arrivals[up, a.dialect, site.phase] += 1
                self.counts["arrived"] += 1
            if a.should and a.status == 200 and a.provider == a.model and not a.seen:
                self.leaks.append(f"the recorder is blind: answered by {a.provider}, and nothing was seen there: "
                                  f"{a.tell()}: {a.body[:400]!r}")
            if a.should and site.phase == "calm":
                self.counts["should arrive"] += 1
                self.counts["should have arrived, and did"] += bool(a.seen)
                if not a.seen and not a.wire.startswith(("leave", "cut", "long")):
                    self.note(a)

    def uncovered(self):
        """What a long run must have seen to say anything."""
        cells = {c for at in self.arrivals for c in at}
        wanted = {n for n, _, _ in UPSTREAMS} | set(talks.WRITERS) | {f.name for f in faults.ALL if not f.closed}
        wanted.add(faults.BadUpstream.name)
        missing = [f"nothing arrived: {c}" for c in sorted(wanted - cells)]
        done = [f.name for f in faults.ALL if f.closed] + ["kind personal", "kind sticky", "kind task", "arrived, task"]
        missing += [f"never: {c}" for c in done + [f"wire {w}" for w in asks.WIRES] if not self.counts[c]]
        if self.counts["should have arrived, and did"] * 10 < 7 * self.counts["should arrive"]:
            missing.append("too little of what may leave arrived")
        return missing

    def note(self, a):
        self.counts["note " + f"{a.status} {a.text[:140]}"] += 1

    # ---- a round ----

    async def phase(self, site, n, kind, size):
        rng = random.Random(f"{site.seed}/{n}")
        await self.quiet(site)
        fault = kind(rng, site, self.counts)
        if not await fault.begin():
            fault = faults.Fault(rng, site, self.counts)
        site.phase, site.closed = fault.name, fault.closed
        self.phases[fault.name] += 1
        batch = []
        for i in range(size * fault.crowd):
            one = random.Random(f"{site.seed}/{n}/{i}")
            a = asks.make(one, f"{site.seed}/{n}/{i}", site)
            a.phase = fault.name
            if fault.closed:
                a.allowed, a.should = frozenset(), False
            for w in a.words:
                self.watch.add(w, a)
            if a.name:
                self.watch.add(a.name, dataclasses.replace(a, cls="public", seen=set()))
            batch.append(a)
        await self.ask_all(site, fault, batch, rng)
        await self.quiet(site)
        await fault.end()
        site.closed = False
        self.judge(site, fault, batch)
        site.asked += batch

    async def round(self, number, size=BATCH, kinds=None):
        seed = f"{self.seed}/{number}"
        rng = random.Random(seed)
        site = self.site = Site(rng, self, f"s{number}")
        site.seed, site.closed, site.phase, site.asked = seed, False, "calm", []
        try:
            await site.start(2 if rng.random() < 0.25 else 1)
            chosen = kinds or [faults.Fault] + [rng.choice(faults.ALL) for _ in range(PHASES - 1)] + (
                [faults.BadUpstream] if rng.random() < 0.3 else [])
            for n, kind in enumerate(chosen):
                await self.phase(site, n, kind, size)
            await site.stop()
            await asyncio.sleep(0.02)
            self.check_log(site)
            if self.at_rest:
                self.check_files(site)
        finally:
            for s, _ in site.servers:
                s.kill()
            self.site = None
            site.close()
            for a in site.asked:
                for w in a.words + [a.name]:
                    self.watch.forget(w)
        self.counts["rounds"] += 1

    def check_log(self, site):
        bodies = collections.Counter(body for _, body, _ in site.arrived)
        for up, body, phase in audit.missing(site.home, site.arrived):
            if phase == "bad upstream" and bodies[body] > 1:
                self.counts["sent twice by libcurl"] += 1    # docs/PRIVACY.md: on a kept connection that was closed
                continue
            self.leaks.append(f"{up.name} got a request that no record is of (seed {site.seed}): {body[:300]!r}")
        wrong = audit.verify(self.build / "hearth", site.home)
        if wrong:
            self.leaks.append(f"the audit log does not hold (seed {site.seed}): {wrong}")
        self.counts["records looked for"] += len(site.arrived)

    def check_files(self, site):
        """What the server wrote: no text of a request is in any file, unless prompts are logged."""
        files = [p for p in site.volume.path.rglob("*") if p.is_file() and not p.is_symlink()]
        for path in files + [self.work / f"{site.name}.log"]:
            for a in self.watch.search(path.read_bytes()):
                if asks.rank(a.cls) >= asks.rank("private"):
                    self.leaks.append(f"{path.name} holds text of {a.tell()}")
        self.counts["files looked through"] += len(files)
        (self.work / f"{site.name}.log").unlink()


def connections(ports):
    """The servers' connections, by the kernel: also those whose client has left, until the server has closed them."""
    n = 0
    for row in open("/proc/net/tcp").readlines()[1:]:
        f = row.split()
        n += f[3] in ("01", "08") and int(f[1].split(":")[1], 16) in ports
    return n


def tiny_model(build, cache, work):
    """A model of random weights with a real one's tokenizer."""
    maker, real = pathlib.Path(build) / "tests/engine/test_engine", cache / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not real.exists():
        print("SmolLM2 is not in the cache: skipped for want of the network")
        sys.exit(77)
    out = work / "tiny.gguf"
    if not maker.exists():
        subprocess.run(["make", "-s", f"BUILD={build}", str(maker)], check=True)
    subprocess.run([str(maker), "like", str(real), str(out)], check=True)
    return out
