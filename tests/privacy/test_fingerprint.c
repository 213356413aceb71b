/* Copied passages are met again whatever stands around them, other texts are not; the file and its damage. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/random.h"
#include "privacy/fingerprint.h"

static const char key[] = "a key of more than sixteen bytes";
enum { TEXT = 40000 };
static char document[TEXT + 1], other[TEXT + 1];

/* Words of random letters. */
static void fill(char *p)
{
    for (size_t i = 0; i < TEXT; i++)
        p[i] = rnd(6) == 0 ? ' ' : (char)('a' + rnd(26));
    p[TEXT] = 0;
}

static double share(const fingerprint *f, const char *text, size_t n, uint64_t *matched)
{
    fingerprint_match m = { 0 };
    assert_ok(fingerprint_query(f, text, n, &m, err));
    if (matched)
        *matched = m.n_matched;
    return m.share;
}

static fingerprint *with_document(void)
{
    fingerprint *f = NULL;
    fill(document);
    fill(other);
    assert_ok(fingerprint_open(&f, key, sizeof key, TEXT, err));
    assert_ok(fingerprint_add(f, document, TEXT, err));
    return f;
}

static void every_passage_is_met(void **state)
{
    (void)state;
    fingerprint *f = with_document();
    char text[2 * 400];
    assert_true(share(f, document, TEXT, NULL) == 1.0);
    assert_true(share(f, other, TEXT, NULL) < 0.005);
    for (int i = 0; i < 2000; i++) { /* the promise: SHINGLE + WINDOW - 1 folded bytes, and blanks fold together */
        size_t n = 80 + rnd(60), at = rnd(TEXT - 200), before = rnd(200);
        uint64_t matched = 0;
        memcpy(text, other + at, before);
        text[before] = ' ';
        memcpy(text + before + 1, document + at, n);
        memcpy(text + before + 1 + n, other + at + 300 % TEXT, 1);
        (void)share(f, text, before + 1 + n, &matched);
        assert_true(matched >= 1);
    }
    fingerprint_close(&f);
}

static void dress_does_not_matter(void **state)
{
    (void)state;
    fingerprint *f = with_document();
    char text[4 * 600];
    size_t n = 0;
    for (size_t i = 0; i < 500; i++) { /* capitals, commas and breaks for blanks */
        char c = document[1000 + i];
        if (c == ' ')
            n += (size_t)snprintf(text + n, 8, i % 2 ? ",\n " : "\xe2\x80\x83");
        else
            text[n++] = i % 3 ? c : (char)(c - 32);
    }
    assert_true(share(f, text, n, NULL) > 0.95);
    fingerprint_close(&f);
}

static void short_texts(void **state)
{
    (void)state;
    fingerprint *f = NULL;
    assert_ok(fingerprint_open(&f, key, sizeof key, 100, err));
    assert_ok(fingerprint_add(f, "merger with Blue Heron", 22, err));
    assert_ok(fingerprint_add(f, "too short", 9, err));
    assert_ok(fingerprint_add(f, "", 0, err));
    assert_true(share(f, "Merger with  blue heron!", 24, NULL) == 1.0);
    assert_true(share(f, "merger with Red Heron ", 22, NULL) == 0.0);
    assert_true(share(f, "too short", 9, NULL) == 0.0);
    assert_int_equal(fingerprint_get_about(f).n_documents, 3);
    assert_int_equal(fingerprint_get_about(f).n_shingles, 1);
    error e;
    assert_int_equal(fingerprint_add(f, document, (size_t)FINGERPRINT_MAX_TEXT + 1, &e), E_RANGE);
    fingerprint_close(&f);
    assert_int_equal(fingerprint_open(&f, "short", 5, 100, &e), E_RANGE);
    assert_int_equal(fingerprint_open(&f, key, sizeof key, 1ull << 40, &e), E_RANGE);
}

static void the_file(void **state)
{
    (void)state;
    fingerprint *f = with_document(), *g = NULL;
    char path[] = "/tmp/hearth-fingerprint-XXXXXX";
    error e;
    struct stat st;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_ok(fingerprint_write(f, path, err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(fingerprint_read(&g, path, key, sizeof key, err));
    assert_true(share(g, document, TEXT, NULL) == 1.0);
    assert_true(fingerprint_get_about(g).n_shingles == fingerprint_get_about(f).n_shingles);
    fingerprint_close(&g);
    assert_int_equal(fingerprint_read(&g, path, "quite another key of bytes", 26, &e), E_FORMAT);

    size_t n = (size_t)st.st_size;
    char *whole = mem_alloc(n);
    FILE *in = fopen(path, "rb");
    assert_true(in && fread(whole, 1, n, in) == n);
    fclose(in);
    static const long places[] = { 0, 9, 13, 17, 21, 24, 25, 29, 33, 41, 48, 5000, -1, -32, -33 };
    for (size_t i = 0; i <= ARRAY_LEN(places); i++) { /* a byte changed at each place; then a byte cut off */
        FILE *out = fopen(path, "wb");
        bool cut = i == ARRAY_LEN(places);
        size_t at = cut ? 0 : places[i] < 0 ? n - (size_t)-places[i] : (size_t)places[i];
        whole[at] ^= cut ? 0 : 0x40;
        assert_true(out && fwrite(whole, 1, n - cut, out) == n - cut);
        fclose(out);
        whole[at] ^= cut ? 0 : 0x40;
        status s = fingerprint_read(&g, path, key, sizeof key, &e);
        assert_true(s == E_FORMAT || s == E_UNSUPPORTED);
        assert_non_null(strstr(e.text, path));
    }
    unlink(path);
    assert_int_equal(fingerprint_read(&g, path, key, sizeof key, &e), E_NOTFOUND);
    mem_free(whole);
    fingerprint_close(&f);
}

static void without_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        fingerprint *f = NULL;
        error e;
        mem_fail_at(n);
        status s = fingerprint_open(&f, key, sizeof key, 1000, &e);
        if (!s)
            s = fingerprint_add(f, "Grüße an alle, die das hier lesen: ein Text von einiger Länge", 64, &e);
        mem_fail_at(0);
        if (s != OK && s != E_NOMEM && s != E_RANGE) /* E_RANGE: a buffer */
            fail_msg("allocation %d: %s", (int)n, e.text);
        fingerprint_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_passage_is_met), cmocka_unit_test(dress_does_not_matter), cmocka_unit_test(short_texts),
        cmocka_unit_test(the_file), cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
