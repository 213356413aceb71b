"""The front's side of hearth-pull, for tests that speak its messages (src/pull/README.md)."""
import json
import os
import select
import socket
import struct
import subprocess

from lib.pulling import BUILD, PLAIN

OPEN, CANCEL, CLOSE, GET, HEADER, CHECKED = 1, 3, 4, 5, 6, 7
HELLO, OPENED, DONE, ERROR, PROGRESS, CHECK, BYTES = 16, 17, 22, 23, 35, 36, 37


class Helper:
    """The front's side."""

    def __init__(self, environment=None):
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen([str(BUILD / "hearth-pull")], env=environment or PLAIN, stderr=subprocess.PIPE, pass_fds=(3,),
                                        preexec_fn=lambda: os.dup2(theirs.fileno(), 3))
        theirs.close()
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.wait(10)
        self.process.stderr.close()

    def say(self, kind, payload, request=0):
        data = json.dumps(payload).encode() if payload is not None else b""
        self.socket.sendall(struct.pack("<HHIII", 1, kind, request, len(data), 0) + data)

    def hear(self, seconds=20):
        """(type, request, payload), or None: it has ended."""
        def want(n):
            while len(self.data) < n:
                assert select.select([self.socket], [], [], seconds)[0], "hearth-pull says nothing"
                more = self.socket.recv(1 << 20)
                if not more:
                    return False
                self.data += more
            return True
        if not want(16):
            return None
        version, kind, request, n, flags = struct.unpack("<HHIII", self.data[:16])
        assert version == 1 and flags == 0
        assert want(16 + n)
        payload, self.data = self.data[16:16 + n], self.data[16 + n:]
        return kind, request, payload if kind == BYTES else json.loads(payload)

    def open(self, home, **more):
        kind, _, hello = self.hear()
        assert kind == HELLO and hello["process"] == "pull" and hello["build"], hello
        self.say(OPEN, {"models": str(getattr(home, "models", home)), "backoff_ms": 20, "piece_bytes": 65536, **more})
        kind, _, opened = self.hear()
        assert kind == OPENED, opened
        return opened

    def job(self, kind, request, **payload):
        """Everything until DONE or ERROR, the files that are to be checked found good."""
        self.say(kind, payload, request)
        heard = []
        while not heard or heard[-1][0] not in (DONE, ERROR):
            said = self.hear()
            assert said and said[1] == request, said
            heard.append((said[0], said[2]))
            if said[0] == CHECK:
                self.say(CHECKED, {"ok": True, "text": ""}, request)
        return heard
