/* Clocks, random ids and the places of hearth's files. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/paths.h"
#include "plat/random.h"

static void ids_ascend_and_have_the_right_shape(void **state)
{
    (void)state;
    char last[UUID_TEXT] = "", id[UUID_TEXT];
    for (int i = 0; i < 20000; i++) { /* far more than 4096 in one millisecond: the counter must carry */
        assert_ok(uuid_v7(id, err));
        assert_true(strcmp(id, last) > 0);
        assert_int_equal(strlen(id), 36);
        assert_true(id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-');
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        memcpy(last, id, sizeof last);
    }
    unsigned long long ms;
    char head[14] = { 0 };
    memcpy(head, id, 8);
    memcpy(head + 8, id + 9, 4);
    assert_int_equal(sscanf(head, "%llx", &ms), 1);
    long long off = (long long)ms - clock_utc_us() / 1000;
    assert_true(off > -10000 && off < 10000);
}

static void stamps_read_as_dates(void **state)
{
    (void)state;
    char t[CLOCK_TEXT];
    assert_string_equal(clock_utc_text(0, t), "1970-01-01T00:00:00Z");
    assert_string_equal(clock_utc_text(951782400000000, t), "2000-02-29T00:00:00Z");
    assert_string_equal(clock_utc_text(INT64_MIN, t), "1970-01-01T00:00:00Z");
    assert_string_equal(clock_utc_text(INT64_MAX, t), "9999-12-31T23:59:59Z");
    uint64_t a = clock_mono_us();
    usleep(2000);
    assert_true(clock_mono_us() - a >= 2000);
}

static void expect_path(path_kind k, const char *name, const char *want)
{
    char *p = NULL;
    assert_ok(path_of(&p, k, name, err));
    assert_string_equal(p, want);
    mem_free(p);
}

static void hearth_home_wins_then_xdg_then_home(void **state)
{
    (void)state;
    setenv("HEARTH_HOME", "/h", 1);
    setenv("XDG_DATA_HOME", "/x", 1);
    setenv("HOME", "/home/u", 1);
    expect_path(PATH_DATA, "ledger.db", "/h/ledger.db");
    expect_path(PATH_CONFIG, NULL, "/h");
    unsetenv("HEARTH_HOME");
    expect_path(PATH_DATA, "ledger.db", "/x/hearth/ledger.db");
    setenv("XDG_DATA_HOME", "relative", 1);
    expect_path(PATH_DATA, "ledger.db", "/home/u/.local/share/hearth/ledger.db");
    unsetenv("XDG_CONFIG_HOME");
    expect_path(PATH_CONFIG, "config.yaml", "/home/u/.config/hearth/config.yaml");
    unsetenv("HOME");
    char *p = NULL;
    error e;
    assert_int_equal(path_of(&p, PATH_CONFIG, "x", &e), E_NOTFOUND);
    assert_null(p);
}

static void folders_are_made_private_and_files_in_the_way_are_named(void **state)
{
    (void)state;
    char top[] = "/tmp/hearth-paths-XXXXXX", deep[128];
    assert_non_null(mkdtemp(top));
    snprintf(deep, sizeof deep, "%s/a/b/file.db", top);
    assert_ok(path_make_parents(deep, err));
    assert_ok(path_make_parents(deep, err));
    struct stat st;
    snprintf(deep, sizeof deep, "%s/a/b", top);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    char in_way[128];
    snprintf(in_way, sizeof in_way, "%s/a/b/f", top);
    fclose(fopen(in_way, "w"));
    snprintf(deep, sizeof deep, "%s/a/b/f/g", top);
    error e;
    assert_int_equal(path_make_dirs(deep, &e), E_EXISTS);
    assert_non_null(strstr(e.text, "/a/b/f"));
    char command[256];
    unlink(in_way);
    for (const char *d = "a/b"; d; d = strcmp(d, "a/b") ? NULL : "a") {
        snprintf(command, sizeof command, "%s/%s", top, d);
        rmdir(command);
    }
    rmdir(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_ascend_and_have_the_right_shape),
        cmocka_unit_test(stamps_read_as_dates),
        cmocka_unit_test(hearth_home_wins_then_xdg_then_home),
        cmocka_unit_test(folders_are_made_private_and_files_in_the_way_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
