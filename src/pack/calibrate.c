/* calibrate.c: the text by which a model is looked at, and its division in what is seen and what is held out. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "pack/job.h"
#include "plat/machine.h"
#include "token/vocab.h"

static status divide(job *j, error *err)
{
    const texts *all = &j->text;
    for (int set = 0; set < MOMENTS_SETS; set++) {
        texts *t = &j->set[set];
        t->ids = mem_array(all->n_ids + 1, sizeof *t->ids);
        t->starts = mem_array(all->n + 1, sizeof *t->starts);
        if (!t->ids || !t->starts)
            return fail(err, E_NOMEM, "no memory for %zu tokens", all->n_ids);
        for (size_t i = 0; i < all->n; i++) {
            size_t n = all->starts[i + 1] - all->starts[i];
            if (texts_is_held_out(i) != (set == MOMENTS_HELD_OUT))
                continue;
            memcpy(t->ids + t->n_ids, all->ids + all->starts[i], n * sizeof *t->ids);
            t->n_ids += n;
            t->starts[++t->n] = t->n_ids;
        }
        j->read[set] = (reference_text){ t->ids, t->starts, t->n };
    }
    return OK;
}

static bool tell_writing(void *user, uint64_t done, uint64_t total)
{
    error ignored = { 0 };
    return job_tell(user, "writing text to calibrate by", done, total, &ignored) != OK;
}

enum { AROUND = 64 << 20 };                   /* what is beside the engine */
static const uint64_t own_bytes = 6ull << 30; /* of a model that writes its own text, at most: where there is room */

/* The whole model in memory, with fewer answers at once where that helps; E_NOFIT. */
static status plan_engine(engine_options *o, const gguf *g, error *err)
{
    engine_budget b;
    machine_memory m;
    machine_read_memory(&m);
    o->process_bytes = AROUND;
    status s = engine_plan(g, o, &b, err);
    uint64_t room = machine_memory_budget(&m, own_bytes), least = plan_memory(g);
    o->mem_bytes = room > least ? room : least;
    if (s || b.total_bytes <= o->mem_bytes)
        return s;
    uint64_t over = b.total_bytes - o->mem_bytes;
    if (over < b.kv_bytes - b.kv_bytes / 4)
        o->kv_bytes = b.kv_bytes - over;
    return OK;
}

/* By an engine of its own, which is gone afterwards. */
static status write_own(job *j, const texts_options *o, error *err)
{
    engine_options options;
    gguf *file = NULL;
    engine *e = NULL;
    texts_engine_options(&options, o->piece);
    options.n_threads = pool_threads(j->tools.p);
    status s = gguf_open(&file, j->from, err);
    if (!s)
        s = plan_engine(&options, file, err);
    if (s)
        gguf_close(&file);
    else
        s = engine_open(&e, file, &options, err);
    if (!s)
        s = texts_generate(&j->text, e, o, err);
    engine_close(&e);
    return s;
}

static status read_own(job *j, const vocab *v, uint32_t piece, error *err)
{
    const texts_options o = { .tasks = j->o->tasks, .n_tasks = j->o->n_tasks, .piece = piece,
                              .max_tokens = j->o->tokens, .seed = 1, .progress = tell_writing, .user = j };
    status s = write_own(j, &o, err);
    if (s != E_UNSUPPORTED && s != E_NOFIT)
        return s;
    j->report.text = PACK_BUILT_IN_TEXT;
    return texts_built_in(&j->text, v, &o, err);
}

static status read_text(job *j, const vocab *v, const model_spec *spec, error *err)
{
    const pack_options *o = j->o;
    uint32_t most = spec->context_train ? spec->context_train : REFERENCE_PIECE_MAX;
    uint32_t piece = most < REFERENCE_PIECE_MAX ? most : REFERENCE_PIECE_MAX;
    j->report.is_encoder = j->is_encoder = spec->is_encoder;
    j->report.text = o->text_name ? o->text_name : PACK_OWN_TEXT;
    status s = o->text ? texts_of(&j->text, v, (span){ o->text, o->text_bytes }, piece, o->tokens, err)
                       : read_own(j, v, piece, err);
    j->report.n_calibration = s ? 0 : j->text.n_ids;
    return s ? s : divide(j, err);
}

/* Where hearth cannot read the vocabulary, or run the model, the report says why. */
status calibrate_open(job *j, error *err)
{
    model_spec spec;
    model_sizes sizes;
    vocab *v = NULL;
    error why = { 0 };
    const pack_options *o = j->o;
    if (o->way == ENCODER_PLAIN || o->imatrix)
        return OK;
    status s = vocab_open(&v, j->file, &why);
    if (!s)
        s = model_plan(j->file, true, &spec, &sizes, &why);
    if (!s) {
        s = read_text(j, v, &spec, err);
    } else {
        memcpy(j->report.not_calibrated, why.text, sizeof why.text);
        s = o->save_imatrix ? fail(err, E_UNSUPPORTED, "%s has no importances: %s", o->save_imatrix, why.text) : OK;
    }
    vocab_close(&v);
    return s;
}

status calibrate_save(const job *j, error *err)
{
    char (*names)[GGUF_MAX_NAME + 1] = mem_array(j->n + 1, sizeof *names);
    imatrix_entry *entries = mem_array(j->n + 1, sizeof *entries);
    size_t n = 0;
    status s = names && entries ? OK : fail(err, E_NOMEM, "no memory for %zu tensors", j->n);
    for (size_t i = 0; !s && i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        if (!t->sum2)
            continue;
        memcpy(names[n], t->t->name.p, t->t->name.n);
        entries[n] = (imatrix_entry){ names[n], t->sum2, t->t->ne[0], (float)j->set[MOMENTS_SEEN].n_ids };
        n++;
    }
    if (!s)
        s = imatrix_write(j->o->save_imatrix, entries, n, j->report.text, (uint32_t)j->set[MOMENTS_SEEN].n,
                          REFERENCE_PIECE_MAX, err);
    mem_free(names);
    mem_free(entries);
    return s;
}

void calibrate_close(job *j)
{
    texts_clear(&j->text);
    for (int set = 0; set < MOMENTS_SETS; set++)
        texts_clear(&j->set[set]);
}
