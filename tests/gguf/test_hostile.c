/* Strangers' files: every wrong field has its sentence; no byte pattern crashes the reader; no allocation failure
 * leaks. */
#include "lib/check.h"

#include "gguf/make.h"

static uint64_t random_state = 7;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static void parse_fails(const buf *b, status wanted, const char *part)
{
    gguf *g = NULL;
    error e;
    status s = gguf_parse(&g, b->data, b->len, b->len, "bad.gguf", &e);
    if (s != wanted || !strstr(e.text, part) || strncmp(e.text, "bad.gguf: ", 10) != 0)
        fail_msg("got %s '%s', wanted %s with '%s'", status_name(s), s ? e.text : "", status_name(wanted), part);
    assert_null(g);
}

static void bytes_fail(const void *bytes, size_t n, status wanted, const char *part)
{
    buf b = BUF_INIT(1 << 16);
    buf_add(&b, bytes, n);
    parse_fails(&b, wanted, part);
    buf_clear(&b);
}

static void other_files_are_recognised(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *bytes, *part;
    } rows[] = {
        { 0, "", "the file is empty" },
        { 2, "GG", "begins with 'GG'" },
        { 20, "\x50\0\0\0\0\0\0\0{\"__metadata_", "safetensors" },
        { 40, "version https://git-lfs.github.com/spec/", "Git LFS pointer" },
        { 20, "<!DOCTYPE html><html", "web page" },
        { 20, "<html><head><title>4", "web page" },
        { 20, "lmgg\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "GGML file" },
        { 20, "tjgg\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "GGJT" },
        { 20, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "PyTorch" },
        { 24, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "zeros" },
        { 20, "{\"error\":\"not found\"", "JSON" },
        { 8, "\x1b[31mred", "begins with '\\x1b[31'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        bytes_fail(rows[i].bytes, rows[i].n, E_FORMAT, rows[i].part);
}

static void versions(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        status code;
        const char *part;
    } rows[] = {
        { 0, E_FORMAT, "version 0" },
        { 1, E_UNSUPPORTED, "GGUF version 1" },
        { 4, E_UNSUPPORTED, "version 4 is newer" },
        { 0x03000000, E_UNSUPPORTED, "other byte order (big endian, version 3)" },
        { 0x02000000, E_UNSUPPORTED, "other byte order" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf b = BUF_INIT(64);
        put_head(&b, rows[i].version, 0, 0);
        parse_fails(&b, rows[i].code, rows[i].part);
        buf_clear(&b);
    }
    for (uint32_t v = 2; v <= 3; v++) {
        buf b = BUF_INIT(64);
        gguf *g = NULL;
        put_head(&b, v, 0, 0);
        assert_ok(gguf_parse(&g, b.data, b.len, b.len, "empty", err));
        assert_int_equal(gguf_version(g), v);
        gguf_close(&g);
        buf_clear(&b);
    }
}

/* A file with one key, given as what follows the header. */
static void key_fails(void (*put)(buf *), uint64_t n_keys, const char *part)
{
    buf b = BUF_INIT(1 << 20);
    put_head(&b, 3, 0, n_keys);
    put(&b);
    for (int i = 0; i < 64; i++)
        buf_char(&b, 0);
    parse_fails(&b, strstr(part, "array of arrays") ? E_UNSUPPORTED : E_FORMAT, part);
    buf_clear(&b);
}

static void key_nothing(buf *b) { (void)b; }
static void key_empty(buf *b) { put_key(b, "", GGUF_U8); }
static void key_zero(buf *b) { put_u64(b, 3); buf_add(b, "a\0b", 3); put_u32(b, GGUF_U8); }
static void key_long(buf *b) { put_u64(b, 65536); }
static void key_huge(buf *b) { put_u64(b, UINT64_MAX); }
static void key_past(buf *b) { put_u64(b, 5000); }
static void key_type(buf *b) { put_key(b, "k", 13); }
static void key_bool(buf *b) { put_key(b, "k", GGUF_BOOL); buf_char(b, 2); }
static void key_nested(buf *b) { put_key(b, "k", GGUF_ARRAY); put_u32(b, GGUF_ARRAY); put_u64(b, 1); }
static void key_count(buf *b) { put_key(b, "k", GGUF_ARRAY); put_u32(b, GGUF_U64); put_u64(b, 1u << 29); }
static void key_wrap(buf *b) { put_key(b, "k", GGUF_ARRAY); put_u32(b, GGUF_U64); put_u64(b, (uint64_t)1 << 61); }
static void key_text(buf *b) { put_key(b, "k", GGUF_STR); put_u64(b, ((uint64_t)1 << 30) + 1); }
static void key_align(buf *b) { put_key(b, "general.alignment", GGUF_U32); put_u32(b, 48); }
static void key_align0(buf *b) { put_key(b, "general.alignment", GGUF_U32); put_u32(b, 0); }
static void key_align64(buf *b) { put_key(b, "general.alignment", GGUF_U64); put_u64(b, 32); }
static void key_twice(buf *b)
{
    for (int i = 0; i < 2; i++) {
        put_key(b, "k", GGUF_U8);
        buf_char(b, 0);
    }
}

static void keys(void **state)
{
    (void)state;
    key_fails(key_nothing, 65537, "65537 keys");
    key_fails(key_nothing, 60000, "60000 keys, which do not fit");
    key_fails(key_empty, 1, "key 1 of 1: its name is empty");
    key_fails(key_zero, 1, "zero byte");
    key_fails(key_long, 1, "65536 bytes long, the limit is 65535");
    key_fails(key_huge, 1, "18446744073709551615 bytes long");
    key_fails(key_past, 1, "wants 5000 bytes at byte 32, but the file ends at byte 96");
    key_fails(key_type, 1, "key 'k' (1 of 1): value type 13 does not exist");
    key_fails(key_bool, 1, "a bool is 0 or 1, not 2");
    key_fails(key_nested, 1, "array of arrays");
    key_fails(key_count, 1, "536870912 elements of type u64 do not fit");
    key_fails(key_wrap, 1, "2305843009213693952 elements");
    key_fails(key_text, 1, "1073741825 bytes long");
    key_fails(key_align, 1, "power of two, not 48");
    key_fails(key_align0, 1, "power of two, not 0");
    key_fails(key_align64, 1, "must be a u32");
    key_fails(key_twice, 2, "key 'k' occurs twice");
}

static void tensors(void **state)
{
    (void)state;
    static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";
    static const struct {
        const char *name;
        uint32_t n_dims;
        uint64_t ne[5];
        uint32_t type;
        uint64_t offset;
        status code;
        const char *part;
    } rows[] = {
        { "", 1, { 1 }, QUANT_F32, 0, E_FORMAT, "tensor 1 of 1: its name is empty" },
        { long_name, 1, { 1 }, QUANT_F32, 0, E_FORMAT, "64 bytes long, the limit is 63" },
        { "t", 5, { 1, 1, 1, 1, 1 }, QUANT_F32, 0, E_FORMAT, "tensor 't' (1 of 1): 5 dimensions: the limit is 4" },
        { "t", 2, { 4, 0 }, QUANT_F32, 0, E_FORMAT, "dimension 1 is 0" },
        { "t", 4, { 1u << 31, 1u << 31, 2, 2 }, QUANT_F32, 0, E_FORMAT, "more than 2^63 values" },
        { "t", 2, { 1u << 31, 1u << 31 }, QUANT_F32, 0, E_FORMAT, "its size in bytes exceeds 2^63" },
        { "t", 1, { 100 }, QUANT_Q4_K, 0, E_FORMAT, "rows of 100 values are no whole number of Q4_K blocks (256" },
        { "t", 1, { 32 }, 4, 0, E_UNSUPPORTED, "type 4 (Q4_2) was removed" },
        { "t", 1, { 32 }, 31, 0, E_UNSUPPORTED, "(Q4_0_4_4) is a layout repacked" },
        { "t", 1, { 32 }, 139, 0, E_UNSUPPORTED, "(IQ4_K) exists only in ik_llama.cpp" },
        { "t", 1, { 32 }, 9, 0, E_UNSUPPORTED, "(Q8_1) is an intermediate type" },
        { "t", 1, { 32 }, 5000, 0, E_UNSUPPORTED, "type 5000 (unknown) is not known" },
        { "t", 1, { 32 }, QUANT_F32, 32, E_FORMAT, "its data is at offset 32, but the tensors before it end at 0" },
        { "t", 1, { 32 }, QUANT_F32, 0, E_FORMAT, "truncated: 128 bytes (128 B) are missing" },
        { "t", 2, { 1u << 30, 1u << 28 }, QUANT_F32, 0, E_FORMAT, "truncated: 1152921504606846976 bytes" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf b = BUF_INIT(4096);
        put_head(&b, 3, 1, 0);
        put_tensor(&b, rows[i].name, rows[i].n_dims, rows[i].ne, rows[i].type, rows[i].offset);
        put_padding(&b, 32);
        parse_fails(&b, rows[i].code, rows[i].part);
        buf_clear(&b);
    }
    static const uint64_t ne[] = { 8 };
    for (int same = 0; same < 2; same++) {
        buf b = BUF_INIT(4096);
        put_head(&b, 3, 2, 0);
        put_tensor(&b, "t", 1, ne, QUANT_F32, 0);
        put_tensor(&b, same ? "t" : "u", 1, ne, QUANT_F32, same ? 32 : 16);
        for (int i = 0; i < 256; i++)
            buf_char(&b, 0);
        parse_fails(&b, E_FORMAT, same ? "tensor 't' occurs twice" : "offset 16, but the tensors before it end at 32");
        buf_clear(&b);
    }
    buf b = BUF_INIT(64);
    put_head(&b, 3, 1u << 20, 0);
    parse_fails(&b, E_FORMAT, "1048576 tensors");
    buf_clear(&b);
}

/* Parses an exact-size copy on the heap; whatever comes out must hold together. Returns whether it was accepted. */
static bool survives(const void *bytes, size_t n)
{
    void *copy = mem_alloc(n);
    memcpy(copy, bytes, n);
    gguf *g = NULL;
    error e = { 0 };
    status s = gguf_parse(&g, copy, n, n, "x", &e);
    if (s) {
        assert_null(g);
        assert_true(e.code == s && strncmp(e.text, "x: ", 3) == 0);
    } else {
        touch_all(g);
        gguf_close(&g);
    }
    mem_free(copy);
    return s == OK;
}

static void every_byte_every_value(void **state)
{
    (void)state;
    buf b = BUF_INIT(4096);
    make_small(&b);
    assert_true(survives(b.data, b.len));
    size_t accepted = 0, header = b.len - (160 + 288);
    for (size_t at = 0; at < header; at++) {
        char old = b.data[at];
        for (int v = 0; v < 256; v++) {
            b.data[at] = (char)v;
            accepted += survives(b.data, b.len);
        }
        b.data[at] = old;
    }
    for (size_t n = 0; n < b.len; n++)
        assert_false(survives(b.data, n)); /* cut anywhere (the last tensor ends with the file) */
    assert_true(accepted > 0);
    buf_clear(&b);
}

static void random_corruption(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 2, 3, 9, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                       0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF };
    buf b = BUF_INIT(4096);
    make_small(&b);
    char *work = mem_alloc(b.len);
    for (int round = 0; round < 20000; round++) {
        memcpy(work, b.data, b.len);
        size_t n = b.len;
        for (uint32_t k = next_random() % 6 + 1; k > 0; k--) {
            size_t at = next_random() % (b.len - 8);
            uint64_t v = next_random() % 2 ? values[next_random() % ARRAY_LEN(values)] : next_random();
            size_t bytes = (size_t)1 << next_random() % 4;
            for (size_t i = 0; i < bytes; i++)
                work[at + i] = (char)(v >> (8 * i));
        }
        if (next_random() % 4 == 0)
            n = next_random() % b.len;
        survives(work, n);
    }
    mem_free(work);
    buf_clear(&b);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    buf b = BUF_INIT(4096);
    make_small(&b);
    char path[256];
    write_file(test_path(path, "small.gguf"), b.data, b.len);
    gguf *g = NULL;
    error e;
    uint64_t n = 1;
    for (;; n++) {
        mem_fail_at(n);
        status s = gguf_open(&g, path, &e);
        mem_fail_at(0);
        if (s == OK)
            break;
        assert_int_equal(s, E_NOMEM);
        assert_null(g);
    }
    assert_true(n > 5);
    gguf_close(&g);
    unlink(path);
    buf_clear(&b);
}

static void not_regular_files(void **state)
{
    (void)state;
    gguf *g = NULL;
    error e;
    char path[256];
    assert_int_equal(gguf_open(&g, test_dir(), &e), E_IO);
    assert_non_null(strstr(e.text, "is a directory"));
    assert_int_equal(mkfifo(test_path(path, "pipe"), 0600), 0);
    assert_int_equal(gguf_open(&g, path, &e), E_IO);
    assert_non_null(strstr(e.text, "not a regular file"));
    unlink(path);
    assert_int_equal(gguf_open(&g, path, &e), E_NOTFOUND);
    write_file(path, "", 0);
    assert_int_equal(gguf_open(&g, path, &e), E_FORMAT);
    unlink(path);
}

static void damaged_rows_are_found(void **state)
{
    (void)state;
    buf b = BUF_INIT(4096);
    make_small(&b);
    gguf *g = NULL;
    error e;
    memcpy(b.data + b.len - 144, "\x00\x7C", 2); /* the second row's d of "experts": infinity */
    assert_ok(gguf_parse(&g, b.data, b.len, b.len, "small", err));
    assert_ok(gguf_check_rows(g, gguf_tensor_find(g, "norm"), err));
    assert_int_equal(gguf_check_rows(g, gguf_tensor_find(g, "experts"), &e), E_FORMAT);
    assert_non_null(strstr(e.text, "small: tensor 'experts': row 1, block 0: its scale is not finite"));
    gguf_close(&g);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_files_are_recognised),
        cmocka_unit_test(versions),
        cmocka_unit_test(keys),
        cmocka_unit_test(tensors),
        cmocka_unit_test(every_byte_every_value),
        cmocka_unit_test(random_corruption),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(not_regular_files),
        cmocka_unit_test(damaged_rows_are_found),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(test_dir());
    return failed;
}
