/* libFuzzer over `hearth import`'s readers: any bytes as safetensors, as ONNX, as tokenizer.model, and as the texts
 * beside them. What is accepted must be readable from the first row to the last. The first byte says which.
 * modules: base plat quant gguf import
 * libs: -lcrypto */
#include <stdint.h>

#include "import/family_int.h"

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
    import_weights_close(&w);
}

/* A third of the bytes each: a tokenizer, a config, a second config. */
static void read_texts(bool bert, const uint8_t *data, size_t size)
{
    static import_files f;
    static decoder_config decoder;
    import_vocab v = { 0 };
    bert_config c;
    size_t third = size / 3;
    f = (import_files){ 0 };
    (void)!js_parse(&f.tokenizer, (const char *)data, third, "fuzz", 1, NULL);
    (void)!js_parse(&f.config, (const char *)data + third, third, "fuzz", 1, NULL);
    (void)!js_parse(&f.tokenizer_config, (const char *)data + 2 * third, size - 2 * third, "fuzz", 1, NULL);
    f.generation = js_copy(f.tokenizer_config);
    if (bert)
        (void)!import_wordpiece(&v, f.tokenizer, (span){ (const char *)data, size }, f.tokenizer_config, 40, NULL);
    else
        (void)!import_decoder_vocab(&v, &f, 40, NULL);
    import_vocab_close(&v);
    if (f.config) {
        (void)!bert_config_read(&c, f.config, f.tokenizer, NULL);
        (void)!decoder_config_read(&decoder, f.config, f.tokenizer, NULL);
    }
    import_files_close(&f);
}

static void read_pieces(const uint8_t *data, size_t size)
{
    import_files f = { .sentencepiece = { data, size } };
    import_vocab v = { 0 };
    (void)!import_decoder_vocab(&v, &f, 40, NULL);
    import_vocab_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 4)
        read_pieces(data + 1, size - 1);
    else if (data[0] & 2)
        read_texts(!(data[0] & 1), data + 1, size - 1);
    else
        read_weights(data[0] & 1, data + 1, size - 1);
    return 0;
}
