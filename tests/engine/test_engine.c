/* Invariants of the engine on a small model of random weights, made here; and, as `test_engine logits FILE MODE`, the
 * tool by which the Python tests ask for logits. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

static engine *open_file(const char *path, const engine_options *o)
{
    error err;
    gguf *g = NULL;
    engine *e = NULL;
    if (gguf_open(&g, path, &err) != OK || engine_open(&e, g, o, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return e;
}

/* ---- the tool: token ids (i32) on stdin, logits (f32) of every position on stdout ---- */

static int dump_logits(int argc, char **argv)
{
    enum { MOST = 1 << 16 };
    engine_options o;
    engine_options_init(&o);
    int32_t *tokens = mem_array(MOST, sizeof *tokens);
    uint32_t n = (uint32_t)fread(tokens, sizeof *tokens, MOST, stdin);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "exact"))
            o.exact = true;
        else if (!strcmp(argv[i], "f32kv"))
            o.kv_type = ENGINE_KV_F32;
        else if (!strncmp(argv[i], "context=", 8))
            o.context = (uint32_t)strtoul(argv[i] + 8, NULL, 10);
        else if (!strncmp(argv[i], "batch=", 6))
            o.batch = (uint32_t)strtoul(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "threads=", 8))
            o.n_threads = (int)strtol(argv[i] + 8, NULL, 10);
        else
            o.isa = argv[i];
    }
    engine *e = open_file(argv[2], &o);
    session *s = NULL;
    error err;
    const float *logits;
    size_t n_vocab = engine_get_info(e)->n_vocab;
    engine_row *rows = mem_array(engine_batch(e), sizeof *rows);
    const float **out = mem_array(engine_logit_rows(e), sizeof *out);
    uint32_t most = engine_batch(e) < engine_logit_rows(e) ? engine_batch(e) : engine_logit_rows(e);
    if (session_open(&s, e, &err) != OK)
        return 1;
    for (uint32_t at = 0; at < n;) {
        uint32_t k = 0;
        for (; k < most && at < n; k++, at++)
            rows[k] = (engine_row){ s, tokens[at], at, true };
        if (engine_step(e, rows, k, out, &err) != OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        for (uint32_t i = 0; i < k; i++) {
            logits = out[i];
            fwrite(logits, sizeof *logits, n_vocab, stdout);
        }
    }
    session_close(&s);
    engine_close(&e);
    mem_free(tokens);
    mem_free(rows);
    mem_free(out);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "logits"))
        return dump_logits(argc, argv);
    return 0;
}
