/* libFuzzer over the GGUF reader: any bytes, as a whole file and as the prefix of a longer one; what is accepted must
 * be readable from end to end and decode without a step outside its rows.
 * modules: base plat quant gguf */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "quant/quant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void read_keys(const gguf *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        span s;
        if (v->type != GGUF_STR)
            for (uint64_t k = 0; k < v->n; k++)
                sum += gguf_get_u64(v, k) + (gguf_get_f64(v, k) > 1);
        for (gguf_strings it = gguf_strings_of(v); gguf_strings_next(&it, &s);)
            for (size_t k = 0; k < s.n; k++)
                sum += (unsigned char)s.p[k];
        char key[256];
        error err;
        uint32_t u32;
        float f32;
        bool flag;
        if (v->key.n >= sizeof key)
            continue;
        memcpy(key, v->key.p, v->key.n);
        key[v->key.n] = '\0';
        if (gguf_find(g, key) != v)
            abort();
        sum += (size_t)gguf_u32(g, key, &u32, &err) + (size_t)gguf_f32(g, key, &f32, &err) +
               (size_t)gguf_bool(g, key, &flag, &err) + (size_t)gguf_str(g, key, &s, &err) +
               (size_t)gguf_array(g, key, GGUF_I64, 3, &v, &err);
    }
    sink += sum;
}

static void read_tensors(const gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        const quant_traits *traits = quant_find(t->type);
        char shape[96];
        error err;
        sink += strlen(gguf_tensor_shape(t, shape)) + (uint64_t)gguf_check_rows(g, t, &err);
        if (!t->data || !traits->decode)
            continue;
        float values[256];
        const unsigned char *p = t->data;
        for (uint64_t at = 0; at < t->bytes; at += traits->bytes)
            traits->decode(p + at, values, traits->block);
        gguf_release(g, t->data, (size_t)t->bytes);
    }
}

static void use(const uint8_t *data, size_t size, uint64_t file_bytes)
{
    gguf *g = NULL;
    error err = { OK, "" };
    status s = gguf_parse(&g, data, size, file_bytes, "fuzz", &err);
    if (s) {
        if (g || err.code != s || strncmp(err.text, "fuzz: ", 6) != 0)
            abort();
        return;
    }
    read_keys(g);
    read_tensors(g);
    gguf_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    use(data, size, size);
    use(data, size, (uint64_t)size * 2 + 4096);
    return 0;
}
