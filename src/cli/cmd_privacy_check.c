/* cmd_privacy_check.c: hearth privacy check FILE…: what the detectors find. */
#include "cli/cmd_privacy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/budget.h"
#include "cli/input.h"
#include "cli/load.h"
#include "privacy/detect.h"
#include "privacy/fingerprint.h"
#include "privacy/secret.h"
#include "provider/tagger.h"

static const usage page = {
    "hearth privacy check [OPTION]... FILE...",
    "What in FILE ('-': standard input) makes it more private than public: identity, card and account numbers,\n"
    "addresses, keys and passwords, the words of a dictionary, copies of private documents, and what a model takes\n"
    "for names and places (these three as config.yaml or the options name them). Exit code 1 when something is found.\n"
    "Nothing found is no proof: docs/PRIVACY.md says how much is missed.\n\n"
    "examples:\n"
    "  hearth privacy check letter.txt\n"
    "  hearth privacy check --tagger rampart.gguf --dictionary clients.txt --json mail/*.txt\n",
};

enum { FILE_MAX = DETECT_MAX_BYTES, SHOWN_MAX = 64, LINES_MAX = 1 << 20, FILE_DEADLINE_MS = 3600000 };

typedef struct check_options {
    load_options load;
    const char *tagger, *dictionary;
    double threshold;
    bool show, json, lines, rules;
} check_options;

typedef struct checking {
    const check_options *o;
    detector *d;
    tagger *tagger;
    detect_options detect;
    config *cfg;
    fingerprint *sets[INSPECT_SETS_MAX]; /* the config's */
    js *all; /* with --json */
    size_t n_found;
} checking;

/* ---- showing ---- */

typedef struct place {
    size_t at, line, column; /* line and column from 1; columns are characters */
} place;

static void advance(place *p, const char *text, size_t to)
{
    for (; p->at < to; p->at++) {
        if (text[p->at] == '\n') {
            p->line++;
            p->column = 1;
        } else if (((unsigned char)text[p->at] & 0xc0) != 0x80) {
            p->column++;
        }
    }
}

/* The text found, or (masked) its ends and as many stars; line breaks become blanks. */
static void shown(char out[SHOWN_MAX * 4 + 8], const char *p, size_t n, bool whole)
{
    size_t length = 0, i = 0, count = utf8_valid(p, n) ? utf8_count(p, n) : n;
    size_t ends = whole ? count : count >= 8 ? 2 : count >= 4 ? 1 : 0;
    for (size_t k = 0, step; i < n && k < SHOWN_MAX; k++, i += step) {
        step = utf8_length((unsigned char)p[i]);
        step = step == 0 || step > n - i ? 1 : step;
        bool open = k < ends || k + ends >= count;
        if (!open)
            out[length++] = '*';
        else if ((unsigned char)p[i] < ' ')
            out[length++] = ' ';
        else
            memcpy(out + length, p + i, step), length += step;
    }
    memcpy(out + length, i < n ? "..." : "", i < n ? 4 : 1);
}

static void print_findings(const checking *c, const char *name, const char *text, const detect_report *r)
{
    place at = { 0, 1, 1 };
    for (size_t i = 0; i < r->n; i++) {
        const detect_finding *f = &r->list[i];
        char what[SHOWN_MAX * 4 + 8];
        advance(&at, text, f->begin);
        shown(what, text + f->begin, f->end - f->begin, c->o->show);
        printf("%s:%zu:%zu: %s, %s (%.2f)%s: ", name, at.line, at.column, f->kind, privacy_class_name(f->raises),
               f->score, f->decoded ? ", encoded" : "");
        cli_print_text(what, "");
        putchar('\n');
    }
    if (r->n < r->n_all)
        printf("%s: ... and %zu more\n", name, r->n_all - r->n);
}

static js *finding_json(const checking *c, const char *text, const detect_finding *f, const place *at)
{
    js *o = js_object();
    js_set(o, "kind", js_new_string(f->kind));
    js_set(o, "raises", js_new_string(privacy_class_name(f->raises)));
    js_set(o, "score", js_new_double((double)(int64_t)(f->score * 1e4 + 0.5) / 1e4));
    js_set(o, "line", js_new_int((int64_t)at->line));
    js_set(o, "column", js_new_int((int64_t)at->column));
    js_set(o, "begin", js_new_int((int64_t)f->begin));
    js_set(o, "end", js_new_int((int64_t)f->end));
    js_set(o, "encoded", js_new_bool(f->decoded));
    js_set(o, "tagger", js_new_bool(f->tagged));
    if (c->o->show)
        js_set(o, "text", js_new_stringn(text + f->begin, f->end - f->begin));
    return o;
}

static js *report_json(const checking *c, const char *name, const char *text, const detect_report *r,
                       const fingerprint_match *m)
{
    js *o = js_object(), *list = js_array();
    place at = { 0, 1, 1 };
    for (size_t i = 0; i < r->n; i++) {
        advance(&at, text, r->list[i].begin);
        js_push(list, finding_json(c, text, &r->list[i], &at));
    }
    js_set(o, "file", js_new_string(name));
    privacy_class raises = m->n_matched ? privacy_class_join(r->raises, PRIVACY_PRIVATE) : r->raises;
    js_set(o, "raises", js_new_string(privacy_class_name(raises)));
    js_set(o, "found", js_new_int((int64_t)r->n_all));
    js_set(o, "findings", list);
    js_set(o, "shingles", js_new_int((int64_t)m->n_shingles));
    js_set(o, "copied", js_new_int((int64_t)m->n_matched));
    return o;
}

/* ---- checking ---- */

static void print_match(const char *name, const fingerprint_match *m)
{
    if (m->n_matched)
        printf("%s: fingerprint, private: %llu of %llu passages are in private documents\n", name,
               (unsigned long long)m->n_matched, (unsigned long long)m->n_shingles);
}

/* Of all sets together. */
static status compare(const checking *c, const char *text, size_t n, fingerprint_match *out, error *err)
{
    status s = OK;
    *out = (fingerprint_match){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(c->sets) && c->sets[i] && !s; i++) {
        fingerprint_match m;
        s = fingerprint_query(c->sets[i], text, n, &m, err);
        if (!s) {
            out->n_shingles = m.n_shingles;
            out->n_matched = m.n_matched > out->n_matched ? m.n_matched : out->n_matched;
        }
    }
    return s;
}

static status check_text(checking *c, const char *name, const char *text, size_t n, error *err)
{
    detect_report r;
    fingerprint_match m;
    status s = compare(c, text, n, &m, err);
    if (!s)
        s = detect_scan(c->d, text, n, &c->detect, &r, err);
    if (s)
        return fail_prefix(err, s, "%s: could not be looked through, and so counts as private: ", name);
    c->n_found += r.n_all + m.n_matched;
    if (c->all) {
        js_push(c->all, report_json(c, name, text, &r, &m));
    } else {
        print_findings(c, name, text, &r);
        print_match(name, &m);
    }
    detect_report_clear(&r);
    return OK;
}

/* Each line a text of its own: FILE:LINE names it. */
static status check_lines(checking *c, const char *name, const buf *text, error *err)
{
    status s = OK;
    size_t line = 1;
    for (size_t from = 0; from < text->len && !s; line++) {
        const char *end = memchr(text->data + from, '\n', text->len - from);
        size_t n = end ? (size_t)(end - text->data) - from : text->len - from;
        char label[4200];
        snprintf(label, sizeof label, "%s:%zu", name, line);
        s = check_text(c, label, text->data + from, n, err);
        from += n + 1;
    }
    return s;
}

static status check_file(checking *c, const char *path, error *err)
{
    buf text = BUF_INIT(c->o->lines ? (size_t)LINES_MAX << 10 : FILE_MAX);
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    status s = input_read_file(path, &text, err);
    if (!s)
        s = c->o->lines ? check_lines(c, name, &text, err) : check_text(c, name, buf_text(&text), text.len, err);
    buf_clear(&text);
    return s;
}

/* The model in a worker of its own; after that this process needs neither network nor other programs. */
static status open_tagger(checking *c, error *err)
{
    const load_options *l = &c->o->load;
    config cfg = { .context = (uint32_t)l->context, .n_threads = (int)l->threads, .mem_bytes = l->mem, .kv = l->kv,
                   .exact = l->exact };
    const tagger_options o = { c->o->threshold, FILE_DEADLINE_MS };
    if (l->isa)
        setenv("HEARTH_ISA", l->isa, 1); /* the worker's */
    (void)budget_of_parent(&cfg, l->mem);
    const char *model = c->o->tagger ? c->o->tagger : c->cfg->privacy.tagger;
    status s = *model ? tagger_open(&c->tagger, model, &cfg, &o, err) : OK;
    if (s || !c->tagger)
        return s;
    load_offline();
    c->detect.tag = tagger_spans;
    c->detect.tagger = c->tagger;
    return OK;
}

static status open_sets(checking *c, error *err)
{
    const config_privacy *p = &c->cfg->privacy;
    uint8_t key[DIGEST_BYTES];
    status s = p->n_fingerprints ? secret_key("fingerprints", key, err) : OK;
    for (size_t i = 0; i < p->n_fingerprints && !s; i++)
        s = fingerprint_read(&c->sets[i], p->fingerprints[i], key, sizeof key, err);
    return s;
}

static status open_detectors(checking *c, error *err)
{
    buf words = BUF_INIT(DETECT_MAX_DICTIONARY + 1);
    status s = config_open(&c->cfg, NULL, err);
    if (!s)
        s = open_sets(c, err);
    const char *path = c->o->dictionary ? c->o->dictionary : !s && *c->cfg->privacy.dictionary
                                                                 ? c->cfg->privacy.dictionary : NULL;
    if (!s && path)
        s = input_read_file(path, &words, err);
    if (!s)
        s = detector_open(&c->d, path ? buf_text(&words) : NULL, words.len, path, err);
    buf_clear(&words);
    return s ? s : open_tagger(c, err);
}

static int print_rules(void)
{
    for (size_t i = 0; i < detect_n_rules(); i++) {
        detect_about a = detect_rule_at(i);
        printf("%-18s %-8s %.2f %.2f  %s\n", a.kind, privacy_class_name(a.raises), a.score, a.grouped, a.what);
    }
    return EXIT_OK;
}

static int check(const check_options *o, char **files, size_t n)
{
    checking c = { .o = o, .detect = { .tag_threshold = o->threshold }, .all = o->json ? js_array() : NULL };
    error err = { 0 };
    status s = open_detectors(&c, &err);
    for (size_t i = 0; i < n && !s; i++)
        s = check_file(&c, files[i], &err);
    int code = s ? report("privacy check", &err) : c.all ? cli_print_json(c.all, "privacy check") : EXIT_OK;
    if (s)
        js_free(c.all);
    tagger_close(&c.tagger);
    detector_close(&c.d);
    for (size_t i = 0; i < ARRAY_LEN(c.sets); i++)
        fingerprint_close(&c.sets[i]);
    config_close(&c.cfg);
    return code ? code : c.n_found ? EXIT_NO : EXIT_OK;
}

int cmd_privacy_check(int argc, char **argv)
{
    check_options o = { .threshold = TAGGER_THRESHOLD };
    const option options[] = {
        { "tagger", 0, OPTION_TEXT, &o.tagger, "MODEL", "a model that labels names and places (docs/PRIVACY.md)" },
        { "threshold", 0, OPTION_FLOAT, &o.threshold, "P", "least probability of what the tagger says (default 0.05)" },
        { "dictionary", 0, OPTION_TEXT, &o.dictionary, "FILE", "words and phrases, one a line" },
        { "lines", 0, OPTION_FLAG, &o.lines, NULL, "each line is a text of its own" },
        { "show", 0, OPTION_FLAG, &o.show, NULL, "what was found in plain text, not masked" },
        { "rules", 0, OPTION_FLAG, &o.rules, NULL, "list the recognisers instead" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "one JSON document instead of text" },
        LOAD_OPTIONS(o.load),
    };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (o.rules)
        return print_rules();
    if (!n)
        return usage_error(argv[0], "a FILE is needed, or '-' for standard input");
    if (!(o.threshold > 0 && o.threshold <= 1))
        return usage_error(argv[0], "--threshold must be a probability above 0");
    if ((code = load_check(argv[0], &o.load)) != EXIT_OK)
        return code;
    return check(&o, argv + 1, n);
}
