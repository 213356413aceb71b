/* The vocabulary files with expected ids that come with llama.cpp: ids must be the same.
 * FILE.inp: texts separated by "\n__ggml_vocab_test__\n"; FILE.out: one line of ids for each. */
#include "lib/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "serve.h"
#include "token/vocab.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"
enum { EXPECTED_FILES = 15, EXPECTED_PAIRS = 694 };

static const char *folder;
static int n_files, n_pairs, n_bad;

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *data = mem_alloc((size_t)size + 1);
    assert_non_null(data);
    *n = fread(data, 1, (size_t)size, f);
    data[*n] = 0;
    fclose(f);
    return data;
}

static void print_ids(const char *what, const int32_t *ids, size_t n)
{
    printf("    %s", what);
    for (size_t i = 0; i < n; i++)
        printf(" %d", (int)ids[i]);
    printf("\n");
}

static void compare(const vocab *v, const char *name, const char *text, size_t n, const char *line)
{
    token_list want = TOKEN_LIST_INIT(100000), got = TOKEN_LIST_INIT(100000);
    for (char *end;; line = end) {
        long id = strtol(line, &end, 10);
        if (end == line)
            break;
        assert_ok(token_list_add(&want, (int32_t)id, err));
    }
    assert_ok(vocab_encode(v, text, n, 0, &got, err));
    n_pairs++;
    if (got.n != want.n || (got.n && memcmp(got.ids, want.ids, got.n * sizeof *got.ids) != 0)) {
        if (n_bad++ < 20) {
            printf("  %s: '%.*s'\n", name, (int)n, text);
            print_ids("want", want.ids, want.n);
            print_ids("got ", got.ids, got.n);
        }
    }
    token_list_clear(&want);
    token_list_clear(&got);
}

static void check_file(const char *name)
{
    char path[4096];
    size_t n_in, n_out;
    snprintf(path, sizeof path, "%s/%s.inp", folder, name);
    char *in = read_file(path, &n_in);
    snprintf(path, sizeof path, "%s/%s.out", folder, name);
    char *out = read_file(path, &n_out);
    gguf *g = NULL;
    vocab *v = NULL;
    if (in && out) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        assert_ok(gguf_open(&g, path, err));
        assert_ok(vocab_open(&v, g, err));
        gguf_close(&g);
        n_files++;
        char *line = out;
        for (char *text = in; text && *line;) {
            char *next = strstr(text, SEPARATOR), *eol = strchr(line, '\n');
            if (eol)
                *eol = 0;
            if (!next && !*text) /* nothing follows the last separator */
                break;
            compare(v, name, text, next ? (size_t)(next - text) : strlen(text), line);
            line = eol ? eol + 1 : line + strlen(line);
            text = next ? next + strlen(SEPARATOR) : NULL;
        }
        vocab_close(&v);
    }
    mem_free(in);
    mem_free(out);
}

static void test_pairs(void **state)
{
    (void)state;
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        if (str_starts(names[i]->d_name, "ggml-vocab-") && str_ends(names[i]->d_name, ".gguf"))
            check_file(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    printf("%d files, %d texts compared, %d differ\n", n_files, n_pairs, n_bad);
    assert_int_equal(n_bad, 0);
    assert_true(n_files >= EXPECTED_FILES);
    assert_true(n_pairs >= EXPECTED_PAIRS);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--serve"))
        return serve_vocab(argv[2]);
    const char *cache = getenv("HEARTH_CACHE");
    static char path[4096];
    snprintf(path, sizeof path, "%s/vocabs", cache ? cache : "build/cache");
    folder = path;
    DIR *d = opendir(folder);
    if (!d) {
        printf("%s is not there: it needs the network once (tools/fetch vocabs)\n", folder);
        return 77;
    }
    closedir(d);
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_pairs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
