#include "cli/model_facts.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/arch.h"
#include "quant/quant.h"

enum { TYPES = 64, PARTS_MAX = GGUF_MAX_FILES, PART_PATH = 4096 };

void model_facts_sizes(const gguf *g, const char **type, uint64_t *n_params)
{
    uint64_t bytes[TYPES] = { 0 };
    uint32_t most = 0;
    *n_params = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        *n_params += t->ne[0] * gguf_tensor_rows(t);
        if (t->n_dims > 1 && t->type < TYPES)
            bytes[t->type] += t->bytes;
    }
    for (uint32_t t = 0; t < TYPES; t++)
        if (bytes[t] > bytes[most])
            most = t;
    *type = bytes[most] ? quant_name(most) : "";
}

static void copy_text(const gguf *g, const char *key, char *out, size_t room)
{
    span s;
    if (gguf_str(g, key, &s, NULL) == OK)
        snprintf(out, room, "%.*s", (int)(s.n < room ? s.n : room - 1), s.p);
}

/* Files that are called models and are none say so in general.type, or by an architecture that hearth does not have. */
static void read_header(model_facts *f, const gguf *g)
{
    char kind[32] = "";
    copy_text(g, "general.architecture", f->arch, sizeof f->arch);
    copy_text(g, "general.license", f->licence, sizeof f->licence);
    copy_text(g, "general.type", kind, sizeof kind);
    model_facts_sizes(g, &f->type, &f->n_params);
    if (strcmp(f->arch, "clip") == 0 || strcmp(kind, "mmproj") == 0)
        snprintf(f->why, sizeof f->why, "it is the picture encoder of another model");
    else if (kind[0] && strcmp(kind, "model") != 0)
        snprintf(f->why, sizeof f->why, "it is no model but of the type '%s'", kind);
    else if (!arch_find(span_of(f->arch)))
        snprintf(f->why, sizeof f->why, "hearth does not run the architecture '%s'", f->arch);
}

void model_facts_read(model_facts *out, const store_model *m)
{
    gguf *g = NULL;
    error e = { 0 };
    *out = (model_facts){ .type = "" };
    if (store_note_read(&out->note, m, &e) || store_expect(&out->known, m, &out->note, 0, &e))
        snprintf(out->why, sizeof out->why, "%s", e.text); /* the header's errors are worse, and replace it */
    if (m->unusable) {
        snprintf(out->why, sizeof out->why, "%s", m->unusable);
        if (!m->bytes)
            return; /* path leads to what names it */
    }
    if (gguf_open(&g, m->path, &e)) {
        snprintf(out->why, sizeof out->why, "%s", e.text);
        return;
    }
    if (m->unusable) {
        model_facts own = *out;
        read_header(out, g);
        memcpy(out->why, own.why, sizeof out->why);
    } else {
        read_header(out, g);
    }
    if (out->note.licence && out->note.licence[0])
        snprintf(out->licence, sizeof out->licence, "%s", out->note.licence);
    gguf_close(&g);
}

void model_facts_clear(model_facts *f)
{
    store_note_clear(&f->note);
}

js *model_facts_digests(const store_model *m, const store_note *n)
{
    js *list = js_array();
    char path[PART_PATH];
    store_expected e;
    for (unsigned i = 0; i < PARTS_MAX && store_part(m->path, i, path, sizeof path, NULL) == OK; i++) {
        if (store_expect(&e, m, n, i, NULL) || !e.sha256[0])
            continue;
        js *o = js_object();
        js_set(o, "file", js_new_string(path));
        js_set(o, "sha256", js_new_string(e.sha256));
        js_set(o, "bytes", e.bytes ? js_new_int((int64_t)e.bytes) : js_null());
        js_set(o, "from", js_new_string(e.from));
        js_push(list, o);
    }
    return list;
}
