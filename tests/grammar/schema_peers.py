"""What the schema tests share: the serving test program, and `jsonschema` with exact decimals."""
import json, os, subprocess, sys

BUILD = os.environ.get("HEARTH_BUILD", "build")
CACHE = os.environ.get("HEARTH_CACHE", "build/cache")
SEED = int(os.environ.get("HEARTH_SEED", "20260607"))


class Serve:
    """Questions to `test_schema --serve`, one JSON object a line each way."""

    def __init__(self, program="test_schema"):
        self.p = subprocess.Popen([f"{BUILD}/tests/grammar/{program}", "--serve"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def ask_text(self, line):
        self.p.stdin.write(line.encode() + b"\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        assert answer, f"the test program ended (exit {self.p.wait()}) at {line[:2000]}"
        return json.loads(answer)

    def __call__(self, **question):
        return self.ask_text(json.dumps(question))


def skip(why):
    print(f"{why}: it needs the network once")
    sys.exit(77)
