/* The audit log against whoever meddles with it: each byte, record and order; cut, copied back, forged. With the first
 * key, and without it. */
#include "privacy/audit_test.h"

#include <ctype.h>

enum { RECORDS = 7 }; /* the first is the chain's own */

/* A log of RECORDS records and what it was. */
typedef struct made {
    bytes log, state, key, anchors;
    size_t line[RECORDS + 1]; /* where each begins; the last: the end */
} made;

static void put_back(const made *m)
{
    store("audit.log", m->log.p, m->log.n);
    store("audit.state", m->state.p, m->state.n);
    store("audit.key", m->key.p, m->key.n);
    store("audit.anchors", m->anchors.p, m->anchors.n);
}

static int make_log(void **state)
{
    audit *a = NULL;
    made *m = mem_zero(sizeof *m);
    if (make_home(NULL) || !m)
        return -1;
    assert_ok(audit_open(&a, err));
    for (int i = 1; i < RECORDS; i++) {
        char body[32];
        snprintf(body, sizeof body, "{\"n\":%d}", i);
        assert_int_equal(append_one(a, body).sequence, i + 1);
    }
    m->anchors = load("audit.anchors"); /* with the first record's alone: what is found is not found by anchors */
    audit_close(&a);
    m->log = load("audit.log");
    m->state = load("audit.state");
    m->key = load("audit.key");
    for (size_t i = 0, k = 0; i < m->log.n; i++)
        if (m->log.p[i] == '\n')
            m->line[++k] = i + 1;
    assert_int_equal(m->line[RECORDS], m->log.n);
    store("audit.anchors", "", 0);
    m->anchors.n = 0;
    *state = m;
    return 0;
}

static int drop_log(void **state)
{
    made *m = *state;
    mem_free(m->log.p);
    mem_free(m->state.p);
    mem_free(m->key.p);
    mem_free(m->anchors.p);
    mem_free(m);
    return remove_home(NULL);
}

/* The log is now other bytes: it is found, with and without the first key, and no earlier than where it begins. */
static void assert_found(const made *m, const char *log, size_t n, uint64_t least, uint64_t most, const char *what)
{
    char key[100];
    store("audit.log", log, n);
    if (access(at_home("first.key"), F_OK) != 0)
        store("first.key", m->key.p, m->key.n);
    snprintf(key, sizeof key, "%s/first.key", home);
    unlink(at_home("audit.key"));
    for (int keyed = 1; keyed >= 0; keyed--) {
        audit_verdict v = verdict_of(keyed ? key : NULL);
        assert_int_equal(v.keyed, keyed);
        if (v.holds || v.fault_at < least || v.fault_at > most)
            fail_msg("%s, %s the key: holds %d, at %llu (%llu to %llu): %s", what, keyed ? "with" : "without", v.holds,
                     (unsigned long long)v.fault_at, (unsigned long long)least, (unsigned long long)most, v.fault);
        assert_true(v.fault[0]);
    }
}

static void whole(void **state)
{
    made *m = *state;
    put_back(m);
    audit_verdict v = verdict_of(NULL);
    assert_true(v.holds && v.keyed && v.key_here && v.there);
    assert_int_equal(v.records, RECORDS);
    assert_int_equal(v.releases, RECORDS - 1);
    assert_true(v.last_us >= v.first_us && v.first_us > 0);
    assert_true(v.torn_bytes + v.tail_bytes + v.ahead == 0);
    struct stat st;
    assert_true(stat(at_home("audit.log"), &st) == 0 && (st.st_mode & 0777) == 0600);
    assert_true(stat(at_home("audit.state"), &st) == 0 && (st.st_mode & 0777) == 0600);
    assert_true(stat(at_home("audit.key"), &st) == 0 && (st.st_mode & 0777) == 0600);
}

/* One bit of every byte; of digits and letters also the one that turns a into A. */
static void every_byte(void **state)
{
    made *m = *state;
    static const int bits[] = { 0x01, 0x20 };
    put_back(m);
    for (size_t i = 0, k = 0; i < m->log.n; i++) {
        k += i >= m->line[k + 1];
        for (size_t b = 0; b < (isalpha((unsigned char)m->log.p[i]) ? 2 : 1); b++) {
            m->log.p[i] ^= (char)bits[b];
            assert_found(m, m->log.p, m->log.n, k + 1, k + 2, "a changed byte"); /* or the next one's `prev` says so */
            m->log.p[i] ^= (char)bits[b];
        }
    }
}

static void every_length(void **state)
{
    made *m = *state;
    put_back(m);
    for (size_t n = 0, k = 0; n < m->log.n; n++) {
        k += n >= m->line[k + 1];
        assert_found(m, m->log.p, n, k + 1, k + 1, "a cut log");
    }
    unlink(at_home("audit.log"));
    assert_false(verdict_of(NULL).holds);
    audit *a = NULL;
    error e;
    audit_receipt r;
    audit_entry out = entry("t", "x");
    store("audit.log", m->log.p, m->line[3]);
    assert_ok(audit_open(&a, err));
    assert_int_equal(audit_append(a, &out, &r, &e), E_FORMAT); /* and nothing is sent any more */
    assert_non_null(strstr(e.text, "it was cut"));
    audit_close(&a);
}

/* Line i of the log: bytes and length. */
static void add_line(buf *to, const made *m, size_t i)
{
    buf_add(to, m->log.p + m->line[i], m->line[i + 1] - m->line[i]);
}

static void every_order(void **state)
{
    made *m = *state;
    buf b = BUF_INIT(1 << 16);
    put_back(m);
    for (size_t i = 0; i < RECORDS; i++) { /* one is missing */
        buf_reset(&b);
        for (size_t k = 0; k < RECORDS; k++)
            if (k != i)
                add_line(&b, m, k);
        assert_found(m, b.data, b.len, i + 1, i + 1, "a missing record");
    }
    for (size_t i = 0; i < RECORDS; i++) /* one comes again, at every place */
        for (size_t at = 0; at <= RECORDS; at++) {
            buf_reset(&b);
            for (size_t k = 0; k < RECORDS; k++) {
                if (k == at)
                    add_line(&b, m, i);
                add_line(&b, m, k);
            }
            if (at < RECORDS && at != i && at != i + 1)
                assert_found(m, b.data, b.len, at + 1, at + 1, "a copied record");
        }
    for (size_t i = 0; i < RECORDS; i++) /* two change places */
        for (size_t j = i + 1; j < RECORDS; j++) {
            buf_reset(&b);
            for (size_t k = 0; k < RECORDS; k++)
                add_line(&b, m, k == i ? j : k == j ? i : k);
            assert_found(m, b.data, b.len, i + 1, i + 1, "two records in each other's place");
        }
    buf_clear(&b);
}

/* Somebody with the machine of today, who knows the format, writes the past anew: what he can compute is what needs no
 * old key. Without the first key only an anchor shows it; with it the first record that he touched does. */
static void forged(void **state)
{
    made *m = *state;
    put_back(m);
    audit_state st = { 0 };
    audit_files f = { 0 };
    buf b = BUF_INIT(1 << 16);
    assert_ok(audit_files_find(&f, err));
    assert_ok(audit_state_open(&st, &f, AUDIT_WRITE, err));
    audit_chain c = { .next = 1 };
    memcpy(c.id, st.chain.id, sizeof c.id);
    memcpy(c.key, st.chain.key, sizeof c.key); /* the best key that he has */
    audit_write_begin(&c, 1, &b);
    for (int i = 1; i < RECORDS; i++) {
        audit_entry e = entry("harmless", "x");
        char mac[DIGEST_HEX];
        audit_write_release(&c, 1, &e, c.key, &b, mac);
    }
    char real[DIGEST_HEX + 8], head[DIGEST_HEX];
    digest_hex(st.chain.head, head);
    snprintf(real, sizeof real, "%d:%s", (int)RECORDS, head);
    memcpy(c.key, st.chain.key, sizeof c.key);
    st.chain = c;
    assert_ok(audit_state_write(&st, &f, err));
    audit_state_close(&st);
    store("audit.log", b.data, b.len);
    assert_false(verdict_of(NULL).holds);
    unlink(at_home("audit.key"));
    assert_true(verdict_of(NULL).holds);
    audit_question q = { .anchors = { real }, .n_anchors = 1 };
    audit_verdict v;
    assert_ok(audit_verify(&q, NULL, NULL, &v, err));
    assert_true(!v.holds && v.fault_at == RECORDS && strstr(v.fault, "anchor"));
    buf_clear(&b);
    audit_files_clear(&f);
}

/* No key of the past is anywhere in audit.state. */
static void forgets_keys(void **state)
{
    made *m = *state;
    uint8_t key[DIGEST_BYTES];
    put_back(m);
    audit_files f = { 0 };
    assert_ok(audit_files_find(&f, err));
    audit_verdict v = verdict_of(NULL);
    assert_ok(audit_key_read(f.key, v.chain, key, err));
    for (int i = 1; i <= RECORDS + 1; i++) {
        bool there = memmem(m->state.p, m->state.n, key, sizeof key) != NULL;
        assert_int_equal(there, i == RECORDS + 1);
        uint8_t room[DIGEST_BYTES + 18];
        memcpy(room, key, sizeof key);
        memcpy(room + sizeof key, "hearth audit key 1", 18);
        digest_raw(room, sizeof room, key);
    }
    audit_files_clear(&f);
}

/* The log and its state are those of yesterday: whole in themselves. */
static void rolled_back(void **state)
{
    made *m = *state;
    audit *a = NULL;
    char anchor[DIGEST_HEX + 24];
    put_back(m);
    assert_ok(audit_open(&a, err));
    append_one(a, "later");
    audit_close(&a); /* with an anchor */
    audit_verdict v = verdict_of(NULL);
    assert_true(v.holds && v.anchors >= 1);
    snprintf(anchor, sizeof anchor, "%llu:%s", (unsigned long long)v.records, v.head);
    store("audit.log", m->log.p, m->log.n);
    store("audit.state", m->state.p, m->state.n);
    v = verdict_of(NULL);
    assert_true(!v.holds && v.fault_at == RECORDS + 1 && strstr(v.fault, "record 8"));
    put_back(m); /* the folder as a whole */
    assert_holds(RECORDS);
    audit_question q = { .anchors = { anchor }, .n_anchors = 1 };
    assert_ok(audit_verify(&q, NULL, NULL, &v, err));
    assert_true(!v.holds && v.fault_at == RECORDS + 1);
    /* and what goes on from there meets the anchor with another record */
    assert_ok(audit_open(&a, err));
    append_one(a, "another");
    audit_close(&a);
    assert_ok(audit_verify(&q, NULL, NULL, &v, err));
    assert_true(!v.holds && v.fault_at == RECORDS + 1);
    error e;
    q.anchors[0] = "8:nonsense";
    assert_int_equal(audit_verify(&q, NULL, NULL, &v, &e), E_FORMAT);
}

static void damaged_state(void **state)
{
    made *m = *state;
    put_back(m);
    for (size_t i = 0; i < m->state.n; i++) {
        m->state.p[i] ^= 1;
        store("audit.state", m->state.p, m->state.n);
        m->state.p[i] ^= 1;
        assert_holds(RECORDS); /* the other slot says the same */
    }
    bytes bad = { mem_zero(m->state.n), m->state.n };
    memcpy(bad.p, m->state.p, bad.n);
    bad.p[20] ^= 1;
    bad.p[4096 + 20] ^= 1;
    store("audit.state", bad.p, bad.n);
    mem_free(bad.p);
    audit_verdict v = verdict_of(NULL);
    assert_true(!v.holds && v.fault_at == RECORDS + 1);
    audit *a = NULL;
    error e;
    audit_receipt r;
    audit_entry out = entry("t", "x");
    assert_ok(audit_open(&a, err));
    assert_int_equal(audit_append(a, &out, &r, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "audit.state"));
    audit_close(&a);
    bytes log = load("audit.log");
    assert_int_equal(log.n, m->log.n);
    mem_free(log.p);
}

static bool fits(void *user, const js *record, span line, const uint8_t *key)
{
    (void)line;
    int *n = user;
    *n += key && audit_body_fits(record, key, "{\"n\":3}", 7);
    return true;
}

/* The first key says which record a body belongs to; it can be taken away, and then must be given. */
static void first_key(void **state)
{
    made *m = *state;
    char line[AUDIT_KEY_LINE], again[AUDIT_KEY_LINE];
    int n = 0;
    error e;
    audit_verdict v;
    put_back(m);
    audit_question q = { .key_file = NULL };
    assert_ok(audit_verify(&q, fits, &n, &v, err));
    assert_int_equal(n, 1);
    assert_ok(audit_take_key(true, line, err));
    assert_int_equal(audit_take_key(false, again, &e), E_NOTFOUND);
    assert_int_not_equal(access(at_home("audit.key"), F_OK), 0);
    v = verdict_of(NULL);
    assert_true(v.holds && !v.keyed);
    store("elsewhere", line, strlen(line));
    v = verdict_of(at_home("elsewhere"));
    assert_true(v.holds && v.keyed && !v.key_here);
    line[UUID_TEXT] = line[UUID_TEXT] == '0' ? '1' : '0';
    store("elsewhere", line, strlen(line));
    v = verdict_of(at_home("elsewhere"));
    assert_true(!v.holds && v.fault_at == 1);
    store("elsewhere", "no key", 6);
    q.key_file = at_home("elsewhere");
    assert_int_equal(audit_verify(&q, NULL, NULL, &v, &e), E_NOTFOUND);
}

static void another_chain(void **state)
{
    made *m = *state;
    char line[AUDIT_KEY_LINE], aside[100], path[100];
    error e;
    audit *a = NULL;
    put_back(m);
    assert_ok(audit_open(&a, err));
    append_one(a, "before");
    audit_verdict old = verdict_of(NULL);
    assert_int_equal(audit_begin(true, false, line, &e), E_EXISTS);
    assert_ok(audit_begin(true, true, line, err));
    append_one(a, "after"); /* the same audit goes on with the new chain */
    audit_close(&a);
    audit_verdict v = verdict_of(NULL);
    assert_true(v.holds && !v.keyed && v.records == 2 && strcmp(v.chain, old.chain) != 0);
    assert_memory_equal(line, v.chain, UUID_TEXT - 1);
    snprintf(aside, sizeof aside, "audit-%s.log", old.chain);
    snprintf(path, sizeof path, "%s", at_home(aside));
    audit_question q = { .log = path };
    assert_ok(audit_verify(&q, NULL, NULL, &v, err));
    assert_true(v.holds && v.keyed && v.records == RECORDS + 1);
    store("elsewhere", line, strlen(line));
    assert_true(verdict_of(at_home("elsewhere")).keyed);
    store("audit.anchors", "", 0);
    char anchor[200];
    int n = snprintf(anchor, sizeof anchor, "{\"chain\":\"%s\",\"seq\":%d,\"head\":\"%s\"}\n", old.chain, RECORDS + 1,
                     old.head);
    store("audit.anchors", anchor, (size_t)n);
    assert_true(verdict_of(NULL).holds);
    unlink(path); /* a whole chain that anchors remember is gone */
    v = verdict_of(NULL);
    assert_true(!v.holds && strstr(v.fault, old.chain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole), cmocka_unit_test(every_byte), cmocka_unit_test(every_length),
        cmocka_unit_test(every_order), cmocka_unit_test(forged), cmocka_unit_test(forgets_keys),
        cmocka_unit_test(rolled_back), cmocka_unit_test(damaged_state), cmocka_unit_test(first_key),
        cmocka_unit_test(another_chain),
    };
    return cmocka_run_group_tests(tests, make_log, drop_log);
}
