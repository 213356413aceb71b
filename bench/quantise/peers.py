"""The peer: llama-imatrix, llama-quantize and llama-perplexity of a folder, and what they make."""
import os
import re
import subprocess
import time

BLOCK = 256  # values in a block of the K types


def run(words, log):
    """Seconds that a command took; what it said is kept in LOG."""
    start = time.monotonic()
    with open(log, "wb") as f:
        code = subprocess.run([str(w) for w in words], stdout=f, stderr=subprocess.STDOUT).returncode
    if code:
        raise SystemExit(f"{' '.join(str(w) for w in words)}: exit {code}, see {log}")
    return time.monotonic() - start


def narrow(tensors):
    """Ends of the names of matrices whose rows are no whole number of blocks of the K types."""
    names = {re.sub(r"^blk\.\d+\.", "", t["name"]) for t in tensors if len(t["shape"]) > 1 and t["shape"][0] % BLOCK}
    return sorted(names)


class Peer:
    def __init__(self, folder, threads):
        self.folder, self.threads = folder, threads

    def program(self, name):
        for path in (os.path.join(self.folder, name), os.path.join(self.folder, "llama.cpp", "bin", name)):
            if os.access(path, os.X_OK):
                return path
        raise SystemExit(f"no {name} in {self.folder}: bench/quantise/tools DIR builds it")

    def imatrix(self, reference, text, out, tokens):
        """The importance file; seconds."""
        words = [self.program("llama-imatrix"), "-m", reference, "-f", text, "-o", out, "-c", 512, "-b", 512,
                 "--no-ppl", "--chunks", max(1, tokens // 512), "-t", self.threads]
        return run(words, f"{out}.log")

    def quantize(self, reference, imatrix, out, kind, keep=()):
        """A file of the mix KIND. With KEEP: of that type alone, and those tensors stay as they are. Seconds."""
        words = [self.program("llama-quantize"), "--imatrix", imatrix]
        if keep:
            words.append("--pure")
            for name in keep:
                words += ["--token-embedding-type", "f16"] if name == "token_embd.weight" else \
                         ["--tensor-type", f"{name.removesuffix('.weight')}=f16"]
        return run(words + [reference, out, kind, self.threads], f"{out}.log")

    def divergence(self, reference, out, text, windows, logits):
        """Mean KL divergence of OUT from REFERENCE as the peer judges it, with its own error. LOGITS: a file to use."""
        common = [self.program("llama-perplexity"), "-t", self.threads, "-c", 512, "--chunks", windows,
                  "--kl-divergence-base", logits]
        run(common + ["-m", reference, "-f", text], f"{logits}.log")
        run(common + ["-m", out, "--kl-divergence"], f"{logits}.log")
        os.unlink(logits)
        with open(f"{logits}.log", encoding="utf-8", errors="replace") as f:
            found = re.search(r"Mean\s+KLD:\s*([-\d.e]+)\s*±\s*([-\d.e]+)", f.read())
        return float(found.group(1)), float(found.group(2))
