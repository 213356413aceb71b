"""The JSON Schema Test Suite, draft 2020-12: every file whose keywords are claimed, every group, every test.

What is not claimed is named here with its reason, and the reasons are checked: a group that is listed as refused must
be refused with E_UNSUPPORTED at the path that is listed. docs/STRUCTURED.md has the same list in words.
"""
import collections, json, pathlib, subprocess, sys

import schema_peers

# Files that are not claimed at all.
NOT_CLAIMED = {
    "dynamicRef.json": "$dynamicRef is refused",
    "optional/dynamicRef.json": "$dynamicRef is refused",
    "refRemote.json": "references to other documents are refused",
    "optional/cross-draft.json": "references to other documents are refused",
    "vocabulary.json": "dialects of one's own are refused",
    "format.json": "format asserts here; the file says that it does not, by default",
    "optional/format-assertion.json": "dialects of one's own are refused",
    "optional/format/unknown.json": "formats that are not known are refused",
    "optional/format/idn-hostname.json": "the format is refused",
    "optional/format/regex.json": "the format is refused",
    "optional/format/ecmascript-regex.json": "the format is refused",
    "optional/unknownKeyword.json": "keywords that are not known are refused",
    "optional/refOfUnknownKeyword.json": "keywords that are not known are refused",
}
# Groups of claimed files that are refused: (file, group) -> the path that the refusal names.
REFUSED = {
    ("defs.json", "validate definition against metaschema"): "/$ref",
    ("ref.json", "remote ref, containing refs itself"): "/$ref",
    ("unevaluatedItems.json", "unevaluatedItems with $dynamicRef"): "/$defs/baseSchema/$dynamicRef",
    ("unevaluatedProperties.json", "unevaluatedProperties with $dynamicRef"): "/$defs/baseSchema/$dynamicRef",
    # \\p{digit}: an alias of a general category that ECMA-262 does not have without `General_Category=`
    ("optional/ecmascript-regex.json", "pattern with non-ASCII digits"): "/pattern",
    ("optional/ecmascript-regex.json", "patternProperties with non-ASCII digits"): "/patternProperties",
}
# Single tests that are judged otherwise on purpose: (file, group, test) -> why.
OTHERWISE = {}


def run(serve, root):
    counts = collections.Counter()
    bad = []
    for path in sorted(root.rglob("*.json")):
        name = str(path.relative_to(root))
        if name in NOT_CLAIMED:
            counts["files not claimed"] += 1
            continue
        counts["files"] += 1
        for group in json.loads(path.read_bytes()):
            counts["groups"] += 1
            here = (name, group["description"])
            r = serve(schema=group["schema"], values=[t["data"] for t in group["tests"]])
            if here in REFUSED:
                counts["groups refused"] += 1
                if r["code"] != "unsupported" or f"schema: {REFUSED[here]}: " not in (r["error"] or ""):
                    bad.append(f"{here}: expected a refusal at {REFUSED[here]}, got {r['code']} {r['error']}")
                continue
            if r["error"]:
                bad.append(f"{here}: {r['code']}: {r['error']}")
                continue
            for test, valid, problem in zip(group["tests"], r["valid"], r["problems"]):
                counts["tests"] += 1
                expected = test["valid"] ^ (here + (test["description"],) in OTHERWISE)
                if valid != expected:
                    bad.append(f"{here + (test['description'],)}: expected {expected}, got {valid} {problem}")
    print(", ".join(f"{v} {k}" for k, v in counts.items()))
    return bad, counts


def main():
    root = pathlib.Path(schema_peers.CACHE) / "json-schema-suite" / "draft2020-12"
    if not root.is_dir():
        schema_peers.skip("json-schema-suite is not in the cache")
    bad, counts = run(schema_peers.Serve(), root)
    print("\n".join(bad))
    if counts["tests"] < 1000:
        bad.append("the suite is not whole")
    return 1 if bad else 0


sys.exit(main())
