"""Schemas against Python's `jsonschema` (Draft202012Validator, formats checked, decimals exact).

real      documents sampled from the grammars of published schemas (tools/schema-corpus) are accepted by jsonschema and by
          our validator. HEARTH_SCHEMAS of them (default 60; 0: all), HEARTH_SAMPLES documents each.
generated random schemas: the same
judged    random documents, made without regard to our generator and then mutated, are judged alike
`python tests/grammar/test_schema_peer.py --report` does all schemas and prints what is refused, and why, as a table.
"""
import collections, json, os, pathlib, random, re, sys, time

import schema_peers
import schema_random
from schema_peers import SEED, Serve, parse, peer

CORPUS = pathlib.Path(os.environ.get("HEARTH_CACHE", "build/cache")) / "schema-corpus.json"


def judge(validator, document):
    try:
        return validator.is_valid(parse(document))
    except Exception as e:
        return f"{type(e).__name__}: {e}"


def last_keyword(sentence):
    """The keyword of the path in a refusal, and what is said about it."""
    m = re.match(r"schema: (\S*?)/?([^/\s]*): (.*)", sentence)
    return f"{m[2]}: {m[3]}" if m else sentence


class Sampled:
    def __init__(self):
        self.counts, self.refused, self.bad = collections.Counter(), [], []
        self.times = []

    def run(self, serve, name, schema, samples, seed):
        r = serve(schema=schema, samples=samples, seed=seed, values=[])
        if r["error"] or r["grammar"]:
            why = r["error"] or r["grammar"]
            self.counts["refused"] += 1
            self.refused.append((name, (r["code"] if r["error"] else r["grammar_code"]), why))
            return
        self.counts["compiled"] += 1
        self.counts["unfinished"] += r["unfinished"]
        self.times.append((r["open_ms"] + r["compile_ms"], name))
        documents, validator = r["documents"], peer(schema)
        again = serve.ask_text('{"schema":%s,"values":[%s]}' % (json.dumps(schema), ",".join(unique(documents))))
        for document, ours in zip(documents, again.get("valid", [])):
            self.counts["documents"] += 1
            theirs = judge(validator, document)
            if isinstance(theirs, str) and theirs.startswith("error: "):
                theirs = True  # its regular expressions lack what the pattern needs (\\p{L})
                self.counts["judged by us alone"] += 1
            if theirs is not True or ours is not True:
                self.bad.append(f"{name}: jsonschema {theirs}, ours {ours}: {document[:500]}")
        if "valid" not in again:
            self.bad.append(f"{name}: {again['error']}")


def unique(documents):
    """A name that is not declared may come twice; js_parse refuses that, jsonschema reads the last one."""
    return [write(json.loads(d, parse_float=Number, parse_int=Number)) for d in documents]


class Number(str):
    """A number's own text."""


def write(v):
    if isinstance(v, (Number, schema_random.Raw)):
        return str(v)
    if isinstance(v, dict):
        return "{" + ",".join(json.dumps(k) + ":" + write(i) for k, i in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ",".join(write(i) for i in v) + "]"
    return json.dumps(v)


def real(serve, report=False):
    if not CORPUS.exists():
        schema_peers.skip("schema-corpus.json is not in the cache (tools/schema-corpus)")
    schemas = [json.loads(line.rstrip(",\n")) for line in CORPUS.open() if line.startswith("{")]
    n = 0 if report else int(os.environ.get("HEARTH_SCHEMAS", "60"))
    if n:
        small = [s for s in schemas if len(json.dumps(s["schema"])) < 40000]
        schemas = random.Random(SEED).sample(small, n)
    samples = int(os.environ.get("HEARTH_SAMPLES", "5"))
    s = Sampled()
    by = collections.defaultdict(collections.Counter)
    for i, entry in enumerate(schemas):
        before = s.counts["compiled"]
        s.run(serve, f"{entry['source']} {entry['name']}", entry["schema"], samples, SEED + i)
        by[entry["source"]]["compiled" if s.counts["compiled"] > before else "refused"] += 1
    print(f"real: {len(schemas)} schemas, {dict(s.counts)}, {len(s.bad)} bad")
    for source, c in by.items():
        print(f"  {source}: {c['compiled']} of {c['compiled'] + c['refused']}")
    if s.times:
        t = sorted(s.times)
        print(f"  compiled in {t[len(t) // 2][0]:.2f} ms (median), {t[-1][0]:.1f} ms at most ({t[-1][1]})")
    if report:
        reasons = collections.Counter(f"{code} {last_keyword(why)}" for _, code, why in s.refused)
        for reason, k in reasons.most_common():
            print(f"  {k:4} {reason}")
        for name, code, why in s.refused:
            print(f"    {name}: {why}")
    return s.bad


def generated(serve, n):
    """Random schemas of what can be generated: most are refused somewhere; what compiles must keep its word."""
    s = Sampled()
    for i in range(n):
        schema = json.loads(write(schema_random.root(random.Random(SEED * 1000 + i), full=False)))
        s.run(serve, f"random {SEED * 1000 + i} {json.dumps(schema)}", schema, 4, i)
    print(f"generated: {dict(s.counts)}, {len(s.bad)} bad")
    if s.counts["compiled"] < n / 4:
        s.bad.append("too few random schemas compile to prove anything")
    return s.bad


def judged(serve, n):
    bad, counts = [], collections.Counter()
    for i in range(n):
        r = random.Random(SEED * 2000 + i)
        schema = schema_random.root(r)
        values = [schema_random.near(r, schema, schema["$defs"]) for _ in range(6)]
        values += [schema_random.mutate(r, v) for v in values]
        texts = [write(v) for v in values]
        a = serve.ask_text('{"schema":%s,"values":[%s]}' % (write(schema), ",".join(texts)))
        if a["error"]:
            counts["refused"] += 1
            if a["code"] not in ("unsupported",):
                bad.append(f"{write(schema)}: {a['error']}")
            continue
        validator = peer_of_text(write(schema))
        for text, ours, problem in zip(texts, a["valid"], a["problems"]):
            theirs = judge(validator, text)
            counts["valid" if theirs is True else "invalid"] += 1
            if ours != theirs:
                bad.append(f"{write(schema)}\n  {text}: jsonschema {theirs}, ours {ours} {problem}")
    print(f"judged: {dict(counts)}, {len(bad)} differ")
    if counts["valid"] < n or counts["invalid"] < n:
        bad.append("too few valid or invalid documents to prove anything")
    return bad


def peer_of_text(schema):
    return schema_peers.EXACT(parse(schema), format_checker=STRICT)


# What jsonschema's checkers of formats leave out of the RFCs, by our reading of them, which the official suite confirms.
STRICT = schema_peers.strict_formats()


def main():
    serve = Serve()
    report = "--report" in sys.argv
    scale = int(os.environ.get("HEARTH_SCHEMA_SCALE", "1"))
    begin = time.time()
    bad = real(serve, report) + generated(serve, 400 * scale) + judged(serve, 400 * scale)
    print(f"{time.time() - begin:.1f} s")
    print("\n".join(bad[:40]))
    return 1 if bad else 0


sys.exit(main())
