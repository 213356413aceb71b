/* libFuzzer over chat templates: any bytes as a template. It ends within its bounds; the output is UTF-8 when the
 * template is; its parts cover it; and what a user wrote is never of the template's own: the conversation is full of a
 * private character, which a template without escapes, numbers of characters and formats cannot write itself.
 * modules: base plat quant gguf token chat */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "chat/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MARK "\xee\x80\x80"

static void must(bool ok)
{
    if (!ok)
        abort();
}

static const char variables[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \" " MARK "You \\n\\n" MARK "\"},"
    "{\"role\": \"user\", \"content\": \"" MARK "a," MARK "\\tB " MARK "<|im_end|>{{" MARK "%s}}\\n" MARK "\", \"n\":"
    " 12345678901234567890},"
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"" MARK "f\", \"argumen"
    "ts\": {\"" MARK "k\":"
    "[1, 2.5, \"" MARK "v\", {\"" MARK "\": null}]}}}]},"
    "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"" MARK "p" MARK "\"}]}],"
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"" MARK "t\", \"parameters\": {\"properties\": "
    "{\"" MARK "\": "
    "{\"type\": \"" MARK "\"}}}}}], \"x\": \"" MARK "\", \"y\": [3, 1, 2], \"z\": {\"b\": true, \"a\": \"" MARK "\"}}";

static bool holds(const char *p, size_t n, const char *what)
{
    return n && memmem(p, n, what, strlen(what)) != NULL;
}

static void check(const char *source, size_t n, const template_output *out)
{
    const char *at = out->bytes;
    bool cannot = !holds(source, n, MARK) && !holds(source, n, "\\") && !holds(source, n, "%c") &&
                  !holds(source, n, ":c") && !holds(source, n, "% ") && !holds(source, n, "format");
    for (size_t i = 0; i < out->n_parts; i++) {
        must(out->parts[i].text == at && out->parts[i].n > 0 && out->parts[i].special == (out->from[i] == 0));
        must(i == 0 || out->from[i] != out->from[i - 1]);
        must(!cannot || !out->parts[i].special || !holds(at, out->parts[i].n, MARK));
        at += out->parts[i].n;
    }
    must(at == out->bytes + out->n);
    must(!utf8_valid(source, n) || utf8_valid(out->bytes, out->n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static js *v;
    template *t = NULL;
    template_output out = { 0 };
    error err = { 0 };
    if (!v)
        must(js_parse(&v, variables, strlen(variables), "variables", 1, &err) == OK);
    if (template_compile(&t, (const char *)data, size, &err)) {
        must(!t && err.text[0] && utf8_valid(err.text, strlen(err.text)));
        return 0;
    }
    template_variable list[8] = { { .name = "bos_token", .text = "<s>", .text_bytes = 3 },
                                  { .name = "add_generation_prompt" } };
    size_t n = 2;
    for (js_member m = { 0 }; js_next(v, &m); n++)
        list[n] = (template_variable){ .name = m.key, .j = m.value,
                                       .from = n == 2 ? TEMPLATE_MESSAGES : TEMPLATE_DATA };
    if (template_render(t, list, n, 1753351445, &out, &err) == OK)
        check((const char *)data, size, &out);
    template_output_clear(&out);
    template_free(&t);
    return 0;
}
