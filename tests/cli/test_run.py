#!/usr/bin/env python3
"""`hearth run` with real models: where the prompt comes from, options and their limits, what is refused and how."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from hearth import BASE_MODEL, ENVIRONMENT, HEARTH, MODEL, TINY, hearth, run_tests  # noqa: E402

QUESTION = "Name three rivers in Europe."


def run(*args, **more):
    return hearth("run", *args, **more)


def test_prompt_from_anywhere():
    """The same answer whether the prompt is a word, standard input or a file."""
    word = run(MODEL, QUESTION, "--temp", 0, "-n", 16)
    assert word.out.strip() and word.out.endswith("\n")
    assert "answer 16 tokens" in word.err and "length]" in word.err
    assert run(MODEL, "--temp", 0, "-n", 16, stdin=QUESTION).out == word.out
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(QUESTION)
        f.flush()
        assert run(MODEL, "--temp=0", "-n16", "--file", f.name).out == word.out
        run(MODEL, QUESTION, "--file", f.name, code=2, says="one of them")
    quiet = run(MODEL, "-q", "--temp", 0, "-n", 16, "--file", "-", stdin=QUESTION)
    assert quiet.out == word.out and quiet.err == ""
    run(MODEL, "", code=3, says="the prompt is empty")
    run(MODEL, stdin="", code=3, says="the prompt is empty")
    run(MODEL, stdin=b"a\0b", code=3, says="zero byte")
    run(MODEL, "--file", "/nonexistent/file", code=3, says="/nonexistent/file: No such file")


def test_template_or_not():
    """--raw continues the text; a base model always does; a system message needs a template."""
    chat, raw = (run(MODEL, "Once upon a", "--temp", 0, "-n", 8, *more) for more in ([], ["--raw"]))
    assert TINY or raw.out.startswith(" time"), raw.out
    assert chat.out != raw.out
    pirate = run(MODEL, QUESTION, "--system", "You are a pirate.", "--temp", 0, "-n", 8)
    assert pirate.err.split()[1:3] != chat.err.split()[1:3]
    run(MODEL, "x", "--raw", "--system", "x", code=3, says="--raw does without")
    assert TINY or "five" in run(BASE_MODEL, "One, two, three, four,", "--temp", 0, "-n", 6).out
    run(BASE_MODEL, "x", "--system", "x", code=3, says="this is a base model")


def test_answers_of_a_form():
    """--schema, --json and --grammar: whatever the temperature, the answer has the form, or it was cut."""
    schema = {"type": "object", "required": ["name", "age"], "additionalProperties": False, "properties": {
        "name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}}}
    with tempfile.TemporaryDirectory() as d:
        def file(name, text):
            path = pathlib.Path(d, name)
            path.write_text(text)
            return path
        good = file("s.json", json.dumps(schema))
        for seed in range(4):
            r = run(MODEL, "Describe Alice, who is 30.", "--schema", good, "--temp", 1.5, "--seed", seed, "-n", 120)
            if "stop]" in r.err:
                person = json.loads(r.out)
                assert set(person) == {"name", "age"} and 0 <= person["age"] <= 120, person
            else:
                assert "cut before its form was complete" in r.err
        r = run(MODEL, "Describe Alice.", "--json", "--temp", 0, "-n", 200)
        assert "length]" in r.err or isinstance(json.loads(r.out), dict)
        g = file("g.gbnf", 'root ::= ("red" | "blue") "!"\n')
        assert run(MODEL, "Name a colour.", "--grammar", g, "--temp", 2).out.strip() in ("red!", "blue!")
        run(MODEL, "x", "--json", "--grammar", g, code=2, says="one of them")
        run(MODEL, "x", "--grammar", good, code=3, says="line 1")
        bad = file("b.json", '{"properties": {"a": {"minimum": "1"}}}')
        run(MODEL, "x", "--schema", bad, code=3, says="/properties/a/minimum")
        run(MODEL, "x", "--schema", file("n.json", "{"), code=3, says="n.json")


def test_same_seed_same_answer():
    def drawn(seed, *more):
        return run(MODEL, "Tell me a story.", "--seed", seed, "--temp", 1.2, "-n", 24, *more).out
    first = drawn(7)
    assert drawn(7) == first
    assert drawn(7, "--threads", 1) == first, "the thread count changed the answer"
    assert drawn(7, "--isa", "portable") == first, "the instruction set changed the answer"
    assert drawn(8) != first
    fresh = {run(MODEL, "Tell me a story.", "--temp", 1.5, "-n", 24).out for _ in range(3)}
    assert len(fresh) > 1, "without --seed every answer is the same"


def test_stop():
    whole = run(MODEL, QUESTION, "--temp", 0, "-n", 40).out
    word = whole.split()[6]
    cut = run(MODEL, QUESTION, "--temp", 0, "-n", 40, "--stop", word, "--stop", "never said")
    assert cut.out.rstrip("\n") == whole[:whole.index(word)].rstrip("\n") or cut.out == whole[:whole.index(word)] + "\n"
    assert "stop]" in cut.err


def test_grammar():
    """The answer is a text of the grammar, also of a model that knows nothing; a grammar that is none is refused."""
    with tempfile.NamedTemporaryFile("w", suffix=".gbnf") as f:
        f.write('root ::= "{" pair ("," pair){2} "}" # three\npair ::= "\\"" [a-c]{1,3} "\\":" ("true" | "false")\n')
        f.flush()
        for seed in range(3):
            done = run(MODEL, QUESTION, "--grammar", f.name, "--seed", seed, "--temp", 1.5)
            assert re.fullmatch(r'\{"[abc]{1,3}":(true|false)(,"[abc]{1,3}":(true|false)){2}\}\n', done.out), done.out
            assert "forced" in done.err and "stop]" in done.err
        f.write("pair ::= (\n")
        f.flush()
        run(MODEL, QUESTION, "--grammar", f.name, code=3, says=f"{f.name}: grammar, line 3, column 1: this rule is")
    run(MODEL, QUESTION, "--grammar", "/nonexistent/file", code=3, says="/nonexistent/file: No such file")


def test_penalties_change_the_answer():
    plain = run(BASE_MODEL, "la la la la la la", "--temp", 0, "-n", 16).out
    for name in ("--repeat-penalty", "--presence-penalty", "--frequency-penalty"):
        assert run(BASE_MODEL, "la la la la la la", "--temp", 0, "-n", 16, name, 30).out != plain, name


def test_option_limits():
    """Usage errors (2), said before a model is opened: the model does not even exist."""
    for args, says in (
        (["--temp", "-1"], "temperature is -1, it must be 0 to 100"),
        (["--temp", "hot"], "--temp hot: must be a number"),
        (["--temp", "nan"], "--temp nan: must be a number"),
        (["--top-p", "1.5"], "top_p is 1.5"),
        (["--min-p", "-0.5"], "min_p is -0.5"),
        (["--top-k", "-1"], "must not be negative"),
        (["--max-tokens", "-3"], "must not be negative"),
        (["--max-tokens", "99999999999"], "must not be"),
        (["--max-tokens", "3.5"], "must be a whole number"),
        (["--repeat-penalty", "0"], "repeat_penalty is 0"),
        (["--presence-penalty", "101"], "presence_penalty is 101"),
        (["--frequency-penalty", "-101"], "frequency_penalty is -101"),
        (["--repeat-last-n", "1000000"], "repeat_last_n is 1000000"),
        (["--stop", ""], "stop string"),
        (["--stop", "x"] * 65, "at most"),
        (["--ctx", "-5"], "--ctx must be"),
        (["--threads", "1000"], "--threads must be"),
        (["--mem", "lots"], "must be a size"),
        (["--temp"], "--temp needs T"),
        (["--raw=yes"], "--raw takes no value"),
        (["--tmep", "1"], "did you mean '--temp'?"),
        (["-z"], "unknown option '-z'"),
        (["three", "words"], "put it into quotes"),
    ):
        run("no-such-model", "x", *args, code=2, says=says)
    run(code=2, says="a MODEL is needed")
    run(MODEL, "x", "--isa", "sse9", code=3, says="sse9")


def test_model_not_found():
    run("SmolLM2-135M-Instruct.Q4_2", "x", code=3, says=f"did you mean '{MODEL}'?")
    run("/nonexistent/model.gguf", "x", code=3, says="/nonexistent/model.gguf")
    run("/", "x", code=3)
    with tempfile.NamedTemporaryFile("w", suffix=".gguf") as f:
        f.write("no model at all, only text that goes on for some bytes")
        f.flush()
        run(f.name, "x", code=3, says=f.name)


def test_does_not_fit():
    """The arithmetic, and exit 4: a prompt longer than the context, a model larger than the memory."""
    long = run(MODEL, "-c", 256, stdin="word " * 400, code=4)
    counts = [int(w.strip(",")) for w in long.err.split() if w.strip(",\n").isdigit()]
    assert counts[0] > 400 and counts[1] == 256, long.err
    mem = 2 if TINY else 60
    small = run(MODEL, "x", "--mem", f"{mem}M", code=4)
    parts = [float(w) for w in small.err.replace("=", " ").split() if w.replace(".", "").isdigit()]
    terms, total, allowed = parts[:5], parts[5], parts[6]
    assert allowed == mem and abs(sum(terms) - total) < 0.3, small.err  # weights, KV, scratch, vocabulary, program
    assert "would fit with --" in small.err or "a smaller model" in small.err
    run(MODEL, "x", "-c", 9000, "-n", 1, says="trained for 8192 positions")


def test_full_disk_and_closed_pipe():
    """What cannot be written ends the answer at once and is an error."""
    start = time.monotonic()
    with open("/dev/full", "w") as full:
        done = subprocess.run([HEARTH, "run", MODEL, "Count to ten thousand."], stdout=full, stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 3 and b"No space left" in done.stderr, (done.returncode, done.stderr)
    p = subprocess.Popen([HEARTH, "run", MODEL, "Count to ten thousand."], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=ENVIRONMENT)
    p.stdout.read(10)
    p.stdout.close()
    assert p.wait(30) == 3
    assert time.monotonic() - start < 30


def test_interrupt_of_one_answer():
    """Ctrl-C ends the one answer; what came so far stays, and the statistics say so."""
    p = subprocess.Popen([HEARTH, "run", MODEL, "Write a very long story about a river.", "--temp", "0",
                          "--repeat-penalty", "1.3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         stdin=subprocess.DEVNULL, env=ENVIRONMENT)
    first = os.read(p.stdout.fileno(), 1)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=30)
    assert first and b"cancelled]" in err, err
    assert p.returncode == 1, p.returncode


run_tests(globals())
