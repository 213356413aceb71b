/* family_table.c: chat templates hearth knows, by their source, and what they do.
 *
 * A source is recognised when it is the row's skeleton, character by character, but for white space inside {{ }} and
 * {% %}, the kind of quotes, escapes written out, and one hole (HOLE) that stands for the text of a default system
 * message. So a template that does anything else is never taken for one of these. */
#include "chat/family.h"

#define EACH "{% for message in messages %}"
#define ALTERNATE                                                                                                      \
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"                                                  \
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
#define CHATML_TURN "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
#define CHATML_GO "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
#define CHATML_FIRST "{% if loop.first and messages[0]['role'] != 'system' %}"

static const char must_alternate[] = "Conversation roles must alternate user/assistant/user/assistant/...";

#define CHATML_TURNS { { NULL, "<|im_start|>{role}\n{content}<|im_end|>\n" } }

const chat_family_row chat_family_table[] = {
    { .name = "chatml",
      .skeleton = EACH CHATML_FIRST "{{ '<|im_start|>system\n" HOLE "<|im_end|>\n' }}{% endif %}" CHATML_TURN CHATML_GO,
      .default_system = "<|im_start|>system\n{default}<|im_end|>\n",
      .turns = CHATML_TURNS,
      .go = "<|im_start|>assistant\n" },
    { .name = "chatml",
      .skeleton = EACH CHATML_TURN CHATML_GO,
      .turns = CHATML_TURNS,
      .go = "<|im_start|>assistant\n" },
    { .name = "gemma",
      .skeleton = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
                  "{{ raise_exception('System role not supported') }}{% endif %}" EACH ALTERNATE
                  "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}"
                  "{% set role = message['role'] %}{% endif %}"
                  "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
                  "{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}",
      .begin = "{bos}",
      .system_refused = "System role not supported",
      .alternate = must_alternate,
      .trim = true,
      .turns = { { "assistant", "<start_of_turn>model\n{content}<end_of_turn>\n" },
                 { NULL, "<start_of_turn>{role}\n{content}<end_of_turn>\n" } },
      .go = "<start_of_turn>model\n" },
    { .name = "gemma",
      .skeleton =
          "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {%- if messages[0]['content'] is string -%}\n"
          "        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}\n    {%- else -%}\n"
          "        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}\n    {%- endif -%}\n"
          "    {%- set loop_messages = messages[1:] -%}\n{%- else -%}\n    {%- set first_user_prefix = '' -%}\n"
          "    {%- set loop_messages = messages -%}\n{%- endif -%}\n{%- for message in loop_messages -%}\n"
          "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}\n"
          "        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}\n"
          "    {%- endif -%}\n    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = 'model' -%}\n"
          "    {%- else -%}\n        {%- set role = message['role'] -%}\n    {%- endif -%}\n"
          "    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else '') }}\n"
          "    {%- if message['content'] is string -%}\n        {{ message['content'] | trim }}\n"
          "    {%- elif message['content'] is iterable -%}\n        {%- for item in message['content'] -%}\n"
          "            {%- if item['type'] == 'image' -%}\n                {{ '<start_of_image>' }}\n"
          "            {%- elif item['type'] == 'text' -%}\n                {{ item['text'] | trim }}\n"
          "            {%- endif -%}\n        {%- endfor -%}\n    {%- else -%}\n"
          "        {{ raise_exception('Invalid content type') }}\n    {%- endif -%}\n    {{ '<end_of_turn>\n' }}\n"
          "{%- endfor -%}\n{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n",
      .begin = "{bos}",
      .system_to_user = true,
      .alternate = must_alternate,
      .trim = true,
      .turns = { { "assistant", "<start_of_turn>model\n{system}{content}<end_of_turn>\n" },
                 { NULL, "<start_of_turn>{role}\n{system}{content}<end_of_turn>\n" } },
      .go = "<start_of_turn>model\n" },
    { .name = "llama3",
      .skeleton = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
                  "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + "
                  "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
                  "{{ content }}{% endfor %}{% if add_generation_prompt %}"
                  "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
      .begin = "{bos}",
      .trim = true,
      .turns = { { NULL, "<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>" } },
      .go = "<|start_header_id|>assistant<|end_header_id|>\n\n" },
    { .name = "phi",
      .skeleton = "{{ bos_token }}" EACH "{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content'] + "
                  "'<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}"
                  "{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}",
      .begin = "{bos}",
      .turns = { { "user", "<|user|>\n{content}<|end|>\n<|assistant|>\n" }, { "assistant", "{content}<|end|>\n" } } },
    { .name = "phi",
      .skeleton = EACH "{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
                  "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
                  "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
                  "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}"
                  "{{ eos_token }}{% endif %}",
      .turns = { { "system", "<|system|>\n{content}<|end|>\n" },
                 { "user", "<|user|>\n{content}<|end|>\n" },
                 { "assistant", "<|assistant|>\n{content}<|end|>\n" } },
      .go = "<|assistant|>\n",
      .stay = "{eos}" },
    { .name = "inst",
      .skeleton = "{{ bos_token }}" EACH ALTERNATE
                  "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
                  "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}"
                  "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
      .begin = "{bos}",
      .alternate = must_alternate,
      .role_refused = "Only user and assistant roles are supported!",
      .turns = { { "user", "[INST] {content} [/INST]" }, { "assistant", "{content}{eos}" } } },
};
const size_t chat_family_rows = sizeof(chat_family_table) / sizeof(chat_family_table[0]);
