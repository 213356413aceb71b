"""docs/GRADERS.md: every grader has a row and an example, and every example is read by `hearth task show`."""
import json, os, pathlib, re, subprocess, tempfile

HEARTH = pathlib.Path(os.environ.get("HEARTH_BUILD", "build")) / "hearth"
text = pathlib.Path("docs/GRADERS.md").read_text()
table = pathlib.Path("src/task/grade.c").read_text().split("grade_table[] = {")[1].split("\n};")[0]
types = re.findall(r'^    \{ "([a-z0-9-]+)"', table, re.M)
assert len(types) > 25, types

blocks = re.findall(r"```yaml\n(.*?)```", text, re.S)
for block in blocks:
    graders = block if block.startswith("graders:") else "graders:\n" + re.sub("^", "  ", block, flags=re.M)
    kind = {"kind": "label", "labels": ["billing", "shipping"]} if "type: label" in block else {"kind": "text"}
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "task.yaml").write_text(
            f"hearth: 1\nid: docs\nprivacy: public\nprompt: x\nbar: 0.5\noutput: {json.dumps(kind)}\n{graders}")
        for name in re.findall(r"(?:run: |files: \[)([a-z.]+)", block):
            pathlib.Path(folder, name).write_text("#!/bin/sh\n")
            pathlib.Path(folder, name).chmod(0o755)
        pathlib.Path(folder, "cases.jsonl").write_text('{"input": "x"}\n')
        done = subprocess.run([HEARTH, "task", "show", "--json", folder], capture_output=True, text=True)
        assert done.returncode == 0, f"{block}\n{done.stderr}"
        assert len(json.loads(done.stdout)["graders"]) == len(re.findall("^(?:  )?- ", block, re.M))

rows = set(re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\|([^|]*)\|", text, re.M))))
rows |= set(re.findall(r"\(also: `([a-z0-9-]+)`\)", text))
examples = set(re.findall(r"type: ([a-z0-9-]+)", " ".join(blocks)))
same = {"exact": "equals"}
for name in types:
    assert name in rows, f"docs/GRADERS.md has no row for {name}"
    assert same.get(name, name) in examples, f"docs/GRADERS.md has no example of {name}"
print(f"{len(types)} graders, {len(blocks)} blocks of examples")
