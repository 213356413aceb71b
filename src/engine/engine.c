/* engine.c: planning, opening and closing an engine. The plan is the law: engine_open allocates what it adds up. */
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/numerics.h"
#include "base/str.h"
#include "engine/engine_int.h"
#include "engine/nearest.h"
#include "gguf/gguf.h"
#include "plat/cpu.h"
#include "plat/machine.h"
#include "quant/quant.h"

enum {
    CONTEXT_DEFAULT = 8192, /* more is the caller's wish: KV of a 135M model at 8192 is 190 MB already */
    CONTEXT_MAX = 1 << 24,
    ENCODER_CONTEXT = 2048, /* a pass holds a whole text, so scratch grows with it */
    ENCODER_CONTEXT_MAX = 1 << 14,
    ENCODER_SESSIONS = 4,   /* contexts' worth of pages: 32 short texts in a pass of 512 positions */
    BATCH_DEFAULT = 128,
    BATCH_MAX = 1024,
    SESSIONS_MAX = 4096,
    REWIND_DEFAULT = 256, /* an answer that is asked for again, a turn that ends otherwise */
    LOGIT_BYTES = 4 << 20, /* about this much memory for logits, but LOGIT_ROWS rows and one for each session */
    LOGIT_ROWS = 8,
    LOGIT_ROWS_MOST = 64,
    PAGE_TABLE_PART = 512, /* an entry of 8 bytes for each page of 4 KiB */
    RELEASE_STEPS = 2, /* of the file that are mapped at once while it is loaded */
    CLASSES_MAX = 1 << 16,
};

/* Everything that options and header lead to. */
typedef struct plan {
    engine_options o;
    model_spec spec;
    model_sizes sizes;
    model_run_options run;
    unsigned cpu;
    engine_budget budget;
} plan;

static const struct {
    const char *name;
    enum kernels_kv kind;
} kv_types[ENGINE_KV_TYPES] = {
    [ENGINE_KV_F16] = { "f16", KV_F16 },
    [ENGINE_KV_F32] = { "f32", KV_F32 },
    [ENGINE_KV_Q8] = { "q8", KV_Q8 },
};

const char *engine_kv_name(engine_kv kv)
{
    return kv_types[kv].name;
}

const char *engine_numerics(void)
{
    return NUMERICS_VERSION;
}

bool engine_kv_named(const char *name, engine_kv *out)
{
    for (int i = 0; i < ENGINE_KV_TYPES; i++)
        if (strcmp(name, kv_types[i].name) == 0) {
            *out = (engine_kv)i;
            return true;
        }
    return false;
}

void engine_options_init(engine_options *o)
{
    *o = (engine_options){ .size = sizeof *o };
}

static status check_options(engine_options *o, error *err)
{
    if (o->size != sizeof *o)
        return fail(err, E_RANGE, "engine_options.size is %zu, not %zu: engine_options_init was not called", o->size,
                    sizeof *o);
    if (o->n_threads < 0 || o->n_threads > POOL_MAX_THREADS)
        return fail(err, E_RANGE, "%d threads: it must be 1 to %d", o->n_threads, POOL_MAX_THREADS);
    if (o->context > CONTEXT_MAX)
        return fail(err, E_RANGE, "a context of %u positions: the limit is %d", o->context, CONTEXT_MAX);
    if (o->rewind > CONTEXT_MAX)
        return fail(err, E_RANGE, "to rewind by %u positions: the limit is %d", o->rewind, CONTEXT_MAX);
    if (o->n_sessions > SESSIONS_MAX)
        return fail(err, E_RANGE, "%u sessions: the limit is %d", o->n_sessions, SESSIONS_MAX);
    if (o->batch > BATCH_MAX)
        return fail(err, E_RANGE, "a batch of %u rows: the limit is %d", o->batch, BATCH_MAX);
    if ((unsigned)o->kv_type >= ENGINE_KV_TYPES)
        return fail(err, E_RANGE, "kv type %d is not known", (int)o->kv_type);
    if (!o->n_threads) {
        machine_cpu cpu;
        machine_read_cpu(&cpu);
        o->n_threads = cpu.threads < POOL_MAX_THREADS ? cpu.threads : POOL_MAX_THREADS;
    }
    o->batch = o->batch ? o->batch : BATCH_DEFAULT;
    o->rewind = o->rewind ? o->rewind : REWIND_DEFAULT;
    return OK;
}

static uint64_t grammar_bound(const gguf *g)
{
    const gguf_value *v = gguf_find(g, "tokenizer.ggml.tokens");
    if (!v || v->bytes < 8 * v->n) /* each text stands behind its length */
        return 0;
    return grammar_vocab_bound((size_t)v->n, (size_t)(v->bytes - 8 * v->n));
}

/* Pages of the file while its weights are repacked: the header, which stays, and the steps that are under way; where
 * weights are expanded, the rows of each thread. KV and scratch are not touched before that is over. */
static uint64_t load_bound(const plan *p, const gguf *g)
{
    uint64_t data = gguf_data_bytes(g), step = RELEASE_STEPS * GGUF_RELEASE_STEP, header = 0, rows = 0;
    for (int i = 0; i < gguf_n_files(g); i++)
        header += gguf_header_bytes(g, i);
    if (p->o.exact)
        rows = (uint64_t)p->run.n_threads * KERNELS_PANEL_ROWS * p->spec.n_ff * sizeof(float);
    return header + (data < step ? data : step) + rows;
}

static uint32_t samplers_of(const plan *p)
{
    return p->o.slices ? (uint32_t)p->run.n_threads : 1;
}

/* Scratch that engine.c allocates beside model_run. */
static uint64_t own_bytes(const plan *p)
{
    uint64_t n = p->spec.n_vocab, padded = (n + 15) / 16 * 16;
    uint64_t pages = 0;
    for (int i = 0; i < MODEL_KINDS; i++)
        pages += p->budget.pages[i].n_pages;
    return sizeof(engine) + pages * (sizeof(char *) + 2 * sizeof(bool) + sizeof(uint16_t)) +
           samplers_of(p) * (sizeof(sampler) + n * (sizeof(candidate) + sizeof(uint16_t)) + padded * sizeof(float)) +
           p->run.batch * (sizeof(model_row) + sizeof(engine_row) + sizeof(uint32_t)) +
           p->run.logit_rows * sizeof(float *) +
           lookup_bytes(p->run.context) + prefix_bytes(p->budget.n_pages) +
           p->o.n_sessions * session_bytes(&p->budget);
}

static void plan_budget(plan *p, const gguf *g)
{
    engine_budget *b = &p->budget;
    b->context = p->run.context;
    kv_plan(b, &p->spec, p->run.kv, &p->o);
    b->weights_bytes = p->sizes.weights_bytes;
    b->token_bytes = p->sizes.token_bytes;
    b->scratch_bytes = model_run_bytes(&p->spec, &p->run) + own_bytes(p);
    if (p->o.slices)
        b->scratch_bytes += slice_bytes(&p->spec, &p->run);
    b->vocab_bytes = vocab_plan(g);
    b->grammar_bytes = grammar_bound(g);
    uint64_t load = load_bound(p, g), later = b->kv_bytes + b->scratch_bytes;
    b->load_bytes = load > later ? load - later : 0;
    b->process_bytes = p->o.process_bytes;
    if (b->process_bytes) /* and its page tables */
        b->process_bytes += (b->weights_bytes + later + b->vocab_bytes) / PAGE_TABLE_PART;
    b->total_bytes = b->weights_bytes + b->kv_bytes + b->scratch_bytes + b->vocab_bytes + b->load_bytes +
                     b->process_bytes + (p->o.grammars ? b->grammar_bytes : 0);
}

/* Limits that depend on the model. A pass of an encoder takes whole texts. */
static status plan_limits(plan *p, const gguf *g, error *err)
{
    const model_spec *s = &p->spec;
    uint32_t limit = s->is_encoder ? ENCODER_CONTEXT : CONTEXT_DEFAULT;
    p->run.context = p->o.context ? p->o.context : s->context_train < limit ? s->context_train : limit;
    if (s->is_encoder && p->run.context > s->context_train) /* there are no more, whatever the limit */
        p->run.context = s->context_train;
    if (s->is_encoder && p->run.context > ENCODER_CONTEXT_MAX)
        return fail(err, E_RANGE, "%s: a context of %u positions: the limit is %d for encoders", gguf_file_name(g),
                    p->run.context, ENCODER_CONTEXT_MAX);
    if (s->is_encoder && p->o.batch < p->run.context)
        p->o.batch = p->run.context;
    p->o.n_sessions = p->o.n_sessions ? p->o.n_sessions : s->is_encoder ? ENCODER_SESSIONS : 1;
    return OK;
}

static uint32_t logit_rows(const plan *p)
{
    uint64_t n = p->spec.n_logits ? p->spec.n_logits : 1;
    uint64_t rows = LOGIT_BYTES / ((n + 15) / 16 * 16 * sizeof(float));
    uint64_t least = p->o.logit_rows > p->o.n_sessions ? p->o.logit_rows : p->o.n_sessions;
    least = least > LOGIT_ROWS_MOST ? LOGIT_ROWS_MOST : least < LOGIT_ROWS ? LOGIT_ROWS : least;
    rows = rows < least ? least : rows;
    return rows < p->o.batch ? (uint32_t)rows : p->o.batch;
}

static status plan_make(plan *p, const gguf *g, const engine_options *o, error *err)
{
    memset(p, 0, sizeof *p);
    if (o && o->size == sizeof *o)
        p->o = *o;
    else if (o)
        p->o.size = o->size;
    else
        engine_options_init(&p->o);
    status s = check_options(&p->o, err);
    if (!s)
        s = cpu_choose(p->o.isa, &p->cpu, err);
    if (!s)
        s = model_plan(g, p->o.exact, &p->spec, &p->sizes, err);
    if (!s)
        s = plan_limits(p, g, err);
    if (s)
        return s;
    p->run.batch = p->o.batch;
    p->run.logit_rows = logit_rows(p);
    p->run.kv = kv_types[p->o.kv_type].kind;
    p->run.n_threads = p->o.n_threads;
    plan_budget(p, g);
    uint32_t least = p->spec.is_encoder ? p->budget.pages[ENGINE_GLOBAL].session_pages : 1;
    if (p->budget.n_pages < least)
        return fail(err, E_NOFIT, "a KV cache of %llu bytes does not hold the least, %llu",
                    (unsigned long long)p->o.kv_bytes, (unsigned long long)engine_kv_bytes(&p->budget, least, 1));
    return OK;
}

status engine_plan(const struct gguf *file, const engine_options *o, engine_budget *out, error *err)
{
    plan p;
    status s = plan_make(&p, file, o, err);
    if (!s)
        *out = p.budget;
    return s;
}

void engine_arithmetic(const engine_budget *b, bool grammars, buf *out)
{
    const struct {
        const char *what;
        uint64_t bytes;
    } rows[] = { { "weights", b->weights_bytes },    { "KV", b->kv_bytes },           { "scratch", b->scratch_bytes },
                 { "vocabulary", b->vocab_bytes },   { "grammars", grammars ? b->grammar_bytes : 0 },
                 { "loading", b->load_bytes },       { "program", b->process_bytes } };
    char text[24];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].bytes && i > 0)
            continue;
        buf_printf(out, "%s%s %s", i ? " + " : "", rows[i].what, str_human_bytes(text, rows[i].bytes));
        if (i == 1)
            buf_printf(out, " (%u positions)", b->n_pages * KERNELS_PAGE);
    }
    buf_printf(out, " = %s", str_human_bytes(text, b->total_bytes));
}

/* The error says what would fit. */
static status check_budget(const plan *p, const gguf *g, const engine_options *o, error *err)
{
    const engine_budget *b = &p->budget;
    if (!p->o.mem_bytes || b->total_bytes <= p->o.mem_bytes)
        return OK;
    buf text = BUF_INIT(sizeof err->text);
    char allowed[24];
    engine_arithmetic(b, p->o.grammars, &text);
    buf_printf(&text, ", of %s allowed", str_human_bytes(allowed, p->o.mem_bytes));
    nearest n;
    if (engine_nearest(g, o, &n, NULL) == OK) {
        buf_str(&text, "; ");
        nearest_text(&n, &text);
    }
    status s = fail(err, E_NOFIT, "%s does not fit: %s", gguf_file_name(g), buf_text(&text));
    buf_clear(&text);
    return s;
}

/* ---- opening ---- */

static char *copy_text(const gguf *g, const char *key)
{
    span text;
    if (gguf_str(g, key, &text, NULL) != OK)
        return NULL;
    return mem_strndup(text.p, text.n);
}

static status read_classes(engine *e, const gguf *g, error *err)
{
    char key[96];
    snprintf(key, sizeof key, "%s.classifier.output_labels", e->arch ? e->arch : "");
    const gguf_value *labels = gguf_find(g, key);
    if (!labels || !labels->is_array || labels->type != GGUF_STR || !labels->n || labels->n > CLASSES_MAX)
        return OK; /* that they fit the tensors, the model has checked */
    gguf_strings it = gguf_strings_of(labels);
    span text;
    e->classes = mem_array(labels->n, sizeof *e->classes);
    while (e->classes && e->n_classes < labels->n && gguf_strings_next(&it, &text)) {
        e->classes[e->n_classes] = mem_strndup(text.p, text.n);
        if (!e->classes[e->n_classes++])
            break;
    }
    bool whole = e->classes && e->n_classes == labels->n && e->classes[labels->n - 1];
    return whole ? OK : fail(err, E_NOMEM, "no memory for the names of classes");
}

static status read_texts(engine *e, const gguf *g, error *err)
{
    e->arch = copy_text(g, "general.architecture");
    e->name = gguf_find(g, "general.name") ? copy_text(g, "general.name") : mem_strdup("");
    e->chat_template = copy_text(g, "tokenizer.chat_template");
    status s = read_classes(e, g, err);
    if (s)
        return s;
    bool failed = !e->arch || !e->name || (!e->chat_template && gguf_find(g, "tokenizer.chat_template"));
    return failed ? fail(err, E_NOMEM, "no memory for the model's texts (or they are not text)") : OK;
}

/* A file without tokenizer ("none") can be run by token ids. */
static status open_vocab(engine *e, const gguf *g, error *err)
{
    span kind;
    status s = gguf_str_or(g, "tokenizer.ggml.model", "none", &kind, err);
    if (s || span_is(kind, "none") || span_is(kind, "no_vocab"))
        return s;
    return vocab_open(&e->vocab, g, err);
}

static status open_samplers(engine *e, uint32_t count, size_t n_vocab, error *err)
{
    e->samplers = mem_zero(count * sizeof *e->samplers);
    bool ok = e->samplers != NULL;
    e->n_samplers = ok ? count : 0;
    for (uint32_t i = 0; ok && i < count; i++) {
        sampler *m = &e->samplers[i];
        m->candidates = mem_array(n_vocab, sizeof *m->candidates);
        m->work = mem_array((n_vocab + 15) / 16 * 16, sizeof *m->work);
        m->counts = mem_array(n_vocab, sizeof *m->counts);
        ok = m->candidates && m->work && m->counts;
    }
    return ok ? OK : fail(err, E_NOMEM, "no memory for sampling");
}

static void close_samplers(engine *e)
{
    for (uint32_t i = 0; i < e->n_samplers; i++) {
        mem_free(e->samplers[i].candidates);
        mem_free(e->samplers[i].work);
        mem_free(e->samplers[i].counts);
    }
    mem_free(e->samplers);
}

static status open_scratch(engine *e, const plan *p, error *err)
{
    size_t n = p->spec.n_vocab;
    e->rows = mem_array(e->batch, sizeof *e->rows);
    e->step = mem_array(e->batch, sizeof *e->step);
    e->which = mem_array(e->batch, sizeof *e->which);
    e->logits = mem_array(e->logit_rows, sizeof *e->logits);
    if (!e->rows || !e->step || !e->which || !e->logits)
        return fail(err, E_NOMEM, "no memory for sampling");
    status s = open_samplers(e, samplers_of(p), n, err);
    for (int i = 0; !s && i < MODEL_KINDS; i++)
        s = kv_open(&e->kv[i], p->budget.pages[i].n_pages, p->budget.pages[i].page_bytes, err);
    if (!s)
        s = lookup_open(&e->lookup, p->run.context, err);
    if (!s)
        s = prefix_open(&e->prefix, p->budget.n_pages, err);
    if (!s && p->o.slices)
        s = slice_open(e, &p->run, err);
    return s ? s : model_run_open(&e->run, e->model, &e->k, e->pool, &p->run, err);
}

static void fill_info(engine *e, const plan *p)
{
    e->info = (engine_info){
        .arch = e->arch,
        .name = e->name,
        .file_type = quant_name(p->sizes.main_type),
        .isa = e->k.level,
        .n_params = p->sizes.n_params,
        .context_train = p->spec.context_train,
        .context = p->run.context,
        .n_vocab = p->spec.n_vocab,
        .n_embd = p->spec.n_embd,
        .n_layers = p->spec.n_layers,
        .n_threads = p->o.n_threads,
        .exact = p->o.exact,
        .is_encoder = p->spec.is_encoder,
        .kv_type = p->o.kv_type,
        .numerics = engine_numerics(),
    };
}

status engine_open(engine **out, struct gguf *file, const engine_options *o, error *err)
{
    plan p;
    engine *e = NULL;
    status s = plan_make(&p, file, o, err);
    if (!s)
        s = check_budget(&p, file, o, err);
    if (s)
        goto out;
    e = mem_zero(sizeof *e);
    if (!e) {
        s = fail(err, E_NOMEM, "no memory for an engine");
        goto out;
    }
    e->budget = p.budget;
    e->mem_bytes = p.o.mem_bytes;
    e->grammars = p.o.grammars;
    e->batch = p.run.batch;
    e->logit_rows = p.run.logit_rows;
    kernels_init(&e->k, p.cpu);
    s = read_texts(e, file, err);
    if (!s)
        s = open_vocab(e, file, err);
    if (!s)
        s = pool_open(&e->pool, p.o.n_threads, err);
    if (!s)
        s = model_open(&e->model, file, p.o.exact, e->pool, p.o.progress, p.o.user, err);
    if (!s)
        s = open_scratch(e, &p, err);
    if (!s)
        fill_info(e, &p);
out:
    gguf_close(&file);
    if (s)
        engine_close(&e);
    else
        *out = e;
    return s;
}

void engine_close(engine **ep)
{
    if (!ep || !*ep)
        return;
    engine *e = *ep;
    model_run_close(&e->run);
    slice_close(e);
    close_samplers(e);
    model_close(&e->model);
    pool_close(&e->pool);
    grammar_vocab_close(&e->grammar_vocab);
    vocab_close(&e->vocab);
    for (int i = 0; i < MODEL_KINDS; i++)
        kv_close(&e->kv[i]);
    lookup_close(&e->lookup);
    prefix_close(&e->prefix);
    for (uint32_t i = 0; i < e->n_classes; i++)
        mem_free(e->classes[i]);
    void *blocks[] = { e->classes, e->rows, e->step, e->which, e->logits, e->arch, e->name,
                       e->chat_template };
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        mem_free(blocks[i]);
    mem_free(e);
    *ep = NULL;
}

const engine_info *engine_get_info(const engine *e)
{
    return &e->info;
}

const struct vocab *engine_vocab(const engine *e)
{
    return e->vocab;
}

status engine_grammar_vocab(engine *e, const struct grammar_vocab **out, error *err)
{
    if (!e->vocab)
        return fail(err, E_UNSUPPORTED, "the model has no tokenizer, so no grammar can constrain what it writes");
    const engine_budget *b = &e->budget;
    uint64_t need = b->total_bytes + (e->grammars ? 0 : b->grammar_bytes);
    status st = OK;
    if (!e->grammar_vocab && e->mem_bytes && need > e->mem_bytes) {
        char t[3][24];
        st = fail(err, E_NOFIT, "no grammar can constrain an answer in %s: the model takes %s, and its vocabulary as "
                  "grammars need it another %s", str_human_bytes(t[0], e->mem_bytes),
                  str_human_bytes(t[1], b->total_bytes), str_human_bytes(t[2], b->grammar_bytes));
    } else if (!e->grammar_vocab) {
        st = grammar_vocab_open(&e->grammar_vocab, e->vocab, err);
    }
    if (!st)
        *out = e->grammar_vocab;
    return st;
}

const char *engine_chat_template(const engine *e)
{
    return e->chat_template;
}

const engine_budget *engine_memory(const engine *e)
{
    return &e->budget;
}

void engine_forget(engine *e, const char *scope)
{
    prefix_forget(e, scope);
}

uint32_t engine_batch(const engine *e)
{
    return e->batch;
}

uint32_t engine_logit_rows(const engine *e)
{
    return e->logit_rows;
}
