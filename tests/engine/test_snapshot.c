/* Snapshots of the prefix cache: what one engine has computed another takes from a file, and the logits are those of an
 * engine that computed everything. What must not be in the file is not; a file with anything odd in it is not used. */
#include "lib/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/generate.h"
#include "engine/snapshot.h"
#include "engine/snapshot_sum.h"
#include "engine/walk.h"
#include "gguf/gguf.h"

enum { CONTEXT = 640, N_VOCAB = 96, LONG = 300, HEADER = SNAPSHOT_HEADER, ENTRY = SNAPSHOT_ENTRY };

static engine *open_model(const char *kind, engine_kv kv, uint64_t kv_pages)
{
    write_window_model(kind, kind[0] == 'l' ? 0 : 100);
    engine_options o;
    engine_options_init(&o);
    o.context = CONTEXT;
    o.n_sessions = 3;
    o.batch = o.rewind = 32;
    o.n_threads = 1;
    o.kv_type = kv;
    gguf *g = NULL;
    engine *e = NULL;
    if (kv_pages) {
        engine_budget b;
        assert_ok(gguf_open(&g, tiny_model_path(), err));
        assert_ok(engine_plan(g, &o, &b, err));
        gguf_close(&g);
        o.kv_bytes = engine_kv_bytes(&b, kv_pages, o.n_sessions);
    }
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

/* Texts 0..3 share their first 150 tokens. */
static void text_of(uint32_t text, int32_t *out)
{
    for (uint32_t i = 0; i < LONG; i++) {
        uint32_t x = (i < 150 ? 7u : 100u + text) * 2654435761u + i * 40503u;
        out[i] = (int32_t)(x >> 7) % N_VOCAB;
    }
}

static bool may_keep(const char *scope)
{
    return scope[0] == '@';
}

static snapshot_options usual(void)
{
    return (snapshot_options){ .model = "0123", .max_bytes = 1 << 30, .max_ms = 60000, .keeps = may_keep };
}

/* Says n tokens of the text in the scope; how many of them were known. The last logits, if wanted. */
static uint32_t say(engine *e, const char *scope, uint32_t text, uint32_t n, float *logits)
{
    int32_t tokens[LONG];
    session *s = NULL;
    const float *last;
    text_of(text, tokens);
    assert_ok(session_open(&s, e, err));
    assert_ok(session_share(s, scope, err));
    uint32_t known = session_recall(s, tokens, n);
    assert_ok(session_feed(s, tokens + known, n - known, &last, NULL, NULL, err));
    if (logits)
        memcpy(logits, last, N_VOCAB * sizeof *logits);
    session_remember(s);
    session_close(&s);
    return known;
}

static int new_file(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int fd = dup(fileno(f));
    fclose(f);
    assert_true(fd >= 0);
    return fd;
}

static snapshot_report write_to(engine *e, int fd)
{
    snapshot_options o = usual();
    snapshot_report r;
    assert_ok(engine_snapshot_write(e, fd, &o, &r, err));
    return r;
}

static status read_from(engine *e, int fd, error *err)
{
    snapshot_options o = usual();
    snapshot_report r;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return engine_snapshot_read(e, fd, &o, &r, err);
}

static void accounts(const engine *e, bool empty)
{
    for (int k = 0; k < MODEL_KINDS; k++) {
        uint32_t held = 0;
        for (uint32_t i = 0; i < e->kv[k].n_pages; i++) {
            held += e->kv[k].holders[i] != 0;
            assert_true(e->kv[k].holders[i] == e->kv[k].cached[i]); /* nobody but the tree */
        }
        assert_int_equal(held + e->kv[k].n_free, e->kv[k].n_pages);
        assert_true(!empty || held == 0);
    }
}

/* Cold, from the file, and from the file of an engine that had it from a file: the same logits. */
static void back_again(void **state)
{
    (void)state;
    static const char *const kinds[] = { "llama", "gemma3", "mistral" };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        for (int kv = 0; kv < ENGINE_KV_TYPES; kv++) {
            float cold[N_VOCAB], warm[N_VOCAB];
            engine *first = open_model(kinds[i], (engine_kv)kv, 0), *e = first;
            int fd = new_file();
            say(first, "@a", 0, LONG, NULL);
            say(first, "@b", 1, 200, NULL);
            snapshot_report r = write_to(first, fd);
            assert_int_equal(r.n_pages, LONG / 64 + 200 / 64);
            assert_int_equal(r.bytes, lseek(fd, 0, SEEK_END));
            assert_false(r.cut);
            for (int turn = 0; turn < 2; turn++) {
                e = open_model(kinds[i], (engine_kv)kv, 0);
                assert_ok(read_from(e, fd, err));
                accounts(e, false);
                poison_free_pages(e);
                assert_int_equal(say(e, "@b", 0, 190, NULL), 128); /* of what 0 and 1 share */
                assert_int_equal(say(e, NULL, 0, LONG, cold), 0);
                assert_int_equal(say(e, "@a", 0, LONG, warm), 256);
                assert_memory_equal(cold, warm, sizeof cold);
                assert_int_equal(say(e, "@b", 1, 190, NULL), 128);
                close(fd);
                fd = new_file();
                write_to(e, fd);
                engine_close(&e);
            }
            close(fd);
            engine_close(&first);
        }
}

static char *whole(int fd, size_t *n)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    *n = (size_t)st.st_size;
    char *bytes = mem_alloc(*n + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, *n, 0), st.st_size);
    return bytes;
}

static bool has(const char *bytes, size_t n, const void *what, size_t k)
{
    return memmem(bytes, n, what, k) != NULL;
}

/* Only scopes that may: of the others neither name nor tokens nor pages are in the file. */
static void nothing_of_others(void **state)
{
    (void)state;
    engine *e = open_model("llama", ENGINE_KV_F16, 0);
    int32_t open_text[LONG], private_text[LONG];
    size_t n;
    session *s = NULL;
    text_of(1, open_text);
    text_of(2, private_text);
    say(e, "@open", 1, LONG, NULL);
    say(e, "=secret-scope", 2, LONG, NULL);
    say(e, "*", 2, LONG, NULL);
    assert_ok(session_open(&s, e, err)); /* holds the pages that must not be there */
    assert_ok(session_share(s, "=secret-scope", err));
    assert_int_equal(session_recall(s, private_text, LONG), 256);
    const char *page = s->pages.of[MODEL_GLOBAL][3];
    int fd = new_file();
    snapshot_report r = write_to(e, fd);
    assert_int_equal(r.n_pages, LONG / 64);
    char *bytes = whole(fd, &n);
    assert_true(has(bytes, n, "@open", 6) && has(bytes, n, open_text + 192, 64 * sizeof *open_text));
    assert_false(has(bytes, n, "secret", 6) || has(bytes, HEADER, "*", 1 + 1));
    assert_false(has(bytes, n, private_text + 192, 16 * sizeof *private_text));
    assert_false(has(bytes, n, page, 64));
    mem_free(bytes);
    close(fd);
    session_close(&s);
    engine_forget(e, "@open"); /* nothing that may be kept: nothing is written */
    fd = new_file();
    assert_int_equal(write_to(e, fd).n_pages, 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), 0);
    close(fd);
    engine_close(&e);
}

/* ---- odd files ---- */

enum damage { FLIP, SET32, CUT, GROW };
static const struct odd_file {
    const char *what;
    enum damage how;
    long at;       /* from the beginning; negative: from the end */
    uint32_t value;
    bool resum;    /* the header's checksum is right all the same */
    status s;
} odd_files[] = {
    { "magic", FLIP, 0, 1, false, E_FORMAT },
    { "version", SET32, 8, 2, true, E_UNSUPPORTED },
    { "byte order", SET32, 12, 0x04030201, true, E_UNSUPPORTED },
    { "model", FLIP, 16, 1, true, E_UNSUPPORTED },
    { "numerics", FLIP, 80, 1, true, E_UNSUPPORTED },
    { "KV type", SET32, 96, 1, true, E_UNSUPPORTED },
    { "exact", SET32, 100, 1, true, E_UNSUPPORTED },
    { "context", SET32, 104, 1024, true, E_UNSUPPORTED },
    { "vocabulary", SET32, 112, 97, true, E_UNSUPPORTED },
    { "page's tokens", SET32, 116, 32, true, E_UNSUPPORTED },
    { "page's bytes", SET32, 120, 64, true, E_UNSUPPORTED },
    { "header's sum", FLIP, 200, 1, false, E_FORMAT },
    { "scopes: more than there are", SET32, 136, 4000000000u, true, E_FORMAT },
    { "scopes: one without a name", SET32, 136, 3, true, E_FORMAT },
    { "scopes: fewer than are used", SET32, 136, 1, true, E_FORMAT },
    { "entries: more than there are", SET32, 140, 4000000000u, true, E_FORMAT },
    { "a scope that may not be there", SET32, 144, '=', true, E_FORMAT },
    { "a scope twice", SET32, 144 + 128, '@' | 'a' << 8, true, E_FORMAT },
    { "entry's number", SET32, HEADER, 1, true, E_FORMAT },
    { "entry's parent", SET32, HEADER + 4, 0, true, E_FORMAT },
    { "entry's parent far away", SET32, HEADER + 4, 0x80000000u, true, E_FORMAT },
    { "entry's scope", SET32, HEADER + 8, 7, true, E_FORMAT },
    { "entry's kinds", SET32, HEADER + 12, 2, true, E_FORMAT },
    { "entry without pages", SET32, HEADER + 12, 0, true, E_FORMAT },
    { "a token", SET32, HEADER + 16, N_VOCAB, true, E_FORMAT },
    { "a token below zero", SET32, HEADER + 16, 0xFFFFFFFFu, true, E_FORMAT },
    { "another token", SET32, HEADER + 16, 5, true, E_FORMAT },
    { "entry's sum", FLIP, HEADER + 272, 1, true, E_FORMAT },
    { "a bit of a page", FLIP, HEADER + ENTRY + 77, 16, true, E_FORMAT },
    { "the last bit", FLIP, -1, 128, true, E_FORMAT },
    { "a byte too few", CUT, -1, 0, true, E_FORMAT },
    { "half of it", CUT, HEADER + 5000, 0, true, E_FORMAT },
    { "the header alone", CUT, HEADER, 0, true, E_FORMAT },
    { "less than a header", CUT, 100, 0, false, E_FORMAT },
    { "nothing", CUT, 0, 0, false, E_FORMAT },
};

/* What adds up and cannot be all the same: entries in the wrong order, twice, below one of another scope. */
static void entries_that_add_up(void **state)
{
    (void)state;
    static const struct {
        uint32_t entry, field, value;
        bool copy_tokens; /* those of entry 0 */
        status s;
    } rows[] = {
        { 1, 4, 0, false, OK },             /* as it is */
        { 1, 4, (uint32_t)-1, true, E_FORMAT }, /* the root has these tokens already */
        { 2, 8, 0, false, E_FORMAT },       /* below an entry of another scope */
        { 2, 4, 2, false, E_FORMAT },       /* below itself */
        { 2, 4, 3, false, E_FORMAT },
        { 3, 4, 0, false, OK },             /* a sibling: another text, but a possible one */
        { 2, 0, 3, false, E_FORMAT },
        { 2, 12, 3, false, E_FORMAT },      /* a window page, in a model that has none */
        { 2, 16, 1u << 31, false, E_FORMAT },
    };
    engine *e = open_model("llama", ENGINE_KV_F16, 0);
    const size_t page = e->kv[MODEL_GLOBAL].page_bytes;
    size_t n;
    int fd = new_file();
    say(e, "@b", 1, 70, NULL);
    say(e, "@a", 0, LONG, NULL);
    write_to(e, fd);
    char *bytes = whole(fd, &n), *copy = mem_alloc(n);
    assert_non_null(copy);
    close(fd);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        error why = { 0 };
        char *x = copy + HEADER + rows[i].entry * (ENTRY + page);
        memcpy(copy, bytes, n);
        memcpy(x + rows[i].field, &rows[i].value, 4);
        if (rows[i].copy_tokens)
            memcpy(x + 16, copy + HEADER + 16, 256);
        snapshot_resum_entry(x, page);
        fd = new_file();
        assert_int_equal(write(fd, copy, n), (ssize_t)n);
        engine_forget(e, NULL);
        status s = read_from(e, fd, &why);
        if (s != rows[i].s)
            fail_msg("row %zu: status %d: %s", i, (int)s, why.text);
        accounts(e, s != OK);
        close(fd);
    }
    mem_free(bytes);
    mem_free(copy);
    engine_close(&e);
}

static int damaged(const char *bytes, size_t n, const struct odd_file *f)
{
    char *copy = mem_alloc(n);
    size_t at = f->at < 0 ? n - (size_t)-f->at : (size_t)f->at, left = f->how == CUT ? at : n;
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    if (f->how == FLIP)
        copy[at] = (char)(copy[at] ^ (char)f->value);
    else if (f->how == SET32)
        memcpy(copy + at, &f->value, 4);
    if (f->resum)
        snapshot_resum_header(copy);
    int fd = new_file();
    assert_int_equal(write(fd, copy, left), (ssize_t)left);
    mem_free(copy);
    return fd;
}

static void odd_files_are_not_used(void **state)
{
    (void)state;
    engine *e = open_model("llama", ENGINE_KV_F16, 0);
    size_t n;
    int fd = new_file();
    say(e, "@a", 0, LONG, NULL);
    say(e, "@b", 1, 200, NULL);
    write_to(e, fd);
    char *bytes = whole(fd, &n);
    uint64_t sum = snapshot_sum(0, bytes, HEADER - 8);
    assert_memory_equal(bytes + HEADER - 8, &sum, 8); /* or the rows would all be refused for the sum */
    close(fd);
    engine_close(&e);
    e = open_model("llama", ENGINE_KV_F16, 0);
    for (size_t i = 0; i < ARRAY_LEN(odd_files); i++) {
        error why = { 0 };
        fd = damaged(bytes, n, &odd_files[i]);
        status s = read_from(e, fd, &why);
        if (s != odd_files[i].s)
            fail_msg("%s: status %d: %s", odd_files[i].what, (int)s, why.text);
        assert_true(why.text[0]);
        accounts(e, true);
        close(fd);
    }
    fd = damaged(bytes, n, &(struct odd_file){ "not at all", FLIP, 0, 0, false, OK });
    assert_ok(read_from(e, fd, err));
    accounts(e, false);
    error no;
    assert_int_equal(read_from(e, fd, &no), E_EXISTS);
    assert_int_equal(say(e, "@a", 0, LONG, NULL), 256); /* and nothing was lost by that */
    close(fd);
    mem_free(bytes);
    engine_close(&e);
}

/* Every bit of a header and of an entry, and some of each page: nothing that is read differs from what was written. */
static void no_bit_is_free(void **state)
{
    (void)state;
    engine *e = open_model("gemma3", ENGINE_KV_Q8, 0);
    size_t n;
    int fd = new_file();
    say(e, "@a", 0, 130, NULL);
    write_to(e, fd);
    char *bytes = whole(fd, &n);
    engine_forget(e, NULL);
    close(fd);
    fd = new_file();
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    for (size_t at = 0; at < n; at += at < 160 ? 1 : at < HEADER ? 61 : at < HEADER + ENTRY ? 1 : 499) {
        char changed = (char)(bytes[at] ^ 1 << at % 8);
        error no;
        assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
        if (read_from(e, fd, &no) == OK)
            fail_msg("byte %zu was changed, and nobody saw it", at);
        accounts(e, true);
        assert_int_equal(pwrite(fd, &bytes[at], 1, (off_t)at), 1);
    }
    assert_ok(read_from(e, fd, err));
    close(fd);
    mem_free(bytes);
    engine_close(&e);
}

/* ---- limits ---- */

/* Few bytes, little room: the latest stays, and what stays is right. */
static void the_latest_first(void **state)
{
    (void)state;
    float cold[N_VOCAB], warm[N_VOCAB];
    engine *e = open_model("llama", ENGINE_KV_F16, 0);
    uint64_t page = e->kv[MODEL_GLOBAL].page_bytes + ENTRY;
    snapshot_options o = usual();
    snapshot_report r;
    say(e, "@old", 0, LONG, NULL);
    say(e, "@new", 1, LONG, cold);
    for (uint32_t n = 0; n <= 8; n++) {
        int fd = new_file();
        o.max_bytes = HEADER + n * page + page - 1;
        assert_ok(engine_snapshot_write(e, fd, &o, &r, err));
        assert_int_equal(r.n_pages, n);
        assert_int_equal(r.cut, n < 8);
        assert_true((uint64_t)lseek(fd, 0, SEEK_END) <= o.max_bytes);
        engine *other = open_model("llama", ENGINE_KV_F16, 0);
        if (n) {
            assert_ok(read_from(other, fd, err));
            assert_int_equal(say(other, "@new", 1, LONG, warm), (n < 4 ? n : 4) * 64);
            assert_memory_equal(cold, warm, sizeof cold);
            assert_int_equal(say(other, "@old", 0, LONG, NULL), n < 4 ? 0 : (n - 4) * 64);
        } else {
            error no;
            assert_int_equal(read_from(other, fd, &no), E_FORMAT);
        }
        engine_close(&other);
        close(fd);
    }
    o = usual();
    o.max_ms = 0; /* no time: a deadline that has passed by the second page at the latest */
    int fd = new_file();
    assert_ok(engine_snapshot_write(e, fd, &o, &r, err));
    assert_true(r.n_pages <= 8);
    close(fd);
    engine_close(&e);
}

static void a_smaller_pool(void **state)
{
    (void)state;
    static const char *const kinds[] = { "llama", "gemma3" };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        float cold[N_VOCAB], warm[N_VOCAB];
        engine *e = open_model(kinds[i], ENGINE_KV_F16, 0), *small;
        int fd = new_file();
        say(e, "@old", 0, LONG, NULL);
        say(e, "@new", 1, LONG, cold);
        write_to(e, fd);
        for (uint64_t pages = 5; pages < 9; pages++) { /* what is restored makes way for a session */
            small = open_model(kinds[i], ENGINE_KV_F16, pages);
            assert_ok(read_from(small, fd, err));
            accounts(small, false);
            poison_free_pages(small);
            say(small, "@new", 1, LONG, warm);
            assert_memory_equal(cold, warm, sizeof cold);
            say(small, NULL, 3, LONG, NULL);
            engine_close(&small);
        }
        close(fd);
        engine_close(&e);
    }
}

/* A disk that is full: an error, and no file that could be taken for one. */
static void a_full_disk(void **state)
{
    (void)state;
    engine *e = open_model("llama", ENGINE_KV_F16, 0);
    snapshot_options o = usual();
    snapshot_report r;
    error why = { 0 };
    say(e, "@a", 0, LONG, NULL);
    FILE *full = fopen("/dev/full", "w");
    if (!full)
        skip();
    assert_int_equal(engine_snapshot_write(e, fileno(full), &o, &r, &why), E_IO);
    assert_true(why.text[0]);
    fclose(full);
    int pair[2]; /* what cannot seek is no file */
    assert_int_equal(pipe(pair), 0);
    assert_int_equal(engine_snapshot_write(e, pair[1], &o, &r, &why), E_IO);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(say(e, "@a", 0, LONG, NULL), 256);
    engine_close(&e);
}

/* kill -9 at any moment: afterwards the file is none, or whole and right. */
static void killed_while_it_writes(void **state)
{
    (void)state;
    float cold[N_VOCAB], warm[N_VOCAB];
    engine *e = open_model("gemma3", ENGINE_KV_F32, 0);
    int whole_ones = 0, none = 0;
    say(e, "@a", 0, LONG, cold);
    say(e, "@b", 1, LONG, NULL);
    for (useconds_t i = 0; i < 60; i++) {
        int fd = new_file(), how;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            snapshot_options o = usual();
            snapshot_report r;
            for (;;) { /* again and again into the file: also what is overwritten is at no moment whole and wrong */
                if (ftruncate(fd, 0) != 0 || engine_snapshot_write(e, fd, &o, &r, NULL) != OK)
                    _exit(1);
            }
        }
        usleep(i * 37 % 1000 + i);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        engine *other = open_model("gemma3", ENGINE_KV_F32, 0);
        error no;
        status s = read_from(other, fd, &no);
        accounts(other, s != OK);
        whole_ones += s == OK;
        none += s == E_FORMAT;
        if (s == OK) {
            assert_int_equal(say(other, "@a", 0, LONG, warm), 256);
            assert_memory_equal(cold, warm, sizeof cold);
        }
        engine_close(&other);
        close(fd);
    }
    assert_int_equal(whole_ones + none, 60);
    assert_true(none > 0);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(back_again),
        cmocka_unit_test(nothing_of_others),
        cmocka_unit_test(odd_files_are_not_used),
        cmocka_unit_test(entries_that_add_up),
        cmocka_unit_test(no_bit_is_free),
        cmocka_unit_test(the_latest_first),
        cmocka_unit_test(a_smaller_pool),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(killed_while_it_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
