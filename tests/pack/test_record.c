/* Measurements come back bit for bit; a file that ends anywhere gives what it holds whole; what cannot be a measurement
 * of this model is refused by its line, or begun anew where nobody named the file. */
#include "pack/small.h"

#include <math.h>
#include <unistd.h>

#include "lib/disk.h"
#include "pack/record.h"

static const pack_options options = { .way = ENCODER_FEEDBACK };
static const char from[] = "hearth 0 source 1 2 3 text 00ff way 2 damping 0x1p-7";
static const char path[] = "measured";
static char heading[128];
static gguf *source;

static void job_make(job *j)
{
    *j = (job){ .o = &options, .file = source };
    assert_ok(plan_tensors(j, err));
}

static void job_clear(job *j)
{
    record_close(j);
    mem_free(j->tensors);
}

static bool is_matrix(const pack_tensor *t)
{
    return t->role != QUANT_KEPT;
}

static double number(void)
{
    static const double odd[] = { 0, 1, 0x1p-1074, 1e300, 0.1, 1e-12 };
    return rnd(3) ? fabs((double)small_normal()) * pow(10, -(double)rnd(12)) : odd[rnd(ARRAY_LEN(odd))];
}

static void measure(pack_tensor *t)
{
    t->noise = number();
    t->gain = number();
    t->direct_gain = number();
    size_t wanted = 1 + rnd(JOB_CANDIDATES);
    for (size_t i = 0; quant_at(i) && t->n_candidates < wanted; i++)
        if (quant_at(i)->encode && t->t->ne[0] % quant_at(i)->block == 0)
            t->candidates[t->n_candidates++] = (candidate){ quant_at(i), (encoder_way)rnd(ENCODER_WAYS), number(),
                                                            number() };
}

static void open_unnamed(job *j)
{
    assert_ok(record_open(j, path, false, from, err));
}

static void put_lines(const char *lines)
{
    char text[32768];
    snprintf(text, sizeof text, "%s%s", heading, lines);
    disk_put(path, text);
}

static char *read_back(size_t *n)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *n = fread(text, 1, sizeof text - 1, f);
    text[*n] = 0;
    fclose(f);
    return text;
}

/* Losses of all matrices, then gains of every other. The file's text; free it. */
static char *write_all(job *j, size_t *n)
{
    unlink(path);
    open_unnamed(j);
    for (size_t i = 0; i < j->n; i++)
        if (is_matrix(&j->tensors[i])) {
            measure(&j->tensors[i]);
            assert_ok(record_losses(j, &j->tensors[i], err));
        }
    for (size_t i = 0; i < j->n; i += 2)
        if (is_matrix(&j->tensors[i])) {
            j->tensors[i].has_gain = true;
            assert_ok(record_gain(j, &j->tensors[i], err));
        }
    record_close(j);
    return mem_strdup(read_back(n));
}

static void expect_same(const pack_tensor *a, const pack_tensor *b)
{
    assert_int_equal(a->n_candidates, b->n_candidates);
    for (size_t i = 0; i < a->n_candidates; i++) {
        const candidate *c = &a->candidates[i], *d = &b->candidates[i];
        assert_ptr_equal(c->type, d->type);
        assert_int_equal(c->way, d->way);
        assert_memory_equal(&c->loss, &d->loss, sizeof c->loss);
        assert_memory_equal(&c->direct, &d->direct, sizeof c->direct);
    }
    if (a->n_candidates)
        assert_memory_equal(&a->noise, &b->noise, sizeof a->noise);
    assert_int_equal(a->has_gain, b->has_gain);
    if (!a->has_gain)
        return;
    assert_memory_equal(&a->gain, &b->gain, sizeof a->gain);
    assert_memory_equal(&a->direct_gain, &b->direct_gain, sizeof a->direct_gain);
}

static void measurements_come_back(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        job a, b;
        size_t n;
        job_make(&a);
        char *text = write_all(&a, &n);
        for (int named = 0; named < 2; named++) {
            job_make(&b);
            assert_ok(record_open(&b, path, named, from, err));
            for (size_t i = 0; i < a.n; i++)
                expect_same(&a.tensors[i], &b.tensors[i]);
            job_clear(&b);
        }
        mem_free(text);
        job_clear(&a);
    }
}

static bool has_line(const char *text, const char *kind, span name)
{
    char line[GGUF_MAX_NAME + 16];
    snprintf(line, sizeof line, "\n%s %.*s ", kind, (int)name.n, name.p);
    return strstr(text, line) != NULL;
}

/* What is whole in it is what there is, and what is missing can be added. */
static void check_cut(const job *all, const char *text, size_t n)
{
    job j;
    job_make(&j);
    disk_putn(path, text, n);
    assert_ok(record_open(&j, path, true, from, err));
    char *kept = mem_strndup(text, n);
    strrchr(kept, '\n')[1] = 0;
    for (size_t i = 0; i < j.n; i++) {
        const pack_tensor *t = &j.tensors[i];
        assert_int_equal(t->n_candidates > 0, has_line(kept, "loss", t->t->name));
        assert_int_equal(t->has_gain, has_line(kept, "gain", t->t->name));
        pack_tensor want = all->tensors[i];
        want.n_candidates = t->n_candidates ? want.n_candidates : 0;
        want.has_gain = t->has_gain;
        expect_same(&want, t);
    }
    for (size_t i = 0; i < j.n; i++)
        if (all->tensors[i].n_candidates && !j.tensors[i].n_candidates)
            assert_ok(record_losses(&j, &all->tensors[i], err));
    for (size_t i = 0; i < j.n; i++)
        if (all->tensors[i].has_gain && !j.tensors[i].has_gain)
            assert_ok(record_gain(&j, &all->tensors[i], err));
    job_clear(&j);
    size_t n_now;
    assert_string_equal(read_back(&n_now), text);
    mem_free(kept);
}

static void a_cut_file_gives_what_is_whole(void **state)
{
    (void)state;
    job all, j;
    size_t n;
    job_make(&all);
    char *text = write_all(&all, &n);
    for (size_t at = strlen(heading); at <= n; at += at + 200 < n ? 1 + rnd(60) : 1)
        check_cut(&all, text, at);
    for (size_t at = 0; at < strlen(heading); at++)
        for (int named = 0; named < 2; named++) {
            error e;
            job_make(&j);
            disk_putn(path, text, at);
            status s = record_open(&j, path, named, from, &e);
            assert_int_equal(s, named && at ? E_EXISTS : OK);
            record_close(&j);
            size_t n_now;
            if (!s)
                assert_string_equal(read_back(&n_now), heading);
            job_clear(&j);
        }
    mem_free(text);
    job_clear(&all);
}

/* A file of other measurements that the user named stays as it is. */
static void measurements_of_something_else(void **state)
{
    (void)state;
    static const char *const others[] = { "hearth measured hearth 0 source 1 2 3 text 00ff way 1 damping 0x1p-7\n",
                                          "hearth measured hearth 0 source 1 2 3 text 00ff way 2 damping 0x1p-7 \n",
                                          "hearth measured \n", "\n", "GGUF", "loss token_embd.weight 1 q4_0 1 1 1\n" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        job j;
        error e;
        size_t n;
        disk_put(path, others[i]);
        job_make(&j);
        assert_int_equal(record_open(&j, path, true, from, &e), E_EXISTS);
        assert_non_null(strstr(e.text, path));
        assert_string_equal(read_back(&n), others[i]);
        open_unnamed(&j);
        record_close(&j);
        assert_string_equal(read_back(&n), heading);
        job_clear(&j);
    }
}

/* ---- strangers' files ---- */

#define GOOD "loss blk.0.attn_q.weight 0x1p+2 Q4_0 2 0x1p-3 0x1p-4 F16 0 0 0\ngain blk.0.attn_q.weight 0x1p-1 0\n"
#define NAME "blk.1.ffn_up.weight"
#define FOUR " Q4_0 1 1 1 Q4_1 1 1 1 Q5_0 1 1 1 Q5_1 1 1 1"

static const char *const hostile[] = {
    "",
    " ",
    "loss",
    "loss ",
    "loss " NAME,
    "loss " NAME " ",
    "loss " NAME " 1",
    "loss " NAME " 1 Q4_0",
    "loss " NAME " 1 Q4_0 1",
    "loss " NAME " 1 Q4_0 1 1",
    "loss " NAME " 1 Q4_0 1 1 1x",
    "loss " NAME " 1 Q4_0 1 1 1 Q4_1",
    "loss " NAME " nan Q4_0 1 1 1",
    "loss " NAME " inf Q4_0 1 1 1",
    "loss " NAME " -1 Q4_0 1 1 1",
    "loss " NAME " 1e999 Q4_0 1 1 1",
    "loss " NAME " 1 Q4_0 1 nan 1",
    "loss " NAME " 1 Q4_0 1 1 -0x1p-9",
    "loss " NAME " 1 Q4_0 1 1 infinity",
    "loss " NAME " 1 Q4_0 3 1 1",
    "loss " NAME " 1 Q4_0 -1 1 1",
    "loss " NAME " 1 Q4_0 1e300 1 1",
    "loss " NAME " 1 Q9_9 1 1 1",
    "loss " NAME " 1 Q4_K_M 1 1 1",
    "loss " NAME " 1 I8 1 1 1",   /* cannot be written */
    "loss " NAME " 1 F64 1 1 1",
    "loss " NAME " 1 Q2_0 1 1 1",
    "loss " NAME " 1 Q4_K 1 1 1", /* rows of 64 */
    "loss " NAME " 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 1 1 1",
    "loss " NAME " 1" FOUR FOUR FOUR FOUR " Q8_0 1 1 1", /* 17 */
    "loss blk.9.ffn_up.weight 1 Q4_0 1 1 1",
    "loss blk.1.ffn_up.weigh 1 Q4_0 1 1 1",
    "loss blk.1.ffn_norm.weight 1 F16 1 1 1", /* stays as it is */
    "gain blk.1.ffn_norm.weight 1 1",
    "gain",
    "gain " NAME,
    "gain " NAME " 1",
    "gain " NAME " 1 nan",
    "gain " NAME " 1 -1",
    "gain " NAME " 1 1 1",
    "gains " NAME " 1 1",
    "lossgain " NAME " 1 1",
    "\xff\xfe" NAME " 1 1",
};

static void expect_refused(const char *line)
{
    job j;
    error e;
    char text[16384];
    size_t n;
    snprintf(text, sizeof text, GOOD "%s\n" GOOD, line);
    put_lines(text);
    job_make(&j);
    status s = record_open(&j, path, true, from, &e);
    if (s != E_FORMAT || !strstr(e.text, "measured: line 4 "))
        fail_msg("'%.80s': %s", line, s ? e.text : "is a measurement");
    job_clear(&j);
    job_make(&j);
    open_unnamed(&j);
    record_close(&j);
    assert_string_equal(read_back(&n), heading);
    for (size_t i = 0; i < j.n; i++)
        assert_true(!j.tensors[i].n_candidates && !j.tensors[i].has_gain);
    job_clear(&j);
}

static void strange_lines_are_refused(void **state)
{
    (void)state;
    char *huge = mem_array(9000, 1);
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
        expect_refused(hostile[i]);
    for (size_t n = 1; n < 8192; n *= 2) { /* a name, then a kind, as long as that */
        snprintf(huge, 9000, "loss %0*d 1 Q4_0 1 1 1", (int)n, 0);
        expect_refused(huge);
        snprintf(huge, 9000, "%0*d " NAME " 1 Q4_0 1 1 1", (int)n, 0);
        expect_refused(huge);
        snprintf(huge, 9000, "loss " NAME " 1 %0*d 1 1 1", (int)n, 0);
        expect_refused(huge);
    }
    mem_free(huge);
}

/* Every byte becomes another: it is refused or read, and what is read are numbers that a measurement can have. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    job all;
    size_t n;
    job_make(&all);
    char *text = write_all(&all, &n);
    for (size_t at = 0; at < n; at += 1 + rnd(12)) {
        job j;
        error e;
        char was = text[at];
        text[at] = (char)rnd(256);
        disk_putn(path, text, n);
        text[at] = was;
        job_make(&j);
        status s = record_open(&j, path, true, from, &e);
        assert_true(s == OK || s == E_FORMAT || s == E_EXISTS);
        for (size_t i = 0; !s && i < j.n; i++) {
            const pack_tensor *t = &j.tensors[i];
            assert_true(t->n_candidates <= JOB_CANDIDATES && isfinite(t->noise) && isfinite(t->gain));
            for (size_t c = 0; c < t->n_candidates; c++)
                assert_true(t->candidates[c].type->encode && isfinite(t->candidates[c].loss) &&
                            isfinite(t->candidates[c].direct) && t->candidates[c].way < ENCODER_WAYS);
        }
        job_clear(&j);
    }
    mem_free(text);
    job_clear(&all);
}

/* Measurements are shared by runs that leave different matrices as they are: theirs are none of ours. */
static void of_what_stays_nothing_is_read(void **state)
{
    (void)state;
    static const pack_options wide = { .way = ENCODER_FEEDBACK, .rows_of = 96 };
    job all, j;
    size_t n;
    job_make(&all);
    char *text = write_all(&all, &n);
    job_make(&j);
    j.o = &wide;
    mem_free(j.tensors);
    assert_ok(plan_tensors(&j, err));
    assert_ok(record_open(&j, path, true, from, err));
    for (size_t i = 0; i < j.n; i++)
        if (j.tensors[i].left)
            assert_true(!j.tensors[i].n_candidates && !j.tensors[i].has_gain);
        else
            expect_same(&all.tensors[i], &j.tensors[i]);
    job_clear(&j);
    size_t n_now;
    assert_string_equal(read_back(&n_now), text);
    mem_free(text);
    job_clear(&all);
}

static void places_that_cannot_be_written(void **state)
{
    (void)state;
    job j;
    error e;
    job_make(&j);
    assert_int_equal(record_open(&j, "no/such/folder", false, from, &e), E_IO);
    assert_int_equal(record_open(&j, "/", true, from, &e), E_IO);
    assert_ok(record_losses(&j, &j.tensors[0], err)); /* no record is open */
    assert_ok(record_gain(&j, &j.tensors[0], err));
    job_clear(&j);
}

int main(void)
{
    char full[4096];
    snprintf(heading, sizeof heading, "hearth measured %s\n", from);
    small_write(SMALL_LLAMA);
    if (!realpath(tiny_model_path(), full))
        return 1;
    error e;
    if (gguf_open(&source, full, &e))
        return 1;
    unlink(full);
    const char *folder = disk_enter("record");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measurements_come_back),      cmocka_unit_test(a_cut_file_gives_what_is_whole),
        cmocka_unit_test(measurements_of_something_else), cmocka_unit_test(strange_lines_are_refused),
        cmocka_unit_test(damaged_files_are_read_or_refused), cmocka_unit_test(of_what_stays_nothing_is_read),
        cmocka_unit_test(places_that_cannot_be_written),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    gguf_close(&source);
    disk_remove(folder);
    return rc;
}
