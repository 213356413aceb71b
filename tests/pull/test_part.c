/* What of a part is believed: what was written, of this file, for this purpose, whatever the state says. */
#include "lib/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/file.h"
#include "pull/part.h"

static char folder[] = "/tmp/hearth-part-XXXXXX", path[64], state_path[64], final[64];
static const char url[] = "https://example.org/m.gguf";
static char sha[65], other[65];

static int make_folder(void **state)
{
    (void)state;
    memset(sha, 'a', 64);
    memset(other, 'b', 64);
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/m.part", folder);
    snprintf(state_path, sizeof state_path, "%s/m.part.state", folder);
    snprintf(final, sizeof final, "%s/m.gguf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    unlink(state_path);
    unlink(final);
    return rmdir(folder);
}

/* A part with bytes 0..4 and 8..9 of ten, saved. */
static void make(const char *etag, const char *hex)
{
    part p;
    unlink(path);
    unlink(state_path);
    assert_ok(part_open(&p, path, err));
    assert_ok(part_load(&p, url, hex, err));
    assert_int_equal(runs_sum(&p.have), 0);
    p.id.bytes = 10;
    snprintf(p.id.etag, sizeof p.id.etag, "%s", etag);
    assert_ok(part_reserve(&p, err));
    assert_ok(part_write(&p, 8, "ij", 2, err));
    assert_ok(part_write(&p, 0, "abcde", 5, err));
    assert_ok(part_save(&p, url, hex, err));
    part_close(&p);
}

/* How many bytes are believed. */
static uint64_t believed(const char *of, const char *hex)
{
    part p;
    assert_ok(part_open(&p, path, err));
    assert_ok(part_load(&p, of, hex, err));
    uint64_t sum = runs_sum(&p.have);
    struct stat st;
    if (!sum) { /* then nothing of it is left */
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_not_equal(stat(state_path, &st), 0);
        assert_int_equal(p.id.bytes, 0);
    }
    part_close(&p);
    return sum;
}

static void whose_it_is(void **state)
{
    (void)state;
    make("\"v1\"", NULL);
    assert_int_equal(believed(url, NULL), 7);
    assert_int_equal(believed(url, sha), 7); /* a digest that came later: it will tell */
    assert_int_equal(believed("https://example.org/n.gguf", NULL), 0);
    make("\"v1\"", sha);
    assert_int_equal(believed("https://mirror.example.org/m", sha), 7);
    assert_int_equal(believed(url, other), 0);
    make("", NULL); /* nothing that could be compared */
    assert_int_equal(believed(url, NULL), 0);
    make("", sha);
    assert_int_equal(believed(url, sha), 7);
}

static void another_file(void **state)
{
    (void)state;
    make("\"v1\"", NULL);
    assert_int_equal(truncate(path, 9), 0); /* shorter than the state says */
    assert_int_equal(believed(url, NULL), 0);
    make("\"v1\"", NULL);
    int spare = open(path, O_RDONLY); /* its inode stays taken */
    unlink(path);
    assert_ok(file_create(path, 0600, "0123456789", 10, err));
    assert_int_equal(believed(url, NULL), 0);
    close(spare);
}

/* Every prefix of the state, and states that lie. */
static void damaged(void **state)
{
    (void)state;
    buf text = BUF_INIT(1 << 16);
    make("\"v1\"", NULL);
    assert_ok(file_slurp(state_path, &text, err));
    for (size_t n = 0; n < text.len; n += 1 + n / 8) {
        make("\"v1\"", NULL);
        assert_int_equal(truncate(state_path, (off_t)n), 0);
        assert_int_equal(believed(url, NULL), 0);
    }
    static const char *const lies[] = {
        "[]", "{}", "{\"hearth\": 2}", "{\"hearth\": 1, \"runs\": [[0, 5]]}", "\"\"", "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        make("\"v1\"", NULL);
        unlink(state_path);
        assert_ok(file_create(state_path, 0600, lies[i], strlen(lies[i]), err));
        assert_int_equal(believed(url, NULL), 0);
    }
    static const char *const runs_of[] = { "[0,11]", "[-1,5]", "[5,5]", "[5,4]", "[0]", "7", "[0,1e30]", "[\"0\",5]" };
    for (size_t i = 0; i < ARRAY_LEN(runs_of); i++) {
        buf lie = BUF_INIT(4096);
        make("\"v1\"", NULL);
        const char *at = strstr(text.data, "\"runs\":[");
        assert_non_null(at);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        buf_printf(&lie, "{\"hearth\":1,\"url\":\"%s\",\"inode\":%llu,\"bytes\":10,\"etag\":\"\\\"v1\\\"\","
                   "\"modified\":\"\",\"sha256\":\"\",\"runs\":[%s]}", url, (unsigned long long)st.st_ino, runs_of[i]);
        unlink(state_path);
        assert_ok(file_create(state_path, 0600, lie.data, lie.len, err));
        assert_int_equal(believed(url, NULL), 0);
        buf_clear(&lie);
    }
    buf_clear(&text);
}

static void one_at_a_time(void **state)
{
    (void)state;
    part a, b;
    error why;
    make("\"v1\"", NULL);
    assert_ok(part_open(&a, path, err));
    assert_int_equal(part_open(&b, path, &why), E_EXISTS);
    part_close(&a);
    assert_ok(part_open(&b, path, err));
    part_close(&b);
}

/* In pieces and out of order, the digest is that of the whole; the place is taken by nobody else's file. */
static void to_its_end(void **state)
{
    (void)state;
    part p;
    char hex[DIGEST_HEX], want[DIGEST_HEX];
    error why;
    make("\"v1\"", NULL);
    assert_ok(part_open(&p, path, err));
    assert_ok(part_load(&p, url, NULL, err));
    assert_ok(part_hash(&p, 3, err));
    assert_int_equal(p.hashed, 3);
    assert_ok(part_write(&p, 6, "gh", 2, err));
    assert_ok(part_hash(&p, 100, err));
    assert_int_equal(p.hashed, 5);
    assert_ok(part_write(&p, 5, "f", 1, err));
    assert_ok(part_digest(&p, hex, err));
    digest_of("abcdefghij", 10, want);
    assert_string_equal(hex, want);
    assert_ok(file_create(final, 0600, "mine", 4, err));
    assert_int_equal(part_place(&p, final, &why), E_EXISTS);
    unlink(final);
    assert_ok(part_place(&p, final, err));
    struct stat st;
    assert_int_equal(stat(final, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_not_equal(stat(path, &st), 0);
    assert_int_not_equal(stat(state_path, &st), 0);
    part_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whose_it_is), cmocka_unit_test(another_file), cmocka_unit_test(damaged),
        cmocka_unit_test(one_at_a_time), cmocka_unit_test(to_its_end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
