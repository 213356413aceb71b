#include "cli/shape.h"

#include <string.h>

#include "base/js.h"
#include "cli/input.h"
#include "worker/constrain.h"

enum { SHAPE_BYTES_MAX = 8 << 20 };

/* The request that a client would have sent: the same compiler for both. */
static status request_of(const shape_options *o, js **out, error *err)
{
    buf text = BUF_INIT(SHAPE_BYTES_MAX);
    const char *file = o->schema_file ? o->schema_file : o->grammar_file;
    js *in = js_object(), *tree = NULL;
    status s = file ? input_read_file(file, &text, err) : OK;
    if (!s && o->schema_file)
        s = js_parse(&tree, buf_text(&text), text.len, file, 1, err);
    bool ok = js_set(in, "shape", js_new_string(o->schema_file ? "schema" : o->json ? "json" : "grammar"));
    if (!s && tree)
        ok = js_set(in, "schema", tree) && ok;
    else if (!s && o->grammar_file)
        ok = js_set(in, "shape_text", js_new_stringn(buf_text(&text), text.len)) && ok;
    buf_clear(&text);
    if (!s && !ok)
        s = fail(err, E_NOMEM, "no memory for the answer's form");
    if (s)
        js_free(in);
    else
        *out = in;
    return s;
}

status shape_open(grammar **out, const shape_options *o, error *err)
{
    const output_format format = output_format_of(NULL);
    const char *file = o->schema_file ? o->schema_file : o->grammar_file;
    schema_notes notes = { 0 };
    js *in = NULL;
    *out = NULL;
    if (!file && !o->json)
        return OK;
    status s = request_of(o, &in, err);
    if (!s && (s = constrain(out, &format, in, false, false, &notes, err)) != OK && file)
        s = fail_prefix(err, s, "%s: ", file);
    schema_notes_clear(&notes);
    js_free(in);
    return s;
}

void shape_close(grammar **g)
{
    grammar_close(g);
}
