/* libFuzzer over `hearth import`'s readers: any bytes as safetensors, as ONNX, and as the texts beside them. What is
 * accepted must be readable from the first row to the last. The first byte says which.
 * modules: base plat quant gguf import */
#include <stdint.h>

#include "import/import_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile float sink;

static void read_rows(const import_weights *w)
{
    enum { MOST = 1 << 12 };
    float row[MOST];
    for (size_t i = 0; i < w->n; i++) {
        const import_tensor *t = &w->list[i];
        if (t->kind == IMPORT_OTHER || !t->n_dims || t->cols > MOST || t->rows > MOST)
            continue;
        for (uint64_t r = 0; r < t->rows; r++) {
            import_row(t, r, row);
            sink = t->cols ? row[t->cols - 1] : 0;
        }
    }
}

static void read_weights(bool onnx, const uint8_t *data, size_t size)
{
    import_weights w = { .memory = ARENA_INIT(IMPORT_ARENA), .file = "fuzz" };
    if ((onnx ? import_onnx : import_safetensors)(&w, data, size, NULL) == OK)
        read_rows(&w);
    arena_clear(&w.memory);
}

/* Half of the bytes are a tokenizer, the rest a config. */
static void read_texts(bool lines, const uint8_t *data, size_t size)
{
    js *tokenizer = NULL, *config = NULL;
    import_vocab v = { 0 };
    bert_config c;
    size_t half = size / 2;
    (void)!js_parse(&tokenizer, (const char *)data, half, "fuzz", 1, NULL);
    (void)!js_parse(&config, (const char *)data + half, size - half, "fuzz", 1, NULL);
    if (lines || tokenizer)
        (void)!import_vocab_read(&v, lines ? NULL : tokenizer, (span){ (const char *)data, size }, config, 40, NULL);
    arena_clear(&v.memory);
    if (config)
        (void)!bert_config_read(&c, config, tokenizer, NULL);
    js_free(tokenizer);
    js_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 2)
        read_texts(data[0] & 1, data + 1, size - 1);
    else
        read_weights(data[0] & 1, data + 1, size - 1);
    return 0;
}
