/* cmd_quantize.c: `hearth quantize IN OUT.gguf --type T | --size BYTES | --fit`: a model file in other types of
 * weights. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "cli/quantize_fit.h"
#include "cli/quantize_source.h"
#include "cli/quantize_tasks.h"
#include "pack/quantize.h"
#include "pack/texts.h"
#include "plat/file.h"

static const usage page = {
    "hearth quantize (--type TYPE | --size BYTES | --fit [--ctx N]) [OPTION]... MODEL OUT.gguf",
    "Writes MODEL with smaller weights, as a GGUF file for any program. --type: all matrices in one type, or as in\n"
    "a standard mix. --size: of all files of at most that size the best one that is found, each matrix in the type\n"
    "that it bears. --fit: the same for the largest file that runs here. Norms, biases and other small tensors stay\n"
    "as they are. What weights are multiplied with is looked at first, while the model reads text: --calibrate\n"
    "FILE, or what it writes itself, asked by your tasks among others. Begin with an F16, BF16 or F32 file: what a\n"
    "quantised one has lost is not found again. How much was lost: hearth compare MODEL OUT.gguf. MODEL may also be\n"
    "what hearth import reads: a folder as Hugging Face keeps it, or its weights file. An interrupted run goes on\n"
    "by the same command.\n"
    "types, and bits per weight: q2_k 2.6, q3_k 3.4, mxfp4 4.25, iq4_xs 4.25, iq4_nl 4.5, q4_0 4.5, q4_k 4.5, q4_1\n"
    "5, q5_0 5.5, q5_k 5.5, q5_1 6, q6_k 6.6, q8_0 8.5, f16, bf16, f32\n"
    "mixes: q2_k_s, q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s, q5_k_m\n"
    "\n"
    "examples:\n"
    "  hearth quantize --size 120M --calibrate text.txt model-f16.gguf model.gguf\n"
    "  hearth quantize --type q4_k_m model-f16.gguf model-q4_k_m.gguf\n",
};

enum { TEXT_BYTES_MAX = 64 << 20, TOKENS = 16384, ROWS_OF_MAX = 1 << 20 };
#define DAMPING 0.3

typedef struct call {
    pack_options o;
    bool fit, plain, no_feedback, json;
    int64_t context, threads, tokens, rows_of; /* context, tokens -1: not given */
    uint64_t mem;
    double damping; /* negative: not given */
    const char *calibrate;
    option_list tasks;
    const char *model, *out;
    buf text;
    quantize_tasks prompts;
    quantize_source source;
    progress_line bar;
    pack_report made;
} call;

/* ---- an interrupt: what is done is kept ---- */

static volatile sig_atomic_t stop_asked;
static struct sigaction before; /* the second one is whose it was */

static void on_interrupt(int sig)
{
    stop_asked = 1;
    sigaction(sig, &before, NULL);
}

static void catch_interrupt(void)
{
    const struct sigaction now = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
    sigaction(SIGINT, NULL, &before);
    if (before.sa_handler != SIG_IGN)
        sigaction(SIGINT, &now, NULL);
}

static bool show(void *user, const char *phase, uint64_t done, uint64_t total)
{
    progress_show(user, phase, done, total);
    return stop_asked;
}

/* ---- the command line ---- */

/* Options that say nothing where there is no text to look at, or none of one's own. */
static const char *without_text(const call *c)
{
    return c->calibrate ? "--calibrate" : c->tasks.n ? "--task" : c->tokens >= 0 ? "--tokens" :
           c->o.save_imatrix ? "--save-imatrix" : c->damping >= 0 ? "--damping" :
           c->no_feedback ? "--no-feedback" : NULL;
}

static int check_pairs(const call *c)
{
    const char *other = without_text(c);
    if (c->plain && (other || c->o.imatrix))
        return usage_error("quantize", "--plain looks at no text: %s has no use with it", other ? other : "--imatrix");
    if (c->o.imatrix && other)
        return usage_error("quantize", "--imatrix goes without text: %s has no use with it", other);
    if (!c->o.type && (c->plain || c->o.imatrix))
        return usage_error("quantize", "types are found by text: %s goes with --type",
                           c->plain ? "--plain" : "--imatrix");
    if (c->calibrate && c->tasks.n)
        return usage_error("quantize", "--task is for the model's own text: not with --calibrate");
    if (c->no_feedback && c->damping >= 0)
        return usage_error("quantize", "--damping is of the feedback that --no-feedback forbids");
    if (c->o.type && c->o.measured)
        return usage_error("quantize", "--measured goes with --size or --fit");
    if (!c->o.type && c->o.output_type)
        return usage_error("quantize", "--output-type goes with --type");
    if (!c->fit && (c->context >= 0 || c->mem))
        return usage_error("quantize", "%s goes with --fit", c->mem ? "--mem" : "--ctx");
    return EXIT_OK;
}

static int check_numbers(const call *c)
{
    if (c->threads < 0 || c->threads > 256)
        return usage_error("quantize", "--threads must be from 1 to 256");
    if (c->context == 0 || c->context > 1 << 24)
        return usage_error("quantize", "--ctx must be from 1 to %d", 1 << 24);
    if (c->tokens >= 0 && (c->tokens < TEXTS_LEAST_TOKENS || c->tokens > TEXTS_MOST_TOKENS))
        return usage_error("quantize", "--tokens must be from %d to %d", TEXTS_LEAST_TOKENS, TEXTS_MOST_TOKENS);
    if (c->rows_of < 0 || c->rows_of > ROWS_OF_MAX)
        return usage_error("quantize", "--rows-of must be from 1 to %d", ROWS_OF_MAX);
    if (!(c->o.speed >= 0 && c->o.speed <= 100) || (c->o.speed > 0 && c->o.type))
        return usage_error("quantize", "--speed must be from 0 to 100, and goes with --size or --fit");
    if (c->damping == 0 || c->damping > 10)
        return usage_error("quantize", "--damping must be above 0 and at most 10");
    return EXIT_OK;
}

static int check(const call *c, size_t n_words)
{
    error err = { 0 };
    if (n_words != 2)
        return usage_error("quantize", "a MODEL and OUT.gguf are needed");
    if ((c->o.type != NULL) + (c->o.size > 0) + c->fit != 1)
        return usage_error("quantize", "one of --type TYPE, --size BYTES and --fit is needed, such as --type q4_k");
    if (c->o.type && pack_check_type(c->o.type, &err))
        return usage_error("quantize", "--type: %s", err.text);
    if (c->o.output_type && pack_check_type(c->o.output_type, &err))
        return usage_error("quantize", "--output-type: %s", err.text);
    int code = check_pairs(c);
    return code ? code : check_numbers(c);
}

/* ---- the run ---- */

static status read_text(call *c, error *err)
{
    if (c->calibrate) {
        status s = file_slurp(c->calibrate, &c->text, err);
        c->o.text = c->text.data;
        c->o.text_bytes = c->text.len;
        if (!s && !c->text.len)
            s = fail(err, E_RANGE, "%s is empty", c->calibrate);
        return s;
    }
    if (c->plain || c->o.imatrix)
        return OK;
    status s = quantize_tasks_read(&c->prompts, &c->tasks, err);
    c->o.tasks = c->prompts.spans;
    c->o.n_tasks = c->prompts.n;
    return s;
}

static void set_options(call *c)
{
    c->o.n_threads = (int)c->threads;
    c->o.rows_of = (uint32_t)c->rows_of;
    c->o.way = c->plain ? ENCODER_PLAIN : c->no_feedback ? ENCODER_SEARCH : ENCODER_FEEDBACK;
    c->o.damping = (float)(c->damping > 0 ? c->damping : DAMPING);
    c->o.tokens = c->tokens > 0 ? (uint64_t)c->tokens : TOKENS;
    c->o.text_name = c->calibrate;
    c->o.progress = show;
    c->o.user = &c->bar;
}

static status run(call *c, error *err)
{
    set_options(c);
    status s = read_text(c, err);
    if (s)
        return s;
    load_offline();
    s = quantize_source_open(&c->source, c->model, c->out, c->o.overwrite, err);
    catch_interrupt(); /* what was imported goes when the process is ended before, as always */
    c->o.passing = c->source.made != NULL;
    if (!s && c->fit)
        s = quantize_fit_bytes(c->source.path, c->context > 0 ? (uint32_t)c->context : 0, c->mem, &c->o.data_bytes,
                               err);
    if (!s)
        s = pack_quantize(c->source.path, c->out, &c->o, &c->made, err);
    progress_end(&c->bar);
    return s;
}

/* ---- what came of it ---- */

static double bits(const pack_report *r)
{
    return r->n_params ? 8.0 * (double)r->bytes / (double)r->n_params : 0.0;
}

static void print_losses(const pack_report *r)
{
    const char *unit = r->is_encoder ? "1 - cosine of embeddings" : "divergence in nats a token";
    if (r->expected > 0)
        printf("expected %s %.4g\n", unit, r->expected);
    if (r->ns_token > 0)
        printf("products of a decoded token: %.2f ms here\n", r->ns_token * 1e-6);
    if (r->measured > 0)
        printf("measured %s %.4g, on tokens held out\n", unit, r->measured);
}

static void print_report(const call *c)
{
    const pack_report *r = &c->made;
    char before_text[24], after[24];
    printf("%s: %s, %u of %u tensors encoded, ", c->out, r->type, r->n_encoded, r->n_tensors);
    if (r->n_fallback)
        printf("%u in a fall-back type (rows that are no whole blocks of %s), ", r->n_fallback, r->type);
    printf("%s -> %s, %.2f bits per weight\n", str_human_bytes(before_text, r->source_bytes),
           str_human_bytes(after, r->bytes), bits(r));
    if (c->rows_of)
        printf("matrices whose rows are no multiple of %lld stayed as they were\n", (long long)c->rows_of);
    if (r->n_calibration)
        printf("calibrated by %llu tokens of %s\n", (unsigned long long)r->n_calibration, c->made.text);
    if (r->n_grid)
        printf("%u matrices lie on a type's grid already, where that is kept exactly\n", r->n_grid);
    if (r->n_resumed)
        printf("%u tensors were there from an earlier run\n", r->n_resumed);
    print_losses(r);
}

static js *known_or_null(double x)
{
    return x > 0 ? js_new_double(x) : js_null();
}

static int print_json(const call *c)
{
    const pack_report *r = &c->made;
    js *o = js_object();
    js_set(o, "file", js_new_string(c->out));
    js_set(o, "type", js_new_string(r->type));
    js_set(o, "source_type", js_new_string(r->source_type));
    js_set(o, "requantized", js_new_bool(r->requantized));
    js_set(o, "tensors", js_new_int(r->n_tensors));
    js_set(o, "encoded", js_new_int(r->n_encoded));
    js_set(o, "fallback", js_new_int(r->n_fallback));
    js_set(o, "kept", js_new_int(r->n_kept));
    js_set(o, "on_grid", js_new_int(r->n_grid));
    js_set(o, "resumed", js_new_int(r->n_resumed));
    js_set(o, "source_bytes", js_new_int((int64_t)r->source_bytes));
    js_set(o, "bytes", js_new_int((int64_t)r->bytes));
    js_set(o, "params", js_new_int((int64_t)r->n_params));
    js_set(o, "bits_per_weight", js_new_double(bits(r)));
    js_set(o, "calibration", r->n_calibration ? js_new_string(c->made.text) : js_null());
    js_set(o, "calibration_tokens", js_new_int((int64_t)r->n_calibration));
    js_set(o, "not_calibrated", r->not_calibrated[0] ? js_new_string(r->not_calibrated) : js_null());
    js_set(o, "token_ns", known_or_null(r->ns_token));
    js_set(o, "expected_divergence", known_or_null(r->expected));
    js_set(o, "measured_divergence", known_or_null(r->measured));
    return cli_print_json(o, "quantize");
}

static int tell(const call *c)
{
    const pack_report *r = &c->made;
    if (r->requantized)
        fprintf(stderr, "note: %s is quantised already (%s): what that lost stays lost, and %s adds to it\n", c->model,
                r->source_type, r->type);
    if (r->not_calibrated[0])
        fprintf(stderr, "note: no text could be looked at, so all channels count alike: %s\n", r->not_calibrated);
    if (c->json)
        return print_json(c);
    print_report(c);
    return EXIT_OK;
}

static bool is_beside(const char *out, const char *suffix)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s%s", out, suffix);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

static int tell_stopped(const call *c)
{
    bool kept = is_beside(c->out, ".part") || is_beside(c->out, ".part.measured") || c->o.measured;
    fprintf(stderr, "hearth quantize: stopped%s\n",
            kept && !c->o.passing ? "; the same command goes on where it was" : "");
    return EXIT_NO;
}

static int run_call(call *c)
{
    error err = { 0 };
    progress_init(&c->bar);
    status s = run(c, &err);
    int code = s == E_CANCELLED ? tell_stopped(c) : s ? report("quantize", &err) : tell(c);
    quantize_source_close(&c->source);
    quantize_tasks_clear(&c->prompts);
    buf_clear(&c->text);
    return code;
}

int cmd_quantize(int argc, char **argv)
{
    call *c = mem_zero(sizeof *c);
    size_t n_words;
    int code;
    if (!c)
        return report("quantize", &(error){ E_NOMEM, "no memory" });
    *c = (call){ .context = -1, .tokens = -1, .damping = -1, .source = { .lock = -1 } };
    c->text = (buf)BUF_INIT(TEXT_BYTES_MAX);
    const option options[] = {
        { "type", 0, OPTION_TEXT, &c->o.type, "TYPE", "a type or a mix (see above)" },
        { "size", 0, OPTION_BYTES, &c->o.size, "BYTES", "most bytes of the file; types are found" },
        { "fit", 0, OPTION_FLAG, &c->fit, NULL, "the largest file that hearth run has memory for; types are found" },
        { "ctx", 'c', OPTION_INT, &c->context, "N",
          "with --fit: most tokens of a conversation (default: the model's, to 8192)" },
        { "mem", 0, OPTION_BYTES, &c->mem, "SIZE", "with --fit: of this much memory (default: what is free)" },
        { "calibrate", 0, OPTION_TEXT, &c->calibrate, "FILE", "text like what the model will read, to 64 MiB" },
        { "tokens", 0, OPTION_INT, &c->tokens, "N", "of text that are looked at (default 16384)" },
        { "task", 0, OPTION_LIST, &c->tasks, "TASK",
          "what the model's own text is about; may be given again (default: all tasks here)" },
        { "speed", 0, OPTION_FLOAT, &c->o.speed, "X",
          "with --size, --fit: per cent of divergence that a per cent of decoding time is worth (default 0)" },
        { "measured", 0, OPTION_TEXT, &c->o.measured, "FILE",
          "with --size, --fit: keep what was measured there, and do not measure again what it has" },
        { "imatrix", 0, OPTION_TEXT, &c->o.imatrix, "FILE", "importances from another program, instead of text" },
        { "save-imatrix", 0, OPTION_TEXT, &c->o.save_imatrix, "FILE", "write the importances for other programs" },
        { "plain", 0, OPTION_FLAG, &c->plain, NULL, "each type's plain encoder, as fast as the disk; no text" },
        { "no-feedback", 0, OPTION_FLAG, &c->no_feedback, NULL, "later columns do not make up for earlier ones" },
        { "damping", 0, OPTION_FLOAT, &c->damping, "X", "how little feedback believes in its text (default 0.3)" },
        { "rows-of", 0, OPTION_INT, &c->rows_of, "N", "leave matrices whose rows are no multiple of N as they are" },
        { "output-type", 0, OPTION_TEXT, &c->o.output_type, "TYPE",
          "with --type: of the matrix that makes the logits (default: as the others)" },
        { "threads", 't', OPTION_INT, &c->threads, "N", "threads (default: the physical cores)" },
        { "force", 'f', OPTION_FLAG, &c->o.overwrite, NULL, "replace OUT.gguf if it is there" },
        { "json", 0, OPTION_FLAG, &c->json, NULL, "what was written as JSON" },
    };
    bool go_on = options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code);
    if (go_on)
        code = check(c, n_words);
    if (go_on && !code) {
        c->model = argv[1];
        c->out = argv[2];
        code = run_call(c);
    }
    mem_free(c);
    return code;
}
