/* The template language without other programs: origins, bounds, what is refused, and every allocation failing once.
 * With `--serve` it renders for test_programs.py and test_corpus.py from standard input: u32 bytes and a template
 * (UINT32_MAX: the one before), u32 bytes and a JSON object of variables; the answer is u32 status, u32 bytes and the
 * output or the error. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "chat/template.h"

enum { NOW = 1753351445, VARIABLES_MAX = 32 }; /* 2025-07-24 10:04:05 */

static status render(const template *t, const js *variables, template_output *out, error *err)
{
    template_variable list[VARIABLES_MAX];
    size_t n = 0;
    for (js_member m = { 0 }; n < VARIABLES_MAX && js_next(variables, &m); n++) {
        bool messages = !strcmp(m.key, "messages"), own = strstr(m.key, "_token") != NULL;
        list[n] = (template_variable){ .name = m.key, .j = m.value,
                                       .from = messages ? TEMPLATE_MESSAGES : TEMPLATE_DATA };
        if (own && js_is(m.value, JS_STRING))
            list[n] = (template_variable){ .name = m.key, .text = js_text(m.value), .text_bytes = js_len(m.value) };
    }
    return template_render(t, list, n, NOW, out, err);
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

static char *read_text(uint32_t *n)
{
    if (fread(n, 4, 1, stdin) != 1)
        exit(0);
    if (*n == UINT32_MAX)
        return NULL;
    char *s = mem_zero(*n + (size_t)1);
    if (!s || fread(s, 1, *n, stdin) != *n)
        exit(1);
    return s;
}

static _Noreturn void serve(void)
{
    template *t = NULL;
    error compile_error = { 0 };
    status compiled = E_FORMAT;
    for (;;) {
        uint32_t n, n_variables;
        char *source = read_text(&n), *json = read_text(&n_variables);
        js *variables = NULL;
        template_output out = { 0 };
        error err = { 0 };
        if (source) {
            template_free(&t);
            compiled = template_compile(&t, source, n, &compile_error);
        }
        err = compile_error;
        status s = compiled;
        if (!s)
            s = js_parse(&variables, json, n_variables, "variables", 1, &err);
        if (!s)
            s = render(t, variables, &out, &err);
        uint32_t code = s, bytes = s ? (uint32_t)strlen(err.text) : (uint32_t)out.n;
        fwrite(&code, 4, 1, stdout);
        fwrite(&bytes, 4, 1, stdout);
        fwrite(s ? err.text : out.bytes, 1, bytes, stdout);
        fflush(stdout);
        template_output_clear(&out);
        js_free(variables);
        mem_free(source);
        mem_free(json);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--serve"))
        serve();
    return 0;
}
