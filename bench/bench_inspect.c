/* bench_inspect: what a request's class costs before it is routed: parsing its body once more, detectors over all of it,
 * fingerprints (a set of 1 MB of documents), and its conversation looked up and, when private, written down. Microseconds
 * of one thread; 200 + 50 a kilobyte are allowed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "privacy/conversations.h"
#include "privacy/fingerprint.h"
#include "privacy/inspect.h"
#include "privacy/secret.h"

static char home[] = "/dev/shm/hearth-bench-XXXXXX";

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* others may be busy on this machine */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void must(status s, const error *e)
{
    if (s) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

/* A conversation of about n bytes, with a tool and parts. */
static void make_body(buf *b, size_t n, int turn)
{
    static const char *const sentences[] = {
        "The quarterly review of the northern region was moved to room %d because of the works. ",
        "How do I change the address on my account, and how long does transfer %d take to arrive? ",
        "Nobody objected, and so the committee agreed to publish the minutes \\\"as they are\\\" on page %d.\\n",
    };
    buf_reset(b);
    buf_str(b, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"You answer briefly.\"}");
    for (int i = 0; b->len < n || i % 2; i++) {
        buf_printf(b, ",{\"role\":\"%s\",\"content\":\"", i % 2 ? "assistant" : "user");
        for (int k = 0; k < 5 && b->len < n; k++)
            buf_printf(b, sentences[(i + k) % 3], i * 37 + k + turn);
        buf_str(b, "\"}");
    }
    buf_str(b, "],\"temperature\":0.2,\"max_tokens\":100}");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const inspector *i, conversations *c, size_t n, privacy_class as, const char *what)
{
    enum { RUNS = 2000 };
    static double took[RUNS];
    buf b = BUF_INIT(1 << 24);
    size_t runs = n > 100000 ? 20 : n > 10000 ? 200 : RUNS, raised = 0;
    error e = { 0 };
    for (size_t k = 0; k < runs; k++) {
        js *body = NULL;
        inspect_result r;
        conversation_texts t;
        privacy_class before;
        make_body(&b, n, (int)k);
        double start = now_us();
        must(js_parse(&body, buf_text(&b), b.len, "body", 1, &e), &e);
        inspect_json(i, body, &r);
        must(conversation_read(body, conversations_key(c), "key", &t, &e), &e);
        must(conversations_find(c, t.look, t.n_look, &before, &e), &e);
        must(conversations_add(c, t.keep, t.n_keep, as, &e), &e);
        conversation_clear(&t);
        js_free(body);
        took[k] = now_us() - start;
        raised += r.raises > PRIVACY_PUBLIC;
    }
    qsort(took, runs, sizeof *took, by_value);
    printf("%-30s %8zu bytes  p50 %8.1f us  p99 %8.1f us  %5.1f us a kilobyte  (%zu raised)\n", what, b.len,
           took[runs / 2], took[runs * 99 / 100], took[runs / 2] * 1024 / (double)b.len, raised);
    buf_clear(&b);
}

int main(void)
{
    error e = { 0 };
    uint8_t key[DIGEST_BYTES];
    char path[64];
    fingerprint *f = NULL;
    inspector *plain = NULL, *full = NULL;
    conversations *c = NULL;
    if (!mkdtemp(home) || setenv("HEARTH_HOME", home, 1))
        return 1;
    snprintf(path, sizeof path, "%s/a.fp", home);
    char *document = mem_alloc(1 << 20);
    for (size_t i = 0; document && i < 1 << 20; i++)
        document[i] = (char)(i % 7 ? 'a' + (i * 2654435761u >> 13) % 26 : ' ');
    must(secret_key("fingerprints", key, &e), &e);
    must(fingerprint_open(&f, key, sizeof key, 16 << 20, &e), &e);
    must(fingerprint_add(f, document, 1 << 20, &e), &e);
    must(fingerprint_write(f, path, &e), &e);
    const char *sets[] = { path };
    must(inspector_open(&plain, NULL, &e), &e);
    must(inspector_open(&full, &(inspect_settings){ .fingerprints = sets, .n_fingerprints = 1 }, &e), &e);
    must(conversations_open(&c, NULL, 0, &e), &e);
    static const size_t sizes[] = { 1 << 10, 8 << 10, 64 << 10, 1 << 20 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        measure(plain, c, sizes[i], PRIVACY_PUBLIC, "rules");
        measure(full, c, sizes[i], PRIVACY_PUBLIC, "and fingerprints");
        measure(full, c, sizes[i], PRIVACY_PRIVATE, "and written down");
    }
    conversations_close(&c);
    inspector_close(&plain);
    inspector_close(&full);
    fingerprint_close(&f);
    mem_free(document);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -rf %s", home);
    return system(remove) != 0;
}
