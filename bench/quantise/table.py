"""table.py RESULTS DOCUMENT: writes the tables of what bench/quantise/run found between the document's markers."""
import json
import math
import os
import sys

BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"
NAMES = {"smol": "SmolLM2-135M", "gemma": "gemma-3-270m", "minilm": "all-MiniLM-L6-v2"}
SETS = {"all": "All matrices, the standard mixes",
        "narrow": "Only the matrices whose rows are whole blocks of 256, one type; the others stay F16",
        "grid": "Weights that already lie on the grids of types: at the size of the peer's file"}
# what is added, in this order, to the plain encoder in the same mix
PARTS = (("plain", "plain"), ("solver", "+ solver"), ("feedback", "+ feedback"), ("ours", "+ allocation"))


def read(path):
    """{(model, set, type, way): row}, the last of each."""
    rows = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            rows[row["model"], row["set"], row["type"], row["way"]] = row
    return rows


def mib(n):
    return f"{n / 2**20:.2f}"


def mean(ratios):
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios))


def change(ratio):
    return f"{100 * (ratio - 1):+.1f} %"


def table(head, rows):
    lines = ["| " + " | ".join(r) + " |" for r in [head] + rows]
    return [lines[0], "|" + "---|" * len(head)] + lines[1:] + [""]


def pairs(rows, which):
    """(key, theirs, ours) of a set in which both sides are there, judged on the same tokens."""
    for (model, kind, name, way), theirs in rows.items():
        ours = rows.get((model, kind, name, "ours"))
        if which == kind and way == "peer" and ours and ours["tokens"] == theirs["tokens"]:
            yield (model, name), theirs, ours


def versus(rows, which, language):
    found = [p for p in pairs(rows, which) if (p[0][0] != "minilm") == language]
    if not found:
        return []
    lines, ratios = [], []
    for (model, name), t, o in found:
        ratios.append(o["loss"] / t["loss"])
        lines.append([NAMES[model], name, mib(t["bytes"]), mib(o["bytes"]), f"{t['loss']:.4g}", f"{o['loss']:.4g}",
                      change(ratios[-1]), f"{t['tail']:.3g}", f"{o['tail']:.3g}"])
        lines[-1] += [f"{100 * t['same']:.1f}", f"{100 * o['same']:.1f}"] if language else []
    if which != "grid":
        lines.append(["geometric mean", "", "", "", "", "", f"**{change(mean(ratios))}**"] + [""] * (len(lines[0]) - 7))
    head = ["model", "size of", "MiB: theirs", "ours", ("KL" if language else "1 - cos") + ": theirs", "ours", "change"]
    head += ["99.9 %: theirs", "ours", "same token, %: theirs", "ours"] if language else ["worst: theirs", "ours"]
    return table(head, lines)


def parts(rows):
    """What each part adds, as a change from the peer's loss at the same type."""
    lines, columns = [], [[] for _ in PARTS]
    for (model, name), peer, _ in pairs(rows, "all"):
        found = [rows.get((model, "all", name, way)) for way, _ in PARTS]
        if any(f is None or f["tokens"] != peer["tokens"] for f in found):
            continue
        ratios = [f["loss"] / peer["loss"] for f in found]
        for c, r in zip(columns, ratios):
            c.append(r)
        lines.append([NAMES[model], name] + [change(r) for r in ratios])
    if not lines:
        return []
    lines.append(["geometric mean", ""] + [f"**{change(mean(c))}**" for c in columns])
    return ["### What each part contributes", "", "Change of the loss from the peer's at the same type:", ""] + \
        table(["model", "type"] + [title for _, title in PARTS], lines)


def heads(rows):
    """What the type of an embedding that is also the head does: against F16, everything else being the same."""
    lines = []
    for (model, kind, name, _), r in rows.items():
        base = rows.get((model, "head", "F16", "ours"))
        if kind == "head" and base and base["tokens"] == r["tokens"]:
            lines.append([NAMES[model], name, mib(r["bytes"]), f"{r['loss']:.4g}", f"{r['loss'] - base['loss']:+.2g}",
                          f"{100 * r['same']:.1f}", f"{r['decode']:.1f}", f"{r['decode'] / base['decode']:.2f}"])
    return ["### The embedding, which is also the head, in several types; the rest a Q4_K_M", ""] + \
        table(["model", "embedding", "MiB", "KL", "over F16's", "same token, %", "tokens a second", "times F16's"],
              lines) if lines else []


def chosen(rows):
    """Which type the embedding has in the files of the standard mixes' sizes."""
    lines = [[NAMES[model], name, t["head"], o["head"]]
             for (model, name), t, o in pairs(rows, "all") if t.get("head") and o.get("head")]
    return ["### The type of the embedding", ""] + table(["model", "size of", "theirs", "ours"], lines) if lines else []


def judges(rows):
    lines = [[NAMES[k[0]], k[2], "ours" if k[3].endswith("ours") else "theirs", f"{r['hearth']:.5f}",
              f"{r['peer']:.5f} ± {r['peer_error']:.5f}"] for k, r in rows.items() if k[3].startswith("judges")]
    return ["### Two judges on the same file", ""] + \
        table(["model", "size of", "file", "hearth compare", "llama-perplexity"], lines) if lines else []


def document(rows):
    out = [""]
    for which, title in SETS.items():
        language, encoder = versus(rows, which, True), versus(rows, which, False)
        if language or encoder:
            out += [f"### {title}", ""] + language + encoder
    out += parts(rows) + chosen(rows) + heads(rows) + judges(rows)
    where = sorted({(r["machine"], r["version"], r["when"][:10]) for r in rows.values()})
    out += [f"Made on {m}, {v}, {d}." for m, v, d in where]
    return "\n".join(out) + "\n"


def write(results, path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    part = f"{path}.part"  # one that is stopped here leaves the page
    with open(part, "w", encoding="utf-8") as f:
        f.write(text[:begin] + document(read(results)) + text[end:])
    os.replace(part, path)


if __name__ == "__main__":
    write(*sys.argv[1:])
