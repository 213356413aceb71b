"""Published chat templates over a matrix of conversations: hearth's output is jinja2's, byte for byte.

The templates are those of the llama.cpp release whose vocabularies other tests use (build/cache/vocabs/templates) and
Gemma 3's. HEARTH_TEMPLATES names folders with more (*.jinja, and *.json with a chat_template); HEARTH_CORPUS_FULL=1
renders all conversations with each instead of every 11th.
"""
import os, sys

try:
    from peer import Hearth, compare, environment
except ImportError as e:
    print(f"python package {e.name} is not there: it needs the network once (tools/venv)")
    sys.exit(77)
from conversations import matrix
from corpus import FOLDERS, templates

FULL = os.environ.get("HEARTH_CORPUS_FULL") == "1"


def main():
    hearth, env, every = Hearth(), environment(), 1 if FULL else 11
    n = n_templates = n_bad = 0
    conversations = list(matrix())
    for k, (name, source) in enumerate(templates()):
        n_templates += 1
        bad = []
        for title, variables in conversations[k % every::every]:
            why = compare(hearth, env, source, variables)
            n += 1
            if why:
                bad.append((title, why))
        n_bad += len(bad)
        if bad:
            print(f"{name}: {len(bad)} differ; {bad[0][0]}:\n{bad[0][1][:3000]}")
    print(f"{n_templates} templates, {n} conversations, {n - compare.rendered} refused by the peer, {n_bad} differ")
    if not n_templates:
        print(f"no templates in {FOLDERS[0]}: it needs the network once (tools/fetch vocabs)")
        return 77
    return 1 if n_bad else 0


sys.exit(main())
