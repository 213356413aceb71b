"""/metrics, /props and /slots of a real `hearth serve`: what is counted is what the answers said."""
import concurrent.futures
import json
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from lib.served import MODEL, TINY, Served  # noqa: E402

SAMPLE = re.compile(r'([a-z_:]+)(\{(?:[a-z]+="(?:[^"\\]|\\.)*",?)*\})? (\S+)$')


def call(s, path, body=None, **headers):
    request = urllib.request.Request(s.url + path, json.dumps(body).encode() if body is not None else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as r:
            return r.status, r.read().decode(), r.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


def ask(s, path, **body):
    code, text, _ = call(s, path, body)
    assert code == 200, (path, body, text)
    return json.loads(text)


def metrics(s):
    """{name{labels}: value}; the form is checked: families are whole, announced once, and every line is a sample."""
    code, text, headers = call(s, "/metrics")
    assert code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers
    found, types, family = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in types, family
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            types[family] = line.split()[3]
        else:
            name, labels, value = SAMPLE.match(line).groups()
            base = re.sub("_(bucket|sum|count)$", "", name) if types[family] == "histogram" else name
            assert base == family and name + (labels or "") not in found, line
            assert types[family] != "counter" or name.endswith("_total"), name
            found[name + (labels or "")] = float(value)
    return found


def grown(before, after):
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


def of(name, **labels):
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def counts_what_answers_say(s):
    before = metrics(s)
    usages = [ask(s, "/v1/chat/completions", model=MODEL, messages=[{"role": "user", "content": f"Say {i}."}], max_tokens=8)
              ["usage"] for i in range(3)]
    usages += [ask(s, "/v1/completions", model=MODEL, prompt=["a b", "c"], max_tokens=4, n=2)["usage"]]
    vectors = ask(s, "/v1/embeddings", model=MODEL, input=["one", "two"])["usage"]["prompt_tokens"]
    ask(s, "/tokenize", content="nothing is computed")
    d = grown(before, metrics(s))
    out = sum(u["completion_tokens"] for u in usages)
    assert d[of("hearth_requests_total", model=MODEL, kind="answer")] == 3 + 4
    assert d[of("hearth_requests_total", model=MODEL, kind="vectors")] == 1
    assert d[of("hearth_requests_total", model=MODEL, kind="prompt")] == 1
    assert d[of("hearth_completion_tokens_total", model=MODEL)] == out == d["llamacpp:tokens_predicted_total"]
    assert d["hearth_time_to_first_token_seconds_count"] == 7 == d['hearth_time_to_first_token_seconds_bucket{le="+Inf"}']
    # a prompt is read for each of its choices, and counts once in `usage`
    tokens_in = sum(u["prompt_tokens"] for u in usages[:3]) + 2 * usages[3]["prompt_tokens"] + vectors
    assert d[of("hearth_prompt_tokens_total", model=MODEL)] == tokens_in
    cached = d.get(of("hearth_prompt_tokens_cached_total", model=MODEL), 0)
    assert cached >= sum(u["prompt_tokens_details"]["cached_tokens"] for u in usages)
    assert d["llamacpp:prompt_tokens_total"] == tokens_in - cached
    assert d.get("llamacpp:prompt_tokens_cached_total", 0) == cached
    for name in ("hearth_prefill_seconds_total", "hearth_decode_seconds_total"):
        assert 0 < d[of(name, model=MODEL)] < 60
    assert not any("faults" in k for k in d), d


def counts_faults(s):
    before = metrics(s)
    assert call(s, "/v1/completions", dict(model="nothing", prompt="a"))[0] == 404
    assert call(s, "/v1/completions", dict(model=MODEL, prompt="word " * 5000))[0] == 400
    assert call(s, "/completion", dict(prompt=[1, 10 ** 8]))[0] == 400
    d = grown(before, metrics(s))
    d = {k: v for k, v in d.items() if "faults" in k}
    assert d == {of("hearth_faults_total", kind=k): 1 for k in ("not-found", "context-too-long", "invalid")}, d
    name = 'a"b\\c\nd'
    assert call(s, "/v1/completions", dict(model=name, prompt="a"))[0] == 404
    assert "nothing" not in str(metrics(s))  # names that do not exist make no series


def what_is_open(s):
    m = metrics(s)
    assert m["hearth_models_open"] == 1 and m[of("hearth_model_answering", model=MODEL)] == 0
    assert (0 if TINY else 50e6) < m[of("hearth_model_memory_bytes", model=MODEL)] < m["hearth_memory_budget_bytes"]
    assert m[of("hearth_worker_peak_bytes", model=MODEL)] > 1e6
    props = json.loads(call(s, "/props")[1])
    assert props["default_generation_settings"]["n_ctx"] == 2048 and props["total_slots"] == 2
    assert props["default_generation_settings"]["params"]["top_k"] == 40 and props["model_path"] == f"{MODEL}.gguf"
    assert json.loads(call(s, f"/props?model={MODEL}")[1]) == props
    code, text, _ = call(s, "/props?model=nothing")
    assert code == 404 and json.loads(text)["error"]["code"] == 404
    slots = json.loads(call(s, "/slots")[1])
    assert [x["is_processing"] for x in slots] == [False, False] and [x["id"] for x in slots] == [0, 1]
    assert all(x["n_ctx"] == 2048 and x["model"] == MODEL for x in slots)


def busy(s):
    """Three long answers at two places: two are answered, one waits; they leave, and are counted as gone."""
    if TINY:  # its answers are over before they are found at work
        return
    before, stop = metrics(s), threading.Event()

    def one(i):
        body = dict(prompt="1, 2, 3, 4, 5, 6, " * (i + 1), stream=True, ignore_eos=True, temperature=0)
        request = urllib.request.Request(s.url + "/completion", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=1.5 if i == 2 else 60) as r:
                r.read(100)
                stop.wait(60)
        except OSError:  # the last to come hears nothing, and leaves
            pass

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(one, i) for i in (0, 1)]
        until(lambda: metrics(s)[of("hearth_model_answering", model=MODEL)] == 2)
        jobs.append(pool.submit(one, 2))
        until(lambda: metrics(s)["llamacpp:requests_deferred"] == 1)
        m = metrics(s)
        assert m["llamacpp:requests_processing"] == 2 and m[of("hearth_model_waiting", model=MODEL)] == 1
        assert [x["is_processing"] for x in json.loads(call(s, "/slots")[1])] == [True, True]
        code, text, _ = call(s, "/slots?fail_on_no_slot=1")
        assert code == 503 and json.loads(text)["error"]["type"] == "unavailable_error"
        jobs[2].result(20)
        until(lambda: grown(before, metrics(s)).get("hearth_requests_left_total") == 1)
        stop.set()
    until(lambda: grown(before, metrics(s)).get(of("hearth_requests_cancelled_total", model=MODEL)) == 2)
    assert call(s, "/slots?fail_on_no_slot=1")[0] == 200


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


def keys_are_wanted():
    with tempfile.NamedTemporaryFile("w") as f:
        f.write("right\n")
        f.flush()
        with Served(config=f"version: 1\nkeys:\n  - {{name: me, key_file: {f.name}}}\n") as s:
            for path in ("/metrics", "/slots", "/props"):
                assert call(s, path)[0] == 401 and call(s, path, **{"x-api-key": "wrong"})[0] == 401
            for path in ("/metrics", "/slots"):
                assert call(s, path, **{"x-api-key": "right"})[0] == 200
            code, text, _ = call(s, "/props", **{"x-api-key": "right"})
            assert code == 400 and "'model' is missing" in text, text
    print("ok keys_are_wanted")


def main():
    with Served(config="version: 1\nparallel: 2\n", args=[MODEL]) as s:
        for test in (counts_what_answers_say, counts_faults, what_is_open, busy):
            test(s)
            print("ok", test.__name__, flush=True)
    keys_are_wanted()
    return 0


if __name__ == "__main__":
    sys.exit(main())
