/* import.c: the walk from a folder to a GGUF file. */
#include "import/import.h"

#include <string.h>

#include "import/family_int.h"

typedef struct walk {
    import_files files;
    import_weights weights;
    import_vocab vocab;
    bool is_bert;
    bert_config bert;
    decoder_config decoder;
} walk;

static status read_config(walk *m, error *err)
{
    m->is_bert = bert_is(m->files.config);
    return m->is_bert ? bert_config_read(&m->bert, m->files.config, m->files.pooling, err)
                      : decoder_config_read(&m->decoder, m->files.config, m->files.pooling, err);
}

static status read_vocab(walk *m, error *err)
{
    const import_files *f = &m->files;
    span lines = { (const char *)f->lines.data, f->lines.bytes };
    return m->is_bert ? import_wordpiece(&m->vocab, f->tokenizer, lines, f->tokenizer_config, m->bert.n_vocab, err)
                      : import_decoder_vocab(&m->vocab, f, m->decoder.n_vocab, err);
}

static status write_model(walk *m, const char *to, const import_options *o, import_report *out, error *err)
{
    const char *folder = m->files.folder, *slash = strrchr(folder, '/');
    const char *name = o->name ? o->name : slash && slash[1] ? slash + 1 : folder;
    gguf_writer *w = NULL;
    import_report report = { 0 };
    status s = gguf_writer_open(&w, to, err);
    if (s)
        return s;
    s = m->is_bert ? bert_write(w, &m->bert, &m->weights, &m->vocab, o, name, &report, err)
                   : decoder_write(w, &m->decoder, &m->weights, &m->vocab, o, name, &report, err);
    if (s)
        gguf_writer_close(&w);
    else
        s = gguf_writer_finish(&w, err);
    if (!s)
        *out = report;
    return s;
}

status import_model(const char *from, const char *to, const import_options *options, import_report *out, error *err)
{
    import_options o = options ? *options : (import_options){ 0 };
    walk *m = mem_zero(sizeof *m);
    if (!m)
        return fail(err, E_NOMEM, "no memory to import a model");
    status s = import_files_open(&m->files, from, err);
    if (!s)
        s = read_config(m, err);
    if (!s)
        s = import_weights_open(&m->weights, &m->files, err);
    if (!s)
        s = read_vocab(m, err);
    if (!s)
        s = write_model(m, to, &o, out, err);
    import_vocab_close(&m->vocab);
    import_weights_close(&m->weights);
    import_files_close(&m->files);
    mem_free(m);
    return s;
}
