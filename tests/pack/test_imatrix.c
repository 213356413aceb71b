/* Importance matrices: what is written reads back, both forms; each thing that can be wrong is said; no damage to a
 * file is worse than a sentence. With arguments it is a tool for test_imatrix.py: `read PATH` prints what it finds,
 * `write PATH` writes a fixed one. */
#include "lib/check.h"
#include "lib/disk.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "pack/imatrix.h"
#include "quant/quant.h"

static const float sums_a[] = { 1, 0, 4.5f, 10 }, sums_b[] = { 3, 6 }, sums_c[] = { 7 };
static const imatrix_entry entries[] = {
    { "output.weight", sums_b, 2, 3 },
    { "blk.0.attn_q.weight", sums_a, 4, 2 },
    { "blk.1.ffn_down.weight", sums_c, 1, 0 },
};

static status write_fixed(const char *path, error *err)
{
    return imatrix_write(path, entries, ARRAY_LEN(entries), "words.txt", 5, 512, err);
}

static void assert_says(status s, status want, const error *e, const char *part)
{
    if (s != want || !strstr(e->text, part))
        fail_msg("status %d, \"%s\": wanted %d, \"%s\"", (int)s, s ? e->text : "", (int)want, part);
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    imatrix *m = NULL;
    const float *x = NULL;
    error e;
    assert_ok(write_fixed("a.gguf", err));
    assert_ok(imatrix_read(&m, "a.gguf", err));
    assert_ok(imatrix_find(m, span_of("blk.0.attn_q.weight"), 4, &x, err));
    for (int i = 0; i < 4; i++)
        assert_true(x[i] == sums_a[i] / 2);
    assert_ok(imatrix_find(m, span_of("output.weight"), 2, &x, err));
    assert_true(x[0] == 1 && x[1] == 2);
    assert_ok(imatrix_find(m, span_of("blk.1.ffn_down.weight"), 1, &x, err));
    assert_null(x);
    x = sums_a;
    assert_ok(imatrix_find(m, span_of("output.weigh"), 1, &x, err));
    assert_null(x);
    assert_says(imatrix_find(m, span_of("output.weight"), 3, &x, &e), E_FORMAT, &e,
                "'output.weight' has 2 importances, the tensor 3");
    const imatrix_facts *f = imatrix_about(m);
    assert_string_equal(f->path, "a.gguf");
    assert_string_equal(f->dataset, "words.txt");
    assert_int_equal(f->n_entries, 3);
    assert_int_equal(f->n_chunks, 5);
    assert_int_equal(f->chunk_tokens, 512);
    imatrix_close(&m);
    assert_null(m);
}

static void writing_refuses_what_reading_would(void **state)
{
    (void)state;
    error e;
    float bad[] = { 1, NAN };
    char long_name[GGUF_MAX_NAME];
    memset(long_name, 'n', sizeof long_name);
    long_name[GGUF_MAX_NAME - 7] = 0;
    const struct {
        imatrix_entry two[2];
        const char *says;
    } cases[] = {
        { { { "a", bad, 2, 1 }, { "b", sums_a, 2, 1 } }, "'a': the importance of channel 1" },
        { { { "b", sums_a, 2, 1 }, { "b", sums_a, 2, 1 } }, "'b' is there twice" },
        { { { "b", sums_a, 2, 1 }, { "c", sums_a, 0, 1 } }, "'c' has no channels" },
        { { { "b", sums_a, 2, 1 }, { long_name, sums_a, 2, 1 } }, "a name that such a file cannot hold" },
        { { { "b", sums_a, 2, 1 }, { "a b", sums_a, 2, 1 } }, "a name that such a file cannot hold" },
        { { { "b", sums_a, 2, 1.5f }, { "c", sums_a, 2, 1 } }, "1.5 tokens" },
        { { { "b", sums_a, 2, -1 }, { "c", sums_a, 2, 1 } }, "-1 tokens" },
        { { { "b", sums_a, 2, INFINITY }, { "c", sums_a, 2, 1 } }, "inf tokens" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_says(imatrix_write("bad.gguf", cases[i].two, 2, "", 1, 512, &e), E_RANGE, &e, cases[i].says);
        assert_false(disk_has("bad.gguf") || disk_has("bad.gguf.part"));
    }
    assert_says(imatrix_write("bad.gguf", entries, 0, "", 1, 512, &e), E_RANGE, &e, "no entries");
    assert_says(imatrix_write("bad.gguf", entries, 1, "", 1, 0, &e), E_RANGE, &e, "chunks of no tokens");
    long_name[GGUF_MAX_NAME - 8] = 0;
    const imatrix_entry longest = { long_name, sums_a, 2, 1 };
    assert_ok(imatrix_write("long.gguf", &longest, 1, "", 1, 512, err));
}

/* ---- GGUF that others may have written ---- */

typedef struct part {
    const char *name;
    uint32_t type;
    uint64_t ne[2];
    float values[8];
} part;

static void put_gguf(const char *general_type, const part *parts, size_t n)
{
    gguf_writer *w = NULL;
    assert_ok(gguf_writer_open(&w, "x.gguf", err));
    if (general_type)
        gguf_writer_str(w, "general.type", general_type);
    for (size_t i = 0; i < n; i++)
        gguf_writer_tensor(w, parts[i].name, parts[i].type, 2, parts[i].ne);
    for (size_t i = 0; i < n; i++)
        gguf_writer_data(w, parts[i].values,
                         (size_t)(quant_row_bytes(parts[i].type, parts[i].ne[0]) * parts[i].ne[1]));
    assert_ok(gguf_writer_finish(&w, err));
}

static void experts_have_counts_of_their_own(void **state)
{
    (void)state;
    const part parts[] = { { "e.in_sum2", QUANT_F32, { 2, 3 }, { 2, 4, 9, 9, 30, 60 } },
                           { "e.counts", QUANT_F32, { 1, 3 }, { 2, 0, 10 } },
                           { "one.counts", QUANT_F32, { 1, 1 }, { 4 } },
                           { "one.in_sum2", QUANT_F32, { 2, 2 }, { 4, 8, 12, 16 } },
                           { "something else", QUANT_F32, { 1, 1 }, { NAN } } };
    const float want_e[] = { 1, 2, 1, 1, 3, 6 }, want_one[] = { 1, 2, 3, 4 };
    imatrix *m = NULL;
    const float *x = NULL;
    put_gguf(NULL, parts, ARRAY_LEN(parts));
    assert_ok(imatrix_read(&m, "x.gguf", err));
    assert_ok(imatrix_find(m, span_of("e"), 6, &x, err));
    assert_memory_equal(x, want_e, sizeof want_e);
    assert_ok(imatrix_find(m, span_of("one"), 4, &x, err));
    assert_memory_equal(x, want_one, sizeof want_one);
    assert_int_equal(imatrix_about(m)->n_entries, 2);
    assert_string_equal(imatrix_about(m)->dataset, "");
    imatrix_close(&m);
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    const struct {
        const char *type;
        part parts[2];
        const char *says;
    } cases[] = {
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, NAN } }, { "a.counts", QUANT_F32, { 1, 1 }, { 2 } } },
          "'a': the importance of channel 1 is nan" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { -1, 1 } }, { "a.counts", QUANT_F32, { 1, 1 }, { 2 } } },
          "'a': the importance of channel 0 is -1" },
        { "imatrix",
          { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, INFINITY } }, { "a.counts", QUANT_F32, { 1, 1 }, { 2 } } },
          "'a': the importance of channel 1 is inf" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, NAN } }, { "a.counts", QUANT_F32, { 1, 1 }, { 0 } } },
          "'a': the importance of channel 1 is nan" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, 1 } }, { "a.counts", QUANT_F32, { 1, 1 }, { -2 } } },
          "'a': its count of tokens is -2" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, 1 } }, { "a.counts", QUANT_F32, { 1, 1 }, { NAN } } },
          "'a': its count of tokens is nan" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 2 }, { 1, 1 } }, { "a.counts", QUANT_F32, { 3, 1 }, { 1 } } },
          "'a': 3 counts do not belong to 2 rows" },
        { "imatrix", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, 1 } }, { "b.counts", QUANT_F32, { 1, 1 }, { 1 } } },
          "tensor 1 has sums without counts" },
        { "imatrix", { { "a.in_sum2", QUANT_F16, { 2, 1 }, { 0 } }, { "a.counts", QUANT_F32, { 1, 1 }, { 1 } } },
          "'a': sums and counts must be F32" },
        { "imatrix", { { "a", QUANT_F32, { 2, 1 }, { 1, 1 } }, { ".counts", QUANT_F32, { 1, 1 }, { 1 } } },
          "no importances are in it" },
        { "imatrix",
          { { "a\n.in_sum2", QUANT_F32, { 2, 1 }, { 1, 1 } }, { "a\n.counts", QUANT_F32, { 1, 1 }, { 1 } } },
          "a name that no tensor has" },
        { "model", { { "a.in_sum2", QUANT_F32, { 2, 1 }, { 1, 1 } }, { "a.counts", QUANT_F32, { 1, 1 }, { 1 } } },
          "general.type is 'model', not 'imatrix'" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        imatrix *m = NULL;
        error e;
        put_gguf(cases[i].type, cases[i].parts, 2);
        assert_says(imatrix_read(&m, "x.gguf", &e), E_FORMAT, &e, cases[i].says);
        assert_non_null(strstr(e.text, "x.gguf"));
        assert_null(m);
    }
}

/* ---- the older form ---- */

static void put_i32(buf *b, int32_t v)
{
    const uint32_t u = (uint32_t)v;
    const unsigned char p[4] = { (unsigned char)u, (unsigned char)(u >> 8), (unsigned char)(u >> 16),
                                 (unsigned char)(u >> 24) };
    buf_add(b, p, 4);
}

static void put_dat_entry(buf *b, const char *name, int32_t calls, const float *values, int32_t n)
{
    put_i32(b, (int32_t)strlen(name));
    buf_str(b, name);
    put_i32(b, calls);
    put_i32(b, n);
    buf_add(b, values, (size_t)n * sizeof *values);
}

static void put_dat(buf *b)
{
    put_i32(b, 2);
    put_dat_entry(b, "blk.0.attn_q.weight", 2, sums_a, 4);
    put_dat_entry(b, "b", 0, sums_b, 2);
    put_i32(b, 9);
    put_i32(b, 5);
    buf_str(b, "w.txt");
}

static void the_older_form_is_read(void **state)
{
    (void)state;
    buf b = BUF_INIT(1 << 16);
    imatrix *m = NULL;
    const float *x = NULL;
    put_dat(&b);
    disk_putn("a.dat", b.data, b.len);
    assert_ok(imatrix_read(&m, "a.dat", err));
    assert_ok(imatrix_find(m, span_of("blk.0.attn_q.weight"), 4, &x, err));
    for (int i = 0; i < 4; i++)
        assert_true(x[i] == sums_a[i] / 2);
    assert_ok(imatrix_find(m, span_of("b"), 2, &x, err));
    assert_memory_equal(x, sums_b, sizeof sums_b);
    assert_int_equal(imatrix_about(m)->n_chunks, 9);
    assert_string_equal(imatrix_about(m)->dataset, "w.txt");
    imatrix_close(&m);
    size_t without = b.len - 13, least = 0;
    for (size_t n = 0; n < b.len; n++) { /* the end may be missing, nothing else may */
        error e;
        disk_putn("a.dat", b.data, n);
        status s = imatrix_read(&m, "a.dat", &e);
        if ((s == OK) != (n >= without) || (s && s != E_FORMAT))
            fail_msg("%zu of %zu bytes: %d, %s", n, b.len, (int)s, s ? e.text : "");
        least += s == OK;
        imatrix_close(&m);
    }
    assert_int_equal(least, 13);
    buf_clear(&b);
}

static void wrong_older_files_are_named(void **state)
{
    (void)state;
    const float bad[] = { 1, -1 };
    buf twice = BUF_INIT(1 << 16), negative = BUF_INIT(1 << 16), calls = BUF_INIT(1 << 16), words = BUF_INIT(1 << 16);
    put_i32(&twice, 2);
    put_dat_entry(&twice, "a", 1, sums_a, 4);
    put_dat_entry(&twice, "a", 1, sums_b, 2);
    put_i32(&negative, 1);
    put_dat_entry(&negative, "a", 1, bad, 2);
    put_i32(&calls, 1);
    put_dat_entry(&calls, "a", -4, sums_a, 2);
    buf_str(&words, "These are words, and no matrix at all.");
    const struct {
        buf *b;
        const char *says;
    } cases[] = { { &twice, "'a' is in it twice" }, { &negative, "'a': the importance of channel 1 is -1" },
                  { &calls, "a count below 0" }, { &words, "neither GGUF nor an importance matrix" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        imatrix *m = NULL;
        error e;
        disk_putn("a.dat", cases[i].b->data, cases[i].b->len);
        assert_says(imatrix_read(&m, "a.dat", &e), E_FORMAT, &e, cases[i].says);
        buf_clear(cases[i].b);
    }
    imatrix *m = NULL;
    error e;
    disk_put("empty", "");
    assert_int_equal(imatrix_read(&m, "empty", &e), E_FORMAT);
    assert_int_equal(imatrix_read(&m, "nowhere", &e), E_NOTFOUND);
    assert_int_equal(imatrix_read(&m, ".", &e), E_IO);
}

/* ---- any damage ---- */

/* Reads it; what it gives is finite and lies in memory. */
static void try(const char *path)
{
    imatrix *m = NULL;
    error e;
    status s = imatrix_read(&m, path, &e);
    if (s) {
        assert_true(e.text[0] && m == NULL);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        const float *x = NULL;
        s = imatrix_find(m, span_of(entries[i].tensor), entries[i].n, &x, &e);
        for (uint64_t j = 0; !s && x && j < entries[i].n; j++)
            assert_true(isfinite(x[j]) && x[j] >= 0);
    }
    imatrix_close(&m);
}

static void damage(const char *path, unsigned char *bytes, size_t n)
{
    static const unsigned char values[] = { 0, 0x7F, 0xFF };
    for (size_t at = 0; at < n; at++)
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            unsigned char was = bytes[at];
            bytes[at] = values[v];
            disk_putn(path, bytes, n);
            bytes[at] = was;
            try(path);
        }
}

static void damage_is_survived(void **state)
{
    (void)state;
    unsigned char bytes[4096];
    assert_ok(write_fixed("a.gguf", err));
    FILE *f = fopen("a.gguf", "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_in_range(n, 500, sizeof bytes - 1);
    damage("d.gguf", bytes, n);
    for (size_t cut = 0; cut < n; cut++) {
        disk_putn("d.gguf", bytes, cut);
        try("d.gguf");
    }
    buf b = BUF_INIT(1 << 16);
    put_dat(&b);
    damage("d.dat", (unsigned char *)b.data, b.len);
    buf_clear(&b);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    buf b = BUF_INIT(1 << 16);
    put_dat(&b);
    disk_putn("a.dat", b.data, b.len);
    buf_clear(&b);
    assert_ok(write_fixed("a.gguf", err));
    const char *const paths[] = { "a.gguf", "a.dat" };
    for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
        status s = E_NOMEM;
        for (uint64_t n = 1; s && n < 200; n++) {
            imatrix *m = NULL;
            error e;
            mem_fail_at(n);
            s = imatrix_read(&m, paths[p], &e);
            mem_fail_at(0);
            assert_true(s == OK || s == E_NOMEM);
            imatrix_close(&m);
        }
        assert_int_equal(s, OK);
    }
    status s = E_NOMEM;
    for (uint64_t n = 1; s && n < 200; n++) {
        error e;
        mem_fail_at(n);
        s = write_fixed("b.gguf", &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE); /* a buffer cannot tell its ceiling from no memory */
        assert_true(s == OK || (!disk_has("b.gguf") && !disk_has("b.gguf.part")));
    }
    assert_int_equal(s, OK);
}

/* ---- the tool ---- */

/* `read PATH NAME N ...`: facts, then for each name its means. */
static int tool(int argc, char **argv)
{
    imatrix *m = NULL;
    error e;
    status s = strcmp(argv[1], "write") == 0 ? write_fixed(argv[2], &e) : imatrix_read(&m, argv[2], &e);
    if (!s && m)
        printf("%zu %u %u %s\n", imatrix_about(m)->n_entries, imatrix_about(m)->n_chunks,
               imatrix_about(m)->chunk_tokens, imatrix_about(m)->dataset);
    for (int i = 3; !s && m && i + 1 < argc; i += 2) {
        const float *x = NULL;
        uint64_t n = strtoull(argv[i + 1], NULL, 10);
        s = imatrix_find(m, span_of(argv[i]), n, &x, &e);
        printf("%s", argv[i]);
        for (uint64_t j = 0; !s && x && j < n; j++)
            printf(" %.9g", (double)x[j]);
        printf("\n");
    }
    if (s)
        fprintf(stderr, "%s\n", e.text);
    imatrix_close(&m);
    return s ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tool(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(writing_refuses_what_reading_would),
        cmocka_unit_test(experts_have_counts_of_their_own),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(the_older_form_is_read),
        cmocka_unit_test(wrong_older_files_are_named),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(memory_may_run_out),
    };
    const char *dir = disk_enter("imatrix");
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    disk_remove(dir);
    return rc;
}
