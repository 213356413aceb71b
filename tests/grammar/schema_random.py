"""Random schemas of every keyword that is claimed, and random documents that come near to them."""
import random

NAMES = ["a", "b", "c", "d", "x1", "x-y", "\u00e9", "a b", "q\"", "\U0001F600"]
PATTERNS = ["^a", "b$", "^[a-c]*$", "^x", "[0-9]", "^(ab|cd)+$", "[^a]", "^.{1,3}$", "^[a-z0-9]+$", "a{2,3}", "\\u00e9", "^$"]
FORMATS = ["date", "time", "date-time", "email", "ipv4", "ipv6", "uuid", "uri", "duration", "json-pointer"]
TEXTS = ["", "a", "ab", "abc", "b", "ba", "aab", "cd", "abcd", "x", "x1", "1", "\u00e9", "\U0001F600", "a\nb", "\\", "\"",
         "2024-02-29", "2023-02-29", "2023-02-28", "12:00:00Z", "23:59:60Z", "24:00:00Z", "12:00:00+01:00", "2024-02-29T12:00:00Z",
         "2024-02-29T12:00:00.5+23:59", "a@b.c", "@", "a@", "1.2.3.4", "1.2.3.256", "01.2.3.4", "::", "::1", "1::2::3", "1:2:3:4:5:6:7:8",
         "00000000-0000-0000-0000-000000000000", "0000000000000000-0000-000000000000", "http://a/b?c#d", "urn:x", "a:", "//x", "http://a b",
         "P1D", "P1Y2M3DT4H5M6S", "P", "PT", "P1W", "", "/a/b", "/a~0", "/a~2", "/"]
NUMBERS = ["0", "1", "-1", "2", "3", "10", "0.1", "0.5", "1.5", "-0.5", "1.0", "2.00", "1e1", "100e-2", "0.30", "-0", "12", "7", "0.05", "0.07"]


def numbers(r, schema):
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if r.random() < .2:
            schema[key] = Raw(r.choice(NUMBERS))
    if r.random() < .15:
        schema["multipleOf"] = Raw(r.choice(["1", "2", "0.5", "0.1", "0.05", "5", "3", "0.25", "10", "0.7"]))


def texts(r, schema):
    if r.random() < .25:
        schema["minLength"] = r.randrange(4)
    if r.random() < .25:
        schema["maxLength"] = r.randrange(6)
    if r.random() < .25:
        schema["pattern"] = r.choice(PATTERNS)
    if r.random() < .15:
        schema["format"] = r.choice(FORMATS)


def arrays(r, schema, depth, full):
    if r.random() < .5:
        schema["items"] = make(r, depth + 1, full)
    if r.random() < .25:
        schema["prefixItems"] = [make(r, depth + 1, full) for _ in range(r.randint(1, 3))]
    if r.random() < .2:
        schema["minItems"] = r.randrange(3)
    if r.random() < .2:
        schema["maxItems"] = r.randrange(4)
    if full and r.random() < .1:
        schema["uniqueItems"] = r.random() < .8
    if full and r.random() < .15:
        schema["contains"] = make(r, depth + 1, full)
        if r.random() < .5:
            schema["minContains"] = r.randrange(3)
        if r.random() < .3:
            schema["maxContains"] = r.randrange(3)
    if r.random() < .1:
        schema["unevaluatedItems"] = make(r, depth + 1, full)


def objects(r, schema, depth, full):
    if r.random() < .7:
        schema["properties"] = {n: make(r, depth + 1, full) for n in r.sample(NAMES, r.randint(1, 3))}
    if r.random() < .4:
        schema["required"] = r.sample(NAMES[:5], r.randint(0, 2))
    if r.random() < .25:
        schema["additionalProperties"] = make(r, depth + 1, full)
    if r.random() < .2:
        schema["patternProperties"] = {p: make(r, depth + 1, full) for p in r.sample(PATTERNS, r.randint(1, 2))}
    if r.random() < .15:
        schema["minProperties"] = r.randrange(3)
    if r.random() < .15:
        schema["maxProperties"] = r.randrange(4)
    if r.random() < .1:
        schema["propertyNames"] = {"maxLength": r.randrange(4)} if r.random() < .5 else {"pattern": r.choice(PATTERNS)}
    if r.random() < .1:
        schema["unevaluatedProperties"] = make(r, depth + 1, full)
    if full and r.random() < .1:
        schema["dependentRequired"] = {r.choice(NAMES[:5]): r.sample(NAMES[:5], 1)}
    if full and r.random() < .05:
        schema["dependentSchemas"] = {r.choice(NAMES[:5]): make(r, depth + 1, full)}


class Raw(str):
    """A number by its text."""


def make(r, depth=0, full=True):
    """full: also what is checked but not generated."""
    if depth > 3 or r.random() < .08:
        return r.choice([True, True, {"type": "integer"}, {"type": "string"}, {"type": "null"}, False if full else {}])
    schema = {}
    kinds = ["null", "boolean", "integer", "number", "string", "array", "object"]
    kind = r.choices(kinds, [1, 1, 3, 3, 5, 4, 7])[0]
    if r.random() < .8:
        schema["type"] = kind if r.random() < .8 else sorted({kind, r.choice(kinds)})
    if r.random() < .08:
        schema["enum"] = [value(r, 2) for _ in range(r.randint(1, 4))]
    if r.random() < .04:
        schema["const"] = value(r, 2)
    if kind in ("integer", "number"):
        numbers(r, schema)
    if kind == "string":
        texts(r, schema)
    if kind == "array":
        arrays(r, schema, depth, full)
    if kind == "object":
        objects(r, schema, depth, full)
    combine(r, schema, depth, full)
    return schema


def combine(r, schema, depth, full):
    for key, chance in (("allOf", .08), ("anyOf", .1), ("oneOf", .08)):
        if r.random() < chance:
            schema[key] = [make(r, depth + 1, full) for _ in range(r.randint(1, 3))]
    if full and r.random() < .06:
        schema["not"] = make(r, depth + 1, full)
    if full and r.random() < .06:
        schema["if"] = make(r, depth + 1, full)
        schema[r.choice(["then", "else"])] = make(r, depth + 1, full)
    if r.random() < .06:
        schema["not"] = r.choice([{"required": r.sample(NAMES[:5], r.randint(1, 2))}, {"enum": r.sample(TEXTS, 3)}, {"pattern": r.choice(PATTERNS)},
                                  {"type": r.choice(["string", "object", "integer"])}, {"type": "string", "maxLength": 1},
                                  {"type": "object", "required": ["a"]}, {}, False])
    if "properties" in schema and "oneOf" not in schema and r.random() < .12:
        names = list(schema["properties"])
        schema["oneOf"] = [{"required": [n]} for n in names] if r.random() < .5 else [{"required": r.sample(NAMES[:5], 2)}, {"required": names[:1]}]
    if r.random() < .08:
        schema["$ref"] = r.choice(["#/$defs/p", "#/$defs/q", "#anchor"])


def root(r, full=True):
    """A schema with definitions, which refer to each other only through members and items."""
    schema = make(r, 0, full)
    if not isinstance(schema, dict):
        schema = {"allOf": [schema]}
    schema["$defs"] = {
        "p": {"type": "object", "properties": {"a": {"$ref": "#/$defs/q"}, "b": {"type": "integer"}}},
        "q": {"$anchor": "anchor", "anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/p"}}]},
    }
    return schema


def value(r, depth=0):
    kind = r.randrange(10 if depth < 3 else 6)
    if kind == 0:
        return r.choice([None, True, False])
    if kind < 3:
        return Raw(r.choice(NUMBERS))
    if kind < 6:
        return r.choice(TEXTS) if r.random() < .8 else "".join(r.choices("abcx1\u00e9", k=r.randrange(5)))
    if kind < 8:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    return {n: value(r, depth + 1) for n in r.sample(NAMES, r.randrange(4))}


def near(r, schema, defs, depth=0):
    """A value that takes the schema's words seriously, most of the time."""
    if not isinstance(schema, dict) or depth > 5 or r.random() < .06:
        return value(r, depth)
    if "$ref" in schema and r.random() < .6:
        return near(r, defs["q" if schema["$ref"] == "#anchor" else schema["$ref"][-1]], defs, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return r.choice(schema["enum"])
    for key in ("anyOf", "oneOf", "allOf", "if"):
        if key in schema and r.random() < .3:
            part = schema[key]
            return near(r, r.choice(part) if isinstance(part, list) else part, defs, depth + 1)
    kind = schema.get("type", r.choice(["string", "object", "array", "integer", "number"]))
    if isinstance(kind, list):
        kind = r.choice(kind)
    if kind == "object":
        out = {}
        for name in list(schema.get("properties", {})) + schema.get("required", []):
            if name in schema.get("required", []) or r.random() < .6:
                out[name] = near(r, schema.get("properties", {}).get(name, True), defs, depth + 1)
        if r.random() < .3:
            out[r.choice(NAMES)] = near(r, schema.get("additionalProperties", True), defs, depth + 1)
        return out
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        n = max(schema.get("minItems", 0), r.randrange(4))
        return [near(r, prefix[i] if i < len(prefix) else schema.get("items", True), defs, depth + 1) for i in range(n)]
    if kind == "string":
        return r.choice(TEXTS)
    if kind in ("integer", "number"):
        return Raw(r.choice(NUMBERS))
    return {"null": None, "boolean": r.random() < .5}[kind]


def mutate(r, v):
    """One small change somewhere."""
    if isinstance(v, dict) and v and r.random() < .8:
        name = r.choice(list(v))
        out = dict(v)
        if r.random() < .3:
            del out[name]
        else:
            out[name] = mutate(r, v[name])
        return out
    if isinstance(v, list) and v and r.random() < .8:
        i = r.randrange(len(v))
        return v[:i] + ([] if r.random() < .3 else [mutate(r, v[i])] * r.choice([1, 1, 2])) + v[i + 1:]
    return value(r, 2)
