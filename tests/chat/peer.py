"""Chat templates as jinja2 renders them, set up as Hugging Face's transformers does (its
utils/chat_template_utils.py), and the same by hearth's test program: for the tests here."""
import datetime, json, os, struct, subprocess

import jinja2, jinja2.ext, jinja2.nodes, jinja2.sandbox

BUILD = os.environ.get("HEARTH_BUILD", "build")
NOW = datetime.datetime(2025, 7, 24, 10, 4, 5)  # what the test program says, too


class Generation(jinja2.ext.Extension):
    """{% generation %}: a call block without arguments, as transformers' AssistantTracker makes it."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("inner"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def inner(self, context, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = lambda f: NOW.strftime(f)
    return env


class Hearth:
    def __init__(self):
        self.p = subprocess.Popen([os.environ.get("TT", f"{BUILD}/tests/chat/test_template"), "--serve"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.last = None

    def __call__(self, source, variables):
        """(0, output) or (status, the error's sentence)"""
        v = json.dumps(variables).encode()
        if source == self.last:
            q = struct.pack("<I", 0xFFFFFFFF)
        else:
            s = source.encode()
            q = struct.pack("<I", len(s)) + s
        self.last = source
        self.p.stdin.write(q + struct.pack("<I", len(v)) + v)
        self.p.stdin.flush()
        head = self.p.stdout.read(8)
        assert len(head) == 8, f"the test program ended on {source[:2000]!r} with {variables!r}"
        status, n = struct.unpack("<II", head)
        return status, self.p.stdout.read(n).decode()


E_FORMAT, E_UNSUPPORTED, E_RANGE = 3, 4, 5


def compare(hearth, env, source, variables, compiled={}):
    """None when both agree; else what each says. Refusals agree when the template's own words are the same."""
    try:
        if source not in compiled:
            compiled.clear()
            compiled[source] = env.from_string(source)
        want, words = compiled[source].render(**variables), None
        want.encode()
    except jinja2.exceptions.TemplateError as e:
        want, words = None, str(e) if type(e) is jinja2.exceptions.TemplateError else None
    except (RecursionError, MemoryError):
        return None
    except Exception as e:
        want, words = None, None
        if os.environ.get("WHY"): print(type(e), e)
    status, got = hearth(source, variables)
    compare.rendered += want is not None
    if want is None:
        if status == 0:
            return f"  peer refuses ({words}), hearth says {got!r}"
        return f"  peer: {words!r}\n  hearth: {got!r}" if words is not None and words not in got else None
    if status:
        return f"  peer   {want!r}\n  hearth fails ({status}): {got}"
    return None if got == want else f"  peer   {want!r}\n  hearth {got!r}"


compare.rendered = 0  # how many the peer rendered
