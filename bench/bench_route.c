/* What the decision adds to a request.
 *   1. alone: facts_hold (are the files and the ledger as they were?), route_decide, the prompt's rendering; for bodies
 *      of several sizes, kept and read anew each time (as every request did before there was facts.h)
 *   2. decisions a second and p99 of 1 and 4 threads: alone, with a line of the log for each, and with a record of the
 *      audit log for each, which waits for the disk (BENCH_DIR, default build) or not (/dev/shm)
 *   3. through a served hearth, log on: a task that is local against the same request that names the model; what the
 *      log says of the time from the body's end to the decision (route_us), and what the client sees
 *
 *   tools/bench build route        HEARTH_BUILD says where hearth is (build) */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/catalogue.h"
#include "api/facts.h"
#include "api/journal.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/random.h"
#include "privacy/audit.h"
#include "provider/provider.h"
#include "task/evidence.h"

enum { THREADS_MAX = 8, CASES = 60, PIECE = 1 << 17 };

static char home[300];

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_route: %s\n", what);
    exit(1);
}

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        error must_err = { 0 }, *err = &must_err;                                                                      \
        (void)err;                                                                                                     \
        must((call) == OK, must_err.text);                                                                             \
    } while (0)

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double own_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double at(double *sorted, size_t n, double share)
{
    return n ? sorted[(size_t)(share * (double)(n - 1))] : NAN;
}

/* ---- a home with a task and its evidence ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

static void write_task(void)
{
    char path[400];
    buf cases = BUF_INIT(1 << 20);
    snprintf(path, sizeof path, "%s/tasks", home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/tasks/bench", home);
    must(mkdir(path, 0700) == 0, path);
    snprintf(path, sizeof path, "%s/tasks/bench/task.yaml", home);
    write_file(path, "hearth: 1\nid: bench\nprivacy: public\nmessages:\n  - {role: system, content: 'You answer in one "
               "word.'}\n  - {role: user, content: '{{input}}'}\noutput: {kind: text}\ngraders:\n  - {type: length, "
               "unit: chars, max: 1000000}\nbar: 0.5\nsampling: {max_tokens: 1}\n");
    for (int i = 0; i < CASES; i++)
        buf_printf(&cases, "{\"id\": \"c%02d\", \"input\": \"number %d\"}\n", i, i);
    snprintf(path, sizeof path, "%s/tasks/bench/cases.jsonl", home);
    write_file(path, buf_text(&cases));
    buf_clear(&cases);
}

enum { SETTLE_US = 4000000 }; /* until the files' stamps are old enough to be trusted */

static void put_evidence(const char *provider, const char *place, const char *source, int n_pass)
{
    task *t = NULL;
    ledger *l = NULL;
    task_case_key *keys = NULL;
    size_t n = 0;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT], weights[DIGEST_HEX];
    must(provider_weights(provider, NULL, weights), provider);
    MUST(task_open(&t, "bench", NULL, err));
    MUST(task_load_cases(t, err));
    MUST(ledger_open(&l, NULL, LEDGER_WRITE, err));
    MUST(task_case_keys(t, provider, &keys, &n, err));
    MUST(task_sampling_key(t, &sampling, err));
    ledger_evidence e = { source, weights, "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = "bench", .provider = provider, .place = place,
                     .model = "m", .version = "x", .threads = 2, .isa = "avx2", .power = "mains" };
    MUST(ledger_begin(l, &r, &e, run, err));
    MUST(ledger_append_fact(l, run, "peak_bytes", 1e8, "bytes", err));
    for (size_t i = 0; i < n; i++) {
        ledger_answer a = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = "x", .keep_text = true,
                            .finish = "stop", .n_prompt = 9, .n_output = 1, .total_us = 1000, .mean_logprob = NAN };
        ledger_grade g = { keys[i].grader, (int)i < n_pass, (int)i < n_pass ? LEDGER_PASS : LEDGER_WRONG, NULL };
        MUST(ledger_append_answer(l, run, &a, &g, id, err));
    }
    mem_free(keys);
    mem_free(sampling);
    ledger_close(&l);
    task_close(&t);
}

/* ---- one decision ---- */

typedef enum beside { NOTHING, LOG_LINE, AUDIT } beside;

typedef struct lane {
    facts *f;
    const char *text; /* the user's */
    beside what;
    journal *log;
    audit *audit;
    double *us, *own; /* by the clock; by the processor: what others on the machine do is not in it */
    size_t n;
} lane;

/* What a request with this text goes through between its reader and its provider. The inspector of its class
 * (detectors, fingerprints) belongs at the beginning of it. */
static void decide_one(const lane *l)
{
    const facts_sheet *s = NULL;
    route_decision d;
    task_messages messages = { 0 };
    js *variables = js_object();
    must(js_set(variables, "input", js_new_string(l->text)), "no memory");
    MUST(facts_hold(l->f, "bench", PRIVACY_PUBLIC, &s, err));
    route_input in = s->in;
    in.privacy = privacy_class_join(s->t->privacy, PRIVACY_PUBLIC);
    route_decide(&in, &d);
    must(d.choice == ROUTE_LOCAL, d.reason);
    MUST(task_render(s->t, task_prompt_for(s->t, d.provider), variables, NULL, &messages, err));
    task_messages_clear(&messages);
    facts_release(l->f, s);
    js_free(variables);
}

static void *run_lane(void *user)
{
    lane *l = user;
    static const char line[] = "{\"time\":\"2026-11-26T14:35:56.279Z\",\"id\":\"req_01a2\",\"method\":\"POST\",\"path\":"
        "\"/v1/chat/completions\",\"status\":200,\"whole\":true,\"key\":\"laptop\",\"model\":\"task:bench\",\"provider\":"
        "\"small\",\"class\":\"public\",\"route_us\":40,\"prompt_tokens\":31,\"completion_tokens\":24,\"ms\":240.4}\n";
    audit_entry e = { .privacy = PRIVACY_PUBLIC, .place = PRIVACY_REMOTE, .host = "https://api.example.com:443",
                      .model = "m", .task = "bench", .caller = "laptop", .request = "chatcmpl-1", .policy = "class",
                      .detectors = "1", .body = l->text, .body_bytes = strlen(l->text) };
    audit_receipt receipt;
    for (size_t i = 0; i < l->n; i++) {
        double own = own_us();
        uint64_t start = now_ns();
        decide_one(l);
        if (l->what == LOG_LINE)
            journal_add(l->log, line, sizeof line - 1);
        if (l->what == AUDIT)
            MUST(audit_append(l->audit, &e, &receipt, err));
        l->us[i] = (double)(now_ns() - start) / 1e3;
        l->own[i] = own_us() - own;
    }
    return NULL;
}

static void run_lanes(const char *label, lane one, int threads, size_t n)
{
    pthread_t id[THREADS_MAX];
    lane all[THREADS_MAX];
    double *us = calloc(n, sizeof *us), *own = calloc(n, sizeof *own);
    must(us && own, "no memory");
    uint64_t start = now_ns();
    for (int i = 0; i < threads; i++) {
        all[i] = one;
        all[i].us = us + (size_t)i * (n / (size_t)threads);
        all[i].own = own + (size_t)i * (n / (size_t)threads);
        all[i].n = n / (size_t)threads;
        must(pthread_create(&id[i], NULL, run_lane, &all[i]) == 0, "no thread");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(id[i], NULL);
    double s = (double)(now_ns() - start) / 1e9;
    n -= n % (size_t)threads;
    qsort(us, n, sizeof *us, ascending);
    qsort(own, n, sizeof *own, ascending);
    printf("%-40s %d threads: p50 %7.1f us, p99 %7.1f us; processor p50 %6.1f us, p99 %6.1f us; %7.0f decisions/s\n",
           label, threads, at(us, n, 0.5), at(us, n, 0.99), at(own, n, 0.5), at(own, n, 0.99), (double)n / s);
    free(us);
    free(own);
}

/* ---- 1 and 2 ---- */

static char *text_of(size_t bytes)
{
    char *text = malloc(bytes + 1);
    must(text != NULL, "no memory");
    for (size_t i = 0; i < bytes; i++)
        text[i] = i % 7 == 6 ? ' ' : (char)('a' + i % 26);
    text[bytes] = 0;
    return text;
}

static void forget_each(lane l, size_t n)
{
    double *us = calloc(n, sizeof *us);
    for (size_t i = 0; us && i < n; i++) {
        uint64_t start = now_ns();
        facts_forget(l.f);
        decide_one(&l);
        us[i] = (double)(now_ns() - start) / 1e3;
    }
    must(us != NULL, "no memory");
    qsort(us, n, sizeof *us, ascending);
    printf("%-40s 1 threads: p50 %7.1f us, p99 %7.1f us\n", "256 bytes, everything read each time", at(us, n, 0.5),
           at(us, n, 0.99));
    free(us);
}

static void with_audit(lane l, const char *where, const char *folder, size_t n)
{
    char old[sizeof home], label[80], command[400];
    snprintf(old, sizeof old, "%s", home);
    snprintf(home, sizeof home, "%s/bench-route-XXXXXX", folder);
    if (!mkdtemp(home)) {
        printf("%s: no folder can be made there\n", folder);
    } else {
        setenv("HEARTH_HOME", home, 1); /* the audit log's alone: the facts know their ledger already */
        MUST(audit_open(&l.audit, err));
        setenv("HEARTH_HOME", old, 1);
        l.what = AUDIT;
        for (int threads = 1; threads <= 4; threads += 3) {
            snprintf(label, sizeof label, "256 bytes, an audit record (%s)", where);
            run_lanes(label, l, threads, n);
        }
        audit_close(&l.audit);
        snprintf(command, sizeof command, "rm -r '%s'", home);
        must(system(command) == 0, command);
    }
    snprintf(home, sizeof home, "%s", old);
}

/* Of whom is this system prompt? All tasks that are found here are asked whether they changed. */
static void recognise(size_t n)
{
    catalogue *c = NULL;
    char digest[DIGEST_HEX], name[72] = "";
    size_t found = 0;
    bool caller;
    double *us = calloc(n, sizeof *us);
    const task_message message = { "system", "You answer in one word." };
    MUST(catalogue_open(&c, NULL, err));
    for (size_t i = 0; us && i < n; i++) {
        uint64_t start = now_ns();
        (void)!task_system_digest(&message, 1, digest, NULL);
        MUST(catalogue_find_system(c, digest, &found, name, &caller, err));
        us[i] = (double)(now_ns() - start) / 1e3;
    }
    must(us && found == 1 && strcmp(name, "bench") == 0, "the task is not recognised");
    qsort(us, n, sizeof *us, ascending);
    printf("%-40s 1 threads: p50 %7.1f us, p99 %7.1f us\n", "its task by its system prompt, of 5 tasks", at(us, n, 0.5),
           at(us, n, 0.99));
    catalogue_close(&c);
    free(us);
}

static void in_process(void)
{
    static const size_t sizes[] = { 256, 1024, 8192, 65536 };
    config *c = NULL;
    lane l = { 0 };
    char path[400], label[64];
    MUST(config_parse(&c, "version: 1\n", strlen("version: 1\n"), "config", err));
    const facts_options o = { .config = c };
    MUST(facts_open(&l.f, &o, err));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *text = text_of(sizes[i]);
        l.text = text;
        snprintf(label, sizeof label, "%zu bytes", sizes[i]);
        run_lanes(label, l, 1, 20000);
        free(text);
    }
    char *text = text_of(256);
    l.text = text;
    forget_each(l, 500);
    recognise(10000);
    run_lanes("256 bytes", l, 4, 40000);
    snprintf(path, sizeof path, "%s/log", home);
    MUST(journal_open(&l.log, path, err));
    l.what = LOG_LINE;
    run_lanes("256 bytes, a line of the log", l, 1, 20000);
    run_lanes("256 bytes, a line of the log", l, 4, 40000);
    journal_close(&l.log);
    with_audit(l, "disk", getenv("BENCH_DIR") ? getenv("BENCH_DIR") : "build", 1000);
    with_audit(l, "memory", "/dev/shm", 10000);
    facts_close(&l.f);
    config_close(&c);
    free(text);
}

/* ---- 3: a served hearth ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static uint16_t free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0, "port");
    close(fd);
    return ntohs(a.sin_port);
}

/* Sends one request and reads its answer; milliseconds. */
static double ask(int fd, const char *body, bool expect)
{
    static char room[PIECE];
    char head[256];
    size_t have = 0, whole = 0;
    int n = snprintf(head, sizeof head, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                     "application/json\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    uint64_t start = now_ns();
    must(send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_MORE) == n, "send");
    must(send(fd, body, strlen(body), MSG_NOSIGNAL) == (ssize_t)strlen(body), "send");
    while (!whole || have < whole) {
        ssize_t k = recv(fd, room + have, sizeof room - 1 - have, 0);
        must(k > 0, "the server hung up");
        have += (size_t)k;
        room[have] = 0;
        char *end = strstr(room, "\r\n\r\n"), *length = strcasestr(room, "content-length:");
        if (end && length)
            whole = (size_t)(end + 4 - room) + strtoul(length + 15, NULL, 10);
    }
    double ms = (double)(now_ns() - start) / 1e6;
    must(!expect || strncmp(room, "HTTP/1.1 200", 12) == 0, room);
    return ms;
}

static pid_t serve(const char *build, uint16_t port)
{
    char program[400], listen_at[40], log[400];
    snprintf(program, sizeof program, "%s/hearth", build);
    snprintf(listen_at, sizeof listen_at, "127.0.0.1:%u", port);
    snprintf(log, sizeof log, "%s/served.log", home);
    pid_t pid = fork();
    if (pid == 0) {
        execl(program, program, "serve", "--listen", listen_at, "--log", log, "--ctx", "1024", (char *)NULL);
        _exit(127);
    }
    for (int i = 0, fd; i < 200; i++, usleep(50000))
        if ((fd = connect_to(port)) >= 0) {
            close(fd);
            return pid;
        }
    must(false, "hearth serve did not start");
    return pid;
}

/* route_us of the log's lines that hold `word`. */
static void print_log(const char *label, const char *word)
{
    char path[400], line[4096];
    double *us = calloc(1 << 16, sizeof *us);
    size_t n = 0;
    snprintf(path, sizeof path, "%s/served.log", home);
    FILE *f = fopen(path, "r");
    while (f && us && n < 1 << 16 && fgets(line, sizeof line, f)) {
        char *found = strstr(line, "\"route_us\":");
        if (found && strstr(line, word))
            us[n++] = strtod(found + strlen("\"route_us\":"), NULL);
    }
    must(f && n > 0, "the log has no decisions");
    fclose(f);
    qsort(us, n, sizeof *us, ascending);
    printf("served, %-18s from the body to the decision: p50 %6.0f us, p99 %6.0f us of %zu\n", label, at(us, n, 0.5),
           at(us, n, 0.99), n);
    free(us);
}

static void served(const char *model, int n)
{
    const char *build = getenv("HEARTH_BUILD") ? getenv("HEARTH_BUILD") : "build";
    char command[1000], task_body[400], model_body[600];
    double *ms[2] = { calloc((size_t)n, sizeof **ms), calloc((size_t)n, sizeof **ms) };
    uint16_t port = free_port();
    snprintf(command, sizeof command, "%s/hearth measure bench --on local:%s >/dev/null 2>&1", build, model);
    must(ms[0] && ms[1] && system(command) == 0, command);
    pid_t pid = serve(build, port);
    int fd = connect_to(port);
    snprintf(task_body, sizeof task_body, "{\"model\":\"task:bench\",\"messages\":[{\"role\":\"user\",\"content\":"
             "\"Is water wet, and why would anybody ask that?\"}]}");
    snprintf(model_body, sizeof model_body, "{\"model\":\"local:%s\",\"temperature\":0,\"seed\":1,\"max_tokens\":1,"
             "\"messages\":[{\"role\":\"system\",\"content\":\"You answer in one word.\"},{\"role\":\"user\",\"content\":"
             "\"Is water wet, and why would anybody ask that?\"}]}", model);
    for (int i = 0; i < 50; i++)
        ask(fd, i % 2 ? task_body : model_body, true);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) /* each first in turn */
            ms[(k + i) % 2][i] = ask(fd, (k + i) % 2 ? task_body : model_body, true);
    close(fd);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    for (int k = 0; k < 2; k++)
        qsort(ms[k], (size_t)n, sizeof **ms, ascending);
    print_log("task:bench", "\"model\":\"task:bench\"");
    print_log("the model named", "\"model\":\"local:");
    printf("served, the client's time: named p50 %.3f ms p99 %.3f ms, task p50 %.3f ms p99 %.3f ms, added p50 %.3f ms "
           "p99 %.3f ms\n", at(ms[0], (size_t)n, 0.5), at(ms[0], (size_t)n, 0.99), at(ms[1], (size_t)n, 0.5),
           at(ms[1], (size_t)n, 0.99), at(ms[1], (size_t)n, 0.5) - at(ms[0], (size_t)n, 0.5),
           at(ms[1], (size_t)n, 0.99) - at(ms[0], (size_t)n, 0.99));
    free(ms[0]);
    free(ms[1]);
}

/* A model of random weights with a real one's tokenizer: its answers take little, so that what is added shows. */
static bool make_model(const char *build)
{
    char command[1200];
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(command, sizeof command, "mkdir -p '%s/models' && '%s/tests/engine/test_engine' like "
             "'%s/SmolLM2-135M-Instruct.Q4_1.gguf' '%s/models/tiny.gguf' >/dev/null 2>&1", home, build,
             cache ? cache : "build/cache", home);
    return system(command) == 0;
}

int main(void)
{
    const char *build = getenv("HEARTH_BUILD") ? getenv("HEARTH_BUILD") : "build";
    char command[400];
    snprintf(home, sizeof home, "/tmp/hearth-route-XXXXXX");
    must(mkdtemp(home) && setenv("HEARTH_HOME", home, 1) == 0, home);
    signal(SIGPIPE, SIG_IGN);
    write_task();
    snprintf(command, sizeof command, "mkdir '%s/models' && echo weights >'%s/models/bench.gguf'", home, home);
    must(system(command) == 0, command);
    put_evidence("local:bench.gguf", "local", "local", 55);
    usleep(SETTLE_US);
    in_process();
    if (make_model(build)) {
        usleep(SETTLE_US);
        served("tiny", 2000);
    } else {
        printf("no served hearth: make unit builds %s/tests/engine/test_engine, which makes its model\n", build);
    }
    snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command) != 0;
}
