/* YAML: the shape, the lines, and everything that is refused. Digests against published vectors. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/yaml.h"

static void shape_and_lines(void **state)
{
    (void)state;
    const char *text = "hearth: 1\nid: a-b\nlabels: [yes, no, \"3\"]\nsampling:\n  temperature: 0.5\n"
                       "  deep: {x: true}\nnote: |\n  two\n  lines\n";
    yaml_file *f = NULL;
    assert_ok(yaml_parse(&f, text, strlen(text), "t.yaml", err));
    int64_t version = 0;
    assert_ok(yaml_i64(f, yaml_get(f->root, "hearth"), &version, err));
    assert_int_equal(version, 1);
    const yaml *labels = yaml_get(f->root, "labels");
    assert_int_equal(yaml_count(labels), 3);
    assert_string_equal(labels->child->text, "yes"); /* text, not a boolean */
    const yaml *temperature = yaml_get(yaml_get(f->root, "sampling"), "temperature");
    assert_int_equal(temperature->line, 5);
    double d = 0;
    assert_ok(yaml_f64(f, temperature, &d, err));
    assert_true(d == 0.5);
    assert_string_equal(yaml_get(f->root, "note")->text, "two\nlines\n");
    error e;
    assert_int_equal(yaml_i64(f, temperature, &version, &e), E_FORMAT);
    assert_string_equal(e.text, "t.yaml:5: 'temperature' must be a whole number");
    static const char *const names[] = { "hearth", "id", "labels", "sample", "note" };
    assert_int_equal(yaml_known_keys(f, f->root, names, 5, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "t.yaml:5: unknown key 'sampling' (did you mean 'sample'?)"));
    js *v = yaml_to_js(yaml_get(f->root, "labels"));
    assert_true(js_is(js_at(v, 0), JS_STRING));
    assert_true(js_is(js_at(v, 2), JS_STRING)); /* quoted: a text */
    js_free(v);
    yaml_close(&f);
    assert_null(f);
}

static void strangers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        { "a: 1\na: 2\n", ":2: the key 'a' is there twice" },
        { "a: &x 1\n", ":1: anchors" },
        { "a: 1\nb: *a\n", ":2: aliases" },
        { "a: !!str 1\n", ":1: anchors and tags" },
        { "? [a]\n: 1\n", ":1: a key must be plain text" },
        { "a: 1\n---\nb: 2\n", ":2: one document" },
        { "a: [1\nb: 2\n", "not valid YAML" },
        { "\tx: 1\n", ":1: not valid YAML" },
        { "a: \"\\0\"\n", ":1: a zero byte" },
        { "a: \xFF\n", "not valid YAML" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        yaml_file *f = NULL;
        error e = { 0 };
        assert_int_equal(yaml_parse(&f, bad[i].text, strlen(bad[i].text), "t", &e), E_FORMAT);
        if (!strstr(e.text, bad[i].sentence))
            fail_msg("'%s' gave '%s'", bad[i].text, e.text);
        assert_null(f);
    }
    char deep[200];
    memset(deep, '[', sizeof deep);
    yaml_file *f = NULL;
    assert_int_equal(yaml_parse(&f, deep, sizeof deep, "deep", NULL), E_FORMAT);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    const char *text = "a: [1, {b: c}]\nd: e\n";
    for (uint64_t n = 1; n < 12; n++) {
        yaml_file *f = NULL;
        mem_fail_at(n);
        status s = yaml_parse(&f, text, strlen(text), "t", NULL);
        mem_fail_at(0);
        assert_true((s == OK) == (f != NULL));
        yaml_close(&f);
    }
}

static void digests_match_fips_180_and_rfc_4231(void **state)
{
    (void)state;
    char hex[DIGEST_HEX];
    digest_of("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    uint8_t raw[DIGEST_BYTES];
    digest_hmac("Jefe", 4, "what do ya want for nothing?", 28, raw);
    digest_hex(raw, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char path[] = "/tmp/hearth-digest-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "wb");
    for (int i = 0; i < 1000000; i++)
        fputc('a', file);
    fclose(file);
    assert_ok(digest_file(path, hex, err));
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    remove(path);
    assert_int_equal(digest_file(path, hex, NULL), E_IO);
}

static void fields_do_not_run_together(void **state)
{
    (void)state;
    uint8_t one[DIGEST_BYTES], two[DIGEST_BYTES];
    digest *d = digest_open();
    digest_field(d, "ab", 2);
    digest_field(d, "c", 1);
    digest_close(&d, one);
    d = digest_open();
    digest_field(d, "a", 1);
    digest_field(d, "bc", 2);
    digest_close(&d, two);
    assert_memory_not_equal(one, two, DIGEST_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_and_lines),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(digests_match_fips_180_and_rfc_4231),
        cmocka_unit_test(fields_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
