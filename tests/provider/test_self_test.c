/* A worker's self-test decides what it is given. The workers here are this program under another name: they speak the
 * real protocol from real sandboxes, or from none, and say what the test wants. */
#include "lib/check.h"
#include "lib/helpers.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plat/build_id.h"
#include "plat/proc.h"
#include "plat/sandbox.h"
#include "provider/proof.h"
#include "provider/provider_int.h"
#include "provider/self_test.h"

static char dir[] = "/tmp/hearth-self-test-XXXXXX", model[100];

/* ---- the worker ---- */

static js *hello(const char *mode, const sandbox_report *r)
{
    js *j = js_object(), *sandbox = sandbox_to_js(r), *checks = js_array();
    const js *all = js_get(sandbox, "checks");
    bool leaks = strcmp(mode, "leaks") == 0, fewer = strcmp(mode, "fewer") == 0, claims = strcmp(mode, "claims") == 0;
    for (size_t i = fewer; i < js_len(all); i++) {
        js *c = js_copy(js_at(all, i));
        js_set(c, "denied", js_new_bool(!(leaks && i == 3) && (claims || js_bool(js_get(c, "denied"), false))));
        js_push(checks, c);
    }
    js_set(sandbox, "checks", checks);
    if (claims)
        js_set(sandbox, "seccomp", js_new_bool(true));
    js_set(j, "process", js_new_string("worker"));
    js_set(j, "build", js_new_string(build_id()));
    if (strcmp(mode, "silent") != 0)
        js_set(j, "sandbox", sandbox);
    else
        js_free(sandbox);
    return j;
}

/* As on a system without seccomp: the real worker, which asks for its filter in vain. */
static void be_the_real_one(void)
{
    char path[4096];
    char name[] = "hearth-worker", *none[] = { name, NULL };
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 20);
    path[n > 0 ? n : 0] = 0;
    for (int i = 0; i < 3 && strrchr(path, '/'); i++)
        *strrchr(path, '/') = 0;
    snprintf(path + strlen(path), 20, "/hearth-worker");
    fcntl(PROC_HELPER_FD, F_SETFD, 0);
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    if (!f || seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(seccomp), 0) ||
        seccomp_rule_add(f, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP, 0)) ||
        seccomp_load(f))
        _exit(1);
    execv(path, none);
    _exit(1);
}

/* Reads what it is to be from `mode` beside it, then answers every request with one word. */
static int be_a_worker(const char *self)
{
    char path[300], mode[32] = "";
    static const sandbox_options options = { .kind = SANDBOX_COMPUTE };
    sandbox_report r = { 0 };
    error err = { 0 };
    msg_link l;
    msg m;
    bool got;
    snprintf(path, sizeof path, "%.200s", self);
    snprintf(path + strlen(dirname(path)), 20, "/mode");
    FILE *f = fopen(path, "r");
    if (!f || !fgets(mode, sizeof mode, f) || !proc_is_helper(0))
        return 1;
    fclose(f);
    js_free(js_object());
    if (strcmp(mode, "real") == 0)
        be_the_real_one();
    if (strcmp(mode, "none") != 0 && strcmp(mode, "claims") != 0 && sandbox_enter(&options, &r, &err))
        return 1;
    (void)sandbox_test(SANDBOX_COMPUTE, &r);
    msg_link_open(&l, PROC_HELPER_FD);
    helper_say(&l, MSG_HELLO, 0, hello(mode, &r));
    while (msg_receive(&l, &m, &got, -1, &err) == OK) {
        js *done = js_object();
        js_set(done, "finish", js_new_string("stop"));
        js_set(done, "parallel", js_new_int(1));
        if (got && m.type == MSG_COMPLETE && msg_send_text(&l, MSG_TEXT, m.request, "word", -1, &err))
            break;
        if (got)
            helper_say(&l, m.type == MSG_OPEN ? MSG_OPENED : MSG_DONE, m.request, done);
    }
    _exit(0);
}

/* ---- the front ---- */

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static status ask(provider *p, privacy_class c, error *e)
{
    request r;
    char *answer = NULL;
    event_done end;
    request_init(&r);
    r.kind = REQUEST_TEXT;
    r.text = "canary";
    r.privacy = c;
    status s = provider_answer(p, &r, &answer, &end, NULL, e);
    if (!s)
        assert_string_equal(answer, "word");
    mem_free(answer);
    return s;
}

static config *configured(const char *providers)
{
    char text[400];
    config *c = NULL;
    snprintf(text, sizeof text, "version: 1\n%s", providers);
    assert_ok(config_parse(&c, text, strlen(text), "config.yaml", err));
    return c;
}

static const char cloud[] = "providers:\n  - {name: cloud, kind: openai, url: \"https://cloud.invalid/v1\", "
                            "model: m}\n";
static const char rack[] = "providers:\n  - {name: rack, kind: openai, url: \"http://10.0.0.7/v1\", model: m, "
                           "place: on-premises}\n";

static void what_a_worker_is_given(void **state)
{
    (void)state;
    const struct {
        const char *mode, *servers;
        bool private; /* and secret */
        const char *says;
    } rows[] = {
        { "holds", "", true, NULL },    { "holds", cloud, true, NULL },
        { "none", "", true, NULL },     { "none", cloud, false, "seccomp" },   { "none", rack, false, "seccomp" },
        { "claims", "", true, NULL },   { "claims", cloud, false, "seccomp" }, /* the kernel says otherwise */
        { "leaks", "", false, "socket(AF_NETLINK) was not denied" },
        { "leaks", cloud, false, "socket(AF_NETLINK) was not denied" },
        { "fewer", "", false, "attempted only" },
        { "silent", cloud, false, "seccomp" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p = NULL;
        config *c = configured(rows[i].servers);
        put("mode", rows[i].mode);
        assert_ok(provider_open(&p, model, c, err));
        for (privacy_class k = PRIVACY_PUBLIC; k <= PRIVACY_SECRET; k++) {
            error e = { 0 };
            status s = ask(p, k, &e), want = k < PRIVACY_PRIVATE || rows[i].private ? OK : E_DENIED;
            if (s != want || (s && !strstr(e.text, rows[i].says)))
                fail_msg("%s, %s, %s: %s %s", rows[i].mode, rows[i].servers[0] ? "servers" : "no servers",
                         privacy_class_name(k), status_name(s), e.text);
        }
        provider_close(&p);
        config_close(&c);
    }
}

/* A server that no configuration names counts while it is open. */
static void a_server_of_the_moment(void **state)
{
    (void)state;
    provider *p = NULL, *server = NULL;
    config *c = configured("");
    error e = { 0 };
    put("mode", "none");
    assert_ok(provider_open(&p, model, c, err));
    assert_ok(provider_open(&server, "openai:https://cloud.invalid/v1#m", c, err));
    assert_int_equal(ask(p, PRIVACY_PRIVATE, &e), E_DENIED);
    assert_int_equal(ask(p, PRIVACY_INTERNAL, &e), OK);
    provider_close(&server);
    assert_int_equal(ask(p, PRIVACY_PRIVATE, &e), OK);
    provider_close(&p);
    config_close(&c);
}

/* One that is started again is judged again. */
static void another_worker(void **state)
{
    (void)state;
    provider *p = NULL;
    config *c = configured(cloud);
    error e = { 0 };
    put("mode", "holds");
    assert_ok(provider_open(&p, model, c, err));
    assert_int_equal(ask(p, PRIVACY_SECRET, &e), OK);
    put("mode", "leaks");
    kill(provider_process(p), SIGKILL);
    status s = OK;
    for (int i = 0; i < 50 && (s = ask(p, PRIVACY_SECRET, &e)) == E_PROVIDER; i++)
        usleep(20000); /* its death may be met in the middle of a request */
    assert_int_equal(s, E_DENIED);
    provider_close(&p);
    config_close(&c);
}

static void proof_says_it(void **state)
{
    (void)state;
    const struct {
        const char *mode, *servers, *reason, *private;
    } rows[] = { { "leaks", "", "socket(AF_NETLINK) was not denied", "refused" },
                 { "none", "", "seccomp does not confine it: private requests are answered", "served" },
                 { "none", rack, "seccomp does not confine it: private requests are refused", "refused" },
                 { "real", "", "seccomp does not confine it: private requests are answered", "served" },
                 { "real", rack, "seccomp does not confine it: private requests are refused", "refused" },
                 { "claims", rack, "seccomp does not confine it: private requests are refused", "refused" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        proof *p = NULL;
        bool holds = true, found = false;
        config *c = configured(rows[i].servers);
        put("mode", rows[i].mode);
        assert_ok(proof_open(&p, c, err));
        proof_try_worker(p);
        js *doc = proof_close(&p, &holds);
        assert_non_null(doc);
        assert_false(holds);
        assert_false(js_bool(js_get(doc, "holds"), true));
        for (size_t k = 0; k < js_len(js_get(doc, "reasons")); k++)
            found = found || strstr(js_text(js_at(js_get(doc, "reasons"), k)), rows[i].reason);
        if (!found)
            fail_msg("%s: no reason '%s'", rows[i].mode, rows[i].reason);
        assert_string_equal(js_text(js_get(js_at(js_get(doc, "workers"), 0), "private")), rows[i].private);
        js_free(doc);
        config_close(&c);
    }
}

/* Without memory for a reason there is no proof, and never one that holds. */
static void proof_without_memory(void **state)
{
    (void)state;
    config *c = configured(rack);
    uint64_t n = 0;
    put("mode", "leaks");
    for (uint64_t i = 0; i <= n; i += 1 + n / 400) {
        proof *p = NULL;
        bool holds = true;
        error e = { 0 };
        js *doc = NULL;
        uint64_t before = mem_count();
        mem_fail_at(i);
        if (!proof_open(&p, c, &e)) {
            proof_try_worker(p);
            doc = proof_close(&p, &holds);
            assert_false(holds);
        }
        mem_fail_at(0);
        if (i == 0)
            n = mem_count() - before;
        assert_true(i > 0 || doc);
        assert_false(js_bool(js_get(doc, "holds"), false));
        js_free(doc);
    }
    assert_true(n > 100);
    config_close(&c);
}

int main(int argc, char **argv)
{
    (void)argc;
    char self[4096], path[200], command[100];
    if (strstr(argv[0], "/hearth-worker"))
        return be_a_worker(argv[0]);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    if (!mkdtemp(dir) || setenv("HEARTH_LIBEXEC", dir, 1) || setenv("HEARTH_HOME", dir, 1))
        return 99;
    snprintf(path, sizeof path, "%s/hearth-worker", dir);
    snprintf(model, sizeof model, "local:%s/m.gguf", dir);
    if (symlink(self, path))
        return 99;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_worker_is_given), cmocka_unit_test(a_server_of_the_moment),
        cmocka_unit_test(another_worker),         cmocka_unit_test(proof_says_it),
        cmocka_unit_test(proof_without_memory),
    };
    put("m.gguf", "no model is read here");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) ? 99 : failed;
}
