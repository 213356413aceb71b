/* Alignment and n-grams against plain implementations of their definitions: every length around the borders of the
 * 64-bit words, few and many different pieces. */
#include "lib/check.h"

#include <string.h>

#include "base/mem.h"
#include "task/sequence_int.h"

static uint32_t state = 1;

static uint32_t draw(uint32_t n)
{
    state = state * 1664525 + 1013904223;
    return (state >> 8) % n;
}

/* One letter of `alphabet` a piece; above 26 they are characters of three bytes. */
static size_t random_text(char *out, size_t pieces, uint32_t alphabet)
{
    size_t n = 0;
    for (size_t i = 0; i < pieces; i++) {
        uint32_t c = draw(alphabet);
        if (c < 26) {
            out[n++] = (char)('a' + c);
        } else {
            out[n++] = (char)0xe4;
            out[n++] = (char)(0xb8 + c % 5);
            out[n++] = (char)(0x80 + c % 64);
        }
    }
    return n;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t slow_lcs(const sequence_pair *p, size_t *row)
{
    memset(row, 0, (p->nb + 1) * sizeof *row);
    for (size_t i = 0; i < p->na; i++)
        for (size_t j = 0, corner = 0; j < p->nb; j++) {
            size_t above = row[j + 1];
            row[j + 1] = p->a[i] == p->b[j] ? corner + 1 : row[j] > above ? row[j] : above;
            corner = above;
        }
    return row[p->nb];
}

static size_t slow_distance(const sequence_pair *p, size_t *row)
{
    for (size_t j = 0; j <= p->nb; j++)
        row[j] = j;
    for (size_t i = 0; i < p->na; i++) {
        size_t corner = row[0]++;
        for (size_t j = 0; j < p->nb; j++) {
            size_t above = row[j + 1];
            row[j + 1] = least(corner + (p->a[i] != p->b[j]), 1 + least(row[j], above));
            corner = above;
        }
    }
    return row[p->nb];
}

/* For every n-gram of b the first place in a that equals it and is free. */
static size_t slow_common(const sequence_pair *p, size_t order, bool *used)
{
    size_t common = 0;
    memset(used, 0, p->na + 1);
    for (size_t j = 0; j + order <= p->nb; j++)
        for (size_t i = 0; i + order <= p->na; i++)
            if (!used[i] && !memcmp(p->a + i, p->b + j, order * sizeof *p->a)) {
                used[i] = true;
                common++;
                break;
            }
    return common;
}

static void as_the_definitions_say(void **unused)
{
    (void)unused;
    static const size_t lengths[] = { 0, 1, 2, 3, 31, 63, 64, 65, 127, 128, 129, 200, 321 };
    static const uint32_t alphabets[] = { 1, 2, 4, 26, 300 };
    static char a[1024], b[1024];
    static size_t row[400];
    static bool used[400];
    for (size_t x = 0; x < ARRAY_LEN(lengths); x++)
        for (size_t y = 0; y < ARRAY_LEN(lengths); y++)
            for (size_t k = 0; k < ARRAY_LEN(alphabets); k++) {
                size_t na = random_text(a, lengths[x], alphabets[k]), nb = random_text(b, lengths[y], alphabets[k]);
                sequence_pair p = { 0 };
                sequence_overlap o[3];
                size_t lcs = 0, distance = 0;
                assert_ok(sequence_open(&p, (span){ a, na }, (span){ b, nb }, sequence_char, err));
                assert_int_equal(p.na, lengths[x]);
                assert_int_equal(p.nb, lengths[y]);
                assert_ok(sequence_lcs(&p, &lcs, err));
                assert_ok(sequence_distance(&p, &distance, err));
                assert_ok(sequence_ngrams(&p, 3, o, err));
                assert_int_equal(lcs, slow_lcs(&p, row));
                assert_int_equal(distance, slow_distance(&p, row));
                for (size_t n = 1; n <= 3; n++)
                    assert_int_equal(o[n - 1].both, slow_common(&p, n, used));
                assert_int_equal(o[2].a, lengths[x] < 2 ? 0 : lengths[x] - 2);
                sequence_clear(&p);
            }
}

static void pieces(void **unused)
{
    (void)unused;
    static const char text[] = " a\u3000bc\x1c" "d\xc2\xa0";
    span piece, s = { text, sizeof text - 1 };
    size_t at = 0, n = 0;
    static const char *const fields[] = { "a", "bc", "d" };
    while (sequence_field(s, &at, &piece))
        assert_true(n < 3 && span_is(piece, fields[n++]));
    assert_int_equal(n, 3);
    at = n = 0;
    while (sequence_dark_char(s, &at, &piece))
        n++;
    assert_int_equal(n, 4);
}

static void too_long_is_said_and_no_memory_is_no_crash(void **unused)
{
    (void)unused;
    size_t n = SEQUENCE_PIECES_MAX + 1, distance = 0;
    char *text = mem_alloc(n);
    sequence_pair p = { 0 };
    error e = { 0 };
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + draw(26));
    assert_int_equal(sequence_open(&p, (span){ text, n }, (span){ "a", 1 }, sequence_char, &e), E_RANGE);
    assert_int_equal(sequence_open(&p, (span){ "a", 1 }, (span){ text, n }, sequence_char, &e), E_RANGE);
    assert_ok(sequence_open(&p, (span){ text, 900 }, (span){ text + 900, 900 }, sequence_char, err));
    sequence_clear(&p);
    uint64_t k = 0;
    for (status s = E_NOMEM; s == E_NOMEM; sequence_clear(&p)) {
        sequence_overlap o[2];
        mem_fail_at(++k);
        s = sequence_open(&p, (span){ text, 300 }, (span){ text + 300, 300 }, sequence_char, &e);
        if (!s)
            s = sequence_lcs(&p, &distance, &e);
        if (!s)
            s = sequence_distance(&p, &distance, &e);
        if (!s)
            s = sequence_ngrams(&p, 2, o, &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
    }
    assert_true(k > 12 && distance > 100);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_definitions_say),
        cmocka_unit_test(pieces),
        cmocka_unit_test(too_long_is_said_and_no_memory_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
