"""Builds of hearth with one leak each, to see that the canaries find it. A leak is a few texts of the sources that are
exchanged in a copy of them; each text must be there exactly once. One that no longer is ends the run with its name: a
leak that cannot be made is a test that cannot fail."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAKE_RECEIPT = """{
            static uint64_t n = 1u << 30;
            memset(&receipt, 0, sizeof receipt);
            memset(receipt.chain, 'a', sizeof receipt.chain - 1);
            memset(receipt.mac, 'a', sizeof receipt.mac - 1);
            digest_of(text.data, text.len, receipt.body);
            receipt.sequence = ++n;
            receipt.body_bytes = text.len;
            s = OK;
        }
        if (s) {
            c->fault.kind"""
GATES = [("src/privacy/privacy.c", "return (unsigned)p <= (unsigned)privacy_ceiling(c) || p == PRIVACY_LOCAL;",
          "(void)c, (void)p; return true;"),
         ("src/provider/provider.c", "kind == PROVIDER_REPLAY || place == PLACE_LOCAL || privacy <=",
          "true || kind == PROVIDER_REPLAY || privacy <="),
         ("src/provider/provider.c", "if (r->privacy > p->info.class_max)", "if (r->privacy > PRIVACY_SECRET)")]

# name: [(file, text, instead)]
LEAKS = {
    "label not read": [("src/api/target.c", "*out = privacy_class_join(*out, c);", "(void)c;")],
    "first label holds": [("src/api/target.c", "*out = privacy_class_join(*out, c);", "*out = c;")],
    "unknown label is none": [("src/api/target.c", "if (!privacy_class_parse(label, &c))\n",
                               "if (!privacy_class_parse(label, &c))\n            c = PRIVACY_PUBLIC;\n"
                               "        if (false)\n")],
    "key's class forgotten": [
        ("src/api/target.c", "d.key = names_task && !key_states_class(who) ? NULL : &by_key;",
         "(void)by_key, (void)names_task;")],
    "task's class forgotten": [
        ("src/api/target.c", 'api_class_raise(out, out->t->privacy, "task");\n    if (!api_stick', "if (!api_stick"),
        ("src/api/target.c", "if (out->t->privacy > out->privacy) {", "if (false) {")],
    "no gate holds": GATES + [
        ("src/egress/egress.c", "!privacy_class_parse(js_text(js_get(j, \"privacy\")), &c) || c > e->class_max",
         "!privacy_class_parse(js_text(js_get(j, \"privacy\")), &c)"),
        ("src/egress/egress.c", "return c == PRIVACY_PUBLIC || (c == PRIVACY_INTERNAL && e->on_premises);",
         "return true;")],
    "class_max not looked at": [
        ("src/provider/provider.c", "if (r->privacy > p->info.class_max)", "if (r->privacy > PRIVACY_SECRET)"),
        ("src/egress/egress.c", "&c) || c > e->class_max", "&c)")],
    "sent without a record": [
        ("src/provider/openai.c", "if (s) {\n            c->fault.kind", "if (s) " + FAKE_RECEIPT),
        ("src/provider/openai.c", '#include "base/log.h"',
         '#include "base/digest.h"\n#include "base/log.h"')],
    "any URL is asked": [("src/api/pool.c", "if (!may_be_named(a, spec)) {",
                          "if (!may_be_named(a, spec) && !a->options.config) {")],
    "redirects followed": [
        ("src/egress/transfer.c", "CURLOPT_FOLLOWLOCATION, 0L),",
         "CURLOPT_FOLLOWLOCATION, 1L),\n        curl_easy_setopt(e, CURLOPT_POSTREDIR, 7L),"),
        # the kernel would deny it, and so would the rule of addresses
        ("src/plat/sandbox.c", "if (abi >= 4)\n        out->net", "if (abi >= 400)\n        out->net"),
        ("src/egress/address.c", "if (port_in(to) != rule->port)", "if (!rule->port)")],
    "detectors off": [("src/privacy/inspect.c", "(inspect_result){ .raises = l.raises, .failed = l.failed };",
                       "(inspect_result){ .raises = PRIVACY_PUBLIC };")],
    "tool calls not looked at": [("src/privacy/inspect_gather.c", "walk(g, next, m.value);",
                                  "if (strcmp(m.key, \"arguments\") != 0 && strcmp(m.key, \"input\") != 0)\n"
                                  "            walk(g, next, m.value);")],
    "conversation forgotten": [("src/api/inspect.c", "else if (before)\n        api_class_raise(t, before,",
                                "else if (before)\n        api_class_raise(t, PRIVACY_PUBLIC,")],
    "answered with a class that is not written": [("src/api/inspect.c", "f->http = 503;\n    return false;",
                                                   "f->http = 503;\n    return true;")],
    "worker has a socket": [
        ("src/cli/worker_main.c", "    tzset();", "    (void)socket(AF_INET, SOCK_STREAM, 0);\n    tzset();"),
        ("src/cli/worker_main.c", "#include <time.h>", "#include <sys/socket.h>\n#include <time.h>")],
    "prompts in the log": [("src/api/visit.c", "if (!a->options.log_prompts || !v->classed || v->privacy ==",
                            "if (!v->classed || v->privacy ==")],
}


def exchanged(tree, name):
    """{path: what it would hold}; ends the run where a text is not there once."""
    new = {}
    for file, text, instead in LEAKS[name]:
        path = tree / file
        source = new.get(path) or path.read_text()
        if source.count(text) != 1:
            sys.exit(f"canary: leak '{name}': {file} holds this {source.count(text)} times, not once: {text!r}. "
                     "The sources have changed: mend the leak in tests/canary/leaks.py")
        new[path] = source.replace(text, instead)
    return new


def check_texts():
    """Whether each leak can still be made."""
    for name in LEAKS:
        exchanged(ROOT, name)


class Copy:
    """The sources and what is built of them already, in a folder of its own."""

    def __init__(self, build, work):
        self.tree, self.build = work / "leaky", work / "leaky" / "build"
        self.tree.mkdir()
        for name in ("src", "include"):
            shutil.copytree(ROOT / name, self.tree / name, copy_function=shutil.copy2)
        shutil.copy2(ROOT / "Makefile", self.tree)
        self.build.mkdir()
        for name in ("src", "gen"):
            shutil.copytree(pathlib.Path(build).resolve() / name, self.build / name, copy_function=shutil.copy2)

    def leak(self, name):
        """Builds the one with this leak; the sources are as they were afterwards."""
        new = exchanged(self.tree, name)
        whole = {path: path.read_text() for path in new}
        for path, source in new.items():
            path.write_text(source)
        programs = ["build/hearth", "build/hearth-serve", "build/hearth-worker", "build/hearth-egress"]
        done = subprocess.run(["make", "-j2", "BUILD=build", *programs], cwd=self.tree, capture_output=True, text=True)
        for path, source in whole.items():
            path.write_text(source)      # newer than its object: built anew for the next one
        if done.returncode:
            sys.exit(f"canary: leak '{name}' does not build: {done.stderr[-2000:]}")
        return self.build
