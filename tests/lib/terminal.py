"""A program at a real pseudo-terminal, for tests: type, wait for what it shows, look at how it ended."""
import os
import pty
import re
import select
import signal
import time


class Terminal:
    """with Terminal(["hearth", "run", ...], env) as t: t.expect("> "); t.type("hello\\n")"""

    def __init__(self, args, env=None, columns=120):
        self.args, self.shown, self.read_to, self.code = args, "", 0, None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            import fcntl, struct, termios
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
            os.execve(args[0], args, dict(env or os.environ, TERM="xterm"))

    def __enter__(self):
        return self

    def __exit__(self, *rest):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self, seconds):
        """Adds what comes within so long; False at the end of the program's output."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def expect(self, pattern, seconds=60):
        """Waits for a regular expression after what was expected before; returns the match."""
        end = time.monotonic() + seconds
        alive = True
        while True:
            m = re.compile(pattern, re.S).search(self.shown, self.read_to)
            if m:
                self.read_to = m.end()
                return m
            if not alive or time.monotonic() > end:
                why = "did not come" if alive else "did not come before the program ended"
                raise AssertionError(f"{pattern!r} {why}; shown:\n{self.shown[self.read_to:]!r}")
            alive = self._read(0.2)

    def ended(self, seconds=30):
        """Waits for the end; the exit code, or minus the signal."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.05)
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(how)
                return self.code
        raise AssertionError(f"it did not end within {seconds} s; shown:\n{self.shown[self.read_to:]!r}")
