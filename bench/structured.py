#!/usr/bin/env python3
"""Structured output against llguidance and xgrammar: structured.py MODEL.gguf [--schemas N] [--seconds S] [--engines NAME,...] [--out FILE.md]

The same published schemas (build/cache/schema-corpus.json, `tools/fetch schema-corpus`), the same vocabulary, the same documents: sampled from
our grammar, so for schemas that we refuse only compiling is compared. Each engine compiles the schema and walks every document token
by token, with the mask computed before each token; only that is timed, around the call. Documents that jsonschema finds invalid (mutated
ones) are walked too: an engine that takes one to its end has not enforced the schema. Each engine is a process of its own, which
is ended after S seconds (default 5) on one schema. The order is random: FILE.md is written anew every 25 schemas.

Needs: the test programs (make unit builds them), and a Python with llguidance, xgrammar (which wants torch), tokenizers, gguf, numpy and
jsonschema[format-nongpl]: bench/structured.py makes no environment of its own, since torch is large. Versions are printed.
"""
import argparse, collections, importlib.metadata, json, pathlib, random, select, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/grammar"), str(ROOT / "tests/token")]


# ---- the engines: {"schema": ..., "walks": [[token, ...], ...]} -> {"error", "compile_ms", "walks": [{"taken", "ends", "mask_us"}]} ----

def tokenizer_of(model):
    from hf_peers import smollm2
    return smollm2(model)[0]


def walk(tokens, fill, allowed, accept, ends):
    times, taken = [], 0
    for t in tokens:
        begin = time.perf_counter()
        fill()
        times.append((time.perf_counter() - begin) * 1e6)
        if not allowed(t) or not accept(t):
            break
        taken += 1
    return {"taken": taken, "ends": taken == len(tokens) and ends(), "mask_us": times}


class LLGuidance:
    def __init__(self, model):
        import llguidance, numpy
        self.m, tokenizer = llguidance, tokenizer_of(model)
        self.tokenizer = llguidance.LLTokenizer(tokenizer.to_str(), eos_token=tokenizer.token_to_id("<|im_end|>"))
        self.mask = numpy.zeros((tokenizer.get_vocab_size() + 31) // 32, numpy.uint32)
        self.pointer, self.bytes = self.mask.ctypes.data, self.mask.nbytes

    def __call__(self, schema, walks):
        begin = time.perf_counter()
        grammar = self.m.LLMatcher.grammar_from_json_schema(schema)
        first = self.m.LLMatcher(self.tokenizer, grammar)
        ms = (time.perf_counter() - begin) * 1e3
        if first.is_error():
            return {"error": first.get_error(), "compile_ms": ms}
        return {"error": None, "compile_ms": ms, "walks": [self.walk(first, w) for w in walks]}

    def walk(self, matcher, tokens):
        matcher.reset()
        return walk(tokens, lambda: matcher.unsafe_compute_mask_ptr(self.pointer, self.bytes), lambda t: self.mask[t // 32] >> (t % 32) & 1,
                    lambda t: matcher.consume_token(t), lambda: matcher.is_accepting())


class XGrammar:
    def __init__(self, model):
        import torch, xgrammar
        torch.set_num_threads(1)
        self.x, tokenizer = xgrammar, tokenizer_of(model)
        size, self.end = tokenizer.get_vocab_size(), tokenizer.token_to_id("<|im_end|>")
        info = xgrammar.TokenizerInfo([tokenizer.id_to_token(i) for i in range(size)], xgrammar.VocabType.BYTE_LEVEL, vocab_size=size,
                                      stop_token_ids=[self.end])
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.mask = xgrammar.allocate_token_bitmask(1, size)
        self.view = self.mask.numpy().reshape(-1)

    def __call__(self, schema, walks):
        begin = time.perf_counter()
        try:
            grammar = self.compiler.compile_json_schema(schema)
        except Exception as e:
            return {"error": str(e), "compile_ms": (time.perf_counter() - begin) * 1e3}
        return {"error": None, "compile_ms": (time.perf_counter() - begin) * 1e3, "walks": [self.walk(grammar, w) for w in walks]}

    def walk(self, grammar, tokens):
        matcher = self.x.GrammarMatcher(grammar)
        return walk(tokens, lambda: matcher.fill_next_token_bitmask(self.mask), lambda t: int(self.view[t // 32]) >> (t % 32) & 1,
                    lambda t: matcher.accept_token(t), lambda: matcher.accept_token(self.end))


ENGINES = {"llguidance": LLGuidance, "xgrammar": XGrammar}


def engine_main(name, model):
    engine = ENGINES[name](model)
    print("ready", flush=True)
    for line in sys.stdin:
        q = json.loads(line)
        print(json.dumps(engine(json.dumps(q["schema"]), q["walks"])), flush=True)


# ---- the comparison ----

class Process:
    """An engine in a process of its own; None when it does not answer in time or dies."""

    def __init__(self, command, seconds):
        self.command, self.p, self.seconds = command, None, seconds

    def start(self):
        self.p = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        if "--engine" in self.command:
            self.p.stdout.readline()

    def __call__(self, question):
        if not self.p:
            self.start()
        try:
            self.p.stdin.write(json.dumps(question).encode() + b"\n")
            self.p.stdin.flush()
            if select.select([self.p.stdout], [], [], self.seconds)[0]:
                line = self.p.stdout.readline()
                if line:
                    return json.loads(line)
        except BrokenPipeError:
            pass
        self.p.kill()
        self.p.wait()
        self.p = None
        return None


def documents(hearth, schema, validator, seed, peers, rnd):
    """(ours, valid texts, invalid texts)"""
    r = hearth({"schema": schema, "samples": 3, "seed": seed, "values": []})
    if r is None or r.get("error") or r.get("grammar"):
        return r, [], []
    valid, invalid = [d for d in r["documents"] if len(d) < 4000], []
    for d in valid:
        for _ in range(4):
            text = json.dumps(rnd.mutate(random.Random(seed + len(invalid)), json.loads(d)), default=str, ensure_ascii=False)
            try:
                if not validator.is_valid(peers.parse(text)):
                    invalid.append(text)
                    break
            except Exception:
                pass
    return r, valid, invalid


def expressible(tokenizer, texts):
    """A byte-level vocabulary need not have every byte."""
    return [t for t in texts if tokenizer.decode(tokenizer.encode(t, add_special_tokens=False).ids, skip_special_tokens=False) == t]


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else float("nan")


class Tally:
    def __init__(self):
        self.compiled = self.refused = self.lost = self.valid = self.valid_taken = self.invalid = self.invalid_taken = 0
        self.compile_ms, self.first_us, self.mask_us = [], [], []

    def add(self, r, n_valid):
        if r is None:
            self.lost += 1
            return
        if r["error"]:
            self.refused += 1
            return
        self.compiled += 1
        self.compile_ms.append(r["compile_ms"])
        for i, w in enumerate(r.get("walks", [])):
            if i < n_valid:
                self.valid += 1
                self.valid_taken += w["ends"]
                self.first_us += w["mask_us"][:1] if i == 0 else []
                self.mask_us += w["mask_us"]
            else:
                self.invalid += 1
                self.invalid_taken += w["ends"]

    def row(self, name):
        m, c = self.mask_us, self.compile_ms
        return (f"| {name} | {self.compiled} | {self.refused}{f' + {self.lost} lost' if self.lost else ''} | {self.valid_taken} of {self.valid} "
                f"| {self.invalid_taken} of {self.invalid} | {quantile(c, .5):.2f} / {quantile(c, .95):.1f} / {max(c, default=0):.0f} "
                f"| {quantile(self.first_us, .5) / 1e3:.2f} / {max(self.first_us, default=0) / 1e3:.1f} "
                f"| {quantile(m, .5):.2f} / {sum(m) / max(1, len(m)):.1f} / {quantile(m, .99):.0f} / {max(m, default=0) / 1e3:.1f} ms |")


def ours(r):
    if r is None:
        return None
    error = r.get("error") or r.get("grammar")
    return {"error": error, "compile_ms": r.get("open_ms", 0) + r.get("compile_ms", 0), "walks": r.get("walks", [])}


def compare(a):
    import schema_peers as peers
    import schema_random as rnd
    corpus = pathlib.Path(peers.CACHE) / "schema-corpus.json"
    entries = [json.loads(line.rstrip(",\n")) for line in corpus.open() if line.startswith("{")]
    random.Random(1).shuffle(entries)
    entries = entries[:a.schemas or len(entries)]
    tokenizer = tokenizer_of(a.model)
    hearth = Process([f"{peers.BUILD}/tests/grammar/test_schema", "--serve", a.model], 60)
    engines = {n: Process([sys.executable, __file__, a.model, "--engine", n], a.seconds) for n in a.engines.split(",")}
    tallies = {"hearth": Tally(), **{n: Tally() for n in engines}}
    both = collections.Counter()
    for i, entry in enumerate(entries):
        schema = entry["schema"]
        r, valid, invalid = documents(hearth, schema, peers.peer(schema), i, peers, rnd)
        valid, invalid = expressible(tokenizer, valid), expressible(tokenizer, invalid)
        walks = [tokenizer.encode(t, add_special_tokens=False).ids for t in valid + invalid]
        answers = {"hearth": ours(hearth({"schema": schema, "walks": walks, "values": []}) if r else None)}
        answers.update({n: e({"schema": schema, "walks": walks}) for n, e in engines.items()})
        for name, answer in answers.items():
            tallies[name].add(answer, len(valid))
        both[tuple(bool(x and not x["error"]) for x in answers.values())] += 1
        print(f"\r{i + 1}/{len(entries)}", end="", file=sys.stderr)
        if i % 25 == 24 or i + 1 == len(entries):
            report(a, i + 1, tokenizer, tallies, i + 1 == len(entries))
    print(f"\ncompiled by {tuple(tallies)}: " + ", ".join(f"{k}: {v}" for k, v in both.items()), file=sys.stderr)


def report(a, n, tokenizer, tallies, last):
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in tallies if n in ENGINES)
    lines = [f"{n} schemas, the vocabulary of {pathlib.Path(a.model).name} ({tokenizer.get_vocab_size()} tokens), {versions}, one thread:", "",
             "| engine | compiled | refused | valid documents taken | invalid documents taken | compile ms: median / p95 / max "
             "| first mask ms: median / max | mask us: median / mean / p99 / max |", "|---|---|---|---|---|---|---|---|"]
    lines += [t.row(n) for n, t in tallies.items()]
    text = "\n".join(lines)
    if last:
        print(text)
    if a.out:
        pathlib.Path(a.out).write_text(text + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("--engine")
    p.add_argument("--schemas", type=int, default=0)
    p.add_argument("--engines", default=",".join(ENGINES))
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--out")
    a = p.parse_args()
    engine_main(a.engine, a.model) if a.engine else compare(a)


if __name__ == "__main__":
    main()
