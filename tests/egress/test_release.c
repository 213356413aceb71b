/* No record, no send: a server that counts connections and bytes gets none at all while the audit log cannot be
 * written, and finds the record durable when the first byte comes. */
#include "privacy/audit_test.h"
#include "lib/helpers.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "provider/provider.h"

/* ---- a server that answers each request and looks into the log first ---- */

static int listener, port;
static atomic_int connections, requests, unwritten; /* unwritten: bytes came, and fewer records than requests */

static uint64_t releases_written(void)
{
    audit_verdict v = { 0 };
    audit_question q = { .log = NULL };
    error e;
    return audit_verify(&q, NULL, NULL, &v, &e) == OK && v.holds ? v.releases : 0;
}

/* One request with Content-Length; false: the other side has closed. */
static bool read_request(int fd)
{
    char text[65536];
    size_t n = 0;
    while (n < sizeof text - 1) {
        ssize_t k = read(fd, text + n, sizeof text - 1 - n);
        if (k <= 0)
            return false;
        if (n == 0 && releases_written() < (uint64_t)atomic_load(&requests) + 1)
            atomic_fetch_add(&unwritten, 1);
        n += (size_t)k;
        text[n] = 0;
        char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (body && length && (size_t)(text + n - body - 4) >= (size_t)strtoul(length + 16, NULL, 10))
            break;
    }
    atomic_fetch_add(&requests, 1);
    return true;
}

static void *serve(void *unused)
{
    static const char answer[] = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"yes\"},"
                                 "\"finish_reason\":\"stop\"}]}";
    char head[200];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n", sizeof answer - 1);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        atomic_fetch_add(&connections, 1);
        while (read_request(fd))
            if (write(fd, head, (size_t)n) != n || write(fd, answer, sizeof answer - 1) != sizeof answer - 1)
                break;
    }
    return unused;
}

static bool start_server(void)
{
    static pthread_t id;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = listener >= 0 && bind(listener, (struct sockaddr *)&at, n) == 0 && listen(listener, 16) == 0 &&
              getsockname(listener, (struct sockaddr *)&at, &n) == 0;
    port = ntohs(at.sin_port);
    return ok && pthread_create(&id, NULL, serve, NULL) == 0;
}

/* ---- asking ---- */

static void open_provider(provider **p)
{
    char spec[100];
    snprintf(spec, sizeof spec, "openai:http://127.0.0.1:%d/v1#big", port);
    assert_ok(provider_open(p, spec, NULL, err));
}

static int keep_fault(void *user, const event *e)
{
    if (e->kind == EVENT_ERROR)
        *(fault_kind *)user = e->error->kind;
    return 0;
}

static status ask(provider *p, fault_kind *kind, error *err)
{
    static const request_message m = { "user", "CANARY-7761 \"\\\n\x7f gr\xc3\xbc\xc3\x9f" };
    request r;
    request_init(&r);
    r.privacy = PRIVACY_PUBLIC;
    r.messages = &m;
    r.n_messages = 1;
    r.task = "ticket-class";
    r.scope = "laptop";
    r.id = "req-1";
    r.policy = "rule-3";
    r.detectors = "d-1";
    r.sampling.temperature = 0.1;
    return provider_complete(p, &r, keep_fault, kind, NULL, err);
}

/* ---- ways in which a log cannot be written ---- */

static void no_room(void)
{
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100, RLIM_INFINITY }), 0);
}

static void room(void)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), 0);
}

static void log_is_a_folder(void)
{
    assert_int_equal(mkdir(at_home("audit.log"), 0700), 0);
}

static void no_state(void)
{
    store("audit.log", "{}\n", 3);
}

static void log_leads_away(void)
{
    assert_int_equal(symlink("/dev/null", at_home("audit.log")), 0);
}

static void nothing_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*spoil)(void), (*mend)(void);
    } rows[] = {
        { "no room", no_room, room },
        { "a folder in the log's place", log_is_a_folder, NULL },
        { "a log without a state", no_state, NULL },
        { "a link to a device", log_leads_away, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p = NULL;
        fault_kind kind = FAULT_INTERNAL;
        error e = { 0 };
        empty_folder(home);
        open_provider(&p);
        rows[i].spoil();
        for (int again = 0; again < 3; again++) {
            status s = ask(p, &kind, &e);
            if (s == OK || kind != FAULT_DENIED || !strstr(e.text, "nothing was sent") || !strstr(e.text, "audit."))
                fail_msg("%s: status %d, kind %s: %s", rows[i].what, (int)s, fault_kind_name(kind), e.text);
        }
        assert_true(provider_process(p) > 0); /* egress runs and waits */
        usleep(100000);
        assert_int_equal(atomic_load(&connections), 0);
        assert_int_equal(atomic_load(&requests), 0);
        if (rows[i].mend) {
            rows[i].mend();
            empty_folder(home);
        }
        provider_close(&p);
    }
    empty_folder(home);
}

/* Each request has its record before its first byte; the record is of the bytes that came. */
static void written_first(void **state)
{
    (void)state;
    provider *p = NULL;
    open_provider(&p);
    for (int i = 1; i <= 20; i++) {
        fault_kind kind;
        error e = { 0 };
        if (ask(p, &kind, &e) != OK)
            fail_msg("%s", e.text);
        assert_int_equal(atomic_load(&requests), i);
        assert_int_equal(releases_written(), i);
    }
    provider_close(&p);
    assert_int_equal(atomic_load(&unwritten), 0);
    bytes log = load("audit.log");
    static const char *const says[] = { "\"class\":\"public\"", "\"task\":\"ticket-class\"", "\"caller\":\"laptop\"",
                                        "\"place\":\"remote\"", "\"host\":\"http://127.0.0.1:", "\"model\":\"big\"",
                                        "\"policy\":\"rule-3\"", "\"detectors\":\"d-1\"", "\"request\":\"req-1\"" };
    for (size_t i = 0; i < ARRAY_LEN(says); i++)
        if (!strstr(log.p, says[i]))
            fail_msg("%s is not in the log", says[i]);
    assert_null(strstr(log.p, "CANARY"));
    mem_free(log.p);
}

/* A request that fails, and is asked again, is two records: what left twice is there twice. */
static void every_attempt(void **state)
{
    (void)state;
    provider *p = NULL;
    uint64_t before = releases_written();
    assert_ok(provider_open(&p, "openai:http://127.0.0.1:1/v1#big", NULL, err));
    for (int i = 0; i < 2; i++) {
        fault_kind kind = FAULT_INTERNAL;
        error e = { 0 };
        assert_int_equal(ask(p, &kind, &e), E_PROVIDER);
        assert_int_equal(kind, FAULT_UNREACHABLE);
    }
    provider_close(&p);
    /* and of each attempt that was made again: how many there are is the retry budget's to say */
    assert_in_range(releases_written(), before + 2, before + 2 * 5);
}

int main(void)
{
    find_helpers();
    signal(SIGPIPE, SIG_IGN);
    if (!start_server()) {
        printf("no socket can be opened\n");
        return 77;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_sent), cmocka_unit_test(written_first),
                                        cmocka_unit_test(every_attempt) };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
