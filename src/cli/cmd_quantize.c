/* cmd_quantize.c: `hearth quantize IN OUT.gguf --type T`: a model file in another type of weights. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "cli/quantize_source.h"
#include "pack/quantize.h"
#include "plat/file.h"

static const usage page = {
    "hearth quantize --type TYPE [OPTION]... MODEL OUT.gguf",
    "Writes MODEL with its matrices in another type, each by the plain encoder of that type; norms, biases and the\n"
    "other small tensors stay as they are. Begin with an F16, BF16 or F32 file: what a quantised one has lost is not\n"
    "found again. How much was lost: hearth compare MODEL OUT.gguf. MODEL may also be what hearth import reads: a\n"
    "folder as Hugging Face keeps it, or its weights file.\n"
    "types, and bits per weight: q4_0 4.5, q4_1 5, q5_0 5.5, q5_1 6, q8_0 8.5, q2_k 2.6, q3_k 3.4, q4_k 4.5,\n"
    "q5_k 5.5, q6_k 6.6, iq4_nl 4.5, iq4_xs 4.25, mxfp4 4.25, f16, bf16, f32\n"
    "\n"
    "example:\n"
    "  hearth quantize --type q4_k model-f16.gguf model-q4_k.gguf\n",
};

static bool show(void *user, const char *phase, uint64_t done, uint64_t total)
{
    progress_show(user, phase, done, total);
    return false;
}

static void print_report(const char *to, const pack_report *r)
{
    char before[24], after[24];
    printf("%s: %s, %u of %u tensors encoded, ", to, r->type, r->n_encoded, r->n_tensors);
    if (r->n_fallback)
        printf("%u in a fall-back type (rows that are no whole blocks of %s), ", r->n_fallback, r->type);
    printf("%s -> %s, %.2f bits per weight\n", str_human_bytes(before, r->source_bytes),
           str_human_bytes(after, r->bytes), r->n_params ? 8.0 * (double)r->bytes / (double)r->n_params : 0.0);
}

static int print_json(const char *to, const pack_report *r)
{
    js *o = js_object();
    js_set(o, "file", js_new_string(to));
    js_set(o, "type", js_new_string(r->type));
    js_set(o, "source_type", js_new_string(r->source_type));
    js_set(o, "requantized", js_new_bool(r->requantized));
    js_set(o, "tensors", js_new_int(r->n_tensors));
    js_set(o, "encoded", js_new_int(r->n_encoded));
    js_set(o, "fallback", js_new_int(r->n_fallback));
    js_set(o, "kept", js_new_int(r->n_kept));
    js_set(o, "source_bytes", js_new_int((int64_t)r->source_bytes));
    js_set(o, "bytes", js_new_int((int64_t)r->bytes));
    js_set(o, "params", js_new_int((int64_t)r->n_params));
    return cli_print_json(o, "quantize");
}

int cmd_quantize(int argc, char **argv)
{
    pack_options o = { 0 };
    int64_t threads = 0;
    bool json = false;
    const char *calibrate = NULL;
    double damping = 0.05;
    int64_t way = 2, tokens = 0;
    buf text = BUF_INIT(64 << 20);
    const option options[] = {
        { "type", 0, OPTION_TEXT, &o.type, "TYPE", "of the matrices (see above)" },
        { "output-type", 0, OPTION_TEXT, &o.output_type, "TYPE",
          "of the matrix that makes the logits (default: as the others)" },
        { "calibrate", 0, OPTION_TEXT, &calibrate, "FILE", "text to calibrate with" },
        { "damping", 0, OPTION_FLOAT, &damping, "X", "of feedback" },
        { "tokens", 0, OPTION_INT, &tokens, "N", "of it" },
        { "size", 0, OPTION_BYTES, &o.size, "BYTES", "of the file" },
        { "way", 0, OPTION_INT, &way, "N", "0 plain 1 search 2 feedback" },
        { "threads", 't', OPTION_INT, &threads, "N", "threads (default: the physical cores)" },
        { "force", 'f', OPTION_FLAG, &o.overwrite, NULL, "replace OUT.gguf if it is there" },
        { "json", 0, OPTION_FLAG, &json, NULL, "what was written as JSON" },
    };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 2)
        return usage_error("quantize", "a MODEL and OUT.gguf are needed");
    if (!o.type && !o.size)
        return usage_error("quantize", "--type TYPE is needed, such as --type q4_k");
    if (threads < 0 || threads > 256)
        return usage_error("quantize", "--threads must be from 1 to 256");
    error err = { 0 };
    o.n_threads = (int)threads;
    o.way = (encoder_way)way;
    o.text_name = calibrate;
    o.damping = (float)damping;
    o.tokens = tokens ? (uint64_t)tokens : 16384;
    if (calibrate && file_slurp(calibrate, &text, &err))
        return report("quantize", &err);
    o.text = text.data;
    o.text_bytes = text.len;
    progress_line bar;
    progress_init(&bar);
    o.progress = show;
    o.user = &bar;
    pack_report r;
    quantize_source source;
    load_offline();
    status s = quantize_source_open(&source, argv[1], argv[2], o.overwrite, &err);
    if (!s)
        s = pack_quantize(source.path, argv[2], &o, &r, &err);
    quantize_source_close(&source);
    progress_end(&bar);
    if (s)
        return report("quantize", &err);
    if (r.requantized)
        fprintf(stderr, "note: %s is quantised already (%s): what that lost stays lost, and %s adds to it\n", argv[1],
                r.source_type, r.type);
    if (json)
        return print_json(argv[2], &r);
    print_report(argv[2], &r);
    return EXIT_OK;
}
