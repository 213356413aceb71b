#!/usr/bin/env python3
"""`hearth run` at a real pseudo-terminal: the conversation, its commands, Ctrl-C, Ctrl-D, a full context."""
import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from served import BUILD, CACHE, MODEL, TINY, need  # noqa: E402
from terminal import Terminal  # noqa: E402

HEARTH, SMOL = str(BUILD / "hearth"), str(need(CACHE / f"{MODEL}.gguf"))
GEMMA = str(need(CACHE / "gemma-3-270m-q4_k_m.gguf"))
PROMPT = r"(\n|\r|^)> "


def opened(*args, model=SMOL):
    if TINY and "-n" not in args:
        args = ["-n", "400", *args]
    t = Terminal([HEARTH, "run", model, "--temp", "0", *args])
    t.expect(PROMPT)
    return t


def type_in(t, text):
    time.sleep(0.15)  # a person: not before the editor has taken the terminal
    t.type(text)


def say(t, line, answer=r"; (stop|length|cancelled|context)\]"):
    """Types a line; the answer is over and the prompt is back. Returns what was shown in between."""
    start = t.read_to
    type_in(t, line + "\r")
    t.expect(answer)
    t.expect(PROMPT)
    return t.shown[start:t.read_to]


def command(t, line, shows):
    type_in(t, line + "\r")
    m = t.expect(shows)
    t.expect(PROMPT)
    return m


def used(t):
    return int(command(t, "/context", r"(\d+) of (\d+) tokens").group(1))


def conversation():
    """What was said is known in the next turn, until it is cleared or dropped."""
    with opened("-n", "8", "-c", "1024") as t:
        status = pathlib.Path(f"/proc/{t.pid}/status").read_text()
        assert "Seccomp:\t2" in status, "a command that computes has not given up the network"
        assert used(t) == 0
        say(t, "My name is Zebedee.")
        first = used(t)
        second = say(t, "And I like apples.")
        assert int(known(second)) > 25, second
        assert used(t) > first
        command(t, "/help", r"/drop .*Ctrl-C stops an answer")
        command(t, "/wrong", r"'/wrong' is not a command")
        type_in(t, "/drop\r")  # silent
        t.expect(PROMPT)
        dropped = say(t, "I like pears too.")
        whole = int(count(dropped))
        type_in(t, "/clear\r")
        t.expect(PROMPT)
        assert used(t) == 0, "cleared, but still in the context"
        command(t, "/drop", "nothing to forget")
        alone = say(t, "I like pears too.")
        assert int(count(alone)) < whole, (alone, dropped)
        type_in(t, "/system You are a pirate.\r")
        t.expect(PROMPT)
        pirate = say(t, "I like pears too.")
        assert count(pirate) != count(alone), (pirate, alone)
        type_in(t, "\x1b[A")  # history: the last line again
        t.expect("I like pears too")
        type_in(t, "\r")
        t.expect(r"length\]|stop\]")
        t.expect(PROMPT)
        type_in(t, "/quit\r")
        assert t.ended() == 0


def count(shown):
    return re.search(r"\[prompt (\d+) tokens", shown).group(1)


def known(shown):
    return re.search(r"(\d+) of them known", shown).group(1)


def interrupts():
    """Ctrl-C ends an answer, not the conversation; at the prompt it drops the line; Ctrl-D leaves."""
    with opened("-c", "2048", "--repeat-penalty", "1.2") as t:
        for _ in range(3):
            type_in(t, "half a line\x03")
            t.expect(PROMPT, 10)
        say(t, "Hello.")
        before = used(t)
        type_in(t, "Write a very long story about a river, with all its towns.\r")
        t.expect(r"river, with all its towns\.\r\n")
        t.expect(r"\w+ \w+ \w+ ")
        t.type("\x03")
        t.expect(r"cancelled\]", 10)
        t.expect(PROMPT, 10)
        assert used(t) > before, "the stopped answer was forgotten"
        type_in(t, "\x03")
        t.expect(PROMPT, 10)
        type_in(t, "Thank you.\r")
        t.expect(r"\w+")
        time.sleep(0.5)
        t.type("\x03")
        t.expect(r"of them known.*\]", 20)
        t.expect(PROMPT, 10)
        type_in(t, "\x04")
        assert t.ended() == 0


def full_context():
    """A context that fills up in an answer is said; a turn that does not fit is taken back; the user decides."""
    with opened("-c", "128", "-n", "0") as t:
        type_in(t, "Write a very long story about a river and all the towns along it, with the people.\r")
        t.expect(r"The context of 128 tokens is full; nothing was cut\. /drop .*/clear", 60)
        t.expect(r"; context\]")
        t.expect(PROMPT)
        assert used(t) >= 127
        command(t, "Go on, please.", r"the prompt has \d+ tokens, the context 128")
        assert used(t) >= 127, "a turn that did not fit changed the conversation"
        type_in(t, "/drop\r")
        t.expect(PROMPT)
        type_in(t, "Hi.\r")
        t.expect(r"; (stop|context)\]")
        t.expect(PROMPT)
        type_in(t, "/exit\r")
        assert t.ended() == 0


def base_model():
    """gemma-3-270m has no template: what is typed is continued; a system message is refused, in words."""
    with opened("-n", "6", model=GEMMA) as t:
        shown = say(t, "One, two, three, four,")
        assert TINY or "five" in shown, shown
        before = used(t)
        command(t, "/system You are a pirate.", "needs a chat template")
        assert used(t) == before
        command(t, "/drop", "/clear forgets all")
        type_in(t, "/quit\r")
        assert t.ended() == 0


def bars_and_colours():
    """On a terminal a bar and colours; with NO_COLOR or TERM=dumb no colours."""
    with opened() as t:
        assert "loading" in t.shown
        assert "\x1b[" in say(t, "Hello.")
        type_in(t, "\x04")
        assert t.ended() == 0
    with Terminal([HEARTH, "run", SMOL, "Hello.", "-n", "4", "--temp", "0"], dict(os.environ, NO_COLOR="1")) as t:
        assert t.ended() == 0
        assert "\x1b[" not in t.shown and "length]" in t.shown, t.shown


for test in (conversation, interrupts, full_context, base_model, bars_and_colours):
    test()
    print("ok", test.__name__)
