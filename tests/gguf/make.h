/* make.h: small GGUF files for the tests of this folder, byte by byte, so that each field can be wrong. */
#ifndef TESTS_GGUF_MAKE_H
#define TESTS_GGUF_MAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gguf/gguf.h"
#include "quant/quant.h"

static inline void put_u32(buf *b, uint32_t v)
{
    const unsigned char p[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                                 (unsigned char)(v >> 24) };
    buf_add(b, p, 4);
}

static inline void put_u64(buf *b, uint64_t v)
{
    put_u32(b, (uint32_t)v);
    put_u32(b, (uint32_t)(v >> 32));
}

static inline void put_string(buf *b, const char *s)
{
    put_u64(b, strlen(s));
    buf_str(b, s);
}

static inline void put_head(buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    buf_str(b, "GGUF");
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

static inline void put_key(buf *b, const char *key, uint32_t type)
{
    put_string(b, key);
    put_u32(b, type);
}

static inline void put_tensor(buf *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset)
{
    put_string(b, name);
    put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(b, ne[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

static inline void put_padding(buf *b, size_t alignment)
{
    while (b->len % alignment && !b->failed)
        buf_char(b, 0);
}

/* One of everything: 14 keys of every type, three tensors of different types. */
static inline void make_small(buf *b)
{
    static const uint64_t ne1[] = { 32, 3 }, ne2[] = { 4 }, ne3[] = { 256, 1, 2 };
    put_head(b, 3, 3, 14);
    put_key(b, "general.architecture", GGUF_STR);
    put_string(b, "tiny");
    put_key(b, "a.u8", GGUF_U8);
    buf_char(b, (char)200);
    put_key(b, "a.i8", GGUF_I8);
    buf_char(b, (char)-3);
    put_key(b, "a.u16", GGUF_U16);
    buf_add(b, "\x34\xF2", 2);
    put_key(b, "a.i16", GGUF_I16);
    buf_add(b, "\xFE\xFF", 2);
    put_key(b, "a.u32", GGUF_U32);
    put_u32(b, 4000000000u);
    put_key(b, "a.i32", GGUF_I32);
    put_u32(b, (uint32_t)-7);
    put_key(b, "a.f32", GGUF_F32);
    put_u32(b, 0x3FC00000); /* 1.5 */
    put_key(b, "a.bool", GGUF_BOOL);
    buf_char(b, 1);
    put_key(b, "a.u64", GGUF_U64);
    put_u64(b, UINT64_MAX);
    put_key(b, "a.i64", GGUF_I64);
    put_u64(b, (uint64_t)-9);
    put_key(b, "a.f64", GGUF_F64);
    put_u64(b, 0x4004000000000000u); /* 2.5 */
    put_key(b, "b.words", GGUF_ARRAY);
    put_u32(b, GGUF_STR);
    put_u64(b, 3);
    put_string(b, "one");
    put_string(b, "");
    put_string(b, "three");
    put_key(b, "b.numbers", GGUF_ARRAY);
    put_u32(b, GGUF_I32);
    put_u64(b, 2);
    put_u32(b, 5);
    put_u32(b, (uint32_t)-5);
    put_tensor(b, "blk.0.weight", 2, ne1, QUANT_Q8_0, 0);
    put_tensor(b, "norm", 1, ne2, QUANT_F32, 128);
    put_tensor(b, "experts", 3, ne3, QUANT_Q4_K, 160);
    put_padding(b, 32);
    for (size_t i = 0, n = 160 + 2 * 144; i < n; i++)
        buf_char(b, (char)(i % 64));
}

/* A directory of this test's own; made on the first call. */
static inline const char *test_dir(void)
{
    static char dir[64];
    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/hearth-gguf-XXXXXX");
        if (!mkdtemp(dir))
            fail_msg("no temporary directory");
    }
    return dir;
}

static inline char *test_path(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", test_dir(), name);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Reads everything an open file offers; a sanitizer sees what is out of bounds. Returns a checksum. */
static inline uint64_t touch_all(const gguf *g)
{
    uint64_t sum = gguf_version(g) + gguf_alignment(g) + gguf_data_bytes(g);
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        span s;
        for (size_t k = 0; k < v->key.n; k++)
            sum += (unsigned char)v->key.p[k];
        for (uint64_t k = 0; v->type != GGUF_STR && k < v->n; k++)
            sum += gguf_get_u64(v, k) + (gguf_get_f64(v, k) > 0);
        for (gguf_strings it = gguf_strings_of(v); gguf_strings_next(&it, &s);)
            for (size_t k = 0; k < s.n; k++)
                sum += (unsigned char)s.p[k];
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        char shape[96];
        error err;
        sum += strlen(gguf_tensor_shape(t, shape)) + (size_t)gguf_check_rows(g, t, &err);
        for (uint64_t k = 0; t->data && k < t->bytes; k++)
            sum += ((const unsigned char *)t->data)[k];
    }
    return sum;
}

#endif
