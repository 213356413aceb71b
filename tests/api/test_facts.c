/* What is kept between requests is never older than a request: every file of a task, its ledger in this process and in
 * others, a task that comes to lie before it, in whatever order and however fast; while many threads ask. */
#include "lib/check.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/facts.h"
#include "base/mem.h"
#include "ledger/ledger.h"
#include "plat/random.h"
#include "plat/stamp.h"
#include "provider/provider.h"
#include "task/evidence.h"

enum { CASES = 60 };

typedef struct world {
    char home[64];
    config *cfg;
    facts *f;
} world;

/* ---- files ---- */

static void write_file(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void write_yaml(const char *folder, const char *privacy, int bar, const char *graders)
{
    char file[256], text[1024];
    snprintf(file, sizeof file, "%s/task.yaml", folder);
    snprintf(text, sizeof text, "hearth: 1\nid: demo\nprivacy: %s\nprompt: '{{input}}'\noutput:\n  kind: label\n"
             "  labels: [red, green]\ngraders:\n  - type: label\n%sbar: 0.%03d\nsampling: {max_tokens: 8}\n", privacy,
             graders, bar);
    write_file(file, text);
}

static void write_task(const char *folder, const char *privacy, int bar, int n_cases)
{
    char file[256];
    buf cases = BUF_INIT(1 << 20);
    assert_true(mkdir(folder, 0700) == 0 || access(folder, F_OK) == 0);
    write_yaml(folder, privacy, bar, "");
    for (int i = 0; i < n_cases; i++)
        buf_printf(&cases, "{\"id\": \"c%02d\", \"input\": \"number %d\", \"expected\": \"red\"}\n", i, i);
    snprintf(file, sizeof file, "%s/cases.jsonl", folder);
    write_file(file, buf_text(&cases));
    buf_clear(&cases);
}

/* ---- a ledger ---- */

typedef struct writer {
    ledger *l;
    task *t;
    task_case_key *keys;
    size_t n_keys;
    char run[UUID_TEXT];
    int n;
} writer;

/* A run of the task as it lies there now. */
static void begin(writer *w, const char *name)
{
    char *sampling = NULL, weights[DIGEST_HEX];
    memset(w, 0, sizeof *w);
    assert_ok(task_open(&w->t, name, NULL, err));
    assert_ok(task_load_cases(w->t, err));
    assert_ok(ledger_open(&w->l, NULL, LEDGER_WRITE, err));
    assert_ok(task_case_keys(w->t, "local:m.gguf", &w->keys, &w->n_keys, err));
    assert_ok(task_sampling_key(w->t, &sampling, err));
    assert_true(provider_weights("local:m.gguf", NULL, weights) && weights[0]);
    ledger_evidence e = { "local", weights, "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = w->t->id, .provider = "local:m.gguf", .place = "local",
                     .model = "m", .version = "x", .threads = 2, .isa = "avx2", .power = "mains" };
    assert_ok(ledger_begin(w->l, &r, &e, w->run, err));
    assert_ok(ledger_append_fact(w->l, w->run, "peak_bytes", 1e8, "bytes", err));
    mem_free(sampling);
}

static void append(writer *w, bool pass)
{
    char id[UUID_TEXT];
    const task_case_key *k = &w->keys[w->n++];
    ledger_answer x = { .case_id = k->c->id, .prompt = k->prompt, .text = "red", .keep_text = true, .finish = "stop",
                        .n_prompt = 100, .n_output = 10, .prefill_us = 1000, .decode_us = 100000, .ttft_us = 2000,
                        .total_us = 101000, .mean_logprob = NAN };
    ledger_grade g = { k->grader, pass, pass ? LEDGER_PASS : LEDGER_WRONG, NULL };
    assert_ok(ledger_append_answer(w->l, w->run, &x, &g, id, err));
}

static void end(writer *w)
{
    ledger_close(&w->l);
    mem_free(w->keys);
    task_close(&w->t);
}

static void measure(const char *name, int n, int n_pass)
{
    writer w;
    begin(&w, name);
    for (int i = 0; i < n; i++)
        append(&w, i < n_pass);
    end(&w);
}

/* In another program, which opens and closes the ledger as any command does: a fork alone would take ours along. */
static void elsewhere(const char *what)
{
    pid_t p = fork();
    if (p == 0) {
        execl("/proc/self/exe", "test_facts", what, (char *)NULL);
        _exit(1);
    }
    int how = 1;
    assert_true(p > 0 && waitpid(p, &how, 0) == p && how == 0);
}

static void measure_all(void)
{
    measure("demo", CASES, 58);
}

/* ---- the world ---- */

static int setup(void **state)
{
    static world w;
    memset(&w, 0, sizeof w);
    strcpy(w.home, "/tmp/hearth-facts-XXXXXX");
    if (!mkdtemp(w.home) || setenv("HEARTH_HOME", w.home, 1) || chdir(w.home) || mkdir("tasks", 0700) ||
        mkdir("models", 0700))
        return -1;
    write_file("models/m.gguf", "weights");
    write_task("tasks/demo", "public", 700, CASES);
    assert_ok(config_parse(&w.cfg, "version: 1\n", strlen("version: 1\n"), "config", err));
    const facts_options o = { .config = w.cfg };
    assert_ok(facts_open(&w.f, &o, err));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    char command[128];
    facts_close(&w->f);
    config_close(&w->cfg);
    snprintf(command, sizeof command, "rm -r '%s'", w->home);
    return chdir("/") || system(command);
}

static facts_sheet look(world *w, privacy_class c)
{
    const facts_sheet *s = NULL;
    assert_ok(facts_hold(w->f, "demo", c, &s, err));
    facts_sheet copy = *s;
    facts_release(w->f, s);
    copy.t = NULL;
    return copy;
}

static double bar_of(world *w)
{
    return look(w, PRIVACY_PUBLIC).in.bar;
}

/* Until stamps are old enough to be trusted. */
static void settle(void)
{
    usleep(FILE_STAMP_COARSE_US + 100000);
}

/* How many of n calls read. */
static uint64_t reads(world *w, int n)
{
    uint64_t before = facts_count(w->f).read;
    for (int i = 0; i < n; i++)
        (void)look(w, PRIVACY_PUBLIC);
    return facts_count(w->f).read - before;
}

/* ---- tests ---- */

static void what_did_not_change_is_read_once(void **state)
{
    world *w = *state;
    settle();
    assert_int_equal(reads(w, 50), 1);
    elsewhere("all");
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, CASES);
    assert_int_equal(reads(w, 50), 0);
    facts_forget(w->f);
    assert_int_equal(reads(w, 50), 1);
    const facts_sheet *held = NULL;
    error e;
    assert_int_equal(facts_hold(w->f, "dem", PRIVACY_PUBLIC, &held, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "demo"));
    assert_int_equal(facts_hold(w->f, "../demo", PRIVACY_PUBLIC, &held, &e), E_NOTFOUND);
}

static void the_ledger_of_any_process_counts_at_once(void **state)
{
    world *w = *state;
    settle();
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, 0); /* none is there */
    elsewhere("none");                                 /* comes to be, is closed as the last connection */
    (void)look(w, PRIVACY_PUBLIC);
    for (int i = 0; i < 3; i++) { /* opened and closed beside our connection, which must stay valid */
        elsewhere("none");
        (void)look(w, PRIVACY_PUBLIC);
    }
    writer o;
    begin(&o, "demo"); /* in this process */
    for (int i = 0; i < CASES; i++) {
        append(&o, true);
        assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, i + 1);
    }
    end(&o);
    route_decision d;
    route_input in = look(w, PRIVACY_PUBLIC).in;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_LOCAL);
    assert_int_equal(rename("ledger.db", "old.db"), 0); /* another file, or none */
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, 0);
    unlink("ledger.db-wal");
    unlink("ledger.db-shm");
    elsewhere("all");
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n_pass, 58);
}

/* Evidence is of the weights that were measured, not of a name. */
static void the_weights_count(void **state)
{
    world *w = *state;
    elsewhere("all");
    settle();
    for (int i = 0; i < 2; i++) /* the first opens the ledger, and so changes its log */
        assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, CASES);
    assert_int_equal(reads(w, 10), 0);
    write_file("models/m.gguf", "WEIGHTS");
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, 0);
    assert_non_null(strstr(look(w, PRIVACY_PUBLIC).in.local.stale, "the model file changed"));
    assert_int_equal(unlink("models/m.gguf"), 0);
    assert_non_null(strstr(look(w, PRIVACY_PUBLIC).in.local.stale, "the model file is not there"));
    write_file("models/m.gguf", "weights");
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n, CASES);
}

static void every_file_of_a_task_counts(void **state)
{
    world *w = *state;
    struct stat before;
    settle();
    assert_true(bar_of(w) == 0.7);
    /* as long as before, with its old modification time */
    assert_int_equal(stat("tasks/demo/task.yaml", &before), 0);
    write_yaml("tasks/demo", "public", 650, "");
    const struct timespec times[2] = { before.st_atim, before.st_mtim };
    assert_int_equal(utimensat(AT_FDCWD, "tasks/demo/task.yaml", times, 0), 0);
    assert_true(bar_of(w) == 0.65);
    settle();
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n_cases, CASES);
    write_task("tasks/demo", "public", 650, CASES - 1);
    assert_int_equal(look(w, PRIVACY_PUBLIC).in.local.n_cases, CASES - 1);
    /* what a grader runs, though it is not there yet */
    write_yaml("tasks/demo", "public", 650, "  - type: command\n    run: /bin/sh\n    args: [judge.sh]\n");
    settle();
    assert_int_equal(reads(w, 10), 1);
    write_file("tasks/demo/judge.sh", "exit 0\n");
    settle();
    assert_int_equal(reads(w, 10), 1);
    write_file("tasks/demo/judge.sh", "exit 1\n");
    settle();
    assert_int_equal(reads(w, 10), 1);
    /* a label of its folder, or of one above it */
    static const char *const labels[] = { "tasks/demo/.hearth-class", "tasks/.hearth-class", ".hearth-class" };
    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        write_file(labels[i], "private\n");
        settle();
        assert_int_equal(reads(w, 10), 1);
        assert_int_equal(unlink(labels[i]), 0);
        assert_int_equal(reads(w, 10), 1);
    }
    /* a task of the same name that is found before it */
    assert_int_equal(rename("tasks/demo", "aside"), 0);
    assert_int_equal(mkdir("demo", 0700), 0);
    error e;
    const facts_sheet *none = NULL;
    assert_int_equal(facts_hold(w->f, "demo", PRIVACY_PUBLIC, &none, &e), E_NOTFOUND);
    assert_int_equal(rename("aside", "tasks/demo"), 0);
    settle();
    assert_true(bar_of(w) == 0.65);
    write_task("demo", "private", 900, 3);
    facts_sheet s = look(w, PRIVACY_PUBLIC);
    assert_true(s.in.bar == 0.9 && s.in.privacy == PRIVACY_PRIVATE && s.in.local.n_cases == 3);
}

/* Faster than the file system's clock ticks, always as many bytes. */
static void a_change_is_seen_however_soon_it_comes(void **state)
{
    world *w = *state;
    for (int i = 0; i < 300; i++) {
        write_yaml("tasks/demo", "public", 100 + i, "");
        double bar = bar_of(w);
        if (fabs(bar - (100 + i) / 1000.0) > 1e-9)
            fail_msg("after %d changes the bar was %f", i + 1, bar);
    }
    assert_true(facts_count(w->f).read >= 300);
}

static void sides_are_chosen_for_the_class_of_the_request(void **state)
{
    world *w = *state;
    static const char text[] = "version: 1\nproviders:\n"
        "  - {name: far, kind: openai, url: \"https://a.example/v1\", model: m}\n"
        "  - {name: rack, kind: openai, url: \"https://b.example/v1\", model: m, place: on-premises}\n";
    config *c = NULL;
    facts *f = NULL;
    const facts_sheet *s = NULL;
    assert_ok(config_parse(&c, text, strlen(text), "config", err));
    const facts_options o = { .config = c };
    assert_ok(facts_open(&f, &o, err));
    static const struct {
        privacy_class c;
        route_choice choice;
        const char *provider;
    } rows[] = { { PRIVACY_PUBLIC, ROUTE_CLOUD, "far" }, { PRIVACY_INTERNAL, ROUTE_CLOUD, "rack" },
                 { PRIVACY_PRIVATE, ROUTE_REFUSE, "" }, { PRIVACY_SECRET, ROUTE_REFUSE, "" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(facts_hold(f, "demo", rows[i].c, &s, err));
        route_input in = s->in;
        in.privacy = privacy_class_join(s->t->privacy, rows[i].c);
        facts_release(f, s);
        route_decision d;
        route_decide(&in, &d);
        assert_int_equal(d.choice, rows[i].choice);
        assert_string_equal(d.provider, rows[i].provider);
    }
    facts_close(&f);
    config_close(&c);
    (void)w;
}

static void the_table_is_bounded_and_what_is_held_stays(void **state)
{
    world *w = *state;
    const facts_sheet *held = NULL, *s = NULL;
    assert_ok(facts_hold(w->f, "demo", PRIVACY_PUBLIC, &held, err));
    for (int i = 0; i < FACTS_MAX + 20; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "tasks/t%d", i);
        write_task(folder, "public", 500, 2);
        assert_ok(facts_hold(w->f, folder + 6, PRIVACY_PUBLIC, &s, err));
        facts_release(w->f, s);
    }
    assert_string_equal(held->t->id, "demo"); /* its place is long taken */
    assert_int_equal(held->t->n_cases, CASES);
    uint64_t before = facts_count(w->f).read;
    assert_ok(facts_hold(w->f, "demo", PRIVACY_PUBLIC, &s, err));
    assert_ptr_not_equal(s, held);
    assert_int_equal(facts_count(w->f).read, before + 1);
    facts_release(w->f, s);
    facts_release(w->f, held);
}

enum { READERS = 4 };
static atomic_int written, asked, over;

static void *ask_often(void *user)
{
    world *w = user;
    while (!atomic_load(&over)) {
        int at_least = atomic_load(&written);
        const facts_sheet *s = NULL;
        error e = { 0 };
        if (facts_hold(w->f, "demo", PRIVACY_PUBLIC, &s, &e) != OK || s->in.local.n < (uint32_t)at_least) {
            fprintf(stderr, "%s: %u answers are known, %d were there\n", e.text, s ? s->in.local.n : 0, at_least);
            abort();
        }
        facts_release(w->f, s);
        atomic_fetch_add(&asked, 1);
    }
    return NULL;
}

/* Each reader knows how many answers were committed before it asked: it may never be told of fewer. */
static void many_threads_ask_while_the_ledger_grows(void **state)
{
    world *w = *state;
    pthread_t readers[READERS];
    writer o;
    settle();
    begin(&o, "demo");
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, ask_often, w), 0);
    for (int i = 0; i < CASES; i++) {
        append(&o, true);
        atomic_store(&written, i + 1);
        if (i % 7 == 0)
            facts_forget(w->f);
        if (i == CASES / 2)
            write_yaml("tasks/demo", "public", 600, ""); /* the reading is young for a while: everybody reads */
        usleep(2000);
    }
    while (atomic_load(&asked) < CASES) /* also where everything is slow */
        usleep(2000);
    atomic_store(&over, 1);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    end(&o);
    facts_counts c = facts_count(w->f);
    assert_true(c.read <= c.held && c.held >= CASES);
}

static void every_allocation_may_fail(void **state)
{
    world *w = *state;
    measure_all();
    for (uint64_t at = 1;; at++) {
        const facts_sheet *s = NULL;
        error e = { 0 };
        facts_forget(w->f);
        mem_fail_at(at);
        uint64_t before = mem_count();
        status st = facts_hold(w->f, "demo", PRIVACY_PUBLIC, &s, &e);
        uint64_t made = mem_count() - before;
        mem_fail_at(0);
        if (!st) { /* what failed was not needed, or it is over */
            if (s->in.local.n != CASES)
                fail_msg("allocation %llu: %u answers, %s", (unsigned long long)at, s->in.local.n, s->in.local.stale);
            facts_release(w->f, s);
            if (made < at)
                break;
        } else {
            assert_true(e.text[0]);
        }
        assert_true(at < 100000);
        at += at > 300 ? at / 10 : 0;
    }
}

int main(int argc, char **argv)
{
    if (argc == 2) { /* elsewhere */
        measure("demo", strcmp(argv[1], "all") ? 0 : CASES, strcmp(argv[1], "all") ? 0 : 58);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_did_not_change_is_read_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_ledger_of_any_process_counts_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_weights_count, setup, teardown),
        cmocka_unit_test_setup_teardown(every_file_of_a_task_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_seen_however_soon_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(sides_are_chosen_for_the_class_of_the_request, setup, teardown),
        cmocka_unit_test_setup_teardown(the_table_is_bounded_and_what_is_held_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_ask_while_the_ledger_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
