/* A label of a folder holds for all below it, along the path as it is written and along the real one; what cannot be
 * read or says anything else is private. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"
#include "plat/folder_class.h"

static char root[PATH_MAX];

static const char *in(const char *name)
{
    static char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void label(const char *folder, const char *text)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/.hearth-class", folder);
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_words(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        privacy_class is;
    } rows[] = { { "public", PRIVACY_PUBLIC },         { "internal\n", PRIVACY_INTERNAL },
                 { " private ", PRIVACY_PRIVATE },
                 { "secret\r\n", PRIVACY_SECRET },   { "", PRIVACY_PRIVATE },             { "Secret", PRIVACY_PRIVATE },
                 { "public\nsecret", PRIVACY_PRIVATE }, { "publik", PRIVACY_PRIVATE },
                 { "public                                                                 ", PRIVACY_PRIVATE } };
    assert_int_equal(mkdir(in("words"), 0700), 0);
    assert_int_equal(folder_class(in("words")), PRIVACY_PUBLIC);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        label("words", rows[i].text);
        assert_int_equal(folder_class(in("words")), rows[i].is);
    }
}

static void test_above(void **unused)
{
    (void)unused;
    assert_int_equal(mkdir(in("a"), 0700) | mkdir(in("a/b"), 0700) | mkdir(in("a/b/c"), 0700), 0);
    label("a", "internal");
    assert_int_equal(folder_class(in("a/b/c")), PRIVACY_INTERNAL);
    label("a/b", "secret");
    assert_int_equal(folder_class(in("a/b/c/")), PRIVACY_SECRET);
    assert_int_equal(folder_class(in("a/b//c")), PRIVACY_SECRET);
    label("a/b/c", "public"); /* a label nearer by lowers nothing */
    assert_int_equal(folder_class(in("a/b/c")), PRIVACY_SECRET);
    assert_int_equal(folder_class(in("a")), PRIVACY_INTERNAL);
    assert_int_equal(chdir(in("a/b/c")), 0);
    assert_int_equal(folder_class("."), PRIVACY_SECRET);
    assert_int_equal(chdir(root), 0);
    assert_int_equal(folder_class("a"), PRIVACY_INTERNAL);
}

static void test_links(void **unused)
{
    (void)unused;
    char to[2 * PATH_MAX];
    assert_int_equal(mkdir(in("plain"), 0700) | mkdir(in("labelled"), 0700), 0);
    label("labelled", "private");
    assert_int_equal(mkdir(in("plain/task"), 0700) | mkdir(in("labelled/task"), 0700), 0);
    snprintf(to, sizeof to, "%s", in("labelled/task"));
    assert_int_equal(symlink(to, in("plain/link")), 0); /* the real path has the label */
    assert_int_equal(folder_class(in("plain/link")), PRIVACY_PRIVATE);
    snprintf(to, sizeof to, "%s", in("plain/task"));
    assert_int_equal(symlink(to, in("labelled/link")), 0); /* the path that was written has it */
    assert_int_equal(folder_class(in("labelled/link")), PRIVACY_PRIVATE);
    assert_int_equal(folder_class(in("plain/task")), PRIVACY_PUBLIC);
}

static void test_strange(void **unused)
{
    (void)unused;
    assert_int_equal(folder_class(in("none")), PRIVACY_PRIVATE);
    assert_int_equal(mkdir(in("odd"), 0700) | mkdir(in("odd/.hearth-class"), 0700), 0);
    assert_int_equal(folder_class(in("odd")), PRIVACY_PRIVATE); /* no file */
    assert_int_equal(mkdir(in("pipe"), 0700) | mkfifo(in("pipe/.hearth-class"), 0600), 0);
    assert_int_equal(folder_class(in("pipe")), PRIVACY_PRIVATE); /* and nobody waits for a writer */
    assert_int_equal(mkdir(in("loop"), 0700) | symlink(".hearth-class", in("loop/.hearth-class")), 0);
    assert_int_equal(folder_class(in("loop")), PRIVACY_PRIVATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_above),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_strange),
    };
    snprintf(root, sizeof root, "/tmp/hearth-folder-XXXXXX");
    if (!mkdtemp(root))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char remove[PATH_MAX + 16];
    snprintf(remove, sizeof remove, "rm -rf %s", root);
    return system(remove) ? 1 : failed;
}
