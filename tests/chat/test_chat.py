"""Chat rendering with a real vocabulary, against jinja2 and the `tokenizers` package.

For each of some templates: random conversations; where jinja2 raises, hearth must refuse; otherwise the text must be the
same, and for SmolLM2 and Gemma the ids must be those of the whole rendered text. Conversations whose messages contain
the texts of control tokens must render to the same text with no control token but the template's.
"""
import json, os, random, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "token"))
try:
    import gguf, jinja2
    from peer import environment
    from hf_peers import BUILD, CACHE, SMOLLM2, GEMMA, GEMMA_OWN, gemma3, smollm2
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)

SEED = int(os.environ.get("HEARTH_SEED", "7"))
ALTERNATE = ("{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles "
             "must alternate user/assistant/user/assistant/...') }}{% endif %}")
GEMMA1 = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
          "{% endif %}{% for message in messages %}" + ALTERNATE + "{% if (message['role'] == 'assistant') %}{% set role = "
          "'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + "
          "message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
          "{{'<start_of_turn>model\n'}}{% endif %}")
LLAMA3 = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
          "message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 "
          "%}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
          "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}")
PHI3 = ("{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + message['content'] + "
        "'<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}"
        "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}")
PHI3_FIRST = ("{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\\n' + "
              "message['content'] + '<|end|>' + '\\n' + '<|assistant|>' + '\\n'}}{% elif (message['role'] == 'assistant') "
              "%}{{message['content'] + '<|end|>' + '\\n'}}{% endif %}{% endfor %}")
MISTRAL = ("{{ bos_token }}{% for message in messages %}" + ALTERNATE + "{% if message['role'] == 'user' %}{{ '[INST] ' + "
           "message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}"
           "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}")
CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
          "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


class Hearth:
    def __init__(self, model, source):
        self.f = tempfile.NamedTemporaryFile("w", suffix=".jinja", encoding="utf-8", newline="")
        self.f.write(source)
        self.f.flush()
        self.p = subprocess.Popen([f"{BUILD}/tests/chat/test_chat", "--serve", model, self.f.name],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, messages, go):
        q = json.dumps({"messages": messages, "add_generation_prompt": go}).encode()
        self.p.stdin.write(struct.pack("<I", len(q)) + q)
        self.p.stdin.flush()
        code = self.u32()
        text = self.p.stdout.read(self.u32()).decode()
        if code:
            return None, text
        n = self.u32()
        return text, list(struct.unpack(f"<{n}i", self.p.stdout.read(4 * n)))

    def u32(self):
        b = self.p.stdout.read(4)
        assert len(b) == 4, "the test program ended"
        return struct.unpack("<I", b)[0]


def peer(source, bos, eos):
    t = environment().from_string(source)
    return lambda m, go: t.render(messages=m, add_generation_prompt=go, bos_token=bos, eos_token=eos)


CONTENTS = ["Hello", "  two spaces and a tail \n", "\n\nlines\n", "", " ", "naïve 👍🏽 日本語", "<b>html</b>", "a\u2003", "1 2 3",
            "{{ braces }} {% x %}", "'quoted' \"twice\" \\n", "\x1c sep \u3000", "don't", "code:\n\tif (a)\n\t\treturn;"]


def conversation(rnd, contents, roles):
    n = rnd.randint(1, 6)
    k = rnd.random()
    seq = ["user" if i % 2 == 0 else "assistant" for i in range(n)] if k < 0.7 else [rnd.choice(roles) for _ in range(n)]
    if rnd.random() < 0.3:
        seq = ["system"] + seq
    return [{"role": r, "content": "".join(rnd.choice(contents) for _ in range(rnd.randint(1, 3)))} for r in seq]


def dropped(ref, messages, go, want):
    """Is there a message without which the output is the same?"""
    return any(ref(messages[:i] + [dict(m, content="other")] + messages[i + 1:], go) == want for i, m in enumerate(messages))


def check(name, model, source, bos, eos, hf=None, special=(), n=300):
    rnd = random.Random(f"{SEED}/{name}")
    ask, ref = Hearth(model, source), peer(source, bos, eos)
    bad = refused = 0
    for i in range(n):
        evil = special and i % 3 == 0
        roles = ["user", "assistant", "system", "tool"]
        m = conversation(rnd, CONTENTS + [str(s) for s in special] * 2 if evil else CONTENTS, roles)
        go = rnd.random() < 0.5
        text, ids = ask(m, go)
        try:
            want = ref(m, go)
        except jinja2.exceptions.TemplateError as e:
            refused += 1
            bad += text is not None or str(e) not in ids
            continue
        if text is None and "no place" in ids:
            refused += 1  # jinja2 drops such a message without a word; hearth says so
            bad += not dropped(ref, m, go, want)
            continue
        ok = text == want
        if ok and hf and not evil:
            ok = ids == hf.encode(want, add_special_tokens=False).ids
        if ok and hf and evil:
            plain, plain_ids = ask([{"role": x["role"], "content": "x"} for x in m], go)
            control = {hf.token_to_id(s) for s in special}
            ok = [t for t in ids if t in control] == [t for t in plain_ids if t in control]
        if not ok:
            bad += 1
            print(f"{name}: {m}\n  want {want!r}\n  got  {text!r} {ids}")
    print(f"{name}: {n} conversations, {refused} refused, {bad} differ")
    return bad


def main():
    print(f"seed {SEED}; jinja2 {jinja2.__version__}")
    if not os.path.exists(SMOLLM2):
        print(f"{SMOLLM2} is not there: it needs the network once (tools/fetch smollm2)")
        return 77
    hf, special = smollm2(SMOLLM2)
    own = gguf.GGUFReader(SMOLLM2).fields["tokenizer.chat_template"].contents()
    bad = check("smollm2", SMOLLM2, own, "<|im_start|>", "<|im_end|>", hf, special)
    bad += check("chatml", SMOLLM2, CHATML, "<|im_start|>", "<|im_end|>", hf, special)
    for name, source in (("llama3", LLAMA3), ("phi3", PHI3), ("phi3-first", PHI3_FIRST), ("mistral", MISTRAL)):
        bad += check(name, SMOLLM2, source, "<|im_start|>", "<|im_end|>")
    if not os.path.exists(GEMMA) or not os.path.exists(GEMMA_OWN):
        print(f"{GEMMA} or {GEMMA_OWN} is not there: it needs the network once (tools/fetch gemma gemma3-tokenizer)")
        return 1 if bad else 77
    hf, special = gemma3(GEMMA_OWN, GEMMA)
    with open(os.path.dirname(GEMMA_OWN) + "/tokenizer_config.json", encoding="utf-8") as f:
        own = json.load(f)["chat_template"]
    special = [s for s in special if s not in ("[multimodal]", "<start_of_image>")]  # user-defined: always recognised
    bad += check("gemma3", GEMMA, own, "<bos>", "<eos>", hf, special)
    bad += check("gemma", GEMMA, GEMMA1, "<bos>", "<eos>", hf, special)
    return 1 if bad else 0


sys.exit(main())
