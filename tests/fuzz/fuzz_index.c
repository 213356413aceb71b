/* libFuzzer over what strangers say of files: index pages, links, versions, names of files, METADATA. What is accepted
 * keeps the promises of the headers.
 * modules: base
 * files: src/pull/simple_index.c src/pull/link.c src/pull/pep440.c src/pull/choose.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/pep440.h"
#include "pull/simple_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void page(const char *text, size_t n)
{
    simple_files f = { 0 };
    error err = { 0 };
    status s = simple_files_read(&f, "https://me:pw@index.example/simple/x/", text, n, &err);
    must(s == OK || err.text[0]);
    for (size_t i = 0; i < f.n; i++) {
        link_parts p;
        must(link_safe_name(f.at[i].name) && link_split(f.at[i].url, &p) && p.fragment.n == 0);
        must(strlen(f.at[i].sha256) == 0 || strlen(f.at[i].sha256) == 64);
        /* the index's password goes to its own host alone */
        must(!span_is(p.user, "me:pw") || span_is(p.host, "index.example") || memmem(text, n, "me:pw", 5));
    }
    size_t at = 0;
    if (!s && simple_files_choose(&f, "x", "", &at, &err) == OK)
        must(at < f.n && !f.at[at].yanked);
    choose_file *files = mem_array(f.n + 1, sizeof *files);
    size_t *out = NULL, n_out = 0;
    for (size_t i = 0; files && i < f.n; i++)
        files[i] = (choose_file){ f.at[i].name, f.at[i].bytes };
    if (files && choose_model(files, f.n, NULL, "x", &out, &n_out, &err) == OK)
        for (size_t i = 0; i < n_out; i++)
            must(out[i] < f.n);
    mem_free(out);
    mem_free(files);
    simple_files_clear(&f);
}

static void words(const char *text)
{
    pep440 v;
    char label[CHOOSE_LABEL], *url = NULL;
    if (pep440_parse(span_of(text), &v))
        must(pep440_compare(&v, &v) == 0);
    if (choose_label(text, label))
        must(strlen(label) > 0);
    if (link_join(&url, "http://a/b/c", text, NULL) == OK) {
        link_parts p;
        char *name = NULL;
        must(link_split(url, &p));
        if (link_file_name(&name, url, NULL) == OK)
            must(link_safe_name(name) && !strchr(name, '/'));
        mem_free(name);
    }
    mem_free(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size);
    if (!text)
        return 0;
    page((const char *)data, size);
    words(text);
    mem_free(text);
    return 0;
}
