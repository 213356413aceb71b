"""What the schema tests share: the serving test program, and `jsonschema` with exact decimals."""
import json, os, re, subprocess, sys
from decimal import Decimal

try:
    import jsonschema
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

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


# ---- jsonschema, with exact decimals ----

def is_integer(_, v):
    return isinstance(v, int) and not isinstance(v, bool) or isinstance(v, Decimal) and v == v.to_integral_value()


def is_number(_, v):
    return isinstance(v, (int, Decimal)) and not isinstance(v, bool)


EXACT = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer).redefine("number", is_number))
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


def strict_formats():
    """jsonschema's own, but e-mail addresses by RFC 5321 (it asks for an '@') and leap seconds by RFC 3339 (it has none)."""
    formats = jsonschema.FormatChecker()
    formats.checkers = dict(FORMATS.checkers)

    @formats.checks("email")
    def email(v):
        return not isinstance(v, str) or re.fullmatch(r"[a-z0-9.]+@[a-z0-9]+(\.[a-z0-9]+)*", v) is not None

    def leap(old):
        return lambda v: old(v) or isinstance(v, str) and "23:59:60Z" in v and old(v.replace(":60", ":59"))

    for name in ("time", "date-time"):
        formats.checkers[name] = (leap(formats.checkers[name][0]), ())
    return formats


def parse(text):
    return json.loads(text, parse_float=Decimal)


def peer(schema):
    """A validator for a schema as json.loads or parse gives it."""
    return EXACT(parse(json.dumps(modern(schema), default=number)), format_checker=FORMATS)


def number(v):
    if isinstance(v, Decimal):
        return float(v)
    raise TypeError(v)


# ---- what older drafts and OpenAPI wrote, in the words of 2020-12 ----

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
ONES = ("items", "additionalProperties", "additionalItems", "not", "if", "then", "else", "contains", "propertyNames",
        "unevaluatedItems", "unevaluatedProperties")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")


def modern(v):
    if not isinstance(v, dict):
        return v
    out = {}
    for key, value in v.items():
        if key in MAPS and isinstance(value, dict):
            out[key] = {n: modern(s) for n, s in value.items()}
        elif key == "items" and isinstance(value, list):
            out["prefixItems"] = [modern(s) for s in value]
        elif key in ONES:
            out[key] = modern(value)
        elif key in LISTS and isinstance(value, list):
            out[key] = [modern(s) for s in value]
        else:
            out[key] = value
    out.pop("$schema", None)
    if isinstance(v.get("items"), list):
        if "additionalItems" in out:
            out["items"] = out.pop("additionalItems")
        if not out["prefixItems"]:
            del out["prefixItems"]
    else:
        out.pop("additionalItems", None)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(out.get(exclusive), bool):
            if out.pop(exclusive):
                out[exclusive] = out.pop(bound)
    for name, needs in out.pop("dependencies", {}).items():
        out.setdefault("dependentRequired" if isinstance(needs, list) else "dependentSchemas", {})[name] = modern(needs)
    if isinstance(out.get("$id"), str) and out["$id"].startswith("#"):
        out["$anchor"] = out.pop("$id")[1:]
    if out.get("nullable") is True and "type" in out:
        out["type"] = (out["type"] if isinstance(out["type"], list) else [out["type"]]) + ["null"]
    if isinstance(out.get("type"), list):
        out["type"] = sorted(set(out["type"]))
    return out
