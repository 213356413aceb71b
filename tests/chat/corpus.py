"""The chat templates that tests read: those of a llama.cpp release (tools/fetch vocabs), Gemma 3's, HEARTH_TEMPLATES'."""
import glob, json, os

CACHE = os.environ.get("HEARTH_CACHE", "build/cache")
FOLDERS = [f"{CACHE}/vocabs/templates", f"{CACHE}/gemma3-tokenizer", *os.environ.get("HEARTH_TEMPLATES", "").split()]


def templates():
    seen = set()
    for folder in FOLDERS:
        for path in sorted(glob.glob(f"{folder}/**/*", recursive=True)):
            found = {}
            if path.endswith(".jinja"):
                found[""] = open(path, encoding="utf-8", newline="").read()
            elif path.endswith(".json"):
                j = json.load(open(path, encoding="utf-8"))
                t = j.get("chat_template") if isinstance(j, dict) else None
                found = {f":{x['name']}": x["template"] for x in t} if isinstance(t, list) else {"": t} if t else {}
            for name, source in found.items():
                if source not in seen:
                    seen.add(source)
                    yield os.path.relpath(path, folder) + name, source
