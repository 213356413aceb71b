/* The front's side of a tagger: whatever its worker does but read the text, the text is not clean. The workers are this
 * program under another name, which does what the text of the request says. */
#include "lib/check.h"
#include "lib/helpers.h"

#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plat/build_id.h"
#include "plat/clock.h"
#include "plat/proc.h"
#include "plat/sandbox.h"
#include "provider/provider_int.h"
#include "provider/tagger.h"

static char dir[] = "/tmp/hearth-tagger-XXXXXX", model[100];

/* ---- the worker ---- */

static js *done(const char *finish)
{
    js *j = js_object();
    js_set(j, "finish", js_new_string(finish));
    return j;
}

/* "say JSON": SPANS of it; "hang": nothing; "die"; "cancelled"; "fail". */
static void obey(msg_link *l, const msg *m)
{
    js *j = NULL;
    error err;
    if (js_parse(&j, m->data, m->length, "", 1, &err))
        _exit(1);
    const char *text = js_text(js_get(j, "text"));
    if (strncmp(text, "say ", 4) == 0 && msg_send_text(l, MSG_SPANS, m->request, text + 4, -1, &err))
        _exit(1);
    if (strcmp(text, "die") == 0)
        _exit(3);
    if (strcmp(text, "fail") == 0) {
        js *e = js_object();
        js_set(e, "status", js_new_string("no-memory"));
        js_set(e, "kind", js_new_string("internal"));
        js_set(e, "text", js_new_string("no memory to tag"));
        helper_say(l, MSG_ERROR, m->request, e);
    } else if (strcmp(text, "hang") != 0) {
        usleep(strcmp(text, "slowly") == 0 ? 150000 : 0);
        helper_say(l, MSG_DONE, m->request, done(strcmp(text, "cancelled") == 0 ? "cancelled" : "stop"));
    }
    js_free(j);
}

static int be_a_worker(void)
{
    static const sandbox_options options = { .kind = SANDBOX_COMPUTE };
    sandbox_report r = { 0 };
    error err = { 0 };
    msg_link l;
    msg m;
    bool got;
    if (!proc_is_helper(0))
        return 1;
    js_free(js_object());
    if (sandbox_enter(&options, &r, &err))
        return 1;
    (void)sandbox_test(SANDBOX_COMPUTE, &r);
    msg_link_open(&l, PROC_HELPER_FD);
    js *hello = js_object(), *opened = js_object();
    js_set(hello, "build", js_new_string(build_id()));
    js_set(hello, "sandbox", sandbox_to_js(&r));
    helper_say(&l, MSG_HELLO, 0, hello);
    js_set(opened, "parallel", js_new_int(2));
    js_set(opened, "tags", js_new_bool(true));
    while (msg_receive(&l, &m, &got, -1, &err) == OK) {
        if (got && m.type == MSG_COMPLETE)
            obey(&l, &m);
        else if (got && m.type == MSG_CANCEL)
            helper_say(&l, MSG_DONE, m.request, done("cancelled"));
        else if (got)
            helper_say(&l, MSG_OPENED, 0, js_copy(opened));
    }
    _exit(0);
}

/* ---- the front ---- */

typedef struct seen {
    size_t n;
    detect_span last;
} seen;

static void see(void *to, const detect_span *s)
{
    seen *v = to;
    v->n++;
    v->last = *s;
}

static tagger *opened(uint32_t deadline_ms)
{
    tagger *t = NULL;
    const tagger_options o = { 0.5, deadline_ms };
    assert_ok(tagger_open(&t, model, NULL, &o, err));
    return t;
}

static status tag(tagger *t, const char *text, seen *v, error *e)
{
    *v = (seen){ 0 };
    return tagger_spans(t, text, strlen(text), see, v, e);
}

static void what_it_says(void **state)
{
    (void)state;
    tagger *t = opened(0);
    seen v;
    assert_ok(tag(t, "nothing", &v, err));
    assert_int_equal(v.n, 0);
    assert_ok(tag(t, "say [[4,6,\"CITY\",0.75],[7,9,\"SURNAME\",1]]", &v, err));
    assert_true(v.n == 2 && v.last.begin == 7 && v.last.end == 9 && v.last.probability == 1);
    const char *first = v.last.kind;
    assert_string_equal(first, "SURNAME");
    assert_ok(tag(t, "say [[0,1,\"SURNAME\",0.5]]", &v, err));
    assert_ptr_equal(v.last.kind, first); /* a label stays where it is */
    static const char *const bad[] = {
        "say [[0,999,\"CITY\",1]]", "say [[3,3,\"CITY\",1]]", "say [[-1,3,\"CITY\",1]]", "say [[0,1,7,1]]",
        "say [[0,1,\"CITY\"]]",     "say [[0,1,\"CITY\",2]]", "say {}",                  "say no JSON",
        "say [[0,1,\"CITY\",null]]", "cancelled",
        "say [[0,1,\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",1]]",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error e = { 0 };
        if (tag(t, bad[i], &v, &e) != E_PROVIDER)
            fail_msg("%s: %s", bad[i], e.text);
    }
    error e = { 0 };
    assert_int_equal(tag(t, "die", &v, &e), E_PROVIDER);
    assert_int_equal(tag(t, "fail", &v, &e), E_NOMEM);
    assert_ok(tag(t, "nothing", &v, err)); /* and goes on */
    tagger_close(&t);
}

static void in_time_or_not(void **state)
{
    (void)state;
    tagger *t = opened(300);
    seen v;
    error e = { 0 };
    uint64_t start = clock_mono_us();
    assert_int_equal(tag(t, "hang", &v, &e), E_PROVIDER);
    assert_true(clock_mono_us() - start > 250000 && clock_mono_us() - start < 3000000);
    assert_ok(tag(t, "nothing", &v, err));
    tagger_close(&t);
}

typedef struct asker {
    pthread_t thread;
    tagger *t;
    const char *text;
    status s;
    seen v;
} asker;

static void *ask(void *user)
{
    asker *a = user;
    error e;
    a->s = tag(a->t, a->text, &a->v, &e);
    return NULL;
}

/* More askers than the worker answers at once: they wait for each other, or for their deadline. */
static void many(void **state)
{
    (void)state;
    static const struct {
        uint32_t deadline_ms;
        const char *text;
        bool all;
    } rows[] = { { 20000, "slowly", true }, { 20000, "say [[0,3,\"CITY\",1]]", true }, { 400, "slowly", false } };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        asker a[16] = { { 0 } };
        size_t n_ok = 0;
        tagger *t = opened(rows[k].deadline_ms);
        for (size_t i = 0; i < ARRAY_LEN(a); i++) {
            a[i].t = t;
            a[i].text = rows[k].text;
            assert_int_equal(pthread_create(&a[i].thread, NULL, ask, &a[i]), 0);
        }
        for (size_t i = 0; i < ARRAY_LEN(a); i++) {
            pthread_join(a[i].thread, NULL);
            n_ok += a[i].s == OK;
            assert_true(a[i].s == OK || a[i].s == E_PROVIDER);
            assert_true(a[i].s || a[i].v.n == (k == 1));
        }
        assert_true(rows[k].all ? n_ok == ARRAY_LEN(a) : n_ok >= 1 && n_ok < ARRAY_LEN(a));
        tagger_close(&t);
    }
}

static void without_memory(void **state)
{
    (void)state;
    tagger *t = opened(0);
    bool failed = true;
    for (uint64_t i = 1; failed; i += i < 12 ? 1 : 5) { /* the first are the request's own */
        seen v;
        error e = { 0 };
        mem_fail_at(i);
        status s = tag(t, "say [[4,6,\"CITY\",0.75]]", &v, &e);
        failed = s != OK;
        mem_fail_at(0);
        assert_true(s || v.n == 1);
        assert_true(i < 2000);
        error ignored;
        if (failed) /* a reader that found no memory ended its link: another worker comes */
            (void)tag(t, "nothing", &v, &ignored);
    }
    tagger_close(&t);
}

int main(int argc, char **argv)
{
    (void)argc;
    char self[4096], path[200], command[100];
    if (strstr(argv[0], "/hearth-worker"))
        return be_a_worker();
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    if (!mkdtemp(dir) || setenv("HEARTH_LIBEXEC", dir, 1) || setenv("HEARTH_HOME", dir, 1))
        return 99;
    snprintf(path, sizeof path, "%s/hearth-worker", dir);
    snprintf(model, sizeof model, "local:%s/m.gguf", dir);
    FILE *f = symlink(self, path) ? NULL : fopen(model + 6, "w");
    if (!f || fputs("no model is read here", f) < 0 || fclose(f) != 0)
        return 99;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says), cmocka_unit_test(in_time_or_not), cmocka_unit_test(many),
        cmocka_unit_test(without_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) ? 99 : failed;
}
