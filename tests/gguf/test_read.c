/* Reading well-formed files: typed keys, strings, tensors, split models, prefixes, the writer, releasing memory.
 * `test_read dump FILE` prints what the reader sees, for test_peer.py; `test_read write FILE` writes a file for it. */
#include "lib/check.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "gguf/make.h"
#include "gguf/write.h"

static void expect(status got, status wanted, const error *err, const char *part)
{
    if (got != wanted || (wanted && !strstr(err->text, part)))
        fail_msg("got %s '%s', wanted %s with '%s'", status_name(got), got ? err->text : "", status_name(wanted), part);
}

static void keys_by_type(void **state)
{
    (void)state;
    buf b = BUF_INIT(4096);
    make_small(&b);
    gguf *g = NULL;
    assert_ok(gguf_parse(&g, b.data, b.len, b.len, "small", err));
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    float f32;
    bool flag;
    span s;
    error e;
    assert_ok(gguf_u32(g, "a.u8", &u32, err));
    assert_int_equal(u32, 200);
    assert_ok(gguf_u32(g, "a.u16", &u32, err));
    assert_int_equal(u32, 0xF234);
    assert_ok(gguf_u32(g, "a.u32", &u32, err));
    assert_int_equal(u32, 4000000000u);
    assert_ok(gguf_i32(g, "a.i8", &i32, err));
    assert_int_equal(i32, -3);
    assert_ok(gguf_i32(g, "a.i64", &i32, err));
    assert_int_equal(i32, -9);
    assert_ok(gguf_u64(g, "a.u64", &u64, err));
    assert_true(u64 == UINT64_MAX);
    assert_ok(gguf_f32(g, "a.f32", &f32, err));
    assert_true(f32 == 1.5f);
    assert_ok(gguf_f32(g, "a.f64", &f32, err));
    assert_true(f32 == 2.5f);
    assert_ok(gguf_bool(g, "a.bool", &flag, err));
    assert_true(flag);
    assert_ok(gguf_str(g, "general.architecture", &s, err));
    assert_true(span_is(s, "tiny"));

    u32 = 77;
    expect(gguf_u32(g, "a.none", &u32, &e), E_NOTFOUND, &e, "small: the key 'a.none' is missing");
    expect(gguf_u32(g, "a.i32", &u32, &e), E_RANGE, &e, "is -7, allowed is 0 to 4294967295");
    expect(gguf_i32(g, "a.u32", &i32, &e), E_RANGE, &e, "4000000000");
    expect(gguf_i32(g, "a.u64", &i32, &e), E_RANGE, &e, "18446744073709551615");
    expect(gguf_u32(g, "a.f32", &u32, &e), E_FORMAT, &e, "'a.f32' should be an integer, but is a f32");
    expect(gguf_u32(g, "a.bool", &u32, &e), E_FORMAT, &e, "an integer");
    expect(gguf_str(g, "b.words", &s, &e), E_FORMAT, &e, "a single value, but is an array of string");
    expect(gguf_bool(g, "a.u8", &flag, &e), E_FORMAT, &e, "a bool");
    assert_int_equal(u32, 77);
    assert_ok(gguf_u32_or(g, "a.none", 5, &u32, err));
    assert_int_equal(u32, 5);
    expect(gguf_f32_or(g, "a.u8", 1, &f32, &e), E_FORMAT, &e, "a float");
    assert_ok(gguf_str_or(g, "x", "y", &s, err));
    assert_true(span_is(s, "y"));

    const gguf_value *v = NULL;
    assert_ok(gguf_array(g, "b.words", GGUF_STR, 3, &v, err));
    gguf_strings it = gguf_strings_of(v);
    static const char *const words[] = { "one", "", "three" };
    for (int i = 0; i < 3; i++) {
        assert_true(gguf_strings_next(&it, &s));
        assert_true(span_is(s, words[i]));
    }
    assert_false(gguf_strings_next(&it, &s));
    assert_ok(gguf_array(g, "b.numbers", GGUF_I64, 0, &v, err));
    assert_int_equal(gguf_get_i64(v, 1), -5);
    expect(gguf_array(g, "b.numbers", GGUF_F32, 0, &v, &e), E_FORMAT, &e, "an array of f32, but is an array of i32");
    expect(gguf_array(g, "b.words", GGUF_STR, 4, &v, &e), E_FORMAT, &e, "has 3 elements, expected are 4");
    gguf_close(&g);
    assert_null(g);
    gguf_close(&g);
    buf_clear(&b);
}

static void tensors_by_name(void **state)
{
    (void)state;
    buf b = BUF_INIT(4096);
    make_small(&b);
    gguf *g = NULL;
    assert_ok(gguf_parse(&g, b.data, b.len, b.len, "small", err));
    assert_int_equal(gguf_n_tensors(g), 3);
    const gguf_tensor *t = gguf_tensor_find(g, "experts");
    assert_ptr_equal(t, gguf_tensor_at(g, 2));
    assert_int_equal(t->bytes, 288);
    assert_int_equal(gguf_tensor_rows(t), 2);
    assert_int_equal(t->offset, 160);
    assert_ptr_equal(t->data, b.data + gguf_header_bytes(g, 0) + 160);
    char shape[96];
    assert_string_equal(gguf_tensor_shape(t, shape), "256 x 1 x 2");
    assert_null(gguf_tensor_find(g, "expert"));
    assert_null(gguf_tensor_at(g, 3));
    assert_int_equal(gguf_data_bytes(g), 102 + 16 + 288);
    gguf_close(&g);

    size_t header = 0;
    for (size_t n = 0; n <= b.len; n++) { /* every prefix: more is asked for until the header is whole */
        error e;
        void *copy = mem_alloc(n);
        memcpy(copy, b.data, n);
        status s = gguf_parse(&g, copy, n, b.len, "small", &e);
        if (s) {
            assert_int_equal(header, 0);
            expect(s, n < 4 ? E_FORMAT : E_RANGE, &e, "small: ");
        } else {
            header = header ? header : n;
            touch_all(g);
            assert_true((gguf_tensor_at(g, 2)->data != NULL) == (n == b.len));
            gguf_close(&g);
        }
        mem_free(copy);
    }
    assert_true(header > 0 && header < b.len);
    buf_clear(&b);
}

/* ---- split models ------------------------------------------------------------------------------------------------ */

/* Part i of n with one tensor; says what it is told to. */
static void write_part(const char *path, unsigned i, unsigned n, unsigned total, const char *tensor)
{
    gguf_writer *w = NULL;
    assert_ok(gguf_writer_open(&w, path, err));
    uint16_t no = (uint16_t)i, count = (uint16_t)n;
    gguf_writer_u32(w, "split.no", no);
    gguf_writer_u32(w, "split.count", count);
    gguf_writer_i32(w, "split.tensors.count", (int32_t)total);
    if (i == 0)
        gguf_writer_str(w, "general.name", "whole");
    gguf_writer_tensor(w, tensor, QUANT_F32, 1, (const uint64_t[]){ 8 });
    float x[8];
    for (int k = 0; k < 8; k++)
        x[k] = (float)(10 * i + (unsigned)k);
    gguf_writer_data(w, x, sizeof x);
    assert_ok(gguf_writer_finish(&w, err));
}

static void open_fails(const char *path, status wanted, const char *part)
{
    gguf *g = NULL;
    error e;
    expect(gguf_open(&g, path, &e), wanted, &e, part);
    assert_null(g);
}

static void split_models(void **state)
{
    (void)state;
    char p[4][256];
    gguf *g = NULL;
    for (unsigned i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "m-%05u-of-00003.gguf", i + 1);
        test_path(p[i], name);
        snprintf(name, sizeof name, "t%u", i);
        write_part(p[i], i, 3, 3, name);
    }
    assert_ok(gguf_open(&g, p[0], err));
    assert_int_equal(gguf_n_files(g), 3);
    assert_int_equal(gguf_n_tensors(g), 3);
    const gguf_tensor *t = gguf_tensor_find(g, "t2");
    float x;
    memcpy(&x, (const char *)t->data + 4, 4);
    assert_true(x == 21);
    assert_int_equal(t->file, 2);
    assert_non_null(gguf_find(g, "general.name"));
    gguf_close(&g);

    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = open(p[i], O_RDONLY);
    assert_ok(gguf_open_fds(&g, fds, 3, "model", err));
    gguf_close(&g);
    error e;
    expect(gguf_open_fds(&g, fds, 2, "model", &e), E_FORMAT, &e, "says it is one of 3 parts, but 2 are given");
    int swapped[3] = { fds[0], fds[2], fds[1] };
    expect(gguf_open_fds(&g, swapped, 3, "model", &e), E_FORMAT, &e, "says it is part 3, but is in the place of part "
        "2");
    for (int i = 0; i < 3; i++)
        close(fds[i]);

    open_fails(p[1], E_FORMAT, "is part 2 of 3: give the first part");
    write_part(p[2], 2, 3, 3, "t1");
    open_fails(p[0], E_FORMAT, "tensor 't1' occurs twice");
    write_part(p[2], 2, 4, 3, "t2");
    open_fails(p[0], E_FORMAT, "belongs to another model");
    unlink(p[2]);
    open_fails(p[0], E_NOTFOUND, "m-00003-of-00003.gguf: this part of the split model is missing (part 3 of 3)");
    write_part(p[2], 2, 3, 3, "t2");
    write_part(p[0], 0, 3, 7, "t0");
    open_fails(p[0], E_FORMAT, "has 7 tensors by its key split.tensors.count, but its 3 parts contain 3");
    test_path(p[3], "renamed.gguf");
    assert_int_equal(rename(p[0], p[3]), 0);
    open_fails(p[3], E_FORMAT, "restore the name");
    for (int i = 0; i < 4; i++)
        unlink(p[i]);
}

/* ---- writer ------------------------------------------------------------------------------------------------------ */

static void write_sample(const char *path)
{
    gguf_writer *w = NULL;
    assert_ok(gguf_writer_open(&w, path, err));
    gguf_writer_alignment(w, 64);
    gguf_writer_str(w, "general.architecture", "tiny");
    gguf_writer_u32(w, "n.u32", 3);
    gguf_writer_i32(w, "n.i32", -3);
    gguf_writer_u64(w, "n.u64", UINT64_MAX);
    gguf_writer_f32(w, "n.f32", 0.1f);
    gguf_writer_bool(w, "n.bool", true);
    gguf_writer_array(w, "n.floats", GGUF_F32, (const float[]){ 1, -2, 0.25f }, 3);
    gguf_writer_array(w, "n.shorts", GGUF_I16, (const int16_t[]){ -1, 2 }, 2);
    gguf_writer_strings(w, "n.words", (const span[]){ { "a", 1 }, { "", 0 }, { "\xE2\x82\xAC", 3 } }, 3);
    gguf_writer_tensor(w, "x", QUANT_F32, 2, (const uint64_t[]){ 5, 3 });
    gguf_writer_tensor(w, "y", QUANT_Q8_0, 1, (const uint64_t[]){ 64 });
    gguf_writer_tensor(w, "z", QUANT_F16, 1, (const uint64_t[]){ 7 });
    unsigned char bytes[60 + 68 + 14];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 % 60);
    for (size_t i = 0; i < sizeof bytes; i += 13)
        gguf_writer_data(w, bytes + i, sizeof bytes - i < 13 ? sizeof bytes - i : 13);
    assert_ok(gguf_writer_finish(&w, err));
    assert_null(w);
}

static void writer_and_reader_agree(void **state)
{
    (void)state;
    char path[256], part[300];
    write_sample(test_path(path, "w.gguf"));
    gguf *g = NULL;
    assert_ok(gguf_open(&g, path, err));
    assert_int_equal(gguf_alignment(g), 64);
    assert_int_equal(gguf_n_keys(g), 10);
    assert_int_equal(gguf_file_bytes(g, 0), gguf_header_bytes(g, 0) + 64 + 128 + 64);
    const unsigned char *y = gguf_tensor_find(g, "y")->data;
    for (size_t i = 0; i < 68; i++)
        assert_int_equal(y[i], (60 + i) * 7 % 60);

    char copy[256];
    gguf_writer *w = NULL;
    assert_ok(gguf_writer_open(&w, test_path(copy, "copy.gguf"), err));
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        gguf_writer_copy(w, gguf_key_at(g, i));
    gguf_writer_tensor(w, "x", QUANT_F32, 1, (const uint64_t[]){ 1 });
    gguf_writer_data(w, "abcd", 4);
    assert_ok(gguf_writer_finish(&w, err));
    gguf *c = NULL;
    assert_ok(gguf_open(&c, copy, err));
    assert_int_equal(gguf_n_keys(c), gguf_n_keys(g));
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        assert_int_equal(gguf_key_at(c, i)->bytes, gguf_key_at(g, i)->bytes);
        assert_memory_equal(gguf_key_at(c, i)->data, gguf_key_at(g, i)->data, gguf_key_at(g, i)->bytes);
    }
    gguf_close(&c);
    gguf_close(&g);

    error e;
    assert_ok(gguf_writer_open(&w, copy, err));
    gguf_writer_tensor(w, "x", QUANT_F32, 1, (const uint64_t[]){ 2 });
    gguf_writer_data(w, "abcd", 4);
    expect(gguf_writer_finish(&w, &e), E_RANGE, &e, "copy.gguf: tensor 'x': 4 of its 8 bytes were written");
    snprintf(part, sizeof part, "%s.part", copy);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_equal(access(copy, F_OK), 0); /* the old one is untouched */
    assert_ok(gguf_writer_open(&w, copy, err));
    gguf_writer_tensor(w, "x", QUANT_Q4_K, 1, (const uint64_t[]){ 255 });
    expect(gguf_writer_finish(&w, &e), E_RANGE, &e, "whole blocks of Q4_K");
    assert_ok(gguf_writer_open(&w, copy, err));
    gguf_writer_data(w, "abcd", 4);
    expect(gguf_writer_finish(&w, &e), E_RANGE, &e, "4 bytes more");
    expect(gguf_writer_open(&w, "/nonexistent/x.gguf", &e), E_IO, &e, "/nonexistent/x.gguf.part: cannot be written");
    unlink(path);
    unlink(copy);
}

/* A full disk, stood in for by the limit on file sizes: the writer says so and leaves nothing behind. */
static void a_full_disk_is_reported(void **state)
{
    (void)state;
    char path[256], part[300];
    error e;
    gguf_writer *w = NULL;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){ 64 << 10, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(gguf_writer_open(&w, test_path(path, "full.gguf"), err));
    gguf_writer_tensor(w, "x", QUANT_I8, 1, (const uint64_t[]){ 1 << 20 });
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char chunk[1 << 16];
    for (int i = 0; i < 16; i++)
        gguf_writer_data(w, chunk, sizeof chunk);
    status s = gguf_writer_finish(&w, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    expect(s, E_IO, &e, "full.gguf: cannot be written: File too large");
    snprintf(part, sizeof part, "%s.part", path);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void declare_some(gguf_writer *w, uint32_t n)
{
    gguf_writer_str(w, "general.architecture", "x");
    gguf_writer_strings(w, "words", (const span[]){ { "a", 1 }, { "", 0 } }, 2);
    for (uint32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        gguf_writer_tensor(w, name, i % 2 ? QUANT_Q4_0 : QUANT_F32, 2, (const uint64_t[]){ 32, i + 1 });
    }
}

static void blanks_have_their_size(void)
{
    gguf_writer *h = NULL;
    gguf *g = NULL;
    const gguf_value *v = NULL;
    uint32_t after = 0;
    error e;
    assert_ok(gguf_writer_open_header(&h, "blank", err));
    gguf_writer_blank(h, "a", GGUF_STR, 1000, 7000);
    gguf_writer_blank(h, "b", GGUF_F32, 1000, 0);
    gguf_writer_u32(h, "c", 7);
    gguf_writer_blank(h, "d", GGUF_STR, 0, 0);
    gguf_writer_blank(h, "e", GGUF_STR, 1, 3);
    declare_some(h, 3);
    assert_ok(gguf_writer_header(&h, &g, err));
    assert_ok(gguf_u32(g, "c", &after, err));
    assert_int_equal(after, 7);
    assert_ok(gguf_array(g, "a", GGUF_STR, 1000, &v, err));
    assert_int_equal(v->bytes, 8 * 1000 + 7000);
    assert_ok(gguf_array(g, "b", GGUF_F32, 1000, &v, err));
    assert_true(gguf_get_f64(v, 999) == 0);
    assert_ok(gguf_array(g, "e", GGUF_STR, 1, &v, err));
    assert_int_equal(v->bytes, 11);
    assert_non_null(gguf_tensor_find(g, "t2"));
    gguf_close(&g);
    assert_ok(gguf_writer_open_header(&h, "blank", err));
    gguf_writer_blank(h, "a", GGUF_STR, 1ull << 40, 0);
    expect(gguf_writer_header(&h, &g, &e), E_RANGE, &e, "blank: key 'a'");
}

/* A header in memory and the one of a written file say the same, the file's length included. */
static void a_header_alone_is_that_of_the_file(void **state)
{
    (void)state;
    static const char zeros[4096];
    char path[256];
    error e;
    for (uint32_t n = 0; n < 6; n++) {
        gguf_writer *w = NULL, *h = NULL;
        gguf *file = NULL, *header = NULL;
        assert_ok(gguf_writer_open(&w, test_path(path, "whole.gguf"), err));
        assert_ok(gguf_writer_open_header(&h, "no file", err));
        declare_some(w, n);
        declare_some(h, n);
        for (uint32_t i = 0; i < n; i++)
            gguf_writer_data(w, zeros, (i + 1) * (i % 2 ? 18 : 128));
        assert_ok(gguf_writer_finish(&w, err));
        assert_ok(gguf_open(&file, path, err));
        assert_ok(gguf_writer_header(&h, &header, err));
        assert_null(h);
        assert_int_equal(gguf_file_bytes(header, 0), gguf_file_bytes(file, 0));
        assert_int_equal(gguf_header_bytes(header, 0), gguf_header_bytes(file, 0));
        assert_int_equal(gguf_data_bytes(header), gguf_data_bytes(file));
        assert_int_equal(gguf_n_tensors(header), n);
        assert_int_equal(gguf_n_keys(header), 2);
        assert_string_equal(gguf_file_name(header), "no file");
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(gguf_tensor_at(header, i)->offset, gguf_tensor_at(file, i)->offset);
            assert_null(gguf_tensor_at(header, i)->data);
        }
        gguf_close(&header);
        gguf_close(&file);
        assert_ok(gguf_writer_open_header(&h, "none", err));
        declare_some(h, n);
        expect(gguf_writer_finish(&h, &e), E_RANGE, &e, "none: a header alone was begun");
        assert_ok(gguf_writer_open(&w, path, err));
        expect(gguf_writer_header(&w, &header, &e), E_RANGE, &e, "a file is being written");
        assert_null(w);
    }
    unlink(path);
    blanks_have_their_size();
    status s = E_NOMEM;
    for (uint64_t n = 1; s; n++) {
        gguf_writer *h = NULL;
        gguf *header = NULL;
        mem_fail_at(n);
        s = gguf_writer_open_header(&h, "none", &e);
        if (!s) {
            gguf_writer_blank(h, "blank", GGUF_STR, 3, 5);
            declare_some(h, 70);
            s = gguf_writer_header(&h, &header, &e);
        }
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE);
        assert_true(!h && (header != NULL) == (s == OK));
        gguf_close(&header);
    }
}

/* Writes and opens a split model while allocation n fails, for every n. */
static void every_allocation_fails_once(void **state)
{
    (void)state;
    char p[2][256];
    test_path(p[0], "f-00001-of-00002.gguf");
    test_path(p[1], "f-00002-of-00002.gguf");
    write_part(p[0], 0, 2, 2, "a");
    write_part(p[1], 1, 2, 2, "b");
    error e;
    status s = E_NOMEM;
    for (uint64_t n = 1; s; n++) {
        gguf *g = NULL;
        mem_fail_at(n);
        s = gguf_open(&g, p[0], &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
        gguf_close(&g);
    }
    s = E_NOMEM;
    for (uint64_t n = 1; s; n++) {
        gguf_writer *w = NULL;
        mem_fail_at(n);
        s = gguf_writer_open(&w, p[0], &e);
        if (!s) {
            gguf_writer_str(w, "k", "v");
            for (uint64_t i = 0; i < 100; i++) {
                char name[16];
                snprintf(name, sizeof name, "t%d", (int)i);
                gguf_writer_tensor(w, name, QUANT_F32, 1, (const uint64_t[]){ 1 });
            }
            for (int i = 0; i < 100; i++)
                gguf_writer_data(w, "abcd", 4);
            s = gguf_writer_finish(&w, &e);
        }
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE); /* a buffer does not say which */
        assert_null(w);
    }
    gguf *g = NULL;
    assert_ok(gguf_open(&g, p[0], err) == E_FORMAT ? OK : E_IO); /* no longer a first part of two */
    assert_null(g);
    unlink(p[0]);
    unlink(p[1]);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void released_pages_leave_the_process_but_not_the_cache(void **state)
{
    (void)state;
    enum { BYTES = 32 << 20 };
    char path[256];
    gguf_writer *w = NULL;
    assert_ok(gguf_writer_open(&w, test_path(path, "big.gguf"), err));
    gguf_writer_tensor(w, "x", QUANT_I8, 1, (const uint64_t[]){ BYTES });
    static char chunk[1 << 20];
    for (size_t i = 0; i < sizeof chunk; i++)
        chunk[i] = (char)(i >> 12);
    for (int i = 0; i < BYTES / (int)sizeof chunk; i++)
        gguf_writer_data(w, chunk, sizeof chunk);
    assert_ok(gguf_writer_finish(&w, err));
    gguf *g = NULL;
    assert_ok(gguf_open(&g, path, err));
    size_t before = resident_bytes();
    uint64_t first = touch_all(g);
    size_t touched = resident_bytes();
    const gguf_tensor *t = gguf_tensor_at(g, 0);
    for (size_t at = 0; at < BYTES; at += GGUF_RELEASE_STEP)
        gguf_release(g, (const char *)t->data + at, GGUF_RELEASE_STEP);
    size_t after = resident_bytes();
    assert_true(touched >= before + BYTES / 2);
    assert_true(after + BYTES / 2 <= touched);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *cached = mem_zero(BYTES / page);
    void *from = (void *)((uintptr_t)t->data / page * page);
    assert_int_equal(mincore(from, BYTES - page, cached), 0);
    size_t n_cached = 0;
    for (size_t i = 0; i < BYTES / page - 1; i++)
        n_cached += cached[i] & 1;
    mem_free(cached);
    assert_true(n_cached > BYTES / page / 2);
    assert_true(touch_all(g) == first);
    gguf_close(&g);
    unlink(path);
}

static int dump(const char *path)
{
    gguf *g = NULL;
    error err;
    if (gguf_open(&g, path, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 3;
    }
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        printf("%.*s %s %d %" PRIu64 " ", (int)v->key.n, v->key.p, gguf_type_name(v->type), v->is_array, v->n);
        uint64_t hash = 14695981039346656037u; /* FNV-1a over the bytes of all elements */
        for (uint64_t k = 0; k < v->bytes; k++)
            hash = (hash ^ v->data[k]) * 1099511628211u;
        printf("%" PRIu64 "\n", hash);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        char shape[96];
        printf("%.*s %s %s %" PRIu64 " %" PRIu64 "\n", (int)t->name.n, t->name.p, quant_name(t->type),
               gguf_tensor_shape(t, shape), gguf_header_bytes(g, t->file) + t->offset, t->bytes);
    }
    gguf_close(&g);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "dump") == 0)
        return dump(argv[2]);
    if (argc == 3) {
        write_sample(argv[2]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_by_type),
        cmocka_unit_test(tensors_by_name),
        cmocka_unit_test(split_models),
        cmocka_unit_test(writer_and_reader_agree),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test(a_header_alone_is_that_of_the_file),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(released_pages_leave_the_process_but_not_the_cache),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(test_dir());
    return failed;
}
