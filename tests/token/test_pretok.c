/* Every row of the pre-tokeniser table compiles, cuts nothing away, and is linear on text made to make it go back. With
 * `--split NAME` it serves splits for test_pretok.py: u32 n, n bytes; the answer is u32 k and k lengths. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "token/pretok.h"

typedef struct words {
    const char *next;
    uint32_t n;
    uint32_t lengths[1 << 16];
} words;

static status on_word(void *user, const char *bytes, size_t n)
{
    words *w = user;
    if (bytes != w->next || n == 0)
        return E_FORMAT;
    w->next += n;
    if (w->n < ARRAY_LEN(w->lengths))
        w->lengths[w->n] = (uint32_t)n;
    w->n++;
    return OK;
}

static words found;

static int serve(const char *name)
{
    const pretok_row *row = pretok_find(name, strlen(name));
    pretok *p = NULL;
    error e = { 0 };
    static char text[1 << 16];
    if (!row || pretok_compile(&p, row, &e)) {
        fprintf(stderr, "%s: %s\n", name, row ? e.text : "not known");
        return 1;
    }
    for (uint32_t n; fread(&n, 4, 1, stdin) == 1 && n <= sizeof text && fread(text, 1, n, stdin) == n;) {
        found.next = text;
        found.n = 0;
        if (pretok_split(p, text, n, on_word, &found))
            return 1;
        fwrite(&found.n, 4, 1, stdout);
        fwrite(found.lengths, 4, found.n, stdout);
        fflush(stdout);
    }
    pretok_close(&p);
    return 0;
}

static void test_rows(void **state)
{
    (void)state;
    static const char text[] = "Don't 'RE 12345  \r\n\t \xe6\xbc\xa2\xe5\xad\x97 x=y; "
                               "\xd0\x9f\xd1\x80 \xf0\x9f\xa6\x99!?  ";
    for (size_t i = 0; i < pretok_table_rows; i++) {
        pretok *p = NULL;
        assert_ok(pretok_compile(&p, &pretok_table[i], err));
        found.next = text;
        found.n = 0;
        assert_int_equal(pretok_split(p, text, strlen(text), on_word, &found), OK);
        assert_ptr_equal(found.next, text + strlen(text));
        pretok_close(&p);
    }
    char near[64];
    assert_null(pretok_find("smolm", 5));
    assert_string_equal(pretok_nearest("smolm", near), "smollm");
    assert_null(pretok_nearest("zzzzzzzzzz", near));
}

static double seconds(const pretok *p, const char *text, size_t n)
{
    struct timespec a, b;
    found.next = text;
    found.n = 0;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    assert_int_equal(pretok_split(p, text, n, on_word, &found), OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
}

/* Runs that a pattern eats and has to give back: quadratic time would be minutes. */
static void test_linear(void **state)
{
    (void)state;
    enum { SIZE = 1 << 17 };
    static const char *const units[] = { " ", "a", "A", "\n", " \n", "1", "'",
                                         "\xcc\x81", "aA", "\t ", ".", "\xe6\xbc\xa2" };
    static const char *const tails[] = { "", "5", "a", "\xe6\xbc\xa2", "\n" };
    char *text = mem_alloc(SIZE + 8);
    assert_non_null(text);
    double worst = 0;
    for (size_t i = 0; i < pretok_table_rows; i++) {
        pretok *p = NULL;
        assert_ok(pretok_compile(&p, &pretok_table[i], err));
        for (size_t u = 0; u < ARRAY_LEN(units); u++)
            for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
                size_t n = 0, len = strlen(units[u]);
                for (; n + len <= SIZE; n += len)
                    memcpy(text + n, units[u], len);
                memcpy(text + n, tails[t], strlen(tails[t]));
                n += strlen(tails[t]);
                double s = seconds(p, text, n);
                worst = s > worst ? s : worst;
                if (s > 2)
                    fail_msg("%.10s on 128 KiB of '%s' and '%s': %.1f s", pretok_table[i].names, units[u],
                             tails[t], s);
            }
        pretok_close(&p);
    }
    printf("slowest 128 KiB: %.3f s\n", worst);
    mem_free(text);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--split"))
        return serve(argv[2]);
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_linear) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
