/* What raises a body's class, wherever it stands in it, and what does not; settings, reloads, errors; the table of
 * conversations against a model of it, its damage, its other users; declassified texts and their file's damage. */
#include "lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/random.h"
#include "privacy/conversations.h"
#include "privacy/declassify.h"
#include "privacy/fingerprint.h"
#include "privacy/inspect.h"
#include "privacy/secret.h"

static char home[] = "/tmp/hearth-inspect-XXXXXX";

static const char *in(const char *name)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, 256, "%s/%s", home, name);
    return p;
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

/* ---- bodies ---- */

static inspect_result of_body(const inspector *i, const char *text)
{
    js *body = NULL;
    inspect_result r;
    assert_ok(js_parse(&body, text, strlen(text), "test", 1, err));
    inspect_json(i, body, &r);
    js_free(body);
    return r;
}

static void test_bodies(void **unused)
{
    (void)unused;
    static const struct {
        const char *body, *reason; /* "": public */
    } rows[] = {
        { "{}", "" },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", "" },
        { "{\"a\":{\"b\":[[\"x\",{\"jo@example.org\":1}]]}}", "detector: email" },
        { "{\"input\":{\"mail\":\"jo@example.org\"}}", "detector: email" },
        { "{\"prompt\":[1,2,3]}", "part tokens" },
        { "{\"prompt\":[[1,2],\"text\"]}", "part tokens" },
        { "{\"seed\":12345678,\"top_k\":40}", "" },
        { "{\"seed\":4111111111111111}", "detector: card" },
        { "{\"messages\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x\"}}]}]}",
          "part image_url" },
        { "{\"messages\":[{\"content\":[{\"type\":\"audio\"}]}]}", "part audio" },
        { "{\"messages\":[{\"content\":[{\"type\":7}]}]}", "part ?" },
        { "{\"messages\":[{\"content\":{\"type\":\"image\"}}]}", "part image" },
        { "{\"messages\":[{\"content\":\"x\",\"images\":[\"AAAA\"]}]}", "part images" },
        { "{\"messages\":[{\"content\":\"x\",\"images\":[]}]}", "" },
        { "{\"messages\":[{\"content\":\"data:image/png;base64,AAAA\"}]}", "part data_url" },
        { "{\"messages\":[{\"content\":[{\"type\":\"<script>\"}]}]}", "part ?script?" },
        { "{\"messages\":[{\"tool_calls\":[{\"id\":\"call_7Hq2ZkP9xW4mTb8RcY1vLd6N\"}]}]}", "" },
        { "{\"messages\":[{\"tool_calls\":[{\"id\":\"call_41111111111111114111\"}]}]}", "" },
        { "{\"messages\":[{\"tool_calls\":[{\"id\":\"call_4111111111111111\"}]}]}", "detector: card" },
        { "{\"messages\":[{\"tool_call_id\":\"jo@example.org\"}]}", "detector: email" },
        { "{\"messages\":[{\"content\":\"7Hq2ZkP9xW4mTb8RcY1vLd6N\"}]}", "detector: random_token" },
        { "{\"messages\":[{\"content\":\"x\",\"arguments\":{\"id\":\"7Hq2ZkP9xW4mTb8RcY1vLd6N\"}}]}",
          "detector: random_token" },
        { "{\"tools\":[{\"id\":\"7Hq2ZkP9xW4mTb8RcY1vLd6N7Hq2ZkP9xW4mTb8RcY1vLd6N7Hq2ZkP9xW4mTb8RcY1vLd6N\"}]}",
          "detector: random_token" }, /* too long for an id */
        { "{\"model\":\"openai:http://10.1.2.3:80/v1#m\"}", "" },
        { "{\"model\":\"openai:http://10.1.2.3:80/v1#jo@example.org\"}", "detector: email" },
        { "{\"tools\":[{\"function\":{\"model\":\"jo@example.org\"}}]}", "detector: email" },
        { "{\"content\":[\"4111 1111\",\" 1111 1111\"]}", "detector: card" },
        { "{\"content\":[{\"type\":\"text\",\"text\":\"4111 1111\"},{\"type\":\"text\",\"text\":\" 1111 1111\"}]}",
          "detector: card" },
        { "{\"stop\":[\"4111 1111\",\" 1111 1111\"]}", "" }, /* no parts of one text */
        { "{\"properties\":{\"y\":{\"enum\":[\"4111\",\"1111\",\"1111\",\"1111\"]}}}", "" },
        { "{\"content\":\"{\\\"card\\\":4111111111111111}\"}", "detector: card" },
        { "{\"content\":\"{\\\"pin\\\":\\\"4711\\\"}\"}", "detector: password" },
        { "{\"arguments\":{\"ssn\":536904399}}", "detector: us_ssn" },
        { "{\"arguments\":{\"n\":536904399}}", "" },
        { "{\"content\":\"call me\"}", "" },
    };
    inspector *i = NULL;
    assert_ok(inspector_open(&i, NULL, err));
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        inspect_result r = of_body(i, rows[k].body);
        if (strcmp(r.reason, rows[k].reason) != 0 || (r.raises == PRIVACY_PUBLIC) != !*rows[k].reason)
            fail_msg("%s: '%s', not '%s'", rows[k].body, r.reason, rows[k].reason);
    }
    inspector_close(&i);
}

/* JSON in texts in JSON, as deep as it is looked through and deeper. */
static void test_nested(void **unused)
{
    (void)unused;
    inspector *i = NULL;
    assert_ok(inspector_open(&i, NULL, err));
    for (int depth = 0; depth <= INSPECT_JSON_DEPTH + 2; depth++) {
        buf b = BUF_INIT(1 << 20);
        buf_str(&b, "{\"ssn\":\"536904399\"}"); /* by the key's word alone */
        for (int k = 0; k < depth; k++) {
            buf outer = BUF_INIT(1 << 20);
            buf_str(&outer, "{\"content\":");
            js_write_string(&outer, buf_text(&b), b.len);
            buf_str(&outer, "}");
            buf_clear(&b);
            b = outer;
        }
        inspect_result r = of_body(i, buf_text(&b));
        assert_true(r.raises >= PRIVACY_PRIVATE);
        buf_clear(&b);
    }
    inspector_close(&i);
}

/* Whatever is cut wherever, the parts raise as far as the whole. */
static void test_split(void **unused)
{
    (void)unused;
    static const char *const texts[] = { "jo.doe@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00",
                                         "token=7Hq2ZkP9xW4mTb8R" };
    inspector *i = NULL;
    assert_ok(inspector_open(&i, NULL, err));
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        for (size_t at = 0, n = strlen(texts[k]); at <= n; at++) {
            inspect_result whole, r;
            const span parts[] = { { texts[k], at }, { texts[k] + at, n - at } };
            inspect_text(i, texts[k], n, &whole);
            inspect_parts(i, parts, 2, &r);
            assert_true(whole.raises >= PRIVACY_PRIVATE && r.raises >= whole.raises);
        }
    inspector_close(&i);
}

static status tag(void *user, const char *text, size_t n, detect_spans *each, void *to, error *err)
{
    status s = *(status *)user;
    const char *at = memmem(text, n, "Jane", 4);
    if (at)
        each(to, &(detect_span){ (size_t)(at - text), (size_t)(at - text) + 4, "GIVEN_NAME", 0.3 });
    return s ? fail(err, s, "the tagger ended") : OK;
}

static void test_errors(void **unused)
{
    (void)unused;
    inspect_result r;
    inspector *i = NULL;
    status tagged = OK;
    inspect_text(NULL, "x", 1, &r);
    assert_true(r.raises == PRIVACY_PRIVATE && r.failed && *r.reason);
    const inspect_settings o = { .tag = tag, .tagger = &tagged, .tagger_name = "t", .tag_threshold = 0.2 };
    assert_ok(inspector_open(&i, &o, err));
    assert_non_null(strstr(inspector_version(i), "tagger/t"));
    inspect_text(i, "a text", 6, &r);
    assert_int_equal(r.raises, PRIVACY_PUBLIC);
    inspect_text(i, "for Jane", 8, &r);
    assert_string_equal(r.reason, "detector: GIVEN_NAME");
    tagged = E_PROVIDER;
    inspect_text(i, "a text", 6, &r);
    assert_true(r.raises == PRIVACY_PRIVATE && r.failed == E_PROVIDER);
    assert_string_equal(r.reason, "not looked through: provider");
    tagged = OK;
    char *large = mem_zero(DETECT_MAX_BYTES + 2);
    memset(large, 'a', DETECT_MAX_BYTES + 1);
    inspect_text(i, large, DETECT_MAX_BYTES + 1, &r);
    assert_true(r.raises == PRIVACY_PRIVATE && r.failed == E_RANGE);
    mem_free(large);
    static const char body[] = "{\"messages\":[{\"role\":\"user\",\"content\":[\"one\",\"two\"]}],"
                               "\"a\":{\"b\":\"{}\"}}";
    inspect_result sound = of_body(i, body);
    assert_int_equal(sound.raises, PRIVACY_PUBLIC);
    js *parsed = NULL;
    assert_ok(js_parse(&parsed, body, strlen(body), "test", 1, err));
    size_t failed = 0;
    for (uint64_t n = 1; n < 60; n++) { /* without memory, anywhere: private, or as always */
        mem_fail_at(n);
        inspect_json(i, parsed, &r);
        mem_fail_at(0);
        assert_true(r.failed ? r.raises == PRIVACY_PRIVATE : r.raises == PRIVACY_PUBLIC);
        failed += r.failed != OK;
    }
    assert_true(failed >= 3); /* the layouts: small texts are folded without memory */
    js_free(parsed);
    inspector_close(&i);
}

static void test_settings(void **unused)
{
    (void)unused;
    static const char document[] = "The reactor's inspection is on the second Tuesday of March, and nobody outside may "
                                   "know of it before the report is signed.";
    const char *sets[] = { in("a.fp") };
    uint8_t key[DIGEST_BYTES];
    fingerprint *f = NULL;
    inspector *i = NULL;
    inspect_ring *ring = NULL;
    inspect_result r;
    error e = { 0 };
    write_file(in("words"), "[internal]\nblue heron\n", 22);
    assert_ok(secret_key("fingerprints", key, err));
    assert_ok(fingerprint_open(&f, key, sizeof key, 1 << 16, err));
    assert_ok(fingerprint_add(f, document, strlen(document), err));
    assert_ok(fingerprint_write(f, sets[0], err));
    fingerprint_close(&f);
    inspect_settings o = { .dictionary = in("words"), .fingerprints = sets, .n_fingerprints = 1 };
    assert_ok(inspector_open(&i, &o, err));
    assert_true(strstr(inspector_version(i), "dictionary/") && strstr(inspector_version(i), "fingerprints/"));
    inspect_text(i, "a Blue  Heron", 13, &r);
    assert_true(r.raises == PRIVACY_INTERNAL && strcmp(r.reason, "detector: dictionary") == 0);
    const span halves[] = { { document, 40 }, { document + 40, strlen(document) - 40 } };
    inspect_parts(i, &halves[0], 1, &r); /* shorter than is promised to be known */
    inspect_parts(i, halves, 2, &r);
    assert_true(r.raises == PRIVACY_PRIVATE && strcmp(r.reason, "fingerprint") == 0);
    inspector_close(&i);
    o.dictionary = in("none");
    assert_int_equal(inspector_open(&i, &o, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "none"));
    o.dictionary = NULL;
    sets[0] = in("words");
    assert_int_equal(inspector_open(&i, &o, &e), E_FORMAT);
    /* a ring: what is held stays, also when another is shown */
    o = (inspect_settings){ .dictionary = in("words") };
    assert_ok(inspect_ring_open(&ring, &o, err));
    const inspector *old = inspect_ring_hold(ring);
    write_file(in("words"), "[secret]\nblue heron\n", 20);
    assert_ok(inspect_ring_reload(ring, &o, err));
    const inspector *fresh = inspect_ring_hold(ring);
    inspect_text(old, "blue heron", 10, &r);
    assert_int_equal(r.raises, PRIVACY_INTERNAL);
    inspect_ring_release(ring, old);
    inspect_text(fresh, "blue heron", 10, &r);
    assert_int_equal(r.raises, PRIVACY_SECRET);
    write_file(in("words"), "[publik]\n", 9);
    assert_int_equal(inspect_ring_reload(ring, &o, &e), E_FORMAT);
    inspect_text(fresh, "blue heron", 10, &r);
    assert_int_equal(r.raises, PRIVACY_SECRET);
    inspect_ring_release(ring, fresh);
    inspect_ring_close(&ring);
}

/* ---- declassified texts ---- */

static void test_declassify(void **unused)
{
    (void)unused;
    inspector *i = NULL;
    inspect_result r;
    error e = { 0 };
    js *list = NULL;
    static const char text[] = "Write to info@example.org, as our page says.";
    assert_int_equal(declassify("short", 5, PRIVACY_PUBLIC, "why", "me", &e), E_RANGE);
    assert_int_equal(declassify(text, strlen(text), PRIVACY_PUBLIC, "  ", "me", &e), E_RANGE);
    assert_ok(declassify(text, strlen(text), PRIVACY_INTERNAL, "first thought", "me", err));
    assert_ok(declassify(text, strlen(text), PRIVACY_PUBLIC, "on our \"page\"", "me", err));
    assert_ok(inspector_open(&i, NULL, err));
    inspect_text(i, text, strlen(text), &r);
    assert_true(r.raises == PRIVACY_PUBLIC && !r.reason[0]);
    r = of_body(i, "{\"messages\":[{\"content\":\"  Write to info@example.org, as our page says.\\n\"}]}");
    assert_int_equal(r.raises, PRIVACY_PUBLIC);
    /* exactly this text, and as a whole */
    r = of_body(i, "{\"content\":\"Write to info@example.org, as our page says!\"}");
    assert_int_equal(r.raises, PRIVACY_PRIVATE);
    assert_int_equal(of_body(i, "{\"content\":\"x Write to info@example.org, as our page says.\"}").raises,
                     PRIVACY_PRIVATE);
    inspector_close(&i);
    assert_ok(declassified_list(&list, err));
    assert_int_equal(js_len(list), 2);
    assert_string_equal(js_text(js_get(js_at(list, 1), "reason")), "on our \"page\"");
    js_free(list);
    /* no byte of the file can be changed */
    buf file = BUF_INIT(1 << 16);
    FILE *f = fopen(in("declassified"), "r");
    assert_non_null(f);
    char *to = buf_reserve(&file, 4096);
    buf_advance(&file, fread(to, 1, 4096, f));
    fclose(f);
    for (size_t at = 0; at < file.len; at++) {
        char was = file.data[at];
        file.data[at] = (char)(was ^ 1);
        write_file(in("declassified"), file.data, file.len);
        file.data[at] = was;
        assert_int_equal(inspector_open(&i, NULL, &e), E_FORMAT);
    }
    write_file(in("declassified"), file.data, file.len - 1);
    assert_int_equal(inspector_open(&i, NULL, &e), E_FORMAT);
    unlink(in("declassified"));
    buf_clear(&file);
}

/* ---- conversations ---- */

static conversation_digest number(uint32_t n)
{
    conversation_digest d = { { 0 } };
    for (int i = 0; i < CONVERSATION_BYTES; i++)
        d.bytes[i] = (uint8_t)(n >> 8 * (i % 4)) ^ (uint8_t)(i * 37);
    return d;
}

static privacy_class found(conversations *c, uint32_t n)
{
    privacy_class p = PRIVACY_SECRET;
    conversation_digest d = number(n);
    assert_ok(conversations_find(c, &d, 1, &p, err));
    return p;
}

static void add(conversations *c, uint32_t n, privacy_class p)
{
    conversation_digest d = number(n);
    assert_ok(conversations_add(c, &d, 1, p, err));
}

/* Against a plain array: whatever is not older than the capacity is there, after opening anew too. */
static void test_table(void **unused)
{
    (void)unused;
    enum { CAPACITY = 64, NUMBERS = 200, STEPS = 4000 };
    privacy_class is[NUMBERS] = { 0 };
    conversations *c = NULL, *other = NULL;
    const char *path = in("table");
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    assert_int_equal(found(c, 1), PRIVACY_PUBLIC);
    assert_int_equal(access(path, F_OK), -1); /* nothing yet */
    assert_ok(conversations_open(&other, path, CAPACITY, err));
    for (int step = 0; step < STEPS; step++) {
        uint32_t n = (uint32_t)rnd(40) + (uint32_t)(step / 100) % 4 * 40;
        if (step % 100 == 0)
            memset(is, 0, sizeof is); /* what was before may be gone, and may be there */
        if (rnd(3) == 0) {
            privacy_class p = (privacy_class)rnd(PRIVACY_CLASSES);
            add(rnd(2) ? c : other, n, p);
            is[n] = privacy_class_join(is[n], p);
        }
        assert_true(found(rnd(2) ? c : other, n) >= is[n]);
        if (rnd(200) == 0) {
            conversations_close(&c);
            assert_ok(conversations_open(&c, path, CAPACITY, err));
        }
    }
    for (uint32_t n = 1000; n < 1000 + CAPACITY; n++) /* the oldest are written over */
        add(c, n, PRIVACY_SECRET);
    for (uint32_t n = 0; n < NUMBERS; n++)
        assert_int_equal(found(other, n), PRIVACY_PUBLIC);
    for (uint32_t n = 1000; n < 1000 + CAPACITY; n++)
        assert_int_equal(found(other, n), PRIVACY_SECRET);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size == 64 + 32 * CAPACITY && (st.st_mode & 0777) == 0600);
    conversations_close(&c);
    conversations_close(&other);
}

/* What is cut or changed is no record; all others are there. */
static void test_table_damage(void **unused)
{
    (void)unused;
    enum { CAPACITY = 64, N = 10 };
    conversations *c = NULL;
    error e = { 0 };
    const char *path = in("damaged");
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    for (uint32_t n = 0; n < N; n++)
        add(c, n, PRIVACY_PRIVATE);
    conversations_close(&c);
    assert_int_equal(truncate(path, 64 + 32 * N - 5), 0);
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    for (uint32_t n = 0; n < N - 1; n++)
        assert_int_equal(found(c, n), PRIVACY_PRIVATE);
    assert_int_equal(found(c, N - 1), PRIVACY_PUBLIC);
    add(c, 77, PRIVACY_INTERNAL);
    conversations_close(&c);
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    assert_int_equal(found(c, 77), PRIVACY_INTERNAL);
    conversations_close(&c);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "\xff", 1, 64 + 32 * 3 + 5), 1);
    close(fd);
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    assert_int_equal(found(c, 3), PRIVACY_PUBLIC);
    assert_int_equal(found(c, 4), PRIVACY_PRIVATE);
    conversation_digest d = number(5);
    privacy_class p;
    assert_int_equal(unlink(path), 0); /* it would be written to nobody */
    assert_int_equal(conversations_add(c, &(conversation_digest){ { 9 } }, 1, PRIVACY_SECRET, &e), E_IO);
    assert_int_equal(conversations_find(c, &d, 1, &p, &e), E_IO);
    conversations_close(&c);
    write_file(path, "something else that is not of ours and is longer than a header has to be, as it must", 84);
    assert_int_equal(conversations_open(&c, path, CAPACITY, &e), E_FORMAT);
    write_file(path, "HEARTHCV", 8); /* killed while it was made */
    assert_ok(conversations_open(&c, path, CAPACITY, err));
    add(c, 1, PRIVACY_SECRET);
    assert_int_equal(found(c, 1), PRIVACY_SECRET);
    conversations_close(&c);
}

/* Processes that are killed at any moment: what one of them has said to be written is there. */
static void test_table_kill(void **unused)
{
    (void)unused;
    enum { ROUNDS = 30, CAPACITY = 1 << 16 };
    const char *path = in("killed");
    uint32_t base = 0;
    for (int round = 0; round < ROUNDS; round++, base += 100000) {
        int said[2];
        uint32_t last = 0, got = 0, n;
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (child == 0) {
            conversations *c = NULL;
            error e;
            close(said[0]);
            if (conversations_open(&c, path, CAPACITY, &e))
                _exit(1);
            for (uint32_t k = 1; k < 100000; k++) {
                conversation_digest d = number(base + k);
                if (conversations_add(c, &d, 1, PRIVACY_PRIVATE, &e) || write(said[1], &k, sizeof k) != sizeof k)
                    _exit(1);
            }
            _exit(0);
        }
        close(said[1]);
        uint32_t enough = 1 + (uint32_t)rnd(300);
        while (got < enough && read(said[0], &n, sizeof n) == sizeof n) {
            last = n;
            got++;
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(said[0], &n, sizeof n) == sizeof n)
            last = n;
        close(said[0]);
        conversations *c = NULL;
        assert_ok(conversations_open(&c, path, CAPACITY, err));
        assert_true(last > 0);
        for (uint32_t k = 1; k <= last; k++)
            assert_int_equal(found(c, base + k), PRIVACY_PRIVATE);
        conversations_close(&c);
    }
}

static conversation_texts texts_of(const char *body, const char *scope)
{
    static const uint8_t key[DIGEST_BYTES] = { 1, 2, 3 };
    js *parsed = NULL;
    conversation_texts t = { 0 };
    assert_ok(js_parse(&parsed, body, strlen(body), "test", 1, err));
    assert_ok(conversation_read(parsed, key, scope, &t, err));
    js_free(parsed);
    return t;
}

/* Whether what is kept of a is met in b. */
static bool sticks(const char *a, const char *b, const char *b_scope)
{
    conversation_texts x = texts_of(a, "k"), y = texts_of(b, b_scope);
    bool met = false;
    for (size_t i = 0; i < x.n_keep; i++)
        for (size_t k = 0; k < y.n_look; k++)
            met |= memcmp(&x.keep[i], &y.look[k], sizeof x.keep[i]) == 0;
    conversation_clear(&x);
    conversation_clear(&y);
    return met;
}

#define LONG "a text that is long enough to be known again by itself, wherever it stands, in whatever dialect"

static void test_texts(void **unused)
{
    (void)unused;
    static const struct {
        const char *a, *b, *scope;
        bool sticks;
    } rows[] = {
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "k", true },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "another key", false },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\" hi\\n\"},"
          "{\"role\":\"assistant\",\"content\":\"ho\"}]}", "k", true },
        { "{\"messages\":[{\"role\":\"system\",\"content\":\"" LONG "\"},{\"role\":\"user\",\"content\":\"hi\"}]}",
          "{\"messages\":[{\"role\":\"system\",\"content\":\"" LONG "\"},{\"role\":\"user\",\"content\":\"ho\"}]}", "k",
          false },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"" LONG "\"}]}", "{\"input\":\"" LONG "\"}", "x", true },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"" LONG "\"}]}", "{\"prompt\":\"" LONG "\"}", "x", true },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"" LONG "\"}]}",
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"" LONG "\"}]}]}", "x", true },
        { "{\"documents\":[\"x\",\"" LONG "\"],\"query\":\"q\"}", "{\"input\":[\"" LONG "\"]}", "x", true },
        /* what was there before the last answer are examples, or was kept when it was asked */
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"" LONG "\"},{\"role\":\"assistant\",\"content\":\"ho\"},"
          "{\"role\":\"user\",\"content\":\"hi\"}]}", "{\"input\":\"" LONG "\"}", "k", false },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"tool_calls\":[]},"
          "{\"role\":\"tool\",\"content\":\"" LONG "\"}]}", "{\"input\":\"" LONG "\"}", "k", true },
        { "{\"input\":{\"a\":\"" LONG "\"}}", "{\"prompt\":\"" LONG "\"}", "k", true },
        { "{\"model\":\"x\"}", "{\"model\":\"x\"}", "k", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (sticks(rows[i].a, rows[i].b, rows[i].scope) != rows[i].sticks)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
}

/* ---- the secret ---- */

static void *make_secret(void *out)
{
    error e;
    return secret_key("test", out, &e) == OK ? out : NULL;
}

static void test_secret(void **unused)
{
    (void)unused;
    enum { THREADS = 8 };
    uint8_t keys[THREADS][DIGEST_BYTES], other[DIGEST_BYTES];
    pthread_t t[THREADS];
    error e = { 0 };
    unlink(in("privacy.key"));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_secret, keys[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got = NULL;
        pthread_join(t[i], &got);
        assert_ptr_equal(got, keys[i]);
        assert_memory_equal(keys[0], keys[i], DIGEST_BYTES);
    }
    assert_ok(secret_key("another", other, err));
    assert_memory_not_equal(keys[0], other, DIGEST_BYTES);
    assert_int_equal(chmod(in("privacy.key"), 0640), 0);
    assert_int_equal(secret_key("test", other, &e), E_DENIED);
    assert_int_equal(chmod(in("privacy.key"), 0600), 0);
    assert_int_equal(truncate(in("privacy.key"), 40), 0);
    assert_int_equal(secret_key("test", other, &e), E_FORMAT);
    unlink(in("privacy.key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret),       cmocka_unit_test(test_bodies),     cmocka_unit_test(test_nested),
        cmocka_unit_test(test_split),        cmocka_unit_test(test_errors),     cmocka_unit_test(test_settings),
        cmocka_unit_test(test_declassify),   cmocka_unit_test(test_table),      cmocka_unit_test(test_table_damage),
        cmocka_unit_test(test_table_kill),   cmocka_unit_test(test_texts),
    };
    if (!mkdtemp(home) || setenv("HEARTH_HOME", home, 1) || setenv("HEARTH_LOG", "error", 1))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char remove[64];
    snprintf(remove, sizeof remove, "rm -rf %s", home);
    return system(remove) ? 1 : failed;
}
