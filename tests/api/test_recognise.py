"""Requests that name no task, against a real `hearth serve`: by path, key, system prompt and nearest examples, in every
dialect that holds a conversation; what is of no task; and that a class is never lowered by it."""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from lib.served import BUILD, CACHE, MODEL, TINY, Served  # noqa: E402
from lib.upstream import Upstream  # noqa: E402

up = Upstream()
folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-recognise-"))
KEYS = {name: f"key-of-{name}-0815" for name in ("anna", "bot", "strict")}
for name, text in KEYS.items():
    (folder / name).write_text(text)
CONFIG = up.config() + f"""  - {{name: small, kind: local, model: {MODEL}}}
keys:
  - {{name: anna, key_file: {folder}/anna, default_class: public}}
  - {{name: bot, key_file: {folder}/bot, default_class: public, task: greet}}
  - {{name: strict, key_file: {folder}/strict, default_class: private}}
"""
GREET, PIRATE, HUSH, TWIN = "You greet in one word.", "You are a pirate.", "You keep secrets.", "You are one of two."


def write_task(home, name, system, privacy="public", caller=False, cases=20, more="", user="{{input}}"):
    at = home / "tasks" / name
    at.mkdir(parents=True, exist_ok=True)
    (at / "task.yaml").write_text(
        f"hearth: 1\nid: {name}\nprivacy: {privacy}\n" + ("prompt: caller\n" if caller else "") +
        f"messages:\n  - {{role: system, content: '{system}'}}\n  - {{role: user, content: '{user}'}}\n"
        "output: {kind: text}\ngraders:\n  - {type: length, unit: chars, max: 100000}\n"
        f"bar: 0.5\nsampling: {{max_tokens: 2}}\n{more}")
    (at / "cases.jsonl").write_text("".join(json.dumps({"id": f"c{i}", "input": f"number {i}"}) + "\n"
                                            for i in range(cases)))


def write_all(s):
    write_task(s.home, "greet", GREET)
    write_task(s.home, "talk", PIRATE, caller=True)
    write_task(s.home, "hush", HUSH, privacy="private")
    write_task(s.home, "wrapped", "You wrap.", user="Text: {{input}}!")
    for name in ("twin-a", "twin-b"):
        write_task(s.home, name, TWIN)


def hearth(s, *args, code=0):
    done = subprocess.run([str(BUILD / "hearth"), *args], env=s.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout


def messages(*turns):
    return [{"role": r, "content": t} for r, t in turns]


def ask(s, body, who="anna", path="/v1/chat/completions", **headers):
    named = body["model"].startswith("task:")
    body = dict({"max_tokens": 2} if path != "/v1/responses" and not named else {}, **body)
    if path == "/api/chat":
        body = dict(body, stream=False)
        body.pop("max_tokens", None)
    auth = {"Authorization": f"Bearer {KEYS[who]}"} if who else {}
    return s.ask(path, body, dict(auth, **headers))


def is_task(answer, task, by, route="local"):
    status, headers, text = answer
    assert status == 200, (status, text)
    assert headers["x-hearth-task"] == task and headers["x-hearth-recognised"] == by, headers
    assert headers["x-hearth-route"] == route, headers
    return headers


def is_none(answer, provider=None, status=200):
    assert answer[0] == status, answer
    assert "x-hearth-task" not in answer[1] and "x-hearth-recognised" not in answer[1], answer[1]
    if provider:
        assert answer[1]["x-hearth-provider"] == provider, answer[1]
        assert "no task was recognised" in answer[1]["x-hearth-reason"], answer[1]


def by_path(s):
    hi = messages(("user", "hi"))
    for path, body in (("/v1/chat/completions", {"messages": hi}), ("/v1/messages", {"messages": hi}),
                       ("/api/chat", {"messages": hi}), ("/v1/responses", {"input": "hi"})):
        for model in ("auto", "gpt-4o", MODEL, "task:greet"):
            answer = s.ask("/tasks/greet" + path, dict(body, model=model, stream=False,
                                                       **({"max_tokens": 2} if path == "/v1/messages" else {})),
                           {"Authorization": f"Bearer {KEYS['anna']}"})
            if model == "task:greet":
                assert answer[0] == 200 and answer[1]["x-hearth-task"] == "greet", answer
            else:
                is_task(answer, "greet", "path")
    status, headers, text = ask(s, {"model": "task:talk", "messages": hi}, path="/tasks/greet/v1/chat/completions")
    assert status == 400 and "greet" in text, text
    status, _, text = ask(s, {"model": "auto", "messages": hi, "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        path="/tasks/greet/v1/chat/completions")
    assert status == 400 and "'tools' is fixed by the task" in text, text
    status, _, text = ask(s, {"model": "auto", "messages": hi}, path="/tasks/nothing/v1/chat/completions")
    assert status == 404, (status, text)
    assert ask(s, {"model": "auto", "messages": hi}, path="/tasks/../greet/v1/chat/completions")[0] == 404
    status, _, text = ask(s, {"model": "auto", "prompt": "hi"}, path="/tasks/greet/v1/completions")
    assert status == 400 and "fixed by the task" in text, text


def by_key(s):
    hi = messages(("user", "hi"))
    for model in ("auto", "gpt-4o"):
        is_task(ask(s, {"model": model, "messages": hi}, who="bot"), "greet", "key")
    answer = ask(s, {"model": "small", "messages": hi}, who="bot")  # one that exists
    assert answer[0] == 200 and answer[1]["x-hearth-reason"] == "the request names the model", answer[1]
    status, _, text = ask(s, {"model": "gpt-4o", "messages": hi})  # another's key, and recognise is not set
    assert status == 404, text


def by_system_prompt(s):
    asked = up.asked
    is_task(ask(s, {"model": "auto", "messages": messages(("system", GREET), ("user", "hi"))}), "greet", "system-prompt")
    is_task(ask(s, {"model": "auto", "system": GREET, "messages": messages(("user", "hi"))}, path="/v1/messages"),
            "greet", "system-prompt")
    is_task(ask(s, {"model": "auto", "instructions": GREET, "input": "hi"}, path="/v1/responses"), "greet",
            "system-prompt")
    is_task(ask(s, {"model": "auto", "messages": messages(("system", GREET), ("user", "hi"))}, path="/api/chat"),
            "greet", "system-prompt")
    assert up.asked == asked
    # a task with a prompt of its own is asked one word; another conversation is not it
    for turns in ((("system", GREET + " "), ("user", "hi")), (("user", "hi"),),
                  (("system", GREET), ("user", "hi"), ("assistant", "ho"), ("user", "hi"))):
        is_none(ask(s, {"model": "auto", "messages": messages(*turns)}), "small")
    is_none(ask(s, {"model": "auto", "messages": messages(("system", GREET), ("user", "hi")),
                    "response_format": {"type": "json_object"}}), "small")
    # prompt: caller: the caller's own conversation; never measured, and public: the cloud
    is_task(ask(s, {"model": "auto", "messages": messages(("system", PIRATE), ("user", "hi"), ("assistant", "ho"),
                                                          ("user", "hi"))}), "talk", "system-prompt", "cloud")
    assert up.asked == asked + 1
    # two tasks with one prompt: nobody knows
    is_none(ask(s, {"model": "auto", "messages": messages(("system", TWIN), ("user", "hi"))}), "small")


def what_stands_around_the_input_is_asked_once(s):
    for said, meant in (("Text: abc!", "abc"), ("Text: !", ""), ("abc", "abc"), ("Text: abc", "Text: abc"), ("!", "!")):
        is_task(ask(s, {"model": "auto", "messages": messages(("system", "You wrap."), ("user", said))}), "wrapped",
                "system-prompt", "cloud")
        got = json.loads(up.bodies[-1])["messages"]
        assert got == messages(("system", "You wrap."), ("user", f"Text: {meant}!")), (said, got)


def classes_are_never_lowered(s):
    asked = up.asked

    def pirate(numbers=itertools.count()):  # a class sticks to what was said under it: new words each time
        return {"model": "auto", "messages": messages(("system", PIRATE), ("user", f"ahoy {next(numbers)}"))}

    for who, headers in (("strict", {}), ("anna", {"x-hearth-class": "private"}), ("anna", {"x-hearth-class": "secret"}),
                         ("strict", {"x-hearth-class": "public"})):
        status, got, text = ask(s, pirate(), who, **headers)
        assert status == 403 and got["x-hearth-class"] in ("private", "secret"), (status, got, text)
        assert got["x-hearth-task"] == "talk" and got["x-hearth-route"] == "refuse", got
        status, got, text = ask(s, pirate(), who, "/tasks/talk/v1/chat/completions", **headers)
        assert status == 403, (status, text)
    status, got, text = ask(s, {"model": "auto", "messages": messages(("system", HUSH), ("user", "hush"))})
    assert status == 403 and got["x-hearth-class"] == "private" and got["x-hearth-task"] == "hush", (status, got, text)
    assert up.asked == asked, "a private request left"
    assert ask(s, pirate())[0] == 200 and up.asked == asked + 1


def evidence_binds_to_the_caller_s_prompt(s):
    hearth(s, "measure", "talk", "--on", "local:" + MODEL)
    body = {"model": "task:talk", "messages": messages(("system", PIRATE), ("user", "hi"))}
    status, headers, text = ask(s, body)
    assert status == 200 and headers["x-hearth-route"] == "local", (headers, text)
    for turns in ((("system", "You are polite."), ("user", "hi")), (("user", "hi"),)):
        status, headers, text = ask(s, {"model": "task:talk", "messages": messages(*turns)})
        assert status == 200 and headers["x-hearth-route"] == "cloud", headers
        assert "not the one that was measured" in headers["x-hearth-reason"], headers


def a_changed_prompt_counts_at_once(s):
    old, new = (("system", GREET), ("user", "hi")), (("system", "Greet!"), ("user", "hi"))
    write_task(s.home, "greet", "Greet!")
    is_none(ask(s, {"model": "auto", "messages": messages(*old)}), "small")
    is_task(ask(s, {"model": "auto", "messages": messages(*new)}), "greet", "system-prompt")  # in doubt: as before
    write_task(s.home, "greet", GREET)
    is_task(ask(s, {"model": "auto", "messages": messages(*old)}), "greet", "system-prompt")
    is_none(ask(s, {"model": "auto", "messages": messages(*new)}), "small")


try:
    with Served(CONFIG) as s:
        write_all(s)
        hearth(s, "measure", "greet", "--on", "local:" + MODEL)
        for test in (by_path, by_key, by_system_prompt, what_stands_around_the_input_is_asked_once, classes_are_never_lowered, evidence_binds_to_the_caller_s_prompt,
                     a_changed_prompt_counts_at_once):
            test(s)
            print("ok", test.__name__)

    # what is of no task
    hi = {"model": "auto", "messages": messages(("user", "hi"))}
    with Served(CONFIG + "unknown: up\nrecognise: true\n") as s:
        write_all(s)
        asked = up.asked
        is_none(ask(s, hi), "up")
        is_none(ask(s, dict(hi, model="gpt-4o")), "up")
        assert up.asked == asked + 2
        is_none(ask(s, {"model": "auto", "messages": messages(("user", "ho"))}, "strict"), "small")  # never for private
        is_none(ask(s, {"model": "auto", "messages": messages(("user", "ha"))}, **{"x-hearth-class": "secret"}), "small")
        assert up.asked == asked + 2, "a private request of no task left"
        is_task(ask(s, {"model": "gpt-4o", "messages": messages(("system", PIRATE), ("user", "hi"))}), "talk",
                "system-prompt", "cloud")
    with Served(CONFIG + "unknown: refuse\n") as s:
        status, headers, text = ask(s, hi)
        assert status == 403 and "no task was recognised" in text, text
    with Served(up.config()) as s:
        (s.home / "models" / f"{MODEL}.gguf").unlink()
        asked = up.asked
        status, headers, text = ask(s, hi, who=None)
        assert status == 403 and "no model on this machine" in text and up.asked == asked, text
    print("ok what is of no task")

    if not TINY and (CACHE / "minilm").exists():
        dishes = ("lentil soup, an apple pie, roast chicken, pancakes, tomato sauce, a cheese omelette, fried rice, "
                  "beef stew, banana bread, mashed potatoes, a lemon cake, onion rings, pea soup, garlic bread, grilled "
                  "salmon, a bean salad, vegetable curry, rice pudding, meatballs, potato gratin, waffles, chili, "
                  "noodle soup, stuffed peppers, a fruit tart, scones, baked beans, fish cakes, cabbage rolls, "
                  "carrot cake").split(", ")
        tickets = [json.loads(row) for row in pathlib.Path("tasks/ticket-class/cases.jsonl").read_text().splitlines()]
        os.chdir(folder)  # of all tasks only these
        with Served(CONFIG + "recognise: {embedding: minilm, foreign: 0.05}\n") as s:
            write_task(s.home, "cook", "You cook.", more="split: {held_back: 0.3, salt: x}\n")
            (s.home / "tasks/cook/cases.jsonl").write_text("".join(
                json.dumps({"id": f"c{i}", "input": f"How do I cook {d} at home?"}) + "\n"
                for i, d in enumerate(dishes)))
            write_task(s.home, "tickets", "You sort.")
            (s.home / "tasks/tickets/cases.jsonl").write_text("".join(
                json.dumps({"id": f"c{i}", "input": t["input"][:120]}) + "\n" for i, t in enumerate(tickets)))
            subprocess.run([str(BUILD / "hearth"), "import", CACHE / "minilm", s.home / "models/minilm.gguf"],
                           check=True, capture_output=True, env=s.environment)
            hearth(s, "measure", "cook", "--on", "local:" + MODEL)
            for text in ("How do I cook potato soup at home?", "How can I bake an apple cake?"):
                is_task(ask(s, {"model": "auto", "messages": messages(("user", text))}), "cook", "nearest")
            for text in ("Where is my parcel?", "What is the capital of France?", "Write a poem about the sea."):
                is_none(ask(s, {"model": "auto", "messages": messages(("user", text))}), "small")
            # a caller with instructions of its own means something else
            is_none(ask(s, {"model": "auto", "messages": messages(("system", "Answer in French."), (
                "user", "How do I cook potato soup at home?"))}), "small")
            status, _, text = ask(s, {"model": "auto", "messages": messages(("user", "How to cook potato soup?"))},
                                  path="/v1/route/explain")
            said = json.loads(text)
            assert status == 200 and said["recognised"]["by"] == "nearest", text
            tasks = {t["task"]: t for t in said["recognised"]["calibration"]["tasks"]}
            cook = tasks["cook"]
            assert cook["foreign"] == 64 and cook["foreign_upper"] <= 0.05 and cook["threshold"] > 0.2, cook
            assert cook["own_taken"] > cook["examples"] / 2, cook
            assert tasks["tickets"]["threshold"] is None, tasks  # no split: nothing may be learnt from its cases
        print("ok nearest")
finally:
    shutil.rmtree(folder)
