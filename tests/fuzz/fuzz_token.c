/* libFuzzer over vocabularies and text: the input describes a small vocabulary (kind, token texts, types, scores,
 * merges, flags, a normaliser), written as a GGUF header and opened, and a text to encode and decode.
 * Held: ids exist, no control token comes out of plain text, decoded text is valid UTF-8, encoding twice is the same.
 *
 * Input: u8 kind and pre-tokeniser, u8 flags, then fields ended by a byte 0: tokens (separated by byte 1, each with a
 * leading type character), merges (separated by byte 1), (Unigram: u8 k, 4 k bytes of normaliser,) template; the rest
 * is text.
 * modules: base plat quant gguf token chat */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "chat/chat.h"
#include "gguf/gguf.h"
#include "token/pretok.h"
#include "token/vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_u32(buf *b, uint32_t v) { buf_add(b, &v, 4); }
static void put_u64(buf *b, uint64_t v) { buf_add(b, &v, 8); }
static void put_str(buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    buf_add(b, s, n);
}
static void put_key(buf *b, const char *key, gguf_type type)
{
    put_str(b, key, strlen(key));
    put_u32(b, type);
}
static void put_array(buf *b, const char *key, gguf_type type, uint64_t n)
{
    put_key(b, key, GGUF_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
}

/* Takes bytes up to `end` off the front of s. */
static span take(span *s, char end)
{
    const char *e = memchr(s->p, end, s->n);
    span t = { s->p, e ? (size_t)(e - s->p) : s->n };
    size_t used = t.n + (e ? 1 : 0);
    s->p += used;
    s->n -= used;
    return t;
}

static size_t count(span s)
{
    size_t n = 0;
    while (s.n) {
        take(&s, 1);
        n++;
    }
    return n;
}

enum { TOKENS, SCORES, TYPES };
static void put_tokens(buf *b, span list, int what, bool bytes, bool byte_level)
{
    if (bytes)
        for (int i = 0; i < 256; i++) {
            char text[8] = "<0x00>";
            text[3] = "0123456789ABCDEF"[i >> 4];
            text[4] = "0123456789ABCDEF"[i & 15];
            if (what == SCORES)
                put_u32(b, 0);
            else if (what == TYPES)
                put_u32(b, byte_level ? VOCAB_NORMAL : VOCAB_BYTE);
            else if (byte_level && i > 32 && i < 127)
                put_str(b, (char[]){ (char)i }, 1);
            else
                put_str(b, text, 6);
        }
    for (int k = 0; list.n; k++) {
        span t = take(&list, 1);
        unsigned char head = t.n ? (unsigned char)t.p[0] : 0;
        float score = -(float)(head & 15) - (float)(k % 7);
        if (what == TOKENS)
            put_str(b, t.n ? t.p + 1 : "", t.n ? t.n - 1 : 0);
        else if (what == TYPES)
            put_u32(b, head % 8);
        else
            buf_add(b, &score, 4);
    }
}

static void put_flag(buf *b, const char *key, bool on)
{
    put_key(b, key, GGUF_BOOL);
    buf_char(b, on);
}

static bool make_file(buf *b, unsigned kind, unsigned flags, span tokens, span merges, span charsmap)
{
    static const char *const models[] = { "gpt2", "llama", "t5", "bert", "gemma4" };
    const char *model = models[kind % 5];
    bool bytes = flags & 1, byte_level = kind % 5 == 0;
    size_t n = count(tokens) + (bytes ? 256 : 0);
    const pretok_row *row = &pretok_table[(kind / 5) % pretok_table_rows];
    buf_add(b, "GGUF\3\0\0\0", 8);
    put_u64(b, 0);
    put_u64(b, 13);
    put_key(b, "tokenizer.ggml.model", GGUF_STR);
    put_str(b, model, strlen(model));
    put_key(b, "tokenizer.ggml.pre", GGUF_STR);
    put_str(b, row->names, strcspn(row->names, " "));
    put_array(b, "tokenizer.ggml.tokens", GGUF_STR, n);
    put_tokens(b, tokens, TOKENS, bytes, byte_level);
    put_array(b, "tokenizer.ggml.scores", GGUF_F32, n);
    put_tokens(b, tokens, SCORES, bytes, byte_level);
    put_array(b, "tokenizer.ggml.token_type", GGUF_I32, n);
    put_tokens(b, tokens, TYPES, bytes, byte_level);
    put_array(b, "tokenizer.ggml.merges", GGUF_STR, count(merges));
    for (span m = merges; m.n;) {
        span one = take(&m, 1);
        put_str(b, one.p, one.n);
    }
    put_array(b, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, charsmap.n);
    buf_add(b, charsmap.p, charsmap.n);
    put_flag(b, "tokenizer.ggml.add_bos_token", flags & 2);
    put_flag(b, "tokenizer.ggml.add_eos_token", flags & 4);
    put_flag(b, "tokenizer.ggml.add_space_prefix", flags & 8);
    put_flag(b, "tokenizer.ggml.remove_extra_whitespaces", flags & 16);
    put_key(b, "tokenizer.ggml.unknown_token_id", GGUF_U32);
    put_u32(b, n > 3 ? 3 : 0);
    put_key(b, "tokenizer.ggml.bos_token_id", GGUF_U32);
    put_u32(b, flags & 32 ? 1 : UINT32_MAX);
    while (b->len % 32 && !b->failed)
        buf_char(b, 0);
    return !b->failed;
}

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void run(const vocab *v, span text, unsigned flags)
{
    error e;
    token_list a = TOKEN_LIST_INIT(1 << 20), b = TOKEN_LIST_INIT(1 << 20);
    unsigned how = flags >> 6;
    if (!vocab_encode(v, text.p, text.n, how, &a, &e) && !vocab_encode(v, text.p, text.n, how, &b, &e)) {
        check(a.n == b.n && (!a.n || !memcmp(a.ids, b.ids, a.n * sizeof *a.ids)));
        buf out = BUF_INIT(1 << 24);
        vocab_decoder d;
        vocab_decoder_init(&d, v, flags & 1, flags & 2);
        for (size_t i = 0; i < a.n; i++) {
            check(a.ids[i] >= 0 && a.ids[i] < vocab_n_tokens(v));
            check(how || !vocab_is_control(v, a.ids[i]) || a.ids[i] == vocab_unk(v));
            vocab_decode(&d, a.ids[i], &out);
        }
        vocab_decode_end(&d, &out);
        check(out.failed || utf8_valid(buf_text(&out), out.len));
        buf_clear(&out);
    }
    token_list_clear(&a);
    token_list_clear(&b);
}

static void run_chat(const vocab *v, span source, span text)
{
    chat *c = NULL;
    error e;
    char *template_text = mem_strndup(source.p, source.n), *content = mem_strndup(text.p, text.n);
    if (template_text && content && !chat_open(&c, template_text, v, &e)) {
        js *m = js_array();
        (void)!chat_add(m, "user", content);
        (void)!chat_add(m, "assistant", content);
        chat_request q = { .messages = m, .add_generation_prompt = true };
        token_list t = TOKEN_LIST_INIT(1 << 20);
        buf out = BUF_INIT(1 << 24);
        if (!chat_render(c, &q, &t, &e))
            (void)!chat_render_text(c, &q, &out, &e);
        js_free(m);
        buf_clear(&out);
        token_list_clear(&t);
    }
    chat_close(&c);
    mem_free(template_text);
    mem_free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    unsigned kind = data[0], flags = data[1];
    span s = { (const char *)data + 2, size - 2 };
    span tokens = take(&s, 0), merges = take(&s, 0), charsmap = { s.p, 0 };
    if (kind % 5 == 2 && s.n) {
        charsmap.n = 4 * (size_t)(unsigned char)s.p[0];
        s.p++;
        s.n--;
        charsmap = (span){ s.p, charsmap.n < s.n ? charsmap.n : s.n };
        s.p += charsmap.n;
        s.n -= charsmap.n;
    }
    span source = take(&s, 0);
    buf b = BUF_INIT(1 << 24);
    gguf *g = NULL;
    vocab *v = NULL;
    error e;
    if (make_file(&b, kind, flags, tokens, merges, charsmap) && !gguf_parse(&g, b.data, b.len, b.len, "fuzz", &e) &&
        !vocab_open(&v, g, &e)) {
        gguf_close(&g);
        buf_clear(&b);
        run(v, s, flags);
        run_chat(v, source, s);
    }
    vocab_close(&v);
    gguf_close(&g);
    buf_clear(&b);
    return 0;
}
