/* Models are found by name in the models directory, and digests are remembered until a file changes. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/store.h"

static char dir[200];

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void model_names(void **state)
{
    (void)state;
    char path[400], *found_path = NULL, hex[65], want[65];
    store_model *list;
    size_t n;
    error e = { 0 };
    setenv("HEARTH_HOME", dir, 1);
    assert_int_equal(store_find(&found_path, "nothing", &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "no models in"));
    snprintf(path, sizeof path, "%s/models", dir);
    mkdir(path, 0700);
    static const char *const names[] = { "SmolLM2-135M.Q4_1.gguf", "gemma-3-270m.gguf", "Big-00001-of-00002.gguf",
                                         "Big-00002-of-00002.gguf", "notes.txt" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/models/%s", dir, names[i]);
        put(path, names[i]);
    }
    assert_ok(store_list(&list, &n, err));
    assert_int_equal(n, 3);
    assert_string_equal(list[0].name, "Big");
    assert_true(list[0].bytes == strlen(names[2]) + strlen(names[3]));
    store_free(list, n);
    static const struct {
        const char *word, *file;
    } rows[] = { { "gemma-3-270m", "gemma-3-270m.gguf" }, { "GEMMA-3-270M.gguf", "gemma-3-270m.gguf" },
                 { "smol", "SmolLM2-135M.Q4_1.gguf" }, { "big", "Big-00001-of-00002.gguf" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(store_find(&found_path, rows[i].word, err));
        assert_non_null(strstr(found_path, rows[i].file));
        mem_free(found_path);
    }
    assert_int_equal(store_find(&found_path, "gema-3-270m", &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "did you mean 'gemma-3-270m'"));
    assert_int_equal(store_find(&found_path, "/nonexistent/x.gguf", &e), E_NOTFOUND);
    /* digests: of one file its own; remembered until the file changes */
    for (int round = 0; round < 3; round++) {
        FILE *f = fopen(path, "r");
        int fd = fileno(f);
        assert_ok(store_digest(&fd, 1, hex, err));
        digest_of(round < 2 ? "notes.txt" : "other text", round < 2 ? 9 : 10, want);
        assert_string_equal(hex, want);
        fclose(f);
        if (round == 1)
            put(path, "other text");
    }
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/hearth-store-%d", (int)getpid());
    mkdir(dir, 0700);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_names),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[300];
    static const char *const made[] = { "digests", "models/SmolLM2-135M.Q4_1.gguf",
                                        "models/gemma-3-270m.gguf", "models/Big-00001-of-00002.gguf",
                                        "models/Big-00002-of-00002.gguf", "models/notes.txt", "models", "" };
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, made[i]);
        remove(path);
    }
    return failed;
}
