/* Where findings are: places of the caller's bytes whatever was folded or decoded before. The dictionary. Hostile texts
 * cost no more than others. Lost memory is an error and never an all-clear. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "lib/random.h"
#include "privacy/detect.h"

static detector *opened(const char *dictionary)
{
    detector *d = NULL;
    assert_ok(detector_open(&d, dictionary, dictionary ? strlen(dictionary) : 0, "words.txt", err));
    return d;
}

static detect_report scanned(const detector *d, const char *text, size_t n)
{
    detect_report r = { 0 };
    assert_ok(detect_scan(d, text, n, NULL, &r, err));
    return r;
}

/* The text has exactly one finding of this kind, at exactly this piece. */
static void finds(const detector *d, const char *text, const char *kind, const char *piece, bool decoded)
{
    detect_report r = scanned(d, text, strlen(text));
    size_t hits = 0;
    const char *at = strstr(text, piece);
    assert_non_null(at);
    for (size_t i = 0; i < r.n; i++) {
        if (strcmp(r.list[i].kind, kind) != 0)
            continue;
        hits++;
        if (r.list[i].begin != (size_t)(at - text) || r.list[i].end != r.list[i].begin + strlen(piece) ||
            r.list[i].decoded != decoded)
            fail_msg("%s in \"%s\": %zu..%zu", kind, text, r.list[i].begin, r.list[i].end);
    }
    if (hits != 1)
        fail_msg("%zu of %s in \"%s\"", hits, kind, text);
    detect_report_clear(&r);
}

static void finds_none(const detector *d, const char *text)
{
    detect_report r = scanned(d, text, strlen(text));
    if (r.n)
        fail_msg("%s %.2f in \"%s\"", r.list[0].kind, r.list[0].score, text);
    assert_int_equal(r.raises, PRIVACY_PUBLIC);
    detect_report_clear(&r);
}

static void places_are_the_callers(void **state)
{
    (void)state;
    detector *d = opened(NULL);
    finds(d, "a 4111 1111 1111 1111 b", "card", "4111 1111 1111 1111", false);
    /* full-width digits (3 bytes each), narrow blanks, characters without width in and around it */
    finds(d, "é ４１１１１１１１１１１１１１１１ é", "card",
          "４１１１１１１１１１１１１１１１", false);
    finds(d, "ünï 4111\u20091111\u20091111\u20091111 x", "card", "4111\u20091111\u20091111\u20091111", false);
    finds(d, "x 41\u200b11111111\u200d111111 y", "card", "41\u200b11111111\u200d111111", false);
    finds(d, "Überweisung an \u200bjoe.doe@example.org\u200b, danke", "email", "joe.doe@example.org", false);
    finds(d, "aadhaar २३४१२३४१२३४६ है", "in_aadhaar",
          "२३४१२३४१२३४६", false);
    /* dashes of every kind */
    finds(d, "ssn 536\u201390\u20134399.", "us_ssn", "536\u201390\u20134399", false);
    /* encodings: the place is that of the encoded piece */
    finds(d, "go to ?to=%6a%6F%65%40example.org now", "email", "%6a%6F%65%40example.org", true);
    finds(d, "{\"a\":\"joe\\u0040example.org\"}", "email", "joe\\u0040example.org", true);
    finds(d, "{\"a\":\"one\\n4111111111111111\"}", "card", "4111111111111111", true);
    detector_close(&d);
}

static size_t base64(const char *p, size_t n, char *out)
{
    static const char a[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)(unsigned char)p[i] << 16 | (i + 1 < n ? (uint32_t)(unsigned char)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? (uint32_t)(unsigned char)p[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            out[length++] = i + (size_t)k < n + 1 ? a[x >> (18 - 6 * k) & 63] : '=';
    }
    out[length] = 0;
    return length;
}

static void nested_encodings(void **state)
{
    (void)state;
    detector *d = opened(NULL);
    char text[4][2000] = { "please write to joe.doe@example.org about it" };
    error e;
    detect_report r;
    for (int depth = 1; depth <= DETECT_MAX_DEPTH + 1; depth++) {
        char *now = text[depth % 4];
        now[0] = ' ';
        size_t n = 1 + base64(text[(depth + 3) % 4], strlen(text[(depth + 3) % 4]), now + 1);
        status s = detect_scan(d, now, n, NULL, &r, &e);
        assert_int_equal(s, depth <= DETECT_MAX_DEPTH ? OK : E_RANGE); /* deeper: not looked through, so private */
        bool mail = false;
        for (size_t i = 0; i < r.n; i++) {
            mail |= strcmp(r.list[i].kind, "email") == 0 && r.list[i].decoded;
            assert_true(r.list[i].begin >= 1 && r.list[i].end <= n);
        }
        assert_true(mail == (s == OK));
        assert_int_equal(r.raises, PRIVACY_PRIVATE);
        detect_report_clear(&r);
    }
    detector_close(&d);
}

static void secrets(void **state)
{
    (void)state;
    detector *d = opened(NULL);
    static const char pem[] = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\nabc\n-----END RSA PRIVATE KEY-----";
    char text[300];
    snprintf(text, sizeof text, "here:\n%s\nthat was it", pem);
    finds(d, text, "private_key", pem, false);
    finds(d, "t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk!", "jwt",
          "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", false);
    finds(d, "key AKIAIOSFODNN7EXAMPLE", "aws_key", "AKIAIOSFODNN7EXAMPLE", false);
    finds(d, "DB_PASSWORD=\"hunter2;x\"", "password", "hunter2;x", false);
    finds(d, "api_key: 8fa7c2d4e6", "password", "8fa7c2d4e6", false);
    finds(d, "My password is Tr0ub4dor!", "password", "Tr0ub4dor", false);
    finds(d, "PIN: 4921", "password", "4921", false);
    finds(d, "postgres://app:s3cr3t@db.local/x", "url_password", "s3cr3t", false);
    finds(d, "a xoxb-123456789012-abcdefABCDEF b", "slack_token", "xoxb-123456789012-abcdefABCDEF", false);
    finds(d, "use sk-proj-abcd1234abcd1234abcd1234 now", "api_key", "sk-proj-abcd1234abcd1234abcd1234", false);
    finds(d, "id 7Hq2ZkP9xW4mTb8RcY1vLd6N end", "random_token", "7Hq2ZkP9xW4mTb8RcY1vLd6N", false);
    finds_none(d, "my password is not working, and the secret: be kind");
    finds_none(d, "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    finds_none(d, "123e4567-e89b-12d3-a456-426614174000 getAuthenticationTokenForUserRequestV2Async2");
    finds_none(d, "-----BEGIN CERTIFICATE----- and std::vector<int> at 12:30:45, version 1.2.3.4.5, 3.14159265358979");
    finds_none(d, "password: string, token=None, passwd = ${PASSWORD}");
    detector_close(&d);
}

static void the_dictionary(void **state)
{
    (void)state;
    detector *d = opened("# projects\nProject Blue Heron\nMüller GmbH\n\n[secret]\n  north star \n"
                         "[internal]\nroadmap\n"
                         "heron\n東京支店\n");
    finds(d, "about PROJECT  blue\n heron today", "dictionary", "PROJECT  blue\n heron", false);
    finds(d, "bei der MULLER GmbH.", "dictionary", "MULLER GmbH", false);
    finds(d, "bei der Mu\u0308ller GmbH.", "dictionary", "Mu\u0308ller GmbH", false);
    finds(d, "昨日東京支店で", "dictionary", "東京支店", false);
    finds_none(d, "roadmaps, xnorth star, north stars, project blue");
    static const struct {
        const char *text;
        privacy_class raises;
    } rows[] = { { "the roadmap", PRIVACY_INTERNAL }, { "blue heron", PRIVACY_INTERNAL },
                 { "Project Blue Heron", PRIVACY_PRIVATE }, { "the NORTH star and the roadmap", PRIVACY_SECRET } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        detect_report r = scanned(d, rows[i].text, strlen(rows[i].text));
        assert_int_equal(r.raises, rows[i].raises);
        detect_report_clear(&r);
    }
    detector_close(&d);

    error e;
    assert_int_equal(detector_open(&d, "a\n[publik]\n", 11, "w", &e), E_FORMAT);
    assert_non_null(strstr(e.text, "w:2: [publik]"));
    assert_int_equal(detector_open(&d, "[public]", 8, "w", &e), E_FORMAT);
    assert_int_equal(detector_open(&d, "\xff", 1, "w", &e), E_FORMAT);
    char *large = mem_zero(DETECT_MAX_DICTIONARY + 1);
    assert_int_equal(detector_open(&d, large, DETECT_MAX_DICTIONARY + 1, "w", &e), E_RANGE);
    memset(large, 'x', 300);
    assert_int_equal(detector_open(&d, large, 300, "w", &e), E_RANGE);
    mem_free(large);
}

/* Against the definition: every phrase looked for at every place. */
static void the_dictionary_by_hand(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        char words[8][8], list[80] = "", text[400];
        for (int w = 0; w < 8; w++) {
            size_t n = 1 + rnd(5);
            for (size_t i = 0; i < n; i++)
                words[w][i] = (char)('a' + rnd(2));
            words[w][n] = 0;
            strcat(strcat(list, words[w]), "\n");
        }
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = rnd(5) == 0 ? ' ' : (char)((rnd(2) ? 'a' : 'A') + (int)rnd(2));
        size_t expected = 0, at = 0;
        while (at < sizeof text) {
            size_t n = strcspn(text + at, " ") < sizeof text - at ? strcspn(text + at, " ") : sizeof text - at;
            bool is = false;
            for (int w = 0; w < 8; w++)
                is |= strlen(words[w]) == n && strncasecmp(words[w], text + at, n) == 0;
            expected += is;
            at += n + 1;
        }
        detector *d = opened(list);
        detect_report r = scanned(d, text, sizeof text);
        size_t found = 0;
        for (size_t i = 0; i < r.n; i++)
            found += strcmp(r.list[i].kind, "dictionary") == 0;
        assert_int_equal(found, expected);
        detect_report_clear(&r);
        detector_close(&d);
    }
}

static double seconds_for(const detector *d, const char *text, size_t n)
{
    struct timespec a, b;
    detect_report r;
    error e;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    status s = detect_scan(d, text, n, NULL, &r, &e); /* some are refused: encodings without end */
    assert_true(s == OK || s == E_RANGE);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    detect_report_clear(&r);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* Pieces that make each recogniser begin again and again: four times the text may take four times as long, and twice
 * that is allowed for noise; 16 times would be quadratic. */
static void hostile_texts_are_linear(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "1", "@", "a@", "a@b.", "1 ", "4111 ", "4111-", "12.", "::", "a:", "%41", "%25", "\\n", "\\\\", "eyJ",
        "eyJa.", "sk-", "token=", "password is ", "AKIA", "-----BEGIN PRIVATE KEY ", "QUJD", "QUJDRA==\n", "+1",
        "(", "((1", "://a:b", "is ", "\xf0\x9f\x98\x80", "\u200b1", "\ufdfa", "4\u0301", "bc1q",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ", "GB1 ", "ab ab ", "card 4 card ", "QUJDREVGR0hJSktMTU5PUFFSU1Q ",
        "a\nb",
    };
    enum { SMALL = 1 << 16, LARGE = 4 * SMALL };
    detector *d = opened("ab ab ab ab\na b\naaaaaaaaaa\n");
    char *text = mem_alloc(LARGE + 64);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = strlen(pieces[i]);
        for (size_t at = 0; at < LARGE; at += n)
            memcpy(text + at, pieces[i], n);
        double small = 1, large = 1;
        for (int k = 0; k < 3; k++) {
            double a = seconds_for(d, text, SMALL), b = seconds_for(d, text, LARGE);
            small = a < small ? a : small;
            large = b < large ? b : large;
        }
        if (large > 8 * small + 0.02 || large > 2)
            fail_msg("\"%s\": %.4f s, of four times as much %.4f s", pieces[i], small, large);
    }
    mem_free(text);
    detector_close(&d);
}

static void ceilings(void **state)
{
    (void)state;
    detector *d = opened(NULL);
    detect_report r;
    error e;
    assert_int_equal(detect_scan(d, "x", (size_t)DETECT_MAX_BYTES + 1, NULL, &r, &e), E_RANGE);
    assert_int_equal(r.raises, PRIVACY_PRIVATE);
    buf text = BUF_INIT(1 << 20);
    for (int i = 0; i < DETECT_MAX_FINDINGS + 100; i++)
        buf_printf(&text, "joe%d@example.org ", i);
    r = scanned(d, text.data, text.len);
    assert_int_equal(r.n, DETECT_MAX_FINDINGS);
    assert_int_equal(r.n_all, DETECT_MAX_FINDINGS + 100);
    detect_report_clear(&r);
    buf_clear(&text);
    r = scanned(d, "", 0);
    assert_int_equal(r.raises, PRIVACY_PUBLIC);
    detect_report_clear(&r);
    detector_close(&d);
}

static status tag_two(void *user, const char *text, size_t n, detect_spans *each, void *to, error *err)
{
    (void)text;
    if (user)
        return fail(err, E_PROVIDER, "the tagger is gone");
    each(to, &(detect_span){ 0, 3, "SURNAME", 0.9 });
    each(to, &(detect_span){ 4, 6, "CITY", 0.1 });
    each(to, &(detect_span){ 4, n + 1, "CITY", 0.9 }); /* outside of the text */
    return OK;
}

static void a_tagger(void **state)
{
    (void)state;
    detector *d = opened(NULL);
    detect_options o = { .tag = tag_two, .tag_threshold = 0.2 };
    detect_report r;
    error e;
    assert_ok(detect_scan(d, "Doe in Rome", 11, &o, &r, err));
    assert_int_equal(r.n, 1);
    assert_true(r.list[0].tagged && r.list[0].end == 3 && strcmp(r.list[0].kind, "SURNAME") == 0);
    assert_int_equal(r.raises, PRIVACY_PRIVATE);
    detect_report_clear(&r);
    o.tagger = &o;
    assert_int_equal(detect_scan(d, "Doe in Rome", 11, &o, &r, &e), E_PROVIDER);
    assert_int_equal(r.raises, PRIVACY_PRIVATE); /* a detector that failed raises */
    detector_close(&d);
}

static void lost_memory_is_no_all_clear(void **state)
{
    (void)state;
    static const char text[] = "é 4111111111111111 joe%40example.org bXkgbWFpbCBpcyBqb2VAZXhhbXBsZS5vcmc= \\u0041";
    static const char words[] = "Zürich\nblue heron\n";
    int failed = 0;
    for (uint64_t n = 1; n < 200; n++) {
        detector *d = NULL;
        detect_report r = { .raises = PRIVACY_PRIVATE };
        error e;
        mem_fail_at(n);
        status s = detector_open(&d, words, sizeof words - 1, "w", &e);
        if (!s)
            s = detect_scan(d, text, sizeof text - 1, NULL, &r, &e);
        mem_fail_at(0);
        failed += s != OK;
        assert_true(r.raises == PRIVACY_PRIVATE);
        assert_true(s == OK ? r.n >= 3 : r.n == 0);
        detect_report_clear(&r);
        detector_close(&d);
    }
    assert_true(failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_the_callers), cmocka_unit_test(nested_encodings),
        cmocka_unit_test(secrets),                cmocka_unit_test(the_dictionary),
        cmocka_unit_test(the_dictionary_by_hand), cmocka_unit_test(hostile_texts_are_linear),
        cmocka_unit_test(ceilings),               cmocka_unit_test(a_tagger),
        cmocka_unit_test(lost_memory_is_no_all_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
