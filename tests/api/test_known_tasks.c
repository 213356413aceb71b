/* The tasks that there are, as recognising needs them: what changes on the disk counts at the next question. */
#include "lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/known_tasks.h"
#include "base/mem.h"
#include "task/task.h"

typedef struct world {
    char home[64];
    known_tasks *c;
} world;

static void write_file(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

/* head: what comes before the messages; more: after all else. */
static void write_task(const char *name, const char *head, const char *system, const char *more)
{
    char path[128], text[1024];
    snprintf(path, sizeof path, "tasks/%s", name);
    assert_true(mkdir(path, 0700) == 0 || access(path, F_OK) == 0);
    snprintf(path, sizeof path, "tasks/%s/task.yaml", name);
    snprintf(text, sizeof text, "hearth: 1\nid: %s\nprivacy: public\n%smessages:\n  - {role: system, content: '%s'}\n"
             "  - {role: user, content: '{{input}}'}\noutput: {kind: text}\ngraders:\n  - {type: length, unit: chars, "
             "max: 100}\n%s", name, head, system, more);
    write_file(path, text);
}

static void write_cases(const char *name, int n, const char *what)
{
    char path[128];
    buf cases = BUF_INIT(1 << 20);
    for (int i = 0; i < n; i++)
        buf_printf(&cases, "{\"id\": \"c%d\", \"input\": \"%s %d\"}\n", i, what, i);
    snprintf(path, sizeof path, "tasks/%s/cases.jsonl", name);
    write_file(path, buf_text(&cases));
    buf_clear(&cases);
}

static int setup(void **state)
{
    static world w;
    strcpy(w.home, "/tmp/hearth-known-XXXXXX");
    if (!mkdtemp(w.home) || setenv("HEARTH_HOME", w.home, 1) || chdir(w.home) || mkdir("tasks", 0700))
        return -1;
    assert_ok(known_tasks_open(&w.c, NULL, err));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    char command[128];
    known_tasks_close(&w->c);
    snprintf(command, sizeof command, "rm -r '%s'", w->home);
    return chdir("/") || system(command);
}

/* How many tasks have this system prompt; of one alone, that it is this one. */
static size_t having(world *w, const char *system, const char *name)
{
    const task_message m = { "system", system };
    char sum[DIGEST_HEX], found[72] = "";
    size_t n = 99;
    bool caller;
    assert_int_equal(task_system_digest(&m, 1, sum, NULL), OK);
    assert_ok(known_tasks_find_system(w->c, sum, &n, found, &caller, err));
    if (n == 1) {
        assert_string_equal(found, name);
        assert_true(caller == (strcmp(name, "caller") == 0));
    }
    return n;
}

static void a_change_counts_at_the_next_question(void **state)
{
    world *w = *state;
    char system[32];
    assert_int_equal(having(w, "S", ""), 0);
    write_task("a", "", "S", "");
    assert_int_equal(having(w, "S", "a"), 1);
    write_task("caller", "prompt: caller\n", "C", "");
    assert_int_equal(having(w, "C", "caller"), 1);
    write_task("b", "", "S", "");
    assert_int_equal(having(w, "S", ""), 2);
    for (int i = 100; i < 300; i++) { /* faster than a file system's clock, always as many bytes */
        snprintf(system, sizeof system, "S%d", i);
        write_task("b", "", system, "");
        assert_int_equal(having(w, system, "b"), 1);
        assert_int_equal(having(w, "S", "a"), 1);
    }
    write_task("b", "", "S", "no_such_key: 1\n"); /* broken: not a task until it is mended */
    assert_int_equal(having(w, "S", "a"), 1);
    write_task("b", "", "B", "");
    assert_int_equal(having(w, "B", "b"), 1);
    write_task("b", "", "B for {{who}}", ""); /* what callers send is filled in */
    assert_int_equal(having(w, "B for {{who}}", ""), 0);
    assert_int_equal(rename("tasks/a", "gone"), 0);
    assert_int_equal(having(w, "S", ""), 0);
    assert_int_equal(rename("gone", "tasks/z"), 0);
    assert_int_equal(having(w, "S", "z"), 1);
}

typedef struct seen {
    size_t calls, n, recognised, texts;
    char first[64];
} seen;

static status look(void *user, const known_task *tasks, size_t n, error *err)
{
    seen *s = user;
    (void)err;
    *s = (seen){ .calls = s->calls + 1, .n = n };
    for (size_t i = 0; i < n; i++) {
        s->recognised += tasks[i].recognised;
        s->texts += tasks[i].n;
        if (tasks[i].n && !s->first[0])
            snprintf(s->first, sizeof s->first, "%s", tasks[i].texts[0]);
    }
    return OK;
}

static void examples_come_again_only_when_they_say_something_else(void **state)
{
    world *w = *state;
    seen s = { 0 };
    uint64_t version = 0;
    write_task("plain", "", "P", "");
    write_cases("plain", 100, "text");
    write_task("split", "", "Q", "split: {held_back: 0.5, salt: x}\n");
    write_cases("split", 40, "other");
    assert_ok(known_tasks_examples(w->c, &version, look, &s, err));
    assert_true(s.calls == 1 && s.n == 2 && s.recognised == 1);
    assert_true(s.texts > KNOWN_EXAMPLES_MAX && s.texts < KNOWN_EXAMPLES_MAX + 40); /* of one the train side */
    assert_string_equal(s.first, "text 0");
    for (int i = 0; i < 5; i++) { /* read again, being young; the same */
        write_cases("plain", 100, "text");
        assert_ok(known_tasks_examples(w->c, &version, look, &s, err));
    }
    assert_int_equal(s.calls, 1);
    write_cases("plain", 100, "test");
    assert_ok(known_tasks_examples(w->c, &version, look, &s, err));
    assert_int_equal(s.calls, 2);
    assert_string_equal(s.first, "test 0");
    write_task("third", "", "R", "");
    assert_ok(known_tasks_examples(w->c, &version, look, &s, err));
    assert_int_equal(s.calls, 3);
    assert_int_equal(rename("tasks/third", "third"), 0);
    assert_ok(known_tasks_examples(w->c, &version, look, &s, err));
    assert_int_equal(s.calls, 4);
}

static atomic_int over;

static void *ask_often(void *user)
{
    uint64_t version = 0;
    while (!atomic_load(&over)) {
        seen s = { 0 };
        (void)having(user, "fixed", "fixed");
        if (known_tasks_examples(((world *)user)->c, &version, look, &s, NULL) != OK)
            abort();
    }
    return NULL;
}

static void many_threads_ask_while_tasks_change(void **state)
{
    world *w = *state;
    pthread_t t[3];
    char system[32];
    write_task("fixed", "", "fixed", "");
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, ask_often, w), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(system, sizeof system, "S%d", i);
        write_task("moving", "", system, "");
        assert_int_equal(having(w, system, "moving"), 1);
    }
    atomic_store(&over, 1);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
}

static void every_allocation_may_fail(void **state)
{
    world *w = *state;
    write_task("a", "", "S", "split: {held_back: 0.5, salt: x}\n");
    write_cases("a", 10, "text");
    for (uint64_t at = 1;; at++) {
        known_tasks *c = NULL;
        const task_message m = { "system", "S" };
        char sum[DIGEST_HEX], name[72];
        size_t n = 0;
        bool caller;
        error e = { 0 };
        assert_int_equal(task_system_digest(&m, 1, sum, NULL), OK);
        mem_fail_at(at);
        uint64_t before = mem_count();
        status s = known_tasks_open(&c, NULL, &e);
        if (!s)
            s = known_tasks_find_system(c, sum, &n, name, &caller, &e);
        uint64_t made = mem_count() - before;
        mem_fail_at(0);
        assert_true(s == OK || e.text[0]);
        if (c) /* and whole again afterwards */
            assert_ok(known_tasks_find_system(c, sum, &n, name, &caller, err));
        assert_true(!c || n == 1);
        known_tasks_close(&c);
        if (made < at)
            break;
        assert_true(at < 100000);
    }
    (void)w;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_counts_at_the_next_question, setup, teardown),
        cmocka_unit_test_setup_teardown(examples_come_again_only_when_they_say_something_else, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_ask_while_tasks_change, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
