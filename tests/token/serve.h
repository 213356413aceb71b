/* serve.h: a test program that serves one vocabulary on its standard streams, so that test_hf.py can compare it.
 * Request: u32 flags, u32 n, n bytes of text. Answer: u32 k, k ids (i32), u32 m, m bytes of text decoded from them. */
#ifndef TESTS_TOKEN_SERVE_H
#define TESTS_TOKEN_SERVE_H

#include <stdio.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "token/vocab.h"

static inline int serve_failed(const char *what, const error *e)
{
    fprintf(stderr, "%s: %s\n", what, e ? e->text : "");
    return 1;
}

static inline int serve_vocab(const char *path)
{
    error e = { 0 };
    gguf *g = NULL;
    vocab *v = NULL;
    if (gguf_open(&g, path, &e) || vocab_open(&v, g, &e))
        return serve_failed(path, &e);
    gguf_close(&g);
    uint32_t head[2];
    while (fread(head, 4, 2, stdin) == 2) {
        char *text = mem_alloc(head[1] + 1);
        if (!text || fread(text, 1, head[1], stdin) != head[1])
            return serve_failed("short request", NULL);
        token_list ids = TOKEN_LIST_INIT(1 << 24);
        if (vocab_encode(v, text, head[1], head[0], &ids, &e))
            return serve_failed("vocab_encode", &e);
        uint32_t n = (uint32_t)ids.n;
        fwrite(&n, 4, 1, stdout);
        if (ids.n)
            fwrite(ids.ids, 4, ids.n, stdout);
        vocab_decoder d;
        vocab_decoder_init(&d, v, true, true);
        buf out = BUF_INIT(1 << 28);
        for (size_t i = 0; i < ids.n; i++)
            vocab_decode(&d, ids.ids[i], &out);
        vocab_decode_end(&d, &out);
        n = (uint32_t)out.len;
        fwrite(&n, 4, 1, stdout);
        fwrite(buf_text(&out), 1, out.len, stdout);
        fflush(stdout);
        buf_clear(&out);
        token_list_clear(&ids);
        mem_free(text);
    }
    vocab_close(&v);
    return 0;
}

#endif
