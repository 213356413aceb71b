/* libFuzzer over what looks at texts: findings lie within the text and are sorted, a class is what the findings say, an
 * error leaves nothing, a copied passage is known again, and a body raises at least as far as its texts do.
 * modules: base plat privacy
 * libs: -lutf8proc -lcrypto -lyaml */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "privacy/fingerprint.h"
#include "privacy/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char words[] = "blue heron\n[secret]\nproject x\n[internal]\nMünchen\n";
static const char key[] = "a key of sixteen bytes and more";

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_report(const char *text, size_t n, const detector *d)
{
    detect_report r;
    error err = { 0 };
    privacy_class highest = PRIVACY_PUBLIC;
    (void)text;
    if (detect_scan(d, text, n, NULL, &r, &err)) {
        must(!r.list && !r.n && r.raises == PRIVACY_PRIVATE && err.text[0]);
        return;
    }
    must(r.n <= r.n_all && r.n <= DETECT_MAX_FINDINGS);
    for (size_t i = 0; i < r.n; i++) {
        const detect_finding *f = &r.list[i];
        must(f->begin < f->end && f->end <= n && f->score >= DETECT_THRESHOLD - 1e-6 && f->score <= 1);
        must(i == 0 || r.list[i - 1].begin <= f->begin);
        highest = privacy_class_join(highest, f->raises);
    }
    must(r.n < r.n_all || highest == r.raises);
    detect_report_clear(&r);
}

/* The text is a document; every passage of it that is long enough is met again. */
static void check_copies(const char *text, size_t n)
{
    fingerprint *f = NULL;
    fingerprint_match whole, part;
    error err = { 0 };
    must(fingerprint_open(&f, key, sizeof key, 1 << 12, &err) == OK);
    if (fingerprint_add(f, text, n, &err) == OK) {
        must(fingerprint_query(f, text, n, &whole, &err) == OK && whole.n_matched == whole.n_shingles);
        must(fingerprint_query(f, text, n / 2, &part, &err) == OK && part.n_matched <= part.n_shingles);
    }
    fingerprint_close(&f);
}

static void check_body(const char *text, size_t n, const inspector *i)
{
    inspect_result alone, result;
    js *body = NULL;
    error err;
    inspect_text(i, text, n, &alone);
    must((alone.raises == PRIVACY_PUBLIC) == !alone.reason[0] && (!alone.failed || alone.raises >= PRIVACY_PRIVATE));
    if (js_parse(&body, text, n, "fuzz", 1, &err) == OK) {
        inspect_json(i, body, &result);
        must((result.raises == PRIVACY_PUBLIC) == !result.reason[0]);
        js_free(body);
    }
    js *parts = js_array(), *message = js_object();
    js_push(parts, js_new_stringn(text, n / 2));
    js_push(parts, js_new_stringn(text + n / 2, n - n / 2));
    js_set(message, "content", parts);
    inspect_json(i, message, &result);
    js *valid = js_new_stringn(text, n); /* bytes that are no UTF-8 were replaced */
    if (js_len(valid) == n && memcmp(js_text(valid), text, n) == 0 && js_len(js_at(parts, 0)) == n / 2 &&
        memcmp(js_text(js_at(parts, 0)), text, n / 2) == 0)
        must(result.raises >= alone.raises);
    js_free(valid);
    js_free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static detector *d;
    static inspector *i;
    error err = { 0 };
    if (!d)
        must(detector_open(&d, words, sizeof words - 1, "words", &err) == OK && inspector_open(&i, NULL, &err) == OK);
    char *text = mem_strndup((const char *)data, size);
    must(text);
    check_report(text, size, d);
    check_copies(text, size);
    check_body(text, size, i);
    mem_free(text);
    return 0;
}
