"""What goes wrong during a phase. It is set up while nothing runs and ended when all of its requests are over; kills
and fillings fall in between. `closed` faults are those during which nothing at all may arrive anywhere: no record can
be written, so nothing may be sent."""
import asyncio
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

from canary import audit
from canary.ask import CLASSES

BACK_S = 300             # a clock that is further back than this writes no record (docs/PRIVACY.md)


class Clock:
    """The time of day of the servers, through a library that is loaded into them."""

    def __init__(self, work):
        self.library, self.file = work / "clock.so", work / "clock"
        source = pathlib.Path(__file__).with_name("clock.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-fPIC", "-shared", "-o", self.library, source, "-ldl"],
                       check=True)
        self.now = 0
        self.file.write_bytes(struct.pack("q", 0))

    def set(self, seconds):
        self.now = seconds
        with open(self.file, "r+b") as f:
            f.write(struct.pack("q", seconds))


class Fault:
    """The calm: nothing goes wrong."""
    name, closed = "calm", False
    crowd = 1                # so many times the usual number of requests

    def __init__(self, rng, site, counts):
        self.rng, self.site, self.counts = rng, site, counts

    async def begin(self):
        """False: it cannot be done here."""
        return True

    async def during(self):
        """Beside the requests."""

    async def end(self):
        pass

    def counted(self):
        self.counts[self.name] = self.counts.get(self.name, 0) + 1


class Kill(Fault):
    """kill -9 of one of the processes, again and again at any moment."""
    name, crowd = "kill", 2
    programs = ("hearth-worker", "hearth-egress", "hearth-serve")

    async def during(self):
        for _ in range(self.rng.randrange(14, 28)):
            await asyncio.sleep(self.rng.random() * self.rng.choice((0.005, 0.03, 0.08)))
            what, pids = self.choose()
            if not pids:
                continue
            pid = self.rng.choice(pids)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.counts["kill " + what[7:]] = self.counts.get("kill " + what[7:], 0) + 1
            if what == "hearth-serve":
                await self.site.restart(self.site.pids().index(pid))
        self.counted()


    def choose(self):
        """A program and its processes; of helpers more often the one that was killed less."""
        if self.rng.random() < 0.15:
            return "hearth-serve", self.site.pids()
        kinds = sorted(self.programs[:2], key=lambda p: self.counts.get("kill " + p[7:], 0))
        if self.rng.random() < 0.3:
            kinds.reverse()
        found = [(p, self.site.helpers(p)) for p in kinds]
        return next((f for f in found if f[1]), found[0])


class DiskFull(Fault):
    """The disk is full, has room, is full again, while requests run. What still fits into a started page may be written
    and sent: whether each request that arrived has its record is looked at in the end."""
    name = "disk full"

    async def during(self):
        for _ in range(self.rng.randrange(3, 8)):
            self.site.volume.fill(self.site.pids())
            self.counted()
            await asyncio.sleep(self.rng.random() * 0.06)
            self.site.volume.free(self.site.pids())
            await asyncio.sleep(self.rng.random() * 0.02)


class NoRoom(Fault):
    """Not a byte more can be written to any file; in the end the servers may be killed with what they could not write."""
    name, closed = "no room", True

    async def begin(self):
        self.counted()
        self.limit(0)
        return True

    async def end(self):
        if self.rng.random() < 0.6:
            await self.site.kill_all()
        self.limit(-1)

    def limit(self, n):
        import resource
        for pid in self.site.pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (n, -1))


class ReadOnly(Fault):
    name, closed = "read-only", True

    async def begin(self):
        if not self.site.volume.mounted:
            return False
        ports = [port for _, port in self.site.servers]
        for process, _ in self.site.servers:     # no file may be open to write: they come back to what they cannot write
            process.kill()
            process.wait()
        self.site.servers = []
        done = self.site.volume.remount("ro")
        for port in ports:
            await self.site.start_one(port)
        if done:
            self.counted()
        return done

    async def end(self):
        if not self.site.volume.remount("rw"):
            sys.exit("canary: a file system stays read-only")
        await self.site.kill_all()


class LogBroken(Fault):
    """The audit log is not what it was, or cannot be written. Afterwards it is put back."""
    name, closed = "log broken", True
    ways = ("cut", "folder instead", "state gone wrong", "state zeroed", "state removed", "link instead")

    async def begin(self):
        self.log, self.state = self.site.home / "audit.log", self.site.home / "audit.state"
        if not self.log.exists() or not self.state.exists() or self.log.stat().st_size < 400:
            return False
        self.before = self.log.read_bytes(), self.state.read_bytes()
        way = self.rng.choice(self.ways)
        if way == "cut":
            os.truncate(self.log, self.rng.randrange(self.log.stat().st_size // 2))
        elif way == "folder instead":
            path = self.rng.choice((self.log, self.state))
            path.unlink()
            path.mkdir()
        elif way == "state gone wrong":
            data = bytearray(self.before[1])
            for i in range(len(data)):
                data[i] ^= self.rng.randrange(1, 256)
            self.state.write_bytes(data)
        elif way == "state zeroed":
            self.state.write_bytes(bytes(len(self.before[1])))
        elif way == "state removed":
            self.state.unlink()
        else:
            path = self.rng.choice((self.log, self.state))
            path.unlink()
            path.symlink_to("/dev/null")
        self.counts["log: " + way] = self.counts.get("log: " + way, 0) + 1
        self.counted()
        return True

    async def end(self):
        for path, data in zip((self.log, self.state), self.before):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)


class TableBroken(Fault):
    """The table of conversations is gone while the servers use it. Who removes it has begun anew; but what cannot be
    written down any more is private."""
    name = "table broken"

    async def begin(self):
        self.table = self.site.home / "conversations"
        if not self.table.exists():
            return False
        self.before = self.table.read_bytes()
        self.table.unlink()
        if self.rng.random() < 0.5:
            self.table.mkdir()
        self.counted()
        return True

    async def end(self):
        if self.table.is_dir():
            self.table.rmdir()
        self.table.write_bytes(self.before)
        self.table.chmod(0o600)
        await self.site.kill_all()       # they hold the one that was removed


class ClockBack(Fault):
    """A clock far behind the last record: no record can be written."""
    name, closed = "clock back", True

    async def begin(self):
        last = audit.last_second(self.site.home)
        if not self.site.bench.clock or not last:
            return False
        self.before = self.site.bench.clock.now
        back = self.rng.choice((BACK_S + 60, 4000, 90000, 40000000))
        self.site.bench.clock.set(int(last - time.time()) - back)
        self.counted()
        return True

    async def end(self):
        self.site.bench.clock.set(self.before)


class ClockJumps(Fault):
    """It jumps, back within what is allowed and ahead, while requests run; the end is ahead of the beginning."""
    name = "clock jumps"

    async def begin(self):
        return self.site.bench.clock is not None

    async def during(self):
        clock = self.site.bench.clock
        for _ in range(self.rng.randrange(3, 8)):
            clock.set(clock.now + self.rng.choice((-200, -1, 1, 3600, 86400, 2700000)))
            self.counted()
            await asyncio.sleep(self.rng.random() * 0.05)

    async def end(self):
        self.site.bench.clock.set(self.site.bench.clock.now + 100000)


class Reload(Fault):
    """The classes of keys change while requests run. What is asked meanwhile may have the class of before or after: the
    oracle takes the lower. In the end the new ones hold."""
    name = "reload"

    async def begin(self):
        if not self.site.keys:
            return False
        for k in self.site.keys:
            if k["said"]:
                k["next"] = self.rng.choice(CLASSES)
        return True

    async def during(self):
        await asyncio.sleep(self.rng.random() * 0.05)
        self.before = self.site.said().count("hearth serve: reloaded: ")
        self.site.write_config()
        self.site.reload()
        self.counted()

    async def end(self):
        for _ in range(1000):
            if self.site.said().count("hearth serve: reloaded: ") == self.before + len(self.site.servers):
                break
            await asyncio.sleep(0.01)
        else:
            sys.exit(f"canary: {self.site.name}: not reloaded: {self.site.said()[-600:]}")
        for k in self.site.keys:
            k["class"] = k.pop("next", k["class"])


class BadUpstream(Fault):
    """The servers that are asked do not do what they should."""
    name = "bad upstream"
    moods = ("500", "429", "503", "slow", "cut", "garbage", "redirect", "hang-up", "tools", "good", "good", "good")

    async def begin(self):
        for p in self.site.providers:
            p["up"].mood = lambda: self.rng.choice(self.moods)
            p["up"].elsewhere = f"{self.site.elsewhere.url}/chat/completions"
        self.counted()
        return True

    async def end(self):
        for p in self.site.providers:
            p["up"].mood = lambda: "good"


ALL = (Fault, Kill, Kill, Kill, DiskFull, DiskFull, NoRoom, ReadOnly, LogBroken, TableBroken, ClockBack, ClockJumps,
       Reload)
