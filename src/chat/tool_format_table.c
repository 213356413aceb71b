/* tool_format_table.c: the families, more particular ones first. */
#include "chat/tool_format.h"

#define LIST_NEXT ", "

const tool_format tool_format_table[] = {
    /* gpt-oss: <|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|> */
    { .name = "harmony", .marks = { "<|channel|>", "<|message|>" },
      .call = "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>",
      .start = "<|start|>assistant", .header_end = "<|message|>", .end = "<|end|>", .call_end = "<|call|>",
      .header = "<|channel|>" },
    { .name = "functionary-v3.2", .marks = { ">>>all", "tool_calls" }, .call = ">>>{name}\n{arguments}",
      .start = ">>>", .header_end = "\n" },
    { .name = "functionary-v3.1", .marks = { "<function=", "<|python_tag|>" },
      .call = "<function={name}>{arguments}</function>" },
    { .name = "seed", .marks = { "seed:tool_call" },
      .call = "<seed:tool_call>\n<function={name}>\n{parameters}</function>\n</seed:tool_call>", .next = "\n",
      .parameter = "<parameter={key}>{value}</parameter>\n" },
    { .name = "qwen3-coder", .marks = { "<tool_call>", "<function=" },
      .call = "<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>", .next = "\n",
      .parameter = "<parameter={key}>\n{value}\n</parameter>\n" },
    { .name = "glm", .marks = { "<tool_call>", "<arg_key>" }, .call = "<tool_call>{name}\n{parameters}</tool_call>",
      .next = "\n", .parameter = "<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" },
    { .name = "kimi", .marks = { "<|tool_calls_section_begin|>" }, .open = "<|tool_calls_section_begin|>",
      .call = "<|tool_call_begin|>functions.{name}:{index}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>",
      .close = "<|tool_calls_section_end|>", .id = TOOL_ID_FUNCTIONS },
    { .name = "deepseek", .marks = { "<｜tool▁calls▁begin｜>", "```json" }, .open = "<｜tool▁calls▁begin｜>",
      .call = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>",
      .next = "\n", .close = "<｜tool▁calls▁end｜>" },
    { .name = "deepseek-v3.1", .marks = { "<｜tool▁calls▁begin｜>" }, .open = "<｜tool▁calls▁begin｜>",
      .call = "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>",
      .close = "<｜tool▁calls▁end｜>" },
    { .name = "mistral-id", .marks = { "[TOOL_CALLS]", "[CALL_ID]" },
      .call = "[TOOL_CALLS]{name}[CALL_ID]{id}[ARGS]{arguments}", .id = TOOL_ID_NINE },
    { .name = "mistral-args", .marks = { "[TOOL_CALLS]", "[ARGS]" }, .call = "[TOOL_CALLS]{name}[ARGS]{arguments}",
      .id = TOOL_ID_NINE },
    { .name = "mistral-list", .marks = { "[TOOL_CALLS]" }, .open = "[TOOL_CALLS]~[", .call = "{call}",
      .next = LIST_NEXT, .close = "]", .arguments_key = "arguments", .id = TOOL_ID_NINE },
    { .name = "gemma", .marks = { "<|tool_call>" }, .call = "<|tool_call>call:{name}{map}<tool_call|>",
      .quote = "<|\"|>" },
    { .name = "functiongemma", .marks = { "<start_function_" },
      .call = "<start_function_call>call:{name}{map}<end_function_call>", .quote = "<escape>" },
    { .name = "phi-4-mini", .marks = { "<|tool|>" }, .open = "<|tool_call|>~[", .call = "{call}", .next = LIST_NEXT,
      .close = "]~<|/tool_call|>", .arguments_key = "arguments" },
    { .name = "granite", .marks = { "<|tool_call|>" }, .open = "<|tool_call|>~[", .call = "{call}", .next = LIST_NEXT,
      .close = "]", .arguments_key = "arguments" },
    { .name = "firefunction", .marks = { "functools[" }, .open = "functools[", .call = "{call}", .next = LIST_NEXT,
      .close = "]", .arguments_key = "arguments" },
    { .name = "apriel", .marks = { "<tool_calls>" }, .open = "<tool_calls>~[", .call = "{call}", .next = LIST_NEXT,
      .close = "]~</tool_calls>", .arguments_key = "arguments" },
    { .name = "hermes", .marks = { "<tool_call>" }, .call = "<tool_call>\n{call}\n</tool_call>", .next = "\n",
      .arguments_key = "arguments" },
    { .name = "llama-3", .marks = { "<|start_header_id|>", "\"parameters\": " }, .open = "<|python_tag|>",
      .call = "{call}", .next = "; ", .arguments_key = "parameters", .bare = true },
    { .name = "generic", .call = "<tool_call>\n{call}\n</tool_call>", .next = "\n", .arguments_key = "arguments" },
};
const size_t tool_format_rows = ARRAY_LEN(tool_format_table);

const reasoning_format reasoning_format_table[] = {
    { "seed", "<seed:think>", "<seed:think>", "</seed:think>" },
    { "think", "</think>", "<think>", "</think>" },
    { "brackets", "[THINK]", "[THINK]", "[/THINK]" },
    { "gemma", "<|channel>thought", "<|channel>thought", "<channel|>" },
};
const size_t reasoning_format_rows = ARRAY_LEN(reasoning_format_table);
