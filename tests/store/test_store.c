/* Models are found by name in the models directory, are removed with what belongs to them and nothing else, and digests
 * are remembered until a file changes. */
#include "lib/disk.h"

#include <fcntl.h>
#include <sys/file.h>

#include "base/digest.h"
#include "base/mem.h"
#include "store/store.h"

static void names(void **state)
{
    (void)state;
    char *found_path = NULL;
    store_model *list;
    size_t n;
    error e = { 0 };
    assert_int_equal(store_find(&found_path, "nothing", &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "no models in"));
    static const char *const files[] = { "SmolLM2-135M.Q4_1.gguf", "gemma-3-270m.gguf", "Big-00001-of-00002.gguf",
                                         "Big-00002-of-00002.gguf", "notes.txt", "gemma-3-270m.gguf.json",
                                         "half.gguf.part", "mmproj-gemma-f16.gguf", "gemma.imatrix.gguf",
                                         "imatrix.gguf", "Tuned-imatrix-Q4_0.gguf" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[400];
        snprintf(path, sizeof path, "models/%s", files[i]);
        disk_put(path, files[i]);
    }
    mkdir("models/folder.gguf", 0700);
    mkfifo("models/pipe.gguf", 0600);
    disk_link("nowhere", "models/link.gguf");
    assert_ok(store_list(&list, &n, err));
    assert_int_equal(n, 4);
    assert_string_equal(list[0].name, "Big");
    assert_true(list[0].bytes == strlen(files[2]) + strlen(files[3]));
    store_free(list, n);
    static const struct {
        const char *word, *file;
    } rows[] = { { "gemma-3-270m", "gemma-3-270m.gguf" }, { "GEMMA-3-270M.gguf", "gemma-3-270m.gguf" },
                 { "smol", "SmolLM2-135M.Q4_1.gguf" }, { "big", "Big-00001-of-00002.gguf" },
                 { "tuned", "Tuned-imatrix-Q4_0.gguf" },
                 { "Big-00001-of-00002.gguf", "Big-00001-of-00002.gguf" }, { "models/notes.txt", "notes.txt" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(store_find(&found_path, rows[i].word, err));
        assert_non_null(strstr(found_path, rows[i].file));
        mem_free(found_path);
    }
    assert_int_equal(store_find(&found_path, "gema-3-270m", &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "did you mean 'gemma-3-270m'"));
    assert_int_equal(store_find(&found_path, "/nonexistent/x.gguf", &e), E_NOTFOUND);
    store_model m;
    assert_ok(store_look(&m, "models/Big-00001-of-00002.gguf", err));
    assert_true(m.place == STORE_PATH && m.bytes == strlen(files[2]) + strlen(files[3]));
    assert_string_equal(m.name, "Big");
    assert_string_equal(store_label(&m), "Big-00001-of-00002.gguf");
    store_model_clear(&m);
    assert_int_equal(store_find(&found_path, "models", &e), E_NOTFOUND);
    assert_int_equal(store_find(&found_path, "./models", &e), E_IO);
}

/* One name, two models: each has its file's name, and that one is meant. */
static void two_of_one_name(void **state)
{
    (void)state;
    char *path = NULL;
    error e = { 0 };
    disk_put("models/Twin.gguf", "one file");
    disk_put("models/Twin-00001-of-00002.gguf", "first");
    disk_put("models/Twin-00002-of-00002.gguf", "second");
    assert_int_equal(store_find(&path, "Twin", &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "Twin.gguf"));
    assert_non_null(strstr(e.text, "Twin-00001-of-00002.gguf"));
    assert_ok(store_find(&path, "Twin.gguf", err));
    assert_non_null(strstr(path, "/Twin.gguf"));
    mem_free(path);
    assert_ok(store_find(&path, "Twin-00001-of-00002.gguf", err));
    assert_non_null(strstr(path, "/Twin-00001"));
    mem_free(path);
}

static void delete_model(const char *word)
{
    store_model m;
    assert_ok(store_look(&m, word, err));
    assert_ok(store_delete(&m, err));
    store_model_clear(&m);
}

static void removed(void **state)
{
    (void)state;
    static const char *const of_one[] = { "models/Twin.gguf", "models/Twin.gguf.json", "models/Twin.gguf.part",
                                          "models/Twin.gguf.part.state", "models/.pull/k1/Twin.gguf.part",
                                          "models/Twin.gguf.part.done", "models/Twin.gguf.part.measured",
                                          "models/.pull/k2/Twin.gguf" };
    static const char *const of_two[] = { "models/Twin-00001-of-00002.gguf", "models/Twin-00002-of-00002.gguf",
                                          "models/Twin-00001-of-00002.gguf.json",
                                          "models/.pull/k1/Twin-00002-of-00002.gguf.part.state" };
    static const char *const stays[] = { "models/Twin2.gguf", "models/Twin.gguf.txt", "models/.pull/k1/Twin2.gguf.part",
                                         "models/Twin-00003-of-00003.gguf" };
    for (size_t i = 0; i < ARRAY_LEN(of_one); i++)
        disk_put(of_one[i], "x");
    for (size_t i = 0; i < ARRAY_LEN(of_two); i++)
        disk_put(of_two[i], "x");
    for (size_t i = 0; i < ARRAY_LEN(stays); i++)
        disk_put(stays[i], "x");
    delete_model("Twin.gguf");
    for (size_t i = 0; i < ARRAY_LEN(of_one); i++)
        assert_false(disk_has(of_one[i]));
    for (size_t i = 0; i < ARRAY_LEN(of_two); i++)
        assert_true(disk_has(of_two[i]));
    delete_model("Twin-00001-of-00002.gguf");
    for (size_t i = 0; i < ARRAY_LEN(of_two); i++)
        assert_false(disk_has(of_two[i]));
    assert_false(disk_has("models/.pull/k2")); /* a folder that is empty now goes too */
    for (size_t i = 0; i < ARRAY_LEN(stays); i++)
        assert_true(disk_has(stays[i]));
    /* what a pull that runs now has of it is not taken from it */
    store_model m;
    error e = { 0 };
    disk_put("models/Twin.gguf", "x");
    disk_put("models/.pull/k3/Twin.gguf.part", "x");
    int fd = open("models/.pull/k3", O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_ok(store_look(&m, "Twin", err));
    assert_int_equal(store_delete(&m, &e), E_EXISTS);
    assert_true(disk_has("models/Twin.gguf") && disk_has("models/.pull/k3/Twin.gguf.part"));
    close(fd);
    assert_ok(store_delete(&m, err));
    assert_false(disk_has("models/Twin.gguf") || disk_has("models/.pull/k3/Twin.gguf.part"));
    /* nor from a quantize: of which there may be no more than measurements yet */
    disk_put("models/Twin.gguf.part.measured", "x");
    fd = open("models/Twin.gguf.part.measured", O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(store_delete(&m, &e), E_EXISTS);
    assert_true(disk_has("models/Twin.gguf.part.measured"));
    close(fd);
    assert_ok(store_delete(&m, err));
    assert_false(disk_has("models/Twin.gguf.part.measured"));
    store_model_clear(&m);
    /* of a link, the link */
    disk_put("elsewhere.bin", "weights");
    disk_link("../elsewhere.bin", "models/linked.gguf");
    delete_model("linked");
    assert_false(disk_has("models/linked.gguf"));
    assert_true(disk_has("elsewhere.bin"));
    /* a path is no name: what it leads to is not hearth's */
    assert_ok(store_look(&m, "models/Twin2.gguf", err));
    assert_int_equal(store_delete(&m, &e), E_DENIED);
    assert_true(disk_has("models/Twin2.gguf"));
    store_model_clear(&m);
}

/* Of one file its own; remembered until the file changes. */
static void digests(void **state)
{
    (void)state;
    char hex[65], want[65];
    for (int round = 0; round < 3; round++) {
        const char *text = round < 2 ? "some text" : "other text";
        if (round != 1)
            disk_put("digested", text);
        FILE *f = fopen("digested", "r");
        int fd = fileno(f);
        assert_ok(store_digest(&fd, 1, hex, err));
        digest_of(text, strlen(text), want);
        assert_string_equal(hex, want);
        fclose(f);
    }
}

/* ---- notes ---- */

static void note_of(const char *text, status want, const char *says)
{
    store_model m;
    store_note n;
    error e = { 0 };
    disk_put("models/noted.gguf.json", text);
    assert_ok(store_look(&m, "noted", err));
    assert_int_equal(store_note_read(&n, &m, &e), want);
    if (says)
        assert_non_null(strstr(e.text, says));
    store_note_clear(&n);
    store_model_clear(&m);
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"

static void notes(void **state)
{
    (void)state;
    store_model m;
    store_note n;
    store_expected x;
    error e = { 0 };
    disk_put("models/noted.gguf", "weights");
    assert_ok(store_look(&m, "noted", err));
    assert_ok(store_note_read(&n, &m, err));
    assert_null(n.tree);
    assert_ok(store_expect(&x, &m, &n, 0, err));
    assert_true(!x.sha256[0] && !x.bytes && !x.from[0]);
    note_of("", E_FORMAT, "noted.gguf.json");
    note_of("[]", E_FORMAT, "is no note");
    note_of("{\"hearth\": 2}", E_UNSUPPORTED, "newer");
    note_of("{\"hearth\": 1, \"source\": 7}", E_FORMAT, "'source'");
    note_of("{\"hearth\": 1, \"later\": {\"more\": []}}", OK, NULL);
    disk_put("models/noted.gguf.json", "{\"hearth\": 1, \"source\": \"hf:a/b\", \"licence\": null, \"bytes\": 7, "
                                       "\"sha256\": \"" ONES "\"}");
    assert_ok(store_note_read(&n, &m, err));
    assert_string_equal(n.source, "hf:a/b");
    assert_string_equal(n.licence, "");
    assert_ok(store_expect(&x, &m, &n, 0, err));
    assert_string_equal(x.sha256, ONES);
    assert_true(x.bytes == 7);
    assert_int_equal(store_expect(&x, &m, &n, 1, &e), E_RANGE);
    store_note_clear(&n);
    static const char *const bad[] = { "{\"hearth\": 1, \"sha256\": \"abc\"}", "{\"hearth\": 1, \"sha256\": 5}",
                                       "{\"hearth\": 1, \"bytes\": -1}", "{\"hearth\": 1, \"bytes\": \"7\"}",
                                       "{\"hearth\": 1, \"files\": {}}", "{\"hearth\": 1, \"files\": [7, {}]}",
                                       "{\"hearth\": 1, \"files\": [{\"name\": \"other.gguf\"}]}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        disk_put("models/noted.gguf.json", bad[i]);
        assert_ok(store_note_read(&n, &m, err));
        assert_int_equal(store_expect(&x, &m, &n, 0, &e), E_FORMAT);
        store_note_clear(&n);
    }
    /* a pipe that nobody writes is not waited for */
    remove("models/noted.gguf.json");
    mkfifo("models/noted.gguf.json", 0600);
    assert_int_equal(store_note_read(&n, &m, &e), E_IO);
    store_model_clear(&m);
}

static void note_of_parts(void **state)
{
    (void)state;
    store_model m;
    store_note n;
    store_expected x;
    disk_put("models/Parts-00001-of-00002.gguf", "first");
    disk_put("models/Parts-00002-of-00002.gguf", "second");
    disk_put("models/Parts-00001-of-00002.gguf.json",
             "{\"hearth\": 1, \"files\": [{\"name\": \"Parts-00002-of-00002.gguf\", \"bytes\": 6, \"sha256\": \"" TWOS
             "\"}, {\"name\": \"Parts-00001-of-00002.gguf\", \"sha256\": \"" ONES "\"}]}");
    assert_ok(store_look(&m, "Parts", err));
    assert_ok(store_note_read(&n, &m, err));
    assert_ok(store_expect(&x, &m, &n, 0, err));
    assert_string_equal(x.sha256, ONES);
    assert_ok(store_expect(&x, &m, &n, 1, err));
    assert_string_equal(x.sha256, TWOS);
    assert_true(x.bytes == 6);
    store_note_clear(&n);
    store_model_clear(&m);
}

int main(void)
{
    const char *dir = disk_enter("store");
    setenv("HEARTH_HOME", dir, 1);
    setenv("HEARTH_PLACES", "none", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(two_of_one_name), cmocka_unit_test(removed),
        cmocka_unit_test(digests), cmocka_unit_test(notes), cmocka_unit_test(note_of_parts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_remove(dir);
    return failed;
}
