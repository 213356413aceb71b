"""Random requests, and an oracle that says of each where it may go: written from the documentation (docs/PRIVACY.md,
docs/PROVIDERS.md, docs/SERVING.md), not from hearth's code.

ask.allowed   names of the upstreams where bytes of it may arrive
ask.should    it is plain, well-formed, and names an upstream that may have it: if that one answers, it has arrived"""
import dataclasses
import json

from canary import talk as talks
from canary.words import FORMS, PERSONAL, canary

CLASSES = ("public", "internal", "private", "secret")
CEILING = {"remote": "public", "on-premises": "internal"}
NEVER = "secret"         # a class that no upstream may have
PERSONAL_FORMS = {
    "plain": lambda w: w,
    "wide": lambda w: "".join(chr(ord(c) + 0xfee0) for c in w),
    "no-width": lambda w: "\u200b".join(w),
    "no-width joined": lambda w: "\u2060".join(w),
    "escaped": lambda w: FORMS["escaped"](f"it is {w} "),
    "base64 further on": lambda w: FORMS["base64-2"](f"first this, then it is {w} and more"),
    "percent in base64": lambda w: FORMS["base64-0"](FORMS["percent"](f" it is {w} ")),
    "base64 in percent": lambda w: FORMS["percent"](FORMS["base64-0"](f" it is {w} ")),
    "lower": str.lower,
    "base64": lambda w: FORMS["base64-0"](f" it is {w} "),
    "base64-url": lambda w: FORMS["base64-url"](f" it is {w} "),
    "base64-twice": lambda w: FORMS["base64-twice"](f"it is {w} "),
    "percent": lambda w: FORMS["percent"](f"it is {w} "),
    "quoted": lambda w: FORMS["quoted"](f"it is {w} "),
}


def rank(name):
    return CLASSES.index(name)


def join(*names):
    return max(names, key=rank)


@dataclasses.dataclass(eq=False)
class Ask:
    seed: str
    kind: str = "label"      # how its class came about
    dialect: str = "openai"
    path: str = ""
    method: str = "POST"
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    model: str = ""
    cls: str = "public"
    allowed: frozenset = frozenset()
    should: bool = False
    why: str = ""            # what is odd about it
    words: list = dataclasses.field(default_factory=list)
    clean: bool = False      # well-formed, and its last text is one
    name: str = ""           # its id, which is in logs, but nowhere else
    wire: str = "plain"
    talk: object = None
    seen: set = dataclasses.field(default_factory=set)   # upstreams where it arrived
    status: int = 0
    provider: str = ""       # x-hearth-provider
    phase: str = ""
    text: str = ""

    def tell(self):
        return (f"seed {self.seed}: {self.kind}, class {self.cls}, {self.method} {self.path} model {self.model!r}"
                f"{', ' + self.why if self.why else ''}, wire {self.wire}, during {self.phase}, status {self.status}, "
                f"allowed {sorted(self.allowed)}, arrived at {sorted(self.seen)}")


def places(site, cls, named=None):
    """The upstreams that may have a request of this class; named: only this provider is asked."""
    return frozenset(p["name"] for p in site.providers
                     if rank(cls) <= min(rank(CEILING[p["place"]]), rank(p["class_max"]))
                     and (named is None or p["name"] == named))


# ---- labels ----

def label(rng, ask):
    """Headers of a label; what is no label of the four makes the request one that goes nowhere."""
    n = rng.random()
    name = rng.choice(CLASSES)
    if n < 0.58:
        return "public"
    if n < 0.82:
        ask.headers.append((rng.choice(("x-hearth-class", "X-Hearth-Class", "X-HEARTH-CLASS")), name))
        return name
    ask.should, other = False, rng.choice(CLASSES)
    odd = rng.randrange(8)
    if odd == 0:
        ask.why = f"two labels {name} and {other}"
        ask.headers += [("x-hearth-class", name), ("X-Hearth-Class", other)]
        return join(name, other)
    if odd == 1:
        ask.why = "label in capitals"
        ask.headers.append(("x-hearth-class", name.upper()))
        return name
    if odd == 2:
        ask.why = "label among blanks"
        ask.headers.append(("x-hearth-class", f"  {name} \t"))
        return name
    if odd == 3:
        ask.headers.append(("x-hearth-class ", name))
        ask.why = "label with a blank before its colon"
        return NEVER
    if odd == 4:
        ask.headers.append(("accept", f"a\r\n x-hearth-class: {name}"))
        ask.why = "label folded into another header"
        return NEVER
    bad = ("", "privat", f"{name}, {other}", "public;q=1", "public\t\xe9", "public\r\n private", "\r\n public", "0",
           "publicpublic")
    ask.headers.append(("x-hearth-class", rng.choice(bad)))
    ask.why = f"label {ask.headers[-1][1]!r}"
    return NEVER


# ---- texts ----

def filled(rng, text):
    return f"{rng.choice(talks.PHRASES)} {text} {rng.choice(talks.PHRASES)}"


class Writer:
    """Puts canaries of a request into texts."""

    def __init__(self, rng, ask, plain):
        self.rng, self.ask, self.plain = rng, ask, plain

    def word(self):
        w = canary(self.rng)
        self.ask.words.append(w)
        return w

    def text(self):
        w = self.word()
        if self.plain or self.rng.random() < 0.5:
            return filled(self.rng, w)
        form = self.rng.choice(sorted(FORMS))
        self.ask.should = False
        return filled(self.rng, FORMS[form](w))

    def parts(self):
        """A text, sometimes split over parts, in the middle of a canary too."""
        if self.rng.random() < 0.8:
            return [self.text()]
        w = self.word()
        at = self.rng.randrange(1, len(w))
        return [self.rng.choice(talks.PHRASES) + " " + w[:at], w[at:] + " thanks."]

    def maybe(self, chance=0.4):
        return self.text() if self.rng.random() < chance else self.rng.choice(talks.PHRASES)


def conversation(rng, w, single):
    t = talks.Talk()
    if rng.random() < 0.4:
        t.system = w.maybe()
    if single:
        t.turns = [("user", [w.text()])]
        return t
    if rng.random() < 0.4:
        t.turns += [("user", [w.maybe()]), ("assistant", [w.maybe(0.3)])]
    if rng.random() < 0.35:
        t.tools = [("look_up", w.maybe(0.3), talks.schema_of(w.maybe(0.2)))]
        if rng.random() < 0.7:
            calls = rng.randrange(1, 3)
            t.turns.append(("user", [w.maybe()]))
            for i in range(calls):
                t.turns.append(("call", "look_up", {"what": w.maybe(0.7)}, f"call_{i}"))
                t.turns.append(("result", f"call_{i}", w.maybe(0.7)))
    if rng.random() < 0.1:
        split = w.word()
        t.turns += [("user", ["first " + split[:12]]), ("assistant", [split[12:] + " then"])]
    t.turns.append(("user", w.parts()))
    if rng.random() < 0.1:
        t.schema = talks.schema_of(w.maybe(0.5))
    return t


def put_personal(rng, w, t, site):
    """Personal data or a secret somewhere in a conversation that is public by all that is said of it."""
    value = rng.choice(PERSONAL)(rng)
    form = rng.choice(sorted(PERSONAL_FORMS)) if rng.random() < 0.5 else "plain"
    if site.own and rng.random() < 0.4:
        value, form = rng.choice(site.own), "plain"      # what this site's owner has called private
        if len(value) < 60 and rng.random() < 0.5:
            value = rng.choice((value.upper(), value.replace(" ", "  "), value.title()))
        elif len(value) >= 60 and rng.random() < 0.5:
            value = rng.choice((value.upper(), value.replace(" ", "\n"), value.replace(" ", ", ")))
    if form == "lower" and value.startswith("AKIA"):
        form = "plain"       # in small letters it is no key
    text = filled(rng, PERSONAL_FORMS[form](value))
    w.ask.words.append(value)
    where = rng.choice(("system", "user", "history", "call", "result", "tool", "parts", "key", "number", "id", "enum"))
    if where == "number" and not value.isdigit() or where == "id" and w.ask.dialect == "ollama":
        where = "key"        # Ollama's calls have no ids
    if " " in value and where in ("id", "key", "enum", "parts"):
        where = "result"     # words, whole
    if where == "system":
        t.system = text
    elif where == "history":
        t.turns[0:0] = [("user", [text]), ("assistant", ["yes"])]
    elif where == "parts":
        at = rng.randrange(1, len(value))
        t.turns.append(("user", ["it is " + value[:at], value[at:] + " thanks"]))
    elif where in ("tool", "enum"):
        schema = talks.schema_of()
        schema["properties"]["which"] = {"type": "string", "enum": ["rain", value]}
        t.tools = [("look_up", text if where == "tool" else "looks it up", schema if where == "enum" else
                    talks.schema_of())]
    elif where != "user":
        t.tools = t.tools or [("look_up", "looks it up", talks.schema_of())]
        call = {"call": {"what": text}, "key": {"what": {value: True}},
                "number": {"what": int(value) if value.isdigit() else 0}}.get(where, {"what": "rain"})
        name = "call_" + value if where == "id" else "call_p"
        t.turns[-1:-1] = [("user", ["ask"]), ("call", "look_up", call, name),
                          ("result", name, text if where == "result" else "wet")]
    else:
        t.turns.append(("user", [text]))
    w.ask.why = f"{form} {value[:4]} in {where}"
    return t


# ---- malformed ----

def malform(rng, ask, body):
    """The body's bytes, not what they were. What cannot be read, or holds a part that nobody knows, is private."""
    text = json.dumps(body)
    how = rng.randrange(12)
    ask.should = False
    ask.why += f" malformed {how}"
    if how == 0:
        ask.cls = NEVER
        return text[:rng.randrange(1, len(text) - 1)].encode()
    if how == 1:
        ask.cls = NEVER
        return text.encode() + b" " + text.encode()
    if how == 2:
        at = rng.randrange(len(text))
        return text[:at].encode() + bytes([rng.randrange(256)]) + text[at + 1:].encode()
    if how == 3:
        ask.cls = NEVER
        key = rng.choice(sorted(body))
        body[key] = rng.choice(([1], {"a": 1}, -1e300)) if key != "model" else ["x"]
        body["nobody-knows-this"] = 1
        return json.dumps(body).encode()
    if how == 4:
        extra = json.dumps({"text": ask.words[0] if ask.words else "x"})
        return (text[:-1] + f', "messages": [{{"role": "user", "content": {json.dumps(extra)}}}]}}').encode()
    if how == 5:
        ask.cls = NEVER
        return ("[" * 5000 + text + "]" * 5000).encode()
    if how == 6:
        return b"\xef\xbb\xbf" + text.encode()
    if how == 7:
        ask.cls = NEVER
        return text.replace("rain", "r\udcffain").encode("utf-8", "surrogateescape") + b"\xff"
    if how == 8:
        ask.cls = NEVER
        return text.encode("utf-16")
    if how == 9:
        body["padding"] = " " * rng.choice((70000, 300000))
        ask.cls = NEVER
        return json.dumps(body).encode()
    if how == 10 and isinstance(body.get("messages"), list) and body["messages"]:
        ask.cls = NEVER
        body["messages"][-1]["content"] = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                                           {"type": "text", "text": ask.words[0] if ask.words else "x"}]
        return json.dumps(body).encode()
    return text.encode("ascii").replace(b'"', b"\\u0022", 1)


# ---- one request ----

def choose_model(rng, site, ask):
    """A name for `model`; the provider that it names, or None when it is none of the upstreams."""
    n = rng.random()
    if n < (0.35 if site.phase == "kill" else 0.62):     # then there shall be a worker that can be killed
        p = rng.choice(site.providers)
        return p["name"], p["name"]
    if n < 0.8:
        return "small", ""
    if n < 0.9 and site.tasks:
        return "task:" + rng.choice(["t-public"] * 3 + sorted(site.tasks)), None
    ask.should = False
    if n < 0.93:
        return f"openai:{site.elsewhere.url}#up", ""
    return rng.choice((rng.choice(site.providers)["name"].upper(), "", "no-such", "../small", "task:", "task:../x",
                       rng.choice(site.providers)["name"] + ":latest", f"anthropic:{site.elsewhere.url}#x")), None


def choose_key(rng, site, ask):
    """The class that the key gives; NEVER for who is not let in."""
    if not site.keys:
        if rng.random() < 0.1:
            ask.headers.append(("authorization", "Bearer whatever"))
        return site.default_class
    if rng.random() < 0.06:
        ask.should, ask.why = False, "wrong or no key"
        if rng.random() < 0.5:
            ask.headers.append(("authorization", "Bearer wrong-key"))
        return NEVER
    key = rng.choice(site.keys[:1] * 3 + site.keys)
    ask.headers.append(("authorization", f"Bearer {key['secret']}") if rng.random() < 0.7 else
                       ("x-api-key", key["secret"]))
    return min(key["class"], key.get("next", NEVER), key=rank)   # during a reload either holds


def finish(rng, site, ask, body, named):
    """Body, path and where it may go. The class is known."""
    body["model"] = ask.model
    ask.path = {**talks.CLOUD_PATHS, **talks.LOCAL_PATHS}[ask.dialect]
    if rng.random() < 0.1:   # elsewhere than in the body
        ask.words.append(canary(rng))
        where = rng.choice(("user-agent", "cookie", "query"))
        if where == "query":
            ask.path += "?note=" + ask.words[-1]
        else:
            ask.headers.append((where, ask.words[-1]))
    if rng.random() < 0.1:
        ask.name = canary(rng)
        ask.headers.append(("x-request-id", ask.name))
    malformed = rng.random() < 0.12
    last = ask.talk.turns[-1][1]
    ask.clean = not malformed and len(last) == 1 and len(last[0]) >= 64 and ask.dialect != "generate"
    ask.body = malform(rng, ask, body) if malformed else json.dumps(body).encode()
    local = ask.dialect in talks.LOCAL_PATHS
    ask.allowed = frozenset() if local else places(site, ask.cls, None if malformed else named)
    ask.should = ask.should and not local and named in ask.allowed


def known(a, site):
    """Whether a request was understood and its class decided, so that later ones of its conversation have it: whatever
    the disk was like, what cannot be written down is not answered. Who removes the table begins anew."""
    if "table broken" in (site.phase, a.phase):
        return False
    return (a.status in (200, 403) and a.clean and a.dialect in talks.WRITERS and rank(a.cls) > 0 and
            a.phase not in ("kill", "reload"))


def follow(rng, seed, site, before):
    """A later request of a conversation, or one that quotes it: by itself public, and no less private than that was."""
    ask = Ask(seed, kind="sticky", should=False)
    if site.keys:
        ask.headers.append(("authorization", f"Bearer {site.keys[0]['secret']}"))
    own = min(site.keys[0]["class"], site.keys[0].get("next", NEVER), key=rank) if site.keys else site.default_class
    if rng.random() < 0.2:
        ask.headers.append(("x-hearth-class", "public"))
    ask.cls = join(own, before.cls)
    p = rng.choice(site.providers)
    ask.model, ask.dialect = p["name"], rng.choice(("openai", "responses", "anthropic", "ollama"))
    w = Writer(rng, ask, True)
    ask.talk = t = talks.Talk()
    how = rng.choice(("continued", "continued", "without its beginning", "quoted"))
    turns = [x for x in before.talk.turns]
    if how == "quoted":
        turns = turns[-1:]
        t.turns = [("user", [rng.choice(talks.PHRASES)]), ("assistant", ["yes"]), *turns]
    else:
        t.turns = turns[-1:] if how != "continued" else turns
        t.tools = before.talk.tools
    t.turns += [("assistant", ["yes"]), ("user", [w.text()])]
    ask.why = f"{how} after {before.seed} of class {before.cls}"
    body = talks.WRITERS[ask.dialect](t, rng.random() < 0.4)
    body["model"] = ask.model
    ask.path, ask.body = talks.CLOUD_PATHS[ask.dialect], json.dumps(body).encode()
    ask.allowed = places(site, ask.cls, p["name"])
    before.allowed |= ask.allowed
    return ask


def make(rng, seed, site):
    """One request out of a generator of random numbers."""
    if site.sticks and site.asked and rng.random() < 0.15:
        recent = site.asked[-60:] if rng.random() < 0.6 else site.asked
        for before in rng.sample(recent, min(12, len(recent))):
            if known(before, site):
                return follow(rng, seed, site, before)
    ask = Ask(seed)
    ask.should = True
    ask.cls = choose_key(rng, site, ask)
    ask.cls = join(ask.cls, label(rng, ask))
    ask.model, named = choose_model(rng, site, ask)
    task = ask.model[5:] if ask.model.startswith("task:") else None
    ask.dialect = rng.choice(sorted(talks.LOCAL_PATHS)) if rng.random() < 0.12 else rng.choice(sorted(talks.WRITERS))
    w = Writer(rng, ask, rng.random() < 0.5)
    t = conversation(rng, w, single=task is not None or ask.dialect == "generate")
    if task is not None:
        ask.cls = join(ask.cls, site.tasks.get(task, NEVER))
        ask.kind, ask.should, t.system = "task", False, ""
    elif site.detects and rng.random() < 0.2 and ask.dialect != "generate":
        t = put_personal(rng, w, t, site)
        ask.kind, ask.cls, ask.should = "personal", join(ask.cls, "private"), False
    ask.talk = t
    stream = rng.random() < 0.4
    body = (talks.local_body(ask.dialect, t, stream) if ask.dialect in talks.LOCAL_PATHS
            else talks.WRITERS[ask.dialect](t, stream))
    if task and ask.dialect == "openai" and rng.random() < 0.5:
        body = {"input": {"input": "".join(t.turns[0][1])}, "stream": stream}
    elif task:               # what the task decides is not asked for
        for name in ("options", "max_output_tokens") + (() if ask.dialect == "anthropic" else ("max_tokens",)):
            body.pop(name, None)
    if ask.dialect == "anthropic" and any(len(x[1]) == 1 and not x[1][0] for x in t.turns if x[0] == "user"):
        ask.should = False
    finish(rng, site, ask, body, named)
    ask.wire = rng.choice(WIRES)
    return ask


WIRES = ("plain",) * 14 + ("http-1.0", "expect", "absolute", "closing",
                         "chunked", "chunked", "slow", "pieces", "pipelined", "leave-early", "leave-late", "cut-body",
                          "long-length", "both-lengths")
