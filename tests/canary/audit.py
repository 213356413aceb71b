"""No log, no send: every request that arrived has its record in the log of the site that sent it."""
import hashlib
import hmac
import json
import os
import re
import subprocess


def records(home):
    """[(host, key of the body's digest, that digest)] of all releases whose MAC is right."""
    log, key_file = home / "audit.log", home / "audit.key"
    if not log.exists() or not key_file.exists():
        return []
    found, key = [], bytes.fromhex(key_file.read_text().split()[1])
    for line in log.read_bytes().split(b"\n"):
        at = line.rfind(b',"mac":"')
        whole = line[at + 72:] == b'"}'      # else it was cut, perhaps by these two bytes alone
        if at < 0 or not whole or hmac.new(key, line[:at], hashlib.sha256).hexdigest().encode() != line[at + 8:at + 72]:
            continue
        r = json.loads(line)
        if r["kind"] == "release":
            found.append((r["host"], hmac.digest(key, b"hearth audit body 1", "sha256"), r["body"]))
        key = hashlib.sha256(key + b"hearth audit key 1").digest()
    return found


def last_second(home):
    """When the last record was written, as the server's clock said; 0: there is none."""
    try:
        times = re.findall(rb'"at_us":([0-9]+),"kind":"release"', (home / "audit.log").read_bytes())
    except OSError:
        return 0
    return int(times[-1]) / 1e6 if times else 0


def missing(home, arrived):
    """Of (upstream, body, phase) those that no record is of. A record lets one request out."""
    have = records(home) if arrived else []
    by_host = {}
    for host, key, digest in have:
        by_host.setdefault(host, []).append((key, digest))
    lost = []
    for up, body, phase in arrived:
        left, sum_ = by_host.get(up.url[:-3], []), hashlib.sha256(body).digest()
        for i, (key, digest) in enumerate(left):
            if hmac.new(key, sum_, hashlib.sha256).hexdigest() == digest:
                del left[i]
                break
        else:
            lost.append((up, body, phase))
    return lost


def verify(hearth, home):
    """What `hearth audit verify` finds wrong, or ''."""
    if not (home / "audit.log").exists():
        return ""
    done = subprocess.run([str(hearth), "audit", "verify"], env=dict(os.environ, HEARTH_HOME=str(home)),
                          capture_output=True, text=True)
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stdout}{done.stderr}"
