/* Writing in any order and in several runs: the file is always the one that a single run in the declared order makes,
 * whatever the order, whenever a run was killed, and whatever has become of what it left. */
#include "lib/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gguf/write.h"
#include "lib/disk.h"
#include "lib/random.h"
#include "plat/file.h"
#include "quant/quant.h"

enum { TENSORS = 6, FILE_MAX = 1 << 20, PIECES_MAX = 64 };

static const char path[] = "w.gguf", part[] = "w.gguf.part", journal[] = "w.gguf.part.done";

/* What a file is made of: the same header for every seed, other bytes. */
typedef struct source {
    unsigned seed, scale;
    const char *made_from;
} source;

static const source small = { 1, 1, "one" }, other = { 2, 1, "two" }, large = { 3, 600, "large" };

static size_t tensor_bytes(const source *s, size_t i)
{
    return (i * i * 13 + 5) * s->scale;
}

static unsigned char byte_of(const source *s, size_t tensor, size_t at)
{
    return (unsigned char)((tensor * 31 + at * 7 + (at >> 8) * 3) * s->seed + at % 5);
}

static void declare(gguf_writer *w, const source *s)
{
    gguf_writer_alignment(w, 64);
    gguf_writer_str(w, "general.architecture", "tiny");
    for (size_t i = 0; i < TENSORS; i++)
        gguf_writer_tensor(w, (const char[]){ 't', (char)('0' + i), 0 }, QUANT_I8, 1,
                           (const uint64_t[]){ tensor_bytes(s, i) });
}

static void put_piece(gguf_writer *w, const source *s, size_t tensor, size_t from, size_t to)
{
    unsigned char *bytes = mem_alloc(to - from);
    assert_non_null(bytes);
    for (size_t k = from; k < to; k++)
        bytes[k - from] = byte_of(s, tensor, k);
    gguf_writer_data_at(w, tensor, from, bytes, to - from);
    mem_free(bytes);
}

typedef struct piece {
    size_t tensor, from, to;
} piece;

/* Every tensor that is not whole, in pieces, all of them in no order. */
static void put_pieces(gguf_writer *w, const source *s, const bool *whole)
{
    piece list[PIECES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        size_t all = tensor_bytes(s, i), step = 1 + all / (1 + rnd(PIECES_MAX / TENSORS - 2));
        for (size_t from = 0; from < all && !whole[i]; from += step)
            list[n++] = (piece){ i, from, from + step < all ? from + step : all };
    }
    for (size_t i = n; i > 1; i--) {
        size_t k = rnd(i);
        piece p = list[k];
        list[k] = list[i - 1];
        list[i - 1] = p;
    }
    for (size_t i = 0; i < n; i++)
        put_piece(w, s, list[i].tensor, list[i].from, list[i].to);
}

static void remove_all(void)
{
    unlink(path);
    unlink(part);
    unlink(journal);
}

/* The whole file, as one run in the declared order makes it; the place is empty afterwards. */
static buf golden_of(const source *s)
{
    buf out = BUF_INIT(FILE_MAX);
    gguf_writer *w = NULL;
    remove_all();
    assert_ok(gguf_writer_open(&w, path, err));
    declare(w, s);
    for (size_t i = 0; i < TENSORS; i++)
        for (size_t k = 0; k < tensor_bytes(s, i); k++)
            gguf_writer_data(w, (const unsigned char[]){ byte_of(s, i, k) }, 1);
    assert_ok(gguf_writer_finish(&w, err));
    assert_ok(file_slurp(path, &out, err));
    remove_all();
    return out;
}

static void expect_file(const buf *golden)
{
    buf got = BUF_INIT(FILE_MAX);
    assert_ok(file_slurp(path, &got, err));
    assert_int_equal(got.len, golden->len);
    assert_memory_equal(got.data, golden->data, golden->len);
    assert_false(disk_has(part));
    assert_false(disk_has(journal));
    buf_clear(&got);
}

/* One run, from what is there to the end. Says how many tensors it found whole. */
static status run(const source *s, size_t *found, error *err)
{
    gguf_writer *w = NULL;
    bool whole[TENSORS];
    status st = gguf_writer_open(&w, path, err);
    if (st)
        return st;
    declare(w, s);
    st = gguf_writer_resume(w, s->made_from, whole, err);
    for (size_t i = 0; !st && found && i < TENSORS; i++)
        *found += whole[i];
    if (!st)
        put_pieces(w, s, whole);
    if (!st)
        return gguf_writer_finish(&w, err);
    gguf_writer_close(&w);
    return st;
}

static void finish_run(const source *s, const buf *golden, size_t *found)
{
    assert_ok(run(s, found, err));
    expect_file(golden);
    remove_all();
}

static void expect_refusal(gguf_writer **w, status wanted, const char *says)
{
    error e;
    status now = gguf_writer_ok(*w, &e), got = gguf_writer_finish(w, &e);
    if (got != wanted || !strstr(e.text, says))
        fail_msg("got %s '%s', wanted '%s'", status_name(got), got ? e.text : "", says);
    assert_true(now == OK || now == wanted);
    assert_false(disk_has(part));
    assert_false(disk_has(path));
}

/* ---- any order --------------------------------------------------------------------------------------------------- */

static void any_order_is_the_declared_one(void **state)
{
    (void)state;
    static const bool none[TENSORS];
    buf golden = golden_of(&small);
    for (int round = 0; round < 50; round++) {
        gguf_writer *w = NULL;
        assert_ok(gguf_writer_open(&w, path, err));
        declare(w, &small);
        put_pieces(w, &small, none);
        assert_ok(gguf_writer_finish(&w, err));
        expect_file(&golden);
    }
    gguf_writer *w = NULL; /* one tensor ahead, the others as they were declared */
    assert_ok(gguf_writer_open(&w, path, err));
    declare(w, &small);
    put_piece(w, &small, 2, 0, tensor_bytes(&small, 2));
    for (size_t i = 0; i < TENSORS; i++)
        for (size_t k = 0; i != 2 && k < tensor_bytes(&small, i); k++)
            gguf_writer_data(w, (const unsigned char[]){ byte_of(&small, i, k) }, 1);
    assert_ok(gguf_writer_finish(&w, err));
    expect_file(&golden);
    remove_all();
    buf_clear(&golden);
}

static void begin(gguf_writer **w)
{
    assert_ok(gguf_writer_open(w, path, err));
    declare(*w, &small);
}

static void what_is_missing_or_twice_is_refused(void **state)
{
    (void)state;
    static const bool none[TENSORS], but_one[TENSORS] = { [3] = true };
    gguf_writer *w = NULL;
    remove_all();
    begin(&w);
    put_pieces(w, &small, but_one);
    expect_refusal(&w, E_RANGE, "w.gguf: tensor 't3': 0 of its 122 bytes were written");
    begin(&w);
    put_pieces(w, &small, but_one);
    put_piece(w, &small, 3, 1, 122);
    expect_refusal(&w, E_RANGE, "tensor 't3': 121 of its 122 bytes");
    begin(&w);
    put_piece(w, &small, 3, 5, 10);
    put_piece(w, &small, 3, 9, 12);
    expect_refusal(&w, E_RANGE, "tensor 't3': bytes at 9 were written before");
    begin(&w);
    put_pieces(w, &small, none);
    put_piece(w, &small, 0, 4, 5);
    expect_refusal(&w, E_RANGE, "tensor 't0': bytes at 4 were written before");
    begin(&w);
    put_piece(w, &small, 0, 4, 6);
    expect_refusal(&w, E_RANGE, "tensor 't0': 2 bytes at 4 are more than its 5");
    begin(&w);
    gguf_writer_data_at(w, 0, UINT64_MAX, "ab", 2);
    expect_refusal(&w, E_RANGE, "are more than its 5");
    begin(&w);
    gguf_writer_data_at(w, TENSORS, 0, "a", 1);
    expect_refusal(&w, E_RANGE, "data of tensor 6, and 6 are declared");
    begin(&w);
    gguf_writer_data(w, "a", 1);
    bool whole[TENSORS];
    error e;
    assert_int_equal(gguf_writer_resume(w, "", whole, &e), E_RANGE);
    expect_refusal(&w, E_RANGE, "only a file without data yet");
}

static void room_is_asked_for(void **state)
{
    (void)state;
    gguf_writer *w = NULL;
    error e;
    begin(&w);
    assert_ok(gguf_writer_room(w, err));
    gguf_writer_tensor(w, "huge", QUANT_I8, 1, (const uint64_t[]){ 1ull << 60 });
    assert_int_equal(gguf_writer_room(w, &e), E_NOFIT);
    assert_non_null(strstr(e.text, "w.gguf: 1048576.0 TiB are needed, and its disk has "));
    gguf_writer_close(&w);
}

/* ---- killed ------------------------------------------------------------------------------------------------------ */

/* Never returns. */
static void child_run(const source *s)
{
    error e;
    _exit(run(s, NULL, &e) == OK ? 0 : 1);
}

static bool ended_well(int how)
{
    if (WIFEXITED(how) && WEXITSTATUS(how) != 0)
        fail_msg("a run failed");
    return WIFEXITED(how);
}

/* A run that is killed at its n-th stop, before or after a system call. True: it ended before that. -1: no tracing. */
static int run_to_stop(const source *s, unsigned n)
{
    int how = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(2);
        raise(SIGSTOP);
        child_run(s);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    if (WIFEXITED(how))
        return -1;
    for (unsigned i = 0; i < n && !WIFEXITED(how); i++) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &how, 0), pid);
    }
    if (ended_well(how))
        return true;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    return false;
}

/* Exhaustive: a file's life, cut before and after each of its system calls; then gone on with, once directly, once cut
 * again, once by a run that makes another file with the same header. */
static void killed_at_every_system_call(void **state)
{
    (void)state;
    buf golden = golden_of(&small), second = golden_of(&other);
    size_t found = 0;
    int ended = false;
    for (unsigned n = 1; ended == false; n++) {
        ended = run_to_stop(&small, n);
        if (ended < 0) {
            print_message("no tracing here\n");
            skip();
        }
        if (disk_has(path))
            assert_true(!disk_has(part));
        if (n % 3 == 1)
            (void)run_to_stop(&small, 1 + rnd(n));
        if (n % 3 == 2)
            finish_run(&other, &second, NULL);
        finish_run(&small, &golden, &found);
        assert_true(n < 10000);
    }
    assert_true(found > 0);
    buf_clear(&golden);
    buf_clear(&second);
}

static void killed_at_random_moments(void **state)
{
    (void)state;
    buf golden = golden_of(&large);
    unsigned kills = 0;
    for (int round = 0; round < 10; round++) {
        int how = 0;
        for (unsigned attempt = 1; attempt == 1 || !ended_well(how); attempt++) {
            pid_t pid = fork();
            assert_true(pid >= 0);
            if (pid == 0)
                child_run(&large);
            usleep(rnd(attempt * 200));
            kill(pid, SIGKILL);
            assert_int_equal(waitpid(pid, &how, 0), pid);
            kills += WIFSIGNALED(how);
        }
        expect_file(&golden);
        remove_all();
    }
    assert_true(kills > 10);
    buf_clear(&golden);
}

/* ---- what was left ----------------------------------------------------------------------------------------------- */

/* A run that ends with all tensors but the last written, and is kept. */
static void leave(const source *s)
{
    gguf_writer *w = NULL;
    bool whole[TENSORS];
    remove_all();
    assert_ok(gguf_writer_open(&w, path, err));
    declare(w, s);
    assert_ok(gguf_writer_resume(w, s->made_from, whole, err));
    for (size_t i = 0; i < TENSORS; i++) {
        assert_false(whole[i]);
        if (i < TENSORS - 1)
            put_piece(w, s, i, 0, tensor_bytes(s, i));
    }
    put_piece(w, s, TENSORS - 1, 7, 20);
    gguf_writer_keep(&w);
    assert_null(w);
    assert_true(disk_has(part) && disk_has(journal));
}

static void flip(const char *file, size_t at)
{
    FILE *f = fopen(file, "r+");
    assert_non_null(f);
    fseek(f, (long)at, SEEK_SET);
    int c = fgetc(f);
    assert_true(c != EOF);
    fseek(f, (long)at, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

static size_t file_bytes(const char *file)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    return (size_t)st.st_size;
}

static size_t header_bytes(const buf *golden)
{
    gguf *g = NULL;
    assert_ok(gguf_parse(&g, golden->data, golden->len, golden->len, "golden", err));
    size_t n = (size_t)gguf_header_bytes(g, 0);
    gguf_close(&g);
    return n;
}

static void what_is_whole_is_kept_and_what_is_damaged_is_not(void **state)
{
    (void)state;
    buf golden = golden_of(&small);
    size_t found = 0, header = header_bytes(&golden);
    leave(&small);
    size_t n_part = file_bytes(part), n_journal = file_bytes(journal);
    finish_run(&small, &golden, &found);
    assert_int_equal(found, TENSORS - 1);
    for (size_t at = 0; at < n_part; at += 1 + rnd(8)) { /* one bit of the part */
        leave(&small);
        flip(part, at);
        found = 0;
        finish_run(&small, &golden, &found);
        bool in_last = at >= golden.len - 64 * ((tensor_bytes(&small, TENSORS - 1) + 63) / 64);
        assert_int_equal(found, at < header ? 0 : in_last ? TENSORS - 1 : TENSORS - 2);
    }
    for (size_t at = 0; at < n_journal; at += 1 + rnd(10)) { /* of the journal; and its end */
        leave(&small);
        flip(journal, at);
        found = 0;
        finish_run(&small, &golden, &found);
        assert_true(found < TENSORS - 1);
        leave(&small);
        assert_int_equal(truncate(journal, (off_t)at), 0);
        found = 0;
        finish_run(&small, &golden, &found);
        assert_true(found < TENSORS - 1);
        leave(&small);
        assert_int_equal(truncate(journal, (off_t)at), 0);
        (void)run_to_stop(&small, 60); /* goes on behind a line that was cut */
        finish_run(&small, &golden, NULL);
    }
    buf_clear(&golden);
}

static void add_to(const char *file, const char *text)
{
    FILE *f = fopen(file, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void what_is_of_another_run_is_not_believed(void **state)
{
    (void)state;
    buf golden = golden_of(&small), second = golden_of(&other), third = golden_of(&large);
    size_t found = 0;
    leave(&small); /* the same header, other bytes */
    finish_run(&other, &second, &found);
    leave(&small); /* another header */
    finish_run(&large, &third, &found);
    leave(&large);
    finish_run(&small, &golden, &found);
    leave(&small); /* longer than it can be */
    assert_int_equal(truncate(part, 1 << 16), 0);
    finish_run(&small, &golden, &found);
    leave(&small);
    unlink(journal);
    finish_run(&small, &golden, &found);
    leave(&small);
    unlink(part);
    finish_run(&small, &golden, &found);
    leave(&small);
    unlink(journal);
    disk_link("/etc/hostname", journal);
    finish_run(&small, &golden, &found);
    assert_int_equal(found, 0);
    leave(&small);
    add_to(journal, "9 1 x\n-1 2 y\n99999999999999999999 4 z\n\n 1\nnothing\n0\n");
    finish_run(&small, &golden, &found);
    assert_int_equal(found, TENSORS - 1);
    leave(&small);
    add_to(journal, "1 18 0000000000000000000000000000000000000000000000000000000000000000\n");
    finish_run(&small, &golden, &found); /* the last word counts */
    assert_int_equal(found, 2 * TENSORS - 3);
    buf_clear(&golden);
    buf_clear(&second);
    buf_clear(&third);
}

/* Behind a line that was cut the next one begins a line of its own. */
static void a_cut_line_costs_one_tensor(void **state)
{
    (void)state;
    buf golden = golden_of(&small);
    gguf_writer *w = NULL;
    bool whole[TENSORS];
    size_t found = 0;
    leave(&small);
    assert_int_equal(truncate(journal, (off_t)file_bytes(journal) - 10), 0);
    begin(&w);
    assert_ok(gguf_writer_resume(w, small.made_from, whole, err));
    assert_true(whole[TENSORS - 3] && !whole[TENSORS - 2]);
    put_piece(w, &small, TENSORS - 2, 0, tensor_bytes(&small, TENSORS - 2));
    gguf_writer_keep(&w);
    finish_run(&small, &golden, &found);
    assert_int_equal(found, TENSORS - 1);
    buf_clear(&golden);
}

static void without_resume_nothing_is_kept(void **state)
{
    (void)state;
    buf golden = golden_of(&small);
    gguf_writer *w = NULL;
    leave(&other);
    begin(&w);
    gguf_writer_keep(&w); /* nothing was done: what was there is there */
    assert_true(disk_has(part) && disk_has(journal));
    begin(&w);
    gguf_writer_close(&w);
    assert_false(disk_has(part) || disk_has(journal));
    begin(&w);
    gguf_writer_keep(&w);
    assert_false(disk_has(part) || disk_has(journal));
    leave(&other);
    begin(&w);
    put_piece(w, &small, 0, 0, 5);
    assert_false(disk_has(journal));
    gguf_writer_keep(&w);
    assert_false(disk_has(part));
    leave(&other);
    begin(&w);
    put_pieces(w, &small, (const bool[TENSORS]){ 0 });
    assert_ok(gguf_writer_finish(&w, err));
    expect_file(&golden);
    remove_all();
    gguf_writer_keep(&w);
    buf_clear(&golden);
}

static void one_writer_at_a_time(void **state)
{
    (void)state;
    gguf_writer *w = NULL, *v = NULL;
    error e;
    begin(&w);
    put_piece(w, &small, 0, 0, 5);
    assert_int_equal(gguf_writer_open(&v, path, &e), E_EXISTS);
    assert_non_null(strstr(e.text, "w.gguf.part: another process writes it"));
    assert_null(v);
    assert_true(disk_has(part));
    gguf_writer_close(&w);
    assert_ok(gguf_writer_open(&v, path, err));
    gguf_writer_close(&v);
}

/* Processes that all want the same file: each is refused or writes it whole. */
static void many_writers(void **state)
{
    (void)state;
    enum { WRITERS = 6, ROUNDS = 40 };
    buf golden = golden_of(&small);
    pid_t pids[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        for (int round = 0; pids[i] == 0 && round < ROUNDS; round++) {
            error e;
            status s = run(&small, NULL, &e);
            if (s != OK && s != E_EXISTS)
                _exit(1);
        }
        if (pids[i] == 0)
            _exit(0);
    }
    for (int i = 0; i < WRITERS; i++) {
        int how = 0;
        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(ended_well(how));
    }
    expect_file(&golden);
    remove_all();
    buf_clear(&golden);
}

static void without_memory(void **state)
{
    (void)state;
    buf golden = golden_of(&small);
    status s = E_NOMEM;
    for (uint64_t n = 1; s; n++) {
        gguf_writer *w = NULL;
        bool whole[TENSORS];
        error e;
        leave(&small);
        mem_fail_at(n);
        s = gguf_writer_open(&w, path, &e);
        if (!s) {
            declare(w, &small);
            s = gguf_writer_resume(w, small.made_from, whole, &e);
            for (size_t i = 0; !s && i < TENSORS; i++)
                for (size_t k = 0; !whole[i] && k < tensor_bytes(&small, i); k++)
                    gguf_writer_data(w, (const unsigned char[]){ byte_of(&small, i, k) }, 1);
            s = gguf_writer_ok(w, &e);
            if (s)
                gguf_writer_keep(&w);
            else
                s = gguf_writer_finish(&w, &e);
        }
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE); /* a buffer does not say which */
        if (s && disk_has(part)) { /* what was whole is whole yet, where the file could go on */
            size_t found = 0;
            finish_run(&small, &golden, &found);
        }
    }
    expect_file(&golden);
    remove_all();
    buf_clear(&golden);
}

int main(void)
{
    const char *dir = disk_enter("gguf-write");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_is_the_declared_one),
        cmocka_unit_test(what_is_missing_or_twice_is_refused),
        cmocka_unit_test(room_is_asked_for),
        cmocka_unit_test(killed_at_every_system_call),
        cmocka_unit_test(killed_at_random_moments),
        cmocka_unit_test(what_is_whole_is_kept_and_what_is_damaged_is_not),
        cmocka_unit_test(what_is_of_another_run_is_not_believed),
        cmocka_unit_test(a_cut_line_costs_one_tensor),
        cmocka_unit_test(without_resume_nothing_is_kept),
        cmocka_unit_test(one_writer_at_a_time),
        cmocka_unit_test(many_writers),
        cmocka_unit_test(without_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_remove(dir);
    return failed;
}
