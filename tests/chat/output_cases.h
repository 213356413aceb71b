/* output_cases.h: rows of test_output.c: format, reasoning, end of the prompt, text; content, reasoning,
  calls. */
/* hermes */
{ "hermes", NULL, NULL, "Hi.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\":"
  " \"Köln\"}}\n</tool_call>",
  "Hi.", "", "get_weather({\"city\": \"Köln\"})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>"
  "{\"arguments\":{\"a\":[1,2]},"
  "\"name\":\"f\"}</tool_call>\n", "", "", "f({}) f({\"a\":[1,2]})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\"}</tool_call> done", "done", "", "f({})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":", "", "", "f({\"a\":..." },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}", "", "", "f({\"a\":1})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}", "", "", "f({\"a\":1})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":oops}}", "oops}}", "", "f("
  "{\"a\":..." },
{ "hermes", NULL, NULL, "a\n<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>", "a\n<tool_call>"
  "{\"name\":\"rm\","
  "\"arguments\":{}}</tool_call>", "", "" },
{ "hermes", NULL, NULL, "<tool_call>no<tool_call>{\"name\":\"f\"}</tool_call>", "<tool_call>no", "", "f({})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": \\\"b\\\"}\"}</tool_call>",
  "", "",
  "f({\"a\":\"b\"})" },
{ "hermes", NULL, NULL, "<tool_call>{\"type\":\"function\",\"name\":\"f\",\"arguments\":null,\"id\":\"7\"}"
  "</tool_call>", "",
  "", "f({})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"x\ny\"}}</tool_call>", "", "",
  "f({\"a\":\"x\\ny\"})" },
{ "hermes", NULL, NULL, "use <tool_call> like this", "use <tool_call> like this", "", "" },
{ "hermes", NULL, NULL, "  x <tool_", "  x <tool_", "", "" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"\\ud83d\\ude00\"}}</tool_call>",
  "", "",
  "f({\"a\":\"\\ud83d\\ude00\"})" },
{ "hermes", NULL, NULL, "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"\\ud83d\"}}</tool_call>", "\"}}"
  "</tool_call>",
  "", "f({\"a\":\"\\ud83d..." },
/* reasoning */
{ "hermes", "think", NULL, "<think>\nhm, <tool_call>\n</think>\n\nYes.", "Yes.", "hm, <tool_call>", "" },
{ "hermes", "think", "user: x\n<think>\n", "hm\n</think>\n<tool_call>{\"name\":\"f\"}</tool_call>", "",
  "hm", "f({})" },
{ "hermes", "think", "<think>\n\n</think>\n\n", "Yes </think> no", "Yes </think> no", "", "" },
{ "hermes", "think", NULL, "\n<think>never\n ends \n", "", "never\n ends \n", "" },
{ "hermes", "think", NULL, "I say <think>this</think>", "I say <think>this</think>", "", "" },
{ "mistral-args", "brackets", NULL, "[THINK]a[/THINK]b[TOOL_CALLS]f[ARGS]{\"x\":1}", "b", "a", "f({\"x\":1})" },
{ "gemma", "gemma", NULL, "<|channel>thought\nso\n<channel|>ok", "ok", "so", "" },
/* llama-3: bare, and only as the very first */
{ "llama-3", NULL, NULL, "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "", "", "f({\"a\": 1})" },
{ "llama-3", NULL, NULL, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"f\","
  " \"parameters\": {}}", "", "",
  "f({}) f({})" },
{ "llama-3", NULL, NULL, "{\"name\": \"Bob\", \"age\": 3}", "{\"name\": \"Bob\", \"age\": 3}", "", "" },
{ "llama-3", NULL, NULL, "{\"age\": 3}", "{\"age\": 3}", "", "" },
{ "llama-3", NULL, NULL, "So: {\"name\": \"f\", \"parameters\": {}}", "So: {\"name\": \"f\","
  " \"parameters\": {}}", "", "" },
/* lists */
{ "mistral-list", NULL, NULL, "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {}, \"id\": \"abcdefghi\"}, "
  "{\"name\": \"f\", "
  "\"arguments\": {\"a\": 1}}]", "", "", "f({}) f({\"a\": 1})" },
{ "granite", NULL, NULL, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]", "", "", "f({})" },
{ "phi-4-mini", NULL, NULL, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>", "", "",
  "f({})" },
{ "mistral-list", NULL, NULL, "[TOOL_CALLS] none", "[TOOL_CALLS] none", "", "" },
{ "granite", NULL, NULL, "<|tool_call|>[]", "<|tool_call|>[]", "", "" },
/* names in the text */
{ "mistral-args", NULL, NULL, "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]get_weather[ARGS]{}", "", "",
  "f({\"a\": 1}) get_weather({})" },
{ "mistral-id", NULL, NULL, "[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{}", "", "", "f({})" },
{ "mistral-args", NULL, NULL, "[TOOL_CALLS]g[ARGS]{}", "[TOOL_CALLS]g[ARGS]{}", "", "" },
{ "functionary-v3.1", NULL, NULL, "x <function=f>{\"a\": {}}</function><function=f>{}</function>", "x", "",
  "f({\"a\": {}}) f({})" },
{ "deepseek", "think", NULL, "<think>t</think><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function"
  "<｜tool▁sep｜>f\n```json\n"
  "{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```"
  "<｜tool▁call▁end｜>"
  "<｜tool▁calls▁end｜>", "", "t", "f({\"a\": 1}) f({})" },
{ "deepseek-v3.1", NULL, NULL, "ok<｜tool▁calls▁begin｜>"
  "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
  "<｜tool▁calls▁end｜>", "ok", "", "f({})" },
{ "kimi", NULL, NULL, "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
  "<|tool_call_argument_begin|>{}"
  "<|tool_call_end|><|tool_calls_section_end|>", "", "", "f({})" },
/* one by one */
{ "qwen3-coder", NULL, NULL, "Now\n<tool_call>\n<function=get_weather>\n<parameter=city>\nKöln\n"
  "</parameter>\n<parameter=days>"
  "\n3\n</parameter>\n</function>\n</tool_call>", "Now", "", "get_weather({\"city\":\"Köln\",\"days\":3})" },
{ "qwen3-coder", NULL, NULL, "<tool_call>\n<function=get_weather>\n<parameter=city>\n12\n</parameter>\n"
  "<parameter=x>\n12\n"
  "</parameter>\n<parameter=z>\nTrue\n</parameter>\n</function>\n</tool_call>", "", "",
  "get_weather({\"city\":\"12\",\"x\":\"12\",\"z\":true})" },
{ "qwen3-coder", NULL, NULL, "<tool_call>\n<function=f>\n</function>\n</tool_call>", "", "", "f({})" },
{ "qwen3-coder", NULL, NULL, "<tool_call>\n<function=get_weather>\n<parameter=city>\nKö", "", "",
  "get_weather({\"city\":\"Kö..." },
{ "glm", NULL, NULL, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n"
  "</tool_call>", "", "",
  "get_weather({\"city\":\"Köln\"})" },
{ "glm", NULL, NULL, "<tool_call>get_weather<arg_key>days</arg_key><arg_value>2</arg_value></tool_call>",
  "", "",
  "get_weather({\"days\":2})" },
/* gemma */
{ "gemma", NULL, NULL, "<|tool_call>call:get_weather{city:<|\"|>Köln \"x\"<|\"|>,days:3}<tool_call|>", "", "",
  "get_weather({\"city\":\"Köln \\\"x\\\"\",\"days\":3})" },
{ "gemma", NULL, NULL, "<|tool_call>call:f{}<tool_call|><|tool_call>call:f{o:{a:[1,<|\"|>b<|\"|>,"
  "{c:null}],d:true}}<tool_call|>",
  "", "", "f({}) f({\"o\":{\"a\":[1,\"b\",{\"c\":null}],\"d\":true}})" },
{ "functiongemma", NULL, NULL, "<start_function_call>call:f{a:<escape>x,y}<escape>}<end_function_call>", "", "",
  "f({\"a\":\"x,y}\"})" },
/* addressed */
{ "harmony", NULL, "<|start|>assistant", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
  "<|channel|>final<|message|>"
  "Yes.", "Yes.", "hm", "" },
{ "harmony", NULL, "<|start|>assistant", "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
  "<|channel|>commentary "
  "to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>", "", "hm", "f({\"a\":1})" },
{ "harmony", NULL, "<|start|>assistant", " to=functions.f<|channel|>commentary json<|message|>{\"a\":1}"
  "<|call|>", "", "",
  "f({\"a\":1})" },
{ "functionary-v3.2", NULL, "assistant\n\n>>>", "all\nHi >>> there\n>>>f\n{\"a\": 1}", "Hi >>> there", "",
  "f({\"a\": 1})" },
{ "functionary-v3.2", NULL, "assistant\n\n>>>", "f\n{}>>>f\n{\"b\":2}", "", "", "f({}) f({\"b\":2})" },
