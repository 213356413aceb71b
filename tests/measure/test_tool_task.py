"""A task with tools, by a real small model: every required call is well-formed, measured once, graded as a call; and the
server answers the task with the same call. That the calls are right is not asked of a model of this size."""
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from served import MODEL, Served  # noqa: E402
import subprocess  # noqa: E402
from served import BUILD  # noqa: E402

TASK = """hearth: 1
id: weather
privacy: private
prompt: 'What is the weather in {{input}}?'
tools:
  - type: function
    function:
      name: weather
      description: The weather in a city, now.
      parameters: {type: object, properties: {city: {type: string, maxLength: 20}}, required: [city], additionalProperties: false}
  - {type: function, function: {name: time, parameters: {type: object, properties: {}, additionalProperties: false}}}
tool_choice: {name: weather}
parallel_tool_calls: false
graders:
  - {type: tool-call, threshold: 0, alternatives: true}
sampling: {max_tokens: 64}
bar: 0
"""
CITIES = ["Rome", "Oslo", "Lima"]


def main():
    config = f"version: 1\nproviders:\n  - {{name: small, kind: local, model: {MODEL}}}\n"
    with Served(config) as s:
        task = s.home / "tasks/weather"
        task.mkdir(parents=True)
        (task / "task.yaml").write_text(TASK)
        (task / "cases.jsonl").write_text("".join(json.dumps(
            {"id": c, "input": c, "expected": [{"name": "weather", "arguments": {"city": [c]}}]}) + "\n" for c in CITIES))

        def measure():
            done = subprocess.run([BUILD / "hearth", "measure", "weather", "--on", "small", "--json"], env=s.environment,
                                  capture_output=True, timeout=200)
            assert done.returncode == 0, done.stderr.decode()
            return json.loads(done.stdout)["results"][0]

        first = measure()
        assert (first["answered"], first["malformed"], first["asked"]) == (3, 0, 3), first
        again = measure()
        assert (again["asked"], again["kept"], again["score"]) == (0, 3, first["score"]), again
        (task / "task.yaml").write_text(TASK.replace("in a city, now", "in a town, now"))
        assert measure()["asked"] == 3  # other tools, another question
        (task / "task.yaml").write_text(TASK)

        right = 0
        for city in CITIES:
            body = {"model": "task:weather", "messages": [{"role": "user", "content": city}]}
            r = json.loads(urllib.request.urlopen(urllib.request.Request(
                s.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}),
                timeout=100).read())
            choice = r["choices"][0]
            call, = choice["message"]["tool_calls"]
            assert choice["finish_reason"] == "tool_calls" and call["function"]["name"] == "weather", r
            right += json.loads(call["function"]["arguments"])["city"].strip() == city
        assert abs(right / 3 - first["score"]) < 1e-9, (right, first["score"])  # what was measured is what is served
    print("ok", right, "of 3 right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
