/* libFuzzer over everything that opens a model: any bytes as a GGUF file, planned, and opened and run when the plan is
 * small. Seeds: the tiny models of tests/engine (build/tests/engine/tiny*.gguf).
 * modules: base plat quant gguf kernels token chat model engine */
#include <stdint.h>

#include "engine/engine.h"
#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SMALL = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gguf *g = NULL;
    engine *e = NULL;
    session *s = NULL;
    engine_options o;
    engine_budget b;
    const float *logits;
    const int32_t tokens[] = { 0, 0, 0 };
    engine_options_init(&o);
    o.n_threads = 1;
    o.context = 70;
    o.batch = 4;
    if (gguf_parse(&g, data, size, size, "fuzz", NULL) != OK)
        return 0;
    if (engine_plan(g, &o, &b, NULL) != OK || b.total_bytes > SMALL) {
        gguf_close(&g);
        return 0;
    }
    if (engine_open(&e, g, &o, NULL) == OK && session_open(&s, e, NULL) == OK)
        (void)!session_feed(s, tokens, 3, &logits, NULL, NULL, NULL);
    session_close(&s);
    engine_close(&e);
    return 0;
}
